// SPDX-License-Identifier: Apache-2.0
// marker: the last record of a commit in each changelog partition: what the rows before it add up
// to.
//
// A marker makes the rows before it valid, says where every input of the task goes on, and lets the
// next owner check what it has read. Its key sorts before all rows and is none of theirs;
// compaction keeps the newest. Its value is sealed like a row (state/row.h), kind MR_MARKER_KIND;
// the payload is little-endian, in the order of the members below, with a count before each array
// and a length before each text.
//
// The store keeps, for each task, both changelogs' markers joined: while a task is restored one of
// them is ahead of the other.
#ifndef MR_WORKER_MARKER_H
#define MR_WORKER_MARKER_H

#include "core/base/hash.h"
#include "core/base/error.h"
#include "state/store.h"
#include "state/verify.h"

enum {
    MR_MARKER_VERSION = 1,
    MR_MARKER_KIND = 'm',
    MR_MARKER_PAIRS_MAX = 1024,                          // tasks of a commit
    MR_MARKER_OFFSETS_MAX = 512,                         // input partitions of a task
    MR_MARKER_LINKS_MAX = 1024,                          // other tasks
    MR_MARKER_NAME_MAX = 249,                            // Kafka's limit for topics
    MR_MARKER_BYTES_MAX = (MR_STORE_MARKER_MAX - 8) / 2, // sealed: two fit into the store's record
};

typedef struct mr_marker_pair { // a task that the commit covers
    uint32_t task;
    uint64_t seq;
} mr_marker_pair;

typedef struct mr_marker_offset { // where an input of the task goes on
    mr_bytes topic;
    uint32_t partition;
    int64_t next;
} mr_marker_offset;

typedef struct mr_marker_link { // deltas between this task and another
    uint32_t task;
    uint64_t received, sent;
} mr_marker_link;

typedef struct mr_marker {
    uint64_t history[2];  // made when the application's state was born
    uint32_t task, tasks; // tasks: P, fixed for a history
    uint64_t seq;         // rises by one with each commit of the task
    mr_bytes instance;    // whose commit it was, and its number there
    uint64_t commit;
    int64_t clock_ms; // event-time clock of the task
    int64_t wall_ms;  // when the commit was closed
    uint64_t config_hash;
    mr_bytes release;    // of the writer
    uint32_t here_count; // rows of this commit in this changelog, and the xor of their hashes
    mr_hash128 here_xor;
    uint64_t row_count; // rows of the task after this commit, and their state hash
    mr_hash128 state_hash;
    mr_marker_pair *pairs; // arrays are the caller's; mr_marker_read fills at most ..._MAX of each
    uint32_t pair_count;
    mr_marker_offset *offsets;
    uint32_t offset_count;
    mr_marker_link *links;
    uint32_t link_count;
} mr_marker;

// The key of every marker: one zero byte.
mr_bytes mr_marker_key(void);
bool mr_marker_is(mr_bytes key);

// Writes the sealed marker to out, which has room for MR_MARKER_BYTES_MAX; *bytes is its length.
// Errors: MR_FATAL: larger than that, names the counts.
MR_CHECKED mr_status mr_marker_write(const mr_marker *marker, uint8_t *out, uint32_t *bytes,
                                     mr_error *err);

// Reads it back. Texts are borrowed from `value`; pairs, offsets and links have to point at room
// for their ..._MAX. Errors: MR_FATAL: not sealed, another version, cut short, or too many of
// something.
MR_CHECKED mr_status mr_marker_read(mr_bytes value, mr_marker *marker, mr_error *err);

// The store's form: the sealed markers of both changelogs; an absent one has size 0. `out` has room
// for MR_STORE_MARKER_MAX bytes.
uint32_t mr_marker_join(const mr_bytes markers[MR_STORE_CHANGELOGS], uint8_t *out);
// Errors: MR_FATAL: not that form.
MR_CHECKED mr_status mr_marker_split(mr_bytes joined, mr_bytes markers[MR_STORE_CHANGELOGS],
                                     mr_error *err);
// Reads the newer of the two. *torn: they are of two commits, as while a task is restored. seq 0:
// the record has none. Errors: as mr_marker_split and mr_marker_read.
MR_CHECKED mr_status mr_marker_newest(const mr_store_task *record, mr_marker *marker, bool *torn,
                                      mr_error *err);
// What mr_verify_folder asks for; the context is an mr_marker with room for its arrays.
MR_CHECKED mr_status mr_marker_wants(void *context, const mr_store_task *record,
                                     mr_verify_want *want, mr_error *err);

#endif
