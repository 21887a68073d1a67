// SPDX-License-Identifier: Apache-2.0
#include "core/model/loss.h"

#include <stddef.h>

#include "core/base/sort.h"
#include "core/base/vec.h"

// Below it a level's probability is taken as it in the nested form; above the bound on the
// differences of logits there is a penalty.
static const double nested_floor = 1e-4, nested_bound = -0.05;

void mr_loss_bpr(const mr_candidates *of)
{
    float sum = 0.0f, curvature = 0.0f;
    const float share = of->count > 1 ? of->weight / (float)(of->count - 1) : 0.0f;
    for (uint32_t i = 1; i < of->count; i++)
        of->gradients[i] = share / (1.0f + mr_expf(of->scores[0] - of->scores[i]));
    for (uint32_t i = 1; i < of->count; i++)
        sum += of->gradients[i];
    of->gradients[0] = -sum;
    if (of->curvatures == NULL)
        return;
    for (uint32_t i = 1; i < of->count; i++) { // sigma(-x) sigma(x) = sigma(-x) - sigma(-x)^2
        of->curvatures[i] = of->gradients[i] - of->gradients[i] * of->gradients[i] / share;
        curvature += of->curvatures[i];
    }
    of->curvatures[0] = curvature;
}

void mr_loss_sgns(const mr_candidates *of, const float *shares)
{
    for (uint32_t i = 0; i < of->count; i++) {
        const float p =
            of->scores[i] > MR_LOSS_LEFT_OUT ? 1.0f / (1.0f + mr_expf(-of->scores[i])) : 0.0f;
        const float share = i == 0 ? of->weight : of->weight * shares[i];
        of->gradients[i] = share * (i == 0 ? p - 1.0f : p);
        if (of->curvatures != NULL)
            of->curvatures[i] = share * p * (1.0f - p);
    }
}

static void softmax_curvatures(const mr_candidates *of, float inverse)
{
    for (uint32_t i = 0; i < of->count; i++) {
        const float p = of->gradients[i] / (of->weight * inverse) + (i == 0 ? 1.0f : 0.0f);
        of->curvatures[i] = of->weight * inverse * inverse * p * (1.0f - p);
    }
}

void mr_loss_softmax(const mr_candidates *of, const float *log_q, double temperature, float cap)
{
    const float inverse = (float)(1.0 / temperature);
    float *z = of->gradients;
    float top = of->scores[0] * inverse;
    for (uint32_t i = 1; i < of->count; i++) {
        z[i] = log_q == NULL ? of->scores[i] * inverse : of->scores[i] * inverse - log_q[i];
        top = z[i] > top ? z[i] : top;
    }
    const float first = mr_expf(of->scores[0] * inverse - top);
    float sum = first;
    for (uint32_t i = 1; i < of->count; i++)
        z[i] = mr_expf(z[i] - top);
    for (uint32_t i = 1; i < of->count; i++)
        sum += z[i];
    const float unit = of->weight * inverse / sum, most = of->weight * inverse * cap;
    float taken = 0.0f;
    for (uint32_t i = 1; i < of->count; i++) {
        z[i] *= unit;
        taken += z[i] > most ? z[i] - most : 0.0f;
        z[i] = z[i] > most ? most : z[i];
    }
    of->gradients[0] = first * unit - of->weight * inverse + taken;
    if (of->curvatures != NULL)
        softmax_curvatures(of, inverse);
}

void mr_loss_hinge(const mr_candidates *of, float margin, uint32_t items)
{
    uint32_t violators = 0;
    const uint32_t negatives = of->count - 1;
    for (uint32_t i = 1; i < of->count; i++)
        violators += of->scores[i] + margin > of->scores[0];
    const uint64_t rank = violators > 0 ? (uint64_t)items * violators / negatives : 0;
    const double most = mr_log(1.0 + (double)(items > 0 ? items : 1));
    const float share =
        violators > 0 ? of->weight * (float)(mr_log(1.0 + (double)rank) / most) / (float)violators
                      : 0.0f;
    for (uint32_t i = 1; i < of->count; i++)
        of->gradients[i] = of->scores[i] + margin > of->scores[0] ? share : 0.0f;
    of->gradients[0] = -share * (float)violators;
    for (uint32_t i = 0; of->curvatures != NULL && i < of->count; i++)
        of->curvatures[i] = 0.0f;
}

void mr_loss_pointwise(const mr_candidates *of, float label, float stands_for)
{
    const float share = of->count > 1 ? of->weight * stands_for / (float)(of->count - 1) : 0.0f;
    for (uint32_t i = 0; i < of->count; i++) {
        const float p = 1.0f / (1.0f + mr_expf(-of->scores[i])), slope = p * (1.0f - p);
        const float size = i == 0 ? of->weight : share;
        of->gradients[i] = 2.0f * size * (p - (i == 0 ? label : 0.0f)) * slope;
        if (of->curvatures != NULL)
            of->curvatures[i] = 2.0f * size * slope * slope;
    }
}

uint32_t mr_loss_hardest(const float *scores, uint32_t count, uint32_t kept, uint64_t *scratch,
                         uint32_t *chosen)
{
    uint32_t there = 0;
    for (uint32_t i = 0; i < count; i++)
        if (scores[i] > MR_LOSS_LEFT_OUT)
            scratch[there++] = (uint64_t)mr_sort_descending(scores[i]) << 32 | i;
    const uint32_t all = kept < there ? kept : there, hard = all - all / 4;
    if (all == 0)
        return 0;
    mr_sort_first(scratch, there, hard);
    const uint64_t last = scratch[hard - 1];
    uint32_t taken = 0;
    for (; taken < hard; taken++)
        chosen[taken] = (uint32_t)scratch[taken];
    for (uint32_t i = 0; i < count && taken < all; i++)
        if (scores[i] > MR_LOSS_LEFT_OUT &&
            ((uint64_t)mr_sort_descending(scores[i]) << 32 | i) > last)
            chosen[taken++] = i;
    return taken;
}

mr_level_gradient mr_loss_chain(const mr_levels *of, const float x[MR_LEVELS], uint32_t level)
{
    mr_level_gradient gradient = {{0}, {0}};
    for (uint32_t c = 0; c < MR_LEVELS && c <= level; c++) {
        const double p = mr_sigmoid(of->slope * (double)x[c] + of->log_odds[c]);
        gradient.by[c] = (float)(of->slope * (p - (level > c ? 1.0 : 0.0)));
        gradient.curvature[c] = (float)(of->slope * of->slope * p * (1.0 - p));
    }
    return gradient;
}

// Adds the gradient of -ln(P_y - P_y+1), y = c + 1, `times` over.
static void one_level(const double l[MR_LEVELS], uint32_t c, double times, double by[MR_LEVELS])
{
    const double growth = mr_exp(l[c + 1] - l[c]), gap = 1.0 - growth;
    const double steep = gap > nested_floor ? growth / gap : 0.0;
    by[c] -= times * (mr_sigmoid(-l[c]) + steep);
    by[c + 1] += times * (mr_sigmoid(l[c + 1]) + steep);
}

void mr_loss_nested_by_logit(const double l[MR_LEVELS], uint32_t level, double by[MR_LEVELS])
{
    for (uint32_t c = 0; c < MR_LEVELS; c++)
        by[c] = 0.0;
    if (level == 0) {
        by[0] = MR_LEVELS * mr_sigmoid(l[0]);
        return;
    }
    for (uint32_t c = 0; c < level; c++)
        by[c] -= mr_sigmoid(-l[c]);
    if (level < MR_LEVELS)
        one_level(l, level - 1, MR_LEVELS - level, by);
    for (uint32_t c = 0; c + 1 < MR_LEVELS; c++)
        if (l[c + 1] - l[c] > nested_bound) {
            by[c] -= 1.0;
            by[c + 1] += 1.0;
        }
}

mr_level_gradient mr_loss_nested(const mr_levels *of, const float x[MR_LEVELS], uint32_t level)
{
    mr_level_gradient gradient;
    double l[MR_LEVELS], by[MR_LEVELS], sum = 0.0;
    for (uint32_t c = 0; c < MR_LEVELS; c++) {
        sum += of->slope * (double)x[c];
        l[c] = sum + of->log_odds[c];
    }
    mr_loss_nested_by_logit(l, level, by);
    sum = 0.0;
    for (uint32_t c = MR_LEVELS; c-- > 0;) {
        const double p = mr_sigmoid(l[c]);
        sum += by[c];
        gradient.by[c] = (float)(of->slope * sum);
        gradient.curvature[c] = (float)(of->slope * of->slope * p * (1.0 - p));
    }
    return gradient;
}
