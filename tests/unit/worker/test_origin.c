// SPDX-License-Identifier: Apache-2.0
// Where a repartitioned record comes from, as its header says it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "worker/origin.h"

static void an_origin_is_read_as_it_was_written(void **state)
{
    (void)state;
    char text[MR_ORIGIN_BYTES_MAX];
    mr_origin origin;
    const mr_origin plain = {.topic = mr_bytes_text("web.clicks"), .partition = 2, .offset = 10534};
    assert_int_equal(mr_origin_write(&plain, text), strlen("web.clicks 2 10534 0"));
    assert_string_equal(text, "web.clicks 2 10534 0");
    const mr_origin refused = {.topic = mr_bytes_text("a"),
                               .partition = INT32_MAX,
                               .offset = INT64_MAX,
                               .time_ms = -1,
                               .cause = MR_CAUSE_bad_utf8,
                               .reason = mr_bytes_text("field 'user': a text  of two spaces")};
    const uint32_t size = mr_origin_write(&refused, text);
    assert_true(mr_origin_read(mr_bytes_of(text, size), &origin));
    assert_true(mr_bytes_equal(origin.topic, refused.topic));
    assert_int_equal(origin.partition, INT32_MAX);
    assert_true(origin.offset == INT64_MAX && origin.time_ms == -1);
    assert_int_equal(origin.cause, MR_CAUSE_bad_utf8);
    assert_true(mr_bytes_equal(origin.reason, refused.reason));
}

static void an_origin_that_is_too_long_loses_the_end_of_its_reason(void **state)
{
    (void)state;
    char topic[250], reason[MR_ORIGIN_BYTES_MAX], text[MR_ORIGIN_BYTES_MAX];
    memset(topic, 't', 249);
    topic[249] = '\0';
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    mr_origin origin = {.topic = mr_bytes_text(topic),
                        .partition = INT32_MAX,
                        .offset = INT64_MAX,
                        .time_ms = INT64_MIN + 1,
                        .cause = MR_CAUSE_unsuitable_schema,
                        .reason = mr_bytes_text(reason)};
    const uint32_t size = mr_origin_write(&origin, text);
    assert_int_equal(size, MR_ORIGIN_BYTES_MAX - 1);
    assert_true(mr_origin_read(mr_bytes_of(text, size), &origin));
    assert_int_equal(origin.cause, MR_CAUSE_unsuitable_schema);
}

static void damaged_origins_are_refused(void **state)
{
    (void)state;
    mr_origin origin;
    const char *const bad[] = {"",
                               " ",
                               "t",
                               "t 1",
                               "t 1 2",
                               "t -1 2 3",
                               "t 1 -2 3",
                               "t 1 2 x",
                               "t 1 2 3 x",
                               "t 1 2 3 no_such_cause why",
                               "t 2147483648 2 3",
                               "t 1 9223372036854775808 3",
                               "t 1 2 -",
                               " 1 2 3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(mr_origin_read(mr_bytes_text(bad[i]), &origin));
    assert_false(mr_origin_read((mr_bytes){NULL, 0}, &origin));
    // Every prefix of a good one is read without harm.
    const char *const good = "t 1 2 3 no_user why";
    for (uint32_t size = 0; size <= strlen(good); size++)
        (void)mr_origin_read(mr_bytes_of(good, size), &origin);
}

static const char *header_text;

static uint32_t one_header(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message, (void)max;
    if (header_text == NULL)
        return 0;
    headers[0] = (mr_header){MR_ORIGIN_HEADER, mr_bytes_text(header_text)};
    return 1;
}

static void a_copy_becomes_the_record_of_its_source_again(void **state)
{
    static const char *const sets[] = {"app=t", "topics.clicks.kind=click",
                                       "topics.orders.kind=click",
                                       "topics.orders.repartition=true",
                                       "topics.views.kind=click", "topics.views.repartition=true"};
    const mr_config_source source = {.sets = sets, .set_count = sizeof sets / sizeof sets[0]};
    (void)state;
    mr_config *config;
    mr_error err = {0};
    if (mr_config_load(&config, &source, &err) != MR_OK)
        fail_msg("%s", err.text);
    mr_rerouted rerouted;
    mr_message message = {.partition = 3, .offset = 900, .time_ms = 5, .headers = one_header};
    header_text = "views 1 17 1234";
    mr_origin_restore(config, &message, &rerouted);
    assert_int_equal(rerouted.input, 2);
    assert_int_equal(rerouted.offset, 900);
    assert_int_equal(rerouted.cause, MR_CAUSE_NONE);
    assert_int_equal(message.partition, 1);
    assert_int_equal(message.offset, 17);
    assert_int_equal(message.time_ms, 1234);
    assert_int_equal(message.headers_first, 1);

    // One that says nothing of use stays where it is, refused.
    const char *const useless[] = {NULL, "views 1 17", "gone 1 17 1234"};
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        header_text = useless[i];
        message = (mr_message){.partition = 3, .offset = 900, .time_ms = 5, .headers = one_header};
        mr_origin_restore(config, &message, &rerouted);
        assert_int_equal(rerouted.input, mr_config_repartition(config));
        assert_int_equal(rerouted.cause, MR_CAUSE_no_origin);
        assert_int_equal(message.partition, 3);
        assert_int_equal(message.offset, 900);
        assert_int_equal(message.headers_first, 0);
    }
    mr_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_read_as_it_was_written),
        cmocka_unit_test(an_origin_that_is_too_long_loses_the_end_of_its_reason),
        cmocka_unit_test(damaged_origins_are_refused),
        cmocka_unit_test(a_copy_becomes_the_record_of_its_source_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
