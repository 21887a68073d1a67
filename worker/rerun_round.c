// SPDX-License-Identifier: Apache-2.0
// rerun_round: a round of the log: its epochs are read from the inputs, by their ranges of offsets,
// and learned together.
#include "worker/rerun_inner.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 2 << 20, LINES_PER_EVENT = 64, PARTITIONS_MAX = 1 << 20 };

// ---- where inputs go on

static mr_status input_of(const mr_rerun *r, mr_bytes topic, uint32_t *input, mr_error *err)
{
    for (*input = 0; *input < mr_config_reads(r->config); (*input)++)
        if (mr_bytes_equal(topic, mr_bytes_text(mr_config_topic(r->config, *input))))
            return MR_OK;
    return mr_fail(err, MR_FATAL,
                   "the epoch log names topic %.*s, which is no input of the "
                   "configuration",
                   (int)topic.size, (const char *)topic.data);
}

// The place of an input partition's next offset; -1 stands in one that is asked for first.
static mr_status next_of(mr_rerun *r, uint32_t input, uint32_t partition, int64_t **next,
                         mr_error *err)
{
    if (partition >= r->next_count[input]) {
        const uint32_t count = partition + 1 < r->tasks ? r->tasks : partition + 1;
        int64_t *grown =
            partition < PARTITIONS_MAX ? realloc(r->next[input], count * sizeof *grown) : NULL;
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory for %u partitions", count);
        for (uint32_t p = r->next_count[input]; p < count; p++)
            grown[p] = -1;
        r->next[input] = grown;
        r->next_count[input] = count;
    }
    *next = &r->next[input][partition];
    return MR_OK;
}

mr_status mr_rerun_place(mr_rerun *r, const mr_task_epoch *epoch, mr_error *err)
{
    for (uint32_t i = 0; i < epoch->offset_count; i++) {
        uint32_t input;
        int64_t *next = NULL;
        MR_TRY(input_of(r, epoch->offsets[i].topic, &input, err));
        MR_TRY(next_of(r, input, (uint32_t)epoch->offsets[i].partition, &next, err));
        *next = epoch->offsets[i].offset;
    }
    return MR_OK;
}

// ---- reading an epoch

typedef struct reading {
    mr_rerun *r;
    mr_rerun_slot *slot;
    const mr_task_epoch *epoch;
    uint32_t input;
} reading;

static mr_status too_large(const reading *in, const char *what, mr_error *err)
{
    return mr_fail(err, MR_FATAL,
                   "task %u, epoch %lld: more %s than the configuration allows: it was learned "
                   "under another one",
                   in->epoch->task, (long long)in->epoch->epoch, what);
}

static mr_status read_event(const reading *in, const mr_message *message, mr_error *err)
{
    mr_rerun_slot *slot = in->slot;
    mr_error why = {0};
    // Of a full epoch what comes behind may be no event, which is seen when it was read.
    mr_arrival extra;
    const bool full = slot->count == in->r->engine_config.epoch_events_max;
    if (slot->arena.size - slot->arena.used < mr_decoder_room(in->r->decoder))
        return too_large(in, "bytes", err);
    mr_arrival *arrivals = full ? &extra : &slot->arrivals[slot->count];
    uint32_t count;
    const bool copied = in->input == mr_config_repartition(in->r->config);
    mr_message source = *message;
    mr_rerouted rerouted = {.input = in->input};
    if (copied)
        mr_origin_restore(in->r->config, &source, &rerouted);
    // A bad record stands in its epoch: the task counts it.
    const mr_status status = mr_decoder_take(
        in->r->decoder, rerouted.input, &source, copied ? &rerouted : NULL, &slot->arena, arrivals,
        full ? 1 : in->r->engine_config.epoch_events_max - slot->count, &count, &why);
    if (status == MR_RETRY || (full && count > 0))
        return too_large(in, "events", err);
    if (status != MR_OK && status != MR_REJECT) {
        *err = why;
        return status;
    }
    slot->count += count;
    for (uint32_t i = 0; i < count; i++)
        slot->lines += arrivals[i].event.line_count > 0 ? arrivals[i].event.line_count : 1;
    if (slot->lines > LINES_PER_EVENT * in->r->engine_config.epoch_events_max)
        return too_large(in, "line items", err);
    return MR_OK;
}

static mr_status receive(void *context, mr_bytes record, mr_error *err)
{
    const reading *in = context;
    mr_rerun_slot *slot = in->slot;
    if (slot->received_count == slot->received_max ||
        slot->received_bytes + record.size > in->r->engine_config.exchange_bytes)
        return in->r->options->fork != NULL ? MR_RETRY : too_large(in, "deltas", err);
    slot->received_bytes += record.size;
    slot->received[slot->received_count++] = record;
    return MR_OK;
}

static mr_status read_delta(reading *in, const mr_message *message, mr_error *err)
{
    mr_rerun *r = in->r;
    const bool over_gaps = r->config->on_delta_gap == MR_GAP_CONTINUE;
    const uint64_t history[2] = {r->record->history.low, r->record->history.high};
    mr_delta delta;
    mr_link_verdict verdict;
    const mr_status status =
        mr_links_accept(r->links, r->options->fork == NULL ? r->engine->engine : NULL, history,
                        in->epoch->task, message->value, over_gaps, &delta, &verdict, err);
    if (status == MR_REJECT)
        return over_gaps ? MR_OK : (err->status = MR_FATAL);
    MR_TRY(status);
    if (verdict == MR_LINK_GAP && !over_gaps)
        return mr_fail(err, MR_FATAL, "deltas of task %u to task %u are missing before link %llu",
                       delta.sender, delta.receiver, (unsigned long long)delta.link);
    if (verdict == MR_LINK_SEEN || verdict == MR_LINK_FOREIGN)
        return MR_OK;
    if (r->options->fork != NULL)
        return mr_rerun_own_read(r, &delta, receive, in, err);
    MR_TRY(mr_rerun_delta_read(r, &delta, message->value, in->epoch->epoch, err));
    return receive(in, delta.record, err);
}

static mr_status read_message(void *context, const mr_message *message, mr_error *err)
{
    reading *in = context;
    return in->input == mr_config_deltas(in->r->config) ? read_delta(in, message, err)
                                                        : read_event(in, message, err);
}

static mr_status read_range(mr_rerun *r, mr_rerun_slot *slot, const mr_task_epoch *epoch,
                            const mr_next_offset *upto, mr_error *err)
{
    reading in = {.r = r, .slot = slot, .epoch = epoch};
    const uint32_t partition = (uint32_t)upto->partition;
    int64_t *next = NULL, stopped;
    MR_TRY(input_of(r, upto->topic, &in.input, err));
    MR_TRY(next_of(r, in.input, partition, &next, err));
    if (*next < 0 || *next > upto->offset)
        return mr_fail(
            err, MR_FATAL, "task %u, epoch %lld: %.*s [%u] ends at offset %lld and went on at %lld",
            epoch->task, (long long)epoch->epoch, (int)upto->topic.size,
            (const char *)upto->topic.data, partition, (long long)upto->offset, (long long)*next);
    if (*next == upto->offset)
        return MR_OK;
    MR_TRY(r->archive->read(r->archive->context, MR_ARCHIVE_INPUTS + in.input, partition, *next,
                            upto->offset, read_message, &in, &stopped, err));
    if (stopped < upto->offset)
        return mr_fail(
            err, MR_FATAL, "task %u, epoch %lld: %.*s [%u] has offsets up to %lld, want %lld",
            epoch->task, (long long)epoch->epoch, (int)upto->topic.size,
            (const char *)upto->topic.data, partition, (long long)stopped, (long long)upto->offset);
    *next = upto->offset;
    return MR_OK;
}

static mr_status open_slot(const mr_rerun *r, mr_rerun_slot *slot, mr_error *err)
{
    const uint32_t events = r->engine_config.epoch_events_max;
    slot->count = slot->lines = slot->received_count = 0;
    slot->received_bytes = 0;
    if (slot->arrivals != NULL) {
        mr_arena_reset(&slot->arena);
        return MR_OK;
    }
    void *memory = aligned_alloc(MR_ARENA_ALIGN, ARENA_BYTES);
    mr_arena_init(&slot->arena, memory, ARENA_BYTES);
    slot->arrivals = calloc(events, sizeof *slot->arrivals);
    slot->scratch = calloc(events, sizeof *slot->scratch);
    slot->received_max = events;
    slot->received = calloc(events, sizeof *slot->received);
    if (memory == NULL || slot->arrivals == NULL || slot->scratch == NULL || slot->received == NULL)
        return mr_fail(err, MR_FATAL, "out of memory for an epoch");
    return MR_OK;
}

static mr_status read_epoch(mr_rerun *r, uint32_t index, const mr_task_epoch *from, mr_error *err)
{
    mr_rerun_slot *slot = &r->slots[index];
    const mr_task_view view = mr_engine_task(r->engine->engine, from->task);
    if (from->epoch != (int64_t)view.epoch + 1)
        return mr_rerun_differs(r, err, from->task, from->epoch, "the task is at epoch %llu",
                                (unsigned long long)view.epoch);
    MR_TRY(open_slot(r, slot, err));
    mr_links_keep(r->links, from->task);
    for (uint32_t i = 0; i < from->offset_count; i++)
        MR_TRY(read_range(r, slot, from, &from->offsets[i], err));
    mr_epoch_sort(slot->arrivals, slot->scratch, slot->count);
    r->epochs[index] = (mr_epoch){.task = from->task,
                                  .arrivals = slot->arrivals,
                                  .count = slot->count,
                                  .tick_ms = from->tick_ms,
                                  .received = slot->received,
                                  .received_count = slot->received_count};
    r->result->events += slot->count;
    return MR_OK;
}

// ---- what a round has to lead to

static mr_status check_epoch(mr_rerun *r, const mr_task_epoch *want, mr_error *err)
{
    const mr_task_view view = mr_engine_task(r->engine->engine, want->task);
    if (r->options->fork != NULL)
        return MR_OK;
    if (view.clock_ms != want->clock_ms)
        return mr_rerun_differs(r, err, want->task, want->epoch, "the clock is %lld, was %lld",
                                (long long)view.clock_ms, (long long)want->clock_ms);
    const uint32_t count = mr_links_taken(r->links, want->task, r->taken_links);
    if (count != want->link_count)
        return mr_rerun_differs(r, err, want->task, want->epoch,
                                "deltas of %u tasks were taken in, of %u then", count,
                                want->link_count);
    for (uint32_t i = 0; i < count; i++)
        if (r->taken_links[i].of != want->links[i].of ||
            r->taken_links[i].sequence != want->links[i].sequence)
            return mr_rerun_differs(r, err, want->task, want->epoch,
                                    "deltas of task %u up to link %lld, of task %u up to %lld then",
                                    r->taken_links[i].of, (long long)r->taken_links[i].sequence,
                                    want->links[i].of, (long long)want->links[i].sequence);
    return MR_OK;
}

static void watch_round(const mr_rerun *r, uint32_t epoch_count)
{
    const mr_rerun_watch *watch = &r->options->watch;
    for (uint32_t i = 0; watch->event != NULL && i < epoch_count; i++)
        for (uint32_t a = 0; a < r->slots[i].count; a++)
            if (r->slots[i].arrivals[a].learned)
                watch->event(watch->context, &r->slots[i].arrivals[a].event);
}

mr_status mr_rerun_round(mr_rerun *r, const mr_round *round, mr_error *err)
{
    mr_engine *engine = r->engine->engine;
    for (uint32_t i = 0; i < round->epoch_count; i++) {
        if (!mr_engine_has(engine, round->epochs[i].task))
            return mr_fail(err, MR_FATAL, "an epoch of task %u in a commit of other tasks",
                           round->epochs[i].task);
        MR_TRY(read_epoch(r, i, &round->epochs[i], err));
    }
    if (round->epoch_count > 0) {
        const mr_status status = mr_engine_round(engine, r->epochs, round->epoch_count, err);
        if (status == MR_RETRY)
            return err->status = MR_FATAL;
        MR_TRY(status);
    }
    for (uint32_t i = 0; i < round->epoch_count; i++)
        MR_TRY(check_epoch(r, &round->epochs[i], err));
    watch_round(r, round->epoch_count);
    r->archive->release(r->archive->context);
    mr_rerun_own_over(r);
    r->result->rounds++;
    r->result->epochs += round->epoch_count;
    return MR_OK;
}
