// SPDX-License-Identifier: Apache-2.0
// A recursive descent over the jansson tree. Strings stay where jansson put them; only full names
// that join a namespace and a name are composed here. Types refer to each other by index, so a
// recursive schema is a graph with a cycle and needs no special case.
#include "schemas/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 160 };

typedef struct parser {
    mr_schema *schema;
    mr_error *err;
    uint32_t type_room, part_room, alias_room, name_room;
    uint32_t depth;
    char path[PATH_SIZE]; // "Click.lines[].price", for errors
} parser;

static const char *const avro_names[] = {
    "null",   "boolean", "int",  "long",  "float", "double", "bytes",
    "string", "record",  "enum", "array", "map",   "union",  "fixed",
};

const char *mr_avro_name(mr_avro avro)
{
    return avro_names[avro];
}

static mr_status refuse(parser *in, const char *what, const char *detail)
{
    return mr_reject(in->err, MR_CAUSE_unsuitable_schema, "schema: at '%s': %s%s%s%s", in->path,
                     what, detail != NULL ? " '" : "", detail != NULL ? detail : "",
                     detail != NULL ? "'" : "");
}

// Makes room for `more` elements in a growing array; the limits keep the sums far from overflow.
static bool reserve(void *array, uint32_t count, uint32_t more, uint32_t *room, size_t element)
{
    if (count + more <= *room)
        return true;
    uint32_t bigger = *room < 16 ? 16 : *room * 2;
    if (bigger < count + more)
        bigger = count + more;
    void *old, *moved;
    memcpy(&old, array, sizeof old);
    moved = realloc(old, bigger * element);
    if (moved == NULL)
        return false;
    memcpy(array, &moved, sizeof moved);
    *room = bigger;
    return true;
}

static mr_status out_of_memory(parser *in)
{
    return mr_fail(in->err, MR_FATAL, "schema: out of memory");
}

static mr_status add_type(parser *in, mr_avro avro, uint32_t *index)
{
    mr_schema *schema = in->schema;
    if (schema->type_count == MR_SCHEMA_TYPES_MAX)
        return refuse(in, "the schema has more than 8192 types", NULL);
    if (!reserve(&schema->types, schema->type_count, 1, &in->type_room, sizeof *schema->types))
        return out_of_memory(in);
    *index = schema->type_count++;
    schema->types[*index] = (mr_schema_type){.avro = avro};
    return MR_OK;
}

static mr_status add_parts(parser *in, uint32_t type, size_t count)
{
    mr_schema *schema = in->schema;
    if (count > MR_SCHEMA_PARTS_MAX - schema->part_count)
        return refuse(in, "the schema has more than 65536 fields, branches and symbols", NULL);
    if (!reserve(&schema->parts, schema->part_count, (uint32_t)count, &in->part_room,
                 sizeof *schema->parts))
        return out_of_memory(in);
    memset(schema->parts + schema->part_count, 0, count * sizeof *schema->parts);
    schema->types[type].part_first = schema->part_count;
    schema->types[type].part_count = (uint32_t)count;
    schema->part_count += (uint32_t)count;
    return MR_OK;
}

// A name of the specification, or one that lax writers let through: it only has to stay printable
// and unambiguous in a path and in the canonical form. A full name may have dots.
static bool name_is_good(const char *name, bool dots)
{
    if (*name == '\0')
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
            return false;
        if (*c == '.' && (!dots || c == name || c[1] == '.' || c[1] == '\0'))
            return false;
    }
    return true;
}

// "space" of "space.name": its size, 0 if there is none.
static size_t space_size(const char *full)
{
    const char *dot = strrchr(full, '.');
    return dot == NULL ? 0 : (size_t)(dot - full);
}

// The full name in *full: `name` itself if it has a dot or there is no namespace.
static mr_status full_name(parser *in, const char *name, const char *space, size_t space_bytes,
                           const char **full)
{
    mr_schema *schema = in->schema;
    *full = name;
    if (strchr(name, '.') != NULL || space_bytes == 0)
        return MR_OK;
    const size_t name_bytes = strlen(name);
    if (!reserve(&schema->names, schema->name_count, 1, &in->name_room, sizeof *schema->names))
        return out_of_memory(in);
    char *text = malloc(space_bytes + name_bytes + 2);
    if (text == NULL)
        return out_of_memory(in);
    memcpy(text, space, space_bytes);
    text[space_bytes] = '.';
    memcpy(text + space_bytes + 1, name, name_bytes + 1);
    schema->names[schema->name_count++] = text;
    *full = text;
    return MR_OK;
}

// A named type by its full name given in two pieces. Returns false if it is not defined (yet).
static bool find_named(const mr_schema *schema, const char *space, size_t space_bytes,
                       const char *name, uint32_t *index)
{
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const char *full = schema->types[i].name;
        if (full == NULL)
            continue;
        if (space_bytes > 0) {
            if (strncmp(full, space, space_bytes) != 0 || full[space_bytes] != '.')
                continue;
            full += space_bytes + 1;
        }
        if (strcmp(full, name) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool primitive_of(const char *name, mr_avro *avro)
{
    for (uint32_t i = MR_AVRO_NULL; i <= MR_AVRO_STRING; i++) {
        if (strcmp(name, avro_names[i]) == 0) {
            *avro = (mr_avro)i;
            return true;
        }
    }
    return false;
}

static mr_status parse_reference(parser *in, const char *name, const char *space, uint32_t *index)
{
    mr_avro avro;
    if (primitive_of(name, &avro))
        return add_type(in, avro, index);
    const size_t space_bytes = strchr(name, '.') == NULL ? space_size(space) : 0;
    if (find_named(in->schema, space, space_bytes, name, index))
        return MR_OK;
    // A plain name that its namespace does not know may be one without a namespace, as in Java.
    if (space_bytes > 0 && find_named(in->schema, NULL, 0, name, index))
        return MR_OK;
    return refuse(in, "unknown type", name);
}

static mr_status parse_type(parser *in, json_t *json, const char *space, uint32_t *index);

// Appends to the path for errors; returns its old length, for path_pop.
static size_t path_push(parser *in, const char *dot, const char *name)
{
    const size_t size = strlen(in->path);
    snprintf(in->path + size, sizeof in->path - size, "%s%s", size > 0 ? dot : "", name);
    return size;
}

static void path_pop(parser *in, size_t size)
{
    in->path[size] = '\0';
}

static mr_status parse_aliases(parser *in, json_t *json, mr_schema_part *part)
{
    mr_schema *schema = in->schema;
    const json_t *aliases = json_object_get(json, "aliases");
    if (aliases == NULL)
        return MR_OK;
    const size_t count = json_array_size(aliases);
    if (!json_is_array(aliases) || count > MR_SCHEMA_PARTS_MAX - schema->alias_count)
        return refuse(in, "'aliases' has to be an array of names", NULL);
    if (count > 0 && !reserve(&schema->aliases, schema->alias_count, (uint32_t)count,
                              &in->alias_room, sizeof *schema->aliases))
        return out_of_memory(in);
    part->alias_first = schema->alias_count;
    for (size_t i = 0; i < count; i++) {
        const char *alias = json_string_value(json_array_get(aliases, i));
        if (alias == NULL)
            return refuse(in, "'aliases' has to be an array of names", NULL);
        schema->aliases[schema->alias_count++] = alias;
        part->alias_count++;
    }
    return MR_OK;
}

static mr_status parse_field(parser *in, uint32_t record, uint32_t number, json_t *json)
{
    const mr_schema *schema = in->schema;
    const char *name = json_string_value(json_object_get(json, "name"));
    json_t *type_json = json_object_get(json, "type");
    if (name == NULL || !name_is_good(name, false))
        return refuse(in, "a field has no good name", name);
    const uint32_t first = schema->types[record].part_first;
    for (uint32_t i = 0; i < number; i++) {
        if (strcmp(schema->parts[first + i].name, name) == 0)
            return refuse(in, "two fields are called", name);
    }
    if (type_json == NULL)
        return refuse(in, "there is no type for the field", name);
    const size_t mark = path_push(in, ".", name);
    mr_schema_part part = {.name = name, .has_default = json_object_get(json, "default") != NULL};
    MR_TRY(parse_aliases(in, json, &part));
    MR_TRY(parse_type(in, type_json, schema->types[record].name, &part.type));
    schema->parts[first + number] = part;
    path_pop(in, mark);
    return MR_OK;
}

static mr_status parse_record(parser *in, json_t *json, uint32_t record)
{
    json_t *fields = json_object_get(json, "fields");
    if (!json_is_array(fields))
        return refuse(in, "a record needs an array 'fields'", NULL);
    const size_t count = json_array_size(fields);
    MR_TRY(add_parts(in, record, count));
    for (size_t i = 0; i < count; i++)
        MR_TRY(parse_field(in, record, (uint32_t)i, json_array_get(fields, i)));
    return MR_OK;
}

static mr_status parse_enum(parser *in, json_t *json, uint32_t index)
{
    const json_t *symbols = json_object_get(json, "symbols");
    const size_t count = json_array_size(symbols);
    if (!json_is_array(symbols) || count == 0)
        return refuse(in, "an enum needs an array 'symbols'", NULL);
    MR_TRY(add_parts(in, index, count));
    mr_schema_part *parts = in->schema->parts + in->schema->types[index].part_first;
    for (size_t i = 0; i < count; i++) {
        parts[i].name = json_string_value(json_array_get(symbols, i));
        if (parts[i].name == NULL || !name_is_good(parts[i].name, true))
            return refuse(in, "an enum's symbols have to be names", parts[i].name);
    }
    return MR_OK;
}

static mr_status parse_fixed(parser *in, json_t *json, mr_schema_type *type)
{
    const json_t *size = json_object_get(json, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX)
        return refuse(in, "a fixed needs a 'size' from 0 to 2147483647", NULL);
    type->size = (uint32_t)json_integer_value(size);
    return MR_OK;
}

// Which logical type stands on this type; one that does not fit is ignored, as the standard asks.
static void read_logical(json_t *json, mr_schema_type *type)
{
    static const struct {
        const char *name;
        mr_logical logical;
        mr_avro on;
    } known[] = {
        {"timestamp-millis", MR_LOGICAL_MILLIS, MR_AVRO_LONG},
        {"timestamp-micros", MR_LOGICAL_MICROS, MR_AVRO_LONG},
        {"timestamp-nanos", MR_LOGICAL_NANOS, MR_AVRO_LONG},
        {"local-timestamp-millis", MR_LOGICAL_MILLIS, MR_AVRO_LONG},
        {"local-timestamp-micros", MR_LOGICAL_MICROS, MR_AVRO_LONG},
        {"local-timestamp-nanos", MR_LOGICAL_NANOS, MR_AVRO_LONG},
        {"date", MR_LOGICAL_DATE, MR_AVRO_INT},
        {"uuid", MR_LOGICAL_UUID, MR_AVRO_FIXED},
        {"decimal", MR_LOGICAL_DECIMAL, MR_AVRO_BYTES},
        {"decimal", MR_LOGICAL_DECIMAL, MR_AVRO_FIXED},
    };
    const char *name = json_string_value(json_object_get(json, "logicalType"));
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++) {
        if (known[i].on == type->avro && strcmp(known[i].name, name) == 0)
            type->logical = known[i].logical;
    }
    if (type->logical == MR_LOGICAL_UUID && type->size != 16)
        type->logical = MR_LOGICAL_NONE;
    if (type->logical == MR_LOGICAL_DECIMAL) {
        const json_int_t precision = json_integer_value(json_object_get(json, "precision"));
        const json_int_t scale = json_integer_value(json_object_get(json, "scale"));
        if (precision < 1 || scale < 0 || scale > precision || scale > 300)
            type->logical = MR_LOGICAL_NONE;
        else
            type->scale = (uint32_t)scale;
    }
}

static mr_status parse_named(parser *in, mr_avro avro, json_t *json, const char *space,
                             uint32_t *index)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const json_t *own_space = json_object_get(json, "namespace");
    const char *full;
    uint32_t other;
    if (name == NULL || !name_is_good(name, true))
        return refuse(in, "a type has no good name", name);
    if (json_is_string(own_space)) {
        const char *given = json_string_value(own_space);
        if (*given != '\0' && !name_is_good(given, true))
            return refuse(in, "bad namespace", given);
        MR_TRY(full_name(in, name, given, strlen(given), &full));
    } else {
        MR_TRY(full_name(in, name, space, space_size(space), &full));
    }
    if (find_named(in->schema, NULL, 0, full, &other))
        return refuse(in, "two types are called", full);
    MR_TRY(add_type(in, avro, index));
    in->schema->types[*index].name = full;
    const size_t mark = in->path[0] == '\0' ? path_push(in, "", full) : strlen(in->path);
    if (avro == MR_AVRO_RECORD)
        MR_TRY(parse_record(in, json, *index));
    else if (avro == MR_AVRO_ENUM)
        MR_TRY(parse_enum(in, json, *index));
    else
        MR_TRY(parse_fixed(in, json, &in->schema->types[*index]));
    path_pop(in, mark);
    return MR_OK;
}

static mr_status parse_items(parser *in, mr_avro avro, json_t *json, const char *space,
                             uint32_t *index)
{
    json_t *items = json_object_get(json, avro == MR_AVRO_ARRAY ? "items" : "values");
    uint32_t item;
    if (items == NULL)
        return refuse(in, avro == MR_AVRO_ARRAY ? "an array needs 'items'" : "a map needs 'values'",
                      NULL);
    MR_TRY(add_type(in, avro, index));
    MR_TRY(add_parts(in, *index, 1));
    const size_t mark = path_push(in, "", avro == MR_AVRO_ARRAY ? "[]" : "{}");
    MR_TRY(parse_type(in, items, space, &item));
    in->schema->parts[in->schema->types[*index].part_first].type = item;
    path_pop(in, mark);
    return MR_OK;
}

static mr_status parse_object(parser *in, json_t *json, const char *space, uint32_t *index)
{
    json_t *type = json_object_get(json, "type");
    const char *name = json_string_value(type);
    if (json_is_object(type) ||
        json_is_array(type)) // one more wrapper than needed, seen in the wild
        return parse_type(in, type, space, index);
    if (name == NULL)
        return refuse(in, "there is no 'type'", NULL);
    if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0)
        MR_TRY(parse_named(in, MR_AVRO_RECORD, json, space, index));
    else if (strcmp(name, "enum") == 0)
        MR_TRY(parse_named(in, MR_AVRO_ENUM, json, space, index));
    else if (strcmp(name, "fixed") == 0)
        MR_TRY(parse_named(in, MR_AVRO_FIXED, json, space, index));
    else if (strcmp(name, "array") == 0)
        return parse_items(in, MR_AVRO_ARRAY, json, space, index);
    else if (strcmp(name, "map") == 0)
        return parse_items(in, MR_AVRO_MAP, json, space, index);
    else {
        const uint32_t before = in->schema->type_count;
        MR_TRY(parse_reference(in, name, space, index));
        if (in->schema->type_count == before)
            return MR_OK; // a mention of a named type: its definition has the logical type
    }
    read_logical(json, &in->schema->types[*index]);
    return MR_OK;
}

static bool same_branch(const mr_schema_type *a, const mr_schema_type *b)
{
    return a == b || (a->avro == b->avro && a->name == NULL && b->name == NULL);
}

static mr_status parse_union(parser *in, json_t *json, const char *space, uint32_t *index)
{
    const size_t count = json_array_size(json);
    MR_TRY(add_type(in, MR_AVRO_UNION, index));
    MR_TRY(add_parts(in, *index, count));
    const uint32_t first = in->schema->types[*index].part_first;
    for (size_t i = 0; i < count; i++) {
        uint32_t branch;
        MR_TRY(parse_type(in, json_array_get(json, i), space, &branch));
        const mr_schema_type *types = in->schema->types;
        if (types[branch].avro == MR_AVRO_UNION)
            return refuse(in, "a union stands directly in a union", NULL);
        for (size_t j = 0; j < i; j++) {
            if (same_branch(types + branch, types + in->schema->parts[first + j].type))
                return refuse(in, "a union has two branches of the type",
                              types[branch].name != NULL ? types[branch].name
                                                         : avro_names[types[branch].avro]);
        }
        in->schema->parts[first + i].type = branch;
    }
    return MR_OK;
}

static mr_status parse_type(parser *in, json_t *json, const char *space, uint32_t *index)
{
    mr_status status;
    if (in->depth == MR_SCHEMA_DEPTH_MAX)
        return refuse(in, "types are nested more than 64 deep", NULL);
    in->depth++;
    if (json_is_string(json))
        status = parse_reference(in, json_string_value(json), space, index);
    else if (json_is_object(json))
        status = parse_object(in, json, space, index);
    else if (json_is_array(json))
        status = parse_union(in, json, space, index);
    else
        status = refuse(in, "a type has to be a name, an object or an array", NULL);
    in->depth--;
    return status;
}

// Sizes. Records are measured in any order and more than once until nothing changes: a lower bound
// that starts at 0 only grows, and what a record of itself would need is cut at SIZE_MAX_SUM.
enum { SIZE_MAX_SUM = 1 << 30, SIZE_ROUNDS_MAX = MR_SCHEMA_DEPTH_MAX + 1 };

static uint32_t add_sizes(uint32_t a, uint32_t b)
{
    const uint64_t sum = (uint64_t)a + b;
    return sum > SIZE_MAX_SUM ? SIZE_MAX_SUM : (uint32_t)sum;
}

static void measure_record(const mr_schema *schema, mr_schema_type *type)
{
    uint32_t bytes = 0;
    bool is_fixed = true;
    for (uint32_t i = 0; i < type->part_count; i++) {
        const mr_schema_type *field = schema->types + schema->parts[type->part_first + i].type;
        bytes = add_sizes(bytes, field->bytes_min);
        is_fixed = is_fixed && field->bytes_fixed;
    }
    type->bytes_min = bytes;
    type->bytes_fixed = is_fixed;
}

static void measure_plain(mr_schema_type *type)
{
    static const uint8_t sizes[] = {
        [MR_AVRO_BOOLEAN] = 1, [MR_AVRO_FLOAT] = 4, [MR_AVRO_DOUBLE] = 8};
    switch (type->avro) {
    case MR_AVRO_NULL:
    case MR_AVRO_BOOLEAN:
    case MR_AVRO_FLOAT:
    case MR_AVRO_DOUBLE:
        type->bytes_min = sizes[type->avro];
        type->bytes_fixed = true;
        break;
    case MR_AVRO_FIXED:
        type->bytes_min = add_sizes(type->size, 0);
        type->bytes_fixed = type->size <= SIZE_MAX_SUM;
        break;
    default: // a length, a count, an index or a number: a byte at least
        type->bytes_min = type->avro == MR_AVRO_RECORD ? 0 : 1;
        type->bytes_fixed = false;
        break;
    }
}

static void measure(mr_schema *schema)
{
    for (uint32_t i = 0; i < schema->type_count; i++)
        measure_plain(schema->types + i);
    // Definitions nest at most DEPTH_MAX deep and inner types have higher indexes, so one pass from
    // the back settles them; mentions of earlier types need one pass more for each level.
    for (uint32_t round = 0; round < SIZE_ROUNDS_MAX; round++) {
        bool changed = false;
        for (uint32_t i = schema->type_count; i-- > 0;) {
            mr_schema_type *type = schema->types + i;
            const uint32_t bytes = type->bytes_min;
            const bool is_fixed = type->bytes_fixed;
            if (type->avro == MR_AVRO_RECORD)
                measure_record(schema, type);
            changed = changed || bytes != type->bytes_min || is_fixed != type->bytes_fixed;
        }
        if (!changed)
            return;
    }
}

mr_status mr_schema_open(const char *text, size_t size, mr_schema **schema, mr_error *err)
{
    json_error_t where;
    if (size > MR_SCHEMA_BYTES_MAX)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "schema: %zu bytes of text, at most %d are read", size,
                         MR_SCHEMA_BYTES_MAX);
    parser in = {.schema = calloc(1, sizeof **schema), .err = err};
    if (in.schema == NULL)
        return out_of_memory(&in);
    mr_status status;
    // So that no pointer to parts is null, not even that of a record of no fields.
    if (!reserve(&in.schema->parts, 0, 1, &in.part_room, sizeof *in.schema->parts)) {
        mr_schema_close(in.schema);
        return out_of_memory(&in);
    }
    in.schema->json = json_loadb(text, size, JSON_DECODE_ANY, &where);
    if (in.schema->json == NULL)
        status = mr_reject(err, MR_CAUSE_unsuitable_schema, "schema: line %d column %d: %s",
                           where.line, where.column, where.text);
    else
        status = parse_type(&in, in.schema->json, "", &in.schema->root);
    if (status != MR_OK) {
        mr_schema_close(in.schema);
        return status;
    }
    measure(in.schema);
    *schema = in.schema;
    return MR_OK;
}

void mr_schema_close(mr_schema *schema)
{
    if (schema == NULL)
        return;
    for (uint32_t i = 0; i < schema->name_count; i++)
        free(schema->names[i]);
    free(schema->names);
    free(schema->types);
    free(schema->parts);
    free(schema->aliases);
    json_decref(schema->json);
    free(schema);
}

static bool equal(const char *text, const char *name, size_t name_size)
{
    return strncmp(text, name, name_size) == 0 && text[name_size] == '\0';
}

const mr_schema_part *mr_schema_field(const mr_schema *schema, const mr_schema_type *record,
                                      const char *name, size_t name_size)
{
    const mr_schema_part *fields = schema->parts + record->part_first;
    for (uint32_t i = 0; i < record->part_count; i++) {
        if (equal(fields[i].name, name, name_size))
            return fields + i;
    }
    for (uint32_t i = 0; i < record->part_count; i++) {
        for (uint32_t j = 0; j < fields[i].alias_count; j++) {
            if (equal(schema->aliases[fields[i].alias_first + j], name, name_size))
                return fields + i;
        }
    }
    return NULL;
}
