// SPDX-License-Identifier: Apache-2.0
#include "worker/input/values.h"

#include <math.h>
#include <string.h>

#include "schemas/text.h"

mr_status mr_values_bad(const char *name, const char *want, mr_bytes have, mr_error *err)
{
    return mr_reject(err, MR_CAUSE_bad_value, "column '%s': want %s, have '%.*s'", name, want,
                     have.size < 40 ? (int)have.size : 40, (const char *)have.data);
}

static void fill_categories(mr_bytes text, mr_event *event)
{
    const uint8_t *at = text.data, *const end = text.data + text.size;
    while (at <= end && event->category_count < MR_CATEGORIES_MAX) {
        const uint8_t *bar = at < end ? memchr(at, '|', (size_t)(end - at)) : NULL;
        const uint8_t *stop = bar != NULL ? bar : end;
        if (stop > at)
            event->categories[event->category_count++] = mr_bytes_of(at, (size_t)(stop - at));
        at = stop + 1;
    }
}

mr_bytes *mr_values_text(mr_event *event, mr_field field)
{
    switch ((uint32_t)field) {
    case MR_FIELD_user:
        return &event->user;
    case MR_FIELD_item:
        return &event->item;
    case MR_FIELD_event_id:
        return &event->event_id;
    case MR_FIELD_session:
        return &event->session;
    case MR_FIELD_list:
        return &event->list;
    case MR_FIELD_order:
        return &event->order;
    case MR_FIELD_query:
        return &event->query;
    case MR_FIELD_action:
        return &event->action;
    case MR_FIELD_target:
        return &event->target;
    case MR_FIELD_title:
        return &event->title;
    default:
        return NULL;
    }
}

double *mr_values_double(mr_event *event, mr_field field)
{
    switch ((uint32_t)field) {
    case MR_FIELD_value:
        return &event->value;
    case MR_FIELD_price:
        return &event->price;
    case MR_FIELD_quantity:
        return &event->quantity;
    case MR_FIELD_propensity:
        return &event->propensity;
    default:
        return NULL;
    }
}

static mr_status fill_vector(const mr_value_use *use, mr_bytes value, mr_event *event,
                             mr_error *err)
{
    const uint8_t *at = value.data, *const end = value.data + value.size;
    while (at < end) {
        const uint8_t *stop = memchr(at, ' ', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        double number = 0;
        if (stop == at || event->vector_count == MR_VECTOR_MAX ||
            !mr_text_double(mr_bytes_of(at, (size_t)(stop - at)), &number))
            return mr_values_bad(use->name, "up to 1024 numbers, each divided by a space", value,
                                 err);
        event->vector[event->vector_count++] = (float)number;
        at = stop + 1;
    }
    return MR_OK;
}

static mr_status fill_bool(const mr_value_use *use, mr_bytes value, mr_event *event, mr_error *err)
{
    const bool yes =
        mr_bytes_equal(value, mr_bytes_text("true")) || mr_bytes_equal(value, mr_bytes_text("1"));
    const bool no =
        mr_bytes_equal(value, mr_bytes_text("false")) || mr_bytes_equal(value, mr_bytes_text("0"));
    event->available = yes;
    return yes || no ? MR_OK : mr_values_bad(use->name, "true or false", value, err);
}

mr_status mr_values_fill(const mr_value_use *use, mr_bytes value, mr_event *event, mr_error *err)
{
    mr_bytes *text = mr_values_text(event, use->field);
    double *real = mr_values_double(event, use->field);
    if (text != NULL)
        *text = value;
    else if (real != NULL && !mr_text_double(value, real))
        return mr_values_bad(use->name, "a number", value, err);
    else if (use->field == MR_FIELD_time && !mr_text_time(value, use->unit, &event->time_ms))
        return mr_values_bad(use->name,
                             use->unit == MR_TIME_ISO ? "a time such as 2026-01-31T12:30:00.5Z"
                                                      : "a time as a whole number",
                             value, err);
    else if (use->field == MR_FIELD_position && !mr_text_long(value, &event->position))
        return mr_values_bad(use->name, "a whole number", value, err);
    else if (use->field == MR_FIELD_list_version && !mr_text_long(value, &event->list_version))
        return mr_values_bad(use->name, "a whole number", value, err);
    else if (use->field == MR_FIELD_available)
        MR_TRY(fill_bool(use, value, event, err));
    else if (use->field == MR_FIELD_categories)
        fill_categories(value, event);
    else if (use->field == MR_FIELD_vector)
        MR_TRY(fill_vector(use, value, event, err));
    event->present |= 1u << use->field;
    return MR_OK;
}

void mr_values_begin(mr_event *event, mr_event_kind kind, mr_line *line)
{
    event->kind = kind;
    event->present = 0;
    event->deleted = false;
    event->lines = line;
    event->line_count = event->context_count = event->category_count = event->vector_count = 0;
}

void mr_values_pair(mr_bytes name, mr_bytes value, mr_event *event)
{
    if (event->context_count == MR_PAIRS_MAX)
        return;
    event->context[event->context_count++] = (mr_pair){name, value};
    event->present |= 1u << MR_FIELD_context;
}

bool mr_values_can_fill(mr_field field)
{
    return field != MR_FIELD_lines && field != MR_FIELD_context && field != MR_FIELD_vector;
}

void mr_values_end(mr_event *event)
{
    const bool has_price = mr_event_has(event, MR_FIELD_price);
    if ((event->kind != MR_EVENT_PURCHASE && event->kind != MR_EVENT_IMPRESSION) ||
        !mr_event_has(event, MR_FIELD_item))
        return;
    event->lines[0] =
        (mr_line){event->item, mr_event_has(event, MR_FIELD_quantity) ? event->quantity : 1,
                  has_price ? event->price : 0,
                  mr_event_has(event, MR_FIELD_propensity) ? event->propensity : (double)NAN};
    event->line_count = 1;
    event->present |= 1u << MR_FIELD_lines;
}

