// SPDX-License-Identifier: Apache-2.0
// complement: a step against the page's loss in double, a catalogue with planted complements, and
// gradients that several workers send.
#include "tests/unit/core/asked.h"

enum { DIM = 32, GROUP = 12, CLASS = 3, USERS = 240, TOGETHER = 4, ORDERS = 24 };

static const char *const alone[] = {"complement"};
static const int64_t begin_ms = 1700000000000;
static const double day_ms = 86400000.0;

static void buy(made_event *event, uint32_t user, uint32_t item, const char *order, int64_t time_ms)
{
    mill_act(event, MR_EVENT_PURCHASE, user, item, time_ms);
    if (order == NULL)
        return;
    event->arrival.event.order = mr_bytes_text(order);
    event->arrival.event.present |= 1u << MR_FIELD_order;
}

static void bought(mill *m, uint32_t user, uint32_t item, const char *order, int64_t time_ms)
{
    made_event event;
    buy(&event, user, item, order, time_ms);
    asked_round(m, &event, 1);
}

typedef struct kept_by { // a user's part
    uint8_t bytes[8 + 8 * 24];
} kept_by;

enum { IN, OUT }; // families, in their order

// The vector of an item, and what AdaGrad has behind it.
static const float *row_of(mill *m, uint32_t family, uint32_t item)
{
    const asked_model a = asked(m, "complement");
    return mr_items_row(a.view.items, a.instance->family_first + family, asked_item(m, item));
}

static void copy(mill *m, uint32_t family, uint32_t item, double to[DIM])
{
    const float *row = row_of(m, family, item);
    for (int d = 0; d < DIM; d++)
        to[d] = (double)row[d];
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (int d = 0; d < DIM; d++)
        sum += a[d] * b[d];
    return sum;
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

// ---- one step

enum { FROM, TO, NEGATIVES, ITEMS = 6, DRAWS = 24 };

// L of the pair (0, 1) or (1, 0) with items 2 .. as equal shares of NEGATIVES negatives.
static double loss_of(double in[ITEMS][DIM], double out[ITEMS][DIM], uint32_t from, uint32_t to,
                      const double counts[ITEMS])
{
    double sum = softplus(log(DRAWS) - dot(in[from], out[to]));
    for (uint32_t i = NEGATIVES; i < ITEMS; i++)
        sum += counts[i] * softplus(dot(in[from], out[i]) - log(DRAWS));
    return sum;
}

// The gradient that a row got in the one step of AdaGrad that it took.
static void assert_step(mill *m, uint32_t family, uint32_t item, const double before[DIM],
                        const double gradient[DIM])
{
    const float *row = row_of(m, family, item);
    const double squares = dot(gradient, gradient) / DIM;
    assert_true(fabs((double)row[DIM] - squares) < 2e-5 * squares);
    assert_true(row[DIM + 1] == 1);
    for (int d = 0; d < DIM; d++) {
        const double want = before[d] - 0.12 * gradient[d] / sqrt(squares);
        if (fabs((double)row[d] - want) > 2e-5)
            fail_msg("%u %u [%d]: %.9g, want %.9g", family, item, d, (double)row[d], want);
    }
}

// Uniform negatives of which each is drawn `counts` times in the one epoch that teaches: known from
// what the output rows of negatives got, whose gradients are sigma(a.o) a for each of their draws
// and each of the two directions.
static void one_order_takes_the_step_of_the_losss_gradient(void **state)
{
    (void)state;
    static mill m;
    static const mr_setting settings[] = {{"complement", "dim", DIM},
                                          {"complement", "power", 0},
                                          {"complement", "init", 1},
                                          {"complement", "frequent", 0},
                                          {"complement", "negatives", DRAWS}};
    asked_open(&m, alone, 1, settings, 5);
    double in[ITEMS][DIM], out[ITEMS][DIM], counts[ITEMS] = {0};
    for (uint32_t item = 0; item < ITEMS; item++) // in different weeks: no pairs
        for (uint32_t i = 0; i < 4; i++)
            asked_act(&m, 100 + item, item, begin_ms - 1000);
    bought(&m, 1, FROM, "o", begin_ms);
    for (uint32_t item = 0; item < ITEMS; item++) {
        copy(&m, IN, item, in[item]);
        copy(&m, OUT, item, out[item]);
    }
    bought(&m, 1, TO, "o", begin_ms + (int64_t)(40 * day_ms));
    // The weight of a purchase, from an output row whose gradient is -w sigma(-a.o) a: the only one
    // of TO.
    const double weight = sqrt((double)row_of(&m, OUT, TO)[DIM] * DIM / dot(in[FROM], in[FROM])) *
                          (1 + exp(dot(in[FROM], out[TO])) / DRAWS);
    assert_true(fabs(weight - 3) < 1e-4);
    for (uint32_t i = NEGATIVES; i < ITEMS; i++) {
        const double p = 1 / (1 + DRAWS * exp(-dot(in[FROM], out[i])));
        const double q = 1 / (1 + DRAWS * exp(-dot(in[TO], out[i])));
        const float *row = row_of(&m, OUT, i);
        const double each =
            weight * weight * (p * p * dot(in[FROM], in[FROM]) + q * q * dot(in[TO], in[TO])) / DIM;
        const double draws = round((double)row[DIM + 1] / 2);
        if (draws > 0) { // about 1 each: all that can be drawn have about as many acts
            counts[i] = sqrt((double)row[DIM] / (draws * each));
            assert_true(fabs(counts[i] - 1) < 0.1);
            counts[i] *= draws;
        }
    }
    for (uint32_t direction = 0; direction < 2; direction++) {
        const uint32_t from = direction == 0 ? FROM : TO, to = 1 - from;
        double by_in[DIM], by_out[DIM];
        for (int d = 0; d < DIM; d++) { // central differences
            const double h = 1e-5, a = in[from][d], o = out[to][d];
            in[from][d] = a + h;
            by_in[d] = loss_of(in, out, from, to, counts);
            in[from][d] = a - h;
            by_in[d] = weight * (by_in[d] - loss_of(in, out, from, to, counts)) / (2 * h);
            in[from][d] = a;
            out[to][d] = o + h;
            by_out[d] = loss_of(in, out, from, to, counts);
            out[to][d] = o - h;
            by_out[d] = weight * (by_out[d] - loss_of(in, out, from, to, counts)) / (2 * h);
            out[to][d] = o;
        }
        assert_step(&m, IN, from, in[from], by_in);
        assert_step(&m, OUT, to, out[to], by_out);
    }
    mill_close(&m);
}

// ---- planted complements

// Items 0 .. GROUP - 1 are printers, GROUP .. 2 GROUP - 1 cartridges, CLASS of each of a make: what
// is bought with a printer is any cartridge of its make, and the other way.
static uint32_t partner(uint32_t item, uint32_t which)
{
    const uint32_t first = item % GROUP / CLASS * CLASS;
    return (item < GROUP ? GROUP : 0) + first + which;
}

static void learn_planted(mill *m, const mr_setting *settings, uint32_t count, bool ordered)
{
    static char orders[ORDERS][24];
    asked_open(m, alone, 1, settings, count);
    for (uint32_t o = 0; o < ORDERS; o++)
        for (uint32_t first = 0; first < USERS; first += TOGETHER) {
            made_event events[2 * TOGETHER];
            for (uint32_t u = 0; u < TOGETHER; u++) {
                const uint32_t user = first + u;
                mr_rng rng = mr_rng_make(5, o, 0, user, MR_PURPOSE_SIM);
                const uint32_t item = mr_rng_below(&rng, 2 * GROUP);
                const int64_t time_ms = begin_ms + (int64_t)(o * 20 * day_ms) + user * 1000;
                const uint32_t with = partner(item, mr_rng_below(&rng, CLASS));
                snprintf(orders[o], sizeof orders[o], "order%u", o);
                for (uint32_t e = 0; e < 2; e++)
                    buy(&events[2 * u + e], user, e == 0 ? item : with, ordered ? orders[o] : NULL,
                        time_ms + e);
            }
            asked_round(m, events, 2 * TOGETHER);
        }
}

// Of an item's scores in a column with all others the first one, by the model's own vectors.
static uint32_t best(mill *m, uint32_t item, uint32_t side)
{
    double a[DIM], b[DIM], most = -1e9;
    uint32_t found = 0;
    copy(m, IN, item, a);
    for (uint32_t i = 0; i < 2 * GROUP; i++) {
        copy(m, side, i, b);
        if (i != item && dot(a, b) > most) {
            most = dot(a, b);
            found = i;
        }
    }
    return found;
}

static const mr_setting planted[] = {
    {"complement", "dim", DIM}, {"complement", "frequent", 0}, {"complement", "window_days", 3}};

static void in_out_finds_the_complement_and_in_in_the_like(void **state)
{
    (void)state;
    for (uint32_t ordered = 0; ordered < 2; ordered++) {
        static mill m;
        learn_planted(&m, planted, 3, ordered == 1);
        for (uint32_t item = 0; item < 2 * GROUP; item++) {
            assert_int_equal(best(&m, item, OUT) / CLASS, partner(item, 0) / CLASS);
            assert_int_equal(best(&m, item, IN) / CLASS, item / CLASS);
        }
        mill_close(&m);
    }
}

static void a_user_is_offered_what_goes_with_what_he_bought(void **state)
{
    (void)state;
    static mill m;
    float scores[2 * GROUP];
    learn_planted(&m, planted, 3, true);
    bought(&m, 9000, 4, NULL, begin_ms + (int64_t)(500 * day_ms));
    asked_scores(&m, "complement", 0, 9000, 2 * GROUP, scores);
    double a[DIM], o[DIM];
    copy(&m, IN, 4, a);
    for (uint32_t i = 0; i < 2 * GROUP; i++) {
        copy(&m, OUT, i, o);
        assert_true(fabs((double)scores[i] - dot(a, o)) < 1e-5);
    }
    asked_model model = asked(&m, "complement");
    const uint32_t user = asked_user(&m, 9000);
    const mr_filter filter = mr_filter_make(model.view.items, NULL, 0);
    static mr_found found;
    for (uint32_t column = 0; column < 2; column++) {
        found.max = 10;
        model.model->candidates(model.instance, &model.view, &user, 1, column, &filter,
                                &model.arena, &found);
        asked_scores(&m, "complement", column, 9000, 2 * GROUP, scores);
        assert_int_equal(found.count, 10);
        uint32_t at = 0;
        for (uint32_t i = 1; i < 2 * GROUP; i++)
            at = scores[i] > scores[at] ? i : at;
        assert_int_equal(found.slots[0], asked_item(&m, at));
        assert_true(found.scores[0] == scores[at]);
        assert_int_equal(at / CLASS, (column == 0 ? partner(4, 0) : 4u) / CLASS);
    }
    // A click counts behind what was bought, although it is newer.
    asked_act(&m, 9000, 11, begin_ms + (int64_t)(501 * day_ms));
    double b[DIM];
    copy(&m, IN, 11, b);
    asked_scores(&m, "complement", 0, 9000, 2 * GROUP, scores);
    for (uint32_t i = 0; i < 2 * GROUP; i++) {
        copy(&m, OUT, i, o);
        assert_true(fabs((double)scores[i] - (dot(a, o) + 0.85 * dot(b, o)) / 1.85) < 1e-5);
    }
    mill_close(&m);
}

// ---- what makes a pair

static bool has_learned(mill *m, uint32_t item)
{
    return row_of(m, IN, item)[DIM + 1] > 0;
}

static void clicks_refunds_and_other_weeks_make_no_pairs(void **state)
{
    (void)state;
    static mill m;
    made_event event;
    asked_open(&m, alone, 1, planted, 3);
    asked_act(&m, 1, 0, begin_ms);
    asked_act(&m, 1, 1, begin_ms + 1);
    bought(&m, 1, 2, NULL, begin_ms + 2);
    bought(&m, 1, 3, NULL, begin_ms + 2 + (int64_t)(4 * day_ms));
    for (uint32_t item = 0; item < 4; item++)
        assert_false(has_learned(&m, item));
    buy(&event, 1, 3, NULL, begin_ms + 3 + (int64_t)(4 * day_ms));
    event.arrival.event.quantity = -1;
    event.arrival.event.present |= 1u << MR_FIELD_quantity;
    asked_round(&m, &event, 1);
    bought(&m, 1, 4, NULL, begin_ms + 4 + (int64_t)(4 * day_ms));
    assert_false(has_learned(&m, 4));
    bought(&m, 1, 5, NULL, begin_ms + 5 + (int64_t)(4 * day_ms));
    assert_true(has_learned(&m, 4) && has_learned(&m, 5) && !has_learned(&m, 3));
    const float was = row_of(&m, IN, 5)[DIM + 1];
    bought(&m, 1, 5, NULL, begin_ms + 6 + (int64_t)(4 * day_ms)); // again: no pair with 4
    assert_true(row_of(&m, IN, 5)[DIM + 1] == was);
    mill_close(&m);

    static const mr_setting all[] = {
        {"complement", "dim", DIM}, {"complement", "frequent", 0}, {"complement", "acts", 1}};
    asked_open(&m, alone, 1, all, 3);
    asked_act(&m, 1, 0, begin_ms);
    asked_act(&m, 1, 1, begin_ms + 1);
    assert_true(has_learned(&m, 0) && has_learned(&m, 1));
    mill_close(&m);
}

// ---- several workers

enum { BUYERS = 30, WORKERS = 3 };

// What one worker's gradients of a wave come to is the sum of three workers' who share its users.
static void gradients_of_several_workers_add_up_to_those_of_one(void **state)
{
    (void)state;
    static mill m;
    mr_deltas of[WORKERS + 1];
    void *memory[WORKERS + 1];
    mr_signal signals[BUYERS];
    kept_by before[BUYERS];
    learn_planted(&m, planted, 3, false);
    for (uint32_t u = 0; u < BUYERS; u++)
        bought(&m, u, u % 24, NULL, begin_ms + (int64_t)(900 * day_ms) + u);
    asked_model a = asked(&m, "complement");
    for (uint32_t w = 0; w <= WORKERS; w++)
        memory[w] = asked_deltas(m.engine, &of[w]);
    for (uint32_t u = 0; u < BUYERS; u++) {
        const uint32_t item = asked_item(&m, (u * 5 + 3) % 24);
        signals[u] = (mr_signal){.kind = MR_SIGNAL_ACT,
                                 .act = MR_EVENT_PURCHASE,
                                 .user = asked_user(&m, u),
                                 .item = item,
                                 .item_key = a.view.items->slots.keys[item],
                                 .time_ms = begin_ms + (int64_t)(901 * day_ms),
                                 .weight = 3,
                                 .index = u};
        memcpy(&before[u], mr_user_part(a.instance, mr_view_user(&a.view, signals[u].user)),
               sizeof before[u]);
    }
    a.model->state.observe(a.instance, &a.view, signals, BUYERS, &of[WORKERS], &a.arena);
    for (uint32_t u = 0; u < BUYERS; u++)
        memcpy(mr_user_part(a.instance, mr_view_user(&a.view, signals[u].user)), &before[u],
               sizeof before[u]);
    for (uint32_t w = 0; w < WORKERS; w++)
        a.model->state.observe(a.instance, &a.view, signals + w * (BUYERS / WORKERS),
                               BUYERS / WORKERS, &of[w], &a.arena);
    uint32_t touched = 0;
    for (uint32_t side = IN; side <= OUT; side++)
        for (uint32_t item = 0; item < 24; item++) {
            float sum[DIM + 2] = {0};
            const uint32_t f = a.instance->family_first + side, slot = asked_item(&m, item);
            const float *one = mr_deltas_at(&of[WORKERS], f, slot);
            for (uint32_t w = 0; w < WORKERS; w++)
                mr_family_combine(&a.model->state.families[side], a.instance->config, sum,
                                  mr_deltas_at(&of[w], f, slot));
            assert_true(one[DIM + 1] == sum[DIM + 1]);
            touched += one[DIM + 1] > 0;
            for (int d = 0; d <= DIM; d++)
                if (fabs((double)(one[d] - sum[d])) > 1e-6 * (1 + fabs((double)one[d])))
                    fail_msg("%u %u [%d]: %.9g and %.9g", side, item, d, (double)one[d],
                             (double)sum[d]);
        }
    assert_true(touched > 40);
    for (uint32_t w = 0; w <= WORKERS; w++)
        free(memory[w]);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_order_takes_the_step_of_the_losss_gradient),
        cmocka_unit_test(in_out_finds_the_complement_and_in_in_the_like),
        cmocka_unit_test(a_user_is_offered_what_goes_with_what_he_bought),
        cmocka_unit_test(clicks_refunds_and_other_weeks_make_no_pairs),
        cmocka_unit_test(gradients_of_several_workers_add_up_to_those_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
