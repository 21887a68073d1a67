// SPDX-License-Identifier: Apache-2.0
// Finds what a mapping names in a writer's schema, and keeps it as a tree of wanted names.
//
// Without a schema, of JSON, every path may be there and have any type: then nothing is looked for
// and all of it is wanted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/plan_build.h"

static const char *const sort_names[] = {
    [MR_SORT_TEXT] = "string, bytes, enum, int or long",
    [MR_SORT_LONG] = "int or long",
    [MR_SORT_DOUBLE] = "a number or decimal",
    [MR_SORT_MILLIS] = "long or date (or double, or with unit iso a string)",
    [MR_SORT_BOOL] = "boolean, int or long",
    [MR_SORT_LINES] = "an array of records or of ids",
    [MR_SORT_PAIRS] = "a map of texts or a record",
    [MR_SORT_TEXTS] = "an array of texts or a text",
    [MR_SORT_FLOATS] = "an array of numbers",
    [MR_SORT_EACH] = "an array",
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
        if (target->unit == MR_TIME_ISO)
            return type->avro == MR_AVRO_STRING;
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
    case MR_SORT_EACH:
        return is_array;
    }
    return false;
}

// ---- finding paths ----

static void find_path(const mr_schema *schema, const mr_schema_type *type, const char *path,
                      const mr_target *target, mr_finding *result)
{
    if (type->avro == MR_AVRO_UNION && (*path != '\0' || !mr_build_suits(schema, type, target))) {
        for (uint32_t i = 0; i < type->part_count; i++)
            find_path(schema, schema->types + schema->parts[type->part_first + i].type, path,
                      target, result);
        return;
    }
    if (*path == '\0' && type->avro == MR_AVRO_NULL)
        return; // what is always null is the same as not there
    if (*path == '\0') {
        const mr_fit now =
            mr_build_suits(schema, type, target) ? MR_FIT_SUITABLE : MR_FIT_UNSUITABLE;
        if (now > result->best)
            *result = (mr_finding){now, mr_avro_name(type->avro)};
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

mr_finding mr_build_find(const mr_schema *schema, const mr_schema_type *type, const char *path,
                         const mr_target *target)
{
    mr_finding result = {MR_FIT_NOTHING, NULL};
    if (schema == NULL)
        return (mr_finding){MR_FIT_SUITABLE, NULL};
    find_path(schema, type, path, target, &result);
    return result;
}

const char *mr_build_name(const mr_target *target)
{
    if (target->sort == MR_SORT_EACH)
        return "each";
    return (uint32_t)target->field < MR_FIELD_COUNT ? mr_field_name(target->field) : "kind";
}

const char *mr_build_part(const mr_target *target)
{
    static const char *const names[MR_PART_COUNT] = {"", ".item", ".quantity", ".price",
                                                     ".propensity"};
    return names[target->part];
}

void mr_build_refuse_missing(mr_build *b, const mr_target *target, const char *path)
{
    char fields[128] = "";
    list_fields(b->schema, b->schema->types + b->schema->root, fields, sizeof fields);
    b->status = mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                          "%s needs '%s%s': the writer's schema has no '%s', it has: %s",
                          b->plan->kind < MR_EVENT_KIND_COUNT ? mr_event_kind_name(b->plan->kind)
                                                              : "the mapping",
                          mr_build_name(target), mr_build_part(target), path,
                          fields[0] != '\0' ? fields : "no fields");
}

void mr_build_refuse_type(mr_build *b, const mr_target *target, const char *path, const char *type)
{
    b->status = mr_reject(
        b->err, MR_CAUSE_unsuitable_schema, "'%s%s' from '%s': want %s, the writer's schema has %s",
        mr_build_name(target), mr_build_part(target), path, sort_names[target->sort], type);
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
    b->wants[want] =
        (mr_want){.name = name, .name_size = (uint32_t)size, .sibling = b->wants[parent].child};
    b->wants[parent].child = want;
    return want;
}

// The target, which several paths may fill.
static uint32_t add_target(mr_build *b, const mr_target *target)
{
    for (uint32_t i = 0; i < b->target_count; i++) {
        const mr_target *t = b->targets + i;
        if (t->field == target->field && t->part == target->part && t->sort == target->sort &&
            t->at == target->at && t->unit == target->unit)
            return i;
    }
    if (b->target_count == MR_TARGETS_MAX) {
        b->status = mr_fail(b->err, MR_FATAL, "mapping: more than %d fields", MR_TARGETS_MAX);
        return 0;
    }
    b->targets[b->target_count] = *target;
    return b->target_count++;
}

void mr_build_want(mr_build *b, uint32_t root, const char *path, const mr_target *target, int rank)
{
    const uint64_t bit = UINT64_C(1) << add_target(b, target);
    uint32_t want = root;
    if (target->sort == MR_SORT_LINES)
        b->lines_path = path;
    while (*path != '\0') {
        const size_t size = strcspn(path, ".");
        want = add_want(b, want, path, size);
        path += size + (path[size] == '.');
    }
    mr_want *w = b->wants + want;
    w->targets |= bit;
    if (rank < 0) {
        w->by_name &= ~bit;
        return;
    }
    w->rank = w->by_name == 0 || rank < w->rank ? (uint8_t)rank : w->rank;
    w->by_name |= bit;
}

void mr_build_source(mr_build *b, const mr_target *target, const char *mark, const char *text)
{
    char source[128];
    if (target->part != MR_PART_WHOLE || (uint32_t)target->field >= MR_FIELD_COUNT)
        return;
    snprintf(source, sizeof source, "%s%s", mark, text);
    b->plan->sources[target->field] = mr_build_pool(b, source, strlen(source)) + 1;
}
