// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/joint.h"

#include <math.h>

typedef struct gathering {
    const mr_split *split;
    const mr_shown *shown;
    uint32_t *first, *relevant; // of those who are taken, as the frontier wants them
    double *exposure;
    double relevance;
    uint32_t users, places;
} gathering;

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

size_t mr_joint_bytes(uint32_t users_max, uint32_t items_max, uint32_t relevant_max)
{
    const uint32_t users = least(users_max, MR_JOINT_USERS_MAX);
    return mr_arena_round((users + (size_t)1) * sizeof(uint32_t)) +
           mr_arena_round(relevant_max * sizeof(uint32_t)) +
           mr_arena_round(items_max * sizeof(double)) +
           mr_frontier_bytes(users, items_max, MR_ACT_DEPTH);
}

static void look_at_all(gathering *g, uint32_t users, uint32_t *acted)
{
    *acted = 0;
    for (uint32_t u = 0; u < users; u++) {
        if (g->split->newest[u] == 0)
            continue;
        ++*acted;
        if (g->split->listed[u] > g->places)
            g->places = g->split->listed[u];
    }
}

static bool is_drawn(uint64_t key, uint64_t seed, uint32_t acted)
{
    const uint64_t parts[2] = {seed, key};
    const double draw = (double)(mr_hash64(parts, sizeof parts, 0) >> 11) * 0x1p-53;
    return acted <= MR_JOINT_USERS_MAX || draw < (double)MR_JOINT_USERS_MAX / acted;
}

// The user's relevant items that have a number, by number; his list's exposure and nDCG.
static void add_user(gathering *g, uint32_t user)
{
    uint64_t keys[MR_SPLIT_RELEVANT_MAX], known[MR_SPLIT_RELEVANT_MAX];
    mr_sorted numbers[MR_SPLIT_RELEVANT_MAX];
    const uint32_t all = mr_split_relevant_of(g->split, user, keys);
    const uint64_t *list = g->split->lists + (size_t)user * MR_ACT_DEPTH;
    uint32_t count = 0, *to = g->relevant + g->first[g->users];
    mr_relevance at;
    for (uint32_t i = 0; i < all; i++) {
        const uint32_t number = mr_map_get(&g->shown->index, keys[i]);
        if (number == MR_MAP_NONE)
            continue;
        known[count] = keys[i];
        numbers[count++] = (mr_sorted){number, 0, 0};
    }
    if (count == 0)
        return;
    mr_sort(numbers, count);
    for (uint32_t i = 0; i < count; i++)
        to[i] = (uint32_t)numbers[i].key;
    mr_relevance_of(list, g->split->listed[user], known, count, &g->places, 1, &at);
    g->relevance += at.ndcg;
    for (uint32_t i = 0; i < g->split->listed[user]; i++) {
        const uint32_t number = mr_map_get(&g->shown->index, list[i]);
        if (number != MR_MAP_NONE)
            g->exposure[number] += 1;
    }
    g->users++;
    g->first[g->users] = g->first[g->users - 1] + count;
}

mr_joint mr_joint_judge(const mr_split *split, const mr_shown *shown, const uint64_t *keys,
                        uint32_t users, uint64_t seed, mr_arena *arena)
{
    const uint32_t items = shown->item_count, most = least(split->users_max, MR_JOINT_USERS_MAX);
    gathering g = {.split = split, .shown = shown};
    mr_joint joint = {.distance = NAN};
    uint32_t acted;
    look_at_all(&g, users, &acted);
    if (g.places == 0)
        return joint;
    g.first = mr_arena_push(arena, (most + (size_t)1) * sizeof *g.first);
    g.relevant = mr_arena_push(arena, split->relevant_max * sizeof *g.relevant);
    g.exposure = mr_arena_push(arena, items * sizeof *g.exposure);
    for (uint32_t u = 0; u < users && g.users < most; u++)
        if (split->newest[u] != 0 && is_drawn(keys[u], seed, acted))
            add_user(&g, u);
    mr_frontier_walk(&joint.frontier, g.users, items, g.places, g.first, g.relevant, arena);
    joint.users = g.users;
    joint.places = g.places;
    if (joint.frontier.point_count == 0)
        return joint;
    joint.lists = (mr_trade){
        g.relevance / g.users,
        1 - mr_fairness_of(g.exposure, items, g.users, shown->scratch).corrected.gini};
    joint.reference = mr_pareto_reference(joint.frontier.points, joint.frontier.point_count, .5);
    joint.distance = mr_pareto_distance(joint.lists, joint.reference);
    return joint;
}
