// SPDX-License-Identifier: Apache-2.0
// Lists of three items, two long, each as often as a logging policy shows it: estimates are then
// expectations, and must be the value of the judged policy, which is added up by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/ope/lists.h"

enum { ITEMS = 3 };
// Chances by position: of whom made the log, and of the policy that is judged.
static const double logged[2][ITEMS] = {{.5, .3, .2}, {.2, .3, .5}};
static const double judged[2][ITEMS] = {{.1, .3, .6}, {.25, .5, .25}};

static double given(const double *chances, int above, int item)
{
    return above == item ? 0 : chances[item] / (1 - chances[above]);
}

static double reward(int above, int item) // at the second position; it depends on the first
{
    return .1 + .2 * item + (above < item ? .3 : 0);
}

static uint64_t key_of(int item)
{
    return 1000u + (unsigned)item;
}

static mr_arms arms_of(void)
{
    mr_arms arms;
    mr_error err;
    assert_int_equal(mr_arms_open(&arms, &err), MR_OK);
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < ITEMS; i++) {
            uint32_t arm;
            assert_int_equal(mr_arms_at(&arms, key_of(i), p, &arm, &err), MR_OK);
            arms.arms[arm].rounds = 40 + 10 * i + p; // a reward model that is wrong: it may be
            arms.arms[arm].reward = 3 * i + 2 * p;
            arms.arms[arm].shown = 1000 * judged[p][i];
        }
        arms.positions[p].shown = 1000;
    }
    mr_arms_frequencies(&arms);
    mr_arms_settle(&arms);
    return arms;
}

static mr_list_weights weigh(const mr_arms *arms, int a, int b, const double (*chances)[ITEMS])
{
    const mr_bandit_round rounds[2] = {
        {.item_key = key_of(a), .position = 0, .propensity = chances[0][a], .reward = .4 * a},
        {.item_key = key_of(b),
         .position = 1,
         .propensity = given(chances[1], a, b),
         .reward = reward(a, b)},
    };
    mr_list_weights w;
    mr_list_weigh(arms, rounds, 2, &w);
    return w;
}

static double value_of_one(mr_ope_kind kind, mr_list_weights *w)
{
    const mr_ope_estimator estimator = {kind, INFINITY};
    mr_arena arena;
    mr_offpolicy policy;
    const size_t bytes = mr_offpolicy_bytes(1, 0);
    void *memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    mr_arena_init(&arena, memory, bytes);
    mr_offpolicy_init(&policy, &estimator, 1, 0, 1, &arena);
    w->slate = (mr_logged_slate){
        .count = 2, .weight = w->weight, .reward = w->reward, .q = w->q, .q_policy = w->q_policy};
    mr_slate_add(&policy, &w->slate);
    const double value = mr_offpolicy_value(&policy, 0);
    free(memory);
    return value;
}

static void expectations_are_the_value_of_the_policy(void **state)
{
    static const mr_ope_kind kinds[] = {MR_OPE_SIPS, MR_OPE_RIPS, MR_OPE_CASCADE_DR};
    mr_arms arms = arms_of();
    double value = 0;
    (void)state;
    for (int a = 0; a < ITEMS; a++) {
        for (int b = 0; b < ITEMS; b++)
            value += judged[0][a] * given(judged[1], a, b) * (.4 * a + reward(a, b));
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        double expected = 0;
        for (int a = 0; a < ITEMS; a++) {
            for (int b = 0; b < ITEMS; b++) {
                if (a == b)
                    continue;
                mr_list_weights w = weigh(&arms, a, b, logged);
                expected += logged[0][a] * given(logged[1], a, b) * value_of_one(kinds[k], &w);
            }
        }
        assert_true(fabs(expected - value) < 1e-12);
    }
    mr_arms_close(&arms);
}

static void a_policy_that_made_the_log_has_weights_of_one(void **state)
{
    mr_arms arms = arms_of();
    (void)state;
    const mr_list_weights w = weigh(&arms, 2, 0, judged);
    assert_true(fabs(w.whole - 1) < 1e-12);
    assert_true(fabs(w.chance - given(judged[1], 2, 0)) < 1e-12);
    assert_true(w.unsupported == 0);
    mr_arms_close(&arms);
}

static void a_list_that_the_policy_cannot_make_weighs_nothing(void **state)
{
    mr_arms arms = arms_of();
    (void)state;
    for (uint32_t i = 0; i < arms.count; i++) {
        if (arms.arms[i].position == 1) // nothing but the first item at the second position
            arms.arms[i].chance = arms.arms[i].item_key == key_of(0);
    }
    const mr_list_weights w = weigh(&arms, 0, 1, logged);
    assert_true(w.weight[1] == 0 && w.whole == 0 && w.chance == 0);
    assert_true(isfinite(w.q[1]) && isfinite(w.q_policy[1]));
    mr_arms_close(&arms);
}

static bool take(mr_list_rounds *list, uint64_t number, uint32_t entry, uint32_t entries)
{
    return mr_list_take(
        list,
        &(mr_bandit_round){
            .list = number, .entry = entry, .entries = entries, .propensity = 1, .reward = 1});
}

static void lists_are_whole_with_their_first_entries_or_left_out(void **state)
{
    mr_list_rounds list = {.top = 2};
    (void)state;
    assert_false(take(&list, 5, 0, 3));
    assert_true(take(&list, 5, 1, 3));
    assert_false(take(&list, 5, 2, 3)); // below those that count
    assert_true(take(&list, 6, 0, 1));  // shorter
    assert_false(take(&list, 7, 1, 3)); // its first has no propensity
    assert_false(take(&list, 7, 2, 3));
    assert_false(take(&list, 8, 0, 3));
    assert_false(take(&list, 8, 2, 3)); // and here its second
    assert_int_equal(list.begun, 4);
    assert_int_equal(list.whole, 2);
    assert_true(list.reward == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expectations_are_the_value_of_the_policy),
        cmocka_unit_test(a_policy_that_made_the_log_has_weights_of_one),
        cmocka_unit_test(a_list_that_the_policy_cannot_make_weighs_nothing),
        cmocka_unit_test(lists_are_whole_with_their_first_entries_or_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
