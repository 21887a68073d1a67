// SPDX-License-Identifier: Apache-2.0
// builtin: millrace's own schemas, as their .avsc files stand in this folder, and the mapping files
// of mappings/, inside the binary.
#ifndef MR_SCHEMAS_BUILTIN_H
#define MR_SCHEMAS_BUILTIN_H

#include <stdint.h>

#include "core/event/event.h"

typedef struct mr_builtin {
    const char *name; // "click": the file's name without .avsc or .yaml
    const char *text; // JSON or YAML, ends in a NUL that `size` does not count
    uint32_t size;
} mr_builtin;

// In the order of their names; NULL at and beyond the end.
const mr_builtin *mr_builtin_at(uint32_t index);
// The schema of that name; NULL: there is none.
const mr_builtin *mr_builtin_find(const char *name);
// The schema that an input event of this kind has by default.
const mr_builtin *mr_builtin_of_event(mr_event_kind kind);

// The same two for the mapping files: how the rows of a public log are events.
const mr_builtin *mr_builtin_mapping_at(uint32_t index);
const mr_builtin *mr_builtin_mapping(const char *name);

#endif
