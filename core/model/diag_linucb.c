// SPDX-License-Identifier: Apache-2.0
// diag_linucb: additive bandit statistics on a sparse graph from clusters of users to items.
//
// A user stands in the m clusters whose centroids are nearest to his vector q (unit length):
//     w_c = exp((q.mu_c - max)/tau) / sum
// refreshed on every REFRESH-th act, and kept in his row: feedback meets the weights that a
// decision used. An item has edges to at most EDGES clusters, with faded sums
//     n += w_c, s += w_c r, d += w_c^2       for a reward r, or r = 0 for an item shown
//     p_c = (s + n0 prior)/(n + n0),  mean_i = sum_E w_c p_c / sum_E w_c,
//     var_i = sum_E w_c^2 p_c (1 - p_c)/(n0 + d) / (sum_E w_c)^2
// (the `smoothed` mean: the paper's own b/d adds up over edges and favours items with many).
// Where no impressions are logged there are no zeros to count. Then (mode `activity`) n is replaced
// by the exposures E = the cluster's activity since the edge was born: a_c(now) - a_c(birth).
// Clusters of little weight (WEAK) are left out of learning: an item has room for few edges.
// Centroids move by online spherical k-means: mu_c <- normalise(mu_c min(N_c, cap) + sum of q).
// An edge is born when a user of that cluster acts on the item or sees it; an item without edges,
// fresh from the catalogue, has the prior mean and the widest spread, so it is explored within one
// epoch. Source: "Online Matching: A Real-time Bandit System for Large-scale Recommendations"
// (Diag-LinUCB); departures: (0) q is the first DIM coordinates at most, (1) smoothed mean, (2)
// activity mode, (3) clusters learned online, (4) edges are born from acts instead of from the
// centroids' nearest items, (5) the variance has the reward's unit, as a draw around the mean
// wants it; the paper's 1/d has not.
#include "core/deltas.h"
#include "core/list/found.h"
#include "core/model/top.h"

enum {
    EDGES = 8,
    NEAREST = 4,
    REFRESH = 4,
    CLUSTERS_MAX = 1024,
    FRESH = 64,
    DIM = 64,
    BEST = 48,
    SEEN = 1024,
    AHEAD = 8,
};
#define FADED 0.02 // acts: an edge below it gives its place to a new one
#define WEAK 0.1f  // a user's cluster of less weight learns nothing from him

enum { FIELD_N, FIELD_S, FIELD_D, FIELDS };
// A cell's key is cluster * FIELDS + field. An act that is a try of the item too adds the same to n
// and to s: one cell, whose cluster stands BOTH further on.
enum { BOTH = CLUSTERS_MAX };

typedef struct config {
    double clusters, tau, prior, prior_weight, half_life_s, cap;
} config;

static const mr_param params[] = {
    {"clusters", "", "clusters of users", offsetof(config, clusters), 64, 1, CLUSTERS_MAX},
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
    {0},
};

typedef struct edge {
    uint64_t cluster;
    mr_decayed sums[FIELDS];
    int64_t birth, birth_era; // the cluster's activity when the edge was born
} edge;

typedef struct edges {
    uint32_t count, reserved;
    edge cells[EDGES];
} edges;

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
    uint16_t clusters[EDGES]; // cluster + 1; 0: no edge
    float s[EDGES], n[EDGES], birth[EDGES];
    uint32_t reserved[4];
} indexed;

_Static_assert(sizeof(indexed) == 128, "two cache lines");

typedef struct trials { // of an item's edges, for spread alone
    float d[EDGES];
} trials;

typedef struct cache {
    uint32_t fresh[FRESH]; // the newest items, newest first
    uint32_t fresh_count;
    uint32_t clusters[CLUSTERS_MAX]; // 0, 1, 2...: all of them
    float *means;                    // of centroids, clusters x DIM, as of the round's start
    mr_top *tops;                    // by cluster: its items by n
    indexed *of_item;                // by slot
    trials *trials_of_item;
} cache;

enum { FAMILY_EDGES, FAMILY_CENTROID, FAMILY_ACTIVITY, FAMILY_USER };

static uint32_t edges_used(const void *c, const void *row)
{
    (void)c;
    return (uint32_t)offsetof(edges, cells) + ((const edges *)row)->count * (uint32_t)sizeof(edge);
}

static uint32_t clusters_max(const void *c)
{
    return (uint32_t)((const config *)c)->clusters;
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

static void combine_centroid(const void *c, void *into, const void *from)
{
    (void)c;
    centroid *sum = into;
    const centroid *more = from;
    for (int i = 0; i < DIM; i++)
        sum->mean[i] += more->mean[i];
    sum->count += more->count;
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
                      .row_size = sizeof(edges),
                      .used = edges_used},
    [FAMILY_CENTROID] = {.name = "centroid",
                         .key = MR_KEY_NAMED,
                         .delta = MR_DELTA_SUM,
                         .version = 1,
                         .row_size = sizeof(centroid),
                         .delta_size = sizeof(centroid),
                         .rows_max = clusters_max,
                         .init = init_centroid,
                         .combine = combine_centroid},
    [FAMILY_ACTIVITY] = {.name = "activity",
                         .key = MR_KEY_NAMED,
                         .delta = MR_DELTA_SUM,
                         .version = 1,
                         .row_size = sizeof(mr_decayed),
                         .delta_size = sizeof(mr_decayed),
                         .rows_max = clusters_max,
                         .combine = combine_activity},
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
    float likeness[CLUSTERS_MAX];
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
    const uint64_t field = act && !tried ? FIELD_S : FIELD_N;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->nearest[i].weight < WEAK)
            break; // and those after it
        const double w = (double)m->nearest[i].weight;
        const uint64_t cell = (m->nearest[i].cluster + (act && tried ? BOTH : 0ull)) * FIELDS;
        const int64_t units = mr_decay_units_of(now, w);
        mr_deltas_cell(deltas, edges_at, signal->item, (mr_cell){cell + field, units, now.era});
        if (tried)
            mr_deltas_cell(deltas, edges_at, signal->item,
                           (mr_cell){cell + FIELD_D, mr_decay_units_of(now, w * w), now.era});
        if (act && tried) {
            const uint32_t slot =
                mr_slots_find(&named_of(self, view, FAMILY_ACTIVITY)->slots, m->nearest[i].cluster);
            mr_decayed_add(mr_deltas_at(deltas, self->family_first + FAMILY_ACTIVITY, slot),
                           (mr_decayed){.newest = units, .era = now.era});
        }
    }
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
        if (!signal->organic || !view->impressions) // else nothing that was shown has earned it
            reward(self, view, signal, m, deltas);
    }
}

static uint32_t cells_of_signal(const void *c)
{
    (void)c;
    return NEAREST * 2;
}

// row->count: there is none.
static uint32_t find_edge(const edges *row, uint64_t cluster)
{
    uint32_t at = 0;
    while (at < row->count && row->cells[at].cluster != cluster)
        at++;
    return at;
}

// A new edge. In a full row it takes the place of the smallest one, if that has faded below FADED
// acts; otherwise there is none: the item is known to enough clusters.
static edge *make_edge(const mr_instance *self, const mr_view *view, edges *row, uint64_t cluster,
                       int64_t era)
{
    uint32_t at = row->count < EDGES ? row->count++ : EDGES;
    if (at == EDGES) {
        at = 0;
        for (uint32_t i = 1; i < EDGES; i++)
            if (mr_decayed_in(&row->cells[i].sums[FIELD_N], era) <
                mr_decayed_in(&row->cells[at].sums[FIELD_N], era))
                at = i;
        if (row->cells[at].sums[FIELD_N].era > era ||
            mr_decayed_at(&row->cells[at].sums[FIELD_N],
                          mr_decay_time_of(view->clock_ms, half_life_ms(self->config))) > FADED)
            return NULL;
    }
    const mr_decayed *activity = activity_of(self, view, (uint32_t)cluster);
    row->cells[at] = (edge){
        .cluster = cluster, .birth = (int64_t)mr_decayed_raw(activity), .birth_era = activity->era};
    return &row->cells[at];
}

static void apply_cells(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                        const mr_cell *cells, uint32_t cell_count, void *row)
{
    (void)family, (void)key;
    edges *of = row;
    uint64_t last = UINT64_MAX; // cells of a cluster stand together
    edge *e = NULL;
    for (uint32_t i = 0; i < cell_count; i++) {
        const mr_decayed more = {.newest = cells[i].value, .era = cells[i].era};
        const uint64_t named = cells[i].key / FIELDS, field = cells[i].key % FIELDS;
        const uint64_t cluster = named < BOTH ? named : named - BOTH;
        if (cluster >= clusters_max(self->config))
            continue;
        if (named != last) {
            const uint32_t at = find_edge(of, cluster);
            e = at < of->count ? &of->cells[at] : make_edge(self, view, of, cluster, cells[i].era);
            last = named;
        }
        if (e == NULL)
            continue;
        mr_decayed_add(&e->sums[field], more);
        if (named != cluster && field == FIELD_N)
            mr_decayed_add(&e->sums[FIELD_S], more);
    }
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

static bool fresher(const mr_items *items, uint32_t a, uint32_t b)
{
    const mr_item *x = mr_items_at(items, a), *y = mr_items_at(items, b);
    return x->born_ms != y->born_ms ? x->born_ms > y->born_ms : x->key < y->key;
}

static void note_fresh(cache *derived, const mr_items *items, uint32_t slot)
{
    if (items->guest[slot] != 0)
        return; // its age is its owner's to say
    if (derived->fresh_count == FRESH && !fresher(items, slot, derived->fresh[FRESH - 1]))
        return; // older than all, or the last one itself
    uint32_t at = 0;
    while (at < derived->fresh_count && derived->fresh[at] != slot)
        at++;
    if (at < derived->fresh_count)
        return;
    at = derived->fresh_count < FRESH ? derived->fresh_count++ : FRESH - 1;
    for (; at > 0 && fresher(items, slot, derived->fresh[at - 1]); at--)
        derived->fresh[at] = derived->fresh[at - 1];
    derived->fresh[at] = slot;
}

static const edges *edges_of(const mr_instance *self, const mr_view *view, uint32_t slot)
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
    const edges *row = edges_of(self, view, slot);
    const int64_t era = derived->tops[0].era; // all have the same
    indexed *of = &derived->of_item[slot];
    for (uint32_t i = row->count; i < EDGES; i++)
        of->clusters[i] = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        const edge *e = &row->cells[i];
        const double n = mr_decayed_in(&e->sums[FIELD_N], era);
        const bool moved = of->clusters[i] != e->cluster + 1 || of->n[i] != (float)n;
        of->clusters[i] = (uint16_t)(e->cluster + 1);
        of->n[i] = (float)n;
        of->s[i] = (float)mr_decayed_in(&e->sums[FIELD_S], era);
        derived->trials_of_item[slot].d[i] = (float)mr_decayed_in(&e->sums[FIELD_D], era);
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
    derived->fresh_count = 0;
    int64_t era = 0;
    for (uint32_t slot = 0; slot < items->slots.used; slot++) {
        if (!mr_items_live(items, slot))
            continue;
        note_fresh(derived, items, slot);
        const edges *row = edges_of(self, view, slot);
        for (uint32_t i = 0; i < row->count; i++)
            era = row->cells[i].sums[FIELD_N].era > era ? row->cells[i].sums[FIELD_N].era : era;
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
        for (uint32_t i = 0; i < EDGES; i++)
            if (of->clusters[i] == cluster + 1)
                mr_top_raise(
                    top, view->items, slot,
                    mr_decayed_in(&edges_of(self, view, slot)->cells[i].sums[FIELD_N], top->era));
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
    const edges *row = edges_of(self, view, slot);
    const indexed was = derived->of_item[slot];
    const int64_t era = derived->tops[0].era;
    note_fresh(derived, view->items, slot);
    for (uint32_t i = 0; i < row->count; i++)
        if (row->cells[i].sums[FIELD_N].era > era) {
            rebuild(self, view);
            return;
        }
    for (uint32_t i = 0; i < EDGES && was.clusters[i] != 0; i++)
        if (i >= row->count || row->cells[i].cluster + 1 != was.clusters[i] ||
            (float)mr_decayed_in(&row->cells[i].sums[FIELD_N], era) < was.n[i])
            mr_top_withdraw(&derived->tops[was.clusters[i] - 1u], slot);
    offer(self, view, slot);
    for (uint32_t i = 0; i < EDGES && was.clusters[i] != 0; i++)
        if (mr_top_is_short(&derived->tops[was.clusters[i] - 1u], BEST))
            refill(self, view, was.clusters[i] - 1u);
}

// ---- serving

// What does not depend on the item: the user's clusters, the time, and the clusters' activity.
typedef float nearest4 __attribute__((vector_size(4 * NEAREST)));
typedef int32_t signs4 __attribute__((vector_size(4 * NEAREST)));

_Static_assert(NEAREST == 4, "gathered by name in mean_of()");

typedef struct ask {
    const mr_instance *self;
    const mr_view *view;
    const membership *m;
    membership everyone;
    const indexed *of_item;
    float unit; // turns units of the tops' era into acts now
    // Of the user's clusters, weight 0 where he stands in fewer. Activity in acts now.
    nearest4 weights, activity;
    uint8_t place_of[CLUSTERS_MAX + 1]; // by cluster + 1: which of them it is; NEAREST: none
    float prior, prior_weight, prior_sum;
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
    a->of_item = derived->of_item;
    a->prior = (float)c->prior;
    a->prior_weight = (float)c->prior_weight;
    a->prior_sum = (float)(c->prior * c->prior_weight);
}

// edges_to[i]: which edge of the item leads to the user's i-th cluster; EDGES: none. Without a
// branch: which one it is cannot be guessed.
static inline void find_edges(const ask *a, const indexed *of, uint8_t edges_to[NEAREST + 1])
{
    memset(edges_to, EDGES, NEAREST + 1);
    for (uint32_t e = 0; e < EDGES; e++)
        edges_to[a->place_of[of->clusters[e]]] = (uint8_t)e;
}

// Mean of an item for the user: the formula at the head of this file. A cluster that the item has
// no edge to takes part with weight 0, which changes no bit of the sums.
static float mean_of(const ask *a, uint32_t slot)
{
    static const float there[EDGES + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 0};
    const indexed *of = &a->of_item[slot];
    uint8_t e[NEAREST + 1];
    find_edges(a, of, e);
    const nearest4 weights = {a->weights[0] * there[e[0]], a->weights[1] * there[e[1]],
                              a->weights[2] * there[e[2]], a->weights[3] * there[e[3]]};
    const float *const tries = a->view->impressions ? of->n : of->birth;
    const nearest4 s = {of->s[e[0] % EDGES], of->s[e[1] % EDGES], of->s[e[2] % EDGES],
                        of->s[e[3] % EDGES]};
    nearest4 tried = {tries[e[0] % EDGES], tries[e[1] % EDGES], tries[e[2] % EDGES],
                      tries[e[3] % EDGES]};
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
    find_edges(a, &a->of_item[slot], edges_to);
    for (uint32_t i = 0; i < a->m->count; i++) {
        const uint32_t e = edges_to[i];
        if (e == EDGES)
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
    for (uint32_t i = 0; i < derived->fresh_count; i++)
        if (edges_of(a->self, a->view, derived->fresh[i])->count == 0)
            slots[count++] = derived->fresh[i];
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

_Static_assert(SEEN == 1 << (32 - 22) && NEAREST * BEST + FRESH < SEEN, "the table never fills");

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const size_t mark = arena->used;
    uint32_t *slots = mr_arena_push(arena, (NEAREST * BEST + FRESH) * sizeof *slots);
    float *means = mr_arena_push(arena, (NEAREST * BEST + FRESH) * sizeof *means);
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
              .family_count = 4,
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
