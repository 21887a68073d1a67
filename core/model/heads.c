// SPDX-License-Identifier: Apache-2.0
#include "core/model/heads.h"

#include <string.h>

enum { E = MR_HEADS_EXPERTS, H = MR_HEADS_HIDDEN, T = MR_HEADS_TASKS, Q = MR_HEADS_QUANTILES };

static float sigma(float x)
{
    return 1.0f / (1.0f + mr_expf(-x));
}

static float softplus(float x)
{
    const float size = x < 0.0f ? x : -x; // -|x|
    return (x > 0.0f ? x : 0.0f) + (float)mr_log(1.0 + (double)mr_expf(size));
}

void mr_heads_quantiles(const float *a, uint32_t count, float *q)
{
    q[0] = a[0];
    for (uint32_t i = 1; i < count; i++)
        q[i] = q[i - 1] + softplus(a[i]);
}

// ---- forward

static void mix(const mr_heads *of, const mr_vec *vec, const float *x, uint32_t n, uint32_t t,
                mr_heads_pass *pass)
{
    float z[E], top = 0.0f, sum = 0.0f;
    for (uint32_t e = 0; e < E; e++) {
        z[e] = vec->dot(of->gate[t][e], x, n);
        top = e == 0 || z[e] > top ? z[e] : top;
    }
    for (uint32_t e = 0; e < E; e++)
        sum += z[e] = mr_expf(z[e] - top);
    memset(pass->m[t], 0, sizeof pass->m[t]);
    for (uint32_t e = 0; e < E; e++) {
        pass->gate[t][e] = z[e] / sum;
        vec->axpy(pass->m[t], pass->gate[t][e], pass->f[e], H);
    }
}

void mr_heads_forward(const mr_heads *of, const mr_vec *vec, const float *x, uint32_t n,
                      uint32_t experts, mr_heads_pass *pass)
{
    for (uint32_t e = 0; e < experts; e++)
        for (uint32_t h = 0; h < H; h++) {
            pass->pre[e][h] = vec->dot(of->w[e][h], x, n) + of->b[e][h];
            pass->f[e][h] = pass->pre[e][h] > 0.0f ? pass->pre[e][h] : 0.0f;
        }
    for (uint32_t t = 0; t < MR_HEADS_GATES; t++) {
        if (experts > 0)
            mix(of, vec, x, n, t, pass);
        else
            memset(pass->m[t], 0, sizeof pass->m[t]);
    }
    for (uint32_t t = 0; t < T; t++)
        pass->l[t] = vec->dot(of->head[t], pass->m[t], H) + vec->dot(of->linear[t], x, n) +
                     of->bias[t];
    for (uint32_t k = 0; k < Q; k++)
        pass->a[k] = vec->dot(of->quantile[k], pass->m[T], H) + of->quantile_bias[k];
    pass->a[0] += vec->dot(of->quantile_linear, x, n);
    mr_heads_quantiles(pass->a, Q, pass->q);
}

// ---- back

// From the derivative by m_t to gate t and, into by_f, to the experts.
static void mix_back(const mr_vec *vec, const float *x, uint32_t n, uint32_t t,
                     const mr_heads_pass *pass, const float by_m[H], float by_f[E][H],
                     mr_heads *gradient)
{
    float by_gate[E], mean = 0.0f;
    for (uint32_t e = 0; e < E; e++) {
        by_gate[e] = vec->dot(by_m, pass->f[e], H);
        mean += pass->gate[t][e] * by_gate[e];
        vec->axpy(by_f[e], pass->gate[t][e], by_m, H);
    }
    for (uint32_t e = 0; e < E; e++)
        vec->axpy(gradient->gate[t][e], pass->gate[t][e] * (by_gate[e] - mean), x, n);
}

static void experts_back(const mr_vec *vec, const float *x, uint32_t n, const mr_heads_pass *pass,
                         float by_f[E][H], mr_heads *gradient)
{
    for (uint32_t e = 0; e < E; e++)
        for (uint32_t h = 0; h < H; h++) {
            if (!(pass->pre[e][h] > 0.0f) || by_f[e][h] == 0.0f)
                continue;
            vec->axpy(gradient->w[e][h], by_f[e][h], x, n);
            gradient->b[e][h] += by_f[e][h];
        }
}

void mr_heads_back(const mr_heads *of, const mr_vec *vec, const float *x, uint32_t n,
                   uint32_t experts, const mr_heads_pass *pass, const float by_l[MR_HEADS_TASKS],
                   const float *by_a, mr_heads *gradient)
{
    float by_m[H], by_f[E][H] = {{0}};
    for (uint32_t t = 0; t < T; t++) {
        if (by_l[t] == 0.0f)
            continue;
        vec->axpy(gradient->linear[t], by_l[t], x, n);
        gradient->bias[t] += by_l[t];
        if (experts == 0)
            continue;
        vec->axpy(gradient->head[t], by_l[t], pass->m[t], H);
        vec->set(by_m, by_l[t], of->head[t], H);
        mix_back(vec, x, n, t, pass, by_m, by_f, gradient);
    }
    if (by_a != NULL) {
        memset(by_m, 0, sizeof by_m);
        vec->axpy(gradient->quantile_linear, by_a[0], x, n);
        for (uint32_t k = 0; k < Q; k++) {
            gradient->quantile_bias[k] += by_a[k];
            if (experts == 0)
                continue;
            vec->axpy(gradient->quantile[k], by_a[k], pass->m[T], H);
            vec->axpy(by_m, by_a[k], of->quantile[k], H);
        }
        if (experts > 0)
            mix_back(vec, x, n, T, pass, by_m, by_f, gradient);
    }
    if (experts > 0)
        experts_back(vec, x, n, pass, by_f, gradient);
}

// ---- losses

float mr_heads_reach(const float l[MR_HEADS_TASKS], uint32_t c)
{
    float p = 1.0f;
    for (uint32_t j = 0; j <= c; j++)
        p *= sigma(l[j]);
    return p;
}

void mr_heads_chain(const float l[MR_HEADS_TASKS], uint32_t c, bool reached, float weight,
                    float by_l[MR_HEADS_TASKS])
{
    const float p = mr_heads_reach(l, c), rest = 1.0f - p > 1e-6f ? 1.0f - p : 1e-6f;
    const float slope = reached ? -weight : weight * p / rest;
    for (uint32_t j = 0; j <= c; j++)
        by_l[j] += slope * sigma(-l[j]);
}

float mr_heads_pinball(const float *a, const float *q, uint32_t count, float y, float *by_a)
{
    float loss = 0.0f, behind = 0.0f; // by q_n and all above it
    for (uint32_t i = count; i-- > 0;) {
        const float tau = (float)(i + 1) / (float)(count + 1), error = y - q[i];
        loss += (error > 0.0f ? tau * error : (tau - 1.0f) * error) / (float)count;
        behind += ((y < q[i] ? 1.0f : 0.0f) - tau) / (float)count;
        by_a[i] = i == 0 ? behind : sigma(a[i]) * behind;
    }
    return loss;
}

float mr_heads_mean(const float *q, uint32_t count)
{
    const float step = 1.0f / (float)(count + 1);
    float sum = step * (q[0] + q[count - 1]);
    for (uint32_t i = 0; i + 1 < count; i++)
        sum += step * 0.5f * (q[i] + q[i + 1]);
    return sum;
}
