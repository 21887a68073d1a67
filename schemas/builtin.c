// SPDX-License-Identifier: Apache-2.0
#include "schemas/builtin.h"

#include <string.h>

#include "schemas/builtin_data.h" // made from the .avsc files by embed.cmake
#include "schemas/mapping_data.h" // made from mappings/*.yaml by embed.cmake

enum {
    BUILTINS = sizeof builtins / sizeof *builtins,
    MAPPINGS = sizeof mappings / sizeof *mappings,
};

static const mr_builtin *find(const mr_builtin *table, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return table + i;
    }
    return NULL;
}

const mr_builtin *mr_builtin_at(uint32_t index)
{
    return index < BUILTINS ? builtins + index : NULL;
}

const mr_builtin *mr_builtin_find(const char *name)
{
    return find(builtins, BUILTINS, name);
}

const mr_builtin *mr_builtin_of_event(mr_event_kind kind)
{
    return mr_builtin_find(mr_event_kind_name(kind));
}

const mr_builtin *mr_builtin_mapping_at(uint32_t index)
{
    return index < MAPPINGS ? mappings + index : NULL;
}

const mr_builtin *mr_builtin_mapping(const char *name)
{
    return find(mappings, MAPPINGS, name);
}
