// SPDX-License-Identifier: Apache-2.0
// millrace config: what holds in the end, and what could be set.
#include "worker/command.h"

#include <stdio.h>

static const mr_option rows[] = {
    {"keys", NULL, "prints every key with its type, default and meaning"},
    {"markdown", NULL, "prints the same as the page worker/CONFIGURATION.md"},
    {0},
};

static int print_keys(bool markdown)
{
    mr_methods methods;
    mr_error err = {0};
    if (mr_methods_open(&methods, &err) != MR_OK)
        return mr_command_fail("config", err.text, MR_EXIT_FAILED);
    (markdown ? mr_config_print_markdown : mr_config_print_help)(stdout, methods.numbers,
                                                                 methods.count);
    mr_methods_close(&methods);
    return MR_EXIT_GOOD;
}

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
    const bool markdown = mr_options_get(&options, "markdown") != NULL;
    if (markdown || mr_options_get(&options, "keys") != NULL)
        return print_keys(markdown);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    mr_config_print(config, stdout);
    mr_options_unload(&options, config);
    return MR_EXIT_GOOD;
}
