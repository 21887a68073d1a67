// SPDX-License-Identifier: Apache-2.0
// embedding: a vector for each user and item, trained on every act against shared negatives.
//
// The trainer: it draws negatives, asks a loss (core/model/loss.h) for the gradient by each score,
// carries it to the rows, and an optimiser (core/model/optimiser.h) takes the step: on the user's
// row at once, on an item's at its owner once a round, from the sum of its gradients. Three spaces,
// each served by one dot product:
//   dot (bpr, softmax, hardest, pointwise): s = u.v
//   levels (chain, nested): vectors of three parts, for clicks, carts and purchases, a half and two
//     quarters of the length, each rounded up to 16. Part c says how likely it goes on to level c;
//     the slope of all levels is one, so that the sum of their scores is u.v. How often acts go on
//     at all stands in a row of faded counts.
//   metric: s = 2 u.v - |v|^2, which is minus the squared distance but for |u|^2. The last
//     coordinate of a served item is -|v|^2 and that of a user 1; rows stay within the unit ball.
// A negative equal to the positive or among the user's recent items is left out. Of `softmax` q is
// the sampler's mixture: half the task's recent positives, half uniform over all items. `hardest`
// draws a pool and keeps the hardest negatives of each act, and a quarter at random.
// With `exposure` an act counts as often as items like its own go unseen (core/model/exposure.h):
// of `pointwise` that is the label, of the others the weight.
// With `self_play` a second step, of half of the acts, holds their item against one that the user
// was shown before (core/model/self_play.h); what he was shown stands behind his row.
// Gradients are clipped to norm 1, rows to norm 10.
// Sources: those of the losses and optimisers. Departures: (1) mixture with uniform negatives, (2)
// but for the levels, acts of higher level weigh more instead of having levels of their own.
#include "core/deltas.h"
#include "core/list/matrix.h"
#include "core/model/exposure.h"
#include "core/model/level_counts.h"
#include "core/model/negatives.h"
#include "core/model/optimiser.h"
#include "core/model/self_play.h"
#include "core/model/told.h"

#define STANDS_FOR_MAX 20.0f
static const float hardest_cap = 0.5f; // a negative's probability: it may be a positive to come
static const float no_cap = 2.0f;

typedef struct config {
    double dim, negatives, rate_user, rate_item, temperature, init, loss, optimiser, decay, uniform,
        pool, margin, slope, exposure, examination, self_play;
} config;

static const mr_param params[] = {
    {"dim", "", "length of the vectors, a multiple of 8", offsetof(config, dim), 64, 8, 256},
    {"negatives", "", "negatives that an act is compared with", offsetof(config, negatives), 32, 1,
     MR_NEGATIVES_MAX},
    {"rate_user", "", "learning rate of users' rows", offsetof(config, rate_user), 0.15, 0, 10},
    {"rate_item", "", "learning rate of items' rows", offsetof(config, rate_item), 0.12, 0, 10},
    {"temperature", "", "of the softmax over dot products", offsetof(config, temperature), 1, 0.01,
     100},
    {"init", "", "norm of a new vector", offsetof(config, init), 0.1, 1e-6, 10},
    {"loss", MR_LOSS_WORDS,
     "what is learned of an act: to rank it above negatives, by pairs, all together, or the "
     "hardest "
     "of a pool; how far it goes from click to purchase, step by step or nested; distances; each "
     "score alone",
     offsetof(config, loss), MR_LOSS_BPR, 0, MR_LOSSES - 1},
    {"optimiser", MR_OPTIMISER_WORDS,
     "how rows step: rates are those of adagrad, and are scaled to the others",
     offsetof(config, optimiser), MR_OPTIMISER_ADAGRAD, 0, MR_OPTIMISERS - 1},
    {"decay", "", "share of a row that a step takes away", offsetof(config, decay), 0, 0, 0.1},
    {"uniform", "", "share of negatives drawn uniformly; the rest are recent positives",
     offsetof(config, uniform), 0.5, 0, 1},
    {"pool", "", "loss hardest: negatives that are drawn, of which `negatives` are kept",
     offsetof(config, pool), MR_NEGATIVES_MAX, 1, MR_NEGATIVES_MAX},
    {"margin", "", "loss metric: by how much a negative's squared distance has to be larger",
     offsetof(config, margin), 0.5, 0, 4},
    {"slope", "", "losses chain and nested: of a level's probability", offsetof(config, slope), 1.5,
     0.01, 100},
    {"exposure", "",
     "an act counts 1 over how likely its item was seen, and that is taken to be so much at least; "
     "0: all acts count alike",
     offsetof(config, exposure), 0, 0, 1},
    {"examination", "",
     "with exposure: place r of a list, from 0, is looked at (1 + r) to the minus this",
     offsetof(config, examination), 1, 0, 10},
    {"self_play", "",
     "how hard what a user was shown last and did not act on is held against what he acts on; 0: "
     "not at all",
     offsetof(config, self_play), 0, 0, 10},
    {0},
};

typedef struct gradient_tail { // behind the vector of a delta
    float squares, events;
    float curvature, reserved; // where the optimiser asks for it alone
} gradient_tail;

typedef struct most { // acts on the item that has most
    uint64_t acts;
} most;

enum { FAMILY_ITEM, FAMILY_USER, FAMILY_LEVELS, FAMILY_MOST };
typedef enum space { SPACE_DOT, SPACE_LEVELS, SPACE_METRIC, SPACES } space;

static mr_loss loss_of(const config *c)
{
    return (mr_loss)c->loss;
}

static mr_optimiser_kind optimiser_of(const config *c)
{
    return (mr_optimiser_kind)c->optimiser;
}

static space space_of(const config *c)
{
    const mr_loss loss = loss_of(c);
    return loss == MR_LOSS_METRIC                            ? SPACE_METRIC
           : loss == MR_LOSS_CHAIN || loss == MR_LOSS_NESTED ? SPACE_LEVELS
                                                             : SPACE_DOT;
}

// Lengths of the parts of a vector in the space of levels; together its length.
static uint32_t parts(const config *c, uint32_t lengths[MR_LEVELS])
{
    const uint32_t d = (uint32_t)c->dim;
    lengths[0] = mr_vec_padded(d / 2);
    lengths[1] = lengths[2] = mr_vec_padded(d / 4);
    return lengths[0] + lengths[1] + lengths[2];
}

static uint32_t dim(const void *c)
{
    uint32_t lengths[MR_LEVELS];
    return space_of(c) == SPACE_LEVELS ? parts(c, lengths)
                                       : mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static uint32_t row_bytes(const void *c)
{
    return (dim(c) + mr_optimiser_floats(optimiser_of(c), dim(c))) * (uint32_t)sizeof(float);
}

static bool plays(const config *c)
{
    return c->self_play > 0;
}

static uint32_t user_bytes(const void *c)
{
    return row_bytes(c) + (plays(c) ? (uint32_t)sizeof(mr_shown) : 0);
}

static mr_shown *shown_of(const config *c, float *user)
{
    return (mr_shown *)(void *)((uint8_t *)user + row_bytes(c));
}

static uint32_t user_used(const void *c, const void *row)
{
    const void *shown = (const uint8_t *)row + row_bytes(c);
    return row_bytes(c) + (plays(c) ? mr_shown_used(shown) : 0);
}

static bool is_curved(const config *c)
{
    return optimiser_of(c) == MR_OPTIMISER_CURVATURE;
}

static uint32_t delta_floats(const config *c)
{
    return dim(c) + (is_curved(c) ? 4 : 2);
}

static uint32_t delta_bytes(const void *c)
{
    return delta_floats(c) * (uint32_t)sizeof(float);
}

// Rows of one space and optimiser mean nothing to another.
static uint8_t variant(const void *c)
{
    return (uint8_t)(space_of(c) + SPACES * optimiser_of(c));
}

static uint8_t user_variant(const void *c)
{
    return (uint8_t)(variant(c) + (plays(c) ? SPACES * MR_OPTIMISERS : 0));
}

static void init_row(const config *c, uint64_t key, uint64_t seed, mr_purpose purpose, float *row)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, key, purpose);
    const uint32_t n = dim(c), d = (uint32_t)c->dim;
    const uint32_t used = space_of(c) == SPACE_LEVELS             ? n
                          : space_of(c) == SPACE_METRIC && d == n ? n - 1
                                                                  : d;
    const float scale = (float)(c->init / __builtin_sqrt(c->dim));
    for (uint32_t i = 0; i < used; i++)
        row[i] = scale * mr_rng_normal(&rng);
}

static void init_item(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_ITEM_INIT, row);
}

static void init_user(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_USER_INIT, row);
    if (space_of(c) == SPACE_METRIC)
        ((float *)row)[dim(c) - 1] = 1.0f;
}

static void combine_levels(const void *c, void *into, const void *from)
{
    (void)c;
    mr_level_counts_add(into, from);
}

static void combine_most(const void *c, void *into, const void *from)
{
    (void)c;
    if (((const most *)from)->acts > ((most *)into)->acts)
        *(most *)into = *(const most *)from;
}

static const mr_family families[] = {
    [FAMILY_ITEM] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = row_bytes,
                     .delta_bytes = delta_bytes,
                     .init = init_item},
    [FAMILY_USER] = {.name = "user",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .variant = user_variant,
                     .row_bytes = user_bytes,
                     .init = init_user,
                     .used = user_used},
    [FAMILY_LEVELS] = {.name = "levels", // written by the losses with levels alone
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .row_size = sizeof(mr_level_counts),
                       .delta_size = sizeof(mr_level_counts),
                       .combine = combine_levels},
    [FAMILY_MOST] = {.name = "most", // written with `exposure` alone
                     .key = MR_KEY_NAMED,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .row_size = sizeof(most),
                     .delta_size = sizeof(most),
                     .combine = combine_most},
};

static float clip_norm(const mr_vec *vec, const float *x, uint32_t n, float limit)
{
    const float squares = vec->dot(x, x, n);
    return squares > limit * limit ? limit / __builtin_sqrtf(squares) : 1.0f;
}

static mr_optimiser optimiser_at(const config *c, double rate)
{
    const bool ball = space_of(c) == SPACE_METRIC; // steps that suit dot products would leave it
    return (mr_optimiser){.kind = optimiser_of(c),
                          .rate = (float)rate * mr_optimiser_scale(optimiser_of(c)) *
                                  (ball ? 0.2f : 1.0f),
                          .decay = (float)c->decay,
                          .norm_max = ball ? 1.0f : 10.0f};
}

static mr_sampler sampler_of(const config *c)
{
    const uint32_t draws = (uint32_t)(loss_of(c) == MR_LOSS_HARDEST ? c->pool : c->negatives);
    // With self_play each act has one more of its own.
    const uint32_t room = MR_NEGATIVES_MAX - (plays(c) ? MR_BLOCK_ACTS : 0);
    return (mr_sampler){.draws = draws < room ? draws : room,
                        .uniform = (float)c->uniform,
                        .expected = loss_of(c) == MR_LOSS_SOFTMAX};
}

// ---- learning

typedef struct learner { // one wave
    const mr_instance *self;
    const config *c;
    const mr_view *view;
    const mr_vec *vec;
    mr_deltas *deltas;
    const float *rows; // served: as of the round's start, like rows
    uint32_t n;
    space space;
    bool curved;
    mr_optimiser optimiser; // of users
    mr_sampler sampler;
    mr_block *block;        // one of those below
    mr_block shared, pair;  // with drawn negatives; of two items, for self_play
    float *gradient;        // of the user's row
    float *aside, *aside_2; // vectors
    // Of the losses that need them.
    uint64_t *keys; // of a pool
    uint32_t *chosen;
    float *kept[3]; // scores, gradients, curvatures of what was chosen
    mr_levels levels;
    // Of the act that is learned: what it weighs, and its label where the loss has one.
    mr_exposure exposure;
    float weight, label;
} learner;

// The softmax over the act's item and what is hard among the pool.
static void hardest_gradients(learner *l)
{
    mr_block *b = l->block;
    const uint32_t kept =
        mr_loss_hardest(b->scores + 1, b->count - 1, (uint32_t)l->c->negatives, l->keys, l->chosen);
    l->kept[0][0] = b->scores[0];
    for (uint32_t i = 0; i < kept; i++)
        l->kept[0][i + 1] = b->scores[l->chosen[i] + 1];
    const mr_candidates of = {kept + 1, l->kept[0], l->weight, l->kept[1],
                              l->curved ? l->kept[2] : NULL};
    mr_loss_softmax(&of, NULL, l->c->temperature, hardest_cap);
    memset(b->gradients, 0, b->count * sizeof *b->gradients);
    b->gradients[0] = l->kept[1][0];
    b->curvatures[0] = l->kept[2][0];
    for (uint32_t i = 0; i < kept; i++) {
        b->gradients[l->chosen[i] + 1] = l->kept[1][i + 1];
        b->curvatures[l->chosen[i] + 1] = l->kept[2][i + 1];
    }
}

// So many pairs nobody has acted on stand behind one that is drawn.
static float stands_for(const learner *l)
{
    const float items = (float)l->view->items->order_count / (float)(l->block->count - 1);
    return items < STANDS_FOR_MAX ? items : STANDS_FOR_MAX;
}

static void score_gradients(learner *l)
{
    const mr_block *b = l->block;
    const mr_candidates of = {b->count, b->scores, l->weight, b->gradients,
                              l->curved ? b->curvatures : NULL};
    switch (loss_of(l->c)) {
    case MR_LOSS_BPR:
        mr_loss_bpr(&of);
        break;
    case MR_LOSS_SOFTMAX:
        mr_loss_softmax(&of, b->log_q, l->c->temperature, no_cap);
        break;
    case MR_LOSS_HARDEST:
        hardest_gradients(l);
        break;
    case MR_LOSS_POINTWISE:
        mr_loss_pointwise(&of, l->label, stands_for(l));
        break;
    case MR_LOSS_METRIC:
        mr_loss_hinge(&of, (float)l->c->margin, l->view->items->order_count);
        break;
    case MR_LOSS_CHAIN:
    case MR_LOSS_NESTED:
    case MR_LOSSES:
        MR_ASSERT(false); // learn_levels
    }
}

// Adds weight * direction, clipped to norm 1, to the delta of candidate i.
static void add_item_gradient(learner *l, uint32_t i, float weight, const float *direction,
                              float squares, float curvature)
{
    mr_block *b = l->block;
    if (b->payloads[i] == NULL)
        b->payloads[i] = mr_deltas_at(l->deltas, l->self->family_first + FAMILY_ITEM, b->slots[i]);
    const float norm = __builtin_sqrtf(squares) * __builtin_fabsf(weight);
    const float size = norm > 1.0f ? weight / norm : weight;
    l->vec->axpy(b->payloads[i], size, direction, l->n);
    gradient_tail *t = (gradient_tail *)(void *)(b->payloads[i] + l->n);
    t->squares += size * size * squares / (float)l->n;
    t->events += 1.0f;
    if (l->curved)
        t->curvature += curvature;
}

static void step_user(learner *l, float *u, float curvature)
{
    const float shrink = clip_norm(l->vec, l->gradient, l->n, 1.0f);
    if (shrink < 1.0f)
        l->vec->scale(l->gradient, shrink, l->n);
    const mr_gradient gradient = {.sum = l->gradient,
                                  .squares =
                                      l->vec->dot(l->gradient, l->gradient, l->n) / (float)l->n,
                                  .curvature = curvature > 0.0f ? curvature : 0.0f,
                                  .events = 1.0f};
    if (l->space == SPACE_METRIC)
        u[l->n - 1] = 0.0f;
    mr_optimiser_step(&l->optimiser, l->vec, u, l->n, &gradient);
    if (l->space == SPACE_METRIC)
        u[l->n - 1] = 1.0f;
}

static const float *candidate(const learner *l, uint32_t i)
{
    return l->rows + (size_t)l->block->slots[i] * l->n;
}

// The direction in which a score moves its item: u, or 2 (u - v) in the metric space, where a
// served item is 2 v.
static const float *direction_of(learner *l, uint32_t i, const float *u, float *squares)
{
    if (l->space != SPACE_METRIC)
        return u;
    l->vec->set(l->aside, 2.0f, u, l->n);
    l->vec->axpy(l->aside, -1.0f, candidate(l, i), l->n);
    l->aside[l->n - 1] = 0.0f;
    *squares = l->vec->dot(l->aside, l->aside, l->n);
    return l->aside;
}

// Mean second derivative of the loss by the elements of an item's row. That of a distance does not
// hang on the other row.
static float item_curvature(const learner *l, uint32_t i, float user_squares)
{
    return l->space == SPACE_METRIC ? 2.0f * __builtin_fabsf(l->block->gradients[i])
                                    : l->block->curvatures[i] * user_squares / (float)l->n;
}

static bool is_pairwise(const learner *l)
{
    return l->block == &l->pair || loss_of(l->c) == MR_LOSS_BPR;
}

// The part of candidate i in the mean second derivative by the elements of the user's row: of bpr
// and softmax a variance of the candidates' rows around that of the act's item.
static float user_curvature(learner *l, uint32_t i)
{
    const float w = l->block->gradients[i];
    if (l->space == SPACE_METRIC)
        return 2.0f * w;
    l->vec->set(l->aside_2, 1.0f, candidate(l, i), l->n);
    l->vec->axpy(l->aside_2, -1.0f, candidate(l, 0), l->n);
    if (!is_pairwise(l) && loss_of(l->c) == MR_LOSS_POINTWISE)
        return l->block->curvatures[i] * l->vec->dot(candidate(l, i), candidate(l, i), l->n) /
               (float)l->n;
    return (is_pairwise(l) ? l->block->curvatures[i] : w / (float)l->c->temperature) *
           l->vec->dot(l->aside_2, l->aside_2, l->n) / (float)l->n;
}

// Carries the gradients by the block's scores to the rows.
static void step_scores(learner *l, float *u)
{
    const mr_block *b = l->block;
    const uint32_t n = l->n;
    const float user_squares = l->vec->dot(u, u, n);
    float squares = user_squares, curvature = 0.0f;
    l->vec->set(l->gradient, b->gradients[0], candidate(l, 0), n);
    for (uint32_t i = 0; i < b->count; i++) {
        const float w = b->gradients[i];
        if (i > 0 && !(w > 1e-6f)) // left out, or too easy to matter
            continue;
        const float *direction = direction_of(l, i, u, &squares);
        add_item_gradient(l, i, w, direction, squares,
                          l->curved ? item_curvature(l, i, user_squares) : 0.0f);
        if (i == 0)
            continue;
        l->vec->axpy(l->gradient, w, candidate(l, i), n);
        if (l->curved)
            curvature += user_curvature(l, i);
    }
    if (l->space == SPACE_METRIC)
        l->gradient[n - 1] = 0.0f;
    else if (l->curved && !is_pairwise(l) && loss_of(l->c) != MR_LOSS_POINTWISE)
        curvature -= l->vec->dot(l->gradient, l->gradient, n) / (l->weight * (float)n);
    step_user(l, u, curvature);
}

static void learn_scores(learner *l, const mr_signal *signal, float *u)
{
    mr_block_score(l->block, l->view, signal, u, l->rows, l->n);
    score_gradients(l);
    step_scores(l, u);
}

// ---- self-play

static float score_at(const learner *l, const float *u, uint32_t slot)
{
    return l->vec->dot(u, l->rows + (size_t)slot * l->n, l->n);
}

static void play(learner *l, const mr_signal *signal, float *u)
{
    mr_shown *shown = shown_of(l->c, u);
    mr_block *pair = &l->pair;
    mr_rng rng = mr_rng_make(l->view->seed, l->view->task, l->view->epoch, signal->index,
                             MR_PURPOSE_SELF_PLAY);
    const float mine = score_at(l, u, signal->item);
    const float then = mr_shown_take(shown, signal->item_key, mine);
    const mr_shown_item *other = mr_shown_draw(shown, mr_view_user(l->view, signal->user), &rng);
    const uint32_t slot = other == NULL ? MR_MAP_NONE : mr_items_find(l->view->items, other->item);
    if (slot == MR_MAP_NONE || mr_rng_below(&rng, 2) == 0) // one such step to two others
        return;
    double curvature;
    const double gap = (double)((mine - score_at(l, u, slot)) - (then - other->score));
    const double by = mr_self_play_gradient(l->c->self_play, gap, &curvature);
    pair->slots[0] = signal->item, pair->slots[1] = slot;
    pair->payloads[0] = pair->payloads[1] = NULL;
    pair->gradients[1] = l->weight * (float)by;
    pair->gradients[0] = -pair->gradients[1];
    pair->curvatures[0] = pair->curvatures[1] = l->weight * (float)curvature;
    pair->count = 2;
    l->block = pair;
    step_scores(l, u);
    l->block = &l->shared;
}

// ---- levels of feedback

static const mr_named *levels_of(const mr_instance *self, const mr_view *view)
{
    return &view->named[self->family_first + FAMILY_LEVELS];
}

static mr_levels prior_levels(const learner *l)
{
    return mr_level_counts_prior(mr_named_find(levels_of(l->self, l->view), 0), l->view->clock_ms,
                                 l->c->slope, loss_of(l->c) == MR_LOSS_NESTED);
}

static void count_level(const learner *l, const mr_signal *signal)
{
    const uint32_t slot = mr_slots_find(&levels_of(l->self, l->view)->slots, 0);
    mr_level_counts_act(mr_deltas_at(l->deltas, l->self->family_first + FAMILY_LEVELS, slot),
                        signal->time_ms, mr_level_of(signal->act));
}

static mr_level_gradient level_gradient(const learner *l, const float x[MR_LEVELS], uint32_t level)
{
    return loss_of(l->c) == MR_LOSS_NESTED ? mr_loss_nested(&l->levels, x, level)
                                           : mr_loss_chain(&l->levels, x, level);
}

// The act's own pair, of which all parts move. Returns the curvature by the user's row.
static float learn_pair(learner *l, const mr_signal *signal, const float *u)
{
    uint32_t lengths[MR_LEVELS];
    parts(l->c, lengths);
    const float *v = candidate(l, 0);
    float x[MR_LEVELS], item_curvature_sum = 0.0f, user_curvature_sum = 0.0f;
    for (uint32_t c = 0, at = 0; c < MR_LEVELS; at += lengths[c++])
        x[c] = l->vec->dot(u + at, v + at, lengths[c]);
    const mr_level_gradient g = level_gradient(l, x, mr_level_of(signal->act));
    for (uint32_t c = 0, at = 0; c < MR_LEVELS; at += lengths[c++]) {
        const float w = l->weight * g.by[c], curvature = l->weight * g.curvature[c];
        l->vec->set(l->aside + at, w, u + at, lengths[c]);
        l->vec->set(l->gradient + at, w, v + at, lengths[c]);
        if (!l->curved)
            continue;
        item_curvature_sum += curvature * l->vec->dot(u + at, u + at, lengths[c]);
        user_curvature_sum += curvature * l->vec->dot(v + at, v + at, lengths[c]);
    }
    add_item_gradient(l, 0, 1.0f, l->aside, l->vec->dot(l->aside, l->aside, l->n),
                      item_curvature_sum / (float)l->n);
    return user_curvature_sum / (float)l->n;
}

// Negatives did not come to level 1: only the first part of theirs moves.
static void learn_levels(learner *l, const mr_signal *signal, float *u)
{
    const mr_block *b = l->block;
    uint32_t lengths[MR_LEVELS];
    parts(l->c, lengths);
    float *first = l->aside_2; // u without its other parts
    memset(first, 0, l->n * sizeof *first);
    memcpy(first, u, lengths[0] * sizeof *first);
    mr_block_score(l->block, l->view, signal, first, l->rows, l->n);
    float curvature = learn_pair(l, signal, u);
    const float squares = l->vec->dot(first, first, l->n);
    const float share = b->count > 1 ? l->weight / (float)(b->count - 1) : 0.0f;
    for (uint32_t i = 1; i < b->count; i++) {
        if (!(b->scores[i] > MR_LOSS_LEFT_OUT))
            continue;
        const float x[MR_LEVELS] = {b->scores[i]}, *v = candidate(l, i);
        const mr_level_gradient g = level_gradient(l, x, 0);
        add_item_gradient(l, i, share * g.by[0], first, squares,
                          share * g.curvature[0] * squares / (float)l->n);
        l->vec->axpy(l->gradient, share * g.by[0], v, lengths[0]);
        if (l->curved)
            curvature += share * g.curvature[0] * l->vec->dot(v, v, lengths[0]) / (float)l->n;
    }
    count_level(l, signal);
    step_user(l, u, curvature);
}

// ---- a wave

static void *push(mr_arena *arena, uint32_t count, size_t size)
{
    return mr_arena_push(arena, count * size);
}

static learner open_learner(const mr_instance *self, const mr_view *view, mr_deltas *deltas,
                            mr_arena *arena)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    learner l = {.self = self,
                 .c = c,
                 .view = view,
                 .vec = view->vec,
                 .deltas = deltas,
                 .rows = ((const mr_matrix *)self->cache)->rows,
                 .n = n,
                 .space = space_of(c),
                 .curved = is_curved(c),
                 .optimiser = optimiser_at(c, c->rate_user),
                 .sampler = sampler_of(c),
                 .exposure = {c->exposure, c->examination},
                 .gradient = push(arena, n, sizeof(float)),
                 .aside = push(arena, n, sizeof(float)),
                 .aside_2 = push(arena, n, sizeof(float))};
    const uint32_t room = l.sampler.draws + 1;
    mr_block_open(&l.shared, l.sampler.draws, arena);
    mr_block_open(&l.pair, 1, arena);
    if (l.space == SPACE_LEVELS)
        l.levels = prior_levels(&l);
    if (loss_of(c) != MR_LOSS_HARDEST)
        return l;
    l.keys = push(arena, room, sizeof *l.keys);
    l.chosen = push(arena, room, sizeof *l.chosen);
    for (int i = 0; i < 3; i++)
        l.kept[i] = push(arena, room, sizeof(float));
    return l;
}

// How often the act counts, by how likely its item was seen.
static void weigh(learner *l, const mr_signal *signal)
{
    const mr_named *rows = &l->view->named[l->self->family_first + FAMILY_MOST];
    const uint64_t acts = mr_items_at(l->view->items, signal->item)->events;
    l->weight = signal->weight;
    l->label = 1.0f;
    if (!(l->exposure.floor > 0))
        return;
    const most here = {acts + 1}, *all = mr_named_find(rows, 0);
    const uint32_t slot = mr_slots_find(&rows->slots, 0);
    const float times = (float)(1.0 / mr_exposure_of(&l->exposure, signal, acts, all->acts));
    if (loss_of(l->c) == MR_LOSS_POINTWISE)
        l->label = times;
    else
        l->weight *= times;
    if (here.acts > all->acts)
        combine_most(l->c, mr_deltas_at(l->deltas, l->self->family_first + FAMILY_MOST, slot),
                     &here);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const size_t mark = arena->used;
    learner l = open_learner(self, view, deltas, arena);
    l.block = &l.shared;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        float *u = mr_user_part(self, mr_view_user(view, signal->user));
        if (signal->kind == MR_SIGNAL_SHOWN && plays(l.c))
            mr_shown_put(shown_of(l.c, u), signal, score_at(&l, u, signal->item));
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        weigh(&l, signal);
        mr_block_fill(l.block, &l.sampler, view, signal->index);
        if (l.space == SPACE_LEVELS)
            learn_levels(&l, signal, u);
        else if (l.block->count > 1)
            learn_scores(&l, signal, u);
        if (plays(l.c))
            play(&l, signal, u);
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    const config *c = self->config;
    if (family == FAMILY_LEVELS || family == FAMILY_MOST) {
        families[family].combine(c, row, delta);
        return;
    }
    const gradient_tail *t = (const gradient_tail *)(const void *)((const float *)delta + dim(c));
    const mr_optimiser optimiser = optimiser_at(c, c->rate_item);
    const mr_gradient gradient = {.sum = delta,
                                  .squares = t->squares,
                                  .curvature = is_curved(c) ? t->curvature : 0.0f,
                                  .events = t->events};
    if (gradient.events > 0)
        mr_optimiser_step(&optimiser, view->vec, row, dim(c), &gradient);
}

// ---- derived, for learning and serving: the items' vectors without what stands behind them

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(mr_matrix)) + mr_matrix_bytes(items_max, dim(c));
}

static void serve(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    mr_matrix *items = self->cache;
    const uint32_t n = items->stride;
    float *to = mr_matrix_row(items, slot);
    const float *row = mr_items_row(view->items, self->family_first, slot);
    memcpy(to, row, n * sizeof *to);
    if (space_of(self->config) == SPACE_METRIC) {
        view->vec->set(to, 2.0f, row, n);
        to[n - 1] = -view->vec->dot(row, row, n);
    }
    mr_matrix_put(items, slot);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    mr_matrix_open(self->cache, (uint8_t *)self->cache + mr_arena_round(sizeof(mr_matrix)),
                   view->items->slots.max, dim(self->config));
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        serve(self, view, slot);
}

static const float *vector(const mr_instance *self, const mr_view *view, mr_key_kind whose,
                           uint32_t slot, uint32_t *count)
{
    *count = dim(self->config);
    return whose == MR_KEY_USER ? mr_user_part(self, mr_view_user(view, slot))
                                : mr_matrix_row(self->cache, slot);
}

static void tell(const mr_instance *self, const mr_view *view, uint32_t slot, mr_told *told)
{
    told->vector = vector(self, view, MR_KEY_ITEM, slot, &told->vector_count);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family == FAMILY_ITEM)
        serve(self, view, slot);
}

static const mr_column columns[] = {{"embedding", MR_SCALE_REAL}};

const mr_model mr_model_embedding = {
    .state = {.name = "embedding",
              .source = "Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply,
              .tell = tell},
    .vector = vector,
    .columns = columns,
    .batched = true,
    .candidates = mr_matrix_candidates,
    .score = mr_matrix_score,
};
