// SPDX-License-Identifier: Apache-2.0
// A restore against a naive model: an array indexed by key number, written in the same order.
#include <lmdb.h>
#include <signal.h>

#include "core/base/rng.h"
#include "state/load.h"
#include "state/store_inner.h"
#include "tests/unit/state/scratch.h"

static char path[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(path);
    return 0;
}

enum { KEYS = 5000 };

typedef struct model {
    uint32_t value[KEYS]; // 0: no row
    uint32_t size[KEYS];
    uint8_t bytes[MR_ROW_BYTES_MAX];
} model;

// Keys of 1 to 30 bytes, many with the same first eight.
static mr_bytes key_of(uint32_t number, char text[40])
{
    if (number % 3 == 0)
        snprintf(text, 40, "a-long-common-prefix-%u", number);
    else
        snprintf(text, 40, "%u", number);
    return mr_bytes_text(text);
}

static mr_bytes seal(model *m, mr_bytes key, uint32_t value, uint32_t size)
{
    memset(m->bytes + MR_ROW_HEADER_BYTES, 0, size);
    memcpy(m->bytes + MR_ROW_HEADER_BYTES, &value, sizeof value);
    const mr_row row = {.kind = 1, .payload = {m->bytes + MR_ROW_HEADER_BYTES, size}};
    return mr_bytes_of(m->bytes, mr_row_seal(key, &row, m->bytes));
}

static void put(mr_load *load, model *m, uint32_t number, uint32_t value, uint32_t size)
{
    char text[40];
    const mr_bytes key = key_of(number, text);
    mr_error err = {0};
    const mr_bytes bytes = value == 0 ? (mr_bytes){0} : seal(m, key, value, size);
    assert_ok(mr_load_put(load, key, bytes, &err), err);
    m->value[number] = value;
    m->size[number] = size;
}

static void put_many(mr_load *load, model *m, uint32_t count, uint32_t seed)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 1; i <= count; i++) {
        const uint32_t number = mr_rng_below(&rng, KEYS);
        const uint32_t size = 4 + mr_rng_below(&rng, 300);
        put(load, m, number, mr_rng_below(&rng, 8) == 0 ? 0 : i, size);
    }
}

static void assert_is_model(mr_store *store, uint32_t task, model *m, const mr_load_result *result)
{
    mr_store_reader *reader = open_reader(store);
    mr_hash128 hash = {0};
    uint64_t rows = 0;
    static uint8_t found[MR_ROW_BYTES_MAX];
    for (uint32_t number = 0; number < KEYS; number++) {
        char text[40];
        const mr_bytes key = key_of(number, text);
        uint32_t size;
        mr_error err = {0};
        assert_ok(mr_store_get(reader, task, key, found, sizeof found, &size, &err), err);
        if (m->value[number] == 0) {
            assert_int_equal(size, 0);
            continue;
        }
        const mr_bytes want = seal(m, key, m->value[number], m->size[number]);
        assert_true(mr_bytes_equal(want, mr_bytes_of(found, size)));
        mr_hash128_add(&hash, mr_row_hash(key, want));
        rows++;
    }
    mr_store_task about;
    bool there;
    mr_error err = {0};
    assert_ok(mr_store_task_read(reader, task, &about, &there, &err), err);
    assert_true(there);
    assert_int_equal(about.row_count, rows);
    assert_int_equal(about.offsets[0], 11);
    assert_int_equal(about.offsets[1], 22);
    assert_true(
        mr_bytes_equal(mr_bytes_of(about.marker, about.marker_bytes), mr_bytes_text("mark")));
    assert_int_equal(result->row_count, rows);
    assert_true(result->state_hash.low == hash.low && result->state_hash.high == hash.high);
    mr_store_reader_close(reader);
}

static const int64_t offsets[MR_STORE_CHANGELOGS] = {11, 22};

static void restore(mr_store *store, model *m, uint32_t count, mr_load_result *result)
{
    mr_load *load;
    mr_error err = {0};
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, count, count);
    assert_ok(mr_load_finish(load, mr_bytes_text("mark"), offsets, result, &err), err);
    mr_load_close(load);
}

// The smallest memory holds about 5,500 of these rows: none, some and more than 16 runs are
// spilled.
static void check_restore(uint32_t count)
{
    mr_store *store =
        open_store(path, (mr_store_options){.map_bytes_initial = 256 * 1024, .sync = MR_SYNC_NONE});
    model *m = calloc(1, sizeof *m);
    mr_load_result result;
    restore(store, m, count, &result);
    assert_is_model(store, 4, m, &result);
    close_store(store);
    store = open_store(path, (mr_store_options){0});
    assert_is_model(store, 4, m, &result);
    close_store(store);
    free(m);
}

static void nothing_restores_to_an_empty_task(void **state)
{
    (void)state;
    check_restore(0);
}

static void rows_that_fit_in_memory_are_restored(void **state)
{
    (void)state;
    check_restore(3000);
}

static void rows_in_a_few_runs_are_restored(void **state)
{
    (void)state;
    check_restore(20000);
}

static void rows_in_more_runs_than_are_open_at_once_are_restored(void **state)
{
    (void)state;
    check_restore(150000);
}

static void a_restore_takes_the_place_of_what_the_task_had(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(4, 4096);
    model *m = calloc(1, sizeof *m);
    mr_load_result result;
    mr_load *load;
    mr_error err = {0};
    pile_add(p, "old", "row", 3);
    pile_write(p, store);
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, 100, 1);
    mr_store_reader_refresh(reader);
    assert_string_equal(text_of(reader, 4, "old"), "row"); // until it is finished
    assert_ok(mr_load_finish(load, mr_bytes_text("mark"), offsets, &result, &err), err);
    mr_load_close(load);
    assert_string_equal(text_of(reader, 4, "old"), "");
    assert_is_model(store, 4, m, &result);
    restore(store, m, 50, &result); // and again; rows of the first are gone
    memset(m, 0, sizeof *m);
    restore(store, m, 50, &result);
    assert_is_model(store, 4, m, &result);
    mr_store_reader_close(reader);
    close_store(store);
    free(m);
    pile_free(p);
}

static void a_restore_that_is_given_up_leaves_no_trace(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    model *m = calloc(1, sizeof *m);
    mr_load *load;
    uint32_t count;
    mr_error err = {0};
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, 20000, 3);
    mr_load_close(load);
    mr_store_reader *reader = open_reader(store);
    assert_ok(mr_store_tasks(reader, NULL, 0, &count, &err), err);
    assert_int_equal(count, 0);
    mr_store_reader_close(reader);
    close_store(store);
    free(m);
}

static void a_restore_into_a_map_too_small_is_taken_up_again(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.map_bytes_max = 700 * 1024});
    model *m = calloc(1, sizeof *m);
    mr_load_result result;
    mr_load *load;
    uint32_t count;
    mr_error err = {0};
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, 20000, 5);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_load_finish(load, mr_bytes_text("mark"), offsets, &result, &err),
                         MR_RETRY);
        assert_says(&err, "state.map_bytes_max");
    }
    mr_load_close(load);
    mr_store_reader *reader = open_reader(store);
    assert_ok(mr_store_tasks(reader, NULL, 0, &count, &err), err);
    assert_int_equal(count, 0);
    mr_store_reader_close(reader);
    close_store(store);
    store = open_store(path, (mr_store_options){0});
    memset(m, 0, sizeof *m);
    restore(store, m, 20000, &result);
    assert_is_model(store, 4, m, &result);
    close_store(store);
    free(m);
}

static void a_row_with_a_wrong_checksum_is_refused(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    model *m = calloc(1, sizeof *m);
    char long_key[MR_STORE_KEY_MAX + 1];
    mr_load *load;
    mr_error err = {0};
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    mr_bytes row = seal(m, mr_bytes_text("key"), 1, 4);
    m->bytes[MR_ROW_HEADER_BYTES] ^= 1;
    assert_int_equal(mr_load_put(load, mr_bytes_text("key"), row, &err), MR_FATAL);
    assert_says(&err, "restoring task 4: row key: checksum");
    assert_int_equal(mr_load_put(load, mr_bytes_of("", 0), row, &err), MR_FATAL);
    memset(long_key, 'x', sizeof long_key);
    assert_int_equal(mr_load_put(load, mr_bytes_of(long_key, sizeof long_key), row, &err),
                     MR_FATAL);
    assert_says(&err, "a key has 1 to 511 bytes, not 512");
    mr_load_close(load);
    close_store(store);
    free(m);
}

// How many databases the folder has, meta included, as LMDB itself counts them.
static size_t count_databases(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi names;
    MDB_stat about;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &names), 0);
    assert_int_equal(mdb_stat(txn, names, &about), 0);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return about.ms_entries;
}

// Restores task 4 for ever, from models of rising size.
static void restore_until_killed(int told)
{
    mr_store *store = NULL;
    mr_load *load = NULL;
    mr_load_result result;
    mr_error err = {0};
    model *m = calloc(1, sizeof *m);
    if (mr_store_open(path, &(mr_store_options){.sync = MR_SYNC_NONE}, &store, NULL, &err) != MR_OK)
        _exit(1);
    for (uint32_t round = 1;; round++) {
        if (mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err) != MR_OK)
            _exit(2);
        for (uint32_t i = 1; i < KEYS; i++)
            put(load, m, i, round, 100);
        if (mr_load_finish(load, mr_bytes_text("mark"), offsets, &result, &err) != MR_OK)
            _exit(3);
        mr_load_close(load);
        if (round == 1 && write(told, "1", 1) != 1)
            _exit(4);
    }
}

static mr_status same_round(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    uint32_t *round = context, found;
    (void)key;
    (void)err;
    memcpy(&found, value.data + MR_ROW_HEADER_BYTES, sizeof found);
    assert_true(*round == 0 || *round == found);
    *round = found;
    return MR_OK;
}

static void a_restore_killed_at_any_time_leaves_the_old_copy_or_the_new(void **state)
{
    (void)state;
    uint32_t rounds = 0;
    for (uint32_t attempt = 0; attempt < 20; attempt++) {
        int ended, ends[2];
        char byte;
        uint32_t round = 0;
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            restore_until_killed(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1); // one restore came to its end
        close(ends[0]);
        close(ends[1]);
        usleep(attempt * 1100);
        kill(child, SIGKILL);
        waitpid(child, &ended, 0);
        assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
        mr_store *store = open_store(path, (mr_store_options){0});
        mr_store_reader *reader = open_reader(store);
        mr_store_task about;
        bool found;
        mr_error err = {0};
        assert_ok(mr_store_task_read(reader, 4, &about, &found, &err), err);
        assert_true(found);
        assert_int_equal(about.row_count, KEYS - 1);
        assert_ok(mr_store_each(reader, 4, mr_bytes_of("", 0), true, same_round, &round, &err),
                  err);
        mr_store_reader_close(reader);
        close_store(store);
        assert_int_equal(count_databases(), 2);
        rounds += round;
    }
    assert_true(rounds >= 20); // each showed a whole one
}

static void what_a_failed_restore_built_is_swept_away(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.map_bytes_max = 700 * 1024});
    model *m = calloc(1, sizeof *m);
    mr_load_result result;
    mr_load *load;
    mr_error err = {0};
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, 20000, 5);
    assert_int_equal(mr_load_finish(load, mr_bytes_text("mark"), offsets, &result, &err), MR_RETRY);
    mr_load_close(load);
    close_store(store);
    assert_int_equal(count_databases(), 2); // meta and the empty shell of the copy
    close_store(open_store(path, (mr_store_options){0}));
    assert_int_equal(count_databases(), 1);
    free(m);
}

// The note that the folder has while pages lie unsynced in it: after a crash of the machine it
// would be dropped, whatever the options promise.
static void the_note_says_so_while_commits_do_not_sync(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_place_note note;
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_META});
    mr_place_read_note(path, &note);
    assert_int_equal(note.sync, MR_SYNC_META);
    assert_ok(mr_store_sync_late(store, &err), err);
    mr_place_read_note(path, &note);
    assert_int_equal(note.sync, MR_SYNC_NONE);
    assert_false(note.clean);
    assert_ok(mr_store_sync_now(store, &err), err);
    mr_place_read_note(path, &note);
    assert_int_equal(note.sync, MR_SYNC_META);
    assert_false(note.clean);

    model *m = calloc(1, sizeof *m);
    mr_load_result result;
    restore(store, m, 3000, &result);
    mr_place_read_note(path, &note);
    assert_int_equal(note.sync, MR_SYNC_META); // and a restore ends with it
    close_store(store);
    free(m);
}

// A failed one too: the next commits have to sync.
static void a_restore_that_failed_syncs_again(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_place_note note;
    mr_load_result result;
    mr_load *load;
    mr_store *store =
        open_store(path, (mr_store_options){.map_bytes_max = 700 * 1024, .sync = MR_SYNC_FULL});
    model *m = calloc(1, sizeof *m);
    assert_ok(mr_load_open(store, 4, MR_LOAD_MEMORY_MIN, &load, &err), err);
    put_many(load, m, 20000, 5);
    assert_int_equal(mr_load_finish(load, mr_bytes_text("mark"), offsets, &result, &err), MR_RETRY);
    assert_says(&err, "state.map_bytes_max");
    mr_place_read_note(path, &note);
    assert_int_equal(note.sync, MR_SYNC_FULL);
    mr_load_close(load);
    close_store(store);
    free(m);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(nothing_restores_to_an_empty_task),
        test(rows_that_fit_in_memory_are_restored),
        test(rows_in_a_few_runs_are_restored),
        test(rows_in_more_runs_than_are_open_at_once_are_restored),
        test(a_restore_takes_the_place_of_what_the_task_had),
        test(a_restore_that_is_given_up_leaves_no_trace),
        test(a_restore_into_a_map_too_small_is_taken_up_again),
        test(a_row_with_a_wrong_checksum_is_refused),
        test(a_restore_killed_at_any_time_leaves_the_old_copy_or_the_new),
        test(what_a_failed_restore_built_is_swept_away),
        test(the_note_says_so_while_commits_do_not_sync),
        test(a_restore_that_failed_syncs_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
