// SPDX-License-Identifier: Apache-2.0
// Losses against figures worked by hand, and against central differences of the loss itself, which
// stands here in double.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/model/exposure.h"
#include "core/model/loss.h"

enum { N = 6, TRIALS = 200 };

static void near(double have, double want, double within)
{
    if (!(fabs(have - want) <= within))
        fail_msg("%.9g, want %.9g within %g", have, want, within);
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

// ---- worked figures

static void bpr_gives_the_worked_gradient(void **state)
{
    (void)state;
    const float u[] = {.1f, .2f}, vi[] = {.3f, -.1f}, vj[] = {-.2f, .4f};
    const float scores[] = {u[0] * vi[0] + u[1] * vi[1], u[0] * vj[0] + u[1] * vj[1]};
    float g[2], h[2];
    mr_loss_bpr(&(mr_candidates){2, scores, 1, g, h});
    near((double)g[1], .512497, 1e-6);
    for (int k = 0; k < 2; k++) {
        near((double)(g[0] * vi[k] + g[1] * vj[k]), k == 0 ? -.256249 : .256249, 1e-6);
        near((double)(g[0] * u[k]), k == 0 ? -.051250 : -.102499, 1e-6);
        near((double)(g[1] * u[k]), k == 0 ? .051250 : .102499, 1e-6);
        near((double)(h[1] * (vi[k] - vj[k]) * (vi[k] - vj[k])), .062461, 1e-6);
    }
}

static void sgns_gives_the_worked_gradient(void **state)
{
    (void)state;
    const float a[] = {.2f, .1f}, o[2][2] = {{.3f, -.2f}, {-.1f, .4f}}, shares[] = {0, 1};
    float scores[2], g[2], h[2];
    for (int c = 0; c < 2; c++)
        scores[c] = a[0] * o[c][0] + a[1] * o[c][1];
    near(softplus(-(double)scores[0]) + softplus((double)scores[1]), 1.376544, 1e-6);
    mr_loss_sgns(&(mr_candidates){2, scores, 1, g, h}, shares);
    near((double)(g[0] * o[0][0] + g[1] * o[1][0]), -.1975, 1e-6);
    near((double)(g[0] * o[0][1] + g[1] * o[1][1]), .3, 1e-6);
    scores[1] = MR_LOSS_LEFT_OUT;
    mr_loss_sgns(&(mr_candidates){2, scores, 1, g, h}, shares);
    assert_true(g[1] == 0 && h[1] == 0);
}

static void softmax_gives_the_worked_gradient(void **state)
{
    (void)state;
    const float u[] = {1, .5f}, v[3][2] = {{.4f, .2f}, {.1f, -.3f}, {-.5f, .6f}};
    const double q[] = {.02, .10, .01};
    float scores[3], log_q[3], g[3], h[3];
    for (int c = 0; c < 3; c++) {
        scores[c] = u[0] * v[c][0] + u[1] * v[c][1];
        log_q[c] = (float)log(q[c] / q[0]); // the worked figures correct the positive too
    }
    mr_loss_softmax(&(mr_candidates){3, scores, 1, g, h}, log_q, 1, 2);
    const double p[] = {.474257, .054725, .471018};
    for (int c = 0; c < 3; c++) {
        near((double)g[c] + (c == 0), p[c], 1e-6);
        near((double)h[c], p[c] * (1 - p[c]), 1e-6);
    }
    const double by_user[] = {-.440334, .161045}, bend[] = {.192556, .063109};
    for (int k = 0; k < 2; k++) {
        double sum = 0, mean = 0, spread = 0;
        for (int c = 0; c < 3; c++) {
            sum += (double)g[c] * (double)v[c][k];
            mean += p[c] * (double)v[c][k];
        }
        // The trainer's form: around the act's own item, less what the gradient says of the mean.
        for (int c = 1; c < 3; c++)
            spread += (double)g[c] * pow((double)(v[c][k] - v[0][k]), 2);
        near(sum, by_user[k], 1e-6);
        near(spread - sum * sum, bend[k], 1e-6);
        near((double)(g[0] * u[k]), k == 0 ? -.525743 : -.262871, 1e-6);
    }
    mr_loss_softmax(&(mr_candidates){3, scores, 1, g, NULL}, NULL, 1, 2);
    const double plain[] = {.482268, .278245, .239487};
    for (int c = 0; c < 3; c++)
        near((double)g[c] + (c == 0), plain[c], 1e-6);
}

static void hinge_gives_the_worked_gradient(void **state)
{
    (void)state;
    const double u[] = {.1, .2}, vi[] = {.3, -.1}, vj[] = {-.2, .4};
    const double si = 2 * (u[0] * vi[0] + u[1] * vi[1]) - (vi[0] * vi[0] + vi[1] * vi[1]);
    const double sj = 2 * (u[0] * vj[0] + u[1] * vj[1]) - (vj[0] * vj[0] + vj[1] * vj[1]);
    const float scores[] = {(float)si, (float)sj};
    float g[2];
    mr_loss_hinge(&(mr_candidates){2, scores, 1, g, NULL}, .5f, 2);
    const double w = (double)g[1]; // all violate: of rank 1
    near(w, 1, 1e-6);
    near((double)g[0], -(double)g[1], 0);
    for (int k = 0; k < 2; k++) {
        near(2 * w * (vj[k] - vi[k]), k == 0 ? -1 : 1, 1e-6);   // by u
        near(-w * 2 * (u[k] - vi[k]), k == 0 ? .4 : -.6, 1e-6); // by v_i
        near(w * 2 * (u[k] - vj[k]), k == 0 ? .6 : -.4, 1e-6);  // by v_j
    }
}

static void hinge_leaves_alone_what_keeps_its_distance(void **state)
{
    (void)state;
    const float scores[] = {1, .4f, .6f, MR_LOSS_LEFT_OUT};
    float g[4];
    mr_loss_hinge(&(mr_candidates){4, scores, 2, g, NULL}, .5f, 30);
    near((double)g[1], 0, 0);
    near((double)g[3], 0, 0);
    near((double)g[2], 2 * log(1 + 10) / log(1 + 30), 1e-5); // one of three: rank 10 of 30
    near((double)g[0], -(double)g[2], 0);
    mr_loss_hinge(&(mr_candidates){4, scores, 2, g, NULL}, .5f, 0); // none in the catalogue yet
    near((double)g[2], 0, 0);
}

static void nested_levels_give_the_worked_gradients(void **state)
{
    (void)state;
    const double l[] = {-1, -2.5, -4};
    const double want[4][3] = {{.806824, 0, 0},
                               {-2.767610, .726150, 0},
                               {-.731059, -2.135501, .305203},
                               {-.731059, -.924142, -.982014}};
    for (uint32_t y = 0; y < 4; y++) {
        double by[3];
        mr_loss_nested_by_logit(l, y, by);
        for (int c = 0; c < 3; c++)
            near(by[c], want[y][c], 1e-6);
    }
}

static void nested_levels_out_of_order_stay_finite_and_are_pushed_back(void **state)
{
    (void)state;
    const double l[] = {-1, 3, 3}; // the probability of level 1 alone is below zero
    double by[3];
    mr_loss_nested_by_logit(l, 1, by);
    for (int c = 0; c < 3; c++)
        assert_true(isfinite(by[c]));
    assert_true(by[1] - by[0] > 0); // going down brings l_1 up and l_2 down
}

// ---- what was not seen

static double loss_of_one(double s, double label)
{
    const double p = 1 / (1 + exp(-s));
    return label * (1 - p) * (1 - p) + (1 - label) * p * p;
}

static void pointwise_gives_the_worked_figures(void **state)
{
    (void)state;
    const float score = (float)log(.6 / .4);
    float g, h;
    mr_loss_pointwise(&(mr_candidates){1, &score, 1, &g, &h}, 1 / .2f, 20);
    near(loss_of_one((double)score, 1 / .2), -.64, 1e-6);
    near((double)g, 2 * (.6 - 5) * .24, 1e-5);
    near((double)h, 2 * .24 * .24, 1e-6);
    near(loss_of_one((double)score, 1 / .1), -1.64, 1e-6); // seen by one in twenty, floor .1
}

static mr_signal organic(void)
{
    return (mr_signal){.kind = MR_SIGNAL_ACT, .position = -1};
}

static void what_is_acted_on_less_was_seen_less(void **state)
{
    (void)state;
    const mr_exposure exposure = {.1, 1};
    const mr_signal act = organic();
    near(mr_exposure_of(&exposure, &act, 100, 100), 1, 0);
    near(mr_exposure_of(&exposure, &act, 25, 100), .5, 1e-12);
    near(mr_exposure_of(&exposure, &act, 1, 100), .1, 0);
    near(mr_exposure_of(&exposure, &act, 0, 100), .1, 0); // and new ones no less
    near(mr_exposure_of(&exposure, &act, 3, 0), 1, 0);    // nothing is counted yet
    near(mr_exposure_of(&(mr_exposure){0, 1}, &act, 1, 100), 1, 0);
}

static void places_of_a_list_are_looked_at_less_and_less(void **state)
{
    (void)state;
    const mr_exposure exposure = {.2, 1};
    mr_signal act = organic();
    act.answers = true;
    near(mr_exposure_of(&exposure, &act, 25, 100), .5, 1e-12); // place not known: by popularity
    static const double want[] = {1, .5, 1 / 3.0, .25, .2, .2};
    for (act.position = 0; act.position < 6; act.position++)
        near(mr_exposure_of(&exposure, &act, 1, 100), want[act.position], 1e-12);
}

// A user would act on 40 % of what he sees, and sees one item of ten or more: the mean of the loss
// over what is seen is that of everything. A floor makes it wrong, and less noisy.
static void what_is_expected_of_what_was_seen_is_the_loss_of_everything(void **state)
{
    (void)state;
    enum { PAIRS = 400, ROUNDS = 2000, FLOORS = 3 };
    static const double floors[FLOORS] = {0, .1, .5};
    double ideal = 0, theta[PAIRS], relevant[PAIRS], s[PAIRS], mean[FLOORS], variance[FLOORS];
    mr_rng rng = mr_rng_make(4, 0, 0, 0, MR_PURPOSE_SIM);
    for (int i = 0; i < PAIRS; i++) {
        theta[i] = .02 + .9 * pow((double)mr_rng_float(&rng), 3);
        relevant[i] = (double)mr_rng_float(&rng) < .4;
        s[i] = (double)mr_rng_normal(&rng);
        ideal += loss_of_one(s[i], relevant[i]) / PAIRS;
    }
    for (int f = 0; f < FLOORS; f++) {
        double sum = 0, squares = 0;
        for (int round = 0; round < ROUNDS; round++) {
            double loss = 0;
            for (int i = 0; i < PAIRS; i++) {
                const bool seen = (double)mr_rng_float(&rng) < theta[i];
                const double t = theta[i] > floors[f] ? theta[i] : floors[f];
                loss += loss_of_one(s[i], seen && relevant[i] > 0 ? 1 / t : 0) / PAIRS;
            }
            sum += loss;
            squares += loss * loss;
        }
        mean[f] = sum / ROUNDS;
        variance[f] = squares / ROUNDS - mean[f] * mean[f];
    }
    near(mean[0], ideal, 3 * sqrt(variance[0] / ROUNDS));
    assert_true(fabs(mean[2] - ideal) > 3 * sqrt(variance[2] / ROUNDS));
    assert_true(variance[1] < variance[0] && variance[2] < variance[1]);
    double error[FLOORS]; // of one round
    for (int f = 0; f < FLOORS; f++)
        error[f] = variance[f] + (mean[f] - ideal) * (mean[f] - ideal);
    assert_true(error[1] < error[0]); // some floor is better than none
}

// ---- selection

static void the_hardest_are_the_largest_scores_and_a_quarter_of_others(void **state)
{
    (void)state;
    const float scores[] = {.5f, MR_LOSS_LEFT_OUT, 3, -1, 2, 2, -4, 0, 1, .1f};
    uint64_t scratch[10];
    uint32_t chosen[10];
    assert_int_equal(mr_loss_hardest(scores, 10, 4, scratch, chosen), 4);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(chosen[1], 4); // of equal ones the first
    assert_int_equal(chosen[2], 5);
    assert_int_equal(chosen[3], 0); // the first of those that are left
    assert_int_equal(mr_loss_hardest(scores, 10, 10, scratch, chosen), 9);
    for (int i = 0; i < 9; i++)
        assert_true(chosen[i] != 1);
    assert_int_equal(mr_loss_hardest(scores, 10, 1, scratch, chosen), 1);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(mr_loss_hardest(scores + 1, 1, 4, scratch, chosen), 0);
}

static void one_hard_negative_gives_the_pairwise_loss(void **state)
{
    (void)state;
    const float scores[] = {.3f, .1f};
    float softmax[2], pair[2];
    mr_loss_softmax(&(mr_candidates){2, scores, 1.5f, softmax, NULL}, NULL, 1, 2);
    mr_loss_bpr(&(mr_candidates){2, scores, 1.5f, pair, NULL});
    near((double)softmax[0], (double)pair[0], 1e-6);
    near((double)softmax[1], (double)pair[1], 1e-6);
}

static void a_negative_that_looks_like_a_positive_counts_half_at_most(void **state)
{
    (void)state;
    const float scores[] = {-3, 4, 0};
    float g[3];
    mr_loss_softmax(&(mr_candidates){3, scores, 2, g, NULL}, NULL, 1, .5f);
    near((double)g[1], 1, 0);
    near((double)(g[0] + g[1] + g[2]), 0, 1e-6);
}

// ---- central differences

static double loss_bpr(const double *s)
{
    double sum = 0;
    for (int i = 1; i < N; i++)
        sum += softplus(s[i] - s[0]) / (N - 1);
    return sum;
}

static double loss_softmax(const double *s)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp(s[i] / .7 - (i == 0 ? 0 : log(.1 * i)));
    return log(sum) - s[0] / .7;
}

static const float shares_of[N] = {0, 1, .2f, 3, 0, .8f};

static double loss_sgns(const double *s)
{
    double sum = softplus(-s[0]);
    for (int i = 1; i < N; i++)
        sum += (double)shares_of[i] * softplus(s[i]);
    return sum;
}

static void sgns(const mr_candidates *of)
{
    mr_loss_sgns(of, shares_of);
}

static void check_scores(double loss(const double *), void gradients(const mr_candidates *))
{
    mr_rng rng = mr_rng_make(1, 0, 0, 0, MR_PURPOSE_SIM);
    for (int trial = 0; trial < TRIALS; trial++) {
        float scores[N], g[N], h[N];
        double s[N];
        for (int i = 0; i < N; i++)
            s[i] = (double)(scores[i] = mr_rng_normal(&rng));
        gradients(&(mr_candidates){N, scores, 1, g, h});
        for (int i = 0; i < N; i++) {
            const double eps = 1e-4, at = s[i], here = loss(s);
            s[i] = at + eps;
            const double up = loss(s);
            s[i] = at - eps;
            const double down = loss(s);
            s[i] = at;
            near((double)g[i], (up - down) / (2 * eps), 2e-6);
            near((double)h[i], (up + down - 2 * here) / (eps * eps), 1e-5);
        }
    }
}

static void softmax(const mr_candidates *of)
{
    float log_q[N];
    for (int i = 0; i < N; i++)
        log_q[i] = (float)log(.1 * i);
    mr_loss_softmax(of, log_q, .7, 2);
}

static void gradients_are_those_of_the_losses_by_scores(void **state)
{
    (void)state;
    check_scores(loss_bpr, mr_loss_bpr);
    check_scores(loss_softmax, softmax);
    check_scores(loss_sgns, sgns);
}

static void gradients_of_single_scores_are_those_of_the_loss(void **state)
{
    (void)state;
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (int trial = 0; trial < TRIALS; trial++) {
        float scores[N], g[N];
        const float label = 1 + 9 * mr_rng_float(&rng);
        for (int i = 0; i < N; i++)
            scores[i] = 2 * mr_rng_normal(&rng);
        mr_loss_pointwise(&(mr_candidates){N, scores, 3, g, NULL}, label, 10);
        for (int i = 0; i < N; i++) {
            const double eps = 1e-5, at = (double)scores[i];
            const double size = i == 0 ? 3 : 3 * 10.0 / (N - 1), y = i == 0 ? (double)label : 0;
            near((double)g[i],
                 size * (loss_of_one(at + eps, y) - loss_of_one(at - eps, y)) / (2 * eps), 1e-5);
        }
    }
}

static const mr_levels priors = {1.5, {.3, -1.2, -2}};

static double loss_chain(const double *x, uint32_t level)
{
    double sum = 0;
    for (uint32_t c = 0; c < MR_LEVELS && c <= level; c++) {
        const double l = priors.slope * x[c] + priors.log_odds[c];
        sum += softplus(level > c ? -l : l);
    }
    return sum;
}

static double loss_nested(const double *x, uint32_t level)
{
    double l[MR_LEVELS], p[MR_LEVELS + 1] = {0}, sum = 0, at = 0;
    for (uint32_t c = 0; c < MR_LEVELS; c++) {
        at += priors.slope * x[c];
        l[c] = at + priors.log_odds[c];
        p[c] = 1 / (1 + exp(-l[c]));
    }
    sum -= level > 0 ? log(p[0]) : log(1 - p[0]);
    for (uint32_t i = 2; i <= MR_LEVELS; i++)
        sum -= level == 0  ? log(1 - p[0])
               : level < i ? log(p[level - 1] - p[level])
                           : log(p[i - 1]);
    return sum;
}

static void check_levels(double loss(const double *, uint32_t),
                         mr_level_gradient gradient(const mr_levels *, const float *, uint32_t))
{
    mr_rng rng = mr_rng_make(2, 0, 0, 0, MR_PURPOSE_SIM);
    for (int trial = 0; trial < TRIALS; trial++) {
        float x[MR_LEVELS];
        double y[MR_LEVELS];
        for (int c = 0; c < MR_LEVELS; c++) // the later levels fall: the nested form is in order
            y[c] = (double)(x[c] = .3f * mr_rng_normal(&rng) - (c > 0 ? .5f : 0));
        const double gap = priors.slope * (y[1] > y[2] ? y[1] : y[2]) - 0.8;
        if (gap > -0.1)
            continue;
        for (uint32_t level = 0; level <= MR_LEVELS; level++) {
            const mr_level_gradient g = gradient(&priors, x, level);
            for (int c = 0; c < MR_LEVELS; c++) {
                const double eps = 1e-5, at = y[c];
                y[c] = at + eps;
                const double up = loss(y, level);
                y[c] = at - eps;
                const double down = loss(y, level);
                y[c] = at;
                near((double)g.by[c], (up - down) / (2 * eps), 1e-5);
            }
        }
    }
}

static void gradients_are_those_of_the_levels(void **state)
{
    (void)state;
    check_levels(loss_chain, mr_loss_chain);
    check_levels(loss_nested, mr_loss_nested);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpr_gives_the_worked_gradient),
        cmocka_unit_test(sgns_gives_the_worked_gradient),
        cmocka_unit_test(softmax_gives_the_worked_gradient),
        cmocka_unit_test(hinge_gives_the_worked_gradient),
        cmocka_unit_test(hinge_leaves_alone_what_keeps_its_distance),
        cmocka_unit_test(nested_levels_give_the_worked_gradients),
        cmocka_unit_test(nested_levels_out_of_order_stay_finite_and_are_pushed_back),
        cmocka_unit_test(pointwise_gives_the_worked_figures),
        cmocka_unit_test(what_is_acted_on_less_was_seen_less),
        cmocka_unit_test(places_of_a_list_are_looked_at_less_and_less),
        cmocka_unit_test(what_is_expected_of_what_was_seen_is_the_loss_of_everything),
        cmocka_unit_test(the_hardest_are_the_largest_scores_and_a_quarter_of_others),
        cmocka_unit_test(one_hard_negative_gives_the_pairwise_loss),
        cmocka_unit_test(a_negative_that_looks_like_a_positive_counts_half_at_most),
        cmocka_unit_test(gradients_are_those_of_the_losses_by_scores),
        cmocka_unit_test(gradients_of_single_scores_are_those_of_the_loss),
        cmocka_unit_test(gradients_are_those_of_the_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
