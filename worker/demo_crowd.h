// SPDX-License-Identifier: Apache-2.0
// demo_crowd: the simulated users of core/sim/world on a thread of their own, a foreign program to
// the worker: it knows the topics and the schemas, nothing else.
//
// It fills the catalogue, reads <app>.lists, keeps each user's newest list, lets users visit in
// their own rhythm, and sends what they do as Avro events, each to its user's partition. By a hash
// of their ids users are in three groups, who differ in the lists they are shown and in nothing
// else:
//
//   learned     the newest list that the worker has published for them; until there is one, the
//               most clicked items, and such a visit counts for no group
//   popularity  the items with the most clicks of all users, counted by the crowd itself
//   random      any items
//
// Popularity and random leave out what the user has clicked lately, as the worker's lists do.
#ifndef MR_WORKER_DEMO_CROWD_H
#define MR_WORKER_DEMO_CROWD_H

#include "core/sim/world.h"
#include "worker/config.h"
#include "worker/meter.h"

enum {
    MR_DEMO_K = 10,           // items that are shown
    MR_DEMO_WINDOWS_MAX = 48, // of the run; when it is longer, windows get longer
    MR_DEMO_WEIGHTS_MAX = 16,
    MR_DEMO_ACTS = 8, // of the sample user
    MR_DEMO_TITLE_BYTES = 32,
    MR_DEMO_NAME_BYTES = 32,
};

typedef enum mr_demo_group {
    MR_DEMO_LEARNED,
    MR_DEMO_POPULARITY,
    MR_DEMO_RANDOM,
    MR_DEMO_GROUPS,
} mr_demo_group;

extern const char *const mr_demo_group_names[MR_DEMO_GROUPS];

typedef struct mr_demo_tally {
    uint64_t shown, clicks; // items that were shown, and clicked, in that place
} mr_demo_tally;

static inline double mr_demo_rate(mr_demo_tally tally)
{
    return tally.shown > 0 ? (double)tally.clicks / (double)tally.shown : 0;
}

typedef struct mr_demo_sample { // a user of the group learned, for people to look at
    char name[MR_DEMO_NAME_BYTES];
    uint32_t themes[3]; // his strongest
    double shares[3];
    uint32_t acts[MR_DEMO_ACTS]; // items that he clicked, newest first
    uint32_t act_count;
    uint32_t list[MR_DEMO_K];
    uint32_t list_count;
    uint64_t list_number;         // how many lists he got
    char arm[MR_DEMO_NAME_BYTES]; // what made it: blend, or a model
    double truth[MR_DEMO_GROUPS]; // click rate to expect of such a list, by his true taste
} mr_demo_sample;

// What the crowd has done and seen. Times in milliseconds of the run.
typedef struct mr_demo_sight {
    int64_t run_ms;
    uint64_t visits, events_sent, events_failed;
    uint64_t clicks, carts, purchases, finds; // of all groups; finds: clicks outside of lists
    uint64_t lists, lists_bad, versions_fell;
    uint32_t users, users_with_list, items;
    uint64_t events_last, lists_last; // in the last second that is over
    mr_demo_tally total[MR_DEMO_GROUPS];
    mr_demo_tally recent[MR_DEMO_GROUPS]; // last 5 s
    mr_demo_tally third[MR_DEMO_GROUPS];  // last third of the run
    mr_demo_tally windows[MR_DEMO_WINDOWS_MAX][MR_DEMO_GROUPS];
    uint32_t window_count;
    int64_t window_ms;
    double oracle;               // click rate that lists made from the true tastes would have had
    mr_histogram latency;        // from a click until the user has the list that answers it
    mr_histogram latency_recent; // last 5 to 10 s
    struct {
        char name[MR_DEMO_NAME_BYTES];
        double weight;
    } weights[MR_DEMO_WEIGHTS_MAX]; // the blend's, from the metrics topic
    uint32_t weight_count;
    mr_demo_sample sample;
} mr_demo_sight;

typedef struct mr_demo_crowd mr_demo_crowd;

// Makes the world and the clients, sends the catalogue. Borrows config. Errors: MR_FATAL.
MR_CHECKED mr_status mr_demo_crowd_open(const mr_config *config, const mr_world_config *world,
                                        uint32_t partition_count, mr_demo_crowd **crowd,
                                        mr_error *err);
// The users come, for run_ms, as soon as the worker's metrics say that it knows the catalogue.
// Errors: MR_FATAL: no thread.
MR_CHECKED mr_status mr_demo_crowd_start(mr_demo_crowd *crowd, int64_t run_ms, mr_error *err);
// Sends away whoever is still there and waits until every event is acknowledged. Errors: MR_FATAL:
// what made it end early.
mr_status mr_demo_crowd_stop(mr_demo_crowd *crowd, mr_error *err);
// Stopped, or never started.
void mr_demo_crowd_close(mr_demo_crowd *crowd);

bool mr_demo_crowd_has_ended(mr_demo_crowd *crowd);
// A copy of what there is to see, from any thread.
void mr_demo_crowd_look(mr_demo_crowd *crowd, mr_demo_sight *sight);

// "jazz"; "jazz 173".
const char *mr_demo_theme(uint32_t theme);
void mr_demo_title(const mr_demo_crowd *crowd, uint32_t item, char title[MR_DEMO_TITLE_BYTES]);
uint32_t mr_demo_category(const mr_demo_crowd *crowd, uint32_t item);

#endif
