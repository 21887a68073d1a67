// SPDX-License-Identifier: Apache-2.0
#include "core/model/top.h"

#include "core/list/found.h"

void mr_top_clear(mr_top *top, int64_t era)
{
    top->era = era;
    top->cut = false;
    top->count = 0;
}

static bool above(double value_a, uint64_t key_a, double value_b, uint64_t key_b)
{
    return value_a != value_b ? value_a > value_b : key_a < key_b;
}

static uint32_t find(const mr_top *top, uint32_t slot)
{
    uint32_t at = top->count;
    for (uint32_t i = 0; i < top->count; i++) // no early end: eight compares a cycle instead
        at = top->slots[i] == slot ? i : at;
    return at;
}

// The last one goes: whoever is outside is not above it.
static void cut_last(mr_top *top, const mr_items *items)
{
    top->count--;
    top->cut = true;
    top->fence_key = items->slots.keys[top->slots[top->count]];
    top->fence_value = top->values[top->count];
}

void mr_top_raise(mr_top *top, const mr_items *items, uint32_t slot, double value)
{
    const uint64_t *keys = items->slots.keys;
    if (!(value > 0) || (top->cut && !above(value, keys[slot], top->fence_value, top->fence_key)))
        return;
    uint32_t at = find(top, slot);
    if (at == top->count && top->count == MR_TOP_MAX) {
        const uint32_t last = MR_TOP_MAX - 1;
        if (!above(value, keys[slot], top->values[last], keys[top->slots[last]])) {
            top->cut = true;
            top->fence_key = keys[slot];
            top->fence_value = value;
            return;
        }
        cut_last(top, items);
        at = top->count;
    }
    top->count += at == top->count;
    for (; at > 0 && above(value, keys[slot], top->values[at - 1], keys[top->slots[at - 1]]);
         at--) {
        top->slots[at] = top->slots[at - 1];
        top->values[at] = top->values[at - 1];
    }
    top->slots[at] = slot;
    top->values[at] = value;
}

void mr_top_withdraw(mr_top *top, uint32_t slot)
{
    uint32_t at = find(top, slot);
    if (at == top->count)
        return;
    for (top->count--; at < top->count; at++) {
        top->slots[at] = top->slots[at + 1];
        top->values[at] = top->values[at + 1];
    }
}

bool mr_top_is_short(const mr_top *top, uint32_t wanted)
{
    return top->cut && top->count < wanted;
}

void mr_top_propose(const mr_top *top, uint32_t most, const mr_instance *self, const mr_view *view,
                    const uint32_t *users, uint32_t user_count, const mr_filter *filters,
                    mr_arena *arena, mr_found *found)
{
    const mr_model *model = (const mr_model *)(const void *)self->state;
    uint32_t slots[MR_TOP_MAX];
    float scores[MR_TOP_MAX];
    for (uint32_t u = 0; u < user_count; u++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < top->count && i < most; i++) {
            slots[count] = top->slots[i];
            count += mr_filter_admits(&filters[u], top->slots[i]);
        }
        model->score(self, view, users[u], slots, count, scores, count, arena);
        mr_found_choose(&found[u], view->items, slots, scores, count, arena);
    }
}
