// SPDX-License-Identifier: Apache-2.0
// Each way in which an event can be meaningless is named; the edges are on the right side.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "core/ingest/ingest.h"

static const mr_ingest_limits limits = {16, 8, 1000, 3, {NULL, 0}};
static mr_line lines[2];

static mr_arrival good(mr_event_kind kind)
{
    mr_arrival arrival = {.record_ms = 1700000000000};
    mr_event *event = &arrival.event;
    event->kind = kind;
    event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time;
    event->user = mr_bytes_text("anna");
    event->item = mr_bytes_text("bread");
    event->time_ms = arrival.record_ms;
    event->action = mr_bytes_text("mute");
    event->target = mr_bytes_text("baking");
    event->present |= 1u << MR_FIELD_target;
    event->lines = lines;
    lines[0] = (mr_line){mr_bytes_text("bread"), 1, 2, 0.5};
    lines[1] = (mr_line){mr_bytes_text("milk"), 2, 1, NAN};
    event->line_count = kind == MR_EVENT_PURCHASE || kind == MR_EVENT_IMPRESSION ? 2 : 0;
    return arrival;
}

static void refused(const mr_arrival *arrival, mr_cause cause, const char *says)
{
    mr_error err = {0};
    assert_int_equal(mr_ingest_check(arrival, &limits, &err), MR_REJECT);
    assert_int_equal(err.cause, cause);
    assert_non_null(strstr(err.text, says));
}

static void taken(const mr_arrival *arrival)
{
    mr_error err = {0};
    assert_int_equal(mr_ingest_check(arrival, &limits, &err), MR_OK);
}

static void good_events_are_taken(void **state)
{
    (void)state;
    for (int kind = 0; kind < MR_EVENT_KIND_COUNT; kind++) {
        const mr_arrival arrival = good((mr_event_kind)kind);
        taken(&arrival);
    }
}

static void ids_must_be_there_and_fit(void **state)
{
    (void)state;
    mr_arrival a = good(MR_EVENT_CLICK);
    a.event.user = (mr_bytes){NULL, 0};
    refused(&a, MR_CAUSE_no_user, "'user' is empty");
    a = good(MR_EVENT_CLICK);
    a.event.present &= ~(1u << MR_FIELD_item);
    refused(&a, MR_CAUSE_no_item, "'item' is absent");
    a = good(MR_EVENT_CLICK);
    a.event.user = mr_bytes_text("0123456789abcdef");
    taken(&a);
    a.event.user = mr_bytes_text("0123456789abcdefg");
    refused(&a, MR_CAUSE_id_too_long, "17 bytes: at most 16");
}

static void times_must_make_sense(void **state)
{
    (void)state;
    mr_arrival a = good(MR_EVENT_CLICK);
    a.event.time_ms = 1700000000; // seconds
    refused(&a, MR_CAUSE_bad_time, "milliseconds");
    a.event.time_ms = a.record_ms + 1000;
    taken(&a);
    a.event.time_ms = a.record_ms + 1001;
    refused(&a, MR_CAUSE_bad_time, "clock.skew_max");
    a.event.time_ms = 4102444800000; // 2100
    refused(&a, MR_CAUSE_bad_time, "ahead");
    a.event.time_ms = INT64_MIN;
    refused(&a, MR_CAUSE_bad_time, "1990");
    a.event.time_ms = MR_TIME_MIN_MS;
    taken(&a);
}

static void numbers_must_be_numbers(void **state)
{
    (void)state;
    mr_arrival a = good(MR_EVENT_RATING);
    a.event.present |= 1u << MR_FIELD_value;
    a.event.value = NAN;
    refused(&a, MR_CAUSE_not_finite, "'value' is NaN");
    a = good(MR_EVENT_PURCHASE);
    lines[1].price = INFINITY;
    refused(&a, MR_CAUSE_not_finite, "entry 1");
    a = good(MR_EVENT_PURCHASE);
    lines[0].quantity = -1; // a refund
    taken(&a);
    a = good(MR_EVENT_IMPRESSION);
    lines[0].quantity = -1;
    refused(&a, MR_CAUSE_out_of_range, "entry 0");
    a = good(MR_EVENT_CART);
    a.event.present |= 1u << MR_FIELD_quantity;
    a.event.quantity = -1;
    refused(&a, MR_CAUSE_out_of_range, "'quantity' is -1: want 0");
    a = good(MR_EVENT_CLICK);
    a.event.present |= 1u << MR_FIELD_propensity;
    a.event.propensity = 1.5;
    refused(&a, MR_CAUSE_out_of_range, "want 0 to 1");
}

static void purchases_and_impressions_need_items(void **state)
{
    (void)state;
    mr_arrival a = good(MR_EVENT_PURCHASE);
    a.event.line_count = 0;
    taken(&a); // one item instead of lines
    a.event.item = (mr_bytes){NULL, 0};
    refused(&a, MR_CAUSE_no_lines, "'lines'");
    a = good(MR_EVENT_IMPRESSION);
    a.event.line_count = 0;
    refused(&a, MR_CAUSE_no_lines, "'lines'");
    a = good(MR_EVENT_IMPRESSION);
    lines[1].item = mr_bytes_text("");
    refused(&a, MR_CAUSE_no_item, "'lines', entry 1");
}

static void actions_of_controls_must_be_known(void **state)
{
    (void)state;
    mr_arrival a = good(MR_EVENT_CONTROL);
    taken(&a);
    a.event.action = mr_bytes_text("mutes");
    refused(&a, MR_CAUSE_unknown_action, "'mutes': want more, less");
    a.event.action = (mr_bytes){NULL, 0};
    refused(&a, MR_CAUSE_unknown_action, "''");
}

static void catalogue_vectors_must_be_finite(void **state)
{
    (void)state;
    float vector[3] = {1, NAN, 2};
    mr_arrival a = good(MR_EVENT_CATALOGUE);
    a.event.vector = vector;
    a.event.vector_count = 3;
    refused(&a, MR_CAUSE_not_finite, "entry 1");
    vector[1] = 0;
    taken(&a);
    a.event.present |= 1u << MR_FIELD_vector;
    taken(&a);
    a.event.vector_count = 2;
    refused(&a, MR_CAUSE_vector_length, "has 2 numbers: want 3");
}

static void catalogue_vectors_must_be_of_the_model_that_is_asked_for(void **state)
{
    (void)state;
    static const mr_ingest_limits asked = {8, 8, 300000, 0, {(const uint8_t *)"e5 v2", 5}};
    float vector[1] = {1};
    mr_error err;
    mr_arrival a = good(MR_EVENT_CATALOGUE);
    a.event.vector = vector;
    a.event.vector_count = 1;
    assert_int_equal(mr_ingest_check(&a, &asked, &err), MR_OK); // no vector: nothing is asked
    a.event.present |= 1u << MR_FIELD_vector;
    assert_int_equal(mr_ingest_check(&a, &asked, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_vector_model);
    assert_non_null(strstr(err.text, "'vector_model' is '': want 'e5 v2' (items.vector_model)"));
    a.event.context[0] = (mr_pair){mr_bytes_text("vector_model"), mr_bytes_text("e5 v1")};
    a.event.context_count = 1;
    assert_int_equal(mr_ingest_check(&a, &asked, &err), MR_REJECT);
    assert_non_null(strstr(err.text, "'e5 v1': want 'e5 v2'"));
    a.event.context[0].value = mr_bytes_text("e5 v2");
    assert_int_equal(mr_ingest_check(&a, &asked, &err), MR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_events_are_taken),
        cmocka_unit_test(ids_must_be_there_and_fit),
        cmocka_unit_test(times_must_make_sense),
        cmocka_unit_test(numbers_must_be_numbers),
        cmocka_unit_test(purchases_and_impressions_need_items),
        cmocka_unit_test(actions_of_controls_must_be_known),
        cmocka_unit_test(catalogue_vectors_must_be_finite),
        cmocka_unit_test(catalogue_vectors_must_be_of_the_model_that_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
