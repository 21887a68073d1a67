// SPDX-License-Identifier: Apache-2.0
#include "core/model/neighbours.h"

#include "core/base/place.h"
#include "core/list/found.h"

enum { ERA_BITS = 16 }; // of decay.h: an era weighs 2^16 of the one before it

uint32_t mr_neighbours_bytes(const void *config)
{
    (void)config;
    return sizeof(mr_neighbours);
}

uint32_t mr_neighbours_used(const void *config, const void *row)
{
    (void)config;
    return (uint32_t)offsetof(mr_neighbours, cells) +
           ((const mr_neighbours *)row)->count * (uint32_t)sizeof(mr_neighbour);
}

void mr_neighbours_shift(mr_neighbours *row, int64_t era)
{
    if (era <= row->era)
        return;
    const int64_t bits = (era - row->era) * ERA_BITS > 63 ? 63 : (era - row->era) * ERA_BITS;
    row->total >>= bits;
    for (uint32_t i = 0; i < row->count; i++)
        row->cells[i].count >>= bits;
    row->era = era;
}

int64_t mr_neighbours_units(const mr_neighbours *row, const mr_cell *cell)
{
    const int64_t bits = (row->era - cell->era) * ERA_BITS;
    return bits > 63 ? 0 : cell->value >> bits;
}

static uint32_t smallest(const mr_neighbours *row)
{
    uint32_t least = 0;
    for (uint32_t i = 1; i < row->count; i++)
        if (row->cells[i].count < row->cells[least].count ||
            (row->cells[i].count == row->cells[least].count &&
             row->cells[i].key > row->cells[least].key))
            least = i;
    return least;
}

void mr_neighbours_add(mr_neighbours *row, uint64_t key, int64_t units)
{
    for (uint32_t i = 0; i < row->count; i++)
        if (row->cells[i].key == key) {
            row->cells[i].count += units;
            return;
        }
    const uint32_t at = row->count < MR_NEIGHBOURS_MAX ? row->count++ : smallest(row);
    row->cells[at] = (mr_neighbour){key, units};
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
