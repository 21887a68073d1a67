// SPDX-License-Identifier: Apache-2.0
// sequence: a recurrent cell reads a user's newest items in order and says where the next one lies.
// Off unless `dim` is set.
//
// The cell (recurrent.h) takes `steps` steps from a fixed first state over
//     x_t = v_i + kind of the act + how long after the one before it (a row each, learned)
// with v the embedding's item vectors, as of now: nothing of a user is kept, so that no state grows
// stale while vectors and parameters move. Its last state h is read by one of two heads, u = W h +
// b: the short one where the user's newest event is less than `session_s` ago, the long one behind
// it. An item's score is u.v, found exactly in the embedding's own index.
// One act in `every` is learned from: sampled softmax over its item and a block of negatives with
// the sampler's correction, as the embedding has it, du clipped to norm 1, back through head and
// steps. Gradients are of the parameters alone, summed over the events of a round; the owner of a
// map takes one step of Adam from the sum. At the start the cell is a running mean of item vectors:
// the maps of x into the state and out of it are the identity, all others 0.
// Merge: gradients are sums of floats in order of (task, signal); workers send them to the owner
// of a map. A GRU of 64 has nine maps of 17 KB, a minGRU five, thrice that as rows: each is written
// in every commit that learned something.
// Sources: recurrent.h; Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
// Recommendations"; "Large-Scale User Modeling with Recurrent Neural Networks for Music Discovery
// on Multiple Time Scales" (heads for horizons). Departures: (1) read again from the newest events
// instead of a state carried on, which truncates the gradient and the memory alike, (2) a GRU's
// maps of the state begin at 0.
#include "core/deltas.h"
#include "core/model/loss.h"
#include "core/model/negatives.h"
#include "core/model/optimiser.h"
#include "core/model/recurrent.h"
#include "core/model/stand_in.h"

enum {
    DIM_MAX = 64,
    HEAD_SHORT = 0, // behind the cell's maps
    HEAD_LONG,
    INPUTS, // rows that are added to an item's: GAPS, then kinds of acts
    OTHERS,
    MAPS_MAX = MR_MAPS_MAX + OTHERS,
    GAPS = 12,
    TAIL = 2, // floats behind a map in a delta: events, reserved
};
static const float least_share = 0.3f; // z at the start

typedef struct config {
    double dim, cell, steps, every, rate, negatives, uniform, session_s;
} config;

static const mr_param params[] = {
    {"dim", "",
     "units of the cell and leading numbers of the item vectors, rounded up to 16: the "
     "embedding's dim; 0: off",
     offsetof(config, dim), 0, 0, DIM_MAX},
    {"cell", MR_CELL_WORDS, "what takes a step", offsetof(config, cell), MR_CELL_MINGRU, 0,
     MR_CELL_KINDS - 1},
    {"steps", "", "newest events of a user that are read", offsetof(config, steps), 8, 1,
     MR_RECENT_MAX},
    {"every", "", "one act in so many is learned from", offsetof(config, every), 8, 1, 1e6},
    {"rate", "", "learning rate", offsetof(config, rate), 0.0001, 0, 1},
    {"negatives", "", "negatives that an act is compared with", offsetof(config, negatives), 32, 1,
     MR_NEGATIVES_MAX},
    {"uniform", "", "share of negatives drawn uniformly; the rest are recent acts",
     offsetof(config, uniform), 0.5, 0, 1},
    {"session_s", "s", "time without an event after which the long head speaks",
     offsetof(config, session_s), 1800, 1, 1e9},
    {0},
};

// ---- rows: a map each, and what Adam keeps of it

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static mr_cell_kind cell_of(const void *c)
{
    return (mr_cell_kind)((const config *)c)->cell;
}

static uint32_t cell_maps(const void *c)
{
    return mr_recurrent_maps(cell_of(c));
}

static uint32_t maps_of(const void *c)
{
    return cell_maps(c) + OTHERS;
}

static uint32_t row_bytes(const void *c)
{
    const uint32_t n = mr_map_floats(dim(c));
    return (n + mr_optimiser_floats(MR_OPTIMISER_ADAM, n)) * 4;
}

static uint32_t delta_bytes(const void *c)
{
    return (mr_map_floats(dim(c)) + TAIL) * 4;
}

static uint8_t variant(const void *c)
{
    return (uint8_t)cell_of(c);
}

static void set_biases(float *map, uint32_t n, float value)
{
    for (uint32_t k = 0; k < n; k++)
        map[(size_t)n * n + k] = value;
}

// A minGRU's state lies around .5, which its heads take away.
static void init(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)seed;
    const uint32_t n = dim(c), head = cell_maps(c);
    const bool is_head = key == head + HEAD_SHORT || key == head + HEAD_LONG;
    float *map = row;
    if (key == MR_MAP_WH || is_head)
        for (uint32_t k = 0; k < n; k++)
            map[(size_t)k * n + k] = 1.0f;
    if (key == MR_MAP_WZ)
        set_biases(map, n, (float)mr_log((double)(least_share / (1.0f - least_share))));
    if (is_head && cell_of(c) == MR_CELL_MINGRU)
        set_biases(map, n, -0.5f);
}

static const mr_family families[] = {
    {.name = "maps",
     .key = MR_KEY_NAMED,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .variant = variant,
     .row_bytes = row_bytes,
     .delta_bytes = delta_bytes,
     .rows_max = maps_of,
     .init = init},
};

// ---- reading a user

typedef struct reader {
    const config *c;
    const mr_view *view;
    mr_space items;
    mr_recurrent cell;
    const float *others[OTHERS];
    uint32_t steps; // of the last user
    mr_step step[MR_RECENT_MAX];
    uint8_t gaps[MR_RECENT_MAX], kinds[MR_RECENT_MAX]; // rows of INPUTS that a step's x has
    float *first, *x, *u, *scratch;                    // x: of all steps
} reader;

static float *push(mr_arena *arena, uint32_t floats)
{
    return mr_arena_push(arena, floats * sizeof(float));
}

static reader *reader_of(const mr_instance *self, const mr_view *view, mr_arena *arena)
{
    const config *c = self->config;
    const uint32_t n = dim(c), maps = cell_maps(c);
    const mr_named *rows = &view->named[self->family_first];
    reader *r = mr_arena_push(arena, sizeof *r);
    *r = (reader){.c = c, .view = view, .items = mr_space_of(view, "embedding", n)};
    r->cell = (mr_recurrent){.kind = cell_of(c), .n = n, .vec = view->vec};
    for (uint32_t m = 0; m < maps; m++)
        r->cell.maps[m] = mr_named_find(rows, m);
    for (uint32_t m = 0; m < OTHERS; m++)
        r->others[m] = mr_named_find(rows, maps + m);
    r->first = push(arena, n);
    r->u = push(arena, n);
    r->scratch = push(arena, 4 * n);
    r->x = push(arena, n * MR_RECENT_MAX);
    for (uint32_t k = 0; k < n; k++)
        r->first[k] = r->cell.kind == MR_CELL_MINGRU ? 0.5f : 0.0f;
    for (uint32_t s = 0; s < (uint32_t)c->steps; s++) {
        float *at = push(arena, 5 * n);
        r->step[s] =
            (mr_step){.z = at, .c = at + n, .r = at + 2 * n, .h = at + 3 * n, .slope = at + 4 * n};
    }
    return r;
}

// The quarter logarithm of a gap: seconds, 4 of them, 16, ... 48 days.
static uint8_t gap_of(int64_t gap_s)
{
    uint8_t gap = 0;
    for (; gap_s >= 4 && gap < GAPS - 1; gap_s /= 4)
        gap++;
    return gap;
}

// Which head speaks of a user at a time.
static uint32_t head_of(const reader *r, const mr_user *user, int64_t time_ms)
{
    const double gap_s = (double)time_ms / 1000.0 - (double)user->recent[0].time_s;
    if (gap_s < r->c->session_s)
        return HEAD_SHORT;
    return HEAD_LONG;
}

// Reads the user's newest events and sets u; false: there are none that are known.
static bool read_user(reader *r, const mr_user *user, int64_t time_ms)
{
    const uint32_t n = r->cell.n, most = (uint32_t)r->c->steps;
    float scratch[MR_SPACE_DIM_MAX];
    uint32_t before_s = 0;
    r->steps = 0;
    for (uint32_t p = user->recent_count < most ? user->recent_count : most; p-- > 0;) {
        const mr_recent *recent = &user->recent[p];
        const uint32_t slot = mr_items_find(r->view->items, recent->item_key), s = r->steps;
        if (slot == MR_MAP_NONE)
            continue;
        float *x = r->x + (size_t)s * n;
        r->gaps[s] = s == 0 ? 0 : gap_of((int64_t)recent->time_s - (int64_t)before_s);
        r->kinds[s] = (uint8_t)(GAPS + (recent->act < MR_EVENT_IMPRESSION ? recent->act : 3u));
        memcpy(x, mr_space_item(&r->items, slot, scratch), n * sizeof *x);
        r->view->vec->axpy(x, 1.0f, r->others[INPUTS] + (size_t)r->gaps[s] * n, n);
        r->view->vec->axpy(x, 1.0f, r->others[INPUTS] + (size_t)r->kinds[s] * n, n);
        r->step[s].x = x;
        r->step[s].before = s == 0 ? r->first : r->step[s - 1].h;
        mr_recurrent_step(&r->cell, &r->step[s], r->scratch);
        before_s = recent->time_s;
        r->steps++;
    }
    if (r->steps == 0)
        return false;
    mr_map_apply(r->view->vec, r->others[head_of(r, user, time_ms)], n, r->step[r->steps - 1].h,
                 r->u);
    return true;
}

// ---- learning

typedef struct learner {
    reader *r;
    mr_stand_ins user; // who has u
    mr_sampler sampler;
    mr_block block;
    float *du, *dh, *dx;
    float *gradients[MAPS_MAX]; // of the wave, NULL until needed
} learner;

// The gradient of a map, to be added to: one more act has something to say of it. Adam goes on by
// itself for a while, so what an act does not touch must not look touched.
static float *gradient_of(const mr_instance *self, learner *l, uint32_t map, mr_deltas *deltas)
{
    const mr_named *rows = &l->r->view->named[self->family_first];
    if (l->gradients[map] == NULL)
        l->gradients[map] =
            mr_deltas_at(deltas, self->family_first, mr_slots_find(&rows->slots, map));
    l->gradients[map][mr_map_floats(l->r->cell.n)] += 1.0f;
    return l->gradients[map];
}

// du: by u, of the softmax over the candidates. Returns false where there is nothing to compare.
static bool score_gradient(learner *l, const mr_signal *signal, mr_arena *arena)
{
    mr_block *b = &l->block;
    const reader *r = l->r;
    const uint32_t n = r->cell.n;
    const uint32_t shared = n < l->user.length ? n : l->user.length;
    float scratch[MR_SPACE_DIM_MAX];
    mr_block_fill(b, &l->sampler, r->view, signal->index);
    if (b->count < 2)
        return false;
    memcpy(mr_stand_ins_vector(&l->user, 0), r->u, shared * sizeof(float));
    b->slots[0] = signal->item;
    mr_stand_ins_score(&l->user, 0, b->slots, b->count, b->scores, arena);
    mr_block_meet(b, r->view, signal);
    const mr_candidates of = {b->count, b->scores, 1.0f, b->gradients, NULL};
    mr_loss_softmax(&of, b->log_q, 1.0, 2.0f);
    memset(l->du, 0, n * sizeof(float));
    for (uint32_t i = 0; i < b->count; i++)
        if (b->gradients[i] != 0.0f)
            r->view->vec->axpy(l->du, b->gradients[i],
                               mr_space_item(&r->items, b->slots[i], scratch), n);
    const float squares = r->view->vec->dot(l->du, l->du, n);
    const float weight = signal->weight * (squares > 1.0f ? 1.0f / __builtin_sqrtf(squares) : 1.0f);
    r->view->vec->scale(l->du, weight, n);
    return true;
}

static void learn(const mr_instance *self, learner *l, const mr_signal *signal, mr_deltas *deltas,
                  mr_arena *arena)
{
    reader *r = l->r;
    const uint32_t n = r->cell.n, maps = cell_maps(self->config);
    const mr_vec *vec = r->view->vec;
    const mr_user *user = mr_view_user(r->view, signal->user);
    if (!read_user(r, user, signal->time_ms) || !score_gradient(l, signal, arena))
        return;
    const uint32_t head = head_of(r, user, signal->time_ms);
    mr_map_gradient(vec, n, l->du, r->step[r->steps - 1].h, true,
                    gradient_of(self, l, maps + head, deltas));
    memset(l->dh, 0, n * sizeof(float));
    mr_map_back(vec, r->others[head], n, l->du, l->dh);
    for (uint32_t m = 0; m < maps; m++)
        (void)gradient_of(self, l, m, deltas);
    float *inputs = gradient_of(self, l, maps + INPUTS, deltas);
    for (uint32_t s = r->steps; s-- > 0;) {
        memset(l->dx, 0, n * sizeof(float));
        mr_recurrent_back(&r->cell, &r->step[s], l->dh, l->gradients, l->dx, r->scratch);
        vec->axpy(inputs + (size_t)r->gaps[s] * n, 1.0f, l->dx, n);
        vec->axpy(inputs + (size_t)r->kinds[s] * n, 1.0f, l->dx, n);
    }
}

// One act in `every`, by a draw that belongs to it.
static bool is_chosen(const config *c, const mr_view *view, const mr_signal *signal)
{
    mr_rng rng =
        mr_rng_make(view->seed, view->task, view->epoch, signal->index, MR_PURPOSE_SEQUENCE);
    return signal->kind == MR_SIGNAL_ACT && signal->weight > 0.0f &&
           mr_rng_below(&rng, (uint32_t)c->every) == 0;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    const uint32_t n = dim(c);
    const size_t mark = arena->used;
    learner *l = NULL;
    for (uint32_t s = 0; s < signal_count; s++) {
        if (!is_chosen(c, view, &signals[s]) ||
            mr_view_user(view, signals[s].user)->recent_count == 0)
            continue;
        if (l == NULL) {
            l = mr_arena_push(arena, sizeof *l);
            *l = (learner){.r = reader_of(self, view, arena),
                           .user = mr_stand_ins_make(view, "embedding", 1, arena),
                           .sampler = {(uint32_t)c->negatives, (float)c->uniform, true}};
            l->du = push(arena, n);
            l->dh = push(arena, n);
            l->dx = push(arena, n);
            mr_block_open(&l->block, l->sampler.draws, arena);
        }
        learn(self, l, &signals[s], deltas, arena);
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)family, (void)key;
    const config *c = self->config;
    const uint32_t n = mr_map_floats(dim(c));
    const float *sum = delta;
    const mr_optimiser optimiser = {
        .kind = MR_OPTIMISER_ADAM, .rate = (float)c->rate, .norm_max = 1e6f};
    const mr_gradient gradient = {
        .sum = sum, .squares = view->vec->dot(sum, sum, n) / (float)n, .events = sum[n]};
    if (gradient.events > 0.0f)
        mr_optimiser_step(&optimiser, view->vec, row, n, &gradient);
}

// ---- serving

// Writes u of a user to the stand-in; false: nothing is known of him.
static bool place(reader *r, uint32_t user, const mr_stand_ins *all, uint32_t which)
{
    const uint32_t n = r->cell.n < all->length ? r->cell.n : all->length;
    if (!read_user(r, mr_view_user(r->view, user), r->view->clock_ms))
        return false;
    memcpy(mr_stand_ins_vector(all, which), r->u, n * sizeof(float));
    return true;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    reader *r = reader_of(self, view, arena);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", user_count, arena);
    bool *known = mr_arena_push(arena, user_count * sizeof *known);
    for (uint32_t u = 0; u < user_count; u++)
        known[u] = place(r, users[u], &all, u);
    mr_stand_ins_find(&all, filters, arena, found);
    for (uint32_t u = 0; u < user_count; u++)
        found[u].count = known[u] ? found[u].count : 0;
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    const size_t mark = arena->used;
    reader *r = reader_of(self, view, arena);
    const mr_stand_ins all = mr_stand_ins_make(view, "embedding", 1, arena);
    (void)place(r, user, &all, 0); // of nobody all scores are 0
    mr_stand_ins_score(&all, 0, slots, slot_count, out, arena);
    arena->used = mark;
}

static const mr_column columns[] = {{"sequence", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_sequence = {
    .state = {.name = "sequence",
              .source = "Feng et al., Were RNNs All We Needed?",
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
