// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/sweep/pairs.h"

static void note(mr_journal *journal, const char *user, const uint64_t *items, uint32_t count)
{
    mr_list_entry entries[MR_LIST_MAX] = {0};
    for (uint32_t i = 0; i < count; i++)
        entries[i].item_key = items[i];
    const mr_list list = {
        .user = mr_bytes_text(user), .entries = entries, .entry_count = count};
    mr_journal_note(journal, &list);
}

static mr_list_differences differences(mr_journal *from, mr_journal *to)
{
    mr_list_differences d = {0};
    mr_error err = {0};
    assert_int_equal(mr_journal_compare(from, to, &d, &err), MR_OK);
    mr_journal_close(from);
    mr_journal_close(to);
    return d;
}

static void the_same_lists_in_another_order_of_users_do_not_differ(void **state)
{
    (void)state;
    const uint64_t one[] = {1, 2, 3}, two[] = {4, 5, 6};
    mr_journal from = {0}, to = {0};
    note(&from, "anna", one, 3), note(&from, "bert", two, 3), note(&from, "anna", two, 3);
    note(&to, "bert", two, 3), note(&to, "anna", one, 3), note(&to, "anna", two, 3);
    const mr_list_differences d = differences(&from, &to);
    assert_int_equal(d.compared, 3);
    assert_int_equal(d.differ, 0);
    assert_true(fabs(d.rbo - 3) < 1e-12 && fabs(d.jaccard - 3) < 1e-12);
    assert_int_equal(d.only_from + d.only_to, 0);
}

static void a_list_differs_by_its_order_and_by_what_stands_below_the_depth(void **state)
{
    (void)state;
    uint64_t long_list[30], other[30];
    for (uint32_t i = 0; i < 30; i++)
        long_list[i] = other[i] = i + 1;
    other[29] = 99;
    const uint64_t one[] = {1, 2}, turned[] = {2, 1};
    mr_journal from = {0}, to = {0};
    note(&from, "anna", one, 2), note(&from, "bert", long_list, 30);
    note(&to, "anna", turned, 2), note(&to, "bert", other, 30);
    const mr_list_differences d = differences(&from, &to);
    assert_int_equal(d.compared, 2);
    assert_int_equal(d.differ, 2);
    assert_true(fabs(d.jaccard - 2) < 1e-12); // the same items as far as it looks
    assert_true(d.rbo < 2 - .05);
}

static void lists_that_one_branch_alone_made_are_counted_apart(void **state)
{
    (void)state;
    const uint64_t one[] = {1, 2};
    mr_journal from = {0}, to = {0};
    note(&from, "anna", one, 2), note(&from, "anna", one, 2), note(&from, "carl", one, 2);
    note(&to, "anna", one, 2), note(&to, "bert", one, 2);
    const mr_list_differences d = differences(&from, &to);
    assert_int_equal(d.compared, 1);
    assert_int_equal(d.only_from, 2);
    assert_int_equal(d.only_to, 1);
}

static void a_journal_grows_and_is_empty_again(void **state)
{
    (void)state;
    const uint64_t one[] = {1, 2};
    mr_journal from = {0}, to = {0};
    for (uint32_t i = 0; i < 5000; i++)
        note(&from, i % 2 != 0 ? "anna" : "bert", one, 2);
    mr_journal_empty(&from);
    note(&from, "anna", one, 2), note(&to, "anna", one, 2);
    const mr_list_differences d = differences(&from, &to);
    assert_int_equal(d.compared, 1);
    assert_int_equal(d.only_from + d.only_to, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_lists_in_another_order_of_users_do_not_differ),
        cmocka_unit_test(a_list_differs_by_its_order_and_by_what_stands_below_the_depth),
        cmocka_unit_test(lists_that_one_branch_alone_made_are_counted_apart),
        cmocka_unit_test(a_journal_grows_and_is_empty_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
