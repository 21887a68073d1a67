// SPDX-License-Identifier: Apache-2.0
// frontier: what lists could reach of relevance and of fairness to items together.
//
// The walk begins at the oracle: each user's list has his relevant items in front, the least shown
// where he has more than there are places, and is filled up with the least shown items. Then, again
// and again, the item that is shown most leaves a list, the one where it stands last, and the least
// shown item that is not in that list comes in, with relevant items in front as before; where that
// makes nothing fairer the next list is taken. At the end all are shown alike, but for one. After
// each step there is a point: the mean nDCG of the lists, and 1 less the corrected Gini of exposure
// (fairness.h). Of equal ones, the item that came to its count last is taken, and of equal places
// the list that got the item last.
//
// A step costs O(k^2). Points are thinned to at most MR_FRONTIER_POINTS, evenly, the first and
// the last among them. Source: Rampisela et al., "Joint Evaluation of Fairness and Relevance in
// Recommender Systems with Pareto Frontier". Departure: items that a user had before are not
// excluded, here as little as in the lists that are judged by it.
#ifndef MR_WORKER_MEASURE_FRONTIER_H
#define MR_WORKER_MEASURE_FRONTIER_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "worker/measure/pareto.h"

enum { MR_FRONTIER_POINTS = 1024, MR_FRONTIER_PLACES_MAX = 100 };

typedef struct mr_frontier_place { // a place of a list
    uint32_t item, next, before; // places + 1 of other lists where the item stands as far behind
} mr_frontier_place;

typedef struct mr_frontier_item {
    uint32_t count, next, before; // items + 1 of the same count
} mr_frontier_item;

typedef struct mr_frontier {
    uint32_t users, items, k;
    const uint32_t *first, *relevant; // of user u: [first[u], first[u + 1]), ascending
    mr_frontier_place *places;        // users x k
    uint32_t *front;                  // of a user: how many of his items are relevant, in front
    mr_frontier_item *of;             // items
    uint32_t *stands;                 // items x k: the place + 1 that came last; 0: none
    uint32_t *levels, *level_counts;  // of a count: the item + 1 that came last; how many
    uint32_t least, most;             // counts that there are
    double pairs;                     // sum over pairs of items of the distance of their counts
    double relevance;                 // sum over users of nDCG
    mr_trade *points;
    uint32_t point_count;
    uint64_t steps, stride;
} mr_frontier;

size_t mr_frontier_bytes(uint32_t users_max, uint32_t items_max, uint32_t k);
// Walks. first, relevant: items' numbers, each user has one or more; borrowed for the call. Every
// number below `items` counts as one that could be shown. The arena has mr_frontier_bytes of these
// sizes, zeroed. Afterwards points[point_count] is in order (pareto.h); no point where
// items <= k or users < 2.
void mr_frontier_walk(mr_frontier *frontier, uint32_t users, uint32_t items, uint32_t k,
                      const uint32_t *first, const uint32_t *relevant, mr_arena *arena);

#endif
