// SPDX-License-Identifier: Apache-2.0
// engine_merge: the end of a round: deltas of a row are combined in order of (task, signal), then
// those that came from other workers in order of (task, offset), and applied once. Rows are spread
// over jobs by slot; what a row becomes depends on no other row of the round.
#include "core/engine_state.h"

typedef struct merge {
    mr_engine *engine;
    mr_view view;
    uint32_t sources; // deltas of how many sources there are: see source_of
} merge;

// Where deltas come from, in order: the tasks, then what each task received. NULL: nothing did.
static mr_deltas *source_of(const mr_engine *engine, uint32_t source)
{
    const uint32_t tasks = engine->config.tasks;
    mr_work *work = &engine->work[source < tasks ? source : source - tasks];
    if (work->epoch == NULL)
        return NULL;
    if (source < tasks)
        return &work->deltas;
    return work->epoch->received_count > 0 ? &work->received : NULL;
}

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

// The payload of the row in the first source that has one: where the others are added.
static void *first_payload(const mr_engine *engine, uint32_t family, uint32_t slot, uint32_t before)
{
    for (uint32_t s = 0; s < before; s++) {
        const mr_deltas *deltas = source_of(engine, s);
        if (deltas == NULL)
            continue;
        void *payload = mr_delta_set_find(&deltas->sets[family], slot);
        if (payload != NULL)
            return payload;
    }
    return NULL;
}

// Marks the deltas of rows that an earlier source has too, and adds sums to that one's. Looked up
// once: what follows goes by the marks.
static void join_sources(const merge *m, uint32_t family, uint32_t shard)
{
    const mr_family_entry *entry = &m->engine->families[family];
    for (uint32_t s = 1; s < m->sources; s++) {
        const mr_deltas *deltas = source_of(m->engine, s);
        if (deltas == NULL)
            continue;
        const mr_delta_set *set = &deltas->sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->slots[i] % MR_SHARDS != shard || set->joined[i])
                continue;
            void *first = first_payload(m->engine, family, set->slots[i], s);
            if (first == NULL)
                continue;
            set->joined[i] = 1;
            if (entry->family->delta == MR_DELTA_SUM)
                entry->family->combine(entry->instance->config, first,
                                       mr_delta_set_payload(set, i));
        }
    }
}

static void apply_cells(const merge *m, uint32_t family, uint32_t slot, mr_cell *cells,
                        uint32_t count)
{
    const mr_family_entry *entry = &m->engine->families[family];
    const uint32_t distinct = mr_cells_combine(cells, count);
    entry->instance->state->apply_cells(entry->instance, &m->view, entry->index_in_method,
                                        key_of(m->engine, entry, slot), cells, distinct,
                                        row_of(m->engine, entry, family, slot));
}

// Gathers the cells of a row over sources in order; a row with very many is applied in pieces, cut
// at fixed counts, so that memory is bounded and bytes do not depend on it.
static void gather_cells(const merge *m, uint32_t family, uint32_t slot, uint32_t first,
                         mr_cell *cells)
{
    uint32_t count = 0;
    for (uint32_t s = first; s < m->sources; s++) {
        const mr_deltas *deltas = source_of(m->engine, s);
        const mr_cell_row *row =
            deltas == NULL ? NULL : mr_delta_set_find(&deltas->sets[family], slot);
        for (uint32_t i = row == NULL ? UINT32_MAX : row->first; i != UINT32_MAX;
             i = deltas->cells[i].next) {
            cells[count++] = deltas->cells[i].cell;
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
    join_sources(m, family, shard);
    for (uint32_t s = 0; s < m->sources; s++) {
        const mr_deltas *deltas = source_of(engine, s);
        if (deltas == NULL)
            continue;
        const mr_delta_set *set = &deltas->sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            const uint32_t slot = set->slots[i];
            if (slot % MR_SHARDS != shard || set->joined[i])
                continue;
            if (sums)
                entry->instance->state->apply(
                    entry->instance, &m->view, entry->index_in_method, key_of(engine, entry, slot),
                    mr_delta_set_payload(set, i), row_of(engine, entry, family, slot));
            else
                gather_cells(m, family, slot, s, (mr_cell *)(void *)engine->shards[shard].base);
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

static void mark_changed(const merge *m, uint32_t family)
{
    mr_engine *engine = m->engine;
    const mr_family_entry *entry = &engine->families[family];
    mr_part *part =
        entry->family->key == MR_KEY_NAMED ? &entry->named->part : &engine->parts[family];
    for (uint32_t s = 0; s < m->sources; s++) {
        const mr_deltas *deltas = source_of(engine, s);
        if (deltas == NULL)
            continue;
        const mr_delta_set *set = &deltas->sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->joined[i])
                continue;
            mr_part_touch(part, set->slots[i]);
            if (family == engine->items.base)
                engine->acts += mr_engine_item_acts(mr_delta_set_payload(set, i));
            if (entry->instance->state->changed != NULL)
                entry->instance->state->changed(entry->instance, &m->view, entry->index_in_method,
                                                set->slots[i]);
        }
    }
}

void mr_engine_merge(mr_engine *engine)
{
    bool received = false;
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        received |= engine->work[t].epoch != NULL && engine->work[t].epoch->received_count > 0;
    if (received)
        mr_engine_receive(engine);
    if (engine->apart)
        mr_engine_send(engine);
    merge m = {engine, mr_engine_view(engine, 0), engine->config.tasks * (received ? 2 : 1)};
    mr_engine_run(engine, merge_items, &m, MR_SHARDS);
    mr_engine_run(engine, merge_named, &m, MR_SHARDS);
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            mark_changed(&m, f);
    for (uint32_t s = 0; s < m.sources; s++)
        if (source_of(engine, s) != NULL)
            mr_deltas_clear(source_of(engine, s));
}
