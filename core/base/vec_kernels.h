// SPDX-License-Identifier: Apache-2.0
// The kernels of vec, written once; vec_base.c, vec_avx2.c and vec_avx512.c include this file and
// are compiled for their instruction set. Lane-wise vector types make the order of summation
// explicit.
#include "core/base/vec.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

typedef float lanes16 __attribute__((vector_size(64), aligned(4), may_alias));

static inline float sum16(lanes16 v)
{
    float half[8], quarter[4];
    for (int i = 0; i < 8; i++)
        half[i] = v[i] + v[i + 8];
    for (int i = 0; i < 4; i++)
        quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

static inline lanes16 load16(const float *x)
{
    return *(const lanes16 *)(const void *)x;
}

static inline void store16(float *x, lanes16 v)
{
    *(lanes16 *)(void *)x = v;
}

static float dot(const float *a, const float *b, uint32_t n)
{
    lanes16 sum = {0};
    for (uint32_t i = 0; i < n; i += 16)
        sum += load16(a + i) * load16(b + i);
    return sum16(sum);
}

static void axpy(float *y, float alpha, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16)
        store16(y + i, load16(y + i) + alpha * load16(x + i));
}

static void scale(float *x, float alpha, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16)
        store16(x + i, alpha * load16(x + i));
}

static void set(float *y, float alpha, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16)
        store16(y + i, alpha * load16(x + i));
}

static void dot_rows(const float *a, const float *rows, const uint32_t *index, uint32_t count,
                     uint32_t stride, float *scores)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i + 6 < count)
            for (uint32_t line = 0; line < stride; line += 16)
                __builtin_prefetch(rows + (size_t)index[i + 6] * stride + line);
        scores[i] = dot(a, rows + (size_t)index[i] * stride, stride);
    }
}

// Bit i is set where x[i] >= floor, 0 <= i < 16.
static inline uint32_t mask16(const float *x, float floor)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(x), _mm512_set1_ps(floor), _CMP_GE_OQ);
#elif defined(__AVX2__)
    const __m256 f = _mm256_set1_ps(floor);
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x), f, _CMP_GE_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + 8), f, _CMP_GE_OQ));
    return (uint32_t)low | (uint32_t)high << 8;
#elif defined(__SSE2__)
    const __m128 f = _mm_set1_ps(floor);
    uint32_t mask = 0;
    for (int i = 0; i < 16; i += 4)
        mask |= (uint32_t)_mm_movemask_ps(_mm_cmpge_ps(_mm_loadu_ps(x + i), f)) << i;
    return mask;
#else
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 16; i++)
        mask |= (uint32_t)(x[i] >= floor) << i;
    return mask;
#endif
}

static inline uint32_t mask_rest(uint32_t mask, uint32_t i, uint32_t n)
{
    return i + 16 > n ? mask & ((1u << (n - i)) - 1) : mask;
}

// Hits are rare and fall anywhere: a branch on each group of 16 would be mispredicted at most of
// them.
static uint32_t above(const float *x, uint32_t n, float floor, uint32_t *index)
{
    uint32_t hits = 0;
#if defined(__AVX512F__)
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (uint32_t i = 0; i < n; i += 16) {
        const uint32_t mask = mask_rest(mask16(x + i, floor), i, n);
        _mm512_storeu_si512(index + hits, _mm512_maskz_compress_epi32((__mmask16)mask, place));
        place = _mm512_add_epi32(place, _mm512_set1_epi32(16));
        hits += (uint32_t)__builtin_popcount(mask);
    }
#else
    for (uint32_t i = 0; i < n; i += 16) {
        uint32_t mask = mask_rest(mask16(x + i, floor), i, n);
        for (; mask != 0; mask &= mask - 1)
            index[hits++] = i + (uint32_t)__builtin_ctz(mask);
    }
#endif
    return hits;
}

static uint32_t count(const float *x, uint32_t n, float floor)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < n; i += 16)
        hits += (uint32_t)__builtin_popcount(mask_rest(mask16(x + i, floor), i, n));
    return hits;
}

#define MR_VEC_TABLE(variable, label)                                                              \
    const mr_vec variable = {label, dot, axpy, scale, set, dot_rows, above, count}
