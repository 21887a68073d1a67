// SPDX-License-Identifier: Apache-2.0
// Well-known shapes of records, each plugged in by a configuration alone: for each name below
// tests/data/foreign-schemas/ has NAME.yaml, and NAME.json with records and the events that they
// are (none: left out), and where the records are Avro NAME.avsc.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/schema.h"
#include "schemas/writer.h"
#include "worker/decoder.h"

#define DATA "tests/data/foreign-schemas"

enum { VALUE_BYTES_MAX = 1 << 16, ARENA_BYTES = 1 << 20, EVENTS_MAX = 256, HEADERS_MAX = 16 };

typedef struct shape {
    const char *name;
    json_t *cases;
    mr_config *config;
    mr_catalog *catalog;
    mr_decoder *decoder;
    mr_schema *schema; // NULL: JSON
    mr_arena arena;
    mr_arrival *arrivals;
    uint8_t value[VALUE_BYTES_MAX];
    mr_header headers[HEADERS_MAX];
    uint32_t header_count;
} shape;

// ---- writing records

static void put_avro(const mr_schema *schema, uint32_t type_index, const json_t *value,
                     mr_writer *out);

static bool is_of(const mr_schema_type *type, const json_t *value)
{
    return (type->avro == MR_AVRO_NULL) == json_is_null(value);
}

// Bytes stand in JSON as characters up to U+00FF, as in Avro's own encoding of defaults.
static uint32_t bytes_of(const json_t *value, uint8_t *bytes)
{
    uint32_t size = 0;
    for (const char *c = json_string_value(value); *c != '\0'; c++) {
        uint8_t byte = (uint8_t)*c;
        if (byte >= 0xc2)
            byte = (uint8_t)((byte & 3) << 6 | ((uint8_t) * ++c & 0x3f));
        bytes[size++] = byte;
    }
    return size;
}

static void put_union(const mr_schema *schema, const mr_schema_type *type, const json_t *value,
                      mr_writer *out)
{
    for (uint32_t i = 0; i < type->part_count; i++) {
        const uint32_t branch = schema->parts[type->part_first + i].type;
        if (!is_of(schema->types + branch, value))
            continue;
        mr_put_long(out, i);
        put_avro(schema, branch, value, out);
        return;
    }
    fail_msg("no branch for a value");
}

static void put_avro(const mr_schema *schema, uint32_t type_index, const json_t *value,
                     mr_writer *out)
{
    const mr_schema_type *type = schema->types + type_index;
    uint8_t bytes[256];
    uint32_t size;
    switch (type->avro) {
    case MR_AVRO_NULL:
        break;
    case MR_AVRO_INT:
    case MR_AVRO_LONG:
        mr_put_long(out, json_integer_value(value));
        break;
    case MR_AVRO_DOUBLE:
        mr_put_double(out, json_number_value(value));
        break;
    case MR_AVRO_STRING:
        mr_put_text(out, json_string_value(value));
        break;
    case MR_AVRO_BYTES:
        size = bytes_of(value, bytes);
        mr_put_long(out, size);
        mr_put_raw(out, bytes, size);
        break;
    case MR_AVRO_FIXED:
        assert_int_equal(bytes_of(value, bytes), type->size);
        mr_put_raw(out, bytes, type->size);
        break;
    case MR_AVRO_UNION:
        put_union(schema, type, value, out);
        break;
    case MR_AVRO_RECORD:
        for (uint32_t i = 0; i < type->part_count; i++) {
            const mr_schema_part *field = schema->parts + type->part_first + i;
            const json_t *member = json_object_get(value, field->name);
            if (member == NULL)
                fail_msg("the record has no '%s'", field->name);
            put_avro(schema, field->type, member, out);
        }
        break;
    default:
        fail_msg("a type that the shapes do not use");
    }
}

static mr_bytes write_value(shape *s, const json_t *record)
{
    mr_writer out = mr_writer_make(s->value, sizeof s->value);
    const json_t *value = json_object_get(record, "value");
    if (json_is_true(json_object_get(record, "framed")))
        mr_put_raw(&out, "\0\0\0\0\7", 5);
    if (json_object_get(record, "text") != NULL) {
        const char *text = json_string_value(json_object_get(record, "text"));
        mr_put_raw(&out, text, strlen(text));
    } else if (s->schema != NULL) {
        put_avro(s->schema, s->schema->root, value, &out);
    } else {
        char *text = json_dumps(value, JSON_COMPACT);
        mr_put_raw(&out, text, strlen(text));
        free(text);
    }
    assert_false(out.full);
    return mr_bytes_of(s->value, out.size);
}

// ---- reading events

static void set_text(json_t *to, const char *name, mr_bytes text)
{
    json_object_set_new(to, name, json_stringn((const char *)text.data, text.size));
}

static json_t *lines_of(const mr_event *event)
{
    json_t *lines = json_array();
    for (uint32_t i = 0; i < event->line_count; i++) {
        json_t *line = json_object();
        set_text(line, "item", event->lines[i].item);
        json_object_set_new(line, "quantity", json_real(event->lines[i].quantity));
        json_object_set_new(line, "price", json_real(event->lines[i].price));
        json_array_append_new(lines, line);
    }
    return lines;
}

static json_t *context_of(const mr_event *event)
{
    json_t *context = json_object();
    for (uint32_t i = 0; i < event->context_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)event->context[i].name.size,
                 (const char *)event->context[i].name.data);
        set_text(context, name, event->context[i].value);
    }
    return context;
}

static json_t *json_of(const mr_event *event)
{
    const mr_bytes *texts[MR_FIELD_COUNT] = {
        [MR_FIELD_user] = &event->user,         [MR_FIELD_item] = &event->item,
        [MR_FIELD_event_id] = &event->event_id, [MR_FIELD_session] = &event->session,
        [MR_FIELD_list] = &event->list,         [MR_FIELD_query] = &event->query,
        [MR_FIELD_action] = &event->action,     [MR_FIELD_target] = &event->target,
    };
    const double *numbers[MR_FIELD_COUNT] = {
        [MR_FIELD_price] = &event->price,
        [MR_FIELD_value] = &event->value,
        [MR_FIELD_quantity] = &event->quantity,
        [MR_FIELD_propensity] = &event->propensity,
    };
    json_t *json = json_object();
    json_object_set_new(json, "kind", json_string(mr_event_kind_name(event->kind)));
    for (uint32_t i = 0; i < MR_FIELD_COUNT; i++) {
        const char *const name = mr_field_name((mr_field)i);
        if (!mr_event_has(event, (mr_field)i))
            continue;
        if (texts[i] != NULL)
            set_text(json, name, *texts[i]);
        else if (numbers[i] != NULL)
            json_object_set_new(json, name, json_real(*numbers[i]));
        else if (i == MR_FIELD_time)
            json_object_set_new(json, name, json_integer(event->time_ms));
        else if (i == MR_FIELD_position)
            json_object_set_new(json, name, json_integer(event->position));
        else if (i == MR_FIELD_lines)
            json_object_set_new(json, name, lines_of(event));
        else if (i == MR_FIELD_context)
            json_object_set_new(json, name, context_of(event));
        else
            json_object_set_new(json, name, json_string("?"));
    }
    return json;
}

static uint32_t give_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    const shape *s = message->handle;
    const uint32_t count = s->header_count < max ? s->header_count : max;
    memcpy(headers, s->headers, count * sizeof *headers);
    return count;
}

static json_t *decode(shape *s, const json_t *record)
{
    mr_error err = {0};
    uint32_t count = 0;
    const json_t *key = json_object_get(record, "key");
    mr_message message = {.value = write_value(s, record),
                          .time_ms = json_integer_value(json_object_get(record, "time")),
                          .handle = s,
                          .headers = give_headers};
    const char *name;
    json_t *value;
    if (key != NULL)
        message.key = mr_bytes_text(json_string_value(key));
    s->header_count = 0;
    json_object_foreach(json_object_get(record, "headers"), name, value)
        s->headers[s->header_count++] = (mr_header){name, mr_bytes_text(json_string_value(value))};
    mr_arena_reset(&s->arena);
    const mr_status status =
        mr_decoder_read(s->decoder, 0, &message, &s->arena, s->arrivals, EVENTS_MAX, &count, &err);
    if (status != MR_OK)
        return json_pack("{ss ss}", "refused", mr_cause_name(err.cause), "says", err.text);
    json_t *events = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(events, json_of(&s->arrivals[i].event));
    return events;
}

// Whether what came out is what was wanted; a number may be written 9 or 9.0.
static bool is_same(const json_t *have, const json_t *want)
{
    const char *name;
    json_t *member;
    if (json_is_number(have) && json_is_number(want))
        return json_number_value(have) == json_number_value(want);
    if (json_is_object(want) && json_object_get(want, "refused") != NULL)
        return json_equal(json_object_get(have, "refused"), json_object_get(want, "refused"));
    if (json_is_object(want) && json_is_object(have)) {
        json_object_foreach((json_t *)(uintptr_t)want, name,
                            member) if (!is_same(json_object_get(have, name), member)) return false;
        return json_object_size(have) == json_object_size(want);
    }
    if (!json_is_array(want) || !json_is_array(have))
        return json_equal(have, want) == 1;
    for (size_t i = 0; i < json_array_size(want); i++)
        if (!is_same(json_array_get(have, i), json_array_get(want, i)))
            return false;
    return json_array_size(have) == json_array_size(want);
}

static void check_record(shape *s, const json_t *record, const json_t *want, size_t index)
{
    json_t *have = decode(s, record);
    if (!is_same(have, want)) {
        char *h = json_dumps(have, JSON_SORT_KEYS), *w = json_dumps(want, JSON_SORT_KEYS);
        fail_msg("%s, record %zu:\nwant %s\nhave %s", s->name, index, w, h);
    }
    json_decref(have);
}

// ---- one shape

static void open_shape(shape *s, const char *name)
{
    char path[256];
    mr_error err = {0};
    json_error_t fault;
    const char *sets[] = {"schemas.directory=" DATA};
    memset(s, 0, sizeof *s);
    s->name = name;
    snprintf(path, sizeof path, DATA "/%s.json", name);
    s->cases = json_load_file(path, 0, &fault);
    if (s->cases == NULL)
        fail_msg("%s:%d: %s", path, fault.line, fault.text);
    snprintf(path, sizeof path, DATA "/%s.yaml", name);
    const mr_config_source source = {.path = path, .sets = sets, .set_count = 1};
    if (mr_config_load(&s->config, &source, &err) != MR_OK ||
        mr_catalog_open(DATA, &s->catalog, &err) != MR_OK ||
        mr_decoder_open(s->config, s->catalog, &s->decoder, &err) != MR_OK)
        fail_msg("%s", err.text);
    if (s->config->inputs[0].format != MR_FORMAT_JSON) {
        const mr_catalog_schema *schema = mr_catalog_find(s->catalog, name);
        assert_non_null(schema);
        assert_int_equal(mr_schema_open(schema->text, schema->text_bytes, &s->schema, &err), MR_OK);
    }
    mr_arena_init(&s->arena, aligned_alloc(MR_ARENA_ALIGN, ARENA_BYTES), ARENA_BYTES);
    s->arrivals = calloc(EVENTS_MAX, sizeof *s->arrivals);
}

static void close_shape(shape *s)
{
    json_decref(s->cases);
    mr_schema_close(s->schema);
    mr_decoder_close(s->decoder);
    mr_catalog_close(s->catalog);
    mr_config_free(s->config);
    free(s->arena.base);
    free(s->arrivals);
}

static void every_shape_is_plugged_in_by_its_configuration(void **state)
{
    static const char *const names[] = {"snowplow", "segment",     "ga4",     "retailrocket",
                                        "debezium", "cloudevents", "shopify", "matomo",
                                        "mixpanel", "plain",       "beacon"};
    static shape s;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_shape(&s, names[i]);
        const json_t *records = json_object_get(s.cases, "records");
        const json_t *events = json_object_get(s.cases, "events");
        assert_int_equal(json_array_size(records), json_array_size(events));
        assert_true(json_array_size(records) > 0);
        for (size_t r = 0; r < json_array_size(records); r++)
            check_record(&s, json_array_get(records, r), json_array_get(events, r), r);
        close_shape(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_plugged_in_by_its_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
