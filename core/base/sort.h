// SPDX-License-Identifier: Apache-2.0
// sort: numbers with a tag, by number. For putting slots in order of keys.
#ifndef MR_CORE_BASE_SORT_H
#define MR_CORE_BASE_SORT_H

#include <stdint.h>
#include <string.h>

typedef struct mr_sorted {
    uint64_t key;
    uint32_t value;
    uint32_t reserved;
} mr_sorted;

// Sorts by key ascending, equal keys by value ascending. In place, O(n log n) always, no
// allocation.
void mr_sort(mr_sorted *entries, uint32_t count);

// Puts the `first` smallest of count numbers in front, ascending, and leaves the others behind them
// in no order. first <= count. In place, O(count + first log first) as a rule, O(64 count) always.
void mr_sort_first(uint64_t *x, uint32_t count, uint32_t first);

// A number that ascends where scores descend, for the upper half of what mr_sort_first sorts; the
// two zeros are one score. No NaN.
static inline uint32_t mr_sort_descending(float score)
{
    const float plus = score + 0.0f;
    uint32_t bits;
    memcpy(&bits, &plus, sizeof bits);
    return bits >> 31 != 0 ? bits : 0x7fffffffu - bits;
}

#endif
