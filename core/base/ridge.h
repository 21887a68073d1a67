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

// ---- two vectors that come together
//
// With pairs (p, y) of vectors of d numbers and the sums
//     P = sum of p p^T,  Y = sum of y y^T,  C = sum of y p^T
// the map (Y + prior I)^-1 (C + prior I) (P + prior I)^-1 (n + prior) gives y.(map p): how much
// more y has to do with p than with any other, nearly. `prior` is worth so many pairs of a vector
// with itself in each direction: with nothing seen the map is I.
// Source: Hotelling, Relations Between Two Sets of Variates; a ridge on both sides, as in Vinod,
// Canonical Ridge and Econometrics of Joint Production. Without rotating to canonical axes, which
// change no dot product.

enum { MR_RIDGE_LINK_MAX = 64 }; // d; a multiple of 16

// How many numbers the sums are: the lower triangles of P and of Y, row by row, then C by rows of
// y.
static inline uint32_t mr_ridge_link_cells(uint32_t d)
{
    return d * (d + 1) + d * d;
}

// Adds weight times a pair.
void mr_ridge_link_add(float *sums, uint32_t d, const float *p, const float *y, float weight);
// map: d x d numbers, row i gives number i of map p. count: n. prior > 0. Sums are floats, so that
// a pivot may come out as nothing by rounding: it counts as half the prior at least.
void mr_ridge_link_solve(const float *sums, uint32_t d, double count, double prior, float *map);

// x^T inverse x, at least 0.
float mr_ridge_variance(const mr_vec *vec, const float *inverse, uint32_t d, const float *x);

#endif
