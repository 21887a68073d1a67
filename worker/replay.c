// SPDX-License-Identifier: Apache-2.0
// replay: file -> epochs -> engine -> rows in a state folder, lists in a file.
//
// Epochs of one round: when an event comes that is epoch.interval_ms or more after the first of a
// task's epoch, or does not fit into its task's epoch any more, every epoch that is due is learned
// in one round. The order of events inside an epoch is that of mr_epoch_sort, with the line as
// offset.
#include "worker/replay.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/builtin.h"
#include "schemas/encode.h"
#include "worker/container_file.h"
#include "worker/generations.h"
#include "worker/input/input.h"
#include "worker/lanes.h"
#include "worker/mapped.h"
#include "worker/marker.h"
#include "worker/memory.h"
#include "worker/progress.h"
#include "worker/replay_result.h"
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

typedef struct replay {
    const mr_replay_options *options;
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
} replay;

// ---- ports of the engine

static mr_status fetch_row(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                           mr_hash128 *hash, mr_error *err)
{
    replay *r = context;
    return mr_generations_fetch(r->generations, task, key, r->row, value, hash, err);
}

static void take_row(void *context, uint32_t task, mr_row_place place, mr_bytes key, mr_bytes value,
                     mr_hash128 *hash)
{
    replay *r = context;
    *hash = mr_frozen_put_row(r->frozen, task, place == MR_ROW_OF_ITEM ? 1 : 0, key, value);
}

static void take_list(void *context, const mr_list *list)
{
    replay *r = context;
    mr_writer out = mr_writer_make(r->list, LIST_BYTES_MAX);
    mr_encode_list(&out, list);
    MR_ASSERT(!out.full);
    if (r->result->judged)
        mr_measure_list(&r->result->measure, list);
    const mr_hash128 chain[2] = {r->result->lists_hash, mr_hash128_of(out.data, out.size, 0)};
    r->result->lists_hash = mr_hash128_of(chain, sizeof chain, 0);
    if (r->lists != NULL && r->list_status == MR_OK)
        r->list_status =
            mr_container_file_put(r->lists, mr_bytes_of(out.data, out.size), &r->list_error);
}

// ---- commits

static mr_status put_markers(replay *r, mr_error *err)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    uint32_t frozen_tasks;
    const mr_frozen_task *frozen = mr_frozen_tasks(r->frozen, &frozen_tasks);
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    for (uint32_t t = 0; t < r->tasks; t++)
        pairs[t] = (mr_marker_pair){t, r->seqs[t]};
    for (uint32_t t = 0; t < r->tasks; t++)
        for (uint32_t changelog = 0; changelog < MR_STORE_CHANGELOGS; changelog++) {
            const mr_task_view view = mr_engine_task(r->engine, t);
            const mr_marker marker = {
                .history = {r->history[0], r->history[1]},
                .task = t,
                .tasks = r->tasks,
                .seq = r->seqs[t],
                .instance = mr_bytes_text(MR_REPLAY_INSTANCE),
                .commit = r->result->commits,
                .clock_ms = view.clock_ms,
                .config_hash = mr_config_hash(r->config),
                .release = mr_bytes_text(mr_version()),
                .here_count = frozen[t].here_count[changelog],
                .here_xor = frozen[t].here_xor[changelog],
                .row_count = view.row_count,
                .state_hash = view.state_hash,
                .pairs = pairs,
                .pair_count = r->tasks,
            };
            uint32_t bytes;
            MR_TRY(mr_marker_write(&marker, sealed, &bytes, err));
            mr_frozen_put_marker(r->frozen, t, changelog, mr_bytes_of(sealed, bytes));
        }
    return MR_OK;
}

static mr_status commit(replay *r, mr_error *err)
{
    const mr_close_sink sink = {.context = r, .row = take_row, .list = take_list};
    MR_TRY(mr_generations_begin(r->generations, &r->frozen, err));
    MR_TRY(mr_frozen_begin(r->frozen, ++r->result->commits, r->task_numbers, r->tasks, err));
    MR_TRY(mr_engine_close(r->engine, r->seqs, &sink, err));
    if (r->list_status != MR_OK) {
        *err = r->list_error;
        return r->list_status;
    }
    MR_TRY(put_markers(r, err));
    MR_TRY(mr_frozen_seal(r->frozen, err));
    mr_generations_launch(r->generations, r->frozen);
    mr_generations_confirm(r->generations, r->frozen);
    MR_TRY(mr_generations_store(r->generations, err));
    mr_engine_stored(r->engine, mr_engine_closes(r->engine));
    for (uint32_t t = 0; t < r->tasks; t++)
        r->seqs[t]++;
    r->commit_events = 0;
    return MR_OK;
}

// ---- rounds

// Lists that were published before this round are the ones in force.
static void count_arrivals(replay *r, const mr_epoch *epoch)
{
    for (uint32_t a = 0; a < epoch->count; a++) {
        const mr_arrival *arrival = &epoch->arrivals[a];
        if (arrival->cause != MR_CAUSE_NONE)
            r->result->refused[arrival->cause]++;
        if (arrival->learned && r->result->judged)
            mr_measure_event(&r->result->measure, &arrival->event);
    }
}

static mr_status learn(replay *r, const bool *due, int64_t time_ms, mr_error *err)
{
    uint32_t count = 0, events = 0;
    for (uint32_t t = 0; t < r->tasks; t++)
        if (due[t] && r->gathered[t].epoch.count > 0) {
            mr_epoch_sort(r->gathered[t].epoch.arrivals, r->scratch, r->gathered[t].epoch.count);
            r->round[count++] = r->gathered[t].epoch;
            events += r->gathered[t].epoch.count;
        }
    if (count == 0)
        return MR_OK;
    mr_status status = mr_engine_round(r->engine, r->round, count, err);
    // Memory is full of what is not stored yet, or of users whose lists wait: closes make room as
    // long as fewer wait each time.
    for (uint32_t waiting = UINT32_MAX;
         status == MR_RETRY && mr_engine_waiting(r->engine) < waiting;) {
        waiting = mr_engine_waiting(r->engine);
        MR_TRY(commit(r, err));
        status = mr_engine_round(r->engine, r->round, count, err);
    }
    if (status != MR_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        gathering *g = &r->gathered[r->round[i].task];
        count_arrivals(r, &r->round[i]);
        g->epoch.count = g->lines = 0;
        mr_arena_reset(&g->arena);
    }
    r->result->rounds++;
    r->result->epochs += count;
    r->result->events += events;
    r->commit_events += events;
    mr_replay_note(r->result, r->engine, time_ms);
    return r->commit_events >= (uint64_t)r->config->replay_commit_events ? commit(r, err) : MR_OK;
}

static bool has_room(const replay *r, const gathering *g, const mr_event *event)
{
    const uint32_t lines = event->line_count > 0 ? event->line_count : 1;
    return g->epoch.count < r->engine_config.epoch_events_max &&
           g->lines + lines <= r->engine_config.epoch_events_max * LINES_PER_EVENT &&
           mr_input_copy_bytes(event) <= g->arena.size - g->arena.used;
}

static mr_status gather(replay *r, const mr_arrival *arrival, mr_error *err)
{
    const mr_event *event = &arrival->event;
    const uint32_t task = mr_partition_of(event->user, r->tasks);
    gathering *g = &r->gathered[task];
    bool due[MR_MARKER_PAIRS_MAX], any = false;
    for (uint32_t t = 0; t < r->tasks; t++) {
        due[t] = r->gathered[t].epoch.count > 0 &&
                 event->time_ms - r->gathered[t].first_ms >= r->config->epoch_interval_ms;
        any |= due[t];
    }
    if (!has_room(r, g, event))
        any = due[task] = true;
    if (any)
        MR_TRY(learn(r, due, event->time_ms, err));
    if (g->epoch.count == 0)
        g->first_ms = event->time_ms;
    mr_arrival *to = &g->epoch.arrivals[g->epoch.count++];
    *to = *arrival;
    mr_input_copy(&to->event, event, &g->arena);
    g->lines += event->line_count > 0 ? event->line_count : 1;
    return MR_OK;
}

// ---- the state folder

static mr_status open_state(replay *r, int64_t first_ms, mr_error *err)
{
    const mr_store_options options = {.map_bytes_max = (uint64_t)r->config->state_map_bytes_max,
                                      .sync = MR_SYNC_NONE};
    char path[PATH_BYTES + 8];
    if (snprintf(path, sizeof path, "%s/state", r->folder) >= PATH_BYTES)
        return mr_fail(err, MR_FATAL, "%s: the path is too long", r->folder);
    bool dropped;
    MR_TRY(mr_local_open(path, &options, &r->local, &dropped, err));
    r->local_open = true;
    r->store = mr_local_port(&r->local);
    mr_store_identity identity;
    MR_TRY(r->store.identity(r->store.context, &identity, err));
    if (identity.history[0] != 0 || identity.history[1] != 0)
        return mr_fail(err, MR_FATAL, "%s: holds a state already; name a new folder, or remove it",
                       path);
    const uint64_t birth[2] = {mr_config_hash(r->config), (uint64_t)first_ms};
    const mr_hash128 history = mr_hash128_of(birth, sizeof birth, 0);
    r->history[0] = identity.history[0] = history.low;
    r->history[1] = identity.history[1] = history.high;
    MR_TRY(r->store.identify(r->store.context, &identity, err));
    const mr_generations_options generations = {1ull << 40, 1, 0};
    return mr_generations_open(&generations, MR_MARKER_PAIRS_MAX, &r->store, &r->clock,
                               &r->generations, err);
}

static mr_status open_folder(replay *r, mr_error *err)
{
    if (r->options->out != NULL) {
        if (mkdir(r->options->out, 0777) != 0 && errno != EEXIST)
            return mr_fail(err, MR_FATAL, "%s: %s", r->options->out, strerror(errno));
        snprintf(r->folder, sizeof r->folder, "%s", r->options->out);
        char path[PATH_BYTES + 16];
        snprintf(path, sizeof path, "%s/lists.avro", r->folder);
        const mr_builtin *schema = mr_builtin_find("list");
        return mr_container_file_open(path, mr_bytes_of(schema->text, schema->size), &r->lists,
                                      err);
    }
    MR_TRY(mr_scratch_make(r->folder, sizeof r->folder, err));
    r->temporary = true;
    return MR_OK;
}

// ---- opening and closing

static mr_status open_gathering(replay *r, mr_error *err)
{
    const uint32_t events = r->engine_config.epoch_events_max;
    const size_t bytes = (size_t)r->config->epoch_bytes_max;
    r->gathered = calloc(r->tasks, sizeof *r->gathered);
    r->round = calloc(r->tasks, sizeof *r->round);
    r->seqs = calloc(r->tasks, sizeof *r->seqs);
    r->task_numbers = calloc(r->tasks, sizeof *r->task_numbers);
    r->scratch = calloc(events, sizeof *r->scratch);
    r->row = malloc(MR_ROW_BYTES_MAX);
    r->list = malloc(LIST_BYTES_MAX);
    bool good = r->gathered != NULL && r->round != NULL && r->seqs != NULL &&
                r->task_numbers != NULL && r->scratch != NULL && r->row != NULL && r->list != NULL;
    for (uint32_t t = 0; good && t < r->tasks; t++) {
        r->task_numbers[t] = t;
        void *memory = aligned_alloc(MR_ARENA_ALIGN, mr_arena_round(bytes));
        mr_arena_init(&r->gathered[t].arena, memory, mr_arena_round(bytes));
        r->gathered[t].epoch.task = t;
        r->gathered[t].epoch.arrivals = calloc(events, sizeof(mr_arrival));
        good = memory != NULL && r->gathered[t].epoch.arrivals != NULL;
    }
    return good ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

static mr_status open_engine(replay *r, mr_error *err)
{
    MR_TRY(mr_methods_engine(r->options->methods, r->config, r->tasks, &r->engine_config, err));
    r->engine_config.measure_all = r->options->measure;
    r->engine_config.fetch = (mr_fetch){r, fetch_row};
    r->engine_config.watch = mr_watch_system();
    const uint32_t lanes = mr_lane_count(r->config->lanes);
    if (lanes > 1) {
        MR_TRY(mr_lane_pool_open(lanes, &r->pool, err));
        r->engine_config.lanes = mr_lane_pool_port(r->pool);
    }
    MR_TRY(mr_engine_bytes(&r->engine_config, &r->memory_bytes, err));
    return mr_memory_engine(&r->engine_config, r->memory_bytes,
                            r->config->memory_pages == MR_PAGES_HUGE, &r->memory, &r->engine, err);
}

static mr_status open_measure(replay *r, mr_error *err)
{
    const mr_measure_options options = {
        .users_max = MR_MEASURE_USERS_MAX,
        .items_max = (uint32_t)r->config->items_max,
        .resamples = MR_MEASURE_RESAMPLES,
        .seed = (uint64_t)r->config->seed,
        .field = r->options->field,
        .split = r->options->split.kind == MR_RANGE_TIME,
        .split_ms = r->options->split.value,
    };
    MR_TRY(mr_measure_open(&r->result->measure, &options, err));
    r->result->judged = true;
    return MR_OK;
}

static mr_status open_result(replay *r, mr_error *err)
{
    mr_replay_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    r->result = result;
    result->samples = calloc(MR_SAMPLES_MAX, sizeof *result->samples);
    result->windows = calloc(MR_WINDOWS_MAX, sizeof *result->windows);
    result->sample_every = 64;
    result->tasks = r->tasks;
    result->lanes = mr_lane_count(r->config->lanes);
    result->interval_ms = r->config->epoch_interval_ms;
    result->window_ms = r->options->window_ms;
    result->epoch_events_max = (uint32_t)r->config->epoch_events_max;
    result->commit_events = (uint64_t)r->config->replay_commit_events;
    if (result->samples == NULL || result->windows == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return r->options->judge ? open_measure(r, err) : MR_OK;
}

static void close_all(replay *r)
{
    mr_error ignored;
    mr_generations_close(r->generations);
    if (r->local_open)
        (void)mr_local_close(&r->local, &ignored);
    (void)mr_container_file_close(r->lists, &ignored);
    if (r->temporary)
        mr_scratch_remove(r->folder);
    mr_memory_free(r->memory, r->memory_bytes);
    if (r->pool != NULL)
        mr_lane_pool_close(r->pool);
    for (uint32_t t = 0; r->gathered != NULL && t < r->tasks; t++) {
        free(r->gathered[t].arena.base);
        free(r->gathered[t].epoch.arrivals);
    }
    free(r->gathered);
    free(r->round);
    free(r->seqs);
    free(r->task_numbers);
    free(r->scratch);
    free(r->row);
    free(r->list);
}

// ---- reading

static mr_status begin_history(replay *r, int64_t first_ms, mr_error *err)
{
    r->result->first_ms = first_ms;
    MR_TRY(open_state(r, first_ms, err));
    for (uint32_t t = 0; t < r->tasks; t++) {
        r->seqs[t] = first_ms > 0 ? (uint64_t)first_ms : 1;
        mr_engine_take(r->engine, t, r->seqs[t]);
    }
    return mr_engine_ready(r->engine, err);
}

// Reads all arrivals, and closes them.
static mr_status read_arrivals(replay *r, mr_arrivals *in, mr_error *err)
{
    mr_progress progress;
    uint64_t done, total, count = 0;
    in->progress(in->context, &done, &total);
    mr_progress_begin(&progress, r->options->progress ? stderr : NULL,
                      mr_progress_is_terminal(stderr), in->name, total,
                      r->clock.now_ms(r->clock.context));
    mr_status status = MR_OK;
    for (bool more = true; status == MR_OK;) {
        mr_arrival arrival;
        status = in->next(in->context, &arrival, &more, err);
        if (status == MR_OK && !more)
            break;
        if (status == MR_REJECT) { // this record is bad: counted, the replay goes on
            r->result->refused[err->cause]++;
            r->result->unreadable++;
            status = MR_OK;
            continue;
        }
        if (status != MR_OK)
            break;
        if (r->generations == NULL)
            status = begin_history(r, arrival.event.time_ms, err);
        if (status == MR_OK)
            status = gather(r, &arrival, err);
        if (++count % 256 == 0) {
            in->progress(in->context, &done, &total);
            mr_progress_update(&progress, done, NULL, r->clock.now_ms(r->clock.context));
        }
    }
    in->progress(in->context, &done, &total);
    mr_progress_end(&progress, done, NULL, r->clock.now_ms(r->clock.context));
    in->close(in->context);
    return status;
}

static mr_status read_files(replay *r, mr_error *err)
{
    mr_mapped mapped = {0};
    int64_t lines = 0; // over all files: the offset of an event
    if (r->options->mapped_as != NULL)
        MR_TRY(mr_mapped_named(r->config, r->options->mapped_as, &mapped, err));
    for (uint32_t i = 0; i < r->options->input_count; i++) {
        mr_arrivals in;
        MR_TRY(mr_arrivals_of_file(r->options->inputs[i],
                                   r->options->mapped_as != NULL ? &mapped.mapping : NULL,
                                   r->options->format, &lines, &in, err));
        MR_TRY(read_arrivals(r, &in, err));
    }
    return MR_OK;
}

static mr_status read_topics(replay *r, mr_error *err)
{
    mr_arrivals in;
    MR_TRY(mr_arrivals_of_topics(r->config, r->options->from, r->options->to, &in, err));
    return read_arrivals(r, &in, err);
}

static mr_status read_traffic(replay *r, mr_error *err)
{
    mr_arrivals in;
    MR_TRY(mr_arrivals_of_traffic(r->options->traffic, &in, err));
    return read_arrivals(r, &in, err);
}

static mr_status read_all(replay *r, mr_error *err)
{
    const mr_replay_options *o = r->options;
    MR_TRY(o->topics            ? read_topics(r, err)
           : o->traffic != NULL ? read_traffic(r, err)
                                : read_files(r, err));
    if (r->generations == NULL) // made-up events can all be read
        return mr_fail(err, MR_FATAL, "%s: no event that could be read",
                       o->topics ? "the topics' range" : o->inputs[0]);
    bool all[MR_MARKER_PAIRS_MAX];
    memset(all, 1, sizeof all);
    MR_TRY(learn(r, all, r->result->clock_ms, err));
    return r->commit_events > 0 ? commit(r, err) : MR_OK;
}

static mr_status write_results(const replay *r, mr_error *err)
{
    char path[PATH_BYTES + 16];
    if (r->options->out == NULL)
        return MR_OK;
    snprintf(path, sizeof path, "%s/windows.csv", r->folder);
    MR_TRY(mr_replay_write_windows(r->result, path, err));
    snprintf(path, sizeof path, "%s/summary.json", r->folder);
    json_t *summary = mr_replay_json(r->result);
    const int failed = json_dump_file(summary, path, JSON_INDENT(2));
    json_decref(summary);
    return failed ? mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno)) : MR_OK;
}

static void conclude(replay *r, int64_t begun_ms)
{
    mr_replay_result *result = r->result;
    result->seconds = (double)(r->clock.now_ms(r->clock.context) - begun_ms) / 1000.0;
    for (uint32_t t = 0; t < r->tasks; t++) {
        const mr_task_view view = mr_engine_task(r->engine, t);
        const mr_task_counters *c = &view.counters;
        mr_hash128_add(&result->state_hash, view.state_hash);
        result->counters.read += c->read;
        result->counters.learned += c->learned;
        result->counters.duplicate += c->duplicate;
        result->counters.late += c->late;
        result->counters.late_dropped += c->late_dropped;
        result->counters.limited += c->limited;
        result->counters.refused += c->refused;
    }
    result->counters.read += result->unreadable;
    result->counters.refused += result->unreadable;
    result->memory_max_bytes = r->memory_bytes;
    result->resident_bytes = mr_memory_resident_max();
    mr_replay_conclude(result, r->engine, r->options->warmup);
}

mr_status mr_replay_run(const mr_replay_options *options, mr_replay_result **result, mr_error *err)
{
    replay r = {.options = options,
                .config = options->config,
                .clock = mr_clock_system(),
                .tasks = (uint32_t)options->config->replay_tasks};
    const int64_t begun_ms = r.clock.now_ms(r.clock.context);
    mr_status status = open_result(&r, err);
    if (status == MR_OK)
        status = open_folder(&r, err);
    if (status == MR_OK)
        status = open_engine(&r, err);
    if (status == MR_OK)
        status = open_gathering(&r, err);
    if (status == MR_OK)
        status = read_all(&r, err);
    if (status == MR_OK) {
        conclude(&r, begun_ms);
        status = write_results(&r, err);
    }
    close_all(&r);
    if (status != MR_OK) {
        mr_replay_result_free(r.result);
        r.result = NULL;
    }
    *result = r.result;
    return status;
}
