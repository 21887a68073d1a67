// SPDX-License-Identifier: Apache-2.0
// plackett_luce: greedy by relevance outside the exploration slice, sampled by upper bound inside.
//
// Outside: the best that is left, q = 1. Inside: with u_i = mean_i + alpha deviation_i over the
// candidates and T = temperature * sd(u), each place is drawn from what is left, S_r:
//     q_r = (1 - eps) e_i / sum_{S_r} e + eps / |S_r|,   e_i = exp((u_i - max u)/T)
// Ties outside go to the candidate that stands first, an order of scores and keys.
// Source: Plackett-Luce sampling without replacement; the mixture with uniform bounds q below.
#include "core/list/slate.h"

typedef struct config {
    double alpha, temperature, epsilon;
} config;

static const mr_param params[] = {
    {"alpha", "", "how many deviations of optimism in the exploration slice",
     offsetof(config, alpha), 0.3, 0, 100},
    {"temperature", "", "of the draw, in deviations of the candidates' bounds",
     offsetof(config, temperature), 0.3, 0.01, 100},
    {"epsilon", "", "share of uniform draws in the exploration slice", offsetof(config, epsilon),
     0.02, 0, 1},
    {0},
};

// Candidates in order of relevance, higher first; equal ones in the order in which they stand. The
// bits of a float are turned into an unsigned number that sorts as the float does.
static void order_by_relevance(mr_slate *slate)
{
    const uint32_t n = slate->candidates->count;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        const float value = slate->relevance[i] + 0.0f; // -0 becomes 0
        memcpy(&bits, &value, 4);
        const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
        slate->order[i] = (mr_sorted){~ascending, i, 0};
    }
    mr_sort(slate->order, n);
    slate->next = 0;
}

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const uint32_t n = slate->candidates->count;
    if (!slate->explore || n == 0) {
        order_by_relevance(slate);
        return;
    }
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

// The best one that may stand here. One that may not now may later, so only a prefix of picked ones
// is passed over for good.
static uint32_t best(mr_slate *slate, double *q)
{
    const uint32_t n = slate->candidates->count;
    *q = 1.0;
    while (slate->next < n && !mr_slate_free(slate, slate->order[slate->next].value))
        slate->next++;
    for (uint32_t i = slate->next; i < n; i++)
        if (mr_slate_may(slate, slate->order[i].value))
            return slate->order[i].value;
    return UINT32_MAX;
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    const config *c = self->config;
    if (!slate->explore)
        return best(slate, q);
    double sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        if (mr_slate_may(slate, i)) {
            sum += slate->weights[i];
            count++;
        }
    const double uniform = mr_rng_double(rng);
    double reached = 0;
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < slate->candidates->count && reached <= uniform; i++)
        if (mr_slate_may(slate, i)) {
            const double share = sum > 0 ? slate->weights[i] / sum : 1.0 / count;
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
