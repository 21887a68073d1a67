// SPDX-License-Identifier: Apache-2.0
// split: lists in force at one moment against all that their users act on afterwards.
//
// The other protocol beside the prequential one: relevant are the items of a user's acts from the
// split on, each once, whether he had them before or not; the list is the one he had in force then.
// Every user with a relevant item counts, with zeros where he had no list; means are over users.
// A user's relevant items are kept to a number, all of them to another; what is beyond is counted.
//
// EPC and EFD (exposure.h) go by the popularity at the split. EFD is not defined for a list with a
// relevant item that nobody had until then: its mean is over the users of all others.
#ifndef MR_WORKER_MEASURE_SPLIT_H
#define MR_WORKER_MEASURE_SPLIT_H

#include "core/base/arena.h"
#include "worker/measure/acts.h"
#include "worker/measure/relevance.h"
#include "worker/measure/shown.h"

enum {
    MR_SPLIT_MEASURES = 8, // precision, recall, f1, ap, ndcg, rr, hit, epc
    MR_SPLIT_TERMS = MR_ACT_CUTS * MR_SPLIT_MEASURES,
    MR_SPLIT_RELEVANT_MAX = 256, // of a user
};

extern const char *const mr_split_measure_names[MR_SPLIT_MEASURES];

typedef struct mr_split_relevant {
    uint64_t item;
    uint32_t next; // number + 1 of the user's earlier entry; 0: none
    uint32_t place; // of this entry among the user's, from 1
} mr_split_relevant;

typedef struct mr_split {
    uint32_t users_max, relevant_max, resamples;
    uint64_t *lists; // users_max x MR_ACT_DEPTH, as they were at the split
    uint8_t *listed;
    uint32_t *newest; // of a user, as `next`
    mr_split_relevant *relevant;
    uint32_t relevant_count;
    uint64_t left_out;
    double *sums, *efd_sums;
    double *popularity; // of the items, and of whom, at the split
    uint32_t items;
    double acted, total;
} mr_split;

size_t mr_split_bytes(uint32_t users_max, uint32_t items_max, uint32_t relevant_max,
                      uint32_t resamples);
// The arena's memory is zeroed already.
void mr_split_init(mr_split *split, uint32_t users_max, uint32_t items_max, uint32_t relevant_max,
                   uint32_t resamples, mr_arena *arena);
// The moment of the split: lists of the first `users` users, and how many items each has.
void mr_split_freeze(mr_split *split, const uint64_t *lists, const uint8_t *listed, uint32_t users,
                     const mr_shown *shown);
void mr_split_act(mr_split *split, uint32_t user, uint64_t item);
// The items of a user's relevant ones, ascending; returns how many.
uint32_t mr_split_relevant_of(const mr_split *split, uint32_t user,
                              uint64_t items[MR_SPLIT_RELEVANT_MAX]);

typedef struct mr_split_result {
    mr_tally of;  // MR_SPLIT_TERMS: means over users
    mr_tally efd; // MR_ACT_CUTS terms: over those of whom it is defined
} mr_split_result;

// Sums up users 0 .. users - 1. keys: their keys, for the draws.
mr_split_result mr_split_conclude(mr_split *split, const uint64_t *keys, uint32_t users,
                                  uint64_t seed, const mr_shown *shown);

#endif
