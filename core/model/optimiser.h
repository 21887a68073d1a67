// SPDX-License-Identifier: Apache-2.0
// optimiser: one step of one row from the gradients of the events that touched it.
//
// A row is n floats (n a multiple of 16), then what the optimiser keeps of it
// (mr_optimiser_floats). Deltas of a row are sums of mr_gradient over events, so they add up in any
// grouping of workers; only the row's owner takes a step, once a round, from the sum. SGD and
// AdaGrad depend on nothing else. The averages of the other three depend on how events fall into
// rounds, never on how many workers there are.
#ifndef MR_CORE_MODEL_OPTIMISER_H
#define MR_CORE_MODEL_OPTIMISER_H

#include <stdbool.h>

#include "core/base/vec.h"

// In order of their words in the configuration.
#define MR_OPTIMISER_WORDS "adagrad | sgd | adam | gsnr | curvature"
typedef enum mr_optimiser_kind {
    MR_OPTIMISER_ADAGRAD,   // row-wise: one sum of squares a row
    MR_OPTIMISER_SGD,       // the gradient itself
    MR_OPTIMISER_ADAM,      // lazy: averages move when the row is touched
    MR_OPTIMISER_GSNR,      // AdaGrad's step, shortened where gradients disagree
    MR_OPTIMISER_CURVATURE, // averages of gradient and of the row's mean second derivative
    MR_OPTIMISERS,
} mr_optimiser_kind;

typedef struct mr_optimiser {
    mr_optimiser_kind kind;
    float rate;     // learning rate
    float decay;    // share of the row that a step takes away
    float norm_max; // of the row: a longer one is shortened
} mr_optimiser;

typedef struct mr_gradient { // sums over the events that touched a row
    const float *sum;        // of the gradients: n
    float squares;           // of the mean of the squared gradient's elements
    float curvature;         // of the mean of the second derivatives; read by CURVATURE alone
    float events;
} mr_gradient;

// Floats behind the vector, an even number: state of the kind, AdaGrad's sum of squares, and the
// number of events, which stands last. All zeros in a row that was never touched.
uint32_t mr_optimiser_floats(mr_optimiser_kind kind, uint32_t n);

// By how much a rate that suits AdaGrad is multiplied to suit this one, so that one parameter
// serves them all.
float mr_optimiser_scale(mr_optimiser_kind kind);

// One step. k events in one step move a row by sqrt(k) of one at most. A gradient of zeros moves
// nothing. Sources: Duchi et al., "Adaptive Subgradient Methods" (here with one sum a row); Kingma
// and Ba, "Adam"; Jiang et al., "Accelerating Large Batch Training via Gradient Signal to Noise
// Ratio"; Yao et al., "ADAHESSIAN". Departures: the ratio of gsnr is a row's own and is not divided
// by the mean over rows, which a row's owner cannot know; the second derivatives of our losses are
// known, so curvature needs no probe, and its step is clipped to norm .1.
void mr_optimiser_step(const mr_optimiser *of, const mr_vec *vec, float *row, uint32_t n,
                       const mr_gradient *gradient);

// |mean|^2 / variance of a row's gradients, from the squared norm of their mean and the mean of
// their squared norms.
float mr_signal_to_noise(float squares_of_mean, float mean_of_squares);

#endif
