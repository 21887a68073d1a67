// SPDX-License-Identifier: Apache-2.0
// rows: how the rows of a task are named, and the tables in memory that hold them.
//
// Key of a row: one letter, then what follows. Numbers are big-endian, so that keys sort by them.
//   'u' user id                      the user's row: a directory of parts
//   'i' family code (2) item key (8) a part of an item
//   'n' family code (2) key (8)      a named row
//   't'                              the task: epoch number, clock, counters
//   'r' chunk number (8)             a chunk of recent events
//   'p' page number (8)              a page of the filter of pending item ids
// A family's code is 16 bits of the hash of "method.family"; two equal codes stop the start.
#ifndef MR_CORE_ROWS_H
#define MR_CORE_ROWS_H

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/model/model.h"

enum {
    MR_ROW_USER = 'u',
    MR_ROW_ITEM = 'i',
    MR_ROW_NAMED = 'n',
    MR_ROW_TASK = 't',
    MR_ROW_RECENT = 'r',
    MR_ROW_PENDING = 'p',
    MR_ROW_KEY_MAX = 1 + 255,
};

static inline void mr_put_u16_be(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static inline void mr_put_u64_be(uint8_t *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        to[i] = (uint8_t)value;
}

static inline uint64_t mr_get_u64_be(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

// Fixed places for keys: which slot holds which key. Slots are memory only.
typedef struct mr_slots {
    mr_map map;
    uint64_t *keys;
    uint32_t *free_slots; // a stack
    uint32_t free_count, used, max;
} mr_slots;

size_t mr_slots_bytes(uint32_t max);
void mr_slots_init(mr_slots *slots, uint32_t max, mr_arena *arena);
// The slot of key, or MR_MAP_NONE.
uint32_t mr_slots_find(const mr_slots *slots, uint64_t key);
// A slot for a key that has none; MR_MAP_NONE where all are taken.
uint32_t mr_slots_add(mr_slots *slots, uint64_t key);
void mr_slots_free(mr_slots *slots, uint32_t slot);
static inline uint32_t mr_slots_left(const mr_slots *slots)
{
    return slots->max - slots->map.count;
}

// The rows of one family, by slot, and which of them changed since the last close.
typedef struct mr_part {
    const mr_family *family;
    const void *config;
    uint16_t code;
    uint32_t row_bytes, stride; // of what is stored; with what a row has in memory alone
    uint8_t *rows;
    mr_hash128 *hashes; // of the stored value; 0, 0: none stored
    uint8_t *dirty;
    uint32_t *dirty_slots;
    uint32_t dirty_count;
} mr_part;

size_t mr_part_bytes(const mr_family *family, const void *config, uint32_t max);
void mr_part_init(mr_part *part, const mr_family *family, const void *config, uint16_t code,
                  uint32_t max, mr_arena *arena);
// Gives the row at slot the family's value for key.
void mr_part_reset_row(mr_part *part, uint32_t slot, uint64_t key, uint64_t seed);

static inline void *mr_part_row(const mr_part *part, uint32_t slot)
{
    return part->rows + (size_t)slot * part->stride;
}

// Asks for a row's memory before it is needed: rows of a catalogue lie far apart.
static inline void mr_prefetch(const void *row, uint32_t bytes)
{
    for (uint32_t line = 0; line < bytes; line += 64)
        __builtin_prefetch((const uint8_t *)row + line);
}

static inline void mr_part_touch(mr_part *part, uint32_t slot)
{
    if (!part->dirty[slot]) {
        part->dirty[slot] = 1;
        part->dirty_slots[part->dirty_count++] = slot;
    }
}

// Leading bytes of the row that a close writes.
uint32_t mr_part_used(const mr_part *part, uint32_t slot);

// ---- items: in memory as a whole; each has one slot and one row in each ITEM family

typedef struct mr_item { // the engine's own family: what an item is
    uint64_t key;
    int64_t born_ms, last_ms; // event times of the first and the newest event
    uint32_t events;          // acts learned
    float price;
    uint64_t categories[4]; // hashes; 0: none
    uint8_t available;      // the catalogue's word; 1 until it says otherwise
    uint8_t in_catalogue;
    uint8_t id_size;
    uint8_t id[]; // item_id_bytes_max, the rest zero
} mr_item;

// Items of other workers' shards that no owner has spoken of: an event named them here (or a row of
// theirs came before the base row). They are found by key and take part in counts, but stand in no
// order and in no list.
enum { MR_GUEST = 1, MR_GUEST_LEAVING = 2 };

typedef struct mr_items {
    mr_slots slots;
    mr_part *parts;  // by family index of the engine; those of other kinds are empty
    uint32_t base;   // family index of mr_item
    uint64_t *shown; // bitmap by slot: live and available, so may be listed
    uint32_t *order; // live slots in order of key, as of the last close
    uint32_t order_count;
    uint32_t *fresh; // slots of items of own shards that came since the last close
    uint32_t fresh_count;
    uint8_t *guest; // by slot: 0, or one of MR_GUEST
} mr_items;

static inline mr_item *mr_items_at(const mr_items *items, uint32_t slot)
{
    return mr_part_row(&items->parts[items->base], slot);
}

static inline void *mr_items_row(const mr_items *items, uint32_t family, uint32_t slot)
{
    return mr_part_row(&items->parts[family], slot);
}

static inline uint32_t mr_items_find(const mr_items *items, uint64_t key)
{
    return mr_slots_find(&items->slots, key);
}

static inline bool mr_items_live(const mr_items *items, uint32_t slot)
{
    return slot < items->slots.used && mr_items_find(items, items->slots.keys[slot]) == slot;
}

static inline bool mr_items_shown(const mr_items *items, uint32_t slot)
{
    return (items->shown[slot / 64] >> (slot % 64) & 1) != 0;
}

// ---- named rows: few, of one family each, with keys of the method's choice

typedef struct mr_named {
    mr_slots slots;
    mr_part part;
} mr_named;

// The row of key, or NULL where it was never written (its value is then init's).
void *mr_named_find(const mr_named *named, uint64_t key);

// ---- what may stand in a list for one user

enum { MR_FILTER_HINTS = 8 };
typedef struct mr_filter {
    const mr_items *items;
    const uint32_t *seen; // slots, sorted ascending
    uint32_t seen_count;
    uint64_t hints[MR_FILTER_HINTS]; // bit slot mod 512 is set for each that was seen
} mr_filter;

// seen is borrowed: sorted ascending, none twice.
mr_filter mr_filter_make(const mr_items *items, const uint32_t *seen, uint32_t seen_count);
bool mr_filter_has_seen(const mr_filter *filter, uint32_t slot);
// Nearly all slots that are asked for were not seen, and nearly all of those are told by a hint.
static inline bool mr_filter_admits(const mr_filter *filter, uint32_t slot)
{
    const uint64_t hint = filter->hints[slot / 64 % MR_FILTER_HINTS] >> (slot % 64) & 1;
    return mr_items_shown(filter->items, slot) && (hint == 0 || !mr_filter_has_seen(filter, slot));
}
// Sorts slots ascending and drops those that stand twice, for mr_filter.seen; returns how many are
// left.
uint32_t mr_slots_sort(uint32_t *slots, uint32_t count);

#endif
