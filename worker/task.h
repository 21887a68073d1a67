// SPDX-License-Identifier: Apache-2.0
// task: taking a task: its rows as of the last commit, wherever they lie, and where its inputs go
// on.
//
// One path serves a start, a restart, a kill, a lost disk and a task that comes from another
// worker: the local copy, if it is one of this history and not too old, else nothing; then the
// changelog from there to its end; then the checks. Recovery only reads, it never learns again.
//
// task.c has the states. Not safe for two threads; the store has no other writer meanwhile.
#ifndef MR_WORKER_TASK_H
#define MR_WORKER_TASK_H

#include "worker/config.h"
#include "worker/marker.h"
#include "worker/ports.h"

typedef enum mr_taking_state {
    MR_TAKING_NEW,     // assigned, nothing is known
    MR_TAKING_ENDS,    // the ends of its changelogs are known
    MR_TAKING_COPY,    // the local copy is the base
    MR_TAKING_NOTHING, // there is no base: the store has nothing of the task that counts
    MR_TAKING_READ,    // the changelogs were read to their ends
    MR_TAKING_CHECKED, // sequence numbers, row count and state hash agree
    MR_TAKING_FRESH,   // the task has never committed anything
    MR_TAKING_PLACED,  // every input has its next offset
    MR_TAKING_FAILED,
    MR_TAKING_STATE_COUNT,
} mr_taking_state;

typedef struct mr_taking { // of one task
    uint32_t task;
    mr_taking_state state;
    bool fresh;
    mr_log_ends ends[MR_STORE_CHANGELOGS];
    int64_t next[MR_STORE_CHANGELOGS];     // of the changelogs: what was read
    int64_t limits[MR_STORE_CHANGELOGS];   // up to where they are read: `ends`, or a last marker
    int64_t begun_ms;                      // when the ends were asked
    uint32_t changelog;                    // that is being read
    bool from_copy, loading;               // what the rows go onto; a load is open
    bool overflow;                         // more rows than are worth keeping
    int64_t marker_next;                   // offset after the last marker; -1: none came
    uint64_t rows_behind;                  // rows after it
    mr_bytes markers[MR_STORE_CHANGELOGS]; // sealed; point into `bytes`
    uint8_t bytes[MR_STORE_CHANGELOGS][MR_MARKER_BYTES_MAX];
    mr_marker marker; // of the first changelog, but for its arrays; the second agrees
    uint64_t rows_read, rows_dropped;
} mr_taking;

typedef struct mr_taker { // what all tasks of a start share
    const mr_config *config;
    const mr_bus *bus;
    const mr_store_port *store;
    const mr_clock *clock;
    uint32_t tasks;          // P
    const char *cluster;     // id of the brokers' cluster
    int accept_offsets;      // as config's, or what a rewrite of the changelogs wants
    int64_t copy_age_max_ms; // half of the changelogs' delete.retention.ms: older copies may have
                             // missed tombstones
    mr_store_identity identity; // of the local copy
    int64_t stuck_ms, retry_ms; // since when the store cannot be written, 0: it can; when it is
                                // tried again
    bool known;                 // some marker was seen: history is set
    uint64_t history[2];
    struct mr_taker_rows *rows;                // of commits that are being read
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX]; // room of the marker that is being looked at
    mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
} mr_taker;

// Reads the local copy's identity. Errors: MR_FATAL: out of memory; the store's.
MR_CHECKED mr_status mr_taker_open(mr_taker *taker, mr_error *err);
void mr_taker_close(mr_taker *taker);

// One step on the way from NEW to CHECKED or FRESH, where the store has the last commit of
// taking->task. One taking of a taker at a time is between ENDS and READ. Errors: MR_RETRY: the
// changelog has to be waited for: call again; MR_FATAL: a changelog that is wrong or lost, named;
// those of bus and store.
MR_CHECKED mr_status mr_taking_step(mr_taker *taker, mr_taking *taking, mr_error *err);
static inline bool mr_taking_done(const mr_taking *taking)
{
    return taking->state == MR_TAKING_CHECKED || taking->state == MR_TAKING_FRESH;
}
// All steps; `idle` is called between them, and ends the restore where it fails.
MR_CHECKED mr_status mr_taking_restore(mr_taker *taker, mr_taking *taking,
                                       mr_status (*idle)(void *context, mr_error *err),
                                       void *idle_context, mr_error *err);
// The group has assigned the task again, so that its last owner may have written more: the ends of
// its changelogs are asked again, and what was done is gone on from where it can be. From any state
// but FAILED.
void mr_taking_again(mr_taker *taker, mr_taking *taking);
// Gives up: nothing of the taker's is used any more.
void mr_taking_cancel(mr_taker *taker, mr_taking *taking);

// Where the task's inputs go on: fills `next` of each offset; to PLACED. All of its input
// partitions, no others. Errors: MR_FATAL: events that were not read are gone, or the group's
// offsets differ from the marker's, and the configuration does not say that it may go on.
MR_CHECKED mr_status mr_taking_place(mr_taker *taker, mr_taking *taking, mr_offset *offsets,
                                     uint32_t offset_count, mr_error *err);

// What no task can see alone: all are of one history, and no commit covers a task whose part of it
// is missing. Errors: MR_FATAL.
MR_CHECKED mr_status mr_takings_check(mr_taker *taker, const mr_taking *const *takings,
                                      uint32_t count, mr_error *err);

const char *mr_taking_state_name(mr_taking_state state);

// Decodes a taking's marker into the taker's room, to be used before the next call.
MR_CHECKED mr_status mr_taking_marker(mr_taker *taker, mr_bytes sealed, mr_marker *marker,
                                      mr_error *err);

#endif
