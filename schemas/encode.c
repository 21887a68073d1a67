// SPDX-License-Identifier: Apache-2.0
#include "schemas/encode.h"

#include <math.h>
#include <stdio.h>

enum { PRICE_SCALE = 10000 }; // decimal of scale 4

// Optional values: branch 0 is null in all our schemas.
static void put_optional_text(mr_writer *out, const mr_event *event, mr_field field, mr_bytes text)
{
    mr_put_long(out, mr_event_has(event, field));
    if (mr_event_has(event, field))
        mr_put_bytes(out, text);
}

static void put_optional_long(mr_writer *out, const mr_event *event, mr_field field, int64_t value)
{
    mr_put_long(out, mr_event_has(event, field));
    if (mr_event_has(event, field))
        mr_put_long(out, value);
}

static void put_optional_double(mr_writer *out, const mr_event *event, mr_field field, double value)
{
    mr_put_long(out, mr_event_has(event, field));
    if (mr_event_has(event, field))
        mr_put_double(out, value);
}

static void put_optional_float(mr_writer *out, float value)
{
    mr_put_long(out, !isnan(value));
    if (!isnan(value))
        mr_put_float(out, value);
}

static mr_bytes text_or_empty(const mr_event *event, mr_field field, mr_bytes text)
{
    return mr_event_has(event, field) ? text : (mr_bytes){NULL, 0};
}

// The count of an array or map of one block; 0 is its end already.
static bool put_count(mr_writer *out, uint32_t count)
{
    mr_put_long(out, count);
    return count > 0;
}

static void put_end(mr_writer *out)
{
    mr_put_long(out, 0);
}

// Big-endian two's complement in as few bytes as hold it.
static void put_decimal(mr_writer *out, int64_t unscaled)
{
    uint8_t bytes[8];
    uint32_t first = 0;
    for (uint32_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)unscaled >> (56 - 8 * i));
    while (first < 7 && (bytes[first] == 0 || bytes[first] == 0xff) &&
           (bytes[first] & 0x80) == (bytes[first + 1] & 0x80))
        first++;
    mr_put_bytes(out, mr_bytes_of(bytes + first, 8 - first));
}

static void put_price(mr_writer *out, bool present, double price)
{
    const double unscaled = price * PRICE_SCALE;
    // 18 digits: the precision of the schema. False for NaN too.
    const bool fits = present && unscaled > -1e18 && unscaled < 1e18;
    mr_put_long(out, fits);
    if (fits) // to the nearest, halves away from zero
        put_decimal(out, (int64_t)(unscaled + (unscaled < 0 ? -0.5 : 0.5)));
}

static void put_pairs(mr_writer *out, const mr_pair *pairs, uint32_t count)
{
    if (!put_count(out, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        mr_put_bytes(out, pairs[i].name);
        mr_put_bytes(out, pairs[i].value);
    }
    put_end(out);
}

static void put_context(mr_writer *out, const mr_event *event)
{
    put_pairs(out, event->context,
              mr_event_has(event, MR_FIELD_context) ? event->context_count : 0);
}

static void put_floats(mr_writer *out, const float *values, uint32_t count)
{
    if (!put_count(out, count))
        return;
    mr_put_raw(out, values, count * sizeof *values);
    put_end(out);
}

// ---- input events: one function a schema, one line a field ----

static void put_event_id(mr_writer *out, const mr_event *e)
{
    put_optional_text(out, e, MR_FIELD_event_id, e->event_id);
}

static void put_user(mr_writer *out, const mr_event *e)
{
    mr_put_bytes(out, text_or_empty(e, MR_FIELD_user, e->user));
}

static void put_item(mr_writer *out, const mr_event *e)
{
    mr_put_bytes(out, text_or_empty(e, MR_FIELD_item, e->item));
}

static void put_time(mr_writer *out, const mr_event *e)
{
    mr_put_long(out, mr_event_has(e, MR_FIELD_time) ? e->time_ms : 0);
}

static void put_session(mr_writer *out, const mr_event *e)
{
    put_optional_text(out, e, MR_FIELD_session, e->session);
}

static void put_list(mr_writer *out, const mr_event *e)
{
    put_optional_text(out, e, MR_FIELD_list, e->list);
    put_optional_long(out, e, MR_FIELD_list_version, e->list_version);
}

static void put_position(mr_writer *out, const mr_event *e)
{
    put_optional_long(out, e, MR_FIELD_position, e->position);
    put_optional_double(out, e, MR_FIELD_propensity, e->propensity);
}

static void put_click(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_item(out, e);
    put_time(out, e);
    put_session(out, e);
    put_list(out, e);
    put_position(out, e);
    put_optional_double(out, e, MR_FIELD_value, e->value);
    put_context(out, e);
}

static void put_cart(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_item(out, e);
    put_time(out, e);
    put_session(out, e);
    mr_put_double(out, mr_event_has(e, MR_FIELD_quantity) ? e->quantity : 1);
    put_price(out, mr_event_has(e, MR_FIELD_price), e->price);
    put_list(out, e);
    put_position(out, e);
    put_context(out, e);
}

static uint32_t line_count(const mr_event *e)
{
    return mr_event_has(e, MR_FIELD_lines) ? e->line_count : 0;
}

static void put_purchase(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_time(out, e);
    put_session(out, e);
    mr_put_long(out, line_count(e));
    for (uint32_t i = 0; i < line_count(e); i++) {
        mr_put_bytes(out, e->lines[i].item);
        mr_put_double(out, e->lines[i].quantity);
        put_price(out, e->lines[i].price != 0, e->lines[i].price);
    }
    if (line_count(e) > 0)
        put_end(out);
    put_list(out, e);
    put_context(out, e);
    put_optional_text(out, e, MR_FIELD_order, e->order);
}

static void put_impression(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_time(out, e);
    put_session(out, e);
    mr_put_long(out, line_count(e));
    for (uint32_t i = 0; i < line_count(e); i++) {
        const double propensity = e->lines[i].propensity;
        mr_put_bytes(out, e->lines[i].item);
        mr_put_long(out, !isnan(propensity));
        if (!isnan(propensity))
            mr_put_double(out, propensity);
    }
    if (line_count(e) > 0)
        put_end(out);
    put_list(out, e);
    put_context(out, e);
}

static void put_rating(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_item(out, e);
    put_time(out, e);
    mr_put_double(out, mr_event_has(e, MR_FIELD_value) ? e->value : 0);
    put_session(out, e);
    put_context(out, e);
}

static void put_search(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_time(out, e);
    put_session(out, e);
    mr_put_bytes(out, text_or_empty(e, MR_FIELD_query, e->query));
    put_context(out, e);
}

static void put_categories(mr_writer *out, const mr_event *e)
{
    if (!put_count(out, mr_event_has(e, MR_FIELD_categories) ? e->category_count : 0))
        return;
    for (uint32_t i = 0; i < e->category_count; i++)
        mr_put_bytes(out, e->categories[i]);
    put_end(out);
}

static void put_catalogue(mr_writer *out, const mr_event *e)
{
    put_item(out, e);
    put_time(out, e);
    put_optional_text(out, e, MR_FIELD_title, e->title);
    put_categories(out, e);
    put_price(out, mr_event_has(e, MR_FIELD_price), e->price);
    mr_put_bool(out, mr_event_has(e, MR_FIELD_available) ? e->available : true);
    mr_put_long(out, mr_event_has(e, MR_FIELD_vector));
    if (mr_event_has(e, MR_FIELD_vector))
        put_floats(out, e->vector, e->vector_count);
    put_context(out, e);
}

static void put_control(mr_writer *out, const mr_event *e)
{
    put_event_id(out, e);
    put_user(out, e);
    put_time(out, e);
    mr_put_bytes(out, text_or_empty(e, MR_FIELD_action, e->action));
    put_optional_text(out, e, MR_FIELD_target, e->target);
    put_optional_double(out, e, MR_FIELD_value, e->value);
    put_context(out, e);
}

void mr_encode_event(mr_writer *out, const mr_event *event)
{
    static void (*const put[MR_EVENT_KIND_COUNT])(mr_writer *, const mr_event *) = {
        [MR_EVENT_CLICK] = put_click,         [MR_EVENT_CART] = put_cart,
        [MR_EVENT_PURCHASE] = put_purchase,   [MR_EVENT_IMPRESSION] = put_impression,
        [MR_EVENT_RATING] = put_rating,       [MR_EVENT_SEARCH] = put_search,
        [MR_EVENT_CATALOGUE] = put_catalogue, [MR_EVENT_CONTROL] = put_control,
    };
    put[event->kind](out, event);
}

// ---- outputs ----

mr_bytes mr_list_id(const mr_list *list, char text[MR_LIST_ID_BYTES])
{
    const int size =
        snprintf(text, MR_LIST_ID_BYTES, "%u-%lld", list->task, (long long)list->version);
    return mr_bytes_of(text, (size_t)size);
}

static void put_entry(mr_writer *out, const mr_list_entry *entry)
{
    mr_put_bytes(out, entry->item);
    mr_put_float(out, entry->score);
    mr_put_text(out, entry->source_name != NULL ? entry->source_name : "");
    mr_put_long(out, entry->source_bits);
    put_optional_float(out, entry->q);
    put_optional_float(out, entry->mean);
    put_optional_float(out, entry->spread);
    mr_put_long(out, 0); // reason: none yet
}

static void put_clusters(mr_writer *out, const mr_list *list)
{
    if (!put_count(out, list->context_count))
        return;
    for (uint32_t i = 0; i < list->context_count; i++) {
        mr_put_long(out, list->context[i].cluster);
        mr_put_float(out, list->context[i].weight);
    }
    put_end(out);
}

void mr_encode_list(mr_writer *out, const mr_list *list)
{
    char id[MR_LIST_ID_BYTES];
    mr_put_bytes(out, mr_list_id(list, id));
    mr_put_bytes(out, list->user);
    mr_put_long(out, list->version);
    mr_put_long(out, list->time_ms);
    mr_put_long(out, list->task);
    mr_put_long(out, (int64_t)list->epoch);
    mr_put_long(out, (int64_t)list->seed);
    mr_put_text(out, list->policy);
    mr_put_long(out, list->parameters);
    mr_put_text(out, list->slice);
    mr_put_float(out, list->explore_level);
    mr_put_long(out, list->arm != NULL);
    if (list->arm != NULL)
        mr_put_text(out, list->arm);
    mr_put_long(out, list->segment);
    mr_put_long(out, list->candidate_count);
    mr_put_long(out, (int64_t)list->candidate_hash);
    put_optional_float(out, list->kth_score);
    put_clusters(out, list);
    mr_put_long(out, 0); // slate_propensity: entries have their own
    mr_put_long(out, 0); // traceparent: none yet
    if (!put_count(out, list->entry_count))
        return;
    for (uint32_t i = 0; i < list->entry_count; i++)
        put_entry(out, list->entries + i);
    put_end(out);
}

// null where `value` is below `least`.
static void put_from(mr_writer *out, int64_t value, int64_t least)
{
    mr_put_long(out, value >= least);
    if (value >= least)
        mr_put_long(out, value);
}

void mr_encode_metric(mr_writer *out, const mr_metric *metric)
{
    mr_put_text(out, metric->name);
    put_pairs(out, metric->labels, metric->label_count);
    mr_put_long(out, metric->time_ms);
    put_from(out, metric->window_ms, 1);
    mr_put_double(out, metric->value);
    put_from(out, metric->count, 0);
    put_from(out, metric->task, 0);
    put_from(out, metric->epoch, 0);
}

void mr_encode_item(mr_writer *out, const mr_item_view *view)
{
    mr_put_bytes(out, view->item);
    mr_put_long(out, view->time_ms);
    mr_put_long(out, view->sequence);
    put_floats(out, view->vector, view->vector_count);
    mr_put_float(out, view->bias);
    mr_put_long(out, view->count_count);
    for (uint32_t i = 0; i < view->count_count; i++) {
        mr_put_text(out, view->counts[i].name);
        mr_put_double(out, view->counts[i].value);
    }
    if (view->count_count > 0)
        put_end(out);
    mr_put_bool(out, view->available);
}

void mr_encode_user(mr_writer *out, const mr_user_view *view)
{
    mr_put_bytes(out, view->user);
    mr_put_long(out, view->time_ms);
    mr_put_long(out, view->sequence);
    put_floats(out, view->vector, view->vector_count);
    mr_put_long(out, view->events);
}

static void put_sequences(mr_writer *out, const mr_sequence *sequences, uint32_t count)
{
    if (!put_count(out, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        mr_put_long(out, sequences[i].of);
        mr_put_long(out, sequences[i].sequence);
    }
    put_end(out);
}

static void put_offsets(mr_writer *out, const mr_task_epoch *epoch)
{
    if (!put_count(out, epoch->offset_count))
        return;
    for (uint32_t i = 0; i < epoch->offset_count; i++) {
        mr_put_bytes(out, epoch->offsets[i].topic);
        mr_put_long(out, epoch->offsets[i].partition);
        mr_put_long(out, epoch->offsets[i].offset);
    }
    put_end(out);
}

static void put_round(mr_writer *out, const mr_round *round)
{
    mr_put_long(out, round->epoch_count);
    for (uint32_t i = 0; i < round->epoch_count; i++) {
        const mr_task_epoch *epoch = round->epochs + i;
        mr_put_long(out, epoch->task);
        mr_put_long(out, epoch->epoch);
        mr_put_long(out, epoch->clock_ms);
        mr_put_long(out, epoch->tick_ms);
        put_offsets(out, epoch);
        put_sequences(out, epoch->links, epoch->link_count);
    }
    if (round->epoch_count > 0)
        put_end(out);
    put_sequences(out, round->views, round->view_count);
}

static void put_hashes(mr_writer *out, const mr_state_hash *hashes, uint32_t count)
{
    if (!put_count(out, count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        mr_put_long(out, hashes[i].task);
        mr_put_raw(out, &hashes[i].hash, sizeof hashes[i].hash);
    }
    put_end(out);
}

void mr_encode_epoch(mr_writer *out, const mr_epoch_record *record)
{
    mr_put_long(out, record->time_ms);
    mr_put_raw(out, &record->configuration, sizeof record->configuration);
    mr_put_long(out, record->round_count);
    for (uint32_t i = 0; i < record->round_count; i++)
        put_round(out, record->rounds + i);
    if (record->round_count > 0)
        put_end(out);
    put_sequences(out, record->marks, record->mark_count);
    put_hashes(out, record->state_hashes, record->state_hash_count);
    put_sequences(out, record->views, record->view_count);
    mr_put_raw(out, &record->history, sizeof record->history);
    mr_put_bytes(out, record->instance);
    mr_put_long(out, (int64_t)record->engine);
    mr_put_long(out, (int64_t)record->commit);
}
