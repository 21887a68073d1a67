// SPDX-License-Identifier: Apache-2.0
// sort: numbers with a tag, by number. For putting slots in order of keys.
#ifndef MR_CORE_BASE_SORT_H
#define MR_CORE_BASE_SORT_H

#include <stdint.h>

typedef struct mr_sorted {
    uint64_t key;
    uint32_t value;
    uint32_t reserved;
} mr_sorted;

// Sorts by key ascending, equal keys by value ascending. In place, O(n log n) always, no
// allocation.
void mr_sort(mr_sorted *entries, uint32_t count);

#endif
