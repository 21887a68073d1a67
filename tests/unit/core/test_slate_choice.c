// SPDX-License-Identifier: Apache-2.0
// slate_choice: the worked figures, gradients against differences, what a slate teaches, and worlds
// whose users choose by a law that is known.
#include "core/model/choice.h"
#include "core/model/encoder.h"
#include "core/model/slates.h"
#include "tests/unit/core/asked.h"

enum { DIM = 16 };
static const int64_t start_ms = 1700000000000, minute_ms = 60000;

static void assert_near(double is, double want, double off)
{
    if (!(fabs(is - want) <= off))
        fail_msg("%.9g, want %.9g", is, want);
}

// ---- the likelihood

static const double worked_v[3][2] = {{.4, .1}, {.2, -.3}, {-.1, .2}}, worked_z[2] = {.5, -.2};

static double log_likelihood(double v[3][2], const double z[2], double none, int taken)
{
    double sum = exp(none), s[3];
    for (int i = 0; i < 3; i++)
        sum += exp(s[i] = z[0] * v[i][0] + z[1] * v[i][1]);
    return (taken < 0 ? none : s[taken]) - log(sum);
}

static void the_worked_choice(void **state)
{
    (void)state;
    float p[3];
    double dz[2] = {0};
    for (int i = 0; i < 3; i++)
        p[i] = (float)(worked_z[0] * worked_v[i][0] + worked_z[1] * worked_v[i][1]);
    const float none = mr_choice_probabilities(p, 3, .3f);
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++)
            dz[d] += ((i == 1 ? 1.0 : 0.0) - (double)p[i]) * worked_v[i][d];
    assert_near((double)p[0], .2583262, 2e-7);
    assert_near((double)p[1], .2532110, 2e-7);
    assert_near((double)p[2], .1972009, 2e-7);
    assert_near((double)none, .2912619, 2e-7);
    assert_near(log((double)p[1]), -1.3735323, 1e-6);
    assert_near((1 - (double)p[1]) * worked_z[0], .3733945, 2e-7);
    assert_near((1 - (double)p[1]) * worked_z[1], -.1493578, 2e-7);
    assert_near(dz[0], .0657474, 2e-7);
    assert_near(dz[1], -.2893095, 2e-7);
}

static void what_is_added_up_is_the_gradient_of_the_likelihood(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (int taken = -1; taken < 3; taken++) {
        double v[3][2], z[2] = {worked_z[0], worked_z[1]};
        float p[3];
        memcpy(v, worked_v, sizeof v);
        for (int i = 0; i < 3; i++)
            p[i] = (float)(z[0] * v[i][0] + z[1] * v[i][1]);
        const double none = (double)mr_choice_probabilities(p, 3, .3f);
        const double by_none =
            (log_likelihood(v, z, .3 + h, taken) - log_likelihood(v, z, .3 - h, taken)) / (2 * h);
        assert_near((taken < 0 ? 1 : 0) - none, by_none, 1e-6);
        for (int i = 0; i < 3; i++)
            for (int d = 0; d < 2; d++) {
                v[i][d] = worked_v[i][d] + h;
                const double up = log_likelihood(v, z, .3, taken);
                v[i][d] = worked_v[i][d] - h;
                const double down = log_likelihood(v, z, .3, taken);
                v[i][d] = worked_v[i][d];
                assert_near(((i == taken ? 1 : 0) - (double)p[i]) * z[d], (up - down) / (2 * h),
                            1e-6);
            }
    }
}

static void scores_far_away_stay_probabilities(void **state)
{
    (void)state;
    float p[2] = {1e30f, -1e30f};
    const float none = mr_choice_probabilities(p, 2, 20.0f);
    assert_near((double)p[0], .5, 1e-6);
    assert_near((double)none, .5, 1e-6);
    assert_true(p[1] >= 0 && p[1] < 1e-30f);
}

// ---- what is believed

static void the_worked_step(void **state)
{
    (void)state;
    static const float zero[2] = {0, 0}, four[2] = {4, 4};
    float precision[2] = {0}, shift[2] = {0}, mean[2], variance[2], information[2], gain[2];
    const double p = .2532110;
    const mr_belief of = {2, zero, four, precision, shift};
    for (int d = 0; d < 2; d++) {
        information[d] = (float)(p * (1 - p) * worked_z[d] * worked_z[d]);
        gain[d] = (float)((1 - p) * worked_z[d]);
    }
    mr_belief_learn(&of, information, gain);
    mr_belief_read(&of, mean, variance);
    assert_near(1 / (double)variance[0], 4.0472738, 1e-6);
    assert_near(1 / (double)variance[1], 4.0075638, 1e-6);
    assert_near((double)mean[0], .0922583, 1e-7);
    assert_near((double)mean[1], -.0372690, 1e-7);
}

// Nothing known: it goes where the prior goes. Otherwise by the prior's share of what is known.
static void a_prior_that_moves_takes_along_what_is_not_known(void **state)
{
    (void)state;
    static const float four[2] = {4, 4};
    float prior[2] = {0, 0}, precision[2] = {0, 12}, shift[2] = {0, 6}, before[2], after[2], v[2];
    const mr_belief of = {2, prior, four, precision, shift};
    mr_belief_read(&of, before, v);
    prior[0] = prior[1] = .8f;
    mr_belief_read(&of, after, v);
    assert_near((double)(after[0] - before[0]), .8, 1e-6);
    assert_near((double)(after[1] - before[1]), .8 * 4 / 16, 1e-6);
}

// A hundred choices at once, all along one direction: the score ends where their average is met,
// not far behind it.
static void many_choices_at_once_do_not_overshoot(void **state)
{
    (void)state;
    static const float zero[DIM], one[DIM] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    float precision[DIM] = {0}, shift[DIM] = {0}, mean[DIM], variance[DIM], information[DIM];
    float gain[DIM];
    const mr_belief of = {DIM, zero, one, precision, shift};
    for (int d = 0; d < DIM; d++) { // z of ones, p = .5 believed, .6 found
        information[d] = 100 * .25f;
        gain[d] = 100 * .1f;
    }
    mr_belief_learn(&of, information, gain);
    mr_belief_read(&of, mean, variance);
    double score = 0;
    for (int d = 0; d < DIM; d++)
        score += (double)mean[d];
    assert_true(score > .1 && score <= .1 / .25 + 1e-6);
}

// ---- groups

static void the_worked_group(void **state)
{
    (void)state;
    static const double items[3][2] = {{.3, .05}, {.5, .02}, {-.1, .2}};
    mr_group_sums sums = {0};
    double left;
    for (int i = 0; i < 3; i++)
        mr_group_add(&sums, 1 / items[i][1], items[i][0] / items[i][1], .25);
    mr_group_add(&sums, 0, 0, .25); // of which nothing is known: says nothing
    assert_near(mr_group_mean(&sums, 0, 1, &left), .2563177, 1e-7);
    assert_near(left, .0974729, 1e-7);
}

// An item alone in its group is believed as under one prior as wide as both together.
static void a_group_of_one_is_a_flat_prior(void **state)
{
    (void)state;
    const double precision = 7, found = .6, within = .25, between = .4;
    mr_group_sums sums = {0};
    double left;
    mr_group_add(&sums, precision, precision * found, within);
    const float mean = (float)mr_group_mean(&sums, 0, between, &left), none = 0;
    const float narrow = (float)(1 / within), wide = (float)(1 / (within + between));
    float has = (float)precision, shift = (float)(precision * found), grouped, flat, v;
    const mr_belief of = {1, &mean, &narrow, &has, &shift}, alone = {1, &none, &wide, &has, &shift};
    mr_belief_read(&of, &grouped, &v);
    mr_belief_read(&alone, &flat, &v);
    assert_near((double)grouped, (double)flat, 1e-6);
}

// ---- the user

static void the_linear_state_is_a_running_mean(void **state)
{
    (void)state;
    static mr_encoded read;
    const mr_encoder of = {MR_ENCODER_LINEAR, DIM, .5f, mr_vec_best(), {NULL}};
    float z[DIM], x[DIM] = {1, -2};
    mr_encoder_begin(&of, &read, z);
    mr_encoder_take(&of, x, &read, z);
    x[0] = 3;
    mr_encoder_take(&of, x, &read, z);
    mr_encoder_end(&of, &read, z);
    assert_near((double)z[0], 1.75, 1e-6);
    assert_near((double)z[1], -1.5, 1e-6);
}

enum { MAP = DIM * (DIM + 1), STEPS = 5 };
static float maps[MR_ENCODER_MAPS][MAP];

// weight . z of STEPS made-up items.
static double encoded(mr_encoded *read, const float weight[DIM])
{
    mr_encoder of = {MR_ENCODER_GRU, DIM, .5f, mr_vec_best(), {NULL}};
    float z[DIM];
    double sum = 0;
    for (int m = 0; m < MR_ENCODER_MAPS; m++)
        of.maps[m] = maps[m];
    mr_encoder_begin(&of, read, z);
    for (uint32_t s = 0; s < STEPS; s++) {
        float x[DIM];
        mr_rng rng = mr_rng_make(1, 0, 0, s, MR_PURPOSE_SIM);
        for (int d = 0; d < DIM; d++)
            x[d] = .5f * mr_rng_normal(&rng);
        mr_encoder_take(&of, x, read, z);
    }
    mr_encoder_end(&of, read, z);
    for (int d = 0; d < DIM; d++)
        sum += (double)weight[d] * (double)z[d];
    return sum;
}

static void the_encoders_gradient_is_that_of_its_output(void **state)
{
    (void)state;
    static mr_encoded read;
    static float gradients[MR_ENCODER_MAPS][MAP];
    float weight[DIM], *at[MR_ENCODER_MAPS];
    mr_encoder of = {MR_ENCODER_GRU, DIM, .5f, mr_vec_best(), {NULL}};
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t m = 0; m < MR_ENCODER_MAPS; m++) {
        const bool of_state = m == MR_MAP_UZ || m == MR_MAP_UH || m == MR_MAP_UR;
        mr_encoder_start(maps[m], m, DIM, .5);
        for (int i = 0; i < MAP; i++)
            maps[m][i] += of_state && i >= DIM * DIM ? 0.0f : .2f * mr_rng_normal(&rng);
        of.maps[m] = maps[m];
        at[m] = gradients[m];
    }
    for (int d = 0; d < DIM; d++)
        weight[d] = mr_rng_normal(&rng);
    (void)encoded(&read, weight);
    mr_encoder_back(&of, &read, weight, at);
    for (uint32_t m = 0; m < MR_ENCODER_MAPS; m++)
        for (int i = 0; i < DIM * DIM; i += 37) {
            const float was = maps[m][i], h = 2e-2f;
            maps[m][i] = was + h;
            const double up = encoded(&read, weight);
            maps[m][i] = was - h;
            const double down = encoded(&read, weight);
            maps[m][i] = was;
            assert_near((double)gradients[m][i], (up - down) / (2 * (double)h), 2e-3);
        }
}

// ---- what waits

static void a_slate_waits_for_its_click(void **state)
{
    (void)state;
    enum { BYTES = 1024 };
    static uint64_t memory[BYTES / 8];
    const mr_slates_room room = {2, 3}, other = {2, 4};
    mr_slates *of = (mr_slates *)(void *)memory;
    uint32_t at;
    assert_true(mr_slates_bytes(room) <= BYTES);
    assert_int_equal(mr_slates_used(room, of), 0);
    mr_slates_begin(room, of, 77, start_ms);
    for (uint64_t item = 1; item <= 5; item++) // three fit, and none twice
        mr_slates_put(room, of, item == 2 ? 1 : item, 0);
    assert_int_equal(mr_slates_at(room, of, 0)->count, 3);
    assert_null(mr_slates_leaving(room, of));
    assert_non_null(mr_slates_find(room, of, 4, 77, start_ms + 1000, 10, &at));
    assert_int_equal(at, 2);
    assert_null(mr_slates_find(room, of, 5, 77, start_ms, 10, &at));
    assert_null(mr_slates_find(room, of, 4, 78, start_ms, 10, &at));
    assert_non_null(mr_slates_find(room, of, 4, 0, start_ms + 10000, 10, &at));
    assert_null(mr_slates_find(room, of, 4, 0, start_ms + 11000, 10, &at));
    mr_slates_begin(room, of, 0, start_ms + 1);
    mr_slates_put(room, of, 4, 0);
    assert_true(mr_slates_find(room, of, 4, 0, start_ms, 10, &at) == mr_slates_at(room, of, 0));
    assert_int_equal(mr_slates_leaving(room, of)->list, 77);
    mr_slates_begin(room, of, 5, start_ms + 2);
    assert_null(mr_slates_find(room, of, 1, 0, start_ms, 10, &at)); // it has left
    assert_int_equal(mr_slates_count(room, of), 2);
    assert_int_equal(mr_slates_used(room, of), mr_slates_bytes(room));
    assert_int_equal(mr_slates_used(other, of), 0);
}

// ---- through the engine

static void open_with(mill *m, double user, double refresh_s)
{
    static const char *const on[] = {"slate_choice"};
    const mr_setting settings[] = {{"slate_choice", "dim", DIM},
                                   {"slate_choice", "user", user},
                                   {"slate_choice", "refresh_s", refresh_s}};
    asked_open(m, on, 1, settings, 3);
}

static void impression(made_event *made, uint32_t user, const uint32_t *items, uint32_t count,
                       int64_t time_ms)
{
    mill_act(made, MR_EVENT_IMPRESSION, user, 0, time_ms);
    for (uint32_t r = 0; r < count; r++) {
        snprintf(made->line_items[r], sizeof made->line_items[r], "i%u", items[r]);
        made->lines[r] =
            (mr_line){.item = mr_bytes_text(made->line_items[r]), .quantity = 1, .propensity = 1};
    }
    made->arrival.event.lines = made->lines;
    made->arrival.event.line_count = count;
    made->arrival.event.present |= 1u << MR_FIELD_lines;
}

static void show(mill *m, uint32_t user, const uint32_t *items, uint32_t count, int64_t time_ms)
{
    made_event made;
    impression(&made, user, items, count, time_ms);
    asked_round(m, &made, 1);
}

enum { HEAD = 8 + 16 }; // bytes before a row's values

static float value_of(mill *m, uint32_t item, uint32_t which)
{
    float value;
    const stored_row *row = asked_item_row(m, "slate_choice.item", item);
    if (row == NULL)
        return 0;
    memcpy(&value, row->value + HEAD + which * 4, 4);
    return value;
}

static void spread_of(mill *m, uint32_t user, uint32_t item, float *mean, float *deviation)
{
    asked_model a = asked(m, "slate_choice");
    const uint32_t slot = asked_item(m, item);
    a.model->spread(a.instance, &a.view, asked_user(m, user), &slot, 1, mean, deviation);
}

// A user of whom nothing is known has z = 1, 0, ..: one of three is taken with 1/24, none with
// 21/24.
static void one_click_teaches_what_the_page_says(void **state)
{
    (void)state;
    static mill m;
    static const uint32_t items[] = {0, 1, 2};
    const double p = 1.0 / 24, information = p * (1 - p);
    float mean, deviation;
    open_with(&m, MR_ENCODER_LINEAR, 0);
    show(&m, 0, items, 3, start_ms);
    assert_near((double)value_of(&m, 1, 0), 0, 0); // nothing is known yet
    asked_act(&m, 0, 1, start_ms + 1000);
    for (uint32_t i = 0; i < 3; i++) {
        assert_near((double)value_of(&m, i, 0), information, 1e-6);
        assert_near((double)value_of(&m, i, 1), 0, 0);
        assert_near((double)value_of(&m, i, DIM), (i == 1 ? 1 : 0) - p, 1e-6);
    }
    asked_act(&m, 5, 7, start_ms + 2000); // brings another user
    show(&m, 6, items, 3, start_ms + 3000);
    spread_of(&m, 6, 1, &mean, &deviation);
    assert_near((double)mean, (1 - p) / (4 + information), 1e-6);
    assert_near((double)deviation, sqrt(1 / (4 + information)), 1e-6);
    spread_of(&m, 6, 0, &mean, &deviation);
    assert_near((double)mean, -p / (4 + information), 1e-6);
    mill_close(&m);
}

static void the_next_impression_says_that_nothing_was_taken(void **state)
{
    (void)state;
    static mill m;
    static const uint32_t first[] = {0, 1, 2}, next[] = {3, 4, 5};
    open_with(&m, MR_ENCODER_LINEAR, 0);
    for (uint32_t i = 0; i < 9; i++)
        asked_act(&m, 0, i, start_ms + i);
    show(&m, 0, first, 3, start_ms + minute_ms);
    show(&m, 0, next, 3, start_ms + 2 * minute_ms);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(value_of(&m, i, 0) > 0 && value_of(&m, i, DIM) < 0);
    assert_near((double)value_of(&m, 3, 0), 0, 0);
    mill_close(&m);
}

// What is shown moves nobody's state: scores of what was not shown keep their bytes.
static void without_a_click_the_user_stays_where_he_was(void **state)
{
    (void)state;
    static mill m;
    static const uint32_t shown[] = {6, 7, 8};
    for (int user = MR_ENCODER_LINEAR; user < MR_ENCODER_KINDS; user++) {
        float before[6], after[6];
        open_with(&m, user, 0);
        for (uint32_t i = 0; i < 6; i++)
            asked_act(&m, 0, i, start_ms + i);
        for (uint32_t i = 6; i < 9; i++)
            asked_act(&m, 1, i, start_ms + i);
        asked_scores(&m, "slate_choice", 0, 0, 6, before);
        show(&m, 0, shown, 3, start_ms + minute_ms);
        asked_scores(&m, "slate_choice", 0, 0, 6, after);
        assert_memory_equal(before, after, sizeof before);
        if (user == MR_ENCODER_LINEAR) { // gru's maps learn from what is not taken
            show(&m, 0, shown, 3, start_ms + 2 * minute_ms);
            asked_scores(&m, "slate_choice", 0, 0, 6, after);
            assert_memory_equal(before, after, sizeof before);
        }
        asked_act(&m, 0, 6, start_ms + 3 * minute_ms);
        asked_scores(&m, "slate_choice", 0, 0, 6, after);
        assert_true(memcmp(before, after, sizeof before) != 0);
        mill_close(&m);
    }
}

static void a_second_click_is_a_choice_among_the_rest(void **state)
{
    (void)state;
    static mill m;
    static const uint32_t items[] = {0, 1, 2};
    open_with(&m, MR_ENCODER_LINEAR, 0);
    show(&m, 0, items, 3, start_ms);
    asked_act(&m, 0, 1, start_ms + 1000);
    const float once = value_of(&m, 1, 0);
    asked_act(&m, 0, 1, start_ms + 2000); // the same again is no choice
    assert_near((double)value_of(&m, 0, 0), (double)value_of(&m, 2, 0), 1e-9);
    asked_act(&m, 0, 2, start_ms + 3000);
    assert_true(value_of(&m, 1, 0) == once);
    assert_true(value_of(&m, 2, DIM) > 0 && value_of(&m, 0, DIM) < -1.0f / 24);
    const float before = value_of(&m, 0, DIM);
    show(&m, 0, items, 3, start_ms + 4000); // it was answered
    assert_true(value_of(&m, 0, DIM) == before);
    mill_close(&m);
}

// ---- planted worlds

enum { WORLD_ITEMS = 24, WORLD_USERS = 60, SLATE = 4 };

// A user likes one item in three, and some items please everybody.
static double utility(uint32_t user, uint32_t item)
{
    return (item % 3 == user % 3 ? 2.0 : 0.0) + (item / 12 == 0 ? .8 : -.8) - 1.5;
}

static uint32_t taken_of(mr_rng *rng, uint32_t user, const uint32_t items[SLATE])
{
    double sum = 1, u = mr_rng_double(rng), e[SLATE];
    for (uint32_t r = 0; r < SLATE; r++)
        sum += e[r] = exp(utility(user, items[r]));
    for (uint32_t r = 0; r < SLATE; r++) {
        u -= e[r] / sum;
        if (u < 0)
            return r;
    }
    return SLATE;
}

// So many slates of items by chance, a round each.
static void live(mill *m, uint32_t slates, uint64_t seed)
{
    static const uint32_t apart[] = {1, 5, 7, 11};
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t l = 0; l < slates; l++) {
        made_event events[2];
        uint32_t items[SLATE];
        const uint32_t user = mr_rng_below(&rng, WORLD_USERS);
        const int64_t time_ms = start_ms + l * minute_ms;
        const uint32_t first = mr_rng_below(&rng, WORLD_ITEMS), by = apart[mr_rng_below(&rng, 4)];
        for (uint32_t r = 0; r < SLATE; r++)
            items[r] = (first + r * by) % WORLD_ITEMS;
        impression(&events[0], user, items, SLATE, time_ms);
        const uint32_t taken = taken_of(&rng, user, items);
        if (taken < SLATE)
            mill_act(&events[1], MR_EVENT_CLICK, user, items[taken], time_ms + 1000);
        asked_round(m, events, taken < SLATE ? 2 : 1);
    }
}

// Share of pairs of items, of unlike utility to their user, that the scores order as it does.
static double ordered(mill *m)
{
    double right = 0, all = 0;
    for (uint32_t u = 0; u < WORLD_USERS; u++) {
        float scores[WORLD_ITEMS];
        asked_scores(m, "slate_choice", 0, u, WORLD_ITEMS, scores);
        for (uint32_t i = 0; i < WORLD_ITEMS; i++)
            for (uint32_t j = 0; j < WORLD_ITEMS; j++)
                if (utility(u, i) > utility(u, j) + .1) {
                    all += 1;
                    right += scores[i] > scores[j];
                }
    }
    return right / all;
}

static void scores_order_items_as_the_world_does(void **state)
{
    (void)state;
    static mill m;
    for (int user = MR_ENCODER_LINEAR; user < MR_ENCODER_KINDS; user++) {
        open_with(&m, user, 3600);
        live(&m, 300, 3);
        const double early = ordered(&m);
        live(&m, 6000, 4);
        const double late = ordered(&m);
        assert_true(late > .88 && late > early);
        mill_close(&m);
    }
}

static void describe(mill *m, uint32_t item, const char *category)
{
    made_event made;
    mill_act(&made, MR_EVENT_CATALOGUE, 0, item, start_ms);
    mr_event *event = &made.arrival.event;
    event->present = 1u << MR_FIELD_item | 1u << MR_FIELD_time | 1u << MR_FIELD_categories |
                     1u << MR_FIELD_available;
    event->available = true;
    event->category_count = 1;
    event->categories[0] = mr_bytes_text(category);
    asked_round(m, &made, 1);
}

// Of two items that nobody has seen, the one of the better category is worth more to everybody.
static void a_new_item_begins_as_its_group_does(void **state)
{
    (void)state;
    static mill m;
    float good[2], bad[2];
    open_with(&m, MR_ENCODER_LINEAR, 3600);
    for (uint32_t i = 0; i < WORLD_ITEMS; i++)
        describe(&m, i, i / 12 == 0 ? "good" : "bad");
    describe(&m, 100, "good");
    describe(&m, 101, "bad");
    live(&m, 1500, 5);
    asked_act(&m, 999, 200, start_ms); // a user of whom next to nothing is known
    spread_of(&m, 999, 100, &good[0], &good[1]);
    spread_of(&m, 999, 101, &bad[0], &bad[1]);
    assert_true(good[0] > bad[0] + .5f);
    mill_close(&m);
    open_with(&m, MR_ENCODER_LINEAR, 0); // groups that nobody learns have nothing to say
    for (uint32_t i = 0; i < WORLD_ITEMS; i++)
        describe(&m, i, i / 12 == 0 ? "good" : "bad");
    describe(&m, 100, "good");
    describe(&m, 101, "bad");
    live(&m, 300, 5);
    show(&m, 998, (const uint32_t[]){0}, 1, start_ms);
    spread_of(&m, 998, 100, &good[0], &good[1]);
    spread_of(&m, 998, 101, &bad[0], &bad[1]);
    assert_near((double)(good[0] - bad[0]), 0, 1e-6);
    mill_close(&m);
}

// ---- several workers

enum { SIGNALS = 30, WORKERS = 3 };

// Each user has a slate before him and clicks: what one worker adds up is what three do who share
// them.
static void deltas_of_several_workers_add_up_to_those_of_one(void **state)
{
    (void)state;
    static mill m;
    mr_deltas of[WORKERS + 1];
    void *memory[WORKERS + 1];
    mr_signal signals[SIGNALS];
    static uint64_t parts[SIGNALS][64];
    open_with(&m, MR_ENCODER_GRU, 0);
    live(&m, 300, 9);
    for (uint32_t u = 0; u < SIGNALS; u++)
        show(&m, u, (const uint32_t[]){u % 8, 8 + u % 8, 16 + u % 8}, 3,
             start_ms + 400 * minute_ms);
    asked_model a = asked(&m, "slate_choice");
    const size_t part = a.model->state.families[4].row_bytes(a.instance->config);
    assert_true(part <= sizeof parts[0]);
    for (uint32_t w = 0; w <= WORKERS; w++)
        memory[w] = asked_deltas(m.engine, &of[w]);
    for (uint32_t u = 0; u < SIGNALS; u++) {
        const uint32_t item = asked_item(&m, 8 * (u % 3) + u % 8);
        signals[u] = (mr_signal){.kind = MR_SIGNAL_ACT,
                                 .act = MR_EVENT_CLICK,
                                 .user = asked_user(&m, u),
                                 .item = item,
                                 .item_key = a.view.items->slots.keys[item],
                                 .time_ms = start_ms + 401 * minute_ms,
                                 .weight = 1,
                                 .index = u};
        memcpy(parts[u], mr_user_part(a.instance, mr_view_user(&a.view, signals[u].user)), part);
    }
    a.model->state.observe(a.instance, &a.view, signals, SIGNALS, &of[WORKERS], &a.arena);
    for (uint32_t u = 0; u < SIGNALS; u++)
        memcpy(mr_user_part(a.instance, mr_view_user(&a.view, signals[u].user)), parts[u], part);
    for (uint32_t w = 0; w < WORKERS; w++)
        a.model->state.observe(a.instance, &a.view, signals + w * (SIGNALS / WORKERS),
                               SIGNALS / WORKERS, &of[w], &a.arena);
    uint32_t compared = 0;
    for (uint32_t family = 0; family < 4; family++) {
        const uint32_t f = a.instance->family_first + family;
        const mr_family *is = &a.model->state.families[family];
        const uint32_t bytes = mr_family_delta_bytes(is, a.instance->config);
        const mr_delta_set *all = &of[WORKERS].sets[f];
        static uint64_t sum[1024];
        for (uint32_t i = 0; i < all->count; i++) {
            const float *one = mr_delta_set_payload(all, i), *parted = (const float *)(void *)sum;
            memset(sum, 0, sizeof sum);
            assert_true(bytes <= sizeof sum);
            for (uint32_t w = 0; w < WORKERS; w++)
                mr_family_combine(is, a.instance->config, sum,
                                  mr_deltas_at(&of[w], f, all->slots[i]));
            for (uint32_t k = family == 0 ? 3 : 0; k < bytes / 4; k++, compared++)
                assert_near((double)parted[k], (double)one[k], 1e-6 * (1 + fabs((double)one[k])));
        }
    }
    assert_true(compared > 24 * 2 * DIM + MR_ENCODER_MAPS * MAP);
    for (uint32_t w = 0; w <= WORKERS; w++)
        free(memory[w]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_choice),
        cmocka_unit_test(what_is_added_up_is_the_gradient_of_the_likelihood),
        cmocka_unit_test(scores_far_away_stay_probabilities),
        cmocka_unit_test(the_worked_step),
        cmocka_unit_test(a_prior_that_moves_takes_along_what_is_not_known),
        cmocka_unit_test(many_choices_at_once_do_not_overshoot),
        cmocka_unit_test(the_worked_group),
        cmocka_unit_test(a_group_of_one_is_a_flat_prior),
        cmocka_unit_test(the_linear_state_is_a_running_mean),
        cmocka_unit_test(the_encoders_gradient_is_that_of_its_output),
        cmocka_unit_test(a_slate_waits_for_its_click),
        cmocka_unit_test(one_click_teaches_what_the_page_says),
        cmocka_unit_test(the_next_impression_says_that_nothing_was_taken),
        cmocka_unit_test(without_a_click_the_user_stays_where_he_was),
        cmocka_unit_test(a_second_click_is_a_choice_among_the_rest),
        cmocka_unit_test(scores_order_items_as_the_world_does),
        cmocka_unit_test(a_new_item_begins_as_its_group_does),
        cmocka_unit_test(deltas_of_several_workers_add_up_to_those_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
