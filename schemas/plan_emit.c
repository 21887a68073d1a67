// SPDX-License-Identifier: Apache-2.0
// From types and wants to instructions.
//
// What nobody wants is fused: neighbours of fixed size become one addition, neighbouring numbers
// and strings one loop, arrays of either one loop a block. A fusion never crosses a place that is
// jumped to. Records that are wanted are written out in place; records that are not, and are large
// or contain themselves, become routines, so that the program stays linear in the schema.
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "schemas/plan_build.h"

enum {
    INLINE_COST_MAX = 24,      // types in a record that is passed over in place
    NUMBER_SCRATCH_BYTES = 20, // of MR_OP_TEXT_NUMBER
    UUID_SCRATCH_BYTES = 36,   // of MR_OP_TEXT_UUID
    ROUTINE_ASKED_FOR = 1,     // no routine begins at the program's second instruction
};

static void emit_value(mr_build *b, const mr_schema_type *type, uint32_t want);
static void emit_skip(mr_build *b, const mr_schema_type *type);

static const mr_schema_type *part_type(const mr_build *b, const mr_schema_type *type, uint32_t part)
{
    return b->schema->types + b->schema->parts[type->part_first + part].type;
}

static uint32_t here(mr_build *b)
{
    b->barrier = b->plan->op_count;
    return b->plan->op_count;
}

static uint32_t add_path(mr_build *b)
{
    mr_plan *plan = b->plan;
    if (b->status == MR_OK && plan->path_count == MR_BUILD_PATHS_MAX)
        b->status = mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                              "the plan for this schema passes over more than %d values",
                              MR_BUILD_PATHS_MAX);
    const uint32_t offset = mr_build_pool(b, b->path, strlen(b->path));
    if (!mr_build_reserve(b, &plan->paths, plan->path_count, 1, &b->path_room, sizeof *plan->paths))
        return 0;
    plan->paths[plan->path_count] = offset;
    return plan->path_count++;
}

// Appends an instruction with the path in hand; returns its index, also after a failure.
static uint32_t emit(mr_build *b, mr_op_code code, const mr_target *target, uint32_t count)
{
    mr_plan *plan = b->plan;
    if (b->status == MR_OK && plan->op_count == MR_PLAN_OPS_MAX)
        b->status =
            mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                      "the plan for this schema has more than %d instructions", MR_PLAN_OPS_MAX);
    const uint32_t path = add_path(b);
    if (b->status != MR_OK ||
        !mr_build_reserve(b, &plan->ops, plan->op_count, 1, &b->op_room, sizeof *plan->ops))
        return 0;
    plan->ops[plan->op_count] = (mr_op){.code = (uint8_t)code, .count = count, .path = path};
    if (target != NULL) {
        plan->ops[plan->op_count].field = (uint8_t)target->field;
        plan->ops[plan->op_count].at = target->at;
    }
    return plan->op_count++;
}

static void set_next(mr_build *b, uint32_t op, uint32_t next)
{
    if (b->status == MR_OK)
        b->plan->ops[op].next = next;
}

static size_t path_push(mr_build *b, const char *dot, const char *name)
{
    const size_t size = strlen(b->path);
    snprintf(b->path + size, sizeof b->path - size, "%s%s", size > 0 ? dot : "", name);
    return size;
}

static void path_pop(mr_build *b, size_t size)
{
    b->path[size] = '\0';
}

// A skip that may be added to the one before it. Runs keep one path for each of their values.
static void emit_run(mr_build *b, mr_op_code code, uint32_t count)
{
    mr_plan *plan = b->plan;
    mr_op *last =
        b->status == MR_OK && plan->op_count > b->barrier ? plan->ops + plan->op_count - 1 : NULL;
    if (last == NULL || last->code != code || count > UINT32_MAX - last->count) {
        emit(b, code, NULL, count);
        return;
    }
    if (code != MR_OP_SKIP_FIXED)
        add_path(b);
    last->count += count;
}

static void emit_skip_items(mr_build *b, const mr_schema_type *type)
{
    const mr_schema_type *item = part_type(b, type, 0);
    const bool is_map = type->avro == MR_AVRO_MAP;
    const bool is_number =
        item->avro == MR_AVRO_INT || item->avro == MR_AVRO_LONG || item->avro == MR_AVRO_ENUM;
    const bool is_text = item->avro == MR_AVRO_STRING || item->avro == MR_AVRO_BYTES;
    if (!is_map && item->bytes_fixed) {
        emit(b, MR_OP_SKIP_ARRAY_FIXED, NULL, item->bytes_min);
        return;
    }
    if (!is_map && is_number) {
        emit(b, MR_OP_SKIP_ARRAY_NUMBERS, NULL, 1);
        return;
    }
    if (is_text) {
        emit(b, MR_OP_SKIP_ARRAY_BYTES, NULL, is_map ? 2 : 1);
        return;
    }
    const uint32_t head = emit(b, MR_OP_SKIP_BLOCKS, NULL, item->bytes_min + is_map);
    here(b);
    const size_t mark = path_push(b, "", is_map ? "{}" : "[]");
    if (is_map)
        emit_run(b, MR_OP_SKIP_BYTES, 1);
    emit_skip(b, item);
    set_next(b, emit(b, MR_OP_SKIP_AGAIN, NULL, 0), head);
    path_pop(b, mark);
    set_next(b, head, here(b));
}

// Takes the number of types in a record from *budget, stopping when it is used up: by a large
// record, or by one that contains itself.
static void spend(const mr_build *b, const mr_schema_type *type, int32_t *budget)
{
    --*budget;
    if (type->avro != MR_AVRO_RECORD && type->avro != MR_AVRO_UNION &&
        type->avro != MR_AVRO_ARRAY && type->avro != MR_AVRO_MAP)
        return;
    for (uint32_t i = 0; i<type->part_count && * budget> 0; i++)
        spend(b, part_type(b, type, i), budget);
}

static void emit_skip_fields(mr_build *b, const mr_schema_type *record)
{
    for (uint32_t i = 0; i < record->part_count && b->status == MR_OK; i++) {
        const size_t mark = path_push(b, ".", b->schema->parts[record->part_first + i].name);
        emit_skip(b, part_type(b, record, i));
        path_pop(b, mark);
    }
}

static void emit_skip_record(mr_build *b, const mr_schema_type *record)
{
    int32_t budget = INLINE_COST_MAX;
    spend(b, record, &budget);
    if (budget > 0) {
        emit_skip_fields(b, record);
        return;
    }
    const uint32_t type = (uint32_t)(record - b->schema->types);
    if (b->routines[type] == 0)
        b->routines[type] = ROUTINE_ASKED_FOR;
    set_next(b, emit(b, MR_OP_CALL, NULL, 0), type); // becomes the routine's place in link_routines
}

static void emit_union(mr_build *b, const mr_schema_type *type, uint32_t want);

static void emit_skip(mr_build *b, const mr_schema_type *type)
{
    if (b->status != MR_OK)
        return;
    if (type->bytes_fixed) {
        if (type->bytes_min > 0)
            emit_run(b, MR_OP_SKIP_FIXED, type->bytes_min);
        return;
    }
    switch (type->avro) {
    case MR_AVRO_INT:
    case MR_AVRO_LONG:
    case MR_AVRO_ENUM:
        emit_run(b, MR_OP_SKIP_NUMBERS, 1);
        break;
    case MR_AVRO_BYTES:
    case MR_AVRO_STRING:
        emit_run(b, MR_OP_SKIP_BYTES, 1);
        break;
    case MR_AVRO_ARRAY:
    case MR_AVRO_MAP:
        emit_skip_items(b, type);
        break;
    case MR_AVRO_UNION:
        emit_union(b, type, 0);
        break;
    case MR_AVRO_RECORD:
        emit_skip_record(b, type);
        break;
    default: // fixed beyond any message
        emit(b, MR_OP_SKIP_FIXED, NULL, type->size);
        break;
    }
}

// A value that may be null and is passed over: one instruction, and with those before it a run.
static bool fuse_optional_skip(mr_build *b, uint32_t op, uint32_t null, uint32_t barrier)
{
    static const uint8_t fused[][2] = {
        {MR_OP_SKIP_FIXED, MR_OP_SKIP_OPTIONAL_FIXED},
        {MR_OP_SKIP_NUMBERS, MR_OP_SKIP_OPTIONAL_NUMBERS},
        {MR_OP_SKIP_BYTES, MR_OP_SKIP_OPTIONAL_BYTES},
    };
    mr_plan *plan = b->plan;
    mr_op *const first = plan->ops + op, inner = first[1];
    uint32_t form = 0;
    while (form < 3 && fused[form][0] != inner.code)
        form++;
    const uint32_t count_max = inner.code == MR_OP_SKIP_FIXED ? UINT16_MAX : 1;
    if (form == 3 || inner.count > count_max || inner.path + 1 != plan->path_count)
        return false;
    *first = (mr_op){.code = fused[form][1],
                     .at = inner.code == MR_OP_SKIP_FIXED ? (uint16_t)inner.count : 0,
                     .count = null,
                     .next = 1,
                     .path = first->path};
    plan->path_count--; // that of the value is that of its union
    plan->op_count--;
    mr_op *const last = first - 1;
    if (op > barrier && last->code == first->code && last->at == first->at && last->count == null &&
        last->path + last->next == first->path) {
        last->next++;
        plan->op_count--;
    }
    return true;
}

// If what an optional value takes is one instruction that has an optional form, the two become one.
static bool fuse_optional(mr_build *b, uint32_t op, uint32_t null, uint32_t barrier)
{
    static const uint8_t fused[][2] = {
        {MR_OP_TEXT, MR_OP_OPTIONAL_TEXT},
        {MR_OP_LONG, MR_OP_OPTIONAL_LONG},
        {MR_OP_INT, MR_OP_OPTIONAL_INT},
        {MR_OP_DOUBLE, MR_OP_OPTIONAL_DOUBLE},
        {MR_OP_DOUBLE_FLOAT, MR_OP_OPTIONAL_FLOAT},
    };
    mr_plan *plan = b->plan;
    if (b->status != MR_OK || plan->op_count != op + 2)
        return false;
    for (size_t i = 0; i < sizeof fused / sizeof *fused; i++) {
        if (plan->ops[op + 1].code == fused[i][0]) {
            plan->ops[op] = plan->ops[op + 1];
            plan->ops[op].code = fused[i][1];
            plan->ops[op].count = null;
            plan->op_count--;
            return true;
        }
    }
    return fuse_optional_skip(b, op, null, barrier);
}

static void emit_optional(mr_build *b, const mr_schema_type *type, uint32_t null, uint32_t want)
{
    const uint32_t barrier = b->barrier;
    const uint32_t op = emit(b, MR_OP_OPTIONAL, NULL, null);
    here(b);
    emit_value(b, part_type(b, type, 1 - null), want);
    if (fuse_optional(b, op, null, barrier))
        b->barrier = barrier; // nothing jumps there any more
    else
        set_next(b, op, here(b));
}

// A union, whatever its branches are. want 0: it is passed over.
static void emit_union(mr_build *b, const mr_schema_type *type, uint32_t want)
{
    mr_plan *plan = b->plan;
    const uint32_t count = type->part_count;
    if (count == 2) {
        for (uint32_t null = 0; null < 2; null++) {
            if (part_type(b, type, null)->avro == MR_AVRO_NULL) {
                emit_optional(b, type, null, want);
                return;
            }
        }
    }
    const uint32_t first = plan->jump_count;
    if (!mr_build_reserve(b, &plan->jumps, first, 2 * count, &b->jump_room, sizeof *plan->jumps))
        return;
    plan->jump_count +=
        2 * count; // where each branch begins, and for this pass the jump at its end
    set_next(b, emit(b, MR_OP_UNION, NULL, count), first);
    for (uint32_t i = 0; i < count && b->status == MR_OK; i++) {
        plan->jumps[first + i] = here(b);
        emit_value(b, part_type(b, type, i), want);
        if (b->status == MR_OK)
            plan->jumps[first + count + i] = emit(b, MR_OP_JUMP, NULL, 0);
    }
    const uint32_t after = here(b);
    for (uint32_t i = 0; i < count && b->status == MR_OK; i++)
        set_next(b, plan->jumps[first + count + i], after);
}

static uint32_t add_text(mr_build *b, const char *text)
{
    mr_plan *plan = b->plan;
    const size_t size = strlen(text);
    const uint32_t offset = mr_build_pool(b, text, size);
    if (!mr_build_reserve(b, &plan->texts, plan->text_count, 1, &b->text_room, sizeof *plan->texts))
        return 0;
    // The pool may still move: the offset becomes a pointer when the plan is done.
    plan->texts[plan->text_count] = (mr_bytes){(const uint8_t *)(uintptr_t)offset, (uint32_t)size};
    return plan->text_count++;
}

static void need_scratch(mr_build *b, uint32_t bytes)
{
    *(b->in_each ? &b->plan->item_scratch_bytes : &b->plan->scratch_bytes) += bytes * b->repeats;
}

static void emit_text(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    uint32_t first = b->plan->text_count;
    switch (type->avro) {
    case MR_AVRO_STRING:
        emit(b, MR_OP_TEXT, target, 0);
        break;
    case MR_AVRO_BYTES:
        emit(b, MR_OP_TEXT_BYTES, target, 0);
        break;
    case MR_AVRO_FIXED:
        if (type->logical == MR_LOGICAL_UUID)
            need_scratch(b, UUID_SCRATCH_BYTES);
        emit(b, type->logical == MR_LOGICAL_UUID ? MR_OP_TEXT_UUID : MR_OP_TEXT_FIXED, target,
             type->size);
        break;
    case MR_AVRO_ENUM:
        for (uint32_t i = 0; i < type->part_count; i++)
            add_text(b, b->schema->parts[type->part_first + i].name);
        set_next(b, emit(b, MR_OP_TEXT_ENUM, target, type->part_count), first);
        break;
    case MR_AVRO_BOOLEAN:
        add_text(b, "false");
        add_text(b, "true");
        set_next(b, emit(b, MR_OP_TEXT_BOOLEAN, target, 2), first);
        break;
    default:
        need_scratch(b, NUMBER_SCRATCH_BYTES);
        emit(b, MR_OP_TEXT_NUMBER, target, 0);
        break;
    }
}

static void emit_double(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    switch (type->avro) {
    case MR_AVRO_DOUBLE:
        emit(b, MR_OP_DOUBLE, target, 0);
        break;
    case MR_AVRO_FLOAT:
        emit(b, MR_OP_DOUBLE_FLOAT, target, 0);
        break;
    case MR_AVRO_LONG:
        emit(b, MR_OP_DOUBLE_LONG, target, 0);
        break;
    case MR_AVRO_INT:
        emit(b, MR_OP_DOUBLE_INT, target, 0);
        break;
    case MR_AVRO_BYTES:
        set_next(b, emit(b, MR_OP_DECIMAL, target, 0), type->scale);
        break;
    default:
        set_next(b, emit(b, MR_OP_DECIMAL_FIXED, target, type->size), type->scale);
        break;
    }
}

// The unit of a time: what the mapping says, else what the logical type says, else milliseconds.
static mr_time_unit unit_of(const mr_schema_type *type, const mr_target *target)
{
    if (target->unit != MR_TIME_AUTO)
        return target->unit;
    if (type->logical == MR_LOGICAL_MICROS)
        return MR_TIME_MICROS;
    return type->logical == MR_LOGICAL_NANOS ? MR_TIME_NANOS : MR_TIME_MILLIS;
}

static void emit_millis(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    static const uint32_t times[] = {
        [MR_TIME_SECONDS] = 1000, [MR_TIME_MILLIS] = 1, [MR_TIME_MICROS] = 1, [MR_TIME_NANOS] = 1};
    static const uint32_t divided[] = {[MR_TIME_SECONDS] = 1,
                                       [MR_TIME_MILLIS] = 1,
                                       [MR_TIME_MICROS] = 1000,
                                       [MR_TIME_NANOS] = 1000000};
    const mr_time_unit unit = unit_of(type, target);
    if (type->avro == MR_AVRO_STRING)
        emit(b, MR_OP_TIME_ISO, target, 0);
    else if (type->logical == MR_LOGICAL_DATE)
        emit(b, MR_OP_TIME_DAYS, target, 0);
    else if (type->avro == MR_AVRO_DOUBLE)
        set_next(b, emit(b, MR_OP_TIME_DOUBLE, target, times[unit]), divided[unit]);
    else if (divided[unit] > 1)
        emit(b, MR_OP_TIME_DIVIDED, target, divided[unit]);
    else if (times[unit] > 1)
        emit(b, MR_OP_TIME_TIMES, target, times[unit]);
    else
        emit(b, type->avro == MR_AVRO_INT ? MR_OP_INT : MR_OP_LONG, target, 0);
}

// An array or a map whose items fill slots one after the other.
static void emit_items(mr_build *b, const mr_schema_type *type, const mr_target *target,
                       uint32_t want, uint32_t repeats)
{
    const bool is_map = type->avro == MR_AVRO_MAP;
    const mr_schema_type *item = part_type(b, type, 0);
    const uint32_t head = emit(b, MR_OP_ITEMS, target, item->bytes_min + is_map);
    const size_t mark = path_push(b, "", is_map ? "{}" : "[]");
    here(b);
    emit(b, MR_OP_ITEM, target, 0);
    if (is_map)
        emit(b, MR_OP_PAIR_NAME, target, 0);
    b->repeats = repeats;
    emit_value(b, item, want);
    b->repeats = 1;
    set_next(b, emit(b, MR_OP_ITEM_AGAIN, target, 0), head);
    path_pop(b, mark);
    set_next(b, head, here(b));
}

static void emit_pairs(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    if (type->avro == MR_AVRO_MAP) {
        const mr_schema_type *value = part_type(b, type, 0);
        if (value->avro == MR_AVRO_STRING ||
            (value->avro == MR_AVRO_BYTES && value->logical == MR_LOGICAL_NONE))
            emit(b, MR_OP_PAIRS, target, value->avro == MR_AVRO_STRING);
        else
            emit_items(b, type, target, MR_WANT_PAIR, MR_PAIRS_MAX + 1);
        return;
    }
    const mr_target *text = b->targets + __builtin_ctzll(b->wants[MR_WANT_PAIR].targets);
    for (uint32_t i = 0; i < type->part_count && b->status == MR_OK; i++) {
        const mr_schema_part *field = b->schema->parts + type->part_first + i;
        const size_t mark = path_push(b, ".", field->name);
        if (mr_build_suits(b->schema, b->schema->types + field->type, text)) {
            emit(b, MR_OP_ITEM, target, 0);
            set_next(b, emit(b, MR_OP_PAIR_IS, target, 0), add_text(b, field->name));
            emit_value(b, b->schema->types + field->type, MR_WANT_PAIR);
            emit(b, MR_OP_ITEM_KEEP, target, 0);
        } else {
            emit_skip(b, b->schema->types + field->type);
        }
        path_pop(b, mark);
    }
}

static void emit_texts(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    if (type->avro == MR_AVRO_ARRAY) {
        emit_items(b, type, target, MR_WANT_CATEGORY, MR_CATEGORIES_MAX + 1);
        return;
    }
    emit(b, MR_OP_ITEM, target, 0);
    emit_value(b, type, MR_WANT_CATEGORY);
    emit(b, MR_OP_ITEM_KEEP, target, 0);
}

static void emit_floats(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    mr_target items = *target;
    items.at = (uint16_t)part_type(b, type, 0)->avro;
    emit(b, MR_OP_FLOATS, &items, part_type(b, type, 0)->bytes_min);
}

static void emit_selector(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    mr_target text = *target;
    text.at = 0;
    if (type->avro == MR_AVRO_STRING) {
        emit(b, MR_OP_SELECT_TEXT, NULL, target->at);
        return;
    }
    emit(b, MR_OP_SELECT, NULL, target->at);
    emit_text(b, type, &text);
    emit(b, MR_OP_SELECTED, NULL, 0);
}

static void emit_target(mr_build *b, const mr_schema_type *type, const mr_target *target)
{
    switch (target->sort) {
    case MR_SORT_TEXT:
        if (target->field == (mr_field)MR_FIELD_SELECTOR)
            emit_selector(b, type, target);
        else
            emit_text(b, type, target);
        break;
    case MR_SORT_LONG:
        emit(b, type->avro == MR_AVRO_INT ? MR_OP_INT : MR_OP_LONG, target, 0);
        break;
    case MR_SORT_DOUBLE:
        emit_double(b, type, target);
        break;
    case MR_SORT_MILLIS:
        emit_millis(b, type, target);
        break;
    case MR_SORT_BOOL:
        emit(b, type->avro == MR_AVRO_BOOLEAN ? MR_OP_BOOLEAN : MR_OP_BOOLEAN_LONG, target, 0);
        break;
    case MR_SORT_LINES:
        emit_items(b, type, target, MR_WANT_LINE, MR_LINES_MAX);
        break;
    case MR_SORT_PAIRS:
        emit_pairs(b, type, target);
        break;
    case MR_SORT_TEXTS:
        emit_texts(b, type, target);
        break;
    case MR_SORT_FLOATS:
        emit_floats(b, type, target);
        break;
    case MR_SORT_EACH: // its items are read afterwards, when the record is known
        if (part_type(b, type, 0) != b->each_items) {
            b->status = mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                                  "field '%s': the arrays that 'each' may find here have different "
                                  "items",
                                  b->path);
            return;
        }
        emit(b, MR_OP_EACH, NULL, 0);
        here(b);
        emit_skip(b, type);
        break;
    }
}

// Several readings of one value: the cursor goes back for each but the first.
static void read_again(mr_build *b, uint32_t slot)
{
    if (slot >= MR_SAVE_SLOTS) {
        b->status =
            mr_reject(b->err, MR_CAUSE_unsuitable_schema,
                      "field '%s': mapped in more than %d ways at once", b->path, MR_SAVE_SLOTS);
        return;
    }
    here(b);
    emit(b, MR_OP_RESTORE, NULL, slot);
}

typedef struct match { // a wanted name and the field that has it
    uint32_t want;
    const mr_schema_part *field;
} match;

static uint32_t match_fields(const mr_build *b, const mr_schema_type *record, uint32_t want,
                             match matches[MR_TARGETS_MAX])
{
    uint32_t count = 0;
    for (uint32_t child = b->wants[want].child; child != 0; child = b->wants[child].sibling) {
        const mr_want *node = b->wants + child;
        const mr_schema_part *field =
            mr_schema_field(b->schema, record, node->name, node->name_size);
        MR_ASSERT(count < MR_TARGETS_MAX); // below every child is a target of its own
        if (field != NULL)
            matches[count++] = (match){child, field};
    }
    return count;
}

// A field, read once for each name that found it: a name and an alias may both be wanted.
static void emit_field(mr_build *b, const mr_schema_part *field, const match *matches,
                       uint32_t match_count)
{
    const mr_schema_type *type = b->schema->types + field->type;
    const uint32_t slot = b->slot++;
    uint32_t wanted = 0, done = 0;
    for (uint32_t i = 0; i < match_count; i++)
        wanted += matches[i].field == field;
    if (wanted == 0)
        emit_skip(b, type);
    if (wanted > 1 && slot < MR_SAVE_SLOTS)
        emit(b, MR_OP_SAVE, NULL, slot);
    for (uint32_t i = 0; i < match_count && done < wanted; i++) {
        if (matches[i].field != field)
            continue;
        if (done++ > 0)
            read_again(b, slot);
        emit_value(b, type, matches[i].want);
    }
    b->slot--;
}

static void emit_fields(mr_build *b, const mr_schema_type *record, uint32_t want)
{
    match matches[MR_TARGETS_MAX];
    const uint32_t match_count = match_fields(b, record, want, matches);
    for (uint32_t i = 0; i < record->part_count && b->status == MR_OK; i++) {
        const mr_schema_part *field = b->schema->parts + record->part_first + i;
        const size_t mark = path_push(b, ".", field->name);
        emit_field(b, field, matches, match_count);
        path_pop(b, mark);
    }
}

static void emit_value(mr_build *b, const mr_schema_type *type, uint32_t want)
{
    if (b->status != MR_OK)
        return;
    if (type->avro == MR_AVRO_UNION) {
        emit_union(b, type, want);
        return;
    }
    uint64_t targets = 0;
    for (uint64_t left = b->wants[want].targets; left != 0; left &= left - 1) {
        const uint32_t index = (uint32_t)__builtin_ctzll(left);
        if (mr_build_suits(b->schema, type, b->targets + index))
            targets |= UINT64_C(1) << index;
    }
    const bool walk = type->avro == MR_AVRO_RECORD && b->wants[want].child != 0;
    const uint32_t readings = (uint32_t)__builtin_popcountll(targets) + walk;
    const uint32_t slot = b->slot++;
    if (readings == 0)
        emit_skip(b, type);
    if (readings > 1 && slot < MR_SAVE_SLOTS)
        emit(b, MR_OP_SAVE, NULL, slot);
    if (walk)
        emit_fields(b, type, want);
    for (bool first = !walk; targets != 0; targets &= targets - 1, first = false) {
        if (!first)
            read_again(b, slot);
        emit_target(b, type, b->targets + __builtin_ctzll(targets));
    }
    b->slot--;
}

// Writes the routines that were asked for, which may ask for more, and gives the calls their
// places.
static void link_routines(mr_build *b)
{
    for (bool more = true; more && b->status == MR_OK;) {
        more = false;
        for (uint32_t i = 0; i < b->schema->type_count && b->status == MR_OK; i++) {
            if (b->routines[i] != ROUTINE_ASKED_FOR)
                continue;
            snprintf(b->path, sizeof b->path, "(%s)", b->schema->types[i].name);
            b->routines[i] = here(b);
            emit_skip_fields(b, b->schema->types + i);
            emit(b, MR_OP_RETURN, NULL, 0);
            more = true;
        }
    }
    for (uint32_t i = 0; i < b->plan->op_count && b->status == MR_OK; i++) {
        if (b->plan->ops[i].code == MR_OP_CALL)
            b->plan->ops[i].next = b->routines[b->plan->ops[i].next];
    }
}

// The program of an item of `each`.
static void emit_each(mr_build *b)
{
    if (!b->plan->has_each || b->status != MR_OK)
        return;
    b->in_each = true;
    b->plan->each = here(b);
    snprintf(b->path, sizeof b->path, "%s[]", b->plan->pool + b->plan->each_path);
    emit_value(b, b->each_items, MR_WANT_EACH);
    here(b);
    path_pop(b, 0);
    emit(b, MR_OP_END, NULL, 0);
}

void mr_build_emit(mr_build *b)
{
    b->repeats = 1;
    b->routines = calloc(b->schema->type_count, sizeof *b->routines);
    if (b->routines == NULL) {
        b->status = mr_fail(b->err, MR_FATAL, "plan: out of memory");
        return;
    }
    emit_value(b, b->schema->types + b->schema->root, MR_WANT_EVENT);
    here(b);
    path_pop(b, 0);
    emit(b, MR_OP_END, NULL, 0);
    if (b->plan->op_count < 2) // so that no routine can begin at ROUTINE_ASKED_FOR
        emit(b, MR_OP_END, NULL, 0);
    emit_each(b);
    link_routines(b);
    free(b->routines);
    b->routines = NULL;
}
