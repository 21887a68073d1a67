// SPDX-License-Identifier: Apache-2.0
#include "small.h"

#include <string.h>

#include "worker/measure/resample.h"

enum { TERMS = 2, RESAMPLES = 200, NUMBERS = (1 + TERMS) * (1 + RESAMPLES) };

static void add(const mr_tally *tally, uint64_t user, double a, double b)
{
    mr_draw draw;
    const double x[TERMS] = {a, b};
    mr_draw_cluster(&draw, 1, user, RESAMPLES);
    mr_tally_add(tally, x, &draw);
}

static void counts_of_a_cluster_have_the_mean_and_variance_of_poisson_one(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    enum { CLUSTERS = 2000 };
    const double n = (double)CLUSTERS * RESAMPLES;
    for (uint64_t c = 0; c < CLUSTERS; c++) {
        mr_draw draw;
        mr_draw_cluster(&draw, 9, c, RESAMPLES);
        for (uint32_t b = 0; b < RESAMPLES; b++) {
            sum += draw.times[b];
            squares += draw.times[b] * draw.times[b];
        }
    }
    near(sum / n, 1, 5 / sqrt(n));
    near(squares / n - sum / n * sum / n, 1, 10 / sqrt(n));
}

static void parts_of_a_log_add_up_in_any_order_and_a_part_can_be_taken_off(void **state)
{
    (void)state;
    static double whole[NUMBERS], parts[2][NUMBERS];
    memset(whole, 0, sizeof whole);
    memset(parts, 0, sizeof parts);
    const mr_tally all = {TERMS, RESAMPLES, whole};
    for (uint64_t user = 0; user < 50; user++)
        add(&all, user, user % 3 == 0, (double)(user % 4));
    for (uint64_t user = 50; user-- > 0;) {
        const mr_tally part = {TERMS, RESAMPLES, parts[user % 2]};
        add(&part, user, user % 3 == 0, (double)(user % 4));
    }
    for (uint32_t i = 0; i < NUMBERS; i++)
        assert_true(parts[0][i] + parts[1][i] == whole[i]); // whole numbers: exact
    near(mr_tally_count(&all), 50, 0);
    near(mr_tally_mean(&all, 0), 17.0 / 50, 1e-12);
}

// Users with several acts that are alike: an interval over acts would be half as wide.
static void intervals_over_users_cover_the_mean_about_as_often_as_they_say(void **state)
{
    (void)state;
    enum { LOGS = 300, USERS = 100, ACTS = 4 };
    mr_sorted scratch[RESAMPLES];
    uint32_t covered = 0;
    for (uint32_t log = 0; log < LOGS; log++) {
        static double sums[NUMBERS];
        memset(sums, 0, sizeof sums);
        const mr_tally tally = {TERMS, RESAMPLES, sums};
        mr_rng rng = draws_of(100 + log);
        for (uint64_t user = 0; user < USERS; user++) {
            const double taste = mr_rng_double(&rng) < .3;
            for (uint32_t act = 0; act < ACTS; act++)
                add(&tally, (uint64_t)log * USERS + user, taste, 1);
        }
        const mr_interval interval = mr_tally_interval(&tally, 0, .95, scratch);
        covered += interval.low <= .3 && .3 <= interval.high;
    }
    assert_in_range(covered, 300 * 90 / 100, 300 * 99 / 100);
}

static void without_observations_there_is_no_mean_and_no_interval(void **state)
{
    (void)state;
    static double sums[NUMBERS];
    memset(sums, 0, sizeof sums);
    mr_sorted scratch[RESAMPLES];
    const mr_tally tally = {TERMS, RESAMPLES, sums};
    assert_true(isnan(mr_tally_mean(&tally, 0)));
    assert_true(isnan(mr_tally_interval(&tally, 0, .95, scratch).low));
    add(&tally, 1, 1, 1); // one user: some resamples are empty
    assert_true(isnan(mr_tally_interval(&tally, 0, .95, scratch).high));
    assert_true(isnan(mr_resample_interval(scratch, 0, .95).low));
}

// What users have in common is no noise: the interval of the difference is far narrower than either.
static void a_difference_of_the_same_users_is_paired(void **state)
{
    (void)state;
    static double sums[2][NUMBERS];
    mr_sorted scratch[RESAMPLES];
    double value;
    memset(sums, 0, sizeof sums);
    const mr_tally from = {TERMS, RESAMPLES, sums[0]}, to = {TERMS, RESAMPLES, sums[1]};
    mr_rng rng = draws_of(5);
    for (uint64_t user = 0; user < 400; user++) {
        const double taste = 10 * mr_rng_double(&rng);
        add(&from, user, taste, 0);
        add(&to, user, taste + .5 + .1 * mr_rng_double(&rng), 0);
    }
    const mr_interval one = mr_tally_interval(&from, 0, .95, scratch);
    const mr_interval both = mr_tally_difference(&from, &to, 0, .95, scratch, &value);
    near(value, mr_tally_mean(&to, 0) - mr_tally_mean(&from, 0), 1e-12);
    assert_true(both.low > .5 && both.low <= value && value <= both.high && both.high < .6);
    assert_true(both.high - both.low < .05 * (one.high - one.low));
    assert_true(mr_tally_difference(&from, &from, 0, .95, scratch, &value).high == 0 && value == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_a_cluster_have_the_mean_and_variance_of_poisson_one),
        cmocka_unit_test(parts_of_a_log_add_up_in_any_order_and_a_part_can_be_taken_off),
        cmocka_unit_test(intervals_over_users_cover_the_mean_about_as_often_as_they_say),
        cmocka_unit_test(a_difference_of_the_same_users_is_paired),
        cmocka_unit_test(without_observations_there_is_no_mean_and_no_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
