// SPDX-License-Identifier: Apache-2.0
// found: the best items of one column for one user, as they are found.
//
// Order: higher score, then lower item key; slots decide nothing. While items are offered, the
// entries are a heap with the worst on top; mr_found_sort puts the best first.
#ifndef MR_CORE_LIST_FOUND_H
#define MR_CORE_LIST_FOUND_H

#include "core/rows.h"

// Offers one item; keeps the found->max best. O(log max) where it is kept, O(1) where not.
void mr_found_offer(mr_found *found, const mr_items *items, uint32_t slot, float score);
void mr_found_sort(mr_found *found, const mr_items *items);

#endif
