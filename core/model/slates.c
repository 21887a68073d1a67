// SPDX-License-Identifier: Apache-2.0
#include "core/model/slates.h"

#include <string.h>

static uint32_t slate_bytes(mr_slates_room room)
{
    return (uint32_t)(sizeof(mr_pending) + (size_t)room.options * sizeof(mr_option));
}

uint32_t mr_slates_bytes(mr_slates_room room)
{
    return (uint32_t)sizeof(mr_slates) + room.slates * slate_bytes(room);
}

uint32_t mr_slates_count(mr_slates_room room, const mr_slates *of)
{
    return of->options == room.options && of->count <= room.slates ? of->count : 0;
}

uint32_t mr_slates_used(mr_slates_room room, const mr_slates *of)
{
    const uint32_t count = mr_slates_count(room, of);
    return count > 0 ? (uint32_t)sizeof(mr_slates) + count * slate_bytes(room) : 0;
}

mr_pending *mr_slates_leaving(mr_slates_room room, mr_slates *of)
{
    return mr_slates_count(room, of) == room.slates ? mr_slates_at(room, of, room.slates - 1)
                                                    : NULL;
}

void mr_slates_begin(mr_slates_room room, mr_slates *of, uint64_t list, int64_t time_ms)
{
    const uint32_t count = mr_slates_count(room, of);
    const uint32_t stay = count < room.slates ? count : room.slates - 1;
    if (count == 0)
        memset(of, 0, mr_slates_bytes(room));
    memmove(of->slates + slate_bytes(room), of->slates, (size_t)stay * slate_bytes(room));
    memset(of->slates, 0, slate_bytes(room));
    of->count = stay + 1;
    of->options = room.options;
    mr_pending *first = mr_slates_at(room, of, 0);
    first->list = list;
    first->time_s = (uint32_t)(time_ms / 1000);
}

static uint32_t option_of(const mr_pending *slate, uint64_t item)
{
    uint32_t i = 0;
    while (i < slate->count && slate->options[i].item != item)
        i++;
    return i;
}

void mr_slates_put(mr_slates_room room, mr_slates *of, uint64_t item, float offset)
{
    mr_pending *first = mr_slates_at(room, of, 0);
    if (first->count < room.options && option_of(first, item) == first->count)
        first->options[first->count++] = (mr_option){.item = item, .offset = offset};
}

mr_pending *mr_slates_find(mr_slates_room room, mr_slates *of, uint64_t item, uint64_t list,
                           int64_t time_ms, double within_s, uint32_t *option)
{
    for (uint32_t w = 0; w < mr_slates_count(room, of); w++) {
        mr_pending *slate = mr_slates_at(room, of, w);
        const bool other = slate->list != 0 && list != 0 && slate->list != list;
        *option = option_of(slate, item);
        if (*option < slate->count && !other &&
            (double)(time_ms / 1000 - (int64_t)slate->time_s) <= within_s)
            return slate;
    }
    return NULL;
}
