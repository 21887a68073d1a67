// SPDX-License-Identifier: Apache-2.0
// Fences of a producer: which of them mean that a second process has our name.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/fences.h"

enum { TIMEOUT_MS = 10000 };

static void one_fence_means_nothing(void **state)
{
    (void)state;
    mr_fences fences = {0};
    assert_false(mr_fences_note(&fences, 0, 20, TIMEOUT_MS));
}

static void the_second_within_a_minute_is_another_process(void **state)
{
    (void)state;
    mr_fences fences = {0};
    assert_false(mr_fences_note(&fences, 0, 20, TIMEOUT_MS));
    assert_true(mr_fences_note(&fences, MR_FENCES_MS - 1, TIMEOUT_MS - 1, TIMEOUT_MS));
}

static void a_minute_apart_they_are_accidents(void **state)
{
    (void)state;
    mr_fences fences = {0};
    for (int64_t i = 0; i < 5; i++)
        assert_false(mr_fences_note(&fences, 1000 + i * MR_FENCES_MS, 20, TIMEOUT_MS));
    assert_true(mr_fences_note(&fences, 1001 + 4 * MR_FENCES_MS, 20, TIMEOUT_MS));
}

static void transactions_that_timed_out_are_not_counted(void **state)
{
    (void)state;
    mr_fences fences = {0};
    assert_false(mr_fences_note(&fences, 100, 20, TIMEOUT_MS));
    for (int64_t i = 1; i < 5; i++)
        assert_false(mr_fences_note(&fences, 100 + i, TIMEOUT_MS, TIMEOUT_MS));
    assert_true(mr_fences_note(&fences, 200, 20, TIMEOUT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_fence_means_nothing),
        cmocka_unit_test(the_second_within_a_minute_is_another_process),
        cmocka_unit_test(a_minute_apart_they_are_accidents),
        cmocka_unit_test(transactions_that_timed_out_are_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
