// SPDX-License-Identifier: Apache-2.0
// cost: what each method takes of the machine's time, by a watch that the caller lends.
//
// The engine has no clock. Where it is lent one, it looks at it around each call of a method's
// hooks; nothing that is learned or listed depends on what it says.
#ifndef MR_CORE_MODEL_COST_H
#define MR_CORE_MODEL_COST_H

#include <stddef.h>
#include <stdint.h>

typedef struct mr_watch {
    void *context;
    uint64_t (*now_ns)(void *context); // never falls; any lane may ask. NULL: nothing is timed
} mr_watch;

typedef struct mr_cost { // of one method
    uint64_t learn_ns;   // observe, apply, changed
    uint64_t rank_ns;    // candidates, score
} mr_cost;

enum { MR_COSTS_MAX = 32 };

typedef struct mr_costs { // of all, by instance; one lane's alone
    const mr_watch *watch;
    uint64_t rankings; // of all candidates of one user
    mr_cost of[MR_COSTS_MAX];
} mr_costs;

// costs NULL: nothing is timed, and it is always 0.
static inline uint64_t mr_costs_now(const mr_costs *costs)
{
    return costs == NULL ? 0 : costs->watch->now_ns(costs->watch->context);
}

#endif
