// SPDX-License-Identifier: Apache-2.0
// popularity_discount in a world where a few items are everybody's.
#include "tests/unit/core/asked.h"

enum { ITEMS = 20, POPULAR = 4, USERS = 12, TOP = 4, ACTS = 1500 };
static const int64_t begin_ms = 1700000000000;

static void open_mill(mill *m, double beta)
{
    static const char *const on[] = {"embedding", "popularity_discount"};
    static mr_setting settings[] = {{"embedding", "dim", 16}, {"popularity_discount", "beta", 0}};
    settings[1].value = beta;
    asked_open(m, on, 2, settings, 2);
}

// Returns how often each item was acted on.
static void live(mill *m, uint32_t acts[ITEMS])
{
    mr_rng rng = mr_rng_make(11, 0, 0, 0, MR_PURPOSE_SIM);
    memset(acts, 0, ITEMS * sizeof *acts);
    for (uint32_t i = 0; i < ACTS; i++) {
        const uint32_t user = i % USERS;
        const uint32_t own = POPULAR + user % 4 * 4 + i / USERS % 4;
        const uint32_t item = mr_rng_below(&rng, 10) < 6 ? mr_rng_below(&rng, POPULAR) : own;
        acts[item]++;
        asked_act(m, user, item, begin_ms + i * 60000);
    }
}

static void a_score_is_less_by_the_logarithm_of_acts(void **state)
{
    (void)state;
    static mill m;
    uint32_t acts[ITEMS];
    open_mill(&m, .3);
    live(&m, acts);
    for (uint32_t user = 0; user < USERS; user++) {
        float before[ITEMS], after[ITEMS];
        asked_scores(&m, "embedding", 0, user, ITEMS, before);
        asked_scores(&m, "popularity_discount", 0, user, ITEMS, after);
        for (uint32_t i = 0; i < ITEMS; i++)
            assert_true(fabs((double)before[i] - .3 * log(1.0 + acts[i]) - (double)after[i]) <
                        1e-5);
    }
    mill_close(&m);
}

// How often the items that are best for users were acted on.
static double popularity_of_the_best(mill *m, const uint32_t acts[ITEMS])
{
    double sum = 0;
    for (uint32_t user = 0; user < USERS; user++) {
        asked_model a = asked(m, "popularity_discount");
        const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
        const uint32_t slot = asked_user(m, user);
        mr_found found = {.max = TOP};
        float scores[ITEMS];
        a.model->candidates(a.instance, &a.view, &slot, 1, 0, &filter, &a.arena, &found);
        assert_int_equal(found.count, TOP);
        asked_scores(m, "popularity_discount", 0, user, ITEMS, scores);
        for (uint32_t i = 0; i < ITEMS; i++) {
            uint32_t above = 0, place = TOP;
            for (uint32_t j = 0; j < ITEMS; j++)
                above += scores[j] > scores[i];
            for (uint32_t p = 0; p < TOP; p++)
                place = found.slots[p] == asked_item(m, i) ? p : place;
            assert_int_equal(place, above < TOP ? above : TOP); // found as they are scored
            sum += place < TOP ? acts[i] : 0;
        }
    }
    return sum / (USERS * TOP);
}

static void popular_items_are_listed_the_less_the_larger_beta_is(void **state)
{
    (void)state;
    static const double betas[] = {1e-9, .1, .3, .6, 1.2};
    double before = 1e9, first = 0;
    for (uint32_t b = 0; b < 5; b++) {
        static mill m;
        uint32_t acts[ITEMS];
        open_mill(&m, betas[b]);
        live(&m, acts);
        const double now = popularity_of_the_best(&m, acts);
        first = b == 0 ? now : first;
        assert_true(now <= before);
        before = now;
        mill_close(&m);
    }
    assert_true(before < .7 * first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_score_is_less_by_the_logarithm_of_acts),
        cmocka_unit_test(popular_items_are_listed_the_less_the_larger_beta_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
