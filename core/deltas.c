// SPDX-License-Identifier: Apache-2.0
#include "core/deltas.h"

static uint32_t table_size(uint32_t rows_max)
{
    uint32_t size = 16;
    while (size < rows_max * 2)
        size *= 2;
    return size;
}

static uint32_t payload_bytes(const mr_family_entry *entry)
{
    if (entry->family->delta == MR_DELTA_CELLS)
        return sizeof(mr_cell_row);
    return entry->delta_bytes;
}

size_t mr_deltas_bytes(const mr_family_entry *families, uint32_t family_count, uint32_t rows_max,
                       uint32_t cells_max)
{
    size_t bytes = mr_arena_round(family_count * sizeof(mr_delta_set)) +
                   mr_arena_round(cells_max * sizeof(mr_cell_entry));
    for (uint32_t f = 0; f < family_count; f++)
        if (families[f].family->delta != MR_DELTA_NONE)
            bytes += mr_arena_round(table_size(rows_max) * sizeof(uint32_t)) +
                     mr_arena_round(rows_max * sizeof(uint32_t)) + mr_arena_round(rows_max) +
                     mr_arena_round((size_t)rows_max * payload_bytes(&families[f]));
    return bytes;
}

void mr_deltas_init(mr_deltas *deltas, const mr_family_entry *families, uint32_t family_count,
                    uint32_t rows_max, uint32_t cells_max, mr_arena *arena)
{
    *deltas =
        (mr_deltas){.families = families, .family_count = family_count, .cell_max = cells_max};
    deltas->sets = mr_arena_push(arena, family_count * sizeof(mr_delta_set));
    deltas->cells = mr_arena_push(arena, cells_max * sizeof(mr_cell_entry));
    for (uint32_t f = 0; f < family_count; f++) {
        mr_delta_set *set = &deltas->sets[f];
        *set = (mr_delta_set){.stride = payload_bytes(&families[f]), .max = rows_max};
        if (families[f].family->delta == MR_DELTA_NONE)
            continue;
        const uint32_t size = table_size(rows_max);
        set->table = mr_arena_push(arena, size * sizeof(uint32_t)); // zeroed memory: empty
        set->mask = size - 1;
        set->slots = mr_arena_push(arena, rows_max * sizeof(uint32_t));
        set->joined = mr_arena_push(arena, rows_max);
        set->payloads = mr_arena_push(arena, (size_t)rows_max * set->stride);
    }
}

static uint32_t place(const mr_delta_set *set, uint32_t slot)
{
    uint32_t i = (slot * 0x9e3779b1u) & set->mask;
    while (set->table[i] != 0 && set->slots[set->table[i] - 1] != slot)
        i = (i + 1) & set->mask;
    return i;
}

void mr_deltas_clear(mr_deltas *deltas)
{
    for (uint32_t f = 0; f < deltas->family_count; f++) {
        mr_delta_set *set = &deltas->sets[f];
        if (set->count * 8 > set->mask) {
            memset(set->table, 0, (set->mask + 1) * sizeof(uint32_t));
        } else {
            for (uint32_t i = set->count; i-- > 0;) // last in first out: probe runs stay whole
                set->table[place(set, set->slots[i])] = 0;
        }
        set->count = 0;
    }
    deltas->cell_count = 0;
}

void *mr_delta_set_find(const mr_delta_set *set, uint32_t slot)
{
    if (set->table == NULL)
        return NULL;
    const uint32_t index = set->table[place(set, slot)];
    return index == 0 ? NULL : mr_delta_set_payload(set, index - 1);
}

void *mr_delta_set_at(mr_delta_set *set, uint32_t slot, bool *added)
{
    const uint32_t i = place(set, slot);
    *added = set->table[i] == 0;
    if (*added) {
        MR_ASSERT(set->count < set->max);
        set->slots[set->count] = slot;
        set->joined[set->count] = 0;
        set->table[i] = ++set->count;
    }
    return mr_delta_set_payload(set, set->table[i] - 1);
}

void *mr_deltas_at(mr_deltas *deltas, uint32_t family, uint32_t slot)
{
    mr_delta_set *set = &deltas->sets[family];
    bool added;
    void *payload = mr_delta_set_at(set, slot, &added);
    if (added)
        memset(payload, 0, set->stride);
    return payload;
}

void mr_deltas_cell(mr_deltas *deltas, uint32_t family, uint32_t slot, mr_cell cell)
{
    MR_ASSERT(deltas->cell_count < deltas->cell_max);
    const uint32_t entry = deltas->cell_count++;
    deltas->cells[entry] = (mr_cell_entry){cell, UINT32_MAX, 0};
    bool added;
    mr_cell_row *row = mr_delta_set_at(&deltas->sets[family], slot, &added);
    if (added)
        *row = (mr_cell_row){entry, entry, 1};
    else {
        deltas->cells[row->last].next = entry;
        row->last = entry;
        row->count++;
    }
}
