// SPDX-License-Identifier: Apache-2.0
#include "schemas/builtin.h"

#include <string.h>

#include "schemas/builtin_data.h" // made from the .avsc files by embed.cmake

static const uint32_t builtin_count = sizeof builtins / sizeof *builtins;

const mr_builtin *mr_builtin_at(uint32_t index)
{
    return index < builtin_count ? builtins + index : NULL;
}

const mr_builtin *mr_builtin_find(const char *name)
{
    for (uint32_t i = 0; i < builtin_count; i++) {
        if (strcmp(builtins[i].name, name) == 0)
            return builtins + i;
    }
    return NULL;
}

const mr_builtin *mr_builtin_of_event(mr_event_kind kind)
{
    return mr_builtin_find(mr_event_kind_name(kind));
}
