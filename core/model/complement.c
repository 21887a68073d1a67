// SPDX-License-Identifier: Apache-2.0
// complement: what is bought with an item, and what is bought in its place. Off unless `dim` is
// set.
//
// Two vectors an item: a_i says what the item asks for, o_i what it answers. Of two items i and j
// that one user bought in one order, or within `window_days`, both (i, j) and (j, i) lower
//     L = softplus(-s_ij) + sum_n softplus(s_in),   s_ij = a_i.o_j - ln(negatives)
// over `negatives` items n, drawn in proportion to (acts + 1)^power. Then a_i.o_j is large where j
// goes with i, and a_i.a_k where i and k go with the same items. With p the mean of a_i over a
// user's items (what he bought and put in carts first, each older one `recency` of the one before),
// the columns are
//     complement = p.o_j,   complement_like = p.a_j
// each found exactly in an index of its own.
// A user keeps the newest items that he bought (with acts: all, acted on) with their orders; an
// item that he buys again moves up and makes no pairs. A pair is left out with probability
// 1 - sqrt(frequent / share of acts) for each of its items.
// Merge: gradients are sums of floats; the owner of an item takes a step of AdaGrad once a round
// from the sum, so that workers agree where their rounds do.
// Source: "Two Is Better Than One: Dual Embeddings for Complementary Product Recommendations"; the
// loss: mr_loss_sgns. Departures: (1) ln(negatives), so that a_i.o_j is the logarithm of how much
// likelier j is beside i than the law of the negatives has it; without it an item that nothing is
// known of would stand above nearly all others. (2) Negatives are the trainer's shared blocks
// (negatives.h), of which each weighs its share under the power law over its share in the block,
// with mean 1, instead of being drawn by it. (3) Popularity is that of all acts. (4) No made-up
// pairs for items that nobody has bought: `content` speaks of those.
#include "core/deltas.h"
#include "core/list/matrix.h"
#include "core/model/loss.h"
#include "core/model/negatives.h"
#include "core/model/optimiser.h"

enum { DIM_MAX = 128, KEPT = 8, ANY_MAX = MR_RECENT_MAX + KEPT };
enum { ACTS_PURCHASES, ACTS_ALL };

typedef struct config {
    double dim, acts, window_days, negatives, power, frequent, rate, init, history, recency;
} config;

static const mr_param params[] = {
    {"dim", "", "length of an item's two vectors, rounded up to 16; 0: off", offsetof(config, dim),
     0, 0, DIM_MAX},
    {"acts", "purchases | all", "of which acts two make a pair", offsetof(config, acts),
     ACTS_PURCHASES, 0, 1},
    {"window_days", "days", "acts closer than this make a pair, also of different orders",
     offsetof(config, window_days), 7, 0, 10000},
    {"negatives", "", "negatives that a pair is compared with", offsetof(config, negatives), 16, 1,
     MR_NEGATIVES_MAX},
    {"power", "", "of an item's acts, to which negatives are drawn in proportion",
     offsetof(config, power), 0.75, -1, 1},
    {"frequent", "",
     "share of all acts above which pairs of an item are left out now and then; 0: never",
     offsetof(config, frequent), 1e-4, 0, 1},
    {"rate", "", "learning rate", offsetof(config, rate), 0.12, 0, 10},
    {"init", "", "norm of a new vector", offsetof(config, init), 0.1, 1e-6, 10},
    {"history", "", "items of the user that a score looks at", offsetof(config, history), 5, 1,
     MR_RECENT_MAX},
    {"recency", "", "weight of each older item of the user", offsetof(config, recency), 0.85, 0.01,
     1},
    {0},
};

// ---- rows

enum { SIDE_IN, SIDE_OUT, SIDES, FAMILY_USER = SIDES };

typedef struct gradient_tail { // behind the vector of a delta
    float squares, events;
} gradient_tail;

typedef struct bought {
    uint64_t item_key, order; // order 0: none
    int64_t time_ms;
} bought;

typedef struct kept { // of a user, newest first, no item twice
    uint64_t count;
    bought of[KEPT];
} kept;

typedef struct cache {
    mr_matrix of[SIDES]; // of the two vectors
} cache;

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static uint32_t row_bytes(const void *c)
{
    return (dim(c) + mr_optimiser_floats(MR_OPTIMISER_ADAGRAD, dim(c))) * (uint32_t)sizeof(float);
}

static uint32_t delta_bytes(const void *c)
{
    return dim(c) * (uint32_t)sizeof(float) + (uint32_t)sizeof(gradient_tail);
}

static uint32_t kept_used(const void *c, const void *row)
{
    (void)c;
    return (uint32_t)(offsetof(kept, of) + ((const kept *)row)->count * sizeof(bought));
}

static uint32_t others(const void *c)
{
    (void)c;
    return KEPT;
}

static void init_row(const config *c, uint64_t key, uint64_t seed, uint32_t which, float *row)
{
    mr_rng rng = mr_rng_make(seed, which, 0, key, MR_PURPOSE_COMPLEMENT);
    const float scale = (float)c->init / __builtin_sqrtf((float)dim(c));
    for (uint32_t i = 0; i < dim(c); i++)
        row[i] = scale * mr_rng_normal(&rng);
}

static void init_in(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, SIDE_IN, row);
}

static void init_out(const void *c, uint64_t key, uint64_t seed, void *row)
{
    init_row(c, key, seed, SIDE_OUT, row);
}

static const mr_family families[] = {
    [SIDE_IN] = {.name = "in",
                 .key = MR_KEY_ITEM,
                 .delta = MR_DELTA_SUM,
                 .version = 1,
                 .row_bytes = row_bytes,
                 .delta_bytes = delta_bytes,
                 .others = others,
                 .init = init_in},
    [SIDE_OUT] = {.name = "out",
                  .key = MR_KEY_ITEM,
                  .delta = MR_DELTA_SUM,
                  .version = 1,
                  .row_bytes = row_bytes,
                  .delta_bytes = delta_bytes,
                  .others = others,
                  .init = init_out},
    [FAMILY_USER] = {.name = "user",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .row_size = sizeof(kept),
                     .used = kept_used},
};

// ---- what a user has bought

static void forget(kept *k, uint64_t item_key)
{
    uint64_t left = 0;
    for (uint64_t i = 0; i < k->count; i++)
        if (k->of[i].item_key != item_key)
            k->of[left++] = k->of[i];
    memset(&k->of[left], 0, (k->count - left) * sizeof k->of[0]);
    k->count = left;
}

static void remember(kept *k, const mr_signal *signal)
{
    memmove(&k->of[1], &k->of[0], (KEPT - 1) * sizeof k->of[0]);
    k->of[0] = (bought){signal->item_key, signal->order, signal->time_ms};
    k->count += k->count < KEPT;
}

static bool has(const kept *k, uint64_t item_key)
{
    for (uint64_t i = 0; i < k->count; i++)
        if (k->of[i].item_key == item_key)
            return true;
    return false;
}

static bool goes_with(const config *c, const bought *one, const mr_signal *signal)
{
    const int64_t apart_ms = signal->time_ms - one->time_ms;
    return (signal->order != 0 && signal->order == one->order) ||
           (double)(apart_ms < 0 ? -apart_ms : apart_ms) <= c->window_days * 86400000.0;
}

// ---- learning

typedef struct learner { // one wave
    const mr_instance *self;
    const config *c;
    const mr_view *view;
    mr_deltas *deltas;
    const float *in, *out; // by slot, as of the round's start
    uint32_t n;
    mr_sampler sampler;
    mr_block block;
    float shift;   // ln(negatives)
    float *shares; // of the block's negatives
    bool *met;     // the user has this one
    float *gradient;
} learner;

static void add_gradient(const learner *l, float *to, float weight, const float *direction)
{
    gradient_tail *tail = (gradient_tail *)(void *)(to + l->n);
    const float squares = l->view->vec->dot(direction, direction, l->n);
    l->view->vec->axpy(to, weight, direction, l->n);
    tail->squares += weight * weight * squares / (float)l->n;
    tail->events += 1.0f;
}

static float *delta_of(const learner *l, uint32_t which, uint32_t slot)
{
    return mr_deltas_at(l->deltas, l->self->family_first + which, slot);
}

// `from` asked for `to`.
static void learn_pair(learner *l, uint32_t from, uint32_t to, float weight)
{
    mr_block *b = &l->block;
    const float *a = l->in + (size_t)from * l->n;
    b->slots[0] = to;
    l->view->vec->dot_rows(a, l->out, b->slots, b->count, l->n, b->scores);
    for (uint32_t i = 0; i < b->count; i++)
        b->scores[i] -= l->shift;
    for (uint32_t i = 1; i < b->count; i++)
        if (l->met[i] || b->slots[i] == from || b->slots[i] == to)
            b->scores[i] = MR_LOSS_LEFT_OUT;
    mr_loss_sgns(&(mr_candidates){b->count, b->scores, weight, b->gradients, NULL}, l->shares);
    memset(l->gradient, 0, l->n * sizeof *l->gradient);
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->gradients[i] == 0.0f)
            continue;
        if (i == 0)
            b->payloads[0] = delta_of(l, SIDE_OUT, to);
        else if (b->payloads[i] == NULL)
            b->payloads[i] = delta_of(l, SIDE_OUT, b->slots[i]);
        l->view->vec->axpy(l->gradient, b->gradients[i], l->out + (size_t)b->slots[i] * l->n, l->n);
        add_gradient(l, b->payloads[i], b->gradients[i], a);
    }
    add_gradient(l, delta_of(l, SIDE_IN, from), 1.0f, l->gradient);
}

// Negatives of the act, each with what it stands for under the law acts^power.
static void draw_negatives(learner *l, const mr_signal *signal)
{
    mr_block *b = &l->block;
    const uint32_t before = b->number;
    mr_block_fill(b, &l->sampler, l->view, signal->index);
    if (b->number != before) {
        double sum = 0;
        for (uint32_t i = 1; i < b->count; i++) {
            const double acts = mr_items_at(l->view->items, b->slots[i])->events + 1.0;
            const double share = mr_exp(l->c->power * mr_log(acts) - (double)b->log_q[i]);
            l->shares[i] = (float)share;
            sum += share;
        }
        for (uint32_t i = 1; i < b->count; i++)
            l->shares[i] *= (float)((b->count - 1) / sum);
    }
    memset(b->scores, 0, b->count * sizeof *b->scores);
    mr_block_meet(b, l->view, signal);
    for (uint32_t i = 1; i < b->count; i++)
        l->met[i] = !(b->scores[i] > MR_LOSS_LEFT_OUT);
}

static bool is_spared(const learner *l, uint32_t slot, mr_rng *rng)
{
    const double share = mr_items_at(l->view->items, slot)->events / (double)(l->view->acts + 1);
    return !(l->c->frequent > 0) || !(share > l->c->frequent) ||
           (double)mr_rng_float(rng) < __builtin_sqrt(l->c->frequent / share);
}

static void learn(learner *l, const mr_signal *signal, const kept *k)
{
    mr_rng rng = mr_rng_make(l->view->seed, l->view->task, l->view->epoch, signal->index,
                             MR_PURPOSE_COMPLEMENT);
    if (k->count == 0 || !is_spared(l, signal->item, &rng))
        return;
    draw_negatives(l, signal);
    for (uint64_t i = 0; i < k->count; i++) {
        const uint32_t other = mr_items_find(l->view->items, k->of[i].item_key);
        if (other == MR_MAP_NONE || !goes_with(l->c, &k->of[i], signal) ||
            !is_spared(l, other, &rng))
            continue;
        learn_pair(l, other, signal->item, signal->weight);
        learn_pair(l, signal->item, other, signal->weight);
    }
}

static learner open_learner(const mr_instance *self, const mr_view *view, mr_deltas *deltas,
                            mr_arena *arena)
{
    const config *c = self->config;
    const cache *derived = self->cache;
    learner l = {.self = self,
                 .c = c,
                 .view = view,
                 .deltas = deltas,
                 .in = derived->of[SIDE_IN].rows,
                 .out = derived->of[SIDE_OUT].rows,
                 .n = dim(c),
                 .shift = (float)mr_log(c->negatives),
                 .sampler = {(uint32_t)c->negatives, 0.5f, true}};
    mr_block_open(&l.block, l.sampler.draws, arena);
    l.shares = mr_arena_push(arena, (l.sampler.draws + 1) * sizeof *l.shares);
    l.met = mr_arena_push(arena, (l.sampler.draws + 1) * sizeof *l.met);
    l.gradient = mr_arena_push(arena, l.n * sizeof *l.gradient);
    return l;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    const size_t mark = arena->used;
    learner l = open_learner(self, view, deltas, arena);
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        kept *k = mr_user_part(self, mr_view_user(view, signal->user));
        if (signal->kind == MR_SIGNAL_REFUND)
            forget(k, signal->item_key);
        if (signal->kind != MR_SIGNAL_ACT ||
            (c->acts < ACTS_ALL && signal->act != MR_EVENT_PURCHASE))
            continue;
        if (has(k, signal->item_key))
            forget(k, signal->item_key);
        else if (signal->weight > 0.0f)
            learn(&l, signal, k);
        remember(k, signal);
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)family, (void)key;
    const uint32_t n = dim(self->config);
    const gradient_tail *tail = (const gradient_tail *)(const void *)((const float *)delta + n);
    const mr_optimiser optimiser = {.kind = MR_OPTIMISER_ADAGRAD,
                                    .rate = (float)((const config *)self->config)->rate,
                                    .norm_max = 10.0f};
    const mr_gradient gradient = {.sum = delta, .squares = tail->squares, .events = tail->events};
    if (tail->events > 0.0f)
        mr_optimiser_step(&optimiser, view->vec, row, n, &gradient);
}

// ---- serving

static mr_matrix *matrix_of(const mr_instance *self, uint32_t which)
{
    return &((cache *)self->cache)->of[which];
}

static size_t matrix_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(mr_matrix_bytes(items_max, dim(c)));
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(cache)) + SIDES * matrix_bytes(c, items_max);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    mr_matrix_set(matrix_of(self, family), slot,
                  mr_items_row(view->items, self->family_first + family, slot));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    const uint32_t max = view->items->slots.max;
    uint8_t *memory = (uint8_t *)self->cache + mr_arena_round(sizeof(cache));
    for (uint32_t s = 0; s < SIDES; s++, memory += matrix_bytes(self->config, max)) {
        mr_matrix_open(matrix_of(self, s), memory, max, dim(self->config));
        for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
            changed(self, view, s, slot);
    }
}

static uint32_t add_key(uint64_t keys[ANY_MAX], uint32_t count, uint64_t key)
{
    for (uint32_t i = 0; i < count; i++)
        if (keys[i] == key)
            return count;
    keys[count] = key;
    return count + 1;
}

// The user's items: carts and purchases among his newest events, what else he bought, then the
// rest of his newest events; none twice.
static uint32_t items_of(const mr_instance *self, mr_user *user, uint64_t keys[ANY_MAX])
{
    const kept *k = mr_user_part(self, user);
    uint32_t count = 0;
    for (uint32_t r = 0; r < user->recent_count; r++)
        if (user->recent[r].act == MR_EVENT_PURCHASE || user->recent[r].act == MR_EVENT_CART)
            count = add_key(keys, count, user->recent[r].item_key);
    for (uint64_t i = 0; i < k->count; i++)
        count = add_key(keys, count, k->of[i].item_key);
    for (uint32_t r = 0; r < user->recent_count; r++)
        count = add_key(keys, count, user->recent[r].item_key);
    return count;
}

// The mean of a_i over the user's items; false, and zeros: none is known.
static bool read_user(const mr_instance *self, const mr_view *view, uint32_t user, float *p)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    const mr_matrix *in = matrix_of(self, SIDE_IN);
    uint64_t keys[ANY_MAX];
    const uint32_t count = items_of(self, mr_view_user(view, user), keys);
    float weight = 1.0f, sum = 0.0f;
    memset(p, 0, n * sizeof *p);
    for (uint32_t i = 0, looked = 0; i < count && looked < (uint32_t)c->history; i++) {
        const uint32_t slot = mr_items_find(view->items, keys[i]);
        if (slot == MR_MAP_NONE)
            continue;
        view->vec->axpy(p, weight, mr_matrix_row(in, slot), n);
        sum += weight;
        weight *= (float)c->recency;
        looked++;
    }
    if (sum > 0.0f)
        view->vec->scale(p, 1.0f / sum, n);
    return sum > 0.0f;
}

static uint32_t side_of(uint32_t column)
{
    return column == 0 ? SIDE_OUT : SIDE_IN;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    const uint32_t n = dim(self->config);
    const size_t mark = arena->used;
    float *queries = mr_arena_push(arena, (size_t)user_count * n * sizeof *queries);
    bool *known = mr_arena_push(arena, user_count * sizeof *known);
    for (uint32_t u = 0; u < user_count; u++)
        known[u] = read_user(self, view, users[u], queries + (size_t)u * n);
    mr_matrix_find(matrix_of(self, side_of(column)), view, queries, user_count, filters, arena,
                   found);
    for (uint32_t u = 0; u < user_count; u++)
        found[u].count = known[u] ? found[u].count : 0;
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)arena;
    float p[DIM_MAX];
    (void)read_user(self, view, user, p); // of nobody all scores are 0
    for (uint32_t column = 0; column < self->column_count; column++)
        view->vec->dot_rows(p, matrix_of(self, side_of(column))->rows, slots, slot_count,
                            dim(self->config), out + (size_t)column * stride);
}

static uint32_t column_count(const void *c)
{
    (void)c;
    return 2;
}

static const mr_column columns[] = {{"complement", MR_SCALE_REAL},
                                    {"complement_like", MR_SCALE_REAL}};

const mr_model mr_model_complement = {
    .state = {.name = "complement",
              .source = "Two Is Better Than One: Dual Embeddings for Complementary Product "
                        "Recommendations",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply},
    .on = on,
    .columns = columns,
    .column_count = column_count,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
