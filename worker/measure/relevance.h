// SPDX-License-Identifier: Apache-2.0
// relevance: how well one list as it was published meets a set of relevant items.
//
// Conventions, which every figure follows. Precision divides by the cut-off, however short the list
// is. A repeated item is a miss where it stands again. AP and nDCG divide by what the best list of
// that length reaches: min(k, |relevant|) hits, all in front (others divide AP by |relevant|).
// Gains are 0 and 1. A user without a list counts as a list of length 0: zeros, not absent.
#ifndef MR_WORKER_MEASURE_RELEVANCE_H
#define MR_WORKER_MEASURE_RELEVANCE_H

#include <stdbool.h>

#include "core/base/sort.h"

// 1 / log2(rank + 1), rank from 1: what a place is worth.
double mr_rank_discount(uint32_t rank);

// Whether a key stands among `count` keys, ascending.
bool mr_keys_contain(const uint64_t *sorted, uint32_t count, uint64_t key);

typedef struct mr_relevance { // of the first k places; all but dcg within 0..1
    double precision, recall, f1, ap, dcg, ndcg;
    double rr;  // 1 / rank of the first hit, 0 without one
    double hit; // 1: any hit
} mr_relevance;

// Values at each of the cut-offs.
//
//   list      list_count item keys, best first
//   relevant  relevant_count >= 1 item keys, ascending, each once
//   cuts      cut_count cut-offs >= 1, ascending; at[i] is the value at cuts[i]
//
// O(list_count log relevant_count + hits * list_count).
void mr_relevance_of(const uint64_t *list, uint32_t list_count, const uint64_t *relevant,
                     uint32_t relevant_count, const uint32_t *cuts, uint32_t cut_count,
                     mr_relevance *at);

// Probability that a positive scores above a negative, ties counted half. labels: 0 or 1. A NaN
// score counts as the lowest. NAN where there are no positives or no negatives. scratch: count
// entries.
double mr_auc(const float *scores, const uint8_t *labels, uint32_t count, mr_sorted *scratch);

#endif
