// SPDX-License-Identifier: Apache-2.0
// One buffer of two rows' size: a row is found by its line break outside of quotes, then cut into
// values in place, quotes removed. What is left over moves to the front when the buffer runs out.
#include "worker/input/csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 2 * MR_CSV_ROW_MAX, NUMBER_BYTES_MAX = 64 };

typedef enum column_use { USE_NOTHING, USE_FIELD, USE_TYPE, USE_PAIR } column_use;

typedef struct column {
    column_use use;
    mr_field field;
    mr_time_unit unit;
    char name[64]; // for errors; of a pair, its name
} column;

struct mr_csv {
    mr_stream *stream;
    mr_event_kind kind;
    bool has_type;
    column columns[MR_CSV_COLUMNS_MAX];
    uint32_t column_count;
    mr_bytes values[MR_CSV_COLUMNS_MAX];
    uint64_t line, lines_in_row; // the row in hand begins at `line`
    size_t at, size;             // what of the buffer has not been read: [at, size)
    bool ended;
    mr_line event_line;
    uint8_t buffer[BUFFER_BYTES];
};

static mr_status fault(const mr_csv *csv, mr_error *err)
{
    return mr_wrap(err, "%s:%llu", mr_stream_path(csv->stream), (unsigned long long)csv->line);
}

static mr_status refill(mr_csv *csv, mr_error *err)
{
    size_t got;
    memmove(csv->buffer, csv->buffer + csv->at, csv->size - csv->at);
    csv->size -= csv->at;
    csv->at = 0;
    MR_TRY(
        mr_stream_read(csv->stream, csv->buffer + csv->size, BUFFER_BYTES - csv->size, &got, err));
    csv->size += got;
    csv->ended = csv->size < BUFFER_BYTES;
    return MR_OK;
}

// Looks for the end of the row that begins at `at`: the index of its line break, or SIZE_MAX.
static size_t find_end(const mr_csv *csv, uint64_t *lines)
{
    *lines = 1;
    const uint8_t *const start = csv->buffer + csv->at, *const end = csv->buffer + csv->size;
    const uint8_t *stop = memchr(start, '\n', (size_t)(end - start));
    if (stop != NULL && memchr(start, '"', (size_t)(stop - start)) == NULL)
        return (size_t)(stop - csv->buffer); // nearly every row
    // A quote opens only at the start of a value; inside, two of them are one.
    bool quoted = false, first = true;
    for (const uint8_t *c = start; c < end; c++) {
        if (quoted && *c == '"' && c + 1 < end && c[1] == '"')
            c++;
        else if (*c == '"' && (quoted || first))
            quoted = !quoted;
        else if (*c == '\n' && !quoted)
            return (size_t)(c - csv->buffer);
        else if (*c == '\n')
            ++*lines;
        first = !quoted && *c == ',';
    }
    return SIZE_MAX;
}

// A value that begins with a quote, unquoted in place; *next is behind its comma. false: bad
// quotes.
static bool take_quoted(uint8_t *c, uint8_t *end, mr_bytes *value, uint8_t **next)
{
    uint8_t *to = c, *const first = c;
    for (c++; c < end; c++) {
        if (*c == '"' && c + 1 < end && c[1] == '"')
            c++;
        else if (*c == '"')
            break;
        *to++ = *c;
    }
    if (c == end || (c + 1 < end && c[1] != ','))
        return false;
    *value = mr_bytes_of(first, (size_t)(to - first));
    *next = c + 2;
    return true;
}

// Cuts [at, end) into values. Rows with another number of columns are refused, but for the first.
static mr_status cut_row(mr_csv *csv, size_t end, uint32_t *count, mr_error *err)
{
    uint8_t *c = csv->buffer + csv->at, *const stop = csv->buffer + end;
    *count = 0;
    for (uint8_t *next = c; c <= stop; c = next) {
        if (*count == MR_CSV_COLUMNS_MAX)
            return mr_fail(err, MR_FATAL, "more than %d columns", MR_CSV_COLUMNS_MAX);
        mr_bytes *value = csv->values + (*count)++;
        if (c < stop && *c == '"') {
            if (!take_quoted(c, stop, value, &next))
                return mr_reject(err, MR_CAUSE_bad_value,
                                 "column %u: a quote is not closed, or text follows it", *count);
            continue;
        }
        const uint8_t *comma = c < stop ? memchr(c, ',', (size_t)(stop - c)) : NULL;
        const size_t size = (size_t)((comma != NULL ? comma : stop) - c);
        *value = mr_bytes_of(c, size);
        next = c + size + 1;
    }
    return MR_OK;
}

// The next row that is not empty, as values. *more false: the end.
static mr_status next_row(mr_csv *csv, uint32_t *count, bool *more, mr_error *err)
{
    size_t end;
    csv->line += csv->lines_in_row;
    csv->lines_in_row = 0;
    for (;;) {
        end = find_end(csv, &csv->lines_in_row);
        if (end == SIZE_MAX && !csv->ended) {
            if (csv->size - csv->at > MR_CSV_ROW_MAX)
                return mr_fail(err, MR_FATAL, "a row of more than %d bytes (an open quote?)",
                               MR_CSV_ROW_MAX);
            MR_TRY(refill(csv, err));
            continue;
        }
        *more = end != SIZE_MAX || csv->at < csv->size;
        if (!*more)
            return MR_OK;
        if (end == SIZE_MAX)
            end = csv->size; // the last row, without a line break
        const size_t text_end = end > csv->at && csv->buffer[end - 1] == '\r' ? end - 1 : end;
        if (text_end > csv->at) {
            const mr_status status = cut_row(csv, text_end, count, err);
            csv->at = end < csv->size ? end + 1 : end;
            return status;
        }
        csv->at = end < csv->size ? end + 1 : end;
        csv->line += csv->lines_in_row;
    }
}

static const mr_mapping_entry *entry_of(const mr_mapping *mapping, mr_bytes name)
{
    for (uint32_t i = 0; mapping != NULL && i < mapping->entry_count; i++) {
        const char *path = mapping->entries[i].path;
        if (path != NULL && mr_bytes_equal(name, mr_bytes_text(path)))
            return mapping->entries + i;
    }
    return NULL;
}

static bool has_entry(const mr_mapping *mapping, mr_field field)
{
    for (uint32_t i = 0; mapping != NULL && i < mapping->entry_count; i++) {
        if (mapping->entries[i].field == field)
            return true;
    }
    return false;
}

static void name_column(column *c, mr_bytes name)
{
    snprintf(c->name, sizeof c->name, "%.*s", (int)name.size, (const char *)name.data);
}

// What a column is for, by the mapping first and by its name else.
static column column_of(const mr_mapping *mapping, mr_bytes name)
{
    column c = {.use = USE_NOTHING};
    const mr_mapping_entry *entry = entry_of(mapping, name);
    const mr_bytes pair = mr_bytes_text("context.");
    name_column(&c, name);
    if (entry != NULL) {
        c.use = USE_FIELD;
        c.field = entry->field;
        c.unit = entry->unit;
        return c;
    }
    if (mr_bytes_equal(name, mr_bytes_text("type"))) {
        c.use = USE_TYPE;
    } else if (name.size > pair.size && memcmp(name.data, pair.data, pair.size) == 0) {
        c.use = USE_PAIR;
        name_column(&c, (mr_bytes){name.data + pair.size, name.size - pair.size});
    } else {
        c.field =
            mr_bytes_equal(name, mr_bytes_text("timestamp_ms")) ? MR_FIELD_time : mr_field_of(name);
        c.use = c.field == MR_FIELD_COUNT || has_entry(mapping, c.field) ? USE_NOTHING : USE_FIELD;
    }
    return c;
}

static bool can_be_column(mr_field field)
{
    return field != MR_FIELD_lines && field != MR_FIELD_context && field != MR_FIELD_vector;
}

static mr_status check_columns(const mr_csv *csv, const mr_mapping *mapping, mr_error *err)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < csv->column_count; i++) {
        const column *c = csv->columns + i;
        if (c->use != USE_FIELD)
            continue;
        if (!can_be_column(c->field))
            return mr_fail(err, MR_FATAL, "column '%s': '%s' cannot come from one column", c->name,
                           mr_field_name(c->field));
        if ((seen >> c->field & 1) != 0)
            return mr_fail(err, MR_FATAL, "column '%s': '%s' has another column already", c->name,
                           mr_field_name(c->field));
        seen |= UINT64_C(1) << c->field;
    }
    if (mapping == NULL && !csv->has_type)
        return mr_fail(err, MR_FATAL,
                       "there is no column 'type', and no mapping that says what the rows are");
    for (uint32_t i = 0; mapping != NULL && i < mapping->entry_count; i++) {
        const mr_mapping_entry *entry = mapping->entries + i;
        if (entry->path != NULL && (seen >> entry->field & 1) == 0)
            return mr_fail(err, MR_FATAL, "there is no column '%s' for '%s'", entry->path,
                           mr_field_name(entry->field));
    }
    if ((seen & (UINT64_C(1) << MR_FIELD_item | UINT64_C(1) << MR_FIELD_user)) == 0)
        return mr_fail(err, MR_FATAL,
                       "no column is called user or item: the first row has to name the columns");
    return MR_OK;
}

static mr_status read_columns(mr_csv *csv, const mr_mapping *mapping, mr_error *err)
{
    uint32_t count = 0;
    bool more;
    MR_TRY(next_row(csv, &count, &more, err));
    if (!more)
        return mr_fail(err, MR_FATAL, "the file is empty: the first row has to name the columns");
    for (uint32_t i = 0; i < count; i++) {
        mr_bytes name = csv->values[i];
        if (i == 0 && name.size >= 3 && memcmp(name.data, "\xef\xbb\xbf", 3) == 0)
            name = (mr_bytes){name.data + 3, name.size - 3}; // a byte order mark
        csv->columns[i] = column_of(mapping, name);
        csv->has_type = csv->has_type || csv->columns[i].use == USE_TYPE;
    }
    csv->column_count = count;
    return check_columns(csv, mapping, err);
}

mr_status mr_csv_open(mr_stream *stream, const mr_mapping *mapping, mr_csv **csv, mr_error *err)
{
    mr_csv *made = malloc(sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", mr_stream_path(stream));
    memset(made, 0, offsetof(mr_csv, buffer));
    made->stream = stream;
    made->line = 1;
    made->kind = mapping != NULL ? mapping->kind : MR_EVENT_CLICK;
    if (read_columns(made, mapping, err) != MR_OK) {
        fault(made, err);
        mr_csv_close(made);
        err->cause = MR_CAUSE_NONE;
        return err->status = MR_FATAL;
    }
    *csv = made;
    return MR_OK;
}

void mr_csv_close(mr_csv *csv)
{
    free(csv);
}

static mr_status bad_value(const column *c, const char *want, mr_bytes have, mr_error *err)
{
    return mr_reject(err, MR_CAUSE_bad_value, "column '%s': want %s, have '%.*s'", c->name, want,
                     have.size < 40 ? (int)have.size : 40, (const char *)have.data);
}

// Decimal digits with an optional sign, all of them.
static bool parse_long(mr_bytes text, int64_t *value)
{
    uint32_t i = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    const bool negative = text.size > 0 && text.data[0] == '-';
    int64_t sum = 0;
    if (i == text.size)
        return false;
    for (; i < text.size; i++) {
        const int64_t digit = (int64_t)text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

static bool parse_double(mr_bytes text, double *value)
{
    char copy[NUMBER_BYTES_MAX], *end;
    int64_t whole;
    if (text.size < 16 && parse_long(text, &whole)) { // exact below 2^53, and most are whole
        *value = (double)whole;
        return true;
    }
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *value = strtod(copy, &end);
    return end == copy + text.size && copy[0] != ' ';
}

// Milliseconds from whole or, with a unit, fractional time.
static bool parse_time(mr_bytes text, mr_time_unit unit, int64_t *millis)
{
    double real;
    int64_t whole;
    if (unit == MR_TIME_AUTO || unit == MR_TIME_MILLIS)
        return parse_long(text, millis);
    if (parse_long(text, &whole)) {
        const int64_t divisor = unit == MR_TIME_NANOS ? 1000000 : 1000;
        if (unit == MR_TIME_SECONDS)
            return !__builtin_mul_overflow(whole, 1000, millis);
        *millis = whole / divisor - (whole % divisor < 0);
        return true;
    }
    if (unit != MR_TIME_SECONDS || !parse_double(text, &real) || !(fabs(real) < 4e12))
        return false;
    *millis = (int64_t)(real * 1000 + (real < 0 ? -0.5 : 0.5));
    return true;
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

static mr_bytes *text_of(mr_event *event, mr_field field)
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

static double *double_of(mr_event *event, mr_field field)
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

static mr_status fill_bool(const column *c, mr_bytes value, mr_event *event, mr_error *err)
{
    const bool yes =
        mr_bytes_equal(value, mr_bytes_text("true")) || mr_bytes_equal(value, mr_bytes_text("1"));
    const bool no =
        mr_bytes_equal(value, mr_bytes_text("false")) || mr_bytes_equal(value, mr_bytes_text("0"));
    event->available = yes;
    return yes || no ? MR_OK : bad_value(c, "true or false", value, err);
}

static mr_status fill_field(const column *c, mr_bytes value, mr_event *event, mr_error *err)
{
    mr_bytes *text = text_of(event, c->field);
    double *real = double_of(event, c->field);
    if (text != NULL)
        *text = value;
    else if (real != NULL && !parse_double(value, real))
        return bad_value(c, "a number", value, err);
    else if (c->field == MR_FIELD_time && !parse_time(value, c->unit, &event->time_ms))
        return bad_value(c, "a time as a whole number", value, err);
    else if (c->field == MR_FIELD_position && !parse_long(value, &event->position))
        return bad_value(c, "a whole number", value, err);
    else if (c->field == MR_FIELD_list_version && !parse_long(value, &event->list_version))
        return bad_value(c, "a whole number", value, err);
    else if (c->field == MR_FIELD_available)
        MR_TRY(fill_bool(c, value, event, err));
    else if (c->field == MR_FIELD_categories)
        fill_categories(value, event);
    event->present |= 1u << c->field;
    return MR_OK;
}

static mr_status fill_column(const column *c, mr_bytes value, mr_event *event, mr_error *err)
{
    if (c->use == USE_FIELD)
        return fill_field(c, value, event, err);
    if (c->use == USE_TYPE) {
        event->kind = mr_event_kind_of(value);
        return event->kind != MR_EVENT_KIND_COUNT
                   ? MR_OK
                   : bad_value(c,
                               "click, cart, purchase, impression, rating, search, catalogue or "
                               "control",
                               value, err);
    }
    if (c->use == USE_PAIR && event->context_count < MR_PAIRS_MAX) {
        event->context[event->context_count++] = (mr_pair){mr_bytes_text(c->name), value};
        event->present |= 1u << MR_FIELD_context;
    }
    return MR_OK;
}

// An item bought or shown in a row of its own.
static void item_to_line(mr_event *event)
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

static mr_status fill_event(mr_csv *csv, uint32_t count, mr_event *event, mr_error *err)
{
    if (count != csv->column_count)
        return mr_reject(err, MR_CAUSE_bad_value, "%u columns, but the first row has %u", count,
                         csv->column_count);
    for (uint32_t i = 0; i < count; i++) {
        if (csv->values[i].size > 0)
            MR_TRY(fill_column(csv->columns + i, csv->values[i], event, err));
    }
    item_to_line(event);
    return MR_OK;
}

mr_status mr_csv_next(mr_csv *csv, mr_event *event, bool *more, mr_error *err)
{
    uint32_t count = 0;
    mr_status status = next_row(csv, &count, more, err);
    if (status == MR_OK && !*more)
        return MR_OK;
    event->kind = csv->kind;
    event->present = 0;
    event->deleted = false;
    event->lines = &csv->event_line;
    event->line_count = event->context_count = event->category_count = event->vector_count = 0;
    if (status == MR_OK)
        status = fill_event(csv, count, event, err);
    *more = true;
    return status == MR_OK ? MR_OK : fault(csv, err);
}
