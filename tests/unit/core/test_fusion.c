// SPDX-License-Identifier: Apache-2.0
// fusion: its gates against worked figures, differences and a made-up world; what it teaches
// against differences of what it ranks by; and through the engine: a new item is known by its
// content.
#include "core/model/gates.h"
#include "tests/unit/core/asked.h"

static const int64_t begin_ms = 1700000000000;
enum { ALL = (1 << MR_GATES_MEMBERS) - 1 };

static mr_rng draws(uint64_t key)
{
    return mr_rng_make(5, 0, 0, key, MR_PURPOSE_SIM);
}

// ---- the gates alone

static void the_worked_figures(void **state)
{
    (void)state;
    static const double logits[] = {1, 0.2, -0.5}, want[] = {0.597922, 0.268664, 0.133414};
    const double phi[MR_GATES_PHI] = {1};
    mr_gates of = {{{0}}, 0};
    double g[MR_GATES_MEMBERS];
    for (uint32_t m = 0; m < 3; m++)
        of.a[m][MR_GATES_ONE] = logits[m];
    of.a[3][MR_GATES_ONE] = 5; // is off
    mr_gates_open(&of, 7, phi, g);
    for (uint32_t m = 0; m < 3; m++)
        assert_true(fabs(g[m] - want[m]) < 1e-6);
    assert_true(g[3] == 0);
    assert_true(fabs(mr_gates_fuse(g, (double[]){1, 2, 3, 9}) - 1.535492) < 3e-6);
}

enum { FEW = 6 };

typedef struct choice { // one of FEW candidates
    double phi[FEW][MR_GATES_PHI], z[FEW][MR_GATES_MEMBERS];
    uint32_t target;
} choice;

// The loss of a choice; by_f, where it is asked for.
static double loss_of(const mr_gates *of, const choice *c, double g[FEW][MR_GATES_MEMBERS],
                      double *by_f)
{
    double f[FEW], sum = 0;
    for (uint32_t i = 0; i < FEW; i++) {
        mr_gates_open(of, ALL, c->phi[i], g[i]);
        f[i] = mr_gates_fuse(g[i], c->z[i]);
        sum += exp(f[i]);
    }
    for (uint32_t i = 0; i < FEW; i++)
        by_f[i] = exp(f[i]) / sum - (i == c->target);
    return log(sum) - f[c->target];
}

static void learn_from(mr_gates *of, const choice *c, double rate)
{
    double g[FEW][MR_GATES_MEMBERS], by_f[FEW];
    mr_gates sum = {{{0}}, 0};
    (void)loss_of(of, c, g, by_f);
    for (uint32_t i = 0; i < FEW; i++)
        mr_gates_back(g[i], c->z[i], c->phi[i], by_f[i], &sum);
    for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
        for (uint32_t k = 0; k < MR_GATES_PHI; k++)
            of->a[m][k] -= rate * sum.a[m][k];
}

static void the_gradient_is_that_of_differences(void **state)
{
    (void)state;
    mr_rng rng = draws(1);
    for (uint32_t trial = 0; trial < 20; trial++) {
        choice c = {.target = trial % FEW};
        double g[FEW][MR_GATES_MEMBERS], by_f[FEW];
        mr_gates of = {{{0}}, 0}, sum = {{{0}}, 0};
        for (uint32_t i = 0; i < FEW; i++) {
            for (uint32_t k = 0; k < MR_GATES_PHI; k++)
                c.phi[i][k] = (double)mr_rng_normal(&rng);
            for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
                c.z[i][m] = (double)mr_rng_normal(&rng);
        }
        for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
            for (uint32_t k = 0; k < MR_GATES_PHI; k++)
                of.a[m][k] = (double)mr_rng_normal(&rng) / 2;
        (void)loss_of(&of, &c, g, by_f);
        for (uint32_t i = 0; i < FEW; i++)
            mr_gates_back(g[i], c.z[i], c.phi[i], by_f[i], &sum);
        for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
            for (uint32_t k = 0; k < MR_GATES_PHI; k++) {
                const double at = of.a[m][k], step = 1e-5;
                of.a[m][k] = at + step;
                const double above = loss_of(&of, &c, g, by_f);
                of.a[m][k] = at - step;
                const double below = loss_of(&of, &c, g, by_f);
                of.a[m][k] = at;
                assert_true(fabs((above - below) / (2 * step) - sum.a[m][k]) < 1e-9);
            }
    }
}

// Content knows the item that is wanted, the id only once it has been acted on, and it then better.
static void the_id_of_what_nobody_acted_on_comes_to_nothing(void **state)
{
    (void)state;
    static const double young[MR_GATES_PHI] = {1, 0, 0, 1, .1}, old[MR_GATES_PHI] = {1, 4, 5, 1, 1};
    mr_rng rng = draws(2);
    mr_gates of = {{{0}}, 0};
    double before = 1, g[MR_GATES_MEMBERS];
    for (uint32_t n = 0; n < 4000; n++) {
        choice c = {.target = mr_rng_below(&rng, FEW)};
        for (uint32_t i = 0; i < FEW; i++) {
            const bool known = mr_rng_below(&rng, 2) == 0, wanted = i == c.target;
            memcpy(c.phi[i], known ? old : young, sizeof young);
            for (uint32_t m = 0; m < MR_GATES_MEMBERS; m++)
                c.z[i][m] = (double)mr_rng_normal(&rng);
            c.z[i][MR_GATES_CONTENT] += wanted ? 1 : 0;
            c.z[i][MR_GATES_ID] += wanted && known ? 3 : 0;
        }
        learn_from(&of, &c, .02);
        if ((n + 1) % 1000 == 0) {
            mr_gates_open(&of, ALL, young, g);
            assert_true(g[MR_GATES_ID] < before);
            before = g[MR_GATES_ID];
        }
    }
    assert_true(g[MR_GATES_ID] < .03 && g[MR_GATES_CONTENT] > .9);
    mr_gates_open(&of, ALL, old, g);
    assert_true(g[MR_GATES_ID] > .9);
}

// ---- through the engine

enum { KINDS = 3, USERS = 24, DAYS = 40, ACTS = 24 };

typedef struct world {
    mill m;
    asked_model a;
    mr_columns columns;
    mr_union candidates;
    mr_found founds[MR_ENGINE_COLUMNS_MAX];
    uint32_t items;
    int64_t now_ms;
} world;

// An item of each kind, with what it is like.
static void bring_items(world *w)
{
    mr_rng rng = draws(100 + w->items);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        float vector[8];
        made_event event;
        for (uint32_t k = 0; k < 8; k++)
            vector[k] = .3f * mr_rng_normal(&rng) + (k % KINDS == kind ? 1.0f : 0.0f);
        mill_act(&event, MR_EVENT_CATALOGUE, 1, w->items++, w->now_ms);
        event.arrival.event.vector = vector;
        event.arrival.event.vector_count = 8;
        event.arrival.event.present |= 1u << MR_FIELD_vector;
        asked_round(&w->m, &event, 1);
    }
}

// Users of a kind act on items of that kind, on none of them twice within a few days.
static void open_world(world *w)
{
    static const char *const on[] = {"embedding", "content", "multi_interest", "fusion"};
    static const mr_setting settings[] = {{"embedding", "dim", 16},
                                          {"content", "dim", 16},
                                          {"content", "every", 1},
                                          {"fusion", "rate", 0.05}};
    memset(w, 0, sizeof *w);
    asked_open(&w->m, on, 4, settings, 4);
    mr_rng rng = draws(3);
    w->now_ms = begin_ms;
    for (uint32_t day = 0; day < DAYS; day++, w->now_ms += 86400000) {
        bring_items(w);
        for (uint32_t n = 0; n < ACTS; n++) {
            const uint32_t user = mr_rng_below(&rng, USERS), days = w->items / KINDS;
            const uint32_t back = mr_rng_below(&rng, days < 10 ? days : 10);
            asked_act(&w->m, user, (days - 1 - back) * KINDS + user % KINDS,
                      w->now_ms + 1000 * (n + 1));
        }
    }
    bring_items(w);
    for (uint32_t user = 0; user < USERS; user++) // into memory
        asked_act(&w->m, user, user % KINDS, w->now_ms + 1000);
    w->a = asked(&w->m, "fusion");
    w->columns = w->m.engine->columns;
}

static void rank_for(world *w, uint32_t user)
{
    const uint32_t slot = asked_user(&w->m, user);
    const mr_filter filter = mr_filter_make(w->a.view.items, NULL, 0);
    mr_columns_find_batched(&w->columns, &w->a.view, &slot, 1, &filter, &w->a.arena, w->founds);
    mr_columns_find(&w->columns, &w->a.view, slot, &filter, &w->a.arena, w->founds, 1);
    mr_union_make(&w->columns, &w->a.view, slot, w->founds, 1, &w->a.arena, &w->candidates);
}

static uint32_t column_at(const world *w, const char *name)
{
    uint32_t c = 0;
    while (strcmp(w->columns.of[c].column->name, name) != 0)
        assert_true(++c < w->columns.count);
    return c;
}

// How many candidates of other kinds a column puts above an item.
static uint32_t above(const world *w, const char *name, uint32_t item)
{
    const float *value = w->candidates.value[column_at(w, name)];
    const uint32_t at = mr_union_find(&w->candidates, asked_item(&w->m, item));
    uint32_t count = 0;
    assert_int_not_equal(at, UINT32_MAX);
    for (uint32_t other = 0; other < w->items; other++) {
        const uint32_t i = mr_union_find(&w->candidates, asked_item(&w->m, other));
        count += other % KINDS != item % KINDS && i != UINT32_MAX && value[i] > value[at];
    }
    return count;
}

static void a_new_item_is_found_by_its_content(void **state)
{
    (void)state;
    static world w;
    double by_id = 0, by_fusion = 0, known_by_id = 0, known_by_fusion = 0;
    mr_measure of[2];
    open_world(&w);
    for (uint32_t user = 0; user < USERS; user++) {
        const uint32_t fresh = w.items - KINDS + user % KINDS;
        rank_for(&w, user);
        by_id += above(&w, "embedding", fresh) / (double)USERS;
        by_fusion += above(&w, "fusion", fresh) / (double)USERS;
        known_by_id += above(&w, "embedding", fresh - 5 * KINDS) / (double)USERS;
        known_by_fusion += above(&w, "fusion", fresh - 5 * KINDS) / (double)USERS;
    }
    assert_int_equal(w.a.model->state.measure(w.a.instance, &w.a.view, of, 2), 2);
    assert_true(known_by_fusion < .5 * known_by_id);
    assert_true(by_fusion < .5 * by_id);
    assert_true(of[0].value < .1 && of[1].value > of[0].value);
    mill_close(&w.m);
}

// ---- what is taught

static double loss_ranked(world *w, uint32_t user, uint32_t target)
{
    double sum = 0;
    rank_for(w, user);
    const float *s = w->candidates.value[w->a.instance->column_first];
    for (uint32_t i = 0; i < w->candidates.count; i++)
        sum += exp((double)s[i] - (double)s[target]);
    return log(sum);
}

static const mr_gates *teach(world *w, mr_deltas *deltas, uint32_t user, uint32_t target)
{
    const mr_signal act = {.kind = MR_SIGNAL_ACT,
                           .act = MR_EVENT_CLICK,
                           .user = asked_user(&w->m, user),
                           .item = w->candidates.slots[target],
                           .time_ms = w->now_ms};
    w->a.model->teach(w->a.instance, &w->a.view, &act, &w->columns, &w->candidates, target, deltas,
                      &w->a.arena);
    return mr_delta_set_payload(&deltas->sets[w->a.instance->family_first], 0);
}

static void what_it_teaches_is_the_gradient_of_what_it_ranks_by(void **state)
{
    (void)state;
    static world w;
    mr_deltas deltas;
    open_world(&w);
    void *memory = asked_deltas(w.m.engine, &deltas);
    double *row = mr_named_find(&w.a.view.named[w.a.instance->family_first], 0);
    rank_for(&w, 4);
    const uint32_t target = mr_union_find(&w.candidates, asked_item(&w.m, w.items - KINDS - 1));
    assert_int_not_equal(target, UINT32_MAX);
    const double *taught = (const double *)(const void *)teach(&w, &deltas, 4, target);
    for (uint32_t i = 0; i < MR_GATES_DOUBLES; i++) {
        const double at = row[i], step = 1e-2;
        row[i] = at + step;
        const double more = loss_ranked(&w, 4, target);
        row[i] = at - step;
        const double less = loss_ranked(&w, 4, target);
        row[i] = at;
        assert_true(fabs((more - less) / (2 * step) - taught[i]) < 2e-3 * (1 + fabs(taught[i])));
    }
    free(memory);
    mill_close(&w.m);
}

static void the_lessons_of_two_workers_are_those_of_one(void **state)
{
    (void)state;
    static world w;
    mr_deltas all, of[2];
    open_world(&w);
    void *memory[3] = {asked_deltas(w.m.engine, &all), asked_deltas(w.m.engine, &of[0]),
                       asked_deltas(w.m.engine, &of[1])};
    const double *one = NULL;
    double *two[2] = {NULL, NULL};
    for (uint32_t user = 0; user < USERS; user++) {
        rank_for(&w, user);
        const uint32_t target = (7 * user + 1) % w.candidates.count;
        one = (const double *)(const void *)teach(&w, &all, user, target);
        (void)teach(&w, &of[user % 2], user, target);
    }
    for (uint32_t i = 0; i < 2; i++)
        two[i] = mr_delta_set_payload(&of[i].sets[w.a.instance->family_first], 0);
    w.a.model->state.families[0].combine(NULL, two[0], two[1]);
    for (uint32_t i = 0; i < MR_GATES_DOUBLES; i++)
        assert_true(fabs(two[0][i] - one[i]) <= 1e-9 * (1 + fabs(one[i])));
    for (uint32_t i = 0; i < 3; i++)
        free(memory[i]);
    mill_close(&w.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(the_gradient_is_that_of_differences),
        cmocka_unit_test(the_id_of_what_nobody_acted_on_comes_to_nothing),
        cmocka_unit_test(a_new_item_is_found_by_its_content),
        cmocka_unit_test(what_it_teaches_is_the_gradient_of_what_it_ranks_by),
        cmocka_unit_test(the_lessons_of_two_workers_are_those_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
