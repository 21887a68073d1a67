// SPDX-License-Identifier: Apache-2.0
// store: the rows of a worker's tasks on disk, in one LMDB environment.
//
// The store is a copy that lags: the changelog topics are the truth, and a folder that is lost,
// torn or of another history is dropped and made again from them. It knows keys and sealed rows
// (row.h), not what a row means. One named database holds the rows of a task; another, `meta`,
// holds for each task its marker and how far its changelogs were read, written in the same
// transaction as the rows. FORMAT.md has the bytes.
//
// Threads: one thread writes (mr_store_write, _task_drop, _sync, _identify, _close and load.h).
// Reads go through a reader, one for each thread; they run beside each other and beside the writer.
// Where the writer must have the map for itself (growth, a database made or dropped) it waits for
// calls of readers to end, so none of them may call the store again from a callback.
//
// Caveats
// - A process opens a folder once (LMDB's rule), and an open store does not survive fork().
// - A reader that is never refreshed keeps every page freed since: the file grows. Refresh it at
// each
//   commit; mr_store_stat tells the age of the oldest snapshot of any process.
// - After MR_RETRY nothing has changed. After MR_FATAL close the store; the folder can be opened
// again.
#ifndef MR_STATE_STORE_H
#define MR_STATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "state/place.h"
#include "state/row.h"

enum {
    MR_STORE_FORMAT = 1,
    MR_STORE_CHANGELOGS = 2, // of a task: user rows, item rows
    MR_STORE_MARKER_MAX = MR_ROW_PAYLOAD_MAX - 64,
    MR_STORE_CLUSTER_MAX = 63,
};

typedef struct mr_store mr_store;
typedef struct mr_store_reader mr_store_reader;

typedef struct mr_store_options {
    uint64_t
        map_bytes_initial;  // address space at the start; 0: 64 MiB. Grows by half when it is full
    uint64_t map_bytes_max; // it grows no further; 0: up to what the disk holds
    uint32_t tasks_max;     // databases open at once; 0: 1,024
    uint32_t readers_max;   // snapshots open at once in all processes; 0: 126
    mr_sync sync;
    bool read_only; // for inspect: takes no lock, works beside a worker that writes
} mr_store_options;

typedef struct mr_store_identity { // of whom this is a copy; all zero in a new folder
    uint64_t history[2];
    char cluster[MR_STORE_CLUSTER_MAX + 1]; // Kafka's cluster id
} mr_store_identity;

// One row to store under a key. An absent value (data NULL) erases the row; there need be none.
typedef struct mr_store_row {
    mr_bytes key;   // 1 .. MR_STORE_KEY_MAX bytes
    mr_bytes value; // sealed for that key
} mr_store_row;

// What a batch does to one task.
typedef struct mr_store_part {
    uint32_t task;
    uint32_t row_count;
    const mr_store_row *rows; // ascending by key, no key twice
    mr_bytes marker;          // opaque, at most MR_STORE_MARKER_MAX bytes; data NULL: left as it is
    int64_t offsets[MR_STORE_CHANGELOGS]; // next to read of each changelog; -1: left as it is
} mr_store_part;

typedef struct mr_store_batch {
    const mr_store_part *parts; // ascending by task
    uint32_t part_count;
} mr_store_batch;

typedef struct mr_store_task {
    uint32_t task;
    uint64_t row_count;
    int64_t offsets[MR_STORE_CHANGELOGS]; // -1: nothing was read yet
    uint32_t marker_bytes;                // 0: no marker yet
    uint8_t marker[MR_STORE_MARKER_MAX];
} mr_store_task;

typedef struct mr_store_stats {
    uint64_t map_bytes, file_bytes, used_bytes; // used: pages that hold something or once did
    uint64_t transaction;                       // number of the last commit
    uint64_t oldest_reader;                     // commits between it and the oldest snapshot in use
    uint32_t readers, readers_max, tasks, grown;
} mr_store_stats;

// Opens the state folder `path`, making it if it is absent. *dropped (may be NULL) tells that a
// copy was there and was thrown away, because it had been written without syncing when the machine
// went down.
//
// Errors: MR_FATAL: in use by another process, on a network filesystem, not ours, of another
// format, torn or damaged, not permitted; MR_RETRY: disk full. Read-only: MR_FATAL too where there
// is no state.
MR_CHECKED mr_status mr_store_open(const char *path, const mr_store_options *options,
                                   mr_store **store, bool *dropped, mr_error *err);

// Syncs, notes that the folder was left clean and closes it. Readers must be closed before. The
// memory is given back whatever the status; NULL is allowed. Errors: MR_RETRY or MR_FATAL: could
// not sync; the next opening then takes the folder for one that a crash left.
mr_status mr_store_close(mr_store *store, mr_error *err);

// The folder's path, for messages.
const char *mr_store_path(const mr_store *store);

// How the last owner left the folder, as read when it was opened.
const mr_place_note *mr_store_left(const mr_store *store);

// Applies a whole batch in one transaction, or nothing of it. A task that the store does not know
// is made. When the map is full the batch is undone, the map grown, and the batch applied again.
// Errors: MR_RETRY: disk full, map at its limit, I/O error; MR_FATAL: damaged.
// Keys that are out of order, too long, or a value that is not sealed for its key: the caller's
// bug.
MR_CHECKED mr_status mr_store_write(mr_store *store, const mr_store_batch *batch, mr_error *err);

// Forgets a task, its rows, marker and offsets; unknown tasks are none. Errors: as mr_store_write.
MR_CHECKED mr_status mr_store_task_drop(mr_store *store, uint32_t task, mr_error *err);

// Stores whose copy this is. Errors: as mr_store_write.
MR_CHECKED mr_status mr_store_identify(mr_store *store, const mr_store_identity *identity,
                                       mr_error *err);

// Brings everything committed to the disk: under MR_SYNC_NONE call it every few seconds.
MR_CHECKED mr_status mr_store_sync(mr_store *store, mr_error *err);

// Frees the slots of processes that died while they read; *freed counts them. Call it each minute.
MR_CHECKED mr_status mr_store_check_readers(mr_store *store, uint32_t *freed, mr_error *err);

// Errors: MR_FATAL when LMDB's reader table cannot be read.
MR_CHECKED mr_status mr_store_stat(mr_store *store, mr_store_stats *stats, mr_error *err);

// A view of the store as it was at the last refresh (or at a growth of the map since, if that was
// later). For one thread at a time; closed before the store. Errors: MR_RETRY: no free reader slot.
MR_CHECKED mr_status mr_store_reader_open(mr_store *store, mr_store_reader **reader, mr_error *err);
void mr_store_reader_close(mr_store_reader *reader);

// Moves the view to the last commit. Costs about a microsecond. The next read opens the snapshot;
// until then the reader holds no pages.
void mr_store_reader_refresh(mr_store_reader *reader);

// Copies a sealed row into `buffer`; *value_bytes = 0 where there is none. Its checksum was
// checked. Rows asked for in key order cost less: a reader remembers its place. Errors: MR_FATAL: a
// damaged row (named), or one larger than the buffer; MR_RETRY: no reader slot.
MR_CHECKED mr_status mr_store_get(mr_store_reader *reader, uint32_t task, mr_bytes key,
                                  uint8_t *buffer, uint32_t buffer_bytes, uint32_t *value_bytes,
                                  mr_error *err);

// Called for each row; key and value are borrowed for the call. A status other than MR_OK ends the
// walk, with err filled by the callback.
typedef mr_status mr_store_visit(void *context, mr_bytes key, mr_bytes value, mr_error *err);

// Visits the rows whose key begins with `prefix` (empty: all), in key order, from one snapshot.
// `checked`: open each row first and stop at the first damaged one; else the visitor does that
// itself. Errors: MR_FATAL: damaged; the visitor's.
MR_CHECKED mr_status mr_store_each(mr_store_reader *reader, uint32_t task, mr_bytes prefix,
                                   bool checked, mr_store_visit *visit, void *context,
                                   mr_error *err);

// The tasks in ascending order: fills up to tasks_max of them, *task_count says how many there are.
MR_CHECKED mr_status mr_store_tasks(mr_store_reader *reader, uint32_t *tasks, uint32_t tasks_max,
                                    uint32_t *task_count, mr_error *err);

// Marker, offsets and row count of a task; *found false where there is no such task.
MR_CHECKED mr_status mr_store_task_read(mr_store_reader *reader, uint32_t task, mr_store_task *out,
                                        bool *found, mr_error *err);

MR_CHECKED mr_status mr_store_identity_read(mr_store_reader *reader, mr_store_identity *identity,
                                            mr_error *err);

#endif
