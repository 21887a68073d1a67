// SPDX-License-Identifier: Apache-2.0
// engine_own: the families of rows that the engine writes itself: what an item is, and the blend.
#include "core/engine_state.h"

typedef struct item_delta {
    int64_t last_ms;
    uint32_t events, reserved;
} item_delta;

static uint32_t item_bytes(const void *config)
{
    const mr_items_config *c = config;
    return ((uint32_t)sizeof(mr_item) + (uint32_t)c->id_bytes_max + 7u) & ~7u;
}

static uint32_t item_used(const void *config, const void *row)
{
    (void)config;
    return (uint32_t)offsetof(mr_item, id) + ((const mr_item *)row)->id_size;
}

static void item_init(const void *config, uint64_t key, uint64_t seed, void *row)
{
    (void)config, (void)seed;
    mr_item *item = row;
    item->key = key;
    item->available = 1;
}

static void item_combine(const void *config, void *into, const void *from)
{
    (void)config;
    item_delta *sum = into;
    const item_delta *more = from;
    sum->events += more->events;
    sum->last_ms = more->last_ms > sum->last_ms ? more->last_ms : sum->last_ms;
}

static void item_observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                         uint32_t signal_count, mr_deltas *deltas, mr_arena *arena)
{
    (void)view, (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        if (signals[s].kind != MR_SIGNAL_ACT)
            continue;
        const item_delta one = {signals[s].time_ms, 1, 0};
        item_combine(NULL, mr_deltas_at(deltas, self->family_first, signals[s].item), &one);
    }
}

static void item_apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                       const void *delta, void *row)
{
    (void)self, (void)view, (void)family, (void)key;
    mr_item *item = row;
    const item_delta *sum = delta;
    item->events += sum->events;
    item->last_ms = sum->last_ms > item->last_ms ? sum->last_ms : item->last_ms;
}

uint32_t mr_engine_item_acts(const void *delta)
{
    return ((const item_delta *)delta)->events;
}

static const mr_family item_families[] = {
    {.name = "item",
     .key = MR_KEY_ITEM,
     .delta = MR_DELTA_SUM,
     .version = 1,
     .row_bytes = item_bytes,
     .delta_size = sizeof(item_delta),
     .init = item_init,
     .used = item_used,
     .combine = item_combine},
};

const mr_state mr_engine_items = {.name = "items",
                                  .config_bytes = sizeof(mr_items_config),
                                  .families = item_families,
                                  .family_count = 1,
                                  .observe = item_observe,
                                  .apply = item_apply};

static uint32_t blend_columns_max(const void *config)
{
    (void)config;
    return MR_ENGINE_COLUMNS_MAX;
}

static void blend_column_init(const void *config, uint64_t key, uint64_t seed, void *row)
{
    (void)key, (void)seed;
    mr_blend_column_init(row, (uint32_t)((const mr_blend_config *)config)->columns);
}

static const mr_family blend_families[] = {
    {.name = "column",
     .key = MR_KEY_NAMED,
     .version = 1,
     .row_size = (sizeof(mr_blend_column) + 7u) & ~7u,
     .rows_max = blend_columns_max,
     .init = blend_column_init},
    {.name = "gate",
     .key = MR_KEY_NAMED,
     .version = 1,
     .row_size = (sizeof(mr_blend_gate) + 7u) & ~7u},
};

const mr_state mr_engine_blend = {.name = "blend",
                                  .config_bytes = sizeof(mr_blend_config),
                                  .families = blend_families,
                                  .family_count = 2};
