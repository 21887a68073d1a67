// SPDX-License-Identifier: Apache-2.0
// probe: asks, before an act is learned, where its item stood: test, then learn.
//
// For a target it ranks every column's own list and the blend's, under one protocol: `all` ranks
// every item seen so far; `new` leaves out the user's earlier items and takes only targets that are
// new to him. An item that nothing was learned of yet is a miss. Ties count by expectation over
// their order. From what a probe found the blend learns, so the ranks never see their own label.
// Source: prequential evaluation (Gama et al., "On Evaluating Stream Learning Algorithms").
#ifndef MR_CORE_EVAL_PROBE_H
#define MR_CORE_EVAL_PROBE_H

#include "core/eval/history.h"
#include "core/list/blend.h"

enum { MR_CUT = 20, MR_HISTORY_SEEN_MAX = 4096 };

typedef enum mr_protocol { MR_PROTOCOL_ALL, MR_PROTOCOL_NEW, MR_PROTOCOLS } mr_protocol;

typedef struct mr_hit_value { // expected over ties
    float recall, ndcg, rr;
} mr_hit_value;

// Values at MR_CUT of a target with `above` items over it and `tied` of its score, itself included.
mr_hit_value mr_hit_value_of(double above, double tied);

typedef struct mr_probe_sums {
    mr_prequential of[MR_PROTOCOLS][MR_ENGINE_COLUMNS_MAX + 1];
    mr_prequential served;
} mr_probe_sums;

typedef struct mr_probe_result { // of one target under one protocol
    bool product;                // of the protocol that the product serves; else of the other
    bool measured, learned;      // counts for the sums; teaches the blend
    mr_protocol protocol;
    mr_hit_value hits[MR_ENGINE_COLUMNS_MAX + 1]; // columns, then what is published
    mr_blend_lesson lesson;
} mr_probe_result;

// Probes one target for one user. `known`: something was learned of the item. rng: draws of the
// blend's lesson. Scratch from the arena is given back.
void mr_probe_target(const mr_columns *columns, const mr_blend *blend, const mr_view *view,
                     uint32_t user, uint32_t target, bool known, const mr_filter *filter,
                     float weight, mr_rng *rng, mr_arena *arena, mr_probe_result *result);

void mr_probe_add(mr_probe_sums *sums, const mr_probe_result *result, uint32_t column_count);

#endif
