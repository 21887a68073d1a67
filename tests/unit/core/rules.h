// SPDX-License-Identifier: Apache-2.0
// rules: those of the table, by name.
#ifndef MR_TESTS_UNIT_CORE_RULES_H
#define MR_TESTS_UNIT_CORE_RULES_H

#include <string.h>

#include "core/model/model.h"

// One that is there.
static inline const mr_rule *rule_called(const char *name)
{
    uint32_t r = 0;
    while (strcmp(mr_rules[r]->state.name, name) != 0)
        r++;
    return mr_rules[r];
}

#endif
