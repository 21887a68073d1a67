// SPDX-License-Identifier: Apache-2.0
// recurrent: one step of a recurrent cell and its gradient. Pure functions over the caller's
// arrays.
//
// n units read inputs of n numbers, n a multiple of 16. x is the input, h' the state before.
//     minGRU  z = sigma(Wz x + bz),  c = g(Wh x + bh),  h = (1 - z) h' + z c
//             g(b) = b + .5 for b >= 0, sigma(b) otherwise
//     GRU     z = sigma(Wz x + bz + Uz h'),  r = sigma(Wr x + br + Ur h'),
//             c = tanh(Wh x + bh + Uh (r h')),  h = (1 - z) h' + z c
// A map is a matrix n x n, row by row, row k being what unit k reads, then n biases, which those
// that read the state do not use.
// Sources: Feng et al., "Were RNNs All We Needed?" (minGRU); Cho et al., "Learning Phrase
// Representations using RNN Encoder-Decoder" (GRU).
#ifndef MR_CORE_MODEL_RECURRENT_H
#define MR_CORE_MODEL_RECURRENT_H

#include <stdbool.h>

#include "core/base/vec.h"

// In order of their words in the configuration.
#define MR_CELL_WORDS "mingru | gru"
typedef enum mr_cell_kind { MR_CELL_MINGRU, MR_CELL_GRU, MR_CELL_KINDS } mr_cell_kind;

enum { // maps of a cell; a minGRU has the first two
    MR_MAP_WZ,
    MR_MAP_WH,
    MR_MAP_WR,
    MR_MAP_UZ,
    MR_MAP_UH,
    MR_MAP_UR,
    MR_MAPS_MAX,
};

uint32_t mr_recurrent_maps(mr_cell_kind kind);
// Floats of a map.
static inline uint32_t mr_map_floats(uint32_t n)
{
    return n * (n + 1);
}

typedef struct mr_recurrent {
    mr_cell_kind kind;
    uint32_t n;
    const mr_vec *vec;
    const float *maps[MR_MAPS_MAX];
} mr_recurrent;

typedef struct mr_step { // what a step did; arrays of n
    const float *x, *before;
    float *z, *c, *r, *h;
    float *slope; // of c by what goes into it
} mr_step;

// y = M x + b
void mr_map_apply(const mr_vec *vec, const float *map, uint32_t n, const float *x, float *y);
// The gradient of it: adds dy x^T and, if biased, dy to the gradient of the map; y += M^T dy.
void mr_map_gradient(const mr_vec *vec, uint32_t n, const float *dy, const float *x, bool biased,
                     float *gradient);
void mr_map_back(const mr_vec *vec, const float *map, uint32_t n, const float *dy, float *dx);

// Takes the step: x and before are set, the arrays have room. scratch: n numbers.
void mr_recurrent_step(const mr_recurrent *cell, mr_step *step, float *scratch);
// From dh, the gradient by the step's h, to that by `before`, in its place; adds to the gradients
// of the maps, and to dx. scratch: 4 n numbers.
void mr_recurrent_back(const mr_recurrent *cell, const mr_step *step, float *dh,
                       float *const *gradients, float *dx, float *scratch);

#endif
