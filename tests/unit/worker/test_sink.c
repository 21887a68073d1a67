// SPDX-License-Identifier: Apache-2.0
// The commit, against a bus that answers as it is told: which calls follow which outcome.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/worker/fakes.h"
#include "worker/log.h"
#include "worker/sink.h"

typedef struct fixture {
    fake_bus fake;
    fake_clock clock;
    mr_bus bus;
    mr_clock clock_port;
    mr_sink sink;
    mr_frozen *frozen;
} fixture;

// A commit of one list, two rows and one task.
static void setup(fixture *f)
{
    const uint32_t tasks[] = {5};
    mr_error err = {0};
    memset(f, 0, sizeof *f);
    f->fake.clock = &f->clock;
    f->bus = fake_bus_port(&f->fake);
    f->clock_port = fake_clock_port(&f->clock);
    mr_sink_init(&f->sink, &f->bus, &f->clock_port, 2);
    assert_int_equal(mr_frozen_open(1 << 20, &f->frozen, &err), MR_OK);
    assert_int_equal(mr_frozen_begin(f->frozen, 1, tasks, 1, &err), MR_OK);
    mr_frozen_put_row(f->frozen, 5, 0, mr_bytes_text("ua"), mr_bytes_text("1"));
    mr_frozen_put_row(f->frozen, 5, 1, mr_bytes_text("ib"), mr_bytes_text("2"));
    mr_frozen_put_record(
        f->frozen,
        &(mr_record){.topic = MR_TOPIC_LISTS, .partition = 5, .value = mr_bytes_text("list")});
    mr_frozen_put_marker(f->frozen, 5, 0, mr_bytes_text("m0"));
    mr_frozen_put_marker(f->frozen, 5, 1, mr_bytes_text("m1"));
    mr_frozen_put_offset(f->frozen, (mr_offset){0, 5, 100});
    assert_int_equal(mr_frozen_seal(f->frozen, &err), MR_OK);
}

static void teardown(fixture *f)
{
    mr_frozen_close(f->frozen);
}

static void tell(fixture *f, fake_call call, mr_status status, uint32_t count)
{
    f->fake.fail[call] = status;
    f->fake.fail_count[call] = count;
}

static void commits(fixture *f, const char *calls)
{
    mr_error err = {0};
    if (mr_sink_commit(&f->sink, f->frozen, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(f->fake.calls, calls);
    assert_int_equal(f->sink.state, MR_SINK_IDLE);
}

static void fails(fixture *f, mr_status status, const char *calls)
{
    mr_error err = {0};
    assert_int_equal(mr_sink_commit(&f->sink, f->frozen, 1, &err), status);
    assert_string_equal(f->fake.calls, calls);
    assert_int_equal(f->sink.state, MR_SINK_FAILED);
}

static void records_then_rows_then_markers_then_offsets_then_the_end(void **state)
{
    (void)state;
    fixture f;
    uint32_t count;
    setup(&f);
    commits(&f, "BorrmmFGC");
    assert_int_equal(f.fake.offset_count, 1);
    const mr_frozen_task *task = mr_frozen_tasks(f.frozen, &count);
    assert_int_equal(task->next[0], 1000 * MR_TOPIC_USER_ROWS + 5);
    assert_int_equal(task->next[1], 1000 * MR_TOPIC_ITEM_ROWS + 5);
    teardown(&f);
}

static void a_time_out_repeats_the_same_call_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        fake_call call;
        const char *calls;
    } cases[] = {
        {FAKE_BEGIN, "B!B!BorrmmFGC"},  {FAKE_PRODUCE, "Bo!Fo!ForrmmFGC"},
        {FAKE_FLUSH, "BorrmmF!F!FGC"},  {FAKE_OFFSETS, "BorrmmFG!G!GC"},
        {FAKE_COMMIT, "BorrmmFGC!C!C"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        setup(&f);
        tell(&f, cases[i].call, MR_RETRY, 2);
        commits(&f, cases[i].calls);
        assert_int_equal(f.sink.retried_calls, 2);
        assert_true(f.clock.slept_ms > 0);
        teardown(&f);
    }
}

static void a_full_queue_goes_on_where_it_stopped(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    f.fake.skip[FAKE_PRODUCE] = 2;
    tell(&f, FAKE_PRODUCE, MR_RETRY, 1);
    commits(&f, "Borr!FrmmFGC");
    teardown(&f);
}

static void a_spoilt_transaction_is_aborted_and_the_same_bytes_are_sent(void **state)
{
    (void)state;
    static const struct {
        fake_call call;
        const char *calls;
    } cases[] = {
        {FAKE_PRODUCE, "Bo!RBorrmmFGC"},
        {FAKE_FLUSH, "BorrmmF!RBorrmmFGC"},
        {FAKE_OFFSETS, "BorrmmFG!RBorrmmFGC"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        setup(&f);
        tell(&f, cases[i].call, MR_ABORT, 1);
        commits(&f, cases[i].calls);
        if (cases[i].call != FAKE_PRODUCE)
            assert_true(f.fake.sent_hash == f.fake.sent_before);
        teardown(&f);
    }
}

static void an_abort_that_times_out_is_repeated(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    tell(&f, FAKE_OFFSETS, MR_ABORT, 1);
    tell(&f, FAKE_RENEW, MR_RETRY, 1);
    commits(&f, "BorrmmFG!R!RBorrmmFGC");
    teardown(&f);
}

static void too_many_aborts_end_the_process(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    tell(&f, FAKE_OFFSETS, MR_ABORT, 2); // retries_max: still good
    commits(&f, "BorrmmFG!RBorrmmFG!RBorrmmFGC");
    teardown(&f);
    setup(&f);
    tell(&f, FAKE_OFFSETS, MR_ABORT, 3);
    fails(&f, MR_FATAL, "BorrmmFG!RBorrmmFG!RBorrmmFG!");
    teardown(&f);
}

// Each call at which a commit can fail, and what was called up to there.
static const struct {
    fake_call call;
    const char *calls, *settled;
} failures[] = {
    {FAKE_BEGIN, "B!", "B!R"},
    {FAKE_PRODUCE, "Bo!", "Bo!R"},
    {FAKE_FLUSH, "BorrmmF!", "BorrmmF!R"},
    {FAKE_OFFSETS, "BorrmmFG!", "BorrmmFG!R"},
    {FAKE_COMMIT, "BorrmmFGC!", "BorrmmFGC!R"},
};
enum { FAILURES = sizeof failures / sizeof *failures };

static void a_fatal_error_ends_the_process_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAILURES; i++) {
        fixture f;
        setup(&f);
        tell(&f, failures[i].call, MR_FATAL, 1);
        fails(&f, MR_FATAL, failures[i].calls);
        teardown(&f);
    }
}

// Steps until it is held.
static void hold(fixture *f, const char *calls)
{
    mr_error err = {0};
    mr_sink_give(&f->sink, f->frozen, 1);
    while (f->sink.state != MR_SINK_HELD) {
        const mr_status status = mr_sink_step(&f->sink, &err);
        assert_true(status == MR_OK || status == MR_RETRY);
    }
    assert_string_equal(f->fake.calls, calls);
}

static void a_fence_makes_a_new_producer_and_holds_the_commit(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAILURES; i++) {
        fixture f;
        setup(&f);
        tell(&f, failures[i].call, MR_FENCED, 1);
        hold(&f, failures[i].settled);
        teardown(&f);
    }
    fixture f;
    setup(&f);
    tell(&f, FAKE_COMMIT, MR_FENCED, 1);
    tell(&f, FAKE_RENEW, MR_RETRY, 2);
    hold(&f, "BorrmmFGC!R!R!R");
    teardown(&f);
}

// Whether a commit that failed is there nevertheless is not for the client to say.
static void a_commit_that_was_refused_is_held(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    tell(&f, FAKE_COMMIT, MR_ABORT, 1);
    hold(&f, "BorrmmFGC!R");
    teardown(&f);
}

static void a_commit_that_is_held_is_found_or_sent_again_or_dropped(void **state)
{
    (void)state;
    mr_error err = {0};
    fixture f;
    setup(&f);
    tell(&f, FAKE_COMMIT, MR_FENCED, 1);
    hold(&f, "BorrmmFGC!R");
    mr_sink_found(&f.sink);
    assert_int_equal(f.sink.state, MR_SINK_CONFIRMED);
    assert_int_equal(f.sink.commits, 1);
    assert_ptr_equal(mr_sink_take(&f.sink), f.frozen);
    teardown(&f);
    setup(&f);
    tell(&f, FAKE_COMMIT, MR_FENCED, 1);
    hold(&f, "BorrmmFGC!R");
    mr_sink_again(&f.sink, 2);
    while (f.sink.state != MR_SINK_CONFIRMED)
        assert_int_equal(mr_sink_step(&f.sink, &err), MR_OK);
    assert_string_equal(f.fake.calls, "BorrmmFGC!RBorrmmFGC");
    assert_int_equal(f.sink.generation, 2);
    teardown(&f);
    setup(&f);
    tell(&f, FAKE_OFFSETS, MR_FENCED, 1);
    hold(&f, "BorrmmFG!R");
    assert_ptr_equal(mr_sink_drop(&f.sink), f.frozen);
    assert_int_equal(f.sink.state, MR_SINK_IDLE);
    assert_int_equal(f.sink.commits, 0);
    teardown(&f);
}

static void a_new_producer_that_is_fenced_ends_the_process(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    tell(&f, FAKE_COMMIT, MR_FENCED, 1);
    tell(&f, FAKE_RENEW, MR_FENCED, 1);
    fails(&f, MR_FATAL, "BorrmmFGC!R!");
    teardown(&f);
}

static void after_a_slow_commit_the_producer_is_replaced(void **state)
{
    (void)state;
    fixture f;
    setup(&f);
    f.fake.call_ms[FAKE_COMMIT] = 5000;
    commits(&f, "BorrmmFGC");
    teardown(&f);
    setup(&f);
    f.fake.call_ms[FAKE_COMMIT] = 5001;
    commits(&f, "BorrmmFGCR");
    teardown(&f);
    setup(&f); // the flush was slow, its request may still be on the way
    f.fake.call_ms[FAKE_FLUSH] = 6000;
    tell(&f, FAKE_FLUSH, MR_RETRY, 1);
    tell(&f, FAKE_RENEW, MR_RETRY, 1);
    commits(&f, "BorrmmF!FGCR!R");
    teardown(&f);
}

static void one_step_is_one_state(void **state)
{
    (void)state;
    static const mr_sink_state path[] = {MR_SINK_SENDING, MR_SINK_FLUSHING, MR_SINK_OFFSETS,
                                         MR_SINK_ENDING, MR_SINK_CONFIRMED};
    fixture f;
    mr_error err = {0};
    setup(&f);
    mr_sink_give(&f.sink, f.frozen, 1);
    assert_int_equal(f.sink.state, MR_SINK_BEGINNING);
    for (size_t i = 0; i < sizeof path / sizeof *path; i++) {
        assert_int_equal(mr_sink_step(&f.sink, &err), MR_OK);
        assert_int_equal(f.sink.state, path[i]);
    }
    assert_ptr_equal(mr_sink_take(&f.sink), f.frozen);
    assert_int_equal(f.sink.commits, 1);
    teardown(&f);
}

int main(void)
{
    FILE *quiet = fopen("/dev/null", "we");
    const mr_log_options options = {.out = quiet, .level = MR_LOG_DEBUG};
    mr_log_open(&options);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_then_rows_then_markers_then_offsets_then_the_end),
        cmocka_unit_test(a_time_out_repeats_the_same_call_and_nothing_else),
        cmocka_unit_test(a_full_queue_goes_on_where_it_stopped),
        cmocka_unit_test(a_spoilt_transaction_is_aborted_and_the_same_bytes_are_sent),
        cmocka_unit_test(an_abort_that_times_out_is_repeated),
        cmocka_unit_test(too_many_aborts_end_the_process),
        cmocka_unit_test(a_fatal_error_ends_the_process_at_once),
        cmocka_unit_test(a_fence_makes_a_new_producer_and_holds_the_commit),
        cmocka_unit_test(a_commit_that_was_refused_is_held),
        cmocka_unit_test(a_commit_that_is_held_is_found_or_sent_again_or_dropped),
        cmocka_unit_test(a_new_producer_that_is_fenced_ends_the_process),
        cmocka_unit_test(after_a_slow_commit_the_producer_is_replaced),
        cmocka_unit_test(one_step_is_one_state),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fclose(quiet);
    return failed;
}
