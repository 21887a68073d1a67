// SPDX-License-Identifier: Apache-2.0
// rerun: the order of commits, and the steps of one.
//
// A partition of the epoch log has the commits whose lowest task is its own, so that their numbers
// rise; the next record of each partition is looked at. A commit can be run when each of its tasks
// is at the number before, and every commit that its views name was run.
#include "worker/rerun_inner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/frame.h"
#include "state/row.h"
#include "worker/progress.h"

enum {
    FOLD_BYTES = 256 << 20, // of the view log, before anything is folded
    FOLD_COMMITS = 4096,    // that are not: an engine that is made later may begin there
    PROGRESS_EVERY = 64,    // commits
};

uint64_t mr_rerun_seq(const mr_rerun *r, uint32_t task)
{
    for (uint32_t i = 0; i < r->record->mark_count; i++)
        if (r->record->marks[i].of == task)
            return (uint64_t)r->record->marks[i].sequence;
    return 0;
}

mr_status mr_rerun_differs(mr_rerun *r, mr_error *err, uint32_t task, int64_t epoch,
                           const char *format, ...)
{
    char text[200], place[40] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (epoch > 0)
        snprintf(place, sizeof place, ", epoch %lld", (long long)epoch);
    return mr_fail(err, MR_REJECT, "task %u, commit %llu%s: %s", task,
                   (unsigned long long)mr_rerun_seq(r, task), place, text);
}

// ---- the log

static mr_status keep_bytes(mr_rerun_head *h, mr_bytes value, mr_error *err)
{
    if (value.size > h->room) {
        uint8_t *grown = realloc(h->bytes, value.size);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory");
        h->bytes = grown;
        h->room = value.size;
    }
    if (value.size > 0)
        memcpy(h->bytes, value.data, value.size);
    h->size = value.size;
    return MR_OK;
}

static mr_status see_record(void *context, const mr_message *message, mr_error *err)
{
    mr_rerun_head *h = context;
    if (h->there)
        return MR_RETRY; // one at a time
    h->there = true;
    h->offset = message->offset;
    h->time_ms = message->time_ms;
    return keep_bytes(h, message->value, err);
}

static bool ascending(const mr_sequence *of, uint32_t count, uint32_t limit)
{
    for (uint32_t i = 0; i < count; i++)
        if (of[i].of >= limit || (i > 0 && of[i].of <= of[i - 1].of))
            return false;
    return true;
}

static bool below(const mr_sequence *of, uint32_t count, uint32_t limit)
{
    for (uint32_t i = 0; i < count; i++)
        if (of[i].of >= limit)
            return false;
    return true;
}

static bool is_sound(const mr_rerun *r, const mr_epoch_record *record)
{
    bool sound = record->mark_count > 0 && ascending(record->marks, record->mark_count, r->tasks) &&
                 below(record->views, record->view_count, r->tasks);
    for (uint32_t i = 0; i < record->round_count; i++) {
        const mr_round *round = &record->rounds[i];
        sound = sound && below(round->views, round->view_count, r->tasks) &&
                round->epoch_count <= r->tasks;
        for (uint32_t e = 0; sound && e < round->epoch_count; e++)
            sound = round->epochs[e].task < r->tasks &&
                    (e == 0 || round->epochs[e].task > round->epochs[e - 1].task);
    }
    for (uint32_t i = 0; i < record->state_hash_count; i++)
        sound = sound && record->state_hashes[i].task < r->tasks;
    return sound;
}

static mr_status decode(mr_rerun *r, mr_rerun_head *h, mr_error *err)
{
    mr_frame frame;
    MR_TRY(mr_frame_read(MR_FRAMING_SINGLE_OBJECT, mr_bytes_of(h->bytes, h->size),
                         (mr_bytes){NULL, 0}, &frame, err));
    if (frame.fingerprint != r->epoch_schema)
        return mr_fail(err, MR_FATAL,
                       "the record is of another release (schema %016llx, ours is "
                       "%016llx)",
                       (unsigned long long)frame.fingerprint, (unsigned long long)r->epoch_schema);
    MR_TRY(mr_decode_epoch(frame.payload, &h->arrays, &h->record, err));
    return is_sound(r, &h->record)
               ? MR_OK
               : mr_fail(err, MR_FATAL, "the record is of no %u tasks", r->tasks);
}

static bool is_ours(const mr_rerun *r, const mr_epoch_record *record)
{
    return record->history.low == r->result->history[0] &&
           record->history.high == r->result->history[1];
}

// The next record of a partition, of any history; h->there false: there is none.
static mr_status next_record(mr_rerun *r, uint32_t partition, mr_error *err)
{
    mr_rerun_head *h = &r->heads[partition];
    h->there = false;
    h->time_ms = 0;
    if (h->next >= h->end)
        return MR_OK;
    mr_status status = r->archive->read(r->archive->context, MR_ARCHIVE_EPOCHS, partition, h->next,
                                        h->end, see_record, h, &h->next, err);
    r->archive->release(r->archive->context);
    if (status == MR_OK && h->there)
        status = decode(r, h, err);
    if (h->there && h->time_ms > r->until_ms) {
        h->there = false;
        r->cut = true;
    }
    if (status == MR_OK && !h->there)
        h->next = h->end;
    if (status == MR_OK)
        return MR_OK;
    mr_wrap(err, "epoch log [%u], offset %lld", partition, (long long)h->offset);
    return err->status = MR_FATAL;
}

static bool in_base(const mr_rerun *r, const mr_epoch_record *record)
{
    for (uint32_t i = 0; i < record->mark_count; i++)
        if ((uint64_t)record->marks[i].sequence > r->tasks_of[record->marks[i].of].base)
            return false;
    return true;
}

static mr_status next_of_ours(mr_rerun *r, uint32_t partition, mr_error *err)
{
    const mr_rerun_head *h = &r->heads[partition];
    do
        MR_TRY(next_record(r, partition, err));
    while (h->there && (!is_ours(r, &h->record) || in_base(r, &h->record)));
    return MR_OK;
}

static mr_status ask_end(mr_rerun *r, uint32_t partition, mr_error *err)
{
    mr_log_ends ends;
    mr_rerun_head *h = &r->heads[partition];
    MR_TRY(r->archive->ends(r->archive->context, MR_ARCHIVE_EPOCHS, partition, &ends, err));
    h->next = ends.first;
    h->end = ends.end;
    return MR_OK;
}

// The history of the last commit of task 0, whose commits stand in the first partition: each
// history begins with one.
static mr_status find_history(mr_rerun *r, mr_error *err)
{
    mr_rerun_head *first = &r->heads[0];
    bool found = false;
    MR_TRY(ask_end(r, 0, err));
    for (;;) {
        MR_TRY(next_record(r, 0, err));
        if (!first->there)
            break;
        r->result->history[0] = first->record.history.low;
        r->result->history[1] = first->record.history.high;
        found = true;
    }
    if (!found && r->cut)
        return mr_fail(err, MR_FATAL, "the epoch log begins after that time");
    return found ? MR_OK : mr_fail(err, MR_FATAL, "the epoch log is empty");
}

static mr_status open_log(mr_rerun *r, mr_error *err)
{
    const int64_t now_ms = r->options->clock->wall_ms(r->options->clock->context);
    // Of a worker that is at work the log is run as it was.
    const int64_t until_ms = r->options->until_ms;
    r->until_ms = until_ms > 0 && until_ms < now_ms ? until_ms : now_ms;
    MR_TRY(find_history(r, err));
    if (r->options->base)
        MR_TRY(mr_rerun_load_base(r, err));
    for (uint32_t p = 0; p < r->tasks; p++) {
        mr_log_ends lists;
        MR_TRY(ask_end(r, p, err));
        MR_TRY(next_of_ours(r, p, err));
        MR_TRY(r->archive->ends(r->archive->context, MR_ARCHIVE_LISTS, p, &lists, err));
        r->tasks_of[p].lists_next = lists.first;
        r->tasks_of[p].lists_end = lists.end;
    }
    return MR_OK;
}

// ---- which is next

static bool views_are_there(const mr_rerun *r, const mr_sequence *views, uint32_t count, char *why,
                            size_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        const mr_rerun_task *t = &r->tasks_of[views[i].of];
        if (t->known && t->seq >= (uint64_t)views[i].sequence)
            continue;
        snprintf(why, size, "its view is that of task %u, commit %lld", views[i].of,
                 (long long)views[i].sequence);
        return false;
    }
    return true;
}

static bool deltas_are_made(const mr_rerun *r, const mr_task_epoch *epoch, char *why, size_t size)
{
    for (uint32_t i = 0; i < epoch->link_count; i++) {
        const mr_sequence *link = &epoch->links[i];
        if (link->of >= r->tasks ||
            r->pairs[(size_t)link->of * r->tasks + epoch->task].made >= (uint64_t)link->sequence)
            continue;
        snprintf(why, size, "deltas of task %u up to link %lld", link->of,
                 (long long)link->sequence);
        return false;
    }
    return true;
}

static bool all_deltas_are_made(const mr_rerun *r, const mr_epoch_record *record, char *why,
                                size_t size)
{
    for (uint32_t i = 0; r->options->paired && i < record->round_count; i++)
        for (uint32_t e = 0; e < record->rounds[i].epoch_count; e++)
            if (!deltas_are_made(r, &record->rounds[i].epochs[e], why, size))
                return false;
    return true;
}

// Whether a commit can be run now; otherwise *why.
static bool is_next(const mr_rerun *r, const mr_epoch_record *record, char *why, size_t size)
{
    for (uint32_t i = 0; i < record->mark_count; i++) {
        const mr_rerun_task *t = &r->tasks_of[record->marks[i].of];
        if (t->known && t->seq + 1 != (uint64_t)record->marks[i].sequence) {
            snprintf(why, size, "task %u is at commit %llu", record->marks[i].of,
                     (unsigned long long)t->seq);
            return false;
        }
    }
    for (uint32_t i = 0; i < record->round_count; i++)
        if (!views_are_there(r, record->rounds[i].views, record->rounds[i].view_count, why, size))
            return false;
    return views_are_there(r, record->views, record->view_count, why, size) &&
           all_deltas_are_made(r, record, why, size);
}

static mr_status choose(mr_rerun *r, uint32_t *chosen, mr_error *err)
{
    char why[96] = "", least_why[96] = "";
    uint32_t least = UINT32_MAX, waiting = 0;
    *chosen = UINT32_MAX;
    for (uint32_t p = 0; p < r->tasks; p++) {
        const mr_rerun_head *h = &r->heads[p];
        if (!h->there)
            continue;
        const bool next = is_next(r, &h->record, why, sizeof why);
        waiting += !next;
        if (next && (*chosen == UINT32_MAX || h->time_ms < r->heads[*chosen].time_ms))
            *chosen = p;
        if (!next && (least == UINT32_MAX || h->time_ms < r->heads[least].time_ms)) {
            least = p;
            memcpy(least_why, why, sizeof why);
        }
    }
    if (*chosen != UINT32_MAX || least == UINT32_MAX)
        return MR_OK;
    if (r->cut && r->options->until_ms > 0) { // what it waits for may be there
        r->result->waiting = waiting;
        return MR_OK;
    }
    const mr_epoch_record *record = &r->heads[least].record;
    return mr_fail(err, MR_FATAL,
                   "epoch log [%u], offset %lld: task %u, commit %lld cannot be run: %s, and the "
                   "log does not say how that went on",
                   least, (long long)r->heads[least].offset, record->marks[0].of,
                   (long long)record->marks[0].sequence, least_why);
}

// ---- one commit

// Rows were written again, and nothing was learned.
static mr_status run_rewrite(mr_rerun *r, mr_error *err)
{
    for (uint32_t i = 0; i < r->record->mark_count; i++)
        if (!r->tasks_of[r->record->marks[i].of].known)
            return mr_fail(err, MR_FATAL,
                           "task %u, commit %lld: the history begins with rows that were written "
                           "from a local copy, so that it cannot be run again",
                           r->record->marks[i].of, (long long)r->record->marks[i].sequence);
    for (uint32_t i = 0; i < r->record->state_hash_count; i++) {
        const mr_state_hash *want = &r->record->state_hashes[i];
        if (r->options->fork == NULL &&
            memcmp(&r->tasks_of[want->task].hash, &want->hash, sizeof want->hash) != 0)
            return mr_rerun_differs(r, err, want->task, 0,
                                    "rows were written again, and were not these");
    }
    return MR_OK;
}

static mr_status store(mr_rerun *r, mr_error *err)
{
    mr_generations_launch(r->generations, r->frozen);
    mr_generations_confirm(r->generations, r->frozen);
    r->frozen = NULL;
    MR_TRY(mr_generations_store(r->generations, err));
    mr_generations_refresh(r->generations);
    mr_engine_stored(r->engine->engine, mr_engine_closes(r->engine->engine));
    return MR_OK;
}

static mr_status learn(mr_rerun *r, mr_error *err)
{
    const mr_epoch_record *record = r->record;
    uint32_t first = 0;
    MR_TRY(mr_rerun_find_engine(r, record->engine, &r->engine, err));
    if (r->options->base)
        MR_TRY(mr_rerun_take_base(r, err));
    if (record->round_count > 0 && mr_rerun_places(r, &record->rounds[0], r->engine))
        first = 1;
    MR_TRY(mr_rerun_change_tasks(r, first > 0 ? &record->rounds[0] : NULL, err));
    for (uint32_t i = first; i < record->round_count; i++) {
        MR_TRY(mr_rerun_show(r, record->rounds[i].views, record->rounds[i].view_count, err));
        MR_TRY(mr_rerun_round(r, &record->rounds[i], err));
    }
    MR_TRY(mr_rerun_show(r, record->views, record->view_count, err));
    MR_TRY(mr_rerun_close_commit(r, err));
    MR_TRY(mr_rerun_check(r, err));
    r->archive->release(r->archive->context);
    return store(r, err);
}

// No engine that is at work asks for less than what all have been shown.
static void fold(mr_rerun *r)
{
    if (mr_view_log_bytes(r->views) < r->fold_bytes)
        return;
    for (uint32_t shard = 0; shard < r->tasks; shard++) {
        const uint64_t seq = r->tasks_of[shard].seq;
        uint64_t upto = seq > FOLD_COMMITS ? seq - FOLD_COMMITS : 0;
        for (uint32_t i = 0; i < r->engine_count; i++) {
            const mr_rerun_engine *e = r->engines[i];
            if (!mr_engine_has(e->engine, shard) && e->shown[shard] < upto)
                upto = e->shown[shard];
        }
        mr_view_log_fold(r->views, shard, upto);
    }
    r->fold_bytes = 2 * mr_view_log_bytes(r->views);
    if (r->fold_bytes < FOLD_BYTES)
        r->fold_bytes = FOLD_BYTES;
}

static mr_status run_commit(mr_rerun *r, mr_rerun_head *h, mr_error *err)
{
    const mr_epoch_record *record = r->record = &h->record;
    MR_TRY(mr_rerun_fork_at(r, h->time_ms, err));
    if (record->configuration.low != r->config_hash)
        return mr_fail(err, MR_FATAL,
                       "task %u, commit %lld was made under another configuration: hash %016llx, "
                       "this one has %016llx",
                       record->marks[0].of, (long long)record->marks[0].sequence,
                       (unsigned long long)record->configuration.low,
                       (unsigned long long)r->config_hash);
    MR_TRY(record->engine == 0 ? run_rewrite(r, err) : learn(r, err));
    for (uint32_t i = 0; i < record->mark_count; i++) {
        mr_rerun_task *t = &r->tasks_of[record->marks[i].of];
        t->seq = (uint64_t)record->marks[i].sequence;
        t->born = t->known ? t->born : t->seq;
        t->known = true;
        t->engine = record->engine;
        if (record->engine != 0)
            t->hash = mr_engine_task(r->engine->engine, record->marks[i].of).state_hash;
    }
    r->result->commits++;
    if (h->time_ms > r->result->last_ms)
        r->result->last_ms = h->time_ms;
    mr_rerun_close_engines(r, false);
    fold(r);
    return MR_OK;
}

// ---- opening and closing

static mr_status fetch(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                       mr_hash128 *hash, mr_error *err)
{
    mr_rerun *r = context;
    return mr_generations_fetch(r->generations, task, key, r->row, value, hash, err);
}

static mr_status allocate(mr_rerun *r, mr_error *err)
{
    const size_t tasks = r->tasks;
    r->row = malloc(MR_ROW_BYTES_MAX);
    r->delta = malloc(MR_DELTA_HEAD_BYTES + MR_DELTA_RECORD_MAX);
    r->tasks_of = calloc(tasks, sizeof *r->tasks_of);
    r->task_numbers = calloc(tasks, sizeof *r->task_numbers);
    r->taken_links = calloc(tasks, sizeof *r->taken_links);
    r->slots = calloc(tasks, sizeof *r->slots);
    r->epochs = calloc(tasks, sizeof *r->epochs);
    r->pairs = calloc(tasks * tasks, sizeof *r->pairs);
    r->heads = calloc(tasks, sizeof *r->heads);
    if (r->row == NULL || r->delta == NULL || r->tasks_of == NULL || r->task_numbers == NULL ||
        r->taken_links == NULL || r->slots == NULL || r->epochs == NULL || r->pairs == NULL ||
        r->heads == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return MR_OK;
}

static mr_status find_schema(mr_rerun *r, mr_error *err)
{
    const mr_catalog_schema *schema;
    for (uint32_t i = 0; (schema = mr_catalog_at(r->options->catalog, i)) != NULL; i++) {
        if (!schema->is_ours || strcmp(schema->name, "epoch") != 0)
            continue;
        r->epoch_schema = schema->fingerprint;
        return MR_OK;
    }
    return mr_fail(err, MR_FATAL, "schema epoch: it is not in the catalogue");
}

// As a worker's engine, but for what decides no byte.
static mr_status configure(mr_rerun *r, mr_error *err)
{
    MR_TRY(mr_lane_pool_open(mr_lane_count(r->config->lanes), &r->lanes, err));
    r->fetch = (mr_fetch){r, fetch};
    r->forked = r->options->fork != NULL && r->options->fork->from_ms == 0;
    MR_TRY(mr_rerun_configure(r, err));
    return mr_engine_bytes(&r->engine_config, &r->engine_bytes, err);
}

static mr_status open_rerun(mr_rerun *r, mr_error *err)
{
    const mr_rerun_options *o = r->options;
    const mr_generations_options at_once = {1ull << 40, 1, 0};
    r->fold_bytes = FOLD_BYTES;
    r->config_hash = mr_config_hash(r->config);
    MR_TRY(allocate(r, err));
    MR_TRY(find_schema(r, err));
    MR_TRY(configure(r, err));
    MR_TRY(mr_generations_open(&at_once, r->tasks, o->store, o->clock, &r->generations, err));
    MR_TRY(mr_outputs_open(r->config, o->catalog, r->tasks, &r->outputs, err));
    MR_TRY(mr_decoder_open(r->config, o->catalog, &r->decoder, err));
    MR_TRY(mr_links_open(r->tasks, &r->links, err));
    MR_TRY(mr_view_log_open(r->tasks, &r->views, err));
    return open_log(r, err);
}

static void close_slots(mr_rerun *r)
{
    for (uint32_t i = 0; r->slots != NULL && i < r->tasks; i++) {
        free(r->slots[i].arena.base);
        free(r->slots[i].arrivals);
        free(r->slots[i].scratch);
        free(r->slots[i].received);
    }
    for (size_t i = 0; r->pairs != NULL && i < (size_t)r->tasks * r->tasks; i++)
        free(r->pairs[i].hashes);
    for (uint32_t p = 0; r->heads != NULL && p < r->tasks; p++) {
        mr_epoch_room_free(&r->heads[p].arrays);
        free(r->heads[p].bytes);
    }
    for (uint32_t s = 0; s < MR_ARCHIVE_STREAMS; s++)
        free(r->next[s]);
}

void mr_rerun_close(mr_rerun *r)
{
    if (r == NULL)
        return;
    mr_rerun_close_engines(r, true);
    mr_rerun_own_close(r);
    close_slots(r);
    mr_view_log_close(r->views);
    mr_links_close(r->links);
    mr_decoder_close(r->decoder);
    mr_outputs_close(r->outputs);
    if (r->frozen != NULL)
        mr_generations_cancel(r->generations, r->frozen);
    mr_generations_close(r->generations);
    if (r->lanes != NULL)
        mr_lane_pool_close(r->lanes);
    free(r->engines);
    free(r->row);
    free(r->delta);
    free(r->tasks_of);
    free(r->task_numbers);
    free(r->taken_links);
    free(r->slots);
    free(r->epochs);
    free(r->pairs);
    free(r->heads);
    free(r);
}

// ---- the door

mr_status mr_rerun_open(const mr_rerun_options *options, mr_rerun_result *result, mr_rerun **rerun,
                        mr_error *err)
{
    mr_rerun *r = *rerun = calloc(1, sizeof *r);
    *result = (mr_rerun_result){0};
    if (r == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    r->options = options;
    r->config = options->config;
    r->archive = options->archive;
    r->result = result;
    r->tasks = options->tasks;
    const mr_status status = open_rerun(r, err);
    if (status != MR_OK) {
        mr_rerun_close(r);
        *rerun = NULL;
    }
    return status;
}

mr_status mr_rerun_next(mr_rerun *r, uint32_t *partition, mr_error *err)
{
    return choose(r, partition, err);
}

mr_status mr_rerun_commit(mr_rerun *r, uint32_t partition, mr_error *err)
{
    if (!r->heads[partition].there)
        return mr_fail(err, MR_FATAL, "epoch log [%u]: a record is gone", partition);
    MR_TRY(run_commit(r, &r->heads[partition], err));
    return next_of_ours(r, partition, err);
}

int64_t mr_rerun_time(const mr_rerun *r, uint32_t partition)
{
    return r->heads[partition].time_ms;
}

int64_t mr_rerun_until(const mr_rerun *r)
{
    return r->until_ms;
}

void mr_rerun_progress(const mr_rerun *r, uint64_t *done, uint64_t *total)
{
    *done = *total = 0;
    for (uint32_t p = 0; p < r->tasks; p++) {
        *done += (uint64_t)r->heads[p].next;
        *total += (uint64_t)r->heads[p].end;
    }
}

void mr_rerun_conclude(mr_rerun *r)
{
    for (uint32_t t = 0; t < r->tasks; t++)
        mr_hash128_add(&r->result->state_hash, r->tasks_of[t].hash);
    for (size_t i = 0; i < (size_t)r->tasks * r->tasks; i++)
        r->result->deltas_unread +=
            r->pairs[i].made > r->pairs[i].read ? r->pairs[i].made - r->pairs[i].read : 0;
}

static mr_status run_all(mr_rerun *r, mr_progress *progress, mr_error *err)
{
    const mr_clock *clock = r->options->clock;
    for (uint32_t chosen;;) {
        uint64_t done, total;
        MR_TRY(mr_rerun_next(r, &chosen, err));
        if (chosen == UINT32_MAX)
            return MR_OK;
        MR_TRY(mr_rerun_commit(r, chosen, err));
        mr_rerun_progress(r, &done, &total);
        if (r->result->commits % PROGRESS_EVERY == 0)
            mr_progress_update(progress, done, NULL, clock->now_ms(clock->context));
    }
}

mr_status mr_rerun_run(const mr_rerun_options *options, mr_rerun_result *result, mr_error *err)
{
    const mr_clock *clock = options->clock;
    mr_progress progress;
    mr_rerun *r;
    uint64_t done, total;
    MR_TRY(mr_rerun_open(options, result, &r, err));
    mr_rerun_progress(r, &done, &total);
    mr_progress_begin(&progress, options->progress ? stderr : NULL, mr_progress_is_terminal(stderr),
                      "the epoch log", total, clock->now_ms(clock->context));
    const mr_status status = run_all(r, &progress, err);
    if (status == MR_OK)
        mr_rerun_conclude(r);
    mr_progress_end(&progress, status == MR_OK ? total : 0, NULL, clock->now_ms(clock->context));
    mr_rerun_close(r);
    return status;
}
