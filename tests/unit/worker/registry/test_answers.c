// SPDX-License-Identifier: Apache-2.0
// What registries say, and what is no answer of a registry; schemas put together with what they
// refer to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "schemas/canonical.h"
#include "schemas/schema.h"
#include "worker/registry/answers.h"
#include "worker/registry/assemble.h"

static mr_status read_schema(const char *body, mr_schema_answer *answer, mr_error *err)
{
    *err = (mr_error){0};
    return mr_answer_schema(body, strlen(body), answer, err);
}

static void a_schema_has_a_text_and_perhaps_more(void **state)
{
    (void)state;
    mr_schema_answer answer;
    mr_error err;
    assert_int_equal(read_schema("{\"schema\":\"\\\"int\\\"\"}", &answer, &err), MR_OK);
    assert_string_equal(answer.text, "\"int\"");
    assert_int_equal(answer.text_bytes, 5);
    assert_string_equal(answer.type, "AVRO");
    assert_int_equal(answer.id, -1);
    assert_int_equal(answer.version, -1);
    assert_int_equal(answer.reference_count, 0);
    mr_answer_schema_free(&answer);
    assert_int_equal(
        read_schema("{\"subject\":\"s\",\"version\":3,\"id\":17,\"schemaType\":\"JSON\","
                    "\"schema\":\"{}\",\"references\":[{\"name\":\"a.B\",\"subject\":"
                    "\"b\",\"version\":2}],\"ruleSet\":{\"new\":[]}}",
                    &answer, &err),
        MR_OK);
    assert_string_equal(answer.type, "JSON");
    assert_int_equal(answer.id, 17);
    assert_int_equal(answer.version, 3);
    assert_int_equal(answer.reference_count, 1);
    assert_string_equal(answer.references[0].name, "a.B");
    assert_string_equal(answer.references[0].subject, "b");
    assert_int_equal(answer.references[0].version, 2);
    mr_answer_schema_free(&answer);
    // As Apicurio says it.
    assert_int_equal(
        read_schema("{\"schema\":\"1\",\"references\":[],\"schemaType\":null}", &answer, &err),
        MR_OK);
    assert_string_equal(answer.type, "AVRO");
    mr_answer_schema_free(&answer);
}

static void what_is_no_schema_is_said_to_be_none(void **state)
{
    static const char *const bad[] = {
        "",
        "<html>not found</html>",
        "[]",
        "\"schema\"",
        "{}",
        "{\"schema\":5}",
        "{\"schema\":\"x\"",
        "{\"schema\":\"x\",\"references\":[5]}",
        "{\"schema\":\"x\",\"references\":[{\"name\":\"a\"}]}",
        "{\"schema\":\"x\",\"references\":[{\"name\":\"a\",\"subject\":"
        "\"b\",\"version\":\"1\"}]}"};
    (void)state;
    mr_schema_answer answer;
    mr_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_schema(bad[i], &answer, &err), MR_FATAL);
        assert_non_null(strstr(err.text, "is it a schema registry?"));
    }
    assert_int_equal(read_schema("<html>\n\x01 hello</html>", &answer, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "begins with '<html>.. hello</html>'"));
}

static void more_references_than_allowed_are_refused(void **state)
{
    (void)state;
    mr_schema_answer answer;
    mr_error err;
    for (uint32_t count = MR_ANSWER_REFERENCES_MAX; count <= MR_ANSWER_REFERENCES_MAX + 1;
         count++) {
        char *body = calloc(count + 1, 64);
        assert_non_null(body);
        strcpy(body, "{\"schema\":\"x\",\"references\":[");
        for (uint32_t i = 0; i < count; i++)
            strcat(body, i == 0 ? "{\"name\":\"a\",\"subject\":\"b\",\"version\":1}"
                                : ",{\"name\":\"a\",\"subject\":\"b\",\"version\":1}");
        strcat(body, "]}");
        const mr_status status = read_schema(body, &answer, &err);
        assert_int_equal(status, count <= MR_ANSWER_REFERENCES_MAX ? MR_OK : MR_REJECT);
        if (status == MR_OK)
            mr_answer_schema_free(&answer);
        free(body);
    }
}

static void an_id_is_a_number_of_32_bits(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}", "{\"id\":-1}", "{\"id\":4294967296}", "{\"id\":\"1\"}", "{\"id\":1.5}", "17"};
    uint32_t id;
    mr_error err;
    assert_int_equal(mr_answer_id("{\"id\":4294967295}", 17, &id, &err), MR_OK);
    assert_int_equal(id, UINT32_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mr_answer_id(bad[i], strlen(bad[i]), &id, &err), MR_FATAL);
}

static void a_refusal_has_a_number_and_a_text_of_one_line(void **state)
{
    (void)state;
    static const char body[] = "{\"error_code\":40403,\"message\":\"not\\nfound\",\"name\":5}";
    char message[16];
    int code;
    assert_true(mr_answer_refusal(body, sizeof body - 1, &code, message, sizeof message));
    assert_int_equal(code, 40403);
    assert_string_equal(message, "not found");
    assert_false(mr_answer_refusal("<html>", 6, &code, message, sizeof message));
    assert_false(mr_answer_refusal("{\"message\":\"x\"}", 15, &code, message, sizeof message));
}

static void compatibility_is_yes_or_no_and_perhaps_why(void **state)
{
    (void)state;
    static const char no[] = "{\"is_compatible\":false,\"messages\":[\"field b\",\"more\"]}";
    bool compatible;
    char why[32];
    mr_error err;
    assert_int_equal(mr_answer_compatible(no, sizeof no - 1, &compatible, why, sizeof why, &err),
                     MR_OK);
    assert_false(compatible);
    assert_string_equal(why, "field b");
    assert_int_equal(
        mr_answer_compatible("{\"is_compatible\":true}", 22, &compatible, why, sizeof why, &err),
        MR_OK);
    assert_true(compatible);
    assert_string_equal(why, "");
    assert_int_equal(mr_answer_compatible("{}", 2, &compatible, why, sizeof why, &err), MR_FATAL);
}

// ---- references

static mr_definition define(const char *name, const char *text)
{
    return (mr_definition){name, text, strlen(text)};
}

static void assembled(const char *text, const mr_definition *definitions, uint32_t count,
                      const char *want)
{
    char *whole;
    size_t size;
    mr_error err = {0};
    mr_schema *schema, *wanted;
    if (mr_assemble(text, strlen(text), definitions, count, &whole, &size, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(size, strlen(whole));
    if (mr_schema_open(whole, size, &schema, &err) != MR_OK)
        fail_msg("%s: %s", whole, err.text);
    if (mr_schema_open(want, strlen(want), &wanted, &err) != MR_OK)
        fail_msg("%s: %s", want, err.text);
    if (mr_fingerprint(schema) != mr_fingerprint(wanted))
        fail_msg("%s, want %s", whole, want);
    mr_schema_close(schema);
    mr_schema_close(wanted);
    free(whole);
}

static void a_schema_without_references_stays_as_it_is(void **state)
{
    (void)state;
    static const char text[] = "{ \"type\" : \"string\" }";
    char *whole;
    size_t size;
    mr_error err;
    assert_int_equal(mr_assemble(text, sizeof text - 1, NULL, 0, &whole, &size, &err), MR_OK);
    assert_string_equal(whole, text);
    assert_int_equal(size, sizeof text - 1);
    free(whole);
}

static void a_type_is_put_where_it_is_mentioned_first(void **state)
{
    (void)state;
    const mr_definition user[] = {
        define("shop.User", "{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"shop\","
                            "\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}")};
    assembled(
        "{\"type\":\"record\",\"name\":\"Click\",\"namespace\":\"shop\",\"fields\":["
        "{\"name\":\"by\",\"type\":\"User\"},{\"name\":\"to\",\"type\":[\"null\",\"shop.User\"]},"
        "{\"name\":\"all\",\"type\":{\"type\":\"array\",\"items\":\"User\"}}]}",
        user, 1,
        "{\"type\":\"record\",\"name\":\"shop.Click\",\"fields\":[{\"name\":\"by\",\"type\":"
        "{\"type\":\"record\",\"name\":\"shop.User\",\"fields\":[{\"name\":\"id\",\"type\":"
        "\"string\"}]}},{\"name\":\"to\",\"type\":[\"null\",\"shop.User\"]},{\"name\":\"all\","
        "\"type\":{\"type\":\"array\",\"items\":\"shop.User\"}}]}");
    // In a map, in a union, and as the whole.
    assembled("{\"type\":\"map\",\"values\":[\"null\",\"shop.User\"]}", user, 1,
              "{\"type\":\"map\",\"values\":[\"null\",{\"type\":\"record\",\"name\":\"shop.User\","
              "\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}]}");
    assembled("\"shop.User\"", user, 1,
              "{\"type\":\"record\",\"name\":\"shop.User\",\"fields\":[{\"name\":\"id\",\"type\":"
              "\"string\"}]}");
}

static void references_of_references_and_circles_are_put_together(void **state)
{
    (void)state;
    const mr_definition both[] = {
        define("a.Node", "{\"type\":\"record\",\"name\":\"a.Node\",\"fields\":[{\"name\":\"next\","
                         "\"type\":[\"null\",\"a.Edge\"]}]}"),
        define("a.Edge", "{\"type\":\"record\",\"name\":\"a.Edge\",\"fields\":[{\"name\":\"to\","
                         "\"type\":[\"null\",\"a.Node\"]}]}")};
    assembled("{\"type\":\"array\",\"items\":\"a.Edge\"}", both, 2,
              "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"a.Edge\",\"fields\":["
              "{\"name\":\"to\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"a.Node\","
              "\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"a.Edge\"]}]}]}]}}");
}

static void a_type_without_a_namespace_keeps_out_of_that_around_it(void **state)
{
    (void)state;
    const mr_definition plain[] = {
        define("Money", "{\"type\":\"record\",\"name\":\"Money\",\"fields\":[{\"name\":\"c\","
                        "\"type\":\"Code\"}]}"),
        define("Code", "{\"type\":\"fixed\",\"name\":\"Code\",\"size\":3}")};
    assembled("{\"type\":\"record\",\"name\":\"shop.Sale\",\"fields\":[{\"name\":\"sum\",\"type\":"
              "\"Money\"}]}",
              plain, 2,
              "{\"type\":\"record\",\"name\":\"shop.Sale\",\"fields\":[{\"name\":\"sum\",\"type\":"
              "{\"type\":\"record\",\"name\":\"Money\",\"namespace\":\"\",\"fields\":[{\"name\":"
              "\"c\",\"type\":{\"type\":\"fixed\",\"name\":\"Code\",\"size\":3}}]}}]}");
}

static void a_type_that_the_schema_defines_itself_is_not_defined_twice(void **state)
{
    (void)state;
    const mr_definition user[] = {define("a.U", "{\"type\":\"enum\",\"name\":\"a.U\",\"symbols\":"
                                                "[\"X\"]}")};
    assembled(
        "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[{\"name\":\"x\","
        "\"type\":{\"type\":\"enum\",\"name\":\"U\",\"symbols\":[\"Y\"]}},{\"name\":\"y\","
        "\"type\":\"U\"}]}",
        user, 1,
        "{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":"
        "\"enum\",\"name\":\"a.U\",\"symbols\":[\"Y\"]}},{\"name\":\"y\",\"type\":\"a.U\"}]}");
}

static void a_type_of_the_namespace_goes_before_one_without(void **state)
{
    (void)state;
    const mr_definition plain[] = {
        define("U", "{\"type\":\"enum\",\"name\":\"U\",\"symbols\":[\"X\"]}")};
    static const char both[] =
        "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[{\"name\":\"x\","
        "\"type\":"
        "{\"type\":\"fixed\",\"name\":\"U\",\"size\":2}},{\"name\":\"y\",\"type\":\"U\"}]}";
    assembled(both, plain, 1, both);
}

static void attributes_that_a_type_does_not_have_are_left_alone(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"int\",\"values\":\"Money\",\"fields\":[{\"type\":\"Money\"}]}";
    const mr_definition plain[] = {
        define("Money", "{\"type\":\"fixed\",\"name\":\"Money\",\"size\":4}")};
    char *whole;
    size_t size;
    mr_error err = {0};
    assert_int_equal(mr_assemble(text, strlen(text), plain, 1, &whole, &size, &err), MR_OK);
    assert_string_equal(whole, text);
    free(whole);
    // A type's name in the place of the type of a schema is one that it has.
    assembled("{\"type\":\"Money\",\"logicalType\":\"x\"}", plain, 1,
              "{\"type\":{\"type\":\"fixed\",\"name\":\"Money\",\"size\":4}}");
}

static void what_cannot_be_put_together_is_refused(void **state)
{
    (void)state;
    const mr_definition broken[] = {define("a.B", "{\"type\":")};
    char *whole, *deep = calloc(MR_ASSEMBLE_DEPTH_MAX + 16, 64);
    size_t size;
    mr_error err = {0};
    assert_non_null(deep);
    assert_int_equal(mr_assemble("\"a.B\"", 5, broken, 1, &whole, &size, &err), MR_REJECT);
    assert_int_equal(err.cause, MR_CAUSE_unsuitable_schema);
    assert_non_null(strstr(err.text, "a.B: line 1"));
    assert_int_equal(mr_assemble("{", 1, broken, 1, &whole, &size, &err), MR_REJECT);
    for (int i = 0; i < MR_ASSEMBLE_DEPTH_MAX + 2; i++)
        strcat(deep, "{\"type\":\"array\",\"items\":");
    strcat(deep, "1");
    for (int i = 0; i < MR_ASSEMBLE_DEPTH_MAX + 2; i++)
        strcat(deep, "}");
    assert_int_equal(mr_assemble(deep, strlen(deep), broken, 1, &whole, &size, &err), MR_REJECT);
    assert_non_null(strstr(err.text, "nested deeper"));
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_has_a_text_and_perhaps_more),
        cmocka_unit_test(what_is_no_schema_is_said_to_be_none),
        cmocka_unit_test(more_references_than_allowed_are_refused),
        cmocka_unit_test(an_id_is_a_number_of_32_bits),
        cmocka_unit_test(a_refusal_has_a_number_and_a_text_of_one_line),
        cmocka_unit_test(compatibility_is_yes_or_no_and_perhaps_why),
        cmocka_unit_test(a_schema_without_references_stays_as_it_is),
        cmocka_unit_test(a_type_is_put_where_it_is_mentioned_first),
        cmocka_unit_test(references_of_references_and_circles_are_put_together),
        cmocka_unit_test(a_type_without_a_namespace_keeps_out_of_that_around_it),
        cmocka_unit_test(a_type_that_the_schema_defines_itself_is_not_defined_twice),
        cmocka_unit_test(a_type_of_the_namespace_goes_before_one_without),
        cmocka_unit_test(attributes_that_a_type_does_not_have_are_left_alone),
        cmocka_unit_test(what_cannot_be_put_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
