// SPDX-License-Identifier: Apache-2.0
#include "worker/input/input.h"

#include <stdlib.h>
#include <string.h>

#include "worker/input/container.h"
#include "worker/input/csv.h"
#include "worker/input/foreign.h"
#include "worker/input/sorted.h"
#include "worker/input/stream.h"

struct mr_input {
    mr_stream *stream;
    mr_container *container; // one of the three
    mr_csv *csv;
    mr_foreign *foreign;
    mr_sorted *sorted; // of a foreign log in no order; NULL: as it comes
    bool sorting;      // it is still being filled
};

static mr_status open_format(mr_input *input, const mr_mapping *mapping, mr_error *err)
{
    uint8_t magic[4];
    size_t got;
    MR_TRY(mr_stream_peek(input->stream, magic, sizeof magic, &got, err));
    if (got == sizeof magic && memcmp(magic, "Obj\1", sizeof magic) == 0)
        return mr_container_open(input->stream, mapping, &input->container, err);
    return mr_csv_open(input->stream, mapping, &input->csv, err);
}

static mr_status open_foreign(mr_input *input, const mr_format *format, mr_error *err)
{
    input->sorting = format->sort;
    if (format->sort)
        input->sorted = mr_sorted_open();
    if (format->sort && input->sorted == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return mr_foreign_open(input->stream, format, &input->foreign, err);
}

mr_status mr_input_open_as(const char *path, const mr_mapping *mapping, const mr_format *format,
                           mr_input **input, mr_error *err)
{
    mr_input *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", path);
    mr_status status = mr_stream_open(path, &made->stream, err);
    if (status == MR_OK)
        status = format != NULL ? open_foreign(made, format, err) : open_format(made, mapping, err);
    if (status != MR_OK) {
        mr_input_close(made);
        return status;
    }
    *input = made;
    return MR_OK;
}

mr_status mr_input_open(const char *path, const mr_mapping *mapping, mr_input **input,
                        mr_error *err)
{
    return mr_input_open_as(path, mapping, NULL, input, err);
}

void mr_input_close(mr_input *input)
{
    if (input == NULL)
        return;
    mr_container_close(input->container);
    mr_csv_close(input->csv);
    mr_foreign_close(input->foreign);
    mr_sorted_close(input->sorted);
    mr_stream_close(input->stream);
    free(input);
}

// Reads the file to its end first. A bad row on the way is given out at once, the next call goes
// on.
static mr_status next_sorted(mr_input *input, mr_event *event, bool *more, mr_error *err)
{
    while (input->sorting) {
        MR_TRY(mr_foreign_next(input->foreign, event, more, err));
        if (*more && mr_sorted_add(input->sorted, event, err) != MR_OK)
            return mr_wrap(err, "%s", mr_stream_path(input->stream));
        if (!*more) {
            input->sorting = false;
            mr_sorted_sort(input->sorted);
        }
    }
    *more = mr_sorted_take(input->sorted, event);
    return MR_OK;
}

mr_status mr_input_next(mr_input *input, mr_event *event, bool *more, mr_error *err)
{
    if (input->sorted != NULL)
        return next_sorted(input, event, more, err);
    if (input->foreign != NULL)
        return mr_foreign_next(input->foreign, event, more, err);
    return input->container != NULL ? mr_container_next(input->container, event, more, err)
                                    : mr_csv_next(input->csv, event, more, err);
}

void mr_input_progress(const mr_input *input, uint64_t *done, uint64_t *total)
{
    mr_stream_progress(input->stream, done, total);
}

// Every text of an event that is present, one after the other; absent ones may be stale.
typedef void visit(void *context, mr_bytes *text);

static void visit_texts(mr_event *event, visit *each, void *context)
{
    mr_bytes *const texts[] = {&event->user, &event->item,  &event->event_id, &event->session,
                               &event->list, &event->order, &event->query,    &event->action,
                               &event->target, &event->title};
    static const mr_field fields[] = {
        MR_FIELD_user,  MR_FIELD_item,  MR_FIELD_event_id, MR_FIELD_session, MR_FIELD_list,
        MR_FIELD_order, MR_FIELD_query, MR_FIELD_action,   MR_FIELD_target,  MR_FIELD_title};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (mr_event_has(event, fields[i]))
            each(context, texts[i]);
    }
    for (uint32_t i = 0; i < event->line_count; i++)
        each(context, &event->lines[i].item);
    for (uint32_t i = 0; i < event->context_count; i++) {
        each(context, &event->context[i].name);
        each(context, &event->context[i].value);
    }
    for (uint32_t i = 0; i < event->category_count; i++)
        each(context, event->categories + i);
}

static void add_size(void *context, mr_bytes *text)
{
    *(size_t *)context += text->size;
}

static void move_text(void *context, mr_bytes *text)
{
    uint8_t **to = context;
    if (text->size > 0)
        memcpy(*to, text->data, text->size);
    text->data = *to;
    *to += text->size;
}

static size_t texts_size(const mr_event *event)
{
    size_t size = 0;
    visit_texts((mr_event *)(uintptr_t)event, add_size, &size); // add_size changes nothing
    return size;
}

size_t mr_input_copy_bytes(const mr_event *event)
{
    return mr_arena_round(event->line_count * sizeof *event->lines) +
           mr_arena_round(event->vector_count * sizeof *event->vector) +
           mr_arena_round(texts_size(event));
}

void mr_input_copy(mr_event *to, const mr_event *from, mr_arena *arena)
{
    *to = *from;
    to->scratch = NULL;
    to->scratch_used = 0;
    to->lines = mr_arena_push(arena, from->line_count * sizeof *to->lines);
    to->vector = mr_arena_push(arena, from->vector_count * sizeof *to->vector);
    if (from->line_count > 0)
        memcpy(to->lines, from->lines, from->line_count * sizeof *to->lines);
    if (from->vector_count > 0)
        memcpy(to->vector, from->vector, from->vector_count * sizeof *to->vector);
    uint8_t *at = mr_arena_push(arena, texts_size(from));
    visit_texts(to, move_text, &at);
}
