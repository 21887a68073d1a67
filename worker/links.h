// SPDX-License-Identifier: Apache-2.0
// links: deltas between tasks of different workers, each counted, so that each is learned once.
//
// What task s has to tell shard r leaves with the commit of s as records in partition r of the
// item-deltas topic, numbered by a link that rises by one for the pair. The receiver reads them as
// one more input: its offset and the rows that they change are in one transaction. A link that was
// seen is dropped and counted; one that is missing means that deltas were lost.
//
// Value of a record, little-endian: "MRD" and a version, u32 sender, u32 receiver, u32 0, u64
// history[2], u64 link, u64 seq of the sender's commit, u64 XXH3 of what stands before and behind
// it; then the record of the engine (core/exchange.h).
#ifndef MR_WORKER_LINKS_H
#define MR_WORKER_LINKS_H

#include "core/engine.h"
#include "schemas/encode.h"
#include "worker/marker.h"

enum { MR_DELTA_HEAD_BYTES = 56 };

typedef struct mr_delta {
    uint32_t sender, receiver;
    uint64_t history[2], link, seq;
    mr_bytes record; // of the engine
} mr_delta;

// Writes head and record to out, which has room for both; returns the size.
uint32_t mr_delta_write(const mr_delta *delta, uint8_t *out);
// Reads it back; record is borrowed from value. Errors: MR_REJECT (bad_delta): not one, or damaged.
MR_CHECKED mr_status mr_delta_read(mr_bytes value, mr_delta *delta, mr_error *err);

typedef struct mr_links mr_links;

// Between `tasks` tasks. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_links_open(uint32_t tasks, mr_links **links, mr_error *err);
void mr_links_close(mr_links *links);

// A task's links as its marker has them; all at zero where it is fresh.
void mr_links_load(mr_links *links, uint32_t task, const mr_marker_link *rows, uint32_t count);
// The links of a task that are not zero, in order of the other task; rows has room for all.
uint32_t mr_links_rows(const mr_links *links, uint32_t task, mr_marker_link *rows);

// The next link from sender to receiver.
uint64_t mr_links_send(mr_links *links, uint32_t sender, uint32_t receiver);

typedef enum mr_link_verdict {
    MR_LINK_NEXT,
    MR_LINK_SEEN,
    MR_LINK_GAP,     // links between it and the last one are missing
    MR_LINK_FOREIGN, // of another history
} mr_link_verdict;
// Whether a delta is the next one for its receiver; advances where it is, or where `over_gaps`.
mr_link_verdict mr_links_receive(mr_links *links, const mr_delta *delta, bool over_gaps);

// The same for the value of a record in the task's partition, looked at from all sides: *delta is
// read from it, checked by the engine, and of this history unless *verdict is MR_LINK_FOREIGN.
// An engine of NULL is not asked. Errors: MR_REJECT: it can never be learned; MR_FATAL of
// mr_engine_delta_check.
MR_CHECKED mr_status mr_links_accept(mr_links *links, const mr_engine *engine,
                                     const uint64_t history[2], uint32_t task, mr_bytes value,
                                     bool over_gaps, mr_delta *delta, mr_link_verdict *verdict,
                                     mr_error *err);

// The last links of the senders from whom the task has received something since mr_links_keep, in
// order of sender; returns how many. out has room for all tasks.
uint32_t mr_links_taken(const mr_links *links, uint32_t task, mr_sequence *out);

// What a task has received is remembered; and is so again: for a round that could not be learned.
void mr_links_keep(mr_links *links, uint32_t task);
void mr_links_restore(mr_links *links, uint32_t task);

#endif
