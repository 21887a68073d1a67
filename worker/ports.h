// SPDX-License-Identifier: Apache-2.0
// ports: all that the worker's logic knows of the world: an intake, a bus, a store, a clock and a
// source of chance.
//
// The worker's logic is written against these structs of functions, so that the same code runs over
// librdkafka and LMDB, over the mock of the demo, and over simulated ones that lose, repeat, delay
// and tear. A port carries no policy: it says what happened by an mr_status, and the caller
// decides.
//
// Topics and partitions: a record is always produced to an explicit partition, that of its task; a
// topic of ours is one of mr_topic, an input is named by its index in the configuration.
#ifndef MR_WORKER_PORTS_H
#define MR_WORKER_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/model/cost.h"
#include "state/load.h"
#include "state/store.h"

typedef enum mr_topic { // what the worker writes
    MR_TOPIC_LISTS,
    MR_TOPIC_METRICS,
    MR_TOPIC_ITEMS,
    MR_TOPIC_USER_ROWS, // changelogs: the order is that of mr_store_part.offsets from here
    MR_TOPIC_ITEM_ROWS,
    MR_TOPIC_EPOCHS,
    MR_TOPIC_DEAD_LETTERS,
    MR_TOPIC_ITEM_DELTAS, // read too: it is the input after those of the configuration
    MR_TOPIC_REPARTITION, // read too, and written by worker/repartition.h alone
    MR_TOPIC_COUNT,
} mr_topic;

static inline mr_topic mr_topic_of_changelog(uint32_t changelog)
{
    return (mr_topic)(MR_TOPIC_USER_ROWS + changelog);
}

typedef struct mr_header {
    const char *name;
    mr_bytes value; // data NULL: a null value
} mr_header;

typedef struct mr_record { // to be produced; all bytes are the caller's until the flush has
                           // answered
    mr_topic topic;
    uint32_t partition;
    mr_bytes key;    // data NULL: none
    mr_bytes value;  // data NULL: a tombstone
    int64_t time_ms; // 0: now
    const mr_header *headers;
    uint32_t header_count;
} mr_record;

typedef struct mr_offset { // next record to read of a partition of an input
    uint32_t input;
    uint32_t partition;
    int64_t next; // -1: not known
} mr_offset;

typedef struct mr_log_ends { // of a partition: [first, end), whatever its transactions
    int64_t first, end;
} mr_log_ends;

typedef struct mr_message { // a record of an input
    mr_bytes key, value;    // data NULL: null
    uint32_t partition;
    int64_t offset;
    int64_t time_ms;        // of the record; 0: it has none
    bool end;               // no record: the log was read up to `offset`, nothing more is there now
    const char *error;      // no record: the partition cannot be read; NULL: it can
    void *handle;           // the intake's
    uint32_t headers_first; // so many leading headers are not the record's own
    // Fills at most `max` headers of the record's own, borrowed from the message; returns how many.
    uint32_t (*headers)(const struct mr_message *message, mr_header *headers, uint32_t max);
} mr_message;

typedef enum mr_group_state {
    MR_GROUP_JOINING,  // no assignment: nothing may be read or committed
    MR_GROUP_ASSIGNED, // the tasks are ours
    MR_GROUP_REVOKING, // the group asks for all tasks back, and waits until let_go
    MR_GROUP_LOST,     // somebody else may have them already; let_go to join again
    MR_GROUP_STATE_COUNT,
} mr_group_state;

typedef struct mr_membership {
    mr_group_state state;
    uint64_t generation;   // of the assignment: rises with each, counted by this process
    const uint32_t *tasks; // ascending; of ASSIGNED, valid until the next poll
    uint32_t task_count;
} mr_membership;

// The intake: the member of the group, and the inputs of its tasks. All calls are the loop's
// thread's, but for wake.
typedef struct mr_intake {
    void *context;

    // Serves the group for up to wait_ms. Errors: MR_FATAL: the group cannot be had, another
    // process has our name, or a topic that is read has more partitions than at the start; err says
    // which.
    mr_status (*poll)(void *context, int wait_ms, mr_error *err);
    mr_membership (*look)(void *context);
    // From REVOKING or LOST to JOINING: nothing of the old assignment is used any more.
    void (*let_go)(void *context);
    // The input partitions of the assigned tasks, in order of (input, partition), `next` -1; and
    // the task that reads one.
    const mr_offset *(*partitions)(void *context, uint32_t *count);
    uint32_t (*task_of)(void *context, uint32_t input, uint32_t partition);
    // Reads these partitions, and no others, from their `next` on. Messages taken before are given
    // back first.
    mr_status (*assign)(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err);
    // Takes up to `max` messages of the index-th assigned partition; returns how many. Each is
    // given back once.
    uint32_t (*take)(void *context, uint32_t index, mr_message *messages, uint32_t max);
    void (*give_back)(void *context, mr_message *message);
    // Waits until something may have come, or extra_fd (-1: none) can be read, or it is woken.
    void (*wait)(void *context, int extra_fd, int wait_ms);
    void (*wake)(void *context);
    // Records between these offsets and the ends of the logs, as far as they are known; -1: not
    // yet. Asks the brokers, for a quarter of a second at most.
    int64_t (*lag)(void *context, const mr_offset *offsets, uint32_t offset_count);
} mr_intake;

// Called for each record of a changelog, in order; key and value are borrowed for the call.
typedef mr_status mr_bus_visit(void *context, int64_t offset, mr_bytes key, mr_bytes value,
                               mr_error *err);

// The bus. One thread at a time calls the transaction functions, another may call the rest
// meanwhile.
//
// begin .. renew: MR_OK; MR_RETRY: nothing has changed or the outcome is not known yet: the same
// call again; MR_ABORT: renew, then the same records again; MR_FENCED: the outcome is unknown or
// the tasks belong to somebody else; MR_FATAL: no retry will help.
typedef struct mr_bus {
    void *context;

    mr_status (*begin)(void *context, mr_error *err);
    // Queues a record. MR_RETRY: the queue is full, flush and call again.
    mr_status (*produce)(void *context, const mr_record *record, mr_error *err);
    // MR_OK: every record produced since `begin` is acknowledged.
    mr_status (*flush)(void *context, mr_error *err);
    // Offset after the last record acknowledged of a partition in this transaction; -1: none.
    int64_t (*produced)(void *context, mr_topic topic, uint32_t partition);
    // With the group metadata captured when that generation was assigned, never any other;
    // MR_FENCED where it is no longer the present one.
    mr_status (*send_offsets)(void *context, uint64_t generation, const mr_offset *offsets,
                              uint32_t offset_count, mr_error *err);
    mr_status (*commit)(void *context, mr_error *err);
    // A new producer in the place of this one, with no transaction open: requests of the old one
    // that are still on their way are shut out by its epoch.
    mr_status (*renew)(void *context, mr_error *err);

    // Ends of a changelog or an input, asked of the brokers with a handle that sees uncommitted
    // records too: one that does not is held back by other people's open transactions. MR_RETRY or
    // MR_FATAL.
    mr_status (*changelog_ends)(void *context, mr_topic topic, uint32_t partition,
                                mr_log_ends *ends, mr_error *err);
    mr_status (*input_ends)(void *context, uint32_t input, uint32_t partition, mr_log_ends *ends,
                            mr_error *err);
    // Visits committed records of a changelog in [first, end), as many as there are now and a
    // bounded time allows. MR_OK: everything below `end` is decided and was visited; MR_RETRY: not
    // yet, the same call goes on from *next.
    mr_status (*changelog_read)(void *context, mr_topic topic, uint32_t partition, int64_t first,
                                int64_t end, mr_bus_visit *visit, void *visit_context,
                                int64_t *next, mr_error *err);
    // Follows item-rows partitions, and no others, from these offsets on (input is ignored; -1:
    // from the beginning), committed records only. follow_take: as intake.take, of any of them.
    mr_status (*follow)(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err);
    uint32_t (*follow_take)(void *context, mr_message *messages, uint32_t max);
    void (*follow_give_back)(void *context, mr_message *message);
    // Fills `next` of each offset with what the group has committed; -1: nothing.
    mr_status (*committed)(void *context, mr_offset *offsets, uint32_t offset_count, mr_error *err);
} mr_bus;

// The store: state/store.h and state/load.h, and what of them the logic needs. Statuses as there.
typedef struct mr_store_port {
    void *context;
    mr_status (*write)(void *context, const mr_store_batch *batch, mr_error *err);
    mr_status (*drop)(void *context, uint32_t task, mr_error *err);
    mr_status (*identify)(void *context, const mr_store_identity *identity, mr_error *err);
    mr_status (*identity)(void *context, mr_store_identity *identity, mr_error *err);
    mr_status (*task)(void *context, uint32_t task, mr_store_task *out, bool *found, mr_error *err);
    // Opens every row of a task and says what they add up to.
    mr_status (*measure)(void *context, uint32_t task, mr_load_result *found, mr_error *err);
    mr_status (*get)(void *context, uint32_t task, mr_bytes key, uint8_t *buffer,
                     uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err);
    // Visits every row of a task in key order; the visitor calls nothing of the store.
    mr_status (*each)(void *context, uint32_t task, mr_store_visit *visit, void *visit_context,
                      mr_error *err);
    // What the reading functions see from now on: everything written before.
    void (*refresh)(void *context);
    // A task made again from nothing; one at a time. `load_end` gives up what was not finished.
    mr_status (*load_begin)(void *context, uint32_t task, mr_error *err);
    mr_status (*load_put)(void *context, mr_bytes key, mr_bytes value, mr_error *err);
    mr_status (*load_finish)(void *context, mr_bytes marker,
                             const int64_t offsets[MR_STORE_CHANGELOGS], mr_load_result *result,
                             mr_error *err);
    void (*load_end)(void *context);
} mr_store_port;

typedef struct mr_clock {
    void *context;
    int64_t (*now_ms)(void *context);  // never goes back
    int64_t (*wall_ms)(void *context); // UTC
    void (*sleep_ms)(void *context, int64_t ms);
} mr_clock;

typedef struct mr_chance { // for what may differ from run to run: the id of a history
    void *context;
    void (*fill)(void *context, void *bytes, size_t size);
} mr_chance;

// The machine's own clock, watch and chance.
mr_clock mr_clock_system(void);
mr_watch mr_watch_system(void);
// CPU time of the thread that asks: what others take of the machine is not in it. Asking costs more.
mr_watch mr_watch_thread(void);
mr_chance mr_chance_system(void);

#endif
