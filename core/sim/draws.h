// SPDX-License-Identifier: Apache-2.0
// draws: what the simulated world draws from: tails of popularity and engagement, mixtures, shares.
//
// Laws are inverse transforms, so one uniform number gives one value, and a law that is cut at M is
// drawn as exactly as one that is drawn again until it is at most M. Pure; no tables but alias.
// Sources: Clauset, Shalizi and Newman, "Power-Law Distributions in Empirical Data", appendix D
// (the transforms); Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables"; Walker,
// "An Efficient Method for Generating Discrete Random Variables with General Distributions", with
// Vose's way of building the table.
#ifndef MR_CORE_SIM_DRAWS_H
#define MR_CORE_SIM_DRAWS_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/rng.h"

enum { MR_DRAWS_SHARES_MAX = 64 }; // parts of a mixture

double mr_draw_power(double x, double y); // x^y, x > 0
// Exponential of mean 1.
double mr_draw_exponential(mr_rng *rng);
// The logarithm of a Gamma(shape, 1) variate: with a small shape the variate itself underflows.
double mr_draw_log_gamma(mr_rng *rng, double shape);
// x ~ Dirichlet(shapes), n <= MR_DRAWS_SHARES_MAX. However small the shapes are, x sums to 1.
void mr_draw_dirichlet(mr_rng *rng, const double *shapes, uint32_t n, float *x);
void mr_draw_dirichlet_even(mr_rng *rng, double shape, uint32_t n, float *x);
// The index of one of n shares that sum to about 1.
uint32_t mr_draw_share(mr_rng *rng, const float *shares, uint32_t n);

// ---- laws

typedef enum mr_law_kind {
    MR_LAW_ZIPF,        // s: the r-th of them has M / r^s; nothing is drawn
    MR_LAW_POWER,       // a, xmin: density ~ x^-a from xmin on, a > 1
    MR_LAW_CUTOFF,      // a, lambda: density ~ x^-a exp(-lambda x) from 1 on
    MR_LAW_STRETCHED,   // lambda, beta: survival exp(lambda^beta - (lambda x)^beta) from 1 on
    MR_LAW_LOGNORMAL,   // mu, sigma of log x
    MR_LAW_EXPONENTIAL, // lambda: survival exp(-lambda (x - 1)) from 1 on
    MR_LAW_COUNT,
} mr_law_kind;

typedef struct mr_law {
    mr_law_kind kind;
    double a, b; // in the order above
} mr_law;

// "power:1.5", "power:1.5:2", "cutoff:1.5:0.01", "stretched:0.025:0.691", "lognormal:4.61:1.2",
// "exponential:0.1", "zipf:1". Errors: MR_FATAL: says what would be right.
MR_CHECKED mr_status mr_law_parse(const char *text, mr_law *law, mr_error *err);

// The u-quantile, 0 < u < 1, of the law cut at max (0: not cut). Power, stretched and exponential.
double mr_law_quantile(const mr_law *law, double u, double max);
// A value of at most max > 1, of the law cut there. rank, from 0, is what Zipf's looks at.
double mr_law_draw(const mr_law *law, mr_rng *rng, uint32_t rank, double max);

// ---- shares of many

typedef struct mr_alias { // index i is kept with probability keep[i], otherwise other[i] is taken
    uint32_t count;
    float *keep;
    uint32_t *other;
} mr_alias;

size_t mr_alias_bytes(uint32_t count);
// Takes its tables from the arena. weights: count numbers >= 0, destroyed (none above 0: all are
// alike); scratch: count numbers. O(count).
void mr_alias_init(mr_alias *alias, uint32_t count, double *weights, uint32_t *scratch,
                   mr_arena *arena);

static inline uint32_t mr_alias_draw(const mr_alias *alias, mr_rng *rng)
{
    const uint32_t i = mr_rng_below(rng, alias->count);
    return mr_rng_float(rng) < alias->keep[i] ? i : alias->other[i];
}

#endif
