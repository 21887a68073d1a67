// SPDX-License-Identifier: Apache-2.0
#include "core/waiting.h"

#include <string.h>

static uint32_t stride_of(uint32_t id_bytes_max)
{
    return ((uint32_t)offsetof(mr_waiter, id) + id_bytes_max + 7u) & ~7u;
}

size_t mr_waiting_bytes(uint32_t id_bytes_max, uint32_t max, uint32_t tasks)
{
    return mr_map_bytes(max) + mr_arena_round((size_t)stride_of(id_bytes_max) * max) +
           mr_arena_round(tasks * sizeof(uint32_t));
}

void mr_waiting_init(mr_waiting *waiting, uint32_t id_bytes_max, uint32_t max, uint32_t tasks,
                     mr_arena *arena)
{
    *waiting = (mr_waiting){.stride = stride_of(id_bytes_max), .max = max};
    mr_map_init(&waiting->by_key, max, arena);
    waiting->entries = mr_arena_push(arena, (size_t)waiting->stride * max);
    waiting->of_task = mr_arena_push(arena, tasks * sizeof(uint32_t));
}

mr_waiter *mr_waiting_find(const mr_waiting *waiting, uint64_t key)
{
    const uint32_t i = mr_map_get(&waiting->by_key, key);
    return i == MR_MAP_NONE ? NULL : mr_waiting_at(waiting, i);
}

bool mr_waiting_put(mr_waiting *waiting, uint32_t task, uint64_t key, mr_bytes id, int64_t list_ms)
{
    mr_waiter *waiter = mr_waiting_find(waiting, key);
    if (waiter != NULL) {
        waiter->list_ms = list_ms;
        return true;
    }
    if (waiting->count == waiting->max)
        return false;
    mr_map_put(&waiting->by_key, key, waiting->count);
    waiter = mr_waiting_at(waiting, waiting->count++);
    *waiter = (mr_waiter){key, list_ms, task, (uint8_t)id.size};
    if (id.size > 0)
        memcpy(waiter->id, id.data, id.size);
    waiting->of_task[task]++;
    return true;
}

void mr_waiting_remove(mr_waiting *waiting, uint64_t key)
{
    const uint32_t i = mr_map_get(&waiting->by_key, key);
    if (i == MR_MAP_NONE)
        return;
    waiting->of_task[mr_waiting_at(waiting, i)->task]--;
    mr_map_remove(&waiting->by_key, key);
    if (i == --waiting->count)
        return;
    const mr_waiter *last = mr_waiting_at(waiting, waiting->count);
    mr_map_remove(&waiting->by_key, last->key);
    mr_map_put(&waiting->by_key, last->key, i);
    memcpy(mr_waiting_at(waiting, i), last, waiting->stride);
}

void mr_waiting_release(mr_waiting *waiting, uint32_t task)
{
    for (uint32_t i = waiting->count; i > 0; i--) // what takes a place has been looked at
        if (mr_waiting_at(waiting, i - 1)->task == task)
            mr_waiting_remove(waiting, mr_waiting_at(waiting, i - 1)->key);
}
