// SPDX-License-Identifier: Apache-2.0
// loss: from the scores of an act's candidates to the gradient of the loss by each score.
//
// Candidate 0 is the item that was acted on, 1 .. count - 1 are negatives. Pure functions over
// caller-owned arrays; nothing is kept. Where scores come from is the trainer's affair: a dot
// product, or minus a squared distance up to a constant.
#ifndef MR_CORE_MODEL_LOSS_H
#define MR_CORE_MODEL_LOSS_H

#include <stdint.h>

// In order of their words in the configuration.
#define MR_LOSS_WORDS "bpr | softmax | hardest | chain | nested | metric | pointwise"
typedef enum mr_loss {
    MR_LOSS_BPR,
    MR_LOSS_SOFTMAX,
    MR_LOSS_HARDEST,
    MR_LOSS_CHAIN,
    MR_LOSS_NESTED,
    MR_LOSS_METRIC,
    MR_LOSS_POINTWISE,
    MR_LOSSES,
} mr_loss;

// The score of a negative that is none: it gets no gradient.
#define MR_LOSS_LEFT_OUT (-1e30f)

typedef struct mr_candidates {
    uint32_t count;      // 1 and more
    const float *scores; // count
    float weight;        // of the act
    float *gradients;    // count, out
    float *curvatures;   // count, out: the second derivative by each score; NULL: nobody asks
} mr_candidates;

// Pairwise: the mean over negatives j of weight softplus(-(s_0 - s_j)).
// Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback".
void mr_loss_bpr(const mr_candidates *of);

// weight (lse(z) - z_0), z_0 = s_0 / temperature, z_j = s_j / temperature - log_q[j], with log_q
// the logarithm of how often the sampler draws j in all draws together; NULL: no correction. A
// negative's probability counts as `cap` at most.
// Source: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
// Recommendations". The positive is always present, so it is not corrected.
void mr_loss_softmax(const mr_candidates *of, const float *log_q, double temperature, float cap);

// The mean over violators j of rank max(0, margin - (s_0 - s_j)), where violators are negatives
// with a loss and rank = weight ln(1 + floor(items violators / negatives)) / ln(1 + items).
// Source: Hsieh et al., "Collaborative Metric Learning", with the rank estimated by one draw of
// many negatives instead of draws until the first violator.
void mr_loss_hinge(const mr_candidates *of, float margin, uint32_t items);

// Each score alone, p = sigma(s), with `label` for the act's item (1 or more: 1/t of
// core/model/exposure.h) and none for a negative, which stands for `stands_for` pairs:
//     weight (label (1 - p_0)^2 + (1 - label) p_0^2) + weight stands_for / negatives sum of p_j^2
// What is expected of it over what was seen is the loss of everything. A label above 1 weighs the
// second term below nothing; squares keep that bounded. Curvatures: Gauss-Newton's.
// Source: Saito et al., "Unbiased Recommender Learning from Missing-Not-At-Random Implicit
// Feedback"; sampled negatives are ours.
void mr_loss_pointwise(const mr_candidates *of, float label, float stands_for);

// Skip-gram with negative sampling, each score alone:
//     weight (softplus(-s_0) + sum over negatives of shares[j] softplus(s_j)),  shares[j] >= 0
// Source: Mikolov et al., "Distributed Representations of Words and Phrases and their
// Compositionality".
void mr_loss_sgns(const mr_candidates *of, const float *shares);

// Of count scores (a pool, without the positive) writes the places of `kept` to chosen: three
// quarters with the largest scores, equal ones by place, then the first ones of the others in order
// of place. Those with MR_LOSS_LEFT_OUT come last of all and are never chosen. Returns how many
// were chosen. scratch: count numbers.
// Source: Wilm et al., "Scaling Session-Based Transformer Recommendations using Optimized Negative
// Sampling and Loss Functions"; the quarter that is not selected is ours.
uint32_t mr_loss_hardest(const float *scores, uint32_t count, uint32_t kept, uint64_t *scratch,
                         uint32_t *chosen);

// ---- levels of feedback in one space: 0 nothing, 1 click, 2 cart, 3 purchase

enum { MR_LEVELS = 3 };

typedef struct mr_levels { // of one pair of user and item
    double slope;
    double log_odds[MR_LEVELS]; // prior: of level c + 1, see below
} mr_levels;

typedef struct mr_level_gradient { // by x[c], the dot product of the pair's c-th parts
    float by[MR_LEVELS], curvature[MR_LEVELS];
} mr_level_gradient;

// Continuation ratio: P(level >= c | level >= c - 1) = sigma(slope x_c + log_odds_c), log_odds of
// the same event; the loss is the sum over the levels that were reached, and the first that was
// not. Always valid.
mr_level_gradient mr_loss_chain(const mr_levels *of, const float x[MR_LEVELS], uint32_t level);

// Nested: P(level >= c) = sigma(l_c), l_c = sum over j <= c of slope x_j, + log_odds_c of level >=
// c. Where l does not fall, the probability of a level is below nothing: it is floored with no
// gradient through the floor, and a penalty grows with l_c+1 - l_c above -.05.
// Source: Zhu et al., "Embed Progressive Implicit Preference in Unified Space for Deep
// Collaborative Filtering" (GNOLR); floor and penalty are ours.
mr_level_gradient mr_loss_nested(const mr_levels *of, const float x[MR_LEVELS], uint32_t level);
// The same by l instead of x.
void mr_loss_nested_by_logit(const double l[MR_LEVELS], uint32_t level, double by[MR_LEVELS]);

#endif
