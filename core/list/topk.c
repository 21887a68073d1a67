// SPDX-License-Identifier: Apache-2.0
// Users in blocks, items in tiles: scores are computed tile by tile from the image and read while
// they are in the cache. Each user has a pool of candidates and a floor: a score at or above the
// floor enters the pool.
//
// The image
// A row x of norm |x| becomes integers c and a unit m = 2^15 |x| / FULL, so that x is nearly m c
// 2^-15. Each element of c is off by 0.51 at most (0.5, and the rounding of a division), so with
// D = 0.52 sqrt(d) / FULL the image is off by D |x| at most, whatever its direction. Users' vectors
// are coded alike. |c| <= FULL (1 + D), so by Cauchy-Schwarz no partial sum of integers leaves 31
// bits. A norm below TINY has the image 0.
//
// Why the lists do not depend on the image
// Let s be an item's score by the fixed-order kernel and s^ that by the image, r = |u| |v|max.
// - The kernel's sum of d products is within gamma_d r of the true value, gamma_d = d eps / (1 - d
//   eps), whatever the order.
// - The images' product is within (2 D + D^2) r of it, and computing it from the exact integer
//   rounds four times: 4 eps (1 + D)^2 r.
// - A norm below TINY loses its whole product: less than TINY times the other norm.
// So |s^ - s| <= e, the sum of these.
// 1. Suppose k eligible items have values >= t, each value being the item's s or s^. Then k items
//    have s >= t - e, so an item of the true list, which beats or ties the k-th of them, has s >= t
//    - e and s^ >= t - 2e.
// 2. So with a floor of t - 2e for any such t, no item of the true list is ever left out or
//    dropped.
// 3. At the end the pool is scored by the kernel and sorted by (score, key): the first k are the
//    list. Nothing of the image is left in the result. The floor is a float: a twentieth of e more
//    covers its rounding, because e is above 500 units in the last place of any score.
//
// Where the floors come from
// - Start: the first tile's scores are folded into groups, one maximum each. Maxima are different
// items,
//   so the k-th largest of them is a t, after adding to k the items of the tile that may not be
//   listed. No pass over the tile is wasted on filling pools with its first k items.
// - After 2, 4, 8, ... tiles: a t is sought among the values of the pool, by bisection; any value
// that k
//   of them reach will do, so it is never needed to know the k-th one.
// - A pool that is full drops what is below its floor. Where that drops too little, because many
// items
//   score alike, the pool is scored by the kernel, and only the k best are kept.
#include "core/list/topk.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/sort.h"

enum {
    USERS = 64,        // of a block
    TILE = 1024,       // items; USERS x TILE floats stay in the second-level cache
    WIDTH = TILE + 16, // of the tile in memory: its rows shall not all fall into one set of a cache
    POOL_MIN = 256,
    SPARE = 16, // mr_vec.above writes so far beyond what it finds
};

#define FULL 32000.0 // the norm of codes, a little below 2^15
#define TINY 1e-25   // a norm below it counts as none; far above what units can say exactly

typedef struct pool { // candidates of one user
    const float *vector;
    const mr_topk_list *list;
    float *scores; // by the image or by the kernel; pool_size of them
    uint32_t *slots;
    float floor, margin, reach;
    uint32_t count;
    uint32_t seen_at; // of list->seen: all before it are below the tile
} pool;

typedef struct scan {
    const mr_topk_items *items;
    const mr_vec *vec;
    uint32_t k, pool_size;
    pool pools[USERS];
    int16_t *codes;     // USERS x stride: the users' vectors
    float *units;       // USERS
    float *tile;        // USERS x WIDTH scores
    uint32_t *found;    // TILE + SPARE
    float *values;      // max(TILE, pool_size)
    uint64_t *order[2]; // pool_size
    mr_sorted *ties;    // pool_size
} scan;

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t pool_size_of(uint32_t k)
{
    return max_u32(POOL_MIN, (4 * k + 15) & ~15u);
}

size_t mr_topk_bytes(uint32_t k)
{
    MR_ASSERT(k > 0 && k <= MR_TOPK_MAX);
    const size_t size = pool_size_of(k);
    return mr_arena_round(sizeof(scan)) + mr_arena_round(USERS * WIDTH * sizeof(float)) +
           mr_arena_round(USERS * MR_TOPK_STRIDE_MAX * sizeof(int16_t)) +
           mr_arena_round(USERS * sizeof(float)) +
           mr_arena_round((TILE + SPARE) * sizeof(uint32_t)) +
           mr_arena_round(max_u32(TILE, (uint32_t)size) * sizeof(float)) +
           2 * mr_arena_round(size * sizeof(uint64_t)) + mr_arena_round(size * sizeof(mr_sorted)) +
           2 * USERS * mr_arena_round(size * sizeof(float));
}

static scan *lay_out(uint32_t k, void *memory)
{
    const size_t size = pool_size_of(k);
    mr_arena arena;
    mr_arena_init(&arena, memory, mr_topk_bytes(k));
    scan *s = mr_arena_push(&arena, sizeof *s);
    s->k = k;
    s->pool_size = (uint32_t)size;
    s->codes = mr_arena_push(&arena, USERS * MR_TOPK_STRIDE_MAX * sizeof(int16_t));
    s->units = mr_arena_push(&arena, USERS * sizeof(float));
    s->tile = mr_arena_push(&arena, USERS * WIDTH * sizeof(float));
    s->found = mr_arena_push(&arena, (TILE + SPARE) * sizeof(uint32_t));
    s->values = mr_arena_push(&arena, max_u32(TILE, (uint32_t)size) * sizeof(float));
    for (int i = 0; i < 2; i++)
        s->order[i] = mr_arena_push(&arena, size * sizeof(uint64_t));
    s->ties = mr_arena_push(&arena, size * sizeof(mr_sorted));
    for (uint32_t i = 0; i < USERS; i++) {
        s->pools[i].scores = mr_arena_push(&arena, size * sizeof(float));
        s->pools[i].slots = mr_arena_push(&arena, size * sizeof(uint32_t));
    }
    return s;
}

// In double the products are exact and only the sum rounds; the factor covers that.
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

// ---- the image

static uint32_t rows_of_panels(uint32_t count)
{
    return (count + MR_VEC_PANEL - 1) / MR_VEC_PANEL * MR_VEC_PANEL;
}

size_t mr_topk_image_bytes(uint32_t count, uint32_t stride)
{
    const size_t rows = rows_of_panels(count);
    return mr_arena_round(rows * stride * sizeof(int16_t)) + mr_arena_round(rows * sizeof(float));
}

mr_topk_image mr_topk_image_at(void *memory, uint32_t count, uint32_t stride)
{
    const size_t rows = rows_of_panels(count);
    uint8_t *units = (uint8_t *)memory + mr_arena_round(rows * stride * sizeof(int16_t));
    return (mr_topk_image){memory, (float *)(void *)units};
}

// Writes the codes of a vector of this norm and returns what one of them is worth; 0: as good as
// nothing.
static float code(const float *x, uint32_t n, double length, int16_t *codes)
{
    if (length < TINY) {
        memset(codes, 0, n * sizeof *codes);
        return 0.0f;
    }
    const float step = (float)(length / FULL);
    for (uint32_t j = 0; j < n; j++) {
        const float c = x[j] / step;
        codes[j] = (int16_t)(c + __builtin_copysignf(0.5f, c));
    }
    return step;
}

float mr_topk_image_put(const mr_topk_image *image, uint32_t slot, const float *row,
                        uint32_t stride)
{
    MR_ASSERT(stride % 16 == 0 && stride <= MR_TOPK_STRIDE_MAX);
    int16_t codes[MR_TOPK_STRIDE_MAX];
    const double length = norm(row, stride);
    MR_ASSERT(length <= (double)FLT_MAX); // also not NaN
    image->units[slot] = code(row, stride, length, codes) * 0x1p15f;
    int16_t *to = image->codes + (size_t)(slot / MR_VEC_PANEL) * MR_VEC_PANEL * stride +
                  slot % MR_VEC_PANEL * 2;
    for (uint32_t j = 0; j < stride; j += 2, to += 2 * MR_VEC_PANEL)
        memcpy(to, codes + j, 2 * sizeof *codes);
    return round_up(length);
}

// ---- floors

// A t that at least `place` of the values reach, and not many more; -INFINITY where none was found.
static float reached_by(const scan *s, const pool *p, const float *values, uint32_t count,
                        uint32_t place)
{
    float low = p->floor > -p->reach ? p->floor : -p->reach, high = p->reach, t = -INFINITY;
    for (int step = 0; step < 24; step++) {
        const float middle = low + (high - low) * 0.5f;
        const uint32_t reached = s->vec->count(values, count, middle);
        if (reached >= place)
            t = low = middle;
        else
            high = middle;
        if (reached >= place && reached <= place + place / 16)
            break;
    }
    return t;
}

static void raise_floor(pool *p, float t)
{
    const float floor = t - p->margin;
    if (floor > p->floor)
        p->floor = floor;
}

static bool shown(const mr_topk_items *items, uint32_t slot)
{
    return items->shown == NULL || (items->shown[slot / 64] >> (slot % 64) & 1) != 0;
}

// Slots below `end` that the user may not be shown; those that are so for two reasons count twice.
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

// The first floor, from the scores of the first tile: see the head of the file.
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
    raise_floor(p, reached_by(s, p, s->values, groups, place));
}

// ---- pools

// Raises the floor to what the pool itself gives.
static void tighten(const scan *s, pool *p)
{
    if (p->count >= s->k)
        raise_floor(p, reached_by(s, p, p->scores, p->count, s->k));
}

static void drop_low(pool *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const float score = p->scores[i];
        p->scores[kept] = score;
        p->slots[kept] = p->slots[i];
        kept += score >= p->floor;
    }
    p->count = kept;
}

// Sorts by the upper 32 bits: least significant byte first, counted in one sweep; a byte that all
// have in common is skipped. Returns the one of the two arrays that has the result.
static uint64_t *sort_upper(uint64_t *x, uint64_t *spare, uint32_t count)
{
    uint32_t starts[4][256] = {{0}};
    for (uint32_t i = 0; i < count; i++)
        for (int byte = 0; byte < 4; byte++)
            starts[byte][x[i] >> (32 + 8 * byte) & 255]++;
    for (int byte = 0; byte < 4; byte++) {
        const int shift = 32 + 8 * byte;
        uint32_t sum = 0;
        if (count == 0 || starts[byte][x[0] >> shift & 255] == count)
            continue;
        for (int value = 0; value < 256; value++) {
            const uint32_t here = starts[byte][value];
            starts[byte][value] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++)
            spare[starts[byte][x[i] >> shift & 255]++] = x[i];
        uint64_t *swap = x;
        x = spare;
        spare = swap;
    }
    return x;
}

// Puts order[first .. end), whose scores are equal, into the order of their keys.
static void sort_ties(const scan *s, const pool *p, uint64_t *order, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const uint32_t at = (uint32_t)order[i];
        s->ties[i - first] = (mr_sorted){.key = s->items->keys[p->slots[at]], .value = at};
    }
    mr_sort(s->ties, end - first);
    for (uint32_t i = first; i < end; i++)
        order[i] = (order[i] & ~(uint64_t)UINT32_MAX) | s->ties[i - first].value;
}

// Scores the pool by the kernel. The result's low halves are places in it, best first; the scores
// stand in s->values.
static const uint64_t *rank_pool(const scan *s, const pool *p)
{
    s->vec->dot_rows(p->vector, s->items->rows, p->slots, p->count, s->items->stride, s->values);
    for (uint32_t i = 0; i < p->count; i++)
        s->order[0][i] = (uint64_t)mr_sort_descending(s->values[i]) << 32 | i;
    uint64_t *order = sort_upper(s->order[0], s->order[1], p->count);
    for (uint32_t first = 0, end; first < p->count; first = end) {
        for (end = first + 1; end < p->count && order[end] >> 32 == order[first] >> 32; end++)
            ;
        if (end - first > 1)
            sort_ties(s, p, order, first, end);
    }
    return order;
}

// Keeps the k best of the pool by the kernel's scores.
static void keep_best(const scan *s, pool *p)
{
    const uint64_t *order = rank_pool(s, p);
    for (uint32_t i = 0; i < s->k; i++)
        s->ties[i].value = p->slots[(uint32_t)order[i]];
    for (uint32_t i = 0; i < s->k; i++) {
        p->slots[i] = s->ties[i].value;
        p->scores[i] = s->values[(uint32_t)order[i]];
    }
    p->count = s->k;
    raise_floor(p, p->scores[s->k - 1]);
}

static void make_room(const scan *s, pool *p)
{
    tighten(s, p);
    drop_low(p);
    if (p->count > s->k + (s->pool_size - s->k) / 2)
        keep_best(s, p); // most of the pool scores alike: keys decide, which takes the true scores
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
        if (!shown(s->items, slot) ||
            (p->seen_at < list->seen_count && list->seen[p->seen_at] == slot))
            continue;
        if (p->count == s->pool_size)
            make_room(s, p);
        p->scores[p->count] = score;
        p->slots[p->count] = slot;
        p->count += score >= p->floor; // it may have risen since the tile was searched
    }
}

static void finish(const scan *s, pool *p, mr_topk_list *list)
{
    tighten(s, p);
    drop_low(p);
    const uint64_t *order = rank_pool(s, p);
    list->count = p->count < s->k ? p->count : s->k;
    for (uint32_t i = 0; i < list->count; i++) {
        const uint32_t at = (uint32_t)order[i];
        list->slots[i] = p->slots[at];
        list->scores[i] = s->values[at];
    }
}

// ---- blocks of users

static void begin(const scan *s, pool *p, const float *vector, const mr_topk_list *list)
{
    const uint32_t d = s->items->stride;
    const double gamma = d * 0x1p-24 / (1 - d * 0x1p-24), off = 0.52 * sqrt(d) / FULL;
    const double reach = norm(vector, d) * (double)s->items->norm_max;
    MR_ASSERT(reach < (double)FLT_MAX / 4); // no partial sum overflows; false for a NaN
    p->vector = vector;
    p->list = list;
    p->floor = -INFINITY;
    const double tiny = TINY * ((double)s->items->norm_max + norm(vector, d));
    const double e = (gamma + off * (2 + off) + 5 * 0x1p-24) * reach + tiny;
    // The last term: products that underflow, each by less than the smallest normal number.
    p->margin = round_up(2.1 * e + 8.0 * d * (double)FLT_MIN);
    p->reach = round_up(reach);
    p->count = p->seen_at = 0;
}

static void code_user(const scan *s, uint32_t user, const float *vector)
{
    const uint32_t d = s->items->stride;
    s->units[user] = code(vector, d, norm(vector, d), s->codes + (size_t)user * d) * 0x1p15f;
}

static void scan_block(scan *s, const float *users, uint32_t user_count, mr_topk_list *lists)
{
    const mr_topk_items *items = s->items;
    const uint32_t d = items->stride;
    for (uint32_t u = 0; u < user_count; u++) {
        begin(s, &s->pools[u], users + (size_t)u * d, &lists[u]);
        code_user(s, u, users + (size_t)u * d);
    }
    for (uint32_t first = 0, tiles = 1; first < items->count; first += TILE, tiles++) {
        const uint32_t count = items->count - first < TILE ? items->count - first : TILE;
        const bool power_of_2 = (tiles & (tiles - 1)) == 0;
        s->vec->panels(items->image.codes + (size_t)first * d, items->image.units + first, count,
                       s->codes, s->units, user_count, d, s->tile, WIDTH);
        for (uint32_t u = 0; u < user_count; u++) {
            pool *p = &s->pools[u];
            const float *scores = s->tile + (size_t)u * WIDTH;
            if (tiles == 1)
                start_floor(s, p, scores, count);
            gather(s, p, scores, first, count);
            if (tiles > 1 && power_of_2)
                tighten(s, p);
        }
    }
    for (uint32_t u = 0; u < user_count; u++)
        finish(s, &s->pools[u], &lists[u]);
}

void mr_topk_scan(const mr_topk_items *items, const float *users, uint32_t user_count, uint32_t k,
                  mr_topk_list *lists, const mr_vec *vec, void *scratch)
{
    MR_ASSERT(k > 0 && k <= MR_TOPK_MAX);
    MR_ASSERT(items->stride > 0 && items->stride % 16 == 0);
    MR_ASSERT(items->stride <= MR_TOPK_STRIDE_MAX);
    scan *s = lay_out(k, scratch);
    s->items = items;
    s->vec = vec;
    for (uint32_t first = 0; first < user_count; first += USERS) {
        const uint32_t count = user_count - first < USERS ? user_count - first : USERS;
        scan_block(s, users + (size_t)first * items->stride, count, lists + first);
    }
}
