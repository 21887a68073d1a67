// SPDX-License-Identifier: Apache-2.0
#include "core/base/normal.h"

#include "core/base/vec.h"

static const double log_root_two_pi = 0.91893853320467274178;

static double polynomial(const double *coefficients, int count, double x)
{
    double value = coefficients[0];
    for (int i = 1; i < count; i++)
        value = value * x + coefficients[i];
    return value;
}

// P(Z > x) e^(x^2/2) for x >= 0.
static double scaled_tail(double x)
{
    static const double above[] = {3.52624965998911e-2, 0.700383064443688, 6.37396220353165,
                                   33.912866078383,     112.079291497871,  221.213596169931,
                                   220.206867912376};
    static const double below[] = {8.83883476483184e-2, 1.75566716318264, 16.064177579207,
                                   86.7807322029461,    296.564248779674, 637.333633378831,
                                   793.826512519948,    440.413735824752};
    if (x < 7.07106781186547)
        return polynomial(above, 7, x) / polynomial(below, 8, x);
    double fraction = x;
    for (int n = 24; n > 0; n--)
        fraction = x + n / fraction;
    return 1.0 / (fraction * 2.50662827463100050242);
}

double mr_normal_log_cdf(double z)
{
    if (z < 0)
        return mr_log(scaled_tail(-z)) - 0.5 * z * z;
    // log(1 - t): by its series where 1 - t would round t away.
    const double t = z < 38 ? scaled_tail(z) * mr_exp(-0.5 * z * z) : 0.0;
    return t > 1e-4 ? mr_log(1.0 - t) : -t * (1.0 + t * (0.5 + t / 3.0));
}

double mr_normal_log_density(double z)
{
    return -0.5 * z * z - log_root_two_pi;
}

double mr_normal_draw(mr_rng *rng)
{
    for (;;) {
        const double x = 2 * mr_rng_double(rng) - 1, y = 2 * mr_rng_double(rng) - 1;
        const double square = x * x + y * y;
        if (square < 1 && square > 0)
            return x * __builtin_sqrt(-2 * mr_log(square) / square);
    }
}
