// SPDX-License-Identifier: Apache-2.0
// variety: every item above of another category speaks for an item.
//
// Places are given greedily to make
//
//     sum over S of s_i + lambda sum over pairs of S of [cat_i != cat_j]
//
// large, s in standard deviations of the candidates' relevance: a candidate's bonus is lambda times
// the number of items above that are of another category, brought up to date after each pick. The
// category is the first one that the catalogue names; items without one are neither like nor unlike
// anything. lambda = 0: off.
// Source: Cen et al., "Controllable Multi-Interest Framework for Recommendation" (controllable
// aggregation); the scale is ours.
#include "core/list/slate.h"

typedef struct config {
    double lambda;
} config;

static const mr_param params[] = {
    {"lambda", "",
     "what an item above of another category is worth, in deviations of relevance; 0: off",
     offsetof(config, lambda), 0, 0, 100},
    {0},
};

typedef struct kinds {
    uint64_t of[MR_UNION_MAX]; // by candidate: its category
} kinds;

static void open(const mr_instance *self, mr_slate *slate)
{
    kinds *k = mr_slate_keep(slate, self, sizeof *k);
    (void)mr_slate_adjust(slate);
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        k->of[i] = mr_items_at(slate->view->items, slate->candidates->slots[i])->categories[0];
}

static void picked(const mr_instance *self, mr_slate *slate, uint32_t candidate)
{
    const config *c = self->config;
    const float bonus = (float)(c->lambda * slate->scale);
    const kinds *k = mr_slate_kept(slate, self);
    float *to = mr_slate_adjust(slate);
    for (uint32_t i = 0; k->of[candidate] != 0 && i < slate->candidates->count; i++)
        if (mr_slate_free(slate, i) && k->of[i] != 0 && k->of[i] != k->of[candidate])
            to[i] += bonus;
}

static bool on(const void *c)
{
    return ((const config *)c)->lambda > 0;
}

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(kinds);
}

const mr_rule mr_rule_variety = {
    .state = {.name = "variety",
              .source = "Cen et al., Controllable Multi-Interest Framework for Recommendation",
              .params = params,
              .config_bytes = sizeof(config)},
    .on = on,
    .slate_bytes = slate_bytes,
    .open = open,
    .picked = picked,
};
