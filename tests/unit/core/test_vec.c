// SPDX-License-Identifier: Apache-2.0
// The numeric kernels: one order of summation on every instruction set; exp and log as good as
// libm's.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "core/base/rng.h"
#include "core/base/vec.h"

static void fill(float *x, uint32_t n, uint64_t key)
{
    mr_rng rng = mr_rng_make(1, 0, 0, key, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < n; i++)
        x[i] = mr_rng_normal(&rng);
}

// The order that vec.h writes down, one operation at a time.
static float written_dot(const float *a, const float *b, uint32_t n)
{
    volatile float lane[16] = {0};
    for (uint32_t i = 0; i < n; i++) {
        volatile float product = a[i] * b[i];
        lane[i % 16] += product;
    }
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

static void every_kernel_sums_in_the_written_order(void **state)
{
    (void)state;
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    float a[256], b[256];
    assert_true(count >= 1);
    for (uint32_t n = 16; n <= 256; n += 16)
        for (uint64_t key = 0; key < 50; key++) {
            fill(a, n, key);
            fill(b, n, key + 1000);
            const float want = written_dot(a, b, n);
            for (uint32_t k = 0; k < count; k++) {
                const float have = kernels[k]->dot(a, b, n);
                assert_memory_equal(&have, &want, sizeof want);
            }
        }
}

static void axpy_and_scale_round_multiply_and_add_apart(void **state)
{
    (void)state;
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    float x[64], y[64], have[64];
    fill(x, 64, 1);
    fill(y, 64, 2);
    for (uint32_t k = 0; k < count; k++) {
        memcpy(have, y, sizeof have);
        kernels[k]->axpy(have, 0.3f, x, 64);
        for (int i = 0; i < 64; i++) {
            volatile float product = 0.3f * x[i];
            volatile float want = y[i] + product;
            assert_true(have[i] == want);
        }
    }
}

static void every_kernel_has_the_exact_products_of_panels(void **state)
{
    (void)state;
    enum { ROWS = 37, ROOM = 48, WIDEST = 64, VECTORS = 15, STRIDE = ROOM + 5 };
    static int16_t rows[ROOM][WIDEST], codes[ROOM * WIDEST], vectors[VECTORS * WIDEST];
    static float units[ROOM], vector_units[VECTORS], scores[VECTORS * STRIDE];
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    mr_rng rng = mr_rng_make(1, 0, 0, 9, MR_PURPOSE_SIM);
    for (uint32_t n = 16; n <= WIDEST; n += 16) {
        for (uint32_t i = 0; i < ROWS; i++) // |p| <= 64 * 5,700^2 < 2^31
            for (uint32_t j = 0; j < n; j++) {
                rows[i][j] = (int16_t)((int)mr_rng_below(&rng, 11401) - 5700);
                codes[i / 16 * 16 * n + j / 2 * 32 + i % 16 * 2 + j % 2] = rows[i][j];
            }
        for (uint32_t j = 0; j < VECTORS * n; j++)
            vectors[j] = j < n ? (int16_t)5700 : (int16_t)((int)mr_rng_below(&rng, 11401) - 5700);
        for (uint32_t i = 0; i < ROWS; i++)
            units[i] = mr_rng_float(&rng);
        for (uint32_t v = 0; v < VECTORS; v++)
            vector_units[v] = mr_rng_float(&rng);
        for (uint32_t k = 0; k < count; k++)
            for (uint32_t users = 1; users <= VECTORS; users++) {
                memset(scores, 0xff, sizeof scores);
                kernels[k]->panels(codes, units, ROWS, vectors, vector_units, users, n, scores,
                                   STRIDE);
                for (uint32_t v = 0; v < users; v++)
                    for (uint32_t i = 0; i < ROWS; i++) {
                        int32_t p = 0;
                        for (uint32_t j = 0; j < n; j++)
                            p += rows[i][j] * vectors[v * n + j];
                        volatile float want = (float)p * 0x1p-30f;
                        want *= units[i];
                        want *= vector_units[v];
                        assert_true(scores[v * STRIDE + i] == want);
                    }
                if (users < VECTORS) { // and nothing is written for others
                    uint32_t bits;
                    memcpy(&bits, &scores[users * STRIDE], sizeof bits);
                    assert_int_equal(bits, UINT32_MAX);
                }
            }
    }
}

static void exp_and_log_agree_with_libm(void **state)
{
    (void)state;
    mr_rng rng = mr_rng_make(1, 0, 0, 3, MR_PURPOSE_SIM);
    for (int i = 0; i < 200000; i++) {
        const double x = (mr_rng_double(&rng) - 0.5) * 1400;
        const double y = mr_rng_double(&rng) * 1e6 + 1e-9;
        assert_true(fabs(mr_exp(x) / exp(x) - 1) < 4e-15);
        assert_true(fabs(mr_log(y) - log(y)) < 4e-15 * fmax(1, fabs(log(y))));
        assert_true(fabs(mr_exp2(x) / exp2(x) - 1) < 4e-15);
        const float f = (float)(x / 10);
        assert_true(fabs((double)mr_expf(f) / exp((double)f) - 1) < 4e-7);
    }
}

static void exp_and_log_saturate(void **state)
{
    (void)state;
    assert_true(mr_exp(-1e9) == 0 && mr_exp(0) == 1 && isfinite(mr_exp(1e9)));
    assert_true(mr_exp(nan("")) == 0);
    assert_true(mr_expf(-1e9f) == 0 && mr_expf(0) == 1 && isfinite(mr_expf(1e9f)));
    assert_true(mr_expf(-88) == 0 && mr_expf(nanf("")) == 0 && mr_expf(88.5f) == FLT_MAX);
    assert_true(mr_log(1) == 0 && isfinite(mr_log(0)) && isfinite(mr_log(-3)));
    assert_true(fabs(mr_log(4.9e-324) - log(4.9e-324)) < 1e-10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_sums_in_the_written_order),
        cmocka_unit_test(axpy_and_scale_round_multiply_and_add_apart),
        cmocka_unit_test(every_kernel_has_the_exact_products_of_panels),
        cmocka_unit_test(exp_and_log_agree_with_libm),
        cmocka_unit_test(exp_and_log_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
