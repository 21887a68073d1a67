// SPDX-License-Identifier: Apache-2.0
// The changelogs written from the local copy: what stands in them afterwards, what is refused, and
// that a stop at any call of the bus or the store is followed by a start that ends in the same
// place.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/worker/fake_brokers.h"
#include "worker/log.h"
#include "worker/rewrite.h"

enum { TASKS = 2, ROWS = 12, SEQ = 7, BATCH_BYTES = 400 };

static const uint32_t owned[] = {0, 1};
static const mr_offset inputs[] = {{0, 0, -1}, {0, 1, -1}};

typedef struct fixture {
    fake_brokers brokers;
    fake_disk disk;
    fake_store truth;
    fake_clock clock;
    mr_bus bus;
    mr_store_port store;
    mr_clock clock_port;
    mr_config config;
    mr_taker taker;
    mr_rewrite_options options;
    mr_rewrite_result result;
} fixture;

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    (void)context;
    (void)input;
    return partition;
}

static mr_status idle(void *context, mr_error *err)
{
    (void)context;
    (void)err;
    return MR_OK;
}

static mr_bytes sealed_row(const char *key, const char *text, uint8_t *room)
{
    const mr_row open = {.kind = (uint8_t)key[0], .version = 1, .payload = mr_bytes_text(text)};
    return mr_bytes_of(room, mr_row_seal(mr_bytes_text(key), &open, room));
}

static mr_bytes marker(uint32_t task, uint64_t history, uint64_t seq, const char *instance,
                       mr_load_result sum, uint8_t *room)
{
    mr_error err = {0};
    mr_marker_pair pairs[] = {{0, seq}, {1, seq}};
    const mr_marker m = {.history = {history, 0},
                         .task = task,
                         .tasks = TASKS,
                         .seq = seq,
                         .instance = mr_bytes_text(instance),
                         .clock_ms = 55,
                         .row_count = sum.row_count,
                         .state_hash = sum.state_hash,
                         .pairs = pairs,
                         .pair_count = TASKS};
    uint32_t bytes;
    assert_int_equal(mr_marker_write(&m, room, &bytes, &err), MR_OK);
    return mr_bytes_of(room, bytes);
}

static void fill_task(fixture *f, uint32_t task)
{
    uint8_t room[128], *joined = malloc(MR_STORE_MARKER_MAX), sealed[MR_MARKER_BYTES_MAX];
    char key[16], text[40];
    for (int i = 0; i < ROWS; i++) { // in key order, as a store gives them
        snprintf(key, sizeof key, "%c%02d", i < ROWS / 2 ? 'i' : 'u', i);
        snprintf(text, sizeof text, "row %d of task %u", i, task);
        const mr_bytes value = sealed_row(key, text, room);
        fake_store_put(&f->disk.store, task, &(mr_store_row){mr_bytes_text(key), value});
    }
    const mr_bytes m =
        marker(task, 77, SEQ, MR_REPLAY_INSTANCE, fake_store_sum(&f->disk.store, task), sealed);
    mr_store_task *to = &f->disk.store.tasks[task];
    to->marker_bytes = mr_marker_join((const mr_bytes[]){m, m}, joined);
    memcpy(to->marker, joined, to->marker_bytes);
    free(joined);
}

// What a replay leaves: rows and markers, offsets unknown, no cluster.
static fixture *setup(void)
{
    fixture *f = calloc(1, sizeof *f);
    mr_error err = {0};
    fake_brokers_init(&f->brokers);
    for (uint32_t t = 0; t < TASKS; t++)
        f->brokers.inputs[t] = (mr_log_ends){3, 100};
    f->bus = fake_brokers_port(&f->brokers);
    f->store = fake_disk_port(&f->disk);
    f->clock_port = fake_clock_port(&f->clock);
    f->config.inputs[0].topic = "clicks";
    f->config.input_count = 1;
    f->config.instance = "one";
    f->config.app = "app";
    f->config.kafka_group = "group";
    f->config.outputs_user_rows = "app.user-rows";
    f->config.outputs_item_rows = "app.item-rows";
    f->disk.identity = (mr_store_identity){.history = {77, 0}};
    f->disk.calls = &f->brokers;
    for (uint32_t t = 0; t < TASKS; t++)
        fill_task(f, t);
    f->truth = f->disk.store;
    f->taker = (mr_taker){.config = &f->config,
                          .bus = &f->bus,
                          .store = &f->store,
                          .clock = &f->clock_port,
                          .tasks = TASKS,
                          .cluster = "cluster",
                          .copy_age_max_ms = 1000};
    f->options = (mr_rewrite_options){.taker = &f->taker,
                                      .owned = owned,
                                      .owned_count = TASKS,
                                      .inputs = inputs,
                                      .input_count = TASKS,
                                      .task_of = task_of,
                                      .idle = idle,
                                      .commit_bytes_max = 1 << 20};
    assert_int_equal(mr_taker_open(&f->taker, &err), MR_OK);
    return f;
}

static void teardown(fixture *f)
{
    mr_taker_close(&f->taker);
    free(f);
}

static mr_status rewrite(fixture *f, mr_error *err)
{
    fake_brokers_settle(&f->brokers);
    return mr_rewrite_run(&f->options, &f->result, err);
}

static void rewrites(fixture *f)
{
    mr_error err = {0};
    if (rewrite(f, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_true(f->result.done);
}

static void refuses(fixture *f, const char *text)
{
    mr_error err = {0};
    assert_int_equal(rewrite(f, &err), MR_FATAL);
    if (strstr(err.text, text) == NULL)
        fail_msg("want '%s' in '%s'", text, err.text);
    assert_int_equal(f->brokers.transactions, 0);
    teardown(f);
}

// A start after it: over the local copy, and from nothing; both end at `seq` with the replay's
// rows.
static void both_restore(fixture *f, uint64_t seq, bool from_nothing)
{
    mr_error err = {0};
    mr_taking *taking = calloc(1, sizeof *taking);
    for (uint32_t t = 0; t < TASKS; t++) {
        mr_offset offset = {0, t, -1};
        *taking = (mr_taking){.task = t};
        if (from_nothing)
            fake_disk_erase(&f->disk, t);
        if (mr_taking_restore(&f->taker, taking, NULL, NULL, &err) != MR_OK)
            fail_msg("%s", err.text);
        assert_false(taking->fresh);
        assert_int_equal(taking->marker.seq, seq);
        assert_int_equal(taking->marker.clock_ms, 55);
        assert_int_equal(taking->rows_dropped, 0);
        const mr_load_result found = fake_store_sum(&f->disk.store, t);
        const mr_load_result want = fake_store_sum(&f->truth, t);
        assert_int_equal(found.row_count, ROWS);
        assert_memory_equal(&found.state_hash, &want.state_hash, sizeof want.state_hash);
        assert_int_equal(mr_taking_place(&f->taker, taking, &offset, 1, &err), MR_OK);
        assert_int_equal(offset.next, 3);
        assert_int_equal(f->brokers.group[t], 3);
    }
    free(taking);
}

static void what_a_replay_left_goes_to_the_changelogs(void **state)
{
    (void)state;
    fixture *f = setup();
    rewrites(f);
    assert_int_equal(f->result.rows, TASKS * ROWS);
    assert_int_equal(f->result.tombstones, 0);
    assert_int_equal(f->result.commits, 1);
    assert_int_equal(f->brokers.logs[1][0].count, ROWS / 2 + 1); // users' rows and the marker
    assert_int_equal(f->brokers.logs[1][1].count, ROWS / 2 + 1);
    both_restore(f, SEQ + 1, false);
    assert_int_equal(f->disk.loads, 0); // the local copy was good
    both_restore(f, SEQ + 1, true);
    mr_error err = {0};
    assert_int_equal(rewrite(f, &err), MR_OK);
    assert_false(f->result.done); // once is enough
    teardown(f);
}

static void transactions_are_of_bounded_size_and_the_last_makes_them_valid(void **state)
{
    (void)state;
    fixture *f = setup();
    f->options.commit_bytes_max = 4 * BATCH_BYTES;
    rewrites(f);
    assert_true(f->result.commits >= 2);
    both_restore(f, SEQ + 1, true);
    teardown(f);
}

static void a_stop_at_any_call_is_made_good_by_the_next_start(void **state)
{
    (void)state;
    uint32_t stopped = 0;
    for (uint32_t at = 1;; at++) {
        fixture *f = setup();
        mr_error err = {0};
        f->options.commit_bytes_max = 4 * BATCH_BYTES;
        f->brokers.fail_at = at;
        const bool ended = rewrite(f, &err) == MR_OK;
        f->brokers.fail_at = 0;
        stopped += !ended;
        if (!ended)
            rewrites(f);
        // A stop between the last commit and the store repeats it under the next number.
        mr_marker seen = {
            .pairs = f->taker.pairs, .offsets = f->taker.offsets, .links = f->taker.links};
        const fake_log *log = &f->brokers.logs[0][0];
        const fake_record *last = &log->records[log->count - 1];
        assert_int_equal(mr_marker_read(mr_bytes_of(last->value, last->value_bytes), &seen, &err),
                         MR_OK);
        assert_in_range(seen.seq, SEQ + 1, SEQ + 2);
        const uint64_t seq = seen.seq;
        both_restore(f, seq, false);
        both_restore(f, seq, true);
        teardown(f);
        if (ended)
            break;
    }
    assert_true(stopped > TASKS * ROWS); // each record was such a call
}

// Of another history, with keys that the local copy has and one that it lacks.
static void put_foreign(fixture *f, uint64_t history)
{
    uint8_t room[128], sealed[MR_MARKER_BYTES_MAX];
    for (uint32_t t = 0; t < TASKS; t++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
            fake_log *log = &f->brokers.logs[t][c];
            const char *const shared = c == 0 ? "u06" : "i00", *const own = c == 0 ? "uz" : "iz";
            fake_log_put(log, mr_bytes_text(shared), sealed_row(shared, "old", room));
            fake_log_put(log, mr_bytes_text(own), sealed_row(own, "old", room));
            fake_log_put(log, mr_marker_key(),
                         marker(t, history, 40, "two", (mr_load_result){2, {1, 1}}, sealed));
        }
    }
}

static void another_history_is_replaced_only_when_told(void **state)
{
    (void)state;
    fixture *f = setup();
    put_foreign(f, 5);
    mr_error err = {0};
    assert_int_equal(rewrite(f, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "changelogs hold another history"));
    assert_int_equal(f->brokers.transactions, 0);
    f->options.why = MR_REWRITE_FROM_LOCAL;
    rewrites(f);
    assert_int_equal(f->result.tombstones, TASKS * MR_STORE_CHANGELOGS);
    both_restore(f, 41, true); // above what the changelogs had
    teardown(f);
}

static void a_replay_that_another_worker_has_adopted_is_read_from_the_changelogs(void **state)
{
    (void)state;
    fixture *f = setup();
    put_foreign(f, 77);
    mr_error err = {0};
    assert_int_equal(rewrite(f, &err), MR_OK);
    assert_false(f->result.done);
    assert_int_equal(f->brokers.transactions, 0);
    teardown(f);
}

static void rows_without_a_marker_are_taken_back(void **state)
{
    (void)state;
    uint8_t room[128];
    fixture *f = setup();
    rewrites(f);
    fake_log *log = &f->brokers.logs[1][0];
    fake_log_put(log, mr_bytes_text("u06"), sealed_row("u06", "torn", room));
    fake_log_put(log, mr_bytes_text("uz"), sealed_row("uz", "torn", room));
    f->options.why = MR_REWRITE_TORN;
    rewrites(f);
    assert_int_equal(f->result.tombstones, 1);
    both_restore(f, SEQ + 2, true);
    teardown(f);
}

// As while a task is read from the changelogs.
static void lose_marker(fixture *f, uint32_t task, uint32_t changelog)
{
    uint8_t *joined = malloc(MR_STORE_MARKER_MAX);
    mr_store_task *to = &f->disk.store.tasks[task];
    mr_bytes markers[MR_STORE_CHANGELOGS];
    mr_error err = {0};
    assert_int_equal(mr_marker_split(mr_bytes_of(to->marker, to->marker_bytes), markers, &err),
                     MR_OK);
    markers[changelog].size = 0;
    to->marker_bytes = mr_marker_join(markers, joined);
    memcpy(to->marker, joined, to->marker_bytes);
    free(joined);
}

static void a_copy_that_cannot_be_trusted_is_not_written(void **state)
{
    (void)state;
    fixture *f = setup();
    f->disk.store.rows[0].value_bytes = 0;
    refuses(f, "it is damaged and not written");
    f = setup();
    f->taker.tasks = 3;
    refuses(f, "--set replay.tasks=3");
    f = setup();
    f->disk.store.tasks[1].marker_bytes = 0;
    refuses(f, "lacks 1 of 2 tasks");
    f = setup();
    lose_marker(f, 1, 0);
    refuses(f, "lacks 1 of 2 tasks");
}

static void a_copy_that_is_just_being_read_asks_for_nothing(void **state)
{
    (void)state;
    for (uint32_t changelog = 0; changelog < MR_STORE_CHANGELOGS; changelog++) {
        fixture *f = setup();
        mr_error err = {0};
        fake_disk_erase(&f->disk, 0);
        lose_marker(f, 1, changelog);
        f->disk.store.tasks[1].offsets[0] = 5;
        assert_int_equal(rewrite(f, &err), MR_OK);
        assert_false(f->result.done);
        teardown(f);
    }
}

static void an_empty_state_asks_for_nothing(void **state)
{
    (void)state;
    fixture *f = setup();
    mr_error err = {0};
    for (uint32_t t = 0; t < TASKS; t++)
        fake_disk_erase(&f->disk, t);
    assert_int_equal(rewrite(f, &err), MR_OK);
    assert_false(f->result.done);
    teardown(f);
}

int main(void)
{
    FILE *quiet = fopen("/dev/null", "we");
    const mr_log_options options = {.out = quiet, .level = MR_LOG_DEBUG};
    mr_log_open(&options);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_replay_left_goes_to_the_changelogs),
        cmocka_unit_test(transactions_are_of_bounded_size_and_the_last_makes_them_valid),
        cmocka_unit_test(a_stop_at_any_call_is_made_good_by_the_next_start),
        cmocka_unit_test(another_history_is_replaced_only_when_told),
        cmocka_unit_test(a_replay_that_another_worker_has_adopted_is_read_from_the_changelogs),
        cmocka_unit_test(rows_without_a_marker_are_taken_back),
        cmocka_unit_test(a_copy_that_cannot_be_trusted_is_not_written),
        cmocka_unit_test(a_copy_that_is_just_being_read_asks_for_nothing),
        cmocka_unit_test(an_empty_state_asks_for_nothing),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fclose(quiet);
    return failed;
}
