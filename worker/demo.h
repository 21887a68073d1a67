// SPDX-License-Identifier: Apache-2.0
// demo: everything in one process: mock brokers, the worker on its thread, a crowd of simulated
// users on another, and a page that shows what happens.
#ifndef MR_WORKER_DEMO_H
#define MR_WORKER_DEMO_H

#include "core/engine.h"
#include "worker/demo_crowd.h"

enum {
    MR_DEMO_PARTITIONS = 4, // of every topic: tasks of the worker
    MR_DEMO_USERS_MIN = 30,
    MR_DEMO_USERS_MAX = 20000,
    MR_DEMO_ITEMS_MIN = 50,
    MR_DEMO_ITEMS_MAX = 5000,
    MR_DEMO_SECONDS_MAX = 24 * 3600,
};

typedef struct mr_demo_options {
    int64_t seconds; // that users come for, after the worker is ready
    uint32_t users, items;
    uint64_t seed;
    bool quiet; // show nothing before the end
    bool no_color;
    int stop_fd; // readable: end now
} mr_demo_options;

typedef struct mr_demo_result {
    mr_demo_sight sight;     // at the end
    mr_task_counters totals; // of the worker
    bool stopped;            // by stop_fd, before its time
} mr_demo_result;

// Runs it from an empty temporary folder, which is gone when this returns, as is everything that
// was started. Errors: MR_FATAL.
MR_CHECKED mr_status mr_demo_run(const mr_demo_options *options, mr_demo_result *result,
                                 mr_error *err);

#endif
