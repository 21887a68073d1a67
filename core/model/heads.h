// SPDX-License-Identifier: Apache-2.0
// heads: one small network over a candidate's features, with a head for each thing that may follow:
// click, cart and purchase as a chain, and quantiles of how long or how well. Pure functions over
// the caller's arrays.
//
//     f_e = relu(W_e x + b_e),  g_t = softmax_e(G_te . x),  m_t = sum_e g_te f_e     (two experts)
//     l_t = w_t . m_t + v_t . x + c_t             of click, cart given click, purchase given cart
//     a = A m_last + a_0,  q_1 = a_1,  q_n = q_n-1 + softplus(a_n)    quantiles, which never cross
// Without experts it is a logistic regression for each head, which is also where it begins.
// Sources: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
// Mixture-of-Experts" (experts and gates); Ma et al., "Entire Space Multi-Task Model" (the chain);
// Lin et al., "Conditional Quantile Estimation for Uncertain Watch Time in Short-Video
// Recommendation" (quantiles that never cross). Departures: (1) x is the same for all heads, so
// that W x is computed once, (2) a linear part beside the experts.
#ifndef MR_CORE_MODEL_HEADS_H
#define MR_CORE_MODEL_HEADS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/vec.h"

enum {
    MR_HEADS_X = 80, // features at most, a multiple of 16
    MR_HEADS_EXPERTS = 2,
    MR_HEADS_HIDDEN = 16,
    MR_HEADS_TASKS = 3,
    MR_HEADS_QUANTILES = 7,
    MR_HEADS_GATES = MR_HEADS_TASKS + 1,
};

typedef struct mr_heads { // parameters, or a gradient by them: all floats
    float w[MR_HEADS_EXPERTS][MR_HEADS_HIDDEN][MR_HEADS_X];
    float b[MR_HEADS_EXPERTS][MR_HEADS_HIDDEN];
    float gate[MR_HEADS_GATES][MR_HEADS_EXPERTS][MR_HEADS_X];
    float head[MR_HEADS_TASKS][MR_HEADS_HIDDEN];
    float linear[MR_HEADS_TASKS][MR_HEADS_X];
    float bias[MR_HEADS_TASKS];
    float trust; // of the memory of errors (core/model/ranker.c); not used here
    float quantile[MR_HEADS_QUANTILES][MR_HEADS_HIDDEN];
    float quantile_linear[MR_HEADS_X]; // of the first one
    float quantile_bias[MR_HEADS_QUANTILES];
    float reserved[5]; // a multiple of 16 numbers
} mr_heads;

enum { MR_HEADS_FLOATS = sizeof(mr_heads) / sizeof(float) };
_Static_assert(MR_HEADS_FLOATS % 16 == 0, "what core/base/vec wants");

typedef struct mr_heads_pass { // of one candidate, forward
    float pre[MR_HEADS_EXPERTS][MR_HEADS_HIDDEN], f[MR_HEADS_EXPERTS][MR_HEADS_HIDDEN];
    float gate[MR_HEADS_GATES][MR_HEADS_EXPERTS];
    float m[MR_HEADS_GATES][MR_HEADS_HIDDEN];
    float l[MR_HEADS_TASKS];
    float a[MR_HEADS_QUANTILES], q[MR_HEADS_QUANTILES];
} mr_heads_pass;

// x: n features, a multiple of 16 up to MR_HEADS_X. experts: 0 or MR_HEADS_EXPERTS.
void mr_heads_forward(const mr_heads *of, const mr_vec *vec, const float *x, uint32_t n,
                      uint32_t experts, mr_heads_pass *pass);
// Adds to `gradient` that of a loss with these derivatives by l and by a. NULL: none by a.
void mr_heads_back(const mr_heads *of, const mr_vec *vec, const float *x, uint32_t n,
                   uint32_t experts, const mr_heads_pass *pass, const float by_l[MR_HEADS_TASKS],
                   const float *by_a, mr_heads *gradient);

// P(level >= c + 1) = product over j <= c of sigma(l_j).
float mr_heads_reach(const float l[MR_HEADS_TASKS], uint32_t c);
// Adds the gradient by l of -weight ln P, P = that probability where it was reached, or one minus
// it where not.
void mr_heads_chain(const float l[MR_HEADS_TASKS], uint32_t c, bool reached, float weight,
                    float by_l[MR_HEADS_TASKS]);
// The mean over quantiles n / (count + 1) of the pinball loss at y: by_a is set; returns the loss.
float mr_heads_pinball(const float *a, const float *q, uint32_t count, float y, float *by_a);
// The mean of the law that quantiles describe: straight between them, constant beyond.
float mr_heads_mean(const float *q, uint32_t count);
// q from a.
void mr_heads_quantiles(const float *a, uint32_t count, float *q);

#endif
