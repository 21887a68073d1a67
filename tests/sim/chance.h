// SPDX-License-Identifier: Apache-2.0
// chance: the one source of randomness of a history; the same seed gives the same history.
#ifndef MR_TESTS_SIM_CHANCE_H
#define MR_TESTS_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sim_chance {
    uint64_t state;
} sim_chance;

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
static inline uint64_t sim_next(sim_chance *chance)
{
    uint64_t z = chance->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// 0 .. n - 1; n > 0.
static inline uint32_t sim_below(sim_chance *chance, uint32_t n)
{
    return (uint32_t)(sim_next(chance) >> 32) % n;
}

// Whether something happens that happens `in` times of a million.
static inline bool sim_happens(sim_chance *chance, uint32_t in)
{
    return sim_below(chance, 1000000) < in;
}

#endif
