// SPDX-License-Identifier: Apache-2.0
// slate_choice: which of the items that stood before him somebody took, or none. Off unless `dim`
// is set.
//
// Most models compare what was clicked with what was not on the screen at all. Here it is compared
// with what was: a slate of k items is answered by one click, or by none, with the likelihood of
// choice.h, s_r = z.v_r (plus ln of how likely the place was looked at, where click_model says so)
// and s_0 = b_k, a number for each length of slates. A slate waits in its user's row for its click.
// A click is a choice among what was not clicked there before and taking none; `slates` impressions
// later a slate without any has been a choice of none.
//
// z is 1, for how an item does with everybody, then the state h of the user, which clicks alone
// move: over his newest items, oldest first, with x the v of each
//     linear  h = keep h + (1 - keep) x
//     gru     the cell of recurrent.h and a map behind it, learned: gradients through `steps` items
// So nothing of him is kept but slates, and no state grows stale while vectors move.
//
// v of an item is not known but believed: each number a normal law (choice.h). Its prior is that of
// the item's group, the first thing that the catalogue names, usually a category: mean mu_g and
// variance s_g^2, which the owner of the group's row learns from the items in it, once in refresh_s
// of event time, s_g^2 as a running mean of their squared distance and what is not known of them.
// So a new item begins as its group does. Each item and each group has some numbers of its own to
// begin with, or nobody's taste could ever differ.
//
// The score is z.m with m the means. Its deviation, (sum z^2 / P)^1/2, lets `thompson` draw each
// place from what is not known, which is what the paper does with a draw a slate. Both are in the
// unit of the score, the logarithm of how much likelier a click is: no shares of clicks as those of
// the other bandits.
//
// Merge: gains and information of items and lengths, and the gradients of the maps, are sums, all
// judged at the round's start: the same in any grouping but for rounding. A row of a group or a map
// has one owner. What is believed is also what a task saw as its view by then.
// Source: "Dynamic Slate Recommendation with Gated Recurrent Units and Thompson Sampling".
// Departures beside those of choice.h: (1) z begins with 1, for the paper's start of a user, which
// is a point among the items that he clicked; (2) read again from the newest items instead of a
// state carried on; (3) no temperature of the likelihood; (4) nothing fades.
#include "core/deltas.h"
#include "core/list/matrix.h"
#include "core/model/choice.h"
#include "core/model/encoder.h"
#include "core/model/optimiser.h"
#include "core/model/slates.h"

enum {
    DIM_MAX = MR_ENCODER_DIM_MAX,
    SLATES_MAX = 4,
    LENGTH_MAX = 64,
    NOTHING = UINT32_MAX, // was chosen
};
_Static_assert((int)MR_RECENT_MAX <= (int)MR_ENCODER_STEPS_MAX,
               "all of a user's items can be read");

static const float variance_least = 1e-4f, variance_most = 25.0f, variance_share = 0.1f;

typedef struct config {
    double dim, user, keep, steps, rate, slates, length, within_s, prior, groups, refresh_s;
} config;

static const mr_param params[] = {
    {"dim", "", "numbers of an item, rounded up to 16; 0: off", offsetof(config, dim), 0, 0,
     DIM_MAX},
    {"user", MR_ENCODER_WORDS, "how a user's items become his state", offsetof(config, user), 0, 0,
     MR_ENCODER_KINDS - 1},
    {"keep", "", "share of his state that an item leaves him; of gru where it begins",
     offsetof(config, keep), 0.8, 0.01, 0.99},
    {"steps", "", "newest events of a user that are read", offsetof(config, steps), MR_RECENT_MAX,
     1, MR_RECENT_MAX},
    {"rate", "", "learning rate of gru's maps", offsetof(config, rate), 0.01, 0, 1},
    {"slates", "", "slates of a user that wait for a click", offsetof(config, slates), 1, 1,
     SLATES_MAX},
    {"length", "", "items of a slate that are kept, 16 bytes each", offsetof(config, length), 20, 1,
     LENGTH_MAX},
    {"within_s", "s", "a click answers a slate so long ago at most", offsetof(config, within_s),
     1800, 1, 1e9},
    {"prior", "", "standard deviation of an item's numbers around its group, and of a group's",
     offsetof(config, prior), 0.5, 0.01, 5},
    {"groups", "", "groups of items; two categories of one number share it",
     offsetof(config, groups), 64, 1, 1024},
    {"refresh_s", "s", "time after which a group is learned anew; 0: never",
     offsetof(config, refresh_s), 3600, 0, 1e9},
    {0},
};

// ---- rows

typedef struct item { // a row, and a delta
    int64_t time_ms;  // of the catalogue's word; 0: it has not spoken
    uint32_t word;    // hash of the first thing that it named; 0: nothing
    float choices;    // that it stood in
    float values[];   // dim of precision, dim of shift (choice.h); delta: information, gain
} item;

typedef struct group { // delta: time_ms alone
    int64_t time_ms;   // when it was learned
    float values[];    // dim of mean, dim of variance
} group;

typedef struct length {
    float precision, shift; // of b; delta: information, gain
} length;

typedef struct cache {
    float *variance; // by slot: dim
    mr_matrix means;
} cache;

enum { FAMILY_ITEM, FAMILY_GROUP, FAMILY_LENGTH, FAMILY_MAPS, FAMILY_WAITING };

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static uint8_t variant(const void *c)
{
    return (uint8_t)(dim(c) / 16);
}

static uint32_t item_bytes(const void *c)
{
    return (uint32_t)sizeof(item) + 2 * dim(c) * 4;
}

static uint32_t item_used(const void *c, const void *row)
{
    const item *of = row;
    return of->choices > 0 ? item_bytes(c) : of->time_ms > 0 ? (uint32_t)sizeof(item) : 0;
}

static void combine_items(const void *c, void *into, const void *from)
{
    item *sum = into;
    const item *more = from;
    if (more->time_ms > 0 && more->time_ms >= sum->time_ms) {
        sum->time_ms = more->time_ms;
        sum->word = more->word;
    }
    sum->choices += more->choices;
    for (uint32_t i = 0; i < 2 * dim(c); i++)
        sum->values[i] += more->values[i];
}

static uint32_t group_bytes(const void *c)
{
    return (uint32_t)sizeof(group) + 2 * dim(c) * 4;
}

static uint32_t groups_max(const void *c)
{
    return (uint32_t)((const config *)c)->groups + 1;
}

// 0: of no group.
static uint32_t group_of(const config *c, const item *row)
{
    return row->word == 0 ? 0 : 1 + row->word % (uint32_t)c->groups;
}

// Numbers of an item's or a group's own to begin with, but the first, which is everybody's.
static void draw_start(const config *c, uint64_t key, uint64_t seed, float *x)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, key, MR_PURPOSE_SLATE);
    const float reach = (float)c->prior * 0.866f; // uniform, of deviation prior / 2
    x[0] = 0.0f;
    for (uint32_t d = 1; d < dim(c); d++)
        x[d] = reach * (2.0f * mr_rng_float(&rng) - 1.0f);
}

static void init_group(const void *c, uint64_t key, uint64_t seed, void *row)
{
    const float variance = (float)(((const config *)c)->prior * ((const config *)c)->prior);
    float *values = ((group *)row)->values;
    if (key > 0)
        draw_start(c, key, seed, values);
    for (uint32_t d = 0; d < dim(c); d++)
        values[dim(c) + d] = variance;
}

static void combine_groups(const void *c, void *into, const void *from)
{
    (void)c;
    int64_t *time_ms = into;
    const int64_t *more = from;
    *time_ms = *more > *time_ms ? *more : *time_ms;
}

static uint32_t lengths_max(const void *c)
{
    return (uint32_t)((const config *)c)->length + 1;
}

static bool is_gru(const void *c)
{
    return ((const config *)c)->user > MR_ENCODER_LINEAR;
}

static uint32_t map_floats(const void *c)
{
    return is_gru(c) ? mr_map_floats(dim(c)) : 0;
}

static uint32_t maps_max(const void *c)
{
    return is_gru(c) ? MR_ENCODER_MAPS : 1;
}

static uint32_t map_bytes(const void *c)
{
    const uint32_t n = map_floats(c);
    return n == 0 ? 8 : (n + mr_optimiser_floats(MR_OPTIMISER_ADAGRAD, n)) * 4;
}

static uint32_t map_delta_bytes(const void *c)
{
    return (map_floats(c) + 2) * 4; // events, reserved
}

static void init_map(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)seed;
    if (is_gru(c))
        mr_encoder_start(row, (uint32_t)key, dim(c), ((const config *)c)->keep);
}

static mr_slates_room room_of(const config *c)
{
    return (mr_slates_room){(uint32_t)c->slates, (uint32_t)c->length};
}

static uint32_t waiting_bytes(const void *c)
{
    return mr_slates_bytes(room_of(c));
}

static uint32_t waiting_used(const void *c, const void *row)
{
    return mr_slates_used(room_of(c), row);
}

static const mr_family families[] = {
    [FAMILY_ITEM] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = item_bytes,
                     .delta_bytes = item_bytes,
                     .others = lengths_max,
                     .used = item_used,
                     .combine = combine_items},
    [FAMILY_GROUP] = {.name = "group",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .variant = variant,
                      .row_bytes = group_bytes,
                      .delta_size = sizeof(int64_t),
                      .rows_max = groups_max,
                      .others = lengths_max,
                      .init = init_group,
                      .combine = combine_groups},
    [FAMILY_LENGTH] = {.name = "length",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .row_size = sizeof(length),
                       .delta_size = sizeof(length),
                       .rows_max = lengths_max},
    [FAMILY_MAPS] = {.name = "maps",
                     .key = MR_KEY_NAMED,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = map_bytes,
                     .delta_bytes = map_delta_bytes,
                     .rows_max = maps_max,
                     .init = init_map},
    [FAMILY_WAITING] = {.name = "waiting",
                        .key = MR_KEY_USER,
                        .version = 1,
                        .row_bytes = waiting_bytes,
                        .used = waiting_used},
};

// ---- what is believed

static void *named(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key)
{
    return mr_named_find(&view->named[self->family_first + family], key);
}

static item *item_row(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot);
}

typedef struct prior { // of an item
    float mean[DIM_MAX], precision[DIM_MAX];
} prior;

static mr_belief belief_of(const mr_instance *self, const mr_view *view, uint64_t key, item *row,
                           prior *p)
{
    const uint32_t n = dim(self->config);
    const group *g = named(self, view, FAMILY_GROUP, group_of(self->config, row));
    draw_start(self->config, key, view->seed, p->mean);
    for (uint32_t d = 0; d < n; d++) {
        p->mean[d] += g->values[d];
        p->precision[d] = 1.0f / g->values[n + d];
    }
    return (mr_belief){n, p->mean, p->precision, row->values, row->values + n};
}

// b of slates of so many items: as if one in eight were answered, give or take a deviation of 1.
static mr_belief none_of(const float *start, length *row)
{
    static const float one = 1.0f;
    return (mr_belief){1, start, &one, &row->precision, &row->shift};
}

static float none_start(uint32_t count)
{
    return (float)mr_log(7.0 * count);
}

static float score_of_none(const mr_instance *self, const mr_view *view, uint32_t count)
{
    const float start = none_start(count);
    const mr_belief of = none_of(&start, named(self, view, FAMILY_LENGTH, count));
    float mean, variance;
    mr_belief_read(&of, &mean, &variance);
    return mean;
}

// ---- derived: means and variances of each item

static void derive(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    cache *derived = self->cache;
    prior p;
    const mr_belief of =
        belief_of(self, view, view->items->slots.keys[slot], item_row(self, view, slot), &p);
    mr_belief_read(&of, mr_matrix_row(&derived->means, slot),
                   derived->variance + (size_t)slot * of.n);
    mr_matrix_put(&derived->means, slot);
}

static size_t variance_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round((size_t)items_max * dim(c) * sizeof(float));
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(cache)) + variance_bytes(c, items_max) +
           mr_matrix_bytes(items_max, dim(c));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    const uint32_t max = view->items->slots.max;
    uint8_t *memory = (uint8_t *)derived + mr_arena_round(sizeof(cache));
    derived->variance = (float *)(void *)memory;
    mr_matrix_open(&derived->means, memory + variance_bytes(self->config, max), max,
                   dim(self->config));
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        derive(self, view, slot);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family == FAMILY_ITEM)
        derive(self, view, slot);
    if (family != FAMILY_GROUP)
        return;
    const uint64_t key = view->named[self->family_first + family].slots.keys[slot];
    for (uint32_t i = 0; i < view->items->slots.used; i++)
        if (group_of(self->config, item_row(self, view, i)) == key)
            derive(self, view, i);
}

// ---- the user

static mr_encoder encoder_of(const mr_instance *self, const mr_view *view)
{
    const config *c = self->config;
    mr_encoder of = {(uint32_t)c->user, dim(c), (float)c->keep, view->vec, {NULL}};
    for (uint32_t m = 0; is_gru(c) && m < MR_ENCODER_MAPS; m++)
        of.maps[m] = named(self, view, FAMILY_MAPS, m);
    return of;
}

// z: 1, then the state of the user.
static void read_user(const mr_instance *self, const mr_view *view, uint32_t user_slot,
                      mr_encoded *read, float z[DIM_MAX])
{
    const mr_encoder encoder = encoder_of(self, view);
    const mr_matrix *means = &((const cache *)self->cache)->means;
    const mr_user *user = mr_view_user(view, user_slot);
    const uint32_t most = (uint32_t)((const config *)self->config)->steps;
    mr_encoder_begin(&encoder, read, z);
    for (uint32_t p = user->recent_count < most ? user->recent_count : most; p-- > 0;) {
        const uint32_t slot = mr_items_find(view->items, user->recent[p].item_key);
        float x[DIM_MAX];
        if (slot == MR_MAP_NONE)
            continue;
        memcpy(x, mr_matrix_row(means, slot), encoder.n * sizeof *x);
        x[0] = 0.0f;
        mr_encoder_take(&encoder, x, read, z);
    }
    mr_encoder_end(&encoder, read, z);
    z[0] = 1.0f;
}

// Adds the gradients by the maps of the log-likelihood, dz by z.
static void learn_user(const mr_instance *self, const mr_view *view, mr_encoded *read, float *dz,
                       mr_deltas *deltas)
{
    const mr_encoder encoder = encoder_of(self, view);
    const uint32_t f = self->family_first + FAMILY_MAPS;
    float *gradients[MR_ENCODER_MAPS];
    if (read->steps == 0)
        return;
    dz[0] = 0.0f; // that one is 1
    for (uint32_t m = 0; m < MR_ENCODER_MAPS; m++) {
        gradients[m] = mr_deltas_at(deltas, f, mr_slots_find(&view->named[f].slots, m));
        gradients[m][mr_map_floats(encoder.n)] += 1.0f;
    }
    mr_encoder_back(&encoder, read, dz, gradients);
}

// ---- learning

typedef struct offer { // what a choice was made from
    uint32_t count, chosen;
    uint32_t slots[LENGTH_MAX];
    float scores[LENGTH_MAX]; // then probabilities
    float none;
} offer;

static void learn_item(const mr_instance *self, const mr_view *view, uint32_t slot, float p,
                       float y, const float *z, mr_deltas *deltas)
{
    const uint32_t n = dim(self->config);
    item *delta = mr_deltas_at(deltas, self->family_first + FAMILY_ITEM, slot);
    delta->choices += 1.0f;
    for (uint32_t d = 0; d < n; d++)
        delta->values[d] += p * (1.0f - p) * z[d] * z[d];
    view->vec->axpy(delta->values + n, y - p, z, n);
}

// The group of an item that stood in a choice is learned anew if it is time.
static void wake_group(const mr_instance *self, const mr_view *view, uint32_t slot, int64_t time_ms,
                       mr_deltas *deltas)
{
    const config *c = self->config;
    const uint32_t f = self->family_first + FAMILY_GROUP;
    const uint32_t at = group_of(self->config, item_row(self, view, slot));
    const group *g = named(self, view, FAMILY_GROUP, at);
    if (c->refresh_s > 0 && (double)(time_ms - g->time_ms) >= c->refresh_s * 1000.0)
        combine_groups(c, mr_deltas_at(deltas, f, mr_slots_find(&view->named[f].slots, at)),
                       &time_ms);
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal, offer *of,
                  mr_deltas *deltas)
{
    const mr_matrix *means = &((const cache *)self->cache)->means;
    const uint32_t n = dim(self->config), f = self->family_first + FAMILY_LENGTH;
    float z[DIM_MAX], dz[DIM_MAX] = {0};
    mr_encoded read;
    read_user(self, view, signal->user, &read, z);
    for (uint32_t i = 0; i < of->count; i++)
        of->scores[i] += view->vec->dot(mr_matrix_row(means, of->slots[i]), z, n);
    of->none = mr_choice_probabilities(of->scores, of->count, score_of_none(self, view, of->count));
    for (uint32_t i = 0; i < of->count; i++) {
        const float y = i == of->chosen ? 1.0f : 0.0f;
        learn_item(self, view, of->slots[i], of->scores[i], y, z, deltas);
        wake_group(self, view, of->slots[i], signal->time_ms, deltas);
        view->vec->axpy(dz, y - of->scores[i], mr_matrix_row(means, of->slots[i]), n);
    }
    const length one = {of->none * (1.0f - of->none),
                        (of->chosen == NOTHING ? 1.0f : 0.0f) - of->none};
    const uint32_t at = mr_slots_find(&view->named[f].slots, of->count);
    mr_family_combine(&families[FAMILY_LENGTH], self->config, mr_deltas_at(deltas, f, at), &one);
    learn_user(self, view, &read, dz, deltas);
}

// What was not clicked before, and the one that is now (an option; NOTHING: none is).
static void choose(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                   const mr_pending *slate, uint32_t chosen, mr_deltas *deltas)
{
    offer of = {.chosen = NOTHING};
    for (uint32_t i = 0; i < slate->count; i++) {
        const uint32_t slot = mr_items_find(view->items, slate->options[i].item);
        if (slate->options[i].clicked || slot == MR_MAP_NONE)
            continue;
        of.chosen = i == chosen ? of.count : of.chosen;
        of.slots[of.count] = slot;
        of.scores[of.count++] = slate->options[i].offset;
    }
    if (of.count > 0)
        learn(self, view, signal, &of, deltas);
}

// A slate that has waited its time without a click has been answered by none.
static void show(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                 mr_deltas *deltas)
{
    const mr_slates_room room = room_of(self->config);
    mr_slates *of = mr_user_part(self, mr_view_user(view, signal->user));
    if (signal->position <= 0 || mr_slates_count(room, of) == 0) {
        const mr_pending *leaving = mr_slates_leaving(room, of);
        if (leaving != NULL && leaving->clicks == 0)
            choose(self, view, signal, leaving, NOTHING, deltas);
        mr_slates_begin(room, of, signal->list, signal->time_ms);
    }
    mr_slates_put(room, of, signal->item_key,
                  signal->examined > 0 ? (float)mr_log((double)signal->examined) : 0.0f);
}

static void click(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  mr_deltas *deltas)
{
    const config *c = self->config;
    mr_slates *of = mr_user_part(self, mr_view_user(view, signal->user));
    uint32_t option;
    mr_pending *slate = mr_slates_find(room_of(c), of, signal->item_key, signal->list,
                                       signal->time_ms, c->within_s, &option);
    if (slate == NULL || slate->options[option].clicked)
        return;
    choose(self, view, signal, slate, option, deltas);
    slate->options[option].clicked = 1;
    slate->clicks++;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind == MR_SIGNAL_SHOWN)
            show(self, view, signal, deltas);
        else if (signal->kind == MR_SIGNAL_ACT && signal->weight > 0.0f && !signal->organic)
            click(self, view, signal, deltas);
    }
}

static void describe(const mr_instance *self, const mr_view *view, const mr_described *described,
                     struct mr_deltas *deltas)
{
    const config *c = self->config;
    uint64_t scratch[(sizeof(item) + 2 * DIM_MAX * 4) / 8] = {0};
    item *word = (item *)(void *)scratch;
    (void)view;
    word->time_ms = described->time_ms;
    if (described->token_count > 0)
        word->word = (uint32_t)described->tokens[0] != 0 ? (uint32_t)described->tokens[0] : 1;
    combine_items(c, mr_deltas_at(deltas, self->family_first + FAMILY_ITEM, described->item), word);
}

// ---- at the owner

static void apply_item(const mr_instance *self, const mr_view *view, uint64_t key,
                       const item *delta, item *row)
{
    prior p;
    if (delta->choices > 0) { // judged at the group that it had
        const mr_belief of = belief_of(self, view, key, row, &p);
        mr_belief_learn(&of, delta->values, delta->values + of.n);
        row->choices += delta->choices;
    }
    if (delta->time_ms > 0 && delta->time_ms >= row->time_ms) {
        row->time_ms = delta->time_ms;
        row->word = delta->word;
    }
}

typedef struct learned { // of a group
    mr_group_sums mean[DIM_MAX];
    double squares[DIM_MAX], items;
} learned;

static void add_member(const mr_instance *self, const mr_view *view, uint32_t slot, const group *g,
                       learned *to)
{
    const uint32_t n = dim(self->config);
    item *row = item_row(self, view, slot);
    float start[DIM_MAX], mean[DIM_MAX], variance[DIM_MAX];
    prior p;
    const mr_belief of = belief_of(self, view, view->items->slots.keys[slot], row, &p);
    mr_belief_read(&of, mean, variance);
    draw_start(self->config, view->items->slots.keys[slot], view->seed, start);
    for (uint32_t d = 0; d < n; d++) {
        const float off = mean[d] - p.mean[d];
        const float shift = row->values[n + d] - row->values[d] * start[d]; // around the group
        mr_group_add(&to->mean[d], (double)row->values[d], (double)shift, (double)g->values[n + d]);
        to->squares[d] += (double)(off * off + variance[d]);
    }
    to->items += 1;
}

// All of the group's items that stood in a choice, in order of their keys.
static void apply_group(const mr_instance *self, const mr_view *view, uint64_t key, int64_t time_ms,
                        group *row)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    const double wide = c->prior * c->prior;
    learned sums = {0};
    float start[DIM_MAX] = {0};
    if ((double)(time_ms - row->time_ms) < c->refresh_s * 1000.0)
        return;
    for (uint32_t i = 0; i < view->items->order_count; i++) {
        const uint32_t slot = view->items->order[i];
        const item *of = item_row(self, view, slot);
        if (of->choices > 0 && group_of(c, of) == key)
            add_member(self, view, slot, row, &sums);
    }
    if (key > 0)
        draw_start(c, key, view->seed, start);
    for (uint32_t d = 0; d < n && sums.items > 0; d++) {
        double left;
        float *variance = &row->values[n + d];
        *variance += variance_share * ((float)(sums.squares[d] / sums.items) - *variance);
        *variance = *variance > variance_least ? *variance : variance_least;
        *variance = *variance < variance_most ? *variance : variance_most;
        row->values[d] = (float)mr_group_mean(&sums.mean[d], (double)start[d], wide, &left);
    }
    row->time_ms = time_ms;
}

static void apply_map(const mr_instance *self, const mr_view *view, const float *delta, float *row)
{
    const config *c = self->config;
    const uint32_t n = map_floats(c);
    float sum[DIM_MAX * (DIM_MAX + 1)];
    const mr_optimiser optimiser = {
        .kind = MR_OPTIMISER_ADAGRAD, .rate = (float)c->rate, .norm_max = 1e6f};
    view->vec->set(sum, -1.0f, delta, n); // up the likelihood
    const mr_gradient gradient = {
        .sum = sum, .squares = view->vec->dot(sum, sum, n) / (float)n, .events = delta[n]};
    if (n > 0 && gradient.events > 0.0f)
        mr_optimiser_step(&optimiser, view->vec, row, n, &gradient);
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    const length *more = delta;
    if (family == FAMILY_ITEM) {
        apply_item(self, view, key, delta, row);
    } else if (family == FAMILY_GROUP) {
        apply_group(self, view, key, *(const int64_t *)delta, row);
    } else if (family == FAMILY_LENGTH) {
        const float start = none_start((uint32_t)key);
        const mr_belief of = none_of(&start, row);
        mr_belief_learn(&of, &more->precision, &more->shift);
    } else {
        apply_map(self, view, delta, row);
    }
}

// ---- serving

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const uint32_t n = dim(self->config);
    const size_t mark = arena->used;
    float *queries = mr_arena_push(arena, (size_t)user_count * n * sizeof *queries);
    for (uint32_t u = 0; u < user_count; u++) {
        mr_encoded read;
        float z[DIM_MAX];
        read_user(self, view, users[u], &read, z);
        memcpy(queries + (size_t)u * n, z, n * sizeof *z);
    }
    mr_matrix_find(&((const cache *)self->cache)->means, view, queries, user_count, filters, arena,
                   found);
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t out_stride,
                  mr_arena *arena)
{
    (void)arena, (void)out_stride;
    mr_encoded read;
    float z[DIM_MAX];
    read_user(self, view, user, &read, z);
    view->vec->dot_rows(z, ((const cache *)self->cache)->means.rows, slots, slot_count,
                        dim(self->config), out);
}

static void spread(const mr_instance *self, const mr_view *view, uint32_t user,
                   const uint32_t *slots, uint32_t slot_count, float *mean, float *deviation)
{
    const cache *derived = self->cache;
    const uint32_t n = dim(self->config);
    mr_encoded read;
    float z[DIM_MAX];
    read_user(self, view, user, &read, z);
    view->vec->dot_rows(z, derived->means.rows, slots, slot_count, n, mean);
    for (uint32_t d = 0; d < n; d++)
        z[d] *= z[d];
    view->vec->dot_rows(z, derived->variance, slots, slot_count, n, deviation);
    for (uint32_t i = 0; i < slot_count; i++)
        deviation[i] = __builtin_sqrtf(deviation[i]);
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    const uint32_t count = (uint32_t)((const config *)self->config)->length;
    if (max == 0)
        return 0;
    out[0] = (mr_measure){"score_of_none", (double)score_of_none(self, view, count)};
    return 1;
}

static const mr_column columns[] = {{"slate_choice", MR_SCALE_REAL}};

const mr_model mr_model_slate_choice = {
    .state = {.name = "slate_choice",
              .source = "Dynamic Slate Recommendation with Gated Recurrent Units and Thompson "
                        "Sampling",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 5,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .describe = describe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
    .spread = spread,
};
