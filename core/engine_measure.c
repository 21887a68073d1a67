// SPDX-License-Identifier: Apache-2.0
// engine_measure: numbers about the engine. No part of the state.
#include "core/engine_state.h"

// Gini coefficient of how often items were exposed: 0 all alike, 1 one item only. The formula sums
// over items in order of exposure; counts above 65,535 are taken as that, by counting sort.
static double gini(const mr_engine *engine, uint64_t *exposed_items)
{
    const mr_items *items = &engine->items;
    double sum = 0, weighted = 0;
    *exposed_items = 0;
    for (uint32_t i = 0; i < items->order_count; i++)
        engine->sorted[i] = (mr_sorted){engine->exposed[items->order[i]], i, 0};
    mr_sort(engine->sorted, items->order_count);
    for (uint32_t i = 0; i < items->order_count; i++) {
        const double count = (double)engine->sorted[i].key;
        *exposed_items += engine->sorted[i].key > 0;
        sum += count;
        weighted += (2.0 * (i + 1) - items->order_count - 1) * count;
    }
    return sum > 0 ? weighted / (items->order_count * sum) : 0;
}

static double column_weight(const mr_blend *blend, uint32_t column)
{
    double sum = 0;
    for (int f = 0; f < MR_FEATURES; f++)
        sum += (double)blend->columns[column]->weight[f];
    return sum;
}

void mr_engine_sums(const mr_engine *engine, mr_engine_metrics *metrics)
{
    const uint32_t n = engine->columns.count;
    metrics->column_count = n;
    for (uint32_t c = 0; c < n; c++)
        metrics->names[c] = engine->columns.of[c].column->name;
    metrics->names[n] = "blend";
    memcpy(metrics->all, engine->sums.of[MR_PROTOCOL_ALL], sizeof metrics->all);
    memcpy(metrics->fresh, engine->sums.of[MR_PROTOCOL_NEW], sizeof metrics->fresh);
    metrics->served = engine->sums.served;
}

// What the methods tell about themselves. What does not fit is left out.
static void ask_methods(const mr_engine *engine, mr_engine_metrics *metrics)
{
    const mr_view view = mr_engine_view(engine, 0);
    for (uint32_t i = 0; i < engine->instance_count; i++) {
        const mr_instance *instance = &engine->instances[i];
        mr_measure told[MR_ENGINE_MEASURES_MAX];
        if (instance->state->measure == NULL)
            continue;
        const uint32_t room = MR_ENGINE_MEASURES_MAX - metrics->measure_count;
        const uint32_t count = instance->state->measure(instance, &view, told, room);
        MR_ASSERT(count <= room);
        for (uint32_t n = 0; n < count; n++)
            metrics->measures[metrics->measure_count++] =
                (mr_engine_measured){instance->state->name, told[n].name, told[n].value};
    }
}

static void add_costs(const mr_costs *costs, mr_cost *by_instance, mr_engine_metrics *metrics)
{
    for (uint32_t i = 0; i < MR_INSTANCES_MAX; i++) {
        by_instance[i].learn_ns += costs->of[i].learn_ns;
        by_instance[i].rank_ns += costs->of[i].rank_ns;
    }
    metrics->rankings += costs->rankings;
}

static void read_costs(const mr_engine *engine, mr_engine_metrics *metrics)
{
    mr_cost by_instance[MR_INSTANCES_MAX] = {{0}}, *all = &metrics->costs[metrics->column_count];
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        add_costs(&engine->work[t].costs, by_instance, metrics);
    for (uint32_t s = 0; s < MR_SHARDS; s++)
        add_costs(&engine->shard_costs[s], by_instance, metrics);
    for (uint32_t c = 0; c < metrics->column_count; c++)
        metrics->costs[c] = by_instance[engine->columns.of[c].instance - engine->instances];
    for (uint32_t i = 0; i < engine->instance_count; i++) {
        all->learn_ns += by_instance[i].learn_ns;
        all->rank_ns += by_instance[i].rank_ns;
    }
}

void mr_engine_measure(mr_engine *engine, mr_engine_metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
    mr_engine_sums(engine, metrics);
    read_costs(engine, metrics);
    for (uint32_t c = 0; c < metrics->column_count; c++)
        metrics->weights[c] = column_weight(&engine->blend, c);
    for (uint32_t s = 0; s < MR_SEGMENTS; s++) {
        const uint32_t arm = mr_blend_arm(&engine->blend, &engine->columns, s);
        metrics->arm[s] = metrics->names[arm];
    }
    metrics->probes = engine->blend.gate->probes;
    metrics->lists_made = engine->lists_made;
    metrics->lists_published = engine->lists_published;
    metrics->items = engine->items.slots.map.count;
    metrics->guests = engine->guest_count;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        metrics->deltas_dropped += engine->work[t].received_dropped;
        metrics->limited += engine->tasks[t].taken ? engine->tasks[t].counters.limited : 0;
        metrics->pending += engine->tasks[t].taken ? engine->tasks[t].counters.pending : 0;
    }
    metrics->items_expired = engine->items_expired;
    metrics->users_forgotten = engine->users_forgotten;
    metrics->users_cached = engine->users.slots.map.count;
    metrics->exposure_gini = gini(engine, &metrics->exposed_items);
    ask_methods(engine, metrics);
}

enum { ROW_BYTES = 64 }; // a part's key and header, and an envelope around them

static size_t user_row_bytes(const mr_users *users)
{
    return users->stride + ROW_BYTES + 8u * (users->part_count + 1) + MR_ROW_KEY_MAX;
}

size_t mr_engine_open_bytes(const mr_engine *engine, uint32_t lists)
{
    const mr_users *users = &engine->users;
    // A list changes its user's row, which may not have changed yet.
    size_t bytes = ((size_t)users->dirty_count + lists) * user_row_bytes(users);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_part *part = &engine->parts[f], *named = &engine->named[f].part;
        bytes += (size_t)part->dirty_count * (part->row_bytes + ROW_BYTES);
        bytes += (size_t)named->dirty_count * (named->row_bytes + ROW_BYTES);
    }
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        bytes +=
            engine->tasks[t].admission.dirty_count * (size_t)(MR_ADMISSION_PAGE_BYTES + ROW_BYTES);
    return bytes;
}

size_t mr_engine_most_bytes(const mr_engine *engine, uint64_t events, uint64_t lists)
{
    size_t bytes = (events + lists) * user_row_bytes(&engine->users);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_named *named = &engine->named[f];
        bytes += events * (engine->parts[f].row_bytes + ROW_BYTES);
        bytes += (size_t)named->slots.max * (named->part.row_bytes + ROW_BYTES);
    }
    // An event changes a page of its task's filter, and each task may clear a split.
    const uint64_t pages =
        (uint64_t)engine->config.tasks * mr_admission_pages(&engine->tasks[0].admission);
    const uint64_t changed = events + pages / MR_ADMISSION_SPLITS;
    return bytes + (changed < pages ? changed : pages) * (MR_ADMISSION_PAGE_BYTES + ROW_BYTES);
}

void mr_engine_metrics_reset(mr_engine *engine)
{
    memset(&engine->sums, 0, sizeof engine->sums);
}
