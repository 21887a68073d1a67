// SPDX-License-Identifier: Apache-2.0
#include "worker/input/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/input/table.h"
#include "worker/input/values.h"

typedef enum column_use { USE_NOTHING, USE_FIELD, USE_TYPE, USE_PAIR } column_use;

typedef struct column {
    column_use use;
    mr_field field;
    mr_time_unit unit;
    char name[64]; // for errors; of a pair, its name
} column;

struct mr_csv {
    mr_event_kind kind;
    bool has_type;
    column columns[MR_TABLE_COLUMNS_MAX];
    uint32_t column_count;
    float vector[MR_VECTOR_MAX];
    mr_line event_line;
    mr_table table;
};

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

// A catalogue that no mapping describes: columns of no field are attributes.
static bool is_catalogue(const mr_mapping *mapping)
{
    return mapping != NULL && mapping->kind == MR_EVENT_CATALOGUE && mapping->entry_count == 0;
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
        c.field = mr_bytes_equal(name, mr_bytes_text("timestamp_ms")) ? MR_FIELD_time
                  : is_catalogue(mapping) && mr_bytes_equal(name, mr_bytes_text("category"))
                      ? MR_FIELD_categories
                      : mr_field_of(name);
        c.use = c.field == MR_FIELD_COUNT || has_entry(mapping, c.field) ? USE_NOTHING : USE_FIELD;
    }
    if (c.use == USE_NOTHING && is_catalogue(mapping))
        c.use = USE_PAIR;
    return c;
}

static mr_status check_columns(const mr_csv *csv, const mr_mapping *mapping, mr_error *err)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < csv->column_count; i++) {
        const column *c = csv->columns + i;
        if (c->use != USE_FIELD)
            continue;
        if (!mr_values_can_fill(c->field) && c->field != MR_FIELD_vector)
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
    bool more;
    MR_TRY(mr_table_next(&csv->table, &more, err));
    if (!more)
        return mr_fail(err, MR_FATAL, "the file is empty: the first row has to name the columns");
    for (uint32_t i = 0; i < csv->table.count; i++) {
        mr_bytes name = csv->table.values[i];
        if (i == 0 && name.size >= 3 && memcmp(name.data, "\xef\xbb\xbf", 3) == 0)
            name = (mr_bytes){name.data + 3, name.size - 3}; // a byte order mark
        csv->columns[i] = column_of(mapping, name);
        csv->has_type = csv->has_type || csv->columns[i].use == USE_TYPE;
    }
    csv->column_count = csv->table.count;
    return check_columns(csv, mapping, err);
}

mr_status mr_csv_open(mr_stream *stream, const mr_mapping *mapping, mr_csv **csv, mr_error *err)
{
    mr_csv *made = malloc(sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", mr_stream_path(stream));
    memset(made, 0, offsetof(mr_csv, table));
    mr_table_init(&made->table, stream, ',', true);
    made->kind = mapping != NULL ? mapping->kind : MR_EVENT_CLICK;
    if (read_columns(made, mapping, err) != MR_OK) {
        mr_table_fault(&made->table, err);
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

static mr_status fill_column(const column *c, mr_bytes value, mr_event *event, mr_error *err)
{
    if (c->use == USE_FIELD) {
        const mr_value_use use = {.field = c->field, .unit = c->unit, .name = c->name};
        return mr_values_fill(&use, value, event, err);
    }
    if (c->use == USE_TYPE) {
        event->kind = mr_event_kind_of(value);
        return event->kind != MR_EVENT_KIND_COUNT
                   ? MR_OK
                   : mr_values_bad(c->name,
                                   "click, cart, purchase, impression, rating, search, catalogue "
                                   "or control",
                                   value, err);
    }
    if (c->use == USE_PAIR)
        mr_values_pair(mr_bytes_text(c->name), value, event);
    return MR_OK;
}

static mr_status fill_event(mr_csv *csv, mr_event *event, mr_error *err)
{
    const mr_table *table = &csv->table;
    if (table->count != csv->column_count)
        return mr_reject(err, MR_CAUSE_bad_value, "%u columns, but the first row has %u",
                         table->count, csv->column_count);
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->values[i].size > 0)
            MR_TRY(fill_column(csv->columns + i, table->values[i], event, err));
    }
    mr_values_end(event);
    return MR_OK;
}

mr_status mr_csv_next(mr_csv *csv, mr_event *event, bool *more, mr_error *err)
{
    mr_status status = mr_table_next(&csv->table, more, err);
    if (status == MR_OK && !*more)
        return MR_OK;
    mr_values_begin(event, csv->kind, &csv->event_line);
    event->vector = csv->vector;
    if (status == MR_OK)
        status = fill_event(csv, event, err);
    *more = true;
    return status == MR_OK ? MR_OK : mr_table_fault(&csv->table, err);
}
