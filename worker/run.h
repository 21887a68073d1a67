// SPDX-License-Identifier: Apache-2.0
// run: the worker as a whole: what `millrace run` opens, in which order, and the loop that turns
// it.
//
// mr_worker_open opens what can be had before the group has spoken: brokers, topics, local state,
// engine. mr_worker_turn is one turn of the loop: it follows the group (worker/ownership.h), learns
// and commits. The loop's thread owns all of it but the commit, which has a thread of its own.
//
// Everything is done over the ports, so that a simulator fills them itself, calls mr_worker_begin
// in the place of mr_worker_open and turns many workers in one thread.
#ifndef MR_WORKER_RUN_H
#define MR_WORKER_RUN_H

#include "worker/committer.h"
#include "worker/follower.h"
#include "worker/kafka/bus.h"
#include "worker/lanes.h"
#include "worker/links.h"
#include "worker/methods.h"
#include "worker/metrics.h"
#include "worker/outputs.h"
#include "worker/ownership.h"
#include "worker/registry/registry.h"
#include "worker/source.h"
#include "worker/store_port.h"
#include "worker/trace.h"

enum { MR_TIMES_MAX = 1024 };

typedef struct mr_record_times { // timestamps of some records of a commit
    int64_t ms[MR_TIMES_MAX];
    uint32_t count;
} mr_record_times;

typedef struct mr_worker {
    const mr_config *config;
    uint64_t config_hash; // of what stands in every marker
    const mr_methods *methods;
    mr_clock clock;
    mr_chance chance;
    bool from_local; // the local copy is the truth: the changelogs are written from it
    bool mock;       // the brokers are librdkafka's mock: nothing is restored, transactions promise
                     // nothing

    // The bus and the store.
    mr_kafka_bus kafka;
    mr_bus bus;
    mr_intake intake;
    mr_local local;
    mr_store_port store;
    uint32_t partition_counts[MR_CONFIG_READS_MAX]; // by number of the input; 0: not read by tasks
    uint32_t lead, tasks;                           // P
    char cluster[MR_STORE_CLUSTER_MAX + 1];

    // The engine.
    mr_registry *registry; // NULL: there is none
    mr_catalog *catalog;
    uint32_t schema_ids[MR_TOPIC_COUNT]; // the registry's, of our schemas
    bool numbered;                       // outputs are framed by them
    mr_lane_pool *lanes;
    mr_engine_config engine_config;
    void *engine_memory;
    size_t engine_bytes;
    mr_engine *engine;
    uint64_t engine_name; // drawn where an engine begins with nothing in it
    uint8_t *fetched;     // one sealed row

    // The tasks and the commit.
    mr_ownership own;
    uint64_t *seqs;      // by task: of its next commit
    bool *placed;        // by task: it was taken, and no commit says yet where its inputs go on
    int64_t *input_next; // by input partition: where a task that is not read goes on
    uint32_t input_first[MR_CONFIG_READS_MAX]; // of an input in input_next
    mr_offset *offsets;                        // room for all input partitions
    mr_links *links;
    mr_follower *follower;
    mr_marker_link *link_rows; // room for those of a task
    mr_sequence *taken_links;  // the same, of an epoch
    mr_bytes *received;        // records of deltas of one round
    uint32_t received_max;
    uint8_t *delta; // room for one record of deltas
    uint64_t deltas_seen_again, deltas_lost, deltas_foreign;
    mr_generations *generations;
    mr_committer *committer;
    mr_outputs *outputs;
    mr_source *source;
    mr_traces *traces; // of the events that lists have yet to answer
    mr_epoch *epochs;
    mr_next_offset *next_offsets;
    mr_sequence *marks;
    mr_state_hash *hashes;
    mr_marker_pair *pairs;
    mr_marker_offset *marker_offsets;

    // The commit that is open.
    mr_frozen *open;
    uint64_t commit_number;
    uint32_t open_events, open_epochs;
    size_t round_bytes; // by which the last full round made its commit larger
    bool behind;        // more was ready than one turn learns
    bool draining;      // memory is full of users whose lists wait: commit to make some
    int64_t closed_ms;  // when the last commit was closed
    mr_record_times open_times;
    int64_t *idle_since_ms; // by task: when the task learned last; 0: its tick is done

    // Measuring.
    mr_histogram latency;
    mr_metrics_window window;
    mr_record_times in_flight_times;
    uint64_t events_timed;
    uint64_t confirmed; // number of the last commit whose latency was counted
} mr_worker;

// Opens everything; `worker` is zeroed but for config, methods, from_local and mock. Errors:
// MR_FATAL and the outcomes of the ports; what was opened is closed by mr_worker_close in any case.
MR_CHECKED mr_status mr_worker_open(mr_worker *worker, mr_error *err);
// The part of it that needs no broker and no disk: config, methods, clock, chance, bus, intake,
// store, tasks, partition_counts, lead and cluster are set. threaded: the commit gets a thread;
// otherwise mr_committer_step is called beside mr_worker_turn.
MR_CHECKED mr_status mr_worker_begin(mr_worker *worker, bool threaded, int64_t copy_age_max_ms,
                                     mr_error *err);
mr_status mr_worker_end(mr_worker *worker, mr_error *err);
// Turns until everything that the group assigned is held.
MR_CHECKED mr_status mr_worker_until_ready(mr_worker *worker, mr_error *err);
// Closes everything. Errors: a last write to the local state that failed (Kafka has everything).
mr_status mr_worker_close(mr_worker *worker, mr_error *err);

// One turn: takes messages, learns what is ready, commits when it is time; waits up to wait_ms, or
// until extra_fd (-1: none) can be read, where there is nothing to do.
MR_CHECKED mr_status mr_worker_turn(mr_worker *worker, int extra_fd, int wait_ms, mr_error *err);

// What the tasks have counted since their history began: the same after a restart, a kill or a
// move.
mr_task_counters mr_worker_totals(const mr_worker *worker);

// Learns what has been taken and commits it, within wait_ms. Errors: MR_RETRY: it took longer.
MR_CHECKED mr_status mr_worker_finish(mr_worker *worker, int64_t wait_ms, mr_error *err);

// Whether every input of the tasks that are held was read to its end, and learned.
bool mr_worker_at_end(const mr_worker *worker);

// ---- for ownership.c

// Whether something was learned that is not in a closed commit.
bool mr_worker_has_learned(const mr_worker *worker);
// Freezes the open commit and gives it to the committer, which is idle.
MR_CHECKED mr_status mr_worker_close_commit(mr_worker *worker, mr_error *err);
// Forgets the open commit: nothing was learned into it, or what was is rolled back.
void mr_worker_cancel(mr_worker *worker);
// Where the inputs of a task go on that is not read yet.
void mr_worker_place(mr_worker *worker, const mr_offset *offsets, uint32_t offset_count);
// The rows of a task that was taken go from the store into the engine.
MR_CHECKED mr_status mr_worker_load(mr_worker *worker, const mr_taking *taking, mr_error *err);
// Reads the inputs of what is held, and no others.
MR_CHECKED mr_status mr_worker_read(mr_worker *worker, mr_error *err);
// An engine that holds nothing.
MR_CHECKED mr_status mr_worker_reset_engine(mr_worker *worker, mr_error *err);

#endif
