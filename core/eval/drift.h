// SPDX-License-Identifier: Apache-2.0
// drift: notices that a stream of numbers is not what it was.
//
// Page-Hinkley sums what numbers lie above their mean (and below it), with forgetting, and says so
// when a sum has come LAMBDA away from its extreme. ADWIN keeps a window that is as long as its
// numbers agree, as an exponential histogram: where two parts of it differ by more than chance
// allows, the older one is dropped.
//
// Both are plain structs that may stand in a row: all zeros is a detector that has seen nothing,
// and the same numbers give the same bytes. Neither is additive: one owner feeds each.
// Sources: Page, "Continuous Inspection Schemes", with the forgetting of River's PageHinkley; Bifet
// and Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", with every boundary of
// buckets as a cut, as in River's ADWIN.
#ifndef MR_CORE_EVAL_DRIFT_H
#define MR_CORE_EVAL_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mr_page_hinkley {
    double count, mean;
    double up, up_least, down, down_most;
} mr_page_hinkley;

typedef struct mr_page_hinkley_config {
    double delta;  // deviations from the mean that do not count
    double lambda; // what a sum has to come to
    double alpha;  // of the old sum, what is kept at each number
    double least;  // numbers before anything is said
} mr_page_hinkley_config;

// .005, 50, .9999, 30: as River has them.
mr_page_hinkley_config mr_page_hinkley_defaults(void);
// Takes a number; true: drift. Begins again by itself at the next number then.
bool mr_page_hinkley_add(mr_page_hinkley *detector, const mr_page_hinkley_config *config, double x);

enum {
    MR_ADWIN_BUCKETS = 5, // of one size; a sixth merges the two oldest
    MR_ADWIN_LEVELS = 20, // sizes 1, 2, 4, ...: the oldest are dropped beyond 5 (2^20 - 1) numbers
};

typedef struct mr_adwin_bucket {
    double sum, squares; // squares: of deviations from the bucket's mean
} mr_adwin_bucket;

typedef struct mr_adwin {
    double width, sum, squares; // of the whole window
    uint64_t ticks;             // numbers ever
    uint32_t levels;            // in use
    uint32_t counts[MR_ADWIN_LEVELS + 1];
    mr_adwin_bucket buckets[MR_ADWIN_LEVELS][MR_ADWIN_BUCKETS + 1]; // of a level, oldest first
} mr_adwin;

typedef struct mr_adwin_config {
    double delta;    // chance of a false alarm
    uint32_t clock;  // looks for a cut at each so-many-th number
    uint32_t least;  // numbers in each part of a cut
    uint32_t window; // no cut is looked for in a window that is not wider
} mr_adwin_config;

// .002, 32, 5, 10: as River has them.
mr_adwin_config mr_adwin_defaults(void);
// Takes a number; true: a part of the window was dropped. O(log^2 width) where it looks, else
// O(log width).
bool mr_adwin_add(mr_adwin *detector, const mr_adwin_config *config, double x);
// How many leading bytes of it differ from zeros.
uint32_t mr_adwin_used(const mr_adwin *detector);
double mr_adwin_mean(const mr_adwin *detector); // 0 for none

#endif
