// SPDX-License-Identifier: Apache-2.0
#include "worker/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/log.h"

static const mr_command table[] = {
    {"run", "the worker: reads events, learns, publishes lists", mr_command_run},
    {"replay", "learns from logged events and measures every model", mr_command_replay},
    {"report", "makes one page of a replay, for people", mr_command_report},
    {"dead-letters", "lists what was refused, by cause, and puts it back after a mend",
     mr_command_letters},
    {"ope", "says what another policy would have earned, from a log", mr_command_ope},
    {"demo", "shows all of it in this process, with simulated users", mr_command_demo},
    {"simulate", "what lists are worth to simulated users, and what attacks gain",
     mr_command_simulate},
    {"check", "says whether a configuration would run, and makes our topics", mr_command_check},
    {"infer", "proposes a mapping for records of any shape", mr_command_infer},
    {"produce", "sends events of files, or made-up ones, to the inputs", mr_command_produce},
    {"bench", "measures the parts, each beside a reference", mr_command_bench},
    {"backup", "copies the state of a worker, also while it runs", mr_command_backup},
    {"restore", "puts a backup in the place of the state", mr_command_restore},
    {"recover", "settles which holds, the local state or the changelogs", mr_command_recover},
    {"inspect", "shows what a state folder holds, also while in use", mr_command_inspect},
    {"schema", "prints the Avro schemas of events and outputs", mr_command_schema},
    {"config", "prints the effective configuration, or every key", mr_command_config},
    {0},
};

const mr_command *mr_commands(void)
{
    return table;
}

const mr_command *mr_command_find(const char *name)
{
    for (const mr_command *command = table; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

int mr_command_fail(const char *command, const char *text, int exit_status)
{
    fprintf(stderr, "millrace %s: %s\n", command, text);
    return exit_status;
}

static const mr_option shared[] = {
    {"config", "FILE", "the configuration; millrace config --keys lists every key"},
    {"set", "KEY=VALUE", "overrides a key of the configuration; may be given often"},
    {"log-format", "FORMAT", "text or json: the same as --set log.format=FORMAT"},
    {"log-level", "LEVEL", "error, warning, info or debug: the same as --set log.level=LEVEL"},
    {0},
};
enum { SHARED_CONFIG, SHARED_SET, SHARED_LOG_FORMAT, SHARED_LOG_LEVEL, SHARED_COUNT };
enum { VALUE_SHARED = 256, VALUE_OWN = 512, VALUE_HELP = 1024 };

static void print_rows(const mr_option *rows)
{
    for (const mr_option *row = rows; row != NULL && row->name != NULL; row++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument != NULL ? " " : "",
                 row->argument != NULL ? row->argument : "");
        printf("  %-24s %s\n", left, row->help);
    }
}

static void print_help(const mr_options *options)
{
    printf("usage: millrace %s [options]%s%s\n\n%s\n\n", options->command,
           options->operands != NULL ? " " : "", options->operands != NULL ? options->operands : "",
           options->summary);
    print_rows(options->rows);
    if (options->configured)
        print_rows(shared);
    printf("  %-24s %s\n", "--help", "prints this");
}

// One row of getopt's own table for each option; returns how many.
static int make_long_options(const mr_options *options, struct option *rows)
{
    int count = 0;
    for (const mr_option *row = options->rows; row != NULL && row->name != NULL; row++) {
        rows[count] = (struct option){row->name, row->argument != NULL, NULL, VALUE_OWN + count};
        count++;
    }
    for (int i = 0; options->configured && i < SHARED_COUNT; i++)
        rows[count++] = (struct option){shared[i].name, 1, NULL, VALUE_SHARED + i};
    rows[count++] = (struct option){"help", 0, NULL, VALUE_HELP};
    rows[count] = (struct option){0};
    return count;
}

static bool add_set(mr_options *options, const char *set)
{
    if (options->set_count == MR_SETS_MAX)
        return false;
    options->sets[options->set_count++] = set;
    return true;
}

static bool take_shared(mr_options *options, int which, const char *value)
{
    if (which == SHARED_CONFIG) {
        options->config_path = value;
        return true;
    }
    if (which == SHARED_SET)
        return add_set(options, value);
    char *const text = options->set_texts[which == SHARED_LOG_LEVEL];
    snprintf(text, sizeof options->set_texts[0], "log.%s=%s",
             which == SHARED_LOG_FORMAT ? "format" : "level", value);
    return add_set(options, text);
}

static bool take_own(mr_options *options, int which, const char *value)
{
    if (options->given_count == MR_GIVEN_MAX) {
        mr_command_fail(options->command, "too many options", 0);
        return false;
    }
    options->values[which] = value;
    options->given[options->given_count++] = (mr_given){options->rows[which].name, value};
    return true;
}

static bool usage(const mr_options *options, int *exit_status)
{
    fprintf(stderr, "millrace %s --help says how it is used\n", options->command);
    *exit_status = MR_EXIT_USAGE;
    return false;
}

bool mr_options_parse(mr_options *options, int argc, char **argv, int *exit_status)
{
    struct option rows[MR_OPTIONS_MAX + SHARED_COUNT + 2];
    char name[64];
    make_long_options(options, rows);
    // getopt names the program after argv[0] in its messages.
    snprintf(name, sizeof name, "millrace %s", options->command);
    argv[0] = name;
    optind = 0;
    for (int which; (which = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (which == VALUE_HELP) {
            print_help(options);
            *exit_status = MR_EXIT_GOOD;
            return false;
        }
        if (which == '?')
            return usage(options, exit_status);
        if (which >= VALUE_OWN) {
            if (!take_own(options, which - VALUE_OWN, optarg != NULL ? optarg : ""))
                return usage(options, exit_status);
        } else if (!take_shared(options, which - VALUE_SHARED, optarg)) {
            mr_command_fail(options->command, "too many --set", 0);
            return usage(options, exit_status);
        }
    }
    options->operand_first = optind;
    const int operands = argc - optind;
    if (operands < options->operands_min || operands > options->operands_max) {
        fprintf(stderr, "millrace %s: found %d operands, want %s\n", options->command, operands,
                options->operands != NULL ? options->operands : "none");
        return usage(options, exit_status);
    }
    return true;
}

const char *mr_options_get(const mr_options *options, const char *name)
{
    for (uint32_t i = 0; options->rows[i].name != NULL; i++) {
        if (strcmp(options->rows[i].name, name) == 0)
            return options->values[i];
    }
    MR_ASSERT(!"an option that the command does not have");
    return NULL;
}

bool mr_options_number(const mr_options *options, const char *name, double low, double high,
                       double *number)
{
    const char *const text = mr_options_get(options, name);
    char *end;
    if (text == NULL)
        return true;
    errno = 0;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(x >= low && x <= high))
        return false;
    *number = x;
    return true;
}

// Of the commands that read files: --mapping, which has no use for --as.
static mr_status load_format(mr_options *options, mr_error *err)
{
    const char *name = NULL, *as = NULL;
    for (uint32_t i = 0; options->rows[i].name != NULL; i++) {
        if (strcmp(options->rows[i].name, "mapping") == 0)
            name = options->values[i];
        if (strcmp(options->rows[i].name, "as") == 0)
            as = options->values[i];
    }
    if (name != NULL && as != NULL)
        return mr_fail(err, MR_FATAL, "--mapping says what --as would: want one of them");
    return name != NULL ? mr_format_open(name, &options->format, err) : MR_OK;
}

mr_status mr_options_load_with(const mr_options *options, const char *const *sets,
                               uint32_t set_count, mr_methods *methods, mr_config **config,
                               mr_error *err)
{
    const char *all[2 * MR_SETS_MAX];
    uint32_t count = 0;
    *config = NULL;
    for (uint32_t i = 0; i < options->set_count; i++)
        all[count++] = options->sets[i];
    for (uint32_t i = 0; i < set_count && i < MR_SETS_MAX; i++)
        all[count++] = sets[i];
    MR_TRY(mr_methods_open(methods, err));
    const mr_config_source source = {
        .path = options->config_path,
        .sets = all,
        .set_count = count,
        .environment = environ,
        .numbers = methods->numbers,
        .number_count = methods->count,
    };
    mr_status status = mr_config_load(config, &source, err);
    if (status == MR_OK)
        status = mr_methods_check(*config, err);
    if (status == MR_OK) {
        mr_methods_apply(methods, *config);
        return MR_OK;
    }
    mr_config_free(*config);
    *config = NULL;
    mr_methods_close(methods);
    return status;
}

bool mr_options_load(mr_options *options, mr_config **config)
{
    mr_error err = {0};
    mr_status status = mr_options_load_with(options, NULL, 0, &options->methods, config, &err);
    if (status == MR_OK)
        status = load_format(options, &err);
    if (status != MR_OK) {
        mr_command_fail(options->command, err.text, 0);
        mr_options_unload(options, *config);
        return false;
    }
    const mr_log_options log = {
        .out = stderr,
        .format = (*config)->log_format,
        .level = (*config)->log_level,
        .service = (*config)->app,
        .debug = &(*config)->log_debug,
    };
    mr_log_open(&log);
    return true;
}

void mr_options_unload(mr_options *options, mr_config *config)
{
    const mr_log_options log = {.level =
                                    MR_LOG_INFO}; // the sink borrows texts of the configuration
    mr_log_open(&log);
    mr_config_free(config);
    mr_methods_close(&options->methods);
    free(options->format);
    options->format = NULL;
}
