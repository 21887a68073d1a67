// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/split.h"

#include <math.h>
#include <string.h>

const char *const mr_split_measure_names[MR_SPLIT_MEASURES] = {
    "precision", "recall", "f1", "map", "ndcg", "mrr", "hit_rate", "epc"};

size_t mr_split_bytes(uint32_t users_max, uint32_t items_max, uint32_t relevant_max,
                      uint32_t resamples)
{
    return mr_arena_round((size_t)users_max * MR_ACT_DEPTH * sizeof(uint64_t)) +
           mr_arena_round(users_max) + mr_arena_round(users_max * sizeof(uint32_t)) +
           mr_arena_round(relevant_max * sizeof(mr_split_relevant)) +
           mr_arena_round(mr_tally_size(MR_SPLIT_TERMS, resamples) * sizeof(double)) +
           mr_arena_round(mr_tally_size(MR_ACT_CUTS, resamples) * sizeof(double)) +
           mr_arena_round(items_max * sizeof(double));
}

void mr_split_init(mr_split *split, uint32_t users_max, uint32_t items_max, uint32_t relevant_max,
                   uint32_t resamples, mr_arena *arena)
{
    *split =
        (mr_split){.users_max = users_max, .relevant_max = relevant_max, .resamples = resamples};
    split->lists = mr_arena_push(arena, (size_t)users_max * MR_ACT_DEPTH * sizeof *split->lists);
    split->listed = mr_arena_push(arena, users_max);
    split->newest = mr_arena_push(arena, users_max * sizeof *split->newest);
    split->relevant = mr_arena_push(arena, relevant_max * sizeof *split->relevant);
    split->sums = mr_arena_push(arena, mr_tally_size(MR_SPLIT_TERMS, resamples) * sizeof(double));
    split->efd_sums = mr_arena_push(arena, mr_tally_size(MR_ACT_CUTS, resamples) * sizeof(double));
    split->popularity = mr_arena_push(arena, items_max * sizeof(double));
}

void mr_split_freeze(mr_split *split, const uint64_t *lists, const uint8_t *listed, uint32_t users,
                     const mr_shown *shown)
{
    MR_ASSERT(users <= split->users_max);
    memcpy(split->lists, lists, (size_t)users * MR_ACT_DEPTH * sizeof *lists);
    memcpy(split->listed, listed, users);
    memcpy(split->popularity, shown->popularity, shown->item_count * sizeof *split->popularity);
    split->items = shown->item_count;
    split->acted = shown->users;
    split->total = shown->total;
}

void mr_split_act(mr_split *split, uint32_t user, uint64_t item)
{
    const uint32_t newest = split->newest[user];
    for (uint32_t at = newest; at != 0; at = split->relevant[at - 1].next)
        if (split->relevant[at - 1].item == item)
            return;
    const uint32_t place = newest != 0 ? split->relevant[newest - 1].place + 1 : 1;
    if (place > MR_SPLIT_RELEVANT_MAX || split->relevant_count == split->relevant_max) {
        split->left_out++;
        return;
    }
    split->relevant[split->relevant_count++] = (mr_split_relevant){item, newest, place};
    split->newest[user] = split->relevant_count;
}

uint32_t mr_split_relevant_of(const mr_split *split, uint32_t user,
                              uint64_t items[MR_SPLIT_RELEVANT_MAX])
{
    mr_sorted sorted[MR_SPLIT_RELEVANT_MAX];
    uint32_t count = 0;
    for (uint32_t at = split->newest[user]; at != 0; at = split->relevant[at - 1].next)
        sorted[count++] = (mr_sorted){split->relevant[at - 1].item, 0, 0};
    mr_sort(sorted, count);
    for (uint32_t i = 0; i < count; i++)
        items[i] = sorted[i].key;
    return count;
}

// EPC and EFD of the user's list at each cut-off; relevant: `count` keys, ascending. A user without
// a list has zeros.
static void judge_novelty(const mr_split *split, const mr_shown *shown, uint32_t user,
                          const uint64_t *relevant, uint32_t count, double epc[MR_ACT_CUTS],
                          double efd[MR_ACT_CUTS])
{
    const mr_popularity popularity = {split->popularity, shown->head, split->items, split->acted,
                                      split->total};
    const uint64_t *list = split->lists + (size_t)user * MR_ACT_DEPTH;
    uint32_t numbers[MR_ACT_DEPTH], known = 0;
    bool met[MR_ACT_DEPTH];
    for (uint32_t at = 0; at < split->listed[user]; at++) {
        const uint32_t number = mr_map_get(&shown->index, list[at]);
        if (number == MR_MAP_NONE)
            continue;
        met[known] = mr_keys_contain(relevant, count, list[at]);
        numbers[known++] = number;
    }
    for (uint32_t c = 0; c < MR_ACT_CUTS; c++) {
        const uint32_t cut = known < mr_act_cuts[c] ? known : mr_act_cuts[c];
        const mr_listed one = mr_listed_of(numbers, cut, met, &popularity);
        epc[c] = cut > 0 && isfinite(one.epc) ? one.epc : 0;
        efd[c] = cut > 0 ? one.efd : 0;
    }
}

mr_split_result mr_split_conclude(mr_split *split, const uint64_t *keys, uint32_t users,
                                  uint64_t seed, const mr_shown *shown)
{
    const mr_split_result result = {{MR_SPLIT_TERMS, split->resamples, split->sums},
                                    {MR_ACT_CUTS, split->resamples, split->efd_sums}};
    mr_draw draw;
    for (uint32_t user = 0; user < users; user++) {
        uint64_t items[MR_SPLIT_RELEVANT_MAX];
        mr_relevance at[MR_ACT_CUTS];
        double x[MR_SPLIT_TERMS], epc[MR_ACT_CUTS], efd[MR_ACT_CUTS];
        const uint32_t count = mr_split_relevant_of(split, user, items);
        if (count == 0)
            continue;
        mr_relevance_of(split->lists + (size_t)user * MR_ACT_DEPTH, split->listed[user], items,
                        count, mr_act_cuts, MR_ACT_CUTS, at);
        judge_novelty(split, shown, user, items, count, epc, efd);
        for (uint32_t c = 0; c < MR_ACT_CUTS; c++) {
            const double values[MR_SPLIT_MEASURES] = {at[c].precision, at[c].recall, at[c].f1,
                                                      at[c].ap,        at[c].ndcg,   at[c].rr,
                                                      at[c].hit,       epc[c]};
            memcpy(x + (size_t)c * MR_SPLIT_MEASURES, values, sizeof values);
        }
        mr_draw_cluster(&draw, seed, keys[user], split->resamples);
        mr_tally_add(&result.of, x, &draw);
        if (isfinite(efd[0]) && isfinite(efd[MR_ACT_CUTS - 1]))
            mr_tally_add(&result.efd, efd, &draw);
    }
    return result;
}
