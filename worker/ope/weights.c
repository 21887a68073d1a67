// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/weights.h"

#include <math.h>

static uint32_t class_of(double weight)
{
    if (!(weight > 0.0))
        return 0;
    const double at = (log2(weight) + 32.0) * MR_WEIGHT_STEPS;
    if (at < 0.0)
        return 0;
    return at < MR_WEIGHT_CLASSES - 1 ? (uint32_t)at : MR_WEIGHT_CLASSES - 1;
}

void mr_weights_add(mr_weights *weights, double weight, double reward, double chance,
                    double unsupported)
{
    const uint32_t class = class_of(weight);
    weights->rounds++;
    weights->clicks += reward > 0.0 && weight > 0.0;
    weights->thin += chance < 1e-6;
    weights->sum += weight;
    weights->sum_square += weight * weight;
    weights->max = fmax(weights->max, weight);
    weights->reward += reward;
    weights->unsupported += unsupported;
    weights->counts[class]++;
    weights->sums[class] += weight;
}

void mr_weights_merge(mr_weights *weights, const mr_weights *other)
{
    weights->rounds += other->rounds;
    weights->clicks += other->clicks;
    weights->thin += other->thin;
    weights->sum += other->sum;
    weights->sum_square += other->sum_square;
    weights->max = fmax(weights->max, other->max);
    weights->reward += other->reward;
    weights->unsupported += other->unsupported;
    for (uint32_t i = 0; i < MR_WEIGHT_CLASSES; i++) {
        weights->counts[i] += other->counts[i];
        weights->sums[i] += other->sums[i];
    }
}

double mr_weights_mean(const mr_weights *weights)
{
    return weights->rounds > 0 ? weights->sum / (double)weights->rounds : (double)NAN;
}

double mr_weights_mean_error(const mr_weights *weights)
{
    const double n = (double)weights->rounds, mean = mr_weights_mean(weights);
    if (weights->rounds < 2)
        return (double)NAN;
    return sqrt(fmax(weights->sum_square - n * mean * mean, 0.0) / (n - 1.0) / n);
}

double mr_weights_effective(const mr_weights *weights)
{
    return weights->sum_square > 0.0 ? weights->sum * weights->sum / weights->sum_square : 0.0;
}

double mr_weights_quantile(const mr_weights *weights, double p)
{
    const double rank = p * (double)weights->rounds;
    double below = 0.0;
    for (uint32_t i = 0; i < MR_WEIGHT_CLASSES; i++) {
        below += (double)weights->counts[i];
        if (below >= rank && weights->counts[i] > 0)
            return weights->sums[i] / (double)weights->counts[i];
    }
    return weights->max;
}

double mr_weights_top_share(const mr_weights *weights, double part)
{
    double left = ceil(part * (double)weights->rounds), share = 0.0;
    for (uint32_t i = MR_WEIGHT_CLASSES; i-- > 0 && left > 0.0;) {
        const double count = (double)weights->counts[i];
        if (count == 0.0)
            continue;
        const double taken = fmin(count, left);
        share += weights->sums[i] * taken / count;
        left -= taken;
    }
    return weights->sum > 0.0 ? share / weights->sum : 0.0;
}

uint32_t mr_weights_doubts(const mr_weights *weights)
{
    const double n = (double)weights->rounds;
    uint32_t doubts = 0;
    if (mr_weights_effective(weights) < 100.0 || mr_weights_top_share(weights, 0.01) > 0.5)
        doubts |= MR_TRUST_FEW;
    if (fabs(mr_weights_mean(weights) - 1.0) > 3.0 * mr_weights_mean_error(weights))
        doubts |= MR_TRUST_MISMATCH;
    if ((double)weights->thin > 0.05 * n)
        doubts |= MR_TRUST_THIN;
    if (weights->unsupported > 0.01 * n)
        doubts |= MR_TRUST_UNSUPPORTED;
    return doubts;
}
