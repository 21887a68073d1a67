// SPDX-License-Identifier: Apache-2.0
// Trace context: which texts are one, the span of a list, and who waits with what.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/trace.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static mr_trace trace_of(const char *text)
{
    mr_trace trace;
    assert_true(mr_trace_read(mr_bytes_text(text), &trace));
    return trace;
}

static void a_traceparent_is_read_and_written(void **state)
{
    (void)state;
    char text[MR_TRACE_TEXT_BYTES];
    mr_trace trace = trace_of(GOOD);
    assert_true(trace.sampled);
    assert_int_equal(trace.trace[0], 0x0a);
    assert_int_equal(trace.span[7], 0x31);
    mr_trace_write(&trace, text);
    assert_memory_equal(text, GOOD, sizeof text);
    trace = trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    assert_false(trace.sampled);
    trace.sampled = true;
    mr_trace_write(&trace, text);
    assert_memory_equal(text, GOOD, sizeof text);
    // Other flags are not ours to pass on.
    assert_false(trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-f2").sampled);
}

static void a_later_version_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    assert_true(trace_of("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").sampled);
    (void)trace_of("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-else-there-is");
}

static void what_the_specification_forbids_is_no_trace(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        GOOD "-00", // of version 00 there is no more
        GOOD "0",
        // Of a later one more begins with a dash.
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333 -01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        " " GOOD,
    };
    mr_trace trace;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mr_trace_read(mr_bytes_text(bad[i]), &trace))
            fail_msg("'%s' was read", bad[i]);
    assert_false(mr_trace_read((mr_bytes){NULL, 0}, &trace));
}

// Every byte of the header is changed to any other, and the end is cut, in a block of its exact
// size, so that a read beyond it is found where memory is checked.
static void any_bytes_may_be_asked(void **state)
{
    (void)state;
    mr_trace trace;
    for (size_t size = 0; size <= MR_TRACE_TEXT_BYTES; size++) {
        uint8_t *text = malloc(size + (size == 0));
        assert_non_null(text);
        memcpy(text, GOOD, size);
        assert_int_equal(mr_trace_read(mr_bytes_of(text, size), &trace),
                         size == MR_TRACE_TEXT_BYTES);
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                char again[MR_TRACE_TEXT_BYTES];
                text[at] = (uint8_t)byte;
                if (!mr_trace_read(mr_bytes_of(text, size), &trace) || at < 2 || at > 52)
                    continue;
                mr_trace_write(&trace, again); // what is read is what is written
                assert_memory_equal(again, text, size);
            }
            text[at] = (uint8_t)GOOD[at];
        }
        free(text);
    }
}

static void a_list_has_a_span_of_its_own_that_follows_from_what_it_is(void **state)
{
    (void)state;
    const mr_trace cause = trace_of(GOOD);
    const mr_bytes anna = mr_bytes_text("anna"), bert = mr_bytes_text("bert");
    const mr_trace list = mr_trace_of_list(&cause, anna, 7);
    const mr_trace again = mr_trace_of_list(&cause, anna, 7);
    const mr_trace next = mr_trace_of_list(&cause, anna, 8);
    const mr_trace other = mr_trace_of_list(&cause, bert, 7);
    assert_memory_equal(list.trace, cause.trace, sizeof list.trace);
    assert_true(list.sampled);
    assert_memory_equal(list.span, again.span, sizeof list.span);
    assert_memory_not_equal(list.span, cause.span, sizeof list.span);
    assert_memory_not_equal(list.span, next.span, sizeof list.span);
    assert_memory_not_equal(list.span, other.span, sizeof list.span);
}

static mr_traces *open_traces(void)
{
    mr_traces *traces;
    mr_error err;
    assert_int_equal(mr_traces_open(&traces, &err), MR_OK);
    return traces;
}

static void note(mr_traces *traces, uint32_t task, uint32_t user, uint32_t span)
{
    char name[16], text[64];
    snprintf(name, sizeof name, "u%u", user);
    snprintf(text, sizeof text, "00-0af7651916cd43dd8448eb211c80319c-%016x-01", span);
    mr_traces_note(traces, task, mr_bytes_text(name), mr_bytes_text(text));
}

// 0: there is none.
static uint32_t take(mr_traces *traces, uint32_t user)
{
    char name[16];
    mr_trace trace;
    snprintf(name, sizeof name, "u%u", user);
    if (!mr_traces_take(traces, mr_bytes_text(name), &trace))
        return 0;
    return (uint32_t)trace.span[4] << 24 | (uint32_t)trace.span[5] << 16 |
           (uint32_t)trace.span[6] << 8 | trace.span[7];
}

static void a_list_takes_the_newest_trace_of_its_user_once(void **state)
{
    (void)state;
    mr_traces *traces = open_traces();
    note(traces, 0, 1, 10);
    note(traces, 0, 2, 20);
    note(traces, 0, 1, 11);
    assert_int_equal(take(traces, 3), 0);
    assert_int_equal(take(traces, 1), 11);
    assert_int_equal(take(traces, 1), 0);
    mr_traces_drop(traces, mr_bytes_text("u2")); // his list is the one that he has
    mr_traces_drop(traces, mr_bytes_text("u9"));
    assert_int_equal(take(traces, 2), 0);
    mr_traces_note(traces, 0, mr_bytes_text("u1"), mr_bytes_text("no trace"));
    assert_int_equal(take(traces, 1), 0);
    assert_int_equal(mr_traces_count(traces)->carried, 1);
    assert_int_equal(mr_traces_count(traces)->malformed, 1);
    assert_int_equal(mr_traces_count(traces)->left_out, 0);
    mr_traces_close(traces);
}

static void a_task_that_goes_takes_its_traces_along(void **state)
{
    (void)state;
    mr_traces *traces = open_traces();
    for (uint32_t user = 1; user <= 1000; user++)
        note(traces, user % 3, user, user);
    mr_traces_release(traces, 1);
    for (uint32_t user = 1; user <= 500; user++)
        assert_int_equal(take(traces, user), user % 3 == 1 ? 0 : user);
    mr_traces_clear(traces);
    for (uint32_t user = 501; user <= 1000; user++)
        assert_int_equal(take(traces, user), 0);
    mr_traces_close(traces);
}

static void who_finds_no_room_goes_without(void **state)
{
    (void)state;
    mr_traces *traces = open_traces();
    for (uint32_t user = 1; user <= MR_TRACES_MAX + 5; user++)
        note(traces, 0, user, user);
    assert_int_equal(mr_traces_count(traces)->left_out, 5);
    note(traces, 0, 1, 4242); // he has a place
    assert_int_equal(mr_traces_count(traces)->left_out, 5);
    assert_int_equal(take(traces, MR_TRACES_MAX + 1), 0);
    assert_int_equal(take(traces, 1), 4242);
    note(traces, 0, MR_TRACES_MAX + 1, 7);
    assert_int_equal(take(traces, MR_TRACES_MAX + 1), 7);
    mr_traces_close(traces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read_and_written),
        cmocka_unit_test(a_later_version_is_read_as_far_as_it_is_known),
        cmocka_unit_test(what_the_specification_forbids_is_no_trace),
        cmocka_unit_test(any_bytes_may_be_asked),
        cmocka_unit_test(a_list_has_a_span_of_its_own_that_follows_from_what_it_is),
        cmocka_unit_test(a_list_takes_the_newest_trace_of_its_user_once),
        cmocka_unit_test(a_task_that_goes_takes_its_traces_along),
        cmocka_unit_test(who_finds_no_room_goes_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
