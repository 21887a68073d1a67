// SPDX-License-Identifier: Apache-2.0
// history: every item that a user has acted on, for the protocol `new` of an offline evaluation.
//
// No part of the state: it lives beside the rows, in memory that the evaluation names. When it is
// full, newer acts are not remembered any more and are counted.
#ifndef MR_CORE_EVAL_HISTORY_H
#define MR_CORE_EVAL_HISTORY_H

#include <stdbool.h>

#include "core/base/map.h"

typedef struct mr_history_entry {
    uint64_t item_key;
    uint32_t next; // older entry of the same user
    uint32_t reserved;
} mr_history_entry;

typedef struct mr_history {
    mr_map heads; // user key -> newest entry
    mr_history_entry *entries;
    uint32_t count, max;
    uint64_t forgotten;
} mr_history;

size_t mr_history_bytes(uint32_t max);
void mr_history_init(mr_history *history, uint32_t max, mr_arena *arena);
// Copies the user's item keys, newest first, at most `max`; returns how many there are of them.
uint32_t mr_history_items(const mr_history *history, uint64_t user_key, uint64_t *keys,
                          uint32_t max);
bool mr_history_has(const mr_history *history, uint64_t user_key, uint64_t item_key);
void mr_history_add(mr_history *history, uint64_t user_key, uint64_t item_key);

#endif
