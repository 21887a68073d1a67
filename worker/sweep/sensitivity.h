// SPDX-License-Identifier: Apache-2.0
// sensitivity: how much the lists in force at the end hang on a small change of the log (RLS).
//
// The mean over users of how alike two lists are: the user's list from the log, and from the
// changed log. 1: all are the same. A user who has a list from one of the two alone counts as 0,
// one who has none from either does not count. Rank-biased overlap has p = .9, is extrapolated and
// looks at MR_ACT_DEPTH places, Jaccard's index at MR_SENSITIVITY_JACCARD. Source: Oh et al.,
// "Rank List Sensitivity of Recommender Systems to Interaction Perturbations".
#ifndef MR_WORKER_SWEEP_SENSITIVITY_H
#define MR_WORKER_SWEEP_SENSITIVITY_H

#include "worker/sweep/scores.h"

enum { MR_SENSITIVITY_JACCARD = 10 };
#define MR_SENSITIVITY_P 0.9

typedef struct mr_sensitivity {
    uint64_t users;             // that were compared
    mr_estimate rbo, jaccard;   // 95 % intervals over users; NAN: no user
} mr_sensitivity;

// without: key of the user who is not compared, since his own acts were changed; NULL: none. seed:
// of the resamples. O(users).
mr_sensitivity mr_sensitivity_of(const mr_measure *from, const mr_measure *to,
                                 const uint64_t *without, uint64_t seed);

#endif
