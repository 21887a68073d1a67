// SPDX-License-Identifier: Apache-2.0
#include "core/model/neighbours.h"

#include "core/base/place.h"
#include "core/list/found.h"

enum { ERA_BITS = 16 }; // of decay.h: an era weighs 2^16 of the one before it

uint32_t mr_neighbours_bytes(const void *config)
{
    (void)config;
    return sizeof(mr_neighbours) - MR_NEIGHBOURS_INDEX;
}

uint32_t mr_neighbours_used(const void *config, const void *row)
{
    (void)config;
    return (uint32_t)offsetof(mr_neighbours, cells) +
           ((const mr_neighbours *)row)->count * (uint32_t)sizeof(mr_neighbour);
}

// ---- the index

typedef uint64_t word;
enum { WORD = sizeof(word), WORDS = MR_NEIGHBOURS_MAX / WORD };

static uint8_t tag_of(uint64_t key)
{
    return (uint8_t)(key >> 56);
}

// Four steps for each power of two; count >= 0.
static uint8_t level_of(int64_t count)
{
    if (count < 4)
        return (uint8_t)count;
    const uint32_t log = 63 - (uint32_t)__builtin_clzll((uint64_t)count);
    return (uint8_t)(4 * log + ((uint64_t)count >> (log - 2)) - 8);
}

// Bit 8 i + 7 is set where byte i is `byte`.
static word equal_bytes(const uint8_t *bytes, uint8_t byte)
{
    const word low = 0x7f7f7f7f7f7f7f7full;
    word x;
    memcpy(&x, bytes, WORD);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    x ^= 0x0101010101010101ull * byte;
    return ~(((x & low) + low) | x | low);
}

static uint32_t first_of(word bytes)
{
    return (uint32_t)__builtin_ctzll(bytes) / 8;
}

static void note(mr_neighbours *row, uint32_t at)
{
    row->tags[at] = tag_of(row->cells[at].key);
    row->levels[at] = level_of(row->cells[at].count);
}

static void make_index(mr_neighbours *row)
{
    for (uint32_t i = 0; i < row->count; i++)
        note(row, i);
    row->indexed = row->count;
}

static uint32_t find(const mr_neighbours *row, uint64_t key) // row->count: there is none
{
    for (uint32_t w = 0; w < WORDS; w++) {
        word same = equal_bytes(row->tags + w * WORD, tag_of(key));
        for (; same != 0; same &= same - 1) {
            const uint32_t at = w * WORD + first_of(same);
            if (at < row->count && row->cells[at].key == key)
                return at;
        }
    }
    return row->count;
}

static bool is_below(const mr_neighbour *a, const mr_neighbour *b)
{
    return a->count < b->count || (a->count == b->count && a->key > b->key);
}

static uint32_t smallest(const mr_neighbours *row) // of a full one
{
    uint32_t least = MR_NEIGHBOURS_MAX;
    uint8_t level = UINT8_MAX;
    for (uint32_t i = 0; i < MR_NEIGHBOURS_MAX; i++)
        level = row->levels[i] < level ? row->levels[i] : level;
    for (uint32_t w = 0; w < WORDS; w++) {
        word same = equal_bytes(row->levels + w * WORD, level);
        for (; same != 0; same &= same - 1) {
            const uint32_t at = w * WORD + first_of(same);
            if (least == MR_NEIGHBOURS_MAX || is_below(&row->cells[at], &row->cells[least]))
                least = at;
        }
    }
    return least;
}

// ---- counts

void mr_neighbours_shift(mr_neighbours *row, int64_t era)
{
    if (era <= row->era)
        return;
    const int64_t bits = (era - row->era) * ERA_BITS > 63 ? 63 : (era - row->era) * ERA_BITS;
    row->total >>= bits;
    for (uint32_t i = 0; i < row->count; i++)
        row->cells[i].count >>= bits;
    row->era = era;
    make_index(row);
}

int64_t mr_neighbours_units(const mr_neighbours *row, const mr_cell *cell)
{
    const int64_t bits = (row->era - cell->era) * ERA_BITS;
    return bits > 63 ? 0 : cell->value >> bits;
}

void mr_neighbours_add(mr_neighbours *row, uint64_t key, int64_t units)
{
    if (row->indexed != row->count)
        make_index(row);
    uint32_t at = find(row, key);
    if (at < row->count) {
        row->cells[at].count += units;
    } else {
        at = row->count < MR_NEIGHBOURS_MAX ? row->count++ : smallest(row);
        row->cells[at] = (mr_neighbour){key, units};
        row->indexed = row->count;
    }
    note(row, at);
}

bool mr_neighbours_earlier(const mr_user *user, uint32_t place)
{
    for (uint32_t p = 0; p < place; p++)
        if (user->recent[p].item_key == user->recent[place].item_key)
            return true;
    return false;
}

// ---- sums

static uint32_t place_of(const mr_sums *sums, uint32_t slot)
{
    return mr_place_of(sums->table, MR_SUMS_BITS, sums->slots, slot);
}

_Static_assert(2 * MR_SUMS_MAX < 1 << MR_SUMS_BITS && MR_SUMS_MAX < UINT16_MAX, "it never fills");

void mr_sums_clear(mr_sums *sums)
{
    memset(sums->table, 0, sizeof sums->table);
    sums->count = 0;
}

void mr_sums_add(mr_sums *sums, uint32_t slot, float value)
{
    const uint32_t at = place_of(sums, slot);
    if (sums->table[at] == 0) {
        sums->slots[sums->count] = slot;
        sums->scores[sums->count] = 0.0f;
        sums->table[at] = (uint16_t)++sums->count;
    }
    sums->scores[sums->table[at] - 1] += value;
}

float mr_sums_of(const mr_sums *sums, uint32_t slot)
{
    const uint32_t at = place_of(sums, slot);
    return sums->table[at] == 0 ? 0.0f : sums->scores[sums->table[at] - 1];
}

void mr_sums_read(const mr_sums *sums, const uint32_t *slots, uint32_t count, float *out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = mr_sums_of(sums, slots[i]);
}

void mr_sums_choose(const mr_sums *sums, const mr_filter *filter, mr_arena *arena, mr_found *found)
{
    const size_t mark = arena->used;
    uint32_t *slots = mr_arena_push(arena, sums->count * sizeof *slots), count = 0;
    float *scores = mr_arena_push(arena, sums->count * sizeof *scores);
    for (uint32_t i = 0; i < sums->count; i++) {
        slots[count] = sums->slots[i];
        scores[count] = sums->scores[i];
        count += mr_filter_admits(filter, sums->slots[i]);
    }
    mr_found_choose(found, filter->items, slots, scores, count, arena);
    arena->used = mark;
}
