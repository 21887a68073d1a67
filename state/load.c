// SPDX-License-Identifier: Apache-2.0
// Sort in memory, spill, merge, append (Knuth, TAOCP 3, 5.4: external sorting).
//
// Memory is one block: records grow from its front, their index entries from its back.
//
//     | record 0 | record 1 | ... ->            <- ... | entry 1 | entry 0 |
//
// A record, in memory and in a run: u32 key_bytes, u32 value_bytes (ERASED: none), key, value; in
// the order of this machine, because a run never leaves it. Runs are numbered in the order of their
// rows, so of two records with one key that of the later run is the newer.
#include "state/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/store_inner.h"

enum {
    RECORD_HEAD = 8,
    RECORD_MAX = RECORD_HEAD + MR_STORE_KEY_MAX + MR_ROW_BYTES_MAX,
    WINDOW_BYTES = 2 * 65536 + 4096,     // of a run in a merge: more than one record
    APPEND_BYTES_MAX = 16 * 1024 * 1024, // of one transaction
};
static const uint32_t ERASED = UINT32_MAX;

typedef struct entry { // of a record: eight bytes of its key decide nearly every comparison
    uint64_t prefix;
    uint32_t offset;
    uint32_t spare;
} entry;

typedef struct run { // a file, sorted, each key once
    int fd;
    uint8_t *window;
    size_t begin, end; // what of the window is not consumed
    off_t read_at;
} run;

typedef struct record {
    mr_bytes key, value; // value.data NULL: erased
    size_t bytes;
} record;

struct mr_load {
    mr_store *store;
    uint32_t task;
    uint8_t *memory;
    size_t memory_bytes, used;
    uint32_t count; // of entries
    bool sorted;
    run runs[MR_LOAD_RUNS_MAX];
    uint32_t run_count;
};

static entry *entry_of(const mr_load *load, uint32_t index)
{
    return (entry *)(void *)(load->memory + load->memory_bytes) - 1 - index;
}

static record parse(const uint8_t *bytes)
{
    uint32_t head[2];
    memcpy(head, bytes, sizeof head);
    record r = {.key = mr_bytes_of(bytes + RECORD_HEAD, head[0])};
    if (head[1] != ERASED)
        r.value = mr_bytes_of(bytes + RECORD_HEAD + head[0], head[1]);
    r.bytes = RECORD_HEAD + (size_t)head[0] + r.value.size;
    return r;
}

static uint64_t prefix_of(mr_bytes key)
{
    uint64_t prefix = 0;
    for (uint32_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < key.size ? key.data[i] : 0);
    return prefix;
}

mr_status mr_load_open(mr_store *store, uint32_t task, size_t memory_bytes, mr_load **out,
                       mr_error *err)
{
    MR_ASSERT(memory_bytes >= MR_LOAD_MEMORY_MIN && memory_bytes < UINT32_MAX);
    mr_load *load = calloc(1, sizeof *load);
    if (load != NULL) {
        load->memory_bytes = memory_bytes / sizeof(entry) * sizeof(entry);
        load->memory = malloc(load->memory_bytes);
    }
    if (load == NULL || load->memory == NULL) {
        free(load);
        return mr_fail(err, MR_FATAL, "restoring task %" PRIu32 ": out of memory (%zu bytes)", task,
                       memory_bytes);
    }
    load->store = store;
    load->task = task;
    *out = load;
    return MR_OK;
}

static void close_run(run *r)
{
    close(r->fd);
    free(r->window);
    *r = (run){.fd = -1};
}

void mr_load_close(mr_load *load)
{
    if (load == NULL)
        return;
    for (uint32_t i = 0; i < load->run_count; i++)
        close_run(&load->runs[i]);
    free(load->memory);
    free(load);
}

// ---- sorting what is in memory

static int compare_entries(const void *a, const void *b, void *context)
{
    const mr_load *load = context;
    const entry *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    const int order =
        mr_bytes_compare(parse(load->memory + x->offset).key, parse(load->memory + y->offset).key);
    if (order != 0)
        return order;
    return x->offset < y->offset ? 1 : -1; // the newest of a key first
}

// Sorts, and keeps the newest record of each key. Entries lie backwards in memory: the last one in
// memory is the first in order.
static void sort_memory(mr_load *load)
{
    if (load->sorted || load->count == 0)
        return;
    entry *first = entry_of(load, load->count - 1);
    qsort_r(first, load->count, sizeof *first, compare_entries, load);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < load->count; i++) {
        const mr_bytes key = parse(load->memory + first[i].offset).key;
        if (kept == 0 || !mr_bytes_equal(parse(load->memory + first[kept - 1].offset).key, key))
            first[kept++] = first[i];
    }
    // Back to the place where entry_of expects them, in ascending order of the address.
    memmove(entry_of(load, kept - 1), first, kept * sizeof *first);
    load->count = kept;
    load->sorted = true;
}

// ---- runs

static mr_status write_all(mr_load *load, int fd, const uint8_t *bytes, size_t size, mr_error *err)
{
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return mr_store_fail(load->store, err, written == 0 ? ENOSPC : errno,
                                 "spilling rows of a restore");
        bytes += written;
        size -= (size_t)written;
    }
    return MR_OK;
}

// An unnamed file in the state folder: it vanishes with the process.
static mr_status make_run(mr_load *load, run *out, mr_error *err)
{
    char name[PATH_MAX + 32];
    *out = (run){.fd = open(load->store->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (out->fd < 0) { // a filesystem without unnamed files
        snprintf(name, sizeof name, "%s/restore-XXXXXX", load->store->path);
        out->fd = mkostemp(name, O_CLOEXEC);
        if (out->fd < 0)
            return mr_store_fail(load->store, err, errno, "making a file for a restore");
        unlink(name);
    }
    out->window = malloc(WINDOW_BYTES);
    if (out->window == NULL) {
        close_run(out);
        return mr_store_fail(load->store, err, ENOMEM, "making a file for a restore");
    }
    return MR_OK;
}

// Appends a record to a run that is being written; its window is the buffer. NULL: flushes.
static mr_status append_record(mr_load *load, run *r, const record *rec, mr_error *err)
{
    if (rec == NULL || r->end + rec->bytes > WINDOW_BYTES) {
        MR_TRY(write_all(load, r->fd, r->window, r->end, err));
        r->end = 0;
    }
    if (rec == NULL)
        return MR_OK;
    const uint32_t head[2] = {rec->key.size, rec->value.data == NULL ? ERASED : rec->value.size};
    uint8_t *out = r->window + r->end;
    memcpy(out, head, sizeof head);
    memcpy(out + RECORD_HEAD, rec->key.data, rec->key.size);
    if (rec->value.size > 0)
        memcpy(out + RECORD_HEAD + rec->key.size, rec->value.data, rec->value.size);
    r->end += rec->bytes;
    return MR_OK;
}

// The record at the head of a run; *has false at its end. It stands in the window until the next
// call.
static mr_status peek(mr_load *load, run *r, record *rec, bool *has, mr_error *err)
{
    for (;;) {
        const size_t left = r->end - r->begin;
        if (left >= RECORD_HEAD) {
            *rec = parse(r->window + r->begin);
            if (rec->bytes <= left) {
                *has = true;
                return MR_OK;
            }
        }
        memmove(r->window, r->window + r->begin, left);
        r->begin = 0;
        r->end = left;
        const ssize_t got = pread(r->fd, r->window + left, WINDOW_BYTES - left, r->read_at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got == 0 && left > 0))
            return mr_store_fail(load->store, err, got < 0 ? errno : EIO,
                                 "reading rows of a restore back");
        r->end += (size_t)got;
        r->read_at += got;
        if (got == 0) {
            *has = false;
            return MR_OK;
        }
    }
}

// ---- merging

typedef struct merge { // over all runs, and the sorted memory as the newest of them
    mr_load *load;
    uint32_t next; // entry of the memory
    record heads[MR_LOAD_RUNS_MAX + 1];
    bool has[MR_LOAD_RUNS_MAX + 1];
} merge;

static mr_status load_head(merge *m, uint32_t source, mr_error *err)
{
    mr_load *load = m->load;
    if (source < load->run_count)
        return peek(load, &load->runs[source], &m->heads[source], &m->has[source], err);
    m->has[source] = m->next < load->count;
    if (m->has[source])
        m->heads[source] = parse(load->memory + entry_of(load, load->count - 1 - m->next)->offset);
    return MR_OK;
}

typedef struct place { // of a merge, to go back to
    off_t at[MR_LOAD_RUNS_MAX];
    uint32_t next;
} place;

static place place_of(const merge *m)
{
    place p = {.next = m->next};
    for (uint32_t i = 0; i < m->load->run_count; i++) {
        const run *r = &m->load->runs[i];
        p.at[i] = r->read_at - (off_t)(r->end - r->begin);
    }
    return p;
}

static mr_status go_to(merge *m, const place *p, mr_error *err)
{
    mr_load *load = m->load;
    m->next = p->next;
    for (uint32_t i = 0; i < load->run_count; i++) {
        load->runs[i].begin = load->runs[i].end = 0;
        load->runs[i].read_at = p->at[i];
    }
    for (uint32_t i = 0; i <= load->run_count; i++)
        MR_TRY(load_head(m, i, err));
    return MR_OK;
}

static mr_status begin_merge(merge *m, mr_load *load, mr_error *err)
{
    *m = (merge){.load = load};
    sort_memory(load);
    return go_to(m, &(place){0}, err);
}

static mr_status drop_head(merge *m, uint32_t source, mr_error *err)
{
    if (source < m->load->run_count)
        m->load->runs[source].begin += m->heads[source].bytes;
    else
        m->next++;
    return load_head(m, source, err);
}

// Where the smallest key stands, of equal ones the newest; UINT32_MAX at the end. Sources with an
// older record of that key are moved past it. The record stays valid until drop_head of the source.
static mr_status next_source(merge *m, uint32_t *source, mr_error *err)
{
    const uint32_t sources = m->load->run_count + 1;
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < sources; i++)
        if (m->has[i] &&
            (best == UINT32_MAX || mr_bytes_compare(m->heads[i].key, m->heads[best].key) <= 0))
            best = i;
    *source = best;
    for (uint32_t i = 0; i < sources && best != UINT32_MAX; i++)
        if (i != best && m->has[i] && mr_bytes_equal(m->heads[i].key, m->heads[best].key))
            MR_TRY(drop_head(m, i, err));
    return MR_OK;
}

// Everything so far into one run. Tombstones are needed no more: nothing older is left.
static mr_status spill(mr_load *load, run *out, mr_error *err)
{
    merge m;
    MR_TRY(begin_merge(&m, load, err));
    for (;;) {
        uint32_t source;
        MR_TRY(next_source(&m, &source, err));
        if (source == UINT32_MAX)
            return append_record(load, out, NULL, err);
        if (m.heads[source].value.data != NULL)
            MR_TRY(append_record(load, out, &m.heads[source], err));
        MR_TRY(drop_head(&m, source, err));
    }
}

// Only the memory, as the next run.
static mr_status spill_memory(mr_load *load, run *out, mr_error *err)
{
    sort_memory(load);
    for (uint32_t i = 0; i < load->count; i++) {
        const record rec = parse(load->memory + entry_of(load, load->count - 1 - i)->offset);
        MR_TRY(append_record(load, out, &rec, err));
    }
    return append_record(load, out, NULL, err);
}

static mr_status make_room(mr_load *load, mr_error *err)
{
    run fresh;
    const bool all = load->run_count == MR_LOAD_RUNS_MAX;
    MR_TRY(make_run(load, &fresh, err));
    const mr_status status = all ? spill(load, &fresh, err) : spill_memory(load, &fresh, err);
    if (status != MR_OK) {
        close_run(&fresh);
        return status;
    }
    if (all) {
        for (uint32_t i = 0; i < load->run_count; i++)
            close_run(&load->runs[i]);
        load->run_count = 0;
    }
    load->runs[load->run_count++] = fresh;
    load->used = 0;
    load->count = 0;
    load->sorted = false;
    return MR_OK;
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
    const size_t bytes = RECORD_HEAD + (size_t)key.size + value.size;
    MR_ASSERT(bytes <= RECORD_MAX);
    // Sorting puts the newest first by offset, which a sorted memory has lost: such a one is
    // spilled.
    const size_t room = load->memory_bytes - load->used - load->count * sizeof(entry);
    if (load->sorted || bytes + sizeof(entry) > room)
        MR_TRY(make_room(load, err));
    const uint32_t head[2] = {key.size, value.data == NULL ? ERASED : value.size};
    uint8_t *out = load->memory + load->used;
    memcpy(out, head, sizeof head);
    memcpy(out + RECORD_HEAD, key.data, key.size);
    if (value.size > 0)
        memcpy(out + RECORD_HEAD + key.size, value.data, value.size);
    *entry_of(load, load->count++) = (entry){prefix_of(key), (uint32_t)load->used, 0};
    load->used += bytes;
    return MR_OK;
}

// ---- building the database

typedef struct build {
    merge m;
    place committed; // up to where the rows are in the database
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

// One transaction of appended rows. It may be a second attempt, so it begins where the last commit
// ended.
static int append_rows(mr_store *store, MDB_txn *txn, void *context)
{
    build *b = context;
    MDB_cursor *cursor;
    size_t appended = 0;
    (void)store;
    b->result = b->counted;
    b->status = go_to(&b->m, &b->committed, b->err);
    if (b->status != MR_OK)
        return 0; // an empty commit; append_all looks at the status
    int code = mdb_cursor_open(txn, b->rows, &cursor);
    if (code != 0)
        return code;
    while (code == 0 && appended < APPEND_BYTES_MAX) {
        uint32_t source;
        b->status = next_source(&b->m, &source, b->err);
        b->done = b->status == MR_OK && source == UINT32_MAX;
        if (b->status != MR_OK || b->done)
            break;
        const record *head = &b->m.heads[source];
        if (head->value.data != NULL) {
            MDB_val key = mr_val(head->key), value = mr_val(head->value);
            code = mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
            appended += head->bytes;
            b->result.row_count++;
            mr_hash128_add(&b->result.state_hash, mr_row_hash(head->key, head->value));
        }
        if (code == 0)
            b->status = drop_head(&b->m, source, b->err);
        if (b->status != MR_OK)
            break;
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
    MR_TRY(begin_merge(&b->m, b->load, err));
    while (!b->done) {
        MR_TRY(mr_store_run(store, append_rows, b, "restoring rows", err));
        MR_TRY(b->status);
        b->committed = place_of(&b->m);
        b->counted = b->result;
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
    status = append_all(&b, err);
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
