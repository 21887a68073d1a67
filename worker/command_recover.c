// SPDX-License-Identifier: Apache-2.0
// millrace recover: which of the two holds, when local state and changelogs do not agree.
#include <stdio.h>
#include <stdlib.h>

#include "state/folder.h"
#include "worker/command.h"
#include "worker/log.h"
#include "worker/run.h"

static const mr_option rows[] = {
    {"from-local", NULL, "the changelogs are written again from the local state"},
    {"from-log", NULL,
     "the local state is dropped; the next start restores it from the changelogs"},
    {0},
};

// The whole start of a worker, and nothing after it.
static mr_status from_local(const mr_options *options, const mr_config *config, mr_error *err)
{
    mr_error ignored = {0};
    mr_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    worker->config = config;
    worker->methods = &options->methods;
    worker->from_local = true;
    mr_status status = mr_worker_open(worker, err);
    if (status == MR_OK)
        status = mr_worker_until_ready(worker, err);
    const mr_status closed = mr_worker_close(worker, status == MR_OK ? err : &ignored);
    free(worker);
    return status == MR_OK ? closed : status;
}

// Whatever is wrong with it: a state that cannot even be opened is the reason to be here.
static mr_status from_log(const mr_config *config, mr_error *err)
{
    bool found;
    MR_TRY(mr_folder_forget(config->state_path, &found, err));
    mr_log(MR_LOG_INFO, "recover",
           found ? "the local state was dropped, the next start restores it from the changelogs"
                 : "there was no local state to drop",
           mr_log_text("folder", config->state_path));
    return MR_OK;
}

int mr_command_recover(int argc, char **argv)
{
    mr_options options = {
        .command = "recover",
        .summary = "Settles which holds where the local state and the changelogs do not agree: "
                   "after brokers\nhave lost what they had confirmed, or for the state of a "
                   "replay over an older history.\nThe worker must not be running.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const bool local = mr_options_get(&options, "from-local") != NULL;
    if (local == (mr_options_get(&options, "from-log") != NULL))
        return mr_command_fail("recover", "want one of --from-local and --from-log", MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    mr_error err = {0};
    const mr_status status = local ? from_local(&options, config, &err) : from_log(config, &err);
    if (status != MR_OK)
        mr_log(MR_LOG_ERROR, "recover", "failed", mr_log_text("error", err.text));
    mr_options_unload(&options, config);
    return status == MR_OK ? MR_EXIT_GOOD : MR_EXIT_FAILED;
}
