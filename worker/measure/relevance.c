// SPDX-License-Identifier: Apache-2.0
// Sources: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques" (nDCG);
// Hanley and McNeil, "The meaning and use of the area under a ROC curve".
#include "worker/measure/relevance.h"

#include <math.h>

#include "core/base/error.h"

double mr_rank_discount(uint32_t rank)
{
    return 1.0 / log2((double)rank + 1.0);
}

bool mr_keys_contain(const uint64_t *sorted, uint32_t count, uint64_t key)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (sorted[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == key;
}

static bool is_repeated(const uint64_t *list, uint32_t place)
{
    for (uint32_t i = 0; i < place; i++)
        if (list[i] == list[place])
            return true;
    return false;
}

void mr_relevance_of(const uint64_t *list, uint32_t list_count, const uint64_t *relevant,
                     uint32_t relevant_count, const uint32_t *cuts, uint32_t cut_count,
                     mr_relevance *at)
{
    double hits = 0, precisions = 0, dcg = 0, best = 0, rr = 0;
    uint32_t place = 0, ideal = 0;
    MR_ASSERT(relevant_count > 0);
    for (uint32_t c = 0; c < cut_count; c++) {
        const uint32_t k = cuts[c], reachable = k < relevant_count ? k : relevant_count;
        MR_ASSERT(k > 0 && (c == 0 || k > cuts[c - 1]));
        for (; place < k && place < list_count; place++) {
            if (!mr_keys_contain(relevant, relevant_count, list[place]) || is_repeated(list, place))
                continue;
            hits += 1;
            precisions += hits / (place + 1);
            dcg += mr_rank_discount(place + 1);
            rr = rr > 0 ? rr : 1.0 / (place + 1);
        }
        while (ideal < reachable)
            best += mr_rank_discount(++ideal);
        const double precision = hits / k, recall = hits / relevant_count;
        at[c] = (mr_relevance){
            .precision = precision,
            .recall = recall,
            .f1 = hits > 0 ? 2 * precision * recall / (precision + recall) : 0,
            .ap = precisions / reachable,
            .dcg = dcg,
            .ndcg = dcg / best,
            .rr = rr,
            .hit = hits > 0,
        };
    }
}

double mr_auc(const float *scores, const uint8_t *labels, uint32_t count, mr_sorted *scratch)
{
    double above = 0, below = 0, won = 0; // positives and negatives so far, from the top down
    for (uint32_t i = 0; i < count; i++)
        scratch[i] =
            (mr_sorted){mr_sort_descending(isnan(scores[i]) ? -INFINITY : scores[i]), labels[i], 0};
    mr_sort(scratch, count);
    for (uint32_t i = 0; i < count;) {
        double positives = 0, negatives = 0; // of one score
        for (const uint64_t key = scratch[i].key; i < count && scratch[i].key == key; i++) {
            positives += scratch[i].value;
            negatives += 1.0 - scratch[i].value;
        }
        won += negatives * (above + positives / 2);
        above += positives;
        below += negatives;
    }
    return above > 0 && below > 0 ? won / (above * below) : (double)NAN;
}
