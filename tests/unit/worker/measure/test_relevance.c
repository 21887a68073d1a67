// SPDX-License-Identifier: Apache-2.0
// Against worked figures, a reference that counts by definition, closed forms and scikit-learn.
#include "small.h"

#include <stdlib.h>
#include <string.h>

#include "core/eval/probe.h"
#include "worker/measure/relevance.h"

enum { N = 12, CUTS = 4, ROUNDS = 2000 };

static void a_worked_list_gives_its_figures(void **state)
{
    (void)state;
    const uint64_t list[] = {10, 1, 11, 2, 3}, relevant[] = {10, 11, 99};
    const uint32_t cut = 5;
    mr_relevance at;
    mr_relevance_of(list, 5, relevant, 3, &cut, 1, &at);
    near(at.precision, .4, 1e-12);
    near(at.recall, .6666667, 1e-7);
    near(at.f1, .5, 1e-12);
    near(at.ap, .5555556, 1e-7);
    near(at.dcg, 1.5, 1e-12);
    near(at.dcg / at.ndcg, 2.1309298, 1e-7);
    near(at.ndcg, .7039181, 1e-7);
    near(at.rr, 1, 0);
    near(at.hit, 1, 0);
}

// scikit-learn 1.9.1: precision_recall_fscore_support, ndcg_score and roc_auc_score.
static void one_list_has_the_values_of_scikit_learn(void **state)
{
    (void)state;
    const uint64_t list[] = {7, 2, 9, 14, 0, 5, 11, 3, 8, 1}, relevant[] = {2, 3, 5, 9, 12, 13};
    const uint32_t cuts[] = {3, 5, 10};
    const double precision[] = {2.0 / 3, .4, .4}, recall[] = {1.0 / 3, 1.0 / 3, 2.0 / 3};
    const double f1[] = {.4444444444444444, .36363636363636365, .5};
    const double ndcg[] = {.5307212739772434, .3835663673713356, .5454716605423198};
    const float scores[] = {.9f, .9f, .1f, .4f, .4f, .4f, .7f, .2f};
    const uint8_t labels[] = {1, 0, 0, 1, 1, 0, 1, 0};
    mr_sorted scratch[8];
    mr_relevance at[3];
    mr_relevance_of(list, 10, relevant, 6, cuts, 3, at);
    for (int c = 0; c < 3; c++) {
        near(at[c].precision, precision[c], 1e-12);
        near(at[c].recall, recall[c], 1e-12);
        near(at[c].f1, f1[c], 1e-12);
        near(at[c].ndcg, ndcg[c], 1e-12);
    }
    near(mr_auc(scores, labels, 8, scratch), .71875, 1e-12);
}

static void the_small_example_has_its_means(void **state)
{
    (void)state;
    mr_relevance sum = {0};
    for (uint32_t u = 0; u < SMALL_USERS; u++) {
        const uint32_t cut = SMALL_K;
        mr_relevance at;
        mr_relevance_of(small_lists[u], SMALL_K, small_relevant[u], SMALL_RELEVANT, &cut, 1, &at);
        sum.precision += at.precision / SMALL_USERS;
        sum.recall += at.recall / SMALL_USERS;
        sum.ap += at.ap / SMALL_USERS;
        sum.ndcg += at.ndcg / SMALL_USERS;
        sum.rr += at.rr / SMALL_USERS;
        sum.hit += at.hit / SMALL_USERS;
    }
    near(sum.precision, .5555556, 1e-7);
    near(sum.recall, .8333333, 1e-7);
    near(sum.ap, .6944444, 1e-7);
    near(sum.ndcg, .7688579, 1e-7);
    near(sum.rr, .8333333, 1e-7);
    near(sum.hit, 1, 1e-12);
}

static void short_lists_divide_by_the_cut_off_and_no_list_is_zeros(void **state)
{
    (void)state;
    const uint64_t list[] = {7}, relevant[] = {7, 8};
    const uint32_t cuts[] = {1, 4};
    mr_relevance at[2];
    mr_relevance_of(list, 1, relevant, 2, cuts, 2, at);
    near(at[0].precision, 1, 0);
    near(at[0].ndcg, 1, 0);
    near(at[1].precision, .25, 0);
    near(at[1].recall, .5, 0);
    near(at[1].ap, .5, 0);
    mr_relevance_of(list, 0, relevant, 2, cuts, 2, at);
    const mr_relevance zeros = {0};
    assert_memory_equal(&at[0], &zeros, sizeof zeros);
    assert_memory_equal(&at[1], &zeros, sizeof zeros);
}

static void a_repeated_item_is_a_miss_where_it_stands_again(void **state)
{
    (void)state;
    const uint64_t list[] = {7, 7, 8}, relevant[] = {7, 8};
    const uint32_t cut = 3;
    mr_relevance at;
    mr_relevance_of(list, 3, relevant, 2, &cut, 1, &at);
    near(at.precision, 2.0 / 3, 1e-12);
    near(at.recall, 1, 0);
    near(at.ap, (1 + 2.0 / 3) / 2, 1e-12);
}

// ---- a reference by definition

static bool in(const uint64_t *items, uint32_t count, uint64_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

static double precision_at(const uint64_t *list, uint32_t count, const uint64_t *rel, uint32_t r,
                           uint32_t k)
{
    double hits = 0;
    for (uint32_t i = 0; i < r; i++)
        hits += in(list, k < count ? k : count, rel[i]);
    return hits / k;
}

static mr_relevance by_definition(const uint64_t *list, uint32_t count, const uint64_t *rel,
                                  uint32_t r, uint32_t k)
{
    mr_relevance want = {.precision = precision_at(list, count, rel, r, k)};
    const uint32_t best = k < r ? k : r;
    double ideal = 0;
    want.recall = want.precision * k / r;
    if (want.recall > 0)
        want.f1 = 2 / (1 / want.precision + 1 / want.recall);
    want.hit = want.precision > 0;
    for (uint32_t j = 1; j <= k; j++) {
        ideal += j <= best ? log(2) / log(j + 1) : 0;
        if (j > count || !in(rel, r, list[j - 1]))
            continue;
        want.ap += precision_at(list, count, rel, r, j) / best;
        want.dcg += log(2) / log(j + 1);
        want.rr = fmax(want.rr, 1.0 / j);
    }
    want.ndcg = want.dcg / ideal;
    return want;
}

static void random_lists_equal_the_definitions(void **state)
{
    (void)state;
    const uint32_t cuts[CUTS] = {1, 3, 7, N};
    mr_rng rng = draws_of(1);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t list[N], relevant[N];
        mr_relevance at[CUTS];
        uint32_t r = 0;
        shuffle(list, N, &rng);
        const uint32_t count = mr_rng_below(&rng, N + 1), first = mr_rng_below(&rng, N);
        for (uint32_t i = first; i < N; i++) // ascending, one at least
            if (i == first || mr_rng_below(&rng, 3) == 0)
                relevant[r++] = i;
        mr_relevance_of(list, count, relevant, r, cuts, CUTS, at);
        for (uint32_t c = 0; c < CUTS; c++) {
            const mr_relevance want = by_definition(list, count, relevant, r, cuts[c]);
            near(at[c].precision, want.precision, 1e-12);
            near(at[c].recall, want.recall, 1e-12);
            near(at[c].f1, want.f1, 1e-12);
            near(at[c].ap, want.ap, 1e-12);
            near(at[c].dcg, want.dcg, 1e-12);
            near(at[c].ndcg, want.ndcg, 1e-12);
            near(at[c].rr, want.rr, 1e-12);
            near(at[c].hit, want.hit, 0);
        }
        if (count == N)
            near(at[CUTS - 1].recall, 1, 0);
    }
}

static void items_below_the_last_hit_do_not_matter_and_the_best_list_has_ndcg_one(void **state)
{
    (void)state;
    const uint64_t best[] = {2, 1, 8, 9}, other[] = {1, 2, 9, 8}, relevant[] = {1, 2};
    const uint32_t cuts[] = {1, 2, 4};
    mr_relevance a[3], b[3];
    mr_relevance_of(best, 4, relevant, 2, cuts, 3, a);
    mr_relevance_of(other, 4, relevant, 2, cuts, 3, b);
    assert_memory_equal(a, b, sizeof a);
    for (int c = 0; c < 3; c++)
        near(a[c].ndcg, 1, 1e-15);
}

static void random_lists_have_the_means_of_their_closed_forms(void **state)
{
    (void)state;
    enum { LISTS = 40000, K = 4 };
    const uint64_t relevant[] = {0, 5, 11};
    const uint32_t cut = K;
    double recall = 0, hit = 0;
    mr_rng rng = draws_of(2);
    for (uint32_t i = 0; i < LISTS; i++) {
        uint64_t list[N];
        mr_relevance at;
        shuffle(list, N, &rng);
        mr_relevance_of(list, K, relevant, 3, &cut, 1, &at);
        recall += at.recall / LISTS;
        hit += at.hit / LISTS;
    }
    // E R = k / n; E HR = 1 - C(n - r, k) / C(n, k) = 1 - (9 8 7 6) / (12 11 10 9).
    near(recall, (double)K / N, 5 * sqrt(.08 / LISTS));
    near(hit, 1 - 3024.0 / 11880, 5 * sqrt(.25 / LISTS));
}

// ---- ties, and scores

// A target whose score others share counts as the mean over the orders that the tie could have.
static void tied_targets_count_by_expectation_over_their_orders(void **state)
{
    (void)state;
    const uint64_t relevant[] = {1};
    const uint32_t cut = MR_CUT;
    for (uint32_t above = 0; above < 30; above++)
        for (uint32_t tied = 1; tied < 30; tied++) {
            double recall = 0, ndcg = 0, rr = 0;
            for (uint32_t place = above; place < above + tied; place++) {
                uint64_t list[64];
                mr_relevance at;
                memset(list, 0, sizeof list);
                list[place] = 1;
                mr_relevance_of(list, 64, relevant, 1, &cut, 1, &at);
                recall += at.recall / tied;
                ndcg += at.ndcg / tied;
                rr += at.rr / tied;
            }
            const mr_hit_value value = mr_hit_value_of(above, tied);
            near((double)value.recall, recall, 1e-6);
            near((double)value.ndcg, ndcg, 1e-6);
            near((double)value.rr, rr, 1e-6);
        }
}

static void a_model_that_scores_all_alike_gets_what_chance_gets(void **state)
{
    (void)state;
    const mr_hit_value value = mr_hit_value_of(0, 200);
    near((double)value.recall, 20.0 / 200, 1e-7);
}

static void auc_equals_the_share_of_pairs_that_are_in_order(void **state)
{
    (void)state;
    const float scores[] = {.8f, .6f, .6f, .1f};
    const uint8_t labels[] = {1, 0, 1, 0};
    mr_sorted scratch[64];
    near(mr_auc(scores, labels, 4, scratch), .875, 1e-12);
    mr_rng rng = draws_of(3);
    for (uint32_t round = 0; round < 300; round++) {
        float x[40];
        uint8_t y[40];
        double won = 0, pairs = 0;
        for (uint32_t i = 0; i < 40; i++) {
            x[i] = (float)mr_rng_below(&rng, 9) - 4.0f;
            y[i] = mr_rng_below(&rng, 3) == 0;
        }
        for (uint32_t i = 0; i < 40; i++)
            for (uint32_t j = 0; j < 40; j++)
                if (y[i] > y[j]) {
                    pairs += 1;
                    won += x[i] > x[j] ? 1 : x[i] < x[j] ? 0 : .5;
                }
        if (pairs > 0)
            near(mr_auc(x, y, 40, scratch), won / pairs, 1e-12);
    }
}

static void auc_needs_both_labels_and_puts_a_nan_last(void **state)
{
    (void)state;
    const float scores[] = {1, NAN, -INFINITY};
    const uint8_t alike[] = {1, 1, 1}, one[] = {1, 0, 0}, last[] = {0, 1, 0};
    mr_sorted scratch[3];
    assert_true(isnan(mr_auc(scores, alike, 3, scratch)));
    assert_true(isnan(mr_auc(scores, alike, 0, scratch)));
    near(mr_auc(scores, one, 3, scratch), 1, 0);
    near(mr_auc(scores, last, 3, scratch), .25, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worked_list_gives_its_figures),
        cmocka_unit_test(one_list_has_the_values_of_scikit_learn),
        cmocka_unit_test(the_small_example_has_its_means),
        cmocka_unit_test(short_lists_divide_by_the_cut_off_and_no_list_is_zeros),
        cmocka_unit_test(a_repeated_item_is_a_miss_where_it_stands_again),
        cmocka_unit_test(random_lists_equal_the_definitions),
        cmocka_unit_test(items_below_the_last_hit_do_not_matter_and_the_best_list_has_ndcg_one),
        cmocka_unit_test(random_lists_have_the_means_of_their_closed_forms),
        cmocka_unit_test(tied_targets_count_by_expectation_over_their_orders),
        cmocka_unit_test(a_model_that_scores_all_alike_gets_what_chance_gets),
        cmocka_unit_test(auc_equals_the_share_of_pairs_that_are_in_order),
        cmocka_unit_test(auc_needs_both_labels_and_puts_a_nan_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
