// SPDX-License-Identifier: Apache-2.0
// residual: residual quantisation. A vector is told by a code a level: of the nearest entry of the
// level's codebook, then of the nearest to what is left, and so on.
//     r^0 = x;  c_l = argmin_k |r^(l-1) - E^l_k|^2, of equal ones the smallest;  r^l = r^(l-1) -
//     E^l_{c_l}
// Source: "Recommender Systems with Generative Retrieval" (semantic ids by residual quantisation);
// "Generative Recommendation with Semantic IDs: A Practitioner's Handbook" (k-means a level).
#ifndef MR_CORE_MODEL_RESIDUAL_H
#define MR_CORE_MODEL_RESIDUAL_H

#include <stdbool.h>

#include "core/base/vec.h"

enum { MR_RESIDUAL_LEVELS_MAX = 3, MR_RESIDUAL_CODES_MAX = 256, MR_RESIDUAL_NONE = 0xffff };

// Codebooks, borrowed: entry k of level l stands (l codes + k) `stride` floats behind books, and is
// n floats, n a multiple of 16. With counts, that far apart too, an entry is its floats divided by
// its count, and there is none where that is 0.
typedef struct mr_residual {
    const mr_vec *vec;
    const float *books, *counts; // counts NULL: entries as they stand
    uint32_t levels, codes, n, stride;
} mr_residual;

// The entry of `level` that is nearest to r (n floats); MR_RESIDUAL_NONE: there is none.
uint32_t mr_residual_nearest(const mr_residual *of, uint32_t level, const float *r);
// Takes an entry away from r.
void mr_residual_take(const mr_residual *of, uint32_t level, uint32_t code, float *r);
// Codes of the first `levels` levels of x (n floats), and in r (n floats) what is left of it.
// errors, if not NULL: |r^l|^2 by level. False: a level had no entry; it and those below it are
// MR_RESIDUAL_NONE.
bool mr_residual_encode(const mr_residual *of, uint32_t levels, const float *x, uint16_t *codes,
                        float *r, float *errors);

// One entry's moving averages: count <- keep count + share more, sum likewise (n floats). An
// average with the rate eta has keep = 1 - eta and share = eta.
void mr_residual_move(const mr_vec *vec, float keep, float share, float *count, float *sum,
                      float more_count, const float *more_sum, uint32_t n);

// The rate of what was seen `acts` times in `showings`, backed off to that of a larger group:
// (acts + kappa parent) / (showings + kappa).
static inline double mr_backed_off(double acts, double showings, double parent, double kappa)
{
    return (acts + kappa * parent) / (showings + kappa);
}

#endif
