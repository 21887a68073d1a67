// SPDX-License-Identifier: Apache-2.0
// The kernels of vec, written once; vec_base.c, vec_avx2.c and vec_avx512.c include this file and
// are compiled for their instruction set. Lane-wise vector types make the order of summation
// explicit.
#include "core/base/vec.h"

#include <string.h>

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

// ---- panels: integers, so the order of sums is free

#if defined(__AVX512F__)
typedef __m512i ints;
static inline ints add_products(ints sum, ints a, ints b)
{
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
#endif
}
#define SPREAD(x) _mm512_set1_epi32(x)
#elif defined(__AVX2__)
typedef __m256i ints;
static inline ints add_products(ints sum, ints a, ints b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
#define SPREAD(x) _mm256_set1_epi32(x)
#elif defined(__SSE2__)
typedef __m128i ints;
static inline ints add_products(ints sum, ints a, ints b)
{
    return _mm_add_epi32(sum, _mm_madd_epi16(a, b));
}
#define SPREAD(x) _mm_set1_epi32(x)
#else // one pair at a time
typedef struct ints {
    int32_t of[1];
} ints;
static inline ints add_products(ints sum, ints a, ints b)
{
    int16_t x[2], y[2];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    return (ints){{sum.of[0] + x[0] * y[0] + x[1] * y[1]}};
}
#define SPREAD(x) ((ints){{x}})
#endif

enum { PANEL = MR_VEC_PANEL, PAIRS = sizeof(ints) / 4, STRIPS = PANEL / PAIRS, TOGETHER_MAX = 8 };

// One strip of a panel, PAIRS of its rows, by `count` vectors, which is a constant where it is
// inlined.
static inline __attribute__((always_inline)) void strip_products(const int16_t *strip,
                                                                 const int16_t *vectors, uint32_t n,
                                                                 const uint32_t count,
                                                                 int32_t *products)
{
    ints sums[TOGETHER_MAX];
    for (uint32_t v = 0; v < count; v++)
        sums[v] = SPREAD(0);
    for (uint32_t j = 0; j < n; j += 2) {
        ints x;
        memcpy(&x, strip + (size_t)j * PANEL, sizeof x);
        for (uint32_t v = 0; v < count; v++) {
            int32_t pair;
            memcpy(&pair, vectors + (size_t)v * n + j, sizeof pair);
            sums[v] = add_products(sums[v], x, SPREAD(pair));
        }
    }
    for (uint32_t v = 0; v < count; v++)
        memcpy(products + (size_t)v * PANEL, &sums[v], sizeof sums[v]);
}

static inline __attribute__((always_inline)) void panel_scores(
    const int16_t *panel, const float *units, const int16_t *vectors, const float *vector_units,
    uint32_t n, const uint32_t count, float *scores, uint32_t stride)
{
    int32_t products[TOGETHER_MAX * PANEL];
    for (uint32_t s = 0; s < STRIPS; s++)
        strip_products(panel + (size_t)s * PAIRS * 2, vectors, n, count, products + s * PAIRS);
    for (uint32_t v = 0; v < count; v++)
        for (uint32_t i = 0; i < PANEL; i++)
            scores[(size_t)v * stride + i] =
                (float)products[v * PANEL + i] * 0x1p-30f * units[i] * vector_units[v];
}

static void panels(const int16_t *codes, const float *units, uint32_t row_count,
                   const int16_t *vectors, const float *vector_units, uint32_t vector_count,
                   uint32_t n, float *scores, uint32_t stride)
{
#define PANEL_SCORES(of)                                                                           \
    panel_scores(panel, units + first, vectors + (size_t)v * n, vector_units + v, n, of,           \
                 scores + (size_t)v * stride + first, stride)
    for (uint32_t first = 0; first < row_count; first += PANEL) {
        const int16_t *panel = codes + (size_t)first * n;
        for (uint32_t line = 0; line < n; line += 2) // of the panel after the next one
            __builtin_prefetch(panel + (size_t)(2 * n + line) * PANEL);
        uint32_t v = 0;
        for (; v + 8 <= vector_count; v += 8)
            PANEL_SCORES(8);
        if (v + 4 <= vector_count) {
            PANEL_SCORES(4);
            v += 4;
        }
        if (v + 2 <= vector_count) {
            PANEL_SCORES(2);
            v += 2;
        }
        if (v < vector_count)
            PANEL_SCORES(1);
    }
#undef PANEL_SCORES
}

#define MR_VEC_TABLE(variable, label)                                                              \
    const mr_vec variable = {label, dot, axpy, scale, set, dot_rows, panels, above, count}
