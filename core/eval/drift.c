// SPDX-License-Identifier: Apache-2.0
#include "core/eval/drift.h"

#include <stddef.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/vec.h"

// ---- Page-Hinkley

mr_page_hinkley_config mr_page_hinkley_defaults(void)
{
    return (mr_page_hinkley_config){.delta = 0.005, .lambda = 50, .alpha = 0.9999, .least = 30};
}

bool mr_page_hinkley_add(mr_page_hinkley *d, const mr_page_hinkley_config *config, double x)
{
    d->count += 1;
    d->mean += (x - d->mean) / d->count;
    const double left = x - d->mean;
    d->up = config->alpha * d->up + left - config->delta;
    d->down = config->alpha * d->down + left + config->delta;
    // Where the first number finds the extremes. River starts them at infinity and at -1: so low a
    // start of the second matters to nothing that moves less than lambda.
    if (d->count == 1 || d->up < d->up_least)
        d->up_least = d->up;
    if (d->count == 1 || d->down > d->down_most)
        d->down_most = d->down;
    const bool drift = d->count >= config->least && (d->up - d->up_least > config->lambda ||
                                                     d->down_most - d->down > config->lambda);
    if (drift)
        *d = (mr_page_hinkley){0};
    return drift;
}

// ---- ADWIN

mr_adwin_config mr_adwin_defaults(void)
{
    return (mr_adwin_config){.delta = 0.002, .clock = 32, .least = 5, .window = 10};
}

double mr_adwin_mean(const mr_adwin *d)
{
    return d->width > 0 ? d->sum / d->width : 0;
}

uint32_t mr_adwin_used(const mr_adwin *d)
{
    if (d->ticks == 0)
        return 0;
    return (uint32_t)(offsetof(mr_adwin, buckets) + d->levels * sizeof d->buckets[0]);
}

static double size_of(uint32_t level)
{
    return (double)(1ull << level);
}

// Squares of deviations of two parts together.
static double joined(double n0, double sum0, double squares0, double n1, double sum1,
                     double squares1)
{
    const double apart = sum0 / n0 - sum1 / n1;
    return squares0 + squares1 + n0 * n1 * apart * apart / (n0 + n1);
}

static void drop_oldest(mr_adwin *d)
{
    const uint32_t level = d->levels - 1;
    const mr_adwin_bucket oldest = d->buckets[level][0];
    const double n = size_of(level);
    d->counts[level]--;
    memmove(&d->buckets[level][0], &d->buckets[level][1],
            d->counts[level] * sizeof d->buckets[level][0]);
    d->buckets[level][d->counts[level]] = (mr_adwin_bucket){0, 0};
    d->width -= n;
    d->sum -= oldest.sum;
    if (d->width > 0) {
        const double apart = oldest.sum / n - d->sum / d->width;
        d->squares -= oldest.squares + n * d->width * apart * apart / (n + d->width);
    }
    d->squares = d->width > 0 && d->squares > 0 ? d->squares : 0;
    while (d->levels > 0 && d->counts[d->levels - 1] == 0)
        d->levels--;
}

// Joins the two oldest of each level that has one too many into one of the next.
static void compress(mr_adwin *d)
{
    for (uint32_t level = 0; level < d->levels && d->counts[level] > MR_ADWIN_BUCKETS; level++) {
        if (level + 1 == MR_ADWIN_LEVELS) {
            drop_oldest(d);
            return;
        }
        mr_adwin_bucket *from = d->buckets[level];
        const double n = size_of(level);
        d->levels = level + 2 > d->levels ? level + 2 : d->levels;
        d->buckets[level + 1][d->counts[level + 1]++] = (mr_adwin_bucket){
            from[0].sum + from[1].sum,
            joined(n, from[0].sum, from[0].squares, n, from[1].sum, from[1].squares)};
        d->counts[level] -= 2;
        memmove(from, from + 2, d->counts[level] * sizeof *from);
        memset(from + d->counts[level], 0, 2 * sizeof *from);
    }
}

static void insert(mr_adwin *d, double x)
{
    if (d->width > 0) {
        const double apart = x - d->sum / d->width;
        d->squares += d->width * apart * apart / (d->width + 1);
    }
    d->width += 1;
    d->sum += x;
    d->levels = d->levels == 0 ? 1 : d->levels;
    d->buckets[0][d->counts[0]++] = (mr_adwin_bucket){x, 0};
    compress(d);
}

// Whether what is older than some boundary of buckets differs from what is newer.
static bool has_cut(const mr_adwin *d, const mr_adwin_config *config)
{
    const double least = config->least;
    const double variance = d->squares / d->width;
    const double trust = mr_log(2 * mr_log(d->width) / config->delta);
    double n0 = 0, sum0 = 0;
    for (uint32_t level = d->levels; level-- > 0;)
        for (uint32_t b = 0; b < d->counts[level]; b++) {
            n0 += size_of(level);
            sum0 += d->buckets[level][b].sum;
            const double n1 = d->width - n0;
            if (n1 < least)
                return false;
            if (n0 < least)
                continue;
            const double m = 1 / (n0 - least + 1) + 1 / (n1 - least + 1);
            const double bound = __builtin_sqrt(2 * m * variance * trust) + 2.0 / 3 * trust * m;
            const double apart = sum0 / n0 - (d->sum - sum0) / n1;
            if (apart > bound || -apart > bound)
                return true;
        }
    return false;
}

bool mr_adwin_add(mr_adwin *d, const mr_adwin_config *config, double x)
{
    bool drift = false;
    insert(d, x);
    d->ticks++;
    if (d->ticks % config->clock != 0)
        return false;
    while (d->width > config->window && has_cut(d, config)) {
        drop_oldest(d);
        drift = true;
    }
    return drift;
}
