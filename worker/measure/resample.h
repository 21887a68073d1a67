// SPDX-License-Identifier: Apache-2.0
// resample: means of several measures, with intervals by a Poisson bootstrap over clusters.
//
// Each cluster (a user, as a rule) counts Poisson(1) times in each resample, drawn by (seed,
// cluster): so the resamples are additive over parts of a log, the same in any order, and need no
// memory of the clusters. A tally is a matrix of plain sums, (1 + terms) x (1 + resamples): row 0
// counts observations, row 1 + t sums term t; column 0 is the log itself, column 1 + b resample b.
// Two tallies that were begun alike add and subtract number by number.
// Source: Chamandy et al., "Estimating Uncertainty for Massive Data Streams".
#ifndef MR_WORKER_MEASURE_RESAMPLE_H
#define MR_WORKER_MEASURE_RESAMPLE_H

#include <stddef.h>

#include "core/base/rng.h"
#include "core/base/sort.h"

typedef struct mr_interval { // NAN, NAN: none
    double low, high;
} mr_interval;

// A count of Poisson(1).
uint32_t mr_resample_times(mr_rng *rng);

// Percentiles of the values of resamples, between the two next to them; level: 0.95. values: count
// entries that mr_resample_note has filled, put in order here. A value that is not finite has no
// place in an order: there is no interval then, nor where count is 0.
void mr_resample_note(mr_sorted *values, uint32_t resample, double value);
mr_interval mr_resample_interval(mr_sorted *values, uint32_t count, double level);

enum { MR_RESAMPLES_MAX = 1000 };

typedef struct mr_draw { // how often a cluster counts
    uint32_t resamples;
    uint8_t times[MR_RESAMPLES_MAX];
} mr_draw;

// O(resamples). resamples <= MR_RESAMPLES_MAX (asserted).
void mr_draw_cluster(mr_draw *draw, uint64_t seed, uint64_t cluster, uint32_t resamples);

typedef struct mr_tally {
    uint32_t terms, resamples;
    double *sums; // borrowed: mr_tally_size numbers, zeros at first
} mr_tally;

static inline size_t mr_tally_size(uint32_t terms, uint32_t resamples)
{
    return (1 + (size_t)terms) * (1 + (size_t)resamples);
}

// Adds an observation: x has `terms` numbers. O(resamples) for the count and each term that is not
// 0.
void mr_tally_add(const mr_tally *tally, const double *x, const mr_draw *draw);
double mr_tally_count(const mr_tally *tally);
// Mean of a term over the observations; NAN without any.
double mr_tally_mean(const mr_tally *tally, uint32_t term);
// scratch: `resamples` entries.
mr_interval mr_tally_interval(const mr_tally *tally, uint32_t term, double level,
                              mr_sorted *scratch);

// What a term's mean of `to` is above that of `from`: two tallies over the same clusters, drawn by
// the same seed, so that what both have in common is not noise. *value: NAN where one is empty.
mr_interval mr_tally_difference(const mr_tally *from, const mr_tally *to, uint32_t term,
                                double level, mr_sorted *scratch, double *value);

#endif
