// SPDX-License-Identifier: Apache-2.0
// journey: what a user's row keeps of his way to a purchase: touches, oldest first, and the lines
// of what he bought with the credit that they gave. What is not used is zeros.
#ifndef MR_CORE_MODEL_JOURNEY_H
#define MR_CORE_MODEL_JOURNEY_H

#include "core/model/model.h"

enum {
    MR_JOURNEY_OWN = 4,       // touches on the item that share a purchase
    MR_JOURNEY_RELATED = 3,   // clicks on other items that do
    MR_JOURNEY_LINES_MAX = 8, // MR_JOURNEY_RELATED of each: what an event may change (deltas)
};

typedef enum mr_touch_kind { MR_TOUCH_SHOWN, MR_TOUCH_CLICK } mr_touch_kind;

typedef struct mr_touch {
    uint64_t item;
    uint32_t list; // low half of mr_signal.list
    uint32_t time_s;
    float propensity;       // NAN: not known
    uint8_t kind, position; // 255: not known
    uint16_t reserved;
} mr_touch;

typedef struct mr_share {
    uint32_t time_s; // of the touch
    uint32_t units;  // core/model/credit.h
} mr_share;

typedef struct mr_line_credit { // a line of a purchase, with the credit that it gave
    uint64_t order, item;
    uint64_t event; // which one told of it
    uint32_t time_s;
    uint8_t own_count, related_count;
    uint8_t by_view;  // no click has led to it
    uint8_t refunded; // its credit was taken back
    mr_share own[MR_JOURNEY_OWN];
    struct {
        uint64_t item;
        mr_share of;
    } related[MR_JOURNEY_RELATED];
} mr_line_credit;

// Then touches[touch_count], then lines[line_count]: what a row means does not depend on its room.
typedef struct mr_journey {
    uint16_t touch_count, line_count;
    uint32_t reserved;
} mr_journey;

typedef struct mr_journey_room {
    uint32_t touches; // half of them of either kind
    uint32_t lines;   // 1 .. MR_JOURNEY_LINES_MAX
} mr_journey_room;

uint32_t mr_journey_bytes(mr_journey_room room);
uint32_t mr_journey_used(const mr_journey *journey);

static inline mr_touch *mr_journey_touches(mr_journey *journey)
{
    return (mr_touch *)(void *)(journey + 1);
}

// Until the next touch.
static inline mr_line_credit *mr_journey_lines(mr_journey *journey)
{
    return (mr_line_credit *)(void *)(mr_journey_touches(journey) + journey->touch_count);
}

// Whether a touch is no later than now_s, and at most window_s before it.
static inline bool mr_touch_within(const mr_touch *touch, uint32_t now_s, double window_s)
{
    return touch->time_s <= now_s && now_s - touch->time_s <= window_s;
}

// Gives a touch its place by time, behind those of the same second. Where its kind is full the
// oldest of the kind goes, which may be this one: so what is kept does not depend on the order in
// which touches of different seconds come.
void mr_journey_touch(mr_journey_room room, mr_journey *journey, mr_touch touch);

// The newest showing of an item by the list of that hash (0: none is named), or else the newest one
// in the window. NULL: none.
const mr_touch *mr_journey_shown(mr_journey *journey, uint64_t item, uint64_t list, uint32_t now_s,
                                 double window_s);

// The touches of a kind on an item in the window, oldest first, into own[].time_s; of more than
// MR_JOURNEY_OWN the first and the newest ones. Returns their count.
uint32_t mr_journey_own(mr_journey *journey, mr_touch_kind kind, uint64_t item, uint32_t now_s,
                        double window_s, mr_share own[MR_JOURNEY_OWN]);

// Whether another event than `event` has told of this line of this order. order 0: never.
bool mr_journey_told(mr_journey *journey, uint64_t order, uint64_t item, uint64_t event);
// Adds a line; where there is no room the oldest one goes.
void mr_journey_buy(mr_journey_room room, mr_journey *journey, const mr_line_credit *line);
// The newest line of an item that was not refunded yet, of an order unless that is 0. NULL: none.
mr_line_credit *mr_journey_bought(mr_journey *journey, uint64_t order, uint64_t item);

#endif
