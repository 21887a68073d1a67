// SPDX-License-Identifier: Apache-2.0
// slate: a list while it is drawn, place by place.
//
// Before each draw the rules clear who may not stand at this place, given the items above; the
// policy then draws among the rest and says with which probability. So q stays exact whatever rules
// are on.
#ifndef MR_CORE_LIST_SLATE_H
#define MR_CORE_LIST_SLATE_H

#include "core/base/sort.h"
#include "core/list/candidates.h"

typedef struct mr_slate {
    const mr_view *view;
    const mr_union *candidates;
    const float *relevance;                    // by candidate
    const float *mean, *deviation;             // by candidate; NULL: no model gives them
    bool explore;                              // the user is in the exploration slice
    uint64_t free_bits[MR_UNION_MAX / 64 + 1]; // candidates that are not in the list yet
    uint64_t bits[MR_UNION_MAX / 64 + 1];      // those that may stand at this place
    uint32_t picked[MR_LIST_MAX];
    double q[MR_LIST_MAX];
    uint32_t picked_count;
    double weights[MR_UNION_MAX]; // scratch of the policy
    uint64_t order[MR_UNION_MAX]; // and more of it
    uint32_t next, sorted;
} mr_slate;

static inline bool mr_slate_may(const mr_slate *slate, uint32_t candidate)
{
    return (slate->bits[candidate / 64] >> (candidate % 64) & 1) != 0;
}

static inline bool mr_slate_free(const mr_slate *slate, uint32_t candidate)
{
    return (slate->free_bits[candidate / 64] >> (candidate % 64) & 1) != 0;
}

// Draws up to k places with the policy under the rules.
void mr_slate_draw(mr_slate *slate, const mr_instance *policy, const mr_instance *rules,
                   uint32_t rule_count, uint32_t k, mr_rng *rng);

#endif
