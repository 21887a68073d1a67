// SPDX-License-Identifier: Apache-2.0
// engine_view: the read copy of shards that are not taken.
//
// A row of the view is what its owner's commit wrote, and nothing here changes it. An item of the
// view is known from its base row on; before, it is a guest: an event named it here, or rows of
// methods came first. Guests are found by key, so that what users did to them is counted and
// paired, but they stand in no order and in no list: after a restart they are gone until their
// owner speaks of them, and then only pairs with them are missed, no count.
//
// Rows come one by one, between rounds. What is derived of a row follows at once. Items that came
// are put into the order, and those that went are taken out of it and of all caches, once before
// the next round or close: for items that went that is a rebuild of what models derive, O(items),
// so that a caller does well to hand over the rows of a whole commit at once; owners expire items
// in batches.
#include "core/engine_state.h"

enum { KEPT_SHARE = 32, VIEW_SHARE = 16, EXPIRY_STEPS = 64, DAY_MS = 86400000 };

// ---- items come and go

static mr_status check_item(const mr_engine *engine, uint64_t name, mr_bytes value, mr_error *err)
{
    mr_item item;
    const size_t head = offsetof(mr_item, id);
    if (value.size >= 8 + head)
        memcpy(&item, value.data + 8, head);
    if (value.size < 8 + head || item.key != name || item.id_size == 0 ||
        item.id_size > engine->config.item_id_bytes_max || value.size < 8 + head + item.id_size)
        return mr_fail(err, MR_FATAL,
                       "an item's row of %u bytes is damaged or another item's: run millrace "
                       "inspect verify",
                       value.size);
    return MR_OK;
}

static void note(mr_engine *engine, uint32_t *list, uint32_t *count, uint32_t slot)
{
    if (*count == engine->items.slots.max)
        mr_engine_settle_view(engine);
    list[(*count)++] = slot;
}

// The owner has spoken of the item.
static void confirm(mr_engine *engine, uint32_t slot)
{
    mr_items *items = &engine->items;
    if (items->guest[slot] != 0) {
        items->guest[slot] = 0;
        engine->guest_count--;
        note(engine, engine->came, &engine->came_count, slot);
    }
    mr_engine_set_shown(engine, slot);
}

// The item's base row is gone: what is left is its name, for deltas that wait to be sent.
static void leave(mr_engine *engine, uint32_t slot)
{
    mr_items *items = &engine->items;
    mr_item *item = mr_items_at(items, slot);
    const uint64_t key = items->slots.keys[slot];
    if (items->guest[slot] == 0) {
        engine->acts -= item->events;
        engine->guest_count++;
    }
    items->guest[slot] = MR_GUEST_LEAVING;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->key == MR_KEY_ITEM && f != items->base)
            mr_part_reset_row(&engine->parts[f], slot, key, engine->config.seed);
    item->last_ms = 0;
    item->events = 0;
    item->available = 1;
    item->in_catalogue = 0;
    mr_engine_set_shown(engine, slot);
    note(engine, engine->gone, &engine->gone_count, slot);
}

// Frees the slot of a guest. Caches that knew it are the caller's affair.
static void drop_guest(mr_engine *engine, uint32_t slot)
{
    mr_items *items = &engine->items;
    items->guest[slot] = 0;
    engine->guest_count--;
    items->shown[slot / 64] &= ~(1ull << (slot % 64));
    mr_engine_forget_told(engine, slot, NULL);
    mr_slots_free(&items->slots, slot);
}

static void settle_gone(mr_engine *engine)
{
    mr_items *items = &engine->items;
    uint32_t left = 0;
    for (uint32_t i = 0; i < engine->gone_count; i++) {
        const uint32_t slot = engine->gone[i];
        if (items->guest[slot] != MR_GUEST_LEAVING)
            continue; // it came back, or stands here twice
        items->guest[slot] = MR_GUEST;
        if (mr_engine_outbox_has(engine, slot))
            engine->guests_stray = true;
        else
            drop_guest(engine, slot);
    }
    for (uint32_t i = 0; i < items->order_count; i++)
        if (mr_items_live(items, items->order[i]) && items->guest[items->order[i]] == 0)
            items->order[left++] = items->order[i];
    items->order_count = left;
    engine->gone_count = 0;
}

// Whether so many rows have come that models rebuild what they derive, instead of following.
static bool is_flood(const mr_engine *engine)
{
    return engine->view_rows > 64 && engine->view_rows > engine->items.slots.map.count;
}

void mr_engine_settle_view(mr_engine *engine)
{
    const bool gone = engine->gone_count > 0;
    if (gone)
        settle_gone(engine);
    if (engine->came_count > 0)
        mr_engine_admit(engine, engine->came, engine->came_count);
    engine->came_count = 0;
    if (gone || is_flood(engine))
        mr_engine_rebuild(engine);
    engine->view_rows = 0;
}

// ---- rows

// A row has another value; of a new item (or one that its owner confirmed) all have.
static void follow(mr_engine *engine, uint32_t family, uint32_t slot, bool all)
{
    const mr_family_entry *entry = &engine->families[family];
    engine->view_rows++;
    if (is_flood(engine))
        return;
    if (all) {
        mr_engine_item_changed(engine, slot);
    } else if (entry->instance->state->changed != NULL) {
        const mr_view view = mr_engine_view(engine, 0);
        entry->instance->state->changed(entry->instance, &view, entry->index_in_method, slot);
    }
}

static void put_value(mr_engine *engine, mr_part *part, uint32_t slot, uint64_t name,
                      mr_bytes value)
{
    if (value.size < 8 + part->stride) // what is not stored is init's, or made anew
        mr_part_reset_row(part, slot, name, engine->config.seed);
    if (value.size > 0)
        mr_engine_put_payload(part, slot, value);
}

static void view_named(mr_engine *engine, uint32_t family, uint64_t name, mr_bytes value)
{
    mr_named *named = &engine->named[family];
    const uint32_t slot = mr_slots_find(&named->slots, name);
    if (slot == MR_MAP_NONE)
        return; // of another parameter: as when it is loaded
    put_value(engine, &named->part, slot, name, value);
    follow(engine, family, slot, false);
}

// Room for items of other shards ends before that for new items of a round begins.
static bool has_room(const mr_engine *engine)
{
    const uint32_t max = engine->config.items_max;
    return engine->items.slots.map.count < max + max / VIEW_SHARE;
}

static mr_status view_item(mr_engine *engine, uint32_t family, uint64_t name, mr_bytes value,
                           mr_error *err)
{
    mr_items *items = &engine->items;
    const bool base = family == items->base;
    uint32_t slot = mr_items_find(items, name);
    const bool unknown = slot == MR_MAP_NONE;
    if (value.size == 0) {
        if (unknown || items->guest[slot] == MR_GUEST_LEAVING)
            return MR_OK;
        if (base) {
            leave(engine, slot);
            return MR_OK;
        }
    } else if (base) {
        MR_TRY(check_item(engine, name, value, err));
    }
    if (unknown) {
        if (!has_room(engine))
            return mr_fail(err, MR_RETRY,
                           "items.max is reached: an item of another worker has "
                           "no place until items expire");
        slot = mr_engine_add_item(engine, name, (mr_bytes){NULL, 0}, mr_engine_clock(engine));
        MR_ASSERT(slot != MR_MAP_NONE);
    }
    const bool guest = items->guest[slot] != 0;
    const uint32_t events = mr_items_at(items, slot)->events;
    put_value(engine, &engine->parts[family], slot, name, value);
    if (base) {
        engine->acts += mr_items_at(items, slot)->events - (uint64_t)(guest ? 0 : events);
        confirm(engine, slot);
    }
    follow(engine, family, slot, unknown || (base && guest));
    return MR_OK;
}

mr_status mr_engine_view_row(mr_engine *engine, uint32_t shard, mr_bytes key, mr_bytes value,
                             mr_error *err)
{
    uint32_t f;
    uint64_t name;
    MR_ASSERT(shard < engine->config.tasks && !engine->tasks[shard].taken);
    MR_ASSERT(engine->config.exchange_bytes > 0 && !engine->loading);
    MR_TRY(mr_engine_row_name(engine, key, &f, &name, err));
    if (f == UINT32_MAX)
        return MR_OK; // of a method that is off here
    const mr_family *family = engine->families[f].family;
    const bool named = family->key == MR_KEY_NAMED;
    if (mr_engine_shard_of(engine, family, name) != shard)
        return named && family->delta == MR_DELTA_NONE // from before these stood in shard 0
                   ? MR_OK
                   : mr_fail(err, MR_FATAL,
                             "a row of family '%s' belongs to shard %u and came from %u: run "
                             "millrace inspect verify",
                             family->name, mr_engine_shard_of(engine, family, name), shard);
    if (value.size > 0)
        MR_TRY(mr_engine_check_payload(named ? &engine->named[f].part : &engine->parts[f], value,
                                       err));
    engine->viewed = true;
    if (!named)
        return view_item(engine, f, name, value, err);
    view_named(engine, f, name, value);
    return MR_OK;
}

// ---- shards and guests leave

void mr_engine_drop_shard(mr_engine *engine, uint32_t shard)
{
    mr_items *items = &engine->items;
    if (!engine->viewed)
        return;
    for (uint32_t slot = 0; slot < items->slots.used; slot++) {
        if (!mr_items_live(items, slot) ||
            mr_engine_shard(engine, items->slots.keys[slot]) != shard)
            continue;
        engine->guest_count -= items->guest[slot] != 0;
        items->guest[slot] = 0;
        mr_engine_forget_told(engine, slot, NULL);
        mr_slots_free(&items->slots, slot);
    }
    for (uint32_t f = 0; f < engine->family_count; f++) {
        const mr_family *family = engine->families[f].family;
        mr_named *named = &engine->named[f];
        for (uint32_t s = 0; family->key == MR_KEY_NAMED && s < named->slots.used; s++)
            if (mr_engine_shard_of(engine, family, named->slots.keys[s]) == shard)
                mr_part_reset_row(&named->part, s, named->slots.keys[s], engine->config.seed);
    }
}

// Looked for at fixed steps of the clock, and where items press for room.
void mr_engine_drop_guests(mr_engine *engine)
{
    mr_items *items = &engine->items;
    const int64_t clock = mr_engine_clock(engine);
    const int64_t expiry =
        engine->config.item_expiry_ms > 0 ? engine->config.item_expiry_ms : DAY_MS;
    const int64_t step = expiry / EXPIRY_STEPS + 1;
    const uint32_t max = engine->config.items_max;
    const bool press = items->slots.map.count > max && engine->guest_count > max / KEPT_SHARE;
    const bool due = clock / step != engine->guests_clock_ms / step;
    const uint32_t before = engine->guest_count;
    engine->guests_clock_ms = clock;
    if (before == 0 || (!press && !due && !engine->guests_stray))
        return;
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        if (mr_items_live(items, slot) && items->guest[slot] != 0 &&
            (press || mr_items_at(items, slot)->last_ms < clock - expiry))
            drop_guest(engine, slot);
    engine->guests_stray = false;
    if (engine->guest_count < before)
        mr_engine_rebuild(engine);
}
