// SPDX-License-Identifier: Apache-2.0
// self_play: figures worked by hand, what is drawn, and the embedding that learns from it.
#include "core/model/self_play.h"

#include "tests/unit/core/asked.h"

static const int64_t start_ms = 1700000000000;

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.9g, want %.9g within %g", have, want, within);
}

static double loss_of(double beta, double gap)
{
    return log1p(exp(-beta * gap));
}

static void the_worked_gradient_and_the_slope_of_the_loss(void **state)
{
    (void)state;
    double curvature, other;
    near(loss_of(.1, (1.2 - 1.0) - (.9 - 1.1)), .6733472, 1e-7);
    near(mr_self_play_gradient(.1, (1.2 - 1.0) - (.9 - 1.1), &curvature), .0490001, 1e-7);
    for (double beta = .05; beta < 8; beta *= 3)
        for (double gap = -6; gap < 6; gap += .7) {
            const double h = 1e-5, by = mr_self_play_gradient(beta, gap, &curvature);
            near(by, -(loss_of(beta, gap + h) - loss_of(beta, gap - h)) / (2 * h), 1e-8);
            near(curvature,
                 (mr_self_play_gradient(beta, gap - h, &other) -
                  mr_self_play_gradient(beta, gap + h, &other)) /
                     (2 * h),
                 1e-6);
        }
}

static mr_signal shown_signal(uint64_t item, float examined)
{
    return (mr_signal){.kind = MR_SIGNAL_SHOWN, .item_key = item, .examined = examined};
}

static void put(mr_shown *shown, uint64_t item, float score)
{
    const mr_signal signal = shown_signal(item, 0);
    mr_shown_put(shown, &signal, score);
}

static void what_was_shown_last_is_kept_and_what_was_not_looked_at_is_not(void **state)
{
    (void)state;
    mr_shown shown = {0}, zeros = {0};
    const mr_signal far = shown_signal(99, .1f), read = shown_signal(98, .3f);
    assert_int_equal(mr_shown_used(&shown), 0);
    mr_shown_put(&shown, &far, 1);
    assert_memory_equal(&shown, &zeros, sizeof shown);
    mr_shown_put(&shown, &read, 1);
    for (uint64_t item = 1; item <= MR_SHOWN_MAX; item++)
        put(&shown, item, (float)item);
    assert_int_equal(shown.count, MR_SHOWN_MAX);
    assert_int_equal(mr_shown_used(&shown), sizeof shown);
    near((double)mr_shown_take(&shown, 98, -7), -7, 0); // the oldest has gone
    put(&shown, 3, 33);                                 // again: the newest now, with another score
    assert_int_equal(shown.count, MR_SHOWN_MAX);
    assert_int_equal(shown.items[0].item, 3);
    near((double)mr_shown_take(&shown, 3, -7), 33, 0);
    near((double)mr_shown_take(&shown, 3, -7), -7, 0);
    for (uint64_t item = 1; item <= MR_SHOWN_MAX; item++)
        mr_shown_take(&shown, item, 0);
    assert_memory_equal(&shown, &zeros, sizeof shown); // nothing is left behind the count
}

static void draws_go_by_the_softmax_of_the_scores(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    mr_shown shown = {0};
    mr_user user = {.recent_count = 1, .recent = {{.item_key = 4}}};
    uint32_t drawn[5] = {0};
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    assert_null(mr_shown_draw(&shown, &user, &rng));
    put(&shown, 4, 9); // he acted on it
    assert_null(mr_shown_draw(&shown, &user, &rng));
    put(&shown, 1, 1);
    put(&shown, 2, 0);
    put(&shown, 3, 2);
    for (uint32_t i = 0; i < DRAWS; i++)
        drawn[mr_shown_draw(&shown, &user, &rng)->item]++;
    const double sum = exp(1) + exp(0) + exp(2);
    assert_int_equal(drawn[4], 0);
    near(drawn[1] / (double)DRAWS, exp(1) / sum, .01);
    near(drawn[2] / (double)DRAWS, exp(0) / sum, .01);
    near(drawn[3] / (double)DRAWS, exp(2) / sum, .01);
}

// ---- through the engine

enum { USERS = 30, ITEMS = 20, HOT = 0, LIST = 4 };

static void open_with(mill *m, double self_play, double optimiser)
{
    static const char *const on[] = {"embedding"};
    static mr_setting settings[] = {{"embedding", "dim", 16}, // as long as the engine
                                    {"embedding", "negatives", 4},
                                    {"embedding", "self_play", 0},
                                    {"embedding", "optimiser", 0}};
    settings[2].value = self_play;
    settings[3].value = optimiser;
    asked_open(m, on, 1, settings, 4);
}

// A user sees HOT above three others and clicks one of those.
static void look(mill *m, mr_rng *rng, int64_t time_ms)
{
    static made_event events[2];
    const uint32_t user = mr_rng_below(rng, USERS);
    made_event *shown = &events[0];
    mill_act(shown, MR_EVENT_IMPRESSION, user, 0, time_ms);
    uint32_t items[LIST] = {HOT};
    for (uint32_t r = 0; r < LIST; r++) {
        items[r] = r == 0 ? HOT : 1 + (mr_rng_below(rng, 6) + 6 * r) % (ITEMS - 1);
        snprintf(shown->line_items[r], sizeof shown->line_items[r], "i%u", items[r]);
        shown->lines[r] = (mr_line){
            .item = mr_bytes_text(shown->line_items[r]), .quantity = 1, .propensity = (double)NAN};
    }
    shown->arrival.event.lines = shown->lines;
    shown->arrival.event.line_count = LIST;
    shown->arrival.event.present |= 1u << MR_FIELD_lines;
    mill_act(&events[1], MR_EVENT_CLICK, user, items[1 + mr_rng_below(rng, LIST - 1)], time_ms + 1);
    asked_round(m, events, 2);
}

static double score_of_hot(mill *m)
{
    double sum = 0;
    for (uint32_t user = 0; user < USERS; user++) {
        float scores[ITEMS];
        asked_scores(m, "embedding", 0, user, ITEMS, scores);
        sum += (double)scores[HOT];
    }
    return sum / USERS;
}

// Everybody clicks HOT; then it is in every list, and nobody does.
static void teach(mill *m)
{
    int64_t time_ms = start_ms;
    for (uint32_t round = 0; round < 12 * USERS; round++, time_ms += 1000)
        asked_act(m, round % USERS, round / USERS % 2 == 0 ? HOT : 1 + round % (ITEMS - 1),
                  time_ms);
    for (uint32_t round = 0; round < 24 * USERS; round++, time_ms += 1000) // recent no more
        asked_act(m, round % USERS, 1 + (round / USERS + round) % (ITEMS - 1), time_ms);
}

static void what_is_always_shown_and_never_clicked_falls(void **state)
{
    (void)state;
    double scores[2][6];
    for (uint32_t on = 0; on < 2; on++) {
        static mill m;
        mr_rng rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
        open_with(&m, on * 1.0, 0);
        teach(&m);
        for (uint32_t c = 0; c < 6; c++) {
            for (uint32_t l = 0; l < 60; l++)
                look(&m, &rng, start_ms + 100000000 + (c * 60 + l) * 60000);
            scores[on][c] = score_of_hot(&m);
        }
        mill_close(&m);
    }
    for (uint32_t c = 0; c < 6; c++) {
        assert_true(scores[1][c] < scores[0][c]);
        assert_true(c == 0 || scores[1][c] < scores[1][c - 1]);
    }
    assert_true(scores[0][5] - scores[1][5] > scores[0][0] - scores[1][0]);
}

// Showings leave a row as it is while the switch is off, and stand behind it while it is on; a
// restart in between changes nothing.
static void showings_stand_in_rows_while_it_is_on(void **state)
{
    (void)state;
    for (int optimiser = 0; optimiser < 5; optimiser++) {
        mr_hash128 hashes[2];
        for (uint32_t again = 0; again < 2; again++) {
            static mill m;
            uint32_t size;
            mr_rng rng = mr_rng_make(8, 0, 0, 0, MR_PURPOSE_SIM);
            open_with(&m, .5, optimiser);
            for (uint32_t l = 0; l < 120; l++) {
                if (again && l % 50 == 49)
                    mill_restart(&m, l);
                look(&m, &rng, start_ms + l * 60000);
            }
            const uint8_t *part = asked_part(&m, "embedding.user", 3, &size);
            assert_non_null(part);
            const asked_model a = asked(&m, "embedding");
            const mr_family *user = &a.instance->state->families[1];
            const uint32_t room = mr_family_row_bytes(user, a.instance->config);
            assert_in_range(size, room - sizeof(mr_shown) + 8 + sizeof(mr_shown_item), room);
            hashes[again] = mill_hash(&m);
            mill_close(&m);
        }
        assert_memory_equal(&hashes[0], &hashes[1], sizeof hashes[0]);
    }
}

static void rows_of_another_switch_are_told_apart(void **state)
{
    (void)state;
    uint8_t versions[2];
    for (uint32_t on = 0; on < 2; on++) {
        static mill m;
        open_with(&m, on, 4);
        const asked_model a = asked(&m, "embedding");
        const mr_family *families = a.instance->state->families;
        versions[on] = mr_family_version(&families[1], a.instance->config);
        assert_int_equal(families[1].variant(a.instance->config) < 32, 1);
        mill_close(&m);
    }
    assert_int_not_equal(versions[0], versions[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_gradient_and_the_slope_of_the_loss),
        cmocka_unit_test(what_was_shown_last_is_kept_and_what_was_not_looked_at_is_not),
        cmocka_unit_test(draws_go_by_the_softmax_of_the_scores),
        cmocka_unit_test(what_is_always_shown_and_never_clicked_falls),
        cmocka_unit_test(showings_stand_in_rows_while_it_is_on),
        cmocka_unit_test(rows_of_another_switch_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
