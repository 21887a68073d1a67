// SPDX-License-Identifier: Apache-2.0
#include "worker/print_tree.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { COLUMNS_MAX = 32, CELL_BYTES = 256 };

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static bool is_nested(const json_t *value)
{
    return json_is_object(value) || is_table(value);
}

static bool is_empty(const json_t *value)
{
    return (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

// Four digits, and all of those before the point.
static void print_real(double value, char text[CELL_BYTES])
{
    const double size = fabs(value);
    if (size >= 1000 && size < 1e15)
        snprintf(text, CELL_BYTES, "%.0f", value);
    else
        snprintf(text, CELL_BYTES, "%.4g", value);
}

// A plain value, or an array of them, as text.
static const char *cell_text(const json_t *value, char text[CELL_BYTES])
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_STRING:
        snprintf(text, CELL_BYTES, "%s", json_string_value(value));
        break;
    case JSON_INTEGER:
        snprintf(text, CELL_BYTES, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        print_real(json_real_value(value), text);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
        break;
    case JSON_ARRAY: {
        size_t used = 0;
        char part[CELL_BYTES];
        text[0] = '\0';
        for (size_t i = 0; i < json_array_size(value) && used < CELL_BYTES - 1; i++) {
            snprintf(text + used, CELL_BYTES - used, "%s%s", i > 0 ? ", " : "",
                     cell_text(json_array_get(value, i), part));
            used = strlen(text);
        }
        break;
    }
    default:
        snprintf(text, CELL_BYTES, "-");
        break;
    }
    return text;
}

// Columns on a terminal, not bytes: continuation bytes of UTF-8 take none.
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void pad(FILE *out, int columns)
{
    for (; columns > 0; columns--)
        fputc(' ', out);
}

typedef struct table {
    const char *names[COLUMNS_MAX];
    int widths[COLUMNS_MAX];
    bool numbers[COLUMNS_MAX]; // stand to the right
    uint32_t count;
} table;

static void add_column(table *t, const char *name)
{
    for (uint32_t c = 0; c < t->count; c++)
        if (strcmp(t->names[c], name) == 0)
            return;
    if (t->count == COLUMNS_MAX)
        return;
    t->names[t->count] = name;
    t->widths[t->count] = width_of(name);
    t->numbers[t->count++] = true;
}

static void measure(table *t, json_t *rows)
{
    char text[CELL_BYTES];
    size_t i;
    json_t *row, *value;
    const char *name;
    *t = (table){.count = 0};
    json_array_foreach(rows, i, row) json_object_foreach(row, name, value) add_column(t, name);
    json_array_foreach(rows, i, row) for (uint32_t c = 0; c < t->count; c++)
    {
        value = json_object_get(row, t->names[c]);
        const int width = width_of(cell_text(value, text));
        t->widths[c] = width > t->widths[c] ? width : t->widths[c];
        t->numbers[c] &= value == NULL || json_is_number(value) || json_is_null(value);
    }
}

static void print_cell(const table *t, uint32_t column, const char *text, FILE *out)
{
    const int space = t->widths[column] - width_of(text);
    const bool last = column + 1 == t->count;
    pad(out, t->numbers[column] ? space : 0);
    fputs(text, out);
    pad(out, t->numbers[column] || last ? 0 : space);
    fputs(last ? "\n" : "  ", out);
}

static void print_table(json_t *rows, int indent, FILE *out)
{
    table t;
    char text[CELL_BYTES];
    size_t i;
    json_t *row;
    measure(&t, rows);
    pad(out, indent);
    for (uint32_t c = 0; c < t.count; c++)
        print_cell(&t, c, t.names[c], out);
    json_array_foreach(rows, i, row)
    {
        pad(out, indent);
        for (uint32_t c = 0; c < t.count; c++)
            print_cell(&t, c, cell_text(json_object_get(row, t.names[c]), text), out);
    }
}

static void print_object(json_t *object, int indent, FILE *out)
{
    char text[CELL_BYTES];
    const char *name;
    json_t *value;
    int width = 0;
    json_object_foreach(object, name, value)
    {
        if (!is_nested(value) && !is_empty(value) && width_of(name) > width)
            width = width_of(name);
    }
    json_object_foreach(object, name, value)
    {
        if (is_nested(value) || is_empty(value))
            continue;
        pad(out, indent);
        fputs(name, out);
        pad(out, width - width_of(name) + 2);
        fprintf(out, "%s\n", cell_text(value, text));
    }
    json_object_foreach(object, name, value)
    {
        if (!is_nested(value) || is_empty(value))
            continue;
        if (width > 0 || indent > 0)
            fputc('\n', out);
        pad(out, indent);
        fprintf(out, "%s\n", name);
        if (json_is_object(value))
            print_object(value, indent + 2, out);
        else
            print_table(value, indent + 2, out);
    }
}

void mr_print_tree(json_t *object, FILE *out)
{
    print_object(object, 0, out);
}
