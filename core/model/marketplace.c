// SPDX-License-Identifier: Apache-2.0
// marketplace: each place goes to one of the models, which puts its best item there: those whose
// items users click are drawn more often.
//
// Each column c is a model, and its own best list is what it proposes. For the groups of places
// (1, 2-3, 4-7, 8 and below) and the segments of users (the blend's) there is a tally of each
// model:
//     n_c  showings of items that stood among the TOP of its list, whoever was drawn
//     s_c  acts on those
//     g_c  sum of 1/p over acts on items that it was drawn for, p as of then
// faded with half_life_s. A place draws a model m among those with something left to put there,
//     thompson     p_m = P(X_m > all others), X_m ~ N(mean, variance of Beta(s + a0, n - s + b0)),
//                  a0 + b0 = prior_weight at the mean rate of all models in that group and segment
//     exponential  p_m ~ e^(eta g_m)  (EXP3)
// mixed with a `uniform` share, and takes its next item: with a rule's bonus the one of largest
// value and bonus, both in deviations, else the first that may stand there. The item's propensity
// is the sum of p_m over all models whose next item it is, whoever was drawn.
// An item that was shown and acted on finds its proposers in the user's row, which keeps the newest
// list's first SHOWN places.
// Source: Deep neural network marketplace recommenders in online experiments, for the idea alone;
// Auer et al., The Nonstochastic Multiarmed Bandit Problem, for EXP3. Departures: (1) the normal
// law of a Beta's mean and variance: what is drawn is drawn with the p that is said, so that q is
// exact either way; (2) losses are not estimated: nothing is taken from g where nobody acts.
#include "core/model/marketplace.h"

#include "core/base/normal.h"
#include "core/deltas.h"
#include "core/list/blend.h"
#include "core/list/slate.h"
#include "core/model/decay.h"

enum {
    GROUPS = 4,
    SHOWN = 20,
    PLACES = GROUPS * MR_SEGMENTS,
    FLOOR = 32,
    REACH = 6,
    STEPS = 3, // of the grid in the least deviation
};

_Static_assert(MR_ENGINE_COLUMNS_MAX <= 32, "a bit of a word each");

typedef struct config {
    double learner, uniform, eta, prior_weight, top, half_life_s;
} config;

enum { THOMPSON, EXPONENTIAL };

static const mr_param params[] = {
    {"learner", "thompson | exponential", "how the shares of models follow their rewards",
     offsetof(config, learner), THOMPSON, 0, 1},
    {"uniform", "", "share of the draws in which every model is as likely",
     offsetof(config, uniform), 0.05, 0, 1},
    {"eta", "", "of exponential: how much a reward counts", offsetof(config, eta), 0.01, 0, 10},
    {"prior_weight", "", "of thompson: how many showings the mean rate of all models is worth",
     offsetof(config, prior_weight), 20, 1e-3, 1e6},
    {"top", "", "places of a model's own list that it answers for", offsetof(config, top), 20, 1,
     MR_COLUMN_BEST},
    {"half_life_s", "s", "time after which a showing counts half", offsetof(config, half_life_s),
     604800, 60, 1e9},
    {0},
};

typedef struct tally { // a row, and a delta: of one model in one group and segment
    uint64_t column;   // hash of its name: a row of another column counts as none
    mr_decayed tries, rewards, gain;
} tally;

typedef struct shown { // of the newest list
    uint64_t item_key;
    uint32_t proposers; // bit by column
    float p;            // of the model that was drawn
    uint8_t drawn, place, waiting, reserved[5];
} shown;

typedef struct stall { // in the user's row
    uint32_t count, reserved;
    shown items[SHOWN];
} stall;

typedef struct kept {                                          // of one list
    uint16_t proposals[MR_ENGINE_COLUMNS_MAX][MR_COLUMN_BEST]; // candidates, best first
    uint32_t count[MR_ENGINE_COLUMNS_MAX];
    double scale[MR_ENGINE_COLUMNS_MAX]; // deviation of the column's values of them
    uint32_t segment;
    uint32_t group, models; // of which p is
    double p[MR_ENGINE_COLUMNS_MAX];
    float said[SHOWN];
    uint8_t drawn[SHOWN];
} kept;

enum { FAMILY_TALLY, FAMILY_USER, FAMILIES };

// ---- rows

static uint32_t tallies(const void *c)
{
    (void)c;
    return PLACES * MR_ENGINE_COLUMNS_MAX;
}

static void add(tally *into, const tally *from)
{
    if (into->column != from->column)
        *into = (tally){.column = from->column};
    mr_decayed_add(&into->tries, from->tries);
    mr_decayed_add(&into->rewards, from->rewards);
    mr_decayed_add(&into->gain, from->gain);
}

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    add(into, from);
}

static uint32_t stall_used(const void *c, const void *row)
{
    (void)c;
    return (uint32_t)(offsetof(stall, items) + ((const stall *)row)->count * sizeof(shown));
}

static const mr_family families[] = {
    [FAMILY_TALLY] = {.name = "tally",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(tally),
                      .delta_size = sizeof(tally),
                      .rows_max = tallies,
                      .combine = combine},
    [FAMILY_USER] = {.name = "stall",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .row_size = sizeof(stall),
                     .used = stall_used},
};

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_s * 1000.0);
}

// The name of a column by its place among all of the engine's.
static uint64_t column_name(const mr_view *view, uint32_t column)
{
    for (uint32_t i = 0; i < view->instance_count; i++) {
        const mr_instance *instance = &view->instances[i];
        const uint32_t at = column - instance->column_first;
        if (column < instance->column_first || at >= instance->column_count)
            continue;
        const char *name = ((const mr_model *)(const void *)instance->state)->columns[at].name;
        return mr_hash64(name, strlen(name), 0);
    }
    return 0;
}

// ---- learning

static void note(const mr_instance *self, const mr_view *view, uint32_t place, uint32_t column,
                 const tally *one, mr_deltas *deltas)
{
    const uint32_t family = self->family_first + FAMILY_TALLY;
    const uint64_t key = (uint64_t)place * MR_ENGINE_COLUMNS_MAX + column;
    tally with = *one;
    with.column = column_name(view, column);
    add(mr_deltas_at(deltas, family, mr_slots_find(&view->named[family].slots, key)), &with);
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal, shown *of,
                  mr_deltas *deltas)
{
    const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(self->config));
    const mr_decayed one = {.newest = mr_decay_units_of(now, 1.0), .era = now.era};
    const bool act = signal->kind == MR_SIGNAL_ACT;
    if (act && !of->waiting)
        return; // it was not seen to be shown, or has been rewarded
    of->waiting = !act;
    const tally proposed = {.tries = act ? (mr_decayed){0} : one,
                            .rewards = act ? one : (mr_decayed){0}};
    for (uint32_t c = 0; c < MR_ENGINE_COLUMNS_MAX; c++)
        if ((of->proposers >> c & 1) != 0)
            note(self, view, of->place, c, &proposed, deltas);
    if (!act)
        return;
    const tally gained = {
        .gain = {.newest = mr_decay_units_of(now, 1.0 / (double)of->p), .era = now.era}};
    note(self, view, of->place, of->drawn, &gained, deltas);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        const bool counts = signal->kind == MR_SIGNAL_ACT || signal->kind == MR_SIGNAL_SHOWN;
        stall *of = mr_user_part(self, mr_view_user(view, signal->user));
        for (uint32_t i = 0; counts && !signal->organic && i < of->count; i++)
            if (of->items[i].item_key == signal->item_key)
                learn(self, view, signal, &of->items[i], deltas);
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)self, (void)view, (void)family, (void)key;
    add(row, delta);
}

// ---- which model

void mr_market_exponential(const double *w, uint32_t count, double uniform, double *p)
{
    double top = -1e300, sum = 0;
    for (uint32_t m = 0; m < count; m++)
        top = w[m] > top ? w[m] : top;
    for (uint32_t m = 0; m < count; m++) {
        p[m] = mr_exp(w[m] - top);
        sum += p[m];
    }
    for (uint32_t m = 0; m < count; m++)
        p[m] = (1 - uniform) * p[m] / sum + uniform / count;
}

// Adds to p what the point x of the integral gives.
static void add_point(const double *mean, const double *deviation, uint32_t count, double x,
                      double *p)
{
    double below[MR_ENGINE_COLUMNS_MAX], all = 0;
    for (uint32_t m = 0; m < count; m++) {
        below[m] = mr_normal_log_cdf((x - mean[m]) / deviation[m]);
        all += below[m];
    }
    for (uint32_t m = 0; m < count; m++)
        p[m] += mr_exp(mr_normal_log_density((x - mean[m]) / deviation[m]) + all - below[m]) /
                deviation[m];
}

void mr_market_first(const double *mean, const double *deviation, uint32_t count, double uniform,
                     double *p)
{
    double d[MR_ENGINE_COLUMNS_MAX], widest = 0, least = 1e300, low = -1e300, high = -1e300;
    double sum = 0;
    for (uint32_t m = 0; m < count; m++)
        widest = deviation[m] > widest ? deviation[m] : widest;
    for (uint32_t m = 0; m < count; m++) {
        d[m] = deviation[m] > widest / FLOOR ? deviation[m] : widest / FLOOR;
        least = d[m] < least ? d[m] : least;
        low = mean[m] - REACH * d[m] > low ? mean[m] - REACH * d[m] : low;
        high = mean[m] + REACH * d[m] > high ? mean[m] + REACH * d[m] : high;
        p[m] = 0;
    }
    const uint32_t points = (uint32_t)((high - low) / least * STEPS) + 2;
    for (uint32_t g = 0; g < points; g++)
        add_point(mean, d, count, low + (high - low) * g / (points - 1), p);
    for (uint32_t m = 0; m < count; m++)
        sum += p[m];
    for (uint32_t m = 0; m < count; m++)
        p[m] = (1 - uniform) * p[m] / sum + uniform / count;
}

static tally tally_of(const mr_instance *self, const mr_view *view, uint32_t place, uint32_t column)
{
    const uint64_t key = (uint64_t)place * MR_ENGINE_COLUMNS_MAX + column;
    const tally *row = view->named == NULL // outside an engine
                           ? NULL
                           : mr_named_find(&view->named[self->family_first + FAMILY_TALLY], key);
    return row != NULL && row->column == column_name(view, column) ? *row : (tally){0};
}

// p of the models whose bits are set.
static void choose_shares(const mr_instance *self, const mr_slate *slate, kept *k)
{
    const config *c = self->config;
    const mr_decay_time now = mr_decay_time_of(slate->view->clock_ms, half_life_ms(c));
    double n[MR_ENGINE_COLUMNS_MAX], s[MR_ENGINE_COLUMNS_MAX], gain[MR_ENGINE_COLUMNS_MAX];
    double p[MR_ENGINE_COLUMNS_MAX], mean[MR_ENGINE_COLUMNS_MAX], deviation[MR_ENGINE_COLUMNS_MAX];
    double tries = 2, rewards = 1; // so that the rate of all lies inside 0..1
    uint32_t count = 0;
    for (uint32_t column = 0; column < slate->candidates->column_count; column++) {
        const tally of = tally_of(self, slate->view, k->group * MR_SEGMENTS + k->segment, column);
        if ((k->models >> column & 1) == 0)
            continue;
        n[count] = mr_decayed_at(&of.tries, now);
        s[count] = mr_decayed_at(&of.rewards, now);
        s[count] = s[count] < n[count] ? s[count] : n[count];
        gain[count] = c->eta * mr_decayed_at(&of.gain, now);
        tries += n[count];
        rewards += s[count++];
    }
    for (uint32_t m = 0; m < count; m++) {
        const double weight = n[m] + c->prior_weight;
        mean[m] = (s[m] + c->prior_weight * rewards / tries) / weight;
        deviation[m] = __builtin_sqrt(mean[m] * (1 - mean[m]) / (weight + 1));
    }
    if (c->learner == EXPONENTIAL)
        mr_market_exponential(gain, count, c->uniform, p);
    else
        mr_market_first(mean, deviation, count, c->uniform, p);
    for (uint32_t column = MR_ENGINE_COLUMNS_MAX; column-- > 0;)
        k->p[column] = (k->models >> column & 1) != 0 ? p[--count] : 0;
}

// ---- a list

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(kept);
}

static double scale_of(const kept *k, const mr_union *candidates, uint32_t column)
{
    double sum = 0, squares = 0;
    const uint32_t n = k->count[column];
    for (uint32_t i = 0; i < n; i++)
        sum += (double)candidates->value[column][k->proposals[column][i]];
    for (uint32_t i = 0; i < n; i++) {
        const double x = (double)candidates->value[column][k->proposals[column][i]] - sum / n;
        squares += x * x;
    }
    return squares > 0 ? __builtin_sqrt(squares / n) : 1;
}

static void open(const mr_instance *self, mr_slate *slate)
{
    (void)self;
    kept *k = slate->policy_kept;
    const mr_union *candidates = slate->candidates;
    k->segment = mr_blend_segment(mr_view_user(slate->view, slate->user));
    k->models = 0;
    for (uint32_t c = 0; c < candidates->column_count; c++) {
        uint16_t at[MR_PLACE_NONE];
        memset(at, 0xff, sizeof at);
        k->count[c] = 0;
        for (uint32_t i = 0; i < candidates->count; i++)
            if (candidates->place[c][i] != MR_PLACE_NONE)
                at[candidates->place[c][i]] = (uint16_t)i;
        for (uint32_t place = 0; place < MR_COLUMN_BEST; place++)
            if (at[place] != UINT16_MAX)
                k->proposals[c][k->count[c]++] = at[place];
        k->scale[c] = scale_of(k, candidates, c);
    }
}

// What the column would put at this place; UINT32_MAX: nothing.
static uint32_t next_of(const mr_slate *slate, const kept *k, uint32_t column)
{
    uint32_t best = UINT32_MAX;
    double most = 0;
    for (uint32_t i = 0; i < k->count[column]; i++) {
        const uint32_t candidate = k->proposals[column][i];
        if (!mr_slate_may(slate, candidate))
            continue;
        if (!slate->adjusted)
            return candidate;
        const double value =
            (double)slate->candidates->value[column][candidate] / k->scale[column] +
            (double)slate->bonus[candidate] / slate->scale;
        if (best == UINT32_MAX || value > most) {
            best = candidate;
            most = value;
        }
    }
    return best;
}

static uint32_t group_of(uint32_t place)
{
    uint32_t group = 0;
    for (place++; place > 1 && group + 1 < GROUPS; place /= 2)
        group++;
    return group;
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    kept *k = slate->policy_kept;
    uint32_t next[MR_ENGINE_COLUMNS_MAX], models = 0, drawn = 0;
    const uint32_t group = group_of(slate->picked_count), place = slate->picked_count;
    for (uint32_t c = 0; c < slate->candidates->column_count; c++) {
        next[c] = next_of(slate, k, c);
        models |= next[c] != UINT32_MAX ? 1u << c : 0;
    }
    if (models == 0)
        return UINT32_MAX; // whoever may stand here is in some column's list
    if (k->models != models || k->group != group) {
        k->models = models;
        k->group = group;
        choose_shares(self, slate, k);
    }
    const double uniform = mr_rng_double(rng);
    double reached = 0;
    for (uint32_t c = 0; c < slate->candidates->column_count && reached <= uniform; c++)
        if ((models >> c & 1) != 0) {
            reached += k->p[c];
            drawn = c; // the last one takes what rounding leaves
        }
    *q = 0;
    for (uint32_t c = 0; c < slate->candidates->column_count; c++)
        *q += (models >> c & 1) != 0 && next[c] == next[drawn] ? k->p[c] : 0;
    *q = *q < 1 ? *q : 1;
    if (place < SHOWN) {
        k->drawn[place] = (uint8_t)drawn;
        k->said[place] = (float)k->p[drawn];
    }
    return next[drawn];
}

// What it takes to know, once the list is shown, whose items they were.
static void drawn(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const kept *k = slate->policy_kept;
    const mr_union *candidates = slate->candidates;
    stall *of = mr_user_part(self, mr_view_user(slate->view, slate->user));
    memset(of, 0, sizeof *of);
    for (uint32_t place = 0; slate->explore && place < slate->picked_count && of->count < SHOWN;
         place++) {
        const uint32_t i = slate->picked[place];
        shown *item = &of->items[of->count++];
        item->item_key = slate->view->items->slots.keys[candidates->slots[i]];
        item->p = k->said[place];
        item->drawn = k->drawn[place];
        item->place = (uint8_t)(group_of(place) * MR_SEGMENTS + k->segment);
        for (uint32_t column = 0; column < candidates->column_count; column++)
            if (candidates->place[column][i] != MR_PLACE_NONE &&
                candidates->place[column][i] < c->top)
                item->proposers |= 1u << column;
    }
}

const mr_policy mr_policy_marketplace = {
    .state = {.name = "marketplace",
              .source = "Deep neural network marketplace recommenders in online experiments",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = FAMILIES,
              .observe = observe,
              .apply = apply},
    .slate_bytes = slate_bytes,
    .open = open,
    .draw = draw,
    .drawn = drawn,
};
