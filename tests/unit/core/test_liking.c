// SPDX-License-Identifier: Apache-2.0
// liking: the law of choice and liking against worked figures, an integral and differences; and
// through the engine: what nobody chose is foreseen without the liking of those who choose.
#include "core/base/normal.h"
#include "core/model/selection.h"
#include "tests/unit/core/asked.h"

static const int64_t begin_ms = 1700000000000;
enum { DIM = 16 };

// ---- the law

static void the_worked_figures(void **state)
{
    (void)state;
    const mr_both both = mr_selection_both(.3, -.5, .4);
    assert_true(fabs(both.p - .2435759) < 1e-7);
    assert_true(fabs(both.p / .3085375 - .7894530) < 1e-6);
    assert_true(fabs(both.by_liking - .0951065) < 1e-7);
    assert_true(fabs(both.by_choice - .2490195) < 1e-7);
}

static double phi_of(double x)
{
    return .5 * erfc(-x / sqrt(2));
}

// P(liked and chosen) as the integral over the noise of the choice, by Simpson's rule.
static double integral(double g_y, double g_o, double rho)
{
    enum { STEPS = 20000 };
    const double from = -g_o, to = 10, h = (to - from) / STEPS, root = sqrt(1 - rho * rho);
    double sum = 0;
    for (int i = 0; i <= STEPS; i++) {
        const double e = from + i * h, weight = i == 0 || i == STEPS ? 1 : i % 2 == 1 ? 4 : 2;
        sum += weight * exp(-e * e / 2) / sqrt(2 * acos(-1)) * phi_of((g_y + rho * e) / root);
    }
    return sum * h / 3;
}

static void the_closed_form_is_the_integral(void **state)
{
    (void)state;
    for (double rho = -.9; rho < .96; rho += .15)
        for (double a = -2.5; a < 3; a += 1.1)
            for (double b = -2; b < 3; b += .9)
                assert_true(fabs(mr_selection_both(a, b, rho).p - integral(a, b, rho)) < 2e-7);
}

static void gradients_are_those_of_differences(void **state)
{
    (void)state;
    const double step = 1e-5;
    for (int outcome = MR_OUTCOME_NONE; outcome <= MR_OUTCOME_LIKED; outcome++)
        for (double rho = -.6; rho < .9; rho += .3)
            for (double a = -2; a < 2.5; a += .8)
                for (double b = -2; b < 2.5; b += .8) {
                    const mr_outcome o = (mr_outcome)outcome;
                    const mr_selection at = mr_selection_loss(o, a, b, rho);
                    if (at.loss > 13) // where the probability counts as more than it is
                        continue;
                    const double by_a = (mr_selection_loss(o, a + step, b, rho).loss -
                                         mr_selection_loss(o, a - step, b, rho).loss) /
                                        (2 * step);
                    const double by_b = (mr_selection_loss(o, a, b + step, rho).loss -
                                         mr_selection_loss(o, a, b - step, rho).loss) /
                                        (2 * step);
                    assert_true(fabs(at.by_liking - by_a) < 1e-4 * (1 + fabs(by_a)));
                    assert_true(fabs(at.by_choice - by_b) < 1e-4 * (1 + fabs(by_b)));
                }
}

static void without_correlation_they_are_apart(void **state)
{
    (void)state;
    for (double a = -2; a < 2.5; a += .5)
        for (double b = -2; b < 2.5; b += .5) {
            const mr_selection liked = mr_selection_loss(MR_OUTCOME_LIKED, a, b, 0);
            const mr_selection other = mr_selection_loss(MR_OUTCOME_LIKED, a, b + 1, 0);
            const mr_selection not = mr_selection_loss(MR_OUTCOME_DISLIKED, a, b, 0);
            assert_true(fabs(liked.loss + log(phi_of(a)) + log(phi_of(b))) < 1e-9);
            assert_true(fabs(liked.by_liking - other.by_liking) < 1e-9);
            assert_true(fabs(not .loss + log(phi_of(-a)) + log(phi_of(b))) < 1e-9);
        }
}

// ---- through the engine

enum { USERS = 160, ITEMS = 40, PAIRS = USERS * ITEMS };

typedef struct world { // of pairs: what is likely, and what happened
    double g_y[PAIRS];
    bool chosen[PAIRS], liked[PAIRS];
    uint32_t order[PAIRS];
} world;

// Items differ in how well they are liked and, apart from it, in demand; half of the pairs are
// chosen, with noise that is shared.
static void make(world *w, double rho)
{
    mr_rng rng = mr_rng_make(7, 0, 0, 1, MR_PURPOSE_SIM);
    double liked[ITEMS], demand[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) {
        liked[i] = .5 * mr_normal_draw(&rng);
        demand[i] = .7 * mr_normal_draw(&rng);
    }
    for (uint32_t p = 0; p < PAIRS; p++) {
        const double e_o = mr_normal_draw(&rng);
        const double e_y = rho * e_o + sqrt(1 - rho * rho) * mr_normal_draw(&rng);
        w->g_y[p] = liked[p % ITEMS];
        w->chosen[p] = demand[p % ITEMS] + e_o > 0;
        w->liked[p] = w->g_y[p] + e_y > 0;
        w->order[p] = p;
    }
    for (uint32_t p = PAIRS; p > 1; p--) {
        const uint32_t other = mr_rng_below(&rng, p), swap = w->order[p - 1];
        w->order[p - 1] = w->order[other];
        w->order[other] = swap;
    }
}

static void rate(made_event *to, uint32_t user, uint32_t item, bool liked, int64_t time_ms)
{
    mill_act(to, MR_EVENT_RATING, user, item, time_ms);
    to->arrival.event.value = liked ? 5 : 2;
    to->arrival.event.present |= 1u << MR_FIELD_value;
}

static void learn(mill *m, const world *w)
{
    enum { ROUND = 32 };
    static made_event events[ROUND];
    uint32_t count = 0;
    for (uint32_t n = 0; n < PAIRS; n++) {
        const uint32_t p = w->order[n];
        if (!w->chosen[p])
            continue;
        rate(&events[count], p / ITEMS, p % ITEMS, w->liked[p], begin_ms + n);
        if (++count < ROUND)
            continue;
        asked_round(m, events, count);
        count = 0;
    }
}

static float liked_by_all(mill *m)
{
    const asked_model a = asked(m, "liking");
    return ((const float *)mr_named_find(&a.view.named[a.instance->family_first + 2], 0))[0];
}

// The mean of what is foreseen less what is so, over the pairs that were not chosen.
static double bias_of(double rho, const world *w)
{
    const char *const on[] = {"liking"};
    const mr_setting settings[] = {{"liking", "dim", DIM}, {"liking", "rho", rho}};
    static mill m;
    double sum = 0;
    uint32_t count = 0;
    asked_open(&m, on, 1, settings, 2);
    learn(&m, w);
    const double common = (double)liked_by_all(&m);
    for (uint32_t user = 0; user < USERS; user++) {
        float scores[ITEMS];
        made_event again; // brings him into memory
        mill_act(&again, MR_EVENT_CLICK, user, 0, begin_ms + 2 * PAIRS);
        asked_round(&m, &again, 1);
        asked_scores(&m, "liking", 0, user, ITEMS, scores);
        for (uint32_t i = 0; i < ITEMS; i++)
            if (!w->chosen[user * ITEMS + i]) {
                sum += (double)scores[i] + common - w->g_y[user * ITEMS + i];
                count++;
            }
    }
    mill_close(&m);
    assert_true(count > PAIRS / 4);
    return sum / count;
}

static void what_nobody_chose_is_foreseen_without_the_bias_of_choice(void **state)
{
    (void)state;
    static world w;
    make(&w, .5);
    const double plain = bias_of(0, &w), corrected = bias_of(.5, &w);
    print_message("bias %.3f without, %.3f with the correlation\n", plain, corrected);
    assert_true(plain > .1 && plain > 2 * fabs(corrected));
}

static void acts_without_a_rating_teach_nothing(void **state)
{
    (void)state;
    const char *const on[] = {"liking"};
    const mr_setting settings[] = {{"liking", "dim", DIM}};
    static mill m;
    float before[2], after[2];
    made_event event;
    asked_open(&m, on, 1, settings, 1);
    asked_act(&m, 1, 0, begin_ms);
    asked_act(&m, 1, 1, begin_ms + 1);
    asked_scores(&m, "liking", 0, 1, 2, before);
    asked_act(&m, 1, 1, begin_ms + 2);
    asked_scores(&m, "liking", 0, 1, 2, after);
    assert_memory_equal(before, after, sizeof before);
    rate(&event, 1, 1, true, begin_ms + 3);
    asked_round(&m, &event, 1);
    asked_scores(&m, "liking", 0, 1, 2, after);
    assert_true(after[1] > before[1]);
    mill_close(&m);
}

// Ratings of one round, learned by one worker and parted among three, from the same rows.
static void the_sum_of_several_workers_is_that_of_one(void **state)
{
    (void)state;
    enum { RATINGS = 48, WORKERS = 3 };
    const char *const on[] = {"liking"};
    const mr_setting settings[] = {{"liking", "dim", DIM}, {"liking", "rho", .4}};
    static mill m;
    static world w;
    mr_deltas of[WORKERS + 1];
    void *memory[WORKERS + 1];
    mr_signal signals[RATINGS];
    make(&w, .5);
    asked_open(&m, on, 1, settings, 2);
    learn(&m, &w);
    for (uint32_t u = 0; u < RATINGS; u++)
        asked_act(&m, u, u % ITEMS, begin_ms + 3 * PAIRS);
    asked_model a = asked(&m, "liking");
    for (uint32_t s = 0; s < RATINGS; s++)
        signals[s] = (mr_signal){.kind = MR_SIGNAL_ACT,
                                 .act = MR_EVENT_RATING,
                                 .user = asked_user(&m, s),
                                 .item = asked_item(&m, s * 7 % ITEMS),
                                 .weight = 1,
                                 .value = s % 3 == 0 ? 2 : 5,
                                 .index = s};
    for (uint32_t k = 0; k <= WORKERS; k++)
        memory[k] = asked_deltas(m.engine, &of[k]);
    static uint8_t before[RATINGS][1024];
    for (uint32_t s = 0; s < RATINGS; s++)
        memcpy(before[s], mr_user_part(a.instance, mr_view_user(&a.view, signals[s].user)), 256);
    a.model->state.observe(a.instance, &a.view, signals, RATINGS, &of[WORKERS], &a.arena);
    for (uint32_t s = 0; s < RATINGS; s++) // users' parts are live
        memcpy(mr_user_part(a.instance, mr_view_user(&a.view, signals[s].user)), before[s], 80);
    for (uint32_t k = 0; k < WORKERS; k++)
        a.model->state.observe(a.instance, &a.view, signals + k * (RATINGS / WORKERS),
                               RATINGS / WORKERS, &of[k], &a.arena);
    uint32_t compared = 0;
    for (uint32_t family = 0; family < 3; family += 2) {
        const uint32_t f = a.instance->family_first + family;
        const mr_family *is = &a.model->state.families[family];
        const uint32_t floats = mr_family_delta_bytes(is, a.instance->config) / 4;
        for (uint32_t i = 0; i < of[WORKERS].sets[f].count; i++) {
            float sum[64] = {0};
            const float *one = mr_delta_set_payload(&of[WORKERS].sets[f], i);
            for (uint32_t k = 0; k < WORKERS; k++)
                mr_family_combine(is, a.instance->config, sum,
                                  mr_deltas_at(&of[k], f, of[WORKERS].sets[f].slots[i]));
            for (uint32_t n = 0; n < floats; n++, compared++)
                assert_true(fabs((double)(one[n] - sum[n])) < 1e-5 * (1 + fabs((double)one[n])));
        }
    }
    assert_true(compared > 30 * DIM);
    for (uint32_t k = 0; k <= WORKERS; k++)
        free(memory[k]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_figures),
        cmocka_unit_test(the_closed_form_is_the_integral),
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(without_correlation_they_are_apart),
        cmocka_unit_test(what_nobody_chose_is_foreseen_without_the_bias_of_choice),
        cmocka_unit_test(acts_without_a_rating_teach_nothing),
        cmocka_unit_test(the_sum_of_several_workers_is_that_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
