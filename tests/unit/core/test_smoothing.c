// SPDX-License-Identifier: Apache-2.0
// smoothing over planted vectors: scores against neighbours that are summed from the acts
// themselves.
#include "tests/unit/core/asked.h"

enum { DIM = 16, ITEMS = 12, USERS = 6, ACTS = 150 };

static const char *const with_space[] = {"embedding", "smoothing"};
static const int64_t begin_ms = 1700000000000;
#define HALF_LIFE_DAYS 0.5 // 16 of them, an era, are 8 days

static mr_setting settings[] = {
    {"embedding", "dim", DIM},
    {"embedding", "rate_item", 0}, // vectors stay where they are
    {"embedding", "rate_user", 0},
    {"smoothing", "dim", DIM},
    {"smoothing", "half_life_days", HALF_LIFE_DAYS},
    {"smoothing", "alpha", 0},
};

typedef struct act {
    uint32_t user, item;
    int64_t time_ms;
} act;

static void open_mill(mill *m, double alpha)
{
    settings[5].value = alpha;
    asked_open(m, with_space, 2, settings, sizeof settings / sizeof settings[0]);
    for (uint32_t item = 0; item < ITEMS; item++)
        asked_act(m, 100 + item, item, begin_ms - 1000);
}

static void vector_of(mill *m, mr_key_kind whose, uint32_t which, double v[DIM])
{
    uint32_t have;
    const asked_model a = asked(m, "embedding");
    const float *of =
        a.model->vector(a.instance, &a.view, whose,
                        whose == MR_KEY_USER ? asked_user(m, which) : asked_item(m, which), &have);
    assert_true(have >= DIM);
    for (int d = 0; d < DIM; d++)
        v[d] = (double)of[d];
}

// M_i and d_i at now_ms, from the acts; every item also has one of user 100 + item.
static void remember(mill *m, const act *acts, uint32_t count, uint32_t item, int64_t now_ms,
                     double sum[DIM], double *degree)
{
    double x[DIM];
    uint32_t before[USERS] = {0};
    const double half_life_ms = HALF_LIFE_DAYS * 86400000.0;
    const double first = exp2(-(double)(now_ms - begin_ms + 1000) / half_life_ms);
    vector_of(m, MR_KEY_USER, 100 + item, x);
    for (int d = 0; d < DIM; d++)
        sum[d] = first * x[d];
    *degree = first;
    for (uint32_t i = 0; i < count; i++) {
        const double of = before[acts[i].user]++ + 1.0;
        const double weight = exp2(-(double)(now_ms - acts[i].time_ms) / half_life_ms);
        if (acts[i].item != item)
            continue;
        vector_of(m, MR_KEY_USER, acts[i].user, x);
        for (int d = 0; d < DIM; d++)
            sum[d] += weight * x[d] / sqrt(fmin(of, MR_RECENT_MAX));
        *degree += weight;
    }
    *degree = fmax(*degree, 1);
}

static void smooth_items(mill *m, const act *acts, uint32_t count, int64_t now_ms, double alpha,
                         double z[ITEMS][DIM], double degree[ITEMS])
{
    for (uint32_t item = 0; item < ITEMS; item++) {
        double x[DIM], sum[DIM];
        vector_of(m, MR_KEY_ITEM, item, x);
        remember(m, acts, count, item, now_ms, sum, &degree[item]);
        for (int d = 0; d < DIM; d++)
            z[item][d] = alpha * x[d] + (1 - alpha) * sum[d] / sqrt(degree[item]);
    }
}

static void assert_scores(mill *m, const act *acts, uint32_t count, uint32_t user, double alpha)
{
    double z[ITEMS][DIM], degree[ITEMS], of_user[DIM];
    float scores[ITEMS];
    const int64_t now_ms = acts[count - 1].time_ms;
    smooth_items(m, acts, count, now_ms, alpha, z, degree);
    vector_of(m, MR_KEY_USER, user, of_user);
    uint32_t newest = 0, items[MR_RECENT_MAX];
    for (uint32_t i = count; i-- > 0 && newest < MR_RECENT_MAX;)
        if (acts[i].user == user)
            items[newest++] = acts[i].item;
    for (int d = 0; d < DIM; d++) {
        of_user[d] *= alpha;
        for (uint32_t p = 0; p < newest; p++)
            of_user[d] += (1 - alpha) * z[items[p]][d] / sqrt(newest * degree[items[p]]);
    }
    asked_scores(m, "smoothing", 0, user, ITEMS, scores);
    for (uint32_t item = 0; item < ITEMS; item++) {
        double want = 0;
        for (int d = 0; d < DIM; d++)
            want += of_user[d] * z[item][d];
        if (fabs((double)scores[item] - want) > 1e-5 * (1e-3 + fabs(want)))
            fail_msg("user %u, item %u: %.9g, want %.9g", user, item, (double)scores[item], want);
    }
}

static void scores_are_those_of_neighbours_summed_by_hand(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < 3; a++) {
        const double alpha = a * 0.4;
        static mill m;
        act acts[ACTS];
        mr_rng rng = mr_rng_make(a, 0, 0, 0, MR_PURPOSE_SIM);
        open_mill(&m, alpha);
        for (uint32_t i = 0; i < ACTS; i++) { // over ten days: an era ends on the way
            acts[i] = (act){mr_rng_below(&rng, USERS), mr_rng_below(&rng, ITEMS),
                            begin_ms + (int64_t)i * 5760000};
            asked_act(&m, acts[i].user, acts[i].item, acts[i].time_ms);
            if (i % 30 == 29)
                assert_scores(&m, acts, i + 1, acts[i].user, alpha);
        }
        mill_close(&m);
    }
}

static void with_alpha_one_scores_are_the_embeddings(void **state)
{
    (void)state;
    static mill m;
    float smoothed[ITEMS], plain[ITEMS];
    open_mill(&m, 1);
    for (uint32_t i = 0; i < 40; i++)
        asked_act(&m, i % 3, i * 7 % ITEMS, begin_ms + i * 1000);
    asked_scores(&m, "smoothing", 0, 1, ITEMS, smoothed);
    asked_scores(&m, "embedding", 0, 1, ITEMS, plain);
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_true(fabs((double)smoothed[i] - (double)plain[i]) < 1e-7);
    mill_close(&m);
}

static void candidates_are_in_order_of_their_scores(void **state)
{
    (void)state;
    static mill m;
    float scores[ITEMS];
    open_mill(&m, 0.5);
    for (uint32_t i = 0; i < 40; i++)
        asked_act(&m, i % 3, i * 7 % ITEMS, begin_ms + i * 1000);
    asked_scores(&m, "smoothing", 0, 1, ITEMS, scores);
    asked_model a = asked(&m, "smoothing");
    const uint32_t user = asked_user(&m, 1);
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
    static mr_found found;
    found.max = ITEMS;
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &found);
    assert_int_equal(found.count, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t item = 0;
        while (asked_item(&m, item) != found.slots[i])
            item++;
        assert_memory_equal(&scores[item], &found.scores[i], sizeof scores[item]);
        assert_true(i == 0 || found.scores[i] <= found.scores[i - 1]);
    }
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_neighbours_summed_by_hand),
        cmocka_unit_test(with_alpha_one_scores_are_the_embeddings),
        cmocka_unit_test(candidates_are_in_order_of_their_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
