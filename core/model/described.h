// SPDX-License-Identifier: Apache-2.0
// described: what the catalogue says of an item, as a unit vector of n numbers in 8 bits each.
//
// Where the catalogue gives a content vector, it is that one: with zeros behind it where it is
// shorter, folded where it is longer, x_k = sum_j s_jk v_j with signs s_jk = +1 or -1 by hash,
// which changes a cosine by 1/sqrt(n) or so. Where it gives none, each category and each attribute
// is a coordinate of an endless vector of ones and zeros, folded by the same signs. Source:
// Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (signs by hash).
#ifndef MR_CORE_MODEL_DESCRIBED_H
#define MR_CORE_MODEL_DESCRIBED_H

#include "core/model/model.h"

enum { MR_WORD_DIM_MAX = 64 }; // the signs of a coordinate are the bits of one hash

// A row of an item, and a delta: the latest word counts.
typedef struct mr_word {
    int64_t time_ms; // of the catalogue's word
    uint32_t model;  // what made the vector (mr_view.vector_model); 0: it was not a vector
    float unit;      // of the codes; 0: nothing was said
    int8_t codes[];  // n
} mr_word;

// n is a multiple of 16, at most MR_WORD_DIM_MAX, in all of these.
static inline uint32_t mr_word_bytes(uint32_t n)
{
    return (uint32_t)sizeof(mr_word) + n;
}

// How many leading bytes of it are not 0.
uint32_t mr_word_used(uint32_t n, const mr_word *word);
// Takes `from` in its place unless that is older.
void mr_word_combine(uint32_t n, mr_word *into, const mr_word *from);
// Writes what was said to `to`, mr_word_bytes(n) of zeros.
void mr_word_make(uint32_t n, const mr_view *view, const mr_described *described, mr_word *to);
// x, of length 1 nearly. Zeros and false: nothing was said, or by another model than today's: such
// a vector is not there until the catalogue speaks of the item again.
bool mr_word_read(uint32_t n, const mr_view *view, const mr_word *word, float *x);

#endif
