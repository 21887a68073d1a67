// SPDX-License-Identifier: Apache-2.0
// linucb: for each item a linear model of the reward, with its uncertainty. Off unless `dim` is
// set.
//
// The context x of a user is 1 and the first dim - 1 coordinates of his vector, as one direction:
// |x|^2 = 2. It is refreshed on every REFRESH-th act and kept in his row, so that feedback meets
// the context that a decision used. An item has the sums of what was tried on it,
//     A += x x^T  for each showing,  b += x  for each act (reward 1),
// faded with half_life_s, and from them, with the prior lambda I that does not fade,
//     theta = (lambda I + A)^-1 b,  mean = theta.x,  variance = noise^2 x^T (lambda I + A)^-1 x
// The sums add up over workers; inverse and theta are derived from them (Cholesky) where the row
// is. Drawn with `thompson` it is LinTS: theta ~ N(theta, A^-1) gives x.theta the law N(mean,
// variance), independent over items because each has its own. Drawn by upper bound it is LinUCB.
// With `coefficients` hybrid the reward is theta.x + beta.z: beta is that of all items, so that a
// new one begins with what is known of others like it. z is 1, the cosine of the user's and the
// item's vectors, how many acts it has had and how new it is (SHARED of them). An item's sums are
// those of (x, z), and beta is solved from all items' rows (ridge.h), in integers, so that it is
// the same whatever changed in which order. z is that of the event, not of its showing: it moves
// slowly. Learns from impressions alone: without them there is no reward of 0. Sums fade when
// something is added, so that an item that nothing happens to stays as sure as it was. With `drift`
// set, the rewards of lists that acts name are watched by ADWIN, BATCH showings or a round a
// number. Where they have become less than they were, what was learned until then counts
// `drift_keep` of what it did, in every item: a restart, unless that is 1. One owner watches; the
// others follow its row. More reward than before is no reason to forget. Source: Li, Chu, Langford
// and Schapire, A Contextual-Bandit Approach to Personalized News Article Recommendation
// (disjoint); Agrawal and Goyal, Thompson Sampling for Contextual Bandits with Linear Payoffs.
// Departure: the context is a learned vector, which moves under the sums while it is young.
#include "core/base/ridge.h"
#include "core/deltas.h"
#include "core/eval/drift.h"
#include "core/list/found.h"
#include "core/list/matrix.h"
#include "core/model/decay.h"

enum {
    DIM_MAX = MR_RIDGE_MAX,
    REFRESH = 4,
    BATCH = 16,
    SHARED = 4,
    SHARED_CELLS = SHARED * (SHARED + 1) / 2 + SHARED,
    SUMS_MAX = DIM_MAX + SHARED + (DIM_MAX + SHARED) * (DIM_MAX + SHARED + 1) / 2,
};
#define SHARED_UNITS 65536.0 // to the unit of what items share
#define NEW_MS 86400000.0    // an item is half as new after so long
#define MANY_ACTS 8.0        // ln(1 + acts) of an item that counts 1

typedef struct config {
    double dim, coefficients, lambda, half_life_s, noise, drift, drift_keep;
} config;

static const mr_param params[] = {
    {"dim", "", "length of the context, rounded up to 16 or 32; 0: off", offsetof(config, dim), 0,
     0, DIM_MAX},
    {"coefficients", "disjoint | hybrid",
     "an item's own alone, or beside some that all items share", offsetof(config, coefficients), 0,
     0, 1},
    {"lambda", "", "how many showings the prior is worth in each direction",
     offsetof(config, lambda), 1, 1e-3, 1e6},
    {"half_life_s", "s", "time after which a showing counts half", offsetof(config, half_life_s),
     604800, 60, 1e9},
    {"noise", "", "standard deviation of a reward around its mean; .2 is that of a click in 25",
     offsetof(config, noise), 0.2, 1e-6, 1e6},
    {"drift", "",
     "chance to take luck for a change of the rewards (ADWIN's delta), after which "
     "what was learned is forgotten; 0: it is not watched",
     offsetof(config, drift), 0, 0, 0.5},
    {"drift_keep", "", "share that it keeps then; 1: the metric `drifts` alone tells of it",
     offsetof(config, drift_keep), 0.02, 0, 1},
    {0},
};

// A row, and a delta: sums as of time_ms, of x or of (x, z).
typedef struct sums {
    int64_t time_ms;
    double showings, acts;
    double values[]; // as core/base/ridge.h has them
} sums;

typedef struct context { // of a user
    uint32_t acts, placed;
    float x[];
} context;

typedef struct rewards { // a delta to the watch: showings of lists and acts on them
    int64_t time_ms;     // of the newest
    double showings, acts;
} rewards;

typedef struct watch { // the one row
    int64_t since_ms;  // what was learned before is forgotten; 0: nothing is
    uint64_t drifts;
    rewards coming; // less than a batch
    mr_adwin adwin; // of rewards a showing, times the root of BATCH
} watch;

typedef struct cache {
    int64_t since_ms; // of the watch, as theta and inverse have it
    float *inverse;   // by slot: the whole of (lambda I + A)^-1, dim x dim
    mr_matrix theta;
    // hybrid: what z does to x by slot, shared x dim; parts of what is shared, by slot and summed
    // up
    float *across;
    int64_t (*parts)[SHARED_CELLS], sum[SHARED_CELLS];
    double beta[SHARED], shared_inverse[SHARED * SHARED];
} cache;

enum { FAMILY_SUMS, FAMILY_CONTEXT, FAMILY_WATCH };

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static uint32_t shared(const void *c)
{
    return ((const config *)c)->coefficients > 0 ? SHARED : 0;
}

static uint8_t variant(const void *c)
{
    return shared(c) > 0;
}

static uint32_t cells(const void *c)
{
    return mr_ridge_cells(dim(c) + shared(c));
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static uint32_t sums_bytes(const void *c)
{
    return (uint32_t)sizeof(sums) + cells(c) * 8;
}

static uint32_t sums_used(const void *c, const void *row)
{
    return ((const sums *)row)->showings > 0 || ((const sums *)row)->acts > 0 ? sums_bytes(c) : 0;
}

static uint32_t context_bytes(const void *c)
{
    return (uint32_t)sizeof(context) + dim(c) * 4;
}

static double faded(const config *c, int64_t from_ms, int64_t to_ms)
{
    return to_ms <= from_ms ? 1.0 : mr_exp2((double)(from_ms - to_ms) / (c->half_life_s * 1000.0));
}

// Sums of two times are added at the later one.
static void add(const config *c, sums *into, const sums *from)
{
    const int64_t time_ms = into->time_ms > from->time_ms ? into->time_ms : from->time_ms;
    const double old = faded(c, into->time_ms, time_ms), more = faded(c, from->time_ms, time_ms);
    into->time_ms = time_ms;
    into->showings = old * into->showings + more * from->showings;
    into->acts = old * into->acts + more * from->acts;
    for (uint32_t i = 0; i < cells(c); i++)
        into->values[i] = old * into->values[i] + more * from->values[i];
}

static void combine(const void *c, void *into, const void *from)
{
    add(c, into, from);
}

static bool watches(const config *c)
{
    return c->drift > 0;
}

static uint32_t watch_used(const void *c, const void *row)
{
    (void)c;
    const watch *w = row;
    return (uint32_t)(offsetof(watch, adwin) + mr_adwin_used(&w->adwin));
}

static void combine_rewards(const void *c, void *into, const void *from)
{
    (void)c;
    rewards *sum = into;
    const rewards *more = from;
    sum->time_ms = more->time_ms > sum->time_ms ? more->time_ms : sum->time_ms;
    sum->showings += more->showings;
    sum->acts += more->acts;
}

static const mr_family families[] = {
    [FAMILY_SUMS] = {.name = "sums",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .variant = variant,
                     .row_bytes = sums_bytes,
                     .delta_bytes = sums_bytes,
                     .used = sums_used,
                     .combine = combine},
    [FAMILY_CONTEXT] = {.name = "context",
                        .key = MR_KEY_USER,
                        .version = 1,
                        .row_bytes = context_bytes},
    [FAMILY_WATCH] = {.name = "watch",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(watch),
                      .delta_size = sizeof(rewards),
                      .used = watch_used,
                      .combine = combine_rewards},
};

// Until when nothing that was learned counts in full; 0: no drift was seen.
static int64_t since(const mr_instance *self, const mr_view *view)
{
    const watch *w = mr_named_find(&view->named[self->family_first + FAMILY_WATCH], 0);
    return w != NULL ? w->since_ms : 0;
}

// Brings sums of before a drift to its time.
static void forget(const config *c, int64_t since_ms, sums *row)
{
    if (row->time_ms >= since_ms || (row->showings == 0 && row->acts == 0))
        return;
    const double kept = c->drift_keep * faded(c, row->time_ms, since_ms);
    row->time_ms = since_ms;
    row->showings *= kept;
    row->acts *= kept;
    for (uint32_t i = 0; i < cells(c); i++)
        row->values[i] *= kept;
}

// ---- the context

static context *context_of(const mr_instance *self, const mr_view *view, uint32_t user)
{
    return mr_user_part(self, mr_view_user(view, user));
}

static void place(const mr_instance *self, const mr_view *view, uint32_t user)
{
    context *to = context_of(self, view, user);
    const uint32_t d = dim(self->config);
    uint32_t have;
    const float *vector = mr_view_vector(view, "embedding", MR_KEY_USER, user, &have);
    const uint32_t n = have < d - 1 ? have : d - 1;
    float squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += vector[i] * vector[i];
    const float unit = squares > 1e-12f ? 1.0f / __builtin_sqrtf(squares) : 0.0f;
    memset(to->x, 0, d * sizeof *to->x);
    to->x[0] = 1.0f;
    for (uint32_t i = 0; i < n; i++)
        to->x[i + 1] = unit * vector[i];
    to->placed = 1;
}

// x; of somebody without a vector yet 1 and zeros.
static void read_context(const mr_instance *self, const mr_view *view, uint32_t user, float *x)
{
    const context *of = context_of(self, view, user);
    memset(x, 0, dim(self->config) * sizeof *x);
    x[0] = 1.0f;
    if (of->placed)
        memcpy(x, of->x, dim(self->config) * sizeof *x);
}

// z of an item for a user: behind x.
static void read_shared(const mr_view *view, uint32_t user, uint32_t item, float z[SHARED])
{
    uint32_t n, m;
    const mr_item *about = mr_items_at(view->items, item);
    const float *u = mr_view_vector(view, "embedding", MR_KEY_USER, user, &n);
    const float *v = mr_view_vector(view, "embedding", MR_KEY_ITEM, item, &m);
    const float squares = view->vec->dot(u, u, n) * view->vec->dot(v, v, n);
    const double age_ms = (double)(view->clock_ms - about->born_ms);
    z[0] = 1.0f;
    z[1] = squares > 1e-12f ? view->vec->dot(u, v, n) / __builtin_sqrtf(squares) : 0.0f;
    z[2] = (float)(mr_log(1.0 + (double)about->events) / MANY_ACTS);
    z[3] = (float)mr_exp2(age_ms > 0 ? -age_ms / NEW_MS : 0.0);
}

// ---- learning

static void learn(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  mr_deltas *deltas)
{
    const config *c = self->config;
    float x[DIM_MAX + SHARED];
    double scratch[sizeof(sums) / 8 + SUMS_MAX] = {0};
    sums *one = (sums *)(void *)scratch;
    const uint32_t d = dim(c), n = d + shared(c);
    const bool act = signal->kind == MR_SIGNAL_ACT;
    read_context(self, view, signal->user, x);
    if (n > d)
        read_shared(view, signal->user, signal->item, x + d);
    one->time_ms = signal->time_ms;
    one->acts = act;
    const float seen = signal->examined > 0 ? signal->examined : 1.0f;
    one->showings = act ? 0 : (double)seen;
    if (act) {
        mr_ridge_reward(one->values, n, x, 1.0);
    } else { // a try that counts `seen` times
        for (uint32_t i = 0; i < n; i++)
            x[i] *= __builtin_sqrtf(seen);
        mr_ridge_try(one->values, n, x);
    }
    add(c, mr_deltas_at(deltas, self->family_first + FAMILY_SUMS, signal->item), one);
}

static void note_reward(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                        mr_deltas *deltas)
{
    const rewards one = {.time_ms = signal->time_ms,
                         .showings = signal->kind == MR_SIGNAL_SHOWN,
                         .acts = signal->kind == MR_SIGNAL_ACT && signal->act == MR_EVENT_CLICK};
    const uint32_t f = self->family_first + FAMILY_WATCH;
    const uint32_t slot = mr_slots_find(&view->named[f].slots, 0);
    combine_rewards(self->config, mr_deltas_at(deltas, f, slot), &one);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT && signal->kind != MR_SIGNAL_SHOWN)
            continue;
        if (view->impressions && !signal->organic)
            learn(self, view, signal, deltas);
        if (watches(self->config) && signal->answers)
            note_reward(self, view, signal, deltas);
        if (signal->kind == MR_SIGNAL_ACT &&
            context_of(self, view, signal->user)->acts++ % REFRESH == 0)
            place(self, view, signal->user);
    }
}

static void look_for_drift(const config *c, const rewards *came, watch *w)
{
    const mr_adwin_config adwin = {.delta = c->drift, .clock = 1, .least = 2, .window = 10};
    combine_rewards(c, &w->coming, came);
    if (w->coming.showings < BATCH)
        return;
    const double before = mr_adwin_mean(&w->adwin);
    const double x = w->coming.acts / w->coming.showings * __builtin_sqrt(BATCH);
    const bool cut = mr_adwin_add(&w->adwin, &adwin, x);
    if (cut && mr_adwin_mean(&w->adwin) < before) {
        w->drifts++;
        w->since_ms = c->drift_keep < 1 ? w->coming.time_ms : 0;
        w->adwin = (mr_adwin){0}; // or what is left of the old would be found time and again
    }
    w->coming = (rewards){.time_ms = w->coming.time_ms};
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    if (family == FAMILY_WATCH) {
        look_for_drift(self->config, delta, row);
        return;
    }
    forget(self->config, since(self, view), row);
    add(self->config, row, delta);
}

// ---- derived: inverse and theta of each item

// An item's part of what is shared takes the place of the one that it had.
static void share(const mr_instance *self, uint32_t slot, const sums *row, float *theta,
                  float *inverse)
{
    const config *c = self->config;
    cache *derived = self->cache;
    double part[SHARED_CELLS], sum[SHARED_CELLS];
    mr_ridge_solve_arm(row->values, dim(c), SHARED, c->lambda, theta, inverse,
                       derived->across + (size_t)slot * SHARED * dim(c), part);
    for (uint32_t i = 0; i < SHARED_CELLS; i++) {
        int64_t *of = &derived->parts[slot][i];
        derived->sum[i] -= *of;
        *of = (int64_t)(part[i] * SHARED_UNITS + (part[i] < 0 ? -0.5 : 0.5));
        derived->sum[i] += *of;
        sum[i] = (double)derived->sum[i] / SHARED_UNITS;
    }
    mr_ridge_solve_shared(sum, SHARED, c->lambda, derived->beta, derived->shared_inverse);
}

static void derive(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    const config *c = self->config;
    cache *derived = self->cache;
    const uint32_t d = dim(c);
    double scratch[sizeof(sums) / 8 + SUMS_MAX];
    const sums *stored = mr_items_row(view->items, self->family_first + FAMILY_SUMS, slot);
    sums *row = (sums *)(void *)scratch;
    memcpy(row, stored, sums_bytes(c));
    forget(c, derived->since_ms, row);
    float *theta = mr_matrix_row(&derived->theta, slot);
    float *inverse = derived->inverse + (size_t)slot * d * d;
    if (shared(c) == 0)
        mr_ridge_solve(row->values, d, c->lambda, theta, inverse);
    else
        share(self, slot, row, theta, inverse);
    mr_matrix_put(&derived->theta, slot);
}

static void derive_all(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    derived->theta.norm_max = 0.0f;
    derived->since_ms = since(self, view);
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        derive(self, view, slot);
}

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(cache)) +
           mr_arena_round((size_t)items_max * dim(c) * dim(c) * sizeof(float)) +
           mr_arena_round((size_t)items_max * shared(c) * dim(c) * sizeof(float)) +
           mr_arena_round(shared(c) > 0 ? items_max * sizeof(int64_t[SHARED_CELLS]) : 0) +
           mr_matrix_bytes(items_max, dim(c));
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    cache *derived = self->cache;
    const uint32_t max = view->items->slots.max, d = dim(self->config);
    uint8_t *memory = (uint8_t *)derived + mr_arena_round(sizeof(cache));
    derived->inverse = (float *)(void *)memory;
    memory += mr_arena_round((size_t)max * d * d * sizeof(float));
    derived->across = (float *)(void *)memory;
    memory += mr_arena_round((size_t)max * shared(self->config) * d * sizeof(float));
    if (shared(self->config) > 0) {
        derived->parts = (int64_t(*)[SHARED_CELLS])(void *)memory;
        memset(derived->parts, 0, max * sizeof *derived->parts);
        memset(derived->sum, 0, sizeof derived->sum);
        memory += mr_arena_round(max * sizeof *derived->parts);
    }
    mr_matrix_open(&derived->theta, memory, max, d);
    derive_all(self, view);
}

// After a drift every item is solved once more: some 10 us each.
static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    const cache *derived = self->cache;
    if (family == FAMILY_SUMS)
        derive(self, view, slot);
    else if (family == FAMILY_WATCH && since(self, view) != derived->since_ms)
        derive_all(self, view);
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    const watch *w = mr_named_find(&view->named[self->family_first + FAMILY_WATCH], 0);
    if (max == 0 || !watches(self->config))
        return 0;
    out[0] = (mr_measure){"drifts", w != NULL ? (double)w->drifts : 0.0};
    return 1;
}

// ---- serving

typedef struct asked { // one user
    const mr_instance *self;
    const mr_view *view;
    uint32_t user;
    float x[DIM_MAX];
} asked;

static void ask(const mr_instance *self, const mr_view *view, uint32_t user, asked *a)
{
    *a = (asked){.self = self, .view = view, .user = user};
    read_context(self, view, user, a->x);
}

// What coefficients that all items share add to the mean of one, and to its variance.
static void add_shared(const asked *a, uint32_t slot, float *mean, float *variance)
{
    const cache *derived = a->self->cache;
    const uint32_t d = dim(a->self->config);
    const float *across = derived->across + (size_t)slot * SHARED * d;
    float z[SHARED];
    double w[SHARED], more = 0, wider = 0;
    read_shared(a->view, a->user, slot, z);
    for (uint32_t j = 0; j < SHARED; j++)
        w[j] = (double)(z[j] - a->view->vec->dot(across + (size_t)j * d, a->x, d));
    for (uint32_t j = 0; j < SHARED; j++) {
        more += w[j] * derived->beta[j];
        for (uint32_t other = 0; other < SHARED; other++)
            wider += w[j] * w[other] * derived->shared_inverse[j * SHARED + other];
    }
    *mean += (float)more;
    *variance += wider > 0 ? (float)wider : 0.0f;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t out_stride,
                  mr_arena *arena)
{
    (void)arena, (void)out_stride;
    asked a;
    ask(self, view, user, &a);
    view->vec->dot_rows(a.x, ((const cache *)self->cache)->theta.rows, slots, slot_count,
                        dim(self->config), out);
    for (uint32_t i = 0; i < slot_count && shared(self->config) > 0; i++) {
        float variance = 0;
        add_shared(&a, slots[i], &out[i], &variance);
    }
}

// The best by what is their own alone, in order of their scores.
static void rescore(const mr_instance *self, const mr_view *view, uint32_t user, mr_arena *arena,
                    mr_found *found)
{
    const size_t mark = arena->used;
    const uint32_t count = found->count;
    uint32_t *slots = mr_arena_push(arena, count * sizeof *slots);
    float *scores = mr_arena_push(arena, count * sizeof *scores);
    memcpy(slots, found->slots, count * sizeof *slots);
    score(self, view, user, slots, count, scores, count, arena);
    mr_found_choose(found, view->items, slots, scores, count, arena);
    arena->used = mark;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const uint32_t n = dim(self->config);
    const size_t mark = arena->used;
    float *contexts = mr_arena_push(arena, (size_t)user_count * n * sizeof *contexts);
    for (uint32_t u = 0; u < user_count; u++)
        read_context(self, view, users[u], contexts + (size_t)u * n);
    mr_matrix_find(&((const cache *)self->cache)->theta, view, contexts, user_count, filters, arena,
                   found);
    for (uint32_t u = 0; u < user_count && shared(self->config) > 0; u++)
        rescore(self, view, users[u], arena, &found[u]);
    arena->used = mark;
}

static void spread(const mr_instance *self, const mr_view *view, uint32_t user,
                   const uint32_t *slots, uint32_t slot_count, float *mean, float *deviation)
{
    const cache *derived = self->cache;
    const uint32_t d = dim(self->config);
    const float noise = (float)((const config *)self->config)->noise;
    asked a;
    ask(self, view, user, &a);
    for (uint32_t i = 0; i < slot_count; i++) {
        const float *inverse = derived->inverse + (size_t)slots[i] * d * d;
        float variance = mr_ridge_variance(view->vec, inverse, d, a.x);
        mean[i] = view->vec->dot(mr_matrix_row(&derived->theta, slots[i]), a.x, d);
        if (shared(self->config) > 0)
            add_shared(&a, slots[i], &mean[i], &variance);
        deviation[i] = noise * __builtin_sqrtf(variance);
    }
}

static const mr_column columns[] = {{"linucb", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_linucb = {
    .state = {.name = "linucb",
              .source = "Li et al., A Contextual-Bandit Approach to Personalized News",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 3,
              .needs = needs,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
    .spread = spread,
};
