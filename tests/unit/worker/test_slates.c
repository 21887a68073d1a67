// SPDX-License-Identifier: Apache-2.0
// Every slate of a small world, each as often as the logging policy shows it: what an estimator
// gives then is its expectation, without chance.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/ope/slates.h"

enum { ITEMS = 3 };
static const double logging[ITEMS] = {1, .5, 0}, judged[ITEMS] = {0, .5, 1};
static const double appeal[ITEMS] = {.5, .3, .2};

// Plackett-Luce: chance of the first, and of the second given the first.
static double first(const double *scores, int a)
{
    double sum = 0;
    for (int i = 0; i < ITEMS; i++)
        sum += exp(scores[i]);
    return exp(scores[a]) / sum;
}

static double second(const double *scores, int a, int b)
{
    double sum = 0;
    for (int i = 0; i < ITEMS; i++)
        sum += i == a ? 0 : exp(scores[i]);
    return a == b ? 0 : exp(scores[b]) / sum;
}

static double marginal_second(const double *scores, int b)
{
    double sum = 0;
    for (int a = 0; a < ITEMS; a++)
        sum += first(scores, a) * second(scores, a, b);
    return sum;
}

static double reward_second(int a, int b)
{
    return .6 * appeal[b] + .1 * (a < b);
}

// Expected reward at the second position, given the first item.
static double value_second(const double *scores, int a)
{
    double sum = 0;
    for (int b = 0; b < ITEMS; b++)
        sum += b == a ? 0 : second(scores, a, b) * reward_second(a, b);
    return sum;
}

static const mr_ope_estimator all[] = {
    {MR_OPE_SIPS, INFINITY},       {MR_OPE_RIPS, INFINITY},    {MR_OPE_IIPS, INFINITY},
    {MR_OPE_CASCADE_DR, INFINITY}, {MR_OPE_SN_SIPS, INFINITY},
};
enum { ALL = sizeof all / sizeof *all };

typedef struct expected {
    double mean[ALL], square[ALL];
} expected;

// Adds each slate to an estimator of its own, and weighs what it gives by how often it is shown.
static expected enumerate(const double *shown_by, const double *policy)
{
    expected e = {0};
    double q_policy_first = 0;
    for (int a = 0; a < ITEMS; a++)
        q_policy_first += first(policy, a) * (appeal[a] + value_second(policy, a));
    for (int a = 0; a < ITEMS; a++) {
        for (int b = 0; b < ITEMS; b++) {
            if (a == b)
                continue;
            mr_arena arena;
            mr_offpolicy sums;
            const size_t bytes = mr_offpolicy_bytes(ALL, 0);
            void *memory = aligned_alloc(64, bytes);
            assert_non_null(memory);
            mr_arena_init(&arena, memory, bytes);
            mr_offpolicy_init(&sums, all, ALL, 0, 1, &arena);
            const double weight[] = {first(policy, a) / first(shown_by, a),
                                     second(policy, a, b) / second(shown_by, a, b)};
            const double marginal[] = {weight[0],
                                       marginal_second(policy, b) / marginal_second(shown_by, b)};
            const double reward[] = {appeal[a], reward_second(a, b)};
            const double q[] = {appeal[a] + value_second(policy, a), reward[1]};
            const double q_policy[] = {q_policy_first, value_second(policy, a)};
            const mr_logged_slate slate = {2, weight, marginal, reward, q, q_policy, 1};
            mr_slate_add(&sums, &slate);
            const double chance = first(shown_by, a) * second(shown_by, a, b);
            for (uint32_t i = 0; i < ALL; i++) {
                const double z = mr_offpolicy_value(&sums, i);
                e.mean[i] += chance * z;
                e.square[i] += chance * z * z;
            }
            free(memory);
        }
    }
    return e;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) < 5e-8))
        fail_msg("%.9g is not %.9g", got, want);
}

static void expectations_and_variances_are_those_of_the_enumeration(void **state)
{
    (void)state;
    static const double mean[] = {.5201336, .5201336, .5446255, .5201336};
    const expected e = enumerate(logging, judged);
    for (uint32_t i = 0; i < 4; i++)
        near(e.mean[i], mean[i]);
    near(e.square[0] - e.mean[0] * e.mean[0], .2343295);
    near(e.square[1] - e.mean[1] * e.mean[1], .1256084);
    near(e.square[2] - e.mean[2] * e.mean[2], .0125237);
    near(e.square[3] - e.mean[3] * e.mean[3], 0);
}

static void a_policy_that_is_the_logging_one_has_the_mean_reward(void **state)
{
    (void)state;
    double truth = 0;
    for (int a = 0; a < ITEMS; a++)
        truth += first(logging, a) * (appeal[a] + value_second(logging, a));
    const expected e = enumerate(logging, logging);
    for (uint32_t i = 0; i < ALL; i++)
        near(e.mean[i], truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expectations_and_variances_are_those_of_the_enumeration),
        cmocka_unit_test(a_policy_that_is_the_logging_one_has_the_mean_reward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
