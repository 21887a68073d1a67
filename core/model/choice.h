// SPDX-License-Identifier: Apache-2.0
// choice: who is offered several items takes one of them or none. Pure functions over the caller's
// arrays.
//
// The likelihood is a softmax over what was offered and taking none,
//     P(takes r) = exp(s_r) / (exp(s_0) + sum_j exp(s_j)),   s_j = z.v_j, s_0 of taking none
// with the gradients (y_r - p_r) z by v_r, sum_r (y_r - p_r) v_r by z and y_0 - p_0 by s_0.
// What is believed of a number v is a normal law, each number by itself: mean and precision of a
// prior, and beside it what choices have said, a precision and precision times mean, so that a
// prior that moves takes with it what is not known yet, and nothing more.
// Sources: "Dynamic Slate Recommendation with Gated Recurrent Units and Thompson Sampling" (the
// likelihood and the hierarchy); the extended Kalman filter for one step of it. Departures: (1) the
// law is followed online, in place of stochastic variational inference; (2) an item speaks for its
// group with what choices said of it alone, without what it has from the group, or else the group
// would hear itself.
#ifndef MR_CORE_MODEL_CHOICE_H
#define MR_CORE_MODEL_CHOICE_H

#include <stdint.h>

// scores[count] becomes the probabilities, clamped to -100 .. 20 before; returns that of none,
// whose score is `none`.
float mr_choice_probabilities(float *scores, uint32_t count, float none);

typedef struct mr_belief { // of n numbers
    uint32_t n;
    const float *prior_mean, *prior_precision; // above 0
    float *precision, *shift;                  // what choices said; zeros: nothing
} mr_belief;

// mean = (prior_precision prior_mean + shift) / P, variance = 1 / P, P = prior_precision +
// precision
void mr_belief_read(const mr_belief *of, float *mean, float *variance);

// One step of the extended Kalman filter from sums over choices that were judged at this belief:
// information, of p (1 - p) z^2, is added to the precision, and the mean moves by gain / P, gain
// of (y - p) z. Many choices at once would move it beyond what they ask for, each number as if it
// were alone: the step is divided by sum information / P where that is above 1.
void mr_belief_learn(const mr_belief *of, const float *information, const float *gain);

typedef struct mr_group_sums { // of one number, over the items of a group
    double weight, sum;
} mr_group_sums;

// Adds an item of which choices said this; variance: of items around the mean of their group.
void mr_group_add(mr_group_sums *to, double precision, double shift, double variance);
// The mean of the group after a prior of this mean and variance; *left: its variance.
double mr_group_mean(const mr_group_sums *of, double prior_mean, double prior_variance,
                     double *left);

#endif
