// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/worker/capture.h"
#include "worker/bench/models.h"
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

static void assert_near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within))
        fail_msg("%.9g and %.9g", a, b);
}

static const json_t *follow(const json_t *at, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        at = json_object_get(at, names[i]);
    return at;
}

static json_t *output_of(int (*command)(int argc, char **argv), const char *line)
{
    const captured *seen = capture(command, line);
    if (seen->status != MR_EXIT_GOOD)
        fail_msg("%s", seen->err);
    json_t *root = json_loads(seen->out, 0, NULL);
    assert_non_null(root);
    return root;
}

#define SMALL " --warmup 0 --json --set items.max=2000 --set users.memory=4MiB"
#define COVISIT "--set models.off=popularity,embedding,diag_linucb,multi_interest"

static void a_row_of_the_model_table_is_a_column_of_a_replay(void **state)
{
    (void)state;
    json_t *tables = output_of(mr_command_bench, "bench models --input tests/data/golden/log.csv "
                                                 "--seeds 2 --only co-visitation" SMALL);
    json_t *replay =
        output_of(mr_command_replay, "replay tests/data/golden/log.csv " COVISIT SMALL);
    const json_t *table = json_array_get(tables, 0);
    const json_t *rows = json_object_get(table, "models"), *row = json_array_get(rows, 0);
    assert_int_equal(json_array_size(rows), 1);
    assert_int_equal(json_integer_value(json_object_get(table, "seeds")), 2);
    for (int protocol = 0; protocol < 2; protocol++) {
        const char *const name = protocol == 0 ? "all" : "new";
        const json_t *of = follow(row, (const char *[]){name, "everybody"}, 2);
        const json_t *same = follow(replay, (const char *[]){"models", "covisit", name}, 3);
        static const char *const terms[][2] = {
            {"recall@20", "recall@20"}, {"ndcg@20", "ndcg@20"}, {"mrr@20", "mrr"}};
        for (int t = 0; t < 3; t++)
            assert_near(json_real_value(follow(of, (const char *[]){terms[t][0], "value"}, 2)),
                        json_real_value(json_object_get(same, terms[t][1])), 1e-5);
        const double targets = json_real_value(json_object_get(of, "targets"));
        assert_near(targets, (double)json_integer_value(json_object_get(same, "targets")), 0);
        for (int segment = 0; segment < 2; segment++) {
            const json_t *part = follow(
                row, (const char *[]){name, segment == 0 ? "new_users" : "new_items", "targets"},
                3);
            assert_true(json_real_value(part) > 0 && json_real_value(part) < targets);
        }
    }
    assert_true(json_real_value(json_object_get(row, "learn_ns_per_event")) > 0);
    assert_true(json_real_value(json_object_get(row, "bytes_a_user")) > 100);
    json_decref(tables);
    json_decref(replay);
}

static void intervals_of_the_model_table_are_students(void **state)
{
    (void)state;
    const double values[] = {1, 2, 3};
    const mr_model_mean mean = mr_model_mean_of(values, 3);
    assert_near(mean.value, 2, 1e-12);
    assert_near(mean.half_width, 4.303 / 1.7320508, 1e-3);
    assert_true(isnan(mr_model_mean_of(values, 1).half_width));
}

static void a_model_table_wants_rows_and_a_log(void **state)
{
    (void)state;
    assert_int_equal(
        capture(mr_command_bench, "bench models --input nowhere.csv --seeds 17")->status,
        MR_EXIT_USAGE);
    const captured *seen =
        capture(mr_command_bench, "bench models --input nowhere.csv --only nothing");
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->err, "--only"));
    seen = capture(mr_command_bench, "bench models --input nowhere.csv --only co-vis --seeds 1");
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->err, "nowhere.csv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_has_value_unit_reference_and_ratio),
        cmocka_unit_test(an_unknown_bench_is_refused_with_the_nearest_one),
        cmocka_unit_test(what_runs_on_brokers_wants_one),
        cmocka_unit_test(a_row_of_the_model_table_is_a_column_of_a_replay),
        cmocka_unit_test(intervals_of_the_model_table_are_students),
        cmocka_unit_test(a_model_table_wants_rows_and_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
