// SPDX-License-Identifier: Apache-2.0
// level_counts: how often acts go on from click to cart to purchase at all, as faded counts, and
// what that says of an act before anything is known of its pair.
#ifndef MR_CORE_MODEL_LEVEL_COUNTS_H
#define MR_CORE_MODEL_LEVEL_COUNTS_H

#include "core/event/event.h"
#include "core/model/decay.h"
#include "core/model/loss.h"

typedef struct mr_level_counts { // how many acts were of a level and above; zeros: none
    mr_decayed acts[MR_LEVELS];
} mr_level_counts;

// The level of an act, 1 .. MR_LEVELS.
uint32_t mr_level_of(mr_event_kind act);
void mr_level_counts_add(mr_level_counts *into, const mr_level_counts *from);
// One act of that level.
void mr_level_counts_act(mr_level_counts *counts, int64_t time_ms, uint32_t level);
// Level 1 is as likely as not, since an act weighs as much as all its negatives together; how
// likely the next levels are is what was seen of them: given the level before, or (nested) at all.
mr_levels mr_level_counts_prior(const mr_level_counts *counts, int64_t clock_ms, double slope,
                                bool nested);

#endif
