// SPDX-License-Identifier: Apache-2.0
// run: the loop. Messages become epochs, epochs are learned in rounds, rounds are committed: while
// one commit is on its way the next rounds are learned. Nothing here computes what is learned or
// published.
#include "worker/run.h"

#include <stdlib.h>
#include <string.h>

#include "state/failpoint.h"
#include "worker/log.h"
#include "worker/planted.h"
#include "worker/version.h"

enum {
    BUSY_FACTOR = 4,  // while behind: the next commit waits so many times as long as the last took
    TIMED_EVERY = 16, // events
    ROUNDS_A_TURN = 16, // before the group is served again
    FOLLOW_MS = 5,      // between two looks at a changelog or a commit that is waited for
    JOIN_MS = 120000,   // beside the session time-out
};

static uint32_t task_of(const mr_worker *worker, const mr_offset *offset)
{
    return worker->intake.task_of(worker->intake.context, offset->input, offset->partition);
}

// Learning.

static void put_refused(void *context, const mr_refused *refused)
{
    mr_worker *worker = context;
    mr_refused told = *refused;
    // What a reason shows of a record may be an id, where the mapping took it for something else.
    if (worker->config->users_pseudonym_key[0] != '\0')
        told.reason = mr_cause_text(refused->cause);
    mr_outputs_dead_letter(worker->outputs, worker->open, &told);
    mr_log(MR_LOG_WARNING, "source", "refused",
           mr_log_text("topic", mr_config_topic(worker->config, refused->input)),
           mr_log_long("partition", (int64_t)refused->message->partition),
           mr_log_long("offset", refused->message->offset),
           mr_log_text("cause", mr_cause_name(refused->cause)), mr_log_text("error", told.reason));
}

// The next offsets of a task's inputs, in worker->next_offsets; returns how many.
static uint32_t next_offsets(mr_worker *worker, uint32_t task)
{
    uint32_t count = 0, offset_count;
    const mr_offset *offsets = mr_source_offsets(worker->source, &offset_count);
    for (uint32_t i = 0; i < offset_count; i++) {
        if (task_of(worker, &offsets[i]) != task)
            continue;
        const char *const topic = mr_config_topic(worker->config, offsets[i].input);
        worker->next_offsets[count++] =
            (mr_next_offset){mr_bytes_text(topic), (int32_t)offsets[i].partition, offsets[i].next};
    }
    return count;
}

// Notes for the epoch record where the inputs of tasks go on that were taken since the last commit.
static void note_places(mr_worker *worker)
{
    bool begun = false;
    for (uint32_t i = 0; i < worker->own.held_count; i++) {
        const uint32_t task = worker->own.held[i];
        const mr_task_view view = mr_engine_task(worker->engine, task);
        if (!worker->placed[task])
            continue;
        if (!begun)
            mr_outputs_round(worker->outputs, NULL, 0);
        begun = true;
        mr_outputs_epoch(worker->outputs,
                         &(mr_task_epoch){.task = task,
                                          .epoch = (int64_t)view.epoch,
                                          .clock_ms = view.clock_ms,
                                          .offsets = worker->next_offsets,
                                          .offset_count = next_offsets(worker, task)});
    }
}

static mr_status begin_commit(mr_worker *worker, mr_error *err)
{
    if (worker->open != NULL)
        return MR_OK;
    MR_TRY(mr_generations_begin(worker->generations, &worker->open, err));
    worker->open_times.count = 0;
    note_places(worker);
    return mr_frozen_begin(worker->open, ++worker->commit_number, worker->own.held,
                           worker->own.held_count, err);
}

// Notes an epoch that was learned for the epoch record: where its inputs end, and the last links
// that it took in.
static void note_epoch(mr_worker *worker, const mr_epoch *epoch)
{
    const mr_task_view view = mr_engine_task(worker->engine, epoch->task);
    const mr_task_epoch noted = {
        .task = epoch->task,
        .epoch = (int64_t)view.epoch,
        .clock_ms = view.clock_ms,
        .tick_ms = mr_planted(MR_BUG_TICK_UNNOTED) ? 0 : epoch->tick_ms,
        .offsets = worker->next_offsets,
        .offset_count = epoch->tick_ms == 0 ? next_offsets(worker, epoch->task) : 0,
        .links = worker->taken_links,
        .link_count = epoch->received_count > 0
                          ? mr_links_taken(worker->links, epoch->task, worker->taken_links)
                          : 0,
    };
    mr_outputs_epoch(worker->outputs, &noted);
}

// Notes a round that was learned, with the shards of foreign items that moved before it.
static void note_round(mr_worker *worker, const mr_epoch *epochs, uint32_t count)
{
    uint32_t view_count;
    const mr_sequence *views = mr_follower_shown(worker->follower, &view_count);
    if (mr_planted(MR_BUG_VIEW_NOTED_LATE))
        view_count = 0; // the close notes them
    else
        mr_follower_noted(worker->follower);
    mr_outputs_round(worker->outputs, views, view_count);
    for (uint32_t i = 0; i < count; i++)
        note_epoch(worker, &epochs[i]);
}

// Deltas.

static mr_status lost_deltas(mr_worker *worker, const mr_delta *delta, mr_error *err)
{
    worker->deltas_lost++;
    if (worker->config->on_delta_gap == MR_GAP_STOP)
        return mr_fail(err, MR_FATAL,
                       "deltas of task %u to task %u are lost before link %llu: on_delta_gap: "
                       "continue goes on without them",
                       delta->sender, delta->receiver, (unsigned long long)delta->link);
    mr_log(MR_LOG_WARNING, "links", "deltas are lost", mr_log_long("sender", delta->sender),
           mr_log_long("receiver", delta->receiver), mr_log_long("link", (int64_t)delta->link));
    return MR_OK;
}

// Whether a record of deltas is to be learned now: of this history, whole, and the next of its
// link, which advances.
static mr_status accept_delta(mr_worker *worker, uint32_t task, mr_bytes value, mr_delta *delta,
                              bool *accepted, mr_error *err)
{
    const bool over_gaps = worker->config->on_delta_gap == MR_GAP_CONTINUE;
    mr_link_verdict verdict;
    *accepted = false;
    MR_TRY(mr_links_accept(worker->links, worker->engine, worker->own.history, task, value,
                           over_gaps, delta, &verdict, err));
    if (verdict == MR_LINK_GAP)
        MR_TRY(lost_deltas(worker, delta, err));
    worker->deltas_foreign += verdict == MR_LINK_FOREIGN;
    worker->deltas_seen_again += verdict == MR_LINK_SEEN;
    *accepted = verdict == MR_LINK_NEXT || verdict == MR_LINK_GAP;
    return MR_OK;
}

// Replaces what an epoch received by the engine's records in it that are to be learned. Errors:
// MR_FATAL: a damaged record, or a gap, where on_delta_gap says stop.
static mr_status accept_deltas(mr_worker *worker, mr_epoch *epoch, uint32_t *used, mr_error *err)
{
    const uint32_t first = *used;
    if (epoch->received_count > 0)
        mr_links_keep(worker->links, epoch->task);
    for (uint32_t i = 0; i < epoch->received_count; i++) {
        mr_delta delta;
        bool accepted;
        mr_status status =
            accept_delta(worker, epoch->task, epoch->received[i], &delta, &accepted, err);
        if (status == MR_REJECT) {
            worker->deltas_lost++;
            if (worker->config->on_delta_gap == MR_GAP_STOP)
                return err->status = MR_FATAL;
            mr_log(MR_LOG_WARNING, "links", "deltas are lost", mr_log_text("error", err->text));
            continue;
        }
        MR_TRY(status);
        MR_ASSERT(*used < worker->received_max);
        if (accepted)
            worker->received[(*used)++] = delta.record;
    }
    epoch->received = worker->received + first;
    epoch->received_count = *used - first;
    return MR_OK;
}

// The epochs that the engine learns: those that hold an event, a tick or deltas.
static uint32_t to_learn(const mr_epoch *epochs, uint32_t count, mr_epoch *learn)
{
    uint32_t learn_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (epochs[i].count > 0 || epochs[i].tick_ms > 0 || epochs[i].received_count > 0)
            learn[learn_count++] = epochs[i];
    }
    return learn_count;
}

// Every so many events, when its record was written: for the latency from there to the list.
static void note_times(mr_worker *worker, const mr_epoch *epoch)
{
    mr_record_times *times = &worker->open_times;
    for (uint32_t a = 0; a < epoch->count; a++) {
        if ((worker->events_timed++ % TIMED_EVERY == 0 || times->count == 0) &&
            times->count < MR_TIMES_MAX)
            times->ms[times->count++] = epoch->arrivals[a].record_ms;
    }
}

// The requests that the next lists of users belong to: those of the events that make one.
static void note_traces(mr_worker *worker, const mr_epoch *epoch)
{
    for (uint32_t a = 0; a < epoch->count; a++) {
        const mr_arrival *arrival = &epoch->arrivals[a];
        const mr_event *event = &arrival->event;
        if (arrival->trace.data != NULL && arrival->learned &&
            event->kind != MR_EVENT_CATALOGUE && event->kind != MR_EVENT_SEARCH)
            mr_traces_note(worker->traces, epoch->task, event->user, arrival->trace);
    }
}

// The round was not learned: it will be tried again with the same records.
static void give_links_back(mr_worker *worker, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (worker->epochs[i].received_count > 0)
            mr_links_restore(worker->links, worker->epochs[i].task);
    }
}

static mr_status learn(mr_worker *worker, uint32_t count, mr_error *err)
{
    mr_epoch learned[MR_MARKER_PAIRS_MAX];
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        MR_TRY(accept_deltas(worker, &worker->epochs[i], &used, err));
    const uint32_t learn_count = to_learn(worker->epochs, count, learned);
    mr_status status = MR_OK;
    if (learn_count > 0)
        status = mr_engine_round(worker->engine, learned, learn_count, err);
    mr_failpoint("learning");
    if (status != MR_OK) {
        give_links_back(worker, count);
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        worker->open_events += worker->epochs[i].count;
        note_times(worker, &worker->epochs[i]);
        if (worker->epochs[i].tick_ms != 0)
            continue;
        note_traces(worker, &worker->epochs[i]);
        mr_source_refused(worker->source, worker->epochs[i].task, put_refused, worker);
        mr_source_learned(worker->source, worker->epochs[i].task);
    }
    worker->open_epochs += count;
    if (learn_count == 0)
        return MR_OK;
    note_round(worker, learned, learn_count);
    return MR_OK;
}

// An idle task's clock moves once, by the interval between two lists: whoever acted last gets the
// list that was due since. The tick stands in the epoch record.
static uint32_t add_ticks(mr_worker *worker, uint32_t count, int64_t now_ms)
{
    const int64_t after_ms = worker->config->lists_interval_ms + worker->config->epoch_interval_ms;
    for (uint32_t i = 0; i < count; i++)
        worker->idle_since_ms[worker->epochs[i].task] = now_ms;
    if (count > 0)
        return count; // a tick may wait for a quiet moment
    for (uint32_t i = 0; i < worker->own.held_count; i++) {
        const uint32_t task = worker->own.held[i];
        const int64_t since_ms = worker->idle_since_ms[task];
        if (since_ms == 0 || now_ms - since_ms < after_ms)
            continue;
        const mr_task_view view = mr_engine_task(worker->engine, task);
        worker->idle_since_ms[task] = 0;
        if (view.clock_ms > 0)
            worker->epochs[count++] =
                (mr_epoch){.task = task, .tick_ms = view.clock_ms + (now_ms - since_ms)};
    }
    return count;
}

// Closing.

static void close_row(void *context, uint32_t task, mr_row_place place, mr_bytes key,
                      mr_bytes value, mr_hash128 *hash)
{
    mr_worker *worker = context;
    *hash = mr_frozen_put_row(worker->open, task, place == MR_ROW_OF_ITEM, key, value);
}

static void close_list(void *context, const mr_list *list)
{
    mr_worker *worker = context;
    mr_trace cause;
    const bool traced = mr_traces_take(worker->traces, list->user, &cause);
    mr_outputs_list(worker->outputs, worker->open, list, traced ? &cause : NULL);
}

static void close_unchanged(void *context, mr_bytes user)
{
    mr_worker *worker = context;
    mr_traces_drop(worker->traces, user);
}

static void close_delta(void *context, uint32_t sender, uint32_t receiver, mr_bytes record)
{
    mr_worker *worker = context;
    for (int copy = 0; copy < 1 + mr_planted(MR_BUG_DIRECT_AND_TOPIC); copy++) {
        const mr_delta delta = {
            .sender = sender,
            .receiver = receiver,
            .history = {worker->own.history[0], worker->own.history[1]},
            .link = mr_links_send(worker->links, sender, receiver),
            .seq = worker->seqs[sender],
            .record = record,
        };
        const uint32_t size = mr_delta_write(&delta, worker->delta);
        mr_frozen_put_record(worker->open, &(mr_record){.topic = MR_TOPIC_ITEM_DELTAS,
                                                        .partition = receiver,
                                                        .value = mr_bytes_of(worker->delta, size)});
    }
}

static void close_told(void *context, const mr_told *told)
{
    mr_worker *worker = context;
    mr_outputs_item(worker->outputs, worker->open, told, worker->seqs[told->shard]);
}

static void close_forgotten(void *context, uint32_t task, mr_bytes user)
{
    mr_worker *worker = context;
    mr_traces_drop(worker->traces, user);
    mr_outputs_forgotten(worker->open, task, user);
}

static uint32_t marker_offsets(mr_worker *worker, uint32_t task)
{
    uint32_t count = 0, offset_count;
    const mr_offset *offsets = mr_source_offsets(worker->source, &offset_count);
    for (uint32_t i = 0; i < offset_count; i++) {
        if (task_of(worker, &offsets[i]) == task)
            worker->marker_offsets[count++] =
                (mr_marker_offset){mr_bytes_text(mr_config_topic(worker->config, offsets[i].input)),
                                   offsets[i].partition, offsets[i].next};
    }
    return count;
}

static mr_status put_markers(mr_worker *worker, const mr_frozen_task *task, mr_error *err)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    const mr_task_view view = mr_engine_task(worker->engine, task->task);
    for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
        uint32_t size;
        const mr_marker marker = {
            .history = {worker->own.history[0], worker->own.history[1]},
            .task = task->task,
            .tasks = worker->tasks,
            .seq = worker->seqs[task->task],
            .instance = mr_bytes_text(worker->config->instance),
            .commit = mr_frozen_number(worker->open),
            .clock_ms = view.clock_ms,
            .wall_ms = worker->clock.wall_ms(worker->clock.context),
            .config_hash = worker->config_hash,
            .release = mr_bytes_text(mr_version()),
            .here_count = task->here_count[c],
            .here_xor = task->here_xor[c],
            .row_count = view.row_count,
            .state_hash = view.state_hash,
            .pairs = worker->pairs,
            .pair_count = worker->own.held_count,
            .offsets = worker->marker_offsets,
            .offset_count = marker_offsets(worker, task->task),
            .links = worker->link_rows,
            .link_count = mr_links_rows(worker->links, task->task, worker->link_rows),
        };
        MR_TRY(mr_marker_write(&marker, sealed, &size, err));
        mr_frozen_put_marker(worker->open, task->task, c, mr_bytes_of(sealed, size));
    }
    return MR_OK;
}

static void put_metrics(mr_worker *worker)
{
    mr_metrics_window *window = &worker->window;
    const mr_source_counters *counters = mr_source_count(worker->source);
    window->now_ms = worker->clock.wall_ms(worker->clock.context);
    if (window->now_ms - window->begun_ms < worker->config->metrics_interval)
        return;
    window->records = counters->records;
    window->commits = worker->commit_number;
    uint32_t offset_count;
    const mr_offset *offsets = mr_source_offsets(worker->source, &offset_count);
    window->lag_records = worker->intake.lag(worker->intake.context, offsets, offset_count);
    window->lag_ms =
        counters->newest_record_ms > 0 ? window->now_ms - counters->newest_record_ms : 0;
    window->latency = &worker->latency;
    window->source = counters;
    window->generations = mr_generations_measure(worker->generations);
    window->too_large = mr_outputs_too_large(worker->outputs);
    window->traces = mr_traces_count(worker->traces);
    mr_registry_counters registry;
    if (worker->registry != NULL)
        registry = mr_registry_count(worker->registry);
    window->registry = worker->registry != NULL ? &registry : NULL;
    mr_metrics_put(worker->outputs, worker->open, worker->engine, window);
    mr_log(MR_LOG_INFO, "run", "window",
           mr_log_long("records", (int64_t)(window->records - window->records_before)),
           mr_log_long("commits", (int64_t)(window->commits - window->commits_before)),
           mr_log_double("latency_p50_ms", mr_histogram_quantile(&worker->latency, 0.5)),
           mr_log_double("latency_p99_ms", mr_histogram_quantile(&worker->latency, 0.99)));
    window->registry = NULL;
    mr_engine_metrics_reset(worker->engine);
    mr_histogram_reset(&worker->latency);
    window->begun_ms = window->now_ms;
    window->records_before = window->records;
    window->commits_before = window->commits;
}

static void put_epoch_record(mr_worker *worker, int64_t clock_ms, uint32_t task_count)
{
    mr_epoch_record record = {
        .time_ms = clock_ms,
        .marks = worker->marks,
        .mark_count = task_count,
        .state_hashes = worker->hashes,
        .state_hash_count = task_count,
        .history = {worker->own.history[0], worker->own.history[1]},
        .instance = mr_bytes_text(worker->config->instance),
        .engine = worker->engine_name,
        .commit = mr_frozen_number(worker->open),
    };
    record.views = mr_follower_shown(worker->follower, &record.view_count);
    mr_outputs_put_epochs(worker->outputs, worker->open, &record);
    mr_follower_noted(worker->follower);
}

// The records that tell of the commit itself: after the close, when the tasks' numbers are final.
static mr_status put_commit(mr_worker *worker, mr_error *err)
{
    uint32_t task_count, offset_count;
    int64_t clock_ms = 0;
    const mr_frozen_task *tasks = mr_frozen_tasks(worker->open, &task_count);
    const mr_offset *offsets = mr_source_offsets(worker->source, &offset_count);
    for (uint32_t i = 0; i < task_count; i++) {
        const mr_task_view view = mr_engine_task(worker->engine, tasks[i].task);
        const uint64_t seq = worker->seqs[tasks[i].task];
        worker->pairs[i] = (mr_marker_pair){tasks[i].task, seq};
        worker->marks[i] = (mr_sequence){tasks[i].task, (int64_t)seq};
        worker->hashes[i] = (mr_state_hash){tasks[i].task, view.state_hash};
        clock_ms = view.clock_ms > clock_ms ? view.clock_ms : clock_ms;
    }
    worker->window.clock_ms = clock_ms;
    put_metrics(worker);
    put_epoch_record(worker, clock_ms, task_count);
    for (uint32_t i = 0; i < task_count; i++)
        MR_TRY(put_markers(worker, &tasks[i], err));
    for (uint32_t i = 0; i < offset_count; i++)
        mr_frozen_put_offset(worker->open, offsets[i]);
    return MR_OK;
}

// What the open commit would take if it were closed now, at most.
static size_t open_bytes(const mr_worker *worker)
{
    const uint64_t most = (uint64_t)worker->config->lists_per_commit_max * worker->own.held_count;
    const uint32_t waiting = mr_engine_waiting(worker->engine);
    const uint32_t lists = waiting < most ? waiting : (uint32_t)most;
    return mr_frozen_bytes(worker->open) + mr_engine_open_bytes(worker->engine, lists) +
           lists * mr_outputs_list_bytes(worker->outputs);
}

mr_status mr_worker_close_commit(mr_worker *worker, mr_error *err)
{
    const mr_close_sink sink = {worker,     close_row,       close_list,     close_delta,
                                close_told, close_forgotten, close_unchanged};
    MR_TRY(mr_engine_close(worker->engine, worker->seqs, &sink, err));
    MR_TRY(put_commit(worker, err));
    MR_TRY(mr_frozen_seal(worker->open, err));
    for (uint32_t i = 0; i < worker->own.held_count; i++) {
        worker->seqs[worker->own.held[i]]++;
        worker->placed[worker->own.held[i]] = false;
    }
    mr_generations_launch(worker->generations, worker->open);
    // From here fetch finds the rows in the generations, so that the engine's cache may let them
    // go.
    mr_engine_stored(worker->engine, mr_engine_closes(worker->engine));
    worker->in_flight_times = worker->open_times;
    mr_committer_give(worker->committer, worker->open, worker->own.generation);
    worker->open = NULL;
    worker->draining = worker->own.born = false;
    worker->open_events = worker->open_epochs = 0;
    worker->closed_ms = worker->clock.now_ms(worker->clock.context);
    return MR_OK;
}

void mr_worker_cancel(mr_worker *worker)
{
    if (worker->open != NULL)
        mr_generations_cancel(worker->generations, worker->open);
    worker->open = NULL;
    worker->draining = false;
    worker->open_events = worker->open_epochs = 0;
    mr_outputs_forget(worker->outputs);
}

bool mr_worker_has_learned(const mr_worker *worker)
{
    return worker->open != NULL && worker->open_epochs > 0;
}

static int64_t commit_interval(const mr_worker *worker, const mr_committer_view *view)
{
    // Whoever keeps up commits back to back: that is what a list waits for. Whoever is behind
    // commits seldom: a row that changes often is written once a commit.
    int64_t ms = worker->behind ? view->last_ms * BUSY_FACTOR : view->last_ms;
    if (ms < worker->config->commit_interval_min)
        ms = worker->config->commit_interval_min;
    return ms < worker->config->commit_interval_max ? ms : worker->config->commit_interval_max;
}

static void count_latency(mr_worker *worker, const mr_committer_view *view)
{
    if (view->confirmed == worker->confirmed)
        return;
    worker->confirmed = view->confirmed;
    const int64_t now_ms = worker->clock.wall_ms(worker->clock.context);
    for (uint32_t i = 0; i < worker->in_flight_times.count; i++)
        mr_histogram_add(&worker->latency, now_ms - worker->in_flight_times.ms[i]);
    worker->in_flight_times.count = 0;
}

static bool has_something(const mr_worker *worker)
{
    return worker->open != NULL &&
           (worker->open_epochs > 0 || worker->draining || worker->own.born);
}

// How much larger a full round made the commit: what the next one may add.
static void note_growth(mr_worker *worker, size_t bytes, uint32_t events)
{
    const int64_t full = worker->config->epoch_events_max * worker->own.held_count;
    const size_t now = open_bytes(worker);
    if (worker->open_events - events >= full / 2 && now > bytes)
        worker->round_bytes = now - bytes;
}

// Whether one more round leaves the open commit below commit.bytes_max, an eighth of which is for
// its markers, offsets and epoch record. The first round always has a place.
static bool has_bytes(const mr_worker *worker)
{
    const size_t max = (size_t)worker->config->commit_bytes_max;
    if (worker->open == NULL || worker->open_epochs == 0)
        return true;
    const size_t round = worker->round_bytes > max / 16 ? worker->round_bytes : max / 16;
    return open_bytes(worker) + round <= max - max / 8;
}

// Whether more may be learned into the open commit.
static bool has_room(const mr_worker *worker, uint32_t epoch_count)
{
    uint32_t offset_count;
    mr_source_offsets(worker->source, &offset_count);
    const uint32_t links = epoch_count * (worker->tasks - epoch_count), views = worker->tasks;
    return worker->open_events < worker->config->commit_events_max && has_bytes(worker) &&
           mr_outputs_has_room(worker->outputs, epoch_count, offset_count, links + views);
}

// A commit without epochs makes lists, so that users who wait for them may leave memory. Fewer wait
// each time.
static bool drain(mr_worker *worker)
{
    worker->draining = mr_engine_waiting(worker->engine) > 0;
    return worker->draining;
}

// One round, if something is ready. *learned says whether. A memory that is full of rows that are
// not stored asks for a commit.
static mr_status learn_round(mr_worker *worker, int64_t now_ms, bool all, bool *learned,
                             bool *commit, mr_error *err)
{
    *learned = false;
    if (!has_room(worker, worker->own.held_count)) {
        *commit = true;
        return MR_OK;
    }
    mr_status status = begin_commit(worker, err);
    if (status == MR_RETRY) // every frozen is in use: the committing thread frees some
        return MR_OK;
    MR_TRY(status);
    uint32_t count = mr_source_ready(worker->source, now_ms, all, worker->epochs);
    count = add_ticks(worker, count, now_ms);
    if (count == 0)
        return MR_OK;
    const size_t bytes = open_bytes(worker);
    const uint32_t events = worker->open_events;
    status = learn(worker, count, err);
    note_growth(worker, bytes, events);
    if (status == MR_RETRY) {
        if (worker->open_epochs == 0 && !drain(worker)) {
            mr_wrap(err, "one round does not fit into memory: raise users.memory, items.max or "
                         "dedup.events_max, or lower epoch.events_max");
            return err->status = MR_FATAL;
        }
        *commit = true;
        return MR_OK;
    }
    *learned = status == MR_OK;
    return status;
}

// Learns what is ready. *worked: there may be more; *commit: a commit would make room.
static mr_status learn_some(mr_worker *worker, bool *worked, bool *commit, mr_error *err)
{
    bool moved = false, learned = true;
    for (int i = 0; i < ROUNDS_A_TURN && learned; i++) {
        const int64_t now_ms = worker->clock.now_ms(worker->clock.context);
        MR_TRY(mr_source_pump(worker->source, now_ms, &moved, err));
        MR_TRY(learn_round(worker, now_ms, false, &learned, commit, err));
    }
    *worked = moved || learned;
    worker->behind = learned;
    return MR_OK;
}

// How long nothing needs to be done.
static int patience(mr_worker *worker, const mr_committer_view *commits, bool commit, int wait_ms)
{
    const int64_t now_ms = worker->clock.now_ms(worker->clock.context);
    const int64_t due_ms = worker->closed_ms + commit_interval(worker, commits) - now_ms;
    if (has_something(worker) && commits->idle && due_ms < wait_ms)
        wait_ms = due_ms > 0 ? (int)due_ms : 0;
    // With no room to learn into, only the end of the commit under way helps; it wakes us.
    return commit ? wait_ms : mr_source_patience(worker->source, now_ms, wait_ms);
}

mr_status mr_worker_turn(mr_worker *worker, int extra_fd, int wait_ms, mr_error *err)
{
    bool moved = false, worked = false, commit = false, followed = false;
    MR_TRY(worker->intake.poll(worker->intake.context, 0, err));
    const mr_committer_view commits = mr_committer_look(worker->committer, err);
    if (commits.failed != MR_OK)
        return commits.failed;
    count_latency(worker, &commits);
    mr_generations_refresh(worker->generations);
    MR_TRY(mr_ownership_step(worker, &commits, &moved, err));
    if (mr_ownership_works(worker)) {
        MR_TRY(mr_follower_step(worker->follower, worker->engine, &followed, err));
        MR_TRY(learn_some(worker, &worked, &commit, err));
        const int64_t now_ms = worker->clock.now_ms(worker->clock.context);
        commit = commit || mr_ownership_wants_commit(worker) ||
                 now_ms - worker->closed_ms >= commit_interval(worker, &commits);
        if (commits.idle && commit && has_something(worker))
            return mr_worker_close_commit(worker, err);
    }
    if (moved || worked || followed)
        return MR_OK;
    if (worker->own.phase != MR_PHASE_WORKING || worker->own.wanted_count > 0)
        wait_ms = wait_ms < FOLLOW_MS ? wait_ms : FOLLOW_MS;
    else
        wait_ms = patience(worker, &commits, commit, wait_ms);
    worker->intake.wait(worker->intake.context, extra_fd, wait_ms);
    return MR_OK;
}

bool mr_worker_at_end(const mr_worker *worker)
{
    return mr_ownership_complete(worker) && mr_source_at_end(worker->source);
}

mr_status mr_worker_until_ready(mr_worker *worker, mr_error *err)
{
    const int64_t patience_ms = JOIN_MS + worker->config->kafka_session_timeout;
    const int64_t begun = worker->clock.now_ms(worker->clock.context);
    while (!mr_ownership_complete(worker)) {
        MR_TRY(mr_worker_turn(worker, -1, FOLLOW_MS, err));
        if (worker->own.generation == 0 &&
            worker->clock.now_ms(worker->clock.context) - begun > patience_ms)
            return mr_fail(err, MR_FATAL, "group %s gave no assignment within %lld s",
                           worker->config->kafka_group, (long long)(patience_ms / 1000));
    }
    return MR_OK;
}

mr_task_counters mr_worker_totals(const mr_worker *worker)
{
    mr_task_counters sum = {0};
    for (uint32_t i = 0; i < worker->own.held_count; i++) {
        const mr_task_counters c = mr_engine_task(worker->engine, worker->own.held[i]).counters;
        sum.read += c.read;
        sum.learned += c.learned;
        sum.duplicate += c.duplicate;
        sum.late += c.late;
        sum.late_dropped += c.late_dropped;
        sum.limited += c.limited;
        sum.pending += c.pending;
        sum.refused += c.refused;
    }
    return sum;
}

// Learns what was taken into the open commit. *full: only a commit makes room for the rest.
static mr_status learn_rest(mr_worker *worker, bool *full, mr_error *err)
{
    *full = false;
    for (bool learned = true; learned && !*full;)
        MR_TRY(learn_round(worker, worker->clock.now_ms(worker->clock.context), true, &learned,
                           full, err));
    return MR_OK;
}

mr_status mr_worker_finish(mr_worker *worker, int64_t wait_ms, mr_error *err)
{
    const mr_clock *clock = &worker->clock;
    const int64_t until = clock->now_ms(clock->context) + wait_ms;
    for (bool full = mr_ownership_works(worker); full || has_something(worker);) {
        if (!mr_ownership_works(worker))
            break; // the group is changing: nothing more can be committed in time
        MR_TRY(learn_rest(worker, &full, err));
        if (!mr_committer_wait(worker->committer, until - clock->now_ms(clock->context)))
            break;
        if (has_something(worker))
            MR_TRY(mr_worker_close_commit(worker, err));
    }
    if (mr_committer_wait(worker->committer, until - clock->now_ms(clock->context)))
        return MR_OK;
    const mr_committer_view view = mr_committer_look(worker->committer, err);
    if (view.failed != MR_OK)
        return view.failed;
    if (view.held)
        mr_generations_drop(worker->generations, mr_committer_drop(worker->committer));
    return mr_fail(err, MR_RETRY,
                   "the last commit was not confirmed within %lld s: the next start tells whether "
                   "Kafka has it",
                   (long long)(wait_ms / 1000));
}
