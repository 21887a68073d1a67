// SPDX-License-Identifier: Apache-2.0
// metrics: the records of the metrics topic, made from counters once a window.
#ifndef MR_WORKER_METRICS_H
#define MR_WORKER_METRICS_H

#include "core/engine.h"
#include "worker/committer.h"
#include "worker/meter.h"
#include "worker/outputs.h"
#include "worker/registry/registry.h"

typedef struct mr_metrics_window { // what was counted up to now, and at the window's start
    int64_t begun_ms, now_ms;      // wall clock
    int64_t clock_ms;              // greatest event-time clock of the tasks
    uint64_t records, records_before;
    uint64_t commits, commits_before;
    int64_t lag_records;         // -1: not known
    int64_t lag_ms;              // between now and the newest record learned
    const mr_histogram *latency; // from a record's timestamp to its commit's confirmation
    const mr_source_counters *source;
    const mr_registry_counters *registry; // NULL: there is none
    mr_generations_sizes generations;
    const mr_trace_counters *traces; // NULL: nobody asks
    uint64_t too_large;
} mr_metrics_window;

// Puts one record for each metric into the frozen. The engine's window is measured, not reset.
void mr_metrics_put(mr_outputs *outputs, mr_frozen *frozen, mr_engine *engine,
                    const mr_metrics_window *window);

#endif
