// SPDX-License-Identifier: Apache-2.0
// The log and the progress line: one line an event, whatever the event is made of.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/log.h"
#include "worker/progress.h"

static int64_t now;

static int64_t clock_ms(void)
{
    return now;
}

typedef struct capture {
    char *text;
    size_t size;
    FILE *out;
} capture;

static void open_log(capture *c, int format, int level, const mr_config_list *debug)
{
    now = 1600000000123;
    c->out = open_memstream(&c->text, &c->size);
    const mr_log_options options = {c->out, format, level, "shop", debug, clock_ms};
    mr_log_open(&options);
}

static void close_log(capture *c)
{
    const mr_log_options options = {.level = MR_LOG_INFO};
    mr_log_open(&options);
    fclose(c->out);
    free(c->text);
}

static void a_text_line_has_time_level_component_and_fields(void **state)
{
    (void)state;
    capture c;
    open_log(&c, MR_LOG_TEXT, MR_LOG_INFO, NULL);
    mr_log(MR_LOG_INFO, "commit", "committed", mr_log_long("seq", -5), mr_log_text("topic", "a.b"),
           mr_log_double("ms", 1.5));
    assert_string_equal(c.text, "2020-09-13T12:26:40.123Z info    commit: committed seq=-5 "
                                "topic=a.b ms=1.5\n");
    close_log(&c);
}

static void a_json_line_has_the_names_of_ecs(void **state)
{
    (void)state;
    capture c;
    open_log(&c, MR_LOG_JSON, MR_LOG_INFO, NULL);
    mr_log(MR_LOG_ERROR, "task", "cannot", mr_log_text("error", "a \"b\"\n\x01"),
           mr_log_double("lag", (double)NAN));
    assert_string_equal(c.text, "{\"@timestamp\":\"2020-09-13T12:26:40.123Z\",\"log.level\":"
                                "\"error\",\"message\":\"cannot\",\"ecs.version\":\"8.11.0\","
                                "\"service.name\":\"shop\",\"event.action\":\"task\","
                                "\"error.message\":\"a \\\"b\\\"\\u000a\\u0001\","
                                "\"millrace.lag\":null}\n");
    close_log(&c);
}

static void bytes_that_are_not_utf8_leave_the_json_valid(void **state)
{
    (void)state;
    capture c;
    open_log(&c, MR_LOG_JSON, MR_LOG_INFO, NULL);
    mr_log(MR_LOG_INFO, "x", "y", mr_log_text("a", "\xc3\xa9"), mr_log_text("b", "\xc3("));
    assert_non_null(strstr(c.text, "\"millrace.a\":\"\xc3\xa9\",\"millrace.b\":\"?(\""));
    close_log(&c);
}

static void a_value_cannot_forge_a_line_or_a_field(void **state)
{
    (void)state;
    capture c;
    open_log(&c, MR_LOG_TEXT, MR_LOG_INFO, NULL);
    mr_log(MR_LOG_INFO, "x", "y", mr_log_text("a", "1\n2020 error x: z b=\"2\""),
           mr_log_text("b", ""));
    assert_non_null(strstr(c.text, " a=\"1\\x0a2020 error x: z b=\\\"2\\\"\" b=\"\"\n"));
    assert_ptr_equal(strchr(c.text, '\n'), c.text + c.size - 1);
    close_log(&c);
}

static void lines_below_the_level_are_left_out_unless_their_component_is_open(void **state)
{
    (void)state;
    const mr_config_list debug = {{"commit"}, 1};
    capture c;
    open_log(&c, MR_LOG_TEXT, MR_LOG_WARNING, &debug);
    mr_log(MR_LOG_INFO, "task", "left out");
    mr_log(MR_LOG_DEBUG, "commit", "written");
    mr_log(MR_LOG_WARNING, "task", "written too");
    assert_null(strstr(c.text, "left out"));
    assert_non_null(strstr(c.text, "debug   commit: written\n"));
    assert_non_null(strstr(c.text, "warning task: written too\n"));
    close_log(&c);
}

static void a_repeated_line_is_limited_and_the_next_says_how_many_were_dropped(void **state)
{
    (void)state;
    capture c;
    open_log(&c, MR_LOG_TEXT, MR_LOG_INFO, NULL);
    for (int i = 0; i < MR_LOG_BURST + 7; i++)
        mr_log(MR_LOG_WARNING, "source", "slow", mr_log_long("i", i));
    mr_log(MR_LOG_WARNING, "source", "another");
    assert_non_null(strstr(c.text, "slow i=9\n"));
    assert_null(strstr(c.text, "slow i=10"));
    assert_non_null(strstr(c.text, "another\n"));
    now += MR_LOG_WINDOW_MS - 1;
    mr_log(MR_LOG_WARNING, "source", "slow", mr_log_long("i", 100));
    assert_null(strstr(c.text, "i=100"));
    now += 1;
    mr_log(MR_LOG_WARNING, "source", "slow", mr_log_long("i", 101));
    assert_non_null(strstr(c.text, "slow i=101 dropped=8\n"));
    close_log(&c);
}

static void a_line_that_is_too_long_is_cut_and_still_ends(void **state)
{
    (void)state;
    capture c;
    char value[3 * MR_LOG_LINE_MAX];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    open_log(&c, MR_LOG_TEXT, MR_LOG_INFO, NULL);
    mr_log(MR_LOG_INFO, "x", "y", mr_log_text("a", value), mr_log_long("b", 1));
    assert_true(c.size <= MR_LOG_LINE_MAX);
    assert_int_equal(c.text[c.size - 1], '\n');
    close_log(&c);
}

static void plain_progress_is_a_line_each_ten_seconds(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    mr_progress progress;
    FILE *out = open_memstream(&text, &size);
    mr_progress_begin(&progress, out, false, "replay", 1000, 5000);
    mr_progress_update(&progress, 200, NULL, 14999);
    assert_int_equal(size, 0);
    mr_progress_update(&progress, 250, NULL, 15000);
    assert_string_equal(text, "replay: [#######.....................]  25.0 %, 250, 25/s, 10s, "
                              "30s left\n");
    mr_progress_update(&progress, 300, NULL, 15001);
    mr_progress_end(&progress, 1000, "good", 25000);
    assert_string_equal(strchr(text, '\n') + 1, "replay: [############################] 100.0 %, "
                                                "1000, 50/s, 20s, good\n");
    fclose(out);
    free(text);
}

static void a_terminal_is_redrawn_ten_times_a_second_at_most(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0, redrawn = 0;
    mr_progress progress;
    FILE *out = open_memstream(&text, &size);
    mr_progress_begin(&progress, out, true, "x", 0, 0);
    for (int64_t ms = 0; ms < 1000; ms++)
        mr_progress_update(&progress, (uint64_t)ms, NULL, ms);
    fflush(out);
    for (size_t i = 0; i < size; i++)
        redrawn += text[i] == '\r';
    assert_int_equal(redrawn, 9);
    assert_null(strchr(text, '\n'));
    mr_progress_end(&progress, 1000, NULL, 3661000);
    assert_non_null(strstr(text, "1000, 0/s, 1h01m\n"));
    fclose(out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_component_and_fields),
        cmocka_unit_test(a_json_line_has_the_names_of_ecs),
        cmocka_unit_test(bytes_that_are_not_utf8_leave_the_json_valid),
        cmocka_unit_test(a_value_cannot_forge_a_line_or_a_field),
        cmocka_unit_test(lines_below_the_level_are_left_out_unless_their_component_is_open),
        cmocka_unit_test(a_repeated_line_is_limited_and_the_next_says_how_many_were_dropped),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_ends),
        cmocka_unit_test(plain_progress_is_a_line_each_ten_seconds),
        cmocka_unit_test(a_terminal_is_redrawn_ten_times_a_second_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
