// SPDX-License-Identifier: Apache-2.0
// engine_close: the end of a commit: lists, expiry of items, and every row that changed.
#include "core/engine_state.h"

enum { PAYLOAD_HEADER = 8, KEPT_SHARE = 32, EXPIRY_STEPS = 64 };

typedef struct closing {
    mr_engine *engine;
    const mr_close_sink *sink;
    uint32_t task;
} closing;

// Hands out one row and keeps the task's count and hash of rows.
static void put(const closing *c, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                mr_hash128 *hash)
{
    mr_task *t = &c->engine->tasks[task];
    const bool was = hash->low != 0 || hash->high != 0;
    if (!was && value.size == 0)
        return; // never stored: nothing to take away
    mr_hash128_subtract(&t->state_hash, *hash);
    if (c->sink->row != NULL)
        c->sink->row(c->sink->context, task, place, key, value, hash);
    else
        *hash = value.size > 0 ? mr_row_hash(key, value) : (mr_hash128){0, 0};
    if (value.size == 0)
        *hash = (mr_hash128){0, 0};
    mr_hash128_add(&t->state_hash, *hash);
    t->row_count += (uint64_t)(value.size > 0) - (uint64_t)was;
}

static mr_bytes part_key(uint8_t key[11], char kind, uint16_t code, uint64_t name)
{
    key[0] = (uint8_t)kind;
    mr_put_u16_be(key + 1, code);
    mr_put_u64_be(key + 3, name);
    return mr_bytes_of(key, 11);
}

static mr_bytes part_value(const closing *c, const mr_part *part, uint32_t slot)
{
    uint8_t *out = c->engine->row;
    const uint32_t used = mr_part_used(part, slot);
    memset(out, 0, PAYLOAD_HEADER);
    out[0] = mr_family_version(part->family, part->config);
    memcpy(out + 4, &part->row_bytes, 4);
    memcpy(out + PAYLOAD_HEADER, mr_part_row(part, slot), used);
    return mr_bytes_of(out, PAYLOAD_HEADER + used);
}

// ---- items come and go

static void expire_item(const closing *c, uint32_t slot)
{
    mr_engine *engine = c->engine;
    const uint64_t name = engine->items.slots.keys[slot];
    uint8_t key[11];
    mr_engine_forget_told(engine, slot, c->sink);
    for (uint32_t f = 0; f < engine->family_count; f++) {
        mr_part *part = &engine->parts[f];
        if (engine->families[f].family->key != MR_KEY_ITEM)
            continue;
        put(c, mr_engine_shard(engine, name), MR_ROW_OF_ITEM,
            part_key(key, MR_ROW_ITEM, part->code, name), (mr_bytes){NULL, 0}, &part->hashes[slot]);
        part->dirty[slot] = 0; // its entry in dirty_slots is passed over
        memset(mr_part_row(part, slot), 0, part->stride);
    }
    engine->items.shown[slot / 64] &= ~(1ull << (slot % 64));
    mr_slots_free(&engine->items.slots, slot);
    engine->items_expired++;
}

// How many of so many items that are too many are of own shards: their share of all items.
static uint32_t own_share(const mr_engine *engine, uint32_t excess)
{
    const mr_items *items = &engine->items;
    uint64_t own = 0;
    if (excess == 0)
        return 0;
    for (uint32_t i = 0; i < items->order_count; i++)
        own += mr_engine_owns(engine, items->slots.keys[items->order[i]]);
    return (uint32_t)(excess * own / items->order_count);
}

// Items of own shards without an event for item_expiry_ms, looked for at fixed steps of the clock;
// above items_max the stalest, a share at once. Items of other shards expire where they belong.
static void expire_items(const closing *c)
{
    mr_engine *engine = c->engine;
    mr_items *items = &engine->items;
    const int64_t clock = mr_engine_clock(engine), expiry = engine->config.item_expiry_ms;
    const int64_t step = expiry / EXPIRY_STEPS + 1;
    const bool due = expiry > 0 && clock / step != engine->expiry_clock_ms / step;
    const uint32_t max = engine->config.items_max;
    uint32_t excess = items->order_count > max ? items->order_count - max + max / KEPT_SHARE : 0;
    excess = own_share(engine, excess);
    engine->expiry_clock_ms = clock;
    if (!due && excess == 0)
        return;
    const uint64_t expired = engine->items_expired;
    for (uint32_t i = 0; i < items->order_count; i++) // equal times by key: by place in the order
        engine->sorted[i] =
            (mr_sorted){(uint64_t)mr_items_at(items, items->order[i])->last_ms, i, 0};
    mr_sort(engine->sorted, items->order_count);
    for (uint32_t i = 0; i < items->order_count; i++) {
        const uint32_t slot = items->order[engine->sorted[i].value];
        if (!mr_engine_owns(engine, items->slots.keys[slot]))
            continue;
        const mr_item *item = mr_items_at(items, slot);
        if (excess > 0)
            excess--;
        else if (!due || item->last_ms >= clock - expiry)
            break;
        else if (item->in_catalogue)
            continue;
        expire_item(c, slot);
    }
    if (engine->items_expired == expired)
        return;
    mr_engine_order_items(engine);
    mr_engine_rebuild(engine);
}

// ---- rows

static void put_numbered(const closing *c, uint8_t kind, uint64_t number, mr_bytes payload,
                         mr_hash128 *hash)
{
    uint8_t key[9] = {kind};
    mr_put_u64_be(key + 1, number);
    put(c, c->task, MR_ROW_OF_USER, mr_bytes_of(key, sizeof key), payload, hash);
}

static void put_chunk(void *context, uint64_t number, mr_bytes payload, mr_hash128 *hash)
{
    put_numbered(context, MR_ROW_RECENT, number, payload, hash);
}

static void put_page(void *context, uint64_t number, mr_bytes payload, mr_hash128 *hash)
{
    put_numbered(context, MR_ROW_PENDING, number, payload, hash);
}

static void put_task(const closing *c)
{
    mr_task *task = &c->engine->tasks[c->task];
    if (!task->moved)
        return;
    task->moved = false;
    closing copy = *c;
    mr_task_cut(task, c->engine->row, put_chunk, &copy);
    mr_admission_put(&task->admission, put_page, &copy);
    uint8_t row[MR_TASK_ROW_BYTES];
    const uint8_t key = MR_ROW_TASK;
    const uint32_t bytes = mr_task_encode(task, row);
    put(c, c->task, MR_ROW_OF_USER, mr_bytes_of(&key, 1), mr_bytes_of(row, bytes), &task->row_hash);
}

static uint64_t id_prefix(mr_bytes id)
{
    uint8_t first[8] = {0};
    memcpy(first, id.data, id.size < 8 ? id.size : 8);
    return mr_get_u64_be(first);
}

static uint32_t sort_users(const closing *c)
{
    mr_engine *engine = c->engine;
    const mr_users *users = &engine->users;
    mr_sorted *sorted = engine->sorted;
    uint32_t count = 0;
    for (uint32_t i = 0; i < users->dirty_count; i++) {
        const uint32_t slot = users->dirty_slots[i];
        if (users->meta[slot].task == c->task)
            sorted[count++] = (mr_sorted){id_prefix(mr_users_id(users, slot)), slot, 0};
    }
    mr_sort(sorted, count);
    for (uint32_t i = 1; i < count; i++) // ids that share eight bytes
        for (uint32_t j = i; j > 0 && sorted[j - 1].key == sorted[j].key &&
                             mr_bytes_compare(mr_users_id(users, sorted[j - 1].value),
                                              mr_users_id(users, sorted[j].value)) > 0;
             j--) {
            const mr_sorted swap = sorted[j];
            sorted[j] = sorted[j - 1];
            sorted[j - 1] = swap;
        }
    return count;
}

// A user who has asked to be forgotten: the row goes, and readers are told.
static void put_blank(const closing *c, uint32_t slot, mr_bytes key)
{
    mr_user_meta *meta = &c->engine->users.meta[slot];
    put(c, c->task, MR_ROW_OF_USER, key, (mr_bytes){NULL, 0}, &meta->hash);
    meta->blank = 0; // as any user whom nobody knows
    c->engine->users_forgotten++;
    if (c->sink->forgotten != NULL)
        c->sink->forgotten(c->sink->context, c->task, mr_users_id(&c->engine->users, slot));
}

static void put_user(const closing *c, uint32_t slot, uint64_t close)
{
    mr_engine *engine = c->engine;
    mr_users *users = &engine->users;
    const mr_bytes id = mr_users_id(users, slot);
    uint8_t key[MR_ROW_KEY_MAX] = {MR_ROW_USER};
    memcpy(key + 1, id.data, id.size);
    const mr_bytes name = mr_bytes_of(key, id.size + 1u);
    if (users->meta[slot].blank)
        put_blank(c, slot, name);
    else
        put(c, c->task, MR_ROW_OF_USER, name,
            mr_bytes_of(engine->row, mr_users_encode(users, slot, engine->row)),
            &users->meta[slot].hash);
    users->meta[slot].dirty = 0;
    users->meta[slot].close = close;
}

void mr_engine_put_user(mr_engine *engine, uint32_t slot, const mr_close_sink *sink)
{
    const closing c = {engine, sink, engine->users.meta[slot].task};
    put_user(&c, slot, engine->users.closing);
}

static void put_users(const closing *c)
{
    mr_engine *engine = c->engine;
    const uint32_t count = sort_users(c);
    for (uint32_t i = 0; i < count; i++)
        put_user(c, engine->sorted[i].value, engine->closes);
}

static void put_part(const closing *c, mr_part *part, const mr_slots *slots, char kind)
{
    mr_engine *engine = c->engine;
    uint32_t count = 0;
    for (uint32_t i = 0; i < part->dirty_count; i++) {
        const uint32_t slot = part->dirty_slots[i];
        if (part->dirty[slot] &&
            mr_engine_shard_of(engine, part->family, slots->keys[slot]) == c->task)
            engine->sorted[count++] = (mr_sorted){slots->keys[slot], slot, 0};
    }
    mr_sort(engine->sorted, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t slot = engine->sorted[i].value;
        uint8_t key[11];
        put(c, c->task, MR_ROW_OF_ITEM, part_key(key, kind, part->code, engine->sorted[i].key),
            part_value(c, part, slot), &part->hashes[slot]);
        if (kind == MR_ROW_ITEM)
            mr_engine_note_told(engine, slot);
    }
}

static void put_parts(const closing *c)
{
    mr_engine *engine = c->engine;
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->key == MR_KEY_ITEM)
            put_part(c, &engine->parts[f], &engine->items.slots, MR_ROW_ITEM);
    for (uint32_t f = 0; f < engine->family_count; f++)
        if (engine->families[f].family->key == MR_KEY_NAMED)
            put_part(c, &engine->named[f].part, &engine->named[f].slots, MR_ROW_NAMED);
}

static void clear_dirty(mr_part *part)
{
    for (uint32_t i = 0; i < part->dirty_count; i++)
        part->dirty[part->dirty_slots[i]] = 0;
    part->dirty_count = 0;
}

mr_status mr_engine_close(mr_engine *engine, const uint64_t *seqs, const mr_close_sink *sink,
                          mr_error *err)
{
    closing c = {engine, sink, 0};
    mr_engine_settle_view(engine);
    for (uint32_t t = 0; t < engine->config.tasks; t++)
        MR_ASSERT(!engine->tasks[t].taken || seqs[t] == engine->tasks[t].next_seq);
    if (engine->config.lists)
        MR_TRY(mr_engine_make_lists(engine, seqs, sink, err));
    engine->closes++;
    mr_engine_hand_out(engine, sink);
    mr_engine_admit(engine, engine->items.fresh, engine->items.fresh_count);
    engine->items.fresh_count = 0;
    expire_items(&c);
    mr_engine_drop_guests(engine);
    for (c.task = 0; c.task < engine->config.tasks; c.task++)
        if (engine->tasks[c.task].taken) {
            put_task(&c);
            put_users(&c);
            put_parts(&c);
            engine->tasks[c.task].next_seq++;
        }
    mr_engine_tell(engine, sink);
    engine->users.dirty_count = 0;
    for (uint32_t f = 0; f < engine->family_count; f++) {
        if (engine->families[f].family->key == MR_KEY_ITEM)
            clear_dirty(&engine->parts[f]);
        if (engine->families[f].family->key == MR_KEY_NAMED)
            clear_dirty(&engine->named[f].part);
    }
    return MR_OK;
}
