// SPDX-License-Identifier: Apache-2.0
// Worlds whose policies' values are known, a thousand logs of each: how often the interval of an
// estimator whose assumptions hold has the value in it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "worker/ope/slates.h"

enum { LOGS = 1000, ROUNDS = 400, RESAMPLES = 200, LEAST = 930, MOST = 970, PLACES = 3 };

typedef struct world {
    const char *name;
    const mr_ope_estimator *estimators;
    uint32_t count;
    double value; // of the policy
    void (*log)(mr_rng *rng, uint64_t round, mr_offpolicy *policy);
} world;

typedef struct hits { // of how many logs
    uint32_t student, bootstrap;
} hits;

static bool has(mr_interval interval, double value)
{
    return interval.low <= value && value <= interval.high;
}

static void judge(const world *w, uint64_t seed, hits *covered)
{
    mr_arena arena;
    mr_offpolicy policy;
    mr_sorted scratch[RESAMPLES];
    const size_t bytes = mr_offpolicy_bytes(w->count, RESAMPLES);
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    mr_arena_init(&arena, memory, bytes);
    mr_offpolicy_init(&policy, w->estimators, w->count, RESAMPLES, seed, &arena);
    mr_rng rng = mr_rng_make(seed, 1, 0, 0, MR_PURPOSE_SIM);
    for (uint64_t t = 0; t < ROUNDS; t++)
        w->log(&rng, t, &policy);
    for (uint32_t e = 0; e < w->count; e++) {
        covered[e].student += has(mr_offpolicy_student(&policy, e, .95), w->value);
        covered[e].bootstrap += has(mr_offpolicy_bootstrap(&policy, e, .95, scratch), w->value);
    }
    free(memory);
}

static void intervals_cover(const world *w)
{
    hits covered[MR_OPE_ESTIMATORS_MAX] = {{0}};
    bool all = true;
    for (uint64_t seed = 0; seed < LOGS; seed++)
        judge(w, seed, covered);
    for (uint32_t e = 0; e < w->count; e++) {
        const uint32_t student = covered[e].student, bootstrap = covered[e].bootstrap;
        print_message("%-10s %-10s of %d logs: student %u, bootstrap %u\n", w->name,
                      mr_ope_name(w->estimators[e].kind), LOGS, student, bootstrap);
        all = all && student >= LEAST && student <= MOST && bootstrap >= LEAST && bootstrap <= MOST;
    }
    assert_true(all);
}

// Two actions in a context x of [0, 1); which is logged, and what each earns, depends on x.
static double earns(bool one, double x)
{
    return one ? .2 + .5 * x : .3;
}

static void log_logged(mr_rng *rng, uint64_t t, mr_offpolicy *policy)
{
    const double x = mr_rng_double(rng), p = .25 + .5 * x, e = .7;
    const bool one = mr_rng_double(rng) < p;
    const mr_logged_round round = {
        .weight = one ? e / p : (1 - e) / (1 - p),
        .reward = mr_rng_double(rng) < earns(one, x),
        .q = one ? .3 : .25, // wrong on purpose: those that weigh have to bear it
        .q_policy = e * .3 + (1 - e) * .25,
        .cluster = t,
    };
    mr_offpolicy_add(policy, &round);
}

static void estimators_that_weigh(void **state)
{
    (void)state;
    // No weight is above 2.8: where one is cut off or mixed, it is at 3.
    static const mr_ope_estimator estimators[] = {
        {MR_OPE_IPS, INFINITY}, {MR_OPE_IPS, 3},          {MR_OPE_SNIPS, INFINITY},
        {MR_OPE_DR, INFINITY},  {MR_OPE_DR, 3},           {MR_OPE_SNDR, INFINITY},
        {MR_OPE_SWITCH_DR, 3},  {MR_OPE_DR_OS, INFINITY}, {MR_OPE_SG_IPS, 0},
        {MR_OPE_SG_DR, 0},
    };
    intervals_cover(&(world){"weighed", estimators, sizeof estimators / sizeof *estimators,
                             .7 * (.2 + .25) + .3 * .3, log_logged});
}

static void log_modelled(mr_rng *rng, uint64_t t, mr_offpolicy *policy)
{
    const double x = mr_rng_double(rng), e = .7;
    const bool one = mr_rng_double(rng) < .5;
    const mr_logged_round round = {
        .weight = one ? 2 * e : 2 * (1 - e),
        .reward = mr_rng_double(rng) < earns(one, x),
        .q = earns(one, x), // the truth: what the direct method takes for granted
        .q_policy = e * earns(true, x) + (1 - e) * earns(false, x),
        .cluster = t,
    };
    mr_offpolicy_add(policy, &round);
}

static void the_direct_method_where_its_model_is_right(void **state)
{
    (void)state;
    static const mr_ope_estimator estimators[] = {{MR_OPE_DM, INFINITY}, {MR_OPE_DR, INFINITY}};
    intervals_cover(&(world){"modelled", estimators, 2, .7 * (.2 + .25) + .3 * .3, log_modelled});
}

// The policy takes action one where x is above a half; the log took either by a coin.
static void log_matched(mr_rng *rng, uint64_t t, mr_offpolicy *policy)
{
    const double x = mr_rng_double(rng);
    const bool one = mr_rng_double(rng) < .5, match = one == (x > .5);
    const mr_logged_round round = {.weight = match ? 2 : 0,
                                   .reward = mr_rng_double(rng) < earns(one, x),
                                   .match = match,
                                   .cluster = t};
    mr_offpolicy_add(policy, &round);
}

static void the_replay_method_on_a_log_of_coins(void **state)
{
    (void)state;
    static const mr_ope_estimator estimators[] = {{MR_OPE_REPLAY, INFINITY}};
    // Half of all contexts earn .3, the others .2 + .5 x with x at .75 on average.
    intervals_cover(&(world){"matched", estimators, 1, .5 * .3 + .5 * (.2 + .375), log_matched});
}

// Three positions with two items each; what a position earns depends on its own item alone, so
// that the assumptions of all estimators of slates hold.
static const double shown[PLACES] = {.5, .4, .6}, wanted[PLACES] = {.7, .6, .5};
static const double pays[PLACES][2] = {{.2, .5}, {.3, .4}, {.1, .3}};

static double worth(uint32_t place, const double *policy)
{
    return policy[place] * pays[place][1] + (1 - policy[place]) * pays[place][0];
}

static void log_slate(mr_rng *rng, uint64_t t, mr_offpolicy *policy)
{
    double weight[PLACES], reward[PLACES], q[PLACES], q_policy[PLACES], below = 0;
    bool one[PLACES];
    for (uint32_t j = 0; j < PLACES; j++) {
        one[j] = mr_rng_double(rng) < shown[j];
        weight[j] = one[j] ? wanted[j] / shown[j] : (1 - wanted[j]) / (1 - shown[j]);
        reward[j] = mr_rng_double(rng) < pays[j][one[j]];
    }
    for (uint32_t j = PLACES; j-- > 0;) { // a model that is half right
        q[j] = .5 * pays[j][one[j]] + below;
        below += .5 * worth(j, wanted);
        q_policy[j] = below;
    }
    const mr_logged_slate slate = {PLACES, weight, weight, reward, q, q_policy, t};
    mr_slate_add(policy, &slate);
}

static void estimators_of_slates(void **state)
{
    (void)state;
    static const mr_ope_estimator estimators[] = {
        {MR_OPE_SIPS, INFINITY}, {MR_OPE_SN_SIPS, INFINITY},    {MR_OPE_RIPS, INFINITY},
        {MR_OPE_IIPS, INFINITY}, {MR_OPE_CASCADE_DR, INFINITY},
    };
    double value = 0;
    for (uint32_t j = 0; j < PLACES; j++)
        value += worth(j, wanted);
    intervals_cover(&(world){"slates", estimators, 5, value, log_slate});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimators_that_weigh),
        cmocka_unit_test(the_direct_method_where_its_model_is_right),
        cmocka_unit_test(the_replay_method_on_a_log_of_coins),
        cmocka_unit_test(estimators_of_slates),
    };
    return cmocka_run_group_tests_name("intervals", tests, NULL, NULL);
}
