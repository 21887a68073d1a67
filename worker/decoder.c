// SPDX-License-Identifier: Apache-2.0
#include "worker/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ingest/ingest.h"
#include "worker/mapped.h"
#include "worker/pseudonym.h"
#include "worker/trace.h"

enum {
    KEY_BYTES = 4096, // beside lines and vector: a key that becomes a text, alignment
    HEADERS_MAX = 64, // that are looked at
    EVENTS_MAX = 256, // of a message
    // Texts of the events of one message, where they do not stand in it.
    EVENTS_BYTES = 128 << 10,
    RECORD_BYTES = 20 << 10, // the same of the message itself
};

typedef struct input { // of the configuration, compiled
    uint32_t rank;     // in order of topic names: the order of equal event times
    mr_framing framing;
    mr_event_kind kind;
    const char *bare;
    int key;
    mr_mapped mapped;
    uint32_t handle;
    mr_plan *json; // of values that are JSON; NULL: they are Avro
} input;

struct mr_decoder {
    const mr_config *config;
    mr_catalog *catalog;
    mr_pseudonym *pseudonym; // NULL: users are called by their ids
    input *inputs;
    mr_line *lines; // the plan's, copied as far as they are used
    float *vector;
};

static mr_status compile_input(mr_decoder *decoder, uint32_t index, mr_error *err)
{
    const mr_config_input *from = &decoder->config->inputs[index];
    input *to = &decoder->inputs[index];
    MR_TRY(mr_mapped_read(from, &to->mapped, err));
    for (uint32_t i = 0; i < decoder->config->input_count; i++)
        to->rank += strcmp(decoder->config->inputs[i].topic, from->topic) < 0;
    to->kind = mr_config_kind(from);
    to->framing = (mr_framing)from->format; // the choices are in that order
    to->bare = from->schema[0] != '\0' ? from->schema : NULL;
    to->key = from->key;
    const uint32_t by_key =
        to->kind == MR_EVENT_CATALOGUE ? 1u << MR_FIELD_item : 1u << MR_FIELD_user;
    to->mapped.mapping.given = 1u << MR_FIELD_time | (to->key != MR_MESSAGE_KEY_NONE ? by_key : 0);
    if (from->format == MR_FORMAT_JSON)
        return mr_plan_compile_json(&to->mapped.mapping, &to->json, err);
    return mr_catalog_map(decoder->catalog, &to->mapped.mapping, &to->handle, err);
}

static mr_status open_all(mr_decoder *decoder, mr_error *err)
{
    decoder->inputs = calloc(decoder->config->input_count + 1, sizeof *decoder->inputs);
    decoder->lines = calloc(MR_LINES_MAX, sizeof *decoder->lines);
    decoder->vector = calloc(MR_VECTOR_MAX, sizeof *decoder->vector);
    if (decoder->inputs == NULL || decoder->lines == NULL || decoder->vector == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    if (decoder->config->users_pseudonym_key[0] != '\0')
        MR_TRY(mr_pseudonym_open(decoder->config->users_pseudonym_key, &decoder->pseudonym, err));
    for (uint32_t i = 0; i < decoder->config->input_count; i++)
        MR_TRY(compile_input(decoder, i, err));
    return MR_OK;
}

mr_status mr_decoder_open(const mr_config *config, mr_catalog *catalog, mr_decoder **out,
                          mr_error *err)
{
    mr_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    decoder->config = config;
    decoder->catalog = catalog;
    const mr_status status = open_all(decoder, err);
    if (status != MR_OK) {
        mr_decoder_close(decoder);
        return status;
    }
    *out = decoder;
    return MR_OK;
}

void mr_decoder_close(mr_decoder *decoder)
{
    if (decoder == NULL)
        return;
    for (uint32_t i = 0; decoder->inputs != NULL && i < decoder->config->input_count; i++)
        mr_plan_close(decoder->inputs[i].json);
    mr_pseudonym_close(decoder->pseudonym);
    free(decoder->inputs);
    free(decoder->lines);
    free(decoder->vector);
    free(decoder);
}

void mr_decoder_keep_ids(mr_decoder *decoder)
{
    mr_pseudonym_close(decoder->pseudonym);
    decoder->pseudonym = NULL;
}

size_t mr_decoder_room(const mr_decoder *decoder)
{
    (void)decoder;
    return KEY_BYTES + MR_LINES_MAX * sizeof(mr_line) + MR_VECTOR_MAX * sizeof(float) +
           RECORD_BYTES + EVENTS_BYTES + EVENTS_MAX * mr_arena_round(MR_PSEUDONYM_BYTES);
}

uint32_t mr_decoder_events_max(const mr_decoder *decoder)
{
    int64_t max = decoder->config->epoch_events_max;
    max = decoder->config->epoch_users_max < max ? decoder->config->epoch_users_max : max;
    return (uint32_t)(max < EVENTS_MAX ? max : EVENTS_MAX);
}

bool mr_decoder_selects(const mr_decoder *decoder, uint32_t number)
{
    return mr_mapping_selects(&decoder->inputs[number].mapped.mapping);
}

uint32_t mr_decoder_rank(const mr_decoder *decoder, uint32_t number)
{
    return number < decoder->config->input_count ? decoder->inputs[number].rank : number;
}

typedef struct headers {
    mr_header rows[HEADERS_MAX];
    uint32_t count;
} headers;

// The last header of that name; data NULL: none.
static mr_bytes header_of(const headers *h, const char *name)
{
    mr_bytes found = {NULL, 0};
    for (uint32_t i = 0; i < h->count; i++) {
        if (strcmp(h->rows[i].name, name) == 0)
            found = h->rows[i].value;
    }
    return found;
}

// The request that the record belongs to, as it says.
static mr_bytes trace_of(const headers *h)
{
    const mr_bytes plain = header_of(h, MR_TRACE_HEADER);
    return plain.data != NULL ? plain : header_of(h, MR_TRACE_HEADER_CLOUDEVENT);
}

// The message's key as an id. Errors: MR_REJECT where it has another format than configured.
static mr_status read_key(const input *in, const mr_message *message, mr_arena *arena, mr_bytes *id,
                          mr_error *err)
{
    *id = message->key;
    if (in->key == MR_MESSAGE_KEY_NONE)
        *id = (mr_bytes){NULL, 0};
    if (in->key != MR_MESSAGE_KEY_LONG || message->key.data == NULL)
        return MR_OK;
    if (message->key.size != 8)
        return mr_reject(err, MR_CAUSE_bad_value, "key: %u bytes, want a long of 8",
                         message->key.size);
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | id->data[i];
    char *text = mr_arena_push(arena, 24);
    *id = mr_bytes_of(text, (size_t)snprintf(text, 24, "%lld", (long long)value));
    return MR_OK;
}

static void take_given(const input *in, const mr_message *message, mr_bytes key, mr_event *event)
{
    const mr_field by_key = in->kind == MR_EVENT_CATALOGUE ? MR_FIELD_item : MR_FIELD_user;
    if (!mr_event_has(event, by_key) && key.data != NULL) {
        event->present |= 1u << by_key;
        *(by_key == MR_FIELD_item ? &event->item : &event->user) = key;
    }
    if (!mr_event_has(event, MR_FIELD_time)) {
        event->present |= 1u << MR_FIELD_time;
        event->time_ms = message->time_ms;
    }
}

static mr_status decode_tombstone(const input *in, const mr_message *message, mr_bytes key,
                                  mr_event *event, mr_error *err)
{
    if (in->kind != MR_EVENT_CATALOGUE)
        return mr_reject(err, MR_CAUSE_empty_value, "a null value says nothing but in a catalogue");
    *event = (mr_event){.kind = MR_EVENT_CATALOGUE, .deleted = true};
    take_given(in, message, key, event);
    return MR_OK;
}

// What the decoder wrote into shared room is copied as far as it is used.
static void keep_arrays(mr_arena *arena, mr_event *event)
{
    if (event->line_count > 0) {
        mr_line *lines = mr_arena_push(arena, event->line_count * sizeof *lines);
        memcpy(lines, event->lines, event->line_count * sizeof *lines);
        event->lines = lines;
    }
    if (event->vector_count > 0) {
        float *vector = mr_arena_push(arena, event->vector_count * sizeof *vector);
        memcpy(vector, event->vector, event->vector_count * sizeof *vector);
        event->vector = vector;
    }
}

// The values of the mapping's entries that come from key and headers, in their order.
static void find_outside(const input *in, mr_bytes key, const headers *h,
                         mr_bytes outside[MR_MAPPING_ENTRIES_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->mapped.mapping.entry_count; i++) {
        const mr_mapping_entry *entry = &in->mapped.entries[i];
        if (entry->from == MR_FROM_KEY)
            outside[count++] = key;
        else if (entry->from == MR_FROM_HEADER)
            outside[count++] = header_of(h, entry->path);
    }
}

// JSON begins with none of the bytes that a registry's clients put before it.
static mr_status take_json(mr_bytes value, mr_frame *frame, mr_error *err)
{
    const bool framed = value.size > 0 && value.data[0] <= 1;
    return mr_frame_read(framed ? MR_FRAMING_CONFLUENT : MR_FRAMING_BARE, value,
                         (mr_bytes){NULL, 0}, frame, err);
}

// What stands around the record, and how it is read; a tombstone has no plan.
static mr_status open_value(mr_decoder *decoder, const input *in, const mr_message *message,
                            const headers *h, mr_frame *frame, const mr_plan **plan, mr_error *err)
{
    *plan = in->json;
    if (in->json != NULL)
        return take_json(message->value, frame, err);
    MR_TRY(mr_frame_read(in->framing, message->value, header_of(h, MR_FRAME_HEADER), frame, err));
    return frame->tombstone
               ? MR_OK
               : mr_catalog_plan(decoder->catalog, frame, in->bare, in->handle, plan, err);
}

typedef struct reading { // of one message
    mr_arena *arena;
    const input *in;
    const mr_message *message;
    mr_bytes key;
    size_t bytes_max; // of the arena, up to which texts of its events may go
    mr_arrival *arrivals;
    uint32_t max, count;
} reading;

// Room for texts, which is cut to what was used of it by keep_scratch.
static mr_status take_scratch(const reading *r, uint32_t size, mr_event *event, mr_error *err)
{
    if (size > r->arena->size - r->arena->used || r->arena->used + size > r->bytes_max)
        return mr_reject(err, MR_CAUSE_unsuitable_schema,
                         "texts made of numbers and the like need %u bytes more than there are",
                         size);
    event->scratch = size > 0 ? mr_arena_push(r->arena, size) : NULL;
    return MR_OK;
}

static void keep_scratch(mr_arena *arena, const mr_event *event)
{
    if (event->scratch != NULL)
        arena->used = (size_t)(event->scratch - arena->base) + mr_arena_round(event->scratch_used);
}

static mr_status read_events(mr_decoder *decoder, const mr_plan *plan, mr_plan_walk *walk,
                             reading *r, mr_error *err)
{
    const uint32_t scratch = mr_plan_item_scratch_bytes(plan);
    const uint32_t events_max = mr_decoder_events_max(decoder);
    mr_event extra; // that there is no room for: only looked whether there is one
    for (bool more = true;;) {
        const bool full = r->count == r->max;
        mr_event *event = full ? &extra : &r->arrivals[r->count].event;
        if (r->count > 0 || full) {
            *event = (mr_event){.lines = decoder->lines, .vector = decoder->vector};
            MR_TRY(take_scratch(r, scratch, event, err));
        } else if (scratch > 0) {
            MR_TRY(take_scratch(r, scratch, event, err));
        }
        MR_TRY(mr_plan_next(walk, event, &more, err));
        if (!more) {
            if (scratch > 0) // taken for nothing
                r->arena->used = (size_t)(event->scratch - r->arena->base);
            return MR_OK;
        }
        if (full && r->count == events_max)
            return mr_reject(err, MR_CAUSE_bad_count,
                             "more than %u events: the array of 'each' is too long", events_max);
        if (full)
            return mr_fail(err, MR_RETRY, "more than %u events", r->max);
        keep_scratch(r->arena, event);
        keep_arrays(r->arena, event);
        take_given(r->in, r->message, r->key, event);
        r->count++;
        if (scratch == 0) // only a plan with `each` goes on, and that needs some
            return MR_OK;
    }
}

// Nothing behind this sees the id.
static void rename_user(mr_decoder *decoder, mr_arena *arena, mr_event *event)
{
    if (decoder->pseudonym == NULL || !mr_event_has(event, MR_FIELD_user) || event->user.size == 0)
        return;
    char *name = mr_arena_push(arena, MR_PSEUDONYM_BYTES);
    mr_pseudonym_of(decoder->pseudonym, event->user, name);
    event->user = mr_bytes_of(name, MR_PSEUDONYM_BYTES);
}

// Before events are sorted: one that stands in the future has no place among the others.
static void clamp(const mr_decoder *decoder, mr_arrival *arrival)
{
    mr_event *event = &arrival->event;
    arrival->clamped = decoder->config->clock_skew_action == MR_SKEW_CLAMP &&
                       arrival->record_ms >= MR_TIME_MIN_MS &&
                       event->time_ms > arrival->record_ms &&
                       event->time_ms - arrival->record_ms > decoder->config->clock_skew_max;
    if (arrival->clamped)
        event->time_ms = arrival->record_ms;
}

static mr_status decode(mr_decoder *decoder, mr_arena *arena, const input *in,
                        const mr_message *message, mr_arrival *arrivals, uint32_t max,
                        uint32_t *count, mr_error *err)
{
    mr_frame frame;
    const mr_plan *plan;
    headers h;
    mr_bytes outside[MR_MAPPING_ENTRIES_MAX];
    mr_plan_walk walk;
    reading r = {.arena = arena, .in = in, .message = message, .arrivals = arrivals, .max = max};
    const size_t mark = arena->used;
    MR_ASSERT(max > 0);
    if (max > mr_decoder_events_max(decoder))
        r.max = mr_decoder_events_max(decoder);
    h.count = message->headers(message, h.rows, HEADERS_MAX);
    arrivals->trace = trace_of(&h);
    *count = 0;
    MR_TRY(read_key(in, message, arena, &r.key, err));
    MR_TRY(open_value(decoder, in, message, &h, &frame, &plan, err));
    *count = 1;
    if (frame.tombstone)
        return decode_tombstone(in, message, r.key, &arrivals->event, err);
    find_outside(in, r.key, &h, outside);
    arrivals->event = (mr_event){.lines = decoder->lines, .vector = decoder->vector};
    r.bytes_max = SIZE_MAX;
    MR_TRY(take_scratch(&r, mr_plan_scratch_bytes(plan), &arrivals->event, err));
    MR_TRY(mr_plan_begin(plan, frame.payload.data, frame.payload.size, outside, NULL,
                         &arrivals->event, &walk, err));
    keep_scratch(arena, &arrivals->event);
    r.bytes_max = arena->used + EVENTS_BYTES;
    const mr_status status = read_events(decoder, plan, &walk, &r, err);
    *count = r.count;
    if (status == MR_OK && r.count == 0)
        arena->used = mark;
    return status;
}

mr_status mr_decoder_knows(mr_decoder *decoder, uint32_t number, const mr_frame *frame,
                           mr_error *err)
{
    const input *in = &decoder->inputs[number];
    const mr_plan *plan;
    return mr_catalog_plan(decoder->catalog, frame, in->bare, in->handle, &plan, err);
}

mr_status mr_decoder_read(mr_decoder *decoder, uint32_t number, const mr_message *message,
                          mr_arena *arena, mr_arrival *arrivals, uint32_t max, uint32_t *count,
                          mr_error *err)
{
    const input *in = &decoder->inputs[number];
    const mr_arrival place = {
        .record_ms = message->time_ms,
        .offset = message->offset,
        .partition = (int32_t)message->partition,
        .topic = in->rank,
    };
    *count = 0;
    *arrivals = place;
    const mr_status status = decode(decoder, arena, in, message, arrivals, max, count, err);
    for (uint32_t i = 0; i < *count; i++) { // behind the event, which the plan has written to
        rename_user(decoder, arena, &arrivals[i].event);
        arrivals[i].record_ms = place.record_ms;
        arrivals[i].offset = place.offset;
        arrivals[i].partition = place.partition;
        arrivals[i].topic = place.topic;
        arrivals[i].trace = arrivals->trace;
        clamp(decoder, &arrivals[i]);
        arrivals[i].cause = MR_CAUSE_NONE;
        arrivals[i].reason[0] = '\0';
        arrivals[i].learned = false;
    }
    return status;
}

// Unless it was refused before it came here.
static mr_status decode_unrefused(mr_decoder *decoder, uint32_t number, const mr_message *message,
                                  const mr_rerouted *rerouted, mr_arena *arena,
                                  mr_arrival *arrivals, uint32_t max, uint32_t *count,
                                  mr_error *err)
{
    if (rerouted == NULL || rerouted->cause == MR_CAUSE_NONE)
        return mr_decoder_read(decoder, number, message, arena, arrivals, max, count, err);
    *arrivals = (mr_arrival){
        .record_ms = message->time_ms,
        .offset = message->offset,
        .partition = (int32_t)message->partition,
        .topic = mr_decoder_rank(decoder, number),
    };
    return mr_reject(err, rerouted->cause, "%.*s", (int)rerouted->reason.size,
                     (const char *)rerouted->reason.data);
}

mr_status mr_decoder_take(mr_decoder *decoder, uint32_t number, const mr_message *message,
                          const mr_rerouted *rerouted, mr_arena *arena, mr_arrival *arrivals,
                          uint32_t max, uint32_t *count, mr_error *err)
{
    const mr_status status =
        decode_unrefused(decoder, number, message, rerouted, arena, arrivals, max, count, err);
    if (status != MR_REJECT)
        return status;
    *count = 1;
    arrivals->cause = err->cause;
    arrivals->event = (mr_event){.time_ms = arrivals->record_ms};
    snprintf(arrivals->reason, sizeof arrivals->reason, "%.119s", err->text);
    return status;
}
