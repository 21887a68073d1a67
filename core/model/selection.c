// SPDX-License-Identifier: Apache-2.0
#include "core/model/selection.h"

#include "core/base/normal.h"
#include "core/base/vec.h"

static const double least = 1e-6;

static double cdf(double x)
{
    return mr_exp(mr_normal_log_cdf(x));
}

static double density(double x)
{
    return mr_exp(mr_normal_log_density(x));
}

// Of both normal variates at (a, b).
static double density_of_both(double a, double b, double r)
{
    const double rest = 1.0 - r * r;
    return 0.15915494309189535 / __builtin_sqrt(rest) *
           mr_exp(-0.5 * (a * a - 2.0 * r * a * b + b * b) / rest);
}

// The integral of the density over r from 0 to rho.
static double dependence(double a, double b, double rho)
{
    static const double place[10] = {0.0765265211334973, 0.2277858511416451, 0.3737060887154195,
                                     0.5108670019508271, 0.6360536807265150, 0.7463319064601508,
                                     0.8391169718222188, 0.9122344282513259, 0.9639719272779138,
                                     0.9931285991850949};
    static const double weight[10] = {0.1527533871307258, 0.1491729864726037, 0.1420961093183820,
                                      0.1316886384491766, 0.1181945319615184, 0.1019301198172404,
                                      0.0832767415767048, 0.0626720483341091, 0.0406014298003869,
                                      0.0176140071391521};
    const double half = 0.5 * rho;
    double sum = 0;
    for (int i = 0; i < 10; i++)
        sum += weight[i] * (density_of_both(a, b, half * (1.0 + place[i])) +
                            density_of_both(a, b, half * (1.0 - place[i])));
    return half * sum;
}

mr_both mr_selection_both(double g_y, double g_o, double rho)
{
    const double root = __builtin_sqrt(1.0 - rho * rho);
    return (mr_both){
        .p = cdf(g_y) * cdf(g_o) + dependence(g_y, g_o, rho),
        .by_liking = density(g_y) * cdf((g_o - rho * g_y) / root),
        .by_choice = density(g_o) * cdf((g_y - rho * g_o) / root),
    };
}

static double at_least(double p)
{
    return p > least ? p : least;
}

mr_selection mr_selection_loss(mr_outcome outcome, double g_y, double g_o, double rho)
{
    if (outcome == MR_OUTCOME_NONE) {
        const double p = at_least(cdf(-g_o));
        return (mr_selection){-mr_log(p), 0.0, density(g_o) / p};
    }
    const mr_both both = mr_selection_both(g_y, g_o, rho);
    if (outcome == MR_OUTCOME_LIKED) {
        const double p = at_least(both.p);
        return (mr_selection){-mr_log(p), -both.by_liking / p, -both.by_choice / p};
    }
    const double p = at_least(cdf(g_o) - both.p);
    return (mr_selection){-mr_log(p), both.by_liking / p, (both.by_choice - density(g_o)) / p};
}
