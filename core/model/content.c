// SPDX-License-Identifier: Apache-2.0
// content: what the catalogue says an item is like, held against the items that the user acted on.
// Off unless `dim` is set. An item has its place from the catalogue's first word on.
//
// An item is a unit vector x of dim numbers, kept in 8 bits each (core/model/described.h).
//
// A user is the mean of his newest items, p = sum_k recency^k x_k, at length 1: nothing is kept of
// him. What p says of the next item is learned from acts that are no repeats, one in `every`: with
// the pairs (p, x) it is the map of core/base/ridge.h, a closed form of three sums that fade with
// half_life_s, and
//     score = x.(map p)
// With nothing learned the map is I and the score a cosine. What is popular gains nothing by it:
// the map says how much more an item has to do with this user than with others. The prior grows
// with what was seen, so that a direction in which nothing was ever seen counts a hundred times as
// much as others at most, and floats hold the sums. It is solved anew by the sums' owner when a
// twentieth was added to what it was solved from. The map acts on the user, so that items stay
// where they are: one scan of vectors that only the catalogue moves, whatever is learned.
//
// Merge: an item's row is the latest word of the catalogue, by time, then by order. The sums are
// added as of the later time: the same in any grouping but for rounding. The map has one owner.
//
// Sources: "Language Representations Can be What Recommenders Need" and "Learning Item
// Representations Directly from Multimodal Features" (a linear map of frozen vectors is enough).
// Departures: (1) a space of its own instead of a map into that of `embedding`: a vector of the
// embedding knows an item by its acts, and on MovieLens found new items half as often; (2) closed
// form instead of gradients against negatives, which teach it that what nobody knows yet is bad.
#include "core/base/ridge.h"
#include "core/deltas.h"
#include "core/list/matrix.h"
#include "core/model/described.h"

enum { DIM_MAX = MR_RIDGE_LINK_MAX };

_Static_assert(DIM_MAX <= (int)MR_WORD_DIM_MAX, "items are kept as words");

typedef struct config {
    double dim, history, recency, every, half_life_s, prior;
} config;

static const mr_param params[] = {
    {"dim", "", "numbers that an item's content is kept in, rounded up to 16; 0: off",
     offsetof(config, dim), 0, 0, DIM_MAX},
    {"history", "", "newest events of a user that say what he likes", offsetof(config, history), 24,
     1, MR_RECENT_MAX},
    {"recency", "", "weight of each older event of the user", offsetof(config, recency), 0.9, 0.01,
     1},
    {"every", "", "one act in so many is learned from; 0: none, the score is a cosine",
     offsetof(config, every), 8, 0, 1e6},
    {"half_life_s", "s", "time after which an act counts half", offsetof(config, half_life_s),
     30 * 86400.0, 60, 1e9},
    {"prior", "",
     "acts of like going with like, in each direction, that are taken for seen before any were; a "
     "hundredth of what was seen comes on top",
     offsetof(config, prior), 10, 1e-3, 1e6},
    {0},
};

// What goes together: a row, and without the map a delta.
typedef struct link {
    int64_t time_ms; // as of which the sums are
    float count;     // of the pairs, faded
    float added;     // pairs since the map was solved
    float values[];  // the sums of core/base/ridge.h, then the map
} link;

enum { FAMILY_ITEM, FAMILY_LINK };

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

// ---- rows

static uint32_t item_bytes(const void *c)
{
    return mr_word_bytes(dim(c));
}

static uint32_t item_used(const void *c, const void *row)
{
    return mr_word_used(dim(c), row);
}

static void combine_items(const void *c, void *into, const void *from)
{
    mr_word_combine(dim(c), into, from);
}

static uint32_t sums_bytes(const void *c)
{
    return (uint32_t)sizeof(link) + mr_ridge_link_cells(dim(c)) * 4;
}

static uint32_t link_bytes(const void *c)
{
    return sums_bytes(c) + dim(c) * dim(c) * 4;
}

static float *map_of(const void *c, link *row)
{
    return row->values + mr_ridge_link_cells(dim(c));
}

static void init_link(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)key, (void)seed;
    for (uint32_t k = 0; k < dim(c); k++)
        map_of(c, row)[k * dim(c) + k] = 1.0f;
}

static float faded(const config *c, int64_t from_ms, int64_t to_ms)
{
    return to_ms <= from_ms ? 1.0f
                            : (float)mr_exp2((double)(from_ms - to_ms) / (c->half_life_s * 1000.0));
}

static void fade(const config *c, link *sums, int64_t to_ms)
{
    const float share = faded(c, sums->time_ms, to_ms);
    for (uint32_t i = 0; sums->count > 0.0f && i < mr_ridge_link_cells(dim(c)); i++)
        sums->values[i] *= share;
    sums->count *= share;
    sums->time_ms = to_ms > sums->time_ms ? to_ms : sums->time_ms;
}

// Sums of two times are added at the later one.
static void add(const void *c, void *to, const void *more)
{
    link *into = to;
    const link *from = more;
    fade(c, into, from->time_ms);
    const float share = faded(c, from->time_ms, into->time_ms);
    for (uint32_t i = 0; i < mr_ridge_link_cells(dim(c)); i++)
        into->values[i] += share * from->values[i];
    into->count += share * from->count;
    into->added += from->added;
}

static uint8_t variant(const void *c)
{
    return (uint8_t)(dim(c) / 16);
}

static const mr_family families[] = {
    [FAMILY_ITEM] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = item_bytes,
                     .delta_bytes = item_bytes,
                     .used = item_used,
                     .combine = combine_items},
    [FAMILY_LINK] = {.name = "link",
                     .key = MR_KEY_NAMED,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = link_bytes,
                     .delta_bytes = sums_bytes,
                     .init = init_link,
                     .combine = add},
};

// ---- the catalogue speaks

static void describe(const mr_instance *self, const mr_view *view, const mr_described *described,
                     struct mr_deltas *deltas)
{
    const config *c = self->config;
    uint64_t scratch[(sizeof(mr_word) + DIM_MAX) / 8] = {0};
    mr_word *word = (mr_word *)(void *)scratch;
    mr_word_make(dim(c), view, described, word);
    combine_items(c, mr_deltas_at(deltas, self->family_first + FAMILY_ITEM, described->item), word);
}

// ---- derived: the items' vectors

static mr_matrix *matrix_of(const mr_instance *self)
{
    return self->cache;
}

static void derive(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    mr_matrix *items = matrix_of(self);
    const mr_word *row = mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot);
    (void)mr_word_read(items->stride, view, row, mr_matrix_row(items, slot));
    mr_matrix_put(items, slot);
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(mr_matrix)) + mr_matrix_bytes(items_max, dim(c));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    mr_matrix_open(matrix_of(self), (uint8_t *)self->cache + mr_arena_round(sizeof(mr_matrix)),
                   view->items->slots.max, dim(self->config));
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        derive(self, view, slot);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family == FAMILY_ITEM)
        derive(self, view, slot);
}

// ---- the user

static bool make_unit(const mr_vec *vec, float *x, uint32_t n)
{
    const float squares = vec->dot(x, x, n);
    if (!(squares > 1e-12f))
        return false;
    vec->scale(x, 1.0f / __builtin_sqrtf(squares), n);
    return true;
}

// p; false: nothing is known of what he acted on.
static bool read_user(const mr_instance *self, const mr_view *view, const mr_user *user, float *p)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    float weight = 1.0f;
    memset(p, 0, n * sizeof *p);
    for (uint32_t r = 0; r < user->recent_count && r < (uint32_t)c->history; r++) {
        const uint32_t slot = mr_items_find(view->items, user->recent[r].item_key);
        if (slot != MR_MAP_NONE)
            view->vec->axpy(p, weight, mr_matrix_row(matrix_of(self), slot), n);
        weight *= (float)c->recency;
    }
    return make_unit(view->vec, p, n);
}

// map p; zeros where nothing is known.
static bool ask(const mr_instance *self, const mr_view *view, uint32_t user, float *q)
{
    const uint32_t n = dim(self->config);
    float p[DIM_MAX];
    memset(q, 0, n * sizeof *q);
    if (!read_user(self, view, mr_view_user(view, user), p))
        return false;
    link *row = mr_named_find(&view->named[self->family_first + FAMILY_LINK], 0);
    for (uint32_t k = 0; k < n; k++)
        q[k] = view->vec->dot(map_of(self->config, row) + (size_t)k * n, p, n);
    return true;
}

// ---- learning

static bool is_chosen(const config *c, const mr_view *view, const mr_signal *signal)
{
    if (signal->kind != MR_SIGNAL_ACT || signal->repeat || !(signal->weight > 0.0f) || c->every < 1)
        return false;
    mr_rng rng =
        mr_rng_make(view->seed, view->task, view->epoch, signal->index, MR_PURPOSE_CONTENT);
    return mr_rng_below(&rng, (uint32_t)c->every) == 0;
}

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  struct mr_deltas *deltas)
{
    const config *c = self->config;
    const uint32_t n = dim(c), family = self->family_first + FAMILY_LINK;
    const float *x = mr_matrix_row(matrix_of(self), signal->item);
    float p[DIM_MAX];
    if (!(view->vec->dot(x, x, n) > 0.0f) ||
        !read_user(self, view, mr_view_user(view, signal->user), p))
        return;
    link *sums = mr_deltas_at(deltas, family, mr_slots_find(&view->named[family].slots, 0));
    fade(c, sums, signal->time_ms);
    const float weight = signal->weight * faded(c, signal->time_ms, sums->time_ms);
    mr_ridge_link_add(sums->values, n, p, x, weight);
    sums->count += weight;
    sums->added += signal->weight;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++)
        if (is_chosen(self->config, view, &signals[s]))
            learn(self, view, &signals[s], deltas);
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)key;
    const config *c = self->config;
    if (family == FAMILY_ITEM) {
        combine_items(c, row, delta);
        return;
    }
    link *of = row;
    add(c, of, delta);
    if (of->added < 16.0f + 0.05f * of->count)
        return;
    mr_ridge_link_solve(of->values, dim(c), (double)of->count, c->prior + 0.01 * (double)of->count,
                        map_of(c, of));
    of->added = 0.0f;
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
    bool *known = mr_arena_push(arena, user_count * sizeof *known);
    for (uint32_t u = 0; u < user_count; u++)
        known[u] = ask(self, view, users[u], queries + (size_t)u * n);
    mr_matrix_find(matrix_of(self), view, queries, user_count, filters, arena, found);
    for (uint32_t u = 0; u < user_count; u++)
        found[u].count = known[u] ? found[u].count : 0;
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)arena, (void)stride;
    float q[DIM_MAX];
    (void)ask(self, view, user, q); // of nobody all scores are 0
    view->vec->dot_rows(q, matrix_of(self)->rows, slots, slot_count, dim(self->config), out);
}

static const mr_column columns[] = {{"content", MR_SCALE_REAL}};

const mr_model mr_model_content = {
    .state = {.name = "content",
              .source = "Hotelling, Relations Between Two Sets of Variates",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 2,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .describe = describe,
              .observe = observe,
              .apply = apply},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
