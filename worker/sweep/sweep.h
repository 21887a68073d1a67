// SPDX-License-Identifier: Apache-2.0
// sweep: several configurations over the same inputs, in one pass.
//
// Events are decoded once, in batches; after each batch every branch has learned it, one branch on
// one lane. Branch 0 is the configuration itself, with which all others are compared: by users, on
// the same acts and the same resamples, and list by list. With rungs, the worse half of the others
// is dropped each time that a share of the inputs was read: of what is scored, 2^-rungs, ..., a
// quarter, a half. The shares are counts of arrivals (of topics: offsets), so that nothing depends
// on lanes or on time.
//
// A branch may learn a log that is changed a little (perturb.h); then its lists at the end are
// compared with those of branch 0, user by user (sensitivity.h), and what items keep of a user whose
// acts it leaves out is measured (residue.h).
//
// Scored is what comes after the warm-up, from the first batch on that ends behind it.
// Source of the rungs: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
// Hyperparameter Optimization" (successive halving). Departures: the budget is a share of one
// stream, so that what survives goes on from where it is; branch 0 is never dropped.
#ifndef MR_WORKER_SWEEP_SWEEP_H
#define MR_WORKER_SWEEP_SWEEP_H

#include "worker/branch.h"
#include "worker/sweep/pairs.h"
#include "worker/sweep/perturb.h"
#include "worker/sweep/residue.h"
#include "worker/sweep/scores.h"
#include "worker/sweep/sensitivity.h"

enum { MR_SWEEP_BRANCHES_MAX = 65, MR_SWEEP_NAME_MAX = 400 };

typedef struct mr_sweep_configuration { // borrowed for the sweep
    char name[MR_SWEEP_NAME_MAX];       // the settings that it has more than the first
    const mr_config *config;
    const mr_methods *methods;
    const mr_perturbation *perturbation; // NULL: it learns the log as it is
} mr_sweep_configuration;

typedef struct mr_sweep_options {
    const mr_replay_options *replay; // inputs, warm-up, progress; configuration and out are not used
    const mr_sweep_configuration *configurations; // the first is what the others are compared with
    uint32_t count;
    uint32_t lanes, rungs;
    uint64_t seed; // of the resamples
    mr_score_name metric;
    // Who else looks: at every target that is scored, from whatever lane, one at a time for a
    // configuration; and at what a branch has counted when it has ended. NULL: nobody.
    void *context;
    void (*scored)(void *context, uint32_t index, const mr_target *target);
    void (*ended)(void *context, uint32_t index, const mr_replay_result *result);
} mr_sweep_options;

typedef struct mr_sweep_row {
    const char *name;
    uint32_t index;     // of the configuration
    double dropped_at;  // share of the inputs; 0: it went to the end
    uint64_t events, commits;
    double cpu_seconds; // of its lane
    mr_hash128 state_hash, lists_hash; // at the end; zeros where it was dropped
    mr_score score, difference;        // to the first, at the same place of the inputs
    mr_list_differences lists;
    bool perturbed;
    uint64_t changed; // perturbed: acts that were left out, replaced or put in
    mr_sensitivity sensitivity;
    bool without_user; // all that was left out is one user's
    mr_residue residue;
    double coverage, gini, arp; // of what its lists show (worker/measure/shown.h)
} mr_sweep_row;

typedef struct mr_sweep_result {
    mr_sweep_row rows[MR_SWEEP_BRANCHES_MAX]; // by the metric, the best first; who was dropped later, before
    uint32_t count, lanes, rungs;
    mr_score_name metric;
    mr_arrivals_files files; // that were read
    double warmup, seconds;
} mr_sweep_result;

// Fills what a row says of a branch (scores, lists shown) and of its difference to the first.
void mr_sweep_judge(mr_sweep_row *row, const mr_scores *scores, const mr_measure *measure,
                    const mr_shown_result *shown, const mr_scores *first_scores,
                    const mr_measure *first_measure);
// Puts the rows in order.
void mr_sweep_order(mr_sweep_result *result);

// How many rungs leave two of so many configurations beside the first.
uint32_t mr_sweep_rungs(uint32_t count);

// Bytes that all engines together can take; *largest: of one. Errors: those of mr_branch_bytes.
MR_CHECKED mr_status mr_sweep_bytes(const mr_sweep_options *options, size_t *all, size_t *largest,
                                    mr_error *err);

// Whether the engines together may take at most `bytes_max`; whose: what has so many, for the text.
// Errors: MR_FATAL: they may take more, with the figures and what would fit; those of
// mr_sweep_bytes.
MR_CHECKED mr_status mr_sweep_fits(const mr_sweep_options *options, uint64_t bytes_max,
                                   const char *whose, mr_error *err);

// Runs it. Errors: MR_FATAL: those of a replay, named by the branch; standard input, where there is
// a warm-up, a rung or a perturbation that draws; topics, where there is one of these.
MR_CHECKED mr_status mr_sweep_run(const mr_sweep_options *options, mr_sweep_result *result,
                                  mr_error *err);

// One JSON object with all of it; a table for people.
struct json_t *mr_sweep_json(const mr_sweep_result *result);
void mr_sweep_print(const mr_sweep_result *result, FILE *out);

#endif
