// SPDX-License-Identifier: Apache-2.0
// engine_merge: the end of a round: deltas of a row are combined in order of (task, signal) and
// applied once. Rows are spread over jobs by slot; what a row becomes depends on no other row of
// the round.
#include "core/engine_state.h"

typedef struct merge {
    mr_engine *engine;
    mr_view view;
} merge;

static uint64_t key_of(const mr_engine *engine, const mr_family_entry *entry, uint32_t slot)
{
    return entry->family->key == MR_KEY_NAMED ? entry->named->slots.keys[slot]
                                              : engine->items.slots.keys[slot];
}

static void *row_of(const mr_engine *engine, const mr_family_entry *entry, uint32_t family,
                    uint32_t slot)
{
    return entry->family->key == MR_KEY_NAMED ? mr_part_row(&entry->named->part, slot)
                                              : mr_items_row(&engine->items, family, slot);
}

// The payload of the row in the first task that has one: where the others are added.
static void *first_payload(const mr_engine *engine, uint32_t family, uint32_t slot, uint32_t before)
{
    for (uint32_t t = 0; t < before; t++) {
        if (engine->work[t].epoch == NULL)
            continue;
        void *payload = mr_delta_set_find(&engine->work[t].deltas.sets[family], slot);
        if (payload != NULL)
            return payload;
    }
    return NULL;
}

// Marks the deltas of rows that an earlier task has too, and adds sums to that task's. Looked up
// once: what follows goes by the marks.
static void join_tasks(const mr_engine *engine, uint32_t family, uint32_t shard)
{
    const mr_family_entry *entry = &engine->families[family];
    for (uint32_t t = 1; t < engine->config.tasks; t++) {
        if (engine->work[t].epoch == NULL)
            continue;
        const mr_delta_set *set = &engine->work[t].deltas.sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->slots[i] % MR_SHARDS != shard)
                continue;
            void *first = first_payload(engine, family, set->slots[i], t);
            if (first == NULL)
                continue;
            set->joined[i] = 1;
            if (entry->family->delta == MR_DELTA_SUM)
                entry->family->combine(entry->instance->config, first,
                                       mr_delta_set_payload(set, i));
        }
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

static void apply_cells(const merge *m, uint32_t family, uint32_t slot, mr_cell *cells,
                        uint32_t count)
{
    const mr_family_entry *entry = &m->engine->families[family];
    uint32_t distinct = 0;
    sort_cells(cells, count);
    for (uint32_t i = 0; i < count; i++) {
        if (distinct > 0 && cells[distinct - 1].key == cells[i].key &&
            cells[distinct - 1].era == cells[i].era)
            cells[distinct - 1].value += cells[i].value;
        else
            cells[distinct++] = cells[i];
    }
    entry->instance->state->apply_cells(entry->instance, &m->view, entry->index_in_method,
                                        key_of(m->engine, entry, slot), cells, distinct,
                                        row_of(m->engine, entry, family, slot));
}

// Gathers the cells of a row over tasks in order; a row with very many is applied in pieces, cut at
// fixed counts, so that memory is bounded and bytes do not depend on it.
static void gather_cells(const merge *m, uint32_t family, uint32_t slot, uint32_t first_task,
                         mr_cell *cells)
{
    uint32_t count = 0;
    for (uint32_t t = first_task; t < m->engine->config.tasks; t++) {
        const mr_work *work = &m->engine->work[t];
        const mr_cell_row *row =
            work->epoch == NULL ? NULL : mr_delta_set_find(&work->deltas.sets[family], slot);
        for (uint32_t i = row == NULL ? UINT32_MAX : row->first; i != UINT32_MAX;
             i = work->deltas.cells[i].next) {
            cells[count++] = work->deltas.cells[i].cell;
            if (count == MR_CELLS_AT_ONCE) {
                apply_cells(m, family, slot, cells, count);
                count = 0;
            }
        }
    }
    if (count > 0)
        apply_cells(m, family, slot, cells, count);
}

static void merge_family(const merge *m, uint32_t family, uint32_t shard)
{
    mr_engine *engine = m->engine;
    const mr_family_entry *entry = &engine->families[family];
    const bool sums = entry->family->delta == MR_DELTA_SUM;
    join_tasks(engine, family, shard);
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        if (engine->work[t].epoch == NULL)
            continue;
        const mr_delta_set *set = &engine->work[t].deltas.sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            const uint32_t slot = set->slots[i];
            if (slot % MR_SHARDS != shard || set->joined[i])
                continue;
            if (sums)
                entry->instance->state->apply(
                    entry->instance, &m->view, entry->index_in_method, key_of(engine, entry, slot),
                    mr_delta_set_payload(set, i), row_of(engine, entry, family, slot));
            else
                gather_cells(m, family, slot, t, (mr_cell *)(void *)engine->shards[shard].base);
        }
    }
}

// Items first, then named rows: an item's apply may read named rows as of the round's start.
static void merge_items(void *arg, uint32_t shard)
{
    const merge *m = arg;
    for (uint32_t f = 0; f < m->engine->family_count; f++)
        if (m->engine->families[f].family->delta != MR_DELTA_NONE &&
            m->engine->families[f].family->key == MR_KEY_ITEM)
            merge_family(m, f, shard);
}

static void merge_named(void *arg, uint32_t shard)
{
    const merge *m = arg;
    for (uint32_t f = 0; f < m->engine->family_count; f++)
        if (m->engine->families[f].family->delta != MR_DELTA_NONE &&
            m->engine->families[f].family->key == MR_KEY_NAMED)
            merge_family(m, f, shard);
}

static void mark_changed(mr_engine *engine, const mr_view *view, uint32_t family)
{
    const mr_family_entry *entry = &engine->families[family];
    mr_part *part =
        entry->family->key == MR_KEY_NAMED ? &entry->named->part : &engine->parts[family];
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        if (engine->work[t].epoch == NULL)
            continue;
        const mr_delta_set *set = &engine->work[t].deltas.sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->joined[i])
                continue;
            mr_part_touch(part, set->slots[i]);
            if (entry->instance->state->changed != NULL)
                entry->instance->state->changed(entry->instance, view, entry->index_in_method,
                                                set->slots[i]);
        }
    }
}

void mr_engine_merge(mr_engine *engine)
{
    merge m = {engine, mr_engine_view(engine, 0)};
    mr_engine_run(engine, merge_items, &m, MR_SHARDS);
    mr_engine_run(engine, merge_named, &m, MR_SHARDS);
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            mark_changed(engine, &m.view, f);
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        if (engine->work[t].epoch != NULL) {
            for (uint32_t s = 0; s < engine->work[t].signal_count; s++)
                engine->acts += engine->work[t].signals[s].kind == MR_SIGNAL_ACT;
            mr_deltas_clear(&engine->work[t].deltas);
        }
}
