// SPDX-License-Identifier: Apache-2.0
// Users in blocks, items in tiles: S = U V^T is computed tile by tile and read while it is in the cache.
// Each user has a pool of candidates and a floor: a score at or above the floor enters the pool.
//
// Why the lists do not depend on sgemm
// Let s be an item's score by the fixed-order kernel and s^ that by sgemm. Both are sums of the same d
// products, so each is within e = gamma_d |u| |v|max of the true value, gamma_d = d eps / (1 - d eps),
// whatever the order and with or without fused multiply-add: |s^ - s| <= 2e.
// 1. Suppose k eligible items have values >= t, each value being the item's s or s^. Then k items have
//    s >= t - 2e, so an item of the true list, which beats or ties the k-th of them, has s >= t - 2e
//    and s^ >= t - 4e.
// 2. So with a floor of t - 4e for any such t, no item of the true list is ever left out or dropped.
// 3. At the end the pool is scored by the kernel and sorted by (score, key): the first k are the list.
// Nothing of sgemm is left in the result. The floor is a float: a quarter of e more covers its rounding,
// because e is at least 16 units in the last place of any score.
//
// Where the floors come from
// - Start: the first tile's scores are folded into groups, one maximum each. Maxima are different items,
//   so the k-th largest of them is a t, after adding to k the items of the tile that may not be listed.
//   No pass over the tile is wasted on filling pools with its first k items.
// - A pool that is full keeps what is above the k-th largest value in it. Where that drops too little,
//   because many items score alike, the pool is scored by the kernel, and only the k best are kept.
#include "core/list/topk.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"

enum {
    USERS = 64,   // of a block
    TILE = 1024,  // items; USERS x TILE floats stay in the second-level cache
    POOL_MIN = 256,
};

typedef struct entry {
    float score; // by sgemm or by the kernel
    uint32_t slot;
} entry;

typedef struct ranked {
    float score;
    uint32_t slot;
    uint64_t key;
} ranked;

typedef struct pool { // of one user
    const float *vector;
    const mr_topk_list *list;
    entry *entries; // pool_size of them
    float floor, margin;
    uint32_t count;
    uint32_t seen_at; // of list->seen: all before it are below the tile
} pool;

typedef struct scan {
    const mr_topk_items *items;
    const mr_vec *vec;
    uint32_t k, pool_size;
    pool pools[USERS];
    float *scores;    // USERS x TILE
    uint32_t *found;  // TILE
    uint32_t *slots;  // pool_size
    float *values;    // max(TILE, pool_size)
    ranked *order[2]; // pool_size each
} scan;

static uint32_t pool_size_of(uint32_t k)
{
    return 3 * k > POOL_MIN ? 3 * k : POOL_MIN;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Lays out the scratch memory; memory NULL: only counts it.
static size_t lay_out(scan **out, uint32_t k, void *memory)
{
    const uint32_t size = pool_size_of(k);
    mr_arena arena;
    scan *s = NULL;
    size_t bytes = mr_arena_round(sizeof *s) + mr_arena_round(USERS * TILE * sizeof(float)) +
                   mr_arena_round(TILE * sizeof(uint32_t)) + mr_arena_round(size * sizeof(uint32_t)) +
                   mr_arena_round(max_u32(TILE, size) * sizeof(float)) +
                   2 * mr_arena_round(size * sizeof(ranked)) +
                   USERS * mr_arena_round(size * sizeof(entry));
    if (memory == NULL)
        return bytes;
    mr_arena_init(&arena, memory, bytes);
    s = mr_arena_push(&arena, sizeof *s);
    s->k = k;
    s->pool_size = size;
    s->scores = mr_arena_push(&arena, USERS * TILE * sizeof(float));
    s->found = mr_arena_push(&arena, TILE * sizeof(uint32_t));
    s->slots = mr_arena_push(&arena, size * sizeof(uint32_t));
    s->values = mr_arena_push(&arena, max_u32(TILE, size) * sizeof(float));
    for (int i = 0; i < 2; i++)
        s->order[i] = mr_arena_push(&arena, size * sizeof(ranked));
    for (uint32_t i = 0; i < USERS; i++)
        s->pools[i].entries = mr_arena_push(&arena, size * sizeof(entry));
    *out = s;
    return bytes;
}

size_t mr_topk_bytes(uint32_t k)
{
    MR_ASSERT(k > 0 && k <= MR_TOPK_MAX);
    return lay_out(NULL, k, NULL);
}

// Square of the norm in double: exact products, so only the sum rounds.
static double norm(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum) * (1 + 0x1p-40);
}

static float round_up(double x)
{
    const float nearest = (float)x;
    return (double)nearest >= x ? nearest : nearest + (nearest * FLT_EPSILON + FLT_MIN);
}

float mr_topk_norm_max(const float *rows, uint32_t count, uint32_t stride)
{
    double largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double n = norm(rows + (size_t)i * stride, stride);
        MR_ASSERT(n <= (double)FLT_MAX); // also not NaN
        largest = n > largest ? n : largest;
    }
    return round_up(largest);
}

// The value at place k (from 1) of count values in descending order; the values change places.
static float kth_largest(float *x, uint32_t count, uint32_t k)
{
    uint32_t low = 0, high = count - 1;
    const uint32_t place = k - 1;
    while (low < high) {
        const float a = x[low], b = x[low + (high - low) / 2], c = x[high];
        const float pivot = a > b ? (b > c ? b : (a > c ? c : a)) : (a > c ? a : (b > c ? c : b));
        uint32_t i = low, j = high;
        for (;; i++, j--) { // Hoare's: stops on equal values, so many of them stay balanced
            while (x[i] > pivot)
                i++;
            while (x[j] < pivot)
                j--;
            if (i >= j)
                break;
            const float swap = x[i];
            x[i] = x[j];
            x[j] = swap;
        }
        if (place <= j)
            high = j;
        else
            low = j + 1;
    }
    return x[place];
}

static bool before(const ranked *a, const ranked *b)
{
    return a->score > b->score || (a->score == b->score && a->key < b->key);
}

// Merge sort from runs of 8: n log n at worst, and where it stands is the same on every machine.
static ranked *sort_ranked(ranked *x, ranked *spare, uint32_t count)
{
    for (uint32_t first = 0; first < count; first += 8) {
        const uint32_t end = first + 8 < count ? first + 8 : count;
        for (uint32_t i = first + 1; i < end; i++) {
            const ranked r = x[i];
            uint32_t j = i;
            for (; j > first && before(&r, &x[j - 1]); j--)
                x[j] = x[j - 1];
            x[j] = r;
        }
    }
    for (uint32_t width = 8; width < count; width *= 2) {
        for (uint32_t first = 0; first < count; first += 2 * width) {
            const uint32_t middle = first + width < count ? first + width : count;
            const uint32_t end = middle + width < count ? middle + width : count;
            uint32_t i = first, j = middle;
            for (uint32_t at = first; at < end; at++)
                spare[at] = i < middle && (j == end || !before(&x[j], &x[i])) ? x[i++] : x[j++];
        }
        ranked *swap = x;
        x = spare;
        spare = swap;
    }
    return x;
}

static void raise_floor(pool *p, float t)
{
    const float floor = t - p->margin;
    if (floor > p->floor)
        p->floor = floor;
}

// Drops what is below the floor that the pool itself gives.
static void drop_low(const scan *s, pool *p)
{
    if (p->count < s->k)
        return;
    for (uint32_t i = 0; i < p->count; i++)
        s->values[i] = p->entries[i].score;
    raise_floor(p, kth_largest(s->values, p->count, s->k));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        p->entries[kept] = p->entries[i];
        kept += p->entries[i].score >= p->floor;
    }
    p->count = kept;
}

// The pool by the kernel's scores, best first.
static const ranked *rank_pool(const scan *s, pool *p)
{
    const mr_topk_items *items = s->items;
    for (uint32_t i = 0; i < p->count; i++)
        s->slots[i] = p->entries[i].slot;
    s->vec->dot_rows(p->vector, items->rows, s->slots, p->count, items->stride, s->values);
    for (uint32_t i = 0; i < p->count; i++)
        s->order[0][i] = (ranked){s->values[i], s->slots[i], items->keys[s->slots[i]]};
    return sort_ranked(s->order[0], s->order[1], p->count);
}

static void make_room(const scan *s, pool *p)
{
    drop_low(s, p);
    if (p->count <= s->k + (s->pool_size - s->k) / 2)
        return;
    // Most of the pool scores alike: the order of keys decides, which takes the true scores.
    const ranked *order = rank_pool(s, p);
    p->count = s->k;
    for (uint32_t i = 0; i < s->k; i++)
        p->entries[i] = (entry){order[i].score, order[i].slot};
    raise_floor(p, order[s->k - 1].score);
}

static bool shown(const mr_topk_items *items, uint32_t slot)
{
    return items->shown == NULL || (items->shown[slot / 64] >> (slot % 64) & 1) != 0;
}

// Slots of [first, end) that the user may not be shown, those counted twice that are so for two reasons.
static uint32_t count_hidden(const scan *s, const pool *p, uint32_t end)
{
    uint32_t hidden = 0;
    if (s->items->shown != NULL)
        for (uint32_t slot = 0; slot < end; slot++)
            hidden += !shown(s->items, slot);
    for (uint32_t i = 0; i < p->list->seen_count && p->list->seen[i] < end; i++)
        hidden++;
    return hidden;
}

// A first floor from the first `count` scores: see the head of the file.
static void start_floor(const scan *s, pool *p, const float *scores, uint32_t count)
{
    const uint32_t place = s->k + count_hidden(s, p, count);
    uint32_t groups = count;
    if (place > count)
        return;
    while (groups % 2 == 0 && groups / 2 >= 2 * place)
        groups /= 2;
    memcpy(s->values, scores, groups * sizeof *scores);
    for (uint32_t first = groups; first < count; first += groups)
        for (uint32_t i = 0; i < groups; i++)
            s->values[i] = s->values[i] > scores[first + i] ? s->values[i] : scores[first + i];
    raise_floor(p, kth_largest(s->values, groups, place));
}

// Takes from a tile's scores what is at or above the floor and may be listed.
static void gather(const scan *s, pool *p, const float *scores, uint32_t first, uint32_t count)
{
    const mr_topk_list *list = p->list;
    const uint32_t found = s->vec->above(scores, count, p->floor, s->found);
    for (uint32_t i = 0; i < found; i++) {
        const uint32_t slot = first + s->found[i];
        const float score = scores[s->found[i]];
        while (p->seen_at < list->seen_count && list->seen[p->seen_at] < slot)
            p->seen_at++;
        if (score < p->floor || !shown(s->items, slot) ||
            (p->seen_at < list->seen_count && list->seen[p->seen_at] == slot))
            continue;
        if (p->count == s->pool_size) {
            make_room(s, p);
            if (score < p->floor)
                continue;
        }
        p->entries[p->count++] = (entry){score, slot};
    }
}

static void finish(const scan *s, pool *p, mr_topk_list *list)
{
    drop_low(s, p);
    const ranked *order = rank_pool(s, p);
    list->count = p->count < s->k ? p->count : s->k;
    for (uint32_t i = 0; i < list->count; i++) {
        list->slots[i] = order[i].slot;
        list->scores[i] = order[i].score;
    }
}

static void begin(const scan *s, pool *p, const float *vector, const mr_topk_list *list)
{
    const uint32_t d = s->items->stride;
    const double gamma = d * 0x1p-24 / (1 - d * 0x1p-24);
    const double reach = norm(vector, d) * (double)s->items->norm_max;
    MR_ASSERT(reach < (double)FLT_MAX / 4); // no partial sum overflows; false for a NaN
    p->vector = vector;
    p->list = list;
    p->floor = -INFINITY;
    // The last term: products that underflow, each by less than the smallest normal number.
    p->margin = round_up(4.25 * gamma * reach + 8.0 * d * (double)FLT_MIN);
    p->count = p->seen_at = 0;
}

static void scan_block(scan *s, const float *users, uint32_t user_count, mr_topk_list *lists)
{
    const mr_topk_items *items = s->items;
    const uint32_t d = items->stride;
    for (uint32_t u = 0; u < user_count; u++)
        begin(s, &s->pools[u], users + (size_t)u * d, &lists[u]);
    for (uint32_t first = 0; first < items->count; first += TILE) {
        const uint32_t count = items->count - first < TILE ? items->count - first : TILE;
        mr_sgemm_nt(user_count, count, d, users, d, items->rows + (size_t)first * d, d, s->scores,
                    TILE);
        for (uint32_t u = 0; u < user_count; u++) {
            if (first == 0)
                start_floor(s, &s->pools[u], s->scores + (size_t)u * TILE, count);
            gather(s, &s->pools[u], s->scores + (size_t)u * TILE, first, count);
        }
    }
    for (uint32_t u = 0; u < user_count; u++)
        finish(s, &s->pools[u], &lists[u]);
}

void mr_topk_scan(const mr_topk_items *items, const float *users, uint32_t user_count, uint32_t k,
                  mr_topk_list *lists, const mr_vec *vec, void *scratch)
{
    scan *s;
    MR_ASSERT(k > 0 && k <= MR_TOPK_MAX);
    MR_ASSERT(items->stride > 0 && items->stride % 16 == 0);
    lay_out(&s, k, scratch);
    s->items = items;
    s->vec = vec;
    for (uint32_t first = 0; first < user_count; first += USERS) {
        const uint32_t count = user_count - first < USERS ? user_count - first : USERS;
        scan_block(s, users + (size_t)first * items->stride, count, lists + first);
    }
}
