// SPDX-License-Identifier: Apache-2.0
// vec: the numeric kernels that everything learned, published or drawn goes through.
//
// Every sum runs in a written order: 16 lanes, lane l adds the products of indices l, l + 16, ...;
// the lanes are then halved 16, 8, 4, 2, 1. Multiply and add are rounded apart (no fused
// multiply-add). So each instruction set gives the same bytes; the fastest one is chosen at run
// time from a table. exp and log are ours, because the C library's differ between CPUs.
//
// Vectors are float arrays of n elements, n a multiple of 16, padded with zeros by their owner
// (mr_vec_padded), aligned to 4 bytes at least. Arrays may not overlap.
#ifndef MR_CORE_BASE_VEC_H
#define MR_CORE_BASE_VEC_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MR_VEC_PANEL = 16 }; // rows

typedef struct mr_vec {
    const char
        *name; // "avx512vnni", "avx512", "avx2", "base": shown in metrics and in epoch records
    float (*dot)(const float *a, const float *b, uint32_t n);
    // y += alpha * x
    void (*axpy)(float *y, float alpha, const float *x, uint32_t n);
    // x *= alpha
    void (*scale)(float *x, float alpha, uint32_t n);
    // y = alpha * x
    void (*set)(float *y, float alpha, const float *x, uint32_t n);
    // scores[i] = dot(a, rows + index[i] * stride): gathered rows, each by the order above
    void (*dot_rows)(const float *a, const float *rows, const uint32_t *index, uint32_t count,
                     uint32_t stride, float *scores);
    // scores[v * stride + i] = p 2^-30 units[i] vector_units[v], each product rounded in this
    // order, where p is the exact dot product of vector v and row i: integers, |p| < 2^31.
    // vectors is vector_count x n, aligned to 4 bytes. Rows lie in panels of 16 by pairs of
    // elements: elements j and j + 1 (j even) of row i stand at codes[i / 16 * 16 n + 16 j + i % 16
    // * 2]. Scores are written up to the next multiple of 16 rows, of which the last panel has
    // room.
    void (*panels)(const int16_t *codes, const float *units, uint32_t row_count,
                   const int16_t *vectors, const float *vector_units, uint32_t vector_count,
                   uint32_t n, float *scores, uint32_t stride);
    // Writes the positions of the x[i] >= floor, ascending, to index (room for n + 16) and returns
    // how many. Unlike the others it takes any n; x is read, and ignored, up to the next multiple
    // of 16.
    uint32_t (*above)(const float *x, uint32_t n, float floor, uint32_t *index);
    // How many x[i] >= floor; reads as above does.
    uint32_t (*count)(const float *x, uint32_t n, float floor);
} mr_vec;

// The fastest kernels that this CPU runs. Pure: reads only the CPU's identity.
const mr_vec *mr_vec_best(void);
// All kernels that this CPU runs, fastest first, for tests: returns how many, 4 at most.
uint32_t mr_vec_all(const mr_vec *kernels[4]);

// n rounded up to a multiple of 16.
static inline uint32_t mr_vec_padded(uint32_t n)
{
    return (n + 15u) & ~15u;
}

// Correct to about 1 ulp of double on the whole range; exp saturates to 0 and to DBL_MAX,
// log of 0 or less is -DBL_MAX. The same bytes on every machine.
double mr_exp(double x);
double mr_log(double x);
double mr_exp2(double x);
static inline double mr_sigmoid(double x)
{
    return 1.0 / (1.0 + mr_exp(-x));
}

// e^x in float, relative error below 4e-7, saturating to 0 and to FLT_MAX; 0 of a NaN. Without
// branches, so that a loop over an array is made of vectors.
static inline float mr_expf(float x)
{
    const float low = x > -87.0f ? x : -87.0f, within = low < 88.0f ? low : 88.0f;
    const float big = 0x1.8p23f;
    const float n = (within * 1.44269504f + big) - big;
    const float r = (within - n * 0.693359375f) - n * -2.12194440e-4f;
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    const float most = x > 88.0f ? FLT_MAX : sum * power;
    return x > -87.0f ? most : 0.0f;
}

#endif
