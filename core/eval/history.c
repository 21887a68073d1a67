// SPDX-License-Identifier: Apache-2.0
#include "core/eval/history.h"

size_t mr_history_bytes(uint32_t max)
{
    return mr_map_bytes(max) + mr_arena_round((size_t)max * sizeof(mr_history_entry));
}

void mr_history_init(mr_history *history, uint32_t max, mr_arena *arena)
{
    *history = (mr_history){.max = max};
    mr_map_init(&history->heads, max, arena);
    history->entries = mr_arena_push(arena, (size_t)max * sizeof(mr_history_entry));
}

uint32_t mr_history_items(const mr_history *history, uint64_t user_key, uint64_t *keys,
                          uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = mr_map_get(&history->heads, user_key); i != MR_MAP_NONE && count < max;
         i = history->entries[i].next)
        keys[count++] = history->entries[i].item_key;
    return count;
}

bool mr_history_has(const mr_history *history, uint64_t user_key, uint64_t item_key)
{
    uint32_t i = mr_map_get(&history->heads, user_key);
    while (i != MR_MAP_NONE && history->entries[i].item_key != item_key)
        i = history->entries[i].next;
    return i != MR_MAP_NONE;
}

void mr_history_add(mr_history *history, uint64_t user_key, uint64_t item_key)
{
    if (mr_history_has(history, user_key, item_key))
        return;
    if (history->count == history->max) {
        history->forgotten++;
        return;
    }
    const uint32_t head = mr_map_get(&history->heads, user_key);
    history->entries[history->count] = (mr_history_entry){item_key, head, 0};
    if (head != MR_MAP_NONE)
        mr_map_remove(&history->heads, user_key);
    mr_map_put(&history->heads, user_key, history->count++);
}
