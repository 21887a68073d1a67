// SPDX-License-Identifier: Apache-2.0
// epsilon_greedy: the best by relevance, and now and then anything.
//
//     q_r = (1 - eps) [a_r = best of S_r] + eps / |S_r|
// over what is left, S_r. A uniform draw may fall on the best, so its q is the whole sum.
// Source: epsilon-greedy exploration (Sutton and Barto, Reinforcement Learning), place by place.
#include "core/list/greedy.h"

typedef struct config {
    double epsilon;
} config;

static const mr_param params[] = {
    {"epsilon", "", "share of uniform draws in the exploration slice", offsetof(config, epsilon),
     0.1, 0, 1},
    {0},
};

static void open(const mr_instance *self, mr_slate *slate)
{
    (void)self;
    mr_greedy_open(slate);
}

static uint32_t draw(const mr_instance *self, mr_slate *slate, mr_rng *rng, double *q)
{
    const config *c = self->config;
    const uint32_t count = mr_slate_may_count(slate), best = mr_greedy_best(slate);
    if (best == UINT32_MAX)
        return best;
    const bool uniform = mr_rng_double(rng) < c->epsilon;
    const uint32_t nth = mr_rng_below(rng, count);
    const uint32_t found = uniform ? mr_slate_may_nth(slate, nth) : best;
    *q = (found == best ? 1.0 - c->epsilon : 0.0) + c->epsilon / count;
    return found;
}

const mr_policy mr_policy_epsilon_greedy = {
    .state = {.name = "epsilon_greedy",
              .source = "Sutton and Barto, Reinforcement Learning",
              .params = params,
              .config_bytes = sizeof(config)},
    .open = open,
    .draw = draw,
};
