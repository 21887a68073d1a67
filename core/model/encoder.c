// SPDX-License-Identifier: Apache-2.0
#include "core/model/encoder.h"

#include <string.h>

void mr_encoder_start(float *map, uint32_t which, uint32_t n, double keep)
{
    const float bias = (float)mr_log((1.0 - keep) / keep);
    for (uint32_t k = 0; k < n; k++) {
        if (which == MR_MAP_WH || which == MR_ENCODER_OUTPUT)
            map[(size_t)k * n + k] = 1.0f;
        else if (which == MR_MAP_WZ)
            map[(size_t)n * n + k] = bias;
    }
}

void mr_encoder_begin(const mr_encoder *of, mr_encoded *read, float *z)
{
    read->steps = 0;
    memset(read->first, 0, sizeof read->first);
    memset(z, 0, of->n * sizeof *z);
}

static mr_recurrent cell_of(const mr_encoder *of)
{
    mr_recurrent cell = {.kind = MR_CELL_GRU, .n = of->n, .vec = of->vec};
    memcpy(cell.maps, of->maps, sizeof cell.maps);
    return cell;
}

void mr_encoder_take(const mr_encoder *of, const float *x, mr_encoded *read, float *z)
{
    if (of->kind == MR_ENCODER_LINEAR) {
        of->vec->scale(z, of->keep, of->n);
        of->vec->axpy(z, 1.0f - of->keep, x, of->n);
        return;
    }
    const mr_recurrent cell = cell_of(of);
    float(*room)[MR_ENCODER_DIM_MAX] = read->room[read->steps];
    mr_step *at = &read->step[read->steps];
    memcpy(room[0], x, of->n * sizeof *x);
    *at = (mr_step){.x = room[0],
                    .before = read->steps == 0 ? read->first : at[-1].h,
                    .z = room[1],
                    .c = room[2],
                    .r = room[3],
                    .h = room[4],
                    .slope = room[5]};
    mr_recurrent_step(&cell, at, read->scratch);
    read->steps++;
}

void mr_encoder_end(const mr_encoder *of, const mr_encoded *read, float *z)
{
    if (read->steps > 0)
        mr_map_apply(of->vec, of->maps[MR_ENCODER_OUTPUT], of->n, read->step[read->steps - 1].h, z);
}

void mr_encoder_back(const mr_encoder *of, mr_encoded *read, const float *dz,
                     float *const gradients[MR_ENCODER_MAPS])
{
    const mr_recurrent cell = cell_of(of);
    float dh[MR_ENCODER_DIM_MAX] = {0}, dx[MR_ENCODER_DIM_MAX] = {0}; // dx moves no item
    if (read->steps == 0)
        return;
    mr_map_gradient(of->vec, of->n, dz, read->step[read->steps - 1].h, true,
                    gradients[MR_ENCODER_OUTPUT]);
    mr_map_back(of->vec, of->maps[MR_ENCODER_OUTPUT], of->n, dz, dh);
    for (uint32_t s = read->steps; s-- > 0;)
        mr_recurrent_back(&cell, &read->step[s], dh, gradients, dx, read->scratch);
}
