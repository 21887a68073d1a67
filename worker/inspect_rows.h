// SPDX-License-Identifier: Apache-2.0
// inspect_rows: what the engine's rows say, for people: the only place outside core that knows how
// they are laid out.
//
// Keys are those of core/rows.h, a user's row is that of core/users.h, a task's that of
// core/task.h; rows of items and named rows begin with eight bytes that core/engine_close.c writes.
// Parts of methods are private to them: of some, in the versions that are known here, a few numbers
// are told.
#ifndef MR_WORKER_INSPECT_ROWS_H
#define MR_WORKER_INSPECT_ROWS_H

#include <jansson.h>

#include "core/rows.h"
#include "core/task.h"

enum { MR_INSPECT_PARTS_MAX = 32, MR_INSPECT_FAMILY_BYTES = 64, MR_INSPECT_ITEM_KEY_BYTES = 11 };

// The text of an id or a key: as it is where it is UTF-8, otherwise with \xNN.
json_t *mr_inspect_text(mr_bytes bytes);
// UTC with milliseconds, RFC 3339; null for 0.
json_t *mr_inspect_time(int64_t time_ms);
// "0123456789abcdef"
json_t *mr_inspect_hex(uint64_t number);

// The code of a family "method.family"; 0: there is none of that name.
uint16_t mr_inspect_family_code(const char *name);
// Its name, into text[MR_INSPECT_FAMILY_BYTES]; "family 1f2e" for one that this release lacks.
const char *mr_inspect_family_name(uint16_t code, char *text);

// The key of a row of an item or a named row (kind MR_ROW_ITEM, MR_ROW_NAMED).
mr_bytes mr_inspect_part_key(char kind, uint16_t code, uint64_t name,
                             uint8_t key[MR_INSPECT_ITEM_KEY_BYTES]);

// A key as a sentence: "user anna", "embedding.item of 0123...", "task", "recent events, chunk 7".
json_t *mr_inspect_key(mr_bytes key);

typedef struct mr_inspect_part { // of a user's row, or a whole row of an item
    uint16_t code;
    uint8_t version;
    mr_bytes bytes; // borrowed from the payload
} mr_inspect_part;

typedef struct mr_inspect_user {
    mr_user user; // recent_count of `recent` are valid
    mr_inspect_part parts[MR_INSPECT_PARTS_MAX];
    uint32_t part_count;
} mr_inspect_user;

// Errors of all three: MR_FATAL: not that layout.
MR_CHECKED mr_status mr_inspect_read_user(mr_bytes payload, mr_inspect_user *out, mr_error *err);
MR_CHECKED mr_status mr_inspect_read_part(mr_bytes key, mr_bytes payload, mr_inspect_part *out,
                                          mr_error *err);
typedef struct mr_inspect_item {
    mr_item item; // but for the id
    mr_bytes id;  // borrowed from the payload
} mr_inspect_item;
MR_CHECKED mr_status mr_inspect_read_item(mr_bytes key, mr_bytes payload, mr_inspect_item *out,
                                          mr_error *err);
MR_CHECKED mr_status mr_inspect_read_task(mr_bytes payload, mr_task *out, mr_error *err);

typedef struct mr_inspect_names { // turns an item's key into its id
    void *context;
    json_t *(*item)(void *context, uint64_t key);
} mr_inspect_names;

// Adds to `object` what is known of a part: name, version, bytes, and some of its numbers.
void mr_inspect_describe(json_t *object, const mr_inspect_part *part,
                         const mr_inspect_names *names);

#endif
