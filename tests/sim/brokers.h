// SPDX-License-Identifier: Apache-2.0
// brokers: a simulated Kafka, the servers' side: logs, transactions, one consumer group.
//
// What is modelled is what the commit protocol rests on: records of open transactions are in the
// logs but not below the last stable offset; a transaction ends by a control record; a producer
// epoch fences older ones; the offsets of a transaction are taken only from a member of the present
// generation; a member that is silent for the session time-out is put out; a transaction that is
// open for too long is aborted and its producer fenced; changelogs are compacted; offsets of the
// group expire. What is not: replication, since a broker that answers has what it answered for.
#ifndef MR_TESTS_SIM_BROKERS_H
#define MR_TESTS_SIM_BROKERS_H

#include "tests/sim/chance.h"
#include "worker/ports.h"

enum {
    SIM_TASKS_MAX = 16,
    SIM_WORKERS_MAX = 5,
    SIM_INPUTS = 2, // clicks, and the deltas of other workers: the log of that topic
    SIM_DELTAS = 1,
    SIM_LATE_MAX = 16,
    SIM_REBALANCE_MS = 40000,
};

typedef enum sim_tx_state { SIM_OPEN, SIM_COMMITTED, SIM_ABORTED } sim_tx_state;

typedef struct sim_record {
    int64_t offset, time_ms;
    int64_t horizon_ms; // of a tombstone: it stays until then; 0: it was not cleaned yet
    uint32_t tx;        // index of its transaction; UINT32_MAX: none
    mr_bytes key, value;
} sim_record;

typedef struct sim_log {
    sim_record *records;
    uint32_t count, room;
    uint32_t decided; // records from the first on whose transactions have ended
    mr_topic topic;   // MR_TOPIC_COUNT: an input
    uint32_t partition;
    int64_t first, end;
} sim_log;

typedef struct sim_tx {
    sim_tx_state state;
    uint32_t worker;     // whose name the producer has
    uint64_t epoch;      // of the producer
    uint64_t generation; // of the group, of the offsets; 0: none were sent
    int64_t begun_ms;
    uint32_t touched[MR_TOPIC_COUNT];           // partitions, as bits
    int64_t offsets[SIM_INPUTS][SIM_TASKS_MAX]; // -1: not in it
} sim_tx;

typedef struct sim_member {
    bool in;              // of the group
    bool rejoined;        // waits for the next generation
    uint64_t incarnation; // of the process that is this member
    uint64_t generation;  // that it was given
    int64_t seen_ms;
} sim_member;

typedef struct sim_brokers sim_brokers;

// Told of every transaction that is committed, when it is. The records are those of the brokers.
typedef void sim_on_commit(void *context, sim_brokers *brokers, uint32_t tx);

struct sim_brokers {
    sim_chance *chance;
    int64_t now_ms;
    int64_t session_ms, transaction_ms; // time-outs
    uint32_t tasks, workers;
    sim_log inputs[SIM_INPUTS][SIM_TASKS_MAX];
    sim_log topics[MR_TOPIC_COUNT][SIM_TASKS_MAX];
    sim_tx *txs;
    uint32_t tx_count, tx_room;
    struct sim_late { // requests that end a transaction, still on their way
        int64_t at_ms;
        uint32_t worker;
        uint64_t epoch;
        bool commit;
    } late[SIM_LATE_MAX];
    uint32_t late_count;
    uint64_t epochs[SIM_WORKERS_MAX];         // of the producers, by name
    uint32_t open_tx[SIM_WORKERS_MAX];        // of a name; UINT32_MAX: none
    int64_t group[SIM_INPUTS][SIM_TASKS_MAX]; // offsets; -1: none
    sim_member members[SIM_WORKERS_MAX];
    uint64_t generation, timed_out; // timed_out: transactions
    bool preparing;                 // a rebalance is under way
    int64_t preparing_ms;
    uint32_t owner[SIM_TASKS_MAX]; // of the present generation; UINT32_MAX: nobody
    sim_on_commit *on_commit;
    void *on_commit_context;
    struct sim_chunk *chunks; // memory of the records' bytes
};

void sim_brokers_open(sim_brokers *brokers, sim_chance *chance, uint32_t tasks, uint32_t workers);
void sim_brokers_close(sim_brokers *brokers);

// Appends a record; bytes are copied.
void sim_append(sim_brokers *brokers, sim_log *log, mr_bytes key, mr_bytes value, uint32_t tx);
// The first offset of an open transaction, or the end.
int64_t sim_stable(const sim_brokers *brokers, sim_log *log);
// Index of the first record at or behind an offset.
uint32_t sim_find(const sim_log *log, int64_t offset);
bool sim_committed(const sim_brokers *brokers, const sim_record *record);

// Transactions of the producer of that name. A fence is MR_FENCED.
uint64_t sim_init_producer(sim_brokers *brokers, uint32_t worker);
mr_status sim_begin(sim_brokers *brokers, uint32_t worker, uint64_t epoch, uint32_t *tx);
mr_status sim_send_offsets(sim_brokers *brokers, uint32_t tx, uint64_t epoch, uint64_t incarnation,
                           uint64_t generation, bool fenced, const mr_offset *offsets,
                           uint32_t count);
mr_status sim_end(sim_brokers *brokers, uint32_t tx, uint64_t epoch, bool commit);
// An end of transaction that comes late: it ends whatever is open of that producer and epoch.
void sim_late_end(sim_brokers *brokers, uint32_t worker, uint64_t epoch, bool commit,
                  int64_t at_ms);

// The group. join: also of a member that comes again, as a new process or after let_go.
void sim_join(sim_brokers *brokers, uint32_t worker, uint64_t incarnation);
void sim_leave(sim_brokers *brokers, uint32_t worker);
void sim_rebalance(sim_brokers *brokers);
void sim_heartbeat(sim_brokers *brokers, uint32_t worker, uint64_t incarnation);

// Time passes: time-outs of sessions, transactions and rebalances.
void sim_brokers_tick(sim_brokers *brokers);

// Housekeeping of the brokers: compacts a log; forgets the group's offsets.
void sim_compact(sim_brokers *brokers, sim_log *log, int64_t tombstones_for_ms);
void sim_expire_offsets(sim_brokers *brokers);

#endif
