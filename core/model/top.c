// SPDX-License-Identifier: Apache-2.0
#include "core/model/top.h"

void mr_top_clear(mr_top *top, int64_t era)
{
    top->era = era;
    top->count = 0;
}

static bool above(const mr_items *items, double value_a, uint32_t a, double value_b, uint32_t b)
{
    return value_a != value_b ? value_a > value_b : items->slots.keys[a] < items->slots.keys[b];
}

bool mr_top_raise(mr_top *top, const mr_items *items, uint32_t slot, double value)
{
    const uint32_t last = MR_TOP_MAX - 1;
    if (!(value > 0) || (top->count == MR_TOP_MAX && top->slots[last] != slot &&
                         !above(items, value, slot, top->values[last], top->slots[last])))
        return true;
    uint32_t at = top->count;
    for (uint32_t i = 0; i < top->count; i++) // no early end: eight compares a cycle instead
        at = top->slots[i] == slot ? i : at;
    if (at == top->count)
        at = top->count < MR_TOP_MAX ? top->count++ : last;
    else if (value < top->values[at] && top->count == MR_TOP_MAX)
        return false;
    for (; at > 0 && above(items, value, slot, top->values[at - 1], top->slots[at - 1]); at--) {
        top->slots[at] = top->slots[at - 1];
        top->values[at] = top->values[at - 1];
    }
    for (;
         at + 1 < top->count && above(items, top->values[at + 1], top->slots[at + 1], value, slot);
         at++) {
        top->slots[at] = top->slots[at + 1];
        top->values[at] = top->values[at + 1];
    }
    top->slots[at] = slot;
    top->values[at] = value;
    return true;
}
