// SPDX-License-Identifier: Apache-2.0
// map: 64-bit keys to 32-bit values, open addressing of fixed capacity in the caller's memory.
//
// Linear probing with backward-shift deletion, so that there are no tombstones and the cost does
// not grow with age. Keys are hashes already (mr_item_key), so they are folded, not hashed again.
// The order of the table is never an order of anything: callers sort by key.
#ifndef MR_CORE_BASE_MAP_H
#define MR_CORE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"

#define MR_MAP_NONE UINT32_MAX // no value; values are below it

typedef struct mr_map_entry {
    uint64_t key;
    uint32_t value; // the value + 1; 0: empty
    uint32_t reserved;
} mr_map_entry;

typedef struct mr_map {
    mr_map_entry *entries;
    uint32_t mask; // capacity - 1, a power of two above count_max * 4/3
    uint32_t count, count_max;
} mr_map;

// Memory of the map has to be zeroed: an empty map touches none of it, so that room for many
// entries costs nothing until they come.
//
// Bytes that mr_map_init takes from the arena for count_max entries.
size_t mr_map_bytes(uint32_t count_max);
void mr_map_init(mr_map *map, uint32_t count_max, mr_arena *arena);
void mr_map_clear(mr_map *map);

// The value of key, or MR_MAP_NONE.
uint32_t mr_map_get(const mr_map *map, uint64_t key);
// Asks for the memory where key would stand.
static inline void mr_map_prefetch(const mr_map *map, uint64_t key)
{
    __builtin_prefetch(&map->entries[(uint32_t)((key ^ (key >> 32)) & map->mask)]);
}
// Adds a key that is not there; count < count_max is the caller's duty (asserted).
void mr_map_put(mr_map *map, uint64_t key, uint32_t value);
// Takes a key out; it must be there (asserted).
void mr_map_remove(mr_map *map, uint64_t key);

#endif
