// SPDX-License-Identifier: Apache-2.0
// dpp: greedy maximum a posteriori of a determinantal point process over the candidates.
//
// Kernel L = diag(q) S diag(q), q_i = exp(alpha s_i / 2) with s in standard deviations of the
// candidates' relevance, and S = (1 - eta) C + eta I of the cosines C between the items' vectors.
// Each place goes to the candidate that makes the determinant of what is picked largest. Since
// det L = (product of q^2) det S, the gain of i has the logarithm alpha s_i + ln d_i with d_i the
// last pivot of the Cholesky factor of S over the picked items and i: a bonus of ln(d_i) / alpha.
// Pivots are kept for each candidate and brought up to date after each pick, for the first `depth`
// places. Source: Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process
// to Improve Recommendation Diversity".
#include "core/list/slate.h"

typedef struct config {
    double alpha, depth;
} config;

enum { DEPTH_MAX = 64 };
static const float eta = 0.01f; // of the identity: no pivot falls below it

static const mr_param params[] = {
    {"alpha", "", "weight of relevance against diversity, 1 to 5 as a rule; 0: off",
     offsetof(config, alpha), 0, 0, 100},
    {"depth", "", "places that are made diverse; below them the last bonus stays",
     offsetof(config, depth), 20, 1, DEPTH_MAX},
    {0},
};

typedef struct pivot { // of one candidate
    float d;           // det S of the picked and this one over that of the picked
    float c[DEPTH_MAX];
} pivot;

typedef struct pivots {
    mr_likeness likeness;
    pivot of[MR_UNION_MAX];
} pivots;

static void open(const mr_instance *self, mr_slate *slate)
{
    pivots *p = mr_slate_keep(slate, self, sizeof *p);
    (void)mr_slate_adjust(slate);
    mr_likeness_of(slate, &p->likeness);
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        p->of[i].d = 1;
        memset(p->of[i].c, 0, sizeof p->of[i].c); // kernels take whole sixteens
    }
}

static void picked(const mr_instance *self, mr_slate *slate, uint32_t candidate)
{
    const config *c = self->config;
    const uint32_t place = slate->picked_count - 1;
    const float weight = (float)(slate->scale / c->alpha);
    pivots *p = mr_slate_kept(slate, self);
    float *bonus = mr_slate_adjust(slate);
    if (place >= (uint32_t)c->depth)
        return;
    const pivot *j = &p->of[candidate];
    const float root = __builtin_sqrtf(j->d);
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        if (!mr_slate_free(slate, i))
            continue;
        pivot *at = &p->of[i];
        const float likeness = (1 - eta) * mr_likeness_cosine(&p->likeness, slate, i, candidate);
        const float known = slate->view->vec->dot(at->c, j->c, mr_vec_padded(place));
        const float e = (likeness - known) / root, before = at->d;
        at->c[place] = e;
        at->d = before - e * e > 1e-6f ? before - e * e : 1e-6f;
        bonus[i] += weight * (float)mr_log((double)(at->d / before));
    }
}

static bool on(const void *c)
{
    return ((const config *)c)->alpha > 0;
}

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(pivots);
}

static const char *const needs[] = {"embedding", NULL};

const mr_rule mr_rule_dpp = {
    .state = {.name = "dpp",
              .source = "Fast Greedy MAP Inference for Determinantal Point Process to Improve "
                        "Recommendation Diversity",
              .params = params,
              .config_bytes = sizeof(config),
              .needs = needs},
    .on = on,
    .slate_bytes = slate_bytes,
    .open = open,
    .picked = picked,
};
