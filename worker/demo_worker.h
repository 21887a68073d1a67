// SPDX-License-Identifier: Apache-2.0
// demo_worker: the worker of `millrace run`, on a thread of its own.
#ifndef MR_WORKER_DEMO_WORKER_H
#define MR_WORKER_DEMO_WORKER_H

#include "core/engine.h"
#include "worker/methods.h"

typedef struct mr_demo_worker mr_demo_worker;

typedef enum mr_demo_phase {
    MR_DEMO_STARTING, // brokers, state, group, engine
    MR_DEMO_TURNING,
    MR_DEMO_ENDED, // stopped, or failed: mr_demo_worker_stop says which
} mr_demo_phase;

// Borrows both until it is stopped. Errors: MR_FATAL: no thread.
MR_CHECKED mr_status mr_demo_worker_start(const mr_config *config, const mr_methods *methods,
                                          mr_demo_worker **worker, mr_error *err);
mr_demo_phase mr_demo_worker_phase(mr_demo_worker *worker);
// Learns what the inputs still hold (for at most 5 s), commits it and ends the thread; frees the
// worker. *totals is what the tasks have counted. Errors: why it failed.
mr_status mr_demo_worker_stop(mr_demo_worker *worker, mr_task_counters *totals, mr_error *err);

#endif
