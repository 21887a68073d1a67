// SPDX-License-Identifier: Apache-2.0
// normal2: the distribution function of two standard normal variables with a correlation, and its
// derivatives. The same bytes on every machine.
#ifndef MR_CORE_BASE_NORMAL2_H
#define MR_CORE_BASE_NORMAL2_H

typedef struct mr_normal2 {
    double p;                // P(X <= a, Y <= b)
    double by_a, by_b, by_r; // its derivatives by a, b and the correlation
} mr_normal2;

// |r| < 1, a and b finite. Error of p below 1e-9 for |r| <= .95; p is within its bounds, 0 and the
// smaller of P(X <= a) and P(Y <= b). Derivatives are exact.
// Source: Plackett, "A Reduction Formula for Normal Multivariate Integrals": the derivative by r is
// the density, which is integrated from independence by Gauss and Legendre's rule; Drezner and
// Wesolowsky's substitution of an angle, here by the tangent of its half.
mr_normal2 mr_normal2_cdf(double a, double b, double r);

#endif
