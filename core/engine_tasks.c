// SPDX-License-Identifier: Apache-2.0
// engine_tasks: tasks come and go: they are taken, their rows loaded, and released.
//
// Each of these happens at a start or right after a close, with nothing learned since: then what is
// in memory beside the rows of the tasks that stay is either the view or derived.
#include "core/engine_state.h"

enum { PAYLOAD_HEADER = 8 };

bool mr_engine_clean(const mr_engine *engine)
{
    bool clean = engine->users.dirty_count == 0 && engine->items.fresh_count == 0 &&
                 mr_engine_outbox_empty(engine);
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        clean &= !engine->tasks[t].moved;
    for (uint32_t f = 0; f < engine->family_count; f++)
        clean &= engine->parts[f].dirty_count == 0 && engine->named[f].part.dirty_count == 0;
    return clean;
}

bool mr_engine_has(const mr_engine *engine, uint32_t task)
{
    return engine->tasks[task].taken;
}

void mr_engine_take(mr_engine *engine, uint32_t task, uint64_t next_seq)
{
    MR_ASSERT(task < engine->config.tasks && !engine->tasks[task].taken);
    if (!engine->loading) { // the first of those that are taken together
        MR_ASSERT(mr_engine_clean(engine));
        mr_engine_settle_view(engine);
    }
    engine->loading = true;
    mr_engine_drop_shard(engine, task);
    mr_task_reset(&engine->tasks[task]);
    engine->tasks[task].taken = engine->tasks[task].loading = true;
    engine->tasks[task].next_seq = next_seq;
}

void mr_engine_release(mr_engine *engine, uint32_t task)
{
    MR_ASSERT(task < engine->config.tasks && engine->tasks[task].taken && !engine->loading);
    MR_ASSERT(engine->config.exchange_bytes > 0);
    MR_ASSERT(mr_engine_clean(engine));
    mr_users_release(&engine->users, task);
    mr_task_reset(&engine->tasks[task]);
    engine->viewed =
        true; // with hashes that nobody reads, until the shard is taken and loaded again
    engine->expiry_clock_ms = mr_engine_clock(engine);
}

mr_status mr_engine_check_payload(const mr_part *part, mr_bytes value, mr_error *err)
{
    const uint8_t version = mr_family_version(part->family, part->config);
    uint32_t bytes = 0;
    if (value.size >= PAYLOAD_HEADER)
        memcpy(&bytes, value.data + 4, 4);
    if (value.size < PAYLOAD_HEADER || value.data[0] != version || bytes != part->row_bytes ||
        value.size - PAYLOAD_HEADER > bytes)
        return mr_fail(err, MR_FATAL,
                       "row of family '%s': version %u with rows of %u bytes, want "
                       "version %u with %u: set the parameters back, or let a new app id learn "
                       "from the topics",
                       part->family->name, value.size > 0 ? value.data[0] : 0u, bytes, version,
                       part->row_bytes);
    return MR_OK;
}

void mr_engine_put_payload(mr_part *part, uint32_t slot, mr_bytes value)
{
    memcpy(mr_part_row(part, slot), value.data + PAYLOAD_HEADER, value.size - PAYLOAD_HEADER);
}

mr_status mr_engine_row_name(const mr_engine *engine, mr_bytes key, uint32_t *family,
                             uint64_t *name, mr_error *err)
{
    if (key.size != 11)
        return mr_fail(err, MR_FATAL, "row key '%c' of %u bytes: want 11",
                       key.size > 0 ? key.data[0] : '?', key.size);
    const uint16_t code = (uint16_t)(key.data[1] << 8 | key.data[2]);
    *name = mr_get_u64_be(key.data + 3);
    *family = UINT32_MAX;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].code == code)
            *family = f;
    if (*family == UINT32_MAX)
        return MR_OK;
    const mr_family *found = engine->families[*family].family;
    if (key.data[0] != (found->key == MR_KEY_NAMED ? MR_ROW_NAMED : MR_ROW_ITEM) ||
        found->key == MR_KEY_USER)
        return mr_fail(err, MR_FATAL, "a row of family '%s' has the kind '%c'", found->name,
                       key.data[0]);
    return MR_OK;
}

// Rows that belong to shard 0 stood in the shard of their key once. Such a row stays where it is
// and gives the value to begin with, until shard 0 has one: in whatever order they are loaded.
static mr_status load_from_old_place(mr_engine *engine, uint32_t family, uint64_t name,
                                     mr_bytes value, mr_error *err)
{
    mr_named *named = &engine->named[family];
    const uint32_t slot = mr_slots_find(&named->slots, name);
    if (slot == MR_MAP_NONE || !engine->tasks[0].taken || named->part.hashes[slot].low != 0 ||
        named->part.hashes[slot].high != 0)
        return MR_OK;
    MR_TRY(mr_engine_check_payload(&named->part, value, err));
    mr_engine_put_payload(&named->part, slot, value);
    return MR_OK;
}

static mr_status load_row(mr_engine *engine, uint32_t task, mr_bytes key, mr_bytes value,
                          mr_hash128 hash, mr_error *err)
{
    uint32_t f, slot;
    uint64_t name;
    MR_TRY(mr_engine_row_name(engine, key, &f, &name, err));
    if (f == UINT32_MAX)
        return MR_OK; // of a method that is off: it keeps its rows for the day it comes back
    const mr_family *family = engine->families[f].family;
    mr_part *part = family->key == MR_KEY_NAMED ? &engine->named[f].part : &engine->parts[f];
    if (mr_engine_shard_of(engine, family, name) != task) {
        if (family->key == MR_KEY_NAMED && family->delta == MR_DELTA_NONE)
            return load_from_old_place(engine, f, name, value, err);
        return mr_fail(err, MR_FATAL,
                       "a row of family '%s' belongs to shard %u and stands in %u: run millrace "
                       "inspect verify",
                       family->name, mr_engine_shard_of(engine, family, name), task);
    }
    if (family->key == MR_KEY_NAMED) {
        slot = mr_slots_find(&engine->named[f].slots, name);
        if (slot == MR_MAP_NONE)
            return MR_OK;
    } else {
        slot = mr_items_find(&engine->items, name);
        if (slot == MR_MAP_NONE)
            slot = mr_engine_add_item(engine, name, (mr_bytes){NULL, 0}, 0);
    }
    if (slot == MR_MAP_NONE)
        return mr_fail(err, MR_FATAL,
                       "the state holds more items than items.max allows: raise it "
                       "above %u",
                       engine->config.items_max);
    MR_TRY(mr_engine_check_payload(part, value, err));
    mr_engine_put_payload(part, slot, value);
    part->hashes[slot] = hash;
    return MR_OK;
}

static mr_status load_user(mr_engine *engine, uint32_t task, mr_bytes id, mr_bytes value,
                           mr_hash128 hash, mr_error *err)
{
    // The rows come when their users act, or when their lists are made.
    const uint64_t key = mr_user_key(id);
    if (id.size > engine->users.id_bytes_max)
        return mr_fail(err, MR_FATAL, "a stored user id has %u bytes: users.id_bytes_max is %u",
                       id.size, engine->users.id_bytes_max);
    const uint32_t slot = mr_users_add(&engine->users, task, key, id);
    if (slot == MR_MAP_NONE)
        return mr_fail(err, MR_FATAL, "users.memory is too small: raise it");
    MR_TRY(mr_users_decode(&engine->users, slot, value, err));
    engine->users.meta[slot].hash = hash;
    memset(&engine->served[(size_t)slot * MR_SERVED], 0, MR_SERVED * 8);
    const mr_user *user = mr_users_at(&engine->users, slot);
    const bool fits = user->touched_seq <= user->listed_seq || mr_users_wait(&engine->users, slot);
    mr_users_drop(&engine->users, slot);
    return fits ? MR_OK
                : mr_fail(err, MR_FATAL,
                          "users.memory is too small for the users whose lists wait: %u may: "
                          "raise it",
                          engine->users.waiting.max);
}

mr_status mr_engine_load(mr_engine *engine, uint32_t task, mr_bytes key, mr_bytes value,
                         mr_hash128 hash, mr_error *err)
{
    mr_task *t = &engine->tasks[task];
    MR_ASSERT(t->taken && t->loading && key.size > 0);
    t->row_count++;
    mr_hash128_add(&t->state_hash, hash);
    switch (key.data[0]) {
    case MR_ROW_USER:
        return load_user(engine, task, mr_bytes_of(key.data + 1, key.size - 1), value, hash, err);
    case MR_ROW_ITEM:
    case MR_ROW_NAMED:
        return load_row(engine, task, key, value, hash, err);
    case MR_ROW_TASK:
        t->row_hash = hash;
        return mr_task_decode(t, value, err);
    case MR_ROW_RECENT:
        if (key.size == 9)
            return mr_task_load_chunk(t, mr_get_u64_be(key.data + 1), value, hash, err);
        break;
    case MR_ROW_PENDING:
        if (key.size == 9)
            return mr_admission_load(&t->admission, mr_get_u64_be(key.data + 1), value, hash, err);
        break;
    default:
        break;
    }
    return mr_fail(err, MR_FATAL,
                   "a row of task %u has a key of kind %u and %u bytes that this "
                   "release does not know",
                   task, key.data[0], key.size);
}

static void derive_items(mr_engine *engine)
{
    mr_items *items = &engine->items;
    memset(items->shown, 0, (items->slots.used + 63) / 64 * 8);
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        if (mr_items_live(items, slot))
            mr_engine_set_shown(engine, slot);
    mr_engine_order_items(engine);
    mr_engine_rebuild(engine);
}

mr_status mr_engine_ready(mr_engine *engine, mr_error *err)
{
    const mr_items *items = &engine->items;
    for (uint32_t t = 0; t < engine->config.tasks; t++) {
        if (engine->tasks[t].loading)
            MR_TRY(mr_task_loaded(&engine->tasks[t], err));
        engine->tasks[t].loading = false;
    }
    for (uint32_t slot = 0; slot < items->slots.used; slot++)
        if (mr_items_live(items, slot) && mr_engine_owns(engine, items->slots.keys[slot]) &&
            mr_items_at(items, slot)->id_size == 0)
            return mr_fail(err, MR_FATAL,
                           "an item has rows but no id: run millrace inspect verify");
    engine->loading = false;
    derive_items(engine);
    engine->expiry_clock_ms = mr_engine_clock(engine);
    return MR_OK;
}

mr_task_view mr_engine_task(const mr_engine *engine, uint32_t task)
{
    const mr_task *t = &engine->tasks[task];
    return (mr_task_view){t->epoch, t->clock_ms, t->row_count, t->state_hash, t->counters};
}

void mr_engine_stored(mr_engine *engine, uint64_t closes)
{
    MR_ASSERT(closes <= engine->closes);
    engine->users.stored = closes;
}

uint64_t mr_engine_closes(const mr_engine *engine)
{
    return engine->closes;
}

uint32_t mr_engine_waiting(const mr_engine *engine)
{
    return engine->users.waiting.count;
}
