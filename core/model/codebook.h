// SPDX-License-Identifier: Apache-2.0
// codebook: the rows that codebooks of residual quantisation (residual.h) are learned in, and what
// is added to them.
//
// Codebooks are made level by level, in steps: one that seeds entries, MR_CODEBOOK_ROUNDS of
// k-means, and one that only turns. A step goes over the items in slices; its place is the stage's.
// An entry has a frozen vector, which codes are made with, and the sum and count of what came to
// it. Before a step the level's entries are told to turn: the frozen vector becomes the mean of the
// last step's. Once they are made, sums move by averages, and where the entries that sums stand for
// (the shadow) are found to be better by enough, frozen vectors become them: a publication.
#ifndef MR_CORE_MODEL_CODEBOOK_H
#define MR_CORE_MODEL_CODEBOOK_H

#include "core/model/residual.h"

enum {
    MR_CODEBOOK_ROUNDS = 10,
    MR_CODEBOOK_STEPS = MR_CODEBOOK_ROUNDS + 2, // of a level
    MR_CODEBOOK_COMPARED = 1000,                // items after which a publication is decided on
};
#define MR_CODEBOOK_ETA 0.01 // weight of an item; what was fades by so much in 1,000 items
#define MR_CODEBOOK_LEARNED UINT32_MAX // step of what is learned once codebooks are made

typedef struct mr_stage { // where the codebooks stand: one row
    uint64_t cursor;      // key of the last item that this step has taken
    uint64_t clock;       // items described since codebooks were made
    uint32_t step, taken; // the step, from 0, and items that it has taken
    uint32_t published;
    float described;                                      // until the first step
    float frozen_error, shadow_error, compared, reserved; // sums since the last decision
} mr_stage;

typedef struct mr_progress { // what is added to it
    uint64_t from, cursor;   // of a slice: where it begins and ends
    uint32_t step;           // + 1, to which it belongs; 0: there is none
    uint32_t taken, is_last;
    float described, frozen_error, shadow_error, compared;
    uint32_t reserved;
} mr_progress;

typedef struct mr_entry { // of a codebook: a row
    uint64_t clock;       // as of which the averages are
    uint32_t turned, published;
    float count, reserved;
    float floats[]; // frozen vector, sum: n each
} mr_entry;

typedef struct mr_residuals { // what is added to it
    uint64_t clock;
    uint32_t turn, publish; // to this step + 1, and to this publication
    uint32_t step;          // + 1, or MR_CODEBOOK_LEARNED, in which the sum was made
    uint32_t reset;         // the entry begins anew with it
    float count, reserved;
    float sum[]; // n
} mr_residuals;

static inline bool mr_stage_is_made(const mr_stage *of)
{
    return of->step >= MR_RESIDUAL_LEVELS_MAX * MR_CODEBOOK_STEPS;
}

// Sums of numbers; of two slices the later step's, for one that was made again before the owner's
// word came counts once.
void mr_progress_combine(mr_progress *into, const mr_progress *from);
// publish: by what share the error has to fall.
void mr_progress_apply(mr_stage *of, const mr_progress *came, double publish);

// n: numbers of a vector, a multiple of 16.
void mr_residuals_combine(uint32_t n, mr_residuals *into, const mr_residuals *from);
void mr_residuals_apply(const mr_vec *vec, uint32_t n, mr_entry *of, const mr_residuals *came);

#endif
