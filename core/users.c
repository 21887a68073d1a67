// SPDX-License-Identifier: Apache-2.0
#include "core/users.h"

enum { PART_HEADER = 8, ENGINE_VERSION = 1 };

uint32_t mr_users_stride(const mr_user_part_entry *parts, uint32_t part_count,
                         uint32_t id_bytes_max)
{
    uint32_t end = sizeof(mr_user);
    for (uint32_t p = 0; p < part_count; p++)
        if (parts[p].offset + parts[p].bytes > end)
            end = parts[p].offset + parts[p].bytes;
    return (end + id_bytes_max + 7u) & ~7u;
}

size_t mr_users_bytes(uint32_t stride, uint32_t id_bytes_max, uint32_t max, uint32_t tasks)
{
    return mr_slots_bytes(max) + mr_arena_round((size_t)stride * max) +
           mr_arena_round(max * sizeof(mr_user_meta)) + mr_arena_round(max * sizeof(uint32_t)) +
           mr_waiting_bytes(id_bytes_max, max, tasks);
}

void mr_users_init(mr_users *users, const mr_user_part_entry *parts, uint32_t part_count,
                   uint32_t id_bytes_max, uint32_t max, uint32_t tasks, uint64_t seed,
                   mr_arena *arena)
{
    const uint32_t stride = mr_users_stride(parts, part_count, id_bytes_max);
    *users = (mr_users){
        .stride = stride,
        .id_offset = stride - ((id_bytes_max + 7u) & ~7u),
        .id_bytes_max = id_bytes_max,
        .parts = parts,
        .part_count = part_count,
        .seed = seed,
    };
    mr_slots_init(&users->slots, max, arena);
    users->records = mr_arena_push(arena, (size_t)stride * max);
    users->meta = mr_arena_push(arena, max * sizeof(mr_user_meta));
    users->dirty_slots = mr_arena_push(arena, max * sizeof(uint32_t));
    mr_waiting_init(&users->waiting, id_bytes_max, max, tasks, arena);
}

static bool may_leave(const mr_users *users, const mr_user_meta *meta)
{
    const bool handed_out = meta->close <= users->stored || meta->close == users->closing;
    return !meta->dirty && handed_out && meta->round == 0;
}

void mr_users_drop(mr_users *users, uint32_t slot)
{
    MR_ASSERT(may_leave(users, &users->meta[slot]));
    mr_slots_free(&users->slots, slot);
}

void mr_users_release(mr_users *users, uint32_t task)
{
    mr_waiting_release(&users->waiting, task);
    for (uint32_t slot = 0; slot < users->slots.used; slot++) {
        if (users->meta[slot].task != task ||
            mr_slots_find(&users->slots, users->slots.keys[slot]) != slot)
            continue;
        MR_ASSERT(!users->meta[slot].dirty && users->meta[slot].round == 0);
        mr_slots_free(&users->slots, slot);
    }
}

// Second chance: a record that was used since the hand passed it stays for one more turn.
static bool evict_one(mr_users *users)
{
    for (uint64_t step = 0; step < 2 * (uint64_t)users->slots.used; step++) {
        const uint32_t slot = users->hand;
        users->hand = users->hand + 1 == users->slots.used ? 0 : users->hand + 1;
        mr_user_meta *meta = &users->meta[slot];
        if (!may_leave(users, meta) ||
            mr_slots_find(&users->slots, users->slots.keys[slot]) != slot)
            continue;
        if (meta->recent) {
            meta->recent = 0;
            continue;
        }
        mr_users_drop(users, slot);
        users->evicted++;
        return true;
    }
    return false;
}

static void reset_record(mr_users *users, uint32_t slot, uint64_t key)
{
    mr_user *user = mr_users_at(users, slot);
    memset(user, 0, users->id_offset);
    user->key = key;
    for (uint32_t p = 0; p < users->part_count; p++) {
        const mr_user_part_entry *part = &users->parts[p];
        if (part->family->init != NULL)
            part->family->init(part->instance->config, key, users->seed,
                               (uint8_t *)user + part->offset);
    }
}

bool mr_users_has_room(mr_users *users, uint64_t key)
{
    return mr_slots_find(&users->slots, key) != MR_MAP_NONE || mr_slots_left(&users->slots) > 0 ||
           evict_one(users);
}

uint32_t mr_users_add(mr_users *users, uint32_t task, uint64_t key, mr_bytes id)
{
    MR_ASSERT(id.size <= users->id_bytes_max && id.size <= 255);
    if (mr_slots_left(&users->slots) == 0 && !evict_one(users))
        return MR_MAP_NONE;
    const uint32_t slot = mr_slots_add(&users->slots, key);
    reset_record(users, slot, key);
    users->meta[slot] = (mr_user_meta){.task = task, .recent = 1, .id_size = (uint8_t)id.size};
    uint8_t *to = (uint8_t *)mr_users_at(users, slot) + users->id_offset;
    memset(to, 0, users->stride - users->id_offset);
    if (id.size > 0)
        memcpy(to, id.data, id.size);
    return slot;
}

void mr_users_blank(mr_users *users, uint32_t slot)
{
    reset_record(users, slot, users->slots.keys[slot]);
    users->meta[slot].blank = 1;
}

void mr_users_touch(mr_users *users, uint32_t slot)
{
    if (!users->meta[slot].dirty) {
        users->meta[slot].dirty = 1;
        users->dirty_slots[users->dirty_count++] = slot;
    }
}

bool mr_users_wait(mr_users *users, uint32_t slot)
{
    const mr_user *user = mr_users_at(users, slot);
    return mr_waiting_put(&users->waiting, users->meta[slot].task, user->key,
                          mr_users_id(users, slot), user->list_ms);
}

static uint8_t *put_part(uint8_t *out, uint16_t code, uint8_t version, const void *bytes,
                         uint32_t size)
{
    memcpy(out, &code, 2);
    out[2] = version;
    out[3] = 0;
    memcpy(out + 4, &size, 4);
    memcpy(out + PART_HEADER, bytes, size);
    return out + PART_HEADER + size;
}

static uint32_t part_used(const mr_user_part_entry *part, const mr_user *user)
{
    const mr_family *family = part->family;
    return family->used == NULL
               ? part->bytes
               : family->used(part->instance->config, (const uint8_t *)user + part->offset);
}

static uint8_t version_of(const mr_user_part_entry *part)
{
    return mr_family_version(part->family, part->instance->config);
}

uint32_t mr_users_encode(const mr_users *users, uint32_t slot, uint8_t *out)
{
    const mr_user *user = mr_users_at(users, slot);
    uint16_t count = 1;
    uint8_t *end = out + 4;
    end = put_part(end, 0, ENGINE_VERSION, user,
                   (uint32_t)offsetof(mr_user, recent) +
                       user->recent_count * (uint32_t)sizeof(mr_recent));
    for (uint32_t p = 0; p < users->part_count; p++) {
        const mr_user_part_entry *part = &users->parts[p];
        const uint32_t used = part_used(part, user);
        if (used == 0)
            continue;
        end = put_part(end, part->code, version_of(part), (const uint8_t *)user + part->offset,
                       used);
        count++;
    }
    memcpy(out, &count, 2);
    memset(out + 2, 0, 2);
    return (uint32_t)(end - out);
}

static mr_status decode_part(mr_users *users, mr_user *user, uint16_t code, uint8_t version,
                             const uint8_t *bytes, uint32_t size, mr_error *err)
{
    if (code == 0) {
        const uint64_t key = user->key;
        if (version != ENGINE_VERSION || size < offsetof(mr_user, recent) || size > sizeof *user)
            return mr_fail(err, MR_FATAL,
                           "user row: own part of version %u and %u bytes, want "
                           "version %d: run the release that wrote it, or let a new app id learn "
                           "from the topics",
                           version, size, ENGINE_VERSION);
        memcpy(user, bytes, size);
        if (user->key != key || user->recent_count > MR_RECENT_MAX)
            return mr_fail(err, MR_FATAL,
                           "user row: the row is another user's or is damaged: "
                           "run millrace inspect verify");
        return MR_OK;
    }
    for (uint32_t p = 0; p < users->part_count; p++) {
        const mr_user_part_entry *part = &users->parts[p];
        if (part->code != code)
            continue;
        if (version != version_of(part) || size > part->bytes)
            return mr_fail(
                err, MR_FATAL,
                "user row: part '%s' has version %u and %u bytes, want "
                "version %u and at most %u: set the parameters of '%s' back, or let a new "
                "app id learn from the topics",
                part->family->name, version, size, version_of(part), part->bytes,
                part->instance->state->name);
        memcpy((uint8_t *)user + part->offset, bytes, size);
        return MR_OK;
    }
    return MR_OK; // of a method that is off: gone when the row is next written
}

mr_status mr_users_decode(mr_users *users, uint32_t slot, mr_bytes payload, mr_error *err)
{
    mr_user *user = mr_users_at(users, slot);
    uint16_t count = 0;
    if (payload.size >= 4)
        memcpy(&count, payload.data, 2);
    uint32_t at = 4;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t code;
        uint32_t size;
        if (payload.size < at + PART_HEADER)
            break;
        memcpy(&code, payload.data + at, 2);
        memcpy(&size, payload.data + at + 4, 4);
        if (size > payload.size - at - PART_HEADER)
            break;
        MR_TRY(decode_part(users, user, code, payload.data[at + 2], payload.data + at + PART_HEADER,
                           size, err));
        at += PART_HEADER + size;
    }
    if (at != payload.size || count == 0)
        return mr_fail(err, MR_FATAL,
                       "user row of %u bytes: its directory of %u parts does not fit "
                       "(read %u): run millrace inspect verify",
                       payload.size, count, at);
    return MR_OK;
}
