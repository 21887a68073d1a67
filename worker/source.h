// SPDX-License-Identifier: Apache-2.0
// source: from messages to epochs.
//
// Each input partition is a feed; each task gathers the messages of its feeds into the epoch that
// it will learn next. A task that is behind takes the message with the lowest record timestamp
// among its feeds, and waits align.wait_ms for a feed that has nothing although it is not at its
// end. An epoch is closed by the age of its first message, by count, by bytes, or when its memory
// is nearly used.
//
// A record of the repartition topic counts as that of the input it comes from, with its partition,
// offset and timestamp there (worker/origin.h); only its offset to go on at is that of the topic.
//
// A message whose schema is not known yet (mr_catalog_ask) stays where it is, and so does all that
// follows it in its partition: until the schema is there, the partition is one from which nothing
// has come.
//
// What an epoch's events borrow (the messages, decoded lines, vectors) lives until
// mr_source_learned. Offsets move there too, so that a commit never covers a message that was not
// learned.
#ifndef MR_WORKER_SOURCE_H
#define MR_WORKER_SOURCE_H

#include "core/event/epoch.h"
#include "schemas/catalog.h"
#include "worker/config.h"
#include "worker/ports.h"

typedef struct mr_source mr_source;

// A source that reads nothing yet. Borrows everything. Errors: MR_FATAL: a mapping that cannot be
// read, out of memory.
MR_CHECKED mr_status mr_source_open(const mr_config *config, mr_catalog *catalog,
                                    const mr_intake *intake, mr_source **source, mr_error *err);
void mr_source_close(mr_source *source);

// Reads the inputs of these tasks, and no others, from these offsets on; both are copied. What was
// taken and not learned is given back and read again. Errors: MR_FATAL: out of memory; the
// intake's.
MR_CHECKED mr_status mr_source_assign(mr_source *source, const uint32_t *tasks, uint32_t task_count,
                                      const mr_offset *offsets, uint32_t offset_count,
                                      mr_error *err);
// Gives back all messages and reads nothing: before the intake lets go.
void mr_source_release(mr_source *source);

// Takes and decodes what there is and has room. Returns whether anything was taken. Errors:
// MR_FATAL: an input cannot be read, or a schema not be had.
MR_CHECKED mr_status mr_source_pump(mr_source *source, int64_t now_ms, bool *moved, mr_error *err);

// Deltas of other workers come with the epochs too (mr_epoch.received: the values of their records,
// to be checked by whoever learns them). A task never waits for them.
//
// The epochs that are ready (`all`: every one that is not empty), sorted, in order of tasks: at
// most task_count. An epoch may hold no event: then it holds refused records only, or
// records that the mapping leaves out.
uint32_t mr_source_ready(mr_source *source, int64_t now_ms, bool all, mr_epoch *epochs);

typedef struct mr_refused { // a record for the dead letters
    const mr_message *message;
    uint32_t input, task;
    mr_cause cause;
    const char *reason;
    const char *stage; // "VALUE_CONVERTER" or "TASK_PUT"
} mr_refused;
typedef void mr_refused_visit(void *context, const mr_refused *refused);

// Visits what was refused of a task's epoch, by the decoder or (after the round) by the engine.
void mr_source_refused(mr_source *source, uint32_t task, mr_refused_visit *visit, void *context);
// The task's epoch was learned: its offsets count, its memory is free.
void mr_source_learned(mr_source *source, uint32_t task);

// Next offsets of all feeds, learned epochs only; order as given to assign. They outlive a release.
const mr_offset *mr_source_offsets(const mr_source *source, uint32_t *count);

typedef struct mr_source_counters {
    uint64_t records, events, refused[MR_CAUSE_COUNT];
    uint64_t skipped;         // records that the mapping leaves out
    uint64_t clamped;         // events whose time was too far ahead (clock.skew_action)
    uint64_t below;           // records below the next offset: dropped
    uint32_t waiting;         // partitions whose next record waits for its schema
    int64_t newest_record_ms; // timestamp of the newest record of a learned epoch
} mr_source_counters;
const mr_source_counters *mr_source_count(const mr_source *source);

// Whether every feed was read to the end that its log had when the consumer last said so, and all
// of it was learned.
bool mr_source_at_end(const mr_source *source);

// Whether the consumer has said that a partition which is read was read up to that offset. (What it
// gave is learned where mr_source_at_end.)
bool mr_source_has_read(const mr_source *source, uint32_t input, uint32_t partition, int64_t end);

// For inputs whose topics are named by a pattern: there was a look at what topics there are, and it
// found none more. A copy in the repartition topic whose source is not known here waits for two of
// them; then its topic is gone, and it is refused.
void mr_source_looked(mr_source *source);

// How long the loop may wait before an epoch is due, at most `most`.
int mr_source_patience(const mr_source *source, int64_t now_ms, int most);

#endif
