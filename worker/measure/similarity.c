// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/similarity.h"

#include <math.h>
#include <stddef.h>

static uint32_t count_of(const uint64_t *list, uint32_t count, uint64_t key)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += list[i] == key;
    return found;
}

double mr_jaccard(const uint64_t *a, uint32_t a_count, const uint64_t *b, uint32_t b_count)
{
    double shared = 0;
    for (uint32_t i = 0; i < a_count; i++)
        shared += count_of(b, b_count, a[i]);
    const double all = a_count + (double)b_count - shared;
    return all > 0 ? shared / all : (double)NAN;
}

mr_overlap mr_rbo(const uint64_t *a, uint32_t a_count, const uint64_t *b, uint32_t b_count,
                  double p)
{
    const uint32_t k = a_count > b_count ? a_count : b_count;
    double shared = 0, power = 1, agreement = 0, agreements = 0, truncated = 0;
    if (k == 0)
        return (mr_overlap){NAN, NAN, NAN};
    for (uint32_t d = 1; d <= k; d++) {
        if (d <= a_count)
            shared += count_of(b, d < b_count ? d : b_count, a[d - 1]);
        if (d <= b_count) // the pair of both d-th places was counted above
            shared += count_of(a, d - 1 < a_count ? d - 1 : a_count, b[d - 1]);
        agreement = shared / d;
        agreements += agreement;
        truncated += (1 - p) * power * agreement;
        power *= p;
    }
    return (mr_overlap){truncated, truncated + agreement * power, agreements / k};
}

static double cosine(const float *x, const float *y, uint32_t d)
{
    double xy = 0, xx = 0, yy = 0;
    for (uint32_t i = 0; i < d; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

double mr_intra_list_similarity(const float *vectors, uint32_t count, uint32_t d)
{
    double sum = 0;
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            sum += cosine(vectors + (size_t)i * d, vectors + (size_t)j * d, d);
    return count > 1 ? sum / (.5 * count * (count - 1.0)) : (double)NAN;
}

double mr_unexpectedness(const float *list, uint32_t n, const float *history, uint32_t m,
                         uint32_t d)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t h = 0; h < m; h++)
            sum += cosine(list + (size_t)i * d, history + (size_t)h * d, d);
    return n > 0 && m > 0 ? 1 - sum / ((double)n * m) : (double)NAN;
}
