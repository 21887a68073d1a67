// SPDX-License-Identifier: Apache-2.0
// millrace: real-time recommendations on Kafka. The entry: which command, and nothing else.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "worker/blas.h"
#include "worker/command.h"
#include "worker/log.h"
#include "worker/memory.h"
#include "worker/nearest.h"
#include "worker/version.h"

static void print_usage(FILE *out)
{
    fprintf(out, "usage: millrace COMMAND [options]\n\n");
    for (const mr_command *command = mr_commands(); command->name != NULL; command++)
        fprintf(out, "  %-12s %s\n", command->name, command->summary);
    fprintf(out, "\n  --help     prints this; millrace COMMAND --help says more\n"
                 "  --version  prints the version, and those of the libraries\n");
}

static int unknown_command(const char *name)
{
    mr_nearest search = mr_nearest_begin(name);
    for (const mr_command *command = mr_commands(); command->name != NULL; command++)
        mr_nearest_offer(&search, command->name);
    fprintf(stderr, "millrace: %s: no such command%s%s; millrace --help lists them\n", name,
            search.best != NULL ? "; the nearest is " : "", search.best != NULL ? search.best : "");
    return MR_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const mr_blas blas = mr_blas_start(argv); // first: it may begin the process again
    mr_memory_keep();
    signal(SIGPIPE, SIG_IGN); // a reader that goes away is a failed write, not a death
    if (argc < 2) {
        print_usage(stderr);
        return MR_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return MR_EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        mr_version_print(stdout);
        return MR_EXIT_GOOD;
    }
    const mr_command *command = mr_command_find(argv[1]);
    if (command == NULL)
        return unknown_command(argv[1]);
    if (blas.slow)
        mr_log(MR_LOG_WARNING, "blas", "OpenBLAS uses slow kernels: set OPENBLAS_CORETYPE",
               mr_log_text("core", blas.core), mr_log_text("wanted", blas.wanted));
    return command->run(argc - 1, argv + 1);
}
