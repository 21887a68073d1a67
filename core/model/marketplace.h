// SPDX-License-Identifier: Apache-2.0
// marketplace: with which probability each of several models fills a place of a list.
#ifndef MR_CORE_MODEL_MARKETPLACE_H
#define MR_CORE_MODEL_MARKETPLACE_H

#include "core/engine.h"

// p_m = (1 - uniform) e^w_m / sum e^w + uniform / M, of count models. p may be w.
void mr_market_exponential(const double *w, uint32_t count, double uniform, double *p);
// p_m = (1 - uniform) P(X_m > all others) + uniform / M with X_m ~ N(mean_m, deviation_m^2),
// independent, by the trapezoidal rule. No deviation counts as less than a 32nd of the widest;
// they are > 0. At most MR_ENGINE_COLUMNS_MAX models.
void mr_market_first(const double *mean, const double *deviation, uint32_t count, double uniform,
                     double *p);

#endif
