// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/rerun.h"

#include <string.h>

#include "tests/sim/disk.h"
#include "worker/sweep/forks.h"

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
        const mr_status status =
            sim_committed(context, record) ? visit(visit_context, &message, err) : MR_OK;
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

typedef struct branch { // a disk of its own, and a reader
    sim_disk disk;
    mr_archive archive;
    mr_store_port store;
} branch;

static void open_branch(branch *b, sim_brokers *brokers)
{
    static bool dead; // nobody kills this process
    sim_disk_open(&b->disk, &brokers->now_ms);
    b->disk.dead = &dead;
    b->archive = (mr_archive){brokers, ends, read, release};
    b->store = sim_disk_port(&b->disk);
}

static mr_rerun_options options_of(const branch *b, sim_brokers *brokers, const mr_config *config,
                                   const mr_methods *methods, mr_catalog *catalog,
                                   const mr_clock *clock)
{
    return (mr_rerun_options){.config = config,
                              .methods = methods,
                              .catalog = catalog,
                              .tasks = brokers->tasks,
                              .archive = &b->archive,
                              .store = &b->store,
                              .clock = clock};
}

mr_status sim_rerun(sim_brokers *brokers, const mr_config *config, const mr_methods *methods,
                    mr_catalog *catalog, int64_t until_ms, mr_rerun_result *result, mr_error *err)
{
    branch b;
    open_branch(&b, brokers);
    const mr_clock clock = {brokers, now, now, no_sleep};
    mr_rerun_options options = options_of(&b, brokers, config, methods, catalog, &clock);
    options.until_ms = until_ms;
    const mr_status status = mr_rerun_run(&options, result, err);
    sim_disk_close(&b.disk);
    return status;
}

mr_status sim_fork(sim_brokers *brokers, const mr_config *config, const mr_methods *methods,
                   mr_catalog *catalog, const mr_rerun_fork *fork, sim_forked *forked,
                   mr_error *err)
{
    branch was, other;
    mr_rerun_result ignored;
    mr_sweep_result result;
    open_branch(&was, brokers);
    open_branch(&other, brokers);
    const mr_clock clock = {brokers, now, now, no_sleep};
    const mr_rerun_options first = options_of(&was, brokers, config, methods, catalog, &clock);
    const mr_forks_options options = {.was = &first,
                                      .archive = &other.archive,
                                      .store = &other.store,
                                      .fork = fork,
                                      .name = "the fork",
                                      .metric = {MR_SCORE_NEW, 1}};
    const mr_status status = mr_forks_run(&options, &ignored, &result, err);
    const mr_sweep_row *to = &result.rows[result.rows[0].index == 1 ? 0 : 1];
    const mr_sweep_row *from = to == result.rows ? to + 1 : to - 1;
    *forked = (sim_forked){
        .commits = to->commits,
        .compared = to->lists.compared,
        .differ = to->lists.differ,
        .alone = to->lists.only_from + to->lists.only_to,
        .same = memcmp(&from->state_hash, &to->state_hash, sizeof to->state_hash) == 0 &&
                memcmp(&from->lists_hash, &to->lists_hash, sizeof to->lists_hash) == 0};
    sim_disk_close(&was.disk);
    sim_disk_close(&other.disk);
    return status;
}
