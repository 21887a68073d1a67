// SPDX-License-Identifier: Apache-2.0
// Reading: snapshots that are taken again, rows copied out, walks in key order.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "state/store_inner.h"

mr_status mr_store_reader_open(mr_store *store, mr_store_reader **out, mr_error *err)
{
    mr_store_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_fail(err, MR_FATAL, "state folder %.120s: out of memory", store->path);
    reader->store = store;
    pthread_rwlock_wrlock(&store->lock);
    reader->next = store->readers;
    store->readers = reader;
    pthread_rwlock_unlock(&store->lock);
    *out = reader;
    return MR_OK;
}

void mr_store_reader_close(mr_store_reader *reader)
{
    if (reader == NULL)
        return;
    pthread_rwlock_wrlock(&reader->store->lock);
    mr_store_reader **link = &reader->store->readers;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    if (reader->cursor != NULL)
        mdb_cursor_close(reader->cursor);
    if (reader->txn != NULL)
        mdb_txn_abort(reader->txn);
    pthread_rwlock_unlock(&reader->store->lock);
    free(reader);
}

void mr_store_reader_refresh(mr_store_reader *reader)
{
    pthread_rwlock_rdlock(&reader->store->lock);
    if (reader->live)
        mdb_txn_reset(reader->txn);
    reader->live = reader->cursor_live = false;
    pthread_rwlock_unlock(&reader->store->lock);
}

// Takes a snapshot; the store's lock is held shared. MDB_MAP_RESIZED and MR_LAYOUT_CHANGED want the
// lock exclusive: another process has grown the map, or made or dropped a task.
enum { MR_LAYOUT_CHANGED = -1 };

static int take_snapshot(mr_store_reader *reader)
{
    mr_store *store = reader->store;
    mr_bytes payload;
    int code = reader->txn == NULL ? mdb_txn_begin(store->env, NULL, MDB_RDONLY, &reader->txn)
                                   : mdb_txn_renew(reader->txn);
    if (code != 0)
        return code;
    if (store->options.read_only) { // else this process makes all changes itself
        code = mr_meta_get(store, reader->txn, mr_bytes_text("layout"), MR_META_LAYOUT, &payload);
        uint64_t layout = 0;
        for (uint32_t i = 0; code == 0 && i < payload.size; i++)
            layout |= (uint64_t)payload.data[i] << (8 * i);
        if (code == 0 && layout != store->layout)
            code = MR_LAYOUT_CHANGED;
        if (code != 0) {
            mdb_txn_reset(reader->txn);
            return code;
        }
    }
    reader->live = true;
    return 0;
}

// On MR_OK the reader has a snapshot and the store's lock is held shared.
static mr_status begin(mr_store_reader *reader, mr_error *err)
{
    mr_store *store = reader->store;
    for (;;) {
        pthread_rwlock_rdlock(&store->lock);
        const int code = reader->live ? 0 : take_snapshot(reader);
        if (code == 0)
            return MR_OK;
        pthread_rwlock_unlock(&store->lock);
        if (code != MDB_MAP_RESIZED && code != MR_LAYOUT_CHANGED)
            return mr_store_fail(store, err, code, "reading");
        mr_status status = MR_OK;
        mr_store_enter(store);
        if (code == MDB_MAP_RESIZED) {
            const int adopted = mr_store_adopt_map(store);
            if (adopted != 0)
                status = mr_store_fail(store, err, adopted, "growing the map after the writer");
        } else {
            status = mr_store_load_tables(store, err);
        }
        mr_store_leave(store);
        if (status != MR_OK)
            return status;
    }
}

static void end(mr_store_reader *reader)
{
    pthread_rwlock_unlock(&reader->store->lock);
}

// The reader's own cursor on a database; kept, because a key near the last one is then found in its
// page.
static int use_cursor(mr_store_reader *reader, MDB_dbi rows)
{
    if (reader->cursor != NULL && reader->cursor_rows == rows) {
        const int code = reader->cursor_live ? 0 : mdb_cursor_renew(reader->txn, reader->cursor);
        reader->cursor_live = code == 0;
        return code;
    }
    if (reader->cursor != NULL)
        mdb_cursor_close(reader->cursor);
    reader->cursor = NULL;
    const int code = mdb_cursor_open(reader->txn, rows, &reader->cursor);
    if (code != 0)
        reader->cursor = NULL;
    reader->cursor_rows = rows;
    reader->cursor_live = code == 0;
    return code;
}

static mr_status wrap_row(const mr_store_reader *reader, uint32_t task, mr_error *err)
{
    return mr_wrap(err, "state folder %.80s: task %" PRIu32, reader->store->path, task);
}

// A damaged row: where it lies, what is wrong, and what puts it right.
static mr_status refuse_row(const mr_store_reader *reader, uint32_t task, mr_error *err)
{
    const mr_error found = *err;
    return mr_fail(err, found.status,
                   "state folder %.60s: task %" PRIu32
                   ": %.120s; millrace recover --from-log and a "
                   "start restore it from the changelog",
                   reader->store->path, task, found.text);
}

static mr_status copy_row(mr_store_reader *reader, uint32_t task, mr_bytes key, uint8_t *buffer,
                          uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    const mr_store_table *table = mr_store_find(reader->store, task);
    MDB_val name = mr_val(key), found;
    mr_row row;
    *value_bytes = 0;
    if (table == NULL)
        return MR_OK;
    int code = use_cursor(reader, table->rows);
    if (code == 0)
        code = mdb_cursor_get(reader->cursor, &name, &found, MDB_SET_KEY);
    if (code == MDB_NOTFOUND)
        return MR_OK;
    if (code != 0)
        return mr_store_fail(reader->store, err, code, "reading a row");
    const mr_bytes value = mr_bytes_of_val(found);
    if (mr_row_open(key, value, &row, err) != MR_OK)
        return refuse_row(reader, task, err);
    if (value.size > buffer_bytes) {
        mr_fail(err, MR_FATAL, "a row of %" PRIu32 " bytes does not fit a buffer of %" PRIu32,
                value.size, buffer_bytes);
        return wrap_row(reader, task, err);
    }
    memcpy(buffer, value.data, value.size);
    *value_bytes = value.size;
    return MR_OK;
}

mr_status mr_store_get(mr_store_reader *reader, uint32_t task, mr_bytes key, uint8_t *buffer,
                       uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    MR_ASSERT(key.size > 0 && key.size <= MR_STORE_KEY_MAX);
    MR_TRY(begin(reader, err));
    const mr_status status = copy_row(reader, task, key, buffer, buffer_bytes, value_bytes, err);
    end(reader);
    return status;
}

static bool has_prefix(MDB_val key, mr_bytes prefix)
{
    return key.mv_size >= prefix.size &&
           (prefix.size == 0 || memcmp(key.mv_data, prefix.data, prefix.size) == 0);
}

static mr_status walk(mr_store_reader *reader, const mr_store_table *table, mr_bytes prefix,
                      bool checked, mr_store_visit *visit, void *context, mr_error *err)
{
    MDB_val key = mr_val(prefix), value;
    int code = use_cursor(reader, table->rows);
    if (code == 0)
        code = mdb_cursor_get(reader->cursor, &key, &value,
                              prefix.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (code == 0 && has_prefix(key, prefix)) {
        mr_row row;
        if (checked &&
            mr_row_open(mr_bytes_of_val(key), mr_bytes_of_val(value), &row, err) != MR_OK)
            return refuse_row(reader, table->task, err);
        MR_TRY(visit(context, mr_bytes_of_val(key), mr_bytes_of_val(value), err));
        code = mdb_cursor_get(reader->cursor, &key, &value, MDB_NEXT);
    }
    if (code != 0 && code != MDB_NOTFOUND)
        return mr_store_fail(reader->store, err, code, "reading rows in order");
    return MR_OK;
}

mr_status mr_store_each(mr_store_reader *reader, uint32_t task, mr_bytes prefix, bool checked,
                        mr_store_visit *visit, void *context, mr_error *err)
{
    MR_ASSERT(prefix.size <= MR_STORE_KEY_MAX);
    MR_TRY(begin(reader, err));
    const mr_store_table *table = mr_store_find(reader->store, task);
    mr_status status = MR_OK;
    if (table != NULL)
        status = walk(reader, table, prefix, checked, visit, context, err);
    end(reader);
    return status;
}

mr_status mr_store_tasks(mr_store_reader *reader, uint32_t *tasks, uint32_t tasks_max,
                         uint32_t *task_count, mr_error *err)
{
    MR_TRY(begin(reader, err));
    const mr_store *store = reader->store;
    *task_count = store->table_count;
    for (uint32_t i = 0; i < store->table_count && i < tasks_max; i++)
        tasks[i] = store->tables[i].task;
    end(reader);
    return MR_OK;
}

mr_status mr_store_task_read(mr_store_reader *reader, uint32_t task, mr_store_task *out,
                             bool *found, mr_error *err)
{
    MR_TRY(begin(reader, err));
    const mr_store_table *table = mr_store_find(reader->store, task);
    mr_meta_task record;
    MDB_stat about;
    int code = 0;
    *found = table != NULL;
    if (table != NULL) {
        code = mr_meta_task_get(reader->store, reader->txn, task, &record);
        if (code == 0)
            code = mdb_stat(reader->txn, table->rows, &about);
        if (code == 0) {
            out->task = task;
            out->row_count = about.ms_entries;
            memcpy(out->offsets, record.offsets, sizeof out->offsets);
            out->marker_bytes = record.marker.size;
            memcpy(out->marker, record.marker.data, record.marker.size);
        }
    }
    end(reader);
    return code == 0
               ? MR_OK
               : mr_store_fail(reader->store, err, code == MDB_NOTFOUND ? MDB_CORRUPTED : code,
                               "reading the record of a task");
}

mr_status mr_store_identity_read(mr_store_reader *reader, mr_store_identity *identity,
                                 mr_error *err)
{
    mr_bytes payload;
    *identity = (mr_store_identity){0};
    MR_TRY(begin(reader, err));
    int code = mr_meta_get(reader->store, reader->txn, mr_bytes_text("identity"), MR_META_IDENTITY,
                           &payload);
    if (code == 0 && (payload.size < 16 || payload.size > 16 + MR_STORE_CLUSTER_MAX))
        code = MDB_CORRUPTED;
    if (code == 0) {
        for (int i = 0; i < 16; i++)
            identity->history[i / 8] |= (uint64_t)payload.data[i] << (8 * (i % 8));
        memcpy(identity->cluster, payload.data + 16, payload.size - 16);
    }
    end(reader);
    if (code == 0 || code == MDB_NOTFOUND)
        return MR_OK; // none was written yet
    return mr_store_fail(reader->store, err, code, "reading the identity");
}
