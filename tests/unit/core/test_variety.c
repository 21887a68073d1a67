// SPDX-License-Identifier: Apache-2.0
// variety over a slate of made-up items: the worked figures, items without a category, and lists
// against the greedy sum over pairs.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/list/slate.h"
#include "tests/unit/core/rules.h"

enum { MANY = 40 };

typedef struct stage {
    mr_instance rules[1], policy;
    double config[4], policy_config[3];
    mr_item rows[MANY];
    mr_part part;
    mr_items items;
    mr_view view;
    mr_user user;
    mr_union candidates;
    float relevance[MANY];
    mr_slate slate;
} stage;

// The order of a list of `places` out of `count` items.
static const uint32_t *drawn(const float *relevance, const uint64_t *categories, uint32_t count,
                             uint32_t places, double lambda)
{
    static uint8_t memory[1 << 20] __attribute__((aligned(64)));
    static stage s;
    mr_arena arena;
    mr_arena_init(&arena, memory, sizeof memory);
    memset(&s, 0, sizeof s);
    s.rules[0] = (mr_instance){.state = &rule_called("variety")->state, .config = s.config};
    s.policy = (mr_instance){.state = &mr_policies[0]->state, .config = s.policy_config};
    s.config[0] = lambda;
    s.part = (mr_part){.rows = (uint8_t *)s.rows, .stride = sizeof s.rows[0]};
    s.items.parts = &s.part;
    s.view =
        (mr_view){.items = &s.items, .users = (uint8_t *)&s.user, .user_stride = sizeof s.user};
    s.candidates.count = count;
    for (uint32_t i = 0; i < count; i++) {
        s.candidates.slots[i] = i;
        s.rows[i].categories[0] = categories[i];
        s.relevance[i] = relevance[i];
    }
    s.slate = (mr_slate){.view = &s.view,
                         .candidates = &s.candidates,
                         .relevance = s.relevance,
                         .rules = s.rules,
                         .rule_count = 1,
                         .arena = &arena};
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_POLICY);
    mr_slate_open(&s.slate);
    mr_slate_draw(&s.slate, &s.policy, places, &rng);
    assert_int_equal(s.slate.picked_count, places);
    return s.slate.picked;
}

static double deviation(const float *x, uint32_t count)
{
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    return sqrt(squares / count - sum / count * sum / count);
}

// Scores .9, .85, .6, .55, the third of another category: with .5 it is second, below .25 third.
// The figures take relevance as it is, the rule in deviations.
static void the_worked_figures(void **state)
{
    (void)state;
    static const float relevance[4] = {.9f, .85f, .6f, .55f};
    static const uint64_t categories[4] = {1, 1, 2, 1};
    static const struct {
        double lambda;
        uint32_t picks[3];
    } rows[] = {{0, {0, 1, 2}}, {.24, {0, 1, 2}}, {.5, {0, 2, 1}}};
    for (uint32_t r = 0; r < 3; r++) {
        const uint32_t *picks =
            drawn(relevance, categories, 4, 3, rows[r].lambda / deviation(relevance, 4));
        for (uint32_t p = 0; p < 3; p++)
            assert_int_equal(picks[p], rows[r].picks[p]);
    }
}

static void what_has_no_category_has_no_bonus_and_gives_none(void **state)
{
    (void)state;
    static const float relevance[4] = {.9f, .8f, .7f, .6f};
    static const uint64_t above[4] = {0, 1, 2, 1}, below[4] = {1, 1, 0, 2};
    const uint32_t *picks = drawn(relevance, above, 4, 3, 10);
    assert_int_equal(picks[0], 0);
    assert_int_equal(picks[1], 1);
    picks = drawn(relevance, below, 4, 3, 10);
    assert_int_equal(picks[0], 0);
    assert_int_equal(picks[1], 3);
}

static void lists_are_greedy_in_the_sum_over_pairs(void **state)
{
    (void)state;
    enum { COUNT = 40, PLACES = 12 };
    for (uint64_t seed = 0; seed < 20; seed++) {
        mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
        float relevance[COUNT];
        uint64_t categories[COUNT];
        bool taken[COUNT] = {false};
        for (uint32_t i = 0; i < COUNT; i++) {
            relevance[i] = mr_rng_normal(&rng);
            categories[i] = 1 + mr_rng_below(&rng, 4);
        }
        const double lambda = 0.1 * (double)(1 + seed % 5);
        const double unit = lambda * deviation(relevance, COUNT);
        const uint32_t *picks = drawn(relevance, categories, COUNT, PLACES, lambda);
        for (uint32_t p = 0; p < PLACES; p++) {
            double best = -1e9, have = -1e9;
            for (uint32_t i = 0; i < COUNT; i++) {
                double gain = (double)relevance[i];
                for (uint32_t above = 0; above < p; above++)
                    gain += categories[picks[above]] != categories[i] ? unit : 0;
                best = !taken[i] && gain > best ? gain : best;
                have = i == picks[p] ? gain : have;
            }
            assert_false(taken[picks[p]]);
            assert_true(fabs(have - best) < 1e-5);
            taken[picks[p]] = true;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(what_has_no_category_has_no_bonus_and_gives_none),
        cmocka_unit_test(lists_are_greedy_in_the_sum_over_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
