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

// Values at MR_CUT of a target with `above` items over it and `tied` of its score, itself included.
mr_hit_value mr_hit_value_of(double above, double tied);

typedef struct mr_probe_sums {
    mr_prequential of[MR_PROTOCOLS][MR_ENGINE_COLUMNS_MAX + 1];
    mr_prequential served;
} mr_probe_sums;

typedef struct mr_probe_result { // of one target under one protocol
    uint64_t user;               // key of whose target it is
    uint32_t user_events, item_events; // learned of them before
    bool product;                // of the protocol that the product serves; else of the other
    bool measured, learned;      // counts for the sums; teaches the blend
    mr_protocol protocol;
    mr_hit_value hits[MR_ENGINE_COLUMNS_MAX + 1]; // columns, then what is published
    mr_blend_lesson lesson;
} mr_probe_result;

typedef struct mr_probe_ask { // one target for one user
    uint32_t user, target;
    bool known;              // something was learned of the item, or read of it in the catalogue
    mr_filter filter;        // what is ranked
    const mr_blend *blend;   // that would have served, and learns
    float weight;            // of its lesson
    mr_rng rng;              // draws of its lesson
    const mr_signal *signal; // the act itself; where models learn from it,
    struct mr_deltas *deltas; // what it teaches them goes here. NULL: nothing
    // user, product, measured, learned and protocol are set; the rest is filled
    mr_probe_result *result;
} mr_probe_ask;

enum { MR_PROBE_BATCH = 64 };

// Probes up to MR_PROBE_BATCH targets. What models give for many users at once costs a fraction of
// what it costs for each alone; no result depends on its company. Scratch from the arena is given
// back.
void mr_probe_targets(const mr_columns *columns, const mr_view *view, const mr_probe_ask *asks,
                      uint32_t count, mr_arena *arena);

void mr_probe_add(mr_probe_sums *sums, const mr_probe_result *result, uint32_t column_count);

#endif
