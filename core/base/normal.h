// SPDX-License-Identifier: Apache-2.0
// normal: the normal law's distribution function. The same bytes on every machine.
#ifndef MR_CORE_BASE_NORMAL_H
#define MR_CORE_BASE_NORMAL_H

#include "core/base/rng.h"

// log P(Z <= z) of the standard normal law; error of P below 1e-14, relative to P and to 1 - P
// below 5e-9. Source: Hart, Computer Approximations, function 5666, and Laplace's continued
// fraction in the tail.
double mr_normal_log_cdf(double z);
// log of its density.
double mr_normal_log_density(double z);

// A standard normal variate with its whole tail. Source: Marsaglia's polar method.
double mr_normal_draw(mr_rng *rng);

#endif
