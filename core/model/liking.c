// SPDX-License-Identifier: Apache-2.0
// liking: how well a user would like an item that was put before him, learned from ratings of items
// that he chose himself. Off unless `dim` is set.
//
//     liked:  g_y = u.v + b_i + b           chosen:  g_o = a_u + c_i + c ln(1 + acts of i) + a
// Who rates has chosen, and what made him choose, though nobody sees it, made him like it, too: the
// noise of both is normal with correlation `rho` (core/model/selection.h). A rating of `like` or
// more is liked; for each rating one item of the trainer's shared negatives (negatives.h) stands
// for what he did not choose. The column is g_y without b: not what he will choose, but what he
// would like. Acts without a rating teach nothing. b_i is the last number of v, where u has 1. a_u,
// c_i and the four common numbers take a step of AdaGrad each, vectors one as a row. Merge:
// gradients of items and of the common row are sums of floats, and their owner takes a step once a
// round; what is the user's is written by his task. Source: "Addressing Correlated Latent Exogenous
// Variables in Debiased Recommender Systems". Departures: (1) the likelihood in closed form; (2)
// vectors in place of networks, and choice by how much user and item are in demand; (3) rho is
// given, not learned: ratings of what was chosen hardly tell it, and randomised ones, which would,
// are few.
#include "core/deltas.h"
#include "core/list/matrix.h"
#include "core/model/loss.h"
#include "core/model/negatives.h"
#include "core/model/optimiser.h"
#include "core/model/selection.h"

enum { DIM_MAX = 128, DRAWS = 8, STREAM = 1, LOGIT_MAX = 6 };

typedef struct config {
    double dim, like, rho, unchosen, rate, init;
} config;

static const mr_param params[] = {
    {"dim", "", "length of a vector, its bias included, rounded up to 16; 0: off",
     offsetof(config, dim), 0, 0, DIM_MAX},
    {"like", "", "rating from which on an item was liked", offsetof(config, like), 4, -1e9, 1e9},
    {"rho", "", "correlation of what makes a user choose an item and what makes him like it",
     offsetof(config, rho), 0, -MR_SELECTION_RHO_MAX, MR_SELECTION_RHO_MAX},
    {"unchosen", "",
     "pairs of a user and an item that he did not choose, for each that he did; scales how likely "
     "a "
     "choice is",
     offsetof(config, unchosen), 1, 0, 1000},
    {"rate", "", "learning rate", offsetof(config, rate), 0.05, 0, 10},
    {"init", "", "norm of a new vector", offsetof(config, init), 0.1, 1e-6, 10},
    {0},
};

// ---- rows

enum { FAMILY_ITEM, FAMILY_USER, FAMILY_COMMON, FAMILIES };
enum { LIKED, CHOSEN, DEMAND, COMMON }; // the common numbers: b, a, c

// With its sum of squares; behind a row's vector and its optimiser: a_u or c_i.
typedef struct scalar {
    float value, squares;
} scalar;

typedef struct tail { // behind the vector of a delta
    float squares, events, choice, reserved;
} tail;

typedef struct common {
    scalar of[COMMON];
} common;

typedef struct common_delta {
    float of[COMMON], reserved;
} common_delta;

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static uint32_t row_floats(const void *c)
{
    return dim(c) + mr_optimiser_floats(MR_OPTIMISER_ADAGRAD, dim(c));
}

static uint32_t row_bytes(const void *c)
{
    return row_floats(c) * (uint32_t)sizeof(float) + (uint32_t)sizeof(scalar);
}

static uint32_t delta_bytes(const void *c)
{
    return dim(c) * (uint32_t)sizeof(float) + (uint32_t)sizeof(tail);
}

static uint32_t others(const void *c)
{
    (void)c;
    return 1;
}

static scalar *demand_of(const void *c, float *row)
{
    return (scalar *)(void *)(row + row_floats(c));
}

static float demand_at(const void *c, const float *row)
{
    return ((const scalar *)(const void *)(row + row_floats(c)))->value;
}

static void init_row(const config *c, uint64_t key, uint64_t seed, mr_purpose purpose, float last,
                     float *row)
{
    mr_rng rng = mr_rng_make(seed, STREAM, 0, key, purpose);
    const float scale = (float)c->init / __builtin_sqrtf((float)dim(c));
    for (uint32_t i = 0; i + 1 < dim(c); i++)
        row[i] = scale * mr_rng_normal(&rng);
    row[dim(c) - 1] = last;
}

static void init_item(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_ITEM_INIT, 0.0f, row);
}

static void init_user(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_USER_INIT, 1.0f, row);
}

static const mr_family families[FAMILIES] = {
    [FAMILY_ITEM] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .row_bytes = row_bytes,
                     .delta_bytes = delta_bytes,
                     .others = others,
                     .init = init_item},
    [FAMILY_USER] = {.name = "user",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .row_bytes = row_bytes,
                     .init = init_user},
    [FAMILY_COMMON] = {.name = "common",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .row_size = sizeof(common),
                       .delta_size = sizeof(common_delta)},
};

// ---- learning

typedef struct learner {
    const mr_instance *self;
    const config *c;
    const mr_view *view;
    mr_deltas *deltas;
    const common *shared;
    uint32_t n, common_slot;
    mr_block block;
    mr_sampler sampler;
    float *gradient;
} learner;

static mr_optimiser optimiser_of(const config *c)
{
    return (mr_optimiser){.kind = MR_OPTIMISER_ADAGRAD, .rate = (float)c->rate, .norm_max = 10.0f};
}

static void step_scalar(const config *c, scalar *of, float gradient)
{
    of->squares += gradient * gradient;
    if (of->squares > 0.0f)
        of->value -= (float)c->rate * gradient / __builtin_sqrtf(of->squares);
}

static const float *item_at(const learner *l, uint32_t slot)
{
    return mr_items_row(l->view->items, l->self->family_first + FAMILY_ITEM, slot);
}

static float log_acts(const learner *l, uint32_t slot)
{
    return (float)mr_log(1.0 + (double)mr_items_at(l->view->items, slot)->events);
}

static double within(float g)
{
    return g > LOGIT_MAX ? LOGIT_MAX : g < -LOGIT_MAX ? -LOGIT_MAX : (double)g;
}

static mr_selection loss_at(const learner *l, mr_outcome outcome, const float *u, uint32_t slot)
{
    const float *v = item_at(l, slot);
    const scalar *of = l->shared->of;
    const float liked = l->view->vec->dot(u, v, l->n) + of[LIKED].value;
    const float chosen = demand_at(l->c, u) + demand_at(l->c, v) +
                         of[DEMAND].value * log_acts(l, slot) + of[CHOSEN].value;
    return mr_selection_loss(outcome, within(liked), within(chosen), l->c->rho);
}

// The user's row takes its step at once.
static void step_user(const learner *l, float *u, uint32_t slot, const mr_selection *at,
                      float weight)
{
    const mr_vec *vec = l->view->vec;
    const float by = weight * (float)at->by_liking;
    const mr_optimiser optimiser = optimiser_of(l->c);
    vec->set(l->gradient, by, item_at(l, slot), l->n);
    l->gradient[l->n - 1] = 0.0f; // where u is 1
    const float squares = vec->dot(l->gradient, l->gradient, l->n) / (float)l->n;
    const mr_gradient gradient = {.sum = l->gradient, .squares = squares, .events = 1.0f};
    u[l->n - 1] = 0.0f;
    if (by != 0.0f)
        mr_optimiser_step(&optimiser, vec, u, l->n, &gradient);
    u[l->n - 1] = 1.0f;
    step_scalar(l->c, demand_of(l->c, u), weight * (float)at->by_choice);
}

static void learn_pair(const learner *l, mr_outcome outcome, float *u, uint32_t slot, float weight)
{
    const mr_selection at = loss_at(l, outcome, u, slot);
    const float by_liking = weight * (float)at.by_liking, by_choice = weight * (float)at.by_choice;
    const uint32_t first = l->self->family_first;
    float *delta = mr_deltas_at(l->deltas, first + FAMILY_ITEM, slot);
    tail *behind = (tail *)(void *)(delta + l->n);
    if (by_liking != 0.0f) {
        l->view->vec->axpy(delta, by_liking, u, l->n);
        behind->squares += by_liking * by_liking * l->view->vec->dot(u, u, l->n) / (float)l->n;
        behind->events += 1.0f;
    }
    behind->choice += by_choice;
    common_delta *all = mr_deltas_at(l->deltas, first + FAMILY_COMMON, l->common_slot);
    all->of[LIKED] += by_liking;
    all->of[CHOSEN] += by_choice;
    all->of[DEMAND] += by_choice * log_acts(l, slot);
    step_user(l, u, slot, &at, weight);
}

// One of the block's negatives that the user has not chosen lately, or MR_MAP_NONE.
static uint32_t unchosen(learner *l, const mr_signal *signal)
{
    mr_block *b = &l->block;
    mr_block_fill(b, &l->sampler, l->view, signal->index);
    memset(b->scores, 0, b->count * sizeof *b->scores);
    mr_block_meet(b, l->view, signal);
    const uint32_t at = b->count > 1 ? 1 + signal->index % (b->count - 1) : 0;
    return at > 0 && b->scores[at] > MR_LOSS_LEFT_OUT ? b->slots[at] : MR_MAP_NONE;
}

static void learn(learner *l, const mr_signal *signal)
{
    float *u = mr_user_part(l->self, mr_view_user(l->view, signal->user));
    const bool liked = (double)signal->value >= l->c->like;
    const uint32_t other = unchosen(l, signal);
    learn_pair(l, liked ? MR_OUTCOME_LIKED : MR_OUTCOME_DISLIKED, u, signal->item, signal->weight);
    if (other != MR_MAP_NONE)
        learn_pair(l, MR_OUTCOME_NONE, u, other, signal->weight * (float)l->c->unchosen);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    const size_t mark = arena->used;
    const mr_named *commons = &view->named[self->family_first + FAMILY_COMMON];
    learner l = {.self = self,
                 .c = c,
                 .view = view,
                 .deltas = deltas,
                 .shared = mr_named_find(commons, 0),
                 .n = dim(c),
                 .common_slot = mr_slots_find(&commons->slots, 0),
                 .sampler = {DRAWS, 0.5f, false},
                 .gradient = mr_arena_push(arena, dim(c) * sizeof *l.gradient)};
    mr_block_open(&l.block, DRAWS, arena);
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        const bool rated = signal->value == signal->value; // not NAN
        if (signal->kind == MR_SIGNAL_ACT && signal->act == MR_EVENT_RATING && rated &&
            signal->weight > 0.0f)
            learn(&l, signal);
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    const config *c = self->config;
    if (family == FAMILY_COMMON) {
        for (uint32_t i = 0; i < COMMON; i++)
            step_scalar(c, &((common *)row)->of[i], ((const common_delta *)delta)->of[i]);
        return;
    }
    const tail *behind = (const tail *)(const void *)((const float *)delta + dim(c));
    const mr_optimiser optimiser = optimiser_of(c);
    const mr_gradient gradient = {
        .sum = delta, .squares = behind->squares, .events = behind->events};
    if (behind->events > 0.0f)
        mr_optimiser_step(&optimiser, view->vec, row, dim(c), &gradient);
    step_scalar(c, demand_of(c, row), behind->choice);
}

// ---- serving

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(mr_matrix)) + mr_arena_round(mr_matrix_bytes(items_max, dim(c)));
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family == FAMILY_ITEM)
        mr_matrix_set(self->cache, slot,
                      mr_items_row(view->items, self->family_first + family, slot));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    mr_matrix_open(self->cache, (uint8_t *)self->cache + mr_arena_round(sizeof(mr_matrix)),
                   view->items->slots.max, dim(self->config));
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        changed(self, view, FAMILY_ITEM, slot);
}

static const mr_column columns[] = {{"liking", MR_SCALE_REAL}};

const mr_model mr_model_liking = {
    .state = {.name = "liking",
              .source = "Addressing Correlated Latent Exogenous Variables in Debiased Recommender "
                        "Systems",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = FAMILIES,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = mr_matrix_candidates,
    .score = mr_matrix_score,
};
