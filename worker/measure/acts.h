// SPDX-License-Identifier: Apache-2.0
// acts: each act against the list that its user had in force: by segment, with intervals.
//
// The list was published before the act was learned ("as served"). An act has one relevant item, so
// that of the measures of relevance three are left that differ: recall (which is the hit rate too,
// and precision times the cut-off), nDCG, and the reciprocal rank (which is AP). A user without a
// list counts as zeros. Means are over acts, intervals over users.
//
// Memory is fixed at the start. To leave a warm-up out whose length is known at the end only, the
// sums are copied now and then; every second copy goes when they are too many.
#ifndef MR_WORKER_MEASURE_ACTS_H
#define MR_WORKER_MEASURE_ACTS_H

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "worker/measure/resample.h"

enum {
    MR_ACT_CUTS = 3, // 5, 10, 20
    MR_ACT_DEPTH = 20,
    MR_ACT_MEASURES = 3, // recall, ndcg, rr
    MR_ACT_LISTED = MR_ACT_CUTS * MR_ACT_MEASURES, // term: had a list
    MR_ACT_TERMS,
    MR_ACT_VALUES_MAX = 16, // of the field that splits; what comes later is "(other)"
    MR_ACT_NAME_MAX = 32,
    MR_ACT_COPIES = 64,
};

extern const uint32_t mr_act_cuts[MR_ACT_CUTS];
extern const char *const mr_act_measure_names[MR_ACT_MEASURES];

typedef enum mr_act_segment {
    MR_ACTS_ALL,
    MR_ACTS_NEW_USER, // his first act
    MR_ACTS_KNOWN_USER,
    MR_ACTS_HEAD_ITEM,
    MR_ACTS_TAIL_ITEM,
    MR_ACTS_FIELD, // the first value of the field
    MR_ACTS_FIELD_OTHER = MR_ACTS_FIELD + MR_ACT_VALUES_MAX,
    MR_ACTS_FIELD_NONE, // events without the field
    MR_ACT_SEGMENTS,
} mr_act_segment;

typedef struct mr_acts {
    uint32_t resamples, segments; // segments that are kept: MR_ACTS_FIELD, or all with a field
    uint64_t seed;
    double *sums; // segments tallies, one after the other
    double *copies;
    uint64_t copied_at[MR_ACT_COPIES]; // acts
    uint32_t copy_count;
    uint64_t copy_every, count, warmup; // acts; warmup: left out by mr_acts_conclude
    char values[MR_ACT_VALUES_MAX][MR_ACT_NAME_MAX];
    uint32_t value_count;
    mr_draw draw;
    uint64_t drawn; // user key of the draw
} mr_acts;

// by_field: whether acts are split by a field of the context.
size_t mr_acts_bytes(bool by_field, uint32_t resamples);
// The arena's memory is zeroed already.
void mr_acts_init(mr_acts *acts, bool by_field, uint32_t resamples, uint64_t seed, mr_arena *arena);

typedef struct mr_act {
    uint64_t user;
    uint32_t place; // of the item in the list in force; MR_ACT_DEPTH: not there
    bool listed;    // the user has a list
    bool known;     // he has acted before
    bool head;      // the item is one of the head
    bool has_field;
    mr_bytes value; // of the field
} mr_act;

void mr_acts_add(mr_acts *acts, const mr_act *act);
// What came so far is not scored.
void mr_acts_reset(mr_acts *acts);
// Takes off the sums of the first `share` of the acts, or of a few per cent more. The last call.
void mr_acts_conclude(mr_acts *acts, double share);

mr_tally mr_acts_of(const mr_acts *acts, mr_act_segment segment);
// "all", "new users", ..., or the field's value. NULL: the segment has no name, and no acts.
const char *mr_acts_name(const mr_acts *acts, mr_act_segment segment);
// Of the recall at MR_ACT_DEPTH of head and tail items: NAN where one has no acts.
double mr_acts_popreo(const mr_acts *acts);

#endif
