// SPDX-License-Identifier: Apache-2.0
#include "core/base/ridge.h"

#include <string.h>

void mr_ridge_try(double *sums, uint32_t d, const float *x)
{
    double *a = sums + d;
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            *a++ += (double)x[i] * (double)x[j];
}

void mr_ridge_reward(double *sums, uint32_t d, const float *x, double reward)
{
    for (uint32_t i = 0; i < d; i++)
        sums[i] += reward * (double)x[i];
}

// l: the lower triangle of m = l l^T, in place of m. m is positive definite, its pivots are no less
// than `least` but for rounding.
static void decompose(double *m, uint32_t d, double least)
{
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = m[i * d + j];
            for (uint32_t k = 0; k < j; k++)
                sum -= m[i * d + k] * m[j * d + k];
            if (i == j)
                sum = sum > least ? sum : least;
            m[i * d + j] = i == j ? __builtin_sqrt(sum) : sum / m[j * d + j];
        }
}

// x = (l l^T)^-1 x
static void solve(const double *l, uint32_t d, double *x)
{
    for (uint32_t i = 0; i < d; i++) {
        for (uint32_t k = 0; k < i; k++)
            x[i] -= l[i * d + k] * x[k];
        x[i] /= l[i * d + i];
    }
    for (uint32_t i = d; i-- > 0;) {
        for (uint32_t k = i + 1; k < d; k++)
            x[i] -= l[k * d + i] * x[k];
        x[i] /= l[i * d + i];
    }
}

// The inverse of l, row by row, in place of `rows`: row i of it is (e_i - sum over k < i of l_ik
// row k) / l_ii, so that the inner loop goes along rows.
static void invert_lower(const double *l, uint32_t d, double *rows)
{
    for (uint32_t i = 0; i < d; i++) {
        double *row = rows + (size_t)i * d;
        memset(row, 0, d * sizeof *row);
        row[i] = 1.0;
        for (uint32_t k = 0; k < i; k++)
            for (uint32_t j = 0; j <= k; j++)
                row[j] -= l[i * d + k] * rows[k * d + j];
        for (uint32_t j = 0; j <= i; j++)
            row[j] /= l[i * d + i];
    }
}

// The inverse of l l^T: the sum over k of the outer products of row k of l^-1 with itself.
static void invert(const double *l, uint32_t d, float *inverse)
{
    double rows[MR_RIDGE_MAX * MR_RIDGE_MAX], product[MR_RIDGE_MAX];
    invert_lower(l, d, rows);
    for (uint32_t i = 0; i < d; i++) {
        memset(product, 0, d * sizeof *product);
        for (uint32_t k = i; k < d; k++)
            for (uint32_t j = 0; j <= i; j++)
                product[j] += rows[k * d + i] * rows[k * d + j];
        for (uint32_t j = 0; j <= i; j++)
            inverse[i * d + j] = inverse[j * d + i] = (float)product[j];
    }
}

// l of a lower triangle with lambda on its diagonal.
static void decompose_triangle(const double *triangle, uint32_t d, double lambda, double *l)
{
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            l[i * d + j] = *triangle++ + (i == j ? lambda : 0.0);
    decompose(l, d, lambda / 2);
}

// theta of the first d of the b, and the inverse.
static void solve_own(const double *l, const double *b, uint32_t d, float *theta, float *inverse)
{
    double x[MR_RIDGE_MAX];
    memcpy(x, b, d * sizeof *x);
    solve(l, d, x);
    for (uint32_t i = 0; i < d; i++)
        theta[i] = (float)x[i];
    invert(l, d, inverse);
}

void mr_ridge_solve(const double *sums, uint32_t d, double lambda, float *theta, float *inverse)
{
    double l[MR_RIDGE_MAX * MR_RIDGE_MAX];
    decompose_triangle(sums + d, d, lambda, l);
    solve_own(l, sums, d, theta, inverse);
}

// ---- coefficients that many share

void mr_ridge_solve_arm(const double *sums, uint32_t d, uint32_t k, double lambda, float *theta,
                        float *inverse, float *across, double *shared)
{
    double l[MR_RIDGE_MAX * MR_RIDGE_MAX], solved[MR_RIDGE_SHARED_MAX][MR_RIDGE_MAX];
    const double *b = sums, *a = sums + d + k;
    const double *below = a + (size_t)d * (d + 1) / 2; // rows of (B^T, Z)
    double *t = shared + (size_t)k * (k + 1) / 2;
    decompose_triangle(a, d, lambda, l);
    solve_own(l, b, d, theta, inverse);
    for (uint32_t j = 0; j < k; j++) {
        const double *row = below;
        memcpy(solved[j], row, d * sizeof *row);
        solve(l, d, solved[j]);
        for (uint32_t i = 0; i < d; i++)
            across[j * d + i] = (float)solved[j][i];
        for (uint32_t other = 0; other <= j; other++, shared++) {
            *shared = row[d + other];
            for (uint32_t i = 0; i < d; i++)
                *shared -= row[i] * solved[other][i];
        }
        t[j] = b[d + j];
        for (uint32_t i = 0; i < d; i++)
            t[j] -= solved[j][i] * b[i];
        below += d + j + 1;
    }
}

void mr_ridge_solve_shared(const double *shared, uint32_t k, double lambda, double *beta,
                           double *inverse)
{
    double l[MR_RIDGE_SHARED_MAX * MR_RIDGE_SHARED_MAX];
    decompose_triangle(shared, k, lambda, l);
    memcpy(beta, shared + (size_t)k * (k + 1) / 2, k * sizeof *beta);
    solve(l, k, beta);
    for (uint32_t i = 0; i < k; i++) {
        memset(inverse + (size_t)i * k, 0, k * sizeof *inverse);
        inverse[i * k + i] = 1.0;
        solve(l, k, inverse + (size_t)i * k);
    }
}

// ---- two vectors that come together

void mr_ridge_link_add(float *sums, uint32_t d, const float *p, const float *y, float weight)
{
    float *at = sums;
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            *at++ += weight * p[i] * p[j];
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            *at++ += weight * y[i] * y[j];
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j < d; j++)
            *at++ += weight * y[i] * p[j];
}

// l of a triangle of floats with the prior on its diagonal.
static void decompose_floats(const float *triangle, uint32_t d, double prior, double *l)
{
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            l[i * d + j] = (double)*triangle++ + (i == j ? prior : 0.0);
    decompose(l, d, prior / 2);
}

static void transpose(double *m, uint32_t d)
{
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j < i; j++) {
            const double aside = m[i * d + j];
            m[i * d + j] = m[j * d + i];
            m[j * d + i] = aside;
        }
}

void mr_ridge_link_solve(const float *sums, uint32_t d, double count, double prior, float *map)
{
    double l[MR_RIDGE_LINK_MAX * MR_RIDGE_LINK_MAX], m[MR_RIDGE_LINK_MAX * MR_RIDGE_LINK_MAX];
    const uint32_t triangle = d * (d + 1) / 2;
    const float *c = sums + 2 * (size_t)triangle;
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j < d; j++)
            m[j * d + i] = (double)c[i * d + j] + (i == j ? prior : 0.0); // row j: column j of C
    decompose_floats(sums + triangle, d, prior, l);
    for (uint32_t j = 0; j < d; j++)
        solve(l, d, m + (size_t)j * d);
    transpose(m, d);
    decompose_floats(sums, d, prior, l);
    for (uint32_t i = 0; i < d; i++)
        solve(l, d, m + (size_t)i * d);
    for (uint32_t i = 0; i < d * d; i++)
        map[i] = (float)(m[i] * (count + prior));
}

// The inverse is symmetric, so its rows may be added up like columns: no sum along a row.
float mr_ridge_variance(const mr_vec *vec, const float *inverse, uint32_t d, const float *x)
{
    float product[MR_RIDGE_MAX];
    vec->set(product, x[0], inverse, d);
    for (uint32_t i = 1; i < d; i++)
        vec->axpy(product, x[i], inverse + (size_t)i * d, d);
    const float variance = vec->dot(product, x, d);
    return variance > 0.0f ? variance : 0.0f;
}
