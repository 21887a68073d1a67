// SPDX-License-Identifier: Apache-2.0
// exchange: records of deltas between workers: their bytes, written and read.
//
// A record says what one task's events of one commit (the sender) want to change in rows of one
// shard (the receiver). All numbers are little-endian, nothing is aligned, and equal content has
// equal bytes.
//
//   head      u8 format (1), u8 0, u16 families, u32 sender, u32 receiver, u32 tasks, u32 items
//   items     in ascending order of key, each once; those that the events named, so that the
//             receiver can make one that it does not have:
//             u64 key, i64 event time in ms, u8 flags, u8 id bytes (1 and more), id, then
//             where flags has 1 (the catalogue speaks of it; the last word of the commit):
//             f32 price, 4 x u64 category. Flags 2: available, 4: stands in the catalogue.
//   families  in ascending order of code, each once:
//             u16 code, u8 version, u8 kind (mr_delta_kind), u32 delta bytes, u32 rows, then
//     of SUM    in ascending order of key, each once: u64 key, the family's payload
//     of CELLS  (delta bytes 24) in ascending order of key; a row with very many cells stands in
//               pieces of equal key: u64 key, u32 cells, then in ascending order of (key, era),
//               each once: u64 key, i64 value, i64 era
//   tail      u64 XXH3-64 of everything before it, in every format
//
// What a commit has for one pair may stand in several records; a receiver adds up all of them.
#ifndef MR_CORE_EXCHANGE_H
#define MR_CORE_EXCHANGE_H

#include "core/deltas.h"

enum {
    MR_EXCHANGE_FORMAT = 1,
    MR_EXCHANGE_HEAD = 20,
    MR_EXCHANGE_TAIL = 8,
    MR_EXCHANGE_ITEM_MAX = 18 + 255 + 4 + 32, // bytes of an item
    MR_EXCHANGE_FAMILY = 12,                  // bytes before a family's rows
    MR_EXCHANGE_CELLS = 12,                   // bytes before a row's cells
    MR_EXCHANGE_CELL = 24,
};

typedef struct mr_exchange_head {
    uint32_t sender, receiver, tasks, item_count, family_count;
} mr_exchange_head;

typedef struct mr_exchange_item {
    uint64_t key;
    int64_t time_ms;
    mr_bytes id; // borrowed from the record
    bool has_set, available, in_catalogue;
    float price;
    uint64_t categories[4];
} mr_exchange_item;

typedef struct mr_exchange_family {
    uint16_t code;
    uint8_t version, kind;
    uint32_t delta_bytes, row_count;
} mr_exchange_family;

typedef struct mr_exchange_row {
    uint64_t key;
    const uint8_t *payload; // SUM: the family's; CELLS: see mr_exchange_cell. Not aligned.
    uint32_t cell_count;
} mr_exchange_row;

// ---- reading

typedef struct mr_exchange_reader { // a place in a record
    const uint8_t *at, *end;
    bool torn; // something ended too early; what was read since is zeros
} mr_exchange_reader;

// Opens a record at its items. Never reads beyond the record, whatever its bytes are: of a record
// that is torn the reader says so, at once or where it ends. Then item_count items, then
// family_count times a family and its rows.
mr_exchange_reader mr_exchange_open(mr_bytes record, mr_exchange_head *head);
mr_exchange_item mr_exchange_read_item(mr_exchange_reader *reader);
mr_exchange_family mr_exchange_read_family(mr_exchange_reader *reader);
mr_exchange_row mr_exchange_read_row(mr_exchange_reader *reader, const mr_exchange_family *family);
mr_cell mr_exchange_cell(const mr_exchange_row *row, uint32_t index);

typedef struct mr_exchange_rules { // what a record has to fit
    const mr_family_entry *families;
    uint32_t family_count;
    uint32_t tasks, receiver, id_bytes_max, bytes_max;
} mr_exchange_rules;

// Reads all of a record and holds it to the format and the rules. Families that the rules do not
// know are let pass: a method that is off here. Errors: MR_REJECT (bad_delta), MR_FATAL where
// another release, number of tasks or parameter wrote it.
MR_CHECKED mr_status mr_exchange_check(const mr_exchange_rules *rules, mr_bytes record,
                                       mr_error *err);

// ---- writing

typedef struct mr_exchange_writer {
    uint8_t *out; // `max` bytes
    uint32_t size, max;
    uint32_t item_count, family_count, row_count;
    uint32_t family_at; // where the open family stands; 0: none is open
} mr_exchange_writer;

void mr_exchange_begin(mr_exchange_writer *writer, uint32_t sender, uint32_t receiver,
                       uint32_t tasks);
// Whether so many bytes fit, with room for the tail.
bool mr_exchange_fits(const mr_exchange_writer *writer, size_t bytes);
// What is put has to fit (asserted), in the order of the format.
uint32_t mr_exchange_item_bytes(const mr_exchange_item *item);
void mr_exchange_put_item(mr_exchange_writer *writer, const mr_exchange_item *item);
void mr_exchange_put_family(mr_exchange_writer *writer, const mr_family_entry *entry);
void mr_exchange_put_sum(mr_exchange_writer *writer, uint64_t key, const void *payload,
                         uint32_t bytes);
void mr_exchange_put_cells(mr_exchange_writer *writer, uint64_t key, const mr_cell *cells,
                           uint32_t count);
bool mr_exchange_empty(const mr_exchange_writer *writer);
mr_bytes mr_exchange_end(mr_exchange_writer *writer);

#endif
