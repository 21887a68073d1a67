// SPDX-License-Identifier: Apache-2.0
// measure: judges the lists of a replay by what their users did next, in one pass.
//
// It is told of published lists and of learned events, in the order in which they come about, and
// keeps for each user the list in force. Nothing that it does reaches the engine. All memory is
// taken at the start and does not grow with the log (pages that are never touched are never there);
// users beyond MR_MEASURE_USERS_MAX are left out altogether, with lists and acts, and counted.
#ifndef MR_WORKER_MEASURE_MEASURE_H
#define MR_WORKER_MEASURE_MEASURE_H

#include <jansson.h>
#include <stdio.h>

#include "core/event/epoch.h"
#include "core/list/record.h"
#include "worker/measure/acts.h"
#include "worker/measure/diversity.h"
#include "worker/measure/joint.h"
#include "worker/measure/shown.h"
#include "worker/measure/split.h"

enum {
    MR_MEASURE_USERS_MAX = 1 << 20,
    MR_MEASURE_RELEVANT_MAX = 1 << 22, // of all users, after the split
    MR_MEASURE_RESAMPLES = 200,
};

typedef struct mr_measure_options {
    uint32_t users_max, items_max, resamples;
    uint64_t seed;
    const char *field; // of the context, by whose values acts are split; NULL: none. Borrowed
    bool split;        // by time:
    int64_t split_ms;  // the first event at this time or later is the first after the split
} mr_measure_options;

typedef struct mr_measure_counts {
    uint64_t acts, acts_left_out, lists_left_out;
    uint64_t purchases, purchases_listed; // lines of purchases; of items in the list in force
    double revenue, revenue_listed;
    uint64_t compared;     // lists with one before them
    double churn, jaccard; // sums over them: 1 - RBO (p = .9, extrapolated); shared items
} mr_measure_counts;

typedef struct mr_measure {
    mr_measure_options options;
    void *memory;
    size_t bytes;
    mr_map users; // key -> number
    uint32_t user_count;
    uint64_t *keys;  // of the users
    uint64_t *lists; // users x MR_ACT_DEPTH: the list in force
    uint8_t *listed; // how many of them
    uint8_t *acted;
    bool after_split;
    mr_measure_counts counts;
    mr_acts acts;
    mr_shown shown;
    mr_split split;
    mr_diversity diversity;
    mr_arena rest; // for what is judged at the end
    mr_split_result split_result;
    mr_joint joint;
    mr_shown_result shown_result;
    mr_diversity_result diversity_result;
} mr_measure;

// Errors: MR_FATAL: out of memory. A failed open needs no close.
MR_CHECKED mr_status mr_measure_open(mr_measure *measure, const mr_measure_options *options,
                                     mr_error *err);
void mr_measure_close(mr_measure *measure); // also of zeros

// A list is in force from now on.
void mr_measure_list(mr_measure *measure, const mr_list *list);
// A learned event: its acts are judged by the list in force, then they count as history.
void mr_measure_event(mr_measure *measure, const mr_event *event);
// What came so far is history: known, but neither scored nor counted. Not after the split.
void mr_measure_reset(mr_measure *measure);
// warmup: share of the acts that are not scored. The last call before the results.
void mr_measure_conclude(mr_measure *measure, double warmup);

// At MR_ACT_DEPTH, since the start: sums of recall, ndcg and rr, and how many acts.
typedef struct mr_measure_sums {
    double count, of[MR_ACT_MEASURES];
} mr_measure_sums;
mr_measure_sums mr_measure_now(const mr_measure *measure);

// After mr_measure_conclude. What is not defined is null, or "-".
json_t *mr_measure_json(const mr_measure *measure);
void mr_measure_print(const mr_measure *measure, FILE *out);

#endif
