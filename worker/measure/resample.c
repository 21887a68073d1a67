// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/resample.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"

// The number of thresholds of the distribution that a uniform draw passes.
uint32_t mr_resample_times(mr_rng *rng)
{
    static const uint32_t thresholds[] = {1580030169u, 3160060337u, 3950075422u, 4213413783u,
                                          4279248374u, 4292415292u, 4294609778u, 4294923276u,
                                          4294962463u, 4294966817u, 4294967253u, 4294967292u};
    const uint32_t u = mr_rng_u32(rng);
    uint32_t count = 0;
    while (count < sizeof thresholds / sizeof *thresholds && u >= thresholds[count])
        count++;
    return count;
}

// Numbers that ascend as doubles do. No NaN.
static uint64_t to_key(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 != 0 ? ~bits : bits | 1ull << 63;
}

static double from_key(uint64_t key)
{
    const uint64_t bits = key >> 63 != 0 ? key ^ 1ull << 63 : ~key;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double percentile(const mr_sorted *sorted, uint32_t count, double p)
{
    const double at = p * (count - 1);
    const uint32_t low = (uint32_t)at, high = low + 1 < count ? low + 1 : low;
    const double a = from_key(sorted[low].key), b = from_key(sorted[high].key);
    return a + (at - low) * (b - a);
}

void mr_resample_note(mr_sorted *values, uint32_t resample, double value)
{
    values[resample] = (mr_sorted){to_key(value), resample, 0};
}

mr_interval mr_resample_interval(mr_sorted *values, uint32_t count, double level)
{
    // Where a resample has no support the others would tell too good a story.
    for (uint32_t b = 0; b < count; b++)
        if (!isfinite(from_key(values[b].key)))
            return (mr_interval){NAN, NAN};
    if (count == 0)
        return (mr_interval){NAN, NAN};
    mr_sort(values, count);
    const double tail = (1.0 - level) / 2.0;
    return (mr_interval){percentile(values, count, tail), percentile(values, count, 1.0 - tail)};
}

void mr_draw_cluster(mr_draw *draw, uint64_t seed, uint64_t cluster, uint32_t resamples)
{
    MR_ASSERT(resamples <= MR_RESAMPLES_MAX);
    mr_rng rng = mr_rng_make(seed, 0, 0, cluster, MR_PURPOSE_BOOTSTRAP);
    draw->resamples = resamples;
    for (uint32_t b = 0; b < resamples; b++)
        draw->times[b] = (uint8_t)mr_resample_times(&rng);
}

static void add_row(double *row, double x, const mr_draw *draw)
{
    row[0] += x;
    for (uint32_t b = 0; b < draw->resamples; b++)
        row[1 + b] += (double)draw->times[b] * x;
}

void mr_tally_add(const mr_tally *tally, const double *x, const mr_draw *draw)
{
    const size_t columns = 1 + (size_t)tally->resamples;
    MR_ASSERT(draw->resamples == tally->resamples);
    add_row(tally->sums, 1.0, draw);
    for (uint32_t t = 0; t < tally->terms; t++)
        if (x[t] != 0.0)
            add_row(tally->sums + (1 + t) * columns, x[t], draw);
}

double mr_tally_count(const mr_tally *tally)
{
    return tally->sums[0];
}

static double mean_of(const mr_tally *tally, uint32_t term, uint32_t column)
{
    const double count = tally->sums[column];
    const double sum = tally->sums[(1 + (size_t)term) * (1 + (size_t)tally->resamples) + column];
    return count > 0.0 ? sum / count : (double)NAN;
}

double mr_tally_mean(const mr_tally *tally, uint32_t term)
{
    return mean_of(tally, term, 0);
}

mr_interval mr_tally_interval(const mr_tally *tally, uint32_t term, double level,
                              mr_sorted *scratch)
{
    for (uint32_t b = 0; b < tally->resamples; b++)
        mr_resample_note(scratch, b, mean_of(tally, term, 1 + b));
    return mr_resample_interval(scratch, tally->resamples, level);
}

mr_interval mr_tally_difference(const mr_tally *from, const mr_tally *to, uint32_t term,
                                double level, mr_sorted *scratch, double *value)
{
    MR_ASSERT(from->resamples == to->resamples && from->terms == to->terms);
    *value = mean_of(to, term, 0) - mean_of(from, term, 0);
    for (uint32_t b = 0; b < to->resamples; b++)
        mr_resample_note(scratch, b, mean_of(to, term, 1 + b) - mean_of(from, term, 1 + b));
    return mr_resample_interval(scratch, to->resamples, level);
}
