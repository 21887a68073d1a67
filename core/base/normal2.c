// SPDX-License-Identifier: Apache-2.0
#include "core/base/normal2.h"

#include "core/base/normal.h"
#include "core/base/vec.h"

enum { POINTS = 10 }; // on either side of the middle
static const double pi = 3.14159265358979323846;
static const double nodes[POINTS] = {0.076526521133497338, 0.2277858511416451,  0.37370608871541955,
                                     0.51086700195082713,  0.63605368072651502, 0.7463319064601508,
                                     0.83911697182221889,  0.91223442825132595, 0.96397192727791381,
                                     0.99312859918509488};
static const double weights[POINTS] = {
    0.15275338713072598, 0.14917298647260382, 0.1420961093183819,   0.1316886384491765,
    0.11819453196151831, 0.10193011981724048, 0.083276741576704741, 0.06267204833410904,
    0.04060142980038705, 0.017614007139152264};

// At t = tan(angle / 2), with sin(angle) the correlation.
static double integrand(double a, double b, double t)
{
    const double sine = 2 * t / (1 + t * t), cosine = (1 - t * t) / (1 + t * t);
    return mr_exp((sine * a * b - 0.5 * (a * a + b * b)) / (cosine * cosine)) / (1 + t * t);
}

static double from_independence(double a, double b, double r, double root)
{
    const double half = 0.5 * r / (1 + root);
    double sum = 0;
    for (int i = 0; i < POINTS; i++)
        sum += weights[i] *
               (integrand(a, b, half * (1 - nodes[i])) + integrand(a, b, half * (1 + nodes[i])));
    return half * sum / pi;
}

static double cdf(double z)
{
    return mr_exp(mr_normal_log_cdf(z));
}

mr_normal2 mr_normal2_cdf(double a, double b, double r)
{
    const double root = __builtin_sqrt(1 - r * r), below_a = cdf(a), below_b = cdf(b);
    const double p = below_a * below_b + from_independence(a, b, r, root);
    const double least = below_a < below_b ? below_a : below_b;
    return (mr_normal2){
        .p = p < 0       ? 0
             : p > least ? least
                         : p,
        .by_a = mr_exp(mr_normal_log_density(a) + mr_normal_log_cdf((b - r * a) / root)),
        .by_b = mr_exp(mr_normal_log_density(b) + mr_normal_log_cdf((a - r * b) / root)),
        .by_r = mr_exp((r * a * b - 0.5 * (a * a + b * b)) / (root * root)) / (2 * pi * root),
    };
}
