// SPDX-License-Identifier: Apache-2.0
// Which markers of a changelog the view is brought to, and when: only those that are a commit's
// state, whatever compaction has left before them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/follower.h"
#include "worker/memory.h"

enum { TASKS = 2, SHARD = 1, MESSAGES_MAX = 16 };

typedef struct fixture {
    mr_bus bus;
    mr_engine_config config;
    size_t bytes;
    void *memory;
    mr_engine *engine;
    mr_follower *follower;
    mr_message messages[MESSAGES_MAX]; // that come with the next take
    uint8_t values[MESSAGES_MAX][MR_MARKER_BYTES_MAX];
    uint32_t count, given_back;
    int64_t offset;
} fixture;

static void good(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

static mr_status follow(void *context, const mr_offset *offsets, uint32_t count, mr_error *err)
{
    (void)context, (void)offsets, (void)count, (void)err;
    return MR_OK;
}

static uint32_t take(void *context, mr_message *messages, uint32_t max)
{
    fixture *f = context;
    const uint32_t count = f->count;
    assert_true(count <= max);
    memcpy(messages, f->messages, count * sizeof *messages);
    f->count = 0;
    return count;
}

static void give_back(void *context, mr_message *message)
{
    (void)message;
    ((fixture *)context)->given_back++;
}

static int setup(void **state)
{
    static const uint32_t held[] = {0};
    mr_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->bus = (mr_bus){
        .context = f, .follow = follow, .follow_take = take, .follow_give_back = give_back};
    f->config = mr_engine_defaults();
    f->config.tasks = TASKS;
    f->config.items_max = 100;
    f->config.users_max = 100;
    f->config.exchange_bytes = 64 << 10;
    good(mr_engine_bytes(&f->config, &f->bytes, &err), &err);
    f->memory = mr_memory_map(f->bytes);
    assert_non_null(f->memory);
    good(mr_engine_init(&f->engine, &f->config, f->memory, f->bytes, &err), &err);
    mr_engine_take(f->engine, 0, 1);
    good(mr_engine_ready(f->engine, &err), &err);
    good(mr_follower_open(&f->bus, TASKS, &f->follower, &err), &err);
    good(mr_follower_follow(f->follower, held, 1, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_follower_close(f->follower);
    mr_memory_free(f->memory, f->bytes);
    free(f);
    return 0;
}

// A marker comes that says how many rows its commit has; none of them is there.
static void marker_comes(fixture *f, uint64_t seq, uint32_t rows)
{
    mr_error err = {0};
    uint32_t size;
    const mr_marker marker = {
        .task = SHARD, .tasks = TASKS, .seq = seq, .here_count = rows, .release = {NULL, 0}};
    good(mr_marker_write(&marker, f->values[f->count], &size, &err), &err);
    f->messages[f->count] = (mr_message){.key = mr_marker_key(),
                                         .value = mr_bytes_of(f->values[f->count], size),
                                         .partition = SHARD,
                                         .offset = f->offset++};
    f->count++;
}

static void end_comes(fixture *f)
{
    f->messages[f->count++] = (mr_message){.partition = SHARD, .offset = f->offset, .end = true};
}

// What the step shows: the commit's number, 0 for nothing.
static int64_t shown(fixture *f)
{
    mr_error err = {0};
    bool moved;
    uint32_t count;
    mr_follower_noted(f->follower);
    good(mr_follower_step(f->follower, f->engine, &moved, &err), &err);
    const mr_sequence *views = mr_follower_shown(f->follower, &count);
    assert_in_range(count, 0, 1);
    return count > 0 ? views[0].sequence : 0;
}

static void a_follower_begins_at_the_end_of_the_log(void **state)
{
    fixture *f = *state;
    for (uint64_t seq = 4; seq < 8; seq++)
        marker_comes(f, seq, 0);
    assert_int_equal(shown(f), 0);
    end_comes(f);
    assert_int_equal(shown(f), 7);
    marker_comes(f, 8, 0); // from here on each as it comes
    assert_int_equal(shown(f), 8);
    assert_int_equal(f->given_back, 6);
}

static void at_the_end_of_the_log_the_last_marker_counts(void **state)
{
    fixture *f = *state;
    marker_comes(f, 7, 0);
    end_comes(f);
    assert_int_equal(shown(f), 7);
    end_comes(f);
    assert_int_equal(shown(f), 0);
}

static void a_marker_whose_rows_are_not_all_there_waits(void **state)
{
    fixture *f = *state;
    marker_comes(f, 8, 0);
    end_comes(f);
    assert_int_equal(shown(f), 8);
    marker_comes(f, 9, 1); // compaction has taken its row: the next commit has a newer one
    assert_int_equal(shown(f), 0);
    marker_comes(f, 10, 0);
    assert_int_equal(shown(f), 10);
}

static void a_marker_after_missing_ones_waits(void **state)
{
    fixture *f = *state;
    marker_comes(f, 8, 0);
    end_comes(f);
    assert_int_equal(shown(f), 8);
    marker_comes(f, 12, 0);
    assert_int_equal(shown(f), 0);
    marker_comes(f, 13, 0);
    assert_int_equal(shown(f), 13);
}

static void a_shard_that_was_ours_goes_on_where_we_left_it(void **state)
{
    fixture *f = *state;
    static const uint32_t held[] = {0};
    mr_error err = {0};
    uint32_t count;
    mr_follower_place(f->follower, SHARD, f->offset, 20);
    (void)mr_follower_shown(f->follower, &count);
    assert_int_equal(count, 1); // as of our last commit
    good(mr_follower_follow(f->follower, held, 1, &err), &err);
    marker_comes(f, 21, 0);
    assert_int_equal(shown(f), 21);
}

static void what_is_taken_is_no_view_any_more(void **state)
{
    fixture *f = *state;
    static const uint32_t held[] = {0, 1};
    mr_error err = {0};
    uint32_t count;
    marker_comes(f, 8, 0);
    end_comes(f);
    assert_int_equal(shown(f), 8);
    good(mr_follower_follow(f->follower, held, 2, &err), &err);
    (void)mr_follower_shown(f->follower, &count);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_follower_begins_at_the_end_of_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(at_the_end_of_the_log_the_last_marker_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_marker_whose_rows_are_not_all_there_waits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_marker_after_missing_ones_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shard_that_was_ours_goes_on_where_we_left_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_taken_is_no_view_any_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
