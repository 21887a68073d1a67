// SPDX-License-Identifier: Apache-2.0
// Records that are wrong: each is refused with its cause, the field and the byte, and never more is
// read than there is. What is odd but good Avro is handed on, for core/ingest to judge.
#include "kit.h"

#include <math.h>
#include <stdio.h>

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define USER_ITEM FIELD("user", "\"string\"") "," FIELD("item", "\"string\"")
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"

// Decodes a record whose tail, after user and item, is `size` bytes; from memory of exactly its
// size.
static mr_cause cause_of(kit *k, const char *field, const void *tail, size_t size)
{
    char schema[2048];
    uint8_t *exact;
    snprintf(schema, sizeof schema, RECORD(USER_ITEM "%s%s"), *field != '\0' ? "," : "", field);
    kit_plan(k, schema, (mr_mapping){.kind = MR_EVENT_CLICK});
    k->out.size = 0;
    mr_put_text(&k->out, "u1");
    mr_put_text(&k->out, "i1");
    mr_put_raw(&k->out, tail, size);
    exact = malloc(k->out.size);
    memcpy(exact, k->message, k->out.size);
    const mr_status status = mr_plan_decode(k->plan, exact, k->out.size, &k->event, &k->err);
    free(exact);
    if (status == MR_OK)
        return MR_CAUSE_NONE;
    assert_int_equal(status, MR_REJECT);
    return k->err.cause;
}

static void truncated_records_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("x", "\"double\""), "1234567", 7), MR_CAUSE_truncated);
    assert_contains(k->err.text, "field 'x' before byte 6 of 13");
    assert_int_equal(cause_of(k, FIELD("x", "\"double\""), "12345678", 8), MR_CAUSE_NONE);
    assert_int_equal(cause_of(k, FIELD("x", "\"long\""), "\x80", 1), MR_CAUSE_truncated);
    assert_int_equal(cause_of(k, FIELD("x", "\"boolean\""), "", 0), MR_CAUSE_truncated);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\2\2", 2), MR_CAUSE_truncated);
    assert_int_equal(cause_of(k, FIELD("time", "\"long\""), "", 0), MR_CAUSE_truncated);
    assert_int_equal(cause_of(k, FIELD("value", "\"float\""), "123", 3), MR_CAUSE_truncated);
    kit_free(k);
}

static void the_field_of_a_run_is_named(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(
        cause_of(k, FIELD("a", "\"long\"") "," FIELD("b", "\"int\"") "," FIELD("c", "\"long\""),
                 "\2\4", 2),
        MR_CAUSE_truncated);
    assert_contains(k->err.text, "field 'c'");
    kit_free(k);
}

static void bytes_after_the_record_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, "", "x", 1), MR_CAUSE_trailing_bytes);
    assert_contains(k->err.text, "byte 6 of 7");
    kit_free(k);
}

static void numbers_of_too_many_bytes_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    static const char most[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_int_equal(cause_of(k, FIELD("time", "\"long\""), most, 10), MR_CAUSE_NONE);
    assert_true(k->event.time_ms == INT64_MIN);
    assert_int_equal(
        cause_of(k, FIELD("time", "\"long\""), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10),
        MR_CAUSE_bad_varint);
    assert_int_equal(
        cause_of(k, FIELD("x", "\"long\""), "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11),
        MR_CAUSE_bad_varint);
    // 2^31 - 1 is the greatest int, and a number may be written longer than needed.
    assert_int_equal(cause_of(k, FIELD("position", "\"int\""), "\xfe\xff\xff\xff\x0f", 5),
                     MR_CAUSE_NONE);
    assert_int_equal(k->event.position, INT32_MAX);
    assert_int_equal(cause_of(k, FIELD("position", "\"int\""), "\x80\x80\x80\x80\x10", 5),
                     MR_CAUSE_bad_varint);
    assert_int_equal(cause_of(k, FIELD("position", "\"int\""), "\x84\x80\x00", 3), MR_CAUSE_NONE);
    assert_int_equal(k->event.position, 2);
    kit_free(k);
}

static void lengths_beyond_the_record_and_below_zero_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("session", "\"string\""), "\4a", 2), MR_CAUSE_bad_length);
    assert_contains(k->err.text, "field 'session'");
    assert_int_equal(cause_of(k, FIELD("session", "\"string\""), "\3abc", 4), MR_CAUSE_bad_length);
    assert_int_equal(
        cause_of(k, FIELD("x", "\"bytes\""), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10),
        MR_CAUSE_bad_length);
    assert_int_equal(cause_of(k, FIELD("session", "\"bytes\""), "\4ab", 3), MR_CAUSE_NONE);
    kit_free(k);
}

static void block_counts_that_cannot_be_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    static const char huge[] = "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0";     // 2^63 - 1 items
    static const char lowest[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0"; // -2^63, 0 bytes
    static const char *const items[] = {
        "\"null\"",       "\"int\"", "\"string\"", "\"double\"", "[\"null\",\"string\"]",
        ARRAY("\"null\"")};
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        char field[256];
        snprintf(field, sizeof field, "{\"name\":\"x\",\"type\":" ARRAY("%s") "}", items[i]);
        assert_int_equal(cause_of(k, field, huge, 11), MR_CAUSE_bad_count);
        assert_int_equal(cause_of(k, field, lowest, 12), MR_CAUSE_bad_count);
    }
    assert_int_equal(
        cause_of(k, FIELD("context", "{\"type\":\"map\",\"values\":\"string\"}"), huge, 11),
        MR_CAUSE_bad_count);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\4\2\0", 3), MR_CAUSE_truncated);
    kit_free(k);
}

static void items_of_no_size_are_counted_and_not_walked(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"null\"")), "\x80\x80\x08\0", 4),
                     MR_CAUSE_NONE);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"null\"")), "\x82\x80\x08\0", 4),
                     MR_CAUSE_bad_count); // 65,537
    kit_free(k);
}

static void block_sizes_beyond_the_record_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\1\4\2\0", 4), MR_CAUSE_truncated);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\1\6\2\0", 4), MR_CAUSE_bad_length);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\1\1\2\0", 4), MR_CAUSE_bad_length);
    assert_int_equal(cause_of(k, FIELD("x", ARRAY("\"int\"")), "\1\2\2\0", 4), MR_CAUSE_NONE);
    kit_free(k);
}

static void branches_outside_of_a_union_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("session", "[\"null\",\"string\"]"), "\4", 1),
                     MR_CAUSE_bad_branch);
    assert_int_equal(cause_of(k, FIELD("session", "[\"null\",\"string\"]"), "\1", 1),
                     MR_CAUSE_bad_branch);
    assert_int_equal(cause_of(k, FIELD("x", "[\"int\",\"string\",\"null\"]"), "\6", 1),
                     MR_CAUSE_bad_branch);
    assert_int_equal(cause_of(k, FIELD("x", "[\"int\",\"string\",\"null\"]"), "\4", 1),
                     MR_CAUSE_NONE);
    assert_int_equal(cause_of(k, FIELD("x", "[]"), "\0", 1), MR_CAUSE_bad_branch);
    kit_free(k);
}

static void texts_that_are_not_utf8_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    static const char *const good[] = {"\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678\xc3\xa9",
                                       "1234567\xc3\xa9",
                                       "\xc3\xa9"
                                       "1234567"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "12345678\xff",
                                      "1234567890123456\xc3",
                                      "\xe2\x82",
                                      "123456789\x80"
                                      "12345678"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char tail[64];
        snprintf(tail, sizeof tail, "%c%s", (int)(2 * strlen(good[i])), good[i]);
        assert_int_equal(cause_of(k, FIELD("session", "\"string\""), tail, strlen(tail)),
                         MR_CAUSE_NONE);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char tail[64];
        snprintf(tail, sizeof tail, "%c%s12345678", (int)(2 * (strlen(bad[i]) + 8)), bad[i]);
        assert_int_equal(cause_of(k, FIELD("session", "\"string\""), tail, strlen(tail)),
                         MR_CAUSE_bad_utf8);
        tail[0] = (char)(2 * strlen(bad[i]));
        tail[1 + strlen(bad[i])] = '\0'; // and at the record's very end
        assert_int_equal(cause_of(k, FIELD("session", "\"string\""), tail, strlen(tail)),
                         MR_CAUSE_bad_utf8);
        assert_contains(k->err.text, "'session'");
        assert_int_equal(cause_of(k, FIELD("session", "\"bytes\""), tail, strlen(tail)),
                         MR_CAUSE_NONE);
    }
    kit_free(k);
}

// A chain of nodes, each in the one before; `links` of them, and null at the end.
static mr_cause cause_of_chain(kit *k, uint32_t links)
{
    char tail[256];
    size_t size = 0;
    for (uint32_t i = 0; i < links; i++)
        tail[size++] = 2;
    tail[size++] = 0;
    return cause_of(k,
                    FIELD("x", "[\"null\",{\"type\":\"record\",\"name\":\"N\",\"fields\":[" FIELD(
                                   "next", "[\"null\",\"N\"]") "]}]"),
                    tail, size);
}

static void nesting_stops_at_the_limit(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of_chain(k, MR_PLAN_DEPTH_MAX), MR_CAUSE_NONE);
    assert_int_equal(cause_of_chain(k, MR_PLAN_DEPTH_MAX + 1), MR_CAUSE_too_deep);
    assert_int_equal(cause_of(k,
                              FIELD("x", "{\"type\":\"record\",\"name\":\"A\",\"fields\":[" FIELD(
                                             "a", "\"A\"") "]}"),
                              "", 0),
                     MR_CAUSE_too_deep);
    kit_free(k);
}

static void booleans_and_decimals_that_are_none_are_refused(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(
        cause_of(k, FIELD("context", "{\"type\":\"map\",\"values\":\"boolean\"}"), "\2\2a\2\0", 5),
        MR_CAUSE_bad_value);
    kit_free(k);
}

static void odd_values_are_handed_on(void **state)
{
    (void)state;
    kit *k = kit_new();
    assert_int_equal(cause_of(k, FIELD("value", "\"double\""), "\0\0\0\0\0\0\xf8\x7f", 8),
                     MR_CAUSE_NONE);
    assert_true(isnan(k->event.value));
    assert_int_equal(cause_of(k, FIELD("value", "\"float\""), "\0\0\x80\xff", 4), MR_CAUSE_NONE);
    assert_true(isinf(k->event.value));
    assert_int_equal(cause_of(k, FIELD("time", "\"long\""), "\2", 1), MR_CAUSE_NONE);
    assert_int_equal(k->event.time_ms, 1);
    assert_int_equal(cause_of(k, FIELD("session", "\"string\""), "\0", 1), MR_CAUSE_NONE);
    assert_true(mr_event_has(&k->event, MR_FIELD_session));
    assert_int_equal(k->event.session.size, 0);
    kit_free(k);
}

static void an_id_of_a_mebibyte_is_borrowed_as_any_other(void **state)
{
    (void)state;
    const size_t size = 1 << 20;
    uint8_t *message = malloc(size + 16);
    mr_writer out = mr_writer_make(message, size + 16);
    char *id = malloc(size);
    memset(id, 'x', size);
    mr_put_bytes(&out, mr_bytes_of(id, size));
    mr_put_text(&out, "i1");
    kit *k = kit_new();
    kit_plan(k, RECORD(USER_ITEM), (mr_mapping){.kind = MR_EVENT_CLICK});
    assert_int_equal(mr_plan_decode(k->plan, message, out.size, &k->event, &k->err), MR_OK);
    assert_int_equal(k->event.user.size, size);
    id[0] = '\xff';
    out.size = 0;
    mr_put_bytes(&out, mr_bytes_of(id, size));
    assert_int_equal(mr_plan_decode(k->plan, message, out.size, &k->event, &k->err), MR_REJECT);
    kit_free(k);
    free(id);
    free(message);
}

static void a_purchase_of_nothing_has_lines_and_none_of_them(void **state)
{
    (void)state;
    kit *k = kit_new();
    kit_plan(k, RECORD(FIELD("user", "\"string\"") "," FIELD("lines", ARRAY("\"string\""))),
             (mr_mapping){.kind = MR_EVENT_PURCHASE});
    assert_int_equal(mr_plan_decode(k->plan, (const uint8_t *)"\4u1\0", 4, &k->event, &k->err),
                     MR_OK);
    assert_true(mr_event_has(&k->event, MR_FIELD_lines));
    assert_int_equal(k->event.line_count, 0);
    kit_free(k);
}

static void no_bytes_at_all_are_a_record_of_no_fields(void **state)
{
    (void)state;
    kit *k = kit_new();
    kit_plan(k, RECORD(""), (mr_mapping){.kind = MR_EVENT_CLICK, .given = UINT32_MAX});
    assert_int_equal(mr_plan_decode(k->plan, NULL, 0, &k->event, &k->err), MR_OK);
    assert_int_equal(k->event.present, 0);
    kit_free(k);
}

static void check_schema(const char *text, const char *piece)
{
    mr_schema *schema;
    mr_error err;
    assert_int_equal(mr_schema_open(text, strlen(text), &schema, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
    assert_contains(err.text, piece);
}

static void texts_that_are_no_schema_are_refused_with_their_place(void **state)
{
    (void)state;
    check_schema("", "line");
    check_schema("{\"type\":\"record\",", "line 1");
    check_schema("7", "a type has to be");
    check_schema("\"strnig\"", "unknown type 'strnig'");
    check_schema("{\"name\":\"X\"}", "there is no 'type'");
    check_schema("{\"type\":\"record\",\"name\":\"R\"}", "at 'R': a record needs");
    check_schema("{\"type\":\"record\",\"fields\":[]}", "no good name");
    check_schema(RECORD(FIELD("a", "\"int\"") "," FIELD("a", "\"int\"")),
                 "two fields are called 'a'");
    check_schema(RECORD(FIELD("a", RECORD(""))), "two types are called 'R'");
    check_schema(RECORD("{\"name\":\"a\"}"), "there is no type for the field 'a'");
    check_schema("{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "'size'");
    check_schema("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", "'symbols'");
    check_schema("{\"type\":\"array\"}", "'items'");
    check_schema("{\"type\":\"map\"}", "'values'");
    check_schema("[\"int\",[\"null\"]]", "a union stands directly in a union");
    check_schema("[\"int\",\"null\",\"int\"]", "two branches of the type 'int'");
}

static void a_schema_may_nest_64_deep_and_no_deeper(void **state)
{
    (void)state;
    char text[4096];
    mr_error err;
    for (uint32_t depth = MR_SCHEMA_DEPTH_MAX - 1; depth <= MR_SCHEMA_DEPTH_MAX; depth++) {
        mr_schema *schema = NULL;
        size_t size = 0;
        for (uint32_t i = 0; i < depth; i++)
            size +=
                (size_t)snprintf(text + size, sizeof text - size, "{\"type\":\"array\",\"items\":");
        size += (size_t)snprintf(text + size, sizeof text - size, "\"int\"");
        for (uint32_t i = 0; i < depth; i++)
            text[size++] = '}';
        assert_int_equal(mr_schema_open(text, size, &schema, &err),
                         depth < MR_SCHEMA_DEPTH_MAX ? MR_OK : MR_REJECT);
        mr_schema_close(schema);
    }
    assert_contains(err.text, "nested");
}

// Records that hold each other twice: written out, the program would double with each level.
static void a_schema_that_would_double_with_each_level_makes_a_small_plan(void **state)
{
    (void)state;
    char text[8192];
    size_t size = 0;
    mr_plan *plan;
    mr_error err;
    const mr_mapping mapping = {.kind = MR_EVENT_CLICK, .given = UINT32_MAX};
    enum { LEVELS = 30 };
    size += (size_t)snprintf(text + size, sizeof text - size, "[");
    for (uint32_t i = 0; i < LEVELS; i++) {
        char inner[32];
        snprintf(inner, sizeof inner, i == 0 ? "\"string\"" : "\"L%u\"", i - 1);
        size +=
            (size_t)snprintf(text + size, sizeof text - size,
                             "%s{\"type\":\"record\",\"name\":\"L%u\",\"fields\":[{\"name\":\"a\","
                             "\"type\":%s},{\"name\":\"b\",\"type\":%s}]}",
                             i > 0 ? "," : "", i, inner, inner);
    }
    snprintf(text + size, sizeof text - size, "]");
    assert_int_equal(mr_plan_compile(text, strlen(text), &mapping, &plan, &err), MR_OK);
    mr_event event = {.present = 0};
    assert_int_equal(mr_plan_decode(plan, (const uint8_t *)"\2\0\0\0\0", 5, &event, &err), MR_OK);
    assert_int_equal(mr_plan_decode(plan, (const uint8_t *)"\2\0\0\0", 4, &event, &err), MR_REJECT);
    mr_plan_close(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_records_are_refused),
        cmocka_unit_test(the_field_of_a_run_is_named),
        cmocka_unit_test(bytes_after_the_record_are_refused),
        cmocka_unit_test(numbers_of_too_many_bytes_are_refused),
        cmocka_unit_test(lengths_beyond_the_record_and_below_zero_are_refused),
        cmocka_unit_test(block_counts_that_cannot_be_are_refused),
        cmocka_unit_test(items_of_no_size_are_counted_and_not_walked),
        cmocka_unit_test(block_sizes_beyond_the_record_are_refused),
        cmocka_unit_test(branches_outside_of_a_union_are_refused),
        cmocka_unit_test(texts_that_are_not_utf8_are_refused),
        cmocka_unit_test(nesting_stops_at_the_limit),
        cmocka_unit_test(booleans_and_decimals_that_are_none_are_refused),
        cmocka_unit_test(odd_values_are_handed_on),
        cmocka_unit_test(an_id_of_a_mebibyte_is_borrowed_as_any_other),
        cmocka_unit_test(a_purchase_of_nothing_has_lines_and_none_of_them),
        cmocka_unit_test(no_bytes_at_all_are_a_record_of_no_fields),
        cmocka_unit_test(texts_that_are_no_schema_are_refused_with_their_place),
        cmocka_unit_test(a_schema_may_nest_64_deep_and_no_deeper),
        cmocka_unit_test(a_schema_that_would_double_with_each_level_makes_a_small_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
