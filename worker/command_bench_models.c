// SPDX-License-Identifier: Apache-2.0
// millrace bench models: the model table, log by log.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/bench/models.h"
#include "worker/lanes.h"

enum { LOGS_MAX = 16, PATH_BYTES = 4096 };

// Under MILLRACE_DATA, where no log is named.
static const char *const known_logs[] = {"globo/sample.csv.gz", "ml-100k/events.csv.gz"};

typedef struct logs {
    const char *of[LOGS_MAX];
    char paths[sizeof known_logs / sizeof known_logs[0]][PATH_BYTES];
    uint32_t count;
} logs;

static bool find_logs(const mr_options *options, logs *found)
{
    const char *const folder = getenv("MILLRACE_DATA");
    for (uint32_t i = 0; i < options->given_count && found->count < LOGS_MAX; i++)
        if (strcmp(options->given[i].name, "input") == 0)
            found->of[found->count++] = options->given[i].value;
    for (uint32_t i = 0;
         found->count == i && folder != NULL && i < sizeof known_logs / sizeof known_logs[0]; i++) {
        snprintf(found->paths[i], PATH_BYTES, "%s/%s", folder, known_logs[i]);
        if (access(found->paths[i], R_OK) == 0)
            found->of[found->count++] = found->paths[i];
    }
    return found->count > 0;
}

static int run(mr_options *options, const mr_config *config, const logs *found, uint32_t seeds,
               double warmup)
{
    const bool json = mr_options_get(options, "json") != NULL;
    const bool markdown = mr_options_get(options, "markdown") != NULL;
    mr_error err = {0};
    mr_status status = MR_OK;
    json_t *all = json_array();
    mr_model_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        status = mr_fail(&err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; status == MR_OK && i < found->count; i++) {
        mr_models_options of = {.command = options,
                                .replay = {.inputs = {found->of[i]},
                                           .input_count = 1,
                                           .catalogue = mr_options_get(options, "catalogue"),
                                           .format = options->format,
                                           .warmup = warmup,
                                           .window_ms = 86400000,
                                           .progress = true},
                                .seeds = seeds,
                                .lanes = mr_lane_count(config->lanes),
                                .only = mr_options_get(options, "only")};
        status = mr_models_run(&of, table, &err);
        if (status == MR_OK && json)
            json_array_append_new(all, mr_models_json(table));
        else if (status == MR_OK)
            mr_models_print(table, markdown, stdout);
        fflush(stdout);
    }
    if (status == MR_OK && json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        fputc('\n', stdout);
    }
    json_decref(all);
    free(table);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("bench", err.text, MR_EXIT_FAILED);
}

int mr_command_bench_models(mr_options *options)
{
    logs found = {.count = 0};
    mr_config *config;
    double seeds = 5, warmup = 0.1;
    if (!mr_options_number(options, "seeds", 1, MR_MODEL_SEEDS_MAX, &seeds))
        return mr_command_fail("bench", "--seeds: want a number from 1 to 16", MR_EXIT_USAGE);
    if (!mr_options_number(options, "warmup", 0, 0.9, &warmup))
        return mr_command_fail("bench", "--warmup: want a share from 0 to 0.9", MR_EXIT_USAGE);
    if (!find_logs(options, &found))
        return mr_command_fail("bench",
                               "models: no log: --input FILE, or MILLRACE_DATA with "
                               "globo/sample.csv.gz or ml-100k/events.csv.gz",
                               MR_EXIT_USAGE);
    if (!mr_options_load(options, &config))
        return MR_EXIT_USAGE;
    const int status = run(options, config, &found, (uint32_t)seeds, warmup);
    mr_options_unload(options, config);
    return status;
}
