// SPDX-License-Identifier: Apache-2.0
// popularity_gradient: figures worked by hand, a direction summed from the acts themselves, and a
// world with popular items.
#include "core/model/popularity_gradient.h"

#include "tests/unit/core/asked.h"

enum { DIM = 16, ITEMS = 20, USERS = 12, TOP = 4 };
enum { SETTING_BY = 1, SETTING_BETA, SETTING_RATES };
static const char *const with_space[] = {"embedding", "popularity_gradient"};
static const int64_t begin_ms = 1700000000000;
#define HALF_LIFE_DAYS 0.5 // 16 of them, an era, are 8 days

static mr_setting settings[] = {
    {"popularity_gradient", "dim", DIM}, {"popularity_gradient", "by", 0},
    {"popularity_gradient", "beta", .5}, {"embedding", "rate_user", 0},
    {"embedding", "rate_item", 0},       {"popularity_gradient", "half_life_days", HALF_LIFE_DAYS},
    {"embedding", "dim", DIM},
};

static void open_mill(mill *m, double by, double beta, double rate)
{
    settings[SETTING_BY].value = by;
    settings[SETTING_BETA].value = beta;
    settings[SETTING_RATES].value = settings[SETTING_RATES + 1].value = rate;
    asked_open(m, with_space, 2, settings, sizeof settings / sizeof settings[0]);
}

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.9g, want %.9g within %g", have, want, within);
}

static void the_worked_vector_and_score(void **state)
{
    (void)state;
    const double length = sqrt(5), g[] = {2 / length, 1 / length}, v[] = {1.5, .5};
    const float of_item = (float)(v[0] * g[0] + v[1] * g[1]);
    const float rho = mr_popularity_share(49, 100);
    near((double)rho, .7, 1e-7);
    near((double)mr_popularity_share(7, 7), 1, 0);
    const double want[] = {.716, .108}, u[] = {.6, .8};
    for (int k = 0; k < 2; k++) // by a user along each axis
        near(v[k] - (double)mr_popularity_lost(.8f, rho, (float)g[k], of_item), want[k], 1e-6);
    const double score = u[0] * v[0] + u[1] * v[1], of_user = u[0] * g[0] + u[1] * g[1];
    near(score, 1.3, 1e-12);
    near(score - (double)mr_popularity_lost(.8f, rho, (float)of_user, of_item), .516, 1e-6);
    near((double)mr_popularity_lost(.8f, rho, (float)of_user, 0), 0, 0); // across it
    near((double)mr_popularity_lost(0, rho, (float)of_user, of_item), 0, 0);
    near((double)(of_item - mr_popularity_lost(1, 1, 1, of_item)), 0,
         0); // nothing along it is left
}

typedef struct world { // what acts have added up to
    double g[DIM];
    uint32_t acts[ITEMS];
} world;

static void vector_of(mill *m, mr_key_kind whose, uint32_t which, double v[DIM])
{
    uint32_t have;
    const asked_model a = asked(m, "embedding");
    const float *of =
        a.model->vector(a.instance, &a.view, whose,
                        whose == MR_KEY_USER ? asked_user(m, which) : asked_item(m, which), &have);
    for (int d = 0; d < DIM; d++)
        v[d] = (double)of[d];
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (int d = 0; d < DIM; d++)
        sum += a[d] * b[d];
    return sum;
}

static void assert_scores(mill *m, const world *w, double by, double beta)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        most = w->acts[i] > most ? w->acts[i] : most;
    for (uint32_t user = 0; user < USERS; user++) {
        float scores[ITEMS];
        double u[DIM];
        vector_of(m, MR_KEY_USER, user, u);
        asked_scores(m, "popularity_gradient", 0, user, ITEMS, scores);
        for (uint32_t i = 0; i < ITEMS; i++) {
            double v[DIM];
            vector_of(m, MR_KEY_ITEM, i, v);
            const double rho = sqrt((double)w->acts[i] / most);
            const double along = dot(u, w->g) * dot(v, w->g) / dot(w->g, w->g);
            const double lost = by > 0 ? beta * log(1.0 + w->acts[i]) : beta * rho * along;
            near((double)scores[i], dot(u, v) - lost, 1e-6 + 1e-5 * fabs(lost));
        }
    }
}

// Vectors stay where they are; acts come over ten days, so that an era ends on the way.
static void scores_are_those_of_a_direction_summed_by_hand(void **state)
{
    (void)state;
    enum { ACTS = 120 };
    const double betas[] = {0, .4, 1, .3}, by[] = {0, 0, 0, 1};
    const int64_t step_ms = 7200000;
    for (uint32_t c = 0; c < 4; c++) {
        static mill m;
        world w = {{0}, {0}};
        uint32_t users[ACTS], items[ACTS];
        mr_rng rng = mr_rng_make(c, 0, 0, 0, MR_PURPOSE_SIM);
        open_mill(&m, by[c], betas[c], 0);
        for (uint32_t i = 0; i < ACTS; i++) {
            users[i] = i < USERS ? i : mr_rng_below(&rng, USERS);
            items[i] = i < ITEMS ? i : mr_rng_below(&rng, 1 + mr_rng_below(&rng, ITEMS));
            w.acts[items[i]]++;
            asked_act(&m, users[i], items[i], begin_ms + i * step_ms);
        }
        for (uint32_t i = 0; i < ACTS; i++) {
            double u[DIM], v[DIM];
            vector_of(&m, MR_KEY_USER, users[i], u);
            vector_of(&m, MR_KEY_ITEM, items[i], v);
            const double days = (double)((int64_t)i * step_ms) / 86400000.0;
            const double weight = exp2(days / HALF_LIFE_DAYS) / (1 + exp(dot(u, v)));
            for (int d = 0; d < DIM; d++)
                w.g[d] += weight * u[d] / sqrt(dot(u, u));
        }
        assert_scores(&m, &w, by[c], betas[c]);
        mill_restart(&m, 3);
        for (uint32_t user = 0; user < USERS; user++) { // brings the users back
            w.acts[0]++;
            double u[DIM], v[DIM];
            asked_act(&m, user, 0, begin_ms + ACTS * step_ms);
            vector_of(&m, MR_KEY_USER, user, u);
            vector_of(&m, MR_KEY_ITEM, 0, v);
            const double days = (double)((int64_t)ACTS * step_ms) / 86400000.0;
            const double weight = exp2(days / HALF_LIFE_DAYS) / (1 + exp(dot(u, v)));
            for (int d = 0; d < DIM; d++)
                w.g[d] += weight * u[d] / sqrt(dot(u, u));
        }
        assert_scores(&m, &w, by[c], betas[c]);
        mill_close(&m);
    }
}

typedef struct row { // as the model keeps it
    int64_t era;
    uint64_t most;
    float sum[DIM];
} row;

// Deltas of two workers, and of times on both sides of an era's end, add up in either order.
static void deltas_add_up_in_any_order(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, 0, .5, 0);
    const asked_model a = asked(&m, "popularity_gradient");
    const mr_family *family = &a.instance->state->families[0];
    const row deltas[] = {
        {10, 3, {1, 2, 3}}, {11, 9, {-4, 5, .5f}}, {11, 2, {7}}, {10, 1, {.25f, 8}}};
    for (uint32_t grouping = 0; grouping < 3; grouping++) {
        row sum = {0}, left = deltas[1], right = deltas[3];
        if (grouping < 2) {
            for (uint32_t i = 0; i < 4; i++)
                family->combine(a.instance->config, &sum, &deltas[grouping == 0 ? i : 3 - i]);
        } else {
            family->combine(a.instance->config, &left, &deltas[0]);
            family->combine(a.instance->config, &right, &deltas[2]);
            family->combine(a.instance->config, &sum, &left);
            family->combine(a.instance->config, &sum, &right);
        }
        assert_int_equal(sum.era, 11);
        assert_int_equal(sum.most, 9);
        near((double)sum.sum[0], 3 + 1.25 * 0x1p-16, 1e-6);
        near((double)sum.sum[1], 5 + 10 * 0x1p-16, 1e-6);
        near((double)sum.sum[2], .5 + 3 * 0x1p-16, 1e-6);
    }
    mill_close(&m);
}

// How often the items that are best for users were acted on.
static double popularity_of_the_best(mill *m, double beta, double by)
{
    double sum = 0;
    for (uint32_t user = 0; user < USERS; user++) {
        asked_model a = asked(m, "popularity_gradient");
        double *config = a.instance->config; // dim, by, beta, half_life_days
        config[1] = by, config[2] = beta;
        const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
        const uint32_t slot = asked_user(m, user);
        mr_found found = {.max = TOP};
        float scores[TOP];
        a.model->candidates(a.instance, &a.view, &slot, 1, 0, &filter, &a.arena, &found);
        assert_int_equal(found.count, TOP);
        a.model->score(a.instance, &a.view, slot, found.slots, TOP, scores, TOP, &a.arena);
        for (uint32_t i = 0; i < TOP; i++) {
            near((double)found.scores[i], (double)scores[i], 0);
            assert_true(i == 0 || scores[i] <= scores[i - 1]);
            sum += mr_items_at(a.view.items, found.slots[i])->events;
        }
    }
    return sum / (USERS * TOP);
}

static void popular_items_lose_the_more_the_larger_beta_is(void **state)
{
    (void)state;
    static mill m;
    mr_rng rng = mr_rng_make(11, 0, 0, 0, MR_PURPOSE_SIM);
    open_mill(&m, 0, .5, .12);
    for (uint32_t i = 0; i < 1500; i++) { // a few items are everybody's, the others of one taste
        const uint32_t user = i % USERS;
        const bool popular = mr_rng_below(&rng, 10) < 6;
        const uint32_t item = popular ? mr_rng_below(&rng, 4) : 4 + user % 4 * 4 + i / USERS % 4;
        asked_act(&m, user, item, begin_ms + i * 60000);
    }
    for (uint32_t by = 0; by < 2; by++) {
        double before = 1e9;
        const double first = popularity_of_the_best(&m, 0, by);
        for (uint32_t step = 0; step <= 4; step++) {
            const double now = popularity_of_the_best(&m, step / 4.0, by);
            assert_true(now <= before);
            before = now;
        }
        assert_true(before < .8 * first);
    }
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_vector_and_score),
        cmocka_unit_test(scores_are_those_of_a_direction_summed_by_hand),
        cmocka_unit_test(deltas_add_up_in_any_order),
        cmocka_unit_test(popular_items_lose_the_more_the_larger_beta_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
