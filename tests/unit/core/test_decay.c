// SPDX-License-Identifier: Apache-2.0
// Faded counts: the direct sum, in any order and any grouping; top lists that follow them.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "core/base/rng.h"
#include "core/model/top.h"

enum { EVENTS = 400 };
static const int64_t HALF_LIFE = 60000;

static int64_t time_of(uint32_t i)
{
    mr_rng rng = mr_rng_make(1, 0, 0, i, MR_PURPOSE_SIM);
    return 1700000000000 + mr_rng_below(&rng, 20 * 60000); // crosses an era of 16 half-lives
}

static mr_decayed one(int64_t time_ms)
{
    return (mr_decayed){.newest = mr_decay_units(time_ms, HALF_LIFE, 1.0),
                        .era = mr_decay_era(time_ms, HALF_LIFE)};
}

static void a_count_is_the_sum_of_what_is_left_of_each_event(void **state)
{
    (void)state;
    mr_decayed count = {0};
    int64_t now = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        mr_decayed_add(&count, one(time_of(i)));
        now = time_of(i) > now ? time_of(i) : now;
    }
    double want = 0;
    for (uint32_t i = 0; i < EVENTS; i++)
        want += exp2((double)(time_of(i) - now) / (double)HALF_LIFE);
    const double have = mr_decayed_at(&count, mr_decay_time_of(now, HALF_LIFE));
    assert_true(fabs(have - want) < 1e-3 * want);
}

static void order_and_grouping_change_no_bit(void **state)
{
    (void)state;
    mr_decayed forward = {0}, backward = {0}, parts[7] = {{0}}, grouped = {0};
    for (uint32_t i = 0; i < EVENTS; i++) {
        mr_decayed_add(&forward, one(time_of(i)));
        mr_decayed_add(&backward, one(time_of(EVENTS - 1 - i)));
        mr_decayed_add(&parts[i % 7], one(time_of(i)));
    }
    for (int p = 6; p >= 0; p--)
        mr_decayed_add(&grouped, parts[p]);
    assert_memory_equal(&forward, &backward, sizeof forward);
    assert_memory_equal(&forward, &grouped, sizeof forward);
}

static void a_count_that_never_fades_counts(void **state)
{
    (void)state;
    mr_decayed count = {0};
    for (int i = 0; i < 1000; i++)
        mr_decayed_add(&count,
                       (mr_decayed){.newest = mr_decay_units(i * 1000000000000, MR_DECAY_NEVER, 1),
                                    .era = mr_decay_era(i * 1000000000000, MR_DECAY_NEVER)});
    assert_true(mr_decayed_at(&count, mr_decay_time_of(5, MR_DECAY_NEVER)) == 1000);
}

enum { ITEMS = 900 };

// The first `count` of the list are the greatest of all values.
static void is_sorted(const mr_top *top, const uint64_t *keys, const double *values, uint32_t count)
{
    bool taken[ITEMS] = {0};
    for (uint32_t place = 0; place < count; place++) {
        uint32_t best = ITEMS;
        for (uint32_t i = 0; i < ITEMS; i++)
            if (!taken[i] && values[i] > 0 &&
                (best == ITEMS || values[i] > values[best] ||
                 (values[i] == values[best] && keys[i] < keys[best])))
                best = i;
        assert_int_equal(top->slots[place], best);
        taken[best] = true;
    }
}

static void a_top_list_is_what_sorting_everything_gives(void **state)
{
    (void)state;
    static uint64_t keys[ITEMS];
    static double values[ITEMS];
    static mr_top top;
    mr_items items = {.slots = {.keys = keys}};
    mr_rng rng = mr_rng_make(1, 0, 0, 9, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < ITEMS; i++)
        keys[i] = mr_rng_u32(&rng);
    mr_top_clear(&top, 0);
    for (int step = 0; step < 20000; step++) {
        const uint32_t i = mr_rng_below(&rng, 1 + mr_rng_below(&rng, ITEMS));
        values[i] += 1 + mr_rng_below(&rng, 3); // many equal values
        mr_top_raise(&top, &items, i, values[i]);
    }
    is_sorted(&top, keys, values, MR_TOP_MAX);
}

// Values fall now and then: what is left of the list is right, however short it gets.
static void a_top_list_stays_right_where_items_are_withdrawn(void **state)
{
    (void)state;
    static uint64_t keys[ITEMS];
    static double values[ITEMS];
    static mr_top top;
    mr_items items = {.slots = {.keys = keys}};
    mr_rng rng = mr_rng_make(2, 0, 0, 9, MR_PURPOSE_SIM);
    enum { WANTED = 240 };
    uint32_t refills = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        keys[i] = mr_rng_u32(&rng);
    mr_top_clear(&top, 0);
    for (int step = 0; step < 40000; step++) {
        const uint32_t i = mr_rng_below(&rng, 1 + mr_rng_below(&rng, ITEMS));
        if (mr_rng_below(&rng, 4) == 0 && values[i] > 0) {
            values[i] = mr_rng_below(&rng, (uint32_t)values[i]);
            mr_top_withdraw(&top, i);
        } else {
            values[i] += 1 + mr_rng_below(&rng, 3);
        }
        mr_top_raise(&top, &items, i, values[i]);
        if (mr_top_is_short(&top, WANTED)) {
            refills++;
            mr_top_clear(&top, 0);
            for (uint32_t j = 0; j < ITEMS; j++)
                mr_top_raise(&top, &items, j, values[j]);
        }
        if (step % 100 == 0)
            is_sorted(&top, keys, values, top.count);
    }
    assert_in_range(refills, 2, 1000); // not at each of ten thousand
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_is_the_sum_of_what_is_left_of_each_event),
        cmocka_unit_test(order_and_grouping_change_no_bit),
        cmocka_unit_test(a_count_that_never_fades_counts),
        cmocka_unit_test(a_top_list_is_what_sorting_everything_gives),
        cmocka_unit_test(a_top_list_stays_right_where_items_are_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
