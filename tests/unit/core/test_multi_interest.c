// SPDX-License-Identifier: Apache-2.0
// multi_interest over planted item vectors: centres against the tastes that made them, the rules
// one by one, and scores and candidates against the maximum over centres.
#include "core/model/stand_in.h"
#include "tests/unit/core/asked.h"

enum { SHORT, LONG };
enum { DIM = 16, ITEMS = 24, INTERESTS = 4, CENTRE = 2 + DIM }; // CENTRE: floats of an interest

static const char *const with_space[] = {"embedding", "multi_interest"};
static const int64_t begin_ms = 1700000000000;
static const mr_setting settings[] = {
    {"embedding", "dim", DIM},
    {"embedding", "rate_item", 0}, // vectors stay where they are planted
    {"embedding", "rate_user", 0},
    {"multi_interest", "dim", DIM},
    {"multi_interest", "interests", INTERESTS},
    {"multi_interest", "recent", INTERESTS},
    {"multi_interest", "recent_slowest", 0.05},
    {"multi_interest", "half_life_s", 1e9},
    {"multi_interest", "recent_half_life_s", 1e9},
    {"multi_interest", "share", 0.25},
};

// Items of one taste lie near one axis: item i near axis i % tastes.
static void planted(uint32_t item, uint32_t tastes, float v[DIM])
{
    mr_rng rng = mr_rng_make(5, 0, 0, item, MR_PURPOSE_SIM);
    for (int d = 0; d < DIM; d++)
        v[d] = 0.03f * mr_rng_normal(&rng);
    v[item % tastes] += 1.0f + 0.1f * (float)(item % 5);
}

// Every item is known and has its planted vector.
static void open_mill(mill *m, uint32_t tastes, uint32_t setting_count)
{
    asked_open(m, with_space, 2, settings, setting_count);
    for (uint32_t item = 0; item < ITEMS; item++)
        asked_act(m, 100 + item, item, begin_ms - 1000000);
    for (uint32_t item = 0; item < ITEMS; item++) {
        float v[DIM];
        planted(item, tastes, v);
        memcpy(asked_item_row(m, "embedding.item", item)->value + 8, v, sizeof v);
    }
    asked_reload(m);
}

// The user's long interests as they are stored; returns how many there are.
static uint32_t centres(mill *m, uint32_t user, float out[INTERESTS][CENTRE])
{
    uint32_t size = 0;
    const uint8_t *part = asked_part(m, "multi_interest.interests", user, &size);
    memset(out, 0, INTERESTS * sizeof out[0]);
    if (part != NULL)
        memcpy(out, part, size);
    assert_int_equal(size % (CENTRE * 4), 0);
    return size / (CENTRE * 4);
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (int d = 0; d < DIM; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

static double cosine(const float *a, const float *b)
{
    return dot(a, b) / sqrt(dot(a, a) * dot(b, b));
}

static void tastes_in_turn_become_centres_of_their_own(void **state)
{
    (void)state;
    static mill m;
    float have[INTERESTS][CENTRE], mean[2][DIM] = {{0}}, v[DIM];
    open_mill(&m, 2, 10);
    for (uint32_t i = 0; i < 20; i++) {
        asked_act(&m, 1, i, begin_ms + i * 1000);
        planted(i, 2, v);
        for (int d = 0; d < DIM; d++)
            mean[i % 2][d] += v[d];
    }
    assert_int_equal(centres(&m, 1, have), 2);
    for (uint32_t k = 0; k < 2; k++) {
        assert_true(cosine(have[k] + 2, mean[k]) > 0.99);
        assert_true(fabs((double)have[k][0] - 10) < 1e-3); // mass
    }
    mill_close(&m);
}

static void one_taste_leaves_the_other_interests_empty(void **state)
{
    (void)state;
    static mill m;
    float have[INTERESTS][CENTRE];
    open_mill(&m, 1, 10);
    for (uint32_t i = 0; i < 20; i++)
        asked_act(&m, 1, i, begin_ms + i * 1000);
    assert_int_equal(centres(&m, 1, have), 1);
    mill_close(&m);
}

static void more_tastes_than_interests_join_the_nearest_until_one_has_faded(void **state)
{
    (void)state;
    static mill m;
    float have[INTERESTS][CENTRE];
    mr_setting faster[10];
    memcpy(faster, settings, sizeof faster);
    faster[7].value = 3600; // half-life
    asked_open(&m, with_space, 2, faster, 10);
    for (uint32_t item = 0; item < ITEMS; item++)
        asked_act(&m, 100 + item, item, begin_ms - 1000000);
    for (uint32_t item = 0; item < ITEMS; item++) {
        float v[DIM];
        planted(item, 5, v);
        memcpy(asked_item_row(&m, "embedding.item", item)->value + 8, v, sizeof v);
    }
    asked_reload(&m);
    for (uint32_t i = 0; i < 5; i++) // the fifth finds no room: all masses are near 1
        asked_act(&m, 1, i, begin_ms + i * 1000);
    assert_int_equal(centres(&m, 1, have), INTERESTS);
    double mass = 0;
    for (uint32_t k = 0; k < INTERESTS; k++) {
        assert_true(cosine(have[k] + 2, have[(k + 1) % INTERESTS] + 2) < 0.9);
        mass += (double)have[k][0];
    }
    assert_true(fabs(mass - 5) < 0.01);
    for (uint32_t i = 0; i < 5; i++) // two half-lives later masses are a quarter
        asked_act(&m, 1, i == 0 ? 4 : 10 + i, begin_ms + 7200000 + i * 1000);
    float v[DIM];
    planted(4, 5, v);
    centres(&m, 1, have);
    double best = 0;
    for (uint32_t k = 0; k < INTERESTS; k++)
        best = fmax(best, cosine(have[k] + 2, v));
    assert_true(best > 0.99);
    mill_close(&m);
}

// Two centres of cosine .9 and lengths 1 and 2: the second loses .1 (.9 - .8) 2 of the first.
// Two of cosine .98 and masses 1 and 3 become one of mass 4.
static void interests_that_are_too_alike_part_or_join(void **state)
{
    (void)state;
    for (int same = 0; same < 2; same++) {
        static mill m;
        float have[INTERESTS][CENTRE];
        open_mill(&m, 3, 10);
        for (uint32_t i = 0; i < 16; i++) // of which the next is the one that looks
            asked_act(&m, 1, i, begin_ms + i * 1000);
        uint32_t size = 0;
        uint8_t *part = asked_part(&m, "multi_interest.interests", 1, &size);
        assert_int_equal(centres(&m, 1, have), 3);
        const float x = same ? 0.98f : 0.9f, y = sqrtf(1 - x * x);
        const float mass[] = {1, 3, 1000};
        for (uint32_t k = 0; k < 3; k++) {
            have[k][0] = mass[k];
            memset(have[k] + 2, 0, DIM * sizeof(float));
        }
        have[0][2] = 1;
        have[1][2] = 2 * x;
        have[1][3] = 2 * y;
        have[2][2 + 2] = 1; // takes the act below, at a share of .05
        memcpy(part, have, size);
        asked_reload(&m);
        asked_act(&m, 1, 17, begin_ms + 16 * 1000);
        centres(&m, 1, have);
        if (same) {
            assert_true(fabs((double)have[0][0] - 4) < 1e-5 && have[1][0] == 0);
            assert_true(fabs((double)have[0][2] - (1 + 3 * 2 * 0.98) / 4) < 1e-5);
            assert_true(fabs((double)have[0][3] - 3 * 2 * (double)y / 4) < 1e-5);
        } else {
            assert_true(fabs((double)have[0][2] - 1) < 1e-6);
            assert_true(fabs((double)have[1][2] - (1.8 - 0.1 * 0.1 * 2)) < 1e-5);
            assert_true(fabs((double)have[1][3] - 2 * (double)y) < 1e-6);
        }
        mill_close(&m);
    }
}

static void an_item_is_worth_its_best_interest(void **state)
{
    (void)state;
    static mill m;
    float have[INTERESTS][CENTRE], scores[ITEMS];
    open_mill(&m, 3, 10);
    for (uint32_t i = 0; i < 14; i++)
        asked_act(&m, 1, i % 7, begin_ms + i * 1000);
    const uint32_t count = centres(&m, 1, have);
    asked_scores(&m, "multi_interest", LONG, 1, ITEMS, scores);
    double mass = 0;
    for (uint32_t k = 0; k < count; k++)
        mass += (double)have[k][0];
    for (uint32_t item = 0; item < ITEMS; item++) {
        float v[DIM];
        double best = -1e9;
        planted(item, 3, v);
        for (uint32_t k = 0; k < count; k++)
            best = fmax(best, dot(have[k] + 2, v) + 0.25 * log((double)have[k][0] / mass));
        assert_true(fabs((double)scores[item] - best) < 1e-5);
    }
    mill_close(&m);
}

// Both sets follow one rule: where nothing is older than the newest events and nothing fades, they
// are the same.
static void the_short_set_is_the_long_one_of_the_newest_events(void **state)
{
    (void)state;
    static mill m;
    float lasting[ITEMS], recent[ITEMS];
    open_mill(&m, 3, 10);
    for (uint32_t i = 0; i < 14; i++) {
        asked_act(&m, 1, (5 * i) % ITEMS, begin_ms + i * 1000);
        asked_scores(&m, "multi_interest", LONG, 1, ITEMS, lasting);
        asked_scores(&m, "multi_interest", SHORT, 1, ITEMS, recent);
        assert_memory_equal(lasting, recent, sizeof lasting);
    }
    mill_close(&m);
}

static void without_long_interests_nothing_is_kept(void **state)
{
    (void)state;
    static mill m;
    float recent[2][ITEMS];
    uint32_t size;
    mr_setting fewer[10];
    memcpy(fewer, settings, sizeof fewer);
    for (uint32_t interests = 0; interests < 2; interests++) {
        fewer[4].value = interests;
        asked_open(&m, with_space, 2, fewer, 10);
        for (uint32_t i = 0; i < ITEMS; i++)
            asked_act(&m, 1, i, begin_ms + i * 1000);
        assert_int_equal(asked_part(&m, "multi_interest.interests", 1, &size) != NULL, interests);
        asked_scores(&m, "multi_interest", SHORT, 1, ITEMS, recent[interests]);
        mill_close(&m);
    }
    assert_memory_equal(recent[0], recent[1], sizeof recent[0]);
}

static void candidates_are_the_best_of_all_items_by_score(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, 3, 10);
    for (uint32_t i = 0; i < 18; i++)
        asked_act(&m, 1 + i % 3, (7 * i) % ITEMS, begin_ms + i * 1000);
    for (uint32_t column = 0; column < 2; column++) {
        asked_model a = asked(&m, "multi_interest");
        uint32_t users[] = {asked_user(&m, 1), asked_user(&m, 2), asked_user(&m, 3)};
        mr_filter filters[3];
        mr_found found[3];
        for (uint32_t u = 0; u < 3; u++) {
            filters[u] = mr_filter_make(a.view.items, NULL, 0);
            found[u].max = 6;
        }
        a.model->candidates(a.instance, &a.view, users, 3, column, filters, &a.arena, found);
        for (uint32_t u = 0; u < 3; u++) {
            float scores[ITEMS];
            asked_scores(&m, "multi_interest", column, 1 + u, ITEMS, scores);
            assert_int_equal(found[u].count, 6);
            for (uint32_t i = 0; i < 6; i++) {
                uint32_t better = 0, equal = 0;
                for (uint32_t item = 0; item < ITEMS; item++) {
                    better += scores[item] > found[u].scores[i];
                    equal += scores[item] == found[u].scores[i];
                }
                assert_true(better <= i && equal >= 1 && better + equal > i);
            }
        }
    }
    mill_close(&m);
}

static void whoever_stands_in_for_a_user_finds_what_he_finds(void **state)
{
    (void)state;
    static mill m;
    open_mill(&m, 3, 10);
    asked_act(&m, 1, 3, begin_ms);
    asked_model a = asked(&m, "embedding");
    const uint32_t user = asked_user(&m, 1);
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
    mr_found his = {.max = 10}, theirs[2] = {{.max = 10}, {.max = 10}};
    const mr_filter filters[] = {filter, filter};
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &his);
    const mr_stand_ins all = mr_stand_ins_make(&a.view, "embedding", 2, &a.arena);
    assert_int_equal(all.length, DIM);
    uint32_t count;
    memcpy(mr_stand_ins_vector(&all, 1),
           a.model->vector(a.instance, &a.view, MR_KEY_USER, user, &count), DIM * sizeof(float));
    mr_stand_ins_find(&all, filters, &a.arena, theirs);
    assert_int_equal(theirs[1].count, his.count);
    assert_memory_equal(theirs[1].slots, his.slots, his.count * sizeof his.slots[0]);
    assert_memory_equal(theirs[1].scores, his.scores, his.count * sizeof his.scores[0]);
    float again[10];
    mr_stand_ins_score(&all, 1, his.slots, his.count, again, &a.arena);
    assert_memory_equal(again, his.scores, his.count * sizeof his.scores[0]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tastes_in_turn_become_centres_of_their_own),
        cmocka_unit_test(one_taste_leaves_the_other_interests_empty),
        cmocka_unit_test(more_tastes_than_interests_join_the_nearest_until_one_has_faded),
        cmocka_unit_test(interests_that_are_too_alike_part_or_join),
        cmocka_unit_test(an_item_is_worth_its_best_interest),
        cmocka_unit_test(the_short_set_is_the_long_one_of_the_newest_events),
        cmocka_unit_test(without_long_interests_nothing_is_kept),
        cmocka_unit_test(candidates_are_the_best_of_all_items_by_score),
        cmocka_unit_test(whoever_stands_in_for_a_user_finds_what_he_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
