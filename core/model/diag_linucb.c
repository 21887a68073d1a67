// SPDX-License-Identifier: Apache-2.0
// diag_linucb: additive bandit statistics on a sparse graph from clusters of users to items.
//
// A user stands in the m clusters whose centroids are nearest to his vector q (unit length):
//     w_c = exp((q.mu_c - max)/tau) / sum
// refreshed on every REFRESH-th act, and kept in his row: feedback meets the weights that a
// decision used. An item has edges to at most MR_EDGES_MAX clusters, with faded sums
//     n += w_c, s += w_c r, d += w_c^2       for a reward r, or r = 0 for an item shown
//     p_c = (s + n0 prior)/(n + n0),  mean_i = sum_E w_c p_c / sum_E w_c,
//     var_i = sum_E w_c^2 p_c (1 - p_c)/(n0 + d) / (sum_E w_c)^2
// (the `smoothed` mean: the paper's own b/d adds up over edges and favours items with many).
// Where no impressions are logged there are no zeros to count. Then (mode `activity`) n is replaced
// by the exposures E = the cluster's activity since the edge was born: a_c(now) - a_c(birth).
// With `components` set, the prior is a mixture that is learned from all items (learned_prior.h).
// Clusters of little weight (WEAK) are left out of learning: an item has room for few edges.
// Centroids move by online spherical k-means: mu_c <- normalise(mu_c min(N_c, cap) + sum of q).
// An edge is born when a user of that cluster acts on the item or sees it; an item without edges,
// fresh from the catalogue, has the prior mean and the widest spread, so it is explored within one
// epoch. Source: "Online Matching: A Real-time Bandit System for Large-scale Recommendations"
// (Diag-LinUCB); departures: (0) q is the first DIM coordinates at most, (1) smoothed mean, (2)
// activity mode, (3) clusters learned online, (4) edges are born from acts instead of from the
// centroids' nearest items, (5) the variance has the reward's unit, as a draw around the mean
// wants it; the paper's 1/d has not. The learned prior: Thompson Sampling with Diffusion Generative
// Prior, as a mixture.
#include "core/deltas.h"
#include "core/list/found.h"
#include "core/model/edges.h"
#include "core/model/learned_prior.h"
#include "core/model/newest.h"
#include "core/model/top.h"

enum {
    NEAREST = 4,
    REFRESH = 4,
    DIM = 64,
    BEST = 48,
    SEEN = 1024,
    AHEAD = 8,
};
#define WEAK 0.1f // a user's cluster of less weight learns nothing from him

typedef struct config {
    double clusters, tau, prior, prior_weight, half_life_s, cap, components;
} config;

static const mr_param params[] = {
    {"clusters", "", "clusters of users", offsetof(config, clusters), 64, 1, MR_EDGE_CLUSTERS_MAX},
    {"tau", "", "how sharply a user belongs to his nearest cluster", offsetof(config, tau), 0.1,
     1e-3, 10},
    {"prior", "", "reward that is expected of an unknown item", offsetof(config, prior), 0.02, 0,
     1},
    {"prior_weight", "", "how many showings that expectation is worth",
     offsetof(config, prior_weight), 5, 1e-3, 1e6},
    {"half_life_s", "s", "time after which a reward counts half", offsetof(config, half_life_s),
     86400, 60, 1e9},
    {"cap", "", "how many users a centroid remembers at most", offsetof(config, cap), 10000, 1,
     1e9},
    {"components", "",
     "Beta laws of the prior that is learned from all items, where impressions "
     "are logged; 0: it stays as it is set",
     offsetof(config, components), 0, 0, MR_MIXTURE_MAX},
    {0},
};

typedef struct centroid { // as a row, and as a delta: sum and count of the users that came
    float mean[DIM];
    float count, reserved;
} centroid;

typedef struct membership {
    uint32_t count, acts;
    struct {
        uint32_t cluster;
        float weight;
    } nearest[NEAREST];
} membership;

// An item's edges as scoring wants them: dense, in units of the tops' era. Two cache lines.
typedef struct indexed {
    uint16_t clusters[MR_EDGES_MAX]; // cluster + 1; 0: no edge
    float s[MR_EDGES_MAX], n[MR_EDGES_MAX], birth[MR_EDGES_MAX];
    uint32_t reserved[4];
} indexed;

_Static_assert(sizeof(indexed) == 128, "two cache lines");

typedef struct trials { // of an item's edges, for spread alone
    float d[MR_EDGES_MAX];
} trials;

typedef struct cache {
    mr_newest newest;
    uint32_t clusters[MR_EDGE_CLUSTERS_MAX]; // 0, 1, 2...: all of them
    float *means;     // of centroids, clusters x DIM, as of the round's start
    mr_top *tops;     // by cluster: its items by n
    indexed *of_item; // by slot
    trials *trials_of_item;
} cache;

enum { FAMILY_EDGES, FAMILY_CENTROID, FAMILY_ACTIVITY, FAMILY_PRIOR, FAMILY_USER, FAMILIES };

static uint32_t clusters_max(const void *c)
{
    return (uint32_t)((const config *)c)->clusters;
}

static uint32_t components(const void *c)
{
    return (uint32_t)((const config *)c)->components;
}

static void init_centroid(const void *c, uint64_t key, uint64_t seed, void *row)
{
    (void)c;
    centroid *center = row;
    mr_rng rng = mr_rng_make(seed, 0, 0, key, MR_PURPOSE_CENTROID);
    double squares = 0;
    for (int i = 0; i < DIM; i++) {
        center->mean[i] = mr_rng_normal(&rng);
        squares += (double)center->mean[i] * (double)center->mean[i];
    }
    for (int i = 0; i < DIM; i++)
        center->mean[i] *= (float)(1.0 / __builtin_sqrt(squares + 1e-12));
}

static void combine_activity(const void *c, void *into, const void *from)
{
    (void)c;
    mr_decayed_add(into, *(const mr_decayed *)from);
}

static const mr_family families[] = {
    [FAMILY_EDGES] = {.name = "edges",
                      .key = MR_KEY_ITEM,
                      .delta = MR_DELTA_CELLS,
                      .version = 1,
                      .row_size = sizeof(mr_edges),
                      .used = mr_edges_used},
    [FAMILY_CENTROID] = {.name = "centroid",
                         .key = MR_KEY_NAMED,
                         .delta = MR_DELTA_SUM,
                         .version = 1,
                         .row_size = sizeof(centroid),
                         .delta_size = sizeof(centroid),
                         .rows_max = clusters_max,
                         .init = init_centroid},
    [FAMILY_ACTIVITY] = {.name = "activity",
                         .key = MR_KEY_NAMED,
                         .delta = MR_DELTA_SUM,
                         .version = 1,
                         .row_size = sizeof(mr_decayed),
                         .delta_size = sizeof(mr_decayed),
                         .rows_max = clusters_max,
                         .combine = combine_activity},
    [FAMILY_PRIOR] = {.name = "prior",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(mr_prior),
                      .delta_size = sizeof(mr_prior_table),
                      .combine = mr_prior_combine},
    [FAMILY_USER] = {.name = "context",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .row_size = sizeof(membership)},
};

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_s * 1000.0);
}

static membership *membership_of(const mr_instance *self, const mr_view *view, uint32_t user)
{
    return mr_user_part(self, mr_view_user(view, user));
}

static const mr_named *named_of(const mr_instance *self, const mr_view *view, uint32_t family)
{
    return &view->named[self->family_first + family];
}

static const mr_decayed *activity_of(const mr_instance *self, const mr_view *view, uint32_t cluster)
{
    return mr_named_find(named_of(self, view, FAMILY_ACTIVITY), cluster);
}

// ---- membership

// The user's direction, unit length; false where he has none yet.
static bool direction_of(const mr_view *view, uint32_t user, float q[DIM])
{
    uint32_t have;
    const float *vector = mr_view_vector(view, "embedding", MR_KEY_USER, user, &have);
    memset(q, 0, DIM * sizeof *q);
    memcpy(q, vector, (have < DIM ? have : DIM) * sizeof *q);
    const float squares = view->vec->dot(q, q, DIM);
    if (!(squares > 1e-12f))
        return false;
    view->vec->scale(q, 1.0f / __builtin_sqrtf(squares), DIM);
    return true;
}

static void insert_nearest(membership *m, uint32_t cluster, float likeness)
{
    uint32_t at = m->count < NEAREST ? m->count++ : NEAREST;
    if (at == NEAREST) {
        if (likeness <= m->nearest[NEAREST - 1].weight)
            return;
        at = NEAREST - 1;
    }
    for (; at > 0 && m->nearest[at - 1].weight < likeness; at--)
        m->nearest[at] = m->nearest[at - 1];
    m->nearest[at].cluster = cluster;
    m->nearest[at].weight = likeness;
}

static void assign(const mr_instance *self, const mr_view *view, uint32_t user, mr_deltas *deltas)
{
    const config *c = self->config;
    membership *m = membership_of(self, view, user);
    float q[DIM];
    if (!direction_of(view, user, q))
        return;
    const cache *derived = self->cache;
    float likeness[MR_EDGE_CLUSTERS_MAX];
    view->vec->dot_rows(q, derived->means, derived->clusters, clusters_max(c), DIM, likeness);
    m->count = 0;
    for (uint32_t cluster = 0; cluster < clusters_max(c); cluster++)
        insert_nearest(m, cluster, likeness[cluster]);
    const float best = m->nearest[0].weight;
    float sum = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        m->nearest[i].weight = mr_expf((m->nearest[i].weight - best) / (float)c->tau);
        sum += m->nearest[i].weight;
    }
    for (uint32_t i = 0; i < m->count; i++)
        m->nearest[i].weight /= sum;
    const uint32_t slot =
        mr_slots_find(&named_of(self, view, FAMILY_CENTROID)->slots, m->nearest[0].cluster);
    centroid *delta = mr_deltas_at(deltas, self->family_first + FAMILY_CENTROID, slot);
    view->vec->axpy(delta->mean, 1.0f, q, DIM);
    delta->count += 1.0f;
}

// ---- learning

static void reward(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                   const membership *m, mr_deltas *deltas)
{
    const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(self->config));
    const uint32_t edges_at = self->family_first + FAMILY_EDGES;
    const bool act = signal->kind == MR_SIGNAL_ACT;
    // With impressions an item that was shown counts as tried, and an act as its reward; without
    // them an act is all there is.
    const bool tried = !act || !view->impressions;
    const uint64_t field = act && !tried ? MR_EDGE_S : MR_EDGE_N;
    // Shown where one in so many looks: refused by so many at most.
    const double seen = !act && signal->examined > 0 ? (double)signal->examined : 1.0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->nearest[i].weight < WEAK)
            break; // and those after it
        const double w = (double)m->nearest[i].weight;
        const uint64_t cell =
            (m->nearest[i].cluster + (act && tried ? MR_EDGE_BOTH : 0ull)) * MR_EDGE_SUMS;
        const int64_t units = mr_decay_units_of(now, seen * w);
        mr_deltas_cell(deltas, edges_at, signal->item, (mr_cell){cell + field, units, now.era});
        if (tried)
            mr_deltas_cell(
                deltas, edges_at, signal->item,
                (mr_cell){cell + MR_EDGE_D, mr_decay_units_of(now, seen * w * w), now.era});
        if (act && tried) {
            const uint32_t slot =
                mr_slots_find(&named_of(self, view, FAMILY_ACTIVITY)->slots, m->nearest[i].cluster);
            mr_decayed_add(mr_deltas_at(deltas, self->family_first + FAMILY_ACTIVITY, slot),
                           (mr_decayed){.newest = units, .era = now.era});
        }
    }
}

// What was known of the item until now is one of the arms that the prior is learned from.
static void note_arm(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                     mr_deltas *deltas)
{
    const mr_edges *row =
        mr_items_row(view->items, self->family_first + FAMILY_EDGES, signal->item);
    const mr_decay_time now = mr_decay_time_of(signal->time_ms, half_life_ms(self->config));
    double n = 0, s = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        n += mr_decayed_at(&row->cells[i].sums[MR_EDGE_N], now);
        s += mr_decayed_at(&row->cells[i].sums[MR_EDGE_S], now);
    }
    const uint32_t slot = mr_slots_find(&named_of(self, view, FAMILY_PRIOR)->slots, 0);
    mr_prior_note(mr_deltas_at(deltas, self->family_first + FAMILY_PRIOR, slot), n, s);
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT && signal->kind != MR_SIGNAL_SHOWN)
            continue;
        membership *m = membership_of(self, view, signal->user);
        if (signal->kind == MR_SIGNAL_ACT && m->acts++ % REFRESH == 0)
            assign(self, view, signal->user, deltas);
        if (components(self->config) > 0 && signal->kind == MR_SIGNAL_SHOWN)
            note_arm(self, view, signal, deltas);
        if (!signal->organic || !view->impressions) // else nothing that was shown has earned it
            reward(self, view, signal, m, deltas);
    }
}

static uint32_t cells_of_signal(const void *c)
{
    (void)c;
    return NEAREST * 2;
}

static void apply_cells(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                        const mr_cell *cells, uint32_t cell_count, void *row)
{
    (void)family, (void)key;
    const mr_decay_time now = mr_decay_time_of(view->clock_ms, half_life_ms(self->config));
    mr_edges_add(row, cells, cell_count, clusters_max(self->config),
                 named_of(self, view, FAMILY_ACTIVITY), now);
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)key;
    if (family == FAMILY_ACTIVITY) {
        combine_activity(self->config, row, delta);
        return;
    }
    const config *c = self->config;
    if (family == FAMILY_PRIOR) {
        mr_prior_apply(row, delta, components(c), c->prior, c->prior_weight);
        return;
    }
    centroid *center = row;
    const centroid *came = delta;
    const float weight = center->count < (float)c->cap ? center->count : (float)c->cap;
    view->vec->scale(center->mean, weight, DIM);
    view->vec->axpy(center->mean, 1.0f, came->mean, DIM);
    const float squares = view->vec->dot(center->mean, center->mean, DIM);
    if (squares > 1e-12f)
        view->vec->scale(center->mean, 1.0f / __builtin_sqrtf(squares), DIM);
    center->count += came->count;
}

// ---- derived: the best items of each cluster, and the newest items

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    return mr_arena_round(sizeof(cache)) + mr_arena_round(clusters_max(c) * DIM * sizeof(float)) +
           mr_arena_round(clusters_max(c) * sizeof(mr_top)) +
           mr_arena_round(items_max * sizeof(indexed)) + mr_arena_round(items_max * sizeof(trials));
}

static void place_cache(const mr_instance *self, uint32_t items_max)
{
    cache *derived = self->cache;
    uint8_t *at = (uint8_t *)derived + mr_arena_round(sizeof(cache));
    derived->means = (float *)(void *)at;
    at += mr_arena_round(clusters_max(self->config) * DIM * sizeof(float));
    derived->tops = (mr_top *)(void *)at;
    at += mr_arena_round(clusters_max(self->config) * sizeof(mr_top));
    derived->of_item = (indexed *)(void *)at;
    at += mr_arena_round(items_max * sizeof(indexed));
    derived->trials_of_item = (trials *)(void *)at;
}

static const mr_edges *edges_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first + FAMILY_EDGES, slot);
}

static float in_era(int64_t units, int64_t of, int64_t era)
{
    return of == era ? (float)units : of + 1 == era ? (float)units * 0x1p-16f : 0.0f;
}

// Brings what is derived of an item up to date: tops have the edges that it knows of.
static void offer(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    cache *derived = self->cache;
    const mr_edges *row = edges_of(self, view, slot);
    const int64_t era = derived->tops[0].era; // all have the same
    indexed *of = &derived->of_item[slot];
    for (uint32_t i = row->count; i < MR_EDGES_MAX; i++)
        of->clusters[i] = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        const mr_edge *e = &row->cells[i];
        const double n = mr_decayed_in(&e->sums[MR_EDGE_N], era);
        const bool moved = of->clusters[i] != e->cluster + 1 || of->n[i] != (float)n;
        of->clusters[i] = (uint16_t)(e->cluster + 1);
        of->n[i] = (float)n;
        of->s[i] = (float)mr_decayed_in(&e->sums[MR_EDGE_S], era);
        derived->trials_of_item[slot].d[i] = (float)mr_decayed_in(&e->sums[MR_EDGE_D], era);
        of->birth[i] = in_era(e->birth, e->birth_era, era);
        if (moved)
            mr_top_raise(&derived->tops[e->cluster], view->items, slot, n);
    }
}

static void note_mean(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    const mr_named *named = named_of(self, view, FAMILY_CENTROID);
    const centroid *center = mr_part_row(&named->part, slot);
    memcpy(((cache *)self->cache)->means + named->slots.keys[slot] * DIM, center->mean,
           sizeof center->mean);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    const mr_items *items = view->items;
    place_cache(self, items->slots.max);
    cache *derived = self->cache;
    for (uint32_t slot = 0; slot < clusters_max(self->config); slot++) {
        derived->clusters[slot] = slot;
        note_mean(self, view, slot);
    }
    memset(derived->of_item, 0, items->slots.used * sizeof *derived->of_item);
    derived->newest.count = 0;
    int64_t era = 0;
    for (uint32_t slot = 0; slot < items->slots.used; slot++) {
        if (!mr_items_live(items, slot))
            continue;
        mr_newest_note(&derived->newest, items, slot);
        const mr_edges *row = edges_of(self, view, slot);
        for (uint32_t i = 0; i < row->count; i++)
            era = row->cells[i].sums[MR_EDGE_N].era > era ? row->cells[i].sums[MR_EDGE_N].era : era;
    }
    for (uint32_t cluster = 0; cluster < clusters_max(self->config); cluster++)
        mr_top_clear(&derived->tops[cluster], era);
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        if (mr_items_live(items, slot))
            offer(self, view, slot);
}

// Fills a cluster's top again, from all items that have an edge to it.
static void refill(const mr_instance *self, const mr_view *view, uint32_t cluster)
{
    cache *derived = self->cache;
    mr_top *top = &derived->tops[cluster];
    mr_top_clear(top, top->era);
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++) {
        const indexed *of = &derived->of_item[slot];
        if (!mr_items_live(view->items, slot))
            continue;
        for (uint32_t i = 0; i < MR_EDGES_MAX; i++)
            if (of->clusters[i] == cluster + 1)
                mr_top_raise(
                    top, view->items, slot,
                    mr_decayed_in(&edges_of(self, view, slot)->cells[i].sums[MR_EDGE_N], top->era));
    }
}

// An item's edges keep their places. One that went, or that went and came again, counts less than
// its cluster's top knows.
static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    if (family == FAMILY_CENTROID)
        note_mean(self, view, slot);
    if (family != FAMILY_EDGES)
        return;
    cache *derived = self->cache;
    const mr_edges *row = edges_of(self, view, slot);
    const indexed was = derived->of_item[slot];
    const int64_t era = derived->tops[0].era;
    mr_newest_note(&derived->newest, view->items, slot);
    for (uint32_t i = 0; i < row->count; i++)
        if (row->cells[i].sums[MR_EDGE_N].era > era) {
            rebuild(self, view);
            return;
        }
    for (uint32_t i = 0; i < MR_EDGES_MAX && was.clusters[i] != 0; i++)
        if (i >= row->count || row->cells[i].cluster + 1 != was.clusters[i] ||
            (float)mr_decayed_in(&row->cells[i].sums[MR_EDGE_N], era) < was.n[i])
            mr_top_withdraw(&derived->tops[was.clusters[i] - 1u], slot);
    offer(self, view, slot);
    for (uint32_t i = 0; i < MR_EDGES_MAX && was.clusters[i] != 0; i++)
        if (mr_top_is_short(&derived->tops[was.clusters[i] - 1u], BEST))
            refill(self, view, was.clusters[i] - 1u);
}

// ---- serving

// What does not depend on the item: the user's clusters, the time, and the clusters' activity.
typedef float nearest4 __attribute__((vector_size(4 * NEAREST)));
typedef int32_t signs4 __attribute__((vector_size(4 * NEAREST)));

_Static_assert(NEAREST == 4, "gathered by name in plain_mean_of()");
_Static_assert((int)NEAREST <= (int)MR_PRIOR_EDGES, "all of them are asked for");

typedef struct ask {
    const mr_instance *self;
    const mr_view *view;
    const membership *m;
    membership everyone;
    const indexed *of_item;
    float unit; // turns units of the tops' era into acts now
    // Of the user's clusters, weight 0 where he stands in fewer. Activity in acts now.
    nearest4 weights, activity;
    uint8_t
        place_of[MR_EDGE_CLUSTERS_MAX + 1]; // by cluster + 1: which of them it is; NEAREST: none
    float prior, prior_weight, prior_sum;
    const mr_mixture *mixture; // the learned prior; NULL: there is none
} ask;

static void open_ask(ask *a, const mr_instance *self, const mr_view *view, uint32_t user)
{
    const config *c = self->config;
    const cache *derived = self->cache;
    const mr_decay_time now = mr_decay_time_of(view->clock_ms, half_life_ms(c));
    a->self = self;
    a->view = view;
    a->m = membership_of(self, view, user);
    if (a->m->count == 0) { // not placed yet: the first cluster stands for everyone
        a->everyone = (membership){.count = 1, .nearest = {{0, 1.0f}}};
        a->m = &a->everyone;
    }
    const mr_decayed one = {.newest = 1, .era = derived->tops[0].era};
    a->unit = (float)mr_decayed_at(&one, now);
    a->weights = a->activity = (nearest4){0};
    memset(a->place_of, NEAREST, clusters_max(c) + 1);
    for (uint32_t i = 0; i < a->m->count; i++) {
        const uint32_t cluster = a->m->nearest[i].cluster;
        a->weights[i] = a->m->nearest[i].weight;
        a->activity[i] = (float)mr_decayed_at(activity_of(self, view, cluster), now);
        a->place_of[cluster + 1] = (uint8_t)i;
    }
    const mr_prior *learned = mr_named_find(named_of(self, view, FAMILY_PRIOR), 0);
    a->mixture = components(c) > 0 && view->impressions && learned->mixture.count > 0
                     ? &learned->mixture
                     : NULL;
    a->of_item = derived->of_item;
    a->prior = (float)c->prior;
    a->prior_weight = (float)c->prior_weight;
    a->prior_sum = (float)(c->prior * c->prior_weight);
}

// edges_to[i]: which edge of the item leads to the user's i-th cluster; MR_EDGES_MAX: none. Without
// a branch: which one it is cannot be guessed.
static inline void find_edges(const ask *a, const indexed *of, uint8_t edges_to[NEAREST + 1])
{
    memset(edges_to, MR_EDGES_MAX, NEAREST + 1);
    for (uint32_t e = 0; e < MR_EDGES_MAX; e++)
        edges_to[a->place_of[of->clusters[e]]] = (uint8_t)e;
}

// Mean and variance of an item by the learned prior.
static void mixed_rate(const ask *a, uint32_t slot, double *mean, double *variance)
{
    const indexed *of = &a->of_item[slot];
    mr_prior_asked asked = {.count = 0};
    uint8_t edges_to[NEAREST + 1];
    for (uint32_t e = 0; e < MR_EDGES_MAX && of->clusters[e] != 0; e++) {
        asked.n += (double)(of->n[e] * a->unit);
        asked.s += (double)(of->s[e] * a->unit);
    }
    find_edges(a, of, edges_to);
    for (uint32_t i = 0; i < a->m->count; i++) {
        const uint32_t e = edges_to[i];
        if (e == MR_EDGES_MAX)
            continue;
        asked.edges[asked.count].weight = (double)a->weights[i];
        asked.edges[asked.count].n = (double)(of->n[e] * a->unit);
        asked.edges[asked.count++].s = (double)(of->s[e] * a->unit);
    }
    mr_prior_rate(a->mixture, &asked, mean, variance);
}

// Mean of an item for the user: the formula at the head of this file. A cluster that the item has
// no edge to takes part with weight 0, which changes no bit of the sums.
static float plain_mean_of(const ask *a, uint32_t slot)
{
    static const float there[MR_EDGES_MAX + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 0};
    const indexed *of = &a->of_item[slot];
    uint8_t e[NEAREST + 1];
    find_edges(a, of, e);
    const nearest4 weights = {a->weights[0] * there[e[0]], a->weights[1] * there[e[1]],
                              a->weights[2] * there[e[2]], a->weights[3] * there[e[3]]};
    const float *const tries = a->view->impressions ? of->n : of->birth;
    const nearest4 s = {of->s[e[0] % MR_EDGES_MAX], of->s[e[1] % MR_EDGES_MAX],
                        of->s[e[2] % MR_EDGES_MAX], of->s[e[3] % MR_EDGES_MAX]};
    nearest4 tried = {tries[e[0] % MR_EDGES_MAX], tries[e[1] % MR_EDGES_MAX],
                      tries[e[2] % MR_EDGES_MAX], tries[e[3] % MR_EDGES_MAX]};
    tried *= a->unit;
    if (!a->view->impressions) {
        const nearest4 since = a->activity - tried;
        tried = (nearest4)((signs4)since & (since > 0.0f)); // 0 where it is not above 0
    }
    const nearest4 shares = weights * (s * a->unit + a->prior_sum) / (tried + a->prior_weight);
    const float sum = ((shares[0] + shares[1]) + shares[2]) + shares[3];
    const float all = ((weights[0] + weights[1]) + weights[2]) + weights[3];
    return all > 0 ? sum / all : a->prior;
}

static float mean_of(const ask *a, uint32_t slot)
{
    double mean, variance;
    if (a->mixture == NULL)
        return plain_mean_of(a, slot);
    mixed_rate(a, slot, &mean, &variance);
    return (float)mean;
}

// How far the reward of an edge may be from what it seems: p (1 - p) over what is known of it. d is
// what was tried, in other words what a ridge regression with a prior of that weight has.
static float edge_variance(const ask *a, uint32_t slot, uint32_t place, uint32_t e)
{
    const indexed *of = &a->of_item[slot];
    const trials *t = &((const cache *)a->self->cache)->trials_of_item[slot];
    const float tried =
        a->view->impressions ? of->n[e] * a->unit : a->activity[place] - of->birth[e] * a->unit;
    const float p =
        (of->s[e] * a->unit + a->prior_sum) / ((tried > 0 ? tried : 0) + a->prior_weight);
    return p < 1 ? p * (1 - p) / (a->prior_weight + t->d[e] * a->unit) : 0;
}

static float variance_of(const ask *a, uint32_t slot)
{
    uint8_t edges_to[NEAREST + 1];
    float sum = 0, all = 0;
    if (a->mixture != NULL) {
        double mean, variance;
        mixed_rate(a, slot, &mean, &variance);
        return (float)variance;
    }
    find_edges(a, &a->of_item[slot], edges_to);
    for (uint32_t i = 0; i < a->m->count; i++) {
        const uint32_t e = edges_to[i];
        if (e == MR_EDGES_MAX)
            continue;
        sum += a->weights[i] * a->weights[i] * edge_variance(a, slot, i, e);
        all += a->weights[i];
    }
    return all > 0 ? sum / (all * all) : a->prior * (1 - a->prior) / a->prior_weight;
}

static uint32_t gather(const ask *a, uint32_t *slots)
{
    const cache *derived = a->self->cache;
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->m->count; i++) {
        const mr_top *top = &derived->tops[a->m->nearest[i].cluster];
        const uint32_t best = top->count < BEST ? top->count : BEST;
        memcpy(slots + count, top->slots, best * sizeof *slots);
        count += best;
    }
    for (uint32_t i = 0; i < derived->newest.count; i++)
        if (edges_of(a->self, a->view, derived->newest.slots[i])->count == 0)
            slots[count++] = derived->newest.slots[i];
    return count;
}

// Whether the slot is new to the table of this ask; a list of one cluster shares many items with
// another's.
static bool first_time(uint32_t table[SEEN], uint32_t slot)
{
    uint32_t i = (slot * 0x9e3779b1u) >> 22;
    while (table[i] != 0 && table[i] != slot + 1)
        i = (i + 1) % SEEN;
    const bool first = table[i] == 0;
    table[i] = slot + 1;
    return first;
}

_Static_assert(SEEN == 1 << (32 - 22) && NEAREST * BEST + MR_NEWEST_MAX < SEEN,
               "the table never fills");

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    uint32_t *slots = mr_arena_push(arena, (NEAREST * BEST + MR_NEWEST_MAX) * sizeof *slots);
    float *means = mr_arena_push(arena, (NEAREST * BEST + MR_NEWEST_MAX) * sizeof *means);
    for (uint32_t u = 0; u < user_count; u++) {
        ask a;
        open_ask(&a, self, view, users[u]);
        uint32_t table[SEEN] = {0};
        const uint32_t gathered = gather(&a, slots);
        uint32_t count = 0;
        for (uint32_t i = 0; i < gathered; i++) {
            const uint32_t slot = slots[i];
            mr_prefetch(&a.of_item[slot], sizeof(indexed));
            slots[count] = slot;
            count += first_time(table, slot) && mr_filter_admits(&filters[u], slot);
        }
        for (uint32_t i = 0; i < count; i++)
            means[i] = mean_of(&a, slots[i]);
        mr_found_choose(&found[u], view->items, slots, means, count, arena);
    }
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride, (void)arena;
    ask a;
    open_ask(&a, self, view, user);
    for (uint32_t i = 0; i < slot_count; i++) {
        if (i + AHEAD < slot_count)
            mr_prefetch(&a.of_item[slots[i + AHEAD]], sizeof(indexed));
        out[i] = mean_of(&a, slots[i]);
    }
}

static void spread(const mr_instance *self, const mr_view *view, uint32_t user,
                   const uint32_t *slots, uint32_t slot_count, float *mean, float *deviation)
{
    ask a;
    open_ask(&a, self, view, user);
    for (uint32_t i = 0; i < slot_count; i++) {
        mean[i] = mean_of(&a, slots[i]);
        deviation[i] = __builtin_sqrtf(variance_of(&a, slots[i]));
    }
}

static uint32_t context(const mr_instance *self, const mr_view *view, uint32_t user,
                        uint32_t *clusters, float *weights, uint32_t max)
{
    const membership *m = membership_of(self, view, user);
    uint32_t count = 0;
    for (; count < m->count && count < max; count++) {
        clusters[count] = m->nearest[count].cluster;
        weights[count] = m->nearest[count].weight;
    }
    return count;
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    (void)self;
    if (max == 0)
        return 0;
    out[0] = (mr_measure){"activity_mode", view->impressions ? 0.0 : 1.0};
    return 1;
}

static const mr_column columns[] = {{"diag_linucb", MR_SCALE_COUNT}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_diag_linucb = {
    .state = {.name = "diag_linucb",
              .source = "Online Matching: A Real-time Bandit System",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = FAMILIES,
              .needs = needs,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .cells = cells_of_signal,
              .apply = apply,
              .apply_cells = apply_cells,
              .measure = measure},
    .columns = columns,
    .candidates = candidates,
    .score = score,
    .spread = spread,
    .context = context,
};
