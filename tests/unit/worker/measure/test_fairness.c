// SPDX-License-Identifier: Apache-2.0
#include "small.h"

#include <string.h>

#include "worker/measure/fairness.h"
#include "worker/measure/relevance.h"

enum { N_MAX = 40 };

static void the_worked_counts_give_their_figures(void **state)
{
    (void)state;
    const double counts[] = {3, 2, 1, 0, 0};
    mr_sorted scratch[5];
    const mr_fairness f = mr_fairness_of(counts, 5, 3, scratch);
    near(f.plain.jain, .5142857, 1e-7);
    near(f.corrected.jain, .2285714, 1e-7);
    near(f.plain.qf, .6, 1e-12);
    near(f.corrected.qf, .3333333, 1e-7);
    near(f.plain.entropy, .6284208, 1e-7);
    near(f.corrected.entropy, .3668402, 1e-7);
    near(f.plain.gini, .5333333, 1e-7);
    near(f.corrected.gini, .8571429, 1e-7);
    near(f.plain.fsat, .6, 1e-12);
    near(f.corrected.fsat, .3333333, 1e-7);
}

// Best counts: lists that go round all items. Worst: the same k items for all.
static void the_ends_of_the_scales_are_reached_for_every_n_m_and_k(void **state)
{
    (void)state;
    mr_sorted scratch[N_MAX];
    for (uint32_t n = 2; n <= N_MAX; n += 3)
        for (uint32_t k = 1; k < n && k <= 5; k++)
            for (uint32_t m = 2; m <= 29; m++) {
                double best[N_MAX] = {0}, worst[N_MAX] = {0};
                for (uint32_t place = 0; place < m * k; place++) {
                    best[place % n] += 1;
                    worst[place % k] += 1;
                }
                const mr_fairness b = mr_fairness_of(best, n, m, scratch);
                const mr_fairness w = mr_fairness_of(worst, n, m, scratch);
                near(b.corrected.jain, 1, 1e-9);
                near(b.corrected.qf, 1, 1e-9);
                near(b.corrected.entropy, 1, 1e-9);
                near(b.corrected.gini, 0, 1e-9);
                near(w.corrected.jain, 0, 1e-9);
                near(w.corrected.qf, 0, 1e-9);
                near(w.corrected.entropy, 0, 1e-9);
                near(w.corrected.gini, 1, 1e-9);
                if (m * k < n) {
                    assert_true(isnan(b.corrected.fsat) && isnan(w.plain.fsat));
                    continue;
                }
                near(b.corrected.fsat, 1, 1e-9);
                near(w.corrected.fsat, 0, 1e-9);
            }
}

static void no_lists_and_lists_of_everything_are_not_judged(void **state)
{
    (void)state;
    mr_sorted scratch[3];
    const double none[] = {0, 0, 0}, all[] = {2, 2, 2};
    assert_true(isnan(mr_fairness_of(none, 3, 2, scratch).plain.jain));
    const mr_fairness f = mr_fairness_of(all, 3, 2, scratch);
    near(f.plain.jain, 1, 1e-12);
    assert_true(isnan(f.corrected.jain) && isnan(f.corrected.qf) && isnan(f.corrected.entropy) &&
                isnan(f.corrected.gini) && isnan(f.corrected.fsat));
}

// The formulas as the paper writes them, in two cases each.
static void random_counts_equal_the_formulas_of_the_paper(void **state)
{
    (void)state;
    mr_rng rng = draws_of(3);
    for (uint32_t round = 0; round < 300; round++) {
        const uint32_t n = 8 + mr_rng_below(&rng, 33), k = 2 + mr_rng_below(&rng, 4),
                       m = 2 + mr_rng_below(&rng, 28);
        double c[N_MAX] = {0}, squares = 0, shown = 0, entropy = 0;
        mr_sorted scratch[N_MAX];
        for (uint32_t u = 0; u < m; u++) {
            uint64_t items[N_MAX];
            shuffle(items, n, &rng);
            for (uint32_t j = 0; j < k; j++)
                c[items[j] % (1 + mr_rng_below(&rng, n))] += 1;
        }
        const double S = m * k, fl = floor(S / n), mod = S - fl * n;
        for (uint32_t i = 0; i < n; i++) {
            squares += c[i] * c[i];
            shown += c[i] > 0;
            entropy -= c[i] > 0 ? c[i] / S * log(c[i] / S) / log(n) : 0;
        }
        const mr_fairness f = mr_fairness_of(c, n, m, scratch);
        const double jain = S * S / (n * squares), kn = (double)k / n, lk = log(k) / log(n);
        const double jain_max = S * S / (n * (n * fl * fl + mod * (2 * fl + 1)));
        const double gini_min = (n - mod) * mod / (n * S);
        near(f.corrected.jain, (jain - kn) / (jain_max - kn), 1e-10);
        near(f.corrected.qf, S >= n ? (shown - k) / (n - k) : (shown - k) / (k * (m - 1.0)), 1e-10);
        near(f.corrected.gini, (f.plain.gini - gini_min) / (1 - kn - gini_min), 1e-10);
        double range = log(S / k) / log(n);
        if (S >= n) {
            const double x = fl / S, y = (fl + 1) / S;
            range = -(n - mod) * x * log(x) / log(n) - mod * y * log(y) / log(n) - lk;
        }
        near(f.corrected.entropy, (entropy - lk) / range, 1e-10);
    }
}

static void exposure_by_rank_is_worst_with_fixed_places_and_best_without_repetition(void **state)
{
    (void)state;
    enum { N = 12, K = 3 };
    mr_sorted scratch[N];
    double fixed[N] = {0}, apart[N] = {0}, even[N];
    for (uint32_t u = 0; u < 4; u++)
        for (uint32_t r = 1; r <= K; r++) {
            fixed[r] += mr_rank_discount(r);
            apart[u * K + r - 1] += mr_rank_discount(r);
        }
    near(mr_fairness_weighted_gini(fixed, N, 4, K, scratch), 1, 1e-12);
    near(mr_fairness_weighted_gini(apart, N, 4, K, scratch), 0, 1e-12);
    for (uint32_t i = 0; i < N; i++)
        even[i] = 5; // more places than items: all alike can be reached
    near(mr_fairness_weighted_gini(even, N, 100, K, scratch), 0, 1e-12);
    memset(fixed, 0, sizeof fixed);
    for (uint32_t r = 1; r <= K; r++)
        fixed[r] = 100 * mr_rank_discount(r);
    near(mr_fairness_weighted_gini(fixed, N, 100, K, scratch), 1, 1e-12);
    assert_true(isnan(mr_fairness_weighted_gini(even, K, 4, K, scratch)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_counts_give_their_figures),
        cmocka_unit_test(the_ends_of_the_scales_are_reached_for_every_n_m_and_k),
        cmocka_unit_test(no_lists_and_lists_of_everything_are_not_judged),
        cmocka_unit_test(random_counts_equal_the_formulas_of_the_paper),
        cmocka_unit_test(
            exposure_by_rank_is_worst_with_fixed_places_and_best_without_repetition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
