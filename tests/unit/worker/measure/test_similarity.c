// SPDX-License-Identifier: Apache-2.0
#include "small.h"

#include "worker/measure/pareto.h"
#include "worker/measure/similarity.h"

static const uint64_t s[] = {'a', 'b', 'c', 'd', 'e'}, t[] = {'b', 'a', 'c', 'f', 'g'};

static void the_worked_pair_overlaps_as_package_rbo_says(void **state)
{
    (void)state;
    const mr_overlap overlap = mr_rbo(s, 5, t, 5, .9);
    near(overlap.truncated, .265041, 1e-9);
    near(overlap.extrapolated, .619335, 1e-9);
    near(overlap.average, .67, 1e-12);
    near(mr_rbo(s, 5, t, 5, 1).average, .67, 1e-12);
    near(mr_jaccard(s, 5, t, 5), .4285714, 1e-7);
}

static void a_list_is_the_same_as_itself(void **state)
{
    (void)state;
    const mr_overlap overlap = mr_rbo(s, 5, s, 5, .9);
    near(overlap.truncated, .40951, 1e-9);
    near(overlap.extrapolated, 1, 1e-12);
    near(overlap.average, 1, 1e-12);
    near(mr_jaccard(s, 5, s, 5), 1, 0);
}

static void lists_that_share_nothing_and_no_lists(void **state)
{
    (void)state;
    const uint64_t other[] = {1, 2};
    near(mr_rbo(s, 5, other, 2, .9).extrapolated, 0, 0);
    near(mr_rbo(s, 5, NULL, 0, .9).extrapolated, 0, 0);
    near(mr_jaccard(s, 5, NULL, 0), 0, 0);
    assert_true(isnan(mr_rbo(NULL, 0, NULL, 0, .9).extrapolated));
    assert_true(isnan(mr_jaccard(NULL, 0, NULL, 0)));
}

static double agreement(const uint64_t *a, uint32_t na, const uint64_t *b, uint32_t nb, uint32_t d)
{
    double shared = 0;
    for (uint32_t i = 0; i < d && i < na; i++)
        for (uint32_t j = 0; j < d && j < nb; j++)
            shared += a[i] == b[j];
    return shared / d;
}

static void random_lists_equal_the_sum_over_depths(void **state)
{
    (void)state;
    enum { N = 14 };
    mr_rng rng = draws_of(5);
    for (uint32_t round = 0; round < 1000; round++) {
        uint64_t a[N], b[N];
        const double p = mr_rng_double(&rng);
        const uint32_t na = mr_rng_below(&rng, N), nb = 1 + mr_rng_below(&rng, N - 1);
        const uint32_t k = na > nb ? na : nb;
        double truncated = 0, average = 0;
        shuffle(a, N, &rng);
        shuffle(b, N, &rng);
        for (uint32_t d = 1; d <= k; d++) {
            truncated += (1 - p) * pow(p, d - 1) * agreement(a, na, b, nb, d);
            average += agreement(a, na, b, nb, d) / k;
        }
        const mr_overlap overlap = mr_rbo(a, na, b, nb, p);
        near(overlap.truncated, truncated, 1e-12);
        near(overlap.extrapolated, truncated + agreement(a, na, b, nb, k) * pow(p, k), 1e-12);
        near(overlap.average, average, 1e-12);
        const double all = na + nb, shared = agreement(a, na, b, nb, k) * k;
        near(mr_jaccard(a, na, b, nb), shared / (all - shared), 1e-12);
    }
}

static void a_list_of_vectors_has_its_similarity_and_unexpectedness(void **state)
{
    (void)state;
    const float list[] = {0, 1, 0, 1, .8f, .6f}, history[] = {1, 0, .6f, .8f}; // 3, 5, 4 | 1, 2
    near(mr_intra_list_similarity(list, 3, 2), .7333333, 1e-6);
    near(mr_unexpectedness(list, 3, history, 2, 2), .44, 1e-6);
    const float zero[] = {0, 0, 1, 1};
    near(mr_intra_list_similarity(zero, 2, 2), 0, 0);
    assert_true(isnan(mr_intra_list_similarity(list, 1, 2)));
    assert_true(isnan(mr_unexpectedness(list, 3, history, 0, 2)));
    assert_true(isnan(mr_unexpectedness(list, 0, history, 2, 2)));
}

static void the_worked_frontier_has_its_middle_and_its_distance(void **state)
{
    (void)state;
    mr_trade points[] = {{.3, .9}, {.9, .1}, {.6, .7}, {.9, .2}, {.8, .5}};
    const mr_trade want[] = {{.9, .2}, {.8, .5}, {.6, .7}, {.3, .9}};
    assert_int_equal(mr_pareto_order(points, 5), 4);
    assert_memory_equal(points, want, sizeof want);
    const double first = mr_pareto_distance(points[0], points[1]);
    const double second = first + mr_pareto_distance(points[1], points[2]);
    near(first, .3162278, 1e-7);
    near(second, .5990705, 1e-7);
    near(second + mr_pareto_distance(points[2], points[3]), .9596256, 1e-7);
    const mr_trade middle = mr_pareto_reference(points, 4, .5);
    near(middle.relevance, .6, 0);
    near(middle.fairness, .7, 0);
    near(mr_pareto_distance((mr_trade){.5, .5}, middle), .2236068, 1e-7);
    near(mr_pareto_reference(points, 4, 0).relevance, .9, 0);
    near(mr_pareto_reference(points, 4, 1).relevance, .3, 0);
    near(mr_pareto_reference(points, 1, .5).relevance, .9, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_pair_overlaps_as_package_rbo_says),
        cmocka_unit_test(a_list_is_the_same_as_itself),
        cmocka_unit_test(lists_that_share_nothing_and_no_lists),
        cmocka_unit_test(random_lists_equal_the_sum_over_depths),
        cmocka_unit_test(a_list_of_vectors_has_its_similarity_and_unexpectedness),
        cmocka_unit_test(the_worked_frontier_has_its_middle_and_its_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
