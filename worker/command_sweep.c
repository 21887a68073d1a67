// SPDX-License-Identifier: Apache-2.0
// millrace replay --sweep, --what-if and --perturb: several branches in one pass over the log.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "worker/command.h"
#include "worker/lanes.h"
#include "worker/memory.h"
#include "worker/replay.h"
#include "worker/sweep/space.h"
#include "worker/sweep/sweep.h"

enum { SAMPLES = 8, PATH_BYTES = 4096 };

typedef struct trial {
    mr_options *options;
    mr_config *config; // the first
    mr_space space;
    mr_sweep_configuration configurations[MR_SWEEP_BRANCHES_MAX];
    mr_config *configs[MR_SWEEP_BRANCHES_MAX];
    mr_methods methods[MR_SWEEP_BRANCHES_MAX];
    mr_perturbation *perturbations;
    uint32_t count;
    mr_score_name metric;
} trial;

// ---- configurations

static void name(mr_sweep_configuration *configuration, const char *const *sets, uint32_t count)
{
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < MR_SWEEP_NAME_MAX; i++)
        used += (size_t)snprintf(configuration->name + used, MR_SWEEP_NAME_MAX - used, "%s%s",
                                 i > 0 ? " " : "", sets[i]);
}

static bool is_there(const trial *t, const mr_config *config)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (mr_config_hash(t->configurations[i].config) == mr_config_hash(config))
            return true;
    return false;
}

// once: a configuration that is there already is left out.
static mr_status add(trial *t, const char *const *sets, uint32_t count, bool once, mr_error *err)
{
    const uint32_t at = t->count;
    if (at == MR_SWEEP_BRANCHES_MAX)
        return mr_fail(err, MR_FATAL, "more than %d configurations beside the first",
                       MR_SWEEP_BRANCHES_MAX - 1);
    MR_TRY(mr_options_load_with(t->options, sets, count, &t->methods[at], &t->configs[at], err));
    if (once && is_there(t, t->configs[at])) {
        mr_config_free(t->configs[at]);
        mr_methods_close(&t->methods[at]);
        return MR_OK;
    }
    name(&t->configurations[at], sets, count);
    t->configurations[at].config = t->configs[at];
    t->configurations[at].methods = &t->methods[at];
    t->count++;
    return MR_OK;
}

static mr_status add_what_if(trial *t, mr_error *err)
{
    const char *sets[MR_GIVEN_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->options->given_count; i++) {
        const mr_given *given = &t->options->given[i];
        char path[MR_CONFIG_PATH_MAX];
        if (strcmp(given->name, "what-if") != 0)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(given->value, "="), given->value);
        if (strchr(given->value, '=') == NULL)
            return mr_fail(err, MR_FATAL, "--what-if: found '%.80s', want key=value", given->value);
        if (mr_space_allows(t->config, path, err) != MR_OK)
            return mr_wrap(err, "--what-if");
        sets[count++] = given->value;
    }
    return add(t, sets, count, false, err);
}

static mr_status add_sweep(trial *t, mr_error *err)
{
    uint32_t count = SAMPLES;
    for (uint32_t i = 0; i < t->options->given_count; i++) {
        const mr_given *given = &t->options->given[i];
        if (strcmp(given->name, "sweep") != 0)
            continue;
        if ((strchr(given->value, '=') != NULL
                 ? mr_space_add(&t->space, t->config, given->value, err)
                 : mr_space_read(&t->space, t->config, given->value, err)) != MR_OK)
            return mr_wrap(err, "--sweep");
    }
    const char *const samples = mr_options_get(t->options, "samples");
    const bool drawn = mr_space_has_range(&t->space);
    if (samples != NULL && !drawn)
        return mr_fail(err, MR_FATAL, "--samples: want a range, as in --sweep key=lo..hi");
    if (samples != NULL)
        count = (uint32_t)strtoul(samples, NULL, 10);
    if (!drawn)
        count = mr_space_combinations(&t->space);
    if (count == 0 || count >= MR_SWEEP_BRANCHES_MAX)
        return mr_fail(err, MR_FATAL, "found %u configurations, want 1 to %d", count,
                       MR_SWEEP_BRANCHES_MAX - 1);
    for (uint32_t i = 0; i < count; i++) {
        char texts[MR_SPACE_KEYS_MAX][MR_SPACE_TEXT_MAX];
        const char *sets[MR_SPACE_KEYS_MAX];
        for (uint32_t k = 0; k < t->space.key_count; k++)
            sets[k] = texts[k];
        if (drawn)
            mr_space_sample(&t->space, (uint64_t)t->config->seed, i, texts);
        else
            mr_space_combination(&t->space, i, texts);
        MR_TRY(add(t, sets, t->space.key_count, true, err));
    }
    return MR_OK;
}

static mr_status add_perturbations(trial *t, mr_error *err)
{
    t->perturbations = calloc(MR_SWEEP_BRANCHES_MAX, sizeof *t->perturbations);
    if (t->perturbations == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; i < t->options->given_count; i++) {
        const mr_given *given = &t->options->given[i];
        mr_sweep_configuration *configuration = &t->configurations[t->count];
        mr_perturbation *perturbation = &t->perturbations[t->count];
        if (strcmp(given->name, "perturb") != 0)
            continue;
        if (mr_perturbation_parse(given->value, (uint64_t)t->config->seed, t->count, perturbation,
                                  err) != MR_OK)
            return mr_wrap(err, "--perturb");
        *configuration = t->configurations[0];
        configuration->perturbation = perturbation;
        name(configuration, &given->value, 1);
        t->count++;
    }
    return MR_OK;
}

static mr_status gather(trial *t, mr_error *err)
{
    const char *const metric = mr_options_get(t->options, "metric");
    if (mr_score_parse(metric != NULL ? metric : "new.ndcg@20", &t->metric, err) != MR_OK)
        return mr_wrap(err, "--metric");
    snprintf(t->configurations[0].name, sizeof t->configurations[0].name, "as configured");
    t->configurations[0].config = t->config;
    t->configurations[0].methods = &t->options->methods;
    t->count = 1;
    if (mr_options_get(t->options, "perturb") != NULL)
        return add_perturbations(t, err);
    return mr_options_get(t->options, "what-if") != NULL ? add_what_if(t, err) : add_sweep(t, err);
}

// ---- running

// Engines touch what they need: what is refused is what could exhaust the machine, before it does.
static mr_status check_memory(const mr_sweep_options *options, const mr_config *config,
                              mr_error *err)
{
    size_t all, largest;
    const uint64_t wanted = (uint64_t)config->replay_memory_max, machine = mr_memory_machine();
    MR_TRY(mr_sweep_bytes(options, &all, &largest, err));
    fprintf(stderr, "%u engines of at most %zu MiB, %zu MiB together; this machine has %llu MiB\n",
            options->count, largest >> 20, all >> 20, (unsigned long long)machine >> 20);
    if (wanted > 0)
        return mr_sweep_fits(options, wanted, "replay.memory_max is", err);
    return machine > 0 ? mr_sweep_fits(options, machine, "this machine has", err) : MR_OK;
}

static mr_status write_json(const char *folder, const json_t *object, mr_error *err)
{
    char path[PATH_BYTES];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return mr_fail(err, MR_FATAL, "%s: %s", folder, strerror(errno));
    snprintf(path, sizeof path, "%s/sweep.json", folder);
    return json_dump_file(object, path, JSON_INDENT(2)) == 0
               ? MR_OK
               : mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
}

static mr_status show(const trial *t, const mr_sweep_result *result, mr_error *err)
{
    const char *const out = mr_options_get(t->options, "out");
    mr_status status = MR_OK;
    json_t *object = mr_sweep_json(result);
    if (out != NULL)
        status = write_json(out, object, err);
    if (status == MR_OK && mr_options_get(t->options, "json") != NULL) {
        json_dumpf(object, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    } else if (status == MR_OK) {
        mr_sweep_print(result, stdout);
    }
    json_decref(object);
    return status;
}

static mr_status run(trial *t, const mr_replay_options *replay, mr_error *err)
{
    mr_sweep_result result;
    const mr_sweep_options options = {
        .replay = replay,
        .configurations = t->configurations,
        .count = t->count,
        .lanes = mr_lane_count(t->config->lanes),
        .rungs = mr_space_has_range(&t->space) ? mr_sweep_rungs(t->count) : 0,
        .seed = (uint64_t)t->config->seed,
        .metric = t->metric,
    };
    MR_TRY(check_memory(&options, t->config, err));
    MR_TRY(mr_sweep_run(&options, &result, err));
    return show(t, &result, err);
}

static bool is_alone(const mr_options *options)
{
    static const char *const others[] = {"no-metrics", "no-measures", "by", "split"};
    char text[160];
    for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (mr_options_get(options, others[i]) == NULL)
            continue;
        snprintf(text, sizeof text,
                 "--sweep, --what-if and --perturb compare metrics: want no --%s", others[i]);
        mr_command_fail("replay", text, MR_EXIT_USAGE);
        return false;
    }
    if ((mr_options_get(options, "sweep") != NULL) + (mr_options_get(options, "what-if") != NULL) +
            (mr_options_get(options, "perturb") != NULL) <
        2)
        return true;
    mr_command_fail("replay", "want one of --sweep, --what-if and --perturb", MR_EXIT_USAGE);
    return false;
}

int mr_command_sweep(mr_options *options, mr_replay_options *replay)
{
    mr_error err;
    int exit_status = MR_EXIT_GOOD;
    if (!is_alone(options))
        return MR_EXIT_USAGE;
    trial *t = calloc(1, sizeof *t);
    if (t == NULL)
        return mr_command_fail("replay", "out of memory", MR_EXIT_FAILED);
    t->options = options;
    if (!mr_options_load(options, &t->config)) {
        free(t);
        return MR_EXIT_USAGE;
    }
    replay->config = t->config;
    replay->methods = &options->methods;
    replay->format = options->format;
    replay->progress = true;
    if (gather(t, &err) != MR_OK)
        exit_status = mr_command_fail("replay", err.text, MR_EXIT_USAGE);
    else if (run(t, replay, &err) != MR_OK)
        exit_status = mr_command_fail("replay", err.text, MR_EXIT_FAILED);
    for (uint32_t i = 1; i < t->count; i++) {
        mr_config_free(t->configs[i]);
        mr_methods_close(&t->methods[i]);
    }
    mr_options_unload(options, t->config);
    free(t->perturbations);
    free(t);
    return exit_status;
}
