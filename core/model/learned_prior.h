// SPDX-License-Identifier: Apache-2.0
// learned_prior: which rates the items of a catalogue have, as a mixture of Beta laws, learned from
// all of them as they are tried.
//
// A row, one for all items, keeps a table of arms: cells by tries n and successes s, each with how
// many arms fell into it and their sums of n and s. Whenever an item is tried again, its (n, s) of
// before goes into the table with the weight 1/n: an item counts the same whether it is shown often
// or seldom, and as a young one too, which is what the prior is for. The table is made of integers,
// so that its deltas add up to the same bytes in any grouping. At its owner alone, once EVERY arms
// have come since the last time, the mixture is fitted to it (core/base/mixture.h), from what it
// was, and all that was counted so far counts half from then on.
#ifndef MR_CORE_MODEL_LEARNED_PRIOR_H
#define MR_CORE_MODEL_LEARNED_PRIOR_H

#include "core/base/mixture.h"

enum {
    MR_PRIOR_TRIES = 12, // cells by n: from 1 on, by powers of 2
    MR_PRIOR_GAINS = 16, // and by s: less than 1/4, then by powers of the root of 2
};

typedef struct mr_prior_cell { // in units of 2^-16
    int64_t count, n, s;
} mr_prior_cell;

typedef struct mr_prior_table { // a delta; zeros at first
    mr_prior_cell cells[MR_PRIOR_TRIES * MR_PRIOR_GAINS];
} mr_prior_table;

typedef struct mr_prior { // a row; zeros at first
    mr_mixture mixture;   // count 0: not fitted yet
    int64_t since;        // arms since the last fit, in units of 2^-16
    uint64_t fits;
    mr_prior_table table;
} mr_prior;

// An item with n tries and s successes is tried again. n below 1 tells nothing and is left out; s
// counts at most as n.
void mr_prior_note(mr_prior_table *delta, double n, double s);
// The `combine` of a method's family.
void mr_prior_combine(const void *config, void *into, const void *from);
// Adds a delta, and fits the mixture where it is time. `components` of them begin around `mean`,
// which is worth `weight` tries.
void mr_prior_apply(mr_prior *prior, const mr_prior_table *delta, uint32_t components, double mean,
                    double weight);

enum { MR_PRIOR_EDGES = 4 };

typedef struct mr_prior_asked { // of an item
    double n, s;                // all that is known of it: says of which component it is
    uint32_t count;
    struct {
        double weight, n, s;
    } edges[MR_PRIOR_EDGES]; // to those who ask, with a part of n and s each
} mr_prior_asked;

// Its rate, as the mean over edges by weight; without an edge, what its component says. Edges are
// taken as independent, given the component.
void mr_prior_rate(const mr_mixture *mixture, const mr_prior_asked *asked, double *mean,
                   double *variance);

#endif
