// SPDX-License-Identifier: Apache-2.0
// Invariants:
//   R1  A transaction holds the copies of a run of records of each partition, and the offset behind
//       that run: both are committed, or neither is. There is none without offsets, and they come
//       after every copy was acknowledged.
//   R2  Its offsets go with the member that the group knew when it assigned these partitions: from
//       whoever has lost them they are refused, and the copies with them.
//   R3  What is read next is what the group has committed: there is no other memory. So whatever
//       becomes of a transaction that failed, asking the group and reading from there is right.
//   R4  A partition without a committed offset gets one before its first record is read, in a
//       transaction that holds nothing else. So a second start does not begin anew, and where the
//       topic has ever had a record, the group knows offsets, or has been forgotten (resume.h).
//   R5  A record's partition is decided once, here. Where no user can be found in it, the copy says
//       so, and is refused where it arrives: a decoder that knows more by then must not learn it
//       in a task that is not the user's.
//   R6  Every record can be copied: one that no broker would take is cut, and refused where it
//       arrives.
//       A record whose schema is not known yet waits, with all that follows it in its partition.
//   R7  Copies of one partition of a source to one partition are in the order of the source.
//   R8  What the mapping leaves out is not copied: its offset goes with the others.
//
//     JOINING ---> PLACING ---> READING ---> BEGINNING -> SENDING -> FLUSHING -> OFFSETS -> ENDING
//        ^          |   ^        |   ^           |           |          |           |         |
//        +- let go -+---|--------+   +-----------|-----------|----------|-----------|-- done -+
//                       |                        |           |          |           |         |
//                       +------ SETTLING <-------+-----------+----------+-----------+---------+
//
// SETTLING: the transaction is given up, or its outcome is unknown: a new producer decides it, and
// shuts out what the old one still has on its way.
//
// What was taken for a transaction that failed is given back, and read again from where PLACING
// says: nothing is remembered, so there is one way to recover. A group that asks for its partitions
// waits until the transaction under way is over.
#include "worker/repartition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/failpoint.h"
#include "worker/log.h"
#include "worker/origin.h"
#include "worker/partitioner.h"
#include "worker/resume.h"

enum {
    TAKE_MAX = 256,
    HEADERS_MAX = 64, // of a record, as many as a decoder looks at
    ARENA_BYTES = 4 << 20,
    BATCH_BYTES = 8 << 20,
    RECORD_ROOM = MR_ORIGIN_BYTES_MAX + (HEADERS_MAX + 1) * sizeof(mr_header) + 2 * MR_ARENA_ALIGN,
    SCRATCH_BYTES = 1 << 20, // for texts that a decoder makes of numbers
    OVERHEAD_BYTES = 4096,   // of a record, beside key, value and headers
    INTERVAL_MIN_MS = 20,
    BUSY_FACTOR = 4, // the next transaction waits so many times as long as the last one took
    LEFT_OUT_MAX = 1 << 16,
    SLOW_MS = 5000, // requests of a transaction that took longer may still be on their way
    WAIT_MS = 20,
    BACK_OFF_MS = 100,
};

typedef enum stage_state {
    JOINING,   // nothing is ours
    PLACING,   // partitions are ours: where are they read on?
    READING,   // no transaction is open
    BEGINNING, // the batch is full, or old enough
    SENDING,
    FLUSHING,
    OFFSETS,
    ENDING,
    SETTLING,
} stage_state;

typedef struct source {
    int64_t next;
    bool at_end;        // said since the last record
    mr_message *parked; // TAKE_MAX, taken behind a record whose schema is not known yet; or NULL
    uint32_t parked_count;
} source;

struct mr_repartition {
    mr_repartition_options options;
    mr_resume resume;
    stage_state state;
    uint64_t generation;
    mr_offset *offsets; // of the partitions that are read, as they will be committed
    source *sources;    // of the same
    uint32_t count, room;
    uint32_t turn;              // partition that is asked first
    bool unrecorded;            // a partition has no committed offset yet (R4)
    mr_message taken[TAKE_MAX]; // of one partition, not in the batch yet
    uint32_t taken_first, taken_count, taken_of;

    // The batch.
    mr_message *messages;
    mr_record *records;
    uint32_t record_count, sent, refused, left_out;
    size_t bytes;
    int64_t opened_ms; // of its first record, or the first that was left out
    mr_arena arena;    // headers of its records
    mr_arena scratch;  // of the decoder

    uint32_t failed; // transactions in a row
    int64_t begun_ms, retry_ms;
    mr_repartition_counters counters;
};

static int64_t now_ms(const mr_repartition *stage)
{
    return stage->options.clock->now_ms(stage->options.clock->context);
}

static mr_status open_memory(mr_repartition *stage, mr_error *err)
{
    const size_t max = (size_t)stage->options.config->repartition_records_max;
    const size_t decoder = 2 * mr_decoder_room(stage->options.decoder) + SCRATCH_BYTES;
    stage->messages = calloc(max, sizeof *stage->messages);
    stage->records = calloc(max, sizeof *stage->records);
    void *arena = aligned_alloc(MR_ARENA_ALIGN, ARENA_BYTES);
    mr_arena_init(&stage->arena, arena, ARENA_BYTES);
    void *scratch = aligned_alloc(MR_ARENA_ALIGN, mr_arena_round(decoder));
    mr_arena_init(&stage->scratch, scratch, mr_arena_round(decoder));
    if (stage->messages == NULL || stage->records == NULL || arena == NULL || scratch == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return mr_resume_init(&stage->resume, &stage->options, err);
}

mr_status mr_repartition_open(const mr_repartition_options *options, mr_repartition **out,
                              mr_error *err)
{
    mr_repartition *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    stage->options = *options;
    const mr_status status = open_memory(stage, err);
    if (status != MR_OK) {
        mr_repartition_close(stage);
        return status;
    }
    *out = stage;
    return MR_OK;
}

// The batch is over, one way or the other.
static void clear(mr_repartition *stage)
{
    const mr_intake *intake = stage->options.intake;
    for (uint32_t i = 0; i < stage->record_count; i++)
        intake->give_back(intake->context, &stage->messages[i]);
    stage->record_count = stage->sent = stage->refused = stage->left_out = 0;
    stage->bytes = 0;
    mr_arena_reset(&stage->arena);
}

// What was taken and is not committed will be read again.
static void give_back(mr_repartition *stage)
{
    const mr_intake *intake = stage->options.intake;
    clear(stage);
    for (; stage->taken_count > 0; stage->taken_count--)
        intake->give_back(intake->context, &stage->taken[stage->taken_first++]);
    for (uint32_t i = 0; i < stage->count; i++) {
        source *from = &stage->sources[i];
        for (uint32_t j = 0; j < from->parked_count; j++)
            intake->give_back(intake->context, &from->parked[j]);
        free(from->parked);
        from->parked = NULL;
        from->parked_count = 0;
    }
}

void mr_repartition_close(mr_repartition *stage)
{
    if (stage == NULL)
        return;
    give_back(stage);
    free(stage->offsets);
    free(stage->sources);
    mr_resume_deinit(&stage->resume);
    free(stage->messages);
    free(stage->records);
    free(stage->arena.base);
    free(stage->scratch.base);
    free(stage);
}

// ---- placing

static mr_status make_room(mr_repartition *stage, uint32_t count, mr_error *err)
{
    if (count <= stage->room)
        return MR_OK;
    free(stage->offsets);
    free(stage->sources);
    stage->offsets = calloc(count, sizeof *stage->offsets);
    stage->sources = calloc(count, sizeof *stage->sources);
    stage->room = stage->offsets != NULL && stage->sources != NULL ? count : 0;
    return stage->room > 0 ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

// R3
static mr_status place(mr_repartition *stage, mr_error *err)
{
    const mr_intake *intake = stage->options.intake;
    uint32_t count;
    MR_ASSERT(stage->record_count == 0 && stage->taken_count == 0);
    const mr_offset *all = intake->partitions(intake->context, &count);
    MR_TRY(make_room(stage, count, err));
    stage->count = count;
    stage->turn = 0;
    if (count > 0)
        memcpy(stage->offsets, all, count * sizeof *all);
    MR_TRY(mr_resume_find(&stage->resume, stage->offsets, count, &stage->unrecorded,
                          &stage->counters.gone, err));
    MR_TRY(intake->assign(intake->context, stage->offsets, count, err));
    for (uint32_t i = 0; i < count; i++)
        stage->sources[i] = (source){.next = stage->offsets[i].next};
    stage->state = READING;
    return MR_OK;
}

// ---- reading

// A record's user. Errors: MR_REJECT: none can be found; MR_RETRY: its schema is not known yet.
static mr_status find_user(mr_repartition *stage, uint32_t input, const mr_message *message,
                           mr_bytes *user, bool *left_out, mr_error *err)
{
    mr_arrival arrival; // the first event: the others have its user
    uint32_t count;
    mr_arena_reset(&stage->scratch);
    const mr_status status = mr_decoder_read(stage->options.decoder, input, message,
                                             &stage->scratch, &arrival, 1, &count, err);
    if (status != MR_OK && (status != MR_RETRY || count == 0))
        return status;
    err->cause = MR_CAUSE_NONE; // of a second event, which there was no room for
    err->text[0] = '\0';
    *left_out = count == 0;
    if (*left_out)
        return MR_OK;
    *user = mr_event_has(&arrival.event, MR_FIELD_user) ? arrival.event.user : (mr_bytes){NULL, 0};
    if (user->size > 0)
        return MR_OK;
    return mr_reject(err, MR_CAUSE_no_user, "neither the value nor the key names a user");
}

// R6: of a record that is too large, as much as is taken.
static void cut(mr_record *record, size_t room)
{
    size_t fixed = record->key.size;
    for (uint32_t i = 1; i < record->header_count; i++)
        fixed += record->headers[i].value.size + strlen(record->headers[i].name);
    if (fixed > room / 2)
        record->header_count = 1;
    fixed = fixed > room / 2 ? record->key.size : fixed;
    if (fixed > room / 2)
        record->key.size = (uint32_t)(fixed = room / 2);
    if (record->value.size > room - fixed)
        record->value.size = (uint32_t)(room - fixed);
}

static size_t size_of(const mr_record *record)
{
    size_t size = (size_t)record->key.size + record->value.size;
    for (uint32_t i = 1; i < record->header_count; i++)
        size += record->headers[i].value.size + strlen(record->headers[i].name);
    return size;
}

// The partition of a copy. *left_out (R8): there is none, the mapping makes no event of it, however
// large it is. Errors: MR_REJECT: it will be refused where it arrives; others: those of find_user.
static mr_status choose_partition(mr_repartition *stage, uint32_t input, mr_record *record,
                                  const mr_message *message, bool *left_out, mr_error *err)
{
    const mr_config *config = stage->options.config;
    const size_t room = (size_t)config->outputs_record_bytes_max - OVERHEAD_BYTES;
    const uint32_t partitions = stage->options.partition_count;
    const size_t size = size_of(record);
    mr_bytes user;
    mr_status status = MR_REJECT;
    *left_out = false;
    if (size <= room || mr_decoder_selects(stage->options.decoder, input))
        status = find_user(stage, input, message, &user, left_out, err);
    if (*left_out || (status != MR_OK && status != MR_REJECT))
        return status;
    if (size > room) {
        status = mr_reject(err, MR_CAUSE_too_large, "%zu bytes, outputs.record_bytes_max is %lld",
                           size, (long long)config->outputs_record_bytes_max);
        cut(record, room);
    }
    if (status == MR_OK)
        record->partition = mr_partition_of_user(config, user, partitions);
    else if (message->key.data != NULL)
        record->partition = mr_partition_by(config->partitioner, message->key, partitions);
    return status;
}

// Makes the copy of a message: its bytes, its headers behind one of ours, its user's partition.
// Errors: MR_RETRY: its schema is not known yet; MR_FATAL.
static mr_status make_record(mr_repartition *stage, uint32_t input, const mr_message *message,
                             mr_record *record, bool *left_out, mr_error *failure)
{
    char text[MR_ORIGIN_BYTES_MAX];
    mr_header headers[HEADERS_MAX + 1];
    mr_error err = {0};
    *record = (mr_record){.topic = MR_TOPIC_REPARTITION,
                          .key = message->key,
                          .value = message->value,
                          .headers = headers};
    record->header_count = 1 + message->headers(message, headers + 1, HEADERS_MAX);
    const mr_status status = choose_partition(stage, input, record, message, left_out, &err);
    if (*left_out)
        return MR_OK;
    if (status != MR_OK && status != MR_REJECT) {
        *failure = err;
        return status;
    }
    stage->refused += status == MR_REJECT;
    const mr_origin origin = {
        .topic = mr_bytes_text(mr_config_topic(stage->options.config, input)),
        .partition = message->partition,
        .offset = message->offset,
        .time_ms = message->time_ms,
        .cause = err.cause, // R5
        .reason = mr_bytes_text(err.text),
    };
    const uint32_t size = mr_origin_write(&origin, text);
    const void *const line = memcpy(mr_arena_push(&stage->arena, size), text, size);
    headers[0] = (mr_header){MR_ORIGIN_HEADER, mr_bytes_of(line, size)};
    const size_t bytes = record->header_count * sizeof *headers;
    record->headers = memcpy(mr_arena_push(&stage->arena, bytes), headers, bytes);
    return MR_OK;
}

static bool is_full(const mr_repartition *stage)
{
    const mr_config *config = stage->options.config;
    const size_t bytes_max = config->commit_bytes_max < BATCH_BYTES
                                 ? (size_t)config->commit_bytes_max
                                 : (size_t)BATCH_BYTES;
    return stage->left_out == LEFT_OUT_MAX ||
           stage->record_count == (uint32_t)config->repartition_records_max ||
           stage->bytes >= bytes_max || stage->arena.size - stage->arena.used < RECORD_ROOM;
}

static void leave_out(mr_repartition *stage, uint32_t index, const mr_message *message)
{
    if (stage->record_count + stage->left_out == 0)
        stage->opened_ms = now_ms(stage);
    stage->left_out++;
    stage->offsets[index].next = stage->sources[index].next = message->offset + 1;
}

// Errors: those of make_record; the message is not in the batch then, nor where it is left out.
static mr_status add(mr_repartition *stage, uint32_t index, const mr_message *message,
                     bool *left_out, mr_error *err)
{
    const uint32_t at = stage->record_count;
    stage->messages[at] = *message;
    MR_TRY(make_record(stage, stage->offsets[index].input, &stage->messages[at],
                       &stage->records[at], left_out, err));
    if (*left_out) {
        leave_out(stage, index, message);
        return MR_OK;
    }
    if (stage->record_count++ + stage->left_out == 0)
        stage->opened_ms = now_ms(stage);
    stage->bytes += size_of(&stage->records[at]);
    stage->offsets[index].next = stage->sources[index].next = message->offset + 1;
    return MR_OK;
}

// A message that was taken goes into the batch, or back. Errors: MR_FATAL: it says that the
// partition cannot be read; MR_RETRY: its schema is not known yet, and it stays with the caller.
static mr_status sort_message(mr_repartition *stage, uint32_t index, mr_message *message,
                              mr_error *err)
{
    const mr_intake *intake = stage->options.intake;
    const mr_offset *at = &stage->offsets[index];
    source *from = &stage->sources[index];
    mr_status status = MR_OK;
    if (message->end) {
        from->at_end = true;
    } else if (message->error != NULL) {
        status =
            mr_fail(err, MR_FATAL, "%s [%u]: %s", mr_config_topic(stage->options.config, at->input),
                    at->partition, message->error);
    } else if (message->offset < from->next) {
        stage->counters.below++; // clients up to 2.3 may step back
    } else {
        bool left_out;
        from->at_end = false;
        status = add(stage, index, message, &left_out, err);
        if (status == MR_RETRY || (status == MR_OK && !left_out))
            return status;
    }
    intake->give_back(intake->context, message);
    return status;
}

// What was taken of a partition is put by, so that the others go on.
static mr_status park(mr_repartition *stage, mr_error *err)
{
    source *from = &stage->sources[stage->taken_of];
    MR_ASSERT(from->parked_count == 0);
    if (from->parked == NULL)
        from->parked = calloc(TAKE_MAX, sizeof *from->parked);
    if (from->parked == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    from->parked_count = stage->taken_count;
    memcpy(from->parked, stage->taken + stage->taken_first,
           stage->taken_count * sizeof *from->parked);
    stage->taken_count = 0;
    return MR_OK;
}

static mr_status fill(mr_repartition *stage, bool *moved, mr_error *err)
{
    while (stage->taken_count > 0 && !is_full(stage)) {
        const mr_status status =
            sort_message(stage, stage->taken_of, &stage->taken[stage->taken_first], err);
        if (status == MR_RETRY)
            return park(stage, err);
        stage->taken_first++;
        stage->taken_count--;
        MR_TRY(status);
        *moved = true;
    }
    return MR_OK;
}

// What was put by of a partition, or what it has.
static void take(mr_repartition *stage, uint32_t index)
{
    const mr_intake *intake = stage->options.intake;
    source *from = &stage->sources[index];
    stage->taken_of = index;
    stage->taken_first = 0;
    if (from->parked_count > 0) {
        memcpy(stage->taken, from->parked, from->parked_count * sizeof *stage->taken);
        stage->taken_count = from->parked_count;
        from->parked_count = 0;
    } else {
        stage->taken_count = intake->take(intake->context, index, stage->taken, TAKE_MAX);
    }
}

// Takes what the partitions have and the batch has room for.
static mr_status take_some(mr_repartition *stage, bool *moved, mr_error *err)
{
    MR_TRY(fill(stage, moved, err));
    for (uint32_t i = 0; i < stage->count && stage->taken_count == 0; i++) {
        take(stage, (stage->turn + i) % stage->count);
        MR_TRY(fill(stage, moved, err));
    }
    stage->turn = stage->count > 0 ? (stage->turn + 1) % stage->count : 0;
    return MR_OK;
}

static int64_t interval_ms(const mr_repartition *stage)
{
    const int64_t max = stage->options.config->repartition_interval_max;
    int64_t ms = stage->counters.last_ms * BUSY_FACTOR;
    ms = ms > INTERVAL_MIN_MS ? ms : INTERVAL_MIN_MS;
    return ms < max ? ms : max;
}

static mr_status read_some(mr_repartition *stage, bool *moved, mr_error *err)
{
    if (!stage->unrecorded)
        MR_TRY(take_some(stage, moved, err));
    const bool old = stage->record_count + stage->left_out > 0 &&
                     now_ms(stage) - stage->opened_ms >= interval_ms(stage);
    if (is_full(stage) || old || stage->unrecorded) {
        stage->state = BEGINNING;
        stage->begun_ms = now_ms(stage);
        *moved = true;
    }
    return MR_OK;
}

// ---- the transaction

// What failed is begun again from what the group has.
static mr_status recover(mr_repartition *stage, mr_status status, mr_error *err)
{
    if (status == MR_FATAL || status == MR_REJECT)
        return MR_FATAL;
    if (status == MR_OK || status == MR_RETRY)
        return status;
    if (stage->state == SETTLING) // a new producer is fenced at once: another process has our name
        return err->status = MR_FATAL;
    if (stage->failed++ >= stage->options.config->commit_retries) {
        mr_wrap(err, "repartition: %u transactions in a row failed", stage->failed);
        return err->status = MR_FATAL;
    }
    mr_log(MR_LOG_WARNING, "repartition", "begins again", mr_log_text("error", err->text));
    stage->counters.recoveries++;
    stage->state = SETTLING;
    stage->retry_ms = now_ms(stage) + BACK_OFF_MS * stage->failed;
    give_back(stage);
    return MR_OK;
}

static mr_status send(mr_repartition *stage, mr_error *err)
{
    const mr_bus *bus = stage->options.bus;
    for (; stage->sent < stage->record_count; stage->sent++) {
        const mr_status status = bus->produce(bus->context, &stage->records[stage->sent], err);
        if (status == MR_RETRY) // the client's queue is full: what is in it has to go first
            MR_TRY(bus->flush(bus->context, err));
        MR_TRY(status);
    }
    stage->state = FLUSHING;
    return MR_OK;
}

static void confirm(mr_repartition *stage)
{
    mr_repartition_counters *counters = &stage->counters;
    counters->transactions++;
    counters->records += stage->record_count;
    counters->refused += stage->refused;
    counters->last_ms = now_ms(stage) - stage->begun_ms;
    stage->unrecorded = false;
    stage->failed = 0;
    clear(stage);
    // A delayed request to end this transaction could end the next one of the same producer.
    stage->state = READING;
    if (counters->last_ms > SLOW_MS) {
        stage->state = SETTLING;
        give_back(stage);
    }
}

static mr_status step_transaction(mr_repartition *stage, mr_error *err)
{
    const mr_bus *bus = stage->options.bus;
    mr_status status = MR_OK;
    switch (stage->state) {
    case BEGINNING:
        status = bus->begin(bus->context, err);
        stage->state = status == MR_OK ? SENDING : stage->state;
        break;
    case SENDING:
        status = send(stage, err);
        break;
    case FLUSHING:
        status = bus->flush(bus->context, err);
        stage->state = status == MR_OK ? OFFSETS : stage->state;
        break;
    case OFFSETS: // R1, R2
        mr_failpoint("copies-sent");
        status =
            bus->send_offsets(bus->context, stage->generation, stage->offsets, stage->count, err);
        stage->state = status == MR_OK ? ENDING : stage->state;
        break;
    case ENDING:
        mr_failpoint("copies-offsets-sent"); // with a delay: while there is no answer
        status = bus->commit(bus->context, err);
        mr_failpoint("copies-committed");
        if (status == MR_OK)
            confirm(stage);
        break;
    case SETTLING:
        status = bus->renew(bus->context, err);
        stage->state = status == MR_OK ? PLACING : stage->state;
        break;
    case JOINING:
    case PLACING:
    case READING:
        MR_ASSERT(!"no transaction");
    }
    return recover(stage, status, err);
}

// ---- the group

bool mr_repartition_is_quiet(const mr_repartition *stage)
{
    return stage->state == JOINING || stage->state == PLACING || stage->state == READING;
}

// With no transaction open: what is ours, and whether it still is. Returns whether it changed.
static bool follow_group(mr_repartition *stage)
{
    const mr_intake *intake = stage->options.intake;
    const mr_membership member = intake->look(intake->context);
    if (member.state == MR_GROUP_ASSIGNED && stage->state != JOINING &&
        member.generation == stage->generation)
        return false;
    give_back(stage);
    stage->count = 0;
    stage->state = JOINING;
    if (member.state == MR_GROUP_REVOKING || member.state == MR_GROUP_LOST)
        intake->let_go(intake->context);
    if (member.state != MR_GROUP_ASSIGNED)
        return member.state != MR_GROUP_JOINING;
    stage->generation = member.generation;
    stage->state = PLACING;
    return true;
}

mr_status mr_repartition_step(mr_repartition *stage, bool *moved, mr_error *err)
{
    const mr_intake *intake = stage->options.intake;
    mr_status status = MR_OK;
    *moved = false;
    MR_TRY(intake->poll(intake->context, 0, err));
    if (!mr_repartition_is_quiet(stage)) {
        status = step_transaction(stage, err);
        *moved = status == MR_OK;
        return status == MR_RETRY ? MR_OK : status;
    }
    if (follow_group(stage)) {
        *moved = true;
        return MR_OK;
    }
    if (stage->state == READING)
        return read_some(stage, moved, err);
    if (stage->state == PLACING && now_ms(stage) >= stage->retry_ms) {
        status = place(stage, err);
        *moved = status == MR_OK;
    }
    return status == MR_RETRY ? MR_OK : status;
}

int mr_repartition_patience(const mr_repartition *stage, int most)
{
    if (stage->state != READING)
        return most < WAIT_MS ? most : WAIT_MS;
    if (stage->record_count + stage->left_out == 0)
        return most;
    const int64_t left = stage->opened_ms + interval_ms(stage) - now_ms(stage);
    return left < 0 ? 0 : left < most ? (int)left : most;
}

bool mr_repartition_at_end(const mr_repartition *stage)
{
    if (stage->state != READING || stage->record_count + stage->left_out + stage->taken_count > 0 ||
        stage->unrecorded)
        return false;
    for (uint32_t i = 0; i < stage->count; i++) {
        if (!stage->sources[i].at_end || stage->sources[i].parked_count > 0)
            return false;
    }
    return true;
}

const mr_repartition_counters *mr_repartition_count(const mr_repartition *stage)
{
    return &stage->counters;
}

int64_t mr_repartition_lag(const mr_repartition *stage)
{
    const mr_intake *intake = stage->options.intake;
    if (stage->state == PLACING)
        return -1;
    return stage->count == 0 ? 0 : intake->lag(intake->context, stage->offsets, stage->count);
}
