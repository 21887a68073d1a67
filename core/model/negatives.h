// SPDX-License-Identifier: Apache-2.0
// negatives: blocks of items that acts are compared with, drawn from a task's recent acts and
// uniformly from all items. A block is shared by MR_BLOCK_ACTS acts of one task's epoch and keyed
// by it.
#ifndef MR_CORE_MODEL_NEGATIVES_H
#define MR_CORE_MODEL_NEGATIVES_H

#include "core/rows.h"

enum {
    MR_BLOCK_ACTS = 64,
    MR_NEGATIVES_MAX = 256, // of a block: what the engine has room for (mr_engine_delta_rows)
};

typedef struct mr_sampler {
    uint32_t draws;
    float uniform; // share of draws from all items alike; the rest are recent acts
    bool expected; // whether log_q is filled
} mr_sampler;

typedef struct mr_block { // of candidates: at 0 an act's item, then the negatives that acts share
    uint32_t count, number;
    uint32_t *slots;
    uint64_t *keys; // of the negatives' items
    float *log_q; // ln of how often the sampler draws the item in all draws together
    float *scores, *gradients, *curvatures; // the trainer's
    float **payloads;                       // of the items' deltas, NULL until needed
} mr_block;

// An empty block with room for so many draws, in the arena.
void mr_block_open(mr_block *block, uint32_t draws, mr_arena *arena);
// Draws the block of the act at `index` of its epoch, if it is not there already.
void mr_block_fill(mr_block *block, const mr_sampler *sampler, const mr_view *view, uint32_t index);

// Of a block that is filled: puts the act's item at 0, and MR_LOSS_LEFT_OUT in the place of the scores of negatives that are
// that item or among the user's recent ones.
void mr_block_meet(mr_block *block, const mr_view *view, const mr_signal *signal);
// Scores the act's item and all negatives of a user: dot products of `user` with rows, which lie by
// slot, n floats each. Negatives that are the act's item or among the user's recent ones are left
// out (MR_LOSS_LEFT_OUT).
void mr_block_score(mr_block *block, const mr_view *view, const mr_signal *signal,
                    const float *user, const float *rows, uint32_t n);

#endif
