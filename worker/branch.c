// SPDX-License-Identifier: Apache-2.0
// Epochs of one round: when an event comes that is epoch.interval_ms or more after the first of a
// task's epoch, or does not fit into its task's epoch any more, every epoch that is due is learned
// in one round. The order of events inside an epoch is that of mr_epoch_sort, with the line as
// offset.
#include "worker/branch.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"
#include "worker/container_file.h"
#include "worker/generations.h"
#include "worker/input/input.h"
#include "worker/lanes.h"
#include "worker/marker.h"
#include "worker/memory.h"
#include "worker/partitioner.h"
#include "worker/rewrite.h"
#include "worker/scratch.h"
#include "worker/store_port.h"
#include "worker/version.h"

enum { LIST_BYTES_MAX = 1 << 18, PATH_BYTES = 4096, LINES_PER_EVENT = 64 };

typedef struct gathering { // the epoch of one task that is being filled
    mr_epoch epoch;
    mr_arena arena; // what its events point to
    uint32_t lines;
    int64_t first_ms;
} gathering;

struct mr_branch {
    const mr_replay_options *options;
    mr_branch_hooks hooks;
    int64_t begun_ms;
    const mr_config *config;
    mr_replay_result *result;
    mr_engine_config engine_config;
    mr_engine *engine;
    void *memory;
    size_t memory_bytes;
    mr_lane_pool *pool;
    uint32_t tasks;
    gathering *gathered;
    mr_arrival *scratch;
    mr_epoch *round;

    char folder[PATH_BYTES];
    bool temporary;
    mr_local local;
    bool local_open;
    mr_store_port store;
    mr_clock clock;
    mr_generations *generations;
    mr_frozen *frozen; // of the commit that is being closed
    uint64_t history[2], *seqs;
    uint32_t *task_numbers;
    uint64_t commit_events; // since the last commit
    mr_container_file *lists;
    uint8_t *row, *list;
    mr_status list_status;
    mr_error list_error;
};

// ---- ports of the engine

static mr_status fetch_row(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                           mr_hash128 *hash, mr_error *err)
{
    mr_branch *b = context;
    return mr_generations_fetch(b->generations, task, key, b->row, value, hash, err);
}

static void take_row(void *context, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                     mr_hash128 *hash)
{
    mr_branch *b = context;
    *hash = mr_frozen_put_row(b->frozen, task, place == MR_ROW_OF_ITEM ? 1 : 0, key, value);
}

static void take_list(void *context, const mr_list *list)
{
    mr_branch *b = context;
    mr_writer out = mr_writer_make(b->list, LIST_BYTES_MAX);
    mr_encode_list(&out, list);
    MR_ASSERT(!out.full);
    if (b->result->judged)
        mr_measure_list(&b->result->measure, list);
    if (b->hooks.list != NULL)
        b->hooks.list(b->hooks.context, list);
    const mr_hash128 chain[2] = {b->result->lists_hash, mr_hash128_of(out.data, out.size, 0)};
    b->result->lists_hash = mr_hash128_of(chain, sizeof chain, 0);
    if (b->lists != NULL && b->list_status == MR_OK)
        b->list_status =
            mr_container_file_put(b->lists, mr_bytes_of(out.data, out.size), &b->list_error);
}

// ---- commits

static mr_status put_markers(mr_branch *b, mr_error *err)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    uint32_t frozen_tasks;
    const mr_frozen_task *frozen = mr_frozen_tasks(b->frozen, &frozen_tasks);
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    for (uint32_t t = 0; t < b->tasks; t++)
        pairs[t] = (mr_marker_pair){t, b->seqs[t]};
    for (uint32_t t = 0; t < b->tasks; t++)
        for (uint32_t changelog = 0; changelog < MR_STORE_CHANGELOGS; changelog++) {
            const mr_task_view view = mr_engine_task(b->engine, t);
            const mr_marker marker = {
                .history = {b->history[0], b->history[1]},
                .task = t,
                .tasks = b->tasks,
                .seq = b->seqs[t],
                .instance = mr_bytes_text(MR_REPLAY_INSTANCE),
                .commit = b->result->commits,
                .clock_ms = view.clock_ms,
                .config_hash = mr_config_hash(b->config),
                .release = mr_bytes_text(mr_version()),
                .here_count = frozen[t].here_count[changelog],
                .here_xor = frozen[t].here_xor[changelog],
                .row_count = view.row_count,
                .state_hash = view.state_hash,
                .pairs = pairs,
                .pair_count = b->tasks,
            };
            uint32_t bytes;
            MR_TRY(mr_marker_write(&marker, sealed, &bytes, err));
            mr_frozen_put_marker(b->frozen, t, changelog, mr_bytes_of(sealed, bytes));
        }
    return MR_OK;
}

static mr_status commit(mr_branch *b, mr_error *err)
{
    const mr_close_sink sink = {.context = b, .row = take_row, .list = take_list};
    MR_TRY(mr_generations_begin(b->generations, &b->frozen, err));
    MR_TRY(mr_frozen_begin(b->frozen, ++b->result->commits, b->task_numbers, b->tasks, err));
    MR_TRY(mr_engine_close(b->engine, b->seqs, &sink, err));
    if (b->list_status != MR_OK) {
        *err = b->list_error;
        return b->list_status;
    }
    MR_TRY(put_markers(b, err));
    MR_TRY(mr_frozen_seal(b->frozen, err));
    mr_generations_launch(b->generations, b->frozen);
    mr_generations_confirm(b->generations, b->frozen);
    MR_TRY(mr_generations_store(b->generations, err));
    mr_engine_stored(b->engine, mr_engine_closes(b->engine));
    for (uint32_t t = 0; t < b->tasks; t++)
        b->seqs[t]++;
    b->commit_events = 0;
    return MR_OK;
}

// ---- rounds

// Lists that were published before this round are the ones in force.
static void count_arrivals(mr_branch *b, const mr_epoch *epoch)
{
    for (uint32_t a = 0; a < epoch->count; a++) {
        const mr_arrival *arrival = &epoch->arrivals[a];
        if (arrival->cause != MR_CAUSE_NONE)
            b->result->refused[arrival->cause]++;
        if (arrival->learned && b->result->judged)
            mr_measure_event(&b->result->measure, &arrival->event);
    }
}

static mr_status learn(mr_branch *b, const bool *due, int64_t time_ms, mr_error *err)
{
    uint32_t count = 0, events = 0;
    for (uint32_t t = 0; t < b->tasks; t++)
        if (due[t] && b->gathered[t].epoch.count > 0) {
            mr_epoch_sort(b->gathered[t].epoch.arrivals, b->scratch, b->gathered[t].epoch.count);
            b->round[count++] = b->gathered[t].epoch;
            events += b->gathered[t].epoch.count;
        }
    if (count == 0)
        return MR_OK;
    mr_status status = mr_engine_round(b->engine, b->round, count, err);
    // Memory is full of what is not stored yet, or of users whose lists wait.
    for (bool helps = true; status == MR_RETRY && helps;) {
        MR_TRY(commit(b, err));
        helps = mr_engine_waiting(b->engine) > 0;
        status = mr_engine_round(b->engine, b->round, count, err);
    }
    if (status != MR_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        gathering *g = &b->gathered[b->round[i].task];
        count_arrivals(b, &b->round[i]);
        g->epoch.count = g->lines = 0;
        mr_arena_reset(&g->arena);
    }
    b->result->rounds++;
    b->result->epochs += count;
    b->result->events += events;
    b->commit_events += events;
    mr_replay_note(b->result, b->engine, time_ms);
    return b->commit_events >= (uint64_t)b->config->replay_commit_events ? commit(b, err) : MR_OK;
}

static bool has_room(const mr_branch *b, const gathering *g, const mr_event *event)
{
    const uint32_t lines = event->line_count > 0 ? event->line_count : 1;
    return g->epoch.count < b->engine_config.epoch_events_max &&
           g->lines + lines <= b->engine_config.epoch_events_max * LINES_PER_EVENT &&
           mr_input_copy_bytes(event) <= g->arena.size - g->arena.used;
}

static mr_status gather(mr_branch *b, const mr_arrival *arrival, mr_error *err)
{
    const mr_event *event = &arrival->event;
    const uint32_t task = mr_partition_of(event->user, b->tasks);
    gathering *g = &b->gathered[task];
    bool due[MR_MARKER_PAIRS_MAX], any = false;
    for (uint32_t t = 0; t < b->tasks; t++) {
        due[t] = b->gathered[t].epoch.count > 0 &&
                 event->time_ms - b->gathered[t].first_ms >= b->config->epoch_interval_ms;
        any |= due[t];
    }
    if (!has_room(b, g, event))
        any = due[task] = true;
    if (any)
        MR_TRY(learn(b, due, event->time_ms, err));
    if (g->epoch.count == 0)
        g->first_ms = event->time_ms;
    mr_arrival *to = &g->epoch.arrivals[g->epoch.count++];
    *to = *arrival;
    mr_input_copy(&to->event, event, &g->arena);
    g->lines += event->line_count > 0 ? event->line_count : 1;
    return MR_OK;
}

// ---- the state folder

static mr_status open_state(mr_branch *b, int64_t first_ms, mr_error *err)
{
    const mr_store_options options = {.map_bytes_max = (uint64_t)b->config->state_map_bytes_max,
                                      .sync = MR_SYNC_NONE};
    char path[PATH_BYTES + 8];
    if (snprintf(path, sizeof path, "%s/state", b->folder) >= PATH_BYTES)
        return mr_fail(err, MR_FATAL, "%s: the path is too long", b->folder);
    bool dropped;
    MR_TRY(mr_local_open(path, &options, &b->local, &dropped, err));
    b->local_open = true;
    b->store = mr_local_port(&b->local);
    mr_store_identity identity;
    MR_TRY(b->store.identity(b->store.context, &identity, err));
    if (identity.history[0] != 0 || identity.history[1] != 0)
        return mr_fail(err, MR_FATAL, "%s: holds a state already; name a new folder, or remove it",
                       path);
    const uint64_t birth[2] = {mr_config_hash(b->config), (uint64_t)first_ms};
    const mr_hash128 history = mr_hash128_of(birth, sizeof birth, 0);
    b->history[0] = identity.history[0] = history.low;
    b->history[1] = identity.history[1] = history.high;
    MR_TRY(b->store.identify(b->store.context, &identity, err));
    const mr_generations_options generations = {1ull << 40, 1, 0};
    return mr_generations_open(&generations, MR_MARKER_PAIRS_MAX, &b->store, &b->clock,
                               &b->generations, err);
}

static mr_status open_folder(mr_branch *b, mr_error *err)
{
    if (b->options->out != NULL) {
        if (mkdir(b->options->out, 0777) != 0 && errno != EEXIST)
            return mr_fail(err, MR_FATAL, "%s: %s", b->options->out, strerror(errno));
        snprintf(b->folder, sizeof b->folder, "%s", b->options->out);
        char path[PATH_BYTES + 16];
        snprintf(path, sizeof path, "%s/lists.avro", b->folder);
        const mr_builtin *schema = mr_builtin_find("list");
        return mr_container_file_open(path, mr_bytes_of(schema->text, schema->size), &b->lists,
                                      err);
    }
    MR_TRY(mr_scratch_make(b->folder, sizeof b->folder, err));
    b->temporary = true;
    return MR_OK;
}

// ---- opening and closing

static mr_status open_gathering(mr_branch *b, mr_error *err)
{
    const uint32_t events = b->engine_config.epoch_events_max;
    const size_t bytes = (size_t)b->config->epoch_bytes_max;
    b->gathered = calloc(b->tasks, sizeof *b->gathered);
    b->round = calloc(b->tasks, sizeof *b->round);
    b->seqs = calloc(b->tasks, sizeof *b->seqs);
    b->task_numbers = calloc(b->tasks, sizeof *b->task_numbers);
    b->scratch = calloc(events, sizeof *b->scratch);
    b->row = malloc(MR_ROW_BYTES_MAX);
    b->list = malloc(LIST_BYTES_MAX);
    bool good = b->gathered != NULL && b->round != NULL && b->seqs != NULL &&
                b->task_numbers != NULL && b->scratch != NULL && b->row != NULL && b->list != NULL;
    for (uint32_t t = 0; good && t < b->tasks; t++) {
        b->task_numbers[t] = t;
        void *memory = aligned_alloc(MR_ARENA_ALIGN, mr_arena_round(bytes));
        mr_arena_init(&b->gathered[t].arena, memory, mr_arena_round(bytes));
        b->gathered[t].epoch.task = t;
        b->gathered[t].epoch.arrivals = calloc(events, sizeof(mr_arrival));
        good = memory != NULL && b->gathered[t].epoch.arrivals != NULL;
    }
    return good ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

static mr_status open_engine(mr_branch *b, mr_error *err)
{
    MR_TRY(mr_methods_engine(b->options->methods, b->config, b->tasks, &b->engine_config, err));
    b->engine_config.measure_all = b->options->measure;
    b->engine_config.fetch = (mr_fetch){b, fetch_row};
    b->engine_config.watch =
        b->hooks.watch.now_ns != NULL ? b->hooks.watch : mr_watch_system();
    b->engine_config.probed = b->hooks.probed;
    if (b->result->lanes > 1) {
        MR_TRY(mr_lane_pool_open(b->result->lanes, &b->pool, err));
        b->engine_config.lanes = mr_lane_pool_port(b->pool);
    }
    MR_TRY(mr_engine_bytes(&b->engine_config, &b->memory_bytes, err));
    return mr_memory_engine(&b->engine_config, b->memory_bytes,
                            b->config->memory_pages == MR_PAGES_HUGE, &b->memory, &b->engine, err);
}

static mr_status open_measure(mr_branch *b, mr_error *err)
{
    const mr_measure_options options = {
        .users_max = MR_MEASURE_USERS_MAX,
        .items_max = (uint32_t)b->config->items_max,
        .resamples = MR_MEASURE_RESAMPLES,
        .seed = b->hooks.resample_seed,
        .field = b->options->field,
        .split = b->options->split.kind == MR_RANGE_TIME,
        .split_ms = b->options->split.value,
    };
    MR_TRY(mr_measure_open(&b->result->measure, &options, err));
    b->result->judged = true;
    return MR_OK;
}

static mr_status open_result(mr_branch *b, mr_error *err)
{
    mr_replay_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    b->result = result;
    result->samples = calloc(MR_SAMPLES_MAX, sizeof *result->samples);
    result->windows = calloc(MR_WINDOWS_MAX, sizeof *result->windows);
    result->sample_every = 64;
    result->tasks = b->tasks;
    result->lanes = b->hooks.lanes > 0 ? b->hooks.lanes : mr_lane_count(b->config->lanes);
    result->interval_ms = b->config->epoch_interval_ms;
    result->window_ms = b->options->window_ms;
    result->epoch_events_max = (uint32_t)b->config->epoch_events_max;
    result->commit_events = (uint64_t)b->config->replay_commit_events;
    if (result->samples == NULL || result->windows == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return b->options->judge ? open_measure(b, err) : MR_OK;
}

// ---- the history

static mr_status begin_history(mr_branch *b, int64_t first_ms, mr_error *err)
{
    b->result->first_ms = first_ms;
    MR_TRY(open_state(b, first_ms, err));
    for (uint32_t t = 0; t < b->tasks; t++) {
        b->seqs[t] = first_ms > 0 ? (uint64_t)first_ms : 1;
        mr_engine_take(b->engine, t, b->seqs[t]);
    }
    return mr_engine_ready(b->engine, err);
}

static mr_status write_results(const mr_branch *b, mr_error *err)
{
    char path[PATH_BYTES + 16];
    if (b->options->out == NULL)
        return MR_OK;
    snprintf(path, sizeof path, "%s/windows.csv", b->folder);
    MR_TRY(mr_replay_write_windows(b->result, path, err));
    snprintf(path, sizeof path, "%s/summary.json", b->folder);
    json_t *summary = mr_replay_json(b->result);
    const int failed = json_dump_file(summary, path, JSON_INDENT(2));
    json_decref(summary);
    return failed ? mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno)) : MR_OK;
}

static void conclude(mr_branch *b)
{
    mr_replay_result *result = b->result;
    result->seconds = (double)(b->clock.now_ms(b->clock.context) - b->begun_ms) / 1000.0;
    for (uint32_t t = 0; t < b->tasks; t++) {
        const mr_task_view view = mr_engine_task(b->engine, t);
        const mr_task_counters *c = &view.counters;
        mr_hash128_add(&result->state_hash, view.state_hash);
        result->counters.read += c->read;
        result->counters.learned += c->learned;
        result->counters.duplicate += c->duplicate;
        result->counters.late += c->late;
        result->counters.late_dropped += c->late_dropped;
        result->counters.limited += c->limited;
        result->counters.pending += c->pending;
        result->counters.refused += c->refused;
    }
    result->counters.read += result->unreadable;
    result->counters.refused += result->unreadable;
    result->memory_max_bytes = b->memory_bytes;
    result->resident_bytes = mr_memory_resident_max();
    mr_replay_conclude(result, b->engine, b->options->warmup);
}

// ---- the door

mr_status mr_branch_bytes(const mr_replay_options *options, size_t *bytes, mr_error *err)
{
    mr_engine_config engine;
    MR_TRY(mr_methods_engine(options->methods, options->config,
                             (uint32_t)options->config->replay_tasks, &engine, err));
    engine.measure_all = options->measure;
    return mr_engine_bytes(&engine, bytes, err);
}

void mr_branch_close(mr_branch *b)
{
    mr_error ignored;
    if (b == NULL)
        return;
    mr_generations_close(b->generations);
    if (b->local_open)
        (void)mr_local_close(&b->local, &ignored);
    (void)mr_container_file_close(b->lists, &ignored);
    if (b->temporary)
        mr_scratch_remove(b->folder);
    mr_memory_free(b->memory, b->memory_bytes);
    if (b->pool != NULL)
        mr_lane_pool_close(b->pool);
    for (uint32_t t = 0; b->gathered != NULL && t < b->tasks; t++) {
        free(b->gathered[t].arena.base);
        free(b->gathered[t].epoch.arrivals);
    }
    free(b->gathered);
    free(b->round);
    free(b->seqs);
    free(b->task_numbers);
    free(b->scratch);
    free(b->row);
    free(b->list);
    mr_replay_result_free(b->result);
    free(b);
}

mr_status mr_branch_open(const mr_replay_options *options, const mr_branch_hooks *hooks,
                         mr_branch **branch, mr_error *err)
{
    mr_branch *b = *branch = calloc(1, sizeof *b);
    if (b == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    b->options = options;
    b->hooks = *hooks;
    b->config = options->config;
    b->clock = mr_clock_system();
    b->begun_ms = b->clock.now_ms(b->clock.context);
    b->tasks = (uint32_t)options->config->replay_tasks;
    mr_status status = open_result(b, err);
    if (status == MR_OK)
        status = open_folder(b, err);
    if (status == MR_OK)
        status = open_engine(b, err);
    if (status == MR_OK)
        status = open_gathering(b, err);
    if (status != MR_OK) {
        mr_branch_close(b);
        *branch = NULL;
    }
    return status;
}

mr_status mr_branch_add(mr_branch *b, const mr_arrival *arrival, mr_error *err)
{
    if (b->generations == NULL)
        MR_TRY(begin_history(b, arrival->event.time_ms, err));
    return gather(b, arrival, err);
}

void mr_branch_refuse(mr_branch *b, mr_cause cause)
{
    b->result->refused[cause]++;
    b->result->unreadable++;
}

bool mr_branch_began(const mr_branch *b)
{
    return b->generations != NULL;
}

mr_status mr_branch_end(mr_branch *b, mr_error *err)
{
    bool all[MR_MARKER_PAIRS_MAX];
    memset(all, 1, sizeof all);
    MR_TRY(learn(b, all, b->result->clock_ms, err));
    if (b->commit_events > 0)
        MR_TRY(commit(b, err));
    conclude(b);
    return write_results(b, err);
}

const mr_engine *mr_branch_engine(const mr_branch *b)
{
    return b->engine;
}

mr_replay_result *mr_branch_result(mr_branch *b)
{
    return b->result;
}

mr_replay_result *mr_branch_take_result(mr_branch *b)
{
    mr_replay_result *result = b->result;
    b->result = NULL;
    return result;
}
