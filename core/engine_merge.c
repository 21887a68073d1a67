// SPDX-License-Identifier: Apache-2.0
// engine_merge: the end of a round: deltas of a row are combined in order of (task, signal), then
// those that came from other workers in order of (task, offset), and applied once. Rows are spread
// over jobs by slot; what a row becomes depends on no other row of the round.
#include "core/engine_state.h"

enum { AHEAD = 3 }; // rows that are asked for before they are needed: they lie far apart

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

static void prefetch_row(const mr_engine *engine, const mr_family_entry *entry, uint32_t family,
                         uint32_t slot)
{
    const mr_part *part =
        entry->family->key == MR_KEY_NAMED ? &entry->named->part : &engine->parts[family];
    const uint32_t from = entry->family->index_bytes > 0 ? part->row_bytes : 0;
    const uint8_t *row = mr_part_row(part, slot);
    __builtin_prefetch(row);
    mr_prefetch(row + from, part->stride - from);
}

// ---- rows of several sources
//
// While a family is merged, heads[shard][slot / MR_SHARDS] names a row's payload: for sums that of
// the first source that has the row, for cells that of the last one so far. Found by slot, without
// a search; cleared as the rows are applied.

typedef struct span { // the payloads of one source's set that a shard has
    const mr_delta_set *set;
    const uint32_t *at, *end;
} span;

static span span_of(const mr_engine *engine, uint32_t source, uint32_t family, uint32_t shard)
{
    const mr_deltas *deltas = source_of(engine, source);
    if (deltas == NULL)
        return (span){NULL, NULL, NULL};
    const mr_delta_set *set = &deltas->sets[family];
    return (span){set, set->by_shard + set->shard_first[shard],
                  set->by_shard + set->shard_first[shard + 1]};
}

static mr_delta_place *head_of(const mr_engine *engine, uint32_t shard, uint32_t slot)
{
    return &engine->heads[(size_t)shard * engine->heads_each + slot / MR_SHARDS];
}

static void *payload_at(const mr_engine *engine, uint32_t family, mr_delta_place place)
{
    return mr_delta_set_payload(&source_of(engine, place.source - 1)->sets[family], place.index);
}

// Marks the deltas of rows that an earlier source has too; sums are added to the first one's, cells
// are chained.
static void join_sources(const merge *m, uint32_t family, uint32_t shard)
{
    const mr_family_entry *entry = &m->engine->families[family];
    const bool sums = entry->family->delta == MR_DELTA_SUM;
    for (uint32_t s = 0; s < m->sources; s++) {
        const span rows = span_of(m->engine, s, family, shard);
        for (const uint32_t *i = rows.at; i < rows.end; i++) {
            mr_delta_place *head = head_of(m->engine, shard, rows.set->slots[*i]);
            const mr_delta_place here = {s + 1, *i};
            if (head->source == 0) {
                *head = here;
                continue;
            }
            void *before = payload_at(m->engine, family, *head);
            rows.set->joined[*i] = 1;
            if (sums) {
                mr_family_combine(entry->family, entry->instance->config, before,
                                  mr_delta_set_payload(rows.set, *i));
            } else {
                ((mr_cell_row *)before)->next = here;
                *head = here;
            }
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
static void gather_cells(const merge *m, uint32_t family, uint32_t slot, mr_delta_place place,
                         mr_cell *cells)
{
    uint32_t count = 0;
    while (place.source != 0) {
        const mr_cell_row *row = payload_at(m->engine, family, place);
        const mr_cell_entry *entries = source_of(m->engine, place.source - 1)->cells;
        for (uint32_t i = row->first; i != UINT32_MAX; i = entries[i].next) {
            cells[count++] = entries[i].cell;
            if (count == MR_CELLS_AT_ONCE) {
                apply_cells(m, family, slot, cells, count);
                count = 0;
            }
        }
        place = row->next;
    }
    if (count > 0)
        apply_cells(m, family, slot, cells, count);
}

// What a family's method has taken since `begun`.
static void count_learning(const merge *m, uint32_t family, uint32_t shard, uint64_t begun)
{
    mr_engine *engine = m->engine;
    const mr_instance *instance = engine->families[family].instance;
    if (m->view.costs != NULL)
        engine->shard_costs[shard].of[instance - engine->instances].learn_ns +=
            mr_costs_now(m->view.costs) - begun;
}

static void merge_family(const merge *m, uint32_t family, uint32_t shard)
{
    mr_engine *engine = m->engine;
    const mr_family_entry *entry = &engine->families[family];
    const bool sums = entry->family->delta == MR_DELTA_SUM;
    mr_cell *cells = (mr_cell *)(void *)engine->shards[shard].base;
    const uint64_t begun = mr_costs_now(m->view.costs);
    join_sources(m, family, shard);
    for (uint32_t s = 0; s < m->sources; s++) {
        const span rows = span_of(engine, s, family, shard);
        for (const uint32_t *i = rows.at; i < rows.end; i++) {
            const uint32_t slot = rows.set->slots[*i];
            if (rows.end - i > AHEAD)
                prefetch_row(engine, entry, family, rows.set->slots[i[AHEAD]]);
            if (rows.set->joined[*i])
                continue;
            *head_of(engine, shard, slot) = (mr_delta_place){0, 0};
            if (sums)
                entry->instance->state->apply(
                    entry->instance, &m->view, entry->index_in_method, key_of(engine, entry, slot),
                    mr_delta_set_payload(rows.set, *i), row_of(engine, entry, family, slot));
            else
                gather_cells(m, family, slot, (mr_delta_place){s + 1, *i}, cells);
        }
    }
    count_learning(m, family, shard, begun);
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
    const uint64_t begun = mr_costs_now(m->view.costs);
    for (uint32_t s = 0; s < m->sources; s++) {
        const mr_deltas *deltas = source_of(engine, s);
        if (deltas == NULL)
            continue;
        const mr_delta_set *set = &deltas->sets[family];
        for (uint32_t i = 0; i < set->count; i++) {
            if (i + AHEAD < set->count)
                prefetch_row(engine, entry, family, set->slots[i + AHEAD]);
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
    count_learning(m, family, 0, begun);
}

static void cut_source(const merge *m, uint32_t source)
{
    mr_deltas *deltas = source_of(m->engine, source);
    for (uint32_t f = 0; deltas != NULL && f < m->engine->family_count; f++)
        if (m->engine->families[f].family->delta != MR_DELTA_NONE)
            mr_delta_set_cut(&deltas->sets[f]);
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
    for (uint32_t s = 0; s < m.sources; s++)
        cut_source(&m, s);
    mr_engine_run(engine, merge_items, &m, MR_SHARDS);
    mr_engine_run(engine, merge_named, &m, MR_SHARDS);
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->delta != MR_DELTA_NONE)
            mark_changed(&m, f);
    for (uint32_t s = 0; s < m.sources; s++)
        if (source_of(engine, s) != NULL)
            mr_deltas_clear(source_of(engine, s));
}
