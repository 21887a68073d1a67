// SPDX-License-Identifier: Apache-2.0
// Mixtures of rates: the worked figures, the conjugate case, EM against its own promise and against
// a catalogue that was drawn from a known mixture; and the table of arms that a row keeps.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/learned_prior.h"

static double distance(double a, double b)
{
    return fabs(a - b) / (1 + fabs(b));
}

static void log_gamma_and_its_derivative_are_the_c_librarys(void **state)
{
    (void)state;
    for (double x = 1e-3; x < 1e5; x *= 1.0137) {
        const double h = 1e-3 * x;
        assert_true(distance(mr_log_gamma(x), lgamma(x)) < 1e-11);
        const double slope =
            (8 * (lgamma(x + h) - lgamma(x - h)) - (lgamma(x + 2 * h) - lgamma(x - 2 * h))) /
            (12 * h);
        assert_true(distance(mr_digamma(x), slope) < 1e-7);
    }
    assert_true(fabs(mr_digamma(1) + 0.57721566490153286) < 1e-12);
}

// .8 Beta(1, 99) + .2 Beta(5, 45), 2 successes and 18 failures.
static void weights_and_mean_are_the_worked_figures(void **state)
{
    (void)state;
    const mr_mixture mixture = {2, {.8, .2}, {1, 5}, {99, 45}};
    double weights[MR_MIXTURE_MAX], mean, variance;
    mr_mixture_weigh(&mixture, 20, 2, weights);
    mr_mixture_rate(&mixture, weights, 20, 2, &mean, &variance);
    assert_true(fabs(weights[0] - .2763331) < 1e-6);
    assert_true(fabs(weights[1] - .7236669) < 1e-6);
    assert_true(fabs(mean - .0792750) < 1e-6);
    const double m[] = {3.0 / 120, 7.0 / 70},
                 v[] = {m[0] * (1 - m[0]) / 121, m[1] * (1 - m[1]) / 71};
    double want = -mean * mean;
    for (int k = 0; k < 2; k++)
        want += weights[k] * (v[k] + m[k] * m[k]);
    assert_true(fabs(variance - want) < 1e-12);
}

static void one_component_is_the_conjugate_prior(void **state)
{
    (void)state;
    const mr_mixture one = {1, {1}, {0.1}, {4.9}};
    for (double n = 0; n < 50; n += 3.5)
        for (double s = 0; s <= n; s += 0.7) {
            double weight, mean, variance;
            const double chance = mr_mixture_weigh(&one, n, s, &weight);
            const double a = 0.1 + s, b = 4.9 + n - s;
            mr_mixture_rate(&one, &weight, n, s, &mean, &variance);
            assert_true(weight == 1);
            assert_true(fabs(mean - (s + 5 * 0.02) / (n + 5)) < 1e-12);
            assert_true(fabs(variance - a * b / ((a + b) * (a + b) * (a + b + 1))) < 1e-12);
            assert_true(fabs(chance - (lgamma(a) + lgamma(b) - lgamma(a + b) - lgamma(0.1) -
                                       lgamma(4.9) + lgamma(5))) < 1e-9);
        }
}

// ---- a catalogue from a known mixture

enum { ITEMS = 500 };
static const double shares[] = {.7, .25, .05};
static const uint32_t a_of[] = {2, 8, 12}, b_of[] = {198, 92, 28};

static double gamma_draw(mr_rng *rng, uint32_t shape)
{
    double sum = 0;
    for (uint32_t i = 0; i < shape; i++)
        sum -= log(1 - mr_rng_double(rng));
    return sum;
}

static double rate_of(uint32_t item)
{
    mr_rng rng = mr_rng_make(9, 0, 0, item, MR_PURPOSE_SIM);
    const double u = mr_rng_double(&rng);
    const uint32_t k = u < shares[0] ? 0 : u < shares[0] + shares[1] ? 1 : 2;
    const double a = gamma_draw(&rng, a_of[k]);
    return a / (a + gamma_draw(&rng, b_of[k]));
}

static mr_arms arm_of(uint32_t item)
{
    mr_rng rng = mr_rng_make(9, 0, 1, item, MR_PURPOSE_SIM);
    mr_arms arm = {1, 5 + mr_rng_below(&rng, 200), 0};
    for (double n = 0; n < arm.n; n++)
        arm.s += mr_rng_double(&rng) < rate_of(item);
    return arm;
}

static mr_mixture beginning(void)
{
    return (mr_mixture){3, {.34, .33, .33}, {1, 1, 1}, {9, 30, 3}};
}

static void no_round_of_the_fit_lowers_the_likelihood(void **state)
{
    (void)state;
    static mr_arms arms[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        arms[i] = arm_of(i);
    for (uint32_t count = 1; count <= ITEMS; count = count * 7 + 1) { // few arms reach the bounds
        mr_mixture mixture = beginning();
        double before = -1e300;
        for (uint32_t round = 0; round < 100; round++) {
            const double likelihood = mr_mixture_fit(&mixture, arms, count, 1);
            assert_true(likelihood >= before - 1e-9 * fabs(likelihood));
            before = likelihood;
        }
    }
}

// Rates of classes are points, which Beta laws come near to slowly: what counts is that the fit
// says what came about as well as the truth does.
static void the_fit_is_nearly_as_likely_as_the_truth(void **state)
{
    (void)state;
    static mr_arms arms[ITEMS];
    mr_mixture truth = {.count = 3}, mixture = beginning();
    for (uint32_t i = 0; i < ITEMS; i++)
        arms[i] = arm_of(i);
    for (uint32_t k = 0; k < 3; k++) {
        truth.share[k] = shares[k];
        truth.a[k] = a_of[k];
        truth.b[k] = b_of[k];
    }
    const double first = mr_mixture_fit(&mixture, arms, ITEMS, 1);
    const double last = mr_mixture_fit(&mixture, arms, ITEMS, 150);
    const double true_one = mr_mixture_fit(&truth, arms, ITEMS, 1);
    assert_true(last - first > 0.85 * (true_one - first));
}

// What is expected of fresh items after ten tries, against the truth: the mixture that was learned
// errs less than Beta(1, 1), and less than one conjugate prior that was learned.
static void fresh_items_are_known_sooner(void **state)
{
    (void)state;
    static mr_arms arms[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        arms[i] = arm_of(i);
    mr_mixture mixtures[] = {{1, {1}, {1}, {1}}, {1, {1}, {1}, {9}}, beginning()};
    double errors[3] = {0};
    mr_mixture_fit(&mixtures[1], arms, ITEMS, 150);
    mr_mixture_fit(&mixtures[2], arms, ITEMS, 150);
    for (uint32_t item = ITEMS; item < 2 * ITEMS; item++) {
        mr_rng rng = mr_rng_make(9, 0, 2, item, MR_PURPOSE_SIM);
        double s = 0, weights[MR_MIXTURE_MAX], mean, variance;
        for (uint32_t n = 0; n < 10; n++)
            s += mr_rng_double(&rng) < rate_of(item);
        for (uint32_t m = 0; m < 3; m++) {
            mr_mixture_weigh(&mixtures[m], 10, s, weights);
            mr_mixture_rate(&mixtures[m], weights, 10, s, &mean, &variance);
            errors[m] += (mean - rate_of(item)) * (mean - rate_of(item));
        }
    }
    assert_true(errors[1] < 0.5 * errors[0]);
    assert_true(errors[2] < errors[1]);
}

// ---- the row

// Items come again and again; whatever the grouping of what is noted, the row is the same bytes,
// and it knows the rates.
static void a_row_learns_the_rates_in_any_grouping(void **state)
{
    (void)state;
    static mr_prior one, two;
    static mr_prior_table all, parts[2];
    static mr_arms arms[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        arms[i] = arm_of(i);
    mr_prior_note(&all, 0.5, 0.2); // too little
    for (uint32_t round = 0; round < 200; round++) {
        memset(&all, 0, sizeof all);
        memset(parts, 0, sizeof parts);
        for (uint32_t i = 0; i < ITEMS; i++) {
            mr_prior_note(&all, arms[i].n, arms[i].s);
            mr_prior_note(&parts[i % 2], arms[i].n, arms[i].s);
        }
        mr_prior_combine(NULL, &parts[1], &parts[0]);
        mr_prior_apply(&one, &all, 3, 0.02, 5);
        mr_prior_apply(&two, &parts[1], 3, 0.02, 5);
    }
    assert_true(one.fits > 5);
    assert_memory_equal(&one, &two, sizeof one);
    double mean, variance, want = 0;
    mr_mixture_rate(&one.mixture, one.mixture.share, 0, 0, &mean, &variance);
    for (int k = 0; k < 3; k++)
        want += shares[k] * a_of[k] / (a_of[k] + b_of[k]);
    assert_true(fabs(mean - want) <
                0.3 * want); // items are weighed by 1/n: those of few tries most
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_gamma_and_its_derivative_are_the_c_librarys),
        cmocka_unit_test(weights_and_mean_are_the_worked_figures),
        cmocka_unit_test(one_component_is_the_conjugate_prior),
        cmocka_unit_test(no_round_of_the_fit_lowers_the_likelihood),
        cmocka_unit_test(the_fit_is_nearly_as_likely_as_the_truth),
        cmocka_unit_test(fresh_items_are_known_sooner),
        cmocka_unit_test(a_row_learns_the_rates_in_any_grouping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
