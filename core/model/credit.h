// SPDX-License-Identifier: Apache-2.0
// credit: which touches a purchase speaks for, what is known of purchases that are still to come,
// and how alike two categories are. Pure functions; what they are kept in is the caller's.
//
// A touch is a click, or an item that was shown. Credit is counted in whole units of 2^-16, so that
// the shares of a purchase add up to one exactly and can be taken back to the last unit.
#ifndef MR_CORE_MODEL_CREDIT_H
#define MR_CORE_MODEL_CREDIT_H

#include <stdint.h>

enum {
    MR_CREDIT_ONE = 65536,  // units of a whole purchase
    MR_CREDIT_TOUCHES = 32, // that share one purchase at most
};

// In order of their words in the configuration.
#define MR_CREDIT_WORDS "last | first | linear | decay | ends"
typedef enum mr_credit_rule {
    MR_CREDIT_LAST,
    MR_CREDIT_FIRST,
    MR_CREDIT_LINEAR,
    MR_CREDIT_DECAY, // 2^(-age / half-life), normalised
    MR_CREDIT_ENDS,  // .4 for the first and the last, .2 for those between; of two a half each
} mr_credit_rule;

// Divides one purchase among `count` touches, oldest first, 1 .. MR_CREDIT_TOUCHES of them. ages_s:
// seconds from each to the purchase, >= 0; half_life_s > 0. units: out, adding up to MR_CREDIT_ONE;
// what rounding leaves is the last touch's.
void mr_credit_split(mr_credit_rule rule, const double *ages_s, uint32_t count, double half_life_s,
                     uint32_t *units);

// Divides `total` units in proportion to weights >= 0, of which one is above 0. What rounding
// leaves is that of the last touch with a weight.
void mr_credit_share(const double *weights, uint32_t count, uint32_t total, uint32_t *units);

// ---- purchases that are still to come
//
// Of clicks with ages e_j, of which `conversions` have led to a purchase so far, those that would
// have led to one by now count, N_eff = sum of F(e_j) with F(e) = 1 - exp(-e / delay):
//     rate = (conversions + weight prior) / (N_eff + weight),   N_eff = N - P, at least N / 10,
// P = sum of exp(-e_j / delay), a sum that fades by itself: no click has to be kept.
// Unbiased where delays do not depend on what is counted.
double mr_credit_rate(double clicks, double pending, double conversions, double prior,
                      double weight);
// The half-life with which a click of P fades, where those of N fade with `half_life_ms`
// (MR_DECAY_NEVER: not at all) and purchases come after delay_ms on average.
int64_t mr_credit_pending_half_life(int64_t half_life_ms, double delay_ms);

// ---- categories
//
// How alike two categories are by how often users act in both: n of all n_a and n_b of either,
//     n / sqrt(n_a n_b) * n / (n + doubt)
// where doubt says how many pairs it takes to be half believed.
double mr_credit_alike(double n, double n_a, double n_b, double doubt);

#endif
