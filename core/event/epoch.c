// SPDX-License-Identifier: Apache-2.0
#include "core/event/epoch.h"

static bool after(const mr_arrival *a, const mr_arrival *b)
{
    if (a->event.time_ms != b->event.time_ms)
        return a->event.time_ms > b->event.time_ms;
    if (a->topic != b->topic)
        return a->topic > b->topic;
    if (a->partition != b->partition)
        return a->partition > b->partition;
    return a->offset > b->offset;
}

static bool sorted(const mr_arrival *arrivals, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (after(&arrivals[i - 1], &arrivals[i]))
            return false;
    return true;
}

static void merge(const mr_arrival *from, mr_arrival *to, uint32_t first, uint32_t middle,
                  uint32_t last)
{
    uint32_t left = first, right = middle;
    for (uint32_t i = first; i < last; i++) {
        const bool take_left =
            left < middle && (right >= last || !after(&from[left], &from[right]));
        to[i] = from[take_left ? left++ : right++];
    }
}

void mr_epoch_sort(mr_arrival *arrivals, mr_arrival *scratch, uint32_t count)
{
    if (sorted(arrivals, count)) // the usual case: one partition, one clock
        return;
    mr_arrival *from = arrivals, *to = scratch;
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t first = 0; first < count; first += 2 * width) {
            const uint32_t middle = first + width < count ? first + width : count;
            const uint32_t last = middle + width < count ? middle + width : count;
            merge(from, to, first, middle, last);
        }
        mr_arrival *swap = from;
        from = to;
        to = swap;
    }
    if (from != arrivals)
        memcpy(arrivals, from, count * sizeof *arrivals);
}
