// SPDX-License-Identifier: Apache-2.0
#include "worker/inspect_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/list/blend.h"
#include "core/model/decay.h"
#include "state/row.h"
#include "worker/arrivals.h"

enum { USER_PART_HEADER = 8, PART_HEADER = 8, CHUNK_HEADER = 16, NEIGHBOURS_SHOWN = 10 };

// ---- values

json_t *mr_inspect_text(mr_bytes bytes)
{
    char text[1100];
    json_t *value = json_stringn((const char *)bytes.data, bytes.size);
    return value != NULL ? value : json_string(mr_row_print_key(bytes, text, sizeof text));
}

json_t *mr_inspect_time(int64_t time_ms)
{
    char text[MR_RANGE_TIME_BYTES];
    return time_ms > 0 ? json_string(mr_range_time(time_ms, text)) : json_null();
}

json_t *mr_inspect_hex(uint64_t number)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
    return json_string(text);
}

// ---- families

typedef bool family_visitor(void *context, const char *name, uint16_t code);

static uint16_t code_of(const char *name)
{
    return (uint16_t)(mr_hash64(name, strlen(name), 0) | 1u);
}

static bool visit_method(const mr_state *state, family_visitor *visit, void *context)
{
    char name[MR_INSPECT_FAMILY_BYTES];
    for (uint32_t f = 0; f < state->family_count; f++) {
        snprintf(name, sizeof name, "%s.%s", state->name, state->families[f].name);
        if (visit(context, name, code_of(name)))
            return true;
    }
    return false;
}

// Calls visit for each family until it returns true.
static void visit_families(family_visitor *visit, void *context)
{
    static const char *const own[] = {"items.item", "blend.column", "blend.gate"};
    bool found = false;
    for (uint32_t i = 0; !found && i < sizeof own / sizeof own[0]; i++)
        found = visit(context, own[i], code_of(own[i]));
    for (uint32_t i = 0; !found && i < mr_model_count; i++)
        found = visit_method(&mr_models[i]->state, visit, context);
    for (uint32_t i = 0; !found && i < mr_policy_count; i++)
        found = visit_method(&mr_policies[i]->state, visit, context);
    for (uint32_t i = 0; !found && i < mr_rule_count; i++)
        found = visit_method(&mr_rules[i]->state, visit, context);
}

typedef struct search {
    const char *name;
    uint16_t code;
    char *text;
} search;

static bool is_named(void *context, const char *name, uint16_t code)
{
    search *s = context;
    if (strcmp(s->name, name) != 0)
        return false;
    s->code = code;
    return true;
}

static bool has_code(void *context, const char *name, uint16_t code)
{
    const search *s = context;
    if (s->code != code)
        return false;
    memcpy(s->text, name, strlen(name) + 1);
    return true;
}

uint16_t mr_inspect_family_code(const char *name)
{
    search s = {.name = name};
    visit_families(is_named, &s);
    return s.code;
}

const char *mr_inspect_family_name(uint16_t code, char *text)
{
    search s = {.code = code, .text = text};
    if (code == 0)
        return "own";
    snprintf(text, MR_INSPECT_FAMILY_BYTES, "family %04x", code);
    visit_families(has_code, &s);
    return text;
}

// ---- keys

mr_bytes mr_inspect_part_key(char kind, uint16_t code, uint64_t name,
                             uint8_t key[MR_INSPECT_ITEM_KEY_BYTES])
{
    key[0] = (uint8_t)kind;
    mr_put_u16_be(key + 1, code);
    mr_put_u64_be(key + 3, name);
    return mr_bytes_of(key, MR_INSPECT_ITEM_KEY_BYTES);
}

static bool is_part_key(mr_bytes key)
{
    return key.size == MR_INSPECT_ITEM_KEY_BYTES &&
           (key.data[0] == MR_ROW_ITEM || key.data[0] == MR_ROW_NAMED);
}

json_t *mr_inspect_key(mr_bytes key)
{
    char text[600], id[560], family[MR_INSPECT_FAMILY_BYTES];
    const mr_bytes rest = mr_bytes_of(key.data + 1, key.size - 1);
    if (key.data[0] == MR_ROW_USER)
        snprintf(text, sizeof text, "user %s", mr_row_print_key(rest, id, sizeof id));
    else if (is_part_key(key))
        snprintf(text, sizeof text, "%s of %016llx",
                 mr_inspect_family_name((uint16_t)(key.data[1] << 8 | key.data[2]), family),
                 (unsigned long long)mr_get_u64_be(key.data + 3));
    else if (key.data[0] == MR_ROW_TASK && key.size == 1)
        snprintf(text, sizeof text, "task");
    else if (key.data[0] == MR_ROW_RECENT && key.size == 9)
        snprintf(text, sizeof text, "recent events, chunk %llu",
                 (unsigned long long)mr_get_u64_be(key.data + 1));
    else if (key.data[0] == MR_ROW_PENDING && key.size == 9)
        snprintf(text, sizeof text, "pending item ids, page %llu",
                 (unsigned long long)mr_get_u64_be(key.data + 1));
    else
        snprintf(text, sizeof text, "unknown: %s", mr_row_print_key(key, id, sizeof id));
    return json_string(text);
}

// ---- payloads

static mr_status read_own_part(mr_bytes bytes, mr_user *user, mr_error *err)
{
    const uint32_t head = (uint32_t)offsetof(mr_user, recent);
    if (bytes.size < head || bytes.size > sizeof *user)
        return mr_fail(err, MR_FATAL, "own part of %u bytes: want %u to %zu", bytes.size, head,
                       sizeof *user);
    *user = (mr_user){0};
    memcpy(user, bytes.data, bytes.size);
    if (user->recent_count != (bytes.size - head) / sizeof(mr_recent))
        return mr_fail(err, MR_FATAL, "own part of %u bytes holds %u recent events", bytes.size,
                       user->recent_count);
    return MR_OK;
}

mr_status mr_inspect_read_user(mr_bytes payload, mr_inspect_user *out, mr_error *err)
{
    uint16_t count = 0;
    uint32_t at = 4;
    bool own = false;
    out->part_count = 0;
    if (payload.size >= 4)
        memcpy(&count, payload.data, 2);
    for (uint32_t i = 0; i < count && payload.size >= at + USER_PART_HEADER; i++) {
        mr_inspect_part part = {.version = payload.data[at + 2]};
        uint32_t size;
        memcpy(&part.code, payload.data + at, 2);
        memcpy(&size, payload.data + at + 4, 4);
        at += USER_PART_HEADER;
        if (size > payload.size - at)
            return mr_fail(err, MR_FATAL, "part %u of %u bytes reaches beyond the row", i, size);
        part.bytes = mr_bytes_of(payload.data + at, size);
        at += size;
        if (part.code == 0) {
            MR_TRY(read_own_part(part.bytes, &out->user, err));
            own = true;
        } else if (out->part_count < MR_INSPECT_PARTS_MAX) {
            out->parts[out->part_count++] = part;
        }
    }
    return own && at == payload.size
               ? MR_OK
               : mr_fail(err, MR_FATAL, "the directory of %u parts does not fit %u bytes", count,
                         payload.size);
}

mr_status mr_inspect_read_part(mr_bytes key, mr_bytes payload, mr_inspect_part *out, mr_error *err)
{
    if (!is_part_key(key) || payload.size < PART_HEADER)
        return mr_fail(err, MR_FATAL, "key of %u and payload of %u bytes are no part's", key.size,
                       payload.size);
    *out = (mr_inspect_part){
        .code = (uint16_t)(key.data[1] << 8 | key.data[2]),
        .version = payload.data[0],
        .bytes = mr_bytes_of(payload.data + PART_HEADER, payload.size - PART_HEADER),
    };
    return MR_OK;
}

mr_status mr_inspect_read_item(mr_bytes key, mr_bytes payload, mr_inspect_item *out, mr_error *err)
{
    mr_inspect_part part = {.code = 0};
    const uint32_t head = (uint32_t)offsetof(mr_item, id);
    MR_TRY(mr_inspect_read_part(key, payload, &part, err));
    if (part.bytes.size < head)
        return mr_fail(err, MR_FATAL, "an item of %u bytes: want %u and more", part.bytes.size,
                       head);
    memcpy(&out->item, part.bytes.data, head);
    if (out->item.id_size != part.bytes.size - head)
        return mr_fail(err, MR_FATAL, "an item's id of %u bytes in %u", out->item.id_size,
                       part.bytes.size - head);
    out->id = mr_bytes_of(part.bytes.data + head, out->item.id_size);
    return MR_OK;
}

mr_status mr_inspect_read_task(mr_bytes payload, mr_task *out, mr_error *err)
{
    *out = (mr_task){0};
    return mr_task_decode(out, payload, err);
}

// ---- parts of methods

// A vector of floats, then AdaGrad's sum of squares and the number of steps.
static void describe_vector(json_t *object, mr_bytes bytes, const mr_inspect_names *names)
{
    (void)names;
    double squares = 0;
    float value = 0;
    for (uint32_t at = 0; at + 12 <= bytes.size; at += 4) {
        memcpy(&value, bytes.data + at, 4);
        squares += (double)value * (double)value;
    }
    if (bytes.size >= 12)
        memcpy(&value, bytes.data + bytes.size - 4, 4);
    json_object_set_new(object, "floats", json_integer(bytes.size / 4 - 2));
    json_object_set_new(object, "norm", json_real(sqrt(squares)));
    json_object_set_new(object, "steps", json_real((double)value));
}

// Faded counts, each in the units of its own era; the last one never fades.
static void describe_counts(json_t *object, mr_bytes bytes, const mr_inspect_names *names)
{
    (void)names;
    mr_decayed count = {0};
    if (bytes.size >= sizeof count)
        memcpy(&count, bytes.data + bytes.size - sizeof count, sizeof count);
    json_object_set_new(object, "weight", json_real(mr_decayed_raw(&count) / MR_DECAY_UNIT));
}

// Total, era, count, then (item key, count) pairs.
static void describe_neighbours(json_t *object, mr_bytes bytes, const mr_inspect_names *names)
{
    enum { HEAD = 24, CELL = 16 };
    struct {
        uint64_t key;
        int64_t count;
    } best[NEIGHBOURS_SHOWN];
    uint32_t kept = 0;
    const uint32_t cells = bytes.size < HEAD ? 0 : (bytes.size - HEAD) / CELL;
    for (uint32_t i = 0; i < cells; i++) {
        uint64_t key;
        int64_t count;
        memcpy(&key, bytes.data + HEAD + i * CELL, 8);
        memcpy(&count, bytes.data + HEAD + i * CELL + 8, 8);
        uint32_t at = kept < NEIGHBOURS_SHOWN ? kept++ : NEIGHBOURS_SHOWN;
        for (; at > 0 && best[at - 1].count < count; at--)
            if (at < NEIGHBOURS_SHOWN)
                best[at] = best[at - 1];
        if (at < NEIGHBOURS_SHOWN) {
            best[at].key = key;
            best[at].count = count;
        }
    }
    json_object_set_new(object, "neighbours", json_integer(cells));
    json_t *nearest = json_array();
    for (uint32_t i = 0; names->item != NULL && i < kept; i++)
        json_array_append_new(nearest, names->item(names->context, best[i].key));
    json_object_set_new(object, "most", nearest);
}

void mr_inspect_describe(json_t *object, const mr_inspect_part *part, const mr_inspect_names *names)
{
    static const struct {
        const char *name;
        uint8_t version;
        void (*describe)(json_t *object, mr_bytes bytes, const mr_inspect_names *names);
    } known[] = {
        {"embedding.item", 1, describe_vector},
        {"embedding.user", 1, describe_vector},
        {"popularity.counts", 1, describe_counts},
        {"covisit.neighbours", 1, describe_neighbours},
    };
    char text[MR_INSPECT_FAMILY_BYTES];
    const char *const name = mr_inspect_family_name(part->code, text);
    json_object_set_new(object, "part", json_string(name));
    json_object_set_new(object, "version", json_integer(part->version));
    json_object_set_new(object, "bytes", json_integer(part->bytes.size));
    for (uint32_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0 && known[i].version == part->version)
            known[i].describe(object, part->bytes, names);
}
