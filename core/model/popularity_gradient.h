// SPDX-License-Identifier: Apache-2.0
// popularity_gradient: what of a score comes from the direction in which popular items are driven.
#ifndef MR_CORE_MODEL_POPULARITY_GRADIENT_H
#define MR_CORE_MODEL_POPULARITY_GRADIENT_H

#include <stdint.h>

// rho in [0, 1] of an item of `acts`, the most acted on of all having most_acts.
static inline float mr_popularity_share(uint64_t acts, uint64_t most_acts)
{
    return acts < most_acts ? __builtin_sqrtf((float)acts / (float)most_acts) : 1.0f;
}

// What u.v loses where v becomes v - beta rho (v.g) g, |g| = 1, by the products with g: in units of
// the score.
static inline float mr_popularity_lost(float beta, float rho, float user_along, float item_along)
{
    return beta * rho * user_along * item_along;
}

#endif
