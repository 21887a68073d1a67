// SPDX-License-Identifier: Apache-2.0
// From candidates to a list: the blend's gradient and gate, expected hits under ties, exact
// propensities.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "core/eval/probe.h"
#include "core/list/found.h"
#include "core/list/slate.h"

enum { COLUMNS = 2, CANDIDATES = 40 };

typedef struct fixture {
    mr_columns columns;
    mr_column shown[COLUMNS];
    mr_blend blend;
    mr_blend_column rows[COLUMNS];
    mr_blend_gate gate;
    mr_union candidates;
    float x[MR_FEATURES_MAX * MR_UNION_MAX], relevance[MR_UNION_MAX];
} fixture;

static void setup(fixture *f, uint64_t seed)
{
    memset(f, 0, sizeof *f);
    f->columns.count = f->blend.column_count = f->candidates.column_count = COLUMNS;
    f->shown[0] = (mr_column){"count", MR_SCALE_COUNT};
    f->shown[1] = (mr_column){"real", MR_SCALE_REAL};
    f->blend.gate = &f->gate;
    f->candidates.count = CANDIDATES;
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        f->columns.of[c].column = &f->shown[c];
        f->columns.of[c].key = 100 + c;
        f->blend.columns[c] = &f->rows[c];
        mr_blend_column_init(&f->rows[c], COLUMNS);
        for (uint32_t i = 0; i < CANDIDATES; i++) {
            f->candidates.value[c][i] =
                c == 0 ? (float)mr_rng_below(&rng, 1000) : mr_rng_normal(&rng);
            f->candidates.place[c][i] = i < 20 ? (uint8_t)i : MR_PLACE_NONE;
        }
    }
    mr_blend_features(&f->blend, &f->columns, &f->candidates, 1000, f->x);
    mr_blend_relevance(&f->blend, 1, f->x, CANDIDATES, f->relevance);
}

static double loss(fixture *f, uint32_t target)
{
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_BLEND);
    double sum = 0;
    mr_blend_relevance(&f->blend, 1, f->x, CANDIDATES, f->relevance);
    sum += exp((double)f->relevance[target]);
    for (int d = 0; d < MR_BLEND_DRAWS; d++) {
        const uint32_t i = mr_rng_below(&rng, CANDIDATES);
        if (i != target)
            sum += exp((double)f->relevance[i]);
    }
    return log(sum) - (double)f->relevance[target];
}

static void the_blends_gradient_is_that_of_its_loss(void **state)
{
    (void)state;
    static fixture f;
    setup(&f, 1);
    float gradient[MR_FEATURES_MAX];
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_BLEND);
    mr_blend_gradient(&f.blend, 1, f.x, f.relevance, CANDIDATES, 7, 1.0f, &rng, gradient);
    for (uint32_t c = 0; c < COLUMNS; c++)
        for (uint32_t k = 0; k < MR_FEATURES; k++) {
            const float step = 1e-2f, kept = f.rows[c].weight[k];
            f.rows[c].weight[k] = kept + step;
            const double up = loss(&f, 7);
            f.rows[c].weight[k] = kept - step;
            const double down = loss(&f, 7);
            f.rows[c].weight[k] = kept;
            const double want = (up - down) / (2 * (double)step);
            assert_true(fabs(want - (double)gradient[c * MR_FEATURES + k]) <
                        2e-3 + 1e-2 * fabs(want));
        }
}

static void the_blend_learns_which_column_knows(void **state)
{
    (void)state;
    static fixture f;
    for (uint64_t probe = 0; probe < 400; probe++) {
        mr_blend_column rows[COLUMNS];
        mr_blend_gate gate = f.gate;
        memcpy(rows, f.rows, sizeof rows);
        setup(&f, 100 + probe);
        if (probe > 0) {
            memcpy(f.rows, rows, sizeof rows);
            f.gate = gate;
            mr_blend_relevance(&f.blend, 1, f.x, CANDIDATES, f.relevance);
        }
        uint32_t target = 0; // the item that the second column likes best
        for (uint32_t i = 1; i < CANDIDATES; i++)
            if (f.candidates.value[1][i] > f.candidates.value[1][target])
                target = i;
        mr_blend_lesson lesson = {
            .segment = 1, .in_union = true, .places = {50, 0}, .ndcg = {0.0f, 1.0f, 0.2f}};
        mr_rng rng = mr_rng_make(probe, 0, 0, 0, MR_PURPOSE_BLEND);
        mr_blend_gradient(&f.blend, 1, f.x, f.relevance, CANDIDATES, target, 1.0f, &rng,
                          lesson.gradient);
        const uint32_t arm = mr_blend_arm(&f.blend, &f.columns, 1);
        if (probe < 199)
            assert_int_equal(arm, COLUMNS); // the blend, until there are 200 probes
        mr_blend_learn(&f.blend, &f.columns, &lesson);
    }
    assert_true(f.rows[1].weight[0] > 3 * fabsf(f.rows[0].weight[0]));
    assert_int_equal(mr_blend_arm(&f.blend, &f.columns, 1), 1); // the gate: that column alone
    assert_int_equal(mr_blend_arm(&f.blend, &f.columns, 2), COLUMNS);
}

// ---- the best of what was found

enum { OFFERS = 600 };

typedef struct offers {
    uint64_t keys[OFFERS], shown[OFFERS / 64 + 1];
    uint32_t slots[OFFERS];
    float scores[OFFERS];
    mr_items items;
    uint8_t memory[1 << 16] __attribute__((aligned(64)));
    mr_arena arena;
} offers;

static bool stands_above(const offers *o, uint32_t a, uint32_t b)
{
    return o->scores[a] != o->scores[b] ? o->scores[a] > o->scores[b]
                                        : o->keys[o->slots[a]] < o->keys[o->slots[b]];
}

static void the_best_found_are_those_of_a_full_sort(void **state)
{
    (void)state;
    static offers o;
    static const uint32_t distinct[] = {1, 3, 40, 1u << 30}; // scores: from all equal to none
    o.items.slots.keys = o.keys;
    for (uint32_t round = 0; round < 200; round++) {
        mr_rng rng = mr_rng_make(3, 0, 0, round, MR_PURPOSE_SIM);
        const uint32_t count = mr_rng_below(&rng, OFFERS), kinds = distinct[round % 4];
        for (uint32_t i = 0; i < OFFERS; i++) {
            o.slots[i] = OFFERS - 1 - i;
            o.keys[i] = (uint64_t)mr_rng_u32(&rng) << 32 | i;
            o.scores[i] = (float)mr_rng_below(&rng, kinds) - (float)(kinds / 2);
        }
        mr_found found = {.max = round % 8 < 4 ? 100 : 1 + mr_rng_below(&rng, MR_FOUND_MAX)};
        mr_arena_init(&o.arena, o.memory, sizeof o.memory);
        mr_found_choose(&found, &o.items, o.slots, o.scores, count, &o.arena);
        assert_int_equal(o.arena.used, 0);
        assert_int_equal(found.count, count < found.max ? count : found.max);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t place = 0;
            for (uint32_t j = 0; j < count; j++)
                place += stands_above(&o, j, i);
            if (place < found.count) {
                assert_int_equal(found.slots[place], o.slots[i]);
                assert_true(found.scores[place] == o.scores[i]);
            }
        }
    }
}

static void a_filter_admits_what_is_shown_and_was_not_seen(void **state)
{
    (void)state;
    static offers o;
    static const uint32_t seen[] = {0, 63, 64, 70, 511, 512, 599}; // 0 and 512 share a hint
    o.items.shown = o.shown;
    for (uint32_t slot = 0; slot < OFFERS; slot++)
        if (slot % 7 != 3)
            o.shown[slot / 64] |= 1ull << (slot % 64);
    for (uint32_t count = 0; count <= sizeof seen / sizeof seen[0]; count++) {
        const mr_filter filter = mr_filter_make(&o.items, seen, count);
        for (uint32_t slot = 0; slot < OFFERS; slot++) {
            bool was_seen = false;
            for (uint32_t i = 0; i < count; i++)
                was_seen |= seen[i] == slot;
            assert_int_equal(mr_filter_admits(&filter, slot), slot % 7 != 3 && !was_seen);
        }
    }
}

static void ties_count_by_expectation(void **state)
{
    (void)state;
    // Three items at ranks 19, 20, 21 share the score: two of three orders hit at 20.
    mr_hit_value hit = mr_hit_value_of(18, 3);
    assert_true(fabs((double)hit.recall - 2.0 / 3) < 1e-6);
    assert_true(fabs((double)hit.rr - (1.0 / 19 + 1.0 / 20) / 3) < 1e-6);
    assert_true(fabs((double)hit.ndcg - (1 / log2(20) + 1 / log2(21)) / 3) < 1e-6);
    // A model that scores 1,000 items alike gets what chance gets.
    hit = mr_hit_value_of(0, 1000);
    assert_true(fabs((double)hit.recall - 0.02) < 1e-6);
    hit = mr_hit_value_of(0, 1);
    assert_true(hit.recall == 1 && hit.rr == 1 && fabsf(hit.ndcg - 1) < 1e-6f);
    hit = mr_hit_value_of(20, 1);
    assert_true(hit.recall == 0 && hit.ndcg == 0);
}

// ---- propensities

static mr_instance policy, rules[1];
static mr_user user;
static const mr_view view = {
    .users = (uint8_t *)&user, .user_stride = sizeof user, .acts = 400}; // gamma = 20 gamma_scale
static double policy_config[3];                                          // its parameters, in order
static uint8_t list_memory[1 << 20] __attribute__((aligned(64)));
static mr_arena list_arena;
static uint32_t forbidden_above; // the rule: this candidate may not follow a picked one

static void admit(const mr_instance *self, mr_slate *slate, uint64_t *bits)
{
    (void)self;
    if (slate->picked_count > 0 && slate->picked[0] == 0)
        bits[0] &= ~(1ull << forbidden_above);
}

static const mr_rule a_rule = {.state = {.name = "test"}, .admit = admit};

static void choose_policy(const char *name, double first, double second, double third)
{
    policy = (mr_instance){.config = policy_config};
    for (uint32_t p = 0; p < mr_policy_count; p++)
        if (strcmp(mr_policies[p]->state.name, name) == 0)
            policy.state = &mr_policies[p]->state;
    assert_non_null(policy.state);
    policy_config[0] = first;
    policy_config[1] = second;
    policy_config[2] = third;
}

static void open_slate(mr_slate *slate, mr_union *candidates, float *relevance, float *mean,
                       float *deviation, uint32_t count)
{
    mr_arena_init(&list_arena, list_memory, sizeof list_memory);
    slate->arena = &list_arena;
    rules[0] = (mr_instance){.state = &a_rule.state};
    candidates->count = count;
    for (uint32_t i = 0; i < count; i++) {
        relevance[i] = (float)(count - i);
        mean[i] = 0.1f * (float)(i * i % 5);
        deviation[i] = 0.05f + 0.05f * (float)i;
    }
    slate->view = &view;
    slate->candidates = candidates;
    slate->relevance = relevance;
    slate->mean = mean;
    slate->deviation = deviation;
    slate->rules = rules;
}

// Two places of five, drawn so often: chi-square of the counts of all ordered pairs against the
// product of the probabilities that were said with them.
static void draws_are_as_said(uint32_t draws, double bonus_step)
{
    enum { N = 5, PAIRS = N * (N - 1) - 1 };
    static mr_slate slate;
    static mr_union candidates;
    double count[N][N] = {0}, said[N][N] = {0};
    float relevance[N], mean[N], deviation[N];
    open_slate(&slate, &candidates, relevance, mean, deviation, N);
    slate.explore_bp = 10000;
    slate.rule_count = 1;
    forbidden_above = 3;
    for (uint32_t d = 0; d < draws; d++) {
        mr_rng rng = mr_rng_make(1, 0, d, 0, MR_PURPOSE_POLICY);
        mr_arena_reset(&list_arena);
        mr_slate_open(&slate);
        for (uint32_t i = 0; bonus_step > 0 && i < N; i++)
            mr_slate_adjust(&slate)[i] = (float)bonus_step * (float)i;
        mr_slate_draw(&slate, &policy, 2, &rng);
        assert_int_equal(slate.picked_count, 2);
        const double q = slate.q[0] * slate.q[1];
        double *before = &said[slate.picked[0]][slate.picked[1]];
        assert_true(*before == 0 || *before == q);
        *before = q;
        count[slate.picked[0]][slate.picked[1]]++;
    }
    double sum = 0, chi = 0;
    uint32_t cells = 0;
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            if (count[a][b] == 0)
                continue;
            sum += said[a][b];
            const double want = said[a][b] * draws;
            chi += (count[a][b] - want) * (count[a][b] - want) / want;
            cells++;
        }
    assert_int_equal(count[0][3], 0); // the rule was kept
    assert_int_equal(cells, PAIRS);   // every other ordered pair was seen
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(chi < 49); // 18 degrees of freedom, p = 1e-4
}

static void drawn_slates_have_the_probability_that_they_say(void **state)
{
    (void)state;
    choose_policy("plackett_luce", 0.3, 0.7, 0.1);
    draws_are_as_said(1000000, 0);
    draws_are_as_said(1000000, 0.5);
    choose_policy("epsilon_greedy", 0.3, 0, 0);
    draws_are_as_said(1000000, 0);
    draws_are_as_said(1000000, 0.5);
    choose_policy("square_cb", 0.5, 0.5, 0);
    draws_are_as_said(1000000, 0);
    draws_are_as_said(1000000, 0.5);
    choose_policy("thompson", 1.5, 0, 0); // fifty times the cost of the others
    draws_are_as_said(200000, 0);
    draws_are_as_said(100000, 0.1);
}

static void a_list_without_a_candidate_stays_empty(void **state)
{
    (void)state;
    static mr_slate slate;
    static mr_union candidates;
    float nothing[1] = {0};
    for (uint32_t p = 0; p < mr_policy_count; p++)
        for (uint32_t explore_bp = 0; explore_bp <= 10000; explore_bp += 10000) {
            memset(&slate, 0x3f, sizeof slate); // as the engine's scratch may be
            choose_policy(mr_policies[p]->state.name, 1, 0.5, 0.1);
            open_slate(&slate, &candidates, nothing, nothing, nothing, 0);
            slate.user = slate.rule_count = 0;
            slate.explore_bp = explore_bp;
            mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_POLICY);
            mr_slate_open(&slate);
            mr_slate_draw(&slate, &policy, 10, &rng);
            assert_int_equal(slate.picked_count, 0);
        }
}

static void square_cb_gives_the_worked_figures(void **state)
{
    (void)state;
    enum { N = 3 };
    static mr_slate slate;
    static mr_union candidates;
    float relevance[N], mean[N], deviation[N];
    static const double want[N] = {0.6888889, 0.1111111, 0.2};
    choose_policy("square_cb", 1, 0.5, 0); // gamma = sqrt(400)
    open_slate(&slate, &candidates, relevance, mean, deviation, N);
    mean[0] = 0.8f;
    mean[1] = 0.5f;
    mean[2] = 0.7f;
    slate.explore_bp = 10000;
    slate.rule_count = 0;
    uint32_t seen = 0;
    for (uint32_t d = 0; d < 200; d++) {
        mr_rng rng = mr_rng_make(1, 0, d, 0, MR_PURPOSE_POLICY);
        mr_arena_reset(&list_arena);
        mr_slate_open(&slate);
        mr_slate_draw(&slate, &policy, 1, &rng);
        assert_true(fabs(slate.q[0] - want[slate.picked[0]]) < 1e-6);
        seen |= 1u << slate.picked[0];
    }
    assert_int_equal(seen, 7);
}

// Each ordered pair's probability for means .3, .25, .1 and deviations .1, .2, .15.
static void thompson_gives_the_worked_figures(void **state)
{
    (void)state;
    enum { N = 3 };
    static mr_slate slate;
    static mr_union candidates;
    float relevance[N], mean[N], deviation[N];
    static const double want[N][N] = {
        {0, 0.3856, 0.1457}, {0.3378, 0, 0.0521}, {0.0464, 0.0324, 0}};
    choose_policy("thompson", 1, 0, 0);
    open_slate(&slate, &candidates, relevance, mean, deviation, N);
    memcpy(mean, (float[]){0.3f, 0.25f, 0.1f}, sizeof mean);
    memcpy(deviation, (float[]){0.1f, 0.2f, 0.15f}, sizeof deviation);
    slate.explore_bp = 10000;
    slate.rule_count = 0;
    uint32_t seen = 0;
    for (uint32_t d = 0; d < 500; d++) {
        mr_rng rng = mr_rng_make(1, 0, d, 0, MR_PURPOSE_POLICY);
        mr_arena_reset(&list_arena);
        mr_slate_open(&slate);
        mr_slate_draw(&slate, &policy, 2, &rng);
        const uint32_t a = slate.picked[0], b = slate.picked[1];
        assert_true(fabs(slate.q[0] * slate.q[1] - want[a][b]) < 6e-5);
        seen |= 1u << (a * N + b);
    }
    assert_int_equal(__builtin_popcount(seen), 6);
}

static void without_exploration_the_list_is_sorted_and_q_is_one(void **state)
{
    (void)state;
    enum { N = 30 };
    static mr_slate slate;
    static mr_union candidates;
    float relevance[N], mean[N], deviation[N];
    choose_policy("plackett_luce", 0.3, 0.7, 0.1);
    open_slate(&slate, &candidates, relevance, mean, deviation, N);
    relevance[4] = relevance[5] = 100; // equal: in the order in which they stand
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_POLICY);
    mr_slate_open(&slate);
    mr_slate_draw(&slate, &policy, 40, &rng);
    assert_int_equal(slate.picked_count, N);
    assert_int_equal(slate.picked[0], 4);
    assert_int_equal(slate.picked[1], 5);
    for (uint32_t p = 1; p < N; p++) {
        assert_true(relevance[slate.picked[p - 1]] >= relevance[slate.picked[p]]);
        assert_true(slate.q[p] == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_blends_gradient_is_that_of_its_loss),
        cmocka_unit_test(the_blend_learns_which_column_knows),
        cmocka_unit_test(the_best_found_are_those_of_a_full_sort),
        cmocka_unit_test(a_filter_admits_what_is_shown_and_was_not_seen),
        cmocka_unit_test(ties_count_by_expectation),
        cmocka_unit_test(drawn_slates_have_the_probability_that_they_say),
        cmocka_unit_test(a_list_without_a_candidate_stays_empty),
        cmocka_unit_test(square_cb_gives_the_worked_figures),
        cmocka_unit_test(thompson_gives_the_worked_figures),
        cmocka_unit_test(without_exploration_the_list_is_sorted_and_q_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
