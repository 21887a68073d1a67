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

// ---- coefficients that many share
//
// A reward is z.beta + x.theta, theta its arm's own, beta that of all arms. With sums of y = (x,
// z), d and k numbers, an arm's matrix is in blocks (A, B; B^T, Z) and its rewards (b, c); with the
// prior lambda I of both
//     beta = (lambda I + sum of S)^-1 sum of t,   S = Z - B^T (lambda I + A)^-1 B,
//     theta = (lambda I + A)^-1 (b - B beta),     t = c - B^T (lambda I + A)^-1 b
// with sums over arms: the ridge regression on z and every arm's own x side by side, exactly. At
// (x, z), with w = z - B^T (lambda I + A)^-1 x,
//     mean = x.(lambda I + A)^-1 b + w.beta
//     variance = x^T (lambda I + A)^-1 x + w^T (lambda I + sum of S)^-1 w
// Source: Li et al. as above (hybrid linear models), by arm instead of by event.

enum { MR_RIDGE_SHARED_MAX = 8 }; // k

// How many numbers S and t are: the lower triangle of S, row by row, then t.
static inline uint32_t mr_ridge_shared_cells(uint32_t k)
{
    return k * (k + 1) / 2 + k;
}

// Solves an arm. sums: mr_ridge_cells(d + k) numbers of y. theta: (lambda I + A)^-1 b; inverse: all
// of (lambda I + A)^-1; across: k rows of d, row j is (lambda I + A)^-1 column j of B; shared: S
// and t.
void mr_ridge_solve_arm(const double *sums, uint32_t d, uint32_t k, double lambda, float *theta,
                        float *inverse, float *across, double *shared);
// shared: the sum over arms. beta: k numbers; inverse: all k x k of (lambda I + sum of S)^-1.
void mr_ridge_solve_shared(const double *shared, uint32_t k, double lambda, double *beta,
                           double *inverse);

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
