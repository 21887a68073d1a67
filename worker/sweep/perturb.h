// SPDX-License-Identifier: Apache-2.0
// perturb: what a branch learns that the log does not say, to see how much its lists hang on it.
//
//   none                  nothing: the lists have to be the same
//   drop=N                one act in N is left out, by a hash of its place in the log
//   user, user=ID         all acts of one user are left out: of one who is drawn, or of this one
//   delete=WHICH          one act is left out
//   replace=WHICH         one act is of another item
//   insert=WHICH          after one act, its user does the same with another item
//
// WHICH: random, of all acts; earliest or latest, the first or last act of a user who is drawn.
// Acts are clicks, carts, purchases and ratings; one that is picked alone has an item of its own.
// Users and other items are drawn evenly from those of the log's acts. What is drawn depends on
// the seed and on the log, so a pass over the log comes first, which remembers one candidate.
//
// An act that is gone, or one more, gives another number to later epochs of its task, and so other
// random draws: these are part of what is measured. Source: Oh et al., "Rank List Sensitivity of
// Recommender Systems to Interaction Perturbations". Departure: their choice of the act with the
// most descendants needs the whole log in memory, and is not here.
#ifndef MR_WORKER_SWEEP_PERTURB_H
#define MR_WORKER_SWEEP_PERTURB_H

#include "core/base/error.h"
#include "core/event/event.h"

typedef enum mr_perturb_what {
    MR_PERTURB_NOTHING,
    MR_PERTURB_DROP,
    MR_PERTURB_USER,
    MR_PERTURB_DELETE,
    MR_PERTURB_REPLACE,
    MR_PERTURB_INSERT,
} mr_perturb_what;

typedef enum mr_perturb_which {
    MR_PERTURB_RANDOM,
    MR_PERTURB_EARLIEST,
    MR_PERTURB_LATEST,
} mr_perturb_which;

enum { MR_PERTURB_ID_MAX = 255, MR_PERTURB_ITEMS = 2 };

typedef struct mr_perturb_item { // one of the two that are drawn, the better first
    uint64_t draw;
    uint8_t id[MR_PERTURB_ID_MAX];
    uint32_t size; // 0: none
} mr_perturb_item;

typedef struct mr_perturbation {
    mr_perturb_what what;
    mr_perturb_which which;
    bool draws; // mr_perturbation_see has to be told of the log first
    uint64_t seed, every;
    bool drawn;                    // an act or a user was found
    uint64_t draw, place, user;    // of the candidate: the least draw; user: key
    mr_perturb_item items[MR_PERTURB_ITEMS]; // replace and insert: of the log, not the same
} mr_perturbation;

// number: of the perturbation among several, so that the same text twice draws two acts. Errors:
// MR_FATAL with what was found and what would be right.
MR_CHECKED mr_status mr_perturbation_parse(const char *text, uint64_t seed, uint32_t number,
                                           mr_perturbation *perturbation, mr_error *err);

// The pass before, where `draws`: every event in order; place: how many arrivals came before it.
void mr_perturbation_see(mr_perturbation *perturbation, uint64_t place, const mr_event *event);
// After it. Errors: MR_FATAL: the log has no act, or no other item.
MR_CHECKED mr_status mr_perturbation_check(const mr_perturbation *perturbation, mr_error *err);

typedef enum mr_perturbed {
    MR_PERTURBED_KEPT,
    MR_PERTURBED_GONE,
    MR_PERTURBED_INSTEAD, // *other is learned in its place,
    MR_PERTURBED_AFTER,   // or after it
} mr_perturbed;

// What becomes of an event. *other: filled for the last two, borrows from both.
mr_perturbed mr_perturbation_of(const mr_perturbation *perturbation, uint64_t place,
                                const mr_event *event, mr_event *other);
// Whether it changes acts of one user alone, whose own lists say nothing then; *user: his key.
bool mr_perturbation_is_of_user(const mr_perturbation *perturbation, uint64_t *user);

#endif
