// SPDX-License-Identifier: Apache-2.0
// One step of each optimiser, against figures worked by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/optimiser.h"

enum { N = 16, ROW = 4 * N };

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.9g, want %.9g within %g", have, want, within);
}

// A row of two numbers, and zeros that must stay zeros.
static void begin(float row[ROW], float a, float b)
{
    memset(row, 0, ROW * sizeof *row);
    row[0] = a;
    row[1] = b;
}

typedef struct step { // of a gradient (a, b) of `events` events
    float a, b, squares, curvature, events;
} step;

static void take(mr_optimiser_kind kind, float rate, float row[ROW], step s)
{
    const mr_optimiser of = {.kind = kind, .rate = rate, .norm_max = 10};
    const float sum[N] = {s.a, s.b};
    const mr_gradient g = {sum, s.squares, s.curvature, s.events};
    mr_optimiser_step(&of, mr_vec_best(), row, N, &g);
    for (int i = 2; i < N; i++)
        assert_true(row[i] == 0.0f);
}

static void sgd_goes_down_the_gradient(void **state)
{
    (void)state;
    float row[ROW];
    begin(row, .1f, .2f);
    take(MR_OPTIMISER_SGD, .1f, row, (step){-.256249f, .256249f, .06f, 0, 1});
    near((double)row[0], .125625, 1e-6);
    near((double)row[1], .174375, 1e-6);
}

static void adagrad_gives_the_worked_steps(void **state)
{
    (void)state;
    float row[ROW];
    begin(row, .5f, -.5f);
    const step s = {.3f, .4f, .125f, 0, 1}; // the mean over a row of two
    take(MR_OPTIMISER_ADAGRAD, .1f, row, s);
    near((double)row[0], .415147, 1e-6);
    near((double)row[1], -.613137, 1e-6);
    take(MR_OPTIMISER_ADAGRAD, .1f, row, s);
    near((double)row[0], .355147, 1e-6);
    near((double)row[1], -.693137, 1e-6);
}

static void adam_gives_the_worked_steps(void **state)
{
    (void)state;
    float row[ROW];
    begin(row, .5f, -.5f);
    const step s = {.3f, .4f, .125f, 0, 1};
    take(MR_OPTIMISER_ADAM, .01f, row, s);
    near((double)row[0], .49, 1e-6);
    near((double)row[1], -.51, 1e-6);
    take(MR_OPTIMISER_ADAM, .01f, row, s);
    near((double)row[0], .48, 1e-6);
    near((double)row[1], -.52, 1e-6);
}

static void gradients_that_agree_have_the_worked_ratio(void **state)
{
    (void)state;
    // (.3, .4), (.1, .5), (.2, .3): the mean is (.2, .4), the mean squared norm .64 / 3
    near((double)mr_signal_to_noise(.2f, .64f / 3), 15, 1e-3);
    assert_true(mr_signal_to_noise(.2f, .2f) > 1e6f); // all the same
    assert_true(mr_signal_to_noise(0, .2f) == 0);
}

// Of `events` gradients with a sum of (a, 0) and each of norm 1: the move of AdaGrad and of gsnr.
static double shortened(float a, float events)
{
    float plain[ROW], row[ROW];
    begin(plain, 0, 0);
    begin(row, 0, 0);
    const step s = {a, 0, events / N, 0, events};
    take(MR_OPTIMISER_ADAGRAD, .1f, plain, s);
    take(MR_OPTIMISER_GSNR, .1f, row, s);
    return (double)row[0] / (double)plain[0];
}

static void gsnr_shortens_a_step_where_gradients_disagree(void **state)
{
    (void)state;
    near(shortened(8, 8), 1, 1e-6);      // all alike
    near(shortened(.8f, 8), .1, 1e-6);   // a mean of .1: r = .01 / .99, the floor
    near(shortened(4, 8), 1. / 3, 1e-5); // a mean of .5: r = .25 / .75
    near(shortened(1, 1), .1, 1e-6);     // one gradient says nothing of itself
}

static void gsnr_remembers_gradients_of_other_steps(void **state)
{
    (void)state;
    float plain[ROW], row[ROW];
    begin(plain, 0, 0);
    begin(row, 0, 0);
    for (int i = 0; i < 20; i++) {
        const step s = {i % 2 == 0 ? 1 : -1, 0, 1.0f / N, 0, 1};
        const float from = row[0], plain_from = plain[0];
        take(MR_OPTIMISER_GSNR, .1f, row, s);
        take(MR_OPTIMISER_ADAGRAD, .1f, plain, s);
        if (i > 10)
            near((double)((row[0] - from) / (plain[0] - plain_from)), .1, 1e-3);
    }
}

static void curvature_divides_by_it_and_clips_the_step(void **state)
{
    (void)state;
    float row[ROW];
    begin(row, 0, 0);
    take(MR_OPTIMISER_CURVATURE, .15f, row, (step){.03f, .04f, .001f, .4999f, 1});
    near((double)row[0], -.15 * .03 / .5, 1e-6);
    near((double)row[1], -.15 * .04 / .5, 1e-6);
    begin(row, 0, 0);
    take(MR_OPTIMISER_CURVATURE, .15f, row, (step){.3f, .4f, .1f, 0, 1}); // flat
    near((double)row[0], -.06, 1e-6);
    near((double)row[1], -.08, 1e-6);
}

static void many_events_in_one_step_move_as_their_root(void **state)
{
    (void)state;
    float one[ROW], many[ROW];
    begin(one, 0, 0);
    begin(many, 0, 0);
    take(MR_OPTIMISER_SGD, .1f, one, (step){.5f, 0, .01f, 0, 1});
    take(MR_OPTIMISER_SGD, .1f, many, (step){8, 0, .16f, 0, 16});
    near((double)many[0], 4 * (double)one[0], 1e-6);
}

static void rows_stay_within_their_norm_and_decay(void **state)
{
    (void)state;
    const float sum[N] = {-30};
    const mr_gradient g = {sum, 1, 0, 1};
    for (int kind = 0; kind < MR_OPTIMISERS; kind++) {
        float row[ROW];
        begin(row, 1.9f, 0);
        const mr_optimiser of = {
            .kind = (mr_optimiser_kind)kind, .rate = 1, .decay = .01f, .norm_max = 2};
        for (int i = 0; i < 3; i++)
            mr_optimiser_step(&of, mr_vec_best(), row, N, &g);
        assert_true(row[0] <= 2.00001f && row[0] > 1.9f);
    }
}

static void a_row_has_room_for_what_is_kept_of_it(void **state)
{
    (void)state;
    static const uint32_t want[] = {2, 2, 2 * N + 4, N + 4, N + 4};
    for (int kind = 0; kind < MR_OPTIMISERS; kind++) {
        const uint32_t floats = mr_optimiser_floats((mr_optimiser_kind)kind, N);
        assert_int_equal(floats, want[kind]);
        float row[ROW + 1];
        row[N + floats] = 7; // behind the row
        memset(row, 0, (N + floats) * sizeof *row);
        take((mr_optimiser_kind)kind, .1f, row, (step){.3f, .4f, .1f, .1f, 1});
        assert_true(row[N + floats] == 7);
        assert_true(row[N + floats - 1] == 1); // events stand last
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_goes_down_the_gradient),
        cmocka_unit_test(adagrad_gives_the_worked_steps),
        cmocka_unit_test(adam_gives_the_worked_steps),
        cmocka_unit_test(gradients_that_agree_have_the_worked_ratio),
        cmocka_unit_test(gsnr_shortens_a_step_where_gradients_disagree),
        cmocka_unit_test(gsnr_remembers_gradients_of_other_steps),
        cmocka_unit_test(curvature_divides_by_it_and_clips_the_step),
        cmocka_unit_test(many_events_in_one_step_move_as_their_root),
        cmocka_unit_test(rows_stay_within_their_norm_and_decay),
        cmocka_unit_test(a_row_has_room_for_what_is_kept_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
