// SPDX-License-Identifier: Apache-2.0
// Who acts faster than people do: held back, counted, and the same after any restart.
#include "tests/unit/core/mill.h"

enum { LIMIT = 10 };
static const int64_t start_ms = 1700000000000, second_ms = 1000;

static const mr_setting limit_users[] = {
    {"guard", "acts", LIMIT}, {"guard", "window_s", 60}, {"guard", "quarantine_s", 600}};
static const mr_setting limit_origins[] = {{"guard", "origin_acts", LIMIT},
                                           {"guard", "window_s", 60},
                                           {"guard", "quarantine_s", 600},
                                           {"guard", "cells", 64}};

static mr_engine_config with(const mr_setting *settings, uint32_t count)
{
    mr_engine_config config = mill_defaults();
    config.settings = settings;
    config.setting_count = count;
    config.origin = mr_bytes_text("ip");
    return config;
}

static void act(mill *m, uint32_t user, mr_event_kind kind, uint32_t item, const char *origin,
                int64_t time_ms)
{
    made_event made;
    mr_error err;
    mill_act(&made, kind, user, item, time_ms);
    made.arrival.event.context[0] = (mr_pair){mr_bytes_text("ip"), mr_bytes_text(origin)};
    made.arrival.event.context_count = 1;
    if (kind == MR_EVENT_CONTROL) {
        made.arrival.event.present =
            1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action;
        made.arrival.event.action = mr_bytes_text("forget");
    }
    if (mill_round(m, &made, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static mr_task_counters totals(const mill *m)
{
    mr_task_counters sum = {0};
    for (uint32_t t = 0; t < m->config.tasks; t++) {
        const mr_task_counters c = mr_engine_task(m->engine, t).counters;
        sum.read += c.read;
        sum.learned += c.learned;
        sum.limited += c.limited;
    }
    return sum;
}

static uint64_t limited(const mill *m)
{
    return totals(m).limited;
}

static void a_user_who_acts_too_fast_is_counted_and_not_learned(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(limit_users, 3);
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 30; i++)
        act(&m, 1, MR_EVENT_CLICK, i, "a", start_ms);
    act(&m, 2, MR_EVENT_CLICK, 1, "a", start_ms);
    assert_int_equal(totals(&m).learned, LIMIT + 2); // the one that is too many is seen by then
    assert_int_equal(limited(&m), 30 - LIMIT - 1);
    assert_int_equal(totals(&m).read, 31);
    mill_close_commit(&m);
    const uint64_t lists = m.list_count, rows = m.row_puts;
    // Nothing of theirs changes while they are held back but the tasks' counters.
    for (uint32_t i = 0; i < 5; i++)
        act(&m, 1, MR_EVENT_CLICK, 100 + i, "a", start_ms + 5 * second_ms);
    mill_close_commit(&m);
    assert_int_equal(m.list_count, lists);
    assert_int_equal(m.row_puts, rows + 1);
    mill_close(&m);
}

static void a_steady_pace_below_the_limit_is_never_held_back(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(limit_users, 3);
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 100; i++)
        act(&m, 1, MR_EVENT_CLICK, i % 40, "a", start_ms + i * 61 * second_ms / LIMIT);
    assert_int_equal(limited(&m), 0);
    // And faster than it: found out soon.
    for (uint32_t i = 0; i < 100; i++)
        act(&m, 2, MR_EVENT_CLICK, i % 40, "a", start_ms + 610 * second_ms + i * 3 * second_ms);
    assert_in_range(limited(&m), 75, 85);
    mill_close(&m);
}

static void a_quarantine_ends_and_begins_anew(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(limit_users, 3);
    mill_open(&m, &config);
    for (uint32_t i = 0; i < LIMIT + 1; i++)
        act(&m, 1, MR_EVENT_CLICK, i, "a", start_ms);
    act(&m, 1, MR_EVENT_CLICK, 1, "a", start_ms + 599 * second_ms);
    assert_int_equal(limited(&m), 1);
    for (uint32_t i = 0; i < LIMIT + 1; i++)
        act(&m, 1, MR_EVENT_CLICK, i, "a", start_ms + 601 * second_ms);
    assert_int_equal(limited(&m), 1);
    act(&m, 1, MR_EVENT_CLICK, 1, "a", start_ms + 601 * second_ms);
    assert_int_equal(limited(&m), 2);
    mill_close(&m);
}

static void a_backdated_event_is_no_way_out_and_a_late_one_no_offence(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = with(limit_users, 3);
    config.tasks = 1;
    config.late_window_ms = 3600 * second_ms;
    mill_open(&m, &config);
    for (uint32_t i = 0; i < LIMIT + 1; i++)
        act(&m, 1, MR_EVENT_CLICK, i, "a", start_ms + 3000 * second_ms);
    act(&m, 1, MR_EVENT_CLICK, 1, "a", start_ms);
    assert_int_equal(limited(&m), 1);
    act(&m, 2, MR_EVENT_CLICK, 1, "a", start_ms + 3000 * second_ms);
    act(&m, 2, MR_EVENT_CLICK, 2, "a", start_ms);
    act(&m, 2, MR_EVENT_CLICK, 3, "a", start_ms + 3000 * second_ms);
    assert_int_equal(limited(&m), 1);
    mill_close(&m);
}

static void many_users_behind_one_origin_are_held_back_together(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(limit_origins, 4);
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 30; i++) {
        char own[8];
        snprintf(own, sizeof own, "o%u", i);
        act(&m, 200 + i, MR_EVENT_CLICK, i, "farm", start_ms);
        act(&m, i, MR_EVENT_CLICK, i, own, start_ms);
        act(&m, 100 + i, MR_EVENT_CLICK, i, "", start_ms);
    }
    // Users with origins of their own share cells with the farm, never both.
    assert_int_equal(limited(&m), 30 - LIMIT - 1);
    mr_engine_metrics metrics;
    mr_engine_measure(m.engine, &metrics);
    double held = 0;
    for (uint32_t i = 0; i < metrics.measure_count; i++)
        if (strcmp(metrics.measures[i].name, "origins_in_quarantine") == 0)
            held = metrics.measures[i].value;
    assert_true(held == 1);
    assert_int_equal(metrics.limited, limited(&m));
    mill_close(&m);
}

static void who_is_held_back_may_still_ask_to_be_forgotten(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(limit_users, 3);
    mill_open(&m, &config);
    for (uint32_t i = 0; i < LIMIT + 3; i++)
        act(&m, 1, MR_EVENT_CLICK, i, "a", start_ms);
    mill_close_commit(&m);
    const uint64_t learned = totals(&m).learned;
    act(&m, 1, MR_EVENT_CONTROL, 0, "a", start_ms);
    assert_int_equal(totals(&m).learned, learned + 1);
    mill_close_commit(&m);
    mr_engine_metrics metrics;
    mr_engine_measure(m.engine, &metrics);
    assert_int_equal(metrics.users_forgotten, 1);
    mill_close(&m);
}

// Some of them far too fast, from few origins.
static void crowd(mill *m, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        const uint32_t user = i % 5 == 0 ? i % 90 : i % 7;
        char origin[8];
        snprintf(origin, sizeof origin, "o%u", user % 11);
        act(m, user, MR_EVENT_CLICK, i % 50, origin, start_ms + i * 100);
    }
}

static void a_restart_changes_nobodys_quarantine(void **state)
{
    (void)state;
    static const mr_setting both[] = {{"guard", "acts", 40},
                                      {"guard", "origin_acts", 60},
                                      {"guard", "window_s", 60},
                                      {"guard", "quarantine_s", 20}};
    static mill a, b;
    const mr_engine_config config = with(both, 4);
    mill_open(&a, &config);
    mill_open(&b, &config);
    for (uint32_t c = 0; c < 8; c++) {
        crowd(&a, c * 150, 150);
        crowd(&b, c * 150, 150);
        mill_close_commit(&a);
        mill_close_commit(&b);
        mill_restart(&b, c + 1);
        assert_int_equal(mill_hash(&a).low, mill_hash(&b).low);
        assert_int_equal(a.lists.low, b.lists.low);
    }
    assert_in_range(limited(&a), 100, 1100);
    assert_int_equal(limited(&a), limited(&b));
    mill_close(&a);
    mill_close(&b);
}

static const mr_setting no_repeats[] = {{"guard", "repeat_s", 60}};

static void an_account_counts_once_for_an_item_until_the_time_is_over(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(no_repeats, 1);
    mill_open(&m, &config);
    act(&m, 1, MR_EVENT_CLICK, 7, "a", start_ms);
    for (uint32_t i = 1; i < 60; i++)
        act(&m, 1, MR_EVENT_CLICK, 7, "a", start_ms + i * second_ms);
    assert_int_equal(limited(&m), 59);
    act(&m, 1, MR_EVENT_CART, 7, "a", start_ms + 59 * second_ms);  // another act
    act(&m, 1, MR_EVENT_CLICK, 8, "a", start_ms + 59 * second_ms); // another item
    act(&m, 2, MR_EVENT_CLICK, 7, "a", start_ms + 59 * second_ms); // somebody else
    assert_int_equal(limited(&m), 59);
    act(&m, 1, MR_EVENT_CLICK, 7, "a", start_ms + 61 * second_ms); // of user 1: time moves by task
    act(&m, 1, MR_EVENT_CLICK, 7, "a", start_ms + 62 * second_ms);
    assert_int_equal(limited(&m), 60);
    // A backdated one is as old as the clock.
    act(&m, 1, MR_EVENT_CLICK, 7, "a", start_ms - 1000 * second_ms);
    assert_int_equal(limited(&m), 61);
    mill_close(&m);
}

static void what_names_several_items_is_no_repeat(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = with(no_repeats, 1);
    made_event made;
    mr_error err;
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 3; i++) {
        mill_act(&made, MR_EVENT_PURCHASE, 1, 7, start_ms);
        made.lines[0] = (mr_line){made.arrival.event.item, 1, 0, 0};
        made.arrival.event.lines = made.lines;
        made.arrival.event.line_count = 1;
        assert_int_equal(mill_round(&m, &made, 1, &err), MR_OK);
    }
    assert_int_equal(limited(&m), 0);
    assert_int_equal(totals(&m).learned, 3);
    mill_close(&m);
}

static void a_guard_that_is_off_leaves_no_byte(void **state)
{
    (void)state;
    static mill a, b;
    const mr_engine_config plain = mill_defaults();
    mr_engine_config named = with(NULL, 0);
    mill_open(&a, &plain);
    mill_open(&b, &named);
    crowd(&a, 0, 200);
    crowd(&b, 0, 200);
    mill_close_commit(&a);
    mill_close_commit(&b);
    assert_int_equal(mill_hash(&a).low, mill_hash(&b).low);
    assert_int_equal(limited(&b), 0);
    mill_close(&a);
    mill_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_who_acts_too_fast_is_counted_and_not_learned),
        cmocka_unit_test(a_steady_pace_below_the_limit_is_never_held_back),
        cmocka_unit_test(a_quarantine_ends_and_begins_anew),
        cmocka_unit_test(a_backdated_event_is_no_way_out_and_a_late_one_no_offence),
        cmocka_unit_test(many_users_behind_one_origin_are_held_back_together),
        cmocka_unit_test(who_is_held_back_may_still_ask_to_be_forgotten),
        cmocka_unit_test(a_restart_changes_nobodys_quarantine),
        cmocka_unit_test(an_account_counts_once_for_an_item_until_the_time_is_over),
        cmocka_unit_test(what_names_several_items_is_no_repeat),
        cmocka_unit_test(a_guard_that_is_off_leaves_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
