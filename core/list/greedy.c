// SPDX-License-Identifier: Apache-2.0
#include "core/list/greedy.h"

enum {
    ENOUGH = 64
}; // places of the order that are sorted at once: a list and what rules leave out

// Brings the next places of the order into order.
static void sort_more(mr_slate *slate)
{
    const uint32_t left = slate->candidates->count - slate->sorted;
    const uint32_t more = left < ENOUGH ? left : ENOUGH;
    mr_sort_first(slate->order + slate->sorted, left, more);
    slate->sorted += more;
}

// Candidates in order of relevance, higher first; equal ones in the order in which they stand. Only
// the first ones are sorted, others when they are needed.
void mr_greedy_open(mr_slate *slate)
{
    if (slate->adjusted)
        return; // the order changes from place to place
    for (uint32_t i = 0; i < slate->candidates->count; i++)
        slate->order[i] = (uint64_t)mr_sort_descending(slate->relevance[i]) << 32 | i;
    slate->next = slate->sorted = 0;
}

// One that may not stand here may later, so only a prefix of picked ones is passed over for good.
static uint32_t best_in_order(mr_slate *slate)
{
    const uint32_t n = slate->candidates->count;
    while (slate->next < slate->sorted &&
           !mr_slate_free(slate, (uint32_t)slate->order[slate->next]))
        slate->next++;
    for (uint32_t i = slate->next; i < n; i++) {
        if (i == slate->sorted)
            sort_more(slate);
        if (mr_slate_may(slate, (uint32_t)slate->order[i]))
            return (uint32_t)slate->order[i];
    }
    return UINT32_MAX;
}

// The same where rules give a bonus, which may change from place to place.
static uint32_t best_adjusted(const mr_slate *slate)
{
    uint32_t found = UINT32_MAX;
    float most = 0;
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        const float score = slate->relevance[i] + slate->bonus[i];
        if (!mr_slate_may(slate, i) || (found != UINT32_MAX && score <= most))
            continue;
        most = score;
        found = i;
    }
    return found;
}

uint32_t mr_greedy_best(mr_slate *slate)
{
    return slate->adjusted ? best_adjusted(slate) : best_in_order(slate);
}
