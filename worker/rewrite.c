// SPDX-License-Identifier: Apache-2.0
// rewrite: what holds at each point, so that a crash anywhere is followed by another start.
//
//   1. looked at      nothing was written
//   2. noted          the copy's changelog offsets are MR_REWRITE_PENDING, past any end: no start
//                     takes it for a copy of the changelogs, each rewrites them from the beginning
//   3. rows sent      valid for nobody: rows behind the last marker are dropped by every reader
//   4. markers sent   the changelogs hold exactly the copy's rows
//   5. stored         the copy has the new markers and their offsets: the two agree
//
// The new sequence number lies above all that the copy and the changelogs have, so that a crash
// between 4 and 5 repeats no number.
#include "worker/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "core/rows.h"
#include "worker/log.h"
#include "worker/sink.h"
#include "worker/version.h"

enum { BATCH_BYTES_MAX = 4 << 20, PLACED_MAX = MR_MARKER_OFFSETS_MAX };

typedef struct copy { // what the store has of a task
    uint32_t task;
    bool pending, replayed, has_offsets;
    uint64_t seq, history[2];
    uint64_t row_count;
    mr_hash128 state_hash;
    int64_t clock_ms;
    uint32_t marker_bytes;
    uint8_t marker[MR_MARKER_BYTES_MAX]; // sealed, of the first changelog
} copy;

typedef struct rewrite {
    const mr_rewrite_options *options;
    mr_taker *taker;
    const mr_bus *bus;
    const mr_store_port *store;
    mr_rewrite_result *result;
    copy *copies;
    mr_offset *offsets; // of all inputs, placed
    mr_frozen *frozen;
    mr_sink sink;
    bool open; // frozen takes rows
    size_t batch_bytes;
    uint32_t task; // whose rows are visited
    uint32_t changelog;
    uint64_t seen_seq;  // greatest that the changelogs have of our history
    uint64_t seen_rows; // records that they have, markers not counted
    bool ours, theirs;  // markers of our history, of another one
    uint8_t *row;
} rewrite;

// Looking.

static mr_status look_at(rewrite *r, copy *c, bool *found, mr_error *err)
{
    mr_store_task *task = malloc(sizeof *task);
    mr_bytes markers[MR_STORE_CHANGELOGS];
    mr_marker marker;
    if (task == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = r->store->task(r->store->context, c->task, task, found, err);
    *found = status == MR_OK && *found && task->marker_bytes > 0;
    if (*found)
        status = mr_marker_split(mr_bytes_of(task->marker, task->marker_bytes), markers, err);
    // A copy that is just being read from the changelogs lacks a marker: it is no copy yet.
    *found = *found && status == MR_OK && markers[0].size > 0 && markers[1].size > 0;
    if (*found)
        status = mr_taking_marker(r->taker, markers[0], &marker, err);
    if (*found && status == MR_OK) {
        c->pending = task->offsets[0] == MR_REWRITE_PENDING;
        c->replayed = task->offsets[0] < 0 &&
                      mr_bytes_equal(marker.instance, mr_bytes_text(MR_REPLAY_INSTANCE));
        c->has_offsets = marker.offset_count > 0;
        c->seq = marker.seq;
        memcpy(c->history, marker.history, sizeof c->history);
        c->row_count = marker.row_count;
        c->state_hash = marker.state_hash;
        c->clock_ms = marker.clock_ms;
        c->marker_bytes = markers[0].size;
        memcpy(c->marker, markers[0].data, markers[0].size);
        if (marker.tasks != r->taker->tasks &&
            (c->pending || c->replayed || r->options->why != MR_REWRITE_ASKED_BY_COPY))
            status = mr_fail(err, MR_FATAL,
                             "the local state is of %u tasks, the lead topic has %u partitions: "
                             "both have to agree; for a replay --set replay.tasks=%u makes it so",
                             marker.tasks, r->taker->tasks, r->taker->tasks);
    }
    free(task);
    return status;
}

static mr_status check_copy(rewrite *r, const copy *c, mr_error *err)
{
    mr_load_result found;
    if (memcmp(c->history, r->copies[0].history, sizeof c->history) != 0)
        return mr_fail(err, MR_FATAL,
                       "the local copy of task %u is of another history than that "
                       "of task %u",
                       c->task, r->copies[0].task);
    MR_TRY(r->store->measure(r->store->context, c->task, &found, err));
    if (found.row_count != c->row_count ||
        memcmp(&found.state_hash, &c->state_hash, sizeof found.state_hash) != 0)
        return mr_fail(err, MR_FATAL,
                       "the local copy of task %u has %llu rows (hash %016llx), its marker says "
                       "%llu (%016llx): it is damaged and not written to the changelogs",
                       c->task, (unsigned long long)found.row_count,
                       (unsigned long long)found.state_hash.low, (unsigned long long)c->row_count,
                       (unsigned long long)c->state_hash.low);
    return MR_OK;
}

// Looks at all copies. *wanted: whether there is something to rewrite.
static mr_status look(rewrite *r, bool *wanted, mr_error *err)
{
    uint32_t missing = 0, asking = 0;
    *wanted = r->options->why != MR_REWRITE_ASKED_BY_COPY;
    for (uint32_t i = 0; i < r->options->owned_count; i++) {
        bool found = false;
        r->copies[i].task = r->options->owned[i];
        MR_TRY(look_at(r, &r->copies[i], &found, err));
        missing += !found;
        asking += found && (r->copies[i].pending || r->copies[i].replayed);
    }
    *wanted = *wanted || asking > 0;
    if (!*wanted)
        return MR_OK;
    if (missing > 0)
        return mr_fail(err, MR_FATAL,
                       "the local state lacks %u of %u tasks: the changelogs cannot "
                       "be written from it",
                       missing, r->options->owned_count);
    for (uint32_t i = 0; i < r->options->owned_count; i++)
        MR_TRY(check_copy(r, &r->copies[i], err));
    return MR_OK;
}

// What the changelogs have.

static mr_status see(void *context, int64_t offset, mr_bytes key, mr_bytes value, mr_error *err)
{
    rewrite *r = context;
    mr_marker marker;
    (void)offset;
    if (!mr_marker_is(key)) {
        r->seen_rows++;
        return MR_OK;
    }
    MR_TRY(mr_taking_marker(r->taker, value, &marker, err));
    const bool ours = memcmp(marker.history, r->copies[0].history, sizeof marker.history) == 0;
    r->ours = r->ours || ours;
    r->theirs = r->theirs || !ours;
    if (marker.seq > r->seen_seq)
        r->seen_seq = marker.seq;
    return MR_OK;
}

static mr_status read_changelogs(rewrite *r, mr_bus_visit *visit, mr_error *err)
{
    for (uint32_t i = 0; i < r->options->owned_count; i++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
            const mr_topic topic = mr_topic_of_changelog(c);
            mr_log_ends ends;
            int64_t next;
            r->task = r->options->owned[i];
            r->changelog = c;
            MR_TRY(r->bus->changelog_ends(r->bus->context, topic, r->task, &ends, err));
            mr_status status = MR_RETRY;
            for (next = ends.first; status == MR_RETRY;) {
                status = r->bus->changelog_read(r->bus->context, topic, r->task, next, ends.end,
                                                visit, r, &next, err);
                if (status == MR_RETRY)
                    MR_TRY(r->options->idle(r->options->context, err));
            }
            MR_TRY(status);
        }
    }
    return MR_OK;
}

static mr_status see_changelogs(rewrite *r, bool *wanted, mr_error *err)
{
    const bool told = r->options->why != MR_REWRITE_ASKED_BY_COPY || r->copies[0].pending;
    MR_TRY(read_changelogs(r, see, err));
    if (told)
        return MR_OK;
    if (r->theirs)
        return mr_fail(err, MR_FATAL,
                       "the local state was left by a replay, and the changelogs hold another "
                       "history: millrace recover --from-local puts the replay in its place, "
                       "--from-log drops the local state");
    *wanted = !r->ours; // another worker has adopted the same replay: it is in the changelogs
    return MR_OK;
}

// Where the inputs go on, by the rules of every start.

static int offsets_that_hold(const rewrite *r, const copy *c)
{
    if (c->pending) // a try before this one has committed them with its first transaction
        return c->has_offsets ? MR_ACCEPT_STATE : MR_ACCEPT_GROUP;
    if (r->options->why == MR_REWRITE_FROM_LOCAL &&
        r->taker->config->accept_offsets == MR_ACCEPT_NEITHER)
        return MR_ACCEPT_STATE;
    return r->taker->config->accept_offsets;
}

static mr_status place(rewrite *r, copy *c, mr_error *err)
{
    const mr_rewrite_options *o = r->options;
    mr_offset mine[PLACED_MAX];
    uint32_t count = 0, at = 0;
    for (uint32_t i = 0; i < o->input_count; i++) {
        if (o->task_of(o->context, o->inputs[i].input, o->inputs[i].partition) != c->task)
            continue;
        if (count == PLACED_MAX)
            return mr_fail(err, MR_FATAL, "task %u reads more than %d input partitions", c->task,
                           PLACED_MAX);
        mine[count++] = o->inputs[i];
    }
    mr_taking *taking = calloc(1, sizeof *taking);
    if (taking == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    taking->task = c->task;
    taking->state = MR_TAKING_CHECKED;
    taking->markers[0] = mr_bytes_of(c->marker, c->marker_bytes);
    r->taker->accept_offsets = offsets_that_hold(r, c);
    const mr_status status = mr_taking_place(r->taker, taking, mine, count, err);
    r->taker->accept_offsets = r->taker->config->accept_offsets;
    free(taking);
    for (uint32_t i = 0; i < o->input_count && status == MR_OK; i++) {
        if (at < count && o->inputs[i].input == mine[at].input &&
            o->inputs[i].partition == mine[at].partition)
            r->offsets[i] = mine[at++];
    }
    return status;
}

// Sending.

static mr_status begin_batch(rewrite *r, mr_error *err)
{
    r->open = true;
    return mr_frozen_begin(r->frozen, r->result->commits + 1, r->options->owned,
                           r->options->owned_count, err);
}

static mr_status send_batch(rewrite *r, mr_error *err)
{
    for (uint32_t i = 0; i < r->options->input_count; i++)
        mr_frozen_put_offset(r->frozen, r->offsets[i]);
    r->open = false;
    MR_TRY(mr_frozen_seal(r->frozen, err));
    MR_TRY(mr_sink_commit(&r->sink, r->frozen, r->options->generation, err));
    r->result->commits++;
    return r->options->idle(r->options->context, err);
}

static mr_status put(rewrite *r, uint32_t changelog, mr_bytes key, mr_bytes payload, mr_error *err)
{
    if (!r->open)
        MR_TRY(begin_batch(r, err));
    mr_frozen_put_row(r->frozen, r->task, changelog, key, payload);
    return mr_frozen_bytes(r->frozen) >= r->batch_bytes ? send_batch(r, err) : MR_OK;
}

// A key that the changelog has and the copy lacks.
static mr_status put_tombstone(void *context, int64_t offset, mr_bytes key, mr_bytes value,
                               mr_error *err)
{
    rewrite *r = context;
    uint32_t bytes = 0;
    (void)offset;
    if (mr_marker_is(key) || value.data == NULL)
        return MR_OK;
    MR_TRY(r->store->get(r->store->context, r->task, key, r->row, MR_ROW_BYTES_MAX, &bytes, err));
    if (bytes > 0)
        return MR_OK;
    r->result->tombstones++;
    return put(r, r->changelog, key, (mr_bytes){NULL, 0}, err);
}

static uint32_t changelog_of(mr_bytes key)
{
    return key.data[0] == MR_ROW_ITEM || key.data[0] == MR_ROW_NAMED ? 1 : 0;
}

static mr_status put_local(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    rewrite *r = context;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    r->result->rows++;
    return put(r, changelog_of(key), key, row.payload, err);
}

static uint32_t marker_offsets(const rewrite *r, uint32_t task, mr_marker_offset *out)
{
    const mr_rewrite_options *o = r->options;
    uint32_t count = 0;
    for (uint32_t i = 0; i < o->input_count; i++) {
        const mr_offset *at = &r->offsets[i];
        if (o->task_of(o->context, at->input, at->partition) == task)
            out[count++] =
                (mr_marker_offset){mr_bytes_text(mr_config_topic(r->taker->config, at->input)),
                                   at->partition, at->next};
    }
    return count;
}

static mr_status put_markers(rewrite *r, mr_marker_pair *pairs, mr_error *err)
{
    uint8_t sealed[MR_MARKER_BYTES_MAX];
    mr_marker_offset offsets[PLACED_MAX];
    uint32_t task_count, size;
    const mr_frozen_task *tasks = mr_frozen_tasks(r->frozen, &task_count);
    for (uint32_t i = 0; i < task_count; i++)
        pairs[i] = (mr_marker_pair){r->copies[i].task, r->copies[i].seq};
    for (uint32_t i = 0; i < task_count; i++) {
        const copy *c = &r->copies[i];
        for (uint32_t log = 0; log < MR_STORE_CHANGELOGS; log++) {
            const mr_marker marker = {
                .history = {c->history[0], c->history[1]},
                .task = c->task,
                .tasks = r->taker->tasks,
                .seq = c->seq,
                .instance = mr_bytes_text(r->taker->config->instance),
                .commit = mr_frozen_number(r->frozen),
                .clock_ms = c->clock_ms,
                .wall_ms = r->taker->clock->wall_ms(r->taker->clock->context),
                .config_hash = mr_config_hash(r->taker->config),
                .release = mr_bytes_text(mr_version()),
                .here_count = tasks[i].here_count[log],
                .here_xor = tasks[i].here_xor[log],
                .row_count = c->row_count,
                .state_hash = c->state_hash,
                .pairs = pairs,
                .pair_count = task_count,
                .offsets = offsets,
                .offset_count = marker_offsets(r, c->task, offsets),
            };
            MR_TRY(mr_marker_write(&marker, sealed, &size, err));
            mr_frozen_put_marker(r->frozen, c->task, log, mr_bytes_of(sealed, size));
        }
    }
    return MR_OK;
}

// The commit has its place in the epoch log, though nothing was learned.
static mr_status put_record(rewrite *r, mr_error *err)
{
    const uint32_t count = r->options->owned_count;
    mr_sequence *marks = calloc(count, sizeof *marks);
    mr_state_hash *hashes = calloc(count, sizeof *hashes);
    const bool good = marks != NULL && hashes != NULL;
    int64_t clock_ms = 0;
    for (uint32_t i = 0; good && i < count; i++) {
        const copy *c = &r->copies[i];
        marks[i] = (mr_sequence){c->task, (int64_t)c->seq};
        hashes[i] = (mr_state_hash){c->task, c->state_hash};
        clock_ms = c->clock_ms > clock_ms ? c->clock_ms : clock_ms;
    }
    const mr_epoch_record record = {
        .time_ms = clock_ms,
        .marks = marks,
        .mark_count = count,
        .state_hashes = hashes,
        .state_hash_count = count,
        .history = {r->copies[0].history[0], r->copies[0].history[1]},
        .instance = mr_bytes_text(r->taker->config->instance),
    };
    if (good && r->options->outputs != NULL)
        mr_outputs_put_record(r->options->outputs, r->frozen, &record);
    free(marks);
    free(hashes);
    return good ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

// The store.

static mr_status write_parts(rewrite *r, mr_store_part *parts, mr_error *err)
{
    const mr_store_batch batch = {parts, r->options->owned_count};
    MR_TRY(r->store->write(r->store->context, &batch, err));
    r->store->refresh(r->store->context);
    return MR_OK;
}

static mr_status note_pending(rewrite *r, mr_store_part *parts, mr_error *err)
{
    mr_store_identity identity = {.history = {r->copies[0].history[0], r->copies[0].history[1]}};
    memcpy(identity.cluster, r->taker->cluster, strlen(r->taker->cluster));
    MR_TRY(r->store->identify(r->store->context, &identity, err));
    r->taker->identity = identity;
    for (uint32_t i = 0; i < r->options->owned_count; i++)
        parts[i] = (mr_store_part){.task = r->options->owned[i],
                                   .offsets = {MR_REWRITE_PENDING, MR_REWRITE_PENDING}};
    return write_parts(r, parts, err);
}

static mr_status store_markers(rewrite *r, mr_store_part *parts, mr_error *err)
{
    uint32_t task_count;
    const mr_frozen_task *tasks = mr_frozen_tasks(r->frozen, &task_count);
    uint8_t *joined = malloc((size_t)task_count * MR_STORE_MARKER_MAX);
    if (joined == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; i < task_count; i++) {
        uint8_t *room = joined + (size_t)i * MR_STORE_MARKER_MAX;
        parts[i] = (mr_store_part){
            .task = tasks[i].task,
            .marker = mr_bytes_of(room, mr_marker_join(tasks[i].markers, room)),
            .offsets = {tasks[i].next[0], tasks[i].next[1]},
        };
    }
    const mr_status status = write_parts(r, parts, err);
    free(joined);
    return status;
}

static mr_status send_all(rewrite *r, mr_error *err)
{
    if (r->seen_rows > 0)
        MR_TRY(read_changelogs(r, put_tombstone, err));
    for (uint32_t i = 0; i < r->options->owned_count; i++) {
        r->task = r->options->owned[i];
        MR_TRY(r->store->each(r->store->context, r->task, put_local, r, err));
    }
    return r->open ? MR_OK : begin_batch(r, err);
}

static mr_status rewrite_all(rewrite *r, mr_store_part *parts, mr_marker_pair *pairs, mr_error *err)
{
    bool wanted;
    MR_TRY(look(r, &wanted, err));
    if (!wanted)
        return MR_OK;
    MR_TRY(see_changelogs(r, &wanted, err));
    if (!wanted)
        return MR_OK;
    for (uint32_t i = 0; i < r->options->owned_count; i++) {
        copy *c = &r->copies[i];
        MR_TRY(place(r, c, err));
        c->seq = (c->seq > r->seen_seq ? c->seq : r->seen_seq) + 1;
    }
    MR_TRY(note_pending(r, parts, err));
    MR_TRY(send_all(r, err));
    MR_TRY(put_record(r, err));
    MR_TRY(put_markers(r, pairs, err));
    MR_TRY(send_batch(r, err));
    MR_TRY(store_markers(r, parts, err));
    r->result->done = true;
    mr_log(MR_LOG_INFO, "task", "the changelogs were written from the local copy",
           mr_log_long("rows", (int64_t)r->result->rows),
           mr_log_long("tombstones", (int64_t)r->result->tombstones),
           mr_log_long("commits", (int64_t)r->result->commits));
    return MR_OK;
}

mr_status mr_rewrite_run(const mr_rewrite_options *options, mr_rewrite_result *result,
                         mr_error *err)
{
    const uint32_t count = options->owned_count;
    mr_taker *taker = options->taker;
    *result = (mr_rewrite_result){0};
    rewrite r = {
        .options = options,
        .taker = taker,
        .bus = taker->bus,
        .store = taker->store,
        .result = result,
        .batch_bytes = options->commit_bytes_max / 2 < BATCH_BYTES_MAX
                           ? options->commit_bytes_max / 2
                           : BATCH_BYTES_MAX,
        .copies = calloc(count, sizeof *r.copies),
        .offsets = calloc(options->input_count + 1u, sizeof *r.offsets),
        .row = malloc(MR_ROW_BYTES_MAX),
    };
    mr_store_part *parts = calloc(count, sizeof *parts);
    mr_marker_pair *pairs = calloc(count, sizeof *pairs);
    mr_sink_init(&r.sink, taker->bus, taker->clock, (uint32_t)taker->config->commit_retries);
    mr_status status = MR_OK;
    if (r.copies == NULL || r.offsets == NULL || r.row == NULL || parts == NULL || pairs == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = mr_frozen_open(options->commit_bytes_max, &r.frozen, err);
    if (status == MR_OK)
        status = rewrite_all(&r, parts, pairs, err);
    if (r.frozen != NULL)
        mr_frozen_close(r.frozen);
    free(pairs);
    free(parts);
    free(r.row);
    free(r.offsets);
    free(r.copies);
    return status;
}
