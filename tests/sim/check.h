// SPDX-License-Identifier: Apache-2.0
// check: the invariants of the commit protocol, looked at whenever a transaction is committed or a
// local copy is written, and at the end.
//
//   I1  what is counted for users and items is the fold of the inputs below the marker's offsets
//   I2  deltas: links rise by one for each pair; at the end the items' counts are the inputs'
//   I3  seqs of a task rise by one, versions of a user's lists rise
//   I4  offsets and clocks never fall; each bad record below the offsets has one dead letter
//   I5  a task has one committing worker a generation; no local copy is ahead of Kafka
//   I6  a marker's count and hash are those of the changelog; a local copy at seq s has its rows
//   I7  (rerun.c) what the epoch log says, run again, leaves the same hashes, lists and deltas
//   I8  (history.c) once nothing goes wrong any more, everything is consumed in bounded steps
#ifndef MR_TESTS_SIM_CHECK_H
#define MR_TESTS_SIM_CHECK_H

#include "core/base/hash.h"
#include "tests/sim/counting.h"
#include "tests/sim/disk.h"
#include "worker/marker.h"

enum { SIM_USERS = 16, SIM_ITEMS = 24 }; // users: of a task

typedef struct sim_event { // what a record of an input is, by its offset
    bool bad;              // cannot be decoded
    bool again;            // the same event id as an earlier one
    uint8_t user, item;
    int64_t number; // of its id: the offset of the first event that had it
    uint64_t hash;
} sim_event;

typedef struct sim_folded { // a task as its changelogs have it
    uint64_t seq;           // 0: no commit yet
    uint64_t history[2];
    int64_t offset[SIM_INPUTS], clock_ms;
    sim_row *rows; // in key order
    uint32_t row_count, row_room;
    sim_row *pending; // rows that no marker has followed yet
    uint32_t pending_count, pending_room;
    mr_hash128 hash;
    mr_counted users[SIM_USERS];
    uint64_t dead;                                         // letters
    uint64_t sent[SIM_TASKS_MAX], received[SIM_TASKS_MAX]; // links, of the last marker
    uint64_t last_link[SIM_TASKS_MAX];                     // in the topic, to this task
    uint64_t owner_generation;
    uint32_t owner;
    uint64_t versions[SIM_USERS];
} sim_folded;

typedef struct sim_check {
    sim_event *events[SIM_TASKS_MAX];
    uint32_t event_count[SIM_TASKS_MAX], event_room[SIM_TASKS_MAX];
    sim_folded tasks[SIM_TASKS_MAX];
    uint32_t task_count;
    mr_counted items[SIM_ITEMS];
    uint64_t commits;
    uint64_t epoch_records;
    char violation[400]; // empty: none
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
} sim_check;

void sim_check_open(sim_check *check, uint32_t tasks);
void sim_check_close(sim_check *check);

// Notes the next record of an input.
void sim_check_event(sim_check *check, uint32_t task, sim_event event);
// sim_on_commit and sim_on_write; context is the check.
void sim_check_commit(void *context, sim_brokers *brokers, uint32_t tx);
void sim_check_write(void *context, const sim_disk *disk, uint32_t task);
// Whether all input was consumed and all deltas arrived; and then the last invariants.
bool sim_check_done(const sim_check *check, const sim_brokers *brokers);
void sim_check_end(sim_check *check);

#endif
