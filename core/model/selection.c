// SPDX-License-Identifier: Apache-2.0
#include "core/model/selection.h"

#include "core/base/normal.h"
#include "core/base/normal2.h"
#include "core/base/vec.h"

static const double least = 1e-6;

static mr_selection loss_of(double p, double by_outcome, double by_selection, double by_r)
{
    if (p < least)
        return (mr_selection){.loss = -mr_log(least)};
    return (mr_selection){-mr_log(p), -by_outcome / p, -by_selection / p, -by_r / p};
}

mr_selection mr_selection_loss(double g_outcome, double g_selection, double r, bool selected,
                               bool outcome)
{
    const double density = mr_exp(mr_normal_log_density(g_selection));
    if (!selected)
        return loss_of(mr_exp(mr_normal_log_cdf(-g_selection)), 0, -density, 0);
    const mr_normal2 both = mr_normal2_cdf(g_outcome, g_selection, r);
    if (outcome)
        return loss_of(both.p, both.by_a, both.by_b, both.by_r);
    // Phi(g_o) - Phi2(g_y, g_o; r) = Phi2(-g_y, g_o; -r), without the difference.
    const mr_normal2 not = mr_normal2_cdf(-g_outcome, g_selection, -r);
    return loss_of(not .p, -not .by_a, not .by_b, -not .by_r);
}
