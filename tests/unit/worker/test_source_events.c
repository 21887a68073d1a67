// SPDX-License-Identifier: Apache-2.0
// Records that are several events, or none: how they stand in epochs, and what offsets say then.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/source.h"

enum { RECORDS_MAX = 64, RECORD_BYTES = 8192, EPOCH_EVENTS = 16 };

typedef struct topic { // an intake of one partition
    char values[RECORDS_MAX][RECORD_BYTES];
    uint32_t count, taken, given_back;
    mr_config *config;
    mr_catalog *catalog;
    mr_source *source;
    mr_intake intake;
} topic;

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    (void)context;
    (void)input;
    return partition;
}

static mr_status assign(void *context, const mr_offset *offsets, uint32_t count, mr_error *err)
{
    (void)context;
    (void)offsets;
    (void)count;
    (void)err;
    return MR_OK;
}

static uint32_t no_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message;
    (void)headers;
    (void)max;
    return 0;
}

static uint32_t take(void *context, uint32_t index, mr_message *messages, uint32_t max)
{
    topic *t = context;
    uint32_t count = 0;
    (void)index;
    for (; count < max && t->taken < t->count; count++, t->taken++)
        messages[count] = (mr_message){.value = mr_bytes_text(t->values[t->taken]),
                                       .key = mr_bytes_text("u"),
                                       .offset = t->taken,
                                       .time_ms = 1767225600000,
                                       .headers = no_headers};
    if (count < max) // and the log's end behind them
        messages[count++] = (mr_message){.end = true, .offset = t->count};
    return count;
}

static void give_back(void *context, mr_message *message)
{
    ((topic *)context)->given_back += !message->end;
}

// A record of so many events; 0: the mapping leaves it out. All have the same time.
static void add(topic *t, uint32_t events)
{
    char *const text = t->values[t->count++];
    size_t size = (size_t)snprintf(text, RECORD_BYTES, "{\"kind\":\"%s\",\"acts\":[",
                                   events > 0 ? "view" : "ping");
    for (uint32_t i = 0; i < events; i++)
        size += (size_t)snprintf(text + size, RECORD_BYTES - size, "%s{\"item\":\"%u.%u\"}",
                                 i > 0 ? "," : "", t->count - 1, i);
    snprintf(text + size, RECORD_BYTES - size, "]}");
}

static void open_topic(topic *t)
{
    const char *const sets[] = {"app=t",
                                "epoch.events_max=16",
                                "topics.acts.kind=mapped",
                                "topics.acts.format=json",
                                "topics.acts.mapping.kind=kind view=click",
                                "topics.acts.mapping.each=acts",
                                "topics.acts.mapping.item=acts.item"};
    const mr_config_source source = {.sets = sets, .set_count = 7};
    const uint32_t tasks[] = {0};
    const mr_offset offsets[] = {{.input = 0, .partition = 0, .next = 0}};
    mr_error err = {0};
    memset(t, 0, sizeof *t);
    t->intake = (mr_intake){
        .context = t, .task_of = task_of, .assign = assign, .take = take, .give_back = give_back};
    if (mr_config_load(&t->config, &source, &err) != MR_OK ||
        mr_catalog_open(NULL, &t->catalog, &err) != MR_OK ||
        mr_source_open(t->config, t->catalog, &t->intake, &t->source, &err) != MR_OK ||
        mr_source_assign(t->source, tasks, 1, offsets, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static void close_topic(topic *t)
{
    mr_source_close(t->source);
    mr_catalog_close(t->catalog);
    mr_config_free(t->config);
    assert_int_equal(t->given_back, t->taken);
}

// The next epoch, of as many events, and what the offset is once it was learned.
static mr_epoch next_epoch(topic *t, uint32_t events)
{
    mr_epoch epoch = {.count = 0};
    mr_error err = {0};
    bool moved;
    if (mr_source_pump(t->source, 0, &moved, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(mr_source_ready(t->source, 0, true, &epoch), 1);
    assert_int_equal(epoch.count, events);
    return epoch;
}

static void learned(topic *t, int64_t next)
{
    uint32_t count;
    mr_source_learned(t->source, 0);
    assert_int_equal(mr_source_offsets(t->source, &count)[0].next, next);
}

static void has_item(const mr_epoch *epoch, uint32_t at, const char *item)
{
    if (!mr_bytes_equal(epoch->arrivals[at].event.item, mr_bytes_text(item)))
        fail_msg("event %u: want %s, have %.*s", at, item, (int)epoch->arrivals[at].event.item.size,
                 (const char *)epoch->arrivals[at].event.item.data);
}

static void all_events_of_a_record_stand_in_one_epoch_in_their_order(void **state)
{
    static topic t;
    (void)state;
    open_topic(&t);
    add(&t, 12);
    add(&t, 2);
    add(&t, 3); // for which two places are left
    add(&t, EPOCH_EVENTS);
    mr_epoch epoch = next_epoch(&t, 14);
    has_item(&epoch, 0, "0.0");
    has_item(&epoch, 11, "0.11");
    has_item(&epoch, 12, "1.0");
    has_item(&epoch, 13, "1.1");
    learned(&t, 2);
    epoch = next_epoch(&t, 3);
    has_item(&epoch, 0, "2.0");
    has_item(&epoch, 2, "2.2");
    learned(&t, 3);
    epoch = next_epoch(&t, EPOCH_EVENTS);
    has_item(&epoch, 15, "3.15");
    learned(&t, 4);
    assert_true(mr_source_at_end(t.source));
    close_topic(&t);
}

static void a_record_that_no_epoch_has_room_for_is_refused_once(void **state)
{
    static topic t;
    (void)state;
    open_topic(&t);
    add(&t, 1);
    add(&t, EPOCH_EVENTS + 1);
    add(&t, 1);
    (void)next_epoch(&t, 1); // it could have had room in an empty one
    learned(&t, 1);
    mr_epoch epoch = next_epoch(&t, 2);
    assert_int_equal(epoch.arrivals[0].cause + epoch.arrivals[1].cause, MR_CAUSE_bad_count);
    learned(&t, 3);
    close_topic(&t);
}

static void what_is_left_out_moves_the_offset_and_is_counted(void **state)
{
    static topic t;
    (void)state;
    open_topic(&t);
    for (uint32_t i = 0; i < 3 * EPOCH_EVENTS; i++)
        add(&t, 0);
    add(&t, 1);
    add(&t, 0);
    mr_epoch epoch = next_epoch(&t, 1);
    has_item(&epoch, 0, "48.0");
    learned(&t, 3 * EPOCH_EVENTS + 2);
    assert_int_equal(mr_source_count(t.source)->skipped, 3 * EPOCH_EVENTS + 1);
    add(&t, 0); // an epoch of nothing else
    (void)next_epoch(&t, 0);
    assert_false(mr_source_at_end(t.source));
    learned(&t, 3 * EPOCH_EVENTS + 3);
    assert_true(mr_source_at_end(t.source));
    close_topic(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_events_of_a_record_stand_in_one_epoch_in_their_order),
        cmocka_unit_test(a_record_that_no_epoch_has_room_for_is_refused_once),
        cmocka_unit_test(what_is_left_out_moves_the_offset_and_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
