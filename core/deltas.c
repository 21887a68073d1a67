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

size_t mr_delta_set_bytes(uint32_t stride, uint32_t rows_max)
{
    return mr_arena_round(table_size(rows_max) * sizeof(uint32_t)) +
           2 * mr_arena_round(rows_max * sizeof(uint32_t)) + mr_arena_round(rows_max) +
           mr_arena_round((size_t)rows_max * stride);
}

void mr_delta_set_init(mr_delta_set *set, uint32_t stride, uint32_t rows_max, mr_arena *arena)
{
    const uint32_t size = table_size(rows_max);
    *set = (mr_delta_set){.stride = stride, .max = rows_max, .mask = size - 1};
    set->table = mr_arena_push(arena, size * sizeof(uint32_t)); // zeroed memory: empty
    set->slots = mr_arena_push(arena, rows_max * sizeof(uint32_t));
    set->by_shard = mr_arena_push(arena, rows_max * sizeof(uint32_t));
    set->joined = mr_arena_push(arena, rows_max);
    set->payloads = mr_arena_push(arena, (size_t)rows_max * stride);
}

size_t mr_deltas_bytes(const mr_family_entry *families, uint32_t family_count,
                       const uint32_t *rows_max, uint32_t cells_max)
{
    size_t bytes = mr_arena_round(family_count * sizeof(mr_delta_set)) +
                   mr_arena_round(cells_max * sizeof(mr_cell_entry));
    for (uint32_t f = 0; f < family_count; f++)
        if (families[f].family->delta != MR_DELTA_NONE)
            bytes += mr_delta_set_bytes(payload_bytes(&families[f]), rows_max[f]);
    return bytes;
}

void mr_deltas_init(mr_deltas *deltas, const mr_family_entry *families, uint32_t family_count,
                    const uint32_t *rows_max, uint32_t cells_max, mr_arena *arena)
{
    *deltas =
        (mr_deltas){.families = families, .family_count = family_count, .cell_max = cells_max};
    deltas->sets = mr_arena_push(arena, family_count * sizeof(mr_delta_set));
    deltas->cells = mr_arena_push(arena, cells_max * sizeof(mr_cell_entry));
    for (uint32_t f = 0; f < family_count; f++) {
        deltas->sets[f] = (mr_delta_set){.stride = payload_bytes(&families[f])};
        if (families[f].family->delta != MR_DELTA_NONE)
            mr_delta_set_init(&deltas->sets[f], payload_bytes(&families[f]), rows_max[f], arena);
    }
}

static uint32_t place(const mr_delta_set *set, uint32_t slot)
{
    uint32_t i = (slot * 0x9e3779b1u) & set->mask;
    while (set->table[i] != 0 && set->slots[set->table[i] - 1] != slot)
        i = (i + 1) & set->mask;
    return i;
}

void mr_delta_set_clear(mr_delta_set *set)
{
    if (set->count * 8 > set->mask) {
        memset(set->table, 0, (set->mask + 1) * sizeof(uint32_t));
    } else {
        for (uint32_t i = set->count; i-- > 0;) // last in first out: probe runs stay whole
            set->table[place(set, set->slots[i])] = 0;
    }
    set->count = 0;
}

void mr_delta_set_cut(mr_delta_set *set)
{
    uint32_t next[MR_SHARDS] = {0};
    for (uint32_t i = 0; i < set->count; i++)
        next[set->slots[i] % MR_SHARDS] += !set->joined[i];
    set->shard_first[0] = 0;
    for (uint32_t s = 0; s < MR_SHARDS; s++) {
        set->shard_first[s + 1] = set->shard_first[s] + next[s];
        next[s] = set->shard_first[s];
    }
    for (uint32_t i = 0; i < set->count; i++)
        if (!set->joined[i])
            set->by_shard[next[set->slots[i] % MR_SHARDS]++] = i;
}

void mr_deltas_clear(mr_deltas *deltas)
{
    for (uint32_t f = 0; f < deltas->family_count; f++)
        if (deltas->families[f].family->delta != MR_DELTA_NONE)
            mr_delta_set_clear(&deltas->sets[f]);
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
        *row = (mr_cell_row){entry, entry, 1, {0, 0}};
    else {
        deltas->cells[row->last].next = entry;
        row->last = entry;
        row->count++;
    }
}

static bool cell_before(const mr_cell *a, const mr_cell *b)
{
    return a->key != b->key ? a->key < b->key : a->era < b->era;
}

static void sort_cells(mr_cell *cells, uint32_t count)
{
    for (uint32_t gap = count / 2; gap > 0; gap = gap == 2 ? 1 : (uint32_t)((uint64_t)gap * 5 / 11))
        for (uint32_t i = gap; i < count; i++) {
            const mr_cell cell = cells[i];
            uint32_t j = i;
            for (; j >= gap && cell_before(&cell, &cells[j - gap]); j -= gap)
                cells[j] = cells[j - gap];
            cells[j] = cell;
        }
}

uint32_t mr_cells_combine(mr_cell *cells, uint32_t count)
{
    uint32_t distinct = 0;
    sort_cells(cells, count);
    for (uint32_t i = 0; i < count; i++) {
        if (distinct > 0 && cells[distinct - 1].key == cells[i].key &&
            cells[distinct - 1].era == cells[i].era)
            cells[distinct - 1].value =
                (int64_t)((uint64_t)cells[distinct - 1].value + (uint64_t)cells[i].value);
        else
            cells[distinct++] = cells[i];
    }
    return distinct;
}
