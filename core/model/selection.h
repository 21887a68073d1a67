// SPDX-License-Identifier: Apache-2.0
// selection: what is chosen, and whether it is liked, where both share a cause that nobody sees.
//
//     chosen: g_o + e_o > 0,   liked: g_y + e_y > 0,   e_o, e_y standard normal, correlation rho
// A liking is known of what was chosen alone. With rho = 0 what was chosen is as good as a sample;
// above 0 it is liked more often than the same item would be by somebody who did not choose it.
// Pure functions of doubles. Source: "Addressing Correlated Latent Exogenous Variables in Debiased
// Recommender Systems"; in closed form in place of draws.
#ifndef MR_CORE_MODEL_SELECTION_H
#define MR_CORE_MODEL_SELECTION_H

#define MR_SELECTION_RHO_MAX 0.95

typedef struct mr_both { // P(liked and chosen), and its derivatives by g_y and g_o
    double p, by_liking, by_choice;
} mr_both;

// |rho| <= MR_SELECTION_RHO_MAX; error of p below 1e-7, of the derivatives below 1e-12. Source:
// d P / d rho is the density of both (Plackett), integrated by Gauss and Legendre's 20 points.
mr_both mr_selection_both(double g_y, double g_o, double rho);

typedef enum mr_outcome { MR_OUTCOME_NONE, MR_OUTCOME_DISLIKED, MR_OUTCOME_LIKED } mr_outcome;

typedef struct mr_selection { // minus the log-likelihood, and its derivatives
    double loss, by_liking, by_choice;
} mr_selection;

// Of a pair that was not chosen (NONE), or chosen and then liked or not. Probabilities count as
// 1e-6 at least.
mr_selection mr_selection_loss(mr_outcome outcome, double g_y, double g_o, double rho);

#endif
