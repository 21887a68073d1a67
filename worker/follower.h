// SPDX-License-Identifier: Apache-2.0
// follower: the read copy of items that other workers own.
//
// It reads the item-rows partitions of every shard that is not held, as their owners commit them,
// and hands the rows to the engine when the marker that makes them valid has come: so the engine's
// view of a shard is always that of one commit. Its lag costs freshness, never counts.
//
// The owners' own rows are read, not the public item vectors: so a worker scores a foreign item by
// every method, with the rows of one commit, and no second format has to carry what methods keep.
#ifndef MR_WORKER_FOLLOWER_H
#define MR_WORKER_FOLLOWER_H

#include "core/engine.h"
#include "worker/marker.h"
#include "worker/ports.h"

typedef struct mr_follower mr_follower;

// bus is borrowed. tasks: P. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_follower_open(const mr_bus *bus, uint32_t tasks, mr_follower **follower,
                                      mr_error *err);
void mr_follower_close(mr_follower *follower);

// The engine knows the shard as of that offset of its changelog; -1: it knows nothing of it. Before
// the next mr_follower_follow.
void mr_follower_place(mr_follower *follower, uint32_t shard, int64_t next);
// Follows all shards but those that are held (ascending).
MR_CHECKED mr_status mr_follower_follow(mr_follower *follower, const uint32_t *held,
                                        uint32_t held_count, mr_error *err);
// Takes what has come, a bounded number of records, between two rounds. Returns MR_OK also where
// the engine has no room for an item. *moved: there may be more. Errors: MR_FATAL: a row that
// cannot be read; the engine's.
MR_CHECKED mr_status mr_follower_step(mr_follower *follower, mr_engine *engine, bool *moved,
                                      mr_error *err);

// Seq of the commit that the engine's view of a shard is as of; 0: none.
uint64_t mr_follower_seq(const mr_follower *follower, uint32_t shard);
// Rows that the engine had no room for.
uint64_t mr_follower_left_out(const mr_follower *follower);

#endif
