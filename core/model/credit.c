// SPDX-License-Identifier: Apache-2.0
#include "core/model/credit.h"

#include <stdbool.h>

#include "core/base/error.h"
#include "core/base/vec.h"
#include "core/model/decay.h"

static double weight_of(mr_credit_rule rule, uint32_t i, uint32_t count, double age_s,
                        double half_life_s)
{
    const bool first = i == 0, last = i + 1 == count;
    switch (rule) {
    case MR_CREDIT_LAST:
        return last;
    case MR_CREDIT_FIRST:
        return first;
    case MR_CREDIT_LINEAR:
        return 1;
    case MR_CREDIT_DECAY:
        return mr_exp2(-age_s / half_life_s);
    case MR_CREDIT_ENDS:
        return first || last ? 0.4 : 0.2 / (count - 2);
    }
    MR_ASSERT(false);
    return 0;
}

void mr_credit_share(const double *weights, uint32_t count, uint32_t total, uint32_t *units)
{
    double sum = 0;
    uint32_t given = 0, last = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    for (uint32_t i = 0; i < count; i++) {
        units[i] = (uint32_t)(weights[i] / sum * total);
        given += units[i];
        last = weights[i] > 0 ? i : last;
    }
    MR_ASSERT(sum > 0 && given <= total);
    units[last] += total - given;
}

void mr_credit_split(mr_credit_rule rule, const double *ages_s, uint32_t count, double half_life_s,
                     uint32_t *units)
{
    double weights[MR_CREDIT_TOUCHES];
    MR_ASSERT(count > 0 && count <= MR_CREDIT_TOUCHES);
    // Ages count from the last touch's: of very old ones no weight is lost to underflow.
    for (uint32_t i = 0; i < count; i++)
        weights[i] = weight_of(rule, i, count, ages_s[i] - ages_s[count - 1], half_life_s);
    mr_credit_share(weights, count, MR_CREDIT_ONE, units);
}

double mr_credit_rate(double clicks, double pending, double conversions, double prior,
                      double weight)
{
    const double reported = clicks - pending, least = 0.1 * clicks;
    const double tried = reported > least ? reported : least;
    const double led = conversions > 0 ? conversions : 0; // refunds of what has faded
    return tried + weight > 0 ? (led + weight * prior) / (tried + weight) : prior;
}

int64_t mr_credit_pending_half_life(int64_t half_life_ms, double delay_ms)
{
    const double by_delay = 1.0 / (delay_ms * 0.69314718055994531);
    const double by_age = half_life_ms == MR_DECAY_NEVER ? 0.0 : 1.0 / (double)half_life_ms;
    const double both = 1.0 / (by_delay + by_age);
    return both > 1.0 ? (int64_t)(both + 0.5) : 1;
}

double mr_credit_alike(double n, double n_a, double n_b, double doubt)
{
    return n > 0 ? n / __builtin_sqrt(n_a * n_b) * (n / (n + doubt)) : 0;
}
