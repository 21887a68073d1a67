// SPDX-License-Identifier: Apache-2.0
// Drift detectors against River's answers, a naive window, and streams that do not change.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/normal.h"
#include "core/eval/drift.h"

// (7 i mod 10) / 10, and half more from 500 on.
static double known(int i)
{
    return (7 * i % 10) / 10.0 + (i < 500 ? 0 : 0.5);
}

// River 0.26.1: 611 and 519.
static void page_hinkley_speaks_where_river_does(void **state)
{
    (void)state;
    static const struct {
        double lambda;
        int at;
    } rows[] = {{50, 611}, {10, 519}};
    for (int r = 0; r < 2; r++) {
        mr_page_hinkley_config config = mr_page_hinkley_defaults();
        mr_page_hinkley detector = {0};
        config.lambda = rows[r].lambda;
        int at = -1;
        for (int i = 0; i < 1000 && at < 0; i++)
            at = mr_page_hinkley_add(&detector, &config, known(i)) ? i : -1;
        assert_int_equal(at, rows[r].at);
        assert_true(detector.count == 0); // and begins again
    }
}

// All cuts, at each the oldest bucket; River fires at 543 with the same window.
static void adwin_gives_the_worked_figures(void **state)
{
    (void)state;
    static const struct {
        int at;
        double width, mean;
    } rows[] = {{543, 160, .5875}, {575, 128, .7453125}, {607, 128, .871875}};
    const mr_adwin_config config = mr_adwin_defaults();
    mr_adwin detector = {0};
    int found = 0;
    for (int i = 0; i < 1000; i++) {
        if (!mr_adwin_add(&detector, &config, known(i)))
            continue;
        assert_true(found < 3);
        assert_int_equal(i, rows[found].at);
        assert_true(detector.width == rows[found].width);
        assert_true(fabs(mr_adwin_mean(&detector) - rows[found].mean) < 1e-9);
        found++;
    }
    assert_int_equal(found, 3);
    assert_true(detector.width == 520);
    assert_true(fabs(mr_adwin_mean(&detector) - .9307692) < 1e-7);
}

// Who begins with an empty window at the number after: once at 543, then 456 numbers of .9513158.
static void adwin_that_begins_again_gives_rivers_window(void **state)
{
    (void)state;
    const mr_adwin_config config = mr_adwin_defaults();
    mr_adwin detector = {0};
    int found = 0;
    for (int i = 0; i < 1000; i++)
        if (mr_adwin_add(&detector, &config, known(i))) {
            assert_int_equal(i, 543);
            detector = (mr_adwin){0};
            found++;
        }
    assert_int_equal(found, 1);
    assert_true(detector.width == 456);
    assert_true(fabs(mr_adwin_mean(&detector) - .9513158) < 1e-7);
}

static void the_window_is_that_of_its_numbers(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static double x[COUNT];
    const mr_adwin_config config = {.delta = 1e-300, .clock = 1 << 30, .least = 5, .window = 10};
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    mr_adwin detector = {0};
    for (int i = 0; i < COUNT; i++) {
        x[i] = 3 + mr_normal_draw(&rng);
        assert_false(mr_adwin_add(&detector, &config, x[i]));
    }
    double sum = 0, squares = 0, in_buckets = 0;
    for (int i = 0; i < COUNT; i++)
        sum += x[i];
    for (int i = 0; i < COUNT; i++)
        squares += (x[i] - sum / COUNT) * (x[i] - sum / COUNT);
    for (uint32_t level = 0; level < detector.levels; level++) {
        assert_true(detector.counts[level] <= MR_ADWIN_BUCKETS);
        in_buckets += (double)detector.counts[level] * (double)(1u << level);
    }
    assert_true(detector.width == COUNT && in_buckets == COUNT);
    assert_true(fabs(detector.sum - sum) < 1e-8);
    assert_true(fabs(detector.squares - squares) < 1e-6);
}

// 40 streams of 5,000 numbers each that do not change, then a step of one deviation.
static void chance_is_rarely_taken_for_drift_and_a_step_is_found(void **state)
{
    (void)state;
    const mr_adwin_config config = mr_adwin_defaults();
    mr_page_hinkley_config page = mr_page_hinkley_defaults();
    page.delta = 0.1; // of one deviation
    int false_alarms = 0, false_pages = 0;
    double late = 0, page_late = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
        mr_adwin adwin = {0};
        mr_page_hinkley hinkley = {0};
        int found = -1, paged = -1;
        for (int i = 0; i < 6000; i++) {
            const double x = mr_normal_draw(&rng) + (i < 5000 ? 0 : 1);
            const bool a = mr_adwin_add(&adwin, &config, x);
            const bool p = mr_page_hinkley_add(&hinkley, &page, x);
            false_alarms += a && i < 5000;
            false_pages += p && i < 5000;
            found = a && i >= 5000 && found < 0 ? i - 5000 : found;
            paged = p && i >= 5000 && paged < 0 ? i - 5000 : paged;
        }
        assert_true(found >= 0 && paged >= 0);
        late += found / 40.0;
        page_late += paged / 40.0;
    }
    print_message("of 40 streams: ADWIN %d false alarms, %.0f numbers late; Page-Hinkley %d, %.0f\n",
                  false_alarms, late, false_pages, page_late);
    assert_true(false_alarms <= 2 && false_pages <= 2);
    assert_true(late < 100 && page_late < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_hinkley_speaks_where_river_does),
        cmocka_unit_test(adwin_gives_the_worked_figures),
        cmocka_unit_test(adwin_that_begins_again_gives_rivers_window),
        cmocka_unit_test(the_window_is_that_of_its_numbers),
        cmocka_unit_test(chance_is_rarely_taken_for_drift_and_a_step_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
