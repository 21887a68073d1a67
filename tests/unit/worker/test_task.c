// SPDX-License-Identifier: Apache-2.0
// Taking a task, against changelogs and a local copy in memory: which base is chosen, what is read,
// what is refused, and where the inputs go on.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/worker/fake_brokers.h"
#include "worker/log.h"
#include "worker/task.h"

enum { TASKS = 2, AGE_MAX_MS = 1000, INPUT_STEP = 10 };

typedef struct fixture {
    fake_brokers brokers;
    fake_disk disk;
    fake_store truth; // what the changelogs' rows add up to
    fake_clock clock;
    mr_bus bus;
    mr_store_port store;
    mr_clock clock_port;
    mr_config config;
    mr_taker taker;
    mr_taking taking;
    uint64_t history;
} fixture;

static fixture *setup(void)
{
    fixture *f = calloc(1, sizeof *f);
    mr_error err = {0};
    fake_brokers_init(&f->brokers);
    f->brokers.inputs[1] = (mr_log_ends){0, 1000};
    f->clock.now_ms = 1000000;
    f->bus = fake_brokers_port(&f->brokers);
    f->store = fake_disk_port(&f->disk);
    f->clock_port = fake_clock_port(&f->clock);
    f->config.inputs[0].topic = "clicks";
    f->config.input_count = 1;
    f->config.kafka_group = "group";
    f->config.outputs_user_rows = "app.user-rows";
    f->config.outputs_item_rows = "app.item-rows";
    f->history = 77;
    f->disk.identity = (mr_store_identity){{77, 0}, "cluster"};
    f->taker = (mr_taker){.config = &f->config,
                          .bus = &f->bus,
                          .store = &f->store,
                          .clock = &f->clock_port,
                          .tasks = TASKS,
                          .cluster = "cluster",
                          .copy_age_max_ms = AGE_MAX_MS};
    f->taking.task = 1;
    assert_int_equal(mr_taker_open(&f->taker, &err), MR_OK);
    return f;
}

static void teardown(fixture *f)
{
    mr_taker_close(&f->taker);
    free(f);
}

// A row of a commit, in the log and in the truth; no text: the row is gone.
static void row(fixture *f, uint32_t changelog, const char *key, const char *text)
{
    uint8_t sealed[128];
    mr_bytes value = {NULL, 0};
    if (text != NULL) {
        const mr_row open = {.kind = (uint8_t)key[0], .version = 1, .payload = mr_bytes_text(text)};
        value = mr_bytes_of(sealed, mr_row_seal(mr_bytes_text(key), &open, sealed));
    }
    fake_log_put(&f->brokers.logs[1][changelog], mr_bytes_text(key), value);
    fake_store_put(&f->truth, 1, &(mr_store_row){mr_bytes_text(key), value});
}

static mr_bytes marker(fixture *f, uint64_t seq, uint8_t *sealed)
{
    mr_error err = {0};
    const mr_load_result sum = fake_store_sum(&f->truth, 1);
    mr_marker_pair pairs[] = {{0, seq}, {1, seq}};
    mr_marker_offset offsets[] = {{mr_bytes_text("clicks"), 1, (int64_t)seq * INPUT_STEP}};
    const mr_marker m = {.history = {f->history, 0},
                         .task = 1,
                         .tasks = TASKS,
                         .seq = seq,
                         .instance = mr_bytes_text("one"),
                         .wall_ms = f->clock.now_ms,
                         .row_count = sum.row_count,
                         .state_hash = sum.state_hash,
                         .pairs = pairs,
                         .pair_count = 2,
                         .offsets = offsets,
                         .offset_count = 1};
    uint32_t bytes;
    assert_int_equal(mr_marker_write(&m, sealed, &bytes, &err), MR_OK);
    return mr_bytes_of(sealed, bytes);
}

static void end_one(fixture *f, uint32_t changelog, uint64_t seq)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    fake_log *log = &f->brokers.logs[1][changelog];
    fake_log_put(log, mr_marker_key(), marker(f, seq, sealed));
    log->end++; // the transaction's own record
}

static void end_commit(fixture *f, uint64_t seq)
{
    end_one(f, 0, seq);
    end_one(f, 1, seq);
}

// Commits 1 and 2: three rows are left, one was erased.
static void two_commits(fixture *f)
{
    row(f, 0, "ua", "1");
    row(f, 0, "ub", "2");
    row(f, 1, "ix", "3");
    end_commit(f, 1);
    row(f, 0, "ua", "11");
    row(f, 0, "ub", NULL);
    row(f, 0, "uc", "4");
    end_commit(f, 2);
}

// Gives the disk what the changelogs have now, as a commit's write does.
static void copy_to_disk(fixture *f, uint64_t seq)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX], *joined = malloc(MR_STORE_MARKER_MAX);
    mr_store_task *task = &f->disk.store.tasks[1];
    const mr_bytes both[] = {marker(f, seq, sealed), marker(f, seq, sealed)};
    task->marker_bytes = mr_marker_join(both, joined);
    memcpy(task->marker, joined, task->marker_bytes);
    free(joined);
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
        task->offsets[c] = f->brokers.logs[1][c].end;
    memcpy(f->disk.store.rows, f->truth.rows, sizeof f->truth.rows);
    f->disk.store.row_count = f->truth.row_count;
}

static void restores(fixture *f, uint64_t seq)
{
    mr_error err = {0};
    if (mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(f->taking.state, MR_TAKING_CHECKED);
    assert_int_equal(f->taking.marker.seq, seq);
    const mr_load_result found = fake_store_sum(&f->disk.store, 1);
    const mr_load_result want = fake_store_sum(&f->truth, 1);
    assert_int_equal(found.row_count, want.row_count);
    assert_memory_equal(&found.state_hash, &want.state_hash, sizeof want.state_hash);
}

static void refuses(fixture *f, const char *text)
{
    mr_error err = {0};
    assert_int_equal(mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err), MR_FATAL);
    assert_int_equal(f->taking.state, MR_TAKING_FAILED);
    if (strstr(err.text, text) == NULL)
        fail_msg("want '%s' in '%s'", text, err.text);
}

static void a_task_without_a_marker_is_new(void **state)
{
    (void)state;
    fixture *f = setup();
    mr_error err = {0};
    assert_int_equal(mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err), MR_OK);
    assert_int_equal(f->taking.state, MR_TAKING_FRESH);
    assert_true(f->taking.fresh);
    teardown(f);
}

static void from_nothing_the_newest_of_every_key_is_restored(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    restores(f, 2);
    assert_int_equal(f->taking.rows_read, 6);
    assert_int_equal(f->disk.loads, 1);
    assert_int_equal(f->disk.store.tasks[1].offsets[0], f->brokers.logs[1][0].end);
    teardown(f);
}

static void over_a_copy_only_what_came_after_it_is_read(void **state)
{
    (void)state;
    fixture *f = setup();
    row(f, 0, "ua", "1");
    end_commit(f, 1);
    copy_to_disk(f, 1);
    row(f, 0, "ub", "2");
    row(f, 1, "ix", "3");
    end_commit(f, 2);
    restores(f, 2);
    assert_int_equal(f->taking.rows_read, 2);
    assert_int_equal(f->disk.loads, 0);
    teardown(f);
}

// A torn commit: its rows came, its marker did not.
static void rows_behind_the_last_marker_are_dropped(void **state)
{
    (void)state;
    for (int over_copy = 0; over_copy < 2; over_copy++) {
        fixture *f = setup();
        two_commits(f);
        if (over_copy)
            copy_to_disk(f, 2);
        const fake_store truth = f->truth;
        row(f, 0, "ua", "torn");
        row(f, 0, "ud", "torn");
        row(f, 1, "ix", NULL);
        f->truth = truth;
        restores(f, 2);
        assert_int_equal(f->taking.rows_dropped, 3);
        teardown(f);
    }
}

static void a_task_whose_every_row_lies_behind_a_marker_that_never_came_is_new(void **state)
{
    (void)state;
    fixture *f = setup();
    mr_error err = {0};
    row(f, 0, "ua", "torn");
    assert_int_equal(mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err), MR_OK);
    assert_int_equal(f->taking.state, MR_TAKING_FRESH);
    assert_int_equal(fake_store_sum(&f->disk.store, 1).row_count, 0);
    teardown(f);
}

static void changelogs_that_end_at_different_commits_stop_the_start(void **state)
{
    (void)state;
    for (int over_copy = 0; over_copy < 2; over_copy++) {
        fixture *f = setup();
        two_commits(f);
        if (over_copy)
            copy_to_disk(f, 2);
        row(f, 0, "ue", "5");
        end_one(f, 0, 3);
        refuses(f, "end at commits 3 and 2");
        teardown(f);
    }
}

static void a_changelog_without_any_marker_beside_one_that_has_one_stops_the_start(void **state)
{
    (void)state;
    fixture *f = setup();
    row(f, 0, "ua", "1");
    end_one(f, 0, 1);
    refuses(f, "only one of its changelogs has a marker");
    teardown(f);
}

static void a_copy_with_another_row_is_thrown_away(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    copy_to_disk(f, 2);
    f->disk.store.rows[0].value[f->disk.store.rows[0].value_bytes - 1] ^= 1; // the hash differs
    restores(f, 2);
    assert_int_equal(f->disk.loads, 1);
    teardown(f);
}

static void a_copy_that_lacks_a_row_is_thrown_away(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    copy_to_disk(f, 2);
    f->disk.store.rows[0].value_bytes = 0; // the count differs
    restores(f, 2);
    assert_int_equal(f->disk.loads, 1);
    teardown(f);
}

static void a_wrong_changelog_stops_the_start_and_is_named(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    fake_log *log = &f->brokers.logs[1][0];
    uint8_t sealed[64];
    const mr_row open = {.kind = 'u', .version = 1, .payload = mr_bytes_text("foreign")};
    const mr_bytes key = mr_bytes_text("uz");
    fake_log_put(log, key, mr_bytes_of(sealed, mr_row_seal(key, &open, sealed)));
    end_commit(f, 3);
    refuses(f, "app.user-rows [1] 0 to 12, app.item-rows [1] 0 to 7");
    teardown(f);
}

static void a_copy_that_is_ahead_of_the_changelog_stops_the_start(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    copy_to_disk(f, 2);
    restores(f, 2); // at the end: all is well
    teardown(f);
    f = setup();
    two_commits(f);
    copy_to_disk(f, 2);
    f->disk.store.tasks[1].offsets[1]++;
    refuses(f, "lost committed records");
    teardown(f);
}

static void a_copy_is_used_up_to_its_age_and_not_beyond(void **state)
{
    (void)state;
    for (int64_t late = 0; late < 2; late++) {
        fixture *f = setup();
        two_commits(f);
        copy_to_disk(f, 2);
        f->clock.now_ms += AGE_MAX_MS + late;
        restores(f, 2);
        assert_int_equal(f->disk.loads, late);
        teardown(f);
    }
}

static void a_copy_of_another_cluster_history_or_a_log_that_was_cut_is_not_used(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        fixture *f = setup();
        two_commits(f);
        copy_to_disk(f, 2);
        if (which == 0)
            f->taker.cluster = "other";
        if (which == 1)
            f->taker.identity.history[1] = 1;
        if (which == 2)
            f->disk.store.tasks[1].offsets[0] = -1;
        restores(f, 2);
        assert_int_equal(f->disk.loads, 1);
        teardown(f);
    }
}

static void a_marker_of_another_number_of_tasks_stops_the_start(void **state)
{
    (void)state;
    fixture *f = setup();
    two_commits(f);
    f->taker.tasks = TASKS + 1;
    refuses(f, "is fixed for a history");
    teardown(f);
}

// Inputs.

static mr_status place(fixture *f, int64_t *next, mr_error *err)
{
    mr_offset offset = {0, 1, -1};
    const mr_status status = mr_taking_place(&f->taker, &f->taking, &offset, 1, err);
    *next = offset.next;
    return status;
}

// A task that was restored at commit 2: its input goes on at 20.
static fixture *restored(void)
{
    fixture *f = setup();
    two_commits(f);
    restores(f, 2);
    return f;
}

static void goes_on_at(fixture *f, int64_t want)
{
    mr_error err = {0};
    int64_t next;
    if (place(f, &next, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(next, want);
    assert_int_equal(f->taking.state, MR_TAKING_PLACED);
    teardown(f);
}

static void stops(fixture *f, const char *text)
{
    mr_error err = {0};
    int64_t next;
    assert_int_equal(place(f, &next, &err), MR_FATAL);
    if (strstr(err.text, text) == NULL)
        fail_msg("want '%s' in '%s'", text, err.text);
    teardown(f);
}

static void inputs_go_on_at_the_markers_offsets(void **state)
{
    (void)state;
    goes_on_at(restored(), 20); // the group's have expired
    fixture *f = restored();
    f->brokers.group[1] = 20;
    goes_on_at(f, 20);
}

static void other_offsets_of_the_group_are_refused_until_told_which_hold(void **state)
{
    (void)state;
    fixture *f = restored();
    f->brokers.group[1] = 50;
    stops(f, "the group group has offset 50, the state ends at 20");
    f = restored();
    f->brokers.group[1] = 50;
    f->taker.accept_offsets = MR_ACCEPT_STATE;
    goes_on_at(f, 20);
    f = restored();
    f->brokers.group[1] = 50;
    f->taker.accept_offsets = MR_ACCEPT_GROUP;
    goes_on_at(f, 50);
}

static void offsets_of_a_group_whose_state_is_gone_are_refused_until_told(void **state)
{
    (void)state;
    for (int accept = MR_ACCEPT_NEITHER; accept <= MR_ACCEPT_GROUP; accept++) {
        fixture *f = setup();
        mr_error err = {0};
        assert_int_equal(mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err), MR_OK);
        f->brokers.group[1] = 50;
        f->taker.accept_offsets = accept;
        if (accept == MR_ACCEPT_NEITHER)
            stops(f, "is the changelog lost?");
        else
            goes_on_at(f, accept == MR_ACCEPT_GROUP ? 50 : 0);
    }
}

static void events_that_are_gone_stop_the_start_or_are_passed_over(void **state)
{
    (void)state;
    fixture *f = restored();
    f->brokers.inputs[1].first = 20; // nothing is lost
    goes_on_at(f, 20);
    f = restored();
    f->brokers.inputs[1].first = 23;
    stops(f, "3 records from offset 20 on are gone");
    f = restored();
    f->brokers.inputs[1].first = 23;
    f->config.on_input_gap = MR_GAP_CONTINUE;
    goes_on_at(f, 23);
}

static void an_input_that_ends_before_what_was_read_stops_the_start(void **state)
{
    (void)state;
    fixture *f = restored();
    f->brokers.inputs[1].end = 20;
    goes_on_at(f, 20);
    f = restored();
    f->brokers.inputs[1].end = 19;
    stops(f, "was cut or made anew");
}

static void a_new_task_begins_where_start_says(void **state)
{
    (void)state;
    for (int start = MR_START_EARLIEST; start <= MR_START_LATEST; start++) {
        fixture *f = setup();
        mr_error err = {0};
        assert_int_equal(mr_taking_restore(&f->taker, &f->taking, NULL, NULL, &err), MR_OK);
        f->brokers.inputs[1] = (mr_log_ends){5, 1000};
        f->config.start = start;
        goes_on_at(f, start == MR_START_EARLIEST ? 5 : 1000);
    }
}

// All tasks together.

static void a_commit_whose_other_task_is_behind_stops_the_start(void **state)
{
    (void)state;
    fixture *f = restored();
    mr_error err = {0};
    mr_taking *other = calloc(1, sizeof *other);
    const mr_taking *both[] = {other, &f->taking};
    *other = f->taking;
    other->markers[0].data = other->bytes[0];
    other->task = 0;
    other->marker.task = 0;
    assert_int_equal(mr_takings_check(&f->taker, both, 2, &err), MR_OK);
    other->marker.seq = 1; // commit 2 covers task 0 up to its commit 2
    assert_int_equal(mr_takings_check(&f->taker, both, 2, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "half a transaction"));
    free(other);
    teardown(f);
}

static void tasks_of_two_histories_stop_the_start(void **state)
{
    (void)state;
    fixture *f = restored(), *g = setup();
    mr_error err = {0};
    g->history = 78;
    g->taker.identity.history[0] = 78;
    two_commits(g);
    restores(g, 2);
    const mr_taking *both[] = {&f->taking, &g->taking};
    assert_int_equal(mr_takings_check(&f->taker, both, 2, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "another history"));
    teardown(g);
    teardown(f);
}

int main(void)
{
    FILE *quiet = fopen("/dev/null", "we");
    const mr_log_options options = {.out = quiet, .level = MR_LOG_DEBUG};
    mr_log_open(&options);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_without_a_marker_is_new),
        cmocka_unit_test(from_nothing_the_newest_of_every_key_is_restored),
        cmocka_unit_test(over_a_copy_only_what_came_after_it_is_read),
        cmocka_unit_test(rows_behind_the_last_marker_are_dropped),
        cmocka_unit_test(a_task_whose_every_row_lies_behind_a_marker_that_never_came_is_new),
        cmocka_unit_test(changelogs_that_end_at_different_commits_stop_the_start),
        cmocka_unit_test(a_changelog_without_any_marker_beside_one_that_has_one_stops_the_start),
        cmocka_unit_test(a_copy_with_another_row_is_thrown_away),
        cmocka_unit_test(a_copy_that_lacks_a_row_is_thrown_away),
        cmocka_unit_test(a_wrong_changelog_stops_the_start_and_is_named),
        cmocka_unit_test(a_copy_that_is_ahead_of_the_changelog_stops_the_start),
        cmocka_unit_test(a_copy_is_used_up_to_its_age_and_not_beyond),
        cmocka_unit_test(a_copy_of_another_cluster_history_or_a_log_that_was_cut_is_not_used),
        cmocka_unit_test(a_marker_of_another_number_of_tasks_stops_the_start),
        cmocka_unit_test(inputs_go_on_at_the_markers_offsets),
        cmocka_unit_test(other_offsets_of_the_group_are_refused_until_told_which_hold),
        cmocka_unit_test(offsets_of_a_group_whose_state_is_gone_are_refused_until_told),
        cmocka_unit_test(events_that_are_gone_stop_the_start_or_are_passed_over),
        cmocka_unit_test(an_input_that_ends_before_what_was_read_stops_the_start),
        cmocka_unit_test(a_new_task_begins_where_start_says),
        cmocka_unit_test(a_commit_whose_other_task_is_behind_stops_the_start),
        cmocka_unit_test(tasks_of_two_histories_stop_the_start),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fclose(quiet);
    return failed;
}
