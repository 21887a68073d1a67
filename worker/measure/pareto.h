// SPDX-License-Identifier: Apache-2.0
// pareto: how far a model is from what is possible of relevance and fairness together (DPFR).
//
// A frontier is walked from lists of all that is relevant towards lists that show all items alike;
// a model is judged by its distance to one point of it, in the middle by default. Source: Rampisela
// et al., "Joint Evaluation of Fairness and Relevance in Recommender Systems with Pareto Frontier".
#ifndef MR_WORKER_MEASURE_PARETO_H
#define MR_WORKER_MEASURE_PARETO_H

#include <stdint.h>

typedef struct mr_trade { // both: more is better
    double relevance, fairness;
} mr_trade;

// Orders points into a frontier: relevance descending; of equal relevance the fairest alone stays.
// Returns how many stay, in front. No NaN. In place, O(count^2) at worst: frontiers are short, and
// nearly in order as they are walked.
uint32_t mr_pareto_order(mr_trade *points, uint32_t count);

// The frontier's point whose way along the frontier from its first is nearest to alpha (0..1; 0.5)
// of the whole way; of equals the earlier. count >= 1 (asserted).
mr_trade mr_pareto_reference(const mr_trade *frontier, uint32_t count, double alpha);

// Euclidean: less is better.
double mr_pareto_distance(mr_trade model, mr_trade reference);

#endif
