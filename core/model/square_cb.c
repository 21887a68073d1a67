// SPDX-License-Identifier: Apache-2.0
// square_cb: probabilities that fall with the gap to the best, by inverse gap weighting.
//
// With values f_i (the mean that a model gives; where none does, the relevance, brought to 0..1
// over the candidates), the best a* of what is left, S_r, and N acts learned so far:
//     q_i = 1 / (|S_r| + gamma (f_a* - f_i)) for i != a*,  q_a* = 1 - the others,
//     gamma = gamma_scale N^gamma_exponent
// Uniform at the start, and the surer, the less is explored. Ties: the candidate that stands first.
// Source: Foster and Rakhlin, Beyond UCB: Optimal and Efficient Contextual Bandits with Regression
// Oracles, in the parameters of Vowpal Wabbit's --squarecb; place by place [our choice].
#include "core/list/slate.h"

typedef struct config {
    double gamma_scale, gamma_exponent;
} config;

static const mr_param params[] = {
    {"gamma_scale", "", "how much a gap counts", offsetof(config, gamma_scale), 10, 0, 1e9},
    {"gamma_exponent", "", "and how it grows with the acts learned",
     offsetof(config, gamma_exponent), 0.5, 0, 2},
    {0},
};

typedef struct kept {
    double gamma;
    double scale; // of the values, for the rules' bonus
} kept;

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(kept);
}

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    kept *k = slate->policy_kept;
    const double n = (double)slate->view->acts;
    double low = 1e300, high = -1e300;
    for (uint32_t i = 0; slate->mean == NULL && i < slate->candidates->count; i++) {
        low = (double)slate->relevance[i] < low ? (double)slate->relevance[i] : low;
        high = (double)slate->relevance[i] > high ? (double)slate->relevance[i] : high;
    }
    k->gamma = n > 0 ? c->gamma_scale * mr_exp(c->gamma_exponent * mr_log(n)) : 0.0;
    if (high > low)
        k->gamma /= high - low;
    k->scale = mr_slate_value_scale(slate);
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    (void)self;
    const kept *k = slate->policy_kept;
    const uint32_t n = slate->candidates->count, left = mr_slate_may_count(slate);
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        slate->weights[i] = mr_slate_value(slate, i, k->scale);
        if (mr_slate_may(slate, i) &&
            (best == UINT32_MAX || slate->weights[i] > slate->weights[best]))
            best = i;
    }
    const double uniform = mr_rng_double(rng);
    double reached = 0;
    uint32_t found = best;
    *q = 1.0;
    for (uint32_t i = 0; i < n; i++) {
        if (i == best || !mr_slate_may(slate, i))
            continue;
        const double p = 1.0 / (left + k->gamma * (slate->weights[best] - slate->weights[i]));
        reached += p;
        if (found == best && uniform < reached) {
            found = i;
            *q = p;
        }
    }
    if (found == best)
        *q = 1.0 - reached;
    return found;
}

const mr_policy mr_policy_square_cb = {
    .state = {.name = "square_cb",
              .source = "Foster and Rakhlin, Beyond UCB",
              .params = params,
              .config_bytes = sizeof(config)},
    .slate_bytes = slate_bytes,
    .open = open,
    .draw = draw,
};
