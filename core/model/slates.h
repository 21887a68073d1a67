// SPDX-License-Identifier: Apache-2.0
// slates: what a user's row keeps of the newest slates that stood before him, until somebody knows
// what he took. What is not used is zeros.
#ifndef MR_CORE_MODEL_SLATES_H
#define MR_CORE_MODEL_SLATES_H

#include "core/model/model.h"

typedef struct mr_option {
    uint64_t item;
    float offset; // added to its score
    uint32_t clicked;
} mr_option;

typedef struct mr_pending {
    uint64_t list; // hash; 0: it has no name
    uint32_t time_s;
    uint16_t count, clicks;
    mr_option options[];
} mr_pending;

typedef struct mr_slates_room {
    uint32_t slates, options; // of each, at least 1, at most 65,535
} mr_slates_room;

typedef struct mr_slates {
    uint32_t count, options; // room of each: slates of another room are nobody's
    uint8_t slates[];        // newest first
} mr_slates;

uint32_t mr_slates_bytes(mr_slates_room room);
uint32_t mr_slates_used(mr_slates_room room, const mr_slates *of);
uint32_t mr_slates_count(mr_slates_room room, const mr_slates *of);

// which: below mr_slates_count.
static inline mr_pending *mr_slates_at(mr_slates_room room, mr_slates *of, uint32_t which)
{
    const size_t each = sizeof(mr_pending) + (size_t)room.options * sizeof(mr_option);
    return (mr_pending *)(void *)(of->slates + which * each);
}

// The slate that goes when another one comes; NULL: there is room.
mr_pending *mr_slates_leaving(mr_slates_room room, mr_slates *of);
// Begins a slate that was shown by the list of that hash (0: no name). The one that leaves is gone.
void mr_slates_begin(mr_slates_room room, mr_slates *of, uint64_t list, int64_t time_ms);
// Puts an item on the newest slate; one that stands there, or is beyond its room, is left out.
void mr_slates_put(mr_slates_room room, mr_slates *of, uint64_t item, float offset);
// The newest slate with the item, of at most within_s ago and, where both have a name, of this
// list; *option: its place there. NULL: there is none.
mr_pending *mr_slates_find(mr_slates_room room, mr_slates *of, uint64_t item, uint64_t list,
                           int64_t time_ms, double within_s, uint32_t *option);

#endif
