// SPDX-License-Identifier: Apache-2.0
// marketplace: the worked figures, lists of one model and of equal ones, draws against what is said
// of them, and an engine whose users click what one model proposes.
#include "core/list/slate.h"
#include "core/model/marketplace.h"
#include "tests/unit/core/asked.h"

enum { N = 5 };

static void shares_are_the_worked_figures(void **state)
{
    (void)state;
    const double w[] = {0, .5, -.2}, want[] = {.2928899, .4612698, .2458403};
    double p[4];
    mr_market_exponential(w, 3, .1, p);
    for (int m = 0; m < 3; m++)
        assert_true(fabs(p[m] - want[m]) < 1e-6);
    const double mean[] = {.3, .25, .1, 0}, deviation[] = {.1, .2, .15, .05};
    const double first[] = {.5310451, .3898650, .0787835, .0003064};
    mr_market_first(mean, deviation, 4, 0, p);
    for (int m = 0; m < 4; m++)
        assert_true(fabs(p[m] - first[m]) < 1e-6);
    mr_market_first(mean, deviation, 4, .2, p);
    for (int m = 0; m < 4; m++)
        assert_true(fabs(p[m] - (.8 * first[m] + .05)) < 1e-6);
    mr_market_first(mean, deviation, 1, .2, p);
    assert_true(fabs(p[0] - 1) < 1e-12);
}

// ---- lists outside an engine: no model has a tally

static mr_instance policy, rules[1];
static mr_user user;
static mr_union candidates;
static mr_slate slate;
static const mr_view view = {.users = (uint8_t *)&user, .user_stride = sizeof user};
static double policy_config[6] = {0, .05, .01, 20, 20, 86400};
static uint8_t list_memory[1 << 20] __attribute__((aligned(64)));
static mr_arena list_arena;

// Columns whose own lists are these, candidates by number.
static void open_lists(uint32_t columns, const uint32_t lists[][N])
{
    static float relevance[N];
    policy = (mr_instance){.config = policy_config};
    for (uint32_t p = 0; p < mr_policy_count; p++)
        if (strcmp(mr_policies[p]->state.name, "marketplace") == 0)
            policy.state = &mr_policies[p]->state;
    mr_arena_init(&list_arena, list_memory, sizeof list_memory);
    memset(&slate, 0, sizeof slate);
    candidates.count = N;
    candidates.column_count = columns;
    for (uint32_t c = 0; c < columns; c++)
        for (uint32_t i = 0; i < N; i++) {
            candidates.place[c][lists[c][i]] = (uint8_t)i;
            candidates.value[c][lists[c][i]] = (float)(N - i);
        }
    slate.arena = &list_arena;
    slate.view = &view;
    slate.candidates = &candidates;
    slate.relevance = relevance;
    slate.rules = rules;
    slate.explore_bp = 10000;
}

static void draw_list(uint32_t number, uint32_t k)
{
    mr_rng rng = mr_rng_make(1, 0, number, 0, MR_PURPOSE_POLICY);
    mr_arena_reset(&list_arena);
    mr_slate_open(&slate);
    mr_slate_draw(&slate, &policy, k, &rng);
}

static void equal_models_are_one_model(void **state)
{
    (void)state;
    static const uint32_t lists[][N] = {{3, 1, 4, 0, 2}, {3, 1, 4, 0, 2}, {3, 1, 4, 0, 2}};
    for (uint32_t columns = 1; columns <= 3; columns += 2) {
        open_lists(columns, lists);
        draw_list(columns, N);
        assert_int_equal(slate.picked_count, N);
        for (uint32_t i = 0; i < N; i++) {
            assert_int_equal(slate.picked[i], lists[0][i]);
            assert_true(fabs(slate.q[i] - 1) < 1e-12);
        }
    }
}

static void admit(const mr_instance *self, mr_slate *list, uint64_t *bits)
{
    (void)self;
    if (list->picked_count > 0 && list->picked[0] == 0)
        bits[0] &= ~(1ull << 3);
}

static const mr_rule a_rule = {.state = {.name = "test"}, .admit = admit};

// Two places of five, under a rule; chi-square of the counts of all pairs against q.
static void draws_are_as_said(double bonus_step)
{
    enum { DRAWS = 200000 };
    static const uint32_t lists[][N] = {
        {0, 3, 1, 2, 4}, {0, 2, 1, 3, 4}, {1, 3, 0, 2, 4}, {4, 2, 0, 1, 3}};
    double count[N][N] = {0}, said[N][N] = {0}, sum = 0, chi = 0;
    uint32_t cells = 0;
    open_lists(4, lists);
    rules[0] = (mr_instance){.state = &a_rule.state};
    slate.rule_count = 1;
    for (uint32_t d = 0; d < DRAWS; d++) {
        mr_rng rng = mr_rng_make(1, 0, d, 0, MR_PURPOSE_POLICY);
        mr_arena_reset(&list_arena);
        mr_slate_open(&slate);
        for (uint32_t i = 0; bonus_step > 0 && i < N; i++)
            mr_slate_adjust(&slate)[i] = (float)bonus_step * (float)i;
        mr_slate_draw(&slate, &policy, 2, &rng);
        assert_int_equal(slate.picked_count, 2);
        double *before = &said[slate.picked[0]][slate.picked[1]];
        assert_true(*before == 0 || *before == slate.q[0] * slate.q[1]);
        *before = slate.q[0] * slate.q[1];
        count[slate.picked[0]][slate.picked[1]]++;
    }
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            const double want = said[a][b] * DRAWS;
            sum += said[a][b];
            cells += want > 0;
            chi += want > 0 ? (count[a][b] - want) * (count[a][b] - want) / want : 0;
        }
    assert_int_equal(count[0][3], 0); // the rule was kept
    assert_true(cells >= 6);
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(chi < 40); // at most 19 degrees of freedom, p = .003
}

static void drawn_lists_have_the_probability_that_they_say(void **state)
{
    (void)state;
    draws_are_as_said(0);
    draws_are_as_said(0.3);
    policy_config[0] = 1;
    draws_are_as_said(0);
    policy_config[0] = 0;
}

// ---- an engine

enum { TALLY = 8 + 3 * 24, COLUMNS = MR_ENGINE_COLUMNS_MAX };

typedef struct heard { // the newest list of each user
    char items[120][10][8];
    uint32_t count[120], wanted[120];
    uint32_t sources[120][10];
} heard;

static void hear(void *context, const mr_list *list)
{
    heard *h = context;
    const uint32_t u = (uint32_t)atoi((const char *)list->user.data + 1) % 120;
    h->count[u] = list->entry_count;
    for (uint32_t e = 0; e < list->entry_count; e++) {
        snprintf(h->items[u][e], 8, "%.*s", (int)list->entries[e].item.size,
                 (const char *)list->entries[e].item.data);
        h->sources[u][e] = list->entries[e].source_bits;
        assert_true(list->entries[e].q > 0 && list->entries[e].q <= 1);
    }
}

// Everybody looks at the list that he has, and clicks the first item on it that the column
// proposes.
static void look(mill *m, heard *h, uint32_t column, int64_t time_ms)
{
    static made_event events[2];
    static mr_line lines[10];
    for (uint32_t u = 0; u < 120; u++) {
        mr_error err;
        uint32_t clicked = UINT32_MAX;
        if (h->count[u] == 0)
            continue;
        mill_act(&events[0], MR_EVENT_IMPRESSION, u, 0, time_ms);
        for (uint32_t i = 0; i < h->count[u]; i++) {
            lines[i] = (mr_line){.item = mr_bytes_text(h->items[u][i])};
            clicked = clicked == UINT32_MAX && (h->sources[u][i] >> column & 1) != 0 ? i : clicked;
        }
        events[0].arrival.event.lines = lines;
        events[0].arrival.event.line_count = h->count[u];
        if (clicked != UINT32_MAX)
            mill_act(&events[1], MR_EVENT_CLICK, u, (uint32_t)atoi(h->items[u][clicked] + 1),
                     time_ms + 10);
        if (mill_round(m, events, clicked != UINT32_MAX ? 2 : 1, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
    mill_close_commit(m);
}

// Showings and rewards of a column over all groups and segments.
static void tallies_of(mill *m, uint32_t column, double *tries, double *rewards)
{
    *tries = *rewards = 0;
    for (uint32_t z = 0; z < 16; z++) {
        uint8_t key[11] = {MR_ROW_NAMED};
        mr_put_u16_be(key + 1, asked_code("marketplace.tally"));
        mr_put_u64_be(key + 3, (uint64_t)z * COLUMNS + column);
        const stored_row *row = mill_find(m, 0, mr_bytes_of(key, sizeof key));
        int64_t values[TALLY / 8];
        if (row == NULL)
            continue;
        memcpy(values, row->value + 8, sizeof values);
        *tries += (double)values[1];
        *rewards += (double)values[4];
    }
}

static void open_market(mill *m, heard *h)
{
    static const char *const off[] = {"multi_interest"};
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.explore_bp = 10000;
    config.list_interval_ms = 0;
    config.policy = "marketplace";
    config.off = off;
    config.off_count = 1;
    memset(h, 0, sizeof *h);
    mill_open(m, &config);
    m->heard = hear;
    m->listener = h;
}

// The same bytes whether the engine goes on or is made again from its rows.
static void the_model_that_is_clicked_is_drawn_more(void **state)
{
    (void)state;
    static mill a, b;
    static heard of_a, of_b;
    enum { COVISIT = 6 }; // behind the half-lives of popularity
    open_market(&a, &of_a);
    open_market(&b, &of_b);
    mill_traffic(&a, 0, 10, 7);
    mill_traffic(&b, 0, 10, 7);
    mill_close_commit(&a);
    mill_close_commit(&b);
    for (uint32_t c = 0; c < 12; c++) {
        look(&a, &of_a, COVISIT, 1700000010000 + c * 10000);
        look(&b, &of_b, COVISIT, 1700000010000 + c * 10000);
        if (c % 4 == 2)
            mill_restart(&b, c);
        assert_true(mill_hash(&a).low == mill_hash(&b).low);
        assert_true(a.lists.low == b.lists.low);
    }
    double tries[2], rewards[2];
    tallies_of(&a, COVISIT, &tries[0], &rewards[0]);
    tallies_of(&a, 0, &tries[1], &rewards[1]);
    assert_true(tries[0] > 0 && tries[1] > 0 && rewards[0] > 0);
    assert_true(rewards[0] / tries[0] > 1.2 * rewards[1] / tries[1]);
    mill_close(&a);
    mill_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_the_worked_figures),
        cmocka_unit_test(equal_models_are_one_model),
        cmocka_unit_test(drawn_lists_have_the_probability_that_they_say),
        cmocka_unit_test(the_model_that_is_clicked_is_drawn_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
