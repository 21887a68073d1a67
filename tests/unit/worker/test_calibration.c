// SPDX-License-Identifier: Apache-2.0
// Logs that are drawn by known propensities, and judged by what they say of them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "worker/ope/calibration.h"

enum { ITEMS = 8, ROUNDS = 4000, CONTEXTS = 3 };

static mr_arms arms;

static int open_arms(void **state)
{
    mr_error err = {0};
    (void)state;
    return mr_arms_open(&arms, &err) != MR_OK;
}

static int close_arms(void **state)
{
    (void)state;
    mr_arms_close(&arms);
    return 0;
}

static void show(uint64_t item, int64_t position, double said)
{
    mr_error err = {0};
    uint32_t arm;
    assert_int_equal(mr_arms_at(&arms, item, position, &arm, &err), MR_OK);
    mr_arms_show(&arms, arm, 0, said);
}

static mr_calibration judged(void)
{
    mr_sorted *scratch = malloc((arms.count + 1) * sizeof *scratch);
    assert_non_null(scratch);
    const mr_calibration c = mr_calibration_of(&arms, false, scratch);
    free(scratch);
    return c;
}

static void near(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.12g is not %.12g", have, want);
}

// What a policy gives each item in a context, and one draw of it.
static void policy_of(mr_rng *rng, double chance[ITEMS])
{
    double sum = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        sum += chance[i] = .05 + mr_rng_double(rng);
    for (uint32_t i = 0; i < ITEMS; i++)
        chance[i] /= sum;
}

static uint32_t draw(mr_rng *rng, const double chance[ITEMS])
{
    double left = mr_rng_double(rng);
    uint32_t item = 0;
    while (item < ITEMS - 1 && left >= chance[item])
        left -= chance[item++];
    return item;
}

// factor: what the log says of a propensity is so many times the truth.
static void make_log(uint64_t seed, double factor)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SAMPLE);
    double chance[CONTEXTS][ITEMS];
    for (uint32_t c = 0; c < CONTEXTS; c++)
        policy_of(&rng, chance[c]);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        const double *of = chance[mr_rng_below(&rng, CONTEXTS)];
        const uint32_t item = draw(&rng, of);
        show(item, 0, factor * of[item]);
    }
}

static void propensities_of_any_context_are_held_to_be_what_they_are(void **state)
{
    uint32_t off = 0, judged_arms = 0;
    double error = 0, by_chance = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        close_arms(state);
        open_arms(state);
        make_log(seed, 1);
        const mr_calibration c = judged();
        off += c.more + c.less;
        judged_arms += c.judged;
        error += c.error;
        by_chance += c.by_chance;
        assert_false(mr_calibration_is_wrong(&c));
    }
    assert_int_equal(judged_arms, 100 * ITEMS);
    assert_true(off <= 1); // 800 chances of .00006
    near(error / by_chance, 1, .1);
}

static void propensities_that_are_too_small_are_wrong_and_too_large_ones_in_doubt(void **state)
{
    make_log(1, .5);
    const mr_calibration small = judged();
    assert_int_equal(small.more, ITEMS);
    assert_true(mr_calibration_is_off(&small) && mr_calibration_is_wrong(&small));
    near(small.excess, .5, .05);
    close_arms(state);
    open_arms(state);
    make_log(1, 2);
    const mr_calibration large = judged();
    assert_int_equal(large.less, ITEMS);
    assert_true(mr_calibration_is_off(&large) && !mr_calibration_is_wrong(&large));
    near(large.excess, 0, 0);
    near(large.error, 1.0 / ITEMS, .01); // said 2 / 8 in the mean, shown 1 / 8
}

static void items_that_come_and_go_are_no_mistake(void **state)
{
    (void)state;
    mr_rng rng = mr_rng_make(9, 0, 0, 0, MR_PURPOSE_SAMPLE);
    for (uint32_t t = 0; t < ROUNDS; t++) { // a third of the time one item more
        const uint32_t items = t > ROUNDS / 3 && t < 2 * ROUNDS / 3 ? ITEMS : ITEMS - 1;
        show(mr_rng_below(&rng, items), 0, 1.0 / items);
    }
    const mr_calibration c = judged();
    assert_int_equal(c.judged, ITEMS);
    assert_int_equal(c.more + c.less, 0);
}

// Of each item, all rounds between its first and its last, counted again.
static void figures_equal_those_of_a_log_that_is_kept(void **state)
{
    (void)state;
    enum { POSITIONS = 2 };
    static uint32_t items[ROUNDS];
    static double said[ROUNDS];
    mr_rng rng = mr_rng_make(4, 0, 0, 0, MR_PURPOSE_SAMPLE);
    double distance = 0, trials = 0, shown_all = 0, said_all = 0;
    for (uint32_t t = 0; t < ROUNDS; t++) { // rounds of the two positions take turns
        items[t] = mr_rng_below(&rng, ITEMS);
        said[t] = .1 + .5 * mr_rng_double(&rng);
        show(items[t], t % POSITIONS, said[t]);
    }
    const mr_calibration c = judged();
    for (uint32_t b = 0; b < c.bin_count; b++) {
        distance += fabs(c.bins[b].shown - c.bins[b].said) * c.bins[b].trials;
        trials += c.bins[b].trials;
        shown_all += c.bins[b].shown * c.bins[b].trials;
        said_all += c.bins[b].said * c.bins[b].trials;
    }
    near(c.error, distance / trials, 1e-12);
    for (uint32_t a = 0; a < POSITIONS * ITEMS; a++) {
        uint32_t first = ROUNDS, last = 0;
        double count = 0, sum = 0;
        for (uint32_t t = a % POSITIONS; t < ROUNDS; t += POSITIONS)
            if (items[t] == a / POSITIONS) {
                first = first < ROUNDS ? first : t;
                last = t;
            }
        for (uint32_t t = first + POSITIONS; t < last; t += POSITIONS)
            if (items[t] == a / POSITIONS) {
                count += 1;
                sum += 1 / said[t];
            }
        const double between = (last - first) / (double)POSITIONS - 1;
        trials -= between;
        shown_all -= count;
        said_all -= between * count / sum;
    }
    near(trials, 0, 0);
    near(shown_all, 0, 1e-8);
    near(said_all, 0, 1e-8);
}

static void taking_turns_differs_by_three_quarters_of_a_round(void **state)
{
    (void)state;
    for (uint32_t t = 0; t < 1000; t++)
        show(t % 4, 0, .25);
    const mr_calibration c = judged(); // 248 of the 995 rounds between, 248.75 are said
    assert_int_equal(c.judged, 4);
    assert_int_equal(c.bin_count, 4);
    near(c.error, .75 / 995, 1e-12);
    near(c.bins[0].shown, 248.0 / 995, 1e-12);
    near(c.bins[0].error, sqrt(248.75 * .75) / 995, 1e-12);
    assert_int_equal(c.more + c.less, 0);
}

// Three of eight items by turns, each given those above: below the first an item could not stand
// where it stood already, which these propensities leave out of account.
static void of_lists_the_first_position_alone_is_judged(void **state)
{
    (void)state;
    enum { TOP = 3 };
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SAMPLE);
    for (uint32_t t = 0; t < ROUNDS; t++) {
        uint32_t order[ITEMS];
        for (uint32_t i = 0; i < ITEMS; i++) {
            const uint32_t at = mr_rng_below(&rng, i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        for (uint32_t position = 0; position < TOP; position++)
            show(order[position], position, 1.0 / (ITEMS - position));
    }
    mr_sorted scratch[TOP * ITEMS];
    const mr_calibration first = mr_calibration_of(&arms, true, scratch);
    const mr_calibration all = mr_calibration_of(&arms, false, scratch);
    assert_int_equal(first.judged, ITEMS);
    assert_int_equal(first.more + first.less, 0);
    assert_int_equal(all.judged, TOP * ITEMS);
    assert_true(all.less > ITEMS && all.more == 0);
}

static void what_is_expected_too_seldom_is_not_judged(void **state)
{
    (void)state;
    assert_true(isnan(judged().error));
    for (uint32_t t = 0; t < 1000; t++) // said .008 of some 1,000 rounds
        show(t % 200 == 7 ? 1 : 0, 0, t % 200 == 7 ? .008 : .992);
    const mr_calibration c = judged();
    assert_int_equal(c.judged, 1);
    assert_int_equal(c.rare, 1);
    assert_false(mr_calibration_is_off(&c));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_arms, close_arms)
    const struct CMUnitTest tests[] = {
        TEST(propensities_of_any_context_are_held_to_be_what_they_are),
        TEST(propensities_that_are_too_small_are_wrong_and_too_large_ones_in_doubt),
        TEST(items_that_come_and_go_are_no_mistake),
        TEST(figures_equal_those_of_a_log_that_is_kept),
        TEST(taking_turns_differs_by_three_quarters_of_a_round),
        TEST(of_lists_the_first_position_alone_is_judged),
        TEST(what_is_expected_too_seldom_is_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
