// SPDX-License-Identifier: Apache-2.0
// An event is packed as its time, fields and kind, then the numbers and texts of the fields that it
// has, in the order of the fields, then its categories and its context. Events do not lie across
// the end of a chunk.
#include "worker/input/sorted.h"

#include <stdlib.h>
#include <string.h>

#include "worker/input/values.h"

enum { CHUNK_BYTES = 64 << 20, CHUNKS_MAX = (int)(MR_SORTED_BYTES_MAX / CHUNK_BYTES) };

typedef struct place {
    int64_t time_ms;
    uint64_t at; // chunk * CHUNK_BYTES + byte in it; rises in the order of adding
} place;

struct mr_sorted {
    uint8_t *chunks[CHUNKS_MAX];
    uint64_t end; // as place.at
    place *places;
    uint64_t count, room, taken;
    mr_line line;
};

mr_sorted *mr_sorted_open(void)
{
    return calloc(1, sizeof(mr_sorted));
}

void mr_sorted_close(mr_sorted *sorted)
{
    if (sorted == NULL)
        return;
    for (uint32_t i = 0; i < CHUNKS_MAX; i++)
        free(sorted->chunks[i]);
    free(sorted->places);
    free(sorted);
}

// ---- packing: with `to` NULL only sizes are counted

typedef struct packer {
    uint8_t *to;
    size_t size;
} packer;

static void put(packer *p, const void *bytes, size_t size)
{
    if (p->to != NULL && size > 0)
        memcpy(p->to + p->size, bytes, size);
    p->size += size;
}

static void put_text(packer *p, mr_bytes text)
{
    put(p, &text.size, sizeof text.size);
    put(p, text.data, text.size);
}

static void put_field(packer *p, mr_event *event, mr_field field)
{
    const mr_bytes *text = mr_values_text(event, field);
    const double *real = mr_values_double(event, field);
    if (text != NULL)
        put_text(p, *text);
    else if (real != NULL)
        put(p, real, sizeof *real);
    else if (field == MR_FIELD_position)
        put(p, &event->position, sizeof event->position);
    else if (field == MR_FIELD_list_version)
        put(p, &event->list_version, sizeof event->list_version);
    else if (field == MR_FIELD_available)
        put(p, &event->available, sizeof event->available);
}

static size_t pack(const mr_event *from, uint8_t *to)
{
    packer p = {to, 0};
    mr_event *event = (mr_event *)(uintptr_t)from; // is only read
    put(&p, &event->time_ms, sizeof event->time_ms);
    put(&p, &event->present, sizeof event->present);
    put(&p, &event->kind, sizeof event->kind);
    for (uint32_t field = 0; field < MR_FIELD_COUNT; field++) {
        if (mr_event_has(event, (mr_field)field))
            put_field(&p, event, (mr_field)field);
    }
    put(&p, &event->category_count, sizeof event->category_count);
    for (uint32_t i = 0; i < event->category_count; i++)
        put_text(&p, event->categories[i]);
    put(&p, &event->context_count, sizeof event->context_count);
    for (uint32_t i = 0; i < event->context_count; i++) {
        put_text(&p, event->context[i].name);
        put_text(&p, event->context[i].value);
    }
    return p.size;
}

static void get(const uint8_t **from, void *bytes, size_t size)
{
    memcpy(bytes, *from, size);
    *from += size;
}

static mr_bytes get_text(const uint8_t **from)
{
    mr_bytes text;
    get(from, &text.size, sizeof text.size);
    text.data = *from;
    *from += text.size;
    return text;
}

static void get_field(const uint8_t **from, mr_event *event, mr_field field)
{
    mr_bytes *text = mr_values_text(event, field);
    double *real = mr_values_double(event, field);
    if (text != NULL)
        *text = get_text(from);
    else if (real != NULL)
        get(from, real, sizeof *real);
    else if (field == MR_FIELD_position)
        get(from, &event->position, sizeof event->position);
    else if (field == MR_FIELD_list_version)
        get(from, &event->list_version, sizeof event->list_version);
    else if (field == MR_FIELD_available)
        get(from, &event->available, sizeof event->available);
}

static void unpack(const uint8_t *from, mr_event *event, mr_line *line)
{
    mr_values_begin(event, MR_EVENT_CLICK, line);
    get(&from, &event->time_ms, sizeof event->time_ms);
    get(&from, &event->present, sizeof event->present);
    get(&from, &event->kind, sizeof event->kind);
    for (uint32_t field = 0; field < MR_FIELD_COUNT; field++) {
        if (mr_event_has(event, (mr_field)field))
            get_field(&from, event, (mr_field)field);
    }
    get(&from, &event->category_count, sizeof event->category_count);
    for (uint32_t i = 0; i < event->category_count; i++)
        event->categories[i] = get_text(&from);
    get(&from, &event->context_count, sizeof event->context_count);
    for (uint32_t i = 0; i < event->context_count; i++) {
        event->context[i].name = get_text(&from);
        event->context[i].value = get_text(&from);
    }
    mr_values_end(event); // an only line is made again
}

// ---- keeping

static uint64_t bytes_held(const mr_sorted *s)
{
    return (s->end / CHUNK_BYTES + 1) * CHUNK_BYTES + s->room * sizeof(place);
}

static mr_status make_place(mr_sorted *s, mr_error *err)
{
    if (s->count < s->room)
        return MR_OK;
    const uint64_t room = s->room > 0 ? s->room + s->room / 2 : 1 << 16;
    place *grown = realloc(s->places, room * sizeof *grown);
    if (grown == NULL)
        return mr_fail(err, MR_FATAL, "out of memory after %llu events",
                       (unsigned long long)s->count);
    s->places = grown;
    s->room = room;
    return MR_OK;
}

static mr_status make_room(mr_sorted *s, size_t size, mr_error *err)
{
    MR_ASSERT(size <= CHUNK_BYTES);
    if (s->end % CHUNK_BYTES + size > CHUNK_BYTES)
        s->end += CHUNK_BYTES - s->end % CHUNK_BYTES;
    const uint64_t chunk = s->end / CHUNK_BYTES;
    if (bytes_held(s) > MR_SORTED_BYTES_MAX)
        return mr_fail(err, MR_FATAL,
                       "%llu events to be sorted take more than %llu MiB: sort the file by time, "
                       "and say order: time",
                       (unsigned long long)s->count,
                       (unsigned long long)(MR_SORTED_BYTES_MAX >> 20));
    if (s->chunks[chunk] == NULL)
        s->chunks[chunk] = malloc(CHUNK_BYTES);
    return s->chunks[chunk] != NULL ? MR_OK
                                    : mr_fail(err, MR_FATAL, "out of memory after %llu events",
                                              (unsigned long long)s->count);
}

mr_status mr_sorted_add(mr_sorted *sorted, const mr_event *event, mr_error *err)
{
    const size_t size = pack(event, NULL);
    MR_TRY(make_place(sorted, err));
    MR_TRY(make_room(sorted, size, err));
    pack(event, sorted->chunks[sorted->end / CHUNK_BYTES] + sorted->end % CHUNK_BYTES);
    sorted->places[sorted->count++] = (place){event->time_ms, sorted->end};
    sorted->end += size;
    return MR_OK;
}

static int by_time(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

void mr_sorted_sort(mr_sorted *sorted)
{
    if (sorted->count > 0)
        qsort(sorted->places, sorted->count, sizeof *sorted->places, by_time);
}

bool mr_sorted_take(mr_sorted *sorted, mr_event *event)
{
    if (sorted->taken == sorted->count)
        return false;
    const uint64_t at = sorted->places[sorted->taken++].at;
    unpack(sorted->chunks[at / CHUNK_BYTES] + at % CHUNK_BYTES, event, &sorted->line);
    return true;
}
