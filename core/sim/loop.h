// SPDX-License-Identifier: Apache-2.0
// loop: users of a world and an engine, closed: lists make acts, acts make lists. One thread, one
// block of memory, event time alone; the same seed gives the same bytes.
//
// Time goes in ticks. In a tick, whoever is due comes in order of his number, is shown a list of
// the policy, and acts; at its end the engine learns what happened, closes, and its lists are what
// users see from the next tick on. Ticks in which nobody is due are passed over. With another
// policy than MR_LOOP_LEARNED there is no engine. Since all that it knows lies in one block and in
// *loop, a copy of both, put back, goes on from there: attacks start from one history that way.
//
//   popularity  the items of the highest click rate with all users, (clicks + 1) / (shown + 20):
//               by clicks alone, whatever came first would be shown and clicked for ever
//   recency     the newest items
//   oracle      the items of highest true utility
// All leave out what the user has clicked lately. Who has no list of the engine yet is shown
// popularity's.
#ifndef MR_CORE_SIM_LOOP_H
#define MR_CORE_SIM_LOOP_H

#include "core/engine.h"
#include "core/sim/world.h"

typedef enum mr_loop_policy {
    MR_LOOP_RANDOM,
    MR_LOOP_RECENCY,
    MR_LOOP_POPULARITY,
    MR_LOOP_LEARNED,
    MR_LOOP_ORACLE,
    MR_LOOP_POLICIES,
} mr_loop_policy;

extern const char *const mr_loop_policy_names[MR_LOOP_POLICIES];

enum { MR_LOOP_LATE_MAX = 8 }; // purchases of a user that are still to come; more come at once
#define MR_LOOP_BEGIN_MS 1767225600000 // event time of the loop's time 0: 2026-01-01

typedef struct mr_loop_config {
    mr_world_config world;
    mr_engine_config engine; // sizes for users + fakes and items; its ports are not used
    mr_loop_policy policy;
    uint32_t k; // 1..MR_WORLD_SLATE_MAX
    int64_t tick_ms;
    uint32_t fakes;        // accounts beside the users, for whoever stands beside the loop
    bool content;  // items come with a vector: alpha_i, and in each theme
    double noise;  // a normal draw, all of them together so long against alpha_i in the mean
    uint32_t oracle_every; // one list in so many is held against the oracle's; 0: none
} mr_loop_config;

typedef struct mr_loop_late {
    int64_t due_ms;
    mr_world_act act;
} mr_loop_late;

typedef struct mr_loop_person { // a user, or a fake
    char id[12];
    int64_t next_ms;
    uint32_t list[MR_WORLD_SLATE_MAX]; // the newest of the engine
    uint32_t list_count;
    int64_t list_version;
    mr_loop_late late[MR_LOOP_LATE_MAX];
    uint32_t late_count;
    uint64_t lists, shown, clicks; // that he has looked at
} mr_loop_person;

typedef struct mr_loop_sums {
    uint64_t events, rounds, closes, published;
    uint64_t lists, shown, clicks, finds, carts, purchases, late, other;
    // Of items that came later, places in lists that users looked at before anybody clicked them:
    // how many, how many of them before users of the community that the item is most for
    // (mr_world_homes), and how many those would be by their share of all lists.
    uint64_t early, early_home;
    double early_chance;
    uint64_t against;        // lists that were held against the oracle's:
    double expected, oracle; // true expected clicks of those, and of the oracle's
} mr_loop_sums;

enum { MR_LOOP_HALF = 250, MR_LOOP_FULL = 500 };

typedef struct mr_loop_twin { // of an item that has a twin: how often that had been shown
    uint32_t at_birth, at_half, at_full; // when the item was born, and at its HALF-th and FULL-th
} mr_loop_twin;

typedef struct mr_loop mr_loop;

// Whoever acts beside the users: an attack. Both are asked once a tick.
typedef struct mr_loop_beside {
    void *context;
    int64_t (*due_ms)(void *context); // MR_WORLD_NEVER: not any more
    mr_status (*act)(void *context, mr_loop *loop, int64_t until_ms, mr_error *err);
} mr_loop_beside;

struct mr_loop {
    mr_loop_config config;
    mr_world world;
    mr_engine *engine; // NULL: another policy
    mr_loop_person *people;
    char (*item_ids)[12];
    uint32_t *clicks, *shown; // of items, by anybody
    mr_loop_twin *twins;      // of items
    uint32_t *homes;          // of items
    float *vectors;           // of items: MR_WORLD_THEMES_MAX numbers each
    uint64_t looks[MR_WORLD_COMMUNITIES_MAX]; // lists that each community has looked at
    mr_epoch *epochs; // one a task, with room for epoch_events_max
    mr_arrival *sorting;
    mr_epoch *round;
    mr_line *lines; // tasks x epoch_events_max x MR_WORLD_SLATE_MAX
    uint64_t *seqs;
    int64_t now_ms; // the end of the last tick
    uint32_t live;  // items that the catalogue has
    mr_loop_sums sums;
    mr_loop_beside beside; // act NULL: nobody
};

// Bytes of zeroed memory, aligned to 64. Errors: those of mr_engine_bytes.
MR_CHECKED mr_status mr_loop_bytes(const mr_loop_config *config, size_t *bytes, mr_error *err);
// Errors: those of mr_engine_init.
MR_CHECKED mr_status mr_loop_init(mr_loop *loop, const mr_loop_config *config, void *memory,
                                  mr_error *err);

// Goes on to that time. Errors: those of the engine.
MR_CHECKED mr_status mr_loop_run(mr_loop *loop, int64_t until_ms, mr_error *err);

// What this user is shown now, if he comes: returns the number of items, <= k.
uint32_t mr_loop_slate(const mr_loop *loop, uint32_t user, uint32_t *slate);
// The share of the oracle's list that stands in the list that the user is shown now.
double mr_loop_recall(const mr_loop *loop, uint32_t user);
// Of the engine: the sum of its tasks' hashes.
mr_hash128 mr_loop_state_hash(const mr_loop *loop);

// Events say where they come from, as `ip` in their context: each user has his own address, whoever
// stands beside shares one.
//
// For whoever stands beside: an event of person `person` (fakes come after users) at a time of this
// tick. items: 1 for a click, the slate of an impression; answers: it is the engine's list.
MR_CHECKED mr_status mr_loop_send(mr_loop *loop, uint32_t person, mr_event_kind kind,
                                  const uint32_t *items, uint32_t count, bool answers,
                                  int64_t run_ms, mr_error *err);

#endif
