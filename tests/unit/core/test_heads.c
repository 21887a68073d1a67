// SPDX-License-Identifier: Apache-2.0
// heads against figures worked by hand, and against central differences of the network itself, which
// stands here in double.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/heads.h"

enum { N = 32, E = MR_HEADS_EXPERTS, H = MR_HEADS_HIDDEN, T = MR_HEADS_TASKS, Q = MR_HEADS_QUANTILES };

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.9g, want %.9g within %g", have, want, within);
}

// ---- worked figures

static void quantiles_give_the_worked_gradient(void **state)
{
    (void)state;
    // The page's first quantile is a softplus of .5, ours is free.
    const float a[3] = {.974077f, -.2f, .3f};
    float q[3], by_a[3];
    mr_heads_quantiles(a, 3, q);
    near((double)q[1], 1.572216, 2e-6);
    near((double)q[2], 2.426571, 2e-6);
    near((double)mr_heads_pinball(a, q, 3, 1.3f, by_a), .166410, 1e-6);
    near((double)by_a[0], -.083333 + .166667 + .083333, 1e-6);
    near((double)by_a[1], .112542, 1e-6);
    near((double)by_a[2], .047870, 1e-6);
    near((double)mr_heads_mean(q, 3), 1.668297, 2e-6);
}

static void a_chain_gives_the_worked_gradient(void **state)
{
    (void)state;
    const float l[T] = {-1, -.5f, 3};
    near((double)mr_heads_reach(l, 1), .101536, 1e-6);
    for (int y = 0; y < 2; y++) {
        static const double want[2][2] = {{.082618, .070345}, {-.731059, -.622459}};
        float by_l[T] = {0};
        mr_heads_chain(l, 1, y > 0, 1, by_l);
        near((double)by_l[0], want[y][0], 1e-6);
        near((double)by_l[1], want[y][1], 1e-6);
        near((double)by_l[2], 0, 0); // what comes later is not asked
    }
}

// ---- central differences

static double sigma(double x)
{
    return 1 / (1 + exp(-x));
}

// The loss of an example of that level and strength, in double.
static double loss_of(const mr_heads *h, const float *x, uint32_t experts, uint32_t level, double y)
{
    double f[E][H], l[T], m[H], q = 0, loss = 0, p = 1;
    for (uint32_t e = 0; e < experts; e++)
        for (int k = 0; k < H; k++) {
            f[e][k] = (double)h->b[e][k];
            for (int i = 0; i < N; i++)
                f[e][k] += (double)h->w[e][k][i] * (double)x[i];
            f[e][k] = f[e][k] > 0 ? f[e][k] : 0;
        }
    for (uint32_t t = 0; t <= T; t++) {
        double z[E] = {0}, sum = 0;
        memset(m, 0, sizeof m);
        for (uint32_t e = 0; e < experts; e++) {
            for (int i = 0; i < N; i++)
                z[e] += (double)h->gate[t][e][i] * (double)x[i];
            sum += exp(z[e]);
        }
        for (uint32_t e = 0; e < experts; e++)
            for (int k = 0; k < H; k++)
                m[k] += exp(z[e]) / sum * f[e][k];
        if (t == T)
            break;
        l[t] = (double)h->bias[t];
        for (int k = 0; k < H; k++)
            l[t] += (double)h->head[t][k] * m[k];
        for (int i = 0; i < N; i++)
            l[t] += (double)h->linear[t][i] * (double)x[i];
        p *= sigma(l[t]);
        loss -= level > t ? log(p) : log(1 - p);
    }
    for (int k = 0; k < Q; k++) {
        double a = (double)h->quantile_bias[k];
        for (int j = 0; j < H; j++)
            a += (double)h->quantile[k][j] * m[j];
        for (int i = 0; k == 0 && i < N; i++)
            a += (double)h->quantile_linear[i] * (double)x[i];
        q = k == 0 ? a : q + log1p(exp(a));
        const double tau = (k + 1.0) / (Q + 1), error = y - q;
        loss += (error > 0 ? tau * error : (tau - 1) * error) / Q;
    }
    return loss;
}

static void fill(float *x, uint32_t count, float scale, mr_rng *rng)
{
    for (uint32_t i = 0; i < count; i++)
        x[i] = scale * mr_rng_normal(rng);
}

static void back(const mr_heads *h, const float *x, uint32_t experts, uint32_t level, float y,
                 mr_heads *gradient)
{
    mr_heads_pass pass;
    float by_l[T] = {0}, by_a[Q];
    mr_heads_forward(h, mr_vec_best(), x, N, experts, &pass);
    for (uint32_t t = 0; t < T; t++)
        mr_heads_chain(pass.l, t, level > t, 1, by_l);
    (void)mr_heads_pinball(pass.a, pass.q, Q, y, by_a);
    mr_heads_back(h, mr_vec_best(), x, N, experts, &pass, by_l, by_a, gradient);
}

static void gradients_are_those_of_the_network(void **state)
{
    (void)state;
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    uint32_t compared = 0;
    for (uint32_t trial = 0; trial < 12; trial++) {
        static mr_heads h, gradient;
        float x[N];
        const uint32_t experts = trial % 3 == 0 ? 0 : E, level = trial % 4;
        const double y = .3 + trial * .2;
        fill((float *)(void *)&h, MR_HEADS_FLOATS, .3f, &rng);
        fill(x, N, 1, &rng);
        memset(&gradient, 0, sizeof gradient);
        back(&h, x, experts, level, (float)y, &gradient);
        const float *g = (const float *)(const void *)&gradient;
        for (uint32_t i = trial % 5; i < MR_HEADS_FLOATS; i += 5) {
            float *at = (float *)(void *)&h + i, was = *at;
            *at = was + 1e-3f;
            const double above = (double)*at, up = loss_of(&h, x, experts, level, y);
            *at = was - 1e-3f;
            const double below = (double)*at, down = loss_of(&h, x, experts, level, y);
            *at = was;
            near((double)g[i], (up - down) / (above - below), 3e-3);
            compared += g[i] != 0.0f;
        }
    }
    assert_true(compared > 1000);
}

static void without_experts_it_is_a_logistic_regression(void **state)
{
    (void)state;
    static mr_heads h, gradient;
    mr_heads_pass pass;
    float x[N];
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    fill((float *)(void *)&h, MR_HEADS_FLOATS, .3f, &rng);
    fill(x, N, 1, &rng);
    mr_heads_forward(&h, mr_vec_best(), x, N, 0, &pass);
    double l = (double)h.bias[0];
    for (int i = 0; i < N; i++)
        l += (double)h.linear[0][i] * (double)x[i];
    near((double)pass.l[0], l, 1e-5);
    const float by_l[T] = {(float)(sigma(l) - 1), 0, 0};
    mr_heads_back(&h, mr_vec_best(), x, N, 0, &pass, by_l, NULL, &gradient);
    for (int i = 0; i < N; i++)
        near((double)gradient.linear[0][i], (sigma(l) - 1) * (double)x[i], 1e-5);
    memset(gradient.linear[0], 0, sizeof gradient.linear[0]);
    gradient.bias[0] = 0;
    static const mr_heads nothing;
    assert_memory_equal(&gradient, &nothing, sizeof nothing);
}

static void what_is_not_asked_teaches_nothing(void **state)
{
    (void)state;
    static mr_heads h, gradient;
    static const mr_heads nothing;
    mr_heads_pass pass;
    float x[N];
    const float by_l[T] = {0};
    mr_rng rng = mr_rng_make(3, 0, 0, 0, MR_PURPOSE_SIM);
    fill((float *)(void *)&h, MR_HEADS_FLOATS, .3f, &rng);
    fill(x, N, 1, &rng);
    mr_heads_forward(&h, mr_vec_best(), x, N, E, &pass);
    mr_heads_back(&h, mr_vec_best(), x, N, E, &pass, by_l, NULL, &gradient);
    assert_memory_equal(&gradient, &nothing, sizeof nothing);
}

static void quantiles_never_cross_and_are_found(void **state)
{
    (void)state;
    float a[9] = {0}, q[9], by_a[9];
    mr_rng rng = mr_rng_make(4, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < 400000; i++) { // of an exponential law of mean 1
        const float y = (float)-log(mr_rng_double(&rng)), rate = i < 200000 ? .02f : .002f;
        mr_heads_quantiles(a, 9, q);
        (void)mr_heads_pinball(a, q, 9, y, by_a);
        for (int k = 0; k < 9; k++) {
            a[k] -= rate * by_a[k] * 9;
            assert_true(k == 0 || q[k] >= q[k - 1]);
        }
    }
    for (int k = 0; k < 9; k++)
        near((double)q[k], -log(1 - (k + 1) / 10.0), .06);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_give_the_worked_gradient),
        cmocka_unit_test(a_chain_gives_the_worked_gradient),
        cmocka_unit_test(gradients_are_those_of_the_network),
        cmocka_unit_test(without_experts_it_is_a_logistic_regression),
        cmocka_unit_test(what_is_not_asked_teaches_nothing),
        cmocka_unit_test(quantiles_never_cross_and_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
