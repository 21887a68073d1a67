// SPDX-License-Identifier: Apache-2.0
// plackett_luce: each place is sampled by upper bound.
//
// With u_i = mean_i + alpha deviation_i over the candidates (their relevance, where no model gives
// a mean) and T = temperature * sd(u), each place is drawn from what is left, S_r:
//     q_r = (1 - eps) e_i / sum_{S_r} e + eps / |S_r|,   e_i = exp((u_i - max u)/T)
// alpha = 0 is Boltzmann exploration. A bonus that rules give counts in deviations of the
// relevance, since bounds have another unit: e_i is multiplied by exp(bonus_i / (sd(s)
// temperature)). Source: Plackett-Luce sampling without replacement; the mixture with uniform
// bounds q below.
#include "core/list/slate.h"

typedef struct config {
    double alpha, temperature, epsilon;
} config;

static const mr_param params[] = {
    {"alpha", "", "how many deviations of optimism in the exploration slice",
     offsetof(config, alpha), 1, 0, 100},
    {"temperature", "", "of the draw, in deviations of the candidates' bounds",
     offsetof(config, temperature), 0.3, 0.01, 100},
    {"epsilon", "", "share of uniform draws in the exploration slice", offsetof(config, epsilon),
     0.02, 0, 1},
    {0},
};

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const uint32_t n = slate->candidates->count;
    if (n == 0)
        return;
    double sum = 0, squares = 0, top = -1e300;
    for (uint32_t i = 0; i < n; i++) {
        const double u = slate->mean == NULL
                             ? (double)slate->relevance[i]
                             : (double)slate->mean[i] + c->alpha * (double)slate->deviation[i];
        slate->weights[i] = u;
        sum += u;
        squares += u * u;
        top = u > top ? u : top;
    }
    const double mean = sum / n, variance = squares / n - mean * mean;
    const double t = c->temperature * (variance > 1e-18 ? __builtin_sqrt(variance) : 1.0);
    for (uint32_t i = 0; i < n; i++)
        slate->weights[i] = mr_exp((slate->weights[i] - top) / t);
}

static double weight_of(const config *c, const mr_slate *slate, uint32_t candidate)
{
    const double weight = slate->weights[candidate];
    if (!slate->adjusted)
        return weight;
    // Bounded, so that the sum of all weights stays finite; the draw goes by the same weights.
    const double x = (double)slate->bonus[candidate] / (slate->scale * c->temperature);
    return weight * mr_exp(x < 600 ? x : 600);
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    const config *c = self->config;
    double sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        if (mr_slate_may(slate, i)) {
            sum += weight_of(c, slate, i);
            count++;
        }
    const double uniform = mr_rng_double(rng);
    double reached = 0;
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < slate->candidates->count && reached <= uniform; i++)
        if (mr_slate_may(slate, i)) {
            const double share = sum > 0 ? weight_of(c, slate, i) / sum : 1.0 / count;
            *q = (1.0 - c->epsilon) * share + c->epsilon / count;
            reached += *q;
            found = i; // the last one takes what rounding leaves
        }
    return found;
}

const mr_policy mr_policy_plackett_luce = {
    .state = {.name = "plackett_luce",
              .source = "Plackett-Luce",
              .params = params,
              .config_bytes = sizeof(config)},
    .open = open,
    .draw = draw,
};
