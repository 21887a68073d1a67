// SPDX-License-Identifier: Apache-2.0
// The store against LMDB alone: the same keys, lengths, order, sizes of transactions and syncing,
// with plain mdb_put, mdb_get and MDB_APPEND. What the store adds is the envelope with its
// checksum, sealed and checked again before it is written, the record of the task, and the copy out
// when it is read.
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/load.h"
#include "worker/bench/bench.h"
#include "worker/bench/measure.h"
#include "worker/scratch.h"

enum {
    ROWS = 200000,
    BATCH = 10000,
    KEY_BYTES = 12,
    PAYLOAD_BYTES = 400,
    VALUE_BYTES = MR_ROW_HEADER_BYTES + PAYLOAD_BYTES,
    RUNS = 11,
};
static const uint64_t map_bytes = (uint64_t)1 << 30;

typedef struct bench {
    char folder[256], ours[280], theirs[280];
    uint8_t *keys;    // ROWS of KEY_BYTES, ascending
    uint8_t *payload; // noise
    uint8_t *values;  // BATCH sealed rows
    mr_store_row *rows;
    mr_store *store;
    mr_store_reader *reader;
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t noise;
} bench;

static mr_bytes key_at(const bench *b, uint32_t row)
{
    return mr_bytes_of(b->keys + (size_t)row * KEY_BYTES, KEY_BYTES);
}

static MDB_val val(const void *data, size_t size)
{
    union { // LMDB takes a pointer that is not const, and does not write through it
        const void *in;
        void *out;
    } pointer = {.in = data};
    return (MDB_val){size, pointer.out};
}

static mr_status check(int code, const char *doing, mr_error *err)
{
    return code == 0 ? MR_OK
                     : mr_fail(err, MR_FATAL, "bench state: %s: %s", doing, mdb_strerror(code));
}

static mr_status make_data(bench *b, mr_error *err)
{
    b->keys = malloc((size_t)ROWS * KEY_BYTES);
    b->payload = malloc(1 << 20);
    b->values = malloc((size_t)BATCH * VALUE_BYTES);
    b->rows = calloc(BATCH, sizeof *b->rows);
    if (b->keys == NULL || b->payload == NULL || b->values == NULL || b->rows == NULL)
        return mr_fail(err, MR_FATAL, "bench state: out of memory");
    for (uint32_t i = 0; i < ROWS; i++) {
        char text[16];
        snprintf(text, sizeof text, "u/%010" PRIu32, i * 7);
        memcpy(b->keys + (size_t)i * KEY_BYTES, text, KEY_BYTES);
    }
    for (uint32_t i = 0; i < 1 << 20; i++)
        b->payload[i] = (uint8_t)mr_noise(&b->noise);
    return MR_OK;
}

static mr_status open_both(bench *b, mr_sync sync, mr_error *err)
{
    const mr_store_options options = {.map_bytes_initial = map_bytes, .sync = sync};
    const unsigned flags = sync == MR_SYNC_NONE ? MDB_NOSYNC : MDB_NOMETASYNC;
    MDB_txn *txn;
    MR_TRY(mr_scratch_make(b->folder, sizeof b->folder, err));
    snprintf(b->ours, sizeof b->ours, "%s/ours", b->folder);
    snprintf(b->theirs, sizeof b->theirs, "%s/lmdb", b->folder);
    MR_TRY(mr_store_open(b->ours, &options, &b->store, NULL, err));
    MR_TRY(mr_store_reader_open(b->store, &b->reader, err));
    if (mkdir(b->theirs, 0700) != 0)
        return mr_fail(err, MR_FATAL, "bench state: cannot make %.100s", b->theirs);
    MR_TRY(check(mdb_env_create(&b->env), "mdb_env_create", err));
    mdb_env_set_mapsize(b->env, map_bytes);
    mdb_env_set_maxdbs(b->env, 4);
    MR_TRY(check(mdb_env_open(b->env, b->theirs, flags, 0600), "mdb_env_open", err));
    MR_TRY(check(mdb_txn_begin(b->env, NULL, 0, &txn), "mdb_txn_begin", err));
    MR_TRY(check(mdb_dbi_open(txn, "rows", MDB_CREATE, &b->dbi), "mdb_dbi_open", err));
    return check(mdb_txn_commit(txn), "mdb_txn_commit", err);
}

static void close_both(bench *b)
{
    mr_error ignored;
    mr_store_reader_close(b->reader);
    (void)!mr_store_close(b->store, &ignored);
    if (b->env != NULL)
        mdb_env_close(b->env);
    mr_scratch_remove(b->folder);
    b->reader = NULL;
    b->store = NULL;
    b->env = NULL;
}

static const uint8_t *payload_of(bench *b)
{
    return b->payload + mr_noise(&b->noise) % ((1 << 20) - VALUE_BYTES);
}

// ---- restoring: ROWS rows in the order of a changelog, each key once

static mr_status load_ours(bench *b, double *seconds, mr_error *err)
{
    const int64_t offsets[MR_STORE_CHANGELOGS] = {0, 0};
    uint8_t value[VALUE_BYTES];
    mr_load *load;
    mr_load_result result;
    *seconds = 0;
    MR_TRY(mr_load_open(b->store, 1, (size_t)256 << 20, &load, err));
    mr_status status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < ROWS; i++) {
        const mr_bytes key = key_at(b, (uint32_t)((uint64_t)i * 77773 % ROWS));
        const mr_row row = {.kind = 1, .payload = mr_bytes_of(payload_of(b), PAYLOAD_BYTES)};
        const uint32_t size = mr_row_seal(key, &row, value);
        const double start = mr_seconds();
        status = mr_load_put(load, key, mr_bytes_of(value, size), err);
        *seconds += mr_seconds() - start;
    }
    const double start = mr_seconds();
    if (status == MR_OK)
        status = mr_load_finish(load, mr_bytes_text("marker"), offsets, &result, err);
    *seconds += mr_seconds() - start;
    mr_load_close(load);
    return status;
}

static mr_status load_theirs(bench *b, double *seconds, mr_error *err)
{
    MDB_txn *txn;
    const double start = mr_seconds();
    MR_TRY(check(mdb_txn_begin(b->env, NULL, 0, &txn), "mdb_txn_begin", err));
    for (uint32_t i = 0; i < ROWS; i++) {
        MDB_val key = val(key_at(b, i).data, KEY_BYTES), value = val(payload_of(b), VALUE_BYTES);
        MR_TRY(check(mdb_put(txn, b->dbi, &key, &value, MDB_APPEND), "mdb_put", err));
    }
    MR_TRY(check(mdb_txn_commit(txn), "mdb_txn_commit", err));
    *seconds = mr_seconds() - start;
    return MR_OK;
}

// ---- writing: BATCH rows spread over the whole, in key order, one transaction

static mr_status write_ours(bench *b, uint32_t first, double *seconds, mr_error *err)
{
    const double start = mr_seconds();
    for (uint32_t i = 0; i < BATCH; i++) {
        const mr_bytes key = key_at(b, first + i * (ROWS / BATCH));
        const mr_row row = {.kind = 1, .payload = mr_bytes_of(payload_of(b), PAYLOAD_BYTES)};
        uint8_t *value = b->values + (size_t)i * VALUE_BYTES;
        b->rows[i] = (mr_store_row){key, mr_bytes_of(value, mr_row_seal(key, &row, value))};
    }
    const mr_store_part part = {.task = 1,
                                .row_count = BATCH,
                                .rows = b->rows,
                                .marker = mr_bytes_text("marker"),
                                .offsets = {first, first}};
    MR_TRY(mr_store_write(b->store, &(mr_store_batch){&part, 1}, err));
    *seconds = mr_seconds() - start;
    return MR_OK;
}

static mr_status write_theirs(bench *b, uint32_t first, double *seconds, mr_error *err)
{
    MDB_txn *txn;
    const double start = mr_seconds();
    MR_TRY(check(mdb_txn_begin(b->env, NULL, 0, &txn), "mdb_txn_begin", err));
    for (uint32_t i = 0; i < BATCH; i++) {
        MDB_val key = val(key_at(b, first + i * (ROWS / BATCH)).data, KEY_BYTES);
        MDB_val value = val(payload_of(b), VALUE_BYTES);
        MR_TRY(check(mdb_put(txn, b->dbi, &key, &value, 0), "mdb_put", err));
    }
    MR_TRY(check(mdb_txn_commit(txn), "mdb_txn_commit", err));
    *seconds = mr_seconds() - start;
    return MR_OK;
}

// ---- reading: BATCH rows spread over the whole, in key order, as an epoch fetches its users

static mr_status read_ours(bench *b, uint32_t first, double *seconds, mr_error *err)
{
    uint8_t buffer[VALUE_BYTES];
    uint32_t size;
    const double start = mr_seconds();
    mr_store_reader_refresh(b->reader);
    for (uint32_t i = 0; i < BATCH; i++)
        MR_TRY(mr_store_get(b->reader, 1, key_at(b, first + i * (ROWS / BATCH)), buffer,
                            sizeof buffer, &size, err));
    *seconds = mr_seconds() - start;
    return MR_OK;
}

static mr_status read_theirs(bench *b, uint32_t first, double *seconds, mr_error *err)
{
    uint8_t buffer[VALUE_BYTES];
    MDB_txn *txn;
    const double start = mr_seconds();
    MR_TRY(check(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin", err));
    for (uint32_t i = 0; i < BATCH; i++) {
        MDB_val key = val(key_at(b, first + i * (ROWS / BATCH)).data, KEY_BYTES), value;
        MR_TRY(check(mdb_get(txn, b->dbi, &key, &value), "mdb_get", err));
        memcpy(buffer, value.mv_data, value.mv_size);
    }
    mdb_txn_abort(txn);
    *seconds = mr_seconds() - start;
    return MR_OK;
}

typedef mr_status step(bench *b, uint32_t first, double *seconds, mr_error *err);

static mr_status measure(bench *b, step *ours, step *theirs, mr_runs *runs, mr_error *err)
{
    for (uint32_t run = 0; run <= RUNS; run++) {
        double own, reference;
        MR_TRY(ours(b, run, &own, err));
        MR_TRY(theirs(b, run, &reference, err));
        if (run > 0) // the first one warms up
            mr_runs_add(runs, own, reference);
    }
    return MR_OK;
}

static mr_figure figure(const char *reference, uint32_t rows, mr_runs *runs)
{
    return (mr_figure){
        .value = rows / mr_median(runs->ours, runs->count),
        .unit = "rows/s",
        .reference = reference,
        .reference_value = rows / mr_median(runs->reference, runs->count),
        .ratio = mr_median(runs->ratio, runs->count),
    };
}

// Fills load, put and get.
static mr_status run_mode(bench *b, mr_sync sync, mr_figure out[3], mr_error *err)
{
    mr_runs load = {0}, put = {0}, read = {0};
    double ours, theirs;
    MR_TRY(open_both(b, sync, err));
    MR_TRY(load_ours(b, &ours, err));
    MR_TRY(load_theirs(b, &theirs, err));
    mr_runs_add(&load, ours, theirs);
    MR_TRY(measure(b, write_ours, write_theirs, &put, err));
    MR_TRY(measure(b, read_ours, read_theirs, &read, err));
    out[0] = figure("mdb_put with MDB_APPEND, sorted", ROWS, &load);
    out[1] = figure("mdb_put, sorted", BATCH, &put);
    out[2] = figure("mdb_get and a copy", BATCH, &read);
    return MR_OK;
}

mr_status mr_bench_state(mr_figure *figures, uint32_t *count, mr_error *err)
{
    bench b = {.noise = 1};
    mr_figure synced[3], unsynced[3];
    const uint32_t room = *count;
    *count = 0;
    mr_status status = make_data(&b, err);
    if (status == MR_OK)
        status = run_mode(&b, MR_SYNC_META, synced, err);
    close_both(&b);
    if (status == MR_OK)
        status = run_mode(&b, MR_SYNC_NONE, unsynced, err);
    close_both(&b);
    free(b.keys);
    free(b.payload);
    free(b.values);
    free(b.rows);
    if (status != MR_OK)
        return status;
    const struct {
        const char *name;
        const mr_figure *figure;
    } all[] = {
        {"state_load", &synced[0]},
        {"state_put", &synced[1]},
        {"state_get", &synced[2]},
        {"state_load_unsynced", &unsynced[0]},
        {"state_put_unsynced", &unsynced[1]},
    };
    for (uint32_t i = 0; i < sizeof all / sizeof all[0] && *count < room; i++) {
        figures[*count] = *all[i].figure;
        figures[(*count)++].name = all[i].name;
    }
    return MR_OK;
}
