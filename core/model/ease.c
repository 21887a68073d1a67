// SPDX-License-Identifier: Apache-2.0
// ease: EASE for one user at a time: each item regressed on the items that he knows. Off unless
// `pairs` is set.
//
// G is the Gram matrix of users' newest items. An act of weight w on item j by a user whose newest
// items are i_1 (newest), i_2, ... adds w near^p to G_ij and G_ji for each of the first `pairs` of
// them, i = i_p, and w to G_jj: near^|distance| is a positive definite kernel, and with near = 1
// this is the product of X, users by items, with itself. EASE has A = G + lambda I, P = A^-1 and
// scores s(u, j) = -sum_i x_i P_ij / P_jj: ridge regression of j on all other items. Here it is
// that on the user's own items H alone, as if the others were unknown instead of 0:
//     s(u, j) = q.G_Hj,   q = (G_HH + lambda I)^-1 x_H,   x_i = near^(p-1)
// Both are the same where H is everything but j. So nothing is kept but G, in a bounded table an
// item; one solve of |H| unknowns gives q, once for a user, and of two items that say the same
// neither counts twice. Where a table was full and has lost something, G_HH may be no Gram matrix
// any more: an item whose pivot falls below a quarter of lambda is left out.
// Merge: counts are integers. Any grouping of workers comes to the same bytes, as long as no table
// is full; what is evicted depends on order, so a table belongs to its owner.
// Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data". Departures: (1) regression
// on the user's own items, (2) the kernel, (3) faded counts, (4) bounded tables.
#include "core/list/found.h"
#include "core/model/neighbours.h"

enum { DIAGONAL_KEY = 0, AHEAD = 8, PLACES = 256 };
#define PIVOT_LEAST 0.25 // of lambda

typedef struct config {
    double pairs, near, session_s, beyond, lambda, half_life_s;
} config;

static const mr_param params[] = {
    {"pairs", "", "newest events of a user that count as known; 0: off", offsetof(config, pairs), 0,
     0, MR_RECENT_MAX},
    {"near", "", "weight of each step that two events are apart", offsetof(config, near), 0.85,
     0.01, 1},
    {"session_s", "s", "time between two events after which half of their nearness is gone",
     offsetof(config, session_s), 1800, 1, 1e9},
    {"beyond", "", "nearness that no time takes away", offsetof(config, beyond), 0.2, 0, 1},
    {"lambda", "", "acts that doubt what an item says of another", offsetof(config, lambda), 10,
     1e-3, 1e6},
    {"half_life_s", "s", "time after which a pair counts half", offsetof(config, half_life_s),
     30 * 86400.0, 3600, 1e9},
    {0},
};

static const mr_family families[] = {
    {.name = "gram",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_CELLS,
     .version = 1,
     .row_bytes = mr_neighbours_bytes,
     .used = mr_neighbours_used,
     .index_bytes = MR_NEIGHBOURS_INDEX},
};

static bool on(const void *c)
{
    return ((const config *)c)->pairs >= 1;
}

static int64_t half_life_ms(const config *c)
{
    return (int64_t)(c->half_life_s * 1000.0);
}

// How near two events are, so many places and so long apart: a sum of products of positive definite
// kernels, 1 for an event and itself.
static double nearness(const config *c, double by_place, int64_t time_ms, uint32_t other_s)
{
    const int64_t gap_ms = time_ms - 1000 * (int64_t)other_s;
    const double gap_s = (double)(gap_ms < 0 ? -gap_ms : gap_ms) / 1000.0;
    return by_place * (c->beyond + (1.0 - c->beyond) * mr_exp2(-gap_s / c->session_s));
}

// ---- learning

static void count_act(const mr_instance *self, const mr_view *view, const mr_signal *signal,
                      mr_deltas *deltas)
{
    const config *c = self->config;
    const uint32_t f = self->family_first, pairs = (uint32_t)c->pairs;
    const mr_user *user = mr_view_user(view, signal->user);
    const mr_decay_weight now = mr_decay_weight_of(signal->time_ms, half_life_ms(c));
    const double weight = (double)signal->weight;
    double by_place = 1.0;
    mr_deltas_cell(deltas, f, signal->item,
                   (mr_cell){DIAGONAL_KEY, mr_decay_units_of(now, weight), now.era});
    for (uint32_t p = 0; p < user->recent_count && p < pairs; p++) {
        const uint64_t key = user->recent[p].item_key;
        const uint32_t other = mr_items_find(view->items, key);
        by_place *= c->near;
        if (other == MR_MAP_NONE || other == signal->item || mr_neighbours_earlier(user, p))
            continue;
        const int64_t units = mr_decay_units_of(
            now, weight * nearness(c, by_place, signal->time_ms, user->recent[p].time_s));
        mr_deltas_cell(deltas, f, other, (mr_cell){signal->item_key, units, now.era});
        mr_deltas_cell(deltas, f, signal->item, (mr_cell){key, units, now.era});
    }
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++)
        if (signals[s].kind == MR_SIGNAL_ACT && !signals[s].repeat)
            count_act(self, view, &signals[s], deltas);
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
        if (cells[i].key == DIAGONAL_KEY)
            t->total += units;
        else if (units > 0)
            mr_neighbours_add(t, cells[i].key, units);
    }
}

// ---- what a user knows, and how much each of it says

typedef struct known {
    uint32_t count;
    uint32_t slots[MR_RECENT_MAX];
    uint64_t keys[MR_RECENT_MAX];
    double units[MR_RECENT_MAX]; // of the item's row, in acts now
    double x[MR_RECENT_MAX];     // then q
    double a[MR_RECENT_MAX][MR_RECENT_MAX];
    uint8_t place[PLACES]; // open addressing by key: index + 1; 0: empty
} known;

static const mr_neighbours *row_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    return mr_items_row(view->items, self->family_first, slot);
}

// The index of a key among the known, or UINT32_MAX. With `add` it is put where it was not.
static uint32_t index_of(known *k, uint64_t key, uint32_t add)
{
    uint32_t i = (uint32_t)key % PLACES;
    while (k->place[i] != 0 && k->keys[k->place[i] - 1] != key)
        i = (i + 1) % PLACES;
    if (k->place[i] == 0 && add == UINT32_MAX)
        return UINT32_MAX;
    if (k->place[i] == 0)
        k->place[i] = (uint8_t)(add + 1);
    return k->place[i] - 1u;
}

static void gather(const mr_instance *self, const mr_view *view, const mr_user *user, known *k)
{
    const config *c = self->config;
    const mr_decay_time now = mr_decay_time_of(view->clock_ms, half_life_ms(c));
    double by_place = 1.0;
    memset(k->place, 0, sizeof k->place);
    k->count = 0;
    for (uint32_t p = 0; p < user->recent_count && p < (uint32_t)c->pairs; p++) {
        const uint64_t key = user->recent[p].item_key;
        const uint32_t slot = mr_items_find(view->items, key), n = k->count;
        by_place *= p > 0 ? c->near : 1.0;
        if (slot == MR_MAP_NONE || mr_neighbours_earlier(user, p))
            continue;
        const mr_neighbours *row = row_of(self, view, slot);
        const mr_decayed one = {.newest = 1, .era = row->era};
        mr_prefetch(row, sizeof *row);
        k->keys[n] = key;
        (void)index_of(k, key, n);
        k->slots[n] = slot;
        k->units[n] = mr_decayed_at(&one, now);
        k->x[k->count++] = nearness(c, by_place, view->clock_ms, user->recent[p].time_s);
    }
}

// A = G_HH + lambda I, lower triangle. What one of two tables has lost, the other may have.
static void fill(const mr_instance *self, const mr_view *view, known *k)
{
    const config *c = self->config;
    for (uint32_t i = 0; i < k->count; i++)
        memset(k->a[i], 0, k->count * sizeof k->a[i][0]);
    for (uint32_t i = 0; i < k->count; i++) {
        const mr_neighbours *row = row_of(self, view, k->slots[i]);
        k->a[i][i] = (double)row->total * k->units[i] + c->lambda;
        for (uint32_t n = 0; n < row->count; n++) {
            const uint32_t j = index_of(k, row->cells[n].key, UINT32_MAX);
            if (j == UINT32_MAX || j == i)
                continue;
            const double g = (double)row->cells[n].count * k->units[i];
            double *at = i > j ? &k->a[i][j] : &k->a[j][i];
            *at = g > *at ? g : *at;
        }
    }
}

// x <- A^-1 x by Cholesky, A in place; an item without a pivot is left out.
static void solve(known *k, double pivot_least)
{
    bool out[MR_RECENT_MAX] = {false};
    for (uint32_t i = 0; i < k->count; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = k->a[i][j];
            for (uint32_t l = 0; l < j; l++)
                sum -= k->a[i][l] * k->a[j][l];
            if (i == j) {
                out[i] = !(sum > pivot_least);
                k->a[i][i] = out[i] ? 0.0 : __builtin_sqrt(sum);
            } else {
                k->a[i][j] = out[j] ? 0.0 : sum / k->a[j][j];
            }
            if (i == j && out[i])
                memset(k->a[i], 0, i * sizeof k->a[i][0]);
        }
    for (uint32_t i = 0; i < k->count; i++) {
        for (uint32_t l = 0; l < i; l++)
            k->x[i] -= k->a[i][l] * k->x[l];
        k->x[i] = out[i] ? 0.0 : k->x[i] / k->a[i][i];
    }
    for (uint32_t i = k->count; i-- > 0;) {
        for (uint32_t l = i + 1; l < k->count; l++)
            k->x[i] -= k->a[l][i] * k->x[l];
        k->x[i] = out[i] ? 0.0 : k->x[i] / k->a[i][i];
    }
}

static void add_row(const mr_view *view, const mr_neighbours *row, float weight, mr_sums *sums)
{
    for (uint32_t i = 0; i < row->count; i++) {
        if (i + AHEAD < row->count)
            mr_map_prefetch(&view->items->slots.map, row->cells[i + AHEAD].key);
        const uint32_t slot = mr_items_find(view->items, row->cells[i].key);
        if (slot != MR_MAP_NONE)
            mr_sums_add(sums, slot, weight * (float)row->cells[i].count);
    }
}

// The scores of one user, kept in the arena for the calls that follow.
static const mr_sums *scores_of(const mr_instance *self, const mr_view *view, uint32_t user,
                                mr_arena *arena)
{
    mr_memo *memo = &view->memos[self - view->instances];
    if (memo->user == user)
        return memo->data;
    mr_sums *sums = mr_arena_push(arena, sizeof *sums);
    const size_t mark = arena->used;
    known *k = mr_arena_push(arena, sizeof *k);
    mr_sums_clear(sums);
    gather(self, view, mr_view_user(view, user), k);
    fill(self, view, k);
    solve(k, PIVOT_LEAST * ((const config *)self->config)->lambda);
    for (uint32_t i = 0; i < k->count; i++)
        if (k->x[i] != 0.0)
            add_row(view, row_of(self, view, k->slots[i]), (float)(k->x[i] * k->units[i]), sums);
    for (uint32_t i = 0; i < sums->count; i++) // nobody is expected less than not at all
        sums->scores[i] = sums->scores[i] > 0.0f ? sums->scores[i] : 0.0f;
    arena->used = mark;
    *memo = (mr_memo){user, sums};
    return sums;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    for (uint32_t u = 0; u < user_count; u++)
        mr_sums_choose(scores_of(self, view, users[u], arena), &filters[u], arena, &found[u]);
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    mr_sums_read(scores_of(self, view, user, arena), slots, slot_count, out);
}

static const mr_column columns[] = {{"ease", MR_SCALE_COUNT}};

const mr_model mr_model_ease = {
    .state = {.name = "ease",
              .source = "Steck, Embarrassingly Shallow Autoencoders for Sparse Data",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = 1,
              .observe = observe,
              .cells = cells_of_signal,
              .apply_cells = apply_cells},
    .on = on,
    .columns = columns,
    .candidates = candidates,
    .score = score,
};
