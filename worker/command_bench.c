// SPDX-License-Identifier: Apache-2.0
// millrace bench: how fast the parts are on this machine, each beside its reference.
#include <cblas.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/vec.h"
#include "worker/bench/bench.h"
#include "worker/command.h"
#include "worker/nearest.h"
#include "worker/print_tree.h"
#include "worker/version.h"

static const mr_option rows[] = {
    {"bootstrap", "HOST:PORT", "pipeline, restore: a real broker; or --config FILE names it"},
    {"events", "N", "pipeline: how many events are run through (500000)"},
    {"rows", "N", "restore: how many rows the changelog has (1000000)"},
    {"partitions", "N", "pipeline, restore: of the topics (4)"},
    {"input", "FILE",
     "models: a log, as replay reads it; may be given often, each is a table of its own (those that "
     "are known in MILLRACE_DATA)"},
    {"catalogue", "FILE", "models: items that are known before the first event, as of replay"},
    {"mapping", "FILE", "models: the logs are foreign ones, as of replay"},
    {"seeds", "N", "models: from the configuration's on, for the intervals (5)"},
    {"warmup", "SHARE", "models: share of the events that is learned from but not scored (0.1)"},
    {"only", "TEXT", "models: the row of this name; without one, rows whose name has this in it"},
    {"markdown", NULL, "models: the table for a page"},
    {"json", NULL, "prints one JSON object instead of a table"},
    {0},
};

enum {
    FIGURES_MAX = 64,
    EVENTS = 500000,
    ROWS = 1000000,
    PARTITIONS = 4,
    PARTITIONS_MAX = 64,
};

typedef struct bench {
    const char *name;
    // One of the two: on one core; or with brokers, on all of them.
    mr_status (*run)(mr_figure *figures, uint32_t *count, mr_error *err);
    mr_status (*run_brokers)(const mr_pipeline_options *options, mr_figure *figures,
                             uint32_t *count, mr_error *err);
} bench;

static const bench benches[] = {
    {"decode", mr_bench_decode, NULL},   {"learn", mr_bench_learn, NULL},
    {"topk", mr_bench_topk, NULL},       {"bandit", mr_bench_bandit, NULL},
    {"state", mr_bench_state, NULL},     {"pipeline", NULL, mr_bench_pipeline},
    {"restore", NULL, mr_bench_restore}, {0},
};

// ---- the machine

static void read_cpu_model(char *model, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(model, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        snprintf(model, size, "%s", colon + 2);
        model[strcspn(model, "\n")] = '\0';
        break;
    }
    if (file != NULL)
        fclose(file);
}

static json_t *describe_machine(void)
{
    char model[128];
    json_t *machine = json_object();
    read_cpu_model(model, sizeof model);
    json_object_set_new(machine, "cpu", json_string(model));
    json_object_set_new(machine, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(machine, "blas", json_string(openblas_get_corename()));
    json_object_set_new(machine, "kernels", json_string(mr_vec_best()->name));
    json_object_set_new(machine, "release", json_string(mr_version()));
    return machine;
}

// A thread that moves between cores loses its caches: stays where it is now.
static void pin(bool pinned, const cpu_set_t *all)
{
    cpu_set_t one;
    const int core = sched_getcpu();
    CPU_ZERO(&one);
    if (pinned && core >= 0) {
        CPU_SET((unsigned)core, &one);
        sched_setaffinity(0, sizeof one, &one);
    } else {
        sched_setaffinity(0, sizeof *all, all);
    }
}

// ---- figures

static void add_figure(json_t *figures, const mr_figure *figure)
{
    json_t *row = json_object();
    json_object_set_new(row, "name", json_string(figure->name));
    json_object_set_new(row, "value", json_real(figure->value));
    json_object_set_new(row, "unit", json_string(figure->unit));
    json_object_set_new(row, "reference_value", json_real(figure->reference_value));
    json_object_set_new(row, "ratio", json_real(figure->ratio));
    json_object_set_new(row, "reference", json_string(figure->reference));
    json_array_append_new(figures, row);
}

static mr_status run_one(const bench *b, const mr_pipeline_options *pipeline, json_t *out,
                         mr_error *err)
{
    mr_figure figures[FIGURES_MAX];
    uint32_t count = FIGURES_MAX;
    if (b->run != NULL)
        MR_TRY(b->run(figures, &count, err));
    else
        MR_TRY(b->run_brokers(pipeline, figures, &count, err));
    for (uint32_t i = 0; i < count; i++)
        add_figure(out, &figures[i]);
    return MR_OK;
}

static bool is_known(const char *name)
{
    mr_nearest search = mr_nearest_begin(name);
    for (const bench *b = benches; b->name != NULL; b++) {
        if (strcmp(b->name, name) == 0)
            return true;
        mr_nearest_offer(&search, b->name);
    }
    mr_nearest_offer(&search, "models");
    if (strcmp(name, "all") == 0 || strcmp(name, "models") == 0)
        return true;
    fprintf(stderr,
            "millrace bench: '%.40s': want decode, learn, topk, bandit, state, models, pipeline, "
            "restore or all%s%s\n",
            name, search.best != NULL ? "; the nearest is " : "",
            search.best != NULL ? search.best : "");
    return false;
}

static int run(const char *name, const mr_pipeline_options *pipeline, bool json)
{
    const bool brokers = pipeline->bootstrap != NULL || pipeline->config_path != NULL;
    mr_error err = {0};
    mr_status status = MR_OK;
    cpu_set_t everywhere;
    json_t *root = json_object(), *figures = json_array();
    sched_getaffinity(0, sizeof everywhere, &everywhere);
    json_object_set_new(root, "machine", describe_machine());
    json_object_set_new(root, "figures", figures);
    for (const bench *b = benches; status == MR_OK && b->name != NULL; b++) {
        if (strcmp(name, b->name) != 0 &&
            (strcmp(name, "all") != 0 || (b->run == NULL && !brokers)))
            continue;
        pin(b->run != NULL, &everywhere);
        status = run_one(b, pipeline, figures, &err);
    }
    if (status == MR_OK && json) {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        fputc('\n', stdout);
    } else if (status == MR_OK) {
        mr_print_tree(root, stdout);
    }
    json_decref(root);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("bench", err.text, MR_EXIT_FAILED);
}

static bool read_number(const char *text, unsigned long max, unsigned long *value)
{
    char *end;
    if (text == NULL)
        return true;
    *value = strtoul(text, &end, 10);
    return end != text && *end == '\0' && *value >= 1 && *value <= max;
}

int mr_command_bench(int argc, char **argv)
{
    mr_options options = {
        .command = "bench",
        .operands = "decode|learn|topk|bandit|state|models|pipeline|restore|all",
        .summary = "Measures the parts that decide how fast the worker is. Each figure has a "
                   "reference that is measured\nin the same run; a ratio is ours to the "
                   "reference's, and more is better. pipeline and restore need a real\n"
                   "broker, and are left out of all without one. models is a table of its own, not "
                   "in all: how\nwell each method foresees the acts of logs, and what it costs.",
        .rows = rows,
        .configured = true,
        .operands_min = 1,
        .operands_max = 1,
    };
    unsigned long events = EVENTS, row_count = ROWS, partitions = PARTITIONS;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *name = argv[options.operand_first];
    if (!is_known(name))
        return MR_EXIT_USAGE;
    if (strcmp(name, "models") == 0)
        return mr_command_bench_models(&options);
    if (!read_number(mr_options_get(&options, "events"), 1000000000, &events))
        return mr_command_fail("bench", "--events: want a number from 1 on", MR_EXIT_USAGE);
    if (!read_number(mr_options_get(&options, "rows"), 1000000000, &row_count))
        return mr_command_fail("bench", "--rows: want a number from 1 on", MR_EXIT_USAGE);
    if (!read_number(mr_options_get(&options, "partitions"), PARTITIONS_MAX, &partitions))
        return mr_command_fail("bench", "--partitions: want 1 to 64", MR_EXIT_USAGE);
    const mr_pipeline_options pipeline = {
        .bootstrap = mr_options_get(&options, "bootstrap"),
        .config_path = options.config_path,
        .sets = options.sets,
        .set_count = options.set_count,
        .events = events,
        .rows = row_count,
        .partitions = (uint32_t)partitions,
    };
    for (const bench *b = benches; b->name != NULL; b++)
        if (strcmp(name, b->name) == 0 && b->run_brokers != NULL && pipeline.bootstrap == NULL &&
            pipeline.config_path == NULL)
            return mr_command_fail("bench", "which broker? --bootstrap HOST:PORT or --config FILE",
                                   MR_EXIT_USAGE);
    return run(name, &pipeline, mr_options_get(&options, "json") != NULL);
}
