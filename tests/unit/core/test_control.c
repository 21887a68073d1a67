// SPDX-License-Identifier: Apache-2.0
// What users say about their own lists, and what rules make of a list: wishes, forgetting, MMR,
// DPP.
#include <math.h>

#include "core/list/slate.h"
#include "tests/unit/core/mill.h"
#include "tests/unit/core/rules.h"

enum { ITEMS = 60, CATEGORIES = 6, USERS = 40, SAME_USER = 3 };
static const int64_t start_ms = 1700000000000, day_ms = 86400000;

static void learn(mill *m, made_event *event)
{
    mr_error err;
    if (mill_round(m, event, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
    if (event->arrival.cause != MR_CAUSE_NONE)
        fail_msg("%s", event->arrival.reason);
}

static void control(made_event *made, uint32_t user, const char *action, const char *target,
                    double value, int64_t time_ms)
{
    mill_act(made, MR_EVENT_CONTROL, user, 0, time_ms);
    mr_event *event = &made->arrival.event;
    event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action;
    event->action = mr_bytes_text(action);
    if (target != NULL) {
        event->target = mr_bytes_text(target);
        event->present |= 1u << MR_FIELD_target;
    }
    if (!isnan(value)) {
        event->value = value;
        event->present |= 1u << MR_FIELD_value;
    }
}

static void say(mill *m, uint32_t user, const char *action, const char *target, double value,
                int64_t time_ms)
{
    made_event made;
    control(&made, user, action, target, value, time_ms);
    learn(m, &made);
}

static void click(mill *m, uint32_t user, uint32_t item, int64_t time_ms)
{
    made_event made;
    mill_act(&made, MR_EVENT_CLICK, user, item, time_ms);
    learn(m, &made);
}

static void tell_category(mill *m, uint32_t item)
{
    made_event made;
    char name[16];
    mill_act(&made, MR_EVENT_CATALOGUE, 0, item, start_ms);
    snprintf(name, sizeof name, "c%u", item % CATEGORIES);
    made.arrival.event.present = 1u << MR_FIELD_item | 1u << MR_FIELD_time;
    made.arrival.event.categories[0] = mr_bytes_text(name);
    made.arrival.event.category_count = 1;
    learn(m, &made);
}

static mr_engine_config defaults(void)
{
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.list_k = ITEMS;
    config.list_interval_ms = 0;
    config.explore_bp = 0;
    return config;
}

// A catalogue of categories c0 .. c5, and users who click on anything.
static void open_mill(mill *m, const mr_engine_config *config)
{
    mill_open(m, config);
    for (uint32_t i = 0; i < ITEMS; i++)
        tell_category(m, i);
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t e = 0; e < 600; e++)
        click(m, mr_rng_below(&rng, USERS), mr_rng_below(&rng, ITEMS), start_ms + e * 1000);
    mill_close_commit(m);
}

// Places of a category's items in the newest list, or of one item; their sum, and how many.
static uint32_t places_of(const mill *m, const char *category, const char *item, uint64_t *sum)
{
    uint32_t count = 0;
    *sum = 0;
    for (uint32_t i = 0; i < m->last.entry_count; i++) {
        char id[16], of[16];
        snprintf(id, sizeof id, "%.*s", (int)m->last.entries[i].item.size,
                 (const char *)m->last.entries[i].item.data);
        snprintf(of, sizeof of, "c%d", atoi(id + 1) % CATEGORIES);
        if ((category != NULL && strcmp(of, category) == 0) ||
            (item != NULL && strcmp(id, item) == 0)) {
            *sum += i;
            count++;
        }
    }
    return count;
}

// The list of a user who says something is the newest one, or is as it was: not published again.
static bool list_of(mill *m, uint32_t user, const char *action, const char *target, double value,
                    int64_t time_ms)
{
    const uint64_t before = m->list_count;
    say(m, user, action, target, value, time_ms);
    mill_close_commit(m);
    assert_true(m->list_count <= before + 1);
    return m->list_count == before + 1;
}

static void a_muted_category_is_in_no_list_until_it_is_unmuted(void **state)
{
    static mill m;
    uint64_t sum;
    (void)state;
    const mr_engine_config config = defaults();
    open_mill(&m, &config);
    const int64_t now = start_ms + day_ms;
    assert_true(list_of(&m, SAME_USER, "mute", "c2", NAN, now));
    assert_true(m.last.entry_count > 20);
    assert_int_equal(places_of(&m, "c2", NULL, &sum), 0);
    mill_restart(&m, 3);
    list_of(&m, SAME_USER, "mute", "i7", NAN, now + 1000);
    assert_int_equal(places_of(&m, "c2", NULL, &sum), 0);
    assert_int_equal(places_of(&m, NULL, "i7", &sum), 0);
    list_of(&m, SAME_USER, "unmute", "c2", NAN, now + 2000);
    assert_true(places_of(&m, "c2", NULL, &sum) > 3);
    assert_int_equal(places_of(&m, NULL, "i7", &sum), 0);
    // Nobody else's list is touched.
    assert_true(list_of(&m, SAME_USER + 1, "mute", "c0", NAN, now + 3000));
    assert_true(places_of(&m, "c2", NULL, &sum) > 3);
    mill_close(&m);
}

// His last list would go on showing what he has muted.
static void who_mutes_everything_is_given_an_empty_list_once(void **state)
{
    static mill m;
    (void)state;
    const mr_engine_config config = defaults();
    open_mill(&m, &config);
    const int64_t now = start_ms + day_ms;
    for (uint32_t c = 0; c < CATEGORIES; c++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", c);
        assert_true(list_of(&m, SAME_USER, "mute", name, NAN, now + c));
        assert_true(m.last.entry_count > 0 || c == CATEGORIES - 1);
    }
    assert_int_equal(m.last.entry_count, 0);
    assert_false(list_of(&m, SAME_USER, "mute", "c0", NAN, now + 100));
    // A stranger whose first word leaves nothing has no list to take away.
    static mill n;
    mill_open(&n, &config);
    assert_false(list_of(&n, SAME_USER, "mute", "c0", NAN, now));
    mill_close(&n);
    assert_true(list_of(&m, SAME_USER, "unmute", "c4", NAN, now + 200));
    assert_true(m.last.entry_count > 3);
    mill_close(&m);
}

static void every_unit_of_more_raises_and_of_less_lowers(void **state)
{
    static mill m;
    uint64_t sum, last;
    (void)state;
    const mr_engine_config config = defaults();
    open_mill(&m, &config);
    int64_t now = start_ms + day_ms;
    list_of(&m, SAME_USER, "less", "c4", 3, now);
    const uint32_t count = places_of(&m, "c4", NULL, &last);
    assert_true(count > 3);
    for (uint32_t step = 0; step < 6; step++) { // from -3 to 3
        if (!list_of(&m, SAME_USER, "more", "c4", 1, now += 1000))
            continue;
        assert_int_equal(places_of(&m, "c4", NULL, &sum), count);
        assert_true(sum <= last);
        last = sum;
    }
    assert_true(last < count * (count + 5)); // near the top by now
    mill_close(&m);
}

static void a_wish_fades_by_half_in_its_half_life(void **state)
{
    static mill m, n;
    (void)state;
    mr_engine_config config = defaults();
    open_mill(&m, &config);
    open_mill(&n, &config);
    // 2, thirty days ago, is 1 now.
    say(&m, SAME_USER, "more", "c1", 2, start_ms + day_ms);
    mill_close_commit(&m);
    list_of(&m, SAME_USER, "more", "nothing", NAN, start_ms + 31 * day_ms);
    list_of(&n, SAME_USER, "more", "c1", 1, start_ms + 31 * day_ms);
    assert_int_equal(m.last.entry_count, n.last.entry_count);
    for (uint32_t i = 0; i < m.last.entry_count; i++)
        assert_true(m.last.entries[i].item_key == n.last.entries[i].item_key);
    mill_close(&m);
    mill_close(&n);
}

static void when_all_places_are_taken_the_oldest_wish_makes_room_and_mutes_last(void **state)
{
    static mill m;
    static const mr_setting places = {"control", "targets", 3};
    uint64_t sum;
    (void)state;
    mr_engine_config config = defaults();
    config.settings = &places;
    config.setting_count = 1;
    open_mill(&m, &config);
    int64_t now = start_ms + day_ms;
    say(&m, SAME_USER, "mute", "c0", NAN, now += 1000);
    say(&m, SAME_USER, "less", "c1", 3, now += 1000);
    say(&m, SAME_USER, "mute", "c2", NAN, now += 1000);
    list_of(&m, SAME_USER, "mute", "c3", NAN, now += 1000); // less of c1 goes
    assert_int_equal(places_of(&m, "c0", NULL, &sum), 0);
    assert_int_equal(places_of(&m, "c2", NULL, &sum), 0);
    assert_int_equal(places_of(&m, "c3", NULL, &sum), 0);
    list_of(&m, SAME_USER, "mute", "c4", NAN, now += 1000); // then the oldest mute
    assert_true(places_of(&m, "c0", NULL, &sum) > 3);
    assert_int_equal(places_of(&m, "c4", NULL, &sum), 0);
    mill_close(&m);
}

static void the_level_of_explore_decides_who_explores(void **state)
{
    static mill m;
    (void)state;
    mr_engine_config config = defaults();
    config.explore_bp = 5000;
    open_mill(&m, &config);
    uint32_t exploring = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        if (list_of(&m, u, "explore", NULL, 0, start_ms + day_ms + u))
            assert_string_equal(m.last.slice, "exploit");
        assert_true(list_of(&m, u, "explore", NULL, 1, start_ms + day_ms + USERS + u));
        exploring += strcmp(m.last.slice, "explore") == 0;
        assert_true(m.last.explore_level == 1);
    }
    assert_int_equal(exploring, USERS);
    mill_close(&m);
}

static bool holds_user(const mill *m, const char *id)
{
    for (uint32_t i = 0; i < m->row_count; i++)
        if (m->rows[i].key[0] == 'u' && m->rows[i].key_size == strlen(id) + 1 &&
            memcmp(m->rows[i].key + 1, id, strlen(id)) == 0)
            return true;
    return false;
}

typedef struct told_of {
    char user[16];
    uint32_t count;
} told_of;

static void note_forgotten(void *context, uint32_t task, mr_bytes user)
{
    told_of *told = context;
    (void)task;
    told->count++;
    snprintf(told->user, sizeof told->user, "%.*s", (int)user.size, (const char *)user.data);
}

static void close_and_hear(mill *m, told_of *told)
{
    mr_error err;
    const mr_close_sink sink = {.context = told, .forgotten = note_forgotten};
    assert_int_equal(mr_engine_close(m->engine, m->seqs, &sink, &err), MR_OK);
    mr_engine_stored(m->engine, mr_engine_closes(m->engine));
    m->seqs[0]++;
}

static void who_asks_to_be_forgotten_has_no_row_and_comes_back_as_a_stranger(void **state)
{
    static mill m;
    (void)state;
    const mr_engine_config config = defaults();
    open_mill(&m, &config);
    assert_true(holds_user(&m, "u3"));
    say(&m, SAME_USER, "mute", "c2", NAN, start_ms + day_ms);
    say(&m, SAME_USER, "forget", NULL, NAN, start_ms + day_ms + 1000);
    const uint64_t lists = m.list_count;
    mill_close_commit(&m);
    assert_false(holds_user(&m, "u3"));
    assert_int_equal(m.list_count, lists); // and no list is made for him
    const mr_task_view view = mr_engine_task(m.engine, 0);
    assert_int_equal(view.row_count, m.row_count);
    mr_hash128 sum = mill_state_hash(&m, 0);
    assert_true(sum.low == view.state_hash.low && sum.high == view.state_hash.high);

    uint64_t places;
    assert_true(list_of(&m, SAME_USER, "less", "c0", NAN, start_ms + day_ms + 2000));
    assert_true(places_of(&m, "c2", NULL, &places) > 3); // the mute is forgotten, too
    assert_true(holds_user(&m, "u3"));
    mill_close(&m);
}

static void readers_are_told_once_unless_the_user_has_come_back(void **state)
{
    static mill m;
    told_of told = {0};
    (void)state;
    const mr_engine_config config = defaults();
    open_mill(&m, &config);
    say(&m, SAME_USER, "forget", NULL, NAN, start_ms + day_ms);
    close_and_hear(&m, &told);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.user, "u3");
    close_and_hear(&m, &told);
    assert_int_equal(told.count, 1);
    say(&m, SAME_USER + 1, "forget", NULL, NAN, start_ms + day_ms + 1000);
    click(&m, SAME_USER + 1, 1, start_ms + day_ms + 2000);
    close_and_hear(&m, &told);
    assert_int_equal(told.count, 1);
    mr_engine_metrics metrics;
    mr_engine_measure(m.engine, &metrics);
    assert_int_equal(metrics.users_forgotten, 1);
    mill_close(&m);
}

static void control_events_that_say_nothing_are_refused_with_the_field(void **state)
{
    static mill m;
    static const struct {
        const char *action, *target;
        double value;
        mr_cause cause;
    } rows[] = {
        {"less", NULL, 1, MR_CAUSE_no_target},
        {"mute", "", NAN, MR_CAUSE_no_target},
        {"explore", NULL, NAN, MR_CAUSE_out_of_range},
        {"explore", NULL, 1.5, MR_CAUSE_out_of_range},
        {"more", "c1", -1, MR_CAUSE_out_of_range},
        {"love", "c1", 1, MR_CAUSE_unknown_action},
    };
    (void)state;
    const mr_engine_config config = defaults();
    mill_open(&m, &config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        made_event made;
        mr_error err;
        control(&made, 1, rows[i].action, rows[i].target, rows[i].value, start_ms);
        assert_int_equal(mill_round(&m, &made, 1, &err), MR_OK);
        assert_int_equal(made.arrival.cause, rows[i].cause);
        assert_true(strstr(made.arrival.reason, "field '") == made.arrival.reason);
    }
    mill_close(&m);
}

// ---- rules over a slate of made-up vectors

enum { LONG = 16, MANY = 50 };
static float vectors[MANY][LONG];

static const float *vector_of(const mr_instance *self, const mr_view *view, mr_key_kind whose,
                              uint32_t slot, uint32_t *count)
{
    (void)self, (void)view, (void)whose;
    *count = LONG;
    return vectors[slot];
}

static const mr_model space = {.state = {.name = "embedding"}, .vector = vector_of};

typedef struct stage { // a slate over made-up vectors, under one rule
    mr_instance instances[1], rules[1], policy;
    double config[4], policy_config[3];
    mr_view view;
    mr_user user;
    mr_union candidates;
    float relevance[MANY];
    mr_arena arena;
    void *memory;
    mr_slate slate;
} stage;

static void set_stage(stage *s, const char *rule, uint32_t count)
{
    const size_t bytes = 8u << 20;
    memset(s, 0, sizeof *s);
    s->memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    mr_arena_init(&s->arena, s->memory, bytes);
    s->instances[0] = (mr_instance){.state = &space.state};
    s->rules[0] = (mr_instance){.state = &rule_called(rule)->state, .config = s->config};
    s->policy_config[0] = 0.3, s->policy_config[1] = 0.7, s->policy_config[2] = 0.1;
    s->policy = (mr_instance){.state = &mr_policies[0]->state, .config = s->policy_config};
    s->view = (mr_view){.vec = mr_vec_best(),
                        .instances = s->instances,
                        .instance_count = 1,
                        .users = (uint8_t *)&s->user,
                        .user_stride = sizeof s->user};
    s->candidates.count = count;
    for (uint32_t i = 0; i < count; i++)
        s->candidates.slots[i] = i;
    s->slate = (mr_slate){.view = &s->view,
                          .candidates = &s->candidates,
                          .relevance = s->relevance,
                          .rules = s->rules,
                          .rule_count = 1,
                          .arena = &s->arena};
}

static void draw(stage *s, uint32_t k)
{
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_POLICY);
    const size_t mark = s->arena.used;
    mr_slate_open(&s->slate);
    mr_slate_draw(&s->slate, &s->policy, k, &rng);
    s->arena.used = mark;
}

static void set_worked_rows(void)
{
    static const float rows[4][3] = {{1, 0, 0}, {.8f, .6f, 0}, {0, 1, 0}, {0, 0, 1}};
    memset(vectors, 0, sizeof vectors);
    for (int i = 0; i < 4; i++)
        memcpy(vectors[i], rows[i], sizeof rows[i]);
}

// Standard deviation of .9, .85, .6, .5.
static const double worked_scale = 0.16723860200324565;

static void mmr_picks_what_the_worked_example_picks(void **state)
{
    static stage s;
    static const struct {
        double lambda;
        uint32_t picks[3];
    } rows[] = {{.7, {0, 2, 1}}, {.95, {0, 1, 2}}};
    static const float relevance[4] = {.9f, .85f, .6f, .5f};
    (void)state;
    set_worked_rows();
    for (size_t r = 0; r < 2; r++) {
        set_stage(&s, "mmr", 4);
        memcpy(s.relevance, relevance, sizeof relevance);
        // The example takes relevance as it is, the rule in standard deviations.
        const double ratio = (1 - rows[r].lambda) / rows[r].lambda / worked_scale;
        s.config[0] = 1 / (1 + ratio);
        draw(&s, 3);
        assert_true(fabs(s.slate.scale - worked_scale) < 1e-6);
        for (uint32_t p = 0; p < 3; p++)
            assert_int_equal(s.slate.picked[p], rows[r].picks[p]);
        free(s.memory);
    }
}

static void dpp_picks_what_the_worked_example_picks(void **state)
{
    static stage s;
    static const float relevance[4] = {.9f, .85f, .6f, .5f};
    static const uint32_t picks[3] = {0, 2, 3};
    (void)state;
    set_worked_rows();
    set_stage(&s, "dpp", 4);
    memcpy(s.relevance, relevance, sizeof relevance);
    s.config[0] = worked_scale; // alpha s there is alpha s / sd here
    s.config[1] = 20;
    draw(&s, 3);
    for (uint32_t p = 0; p < 3; p++)
        assert_int_equal(s.slate.picked[p], picks[p]);
    free(s.memory);
}

// ln det of (1 - eta) cosines + eta I over the items, by elimination.
static double log_det(const uint32_t *items, uint32_t n)
{
    double a[16][16], sum = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double dot = 0, x = 0, y = 0;
            for (uint32_t d = 0; d < LONG; d++) {
                dot += (double)vectors[items[i]][d] * (double)vectors[items[j]][d];
                x += (double)vectors[items[i]][d] * (double)vectors[items[i]][d];
                y += (double)vectors[items[j]][d] * (double)vectors[items[j]][d];
            }
            a[i][j] = .99 * dot / sqrt(x * y) + (i == j ? .01 : 0);
        }
    for (uint32_t p = 0; p < n; p++) {
        sum += log(a[p][p]);
        for (uint32_t i = p + 1; i < n; i++)
            for (uint32_t j = p + 1; j < n; j++)
                a[i][j] -= a[i][p] * a[p][j] / a[p][p];
    }
    return sum;
}

static void dpp_is_greedy_on_determinants_of_random_kernels(void **state)
{
    static stage s;
    (void)state;
    for (uint32_t trial = 0; trial < 50; trial++) {
        mr_rng rng = mr_rng_make(trial, 0, 0, 0, MR_PURPOSE_SIM);
        for (uint32_t i = 0; i < MANY; i++)
            for (uint32_t d = 0; d < LONG; d++)
                vectors[i][d] = (float)mr_rng_double(&rng) - .3f;
        set_stage(&s, "dpp", MANY);
        for (uint32_t i = 0; i < MANY; i++)
            s.relevance[i] = (float)mr_rng_double(&rng);
        s.config[0] = 2;
        s.config[1] = 20;
        draw(&s, 10);
        double value = 0; // alpha sum s + ln det of what was picked, as far as it was
        for (uint32_t p = 0; p < 10; p++) {
            uint32_t items[16];
            memcpy(items, s.slate.picked, p * sizeof items[0]);
            double best = -INFINITY, taken = -INFINITY, relevance = 0;
            for (uint32_t q = 0; q < p; q++)
                relevance += (double)s.relevance[items[q]];
            for (uint32_t i = 0; i < MANY; i++) {
                bool above = false;
                for (uint32_t q = 0; q < p; q++)
                    above |= items[q] == i;
                if (above)
                    continue;
                items[p] = i;
                const double gain = 2 / s.slate.scale * (relevance + (double)s.relevance[i]) +
                                    log_det(items, p + 1);
                best = gain > best ? gain : best;
                taken = i == s.slate.picked[p] ? gain : taken;
            }
            assert_true(taken > best - 1e-4);
            value = taken;
        }
        assert_true(isfinite(value));
        free(s.memory);
    }
}

static void propensities_are_exact_under_a_rule_that_looks_above(void **state)
{
    enum { N = 5, DRAWS = 400000 };
    static stage s;
    static double count[N][N], said[N][N];
    static float mean[N], deviation[N];
    (void)state;
    set_worked_rows();
    vectors[4][0] = vectors[4][1] = 1;
    set_stage(&s, "mmr", N);
    s.config[0] = .6;
    for (uint32_t i = 0; i < N; i++) {
        s.relevance[i] = (float)(N - i);
        mean[i] = 0.1f * (float)(i * i % 5);
        deviation[i] = 0.05f * (float)i;
    }
    s.slate.mean = mean;
    s.slate.deviation = deviation;
    s.slate.explore_bp = 10000;
    const size_t mark = s.arena.used;
    for (uint32_t d = 0; d < DRAWS; d++) {
        mr_rng rng = mr_rng_make(1, 0, d, 0, MR_PURPOSE_POLICY);
        mr_slate_open(&s.slate);
        mr_slate_draw(&s.slate, &s.policy, 2, &rng);
        s.arena.used = mark;
        count[s.slate.picked[0]][s.slate.picked[1]]++;
        said[s.slate.picked[0]][s.slate.picked[1]] = s.slate.q[0] * s.slate.q[1];
    }
    double sum = 0, chi = 0;
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            const double want = said[a][b] * DRAWS;
            sum += said[a][b];
            if (a != b)
                chi += (count[a][b] - want) * (count[a][b] - want) / want;
        }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(chi < 50); // 19 degrees of freedom, p = 1e-4
    free(s.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_muted_category_is_in_no_list_until_it_is_unmuted),
        cmocka_unit_test(who_mutes_everything_is_given_an_empty_list_once),
        cmocka_unit_test(every_unit_of_more_raises_and_of_less_lowers),
        cmocka_unit_test(a_wish_fades_by_half_in_its_half_life),
        cmocka_unit_test(when_all_places_are_taken_the_oldest_wish_makes_room_and_mutes_last),
        cmocka_unit_test(the_level_of_explore_decides_who_explores),
        cmocka_unit_test(who_asks_to_be_forgotten_has_no_row_and_comes_back_as_a_stranger),
        cmocka_unit_test(readers_are_told_once_unless_the_user_has_come_back),
        cmocka_unit_test(control_events_that_say_nothing_are_refused_with_the_field),
        cmocka_unit_test(mmr_picks_what_the_worked_example_picks),
        cmocka_unit_test(dpp_picks_what_the_worked_example_picks),
        cmocka_unit_test(dpp_is_greedy_on_determinants_of_random_kernels),
        cmocka_unit_test(propensities_are_exact_under_a_rule_that_looks_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
