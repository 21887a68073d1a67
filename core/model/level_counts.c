// SPDX-License-Identifier: Apache-2.0
#include "core/model/level_counts.h"

#include "core/base/vec.h"

static const int64_t half_life_ms = 7ll * 86400000;

uint32_t mr_level_of(mr_event_kind act)
{
    return act == MR_EVENT_PURCHASE ? 3 : act == MR_EVENT_CART ? 2 : 1;
}

void mr_level_counts_add(mr_level_counts *into, const mr_level_counts *from)
{
    for (uint32_t l = 0; l < MR_LEVELS; l++)
        mr_decayed_add(&into->acts[l], from->acts[l]);
}

void mr_level_counts_act(mr_level_counts *counts, int64_t time_ms, uint32_t level)
{
    const mr_decayed one = {.newest = mr_decay_units(time_ms, half_life_ms, 1.0),
                            .era = mr_decay_era(time_ms, half_life_ms)};
    for (uint32_t c = 0; c < level; c++)
        mr_decayed_add(&counts->acts[c], one);
}

mr_levels mr_level_counts_prior(const mr_level_counts *counts, int64_t clock_ms, double slope,
                                bool nested)
{
    const mr_decay_time now = mr_decay_time_of(clock_ms, half_life_ms);
    mr_levels prior = {.slope = slope};
    double above = mr_decayed_at(&counts->acts[0], now), p = 0.5;
    for (uint32_t c = 1; c < MR_LEVELS; c++) {
        const double here = mr_decayed_at(&counts->acts[c], now);
        const double share = (here + 0.5) / (above + 1.0);
        p *= share;
        const double likely = nested ? p : share;
        prior.log_odds[c] = mr_log(likely / (1.0 - likely));
        above = here;
    }
    return prior;
}
