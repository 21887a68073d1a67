// SPDX-License-Identifier: Apache-2.0
// The figures of the Open Bandit Pipeline (obp 0.4.1 and 0.5.5) on the sample of its own data set.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/ope/ope.h"

static mr_ope_result *result;

static int open_result(void **state)
{
    (void)state;
    result = malloc(sizeof *result);
    return result == NULL;
}

static int close_result(void **state)
{
    (void)state;
    free(result);
    return 0;
}

static mr_ope_options options_of(const char *path)
{
    return (mr_ope_options){
        .log = {.path = path, .reward = MR_EVENT_CLICK, .window_ms = 3600000},
        .lambdas = {1, 5, 10},
        .lambda_count = 3,
        .resamples = 200,
        .level = .95,
        .seed = 1,
    };
}

static void judge(const mr_ope_options *options)
{
    mr_error err = {0};
    if (mr_ope_run(options, result, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static const mr_ope_row *row_of(mr_ope_kind kind, double lambda)
{
    for (uint32_t i = 0; i < result->row_count; i++) {
        if (result->rows[i].estimator.kind == kind && result->rows[i].estimator.lambda == lambda)
            return &result->rows[i];
    }
    fail_msg("%s %g is not there", mr_ope_name(kind), lambda);
    return NULL;
}

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("%.12g is not %.12g", got, want);
}

typedef struct known {
    const char *log, *of;
    double ips, ips_error, ips_5, snips, dm, dr, sndr, switch_5, switch_1, dros_10, sg_ips, sg_dr;
    double effective, mean, max, policy_logged;
} known;

// The figures are printed with nine decimals, which of .005 is seven digits.
static void estimates_are_those_of_the_open_bandit_pipeline(void **state)
{
    (void)state;
    static const known campaigns[] = {
        {"tests/data/obd/events-random-men.csv.gz", "tests/data/obd/events-bts-men.csv.gz",
         .005656267, .001397600, .005555943, .005739865, .007903742, .005758393, .005726685,
         .006706369, .007338354, .006607028, .004640324, .006075082, 2869.275272, .985435545,
         7.484276730, .0069},
        {"tests/data/obd/events-random-women.csv.gz", "tests/data/obd/events-bts-women.csv.gz",
         .005805692, .001204756, .005805692, .005833036, .008273137, .005890718, .005879497,
         .006868233, .007626799, .006946276, .005111215, .006267896, 3491.957543, .995312166,
         6.366071429, .0046},
    };
    for (uint32_t c = 0; c < sizeof campaigns / sizeof *campaigns; c++) {
        const known *k = &campaigns[c];
        mr_ope_options options = options_of(k->log);
        options.policy = MR_OPE_FREQUENCIES;
        options.policy_path = k->of;
        options.in_sample = true;
        judge(&options);
        assert_int_equal(result->log.rounds, 10000);
        assert_int_equal(result->log.rewards, 46);
        assert_int_equal(result->doubts, 0);
        const double none = (double)INFINITY, close = 1.5e-7;
        near(row_of(MR_OPE_IPS, none)->value, k->ips, close);
        near(row_of(MR_OPE_IPS, none)->error, k->ips_error, 5e-7);
        near(row_of(MR_OPE_IPS, 5)->value, k->ips_5, close);
        near(row_of(MR_OPE_SNIPS, none)->value, k->snips, close);
        near(row_of(MR_OPE_DM, none)->value, k->dm, close);
        near(row_of(MR_OPE_DR, none)->value, k->dr, close);
        near(row_of(MR_OPE_SNDR, none)->value, k->sndr, close);
        near(row_of(MR_OPE_SWITCH_DR, 5)->value, k->switch_5, close);
        near(row_of(MR_OPE_SWITCH_DR, 1)->value, k->switch_1, close);
        near(row_of(MR_OPE_DR_OS, 10)->value, k->dros_10, close);
        near(row_of(MR_OPE_SG_IPS, .1)->value, k->sg_ips, close);
        near(row_of(MR_OPE_SG_DR, .1)->value, k->sg_dr, close);
        near(mr_weights_effective(&result->weights), k->effective, 1e-9);
        near(mr_weights_mean(&result->weights), k->mean, 1e-8);
        near(result->weights.max, k->max, 1e-8);
        near(result->policy_logged, k->policy_logged, 1e-12);
    }
}

static void the_most_frequent_item_of_each_position_is_judged_by_its_matches(void **state)
{
    (void)state;
    mr_ope_options options = options_of("tests/data/obd/events-random-men.csv.gz");
    options.policy = MR_OPE_MOST_FREQUENT;
    options.policy_path = "tests/data/obd/events-bts-men.csv.gz";
    judge(&options);
    assert_int_equal(result->matches, 273);
    near(row_of(MR_OPE_REPLAY, (double)INFINITY)->value, .003663004, 1.5e-7);
}

static void a_log_that_cannot_carry_an_answer_gets_none(void **state)
{
    (void)state;
    mr_ope_options options = options_of("tests/data/obd/events-bts-women.csv.gz");
    judge(&options);
    near(mr_weights_effective(&result->weights), 2.0778, 1e-3);
    near(result->weights.max, 21739.130435, 1e-9);
    assert_true((result->doubts & MR_TRUST_FEW) != 0);
    for (uint32_t i = 0; i < result->row_count; i++)
        assert_int_equal(result->rows[i].refused, mr_ope_weighs(result->rows[i].estimator.kind));
    assert_true(isnan(row_of(MR_OPE_DM, (double)INFINITY)->bootstrap.low));
    assert_true(isnan(row_of(MR_OPE_DM, (double)INFINITY)->student.low));
    options.insist = true;
    judge(&options);
    near(row_of(MR_OPE_IPS, (double)INFINITY)->value, .0074, .01);
}

static void a_uniform_log_shows_its_items_as_often_as_it_says(void **state)
{
    (void)state;
    const mr_ope_options options = options_of("tests/data/obd/events-random-men.csv.gz");
    judge(&options);
    const mr_calibration *c = &result->calibration;
    assert_int_equal(c->judged, 3 * 34);
    assert_int_equal(c->more + c->less, 0);
    assert_true(c->error < 2 * c->by_chance);
    for (uint32_t b = 0; b < c->bin_count; b++)
        near(c->bins[b].said, 1 / 34.0, 1e-7);
}

static char *write_log(const char *text)
{
    static char path[32];
    strcpy(path, "/tmp/millrace-ope-XXXXXX");
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    return path;
}

static void rounds_that_cannot_be_weighed_are_counted_by_cause(void **state)
{
    (void)state;
    char *path = write_log("time,user,item,type,session,position,propensity\n"
                           "1000,u,a,impression,s1,0,0.5\n"
                           "1001,u,a,impression,s2,0,0.5\n"
                           "1002,u,b,impression,s2,1,\n"    // without propensity
                           "1003,u,b,impression,s3,0,1.5\n" // impossible
                           "1004,u,b,impression,s4,0,0.5\n"
                           "1005,u,a,click,s2,,\n"
                           "1006,u,a,click,s2,,\n" // once is enough
                           "1007,u,b,click,s9,,\n" // nobody showed it
                           "1008,u,b,click,s4,,\n");
    const mr_ope_options options = options_of(path);
    judge(&options);
    unlink(path);
    assert_int_equal(result->log.rounds, 3);
    assert_int_equal(result->log.rewards, 2);
    assert_int_equal(result->log.skipped, 1);
    assert_int_equal(result->log.bad, 1);
    assert_int_equal(result->log.unjoined, 1);
    assert_non_null(strstr(result->log.first_bad, "event 4"));
}

static void a_reward_after_the_window_belongs_to_no_round(void **state)
{
    (void)state;
    char *path = write_log("time,user,item,type,session,position,propensity\n"
                           "1000,u,a,impression,s1,0,0.5\n"
                           "2000,u,b,impression,s2,0,0.5\n"
                           "11000,u,a,click,s1,,\n"
                           "11001,u,b,click,s2,,\n");
    mr_ope_options options = options_of(path);
    options.log.window_ms = 9500;
    judge(&options);
    unlink(path);
    assert_int_equal(result->log.rewards, 1);
    assert_int_equal(result->log.unjoined, 1);
}

static void a_log_without_propensities_is_refused(void **state)
{
    (void)state;
    mr_error err = {0};
    char *path = write_log("time,user,item,type,session,position,propensity\n"
                           "1000,u,a,impression,s1,0,\n");
    const mr_ope_options options = options_of(path);
    assert_int_equal(mr_ope_run(&options, result, &err), MR_FATAL);
    unlink(path);
    assert_non_null(strstr(err.text, "no impression with a propensity"));
}

// Two items by turns, each with a chance of a half, of which the log says less.
static void a_log_that_says_far_too_little_gets_no_estimate_by_weights(void **state)
{
    (void)state;
    enum { ROUNDS = 2000, ROW = 80 };
    static char text[ROUNDS * ROW];
    for (uint32_t said = 0; said < 2; said++) {
        size_t used = (size_t)snprintf(text, sizeof text,
                                       "time,user,item,type,session,position,propensity\n");
        for (uint32_t t = 0; t < ROUNDS; t++)
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "%u,u%u,%c,impression,s%u,0,%s\n", 1000 + t, t,
                                     t * 2654435761u >> 31 != 0 ? 'a' : 'b', t,
                                     said == 0 ? "0.5" : "0.25");
        char *path = write_log(text);
        const mr_ope_options options = options_of(path);
        judge(&options);
        unlink(path);
        assert_int_equal(result->calibration.judged, 2);
        assert_int_equal((result->doubts & MR_TRUST_WRONG) != 0, said == 1);
        assert_int_equal(row_of(MR_OPE_IPS, (double)INFINITY)->refused, said == 1);
        assert_false(row_of(MR_OPE_DM, (double)INFINITY)->refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_those_of_the_open_bandit_pipeline),
        cmocka_unit_test(the_most_frequent_item_of_each_position_is_judged_by_its_matches),
        cmocka_unit_test(a_log_that_cannot_carry_an_answer_gets_none),
        cmocka_unit_test(a_uniform_log_shows_its_items_as_often_as_it_says),
        cmocka_unit_test(a_log_that_says_far_too_little_gets_no_estimate_by_weights),
        cmocka_unit_test(rounds_that_cannot_be_weighed_are_counted_by_cause),
        cmocka_unit_test(a_reward_after_the_window_belongs_to_no_round),
        cmocka_unit_test(a_log_without_propensities_is_refused),
    };
    return cmocka_run_group_tests(tests, open_result, close_result);
}
