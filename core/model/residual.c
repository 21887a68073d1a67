// SPDX-License-Identifier: Apache-2.0
#include "core/model/residual.h"

#include <string.h>

static size_t place_of(const mr_residual *of, uint32_t level, uint32_t code)
{
    return ((size_t)level * of->codes + code) * of->stride;
}

static float inverse_of(const mr_residual *of, uint32_t level, uint32_t code)
{
    const float count = of->counts == NULL ? 1.0f : of->counts[place_of(of, level, code)];
    return count > 0.0f ? 1.0f / count : 0.0f;
}

uint32_t mr_residual_nearest(const mr_residual *of, uint32_t level, const float *r)
{
    uint32_t nearest = MR_RESIDUAL_NONE;
    float least = 0.0f;
    for (uint32_t k = 0; k < of->codes; k++) {
        const float *entry = of->books + place_of(of, level, k);
        const float inverse = inverse_of(of, level, k);
        if (!(inverse > 0.0f))
            continue;
        // |r - E|^2 but for |r|^2
        const float far = inverse * (inverse * of->vec->dot(entry, entry, of->n) -
                                     2.0f * of->vec->dot(r, entry, of->n));
        if (nearest == MR_RESIDUAL_NONE || far < least) {
            nearest = k;
            least = far;
        }
    }
    return nearest;
}

void mr_residual_take(const mr_residual *of, uint32_t level, uint32_t code, float *r)
{
    of->vec->axpy(r, -inverse_of(of, level, code), of->books + place_of(of, level, code), of->n);
}

bool mr_residual_encode(const mr_residual *of, uint32_t levels, const float *x, uint16_t *codes,
                        float *r, float *errors)
{
    memcpy(r, x, of->n * sizeof *r);
    for (uint32_t l = 0; l < levels; l++)
        codes[l] = MR_RESIDUAL_NONE;
    for (uint32_t l = 0; l < levels; l++) {
        const uint32_t code = mr_residual_nearest(of, l, r);
        if (code == MR_RESIDUAL_NONE)
            return false;
        codes[l] = (uint16_t)code;
        mr_residual_take(of, l, code, r);
        if (errors != NULL)
            errors[l] = of->vec->dot(r, r, of->n);
    }
    return true;
}

void mr_residual_move(const mr_vec *vec, float keep, float share, float *count, float *sum,
                      float more_count, const float *more_sum, uint32_t n)
{
    *count = keep * *count + share * more_count;
    vec->scale(sum, keep, n);
    if (more_count > 0.0f)
        vec->axpy(sum, share, more_sum, n);
}
