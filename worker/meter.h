// SPDX-License-Identifier: Apache-2.0
// meter: what the metrics topic says about a worker, gathered over a window.
//
// Latencies are counted in a log-linear histogram: 16 steps a power of two, so that a quantile is
// right within 6 %. Not safe for two threads.
#ifndef MR_WORKER_METER_H
#define MR_WORKER_METER_H

#include <stdint.h>

enum { MR_METER_BUCKETS = 16 * 40 };

typedef struct mr_histogram { // of milliseconds; negative ones count as 0
    uint64_t counts[MR_METER_BUCKETS], count;
} mr_histogram;

void mr_histogram_add(mr_histogram *histogram, int64_t ms);
// The value below which a share `q` of what was added lies (the upper end of its step); 0: nothing
// was.
double mr_histogram_quantile(const mr_histogram *histogram, double q);
void mr_histogram_reset(mr_histogram *histogram);

#endif
