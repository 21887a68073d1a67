// SPDX-License-Identifier: Apache-2.0
// millrace config: what holds in the end, and what could be set.
#include "worker/command.h"

#include <stdio.h>

static const mr_option rows[] = {
    {"keys", NULL, "prints every key with its type, default and meaning"},
    {"markdown", NULL, "prints the same as the page worker/CONFIGURATION.md"},
    {0},
};

int mr_command_config(int argc, char **argv)
{
    mr_options options = {
        .command = "config",
        .summary =
            "Prints the effective configuration as YAML, with the place that each value came "
            "from.\nSecrets are masked.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    if (mr_options_get(&options, "markdown") != NULL) {
        mr_config_print_markdown(stdout, NULL, 0);
        return MR_EXIT_GOOD;
    }
    if (mr_options_get(&options, "keys") != NULL) {
        mr_config_print_help(stdout, NULL, 0);
        return MR_EXIT_GOOD;
    }
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    mr_config_print(config, stdout);
    mr_config_free(config);
    return MR_EXIT_GOOD;
}
