// SPDX-License-Identifier: Apache-2.0
#include "worker/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/verify.h"
#include "worker/inspect_inner.h"

// ---- opening

// Whether `folder` holds a state.
static bool holds_state(const char *folder)
{
    char path[PATH_MAX + 16];
    const int size = snprintf(path, sizeof path, "%.*s/data.mdb", PATH_MAX, folder);
    return size < (int)sizeof path && access(path, F_OK) == 0;
}

static void find_folder(const char *path, char folder[PATH_MAX])
{
    const int size = snprintf(folder, PATH_MAX, "%s/state", path);
    if (size >= PATH_MAX || holds_state(path) || !holds_state(folder))
        snprintf(folder, PATH_MAX, "%s", path);
}

mr_status mr_inspect_open(const char *path, mr_inspect **out, mr_error *err)
{
    const mr_store_options options = {.read_only = true, .tasks_max = MR_INSPECT_TASKS_MAX};
    mr_inspect *in = calloc(1, sizeof *in);
    *out = in;
    if (in == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    in->marker = (mr_marker){.pairs = in->pairs, .offsets = in->offsets, .links = in->links};
    find_folder(path, in->path);
    mr_status status = mr_store_open(in->path, &options, &in->store, NULL, err);
    if (status == MR_OK)
        status = mr_store_reader_open(in->store, &in->reader, err);
    if (status == MR_OK)
        status = mr_store_tasks(in->reader, in->tasks, MR_INSPECT_TASKS_MAX, &in->task_count, err);
    if (status == MR_OK)
        return MR_OK;
    mr_inspect_close(in);
    *out = NULL;
    return status;
}

void mr_inspect_close(mr_inspect *in)
{
    mr_error ignored;
    if (in == NULL)
        return;
    mr_store_reader_close(in->reader);
    (void)!mr_store_close(in->store, &ignored); // read-only: there is nothing to sync
    free(in);
}

const char *mr_inspect_path(const mr_inspect *in)
{
    return in->path;
}

// ---- reading

json_t *mr_inspect_hash_text(mr_hash128 hash)
{
    char text[33];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high,
             (unsigned long long)hash.low);
    return json_string(text);
}

mr_status mr_inspect_read(mr_inspect *in, uint32_t task, mr_bytes key, mr_row *row, mr_error *err)
{
    uint32_t bytes;
    *row = (mr_row){.kind = 0};
    MR_TRY(mr_store_get(in->reader, task, key, in->row, sizeof in->row, &bytes, err));
    return bytes == 0 ? MR_OK : mr_row_open(key, mr_bytes_of(in->row, bytes), row, err);
}

static mr_status read_task(mr_inspect *in, uint32_t task, bool *torn, mr_error *err)
{
    bool found;
    MR_TRY(mr_store_task_read(in->reader, task, &in->record, &found, err));
    if (!found)
        return mr_fail(err, MR_RETRY, "task %u went away: ask again", task);
    if (mr_marker_newest(&in->record, &in->marker, torn, err) != MR_OK)
        return mr_wrap(err, "task %u: marker", task);
    return MR_OK;
}

// ---- summary

static void put_counters(json_t *object, const mr_task_counters *c)
{
    mr_inspect_set(object, "read", mr_inspect_count(c->read));
    mr_inspect_set(object, "learned", mr_inspect_count(c->learned));
    mr_inspect_set(object, "duplicate", mr_inspect_count(c->duplicate));
    mr_inspect_set(object, "late", mr_inspect_count(c->late));
    mr_inspect_set(object, "dropped", mr_inspect_count(c->late_dropped + c->limited));
    if (c->pending > 0)
        mr_inspect_set(object, "pending", mr_inspect_count(c->pending));
    mr_inspect_set(object, "refused", mr_inspect_count(c->refused));
}

static void add_counters(mr_task_counters *sum, const mr_task_counters *c)
{
    sum->read += c->read;
    sum->learned += c->learned;
    sum->duplicate += c->duplicate;
    sum->late += c->late;
    sum->late_dropped += c->late_dropped;
    sum->limited += c->limited;
    sum->pending += c->pending;
    sum->refused += c->refused;
}

static void put_offsets(const mr_marker *marker, json_t *rows)
{
    for (uint32_t i = 0; i < marker->offset_count; i++) {
        json_t *row = json_object();
        mr_inspect_set(row, "task", json_integer(marker->task));
        mr_inspect_set(row, "topic", mr_inspect_text(marker->offsets[i].topic));
        mr_inspect_set(row, "partition", json_integer(marker->offsets[i].partition));
        mr_inspect_set(row, "next", json_integer(marker->offsets[i].next));
        json_array_append_new(rows, row);
    }
}

static mr_status summarise_task(mr_inspect *in, uint32_t task, json_t *rows, json_t *offsets,
                                mr_task_counters *sum, mr_error *err)
{
    const uint8_t key = MR_ROW_TASK;
    mr_task read;
    mr_row row;
    bool torn;
    MR_TRY(read_task(in, task, &torn, err));
    json_t *object = json_object();
    json_array_append_new(rows, object);
    mr_inspect_set(object, "task", json_integer(task));
    mr_inspect_set(object, "seq", mr_inspect_count(in->marker.seq));
    mr_inspect_set(object, "rows", mr_inspect_count(in->record.row_count));
    if (in->marker.seq > 0) {
        mr_inspect_set(object, "clock", mr_inspect_time(in->marker.clock_ms));
        mr_inspect_set(object, "committed", mr_inspect_time(in->marker.wall_ms));
        put_offsets(&in->marker, offsets);
    }
    if (torn)
        mr_inspect_set(object, "restoring", json_true());
    mr_inspect_set(object, "user_rows_next", json_integer(in->record.offsets[0]));
    mr_inspect_set(object, "item_rows_next", json_integer(in->record.offsets[1]));
    MR_TRY(mr_inspect_read(in, task, mr_bytes_of(&key, 1), &row, err));
    if (row.payload.data == NULL)
        return MR_OK;
    MR_TRY(mr_inspect_read_task(row.payload, &read, err));
    mr_inspect_set(object, "epochs", mr_inspect_count(read.epoch));
    put_counters(object, &read.counters);
    add_counters(sum, &read.counters);
    return MR_OK;
}

static mr_status put_folder(mr_inspect *in, json_t *root, mr_error *err)
{
    static const char *const syncs[] = {"meta", "full", "none"};
    mr_store_identity identity;
    mr_store_stats stats;
    char text[64];
    const mr_place_note *left = mr_store_left(in->store);
    MR_TRY(mr_store_identity_read(in->reader, &identity, err));
    MR_TRY(mr_store_stat(in->store, &stats, err));
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)identity.history[0],
             (unsigned long long)identity.history[1]);
    mr_inspect_set(root, "folder", json_string(in->path));
    mr_inspect_set(root, "format", json_integer(MR_STORE_FORMAT));
    mr_inspect_set(root, "history", json_string(text));
    mr_inspect_set(root, "cluster", json_string(identity.cluster));
    mr_inspect_set(root, "in_use", json_boolean(mr_place_is_claimed(in->path)));
    if (left->present) {
        snprintf(text, sizeof text, "pid %ld on %.40s", left->pid, left->host);
        mr_inspect_set(root, "owner", json_string(text));
        mr_inspect_set(root, "clean", json_boolean(left->clean));
        mr_inspect_set(root, "sync", json_string(syncs[left->sync]));
    }
    mr_inspect_set(root, "file_bytes", mr_inspect_count(stats.file_bytes));
    mr_inspect_set(root, "used_bytes", mr_inspect_count(stats.used_bytes));
    mr_inspect_set(root, "map_bytes", mr_inspect_count(stats.map_bytes));
    mr_inspect_set(root, "readers", json_integer(stats.readers));
    mr_inspect_set(root, "oldest_reader", mr_inspect_count(stats.oldest_reader)); // commits behind
    return MR_OK;
}

static mr_status summarise(mr_inspect *in, json_t *root, mr_error *err)
{
    json_t *rows = json_array(), *offsets = json_array();
    mr_task_counters sum = {0};
    mr_hash128 state = {0, 0};
    uint64_t row_count = 0;
    mr_status status = put_folder(in, root, err);
    for (uint32_t t = 0; status == MR_OK && t < in->task_count; t++) {
        status = summarise_task(in, in->tasks[t], rows, offsets, &sum, err);
        row_count += in->record.row_count;
        if (in->marker.seq > 0)
            mr_hash128_add(&state, in->marker.state_hash);
        if (status == MR_OK && in->marker.seq > 0 && t == 0) {
            mr_inspect_set(root, "tasks", json_integer(in->marker.tasks));
            mr_inspect_set(root, "release", mr_inspect_text(in->marker.release));
            mr_inspect_set(root, "configuration", mr_inspect_hex(in->marker.config_hash));
        }
    }
    mr_inspect_set(root, "rows", mr_inspect_count(row_count));
    mr_inspect_set(root, "state_hash", mr_inspect_hash_text(state));
    put_counters(root, &sum);
    mr_inspect_set(root, "by_task", rows);
    mr_inspect_set(root, "inputs", offsets);
    return status;
}

static mr_status build(mr_status (*fill)(mr_inspect *in, json_t *root, mr_error *err),
                       mr_inspect *in, json_t **out, mr_error *err)
{
    *out = json_object();
    const mr_status status = fill(in, *out, err);
    if (status == MR_OK)
        return MR_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

mr_status mr_inspect_summary(mr_inspect *in, json_t **out, mr_error *err)
{
    return build(summarise, in, out, err);
}

// ---- hash

static mr_status hash_all(mr_inspect *in, json_t *root, mr_error *err)
{
    json_t *rows = json_array();
    mr_hash128 state = {0, 0};
    mr_inspect_set(root, "state_hash", json_null()); // stands first
    mr_inspect_set(root, "by_task", rows);
    for (uint32_t t = 0; t < in->task_count; t++) {
        mr_verify_want found;
        bool torn;
        MR_TRY(read_task(in, in->tasks[t], &torn, err));
        MR_TRY(mr_verify_task(in->reader, in->tasks[t], &found, err));
        if (in->marker.seq > 0 && !torn &&
            (found.state_hash.low != in->marker.state_hash.low ||
             found.state_hash.high != in->marker.state_hash.high))
            return mr_fail(
                err, MR_FATAL,
                "task %u: the hash of its rows is not the marker's: run millrace inspect "
                "verify",
                in->tasks[t]);
        json_t *row = json_object();
        mr_inspect_set(row, "task", json_integer(in->tasks[t]));
        mr_inspect_set(row, "seq", mr_inspect_count(in->marker.seq));
        mr_inspect_set(row, "rows", mr_inspect_count(found.row_count));
        mr_inspect_set(row, "state_hash", mr_inspect_hash_text(found.state_hash));
        json_array_append_new(rows, row);
        mr_hash128_add(&state, found.state_hash);
    }
    mr_inspect_set(root, "state_hash", mr_inspect_hash_text(state));
    return MR_OK;
}

mr_status mr_inspect_hash(mr_inspect *in, json_t **out, mr_error *err)
{
    return build(hash_all, in, out, err);
}

// ---- verify

static const char advice[] = "stop the worker, then millrace recover --from-log or delete the "
                             "folder: the next start restores "
                             "it from the changelog; what a replay left is replayed again";

static void note_fault(void *context, const char *text)
{
    json_array_append_new(context, json_string(text));
}

mr_status mr_inspect_verify(const char *path, json_t **out, mr_error *err)
{
    mr_inspect *room = calloc(1, sizeof *room); // of the marker's arrays, and the folder's name
    *out = json_object();
    if (room == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    room->marker =
        (mr_marker){.pairs = room->pairs, .offsets = room->offsets, .links = room->links};
    json_t *faults = json_array();
    const mr_verify_options options = {
        .marker = mr_marker_wants,
        .marker_context = &room->marker,
        .fault = note_fault,
        .fault_context = faults,
    };
    mr_verify_result result = {0};
    find_folder(path, room->path);
    const mr_status status = mr_verify_folder(room->path, &options, &result, err);
    mr_inspect_set(*out, "folder", json_string(room->path));
    mr_inspect_set(*out, "good", json_boolean(status == MR_OK));
    mr_inspect_set(*out, "tasks", json_integer(result.tasks));
    mr_inspect_set(*out, "rows", mr_inspect_count(result.rows));
    mr_inspect_set(*out, "row_bytes", mr_inspect_count(result.row_bytes));
    mr_inspect_set(*out, "faults", mr_inspect_count(result.faults));
    mr_inspect_set(*out, "found", faults);
    if (result.faults > 0)
        mr_inspect_set(*out, "advice", json_string(advice));
    free(room);
    return status;
}
