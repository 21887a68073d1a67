// SPDX-License-Identifier: Apache-2.0
// Recurrent cells: the worked figures, and every gradient against central differences of the same
// cells written out in doubles.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/recurrent.h"

enum { N = 16, STEPS = 4, MAP = N * (N + 1) };

typedef struct net { // maps, inputs, first state; loss = sum of weight x last state
    double maps[MR_MAPS_MAX][MAP], x[STEPS][N], first[N], weight[N];
} net;

static void draw(net *of, uint64_t seed)
{
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    double *all = (double *)of;
    for (size_t i = 0; i < sizeof *of / sizeof *all; i++)
        all[i] = (double)(0.3f * mr_rng_normal(&rng));
    for (int m = MR_MAP_UZ; m <= MR_MAP_UR; m++) // those of the state have no biases
        memset(of->maps[m] + N * N, 0, N * sizeof(double));
}

static double sigma(double x)
{
    return 1 / (1 + exp(-x));
}

static double row_of(const double *map, int k, const double *x)
{
    double sum = map[N * N + k];
    for (int i = 0; i < N; i++)
        sum += map[k * N + i] * x[i];
    return sum;
}

static double loss_of(const net *of, mr_cell_kind kind)
{
    double h[N], loss = 0;
    memcpy(h, of->first, sizeof h);
    for (int s = 0; s < STEPS; s++) {
        double next[N], reset[N] = {0};
        for (int k = 0; k < N && kind == MR_CELL_GRU; k++)
            reset[k] = h[k] * sigma(row_of(of->maps[MR_MAP_WR], k, of->x[s]) +
                                    row_of(of->maps[MR_MAP_UR], k, h));
        for (int k = 0; k < N; k++) {
            double z = row_of(of->maps[MR_MAP_WZ], k, of->x[s]);
            double b = row_of(of->maps[MR_MAP_WH], k, of->x[s]);
            if (kind == MR_CELL_GRU) {
                z += row_of(of->maps[MR_MAP_UZ], k, h);
                b += row_of(of->maps[MR_MAP_UH], k, reset);
            }
            const double c = kind == MR_CELL_GRU ? tanh(b) : b >= 0 ? b + 0.5 : sigma(b);
            next[k] = (1 - sigma(z)) * h[k] + sigma(z) * c;
        }
        memcpy(h, next, sizeof h);
    }
    for (int k = 0; k < N; k++)
        loss += of->weight[k] * h[k];
    return loss;
}

static void narrow(const double *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (float)from[i];
}

typedef struct gradients {
    float maps[MR_MAPS_MAX][MAP], x[STEPS][N], first[N];
} gradients;

static void run(const net *of, mr_cell_kind kind, gradients *g, float last[N])
{
    static float maps[MR_MAPS_MAX][MAP], x[STEPS][N], room[STEPS][5][N], first[N], scratch[4 * N];
    mr_recurrent cell = {.kind = kind, .n = N, .vec = mr_vec_best()};
    mr_step steps[STEPS];
    float *to[MR_MAPS_MAX];
    memset(g, 0, sizeof *g);
    narrow(of->maps[0], maps[0], sizeof maps / sizeof(float));
    narrow(of->x[0], x[0], sizeof x / sizeof(float));
    narrow(of->first, first, N);
    for (int m = 0; m < MR_MAPS_MAX; m++) {
        cell.maps[m] = maps[m];
        to[m] = g->maps[m];
    }
    for (int s = 0; s < STEPS; s++) {
        steps[s] = (mr_step){.x = x[s],
                             .before = s == 0 ? first : steps[s - 1].h,
                             .z = room[s][0],
                             .c = room[s][1],
                             .r = room[s][2],
                             .h = room[s][3],
                             .slope = room[s][4]};
        mr_recurrent_step(&cell, &steps[s], scratch);
    }
    memcpy(last, steps[STEPS - 1].h, N * sizeof *last);
    narrow(of->weight, g->first, N);
    for (int s = STEPS; s-- > 0;)
        mr_recurrent_back(&cell, &steps[s], g->first, to, g->x[s], scratch);
}

static void check(net *of, mr_cell_kind kind, double *parameter, float gradient)
{
    const double was = *parameter, step = 1e-5;
    *parameter = was + step;
    const double above = loss_of(of, kind);
    *parameter = was - step;
    const double below = loss_of(of, kind);
    *parameter = was;
    const double want = (above - below) / (2 * step);
    if (!(fabs((double)gradient - want) < 1e-5 + 1e-4 * fabs(want)))
        fail_msg("gradient %g, want %g", (double)gradient, want);
}

static void gradients_are_those_of_central_differences(void **state)
{
    (void)state;
    for (int kind = 0; kind < MR_CELL_KINDS; kind++) {
        static net of;
        static gradients g;
        float last[N];
        double loss = 0;
        draw(&of, 3 + (uint64_t)kind);
        run(&of, (mr_cell_kind)kind, &g, last);
        for (int k = 0; k < N; k++)
            loss += of.weight[k] * (double)last[k];
        assert_true(fabs(loss - loss_of(&of, (mr_cell_kind)kind)) < 1e-5);
        for (uint32_t m = 0; m < mr_recurrent_maps((mr_cell_kind)kind); m++)
            for (int i = 0; i < (m >= MR_MAP_UZ ? N * N : MAP); i++)
                check(&of, (mr_cell_kind)kind, &of.maps[m][i], g.maps[m][i]);
        for (int s = 0; s < STEPS; s++)
            for (int i = 0; i < N; i++)
                check(&of, (mr_cell_kind)kind, &of.x[s][i], g.x[s][i]);
        for (int i = 0; i < N; i++)
            check(&of, (mr_cell_kind)kind, &of.first[i], g.first[i]);
    }
}

// Wz = diag(1, -1), Wh = ((.5, .5), (-1, .2)), x = (1, .5), h' = (.2, .4).
static void the_worked_figures_of_a_mingru(void **state)
{
    (void)state;
    float maps[2][MAP] = {{0}}, x[N] = {1, 0.5f}, before[N] = {0.2f, 0.4f}, room[5][N], scratch[N];
    maps[MR_MAP_WZ][0] = 1;
    maps[MR_MAP_WZ][N + 1] = -1;
    maps[MR_MAP_WH][0] = maps[MR_MAP_WH][1] = 0.5f;
    maps[MR_MAP_WH][N] = -1;
    maps[MR_MAP_WH][N + 1] = 0.2f;
    const mr_recurrent cell = {
        .kind = MR_CELL_MINGRU, .n = N, .vec = mr_vec_best(), .maps = {maps[0], maps[1]}};
    mr_step step = {.x = x,
                    .before = before,
                    .z = room[0],
                    .c = room[1],
                    .r = room[2],
                    .h = room[3],
                    .slope = room[4]};
    mr_recurrent_step(&cell, &step, scratch);
    assert_true(fabs((double)step.z[0] - 0.731059) < 1e-6);
    assert_true(fabs((double)step.z[1] - 0.377541) < 1e-6);
    assert_true(fabs((double)step.c[0] - 1.25) < 1e-6);
    assert_true(fabs((double)step.c[1] - 0.289050) < 1e-6);
    assert_true(fabs((double)step.h[0] - 0.967612) < 1e-6);
    assert_true(fabs((double)step.h[1] - 0.358112) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_central_differences),
        cmocka_unit_test(the_worked_figures_of_a_mingru),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
