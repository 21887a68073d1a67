// SPDX-License-Identifier: Apache-2.0
// users: a cache of users' rows under a memory limit.
//
// A user's record is mr_user, the methods' parts at fixed offsets, then the id. Records that
// changed since the last close, or whose last close is not stored yet, stay; others leave by second
// chance, also those of users who wait for a list. Which ones leave, and when, changes no byte of
// what the engine gives.
#ifndef MR_CORE_USERS_H
#define MR_CORE_USERS_H

#include "core/rows.h"
#include "core/waiting.h"

typedef struct mr_user_meta {
    mr_hash128 hash; // of the stored row; 0, 0: none stored
    uint64_t close;  // the last close that wrote the row; 0: none
    uint64_t round;  // the round, or the lists of a close, that need it in memory; 0: none
    uint32_t task;
    uint32_t wave; // signals of the user in the epoch that is being cut into waves
    uint8_t dirty, recent, id_size;
    uint8_t blank; // the row is to be gone: the user has asked to be forgotten, and not acted since
} mr_user_meta;

typedef struct mr_user_part { // where a method's part lies in a record
    const mr_family *family;
    const mr_instance *instance;
    uint16_t code;
    uint32_t offset, bytes;
} mr_user_part_entry;

typedef struct mr_users {
    mr_slots slots;
    uint8_t *records;
    mr_user_meta *meta;
    uint32_t stride, id_offset, id_bytes_max;
    const mr_user_part_entry *parts;
    uint32_t part_count;
    uint32_t hand;    // of the second-chance clock
    uint64_t stored;  // closes that are stored
    uint64_t closing; // number of the close whose lists are being made; 0: none
    uint64_t evicted;
    uint32_t *dirty_slots;
    uint32_t dirty_count;
    mr_waiting waiting;
    uint64_t seed;
} mr_users;

uint32_t mr_users_stride(const mr_user_part_entry *parts, uint32_t part_count,
                         uint32_t id_bytes_max);
size_t mr_users_bytes(uint32_t stride, uint32_t id_bytes_max, uint32_t max, uint32_t tasks);
void mr_users_init(mr_users *users, const mr_user_part_entry *parts, uint32_t part_count,
                   uint32_t id_bytes_max, uint32_t max, uint32_t tasks, uint64_t seed,
                   mr_arena *arena);

static inline mr_user *mr_users_at(const mr_users *users, uint32_t slot)
{
    return (mr_user *)(void *)(users->records + (size_t)slot * users->stride);
}

static inline mr_bytes mr_users_id(const mr_users *users, uint32_t slot)
{
    return mr_bytes_of(users->records + (size_t)slot * users->stride + users->id_offset,
                       users->meta[slot].id_size);
}

// A record for a user that has none in memory, with the value of an absent row. MR_MAP_NONE: memory
// is full of records that must stay.
uint32_t mr_users_add(mr_users *users, uint32_t task, uint64_t key, mr_bytes id);
// Whether a record is in memory, or there is room for it.
bool mr_users_has_room(mr_users *users, uint64_t key);
void mr_users_touch(mr_users *users, uint32_t slot);
// Gives a record the value of an absent row, and marks it as such: the next close takes it away.
void mr_users_blank(mr_users *users, uint32_t slot);
// The user waits for a list. False: too many do.
bool mr_users_wait(mr_users *users, uint32_t slot);
// Drops a record that is clean: for rederiving.
void mr_users_drop(mr_users *users, uint32_t slot);
// Drops the records of a task and its users who wait, also those whose rows are not stored yet: the
// task's next owner has the rows. None may have changed since the last close (asserted).
void mr_users_release(mr_users *users, uint32_t task);

// The row's payload: { u16 part count, u16 0 } then for each part { u16 code, u8 version, u8 0,
// u32 bytes, bytes }; code 0 is the engine's own part. Returns its size; out holds 64 KiB.
uint32_t mr_users_encode(const mr_users *users, uint32_t slot, uint8_t *out);
// Reads it back into a record that mr_users_add gave. Parts of methods that are off are left out;
// a part of another version or size is MR_FATAL.
MR_CHECKED mr_status mr_users_decode(mr_users *users, uint32_t slot, mr_bytes payload,
                                     mr_error *err);

#endif
