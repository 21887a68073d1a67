// SPDX-License-Identifier: Apache-2.0
// newest: the items that came last, newest first; of one age by key. Derived from rows, never
// stored. Items that another worker owns are not told apart by age here, and left out.
#ifndef MR_CORE_MODEL_NEWEST_H
#define MR_CORE_MODEL_NEWEST_H

#include "core/rows.h"

enum { MR_NEWEST_MAX = 64 };

typedef struct mr_newest {
    uint32_t count, slots[MR_NEWEST_MAX];
} mr_newest;

// There is an item at slot: takes its place among them, if it has one and does not stand there yet.
void mr_newest_note(mr_newest *newest, const mr_items *items, uint32_t slot);

#endif
