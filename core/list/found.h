// SPDX-License-Identifier: Apache-2.0
// found: the best items of one column for one user, out of those that were looked at.
//
// Order: higher score, then lower item key; slots decide nothing.
#ifndef MR_CORE_LIST_FOUND_H
#define MR_CORE_LIST_FOUND_H

#include "core/rows.h"

// Fills found with the found->max best of count items, best first. No slot stands twice. Scratch of
// 32 bytes an item at most is taken from the arena and given back.
void mr_found_choose(mr_found *found, const mr_items *items, const uint32_t *slots,
                     const float *scores, uint32_t count, mr_arena *arena);

#endif
