// SPDX-License-Identifier: Apache-2.0
// ranker through the engine and by hand: that it ranks better than what it reads, what its lessons
// add up to, its memory of errors, and a start with other columns.
#include "core/model/heads.h"
#include "tests/unit/core/asked.h"

static const int64_t begin_ms = 1700000000000;

static void settings_of(mr_engine_config *config, double hidden)
{
    static mr_setting settings[2];
    settings[0] = (mr_setting){"ranker", "hidden", hidden};
    settings[1] = (mr_setting){"embedding", "dim", 16};
    config->settings = settings;
    config->setting_count = 2;
}

static const mr_prequential *column_of(const mr_engine_metrics *metrics, const char *name)
{
    for (uint32_t c = 0; c <= metrics->column_count; c++)
        if (strcmp(metrics->names[c], name) == 0)
            return &metrics->fresh[c];
    fail_msg("no column '%s'", name);
    return NULL;
}

// Three tastes, and what is popular in each: no column knows both.
static void it_ranks_at_least_as_well_as_each_column_alone(void **state)
{
    (void)state;
    for (double hidden = 1; hidden <= 2; hidden++) {
        static mill m;
        mr_engine_metrics metrics;
        mr_engine_config config = mill_defaults();
        settings_of(&config, hidden);
        config.measure_all = true;
        mill_open(&m, &config);
        for (uint32_t round = 0; round < 50; round++) {
            mill_traffic(&m, round, 1, 7);
            mill_close_commit(&m);
            if (round == 20)
                mr_engine_metrics_reset(m.engine);
        }
        mr_engine_measure(m.engine, &metrics);
        const mr_prequential *ranker = column_of(&metrics, "ranker");
        assert_true(ranker->count > 500);
        for (uint32_t c = 0; c < metrics.column_count; c++) {
            const bool own = strncmp(metrics.names[c], "ranker", 6) == 0;
            if (!own && !(ranker->ndcg > .97 * metrics.fresh[c].ndcg))
                fail_msg("%s has %g, the ranker %g", metrics.names[c], metrics.fresh[c].ndcg,
                         ranker->ndcg);
        }
        mill_close(&m);
    }
}

// ---- lessons

static const mr_model *model(void)
{
    for (uint32_t i = 0; i < mr_model_count; i++)
        if (strcmp(mr_models[i]->state.name, "ranker") == 0)
            return mr_models[i];
    return NULL;
}

// Sums of floats, in whatever grouping workers come to, differ in their last bits; counts do not.
static void the_lessons_of_three_workers_are_those_of_one(void **state)
{
    (void)state;
    enum { LESSONS = 90, FLOATS = 4096 };
    static float one[FLOATS], all[FLOATS], of[3][FLOATS];
    const mr_family *net = &model()->state.families[0];
    const uint32_t floats = mr_family_delta_bytes(net, NULL) / 4;
    assert_true(floats <= FLOATS);
    memset(all, 0, sizeof all);
    memset(of, 0, sizeof of);
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t l = 0; l < LESSONS; l++) {
        for (uint32_t i = 2; i < floats; i++) // behind the hash of the columns
            one[i] = 1 + mr_rng_float(&rng);
        net->combine(NULL, all, one);
        net->combine(NULL, of[l % 3], one);
    }
    net->combine(NULL, of[0], of[1]);
    net->combine(NULL, of[0], of[2]);
    for (uint32_t i = 2; i < floats; i++)
        assert_true(fabs((double)(of[0][i] - all[i])) <= 1e-6 * fabs((double)all[i]));
}

typedef struct desk { // where one list is taught by hand
    mill m;
    asked_model a;
    mr_columns columns;
    mr_union candidates;
    mr_found founds[MR_ENGINE_COLUMNS_MAX];
} desk;

static void open_desk(desk *d, double rate)
{
    static const char *const on[] = {"popularity", "ranker"};
    static mr_setting settings[3];
    settings[0] = (mr_setting){"ranker", "hidden", 2};
    settings[1] = (mr_setting){"ranker", "rate", rate};
    settings[2] = (mr_setting){"ranker", "negatives", 4};
    asked_open(&d->m, on, 2, settings, 3);
    for (uint32_t item = 0; item < 12; item++)
        for (uint32_t n = 0; n <= item; n++)
            asked_act(&d->m, 1 + n, item, begin_ms + item * 1000);
    d->a = asked(&d->m, "ranker");
    d->columns = d->m.engine->columns;
}

static void rank_again(desk *d)
{
    const uint32_t user = asked_user(&d->m, 1);
    const mr_filter filter = mr_filter_make(d->a.view.items, NULL, 0);
    mr_columns_find(&d->columns, &d->a.view, user, &filter, &d->a.arena, d->founds, 1);
    mr_union_make(&d->columns, &d->a.view, user, d->founds, 1, &d->a.arena, &d->candidates);
}

static float worth_of(desk *d, uint32_t item)
{
    rank_again(d);
    const uint32_t at = mr_union_find(&d->candidates, asked_item(&d->m, item));
    assert_int_not_equal(at, UINT32_MAX);
    return d->candidates.value[d->a.instance->column_first][at];
}

static void teach(desk *d, uint32_t item, uint32_t index)
{
    mr_deltas *deltas = &d->m.engine->work[0].deltas;
    const mr_signal act = {.kind = MR_SIGNAL_ACT,
                           .act = MR_EVENT_CLICK,
                           .user = asked_user(&d->m, 1),
                           .item = asked_item(&d->m, item),
                           .time_ms = begin_ms + 20000,
                           .value = NAN,
                           .index = index};
    rank_again(d);
    d->a.model->teach(d->a.instance, &d->a.view, &act, &d->columns, &d->candidates,
                      mr_union_find(&d->candidates, act.item), deltas, &d->a.arena);
    for (uint32_t f = 0; f < 2; f++) {
        const mr_delta_set *set = &deltas->sets[d->a.instance->family_first + f];
        const mr_named *rows = &d->a.view.named[d->a.instance->family_first + f];
        for (uint32_t i = 0; i < set->count; i++)
            d->a.model->state.apply(d->a.instance, &d->a.view, f, rows->slots.keys[set->slots[i]],
                                    mr_delta_set_payload(set, i),
                                    mr_part_row(&rows->part, set->slots[i]));
    }
    mr_deltas_clear(deltas);
}

static void what_follows_is_believed_more(void **state)
{
    (void)state;
    static desk d;
    open_desk(&d, .01);
    assert_true(worth_of(&d, 3) < .5f);
    for (uint32_t i = 0; i < 150; i++)
        teach(&d, 3, i);
    for (uint32_t item = 0; item < 12; item++)
        assert_true(item == 3 || worth_of(&d, 3) > worth_of(&d, item));
    assert_true(worth_of(&d, 3) > .5f);
    for (uint32_t i = 0; i < d.candidates.count; i++) // and its list stands in that order
        assert_true(d.candidates.place[d.a.instance->column_first][i] != 0 ||
                    d.candidates.slots[i] == asked_item(&d.m, 3));
    mill_close(&d.m);
}

// The network does not move: what changes is the memory's.
static void errors_are_corrected_before_any_weight_moves(void **state)
{
    (void)state;
    static desk d;
    open_desk(&d, 0);
    teach(&d, 3, 0);
    const float first = worth_of(&d, 3);
    float before = first;
    for (uint32_t i = 1; i < 60; i++) {
        teach(&d, 3, i);
        const float now = worth_of(&d, 3);
        assert_true(i < 5 || now > before - .01f);
        before = now;
    }
    assert_true(before > first + .02f);
    assert_true(before - worth_of(&d, 11) > .02f); // of those that look otherwise nothing is said
    mill_close(&d.m);
}

// A network of other columns would read its inputs in the wrong places.
static void with_other_columns_it_begins_anew(void **state)
{
    (void)state;
    static desk d;
    open_desk(&d, .01);
    for (uint32_t i = 0; i < 30; i++)
        teach(&d, 3, i);
    assert_true(worth_of(&d, 3) > 0);
    d.columns.of[0].key++; // as if popularity_15m were another column
    assert_true(worth_of(&d, 3) == 0);
    teach(&d, 5, 100);
    assert_true(worth_of(&d, 5) > 0);
    mill_close(&d.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ranks_at_least_as_well_as_each_column_alone),
        cmocka_unit_test(the_lessons_of_three_workers_are_those_of_one),
        cmocka_unit_test(what_follows_is_believed_more),
        cmocka_unit_test(errors_are_corrected_before_any_weight_moves),
        cmocka_unit_test(with_other_columns_it_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
