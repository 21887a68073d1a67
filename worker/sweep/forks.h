// SPDX-License-Identifier: Apache-2.0
// forks: what a history would have been under another configuration, beside what it was.
//
// Both branches run the same commits of the epoch log one after the other, in one order: the first
// is held to what stands in the topics, as any re-run is, the second goes its own way from some
// commit on (worker/rerun.h). What they are compared by is what a sweep compares its branches by,
// from the fork on; what came before is history to both.
#ifndef MR_WORKER_SWEEP_FORKS_H
#define MR_WORKER_SWEEP_FORKS_H

#include "worker/rerun.h"
#include "worker/sweep/sweep.h"

typedef struct mr_forks_options {
    const mr_rerun_options *was;   // archive and store are its own
    const mr_archive *archive;     // of the second branch: another reader of the same topics,
    const mr_store_port *store;    // and a store like that of the first
    const mr_rerun_fork *fork;
    const char *name; // of the fork
    mr_score_name metric;
} mr_forks_options;

// Whether a key can be another in a fork: epochs and their places are those of the log; midway
// (from_ms above 0) rows have to mean what they meant. Errors: MR_FATAL: it cannot; the text says why.
MR_CHECKED mr_status mr_forks_allow(const mr_config *config, const char *path, bool midway,
                                    mr_error *err);

// Runs both. *was: of the first branch; *result: a row of each. Errors: those of mr_rerun_run;
// MR_FATAL: there is nothing after the fork, the second branch cannot be run.
MR_CHECKED mr_status mr_forks_run(const mr_forks_options *options, mr_rerun_result *was,
                                  mr_sweep_result *result, mr_error *err);

#endif
