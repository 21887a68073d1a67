// SPDX-License-Identifier: Apache-2.0
// similarity: how alike two lists are, and the items of one.
#ifndef MR_WORKER_MEASURE_SIMILARITY_H
#define MR_WORKER_MEASURE_SIMILARITY_H

#include <stdint.h>

// Shared items over all items; lists of item keys, each item once. NAN for two empty lists.
// O(a_count * b_count).
double mr_jaccard(const uint64_t *a, uint32_t a_count, const uint64_t *b, uint32_t b_count);

typedef struct mr_overlap {
    double truncated;    // (1 - p) * sum over depths d of p^(d-1) A_d: at most 1 - p^k
    double extrapolated; // truncated + A_k p^k: 1 for lists that are the same
    double average;      // mean of A_d, what RBO with p = 1 is taken for
} mr_overlap;

// Rank-biased overlap of lists (of item keys, each item once) down to the depth k of the longer
// one; A_d = shared items of the first d places / d. p in (0, 1]. NAN for two empty lists. O(k^2).
// Source: Webber, Moffat and Zobel, "A similarity measure for indefinite rankings".
mr_overlap mr_rbo(const uint64_t *a, uint32_t a_count, const uint64_t *b, uint32_t b_count,
                  double p);

// Mean cosine over the pairs of a list's items: vectors count x d. A vector of zeros is at right
// angles to all. NAN for fewer than two items.
double mr_intra_list_similarity(const float *vectors, uint32_t count, uint32_t d);

// 1 - mean cosine between the items of a list (n x d) and those of a history (m x d). NAN where
// one of them is empty.
double mr_unexpectedness(const float *list, uint32_t n, const float *history, uint32_t m,
                         uint32_t d);

#endif
