// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "worker/print_tree.h"

static void expect(const char *json, const char *wanted)
{
    char *text = NULL;
    size_t size = 0;
    json_t *object = json_loads(json, 0, NULL);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(object);
    assert_non_null(out);
    mr_print_tree(object, out);
    fclose(out);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(object);
}

static void plain_members_stand_in_two_columns_in_their_order(void **state)
{
    (void)state;
    expect("{\"folder\":\"/tmp\",\"rows\":12,\"share\":0.5,\"good\":true,\"none\":null}",
           "folder  /tmp\nrows    12\nshare   0.5\ngood    yes\nnone    -\n");
}

static void an_array_of_objects_is_a_table_with_numbers_to_the_right(void **state)
{
    (void)state;
    expect(
        "{\"tasks\":2,\"by_task\":[{\"task\":0,\"name\":\"a\"},{\"task\":10,\"name\":\"long\"}]}",
        "tasks  2\n\nby_task\n  task  name\n     0  a\n    10  long\n");
}

static void a_row_may_lack_what_another_has(void **state)
{
    (void)state;
    expect("{\"rows\":[{\"a\":1},{\"b\":\"x\"}]}", "rows\n  a  b\n  1  -\n  -  x\n");
}

static void nested_objects_follow_under_their_name(void **state)
{
    (void)state;
    expect("{\"inner\":{\"b\":2},\"a\":1}", "a  1\n\ninner\n  b  2\n");
}

static void an_array_of_plain_values_is_one_cell_and_an_empty_one_none(void **state)
{
    (void)state;
    expect("{\"a\":[1,\"x\"],\"empty\":[],\"nothing\":{}}", "a  1, x\n");
}

static void a_real_has_four_digits_and_all_of_those_before_the_point(void **state)
{
    (void)state;
    expect("{\"a\":1234567.8,\"b\":999.94,\"c\":0.00012346,\"d\":-1000.4}",
           "a  1234568\nb  999.9\nc  0.0001235\nd  -1000\n");
}

static void letters_of_several_bytes_take_one_column(void **state)
{
    (void)state;
    expect("{\"rows\":[{\"n\":\"\xc3\xa9t\xc3\xa9\",\"m\":\"x\"},{\"n\":\"four\",\"m\":\"y\"}]}",
           "rows\n  n     m\n  \xc3\xa9t\xc3\xa9   x\n  four  y\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_members_stand_in_two_columns_in_their_order),
        cmocka_unit_test(an_array_of_objects_is_a_table_with_numbers_to_the_right),
        cmocka_unit_test(a_row_may_lack_what_another_has),
        cmocka_unit_test(nested_objects_follow_under_their_name),
        cmocka_unit_test(an_array_of_plain_values_is_one_cell_and_an_empty_one_none),
        cmocka_unit_test(a_real_has_four_digits_and_all_of_those_before_the_point),
        cmocka_unit_test(letters_of_several_bytes_take_one_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
