// SPDX-License-Identifier: Apache-2.0
#include "core/model/decay.h"

#include "core/base/vec.h"

int64_t mr_decay_era(int64_t time_ms, int64_t half_life_ms)
{
    return half_life_ms == MR_DECAY_NEVER ? 0 : time_ms / (16 * half_life_ms);
}

static double growth(int64_t time_ms, int64_t half_life_ms)
{
    if (half_life_ms == MR_DECAY_NEVER)
        return 1.0;
    const int64_t start = mr_decay_era(time_ms, half_life_ms) * 16 * half_life_ms;
    return mr_exp2((double)(time_ms - start) / (double)half_life_ms);
}

int64_t mr_decay_units(int64_t time_ms, int64_t half_life_ms, double weight)
{
    return mr_decay_units_of(mr_decay_weight_of(time_ms, half_life_ms), weight);
}

mr_decay_weight mr_decay_weight_of(int64_t time_ms, int64_t half_life_ms)
{
    return (mr_decay_weight){mr_decay_era(time_ms, half_life_ms), growth(time_ms, half_life_ms)};
}

void mr_decayed_add(mr_decayed *count, mr_decayed delta)
{
    if (delta.era > count->era + 1) {
        *count = delta;
    } else if (delta.era == count->era + 1) {
        *count = (mr_decayed){delta.newest, delta.before + count->newest, delta.era};
    } else if (delta.era == count->era) {
        count->newest += delta.newest;
        count->before += delta.before;
    } else if (delta.era + 1 == count->era) {
        count->before += delta.newest;
    }
}

double mr_decayed_in(const mr_decayed *count, int64_t era)
{
    if (era == count->era)
        return mr_decayed_raw(count);
    return era == count->era + 1 ? mr_decayed_raw(count) * 0x1p-16 : 0.0;
}

mr_decay_time mr_decay_time_of(int64_t time_ms, int64_t half_life_ms)
{
    return (mr_decay_time){mr_decay_era(time_ms, half_life_ms),
                           1.0 / (growth(time_ms, half_life_ms) * MR_DECAY_UNIT)};
}
