// SPDX-License-Identifier: Apache-2.0
// frozen: the bytes of one commit, made once and sent as often as it takes.
//
// A commit is closed into a frozen: every row that changed (sealed, absolute), the markers, all
// other records, and the offsets of the inputs. From then on nothing in it is computed again.
// Memory grows in chunks up to a bound, and is kept for the next commit.
#ifndef MR_WORKER_FROZEN_H
#define MR_WORKER_FROZEN_H

#include "core/base/hash.h"
#include "worker/ports.h"

typedef struct mr_frozen mr_frozen;

typedef struct mr_frozen_row {
    uint32_t task;
    uint32_t changelog; // 0: user rows, 1: item rows
    mr_bytes key;
    mr_bytes value; // sealed; data NULL: the row is gone
} mr_frozen_row;

typedef struct mr_frozen_task { // a task that the commit covers
    uint32_t task;
    mr_bytes markers[MR_STORE_CHANGELOGS];    // sealed
    int64_t next[MR_STORE_CHANGELOGS];        // of the changelogs, once Kafka has confirmed
    uint32_t here_count[MR_STORE_CHANGELOGS]; // rows, and the xor of their hashes
    mr_hash128 here_xor[MR_STORE_CHANGELOGS];
} mr_frozen_task;

// bytes_max: of keys, values and headers. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_frozen_open(size_t bytes_max, mr_frozen **frozen, mr_error *err);
void mr_frozen_close(mr_frozen *frozen);

// Empties it for a commit of that number over these tasks (ascending, copied).
MR_CHECKED mr_status mr_frozen_begin(mr_frozen *frozen, uint64_t number, const uint32_t *tasks,
                                     uint32_t task_count, mr_error *err);

// The puts remember the first failure (out of memory, or more than bytes_max) and do nothing after
// it; mr_frozen_seal reports it. All bytes are copied.

// A row's new payload, of kind key.data[0]; size 0: the row is gone. Returns the hash of the sealed
// row, (0, 0) of one that is gone.
mr_hash128 mr_frozen_put_row(mr_frozen *frozen, uint32_t task, uint32_t changelog, mr_bytes key,
                             mr_bytes payload);
void mr_frozen_put_record(mr_frozen *frozen, const mr_record *record);
void mr_frozen_put_marker(mr_frozen *frozen, uint32_t task, uint32_t changelog, mr_bytes sealed);
void mr_frozen_put_offset(mr_frozen *frozen, mr_offset offset);

// Ends the puts and builds the index. All of its tasks have markers, or none has. Errors: MR_FATAL: the first failure of a put.
MR_CHECKED mr_status mr_frozen_seal(mr_frozen *frozen, mr_error *err);

uint64_t mr_frozen_number(const mr_frozen *frozen);
size_t mr_frozen_bytes(const mr_frozen *frozen);
const mr_frozen_row *mr_frozen_rows(const mr_frozen *frozen, uint32_t *count);
const mr_record *mr_frozen_records(const mr_frozen *frozen, uint32_t *count);
const mr_offset *mr_frozen_offsets(const mr_frozen *frozen, uint32_t *count);
mr_frozen_task *mr_frozen_tasks(const mr_frozen *frozen, uint32_t *count);

// The row that the commit has for a key; NULL: none. Only of a sealed one.
const mr_frozen_row *mr_frozen_find(const mr_frozen *frozen, uint32_t task, mr_bytes key);

#endif
