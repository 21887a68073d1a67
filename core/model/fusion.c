// SPDX-License-Identifier: Apache-2.0
// fusion: one score of an item's id, content, categories and context, each counting by what is
// known of the item. Off unless `rate` is set.
//
// An item's vector would be v = sum_m g_m V^m with gates g = softmax(A phi) and
//     phi = [1, ln(1 + acts), ln(1 + hours of age), has content, norm of the id's vector]
// Here the members' spaces are not one (core/model/content.c), but scores are linear in v, so that
// what is fused is u.V^m, the score of each member for the candidate:
//     id        the column `embedding`
//     content   the column `content`, where it is on; it says nothing of an item without a vector
//     category  sum over the item's categories of the share of the user's newest items that have
//               them, over the root of their number: a cosine but for the user's length
//     context   the column `sequence` where it is on, else `interest_short`: what is at hand
//     s_i = e^b sum_m g_m(i) z_m(i)
// z_m is standardised over those candidates that the member says something of, as the blend does,
// and 0 for others: V^m is 0 there. A member that is off has no gate.
//
// It proposes nothing. It learns from the probes that the blend learns from, by the softmax loss of
// the act's item against all other candidates:
//     dL/ds_i = p_i - [i is the act's],  dA_m = sum_i dL/ds_i e^b g_m (z_m - sum g z) phi_i^T
// Gradients are sums to one row, whose owner takes a step of AdaGrad, each number by its own
// squares, once a round.
//
// Source: "Contrastive Learning for Cold Start Recommendation with Adaptive Feature Fusion".
// Departures: (1) scores are fused instead of vectors, see above; (2) e^b, since standardised
// scores have no scale of their own: a softmax that is too flat is linear in g, and its best is
// one member alone; (3) phi is not put into buckets: nothing that is served outside hangs on it,
// scores are made when a list is, and acts and age may be what they are; (4) no contrast of two
// masks of one item: there is no encoder to teach.
#include "core/deltas.h"
#include "core/list/blend.h"
#include "core/model/gates.h"

#define SQUARES_BEGIN 0.01
#define WEIGHT_MAX 10.0
#define LOG_SCALE_MAX 3.0
enum { KINDS = 4, KINDS_MAX = KINDS * MR_RECENT_MAX }; // categories of an item, of a user

typedef struct config {
    double rate;
} config;

static const mr_param params[] = {
    {"rate", "", "learning rate of the gates between id, content, category and context; 0: off",
     offsetof(config, rate), 0, 0, 1},
    {0},
};

typedef struct state_row {
    mr_gates gates, squares;
} state_row;

static bool on(const void *c)
{
    return ((const config *)c)->rate > 0;
}

static void init_row(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)c, (void)key, (void)seed;
    double *squares = (double *)(void *)&((state_row *)row)->squares;
    for (uint32_t i = 0; i < MR_GATES_DOUBLES; i++)
        squares[i] = SQUARES_BEGIN;
}

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    double *sum = into;
    const double *more = from;
    for (uint32_t i = 0; i < MR_GATES_DOUBLES; i++)
        sum[i] += more[i];
}

static const mr_family families[] = {
    {.name = "gates",
     .key = MR_KEY_NAMED,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_size = sizeof(state_row),
     .delta_size = sizeof(mr_gates),
     .init = init_row,
     .combine = combine},
};

static const mr_named *rows_of(const mr_instance *self, const mr_view *view)
{
    return &view->named[self->family_first];
}

static const state_row *row_of(const mr_instance *self, const mr_view *view)
{
    return mr_named_find(rows_of(self, view), 0);
}

// ---- what members say

typedef struct look { // at a list's candidates
    uint32_t members; // bits
    double (*z)[MR_GATES_MEMBERS];
    double (*phi)[MR_GATES_PHI];
} look;

// The values of a column, or NULL.
static const float *values_of(const mr_columns *columns, const mr_union *candidates,
                              const char *name)
{
    for (uint32_t c = 0; c < columns->count; c++)
        if (strcmp(columns->of[c].column->name, name) == 0)
            return candidates->value[c];
    return NULL;
}

// Standardises what a member says of the candidates where it says something. values: NULL, it is
// off. silent: the value that says nothing; NAN: there is none.
static void hear(look *of, uint32_t member, const float *values, float silent, uint32_t count,
                 mr_arena *arena)
{
    const size_t mark = arena->used;
    if (values == NULL)
        return;
    float *said = mr_arena_push(arena, count * sizeof *said);
    float *z = mr_arena_push(arena, count * sizeof *z);
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++)
        if (values[i] != silent)
            said[n++] = values[i];
    mr_blend_standardise(said, n, z);
    for (uint32_t i = 0, next = 0; i < count; i++)
        if (values[i] != silent)
            of->z[i][member] = (double)z[next++];
    of->members |= 1u << member;
    arena->used = mark;
}

typedef struct taste { // of the user's newest items
    uint64_t kinds[KINDS_MAX];
    float shares[KINDS_MAX];
    uint32_t count;
} taste;

static void taste_of(const mr_view *view, const mr_user *user, taste *of)
{
    of->count = 0;
    for (uint32_t r = 0; r < user->recent_count; r++) {
        const uint32_t slot = mr_items_find(view->items, user->recent[r].item_key);
        const mr_item *item = slot == MR_MAP_NONE ? NULL : mr_items_at(view->items, slot);
        for (uint32_t k = 0; item != NULL && k < KINDS && item->categories[k] != 0; k++) {
            uint32_t at = 0;
            while (at < of->count && of->kinds[at] != item->categories[k])
                at++;
            if (at == of->count) {
                of->kinds[of->count] = item->categories[k];
                of->shares[of->count++] = 0;
            }
            of->shares[at] += 1.0f / (float)user->recent_count;
        }
    }
}

// Below 0: the item has no category.
static float liking(const taste *of, const mr_item *item)
{
    float sum = 0;
    uint32_t k = 0;
    for (; k < KINDS && item->categories[k] != 0; k++)
        for (uint32_t t = 0; t < of->count; t++)
            if (of->kinds[t] == item->categories[k])
                sum += of->shares[t];
    return k > 0 ? sum / __builtin_sqrtf((float)k) : -1.0f;
}

static void describe_item(const mr_view *view, const mr_instance *embedding, uint32_t slot,
                          bool has_content, double *phi)
{
    const mr_model *id = (const mr_model *)(const void *)embedding->state;
    const mr_item *item = mr_items_at(view->items, slot);
    const double hours = (double)(view->clock_ms - item->born_ms) / 3600000.0;
    uint32_t n;
    const float *v = id->vector(embedding, view, MR_KEY_ITEM, slot, &n);
    phi[MR_GATES_ONE] = 1;
    phi[MR_GATES_ACTS] = mr_log(1.0 + item->events);
    phi[MR_GATES_AGE] = hours > 0 ? mr_log(1.0 + hours) : 0;
    phi[MR_GATES_HAS] = has_content ? 1 : 0;
    phi[MR_GATES_NORM] = __builtin_sqrt((double)view->vec->dot(v, v, n));
}

// The memory is the arena's.
static look look_at(const mr_view *view, uint32_t user_slot, const mr_columns *columns,
                    const mr_union *candidates, mr_arena *arena)
{
    const uint32_t count = candidates->count;
    look of = {.z = mr_arena_push(arena, count * sizeof *of.z),
               .phi = mr_arena_push(arena, count * sizeof *of.phi)};
    const float *content = values_of(columns, candidates, "content");
    const float *context = values_of(columns, candidates, "sequence");
    const mr_instance *embedding = mr_view_instance(view, "embedding");
    float *kind = mr_arena_push(arena, count * sizeof *kind);
    taste *t = mr_arena_push(arena, sizeof *t);
    memset(of.z, 0, count * sizeof *of.z);
    taste_of(view, mr_view_user(view, user_slot), t);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t slot = candidates->slots[i];
        kind[i] = liking(t, mr_items_at(view->items, slot));
        describe_item(view, embedding, slot, content != NULL && content[i] != 0.0f, of.phi[i]);
    }
    if (context == NULL)
        context = values_of(columns, candidates, "interest_short");
    hear(&of, MR_GATES_ID, values_of(columns, candidates, "embedding"), __builtin_nanf(""), count,
         arena);
    hear(&of, MR_GATES_CONTENT, content, 0.0f, count, arena);
    hear(&of, MR_GATES_CATEGORY, kind, -1.0f, count, arena);
    hear(&of, MR_GATES_CONTEXT, context, __builtin_nanf(""), count, arena);
    return of;
}

// ---- ranking

static void rank(const mr_instance *self, const mr_view *view, uint32_t user,
                 const mr_columns *columns, mr_union *candidates, mr_arena *arena)
{
    const size_t mark = arena->used;
    const mr_gates *gates = &row_of(self, view)->gates;
    const look of = look_at(view, user, columns, candidates, arena);
    const double scale = mr_exp(gates->log_scale);
    float *out = candidates->value[self->column_first];
    for (uint32_t i = 0; i < candidates->count; i++) {
        double g[MR_GATES_MEMBERS];
        mr_gates_open(gates, of.members, of.phi[i], g);
        out[i] = (float)(scale * mr_gates_fuse(g, of.z[i]));
    }
    arena->used = mark;
}

// ---- learning

static void teach(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                  const mr_columns *columns, const mr_union *candidates, uint32_t target,
                  mr_deltas *deltas, mr_arena *arena)
{
    const size_t mark = arena->used;
    const uint32_t count = candidates->count;
    const mr_gates *gates = &row_of(self, view)->gates;
    const look of = look_at(view, signal->user, columns, candidates, arena);
    const double scale = mr_exp(gates->log_scale);
    mr_gates *sum =
        mr_deltas_at(deltas, self->family_first, mr_slots_find(&rows_of(self, view)->slots, 0));
    double(*g)[MR_GATES_MEMBERS] = mr_arena_push(arena, count * sizeof *g);
    double *s = mr_arena_push(arena, count * sizeof *s), top = -1e300, mass = 0;
    for (uint32_t i = 0; i < count; i++) {
        mr_gates_open(gates, of.members, of.phi[i], g[i]);
        s[i] = scale * mr_gates_fuse(g[i], of.z[i]);
        top = s[i] > top ? s[i] : top;
    }
    for (uint32_t i = 0; i < count; i++)
        mass += mr_exp(s[i] - top);
    for (uint32_t i = 0; i < count; i++) {
        const double by_s = mr_exp(s[i] - top) / mass - (i == target ? 1 : 0);
        mr_gates_back(g[i], of.z[i], of.phi[i], by_s * scale, sum);
        sum->log_scale += by_s * s[i];
    }
    arena->used = mark;
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    const double rate = ((const config *)self->config)->rate, *gradient = delta;
    state_row *of = row;
    double *w = (double *)(void *)&of->gates, *squares = (double *)(void *)&of->squares;
    for (uint32_t i = 0; i < MR_GATES_DOUBLES; i++) {
        const double max = i + 1 < MR_GATES_DOUBLES ? WEIGHT_MAX : LOG_SCALE_MAX;
        squares[i] += gradient[i] * gradient[i];
        w[i] -= rate * gradient[i] / __builtin_sqrt(squares[i]);
        w[i] = w[i] > max ? max : w[i] < -max ? -max : w[i];
    }
}

// The gates of id and content, of an item that just came with content and the norm of a new vector.
static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    static const double fresh[MR_GATES_PHI] = {1, 0, 0, 1, 0.1};
    double g[MR_GATES_MEMBERS];
    if (max < 2)
        return 0;
    mr_gates_open(&row_of(self, view)->gates, (1u << MR_GATES_MEMBERS) - 1, fresh, g);
    out[0] = (mr_measure){"id_of_new", g[MR_GATES_ID]};
    out[1] = (mr_measure){"content_of_new", g[MR_GATES_CONTENT]};
    return 2;
}

static const mr_column columns_given[] = {{"fusion", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_fusion = {
    .state = {.name = "fusion",
              .source = "Contrastive Learning for Cold Start Recommendation with Adaptive Feature "
                        "Fusion",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 1,
              .needs = needs,
              .apply = apply,
              .measure = measure},
    .on = on,
    .columns = columns_given,
    .rank = rank,
    .teach = teach,
};
