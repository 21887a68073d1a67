// SPDX-License-Identifier: Apache-2.0
// offpolicy: what a policy would have earned, from a log that another policy made.
//
// Every estimator here is a mean plus a ratio of means: V = E[a] + E[b] / E[c], with three terms a
// round. Their means and second moments are kept, and the sums of a bootstrap over clusters, so
// that memory does not grow with the log, and parts of a log that were read apart can be merged.
//
//   replay   b = match r          c = match      for a deterministic policy
//   ips      a = min(w, l) r
//   snips    b = w r              c = w
//   dm       a = q_e
//   dr       a = q_e + min(w, l) (r - q)
//   sndr     a = q_e, b = w (r - q), c = w
//   switch   a = q_e + [w <= l] w (r - q)
//   dros     a = q_e + l w / (w^2 + l) (r - q)
//   sg-ips   a = w' r             w' = w / (1 - l + l w)
//   sg-dr    a = q_e + w' (r - q)
//
// and for slates, whose rewards come position by position (slates.h):
//
//   sips     a = W_k sum of r_j                       W_j = product of w_1 .. w_j, W_0 = 1
//   sn-sips  b = W_k sum of r_j   c = W_k
//   rips     a = sum of W_j r_j
//   iips     a = sum of v_j r_j                       v_j = weight of the item at position j
//   cascade-dr  a = sum of W_j (r_j - Q_j) + W_{j-1} E_e[Q_j]
//
// w = pi_e(a|x) / p, q = q(x, a) and q_e = the sum over actions of pi_e(a|x) q(x, a). The policy
// must not have learned from the rounds that it is judged by. Sources: Saito et al., "Open Bandit
// Dataset and Pipeline" (the names, and the digits of its package); Su et al., "Doubly robust
// off-policy evaluation with shrinkage"; Wang et al., "Optimal and Adaptive Off-policy Evaluation
// in Contextual Bandits"; Metelli et al., "Subgaussian and Differentiable Importance Sampling".
#ifndef MR_WORKER_OPE_OFFPOLICY_H
#define MR_WORKER_OPE_OFFPOLICY_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/sort.h"
#include "worker/measure/resample.h"

typedef struct mr_logged_round {
    double weight;    // w
    double reward;    // r
    double q;         // reward model's value of the action that was taken
    double q_policy;  // and under the policy: q_e
    bool match;       // the policy is deterministic and would have done the same
    uint64_t cluster; // rounds of one cluster, a user as a rule, are resampled together
} mr_logged_round;

typedef enum mr_ope_kind {
    MR_OPE_REPLAY,
    MR_OPE_IPS,
    MR_OPE_SNIPS,
    MR_OPE_DM,
    MR_OPE_DR,
    MR_OPE_SNDR,
    MR_OPE_SWITCH_DR,
    MR_OPE_DR_OS,
    MR_OPE_SG_IPS,
    MR_OPE_SG_DR,
    MR_OPE_SIPS,
    MR_OPE_SN_SIPS,
    MR_OPE_RIPS,
    MR_OPE_IIPS,
    MR_OPE_CASCADE_DR,
} mr_ope_kind;

typedef struct mr_ope_estimator {
    mr_ope_kind kind;
    double lambda; // INFINITY: nothing is clipped, or there is nothing to choose
} mr_ope_estimator;

const char *mr_ope_name(mr_ope_kind kind); // "ips", "switch-dr", ...
// Whether the value rests on the weights; the others rest on the reward model, or on matches,
// alone.
bool mr_ope_weighs(mr_ope_kind kind);
// w as the estimator uses it. w >= 0.
double mr_ope_weight(mr_ope_estimator estimator, double w);

enum { MR_OPE_TERMS = 3, MR_OPE_ESTIMATORS_MAX = 64 };

typedef struct mr_ope_moments { // of (a, b, c): numbers by which parts of a log are merged
    double n, mean[MR_OPE_TERMS];
    double m2[MR_OPE_TERMS][MR_OPE_TERMS]; // sums of products of deviations
} mr_ope_moments;

typedef struct mr_ope_sum {
    mr_ope_estimator estimator;
    mr_ope_moments moments;
    double shift; // mean of (w - w') (r - q): what clipping takes from the estimate
} mr_ope_sum;

typedef struct mr_offpolicy {
    mr_ope_sum *sums;
    uint32_t count, resamples;
    uint64_t seed;
    double *boot; // resamples x (1 + 3 count): rounds, then the sums of a, b and c
    double weight_mean_square, weight_max, rounds;
} mr_offpolicy;

size_t mr_offpolicy_bytes(uint32_t count, uint32_t resamples);
// resamples: of the bootstrap, 0 for none. estimators are copied. Memory is the arena's.
void mr_offpolicy_init(mr_offpolicy *policy, const mr_ope_estimator *estimators, uint32_t count,
                       uint32_t resamples, uint64_t seed, mr_arena *arena);
// Weights, rewards and values of the model must be finite, weights not negative (asserted). Not of
// slates.
void mr_offpolicy_add(mr_offpolicy *policy, const mr_logged_round *round);
// What mr_offpolicy_add comes down to: terms a, b, c of each estimator, in their order; lost: of
// each, (w - w') (r - q), or NULL where nothing is clipped.
void mr_offpolicy_add_terms(mr_offpolicy *policy, const double *terms, const double *lost,
                            uint64_t cluster);
// Adds another part of the log; both were begun alike (asserted).
void mr_offpolicy_merge(mr_offpolicy *policy, const mr_offpolicy *other);

// NAN where the estimate has no support: no round, no match, no weight.
double mr_offpolicy_value(const mr_offpolicy *policy, uint32_t estimator);
// Standard error: of a mean by the sample variance, of a ratio by the delta method. Rounds count as
// independent here, which the rounds of one user are not: see mr_offpolicy_bootstrap.
double mr_offpolicy_error(const mr_offpolicy *policy, uint32_t estimator);

// Of Student's t with rounds - 1 degrees of freedom. level: 0.95.
mr_interval mr_offpolicy_student(const mr_offpolicy *policy, uint32_t estimator, double level);
// Percentiles of the Poisson bootstrap over clusters: each cluster counts Poisson(1) times in each
// resample, drawn by (seed, cluster), so that it is additive and the same in any order. Numerator
// and denominator are resampled together. scratch: `resamples` entries. NAN without resamples.
mr_interval mr_offpolicy_bootstrap(const mr_offpolicy *policy, uint32_t estimator, double level,
                                   mr_sorted *scratch);
// Empirical Bernstein (Maurer and Pontil, 2009), two-sided, for a mean of terms within [0, bound]:
// holds for any number of rounds. bound is the largest that is possible, not the largest seen.
mr_interval mr_ope_bernstein(double mean, double variance, double rounds, double bound,
                             double level);
// Bound of the mean squared error by which a lambda is chosen: variance of the mean plus the square
// of an upper bound of the bias, at confidence 0.95 (Su et al., as the Open Bandit Pipeline has
// it). The least wins, of equals the smaller lambda.
double mr_offpolicy_risk(const mr_offpolicy *policy, uint32_t estimator);

// Quantile of Student's t. p in (0, 1), degrees >= 1. Source: Hill, "Algorithm 396".
double mr_student_quantile(double p, double degrees);

#endif
