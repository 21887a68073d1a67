// SPDX-License-Identifier: Apache-2.0
// pi2i: gradients of the pair network, tables that covisit orders the same way, the index's
// ceiling, and what is learned of a world where the newest item misleads.
#include "core/model/neighbours.h"
#include "core/model/pair_net.h"
#include "tests/unit/core/asked.h"

enum { X = MR_PAIR_X, TARGETS = 4, PAIRS = 3, TRIALS = 20 };

static const int64_t begin_ms = 1700000000000;
static const char *const with_tables[] = {"covisit", "embedding", "pi2i"};

// ---- the network, in double

static double score_of(const double *net, const float *x)
{
    const double *b1 = net + 16 * 16, *w2 = b1 + 16, *w3 = w2 + 16;
    double g = 0;
    for (int h = 0; h < 16; h++) {
        double pre = b1[h];
        for (int i = 0; i < X; i++)
            pre += net[16 * h + i] * (double)x[i];
        g += pre > 0 ? w2[h] * pre : 0;
    }
    for (int i = 0; i < X; i++)
        g += w3[i] * (double)x[i];
    return g;
}

// -ln softmax of the first target.
static double loss_of(const double *net, float x[TARGETS][PAIRS][X], bool max)
{
    double of[TARGETS], sum = 0;
    for (int t = 0; t < TARGETS; t++) {
        double total = 0, top = -1e9;
        for (int p = 0; p <= t % PAIRS; p++) {
            const double g = score_of(net, x[t][p]);
            total += exp(g);
            top = g > top ? g : top;
        }
        of[t] = max ? top : log(total);
        sum += exp(of[t]);
    }
    return log(sum) - of[0];
}

static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    const mr_vec *vec = mr_vec_best();
    for (int trial = 0; trial < TRIALS; trial++) {
        mr_rng rng = mr_rng_make((uint64_t)trial, 0, 0, 0, MR_PURPOSE_SIM);
        mr_pair_net net, gradient;
        float *const w = (float *)(void *)&net, x[TARGETS][PAIRS][X], hidden[TARGETS][PAIRS][16];
        float g[TARGETS][PAIRS], shares[TARGETS][PAIRS], of[TARGETS], p[TARGETS];
        double exact[MR_PAIR_FLOATS];
        memset(&gradient, 0, sizeof gradient);
        for (int i = 0; i < MR_PAIR_FLOATS; i++)
            exact[i] = (double)(w[i] = 0.5f * mr_rng_normal(&rng));
        for (int t = 0; t < TARGETS; t++) {
            for (int k = 0; k <= t % PAIRS; k++) {
                for (int i = 0; i < X; i++)
                    x[t][k][i] = mr_rng_normal(&rng);
                g[t][k] = mr_pair_score(&net, vec, x[t][k], hidden[t][k]);
                assert_true(fabs((double)g[t][k] - score_of(exact, x[t][k])) < 1e-5);
            }
            of[t] = mr_pair_pool(g[t], (uint32_t)(t % PAIRS) + 1, trial % 2 == 1, shares[t]);
        }
        (void)mr_pair_pool(of, TARGETS, false, p);
        for (int t = 0; t < TARGETS; t++)
            for (int k = 0; k <= t % PAIRS; k++)
                mr_pair_back(&net, vec, x[t][k], hidden[t][k],
                             (p[t] - (t == 0 ? 1.0f : 0.0f)) * shares[t][k], &gradient);
        for (int i = 0; i < MR_PAIR_FLOATS; i++) {
            const double at = exact[i], h = 1e-6;
            exact[i] = at + h;
            const double up = loss_of(exact, x, trial % 2 == 1);
            exact[i] = at - h;
            const double down = loss_of(exact, x, trial % 2 == 1);
            exact[i] = at;
            const double have = (double)((float *)(void *)&gradient)[i];
            if (fabs(have - (up - down) / (2 * h)) > 2e-5)
                fail_msg("trial %d, %d: %.9g, want %.9g", trial, i, have, (up - down) / (2 * h));
        }
    }
}

// ---- tables

enum { ITEMS = 40, USERS = 30 };

static void learn(mill *m, uint32_t rounds)
{
    for (uint32_t r = 0; r < rounds; r++) {
        made_event events[USERS];
        for (uint32_t u = 0; u < USERS; u++) {
            mr_rng rng = mr_rng_make(3, r, 0, u, MR_PURPOSE_SIM);
            const uint32_t a = mr_rng_below(&rng, ITEMS), b = mr_rng_below(&rng, ITEMS);
            mill_act(&events[u], MR_EVENT_CLICK, u, a < b ? a : b,
                     begin_ms + (int64_t)r * 1000 + u);
        }
        asked_round(m, events, USERS);
    }
}

// With W2 = 0, as at the start, and no step ever, G is 10 times the similarity.
static void with_similarity_alone_the_order_is_covisits(void **state)
{
    (void)state;
    static mill m;
    static const mr_setting settings[] = {{"covisit", "exponent", 0.5}, {"covisit", "history", 1},
                                          {"covisit", "shrink", 0},     {"pi2i", "triggers", 1},
                                          {"pi2i", "over", 1},          {"pi2i", "rate", 0},
                                          {"pi2i", "shrink", 0}};
    asked_open(&m, with_tables, 3, settings, 7);
    learn(&m, 12);
    for (uint32_t u = 0; u < USERS; u++) {
        static mr_found of[2];
        for (uint32_t which = 0; which < 2; which++) {
            asked_model a = asked(&m, which == 0 ? "covisit" : "pi2i");
            const uint32_t user = asked_user(&m, u);
            const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
            of[which].max = 20;
            a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &of[which]);
        }
        assert_true(of[0].count > 0 && of[0].count == of[1].count);
        for (uint32_t i = 0; i < of[0].count; i++) {
            const double similarity = log((double)of[1].scores[i]) / 10;
            // covisit's totals have one unit more, of 1 / 65536
            assert_true(fabs(similarity / (double)of[0].scores[i] - 1) < 1e-3);
            assert_true(i == 0 || of[1].scores[i] <= of[1].scores[i - 1]);
        }
    }
    mill_close(&m);
}

// Of several triggers: the largest, and the sum, of what covisit's tables say by hand.
static void triggers_are_pooled(void **state)
{
    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        static mill m;
        const mr_setting settings[] = {
            {"pi2i", "triggers", 5}, {"pi2i", "over", over}, {"pi2i", "rate", 0}};
        float scores[ITEMS];
        double want[ITEMS] = {0};
        asked_open(&m, with_tables, 3, settings, 3);
        learn(&m, 12);
        asked_model a = asked(&m, "covisit");
        const mr_user *user = mr_view_user(&a.view, asked_user(&m, 4));
        for (uint32_t p = 0; p < user->recent_count && p < 5; p++) {
            static mr_table_entry entries[MR_NEIGHBOURS_MAX];
            const uint32_t slot = mr_items_find(a.view.items, user->recent[p].item_key);
            float total;
            const uint32_t count =
                mr_neighbours_earlier(user, p)
                    ? 0
                    : mr_view_table(&a.view, "covisit", slot, &total, entries, MR_NEIGHBOURS_MAX);
            for (uint32_t e = 0; e < count; e++)
                for (uint32_t i = 0; i < ITEMS; i++) {
                    char id[16];
                    snprintf(id, sizeof id, "i%u", i);
                    if (a.view.items->slots.keys[entries[e].slot] != mr_item_key(mr_bytes_text(id)))
                        continue;
                    const double g = 10 * (double)entries[e].count /
                                     (sqrt((double)total * (double)entries[e].total) + 5);
                    want[i] = over == 1 ? fmax(want[i], exp(g)) : want[i] + exp(g);
                }
        }
        uint32_t known = 0, several = 0;
        for (uint32_t i = 0; i < ITEMS - 1; i++) {
            asked_model b = asked(&m, "pi2i");
            char id[16];
            snprintf(id, sizeof id, "i%u", i);
            const uint32_t slot = mr_items_find(b.view.items, mr_item_key(mr_bytes_text(id)));
            if (slot == MR_MAP_NONE)
                continue;
            b.model->score(b.instance, &b.view, asked_user(&m, 4), &slot, 1, &scores[i], 1,
                           &b.arena);
            if (fabs((double)scores[i] - want[i]) > 1e-4 * (1 + want[i]))
                fail_msg("item %u: %.9g, want %.9g", i, (double)scores[i], want[i]);
            known += want[i] > 0;
            several += want[i] > 2;
        }
        assert_true(known > 5 && (over == 1 || several > 0));
        mill_close(&m);
    }
}

// ---- learning

static double measured(mill *m)
{
    mr_measure of[4];
    const asked_model a = asked(m, "pi2i");
    assert_int_equal(a.model->state.measure(a.instance, &a.view, of, 4), 1);
    assert_string_equal(of[0].name, "reach");
    return of[0].value;
}

static void reach_is_how_often_a_table_has_the_item(void **state)
{
    (void)state;
    static mill m;
    static const mr_setting settings[] = {{"pi2i", "triggers", 3}, {"pi2i", "every", 1}};
    asked_open(&m, with_tables, 3, settings, 2);
    asked_act(&m, 1, 0, begin_ms);
    asked_act(&m, 1, 1, begin_ms + 1000); // no table yet: not asked
    assert_true(measured(&m) == 0);
    asked_act(&m, 2, 0, begin_ms + 2000);
    asked_act(&m, 2, 1, begin_ms + 3000); // stands in the table of 0
    assert_true(measured(&m) == 1);
    asked_act(&m, 3, 0, begin_ms + 4000);
    asked_act(&m, 3, 2, begin_ms + 5000); // does not
    assert_true(measured(&m) == 0.5);
    mill_close(&m);
}

// After a click on one of ten things users mostly look at its like; after it was put in the cart,
// at what belongs to it. Returns how often that comes before the like.
static uint32_t right_of(double rate)
{
    static mill m;
    const mr_setting settings[] = {
        {"pi2i", "triggers", 2}, {"pi2i", "every", 1}, {"pi2i", "rate", rate}};
    uint32_t right = 0;
    asked_open(&m, with_tables, 3, settings, 3);
    for (uint32_t i = 0; i < 30; i++)
        asked_act(&m, 5000 + i, i, begin_ms - 1000);
    for (uint32_t u = 0; u < 500; u++) {
        const uint32_t thing = u % 10, belongs = 10 + thing, like = 20 + thing;
        const int64_t time_ms = begin_ms + (int64_t)u * 10000;
        float scores[30];
        made_event event;
        for (uint32_t other = 0; other < 4; other++) {
            asked_act(&m, 1000 + u * 4 + other, thing, time_ms + other);
            asked_act(&m, 1000 + u * 4 + other, (u + other) % 9 == 0 ? belongs : like,
                      time_ms + 1000 + other);
        }
        mill_act(&event, MR_EVENT_CART, u, thing, time_ms + 2000);
        asked_round(&m, &event, 1);
        asked_scores(&m, "pi2i", 0, u, 30, scores);
        right += u >= 400 && scores[belongs] > scores[like];
        asked_act(&m, u, belongs, time_ms + 3000);
    }
    mill_close(&m);
    return right;
}

static void what_the_cart_says_is_learned_to_count(void **state)
{
    (void)state;
    const uint32_t before = right_of(0), after = right_of(0.01);
    if (before > 10 || after < 90)
        fail_msg("%u of 100 right before, %u after", before, after);
}

// ---- several workers

static void lessons_add_up_in_any_grouping(void **state)
{
    (void)state;
    uint32_t model = 0;
    while (strcmp(mr_models[model]->state.name, "pi2i") != 0)
        model++;
    const mr_family *net = &mr_models[model]->state.families[0];
    enum { FLOATS = MR_PAIR_FLOATS + 2 };
    static float one[FLOATS], all[FLOATS], part[3][FLOATS], lesson[FLOATS];
    assert_int_equal(mr_family_delta_bytes(net, NULL), sizeof one);
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t l = 0; l < 60; l++) {
        for (uint32_t i = 0; i < FLOATS; i++)
            lesson[i] = mr_rng_normal(&rng);
        mr_family_combine(net, NULL, one, lesson);
        mr_family_combine(net, NULL, part[l % 3], lesson);
    }
    for (uint32_t w = 0; w < 3; w++)
        mr_family_combine(net, NULL, all, part[w]);
    for (uint32_t i = 0; i < FLOATS; i++)
        assert_true(fabs((double)(one[i] - all[i])) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(with_similarity_alone_the_order_is_covisits),
        cmocka_unit_test(triggers_are_pooled),
        cmocka_unit_test(reach_is_how_often_a_table_has_the_item),
        cmocka_unit_test(what_the_cart_says_is_learned_to_count),
        cmocka_unit_test(lessons_add_up_in_any_grouping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
