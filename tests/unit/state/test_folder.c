// SPDX-License-Identifier: Apache-2.0
// Whole folders: copied under a writer, put in place, forgotten.
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "state/folder.h"
#include "tests/unit/state/scratch.h"

enum { ROWS = 400, PATIENCE_MS = 60000 };

static char path[128], copy[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(path);
    scratch_make(copy);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(path);
    scratch_remove(copy);
    return 0;
}

// Every row of task 3 says the round, its marker and offsets too.
static void write_round(mr_store *store, pile *p, uint32_t round)
{
    char key[16], text[600] = "";
    snprintf(text, sizeof text, "%u", round);
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "row-%05u", i);
        pile_add(p, key, text, sizeof text);
    }
    p->part.marker = mr_bytes_text(text);
    p->part.offsets[0] = round;
    p->part.offsets[1] = 2 * (int64_t)round;
    pile_write(p, store);
}

static mr_store *begin(const char *folder, uint32_t rounds)
{
    static const mr_store_identity identity = {.history = {5, 7}, .cluster = "here"};
    mr_error err = {0};
    mr_store *store = open_store(folder, (mr_store_options){.sync = MR_SYNC_NONE});
    pile *p = pile_make(3, 1 << 20);
    assert_ok(mr_store_identify(store, &identity, &err), err);
    for (uint32_t i = 1; i <= rounds; i++)
        write_round(store, p, i);
    pile_free(p);
    return store;
}

// The round that all of the folder is of.
static uint32_t round_of(const char *folder)
{
    char key[16];
    mr_error err = {0};
    mr_store_identity identity;
    static mr_store_task task;
    bool found;
    mr_store *store = open_store(folder, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    assert_true(mr_store_left(store)->clean);
    assert_ok(mr_store_identity_read(reader, &identity, &err), err);
    assert_true(identity.history[0] == 5 && identity.history[1] == 7);
    assert_string_equal(identity.cluster, "here");
    assert_ok(mr_store_task_read(reader, 3, &task, &found, &err), err);
    assert_true(found);
    assert_int_equal(task.row_count, ROWS);
    task.marker[task.marker_bytes] = '\0';
    const uint32_t round = (uint32_t)atoi((const char *)task.marker);
    assert_int_equal(task.offsets[0], round);
    assert_int_equal(task.offsets[1], 2 * round);
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "row-%05u", i);
        assert_int_equal(atoi(text_of(reader, 3, key)), round);
    }
    mr_store_reader_close(reader);
    close_store(store);
    return round;
}

static off_t file_bytes(const char *folder)
{
    char name[160];
    struct stat about;
    snprintf(name, sizeof name, "%s/data.mdb", folder);
    return stat(name, &about) == 0 ? about.st_size : -1;
}

static void a_copy_of_an_open_store_is_its_last_commit_without_free_pages(void **state)
{
    (void)state;
    mr_error err = {0};
    uint64_t bytes;
    mr_store *store = begin(path, 6);
    assert_ok(mr_folder_copy(path, copy, PATIENCE_MS, &bytes, &err), err);
    assert_int_equal(bytes, file_bytes(copy));
    assert_true(file_bytes(copy) < file_bytes(path));
    close_store(store);
    assert_int_equal(round_of(copy), 6);
}

static void a_copy_under_a_busy_writer_is_one_whole_commit(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    uint32_t last = 0;
    close_store(begin(path, 1));
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        mr_store *store = open_store(path, (mr_store_options){.map_bytes_initial = 1 << 20});
        pile *p = pile_make(3, 1 << 20);
        for (uint32_t round = 2;; round++) { // until it is killed; the map grows meanwhile
            write_round(store, p, round);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
        }
    }
    close(ready[1]);
    for (uint32_t i = 0; i < 8; i++) {
        mr_error err = {0};
        uint64_t bytes;
        for (uint32_t n = 0; n < 3; n++)
            assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_ok(mr_folder_copy(path, copy, PATIENCE_MS, &bytes, &err), err);
        const uint32_t round = round_of(copy);
        assert_true(round > last);
        last = round;
        mr_folder_remove(copy);
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
}

static void a_copy_that_takes_too_long_is_given_up_and_leaves_no_reader(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_store_stats stats;
    uint64_t bytes;
    uint32_t given_up = 0;
    mr_store *store = begin(path, 3);
    pile *p = pile_make(3, 1 << 20);
    for (uint32_t i = 0; i < 20; i++) { // ended before, while and after it has a snapshot
        if (mr_folder_copy(path, copy, i, &bytes, &err) == MR_OK) {
            mr_folder_remove(copy);
            continue;
        }
        given_up++;
        assert_says(&err, "took longer than 0 s and was given up");
        assert_int_equal(access(copy, F_OK), -1);
        write_round(store, p, 4 + i);
        assert_ok(mr_store_stat(store, &stats, &err), err);
        assert_int_equal(stats.oldest_reader, 0);
    }
    assert_true(given_up > 0);
    pile_free(p);
    close_store(store);
}

static void a_copy_that_cannot_be_written_leaves_nothing(void **state)
{
    (void)state;
    mr_error err = {0};
    uint64_t bytes;
    struct rlimit before;
    close_store(begin(path, 1));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 65536, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const mr_status status = mr_folder_copy(path, copy, PATIENCE_MS, &bytes, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, MR_FATAL);
    assert_says(&err, "writing the copy: File too large");
    assert_int_equal(access(copy, F_OK), -1);
}

static void where_there_is_no_state_or_one_already_nothing_is_copied(void **state)
{
    (void)state;
    mr_error err = {0};
    uint64_t bytes;
    assert_int_equal(mr_folder_copy(path, copy, PATIENCE_MS, &bytes, &err), MR_FATAL);
    assert_says(&err, "there is no state in it");
    assert_int_equal(access(path, F_OK), -1); // and none was made
    close_store(begin(path, 1));
    close_store(begin(copy, 2));
    assert_int_equal(mr_folder_copy(path, copy, PATIENCE_MS, &bytes, &err), MR_FATAL);
    assert_says(&err, "holds a state already");
    assert_int_equal(round_of(copy), 2);
}

static void a_copy_is_put_in_place_and_only_over_a_state_where_told_to(void **state)
{
    (void)state;
    mr_error err = {0};
    close_store(begin(copy, 1));
    assert_ok(mr_folder_place(copy, path, false, &err), err);
    assert_int_equal(access(copy, F_OK), -1);
    assert_int_equal(round_of(path), 1);
    close_store(begin(copy, 2));
    assert_int_equal(mr_folder_place(copy, path, false, &err), MR_FATAL);
    assert_says(&err, "holds a state already");
    assert_int_equal(round_of(path), 1);
    assert_ok(mr_folder_place(copy, path, true, &err), err);
    assert_int_equal(round_of(path), 2);
}

static void nothing_is_put_over_or_taken_from_a_folder_in_use(void **state)
{
    (void)state;
    mr_error err = {0};
    bool found;
    close_store(begin(copy, 1));
    close_store(begin(path, 2));
    const int pipe_bytes = 1;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)open_store(path, (mr_store_options){0});
        _exit(write(ready[1], "x", pipe_bytes) == pipe_bytes ? pause() : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(mr_folder_place(copy, path, true, &err), MR_FATAL);
    assert_says(&err, "is in use by process");
    assert_int_equal(mr_folder_forget(path, &found, &err), MR_FATAL);
    assert_says(&err, "is in use by process");
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    assert_ok(mr_folder_place(copy, path, true, &err), err); // and now it is
    assert_int_equal(round_of(path), 1);
}

static void a_state_is_forgotten_whole_or_torn(void **state)
{
    (void)state;
    mr_error err = {0};
    bool found;
    char name[160];
    assert_ok(mr_folder_forget(path, &found, &err), err);
    assert_false(found);
    assert_int_equal(access(path, F_OK), -1);
    for (off_t cut = 0; cut <= 1; cut++) {
        close_store(begin(path, 2));
        snprintf(name, sizeof name, "%s/data.mdb", path);
        if (cut == 1)
            assert_int_equal(truncate(name, 3 * 4096), 0);
        assert_ok(mr_folder_forget(path, &found, &err), err);
        assert_true(found);
        assert_false(mr_folder_holds_state(path));
        mr_store *store = open_store(path, (mr_store_options){0}); // empty, and at once
        assert_int_equal(mr_store_left(store)->present, true);
        close_store(store);
    }
}

static void a_database_of_somebody_else_is_not_forgotten(void **state)
{
    (void)state;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi names;
    mr_error err = {0};
    mr_store *store;
    bool found;
    MDB_val key = {4, (char[]){"meta"}}, value = {5, (char[]){"theirs"}};
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &names), 0);
    assert_int_equal(mdb_put(txn, names, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    // A worker was started on it by mistake, and left its note.
    assert_int_equal(mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err), MR_FATAL);
    const off_t bytes = file_bytes(path);
    assert_int_equal(mr_folder_forget(path, &found, &err), MR_FATAL);
    assert_says(&err, "is left alone");
    assert_int_equal(file_bytes(path), bytes);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_copy_of_an_open_store_is_its_last_commit_without_free_pages),
        test(a_copy_under_a_busy_writer_is_one_whole_commit),
        test(a_copy_that_takes_too_long_is_given_up_and_leaves_no_reader),
        test(a_copy_that_cannot_be_written_leaves_nothing),
        test(where_there_is_no_state_or_one_already_nothing_is_copied),
        test(a_copy_is_put_in_place_and_only_over_a_state_where_told_to),
        test(nothing_is_put_over_or_taken_from_a_folder_in_use),
        test(a_state_is_forgotten_whole_or_torn),
        test(a_database_of_somebody_else_is_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
