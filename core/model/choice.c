// SPDX-License-Identifier: Apache-2.0
#include "core/model/choice.h"

#include "core/base/vec.h"

static float clamped(float score)
{
    return score > 20.0f ? 20.0f : score < -100.0f ? -100.0f : score;
}

float mr_choice_probabilities(float *scores, uint32_t count, float none)
{
    const float of_none = clamped(none);
    float top = of_none, sum;
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = clamped(scores[i]);
        top = scores[i] > top ? scores[i] : top;
    }
    sum = mr_expf(of_none - top);
    for (uint32_t i = 0; i < count; i++)
        sum += scores[i] = mr_expf(scores[i] - top);
    for (uint32_t i = 0; i < count; i++)
        scores[i] /= sum;
    return mr_expf(of_none - top) / sum;
}

static float precision_of(const mr_belief *of, uint32_t i)
{
    return of->prior_precision[i] + of->precision[i];
}

static float mean_of(const mr_belief *of, uint32_t i)
{
    return (of->prior_precision[i] * of->prior_mean[i] + of->shift[i]) / precision_of(of, i);
}

void mr_belief_read(const mr_belief *of, float *mean, float *variance)
{
    for (uint32_t i = 0; i < of->n; i++) {
        mean[i] = mean_of(of, i);
        variance[i] = 1.0f / precision_of(of, i);
    }
}

void mr_belief_learn(const mr_belief *of, const float *information, const float *gain)
{
    float load = 0.0f;
    for (uint32_t i = 0; i < of->n; i++)
        load += information[i] / (precision_of(of, i) + information[i]);
    const float share = load > 1.0f ? 1.0f / load : 1.0f;
    for (uint32_t i = 0; i < of->n; i++) {
        const float before = mean_of(of, i);
        of->precision[i] += information[i];
        const float after = precision_of(of, i) * before + share * gain[i];
        of->shift[i] = after - of->prior_precision[i] * of->prior_mean[i];
    }
}

void mr_group_add(mr_group_sums *to, double precision, double shift, double variance)
{
    to->weight += precision / (1.0 + variance * precision); // 1 / (its own variance + variance)
    to->sum += shift / (1.0 + variance * precision);
}

double mr_group_mean(const mr_group_sums *of, double prior_mean, double prior_variance,
                     double *left)
{
    *left = 1.0 / (1.0 / prior_variance + of->weight);
    return *left * (prior_mean / prior_variance + of->sum);
}
