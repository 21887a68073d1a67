// SPDX-License-Identifier: Apache-2.0
// shown: what published lists show, item by item, beside how popular the items are.
//
// An item is known from its first event or list on; the measures take the items that are known for
// the catalogue. Popularity is the number of users who acted on the item, as far as the memory of
// pairs reaches: a table of fixed size in which a new pair takes the place of an old one; a pair
// that comes back after that counts once more. Head and tail are settled again once a day of event
// time and whenever the acts have doubled; until the first time all is tail.
//
// Lists count down to a fixed depth. Items beyond the room that was taken at the start have no
// exposure and no popularity; they are counted.
#ifndef MR_WORKER_MEASURE_SHOWN_H
#define MR_WORKER_MEASURE_SHOWN_H

#include "core/base/hash.h"
#include "core/base/map.h"
#include "worker/measure/exposure.h"
#include "worker/measure/fairness.h"

typedef struct mr_shown {
    mr_map index; // item key -> number
    uint32_t items_max, item_count, depth;
    double *exposure, *weighted, *popularity; // an item
    bool *head;
    mr_sorted *scratch;
    uint64_t *pairs;
    double users, total; // users who acted; sum of popularity
    uint64_t acts, settled_acts;
    int64_t settled_ms;
    uint32_t head_count;
    uint64_t lists, places, items_left_out, pairs_replaced;
    mr_listed sum; // over lists
    uint64_t judged;
} mr_shown;

size_t mr_shown_bytes(uint32_t items_max);
// Memory of the arena is zeroed already. depth: places of a list that count, <= MR_SHOWN_DEPTH_MAX.
enum { MR_SHOWN_DEPTH_MAX = 100 };
void mr_shown_init(mr_shown *shown, uint32_t items_max, uint32_t depth, mr_arena *arena);

// Makes an item known; its number, or MR_MAP_NONE: there is no room.
uint32_t mr_shown_item(mr_shown *shown, uint64_t item_key);
bool mr_shown_is_head(const mr_shown *shown, uint64_t item_key);
// A user acted on an item. first: it is his first act of all. Returns the item's number, or
// MR_MAP_NONE; *fresh: the pair was not known.
uint32_t mr_shown_act(mr_shown *shown, uint64_t user_key, bool first, uint64_t item_key,
                      int64_t time_ms, bool *fresh);
// A list was published: judged by popularity as it is now. numbers: room for `depth` of them; of
// its items, as far as they have one. Returns how many.
uint32_t mr_shown_list(mr_shown *shown, const uint64_t *item_keys, uint32_t count,
                       uint32_t *numbers);

// Lists so far are not judged; what is known of items and acts stays.
void mr_shown_reset(mr_shown *shown);

typedef struct mr_shown_result {
    mr_spread spread;
    mr_listed mean; // over lists; epc and efd are NAN: nothing is known to be relevant
    mr_fairness fairness;
    double weighted_gini; // corrected; NAN unless all lists were as deep as they could be
} mr_shown_result;

// O(items log items).
mr_shown_result mr_shown_judge(mr_shown *shown);

#endif
