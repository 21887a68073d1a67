// SPDX-License-Identifier: Apache-2.0
// selection: the loss of an outcome that is seen only where it was selected, when what is left to
// chance in both goes together: who rates an item is who expects to like it.
//
//     o = [g_o + e_o > 0], y = [g_y + e_y > 0], e normal with correlation r
//     P(o) = Phi(g_o),  P(y, o) = Phi2(g_y, g_o; r)
//     -log L = -o (y log Phi2 + (1 - y) log(Phi(g_o) - Phi2)) - (1 - o) log Phi(-g_o)
// An outcome is foreseen by g_y alone, as if everything were selected. r is weakly identified: g_o
// needs something that g_y does not have. Pure: nothing is kept.
// Source: "Addressing Correlated Latent Exogenous Variables in Debiased Recommender Systems", with
// Phi2 and its derivatives in closed form instead of draws.
#ifndef MR_CORE_MODEL_SELECTION_H
#define MR_CORE_MODEL_SELECTION_H

#include <stdbool.h>

typedef struct mr_selection {
    double loss;
    double by_outcome, by_selection, by_r; // its derivatives by g_y, g_o and r
} mr_selection;

// outcome: of what was selected. |r| <= .95; probabilities count as 1e-6 at least, below which the
// loss is flat in all three.
mr_selection mr_selection_loss(double g_outcome, double g_selection, double r, bool selected,
                               bool outcome);

#endif
