// SPDX-License-Identifier: Apache-2.0
// ridge: a linear model of a reward, kept as sums over what was tried and solved when it is asked.
//
// With the contexts x that were tried and the rewards r that came, the sums are
//     A = sum of x x^T,  b = sum of r x
// and with the prior lambda I
//     theta = (lambda I + A)^-1 b,  mean at x = theta.x,  variance at x = x^T (lambda I + A)^-1 x
// Sums add up in any grouping; theta and inverse are derived from them, never updated.
// Source: Li, Chu, Langford and Schapire, A Contextual-Bandit Approach to Personalized News Article
// Recommendation (disjoint linear models).
#ifndef MR_CORE_BASE_RIDGE_H
#define MR_CORE_BASE_RIDGE_H

#include "core/base/vec.h"

enum { MR_RIDGE_MAX = 32 }; // d; a multiple of 16, as kernels want it

// How many numbers the sums are: the d of b, then the lower triangle of A, row by row.
static inline uint32_t mr_ridge_cells(uint32_t d)
{
    return d + d * (d + 1) / 2;
}

// A += x x^T: x was tried. sums: mr_ridge_cells(d) numbers; x: d numbers.
void mr_ridge_try(double *sums, uint32_t d, const float *x);
// b += reward x: the reward of a try at x has come.
void mr_ridge_reward(double *sums, uint32_t d, const float *x, double reward);

// theta: d numbers; inverse: all d x d of (lambda I + A)^-1. By Cholesky's decomposition. lambda >
// 0.
void mr_ridge_solve(const double *sums, uint32_t d, double lambda, float *theta, float *inverse);

// x^T inverse x, at least 0.
float mr_ridge_variance(const mr_vec *vec, const float *inverse, uint32_t d, const float *x);

#endif
