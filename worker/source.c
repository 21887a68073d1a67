// SPDX-License-Identifier: Apache-2.0
#include "worker/source.h"

#include <stdlib.h>
#include <string.h>

#include "worker/decoder.h"
#include "worker/log.h"
#include "worker/origin.h"

enum {
    FEED_MESSAGES = 256,
    ARENA_BYTES = 2 << 20,
    LINES_PER_EVENT = 64, // as mr_engine_round wants it
    SKIPPED_MAX = 16384,  // messages of one epoch that are no events
    LOOKS = 2,            // at the topics, before a copy of none that is known is refused
};

typedef struct feed { // an input partition
    uint32_t input, partition;
    int64_t next; // of what was put into an epoch
    mr_message messages[FEED_MESSAGES];
    mr_rerouted *rerouted; // of the messages, where this is the repartition topic; otherwise NULL
    uint32_t first, count;
    bool at_end;  // the consumer has said so since the last message
    bool waits;   // in this pump: the first message has to wait for its schema, or its topic
    uint32_t strange; // looks at the topics before it first waited for that, and one; 0: it has not
    int64_t read; // up to which offset the log was read when it said so last; -1: it has not
} feed;

typedef struct held { // a message of an epoch
    mr_message message;
    uint32_t feed;
    uint32_t input; // that it belongs to: the feed's, but for the repartition topic
    mr_cause cause; // of the decoder; MR_CAUSE_NONE: it could be decoded
} held;

typedef struct builder { // the next epoch of a task
    uint32_t task;
    mr_arrival *arrivals, *scratch;
    uint32_t count;
    held *held;
    uint32_t held_count;
    uint32_t skipped; // messages that the mapping leaves out: read, and given back at once
    bool full;        // the next message has more events than are left
    size_t bytes;
    uint32_t lines; // of its events, one without any counting as one: the engine's room
    mr_arena arena;
    int64_t opened_ms;  // when the first message was taken
    int64_t waiting_ms; // since when a feed that is not at its end has nothing; 0: it is not so
    bool closed;        // given out by ready, not learned yet
    uint32_t *feeds;
    uint32_t feed_count;
    uint32_t deltas; // the feed of deltas of other workers; UINT32_MAX: none
    mr_bytes *received;
    uint32_t received_count;
    size_t received_bytes;
} builder;

struct mr_source {
    const mr_config *config;
    const mr_intake *intake;
    mr_decoder *decoder;
    feed *feeds;
    uint32_t feed_count;
    mr_offset *learned; // by feed; what the last ones had learned where they were released
    uint32_t learned_count;
    builder *builders;
    uint32_t task_count, held_max;
    size_t event_bytes; // arena room that the next event may need
    uint32_t looks;     // at what topics there are
    mr_source_counters counters;
};

static mr_status open_builder(mr_source *source, builder *b, uint32_t task, mr_error *err)
{
    const uint32_t max = source->held_max;
    b->task = task;
    b->arrivals = calloc(max, sizeof *b->arrivals);
    b->scratch = calloc(max, sizeof *b->scratch);
    b->held = calloc(max, sizeof *b->held);
    b->feeds = calloc(source->feed_count + 1, sizeof *b->feeds);
    b->received = calloc(max, sizeof *b->received);
    b->deltas = UINT32_MAX;
    void *memory = aligned_alloc(MR_ARENA_ALIGN, ARENA_BYTES);
    if (b->arrivals == NULL || b->scratch == NULL || b->held == NULL || b->feeds == NULL ||
        b->received == NULL || memory == NULL) {
        free(memory);
        return mr_fail(err, MR_FATAL, "out of memory for the epochs of task %u", task);
    }
    mr_arena_init(&b->arena, memory, ARENA_BYTES);
    for (uint32_t i = 0; i < source->feed_count; i++) {
        const feed *f = &source->feeds[i];
        if (source->intake->task_of(source->intake->context, f->input, f->partition) != task)
            continue;
        if (f->input == mr_config_deltas(source->config))
            b->deltas = i;
        else
            b->feeds[b->feed_count++] = i;
    }
    return MR_OK;
}

static void give_back(const mr_source *source, mr_message *message)
{
    source->intake->give_back(source->intake->context, message);
}

static void release(const mr_source *source, builder *b)
{
    for (uint32_t i = 0; i < b->held_count; i++)
        give_back(source, &b->held[i].message);
    b->held_count = b->count = b->received_count = 0;
    b->received_bytes = 0;
    b->bytes = 0;
    b->lines = 0;
    b->closed = b->full = false;
    b->skipped = 0;
    mr_arena_reset(&b->arena);
}

static void close_builder(const mr_source *source, builder *b)
{
    if (b->held != NULL)
        release(source, b);
    free(b->arrivals);
    free(b->scratch);
    free(b->held);
    free(b->feeds);
    free(b->received);
    free(b->arena.base);
}

void mr_source_release(mr_source *source)
{
    for (uint32_t i = 0; source->builders != NULL && i < source->task_count; i++)
        close_builder(source, &source->builders[i]);
    for (uint32_t i = 0; source->feeds != NULL && i < source->feed_count; i++) {
        feed *f = &source->feeds[i];
        for (uint32_t j = 0; j < f->count; j++)
            give_back(source, &f->messages[f->first + j]);
        free(f->rerouted);
    }
    free(source->builders);
    free(source->feeds);
    source->builders = NULL;
    source->feeds = NULL;
    source->task_count = source->feed_count = 0;
}

static mr_status open_feeds(mr_source *source, const uint32_t *tasks, const mr_offset *offsets,
                            mr_error *err)
{
    mr_offset *learned = calloc(source->feed_count + 1, sizeof *learned);
    source->feeds = calloc(source->feed_count + 1, sizeof *source->feeds);
    source->builders = calloc(source->task_count + 1, sizeof *source->builders);
    if (source->feeds == NULL || learned == NULL || source->builders == NULL) {
        free(learned);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < source->feed_count; i++) {
        learned[i] = offsets[i];
        feed *f = &source->feeds[i];
        *f = (feed){.input = offsets[i].input,
                    .partition = offsets[i].partition,
                    .next = offsets[i].next,
                    .read = -1};
        if (f->input == mr_config_repartition(source->config))
            f->rerouted = calloc(FEED_MESSAGES, sizeof *f->rerouted);
        if (f->input == mr_config_repartition(source->config) && f->rerouted == NULL) {
            free(learned);
            return mr_fail(err, MR_FATAL, "out of memory");
        }
    }
    free(source->learned);
    source->learned = learned;
    source->learned_count = source->feed_count;
    for (uint32_t i = 0; i < source->task_count; i++)
        MR_TRY(open_builder(source, &source->builders[i], tasks[i], err));
    return MR_OK;
}

mr_status mr_source_assign(mr_source *source, const uint32_t *tasks, uint32_t task_count,
                           const mr_offset *offsets, uint32_t offset_count, mr_error *err)
{
    mr_source_release(source);
    source->task_count = task_count;
    source->feed_count = offset_count;
    MR_TRY(open_feeds(source, tasks, offsets, err));
    return source->intake->assign(source->intake->context, source->learned, offset_count, err);
}

mr_status mr_source_open(const mr_config *config, mr_catalog *catalog, const mr_intake *intake,
                         mr_source **out, mr_error *err)
{
    mr_source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    source->config = config;
    source->intake = intake;
    // An event has at most one user, so that fewer events than users_max never touch more users.
    source->held_max =
        (uint32_t)(config->epoch_events_max < config->epoch_users_max ? config->epoch_events_max
                                                                      : config->epoch_users_max);
    const mr_status status = mr_decoder_open(config, catalog, &source->decoder, err);
    if (status != MR_OK) {
        mr_source_close(source);
        return status;
    }
    source->event_bytes = mr_decoder_room(source->decoder);
    *out = source;
    return MR_OK;
}

void mr_source_close(mr_source *source)
{
    if (source == NULL)
        return;
    mr_source_release(source);
    free(source->learned);
    mr_decoder_close(source->decoder);
    free(source);
}

// Feeds.

static mr_status refill(mr_source *source, uint32_t index, mr_error *err)
{
    feed *f = &source->feeds[index];
    mr_message batch[FEED_MESSAGES];
    if (f->count > 0)
        return MR_OK;
    f->first = 0;
    const uint32_t count =
        source->intake->take(source->intake->context, index, batch, FEED_MESSAGES);
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (!batch[i].end && batch[i].error == NULL && batch[i].offset >= f->next) {
            f->messages[f->count] = batch[i];
            if (f->rerouted != NULL)
                mr_origin_restore(source->config, &f->messages[f->count], &f->rerouted[f->count]);
            f->count++;
            f->at_end = false;
            continue;
        }
        if (batch[i].end) {
            f->at_end = true;
            f->read = batch[i].offset;
        } else if (batch[i].error == NULL) {
            source->counters.below++; // clients up to 2.3 may step back
        } else if (status == MR_OK) {
            status =
                mr_fail(err, MR_FATAL, "%s [%u]: %s", mr_config_topic(source->config, f->input),
                        f->partition, batch[i].error);
        }
        give_back(source, &batch[i]);
    }
    return status;
}

// The feed of a task whose next message is the oldest; NULL: nothing to take now.
static feed *choose(mr_source *source, builder *b, int64_t now_ms, uint32_t *index, mr_error *err,
                    mr_status *status)
{
    feed *best = NULL;
    int64_t best_ms = 0;
    bool missing = false;
    for (uint32_t i = 0; i < b->feed_count; i++) {
        feed *f = &source->feeds[b->feeds[i]];
        *status = refill(source, b->feeds[i], err);
        if (*status != MR_OK)
            return NULL;
        missing = missing || f->waits || (f->count == 0 && !f->at_end);
        if (f->count == 0 || f->waits)
            continue;
        const int64_t ms = f->messages[f->first].time_ms;
        if (best == NULL || ms < best_ms) {
            best = f;
            best_ms = ms;
            *index = b->feeds[i];
        }
    }
    if (!missing || best == NULL) {
        b->waiting_ms = 0;
        return best;
    }
    if (b->waiting_ms == 0)
        b->waiting_ms = now_ms;
    return now_ms - b->waiting_ms >= source->config->align_wait_ms ? best : NULL;
}

static bool is_full(const mr_source *source, const builder *b)
{
    return b->full || b->held_count == source->held_max || b->count == source->held_max ||
           b->skipped == SKIPPED_MAX || b->bytes >= (size_t)source->config->epoch_bytes_max ||
           (b->lines > 0 && b->lines + MR_LINES_MAX > LINES_PER_EVENT * source->held_max) ||
           b->arena.size - b->arena.used < 2 * source->event_bytes;
}

// The oldest message of a feed is read.
static void step(builder *b, feed *f, int64_t now_ms)
{
    const uint32_t at = f->first++;
    f->count--;
    f->next = (f->rerouted != NULL ? f->rerouted[at].offset : f->messages[at].offset) + 1;
    if (b->held_count + b->skipped == 0)
        b->opened_ms = now_ms;
}

// It becomes a part of the epoch.
static held *keep(builder *b, feed *f, uint32_t index, int64_t now_ms)
{
    const uint32_t at = f->first;
    step(b, f, now_ms);
    held *h = &b->held[b->held_count++];
    h->message = f->messages[at];
    h->feed = index;
    h->input = f->rerouted != NULL ? f->rerouted[at].input : f->input;
    h->cause = MR_CAUSE_NONE;
    return h;
}

static mr_status take_deltas(mr_source *source, builder *b, int64_t now_ms, bool *moved,
                             mr_error *err)
{
    const size_t most = (size_t)source->config->deltas_bytes_max;
    if (b->deltas == UINT32_MAX)
        return MR_OK;
    feed *f = &source->feeds[b->deltas];
    for (;;) {
        MR_TRY(refill(source, b->deltas, err));
        if (f->count == 0 || b->held_count == source->held_max)
            return MR_OK;
        const uint32_t size = f->messages[f->first].value.size;
        if (b->received_count > 0 && b->received_bytes + size > most)
            return MR_OK;
        b->received_bytes += size;
        b->received[b->received_count++] = keep(b, f, b->deltas, now_ms)->message.value;
        *moved = true;
    }
}

// Whether the feed's next message comes from a topic that a pattern matches, and that may be one
// that has only just appeared.
static bool is_strange(const mr_source *source, feed *f)
{
    if (f->rerouted == NULL || !f->rerouted[f->first].strange)
        return false;
    if (f->strange == 0)
        f->strange = source->looks + 1;
    if (source->looks + 1 - f->strange >= LOOKS)
        return false;
    f->waits = true;
    return true;
}

// Takes the oldest message of a feed, unless its events have no room left in this epoch (all of
// them stand in one, so that an offset says what was learned) or its schema is not known yet: *taken
// says. Errors: MR_FATAL.
static mr_status hold(mr_source *source, builder *b, feed *f, uint32_t index, int64_t now_ms,
                      bool *taken, mr_error *err)
{
    const mr_rerouted *rerouted = f->rerouted != NULL ? &f->rerouted[f->first] : NULL;
    mr_message *message = &f->messages[f->first];
    const size_t mark = b->arena.used;
    uint32_t count;
    mr_arrival *arrivals = b->arrivals + b->count;
    *taken = false;
    if (is_strange(source, f))
        return MR_OK;
    f->strange = 0;
    // One that is bad stands in the epoch all the same: the task counts it as read and refused.
    const mr_status status =
        mr_decoder_take(source->decoder, rerouted != NULL ? rerouted->input : f->input, message,
                        rerouted, &b->arena, arrivals, source->held_max - b->count, &count, err);
    *taken = status == MR_OK || status == MR_REJECT;
    if (!*taken) {
        b->arena.used = mark;
        f->waits = status == MR_RETRY && count == 0;
        b->full = status == MR_RETRY && count > 0;
        return status == MR_RETRY ? MR_OK : status;
    }
    source->counters.records++;
    if (status == MR_OK && count == 0) {
        source->counters.skipped++;
        step(b, f, now_ms);
        b->skipped++;
        give_back(source, message);
        return MR_OK;
    }
    b->bytes += message->value.size + message->key.size;
    keep(b, f, index, now_ms)->cause = status == MR_OK ? MR_CAUSE_NONE : arrivals->cause;
    for (uint32_t i = 0; i < count; i++)
        b->lines += arrivals[i].event.line_count > 0 ? arrivals[i].event.line_count : 1;
    b->count += count;
    return MR_OK;
}

// Takes what there is into the next epoch of a task.
static mr_status fill(mr_source *source, builder *b, int64_t now_ms, bool *moved, mr_error *err)
{
    for (uint32_t i = 0; i < b->feed_count; i++)
        source->feeds[b->feeds[i]].waits = false; // its schema may have come
    while (!is_full(source, b)) {
        uint32_t index = 0;
        mr_status status = MR_OK;
        bool taken;
        const int64_t waiting_ms = b->waiting_ms;
        feed *f = choose(source, b, now_ms, &index, err, &status);
        MR_TRY(status);
        if (f == NULL)
            break;
        MR_TRY(hold(source, b, f, index, now_ms, &taken, err));
        if (f->waits) // it is as if it had nothing, and has been since the others wait for it
            b->waiting_ms = waiting_ms;
        *moved = *moved || taken;
    }
    return MR_OK;
}

mr_status mr_source_pump(mr_source *source, int64_t now_ms, bool *moved, mr_error *err)
{
    *moved = false;
    for (uint32_t i = 0; i < source->task_count; i++) {
        builder *b = &source->builders[i];
        if (b->closed)
            continue;
        MR_TRY(take_deltas(source, b, now_ms, moved, err));
        MR_TRY(fill(source, b, now_ms, moved, err));
    }
    source->counters.waiting = 0;
    for (uint32_t i = 0; i < source->feed_count; i++)
        source->counters.waiting += source->feeds[i].waits;
    return MR_OK;
}

uint32_t mr_source_ready(mr_source *source, int64_t now_ms, bool all, mr_epoch *epochs)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->task_count; i++) {
        builder *b = &source->builders[i];
        const bool old = now_ms - b->opened_ms >= source->config->epoch_interval_ms;
        if (b->held_count + b->skipped == 0 || !(all || old || is_full(source, b)))
            continue;
        b->closed = true;
        mr_epoch_sort(b->arrivals, b->scratch, b->count);
        epochs[count++] = (mr_epoch){.task = b->task,
                                     .arrivals = b->arrivals,
                                     .count = b->count,
                                     .received = b->received,
                                     .received_count = b->received_count};
    }
    return count;
}

static builder *builder_of(const mr_source *source, uint32_t task)
{
    for (uint32_t i = 0; i < source->task_count; i++) {
        if (source->builders[i].task == task)
            return &source->builders[i];
    }
    MR_ASSERT(!"a task that is not ours");
    return NULL;
}

static const held *held_of(const mr_source *source, const builder *b, const mr_arrival *arrival)
{
    for (uint32_t i = 0; i < b->held_count; i++) {
        const held *h = &b->held[i];
        if (h->message.offset == arrival->offset &&
            (int32_t)h->message.partition == arrival->partition && h->feed != b->deltas &&
            mr_decoder_rank(source->decoder, h->input) == arrival->topic)
            return h;
    }
    MR_ASSERT(!"an arrival without its message");
    return NULL;
}

// Whether an event of the same message was refused before this one: a message has one dead letter.
static bool is_refused_before(const builder *b, uint32_t index)
{
    const mr_arrival *arrival = &b->arrivals[index];
    for (uint32_t i = 0; i < index; i++) {
        const mr_arrival *other = &b->arrivals[i];
        if (other->cause != MR_CAUSE_NONE && other->offset == arrival->offset &&
            other->partition == arrival->partition && other->topic == arrival->topic)
            return true;
    }
    return false;
}

void mr_source_refused(mr_source *source, uint32_t task, mr_refused_visit *visit, void *context)
{
    const builder *b = builder_of(source, task);
    for (uint32_t i = 0; i < b->count; i++) {
        const mr_arrival *arrival = &b->arrivals[i];
        if (arrival->cause == MR_CAUSE_NONE || is_refused_before(b, i))
            continue;
        const held *h = held_of(source, b, arrival);
        source->counters.refused[arrival->cause]++;
        const mr_refused refused = {&h->message,
                                    h->input,
                                    task,
                                    arrival->cause,
                                    arrival->reason,
                                    h->cause != MR_CAUSE_NONE ? "VALUE_CONVERTER" : "TASK_PUT"};
        visit(context, &refused);
    }
}

void mr_source_learned(mr_source *source, uint32_t task)
{
    builder *b = builder_of(source, task);
    for (uint32_t i = 0; i < b->feed_count; i++)
        source->learned[b->feeds[i]].next = source->feeds[b->feeds[i]].next;
    if (b->deltas != UINT32_MAX)
        source->learned[b->deltas].next = source->feeds[b->deltas].next;
    for (uint32_t i = 0; i < b->count; i++) {
        source->counters.clamped += b->arrivals[i].clamped;
        if (b->arrivals[i].record_ms > source->counters.newest_record_ms)
            source->counters.newest_record_ms = b->arrivals[i].record_ms;
    }
    source->counters.events += b->count;
    release(source, b);
}

const mr_offset *mr_source_offsets(const mr_source *source, uint32_t *count)
{
    *count = source->learned_count;
    return source->learned;
}

const mr_source_counters *mr_source_count(const mr_source *source)
{
    return &source->counters;
}

bool mr_source_at_end(const mr_source *source)
{
    for (uint32_t i = 0; i < source->feed_count; i++) {
        if (!source->feeds[i].at_end || source->feeds[i].count > 0)
            return false;
    }
    for (uint32_t i = 0; i < source->task_count; i++) {
        if (source->builders[i].held_count + source->builders[i].skipped > 0)
            return false;
    }
    return true;
}

bool mr_source_has_read(const mr_source *source, uint32_t input, uint32_t partition, int64_t end)
{
    for (uint32_t i = 0; i < source->feed_count; i++) {
        if (source->feeds[i].input == input && source->feeds[i].partition == partition)
            return source->feeds[i].read >= end;
    }
    return false;
}

void mr_source_looked(mr_source *source)
{
    source->looks++;
}

int mr_source_patience(const mr_source *source, int64_t now_ms, int most)
{
    int64_t least = most;
    for (uint32_t i = 0; i < source->task_count; i++) {
        const builder *b = &source->builders[i];
        const int64_t left = b->opened_ms + source->config->epoch_interval_ms - now_ms;
        if (b->held_count + b->skipped > 0 && left < least)
            least = left;
        if (b->waiting_ms != 0 && least > 5)
            least = 5;
    }
    return least > 0 ? (int)least : 0;
}
