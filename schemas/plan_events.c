// SPDX-License-Identifier: Apache-2.0
// From a record to its events: constants, what comes from outside, the program of the record, then
// of each item, and what the values say about them.
//
// A record of several events is read twice where they stand: its own program passes over the array
// and remembers where it is, for what an event has of the record may stand behind it. So the work
// stays linear in the bytes.
#include <stdio.h>
#include <string.h>

#include "schemas/json_build.h"
#include "schemas/plan_ops.h"
#include "schemas/text.h"
#include "schemas/wire.h"

#define FIELDS ((1u << MR_FIELD_COUNT) - 1u)

static void begin_event(const mr_plan *plan, mr_event *event)
{
    MR_ASSERT(!plan->needs_lines || event->lines != NULL);
    MR_ASSERT(!plan->needs_vector || event->vector != NULL);
    MR_ASSERT(plan->scratch_bytes == 0 || event->scratch != NULL);
    event->kind = plan->kind;
    event->deleted = false;
    event->line_count = 0;
    event->context_count = 0;
    event->category_count = 0;
    event->vector_count = 0;
    event->scratch_used = 0;
}

static void *place(mr_event *event, uint16_t at)
{
    return (uint8_t *)event + at;
}

static uint32_t fill_constants(const mr_plan *plan, mr_event *event)
{
    uint32_t present = 0;
    for (uint32_t i = 0; i < plan->constant_count; i++) {
        const mr_constant *constant = plan->constants + i;
        void *const to = place(event, constant->at);
        if (constant->type == MR_CONSTANT_TEXT)
            *(mr_bytes *)to = constant->text;
        else if (constant->type == MR_CONSTANT_LONG)
            *(int64_t *)to = constant->number;
        else if (constant->type == MR_CONSTANT_DOUBLE)
            *(double *)to = constant->real;
        else
            *(bool *)to = constant->number != 0;
        present |= 1u << constant->field;
    }
    return present;
}

static bool fill_one(const mr_plan_outside *o, mr_bytes text, mr_event *event, mr_bytes *selected)
{
    void *const to = o->sort == MR_OUTSIDE_SELECTOR ? NULL : place(event, o->at);
    int64_t whole;
    switch (o->sort) {
    case MR_OUTSIDE_SELECTOR:
        selected[o->at] = text;
        return true;
    case MR_OUTSIDE_TEXT:
        *(mr_bytes *)to = text;
        return true;
    case MR_OUTSIDE_LONG:
        return mr_text_long(text, (int64_t *)to);
    case MR_OUTSIDE_DOUBLE:
        return mr_text_double(text, (double *)to);
    case MR_OUTSIDE_TIME:
        return mr_text_time(text, o->unit, (int64_t *)to) ||
               (o->unit == MR_TIME_AUTO && mr_text_time(text, MR_TIME_ISO, (int64_t *)to));
    case MR_OUTSIDE_BOOL:
        *(bool *)to = mr_bytes_equal(text, mr_bytes_text("true")) ||
                      (mr_text_long(text, &whole) && whole != 0);
        return true;
    }
    return false;
}

static mr_status fill_outside(const mr_plan *plan, const mr_bytes *outside, mr_event *event,
                              mr_bytes *selected, uint32_t *present, mr_error *err)
{
    for (uint32_t i = 0; i < plan->outside_count; i++) {
        const mr_plan_outside *o = plan->outside + i;
        const mr_bytes text = outside[o->index];
        if (text.data == NULL)
            continue;
        if (!fill_one(o, text, event, selected))
            return mr_reject(err, MR_CAUSE_bad_value, "'%s' from '%s': '%.*s' is no such value",
                             mr_field_name(o->field), plan->pool + o->name,
                             text.size < 40 ? (int)text.size : 40, (const char *)text.data);
        if (o->sort != MR_OUTSIDE_SELECTOR)
            *present |= 1u << o->field;
    }
    return MR_OK;
}

// A purchase of one item in a record without lines: the event itself is its line.
static void line_of_event(mr_event *event, const mr_line *line)
{
    event->lines[0] = *line;
    event->lines[0].item = event->item;
    if (mr_event_has(event, MR_FIELD_quantity))
        event->lines[0].quantity = event->quantity;
    if (mr_event_has(event, MR_FIELD_price))
        event->lines[0].price = event->price;
    if (mr_event_has(event, MR_FIELD_propensity))
        event->lines[0].propensity = event->propensity;
    event->line_count = 1;
    event->present |= 1u << MR_FIELD_lines;
}

static void finish(const mr_plan *plan, mr_event *event)
{
    if (plan->line_of_event && mr_event_has(event, MR_FIELD_item) &&
        !mr_event_has(event, MR_FIELD_lines) &&
        (event->kind == MR_EVENT_PURCHASE || event->kind == MR_EVENT_IMPRESSION))
        line_of_event(event, &plan->line);
}

static inline mr_status run(const mr_plan *plan, mr_plan_part *part, mr_event *event, mr_error *err)
{
    return plan->json != NULL ? mr_json_run(plan, part, event, err)
                              : mr_plan_run(plan, part, event, err);
}

static mr_status check_size(const mr_plan_part *part, mr_error *err)
{
    const size_t used = (size_t)(part->at - part->bytes);
    const size_t byte_count = (size_t)(part->end - part->bytes);
    if (used == byte_count)
        return MR_OK;
    return mr_reject(err, MR_CAUSE_trailing_bytes, "the record ends at byte %zu of %zu: %s", used,
                     byte_count, mr_cause_text(MR_CAUSE_trailing_bytes));
}

static mr_status too_long(size_t byte_count, mr_error *err)
{
    return mr_reject(err, MR_CAUSE_bad_length, "a record of %zu bytes, at most %d are read",
                     byte_count, INT32_MAX);
}

// ---- one event

mr_status mr_plan_decode_next(const mr_plan *plan, const uint8_t *bytes, size_t byte_count,
                              size_t *used, mr_event *event, mr_error *err)
{
    MR_ASSERT(plan->plain);
    if (byte_count > INT32_MAX)
        return too_long(byte_count, err);
    if (byte_count == 0)
        bytes = (const uint8_t *)""; // may be null, which no cursor should be
    begin_event(plan, event);
    mr_plan_part part = {.bytes = bytes, .at = bytes, .end = bytes + byte_count};
    part.present = fill_constants(plan, event);
    MR_TRY(run(plan, &part, event, err));
    event->present = part.present;
    finish(plan, event);
    *used = (size_t)(part.at - bytes);
    return MR_OK;
}

mr_status mr_plan_decode(const mr_plan *plan, const uint8_t *bytes, size_t byte_count,
                         mr_event *event, mr_error *err)
{
    size_t used = 0;
    MR_TRY(mr_plan_decode_next(plan, bytes, byte_count, &used, event, err));
    const mr_plan_part part = {.bytes = bytes, .at = bytes + used, .end = bytes + byte_count};
    return used == byte_count ? MR_OK : check_size(&part, err);
}

// ---- values that decide

static const mr_plan_value *value_of(const mr_plan *plan, const mr_plan_selector *selector,
                                     mr_bytes text)
{
    const mr_plan_value *any = NULL;
    for (uint32_t i = 0; i < selector->value_count; i++) {
        const mr_plan_value *value = plan->values + selector->value_first + i;
        if (value->any)
            any = value;
        else if (text.data != NULL && mr_bytes_equal(value->from, text))
            return value;
    }
    return any;
}

static mr_status refuse_value(const mr_plan *plan, const mr_plan_selector *selector, mr_bytes text,
                              mr_error *err)
{
    return mr_reject(err, MR_CAUSE_unmapped_value, "'%s' is '%.*s', which the mapping refuses",
                     plan->pool + selector->name, text.size < 40 ? (int)text.size : 40,
                     text.data != NULL ? (const char *)text.data : "");
}

// Applies a map of kinds or of a field's values.
static mr_status apply(const mr_plan *plan, const mr_plan_selector *selector,
                       const mr_bytes *selected, mr_event *event, bool *taken, mr_error *err)
{
    const bool is_field = selector->role == MR_ROLE_FIELD;
    mr_bytes *const text = is_field ? place(event, selector->at) : NULL;
    if (is_field && !mr_event_has(event, selector->field))
        return MR_OK;
    const mr_bytes have = is_field ? *text : selected[selector->slot];
    const mr_plan_value *value = value_of(plan, selector, have);
    if (value == NULL && is_field)
        return MR_OK;
    if (value != NULL && value->kind == MR_KIND_REJECT)
        return refuse_value(plan, selector, have, err);
    *taken = value != NULL && value->kind != MR_KIND_SKIP;
    if (*taken && is_field)
        *text = value->to;
    else if (*taken)
        event->kind = (mr_event_kind)value->kind;
    return MR_OK;
}

// Whether the values make an event of what was read, and of which kind. Filters go first: what they
// leave out is not judged.
static mr_status judge(const mr_plan *plan, const mr_bytes *selected, mr_event *event, bool *taken,
                       mr_error *err)
{
    *taken = true;
    for (uint32_t i = 0; i < plan->selector_count; i++) {
        const mr_plan_selector *s = plan->selectors + i;
        if (s->role == MR_ROLE_WHERE &&
            (value_of(plan, s, selected[s->slot]) != NULL) == s->negated)
            *taken = false;
    }
    for (uint32_t i = 0; i < plan->selector_count && *taken; i++) {
        const mr_plan_selector *s = plan->selectors + i;
        if (s->role != MR_ROLE_WHERE)
            MR_TRY(apply(plan, s, selected, event, taken, err));
    }
    return MR_OK;
}

// ---- all events of a record

mr_status mr_plan_begin(const mr_plan *plan, const uint8_t *bytes, size_t byte_count,
                        const mr_bytes *outside, size_t *used, mr_event *event, mr_plan_walk *walk,
                        mr_error *err)
{
    if (byte_count > INT32_MAX)
        return too_long(byte_count, err);
    if (byte_count == 0)
        bytes = (const uint8_t *)"";
    for (uint32_t i = 0; i < MR_SELECTORS_MAX; i++)
        walk->selected[i] = (mr_bytes){NULL, 0};
    begin_event(plan, event);
    mr_plan_part part = {
        .bytes = bytes, .at = bytes, .end = bytes + byte_count, .selected = walk->selected};
    part.present = fill_constants(plan, event);
    MR_TRY(fill_outside(plan, outside, event, walk->selected, &part.present, err));
    MR_TRY(run(plan, &part, event, err));
    if (used == NULL)
        MR_TRY(check_size(&part, err));
    else
        *used = (size_t)(part.at - bytes);
    event->present = part.present & FIELDS;
    walk->plan = plan;
    walk->bytes = bytes;
    walk->end = bytes + byte_count;
    walk->at = part.each;
    walk->left = 0;
    walk->index = 0;
    walk->ended = plan->has_each && part.each == NULL;
    if (plan->has_each && !walk->ended)
        walk->record = *event;
    return MR_OK;
}

// Moves to the next item of an Avro array.
static mr_status next_item(mr_plan_walk *walk, mr_error *err)
{
    mr_wire in = {walk->at, walk->end};
    int64_t bytes;
    if (walk->left == 0) {
        const mr_cause cause = mr_wire_block(&in, walk->plan->each_bytes, &walk->left, &bytes);
        if (cause != MR_CAUSE_NONE)
            return mr_reject(err, cause, "'%s': %s", walk->plan->pool + walk->plan->each_path,
                             mr_cause_text(cause));
        walk->ended = walk->left == 0;
        walk->at = in.p;
    }
    if (!walk->ended)
        walk->left--;
    return MR_OK;
}

// An id that all events of the record have would make duplicates of all but the first.
static mr_status own_id(const mr_plan_walk *walk, mr_event *event, mr_error *err)
{
    char number[16];
    const int size = snprintf(number, sizeof number, "/%u", walk->index);
    const mr_bytes id = event->event_id;
    if (id.size > MR_EACH_ID_BYTES_MAX)
        return mr_reject(err, MR_CAUSE_bad_length, "the record's event_id has %u bytes, at most %d",
                         id.size, MR_EACH_ID_BYTES_MAX);
    uint8_t *const to = event->scratch + event->scratch_used;
    if (id.size > 0)
        memcpy(to, id.data, id.size);
    memcpy(to + id.size, number, (size_t)size);
    event->event_id = mr_bytes_of(to, id.size + (size_t)size);
    event->scratch_used += event->event_id.size;
    return MR_OK;
}

static mr_status read_item(mr_plan_walk *walk, mr_event *event, bool *taken, mr_error *err)
{
    const mr_plan *plan = walk->plan;
    mr_bytes selected[MR_SELECTORS_MAX];
    uint8_t *const scratch = event->scratch;
    mr_line *const lines = event->lines;
    memcpy(selected, walk->selected, sizeof selected);
    *event = walk->record;
    event->scratch = scratch;
    event->scratch_used = 0;
    event->lines = lines;
    mr_plan_part part = {.first = plan->each,
                         .bytes = walk->bytes,
                         .at = walk->at,
                         .end = walk->end,
                         .selected = selected};
    MR_TRY(run(plan, &part, event, err));
    walk->at = part.at;
    event->present |= part.present & FIELDS;
    MR_TRY(judge(plan, selected, event, taken, err));
    if (*taken && event->event_id.size > 0 && mr_event_has(event, MR_FIELD_event_id) &&
        (part.present >> MR_FIELD_event_id & 1) == 0)
        MR_TRY(own_id(walk, event, err));
    walk->index++;
    return MR_OK;
}

mr_status mr_plan_next(mr_plan_walk *walk, mr_event *event, bool *more, mr_error *err)
{
    const mr_plan *plan = walk->plan;
    *more = false;
    if (!plan->has_each) {
        if (walk->ended)
            return MR_OK;
        walk->ended = true;
        MR_TRY(judge(plan, walk->selected, event, more, err));
        if (*more)
            finish(plan, event);
        return MR_OK;
    }
    while (!*more && !walk->ended) {
        MR_TRY(plan->json != NULL ? mr_json_item(walk, err) : next_item(walk, err));
        if (!walk->ended)
            MR_TRY(read_item(walk, event, more, err));
    }
    if (*more)
        finish(plan, event);
    return MR_OK;
}
