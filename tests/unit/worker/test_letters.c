// SPDX-License-Identifier: Apache-2.0
// What dead letters say about themselves, and how they are counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/letters.h"

typedef struct sheet { // a message and its headers
    mr_message message;
    mr_header headers[8];
    uint32_t count;
} sheet;

static uint32_t headers_of(const mr_message *message, mr_header *headers, uint32_t max)
{
    const sheet *s = message->handle;
    const uint32_t count = s->count < max ? s->count : max;
    memcpy(headers, s->headers, count * sizeof *headers);
    return count;
}

static void put(sheet *s, const char *name, const char *value)
{
    s->headers[s->count++] = (mr_header){name, mr_bytes_text(value)};
}

static void begin(sheet *s, const char *topic, const char *offset, const char *cause)
{
    memset(s, 0, sizeof *s);
    s->message.headers = headers_of;
    s->message.handle = s;
    put(s, "__connect.errors.topic", topic);
    put(s, "__connect.errors.partition", "3");
    put(s, "__connect.errors.offset", offset);
    put(s, "__connect.errors.exception.class.name", cause);
}

static void a_letter_says_where_it_came_from_and_keeps_its_own_headers(void **state)
{
    static sheet s;
    static mr_letter letter;
    mr_error err;
    (void)state;
    begin(&s, "web.clicks", "9000000000", "truncated");
    put(&s, "__connect.errors.exception.message", "the bytes end");
    put(&s, "trace", "abc");
    s.message.time_ms = 17;
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_OK);
    assert_string_equal(letter.topic, "web.clicks");
    assert_int_equal(letter.partition, 3);
    assert_int_equal(letter.offset, 9000000000);
    assert_string_equal(letter.cause, "truncated");
    assert_string_equal(letter.reason, "the bytes end");
    assert_int_equal(letter.time_ms, 17);
    assert_false(letter.cut);
    assert_int_equal(letter.header_count, 1);
    assert_string_equal(letter.headers[0].name, "trace");
    put(&s, "millrace.errors.value.bytes", "2000000");
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_OK);
    assert_true(letter.cut);
    assert_int_equal(letter.header_count, 1);
}

static void what_is_no_letter_of_ours_is_refused_with_the_header(void **state)
{
    static sheet s;
    static mr_letter letter;
    mr_error err;
    (void)state;
    begin(&s, "clicks", "12x", "truncated");
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_REJECT);
    assert_string_equal(err.text, "header __connect.errors.offset is '12x': want a number");
    begin(&s, "clicks", "-1", "truncated");
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_REJECT);
    begin(&s, "clicks", "12", "truncated");
    s.count--; // no cause
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_REJECT);
    s.count = 0;
    assert_int_equal(mr_letter_read(&s.message, &letter, &err), MR_REJECT);
    assert_non_null(strstr(err.text, "no dead letter of ours"));
}

static void add(mr_letters *letters, const char *topic, const char *cause, int64_t offset,
                int64_t time_ms)
{
    mr_letter letter = {.offset = offset, .time_ms = time_ms};
    snprintf(letter.topic, sizeof letter.topic, "%s", topic);
    snprintf(letter.cause, sizeof letter.cause, "%s", cause);
    mr_letters_add(letters, &letter);
}

static void letters_are_counted_by_cause_and_topic_with_the_newest_of_each(void **state)
{
    mr_letters letters = {.samples_max = 2};
    (void)state;
    letters.groups = calloc(MR_LETTER_GROUPS_MAX, sizeof *letters.groups);
    for (int64_t n = 0; n < 5; n++)
        add(&letters, "clicks", "truncated", n, n == 0 ? 0 : 100 - n);
    add(&letters, "carts", "truncated", 50, 1);
    add(&letters, "carts", "no_user", 51, 2);
    add(&letters, "carts", "no_user", 52, 2);
    mr_letters_sort(&letters);
    assert_int_equal(letters.count, 8);
    assert_int_equal(letters.group_count, 3);
    const mr_letter_group *group = &letters.groups[0];
    assert_int_equal(group->count, 5);
    assert_int_equal(group->first_ms, 96); // one without a time does not count
    assert_int_equal(group->last_ms, 99);
    assert_int_equal(group->samples[mr_letters_sample(&letters, group, 0)].offset, 4);
    assert_int_equal(group->samples[mr_letters_sample(&letters, group, 1)].offset, 3);
    assert_int_equal(mr_letters_sample(&letters, group, 2), UINT32_MAX);
    assert_string_equal(letters.groups[1].cause, "no_user");
    assert_string_equal(letters.groups[2].topic, "carts");
    assert_int_equal(mr_letters_sample(&letters, &letters.groups[2], 1), UINT32_MAX);
    free(letters.groups);
}

static void more_groups_than_there_is_room_for_are_counted_all_the_same(void **state)
{
    mr_letters letters = {.samples_max = 0};
    (void)state;
    letters.groups = calloc(MR_LETTER_GROUPS_MAX, sizeof *letters.groups);
    for (int n = 0; n < MR_LETTER_GROUPS_MAX + 7; n++) {
        char topic[16];
        snprintf(topic, sizeof topic, "t%d", n);
        add(&letters, topic, "truncated", 1, 1);
    }
    assert_int_equal(letters.count, MR_LETTER_GROUPS_MAX + 7);
    assert_int_equal(letters.ungrouped, 7);
    free(letters.groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_says_where_it_came_from_and_keeps_its_own_headers),
        cmocka_unit_test(what_is_no_letter_of_ours_is_refused_with_the_header),
        cmocka_unit_test(letters_are_counted_by_cause_and_topic_with_the_newest_of_each),
        cmocka_unit_test(more_groups_than_there_is_room_for_are_counted_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
