// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/sensitivity.h"

#include "worker/measure/similarity.h"

enum { RBO, JACCARD, TERMS, RESAMPLES = MR_MEASURE_RESAMPLES };
static const double level = .95;

typedef struct in_force {
    const uint64_t *items;
    uint32_t count;
} in_force;

static in_force list_of(const mr_measure *measure, uint32_t user)
{
    if (user == MR_MAP_NONE)
        return (in_force){NULL, 0};
    return (in_force){measure->lists + (size_t)user * MR_ACT_DEPTH, measure->listed[user]};
}

static uint32_t at_most(uint32_t count, uint32_t most)
{
    return count < most ? count : most;
}

static void compare(const mr_tally *tally, uint64_t seed, uint64_t user, in_force a, in_force b)
{
    mr_draw draw;
    double x[TERMS];
    if (a.count == 0 && b.count == 0)
        return;
    x[RBO] = mr_rbo(a.items, a.count, b.items, b.count, MR_SENSITIVITY_P).extrapolated;
    x[JACCARD] = mr_jaccard(a.items, at_most(a.count, MR_SENSITIVITY_JACCARD), b.items,
                            at_most(b.count, MR_SENSITIVITY_JACCARD));
    mr_draw_cluster(&draw, seed, user, RESAMPLES);
    mr_tally_add(tally, x, &draw);
}

static mr_estimate estimate_of(const mr_tally *tally, uint32_t term)
{
    mr_sorted scratch[RESAMPLES];
    return (mr_estimate){mr_tally_mean(tally, term),
                         mr_tally_interval(tally, term, level, scratch)};
}

mr_sensitivity mr_sensitivity_of(const mr_measure *from, const mr_measure *to,
                                 const uint64_t *without, uint64_t seed)
{
    double sums[(1 + TERMS) * (1 + RESAMPLES)] = {0};
    const mr_tally tally = {TERMS, RESAMPLES, sums};
    for (uint32_t u = 0; u < from->user_count; u++)
        if (without == NULL || from->keys[u] != *without)
            compare(&tally, seed, from->keys[u], list_of(from, u),
                    list_of(to, mr_map_get(&to->users, from->keys[u])));
    for (uint32_t u = 0; u < to->user_count; u++) // whom the first does not know
        if ((without == NULL || to->keys[u] != *without) &&
            mr_map_get(&from->users, to->keys[u]) == MR_MAP_NONE)
            compare(&tally, seed, to->keys[u], list_of(from, MR_MAP_NONE), list_of(to, u));
    return (mr_sensitivity){(uint64_t)mr_tally_count(&tally), estimate_of(&tally, RBO),
                            estimate_of(&tally, JACCARD)};
}
