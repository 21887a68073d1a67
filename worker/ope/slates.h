// SPDX-License-Identifier: Apache-2.0
// slates: what a policy over whole lists would have earned, from lists that another one showed.
//
// V is the expected sum of the rewards of all positions. Which estimator is right depends on what a
// reward may depend on: sips on the whole slate, rips and cascade-dr on the items down to its own
// position (users who read from the top), iips on its own item alone. What is assumed too little
// costs bias, what is assumed too much costs variance. Source: Kiyohara et al., "Doubly Robust
// Off-Policy Evaluation for Ranking Policies under the Cascade Behavior Model", and the estimators
// of the Open Bandit Pipeline.
#ifndef MR_WORKER_OPE_SLATES_H
#define MR_WORKER_OPE_SLATES_H

#include "worker/ope/offpolicy.h"

enum { MR_SLATE_POSITIONS_MAX = 512 };

typedef struct mr_logged_slate {
    uint32_t count;         // positions, from the top
    const double *weight;   // pi_e / p of the item at a position, given the items above it
    const double *marginal; // the same of the positions taken alone; NULL: not known, no iips
    const double *reward;   // at each position
    const double *q; // Q_j: model's value of the rewards from position j on, given a_1 .. a_j
    const double *q_policy; // E_e[Q_j] over the item at j, given a_1 .. a_{j-1}
    uint64_t cluster;
} mr_logged_slate;

// policy: begun with estimators of slates only (asserted). q and q_policy may be NULL where
// cascade-dr is not among them.
void mr_slate_add(mr_offpolicy *policy, const mr_logged_slate *slate);

#endif
