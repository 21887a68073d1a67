// SPDX-License-Identifier: Apache-2.0
// sink: invariants, and the one way through the states.
//
// 1. What is sent is what was frozen: no step computes a byte; an attempt after an abort sends the
// same.
// 2. Markers are queued after all rows, so that a reader who has seen a marker has seen its rows.
// 3. Offsets are sent only after every record is acknowledged: whatever a stale worker can still
// commit
//    then lies in the logs before a new owner looks.
// 4. No transaction ends without offsets: only they check the generation of the group.
// 5. A time-out is not an answer: the same call is made again until it answers.
// 6. CONFIRMED means that Kafka has said so, or that the marker was found in the changelog; nothing
//    else may lead there.
// 7. After an attempt that was slow or spoilt, a delayed request of it could end the next
// transaction: a new
//    producer epoch shuts it out first.
// 8. Offsets are sent for the generation that the commit was given for, never for a later one.
//
//                  give            begin             all queued        all acknowledged
//          IDLE ---------> BEGINNING ----> SENDING ------------> FLUSHING ------------+
//          ^ ^               ^    ^           |                     |                 v
//     drop | | take     new  |    |           +----------+----------+     +------- OFFSETS
//          | |      producer |    |                      v (abortable)    |           | sent
//          | CONFIRMED       +---------------------- ABORTING <-----------+           v
//          |  ^ ^  ^              |                                                ENDING
//          |  | |  | new producer |                                                   |
//          |  | |  +-- RENEWING   | again                                             | committed
//          |  | |      ^ (slow)   |                                                   |
//          |  | +------+----------+---------------------------------------------------+
//          |  | found             |
//          +--+----------------- HELD <----------- SETTLING <--- fenced, from any of them;
//                                                                abortable, from ENDING
//                                      new producer
//
//   From every state but IDLE, HELD and CONFIRMED: fatal or too many aborts -> FAILED.
#include "worker/sink.h"

#include "state/failpoint.h"
#include "worker/log.h"
#include "worker/marker.h"
#include "worker/planted.h"

enum {
    SLOW_MS = 5000,
    WAIT_MS = 5, // between two calls that may be repeated at once
};

static const char *const names[MR_SINK_STATE_COUNT] = {
    [MR_SINK_IDLE] = "idle",           [MR_SINK_BEGINNING] = "beginning",
    [MR_SINK_SENDING] = "sending",     [MR_SINK_FLUSHING] = "flushing",
    [MR_SINK_OFFSETS] = "offsets",     [MR_SINK_ENDING] = "ending",
    [MR_SINK_ABORTING] = "aborting",   [MR_SINK_RENEWING] = "renewing",
    [MR_SINK_SETTLING] = "settling",   [MR_SINK_HELD] = "held",
    [MR_SINK_CONFIRMED] = "confirmed", [MR_SINK_FAILED] = "failed",
};

const char *mr_sink_state_name(mr_sink_state state)
{
    return names[state];
}

#define TO(state) (1u << MR_SINK_##state)

// Every arrow of the diagram, and no other.
static const uint32_t arrows[MR_SINK_STATE_COUNT] = {
    [MR_SINK_IDLE] = TO(BEGINNING),
    [MR_SINK_BEGINNING] = TO(SENDING) | TO(SETTLING) | TO(FAILED),
    [MR_SINK_SENDING] = TO(FLUSHING) | TO(ABORTING) | TO(SETTLING) | TO(FAILED),
    [MR_SINK_FLUSHING] = TO(OFFSETS) | TO(ABORTING) | TO(SETTLING) | TO(FAILED),
    [MR_SINK_OFFSETS] = TO(ENDING) | TO(ABORTING) | TO(SETTLING) | TO(FAILED),
    [MR_SINK_ENDING] = TO(CONFIRMED) | TO(RENEWING) | TO(SETTLING) | TO(FAILED),
    [MR_SINK_ABORTING] = TO(BEGINNING) | TO(FAILED),
    [MR_SINK_RENEWING] = TO(CONFIRMED) | TO(FAILED),
    [MR_SINK_SETTLING] = TO(HELD) | TO(FAILED),
    [MR_SINK_HELD] = TO(CONFIRMED) | TO(BEGINNING) | TO(IDLE),
    [MR_SINK_CONFIRMED] = TO(IDLE),
    [MR_SINK_FAILED] = 0,
};

static void move(mr_sink *sink, mr_sink_state to)
{
    MR_ASSERT((arrows[sink->state] >> to & 1u) != 0 || mr_planted(MR_BUG_OFFSETS_FIRST) ||
              mr_planted(MR_BUG_TIMEOUT_IS_FAILURE));
    mr_log(MR_LOG_DEBUG, "commit", "state", mr_log_text("from", names[sink->state]),
           mr_log_text("to", names[to]));
    sink->state = to;
}

void mr_sink_init(mr_sink *sink, const mr_bus *bus, const mr_clock *clock, uint32_t retries_max)
{
    *sink = (mr_sink){.bus = bus, .clock = clock, .retries_max = retries_max};
}

void mr_sink_give(mr_sink *sink, mr_frozen *frozen, uint64_t generation)
{
    sink->frozen = frozen;
    sink->generation = generation;
    sink->aborted = 0;
    sink->slow = false;
    move(sink, MR_SINK_BEGINNING);
}

mr_frozen *mr_sink_take(mr_sink *sink)
{
    mr_frozen *frozen = sink->frozen;
    move(sink, MR_SINK_IDLE);
    sink->frozen = NULL;
    return frozen;
}

void mr_sink_found(mr_sink *sink)
{
    MR_ASSERT(sink->state == MR_SINK_HELD);
    sink->commits++;
    move(sink, MR_SINK_CONFIRMED);
}

void mr_sink_again(mr_sink *sink, uint64_t generation)
{
    MR_ASSERT(sink->state == MR_SINK_HELD);
    sink->generation = generation;
    move(sink, MR_SINK_BEGINNING);
}

mr_frozen *mr_sink_drop(mr_sink *sink)
{
    MR_ASSERT(sink->state == MR_SINK_HELD);
    return mr_sink_take(sink);
}

static mr_status begin(mr_sink *sink, mr_error *err)
{
    uint32_t offset_count;
    mr_frozen_offsets(sink->frozen, &offset_count);
    MR_ASSERT(offset_count > 0); // invariant 4
    MR_TRY(sink->bus->begin(sink->bus->context, err));
    sink->attempts++;
    sink->begun_ms = sink->clock->now_ms(sink->clock->context);
    sink->next_record = sink->next_row = sink->next_marker = 0;
    move(sink, MR_SINK_SENDING);
    return MR_OK;
}

static mr_status send_row(mr_sink *sink, const mr_frozen_row *row, mr_error *err)
{
    const mr_record record = {.topic = mr_topic_of_changelog(row->changelog),
                              .partition = row->task,
                              .key = row->key,
                              .value = row->value};
    return sink->bus->produce(sink->bus->context, &record, err);
}

// A commit that has no marker for a task leaves its rows to one that follows (worker/rewrite.h).
static mr_status send_marker(mr_sink *sink, const mr_frozen_task *task, uint32_t changelog,
                             mr_error *err)
{
    if (task->markers[changelog].data == NULL)
        return MR_OK;
    const mr_record record = {.topic = mr_topic_of_changelog(changelog),
                              .partition = task->task,
                              .key = mr_marker_key(),
                              .value = task->markers[changelog]};
    return sink->bus->produce(sink->bus->context, &record, err);
}

// Queues everything; on MR_RETRY (the queue is full) the next call goes on where this one stopped.
static mr_status send(mr_sink *sink, mr_error *err)
{
    uint32_t record_count, row_count, task_count;
    const mr_record *records = mr_frozen_records(sink->frozen, &record_count);
    const mr_frozen_row *rows = mr_frozen_rows(sink->frozen, &row_count);
    const mr_frozen_task *tasks = mr_frozen_tasks(sink->frozen, &task_count);
    for (; sink->next_record < record_count; sink->next_record++)
        MR_TRY(sink->bus->produce(sink->bus->context, &records[sink->next_record], err));
    for (; sink->next_row < row_count; sink->next_row++)
        MR_TRY(send_row(sink, &rows[sink->next_row], err));
    for (; sink->next_marker < task_count * MR_STORE_CHANGELOGS; sink->next_marker++) // invariant 2
        MR_TRY(send_marker(sink, &tasks[sink->next_marker / MR_STORE_CHANGELOGS],
                           sink->next_marker % MR_STORE_CHANGELOGS, err));
    move(sink, mr_planted(MR_BUG_OFFSETS_FIRST) ? MR_SINK_OFFSETS : MR_SINK_FLUSHING);
    return MR_OK;
}

// Where the changelogs go on: known once the last records are acknowledged, gone with the next
// begin.
static void note_changelogs(mr_sink *sink)
{
    uint32_t task_count;
    mr_frozen_task *tasks = mr_frozen_tasks(sink->frozen, &task_count);
    for (uint32_t i = 0; i < task_count; i++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
            tasks[i].next[c] =
                sink->bus->produced(sink->bus->context, mr_topic_of_changelog(c), tasks[i].task);
    }
}

static mr_status flush(mr_sink *sink, mr_error *err)
{
    MR_TRY(sink->bus->flush(sink->bus->context, err));
    note_changelogs(sink);
    mr_failpoint("records-sent");
    move(sink, mr_planted(MR_BUG_OFFSETS_FIRST) ? MR_SINK_ENDING : MR_SINK_OFFSETS); // invariant 3
    return MR_OK;
}

static mr_status send_offsets(mr_sink *sink, mr_error *err)
{
    uint32_t count;
    const mr_offset *offsets = mr_frozen_offsets(sink->frozen, &count);
    if (!mr_planted(MR_BUG_NO_OFFSETS))
        MR_TRY(sink->bus->send_offsets(sink->bus->context, sink->generation, offsets, count, err));
    mr_failpoint("offsets-sent");
    move(sink, mr_planted(MR_BUG_OFFSETS_FIRST) ? MR_SINK_FLUSHING : MR_SINK_ENDING);
    return MR_OK;
}

static mr_status end(mr_sink *sink, mr_error *err)
{
    mr_failpoint("commit-sent"); // with a delay: while there is no answer
    MR_TRY(sink->bus->commit(sink->bus->context, err));
    mr_failpoint("committed");
    sink->last_ms = sink->clock->now_ms(sink->clock->context) - sink->begun_ms;
    sink->slow = sink->slow || sink->last_ms > SLOW_MS;
    sink->commits++;
    move(sink, sink->slow ? MR_SINK_RENEWING : MR_SINK_CONFIRMED); // invariants 6, 7
    return MR_OK;
}

// A new producer aborts what its name left open, and shuts out what the spoilt attempt still has on
// its way: an end of it that came late would tear the next attempt.
static mr_status abort_attempt(mr_sink *sink, mr_error *err)
{
    MR_TRY(sink->bus->renew(sink->bus->context, err));
    move(sink, MR_SINK_BEGINNING);
    return MR_OK;
}

static mr_status renew(mr_sink *sink, mr_error *err)
{
    MR_TRY(sink->bus->renew(sink->bus->context, err));
    move(sink, MR_SINK_CONFIRMED);
    return MR_OK;
}

static mr_status settle(mr_sink *sink, mr_error *err)
{
    MR_TRY(sink->bus->renew(sink->bus->context, err));
    move(sink, MR_SINK_HELD);
    return MR_OK;
}

static mr_status call(mr_sink *sink, mr_error *err)
{
    switch (sink->state) {
    case MR_SINK_BEGINNING:
        return begin(sink, err);
    case MR_SINK_SENDING:
        return send(sink, err);
    case MR_SINK_FLUSHING:
        return flush(sink, err);
    case MR_SINK_OFFSETS:
        return send_offsets(sink, err);
    case MR_SINK_ENDING:
        return end(sink, err);
    case MR_SINK_ABORTING:
        return abort_attempt(sink, err);
    case MR_SINK_RENEWING:
        return renew(sink, err);
    case MR_SINK_SETTLING:
        return settle(sink, err);
    case MR_SINK_IDLE:
    case MR_SINK_HELD:
    case MR_SINK_CONFIRMED:
    case MR_SINK_FAILED:
    case MR_SINK_STATE_COUNT:
        break;
    }
    MR_ASSERT(!"a step of a sink that has nothing to do");
    return MR_FATAL;
}

// The transaction is spoilt, but the tasks are still ours: abort it and send the same bytes again.
static mr_status spoilt(mr_sink *sink, mr_error *err)
{
    const bool open = sink->state != MR_SINK_BEGINNING && sink->state != MR_SINK_ABORTING &&
                      sink->state != MR_SINK_RENEWING;
    if (!open || sink->aborted == sink->retries_max) {
        move(sink, MR_SINK_FAILED);
        mr_wrap(err, "commit %llu, aborted %u times",
                (unsigned long long)mr_frozen_number(sink->frozen), sink->aborted);
        return err->status = MR_FATAL;
    }
    mr_log(MR_LOG_WARNING, "commit", "aborting, then again",
           mr_log_long("commit", (int64_t)mr_frozen_number(sink->frozen)),
           mr_log_text("state", names[sink->state]), mr_log_text("error", err->text));
    sink->aborted++;
    // A commit that was asked for may be there, whatever the client says.
    move(sink, sink->state == MR_SINK_ENDING ? MR_SINK_SETTLING : MR_SINK_ABORTING);
    return MR_OK;
}

static mr_status failed(mr_sink *sink, mr_error *err)
{
    mr_wrap(err, "commit %llu, %s", (unsigned long long)mr_frozen_number(sink->frozen),
            names[sink->state]);
    move(sink, MR_SINK_FAILED);
    return err->status = MR_FATAL;
}

// The tasks are somebody else's, or the client has lost count: a new producer decides what was
// open.
static mr_status fenced(mr_sink *sink, mr_error *err)
{
    if (sink->state == MR_SINK_SETTLING || sink->state == MR_SINK_RENEWING ||
        sink->state == MR_SINK_ABORTING)
        return failed(sink, err); // a new producer is fenced at once: another process has our name
    mr_log(MR_LOG_WARNING, "commit", "fenced",
           mr_log_long("commit", (int64_t)mr_frozen_number(sink->frozen)),
           mr_log_text("state", names[sink->state]), mr_log_text("error", err->text));
    move(sink, MR_SINK_SETTLING);
    return MR_OK;
}

void mr_sink_wait(mr_sink *sink, mr_error *err)
{
    mr_log(MR_LOG_WARNING, "commit", "no answer yet", mr_log_text("state", names[sink->state]),
           mr_log_text("error", err->text));
    // A full queue drains only while the client is served.
    if (sink->state == MR_SINK_SENDING)
        (void)sink->bus->flush(sink->bus->context, err);
    sink->clock->sleep_ms(sink->clock->context, WAIT_MS);
}

mr_status mr_sink_step(mr_sink *sink, mr_error *err)
{
    const mr_status status = call(sink, err);
    switch (status) {
    case MR_OK:
        return MR_OK;
    case MR_RETRY: // invariant 5
        sink->retried_calls++;
        sink->slow =
            sink->slow || sink->clock->now_ms(sink->clock->context) - sink->begun_ms > SLOW_MS;
        if (mr_planted(MR_BUG_TIMEOUT_IS_FAILURE) && sink->state == MR_SINK_ENDING)
            move(sink, MR_SINK_BEGINNING);
        return MR_RETRY;
    case MR_ABORT:
        return spoilt(sink, err);
    case MR_FENCED:
        return fenced(sink, err);
    case MR_FATAL:
        break;
    case MR_REJECT:
        MR_ASSERT(!"the bus refuses a record that was checked before");
    }
    return failed(sink, err);
}

mr_status mr_sink_commit(mr_sink *sink, mr_frozen *frozen, uint64_t generation, mr_error *err)
{
    mr_error reason = {0};
    mr_sink_give(sink, frozen, generation);
    while (sink->state != MR_SINK_CONFIRMED && sink->state != MR_SINK_HELD) {
        const mr_status status = mr_sink_step(sink, err);
        if (status == MR_RETRY)
            mr_sink_wait(sink, err);
        else if (status != MR_OK)
            return status;
        if (sink->state == MR_SINK_SETTLING && reason.status == MR_OK)
            reason = *err;
    }
    const bool held = sink->state == MR_SINK_HELD;
    (void)mr_sink_take(sink);
    if (held)
        *err = reason;
    return held ? MR_FENCED : MR_OK;
}
