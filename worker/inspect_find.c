// SPDX-License-Identifier: Apache-2.0
// inspect_find: the users and items with most events, one of each, and a row by its key.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/event/event.h"
#include "worker/inspect_inner.h"

enum { HEX_ROW = 16, ROW_KEY_MAX = 512 };

// ---- names of items

static json_t *item_name(void *context, uint64_t key)
{
    mr_inspect *in = context;
    uint8_t bytes[MR_INSPECT_ITEM_KEY_BYTES];
    mr_inspect_item item;
    mr_row row;
    mr_error err;
    const mr_bytes name =
        mr_inspect_part_key(MR_ROW_ITEM, mr_inspect_family_code("items.item"), key, bytes);
    for (uint32_t t = 0; t < in->task_count; t++)
        if (mr_inspect_read(in, in->tasks[t], name, &row, &err) == MR_OK &&
            row.payload.data != NULL &&
            mr_inspect_read_item(name, row.payload, &item, &err) == MR_OK)
            return mr_inspect_text(item.id);
    return mr_inspect_hex(key); // expired
}

// ---- who has most events

typedef struct ranked {
    uint64_t events;
    uint32_t task;
    int64_t first_ms, last_ms;
    bool flag; // a user waits for a list; an item is available
    uint8_t id_size;
    uint8_t id[255];
} ranked;

typedef struct ranking {
    uint32_t task, top, kept;
    uint64_t count, events, flagged;
    ranked *rows; // most events first; equal ones in the order in which they came, that of keys
} ranking;

static void offer(ranking *r, const ranked *row)
{
    r->count++;
    r->events += row->events;
    r->flagged += row->flag;
    if (r->kept == r->top && (r->top == 0 || r->rows[r->top - 1].events >= row->events))
        return;
    uint32_t at = r->kept < r->top ? r->kept++ : r->top - 1;
    for (; at > 0 && r->rows[at - 1].events < row->events; at--)
        r->rows[at] = r->rows[at - 1];
    r->rows[at] = *row;
}

static mr_status visit_user(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    ranking *r = context;
    mr_inspect_user read;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    MR_TRY(mr_inspect_read_user(row.payload, &read, err));
    const mr_user *user = &read.user;
    ranked one = {
        .events = user->events,
        .task = r->task,
        .first_ms = user->list_ms,
        .last_ms = user->recent_count > 0 ? (int64_t)user->recent[0].time_s * 1000 : 0,
        .flag = user->touched_seq > user->listed_seq,
        .id_size = (uint8_t)(key.size - 1 < 255 ? key.size - 1 : 255),
    };
    memcpy(one.id, key.data + 1, one.id_size);
    offer(r, &one);
    return MR_OK;
}

static mr_status visit_item(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    ranking *r = context;
    mr_inspect_item read;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    MR_TRY(mr_inspect_read_item(key, row.payload, &read, err));
    ranked one = {
        .events = read.item.events,
        .task = r->task,
        .first_ms = read.item.born_ms,
        .last_ms = read.item.last_ms,
        .flag = read.item.available != 0,
        .id_size = (uint8_t)read.id.size,
    };
    memcpy(one.id, read.id.data, one.id_size);
    offer(r, &one);
    return MR_OK;
}

static mr_status rank(mr_inspect *in, mr_bytes prefix, mr_store_visit *visit, ranking *r,
                      mr_error *err)
{
    r->top = r->top < MR_INSPECT_TOP_MAX ? r->top : MR_INSPECT_TOP_MAX;
    r->rows = calloc(r->top + 1, sizeof *r->rows);
    if (r->rows == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t t = 0; t < in->task_count; t++) {
        r->task = in->tasks[t];
        MR_TRY(mr_store_each(in->reader, in->tasks[t], prefix, true, visit, r, err));
    }
    return MR_OK;
}

mr_status mr_inspect_users(mr_inspect *in, uint32_t top, json_t **out, mr_error *err)
{
    const uint8_t prefix = MR_ROW_USER;
    ranking r = {.top = top};
    *out = NULL;
    const mr_status status = rank(in, mr_bytes_of(&prefix, 1), visit_user, &r, err);
    if (status == MR_OK) {
        json_t *rows = json_array();
        *out = json_object();
        mr_inspect_set(*out, "users", mr_inspect_count(r.count));
        mr_inspect_set(*out, "events", mr_inspect_count(r.events));
        mr_inspect_set(*out, "due", mr_inspect_count(r.flagged));
        for (uint32_t i = 0; i < r.kept; i++) {
            json_t *row = json_object();
            mr_inspect_set(row, "user",
                           mr_inspect_text(mr_bytes_of(r.rows[i].id, r.rows[i].id_size)));
            mr_inspect_set(row, "task", json_integer(r.rows[i].task));
            mr_inspect_set(row, "events", mr_inspect_count(r.rows[i].events));
            mr_inspect_set(row, "last", mr_inspect_time(r.rows[i].last_ms));
            mr_inspect_set(row, "listed", mr_inspect_time(r.rows[i].first_ms));
            mr_inspect_set(row, "due", json_boolean(r.rows[i].flag));
            json_array_append_new(rows, row);
        }
        mr_inspect_set(*out, "most_active", rows);
    }
    free(r.rows);
    return status;
}

mr_status mr_inspect_items(mr_inspect *in, uint32_t top, json_t **out, mr_error *err)
{
    uint8_t key[MR_INSPECT_ITEM_KEY_BYTES];
    mr_inspect_part_key(MR_ROW_ITEM, mr_inspect_family_code("items.item"), 0, key);
    ranking r = {.top = top};
    *out = NULL;
    const mr_status status = rank(in, mr_bytes_of(key, 3), visit_item, &r, err);
    if (status == MR_OK) {
        json_t *rows = json_array();
        *out = json_object();
        mr_inspect_set(*out, "items", mr_inspect_count(r.count));
        mr_inspect_set(*out, "events", mr_inspect_count(r.events));
        mr_inspect_set(*out, "available", mr_inspect_count(r.flagged));
        for (uint32_t i = 0; i < r.kept; i++) {
            json_t *row = json_object();
            mr_inspect_set(row, "item",
                           mr_inspect_text(mr_bytes_of(r.rows[i].id, r.rows[i].id_size)));
            mr_inspect_set(row, "task", json_integer(r.rows[i].task));
            mr_inspect_set(row, "events", mr_inspect_count(r.rows[i].events));
            mr_inspect_set(row, "born", mr_inspect_time(r.rows[i].first_ms));
            mr_inspect_set(row, "last", mr_inspect_time(r.rows[i].last_ms));
            mr_inspect_set(row, "available", json_boolean(r.rows[i].flag));
            json_array_append_new(rows, row);
        }
        mr_inspect_set(*out, "most_popular", rows);
    }
    free(r.rows);
    return status;
}

// ---- one user, one item

static void put_user(mr_inspect *in, json_t *root, const mr_inspect_user *read)
{
    const mr_user *user = &read->user;
    const mr_inspect_names names = {in, item_name};
    json_t *recent = json_array(), *parts = json_array();
    mr_inspect_set(root, "key", mr_inspect_hex(user->key));
    mr_inspect_set(root, "events", json_integer(user->events));
    mr_inspect_set(root, "due", json_boolean(user->touched_seq > user->listed_seq));
    mr_inspect_set(root, "touched_seq", mr_inspect_count(user->touched_seq));
    mr_inspect_set(root, "listed_seq", mr_inspect_count(user->listed_seq));
    mr_inspect_set(root, "listed", mr_inspect_time(user->list_ms));
    for (uint32_t i = 0; i < user->recent_count && i < MR_RECENT_MAX; i++) {
        const mr_recent *act = &user->recent[i];
        json_t *row = json_object();
        mr_inspect_set(row, "item", item_name(in, act->item_key));
        mr_inspect_set(row, "act",
                       act->act < MR_EVENT_KIND_COUNT
                           ? json_string(mr_event_kind_name((mr_event_kind)act->act))
                           : json_integer(act->act));
        mr_inspect_set(row, "time", mr_inspect_time((int64_t)act->time_s * 1000));
        json_array_append_new(recent, row);
    }
    for (uint32_t p = 0; p < read->part_count; p++) {
        json_t *row = json_object();
        mr_inspect_describe(row, &read->parts[p], &names);
        json_array_append_new(parts, row);
    }
    mr_inspect_set(root, "recent", recent);
    mr_inspect_set(root, "parts", parts);
}

mr_status mr_inspect_user_of(mr_inspect *in, mr_bytes id, json_t **out, mr_error *err)
{
    uint8_t key[MR_ROW_KEY_MAX];
    mr_inspect_user read;
    mr_row row;
    *out = NULL;
    if (id.size == 0 || id.size > sizeof key - 1)
        return mr_fail(err, MR_REJECT, "a user id of %u bytes: want 1 to %zu", id.size,
                       sizeof key - 1);
    key[0] = MR_ROW_USER;
    memcpy(key + 1, id.data, id.size);
    for (uint32_t t = 0; t < in->task_count; t++) {
        MR_TRY(mr_inspect_read(in, in->tasks[t], mr_bytes_of(key, id.size + 1), &row, err));
        if (row.payload.data == NULL)
            continue;
        memcpy(in->kept, row.payload.data, row.payload.size);
        MR_TRY(mr_inspect_read_user(mr_bytes_of(in->kept, row.payload.size), &read, err));
        *out = json_object();
        mr_inspect_set(*out, "user", mr_inspect_text(id));
        mr_inspect_set(*out, "task", json_integer(in->tasks[t]));
        mr_inspect_set(*out, "row_bytes", json_integer(row.payload.size));
        put_user(in, *out, &read);
        return MR_OK;
    }
    return mr_fail(err, MR_REJECT, "user '%.*s': there is no row of that user", (int)id.size,
                   (const char *)id.data);
}

// One point read for each family: a walk would pass every item.
static mr_status put_item_parts(mr_inspect *in, uint32_t task, uint64_t name, json_t *rows,
                                mr_error *err)
{
    const mr_inspect_names names = {in, item_name};
    for (uint32_t m = 0; m < mr_model_count; m++)
        for (uint32_t f = 0; f < mr_models[m]->state.family_count; f++) {
            char family[MR_INSPECT_FAMILY_BYTES];
            uint8_t bytes[MR_INSPECT_ITEM_KEY_BYTES];
            mr_inspect_part part;
            mr_row row;
            if (mr_models[m]->state.families[f].key != MR_KEY_ITEM)
                continue;
            snprintf(family, sizeof family, "%s.%s", mr_models[m]->state.name,
                     mr_models[m]->state.families[f].name);
            const mr_bytes key =
                mr_inspect_part_key(MR_ROW_ITEM, mr_inspect_family_code(family), name, bytes);
            MR_TRY(mr_inspect_read(in, task, key, &row, err));
            if (row.payload.data == NULL)
                continue;
            memcpy(in->kept, row.payload.data, row.payload.size);
            MR_TRY(mr_inspect_read_part(key, mr_bytes_of(in->kept, row.payload.size), &part, err));
            json_t *object = json_object();
            mr_inspect_describe(object, &part, &names);
            json_array_append_new(rows, object);
        }
    return MR_OK;
}

static mr_status put_item(mr_inspect *in, uint32_t task, const mr_inspect_item *read, json_t *root,
                          mr_error *err)
{
    const mr_item *item = &read->item;
    json_t *categories = json_array(), *parts = json_array();
    mr_inspect_set(root, "item", mr_inspect_text(read->id));
    mr_inspect_set(root, "key", mr_inspect_hex(item->key));
    mr_inspect_set(root, "task", json_integer(task));
    mr_inspect_set(root, "born", mr_inspect_time(item->born_ms));
    mr_inspect_set(root, "last", mr_inspect_time(item->last_ms));
    mr_inspect_set(root, "events", json_integer(item->events));
    mr_inspect_set(root, "available", json_boolean(item->available));
    mr_inspect_set(root, "in_catalogue", json_boolean(item->in_catalogue));
    if (item->price > 0)
        mr_inspect_set(root, "price", json_real((double)item->price));
    for (uint32_t c = 0; c < 4; c++)
        if (item->categories[c] != 0)
            json_array_append_new(categories, mr_inspect_hex(item->categories[c]));
    mr_inspect_set(root, "categories", categories);
    mr_inspect_set(root, "parts", parts);
    return put_item_parts(in, task, item->key, parts, err);
}

mr_status mr_inspect_item_of(mr_inspect *in, mr_bytes id, json_t **out, mr_error *err)
{
    uint8_t bytes[MR_INSPECT_ITEM_KEY_BYTES];
    mr_inspect_item read;
    mr_row row;
    const mr_bytes key = mr_inspect_part_key(MR_ROW_ITEM, mr_inspect_family_code("items.item"),
                                             mr_item_key(id), bytes);
    *out = NULL;
    for (uint32_t t = 0; t < in->task_count; t++) {
        MR_TRY(mr_inspect_read(in, in->tasks[t], key, &row, err));
        if (row.payload.data == NULL)
            continue;
        MR_TRY(mr_inspect_read_item(key, row.payload, &read, err));
        uint8_t copy[255];
        memcpy(copy, read.id.data, read.id.size);
        read.id.data = copy;
        *out = json_object();
        const mr_status status = put_item(in, in->tasks[t], &read, *out, err);
        if (status != MR_OK) {
            json_decref(*out);
            *out = NULL;
        }
        return status;
    }
    return mr_fail(err, MR_REJECT, "item '%.*s': there is no row of that item", (int)id.size,
                   (const char *)id.data);
}

// ---- one row

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static mr_status read_hex(const char *text, uint8_t *key, uint32_t *size, mr_error *err)
{
    *size = 0;
    for (; *text != '\0'; text += 2) {
        const int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || *size == MR_STORE_KEY_MAX)
            return mr_fail(err, MR_REJECT, "'%.40s': want pairs of hexadecimal digits, at most %d",
                           text, MR_STORE_KEY_MAX);
        key[(*size)++] = (uint8_t)(high << 4 | low);
    }
    return *size > 0 ? MR_OK : mr_fail(err, MR_REJECT, "want hexadecimal digits after x:");
}

// "i:METHOD.FAMILY:ITEM" or "n:METHOD.FAMILY:HEX"; text begins behind the first colon.
static mr_status read_part_key(char kind, const char *text, uint8_t *key, mr_error *err)
{
    char family[MR_INSPECT_FAMILY_BYTES];
    const char *colon = strchr(text, ':');
    if (colon == NULL)
        return mr_fail(err, MR_REJECT, "'%.80s': want METHOD.FAMILY:%s after %c:", text,
                       kind == MR_ROW_ITEM ? "ITEM" : "KEY", kind);
    snprintf(family, sizeof family, "%.*s", (int)(colon - text), text);
    const uint16_t code = mr_inspect_family_code(family);
    if (code == 0)
        return mr_fail(err, MR_REJECT,
                       "'%s' is no family of rows; millrace inspect DIR item ID "
                       "names those of an item",
                       family);
    const uint64_t name =
        kind == MR_ROW_ITEM ? mr_item_key(mr_bytes_text(colon + 1)) : strtoull(colon + 1, NULL, 16);
    mr_inspect_part_key(kind, code, name, key);
    return MR_OK;
}

static mr_status read_key(const char *text, uint8_t key[ROW_KEY_MAX], uint32_t *size, mr_error *err)
{
    const char kind = text[0];
    *size = 1;
    key[0] = (uint8_t)kind;
    if (kind == MR_ROW_TASK && text[1] == '\0')
        return MR_OK;
    if (kind == '\0' || text[1] != ':')
        return mr_fail(err, MR_REJECT,
                       "'%.80s': want t, u:USER, r:CHUNK, p:PAGE, i:METHOD.FAMILY:ITEM, "
                       "n:METHOD.FAMILY:KEY or x:HEX",
                       text);
    const char *rest = text + 2;
    const size_t length = strlen(rest);
    switch (kind) {
    case MR_ROW_USER:
        if (length > MR_STORE_KEY_MAX - 1)
            return mr_fail(err, MR_REJECT, "the id is longer than %d bytes", MR_STORE_KEY_MAX - 1);
        memcpy(key + 1, rest, length);
        *size = 1 + (uint32_t)length;
        return MR_OK;
    case MR_ROW_RECENT:
    case MR_ROW_PENDING:
        mr_put_u64_be(key + 1, strtoull(rest, NULL, 10));
        *size = 9;
        return MR_OK;
    case MR_ROW_ITEM:
    case MR_ROW_NAMED:
        *size = MR_INSPECT_ITEM_KEY_BYTES;
        return read_part_key(kind, rest, key, err);
    case 'x':
        return read_hex(rest, key, size, err);
    default:
        return mr_fail(err, MR_REJECT, "'%c' is no kind of row: want t, u, r, p, i, n or x", kind);
    }
}

static json_t *hex_dump(mr_bytes bytes)
{
    json_t *lines = json_array();
    for (uint32_t at = 0; at < bytes.size; at += HEX_ROW) {
        char hex[3 * HEX_ROW + 1] = "", text[HEX_ROW + 1] = "";
        for (uint32_t i = 0; i < HEX_ROW && at + i < bytes.size; i++) {
            const uint8_t byte = bytes.data[at + i];
            snprintf(hex + 3 * i, 4, "%02x ", byte);
            text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
            text[i + 1] = '\0';
        }
        json_t *line = json_object();
        mr_inspect_set(line, "at", json_integer(at));
        mr_inspect_set(line, "bytes", json_string(hex));
        mr_inspect_set(line, "text", json_string(text));
        json_array_append_new(lines, line);
    }
    return lines;
}

mr_status mr_inspect_row(mr_inspect *in, const char *text, json_t **out, mr_error *err)
{
    uint8_t bytes[ROW_KEY_MAX];
    uint32_t size;
    *out = NULL;
    MR_TRY(read_key(text, bytes, &size, err));
    const mr_bytes key = mr_bytes_of(bytes, size);
    json_t *root = json_object();
    uint32_t found = 0;
    mr_inspect_set(root, "row", mr_inspect_key(key));
    for (uint32_t t = 0; t < in->task_count; t++) {
        char name[32];
        mr_row row;
        const mr_status status = mr_inspect_read(in, in->tasks[t], key, &row, err);
        if (status != MR_OK) {
            json_decref(root);
            return status;
        }
        if (row.payload.data == NULL)
            continue;
        json_t *object = json_object();
        const mr_bytes sealed = mr_bytes_of(in->row, row.payload.size + MR_ROW_HEADER_BYTES);
        mr_inspect_set(object, "kind", json_integer(row.kind));
        mr_inspect_set(object, "flags", json_integer(row.flags));
        mr_inspect_set(object, "version", json_integer(row.version));
        mr_inspect_set(object, "payload_bytes", json_integer(row.payload.size));
        mr_inspect_set(object, "hash", mr_inspect_hash_text(mr_row_hash(key, sealed)));
        mr_inspect_set(object, "payload", hex_dump(row.payload));
        snprintf(name, sizeof name, "task %u", in->tasks[t]);
        mr_inspect_set(root, name, object);
        found++;
    }
    if (found > 0) {
        *out = root;
        return MR_OK;
    }
    json_decref(root);
    return mr_fail(err, MR_REJECT, "%.80s: no task has such a row", text);
}
