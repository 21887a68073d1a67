// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "worker/ope/offpolicy.h"
#include "worker/ope/weights.h"

enum { ROUNDS = 10, RESAMPLES = 200 };

static const mr_ope_estimator all[] = {
    {MR_OPE_IPS, INFINITY},   {MR_OPE_SNIPS, INFINITY}, {MR_OPE_IPS, 2},
    {MR_OPE_DM, INFINITY},    {MR_OPE_DR, INFINITY},    {MR_OPE_SNDR, INFINITY},
    {MR_OPE_SWITCH_DR, 2},    {MR_OPE_DR_OS, 4},        {MR_OPE_REPLAY, INFINITY},
    {MR_OPE_DR_OS, INFINITY}, {MR_OPE_DR_OS, 0},        {MR_OPE_SG_IPS, 0},
    {MR_OPE_SG_DR, 0},        {MR_OPE_DR, 2},
};
enum { ALL = sizeof all / sizeof *all };

typedef struct fixture {
    void *memory;
    mr_offpolicy policy;
} fixture;

static fixture begin(uint32_t resamples, uint64_t seed)
{
    fixture f;
    mr_arena arena;
    const size_t bytes = mr_offpolicy_bytes(ALL, resamples);
    f.memory = aligned_alloc(64, bytes);
    assert_non_null(f.memory);
    mr_arena_init(&arena, f.memory, bytes);
    mr_offpolicy_init(&f.policy, all, ALL, resamples, seed, &arena);
    return f;
}

static mr_logged_round example(uint32_t t)
{
    static const double w[ROUNDS] = {.5, 1, 2, .1, 5, .2, 1, 3, .5, .7};
    static const double r[ROUNDS] = {0, 1, 1, 0, 1, 0, 0, 1, 0, 0};
    return (mr_logged_round){w[t], r[t], .4, .45, t % 2 == 0, t};
}

static void near(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fmax(fabs(b), 1e-300)))
        fail_msg("%.12g is not %.12g", a, b);
}

static void the_worked_example_gives_its_figures(void **state)
{
    (void)state;
    static const double want[] = {1.1, .7857143, .7, .45, .99, .8357143, .51, .5482617};
    fixture f = begin(0, 1);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        const mr_logged_round round = example(t);
        mr_offpolicy_add(&f.policy, &round);
    }
    for (uint32_t i = 0; i < sizeof want / sizeof *want; i++)
        near(mr_offpolicy_value(&f.policy, i), want[i], 1e-7);
    near(mr_offpolicy_error(&f.policy, 1), .1247488, 1e-6);
    near(mr_offpolicy_value(&f.policy, 8), .4, 1e-12);   // two of five that match
    near(mr_offpolicy_value(&f.policy, 9), .99, 1e-12);  // shrunk by nothing: dr
    near(mr_offpolicy_value(&f.policy, 10), .45, 1e-12); // shrunk to nothing: dm
    near(mr_offpolicy_value(&f.policy, 11), 1.1, 1e-12);
    near(mr_offpolicy_value(&f.policy, 12), .99, 1e-12);
    free(f.memory);
}

static void a_policy_that_is_the_logging_one_has_the_mean_reward_to_the_bit(void **state)
{
    (void)state;
    fixture f = begin(0, 1);
    double mean = 0.0;
    for (uint32_t t = 0; t < ROUNDS; t++) {
        mr_logged_round round = example(t);
        round.weight = 1.0;
        mean += (round.reward - mean) / (t + 1.0);
        mr_offpolicy_add(&f.policy, &round);
    }
    assert_true(mr_offpolicy_value(&f.policy, 0) == mean);
    assert_true(mr_offpolicy_value(&f.policy, 1) == mean);
    free(f.memory);
}

static void parts_of_a_log_merge_into_the_whole(void **state)
{
    (void)state;
    fixture whole = begin(RESAMPLES, 7), a = begin(RESAMPLES, 7), b = begin(RESAMPLES, 7);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        const mr_logged_round round = example(t);
        mr_offpolicy_add(&whole.policy, &round);
        mr_offpolicy_add(t < 3 ? &a.policy : &b.policy, &round);
    }
    mr_offpolicy_merge(&a.policy, &b.policy);
    mr_sorted scratch[RESAMPLES];
    for (uint32_t i = 0; i < ALL; i++) {
        near(mr_offpolicy_value(&a.policy, i), mr_offpolicy_value(&whole.policy, i), 1e-12);
        near(mr_offpolicy_error(&a.policy, i), mr_offpolicy_error(&whole.policy, i), 1e-9);
        near(mr_offpolicy_risk(&a.policy, i), mr_offpolicy_risk(&whole.policy, i), 1e-12);
    }
    const mr_interval x = mr_offpolicy_bootstrap(&a.policy, 4, .95, scratch);
    const mr_interval y = mr_offpolicy_bootstrap(&whole.policy, 4, .95, scratch);
    near(x.low, y.low, 1e-9);
    near(x.high, y.high, 1e-9);
    free(whole.memory);
    free(a.memory);
    free(b.memory);
}

static void rounds_of_one_user_are_resampled_together(void **state)
{
    (void)state;
    fixture together = begin(RESAMPLES, 7), alone = begin(RESAMPLES, 7);
    mr_sorted scratch[RESAMPLES];
    for (uint32_t t = 0; t < 400; t++) { // twenty users who always or never click
        mr_logged_round round = {.weight = 1, .reward = t / 20 % 2, .cluster = t / 20};
        mr_offpolicy_add(&together.policy, &round);
        round.cluster = t;
        mr_offpolicy_add(&alone.policy, &round);
    }
    const mr_interval wide = mr_offpolicy_bootstrap(&together.policy, 0, .95, scratch);
    const mr_interval narrow = mr_offpolicy_bootstrap(&alone.policy, 0, .95, scratch);
    // The standard errors differ by the root of 20 rounds a user.
    const double ratio = (wide.high - wide.low) / (narrow.high - narrow.low);
    assert_true(ratio > 3.0 && ratio < 6.0);
    free(together.memory);
    free(alone.memory);
}

static void without_support_there_is_no_value(void **state)
{
    (void)state;
    fixture f = begin(RESAMPLES, 7);
    mr_sorted scratch[RESAMPLES];
    assert_true(isnan(mr_offpolicy_value(&f.policy, 0)));
    for (uint32_t t = 0; t < ROUNDS; t++) {
        const mr_logged_round round = {.weight = 0, .reward = 1, .cluster = t};
        mr_offpolicy_add(&f.policy, &round);
    }
    assert_true(isnan(mr_offpolicy_value(&f.policy, 1)));
    assert_true(isnan(mr_offpolicy_value(&f.policy, 8)));
    assert_true(isnan(mr_offpolicy_bootstrap(&f.policy, 1, .95, scratch).low));
    free(f.memory);
}

static void quantiles_of_student_are_those_of_the_tables(void **state)
{
    (void)state;
    static const double rows[][3] = {{.975, 1, 12.7062047364}, {.975, 2, 4.3026527297},
                                     {.975, 3, 3.1824463053},  {.975, 9, 2.2621571628},
                                     {.95, 30, 1.6972608866},  {.975, 9999, 1.9602012636},
                                     {.995, 5, 4.0321429836},  {.025, 9, -2.2621571628}};
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
        near(mr_student_quantile(rows[i][0], rows[i][1]), rows[i][2], 2e-5);
}

static void the_empirical_bernstein_interval_has_the_published_width(void **state)
{
    (void)state;
    const mr_interval i = mr_ope_bernstein(.8, 2.6222222222, 10, 5, .95);
    near(i.high - .8, 7.1963632, 1e-7);
    near(.8 - i.low, 7.1963632, 1e-7);
}

// Contexts with two actions, logged by one policy and judged for another; the truth is known.
static void intervals_cover_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    enum { LOGS = 400, LENGTH = 600 };
    uint32_t covered[6] = {0};
    mr_sorted scratch[RESAMPLES];
    for (uint32_t log = 0; log < LOGS; log++) {
        fixture f = begin(RESAMPLES, log);
        mr_rng rng = mr_rng_make(log, 0, 0, 0, MR_PURPOSE_SIM);
        for (uint32_t t = 0; t < LENGTH; t++) {
            const double x = mr_rng_double(&rng), p = .2 + .6 * x, e = .7;
            const bool one = mr_rng_double(&rng) < p;
            const double chance = one ? .6 * x : .3;
            const mr_logged_round round = {
                .weight = one ? e / p : (1 - e) / (1 - p),
                .reward = mr_rng_double(&rng) < chance,
                .q = one ? .3 : .25, // wrong on purpose: the estimators have to bear it
                .q_policy = e * .3 + (1 - e) * .25,
                .cluster = t,
            };
            mr_offpolicy_add(&f.policy, &round);
        }
        static const uint32_t judged[] = {0, 1, 4, 5};
        const double truth = .7 * .3 + .3 * .3;
        for (uint32_t j = 0; j < 4; j++) {
            const mr_interval i = mr_offpolicy_bootstrap(&f.policy, judged[j], .95, scratch);
            covered[j] += i.low <= truth && truth <= i.high;
        }
        const mr_interval t = mr_offpolicy_student(&f.policy, 4, .95);
        covered[4] += t.low <= truth && truth <= t.high;
        const mr_ope_moments *m = &f.policy.sums[0].moments;
        const mr_interval b = mr_ope_bernstein(mr_offpolicy_value(&f.policy, 0),
                                                   m->m2[0][0] / (m->n - 1), m->n, 3.5, .95);
        covered[5] += b.low <= truth && truth <= b.high;
        free(f.memory);
    }
    for (uint32_t j = 0; j < 5; j++) // 95 of 100, give or take three standard deviations
        assert_in_range(covered[j], 367, 393);
    assert_in_range(covered[5], 380, LOGS);
}

static void the_effective_size_and_the_quantiles_are_those_of_the_weights(void **state)
{
    (void)state;
    mr_weights *weights = calloc(1, sizeof *weights);
    assert_non_null(weights);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        const mr_logged_round round = example(t);
        mr_weights_add(weights, round.weight, round.reward, .1, 0);
    }
    near(mr_weights_effective(weights), 4.7758285, 1e-7);
    near(mr_weights_quantile(weights, .5), .7, .011);
    near(mr_weights_quantile(weights, .999), 5, .011);
    near(mr_weights_top_share(weights, .01), 5.0 / 14.0, 1e-12);
    near(mr_weights_top_share(weights, .2), 8.0 / 14.0, 1e-12);
    assert_int_equal(weights->clicks, 4);
    assert_int_equal(mr_weights_doubts(weights), MR_TRUST_FEW);
    free(weights);
}

static void each_doubt_is_raised_by_its_cause_alone(void **state)
{
    (void)state;
    mr_weights *weights = calloc(4, sizeof *weights);
    assert_non_null(weights);
    for (uint32_t t = 0; t < 1000; t++) {
        mr_weights_add(&weights[0], t % 2 == 0 ? .9 : 1.1, 0, .1, 0);
        mr_weights_add(&weights[1], t % 2 == 0 ? 1.0 : 1.4, 0, .1, 0);
        mr_weights_add(&weights[2], t % 2 == 0 ? .9 : 1.1, 0, t % 16 == 0 ? 1e-9 : .1, 0);
        mr_weights_add(&weights[3], t % 2 == 0 ? .9 : 1.1, 0, .1, .02);
    }
    assert_int_equal(mr_weights_doubts(&weights[0]), 0);
    assert_int_equal(mr_weights_doubts(&weights[1]), MR_TRUST_MISMATCH);
    assert_int_equal(mr_weights_doubts(&weights[2]), MR_TRUST_THIN);
    assert_int_equal(mr_weights_doubts(&weights[3]), MR_TRUST_UNSUPPORTED);
    mr_weights_add(&weights[0], 5000, 0, .1, 0); // as much as all the others together, five times
    assert_true((mr_weights_doubts(&weights[0]) & MR_TRUST_FEW) != 0);
    mr_weights_merge(&weights[1], &weights[2]);
    assert_int_equal(weights[1].rounds, 2000);
    free(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_gives_its_figures),
        cmocka_unit_test(a_policy_that_is_the_logging_one_has_the_mean_reward_to_the_bit),
        cmocka_unit_test(parts_of_a_log_merge_into_the_whole),
        cmocka_unit_test(rounds_of_one_user_are_resampled_together),
        cmocka_unit_test(without_support_there_is_no_value),
        cmocka_unit_test(quantiles_of_student_are_those_of_the_tables),
        cmocka_unit_test(the_empirical_bernstein_interval_has_the_published_width),
        cmocka_unit_test(the_effective_size_and_the_quantiles_are_those_of_the_weights),
        cmocka_unit_test(each_doubt_is_raised_by_its_cause_alone),
        cmocka_unit_test(intervals_cover_the_truth_as_often_as_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
