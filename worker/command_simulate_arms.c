// SPDX-License-Identifier: Apache-2.0
// millrace simulate --what-if: configurations side by side, on the same users of the same seeds.
//
// Regret is what the oracle's list would have given beyond the one that was shown, in clicks to be
// expected by the users' true tastes. Each seed is one world; intervals are Student's over worlds,
// and that of a ratio to the first configuration is of y - ratio x over worlds, so that what two
// configurations have in common of a world is not noise.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command.h"
#include "worker/command_simulate.h"
#include "worker/ope/offpolicy.h"

enum { TEXT_BYTES = 512, SETS_MAX = 16 };

static const double level = 0.95;

typedef struct arm { // one configuration
    const char *settings;
    double *regrets; // a list, by seed
    mr_loop_sums sums;
} arm;

static double mean_of(const double *x, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += x[i];
    return sum / count;
}

// Half of the interval of the mean of y - ratio x; none for one world.
static double margin_of(const double *y, const double *x, double ratio, uint32_t count)
{
    double squares = 0;
    if (count < 2)
        return nan("");
    const double mean = mean_of(y, count) - ratio * mean_of(x, count);
    for (uint32_t i = 0; i < count; i++) {
        const double left = y[i] - ratio * x[i] - mean;
        squares += left * left;
    }
    return sqrt(squares / (count - 1) / count) * mr_student_quantile(0.5 + level / 2, count - 1);
}

// ---- one configuration

static void add_sums(mr_loop_sums *into, const mr_loop_sums *from)
{
    into->lists += from->lists;
    into->clicks += from->clicks;
    into->against += from->against;
    into->expected += from->expected;
    into->oracle += from->oracle;
}

static mr_status run_seeds(const mr_simulate_options *simulate, uint32_t seeds, arm *a,
                           mr_error *err)
{
    for (uint32_t s = 0; s < seeds; s++) {
        mr_simulated world;
        MR_TRY(mr_simulate_learned(simulate, simulate->seed + s, &world, err));
        const mr_loop_sums *sums = &world.sums;
        a->regrets[s] =
            sums->against > 0 ? (sums->oracle - sums->expected) / (double)sums->against : 0;
        add_sums(&a->sums, sums);
    }
    return MR_OK;
}

// The configuration with the settings of the text, which stand between spaces.
static mr_status run_arm(const mr_options *options, const mr_simulate_options *simulate,
                         uint32_t seeds, arm *a, mr_error *err)
{
    char text[TEXT_BYTES];
    const char *sets[SETS_MAX];
    uint32_t count = 0;
    mr_methods methods;
    mr_config *config;
    if (strlen(a->settings) >= sizeof text)
        return mr_fail(err, MR_FATAL, "--what-if: want less than %d letters", TEXT_BYTES);
    strcpy(text, a->settings);
    for (char *rest, *set = strtok_r(text, " ", &rest); set != NULL;
         set = strtok_r(NULL, " ", &rest)) {
        if (count == SETS_MAX)
            return mr_fail(err, MR_FATAL, "--what-if: want at most %d settings", SETS_MAX);
        sets[count++] = set;
    }
    MR_TRY(mr_options_load_with(options, sets, count, &methods, &config, err));
    mr_simulate_options with = *simulate;
    with.config = config;
    with.methods = &methods;
    const mr_status status = run_seeds(&with, seeds, a, err);
    mr_config_free(config);
    mr_methods_close(&methods);
    return status;
}

// ---- all of them

static void put(json_t *row, const char *name, double value)
{
    json_object_set_new(row, name, isfinite(value) ? json_real(value) : json_null());
}

static void put_arm(json_t *table, const arm *first, const arm *a, uint32_t seeds)
{
    const mr_loop_sums *s = &a->sums;
    json_t *row = json_object();
    const double regret = mean_of(a->regrets, seeds), reference = mean_of(first->regrets, seeds);
    const double ratio = reference > 0 ? regret / reference : nan("");
    json_object_set_new(row, "settings", json_string(a->settings));
    put(row, "clicks_a_list", s->lists > 0 ? (double)s->clicks / (double)s->lists : 0);
    put(row, "share_of_oracle", s->oracle > 0 ? s->expected / s->oracle : 0);
    put(row, "regret_a_list", regret);
    put(row, "plus_minus", margin_of(a->regrets, a->regrets, 0, seeds));
    put(row, "of_the_first", ratio);
    put(row, "of_the_first_plus_minus",
        a == first ? nan("") : margin_of(a->regrets, first->regrets, ratio, seeds) / reference);
    json_array_append_new(table, row);
}

mr_status mr_command_simulate_arms(const mr_options *options, const mr_simulate_options *simulate,
                                   uint32_t seeds, json_t *root, mr_error *err)
{
    arm arms[MR_GIVEN_MAX + 1] = {{.settings = ""}};
    uint32_t count = 1;
    mr_status status = MR_OK;
    for (uint32_t g = 0; g < options->given_count; g++)
        if (strcmp(options->given[g].name, "what-if") == 0)
            arms[count++].settings = options->given[g].value;
    json_t *table = json_array();
    json_object_set_new(root, "worlds", json_integer(seeds));
    json_object_set_new(root, "configurations", table);
    double *regrets = calloc((size_t)count * seeds, sizeof *regrets);
    if (regrets == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t a = 0; status == MR_OK && a < count; a++) {
        arms[a].regrets = regrets + (size_t)a * seeds;
        status = run_arm(options, simulate, seeds, &arms[a], err);
        if (status == MR_OK)
            put_arm(table, &arms[0], &arms[a], seeds);
    }
    free(regrets);
    return status;
}
