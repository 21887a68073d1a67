// SPDX-License-Identifier: Apache-2.0
// rerun: I7: what the brokers hold of a history, run again from its epoch log by the product's own
// code, leads to the same state hashes, lists and deltas.
#ifndef MR_TESTS_SIM_RERUN_H
#define MR_TESTS_SIM_RERUN_H

#include "tests/sim/brokers.h"
#include "worker/rerun.h"

// Runs the history again, up to a time of the brokers' clock (0: all of it). Errors: what
// mr_rerun_run says.
MR_CHECKED mr_status sim_rerun(sim_brokers *brokers, const mr_config *config,
                               const mr_methods *methods, mr_catalog *catalog,
                               int64_t until_ms, mr_rerun_result *result, mr_error *err);

typedef struct sim_forked {
    uint64_t commits; // after the fork
    uint64_t compared, differ, alone; // lists; alone: made in one branch only
    bool same; // state and lists, byte for byte
} sim_forked;

// Runs it again beside a fork of it. Errors: what mr_forks_run says.
MR_CHECKED mr_status sim_fork(sim_brokers *brokers, const mr_config *config,
                              const mr_methods *methods, mr_catalog *catalog,
                              const mr_rerun_fork *fork, sim_forked *forked, mr_error *err);

#endif
