// SPDX-License-Identifier: Apache-2.0
// The environment: how it is opened and closed, how the map grows, which databases it has.
//
// What LMDB leaves to its user, and where it is done here
// 1. A data file that is shorter than its header says is a SIGBUS on first touch: check_torn. A
// commit
//    may end with pages that it never wrote, so run_once keeps the file as long as the header says.
// 2. The lock file is mapped and written: on a full disk its first touch is a SIGBUS.
// reserve_lock_file
//    takes its blocks before LMDB does.
// 3. The map may only be changed while this process has no transaction: enter and leave.
// 4. A new file's header may be written in half: open_env removes what it failed to make.
// 5. Without syncing, an OS crash may tear the file: the note of place.h, read before the file is.
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/failpoint.h"
#include "state/store_inner.h"

#define MIB (1024u * 1024u)

static const uint8_t format_magic[8] = {'m', 'i', 'l', 'l', 'r', 'a', 'c', 'e'};

// What went wrong, in words, and what the caller may do about it.
mr_status mr_store_fail(const mr_store *store, mr_error *err, int code, const char *doing)
{
    const char *path = store->path;
    const uint64_t free_mib = mr_place_free_bytes(path) / MIB;
    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return mr_fail(err, MR_RETRY,
                       "state folder %.100s: %s: %s (%" PRIu64 " MiB free); make room", path, doing,
                       code == ENOSPC ? "the disk is full" : "the quota is used up", free_mib);
    case EIO: // also LMDB's answer to a short write
        return mr_fail(err, MR_RETRY,
                       "state folder %.100s: %s: the disk refused (I/O error or full, %" PRIu64
                       " MiB free)",
                       path, doing, free_mib);
    case MDB_READERS_FULL:
        return mr_fail(err, MR_RETRY,
                       "state folder %.100s: %s: all %" PRIu32
                       " reader slots are taken; end some of "
                       "the processes that read it",
                       path, doing, store->options.readers_max);
    case MDB_VERSION_MISMATCH:
        return mr_fail(err, MR_FATAL,
                       "state folder %.100s: %s: written by another version of LMDB; remove the "
                       "folder, the state is restored from the changelog",
                       path, doing);
    case MDB_PANIC:
        return mr_fail(err, MR_FATAL,
                       "state folder %.100s: %s: an earlier write failed half way; a restart opens "
                       "the last whole commit",
                       path, doing);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return mr_fail(err, MR_FATAL,
                       "state folder %.100s: %s: damaged (%s); remove the folder: the state is "
                       "restored from the changelog",
                       path, doing, mdb_strerror(code));
    case EACCES:
    case EPERM:
    case EROFS:
        return mr_fail(
            err, MR_FATAL,
            "state folder %.100s: %s: %s; it must belong to the user that millrace runs as", path,
            doing, strerror(code));
    case ENOMEM:
        return mr_fail(
            err, MR_FATAL,
            "state folder %.100s: %s: no address space for the map; raise 'ulimit -v' or "
            "lower state.map_bytes_max",
            path, doing);
    default:
        return mr_fail(err, MR_FATAL, "state folder %.100s: %s: %s", path, doing,
                       mdb_strerror(code));
    }
}

void mr_store_enter(mr_store *store)
{
    pthread_rwlock_wrlock(&store->lock);
    MR_ASSERT(!store->exclusive);
    store->exclusive = true;
    for (mr_store_reader *reader = store->readers; reader != NULL; reader = reader->next) {
        if (reader->live)
            mdb_txn_reset(reader->txn);
        reader->live = reader->cursor_live = false;
    }
}

void mr_store_leave(mr_store *store)
{
    MR_ASSERT(store->exclusive);
    store->exclusive = false;
    pthread_rwlock_unlock(&store->lock);
}

int mr_store_adopt_map(mr_store *store)
{
    MR_ASSERT(store->exclusive);
    return mdb_env_set_mapsize(store->env, 0);
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static mr_status grow(mr_store *store, mr_error *err)
{
    MDB_envinfo info;
    mdb_env_info(store->env, &info);
    const uint64_t now = info.me_mapsize, limit = store->options.map_bytes_max;
    uint64_t bytes = round_up(now + now / 2, MIB);
    if (limit != 0 && bytes > limit)
        bytes = limit;
    if (bytes <= now)
        return mr_fail(err, MR_RETRY,
                       "state folder %.100s: the map of %" PRIu64 " bytes is full and "
                       "state.map_bytes_max is %" PRIu64 "; raise it, or end old readers",
                       store->path, now, limit);
    const bool held = store->exclusive;
    if (!held)
        mr_store_enter(store);
    const int code = mdb_env_set_mapsize(store->env, bytes);
    if (!held)
        mr_store_leave(store);
    if (code != 0)
        return mr_store_fail(store, err, code, "cannot grow the map");
    store->grown++;
    return MR_OK;
}

// Caveat 1: LMDB does not write a page that was taken and given back within the transaction, so the
// file may end before the last page that its header counts. Then it could not be told from a torn
// one.
static void extend_file(mr_store *store)
{
    MDB_envinfo info;
    MDB_stat about;
    struct stat file;
    int fd;
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &about);
    const off_t bytes = (off_t)((info.me_last_pgno + 1) * about.ms_psize);
    if (mdb_env_get_fd(store->env, &fd) == 0 && fstat(fd, &file) == 0 && file.st_size < bytes &&
        ftruncate(fd, bytes) != 0)
        return; // nothing is lost: the next commit tries again
}

static int run_once(mr_store *store, mr_store_step *step, void *context)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code != 0)
        return code;
    code = step(store, txn, context);
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    mr_failpoint("storing");
    code = mdb_txn_commit(txn);
    if (code == 0)
        extend_file(store);
    return code;
}

mr_status mr_store_run(mr_store *store, mr_store_step *step, void *context, const char *doing,
                       mr_error *err)
{
    MR_ASSERT(!store->options.read_only);
    for (;;) {
        const int code = run_once(store, step, context);
        if (code == 0)
            return MR_OK;
        if (code != MDB_MAP_FULL)
            return mr_store_fail(store, err, code, doing);
        MR_TRY(grow(store, err));
    }
}

// ---- meta: sealed rows under "identity", "layout" and "task/" + big-endian number

void mr_meta_task_key(uint32_t task, uint8_t key[MR_META_KEY_BYTES])
{
    memcpy(key, "task/", 5);
    for (int i = 0; i < 4; i++)
        key[5 + i] = (uint8_t)(task >> (24 - 8 * i));
}

static uint32_t task_of_key(const uint8_t *key)
{
    return (uint32_t)key[5] << 24 | (uint32_t)key[6] << 16 | (uint32_t)key[7] << 8 | key[8];
}

void mr_store_rows_name(uint32_t task, uint64_t generation, char name[40])
{
    snprintf(name, 40, "rows/%08" PRIx32 "/%016" PRIx64, task, generation);
}

int mr_meta_get(mr_store *store, MDB_txn *txn, mr_bytes key, uint8_t kind, mr_bytes *payload)
{
    MDB_val name = mr_val(key), value;
    mr_row row;
    mr_error ignored;
    const int code = mdb_get(txn, store->meta, &name, &value);
    if (code != 0)
        return code;
    if (mr_row_open(key, mr_bytes_of_val(value), &row, &ignored) != MR_OK || row.kind != kind ||
        row.version != MR_STORE_FORMAT)
        return MDB_CORRUPTED;
    *payload = row.payload;
    return 0;
}

int mr_meta_put(mr_store *store, MDB_txn *txn, mr_bytes key, uint8_t kind, mr_bytes payload)
{
    const mr_row row = {.kind = kind, .version = MR_STORE_FORMAT, .payload = payload};
    MDB_val name = mr_val(key), value = {.mv_size = MR_ROW_HEADER_BYTES + payload.size};
    const int code = mdb_put(txn, store->meta, &name, &value, MDB_RESERVE);
    if (code == 0)
        mr_row_seal(key, &row, value.mv_data);
    return code;
}

static uint64_t load64(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | in[i];
    return value;
}

static void store64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static int parse_task(mr_bytes payload, mr_meta_task *out)
{
    if (payload.size < MR_META_TASK_FIXED ||
        payload.size - MR_META_TASK_FIXED > MR_STORE_MARKER_MAX)
        return MDB_CORRUPTED;
    out->generation = load64(payload.data);
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++)
        out->offsets[i] = (int64_t)load64(payload.data + 8 + 8 * i);
    out->marker = mr_bytes_of(payload.data + MR_META_TASK_FIXED, payload.size - MR_META_TASK_FIXED);
    return 0;
}

int mr_meta_task_get(mr_store *store, MDB_txn *txn, uint32_t task, mr_meta_task *out)
{
    uint8_t key[MR_META_KEY_BYTES];
    mr_bytes payload;
    mr_meta_task_key(task, key);
    const int code = mr_meta_get(store, txn, mr_bytes_of(key, sizeof key), MR_META_TASK, &payload);
    return code != 0 ? code : parse_task(payload, out);
}

int mr_meta_task_put(mr_store *store, MDB_txn *txn, uint32_t task, const mr_meta_task *record)
{
    uint8_t key[MR_META_KEY_BYTES], payload[MR_META_TASK_FIXED + MR_STORE_MARKER_MAX];
    MR_ASSERT(record->marker.size <= MR_STORE_MARKER_MAX);
    mr_meta_task_key(task, key);
    store64(payload, record->generation);
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++)
        store64(payload + 8 + 8 * i, (uint64_t)record->offsets[i]);
    if (record->marker.size > 0)
        memcpy(payload + MR_META_TASK_FIXED, record->marker.data, record->marker.size);
    return mr_meta_put(store, txn, mr_bytes_of(key, sizeof key), MR_META_TASK,
                       mr_bytes_of(payload, MR_META_TASK_FIXED + record->marker.size));
}

static int read_layout(mr_store *store, MDB_txn *txn, uint64_t *layout)
{
    mr_bytes payload;
    const int code = mr_meta_get(store, txn, mr_bytes_text("layout"), MR_META_LAYOUT, &payload);
    if (code != 0)
        return code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
    if (payload.size != 8)
        return MDB_CORRUPTED;
    *layout = load64(payload.data);
    return 0;
}

static int write_layout(mr_store *store, MDB_txn *txn, uint64_t layout)
{
    uint8_t payload[8];
    store64(payload, layout);
    return mr_meta_put(store, txn, mr_bytes_text("layout"), MR_META_LAYOUT,
                       mr_bytes_of(payload, 8));
}

int mr_meta_next_layout(mr_store *store, MDB_txn *txn, uint64_t *layout)
{
    const int code = read_layout(store, txn, layout);
    if (code != 0)
        return code;
    ++*layout;
    return write_layout(store, txn, *layout);
}

// ---- the table of databases

const mr_store_table *mr_store_find(const mr_store *store, uint32_t task)
{
    uint32_t low = 0, high = store->table_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (store->tables[middle].task < task)
            low = middle + 1;
        else
            high = middle;
    }
    return low < store->table_count && store->tables[low].task == task ? &store->tables[low] : NULL;
}

// Reads the tables that meta names into `fresh`, opening the databases that are not open yet.
static int read_tables(mr_store *store, MDB_txn *txn, mr_store_table *fresh, uint32_t *count)
{
    MDB_cursor *cursor;
    MDB_val key = {5, (char[]){"task/"}}, value;
    int code = mdb_cursor_open(txn, store->meta, &cursor);
    if (code != 0)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (; code == 0; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        if (key.mv_size != MR_META_KEY_BYTES || memcmp(key.mv_data, "task/", 5) != 0)
            break;
        char name[40];
        mr_row row;
        mr_error ignored;
        mr_meta_task record;
        if (mr_row_open(mr_bytes_of_val(key), mr_bytes_of_val(value), &row, &ignored) != MR_OK ||
            parse_task(row.payload, &record) != 0) {
            code = MDB_CORRUPTED;
            break;
        }
        if (*count == store->options.tasks_max) {
            code = MDB_DBS_FULL;
            break;
        }
        mr_store_table *table = &fresh[(*count)++];
        *table = (mr_store_table){task_of_key(key.mv_data), 0, record.generation};
        const mr_store_table *old = mr_store_find(store, table->task);
        if (old != NULL && old->generation == table->generation) {
            table->rows = old->rows;
            continue;
        }
        mr_store_rows_name(table->task, table->generation, name);
        code = mdb_dbi_open(txn, name, 0, &table->rows);
        if (code != 0) {
            code = code == MDB_NOTFOUND ? MDB_CORRUPTED : code;
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

mr_status mr_store_load_tables(mr_store *store, mr_error *err)
{
    MR_ASSERT(store->exclusive);
    mr_store_table *fresh = calloc(store->options.tasks_max, sizeof *fresh);
    uint32_t count = 0;
    MDB_txn *txn = NULL;
    if (fresh == NULL)
        return mr_store_fail(store, err, ENOMEM, "reading the tasks");
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code == 0)
        code = read_layout(store, txn, &store->layout);
    if (code == 0)
        code = read_tables(store, txn, fresh, &count);
    if (code != 0) {
        if (txn != NULL)
            mdb_txn_abort(txn);
        free(fresh);
        if (code == MDB_DBS_FULL)
            return mr_fail(err, MR_FATAL,
                           "state folder %.100s: holds more than the %" PRIu32 " tasks that one "
                           "worker opens; give it a folder of its own",
                           store->path, store->options.tasks_max);
        return mr_store_fail(store, err, code, "reading the tasks");
    }
    (void)mdb_txn_commit(txn); // keeps the handles open; a read transaction has nothing to fail
    for (uint32_t i = 0, at = 0; i < store->table_count; i++) {
        while (at < count && fresh[at].task < store->tables[i].task)
            at++;
        if (at == count || fresh[at].task != store->tables[i].task ||
            fresh[at].rows != store->tables[i].rows)
            mdb_dbi_close(store->env, store->tables[i].rows);
    }
    free(store->tables);
    store->tables = fresh;
    store->table_count = count;
    return MR_OK;
}

// ---- opening

static mr_status reserve_lock_file(mr_store *store, mr_error *err)
{
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s/lock.mdb", store->path);
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return mr_store_fail(store, err, errno, "making lock.mdb");
    // 64 bytes a reader and two headers of up to a page.
    const off_t bytes = (off_t)round_up((uint64_t)store->options.readers_max * 64 + 8192, 4096);
    const int code = fallocate(fd, 0, 0, bytes) == 0 ? 0 : errno;
    close(fd);
    if (code != 0 && code != EOPNOTSUPP)
        return mr_store_fail(store, err, code, "making lock.mdb");
    return MR_OK;
}

static mr_status check_torn(mr_store *store, mr_error *err)
{
    MDB_envinfo info;
    MDB_stat about;
    struct stat file;
    int fd;
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &about);
    const uint64_t bytes = (info.me_last_pgno + 1) * (uint64_t)about.ms_psize;
    if (mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &file) != 0)
        return mr_store_fail(store, err, errno, "looking at data.mdb");
    if ((uint64_t)file.st_size >= bytes)
        return MR_OK;
    if (store->options.read_only && mr_place_is_claimed(store->path))
        return MR_OK; // its writer is between a commit and extend_file
    return mr_fail(err, MR_FATAL,
                   "%.100s/data.mdb: torn: its header speaks of %" PRIu64
                   " bytes, there are %" PRIu64
                   "; remove the folder, the state is restored from the changelog",
                   store->path, bytes, (uint64_t)file.st_size);
}

static void forget_files(mr_store *store)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "%s/%s", store->path, names[i]);
        (void)unlink(name);
    }
}

static bool has_data(const mr_store *store)
{
    struct stat about;
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s/data.mdb", store->path);
    return stat(name, &about) == 0 && about.st_size > 0;
}

static mr_status open_env(mr_store *store, mr_error *err)
{
    const mr_store_options *options = &store->options;
    const bool fresh = !options->read_only && !has_data(store);
    unsigned flags = MDB_NOTLS;
    if (options->read_only)
        flags |= MDB_RDONLY;
    else if (options->sync == MR_SYNC_META)
        flags |= MDB_NOMETASYNC;
    else if (options->sync == MR_SYNC_NONE)
        flags |= MDB_NOSYNC;
    int code = mdb_env_create(&store->env);
    if (code != 0)
        return mr_store_fail(store, err, code, "opening");
    // Beside the tasks: meta, a copy that is being built, one that is being dropped.
    if ((code = mdb_env_set_maxdbs(store->env, options->tasks_max + 3)) != 0 ||
        (code = mdb_env_set_maxreaders(store->env, options->readers_max)) != 0 ||
        (!options->read_only &&
         (code = mdb_env_set_mapsize(store->env, options->map_bytes_initial)) != 0) ||
        (code = mdb_env_open(store->env, store->path, flags, 0600)) != 0) {
        if (fresh)
            forget_files(store); // a full disk may have taken half a header
        if (code == ENOENT && options->read_only)
            return mr_fail(err, MR_FATAL, "state folder %.120s: there is no state in it",
                           store->path);
        return mr_store_fail(store, err, code, "opening data.mdb");
    }
    return check_torn(store, err);
}

static mr_status check_format(mr_store *store, MDB_txn *txn, mr_error *err)
{
    MDB_val key = {6, (char[]){"format"}}, value;
    const int code = mdb_get(txn, store->meta, &key, &value);
    if (code != 0 && code != MDB_NOTFOUND)
        return mr_store_fail(store, err, code, "reading the format");
    if (code == MDB_NOTFOUND || value.mv_size < 16 || memcmp(value.mv_data, format_magic, 8) != 0)
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: holds an LMDB database that is not millrace's; name "
                       "another folder",
                       store->path);
    const uint64_t format = load64((const uint8_t *)value.mv_data + 8);
    if (format != MR_STORE_FORMAT)
        return mr_fail(err, MR_FATAL,
                       "state folder %.100s: has format %" PRIu64 ", this release reads %d; run "
                       "the release that wrote it, or remove the folder: the state is restored from "
                       "the changelog",
                       store->path, format, MR_STORE_FORMAT);
    return MR_OK;
}

static int write_format(mr_store *store, MDB_txn *txn, void *context)
{
    uint8_t text[16];
    MDB_val key = {6, (char[]){"format"}}, value = {sizeof text, text};
    (void)context;
    memcpy(text, format_magic, 8);
    store64(text + 8, MR_STORE_FORMAT);
    int code = mdb_dbi_open(txn, "meta", MDB_CREATE, &store->meta);
    if (code == 0)
        code = mdb_put(txn, store->meta, &key, &value, 0);
    return code != 0 ? code : write_layout(store, txn, 1);
}

// Opens meta and checks that the folder is ours, before a byte of it is changed. *fresh: there is
// nothing in it, meta neither.
static mr_status open_meta(mr_store *store, bool *fresh, mr_error *err)
{
    MDB_txn *txn;
    MDB_dbi names;
    MDB_stat about = {0};
    *fresh = false;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return mr_store_fail(store, err, code, "reading the format");
    if (mdb_dbi_open(txn, NULL, 0, &names) == 0)
        mdb_stat(txn, names, &about);
    code = mdb_dbi_open(txn, "meta", 0, &store->meta);
    if (code == 0) {
        const mr_status status = check_format(store, txn, err);
        (void)mdb_txn_commit(txn);
        return status;
    }
    mdb_txn_abort(txn);
    if (code != MDB_NOTFOUND && code != MDB_INCOMPATIBLE)
        return mr_store_fail(store, err, code, "reading the format");
    if (about.ms_entries > 0)
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: holds an LMDB database that is not millrace's; name "
                       "another folder",
                       store->path);
    if (store->options.read_only)
        return mr_fail(err, MR_FATAL, "state folder %.120s: there is no state in it yet",
                       store->path);
    *fresh = true;
    return MR_OK;
}

// Drops one database of rows that no task has: a copy that was being built when the process died.
// *context tells whether there was one.
static int sweep(mr_store *store, MDB_txn *txn, void *context)
{
    MDB_dbi names, rows;
    MDB_cursor *cursor;
    MDB_val key, value;
    char orphan[40] = "";
    bool *found = context;
    *found = false;
    int code = mdb_dbi_open(txn, NULL, 0, &names);
    if (code == 0)
        code = mdb_cursor_open(txn, names, &cursor);
    if (code != 0)
        return code;
    while (orphan[0] == '\0' && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        uint32_t task;
        uint64_t generation;
        char name[40] = "";
        memcpy(name, key.mv_data, key.mv_size < sizeof name ? key.mv_size : sizeof name - 1);
        if (sscanf(name, "rows/%8" SCNx32 "/%16" SCNx64, &task, &generation) != 2)
            continue;
        const mr_store_table *table = mr_store_find(store, task);
        if (table == NULL || table->generation != generation)
            memcpy(orphan, name, sizeof orphan);
    }
    mdb_cursor_close(cursor);
    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    *found = true;
    code = mdb_dbi_open(txn, orphan, 0, &rows);
    return code != 0 ? code : mdb_drop(txn, rows, 1);
}

static mr_status open_tables(mr_store *store, mr_error *err)
{
    mr_store_enter(store);
    mr_status status = mr_store_load_tables(store, err);
    bool swept = !store->options.read_only;
    while (status == MR_OK && swept)
        status = mr_store_run(store, sweep, &swept, "dropping a half-built copy", err);
    mr_store_leave(store);
    return status;
}

static mr_status open_place(mr_store *store, bool *dropped, mr_error *err)
{
    const bool read_only = store->options.read_only;
    if (!read_only) {
        MR_TRY(mr_place_make(store->path, err));
        MR_TRY(mr_place_claim(store->path, &store->owner_fd, err));
    }
    mr_place_read_note(store->path, &store->left);
    const mr_place_note *left = &store->left;
    const bool lost =
        left->present && !left->clean && !left->same_boot && left->sync == MR_SYNC_NONE;
    if (lost && read_only)
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: was written without syncing when the machine went "
                       "down, so it may be torn; the next start of the worker drops it",
                       store->path);
    if (lost)
        forget_files(store);
    if (dropped != NULL)
        *dropped = lost;
    return read_only ? MR_OK : reserve_lock_file(store, err);
}

static mr_status open_all(mr_store *store, bool *dropped, mr_error *err)
{
    const mr_store_options *options = &store->options;
    bool fresh;
    MR_TRY(open_place(store, dropped, err));
    MR_TRY(open_env(store, err));
    MR_TRY(open_meta(store, &fresh, err));
    if (!options->read_only) {
        // What an earlier process left unsynced becomes sound before the note says another mode.
        const int code = mdb_env_sync(store->env, 1);
        if (code != 0)
            return mr_store_fail(store, err, code, "syncing");
        MR_TRY(mr_place_write_note(store->path, store->owner_fd, options->sync, false, err));
    }
    if (fresh)
        MR_TRY(mr_store_run(store, write_format, NULL, "writing the format", err));
    return open_tables(store, err);
}

static mr_store_options with_defaults(const mr_store_options *options)
{
    mr_store_options full = *options;
    if (full.map_bytes_initial == 0)
        full.map_bytes_initial = 64 * (uint64_t)MIB;
    if (full.map_bytes_max != 0 && full.map_bytes_initial > full.map_bytes_max)
        full.map_bytes_initial = full.map_bytes_max;
    full.map_bytes_initial = round_up(full.map_bytes_initial, 4096);
    if (full.tasks_max == 0)
        full.tasks_max = 1024;
    if (full.readers_max == 0)
        full.readers_max = 126;
    return full;
}

// Gives back whatever was taken so far; the note stays as it is.
static void release(mr_store *store)
{
    MR_ASSERT(store->readers == NULL);
    if (store->env != NULL)
        mdb_env_close(store->env);
    if (store->owner_fd >= 0)
        close(store->owner_fd);
    pthread_rwlock_destroy(&store->lock);
    free(store->tables);
    free(store);
}

mr_status mr_store_open(const char *path, const mr_store_options *options, mr_store **out,
                        bool *dropped, mr_error *err)
{
    pthread_rwlockattr_t attributes;
    mr_store *store = calloc(1, sizeof *store);
    if (store == NULL || strlen(path) >= sizeof store->path - 16) {
        free(store);
        return mr_fail(err, MR_FATAL, "state folder: out of memory, or its path is too long");
    }
    strcpy(store->path, path);
    store->options = with_defaults(options);
    store->owner_fd = -1;
    // The writer waits for a handful of calls and not for a queue of readers that never ends.
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&store->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    const mr_status status = open_all(store, dropped, err);
    if (status != MR_OK) {
        release(store);
        return status;
    }
    *out = store;
    return MR_OK;
}

mr_status mr_store_close(mr_store *store, mr_error *err)
{
    mr_status status = MR_OK;
    if (store == NULL)
        return MR_OK;
    if (!store->options.read_only) {
        status = mr_store_sync(store, err);
        if (status == MR_OK)
            status =
                mr_place_write_note(store->path, store->owner_fd, store->options.sync, true, err);
    }
    release(store);
    return status;
}

const char *mr_store_path(const mr_store *store)
{
    return store->path;
}

const mr_place_note *mr_store_left(const mr_store *store)
{
    return &store->left;
}

mr_status mr_store_sync(mr_store *store, mr_error *err)
{
    const int code = mdb_env_sync(store->env, 1);
    return code == 0 ? MR_OK : mr_store_fail(store, err, code, "syncing");
}

mr_status mr_store_sync_late(mr_store *store, mr_error *err)
{
    if (store->options.sync == MR_SYNC_NONE)
        return MR_OK;
    MR_TRY(mr_place_write_note(store->path, store->owner_fd, MR_SYNC_NONE, false, err));
    const int code = mdb_env_set_flags(store->env, MDB_NOSYNC, 1);
    return code == 0 ? MR_OK : mr_store_fail(store, err, code, "leaving commits unsynced");
}

void mr_store_start_writing(const mr_store *store)
{
    int fd;
    if (store->options.sync != MR_SYNC_NONE && mdb_env_get_fd(store->env, &fd) == 0)
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); // of a hint no failure is known
}

mr_status mr_store_sync_now(mr_store *store, mr_error *err)
{
    if (store->options.sync == MR_SYNC_NONE)
        return MR_OK;
    (void)mdb_env_set_flags(store->env, MDB_NOSYNC, 0);
    MR_TRY(mr_store_sync(store, err));
    return mr_place_write_note(store->path, store->owner_fd, store->options.sync, false, err);
}

mr_status mr_store_check_readers(mr_store *store, uint32_t *freed, mr_error *err)
{
    int dead = 0;
    const int code = mdb_reader_check(store->env, &dead);
    *freed = (uint32_t)dead;
    return code == 0 ? MR_OK : mr_store_fail(store, err, code, "looking for dead readers");
}

// LMDB gives its reader table as lines of text: process, thread, transaction or "-".
static int oldest_reader(const char *line, void *context)
{
    uint64_t *oldest = context;
    long process;
    size_t thread;
    uint64_t transaction;
    if (sscanf(line, "%ld %zx %" SCNu64, &process, &thread, &transaction) == 3 &&
        transaction < *oldest)
        *oldest = transaction;
    return 0;
}

mr_status mr_store_stat(mr_store *store, mr_store_stats *stats, mr_error *err)
{
    MDB_envinfo info;
    MDB_stat about;
    struct stat file;
    int fd, code = 0;
    pthread_rwlock_rdlock(&store->lock); // the map's header is read, so the map must stay
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &about);
    uint64_t oldest = info.me_last_txnid;
    if (mdb_reader_list(store->env, oldest_reader, &oldest) < 0)
        code = EIO;
    else if (mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &file) != 0)
        code = errno;
    if (code == 0)
        *stats = (mr_store_stats){
            .map_bytes = info.me_mapsize,
            .file_bytes = (uint64_t)file.st_size,
            .used_bytes = (info.me_last_pgno + 1) * (uint64_t)about.ms_psize,
            .transaction = info.me_last_txnid,
            .oldest_reader = info.me_last_txnid - oldest,
            .readers = info.me_numreaders,
            .readers_max = info.me_maxreaders,
            .tasks = store->table_count,
            .grown = store->grown,
        };
    pthread_rwlock_unlock(&store->lock);
    return code == 0 ? MR_OK : mr_store_fail(store, err, code, "looking at the store");
}
