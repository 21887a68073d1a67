// SPDX-License-Identifier: Apache-2.0
// covisit: people who touched a also touched b. Item-item counts from the pairs of a user's newest
// events, faded, in one bounded table an item.
//
// An act on item j by a user whose newest items are i_1 (newest), i_2, ... adds for each of the
// first `pairs` of them
//     w = weight * rank(p) * (1 inside `session_s`, else `beyond`),   rank(p) = 1 / p
// to c[i][j] (what follows i), and of the first `back_pairs` back * w to c[j][i]. Similarity and
// score are
//     sim(i, j) = c_ij / (n_i^a n_j^(1-a) + beta),   s(u, j) = sum_p recency^(p-1) sim(i_p, j).
// Source: item-to-item co-visitation (Davidson et al., "The YouTube Video Recommendation System").
// Tables and their fading are those of neighbours.h.
#include "core/model/neighbours.h"

enum { TOTAL_KEY = 0, AHEAD = 8 };

typedef struct config {
    double half_life_s, session_s, pairs, beyond, back, back_pairs, exponent, shrink, recency,
        history;
} config;

static const mr_param params[] = {
    {"half_life_s", "s", "time after which a pair counts half", offsetof(config, half_life_s),
     30 * 86400.0, 3600, 1e9},
    {"session_s", "s", "events closer than this are one session", offsetof(config, session_s), 1800,
     1, 1e7},
    {"pairs", "", "newest events that an act is paired with", offsetof(config, pairs), 10, 1,
     MR_RECENT_MAX},
    {"beyond", "", "weight of pairs across sessions", offsetof(config, beyond), 0.2, 0, 1},
    {"back", "", "weight of the pair in the other direction", offsetof(config, back), 0.5, 0, 1},
    {"back_pairs", "", "newest events that get the other direction too",
     offsetof(config, back_pairs), 5, 0, MR_RECENT_MAX},
    {"exponent", "", "share of the first item's total in the norm", offsetof(config, exponent), 0.8,
     0, 1},
    {"shrink", "", "added to the norm: doubts rare pairs", offsetof(config, shrink), 5, 0, 1e6},
    {"recency", "", "weight of each older event of the user", offsetof(config, recency), 0.85, 0.01,
     1},
    {"history", "", "newest events that a score looks at", offsetof(config, history), 20, 1,
     MR_RECENT_MAX},
    {0},
};

typedef struct norms { // derived: n^a and n^(1-a) of an item
    float first, second;
} norms;

static const mr_family families[] = {
    {.name = "neighbours",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_CELLS,
     .version = 1,
     .row_bytes = mr_neighbours_bytes,
     .used = mr_neighbours_used,
     .index_bytes = MR_NEIGHBOURS_INDEX},
};

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_s * 1000.0);
}

// ---- learning

// Every cell also counts for its item's total; the difference, where an item's total gets more than
// its cell does, is returned.
static int64_t pair(const mr_instance *self, mr_deltas *deltas, const mr_signal *signal,
                    mr_decay_weight now, uint32_t other, uint64_t other_key, double weight,
                    double back_weight)
{
    const int64_t ahead = mr_decay_units_of(now, weight);
    const int64_t back = mr_decay_units_of(now, back_weight);
    const uint32_t f = self->family_first;
    mr_deltas_cell(deltas, f, other, (mr_cell){signal->item_key, ahead, now.era});
    if (back > 0)
        mr_deltas_cell(deltas, f, signal->item, (mr_cell){other_key, back, now.era});
    return ahead - back;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    const config *c = self->config;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT || signal->repeat)
            continue;
        const mr_user *user = mr_view_user(view, signal->user);
        const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(c));
        const uint32_t pairs = (uint32_t)c->pairs;
        int64_t more = 0;
        for (uint32_t p = 0; p < user->recent_count && p < pairs; p++) {
            const mr_recent *recent = &user->recent[p];
            const uint32_t other = mr_items_find(view->items, recent->item_key);
            if (other == MR_MAP_NONE || other == signal->item || mr_neighbours_earlier(user, p))
                continue;
            const double gap_s = (double)signal->time_ms / 1000.0 - (double)recent->time_s;
            const double weight = (double)signal->weight / (p + 1) *
                                  (gap_s < c->session_s && -gap_s < c->session_s ? 1.0 : c->beyond);
            if (weight > 0)
                more += pair(self, deltas, signal, now, other, recent->item_key, weight,
                             p < (uint32_t)c->back_pairs ? weight * c->back : 0.0);
        }
        if (more != 0)
            mr_deltas_cell(deltas, self->family_first, signal->item,
                           (mr_cell){TOTAL_KEY, more, now.era});
    }
}

static uint32_t cells_of_signal(const void *c)
{
    return 2 * (uint32_t)((const config *)c)->pairs + 1;
}

static void apply_cells(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                        const mr_cell *cells, uint32_t cell_count, void *row)
{
    (void)self, (void)view, (void)family, (void)key;
    mr_neighbours *t = row;
    for (uint32_t i = 0; i < cell_count; i++)
        mr_neighbours_shift(t, cells[i].era);
    for (uint32_t i = 0; i < cell_count; i++) {
        const int64_t units = mr_neighbours_units(t, &cells[i]);
        t->total += units;
        if (cells[i].key != TOTAL_KEY && units > 0)
            mr_neighbours_add(t, cells[i].key, units);
    }
}

// ---- derived norms

static size_t cache_bytes(const void *c, uint32_t items_max)
{
    (void)c;
    return items_max * sizeof(norms);
}

static void changed(const mr_instance *self, const mr_view *view, uint32_t family, uint32_t slot)
{
    (void)family;
    const config *c = self->config;
    const mr_neighbours *t = mr_items_row(view->items, self->family_first, slot);
    norms *n = (norms *)self->cache + slot;
    const double log_total = mr_log((double)t->total + 1.0);
    n->first = (float)mr_exp(c->exponent * log_total);
    n->second = (float)mr_exp((1.0 - c->exponent) * log_total);
}

static void rebuild(const mr_instance *self, const mr_view *view)
{
    for (uint32_t slot = 0; slot < view->items->slots.used; slot++)
        changed(self, view, 0, slot);
}

// ---- scoring

// The neighbours of an item that are there now, with `weight` times their similarity; returns how
// many.
static uint32_t look_up(const mr_instance *self, const mr_view *view, uint32_t item, float weight,
                        uint32_t slots[MR_NEIGHBOURS_MAX], float scores[MR_NEIGHBOURS_MAX])
{
    const config *c = self->config;
    const mr_neighbours *t = mr_items_row(view->items, self->family_first, item);
    const norms *all = self->cache;
    const float shrink = (float)(c->shrink * MR_DECAY_UNIT), first = all[item].first;
    float norms_of[MR_NEIGHBOURS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (i + AHEAD < t->count)
            mr_map_prefetch(&view->items->slots.map, t->cells[i + AHEAD].key);
        const uint32_t slot = mr_items_find(view->items, t->cells[i].key);
        if (slot == MR_MAP_NONE)
            continue;
        __builtin_prefetch(&all[slot]);
        slots[count] = slot;
        scores[count++] = (float)t->cells[i].count;
    }
    for (uint32_t i = 0; i < count; i++)
        norms_of[i] = all[slots[i]].second;
    for (uint32_t i = 0; i < count; i++) // side by side
        scores[i] = weight * scores[i] / (first * norms_of[i] + shrink);
    return count;
}

static void add_neighbours(const mr_instance *self, const mr_view *view, uint32_t item,
                           float weight, mr_sums *sums)
{
    uint32_t slots[MR_NEIGHBOURS_MAX];
    float scores[MR_NEIGHBOURS_MAX];
    const uint32_t count = look_up(self, view, item, weight, slots, scores);
    for (uint32_t i = 0; i < count; i++)
        mr_sums_add(sums, slots[i], scores[i]);
}

// The neighbours of a user's newest items with their scores: made once for a user, kept in the
// arena for the calls that follow.
static const mr_sums *neighbours_of(const mr_instance *self, const mr_view *view,
                                    uint32_t user_slot, mr_arena *arena)
{
    mr_memo *memo = &view->memos[self - view->instances];
    if (memo->user == user_slot)
        return memo->data;
    const config *c = self->config;
    mr_sums *sums = mr_arena_push(arena, sizeof *sums);
    mr_sums_clear(sums);
    const mr_user *user = mr_view_user(view, user_slot);
    uint32_t items[MR_RECENT_MAX], count = 0;
    float weights[MR_RECENT_MAX], weight = 1.0f;
    for (uint32_t p = 0; p < user->recent_count && p < (uint32_t)c->history; p++) {
        if (mr_neighbours_earlier(user, p))
            continue;
        const uint32_t item = mr_items_find(view->items, user->recent[p].item_key);
        if (item != MR_MAP_NONE) {
            items[count] = item;
            weights[count++] = weight;
        }
        weight *= (float)c->recency;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 < count)
            mr_prefetch(mr_items_row(view->items, self->family_first, items[i + 1]),
                        sizeof(mr_neighbours));
        add_neighbours(self, view, items[i], weights[i], sums);
    }
    *memo = (mr_memo){user_slot, sums};
    return sums;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    for (uint32_t u = 0; u < user_count; u++)
        mr_sums_choose(neighbours_of(self, view, users[u], arena), &filters[u], arena, &found[u]);
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    mr_sums_read(neighbours_of(self, view, user, arena), slots, slot_count, out);
}

// Port: shares in proportion to similarity.
static uint32_t neighbours(const mr_instance *self, const mr_view *view, uint32_t slot,
                           uint32_t *slots, float *shares, uint32_t max)
{
    uint32_t found[MR_NEIGHBOURS_MAX];
    float scores[MR_NEIGHBOURS_MAX], sum = 0.0f;
    uint32_t count = look_up(self, view, slot, 1.0f, found, scores);
    count = count < max ? count : max;
    for (uint32_t i = 0; i < count; i++)
        sum += scores[i];
    for (uint32_t i = 0; i < count && sum > 0.0f; i++) {
        slots[i] = found[i];
        shares[i] = scores[i] / sum;
    }
    return sum > 0.0f ? count : 0;
}

// Tables may be of different eras.
static float faded(int64_t units, int64_t era, mr_decay_time now)
{
    const mr_decayed of = {.newest = units, .era = era};
    return (float)mr_decayed_at(&of, now);
}

// Port: the table with its counts.
static uint32_t table(const mr_instance *self, const mr_view *view, uint32_t slot, float *total,
                      mr_table_entry *to, uint32_t max)
{
    const mr_neighbours *t = mr_items_row(view->items, self->family_first, slot);
    const mr_decay_time now = mr_decay_time_of(view->clock_ms, half_life_ms(self->config));
    uint32_t count = 0;
    *total = faded(t->total, t->era, now);
    for (uint32_t i = 0; i < t->count && count < max; i++) {
        const uint32_t other = mr_items_find(view->items, t->cells[i].key);
        if (other == MR_MAP_NONE)
            continue;
        const mr_neighbours *o = mr_items_row(view->items, self->family_first, other);
        to[count++] = (mr_table_entry){.slot = other,
                                       .count = faded(t->cells[i].count, t->era, now),
                                       .total = faded(o->total, o->era, now)};
    }
    return count;
}

static const mr_column columns[] = {{"covisit", MR_SCALE_COUNT}};

const mr_model mr_model_covisit = {
    .state = {.name = "covisit",
              .source = "Davidson et al., The YouTube Video Recommendation System",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 1,
              .cache_bytes = cache_bytes,
              .rebuild = rebuild,
              .changed = changed,
              .observe = observe,
              .cells = cells_of_signal,
              .apply_cells = apply_cells},
    .columns = columns,
    .candidates = candidates,
    .score = score,
    .neighbours = neighbours,
    .table = table,
};
