// SPDX-License-Identifier: Apache-2.0
// pi2i: of all that stands beside a user's newest items, what is for him. Off unless `triggers` is
// set.
//
// Triggers are the user's newest items, candidates everything in their tables of co-visited items
// (covisit's, uncut). A pair of a trigger i and a target j has features x: how often they went
// together, how near that makes them, how popular both are, j's place in the table, the trigger's
// age, place and kind of act, how near the vectors of j, i and the user are, and whether their
// category is the same. The network g(x) of pair_net.h weighs the pair, G = ln sum exp g over the
// triggers that have j (or the largest g) the target, and the column is exp G, 0 where no trigger
// has it.
// One act in `every` is learned from, if a trigger's table has its item: softmax of G over it and
// `negatives` other targets drawn from the same tables. How often a table has it is the index's
// ceiling, which no scorer can pass: `reach` among the metrics. Gradients are of the network alone,
// summed over the events of a round, for one owner, who takes a step of Adam. At the start W2 = 0,
// and G goes by similarity.
// Source: "PI2I: A Personalized Item-Based Collaborative Filtering Retrieval Framework".
// Departures: (1) those of pair_net.h, (2) tables are as long as covisit's, which are bounded at 64
// instead of at hundreds, so that nothing has to be cut before it is scored, (3) no prices.
#include "core/deltas.h"
#include "core/model/neighbours.h"
#include "core/model/optimiser.h"
#include "core/model/pair_net.h"
#include "core/model/stand_in.h"

enum { TRIGGERS_MAX = MR_RECENT_MAX, NEGATIVES_MAX = 32, TRIES = 4 };
enum { OVER_LSE, OVER_MAX };
enum {
    X_ONE,
    X_COUNT,
    X_SIMILARITY, // c / (sqrt(n_i n_j) + shrink)
    X_SHARE,      // c / (n_i + shrink)
    X_POPULARITY,
    X_PLACE,
    X_AGE,
    X_CLICK,
    X_CART,
    X_PURCHASE,
    X_ITEMS, // v_i . v_j
    X_USER,  // u . v_j
    X_CATEGORY,
    X_RECENCY,
    X_TRIGGER,
    X_NONE,
};
_Static_assert((int)X_NONE < (int)MR_PAIR_X, "all features have a place");
static const float begin_weight = 10.0f; // of X_SIMILARITY
static const float clip = 15.0f;         // of G, before it is raised

typedef struct config {
    double triggers, over, negatives, every, rate, shrink;
} config;

static const mr_param params[] = {
    {"triggers", "", "newest items of the user whose tables are looked at; 0: off",
     offsetof(config, triggers), 0, 0, TRIGGERS_MAX},
    {"over", "lse | max", "how triggers that have the same target add up", offsetof(config, over),
     OVER_LSE, 0, 1},
    {"negatives", "", "targets that an act's item is compared with", offsetof(config, negatives), 8,
     1, NEGATIVES_MAX},
    {"every", "", "one act in so many is learned from", offsetof(config, every), 4, 1, 1e6},
    {"rate", "", "learning rate of Adam", offsetof(config, rate), 0.003, 0, 1},
    {"shrink", "", "added to the norm of similarities: doubts rare pairs", offsetof(config, shrink),
     5, 0, 1e6},
    {0},
};

// ---- rows

typedef struct lesson { // a delta of the network's row
    mr_pair_net gradient;
    float examples, reserved;
} lesson;

typedef struct reach { // a row, and a delta
    uint64_t acts, found;
} reach;

enum { FAMILY_NET, FAMILY_REACH };

static bool on(const void *c)
{
    return ((const config *)c)->triggers >= 1;
}

static uint32_t net_bytes(const void *c)
{
    (void)c;
    return 4 * (MR_PAIR_FLOATS + mr_optimiser_floats(MR_OPTIMISER_ADAM, MR_PAIR_FLOATS));
}

static void init_net(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)c;
    mr_pair_net *net = row;
    mr_rng rng = mr_rng_make(seed, 0, 0, key, MR_PURPOSE_PAIRS);
    for (uint32_t h = 0; h < MR_PAIR_HIDDEN; h++)
        for (uint32_t i = 0; i < MR_PAIR_X; i++)
            net->w1[h][i] = 0.2f * mr_rng_normal(&rng);
    net->w3[X_SIMILARITY] = begin_weight;
}

static void combine_reach(const void *c, void *into, const void *from)
{
    (void)c;
    ((reach *)into)->acts += ((const reach *)from)->acts;
    ((reach *)into)->found += ((const reach *)from)->found;
}

static const mr_family families[] = {
    [FAMILY_NET] = {.name = "net",
                    .key = MR_KEY_NAMED,
                    .delta = MR_DELTA_SUM,
                    .version = 1,
                    .row_bytes = net_bytes,
                    .delta_size = sizeof(lesson),
                    .init = init_net},
    [FAMILY_REACH] = {.name = "reach",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(reach),
                      .delta_size = sizeof(reach),
                      .combine = combine_reach},
};

// ---- triggers and pairs

typedef struct trigger {
    float x[MR_PAIR_X]; // what is the same of all its pairs
    const mr_item *item;
    float vector[MR_SPACE_DIM_MAX];
    float total; // n_i
    uint32_t count;
    mr_table_entry pairs[MR_NEIGHBOURS_MAX];
    uint8_t place[MR_NEIGHBOURS_MAX]; // by count
} trigger;

typedef struct reader { // a user
    const config *c;
    const mr_view *view;
    const mr_pair_net *net;
    mr_space space;
    const float *user;
    uint32_t count;
    trigger triggers[TRIGGERS_MAX];
} reader;

static float log_of(float x) // of 0 and more, about 1 where x is a hundred
{
    return 0.2f * (float)mr_log(1.0 + (double)x);
}

static float cut(float x)
{
    return x > 5.0f ? 5.0f : x < -5.0f ? -5.0f : x;
}

static void place_pairs(trigger *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t before = 0;
        for (uint32_t j = 0; j < t->count; j++)
            before += t->pairs[j].count > t->pairs[i].count;
        t->place[i] = (uint8_t)before;
    }
}

static void read_trigger(reader *r, const mr_recent *recent, uint32_t place, int64_t time_ms)
{
    const uint32_t slot = mr_items_find(r->view->items, recent->item_key);
    trigger *t = &r->triggers[r->count];
    if (slot == MR_MAP_NONE)
        return;
    t->count = mr_view_table(r->view, "covisit", slot, &t->total, t->pairs, MR_NEIGHBOURS_MAX);
    if (t->count == 0)
        return;
    const float age_h = ((float)time_ms / 1000.0f - (float)recent->time_s) / 3600.0f;
    const uint32_t kind = recent->act == MR_EVENT_PURCHASE ? X_PURCHASE
                          : recent->act == MR_EVENT_CART   ? X_CART
                                                           : X_CLICK;
    float scratch[MR_SPACE_DIM_MAX];
    memcpy(t->vector, mr_space_item(&r->space, slot, scratch), r->space.dim * sizeof(float));
    memset(t->x, 0, sizeof t->x);
    t->item = mr_items_at(r->view->items, slot);
    t->x[X_ONE] = t->x[kind] = 1.0f;
    t->x[X_AGE] = log_of(age_h > 0.0f ? age_h : 0.0f);
    t->x[X_RECENCY] = 1.0f / (float)(place + 1);
    t->x[X_TRIGGER] = log_of(t->total);
    place_pairs(t);
    r->count++;
}

// The user's triggers with their tables, as they stand before `time_ms`.
static reader *read_user(const mr_instance *self, const mr_view *view, uint32_t slot,
                         int64_t time_ms, mr_arena *arena)
{
    reader *r = mr_arena_push(arena, sizeof *r);
    const mr_user *user = mr_view_user(view, slot);
    uint32_t dim;
    r->c = self->config;
    r->view = view;
    r->net = mr_named_find(&view->named[self->family_first + FAMILY_NET], 0);
    r->user = mr_view_vector(view, "embedding", MR_KEY_USER, slot, &dim);
    r->space = mr_space_of(view, "embedding", dim);
    r->count = 0;
    for (uint32_t p = 0; p < user->recent_count && p < (uint32_t)r->c->triggers; p++)
        if (!mr_neighbours_earlier(user, p))
            read_trigger(r, &user->recent[p], p, time_ms);
    return r;
}

static void features(const reader *r, const trigger *t, uint32_t which, float x[MR_PAIR_X])
{
    const mr_table_entry *pair = &t->pairs[which];
    const mr_item *item = mr_items_at(r->view->items, pair->slot);
    const float shrink = (float)r->c->shrink;
    float scratch[MR_SPACE_DIM_MAX];
    const float *v = mr_space_item(&r->space, pair->slot, scratch);
    memcpy(x, t->x, sizeof t->x);
    x[X_COUNT] = log_of(pair->count);
    x[X_SIMILARITY] = pair->count / (__builtin_sqrtf(t->total * pair->total) + shrink);
    x[X_SHARE] = pair->count / (t->total + shrink);
    x[X_POPULARITY] = log_of(pair->total);
    x[X_PLACE] = (float)t->place[which] / (float)MR_NEIGHBOURS_MAX;
    x[X_ITEMS] = cut(r->view->vec->dot(t->vector, v, r->space.dim));
    x[X_USER] = cut(r->view->vec->dot(r->user, v, r->space.dim));
    x[X_CATEGORY] =
        item->categories[0] != 0 && item->categories[0] == t->item->categories[0] ? 1.0f : 0.0f;
}

// ---- learning

typedef struct example { // a target, and the pairs that it is in
    uint32_t slot, count;
    float g[TRIGGERS_MAX], shares[TRIGGERS_MAX];
    float x[TRIGGERS_MAX][MR_PAIR_X], hidden[TRIGGERS_MAX][MR_PAIR_HIDDEN];
} example;

static bool among_recent(const mr_user *user, uint64_t key)
{
    for (uint32_t p = 0; p < user->recent_count; p++)
        if (user->recent[p].item_key == key)
            return true;
    return false;
}

// A target of a trigger's table, no other example's and none of the user's newest items.
static bool draw_target(const reader *r, const mr_user *user, const example *all, uint32_t count,
                        mr_rng *rng, uint32_t *slot)
{
    for (uint32_t attempt = 0; attempt < TRIES; attempt++) {
        const trigger *t = &r->triggers[mr_rng_below(rng, r->count)];
        *slot = t->pairs[mr_rng_below(rng, t->count)].slot;
        bool known = among_recent(user, r->view->items->slots.keys[*slot]);
        for (uint32_t e = 0; e < count; e++)
            known |= all[e].slot == *slot;
        if (!known)
            return true;
    }
    return false;
}

// Returns G; 0 where no trigger has the target, with count 0.
static float fill(const reader *r, example *e, uint32_t slot)
{
    e->slot = slot;
    e->count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const trigger *t = &r->triggers[i];
        uint32_t which = 0;
        while (which < t->count && t->pairs[which].slot != slot)
            which++;
        if (which == t->count)
            continue;
        features(r, t, which, e->x[e->count]);
        e->g[e->count] = mr_pair_score(r->net, r->view->vec, e->x[e->count], e->hidden[e->count]);
        e->count++;
    }
    return e->count > 0 ? mr_pair_pool(e->g, e->count, r->c->over >= OVER_MAX, e->shares) : 0.0f;
}

// Softmax of G over the targets, of which the first is the act's: adds the network's gradient.
static void push_back(const reader *r, const example *all, const float *scores, uint32_t count,
                      float weight, mr_pair_net *gradient)
{
    float shares[NEGATIVES_MAX + 1];
    (void)mr_pair_pool(scores, count, false, shares);
    for (uint32_t e = 0; e < count; e++)
        for (uint32_t i = 0; i < all[e].count; i++)
            mr_pair_back(r->net, r->view->vec, all[e].x[i], all[e].hidden[i],
                         weight * (shares[e] - (e == 0 ? 1.0f : 0.0f)) * all[e].shares[i],
                         gradient);
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  mr_deltas *deltas, mr_rng *rng, mr_arena *arena)
{
    const uint32_t f = self->family_first;
    const mr_named *nets = &view->named[f + FAMILY_NET], *reaches = &view->named[f + FAMILY_REACH];
    const mr_user *user = mr_view_user(view, signal->user);
    const reader *r = read_user(self, view, signal->user, signal->time_ms, arena);
    if (r->count == 0)
        return;
    example *all = mr_arena_push(arena, (NEGATIVES_MAX + 1) * sizeof *all);
    float scores[NEGATIVES_MAX + 1];
    uint32_t count = 1, slot;
    scores[0] = fill(r, &all[0], signal->item);
    reach *seen = mr_deltas_at(deltas, f + FAMILY_REACH, mr_slots_find(&reaches->slots, 0));
    seen->acts++;
    seen->found += all[0].count > 0;
    if (all[0].count == 0)
        return;
    for (uint32_t n = 0; n < (uint32_t)r->c->negatives; n++)
        if (draw_target(r, user, all, count, rng, &slot)) {
            scores[count] = fill(r, &all[count], slot);
            count++;
        }
    if (count == 1)
        return;
    lesson *to = mr_deltas_at(deltas, f + FAMILY_NET, mr_slots_find(&nets->slots, 0));
    push_back(r, all, scores, count, signal->weight, &to->gradient);
    to->examples += signal->weight;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT || signal->repeat || !(signal->weight > 0.0f))
            continue;
        mr_rng rng =
            mr_rng_make(view->seed, view->task, view->epoch, signal->index, MR_PURPOSE_PAIRS);
        const size_t mark = arena->used;
        if (mr_rng_below(&rng, (uint32_t)c->every) == 0)
            learn(self, view, signal, deltas, &rng, arena);
        arena->used = mark;
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    const config *c = self->config;
    if (family == FAMILY_REACH) {
        combine_reach(c, row, delta);
        return;
    }
    const lesson *of = delta;
    const float *sum = (const float *)(const void *)&of->gradient;
    const mr_optimiser optimiser = {
        .kind = MR_OPTIMISER_ADAM, .rate = (float)c->rate, .norm_max = 1e6f};
    const mr_gradient gradient = {.sum = sum,
                                  .squares =
                                      view->vec->dot(sum, sum, MR_PAIR_FLOATS) / MR_PAIR_FLOATS,
                                  .events = of->examples};
    if (of->examples > 0.0f)
        mr_optimiser_step(&optimiser, view->vec, row, MR_PAIR_FLOATS, &gradient);
}

// ---- serving

static void add_pair(const reader *r, const trigger *t, uint32_t which, mr_sums *sums)
{
    float x[MR_PAIR_X], hidden[MR_PAIR_HIDDEN];
    const uint32_t slot = t->pairs[which].slot;
    features(r, t, which, x);
    const float g = mr_pair_score(r->net, r->view->vec, x, hidden);
    const float share = mr_expf(g > clip ? clip : g < -clip ? -clip : g);
    const float before = r->c->over >= OVER_MAX ? mr_sums_of(sums, slot) : 0.0f;
    if (share > before)
        mr_sums_add(sums, slot, share - before);
}

// What the tables of a user's triggers come to: made once for a user, kept in the arena for the
// calls that follow.
static const mr_sums *targets_of(const mr_instance *self, const mr_view *view, uint32_t user,
                                 mr_arena *arena)
{
    mr_memo *memo = &view->memos[self - view->instances];
    if (memo->user == user)
        return memo->data;
    mr_sums *sums = mr_arena_push(arena, sizeof *sums);
    const size_t mark = arena->used;
    const reader *r = read_user(self, view, user, view->clock_ms, arena);
    mr_sums_clear(sums);
    for (uint32_t i = 0; i < r->count; i++)
        for (uint32_t which = 0; which < r->triggers[i].count; which++)
            add_pair(r, &r->triggers[i], which, sums);
    arena->used = mark;
    *memo = (mr_memo){user, sums};
    return sums;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    for (uint32_t u = 0; u < user_count; u++)
        mr_sums_choose(targets_of(self, view, users[u], arena), &filters[u], arena, &found[u]);
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    mr_sums_read(targets_of(self, view, user, arena), slots, slot_count, out);
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    const reach *of = mr_named_find(&view->named[self->family_first + FAMILY_REACH], 0);
    if (max == 0)
        return 0;
    out[0] = (mr_measure){"reach", of->acts > 0 ? (double)of->found / (double)of->acts : 0.0};
    return 1;
}

static const mr_column columns[] = {{"pi2i", MR_SCALE_COUNT}};
static const char *const needs[] = {"covisit", "embedding", NULL};

const mr_model mr_model_pi2i = {
    .state = {.name = "pi2i",
              .source = "PI2I: A Personalized Item-Based Collaborative Filtering Retrieval "
                        "Framework",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .needs = needs,
              .observe = observe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns,
    .candidates = candidates,
    .score = score,
};
