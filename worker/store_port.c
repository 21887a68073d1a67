// SPDX-License-Identifier: Apache-2.0
#include "worker/store_port.h"

#include "core/engine.h"
#include "state/row.h"
#include "state/verify.h"
#include "worker/log.h"

enum { LOAD_BYTES = 256 << 20, READERS_EVERY_MS = 60000, SYNC_EVERY_MS = 5000 };

static int64_t now_ms(void)
{
    const mr_clock clock = mr_clock_system();
    return clock.now_ms(clock.context);
}

mr_status mr_local_open(const char *path, const mr_store_options *options, mr_local *local,
                        bool *dropped, mr_error *err)
{
    *local = (mr_local){.load_bytes = LOAD_BYTES,
                        .readers_every_ms = READERS_EVERY_MS,
                        .sync_every_ms = options->sync == MR_SYNC_NONE ? SYNC_EVERY_MS : 0};
    MR_TRY(mr_store_open(path, options, &local->store, dropped, err));
    const mr_status status = mr_store_reader_open(local->store, &local->reader, err);
    if (status != MR_OK) {
        mr_error ignored;
        mr_store_close(local->store, &ignored);
        local->store = NULL;
    }
    return status;
}

mr_status mr_local_close(mr_local *local, mr_error *err)
{
    mr_load_close(local->load);
    if (local->reader != NULL)
        mr_store_reader_close(local->reader);
    const mr_status status = mr_store_close(local->store, err);
    *local = (mr_local){0};
    return status;
}

static void check_readers(mr_local *local, int64_t now)
{
    mr_error err = {0};
    uint32_t freed = 0;
    if (now - local->readers_checked_ms < local->readers_every_ms)
        return;
    local->readers_checked_ms = now;
    if (mr_store_check_readers(local->store, &freed, &err) != MR_OK)
        mr_log(MR_LOG_WARNING, "state", "readers cannot be looked at",
               mr_log_text("error", err.text));
    else if (freed > 0)
        mr_log(MR_LOG_INFO, "state", "readers that died were freed", mr_log_long("count", freed));
}

static mr_status local_write(void *context, const mr_store_batch *batch, mr_error *err)
{
    mr_local *local = context;
    local->loaded_holds = false;
    MR_TRY(mr_store_write(local->store, batch, err));
    const int64_t now = now_ms();
    check_readers(local, now);
    if (local->sync_every_ms == 0 || now - local->synced_ms < local->sync_every_ms)
        return MR_OK;
    MR_TRY(mr_store_sync(local->store, err)); // a second write of the same rows changes nothing
    local->synced_ms = now;
    return MR_OK;
}

static mr_status local_drop(void *context, uint32_t task, mr_error *err)
{
    mr_local *local = context;
    local->loaded_holds = false;
    return mr_store_task_drop(local->store, task, err);
}

static mr_status local_identify(void *context, const mr_store_identity *identity, mr_error *err)
{
    const mr_local *local = context;
    return mr_store_identify(local->store, identity, err);
}

static mr_status local_identity(void *context, mr_store_identity *identity, mr_error *err)
{
    const mr_local *local = context;
    return mr_store_identity_read(local->reader, identity, err);
}

static mr_status local_task(void *context, uint32_t task, mr_store_task *out, bool *found,
                            mr_error *err)
{
    const mr_local *local = context;
    return mr_store_task_read(local->reader, task, out, found, err);
}

static mr_status local_measure(void *context, uint32_t task, mr_load_result *found, mr_error *err)
{
    const mr_local *local = context;
    mr_verify_want want;
    if (local->loaded_holds && local->loaded_task == task) {
        *found = local->loaded;
        return MR_OK;
    }
    MR_TRY(mr_verify_task(local->reader, task, &want, err));
    *found = (mr_load_result){want.row_count, want.state_hash};
    return MR_OK;
}

static mr_status local_get(void *context, uint32_t task, mr_bytes key, uint8_t *buffer,
                           uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    const mr_local *local = context;
    return mr_store_get(local->reader, task, key, buffer, buffer_bytes, value_bytes, err);
}

static mr_status local_each(void *context, uint32_t task, mr_store_visit *visit,
                            void *visit_context, mr_error *err)
{
    const mr_local *local = context;
    return mr_store_each(local->reader, task, (mr_bytes){NULL, 0}, true, visit, visit_context, err);
}

static void local_refresh(void *context)
{
    const mr_local *local = context;
    mr_store_reader_refresh(local->reader);
}

static mr_status local_load_begin(void *context, uint32_t task, mr_error *err)
{
    mr_local *local = context;
    MR_ASSERT(local->load == NULL);
    local->loaded_holds = false;
    local->loaded_task = task;
    return mr_load_open(local->store, task, local->load_bytes, &local->load, err);
}

static mr_status local_load_put(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const mr_local *local = context;
    return mr_load_put(local->load, key, value, err);
}

static mr_status local_load_finish(void *context, mr_bytes marker,
                                   const int64_t offsets[MR_STORE_CHANGELOGS],
                                   mr_load_result *result, mr_error *err)
{
    mr_local *local = context;
    MR_TRY(mr_load_finish(local->load, marker, offsets, result, err));
    local->loaded = *result;
    local->loaded_holds = true;
    return MR_OK;
}

static void local_load_end(void *context)
{
    mr_local *local = context;
    mr_load_close(local->load);
    local->load = NULL;
}

mr_store_port mr_local_port(mr_local *local)
{
    return (mr_store_port){
        .context = local,
        .write = local_write,
        .drop = local_drop,
        .identify = local_identify,
        .identity = local_identity,
        .task = local_task,
        .measure = local_measure,
        .get = local_get,
        .each = local_each,
        .refresh = local_refresh,
        .load_begin = local_load_begin,
        .load_put = local_load_put,
        .load_finish = local_load_finish,
        .load_end = local_load_end,
    };
}

typedef struct loading {
    mr_engine *engine;
    uint32_t task;
} loading;

static mr_status load_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const loading *l = context;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    return mr_engine_load(l->engine, l->task, key, row.payload, mr_row_hash(key, value), err);
}

mr_status mr_store_port_load(const mr_store_port *store, uint32_t task, mr_engine *engine,
                             mr_error *err)
{
    loading l = {engine, task};
    return store->each(store->context, task, load_row, &l, err);
}
