// SPDX-License-Identifier: Apache-2.0
// engine_tell: what readers outside are told of items, at most so often of each.
#include "core/engine_state.h"

static bool tells(const mr_engine *engine)
{
    return engine->config.item_told_ms > 0;
}

void mr_engine_note_told(mr_engine *engine, uint32_t slot)
{
    if (tells(engine))
        engine->untold[slot / 64] |= 1ull << (slot % 64);
}

static mr_told begin(const mr_engine *engine, uint32_t slot, uint32_t shard)
{
    const mr_item *item = mr_items_at(&engine->items, slot);
    return (mr_told){.item = mr_bytes_of(item->id, item->id_size),
                     .shard = shard,
                     .time_ms = engine->tasks[shard].clock_ms};
}

void mr_engine_forget_told(mr_engine *engine, uint32_t slot, const mr_close_sink *sink)
{
    if (!tells(engine))
        return;
    const uint32_t shard = mr_engine_shard(engine, engine->items.slots.keys[slot]);
    mr_told told = begin(engine, slot, shard);
    told.gone = true;
    if (sink != NULL && sink->told != NULL && engine->tasks[shard].taken)
        sink->told(sink->context, &told);
    engine->untold[slot / 64] &= ~(1ull << (slot % 64));
    engine->told_ms[slot] = 0;
}

static mr_told told_of(const mr_engine *engine, uint32_t slot, uint32_t shard)
{
    const mr_view view = mr_engine_view(engine, shard);
    mr_told told = begin(engine, slot, shard);
    told.available = mr_items_at(&engine->items, slot)->available != 0;
    for (uint32_t i = 0; i < engine->instance_count; i++)
        if (engine->instances[i].state->tell != NULL)
            engine->instances[i].state->tell(&engine->instances[i], &view, slot, &told);
    return told;
}

bool mr_engine_tell_at(const mr_engine *engine, uint32_t place, mr_told *told)
{
    const mr_items *items = &engine->items;
    MR_ASSERT(place < items->slots.used);
    if (!mr_items_live(items, place) || items->guest[place] != 0)
        return false;
    *told = told_of(engine, place, mr_engine_shard(engine, items->slots.keys[place]));
    return true;
}

bool mr_engine_tell_of(const mr_engine *engine, mr_bytes item, mr_told *told)
{
    const uint32_t slot = mr_items_find(&engine->items, mr_item_key(item));
    return slot != MR_MAP_NONE && mr_engine_tell_at(engine, slot, told);
}

uint32_t mr_engine_item_places(const mr_engine *engine)
{
    return engine->items.slots.used;
}

static void look_at(mr_engine *engine, uint32_t slot, const mr_close_sink *sink)
{
    const mr_items *items = &engine->items;
    const uint64_t bit = 1ull << (slot % 64);
    const uint32_t shard =
        mr_items_live(items, slot) ? mr_engine_shard(engine, items->slots.keys[slot]) : 0;
    if (!mr_items_live(items, slot) || !engine->tasks[shard].taken) {
        engine->untold[slot / 64] &= ~bit; // its new owner's affair
        return;
    }
    const int64_t clock = engine->tasks[shard].clock_ms;
    if (engine->told_ms[slot] != 0 && clock - engine->told_ms[slot] < engine->config.item_told_ms)
        return;
    engine->untold[slot / 64] &= ~bit;
    engine->told_ms[slot] = clock;
    const mr_told told = told_of(engine, slot, shard);
    sink->told(sink->context, &told);
}

void mr_engine_tell(mr_engine *engine, const mr_close_sink *sink)
{
    if (!tells(engine) || sink->told == NULL)
        return;
    for (uint32_t word = 0; word <= engine->items.slots.used / 64; word++)
        for (uint64_t bits = engine->untold[word]; bits != 0; bits &= bits - 1)
            look_at(engine, word * 64 + (uint32_t)__builtin_ctzll(bits), sink);
}
