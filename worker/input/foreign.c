// SPDX-License-Identifier: Apache-2.0
#include "worker/input/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/json_find.h"
#include "worker/input/table.h"
#include "worker/input/values.h"

enum { SCRATCH_BYTES = 64 << 10, OUTER_MAX = 64, NO_COLUMN = UINT32_MAX };

typedef struct found {
    const char *name; // the format's
    mr_bytes value;
} found;

struct mr_foreign {
    mr_format format;
    uint32_t columns[MR_FORMAT_SOURCES_MAX][MR_FORMAT_NAMES_MAX]; // of a table
    uint32_t type_column, columns_wanted; // with a header: exactly, otherwise at least
    mr_bytes record, list, member; // the line in hand, its events, the one in hand; data NULL: none
    const uint8_t *list_at;        // how far the events were read
    size_t members_read;
    found outer[OUTER_MAX]; // what of the line its events have asked for
    uint32_t outer_count;
    const mr_format_type *type; // of the row in hand; kinds from kind_at on are still to come
    uint32_t kind_at;
    mr_line line;
    char scratch[SCRATCH_BYTES]; // texts made of numbers, and joined ones
    size_t scratch_used;
    mr_table table;
};

// ---- opening

static uint32_t find_column(const mr_foreign *f, const char *name)
{
    if (!f->format.header)
        return (uint32_t)strtoul(name, NULL, 10) - 1;
    for (uint32_t i = 0; i < f->table.count; i++) {
        if (mr_bytes_equal(f->table.values[i], mr_bytes_text(name)))
            return i;
    }
    return NO_COLUMN;
}

static mr_status resolve(mr_foreign *f, const char *name, const char *use, uint32_t *column,
                         mr_error *err)
{
    *column = find_column(f, name);
    if (*column == NO_COLUMN)
        return mr_fail(err, MR_FATAL, "there is no column '%s' for '%s' in the first row", name,
                       use);
    if (!f->format.header && *column >= f->columns_wanted)
        f->columns_wanted = *column + 1;
    return MR_OK;
}

static mr_status read_header(mr_foreign *f, mr_error *err)
{
    bool more;
    MR_TRY(mr_table_next(&f->table, &more, err));
    if (!more)
        return mr_fail(err, MR_FATAL, "the file is empty: the first row has to name the columns");
    mr_bytes *first = &f->table.values[0];
    if (first->size >= 3 && memcmp(first->data, "\xef\xbb\xbf", 3) == 0)
        *first = (mr_bytes){first->data + 3, first->size - 3}; // a byte order mark
    f->columns_wanted = f->table.count;
    return MR_OK;
}

static mr_status find_columns(mr_foreign *f, mr_error *err)
{
    const mr_format *format = &f->format;
    if (format->layout == MR_LAYOUT_JSONL)
        return MR_OK;
    if (format->header)
        MR_TRY(read_header(f, err));
    for (uint32_t i = 0; i < format->source_count; i++) {
        const mr_format_source *source = &format->sources[i];
        for (uint32_t j = 0; j < source->name_count; j++)
            MR_TRY(
                resolve(f, source->names[j], mr_field_name(source->field), &f->columns[i][j], err));
    }
    return format->typed ? resolve(f, format->type_name, "type", &f->type_column, err) : MR_OK;
}

mr_status mr_foreign_open(mr_stream *stream, const mr_format *format, mr_foreign **foreign,
                          mr_error *err)
{
    mr_foreign *made = malloc(sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", mr_stream_path(stream));
    memset(made, 0, offsetof(mr_foreign, table));
    made->format = *format;
    mr_table_init(&made->table, stream, format->delimiter, format->layout == MR_LAYOUT_CSV);
    if (find_columns(made, err) != MR_OK) {
        mr_table_fault(&made->table, err);
        mr_foreign_close(made);
        err->cause = MR_CAUSE_NONE;
        return err->status = MR_FATAL;
    }
    *foreign = made;
    return MR_OK;
}

void mr_foreign_close(mr_foreign *foreign)
{
    if (foreign == NULL)
        return;
    free(foreign);
}

// ---- rows and lines

static mr_status read_row(mr_foreign *f, bool *more, mr_error *err)
{
    MR_TRY(mr_table_next(&f->table, more, err));
    if (!*more)
        return MR_OK;
    if (f->format.header && f->table.count != f->columns_wanted)
        return mr_reject(err, MR_CAUSE_bad_value, "%u columns, but the first row has %u",
                         f->table.count, f->columns_wanted);
    if (f->table.count < f->columns_wanted)
        return mr_reject(err, MR_CAUSE_bad_value, "%u columns, want at least %u", f->table.count,
                         f->columns_wanted);
    return MR_OK;
}

static mr_status read_line(mr_foreign *f, bool *more, mr_error *err)
{
    const mr_bytes nothing = {NULL, 0};
    mr_bytes line;
    f->record = f->list = f->member = nothing;
    f->outer_count = 0;
    f->members_read = 0;
    MR_TRY(mr_table_line(&f->table, &line, more, err));
    if (!*more)
        return MR_OK;
    MR_TRY(mr_json_open(line, &f->record, err));
    if (f->record.data[0] != '{')
        return mr_reject(err, MR_CAUSE_bad_value, "want a JSON object");
    if (f->format.events[0] == '\0') {
        f->member = f->record;
        return MR_OK;
    }
    const mr_bytes list = mr_json_at(f->record, f->format.events);
    f->list_at = NULL;
    if (list.data == NULL || list.data[0] != '[')
        return mr_reject(err, MR_CAUSE_bad_value, "'%s': want a list of events", f->format.events);
    f->list = list;
    return MR_OK;
}

// The next member of a list, or the next line.
static mr_status read_member(mr_foreign *f, bool *more, mr_error *err)
{
    *more = true;
    while (f->list.data == NULL || !mr_json_next(f->list, &f->list_at, &f->member)) {
        MR_TRY(read_line(f, more, err));
        if (!*more || f->member.data != NULL)
            return MR_OK;
    }
    f->members_read++;
    return f->member.data[0] == '{'
               ? MR_OK
               : mr_reject(err, MR_CAUSE_bad_value, "'%s': want objects", f->format.events);
}

// ---- texts

static mr_status no_room(const char *name, mr_error *err)
{
    return mr_reject(err, MR_CAUSE_bad_value, "column '%s': the row's texts are too long", name);
}

// What of the line an event asks for: looked for once, since the events stand in the line too.
static mr_bytes outer_at(mr_foreign *f, const char *name)
{
    for (uint32_t i = 0; i < f->outer_count; i++) {
        if (f->outer[i].name == name)
            return f->outer[i].value;
    }
    const mr_bytes value = mr_json_at(f->record, name);
    if (f->outer_count < OUTER_MAX)
        f->outer[f->outer_count++] = (found){name, value};
    return value;
}

static mr_status text_of_json(mr_foreign *f, const char *name, mr_bytes *text, mr_error *err)
{
    mr_bytes value = mr_json_at(f->member, name);
    if (value.data == NULL && f->member.data != f->record.data)
        value = outer_at(f, name);
    *text = mr_bytes_text("");
    if (value.data == NULL || value.data[0] == 'n')
        return MR_OK;
    if (value.data[0] == '{' || value.data[0] == '[')
        return mr_reject(err, MR_CAUSE_bad_value, "'%s': want a text or a number, found %s", name,
                         value.data[0] == '[' ? "a list" : "an object");
    *text = value; // of a number, true and false
    if (value.data[0] != '"')
        return MR_OK;
    if (value.size > SCRATCH_BYTES - f->scratch_used)
        return no_room(name, err);
    uint8_t *const room = (uint8_t *)f->scratch + f->scratch_used;
    *text = mr_json_text(value, room);
    f->scratch_used += text->data == room ? text->size : 0;
    return MR_OK;
}

static mr_status text_at(mr_foreign *f, const char *name, uint32_t column, mr_bytes *text,
                         mr_error *err)
{
    if (f->format.layout == MR_LAYOUT_JSONL)
        return text_of_json(f, name, text, err);
    *text = f->table.values[column];
    return MR_OK;
}

// Puts '-' and another text behind a joined one, which stands at the scratch's end.
static mr_status append(mr_foreign *f, const char *name, bool first, mr_bytes text,
                        mr_bytes *joined, mr_error *err)
{
    const size_t size = text.size + (first ? 0u : 1u);
    if (size > SCRATCH_BYTES - f->scratch_used)
        return no_room(name, err);
    char *to = f->scratch + f->scratch_used;
    if (!first)
        *to++ = '-';
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    f->scratch_used += size;
    joined->size += (uint32_t)size;
    return MR_OK;
}

// All of several columns, or nothing where each of them is empty.
static mr_status join(mr_foreign *f, const mr_format_source *source, const uint32_t *columns,
                      mr_bytes *text, mr_error *err)
{
    mr_bytes pieces[MR_FORMAT_NAMES_MAX];
    size_t sum = 0;
    for (uint32_t i = 0; i < source->name_count; i++) {
        MR_TRY(text_at(f, source->names[i], columns[i], &pieces[i], err));
        sum += pieces[i].size;
    }
    *text = mr_bytes_of(f->scratch + f->scratch_used, 0);
    for (uint32_t i = 0; sum > 0 && i < source->name_count; i++)
        MR_TRY(append(f, source->names[i], i == 0, pieces[i], text, err));
    return MR_OK;
}

// ---- events

static mr_status fill_source(mr_foreign *f, uint32_t index, mr_event *event, mr_error *err)
{
    const mr_format_source *source = &f->format.sources[index];
    const uint32_t *columns = f->columns[index];
    mr_bytes text = mr_bytes_text(source->constant);
    if (source->name_count == 1)
        MR_TRY(text_at(f, source->names[0], columns[0], &text, err));
    else if (source->name_count > 1)
        MR_TRY(join(f, source, columns, &text, err));
    if (text.size == 0)
        return MR_OK;
    if (source->field == MR_FIELD_context) {
        mr_values_pair(mr_bytes_text(source->pair), text, event);
        return MR_OK;
    }
    const mr_value_use use = {source->field, source->unit, source->names[0]};
    return mr_values_fill(&use, text, event, err);
}

static mr_status bad_type(const mr_format *format, mr_bytes text, mr_error *err)
{
    char known[128] = "";
    for (uint32_t i = 0; i < format->type_count; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                 format->types[i].value);
    }
    return mr_values_bad(format->type_name, known, text, err);
}

static mr_status find_type(mr_foreign *f, mr_error *err)
{
    const mr_format *format = &f->format;
    mr_bytes text;
    f->kind_at = 0;
    f->type = &format->otherwise;
    if (!format->typed)
        return MR_OK;
    MR_TRY(text_at(f, format->type_name, f->type_column, &text, err));
    for (uint32_t i = 0; i < format->type_count; i++) {
        if (mr_bytes_equal(text, mr_bytes_text(format->types[i].value))) {
            f->type = &format->types[i];
            return MR_OK;
        }
    }
    return format->has_otherwise ? MR_OK : bad_type(format, text, err);
}

static mr_status fill_event(mr_foreign *f, mr_event *event, mr_error *err)
{
    mr_values_begin(event, f->type->kinds[f->kind_at++], &f->line);
    f->scratch_used = 0;
    for (uint32_t i = 0; i < f->format.source_count; i++)
        MR_TRY(fill_source(f, i, event, err));
    if (!mr_event_has(event, MR_FIELD_time)) // what has no time has no place in an order
        return mr_reject(err, MR_CAUSE_bad_value, "the time is empty");
    mr_values_end(event);
    return MR_OK;
}

static mr_status next_event(mr_foreign *f, mr_event *event, bool *more, mr_error *err)
{
    *more = true;
    while (f->type == NULL || f->kind_at == f->type->kind_count) {
        f->type = NULL;
        f->scratch_used = 0;
        MR_TRY(f->format.layout == MR_LAYOUT_JSONL ? read_member(f, more, err)
                                                   : read_row(f, more, err));
        if (!*more)
            return MR_OK;
        MR_TRY(find_type(f, err));
    }
    return fill_event(f, event, err);
}

mr_status mr_foreign_next(mr_foreign *foreign, mr_event *event, bool *more, mr_error *err)
{
    const mr_status status = next_event(foreign, event, more, err);
    if (status == MR_OK)
        return MR_OK;
    foreign->type = NULL; // a row is refused as a whole
    *more = true;
    if (foreign->members_read > 0)
        mr_wrap(err, "%s[%zu]", foreign->format.events, foreign->members_read - 1);
    return mr_table_fault(&foreign->table, err);
}
