// SPDX-License-Identifier: Apache-2.0
// rng: random numbers by counter, not by stream.
//
// A draw is a pure function of (seed, task, epoch, key, purpose, draw): no state, no order of
// calls, so it does not matter which lane asks first, and a crash repeats the same draws. Source:
// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (Philox4x32-10, Random123).
#ifndef MR_CORE_BASE_RNG_H
#define MR_CORE_BASE_RNG_H

#include <stdint.h>

typedef enum mr_purpose { // never renumbered: a draw's identity is part of a history
    MR_PURPOSE_ITEM_INIT = 1,
    MR_PURPOSE_USER_INIT = 2,
    MR_PURPOSE_NEGATIVES = 3,
    MR_PURPOSE_BLEND = 4,
    MR_PURPOSE_POLICY = 5,
    MR_PURPOSE_CENTROID = 6,
    MR_PURPOSE_SAMPLE = 7,
    MR_PURPOSE_BOOTSTRAP = 8,
    MR_PURPOSE_SEQUENCE = 9,
    MR_PURPOSE_CONTENT = 10,
    MR_PURPOSE_RANKER = 11,
    MR_PURPOSE_COMPLEMENT = 12,
    MR_PURPOSE_PAIRS = 13,
    MR_PURPOSE_SELF_PLAY = 14,
    MR_PURPOSE_SIM = 16, // simulated users: 16 and above
} mr_purpose;

typedef struct mr_rng {
    uint32_t key[2];     // from seed, task and purpose
    uint32_t counter[4]; // epoch, key, and the block of draws
    uint32_t block[4];
    uint32_t left; // draws left in the block
} mr_rng;

mr_rng mr_rng_make(uint64_t seed, uint32_t task, uint64_t epoch, uint64_t key, mr_purpose purpose);

uint32_t mr_rng_u32(mr_rng *rng);
// In [0, 1), 24 bits; never 1.
float mr_rng_float(mr_rng *rng);
// In (0, 1), 52 bits; never 0 nor 1.
double mr_rng_double(mr_rng *rng);
// In [0, bound), without bias beyond 2^-32; bound > 0.
uint32_t mr_rng_below(mr_rng *rng, uint32_t bound);
// Nearly standard normal, by the sum of twelve uniforms less six: for starts of vectors. Where the
// law itself matters: mr_normal_draw.
float mr_rng_normal(mr_rng *rng);

#endif
