// SPDX-License-Identifier: Apache-2.0
// attribution: which showing an act answers, which clicks a purchase speaks for, and how likely a
// click on an item leads to a purchase. Off unless `touches` is set.
//
// A user's row keeps his newest touches: items that were shown to him and that he clicked or put
// into a cart, half of the places for either. They answer three questions.
//
// An act answers the newest list that showed its item in the last shown_s (a purchase: view_days),
// or the list that the event names. It takes propensity and place from there where it brings none
// (`join`); an act that answers no list is organic, and no reward of a bandit.
//
// A purchase speaks for the touches on its item: clicks of the last click_days, or where there are
// none showings of the last view_days. They share one credit by the rule `credit`; of more than
// four the first and the newest three. A purchase of b also speaks for clicks on a of a related
// category (click A, buy B): three of them at most share
//     max_a w(a, b), in proportion to w(a, b) 2^(-age / credit_half_life_s),
//     w(a, b) = alike(a, b) / max over c of alike(a, c), w(a, a) = 1, below WEAK nothing
// with likeness from how often users act in both categories within a day (credit.h). A purchase
// whose order the user's row knows is one that was told again: nothing is credited. A line with a
// quantity below 0 is a refund: the credit of the newest such line of his is taken back to the
// last unit.
//
// The column is the rate at which clicks on an item turn into purchases, shrunk to that of all
// items, with what has not been reported yet left out (mr_credit_rate): how long that takes is
// learned from what was credited (delay.h). `related` is what a credit of the second kind is worth.
// A click, and what is credited to it, fades by the click's age.
//
// Counts are integers of decay.h: the same bytes in any grouping, on any number of workers. Epochs
// are in order of event time; what comes after its epoch stands among the touches at its own time,
// but purchases that were credited stay as they are. An item that has expired gets no credit.
// Source: Chapelle, "Modeling Delayed Feedback in Display Advertising" (as a correction of counts,
// with the delays of all items together); "Click A, Buy B: Rethinking Conversion Attribution in
// E-Commerce Recommendations" (the labels; counts instead of learned heads).
#include "core/deltas.h"
#include "core/model/credit.h"
#include "core/model/delay.h"
#include "core/model/journey.h"
#include "core/model/neighbours.h"
#include "core/model/top.h"

enum {
    NEAR = 3,   // clicks whose categories an act is paired with
    BEST = 200, // items that the column proposes from
    DOUBT = 10,
};
#define WEAK 0.05

_Static_assert(MR_JOURNEY_LINES_MAX *MR_JOURNEY_RELATED <= MR_RECENT_MAX,
               "other rows than its own items' that an event changes: mr_engine_delta_rows");

static const int64_t day_ms = 86400000;
static const uint32_t day_s = 86400;

typedef struct config {
    double touches, purchases, shown_s, click_days, view_days, credit, credit_half_life_s, delay_s,
        half_life_days, prior_weight, related, categories;
} config;

static const mr_param params[] = {
    {"touches", "",
     "clicks and shown items that are kept of a user, 24 bytes each, half of the places for "
     "either; 0: off",
     offsetof(config, touches), 0, 0, 128},
    {"purchases", "", "lines of a user's purchases that can be refunded, 112 bytes each",
     offsetof(config, purchases), 4, 1, MR_JOURNEY_LINES_MAX},
    {"shown_s", "s", "an act answers a list that showed its item so long ago at most",
     offsetof(config, shown_s), 1800, 1, 1e7},
    {"click_days", "days", "a purchase speaks for clicks so long ago at most",
     offsetof(config, click_days), 7, 0.01, 365},
    {"view_days", "days", "and without a click for showings so long ago at most",
     offsetof(config, view_days), 1, 0, 365},
    {"credit", MR_CREDIT_WORDS, "how the touches on an item share its purchase",
     offsetof(config, credit), MR_CREDIT_LAST, 0, MR_CREDIT_ENDS},
    {"credit_half_life_s", "s",
     "rule decay, and clicks on related items: the age at which a touch gets half",
     offsetof(config, credit_half_life_s), 86400, 1, 1e9},
    {"delay_s", "s",
     "a guess of how long after its click a purchase comes on average, until it is learned",
     offsetof(config, delay_s), 86400, 1, 1e8},
    {"half_life_days", "days", "after which a click counts half", offsetof(config, half_life_days),
     30, 0.1, 10000},
    {"prior_weight", "clicks", "what the rate of all items is worth for one",
     offsetof(config, prior_weight), 20, 0.01, 1e6},
    {"related", "", "worth of a purchase of a related item, 1: as of the item itself; 0: nothing",
     offsetof(config, related), 0.3, 0, 1},
    {"categories", "",
     "rows of related categories, 1 KiB each; two categories of one row share their relations",
     offsetof(config, categories), 1024, 1, 1048576},
    {0},
};

// ---- rows

typedef enum field {
    FIELD_CLICKS,
    FIELD_BOUGHT,
    FIELD_RELATED,
    FIELD_PENDING, // the first of MR_DELAY_PARTS
    FIELDS = FIELD_PENDING + MR_DELAY_PARTS,
} field;

typedef struct rates { // of an item
    mr_decayed of[FIELDS];
} rates;

typedef enum number {
    COUNT_ANSWERS,    // acts that answer a list
    COUNT_ORGANIC,    // acts that answer none
    COUNT_PURCHASES,  // lines
    COUNT_ATTRIBUTED, // of them: with a touch on the item
    COUNT_BY_VIEW,    // of these: showings alone
    COUNT_CREDIT,     // units that they gave
    COUNT_RELATED,    // units that clicks on related items got
    COUNT_REPEATED,   // lines of orders that were known
    COUNT_REFUNDS,    // lines that were taken back
    COUNT_UNKNOWN,    // refunds of lines that are not known
    COUNTS,
} number;

typedef struct totals { // of all items
    rates rates;
    int64_t counts[COUNTS];
} totals;

typedef struct cache {
    double parts[MR_DELAY_PARTS]; // weights of the delays
    mr_top top;                   // by credited purchases
} cache;

enum { FAMILY_RATES, FAMILY_TOTALS, FAMILY_CATEGORIES, FAMILY_DELAYS, FAMILY_JOURNEY };

static mr_journey_room room_of(const config *c)
{
    return (mr_journey_room){(uint32_t)c->touches, (uint32_t)c->purchases};
}

static uint32_t journey_bytes(const void *c)
{
    return mr_journey_bytes(room_of(c));
}

static uint32_t journey_used(const void *c, const void *row)
{
    (void)c;
    return mr_journey_used(row);
}

static uint32_t rates_used(const void *c, const void *row)
{
    static const rates none;
    (void)c;
    return memcmp(row, &none, sizeof none) == 0 ? 0 : sizeof(rates);
}

static uint32_t categories_max(const void *c)
{
    const config *of = c;
    return of->related > 0 ? (uint32_t)of->categories : 1;
}

static void combine_totals(const void *c, void *into, const void *from)
{
    (void)c;
    totals *sum = into;
    const totals *more = from;
    for (uint32_t f = 0; f < FIELDS; f++)
        mr_decayed_add(&sum->rates.of[f], more->rates.of[f]);
    for (uint32_t i = 0; i < COUNTS; i++)
        sum->counts[i] += more->counts[i];
}

static const mr_family families[] = {
    [FAMILY_RATES] = {.name = "rates",
                      .key = MR_KEY_ITEM,
                      .delta = MR_DELTA_CELLS,
                      .version = 2,
                      .row_size = sizeof(rates),
                      .used = rates_used},
    [FAMILY_TOTALS] = {.name = "totals",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 2,
                       .row_size = sizeof(totals),
                       .delta_size = sizeof(totals),
                       .combine = combine_totals},
    [FAMILY_CATEGORIES] = {.name = "categories",
                           .key = MR_KEY_NAMED,
                           .delta = MR_DELTA_CELLS,
                           .version = 1,
                           .row_bytes = mr_neighbours_bytes,
                           .used = mr_neighbours_used,
                           .rows_max = categories_max},
    [FAMILY_DELAYS] = {.name = "delays",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_CELLS,
                       .version = 1,
                       .row_size = sizeof(mr_delays)},
    [FAMILY_JOURNEY] = {.name = "journey",
                        .key = MR_KEY_USER,
                        .version = 1,
                        .row_bytes = journey_bytes,
                        .used = journey_used},
};

static mr_journey *journey_of(const mr_instance *self, const mr_view *view, uint32_t user)
{
    return mr_user_part(self, mr_view_user(view, user));
}

static uint32_t second_of(int64_t time_ms)
{
    return (uint32_t)(time_ms / 1000);
}

static void join(const mr_instance *self, const mr_view *view, mr_signal *signal)
{
    const config *c = self->config;
    if (signal->kind != MR_SIGNAL_ACT)
        return;
    const mr_touch *shown =
        mr_journey_shown(journey_of(self, view, signal->user), signal->item_key, signal->list,
                         second_of(signal->time_ms),
                         signal->act == MR_EVENT_PURCHASE ? c->view_days * day_s : c->shown_s);
    if (shown == NULL) {
        signal->organic = !signal->answers;
        return;
    }
    signal->answers = true;
    if (!(signal->propensity == signal->propensity))
        signal->propensity = shown->propensity;
    if (signal->position < 0 && shown->position != UINT8_MAX)
        signal->position = shown->position;
}

// ---- learning

typedef struct learner { // of one signal
    const mr_instance *self;
    const config *c;
    const mr_view *view;
    mr_deltas *deltas;
    const mr_signal *signal;
    mr_journey *journey;
    uint32_t now_s; // when it happened
    totals *totals;
} learner;

static int64_t half_life_ms(const config *c, field f)
{
    const int64_t half_life = (int64_t)(c->half_life_days * (double)day_ms);
    return f < FIELD_PENDING
               ? half_life
               : mr_credit_pending_half_life(half_life, mr_delay_parts_s[f - FIELD_PENDING] * 1000);
}

// Adds units (of 2^-16) to a count of an item and of all of them, as of the second of its touch.
// item MR_MAP_NONE: it has expired, nothing is added.
static void add_units(const learner *l, field f, uint32_t item, uint32_t time_s, int64_t units)
{
    const int64_t half_life = half_life_ms(l->c, f), time_ms = (int64_t)time_s * 1000;
    const int64_t size = units < 0 ? -units : units;
    const int64_t value =
        mr_decay_units(time_ms, half_life, (double)size / MR_CREDIT_ONE) * (units < 0 ? -1 : 1);
    const int64_t era = mr_decay_era(time_ms, half_life);
    if (item == MR_MAP_NONE)
        return;
    mr_deltas_cell(l->deltas, l->self->family_first + FAMILY_RATES, item, (mr_cell){f, value, era});
    mr_decayed_add(&l->totals->rates.of[f], (mr_decayed){.newest = value, .era = era});
}

static const mr_named *categories_of(const mr_instance *self, const mr_view *view)
{
    return &view->named[self->family_first + FAMILY_CATEGORIES];
}

static uint32_t row_of(const learner *l, uint64_t category)
{
    return mr_slots_find(&categories_of(l->self, l->view)->slots, category % categories_max(l->c));
}

static uint64_t category_of(const learner *l, uint32_t item)
{
    return mr_items_at(l->view->items, item)->categories[0];
}

// An act in one category by somebody who has just clicked in another.
static void pair_categories(const learner *l)
{
    const uint64_t here = category_of(l, l->signal->item);
    const mr_touch *touches = mr_journey_touches(l->journey);
    const int64_t half_life = half_life_ms(l->c, FIELD_RELATED);
    const mr_decay_weight now = mr_decay_weight_of(l->signal->time_ms, half_life);
    const int64_t one = mr_decay_units_of(now, 1.0);
    uint32_t pairs = 0;
    for (uint32_t i = l->journey->touch_count; here != 0 && i-- > 0 && pairs < NEAR;) {
        const mr_touch *t = &touches[i];
        const uint32_t item = mr_items_find(l->view->items, t->item);
        if (t->kind != MR_TOUCH_CLICK || t->item == l->signal->item_key || item == MR_MAP_NONE ||
            !mr_touch_within(t, l->now_s, day_s))
            continue;
        const uint64_t there = category_of(l, item);
        if (there == 0)
            continue;
        const uint32_t f = l->self->family_first + FAMILY_CATEGORIES;
        mr_deltas_cell(l->deltas, f, row_of(l, here), (mr_cell){there, one, now.era});
        mr_deltas_cell(l->deltas, f, row_of(l, there), (mr_cell){here, one, now.era});
        pairs++;
    }
}

static void see_shown(const learner *l)
{
    const mr_signal *s = l->signal;
    const bool placed = s->position >= 0 && s->position < UINT8_MAX;
    mr_journey_touch(room_of(l->c), l->journey,
                     (mr_touch){.item = s->item_key,
                                .list = (uint32_t)s->list,
                                .time_s = l->now_s,
                                .propensity = s->propensity,
                                .kind = MR_TOUCH_SHOWN,
                                .position = placed ? (uint8_t)s->position : UINT8_MAX});
}

static void see_click(const learner *l)
{
    const mr_signal *s = l->signal;
    mr_journey_touch(room_of(l->c), l->journey,
                     (mr_touch){.item = s->item_key,
                                .list = (uint32_t)s->list,
                                .time_s = l->now_s,
                                .kind = MR_TOUCH_CLICK,
                                .position = UINT8_MAX});
    add_units(l, FIELD_CLICKS, s->item, l->now_s, MR_CREDIT_ONE);
    for (uint32_t p = 0; p < MR_DELAY_PARTS; p++)
        add_units(l, FIELD_PENDING + p, s->item, l->now_s, MR_CREDIT_ONE);
}

// ---- a purchase

static void share_own(const learner *l, mr_line_credit *of)
{
    double ages_s[MR_JOURNEY_OWN];
    uint32_t units[MR_JOURNEY_OWN];
    uint32_t count = mr_journey_own(l->journey, MR_TOUCH_CLICK, of->item, l->now_s,
                                    l->c->click_days * day_s, of->own);
    of->by_view = count == 0;
    if (of->by_view)
        count = mr_journey_own(l->journey, MR_TOUCH_SHOWN, of->item, l->now_s,
                               l->c->view_days * day_s, of->own);
    of->own_count = (uint8_t)count;
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        ages_s[i] = l->now_s - of->own[i].time_s;
    mr_credit_split((mr_credit_rule)l->c->credit, ages_s, count, l->c->credit_half_life_s, units);
    for (uint32_t i = 0; i < count; i++)
        of->own[i].units = units[i];
}

// How often users act in a category's pairs, in acts as of now.
static double faded(const mr_neighbours *row, int64_t units, mr_decay_time now)
{
    const mr_decayed count = {.newest = units, .era = row->era};
    return mr_decayed_at(&count, now);
}

// w(a, b): how much a click in category a has to do with a purchase in b.
static double relation(const learner *l, uint64_t a, uint64_t b)
{
    const mr_named *rows = categories_of(l->self, l->view);
    const mr_neighbours *of = mr_part_row(&rows->part, row_of(l, a));
    const mr_decay_time now =
        mr_decay_time_of(l->view->clock_ms, half_life_ms(l->c, FIELD_RELATED));
    double here = 0, most = 0;
    if (a == b)
        return 1;
    for (uint32_t i = 0; i < of->count; i++) {
        const mr_neighbours *other = mr_part_row(&rows->part, row_of(l, of->cells[i].key));
        const double alike =
            mr_credit_alike(faded(of, of->cells[i].count, now), faded(of, of->total, now),
                            faded(other, other->total, now), DOUBT);
        most = alike > most ? alike : most;
        here = of->cells[i].key == b ? alike : here;
    }
    return here > 0 ? here / most : 0;
}

typedef struct candidate {
    const mr_touch *touch;
    double relation, weight;
} candidate;

// Keeps the heaviest, newer ones first; a candidate that finds no place is dropped.
static uint32_t insert_candidate(candidate best[MR_JOURNEY_RELATED], uint32_t count, candidate next)
{
    uint32_t at = count < MR_JOURNEY_RELATED ? count++ : MR_JOURNEY_RELATED;
    if (at == MR_JOURNEY_RELATED) {
        if (next.weight <= best[MR_JOURNEY_RELATED - 1].weight)
            return count;
        at--;
    }
    for (; at > 0 && best[at - 1].weight < next.weight; at--)
        best[at] = best[at - 1];
    best[at] = next;
    return count;
}

// Looks at the newest MR_RECENT_MAX clicks, newest first.
static uint32_t related_clicks(const learner *l, uint64_t category,
                               candidate best[MR_JOURNEY_RELATED])
{
    const mr_touch *touches = mr_journey_touches(l->journey);
    uint64_t last = 0;
    double of_last = 0;
    uint32_t count = 0, looked = 0;
    for (uint32_t i = l->journey->touch_count; i-- > 0 && looked < MR_RECENT_MAX;) {
        const mr_touch *t = &touches[i];
        if (t->kind != MR_TOUCH_CLICK)
            continue;
        looked++;
        const uint32_t item = mr_items_find(l->view->items, t->item);
        if (t->item == l->signal->item_key || item == MR_MAP_NONE ||
            !mr_touch_within(t, l->now_s, l->c->click_days * day_s))
            continue;
        const uint64_t there = category_of(l, item);
        if (there == 0)
            continue;
        if (there != last)
            of_last = relation(l, there, category);
        last = there;
        const double age_s = l->now_s - t->time_s;
        if (of_last >= WEAK)
            count = insert_candidate(
                best, count,
                (candidate){t, of_last, of_last * mr_exp2(-age_s / l->c->credit_half_life_s)});
    }
    return count;
}

static void share_related(const learner *l, mr_line_credit *of)
{
    const uint64_t category = category_of(l, l->signal->item);
    candidate best[MR_JOURNEY_RELATED];
    double weights[MR_JOURNEY_RELATED], most = 0;
    uint32_t units[MR_JOURNEY_RELATED];
    if (!(l->c->related > 0) || category == 0)
        return;
    const uint32_t count = related_clicks(l, category, best);
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = best[i].weight;
        most = best[i].relation > most ? best[i].relation : most;
    }
    mr_credit_share(weights, count, (uint32_t)(most * MR_CREDIT_ONE), units);
    of->related_count = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        of->related[i].item = best[i].touch->item;
        of->related[i].of = (mr_share){best[i].touch->time_s, units[i]};
    }
}

static void count_delay(const learner *l, uint32_t click_s, uint32_t bought_s, int64_t units)
{
    const uint32_t f = l->self->family_first + FAMILY_DELAYS;
    const uint64_t cell =
        (uint64_t)(click_s / day_s) * MR_DELAY_BINS + mr_delay_bin((double)bought_s - click_s);
    mr_deltas_cell(l->deltas, f, mr_slots_find(&l->view->named[f].slots, 0),
                   (mr_cell){cell, units, 0});
}

// Gives a line's credit, or takes it back.
static void credit(const learner *l, const mr_line_credit *of, int sign)
{
    int64_t *counts = l->totals->counts;
    for (uint32_t i = 0; i < of->own_count; i++) {
        const int64_t units = sign * (int64_t)of->own[i].units;
        counts[COUNT_CREDIT] += units;
        if (of->by_view || units == 0)
            continue;
        add_units(l, FIELD_BOUGHT, l->signal->item, of->own[i].time_s, units);
        count_delay(l, of->own[i].time_s, of->time_s, units);
    }
    for (uint32_t i = 0; i < of->related_count; i++) {
        const int64_t units = sign * (int64_t)of->related[i].of.units;
        counts[COUNT_RELATED] += units;
        add_units(l, FIELD_RELATED, mr_items_find(l->view->items, of->related[i].item),
                  of->related[i].of.time_s, units);
    }
    counts[COUNT_PURCHASES] += sign;
    counts[COUNT_ATTRIBUTED] += of->own_count > 0 ? sign : 0;
    counts[COUNT_BY_VIEW] += of->own_count > 0 && of->by_view ? sign : 0;
}

static void see_purchase(const learner *l)
{
    const mr_signal *s = l->signal;
    const uint64_t identity[2] = {l->view->epoch, s->index};
    mr_line_credit of = {.order = s->order != 0 ? s->order : s->event_hash,
                         .item = s->item_key,
                         .event = mr_hash64(identity, sizeof identity, 0),
                         .time_s = l->now_s};
    if (mr_journey_told(l->journey, of.order, of.item, of.event)) {
        l->totals->counts[COUNT_REPEATED]++;
        return;
    }
    share_own(l, &of);
    share_related(l, &of);
    credit(l, &of, 1);
    mr_journey_buy(room_of(l->c), l->journey, &of);
}

static void see_refund(const learner *l)
{
    mr_line_credit *of = mr_journey_bought(l->journey, l->signal->order, l->signal->item_key);
    if (of == NULL) {
        l->totals->counts[COUNT_UNKNOWN]++;
        return;
    }
    credit(l, of, -1);
    l->totals->counts[COUNT_REFUNDS]++;
    of->refunded = 1;
    of->own_count = of->related_count = 0;
}

static void see(const learner *l)
{
    if (l->signal->kind == MR_SIGNAL_SHOWN) {
        see_shown(l);
        return;
    }
    if (l->signal->kind == MR_SIGNAL_REFUND) {
        see_refund(l);
        return;
    }
    l->totals->counts[l->signal->organic ? COUNT_ORGANIC : COUNT_ANSWERS]++;
    if (l->c->related > 0 && !l->signal->repeat)
        pair_categories(l);
    if (l->signal->act == MR_EVENT_CLICK || l->signal->act == MR_EVENT_CART)
        see_click(l);
    else if (l->signal->act == MR_EVENT_PURCHASE)
        see_purchase(l);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    const uint32_t all = mr_slots_find(&view->named[self->family_first + FAMILY_TOTALS].slots, 0);
    for (uint32_t s = 0; s < signal_count; s++) {
        const learner l = {.self = self,
                           .c = self->config,
                           .view = view,
                           .deltas = deltas,
                           .signal = &signals[s],
                           .journey = journey_of(self, view, signals[s].user),
                           .now_s = second_of(signals[s].time_ms),
                           .totals = mr_deltas_at(deltas, self->family_first + FAMILY_TOTALS, all)};
        if (signals[s].kind != MR_SIGNAL_CONTROL)
            see(&l);
    }
}

static uint32_t cells_of_signal(const void *c)
{
    (void)c;
    return 2 * MR_JOURNEY_OWN + MR_JOURNEY_RELATED + 2 * NEAR;
}

static void apply_categories(mr_neighbours *row, const mr_cell *cells, uint32_t cell_count)
{
    for (uint32_t i = 0; i < cell_count; i++)
        mr_neighbours_shift(row, cells[i].era);
    for (uint32_t i = 0; i < cell_count; i++) {
        const int64_t units = mr_neighbours_units(row, &cells[i]);
        row->total += units;
        if (units > 0)
            mr_neighbours_add(row, cells[i].key, units);
    }
}

static void apply_cells(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                        const mr_cell *cells, uint32_t cell_count, void *row)
{
    (void)self, (void)view, (void)key;
    if (family == FAMILY_CATEGORIES) {
        apply_categories(row, cells, cell_count);
        return;
    }
    if (family == FAMILY_DELAYS) {
        for (uint32_t i = 0; i < cell_count; i++)
            mr_delays_add(row, (int64_t)(cells[i].key / MR_DELAY_BINS),
                          cells[i].key % MR_DELAY_BINS, cells[i].value);
        return;
    }
    for (uint32_t i = 0; i < cell_count; i++)
        if (cells[i].key < FIELDS)
            mr_decayed_add(&((rates *)row)->of[cells[i].key],
                           (mr_decayed){.newest = cells[i].value, .era = cells[i].era});
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine_totals(self->config, row, delta);
}

// ---- derived: how long purchases take, and the items with most credit

static void learn_delay(const mr_instance *self, const mr_view *view)
{
    const config *c = self->config;
    const mr_delays *delays = mr_named_find(&view->named[self->family_first + FAMILY_DELAYS], 0);
    double curve[MR_DELAY_BINS];
    mr_delays_curve(delays, MR_CREDIT_ONE, c->click_days * day_s, c->delay_s, curve);
    mr_delay_fit(curve, ((cache *)self->cache)->parts);
}

static const rates *rates_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first + FAMILY_RATES, slot);
}

static void offer(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    mr_top *top = &((cache *)self->cache)->top;
    const rates *of = rates_of(self, view, slot);
    mr_top_raise(top, view->items, slot,
                 mr_decayed_in(&of->of[FIELD_BOUGHT], top->era) +
                     ((const config *)self->config)->related *
                         mr_decayed_in(&of->of[FIELD_RELATED], top->era));
}

static int64_t era_of(const rates *of)
{
    const int64_t bought = of->of[FIELD_BOUGHT].era, others = of->of[FIELD_RELATED].era;
    return bought > others ? bought : others;
}

static void rebuild_top(const mr_instance *self, const mr_view *view)
{
    int64_t era = 0;
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        if (mr_items_live(view->items, slot) && era_of(rates_of(self, view, slot)) > era)
            era = era_of(rates_of(self, view, slot));
    mr_top_clear(&((cache *)self->cache)->top, era);
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        if (mr_items_live(view->items, slot))
            offer(self, view, slot);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    learn_delay(self, view);
    rebuild_top(self, view);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    mr_top *top = &((cache *)self->cache)->top;
    if (family == FAMILY_DELAYS)
        learn_delay(self, view);
    if (family != FAMILY_RATES)
        return;
    mr_top_withdraw(top, slot); // a refund makes it less
    if (era_of(rates_of(self, view, slot)) > top->era || mr_top_is_short(top, BEST))
        rebuild_top(self, view);
    else
        offer(self, view, slot);
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c, (void)items_max;
    return sizeof(cache);
}

// ---- serving

typedef struct times { // to read counts of each half-life at
    mr_decay_time of[FIELDS];
} times;

static times times_now(const mr_instance *self, const mr_view *view)
{
    times t;
    for (uint32_t f = 0; f < FIELDS; f++)
        t.of[f] = mr_decay_time_of(view->clock_ms, half_life_ms(self->config, (field)f));
    return t;
}

static double rate_of(const mr_instance *self, const rates *of, const times *now, double prior,
                      double weight)
{
    const config *c = self->config;
    const cache *derived = self->cache;
    double x[FIELDS], pending = 0;
    for (uint32_t f = 0; f < FIELDS; f++)
        x[f] = mr_decayed_at(&of->of[f], now->of[f]);
    for (uint32_t p = 0; p < MR_DELAY_PARTS; p++)
        pending += derived->parts[p] * x[FIELD_PENDING + p];
    return mr_credit_rate(x[FIELD_CLICKS], pending, x[FIELD_BOUGHT] + c->related * x[FIELD_RELATED],
                          prior, weight);
}

static const totals *totals_of(const mr_instance *self, const mr_view *view)
{
    return mr_named_find(&view->named[self->family_first + FAMILY_TOTALS], 0);
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)user, (void)stride, (void)arena;
    const config *c = self->config;
    const times now = times_now(self, view);
    const double all = rate_of(self, &totals_of(self, view)->rates, &now, 0, 0);
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] = (float)rate_of(self, rates_of(self, view, slots[i]), &now, all, c->prior_weight);
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    mr_top_propose(&((const cache *)self->cache)->top, BEST, self, view, users, user_count, filters,
                   arena, found);
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    static const char *const names[COUNTS] = {
        "answers", "organic", "purchases", "attributed", "by_view",
        "credit",  "related", "repeated",  "refunds",    "refunds_unknown"};
    const totals *of = totals_of(self, view);
    uint32_t count = 0;
    for (; count < COUNTS && count < max; count++) {
        const bool units = count == COUNT_CREDIT || count == COUNT_RELATED;
        out[count] =
            (mr_measure){names[count], (double)of->counts[count] / (units ? MR_CREDIT_ONE : 1)};
    }
    return count;
}

static bool on(const void *c)
{
    return ((const config *)c)->touches >= 2;
}

static const mr_column columns[] = {{"conversion", MR_SCALE_COUNT}};

const mr_model mr_model_attribution = {
    .state = {.name = "attribution",
              .source = "Chapelle, Modeling Delayed Feedback in Display Advertising",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .join = join,
              .observe = observe,
              .cells = cells_of_signal,
              .apply = apply,
              .apply_cells = apply_cells,
              .measure = measure},
    .on = on,
    .columns = columns,
    .candidates = candidates,
    .score = score,
};
