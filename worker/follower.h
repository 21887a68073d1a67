// SPDX-License-Identifier: Apache-2.0
// follower: the read copy of items that other workers own.
//
// It reads the item-rows partitions of every shard that is not held, as their owners commit them,
// and hands the rows to the engine when the marker that makes them valid has come: so the engine's
// view of a shard is always that of one commit, and the commit's sequence number names it. Its lag
// costs freshness, never counts.
//
// Where compaction has passed, the last marker that it has left may stand before rows of the next
// commit that have pushed out older ones: with that marker alone the view would be no commit's. So
// a marker counts at once where it follows the one before by number and its own rows are all there;
// any other waits for the next, or for the end of the log. So do those on the way through a log of
// which nothing was shown yet, as long as its rows fit into a bound: a worker that joins begins
// with the view of now, not with one of long ago.
//
// The owners' own rows are read, not the public item vectors: so a worker scores a foreign item by
// every method, with the rows of one commit, and no second format has to carry what methods keep.
#ifndef MR_WORKER_FOLLOWER_H
#define MR_WORKER_FOLLOWER_H

#include "core/engine.h"
#include "schemas/encode.h"
#include "worker/marker.h"
#include "worker/ports.h"

typedef struct mr_follower mr_follower;

// bus is borrowed. tasks: P. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_follower_open(const mr_bus *bus, uint32_t tasks, mr_follower **follower,
                                      mr_error *err);
void mr_follower_close(mr_follower *follower);

// The engine knows the shard as of that offset of its changelog, and of the commit with that
// sequence number, which counts as shown; -1: it knows nothing of it. Before the next
// mr_follower_follow.
void mr_follower_place(mr_follower *follower, uint32_t shard, int64_t next, uint64_t seq);
// Follows all shards but those that are held (ascending).
MR_CHECKED mr_status mr_follower_follow(mr_follower *follower, const uint32_t *held,
                                        uint32_t held_count, mr_error *err);
// Takes what has come, a bounded number of records, between two rounds. Returns MR_OK also where
// the engine has no room for an item. *moved: there may be more. Errors: MR_FATAL: a row that
// cannot be read; the engine's.
MR_CHECKED mr_status mr_follower_step(mr_follower *follower, mr_engine *engine, bool *moved,
                                      mr_error *err);

// Shards that were shown to the engine since mr_follower_noted, each once, in the order in which
// they were shown last, with the sequence number of the commit that they are as of. Valid until the
// next step.
const mr_sequence *mr_follower_shown(const mr_follower *follower, uint32_t *count);
void mr_follower_noted(mr_follower *follower);
// Rows that the engine had no room for.
uint64_t mr_follower_left_out(const mr_follower *follower);

#endif
