// SPDX-License-Identifier: Apache-2.0
#include "core/base/map.h"

#include <string.h>

static uint32_t capacity_for(uint32_t count_max)
{
    uint64_t capacity = 16;
    while (capacity * 3 < (uint64_t)count_max * 4)
        capacity *= 2;
    MR_ASSERT(capacity <= (1u << 31));
    return (uint32_t)capacity;
}

size_t mr_map_bytes(uint32_t count_max)
{
    return mr_arena_round(capacity_for(count_max) * sizeof(mr_map_entry));
}

void mr_map_init(mr_map *map, uint32_t count_max, mr_arena *arena)
{
    const uint32_t capacity = capacity_for(count_max);
    map->entries = mr_arena_push(arena, capacity * sizeof(mr_map_entry));
    map->mask = capacity - 1;
    map->count_max = count_max;
    map->count = 0;
}

void mr_map_clear(mr_map *map)
{
    if (map->count > 0)
        memset(map->entries, 0, ((size_t)map->mask + 1) * sizeof(mr_map_entry));
    map->count = 0;
}

static uint32_t home(const mr_map *map, uint64_t key)
{
    return (uint32_t)((key ^ (key >> 32)) & map->mask);
}

// The place of key, or the empty one where it would go.
static uint32_t place(const mr_map *map, uint64_t key)
{
    uint32_t i = home(map, key);
    while (map->entries[i].value != 0 && map->entries[i].key != key)
        i = (i + 1) & map->mask;
    return i;
}

uint32_t mr_map_get(const mr_map *map, uint64_t key)
{
    return map->entries[place(map, key)].value - 1; // empty: 0 - 1 is MR_MAP_NONE
}

void mr_map_put(mr_map *map, uint64_t key, uint32_t value)
{
    MR_ASSERT(map->count < map->count_max);
    const uint32_t i = place(map, key);
    MR_ASSERT(map->entries[i].value == 0 && value != MR_MAP_NONE);
    map->entries[i] = (mr_map_entry){key, value + 1, 0};
    map->count++;
}

void mr_map_remove(mr_map *map, uint64_t key)
{
    uint32_t hole = place(map, key);
    MR_ASSERT(map->entries[hole].value != 0);
    for (uint32_t i = (hole + 1) & map->mask; map->entries[i].value != 0; i = (i + 1) & map->mask) {
        const uint32_t wish = home(map, map->entries[i].key);
        if (((i - wish) & map->mask) >= ((i - hole) & map->mask)) { // may move back into the hole
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole].value = 0;
    map->count--;
}
