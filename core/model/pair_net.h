// SPDX-License-Identifier: Apache-2.0
// pair_net: what one of a user's items (a trigger) says for another item (a target), by a small
// network over the features of the pair; and what all triggers together say. Pure functions over
// the caller's arrays.
//
//     g = w2 . relu(W1 x + b1) + w3 . x       of a pair
//     G = ln sum exp g, or max g              of a target, over the triggers that have it
// Source: "PI2I: A Personalized Item-Based Collaborative Filtering Retrieval Framework". Departure:
// one hidden layer beside a linear part instead of an interactive network.
#ifndef MR_CORE_MODEL_PAIR_NET_H
#define MR_CORE_MODEL_PAIR_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/vec.h"

enum { MR_PAIR_X = 16, MR_PAIR_HIDDEN = 16 };

typedef struct mr_pair_net { // parameters, or a gradient by them: all floats
    float w1[MR_PAIR_HIDDEN][MR_PAIR_X];
    float b1[MR_PAIR_HIDDEN], w2[MR_PAIR_HIDDEN], w3[MR_PAIR_X];
} mr_pair_net;

enum { MR_PAIR_FLOATS = sizeof(mr_pair_net) / sizeof(float) };
_Static_assert(MR_PAIR_FLOATS % 16 == 0, "what core/base/vec wants");

// g of a pair. hidden, out: relu(W1 x + b1).
float mr_pair_score(const mr_pair_net *of, const mr_vec *vec, const float x[MR_PAIR_X],
                    float hidden[MR_PAIR_HIDDEN]);
// Adds to `gradient` that of a loss with this derivative by g; hidden is what mr_pair_score gave.
void mr_pair_back(const mr_pair_net *of, const mr_vec *vec, const float x[MR_PAIR_X],
                  const float hidden[MR_PAIR_HIDDEN], float by_g, mr_pair_net *gradient);

// G of count > 0 pairs of one target. shares, out: dG/dg of each, adding up to 1; of equal largest
// ones under max the first has it.
float mr_pair_pool(const float *g, uint32_t count, bool max, float *shares);

#endif
