// SPDX-License-Identifier: Apache-2.0
// map, sort, hash, rng, errors: against naive models and published vectors.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "core/base/normal.h"
#include "core/base/hash.h"
#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/base/sort.h"
#include "core/event/epoch.h"

static void a_map_behaves_like_an_array(void **state)
{
    (void)state;
    enum { MAX = 300, KEYS = 500, STEPS = 200000 };
    static uint8_t memory[1 << 16] __attribute__((aligned(64)));
    static uint32_t naive[KEYS];
    mr_arena arena;
    mr_map map;
    mr_arena_init(&arena, memory, mr_map_bytes(MAX));
    mr_map_init(&map, MAX, &arena);
    memset(naive, 0xff, sizeof naive);
    mr_rng rng = mr_rng_make(1, 0, 0, 1, MR_PURPOSE_SIM);
    for (int step = 0; step < STEPS; step++) {
        const uint32_t k = mr_rng_below(&rng, KEYS);
        const uint64_t key =
            (uint64_t)k * 0x100000001u % 97 == 0 ? k : (uint64_t)k << 32; // collide
        if (naive[k] != MR_MAP_NONE) {
            assert_int_equal(mr_map_get(&map, key), naive[k]);
            mr_map_remove(&map, key);
            naive[k] = MR_MAP_NONE;
        } else if (map.count < MAX) {
            assert_int_equal(mr_map_get(&map, key), MR_MAP_NONE);
            mr_map_put(&map, key, (uint32_t)step);
            naive[k] = (uint32_t)step;
        }
    }
    uint32_t count = 0;
    for (uint32_t k = 0; k < KEYS; k++)
        count += naive[k] != MR_MAP_NONE;
    assert_int_equal(map.count, count);
}

static int by_key(const void *a, const void *b)
{
    const mr_sorted *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static void sort_agrees_with_the_library(void **state)
{
    (void)state;
    static mr_sorted have[5000], want[5000];
    for (uint32_t shape = 0; shape < 6; shape++)
        for (uint32_t n = 0; n < 5000; n = n * 2 + 1) {
            mr_rng rng = mr_rng_make(1, 0, shape, n, MR_PURPOSE_SIM);
            for (uint32_t i = 0; i < n; i++) {
                const uint64_t random = mr_rng_u32(&rng);
                have[i].key = shape == 0   ? random
                              : shape == 1 ? i
                              : shape == 2 ? n - i
                              : shape == 3 ? random % 3
                              : shape == 4 ? (i < n / 2 ? i : n - i)
                                           : 7;
                have[i].value = shape == 3 ? (uint32_t)random : i;
                have[i].reserved = 0;
            }
            memcpy(want, have, n * sizeof want[0]);
            qsort(want, n, sizeof want[0], by_key);
            mr_sort(have, n);
            assert_memory_equal(have, want, n * sizeof want[0]);
        }
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void the_first_of_a_sort_are_its_smallest_in_order(void **state)
{
    (void)state;
    static uint64_t have[5000], all[5000];
    for (uint32_t shape = 0; shape < 7; shape++)
        for (uint32_t n = 0; n < 5000; n = n * 2 + 1) {
            mr_rng rng = mr_rng_make(2, 0, shape, n, MR_PURPOSE_SIM);
            for (uint32_t i = 0; i < n; i++) {
                const uint64_t random = mr_rng_u32(&rng);
                all[i] = shape == 0   ? random << 32 | i
                         : shape == 1 ? i
                         : shape == 2 ? n - i
                         : shape == 3 ? random % 3
                         : shape == 4 ? (i < n / 2 ? i : n - i)
                         : shape == 5 ? UINT64_MAX - (i % 2)
                                      : 7;
            }
            const uint32_t firsts[] = {0, 1, n / 10, n / 2, n > 0 ? n - 1 : 0, n};
            for (uint32_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++) {
                const uint32_t first = firsts[f] < n ? firsts[f] : n;
                memcpy(have, all, n * sizeof have[0]);
                mr_sort_first(have, n, first);
                qsort(all, n, sizeof all[0], by_number);
                assert_memory_equal(have, all, first * sizeof have[0]);
                qsort(have, n, sizeof have[0], by_number); // and nothing is lost
                assert_memory_equal(have, all, n * sizeof have[0]);
            }
        }
}

static void scores_descend_as_their_numbers_ascend(void **state)
{
    (void)state;
    const float scores[] = {3e38f, 2.0f, 1.5f, 1e-40f, 0.0f, -1e-40f, -1.0f, -3e38f};
    for (uint32_t i = 1; i < sizeof scores / sizeof scores[0]; i++)
        assert_true(mr_sort_descending(scores[i - 1]) < mr_sort_descending(scores[i]));
    assert_int_equal(mr_sort_descending(-0.0f), mr_sort_descending(0.0f));
}

static void murmur2_is_kafkas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t hash;
    } vectors[] = {{"21", -973932308},
                   {"foobar", -790332482},
                   {"a-little-bit-long-string", -985981536},
                   {"a-little-bit-longer-string", -1486304829},
                   {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                   {"abc", 479470107}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        assert_int_equal((int32_t)mr_murmur2(mr_bytes_text(vectors[i].text)), vectors[i].hash);
}

static void sums_of_hashes_come_apart_again(void **state)
{
    (void)state;
    mr_hash128 sum = {UINT64_MAX - 3, UINT64_MAX};
    const mr_hash128 start = sum;
    for (uint64_t i = 0; i < 100; i++)
        mr_hash128_add(&sum, mr_hash128_of(&i, sizeof i, 0));
    for (uint64_t i = 100; i-- > 0;)
        mr_hash128_subtract(&sum, mr_hash128_of(&i, sizeof i, 0));
    assert_memory_equal(&sum, &start, sizeof sum);
}

static void draws_depend_on_every_part_of_their_name(void **state)
{
    (void)state;
    mr_rng names[6] = {
        mr_rng_make(1, 2, 3, 4, MR_PURPOSE_SIM), mr_rng_make(9, 2, 3, 4, MR_PURPOSE_SIM),
        mr_rng_make(1, 9, 3, 4, MR_PURPOSE_SIM), mr_rng_make(1, 2, 9, 4, MR_PURPOSE_SIM),
        mr_rng_make(1, 2, 3, 9, MR_PURPOSE_SIM), mr_rng_make(1, 2, 3, 4, MR_PURPOSE_POLICY),
    };
    uint64_t draws[6];
    for (int i = 0; i < 6; i++) {
        const uint64_t high = mr_rng_u32(&names[i]);
        draws[i] = high << 32 | mr_rng_u32(&names[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(draws[i], draws[j]);
    }
    mr_rng again = mr_rng_make(1, 2, 3, 4, MR_PURPOSE_SIM);
    const uint64_t high = mr_rng_u32(&again);
    assert_int_equal(high << 32 | mr_rng_u32(&again), draws[0]);
}

static void uniform_draws_are_uniform_and_normal_ones_normal(void **state)
{
    (void)state;
    enum { N = 200000, BINS = 16 };
    double bins[BINS] = {0}, sum = 0, squares = 0;
    mr_rng rng = mr_rng_make(1, 0, 0, 5, MR_PURPOSE_SIM);
    for (int i = 0; i < N; i++) {
        bins[mr_rng_below(&rng, BINS)]++;
        const double x = (double)mr_rng_normal(&rng), u = mr_rng_double(&rng);
        assert_true(u > 0 && u < 1);
        sum += x;
        squares += x * x;
    }
    double chi = 0;
    for (int b = 0; b < BINS; b++)
        chi += (bins[b] - N / BINS) * (bins[b] - N / BINS) / (N / BINS);
    assert_true(chi < 45); // 15 degrees of freedom, p = 1e-4
    assert_true(sum / N < 0.01 && sum / N > -0.01);
    assert_true(squares / N > 0.98 && squares / N < 1.02);
}

static void epochs_are_sorted_by_time_topic_partition_offset(void **state)
{
    (void)state;
    enum { N = 500 };
    static mr_arrival arrivals[N], scratch[N];
    mr_rng rng = mr_rng_make(1, 0, 0, 6, MR_PURPOSE_SIM);
    for (int i = 0; i < N; i++) {
        arrivals[i].event.time_ms = mr_rng_below(&rng, 10);
        arrivals[i].topic = mr_rng_below(&rng, 3);
        arrivals[i].partition = (int32_t)mr_rng_below(&rng, 3);
        arrivals[i].offset = i;
    }
    mr_epoch_sort(arrivals, scratch, N);
    for (int i = 1; i < N; i++) {
        const mr_arrival *a = &arrivals[i - 1], *b = &arrivals[i];
        const int64_t x[4] = {a->event.time_ms, a->topic, a->partition, a->offset};
        const int64_t y[4] = {b->event.time_ms, b->topic, b->partition, b->offset};
        int f = 0;
        while (f < 3 && x[f] == y[f])
            f++;
        assert_true(x[f] < y[f]);
    }
}

static void a_place_goes_before_the_text_and_both_fit(void **state)
{
    (void)state;
    mr_error err;
    assert_int_equal(mr_fail(&err, MR_FATAL, "want %d", 3), MR_FATAL);
    assert_int_equal(mr_wrap(&err, "file.yaml:%d", 7), MR_FATAL);
    assert_string_equal(err.text, "file.yaml:7: want 3");
    char big[1000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    mr_reject(&err, MR_CAUSE_no_user, "%s", big);
    mr_wrap(&err, "%s", big);
    assert_true(strlen(err.text) < sizeof err.text);
    assert_int_equal(err.cause, MR_CAUSE_no_user);
    assert_string_equal(mr_cause_name(MR_CAUSE_no_user), "no_user");
}

// The distribution function against the C library's, and draws of the law against both.
static void the_normal_law_is_the_c_librarys(void **state)
{
    (void)state;
    for (double z = -37; z < 37; z += 0.0137) { // of P where it is small, else of 1 - P
        const double got = mr_normal_log_cdf(z), tail = 0.5 * erfc(fabs(z) * M_SQRT1_2);
        assert_true(fabs((z < 0 ? exp(got) : -expm1(got)) / tail - 1) < 5e-9);
        assert_true(fabs((z < 0 ? exp(got) : -expm1(got)) - tail) < 1e-14);
    }
    assert_true(fabs(mr_normal_log_cdf(-100) + 5005.524208694205) < 1e-9);
    assert_true(mr_normal_log_cdf(50) == 0);
    assert_true(fabs(mr_normal_log_density(2) + 2.9189385332046727) < 1e-15);
    enum { DRAWS = 400000, CELLS = 40 };
    double chi = 0;
    uint32_t count[CELLS] = {0};
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t d = 0; d < DRAWS; d++) // by the law's own function they are uniform
        count[(uint32_t)(exp(mr_normal_log_cdf(mr_normal_draw(&rng))) * CELLS)]++;
    for (uint32_t c = 0; c < CELLS; c++)
        chi += (count[c] - (double)DRAWS / CELLS) * (count[c] - (double)DRAWS / CELLS) * CELLS /
               DRAWS;
    assert_true(chi < 79); // 39 degrees of freedom, p = 1e-4
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_normal_law_is_the_c_librarys),
        cmocka_unit_test(a_map_behaves_like_an_array),
        cmocka_unit_test(sort_agrees_with_the_library),
        cmocka_unit_test(the_first_of_a_sort_are_its_smallest_in_order),
        cmocka_unit_test(scores_descend_as_their_numbers_ascend),
        cmocka_unit_test(murmur2_is_kafkas),
        cmocka_unit_test(sums_of_hashes_come_apart_again),
        cmocka_unit_test(draws_depend_on_every_part_of_their_name),
        cmocka_unit_test(uniform_draws_are_uniform_and_normal_ones_normal),
        cmocka_unit_test(epochs_are_sorted_by_time_topic_partition_offset),
        cmocka_unit_test(a_place_goes_before_the_text_and_both_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
