// SPDX-License-Identifier: Apache-2.0
#include "core/model/newest.h"

static bool newer(const mr_items *items, uint32_t a, uint32_t b)
{
    const mr_item *x = mr_items_at(items, a), *y = mr_items_at(items, b);
    return x->born_ms != y->born_ms ? x->born_ms > y->born_ms : x->key < y->key;
}

void mr_newest_note(mr_newest *newest, const mr_items *items, uint32_t slot)
{
    if (items->guest[slot] != 0)
        return; // its age is its owner's to say
    if (newest->count == MR_NEWEST_MAX && !newer(items, slot, newest->slots[MR_NEWEST_MAX - 1]))
        return; // older than all, or the last one itself
    uint32_t at = 0;
    while (at < newest->count && newest->slots[at] != slot)
        at++;
    if (at < newest->count)
        return;
    at = newest->count < MR_NEWEST_MAX ? newest->count++ : MR_NEWEST_MAX - 1;
    for (; at > 0 && newer(items, slot, newest->slots[at - 1]); at--)
        newest->slots[at] = newest->slots[at - 1];
    newest->slots[at] = slot;
}
