// SPDX-License-Identifier: Apache-2.0
// measure: clocks, medians and made-up data of the benches.
#ifndef MR_WORKER_BENCH_MEASURE_H
#define MR_WORKER_BENCH_MEASURE_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { MR_RUNS_MAX = 64 };

typedef struct mr_runs { // pairs of times, side by side: a noisy neighbour slows both
    double ours[MR_RUNS_MAX], reference[MR_RUNS_MAX], ratio[MR_RUNS_MAX];
    uint32_t count;
} mr_runs;

static inline double mr_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// CPU time of the calling thread: what a neighbour takes of the core is not in it.
static inline double mr_thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// Notes one pair of times, in seconds.
static inline void mr_runs_add(mr_runs *runs, double ours, double reference)
{
    runs->ours[runs->count] = ours;
    runs->reference[runs->count] = reference;
    runs->ratio[runs->count++] = reference / ours;
}

static inline int mr_compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Sorts the values.
static inline double mr_median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, mr_compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// A cheap source of noise (SplitMix64) for data whose values do not matter.
static inline uint64_t mr_noise(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// About normal: the sum of four uniform numbers, made of one draw.
static inline float mr_noise_normal(uint64_t *state)
{
    const uint64_t x = mr_noise(state);
    const uint64_t sum = (x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48);
    return ((float)sum - 131070.0f) * 2.6e-5f;
}

#endif
