// SPDX-License-Identifier: Apache-2.0
// view_log: the item rows that commits of a history have written, shard by shard, so that the view
// of any engine can be brought from one commit of an owner to a later one.
//
// What is older than all engines that are still at work need is folded: of each key only the newest
// row is kept, as compaction of a topic does.
#ifndef MR_WORKER_VIEW_LOG_H
#define MR_WORKER_VIEW_LOG_H

#include "core/engine.h"

typedef struct mr_view_log mr_view_log;

// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_view_log_open(uint32_t shards, mr_view_log **log, mr_error *err);
void mr_view_log_close(mr_view_log *log);

// A row of the shard's commit with that sequence number, as the close handed it out (size 0: it is
// gone); copied. Commits in order, rows in theirs. A failure is remembered until the next show.
void mr_view_log_add(mr_view_log *log, uint32_t shard, uint64_t seq, mr_bytes key, mr_bytes value);

// Shows an engine the rows of the commits in (after, upto]. Errors: MR_FATAL: they were folded with
// later ones, out of memory; the engine's, but for items that it has no room for.
MR_CHECKED mr_status mr_view_log_show(mr_view_log *log, uint32_t shard, uint64_t after,
                                      uint64_t upto, mr_engine *engine, mr_error *err);

// Nobody will ask for a view before that of the commit `seq`.
void mr_view_log_fold(mr_view_log *log, uint32_t shard, uint64_t seq);
size_t mr_view_log_bytes(const mr_view_log *log); // of all rows

#endif
