// SPDX-License-Identifier: Apache-2.0
// Random histories of lists and acts, against a reference that keeps everything and counts again.
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/measure/measure.h"
#include "worker/measure/similarity.h"

enum { USERS = 12, ITEMS = 60, STEPS = 3000, HOUR_MS = 3600000, VALUES = 3 };
enum { FIRST = (MR_ACT_CUTS - 1) * MR_ACT_MEASURES }; // of the terms at depth 20

typedef struct world {
    mr_measure measure;
    char users[USERS][8], items[ITEMS][8];
    uint64_t lists[USERS][MR_ACT_DEPTH]; // item numbers
    uint32_t listed[USERS];
    bool had[USERS][ITEMS], acted[USERS], head[ITEMS];
    double exposure[ITEMS], count[MR_ACT_SEGMENTS], sum[MR_ACT_SEGMENTS][MR_ACT_TERMS];
    double popularity, churn, compared;
    uint64_t acts, settled;
    int64_t settled_ms;
} world;

static world *w;

static void open_with(uint32_t users_max, uint32_t items_max, const char *field, int64_t split_ms)
{
    mr_error err = {0};
    const mr_measure_options options = {users_max, items_max, 50, 1, field, split_ms > 0, split_ms};
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    for (uint32_t u = 0; u < USERS; u++)
        snprintf(w->users[u], sizeof w->users[u], "u%u", u % 100);
    for (uint32_t i = 0; i < ITEMS; i++)
        snprintf(w->items[i], sizeof w->items[i], "i%u", i % 100);
    assert_int_equal(mr_measure_open(&w->measure, &options, &err), MR_OK);
}

static void close_world(void)
{
    mr_measure_close(&w->measure);
    free(w);
}

static void publish(uint32_t user, const uint64_t *items, uint32_t count)
{
    mr_list_entry entries[2 * MR_ACT_DEPTH];
    for (uint32_t i = 0; i < count; i++)
        entries[i] =
            (mr_list_entry){.item_key = mr_item_key(mr_bytes_text(w->items[items[i]]))};
    const mr_list list = {
        .user = mr_bytes_text(w->users[user]), .entries = entries, .entry_count = count};
    mr_measure_list(&w->measure, &list);
}

static void act(mr_event_kind kind, uint32_t user, uint32_t item, int64_t time_ms, int value)
{
    static const char *const values[VALUES] = {"web", "app", "kiosk"};
    mr_event event = {.kind = kind,
                      .user = mr_bytes_text(w->users[user]),
                      .item = mr_bytes_text(w->items[item]),
                      .time_ms = time_ms,
                      .price = 2,
                      .present = 1u << MR_FIELD_price};
    if (value >= 0) {
        event.context[0] = (mr_pair){mr_bytes_text("device"), mr_bytes_text(values[value])};
        event.context_count = 1;
    }
    mr_measure_event(&w->measure, &event);
}

// ---- the reference

static void settle_by_definition(int64_t time_ms)
{
    double left[ITEMS], total = 0, reached = 0;
    if (w->acts < 2 * w->settled && time_ms - w->settled_ms < 24 * HOUR_MS)
        return;
    w->settled = w->acts;
    w->settled_ms = time_ms;
    for (uint32_t i = 0; i < ITEMS; i++) {
        left[i] = 0;
        for (uint32_t u = 0; u < USERS; u++)
            left[i] += w->had[u][i];
        total += left[i];
        w->head[i] = false;
    }
    while (reached < .8 * total) { // take the most popular, again and again
        uint32_t best = 0;
        for (uint32_t i = 1; i < ITEMS; i++)
            best = left[i] > left[best] ? i : best;
        w->head[best] = true;
        reached += left[best];
        left[best] = -1;
    }
}

static void count_by_definition(mr_act_segment s, uint32_t place, bool listed)
{
    w->count[s] += 1;
    w->sum[s][MR_ACT_LISTED] += listed;
    for (uint32_t c = 0; c < MR_ACT_CUTS; c++) {
        if (place >= mr_act_cuts[c])
            continue;
        w->sum[s][3 * c] += 1;
        w->sum[s][3 * c + 1] += log(2) / log(place + 2);
        w->sum[s][3 * c + 2] += 1.0 / (place + 1);
    }
}

static void expect_act(uint32_t user, uint32_t item, int64_t time_ms, int value)
{
    uint32_t place = 0;
    while (place < w->listed[user] && w->lists[user][place] != item)
        place++;
    place = place < w->listed[user] ? place : MR_ACT_DEPTH;
    const bool listed = w->listed[user] > 0;
    count_by_definition(MR_ACTS_ALL, place, listed);
    count_by_definition(w->acted[user] ? MR_ACTS_KNOWN_USER : MR_ACTS_NEW_USER, place, listed);
    count_by_definition(w->head[item] ? MR_ACTS_HEAD_ITEM : MR_ACTS_TAIL_ITEM, place, listed);
    count_by_definition(value < 0 ? MR_ACTS_FIELD_NONE : (mr_act_segment)(MR_ACTS_FIELD + value),
                        place, listed);
    w->acted[user] = w->had[user][item] = true;
    w->acts++;
    settle_by_definition(time_ms);
}

static void expect_list(uint32_t user, const uint64_t *items, uint32_t count)
{
    const uint32_t kept = count < MR_ACT_DEPTH ? count : MR_ACT_DEPTH;
    for (uint32_t i = 0; i < kept; i++)
        w->exposure[items[i]] += 1;
    if (w->listed[user] > 0 && kept > 0) {
        w->compared += 1;
        w->churn += 1 - mr_rbo(w->lists[user], w->listed[user], items, kept, .9).extrapolated;
    }
    memcpy(w->lists[user], items, kept * sizeof *items);
    w->listed[user] = kept;
}

static void check_segments(void)
{
    for (uint32_t s = 0; s < MR_ACT_SEGMENTS; s++) {
        const mr_tally tally = mr_acts_of(&w->measure.acts, (mr_act_segment)s);
        near(mr_tally_count(&tally), w->count[s], 0);
        for (uint32_t t = 0; t < MR_ACT_TERMS && w->count[s] > 0; t++)
            near(mr_tally_mean(&tally, t), w->sum[s][t] / w->count[s], 1e-9);
    }
}

static void items_come_in_order_of_their_numbers(void)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        const mr_event event = {.kind = MR_EVENT_CATALOGUE, .item = mr_bytes_text(w->items[i])};
        mr_measure_event(&w->measure, &event);
    }
}

static void every_segment_equals_a_reference_that_remembers_everything(void **state)
{
    (void)state;
    mr_rng rng = draws_of(11);
    open_with(USERS, ITEMS, "device", 0);
    items_come_in_order_of_their_numbers();
    // Values get segments in the order in which they first come.
    for (int value = 0; value < VALUES; value++) {
        act(MR_EVENT_CLICK, 0, (uint32_t)value, HOUR_MS, value);
        expect_act(0, (uint32_t)value, HOUR_MS, value);
    }
    for (uint32_t step = 1; step <= STEPS; step++) {
        const uint32_t user = mr_rng_below(&rng, USERS);
        const int64_t time_ms = (int64_t)step * HOUR_MS;
        if (mr_rng_below(&rng, 4) == 0) {
            uint64_t items[ITEMS];
            shuffle(items, ITEMS, &rng);
            const uint32_t count = mr_rng_below(&rng, 2 * MR_ACT_DEPTH);
            publish(user, items, count);
            expect_list(user, items, count);
        } else { // low numbers are popular
            const uint32_t item = mr_rng_below(&rng, 1 + mr_rng_below(&rng, ITEMS));
            const int value = (int)mr_rng_below(&rng, VALUES + 1) - 1;
            act(MR_EVENT_CLICK, user, item, time_ms, value);
            expect_act(user, item, time_ms, value);
        }
    }
    mr_measure_conclude(&w->measure, 0);
    check_segments();
    for (uint32_t i = 0; i < ITEMS; i++) {
        near(w->measure.shown.exposure[i], w->exposure[i], 0);
        assert_int_equal(w->measure.shown.head[i], w->head[i]);
        for (uint32_t u = 0; u < USERS; u++)
            w->popularity += w->had[u][i];
    }
    near(w->measure.shown.total, w->popularity, 0);
    near((double)w->measure.counts.compared, w->compared, 0);
    near(w->measure.counts.churn, w->churn, 1e-9);
    const mr_measure_sums now = mr_measure_now(&w->measure);
    near(now.of[0], w->sum[MR_ACTS_ALL][FIRST], 1e-9);
    close_world();
}

static void a_list_counts_from_its_publication_on_and_an_act_before_it_is_a_miss(void **state)
{
    (void)state;
    const uint64_t list[] = {4, 7}, next[] = {9};
    open_with(USERS, ITEMS, NULL, 0);
    act(MR_EVENT_CLICK, 0, 7, 1, -1);
    publish(0, list, 2);
    act(MR_EVENT_CLICK, 0, 7, 2, -1);
    act(MR_EVENT_CLICK, 1, 7, 2, -1); // has no list
    publish(0, next, 1);
    act(MR_EVENT_CLICK, 0, 7, 3, -1);
    mr_measure_conclude(&w->measure, 0);
    const mr_tally all = mr_acts_of(&w->measure.acts, MR_ACTS_ALL);
    const mr_tally fresh = mr_acts_of(&w->measure.acts, MR_ACTS_NEW_USER);
    near(mr_tally_count(&all), 4, 0);
    near(mr_tally_mean(&all, FIRST), .25, 0);
    near(mr_tally_mean(&all, FIRST + 2), .25 / 2, 0);
    near(mr_tally_mean(&all, MR_ACT_LISTED), .5, 0);
    near(mr_tally_count(&fresh), 2, 0);
    close_world();
}

static void impressions_searches_and_controls_are_no_acts(void **state)
{
    (void)state;
    open_with(USERS, ITEMS, NULL, 0);
    act(MR_EVENT_IMPRESSION, 0, 1, 1, -1);
    act(MR_EVENT_SEARCH, 0, 1, 1, -1);
    act(MR_EVENT_CONTROL, 0, 1, 1, -1);
    assert_int_equal(w->measure.counts.acts, 0);
    act(MR_EVENT_RATING, 0, 1, 1, -1);
    assert_int_equal(w->measure.counts.acts, 1);
    close_world();
}

static void purchases_count_by_line_with_their_money(void **state)
{
    (void)state;
    const uint64_t list[] = {4, 7};
    open_with(USERS, ITEMS, NULL, 0);
    publish(0, list, 2);
    mr_line lines[] = {{mr_bytes_text("i4"), 3, 10, NAN}, {mr_bytes_text("i5"), 1, 7, NAN}};
    const mr_event event = {.kind = MR_EVENT_PURCHASE,
                            .user = mr_bytes_text("u0"),
                            .lines = lines,
                            .line_count = 2,
                            .time_ms = 1};
    mr_measure_event(&w->measure, &event);
    act(MR_EVENT_PURCHASE, 0, 7, 2, -1);
    assert_int_equal(w->measure.counts.purchases, 3);
    assert_int_equal(w->measure.counts.purchases_listed, 2);
    near(w->measure.counts.revenue, 39, 0);
    near(w->measure.counts.revenue_listed, 32, 0);
    close_world();
}

static void the_small_example_is_a_split_by_time(void **state)
{
    (void)state;
    static const double want[MR_SPLIT_MEASURES] = {5.0 / 9 * 3 / 5, .8333333, 0, .6944444,
                                                   .7688579,        .8333333, 1};
    open_with(USERS, ITEMS, NULL, 100);
    const uint64_t later[] = {40, 41, 42};
    for (uint32_t u = 0; u < SMALL_USERS; u++)
        publish(u, small_lists[u], SMALL_K);
    act(MR_EVENT_CLICK, 0, 1, 99, -1); // before the split: not relevant
    for (uint32_t u = 0; u < SMALL_USERS; u++)
        for (uint32_t i = 0; i < SMALL_RELEVANT; i++) {
            act(MR_EVENT_CLICK, u, (uint32_t)small_relevant[u][i], 100, -1);
            publish(u, later, 3);                                            // comes too late
            act(MR_EVENT_CLICK, u, (uint32_t)small_relevant[u][i], 101, -1); // counts once
        }
    mr_measure_conclude(&w->measure, 0);
    near(mr_tally_count(&w->measure.split_result.of), SMALL_USERS, 0);
    for (uint32_t i = 0; i < MR_SPLIT_MEASURES; i++)
        if (want[i] > 0)
            near(mr_tally_mean(&w->measure.split_result.of, i), want[i], 1e-7);
    close_world();
}

// The whole of it: what users had, their lists, and what they came to later.
static void the_small_example_has_its_novelty_and_its_place_beside_the_frontier(void **state)
{
    (void)state;
    static const uint32_t had[][2] = {{0, 1}, {0, 2}, {1, 1}, {1, 3}, {2, 1}, {2, 2}, {2, 4}};
    double counts[SMALL_ITEMS] = {0};
    mr_sorted scratch[SMALL_ITEMS];
    open_with(SMALL_USERS, SMALL_ITEMS, NULL, 100 * HOUR_MS);
    for (uint32_t i = 1; i <= SMALL_ITEMS; i++) {
        const mr_event event = {.kind = MR_EVENT_CATALOGUE, .item = mr_bytes_text(w->items[i])};
        mr_measure_event(&w->measure, &event);
    }
    for (uint32_t a = 0; a < 7; a++) // the last one a day later: the head is settled then
        act(MR_EVENT_CLICK, had[a][0], had[a][1], (a < 6 ? 1 : 50) * HOUR_MS, -1);
    for (uint32_t u = 0; u < SMALL_USERS; u++) {
        publish(u, small_lists[u], SMALL_K);
        for (uint32_t i = 0; i < SMALL_K; i++)
            counts[small_lists[u][i] - 1] += 1;
    }
    near(mr_diversity_judge(&w->measure.diversity).poprsp, .125 / .875, 1e-12);
    for (uint32_t u = 0; u < SMALL_USERS; u++)
        for (uint32_t i = 0; i < SMALL_RELEVANT; i++)
            act(MR_EVENT_CLICK, u, (uint32_t)small_relevant[u][i], 100 * HOUR_MS, -1);
    mr_measure_conclude(&w->measure, 0);
    const mr_split_result *split = &w->measure.split_result;
    near(mr_tally_mean(&split->of, MR_SPLIT_MEASURES - 1), .4320273, 1e-7);
    // The second user alone has no hit that nobody had before: his is the first place.
    near(mr_tally_count(&split->efd), 1, 0);
    near(mr_tally_mean(&split->efd, 0), log2(3.5) / (1 + 1 / log2(3) + .5), 1e-12);
    const mr_joint *joint = &w->measure.joint;
    assert_int_equal(joint->users, SMALL_USERS);
    assert_int_equal(joint->places, SMALL_K);
    near(joint->lists.relevance, .7688579, 1e-7);
    near(joint->lists.fairness,
         1 - mr_fairness_of(counts, SMALL_ITEMS, SMALL_USERS, scratch).corrected.gini, 1e-12);
    assert_true(joint->frontier.point_count > 0 && joint->reference.relevance <= 1);
    near(joint->distance, mr_pareto_distance(joint->lists, joint->reference), 1e-12);
    close_world();
}

static void users_without_a_list_at_the_split_count_as_zeros(void **state)
{
    (void)state;
    const uint64_t list[] = {4};
    open_with(USERS, ITEMS, NULL, 100);
    publish(0, list, 1);
    act(MR_EVENT_CLICK, 0, 4, 100, -1);
    act(MR_EVENT_CLICK, 1, 4, 100, -1);
    publish(1, list, 1);
    act(MR_EVENT_CLICK, 1, 4, 101, -1);
    mr_measure_conclude(&w->measure, 0);
    near(mr_tally_count(&w->measure.split_result.of), 2, 0);
    near(mr_tally_mean(&w->measure.split_result.of, 1), .5, 0);
    close_world();
}

static void a_users_relevant_items_are_kept_to_a_number(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, mr_split_bytes(1, 10, 1000, 0));
    mr_split split;
    mr_arena arena;
    assert_non_null(memory);
    memset(memory, 0, mr_split_bytes(1, 10, 1000, 0));
    mr_arena_init(&arena, memory, mr_split_bytes(1, 10, 1000, 0));
    mr_split_init(&split, 1, 10, 1000, 0, &arena);
    for (uint64_t item = 1; item <= MR_SPLIT_RELEVANT_MAX; item++)
        mr_split_act(&split, 0, item);
    assert_int_equal(split.left_out, 0);
    mr_split_act(&split, 0, 7); // known already
    assert_int_equal(split.left_out, 0);
    mr_split_act(&split, 0, 1000);
    assert_int_equal(split.left_out, 1);
    free(memory);
}

static void what_there_is_no_room_for_is_left_out_and_counted(void **state)
{
    (void)state;
    const uint64_t list[] = {1, 2, 3};
    open_with(2, 2, NULL, 0);
    act(MR_EVENT_CLICK, 0, 1, 1, -1);
    publish(1, list, 3);              // item 3 has no room
    act(MR_EVENT_CLICK, 2, 1, 1, -1); // nor has this user
    publish(2, list, 3);
    act(MR_EVENT_CLICK, 1, 3, 2, -1); // the list knows the item all the same
    mr_measure_conclude(&w->measure, 0);
    const mr_tally all = mr_acts_of(&w->measure.acts, MR_ACTS_ALL);
    near(mr_tally_count(&all), 2, 0);
    near(mr_tally_mean(&all, FIRST), .5, 0);
    assert_int_equal(w->measure.counts.acts_left_out, 1);
    assert_int_equal(w->measure.counts.lists_left_out, 1);
    assert_int_equal(w->measure.shown.items_left_out, 2);
    assert_int_equal(w->measure.shown.item_count, 2);
    close_world();
}

static void values_beyond_the_sixteenth_are_other(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, mr_acts_bytes(true, 0));
    mr_acts acts;
    mr_arena arena;
    assert_non_null(memory);
    memset(memory, 0, mr_acts_bytes(true, 0));
    mr_arena_init(&arena, memory, mr_acts_bytes(true, 0));
    mr_acts_init(&acts, true, 0, 1, &arena);
    for (uint32_t v = 0; v < MR_ACT_VALUES_MAX + 2; v++) {
        char value[8];
        snprintf(value, sizeof value, "v%u", v % 100);
        mr_acts_add(&acts, &(mr_act){.has_field = true, .value = mr_bytes_text(value)});
    }
    const mr_tally last = mr_acts_of(&acts, (mr_act_segment)(MR_ACTS_FIELD_OTHER - 1));
    const mr_tally other = mr_acts_of(&acts, MR_ACTS_FIELD_OTHER);
    near(mr_tally_count(&last), 1, 0);
    near(mr_tally_count(&other), 2, 0);
    assert_string_equal(mr_acts_name(&acts, (mr_act_segment)(MR_ACTS_FIELD_OTHER - 1)), "v15");
    assert_string_equal(mr_acts_name(&acts, MR_ACTS_FIELD_OTHER), "(other)");
    free(memory);
}

static mr_acts acts_in(void *memory, uint32_t resamples)
{
    mr_acts acts;
    mr_arena arena;
    memset(memory, 0, mr_acts_bytes(false, resamples));
    mr_arena_init(&arena, memory, mr_acts_bytes(false, resamples));
    mr_acts_init(&acts, false, resamples, 1, &arena);
    return acts;
}

static void a_warm_up_that_is_taken_off_leaves_the_acts_after_it(void **state)
{
    (void)state;
    enum { RESAMPLES = 7 };
    void *memory[2] = {aligned_alloc(64, mr_acts_bytes(false, RESAMPLES)),
                       aligned_alloc(64, mr_acts_bytes(false, RESAMPLES))};
    assert_true(memory[0] != NULL && memory[1] != NULL);
    for (uint32_t total = 1000; total < 40000; total += 7777) {
        mr_acts whole = acts_in(memory[0], RESAMPLES), rest = acts_in(memory[1], RESAMPLES);
        for (int pass = 0; pass < 2; pass++) { // the second knows how long the warm-up was
            for (uint32_t i = pass == 0 ? 0 : (uint32_t)whole.warmup; i < total; i++)
                mr_acts_add(pass == 0 ? &whole : &rest,
                            &(mr_act){.user = i % 31, .place = i % 25, .head = i % 2 == 0});
            if (pass == 0)
                mr_acts_conclude(&whole, .1);
        }
        assert_in_range(whole.warmup, total / 10, total / 10 + total / 15);
        for (uint32_t s = 0; s < MR_ACTS_FIELD; s++)
            for (uint32_t i = 0; i < mr_tally_size(MR_ACT_TERMS, RESAMPLES); i++)
                near(mr_acts_of(&whole, (mr_act_segment)s).sums[i],
                     mr_acts_of(&rest, (mr_act_segment)s).sums[i], 1e-7);
    }
    free(memory[0]);
    free(memory[1]);
}

static void after_a_reset_lists_and_acts_before_are_known_and_not_counted(void **state)
{
    (void)state;
    const uint64_t items[] = {1, 2}, later[] = {3};
    open_with(10, ITEMS, NULL, 0);
    publish(0, items, 2);
    act(MR_EVENT_CLICK, 0, 5, HOUR_MS, 0); // a miss
    mr_measure_reset(&w->measure);
    act(MR_EVENT_CLICK, 0, 2, 2 * HOUR_MS, 0); // a hit, by the list of before
    publish(0, later, 1);
    mr_measure_conclude(&w->measure, 0);
    const mr_tally all = mr_acts_of(&w->measure.acts, MR_ACTS_ALL);
    const mr_tally known = mr_acts_of(&w->measure.acts, MR_ACTS_KNOWN_USER);
    near(mr_tally_count(&all), 1, 0);
    near(mr_tally_mean(&all, FIRST), 1, 0);
    near(mr_tally_count(&known), 1, 0);
    assert_int_equal(w->measure.counts.acts, 1);
    assert_int_equal(w->measure.shown.lists, 1);
    assert_int_equal(w->measure.counts.compared, 1); // with the list of before
    near(w->measure.shown_result.spread.coverage, 1. / 4, 1e-12); // of items 1, 2, 5 and 3
    close_world();
}

static void popreo_is_not_defined_where_a_group_has_no_acts(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, mr_acts_bytes(false, 0));
    assert_non_null(memory);
    mr_acts acts = acts_in(memory, 0);
    mr_acts_add(&acts, &(mr_act){.place = 0, .head = true});
    assert_true(isnan(mr_acts_popreo(&acts)));
    for (uint32_t i = 0; i < 4; i++)
        mr_acts_add(&acts, &(mr_act){.place = i < 3 ? 0 : MR_ACT_DEPTH});
    near(mr_acts_popreo(&acts), .1428571, 1e-7); // 1/1 and 3/4
    free(memory);
}

static void a_pair_counts_for_popularity_once(void **state)
{
    (void)state;
    open_with(USERS, ITEMS, NULL, 0);
    for (int64_t time = 1; time < 9; time++)
        act(MR_EVENT_CLICK, 0, 3, time, -1);
    act(MR_EVENT_CLICK, 1, 3, 9, -1);
    near(w->measure.shown.popularity[0], 2, 0);
    near(w->measure.shown.users, 2, 0);
    close_world();
}

static void a_log_without_lists_prints_and_has_nulls(void **state)
{
    (void)state;
    open_with(USERS, ITEMS, NULL, 5);
    mr_measure_conclude(&w->measure, .1);
    json_t *root = mr_measure_json(&w->measure), *shown = json_object_get(root, "shown");
    assert_non_null(shown);
    assert_true(json_is_null(json_object_get(shown, "gini")));
    assert_true(json_is_null(json_object_get(shown, "popreo")));
    assert_true(json_is_false(json_object_get(json_object_get(root, "split"), "reached")));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    mr_measure_print(&w->measure, out);
    fclose(out);
    assert_null(strstr(text, "nan"));
    free(text);
    json_decref(root);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_segment_equals_a_reference_that_remembers_everything),
        cmocka_unit_test(a_list_counts_from_its_publication_on_and_an_act_before_it_is_a_miss),
        cmocka_unit_test(impressions_searches_and_controls_are_no_acts),
        cmocka_unit_test(purchases_count_by_line_with_their_money),
        cmocka_unit_test(the_small_example_is_a_split_by_time),
        cmocka_unit_test(the_small_example_has_its_novelty_and_its_place_beside_the_frontier),
        cmocka_unit_test(users_without_a_list_at_the_split_count_as_zeros),
        cmocka_unit_test(a_users_relevant_items_are_kept_to_a_number),
        cmocka_unit_test(what_there_is_no_room_for_is_left_out_and_counted),
        cmocka_unit_test(values_beyond_the_sixteenth_are_other),
        cmocka_unit_test(a_warm_up_that_is_taken_off_leaves_the_acts_after_it),
        cmocka_unit_test(after_a_reset_lists_and_acts_before_are_known_and_not_counted),
        cmocka_unit_test(popreo_is_not_defined_where_a_group_has_no_acts),
        cmocka_unit_test(a_pair_counts_for_popularity_once),
        cmocka_unit_test(a_log_without_lists_prints_and_has_nulls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
