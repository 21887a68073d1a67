// SPDX-License-Identifier: Apache-2.0
// What is drawn follows its law: known answers of the transforms, tails by Hill's estimator, counts
// by Pearson's sum. All seeds are fixed, so nothing here is a matter of luck.
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/normal.h"
#include "core/base/vec.h"
#include "core/sim/taste.h"

static mr_rng any_rng(uint64_t seed)
{
    return mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
}

static void assert_near(double found, double wanted, double within)
{
    if (!(found > wanted - within && found < wanted + within))
        fail_msg("%.9g is not within %g of %.9g", found, within, wanted);
}

static mr_taste make(const mr_taste_config *config)
{
    mr_taste taste;
    void *memory = aligned_alloc(64, mr_taste_bytes(config));
    assert_non_null(memory);
    memset(memory, 0xa5, mr_taste_bytes(config)); // nothing may be taken from what was there
    mr_taste_init(&taste, config, memory);
    return taste;
}

static void drop(mr_taste *taste)
{
    free(taste->rho); // the first of the block
}

// ---- laws

static mr_law law_of(const char *text)
{
    mr_law law;
    mr_error err = {0};
    if (mr_law_parse(text, &law, &err) != MR_OK)
        fail_msg("%s", err.text);
    return law;
}

static void quantiles_have_their_known_values(void **state)
{
    (void)state;
    const mr_law power = law_of("power:1.5"), stretched = law_of("stretched:0.025:0.691");
    const mr_law exponential = law_of("exponential:0.5");
    assert_near(mr_law_quantile(&power, 0.5, 0), 4, 1e-9);
    assert_near(mr_law_quantile(&power, 0.5, 1000), 3.7585311, 1e-7);
    assert_near(mr_law_quantile(&stretched, 0.5, 0), 27.4698795, 1e-6);
    assert_near(mr_law_quantile(&exponential, 0.5, 0), 1 + 2 * 0.69314718056, 1e-9);
    assert_near(mr_law_quantile(&exponential, 1 - 1e-12, 5), 5, 1e-6);
}

// The share of draws at most x is the law's cut at max, for which `wanted` stands.
static void check_share(const char *text, double max, double x, double wanted)
{
    enum { DRAWS = 40000 };
    const mr_law law = law_of(text);
    mr_rng rng = any_rng(7);
    double below = 0;
    for (int i = 0; i < DRAWS; i++) {
        const double value = mr_law_draw(&law, &rng, 0, max);
        assert_true(value > 0 && value <= max);
        below += value <= x;
    }
    assert_near(below / DRAWS, wanted, 4 * __builtin_sqrt(wanted * (1 - wanted) / DRAWS));
}

// Integral of x^-a e^(-lambda x) over [1, to], by midpoints of log x.
static double mass(double a, double lambda, double to)
{
    enum { STEPS = 20000 };
    const double step = mr_log(to) / STEPS;
    double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        const double x = mr_exp((i + 0.5) * step);
        sum += mr_draw_power(x, 1 - a) * mr_exp(-lambda * x) * step;
    }
    return sum;
}

static void draws_lie_where_the_law_has_them(void **state)
{
    (void)state;
    check_share("power:1.5", 1000, 3.7585311, 0.5);
    check_share("power:2.5:3", 1e6, 6, 1 - 0.35355339);
    check_share("stretched:0.025:0.691", 1e9, 27.4698795, 0.5);
    check_share("lognormal:4.61:1.2", 1e9, 100.48415, 0.5);
    check_share("exponential:0.5", 1e9, 3, 0.63212056);
    check_share("cutoff:1.5:0.01", 1000, 5, mass(1.5, 0.01, 5) / mass(1.5, 0.01, 1000));
    check_share("cutoff:0.5:0.01", 1000, 50, mass(0.5, 0.01, 50) / mass(0.5, 0.01, 1000));
    check_share("cutoff:1.5:2", 100, 1.5, mass(1.5, 2, 1.5) / mass(1.5, 2, 100));
}

static void a_law_that_lies_above_its_cut_is_the_cut(void **state)
{
    (void)state;
    const char *const texts[] = {"power:2:50", "lognormal:40:0.1"};
    mr_rng rng = any_rng(1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const mr_law law = law_of(texts[i]);
        assert_true(mr_law_draw(&law, &rng, 0, 10) == 10);
    }
}

static void a_wrong_law_is_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {"",          "power",       "power:1",  "power:x", "power:2:",
                                 "power:2:1:1", "cutoff:1.5", "zipf:-1", "zipf:1e3", "powerful:2",
                                 "stretched:0:1", "exponential:"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mr_law law;
        mr_error err = {0};
        if (mr_law_parse(wrong[i], &law, &err) == MR_OK)
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(err.text, "want zipf:S"));
    }
}

// ---- mixtures

static void a_mixture_of_tiny_shapes_sums_to_one(void **state)
{
    (void)state;
    mr_rng rng = any_rng(3);
    for (int n = 0; n < 200; n++) {
        double shapes[64], sum = 0;
        float x[64];
        for (int i = 0; i < 64; i++)
            shapes[i] = n < 100 ? 0.1 / 64 : 1e-12;
        mr_draw_dirichlet(&rng, shapes, 64, x);
        for (int i = 0; i < 64; i++) {
            assert_true(x[i] >= 0 && x[i] <= 1);
            sum += (double)x[i];
        }
        assert_near(sum, 1, 1e-5);
    }
}

static void normals_have_mean_spread_and_tail(void **state)
{
    (void)state;
    enum { DRAWS = 400000 };
    mr_rng rng = any_rng(5);
    double sum = 0, squares = 0, far = 0;
    for (int i = 0; i < DRAWS; i++) {
        const double x = mr_normal_draw(&rng);
        sum += x;
        squares += x * x;
        far += x > 3;
    }
    assert_near(sum / DRAWS, 0, 4 / __builtin_sqrt(DRAWS));
    assert_near(squares / DRAWS, 1, 4 * __builtin_sqrt(2.0 / DRAWS));
    assert_near(far, 0.0013498980 * DRAWS, 4 * __builtin_sqrt(0.00135 * DRAWS));
}

static void a_dirichlet_has_its_means_and_variances(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    const double shapes[3] = {0.5, 1.5, 3};
    mr_rng rng = any_rng(9);
    double sums[3] = {0}, squares[3] = {0};
    for (int n = 0; n < DRAWS; n++) {
        float x[3];
        mr_draw_dirichlet(&rng, shapes, 3, x);
        for (int i = 0; i < 3; i++) {
            sums[i] += (double)x[i];
            squares[i] += (double)x[i] * (double)x[i];
        }
    }
    for (int i = 0; i < 3; i++) {
        const double mean = shapes[i] / 5, variance = mean * (1 - mean) / 6;
        assert_near(sums[i] / DRAWS, mean, 4 * __builtin_sqrt(variance / DRAWS));
        assert_near(squares[i] / DRAWS - mean * mean, variance, 0.03 * variance + 1e-3);
    }
}

// ---- the generator

static void the_worked_example_has_its_rate(void **state)
{
    (void)state;
    const float rho[3] = {.7f, .2f, .1f}, alpha[3] = {.1f, .8f, .1f};
    double match = 0;
    for (int a = 0; a < 3; a++)
        match += (double)rho[a] * (double)alpha[a];
    assert_near(match, 0.24, 1e-7);
    assert_near(mr_taste_formula(8000, 0.24, mr_draw_power(20.0 / 1000, 1.2),
                                 mr_draw_power(30.0 / 5000, 1.2)),
                0.0378720, 5e-8);
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// Hill's estimator of the density's exponent from the `top` largest values.
static double hill(double *x, uint32_t count, uint32_t top)
{
    double sum = 0;
    qsort(x, count, sizeof *x, descending);
    for (uint32_t i = 0; i < top; i++)
        sum += mr_log(x[i] / x[top]);
    return 1 + top / sum;
}

static void engagement_and_degrees_have_the_tail_that_was_wished_for(void **state)
{
    (void)state;
    mr_taste_config config = mr_taste_defaults();
    config.users = config.items = 100000;
    config.attributes = 8;
    config.engagement = law_of("power:2.5"); // cut at the other side's number: far out
    config.popularity = law_of("power:2");
    mr_taste taste = make(&config);
    double *x = malloc(100000 * sizeof *x);
    assert_non_null(x);
    for (uint32_t u = 0; u < 100000; u++)
        x[u] = (double)taste.engagement[u];
    assert_near(hill(x, 100000, 2000), 2.5, 0.15);
    for (uint32_t u = 0; u < 100000; u++)
        x[u] = mr_taste_degree(&taste, 1, u);
    assert_near(hill(x, 100000, 2000), 2.5, 0.15);
    for (uint32_t i = 0; i < 100000; i++)
        x[i] = (double)taste.popularity[i];
    assert_near(hill(x, 100000, 2000), 2, 0.15);
    free(x);
    drop(&taste);
}

static mr_taste_config small(double epsilon)
{
    mr_taste_config config = mr_taste_defaults();
    config.users = 400;
    config.items = 120;
    config.attributes = 16;
    config.communities = 2;
    config.epsilon = epsilon;
    config.engagement = law_of("exponential:0.1");
    config.popularity = law_of("exponential:0.1");
    return config;
}

static void lambda_sets_the_expected_number_of_events(void **state)
{
    (void)state;
    mr_taste_config config = small(0.02);
    mr_taste taste = make(&config);
    const double lambda = 5000 / taste.degrees;
    double sum = 0, pairs = 0;
    for (uint32_t u = 0; u < config.users; u++) {
        sum += mr_taste_degree(&taste, lambda, u);
        for (uint32_t i = 0; i < config.items; i++)
            pairs += mr_taste_rate(&taste, lambda, u, i);
    }
    assert_near(sum, 5000, 1e-6);
    assert_near(pairs, 5000, 1e-3); // over all pairs: what the closed form adds up
    assert_true(mr_taste_clipped(&taste, 1e-9, 1000) == 0);
    assert_true(mr_taste_clipped(&taste, 1e12, 1000) > 0.5); // other pairs hardly match at all
    drop(&taste);
}

static double in_community_share(double epsilon)
{
    mr_taste_config config = small(epsilon);
    config.seed = 4;
    mr_taste taste = make(&config);
    mr_rng rng = any_rng(11);
    double rates[2] = {0}, pairs[2] = {0}, inside = 0;
    for (uint32_t u = 0; u < config.users; u++)
        for (uint32_t i = 0; i < config.items; i++) {
            const bool same =
                mr_taste_community_of_user(&taste, u) == mr_taste_community_of_item(&taste, i);
            rates[same] += mr_taste_rate(&taste, 1, u, i);
            pairs[same]++;
        }
    for (int n = 0; n < 20000; n++) {
        uint32_t user, item;
        mr_taste_draw(&taste, &rng, &user, &item);
        inside += mr_taste_community_of_user(&taste, user) ==
                  mr_taste_community_of_item(&taste, item);
    }
    const double wanted = rates[1] / (rates[0] + rates[1]);
    assert_near(inside / 20000, wanted, 4 * __builtin_sqrt(wanted * (1 - wanted) / 20000));
    drop(&taste);
    return rates[1] / pairs[1] / (rates[1] / pairs[1] + rates[0] / pairs[0]);
}

static void users_stay_in_their_community_unless_epsilon_is_one(void **state)
{
    (void)state;
    assert_true(in_community_share(0.02) > 0.7);
    assert_near(in_community_share(1), 0.5, 0.05);
}

static void equal_seeds_give_equal_bytes(void **state)
{
    (void)state;
    mr_taste_config config = small(0.02);
    mr_taste a = make(&config), b = make(&config);
    const size_t bytes = (size_t)config.items * config.attributes * sizeof(float);
    assert_memory_equal(a.alpha, b.alpha, bytes);
    config.seed++;
    mr_taste c = make(&config);
    assert_memory_not_equal(a.alpha, c.alpha, bytes);
    mr_rng x = any_rng(2), y = any_rng(2);
    for (int n = 0; n < 1000; n++) {
        uint32_t users[2], items[2];
        mr_taste_draw(&a, &x, &users[0], &items[0]);
        mr_taste_draw(&b, &y, &users[1], &items[1]);
        assert_true(users[0] == users[1] && items[0] == items[1]);
    }
    drop(&a);
    drop(&b);
    drop(&c);
}

// Item counts of one Bernoulli draw a pair, many times over, against as many events of the stream.
static void the_stream_agrees_with_one_draw_a_pair(void **state)
{
    (void)state;
    enum { PASSES = 400 };
    mr_taste_config config = small(0.02);
    mr_taste taste = make(&config);
    const double lambda = 150 / taste.degrees;
    double bernoulli[120] = {0}, stream[120] = {0}, total = 0, distance = 0;
    mr_rng rng = any_rng(21);
    assert_true(mr_taste_clipped(&taste, lambda, 10000) == 0);
    for (int pass = 0; pass < PASSES; pass++)
        for (uint32_t u = 0; u < config.users; u++)
            for (uint32_t i = 0; i < config.items; i++)
                bernoulli[i] += mr_rng_double(&rng) < mr_taste_rate(&taste, lambda, u, i);
    for (uint32_t i = 0; i < config.items; i++)
        total += bernoulli[i];
    for (int n = 0; n < (int)total; n++) {
        uint32_t user, item;
        mr_taste_draw(&taste, &rng, &user, &item);
        stream[item]++;
    }
    for (uint32_t i = 0; i < config.items; i++) {
        const double sum = bernoulli[i] + stream[i], left = bernoulli[i] - stream[i];
        distance += sum > 0 ? left * left / sum : 0;
    }
    assert_true(total > 50000);
    assert_true(distance < 173.6); // 119 degrees of freedom: p = .001
    drop(&taste);
}

static void the_smallest_world_is_one_user_one_item_and_64_attributes(void **state)
{
    (void)state;
    mr_taste_config config = small(0.02);
    config.users = config.items = 1;
    config.attributes = config.communities = 64;
    mr_taste taste = make(&config);
    mr_rng rng = any_rng(1);
    uint32_t user = 9, item = 9;
    mr_taste_draw(&taste, &rng, &user, &item);
    assert_true(user == 0 && item == 0);
    drop(&taste);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_have_their_known_values),
        cmocka_unit_test(draws_lie_where_the_law_has_them),
        cmocka_unit_test(a_law_that_lies_above_its_cut_is_the_cut),
        cmocka_unit_test(a_wrong_law_is_refused),
        cmocka_unit_test(a_mixture_of_tiny_shapes_sums_to_one),
        cmocka_unit_test(normals_have_mean_spread_and_tail),
        cmocka_unit_test(a_dirichlet_has_its_means_and_variances),
        cmocka_unit_test(the_worked_example_has_its_rate),
        cmocka_unit_test(engagement_and_degrees_have_the_tail_that_was_wished_for),
        cmocka_unit_test(lambda_sets_the_expected_number_of_events),
        cmocka_unit_test(users_stay_in_their_community_unless_epsilon_is_one),
        cmocka_unit_test(equal_seeds_give_equal_bytes),
        cmocka_unit_test(the_stream_agrees_with_one_draw_a_pair),
        cmocka_unit_test(the_smallest_world_is_one_user_one_item_and_64_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
