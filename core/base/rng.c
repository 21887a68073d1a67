// SPDX-License-Identifier: Apache-2.0
#include "core/base/rng.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

static uint64_t mix(uint64_t x) // finaliser of SplitMix64
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

mr_rng mr_rng_make(uint64_t seed, uint32_t task, uint64_t epoch, uint64_t key, mr_purpose purpose)
{
    const uint64_t k =
        mix(seed + 0x9e3779b97f4a7c15u * ((uint64_t)task * 64u + (uint64_t)purpose + 1u));
    const uint64_t e = mix(epoch + k); // folds the epoch to make room for a 32-bit draw counter
    return (mr_rng){
        .key = {(uint32_t)k, (uint32_t)(k >> 32)},
        .counter = {0, (uint32_t)key, (uint32_t)(key >> 32) ^ (uint32_t)(e >> 32), (uint32_t)e},
    };
}

uint32_t mr_rng_u32(mr_rng *rng)
{
    if (rng->left == 0) {
        const philox4x32_ctr_t counter = {
            {rng->counter[0], rng->counter[1], rng->counter[2], rng->counter[3]}};
        const philox4x32_key_t key = {{rng->key[0], rng->key[1]}};
        const philox4x32_ctr_t block = philox4x32(counter, key);
        for (int i = 0; i < 4; i++)
            rng->block[i] = block.v[i];
        rng->counter[0]++;
        rng->left = 4;
    }
    return rng->block[4 - rng->left--];
}

float mr_rng_float(mr_rng *rng)
{
    return (float)(mr_rng_u32(rng) >> 8) * 0x1p-24f;
}

double mr_rng_double(mr_rng *rng)
{
    const uint64_t high = mr_rng_u32(rng), low = mr_rng_u32(rng);
    return ((double)(((high << 32) | low) >> 12) + 0.5) * 0x1p-52;
}

uint32_t mr_rng_below(mr_rng *rng, uint32_t bound)
{
    return (uint32_t)(((uint64_t)mr_rng_u32(rng) * bound) >> 32);
}

float mr_rng_normal(mr_rng *rng)
{
    float sum = -6.0f;
    for (int i = 0; i < 12; i++)
        sum += mr_rng_float(rng);
    return sum;
}
