// SPDX-License-Identifier: Apache-2.0
// delay against simulations whose truth is known: what is still to come, and rates in spite of it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/credit.h"
#include "core/model/delay.h"

enum { ONE = 16 }; // units of a purchase
static const double hour_s = 3600, day_s = 86400, window_s = 7 * 86400.0;
static const int64_t first_day = 20000;

// A purchase of every click, after delays of two kinds: `quick` of them after quick_s on average.
typedef struct world {
    double quick, quick_s, slow_s;
} world;

static double draw_delay(const world *w, mr_rng *rng)
{
    const double mean = mr_rng_double(rng) < w->quick ? w->quick_s : w->slow_s;
    return -log(1 - mr_rng_double(rng)) * mean;
}

static double true_share(const world *w, double t)
{
    return w->quick * (1 - exp(-t / w->quick_s)) + (1 - w->quick) * (1 - exp(-t / w->slow_s));
}

// What has been told of `count` clicks by the end of so many days.
static void tell(mr_delays *delays, const world *w, uint32_t days, uint32_t count)
{
    mr_rng rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
    memset(delays, 0, sizeof *delays);
    for (uint32_t i = 0; i < count; i++) {
        const double clicked_s = (double)days * day_s * i / count, delay_s = draw_delay(w, &rng);
        if (clicked_s + delay_s < days * day_s && delay_s < window_s)
            mr_delays_add(delays, first_day + (int64_t)(clicked_s / day_s), mr_delay_bin(delay_s),
                          ONE);
    }
}

static void bins_grow_from_a_minute_to_thirty_days(void **state)
{
    (void)state;
    assert_true(fabs(mr_delay_end_s(0) - 60) < 1e-9);
    assert_true(fabs(mr_delay_end_s(MR_DELAY_BINS - 1) / (30 * day_s) - 1) < 1e-6);
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++) {
        assert_int_equal(mr_delay_bin(mr_delay_end_s(b) * .999), b);
        assert_int_equal(mr_delay_bin(mr_delay_end_s(b) * 1.001),
                         b + 1 < MR_DELAY_BINS ? b + 1 : b);
    }
    assert_int_equal(mr_delay_bin(0), 0);
    assert_int_equal(mr_delay_bin(1e12), MR_DELAY_BINS - 1);
}

static void the_share_that_has_come_is_found_behind_truncation(void **state)
{
    (void)state;
    static const world worlds[] = {{0, 1, 86400}, {.6, 600, 3 * 86400.0}};
    static mr_delays delays;
    for (uint32_t w = 0; w < 2; w++) {
        double curve[MR_DELAY_BINS], told = 0, early = 0;
        tell(&delays, &worlds[w], 20, 400000);
        mr_delays_curve(&delays, ONE, window_s, day_s, curve);
        uint32_t last = mr_delay_bin(window_s);
        for (uint32_t b = 0; b <= last; b++) {
            const double window = b == last ? window_s : mr_delay_end_s(b);
            const double share = true_share(&worlds[w], window) / true_share(&worlds[w], window_s);
            assert_true(fabs(curve[b] - share) < .01);
        }
        // The plain share of what was told is above it: slow ones of young clicks are still to
        // come.
        const uint32_t bin = mr_delay_bin(24 * hour_s);
        for (uint32_t d = 0; d < MR_DELAY_DAYS; d++)
            for (uint32_t b = 0; b < MR_DELAY_BINS; b++) {
                told += (double)delays.units[d][b];
                early += b <= bin ? (double)delays.units[d][b] : 0;
            }
        assert_true(early / told > curve[bin] + .008);
    }
}

static void without_purchases_there_is_the_guess(void **state)
{
    (void)state;
    static const mr_delays none;
    double curve[MR_DELAY_BINS], weights[MR_DELAY_PARTS];
    mr_delays_curve(&none, ONE, 30 * day_s, day_s, curve);
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++)
        assert_true(fabs(curve[b] - (1 - exp(-mr_delay_end_s(b) / day_s))) < 1e-9);
    mr_delay_fit(curve, weights);
    assert_true(fabs(weights[2] - 1) < 1e-6 && fabs(weights[0]) < 1e-6);
}

static void a_mixture_of_the_parts_is_fitted_exactly(void **state)
{
    (void)state;
    static const double truth[MR_DELAY_PARTS] = {.2, .1, .4, .3};
    double curve[MR_DELAY_BINS] = {0}, weights[MR_DELAY_PARTS], sum = 0;
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++)
        for (uint32_t k = 0; k < MR_DELAY_PARTS; k++)
            curve[b] += truth[k] * (1 - exp(-mr_delay_end_s(b) / mr_delay_parts_s[k]));
    mr_delay_fit(curve, weights);
    for (uint32_t k = 0; k < MR_DELAY_PARTS; k++) {
        assert_true(fabs(weights[k] - truth[k]) < 1e-3);
        sum += weights[k];
    }
    assert_true(fabs(sum - 1) < 1e-12);
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++) // all at once: no weight below 0
        curve[b] = 1;
    mr_delay_fit(curve, weights);
    assert_true(weights[0] > .999 && weights[1] >= 0 && weights[2] >= 0 && weights[3] >= 0);
}

// Half of the purchases come within minutes, half after days: one delay for all of them takes too
// many clicks for judged, the learned mixture does not.
static void the_rate_is_found_with_delays_of_two_kinds(void **state)
{
    (void)state;
    enum { CLICKS = 1000000, DAYS = 12 };
    static const world of = {.5, 600, 2 * 86400.0};
    static mr_delays delays;
    const double p = .05 * true_share(&of, window_s), end_s = DAYS * day_s,
                 mean_s = (600 + 2 * day_s) / 2;
    mr_rng rng = mr_rng_make(9, 0, 0, 0, MR_PURPOSE_SIM);
    double curve[MR_DELAY_BINS], weights[MR_DELAY_PARTS], learned = 0, plain = 0, bought = 0;
    memset(&delays, 0, sizeof delays);
    for (uint32_t i = 0; i < CLICKS; i++) {
        const double clicked_s = end_s - 3 * day_s * i / CLICKS; // of the last three days
        const double before_s = end_s * i / CLICKS, delay_s = draw_delay(&of, &rng);
        bought += mr_rng_double(&rng) < .05 && clicked_s + delay_s < end_s;
        if (before_s + delay_s < end_s && delay_s < window_s)
            mr_delays_add(&delays, first_day + (int64_t)(before_s / day_s), mr_delay_bin(delay_s),
                          ONE);
    }
    mr_delays_curve(&delays, ONE, window_s, day_s, curve);
    mr_delay_fit(curve, weights);
    for (uint32_t i = 0; i < CLICKS; i++) {
        const double age_s = 3 * day_s * i / CLICKS;
        plain += exp(-age_s / mean_s);
        for (uint32_t k = 0; k < MR_DELAY_PARTS; k++)
            learned += weights[k] * exp(-age_s / mr_delay_parts_s[k]);
    }
    assert_true(fabs(mr_credit_rate(CLICKS, learned, bought, 0, 0) / p - 1) < .04);
    assert_true(fabs(mr_credit_rate(CLICKS, plain, bought, 0, 0) / p - 1) > .1);
}

static void counts_are_the_same_in_any_order_and_old_days_give_way(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static mr_delays one, other;
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    struct {
        int64_t day;
        uint32_t bin;
    } all[COUNT];
    memset(&one, 0, sizeof one);
    memset(&other, 0, sizeof other);
    for (uint32_t i = 0; i < COUNT; i++) {
        all[i].day = first_day + mr_rng_below(&rng, MR_DELAY_DAYS);
        all[i].bin = mr_rng_below(&rng, MR_DELAY_BINS);
        mr_delays_add(&one, all[i].day, all[i].bin, ONE);
    }
    for (uint32_t i = COUNT; i-- > 0;)
        mr_delays_add(&other, all[i].day, all[i].bin, ONE);
    assert_memory_equal(&one, &other, sizeof one);
    mr_delays_add(&one, first_day + MR_DELAY_DAYS, 3, ONE); // takes the place of the first day
    mr_delays_add(&one, first_day, 5, ONE);
    mr_delays_add(&one, -4, 5, ONE);
    const uint32_t at = (uint32_t)(first_day % MR_DELAY_DAYS);
    assert_int_equal(one.day[at], first_day + MR_DELAY_DAYS);
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++)
        assert_int_equal(one.units[at][b], b == 3 ? ONE : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bins_grow_from_a_minute_to_thirty_days),
        cmocka_unit_test(the_share_that_has_come_is_found_behind_truncation),
        cmocka_unit_test(without_purchases_there_is_the_guess),
        cmocka_unit_test(a_mixture_of_the_parts_is_fitted_exactly),
        cmocka_unit_test(the_rate_is_found_with_delays_of_two_kinds),
        cmocka_unit_test(counts_are_the_same_in_any_order_and_old_days_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
