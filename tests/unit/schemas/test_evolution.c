// SPDX-License-Identifier: Apache-2.0
// The resolution of a writer's schema against what an event takes, case by case: Apache Avro 1.12,
// "Schema Resolution". The reader is the type that our own schema gives the field.
//
// Each case says what the specification wants, and how avro-c does it: the same; refused although
// it is right (WRONG, and then the specification alone decides); or not asked. Where we take more
// than the specification (an id that is a number, a branch of a union that does not fit), the case
// is MORE, and avro-c has to refuse it, so that the list of these is complete.
#include "kit.h"

#include <avro.h>
#include <stdio.h>

typedef enum avro_c { SAME, WRONG, MORE } avro_c;

typedef struct evolution {
    const char *says;
    const char *writer; // type of the field
    const char *bytes;  // of its value, in hexadecimal
    mr_field field;
    const char *reader; // the same in our schema
    const char *want;   // as a text; NULL: refused; "-": the event does not have it
    avro_c avro_c;
} evolution;

#define LONG MR_FIELD_list_version, "\"long\""
#define DOUBLE MR_FIELD_price, "\"double\""
#define STRING MR_FIELD_session, "\"string\""
#define OPTIONAL MR_FIELD_session, "[\"null\",\"string\"]"
#define BOOLEAN MR_FIELD_available, "\"boolean\""

static const evolution cases[] = {
    // promotions
    {"int stays", "\"int\"", "53", LONG, "-42", SAME},
    {"int becomes long", "\"int\"", "feffffff0f", LONG, "2147483647", SAME},
    {"int becomes double", "\"int\"", "53", DOUBLE, "-42", SAME},
    {"long stays", "\"long\"", "ffffffffffffffffff01", LONG, "-9223372036854775808", SAME},
    {"long becomes double", "\"long\"", "54", DOUBLE, "42", SAME},
    {"float becomes double", "\"float\"", "0000c03f", DOUBLE, "1.5", SAME},
    {"double stays", "\"double\"", "000000000000f83f", DOUBLE, "1.5", SAME},
    {"string stays", "\"string\"", "04c3a9", STRING, "\xc3\xa9", SAME},
    {"bytes become string", "\"bytes\"", "046162", STRING, "ab", WRONG},
    {"boolean stays", "\"boolean\"", "01", BOOLEAN, "true", SAME},
    // what is no promotion
    {"double does not become long", "\"double\"", "000000000000f83f", LONG, NULL, SAME},
    {"float does not become long", "\"float\"", "0000c03f", LONG, NULL, SAME},
    {"string does not become long", "\"string\"", "0231", LONG, NULL, SAME},
    {"boolean does not become long", "\"boolean\"", "01", LONG, NULL, SAME},
    {"string does not become double", "\"string\"", "0231", DOUBLE, NULL, SAME},
    {"boolean does not become double", "\"boolean\"", "01", DOUBLE, NULL, SAME},
    {"double does not become string", "\"double\"", "000000000000f83f", STRING, NULL, SAME},
    {"float does not become string", "\"float\"", "0000c03f", STRING, NULL, SAME},
    {"string does not become boolean", "\"string\"", "0231", BOOLEAN, NULL, SAME},
    {"double does not become boolean", "\"double\"", "000000000000f83f", BOOLEAN, NULL, SAME},
    {"an array does not become string", "{\"type\":\"array\",\"items\":\"string\"}", "00", STRING,
     NULL, SAME},
    {"a map does not become string", "{\"type\":\"map\",\"values\":\"string\"}", "00", STRING, NULL,
     SAME},
    {"a record does not become string", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}", "",
     STRING, NULL, SAME},
    {"what is always null is not there", "\"null\"", "", LONG, "-", MORE},
    // ids that are no strings, and numbers that say yes or no: more than the specification
    {"int is an id", "\"int\"", "54", STRING, "42", MORE},
    {"long is an id", "\"long\"", "54", STRING, "42", MORE},
    {"boolean is a text", "\"boolean\"", "00", STRING, "false", MORE},
    {"fixed is an id", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "6162", STRING, "ab",
     MORE},
    {"an enum is its symbol, by name",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "02", STRING, "B", MORE},
    {"a number says yes or no", "\"long\"", "02", BOOLEAN, "true", MORE},
    // unions
    {"a union of the writer, the branch fits", "[\"null\",\"long\"]", "0254", LONG, "42", SAME},
    {"a union in another order", "[\"long\",\"null\"]", "0054", LONG, "42", SAME},
    {"a branch that is promoted", "[\"null\",\"int\"]", "0254", DOUBLE, "42", SAME},
    {"several branches, the first", "[\"int\",\"float\",\"double\"]", "0054", DOUBLE, "42", SAME},
    {"several branches, the last", "[\"int\",\"float\",\"double\"]", "04000000000000f83f", DOUBLE,
     "1.5", SAME},
    {"a branch that is bytes", "[\"null\",\"bytes\"]", "02046162", STRING, "ab", WRONG},
    {"a union of the reader, the writer has none", "\"string\"", "046162", OPTIONAL, "ab", SAME},
    {"unions on both sides", "[\"null\",\"string\"]", "02046162", OPTIONAL, "ab", SAME},
    {"unions on both sides, in another order", "[\"string\",\"null\"]", "00046162", OPTIONAL, "ab",
     SAME},
    {"null on both sides", "[\"string\",\"null\"]", "02", OPTIONAL, "-", SAME},
    {"the writer is null alone", "\"null\"", "", OPTIONAL, "-", SAME},
    {"a union of one branch", "[\"string\"]", "00046162", STRING, "ab", SAME},
    {"no branch fits", "[\"boolean\",\"double\"]", "0001", STRING, "true", MORE},
    {"no branch fits at all", "[\"float\",\"double\"]", "000000c03f", STRING, NULL, SAME},
    {"a branch that does not fit is absent", "[\"null\",\"string\",\"double\"]",
     "04000000000000f83f", STRING, "-", MORE},
};

static mr_event_kind kind_of(const evolution *e)
{
    return e->field == MR_FIELD_available ? MR_EVENT_CATALOGUE : MR_EVENT_CLICK;
}

static size_t bytes_of(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    for (unsigned value; hex[2 * size] != '\0' && hex[2 * size + 1] != '\0'; size++) {
        assert_int_equal(sscanf(hex + 2 * size, "%2x", &value), 1);
        bytes[size] = (uint8_t)value;
    }
    return size;
}

static void text_of(const mr_event *event, mr_field field, char text[64])
{
    if (!mr_event_has(event, field))
        snprintf(text, 64, "-");
    else if (field == MR_FIELD_list_version)
        snprintf(text, 64, "%lld", (long long)event->list_version);
    else if (field == MR_FIELD_price)
        snprintf(text, 64, "%g", event->price);
    else if (field == MR_FIELD_available)
        snprintf(text, 64, "%s", event->available ? "true" : "false");
    else
        snprintf(text, 64, "%.*s", (int)event->session.size, (const char *)event->session.data);
}

static void check_ours(const evolution *e, const uint8_t *bytes, size_t size)
{
    char schema[512], text[64];
    const mr_mapping_entry entry = {.field = e->field, .path = "f"};
    const mr_mapping mapping = {
        .kind = kind_of(e), .entries = &entry, .entry_count = 1, .given = UINT32_MAX};
    kit *k = kit_new();
    snprintf(schema, sizeof schema,
             "{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}",
             e->writer);
    const mr_status status = mr_plan_compile(schema, strlen(schema), &mapping, &k->plan, &k->err);
    if ((status != MR_OK) != (e->want == NULL))
        fail_msg("%s: %s", e->says, status != MR_OK ? k->err.text : "was taken");
    if (status == MR_OK) {
        k->event.scratch = malloc(mr_plan_scratch_bytes(k->plan) + 1);
        if (mr_plan_decode(k->plan, bytes, size, &k->event, &k->err) != MR_OK)
            fail_msg("%s: %s", e->says, k->err.text);
        text_of(&k->event, e->field, text);
        if (strcmp(text, e->want) != 0)
            fail_msg("%s: want %s, have %s", e->says, e->want, text);
    }
    kit_free(k);
}

// ---- the same by avro-c

static void text_of_avro(avro_value_t *value, char text[64])
{
    avro_value_t branch;
    const char *string;
    size_t size;
    int64_t whole;
    double real;
    int yes;
    switch (avro_value_get_type(value)) {
    case AVRO_UNION:
        assert_int_equal(avro_value_get_current_branch(value, &branch), 0);
        text_of_avro(&branch, text);
        break;
    case AVRO_INT64:
        assert_int_equal(avro_value_get_long(value, &whole), 0);
        snprintf(text, 64, "%lld", (long long)whole);
        break;
    case AVRO_DOUBLE:
        assert_int_equal(avro_value_get_double(value, &real), 0);
        snprintf(text, 64, "%g", real);
        break;
    case AVRO_BOOLEAN:
        assert_int_equal(avro_value_get_boolean(value, &yes), 0);
        snprintf(text, 64, "%s", yes ? "true" : "false");
        break;
    case AVRO_STRING:
        assert_int_equal(avro_value_get_string(value, &string, &size), 0);
        snprintf(text, 64, "%s", string);
        break;
    default:
        snprintf(text, 64, "-");
        break;
    }
}

// Whether avro-c resolves the types and reads the value, and what it reads.
static bool read_by_avro_c(const evolution *e, const uint8_t *bytes, size_t size, char text[64])
{
    avro_schema_t writer = NULL, reader = NULL;
    avro_value_t resolved, value;
    bool good = false;
    assert_int_equal(avro_schema_from_json_length(e->writer, strlen(e->writer), &writer), 0);
    assert_int_equal(avro_schema_from_json_length(e->reader, strlen(e->reader), &reader), 0);
    avro_value_iface_t *iface = avro_resolved_writer_new(writer, reader);
    if (iface != NULL) {
        avro_value_iface_t *generic = avro_generic_class_from_schema(reader);
        avro_reader_t from = avro_reader_memory((const char *)bytes, (int64_t)size);
        assert_int_equal(avro_generic_value_new(generic, &value), 0);
        assert_int_equal(avro_resolved_writer_new_value(iface, &resolved), 0);
        avro_resolved_writer_set_dest(&resolved, &value);
        good = avro_value_read(from, &resolved) == 0;
        if (good)
            text_of_avro(&value, text);
        avro_value_decref(&resolved);
        avro_value_decref(&value);
        avro_reader_free(from);
        avro_value_iface_decref(generic);
        avro_value_iface_decref(iface);
    }
    avro_schema_decref(writer);
    avro_schema_decref(reader);
    return good;
}

static void check_avro_c(const evolution *e, const uint8_t *bytes, size_t size)
{
    char text[64] = "";
    const bool good = read_by_avro_c(e, bytes, size, text);
    if (e->avro_c == SAME && good != (e->want != NULL))
        fail_msg("%s: avro-c %s", e->says, good ? "takes it" : avro_strerror());
    if (e->avro_c == SAME && good && strcmp(text, e->want) != 0)
        fail_msg("%s: avro-c reads %s", e->says, text);
    if (e->avro_c == MORE && good)
        fail_msg("%s: avro-c takes it too: %s", e->says, text);
    // If avro-c were mended, the case would have it for an oracle again.
    if (e->avro_c == WRONG && good)
        fail_msg("%s: avro-c reads it after all: %s", e->says, text);
}

static void every_case_of_resolution_is_the_specifications(void **state)
{
    uint8_t bytes[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t size = bytes_of(cases[i].bytes, bytes);
        check_ours(&cases[i], bytes, size);
        check_avro_c(&cases[i], bytes, size);
    }
}

// ---- records: avro-c knows neither defaults nor aliases, so that the specification decides alone

typedef struct layout {
    const char *says;
    const char *fields; // of the writer
    const char *bytes;
    const char *user, *item, *session; // NULL: the schema is refused; "-": absent
} layout;

static const layout layouts[] = {
    {"fields match by name, in any order",
     "{\"name\":\"item\",\"type\":\"string\"},{\"name\":\"user\",\"type\":\"string\"}", "02690275",
     "u", "i", "-"},
    {"a field that the reader does not know is passed over",
     "{\"name\":\"x\",\"type\":{\"type\":\"array\",\"items\":\"long\"}},{\"name\":\"user\","
     "\"type\":"
     "\"string\"},{\"name\":\"item\",\"type\":\"string\"}",
     "0402040002750269", "u", "i", "-"},
    {"a field with a default may be missing, and is",
     "{\"name\":\"user\",\"type\":\"string\"},{\"name\":\"item\",\"type\":\"string\"}", "02750269",
     "u", "i", "-"},
    {"a field without a default may not", "{\"name\":\"user\",\"type\":\"string\"}", "0275", NULL,
     NULL, NULL},
    {"an alias of the reader finds the writer's name",
     "{\"name\":\"userId\",\"type\":\"string\"},{\"name\":\"item_id\",\"type\":\"string\"},{"
     "\"name\":"
     "\"sessionId\",\"type\":\"string\"}",
     "027502690273", "u", "i", "s"},
    {"the name goes before the alias",
     "{\"name\":\"user_id\",\"type\":\"string\"},{\"name\":\"user\",\"type\":\"string\"},{\"name\":"
     "\"item\",\"type\":\"string\"}",
     "027802750269", "u", "i", "-"},
    {"an alias of the writer counts too",
     "{\"name\":\"a\",\"aliases\":[\"user\"],\"type\":\"string\"},{\"name\":\"b\",\"aliases\":["
     "\"item\"],"
     "\"type\":\"string\"}",
     "02750269", "u", "i", "-"},
    {"names of records do not have to match",
     "{\"name\":\"user\",\"type\":[\"null\",\"string\"]},{\"name\":\"item\",\"type\":[\"string\","
     "\"null\"]},{\"name\":\"session\",\"type\":[\"null\",\"string\"]}",
     "02027500026900", "u", "i", "-"},
    {"an optional field that is null is absent",
     "{\"name\":\"user\",\"type\":\"string\"},{\"name\":\"item\",\"type\":\"string\"},{\"name\":"
     "\"session\",\"type\":[\"null\",\"string\"]}",
     "0275026900", "u", "i", "-"},
};

static void check_text(const char *says, const mr_event *event, mr_field field, mr_bytes have,
                       const char *want)
{
    const bool has = mr_event_has(event, field);
    if (strcmp(want, "-") == 0 ? has : !has || !mr_bytes_equal(have, mr_bytes_text(want)))
        fail_msg("%s: %s: want %s, have %.*s", says, mr_field_name(field), want,
                 has ? (int)have.size : 1, has ? (const char *)have.data : "-");
}

static void check_layout(const layout *l)
{
    char schema[512];
    uint8_t bytes[64];
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK};
    kit *k = kit_new();
    const size_t size = bytes_of(l->bytes, bytes);
    snprintf(schema, sizeof schema, "{\"type\":\"record\",\"name\":\"some.Other\",\"fields\":[%s]}",
             l->fields);
    const mr_status status = mr_plan_compile(schema, strlen(schema), &mapping, &k->plan, &k->err);
    if ((status != MR_OK) != (l->user == NULL))
        fail_msg("%s: %s", l->says, status != MR_OK ? k->err.text : "was taken");
    if (status == MR_OK) {
        if (mr_plan_decode(k->plan, bytes, size, &k->event, &k->err) != MR_OK)
            fail_msg("%s: %s", l->says, k->err.text);
        check_text(l->says, &k->event, MR_FIELD_user, k->event.user, l->user);
        check_text(l->says, &k->event, MR_FIELD_item, k->event.item, l->item);
        check_text(l->says, &k->event, MR_FIELD_session, k->event.session, l->session);
    }
    kit_free(k);
}

static void records_are_matched_by_names_aliases_and_defaults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        check_layout(&layouts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_resolution_is_the_specifications),
        cmocka_unit_test(records_are_matched_by_names_aliases_and_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
