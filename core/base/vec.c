// SPDX-License-Identifier: Apache-2.0
// exp: e^x = 2^n e^r with |r| <= ln2/2 and a Taylor polynomial of degree 13 (the first term left
// out is below 5e-18). log: x = 2^e m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m-1)/(m+1))
// as an odd series to the power 21 (the first term left out is below 2e-18).
#include "core/base/vec.h"

#include <float.h>
#include <string.h>

extern const mr_vec mr_vec_base;
#ifdef __x86_64__
extern const mr_vec mr_vec_avx2, mr_vec_avx512, mr_vec_avx512vnni;
#endif

uint32_t mr_vec_all(const mr_vec *kernels[4])
{
    uint32_t count = 0;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
        if (__builtin_cpu_supports("avx512vnni"))
            kernels[count++] = &mr_vec_avx512vnni;
        kernels[count++] = &mr_vec_avx512;
    }
    if (__builtin_cpu_supports("avx2"))
        kernels[count++] = &mr_vec_avx2;
#endif
    kernels[count++] = &mr_vec_base;
    return count;
}

const mr_vec *mr_vec_best(void)
{
    const mr_vec *kernels[4];
    mr_vec_all(kernels);
    return kernels[0];
}

static double power_of_2(int exponent) // -1022 <= exponent <= 1023
{
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double exp_small(double r)
{
    static const double inverse_factorial[14] = {
        1.0,
        1.0,
        1.0 / 2,
        1.0 / 6,
        1.0 / 24,
        1.0 / 120,
        1.0 / 720,
        1.0 / 5040,
        1.0 / 40320,
        1.0 / 362880,
        1.0 / 3628800,
        1.0 / 39916800,
        1.0 / 479001600,
        1.0 / 6227020800.0,
    };
    double sum = inverse_factorial[13];
    for (int i = 12; i >= 0; i--)
        sum = sum * r + inverse_factorial[i];
    return sum;
}

static double nearest(double x) // round to nearest integer by the usual constant, |x| < 2^51
{
    const double big = 0x1.8p52;
    return (x + big) - big;
}

double mr_exp(double x)
{
    if (!(x > -708.0)) // also NaN
        return 0.0;
    if (x > 709.0)
        return DBL_MAX;
    const double n = nearest(x * 1.4426950408889634);
    const double r = (x - n * 0x1.62e42fefa0000p-1) - n * 0x1.cf79abc9e3b39p-40;
    const double half = nearest(n * 0.5); // in two steps: 2^n itself may leave the normal range
    return exp_small(r) * power_of_2((int)half) * power_of_2((int)(n - half));
}

double mr_exp2(double x)
{
    if (!(x > -1020.0))
        return 0.0;
    if (x > 1022.0)
        return DBL_MAX;
    const double n = nearest(x);
    return exp_small((x - n) * 0x1.62e42fefa39efp-1) * power_of_2((int)n);
}

double mr_log(double x)
{
    if (!(x > 0.0))
        return -DBL_MAX;
    int shift = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        shift = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double sum = 1.0 / 21;
    for (int i = 19; i >= 1; i -= 2)
        sum = sum * s2 + 1.0 / i;
    return (exponent + shift) * 0x1.62e42fefa39efp-1 + 2.0 * s * sum;
}
