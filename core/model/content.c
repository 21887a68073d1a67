// SPDX-License-Identifier: Apache-2.0
// content: what the catalogue says an item is like, held against the items that the user acted on.
// Off unless `dim` is set. An item has its place from the catalogue's first word on.
//
// An item is a unit vector x of dim numbers. Where the catalogue gives a content vector, of any
// language or image model, it is that one: with zeros behind it where it is shorter, folded where
// it is longer, x_k = sum_j s_jk v_j with signs s_jk = +1 or -1 by hash, which changes a cosine by
// 1/sqrt(dim) or so. Where it gives none, each category and each attribute is a coordinate of an
// endless vector of ones and zeros, folded by the same signs. x is kept in 8 bits a number.
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
// Representations Directly from Multimodal Features" (a linear map of frozen vectors is enough);
// Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (signs by hash).
// Departures: (1) a space of its own instead of a map into that of `embedding`: a vector of the
// embedding knows an item by its acts, and on MovieLens found new items half as often; (2) closed
// form instead of gradients against negatives, which teach it that what nobody knows yet is bad.
#include "core/base/ridge.h"
#include "core/deltas.h"
#include "core/list/matrix.h"

enum {
    DIM_MAX = MR_RIDGE_LINK_MAX,
    SIGN_SEED = 0x7369676e, // "sign"
};

_Static_assert(DIM_MAX <= 64, "the signs of a coordinate are the bits of one hash");

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

// An item: a row, and a delta.
typedef struct content {
    int64_t time_ms; // of the catalogue's word
    uint32_t model;  // what made the vector (mr_view.vector_model); 0: it was not a vector
    float unit;      // of the codes; 0: nothing was said
    int8_t codes[];  // dim
} content;

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
    return (uint32_t)sizeof(content) + dim(c);
}

static uint32_t item_used(const void *c, const void *row)
{
    const content *of = row;
    return of->unit > 0.0f ? item_bytes(c) : of->time_ms > 0 ? (uint32_t)sizeof *of : 0;
}

static void combine_items(const void *c, void *into, const void *from)
{
    if (((const content *)from)->time_ms >= ((const content *)into)->time_ms)
        memcpy(into, from, item_bytes(c));
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

// Adds `value` at the coordinate of this name.
static void fold(float *x, uint32_t n, uint64_t name, float value)
{
    const uint64_t signs = mr_hash64(&name, sizeof name, SIGN_SEED);
    for (uint32_t k = 0; k < n; k++)
        x[k] += (signs >> k & 1) != 0 ? value : -value;
}

static float largest(const float *x, uint32_t n)
{
    float most = 0.0f;
    for (uint32_t k = 0; k < n; k++)
        most = __builtin_fabsf(x[k]) > most ? __builtin_fabsf(x[k]) : most;
    return most;
}

// What is said, in n numbers; their length is of no matter.
static void read_described(const mr_described *of, uint32_t n, float *x)
{
    memset(x, 0, n * sizeof *x);
    const float most = of->vector != NULL ? largest(of->vector, of->vector_count) : 0.0f;
    const float scale = most > 1e-30f ? 1.0f / most : 0.0f;
    for (uint32_t j = 0; of->vector != NULL && j < of->vector_count; j++) {
        if (of->vector_count <= n)
            x[j] = scale * of->vector[j];
        else
            fold(x, n, j, scale * of->vector[j]);
    }
    for (uint32_t t = 0; of->vector == NULL && t < of->token_count; t++)
        fold(x, n, of->tokens[t], 1.0f);
}

// Codes of -127 to 127 and their unit, so that what they mean has length 1, nearly.
static void encode(const float *x, uint32_t n, content *to)
{
    const float most = largest(x, n);
    float squares = 0.0f;
    to->unit = 0.0f;
    if (!(most > 0.0f))
        return;
    for (uint32_t k = 0; k < n; k++) {
        const float code = x[k] / most * 127.0f;
        to->codes[k] = (int8_t)(code < 0.0f ? code - 0.5f : code + 0.5f);
        squares += (float)to->codes[k] * (float)to->codes[k];
    }
    to->unit = 1.0f / __builtin_sqrtf(squares);
}

static void describe(const mr_instance *self, const mr_view *view, const mr_described *described,
                     struct mr_deltas *deltas)
{
    const config *c = self->config;
    float x[DIM_MAX];
    uint64_t scratch[(sizeof(content) + DIM_MAX) / 8] = {0};
    content *word = (content *)(void *)scratch;
    word->time_ms = described->time_ms;
    word->model = described->vector != NULL ? view->vector_model : 0;
    read_described(described, dim(c), x);
    encode(x, dim(c), word);
    combine_items(c, mr_deltas_at(deltas, self->family_first + FAMILY_ITEM, described->item), word);
}

// ---- derived: the items' vectors

static mr_matrix *matrix_of(const mr_instance *self)
{
    return self->cache;
}

// Vectors of another model are not there until the catalogue speaks of the item again.
static void derive(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    mr_matrix *items = matrix_of(self);
    const content *row = mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot);
    const bool counts = row->model == 0 || row->model == view->vector_model;
    float *to = mr_matrix_row(items, slot);
    for (uint32_t k = 0; k < items->stride; k++)
        to[k] = counts ? row->unit * (float)row->codes[k] : 0.0f;
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
