// SPDX-License-Identifier: Apache-2.0
// mixture: what rates are to be expected, learned from the arms that there were.
//
// An arm's rate has the prior sum_k share_k Beta(a_k, b_k). Of n tries with s successes,
//     weight_k ~ share_k B(a_k + s, b_k + n - s)/B(a_k, b_k),  then  Beta(a_k + s, b_k + n - s)
// is exact. n and s are real numbers: faded counts are tries too.
//
// The fit is EM over arms' (n, s), the only thing that it needs to know of them: weights by the
// above (E); the mean weight, and a step of Minka's fixed point
//     a <- a sum w (psi(a + s) - psi(a)) / sum w (psi(a + b + n) - psi(a + b)),  b likewise
// (M). Both raise a lower bound of the likelihood that touches it, so that no round lowers it, and
// neither do the bounds of share, a and b: what is maximised has one top in each of them.
// Sources: Thompson Sampling with Diffusion Generative Prior, for a prior learned from past arms;
// Minka, Estimating a Dirichlet Distribution. Departure: a mixture of few components in the place
// of a diffusion model, since a rate is one number.
#ifndef MR_CORE_BASE_MIXTURE_H
#define MR_CORE_BASE_MIXTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { MR_MIXTURE_MAX = 4 }; // components

#define MR_MIXTURE_SHARE_MIN 1e-3
#define MR_MIXTURE_SHAPE_MIN 1e-3 // of a and b
#define MR_MIXTURE_SHAPE_MAX 1e4

typedef struct mr_mixture {
    uint64_t count; // of components, 1..MR_MIXTURE_MAX
    double share[MR_MIXTURE_MAX], a[MR_MIXTURE_MAX], b[MR_MIXTURE_MAX];
} mr_mixture;

typedef struct mr_arms { // `count` arms of n tries and s successes each, 0 <= s <= n
    double count, n, s;
} mr_arms;

// log Gamma(x) and its derivative, for x > 0: absolute error below 1e-11 for x from 1e-3 on. The
// same bytes on every machine.
double mr_log_gamma(double x);
double mr_digamma(double x);

// weights: mixture->count numbers that add up to 1. Returns the log of the chance of one sequence
// of such outcomes: log sum_k share_k B(a_k + s, b_k + n - s)/B(a_k, b_k).
double mr_mixture_weigh(const mr_mixture *mixture, double n, double s, double *weights);
// Mean and variance of the rate of an arm of the class that `weights` tell, of which n tries with s
// successes are known: those that the weights come from, or some of them.
void mr_mixture_rate(const mr_mixture *mixture, const double *weights, double n, double s,
                     double *mean, double *variance);

// `rounds` rounds of EM, from the mixture as it stands. Returns the log likelihood before the last
// of them. arms: arm_count kinds of arms. O(rounds arm_count components).
double mr_mixture_fit(mr_mixture *mixture, const mr_arms *arms, uint32_t arm_count,
                      uint32_t rounds);

#endif
