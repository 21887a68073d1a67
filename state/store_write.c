// SPDX-License-Identifier: Apache-2.0
// Writing: batches of rows with their markers, tasks made and dropped.
#include <string.h>

#include "core/base/error.h"
#include "state/store_inner.h"

// Checked before the transaction, because a batch may be applied more than once.
static void assert_batch(const mr_store_batch *batch)
{
    for (uint32_t i = 0; i < batch->part_count; i++) {
        const mr_store_part *part = &batch->parts[i];
        MR_ASSERT(i == 0 || batch->parts[i - 1].task < part->task);
        MR_ASSERT(part->marker.size <= MR_STORE_MARKER_MAX);
        for (uint32_t j = 0; j < part->row_count; j++) {
            const mr_store_row *row = &part->rows[j];
            MR_ASSERT(row->key.size > 0 && row->key.size <= MR_STORE_KEY_MAX);
            MR_ASSERT(j == 0 || mr_bytes_compare(part->rows[j - 1].key, row->key) < 0);
            MR_ASSERT(row->value.data == NULL || mr_row_is_sealed(row->key, row->value));
        }
    }
}

// A cursor stays on its page, so that the next key, which is near, is found without a walk from the
// root.
static int write_rows(MDB_txn *txn, MDB_dbi rows, const mr_store_part *part)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, rows, &cursor);
    if (code != 0)
        return code;
    for (uint32_t i = 0; code == 0 && i < part->row_count; i++) {
        MDB_val key = mr_val(part->rows[i].key), value = mr_val(part->rows[i].value);
        if (value.mv_data != NULL) {
            code = mdb_cursor_put(cursor, &key, &value, 0);
            continue;
        }
        code = mdb_cursor_get(cursor, &key, NULL, MDB_SET);
        if (code == 0)
            code = mdb_cursor_del(cursor, 0);
        else if (code == MDB_NOTFOUND)
            code = 0; // to erase what is not there is no work
    }
    mdb_cursor_close(cursor);
    return code;
}

static int write_part(mr_store *store, MDB_txn *txn, const mr_store_part *part)
{
    const mr_store_table *table = mr_store_find(store, part->task);
    mr_meta_task record;
    MR_ASSERT(table != NULL);
    int code = write_rows(txn, table->rows, part);
    bool changed = part->marker.data != NULL;
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++)
        changed = changed || part->offsets[i] >= 0;
    if (code != 0 || !changed)
        return code;
    // The old record is read from the map that the new one is written to: copied first.
    uint8_t marker[MR_STORE_MARKER_MAX];
    code = mr_meta_task_get(store, txn, part->task, &record);
    if (code != 0)
        return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
    const mr_bytes source = part->marker.data != NULL ? part->marker : record.marker;
    if (source.size > 0)
        memcpy(marker, source.data, source.size);
    record.marker = mr_bytes_of(marker, source.size);
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++)
        if (part->offsets[i] >= 0)
            record.offsets[i] = part->offsets[i];
    return mr_meta_task_put(store, txn, part->task, &record);
}

static int write_batch(mr_store *store, MDB_txn *txn, void *context)
{
    const mr_store_batch *batch = context;
    for (uint32_t i = 0; i < batch->part_count; i++) {
        const int code = write_part(store, txn, &batch->parts[i]);
        if (code != 0)
            return code;
    }
    return 0;
}

static int make_task(mr_store *store, MDB_txn *txn, void *context)
{
    const uint32_t *task = context;
    mr_meta_task record = {.offsets = {-1, -1}};
    char name[40];
    MDB_dbi rows;
    int code = mr_meta_next_layout(store, txn, &record.generation);
    if (code != 0)
        return code;
    mr_store_rows_name(*task, record.generation, name);
    code = mdb_dbi_open(txn, name, MDB_CREATE, &rows);
    return code != 0 ? code : mr_meta_task_put(store, txn, *task, &record);
}

// A database is made in a transaction of its own: its handle then lives in the table before a row
// is written, and a batch that is applied twice has none to make twice.
static mr_status make_tasks(mr_store *store, const mr_store_batch *batch, mr_error *err)
{
    mr_status status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < batch->part_count; i++) {
        uint32_t task = batch->parts[i].task;
        if (mr_store_find(store, task) != NULL)
            continue;
        if (store->table_count == store->options.tasks_max)
            return mr_fail(
                err, MR_FATAL,
                "state folder %.100s: holds %u tasks, the most that one worker opens, and "
                "task %u is new; spread them over more workers",
                store->path, store->table_count, task);
        mr_store_enter(store);
        status = mr_store_run(store, make_task, &task, "making a task", err);
        if (status == MR_OK)
            status = mr_store_load_tables(store, err);
        mr_store_leave(store);
    }
    return status;
}

mr_status mr_store_write(mr_store *store, const mr_store_batch *batch, mr_error *err)
{
    union { // the step takes a context that it may change, and leaves this one alone
        const mr_store_batch *in;
        void *out;
    } context = {.in = batch};
    assert_batch(batch);
    MR_TRY(make_tasks(store, batch, err));
    return mr_store_run(store, write_batch, context.out, "writing rows", err);
}

static int drop_task(mr_store *store, MDB_txn *txn, void *context)
{
    const uint32_t *task = context;
    const mr_store_table *table = mr_store_find(store, *task);
    uint8_t name[MR_META_KEY_BYTES];
    uint64_t layout;
    MDB_val key = {sizeof name, name};
    mr_meta_task_key(*task, name);
    int code = mr_meta_next_layout(store, txn, &layout);
    if (code == 0)
        code = mdb_del(txn, store->meta, &key, NULL);
    // Emptied here and now; the database itself goes at the next opening. LMDB closes a handle with
    // the drop, before it is known whether the commit succeeds.
    return code != 0 ? code : mdb_drop(txn, table->rows, 0);
}

mr_status mr_store_task_drop(mr_store *store, uint32_t task, mr_error *err)
{
    if (mr_store_find(store, task) == NULL)
        return MR_OK;
    mr_store_enter(store);
    mr_status status = mr_store_run(store, drop_task, &task, "dropping a task", err);
    if (status == MR_OK)
        status = mr_store_load_tables(store, err);
    mr_store_leave(store);
    return status;
}

static int write_identity(mr_store *store, MDB_txn *txn, void *context)
{
    const mr_store_identity *identity = context;
    uint8_t payload[16 + MR_STORE_CLUSTER_MAX];
    const size_t length = strlen(identity->cluster);
    for (int i = 0; i < 16; i++)
        payload[i] = (uint8_t)(identity->history[i / 8] >> (8 * (i % 8)));
    memcpy(payload + 16, identity->cluster, length);
    return mr_meta_put(store, txn, mr_bytes_text("identity"), MR_META_IDENTITY,
                       mr_bytes_of(payload, 16 + length));
}

mr_status mr_store_identify(mr_store *store, const mr_store_identity *identity, mr_error *err)
{
    mr_store_identity copy = *identity;
    MR_ASSERT(memchr(copy.cluster, '\0', sizeof copy.cluster) != NULL);
    return mr_store_run(store, write_identity, &copy, "writing the identity", err);
}
