// SPDX-License-Identifier: Apache-2.0
// top: the best items by one faded counter, kept in order. Derived from rows, never stored.
//
// All counters of one half-life fade by the same factor, so the order changes only where an item
// gains: the list stays exact by moving that item, until a new era begins (the caller then rebuilds
// it). Order: higher value, then lower item key. An item that is taken out leaves the list shorter,
// and still exact as far as it goes: nobody outside is above its fence. So a caller who needs fewer
// than MR_TOP_MAX items fills it again once in many withdrawals, not at each.
#ifndef MR_CORE_MODEL_TOP_H
#define MR_CORE_MODEL_TOP_H

#include "core/model/decay.h"
#include "core/rows.h"

enum { MR_TOP_MAX = 256 };

typedef struct mr_top {
    int64_t era; // values are in its units
    bool cut;    // there may be items outside: none of them above the fence
    uint64_t fence_key;
    double fence_value;
    uint32_t count;
    uint32_t slots[MR_TOP_MAX];
    double values[MR_TOP_MAX];
} mr_top;

void mr_top_clear(mr_top *top, int64_t era);
// The item's counter has this value in units of top->era, and had none that was greater; 0 is left
// out. O(1) for an item far from the top, O(MR_TOP_MAX) for one near it.
void mr_top_raise(mr_top *top, const mr_items *items, uint32_t slot, double value);
// The item's counter has fallen, or is no more: it is taken out. What it has now may be raised.
void mr_top_withdraw(mr_top *top, uint32_t slot);
// Whether the first `wanted` are not all known any more: the caller clears the list and raises all.
bool mr_top_is_short(const mr_top *top, uint32_t wanted);

// Fills found[u] with the best by the model's own `score` among the first `most` items that
// filters[u] admits. self: an instance of a model that has `score`. Scratch is given back.
void mr_top_propose(const mr_top *top, uint32_t most, const mr_instance *self, const mr_view *view,
                    const uint32_t *users, uint32_t user_count, const mr_filter *filters,
                    mr_arena *arena, mr_found *found);

#endif
