// SPDX-License-Identifier: Apache-2.0
// top: the best items by one faded counter, kept in order. Derived from rows, never stored.
//
// All counters of one half-life fade by the same factor, so the order changes only where an item
// gains: the list stays exact by moving that item, until a new era begins (the caller then rebuilds
// it). Order: higher value, then lower item key.
#ifndef MR_CORE_MODEL_TOP_H
#define MR_CORE_MODEL_TOP_H

#include "core/model/decay.h"
#include "core/rows.h"

enum { MR_TOP_MAX = 256 };

typedef struct mr_top {
    int64_t era; // values are in its units
    uint32_t count;
    uint32_t slots[MR_TOP_MAX];
    double values[MR_TOP_MAX];
} mr_top;

void mr_top_clear(mr_top *top, int64_t era);
// The item's counter has this value in units of top->era; 0 is left out. O(1) for an item far from
// the top, O(MR_TOP_MAX) for one near it. False: the value has fallen and what should come up for
// it is not known: the caller rebuilds.
bool mr_top_raise(mr_top *top, const mr_items *items, uint32_t slot, double value);

#endif
