// SPDX-License-Identifier: Apache-2.0
// lanes: the threads that learn.
//
// run() hands out the indices of a job to all lanes, the calling thread among them, and returns
// when all are done. Which lane takes which index changes no byte of what the engine gives.
#ifndef MR_WORKER_LANES_H
#define MR_WORKER_LANES_H

#include "core/engine.h"

typedef struct mr_lane_pool mr_lane_pool;

// How many lanes a configured number means: 0 is one for each core that this process may run on.
uint32_t mr_lane_count(int64_t configured);

// count >= 1 lanes. Errors: MR_FATAL: a thread could not be made.
MR_CHECKED mr_status mr_lane_pool_open(uint32_t count, mr_lane_pool **pool, mr_error *err);
void mr_lane_pool_close(mr_lane_pool *pool);

// What the engine takes. One run at a time.
mr_lanes mr_lane_pool_port(mr_lane_pool *pool);

#endif
