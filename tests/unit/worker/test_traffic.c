// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/arrivals.h"

static mr_traffic *open_traffic(const mr_traffic_options *options)
{
    mr_traffic *traffic = NULL;
    mr_error err = {0};
    if (mr_traffic_open(options, &traffic, &err) != MR_OK)
        fail_msg("%s", err.text);
    return traffic;
}

static void the_r_th_user_has_weight_one_by_r(void **state)
{
    (void)state;
    enum { USERS = 50, DRAWS = 400000 };
    mr_traffic_options options = mr_traffic_defaults();
    options.taste.seed = 3;
    options.taste.users = USERS;
    options.taste.items = 1;
    mr_traffic *traffic = open_traffic(&options);
    double seen[USERS] = {0}, sum = 0, distance = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t user, item;
        mr_traffic_draw(traffic, &user, &item);
        assert_true(user < USERS && item == 0);
        seen[user]++;
    }
    for (int r = 1; r <= USERS; r++)
        sum += 1.0 / r;
    for (int r = 1; r <= USERS;
         r++) { // Pearson's sum over 49 degrees of freedom: 85.4 has p = .001
        const double wanted = DRAWS / (r * sum);
        distance += (seen[r - 1] - wanted) * (seen[r - 1] - wanted) / wanted;
    }
    assert_true(distance < 85.4);
    mr_traffic_close(traffic);
}

static void the_same_seed_gives_the_same_events_and_another_one_others(void **state)
{
    (void)state;
    mr_traffic_options options = mr_traffic_defaults();
    mr_traffic *a = open_traffic(&options), *b = open_traffic(&options);
    options.taste.seed++;
    mr_traffic *c = open_traffic(&options);
    uint32_t differ = 0;
    for (int i = 0; i < 1000; i++) {
        char texts[3][MR_TRAFFIC_TEXT_BYTES];
        mr_line lines[3];
        mr_event events[3] = {{.lines = &lines[0]}, {.lines = &lines[1]}, {.lines = &lines[2]}};
        mr_traffic_next(a, i, texts[0], &events[0]);
        mr_traffic_next(b, i, texts[1], &events[1]);
        mr_traffic_next(c, i, texts[2], &events[2]);
        assert_true(events[0].kind == events[1].kind && events[0].present == events[1].present);
        assert_true(mr_bytes_equal(events[0].user, events[1].user));
        assert_true(mr_bytes_equal(events[0].event_id, events[1].event_id));
        assert_false(mr_bytes_equal(events[0].event_id, events[2].event_id));
        differ += !mr_bytes_equal(events[0].user, events[2].user);
    }
    assert_true(differ > 500);
    mr_traffic_close(a);
    mr_traffic_close(b);
    mr_traffic_close(c);
}

static void kinds_have_their_shares_and_a_purchase_has_its_item_in_a_line(void **state)
{
    (void)state;
    enum { EVENTS = 40000 };
    mr_traffic_options options = mr_traffic_defaults();
    options.carts = 0.25;
    options.purchases = 0.1;
    mr_traffic *traffic = open_traffic(&options);
    uint32_t count[MR_EVENT_KIND_COUNT] = {0};
    for (int i = 0; i < EVENTS; i++) {
        char texts[MR_TRAFFIC_TEXT_BYTES];
        mr_line line;
        mr_event event = {.lines = &line};
        mr_traffic_next(traffic, 1700000000000 + i, texts, &event);
        count[event.kind]++;
        assert_int_equal(event.line_count, event.kind == MR_EVENT_PURCHASE);
        assert_int_equal(mr_event_has(&event, MR_FIELD_item), event.kind != MR_EVENT_PURCHASE);
        assert_int_equal(event.time_ms, 1700000000000 + i);
        assert_int_equal(event.user.data[0], 'u');
    }
    assert_true(fabs(count[MR_EVENT_CART] / (double)EVENTS - 0.25) < 0.01);
    assert_true(fabs(count[MR_EVENT_PURCHASE] / (double)EVENTS - 0.1) < 0.01);
    assert_int_equal(count[MR_EVENT_CLICK] + count[MR_EVENT_CART] + count[MR_EVENT_PURCHASE],
                     EVENTS);
    mr_traffic_close(traffic);
}

static void a_description_sets_what_it_names_and_leaves_the_rest(void **state)
{
    (void)state;
    mr_traffic_options options = mr_traffic_defaults();
    mr_error err = {0};
    assert_int_equal(mr_traffic_parse("events=50,items=7,zipf=0.5", &options, &err), MR_OK);
    assert_int_equal(options.events, 50);
    assert_int_equal(options.taste.items, 7);
    assert_int_equal(options.taste.users, mr_traffic_defaults().taste.users);
    assert_int_equal(options.taste.engagement.kind, MR_LAW_ZIPF);
    assert_true(options.taste.engagement.a == 0.5 && options.taste.popularity.a == 0.5);
    assert_int_equal(mr_traffic_parse("attributes=16,communities=4,popularity=stretched:0.025:0.5",
                                      &options, &err),
                     MR_OK);
    assert_int_equal(options.taste.popularity.kind, MR_LAW_STRETCHED);
    assert_true(options.taste.popularity.b == 0.5 && options.taste.engagement.a == 0.5);
    assert_int_equal(options.events, 50);
}

// Within four standard errors of a Poisson count.
static void the_clock_keeps_the_pace_by_day_and_falls_behind_it_by_night(void **state)
{
    (void)state;
    mr_traffic_options options = mr_traffic_defaults();
    options.pace = 1;
    options.night = 0.5;
    mr_traffic *traffic = open_traffic(&options);
    double count[24] = {0}, hour_of_day[2] = {0, 0};
    int64_t before = MR_TRAFFIC_BEGIN_MS;
    for (;;) {
        const int64_t at = mr_traffic_clock(traffic);
        assert_true(at >= before);
        before = at;
        if (at >= MR_TRAFFIC_BEGIN_MS + 4 * 86400000ll)
            break;
        count[(at - MR_TRAFFIC_BEGIN_MS) / 3600000 % 24]++;
    }
    for (int h = 0; h < 24; h++) { // mean share of the hour, by its middle
        const double wanted = 4 * 3600 * (1 - 0.5 * fabs(fmod(h + 0.5 + 20, 24) - 12) / 12);
        if (h != 4 && h != 16) // the corners of the curve
            assert_true(fabs(count[h] - wanted) < 4 * sqrt(wanted));
        hour_of_day[h >= 10 && h < 22] += count[h];
    }
    assert_true(hour_of_day[1] > 1.3 * hour_of_day[0]);
    mr_traffic_close(traffic);
}

static void a_replay_reads_as_many_events_as_are_asked_for_and_keeps_none(void **state)
{
    (void)state;
    mr_traffic_options options = mr_traffic_defaults();
    mr_arrivals in;
    mr_error err = {0};
    mr_arrival arrival;
    bool more = true;
    uint64_t done, total;
    int64_t before = MR_TRAFFIC_BEGIN_MS;
    options.events = 100;
    assert_int_equal(mr_arrivals_of_traffic(&options, &in, &err), MR_OK);
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(in.next(in.context, &arrival, &more, &err), MR_OK);
        assert_true(more && arrival.offset == i && arrival.event.user.size > 1);
        assert_true(arrival.event.time_ms >= before);
        assert_int_equal(arrival.record_ms, arrival.event.time_ms);
        before = arrival.event.time_ms;
        in.progress(in.context, &done, &total);
        assert_true(done == (uint64_t)i && total == 100);
    }
    assert_int_equal(in.next(in.context, &arrival, &more, &err), MR_OK);
    assert_false(more);
    in.close(in.context);
}

static void a_wrong_description_is_refused_by_name(void **state)
{
    (void)state;
    const struct {
        const char *text, *says;
    } wrong[] = {
        {"event=5", "the nearest is events"},
        {"users", "want NAME=NUMBER"},
        {"users=0", "users=0: want"},
        {"users=1e9", "users=1e9: want"},
        {"items=x", "items=x: want"},
        {"carts=0.6,purchases=0.6", "more than 1 together"},
        {"", "want NAME=NUMBER"},
        {"attributes=2,communities=3", "each community needs an attribute"},
        {"attributes=65", "attributes=65: want"},
        {"engagement=power:0.9", "engagement: 'power:0.9': want"},
        {"popularity=pareto:2", "want zipf:S, power:A"},
        {"users=1e8,attributes=64", "want a product of at most"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mr_traffic_options options = mr_traffic_defaults();
        mr_error err = {0};
        assert_int_equal(mr_traffic_parse(wrong[i].text, &options, &err), MR_FATAL);
        if (strstr(err.text, wrong[i].says) == NULL)
            fail_msg("'%s': %s", wrong[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_r_th_user_has_weight_one_by_r),
        cmocka_unit_test(the_same_seed_gives_the_same_events_and_another_one_others),
        cmocka_unit_test(kinds_have_their_shares_and_a_purchase_has_its_item_in_a_line),
        cmocka_unit_test(a_description_sets_what_it_names_and_leaves_the_rest),
        cmocka_unit_test(the_clock_keeps_the_pace_by_day_and_falls_behind_it_by_night),
        cmocka_unit_test(a_replay_reads_as_many_events_as_are_asked_for_and_keeps_none),
        cmocka_unit_test(a_wrong_description_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
