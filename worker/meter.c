// SPDX-License-Identifier: Apache-2.0
#include "worker/meter.h"

#include <string.h>

enum { STEPS = 16 };

// 0..15 have a bucket each; above, the four bits below the highest one choose the step.
static uint32_t bucket_of(int64_t ms)
{
    const uint64_t value = ms > 0 ? (uint64_t)ms : 0;
    if (value < STEPS)
        return (uint32_t)value;
    const uint32_t high = 63 - (uint32_t)__builtin_clzll(value);
    const uint32_t bucket = (high - 3) * STEPS + (uint32_t)(value >> (high - 4) & (STEPS - 1));
    return bucket < MR_METER_BUCKETS ? bucket : MR_METER_BUCKETS - 1;
}

static double upper_end(uint32_t bucket)
{
    if (bucket < STEPS)
        return bucket;
    const uint32_t high = bucket / STEPS + 3;
    const uint64_t low = (uint64_t)(STEPS + bucket % STEPS) << (high - 4);
    return (double)(low + (UINT64_C(1) << (high - 4)) - 1);
}

void mr_histogram_add(mr_histogram *histogram, int64_t ms)
{
    histogram->counts[bucket_of(ms)]++;
    histogram->count++;
}

double mr_histogram_quantile(const mr_histogram *histogram, double q)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < MR_METER_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && (double)seen >= q * (double)histogram->count)
            return upper_end(i);
    }
    return 0;
}

void mr_histogram_reset(mr_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}
