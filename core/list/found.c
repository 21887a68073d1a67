// SPDX-License-Identifier: Apache-2.0
#include "core/list/found.h"

// Whether a stands below b.
static bool below(const mr_items *items, float score_a, uint32_t a, float score_b, uint32_t b)
{
    return score_a != score_b ? score_a < score_b : items->slots.keys[a] > items->slots.keys[b];
}

static bool entry_below(const mr_found *found, const mr_items *items, uint32_t a, uint32_t b)
{
    return below(items, found->scores[a], found->slots[a], found->scores[b], found->slots[b]);
}

static void swap(mr_found *found, uint32_t a, uint32_t b)
{
    const uint32_t slot = found->slots[a];
    const float score = found->scores[a];
    found->slots[a] = found->slots[b];
    found->scores[a] = found->scores[b];
    found->slots[b] = slot;
    found->scores[b] = score;
}

static void sift_down(mr_found *found, const mr_items *items, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && entry_below(found, items, child + 1, child))
            child++;
        if (!entry_below(found, items, child, at))
            return;
        swap(found, at, child);
        at = child;
    }
}

void mr_found_offer(mr_found *found, const mr_items *items, uint32_t slot, float score)
{
    if (found->count == found->max) {
        if (found->max == 0 || !below(items, found->scores[0], found->slots[0], score, slot))
            return;
        found->slots[0] = slot;
        found->scores[0] = score;
        sift_down(found, items, 0, found->count);
        return;
    }
    uint32_t at = found->count++;
    found->slots[at] = slot;
    found->scores[at] = score;
    while (at > 0 && entry_below(found, items, at, (at - 1) / 2)) {
        swap(found, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

void mr_found_sort(mr_found *found, const mr_items *items)
{
    for (uint32_t last = found->count; last > 1; last--) {
        swap(found, 0, last - 1); // the worst of what is left goes to the end
        sift_down(found, items, 0, last - 1);
    }
}
