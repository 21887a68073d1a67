// SPDX-License-Identifier: Apache-2.0
// click_model: which places of a list people look at, and how attractive an item is to those who
// do. Off unless `places` is set.
//
// Position-based: whoever looks at a place, with a probability e that is the place's, clicks with
// the attractiveness a of the item there. So clicks are counted against what was to be expected,
//     e = clicks at the place / sum of a of what was shown there,
//     a = clicks on the item / sum of e of where it was shown,
// both as of the round's start, towards priors: (1 + r)^-1 at place r from 0, worth PLACE_WEIGHT
// expected clicks, and the a of all items, worth ITEM_WEIGHT looks. The first place is looked at:
// only ratios of e can be known.
//
// Other methods find e in a signal's `examined`: with it an item that stood where nobody looks has
// not been refused (diag_linucb, linucb), and who was clicked there stands for more (exposure.h).
//
// Where an item always stands at its place nobody can tell whether the place or the item draws the
// clicks. So only showings that chance put there count, with a propensity below 1 (`from` all takes
// every one). An act whose event says neither place nor propensity has them from `attribution`; one
// without them is not its showing's click here. Acts on what the user knows already, and their
// showings, do not count.
// What a showing adds depends on what the task's worker believed by then, so that workers who
// share tasks have other sums than one alone, by as much as their views lag.
// Departure: no expectations over who looked (EM). Sums of them keep what was believed when they
// were made, about clicks too, and came to the truth more slowly than clicks that stay clicks.
// Source: Richardson et al., "Predicting Clicks: Estimating the Click-Through Rate for New Ads"
// (the model); Zhang and Jones, "Comparing Click Logs and Editorial Labels for Training Query
// Rewriting" (clicks over expected clicks).
#include "core/deltas.h"
#include "core/model/decay.h"
#include "core/model/top.h"

enum {
    PLACES_MAX = 128,
    BEST = 200, // items that the column proposes from
    PLACE_WEIGHT = 20,
    ITEM_WEIGHT = 20,
};

typedef struct config {
    double places, from, half_life_days;
} config;

static const mr_param params[] = {
    {"places", "", "places of a list that are told apart, the last one with all below; 0: off",
     offsetof(config, places), 0, 0, PLACES_MAX},
    {"from", "explored | all", "showings that chance put at their place, or every one",
     offsetof(config, from), 0, 0, 1},
    {"half_life_days", "days", "time after which a showing counts half",
     offsetof(config, half_life_days), 30, 0.1, 10000},
    {0},
};

typedef struct sums { // expected: were all a of a place 1, or all e of an item
    mr_decayed clicks, expected;
} sums;

typedef struct cache {
    mr_top top; // by clicks
} cache;

enum { FAMILY_ITEM, FAMILY_PLACE };

static bool on(const void *c)
{
    return ((const config *)c)->places >= 1;
}

// A row a place, and behind them one of all items.
static uint32_t places_max(const void *c)
{
    return (uint32_t)((const config *)c)->places + 1;
}

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_days * 86400000.0);
}

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    const sums *more = from;
    mr_decayed_add(&((sums *)into)->clicks, more->clicks);
    mr_decayed_add(&((sums *)into)->expected, more->expected);
}

static const mr_family families[] = {
    [FAMILY_ITEM] = {.name = "attraction",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .row_size = sizeof(sums),
                     .delta_size = sizeof(sums),
                     .combine = combine},
    [FAMILY_PLACE] = {.name = "place",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(sums),
                      .delta_size = sizeof(sums),
                      .rows_max = places_max,
                      .combine = combine},
};

// ---- what is believed

static mr_decay_time time_now(const mr_instance *self, const mr_view *view)
{
    return mr_decay_time_of(view->clock_ms, half_life_ms(self->config));
}

static double believed(const sums *of, mr_decay_time now, double prior, double weight)
{
    const double clicks = mr_decayed_at(&of->clicks, now) + weight * prior;
    const double expected = mr_decayed_at(&of->expected, now) + weight;
    return clicks < expected ? clicks / expected : 1.0;
}

static uint32_t place_of(const config *c, int32_t position)
{
    const uint32_t last = (uint32_t)c->places - 1;
    return (uint32_t)position < last ? (uint32_t)position : last;
}

static const sums *place_row(const mr_instance *self, const mr_view *view, uint32_t place)
{
    return mr_named_find(&view->named[self->family_first + FAMILY_PLACE], place);
}

static double examined_at(const mr_instance *self, const mr_view *view, uint32_t place,
                          mr_decay_time now)
{
    if (place == 0)
        return 1.0;
    return believed(place_row(self, view, place), now, 1.0 / (1.0 + place), PLACE_WEIGHT);
}

// Of all items together; before anything was shown one click in ten.
static double attraction_of_all(const mr_instance *self, const mr_view *view, mr_decay_time now)
{
    const uint32_t all = (uint32_t)((const config *)self->config)->places;
    return believed(place_row(self, view, all), now, 0.1, ITEM_WEIGHT);
}

static double attraction_of(const mr_instance *self, const mr_view *view, uint32_t slot,
                            double of_all, mr_decay_time now)
{
    return believed(mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot), now, of_all,
                    ITEM_WEIGHT);
}

// ---- learning

static void join(const mr_instance *self, const mr_view *view, mr_signal *signal)
{
    const bool act = signal->kind == MR_SIGNAL_ACT && signal->answers;
    if (signal->position >= 0 && (act || signal->kind == MR_SIGNAL_SHOWN))
        signal->examined = (float)examined_at(self, view, place_of(self->config, signal->position),
                                              time_now(self, view));
}

static bool counts(const config *c, const mr_signal *signal)
{
    const bool click =
        signal->kind == MR_SIGNAL_ACT && signal->answers && signal->act == MR_EVENT_CLICK;
    if (!(click || signal->kind == MR_SIGNAL_SHOWN) || signal->position < 0 || signal->repeat)
        return false;
    return c->from > 0 || (signal->propensity > 0 && signal->propensity < 1);
}

static void add(mr_deltas *deltas, uint32_t family, uint32_t slot, mr_decay_weight now,
                double clicks, double expected)
{
    const sums more = {
        .clicks = {.newest = mr_decay_units_of(now, clicks), .era = now.era},
        .expected = {.newest = mr_decay_units_of(now, expected), .era = now.era},
    };
    combine(NULL, mr_deltas_at(deltas, family, slot), &more);
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  mr_deltas *deltas)
{
    const config *c = self->config;
    const mr_decay_time clock = time_now(self, view);
    const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(c));
    const uint32_t first = self->family_first, place = place_of(c, signal->position);
    const mr_slots *places = &view->named[first + FAMILY_PLACE].slots;
    const double attraction =
        attraction_of(self, view, signal->item, attraction_of_all(self, view, clock), clock);
    const double click = signal->kind == MR_SIGNAL_ACT;
    const double looked = (1 - click) * (double)signal->examined;
    add(deltas, first + FAMILY_PLACE, mr_slots_find(places, place), now, click,
        (1 - click) * attraction);
    add(deltas, first + FAMILY_PLACE, mr_slots_find(places, (uint64_t)c->places), now, click,
        looked);
    add(deltas, first + FAMILY_ITEM, signal->item, now, click, looked);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++)
        if (counts(self->config, &signals[s]))
            learn(self, view, &signals[s], deltas);
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine(self->config, row, delta);
}

// ---- derived: the items with most clicks

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c, (void)items_max;
    return sizeof(cache);
}

static const sums *item_row(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot);
}

static void raise(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    mr_top *top = &((cache *)self->cache)->top;
    mr_top_raise(top, view->items, slot,
                 mr_decayed_in(&item_row(self, view, slot)->clicks, top->era));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    int64_t era = 0;
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        if (mr_items_live(view->items, slot) && item_row(self, view, slot)->clicks.era > era)
            era = item_row(self, view, slot)->clicks.era;
    mr_top_clear(&((cache *)self->cache)->top, era);
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        if (mr_items_live(view->items, slot))
            raise(self, view, slot);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family != FAMILY_ITEM)
        return;
    if (item_row(self, view, slot)->clicks.era > ((cache *)self->cache)->top.era)
        rebuild(self, view);
    else
        raise(self, view, slot);
}

// ---- serving

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)user, (void)stride, (void)arena;
    const mr_decay_time now = time_now(self, view);
    const double of_all = attraction_of_all(self, view, now);
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] = (float)attraction_of(self, view, slots[i], of_all, now);
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
    static const struct {
        const char *name;
        uint32_t place;
    } told[] = {{"examined_2", 1}, {"examined_5", 4}, {"examined_10", 9}};
    const mr_decay_time now = time_now(self, view);
    uint32_t count = 0;
    for (; count < 3 && count < max && told[count].place < ((const config *)self->config)->places;
         count++)
        out[count] =
            (mr_measure){told[count].name, examined_at(self, view, told[count].place, now)};
    return count;
}

static const mr_column columns[] = {{"attraction", MR_SCALE_COUNT}};

const mr_model mr_model_click_model = {
    .state = {.name = "click_model",
              .source = "Richardson et al., Predicting Clicks",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 2,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .join = join,
              .observe = observe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns,
    .candidates = candidates,
    .score = score,
};
