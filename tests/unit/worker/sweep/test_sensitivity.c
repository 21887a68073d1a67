// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/hash.h"
#include "worker/measure/similarity.h"
#include "worker/sweep/sensitivity.h"

enum { USERS = 300 };

static mr_measure from, to;

static int open_both(void **state)
{
    const mr_measure_options options = {.users_max = USERS, .items_max = 1000, .resamples = 10};
    mr_error err = {0};
    (void)state;
    return mr_measure_open(&from, &options, &err) != MR_OK ||
           mr_measure_open(&to, &options, &err) != MR_OK;
}

static int close_both(void **state)
{
    (void)state;
    mr_measure_close(&from);
    mr_measure_close(&to);
    return 0;
}

// A list of items "a", "b", ...: one for each letter.
static void give(mr_measure *measure, const char *user, const char *letters)
{
    mr_list_entry entries[MR_ACT_DEPTH];
    uint32_t count = 0;
    for (; letters[count] != '\0'; count++)
        entries[count] = (mr_list_entry){.item_key = mr_item_key(mr_bytes_of(letters + count, 1))};
    const mr_list list = {.user = mr_bytes_text(user), .entries = entries, .entry_count = count};
    mr_measure_list(measure, &list);
}

static void near(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.12g is not %.12g", have, want);
}

static void the_worked_pair_is_as_alike_as_its_lists(void **state)
{
    (void)state;
    give(&from, "u", "abcde");
    give(&to, "u", "bacfg");
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, NULL, 1);
    assert_int_equal(s.users, 1);
    near(s.rbo.value, .619335, 1e-6);
    near(s.jaccard.value, .4285714, 1e-7);
}

static void the_same_lists_are_alike_to_the_bit_in_every_resample(void **state)
{
    (void)state;
    for (uint32_t u = 0; u < USERS; u++) {
        char user[8];
        snprintf(user, sizeof user, "u%u", u % 1000);
        give(&from, user, "abcdefghijklmnopqrst" + u % 15);
        give(&to, user, "abcdefghijklmnopqrst" + u % 15);
    }
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, NULL, 1);
    assert_int_equal(s.users, USERS);
    near(s.rbo.value, 1, 1e-12);
    near(s.rbo.interval.low, 1, 1e-12);
    near(s.rbo.interval.high, 1, 1e-12);
    near(s.jaccard.value, 1, 0);
    near(s.jaccard.interval.low, 1, 0);
}

static void a_user_with_one_list_of_the_two_counts_as_nothing_in_common(void **state)
{
    (void)state;
    give(&from, "both", "abc");
    give(&to, "both", "abc");
    give(&from, "first", "abc");
    give(&to, "second", "abc");
    give(&from, "empty", "");
    give(&to, "emptied", "");
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, NULL, 1);
    assert_int_equal(s.users, 3); // a list without items is none
    near(s.rbo.value, 1.0 / 3, 1e-12);
    near(s.jaccard.value, 1.0 / 3, 1e-12);
}

static void the_order_of_lists_and_of_users_does_not_matter(void **state)
{
    (void)state;
    give(&from, "a", "abc");
    give(&from, "b", "bcd");
    give(&to, "b", "bad");
    give(&to, "a", "xbc");
    const mr_sensitivity one = mr_sensitivity_of(&from, &to, NULL, 1);
    const mr_sensitivity other = mr_sensitivity_of(&to, &from, NULL, 1);
    near(one.rbo.value, other.rbo.value, 1e-15);
    near(one.jaccard.value, other.jaccard.value, 1e-15);
}

static void who_was_changed_himself_is_left_out(void **state)
{
    (void)state;
    const uint64_t without = mr_user_key(mr_bytes_text("changed"));
    give(&from, "changed", "abc");
    give(&from, "other", "abc");
    give(&to, "changed", "xyz");
    give(&to, "other", "abc");
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, &without, 1);
    assert_int_equal(s.users, 1);
    near(s.rbo.value, 1, 1e-12);
}

static void nobody_is_no_number(void **state)
{
    (void)state;
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, NULL, 1);
    assert_int_equal(s.users, 0);
    assert_true(isnan(s.rbo.value) && isnan(s.rbo.interval.low) && isnan(s.jaccard.value));
}

// Half of the users have the same list, half nothing in common: a mean of coin throws.
static void the_interval_is_that_of_a_mean_over_users(void **state)
{
    (void)state;
    for (uint32_t u = 0; u < USERS; u++) {
        char user[8];
        snprintf(user, sizeof user, "u%u", u % 1000);
        give(&from, user, "abc");
        give(&to, user, u % 2 == 0 ? "abc" : "xyz");
    }
    const mr_sensitivity s = mr_sensitivity_of(&from, &to, NULL, 1);
    const double error = .5 / sqrt(USERS);
    near(s.jaccard.value, .5, 1e-12);
    near(s.jaccard.interval.low, .5 - 1.96 * error, .6 * error);
    near(s.jaccard.interval.high, .5 + 1.96 * error, .6 * error);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_both, close_both)
    const struct CMUnitTest tests[] = {
        TEST(the_worked_pair_is_as_alike_as_its_lists),
        TEST(the_same_lists_are_alike_to_the_bit_in_every_resample),
        TEST(a_user_with_one_list_of_the_two_counts_as_nothing_in_common),
        TEST(the_order_of_lists_and_of_users_does_not_matter),
        TEST(who_was_changed_himself_is_left_out),
        TEST(nobody_is_no_number),
        TEST(the_interval_is_that_of_a_mean_over_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
