// SPDX-License-Identifier: Apache-2.0
// run_open: bringing a worker up. The order matters: the producer is opened before the changelogs
// are read, because that ends what an earlier process of this instance left open.
#include "worker/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "state/row.h"
#include "worker/log.h"
#include "worker/rewrite.h"

enum { POLL_MS = 100, JOIN_SECONDS = 120, RETRIES = 30, RETRY_MS = 1000 };

static mr_status out_of_memory(mr_error *err)
{
    return mr_fail(err, MR_FATAL, "out of memory");
}

// Questions to brokers that may be starting too.
static mr_status ask_brokers(mr_worker *worker, mr_error *err)
{
    for (int i = 0;; i++) {
        mr_status status = mr_kafka_admin_inputs(worker->kafka.admin, worker->partition_counts,
                                                 &worker->lead, err);
        if (status == MR_OK && worker->mock)
            memcpy(worker->cluster, "mock", sizeof "mock"); // it has no id
        else if (status == MR_OK)
            status = mr_kafka_admin_cluster(worker->kafka.admin, worker->cluster, err);
        if (status != MR_RETRY || i == RETRIES)
            return status;
        mr_log(MR_LOG_WARNING, "kafka", "the brokers do not answer, trying again",
               mr_log_text("error", err->text));
        worker->clock.sleep_ms(worker->clock.context, RETRY_MS);
    }
}

static mr_status check_outputs(mr_worker *worker, mr_error *err)
{
    for (int topic = 0; topic < MR_TOPIC_COUNT; topic++) {
        const char *const name = mr_kafka_topic_name(worker->config, (mr_topic)topic);
        uint32_t count;
        MR_TRY(mr_kafka_admin_partitions(worker->kafka.admin, name, &count, err));
        if (count == 0)
            return mr_fail(err, MR_FATAL,
                           "there is no topic %s: millrace check --create-topics makes ours", name);
        if (count != worker->tasks)
            return mr_fail(err, MR_FATAL,
                           "%s has %u partitions, the lead %s has %u: outputs need as many", name,
                           count, worker->config->inputs[worker->lead].topic, worker->tasks);
    }
    return MR_OK;
}

static mr_status idle(void *context, mr_error *err)
{
    mr_worker *worker = context;
    MR_TRY(worker->intake.poll(worker->intake.context, 0, err));
    if (worker->intake.look(worker->intake.context).state != MR_GROUP_ASSIGNED)
        return mr_fail(err, MR_FENCED, "the group took the tasks away while they were restored");
    return MR_OK;
}

static mr_status join_group(mr_worker *worker, mr_error *err)
{
    MR_TRY(mr_kafka_consumer_open(worker->config, worker->lead, worker->partition_counts,
                                  &worker->kafka.consumer, err));
    worker->intake = mr_kafka_consumer_port(worker->kafka.consumer);
    const int64_t patience_ms = JOIN_SECONDS * 1000 + worker->config->kafka_session_timeout;
    const int64_t begun = worker->clock.now_ms(worker->clock.context);
    while (worker->intake.look(worker->intake.context).state == MR_GROUP_JOINING) {
        MR_TRY(worker->intake.poll(worker->intake.context, POLL_MS, err));
        if (worker->clock.now_ms(worker->clock.context) - begun > patience_ms)
            return mr_fail(err, MR_FATAL, "group %s gave no assignment within %lld s",
                           worker->config->kafka_group, (long long)(patience_ms / 1000));
    }
    const mr_membership member = worker->intake.look(worker->intake.context);
    worker->owned = member.tasks;
    worker->owned_count = member.task_count;
    if (member.state != MR_GROUP_ASSIGNED || worker->owned_count != worker->tasks)
        return mr_fail(err, MR_FATAL,
                       "the group gave %u of %u tasks to this worker: this release runs one worker "
                       "for an application",
                       worker->owned_count, worker->tasks);
    return MR_OK;
}

static mr_status open_brokers(mr_worker *worker, mr_error *err)
{
    MR_TRY(mr_kafka_admin_open(worker->config, &worker->kafka.admin, err));
    MR_TRY(ask_brokers(worker, err));
    worker->tasks = worker->partition_counts[worker->lead];
    if (worker->tasks > MR_MARKER_PAIRS_MAX)
        return mr_fail(err, MR_FATAL, "the lead topic has %u partitions, at most %d are possible",
                       worker->tasks, MR_MARKER_PAIRS_MAX);
    MR_TRY(check_outputs(worker, err));
    worker->kafka.config = worker->config;
    worker->kafka.partition_count = worker->tasks;
    worker->bus = mr_kafka_bus_port(&worker->kafka);
    MR_TRY(mr_kafka_producer_open(worker->config, worker->tasks, &worker->kafka.producer, err));
    MR_TRY(mr_kafka_reader_open(worker->config, &worker->kafka.reader, err));
    return join_group(worker, err);
}

static mr_status open_state(mr_worker *worker, mr_error *err)
{
    static const mr_sync syncs[] = {[MR_CONFIG_SYNC_FULL] = MR_SYNC_FULL,
                                    [MR_CONFIG_SYNC_META] = MR_SYNC_META,
                                    [MR_CONFIG_SYNC_NONE] = MR_SYNC_NONE};
    bool dropped = false;
    const mr_store_options options = {
        .map_bytes_max = (uint64_t)worker->config->state_map_bytes_max,
        .sync = syncs[worker->config->state_sync],
    };
    MR_TRY(mr_local_open(worker->config->state_path, &options, &worker->local, &dropped, err));
    if (dropped)
        mr_log(MR_LOG_WARNING, "state",
               "the local copy was torn by a crash of the machine and is "
               "made again from the changelog");
    worker->store = mr_local_port(&worker->local);
    const mr_generations_options gathering = {
        .commit_bytes_max = (size_t)worker->config->commit_bytes_max,
        .gather_bytes = (size_t)worker->config->state_gather_bytes,
        .gather_ms = worker->config->state_gather_ms,
    };
    return mr_generations_open(&gathering, MR_MARKER_PAIRS_MAX, &worker->store, &worker->clock,
                               &worker->generations, err);
}

// The engine's door to users' rows: the newest generation, or the store.
static mr_status fetch(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                       mr_hash128 *hash, mr_error *err)
{
    mr_worker *worker = context;
    uint32_t size;
    mr_row row;
    *value = (mr_bytes){NULL, 0};
    *hash = (mr_hash128){0, 0};
    MR_TRY(mr_generations_get(worker->generations, task, key, worker->fetched, &size, err));
    if (size == 0)
        return MR_OK;
    const mr_bytes sealed = mr_bytes_of(worker->fetched, size);
    MR_TRY(mr_row_open(key, sealed, &row, err));
    *value = row.payload;
    *hash = mr_row_hash(key, sealed);
    return MR_OK;
}

static mr_status open_engine(mr_worker *worker, mr_error *err)
{
    mr_engine_config config;
    size_t bytes;
    MR_TRY(mr_methods_engine(worker->methods, worker->config, worker->tasks, &config, err));
    MR_TRY(mr_lane_pool_open(mr_lane_count(worker->config->lanes), &worker->lanes, err));
    worker->fetched = malloc(MR_ROW_BYTES_MAX);
    if (worker->fetched == NULL)
        return out_of_memory(err);
    config.lanes = mr_lane_pool_port(worker->lanes);
    config.fetch = (mr_fetch){worker, fetch};
    MR_TRY(mr_engine_bytes(&config, &bytes, err));
    // Pages that the engine never touches are never there.
    worker->engine_bytes = bytes;
    worker->engine_memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (worker->engine_memory == MAP_FAILED) {
        worker->engine_memory = NULL;
        return mr_fail(err, MR_FATAL,
                       "%zu MiB for the engine cannot be had: lower users.memory or items.max",
                       bytes >> 20);
    }
    mr_log(MR_LOG_INFO, "run", "memory", mr_log_long("engine_mib", (int64_t)(bytes >> 20)),
           mr_log_long("users_max", config.users_max), mr_log_text("kernels", config.vec->name));
    return mr_engine_init(&worker->engine, &config, worker->engine_memory, bytes, err);
}

// Loading rows into the engine.

typedef struct loading {
    mr_worker *worker;
    uint32_t task;
} loading;

static mr_status load_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const loading *l = context;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    return mr_engine_load(l->worker->engine, l->task, key, row.payload, mr_row_hash(key, value),
                          err);
}

static mr_status load_task(mr_worker *worker, const mr_taking *taking, mr_error *err)
{
    loading l = {worker, taking->task};
    worker->seqs[taking->task] = taking->fresh
                                     ? (uint64_t)worker->clock.wall_ms(worker->clock.context)
                                     : taking->marker.seq + 1;
    mr_engine_take(worker->engine, taking->task, worker->seqs[taking->task]);
    if (taking->fresh)
        return MR_OK;
    MR_TRY(mr_store_each(worker->local.reader, taking->task, (mr_bytes){NULL, 0}, false, load_row,
                         &l, err));
    const mr_task_view view = mr_engine_task(worker->engine, taking->task);
    if (view.row_count != taking->marker.row_count ||
        memcmp(&view.state_hash, &taking->marker.state_hash, sizeof view.state_hash) != 0)
        return mr_fail(err, MR_FATAL, "task %u: the engine took %llu rows of %llu: please report",
                       taking->task, (unsigned long long)view.row_count,
                       (unsigned long long)taking->marker.row_count);
    return MR_OK;
}

static mr_status place_inputs(mr_worker *worker, mr_taker *taker, mr_taking *taking, mr_error *err)
{
    mr_offset mine[MR_MARKER_OFFSETS_MAX];
    uint32_t count = 0, offset_count, at = 0;
    const mr_offset *all = worker->intake.partitions(worker->intake.context, &offset_count);
    for (uint32_t i = 0; i < offset_count; i++) {
        if (worker->intake.task_of(worker->intake.context, all[i].input, all[i].partition) !=
            taking->task)
            continue;
        if (count == MR_MARKER_OFFSETS_MAX)
            return mr_fail(err, MR_FATAL, "task %u reads more than %d input partitions",
                           taking->task, MR_MARKER_OFFSETS_MAX);
        mine[count++] = all[i];
    }
    MR_TRY(mr_taking_place(taker, taking, mine, count, err));
    for (uint32_t i = 0; i < offset_count; i++) {
        if (at < count && all[i].input == mine[at].input && all[i].partition == mine[at].partition)
            worker->offsets[i] = mine[at++];
    }
    return MR_OK;
}

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    const mr_worker *worker = context;
    return worker->intake.task_of(worker->intake.context, input, partition);
}

// Where the local copy is ahead of the changelogs, or these have rows that nobody may see, they are
// written again first.
static mr_status rewrite(mr_worker *worker, mr_taker *taker, mr_rewrite_why why, mr_error *err)
{
    mr_rewrite_result result;
    mr_rewrite_options options = {
        .taker = taker,
        .why = why,
        .owned = worker->owned,
        .owned_count = worker->owned_count,
        .task_of = task_of,
        .idle = idle,
        .context = worker,
        .generation = worker->intake.look(worker->intake.context).generation,
        .commit_bytes_max = (size_t)worker->config->commit_bytes_max,
    };
    options.inputs = worker->intake.partitions(worker->intake.context, &options.input_count);
    return mr_rewrite_run(&options, &result, err);
}

// *dropped: rows without a marker lie in the changelogs.
static mr_status restore_tasks(mr_worker *worker, mr_taker *taker, mr_taking *takings,
                               const mr_taking **list, uint64_t *dropped, mr_error *err)
{
    *dropped = 0;
    for (uint32_t i = 0; i < worker->owned_count; i++) {
        takings[i] = (mr_taking){.task = worker->owned[i]};
        list[i] = &takings[i];
        MR_TRY(mr_taking_restore(taker, &takings[i], idle, worker, err));
        *dropped += takings[i].rows_dropped;
    }
    return mr_takings_check(taker, list, worker->owned_count, err);
}

static mr_status restore_all(mr_worker *worker, mr_taker *taker, mr_taking *takings,
                             const mr_taking **list, mr_error *err)
{
    uint64_t dropped;
    if (worker->mock) // nothing lies there, and its transactions promise nothing
        return restore_tasks(worker, taker, takings, list, &dropped, err);
    MR_TRY(rewrite(worker, taker,
                   worker->from_local ? MR_REWRITE_FROM_LOCAL : MR_REWRITE_ASKED_BY_COPY, err));
    MR_TRY(restore_tasks(worker, taker, takings, list, &dropped, err));
    if (dropped == 0)
        return MR_OK;
    if (!taker->known)
        return mr_fail(err, MR_FATAL,
                       "the changelogs have %llu rows and no commit that makes them valid: delete "
                       "both topics, millrace check --create-topics makes them anew",
                       (unsigned long long)dropped);
    mr_log(MR_LOG_WARNING, "task", "the changelogs have rows of a commit that never ended",
           mr_log_long("rows", (int64_t)dropped));
    MR_TRY(rewrite(worker, taker, MR_REWRITE_TORN, err));
    return restore_tasks(worker, taker, takings, list, &dropped, err);
}

static mr_status take_tasks(mr_worker *worker, mr_taker *taker, mr_taking *takings,
                            const mr_taking **list, mr_error *err)
{
    const uint32_t count = worker->owned_count;
    MR_TRY(restore_all(worker, taker, takings, list, err));
    for (uint32_t i = 0; i < count; i++)
        MR_TRY(place_inputs(worker, taker, &takings[i], err));

    // A history begins where no task has a marker.
    memcpy(worker->history, taker->history, sizeof worker->history);
    if (!taker->known)
        worker->chance.fill(worker->chance.context, worker->history, sizeof worker->history);
    mr_store_identity identity = {.history = {worker->history[0], worker->history[1]}};
    memcpy(identity.cluster, worker->cluster, sizeof identity.cluster);
    MR_TRY(worker->store.identify(worker->store.context, &identity, err));
    worker->store.refresh(worker->store.context);
    for (uint32_t i = 0; i < count; i++)
        MR_TRY(load_task(worker, &takings[i], err));
    return mr_engine_ready(worker->engine, err);
}

static int64_t copy_age_max_ms(mr_worker *worker)
{
    char value[32];
    mr_error err;
    const char *const topic = mr_kafka_topic_name(worker->config, MR_TOPIC_USER_ROWS);
    // The brokers' default, where they do not say.
    int64_t retention_ms = 86400000;
    if (!worker->mock &&
        mr_kafka_admin_property(worker->kafka.admin, topic, "delete.retention.ms", value,
                                sizeof value, &err) == MR_OK &&
        value[0] != '\0')
        retention_ms = strtoll(value, NULL, 10);
    return retention_ms / 2;
}

static mr_status restore(mr_worker *worker, mr_error *err)
{
    const uint32_t count = worker->owned_count;
    mr_taking *takings = calloc(count, sizeof *takings);
    const mr_taking **list = calloc(count, sizeof(const mr_taking *));
    mr_taker *taker = calloc(1, sizeof *taker);
    mr_status status = MR_OK;
    if (takings == NULL || list == NULL || taker == NULL) {
        status = out_of_memory(err);
        goto done;
    }
    *taker = (mr_taker){
        .config = worker->config,
        .bus = &worker->bus,
        .store = &worker->store,
        .clock = &worker->clock,
        .tasks = worker->tasks,
        .cluster = worker->cluster,
        .accept_offsets = worker->config->accept_offsets,
        .copy_age_max_ms = copy_age_max_ms(worker),
    };
    status = mr_taker_open(taker, err);
    if (status != MR_OK)
        goto done;
    status = take_tasks(worker, taker, takings, list, err);
    mr_taker_close(taker);
done:
    free(taker);
    free(list);
    free(takings);
    return status;
}

static mr_status allocate(mr_worker *worker, mr_error *err)
{
    uint32_t offset_count;
    worker->intake.partitions(worker->intake.context, &offset_count);
    const size_t tasks = worker->tasks, offsets = offset_count;
    worker->seqs = calloc(tasks, sizeof *worker->seqs);
    worker->offsets = calloc(offsets, sizeof *worker->offsets);
    worker->epochs = calloc(tasks, sizeof *worker->epochs);
    worker->next_offsets = calloc(offsets, sizeof *worker->next_offsets);
    worker->marks = calloc(tasks, sizeof *worker->marks);
    worker->hashes = calloc(tasks, sizeof *worker->hashes);
    worker->pairs = calloc(tasks, sizeof *worker->pairs);
    worker->marker_offsets = calloc(offsets, sizeof *worker->marker_offsets);
    worker->idle_since_ms = calloc(tasks, sizeof *worker->idle_since_ms);
    if (worker->seqs == NULL || worker->offsets == NULL || worker->epochs == NULL ||
        worker->next_offsets == NULL || worker->marks == NULL || worker->hashes == NULL ||
        worker->pairs == NULL || worker->marker_offsets == NULL || worker->idle_since_ms == NULL)
        return out_of_memory(err);
    return MR_OK;
}

static void wake(void *context)
{
    mr_worker *worker = context;
    worker->intake.wake(worker->intake.context);
}

static mr_status open_commits(mr_worker *worker, mr_error *err)
{
    const mr_committer_options options = {
        .bus = &worker->bus,
        .clock = &worker->clock,
        .generations = worker->generations,
        .retries_max = (uint32_t)worker->config->commit_retries,
        .state_wait_ms = worker->config->state_wait,
        .threaded = true,
        .wake = wake,
        .wake_context = worker,
    };
    MR_TRY(mr_outputs_open(worker->config, worker->catalog, worker->tasks, &worker->outputs, err));
    return mr_committer_open(&options, &worker->committer, err);
}

static mr_status open_inputs(mr_worker *worker, mr_error *err)
{
    uint32_t count;
    worker->intake.partitions(worker->intake.context, &count);
    MR_TRY(mr_source_open(worker->config, worker->catalog, &worker->intake, worker->owned,
                          worker->owned_count, worker->offsets, count, &worker->source, err));
    return worker->intake.assign(worker->intake.context, worker->offsets, count, err);
}

mr_status mr_worker_open(mr_worker *worker, mr_error *err)
{
    worker->clock = mr_clock_system();
    worker->chance = mr_chance_system();
    const char *const directory = worker->config->schemas_directory;
    MR_TRY(mr_catalog_open(directory[0] != '\0' ? directory : NULL, &worker->catalog, err));
    MR_TRY(open_state(worker, err));
    MR_TRY(open_brokers(worker, err));
    MR_TRY(open_engine(worker, err));
    MR_TRY(allocate(worker, err));
    MR_TRY(restore(worker, err));
    MR_TRY(open_commits(worker, err));
    MR_TRY(open_inputs(worker, err));
    worker->closed_ms = worker->clock.now_ms(worker->clock.context);
    worker->window.begun_ms = worker->clock.wall_ms(worker->clock.context);
    return MR_OK;
}

mr_status mr_worker_close(mr_worker *worker, mr_error *err)
{
    mr_error ignored = {0};
    mr_status status = mr_committer_close(worker->committer, err);
    mr_source_close(worker->source);
    mr_kafka_consumer_close(worker->kafka.consumer);
    mr_kafka_producer_close(worker->kafka.producer);
    mr_kafka_reader_close(worker->kafka.reader);
    mr_kafka_admin_close(worker->kafka.admin);
    if (worker->open != NULL)
        mr_generations_cancel(worker->generations, worker->open);
    mr_generations_close(worker->generations);
    if (worker->local.store != NULL && mr_local_close(&worker->local, &ignored) != MR_OK &&
        status == MR_OK) {
        *err = ignored;
        status = err->status;
    }
    mr_outputs_close(worker->outputs);
    mr_lane_pool_close(worker->lanes);
    mr_catalog_close(worker->catalog);
    if (worker->engine_memory != NULL)
        munmap(worker->engine_memory, worker->engine_bytes);
    free(worker->fetched);
    free(worker->seqs);
    free(worker->offsets);
    free(worker->epochs);
    free(worker->next_offsets);
    free(worker->marks);
    free(worker->hashes);
    free(worker->pairs);
    free(worker->marker_offsets);
    free(worker->idle_since_ms);
    return status;
}
