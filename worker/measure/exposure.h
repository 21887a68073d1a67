// SPDX-License-Identifier: Apache-2.0
// exposure: whom lists show: how evenly over the items, and how much beyond what is popular anyway.
//
// Items are indexes 0..n-1. Exposure is a number an item, added up over lists: how often it was
// shown, or shown by weight of its rank. Counts of parts of a log add up; the measures do not, so
// they are taken from merged counts. NAN where a measure is not defined.
#ifndef MR_WORKER_MEASURE_EXPOSURE_H
#define MR_WORKER_MEASURE_EXPOSURE_H

#include <stdbool.h>

#include "core/base/sort.h"

typedef struct mr_spread {
    double coverage; // share of the items that were shown
    double gini;     // 0: all alike .. 1 - 1/n: one item alone; others divide by n - 1
    double shannon;  // bits
} mr_spread;

// exposure: n numbers >= 0. scratch: n entries. NAN with no item, or nothing shown (but coverage).
mr_spread mr_spread_of(const double *exposure, uint32_t n, mr_sorted *scratch);

typedef struct mr_popularity { // of the items, when a list is judged
    const double *counts;      // of users who had the item, or of acts
    const bool *head;          // as mr_popularity_head fills it
    uint32_t items;
    double users; // that a count is at most
    double total; // of the counts
} mr_popularity;

// The head: the shortest prefix of the items, most popular first and of equals the lower index,
// that has `share` (0.8) of all counts. Items that nobody had are tail. Returns the head's size.
// scratch: n entries.
uint32_t mr_popularity_head(const double *counts, uint32_t n, double share, bool *head,
                            mr_sorted *scratch);

typedef struct mr_listed { // of one list; NAN for an empty one
    double arp;            // mean count of its items
    double aclt, aplt;     // items of the tail, and their share of the list
    double epc_plain;      // mean of 1 - count / users, weighted by rank
    double epc;            // the same, relevant items alone in the numerator
    double efd;            // as epc, of -log2(count / total); NAN: a relevant item has no count
    double novelty;        // mean of -log2((count + 1) / (total + items))
} mr_listed;

// list: `count` indexes, best first. relevant: flags of the places; NULL: epc and efd are NAN.
// Source: Vargas and Castells, "Rank and relevance in novelty and diversity metrics"; Abdollahpouri
// et al., "Managing popularity bias in recommender systems with personalized re-ranking".
mr_listed mr_listed_of(const uint32_t *list, uint32_t count, const bool *relevant,
                       const mr_popularity *popularity);

// How unequally `groups` of items are treated: population deviation over mean of their rates
// part / whole. 0: alike. PopREO: part = hits on relevant items of the group, whole = relevant
// items of the group that the user had not seen. PopRSP: part = items of the group that were
// shown, whole = items of the group that could have been. NAN where a group has nothing to meet,
// or no rate is above 0. Source: Zhu et al., "Measuring and mitigating item under-recommendation
// bias".
double mr_group_disparity(const double *part, const double *whole, uint32_t groups);

#endif
