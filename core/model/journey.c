// SPDX-License-Identifier: Apache-2.0
#include "core/model/journey.h"

#include <string.h>

uint32_t mr_journey_bytes(mr_journey_room room)
{
    return (uint32_t)(sizeof(mr_journey) + room.touches * sizeof(mr_touch) +
                      room.lines * sizeof(mr_line_credit));
}

uint32_t mr_journey_used(const mr_journey *journey)
{
    if (journey->touch_count == 0 && journey->line_count == 0)
        return 0;
    return (uint32_t)(sizeof *journey + journey->touch_count * sizeof(mr_touch) +
                      journey->line_count * sizeof(mr_line_credit));
}

// What stands behind the touch at `at` up to the row's end.
static size_t behind(const mr_journey *journey, uint32_t at)
{
    return mr_journey_used(journey) - sizeof *journey - at * sizeof(mr_touch);
}

static void remove_touch(mr_journey *journey, uint32_t at)
{
    mr_touch *touches = mr_journey_touches(journey);
    const size_t rest = behind(journey, at + 1);
    memmove(&touches[at], &touches[at + 1], rest);
    memset((uint8_t *)&touches[at] + rest, 0, sizeof *touches);
    journey->touch_count--;
}

static void remove_line(mr_journey *journey)
{
    mr_line_credit *lines = mr_journey_lines(journey);
    journey->line_count--;
    memmove(&lines[0], &lines[1], journey->line_count * sizeof *lines);
    memset(&lines[journey->line_count], 0, sizeof *lines);
}

// A row of a configuration with more touches and fewer lines, or the other way round, may be full
// of either.
static void make_room(mr_journey_room room, mr_journey *journey, size_t bytes)
{
    while (mr_journey_used(journey) + bytes > mr_journey_bytes(room) && journey->touch_count > 0)
        remove_touch(journey, 0);
}

static void insert_touch(mr_journey *journey, mr_touch touch)
{
    mr_touch *touches = mr_journey_touches(journey);
    uint32_t at = journey->touch_count;
    while (at > 0 && touches[at - 1].time_s > touch.time_s)
        at--;
    if (journey->touch_count > 0 || journey->line_count > 0)
        memmove(&touches[at + 1], &touches[at], behind(journey, at));
    touches[at] = touch;
    journey->touch_count++;
}

// How many touches of a kind there are, and which is the oldest.
static uint32_t count_kind(mr_journey *journey, uint32_t kind, uint32_t *oldest)
{
    const mr_touch *touches = mr_journey_touches(journey);
    uint32_t count = 0;
    for (uint32_t i = journey->touch_count; i-- > 0;)
        if (touches[i].kind == kind) {
            count++;
            *oldest = i;
        }
    return count;
}

void mr_journey_touch(mr_journey_room room, mr_journey *journey, mr_touch touch)
{
    uint32_t oldest = 0, count = count_kind(journey, touch.kind, &oldest);
    const bool full = count >= room.touches / 2;
    if (full && touch.time_s < mr_journey_touches(journey)[oldest].time_s)
        return;
    // More than one goes where there was more room before.
    for (; count > 0 && count >= room.touches / 2; count = count_kind(journey, touch.kind, &oldest))
        remove_touch(journey, oldest);
    make_room(room, journey, sizeof touch);
    insert_touch(journey, touch);
}

const mr_touch *mr_journey_shown(mr_journey *journey, uint64_t item, uint64_t list, uint32_t now_s,
                                 double window_s)
{
    const mr_touch *touches = mr_journey_touches(journey), *found = NULL;
    for (uint32_t i = journey->touch_count; i-- > 0;) {
        const mr_touch *t = &touches[i];
        if (t->kind != MR_TOUCH_SHOWN || t->item != item)
            continue;
        if (list != 0 && t->list == (uint32_t)list)
            return t;
        if (found == NULL && mr_touch_within(t, now_s, window_s))
            found = t;
    }
    return found;
}

uint32_t mr_journey_own(mr_journey *journey, mr_touch_kind kind, uint64_t item, uint32_t now_s,
                        double window_s, mr_share own[MR_JOURNEY_OWN])
{
    const mr_touch *touches = mr_journey_touches(journey);
    uint32_t count = 0;
    for (uint32_t i = 0; i < journey->touch_count; i++) {
        const mr_touch *t = &touches[i];
        if (t->kind != kind || t->item != item || !mr_touch_within(t, now_s, window_s))
            continue;
        if (count == MR_JOURNEY_OWN) {
            memmove(&own[1], &own[2], (MR_JOURNEY_OWN - 2) * sizeof *own);
            count--;
        }
        own[count++] = (mr_share){t->time_s, 0};
    }
    return count;
}

bool mr_journey_told(mr_journey *journey, uint64_t order, uint64_t item, uint64_t event)
{
    const mr_line_credit *lines = mr_journey_lines(journey);
    for (uint32_t i = 0; order != 0 && i < journey->line_count; i++)
        if (lines[i].order == order && lines[i].item == item && lines[i].event != event)
            return true;
    return false;
}

void mr_journey_buy(mr_journey_room room, mr_journey *journey, const mr_line_credit *line)
{
    while (journey->line_count >= room.lines)
        remove_line(journey);
    make_room(room, journey, sizeof *line);
    mr_journey_lines(journey)[journey->line_count++] = *line;
}

mr_line_credit *mr_journey_bought(mr_journey *journey, uint64_t order, uint64_t item)
{
    mr_line_credit *lines = mr_journey_lines(journey);
    for (uint32_t i = journey->line_count; i-- > 0;)
        if (lines[i].item == item && !lines[i].refunded && (order == 0 || lines[i].order == order))
            return &lines[i];
    return NULL;
}
