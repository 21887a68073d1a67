// SPDX-License-Identifier: Apache-2.0
// attribution through the engine: what answers what, credit that adds up, is given once, can be
// taken back and is told of nobody who is forgotten; relations of categories; rates.
#include "core/model/credit.h"
#include "core/model/delay.h"
#include "core/model/decay.h"
#include "tests/unit/core/asked.h"

enum {
    ANSWERS,
    ORGANIC,
    PURCHASES,
    ATTRIBUTED,
    BY_VIEW,
    CREDIT,
    RELATED,
    REPEATED,
    REFUNDS,
    UNKNOWN
};
enum { CLICKS, BOUGHT, OTHERS, PENDING, FIELDS = PENDING + MR_DELAY_PARTS }; // of a row of rates
static const int64_t start_ms = 1700000000000, minute_ms = 60000, hour_ms = 3600000;
static const char *const alone[] = {"attribution", "popularity"};

static void open_with(mill *m, mr_credit_rule rule, double related)
{
    static mr_setting settings[4];
    settings[0] = (mr_setting){"attribution", "touches", 32};
    settings[1] = (mr_setting){"attribution", "credit", rule};
    settings[2] = (mr_setting){"attribution", "related", related};
    settings[3] = (mr_setting){"attribution", "purchases", 8};
    asked_open(m, alone, 2, settings, 4);
}

static double number(mill *m, uint32_t which)
{
    mr_measure out[16];
    asked_model a = asked(m, "attribution");
    assert_true(a.model->state.measure(a.instance, &a.view, out, 16) > which);
    return out[which].value;
}

static void shown(mill *m, uint32_t user, uint32_t item, double propensity, int64_t time_ms)
{
    made_event made;
    mill_act(&made, MR_EVENT_IMPRESSION, user, 0, time_ms);
    for (uint32_t l = 0; l < 3; l++) { // the item stands last
        snprintf(made.line_items[l], sizeof made.line_items[l], "i%u", l < 2 ? 900 + l : item);
        made.lines[l] = (mr_line){
            .item = mr_bytes_text(made.line_items[l]), .quantity = 1, .propensity = propensity};
    }
    made.arrival.event.lines = made.lines;
    made.arrival.event.line_count = 3;
    made.arrival.event.present |= 1u << MR_FIELD_lines;
    asked_round(m, &made, 1);
}

static void make_purchase(made_event *made, uint32_t user, uint32_t item, const char *of,
                          double quantity, int64_t time_ms)
{
    mill_act(made, MR_EVENT_PURCHASE, user, item, time_ms);
    made->arrival.event.quantity = quantity;
    made->arrival.event.present |= 1u << MR_FIELD_quantity;
    if (of == NULL)
        return;
    made->arrival.event.order = mr_bytes_text(of);
    made->arrival.event.present |= 1u << MR_FIELD_order;
}

static void buys(mill *m, uint32_t user, uint32_t item, const char *of, double quantity,
                 int64_t time_ms)
{
    made_event made;
    make_purchase(&made, user, item, of, quantity, time_ms);
    asked_round(m, &made, 1);
    assert_int_equal(made.arrival.cause, MR_CAUSE_NONE);
}

static void of_category(mill *m, uint32_t item, const char *category)
{
    made_event made;
    mill_act(&made, MR_EVENT_CATALOGUE, 0, item, start_ms - 1);
    made.arrival.event.present |= 1u << MR_FIELD_categories;
    made.arrival.event.categories[0] = mr_bytes_text(category);
    made.arrival.event.category_count = 1;
    asked_round(m, &made, 1);
}

static double rate(mill *m, uint32_t item, uint32_t field)
{
    const stored_row *row = asked_item_row(m, "attribution.rates", item);
    mr_decayed of[FIELDS];
    if (row == NULL)
        return 0;
    memcpy(of, row->value + 8, sizeof of);
    const int64_t half_life = 30 * 24 * hour_ms;
    return mr_decayed_at(&of[field],
                         mr_decay_time_of(mr_engine_task(m->engine, 0).clock_ms, half_life));
}

// ---- lists

static void an_act_answers_the_newest_list_that_showed_its_item(void **state)
{
    (void)state;
    static mill m;
    open_with(&m, MR_CREDIT_LAST, 0);
    shown(&m, 1, 5, .25, start_ms);
    asked_act(&m, 1, 5, start_ms + 30 * minute_ms); // the last moment
    assert_true(number(&m, ANSWERS) == 1 && number(&m, ORGANIC) == 0);
    const asked_model a = asked(&m, "attribution");
    assert_int_equal(mr_view_user(&a.view, asked_user(&m, 1))->recent[0].position, 2); // as shown
    asked_act(&m, 1, 5, start_ms + 30 * minute_ms + 1000);
    asked_act(&m, 1, 6, start_ms + minute_ms);
    asked_act(&m, 2, 5, start_ms + minute_ms); // it was not shown to him
    assert_true(number(&m, ANSWERS) == 1 && number(&m, ORGANIC) == 3);
    mill_close(&m);
}

// An item that nobody was shown is no success of a list: the bandit does not hear of it.
static void an_organic_act_is_no_reward(void **state)
{
    (void)state;
    static const char *const on[] = {"attribution", "embedding", "linucb"};
    for (int with = 0; with < 2; with++) {
        static mill m;
        const mr_setting settings[] = {{"linucb", "dim", 16},
                                       {"attribution", "touches", with * 32}};
        asked_open(&m, on, 3, settings, 2);
        shown(&m, 1, 5, .25, start_ms);
        asked_act(&m, 1, 6, start_ms + minute_ms); // organic
        asked_act(&m, 1, 5, start_ms + minute_ms); // an answer
        assert_int_equal(asked_item_row(&m, "linucb.sums", 6) == NULL, with);
        assert_non_null(asked_item_row(&m, "linucb.sums", 5));
        mill_close(&m);
    }
}

// ---- purchases

static void credit_goes_to_clicks_before_showings(void **state)
{
    (void)state;
    static mill m;
    open_with(&m, MR_CREDIT_LAST, 0);
    shown(&m, 1, 5, NAN, start_ms);
    asked_act(&m, 2, 5, start_ms);
    shown(&m, 2, 5, NAN, start_ms + minute_ms);
    buys(&m, 1, 5, "a", 1, start_ms + hour_ms);       // was shown
    buys(&m, 2, 5, "b", 1, start_ms + hour_ms);       // clicked
    buys(&m, 3, 5, "c", 1, start_ms + hour_ms);       // never seen
    buys(&m, 2, 5, "d", 1, start_ms + 169 * hour_ms); // too long ago
    assert_true(number(&m, PURCHASES) == 4 && number(&m, ATTRIBUTED) == 2);
    assert_true(number(&m, BY_VIEW) == 1 && number(&m, CREDIT) == 2);
    assert_true(fabs(rate(&m, 5, BOUGHT) - exp2(-169.0 / 720)) < 1e-3); // the click's, by its age
    mill_close(&m);
}

static void credit_of_attributed_purchases_adds_up_to_one(void **state)
{
    (void)state;
    for (int rule = MR_CREDIT_LAST; rule <= MR_CREDIT_ENDS; rule++) {
        static mill m;
        open_with(&m, (mr_credit_rule)rule, 0);
        mr_rng rng = mr_rng_make((uint64_t)rule, 0, 0, 0, MR_PURPOSE_SIM);
        for (uint32_t i = 0; i < 400; i++) {
            const uint32_t user = mr_rng_below(&rng, 5), item = mr_rng_below(&rng, 8);
            const int64_t time_ms = start_ms + i * 7 * minute_ms;
            if (mr_rng_below(&rng, 5) == 0)
                buys(&m, user, item, NULL, 1, time_ms);
            else
                asked_act(&m, user, item, time_ms);
            if (i % 100 == 99)
                mill_restart(&m, i);
        }
        assert_true(number(&m, ATTRIBUTED) > 30);
        assert_true(number(&m, CREDIT) == number(&m, ATTRIBUTED));
        double bought = 0;
        for (uint32_t item = 0; item < 8; item++)
            bought += rate(&m, item, BOUGHT);
        assert_true(bought < number(&m, CREDIT) && bought > .9 * number(&m, CREDIT)); // faded
        mill_close(&m);
    }
}

typedef struct saved { // rows of rates and of their sums, without the counts
    uint8_t bytes[4096] __attribute__((aligned(8)));
    uint32_t size;
} saved;

static saved save(mill *m)
{
    saved s = {.size = 0};
    for (uint32_t item = 0; item < 10; item++) {
        const stored_row *row = asked_item_row(m, "attribution.rates", item);
        if (row == NULL)
            continue;
        memcpy(s.bytes + s.size, row->value, row->value_size);
        for (uint32_t f = 0; f < FIELDS; f++) { // of no count the era says nothing
            mr_decayed *of = (mr_decayed *)(void *)(s.bytes + s.size + 8) + f;
            of->era = of->newest == 0 && of->before == 0 ? 0 : of->era;
        }
        s.size += row->value_size;
    }
    return s;
}

static void assert_same(const saved *a, const saved *b)
{
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
}

static void a_refund_takes_back_what_was_given_to_the_last_unit(void **state)
{
    (void)state;
    for (int rule = MR_CREDIT_LAST; rule <= MR_CREDIT_ENDS; rule++) {
        static mill m;
        open_with(&m, (mr_credit_rule)rule, 1);
        for (uint32_t i = 0; i < 6; i++)
            of_category(&m, i, "shoes");
        for (uint32_t i = 0; i < 6; i++)
            asked_act(&m, 1, i % 3, start_ms + i * 5 * hour_ms);
        const saved before = save(&m);
        const double related = number(&m, RELATED);
        buys(&m, 1, 1, "a", 1, start_ms + 31 * hour_ms);
        buys(&m, 1, 2, "a", 2, start_ms + 31 * hour_ms);
        const saved after = save(&m);
        assert_int_not_equal(memcmp(before.bytes, after.bytes, after.size), 0);
        assert_true(number(&m, RELATED) > related);
        mill_restart(&m, 1);
        buys(&m, 1, 2, "b", -1, start_ms + 40 * hour_ms); // of no order that is known
        const saved still = save(&m);
        assert_same(&after, &still);
        buys(&m, 1, 2, NULL, -1, start_ms + 40 * hour_ms);
        buys(&m, 1, 1, "a", -1, start_ms + 41 * hour_ms);
        buys(&m, 1, 1, "a", -1, start_ms + 41 * hour_ms); // once is enough
        const saved back = save(&m);
        assert_same(&before, &back);
        assert_true(number(&m, PURCHASES) == 0 && number(&m, CREDIT) == 0);
        assert_true(number(&m, RELATED) == related);
        assert_true(number(&m, REFUNDS) == 2 && number(&m, UNKNOWN) == 2);
        mill_close(&m);
    }
}

static void an_order_that_is_told_again_changes_nothing(void **state)
{
    (void)state;
    static mill m;
    open_with(&m, MR_CREDIT_LINEAR, 0);
    asked_act(&m, 1, 5, start_ms);
    asked_act(&m, 1, 6, start_ms);
    buys(&m, 1, 5, "a", 1, start_ms + hour_ms);
    buys(&m, 1, 6, "a", 1, start_ms + hour_ms); // the other line, as an event of its own
    const saved before = save(&m);
    assert_true(number(&m, CREDIT) == 2);
    for (uint32_t i = 0; i < 3; i++) {
        made_event made;
        make_purchase(&made, 1, 5, "a", 1, start_ms + (1 + i) * hour_ms);
        snprintf(made.id, sizeof made.id, "again%u", i); // i == 0: as it was, without an id
        if (i > 0) {
            made.arrival.event.event_id = mr_bytes_text(made.id);
            made.arrival.event.present |= 1u << MR_FIELD_event_id;
        }
        asked_round(&m, &made, 1);
        mill_restart(&m, i);
    }
    const saved after = save(&m);
    assert_same(&before, &after);
    assert_true(number(&m, CREDIT) == 2 && number(&m, PURCHASES) == 2);
    assert_true(number(&m, REPEATED) == 2);
    assert_int_equal(mr_engine_task(m.engine, 0).counters.duplicate, 1);
    buys(&m, 1, 5, "a", -1, start_ms + 5 * hour_ms); // and is not given again once taken back
    made_event made;
    make_purchase(&made, 1, 5, "a", 1, start_ms + hour_ms);
    made.arrival.event.event_id = mr_bytes_text("later");
    made.arrival.event.present |= 1u << MR_FIELD_event_id;
    asked_round(&m, &made, 1);
    assert_true(number(&m, CREDIT) == 1);
    mill_close(&m);
}

// Several of an epoch's events come from other partitions: their order is that of event time.
static void the_order_of_arrival_inside_an_epoch_changes_nothing(void **state)
{
    (void)state;
    enum { EVENTS = 40 };
    mr_hash128 hashes[2];
    for (uint32_t shuffled = 0; shuffled < 2; shuffled++) {
        static mill m;
        static made_event made[EVENTS];
        mr_arrival arrivals[EVENTS], scratch[EVENTS];
        mr_error err;
        open_with(&m, MR_CREDIT_DECAY, .3);
        mr_rng rng = mr_rng_make(9, 0, 0, 0, MR_PURPOSE_SIM);
        for (uint32_t epoch = 0; epoch < 10; epoch++) {
            for (uint32_t i = 0; i < EVENTS; i++) {
                const uint32_t user = mr_rng_below(&rng, 3), item = mr_rng_below(&rng, 6);
                const int64_t time_ms = start_ms + (epoch * EVENTS + i) * 5000ll;
                if (i % 7 == 6)
                    make_purchase(&made[i], user, item, NULL, i % 2 == 0 ? 1 : -1, time_ms);
                else
                    mill_act(&made[i], MR_EVENT_CLICK, user, item, time_ms);
                const uint32_t at = shuffled ? (i * 17 + 5) % EVENTS : i;
                arrivals[at] = made[i].arrival;
                arrivals[at].partition = (int32_t)(i % 3);
                arrivals[at].offset = i;
            }
            mr_epoch_sort(arrivals, scratch, EVENTS);
            mr_epoch one = {.arrivals = arrivals, .count = EVENTS};
            assert_int_equal(mr_engine_round(m.engine, &one, 1, &err), MR_OK);
            mill_close_commit(&m);
        }
        assert_true(number(&m, ATTRIBUTED) > 10);
        hashes[shuffled] = mill_hash(&m);
        mill_close(&m);
    }
    assert_memory_equal(&hashes[0], &hashes[1], sizeof hashes[0]);
}

// ---- click A, buy B

// Half of those who look at shoes look at socks; lamps are for others. Who clicks on a shoe buys a
// lamp, socks and other shoes.
static void a_purchase_of_a_related_category_is_credited_in_part(void **state)
{
    (void)state;
    static mill m;
    open_with(&m, MR_CREDIT_LAST, 1);
    for (uint32_t i = 0; i < 9; i++)
        of_category(&m, i, i < 3 ? "shoes" : i < 6 ? "socks" : "lamps");
    for (uint32_t u = 0; u < 60; u++) {
        const int64_t time_ms = start_ms + u * minute_ms;
        const uint32_t lamp = u % 3 == 0;
        asked_act(&m, 100 + u, lamp ? 6 : u % 3, time_ms);
        asked_act(&m, 100 + u, lamp ? 7 : (u + 1) % 3, time_ms + 1000);
        if (u % 2 == 0)
            asked_act(&m, 100 + u, lamp ? 8 : 3 + u % 3, time_ms + 2000);
    }
    assert_true(number(&m, RELATED) == 0);
    asked_act(&m, 1, 0, start_ms + hour_ms);
    buys(&m, 1, 6, "lamp", 1, start_ms + 2 * hour_ms);
    assert_true(number(&m, RELATED) == 0 &&
                rate(&m, 0, OTHERS) == 0); // they have nothing in common
    buys(&m, 1, 4, "socks", 1, start_ms + 2 * hour_ms);
    const double w = number(&m, RELATED);
    assert_true(w > .05 && w < 1);
    assert_true(fabs(rate(&m, 0, OTHERS) - w) < .01 * w);
    buys(&m, 1, 1, "shoes", 1, start_ms + 2 * hour_ms); // others of the same category
    assert_true(fabs(number(&m, RELATED) - w - 1) < 1e-4);
    assert_true(number(&m, ATTRIBUTED) == 0); // nobody clicked on what he bought
    mill_close(&m);
}

// With nothing related it is plain attribution, whatever categories there are.
static void without_relations_nothing_but_the_item_counts(void **state)
{
    (void)state;
    static mill m;
    open_with(&m, MR_CREDIT_LAST, 0);
    of_category(&m, 0, "shoes");
    of_category(&m, 1, "shoes");
    asked_act(&m, 1, 0, start_ms);
    const saved before = save(&m);
    buys(&m, 1, 1, "a", 1, start_ms + hour_ms);
    const saved after = save(&m);
    assert_same(&before, &after);
    assert_true(number(&m, RELATED) == 0);
    mill_close(&m);
}

// ---- rates

static void rates_are_those_of_the_counts_shrunk_to_that_of_all(void **state)
{
    (void)state;
    static mill m;
    float scores[4];
    open_with(&m, MR_CREDIT_LAST, 0);
    for (uint32_t u = 0; u < 40; u++) { // item 0: half of the clicks lead to a purchase
        asked_act(&m, u, u % 4, start_ms + u * minute_ms);
        if (u % 4 == 0 && u % 8 == 0)
            buys(&m, u, 0, NULL, 1, start_ms + u * minute_ms + 1000);
    }
    asked_act(&m, 1, 1, start_ms + 30 * 24 * hour_ms); // a half-life, and all delays, later
    asked_scores(&m, "attribution", 0, 1, 4, scores);
    const double old = .5, fresh = 1 - 1.0; // the last click counts 1, and has not reported at all
    const double tried = 40 * old + fresh, all = 5 * old / tried;
    assert_true(fabs((double)scores[0] - (5 * old + 20 * all) / (10 * old + 20)) < 2e-3);
    assert_true(fabs((double)scores[2] - 20 * all / (10 * old + 20)) < 2e-3);
    assert_true(scores[0] > scores[1] && scores[1] >= scores[2] - 1e-6f);
    asked_model a = asked(&m, "attribution");
    const mr_filter filter = mr_filter_make(a.view.items, NULL, 0);
    static mr_found found;
    const uint32_t user = asked_user(&m, 1);
    found.max = 10;
    a.model->candidates(a.instance, &a.view, &user, 1, 0, &filter, &a.arena, &found);
    assert_int_equal(found.count, 1); // what nobody bought is not proposed
    assert_int_equal(found.slots[0], asked_item(&m, 0));
    assert_true(found.scores[0] == scores[0]);
    mill_close(&m);
}

// Purchases come a minute after their click: after some days an hour without one says something of
// an item, of which the guess of a day would still expect everything.
static void how_long_purchases_take_is_learned(void **state)
{
    (void)state;
    static mill m;
    float scores[2];
    const int64_t day_ms = 24 * hour_ms;
    int64_t now = start_ms;
    open_with(&m, MR_CREDIT_LAST, 0);
    for (uint32_t day = 0; day < 5; day++)
        for (uint32_t u = 0; u < 30; u++) {
            now = start_ms + day * day_ms + u * minute_ms;
            asked_act(&m, u, 0, now);
            buys(&m, u, 0, NULL, 1, now + minute_ms);
        }
    now = start_ms + 5 * day_ms;
    for (uint32_t u = 0; u < 20; u++)
        asked_act(&m, u, 1, now);
    asked_act(&m, 20, 0, now + hour_ms);
    asked_scores(&m, "attribution", 0, 0, 2, scores);
    assert_true(scores[1] < .6f * scores[0]); // 20 clicks against a prior of 20: a half
    assert_true(scores[1] > .4f * scores[0]);
    mill_close(&m);
}

// ---- rows

static void a_restart_changes_no_byte(void **state)
{
    (void)state;
    mr_hash128 hashes[2], lists[2];
    for (uint32_t restarts = 0; restarts < 2; restarts++) {
        static mill m;
        static const mr_setting settings[] = {{"attribution", "touches", 12}};
        mr_engine_config config = mill_defaults();
        config.settings = settings;
        config.setting_count = 1;
        mill_open(&m, &config);
        for (uint32_t round = 0; round < 30; round++) {
            static made_event events[48];
            mill_made(events, 48, round, 5);
            mr_error err;
            assert_int_equal(mill_round(&m, events, 48, &err), MR_OK);
            mill_close_commit(&m);
            if (restarts && round % 5 == 4)
                mill_restart(&m, round);
        }
        hashes[restarts] = mill_hash(&m);
        lists[restarts] = m.lists;
        mill_close(&m);
    }
    assert_memory_equal(&hashes[0], &hashes[1], sizeof hashes[0]);
    assert_memory_equal(&lists[0], &lists[1], sizeof lists[0]);
}

static void who_is_forgotten_leaves_no_touch_and_no_purchase(void **state)
{
    (void)state;
    static mill m;
    uint32_t size;
    open_with(&m, MR_CREDIT_LAST, .3);
    asked_act(&m, 1, 5, start_ms);
    buys(&m, 1, 5, "a", 1, start_ms + 1000);
    assert_non_null(asked_part(&m, "attribution.journey", 1, &size));
    made_event made;
    mill_act(&made, MR_EVENT_CONTROL, 1, 0, start_ms + 2000);
    made.arrival.event.present = 1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action;
    made.arrival.event.action = mr_bytes_text("forget");
    asked_round(&m, &made, 1);
    for (uint32_t i = 0; i < m.row_count; i++)
        assert_int_not_equal(m.rows[i].key[0], MR_ROW_USER);
    // Whoever comes back is somebody unknown: nothing of his is joined with what was before.
    buys(&m, 1, 5, "b", 1, start_ms + 3000);
    buys(&m, 1, 5, "a", -1, start_ms + 4000);
    assert_true(number(&m, ATTRIBUTED) == 1 && number(&m, UNKNOWN) == 1);
    mill_close(&m);
}

// A row is as long as what is in it.
static void what_is_not_there_takes_no_bytes(void **state)
{
    (void)state;
    static mill m;
    uint32_t size;
    open_with(&m, MR_CREDIT_LAST, 0);
    buys(&m, 3, 5, "a", -1, start_ms);
    assert_null(asked_part(&m, "attribution.journey", 3, &size));
    asked_act(&m, 1, 5, start_ms);
    asked_act(&m, 1, 6, start_ms);
    assert_non_null(asked_part(&m, "attribution.journey", 1, &size));
    assert_int_equal(size, 8 + 2 * 24);
    mill_close(&m);
    asked_open(&m, alone + 1, 1, NULL, 0); // and where it is off, none at all
    asked_act(&m, 1, 5, start_ms);
    assert_null(asked_part(&m, "attribution.journey", 1, &size));
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_act_answers_the_newest_list_that_showed_its_item),
        cmocka_unit_test(an_organic_act_is_no_reward),
        cmocka_unit_test(credit_goes_to_clicks_before_showings),
        cmocka_unit_test(credit_of_attributed_purchases_adds_up_to_one),
        cmocka_unit_test(a_refund_takes_back_what_was_given_to_the_last_unit),
        cmocka_unit_test(an_order_that_is_told_again_changes_nothing),
        cmocka_unit_test(the_order_of_arrival_inside_an_epoch_changes_nothing),
        cmocka_unit_test(a_purchase_of_a_related_category_is_credited_in_part),
        cmocka_unit_test(without_relations_nothing_but_the_item_counts),
        cmocka_unit_test(rates_are_those_of_the_counts_shrunk_to_that_of_all),
        cmocka_unit_test(how_long_purchases_take_is_learned),
        cmocka_unit_test(a_restart_changes_no_byte),
        cmocka_unit_test(who_is_forgotten_leaves_no_touch_and_no_purchase),
        cmocka_unit_test(what_is_not_there_takes_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
