// SPDX-License-Identifier: Apache-2.0
#include "worker/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/mapped.h"

enum {
    KEY_BYTES = 4096, // beside lines and vector: a key that becomes a text, alignment
    HEADERS_MAX = 64, // that are looked at
};

typedef struct input { // of the configuration, compiled
    uint32_t rank;     // in order of topic names: the order of equal event times
    mr_framing framing;
    mr_event_kind kind;
    const char *bare;
    int key;
    mr_mapped mapped;
    uint32_t handle;
} input;

struct mr_decoder {
    const mr_config *config;
    mr_catalog *catalog;
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
    return mr_catalog_map(decoder->catalog, &to->mapped.mapping, &to->handle, err);
}

static mr_status open_all(mr_decoder *decoder, mr_error *err)
{
    decoder->inputs = calloc(decoder->config->input_count + 1, sizeof *decoder->inputs);
    decoder->lines = calloc(MR_LINES_MAX, sizeof *decoder->lines);
    decoder->vector = calloc(MR_VECTOR_MAX, sizeof *decoder->vector);
    if (decoder->inputs == NULL || decoder->lines == NULL || decoder->vector == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
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
    free(decoder->inputs);
    free(decoder->lines);
    free(decoder->vector);
    free(decoder);
}

size_t mr_decoder_room(const mr_decoder *decoder)
{
    (void)decoder;
    return KEY_BYTES + MR_LINES_MAX * sizeof(mr_line) + MR_VECTOR_MAX * sizeof(float);
}

uint32_t mr_decoder_rank(const mr_decoder *decoder, uint32_t number)
{
    return number < decoder->config->input_count ? decoder->inputs[number].rank : number;
}

// The last header of that name; data NULL: none.
static mr_bytes schema_header(const mr_message *message)
{
    mr_header headers[HEADERS_MAX];
    mr_bytes found = {NULL, 0};
    const uint32_t count = message->headers(message, headers, HEADERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, MR_FRAME_HEADER) == 0)
            found = headers[i].value;
    }
    return found;
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

static mr_status decode(mr_decoder *decoder, mr_arena *arena, const input *in,
                        const mr_message *message, mr_event *event, mr_error *err)
{
    mr_frame frame;
    const mr_plan *plan;
    mr_bytes key;
    MR_TRY(read_key(in, message, arena, &key, err));
    MR_TRY(mr_frame_read(in->framing, message->value, schema_header(message), &frame, err));
    if (frame.tombstone)
        return decode_tombstone(in, message, key, event, err);
    MR_TRY(mr_catalog_plan(decoder->catalog, &frame, in->bare, in->handle, &plan, err));
    *event = (mr_event){.lines = decoder->lines, .vector = decoder->vector};
    const uint32_t scratch = mr_plan_scratch_bytes(plan);
    if (scratch > arena->size - arena->used - (mr_decoder_room(decoder) - KEY_BYTES))
        return mr_reject(err, MR_CAUSE_unsuitable_schema, "texts made of numbers need %u bytes",
                         scratch);
    event->scratch = scratch > 0 ? mr_arena_push(arena, scratch) : NULL;
    MR_TRY(mr_plan_decode(plan, frame.payload.data, frame.payload.size, event, err));
    keep_arrays(arena, event);
    take_given(in, message, key, event);
    return MR_OK;
}

mr_status mr_decoder_knows(mr_decoder *decoder, uint32_t number, const mr_frame *frame,
                           mr_error *err)
{
    const input *in = &decoder->inputs[number];
    const mr_plan *plan;
    return mr_catalog_plan(decoder->catalog, frame, in->bare, in->handle, &plan, err);
}

mr_status mr_decoder_read(mr_decoder *decoder, uint32_t number, const mr_message *message,
                          mr_arena *arena, mr_arrival *arrival, mr_error *err)
{
    const input *in = &decoder->inputs[number];
    *arrival = (mr_arrival){
        .record_ms = message->time_ms,
        .offset = message->offset,
        .partition = (int32_t)message->partition,
        .topic = in->rank,
    };
    return decode(decoder, arena, in, message, &arrival->event, err);
}

// Unless it was refused before it came here.
static mr_status decode_unrefused(mr_decoder *decoder, uint32_t number, const mr_message *message,
                                  const mr_rerouted *rerouted, mr_arena *arena,
                                  mr_arrival *arrival, mr_error *err)
{
    if (rerouted == NULL || rerouted->cause == MR_CAUSE_NONE)
        return mr_decoder_read(decoder, number, message, arena, arrival, err);
    *arrival = (mr_arrival){
        .record_ms = message->time_ms,
        .offset = message->offset,
        .partition = (int32_t)message->partition,
        .topic = mr_decoder_rank(decoder, number),
    };
    return mr_reject(err, rerouted->cause, "%.*s", (int)rerouted->reason.size,
                     (const char *)rerouted->reason.data);
}

mr_status mr_decoder_take(mr_decoder *decoder, uint32_t number, const mr_message *message,
                          const mr_rerouted *rerouted, mr_arena *arena, mr_arrival *arrival,
                          mr_error *err)
{
    const mr_status status =
        decode_unrefused(decoder, number, message, rerouted, arena, arrival, err);
    if (status != MR_REJECT)
        return status;
    arrival->cause = err->cause;
    arrival->event = (mr_event){.time_ms = arrival->record_ms};
    snprintf(arrival->reason, sizeof arrival->reason, "%.119s", err->text);
    return status;
}
