// SPDX-License-Identifier: Apache-2.0
// mapped: the mapping of an input as the configuration has it, read into the form that plans are
// compiled from.
#ifndef MR_WORKER_MAPPED_H
#define MR_WORKER_MAPPED_H

#include "schemas/mapping.h"
#include "worker/config.h"

enum { MR_MAPPED_TEXT_MAX = 1024 }; // bytes of one source, as mr_mapping_source reads it

typedef struct mr_mapped {
    mr_mapping mapping; // borrows the rest
    mr_mapping_entry entries[MR_MAPPING_ENTRIES_MAX];
    char texts[MR_MAPPING_ENTRIES_MAX][MR_MAPPED_TEXT_MAX];
} mr_mapped;

// Reads input->mapping; `given` is left at 0. Errors: MR_FATAL with the place in the configuration.
MR_CHECKED mr_status mr_mapped_read(const mr_config_input *input, mr_mapped *mapped, mr_error *err);

// The same for the input that is called `name`, as an option --as says it. Errors: MR_FATAL: there
// is no topics.NAME.
MR_CHECKED mr_status mr_mapped_named(const mr_config *config, const char *name, mr_mapped *mapped,
                                     mr_error *err);

#endif
