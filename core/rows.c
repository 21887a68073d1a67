// SPDX-License-Identifier: Apache-2.0
#include "core/rows.h"

size_t mr_slots_bytes(uint32_t max)
{
    return mr_map_bytes(max) + mr_arena_round(max * sizeof(uint64_t)) +
           mr_arena_round(max * sizeof(uint32_t));
}

void mr_slots_init(mr_slots *slots, uint32_t max, mr_arena *arena)
{
    mr_map_init(&slots->map, max, arena);
    slots->keys = mr_arena_push(arena, max * sizeof(uint64_t));
    slots->free_slots = mr_arena_push(arena, max * sizeof(uint32_t));
    slots->free_count = slots->used = 0;
    slots->max = max;
}

uint32_t mr_slots_find(const mr_slots *slots, uint64_t key)
{
    return mr_map_get(&slots->map, key);
}

uint32_t mr_slots_add(mr_slots *slots, uint64_t key)
{
    if (slots->free_count == 0 && slots->used == slots->max)
        return MR_MAP_NONE;
    const uint32_t slot =
        slots->free_count > 0 ? slots->free_slots[--slots->free_count] : slots->used++;
    slots->keys[slot] = key;
    mr_map_put(&slots->map, key, slot);
    return slot;
}

void mr_slots_free(mr_slots *slots, uint32_t slot)
{
    mr_map_remove(&slots->map, slots->keys[slot]);
    slots->free_slots[slots->free_count++] = slot;
}

static uint32_t part_stride(const mr_family *family, const void *config)
{
    const uint32_t bytes = mr_family_row_bytes(family, config) + family->index_bytes;
    MR_ASSERT(bytes % 8 == 0 && bytes > 0);
    return bytes;
}

size_t mr_part_bytes(const mr_family *family, const void *config, uint32_t max)
{
    return mr_arena_round((size_t)max * part_stride(family, config)) +
           mr_arena_round(max * sizeof(mr_hash128)) + mr_arena_round(max) +
           mr_arena_round(max * sizeof(uint32_t));
}

void mr_part_init(mr_part *part, const mr_family *family, const void *config, uint16_t code,
                  uint32_t max, mr_arena *arena)
{
    part->family = family;
    part->config = config;
    part->code = code;
    part->row_bytes = mr_family_row_bytes(family, config);
    part->stride = part_stride(family, config);
    part->rows = mr_arena_push(arena, (size_t)max * part->stride);
    part->hashes = mr_arena_push(arena, max * sizeof(mr_hash128));
    part->dirty = mr_arena_push(arena, max);
    part->dirty_slots = mr_arena_push(arena, max * sizeof(uint32_t));
    part->dirty_count = 0;
}

void mr_part_reset_row(mr_part *part, uint32_t slot, uint64_t key, uint64_t seed)
{
    void *row = mr_part_row(part, slot);
    memset(row, 0, part->stride);
    if (part->family->init != NULL)
        part->family->init(part->config, key, seed, row);
    part->hashes[slot] = (mr_hash128){0, 0};
}

uint32_t mr_part_used(const mr_part *part, uint32_t slot)
{
    if (part->family->used == NULL)
        return part->row_bytes;
    const uint32_t used = part->family->used(part->config, mr_part_row(part, slot));
    MR_ASSERT(used <= part->row_bytes);
    return used;
}

void *mr_named_find(const mr_named *named, uint64_t key)
{
    const uint32_t slot = mr_slots_find(&named->slots, key);
    return slot == MR_MAP_NONE ? NULL : mr_part_row(&named->part, slot);
}

mr_filter mr_filter_make(const mr_items *items, const uint32_t *seen, uint32_t seen_count)
{
    mr_filter filter = {items, seen, seen_count, {0}};
    for (uint32_t i = 0; i < seen_count; i++)
        filter.hints[seen[i] / 64 % MR_FILTER_HINTS] |= 1ull << (seen[i] % 64);
    return filter;
}

bool mr_filter_has_seen(const mr_filter *filter, uint32_t slot)
{
    uint32_t low = 0, high = filter->seen_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (filter->seen[middle] < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low < filter->seen_count && filter->seen[low] == slot;
}

uint32_t mr_slots_sort(uint32_t *slots, uint32_t count)
{
    for (uint32_t gap = count / 2; gap > 0; gap = gap == 2 ? 1 : (uint32_t)((uint64_t)gap * 5 / 11))
        for (uint32_t i = gap; i < count; i++) {
            const uint32_t slot = slots[i];
            uint32_t j = i;
            for (; j >= gap && slots[j - gap] > slot; j -= gap)
                slots[j] = slots[j - gap];
            slots[j] = slot;
        }
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || slots[i] != slots[i - 1])
            slots[distinct++] = slots[i];
    return distinct;
}
