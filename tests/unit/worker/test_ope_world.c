// SPDX-License-Identifier: Apache-2.0
// The whole way of an off-policy estimate with the truth at hand: the product's policy draws lists
// for simulated users and says with which probability, the users click, and another policy is judged
// by that log. Then the other one runs before the same users: do the intervals cover what it earns?
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/list/slate.h"
#include "core/sim/world.h"
#include "worker/ope/slates.h"

enum { WORLDS = 60, USERS = 1500, ITEMS = 100, CANDIDATES = 10, K = 3, RUNS = 4, ESTIMATORS = 3 };

static const mr_ope_estimator estimators[ESTIMATORS] = {
    {MR_OPE_SIPS, INFINITY}, {MR_OPE_SN_SIPS, INFINITY}, {MR_OPE_RIPS, INFINITY}};

// policy plackett_luce over a relevance of its own: the truth, and so much noise.
typedef struct judge {
    double config[3]; // alpha, temperature, epsilon
    double noise;
    uint64_t stream;
    mr_instance policy;
} judge;

typedef struct scene {
    mr_world world;
    void *world_memory, *slate_memory, *ope_memory;
    size_t slate_bytes;
    mr_arena arena;
    mr_view view;
    mr_user user;
    mr_union *candidates;
    mr_slate *slate;
    uint32_t items[CANDIDATES];
    float relevance[MR_UNION_MAX];
    mr_offpolicy ope;
} scene;

static judge make_judge(double temperature, double epsilon, double noise, uint64_t stream)
{
    return (judge){.config = {0, temperature, epsilon}, .noise = noise, .stream = stream};
}

static void bind(judge *j)
{
    j->policy = (mr_instance){.config = j->config};
    for (uint32_t p = 0; p < mr_policy_count; p++)
        if (strcmp(mr_policies[p]->state.name, "plackett_luce") == 0)
            j->policy.state = &mr_policies[p]->state;
    assert_non_null(j->policy.state);
}

static void *zeroed(size_t bytes)
{
    void *memory = aligned_alloc(64, mr_arena_round(bytes));
    assert_non_null(memory);
    return memset(memory, 0, mr_arena_round(bytes));
}

static void open_scene(scene *s, uint64_t seed)
{
    mr_world_config config = mr_world_days();
    mr_arena arena;
    *s = (scene){0};
    config.seed = seed;
    config.users = USERS;
    config.items = ITEMS;
    s->world_memory = zeroed(mr_world_bytes(&config));
    mr_world_init(&s->world, &config, s->world_memory);
    s->slate_bytes = 4096;
    s->slate_memory = zeroed(s->slate_bytes);
    s->candidates = zeroed(sizeof *s->candidates);
    s->slate = zeroed(sizeof *s->slate);
    s->candidates->count = CANDIDATES;
    const size_t bytes = mr_offpolicy_bytes(ESTIMATORS, 0);
    s->ope_memory = zeroed(bytes);
    mr_arena_init(&arena, s->ope_memory, mr_arena_round(bytes));
    mr_offpolicy_init(&s->ope, estimators, ESTIMATORS, 0, seed, &arena);
}

static void close_scene(scene *s)
{
    free(s->world_memory);
    free(s->slate_memory);
    free(s->ope_memory);
    free(s->candidates);
    free(s->slate);
}

// What the judge believes of this user's candidates: as many neighbours in the catalogue from a place
// of his own on.
static void look(scene *s, const judge *j, uint32_t user)
{
    mr_rng rng =
        mr_rng_make(s->world.config.seed, 0, 0, user, (mr_purpose)(MR_PURPOSE_SIM + j->stream));
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        s->items[i] = (user * 7 + i) % ITEMS;
        s->relevance[i] = (float)(mr_world_utility(&s->world, user, s->items[i]) +
                                  j->noise * (double)mr_rng_normal(&rng));
    }
}

static void draw(scene *s, judge *j, uint32_t user, uint32_t run, uint32_t *slate)
{
    look(s, j, user);
    bind(j);
    mr_arena_init(&s->arena, s->slate_memory, s->slate_bytes);
    s->view.users = (uint8_t *)&s->user;
    s->slate->view = &s->view;
    s->slate->user = 0;
    s->slate->candidates = s->candidates;
    s->slate->relevance = s->relevance;
    s->slate->explore_bp = 10000;
    s->slate->arena = &s->arena;
    mr_rng rng = mr_rng_make(s->world.config.seed, run, 0, user, MR_PURPOSE_POLICY);
    mr_slate_open(s->slate);
    mr_slate_draw(s->slate, &j->policy, K, &rng);
    assert_int_equal(s->slate->picked_count, K);
    for (uint32_t place = 0; place < K; place++)
        slate[place] = s->items[s->slate->picked[place]];
}

// The probability of each place of a list under the judge, given the items above, by the formula.
static void chances(scene *s, const judge *j, uint32_t user, const uint32_t picked[K], double q[K])
{
    double mean = 0, squares = 0, weight[CANDIDATES], sum = 0;
    look(s, j, user);
    for (uint32_t i = 0; i < CANDIDATES; i++)
        mean += (double)s->relevance[i] / CANDIDATES;
    for (uint32_t i = 0; i < CANDIDATES; i++)
        squares += ((double)s->relevance[i] - mean) * ((double)s->relevance[i] - mean);
    const double t = j->config[1] * sqrt(squares / CANDIDATES);
    for (uint32_t i = 0; i < CANDIDATES; i++)
        sum += weight[i] = exp(((double)s->relevance[i] - mean) / t);
    for (uint32_t place = 0; place < K; place++) {
        const double even = j->config[2] / (CANDIDATES - place);
        q[place] = (1 - j->config[2]) * weight[picked[place]] / sum + even;
        sum -= weight[picked[place]];
    }
}

// One list of the logging policy, and what the user makes of it.
static void log_list(scene *s, judge *logging, const judge *judged, uint32_t user)
{
    uint32_t slate[K], picked[K];
    double q[K], said[K], weight[K], reward[K] = {0};
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    draw(s, logging, user, 0, slate);
    memcpy(picked, s->slate->picked, sizeof picked);
    memcpy(said, s->slate->q, sizeof said);
    chances(s, logging, user, picked, q);
    for (uint32_t place = 0; place < K; place++)
        assert_true(fabs(q[place] - said[place]) < 1e-6);
    chances(s, judged, user, picked, q);
    for (uint32_t place = 0; place < K; place++)
        weight[place] = q[place] / said[place];
    const mr_world_user before = s->world.users[user];
    const uint32_t count = mr_world_visit(&s->world, user, slate, K, acts);
    s->world.users[user] = before; // everybody is asked about the same mood
    for (uint32_t a = 0; a < count; a++)
        if (acts[a].kind == MR_EVENT_CLICK)
            reward[acts[a].place] += 1;
    mr_slate_add(&s->ope, &(mr_logged_slate){
                              .count = K, .weight = weight, .reward = reward, .cluster = user});
}

// What the judge's lists earn before the same users: clicks that they are to expect, exactly.
static double value_of(scene *s, judge *j)
{
    double sum = 0;
    uint32_t slate[K];
    for (uint32_t user = 0; user < USERS; user++)
        for (uint32_t run = 1; run <= RUNS; run++) {
            draw(s, j, user, run, slate);
            sum += mr_world_expect(&s->world, user, slate, K, NULL) / RUNS;
        }
    return sum / USERS;
}

static void estimates_cover_what_the_judged_policy_earns(void **state)
{
    (void)state;
    uint32_t covered[ESTIMATORS] = {0};
    double bias[ESTIMATORS] = {0}, width[ESTIMATORS] = {0}, value = 0, logged = 0;
    judge logging = make_judge(1.5, 0.2, 1.0, 40), judged = make_judge(0.8, 0.1, 0.3, 41);
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        scene s;
        open_scene(&s, seed);
        for (uint32_t user = 0; user < USERS; user++)
            log_list(&s, &logging, &judged, user);
        const double truth = value_of(&s, &judged);
        value += truth / WORLDS;
        logged += value_of(&s, &logging) / WORLDS;
        for (uint32_t e = 0; e < ESTIMATORS; e++) {
            const mr_interval i = mr_offpolicy_student(&s.ope, e, .95);
            covered[e] += i.low <= truth && truth <= i.high;
            width[e] += (i.high - i.low) / 2 / WORLDS;
            bias[e] += (mr_offpolicy_value(&s.ope, e) - truth) / WORLDS;
        }
        close_scene(&s);
    }
    print_message("logging policy %.4f clicks a list, judged %.4f\n", logged, value);
    for (uint32_t e = 0; e < ESTIMATORS; e++) {
        print_message("%-8s covers %u of %u, off by %+.4f in the mean, 95 %% within %.4f\n",
                      mr_ope_name(estimators[e].kind), covered[e], WORLDS, bias[e], width[e]);
        assert_true(covered[e] >= 51); // 57 are to be expected, give or take 1.7
        assert_true(fabs(bias[e]) < 4 * width[e] / 2 / sqrt(WORLDS));
    }
    assert_true(value > 1.1 * logged); // there was something to find out
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_cover_what_the_judged_policy_earns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
