// SPDX-License-Identifier: Apache-2.0
// mmr: maximal marginal relevance: an item loses what a more relevant one above it already says.
//
// Each place goes to the candidate of largest
//
//     lambda s_i - (1 - lambda) max over j above of cos(v_i, v_j)
//
// with s in standard deviations of the candidates' relevance and v the item's vector of the
// embedding; a column's part is taken as a bonus of -(1 - lambda) / lambda max cos, which orders
// alike. The likeness is kept for each candidate and brought up to date after each pick.
// Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking".
#include "core/list/slate.h"

typedef struct config {
    double lambda;
} config;

static const mr_param params[] = {
    {"lambda", "", "weight of relevance against likeness to what stands above; 1: off",
     offsetof(config, lambda), 1, 0.05, 1},
    {0},
};

typedef struct neighbours {
    mr_likeness likeness;
    float closest[MR_UNION_MAX]; // largest cosine to an item above; 0 before the first pick
} neighbours;

static void open(const mr_instance *self, mr_slate *slate)
{
    neighbours *n = mr_slate_keep(slate, self, sizeof *n);
    (void)mr_slate_adjust(slate);
    mr_likeness_of(slate, &n->likeness);
    memset(n->closest, 0, slate->candidates->count * sizeof n->closest[0]);
}

static void picked(const mr_instance *self, mr_slate *slate, uint32_t candidate)
{
    const config *c = self->config;
    const float weight = (float)((1 - c->lambda) / c->lambda * slate->scale);
    neighbours *n = mr_slate_kept(slate, self);
    float *bonus = mr_slate_adjust(slate);
    const bool first = slate->picked_count == 1;
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        if (!mr_slate_free(slate, i))
            continue;
        const float cosine = mr_likeness_cosine(&n->likeness, slate, i, candidate);
        if (!first && cosine <= n->closest[i])
            continue;
        bonus[i] -= weight * (cosine - n->closest[i]);
        n->closest[i] = cosine;
    }
}

static bool on(const void *c)
{
    return ((const config *)c)->lambda < 1;
}

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(neighbours);
}

static const char *const needs[] = {"embedding", NULL};

const mr_rule mr_rule_mmr = {
    .state = {.name = "mmr",
              .source = "The use of MMR, diversity-based reranking for reordering documents",
              .params = params,
              .config_bytes = sizeof(config),
              .needs = needs},
    .on = on,
    .slate_bytes = slate_bytes,
    .open = open,
    .picked = picked,
};
