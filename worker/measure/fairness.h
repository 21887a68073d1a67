// SPDX-License-Identifier: Apache-2.0
// fairness: how fairly lists treat single items, on scales whose ends can be reached.
//
// Plain measures of evenness never reach their ends where m lists of k items from n are made, so
// that models cannot be told apart. The corrected forms are 0 for the worst (every list shows the
// same k items) and 1 for the best that is possible; Gini the other way round. Source: Rampisela et
// al., "Evaluation Measures of Individual Item Fairness for Recommender Systems: A Critical Study".
#ifndef MR_WORKER_MEASURE_FAIRNESS_H
#define MR_WORKER_MEASURE_FAIRNESS_H

#include "core/base/sort.h"

typedef struct mr_fairness_set {
    double jain;    // how close the counts are to one another
    double qf;      // share of items that were shown at all
    double entropy; // of the shares of exposure, in units of log n
    double gini;
    double fsat; // share of items that were shown as often as all could be
} mr_fairness_set;

typedef struct mr_fairness {
    mr_fairness_set plain, corrected;
} mr_fairness;

// counts: how often each of n items was shown, over `lists` lists. k is the lists' mean length,
// sum of counts / lists. NAN where a form is not defined: nothing shown, k = n, and fsat where the
// lists together have fewer places than there are items. scratch: n entries. O(n log n).
mr_fairness mr_fairness_of(const double *counts, uint32_t n, double lists, mr_sorted *scratch);

// Corrected Gini of exposure that is weighted by rank (mr_rank_discount), over m lists that
// all have k items. With more places than items the best is 0; otherwise it is no item shown twice.
double mr_fairness_weighted_gini(const double *exposure, uint32_t n, double m, uint32_t k,
                                 mr_sorted *scratch);

#endif
