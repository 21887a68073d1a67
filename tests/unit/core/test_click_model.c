// SPDX-License-Identifier: Apache-2.0
// click_model through the engine, in worlds whose places and items are known.
#include "tests/unit/core/asked.h"

enum { PLACES = 4, ITEMS = 12, USERS = 1500 };
static const double examined_in[PLACES] = {1, .7, .5, .3};
static const int64_t start_ms = 1700000000000, minute_ms = 60000;

static double attraction_in(uint32_t item)
{
    return .08 + .05 * item;
}

static void open_with(mill *m, double from)
{
    static const char *const on[] = {"click_model"};
    const mr_setting settings[] = {{"click_model", "places", PLACES},
                                   {"click_model", "from", from}};
    asked_open(m, on, 1, settings, 2);
}

// Shows items to a user at places 0.., who clicks as the world says.
static void show(mill *m, mr_rng *rng, const uint32_t items[PLACES], double propensity,
                 int64_t time_ms)
{
    static made_event events[1 + PLACES];
    const uint32_t user = mr_rng_below(rng, USERS);
    uint32_t count = 1;
    mill_act(&events[0], MR_EVENT_IMPRESSION, user, 0, time_ms);
    for (uint32_t r = 0; r < PLACES; r++) {
        made_event *shown = &events[0];
        snprintf(shown->line_items[r], sizeof shown->line_items[r], "i%u", items[r]);
        shown->lines[r] = (mr_line){
            .item = mr_bytes_text(shown->line_items[r]), .quantity = 1, .propensity = propensity};
        if (mr_rng_double(rng) >= examined_in[r] || mr_rng_double(rng) >= attraction_in(items[r]))
            continue;
        mill_act(&events[count], MR_EVENT_CLICK, user, items[r], time_ms + 1 + r);
        mr_event *click = &events[count++].arrival.event;
        click->position = (int32_t)r;
        click->propensity = propensity;
        click->list = mr_bytes_text("l");
        click->present |= 1u << MR_FIELD_position | 1u << MR_FIELD_propensity | 1u << MR_FIELD_list;
    }
    events[0].arrival.event.lines = events[0].lines;
    events[0].arrival.event.line_count = PLACES;
    events[0].arrival.event.present |= 1u << MR_FIELD_lines;
    asked_round(m, events, count);
}

static double examined_at(mill *m, uint32_t place)
{
    asked_model a = asked(m, "click_model");
    mr_signal signal = {.kind = MR_SIGNAL_SHOWN, .position = (int32_t)place};
    a.model->state.join(a.instance, &a.view, &signal);
    return (double)signal.examined;
}

static void shuffle(mr_rng *rng, uint32_t items[ITEMS])
{
    for (uint32_t i = ITEMS; i-- > 1;) {
        const uint32_t j = mr_rng_below(rng, i + 1), other = items[j];
        items[j] = items[i];
        items[i] = other;
    }
}

static void shuffled_lists_tell_places_and_items_apart(void **state)
{
    (void)state;
    static mill m;
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_SIM);
    uint32_t items[ITEMS];
    float scores[ITEMS];
    open_with(&m, 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        items[i] = i;
    for (uint32_t l = 0; l < 12000; l++) {
        shuffle(&rng, items);
        show(&m, &rng, items, .1, start_ms + l * minute_ms);
    }
    for (uint32_t r = 0; r < PLACES; r++)
        assert_true(fabs(examined_at(&m, r) - examined_in[r]) < .04);
    asked_scores(&m, "click_model", 0, 0, ITEMS, scores);
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_true(fabs((double)scores[i] - attraction_in(i)) < .05);
    for (uint32_t i = 2; i < ITEMS; i++)
        assert_true(scores[i] > scores[i - 2]);
    mill_close(&m);
}

// The best item always stands first: its clicks say nothing of its place.
static void a_ranker_without_chance_teaches_nothing(void **state)
{
    (void)state;
    static mill m;
    static const uint32_t best[PLACES] = {11, 10, 9, 8};
    mr_rng rng = mr_rng_make(6, 0, 0, 0, MR_PURPOSE_SIM);
    open_with(&m, 0);
    for (uint32_t l = 0; l < 300; l++)
        show(&m, &rng, best, 1, start_ms + l * minute_ms);
    for (uint32_t r = 0; r < PLACES; r++)
        assert_true(fabs(examined_at(&m, r) - 1.0 / (1 + r)) < 1e-6); // the prior
    mill_close(&m);
    open_with(&m, 1); // every showing, if that is wanted
    for (uint32_t l = 0; l < 300; l++)
        show(&m, &rng, best, 1, start_ms + l * minute_ms);
    assert_true(fabs(examined_at(&m, 1) - .5) > 1e-3);
    mill_close(&m);
}

// Of two items that nobody clicked, the one that stood where fewer look is known less.
static void a_refusal_counts_as_far_as_somebody_looked(void **state)
{
    (void)state;
    static mill m;
    static const char *const on[] = {"embedding", "linucb", "click_model"};
    static const mr_setting settings[] = {{"linucb", "dim", 16}, {"click_model", "places", PLACES}};
    float mean[2], deviation[2];
    asked_open(&m, on, 3, settings, 2);
    asked_act(&m, 0, 0, start_ms);
    for (uint32_t l = 1; l <= 20; l++) {
        made_event made;
        mill_act(&made, MR_EVENT_IMPRESSION, 0, 0, start_ms + l * minute_ms);
        for (uint32_t r = 0; r < PLACES; r++) {
            snprintf(made.line_items[r], sizeof made.line_items[r], "i%u", r);
            made.lines[r] = (mr_line){
                .item = mr_bytes_text(made.line_items[r]), .quantity = 1, .propensity = 1};
        }
        made.arrival.event.lines = made.lines;
        made.arrival.event.line_count = PLACES;
        made.arrival.event.present |= 1u << MR_FIELD_lines;
        asked_round(&m, &made, 1);
    }
    asked_model a = asked(&m, "linucb");
    const uint32_t slots[] = {asked_item(&m, 0), asked_item(&m, 3)};
    a.model->spread(a.instance, &a.view, asked_user(&m, 0), slots, 2, mean, deviation);
    // 20 looks against 5, beside a prior of 1 in the direction of the context of length 2^1/2.
    const double ratio = sqrt((1.0 + 2 * 20) / (1.0 + 2 * 20 * .25));
    assert_true(fabs((double)(deviation[1] / deviation[0]) - ratio) < .1 * ratio);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffled_lists_tell_places_and_items_apart),
        cmocka_unit_test(a_ranker_without_chance_teaches_nothing),
        cmocka_unit_test(a_refusal_counts_as_far_as_somebody_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
