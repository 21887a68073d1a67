// SPDX-License-Identifier: Apache-2.0
// joint: relevance and fairness to items of the lists at the split, taken together (DPFR).
//
// The distance of the lists from the middle of the frontier (frontier.h, pareto.h) of the same
// users, items and places: as many as the longest list has. Relevance is the mean nDCG over users
// who acted after the split, fairness 1 less the corrected Gini of how often items stand in their
// lists. Of more than MR_JOINT_USERS_MAX users as many are drawn, by hash.
#ifndef MR_WORKER_MEASURE_JOINT_H
#define MR_WORKER_MEASURE_JOINT_H

#include "worker/measure/frontier.h"
#include "worker/measure/split.h"

enum { MR_JOINT_USERS_MAX = 100000 };

typedef struct mr_joint { // zeros: nothing was judged
    uint32_t users, places;
    mr_trade lists, reference;
    double distance; // NAN where there is no frontier, or no fairness of the lists
    mr_frontier frontier; // its points, in order
} mr_joint;

size_t mr_joint_bytes(uint32_t users_max, uint32_t items_max, uint32_t relevant_max);
// users: how many numbers are in use, with their keys. The arena has mr_joint_bytes of the sizes of
// the split, zeroed, and is kept for the points. shown: its scratch is used.
mr_joint mr_joint_judge(const mr_split *split, const mr_shown *shown, const uint64_t *keys,
                        uint32_t users, uint64_t seed, mr_arena *arena);

#endif
