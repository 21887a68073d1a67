// SPDX-License-Identifier: Apache-2.0
#include "worker/input/table.h"

#include <string.h>

void mr_table_init(mr_table *table, mr_stream *stream, uint8_t delimiter, bool quotes)
{
    memset(table, 0, offsetof(mr_table, buffer));
    table->stream = stream;
    table->delimiter = delimiter;
    table->quotes = quotes;
    table->line = 1;
}

mr_status mr_table_fault(const mr_table *table, mr_error *err)
{
    return mr_wrap(err, "%s:%llu", mr_stream_path(table->stream), (unsigned long long)table->line);
}

static mr_status refill(mr_table *table, mr_error *err)
{
    size_t got;
    memmove(table->buffer, table->buffer + table->at, table->size - table->at);
    table->size -= table->at;
    table->at = 0;
    MR_TRY(mr_stream_read(table->stream, table->buffer + table->size,
                          sizeof table->buffer - table->size, &got, err));
    table->size += got;
    table->ended = table->size < sizeof table->buffer;
    return MR_OK;
}

// Looks for the end of the row that begins at `at`: the index of its line break, or SIZE_MAX.
static size_t find_end(const mr_table *table, uint64_t *lines)
{
    *lines = 1;
    const uint8_t *const start = table->buffer + table->at,
                        *const end = table->buffer + table->size;
    const uint8_t *stop = memchr(start, '\n', (size_t)(end - start));
    if (stop != NULL &&
        (!table->quotes || memchr(start, '"', (size_t)(stop - start)) == NULL))
        return (size_t)(stop - table->buffer); // nearly every row
    if (!table->quotes)
        return SIZE_MAX;
    // A quote opens only at the start of a value; inside, two of them are one.
    bool quoted = false, first = true;
    for (const uint8_t *c = start; c < end; c++) {
        if (quoted && *c == '"' && c + 1 < end && c[1] == '"')
            c++;
        else if (*c == '"' && (quoted || first))
            quoted = !quoted;
        else if (*c == '\n' && !quoted)
            return (size_t)(c - table->buffer);
        else if (*c == '\n')
            ++*lines;
        first = !quoted && *c == table->delimiter;
    }
    return SIZE_MAX;
}

// A value that begins with a quote, unquoted in place; *next is behind its delimiter. false: bad
// quotes.
static bool take_quoted(const mr_table *table, uint8_t *c, uint8_t *end, mr_bytes *value,
                        uint8_t **next)
{
    uint8_t *to = c, *const first = c;
    for (c++; c < end; c++) {
        if (*c == '"' && c + 1 < end && c[1] == '"')
            c++;
        else if (*c == '"')
            break;
        *to++ = *c;
    }
    if (c == end || (c + 1 < end && c[1] != table->delimiter))
        return false;
    *value = mr_bytes_of(first, (size_t)(to - first));
    *next = c + 2;
    return true;
}

static mr_status cut_row(mr_table *table, uint8_t *c, uint8_t *stop, mr_error *err)
{
    table->count = 0;
    for (uint8_t *next = c; c <= stop; c = next) {
        if (table->count == MR_TABLE_COLUMNS_MAX)
            return mr_fail(err, MR_FATAL, "more than %d columns", MR_TABLE_COLUMNS_MAX);
        mr_bytes *value = table->values + table->count++;
        if (table->quotes && c < stop && *c == '"') {
            if (!take_quoted(table, c, stop, value, &next))
                return mr_reject(err, MR_CAUSE_bad_value,
                                 "column %u: a quote is not closed, or text follows it",
                                 table->count);
            continue;
        }
        const uint8_t *found = c < stop ? memchr(c, table->delimiter, (size_t)(stop - c)) : NULL;
        const size_t size = (size_t)((found != NULL ? found : stop) - c);
        *value = mr_bytes_of(c, size);
        next = c + size + 1;
    }
    return MR_OK;
}

mr_status mr_table_line(mr_table *table, mr_bytes *line, bool *more, mr_error *err)
{
    size_t end;
    table->line += table->lines_in_row;
    table->lines_in_row = 0;
    for (;;) {
        end = find_end(table, &table->lines_in_row);
        if (end == SIZE_MAX && !table->ended) {
            if (table->size - table->at > MR_TABLE_ROW_MAX)
                return mr_fail(err, MR_FATAL, "a row of more than %d bytes%s", MR_TABLE_ROW_MAX,
                               table->quotes ? " (an open quote?)" : "");
            MR_TRY(refill(table, err));
            continue;
        }
        *more = end != SIZE_MAX || table->at < table->size;
        if (!*more)
            return MR_OK;
        if (end == SIZE_MAX)
            end = table->size; // the last row, without a line break
        const size_t first = table->at;
        const size_t text_end = end > first && table->buffer[end - 1] == '\r' ? end - 1 : end;
        table->at = end < table->size ? end + 1 : end;
        if (text_end > first) {
            *line = mr_bytes_of(table->buffer + first, text_end - first);
            return MR_OK;
        }
        table->line += table->lines_in_row;
    }
}

mr_status mr_table_next(mr_table *table, bool *more, mr_error *err)
{
    mr_bytes line;
    MR_TRY(mr_table_line(table, &line, more, err));
    if (!*more)
        return MR_OK;
    uint8_t *const first = table->buffer + (line.data - table->buffer);
    return cut_row(table, first, first + line.size, err);
}
