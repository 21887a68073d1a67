// SPDX-License-Identifier: Apache-2.0
// ope: judges a policy by a bandit log that another policy made.
//
// Two passes over the log: the first counts which items it shows where, the second weighs its
// rounds. Policies here are tables over (position, item); the reward model is a table as well.
#ifndef MR_WORKER_OPE_OPE_H
#define MR_WORKER_OPE_OPE_H

#include <jansson.h>
#include <stdio.h>

#include "worker/ope/calibration.h"
#include "worker/ope/offpolicy.h"
#include "worker/ope/weights.h"
#include "worker/ope/rounds.h"

typedef enum mr_ope_policy {
    MR_OPE_UNIFORM,       // over the items that the log shows at the position
    MR_OPE_FREQUENCIES,   // as often as another log shows them there
    MR_OPE_MOST_FREQUENT, // the item that the other log shows there most
} mr_ope_policy;

typedef struct mr_ope_options {
    mr_rounds_options log;
    mr_ope_policy policy;
    const char *policy_path; // of the last two
    uint32_t slates;   // lists are judged whole, by so many first positions; 0: each entry alone
    bool in_sample;    // the reward model has seen the rounds that it is asked about
    double lambdas[8]; // to clip, switch and shrink by
    uint32_t lambda_count, resamples;
    double level; // of the intervals
    uint64_t seed;
    bool insist; // gives figures that the weights cannot carry, too
} mr_ope_options;

typedef struct mr_ope_row {
    mr_ope_estimator estimator;
    double value, error, risk;
    double taken; // what clipping takes from the estimate, as far as the log tells
    mr_interval student, bootstrap, bernstein; // NAN where there is none
    bool refused, chosen;                      // chosen: least risk among the lambdas of its kind
} mr_ope_row;

typedef struct mr_ope_result {
    mr_rounds_counts log, policy_log;
    uint32_t items, positions;
    uint64_t matches;
    uint64_t lists, broken;       // judged whole, and those that lack a propensity
    double logged, policy_logged; // mean reward of a round, or of a list, in the log, and in the
                                  // policy's own log: NAN: none
    mr_weights weights;
    mr_calibration calibration;
    uint32_t doubts; // bits of mr_trust
    mr_ope_row rows[MR_OPE_ESTIMATORS_MAX];
    uint32_t row_count;
} mr_ope_result;

// Fills *result, which is large: allocate it. Errors: MR_FATAL: a file cannot be read, or has no
// round with a propensity.
MR_CHECKED mr_status mr_ope_run(const mr_ope_options *options, mr_ope_result *result,
                                mr_error *err);

void mr_ope_print(const mr_ope_options *options, const mr_ope_result *result, FILE *out);
// NULL: out of memory. The caller owns it.
json_t *mr_ope_json(const mr_ope_options *options, const mr_ope_result *result);

#endif
