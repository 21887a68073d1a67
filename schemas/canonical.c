// SPDX-License-Identifier: Apache-2.0
#include "schemas/canonical.h"

#include <stdio.h>
#include <string.h>

#define CRC_EMPTY UINT64_C(0xc15d213aa4d7a795) // polynomial and start value

typedef struct sink { // where the form goes, piece by piece
    const mr_schema *schema;
    char *text;
    size_t room, size;
    uint64_t crc;
    uint64_t printed[MR_SCHEMA_TYPES_MAX / 64]; // named types: later mentions are by name
} sink;

// One table entry, reckoned when it is needed: schemas are hashed once each.
static uint64_t crc_of_byte(uint64_t byte)
{
    for (uint32_t bit = 0; bit < 8; bit++)
        byte = byte >> 1 ^ (CRC_EMPTY & (UINT64_C(0) - (byte & 1)));
    return byte;
}

static uint64_t crc_add(uint64_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc_of_byte((crc ^ data[i]) & 0xff);
    return crc;
}

uint64_t mr_fingerprint_bytes(const void *data, size_t size)
{
    return crc_add(CRC_EMPTY, data, size);
}

static void put(sink *out, const char *text)
{
    const size_t size = strlen(text);
    out->crc = crc_add(out->crc, (const uint8_t *)text, size);
    if (out->size < out->room) {
        const size_t left = out->room - out->size;
        memcpy(out->text + out->size, text, size < left ? size : left);
    }
    out->size += size;
}

static void put_quoted(sink *out, const char *text)
{
    put(out, "\"");
    put(out, text);
    put(out, "\"");
}

static void put_type(sink *out, uint32_t index);

static void put_part_type(sink *out, const mr_schema_type *type, uint32_t part)
{
    put_type(out, out->schema->parts[type->part_first + part].type);
}

static void put_fields(sink *out, const mr_schema_type *record)
{
    put(out, ",\"type\":\"record\",\"fields\":[");
    for (uint32_t i = 0; i < record->part_count; i++) {
        put(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        put_quoted(out, out->schema->parts[record->part_first + i].name);
        put(out, ",\"type\":");
        put_part_type(out, record, i);
        put(out, "}");
    }
    put(out, "]}");
}

static void put_symbols(sink *out, const mr_schema_type *type)
{
    put(out, ",\"type\":\"enum\",\"symbols\":[");
    for (uint32_t i = 0; i < type->part_count; i++) {
        put(out, i > 0 ? "," : "");
        put_quoted(out, out->schema->parts[type->part_first + i].name);
    }
    put(out, "]}");
}

static void put_named(sink *out, uint32_t index)
{
    const mr_schema_type *type = out->schema->types + index;
    uint64_t *const word = out->printed + index / 64;
    const uint64_t bit = UINT64_C(1) << index % 64;
    if ((*word & bit) != 0) {
        put_quoted(out, type->name);
        return;
    }
    *word |= bit;
    put(out, "{\"name\":");
    put_quoted(out, type->name);
    if (type->avro == MR_AVRO_RECORD) {
        put_fields(out, type);
    } else if (type->avro == MR_AVRO_ENUM) {
        put_symbols(out, type);
    } else {
        char size[48];
        snprintf(size, sizeof size, ",\"type\":\"fixed\",\"size\":%u}", type->size);
        put(out, size);
    }
}

static void put_type(sink *out, uint32_t index)
{
    const mr_schema_type *type = out->schema->types + index;
    if (type->name != NULL) {
        put_named(out, index);
    } else if (type->avro == MR_AVRO_UNION) {
        put(out, "[");
        for (uint32_t i = 0; i < type->part_count; i++) {
            put(out, i > 0 ? "," : "");
            put_part_type(out, type, i);
        }
        put(out, "]");
    } else if (type->avro == MR_AVRO_ARRAY || type->avro == MR_AVRO_MAP) {
        const bool is_array = type->avro == MR_AVRO_ARRAY;
        put(out, is_array ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":");
        put_part_type(out, type, 0);
        put(out, "}");
    } else {
        put_quoted(out, mr_avro_name(type->avro));
    }
}

static void print(const mr_schema *schema, char *text, size_t room, sink *out)
{
    memset(out, 0, sizeof *out);
    out->schema = schema;
    out->text = text;
    out->room = room;
    out->crc = CRC_EMPTY;
    put_type(out, schema->root);
}

uint64_t mr_fingerprint(const mr_schema *schema)
{
    sink out;
    print(schema, NULL, 0, &out);
    return out.crc;
}

size_t mr_canonical_text(const mr_schema *schema, char *text, size_t room)
{
    sink out;
    print(schema, text, room > 0 ? room - 1 : 0, &out);
    if (room > 0)
        text[out.size < room ? out.size : room - 1] = '\0';
    return out.size;
}
