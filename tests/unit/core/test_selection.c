// SPDX-License-Identifier: Apache-2.0
// normal2 and selection: figures worked by hand, another integral, central differences, and a world
// in which who is asked is who would say yes.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/normal.h"
#include "core/base/normal2.h"
#include "core/model/selection.h"

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.12g, want %.12g within %g", have, want, within);
}

static double phi_of(double z)
{
    return .5 * erfc(-z / sqrt(2));
}

static void the_worked_figures(void **state)
{
    (void)state;
    const mr_normal2 x = mr_normal2_cdf(.3, -.5, .4);
    near(phi_of(-.5), .3085375, 1e-7);
    near(x.p, .2435759, 1e-7);
    near(x.p / phi_of(-.5), .7894530, 1e-7);
    near(phi_of(.3), .6179114, 1e-7);
    near(x.by_a, .0951065, 1e-7);
    near(x.by_b, .2490195, 1e-7);
    near(x.by_r, .1320585, 1e-7);
}

// By Simpson's rule over X, given which Y is normal.
static double by_other_integral(double a, double b, double r)
{
    enum { STEPS = 4000 };
    const double low = -9, h = (a - low) / STEPS;
    double sum = 0;
    for (int i = 0; i <= STEPS; i++) {
        const double x = low + i * h, weight = i == 0 || i == STEPS ? 1 : i % 2 == 1 ? 4 : 2;
        sum +=
            weight * exp(-.5 * x * x) / sqrt(2 * acos(-1)) * phi_of((b - r * x) / sqrt(1 - r * r));
    }
    return sum * h / 3;
}

static void another_integral_gives_the_same(void **state)
{
    (void)state;
    for (double r = -.95; r < .96; r += .19)
        for (double a = -3; a <= 3; a += .75)
            for (double b = -3; b <= 3; b += .5)
                near(mr_normal2_cdf(a, b, r).p, by_other_integral(a, b, r), 1e-9);
}

static void it_is_what_it_has_to_be(void **state)
{
    (void)state;
    for (double a = -4; a <= 4; a += .8) {
        for (double b = -4; b <= 4; b += .8) {
            near(mr_normal2_cdf(a, b, 0).p, phi_of(a) * phi_of(b), 1e-13); // factorises
            for (double r = -.9; r < 1; r += .3) {
                const mr_normal2 x = mr_normal2_cdf(a, b, r), other = mr_normal2_cdf(b, a, r);
                near(x.p, other.p, 1e-14);
                near(x.by_a, other.by_b, 1e-14);
                near(x.p + mr_normal2_cdf(-a, b, -r).p, phi_of(b), 1e-9);
            }
        }
    }
    for (double r = -.9; r < 1; r += .3) // Sheppard's figure
        near(mr_normal2_cdf(0, 0, r).p, .25 + asin(r) / (2 * acos(-1)), 1e-12);
}

static void slopes_are_those_of_the_function(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (double r = -.8; r < .9; r += .4)
        for (double a = -2; a <= 2; a += .5)
            for (double b = -2; b <= 2; b += .5) {
                const mr_normal2 x = mr_normal2_cdf(a, b, r);
                const double twice = 2 * h;
                near(x.by_a,
                     (mr_normal2_cdf(a + h, b, r).p - mr_normal2_cdf(a - h, b, r).p) / twice, 1e-7);
                near(x.by_b,
                     (mr_normal2_cdf(a, b + h, r).p - mr_normal2_cdf(a, b - h, r).p) / twice, 1e-7);
                near(x.by_r,
                     (mr_normal2_cdf(a, b, r + h).p - mr_normal2_cdf(a, b, r - h).p) / twice, 1e-7);
            }
}

static void slopes_are_those_of_the_loss(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (int which = 0; which < 3; which++)
        for (double r = -.8; r < .9; r += .4)
            for (double y = -1.5; y <= 1.5; y += .5)
                for (double o = -1.5; o <= 1.5; o += .5) {
                    const bool seen = which > 0, yes = which > 1;
                    const mr_selection x = mr_selection_loss(y, o, r, seen, yes);
                    const double by_y = mr_selection_loss(y + h, o, r, seen, yes).loss -
                                        mr_selection_loss(y - h, o, r, seen, yes).loss;
                    const double by_o = mr_selection_loss(y, o + h, r, seen, yes).loss -
                                        mr_selection_loss(y, o - h, r, seen, yes).loss;
                    const double by_r = mr_selection_loss(y, o, r + h, seen, yes).loss -
                                        mr_selection_loss(y, o, r - h, seen, yes).loss;
                    const double within = 1e-5 * (1 + fabs(x.loss) + exp(x.loss));
                    near(x.by_outcome, by_y / (2 * h), within);
                    near(x.by_selection, by_o / (2 * h), within);
                    near(x.by_r, by_r / (2 * h), within);
                }
    near(mr_selection_loss(-9, -9, .5, true, true).loss, -log(1e-6), 1e-9);
    near(mr_selection_loss(-9, -9, .5, true, true).by_outcome, 0, 0);
}

// ---- a planted world: items with g_y, of which what is seen is selected by g_o and by chance that
// goes together with the outcome's

enum { GROUPS = 8, PEOPLE = 6000 };

typedef struct counts { // of a group: not selected, selected without and with the outcome
    uint32_t unseen, no, yes;
} counts;

static double outcome_of(int group)
{
    return -.7 + .2 * group;
}

static double selection_of(int group)
{
    return group % 2 == 0 ? -.9 : .1; // goes its own way
}

static void plant(counts seen[GROUPS], double r)
{
    mr_rng rng = mr_rng_make(9, 0, 0, 0, MR_PURPOSE_SIM);
    for (int g = 0; g < GROUPS; g++) {
        seen[g] = (counts){0};
        for (uint32_t i = 0; i < PEOPLE; i++) {
            const double e_o = mr_normal_draw(&rng), own = mr_normal_draw(&rng);
            const double e_y = r * e_o + sqrt(1 - r * r) * own;
            if (selection_of(g) + e_o <= 0)
                seen[g].unseen++;
            else if (outcome_of(g) + e_y > 0)
                seen[g].yes++;
            else
                seen[g].no++;
        }
    }
}

static mr_selection loss_of_group(const counts *seen, double y, double o, double r)
{
    const mr_selection parts[] = {mr_selection_loss(y, o, r, false, false),
                                  mr_selection_loss(y, o, r, true, false),
                                  mr_selection_loss(y, o, r, true, true)};
    const double times[] = {seen->unseen, seen->no, seen->yes};
    mr_selection sum = {0};
    for (int i = 0; i < 3; i++) {
        sum.by_outcome += times[i] * parts[i].by_outcome / PEOPLE;
        sum.by_selection += times[i] * parts[i].by_selection / PEOPLE;
    }
    return sum;
}

static void what_was_never_selected_is_foreseen_with_less_bias(void **state)
{
    (void)state;
    counts seen[GROUPS];
    double plain = 0, corrected = 0;
    plant(seen, .5);
    for (int g = 0; g < GROUPS; g++) {
        double y = 0, o = 0;
        for (int step = 0; step < 2000; step++) {
            const mr_selection by = loss_of_group(&seen[g], y, o, .5);
            y -= by.by_outcome;
            o -= by.by_selection;
        }
        const double share = seen[g].yes / (double)(seen[g].yes + seen[g].no);
        near(o, selection_of(g), .06);
        plain += fabs(share - phi_of(outcome_of(g))) / GROUPS;
        corrected += fabs(phi_of(y) - phi_of(outcome_of(g))) / GROUPS;
    }
    assert_true(plain > .1); // who was asked says yes too often
    assert_true(plain > 5 * corrected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(another_integral_gives_the_same),
        cmocka_unit_test(it_is_what_it_has_to_be),
        cmocka_unit_test(slopes_are_those_of_the_function),
        cmocka_unit_test(slopes_are_those_of_the_loss),
        cmocka_unit_test(what_was_never_selected_is_foreseen_with_less_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
