// SPDX-License-Identifier: Apache-2.0
// Scores are sorted as numbers, each with its place among the offers in the lower half. Where some
// are equal their keys decide, which are looked up for those alone.
#include "core/list/found.h"

#include "core/base/sort.h"

static bool same_score(uint64_t a, uint64_t b)
{
    return a >> 32 == b >> 32;
}

// Brings what scores as the last of the first `end` does to stand behind it; returns where it ends.
static uint32_t gather_equals(uint64_t *order, uint32_t end, uint32_t count)
{
    for (uint32_t i = end; i < count; i++)
        if (same_score(order[i], order[end - 1])) {
            const uint64_t other = order[end];
            order[end++] = order[i];
            order[i] = other;
        }
    return end;
}

static void sort_equals(uint64_t *order, uint32_t count, const mr_items *items,
                        const uint32_t *slots, mr_arena *arena)
{
    const size_t mark = arena->used;
    mr_sorted *by_key = mr_arena_push(arena, count * sizeof *by_key);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = (uint32_t)order[i];
        by_key[i] = (mr_sorted){items->slots.keys[slots[at]], at, 0};
    }
    mr_sort(by_key, count);
    for (uint32_t i = 0; i < count; i++)
        order[i] = (order[i] & ~(uint64_t)UINT32_MAX) | by_key[i].value;
    arena->used = mark;
}

void mr_found_choose(mr_found *found, const mr_items *items, const uint32_t *slots,
                     const float *scores, uint32_t count, mr_arena *arena)
{
    const size_t mark = arena->used;
    const uint32_t best = count < found->max ? count : found->max;
    uint64_t *order = mr_arena_push(arena, count * sizeof *order);
    for (uint32_t i = 0; i < count; i++)
        order[i] = (uint64_t)mr_sort_descending(scores[i]) << 32 | i;
    mr_sort_first(order, count, best);
    for (uint32_t first = 0, end; first < best; first = end) {
        for (end = first + 1; end < best && same_score(order[end], order[first]); end++)
            ;
        const uint32_t equals = end < best ? end : gather_equals(order, end, count);
        if (equals - first > 1)
            sort_equals(order + first, equals - first, items, slots, arena);
    }
    found->count = best;
    for (uint32_t i = 0; i < best; i++) {
        found->slots[i] = slots[(uint32_t)order[i]];
        found->scores[i] = scores[(uint32_t)order[i]];
    }
    arena->used = mark;
}
