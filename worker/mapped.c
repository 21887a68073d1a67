// SPDX-License-Identifier: Apache-2.0
#include "worker/mapped.h"

#include <stdio.h>
#include <string.h>

static mr_status read_entry(const mr_config_property *row, char text[static MR_MAPPED_TEXT_MAX],
                            mr_mapping_entry *entry, mr_error *err)
{
    MR_TRY(mr_mapping_key(mr_bytes_text(row->name), entry, err));
    if (strlen(row->value) >= MR_MAPPED_TEXT_MAX)
        return mr_fail(err, MR_FATAL, "longer than %d bytes", MR_MAPPED_TEXT_MAX - 1);
    snprintf(text, MR_MAPPED_TEXT_MAX, "%s", row->value);
    return mr_mapping_source(text, entry, err);
}

mr_status mr_mapped_read(const mr_config_input *input, mr_mapped *mapped, mr_error *err)
{
    MR_ASSERT(input->mapping.count <= MR_MAPPING_ENTRIES_MAX);
    for (uint32_t i = 0; i < input->mapping.count; i++) {
        const mr_config_property *row = &input->mapping.rows[i];
        if (read_entry(row, mapped->texts[i], &mapped->entries[i], err) != MR_OK) {
            mr_wrap(err, "topics.%s.mapping.%s", input->name, row->name);
            return mr_wrap(err, "%s", row->place);
        }
    }
    mapped->mapping = (mr_mapping){.kind = mr_config_kind(input),
                                   .entries = mapped->entries,
                                   .entry_count = input->mapping.count};
    if (mr_mapping_check(&mapped->mapping, err) != MR_OK) {
        mr_wrap(err, "topics.%s", input->name);
        return mr_wrap(err, "%s", input->place);
    }
    return MR_OK;
}

mr_status mr_mapped_named(const mr_config *config, const char *name, mr_mapped *mapped,
                          mr_error *err)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (strcmp(config->inputs[i].name, name) == 0)
            return mr_mapped_read(&config->inputs[i], mapped, err);
    }
    return mr_fail(err, MR_FATAL, "--as %s: the configuration has no topics.%s", name, name);
}
