// SPDX-License-Identifier: Apache-2.0
// weights: whether the weights of an off-policy estimate can carry it.
//
// An estimate from a log is as good as its weights: a few large ones decide it alone, a mean that
// is not one says that propensities or candidate sets are wrong. Quantiles come from a histogram of
// 64 classes for each doubling, so that they are within 1.1 percent whatever the log's length.
#ifndef MR_WORKER_OPE_WEIGHTS_H
#define MR_WORKER_OPE_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MR_WEIGHT_STEPS = 64, // classes of one doubling
    MR_WEIGHT_CLASSES = 64 * MR_WEIGHT_STEPS,
};

typedef struct mr_weights {
    uint64_t rounds, clicks, thin; // rewards above 0 with a weight above 0; policy's chance < 1e-6
    double sum, sum_square, max, reward;
    double unsupported; // sum of the policy's chance of actions that the log never shows
    // Of weights from 2^-32 to 2^32: how many, and their sum. Smaller ones are in the first class.
    uint64_t counts[MR_WEIGHT_CLASSES];
    double sums[MR_WEIGHT_CLASSES];
} mr_weights;

// weight and reward: as in mr_logged_round; chance: pi_e(a|x); unsupported: mass of the policy on
// actions that the log never shows here.
void mr_weights_add(mr_weights *weights, double weight, double reward, double chance,
                    double unsupported);
void mr_weights_merge(mr_weights *weights, const mr_weights *other);

double mr_weights_mean(const mr_weights *weights); // 1 but for chance, where all is right
double mr_weights_mean_error(const mr_weights *weights);
// Effective sample size (Kish): (sum w)^2 / sum w^2.
double mr_weights_effective(const mr_weights *weights);
double mr_weights_quantile(const mr_weights *weights, double p);
// Share of the weight that the heaviest `part` (0.01) of the rounds have.
double mr_weights_top_share(const mr_weights *weights, double part);

typedef enum mr_trust { // bits
    MR_TRUST_FEW = 1,   // carried by few rounds: effective size below 100, or half in the top 1 %
    MR_TRUST_MISMATCH = 2,    // the mean weight is not 1 within three standard errors
    MR_TRUST_THIN = 4,        // more than 5 % of the rounds are all but impossible under the policy
    MR_TRUST_UNSUPPORTED = 8, // the policy does more than 1 % where the log has nothing
    // Of calibration.h: items are not shown as often as said; far more often than said.
    MR_TRUST_UNCALIBRATED = 16,
    MR_TRUST_WRONG = 32,
} mr_trust;

// The reasons that lie in the weights, as bits, for which an estimate by weights is not to be
// believed; 0: none.
uint32_t mr_weights_doubts(const mr_weights *weights);

#endif
