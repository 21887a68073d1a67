// SPDX-License-Identifier: Apache-2.0
// credit and journey by hand: the worked figures, shares that add up, rates of a simulation with
// late purchases, and what a user's row keeps whatever the order in which touches come.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/credit.h"
#include "core/model/decay.h"
#include "core/model/journey.h"

static const int64_t hour_ms = 3600000, start_ms = 1700000000000;

static void a_purchase_is_shared_by_the_rule(void **state)
{
    (void)state;
    static const double ages_s[4] = {36000, 7200, 3600, 60};
    static const double shares[][4] = {
        [MR_CREDIT_LAST] = {0, 0, 0, 1},
        [MR_CREDIT_FIRST] = {1, 0, 0, 0},
        [MR_CREDIT_LINEAR] = {.25, .25, .25, .25},
        [MR_CREDIT_ENDS] = {.4, .1, .1, .4},
    };
    for (int rule = MR_CREDIT_LAST; rule <= MR_CREDIT_ENDS; rule++) {
        uint32_t units[4];
        mr_credit_split((mr_credit_rule)rule, ages_s, 4, 86400, units);
        for (int i = 0; rule != MR_CREDIT_DECAY && i < 4; i++)
            assert_true(fabs(units[i] / 65536.0 - shares[rule][i]) < 5e-5);
    }
    // Of clicks one hour and ten hours before, with a half-life of a day.
    static const double two_s[2] = {36000, 3600};
    uint32_t units[2];
    mr_credit_split(MR_CREDIT_DECAY, two_s, 2, 86400, units);
    assert_true(fabs(units[0] / 65536.0 - .4353809) < 2e-5);
    assert_true(fabs(units[1] / 65536.0 - .5646191) < 2e-5);
    mr_credit_split(MR_CREDIT_ENDS, two_s, 2, 86400, units);
    assert_int_equal(units[0], MR_CREDIT_ONE / 2);
}

static void shares_add_up_to_one_whatever_they_are(void **state)
{
    (void)state;
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t round = 0; round < 20000; round++) {
        const uint32_t count = 1 + mr_rng_below(&rng, MR_CREDIT_TOUCHES);
        double ages_s[MR_CREDIT_TOUCHES];
        uint32_t units[MR_CREDIT_TOUCHES], sum = 0;
        double age_s = mr_rng_below(&rng, 4) == 0 ? 1e9 : 0; // old ones do not vanish together
        for (uint32_t i = count; i-- > 0;)
            ages_s[i] = age_s += mr_rng_below(&rng, 100000);
        mr_credit_split((mr_credit_rule)(round % 5), ages_s, count, 3600, units);
        for (uint32_t i = 0; i < count; i++)
            sum += units[i];
        assert_int_equal(sum, MR_CREDIT_ONE);
    }
}

// Clicks at 0, 10 and 20 h, one in e reports after a day; at 30 h 1.6196564 of them would have.
static void late_purchases_are_expected_by_two_counts(void **state)
{
    (void)state;
    const int64_t half_life = mr_credit_pending_half_life(MR_DECAY_NEVER, 24.0 * 3600000);
    const int64_t now = start_ms + 30 * hour_ms;
    double direct = 0;
    mr_decayed clicks = {0}, pending = {0};
    for (int i = 0; i < 3; i++) {
        const int64_t time_ms = start_ms + 10 * i * hour_ms;
        const mr_decayed click = {.newest = mr_decay_units(time_ms, MR_DECAY_NEVER, 1)};
        const mr_decayed waits = {.newest = mr_decay_units(time_ms, half_life, 1),
                                  .era = mr_decay_era(time_ms, half_life)};
        mr_decayed_add(&clicks, click);
        mr_decayed_add(&pending, waits);
        direct += 1 - exp(-(double)(now - time_ms) / (24 * 3600000.0));
    }
    const double n = mr_decayed_at(&clicks, mr_decay_time_of(now, MR_DECAY_NEVER));
    const double p = mr_decayed_at(&pending, mr_decay_time_of(now, half_life));
    assert_true(fabs(direct - 1.6196564) < 1e-7);
    assert_true(fabs(n - p - direct) < 1e-5); // of units of 2^-16
    assert_true(fabs(mr_credit_rate(n, p, 1, 0, 0) - .6174149) < 1e-5);
    assert_true(fabs(mr_credit_rate(3, 3 - 1.6196564, 1, 0, 0) - .6174149) < 1e-7);
}

// Nothing is divided by what is not there yet, and nobody's rate is below none.
static void rates_are_bounded(void **state)
{
    (void)state;
    assert_true(mr_credit_rate(0, 0, 0, .25, 0) == .25);
    assert_true(mr_credit_rate(10, 10, 1, 0, 0) == 1.0); // at least a tenth of the clicks
    assert_true(mr_credit_rate(10, 0, -1, 0, 0) == 0.0); // refunds of what has faded
    assert_true(fabs(mr_credit_rate(10, 0, 4, .1, 10) - .25) < 1e-12);
}

// A million clicks over three days, five of a hundred lead to a purchase, after a day on average.
// What has been reported by the end is 31.7 % too low (1 - e^-3 is lost over 3), also with clicks
// that fade.
static void the_rate_of_late_purchases_is_found(void **state)
{
    (void)state;
    static const int64_t half_lives[] = {MR_DECAY_NEVER, 24 * 3600000ll};
    for (int h = 0; h < 2; h++) {
        enum { CLICKS = 1000000 };
        const int64_t span = 72 * hour_ms, waiting =
                                               mr_credit_pending_half_life(half_lives[h], 86400000);
        mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
        mr_decayed clicks = {0}, pending = {0}, bought = {0};
        for (uint32_t i = 0; i < CLICKS; i++) {
            const int64_t time_ms = start_ms + (int64_t)((double)span * i / CLICKS);
            const double delay_ms = -log(1 - (double)mr_rng_float(&rng)) * 86400000;
            const mr_decayed one = {.newest = mr_decay_units(time_ms, half_lives[h], 1),
                                    .era = mr_decay_era(time_ms, half_lives[h])};
            const mr_decayed waits = {.newest = mr_decay_units(time_ms, waiting, 1),
                                      .era = mr_decay_era(time_ms, waiting)};
            mr_decayed_add(&clicks, one);
            mr_decayed_add(&pending, waits);
            if (mr_rng_float(&rng) < .05f && (double)time_ms + delay_ms <= (double)(start_ms + span))
                mr_decayed_add(&bought, one);
        }
        const mr_decay_time now = mr_decay_time_of(start_ms + span, half_lives[h]);
        const double n = mr_decayed_at(&clicks, now), b = mr_decayed_at(&bought, now);
        const double p =
            mr_decayed_at(&pending, mr_decay_time_of(start_ms + span, waiting));
        assert_true(fabs(mr_credit_rate(n, p, b, 0, 0) - .05) < .03 * .05);
        if (half_lives[h] == MR_DECAY_NEVER)
            assert_true(fabs(b / n / .05 - (1 - (1 - exp(-3)) / 3)) < .02);
        else
            assert_true(b / n < .6 * .05);
    }
}

// Pairs ((50, 10, 0), (10, 30, 5), (0, 5, 20)).
static void categories_are_alike_by_the_worked_figures(void **state)
{
    (void)state;
    assert_true(fabs(mr_credit_alike(10, 60, 45, 10) - .0962250) < 1e-7);
    assert_true(fabs(mr_credit_alike(5, 45, 25, 10) - .0496904) < 1e-7);
    assert_true(mr_credit_alike(0, 60, 25, 10) == 0);
}

// ---- journeys

typedef union part {
    mr_journey journey;
    uint8_t bytes[8192];
} part;

static const mr_journey_room room = {16, 4};

static mr_touch touch_at(uint32_t n, uint32_t time_s)
{
    return (mr_touch){.item = n % 5,
                      .list = n,
                      .time_s = time_s,
                      .kind = n % 3 == 0 ? MR_TOUCH_CLICK : MR_TOUCH_SHOWN,
                      .position = (uint8_t)n};
}

static void touches_are_kept_alike_in_any_order_of_coming(void **state)
{
    (void)state;
    static part sorted, shuffled;
    assert_true(mr_journey_bytes(room) <= sizeof sorted);
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t order[60];
        memset(&sorted, 0, sizeof sorted);
        memset(&shuffled, 0, sizeof shuffled);
        for (uint32_t i = 0; i < 60; i++) {
            order[i] = i;
            mr_journey_touch(room, &sorted.journey, touch_at(i, 1000 + i));
        }
        for (uint32_t i = 60; i > 1; i--) {
            const uint32_t j = mr_rng_below(&rng, i), swap = order[j];
            order[j] = order[i - 1];
            order[i - 1] = swap;
        }
        for (uint32_t i = 0; i < 60; i++)
            mr_journey_touch(room, &shuffled.journey, touch_at(order[i], 1000 + order[i]));
        assert_int_equal(sorted.journey.touch_count, room.touches);
        assert_memory_equal(&sorted, &shuffled, sizeof sorted);
    }
}

// A row of a configuration with more room is read with less, and the other way round.
static void a_row_means_the_same_whatever_its_room(void **state)
{
    (void)state;
    static part p;
    memset(&p, 0, sizeof p);
    for (uint32_t i = 0; i < 12; i++) {
        const mr_line_credit line = {.order = i + 1, .item = i};
        mr_journey_touch(room, &p.journey, touch_at(3 * i, 100 + i)); // clicks
        mr_journey_buy(room, &p.journey, &line);
    }
    assert_int_equal(p.journey.touch_count, 8);
    assert_int_equal(p.journey.line_count, 4);
    assert_int_equal(mr_journey_used(&p.journey), 8 + 8 * 24 + 4 * sizeof(mr_line_credit));
    const mr_journey_room fewer = {6, 4}, less = {6, 2}, more = {64, 8};
    mr_journey_touch(more, &p.journey, touch_at(36, 200));
    assert_int_equal(p.journey.touch_count, 9);
    assert_non_null(mr_journey_bought(&p.journey, 12, 11));
    mr_journey_touch(fewer, &p.journey, touch_at(39, 300));
    assert_int_equal(p.journey.touch_count, 3);
    assert_int_equal(mr_journey_touches(&p.journey)[0].time_s, 111);
    assert_non_null(mr_journey_bought(&p.journey, 9, 8));
    const mr_line_credit line = {.order = 99, .item = 99};
    mr_journey_buy(less, &p.journey, &line);
    assert_int_equal(p.journey.line_count, 2);
    assert_non_null(mr_journey_bought(&p.journey, 12, 11));
    const mr_journey_room narrow = {2, 5}; // as many bytes as `less`, and filled with lines
    for (uint32_t i = 0; i < 20; i++) {
        mr_journey_touch(narrow, &p.journey, touch_at(i, 400 + i));
        mr_journey_buy(i % 2 == 0 ? narrow : less, &p.journey, &line);
        assert_true(mr_journey_used(&p.journey) <= mr_journey_bytes(narrow));
    }
    const uint32_t used = mr_journey_used(&p.journey);
    for (uint32_t i = used; i < sizeof p; i++)
        assert_int_equal(p.bytes[i], 0);
}

static void of_many_touches_the_first_and_the_newest_count(void **state)
{
    (void)state;
    static part p;
    mr_share own[MR_JOURNEY_OWN];
    memset(&p, 0, sizeof p);
    for (uint32_t i = 0; i < 7; i++)
        mr_journey_touch(room, &p.journey,
                         (mr_touch){.item = 1, .time_s = 100 + i, .kind = MR_TOUCH_CLICK});
    assert_int_equal(mr_journey_own(&p.journey, MR_TOUCH_CLICK, 1, 106, 1000, own), 4);
    static const uint32_t times[4] = {100, 104, 105, 106};
    for (int i = 0; i < 4; i++)
        assert_int_equal(own[i].time_s, times[i]);
    assert_int_equal(mr_journey_own(&p.journey, MR_TOUCH_CLICK, 1, 106, 1, own), 2); // both edges
    assert_int_equal(mr_journey_own(&p.journey, MR_TOUCH_CLICK, 1, 99, 1000, own), 0);
    assert_int_equal(mr_journey_own(&p.journey, MR_TOUCH_SHOWN, 1, 106, 1000, own), 0);
}

static void a_named_list_is_found_before_a_newer_one(void **state)
{
    (void)state;
    static part p;
    memset(&p, 0, sizeof p);
    for (uint32_t i = 0; i < 3; i++)
        mr_journey_touch(room, &p.journey, (mr_touch){.item = 1, .list = 7 + i, .time_s = 100 + i});
    assert_int_equal(mr_journey_shown(&p.journey, 1, 7, 2000, 10)->time_s, 100);
    assert_int_equal(mr_journey_shown(&p.journey, 1, 0, 110, 10)->time_s, 102);
    assert_int_equal(mr_journey_shown(&p.journey, 1, 99, 110, 10)->time_s, 102); // not known here
    assert_int_equal(mr_journey_shown(&p.journey, 1, 0, 101, 10)->time_s, 101);  // not yet shown
    assert_null(mr_journey_shown(&p.journey, 1, 0, 113, 10));
    assert_null(mr_journey_shown(&p.journey, 2, 0, 110, 10));
}

static void lines_are_known_by_order_and_item(void **state)
{
    (void)state;
    static part p;
    memset(&p, 0, sizeof p);
    for (uint32_t i = 0; i < 5; i++) { // one more than there is room for
        const mr_line_credit line = {.order = 10 + i / 2, .item = i, .event = 70 + i / 2};
        assert_false(mr_journey_told(&p.journey, line.order, line.item, line.event));
        mr_journey_buy(room, &p.journey, &line);
    }
    assert_true(mr_journey_told(&p.journey, 11, 2, 99));
    assert_false(mr_journey_told(&p.journey, 11, 2, 71)); // a second line of the same event
    assert_false(mr_journey_told(&p.journey, 11, 4, 99));
    assert_false(mr_journey_told(&p.journey, 10, 0, 99)); // has left
    assert_null(mr_journey_bought(&p.journey, 10, 0));
    assert_non_null(mr_journey_bought(&p.journey, 0, 2));
    assert_null(mr_journey_bought(&p.journey, 12, 2));
    mr_journey_bought(&p.journey, 11, 2)->refunded = 1;
    assert_null(mr_journey_bought(&p.journey, 11, 2)); // once
    assert_true(mr_journey_told(&p.journey, 11, 2, 99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purchase_is_shared_by_the_rule),
        cmocka_unit_test(shares_add_up_to_one_whatever_they_are),
        cmocka_unit_test(late_purchases_are_expected_by_two_counts),
        cmocka_unit_test(rates_are_bounded),
        cmocka_unit_test(the_rate_of_late_purchases_is_found),
        cmocka_unit_test(categories_are_alike_by_the_worked_figures),
        cmocka_unit_test(touches_are_kept_alike_in_any_order_of_coming),
        cmocka_unit_test(a_row_means_the_same_whatever_its_room),
        cmocka_unit_test(of_many_touches_the_first_and_the_newest_count),
        cmocka_unit_test(a_named_list_is_found_before_a_newer_one),
        cmocka_unit_test(lines_are_known_by_order_and_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
