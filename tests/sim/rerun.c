// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/rerun.h"

#include "tests/sim/disk.h"

static uint32_t no_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message, (void)headers, (void)max;
    return 0;
}

static sim_log *log_of(sim_brokers *brokers, uint32_t stream, uint32_t partition)
{
    switch (stream) {
    case MR_ARCHIVE_EPOCHS:
        return &brokers->topics[MR_TOPIC_EPOCHS][partition];
    case MR_ARCHIVE_LISTS:
        return &brokers->topics[MR_TOPIC_LISTS][partition];
    case MR_ARCHIVE_INPUTS + SIM_DELTAS:
        return &brokers->topics[MR_TOPIC_ITEM_DELTAS][partition];
    default:
        return &brokers->inputs[stream - MR_ARCHIVE_INPUTS][partition];
    }
}

static mr_status ends(void *context, uint32_t stream, uint32_t partition, mr_log_ends *out,
                      mr_error *err)
{
    (void)err;
    sim_log *log = log_of(context, stream, partition);
    *out = (mr_log_ends){log->first, sim_stable(context, log)};
    return MR_OK;
}

static mr_status read(void *context, uint32_t stream, uint32_t partition, int64_t first,
                      int64_t end, mr_archive_visit *visit, void *visit_context, int64_t *next,
                      mr_error *err)
{
    const sim_log *log = log_of(context, stream, partition);
    *next = first;
    for (uint32_t i = sim_find(log, first); i < log->count && log->records[i].offset < end; i++) {
        const sim_record *record = &log->records[i];
        const mr_message message = {.key = record->key,
                                    .value = record->value,
                                    .partition = partition,
                                    .offset = record->offset,
                                    .time_ms = record->time_ms,
                                    .headers = no_headers};
        const mr_status status = sim_committed(context, record)
                                     ? visit(visit_context, &message, err)
                                     : MR_OK;
        if (status == MR_RETRY)
            return MR_OK;
        MR_TRY(status);
        *next = record->offset + 1;
    }
    *next = log->end < end ? log->end : end;
    return MR_OK;
}

static void release(void *context)
{
    (void)context;
}

static int64_t now(void *context)
{
    return ((const sim_brokers *)context)->now_ms;
}

static void no_sleep(void *context, int64_t ms)
{
    (void)context, (void)ms;
}

mr_status sim_rerun(sim_brokers *brokers, const mr_config *config, const mr_methods *methods,
                    mr_catalog *catalog, int64_t until_ms, mr_rerun_result *result, mr_error *err)
{
    static bool dead; // nobody kills this process
    sim_disk disk;
    sim_disk_open(&disk, &brokers->now_ms);
    disk.dead = &dead;
    const mr_archive archive = {brokers, ends, read, release};
    const mr_store_port store = sim_disk_port(&disk);
    const mr_clock clock = {brokers, now, now, no_sleep};
    const mr_rerun_options options = {.config = config,
                                      .methods = methods,
                                      .catalog = catalog,
                                      .tasks = brokers->tasks,
                                      .archive = &archive,
                                      .store = &store,
                                      .clock = &clock,
                                      .until_ms = until_ms};
    const mr_status status = mr_rerun_run(&options, result, err);
    sim_disk_close(&disk);
    return status;
}
