// SPDX-License-Identifier: Apache-2.0
// store_inner: what the files of the store share. Nobody else includes it.
#ifndef MR_STATE_STORE_INNER_H
#define MR_STATE_STORE_INNER_H

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>

#include "state/store.h"

// A task's database. Its name holds a generation, a number that is never used again in this folder:
// a fresh copy of a task is built under its own name and comes into force by the task's record in
// meta.
typedef struct mr_store_table {
    uint32_t task;
    MDB_dbi rows;
    uint64_t generation;
} mr_store_table;

struct mr_store_reader {
    mr_store *store;
    mr_store_reader *next;
    MDB_txn *txn;       // NULL until the first read
    MDB_cursor *cursor; // NULL, or of database cursor_rows
    MDB_dbi cursor_rows;
    bool live;        // txn holds a snapshot
    bool cursor_live; // cursor belongs to that snapshot
};

struct mr_store {
    char path[PATH_MAX];
    mr_store_options options;
    mr_place_note left;
    MDB_env *env;
    MDB_dbi meta;
    int owner_fd;
    // Shared: a call of a reader. Exclusive: growth of the map, and changes of `tables`.
    pthread_rwlock_t lock;
    bool exclusive; // the writing thread holds it
    mr_store_reader *readers;
    mr_store_table *tables; // ascending by task
    uint32_t table_count;
    uint64_t layout; // number of the last change of tables, as in meta
    uint32_t grown;
};

enum { // kinds of the sealed rows in meta
    MR_META_IDENTITY = 1,
    MR_META_LAYOUT = 2,
    MR_META_TASK = 3,
};

enum { MR_META_TASK_FIXED = 8 + 8 * MR_STORE_CHANGELOGS, MR_META_KEY_BYTES = 9 };

typedef struct mr_meta_task { // the payload of a task's record: fixed part, then the marker
    uint64_t generation;
    int64_t offsets[MR_STORE_CHANGELOGS];
    mr_bytes marker; // points into the record that it was read from
} mr_meta_task;

// A step of a write transaction; returns 0 or an LMDB or errno code. It may be called again after
// its transaction was aborted, so it changes nothing outside it.
typedef int mr_store_step(mr_store *store, MDB_txn *txn, void *context);

// Runs step in a transaction of its own and commits, growing the map as often as it is full.
MR_CHECKED mr_status mr_store_run(mr_store *store, mr_store_step *step, void *context,
                                  const char *doing, mr_error *err);

// The status and text of an LMDB or errno code.
mr_status mr_store_fail(const mr_store *store, mr_error *err, int code, const char *doing);

// Until mr_store_sync_now commits do not sync, and an OS crash may tear the file: the folder's note
// says so meanwhile. For many commits of pages that nobody sees yet. Errors: MR_RETRY: disk full.
MR_CHECKED mr_status mr_store_sync_late(mr_store *store, mr_error *err);
// Tells the disk to begin with what was committed; waits for nothing.
void mr_store_start_writing(const mr_store *store);
// Syncs, and lets each commit do so again as the options say. Errors: MR_RETRY or MR_FATAL: it
// could not be synced, and the note stays as it is until the folder is closed.
MR_CHECKED mr_status mr_store_sync_now(mr_store *store, mr_error *err);

// Takes the map for the writing thread: waits for calls of readers, ends their snapshots.
void mr_store_enter(mr_store *store);
void mr_store_leave(mr_store *store);

// Takes over the size that another process gave the map. Exclusive.
MR_CHECKED int mr_store_adopt_map(mr_store *store);

// Opens the databases that meta names and closes those that it does not. Exclusive.
MR_CHECKED mr_status mr_store_load_tables(mr_store *store, mr_error *err);

// NULL where there is no such task.
const mr_store_table *mr_store_find(const mr_store *store, uint32_t task);

// Steps on the records of meta.
void mr_meta_task_key(uint32_t task, uint8_t key[MR_META_KEY_BYTES]);
void mr_store_rows_name(uint32_t task, uint64_t generation, char name[40]);
MR_CHECKED int mr_meta_get(mr_store *store, MDB_txn *txn, mr_bytes key, uint8_t kind,
                           mr_bytes *payload);
MR_CHECKED int mr_meta_put(mr_store *store, MDB_txn *txn, mr_bytes key, uint8_t kind,
                           mr_bytes payload);
MR_CHECKED int mr_meta_task_get(mr_store *store, MDB_txn *txn, uint32_t task, mr_meta_task *out);
MR_CHECKED int mr_meta_task_put(mr_store *store, MDB_txn *txn, uint32_t task,
                                const mr_meta_task *record);
// Counts a change of the tables; *layout is its number, which no other change of this folder has.
MR_CHECKED int mr_meta_next_layout(mr_store *store, MDB_txn *txn, uint64_t *layout);

static inline MDB_val mr_val(mr_bytes bytes)
{
    // LMDB takes keys and values by a pointer that is not const, and does not write through it.
    union {
        const uint8_t *in;
        void *out;
    } data = {.in = bytes.data};
    return (MDB_val){bytes.size, data.out};
}

static inline mr_bytes mr_bytes_of_val(MDB_val value)
{
    return mr_bytes_of(value.mv_data, value.mv_size);
}

#endif
