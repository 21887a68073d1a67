// SPDX-License-Identifier: Apache-2.0
// A message whose schema is not known yet: its partition is one from which nothing has come, and
// the others go on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"
#include "schemas/frame.h"
#include "worker/methods.h"
#include "worker/source.h"

enum { PARTITIONS = 2, LOG_MAX = 16, VALUE_BYTES = 256, CLICKS = 0, CARTS = 1 };

typedef struct log_of_one {
    uint8_t values[LOG_MAX][VALUE_BYTES];
    uint32_t sizes[LOG_MAX], count, taken;
    int64_t times[LOG_MAX];
    bool ended; // the end was said
} log_of_one;

typedef struct fixture {
    mr_methods methods;
    mr_config *config;
    mr_catalog *catalog;
    mr_intake intake;
    mr_source *source;
    log_of_one logs[2][PARTITIONS]; // by input and partition
    mr_offset assigned[2 * PARTITIONS];
    mr_status known[4];   // what the finder says of an id
    uint32_t found, held; // messages that were not given back yet
} fixture;

static void good(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

// ---- the world

static mr_status find(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                      mr_error *err)
{
    fixture *f = context;
    const mr_builtin *ours = mr_builtin_find(frame->id == 2 ? "cart" : "click");
    assert_int_equal(frame->names, MR_FRAME_NAMES_ID);
    f->found++;
    if (f->known[frame->id] == MR_REJECT)
        return mr_reject(err, MR_CAUSE_unknown_schema, "there is none");
    if (f->known[frame->id] != MR_OK)
        return mr_fail(err, f->known[frame->id], "told to");
    *text = strdup(ours->text);
    *text_bytes = ours->size;
    return MR_OK;
}

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    (void)context;
    (void)input;
    return partition;
}

static mr_status assign(void *context, const mr_offset *offsets, uint32_t count, mr_error *err)
{
    fixture *f = context;
    (void)err;
    memcpy(f->assigned, offsets, count * sizeof *offsets);
    for (uint32_t i = 0; i < count; i++) {
        log_of_one *log = &f->logs[offsets[i].input][offsets[i].partition];
        log->taken = (uint32_t)offsets[i].next;
        log->ended = false;
    }
    return MR_OK;
}

static uint32_t no_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message, (void)headers, (void)max;
    return 0;
}

static uint32_t take(void *context, uint32_t index, mr_message *messages, uint32_t max)
{
    fixture *f = context;
    const mr_offset *at = &f->assigned[index];
    log_of_one *log = &f->logs[at->input][at->partition];
    uint32_t count = 0;
    for (; log->taken < log->count && count < max; log->taken++, count++, f->held++)
        messages[count] =
            (mr_message){.value = mr_bytes_of(log->values[log->taken], log->sizes[log->taken]),
                         .partition = at->partition,
                         .offset = log->taken,
                         .time_ms = log->times[log->taken],
                         .headers = no_headers};
    if (log->taken == log->count && !log->ended && count < max) {
        log->ended = true;
        messages[count++] = (mr_message){.end = true, .offset = log->count};
        f->held++;
    }
    return count;
}

static void give_back(void *context, mr_message *message)
{
    (void)message;
    ((fixture *)context)->held--;
}

static int setup(void **state)
{
    static const char *const sets[] = {"app=test", "topics.clicks.kind=click",
                                       "topics.carts.kind=cart", "epoch.interval_ms=10"};
    mr_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    const mr_schema_finder finder = {f, find};
    good(mr_methods_open(&f->methods, &err), &err);
    const mr_config_source from = {.sets = sets,
                                   .set_count = sizeof sets / sizeof sets[0],
                                   .numbers = f->methods.numbers,
                                   .number_count = f->methods.count};
    good(mr_config_load(&f->config, &from, &err), &err);
    good(mr_catalog_open(NULL, &f->catalog, &err), &err);
    mr_catalog_ask(f->catalog, &finder);
    f->intake = (mr_intake){
        .context = f, .task_of = task_of, .assign = assign, .take = take, .give_back = give_back};
    good(mr_source_open(f->config, f->catalog, &f->intake, &f->source, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_source_close(f->source);
    assert_int_equal(f->held, 0);
    mr_catalog_close(f->catalog);
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    free(f);
    return 0;
}

// ---- what a test does

// Appends an event of that schema id, at that time.
static void send(fixture *f, uint32_t input, uint32_t partition, uint32_t id, int64_t time_ms)
{
    log_of_one *log = &f->logs[input][partition];
    const uint32_t at = log->count++;
    mr_event event = {.kind = input == CARTS ? MR_EVENT_CART : MR_EVENT_CLICK,
                      .present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time,
                      .user = mr_bytes_text("u"),
                      .item = mr_bytes_text("i"),
                      .time_ms = time_ms};
    mr_writer out = mr_writer_make(log->values[at], VALUE_BYTES);
    mr_frame_put_confluent(&out, id);
    mr_encode_event(&out, &event);
    assert_false(out.full);
    log->sizes[at] = (uint32_t)out.size;
    log->times[at] = time_ms;
    log->ended = false;
}

static void read_all(fixture *f)
{
    static const uint32_t tasks[] = {0, 1};
    static const mr_offset offsets[] = {
        {CLICKS, 0, 0}, {CLICKS, 1, 0}, {CARTS, 0, 0}, {CARTS, 1, 0}};
    mr_error err = {0};
    good(mr_source_assign(f->source, tasks, 2, offsets, 4, &err), &err);
}

static bool pump(fixture *f, int64_t now_ms)
{
    bool moved;
    mr_error err = {0};
    good(mr_source_pump(f->source, now_ms, &moved, &err), &err);
    return moved;
}

// Learns what is ready; the event times of a task's epoch, in order. Returns how many.
static uint32_t learn(fixture *f, int64_t now_ms, uint32_t task, int64_t *times)
{
    mr_epoch epochs[2];
    uint32_t count = 0;
    const uint32_t ready = mr_source_ready(f->source, now_ms, true, epochs);
    for (uint32_t i = 0; i < ready; i++) {
        if (epochs[i].task == task) {
            for (; count < epochs[i].count; count++)
                times[count] = epochs[i].arrivals[count].event.time_ms;
        }
        mr_source_learned(f->source, epochs[i].task);
    }
    return count;
}

static int64_t next_of(const fixture *f, uint32_t input, uint32_t partition)
{
    uint32_t count;
    const mr_offset *offsets = mr_source_offsets(f->source, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (offsets[i].input == input && offsets[i].partition == partition)
            return offsets[i].next;
    }
    return -1;
}

static void a_partition_waits_for_its_schema_and_the_others_go_on(void **state)
{
    fixture *f = *state;
    int64_t times[LOG_MAX];
    f->known[1] = MR_OK;
    f->known[3] = MR_RETRY;
    send(f, CLICKS, 0, 1, 1001);
    send(f, CLICKS, 0, 3, 1002);
    send(f, CLICKS, 0, 1, 1003); // behind one that waits
    send(f, CLICKS, 1, 1, 1004);
    read_all(f);
    assert_true(pump(f, 0));
    assert_int_equal(mr_source_count(f->source)->waiting, 1);
    assert_int_equal(learn(f, 100, 0, times), 1);
    assert_int_equal(times[0], 1001);
    assert_int_equal(next_of(f, CLICKS, 0), 1);
    assert_int_equal(next_of(f, CLICKS, 1), 1);
    for (int i = 0; i < 3; i++) { // nothing is counted, kept or moved by waiting
        assert_false(pump(f, 1000));
        assert_int_equal(learn(f, 1000, 0, times), 0);
        assert_int_equal(next_of(f, CLICKS, 0), 1);
    }
    assert_false(mr_source_at_end(f->source));
    assert_int_equal(mr_source_count(f->source)->records, 2);
    send(f, CLICKS, 1, 1, 1005);
    assert_true(pump(f, 2000));
    assert_int_equal(learn(f, 2000, 1, times), 1);
    f->known[3] = MR_OK;
    assert_true(pump(f, 3000));
    assert_int_equal(mr_source_count(f->source)->waiting, 0);
    assert_int_equal(learn(f, 3000, 0, times), 2);
    assert_int_equal(times[0], 1002);
    assert_int_equal(times[1], 1003);
    assert_int_equal(next_of(f, CLICKS, 0), 3);
    assert_int_equal(mr_source_count(f->source)->refused[MR_CAUSE_unknown_schema], 0);
    pump(f, 4000);
    assert_true(mr_source_at_end(f->source));
}

static void within_a_task_the_others_wait_as_for_a_partition_that_is_behind(void **state)
{
    fixture *f = *state;
    int64_t times[LOG_MAX];
    const int64_t wait_ms = f->config->align_wait_ms;
    f->known[1] = MR_RETRY;
    f->known[2] = MR_OK;
    send(f, CLICKS, 0, 1, 1000);
    send(f, CARTS, 0, 2, 2000);
    read_all(f);
    assert_false(pump(f, 5000));
    assert_false(pump(f, 5000 + wait_ms - 1));
    assert_true(pump(f, 5000 + wait_ms));
    assert_int_equal(learn(f, 6000, 0, times), 1);
    assert_int_equal(times[0], 2000);
}

static void a_schema_that_comes_in_time_changes_no_order(void **state)
{
    fixture *f = *state;
    int64_t times[LOG_MAX];
    f->known[1] = MR_RETRY;
    f->known[2] = MR_OK;
    send(f, CLICKS, 0, 1, 1000);
    send(f, CARTS, 0, 2, 2000);
    read_all(f);
    assert_false(pump(f, 5000));
    f->known[1] = MR_OK;
    assert_true(pump(f, 5001));
    assert_int_equal(learn(f, 5020, 0, times), 2);
    assert_int_equal(times[0], 1000);
    assert_int_equal(times[1], 2000);
}

static void count_refused(void *context, const mr_refused *refused)
{
    assert_int_equal(refused->cause, MR_CAUSE_unknown_schema);
    assert_string_equal(refused->stage, "VALUE_CONVERTER");
    ++*(uint32_t *)context;
}

static void what_is_missing_for_good_is_a_dead_letter_in_its_place(void **state)
{
    fixture *f = *state;
    mr_epoch epochs[2];
    uint32_t refused = 0;
    f->known[1] = MR_OK;
    f->known[3] = MR_RETRY;
    send(f, CLICKS, 0, 3, 1000);
    send(f, CLICKS, 0, 1, 1001);
    read_all(f);
    assert_false(pump(f, 0));
    f->known[3] = MR_REJECT;
    assert_true(pump(f, 1));
    assert_int_equal(mr_source_ready(f->source, 100, true, epochs), 1);
    assert_int_equal(epochs[0].count, 2);
    mr_source_refused(f->source, 0, count_refused, &refused);
    assert_int_equal(refused, 1);
    mr_source_learned(f->source, 0);
    assert_int_equal(next_of(f, CLICKS, 0), 2);
}

static void a_message_that_waits_is_given_back_with_its_partition(void **state)
{
    fixture *f = *state;
    int64_t times[LOG_MAX];
    f->known[1] = MR_RETRY;
    send(f, CLICKS, 0, 1, 1000);
    read_all(f);
    assert_false(pump(f, 0));
    read_all(f); // the group has changed
    f->known[1] = MR_OK;
    assert_true(pump(f, 1));
    assert_int_equal(learn(f, 100, 0, times), 1);
}

// The same with times as some producer's clock says them.
static void send_skewed(fixture *f, int64_t record_ms, int64_t ahead_ms)
{
    send(f, CLICKS, 0, 1, record_ms + ahead_ms);
    f->logs[CLICKS][0].times[f->logs[CLICKS][0].count - 1] = record_ms;
}

static void an_event_of_the_future_gets_the_time_of_its_record_by_choice(void **state)
{
    fixture *f = *state;
    enum { NOW = 1700000000 };
    const int64_t now_ms = NOW * 1000ll, skew_ms = f->config->clock_skew_max;
    int64_t times[8];
    for (int action = MR_SKEW_REFUSE; action <= MR_SKEW_CLAMP; action++) {
        f->config->clock_skew_action = action;
        f->logs[CLICKS][0].count = 0;
        send_skewed(f, now_ms, 0);
        send_skewed(f, now_ms + 1, skew_ms); // as far as is allowed
        send_skewed(f, now_ms + 2, skew_ms + 1);
        send_skewed(f, now_ms + 3, 365 * 86400000ll);
        send_skewed(f, now_ms + 4, -86400000ll); // late, and nobody's business here
        read_all(f);
        while (pump(f, 1))
            continue;
        assert_int_equal(learn(f, 1000, 0, times), 5);
        assert_true(times[0] == now_ms - 86400000ll + 4 && times[1] == now_ms);
        if (action == MR_SKEW_CLAMP) { // in the order of the times that count
            assert_true(times[2] == now_ms + 2 && times[3] == now_ms + 3);
            assert_true(times[4] == now_ms + 1 + skew_ms);
        } else { // the engine refuses them
            assert_true(times[3] == now_ms + 2 + skew_ms + 1);
            assert_true(times[4] == now_ms + 3 + 365 * 86400000ll);
        }
        assert_int_equal(mr_source_count(f->source)->clamped, action == MR_SKEW_CLAMP ? 2 : 0);
    }
}

static void a_finder_that_cannot_go_on_ends_the_worker(void **state)
{
    fixture *f = *state;
    bool moved;
    mr_error err = {0};
    f->known[1] = MR_FATAL;
    send(f, CLICKS, 0, 1, 1000);
    read_all(f);
    assert_int_equal(mr_source_pump(f->source, 0, &moved, &err), MR_FATAL);
    assert_string_equal(err.text, "told to");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_partition_waits_for_its_schema_and_the_others_go_on),
        TEST(within_a_task_the_others_wait_as_for_a_partition_that_is_behind),
        TEST(a_schema_that_comes_in_time_changes_no_order),
        TEST(what_is_missing_for_good_is_a_dead_letter_in_its_place),
        TEST(a_message_that_waits_is_given_back_with_its_partition),
        TEST(an_event_of_the_future_gets_the_time_of_its_record_by_choice),
        TEST(a_finder_that_cannot_go_on_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
