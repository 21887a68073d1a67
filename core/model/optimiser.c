// SPDX-License-Identifier: Apache-2.0
#include "core/model/optimiser.h"

#include "core/base/error.h"

enum { EXACT_EVENTS = 4 }; // gradients of one step that say by themselves how much they agree

static const float epsilon = 1e-8f;
static const float noise_floor = 0.1f;      // gsnr: a step is shortened to this share at most
static const float curvature_least = 1e-4f; // added to the curvature
static const float curvature_step = 0.1f;   // largest norm of its step
static const double slow = 0.9, slower = 0.999;

typedef struct tail { // behind the vector and the kind's own state
    float squares;    // AdaGrad's G
    float steps;      // events
} tail;

typedef struct averages { // of the kinds that keep averages: behind them
    float second;         // of the squared norm, or of the squared curvature
    float steps;          // that went into them
} averages;

static uint32_t own_floats(mr_optimiser_kind kind, uint32_t n)
{
    switch (kind) {
    case MR_OPTIMISER_ADAM:
        return 2 * n + 2;
    case MR_OPTIMISER_GSNR:
    case MR_OPTIMISER_CURVATURE:
        return n + 2;
    case MR_OPTIMISER_ADAGRAD:
    case MR_OPTIMISER_SGD:
    case MR_OPTIMISERS:
        break;
    }
    return 0;
}

uint32_t mr_optimiser_floats(mr_optimiser_kind kind, uint32_t n)
{
    return own_floats(kind, n) + (uint32_t)(sizeof(tail) / sizeof(float));
}

float mr_optimiser_scale(mr_optimiser_kind kind)
{
    return kind == MR_OPTIMISER_SGD         ? 4.5f
           : kind == MR_OPTIMISER_ADAM      ? 0.1f
           : kind == MR_OPTIMISER_CURVATURE ? 0.4f
                                            : 1.0f;
}

static float clip_norm(const mr_vec *vec, const float *x, uint32_t n, float limit)
{
    const float squares = vec->dot(x, x, n);
    return squares > limit * limit ? limit / __builtin_sqrtf(squares) : 1.0f;
}

// 1 - share^steps
static float settled(double share, float steps)
{
    return (float)(1.0 - mr_exp((double)steps * mr_log(share)));
}

// x = share x + (1 - share) scale y
static void average(const mr_vec *vec, float *x, double share, float scale, const float *y,
                    uint32_t n)
{
    vec->scale(x, (float)share, n);
    vec->axpy(x, (float)(1.0 - share) * scale, y, n);
}

float mr_signal_to_noise(float squares_of_mean, float mean_of_squares)
{
    const float noise = mean_of_squares - squares_of_mean;
    return squares_of_mean / ((noise > 0.0f ? noise : 0.0f) + epsilon);
}

static float agreement(const mr_vec *vec, float *state, uint32_t n, const mr_gradient *g)
{
    averages *a = (averages *)(void *)(state + n);
    const float each = 1.0f / g->events, norm = g->squares * (float)n * each;
    average(vec, state, slow, each, g->sum, n);
    a->second = (float)slow * a->second + (float)(1.0 - slow) * norm;
    a->steps += 1.0f;
    const float part = settled(slow, a->steps);
    float ratio = 0.0f; // a single gradient does not say how much it is to be trusted
    if (g->events >= (float)EXACT_EVENTS)
        ratio = mr_signal_to_noise(vec->dot(g->sum, g->sum, n) * each * each, norm);
    else if (a->steps > 1.0f)
        ratio = mr_signal_to_noise(vec->dot(state, state, n) / (part * part), a->second / part);
    return ratio > 1.0f ? 1.0f : ratio < noise_floor ? noise_floor : ratio;
}

static void step_adam(float rate, float *row, uint32_t n, const float *g)
{
    float *first = row + n, *second = row + 2 * (size_t)n;
    averages *a = (averages *)(void *)(row + 3 * (size_t)n);
    const float b1 = (float)slow, b2 = (float)slower;
    a->steps += 1.0f;
    const float size = rate / settled(slow, a->steps), part = settled(slower, a->steps);
    for (uint32_t i = 0; i < n; i++) {
        first[i] = b1 * first[i] + (1.0f - b1) * g[i];
        second[i] = b2 * second[i] + (1.0f - b2) * (g[i] * g[i]);
        row[i] -= size * first[i] / (__builtin_sqrtf(second[i] / part) + epsilon);
    }
}

static void step_curvature(float rate, const mr_vec *vec, float *row, uint32_t n,
                           const mr_gradient *g)
{
    float *first = row + n;
    averages *a = (averages *)(void *)(first + n);
    average(vec, first, slow, 1.0f, g->sum, n);
    a->second = (float)slower * a->second + (float)(1.0 - slower) * (g->curvature * g->curvature);
    a->steps += 1.0f;
    const float bend = __builtin_sqrtf(a->second / settled(slower, a->steps)) + curvature_least;
    const float size = rate / settled(slow, a->steps) / bend;
    const float norm = size * __builtin_sqrtf(vec->dot(first, first, n));
    vec->axpy(row, norm > curvature_step ? -size * curvature_step / norm : -size, first, n);
}

void mr_optimiser_step(const mr_optimiser *of, const mr_vec *vec, float *row, uint32_t n,
                       const mr_gradient *g)
{
    float *state = row + n;
    tail *t = (tail *)(void *)(state + own_floats(of->kind, n));
    t->squares += g->squares;
    t->steps += g->events;
    if (t->squares <= 0.0f)
        return;
    const float bound = g->events > 1.0f ? 1.0f / __builtin_sqrtf(g->events) : 1.0f;
    const float size = of->rate * bound / (__builtin_sqrtf(t->squares) + epsilon);
    if (of->decay > 0)
        vec->scale(row, 1.0f - of->decay, n);
    switch (of->kind) {
    case MR_OPTIMISER_ADAGRAD:
        vec->axpy(row, -size, g->sum, n);
        break;
    case MR_OPTIMISER_SGD:
        vec->axpy(row, -of->rate * bound, g->sum, n);
        break;
    case MR_OPTIMISER_ADAM:
        step_adam(of->rate, row, n, g->sum);
        break;
    case MR_OPTIMISER_GSNR:
        vec->axpy(row, -size * agreement(vec, state, n, g), g->sum, n);
        break;
    case MR_OPTIMISER_CURVATURE:
        step_curvature(of->rate, vec, row, n, g);
        break;
    case MR_OPTIMISERS:
        MR_ASSERT(false);
    }
    const float shrink = clip_norm(vec, row, n, of->norm_max);
    if (shrink < 1.0f)
        vec->scale(row, shrink, n);
}
