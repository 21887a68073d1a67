// SPDX-License-Identifier: Apache-2.0
// calibration: whether a log shows its items as often as its propensities say. No reward is needed.
//
// Of an item at a position, 1 / p summed over the rounds that showed it is, but for chance, how
// many rounds the position had, whatever p depended on, as long as the item could be shown in each
// of them. So rounds shown / sum of 1 / p is what the propensities say of the item ("said"), and is
// held against the share of rounds that showed it ("shown"). What counts is what lies between the
// first and the last time that it was shown, without these two: items come and go.
//
// Items that are expected MR_CALIBRATION_EXPECTED times or more are judged one by one, by four
// standard errors, and in bins of about as many trials each, an item in a round being a trial. The
// expected calibration error is the mean distance of a bin's shown from its said, by trials.
//
// An item that is shown more often than said has wrong propensities. One that is shown less often
// may also be one that not everybody could be shown.
#ifndef MR_WORKER_OPE_CALIBRATION_H
#define MR_WORKER_OPE_CALIBRATION_H

#include "core/base/sort.h"
#include "worker/ope/arms.h"

enum { MR_CALIBRATION_BINS = 10, MR_CALIBRATION_EXPECTED = 10 };

typedef struct mr_calibration_bin {
    uint32_t arms;
    double trials, said, shown; // means over the trials
    double error;               // standard error of their difference
} mr_calibration_bin;

typedef struct mr_calibration {
    mr_calibration_bin bins[MR_CALIBRATION_BINS]; // by what is said, ascending
    uint32_t bin_count;
    uint32_t judged, rare;     // arms; rare: expected too seldom to be judged
    uint32_t more, less;       // judged arms that are shown more, or less, often than said
    double error, by_chance;   // expected calibration error; what chance alone would make of it
    double excess;             // of the rounds that show judged arms: more than said, as a share
} mr_calibration;

// After the log's rounds were shown to the arms. first_alone: at the first position, which is all
// that can be judged where a propensity is that of an item given those above it, since these could
// not be shown again. scratch: arms->count entries. O(arms log arms). NAN where nothing is judged.
mr_calibration mr_calibration_of(const mr_arms *arms, bool first_alone, mr_sorted *scratch);

// Whether items are off: more of the judged than chance makes of a thousandth of them, and whether
// propensities are so wrong that no estimate by weights can stand: a fifth of the rounds and more
// are beyond what they say, and that is no chance.
bool mr_calibration_is_off(const mr_calibration *calibration);
bool mr_calibration_is_wrong(const mr_calibration *calibration);

#endif
