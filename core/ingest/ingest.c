// SPDX-License-Identifier: Apache-2.0
#include "core/ingest/ingest.h"

static mr_status check_id(const char *field, mr_bytes id, bool present, uint32_t bytes_max,
                          mr_cause missing, mr_error *err)
{
    if (!present || id.size == 0)
        return mr_reject(err, missing, "field '%s' is %s: want an id", field,
                         present ? "empty" : "absent");
    if (id.size > bytes_max)
        return mr_reject(err, MR_CAUSE_id_too_long,
                         "field '%s' has %u bytes: at most %u are allowed "
                         "(%ss.id_bytes_max)",
                         field, id.size, bytes_max, field);
    return MR_OK;
}

static mr_status check_time(const mr_arrival *arrival, int64_t skew_max_ms, mr_error *err)
{
    const int64_t time_ms = arrival->event.time_ms;
    if (!mr_event_has(&arrival->event, MR_FIELD_time))
        return mr_reject(err, MR_CAUSE_bad_time, "field 'time' is absent");
    if (time_ms < MR_TIME_MIN_MS)
        return mr_reject(err, MR_CAUSE_bad_time,
                         "field 'time' is %lld ms, before the year 1990: want "
                         "milliseconds since 1970",
                         (long long)time_ms);
    if (time_ms > arrival->record_ms && time_ms - arrival->record_ms > skew_max_ms)
        return mr_reject(err, MR_CAUSE_bad_time,
                         "field 'time' is %lld ms ahead of the record's "
                         "timestamp: at most %lld are allowed (clock.skew_max)",
                         (long long)(time_ms - arrival->record_ms), (long long)skew_max_ms);
    return MR_OK;
}

static mr_status check_number(const mr_event *event, mr_field field, double value, double min,
                              double max, mr_error *err)
{
    if (!mr_event_has(event, field))
        return MR_OK;
    if (!__builtin_isfinite(value))
        return mr_reject(err, MR_CAUSE_not_finite, "field '%s' is %s", mr_field_name(field),
                         __builtin_isnan(value) ? "NaN" : "infinite");
    if (value < min || value > max)
        return mr_reject(err, MR_CAUSE_out_of_range, "field '%s' is %g: want %g to %g",
                         mr_field_name(field), value, min, max);
    return MR_OK;
}

static mr_status check_numbers(const mr_event *event, mr_error *err)
{
    MR_TRY(check_number(event, MR_FIELD_value, event->value, -1e15, 1e15, err));
    MR_TRY(check_number(event, MR_FIELD_price, event->price, 0, 1e15, err));
    const double least = event->kind == MR_EVENT_PURCHASE ? -1e9 : 0; // below 0: a refund
    MR_TRY(check_number(event, MR_FIELD_quantity, event->quantity, least, 1e9, err));
    return check_number(event, MR_FIELD_propensity, event->propensity, 0, 1, err);
}

static mr_status check_lines(const mr_event *event, const mr_ingest_limits *limits, mr_error *err)
{
    if (event->line_count == 0)
        return mr_reject(err, MR_CAUSE_no_lines, "field 'lines' is %s: want at least one item",
                         mr_event_has(event, MR_FIELD_lines) ? "empty" : "absent");
    for (uint32_t i = 0; i < event->line_count; i++) {
        const mr_line *line = &event->lines[i];
        if (check_id("item", line->item, true, limits->item_id_bytes_max, MR_CAUSE_no_item, err) !=
            MR_OK)
            return mr_wrap(err, "field 'lines', entry %u", i);
        if (!__builtin_isfinite(line->quantity) || !__builtin_isfinite(line->price) ||
            __builtin_isinf(line->propensity))
            return mr_reject(err, MR_CAUSE_not_finite,
                             "field 'lines', entry %u: quantity %g, price "
                             "%g",
                             i, line->quantity, line->price);
        const bool refund = line->quantity < 0 && event->kind == MR_EVENT_PURCHASE;
        if ((line->quantity < 0 && !refund) || line->price < 0 || line->propensity < 0 ||
            line->propensity > 1)
            return mr_reject(err, MR_CAUSE_out_of_range,
                             "field 'lines', entry %u: quantity %g, "
                             "price %g, propensity %g",
                             i, line->quantity, line->price, line->propensity);
    }
    return MR_OK;
}

// Vectors of two models, or of two versions of one, have nothing to say to each other.
static mr_status check_vector_model(const mr_event *event, mr_bytes model, mr_error *err)
{
    mr_bytes found = {NULL, 0};
    if (model.size == 0)
        return MR_OK;
    for (uint32_t i = 0; i < event->context_count; i++)
        if (mr_bytes_equal(event->context[i].name, mr_bytes_text(MR_VECTOR_MODEL)))
            found = event->context[i].value;
    return mr_bytes_equal(found, model)
               ? MR_OK
               : mr_reject(err, MR_CAUSE_vector_model,
                           "context '" MR_VECTOR_MODEL "' is '%.*s': want '%.*s' "
                           "(items.vector_model)",
                           found.size < 64 ? (int)found.size : 64, (const char *)found.data,
                           model.size < 64 ? (int)model.size : 64, (const char *)model.data);
}

static mr_status check_vector(const mr_event *event, const mr_ingest_limits *limits, mr_error *err)
{
    const uint32_t length = limits->vector_length;
    const bool has = mr_event_has(event, MR_FIELD_vector);
    if (has && length > 0 && event->vector_count != length)
        return mr_reject(err, MR_CAUSE_vector_length,
                         "field 'vector' has %u numbers: want %u "
                         "(items.vector_length)",
                         event->vector_count, length);
    if (has)
        MR_TRY(check_vector_model(event, limits->vector_model, err));
    for (uint32_t i = 0; i < event->vector_count; i++)
        if (!__builtin_isfinite(event->vector[i]))
            return mr_reject(err, MR_CAUSE_not_finite,
                             "field 'vector', entry %u is no finite number", i);
    return MR_OK;
}

static mr_status check_action(const mr_event *event, mr_error *err)
{
    const mr_action action = mr_action_of(event->action);
    if (action == MR_ACTION_COUNT)
        return mr_reject(err, MR_CAUSE_unknown_action,
                         "field 'action' is '%.*s': want more, less, mute, unmute, explore or "
                         "forget",
                         event->action.size > 40 ? 40 : (int)event->action.size,
                         (const char *)event->action.data);
    if (action == MR_ACTION_FORGET)
        return MR_OK;
    if (action == MR_ACTION_EXPLORE) {
        if (!mr_event_has(event, MR_FIELD_value))
            return mr_reject(err, MR_CAUSE_out_of_range,
                             "field 'value' is absent: explore wants a level from 0 to 1");
        return check_number(event, MR_FIELD_value, event->value, 0, 1, err);
    }
    if (!mr_event_has(event, MR_FIELD_target) || event->target.size == 0)
        return mr_reject(err, MR_CAUSE_no_target,
                         "field 'target' is %s: want the category or the item that is meant",
                         mr_event_has(event, MR_FIELD_target) ? "empty" : "absent");
    return check_number(event, MR_FIELD_value, event->value, 0, 6, err);
}

mr_status mr_ingest_check(const mr_arrival *arrival, const mr_ingest_limits *limits, mr_error *err)
{
    const mr_event *event = &arrival->event;
    if (event->kind != MR_EVENT_CATALOGUE)
        MR_TRY(check_id("user", event->user, mr_event_has(event, MR_FIELD_user),
                        limits->user_id_bytes_max, MR_CAUSE_no_user, err));
    MR_TRY(check_time(arrival, limits->clock_skew_max_ms, err));
    MR_TRY(check_numbers(event, err));
    switch (event->kind) {
    case MR_EVENT_CLICK:
    case MR_EVENT_CART:
    case MR_EVENT_RATING:
        return check_id("item", event->item, mr_event_has(event, MR_FIELD_item),
                        limits->item_id_bytes_max, MR_CAUSE_no_item, err);
    case MR_EVENT_PURCHASE: // one item, or line items
        if (event->line_count == 0 && mr_event_has(event, MR_FIELD_item) && event->item.size > 0)
            return check_id("item", event->item, true, limits->item_id_bytes_max, MR_CAUSE_no_item,
                            err);
        return check_lines(event, limits, err);
    case MR_EVENT_IMPRESSION:
        return check_lines(event, limits, err);
    case MR_EVENT_CATALOGUE:
        MR_TRY(check_vector(event, limits, err));
        return check_id("item", event->item, mr_event_has(event, MR_FIELD_item),
                        limits->item_id_bytes_max, MR_CAUSE_no_item, err);
    case MR_EVENT_CONTROL:
        return check_action(event, err);
    case MR_EVENT_SEARCH:
    case MR_EVENT_KIND_COUNT:
        break;
    }
    return MR_OK;
}
