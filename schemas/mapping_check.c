// SPDX-License-Identifier: Apache-2.0
// What no single entry of a mapping can know.
#include <string.h>

#include "schemas/mapping.h"

typedef enum field_type { text, whole, number, millis, array } field_type;
#define MR_TYPE_text text
#define MR_TYPE_long whole
#define MR_TYPE_double number
#define MR_TYPE_millis millis
#define MR_TYPE_lines array
#define MR_TYPE_pairs array
#define MR_TYPE_floats array
#define MR_TYPE_texts array
#define MR_TYPE_bool whole
static const field_type types[MR_FIELD_COUNT] = {
#define MR_FIELD(name, type, help) [MR_FIELD_##name] = MR_TYPE_##type,
#include "core/event/fields.def"
#undef MR_FIELD
};

bool mr_mapping_kind(const char *name, uint32_t *kind)
{
    if (strcmp(name, "skip") == 0)
        *kind = MR_KIND_SKIP;
    else if (strcmp(name, "reject") == 0)
        *kind = MR_KIND_REJECT;
    else
        *kind = (uint32_t)mr_event_kind_of(mr_bytes_text(name));
    // A catalogue is read by item and kept whole: it is never one of several kinds in a topic.
    return strcmp(name, "skip") == 0 ||
           (*kind != MR_EVENT_KIND_COUNT && *kind != MR_EVENT_CATALOGUE);
}

const char *mr_mapping_in_each(const mr_mapping *mapping, const char *path)
{
    const mr_mapping_entry *each = mr_mapping_role_of(mapping, MR_ROLE_EACH);
    if (each == NULL)
        return NULL;
    const size_t size = strlen(each->path);
    if (strncmp(path, each->path, size) != 0)
        return NULL;
    if (size == 0 || path[size] == '\0')
        return path + size;
    return path[size] == '.' ? path + size + 1 : NULL;
}

static mr_status check_kinds(const mr_mapping_entry *entry, mr_error *err)
{
    const char *at = entry->values, *to = NULL;
    for (uint32_t i = 0; i < entry->value_count; i++) {
        const char *const from = mr_mapping_pair(entry, &at, &to);
        uint32_t kind;
        if (!mr_mapping_kind(to, &kind))
            return mr_fail(err, MR_FATAL,
                           "mapping: kind: '%.64s=%.32s': want click, cart, purchase, impression, "
                           "rating, search, control, skip or reject",
                           from, to);
    }
    return MR_OK;
}

static mr_status check_field(const mr_mapping *mapping, const mr_mapping_entry *entry,
                             mr_error *err)
{
    const char *const name = mr_field_name(entry->field);
    if (entry->value_count > 0 && types[entry->field] != text)
        return mr_fail(err, MR_FATAL, "mapping: '%s' is no text: it has no value map", name);
    if (entry->from != MR_FROM_RECORD && types[entry->field] == array)
        return mr_fail(err, MR_FATAL, "mapping: '%s' comes from the record only", name);
    if (mr_mapping_role_of(mapping, MR_ROLE_EACH) == NULL)
        return MR_OK;
    if (entry->field == MR_FIELD_lines || entry->field == MR_FIELD_vector)
        return mr_fail(err, MR_FATAL, "mapping: with 'each' an event has its item, and no '%s'",
                       name);
    if (entry->field == MR_FIELD_user && entry->from == MR_FROM_RECORD && entry->path != NULL &&
        mr_mapping_in_each(mapping, entry->path) != NULL)
        return mr_fail(
            err, MR_FATAL,
            "mapping: with 'each' the user is that of the record, which is kept where its "
            "user is");
    return MR_OK;
}

mr_status mr_mapping_check(const mr_mapping *mapping, mr_error *err)
{
    const mr_mapping_entry *kind = mr_mapping_role_of(mapping, MR_ROLE_KIND);
    uint32_t selectors = 0;
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        selectors += entry->role == MR_ROLE_KIND || entry->role == MR_ROLE_WHERE;
        if (entry->role == MR_ROLE_KIND)
            MR_TRY(check_kinds(entry, err));
        if (entry->role == MR_ROLE_FIELD)
            MR_TRY(check_field(mapping, entry, err));
    }
    if (selectors > MR_SELECTORS_MAX)
        return mr_fail(err, MR_FATAL, "mapping: %u entries of 'kind' and 'where', at most %d",
                       selectors, MR_SELECTORS_MAX);
    if (kind != NULL && mapping->kind != MR_EVENT_KIND_COUNT)
        return mr_fail(err, MR_FATAL,
                       "mapping: 'kind' says what a record is where the topic's own "
                       "kind is 'mapped', and that is '%s'",
                       mr_event_kind_name(mapping->kind));
    if (kind == NULL && mapping->kind == MR_EVENT_KIND_COUNT)
        return mr_fail(err, MR_FATAL, "mapping: the topic's kind is 'mapped': want 'kind'");
    return MR_OK;
}
