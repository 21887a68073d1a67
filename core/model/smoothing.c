// SPDX-License-Identifier: Apache-2.0
// smoothing: users and items as their neighbours in the graph of acts see them, at linear cost. Off
// unless `dim` is set.
//
// With x the vectors of the embedding and S_ui = 1 / sqrt(d_u d_i), a smoothed vector is
//     z_i = alpha x_i + (1 - alpha) sum_u S_ui x_u,   z_u = alpha x_u + (1 - alpha) sum_i S_ui z_i
// and an item's score is z_u . z_i. An item keeps what the users who acted on it bring, a faded
// M_i = sum_u x_u / sqrt(d_u) and their number d_i: a delta an act. A user keeps nothing: his
// neighbours are his newest items, which are read again whenever he is asked about. So a user is
// two steps from others, an item one, and gradients do not pass: the vectors are the embedding's.
// Departures: x_u and d_u (his acts, up to MR_RECENT_MAX) are those of the time of the act, and
// stay so; d_i is 1 at least where it divides, so that a fading item cannot outweigh the others.
// Source: He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for
// Recommendation"; the memory of sums: Huang et al., "Linear-Time Graph Neural Networks for
// Scalable Recommendations".
#include "core/deltas.h"
#include "core/list/found.h"
#include "core/model/decay.h"
#include "core/model/stand_in.h"

typedef struct config {
    double dim, alpha, half_life_days;
} config;

static const mr_param params[] = {
    {"dim", "", "length of the vectors that neighbours bring, the embedding's dim; 0: off",
     offsetof(config, dim), 0, 0, MR_SPACE_DIM_MAX},
    {"alpha", "", "share of an item's or a user's own vector; 1: the embedding alone",
     offsetof(config, alpha), 0.5, 0, 1},
    {"half_life_days", "days", "time after which an act counts half",
     offsetof(config, half_life_days), 30, 0.01, 10000},
    {0},
};

typedef struct memory { // of an item: in units of its era
    int64_t era;
    float degree, reserved;
    float sum[]; // dim
} memory;

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_days * 86400000.0);
}

static uint32_t memory_bytes(const void *c)
{
    return (uint32_t)sizeof(memory) + dim(c) * (uint32_t)sizeof(float);
}

// Weight of `era` in units of a later one.
static float faded(int64_t era, int64_t later)
{
    return era == later ? 1.0f : era + 1 == later ? 0x1p-16f : 0.0f;
}

static void add(memory *to, float to_weight, const memory *from, float from_weight, uint32_t n)
{
    to->degree = to_weight * to->degree + from_weight * from->degree;
    for (uint32_t i = 0; i < n; i++)
        to->sum[i] = to_weight * to->sum[i] + from_weight * from->sum[i];
}

static void combine(const void *c, void *into, const void *from)
{
    memory *sum = into;
    const memory *more = from;
    const int64_t later = more->era > sum->era ? more->era : sum->era;
    add(sum, faded(sum->era, later), more, faded(more->era, later), dim(c));
    sum->era = later;
}

static const mr_family families[] = {
    {.name = "memory",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_bytes = memory_bytes,
     .delta_bytes = memory_bytes,
     .combine = combine},
};

// ---- learning

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    const uint32_t n = dim(self->config);
    const mr_space space = mr_space_of(view, "embedding", n);
    float scratch[MR_SPACE_DIM_MAX];
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(self->config));
        memory *delta = mr_deltas_at(deltas, self->family_first, signal->item);
        if (delta->degree > 0.0f && delta->era != now.era) { // of another era than the first
            const int64_t later = now.era > delta->era ? now.era : delta->era;
            add(delta, faded(delta->era, later), delta, 0.0f, n);
            delta->era = later;
        } else {
            delta->era = now.era;
        }
        const float weight = (float)now.growth * faded(now.era, delta->era);
        const uint32_t acts = mr_view_user(view, signal->user)->recent_count + 1;
        const float degree = (float)(acts < MR_RECENT_MAX ? acts : MR_RECENT_MAX);
        delta->degree += weight;
        view->vec->axpy(delta->sum, weight / __builtin_sqrtf(degree),
                        mr_space_user(&space, signal->user, scratch), n);
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine(self->config, row, delta);
}

// ---- serving

typedef struct graph {
    const mr_instance *self;
    const mr_view *view;
    mr_space space;
    mr_decay_time now;
    float alpha;
    uint32_t n;
} graph;

static graph open_graph(const mr_instance *self, const mr_view *view)
{
    const config *c = self->config;
    return (graph){.self = self,
                   .view = view,
                   .space = mr_space_of(view, "embedding", dim(c)),
                   .now = mr_decay_time_of(view->clock_ms, half_life_ms(c)),
                   .alpha = (float)c->alpha,
                   .n = dim(c)};
}

typedef struct smoothed { // z = own x + brought sum
    const float *x, *sum;
    float own, brought, degree;
} smoothed;

static smoothed item_at(const graph *g, uint32_t slot, float scratch[MR_SPACE_DIM_MAX])
{
    const memory *row = mr_items_row(g->view->items, g->self->family_first, slot);
    const mr_decayed one = {.newest = (int64_t)MR_DECAY_UNIT, .era = row->era};
    const float unit = (float)mr_decayed_at(&one, g->now), degree = unit * row->degree;
    const float floored = degree > 1.0f ? degree : 1.0f;
    return (smoothed){.x = mr_space_item(&g->space, slot, scratch),
                      .sum = row->sum,
                      .own = g->alpha,
                      .brought = (1.0f - g->alpha) * unit / __builtin_sqrtf(floored),
                      .degree = floored};
}

static void smooth_user(const graph *g, uint32_t user_slot, float *z)
{
    const mr_user *user = mr_view_user(g->view, user_slot);
    float scratch[MR_SPACE_DIM_MAX];
    g->view->vec->set(z, g->alpha, mr_space_user(&g->space, user_slot, scratch), g->n);
    for (uint32_t p = 0; p < user->recent_count; p++) {
        const uint32_t slot = mr_items_find(g->view->items, user->recent[p].item_key);
        if (slot == MR_MAP_NONE)
            continue;
        const smoothed item = item_at(g, slot, scratch);
        const float weight =
            (1.0f - g->alpha) / __builtin_sqrtf((float)user->recent_count * item.degree);
        g->view->vec->axpy(z, weight * item.own, item.x, g->n);
        g->view->vec->axpy(z, weight * item.brought, item.sum, g->n);
    }
}

static void scores_of(const graph *g, const float *z, const uint32_t *slots, uint32_t count,
                      float *out)
{
    float scratch[MR_SPACE_DIM_MAX];
    for (uint32_t i = 0; i < count; i++) {
        const smoothed item = item_at(g, slots[i], scratch);
        out[i] = item.own * g->view->vec->dot(z, item.x, g->n) +
                 item.brought * g->view->vec->dot(z, item.sum, g->n);
    }
}

// Those whose own vectors are nearest to the user's smoothed one, by their smoothed ones.
static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    const graph g = open_graph(self, view);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", user_count, arena);
    mr_found *near = mr_arena_push(arena, user_count * sizeof *near);
    float *z = mr_arena_push(arena, (size_t)user_count * g.n * sizeof *z);
    for (uint32_t u = 0; u < user_count; u++) {
        smooth_user(&g, users[u], z + (size_t)u * g.n);
        memcpy(mr_stand_ins_vector(&all, u), z + (size_t)u * g.n,
               (g.n < all.length ? g.n : all.length) * sizeof *z);
        near[u].max = found[u].max;
    }
    mr_stand_ins_find(&all, filters, arena, near);
    for (uint32_t u = 0; u < user_count; u++) {
        scores_of(&g, z + (size_t)u * g.n, near[u].slots, near[u].count, near[u].scores);
        mr_found_choose(&found[u], view->items, near[u].slots, near[u].scores, near[u].count,
                        arena);
    }
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride, (void)arena;
    const graph g = open_graph(self, view);
    float z[MR_SPACE_DIM_MAX];
    smooth_user(&g, user, z);
    scores_of(&g, z, slots, slot_count, out);
}

static const mr_column columns[] = {{"smoothing", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_smoothing = {
    .state = {.name = "smoothing",
              .source = "He et al., LightGCN",
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
