// SPDX-License-Identifier: Apache-2.0
// Random schemas, and random data for any schema, from one seed. Used by the differential test of
// the decode plan and to make the first corpus of its fuzzers.
#ifndef MR_TESTS_UNIT_SCHEMAS_GENERATOR_H
#define MR_TESTS_UNIT_SCHEMAS_GENERATOR_H

#include <stdio.h>

#include "core/base/rng.h"
#include "schemas/schema.h"
#include "schemas/writer.h"

enum { GENERATED_SCHEMA_BYTES = 1 << 16 };

typedef struct generator {
    mr_rng rng;
    char text[GENERATED_SCHEMA_BYTES]; // of the schema, a NUL at the end
    size_t size;
    uint32_t names;      // named types so far: T0, T1, ...
    uint32_t open[8];    // records that are being written, outermost first
    uint32_t open_count; // a recursive mention has to name one of them
} generator;

static inline uint32_t generator_below(generator *g, uint32_t bound)
{
    return mr_rng_below(&g->rng, bound);
}

static inline generator generator_make(uint64_t seed)
{
    return (generator){.rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SAMPLE)};
}

__attribute__((format(printf, 2, 3))) static inline void say(generator *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g->size += (size_t)vsnprintf(g->text + g->size, sizeof g->text - g->size, format, args);
    va_end(args);
}

static void generate_type(generator *g, uint32_t depth, bool in_union);

static inline void generate_record(generator *g, uint32_t depth)
{
    // At least one field: avro-c 1.11 cannot read an array of items that take no memory.
    const uint32_t name = g->names++, fields = 1 + (depth > 0 ? generator_below(g, 5) : 0);
    say(g, "{\"type\":\"record\",\"name\":\"T%u\",\"fields\":[", name);
    g->open[g->open_count++] = name;
    for (uint32_t i = 0; i < fields; i++) {
        say(g, "%s{\"name\":\"f%u\",\"type\":", i > 0 ? "," : "", i);
        generate_type(g, depth > 0 ? depth - 1 : 0, false);
        say(g, "}");
    }
    g->open_count--;
    say(g, "]}");
}

static inline void generate_enum(generator *g)
{
    const uint32_t name = g->names++, symbols = 1 + generator_below(g, 5);
    say(g, "{\"type\":\"enum\",\"name\":\"T%u\",\"symbols\":[", name);
    for (uint32_t i = 0; i < symbols; i++)
        say(g, "%s\"S%u_%u\"", i > 0 ? "," : "", name, i);
    say(g, "]}");
}

// Branches of different kinds: one of each group, so that a union never has two of a type.
static inline void generate_union(generator *g, uint32_t depth)
{
    static const char *const plain[] = {"\"null\"",    "\"string\"", "\"long\"", "\"double\"",
                                        "\"boolean\"", "\"bytes\"",  "\"int\"",  "\"float\""};
    const uint32_t first = generator_below(g, 8), count = generator_below(g, 4);
    say(g, "[%s", plain[first]);
    for (uint32_t i = 1; i <= count; i++)
        say(g, ",%s", plain[(first + i) % 8]);
    if (g->open_count > 0 && generator_below(g, 3) == 0)
        say(g, ",\"T%u\"", g->open[generator_below(g, g->open_count)]);
    if (depth > 0 && generator_below(g, 2) == 0) {
        say(g, ",");
        generate_record(g, depth - 1);
    }
    if (depth > 0 && generator_below(g, 4) == 0) {
        say(g, ",{\"type\":\"array\",\"items\":");
        generate_type(g, depth - 1, false);
        say(g, "}");
    }
    say(g, "]");
}

static inline void generate_type(generator *g, uint32_t depth, bool in_union)
{
    static const char *const plain[] = {"\"string\"", "\"long\"",    "\"int\"",   "\"double\"",
                                        "\"float\"",  "\"boolean\"", "\"bytes\"", "\"null\""};
    const uint32_t kind = generator_below(g, depth > 0 ? 14 : 9);
    if (kind < 8) {
        say(g, "%s", plain[kind]);
    } else if (kind == 8) {
        generate_enum(g);
    } else if (kind == 9) {
        say(g, "{\"type\":\"fixed\",\"name\":\"T%u\",\"size\":%u}", g->names,
            1 + generator_below(g, 20));
        g->names++;
    } else if (kind == 10) {
        generate_record(g, depth - 1);
    } else if (kind == 11 || in_union) {
        say(g, "{\"type\":\"array\",\"items\":");
        generate_type(g, depth - 1, false);
        say(g, "}");
    } else if (kind == 12) {
        say(g, "{\"type\":\"map\",\"values\":");
        generate_type(g, depth - 1, false);
        say(g, "}");
    } else {
        generate_union(g, depth - 1);
    }
}

// A record with two to nine fields at the top.
static inline void generate_schema(generator *g)
{
    const uint32_t fields = 2 + generator_below(g, 8);
    g->size = g->open_count = g->names = 0;
    say(g, "{\"type\":\"record\",\"name\":\"Top\",\"fields\":[");
    for (uint32_t i = 0; i < fields; i++) {
        say(g, "%s{\"name\":\"f%u\",\"type\":", i > 0 ? "," : "", i);
        generate_type(g, 4, false);
        say(g, "}");
    }
    say(g, "]}");
}

// ---- data ----

static inline void generate_string(generator *g, mr_writer *out)
{
    static const char *const pieces[] = {
        "a", "id-", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "0123456789abcdef"};
    char text[128];
    size_t size = 0;
    for (uint32_t count = generator_below(g, 6); count > 0; count--) {
        const char *piece = pieces[generator_below(g, generator_below(g, 4) == 0 ? 6 : 2)];
        memcpy(text + size, piece, strlen(piece));
        size += strlen(piece);
    }
    mr_put_bytes(out, mr_bytes_of(text, size));
}

static inline int64_t generate_long(generator *g)
{
    const uint64_t bits = (uint64_t)mr_rng_u32(&g->rng) << 32 | mr_rng_u32(&g->rng);
    return (int64_t)(bits >> generator_below(g, 64)) * (generator_below(g, 2) == 0 ? 1 : -1);
}

static void generate_data(generator *g, const mr_schema *schema, uint32_t index, uint32_t depth,
                          mr_writer *out);

// Zero to two blocks, some with their size in bytes.
static inline void generate_items(generator *g, const mr_schema *schema, const mr_schema_type *type,
                                  uint32_t depth, mr_writer *out)
{
    for (uint32_t blocks = depth > 8 ? 0 : generator_below(g, 3); blocks > 0; blocks--) {
        const uint32_t count = 1 + generator_below(g, 3);
        const size_t room = 4096;
        uint8_t *scratch = malloc(room);
        mr_writer block = mr_writer_make(scratch, room);
        for (uint32_t i = 0; i < count; i++) {
            if (type->avro == MR_AVRO_MAP) {
                char key[24];
                snprintf(key, sizeof key, "k%u", mr_rng_u32(&g->rng)); // avro-c merges equal keys
                mr_put_text(&block, key);
            }
            generate_data(g, schema, schema->parts[type->part_first].type, depth + 1, &block);
        }
        if (!block.full) {
            const bool with_size = generator_below(g, 2) == 0;
            mr_put_long(out, with_size ? -(int64_t)count : (int64_t)count);
            if (with_size)
                mr_put_long(out, (int64_t)block.size);
            mr_put_raw(out, block.data, block.size);
        }
        free(scratch);
    }
    mr_put_long(out, 0);
}

static inline void generate_branch(generator *g, const mr_schema *schema,
                                   const mr_schema_type *type, uint32_t depth, mr_writer *out)
{
    // Deep down only the first branch, which is never a record: recursion ends.
    const uint32_t branch = depth > 8 ? 0 : generator_below(g, type->part_count);
    mr_put_long(out, branch);
    generate_data(g, schema, schema->parts[type->part_first + branch].type, depth + 1, out);
}

static inline void generate_data(generator *g, const mr_schema *schema, uint32_t index,
                                 uint32_t depth, mr_writer *out)
{
    const mr_schema_type *type = schema->types + index;
    uint8_t bytes[32];
    switch (type->avro) {
    case MR_AVRO_NULL:
        break;
    case MR_AVRO_BOOLEAN:
        mr_put_bool(out, generator_below(g, 2) == 0);
        break;
    case MR_AVRO_INT:
        mr_put_long(out, (int32_t)generate_long(g));
        break;
    case MR_AVRO_LONG:
        mr_put_long(out, generate_long(g));
        break;
    case MR_AVRO_FLOAT:
        mr_put_float(out, (float)generate_long(g) / 16);
        break;
    case MR_AVRO_DOUBLE:
        mr_put_double(out, (double)generate_long(g) / 16);
        break;
    case MR_AVRO_STRING:
        generate_string(g, out);
        break;
    case MR_AVRO_BYTES:
    case MR_AVRO_FIXED:
        for (uint32_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)mr_rng_u32(&g->rng);
        if (type->avro == MR_AVRO_FIXED)
            mr_put_raw(out, bytes, type->size);
        else
            mr_put_bytes(out, mr_bytes_of(bytes, generator_below(g, 20)));
        break;
    case MR_AVRO_ENUM:
        mr_put_long(out, generator_below(g, type->part_count));
        break;
    case MR_AVRO_ARRAY:
    case MR_AVRO_MAP:
        generate_items(g, schema, type, depth, out);
        break;
    case MR_AVRO_UNION:
        generate_branch(g, schema, type, depth, out);
        break;
    case MR_AVRO_RECORD:
        for (uint32_t i = 0; i < type->part_count; i++)
            generate_data(g, schema, schema->parts[type->part_first + i].type, depth + 1, out);
        break;
    }
}

#endif
