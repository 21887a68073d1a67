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
    MR_TIME_ISO, // a text as in ISO 8601
} mr_time_unit;

typedef enum mr_mapping_role { // what an entry says
    MR_ROLE_FIELD,             // where a field of the event comes from
    MR_ROLE_KIND,              // which value says what kind of event a record is
    MR_ROLE_WHERE,             // which records are events at all
    MR_ROLE_EACH,              // the array whose items are the events
} mr_mapping_role;

typedef enum mr_mapping_from { // whose value it is
    MR_FROM_RECORD,
    MR_FROM_KEY,    // the message's key
    MR_FROM_HEADER, // the last header of the name `path`
} mr_mapping_from;

typedef struct mr_mapping_entry {
    mr_field field;
    mr_line_part part;
    // Names of fields joined by dots, "order.buyer.id"; unions are walked through. Of a part: from
    // the line's record on, "" where the array's items are the value. A path that begins with that
    // of MR_ROLE_EACH goes on in the array's items. NULL: the field is not in the record.
    const char *path;
    // With path NULL: the value that every event gets. With a path: the value where the writer's
    // schema has no such path. NULL: none. A text; numbers are written in decimal, booleans true,
    // false.
    const char *constant;
    mr_time_unit unit;
    mr_mapping_role role;
    mr_mapping_from from;
    // A value map: "view" NUL "click" NUL ..., value_count pairs, read by mr_mapping_pair. Of a text
    // field: what stands for a value; values that are not in it stay as they are. Of MR_ROLE_KIND:
    // the kind, or skip or reject. "*" is any other value. Of MR_ROLE_WHERE: value_count texts, of
    // which the value has to be one, or with `negated` none.
    const char *values;
    uint32_t value_count;
    bool negated;
} mr_mapping_entry;

typedef struct mr_mapping { // borrowed by mr_plan_compile for the call
    mr_event_kind kind; // MR_EVENT_KIND_COUNT: the entry of MR_ROLE_KIND says it
    const mr_mapping_entry *entries;
    uint32_t entry_count;
    // 1u << MR_FIELD_...: fields that come from elsewhere, such as the message's key or timestamp,
    // if the record lacks them. The time is always among them.
    uint32_t given;
} mr_mapping;

enum {
    MR_MAPPING_ENTRIES_MAX = 64,
    MR_SELECTORS_MAX = 8, // entries of MR_ROLE_KIND and MR_ROLE_WHERE
};

// Reads the key of a mapping as it stands in a configuration: "item", "lines.price", "kind",
// "each", "where" or "where.ANYTHING". Errors: MR_FATAL, the key is no field; the text names the
// nearest one.
MR_CHECKED mr_status mr_mapping_key(mr_bytes key, mr_mapping_entry *entry, mr_error *err);

// Reads what a field comes from, as it stands in a configuration, into path, unit and constant:
//
//     payload.user_id       a path
//     .                     of a part of a line: the array's items themselves
//     at s                  a path, and the unit of a time: s, ms, us or ns
//     visit = none          a path, and the value where the writer's schema has no such path
//     = more                a constant
//     (empty)               the field is not in the record
//     <key>                 the message's key, as topics.<name>.key reads it
//     <header.ce_id>        the last header of that name
//     at iso                a time as a text such as 2026-01-31T12:30:00.5Z
//     verb like=more 'no thanks'=less *=skip
//                           a value map; skip leaves the record out, reject refuses it. Values with
//                           spaces stand in quotes
//     type is page product  of `where`: the values that make a record an event
//     test not true         of `where`: those that do not
//
// `text` is cut in place and lives as long as the entry. Errors: MR_FATAL, more words than that.
MR_CHECKED mr_status mr_mapping_source(char *text, mr_mapping_entry *entry, mr_error *err);

// The next pair of a value map; *at is entry->values at first. `where`: *to is not set.
const char *mr_mapping_pair(const mr_mapping_entry *entry, const char **at, const char **to);

// The entry of a role, of which a mapping has at most one; NULL: none.
const mr_mapping_entry *mr_mapping_role_of(const mr_mapping *mapping, mr_mapping_role role);

// Whether the mapping can make of a record another number of events than one.
bool mr_mapping_selects(const mr_mapping *mapping);

// Whether the entries fit each other, whatever a schema says: roles at most once, kinds that there
// are, value maps of texts only, and with `each` no lines, no vector, and the user of the record.
// Errors: MR_FATAL.
MR_CHECKED mr_status mr_mapping_check(const mr_mapping *mapping, mr_error *err);

// What stands for a value in the map of MR_ROLE_KIND: a kind, or one of these.
enum { MR_KIND_SKIP = MR_EVENT_KIND_COUNT, MR_KIND_REJECT };
bool mr_mapping_kind(const char *text, uint32_t *kind);

// Behind the path of `each` and a dot, or "" where the two are the same; NULL: the path does not
// lead into its array.
const char *mr_mapping_in_each(const mr_mapping *mapping, const char *path);

// A 64-bit name of the mapping's content: equal mappings give equal plans.
uint64_t mr_mapping_hash(const mr_mapping *mapping);

#endif
