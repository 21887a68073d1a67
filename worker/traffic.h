// SPDX-License-Identifier: Apache-2.0
// traffic: made-up events, for trying things out and for benches: users and items by Zipf's law,
// the same ones from the same seed.
//
// There is no taste in it: whoever acts and what he acts on are drawn apart. (core/sim has users
// who want something.)
#ifndef MR_WORKER_TRAFFIC_H
#define MR_WORKER_TRAFFIC_H

#include "core/base/error.h"
#include "core/event/event.h"

typedef struct mr_traffic_options {
    uint64_t seed;
    uint64_t events; // how many the caller wants in all; not looked at here
    uint32_t users, items;
    double zipf;             // the r-th user, and item, has weight 1 / r^zipf; 0: all alike
    double carts, purchases; // shares of the events; the others are clicks
} mr_traffic_options;

enum { MR_TRAFFIC_TEXT_BYTES = 64, MR_TRAFFIC_COUNT_MAX = 100000000 };

typedef struct mr_traffic mr_traffic;

// 1,000,000 events of 10,000 users on 20,000 items, exponent 1, 3 % carts, 1 % purchases.
mr_traffic_options mr_traffic_defaults(void);
// Reads "events=N,users=U,items=I,zipf=S,carts=SHARE,purchases=SHARE,seed=N", each once and in any
// order, over what is in *options. Errors: MR_FATAL: names what is wrong, and the nearest name.
MR_CHECKED mr_status mr_traffic_parse(const char *text, mr_traffic_options *options, mr_error *err);

// Errors: MR_FATAL: out of memory. O(users + items) memory and time.
MR_CHECKED mr_status mr_traffic_open(const mr_traffic_options *options, mr_traffic **traffic,
                                     mr_error *err);
void mr_traffic_close(mr_traffic *traffic);

// The next event: kind, user "u7", item "i12", event_id "e3f-...", time. Its texts stand in
// `texts`, the line of a purchase in event->lines (the caller's, one is enough); O(1).
void mr_traffic_next(mr_traffic *traffic, int64_t time_ms, char texts[MR_TRAFFIC_TEXT_BYTES],
                     mr_event *event);

// The ranks, from 0, of an event's user and item, without the event.
void mr_traffic_draw(mr_traffic *traffic, uint32_t *user, uint32_t *item);

#endif
