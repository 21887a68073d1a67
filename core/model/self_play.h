// SPDX-License-Identifier: Apache-2.0
// self_play: what a user was shown last and did not act on, as negatives to learn from. What is
// recommended too often is drawn most, and falls.
//
// With i the item of an act, j one that was shown, s their scores now and s0 those of the time when
// they were shown,
//     L = -log sigma(beta ((s_i - s_j) - (s0_i - s0_j))),
// and j is drawn by a softmax of s0 over what was shown and not acted on.
// Source: Gao et al., "SPRec: Self-Play to Debias LLM-based Recommendation", with a score for the
// logarithm of a probability, since what normalises it cancels; and what was shown, not what was
// computed.
#ifndef MR_CORE_MODEL_SELF_PLAY_H
#define MR_CORE_MODEL_SELF_PLAY_H

#include "core/model/model.h"

enum { MR_SHOWN_MAX = 16 };

typedef struct mr_shown_item {
    uint64_t item;
    float score; // s0
    uint32_t reserved;
} mr_shown_item;

typedef struct mr_shown { // a part of a user's row: newest first, no item twice, zeros behind count
    uint64_t count;
    mr_shown_item items[MR_SHOWN_MAX];
} mr_shown;

// Leading bytes that are not zeros.
uint32_t mr_shown_used(const mr_shown *shown);
// The item was shown, and had this score. Where there is no room the oldest one goes. One whose
// place hardly anybody looks at (signal->examined) was not refused, and is left out.
void mr_shown_put(mr_shown *shown, const mr_signal *signal, float score);
// The user acted on the item: it is taken away. Returns its score, or `otherwise` if it is not
// there.
float mr_shown_take(mr_shown *shown, uint64_t item, float otherwise);
// One of what is left, without the user's recent items; NULL: there is none.
const mr_shown_item *mr_shown_draw(const mr_shown *shown, const mr_user *user, mr_rng *rng);

// dL/ds_j, which is -dL/ds_i, by gap = (s_i - s_j) - (s0_i - s0_j); the second derivative by either
// in *curvature. beta > 0.
double mr_self_play_gradient(double beta, double gap, double *curvature);

#endif
