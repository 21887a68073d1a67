// SPDX-License-Identifier: Apache-2.0
// waiting: users whose lists wait, whether or not their rows are in memory.
//
// What an entry holds is enough to say whether the list is due and to fetch the row when it is
// made, so that a backlog of lists costs a hundred bytes a user and not a row.
#ifndef MR_CORE_WAITING_H
#define MR_CORE_WAITING_H

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/map.h"

typedef struct mr_waiter {
    uint64_t key;    // of the user
    int64_t list_ms; // clock of the last list; 0: there is none
    uint32_t task;
    uint8_t id_size;
    uint8_t id[];
} mr_waiter;

typedef struct mr_waiting {
    mr_map by_key; // place in entries
    uint8_t *entries;
    uint32_t stride, count, max;
    uint32_t *of_task; // how many there are of each task
} mr_waiting;

// Bytes of the arena for max entries with ids of at most id_bytes_max bytes.
size_t mr_waiting_bytes(uint32_t id_bytes_max, uint32_t max, uint32_t tasks);
void mr_waiting_init(mr_waiting *waiting, uint32_t id_bytes_max, uint32_t max, uint32_t tasks,
                     mr_arena *arena);

// The i-th entry, in no order; moved by put and remove.
static inline mr_waiter *mr_waiting_at(const mr_waiting *waiting, uint32_t i)
{
    return (mr_waiter *)(void *)(waiting->entries + (size_t)i * waiting->stride);
}

// NULL: the user does not wait.
mr_waiter *mr_waiting_find(const mr_waiting *waiting, uint64_t key);
// Adds a user, or gives the one who waits already another list_ms. False: full.
bool mr_waiting_put(mr_waiting *waiting, uint32_t task, uint64_t key, mr_bytes id, int64_t list_ms);
// No effect on a user who does not wait.
void mr_waiting_remove(mr_waiting *waiting, uint64_t key);
// Removes the users of a task.
void mr_waiting_release(mr_waiting *waiting, uint32_t task);

#endif
