// SPDX-License-Identifier: Apache-2.0
// popularity_gradient: the embedding's scores without what drives popular items alike. Off unless
// `dim` is set.
//
// Each act on item i moves its vector by (1 - sigma(u.v_i)) u/|u|. The items that are acted on most
// are moved most, all of them along what users have in common: the direction of the faded sum g of
// all acts. A score is then, of the two words of `by`,
//     gradient  u.v', v' = v - beta rho (v.g^) g^, g^ = g/|g|, rho = (acts of i / most acts)^1/2
//     count     u.v - beta ln(1 + acts of i), the plain way
// Rows of the embedding stay as they are: what is taken away is computed where a score is asked
// for, from two products more, so no item's row is served anew when the direction turns.
// Departures: users' vectors are not normalised in training; users' own popularity is left alone;
// acts are counted, not faded, in rho.
// Source: "Mitigating Popularity Bias in Recommendation with Unbalanced Interactions: A Gradient
// Perspective"; the formulas beyond its summary are ours.
#include "core/model/popularity_gradient.h"

#include "core/deltas.h"
#include "core/list/found.h"
#include "core/model/decay.h"
#include "core/model/stand_in.h"

typedef enum kind { BY_GRADIENT, BY_COUNT } kind;

typedef struct config {
    double dim, by, beta, half_life_days;
} config;

static const mr_param params[] = {
    {"dim", "", "length of the vectors whose gradients are summed, the embedding's dim; 0: off",
     offsetof(config, dim), 0, 0, MR_SPACE_DIM_MAX},
    {"by", "gradient | count",
     "what is taken away from a score: its part along the popular direction, or the logarithm of "
     "the item's acts",
     offsetof(config, by), BY_GRADIENT, 0, BY_COUNT},
    {"beta", "", "how much of it; 0: the embedding's own score", offsetof(config, beta), 0.5, 0, 1},
    {"half_life_days", "days", "time after which an act counts half in the direction",
     offsetof(config, half_life_days), 7, 0.01, 10000},
    {0},
};

typedef struct direction { // in units of its era
    int64_t era;
    uint64_t most; // acts on the item that has most
    float sum[];   // dim
} direction;

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static mr_decay_weight weight_of(const config *c, int64_t time_ms)
{
    return mr_decay_weight_of(time_ms, (int64_t)(c->half_life_days * 86400000.0));
}

static uint32_t direction_bytes(const void *c)
{
    return (uint32_t)sizeof(direction) + dim(c) * (uint32_t)sizeof(float);
}

// Weight of `era` in units of a later one.
static float faded(int64_t era, int64_t later)
{
    return era == later ? 1.0f : era + 1 == later ? 0x1p-16f : 0.0f;
}

// A sum of zeros is of no era.
static void enter_era(direction *d, int64_t era, uint32_t n)
{
    const float left = d->era < era ? faded(d->era, era) : 1.0f;
    for (uint32_t i = 0; left < 1.0f && i < n; i++)
        d->sum[i] *= left;
    d->era = d->era < era ? era : d->era;
}

static void combine(const void *c, void *into, const void *from)
{
    direction *to = into;
    const direction *more = from;
    enter_era(to, more->era, dim(c));
    const float weight = faded(more->era, to->era);
    for (uint32_t i = 0; i < dim(c); i++)
        to->sum[i] += weight * more->sum[i];
    to->most = more->most > to->most ? more->most : to->most;
}

static const mr_family families[] = {
    {.name = "direction",
     .key = MR_KEY_NAMED,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_bytes = direction_bytes,
     .delta_bytes = direction_bytes,
     .combine = combine},
};

static const mr_named *rows_of(const mr_instance *self, const mr_view *view)
{
    return &view->named[self->family_first];
}

// ---- learning

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    const uint32_t n = dim(self->config);
    const mr_space space = mr_space_of(view, "embedding", n);
    const uint32_t slot = mr_slots_find(&rows_of(self, view)->slots, 0);
    float of_user[MR_SPACE_DIM_MAX], of_item[MR_SPACE_DIM_MAX];
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        const float *u = mr_space_user(&space, signal->user, of_user);
        const float *v = mr_space_item(&space, signal->item, of_item);
        const double squares = (double)view->vec->dot(u, u, n);
        const mr_decay_weight now = weight_of(self->config, signal->time_ms);
        const uint64_t acts = mr_items_at(view->items, signal->item)->events + 1ull;
        direction *delta = mr_deltas_at(deltas, self->family_first, slot);
        enter_era(delta, now.era, n);
        delta->most = acts > delta->most ? acts : delta->most;
        if (!(squares > 0))
            continue;
        const double wrong = mr_sigmoid(-(double)view->vec->dot(u, v, n));
        const double size = (double)signal->weight * wrong / __builtin_sqrt(squares);
        view->vec->axpy(delta->sum, (float)(size * now.growth) * faded(now.era, delta->era), u, n);
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine(self->config, row, delta);
}

// ---- serving

typedef struct correction {
    const config *c;
    const mr_view *view;
    mr_space space;
    const direction *row;
    float unit; // 1 / |g|; 0: nothing is known yet
    uint32_t n;
} correction;

static correction open_correction(const mr_instance *self, const mr_view *view)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    const direction *row = mr_named_find(rows_of(self, view), 0);
    const float squares = view->vec->dot(row->sum, row->sum, n);
    return (correction){.c = c,
                        .view = view,
                        .space = mr_space_of(view, "embedding", n),
                        .row = row,
                        .unit = squares > 0 ? 1.0f / __builtin_sqrtf(squares) : 0.0f,
                        .n = n};
}

static float along(const correction *k, const float *v)
{
    return k->unit * k->view->vec->dot(v, k->row->sum, k->n);
}

// Takes away from the embedding's scores of a user.
static void correct(const correction *k, uint32_t user, const uint32_t *slots, uint32_t count,
                    float *scores)
{
    float scratch[MR_SPACE_DIM_MAX];
    const float beta = (float)k->c->beta;
    const float of_user = along(k, mr_space_user(&k->space, user, scratch));
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t acts = mr_items_at(k->view->items, slots[i])->events;
        if ((kind)k->c->by == BY_COUNT)
            scores[i] -= beta * (float)mr_log(1.0 + (double)acts);
        else
            scores[i] -= mr_popularity_lost(beta, mr_popularity_share(acts, k->row->most), of_user,
                                            along(k, mr_space_item(&k->space, slots[i], scratch)));
    }
}

static const mr_model *embedding_of(const correction *k)
{
    return (const mr_model *)(const void *)k->space.of->state;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    const correction k = open_correction(self, view);
    embedding_of(&k)->score(k.space.of, view, user, slots, slot_count, out, stride, arena);
    correct(&k, user, slots, slot_count, out);
}

// Those that are nearest to the user's vector, and to what of it is not along the direction.
static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    const correction k = open_correction(self, view);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", user_count, arena);
    mr_found *near = mr_arena_push(arena, 2 * user_count * sizeof *near);
    for (uint32_t u = 0; u < user_count; u++) {
        float scratch[MR_SPACE_DIM_MAX], *to = mr_stand_ins_vector(&all, u);
        const float *of = mr_space_user(&k.space, users[u], scratch);
        memcpy(to, of, (k.n < all.length ? k.n : all.length) * sizeof *to);
        if (k.n <= all.length)
            view->vec->axpy(to, -(float)k.c->beta * k.unit * along(&k, of), k.row->sum, k.n);
        near[u].max = near[user_count + u].max = MR_FOUND_MAX;
    }
    mr_stand_ins_find(&all, filters, arena, near);
    embedding_of(&k)->candidates(k.space.of, view, users, user_count, 0, filters, arena,
                                 near + user_count);
    for (uint32_t u = 0; u < user_count; u++) {
        uint32_t slots[2 * MR_FOUND_MAX];
        float scores[2 * MR_FOUND_MAX];
        const mr_found *own = &near[user_count + u];
        memcpy(slots, near[u].slots, near[u].count * sizeof *slots);
        memcpy(slots + near[u].count, own->slots, own->count * sizeof *slots);
        const uint32_t count = mr_slots_sort(slots, near[u].count + own->count);
        score(self, view, users[u], slots, count, scores, 0, arena);
        mr_found_choose(&found[u], view->items, slots, scores, count, arena);
    }
    arena->used = mark;
}

static const mr_column columns[] = {{"popularity_gradient", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_popularity_gradient = {
    .state = {.name = "popularity_gradient",
              .source = "Mitigating Popularity Bias in Recommendation with Unbalanced "
                        "Interactions: A Gradient Perspective",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 1,
              .needs = needs,
              .observe = observe,
              .apply = apply},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
