// SPDX-License-Identifier: Apache-2.0
#include "core/model/learned_prior.h"

#include "core/base/vec.h"

enum { UNIT = 1 << 16, EVERY = 100, ROUNDS = 20 };

static const double log_two = 0.69314718055994530942;

static uint32_t cell_of(double n, double s)
{
    const double by_n = mr_log(n) / log_two;
    const double by_s = s < 0.25 ? 0 : 2 * mr_log(4 * s) / log_two + 1;
    const uint32_t i = by_n < MR_PRIOR_TRIES ? (uint32_t)by_n : MR_PRIOR_TRIES - 1;
    const uint32_t j = by_s < MR_PRIOR_GAINS ? (uint32_t)by_s : MR_PRIOR_GAINS - 1;
    return i * MR_PRIOR_GAINS + j;
}

void mr_prior_note(mr_prior_table *delta, double n, double s)
{
    if (!(n >= 1))
        return;
    s = s < n ? s : n;
    mr_prior_cell *cell = &delta->cells[cell_of(n, s)];
    cell->count += (int64_t)(UNIT / n + 0.5);
    cell->n += UNIT;
    cell->s += (int64_t)(UNIT * s / n + 0.5);
}

static void combine(mr_prior_table *into, const mr_prior_table *from)
{
    for (uint32_t i = 0; i < MR_PRIOR_TRIES * MR_PRIOR_GAINS; i++) {
        into->cells[i].count += from->cells[i].count;
        into->cells[i].n += from->cells[i].n;
        into->cells[i].s += from->cells[i].s;
    }
}

void mr_prior_combine(const void *config, void *into, const void *from)
{
    (void)config;
    combine(into, from);
}

// Components of equal shares: one around `mean`, the others at a third of the odds and three times.
static void begin(mr_mixture *mixture, uint32_t components, double mean, double weight)
{
    static const double odds[MR_MIXTURE_MAX] = {1, 3, 1.0 / 3, 9};
    mixture->count = components;
    for (uint32_t k = 0; k < components; k++) {
        const double m = mean * odds[k] / (1 - mean + mean * odds[k]);
        const double a = m * weight, b = (1 - m) * weight;
        mixture->share[k] = 1.0 / components;
        mixture->a[k] = a > MR_MIXTURE_SHAPE_MIN ? a : MR_MIXTURE_SHAPE_MIN;
        mixture->b[k] = b > MR_MIXTURE_SHAPE_MIN ? b : MR_MIXTURE_SHAPE_MIN;
    }
}

static void fit(mr_prior *prior)
{
    mr_arms arms[MR_PRIOR_TRIES * MR_PRIOR_GAINS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < MR_PRIOR_TRIES * MR_PRIOR_GAINS; i++) {
        mr_prior_cell *cell = &prior->table.cells[i];
        if (cell->count > 0) {
            const double all = (double)cell->count;
            const double n = (double)cell->n / all, s = (double)cell->s / all;
            arms[count++] = (mr_arms){all / UNIT, n, s < n ? s : n};
        }
        cell->count /= 2;
        cell->n /= 2;
        cell->s /= 2;
    }
    mr_mixture_fit(&prior->mixture, arms, count, ROUNDS);
    prior->fits++;
    prior->since = 0;
}

void mr_prior_apply(mr_prior *prior, const mr_prior_table *delta, uint32_t components, double mean,
                    double weight)
{
    combine(&prior->table, delta);
    for (uint32_t i = 0; i < MR_PRIOR_TRIES * MR_PRIOR_GAINS; i++)
        prior->since += delta->cells[i].count;
    if (prior->since < (int64_t)EVERY * UNIT)
        return;
    if (prior->mixture.count != components)
        begin(&prior->mixture, components, mean, weight);
    fit(prior);
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

void mr_prior_rate(const mr_mixture *mixture, const mr_prior_asked *asked, double *mean,
                   double *variance)
{
    double weights[MR_MIXTURE_MAX], sum = 0, squares = 0, all = 0;
    mr_mixture_weigh(mixture, asked->n, least(asked->s, asked->n), weights);
    for (uint32_t i = 0; i < asked->count; i++) {
        const double w = asked->edges[i].weight, n = asked->edges[i].n;
        mr_mixture_rate(mixture, weights, n, least(asked->edges[i].s, n), mean, variance);
        sum += w * *mean;
        squares += w * w * *variance;
        all += w;
    }
    if (all > 0) {
        *mean = sum / all;
        *variance = squares / (all * all);
    } else {
        mr_mixture_rate(mixture, weights, 0, 0, mean, variance);
    }
}
