// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/shown.h"

#include <math.h>
#include <string.h>

#include "worker/measure/relevance.h"

enum { PAIRS = 1 << 22, DAY_MS = 86400000 };
static const double head_share = .8;

size_t mr_shown_bytes(uint32_t items_max)
{
    return mr_map_bytes(items_max) + 3 * mr_arena_round(items_max * sizeof(double)) +
           mr_arena_round(items_max * sizeof(bool)) +
           mr_arena_round(items_max * sizeof(mr_sorted)) +
           mr_arena_round(PAIRS * sizeof(uint64_t));
}

void mr_shown_init(mr_shown *shown, uint32_t items_max, uint32_t depth, mr_arena *arena)
{
    MR_ASSERT(depth <= MR_SHOWN_DEPTH_MAX);
    *shown = (mr_shown){.items_max = items_max, .depth = depth};
    mr_map_init(&shown->index, items_max, arena);
    shown->exposure = mr_arena_push(arena, items_max * sizeof *shown->exposure);
    shown->weighted = mr_arena_push(arena, items_max * sizeof *shown->weighted);
    shown->popularity = mr_arena_push(arena, items_max * sizeof *shown->popularity);
    shown->head = mr_arena_push(arena, items_max * sizeof *shown->head);
    shown->scratch = mr_arena_push(arena, items_max * sizeof *shown->scratch);
    shown->pairs = mr_arena_push(arena, PAIRS * sizeof *shown->pairs);
}

static uint32_t number_of(mr_shown *shown, uint64_t key)
{
    const uint32_t known = mr_map_get(&shown->index, key);
    if (known != MR_MAP_NONE)
        return known;
    if (shown->item_count == shown->items_max) {
        shown->items_left_out++;
        return MR_MAP_NONE;
    }
    mr_map_put(&shown->index, key, shown->item_count);
    return shown->item_count++;
}

uint32_t mr_shown_item(mr_shown *shown, uint64_t item_key)
{
    return number_of(shown, item_key);
}

bool mr_shown_is_head(const mr_shown *shown, uint64_t item_key)
{
    const uint32_t item = mr_map_get(&shown->index, item_key);
    return item != MR_MAP_NONE && shown->head[item];
}

// Whether the pair is not remembered; it is from now on.
static bool is_new_pair(mr_shown *shown, uint64_t user_key, uint64_t item_key)
{
    const uint64_t both[2] = {user_key, item_key};
    const uint64_t pair = mr_hash64(both, sizeof both, 0) | 1u;
    uint64_t *place = &shown->pairs[(pair >> 1) % PAIRS];
    if (*place == pair)
        return false;
    shown->pairs_replaced += *place != 0;
    *place = pair;
    return true;
}

static void settle_head(mr_shown *shown, int64_t time_ms)
{
    if (shown->acts < 2 * shown->settled_acts && time_ms - shown->settled_ms < DAY_MS)
        return;
    shown->settled_acts = shown->acts;
    shown->settled_ms = time_ms;
    shown->head_count = mr_popularity_head(shown->popularity, shown->item_count, head_share,
                                           shown->head, shown->scratch);
}

uint32_t mr_shown_act(mr_shown *shown, uint64_t user_key, bool first, uint64_t item_key,
                      int64_t time_ms, bool *fresh)
{
    const uint32_t item = number_of(shown, item_key);
    shown->users += first;
    shown->acts++;
    *fresh = item != MR_MAP_NONE && is_new_pair(shown, user_key, item_key);
    if (item == MR_MAP_NONE)
        return item;
    if (*fresh) {
        shown->popularity[item] += 1;
        shown->total += 1;
    }
    settle_head(shown, time_ms);
    return item;
}

uint32_t mr_shown_list(mr_shown *shown, const uint64_t *item_keys, uint32_t count,
                       uint32_t *numbers)
{
    uint32_t known = 0;
    for (uint32_t place = 0; place < count && place < shown->depth; place++) {
        const uint32_t item = number_of(shown, item_keys[place]);
        if (item == MR_MAP_NONE)
            continue;
        shown->exposure[item] += 1;
        shown->weighted[item] += mr_rank_discount(place + 1);
        numbers[known++] = item;
    }
    shown->lists++;
    shown->places += known;
    if (known == 0 || shown->users <= 0)
        return known;
    const mr_popularity popularity = {shown->popularity, shown->head, shown->item_count,
                                      shown->users, shown->total};
    const mr_listed one = mr_listed_of(numbers, known, NULL, &popularity);
    shown->judged++;
    shown->sum.arp += one.arp;
    shown->sum.aclt += one.aclt;
    shown->sum.aplt += one.aplt;
    shown->sum.epc_plain += one.epc_plain;
    shown->sum.novelty += one.novelty;
    return known;
}

void mr_shown_reset(mr_shown *shown)
{
    memset(shown->exposure, 0, shown->item_count * sizeof *shown->exposure);
    memset(shown->weighted, 0, shown->item_count * sizeof *shown->weighted);
    shown->lists = shown->places = shown->judged = 0;
    shown->sum = (mr_listed){0};
}

mr_shown_result mr_shown_judge(mr_shown *shown)
{
    const uint32_t n = shown->item_count;
    const double m = (double)shown->lists, judged = (double)shown->judged;
    const bool full = shown->lists > 0 && shown->places == shown->lists * shown->depth;
    return (mr_shown_result){
        .spread = mr_spread_of(shown->exposure, n, shown->scratch),
        .mean = {.arp = shown->sum.arp / judged,
                 .aclt = shown->sum.aclt / judged,
                 .aplt = shown->sum.aplt / judged,
                 .epc_plain = shown->sum.epc_plain / judged,
                 .epc = NAN,
                 .efd = NAN,
                 .novelty = shown->sum.novelty / judged},
        .fairness = mr_fairness_of(shown->exposure, n, m, shown->scratch),
        .weighted_gini = full ? mr_fairness_weighted_gini(shown->weighted, n, m, shown->depth,
                                                          shown->scratch)
                              : (double)NAN,
    };
}
