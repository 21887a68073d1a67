// SPDX-License-Identifier: Apache-2.0
// run_begin: the part of a worker that stands between its ports: engine, commits, source.
#include "worker/run.h"

#include <stdlib.h>
#include <string.h>

#include "state/row.h"
#include "worker/log.h"
#include "worker/memory.h"
#include "worker/store_port.h"

static mr_status out_of_memory(mr_error *err)
{
    return mr_fail(err, MR_FATAL, "out of memory");
}

// The engine's door to users' rows: the newest generation, or the store.
static mr_status fetch(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                       mr_hash128 *hash, mr_error *err)
{
    mr_worker *worker = context;
    return mr_generations_fetch(worker->generations, task, key, worker->fetched, value, hash, err);
}

static mr_status open_engine(mr_worker *worker, mr_error *err)
{
    mr_engine_config *config = &worker->engine_config;
    worker->config_hash = mr_config_hash(worker->config);
    MR_TRY(mr_methods_engine(worker->methods, worker->config, worker->tasks, config, err));
    MR_TRY(mr_lane_pool_open(mr_lane_count(worker->config->lanes), &worker->lanes, err));
    worker->fetched = malloc(MR_ROW_BYTES_MAX);
    if (worker->fetched == NULL)
        return out_of_memory(err);
    config->lanes = mr_lane_pool_port(worker->lanes);
    config->fetch = (mr_fetch){worker, fetch};
    config->exchange_bytes = (uint32_t)worker->config->deltas_bytes_max;
    MR_TRY(mr_engine_bytes(config, &worker->engine_bytes, err));
    mr_log(MR_LOG_INFO, "run", "memory",
           mr_log_long("engine_mib", (int64_t)(worker->engine_bytes >> 20)),
           mr_log_long("users_max", config->users_max), mr_log_text("kernels", config->vec->name));
    return mr_worker_reset_engine(worker, err);
}

mr_status mr_worker_reset_engine(mr_worker *worker, mr_error *err)
{
    mr_memory_free(worker->engine_memory, worker->engine_bytes);
    for (uint32_t shard = 0; shard < worker->tasks; shard++)
        mr_follower_place(worker->follower, shard, -1, 0);
    worker->chance.fill(worker->chance.context, &worker->engine_name, sizeof worker->engine_name);
    worker->engine_name |= 1; // 0 names none
    if (worker->traces != NULL) // as at the first engine
        mr_traces_clear(worker->traces);
    worker->engine = NULL;
    return mr_memory_engine(&worker->engine_config, worker->engine_bytes,
                            worker->config->memory_pages == MR_PAGES_HUGE, &worker->engine_memory,
                            &worker->engine, err);
}

// Loading rows into the engine.

static mr_status load_links(mr_worker *worker, const mr_taking *taking, mr_error *err)
{
    mr_marker marker = {0};
    if (!taking->fresh)
        MR_TRY(mr_taking_marker(worker->own.taker, taking->markers[0], &marker, err));
    mr_links_load(worker->links, taking->task, marker.links, marker.link_count);
    return MR_OK;
}

mr_status mr_worker_load(mr_worker *worker, const mr_taking *taking, mr_error *err)
{
    worker->idle_since_ms[taking->task] = 0;
    worker->placed[taking->task] = true;
    worker->seqs[taking->task] = taking->fresh
                                     ? (uint64_t)worker->clock.wall_ms(worker->clock.context)
                                     : taking->marker.seq + 1;
    MR_TRY(load_links(worker, taking, err));
    mr_engine_take(worker->engine, taking->task, worker->seqs[taking->task]);
    if (taking->fresh)
        return MR_OK;
    MR_TRY(mr_store_port_load(&worker->store, taking->task, worker->engine, err));
    const mr_task_view view = mr_engine_task(worker->engine, taking->task);
    if (view.row_count != taking->marker.row_count ||
        memcmp(&view.state_hash, &taking->marker.state_hash, sizeof view.state_hash) != 0)
        return mr_fail(err, MR_FATAL, "task %u: the engine took %llu rows of %llu: please report",
                       taking->task, (unsigned long long)view.row_count,
                       (unsigned long long)taking->marker.row_count);
    return MR_OK;
}

static mr_status allocate(mr_worker *worker, mr_error *err)
{
    const size_t tasks = worker->tasks;
    size_t inputs = 0;
    for (uint32_t i = 0; i < mr_config_reads(worker->config); i++) {
        worker->input_first[i] = (uint32_t)inputs;
        inputs += worker->partition_counts[i];
    }
    worker->seqs = calloc(tasks, sizeof *worker->seqs);
    worker->input_next = calloc(inputs, sizeof *worker->input_next);
    worker->offsets = calloc(inputs, sizeof *worker->offsets);
    worker->epochs = calloc(tasks, sizeof *worker->epochs);
    worker->next_offsets = calloc(inputs, sizeof *worker->next_offsets);
    worker->marks = calloc(tasks, sizeof *worker->marks);
    worker->hashes = calloc(tasks, sizeof *worker->hashes);
    worker->pairs = calloc(tasks, sizeof *worker->pairs);
    worker->marker_offsets = calloc(inputs, sizeof *worker->marker_offsets);
    worker->idle_since_ms = calloc(tasks, sizeof *worker->idle_since_ms);
    worker->link_rows = calloc(tasks, sizeof *worker->link_rows);
    worker->placed = calloc(tasks, sizeof *worker->placed);
    worker->taken_links = calloc(tasks, sizeof *worker->taken_links);
    worker->received_max = (uint32_t)(tasks * (size_t)worker->config->epoch_events_max);
    worker->received = calloc(worker->received_max, sizeof *worker->received);
    worker->delta = malloc(MR_DELTA_HEAD_BYTES + MR_DELTA_RECORD_MAX);
    if (worker->seqs == NULL || worker->input_next == NULL || worker->offsets == NULL ||
        worker->epochs == NULL || worker->next_offsets == NULL || worker->marks == NULL ||
        worker->hashes == NULL || worker->pairs == NULL || worker->marker_offsets == NULL ||
        worker->idle_since_ms == NULL || worker->link_rows == NULL || worker->placed == NULL ||
        worker->taken_links == NULL || worker->received == NULL || worker->delta == NULL)
        return out_of_memory(err);
    MR_TRY(mr_links_open(worker->tasks, &worker->links, err));
    return mr_follower_open(&worker->bus, worker->tasks, &worker->follower, err);
}

static void wake(void *context)
{
    mr_worker *worker = context;
    worker->intake.wake(worker->intake.context);
}

// What a commit may hold beyond commit.bytes_max, which says when no more is learned into it: the
// lists of its close, all that may be due, and its first round, which always has a place.
static size_t bytes_above_max(const mr_worker *worker)
{
    enum { LIST_BYTES = 768, ENTRY_BYTES = 96, LETTER_BYTES = 4096 }; // beside ids and values
    const mr_config *config = worker->config;
    const uint64_t lists = (uint64_t)config->lists_per_commit_max * worker->tasks;
    const uint64_t events = (uint64_t)config->epoch_events_max * worker->tasks;
    const uint64_t entries = lists * (uint64_t)config->lists_k;
    return mr_engine_most_bytes(worker->engine, events, lists) +
           lists * (LIST_BYTES + (uint64_t)config->users_id_bytes_max) +
           entries * (ENTRY_BYTES + (uint64_t)config->items_id_bytes_max) + events * LETTER_BYTES +
           worker->tasks * (uint64_t)config->epoch_bytes_max;
}

static mr_status open_commits(mr_worker *worker, bool threaded, mr_error *err)
{
    const mr_generations_options gathering = {
        .commit_bytes_max = (size_t)worker->config->commit_bytes_max + bytes_above_max(worker),
        .gather_bytes = (size_t)worker->config->state_gather_bytes,
        .gather_ms = worker->config->state_gather_ms,
    };
    mr_log(MR_LOG_INFO, "run", "largest commit",
           mr_log_long("mib", (int64_t)(gathering.commit_bytes_max >> 20)),
           mr_log_long("mib_of_learning", worker->config->commit_bytes_max >> 20));
    MR_TRY(mr_generations_open(&gathering, worker->tasks, &worker->store, &worker->clock,
                               &worker->generations, err));
    const mr_committer_options options = {
        .bus = &worker->bus,
        .clock = &worker->clock,
        .generations = worker->generations,
        .retries_max = (uint32_t)worker->config->commit_retries,
        .state_wait_ms = worker->config->state_wait,
        .threaded = threaded,
        .wake = wake,
        .wake_context = worker,
    };
    MR_TRY(mr_outputs_open(worker->config, worker->catalog, worker->tasks, &worker->outputs, err));
    for (int topic = 0; worker->numbered && topic < MR_TOPIC_COUNT; topic++) {
        if (mr_outputs_schema((mr_topic)topic) != NULL)
            mr_outputs_number(worker->outputs, (mr_topic)topic, worker->schema_ids[topic]);
    }
    return mr_committer_open(&options, &worker->committer, err);
}

mr_status mr_worker_begin(mr_worker *worker, bool threaded, int64_t copy_age_max_ms, mr_error *err)
{
    MR_TRY(allocate(worker, err));
    MR_TRY(open_engine(worker, err));
    MR_TRY(open_commits(worker, threaded, err));
    MR_TRY(mr_traces_open(&worker->traces, err));
    MR_TRY(mr_source_open(worker->config, worker->catalog, &worker->intake, &worker->source, err));
    MR_TRY(mr_ownership_open(worker, copy_age_max_ms, err));
    worker->closed_ms = worker->clock.now_ms(worker->clock.context);
    worker->window.begun_ms = worker->clock.wall_ms(worker->clock.context);
    return MR_OK;
}

mr_status mr_worker_end(mr_worker *worker, mr_error *err)
{
    const mr_status status = mr_committer_close(worker->committer, err);
    mr_source_close(worker->source);
    mr_traces_close(worker->traces);
    mr_follower_close(worker->follower);
    mr_links_close(worker->links);
    mr_ownership_close(worker);
    if (worker->open != NULL)
        mr_generations_cancel(worker->generations, worker->open);
    mr_generations_close(worker->generations);
    mr_outputs_close(worker->outputs);
    mr_lane_pool_close(worker->lanes);
    mr_memory_free(worker->engine_memory, worker->engine_bytes);
    free(worker->fetched);
    free(worker->seqs);
    free(worker->input_next);
    free(worker->offsets);
    free(worker->epochs);
    free(worker->next_offsets);
    free(worker->marks);
    free(worker->hashes);
    free(worker->pairs);
    free(worker->marker_offsets);
    free(worker->idle_since_ms);
    free(worker->link_rows);
    free(worker->placed);
    free(worker->taken_links);
    free(worker->received);
    free(worker->delta);
    return status;
}

// ---- inputs

void mr_worker_place(mr_worker *worker, const mr_offset *offsets, uint32_t offset_count)
{
    for (uint32_t i = 0; i < offset_count; i++)
        worker->input_next[worker->input_first[offsets[i].input] + offsets[i].partition] =
            offsets[i].next;
}

static bool is_held(const mr_worker *worker, uint32_t task)
{
    for (uint32_t i = 0; i < worker->own.held_count; i++) {
        if (worker->own.held[i] == task)
            return true;
    }
    return false;
}

mr_status mr_worker_read(mr_worker *worker, mr_error *err)
{
    uint32_t learned_count, all_count, count = 0;
    const mr_offset *learned = mr_source_offsets(worker->source, &learned_count);
    mr_worker_place(worker, learned, learned_count);
    const mr_offset *all = worker->intake.partitions(worker->intake.context, &all_count);
    for (uint32_t i = 0; i < all_count; i++) {
        const mr_offset *o = &all[i];
        if (!is_held(worker,
                     worker->intake.task_of(worker->intake.context, o->input, o->partition)))
            continue;
        worker->offsets[count] = *o;
        worker->offsets[count++].next =
            worker->input_next[worker->input_first[o->input] + o->partition];
    }
    MR_TRY(mr_source_assign(worker->source, worker->own.held, worker->own.held_count,
                            worker->offsets, count, err));
    return mr_follower_follow(worker->follower, worker->own.held, worker->own.held_count, err);
}
