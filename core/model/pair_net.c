// SPDX-License-Identifier: Apache-2.0
#include "core/model/pair_net.h"

float mr_pair_score(const mr_pair_net *of, const mr_vec *vec, const float x[MR_PAIR_X],
                    float hidden[MR_PAIR_HIDDEN])
{
    for (uint32_t h = 0; h < MR_PAIR_HIDDEN; h++) {
        const float pre = vec->dot(of->w1[h], x, MR_PAIR_X) + of->b1[h];
        hidden[h] = pre > 0.0f ? pre : 0.0f;
    }
    return vec->dot(of->w2, hidden, MR_PAIR_HIDDEN) + vec->dot(of->w3, x, MR_PAIR_X);
}

void mr_pair_back(const mr_pair_net *of, const mr_vec *vec, const float x[MR_PAIR_X],
                  const float hidden[MR_PAIR_HIDDEN], float by_g, mr_pair_net *gradient)
{
    vec->axpy(gradient->w3, by_g, x, MR_PAIR_X);
    vec->axpy(gradient->w2, by_g, hidden, MR_PAIR_HIDDEN);
    for (uint32_t h = 0; h < MR_PAIR_HIDDEN; h++) {
        if (!(hidden[h] > 0.0f))
            continue;
        vec->axpy(gradient->w1[h], by_g * of->w2[h], x, MR_PAIR_X);
        gradient->b1[h] += by_g * of->w2[h];
    }
}

float mr_pair_pool(const float *g, uint32_t count, bool max, float *shares)
{
    uint32_t top = 0;
    float sum = 0.0f;
    for (uint32_t i = 1; i < count; i++)
        top = g[i] > g[top] ? i : top;
    for (uint32_t i = 0; i < count; i++) {
        shares[i] = max ? (i == top ? 1.0f : 0.0f) : mr_expf(g[i] - g[top]);
        sum += shares[i];
    }
    for (uint32_t i = 0; i < count; i++)
        shares[i] /= sum;
    return max ? g[top] : g[top] + (float)mr_log((double)sum);
}
