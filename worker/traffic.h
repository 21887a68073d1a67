// SPDX-License-Identifier: Apache-2.0
// traffic: made-up events as a stream, for trying things out, replays of any length and benches:
// what core/sim/taste draws, as clicks, carts and purchases of users "u7" with items "i12". The
// same ones from the same seed. Nobody reacts to lists here (core/sim/world has users who do).
#ifndef MR_WORKER_TRAFFIC_H
#define MR_WORKER_TRAFFIC_H

#include "core/base/error.h"
#include "core/event/event.h"
#include "core/sim/taste.h"

typedef struct mr_traffic_options {
    mr_taste_config taste;
    uint64_t events;         // how many the caller wants in all; not looked at here
    double carts, purchases; // shares of the events; the others are clicks
    double pace;             // events a second of event time, by day
    double night;            // 0..1: by so much fewer at 4 h UTC than at 16 h, in straight lines
} mr_traffic_options;

enum { MR_TRAFFIC_TEXT_BYTES = 64, MR_TRAFFIC_COUNT_MAX = 100000000 };

// Of users x attributes, and of items x attributes.
#define MR_TRAFFIC_CELLS_MAX 1000000000ull
#define MR_TRAFFIC_BEGIN_MS 1767225600000 // 2026-01-01: event times of mr_traffic_clock

// For --generate. Laws: zipf:S, power:A, cutoff:A:LAMBDA, ... (mr_law_parse).
#define MR_TRAFFIC_HELP                                                                            \
    "made-up events: events=N,users=U,items=I,zipf=S,carts=SHARE,purchases=SHARE,seed=N; with "    \
    "taste: attributes=F,communities=C,epsilon=E,engagement=LAW,popularity=LAW,zeta=P,xi=P; "      \
    "times, in a replay: pace=N a second, night=SHARE fewer"

typedef struct mr_traffic mr_traffic;

// 1,000,000 events of mr_taste_defaults, 3 % carts, 1 % purchases, 10,000 a second day and night.
mr_traffic_options mr_traffic_defaults(void);
// Reads "events=N,users=U,items=I,zipf=S,carts=SHARE,purchases=SHARE,seed=N,pace=N,night=SHARE,
// attributes=F,communities=C,epsilon=SHAPE,engagement=LAW,popularity=LAW,zeta=POWER,xi=POWER", each
// once and in any order, over what is in *options. zipf=S is engagement and popularity zipf:S; laws
// are those of mr_law_parse. Errors: MR_FATAL: names what is wrong, and the nearest name.
MR_CHECKED mr_status mr_traffic_parse(const char *text, mr_traffic_options *options, mr_error *err);

// Errors: MR_FATAL: out of memory. O((users + items) attributes) memory and time.
MR_CHECKED mr_status mr_traffic_open(const mr_traffic_options *options, mr_traffic **traffic,
                                     mr_error *err);
void mr_traffic_close(mr_traffic *traffic);

// The time of the next event: a Poisson process of the rate that pace and night say.
int64_t mr_traffic_clock(mr_traffic *traffic);

// The next event: kind, user "u7", item "i12", event_id "e3f-...", time. Its texts stand in
// `texts`, the line of a purchase in event->lines (the caller's, one is enough); O(attributes).
void mr_traffic_next(mr_traffic *traffic, int64_t time_ms, char texts[MR_TRAFFIC_TEXT_BYTES],
                     mr_event *event);

// The ranks, from 0, of an event's user and item, without the event.
void mr_traffic_draw(mr_traffic *traffic, uint32_t *user, uint32_t *item);

#endif
