// SPDX-License-Identifier: Apache-2.0
// A task's rows, sorted (sorter.h), appended to a fresh database.
//
// Appends come in transactions of bounded size, and nobody sees their pages before the last one
// puts the database in force. So they are not synced one by one: the disk is told to begin with
// each, and all is synced once, before that last transaction. In between an OS crash could leave
// the file torn; the note of the folder says so for as long (place.h).
#include "state/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "state/sorter.h"
#include "state/store_inner.h"

enum { APPEND_BYTES_MAX = 16 * 1024 * 1024 }; // of one transaction

struct mr_load {
    mr_store *store;
    uint32_t task;
    mr_sorter *sorter;
};

mr_status mr_load_open(mr_store *store, uint32_t task, size_t memory_bytes, mr_load **out,
                       mr_error *err)
{
    MR_ASSERT(memory_bytes >= MR_LOAD_MEMORY_MIN && memory_bytes < UINT32_MAX);
    mr_load *load = calloc(1, sizeof *load);
    if (load == NULL)
        return mr_fail(err, MR_FATAL, "restoring task %" PRIu32 ": out of memory", task);
    *load = (mr_load){.store = store, .task = task};
    if (mr_sorter_open(store, memory_bytes, &load->sorter, err) != MR_OK) {
        free(load);
        return mr_wrap(err, "restoring task %" PRIu32, task);
    }
    *out = load;
    return MR_OK;
}

void mr_load_close(mr_load *load)
{
    if (load == NULL)
        return;
    mr_sorter_close(load->sorter);
    free(load);
}

mr_status mr_load_put(mr_load *load, mr_bytes key, mr_bytes value, mr_error *err)
{
    if (key.size == 0 || key.size > MR_STORE_KEY_MAX)
        return mr_fail(err, MR_FATAL,
                       "restoring task %" PRIu32 ": a key has 1 to %d bytes, not %" PRIu32,
                       load->task, MR_STORE_KEY_MAX, key.size);
    if (value.data != NULL) {
        mr_row row;
        if (mr_row_open(key, value, &row, err) != MR_OK)
            return mr_wrap(err, "restoring task %" PRIu32, load->task);
    }
    return mr_sorter_put(load->sorter, key, value, err);
}

// ---- building the database

typedef struct build {
    mr_sorter_place committed; // up to where the rows are in the database
    mr_load_result counted;
    mr_load *load;
    MDB_dbi rows;
    uint64_t generation;
    mr_bytes marker;
    const int64_t *offsets;
    mr_load_result result;
    mr_status status; // of what is not LMDB's; err is filled
    mr_error *err;
    bool done;
} build;

static int make_database(mr_store *store, MDB_txn *txn, void *context)
{
    build *b = context;
    char name[40];
    const int code = mr_meta_next_layout(store, txn, &b->generation);
    if (code != 0)
        return code;
    mr_store_rows_name(b->load->task, b->generation, name);
    return mdb_dbi_open(txn, name, MDB_CREATE, &b->rows);
}

// Appends the row at hand and goes to the next.
static int append_row(build *b, MDB_cursor *cursor, mr_bytes key, mr_bytes value)
{
    int code = 0;
    if (value.data != NULL) {
        MDB_val name = mr_val(key), bytes = mr_val(value);
        code = mdb_cursor_put(cursor, &name, &bytes, MDB_APPEND);
        b->result.row_count++;
        mr_hash128_add(&b->result.state_hash, mr_row_hash(key, value));
    }
    if (code == 0)
        b->status = mr_sorter_next(b->load->sorter, b->err);
    return code;
}

// One transaction of appended rows. It may be a second attempt, so it begins where the last commit
// ended.
static int append_rows(mr_store *store, MDB_txn *txn, void *context)
{
    build *b = context;
    mr_sorter *sorter = b->load->sorter;
    mr_bytes key, value;
    MDB_cursor *cursor;
    size_t appended = 0;
    (void)store;
    b->result = b->counted;
    b->done = false;
    b->status = mr_sorter_seek(sorter, &b->committed, b->err);
    if (b->status != MR_OK)
        return 0; // an empty commit; append_all looks at the status
    int code = mdb_cursor_open(txn, b->rows, &cursor);
    if (code != 0)
        return code;
    while (code == 0 && b->status == MR_OK && appended < APPEND_BYTES_MAX && !b->done) {
        b->done = !mr_sorter_row(sorter, &key, &value);
        if (!b->done) {
            appended += key.size + value.size;
            code = append_row(b, cursor, key, value);
        }
    }
    mdb_cursor_close(cursor);
    return code;
}

static int empty_database(mr_store *store, MDB_txn *txn, void *context)
{
    const build *b = context;
    (void)store;
    return mdb_drop(txn, b->rows, 0);
}

static int put_in_force(mr_store *store, MDB_txn *txn, void *context)
{
    const build *b = context;
    const mr_store_table *old = mr_store_find(store, b->load->task);
    mr_meta_task fresh = {.generation = b->generation, .marker = b->marker};
    uint64_t layout;
    memcpy(fresh.offsets, b->offsets, sizeof fresh.offsets);
    int code = mr_meta_next_layout(store, txn, &layout); // readers elsewhere look again
    if (code == 0 && old != NULL)
        code = mdb_drop(txn, old->rows, 0); // its name goes at the next opening
    return code != 0 ? code : mr_meta_task_put(store, txn, b->load->task, &fresh);
}

static mr_status append_all(build *b, mr_error *err)
{
    mr_store *store = b->load->store;
    MR_TRY(mr_sorter_begin(b->load->sorter, err));
    mr_sorter_tell(b->load->sorter, &b->committed);
    while (!b->done) {
        MR_TRY(mr_store_run(store, append_rows, b, "restoring rows", err));
        MR_TRY(b->status);
        mr_sorter_tell(b->load->sorter, &b->committed);
        b->counted = b->result;
        mr_store_start_writing(store);
    }
    return MR_OK;
}

mr_status mr_load_finish(mr_load *load, mr_bytes marker, const int64_t offsets[MR_STORE_CHANGELOGS],
                         mr_load_result *result, mr_error *err)
{
    mr_store *store = load->store;
    build b = {.load = load, .marker = marker, .offsets = offsets, .err = err};
    MR_ASSERT(marker.size <= MR_STORE_MARKER_MAX);
    mr_store_enter(store);
    mr_status status = mr_store_run(store, make_database, &b, "making a task", err);
    mr_store_leave(store);
    if (status != MR_OK)
        return status;
    status = mr_store_sync_late(store, err);
    if (status == MR_OK) {
        mr_error late;
        status = append_all(&b, err);
        if (mr_store_sync_now(store, &late) != MR_OK && status == MR_OK) {
            *err = late;
            status = late.status;
        }
    }
    mr_store_enter(store);
    if (status == MR_OK)
        status = mr_store_run(store, put_in_force, &b, "restoring a task", err);
    if (status != MR_OK) { // an attempt to give its pages back; the next opening drops it anyhow
        mr_error ignored;
        (void)!mr_store_run(store, empty_database, &b, "undoing a restore", &ignored);
    }
    mdb_dbi_close(store->env, b.rows); // load_tables opens it by its name, if it is in force
    if (status == MR_OK)
        status = mr_store_load_tables(store, err);
    mr_store_leave(store);
    *result = b.result;
    return status;
}
