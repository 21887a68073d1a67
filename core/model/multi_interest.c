// SPDX-License-Identifier: Apache-2.0
// multi_interest: a user is several tastes, not their average, and what he looks at now is not what
// he likes at length.
//
// A set of interests is some centres c_k in the space of the item vectors v, with masses n_k. An
// act on an item with vector v and weight w at time t:
//     n_k <- n_k 2^(-(t - t_k)/H), t_k <- t
//     x_k = cos(c_k, v); if no x_k reaches `alike`, and the smallest n_k is below `least`, that
//         interest begins anew: c_k = v, n_k = w
//     otherwise the nearest one (ties: lower k) takes it, with eta = max(w/(n_k + w), eta_min):
//         c_k <- (1 - eta) c_k + eta v, n_k <- n_k + w
//     on every REPEL-th act of the user, for k < l: where cos(c_k, c_l) is above .97 l joins k;
//         above .8 it is pushed away, c_l -= .1 (cos - .8) |c_l|/|c_k| c_k
// An item is worth f(u, i) = max_k [c_k.v_i + share ln(n_k / sum n)], and its best are found
// exactly: the best of a maximum are among the best of one centre.
//
// The long set stands in the user's row. The short one is made from his newest events whenever he
// is asked about, by the same rules with other numbers: it costs no byte and no time to learn, and
// is never stale while the vectors move. Each set is a column: how much the one counts against the
// other is the blend's to learn, apart for users of few events and of many.
//
// Merge: there is nothing to merge. A user has one owner, and items are read as of the round's
// start, as the embedding has them.
//
// Sources: Cen et al., "Controllable Multi-Interest Framework for Recommendation" (the hard choice
// of one interest, the score, the retrieval); "Hierarchical Multi-Interest Co-Network For
// Coarse-Grained Ranking" (long and short apart). Departures: (1) centres are running means instead
// of the output of a network, (2) they learn from acts alone, not from the loss, and the vectors
// nothing from them, (3) no gate of our own, (4) the sum over pairs of categories, by which lists
// are chosen, is a rule of its own (variety). Means want a space of dot products: under the
// embedding's loss `metric` they are none.
#include "core/base/place.h"
#include "core/deltas.h"
#include "core/list/found.h"
#include "core/model/stand_in.h"

enum { INTERESTS_MAX = 8, REPEL = 16, TABLE_BITS = 11 };
#define TOO_ALIKE 0.8f // repulsion begins
#define THE_SAME 0.97f // two interests become one
#define PUSH 0.1f

typedef struct config {
    double dim, interests, half_life_s, slowest, recent, recent_half_life_s, recent_slowest, alike,
        least, share;
} config;

static const mr_param params[] = {
    {"dim", "",
     "leading numbers of the item vectors that interests are made of, rounded up to 16, as far as "
     "they have them; 0: off",
     offsetof(config, dim), MR_SPACE_DIM_MAX, 0, MR_SPACE_DIM_MAX},
    {"interests", "", "long interests of a user, 8 + 4 dim bytes each; 0: none",
     offsetof(config, interests), 0, 0, INTERESTS_MAX},
    {"half_life_s", "s", "time after which a long interest counts half",
     offsetof(config, half_life_s), 60 * 86400.0, 60, 1e9},
    {"slowest", "", "least share that a new act has in the long interest it goes to",
     offsetof(config, slowest), 0.05, 0, 1},
    {"recent", "", "short interests, made of the newest events", offsetof(config, recent), 1, 1,
     INTERESTS_MAX},
    {"recent_half_life_s", "s", "time after which a short interest counts half",
     offsetof(config, recent_half_life_s), 7200, 60, 1e9},
    {"recent_slowest", "", "least share that a new act has in the short interest it goes to",
     offsetof(config, recent_slowest), 0.3, 0, 1},
    {"alike", "", "cosine below which an act begins an interest of its own",
     offsetof(config, alike), 0.3, -1, 1},
    {"least", "", "mass below which an interest gives its place to a new one",
     offsetof(config, least), 0.5, 0, 1e6},
    {"share", "", "weight of the logarithm of an interest's share of the mass in its score",
     offsetof(config, share), 1, 0, 100},
    {0},
};

typedef struct interest {
    float mass; // 0: empty
    uint32_t time_s;
    float centre[]; // dim
} interest;

typedef struct interests { // a set, wherever it stands
    uint8_t *at;
    uint32_t count, dim;
    double half_life_s;
    float slowest, alike, least;
} interests;

enum { SHORT, LONG }; // columns

static uint32_t dim(const void *c)
{
    return mr_vec_padded((uint32_t)((const config *)c)->dim);
}

static bool on(const void *c)
{
    return dim(c) > 0;
}

static bool has_long(const void *c)
{
    return ((const config *)c)->interests >= 1;
}

static uint32_t interest_bytes(uint32_t n)
{
    return (uint32_t)sizeof(interest) + n * 4;
}

static interest *nth(const interests *set, uint32_t k)
{
    return (interest *)(void *)(set->at + (size_t)k * interest_bytes(set->dim));
}

static uint32_t row_bytes(const void *c)
{
    return (uint32_t)((const config *)c)->interests * interest_bytes(dim(c));
}

static interests set_of(const config *c, uint32_t which, void *at)
{
    const bool is_long = which == LONG;
    return (interests){.at = at,
                       .count = (uint32_t)(is_long ? c->interests : c->recent),
                       .dim = dim(c),
                       .half_life_s = is_long ? c->half_life_s : c->recent_half_life_s,
                       .slowest = (float)(is_long ? c->slowest : c->recent_slowest),
                       .alike = (float)c->alike,
                       .least = (float)c->least};
}

static uint32_t used(const void *c, const void *row)
{
    const interests set = set_of(c, LONG, (void *)(uintptr_t)row);
    uint32_t k = set.count;
    while (k > 0 && !(nth(&set, k - 1)->mass > 0.0f))
        k--;
    return k * interest_bytes(set.dim);
}

static const mr_family families[] = {
    {.name = "interests", .key = MR_KEY_USER, .version = 1, .row_bytes = row_bytes, .used = used},
};

// ---- a set learns

static void fade(const interests *set, uint32_t time_s)
{
    for (uint32_t k = 0; k < set->count; k++) {
        interest *of = nth(set, k);
        if (!(of->mass > 0.0f) || time_s <= of->time_s)
            continue;
        of->mass *= (float)mr_exp2(-(double)(time_s - of->time_s) / set->half_life_s);
        of->time_s = time_s;
    }
}

static float cosine(const mr_vec *vec, const float *a, const float *b, uint32_t n)
{
    const float squares = vec->dot(a, a, n) * vec->dot(b, b, n);
    return squares > 1e-24f ? vec->dot(a, b, n) / __builtin_sqrtf(squares) : 0.0f;
}

// The set learns an act on an item with this vector: steps 1 to 3.
static void learn(const interests *set, const mr_vec *vec, const float *v, float weight,
                  uint32_t time_s)
{
    uint32_t nearest = set->count, smallest = 0;
    float best = 0.0f;
    fade(set, time_s);
    for (uint32_t k = 0; k < set->count; k++) {
        const interest *of = nth(set, k);
        smallest = of->mass < nth(set, smallest)->mass ? k : smallest;
        if (!(of->mass > 0.0f))
            continue;
        const float x = cosine(vec, of->centre, v, set->dim);
        if (nearest == set->count || x > best) {
            nearest = k;
            best = x;
        }
    }
    interest *to = nth(set, smallest);
    if (nearest == set->count || (best < set->alike && to->mass < set->least)) {
        to->mass = weight;
        to->time_s = time_s;
        vec->set(to->centre, 1.0f, v, set->dim);
        return;
    }
    to = nth(set, nearest);
    const float share = weight / (to->mass + weight);
    const float eta = share > set->slowest ? share : set->slowest;
    vec->scale(to->centre, 1.0f - eta, set->dim);
    vec->axpy(to->centre, eta, v, set->dim);
    to->mass += weight;
}

static void join(const mr_vec *vec, interest *into, interest *from, uint32_t n)
{
    const float all = into->mass + from->mass;
    vec->scale(into->centre, into->mass / all, n);
    vec->axpy(into->centre, from->mass / all, from->centre, n);
    into->mass = all;
    memset(from, 0, interest_bytes(n));
}

// Step 4.
static void keep_apart(const interests *set, const mr_vec *vec)
{
    const uint32_t n = set->dim;
    for (uint32_t k = 0; k < set->count; k++)
        for (uint32_t l = k + 1; l < set->count; l++) {
            interest *one = nth(set, k), *other = nth(set, l);
            if (!(one->mass > 0.0f && other->mass > 0.0f))
                continue;
            const float x = cosine(vec, one->centre, other->centre, n);
            if (x > THE_SAME) {
                join(vec, one, other, n);
            } else if (x > TOO_ALIKE) {
                const float ratio = __builtin_sqrtf(vec->dot(other->centre, other->centre, n) /
                                                    vec->dot(one->centre, one->centre, n));
                vec->axpy(other->centre, -PUSH * (x - TOO_ALIKE) * ratio, one->centre, n);
            }
        }
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)deltas, (void)arena;
    const mr_space items = mr_space_of(view, "embedding", dim(self->config));
    float scratch[MR_SPACE_DIM_MAX];
    for (uint32_t s = 0; has_long(self->config) && s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT || !(signal->weight > 0.0f))
            continue;
        mr_user *user = mr_view_user(view, signal->user);
        const interests set = set_of(self->config, LONG, mr_user_part(self, user));
        learn(&set, view->vec, mr_space_item(&items, signal->item, scratch), signal->weight,
              (uint32_t)(signal->time_ms / 1000));
        if (user->events % REPEL == 0)
            keep_apart(&set, view->vec);
    }
}

// ---- serving

// Short interests are as long as the space's vectors: unlike long ones they need no room in a row.
static uint32_t short_dim(const mr_instance *self, const mr_view *view, uint32_t user_slot)
{
    uint32_t have;
    mr_view_vector(view, "embedding", MR_KEY_USER, user_slot, &have);
    return have < dim(self->config) ? have : dim(self->config);
}

// The short set of a user, in the arena: his newest events in order, oldest first.
static interests remember(const mr_instance *self, const mr_view *view, uint32_t user_slot,
                          mr_arena *arena)
{
    const mr_user *user = mr_view_user(view, user_slot);
    const uint32_t n = short_dim(self, view, user_slot);
    const mr_space items = mr_space_of(view, "embedding", n);
    const size_t bytes = (size_t)INTERESTS_MAX * interest_bytes(n);
    interests set = set_of(self->config, SHORT, mr_arena_push(arena, bytes));
    set.dim = n;
    memset(set.at, 0, bytes);
    float scratch[MR_SPACE_DIM_MAX];
    for (uint32_t p = user->recent_count; p-- > 0;) {
        const uint32_t slot = mr_items_find(view->items, user->recent[p].item_key);
        if (slot != MR_MAP_NONE)
            learn(&set, view->vec, mr_space_item(&items, slot, scratch), 1.0f,
                  user->recent[p].time_s);
    }
    return set;
}

typedef struct asked { // the interests of one user, as they are asked for
    uint32_t first, count;
    float bonus[INTERESTS_MAX];
} asked;

static interests interests_of(const mr_instance *self, const mr_view *view, uint32_t user_slot,
                              uint32_t which, mr_arena *arena)
{
    if (which == SHORT)
        return remember(self, view, user_slot, arena);
    return set_of(self->config, LONG, mr_user_part(self, mr_view_user(view, user_slot)));
}

static asked ask(const config *c, const interests *set, mr_stand_ins *all, uint32_t first)
{
    asked a = {.first = first};
    const uint32_t n = set->dim < all->length ? set->dim : all->length;
    float mass = 0.0f;
    for (uint32_t k = 0; k < set->count; k++)
        mass += nth(set, k)->mass;
    for (uint32_t k = 0; k < set->count; k++) {
        const interest *of = nth(set, k);
        if (!(of->mass > 0.0f))
            continue;
        memcpy(mr_stand_ins_vector(all, first + a.count), of->centre, n * sizeof(float));
        a.bonus[a.count++] = (float)(c->share * mr_log((double)(of->mass / mass)));
    }
    return a;
}

_Static_assert(2 * INTERESTS_MAX * MR_FOUND_MAX <= 1 << TABLE_BITS, "the table never fills");

// The best of the maximum over a user's interests, from the best of each.
static void best_of(const asked *a, const mr_found *of, const mr_items *items, mr_arena *arena,
                    mr_found *found)
{
    const size_t mark = arena->used;
    uint16_t *table = mr_arena_push(arena, sizeof *table << TABLE_BITS);
    uint32_t *slots = mr_arena_push(arena, INTERESTS_MAX * MR_FOUND_MAX * sizeof *slots), count = 0;
    float *scores = mr_arena_push(arena, INTERESTS_MAX * MR_FOUND_MAX * sizeof *scores);
    memset(table, 0, sizeof *table << TABLE_BITS);
    for (uint32_t k = 0; k < a->count; k++)
        for (uint32_t i = 0; i < of[k].count; i++) {
            const uint32_t at = mr_place_of(table, TABLE_BITS, slots, of[k].slots[i]);
            const float score = of[k].scores[i] + a->bonus[k];
            if (table[at] == 0) {
                slots[count] = of[k].slots[i];
                scores[count] = score;
                table[at] = (uint16_t)++count;
            } else if (score > scores[table[at] - 1]) {
                scores[table[at] - 1] = score;
            }
        }
    mr_found_choose(found, items, slots, scores, count, arena);
    arena->used = mark;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    const size_t mark = arena->used;
    asked *asks = mr_arena_push(arena, user_count * sizeof *asks);
    const uint32_t most = user_count * INTERESTS_MAX;
    mr_stand_ins all = mr_stand_ins_make(view, "embedding", most, arena);
    mr_filter *theirs = mr_arena_push(arena, most * sizeof *theirs);
    all.count = 0;
    for (uint32_t u = 0; u < user_count; u++) {
        const size_t before = arena->used;
        const interests set = interests_of(self, view, users[u], column, arena);
        asks[u] = ask(self->config, &set, &all, all.count);
        for (uint32_t k = 0; k < asks[u].count; k++)
            theirs[all.count++] = filters[u];
        arena->used = before;
    }
    mr_found *of = mr_arena_push(arena, all.count * sizeof *of);
    for (uint32_t i = 0; i < all.count; i++)
        of[i].max = found[0].max;
    if (all.count > 0)
        mr_stand_ins_find(&all, theirs, arena, of);
    for (uint32_t u = 0; u < user_count; u++)
        best_of(&asks[u], of + asks[u].first, view->items, arena, &found[u]);
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    const config *c = self->config;
    const size_t mark = arena->used;
    float *one = mr_arena_push(arena, slot_count * sizeof *one);
    for (uint32_t which = SHORT; which <= (has_long(c) ? LONG : SHORT); which++) {
        float *best = out + (size_t)which * stride;
        mr_stand_ins all = mr_stand_ins_make(view, "embedding", INTERESTS_MAX, arena);
        const interests set = interests_of(self, view, user, which, arena);
        const asked a = ask(c, &set, &all, 0);
        memset(best, 0, slot_count * sizeof *best);
        for (uint32_t k = 0; k < a.count; k++) {
            mr_stand_ins_score(&all, k, slots, slot_count, one, arena);
            for (uint32_t i = 0; i < slot_count; i++) {
                const float value = one[i] + a.bonus[k];
                best[i] = k == 0 || value > best[i] ? value : best[i];
            }
        }
    }
    arena->used = mark;
}

static uint32_t column_count(const void *c)
{
    return has_long(c) ? 2 : 1;
}

static const mr_column columns[] = {
    [SHORT] = {"interest_short", MR_SCALE_REAL}, [LONG] = {"interest_long", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_multi_interest = {
    .state = {.name = "multi_interest",
              .source = "Cen et al., Controllable Multi-Interest Framework for Recommendation",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 1,
              .needs = needs,
              .observe = observe},
    .on = on,
    .columns = columns,
    .column_count = column_count,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
