// SPDX-License-Identifier: Apache-2.0
#include "core/base/push.h"

#include <string.h>

#include "core/base/place.h"

_Static_assert(2 * MR_PUSH_NODES <= 1 << MR_PUSH_BITS && MR_PUSH_NODES < UINT16_MAX,
               "it never fills");

static uint32_t place(const mr_push *push, uint32_t node)
{
    return mr_place_of(push->table, MR_PUSH_BITS, push->nodes, node);
}

void mr_push_clear(mr_push *push)
{
    push->count = 0;
    memset(push->table, 0, sizeof push->table);
}

void mr_push_seed(mr_push *push, uint32_t node, float probability)
{
    const uint32_t at = place(push, node);
    if (push->table[at] == 0) {
        if (push->count == MR_PUSH_NODES)
            return;
        push->nodes[push->count] = node;
        push->rank[push->count] = push->rest[push->count] = 0.0f;
        push->table[at] = (uint16_t)++push->count;
    }
    push->rest[push->table[at] - 1] += probability;
}

void mr_push_along(mr_push *push, uint32_t index, float restart, const uint32_t *nodes,
                   const float *shares, uint32_t count)
{
    const float rest = push->rest[index], onward = (1.0f - restart) * rest;
    push->rank[index] += restart * rest;
    push->rest[index] = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        mr_push_seed(push, nodes[i], onward * shares[i]);
}

uint32_t mr_push_index(const mr_push *push, uint32_t node)
{
    return push->table[place(push, node)] - 1u;
}

float mr_push_rank(const mr_push *push, float restart, uint32_t node)
{
    const uint32_t at = place(push, node);
    if (push->table[at] == 0)
        return 0.0f;
    const uint32_t index = push->table[at] - 1u;
    return push->rank[index] + restart * push->rest[index];
}
