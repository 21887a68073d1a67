// SPDX-License-Identifier: Apache-2.0
// gates: how much each of several views of an item counts, as a softmax of what is known of it.
//
//     g = softmax(A phi),  f = sum_m g_m z_m
//     df/dA_m = g_m (z_m - f) phi^T
// Pure functions over the caller's arrays, in double. Source: "Contrastive Learning for Cold Start
// Recommendation with Adaptive Feature Fusion".
#ifndef MR_CORE_MODEL_GATES_H
#define MR_CORE_MODEL_GATES_H

#include <stdint.h>

// In this order: what acts have taught of it, its content, its categories, what is at hand.
enum { MR_GATES_ID, MR_GATES_CONTENT, MR_GATES_CATEGORY, MR_GATES_CONTEXT, MR_GATES_MEMBERS };
// 1, ln(1 + acts), ln(1 + hours of age), whether content says something of it, norm of its vector.
enum { MR_GATES_ONE, MR_GATES_ACTS, MR_GATES_AGE, MR_GATES_HAS, MR_GATES_NORM, MR_GATES_PHI };

typedef struct mr_gates { // parameters, or a gradient by them, or squares of it: all doubles
    double a[MR_GATES_MEMBERS][MR_GATES_PHI];
    double log_scale; // of f as the logit of a choice; not used here
} mr_gates;

enum { MR_GATES_DOUBLES = MR_GATES_MEMBERS * MR_GATES_PHI + 1 };

// g[MR_GATES_MEMBERS] of phi[MR_GATES_PHI]: above 0 and adding up to 1 over the members whose bit
// is set in `members`, at least one; 0 elsewhere.
void mr_gates_open(const mr_gates *of, uint32_t members, const double *phi, double *g);
// f of the members' z[MR_GATES_MEMBERS].
double mr_gates_fuse(const double *g, const double *z);
// Adds to `sum` the gradient by A of a loss whose derivative by f is `by_f`.
void mr_gates_back(const double *g, const double *z, const double *phi, double by_f, mr_gates *sum);

#endif
