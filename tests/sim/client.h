// SPDX-License-Identifier: Apache-2.0
// client: one process of a worker, as Kafka sees it: the bus and intake ports over the simulated
// brokers, with everything that can go wrong on the way.
//
// A call that times out changes nothing (its request was lost), or everything (its answer was), or
// something later (it is still on its way); the caller is not told which. It also keeps the process
// busy for a while.
#ifndef MR_TESTS_SIM_CLIENT_H
#define MR_TESTS_SIM_CLIENT_H

#include "tests/sim/brokers.h"
#include "tests/sim/faults.h"

typedef struct sim_queued {
    mr_topic topic;
    uint32_t partition;
    mr_bytes key, value;
} sim_queued;

typedef struct sim_client {
    sim_brokers *brokers;
    sim_faults *faults;
    uint32_t worker;          // its name
    uint64_t incarnation;     // of the process
    bool dead;                // killed: whatever it still calls does nothing
    bool cut;                 // no request reaches the brokers
    bool committing;          // the thread that calls now is the committing one
    int64_t busy_until_ms[2]; // of the loop, and of the committing thread

    // The producer.
    uint64_t epoch; // 0: none yet
    uint32_t tx;    // UINT32_MAX: none
    bool failed;    // records were not taken
    sim_queued *queue;
    uint32_t queued, sent, room;
    int64_t produced[MR_TOPIC_COUNT][SIM_TASKS_MAX];

    // The member.
    mr_group_state state;
    uint64_t generation;        // as the worker counts
    uint64_t broker_generation; // as the brokers count
    uint32_t tasks[SIM_TASKS_MAX];
    uint32_t task_count;
    mr_offset partitions[SIM_INPUTS * SIM_TASKS_MAX];
    uint32_t partition_count;
    mr_offset reading[SIM_INPUTS * SIM_TASKS_MAX];
    bool told_end[SIM_INPUTS * SIM_TASKS_MAX];
    uint32_t reading_count;
    mr_offset following[SIM_TASKS_MAX];
    bool told_followed[SIM_TASKS_MAX];
    uint32_t following_count;
} sim_client;

void sim_client_open(sim_client *client, sim_brokers *brokers, sim_faults *faults, uint32_t worker,
                     uint64_t incarnation);
void sim_client_close(sim_client *client);

mr_bus sim_client_bus(sim_client *client);
mr_intake sim_client_intake(sim_client *client);

#endif
