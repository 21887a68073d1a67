// SPDX-License-Identifier: Apache-2.0
// embedding: a vector for each user and item, trained on every act against shared negatives.
//
// Loss `bpr` (default: it learns well on dense and on sparse logs), for the positive 0 and each
// negative c of the m in a block:
//     x = s_0 - s_c,  ds_0 = -weight sigma(-x) / m,  ds_c = +weight sigma(-x) / m
// Loss `softmax`, ahead on news, behind on films:
//     z_0 = s_0 / T,  z_c = s_c / T - ln(m q_c),  p = softmax(z),  ds_c = weight (p_c - y_c) / T
// q_c is the sampler's mixture: half the task's recent positives, half uniform over all items. The
// positive is always present, so it is not corrected.
// A negative equal to the positive or among the user's recent items is left out.
// A block of negatives is shared by BLOCK acts of one task's epoch and keyed by it.
// Rows take one step of row-wise AdaGrad: G += mean of g^2, w -= rate g / sqrt(G); the user's row
// at once, an item's at its owner once a round from the sum of its gradients, where k events in one
// step may move it by sqrt(k) of one at most. Gradients are clipped to norm 1, rows to norm 10.
// Sources: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
// Recommendations"; Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback";
// Duchi et al., "Adaptive Subgradient Methods". Departures: (1) mixture with uniform negatives, (2)
// row-wise G, (3) acts of higher level weigh more instead of having levels of their own.
#include "core/deltas.h"
#include "core/list/topk.h"
#include "core/model/told.h"

#define LEFT_OUT -1e30f // the score of a negative that is none: its weight becomes 0

enum { BLOCK = 64, NEGATIVES_MAX = 256, RING = 65536, TRIES = 4 };

typedef struct config {
    double dim, negatives, rate_user, rate_item, temperature, init, bpr, decay, uniform;
} config;

static const mr_param params[] = {
    {"dim", "", "length of the vectors, a multiple of 8", offsetof(config, dim), 64, 8, 256},
    {"negatives", "", "negatives that an act is compared with", offsetof(config, negatives), 32, 1,
     NEGATIVES_MAX},
    {"rate_user", "", "learning rate of users' rows", offsetof(config, rate_user), 0.15, 0, 10},
    {"rate_item", "", "learning rate of items' rows", offsetof(config, rate_item), 0.12, 0, 10},
    {"temperature", "", "of the softmax over dot products", offsetof(config, temperature), 1, 0.01,
     100},
    {"init", "", "norm of a new vector", offsetof(config, init), 0.1, 1e-6, 10},
    {"bpr", "", "1: the pairwise BPR loss; 0: the sampled softmax", offsetof(config, bpr), 1, 0, 1},
    {"decay", "", "share of a row that a step takes away", offsetof(config, decay), 0, 0, 0.1},
    {"uniform", "", "share of negatives drawn uniformly; the rest are recent positives",
     offsetof(config, uniform), 0.5, 0, 1},
    {0},
};

typedef struct tail { // behind the vector of a row
    float squares;    // AdaGrad's G
    float steps;
} tail;

typedef struct gradient_tail { // behind the vector of a delta
    float squares;
    float events;
} gradient_tail;

typedef struct cache { // for learning and serving: the items' vectors without what stands behind
                       // them
    float norm_max;    // at least the norm of every row of the matrix
    float *served;     // by slot
    mr_topk_image image;
} cache;

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static uint32_t row_bytes(const void *c)
{
    return dim(c) * 4 + (uint32_t)sizeof(tail);
}

static tail *row_tail(const config *c, void *row)
{
    return (tail *)((uint8_t *)row + dim(c) * 4);
}

static gradient_tail *delta_tail(const config *c, void *delta)
{
    return (gradient_tail *)((uint8_t *)delta + dim(c) * 4);
}

static void init_row(const config *c, uint64_t key, uint64_t seed, mr_purpose purpose, float *row)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, key, purpose);
    const uint32_t d = (uint32_t)c->dim;
    const float scale = (float)(c->init / __builtin_sqrt(c->dim));
    for (uint32_t i = 0; i < d; i++)
        row[i] = scale * mr_rng_normal(&rng);
}

static void init_item(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_ITEM_INIT, row);
}

static void init_user(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, MR_PURPOSE_USER_INIT, row);
}

static void combine(const void *c, void *into, const void *from)
{
    const uint32_t d = dim(c);
    float *sum = into;
    const float *more = from;
    for (uint32_t i = 0; i < d + 2; i++) // the vector and both numbers of gradient_tail
        sum[i] += more[i];
}

static const mr_family families[] = {
    {.name = "item",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_bytes = row_bytes,
     .delta_bytes = row_bytes,
     .init = init_item,
     .combine = combine},
    {.name = "user", .key = MR_KEY_USER, .version = 1, .row_bytes = row_bytes, .init = init_user},
};

static float clip_norm(const mr_vec *vec, const float *x, uint32_t n, float limit)
{
    const float squares = vec->dot(x, x, n);
    return squares > limit * limit ? limit / __builtin_sqrtf(squares) : 1.0f;
}

// One step of row-wise AdaGrad from gradient g, whose mean square (over events) is `squares`.
static void step(const config *c, const mr_vec *vec, float *row, const float *g, float squares,
                 float events, float rate)
{
    const uint32_t n = dim(c);
    tail *t = row_tail(c, row);
    t->squares += squares;
    t->steps += events;
    if (t->squares <= 0.0f)
        return;
    const float bound = events > 1.0f ? 1.0f / __builtin_sqrtf(events) : 1.0f;
    const float size = rate * bound / (__builtin_sqrtf(t->squares) + 1e-8f);
    if (c->decay > 0)
        vec->scale(row, 1.0f - (float)c->decay, n);
    vec->axpy(row, -size, g, n);
    const float shrink = clip_norm(vec, row, n, 10.0f);
    if (shrink < 1.0f)
        vec->scale(row, shrink, n);
}

// ---- negatives

typedef struct block {
    uint32_t count;
    uint32_t slots[NEGATIVES_MAX];
    float log_q[NEGATIVES_MAX]; // ln(m q)
    float scores[NEGATIVES_MAX], weights[NEGATIVES_MAX];
    float *gradients[NEGATIVES_MAX]; // payloads of the deltas, NULL until needed
} block;

static uint32_t draw_negative(const config *c, const mr_view *view, mr_rng *rng)
{
    const mr_items *items = view->items;
    for (int try = 0; try < TRIES; try++) {
        if (mr_rng_float(rng) >= (float)c->uniform && view->recent.count > 0) {
            const uint32_t count = view->recent.count < RING ? view->recent.count : RING;
            const uint64_t key = mr_view_recent_key(view, mr_rng_below(rng, count));
            const uint32_t slot = mr_items_find(items, key);
            if (slot != MR_MAP_NONE)
                return slot;
        } else if (items->order_count > 0) {
            return items->order[mr_rng_below(rng, items->order_count)];
        }
    }
    return MR_MAP_NONE;
}

// ln of m times the probability of one draw of this item: its share among acts as the popularity of
// recent positives, estimated from the item's faded count.
static float log_expected(const config *c, const mr_view *view, uint32_t slot)
{
    const double n = view->items->order_count > 0 ? view->items->order_count : 1;
    const double acts = mr_items_at(view->items, slot)->events;
    const double popular = (acts + 1.0) / ((double)view->acts + n);
    return (float)mr_log(c->negatives * ((1.0 - c->uniform) * popular + c->uniform / n));
}

static void fill_block(const mr_instance *self, const mr_view *view, uint32_t number, block *b)
{
    const config *c = self->config;
    mr_rng rng = mr_rng_make(view->seed, view->task, view->epoch, number, MR_PURPOSE_NEGATIVES);
    b->count = 0;
    for (uint32_t i = 0; i < (uint32_t)c->negatives; i++) {
        const uint32_t slot = draw_negative(c, view, &rng);
        if (slot == MR_MAP_NONE)
            continue;
        b->slots[b->count] = slot;
        b->gradients[b->count] = NULL;
        b->log_q[b->count++] = c->bpr > 0 ? 0.0f : log_expected(c, view, slot);
    }
}

// Keys are hashes: their lowest bits tell nearly all that are not among the recent ones.
static uint64_t hints_of_recent(const mr_user *user)
{
    uint64_t hints = 0;
    for (uint32_t p = 0; p < user->recent_count; p++)
        hints |= 1ull << (user->recent[p].item_key % 64);
    return hints;
}

static bool among_recent(const mr_user *user, uint64_t hints, uint64_t key)
{
    if ((hints >> (key % 64) & 1) == 0)
        return false;
    for (uint32_t p = 0; p < user->recent_count; p++)
        if (user->recent[p].item_key == key)
            return true;
    return false;
}

// ---- losses: scores -> weights, the gradient of each score

// Returns the gradient of the positive's score.
static float softmax_gradients(const config *c, block *b, float positive, float weight)
{
    const float inverse = (float)(1.0 / c->temperature);
    float top = positive * inverse;
    for (uint32_t i = 0; i < b->count; i++) {
        b->weights[i] = b->scores[i] * inverse - b->log_q[i];
        top = b->weights[i] > top ? b->weights[i] : top;
    }
    const float first = mr_expf(positive * inverse - top);
    float sum = first;
    for (uint32_t i = 0; i < b->count; i++) {
        b->weights[i] = mr_expf(b->weights[i] - top);
        sum += b->weights[i];
    }
    const float unit = weight * inverse / sum;
    for (uint32_t i = 0; i < b->count; i++)
        b->weights[i] *= unit;
    return first * unit - weight * inverse;
}

static float bpr_gradients(block *b, float positive, float weight)
{
    float sum = 0.0f;
    const float share = b->count > 0 ? weight / (float)b->count : 0.0f;
    for (uint32_t i = 0; i < b->count; i++) {
        const float x = positive - b->scores[i];
        b->weights[i] = share / (1.0f + mr_expf(x));
        sum += b->weights[i];
    }
    return -sum;
}

static void add_item_gradient(const config *c, const mr_vec *vec, float *delta, float weight,
                              const float *user, float user_squares)
{
    const uint32_t n = dim(c);
    const float norm = __builtin_sqrtf(user_squares) * __builtin_fabsf(weight);
    const float size = norm > 1.0f ? weight / norm : weight;
    vec->axpy(delta, size, user, n);
    gradient_tail *t = delta_tail(c, delta);
    t->squares += size * size * user_squares / (float)n;
    t->events += 1.0f;
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal, block *b,
                  mr_deltas *deltas, float *gradient)
{
    const config *c = self->config;
    const mr_vec *vec = view->vec;
    const uint32_t n = dim(c), f = self->family_first;
    mr_user *user = mr_view_user(view, signal->user);
    float *u = mr_user_part(self, user);
    const float *rows = ((const cache *)self->cache)->served; // as of the round's start, like rows
    const float *v = rows + (size_t)signal->item * n;
    const float positive = vec->dot(u, v, n);
    const uint64_t hints = hints_of_recent(user);
    vec->dot_rows(u, rows, b->slots, b->count, n, b->scores);
    for (uint32_t i = 0; i < b->count; i++) {
        const uint64_t key = view->items->slots.keys[b->slots[i]];
        if (key == signal->item_key || among_recent(user, hints, key))
            b->scores[i] = LEFT_OUT;
    }
    const float first = c->bpr > 0 ? bpr_gradients(b, positive, signal->weight)
                                   : softmax_gradients(c, b, positive, signal->weight);
    const float user_squares = vec->dot(u, u, n);
    vec->set(gradient, first, v, n);
    add_item_gradient(c, vec, mr_deltas_at(deltas, f, signal->item), first, u, user_squares);
    for (uint32_t i = 0; i < b->count; i++) {
        const float w = b->weights[i];
        if (!(w > 1e-6f)) // left out, or too easy to matter
            continue;
        if (b->gradients[i] == NULL)
            b->gradients[i] = mr_deltas_at(deltas, f, b->slots[i]);
        add_item_gradient(c, vec, b->gradients[i], w, u, user_squares);
        vec->axpy(gradient, w, rows + (size_t)b->slots[i] * n, n);
    }
    const float shrink = clip_norm(vec, gradient, n, 1.0f);
    if (shrink < 1.0f)
        vec->scale(gradient, shrink, n);
    step(c, vec, u, gradient, vec->dot(gradient, gradient, n) / (float)n, 1.0f,
         (float)c->rate_user);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const size_t mark = arena->used;
    block *b = mr_arena_push(arena, sizeof *b);
    float *gradient = mr_arena_push(arena, dim(self->config) * sizeof(float));
    uint32_t number = UINT32_MAX;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        if (signal->index / BLOCK != number) {
            number = signal->index / BLOCK;
            fill_block(self, view, number, b);
        }
        if (b->count > 0)
            learn(self, view, signal, b, deltas, gradient);
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)family, (void)key;
    const config *c = self->config;
    const gradient_tail *t = (const gradient_tail *)((const uint8_t *)delta + dim(c) * 4);
    if (t->events > 0)
        step(c, view->vec, row, delta, t->squares, t->events, (float)c->rate_item);
}

// ---- serving: the items' vectors in one dense matrix and its image, derived from their rows

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(cache)) +
           mr_arena_round((size_t)items_max * dim(c) * sizeof(float)) +
           mr_topk_image_bytes(items_max, dim(c));
}

static void serve(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    cache *derived = self->cache;
    const uint32_t n = dim(self->config);
    float *to = derived->served + (size_t)slot * n;
    memcpy(to, mr_items_row(view->items, self->family_first, slot), n * sizeof *to);
    const float norm = mr_topk_image_put(&derived->image, slot, to, n);
    derived->norm_max = norm > derived->norm_max ? norm : derived->norm_max;
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    const uint32_t max = view->items->slots.max, n = dim(self->config);
    uint8_t *memory = (uint8_t *)self->cache + mr_arena_round(sizeof(cache));
    derived->served = (float *)(void *)memory;
    memory += mr_arena_round((size_t)max * n * sizeof(float));
    derived->image = mr_topk_image_at(memory, max, n);
    derived->norm_max = 0.0f;
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        serve(self, view, slot);
}

static const float *vector(const mr_instance *self, const mr_view *view, mr_key_kind whose,
                           uint32_t slot, uint32_t *count)
{
    *count = dim(self->config);
    return whose == MR_KEY_USER ? mr_user_part(self, mr_view_user(view, slot))
                                : mr_items_row(view->items, self->family_first, slot);
}

static void tell(const mr_instance *self, const mr_view *view, uint32_t slot, mr_told *told)
{
    told->vector = vector(self, view, MR_KEY_ITEM, slot, &told->vector_count);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    (void)family;
    serve(self, view, slot);
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    if (user_count == 0)
        return;
    const cache *derived = self->cache;
    const uint32_t n = dim(self->config), k = found[0].max;
    const size_t mark = arena->used;
    float *vectors = mr_arena_push(arena, (size_t)user_count * n * sizeof *vectors);
    mr_topk_list *lists = mr_arena_push(arena, user_count * sizeof *lists);
    for (uint32_t u = 0; u < user_count; u++) {
        memcpy(vectors + (size_t)u * n, mr_user_part(self, mr_view_user(view, users[u])),
               n * sizeof *vectors);
        lists[u] = (mr_topk_list){.seen = filters[u].seen,
                                  .seen_count = filters[u].seen_count,
                                  .slots = found[u].slots,
                                  .scores = found[u].scores};
    }
    const mr_topk_items items = {.rows = derived->served,
                                 .image = derived->image,
                                 .keys = view->items->slots.keys,
                                 .shown = view->items->shown,
                                 .count = view->items->slots.used,
                                 .stride = n,
                                 .norm_max = derived->norm_max};
    mr_topk_scan(&items, vectors, user_count, k, lists, view->vec,
                 mr_arena_push(arena, mr_topk_bytes(k)));
    for (uint32_t u = 0; u < user_count; u++)
        found[u].count = lists[u].count;
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)arena, (void)stride;
    view->vec->dot_rows(mr_user_part(self, mr_view_user(view, user)),
                        ((const cache *)self->cache)->served, slots, slot_count, dim(self->config),
                        out);
}

static uint32_t column_count(const void *c)
{
    (void)c;
    return 1;
}

static const mr_column columns[] = {{"embedding", MR_SCALE_REAL}};

const mr_model mr_model_embedding = {
    .state = {.name = "embedding",
              .source = "Yi et al., Sampling-Bias-Corrected Neural Modeling",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 2,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply,
              .tell = tell},
    .vector = vector,
    .columns = columns,
    .column_count = column_count,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
