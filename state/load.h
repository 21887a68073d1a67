// SPDX-License-Identifier: Apache-2.0
// load: a task's rows made again from nothing.
//
// A changelog gives rows in the order in which they were written, each key many times; a B-tree
// wants them once and in key order. So rows are gathered in memory, sorted and spilled as runs to
// files in the state folder (sorter.h); at the end the runs are merged, the newest row of a key
// wins, and the result is appended page by page to a fresh database. The task's record then names
// that database, its marker and offsets in one transaction. Until then the store shows the task as
// it was; a crash leaves nothing but a database that the next opening drops.
//
// Called from the store's writing thread, between batches too: the store may be written while it
// loads.
#ifndef MR_STATE_LOAD_H
#define MR_STATE_LOAD_H

#include <stdint.h>

#include "core/base/hash.h"
#include "state/store.h"

enum { MR_LOAD_MEMORY_MIN = 1024 * 1024 };

typedef struct mr_load mr_load;

typedef struct mr_load_result {
    uint64_t row_count;
    mr_hash128 state_hash; // sum of mr_row_hash over the rows, to be compared with the marker's
} mr_load_result;

// Begins. memory_bytes (at least MR_LOAD_MEMORY_MIN, below 4 GiB) is all that is allocated, apart
// from 132 KiB for each run. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_load_open(mr_store *store, uint32_t task, size_t memory_bytes,
                                  mr_load **load, mr_error *err);

// Adds a sealed row, copied; value.data NULL is a tombstone. The last one of a key counts.
// Errors: MR_FATAL: the row's envelope is wrong (the changelog's fault, or its reader's); MR_RETRY:
// disk full: the row was not added.
MR_CHECKED mr_status mr_load_put(mr_load *load, mr_bytes key, mr_bytes value, mr_error *err);

// Builds the database and puts it in the place of what the task had. May be called again after
// MR_RETRY. marker: sealed or opaque bytes as in mr_store_part. Errors: as mr_store_write.
MR_CHECKED mr_status mr_load_finish(mr_load *load, mr_bytes marker,
                                    const int64_t offsets[MR_STORE_CHANGELOGS],
                                    mr_load_result *result, mr_error *err);

// Gives memory and files back. Without a finish before, nothing has changed. NULL is allowed.
void mr_load_close(mr_load *load);

#endif
