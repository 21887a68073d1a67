// SPDX-License-Identifier: Apache-2.0
// What a mapping says beside its fields: which records are events, of which kind, and how many.
#include <string.h>

#include "schemas/plan_build.h"

const char *mr_build_place(const mr_build *b, const char *path, uint32_t *root,
                           const mr_schema_type **type)
{
    const char *const inside = b->plan->has_each ? mr_mapping_in_each(b->mapping, path) : NULL;
    if (inside == NULL)
        return path;
    *root = MR_WANT_EACH;
    *type = b->each_items;
    return inside;
}

// The items of the array that a path leads to; NULL: there is none.
static const mr_schema_type *items_at(const mr_schema *schema, const mr_schema_type *type,
                                      const char *path)
{
    const mr_schema_type *items = NULL;
    if (type->avro == MR_AVRO_UNION) {
        for (uint32_t i = 0; i < type->part_count && items == NULL; i++)
            items =
                items_at(schema, schema->types + schema->parts[type->part_first + i].type, path);
        return items;
    }
    if (*path == '\0')
        return type->avro == MR_AVRO_ARRAY ? schema->types + schema->parts[type->part_first].type
                                           : NULL;
    const size_t size = strcspn(path, ".");
    const mr_schema_part *field =
        type->avro == MR_AVRO_RECORD ? mr_schema_field(schema, type, path, size) : NULL;
    return field == NULL
               ? NULL
               : items_at(schema, schema->types + field->type, path + size + (path[size] == '.'));
}

void mr_build_each(mr_build *b)
{
    const mr_mapping_entry *entry = mr_mapping_role_of(b->mapping, MR_ROLE_EACH);
    const mr_target target = {.field = MR_FIELD_COUNT, .sort = MR_SORT_EACH};
    if (entry == NULL || b->status != MR_OK)
        return;
    const mr_schema_type *root = b->schema != NULL ? b->schema->types + b->schema->root : NULL;
    const mr_finding result = mr_build_find(b->schema, root, entry->path, &target);
    if (result.best == MR_FIT_UNSUITABLE) {
        mr_build_refuse_type(b, &target, entry->path, result.type);
        return;
    }
    if (result.best == MR_FIT_NOTHING) {
        mr_build_refuse_missing(b, &target, entry->path);
        return;
    }
    mr_build_want(b, MR_WANT_EVENT, entry->path, &target, -1);
    b->plan->has_each = true;
    b->plan->item_scratch_bytes = MR_EACH_SCRATCH_BYTES;
    b->plan->each_path = mr_build_pool(b, entry->path, strlen(entry->path));
    if (b->schema != NULL) {
        b->each_items = items_at(b->schema, root, entry->path);
        b->plan->each_bytes = b->each_items->bytes_min;
    }
}

// Which of the entries of key and headers this one is.
static uint32_t outside_index(const mr_mapping *mapping, const mr_mapping_entry *entry)
{
    uint32_t index = 0;
    for (const mr_mapping_entry *e = mapping->entries; e < entry; e++)
        index += e->from != MR_FROM_RECORD;
    return index;
}

void mr_build_outside(mr_build *b, const mr_mapping_entry *entry, const mr_target *target)
{
    static const mr_outside_sort sorts[] = {
        [MR_SORT_TEXT] = MR_OUTSIDE_TEXT,     [MR_SORT_LONG] = MR_OUTSIDE_LONG,
        [MR_SORT_DOUBLE] = MR_OUTSIDE_DOUBLE, [MR_SORT_MILLIS] = MR_OUTSIDE_TIME,
        [MR_SORT_BOOL] = MR_OUTSIDE_BOOL,
    };
    MR_ASSERT((size_t)target->sort < sizeof sorts / sizeof *sorts); // mr_mapping_check
    const bool is_field = target->field != (mr_field)MR_FIELD_SELECTOR;
    b->plan->outside[b->plan->outside_count++] = (mr_plan_outside){
        .index = outside_index(b->mapping, entry),
        .sort = is_field ? sorts[target->sort] : MR_OUTSIDE_SELECTOR,
        .field = target->field,
        .at = target->at,
        .unit = target->unit,
        .name = mr_build_pool(b, entry->path, strlen(entry->path)),
    };
    mr_build_source(b, target, entry->from == MR_FROM_KEY ? "" : "header ", entry->path);
}

// ---- values

static mr_bytes keep(mr_build *b, const char *text)
{
    // A pool offset until the plan is done.
    return (mr_bytes){(const uint8_t *)(uintptr_t)mr_build_pool(b, text, strlen(text)),
                      (uint32_t)strlen(text)};
}

static void add_values(mr_build *b, const mr_mapping_entry *entry, mr_plan_selector *selector)
{
    mr_plan *plan = b->plan;
    const char *at = entry->values, *to = NULL;
    selector->value_first = plan->value_count;
    selector->value_count = entry->value_count;
    if (!mr_build_reserve(b, &plan->values, plan->value_count, entry->value_count, &b->value_room,
                          sizeof *plan->values))
        return;
    for (uint32_t i = 0; i < entry->value_count; i++) {
        const char *const from = mr_mapping_pair(entry, &at, &to);
        mr_plan_value value = {.kind = MR_KIND_SKIP,
                               .any = entry->role != MR_ROLE_WHERE && strcmp(from, "*") == 0};
        // What a text becomes; of a field, skip and reject are what they say.
        const bool is_verdict =
            to != NULL && (strcmp(to, "skip") == 0 || strcmp(to, "reject") == 0);
        if (entry->role == MR_ROLE_KIND || is_verdict)
            (void)mr_mapping_kind(to, &value.kind);
        else
            value.kind = 0;
        value.from = keep(b, from);
        value.to = keep(b, to != NULL ? to : "");
        plan->values[plan->value_count++] = value;
    }
}

static void add_selector(mr_build *b, const mr_mapping_entry *entry, mr_plan_selector selector,
                         const char *name)
{
    selector.name = mr_build_pool(b, name, strlen(name));
    add_values(b, entry, &selector);
    b->plan->selectors[b->plan->selector_count++] = selector;
}

// A kind or a filter: its value is kept in a slot of its own.
static void resolve_selector(mr_build *b, const mr_mapping_entry *entry, uint8_t slot)
{
    const mr_target target = {
        .field = (mr_field)MR_FIELD_SELECTOR, .sort = MR_SORT_TEXT, .at = slot};
    const mr_schema_type *type = b->schema != NULL ? b->schema->types + b->schema->root : NULL;
    uint32_t root = MR_WANT_EVENT;
    add_selector(b, entry,
                 (mr_plan_selector){.role = entry->role, .negated = entry->negated, .slot = slot},
                 entry->path);
    if (entry->from != MR_FROM_RECORD) {
        mr_build_outside(b, entry, &target);
        return;
    }
    const char *const path = mr_build_place(b, entry->path, &root, &type);
    const mr_finding result = mr_build_find(b->schema, type, path, &target);
    if (result.best == MR_FIT_SUITABLE)
        mr_build_want(b, root, path, &target, -1);
    else if (result.best == MR_FIT_UNSUITABLE)
        mr_build_refuse_type(b, &target, entry->path, result.type);
    else if (entry->role == MR_ROLE_KIND)
        mr_build_refuse_missing(b, &target, entry->path);
}

void mr_build_selectors(mr_build *b)
{
    uint8_t slot = 0;
    for (uint32_t i = 0; i < b->mapping->entry_count && b->status == MR_OK; i++) {
        const mr_mapping_entry *entry = b->mapping->entries + i;
        if (entry->role == MR_ROLE_KIND || entry->role == MR_ROLE_WHERE) {
            resolve_selector(b, entry, slot++);
        } else if (entry->role == MR_ROLE_FIELD && entry->value_count > 0) {
            const mr_plan_selector selector = {
                .role = MR_ROLE_FIELD, .field = entry->field, .at = mr_build_at(entry->field)};
            add_selector(b, entry, selector, mr_field_name(entry->field));
        }
    }
}
