// SPDX-License-Identifier: Apache-2.0
// history: what one seed says: a few workers, a few tasks, traffic, and everything that goes wrong;
// then calm, in which all has to be consumed.
#ifndef MR_TESTS_SIM_HISTORY_H
#define MR_TESTS_SIM_HISTORY_H

#include "schemas/catalog.h"
#include "tests/sim/faults.h"
#include "worker/ownership.h"
#include "worker/run.h"
#include "worker/sink.h"

enum { SIM_POINTS = 25 }; // crash points of the commit protocol, from 1

typedef struct sim_totals { // over histories
    uint64_t histories, commits, steps, exits;
    // Histories that were run again from their epoch logs, and what was compared.
    uint64_t reruns, rerun_commits, rerun_epochs, rerun_lists, rerun_deltas, rerun_engines;
    uint64_t points[SIM_POINTS]; // how often a history went through each crash point
    uint64_t injected[SIM_FAULT_COUNT];
    // Where processes were killed: crash points.
    uint64_t killed_in_sink[MR_SINK_STATE_COUNT], killed_in_phase[MR_PHASE_COUNT];
    uint64_t killed_in_taking[MR_TAKING_STATE_COUNT];
    uint64_t moved_in_sink[MR_SINK_STATE_COUNT]; // the group changed while a commit was there
    char exit_reason[200];                       // the last one
} sim_totals;

typedef struct sim_options {
    mr_config *const *configs; // one a worker: they differ by the instance's name
    mr_config *const *real_configs; // with models of the product beside the counting one
    const mr_config *other, *real_other; // what histories are forked with: shorter lists
    const mr_methods *methods;
    mr_catalog *catalog;
    uint64_t faults_until; // questions for faults after this one are answered no
    bool trace;            // says each step
} sim_options;

// Runs one history. Returns whether all invariants held; otherwise `violation` says which did not,
// and *questions how many faults had been asked for.
bool sim_history(const sim_options *options, uint64_t seed, sim_totals *totals, char *violation,
                 size_t size, uint64_t *questions);

#endif
