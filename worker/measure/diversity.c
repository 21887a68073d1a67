// SPDX-License-Identifier: Apache-2.0
// Means of cosines come from sums of unit vectors: the pairs of a list add up to (|s|^2 - n) / 2,
// those of a list and a history to the product of both sums. That is linear in the items, so that
// every list is judged.
#include "worker/measure/diversity.h"

#include <math.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/measure/exposure.h"

enum { D = MR_DIVERSITY_D, HISTORY = MR_DIVERSITY_HISTORY };

size_t mr_diversity_bytes(uint32_t users_max, uint32_t items_max)
{
    return mr_arena_round((size_t)items_max * D * sizeof(float)) +
           mr_arena_round((size_t)users_max * HISTORY * sizeof(uint32_t)) +
           mr_arena_round(users_max * sizeof(uint32_t));
}

void mr_diversity_init(mr_diversity *d, uint32_t users_max, uint32_t items_max, mr_arena *arena)
{
    *d = (mr_diversity){0};
    d->vectors = mr_arena_push(arena, (size_t)items_max * D * sizeof *d->vectors);
    d->histories = mr_arena_push(arena, (size_t)users_max * HISTORY * sizeof *d->histories);
    d->had = mr_arena_push(arena, users_max * sizeof *d->had);
}

// ---- vectors

static float *vector_of(const mr_diversity *d, uint32_t item)
{
    return d->vectors + (size_t)item * D;
}

// Adds x times the signs of a number.
static void add_signs(float *vector, uint64_t number, float x)
{
    const uint64_t signs = mr_hash64(&number, sizeof number, 0);
    for (uint32_t i = 0; i < D; i++)
        vector[i] += (signs >> i & 1) != 0 ? x : -x;
}

void mr_diversity_vector(mr_diversity *d, uint32_t item, const float *vector, uint32_t length,
                         uint32_t items)
{
    if (!d->by_catalogue) {
        memset(d->vectors, 0, (size_t)items * D * sizeof *d->vectors);
        mr_diversity_reset(d);
        d->by_catalogue = true;
    }
    float *to = vector_of(d, item);
    memset(to, 0, D * sizeof *to);
    if (length <= D)
        memcpy(to, vector, length * sizeof *to);
    for (uint32_t i = 0; length > D && i < length; i++)
        add_signs(to, i, vector[i]);
}

// Adds the items' vectors, each of length 1, to sum; returns how many are not 0.
static uint32_t add_units(const mr_diversity *d, const uint32_t *items, uint32_t count,
                          double sum[D])
{
    uint32_t units = 0;
    for (uint32_t i = 0; i < count; i++) {
        const float *v = vector_of(d, items[i]);
        double square = 0;
        for (uint32_t j = 0; j < D; j++)
            square += (double)v[j] * (double)v[j];
        if (!(square > 0) || !isfinite(square))
            continue;
        const double scale = 1 / sqrt(square);
        for (uint32_t j = 0; j < D; j++)
            sum[j] += scale * (double)v[j];
        units++;
    }
    return units;
}

static double product(const double a[D], const double b[D])
{
    double sum = 0;
    for (uint32_t j = 0; j < D; j++)
        sum += a[j] * b[j];
    return sum;
}

// ---- users

static uint32_t history_of(const mr_diversity *d, uint32_t user, const uint32_t **items)
{
    *items = d->histories + (size_t)user * HISTORY;
    return d->had[user] < HISTORY ? d->had[user] : HISTORY;
}

void mr_diversity_act(mr_diversity *d, uint32_t user, uint64_t user_key, uint32_t item, bool first)
{
    const uint32_t *items;
    const uint32_t count = history_of(d, user, &items);
    if (first && !d->by_catalogue)
        add_signs(vector_of(d, item), user_key, 1);
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return;
    d->histories[(size_t)user * HISTORY + d->had[user]++ % HISTORY] = item;
}

// ---- lists

static void count_groups(mr_diversity *d, const uint32_t *list, uint32_t count,
                         const uint32_t *history, uint32_t had, const bool *head,
                         const double all[2])
{
    double seen[2] = {0};
    for (uint32_t i = 0; i < had; i++)
        seen[head[history[i]] ? 0 : 1] += 1;
    for (uint32_t i = 0; i < count; i++)
        d->shown[head[list[i]] ? 0 : 1] += 1;
    for (int g = 0; g < 2; g++)
        d->could[g] += fmax(all[g] - seen[g], 0);
}

void mr_diversity_list(mr_diversity *d, uint32_t user, const uint32_t *list, uint32_t count,
                       const bool *head, uint32_t head_count, uint32_t items)
{
    double of_list[D] = {0}, of_history[D] = {0};
    const double all[2] = {head_count, (double)items - head_count};
    const uint32_t *history;
    const uint32_t had = history_of(d, user, &history);
    if (count == 0)
        return;
    count_groups(d, list, count, history, had, head, all);
    const uint32_t units = add_units(d, list, count, of_list);
    if (count > 1) {
        d->similarity += (product(of_list, of_list) - units) / (count * (count - 1.0));
        d->similar++;
    }
    if (had > 0) {
        (void)add_units(d, history, had, of_history);
        d->unexpectedness += 1 - product(of_list, of_history) / ((double)count * had);
        d->unexpected++;
    }
}

void mr_diversity_reset(mr_diversity *d)
{
    d->similarity = d->unexpectedness = 0;
    d->similar = d->unexpected = 0;
    memset(d->shown, 0, sizeof d->shown);
    memset(d->could, 0, sizeof d->could);
}

mr_diversity_result mr_diversity_judge(const mr_diversity *d)
{
    return (mr_diversity_result){
        .similarity = d->similar > 0 ? d->similarity / (double)d->similar : (double)NAN,
        .unexpectedness = d->unexpected > 0 ? d->unexpectedness / (double)d->unexpected
                                            : (double)NAN,
        .poprsp = mr_group_disparity(d->shown, d->could, 2),
    };
}
