// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/fairness.h"

#include <math.h>

#include "worker/measure/exposure.h"
#include "worker/measure/relevance.h"

typedef struct frame { // what m lists of k out of n items can do
    double n, m, k, places;
    double floor, mod; // how often each item can be shown, and how many of them once more
} frame;

// NAN for 0/0 and for rounding that is all that is left of a scale without length.
static double scaled(double x, double worst, double best)
{
    const double length = best - worst;
    return fabs(length) > 1e-12 ? (x - worst) / length : (double)NAN;
}

static double term(double p, double n) // of an entropy to the base n
{
    return p > 0 ? -p * log(p) / log(n) : 0;
}

static double jain_best(const frame *f)
{
    return f->places * f->places /
           (f->n * (f->n * f->floor * f->floor + f->mod * (2 * f->floor + 1)));
}

static double entropy_best(const frame *f)
{
    if (f->places < f->n)
        return log(f->places) / log(f->n);
    return (f->n - f->mod) * term(f->floor / f->places, f->n) +
           f->mod * term((f->floor + 1) / f->places, f->n);
}

mr_fairness mr_fairness_of(const double *counts, uint32_t n, double lists, mr_sorted *scratch)
{
    double sum = 0, squares = 0, shown = 0, entropy = 0, satisfied = 0;
    const mr_fairness_set none = {NAN, NAN, NAN, NAN, NAN};
    for (uint32_t i = 0; i < n; i++) {
        sum += counts[i];
        squares += counts[i] * counts[i];
        shown += counts[i] > 0;
    }
    if (!(sum > 0) || !(lists > 0) || n < 2)
        return (mr_fairness){none, none};
    const double whole = floor(sum / n);
    const frame f = {n, lists, sum / lists, sum, whole, sum - whole * n};
    for (uint32_t i = 0; i < n; i++) {
        entropy += term(counts[i] / sum, n);
        satisfied += counts[i] >= whole;
    }
    const mr_fairness_set plain = {
        .jain = sum * sum / (n * squares),
        .qf = shown / n,
        .entropy = entropy,
        .gini = mr_spread_of(counts, n, scratch).gini,
        .fsat = whole > 0 ? satisfied / n : (double)NAN,
    };
    const double reachable = f.places < f.n ? f.places : f.n, same = f.k / f.n;
    if (f.k >= f.n)
        return (mr_fairness){plain, none};
    return (mr_fairness){
        plain,
        {
            .jain = scaled(plain.jain, same, jain_best(&f)),
            .qf = scaled(plain.qf, same, reachable / f.n),
            .entropy = scaled(entropy, log(f.k) / log(f.n), entropy_best(&f)),
            .gini = 1 - scaled(plain.gini, 1 - same, (f.n - f.mod) * f.mod / (f.n * f.places)),
            .fsat = scaled(plain.fsat, same, 1),
        },
    };
}

// Sum of (2j - n - 1) over `count` places of an ascending order that end at place `last`.
static double gini_weight(double n, double last, double count)
{
    return count * (2 * last - count + 1 - n - 1);
}

// Gini where `each` items have the exposure `times` / log2(r + 1) for every rank r <= k, and the
// others none.
static double gini_of_ranks(double n, uint32_t k, double each, double times)
{
    double sum = 0, weighted = 0, last = n;
    for (uint32_t r = 1; r <= k; r++, last -= each) {
        const double d = times * mr_rank_discount(r);
        sum += each * d;
        weighted += gini_weight(n, last, each) * d;
    }
    return weighted / (n * sum);
}

double mr_fairness_weighted_gini(const double *exposure, uint32_t n, double m, uint32_t k,
                                 mr_sorted *scratch)
{
    const double gini = mr_spread_of(exposure, n, scratch).gini;
    if (isnan(gini) || k == 0 || k >= n || !(m > 0))
        return NAN;
    const double best = m * k > n ? 0 : gini_of_ranks(n, k, m, 1);
    return scaled(gini, best, gini_of_ranks(n, k, 1, m));
}
