// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/methods.h"
#include "worker/sweep/space.h"

typedef struct fixture {
    mr_methods methods;
    mr_config *config;
    mr_space space;
} fixture;

static int setup(void **state)
{
    mr_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(mr_methods_open(&f->methods, &err), MR_OK);
    const mr_config_source source = {.numbers = f->methods.numbers,
                                     .number_count = f->methods.count};
    assert_int_equal(mr_config_load(&f->config, &source, &err), MR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    mr_config_free(f->config);
    mr_methods_close(&f->methods);
    free(f);
    return 0;
}

static void add(fixture *f, const char *text)
{
    mr_error err = {0};
    if (mr_space_add(&f->space, f->config, text, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static void refused(fixture *f, const char *text, const char *why)
{
    mr_error err = {0};
    assert_int_equal(mr_space_add(&f->space, f->config, text, &err), MR_FATAL);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: '%s', want '%s'", text, err.text, why);
}

static void every_combination_of_values_comes_once(void **state)
{
    fixture *f = *state;
    char sets[MR_SPACE_KEYS_MAX][MR_SPACE_TEXT_MAX];
    char seen[6][2 * MR_SPACE_TEXT_MAX];
    add(f, "lists.k=10,20,50");
    add(f, "models.off=embedding|covisit,embedding");
    assert_int_equal(mr_space_combinations(&f->space), 6);
    assert_false(mr_space_has_range(&f->space));
    for (uint32_t i = 0; i < 6; i++) {
        mr_space_combination(&f->space, i, sets);
        snprintf(seen[i], sizeof seen[i], "%s %s", sets[0], sets[1]);
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
    }
    assert_string_equal(seen[0], "lists.k=10 models.off=embedding");
    assert_string_equal(seen[5], "lists.k=50 models.off=covisit,embedding");
}

static void samples_stay_in_their_ranges_and_come_again_by_the_seed(void **state)
{
    fixture *f = *state;
    char sets[MR_SPACE_KEYS_MAX][MR_SPACE_TEXT_MAX], again[MR_SPACE_KEYS_MAX][MR_SPACE_TEXT_MAX];
    uint32_t low = 0, other = 0;
    add(f, "models.covisit.shrink=0.01..100:log");
    add(f, "epoch.interval_ms=5ms..100ms");
    add(f, "lists.k=10,20");
    assert_true(mr_space_has_range(&f->space));
    for (uint32_t i = 0; i < 400; i++) {
        double shrink;
        int interval, k;
        mr_space_sample(&f->space, 1, i, sets);
        mr_space_sample(&f->space, 1, i, again);
        assert_int_equal(sscanf(sets[0], "models.covisit.shrink=%lf", &shrink), 1);
        assert_int_equal(sscanf(sets[1], "epoch.interval_ms=%dms", &interval), 1);
        assert_int_equal(sscanf(sets[2], "lists.k=%d", &k), 1);
        assert_true(shrink >= .01 && shrink <= 100);
        assert_in_range(interval, 5, 100);
        assert_true(k == 10 || k == 20);
        low += shrink < 1; // half of the range by its logarithm
        for (uint32_t key = 0; key < 3; key++)
            assert_string_equal(sets[key], again[key]);
        mr_space_sample(&f->space, 2, i, again);
        other += strcmp(sets[0], again[0]) != 0;
    }
    assert_in_range(low, 150, 250);
    assert_true(other > 390);
}

static void keys_that_would_give_branches_other_inputs_are_refused(void **state)
{
    fixture *f = *state;
    refused(f, "replay.tasks=4,8", "split into tasks");
    refused(f, "lanes=1,2", "changes no list");
    refused(f, "models.covisit.shrnk=1,2", "unknown key");
    refused(f, "lists.k", "want key=a,b,c");
    refused(f, "lists.seen=a..b", "no number");
    refused(f, "lists.k=20..10", "lo below hi");
    refused(f, "lists.k=10..20:lin", ":lin");
    refused(f, "lists.k=10..900", "to 500");
    refused(f, "lists.explore=0..1:log", "more than 0");
    add(f, "lists.k=10,20");
    refused(f, "lists.k=30", "twice");
    assert_int_equal(f->space.key_count, 1);
}

static void a_file_has_a_key_a_line_and_errors_name_the_line(void **state)
{
    fixture *f = *state;
    char path[] = "/tmp/test_space_XXXXXX";
    mr_error err = {0};
    const int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("# what to try\nlists.k=10,20 # short lists\n\n  lists.explore=0..0.2\nnothing=1\n", file);
    fclose(file);
    assert_int_equal(mr_space_read(&f->space, f->config, path, &err), MR_FATAL);
    unlink(path);
    assert_non_null(strstr(err.text, ":5: nothing: unknown key"));
    assert_int_equal(f->space.key_count, 2);
    assert_int_equal(f->space.keys[0].value_count, 2);
    assert_string_equal(f->space.keys[0].values[1], "20");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_combination_of_values_comes_once),
        TEST(samples_stay_in_their_ranges_and_come_again_by_the_seed),
        TEST(keys_that_would_give_branches_other_inputs_are_refused),
        TEST(a_file_has_a_key_a_line_and_errors_name_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
