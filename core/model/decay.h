// SPDX-License-Identifier: Apache-2.0
// decay: counts that fade, and still are integers that add up in any order.
//
// Time is cut into eras of 16 half-lives. An event at time t of era e adds 2^((t - start of e)/H),
// in units of 2^-16 rounded to an integer; a counter keeps the sum of its newest era and of the one
// before. Nothing is rescaled, so late events, other workers' deltas and any grouping give the same
// bytes. Older than the two eras (16 half-lives and more): 2^-16 of its weight at most, dropped.
// Source: forward decay (Cormode et al., "Forward Decay: A Practical Time Decay Model for Streaming
// Systems"); the two integer eras are ours.
#ifndef MR_CORE_MODEL_DECAY_H
#define MR_CORE_MODEL_DECAY_H

#include <stdint.h>

#define MR_DECAY_UNIT 65536.0

typedef struct mr_decayed {
    int64_t newest, before; // sums of era and era - 1
    int64_t era;
} mr_decayed;

// The era of a time, and the weight of an event then, in units of its era. half_life_ms > 0;
// weights up to 1,000. A half-life of MR_DECAY_NEVER is one era for ever.
#define MR_DECAY_NEVER INT64_MAX
int64_t mr_decay_era(int64_t time_ms, int64_t half_life_ms);
int64_t mr_decay_units(int64_t time_ms, int64_t half_life_ms, double weight);

// The same for many events of one time.
typedef struct mr_decay_weight {
    int64_t era;
    double growth; // of one event of weight 1, in units of its era
} mr_decay_weight;

mr_decay_weight mr_decay_weight_of(int64_t time_ms, int64_t half_life_ms);
static inline int64_t mr_decay_units_of(mr_decay_weight now, double weight)
{
    return (int64_t)(weight * now.growth * MR_DECAY_UNIT + 0.5);
}

// Adds sums that belong to `era` (and the one before it).
void mr_decayed_add(mr_decayed *count, mr_decayed delta);
// The value in units of the counter's own era: comparable between counters of one era only.
static inline double mr_decayed_raw(const mr_decayed *count)
{
    return (double)count->newest + (double)count->before * 0x1p-16;
}
// The value in units of `era` (>= the counter's).
double mr_decayed_in(const mr_decayed *count, int64_t era);
// A time to read counters of one half-life at: what one event at that time would weigh is 1.
typedef struct mr_decay_time {
    int64_t era;
    double inverse;
} mr_decay_time;

mr_decay_time mr_decay_time_of(int64_t time_ms, int64_t half_life_ms);

static inline double mr_decayed_at(const mr_decayed *count, mr_decay_time time)
{
    const double units = time.era <= count->era       ? mr_decayed_raw(count)
                         : time.era == count->era + 1 ? mr_decayed_raw(count) * 0x1p-16
                                                      : 0.0;
    return units * time.inverse;
}

#endif
