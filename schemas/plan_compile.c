// SPDX-License-Identifier: Apache-2.0
// Resolves a mapping against a writer's schema.
//
// What our own schema of the event says is what a reader may expect: its names and aliases are
// looked for where the mapping says nothing, and a field of it without a default has to be found.
// An entry that is written down has to fit; a name that only happens to be there and has another
// type, such as a number called "list", is left alone.
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/plan_build.h"

typedef struct place {
    mr_sort sort;
    uint16_t at;
} place;

static const place places[MR_FIELD_COUNT] = {
    [MR_FIELD_user] = {MR_SORT_TEXT, offsetof(mr_event, user)},
    [MR_FIELD_item] = {MR_SORT_TEXT, offsetof(mr_event, item)},
    [MR_FIELD_time] = {MR_SORT_MILLIS, offsetof(mr_event, time_ms)},
    [MR_FIELD_event_id] = {MR_SORT_TEXT, offsetof(mr_event, event_id)},
    [MR_FIELD_session] = {MR_SORT_TEXT, offsetof(mr_event, session)},
    [MR_FIELD_list] = {MR_SORT_TEXT, offsetof(mr_event, list)},
    [MR_FIELD_list_version] = {MR_SORT_LONG, offsetof(mr_event, list_version)},
    [MR_FIELD_position] = {MR_SORT_LONG, offsetof(mr_event, position)},
    [MR_FIELD_propensity] = {MR_SORT_DOUBLE, offsetof(mr_event, propensity)},
    [MR_FIELD_value] = {MR_SORT_DOUBLE, offsetof(mr_event, value)},
    [MR_FIELD_price] = {MR_SORT_DOUBLE, offsetof(mr_event, price)},
    [MR_FIELD_quantity] = {MR_SORT_DOUBLE, offsetof(mr_event, quantity)},
    [MR_FIELD_lines] = {MR_SORT_LINES, 0},
    [MR_FIELD_context] = {MR_SORT_PAIRS, 0},
    [MR_FIELD_query] = {MR_SORT_TEXT, offsetof(mr_event, query)},
    [MR_FIELD_action] = {MR_SORT_TEXT, offsetof(mr_event, action)},
    [MR_FIELD_target] = {MR_SORT_TEXT, offsetof(mr_event, target)},
    [MR_FIELD_title] = {MR_SORT_TEXT, offsetof(mr_event, title)},
    [MR_FIELD_categories] = {MR_SORT_TEXTS, 0},
    [MR_FIELD_available] = {MR_SORT_BOOL, offsetof(mr_event, available)},
    [MR_FIELD_vector] = {MR_SORT_FLOATS, 0},
};
_Static_assert(sizeof(mr_event) <= UINT16_MAX, "destinations are 16-bit offsets");

static const place part_places[MR_PART_COUNT] = {
    [MR_PART_ITEM] = {MR_SORT_TEXT, offsetof(mr_line, item)},
    [MR_PART_QUANTITY] = {MR_SORT_DOUBLE, offsetof(mr_line, quantity)},
    [MR_PART_PRICE] = {MR_SORT_DOUBLE, offsetof(mr_line, price)},
    [MR_PART_PROPENSITY] = {MR_SORT_DOUBLE, offsetof(mr_line, propensity)},
};

static const char *const sort_names[] = {
    [MR_SORT_TEXT] = "string, bytes, enum, int or long",
    [MR_SORT_LONG] = "int or long",
    [MR_SORT_DOUBLE] = "a number or decimal",
    [MR_SORT_MILLIS] = "long or date (or double)",
    [MR_SORT_BOOL] = "boolean, int or long",
    [MR_SORT_LINES] = "an array of records or of ids",
    [MR_SORT_PAIRS] = "a map of texts or a record",
    [MR_SORT_TEXTS] = "an array of texts or a text",
    [MR_SORT_FLOATS] = "an array of numbers",
};

// ---- growing arrays ----

bool mr_build_reserve(mr_build *b, void *array, uint32_t count, uint32_t more, uint32_t *room,
                      size_t element)
{
    if (b->status != MR_OK)
        return false;
    if (more <= *room - count)
        return true;
    uint64_t bigger = *room < 32 ? 32 : (uint64_t)*room * 2;
    if (bigger < (uint64_t)count + more)
        bigger = (uint64_t)count + more;
    void *old, *moved = NULL;
    memcpy(&old, array, sizeof old);
    if (bigger <= UINT32_MAX)
        moved = realloc(old, (size_t)bigger * element);
    if (moved == NULL) {
        b->status = mr_fail(b->err, MR_FATAL, "plan: out of memory");
        return false;
    }
    memcpy(array, &moved, sizeof moved);
    *room = (uint32_t)bigger;
    return true;
}

uint32_t mr_build_pool(mr_build *b, const char *text, size_t size)
{
    mr_plan *plan = b->plan;
    if (!mr_build_reserve(b, &plan->pool, plan->pool_bytes, (uint32_t)size + 1, &b->pool_room, 1))
        return 0;
    const uint32_t offset = plan->pool_bytes;
    memcpy(plan->pool + offset, text, size);
    plan->pool[offset + size] = '\0';
    plan->pool_bytes += (uint32_t)size + 1;
    return offset;
}

// ---- which types suit which field ----

static bool is_text(const mr_schema_type *type)
{
    switch (type->avro) {
    case MR_AVRO_STRING:
    case MR_AVRO_ENUM:
    case MR_AVRO_INT:
    case MR_AVRO_LONG:
    case MR_AVRO_BOOLEAN:
        return true;
    case MR_AVRO_BYTES:
        return type->logical != MR_LOGICAL_DECIMAL;
    case MR_AVRO_FIXED: // of size 0 it would cost nothing, and an array could claim any number
        return type->logical != MR_LOGICAL_DECIMAL && type->size > 0;
    default:
        return false;
    }
}

static bool is_whole(const mr_schema_type *type)
{
    return type->avro == MR_AVRO_INT || type->avro == MR_AVRO_LONG;
}

static bool is_real(const mr_schema_type *type)
{
    return type->avro == MR_AVRO_FLOAT || type->avro == MR_AVRO_DOUBLE;
}

static bool is_text_of_union(const mr_schema *schema, const mr_schema_type *type)
{
    bool suits = is_text(type);
    for (uint32_t i = 0; type->avro == MR_AVRO_UNION && i < type->part_count; i++)
        suits = suits || is_text(schema->types + schema->parts[type->part_first + i].type);
    return suits;
}

static bool items_suit(const mr_schema *schema, const mr_schema_type *items, mr_sort sort)
{
    bool suits = sort == MR_SORT_FLOATS ? is_whole(items) || is_real(items)
                                        : is_text_of_union(schema, items);
    if (sort == MR_SORT_LINES && items->avro == MR_AVRO_RECORD)
        suits = true;
    for (uint32_t i = 0;
         sort == MR_SORT_LINES && items->avro == MR_AVRO_UNION && i < items->part_count; i++) {
        const mr_schema_type *branch = schema->types + schema->parts[items->part_first + i].type;
        suits = suits || branch->avro == MR_AVRO_RECORD;
    }
    return suits;
}

bool mr_build_suits(const mr_schema *schema, const mr_schema_type *type, const mr_target *target)
{
    if (type->avro == MR_AVRO_UNION) {
        bool any = false;
        for (uint32_t i = 0; i < type->part_count; i++)
            any = any ||
                  mr_build_suits(schema, schema->types + schema->parts[type->part_first + i].type,
                                 target);
        return any;
    }
    const bool is_array = type->avro == MR_AVRO_ARRAY;
    const mr_schema_type *items = is_array || type->avro == MR_AVRO_MAP
                                      ? schema->types + schema->parts[type->part_first].type
                                      : NULL;
    switch (target->sort) {
    case MR_SORT_TEXT:
        return is_text(type);
    case MR_SORT_LONG:
        return is_whole(type);
    case MR_SORT_DOUBLE:
        return is_whole(type) || is_real(type) || type->logical == MR_LOGICAL_DECIMAL;
    case MR_SORT_MILLIS:
        return is_whole(type) || type->avro == MR_AVRO_DOUBLE;
    case MR_SORT_BOOL:
        return is_whole(type) || type->avro == MR_AVRO_BOOLEAN;
    case MR_SORT_LINES:
    case MR_SORT_FLOATS:
        return is_array && items_suit(schema, items, target->sort);
    case MR_SORT_TEXTS:
        return is_text(type) || (is_array && items_suit(schema, items, target->sort));
    case MR_SORT_PAIRS:
        return type->avro == MR_AVRO_RECORD ||
               (type->avro == MR_AVRO_MAP && items_suit(schema, items, target->sort));
    }
    return false;
}

// ---- finding paths ----

typedef enum fit { FIT_NOTHING, FIT_UNSUITABLE, FIT_SUITABLE } fit;

typedef struct finding { // the best that a path led to, and if it is unsuitable, what was there
    fit best;
    const char *type;
} finding;

static void find_path(const mr_schema *schema, const mr_schema_type *type, const char *path,
                      const mr_target *target, finding *result)
{
    if (type->avro == MR_AVRO_UNION && (*path != '\0' || !mr_build_suits(schema, type, target))) {
        for (uint32_t i = 0; i < type->part_count; i++)
            find_path(schema, schema->types + schema->parts[type->part_first + i].type, path,
                      target, result);
        return;
    }
    if (*path == '\0') {
        const fit now = mr_build_suits(schema, type, target) ? FIT_SUITABLE : FIT_UNSUITABLE;
        if (now > result->best)
            *result = (finding){now, mr_avro_name(type->avro)};
        return;
    }
    if (type->avro != MR_AVRO_RECORD)
        return;
    const size_t size = strcspn(path, ".");
    const mr_schema_part *field = mr_schema_field(schema, type, path, size);
    if (field != NULL)
        find_path(schema, schema->types + field->type, path + size + (path[size] == '.'), target,
                  result);
}

// Names of the fields of the records at the top, for the text of an error.
static void list_fields(const mr_schema *schema, const mr_schema_type *type, char *text,
                        size_t room)
{
    size_t size = strlen(text);
    if (type->avro == MR_AVRO_UNION) {
        for (uint32_t i = 0; i < type->part_count; i++)
            list_fields(schema, schema->types + schema->parts[type->part_first + i].type, text,
                        room);
        return;
    }
    for (uint32_t i = 0; type->avro == MR_AVRO_RECORD && i < type->part_count; i++) {
        const char *name = schema->parts[type->part_first + i].name;
        if (size + strlen(name) + 8 > room) {
            snprintf(text + size, room - size, ", ...");
            return;
        }
        size += (size_t)snprintf(text + size, room - size, "%s%s", size > 0 ? ", " : "", name);
    }
}

static const char *part_name(mr_line_part part)
{
    static const char *const names[MR_PART_COUNT] = {"", ".item", ".quantity", ".price",
                                                     ".propensity"};
    return names[part];
}

static void refuse_missing(mr_build *b, const mr_target *target, const char *path)
{
    char fields[128] = "";
    const mr_mapping_entry entry = {.field = target->field, .part = target->part};
    list_fields(b->schema, b->schema->types + b->schema->root, fields, sizeof fields);
    b->status = mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                          "%s needs '%s%s': the writer's schema has no '%s', it has: %s",
                          mr_event_kind_name(b->plan->kind), mr_field_name(entry.field),
                          part_name(entry.part), path, fields[0] != '\0' ? fields : "no fields");
}

static void refuse_type(mr_build *b, const mr_target *target, const char *path, const char *type)
{
    b->status = mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                          "'%s%s' from '%s': want %s, the writer's schema has %s",
                          mr_field_name(target->field), part_name(target->part), path,
                          sort_names[target->sort], type);
}

// ---- the tree of wants ----

static uint32_t add_want(mr_build *b, uint32_t parent, const char *name, size_t size)
{
    for (uint32_t i = b->wants[parent].child; i != 0; i = b->wants[i].sibling) {
        if (b->wants[i].name_size == size && memcmp(b->wants[i].name, name, size) == 0)
            return i;
    }
    if (b->want_count == MR_WANTS_MAX) {
        b->status = mr_fail(b->err, MR_FATAL,
                            "mapping: the paths have more than %d different parts", MR_WANTS_MAX);
        return parent;
    }
    const uint32_t want = b->want_count++;
    b->wants[want] = (mr_want){name, (uint32_t)size, 0, b->wants[parent].child, 0};
    b->wants[parent].child = want;
    return want;
}

static void add_target(mr_build *b, uint32_t root, const char *path, const mr_target *target)
{
    if (b->target_count == MR_TARGETS_MAX) {
        b->status = mr_fail(b->err, MR_FATAL, "mapping: more than %d fields", MR_TARGETS_MAX);
        return;
    }
    uint32_t want = root;
    if (target->sort == MR_SORT_LINES)
        b->lines_path = path;
    while (*path != '\0') {
        const size_t size = strcspn(path, ".");
        want = add_want(b, want, path, size);
        path += size + (path[size] == '.');
    }
    b->wants[want].targets |= UINT64_C(1) << b->target_count;
    b->targets[b->target_count++] = *target;
}

// ---- constants ----

static mr_status constant_of(mr_build *b, const mr_target *target, const char *text,
                             mr_constant *constant)
{
    char *end = NULL;
    *constant = (mr_constant){.field = target->field, .at = target->at};
    errno = 0;
    switch (target->sort) {
    case MR_SORT_TEXT:
        constant->type = MR_CONSTANT_TEXT;
        // A pool offset until the plan is done.
        constant->text =
            (mr_bytes){(const uint8_t *)(uintptr_t)mr_build_pool(b, text, strlen(text)),
                       (uint32_t)strlen(text)};
        return MR_OK;
    case MR_SORT_LONG:
    case MR_SORT_MILLIS:
        constant->type = MR_CONSTANT_LONG;
        constant->number = strtoll(text, &end, 10);
        break;
    case MR_SORT_DOUBLE:
        constant->type = MR_CONSTANT_DOUBLE;
        constant->real = strtod(text, &end);
        break;
    case MR_SORT_BOOL:
        constant->type = MR_CONSTANT_BOOL;
        constant->number = strcmp(text, "true") == 0;
        if (constant->number == 1 || strcmp(text, "false") == 0)
            return MR_OK;
        break;
    default:
        break;
    }
    if (end == NULL || end == text || *end != '\0' || errno != 0)
        return mr_fail(b->err, MR_FATAL, "mapping: '%s%s' cannot have the constant '%s'",
                       mr_field_name(target->field), part_name(target->part), text);
    return MR_OK;
}

static void add_constant(mr_build *b, const mr_target *target, const char *text)
{
    mr_plan *plan = b->plan;
    mr_constant constant;
    if (b->status == MR_OK)
        b->status = constant_of(b, target, text, &constant);
    if (b->status != MR_OK || !mr_build_reserve(b, &plan->constants, plan->constant_count, 1,
                                                &b->constant_room, sizeof *plan->constants))
        return;
    constant.to_lines = target->part != MR_PART_WHOLE;
    plan->constants[plan->constant_count++] = constant;
}

static void note_source(mr_build *b, const mr_target *target, const char *mark, const char *text)
{
    char source[128];
    if (target->part != MR_PART_WHOLE)
        return;
    snprintf(source, sizeof source, "%s%s", mark, text);
    b->plan->sources[target->field] = mr_build_pool(b, source, strlen(source)) + 1;
}

// ---- one field ----

// A field as its entry says.
static void resolve_entry(mr_build *b, uint32_t root, const mr_schema_type *type,
                          const mr_mapping_entry *entry, const mr_target *target, bool required)
{
    finding result = {FIT_NOTHING, NULL};
    if (entry->path != NULL)
        find_path(b->schema, type, entry->path, target, &result);
    if (result.best == FIT_SUITABLE) {
        add_target(b, root, entry->path, target);
        note_source(b, target, "", entry->path);
    } else if (result.best == FIT_UNSUITABLE) {
        refuse_type(b, target, entry->path, result.type);
    } else if (entry->constant != NULL) {
        add_constant(b, target, entry->constant);
        note_source(b, target, "= ", entry->constant);
    } else if (entry->path != NULL && required) {
        refuse_missing(b, target, entry->path);
    }
}

// A field under the names of our own schema. Returns whether it is there.
static bool resolve_names(mr_build *b, uint32_t root, const mr_schema_type *type,
                          const mr_schema *reader, const mr_schema_part *field,
                          const mr_target *target, bool required)
{
    for (uint32_t i = 0; i <= field->alias_count; i++) {
        const char *name = i == 0 ? field->name : reader->aliases[field->alias_first + i - 1];
        finding result = {FIT_NOTHING, NULL};
        find_path(b->schema, type, name, target, &result);
        if (result.best == FIT_SUITABLE) {
            add_target(b, root, name, target);
            note_source(b, target, "", name);
            return true;
        }
        if (result.best == FIT_UNSUITABLE && required) {
            refuse_type(b, target, name, result.type);
            return false;
        }
    }
    if (required)
        refuse_missing(b, target, field->name);
    return false;
}

static const mr_mapping_entry *entry_of(const mr_mapping *mapping, mr_field field, mr_line_part part)
{
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        if (mapping->entries[i].field == field && mapping->entries[i].part == part)
            return mapping->entries + i;
    }
    return NULL;
}

// ---- lines ----

// The record that is a line, in the writer's schema or ours; NULL: lines are plain ids.
static const mr_schema_type *line_record(const mr_schema *schema, const mr_schema_type *type)
{
    if (type->avro == MR_AVRO_RECORD)
        return type;
    for (uint32_t i = 0; i < type->part_count; i++) {
        if (type->avro != MR_AVRO_UNION && type->avro != MR_AVRO_ARRAY)
            return NULL;
        const mr_schema_type *record =
            line_record(schema, schema->types + schema->parts[type->part_first + i].type);
        if (record != NULL)
            return record;
    }
    return NULL;
}

// The array that a path leads to; the path was found suitable before.
static const mr_schema_type *array_at(const mr_schema *schema, const mr_schema_type *type,
                                      const char *path)
{
    if (type->avro == MR_AVRO_UNION) {
        const mr_schema_type *array = NULL;
        for (uint32_t i = 0; i < type->part_count && array == NULL; i++)
            array =
                array_at(schema, schema->types + schema->parts[type->part_first + i].type, path);
        return array;
    }
    if (*path == '\0')
        return type->avro == MR_AVRO_ARRAY ? type : NULL;
    if (type->avro != MR_AVRO_RECORD)
        return NULL;
    const size_t size = strcspn(path, ".");
    const mr_schema_part *field = mr_schema_field(schema, type, path, size);
    return field == NULL
               ? NULL
               : array_at(schema, schema->types + field->type, path + size + (path[size] == '.'));
}

static void resolve_part(mr_build *b, const mr_mapping *mapping, const mr_schema_type *items,
                         const mr_schema *reader, const mr_schema_type *reader_line, mr_line_part part)
{
    const mr_mapping_entry *entry = entry_of(mapping, MR_FIELD_lines, part);
    const mr_target target = {.field = MR_FIELD_lines,
                              .part = part,
                              .sort = part_places[part].sort,
                              .at = part_places[part].at};
    if (entry != NULL) {
        resolve_entry(b, MR_WANT_LINE, items, entry, &target, part == MR_PART_ITEM);
        return;
    }
    if (line_record(b->schema, items) == NULL) { // plain ids
        if (part == MR_PART_ITEM)
            add_target(b, MR_WANT_LINE, "", &target);
        return;
    }
    const char *name = part_name(part) + 1;
    const mr_schema_part *field = mr_schema_field(reader, reader_line, name, strlen(name));
    if (field != NULL)
        resolve_names(b, MR_WANT_LINE, items, reader, field, &target, part == MR_PART_ITEM);
}

static void resolve_lines(mr_build *b, const mr_mapping *mapping, const mr_schema *reader,
                          const mr_schema_type *reader_line)
{
    const mr_schema_type *array =
        array_at(b->schema, b->schema->types + b->schema->root, b->lines_path);
    MR_ASSERT(array != NULL);
    const mr_schema_type *items = b->schema->types + b->schema->parts[array->part_first].type;
    b->plan->needs_lines = true;
    for (uint32_t part = MR_PART_ITEM; part < MR_PART_COUNT && b->status == MR_OK; part++)
        resolve_part(b, mapping, items, reader, reader_line, (mr_line_part)part);
}

// ---- all fields ----

// The field of our own schema that stands for `field`; an impression calls its lines a slate.
static const mr_schema_part *reader_field(const mr_schema *reader, mr_field field)
{
    const mr_schema_type *root = reader->types + reader->root;
    const char *name = mr_field_name(field);
    for (uint32_t i = 0; i < root->part_count; i++) {
        const mr_schema_part *part = reader->parts + root->part_first + i;
        if (strcmp(part->name, name) == 0 ||
            (field == MR_FIELD_lines && strcmp(part->name, "slate") == 0))
            return part;
    }
    return NULL;
}

static bool has_lines(mr_event_kind kind)
{
    return kind == MR_EVENT_PURCHASE || kind == MR_EVENT_IMPRESSION;
}

static void resolve_field(mr_build *b, const mr_mapping *mapping, const mr_schema *reader,
                          mr_field field)
{
    const mr_mapping_entry *entry = entry_of(mapping, field, MR_PART_WHOLE);
    const mr_schema_part *own = reader_field(reader, field);
    const mr_schema_type *root = b->schema->types + b->schema->root;
    const mr_target target = {.field = field,
                              .sort = places[field].sort,
                              .at = places[field].at,
                              .unit = entry != NULL ? entry->unit : MR_TIME_AUTO};
    const uint32_t given = mapping->given | 1u << MR_FIELD_time;
    const bool item_is_line =
        field == MR_FIELD_lines && entry_of(mapping, MR_FIELD_item, MR_PART_WHOLE) != NULL;
    const bool required =
        own != NULL && !own->has_default && (given >> field & 1) == 0 && !item_is_line;
    if (entry != NULL && own == NULL && field == MR_FIELD_lines)
        b->status = mr_fail(b->err, MR_FATAL, "mapping: a %s has no lines",
                            mr_event_kind_name(mapping->kind));
    else if (entry != NULL)
        resolve_entry(b, MR_WANT_EVENT, root, entry, &target, required);
    else if (own != NULL)
        resolve_names(b, MR_WANT_EVENT, root, reader, own, &target, required);
    if (b->status != MR_OK || b->plan->sources[field] == 0)
        return;
    if (field == MR_FIELD_vector)
        b->plan->needs_vector = true;
    if (field == MR_FIELD_lines)
        resolve_lines(b, mapping, reader, line_record(reader, reader->types + own->type));
}

static void resolve_mapping(mr_build *b, const mr_mapping *mapping, const mr_schema *reader)
{
    const mr_target value = {
        .field = MR_FIELD_context, .sort = MR_SORT_TEXT, .at = offsetof(mr_pair, value)};
    const mr_target text = {.field = MR_FIELD_categories, .sort = MR_SORT_TEXT};
    add_target(b, MR_WANT_PAIR, "", &value);
    add_target(b, MR_WANT_CATEGORY, "", &text);
    for (uint32_t i = 0; i < mapping->entry_count && b->status == MR_OK; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        if (entry_of(mapping, entry->field, entry->part) != entry)
            b->status = mr_fail(b->err, MR_FATAL, "mapping: '%s%s' is mapped twice",
                                mr_field_name(entry->field), part_name(entry->part));
    }
    for (uint32_t field = 0; field < MR_FIELD_COUNT && b->status == MR_OK; field++)
        resolve_field(b, mapping, reader, (mr_field)field);
    const mr_plan *plan = b->plan;
    if (has_lines(plan->kind) && plan->sources[MR_FIELD_lines] == 0 &&
        plan->sources[MR_FIELD_item] != 0) {
        b->plan->line_of_event = true;
        b->plan->needs_lines = true;
    }
}

// ---- the whole ----

static const uint8_t *pooled(const mr_plan *plan, const uint8_t *offset)
{
    return (const uint8_t *)plan->pool + (uintptr_t)offset;
}

// The pool has its place: offsets of texts become pointers, constants of lines become the line that
// each begins as.
static void finish(mr_plan *plan)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < plan->text_count; i++)
        plan->texts[i].data = pooled(plan, plan->texts[i].data);
    plan->line = (mr_line){{(const uint8_t *)"", 0}, 1, 0, (double)NAN};
    for (uint32_t i = 0; i < plan->constant_count; i++) {
        mr_constant constant = plan->constants[i];
        if (constant.type == MR_CONSTANT_TEXT)
            constant.text.data = pooled(plan, constant.text.data);
        uint8_t *line = (uint8_t *)&plan->line + constant.at;
        if (!constant.to_lines)
            plan->constants[kept++] = constant;
        else if (constant.type == MR_CONSTANT_TEXT)
            memcpy(line, &constant.text, sizeof constant.text);
        else
            memcpy(line, &constant.real, sizeof constant.real);
    }
    plan->constant_count = kept;
}

mr_status mr_plan_compile_schema(const mr_schema *schema, const mr_mapping *mapping, mr_plan **plan,
                                 mr_error *err)
{
    const mr_builtin *own = mr_builtin_of_event(mapping->kind);
    mr_schema *reader;
    MR_ASSERT(own != NULL);
    if (mapping->entry_count > MR_MAPPING_ENTRIES_MAX)
        return mr_fail(err, MR_FATAL, "mapping: %u entries, at most %d are read",
                       mapping->entry_count, MR_MAPPING_ENTRIES_MAX);
    MR_TRY(mr_schema_open(own->text, own->size, &reader, err));
    mr_build *b = calloc(1, sizeof *b);
    mr_plan *made = calloc(1, sizeof *made);
    mr_status status = MR_OK;
    if (b == NULL || made == NULL) {
        status = mr_fail(err, MR_FATAL, "plan: out of memory");
        goto done;
    }
    made->kind = mapping->kind;
    *b = (mr_build){.schema = schema, .plan = made, .err = err, .want_count = MR_WANT_ROOTS};
    resolve_mapping(b, mapping, reader);
    if (b->status == MR_OK)
        mr_build_emit(b);
    status = b->status;
    if (status == MR_OK) {
        finish(made);
        *plan = made;
        made = NULL;
    }
done:
    free(b);
    mr_plan_close(made);
    mr_schema_close(reader);
    return status;
}

mr_status mr_plan_compile(const char *schema_json, size_t schema_bytes, const mr_mapping *mapping,
                          mr_plan **plan, mr_error *err)
{
    mr_schema *schema;
    MR_TRY(mr_schema_open(schema_json, schema_bytes, &schema, err));
    const mr_status status = mr_plan_compile_schema(schema, mapping, plan, err);
    mr_schema_close(schema);
    return status;
}

void mr_plan_close(mr_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->ops);
    free(plan->jumps);
    free(plan->texts);
    free(plan->paths);
    free(plan->pool);
    free(plan->constants);
    free(plan);
}

uint32_t mr_plan_scratch_bytes(const mr_plan *plan)
{
    return plan->scratch_bytes;
}

const char *mr_plan_source(const mr_plan *plan, mr_field field)
{
    return plan->sources[field] != 0 ? plan->pool + plan->sources[field] - 1 : NULL;
}
