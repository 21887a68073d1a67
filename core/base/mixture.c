// SPDX-License-Identifier: Apache-2.0
#include "core/base/mixture.h"

#include "core/base/vec.h"

enum { FAR = 10 }; // from here on the asymptotic series are exact enough

static const double half_log_two_pi = 0.91893853320467274178;

double mr_log_gamma(double x)
{
    double product = 1;
    for (; x < FAR; x += 1)
        product *= x;
    const double r = 1 / x, r2 = r * r;
    const double series =
        r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 / 1188))));
    return (x - 0.5) * mr_log(x) - x + half_log_two_pi + series - mr_log(product);
}

double mr_digamma(double x)
{
    double sum = 0;
    for (; x < FAR; x += 1)
        sum += 1 / x;
    const double r = 1 / x, r2 = r * r;
    const double series =
        r2 * (1.0 / 12 - r2 * (1.0 / 120 - r2 * (1.0 / 252 - r2 * (1.0 / 240 - r2 / 132))));
    return mr_log(x) - 0.5 * r - series - sum;
}

static double log_beta(double a, double b)
{
    return mr_log_gamma(a) + mr_log_gamma(b) - mr_log_gamma(a + b);
}

double mr_mixture_weigh(const mr_mixture *mixture, double n, double s, double *weights)
{
    double top = -1e300, sum = 0;
    for (uint32_t k = 0; k < mixture->count; k++) {
        const double a = mixture->a[k], b = mixture->b[k];
        weights[k] = mr_log(mixture->share[k]) + log_beta(a + s, b + n - s) - log_beta(a, b);
        top = weights[k] > top ? weights[k] : top;
    }
    for (uint32_t k = 0; k < mixture->count; k++) {
        weights[k] = mr_exp(weights[k] - top);
        sum += weights[k];
    }
    for (uint32_t k = 0; k < mixture->count; k++)
        weights[k] /= sum;
    return top + mr_log(sum);
}

void mr_mixture_rate(const mr_mixture *mixture, const double *weights, double n, double s,
                     double *mean, double *variance)
{
    double first = 0, second = 0;
    for (uint32_t k = 0; k < mixture->count; k++) {
        const double a = mixture->a[k] + s, all = mixture->a[k] + mixture->b[k] + n;
        first += weights[k] * a / all;
        second += weights[k] * a * (a + 1) / (all * (all + 1));
    }
    *mean = first;
    *variance = second > first * first ? second - first * first : 0;
}

// ---- EM

typedef struct round_sums { // of one component, over arms, by weight
    double weight, a, b, all;
} round_sums;

static double bounded(double x)
{
    return x < MR_MIXTURE_SHAPE_MIN   ? MR_MIXTURE_SHAPE_MIN
           : x > MR_MIXTURE_SHAPE_MAX ? MR_MIXTURE_SHAPE_MAX
                                      : x;
}

// The shares that are best with none below the least: those that would be get it, the others
// divide what is left in their proportion.
static void divide(mr_mixture *mixture, const round_sums *sums)
{
    bool least[MR_MIXTURE_MAX] = {false};
    for (bool more = true; more;) {
        double left = 1, weight = 0;
        more = false;
        for (uint32_t k = 0; k < mixture->count; k++) {
            left -= least[k] ? MR_MIXTURE_SHARE_MIN : 0;
            weight += least[k] ? 0 : sums[k].weight;
        }
        for (uint32_t k = 0; k < mixture->count; k++) {
            mixture->share[k] = least[k] ? MR_MIXTURE_SHARE_MIN : left * sums[k].weight / weight;
            if (!least[k] && mixture->share[k] < MR_MIXTURE_SHARE_MIN)
                more = least[k] = true;
        }
    }
}

static double add_up(const mr_mixture *mixture, const mr_arms *arms, uint32_t arm_count,
                     round_sums *sums)
{
    double likelihood = 0, weights[MR_MIXTURE_MAX];
    for (uint32_t i = 0; i < arm_count; i++) {
        const double n = arms[i].n, s = arms[i].s;
        if (!(arms[i].count > 0))
            continue;
        likelihood += arms[i].count * mr_mixture_weigh(mixture, n, s, weights);
        for (uint32_t k = 0; k < mixture->count; k++) {
            const double a = mixture->a[k], b = mixture->b[k], w = arms[i].count * weights[k];
            sums[k].weight += w;
            sums[k].a += w * (mr_digamma(a + s) - mr_digamma(a));
            sums[k].b += w * (mr_digamma(b + n - s) - mr_digamma(b));
            sums[k].all += w * (mr_digamma(a + b + n) - mr_digamma(a + b));
        }
    }
    return likelihood;
}

double mr_mixture_fit(mr_mixture *mixture, const mr_arms *arms, uint32_t arm_count, uint32_t rounds)
{
    double likelihood = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        round_sums sums[MR_MIXTURE_MAX] = {{0}};
        likelihood = add_up(mixture, arms, arm_count, sums);
        double weight = 0;
        for (uint32_t k = 0; k < mixture->count; k++)
            weight += sums[k].weight;
        if (!(weight > 0))
            return 0;
        divide(mixture, sums);
        for (uint32_t k = 0; k < mixture->count; k++) {
            if (!(sums[k].all > 0)) // nothing was tried of its arms
                continue;
            mixture->a[k] = bounded(mixture->a[k] * sums[k].a / sums[k].all);
            mixture->b[k] = bounded(mixture->b[k] * sums[k].b / sums[k].all);
        }
    }
    return likelihood;
}
