// SPDX-License-Identifier: Apache-2.0
// mapping: which part of a foreign record fills which field of our event.
//
// A field without an entry is looked for under the names that our own schema of that kind of event
// gives it, aliases included, and among the aliases of the writer's fields. So a record that was
// written with our schema, or with its names, needs no mapping at all.
#ifndef MR_SCHEMAS_MAPPING_H
#define MR_SCHEMAS_MAPPING_H

#include "core/base/error.h"
#include "core/event/event.h"

typedef enum mr_line_part { // of a line of MR_FIELD_lines; WHOLE for everything else
    MR_PART_WHOLE,
    MR_PART_ITEM,
    MR_PART_QUANTITY,
    MR_PART_PRICE,
    MR_PART_PROPENSITY,
    MR_PART_COUNT,
} mr_line_part;

typedef enum mr_time_unit { // of a time that has no logical type, or a wrong one
    MR_TIME_AUTO,           // the logical type's, else milliseconds
    MR_TIME_SECONDS,
    MR_TIME_MILLIS,
    MR_TIME_MICROS,
    MR_TIME_NANOS,
} mr_time_unit;

typedef struct mr_mapping_entry {
    mr_field field;
    mr_line_part part;
    // Names of fields joined by dots, "order.buyer.id"; unions are walked through. Of a part: from
    // the line's record on, "" where the array's items are the value. NULL: the field is not in the
    // record.
    const char *path;
    // With path NULL: the value that every event gets. With a path: the value where the writer's
    // schema has no such path. NULL: none. A text; numbers are written in decimal, booleans true,
    // false.
    const char *constant;
    mr_time_unit unit;
} mr_mapping_entry;

typedef struct mr_mapping { // borrowed by mr_plan_compile for the call
    mr_event_kind kind;
    const mr_mapping_entry *entries;
    uint32_t entry_count;
    // 1u << MR_FIELD_...: fields that come from elsewhere, such as the message's key or timestamp,
    // if the record lacks them. The time is always among them.
    uint32_t given;
} mr_mapping;

enum { MR_MAPPING_ENTRIES_MAX = 64 };

// Reads the key of a mapping as it stands in a configuration: "item" or "lines.price".
// Errors: MR_FATAL, the key is no field; the text names the nearest one.
MR_CHECKED mr_status mr_mapping_key(mr_bytes key, mr_mapping_entry *entry, mr_error *err);

// Reads what a field comes from, as it stands in a configuration, into path, unit and constant:
//
//     payload.user_id       a path
//     .                     of a part of a line: the array's items themselves
//     at s                  a path, and the unit of a time: s, ms, us or ns
//     visit = none          a path, and the value where the writer's schema has no such path
//     = more                a constant
//     (empty)               the field is not in the record
//
// `text` is cut in place and lives as long as the entry. Errors: MR_FATAL, more words than that.
MR_CHECKED mr_status mr_mapping_source(char *text, mr_mapping_entry *entry, mr_error *err);

// A 64-bit name of the mapping's content: equal mappings give equal plans.
uint64_t mr_mapping_hash(const mr_mapping *mapping);

#endif
