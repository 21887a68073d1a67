// SPDX-License-Identifier: Apache-2.0
// What fastavro made of schemas and records (tests/data/avro/make_vectors.py) is what we make of
// them. It is the oracle where avro-c is none: aliases, defaults, symbols, logical types,
// fingerprints.
#include "kit.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "schemas/canonical.h"

static json_t *vectors;

static int read_vectors(void **state)
{
    json_error_t err;
    (void)state;
    vectors = json_load_file("tests/data/avro/vectors.json", 0, &err);
    if (vectors == NULL)
        print_error("%s:%d: %s\n", err.source, err.line, err.text);
    return vectors == NULL;
}

static int drop_vectors(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

static void canonical_forms_and_fingerprints_are_fastavros(void **state)
{
    static char text[65536];
    size_t i;
    json_t *vector;
    (void)state;
    const json_t *list = json_object_get(vectors, "fingerprints");
    assert_true(json_array_size(list) > 20);
    json_array_foreach(list, i, vector)
    {
        const char *json = json_string_value(json_object_get(vector, "schema"));
        const char *canonical = json_string_value(json_object_get(vector, "canonical"));
        const char *want = json_string_value(json_object_get(vector, "fingerprint"));
        mr_schema *schema;
        mr_error err;
        char hex[17];
        if (mr_schema_open(json, strlen(json), &schema, &err) != MR_OK)
            fail_msg("%s: %s", json, err.text);
        assert_int_equal(mr_canonical_text(schema, text, sizeof text), strlen(canonical));
        assert_string_equal(text, canonical);
        // fastavro prints the bytes as they stand in a record: the lowest first.
        snprintf(hex, sizeof hex, "%016llx",
                 (unsigned long long)__builtin_bswap64(mr_fingerprint(schema)));
        assert_string_equal(hex, want);
        mr_schema_close(schema);
    }
}

static void check_text(const char *says, mr_bytes have, const json_t *want)
{
    const mr_bytes text = mr_bytes_of(json_string_value(want), json_string_length(want));
    if (!mr_bytes_equal(have, text))
        fail_msg("%s want '%s', have '%.*s'", says, json_string_value(want), (int)have.size,
                 (const char *)have.data);
}

static void check_number(const char *says, double have, const json_t *want)
{
    if (have != json_number_value(want))
        fail_msg("%s want %.17g, have %.17g", says, json_number_value(want), have);
}

static void check_lines(const char *says, const mr_event *event, const json_t *want)
{
    assert_int_equal(event->line_count, json_array_size(want));
    for (uint32_t i = 0; i < event->line_count; i++) {
        const mr_line *line = event->lines + i;
        const json_t *entry = json_array_get(want, i);
        const json_t *quantity = json_object_get(entry, "quantity");
        const json_t *price = json_object_get(entry, "price");
        const json_t *propensity = json_object_get(entry, "propensity");
        check_text(says, line->item, json_object_get(entry, "item"));
        assert_true(line->quantity == (json_is_number(quantity) ? json_number_value(quantity) : 1));
        assert_true(line->price == (json_is_number(price) ? json_number_value(price) : 0));
        if (json_is_number(propensity))
            check_number(says, line->propensity, propensity);
        else
            assert_true(isnan(line->propensity));
    }
}

static void check_context(const char *says, const mr_event *event, const json_t *want)
{
    assert_int_equal(event->context_count, json_object_size(want));
    for (uint32_t i = 0; i < event->context_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)event->context[i].name.size,
                 (const char *)event->context[i].name.data);
        check_text(says, event->context[i].value, json_object_get(want, name));
    }
}

static void check_lists(const char *says, const mr_event *event, mr_field field, const json_t *want)
{
    if (field == MR_FIELD_lines) {
        check_lines(says, event, want);
    } else if (field == MR_FIELD_context) {
        check_context(says, event, want);
    } else if (field == MR_FIELD_categories) {
        assert_int_equal(event->category_count, json_array_size(want));
        for (uint32_t i = 0; i < event->category_count; i++)
            check_text(says, event->categories[i], json_array_get(want, i));
    } else {
        assert_int_equal(event->vector_count, json_array_size(want));
        for (uint32_t i = 0; i < event->vector_count; i++)
            check_number(says, (double)event->vector[i], json_array_get(want, i));
    }
}

static mr_bytes text_of(const mr_event *event, mr_field field)
{
    switch ((uint32_t)field) {
    case MR_FIELD_user:
        return event->user;
    case MR_FIELD_item:
        return event->item;
    case MR_FIELD_event_id:
        return event->event_id;
    case MR_FIELD_session:
        return event->session;
    case MR_FIELD_list:
        return event->list;
    case MR_FIELD_query:
        return event->query;
    case MR_FIELD_action:
        return event->action;
    case MR_FIELD_target:
        return event->target;
    default:
        return event->title;
    }
}

static double number_of(const mr_event *event, mr_field field)
{
    switch ((uint32_t)field) {
    case MR_FIELD_time:
        return (double)event->time_ms;
    case MR_FIELD_list_version:
        return (double)event->list_version;
    case MR_FIELD_position:
        return (double)event->position;
    case MR_FIELD_propensity:
        return event->propensity;
    case MR_FIELD_value:
        return event->value;
    case MR_FIELD_price:
        return event->price;
    default:
        return event->quantity;
    }
}

// Without a field in the record the engine acts as if it had the default of our schema.
static bool is_default(const json_t *want)
{
    return json_is_null(want) || json_is_true(want) ||
           (json_is_object(want) && json_object_size(want) == 0) ||
           (json_is_array(want) && json_array_size(want) == 0) ||
           (json_is_real(want) && json_real_value(want) == 1);
}

static void check_field(const char *says, const mr_event *event, const char *name,
                        const json_t *want)
{
    const mr_field field =
        strcmp(name, "slate") == 0 ? MR_FIELD_lines : mr_field_of(mr_bytes_text(name));
    assert_int_not_equal(field, MR_FIELD_COUNT);
    if (!mr_event_has(event, field)) {
        if (!is_default(want))
            fail_msg("%s '%s' is absent", says, name);
    } else if (json_is_array(want) || json_is_object(want)) {
        check_lists(says, event, field, want);
    } else if (json_is_string(want)) {
        check_text(says, text_of(event, field), want);
    } else if (json_is_number(want)) {
        check_number(says, number_of(event, field), want);
    } else {
        assert_true(json_is_boolean(want) && event->available == json_is_true(want));
    }
}

static void put_hex(kit *k, const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        const char pair[3] = {hex[0], hex[1], '\0'};
        mr_put_byte(&k->out, (uint8_t)strtoul(pair, NULL, 16));
    }
}

static void check_record(const json_t *vector)
{
    mr_mapping_entry entries[8];
    const char *says = json_string_value(json_object_get(vector, "says"));
    const char *kind = json_string_value(json_object_get(vector, "kind"));
    char *schema = json_dumps(json_object_get(vector, "schema"), 0);
    mr_mapping mapping = {.kind = mr_event_kind_of(mr_bytes_text(kind)), .entries = entries};
    const char *name;
    json_t *value;
    kit *k = kit_new();
    json_object_foreach(json_object_get(vector, "mapping"), name, value)
    {
        mr_mapping_entry *entry = entries + mapping.entry_count++;
        assert_int_equal(mr_mapping_key(mr_bytes_text(name), entry, &k->err), MR_OK);
        entry->path = json_string_value(json_object_get(value, "path"));
        entry->unit = json_object_get(value, "unit") != NULL ? MR_TIME_SECONDS : MR_TIME_AUTO;
    }
    kit_plan(k, schema, mapping);
    put_hex(k, json_string_value(json_object_get(vector, "bytes")));
    if (kit_decode(k) != MR_OK)
        fail_msg("%s: %s", says, k->err.text);
    json_object_foreach(json_object_get(vector, "expect"), name, value)
        check_field(says, &k->event, name, value);
    // What the record had, the event has: nothing is filled that is not expected.
    for (uint32_t i = 0; i < MR_FIELD_COUNT; i++) {
        const char *own = i == MR_FIELD_lines && mapping.kind == MR_EVENT_IMPRESSION
                              ? "slate"
                              : mr_field_name((mr_field)i);
        if (mr_event_has(&k->event, (mr_field)i))
            assert_non_null(json_object_get(json_object_get(vector, "expect"), own));
    }
    free(schema);
    kit_free(k);
}

static void records_read_as_fastavro_reads_them(void **state)
{
    size_t i;
    json_t *vector;
    (void)state;
    assert_true(json_array_size(json_object_get(vectors, "records")) >= 20);
    json_array_foreach(json_object_get(vectors, "records"), i, vector) check_record(vector);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_forms_and_fingerprints_are_fastavros),
        cmocka_unit_test(records_read_as_fastavro_reads_them),
    };
    return cmocka_run_group_tests(tests, read_vectors, drop_vectors);
}
