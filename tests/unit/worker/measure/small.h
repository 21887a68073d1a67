// SPDX-License-Identifier: Apache-2.0
// The small example that several measures are shown on, and what tests of measures share.
//
// Six items, three users. What they had: u1 {1, 2}, u2 {1, 3}, u3 {1, 2, 4}; each gets a list of
// three, and later acts on two items. Items are numbered from 1.
#ifndef MR_TESTS_MEASURE_SMALL_H
#define MR_TESTS_MEASURE_SMALL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/rng.h"

enum { SMALL_USERS = 3, SMALL_ITEMS = 6, SMALL_K = 3, SMALL_RELEVANT = 2 };

static const uint64_t small_lists[SMALL_USERS][SMALL_K] = {{3, 5, 4}, {2, 4, 5}, {3, 5, 6}};
static const uint64_t small_relevant[SMALL_USERS][SMALL_RELEVANT] = {{3, 5}, {2, 6}, {5, 6}};

static inline bool small_is_relevant(uint32_t user, uint64_t item)
{
    return small_relevant[user][0] == item || small_relevant[user][1] == item;
}

static inline void near(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.12g is not %.12g", have, want);
}

static inline mr_rng draws_of(uint64_t seed)
{
    return mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SAMPLE);
}

// 0 .. n - 1 in a random order.
static inline void shuffle(uint64_t *items, uint32_t n, mr_rng *rng)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = mr_rng_below(rng, i + 1);
        items[i] = items[at];
        items[at] = i;
    }
}

#endif
