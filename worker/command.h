// SPDX-License-Identifier: Apache-2.0
// command: the sub-commands, and the options that they share.
//
// A command is a function in a file of its own and a row in command.c. It returns the exit status:
// 0, 1 (failed) or 2 (used wrongly, or a bad configuration). argv[0] is its name.
#ifndef MR_WORKER_COMMAND_H
#define MR_WORKER_COMMAND_H

#include <stdbool.h>

#include "worker/config.h"
#include "worker/input/format.h"
#include "worker/methods.h"

enum { MR_EXIT_GOOD = 0, MR_EXIT_FAILED = 1, MR_EXIT_USAGE = 2 };

int mr_command_backup(int argc, char **argv);
int mr_command_bench(int argc, char **argv);
int mr_command_check(int argc, char **argv);
int mr_command_config(int argc, char **argv);
int mr_command_demo(int argc, char **argv);
int mr_command_infer(int argc, char **argv);
int mr_command_inspect(int argc, char **argv);
int mr_command_letters(int argc, char **argv);
int mr_command_ope(int argc, char **argv);
int mr_command_produce(int argc, char **argv);
int mr_command_recover(int argc, char **argv);
int mr_command_replay(int argc, char **argv);
int mr_command_report(int argc, char **argv);
int mr_command_restore(int argc, char **argv);
int mr_command_run(int argc, char **argv);
int mr_command_schema(int argc, char **argv);
int mr_command_simulate(int argc, char **argv);

typedef struct mr_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} mr_command;

// The table, in the order of the help; ends with a name of NULL.
const mr_command *mr_commands(void);
const mr_command *mr_command_find(const char *name);

typedef struct mr_option {
    const char *name;     // "connect"
    const char *argument; // "FILE"; NULL: a flag
    const char *help;
} mr_option;

enum { MR_OPTIONS_MAX = 24, MR_SETS_MAX = 64, MR_GIVEN_MAX = 64 };

typedef struct mr_given { // an option of the command, as it came
    const char *name, *value;
} mr_given;

typedef struct mr_options {
    // What the command takes, filled by it.
    const char *command, *operands, *summary;
    const mr_option *rows; // ends with a name of NULL
    bool configured;       // takes --config, --set, --log-format and --log-level too
    int operands_min, operands_max;
    // What was given.
    const char *values[MR_OPTIONS_MAX]; // by row: the last value, "" for a flag; NULL: not given
    mr_given given[MR_GIVEN_MAX];       // the same, each time that one was given
    uint32_t given_count;
    const char *config_path;
    const char *sets[MR_SETS_MAX];
    char set_texts[2][64];
    uint32_t set_count;
    int operand_first;  // index into argv
    mr_methods methods; // of mr_options_load
    mr_format *format;  // of mr_options_load: the file of --mapping; NULL: not given
} mr_options;

// Parses the command line. Returns true where the command goes on; otherwise *exit_status says how
// it ends: help was printed (0), or one line about what is wrong (2).
bool mr_options_parse(mr_options *options, int argc, char **argv, int *exit_status);

// The value of the option of that name; NULL: not given.
const char *mr_options_get(const mr_options *options, const char *name);
// Reads the option of that name as a number from low to high; *number stays as it was where the
// option was not given, and where it is no such number: false then.
bool mr_options_number(const mr_options *options, const char *name, double low, double high,
                       double *number);

// Loads the configuration of a command's options, and the file of --mapping, and opens the log.
// Returns false after a message to stderr: the exit status is then MR_EXIT_USAGE.
bool mr_options_load(mr_options *options, mr_config **config);
// The same configuration with more settings, and methods of its own, which the caller frees by
// mr_config_free and mr_methods_close. Errors: MR_FATAL: a setting that cannot be.
MR_CHECKED mr_status mr_options_load_with(const mr_options *options, const char *const *sets,
                                          uint32_t set_count, mr_methods *methods,
                                          mr_config **config, mr_error *err);
// Frees what mr_options_load made.
void mr_options_unload(mr_options *options, mr_config *config);

// replay --sweep, --what-if and --perturb over files or topics. Returns the exit status.
struct mr_replay_options;
int mr_command_sweep(mr_options *options, struct mr_replay_options *replay);

// bench models. Returns the exit status.
int mr_command_bench_models(mr_options *options);

// replay --epochs, with so many input files on its command line. Returns the exit status.
int mr_command_rerun(mr_options *options, uint32_t input_count);

// Prints "millrace COMMAND: TEXT" to stderr and returns `exit_status`.
int mr_command_fail(const char *command, const char *text, int exit_status);

#endif
