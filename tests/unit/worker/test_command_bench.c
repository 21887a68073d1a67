// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/worker/capture.h"
#include "worker/command.h"

static void a_figure_has_value_unit_reference_and_ratio(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_bench, "bench decode --json");
    assert_int_equal(seen->status, MR_EXIT_GOOD);
    json_t *root = json_loads(seen->out, 0, NULL);
    const json_t *figures = json_object_get(root, "figures");
    assert_true(json_is_string(json_object_get(json_object_get(root, "machine"), "cpu")));
    assert_true(json_array_size(figures) >= 1);
    for (size_t i = 0; i < json_array_size(figures); i++) {
        const json_t *figure = json_array_get(figures, i);
        const double value = json_real_value(json_object_get(figure, "value"));
        const double reference = json_real_value(json_object_get(figure, "reference_value"));
        const double ratio = json_real_value(json_object_get(figure, "ratio"));
        assert_true(json_is_string(json_object_get(figure, "name")));
        assert_true(json_is_string(json_object_get(figure, "unit")));
        assert_true(json_is_string(json_object_get(figure, "reference")));
        assert_true(value > 0 && reference > 0);
        // Medians of times and of their quotients differ a little on a busy machine.
        assert_true(ratio > 0.5 * value / reference && ratio < 2 * value / reference);
    }
    json_decref(root);
}

static void an_unknown_bench_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_bench, "bench topq");
    assert_int_equal(seen->status, MR_EXIT_USAGE);
    assert_non_null(strstr(seen->err, "the nearest is topk"));
}

static void what_runs_on_brokers_wants_one(void **state)
{
    (void)state;
    const captured *seen = capture(mr_command_bench, "bench pipeline");
    assert_int_equal(seen->status, MR_EXIT_USAGE);
    assert_non_null(strstr(seen->err, "--bootstrap"));
    seen = capture(mr_command_bench, "bench restore");
    assert_int_equal(seen->status, MR_EXIT_USAGE);
    assert_non_null(strstr(seen->err, "--bootstrap"));
    assert_int_equal(capture(mr_command_bench, "bench restore --bootstrap h:1 --rows many")->status,
                     MR_EXIT_USAGE);
    assert_int_equal(capture(mr_command_bench, "bench pipeline --bootstrap h:1 --events 0")->status,
                     MR_EXIT_USAGE);
    assert_int_equal(
        capture(mr_command_bench, "bench pipeline --bootstrap h:1 --partitions 65")->status,
        MR_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_has_value_unit_reference_and_ratio),
        cmocka_unit_test(an_unknown_bench_is_refused_with_the_nearest_one),
        cmocka_unit_test(what_runs_on_brokers_wants_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
