// SPDX-License-Identifier: Apache-2.0
// schema: an Avro schema, read from its JSON text into a graph of types.
//
// This parser decides what a schema is. avro-c's drops aliases, defaults and logical types, takes
// what the specification forbids (a fixed of negative size, a union inside a union) and refuses
// what other implementations write ({"type": {"type": "string"}}), so it serves as an oracle in
// tests only. Source: Apache Avro 1.12, "Schema Declaration", "Names", "Logical Types".
#ifndef MR_SCHEMAS_SCHEMA_H
#define MR_SCHEMAS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

enum {
    MR_SCHEMA_BYTES_MAX = 1 << 20, // JSON text of a schema
    MR_SCHEMA_TYPES_MAX = 8192,    // types in it, each mention of a primitive is one
    MR_SCHEMA_PARTS_MAX = 65536,   // fields, branches and symbols together
    MR_SCHEMA_DEPTH_MAX = 64,      // types inside types
};

typedef enum mr_avro {
    MR_AVRO_NULL,
    MR_AVRO_BOOLEAN,
    MR_AVRO_INT,
    MR_AVRO_LONG,
    MR_AVRO_FLOAT,
    MR_AVRO_DOUBLE,
    MR_AVRO_BYTES,
    MR_AVRO_STRING,
    MR_AVRO_RECORD,
    MR_AVRO_ENUM,
    MR_AVRO_ARRAY,
    MR_AVRO_MAP,
    MR_AVRO_UNION,
    MR_AVRO_FIXED,
} mr_avro;

// Only those that change how a value is read. Unknown and invalid ones count as none; the local
// timestamps, which have no zone, are taken as UTC.
typedef enum mr_logical {
    MR_LOGICAL_NONE,
    MR_LOGICAL_DECIMAL,
    MR_LOGICAL_UUID,
    MR_LOGICAL_DATE,
    MR_LOGICAL_MILLIS,
    MR_LOGICAL_MICROS,
    MR_LOGICAL_NANOS,
} mr_logical;

typedef struct mr_schema_part { // a field of a record, a branch of a union, a symbol of an enum
    const char *name;           // NULL for a branch
    uint32_t type;              // index into types; unused for a symbol
    uint32_t alias_first, alias_count;
    bool has_default;
} mr_schema_part;

typedef struct mr_schema_type {
    mr_avro avro;
    mr_logical logical;
    const char *name;                // full name of a record, enum or fixed; else NULL
    uint32_t part_first, part_count; // fields, branches or symbols; array, map: one part, the items
    uint32_t size;                   // fixed: bytes
    uint32_t scale;                  // decimal: digits after the point
    uint32_t bytes_min;              // no value of this type takes fewer bytes
    bool bytes_fixed;                // every value takes exactly bytes_min
} mr_schema_type;

typedef struct mr_schema { // visible to be walked; written by this module alone
    mr_schema_type *types;
    mr_schema_part *parts;
    const char **aliases; // of fields
    uint32_t type_count, part_count, alias_count;
    uint32_t root; // index into types
    void *json;    // the jansson tree that names are borrowed from
    char **names;  // full names that had to be composed
    uint32_t name_count;
} mr_schema;

// Reads `size` bytes of JSON. On success the caller owns *schema and closes it.
// Errors: MR_REJECT unsuitable_schema with line and column, or the path of the offending type.
MR_CHECKED mr_status mr_schema_open(const char *text, size_t size, mr_schema **schema,
                                    mr_error *err);
void mr_schema_close(mr_schema *schema);

// The field of a record by its name, or else by one of its aliases. NULL: there is none.
const mr_schema_part *mr_schema_field(const mr_schema *schema, const mr_schema_type *record,
                                      const char *name, size_t name_size);

// "long", "record", ...
const char *mr_avro_name(mr_avro avro);

#endif
