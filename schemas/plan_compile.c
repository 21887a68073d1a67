// SPDX-License-Identifier: Apache-2.0
// Resolves a mapping against a writer's schema.
//
// What our own schema of the event says is what a reader may expect: its names and aliases are
// looked for where the mapping says nothing, and a field of it without a default has to be found.
// An entry that is written down has to fit; a name that only happens to be there and has another
// type, such as a number called "list", is left alone. Where a value says what kind of event a
// record is, the fields of all those kinds are looked for.
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "schemas/json_build.h"
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
    [MR_FIELD_order] = {MR_SORT_TEXT, offsetof(mr_event, order)},
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

uint16_t mr_build_at(mr_field field)
{
    return places[field].at;
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
                       mr_build_name(target), mr_build_part(target), text);
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

// ---- one field ----

// A field as its entry says.
static void resolve_entry(mr_build *b, uint32_t root, const mr_schema_type *type,
                          const mr_mapping_entry *entry, const mr_target *target, bool required)
{
    if (entry->constant != NULL &&
        (b->schema == NULL || entry->path == NULL || entry->from != MR_FROM_RECORD)) {
        add_constant(b, target, entry->constant); // until there is a better value
        mr_build_source(b, target, "= ", entry->constant);
    }
    if (entry->from != MR_FROM_RECORD) {
        mr_build_outside(b, entry, target);
        return;
    }
    if (entry->path == NULL)
        return;
    const char *const path =
        root == MR_WANT_EVENT ? mr_build_place(b, entry->path, &root, &type) : entry->path;
    mr_target to = *target;
    mr_finding result = mr_build_find(b->schema, type, path, &to);
    if (result.best == MR_FIT_UNSUITABLE && to.sort == MR_SORT_MILLIS && to.unit == MR_TIME_AUTO) {
        to.unit = MR_TIME_ISO;
        result = mr_build_find(b->schema, type, path, &to);
    }
    if (result.best == MR_FIT_SUITABLE) {
        mr_build_want(b, root, path, &to, -1);
        mr_build_source(b, target, "", entry->path);
    } else if (result.best == MR_FIT_UNSUITABLE) {
        mr_build_refuse_type(b, target, entry->path, result.type);
    } else if (entry->constant != NULL) {
        add_constant(b, target, entry->constant);
        mr_build_source(b, target, "= ", entry->constant);
    } else if (required) {
        mr_build_refuse_missing(b, target, entry->path);
    }
}

// A field under the names of our own schema. Returns whether it is there.
static bool resolve_names(mr_build *b, uint32_t root, const mr_schema_type *type,
                          const mr_schema *reader, const mr_schema_part *field,
                          const mr_target *target, bool required)
{
    bool found = false;
    for (uint32_t i = 0; i <= field->alias_count; i++) {
        const char *name = i == 0 ? field->name : reader->aliases[field->alias_first + i - 1];
        const mr_finding result = mr_build_find(b->schema, type, name, target);
        if (result.best == MR_FIT_SUITABLE) {
            mr_build_want(b, root, name, target, (int)i);
            if (!found)
                mr_build_source(b, target, "", name);
            found = true;
            if (b->schema != NULL)
                return true;
        }
        if (result.best == MR_FIT_UNSUITABLE && required) {
            mr_build_refuse_type(b, target, name, result.type);
            return false;
        }
    }
    if (required && !found)
        mr_build_refuse_missing(b, target, field->name);
    return found;
}

static const mr_mapping_entry *entry_of(const mr_mapping *mapping, mr_field field,
                                        mr_line_part part)
{
    for (uint32_t i = 0; i < mapping->entry_count; i++) {
        if (mapping->entries[i].role == MR_ROLE_FIELD && mapping->entries[i].field == field &&
            mapping->entries[i].part == part)
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
                         const mr_schema *reader, const mr_schema_type *reader_line,
                         mr_line_part part)
{
    const mr_mapping_entry *entry = entry_of(mapping, MR_FIELD_lines, part);
    const mr_target target = {.field = MR_FIELD_lines,
                              .part = part,
                              .sort = part_places[part].sort,
                              .at = part_places[part].at};
    if (entry != NULL) {
        resolve_entry(b, MR_WANT_LINE, items, entry, &target,
                      b->schema != NULL && part == MR_PART_ITEM);
        return;
    }
    if (b->schema == NULL || line_record(b->schema, items) == NULL) { // plain ids
        if (part == MR_PART_ITEM)
            mr_build_want(b, MR_WANT_LINE, "", &target, 0);
        if (b->schema != NULL)
            return;
    }
    const char *name = mr_build_part(&target) + 1;
    const mr_schema_part *field = mr_schema_field(reader, reader_line, name, strlen(name));
    if (field != NULL)
        resolve_names(b, MR_WANT_LINE, items, reader, field, &target,
                      b->schema != NULL && part == MR_PART_ITEM);
}

static void resolve_lines(mr_build *b, const mr_mapping *mapping, const mr_schema *reader,
                          const mr_schema_type *reader_line)
{
    const mr_schema_type *items = NULL;
    if (b->schema != NULL) {
        const mr_schema_type *array =
            array_at(b->schema, b->schema->types + b->schema->root, b->lines_path);
        MR_ASSERT(array != NULL);
        items = b->schema->types + b->schema->parts[array->part_first].type;
    }
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

typedef struct readers { // our own schemas of the kinds that a record can be
    mr_schema *of[MR_EVENT_KIND_COUNT];
    mr_event_kind kinds[MR_EVENT_KIND_COUNT];
    uint32_t count;
} readers;

static bool has_lines(const readers *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->kinds[i] == MR_EVENT_PURCHASE || r->kinds[i] == MR_EVENT_IMPRESSION)
            return true;
    }
    return false;
}

// Looks for a field under our names: with `each` in its items, and in the record. Of several kinds
// the first that has the field says what may be missing.
static void resolve_own(mr_build *b, const readers *r, const mr_target *target, bool required)
{
    const mr_schema_type *root = b->schema != NULL ? b->schema->types + b->schema->root : NULL;
    bool found = false;
    for (uint32_t i = 0; i < r->count && b->status == MR_OK; i++) {
        const mr_schema_part *own = reader_field(r->of[i], target->field);
        if (own == NULL || (found && b->schema != NULL))
            continue;
        if (b->plan->has_each && target->field != MR_FIELD_user)
            found |= resolve_names(b, MR_WANT_EACH, b->each_items, r->of[i], own, target, false);
        found |= resolve_names(b, MR_WANT_EVENT, root, r->of[i], own, target, false);
    }
    for (uint32_t i = 0; !found && required && i < r->count && b->status == MR_OK; i++) {
        const mr_schema_part *own = reader_field(r->of[i], target->field);
        if (own != NULL && !own->has_default)
            resolve_names(b, MR_WANT_EVENT, root, r->of[i], own, target, true);
    }
}

static void resolve_field(mr_build *b, const mr_mapping *mapping, const readers *r, mr_field field)
{
    const mr_mapping_entry *entry = entry_of(mapping, field, MR_PART_WHOLE);
    const mr_target target = {.field = field,
                              .sort = places[field].sort,
                              .at = places[field].at,
                              .unit = entry != NULL ? entry->unit : MR_TIME_AUTO};
    const uint32_t given = mapping->given | 1u << MR_FIELD_time;
    const bool item_is_line =
        field == MR_FIELD_lines && entry_of(mapping, MR_FIELD_item, MR_PART_WHOLE) != NULL;
    const mr_schema *reader = NULL; // the first that has it
    bool required = false;
    for (uint32_t i = 0; i < r->count; i++) {
        const mr_schema_part *own = reader_field(r->of[i], field);
        reader = own != NULL && reader == NULL ? r->of[i] : reader;
        required |= own != NULL && !own->has_default;
    }
    required = required && b->schema != NULL && (given >> field & 1) == 0 && !item_is_line;
    if (b->plan->has_each && (field == MR_FIELD_lines || field == MR_FIELD_vector))
        return;
    if (entry != NULL && reader == NULL && field == MR_FIELD_lines)
        b->status = mr_fail(b->err, MR_FATAL, "mapping: a %s has no lines",
                            mr_event_kind_name(r->kinds[0]));
    else if (entry != NULL)
        resolve_entry(b, MR_WANT_EVENT,
                      b->schema != NULL ? b->schema->types + b->schema->root : NULL, entry, &target,
                      required);
    else
        resolve_own(b, r, &target, required);
    if (b->status != MR_OK || b->plan->sources[field] == 0)
        return;
    if (field == MR_FIELD_vector)
        b->plan->needs_vector = true;
    if (field == MR_FIELD_lines)
        resolve_lines(b, mapping, reader,
                      line_record(reader, reader->types + reader_field(reader, field)->type));
}

static void refuse_twice(mr_build *b, const mr_mapping *mapping)
{
    for (uint32_t i = 0; i < mapping->entry_count && b->status == MR_OK; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        if (entry->role == MR_ROLE_FIELD && entry_of(mapping, entry->field, entry->part) != entry) {
            const mr_target target = {.field = entry->field, .part = entry->part};
            b->status = mr_fail(b->err, MR_FATAL, "mapping: '%s%s' is mapped twice",
                                mr_build_name(&target), mr_build_part(&target));
        }
    }
}

static void resolve_mapping(mr_build *b, const mr_mapping *mapping, const readers *r)
{
    const mr_target value = {
        .field = MR_FIELD_context, .sort = MR_SORT_TEXT, .at = offsetof(mr_pair, value)};
    const mr_target text = {.field = MR_FIELD_categories, .sort = MR_SORT_TEXT};
    mr_build_want(b, MR_WANT_PAIR, "", &value, -1);
    mr_build_want(b, MR_WANT_CATEGORY, "", &text, -1);
    refuse_twice(b, mapping);
    mr_build_each(b);
    for (uint32_t field = 0; field < MR_FIELD_COUNT && b->status == MR_OK; field++)
        resolve_field(b, mapping, r, (mr_field)field);
    mr_build_selectors(b);
    const mr_plan *plan = b->plan;
    if (has_lines(r) && (plan->sources[MR_FIELD_lines] == 0 || b->schema == NULL) &&
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
    for (uint32_t i = 0; i < plan->value_count; i++) {
        plan->values[i].from.data = pooled(plan, plan->values[i].from.data);
        plan->values[i].to.data = pooled(plan, plan->values[i].to.data);
    }
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
    plan->plain = plan->selector_count == 0 && plan->outside_count == 0 && !plan->has_each;
}

static mr_status open_reader(readers *r, mr_event_kind kind, mr_error *err)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->kinds[i] == kind)
            return MR_OK;
    }
    const mr_builtin *own = mr_builtin_of_event(kind);
    MR_ASSERT(own != NULL);
    MR_TRY(mr_schema_open(own->text, own->size, &r->of[r->count], err));
    r->kinds[r->count++] = kind;
    return MR_OK;
}

static mr_status open_readers(readers *r, const mr_mapping *mapping, mr_error *err)
{
    const mr_mapping_entry *entry = mr_mapping_role_of(mapping, MR_ROLE_KIND);
    if (mapping->kind != MR_EVENT_KIND_COUNT)
        return open_reader(r, mapping->kind, err);
    const char *at = entry->values, *to = NULL;
    for (uint32_t i = 0; i < entry->value_count; i++) {
        uint32_t kind = MR_KIND_SKIP;
        (void)mr_mapping_pair(entry, &at, &to);
        if (mr_mapping_kind(to, &kind) && kind < MR_EVENT_KIND_COUNT)
            MR_TRY(open_reader(r, (mr_event_kind)kind, err));
    }
    return MR_OK;
}

static void close_readers(readers *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        mr_schema_close(r->of[i]);
}

static mr_status build(const mr_schema *schema, const mr_mapping *mapping, const readers *r,
                       mr_plan **plan, mr_error *err)
{
    mr_build *b = calloc(1, sizeof *b);
    mr_plan *made = calloc(1, sizeof *made);
    mr_status status = MR_OK;
    if (b == NULL || made == NULL) {
        status = mr_fail(err, MR_FATAL, "plan: out of memory");
        goto done;
    }
    made->kind = mapping->kind;
    *b = (mr_build){.schema = schema,
                    .mapping = mapping,
                    .plan = made,
                    .err = err,
                    .want_count = MR_WANT_ROOTS};
    resolve_mapping(b, mapping, r);
    if (b->status == MR_OK && schema != NULL)
        mr_build_emit(b);
    else if (b->status == MR_OK)
        mr_build_json(b);
    status = b->status;
    if (status == MR_OK) {
        finish(made);
        *plan = made;
        made = NULL;
    }
done:
    free(b);
    mr_plan_close(made);
    return status;
}

// schema NULL: of JSON.
static mr_status compile(const mr_schema *schema, const mr_mapping *mapping, mr_plan **plan,
                         mr_error *err)
{
    readers r = {.count = 0};
    if (mapping->entry_count > MR_MAPPING_ENTRIES_MAX)
        return mr_fail(err, MR_FATAL, "mapping: %u entries, at most %d are read",
                       mapping->entry_count, MR_MAPPING_ENTRIES_MAX);
    MR_TRY(mr_mapping_check(mapping, err));
    mr_status status = open_readers(&r, mapping, err);
    if (status == MR_OK)
        status = build(schema, mapping, &r, plan, err);
    close_readers(&r);
    return status;
}

mr_status mr_plan_compile_schema(const mr_schema *schema, const mr_mapping *mapping, mr_plan **plan,
                                 mr_error *err)
{
    return compile(schema, mapping, plan, err);
}

mr_status mr_plan_compile_json(const mr_mapping *mapping, mr_plan **plan, mr_error *err)
{
    return compile(NULL, mapping, plan, err);
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
    free(plan->values);
    mr_json_close(plan->json);
    free(plan);
}

uint32_t mr_plan_scratch_bytes(const mr_plan *plan)
{
    return plan->scratch_bytes;
}

uint32_t mr_plan_item_scratch_bytes(const mr_plan *plan)
{
    return plan->has_each ? plan->item_scratch_bytes : 0;
}

bool mr_plan_is_plain(const mr_plan *plan)
{
    return plan->plain;
}

const char *mr_plan_source(const mr_plan *plan, mr_field field)
{
    return plan->sources[field] != 0 ? plan->pool + plan->sources[field] - 1 : NULL;
}
