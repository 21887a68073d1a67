// SPDX-License-Identifier: Apache-2.0
// store_port: the store port over LMDB (state/).
#ifndef MR_WORKER_STORE_PORT_H
#define MR_WORKER_STORE_PORT_H

#include "worker/ports.h"

struct mr_engine;

typedef struct mr_local { // owned by whoever opened it; for one reading and one writing thread
    mr_store *store;
    mr_store_reader *reader;
    mr_load *load;
    size_t load_bytes; // memory of a load
    // What a write does now and then: frees the readers of processes that died, whose snapshots
    // keep pages; and syncs, where the commits do not.
    int64_t readers_every_ms, readers_checked_ms;
    int64_t sync_every_ms, synced_ms; // 0: never
    // What the load that ended last counted and hashed while it wrote; until the task is written
    // again there is no need to walk it.
    mr_load_result loaded;
    uint32_t loaded_task;
    bool loaded_holds;
} mr_local;

MR_CHECKED mr_status mr_local_open(const char *path, const mr_store_options *options,
                                   mr_local *local, bool *dropped, mr_error *err);
mr_status mr_local_close(mr_local *local, mr_error *err);

mr_store_port mr_local_port(mr_local *local);

// Gives every row of a task to an engine that has taken it, in the order of keys. Errors: the
// store's, and the engine's for a row that it cannot take.
MR_CHECKED mr_status mr_store_port_load(const mr_store_port *store, uint32_t task,
                                        struct mr_engine *engine, mr_error *err);

#endif
