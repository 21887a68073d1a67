// SPDX-License-Identifier: Apache-2.0
// A contextual bandit in a closed loop, on one core: the ridge regressions that model linucb keeps,
// choosing by upper bound or by a Thompson draw, and learning from what they chose.
//
// Arms have a reward of 1 with a probability that is linear in the context, 0 otherwise. A decision
// sees arms as they were at the end of the last epoch, as in the worker: sums grow with each event,
// and are solved once an epoch. The reference of speed is the same loop choosing at random, which
// does what the world and the sums cost; that of regret is epsilon-greedy on the same means, whose
// share of random choices costs as much after a year as in the first hour: so the longer, the better
// are the others beside it.
//
// Regret is what the best arm would have given beyond the one that was chosen, a decision. A bound
// without chance chooses the same arm all through an epoch for contexts that are alike: it herds,
// the more, the longer the epoch. `drawn` is what the worker does instead: Plackett-Luce over the
// bounds, policy plackett_luce with its own temperature and alpha.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/ridge.h"
#include "core/base/rng.h"
#include "core/eval/drift.h"
#include "worker/bench/bench.h"
#include "worker/bench/measure.h"

enum {
    ARMS_MAX = 50,
    DIM_MAX = MR_RIDGE_MAX,
    SPEED_EVENTS = 20000,
    SPEED_EPOCH = 256,
    RUNS = 9,
    SEEDS = 20,
    REGRET_EVENTS = 30000,
    LONG_EVENTS = 100000,
    LONG_EPOCH = 64,
    CHANGE_AFTER = 30000, // decisions, and then every arm's truth is another
    CHANGE_EVENTS = 70000,
    WINDOW = 1000,
};

typedef enum chooser { AT_RANDOM, EPSILON_GREEDY, UPPER_BOUND, DRAWN, THOMPSON } chooser;

static const double epsilon = 0.1;     // as policy epsilon_greedy has it
static const float noise = 0.2f;       // of a reward, as model linucb has it
static const float alpha = 1.5f;       // deviations of UPPER_BOUND
static const float alpha_drawn = 1.0f; // of DRAWN, as policy plackett_luce has it,
static const double temperature = 0.3; // and in deviations of the bounds

typedef struct loop {
    const mr_vec *vec;
    uint32_t arms, d;
    mr_rng world, choices;
    float truth[ARMS_MAX * DIM_MAX];
    double sums[ARMS_MAX][DIM_MAX + DIM_MAX * (DIM_MAX + 1) / 2];
    float theta[ARMS_MAX * DIM_MAX];
    float inverse[ARMS_MAX][DIM_MAX * DIM_MAX];
    uint32_t index[ARMS_MAX];
    bool tried[ARMS_MAX]; // since the arms were solved
} loop;

// ---- the world

// 1, and a direction: the squared norm is 2, as that of a user's context.
static void draw_context(mr_rng *rng, uint32_t d, float *x)
{
    float squares = 0;
    for (uint32_t i = 1; i < d; i++) {
        x[i] = mr_rng_normal(rng);
        squares += x[i] * x[i];
    }
    const float unit = 1.0f / __builtin_sqrtf(squares);
    for (uint32_t i = 1; i < d; i++)
        x[i] *= unit;
    x[0] = 1.0f;
}

static void draw_truths(loop *l)
{
    for (uint32_t a = 0; a < l->arms; a++) {
        float *truth = l->truth + (size_t)a * l->d;
        draw_context(&l->world, l->d, truth);
        for (uint32_t i = 0; i < l->d; i++)
            truth[i] *= i == 0 ? 0.25f : 0.5f; // a quarter, more or less by the directions' cosine
    }
}

static void open_loop(loop *l, uint32_t arms, uint32_t d, uint32_t seed)
{
    memset(l, 0, sizeof *l);
    l->vec = mr_vec_best();
    l->arms = arms;
    l->d = d;
    l->world = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    l->choices = mr_rng_make(seed, 0, 0, 1, MR_PURPOSE_POLICY);
    draw_truths(l);
    for (uint32_t a = 0; a < arms; a++) {
        l->index[a] = a;
        mr_ridge_solve(l->sums[a], d, 1.0, l->theta + (size_t)a * d, l->inverse[a]);
    }
}

static double chance_of(const loop *l, const float *x, uint32_t arm)
{
    const float p = l->vec->dot(x, l->truth + (size_t)arm * l->d, l->d);
    return p < 0.01f ? 0.01 : p > 0.99f ? 0.99 : (double)p;
}

static double best_chance(const loop *l, const float *x)
{
    double best = 0;
    for (uint32_t a = 0; a < l->arms; a++) {
        const double p = chance_of(l, x, a);
        best = p > best ? p : best;
    }
    return best;
}

// ---- choosing

static uint32_t largest(const float *values, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

// Turns values into keys, the largest of which is the first of a Plackett-Luce draw.
static void perturb(loop *l, float *values)
{
    double sum = 0, squares = 0;
    for (uint32_t a = 0; a < l->arms; a++) {
        sum += (double)values[a];
        squares += (double)values[a] * (double)values[a];
    }
    const double mean = sum / l->arms, variance = squares / l->arms - mean * mean;
    const double t = temperature * (variance > 1e-18 ? __builtin_sqrt(variance) : 1.0);
    for (uint32_t a = 0; a < l->arms; a++) {
        const double u = 1.0 - mr_rng_double(&l->choices); // above 0
        values[a] = (float)((double)values[a] / t - mr_log(-mr_log(u) + 1e-300));
    }
}

static uint32_t choose(loop *l, chooser how, const float *x)
{
    float values[ARMS_MAX];
    if (how == AT_RANDOM || (how == EPSILON_GREEDY && mr_rng_double(&l->choices) < epsilon))
        return mr_rng_below(&l->choices, l->arms);
    l->vec->dot_rows(x, l->theta, l->index, l->arms, l->d, values);
    for (uint32_t a = 0; a < l->arms && how != EPSILON_GREEDY; a++) {
        const float variance = mr_ridge_variance(l->vec, l->inverse[a], l->d, x);
        const float deviation = noise * __builtin_sqrtf(variance);
        values[a] += deviation * (how == THOMPSON ? mr_rng_normal(&l->choices)
                                  : how == DRAWN  ? alpha_drawn
                                                  : alpha);
    }
    if (how == DRAWN)
        perturb(l, values);
    return largest(values, l->arms);
}

// ---- learning

// Returns the reward.
static double learn(loop *l, const float *x, uint32_t arm)
{
    const double reward = mr_rng_double(&l->world) < chance_of(l, x, arm);
    mr_ridge_try(l->sums[arm], l->d, x);
    mr_ridge_reward(l->sums[arm], l->d, x, reward);
    l->tried[arm] = true;
    return reward;
}

static void end_epoch(loop *l)
{
    for (uint32_t a = 0; a < l->arms; a++) {
        if (l->tried[a])
            mr_ridge_solve(l->sums[a], l->d, 1.0, l->theta + (size_t)a * l->d, l->inverse[a]);
        l->tried[a] = false;
    }
}

// CPU seconds of `events` decisions.
static double seconds_of(loop *l, chooser how, const float *contexts, uint32_t events)
{
    const double start = mr_thread_seconds();
    for (uint32_t e = 0; e < events; e++) {
        const float *x = contexts + (size_t)e * l->d;
        learn(l, x, choose(l, how, x));
        if (e % SPEED_EPOCH == SPEED_EPOCH - 1)
            end_epoch(l);
    }
    return mr_thread_seconds() - start;
}

// Mean regret a decision over so many decisions in each of SEEDS worlds.
static double regret_of(loop *l, chooser how, uint32_t epoch, uint32_t events)
{
    double regret = 0;
    float x[DIM_MAX];
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        open_loop(l, 20, 16, seed);
        for (uint32_t e = 0; e < events; e++) {
            draw_context(&l->world, l->d, x);
            const uint32_t arm = choose(l, how, x);
            regret += best_chance(l, x) - chance_of(l, x, arm);
            learn(l, x, arm);
            if (e % epoch == epoch - 1)
                end_epoch(l);
        }
    }
    return regret / ((double)SEEDS * events);
}

// ---- a change of everything

static void forget_all(loop *l)
{
    memset(l->sums, 0, sizeof l->sums);
    for (uint32_t a = 0; a < l->arms; a++)
        l->tried[a] = true;
}

// Adds the regret of one world to `regrets`, by windows; with `restarts`, ADWIN watches the rewards,
// and what was learned is thrown away where they have become less.
static void change_world(loop *l, uint32_t seed, bool restarts, double *regrets)
{
    const mr_adwin_config config = mr_adwin_defaults();
    mr_adwin watch = {0};
    float x[DIM_MAX];
    open_loop(l, 20, 16, seed);
    for (uint32_t e = 0; e < CHANGE_EVENTS; e++) {
        if (e == CHANGE_AFTER)
            draw_truths(l);
        draw_context(&l->world, l->d, x);
        const uint32_t arm = choose(l, THOMPSON, x);
        regrets[e / WINDOW] += best_chance(l, x) - chance_of(l, x, arm);
        const double reward = learn(l, x, arm), before = mr_adwin_mean(&watch);
        if (mr_adwin_add(&watch, &config, reward) && mr_adwin_mean(&watch) < before && restarts)
            forget_all(l);
        if (e % LONG_EPOCH == LONG_EPOCH - 1)
            end_epoch(l);
    }
}

// Decisions after the change until the regret of a window has come back half of the way to what it
// was before, in the mean over worlds.
static double recovery_of(loop *l, bool restarts)
{
    enum { WINDOWS = CHANGE_EVENTS / WINDOW, CHANGE = CHANGE_AFTER / WINDOW };
    double regrets[WINDOWS] = {0};
    for (uint32_t seed = 1; seed <= SEEDS; seed++)
        change_world(l, seed, restarts, regrets);
    const double half = (regrets[CHANGE - 1] + regrets[CHANGE]) / 2;
    uint32_t w = CHANGE;
    while (w < WINDOWS && regrets[w] > half)
        w++;
    return (double)(w - CHANGE) * WINDOW;
}

// ---- figures

static void measure_speed(loop *l, chooser how, uint32_t arms, uint32_t d, float *contexts,
                          mr_figure *out)
{
    mr_runs runs = {0};
    for (uint32_t run = 0; run < RUNS; run++) {
        open_loop(l, arms, d, run + 1);
        for (uint32_t e = 0; e < SPEED_EVENTS; e++)
            draw_context(&l->world, d, contexts + (size_t)e * d);
        const double ours = seconds_of(l, how, contexts, SPEED_EVENTS);
        mr_runs_add(&runs, ours, seconds_of(l, AT_RANDOM, contexts, SPEED_EVENTS));
    }
    out->value = SPEED_EVENTS / mr_median(runs.ours, RUNS);
    out->unit = "decisions/s";
    out->reference = "the same loop choosing at random";
    out->reference_value = SPEED_EVENTS / mr_median(runs.reference, RUNS);
    out->ratio = mr_median(runs.ratio, RUNS);
}

static const struct {
    const char *name;
    chooser how;
    uint32_t arms, d;
} speeds[] = {
    {"bandit_linucb_20x16", UPPER_BOUND, 20, 16},
    {"bandit_lints_20x16", THOMPSON, 20, 16},
    {"bandit_linucb_50x32", UPPER_BOUND, 50, 32},
    {"bandit_lints_50x32", THOMPSON, 50, 32},
};

enum { EPOCHS = 3 };
static const uint32_t epochs[EPOCHS] = {1, 64, 1024};
static const struct {
    chooser how;
    const char *names[EPOCHS], *name_long;
} regrets[] = {
    {UPPER_BOUND,
     {"bandit_linucb_regret_epoch_1", "bandit_linucb_regret_epoch_64",
      "bandit_linucb_regret_epoch_1024"},
     "bandit_linucb_regret_long"},
    {DRAWN,
     {"bandit_drawn_regret_epoch_1", "bandit_drawn_regret_epoch_64",
      "bandit_drawn_regret_epoch_1024"},
     "bandit_drawn_regret_long"},
    {THOMPSON,
     {"bandit_lints_regret_epoch_1", "bandit_lints_regret_epoch_64",
      "bandit_lints_regret_epoch_1024"},
     "bandit_lints_regret_long"},
};

static mr_figure regret_figure(const char *name, double value, double reference)
{
    return (mr_figure){.name = name,
                       .value = value,
                       .unit = "clicks a decision",
                       .reference = "epsilon-greedy, the same epochs",
                       .reference_value = reference,
                       .ratio = reference / value};
}

static void measure_regrets(loop *l, mr_figure *figures, uint32_t room, uint32_t *count)
{
    double references[EPOCHS];
    for (uint32_t e = 0; e < EPOCHS; e++)
        references[e] = regret_of(l, EPSILON_GREEDY, epochs[e], REGRET_EVENTS);
    const double reference_long = regret_of(l, EPSILON_GREEDY, LONG_EPOCH, LONG_EVENTS);
    for (uint32_t i = 0; i < sizeof regrets / sizeof regrets[0]; i++) {
        for (uint32_t e = 0; e < EPOCHS && *count < room; e++)
            figures[(*count)++] = regret_figure(
                regrets[i].names[e], regret_of(l, regrets[i].how, epochs[e], REGRET_EVENTS),
                references[e]);
        if (*count < room)
            figures[(*count)++] = regret_figure(
                regrets[i].name_long, regret_of(l, regrets[i].how, LONG_EPOCH, LONG_EVENTS),
                reference_long);
    }
}

static void measure_recovery(loop *l, mr_figure *figures, uint32_t room, uint32_t *count)
{
    if (*count == room)
        return;
    const double value = recovery_of(l, true), reference = recovery_of(l, false);
    figures[(*count)++] = (mr_figure){.name = "bandit_lints_recovery",
                                      .value = value,
                                      .unit = "decisions",
                                      .reference = "without a restart",
                                      .reference_value = reference,
                                      .ratio = reference / value};
}

mr_status mr_bench_bandit(mr_figure *figures, uint32_t *count, mr_error *err)
{
    const uint32_t room = *count;
    loop *l = calloc(1, sizeof *l);
    float *contexts = calloc((size_t)SPEED_EVENTS * DIM_MAX, sizeof *contexts);
    *count = 0;
    if (l == NULL || contexts == NULL) {
        free(l);
        free(contexts);
        return mr_fail(err, MR_FATAL, "bench bandit: out of memory");
    }
    for (uint32_t i = 0; i < sizeof speeds / sizeof speeds[0] && *count < room; i++) {
        figures[*count].name = speeds[i].name;
        measure_speed(l, speeds[i].how, speeds[i].arms, speeds[i].d, contexts,
                      &figures[(*count)++]);
    }
    measure_regrets(l, figures, room, count);
    measure_recovery(l, figures, room, count);
    free(l);
    free(contexts);
    return MR_OK;
}
