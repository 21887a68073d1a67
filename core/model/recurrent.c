// SPDX-License-Identifier: Apache-2.0
#include "core/model/recurrent.h"

#include <string.h>

uint32_t mr_recurrent_maps(mr_cell_kind kind)
{
    return kind == MR_CELL_GRU ? MR_MAPS_MAX : MR_MAP_WR;
}

static float sigma(float x)
{
    return 1.0f / (1.0f + mr_expf(-x));
}

void mr_map_apply(const mr_vec *vec, const float *map, uint32_t n, const float *x, float *y)
{
    const float *biases = map + (size_t)n * n;
    for (uint32_t k = 0; k < n; k++)
        y[k] = vec->dot(map + (size_t)k * n, x, n) + biases[k];
}

void mr_map_gradient(const mr_vec *vec, uint32_t n, const float *dy, const float *x, bool biased,
                     float *gradient)
{
    for (uint32_t k = 0; k < n; k++)
        vec->axpy(gradient + (size_t)k * n, dy[k], x, n);
    if (biased)
        vec->axpy(gradient + (size_t)n * n, 1.0f, dy, n);
}

void mr_map_back(const mr_vec *vec, const float *map, uint32_t n, const float *dy, float *dx)
{
    for (uint32_t k = 0; k < n; k++)
        vec->axpy(dx, dy[k], map + (size_t)k * n, n);
}

// y += U x, without biases.
static void add_state(const mr_recurrent *cell, uint32_t map, const float *x, float *y)
{
    for (uint32_t k = 0; k < cell->n; k++)
        y[k] += cell->vec->dot(cell->maps[map] + (size_t)k * cell->n, x, cell->n);
}

void mr_recurrent_step(const mr_recurrent *cell, mr_step *step, float *scratch)
{
    const uint32_t n = cell->n;
    const float *before = step->before;
    mr_map_apply(cell->vec, cell->maps[MR_MAP_WZ], n, step->x, step->z);
    mr_map_apply(cell->vec, cell->maps[MR_MAP_WH], n, step->x, step->c);
    if (cell->kind == MR_CELL_GRU) {
        mr_map_apply(cell->vec, cell->maps[MR_MAP_WR], n, step->x, step->r);
        add_state(cell, MR_MAP_UZ, before, step->z);
        add_state(cell, MR_MAP_UR, before, step->r);
        for (uint32_t k = 0; k < n; k++) {
            step->r[k] = sigma(step->r[k]);
            scratch[k] = step->r[k] * before[k];
        }
        add_state(cell, MR_MAP_UH, scratch, step->c);
    }
    for (uint32_t k = 0; k < n; k++) {
        const float b = step->c[k];
        if (cell->kind == MR_CELL_GRU) {
            step->c[k] = 2.0f * sigma(2.0f * b) - 1.0f;
            step->slope[k] = 1.0f - step->c[k] * step->c[k];
        } else {
            const float low = sigma(b);
            step->c[k] = b >= 0.0f ? b + 0.5f : low;
            step->slope[k] = b >= 0.0f ? 1.0f : low * (1.0f - low);
        }
        step->z[k] = sigma(step->z[k]);
        step->h[k] = (1.0f - step->z[k]) * before[k] + step->z[k] * step->c[k];
    }
}

void mr_recurrent_back(const mr_recurrent *cell, const mr_step *step, float *dh,
                       float *const *gradients, float *dx, float *scratch)
{
    const uint32_t n = cell->n;
    const mr_vec *vec = cell->vec;
    const float *before = step->before;
    float *dz = scratch, *dc = scratch + n, *dr = scratch + 2 * (size_t)n,
          *q = scratch + 3 * (size_t)n;
    for (uint32_t k = 0; k < n; k++) {
        dc[k] = dh[k] * step->z[k] * step->slope[k];
        dz[k] = dh[k] * (step->c[k] - before[k]) * step->z[k] * (1.0f - step->z[k]);
        dh[k] *= 1.0f - step->z[k];
    }
    mr_map_gradient(vec, n, dz, step->x, true, gradients[MR_MAP_WZ]);
    mr_map_gradient(vec, n, dc, step->x, true, gradients[MR_MAP_WH]);
    mr_map_back(vec, cell->maps[MR_MAP_WZ], n, dz, dx);
    mr_map_back(vec, cell->maps[MR_MAP_WH], n, dc, dx);
    if (cell->kind != MR_CELL_GRU)
        return;
    memset(q, 0, n * sizeof *q);
    mr_map_back(vec, cell->maps[MR_MAP_UH], n, dc, q);
    for (uint32_t k = 0; k < n; k++) {
        dr[k] = q[k] * before[k] * step->r[k] * (1.0f - step->r[k]);
        dh[k] += q[k] * step->r[k];
        q[k] = step->r[k] * before[k];
    }
    mr_map_gradient(vec, n, dc, q, false, gradients[MR_MAP_UH]);
    mr_map_gradient(vec, n, dz, before, false, gradients[MR_MAP_UZ]);
    mr_map_gradient(vec, n, dr, before, false, gradients[MR_MAP_UR]);
    mr_map_gradient(vec, n, dr, step->x, true, gradients[MR_MAP_WR]);
    mr_map_back(vec, cell->maps[MR_MAP_WR], n, dr, dx);
    mr_map_back(vec, cell->maps[MR_MAP_UZ], n, dz, dh);
    mr_map_back(vec, cell->maps[MR_MAP_UR], n, dr, dh);
}
