// SPDX-License-Identifier: Apache-2.0
// delay: how long after a click a purchase comes, learned from purchases that did come.
//
// Purchases are counted by the day of their click and by their delay, in bins that grow by a
// factor. What has come so far of young clicks is the quick part of it only, so a bin is judged by
// days alone that are older than its end. From the longest delay down (Kaplan and Meier's product
// limit, for what is truncated on the right)
//     F(end of bin b) = product over j > b of 1 - n_j / N_j
// with n_j purchases of bin j and N_j of bins up to j, both of such days. A guess, an exponential
// delay, counts as MR_DELAY_GUESS purchases, and is all that is known in the first days.
//
// Counts of clicks need F(age) summed over clicks that are not kept: F is brought into the form
// sum of w_k (1 - exp(-t / delay_k)) with fixed delays, each of which is a count that fades by
// itself (mr_credit_rate).
// Source: Lagakos et al., "Nonparametric Analysis of Truncated Survival Data, with Application to
// AIDS"; Chapelle, "Modeling Delayed Feedback in Display Advertising"; the mixture is ours.
#ifndef MR_CORE_MODEL_DELAY_H
#define MR_CORE_MODEL_DELAY_H

#include <stdint.h>

enum {
    MR_DELAY_BINS = 32, // from a minute to 30 days
    MR_DELAY_DAYS = 32,
    MR_DELAY_PARTS = 4,
    MR_DELAY_GUESS = 20, // purchases
};

extern const double mr_delay_parts_s[MR_DELAY_PARTS]; // ten minutes, two hours, a day, a week

typedef struct mr_delays {
    int64_t day[MR_DELAY_DAYS]; // since 1970, at day % MR_DELAY_DAYS; a newer one takes its place
    int64_t units[MR_DELAY_DAYS][MR_DELAY_BINS];
} mr_delays;

// The bin of a delay >= 0; what is longer than the last one's end stands in it.
uint32_t mr_delay_bin(double delay_s);
double mr_delay_end_s(uint32_t bin);

// Adds units (of one size, whatever it is) to a day's bin; a day that is gone from the table, or
// before 1970, adds nothing. Sums: the same for any order and grouping of what stays in the table.
void mr_delays_add(mr_delays *delays, int64_t day, uint32_t bin, int64_t units);

// out: F at the end of each bin, ascending, 1 at the first end that is not below window_s and
// behind it. one: units of a whole purchase; guess_s: mean of the guess, in seconds, > 0.
void mr_delays_curve(const mr_delays *delays, double one, double window_s, double guess_s,
                     double out[MR_DELAY_BINS]);

// The weights, >= 0 and with a sum of 1, whose mixture is nearest to a curve at the ends of bins,
// by least squares weighted by the root of a bin's length: so that young clicks count, and old ones
// too. Where the truth is an exponential delay between two of the parts, what is expected of clicks
// of several ages together is some hundredths off.
void mr_delay_fit(const double curve[MR_DELAY_BINS], double weights[MR_DELAY_PARTS]);

#endif
