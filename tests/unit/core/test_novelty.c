// SPDX-License-Identifier: Apache-2.0
// novelty over slates of made-up items: draws and what is said of them against the formula, level 0
// and level 1, clusters that the user knows, clusters by vectors, and the user's own level in an
// engine.
#include <math.h>

#include "core/list/slate.h"
#include "tests/unit/core/asked.h"

enum { MANY = 80, LONG = 16, FAMILIAR = 1000 };
static const int64_t now_ms = 1700000000000;

static float vectors[MANY][LONG];

static const float *vector_of(const mr_instance *self, const mr_view *view, mr_key_kind whose,
                              uint32_t slot, uint32_t *count)
{
    (void)self, (void)view, (void)whose;
    *count = LONG;
    return vectors[slot];
}

static const mr_model space = {.state = {.name = "embedding"}, .vector = vector_of};

// ---- a stage: items with categories, a user who has acted on some of them

enum { LEVEL, COLD_LEVEL, ETA, TEMPERATURE, HALF_LIFE };

typedef struct stage {
    mr_instance instances[1], rules[1], policy;
    double config[5];
    mr_item rows[MANY];
    mr_part part;
    uint64_t keys[MANY];
    mr_items items;
    mr_view view;
    mr_user user;
    mr_union candidates;
    float relevance[MANY];
    float level; // what the user said; NAN: nothing
    double bonus_step;
    bool bars; // candidate 3 may not follow the first one
    uint8_t memory[1 << 20] __attribute__((aligned(64)));
    uint8_t map_memory[1 << 16] __attribute__((aligned(64)));
    mr_arena arena, map_arena;
    mr_slate slate;
} stage;

static stage s;

static void admit(const mr_instance *self, mr_slate *slate, uint64_t *bits)
{
    (void)self;
    if (s.bars && slate->picked_count > 0 && slate->picked[0] == 0)
        bits[0] &= ~(1ull << 3);
}

static void say_level(const mr_instance *self, mr_slate *slate)
{
    (void)self;
    slate->level = s.level;
    for (uint32_t i = 0; s.bonus_step > 0 && i < slate->candidates->count; i++)
        mr_slate_adjust(slate)[i] = (float)(s.bonus_step * i);
}

static const mr_rule a_rule = {.state = {.name = "test"}, .open = say_level, .admit = admit};

// `count` candidates, the first of largest relevance, and a user of many acts who is in the slice.
static void set_stage(uint32_t count, const uint64_t *categories)
{
    memset(&s, 0, sizeof s);
    memset(vectors, 0, sizeof vectors);
    mr_arena_init(&s.arena, s.memory, sizeof s.memory);
    mr_arena_init(&s.map_arena, s.map_memory, sizeof s.map_memory);
    s.instances[0] = (mr_instance){.state = &space.state};
    s.rules[0] = (mr_instance){.state = &a_rule.state};
    memcpy(s.config, (double[]){.1, .3, 1, .8, 86400}, sizeof s.config);
    s.policy.config = s.config;
    for (uint32_t p = 0; p < mr_policy_count; p++)
        if (strcmp(mr_policies[p]->state.name, "novelty") == 0)
            s.policy.state = &mr_policies[p]->state;
    s.part = (mr_part){.rows = (uint8_t *)s.rows, .stride = sizeof s.rows[0]};
    mr_slots_init(&s.items.slots, MANY, &s.map_arena);
    s.items.parts = &s.part;
    s.view = (mr_view){.vec = mr_vec_best(),
                       .items = &s.items,
                       .instances = s.instances,
                       .instance_count = 1,
                       .users = (uint8_t *)&s.user,
                       .user_stride = sizeof s.user,
                       .clock_ms = now_ms};
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(mr_slots_add(&s.items.slots, FAMILIAR + i), i);
    s.candidates.count = count;
    for (uint32_t i = 0; i < count; i++) {
        s.candidates.slots[i] = i;
        s.rows[i].categories[0] = categories != NULL ? categories[i] : 0;
        s.relevance[i] = (float)(count - i);
    }
    s.user.events = 100;
    s.level = NAN;
    s.slate = (mr_slate){.view = &s.view,
                         .candidates = &s.candidates,
                         .relevance = s.relevance,
                         .rules = s.rules,
                         .rule_count = 1,
                         .explore_bp = 10000,
                         .arena = &s.arena};
}

static void has_acted_on(uint32_t item, uint32_t seconds_ago)
{
    s.user.recent[s.user.recent_count++] =
        (mr_recent){.item_key = FAMILIAR + item, .time_s = (uint32_t)(now_ms / 1000) - seconds_ago};
}

static void draw_list(uint32_t number, uint32_t k)
{
    mr_rng rng = mr_rng_make(1, 0, number, 0, MR_PURPOSE_POLICY);
    mr_arena_reset(&s.arena);
    mr_slate_open(&s.slate);
    mr_slate_draw(&s.slate, &s.policy, k, &rng);
    assert_int_equal(s.slate.picked_count, k);
}

// ---- the formula, written anew

static double deviation(void)
{
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < s.candidates.count; i++)
        sum += (double)s.relevance[i] / s.candidates.count;
    for (uint32_t i = 0; i < s.candidates.count; i++)
        squares += pow((double)s.relevance[i] - sum, 2) / s.candidates.count;
    return sqrt(squares);
}

static double value_of(uint32_t i)
{
    return (double)s.relevance[i] + (double)(float)(s.bonus_step * i);
}

// P(item | level, what may stand here, how often the user acted in each category).
static double formula(uint32_t item, double level, const bool *may, const uint64_t *categories,
                      const double *acts)
{
    double clusters = 0, items = 0, weight = 0;
    uint32_t best = UINT32_MAX;
    for (uint64_t c = 1; c <= 4; c++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < s.candidates.count; i++)
            count += may[i] && categories[i] == c;
        const double w = pow(1 / (1 + acts[c]), s.config[ETA]) * sqrt((double)count);
        clusters += w;
        weight = c == categories[item] ? w : weight;
    }
    for (uint32_t i = 0; i < s.candidates.count; i++) {
        if (!may[i])
            continue;
        best = best == UINT32_MAX || value_of(i) > value_of(best) ? i : best;
        if (categories[i] == categories[item])
            items += exp((value_of(i) - value_of(item)) / s.config[TEMPERATURE] / deviation());
    }
    return (1 - level) * (item == best) + level * weight / clusters / items;
}

// Two places of six, under a rule: chi-square of the counts of all pairs against what was said, the
// sum of it over all, and what was said against the formula.
static void draws_are_as_said(double level, double bonus_step)
{
    enum { N = 6, DRAWS = 200000 };
    static const uint64_t categories[N] = {1, 1, 1, 2, 3, 3};
    static const double acts[5] = {0, 1.5, .5, 0, 0}; // a day's half-life
    double count[N][N] = {0}, said[N][N] = {0}, sum = 0, chi = 0;
    uint32_t cells = 0;
    set_stage(N, categories);
    has_acted_on(0, 0);
    has_acted_on(1, 86400);
    has_acted_on(3, 86400);
    s.level = (float)level;
    s.bonus_step = bonus_step;
    s.bars = true;
    for (uint32_t d = 0; d < DRAWS; d++) {
        draw_list(d, 2);
        const uint32_t a = s.slate.picked[0], b = s.slate.picked[1];
        assert_true(said[a][b] == 0 || said[a][b] == s.slate.q[0] * s.slate.q[1]);
        if (said[a][b] == 0) {
            bool may[N] = {1, 1, 1, 1, 1, 1};
            assert_true(fabs(s.slate.q[0] - formula(a, (double)s.level, may, categories, acts)) <
                        1e-9);
            may[a] = false;
            may[3] &= a != 0;
            assert_true(fabs(s.slate.q[1] - formula(b, (double)s.level, may, categories, acts)) <
                        1e-9);
        }
        said[a][b] = s.slate.q[0] * s.slate.q[1];
        count[a][b]++;
    }
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            const double want = said[a][b] * DRAWS;
            sum += said[a][b];
            cells += want > 0;
            chi += want > 0 ? (count[a][b] - want) * (count[a][b] - want) / want : 0;
        }
    assert_int_equal(count[0][3], 0);         // the rule was kept
    assert_int_equal(cells, N * (N - 1) - 1); // all others were seen
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(chi < 66); // 28 degrees of freedom, p = 1e-4
}

static void drawn_lists_have_the_probability_that_they_say(void **state)
{
    (void)state;
    draws_are_as_said(.4, 0);
    draws_are_as_said(1, 0);
    draws_are_as_said(.4, .3);
}

// ---- levels

static const uint64_t four[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
                                  2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4};

static void level_0_is_the_list_by_relevance(void **state)
{
    (void)state;
    set_stage(40, four);
    s.level = 0;
    for (uint32_t d = 0; d < 200; d++) {
        draw_list(d, 10);
        for (uint32_t p = 0; p < 10; p++) {
            assert_int_equal(s.slate.picked[p], p);
            assert_true(s.slate.q[p] == 1);
        }
    }
}

// The best item is of a cluster that is drawn no more than others of its size: nothing comes to the
// first place for being the best of all.
static void level_1_takes_nothing_for_its_relevance_alone(void **state)
{
    enum { N = 8, DRAWS = 100000 };
    (void)state;
    static const uint64_t categories[N] = {1, 1, 2, 2, 3, 3, 4, 4};
    uint32_t first = 0;
    set_stage(N, categories);
    s.level = 1;
    s.config[TEMPERATURE] = .01; // so that the best of a cluster is as good as sure
    for (uint32_t d = 0; d < DRAWS; d++) {
        draw_list(d, 1);
        assert_int_equal(s.slate.picked[0] % 2, 0);
        assert_true(fabs(s.slate.q[0] - .25) < 1e-9);
        first += s.slate.picked[0] == 0;
    }
    assert_true(fabs(first - DRAWS * .25) < 5 * sqrt(DRAWS * .25 * .75));
}

// Share of pairs of a list that are of one category, over many lists.
static double alikeness(double level)
{
    enum { LISTS = 2000, K = 10 };
    double alike = 0;
    s.level = (float)level;
    for (uint32_t d = 0; d < LISTS; d++) {
        draw_list(d, K);
        for (uint32_t a = 0; a < K; a++)
            for (uint32_t b = 0; b < a; b++)
                alike += four[s.slate.picked[a]] == four[s.slate.picked[b]];
    }
    return alike / LISTS / (K * (K - 1) / 2);
}

static void lists_are_the_less_alike_the_higher_the_level(void **state)
{
    (void)state;
    double before = 2;
    set_stage(40, four);
    for (uint32_t i = 0; i < 6; i++)
        has_acted_on(i, 60);
    for (double level = 0; level < .85; level += .2) {
        const double now = alikeness(level);
        assert_true(now < before - .01);
        before = now;
    }
    assert_true(alikeness(0) == 1);
    assert_true(alikeness(1) < .35);
}

static double first_q(void)
{
    draw_list(1, 1);
    return s.slate.q[0];
}

static void who_says_nothing_has_the_level_of_the_configuration(void **state)
{
    (void)state;
    static const uint64_t one[1] = {1}, two[2] = {1, 2};
    set_stage(1, one);
    assert_true(first_q() == 1); // nothing else may stand there
    set_stage(2, two);
    s.config[TEMPERATURE] = 1;
    for (uint32_t events = 0; events < 8; events++) {
        s.user.events = events;
        const double level = events < 5 ? .3 : .1;
        for (uint32_t d = 0; d < 20; d++) {
            draw_list(d, 1);
            const double want = s.slate.picked[0] == 0 ? 1 - level / 2 : level / 2;
            assert_true(fabs(s.slate.q[0] - want) < 1e-12);
        }
        s.level = .5f; // his own word goes before either
        draw_list(0, 1);
        assert_true(fabs(s.slate.q[0] - (s.slate.picked[0] == 0 ? .75 : .25)) < 1e-12);
        s.level = NAN;
    }
}

// ---- what the user knows

// How often the first place is of each category.
static void count_categories(uint32_t draws, const uint64_t *categories, uint32_t count[5])
{
    memset(count, 0, 5 * sizeof count[0]);
    for (uint32_t d = 0; d < draws; d++) {
        draw_list(d, 1);
        count[categories[s.slate.picked[0]]]++;
    }
}

static void what_the_user_knows_is_drawn_less(void **state)
{
    enum { DRAWS = 20000 };
    (void)state;
    uint32_t count[5];
    set_stage(40, four);
    s.level = 1;
    for (uint32_t i = 0; i < 6; i++)
        has_acted_on(i, 0);
    has_acted_on(12, 0);
    s.user.recent[s.user.recent_count++].item_key = 5; // of an item that is gone
    count_categories(DRAWS, four, count);
    const double w[5] = {0, sqrt(12) / 7, sqrt(10) / 2, sqrt(10), sqrt(8)};
    const double sum = w[1] + w[2] + w[3] + w[4];
    for (int c = 1; c < 5; c++) {
        const double p = w[c] / sum;
        assert_true(fabs(count[c] - DRAWS * p) < 5 * sqrt(DRAWS * p * (1 - p)));
    }
    s.config[ETA] = 0; // what he knows is no matter
    count_categories(DRAWS, four, count);
    assert_true(count[1] > count[2] && count[1] > count[4]);
}

// Items without a category: three directions, with some noise around each, the most relevant ones
// of the direction that the user knows.
static void items_without_a_category_are_clustered_by_their_vectors(void **state)
{
    enum { N = 30, DRAWS = 20000 };
    (void)state;
    uint64_t direction[N];
    uint32_t count[5];
    set_stage(N, NULL);
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < N; i++) {
        direction[i] = 1 + i / 10;
        for (uint32_t k = 0; k < LONG; k++)
            vectors[i][k] = (k == direction[i] ? 2.0f : 0.0f) + 0.1f * mr_rng_normal(&rng);
    }
    for (uint32_t i = 0; i < 3; i++)
        has_acted_on(i, 0);
    s.level = 1;
    count_categories(DRAWS, direction, count);
    const double w[5] = {0, .25, 1, 1, 0};
    for (int c = 1; c < 4; c++) {
        const double p = w[c] / 2.25;
        assert_true(fabs(count[c] - DRAWS * p) < 5 * sqrt(DRAWS * p * (1 - p)));
    }
}

// More directions than there is room for, and vectors without any.
static void any_vectors_make_clusters(void **state)
{
    (void)state;
    set_stage(MANY, NULL);
    mr_rng rng = mr_rng_make(4, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < MANY; i++)
        for (uint32_t k = 0; i % 9 != 0 && k < LONG; k++)
            vectors[i][k] = mr_rng_normal(&rng);
    s.level = 1;
    for (uint32_t d = 0; d < 200; d++) {
        draw_list(d, 40);
        for (uint32_t p = 0; p < 40; p++)
            assert_true((float)s.slate.q[p] > 0 && s.slate.q[p] <= 1);
    }
}

// ---- an engine

static void say_explore(mill *m, uint32_t user, double level, int64_t time_ms)
{
    mr_error err;
    made_event made;
    mill_act(&made, MR_EVENT_CONTROL, user, 0, time_ms);
    mr_event *event = &made.arrival.event;
    event->present =
        1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action | 1u << MR_FIELD_value;
    event->action = mr_bytes_text("explore");
    event->value = level;
    if (mill_round(m, &made, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
}

// A user whose word is 1 has no place that is sure; and the same bytes whether the engine goes on
// or is made again from its rows. With a catalogue that names categories, and without.
static void a_control_event_sets_the_level(void **state)
{
    static mill a, b;
    (void)state;
    for (uint32_t described = 0; described < 2; described++) {
        mr_engine_config config = mill_defaults();
        config.tasks = 1;
        config.explore_bp = 10000;
        config.list_interval_ms = 0;
        config.policy = "novelty";
        mill_open(&a, &config);
        mill_open(&b, &config);
        for (uint32_t i = 0; described && i < 6; i++) {
            mill_catalogue(&a, 24 * i, now_ms + i);
            mill_catalogue(&b, 24 * i, now_ms + i);
        }
        for (uint32_t r = 0; r < 24; r += 6) {
            mill_traffic(&a, r, 6, 7);
            mill_traffic(&b, r, 6, 7);
            mill_close_commit(&a);
            mill_close_commit(&b);
            mill_restart(&b, r);
            assert_true(a.lists.low == b.lists.low);
        }
        assert_false(a.bad_q);
        say_explore(&a, 3, 1, now_ms + 100000);
        mill_close_commit(&a);
        assert_true(a.last.explore_level == 1);
        for (uint32_t e = 0; e < a.last.entry_count; e++)
            assert_true(a.last_entries[e].q < .9f);
        assert_string_equal(a.last.policy, "novelty");
        mill_close(&a);
        mill_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_lists_have_the_probability_that_they_say),
        cmocka_unit_test(level_0_is_the_list_by_relevance),
        cmocka_unit_test(level_1_takes_nothing_for_its_relevance_alone),
        cmocka_unit_test(lists_are_the_less_alike_the_higher_the_level),
        cmocka_unit_test(who_says_nothing_has_the_level_of_the_configuration),
        cmocka_unit_test(what_the_user_knows_is_drawn_less),
        cmocka_unit_test(items_without_a_category_are_clustered_by_their_vectors),
        cmocka_unit_test(any_vectors_make_clusters),
        cmocka_unit_test(a_control_event_sets_the_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
