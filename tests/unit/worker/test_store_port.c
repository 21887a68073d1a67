// SPDX-License-Identifier: Apache-2.0
// The store port over LMDB: what it does beside what it is asked for.
#include <signal.h>

#include "tests/unit/state/scratch.h"
#include "worker/log.h"
#include "worker/store_port.h"

static char path[128];

static int setup(void **state)
{
    (void)state;
    const mr_log_options quiet = {.level = MR_LOG_ERROR};
    mr_log_open(&quiet);
    scratch_make(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(path);
    return 0;
}

static mr_local open_local(mr_sync sync)
{
    mr_local local;
    mr_error err = {0};
    bool dropped;
    assert_ok(mr_local_open(path, &(mr_store_options){.sync = sync}, &local, &dropped, &err), err);
    return local;
}

static void write_row(const mr_store_port *port, const char *text)
{
    mr_error err = {0};
    pile *p = pile_make(0, 4096);
    pile_add(p, "key", text, strlen(text));
    assert_ok(port->write(port->context, &p->batch, &err), err);
    pile_free(p);
}

// A process that holds a snapshot until it is killed.
static pid_t start_reader(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        mr_store *store = open_store(path, (mr_store_options){.read_only = true});
        mr_store_reader *reader = open_reader(store);
        if (text_of(reader, 0, "key")[0] == '\0' || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static uint64_t commits_behind(const mr_local *local)
{
    mr_store_stats stats;
    mr_error err = {0};
    assert_ok(mr_store_stat(local->store, &stats, &err), err);
    return stats.oldest_reader;
}

static void a_reader_that_was_killed_is_freed_by_a_later_write(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_local local = open_local(MR_SYNC_META);
    const mr_store_port port = mr_local_port(&local);
    assert_int_equal(local.readers_every_ms, 60000);
    write_row(&port, "one"); // the minute begins
    const pid_t child = start_reader();
    write_row(&port, "two");
    assert_true(commits_behind(&local) > 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    write_row(&port, "three");
    assert_true(commits_behind(&local) > 0); // within the minute
    local.readers_every_ms = 0;
    write_row(&port, "four");
    assert_int_equal(commits_behind(&local), 0);
    assert_ok(mr_local_close(&local, &err), err);
}

static void a_reader_that_lives_is_left_alone(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_local local = open_local(MR_SYNC_META);
    const mr_store_port port = mr_local_port(&local);
    local.readers_every_ms = 0;
    write_row(&port, "one");
    const pid_t child = start_reader();
    write_row(&port, "two");
    write_row(&port, "three");
    assert_true(commits_behind(&local) > 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_ok(mr_local_close(&local, &err), err);
}

static void only_a_store_whose_commits_do_not_sync_is_synced_now_and_then(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_local local = open_local(MR_SYNC_META);
    mr_store_port port = mr_local_port(&local);
    write_row(&port, "one");
    assert_int_equal(local.synced_ms, 0);
    assert_ok(mr_local_close(&local, &err), err);
    local = open_local(MR_SYNC_NONE);
    port = mr_local_port(&local);
    write_row(&port, "two");
    const int64_t first = local.synced_ms;
    assert_true(first > 0);
    write_row(&port, "three");
    assert_int_equal(local.synced_ms, first); // not yet again
    local.synced_ms -= local.sync_every_ms;
    write_row(&port, "four");
    assert_true(local.synced_ms >= first);
    assert_ok(mr_local_close(&local, &err), err);
}

static mr_load_result measure(const mr_store_port *port)
{
    mr_load_result found;
    mr_error err = {0};
    port->refresh(port->context);
    assert_ok(port->measure(port->context, 0, &found, &err), err);
    return found;
}

static void what_a_load_counted_is_the_measure_until_the_task_is_written(void **state)
{
    (void)state;
    static const int64_t offsets[MR_STORE_CHANGELOGS] = {1, 1};
    mr_error err = {0};
    mr_load_result loaded;
    mr_local local = open_local(MR_SYNC_META);
    const mr_store_port port = mr_local_port(&local);
    pile *p = pile_make(0, 4096);
    pile_add(p, "key", "one", 3);
    assert_ok(port.load_begin(port.context, 0, &err), err);
    assert_ok(port.load_put(port.context, p->rows[0].key, p->rows[0].value, &err), err);
    assert_ok(port.load_finish(port.context, mr_bytes_text("mark"), offsets, &loaded, &err), err);
    port.load_end(port.context);
    assert_int_equal(loaded.row_count, 1);
    mr_load_result found = measure(&port);
    assert_memory_equal(&found, &loaded, sizeof found);
    local.loaded_holds = false; // walked: the same
    found = measure(&port);
    assert_memory_equal(&found, &loaded, sizeof found);
    local.loaded_holds = true;
    write_row(&port, "two"); // of the same key
    found = measure(&port);
    assert_int_equal(found.row_count, 1);
    assert_true(found.state_hash.low != loaded.state_hash.low);
    assert_ok(port.drop(port.context, 0, &err), err);
    assert_int_equal(measure(&port).row_count, 0);
    pile_free(p);
    assert_ok(mr_local_close(&local, &err), err);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_reader_that_was_killed_is_freed_by_a_later_write),
        test(a_reader_that_lives_is_left_alone),
        test(what_a_load_counted_is_the_measure_until_the_task_is_written),
        test(only_a_store_whose_commits_do_not_sync_is_synced_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
