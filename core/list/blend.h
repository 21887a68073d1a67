// SPDX-License-Identifier: Apache-2.0
// blend: one relevance from all columns, learned online, under a gate.
//
// Features of a column over the candidates: its standardised value z; for counts the standardised
// logarithm l, because one item is their whole tail; r, the log of how often past targets stood at
// the candidate's place in the column's own list. relevance = sum_f (w_f + v_segment,f) x_f. It
// learns from probes by softmax over the target and 32 uniform draws of the candidates. Log loss is
// not the list's metric, so a gate stands above: for each segment of users the arm (the blend, or
// one column alone) with the best faded nDCG@20 is published. Sources: Duchi et al. (AdaGrad, the
// step); Krichevsky-Trofimov-style smoothing of the histogram and the gate are ours.
#ifndef MR_CORE_LIST_BLEND_H
#define MR_CORE_LIST_BLEND_H

#include "core/list/candidates.h"

enum {
    MR_SEGMENTS = 4,   // recent events of the user: 0, 1, 2-4, 5 and more
    MR_FEATURES = 3,   // of a column: z, l, r
    MR_RANK_BINS = 12, // upper ends 1 2 3 4 6 9 13 20 30 50 100, and beyond
    MR_BLEND_DRAWS = 32,
    MR_FEATURES_MAX = MR_FEATURES * MR_ENGINE_COLUMNS_MAX,
};

typedef struct mr_blend_column { // a row: what the blend knows of one column
    float weight[MR_FEATURES], squares[MR_FEATURES];
    float by_segment[MR_SEGMENTS][MR_FEATURES], squares_by_segment[MR_SEGMENTS][MR_FEATURES];
    float ranks[MR_RANK_BINS]; // faded counts of where targets stood
    float ndcg[MR_SEGMENTS];   // faded sums: this column alone as an arm
} mr_blend_column;

typedef struct mr_blend_gate { // a row: what it knows of the blend as a whole
    uint64_t probes;
    uint64_t arm[MR_SEGMENTS]; // key of the published column; 0: the blend
    uint32_t probes_of[MR_SEGMENTS];
    float ndcg[MR_SEGMENTS], count[MR_SEGMENTS]; // faded sums of the blend, and of ones
} mr_blend_gate;

typedef struct mr_blend {
    mr_blend_column *columns[MR_ENGINE_COLUMNS_MAX];
    mr_blend_gate *gate;
    uint32_t column_count;
} mr_blend;

// What one probe teaches: computed in the task's lane, applied by the blend's owner in order.
typedef struct mr_blend_lesson {
    uint32_t segment;
    bool in_union; // the target stood among the candidates: there is a gradient
    float gradient[MR_FEATURES_MAX];
    uint8_t places[MR_ENGINE_COLUMNS_MAX]; // of the target in each column
    float ndcg[MR_ENGINE_COLUMNS_MAX + 1]; // of each arm, the blend last
} mr_blend_lesson;

// The value of a row that is absent; column_count columns share the start.
void mr_blend_column_init(mr_blend_column *row, uint32_t column_count);

uint32_t mr_blend_segment(const mr_user *user);
// x = (s - mean)/sd, clipped at 8; 0 where all are equal.
void mr_blend_standardise(const float *s, uint32_t count, float *x);
// The same of ln(s / max s + .0001), for s >= 0.
void mr_blend_logarithms(const float *s, uint32_t count, float *x);
// x[f * MR_UNION_MAX + i]: features of candidate i. item_count: live items, for the bin beyond.
void mr_blend_features(const mr_blend *blend, const mr_columns *columns, const mr_union *candidates,
                       uint32_t item_count, float *x);
void mr_blend_relevance(const mr_blend *blend, uint32_t segment, const float *x,
                        uint32_t candidate_count, float *relevance);
// The published arm of a segment: index of a column, or column_count for the blend.
uint32_t mr_blend_arm(const mr_blend *blend, const mr_columns *columns, uint32_t segment);

// Gradient of the loss for target (index among the candidates) with draws keyed by rng; weight > 0.
void mr_blend_gradient(const mr_blend *blend, uint32_t segment, const float *x,
                       const float *relevance, uint32_t candidate_count, uint32_t target,
                       float weight, mr_rng *rng, float *gradient);
// Applies a lesson to the rows.
void mr_blend_learn(mr_blend *blend, const mr_columns *columns, const mr_blend_lesson *lesson);

#endif
