// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/builtin.h"
#include "tests/unit/worker/capture.h"
#include "worker/command.h"

static void every_schema_of_ours_is_listed_with_its_first_sentence(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_schema, "schema");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    for (uint32_t i = 0; mr_builtin_at(i) != NULL; i++)
        assert_non_null(strstr(seen->out, mr_builtin_at(i)->name));
    assert_non_null(strstr(seen->out, "catalogue    An item as it is now.\n"));
}

static void a_schema_is_printed_as_its_file_has_it(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_schema, "schema click");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    assert_string_equal(seen->out, mr_builtin_find("click")->text);
}

static void a_fingerprint_is_sixteen_hexadecimal_digits(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_schema, "schema click --fingerprint");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    assert_int_equal(strlen(seen->out), 17);
    assert_int_equal(strspn(seen->out, "0123456789abcdef"), 16);
}

static void the_canonical_form_has_no_white_space_and_no_doc(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_schema, "schema --canonical metric");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    assert_int_equal(strcspn(seen->out, " \t"), strlen(seen->out));
    assert_null(strstr(seen->out, "\"doc\""));
    assert_memory_equal(seen->out, "{\"name\":\"millrace.Metric\",", 26);
}

static void an_unknown_name_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_schema, "schema clik");
    assert_int_equal(seen->status, MR_EXIT_USAGE);
    assert_string_equal(seen->out, "");
    assert_non_null(strstr(seen->err, "the nearest is click"));
}

static void two_names_are_one_too_many(void **state)
{
    (void)state;
    assert_int_equal(capture(mr_command_schema, "schema click cart")->status, MR_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schema_of_ours_is_listed_with_its_first_sentence),
        cmocka_unit_test(a_schema_is_printed_as_its_file_has_it),
        cmocka_unit_test(a_fingerprint_is_sixteen_hexadecimal_digits),
        cmocka_unit_test(the_canonical_form_has_no_white_space_and_no_doc),
        cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest_one),
        cmocka_unit_test(two_names_are_one_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
