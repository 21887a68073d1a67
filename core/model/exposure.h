// SPDX-License-Identifier: Apache-2.0
// exposure: how likely an act's item was seen at all. What nobody saw was not refused: acts on
// items that are rarely seen stand for more of those that were never asked.
//
//     t = max(theta, floor), theta = what `click_model` has learned of the place in the list that
//     it
//                                    answers; where that is off (1 + r)^-examination at place r,
//                            theta = (n / n_max)^1/2 of any other act, on an item of n acts
// An act counts 1/t times (core/model/loss.h has what that means for each loss). The floor gives up
// some of the correction for less noise.
// Source: Saito et al., "Unbiased Recommender Learning from Missing-Not-At-Random Implicit
// Feedback" (theta by popularity, the floor); places of lists are ours.
#ifndef MR_CORE_MODEL_EXPOSURE_H
#define MR_CORE_MODEL_EXPOSURE_H

#include "core/model/model.h"

typedef struct mr_exposure {
    double floor;       // 0: everything counts alike
    double examination; // how fast places are looked at less
} mr_exposure;

// t of an act on an item of `acts`, the most acted on of all having most_acts. Above 0, at most 1.
double mr_exposure_of(const mr_exposure *exposure, const mr_signal *signal, uint64_t acts,
                      uint64_t most_acts);

#endif
