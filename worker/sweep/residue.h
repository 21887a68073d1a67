// SPDX-License-Identifier: Apache-2.0
// residue: what items keep of a user who asked to be forgotten.
//
// His row and his list go at once; his acts stay in the counts and the vectors of items, and fade
// with them. How much that is, is measured against a replay of the log without him: his share of
// the counts of the items that he acted on, and how far their vectors v are from what they would
// be, |v - w| / |w|. Vectors of items that he never saw differ too, since an act that is gone gives
// other random draws to those that follow. So the area under the curve says whether one can tell
// from how far a vector moved that he acted on its item: .5 says no, 1 always.
// Source: the oracle of machine unlearning, retraining without the sample (Bourtoule et al.,
// "Machine Unlearning"); the area as in membership inference (Shokri et al., "Membership Inference
// Attacks Against Machine Learning Models"), whose attacker knows less than this one.
#ifndef MR_WORKER_SWEEP_RESIDUE_H
#define MR_WORKER_SWEEP_RESIDUE_H

#include "core/engine.h"

typedef struct mr_residue {
    uint64_t items, others;     // that he acted on, and did not: known in both
    double share;               // of his items' acts, never faded, that are his; NAN: not counted
    double moved, moved_others; // medians; NAN: no vectors
    double auc;                 // NAN: one of the two has no vector
} mr_residue;

// of: keys of the items that he acted on, which are put in order; a key may stand there often.
// O(items log items). Errors: MR_FATAL: memory.
MR_CHECKED mr_status mr_residue_of(const mr_engine *with, const mr_engine *without, uint64_t *of,
                                   uint64_t count, mr_residue *residue, mr_error *err);

#endif
