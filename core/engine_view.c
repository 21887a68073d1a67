// SPDX-License-Identifier: Apache-2.0
// engine_view: shards of other workers: tasks that go, and the read copy of what is not taken.
#include "core/engine_state.h"

bool mr_engine_has(const mr_engine *engine, uint32_t task)
{
    return engine->tasks[task].taken;
}

void mr_engine_release(mr_engine *engine, uint32_t task)
{
    MR_ASSERT(task < engine->config.tasks && engine->tasks[task].taken);
    MR_ASSERT(engine->users.dirty_count == 0 && !engine->tasks[task].moved);
    mr_task_reset(&engine->tasks[task]);
}

mr_status mr_engine_view_row(mr_engine *engine, uint32_t shard, mr_bytes key, mr_bytes value,
                             mr_error *err)
{
    (void)value;
    MR_ASSERT(shard < engine->config.tasks && !engine->tasks[shard].taken);
    return mr_fail(err, MR_FATAL, "shard %u: the row of %u bytes key cannot be viewed yet", shard,
                   key.size);
}

mr_status mr_engine_delta_check(const mr_engine *engine, uint32_t receiver, mr_bytes record,
                                mr_error *err)
{
    MR_ASSERT(receiver < engine->config.tasks && engine->tasks[receiver].taken);
    return mr_reject(err, MR_CAUSE_bad_delta, "a record of %u bytes is no record of deltas",
                     record.size);
}
