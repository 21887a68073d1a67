// SPDX-License-Identifier: Apache-2.0
#include "small.h"

#include <stdlib.h>

#include "worker/measure/exposure.h"

static const double had[SMALL_ITEMS] = {3, 2, 1, 1, 0, 0}; // by how many users

static void exposure_of_small(double *exposure)
{
    for (uint32_t u = 0; u < SMALL_USERS; u++)
        for (uint32_t j = 0; j < SMALL_K; j++)
            exposure[small_lists[u][j] - 1] += 1;
}

static void the_small_example_spreads_as_computed_by_hand(void **state)
{
    (void)state;
    mr_sorted scratch[SMALL_ITEMS];
    double exposure[SMALL_ITEMS] = {0};
    exposure_of_small(exposure);
    const mr_spread spread = mr_spread_of(exposure, SMALL_ITEMS, scratch);
    near(spread.coverage, 5.0 / 6, 1e-12);
    near(spread.gini, .3518519, 1e-7);
    near(spread.gini * 6 / 5, .4222222, 1e-7); // as those write it who divide by n - 1
    near(spread.shannon, 2.1971597, 1e-7);
}

static void the_head_is_the_shortest_prefix_with_four_fifths_of_the_counts(void **state)
{
    (void)state;
    mr_sorted scratch[SMALL_ITEMS];
    bool head[SMALL_ITEMS];
    const bool want[SMALL_ITEMS] = {true, true, true, false, false, false};
    assert_int_equal(mr_popularity_head(had, SMALL_ITEMS, .8, head, scratch), 3);
    assert_memory_equal(head, want, sizeof want);
    const double exact[] = {8, 1, 1}, nothing[] = {0, 0, 0};
    assert_int_equal(mr_popularity_head(exact, 3, .8, head, scratch), 1); // fits exactly
    assert_int_equal(mr_popularity_head(exact, 3, .81, head, scratch), 2);
    assert_int_equal(mr_popularity_head(nothing, 3, .8, head, scratch), 0);
}

static void the_small_example_has_its_popularity_and_novelty(void **state)
{
    (void)state;
    mr_sorted scratch[SMALL_ITEMS];
    bool head[SMALL_ITEMS];
    mr_popularity_head(had, SMALL_ITEMS, .8, head, scratch);
    const mr_popularity popularity = {had, head, SMALL_ITEMS, SMALL_USERS, 7};
    mr_listed mean = {0};
    double hits[2] = {0}, relevant[2] = {0};
    for (uint32_t u = 0; u < SMALL_USERS; u++) {
        uint32_t list[SMALL_K];
        bool met[SMALL_K];
        for (uint32_t j = 0; j < SMALL_K; j++) {
            list[j] = (uint32_t)small_lists[u][j] - 1;
            met[j] = small_is_relevant(u, small_lists[u][j]);
            hits[head[list[j]] ? 0 : 1] += met[j];
        }
        for (uint32_t i = 0; i < SMALL_ITEMS; i++)
            relevant[head[i] ? 0 : 1] += small_is_relevant(u, i + 1);
        const mr_listed one = mr_listed_of(list, SMALL_K, met, &popularity);
        mean.arp += one.arp / SMALL_USERS;
        mean.aclt += one.aclt / SMALL_USERS;
        mean.aplt += one.aplt / SMALL_USERS;
        mean.epc += one.epc / SMALL_USERS;
        mean.epc_plain += one.epc_plain / SMALL_USERS;
        mean.novelty += one.novelty / SMALL_USERS;
    }
    near(mean.arp, .6666667, 1e-7);
    near(mean.aclt, 2, 1e-12);
    near(mean.aplt, .6666667, 1e-7);
    near(mean.epc, .4320273, 1e-7);
    near(mean.epc_plain, .7324626, 1e-7);
    near(mean.novelty, 3.0798883, 1e-7);
    near(hits[0], 2, 0);
    near(relevant[0], 2, 0);
    near(hits[1], 3, 0);
    near(relevant[1], 4, 0);
    near(mr_group_disparity(hits, relevant, 2), .1428571, 1e-7);
}

static void what_was_shown_of_each_group_is_judged_by_what_could_have_been(void **state)
{
    (void)state;
    // Not had by u1 {1, 2}: head 3, tail 4, 5, 6; by u2 {1, 3}: 2 | 4, 5, 6; by u3 {1, 2, 4}:
    // 3 | 5, 6. Shown: 3 | 5, 4; 2 | 4, 5; 3 | 5, 6.
    const double shown[] = {3, 6}, could[] = {3, 8};
    near(mr_group_disparity(shown, could, 2), .125 / .875, 1e-12);
}

static void efd_weighs_hits_by_their_information_and_needs_it_to_be_finite(void **state)
{
    (void)state;
    const bool head[] = {true, false, false}, met[] = {true, false, true};
    const double counts[] = {6, 2, 0};
    const mr_popularity popularity = {counts, head, 3, 8, 8};
    const uint32_t seen[] = {0, 2, 1}, unseen[] = {0, 1, 2};
    const double discounts = 1 + 1 / log2(3) + .5;
    near(mr_listed_of(seen, 3, met, &popularity).efd, (log2(8.0 / 6) + .5 * log2(4)) / discounts,
         1e-12);
    assert_true(isnan(mr_listed_of(unseen, 3, met, &popularity).efd));
    assert_true(isnan(mr_listed_of(seen, 3, NULL, &popularity).efd));
    assert_true(isnan(mr_listed_of(seen, 3, NULL, &popularity).epc));
    assert_true(!isnan(mr_listed_of(seen, 3, NULL, &popularity).epc_plain));
}

static void what_is_not_defined_is_no_number(void **state)
{
    (void)state;
    mr_sorted scratch[3];
    const double none[] = {0, 0, 0}, part[] = {1, 0}, whole[] = {2, 0}, zeros[] = {0, 0},
                 some[] = {2, 2};
    const mr_popularity popularity = {none, NULL, 3, 0, 0};
    assert_true(isnan(mr_spread_of(none, 3, scratch).gini));
    assert_true(isnan(mr_spread_of(none, 3, scratch).shannon));
    near(mr_spread_of(none, 3, scratch).coverage, 0, 0);
    assert_true(isnan(mr_spread_of(none, 0, scratch).coverage));
    assert_true(isnan(mr_listed_of(NULL, 0, NULL, &popularity).arp));
    assert_true(isnan(mr_group_disparity(part, whole, 2)));
    assert_true(isnan(mr_group_disparity(zeros, some, 2)));
}

// Gini is half the mean absolute difference of two items over their mean.
static void random_exposure_equals_the_sum_over_all_pairs(void **state)
{
    (void)state;
    enum { N = 25 };
    mr_rng rng = draws_of(7);
    for (uint32_t round = 0; round < 500; round++) {
        double c[N], sum = 0, pairs = 0, entropy = 0;
        mr_sorted scratch[N];
        uint32_t shown = 0;
        for (uint32_t i = 0; i < N; i++) {
            c[i] = mr_rng_below(&rng, 3) == 0 ? 0 : mr_rng_double(&rng) * 100;
            sum += c[i];
            shown += c[i] > 0;
        }
        for (uint32_t i = 0; i < N; i++) {
            entropy += c[i] > 0 ? c[i] / sum * log2(sum / c[i]) : 0;
            for (uint32_t j = 0; j < N; j++)
                pairs += fabs(c[i] - c[j]);
        }
        const mr_spread spread = mr_spread_of(c, N, scratch);
        near(spread.gini, pairs / (2 * N * sum), 1e-12);
        near(spread.shannon, entropy, 1e-12);
        near(spread.coverage, shown / (double)N, 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_small_example_spreads_as_computed_by_hand),
        cmocka_unit_test(the_head_is_the_shortest_prefix_with_four_fifths_of_the_counts),
        cmocka_unit_test(the_small_example_has_its_popularity_and_novelty),
        cmocka_unit_test(what_was_shown_of_each_group_is_judged_by_what_could_have_been),
        cmocka_unit_test(efd_weighs_hits_by_their_information_and_needs_it_to_be_finite),
        cmocka_unit_test(what_is_not_defined_is_no_number),
        cmocka_unit_test(random_exposure_equals_the_sum_over_all_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
