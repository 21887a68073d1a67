// SPDX-License-Identifier: Apache-2.0
// The epoch record of a commit: what is noted is what a reader finds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "schemas/decode.h"
#include "schemas/frame.h"
#include "worker/methods.h"
#include "worker/outputs.h"

typedef struct fixture {
    mr_methods methods;
    mr_config *config;
    mr_catalog *catalog;
    mr_outputs *outputs;
    mr_frozen *frozen;
    mr_epoch_room room;
} fixture;

static void good(mr_status status, const mr_error *err)
{
    if (status != MR_OK)
        fail_msg("%s", err->text);
}

static int setup(void **state)
{
    static const char *const sets[] = {"app=test", "topics.clicks.kind=click",
                                       "outputs.record_bytes_max=100000"};
    static const uint32_t tasks[] = {1, 3};
    mr_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    good(mr_methods_open(&f->methods, &err), &err);
    const mr_config_source source = {.sets = sets,
                                     .set_count = sizeof sets / sizeof sets[0],
                                     .numbers = f->methods.numbers,
                                     .number_count = f->methods.count};
    good(mr_config_load(&f->config, &source, &err), &err);
    good(mr_catalog_open(NULL, &f->catalog, &err), &err);
    good(mr_outputs_open(f->config, f->catalog, 4, &f->outputs, &err), &err);
    good(mr_frozen_open(4 << 20, &f->frozen, &err), &err);
    good(mr_frozen_begin(f->frozen, 1, tasks, 2, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_epoch_room_free(&f->room);
    mr_frozen_close(f->frozen);
    mr_outputs_close(f->outputs);
    mr_catalog_close(f->catalog);
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    free(f);
    return 0;
}

static const mr_sequence marks[] = {{1, 70}, {3, 90}}, links[] = {{0, 5}, {2, 6}},
                         before[] = {{2, 30}, {0, 31}}, at_close[] = {{0, 32}};
static const mr_state_hash hashes[] = {{1, {11, 12}}, {3, {13, 14}}};

static mr_epoch_record commit_of(void)
{
    return (mr_epoch_record){.time_ms = 6000,
                             .marks = marks,
                             .mark_count = 2,
                             .state_hashes = hashes,
                             .state_hash_count = 2,
                             .views = at_close,
                             .view_count = 1,
                             .history = {21, 22},
                             .instance = mr_bytes_text("w0"),
                             .engine = UINT64_MAX,
                             .commit = 9};
}

// The only record of the frozen, without its frame.
static mr_bytes payload_of(const fixture *f)
{
    uint32_t count;
    mr_frame frame;
    mr_error err = {0};
    const mr_record *records = mr_frozen_records(f->frozen, &count);
    assert_int_equal(count, 1);
    assert_int_equal(records[0].topic, MR_TOPIC_EPOCHS);
    assert_int_equal(records[0].partition, 1);
    good(mr_frame_read(MR_FRAMING_SINGLE_OBJECT, records[0].value, (mr_bytes){NULL, 0}, &frame,
                       &err),
         &err);
    return frame.payload;
}

static void note(fixture *f)
{
    const mr_next_offset offsets[] = {{mr_bytes_text("clicks"), 1, 1000},
                                      {mr_bytes_text("test.item-deltas"), 1, 20}};
    mr_outputs_round(f->outputs, NULL, 0);
    mr_outputs_epoch(f->outputs,
                     &(mr_task_epoch){.task = 1, .offsets = offsets, .offset_count = 2});
    mr_outputs_round(f->outputs, before, 2);
    mr_outputs_epoch(f->outputs, &(mr_task_epoch){.task = 1,
                                                  .epoch = 1,
                                                  .clock_ms = 5000,
                                                  .offsets = offsets,
                                                  .offset_count = 1,
                                                  .links = links,
                                                  .link_count = 2});
    mr_outputs_epoch(f->outputs, &(mr_task_epoch){
                                     .task = 3, .epoch = 8, .clock_ms = 6000, .tick_ms = 6000});
    const mr_epoch_record commit = commit_of();
    mr_outputs_put_epochs(f->outputs, f->frozen, &commit);
}

static void same_sequences(const mr_sequence *got, uint32_t count, const mr_sequence *want,
                           uint32_t want_count)
{
    assert_int_equal(count, want_count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(got[i].of, want[i].of);
        assert_int_equal(got[i].sequence, want[i].sequence);
    }
}

static void an_epoch_record_is_read_back_as_it_was_noted(void **state)
{
    fixture *f = *state;
    mr_epoch_record record;
    mr_error err = {0};
    note(f);
    good(mr_decode_epoch(payload_of(f), &f->room, &record, &err), &err);
    assert_int_equal(record.time_ms, 6000);
    assert_true(record.configuration.low == mr_config_hash(f->config));
    same_sequences(record.marks, record.mark_count, marks, 2);
    same_sequences(record.views, record.view_count, at_close, 1);
    assert_int_equal(record.state_hash_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(record.state_hashes[i].task, hashes[i].task);
        assert_true(record.state_hashes[i].hash.low == hashes[i].hash.low &&
                    record.state_hashes[i].hash.high == hashes[i].hash.high);
    }
    assert_int_equal(record.history.high, 22);
    assert_true(mr_bytes_equal(record.instance, mr_bytes_text("w0")));
    assert_true(record.engine == UINT64_MAX && record.commit == 9);
    assert_int_equal(record.round_count, 2);
    const mr_round *rounds = record.rounds;
    assert_int_equal(rounds[0].epoch_count, 1);
    assert_int_equal(rounds[0].epochs[0].epoch, 0);
    assert_int_equal(rounds[0].epochs[0].offset_count, 2);
    same_sequences(rounds[1].views, rounds[1].view_count, before, 2);
    assert_int_equal(rounds[1].epoch_count, 2);
    const mr_task_epoch *epochs = rounds[1].epochs;
    same_sequences(epochs[0].links, epochs[0].link_count, links, 2);
    assert_int_equal(epochs[0].offsets[0].offset, 1000);
    assert_true(mr_bytes_equal(epochs[0].offsets[0].topic, mr_bytes_text("clicks")));
    assert_int_equal(epochs[1].task, 3);
    assert_int_equal(epochs[1].epoch, 8);
    assert_int_equal(epochs[1].tick_ms, 6000);
    assert_int_equal(epochs[1].offset_count, 0);
}

static void a_record_that_is_cut_or_damaged_is_refused_and_never_read_beyond(void **state)
{
    fixture *f = *state;
    mr_epoch_record record;
    mr_error err;
    note(f);
    const mr_bytes whole = payload_of(f);
    for (uint32_t size = 0; size < whole.size; size++) {
        uint8_t *cut = malloc(size + 1); // so that a sanitizer sees what is behind it
        memcpy(cut, whole.data, size);
        assert_int_equal(mr_decode_epoch(mr_bytes_of(cut, size), &f->room, &record, &err),
                         MR_REJECT);
        free(cut);
    }
    uint8_t *damaged = malloc(whole.size);
    for (uint32_t at = 0; at < whole.size * 8; at++) {
        memcpy(damaged, whole.data, whole.size);
        damaged[at / 8] ^= (uint8_t)(1u << at % 8);
        (void)!mr_decode_epoch(mr_bytes_of(damaged, whole.size), &f->room, &record, &err);
    }
    free(damaged);
}

static void rounds_that_were_rolled_back_leave_nothing(void **state)
{
    fixture *f = *state;
    mr_epoch_record record;
    mr_error err = {0};
    mr_outputs_round(f->outputs, before, 2);
    mr_outputs_epoch(f->outputs, &(mr_task_epoch){.task = 1, .epoch = 7});
    mr_outputs_forget(f->outputs);
    note(f);
    good(mr_decode_epoch(payload_of(f), &f->room, &record, &err), &err);
    assert_int_equal(record.round_count, 2);
    assert_int_equal(record.rounds[1].epochs[0].epoch, 1);
}

static void the_journal_is_full_before_the_record_is_larger_than_brokers_take(void **state)
{
    fixture *f = *state;
    const mr_next_offset offset = {mr_bytes_text("clicks"), INT32_MAX, INT64_MAX};
    const mr_sequence wide = {INT32_MAX, INT64_MAX};
    const mr_epoch_record commit = commit_of();
    uint32_t rounds = 0, count;
    assert_true(mr_outputs_has_room(f->outputs, 4000, 16000, 16)); // one round always has a place
    for (; mr_outputs_has_room(f->outputs, 1, 1, 2); rounds++) {
        mr_outputs_round(f->outputs, &wide, 1);
        mr_outputs_epoch(f->outputs, &(mr_task_epoch){.task = INT32_MAX,
                                                      .epoch = INT64_MAX,
                                                      .clock_ms = INT64_MAX,
                                                      .tick_ms = INT64_MAX,
                                                      .offsets = &offset,
                                                      .offset_count = 1,
                                                      .links = &wide,
                                                      .link_count = 1});
    }
    assert_in_range(rounds, 300, 4096);
    mr_outputs_put_epochs(f->outputs, f->frozen, &commit);
    assert_int_equal(mr_outputs_too_large(f->outputs), 0);
    (void)mr_frozen_records(f->frozen, &count);
    assert_int_equal(count, 1);
    assert_true(mr_outputs_has_room(f->outputs, 1, 1, 2));
}

static void records_are_framed_by_the_id_that_their_schema_was_given(void **state)
{
    fixture *f = *state;
    uint32_t count;
    mr_frame frame;
    mr_error err = {0};
    const mr_bytes none = {NULL, 0};
    const mr_metric metric = {.name = "m", .task = -1, .epoch = -1, .count = -1};
    mr_outputs_metric(f->outputs, f->frozen, &metric);
    mr_outputs_number(f->outputs, MR_TOPIC_METRICS, 0x01020304);
    mr_outputs_number(f->outputs, MR_TOPIC_ITEMS, 9);
    mr_outputs_metric(f->outputs, f->frozen, &metric);
    mr_outputs_item(f->outputs, f->frozen, &(mr_told){.item = mr_bytes_text("i")}, 5);
    note(f);
    const mr_record *records = mr_frozen_records(f->frozen, &count);
    assert_int_equal(count, 4);
    good(mr_frame_read(MR_FRAMING_SINGLE_OBJECT, records[0].value, none, &frame, &err), &err);
    const mr_bytes body = frame.payload;
    good(mr_frame_read(MR_FRAMING_CONFLUENT, records[1].value, none, &frame, &err), &err);
    assert_int_equal(frame.id, 0x01020304);
    assert_true(mr_bytes_equal(frame.payload, body));
    good(mr_frame_read(MR_FRAMING_CONFLUENT, records[2].value, none, &frame, &err), &err);
    assert_int_equal(frame.id, 9);
    // What is run again must need no registry.
    good(mr_frame_read(MR_FRAMING_SINGLE_OBJECT, records[3].value, none, &frame, &err), &err);
    assert_null(mr_outputs_schema(MR_TOPIC_EPOCHS));
    assert_null(mr_outputs_schema(MR_TOPIC_USER_ROWS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_epoch_record_is_read_back_as_it_was_noted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_record_that_is_cut_or_damaged_is_refused_and_never_read_beyond, setup, teardown),
        cmocka_unit_test_setup_teardown(rounds_that_were_rolled_back_leave_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            the_journal_is_full_before_the_record_is_larger_than_brokers_take, setup, teardown),
        cmocka_unit_test_setup_teardown(records_are_framed_by_the_id_that_their_schema_was_given,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
