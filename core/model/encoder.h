// SPDX-License-Identifier: Apache-2.0
// encoder: a user's items, in order, become one vector. Pure functions over the caller's memory.
//
// With x the vectors of his items, oldest first, and h = 0 before them,
//     linear  h <- keep h + (1 - keep) x,   the output is h
//     gru     h <- the cell of recurrent.h, the output is W h + w
// A map is as in recurrent.h; gru has those of its cell and, last, that of the output.
#ifndef MR_CORE_MODEL_ENCODER_H
#define MR_CORE_MODEL_ENCODER_H

#include "core/model/recurrent.h"

#define MR_ENCODER_WORDS "linear | gru"
enum {
    MR_ENCODER_LINEAR,
    MR_ENCODER_GRU,
    MR_ENCODER_KINDS,

    MR_ENCODER_DIM_MAX = 32,
    MR_ENCODER_STEPS_MAX = 24,
    MR_ENCODER_OUTPUT = MR_MAPS_MAX,
    MR_ENCODER_MAPS,
};

typedef struct mr_encoder {
    uint32_t kind;
    uint32_t n; // numbers of x and of the output: 16 or MR_ENCODER_DIM_MAX
    float keep;
    const mr_vec *vec;
    const float *maps[MR_ENCODER_MAPS]; // gru
} mr_encoder;

typedef struct mr_encoded { // what was read: for the gradient
    uint32_t steps;
    mr_step step[MR_ENCODER_STEPS_MAX];
    float scratch[4 * MR_ENCODER_DIM_MAX];
    float first[MR_ENCODER_DIM_MAX], room[MR_ENCODER_STEPS_MAX][6][MR_ENCODER_DIM_MAX];
} mr_encoded;

// Sets a map of gru, of zeros, to what it begins with: all maps together are then the linear state
// within a tanh.
void mr_encoder_start(float *map, uint32_t which, uint32_t n, double keep);

// Begins with no item, z = 0; takes an item, at most MR_ENCODER_STEPS_MAX of them. z is of use
// once the last one was taken and mr_encoder_end was called.
void mr_encoder_begin(const mr_encoder *of, mr_encoded *read, float *z);
void mr_encoder_take(const mr_encoder *of, const float *x, mr_encoded *read, float *z);
void mr_encoder_end(const mr_encoder *of, const mr_encoded *read, float *z);
// Adds to the gradients of the maps those of what has dz for its gradient by z. gru alone.
void mr_encoder_back(const mr_encoder *of, mr_encoded *read, const float *dz,
                     float *const gradients[MR_ENCODER_MAPS]);

#endif
