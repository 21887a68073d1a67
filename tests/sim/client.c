// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/client.h"

#include <stdlib.h>
#include <string.h>

#include "worker/planted.h"

enum { TIMEOUT_MS = 12000, LATE_MS = 20000, READ_MAX = 24, TAKE_MAX = 8 };

void sim_client_open(sim_client *client, sim_brokers *brokers, sim_faults *faults, uint32_t worker,
                     uint64_t incarnation)
{
    *client = (sim_client){.brokers = brokers,
                           .faults = faults,
                           .worker = worker,
                           .incarnation = incarnation,
                           .tx = UINT32_MAX,
                           .state = MR_GROUP_JOINING};
}

void sim_client_close(sim_client *client)
{
    free(client->queue);
}

// ---- what can happen to a call

typedef enum fate { DONE, LOST, LOST_ANSWER, DEAD } fate;

static void stay_busy(sim_client *client)
{
    client->busy_until_ms[client->committing] =
        client->brokers->now_ms + 1 + sim_below(&client->faults->chance, TIMEOUT_MS);
}

static fate call(sim_client *client)
{
    if (client->dead)
        return DEAD;
    if (client->cut || sim_fails(client->faults, SIM_lost_request)) {
        stay_busy(client);
        return LOST;
    }
    if (sim_fails(client->faults, SIM_lost_answer)) {
        stay_busy(client);
        return LOST_ANSWER;
    }
    return DONE;
}

static mr_status say(fate how, mr_error *err)
{
    switch (how) {
    case DONE:
        return MR_OK;
    case LOST:
    case LOST_ANSWER:
        return mr_fail(err, MR_RETRY, "timed out");
    case DEAD:
        break;
    }
    return mr_fail(err, MR_FATAL, "killed");
}

// ---- the producer

static mr_status renew(void *context, mr_error *err)
{
    sim_client *client = context;
    const fate how = call(client);
    if (how == DONE || how == LOST_ANSWER) {
        client->epoch = sim_init_producer(client->brokers, client->worker);
        client->tx = UINT32_MAX;
        client->queued = client->sent = 0;
    }
    return say(how, err);
}

static mr_status begin(void *context, mr_error *err)
{
    sim_client *client = context;
    if (client->dead)
        return say(DEAD, err);
    client->queued = client->sent = 0;
    client->failed = false;
    memset(client->produced, 0xff, sizeof client->produced);
    if (sim_begin(client->brokers, client->worker, client->epoch, &client->tx) != MR_OK)
        return mr_fail(err, MR_FENCED, "begin: fenced");
    return MR_OK;
}

static mr_status produce(void *context, const mr_record *record, mr_error *err)
{
    sim_client *client = context;
    if (client->dead)
        return say(DEAD, err);
    if (sim_fails(client->faults, SIM_queue_full))
        return mr_fail(err, MR_RETRY, "the queue is full");
    if (record->topic == MR_TOPIC_DEAD_LETTERS && mr_planted(MR_BUG_DEAD_LETTER_OUTSIDE)) {
        sim_append(client->brokers, &client->brokers->topics[record->topic][record->partition],
                   record->key, record->value, UINT32_MAX);
        return MR_OK;
    }
    if (client->queued == client->room) {
        client->room = client->room == 0 ? 256 : client->room * 2;
        client->queue = realloc(client->queue, client->room * sizeof *client->queue);
        MR_ASSERT(client->queue != NULL);
    }
    client->queue[client->queued++] =
        (sim_queued){record->topic, record->partition, record->key, record->value};
    return MR_OK;
}

// Whether the transaction of the producer can still be written to.
static bool is_open(const sim_client *client)
{
    return client->tx != UINT32_MAX && client->brokers->txs[client->tx].state == SIM_OPEN &&
           client->brokers->epochs[client->worker] == client->epoch;
}

static void deliver(sim_client *client, uint32_t count)
{
    for (; count > 0 && client->sent < client->queued; count--) {
        const sim_queued *queued = &client->queue[client->sent++];
        sim_log *log = &client->brokers->topics[queued->topic][queued->partition];
        sim_append(client->brokers, log, queued->key, queued->value, client->tx);
        client->produced[queued->topic][queued->partition] = log->end;
    }
}

// Records go out in the background, whether or not somebody flushes.
static mr_status flush(void *context, mr_error *err)
{
    sim_client *client = context;
    const fate how = call(client);
    if (how == DEAD)
        return say(how, err);
    if (!is_open(client))
        return mr_fail(err, MR_FENCED, "flush: fenced");
    if (how == LOST || how == LOST_ANSWER) {
        deliver(client, client->cut ? 0 : sim_below(&client->faults->chance, client->queued + 1));
        return say(how, err);
    }
    client->failed = client->failed || sim_fails(client->faults, SIM_not_taken);
    if (client->failed)
        return mr_fail(err, MR_ABORT, "records were not taken");
    deliver(client, client->queued);
    return MR_OK;
}

static int64_t produced(void *context, mr_topic topic, uint32_t partition)
{
    const sim_client *client = context;
    return client->produced[topic][partition];
}

static mr_status send_offsets(void *context, uint64_t generation, const mr_offset *offsets,
                              uint32_t offset_count, mr_error *err)
{
    sim_client *client = context;
    const bool fenced = !mr_planted(MR_BUG_UNFENCED);
    const fate how = call(client);
    if (how == DEAD)
        return say(how, err);
    if (fenced && generation != client->generation)
        return mr_fail(err, MR_FENCED, "another generation");
    if (how == LOST)
        return say(how, err);
    if (sim_fails(client->faults, SIM_abortable))
        return mr_fail(err, MR_ABORT, "offsets: abortable");
    if (sim_send_offsets(client->brokers, client->tx, client->epoch, client->incarnation,
                         client->broker_generation, fenced, offsets, offset_count) != MR_OK)
        return mr_fail(err, MR_FENCED, "offsets: fenced");
    return say(how, err);
}

static mr_status end(sim_client *client, bool commits, mr_error *err)
{
    const fate how = call(client);
    if (how == DEAD)
        return say(how, err);
    if (how == LOST) {
        if (!client->cut && sim_fails(client->faults, SIM_late_end)) {
            const uint32_t late_ms = sim_below(&client->faults->chance, LATE_MS);
            sim_late_end(client->brokers, client->worker, client->epoch, commits,
                         client->brokers->now_ms + late_ms);
            client->busy_until_ms[client->committing] =
                client->brokers->now_ms + 5001; // a disconnect
        }
        return say(how, err);
    }
    if (commits && sim_fails(client->faults, SIM_abortable))
        return mr_fail(err, MR_ABORT, "commit: abortable");
    if (sim_end(client->brokers, client->tx, client->epoch, commits) != MR_OK)
        return mr_fail(err, MR_FENCED, "end of transaction: fenced");
    return say(how, err);
}

static mr_status commit(void *context, mr_error *err)
{
    return end(context, true, err);
}

// ---- changelogs and offsets

static mr_status changelog_ends(void *context, mr_topic topic, uint32_t partition,
                                mr_log_ends *ends, mr_error *err)
{
    sim_client *client = context;
    const fate how = call(client);
    sim_log *log = &client->brokers->topics[topic][partition];
    *ends = (mr_log_ends){
        log->first, mr_planted(MR_BUG_STABLE_END) ? sim_stable(client->brokers, log) : log->end};
    return say(how, err);
}

static sim_log *input_log(const sim_client *client, uint32_t input, uint32_t partition)
{
    return input == SIM_DELTAS ? &client->brokers->topics[MR_TOPIC_ITEM_DELTAS][partition]
                               : &client->brokers->inputs[input][partition];
}

static mr_status input_ends(void *context, uint32_t input, uint32_t partition, mr_log_ends *ends,
                            mr_error *err)
{
    sim_client *client = context;
    const sim_log *log = input_log(client, input, partition);
    *ends = (mr_log_ends){log->first, log->end};
    return say(call(client), err);
}

static mr_status changelog_read(void *context, mr_topic topic, uint32_t partition, int64_t first,
                                int64_t end_offset, mr_bus_visit *visit, void *visit_context,
                                int64_t *next, mr_error *err)
{
    sim_client *client = context;
    sim_log *log = &client->brokers->topics[topic][partition];
    *next = first;
    if (first >= end_offset)
        return client->dead ? say(DEAD, err) : MR_OK;
    const fate how = call(client);
    if (how != DONE)
        return say(how, err);
    const int64_t stable = sim_stable(client->brokers, log);
    const int64_t limit = stable < end_offset ? stable : end_offset;
    uint32_t left = 1 + sim_below(&client->faults->chance, READ_MAX);
    for (uint32_t i = sim_find(log, first); i < log->count && log->records[i].offset < limit; i++) {
        const sim_record *record = &log->records[i];
        if (left-- == 0)
            return mr_fail(err, MR_RETRY, "more is there");
        if (sim_committed(client->brokers, record))
            MR_TRY(visit(visit_context, record->offset, record->key, record->value, err));
        *next = record->offset + 1;
    }
    if (limit > *next)
        *next = limit;
    return limit >= end_offset ? MR_OK : mr_fail(err, MR_RETRY, "a transaction is open");
}

static mr_status committed(void *context, mr_offset *offsets, uint32_t offset_count, mr_error *err)
{
    sim_client *client = context;
    for (uint32_t i = 0; i < offset_count; i++)
        offsets[i].next = client->brokers->group[offsets[i].input][offsets[i].partition];
    return say(call(client), err);
}

// ---- the member

static void on_assigned(sim_client *client)
{
    sim_brokers *brokers = client->brokers;
    client->state = MR_GROUP_ASSIGNED;
    client->generation++;
    client->broker_generation = brokers->generation;
    client->task_count = client->partition_count = client->reading_count = 0;
    for (uint32_t task = 0; task < brokers->tasks; task++) {
        if (brokers->owner[task] == client->worker)
            client->tasks[client->task_count++] = task;
    }
    for (uint32_t input = 0; input < SIM_INPUTS; input++) {
        for (uint32_t i = 0; i < client->task_count; i++)
            client->partitions[client->partition_count++] =
                (mr_offset){input, client->tasks[i], -1};
    }
}

static mr_status poll_group(void *context, int wait_ms, mr_error *err)
{
    sim_client *client = context;
    sim_brokers *brokers = client->brokers;
    const sim_member *member = &brokers->members[client->worker];
    (void)wait_ms;
    if (client->dead)
        return say(DEAD, err);
    if (client->cut)
        return MR_OK;
    const bool known = member->in && member->incarnation == client->incarnation;
    if (client->state == MR_GROUP_ASSIGNED || client->state == MR_GROUP_REVOKING) {
        if (!known || member->generation != client->broker_generation ||
            (brokers->generation != client->broker_generation))
            client->state = MR_GROUP_LOST;
        else if (brokers->preparing)
            client->state = MR_GROUP_REVOKING;
        return MR_OK;
    }
    if (client->state == MR_GROUP_LOST)
        return MR_OK;
    if (!known || (brokers->preparing && !member->rejoined))
        sim_join(brokers, client->worker, client->incarnation);
    if (!brokers->preparing && member->in && member->generation == brokers->generation &&
        member->incarnation == client->incarnation)
        on_assigned(client);
    return MR_OK;
}

static mr_membership look(void *context)
{
    const sim_client *client = context;
    return (mr_membership){client->state, client->generation, client->tasks, client->task_count};
}

static void let_go(void *context)
{
    sim_client *client = context;
    client->state = MR_GROUP_JOINING;
    client->reading_count = 0;
}

static const mr_offset *partitions_of(void *context, uint32_t *count)
{
    const sim_client *client = context;
    *count = client->partition_count;
    return client->partitions;
}

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    (void)context, (void)input;
    return partition;
}

static mr_status assign(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err)
{
    sim_client *client = context;
    (void)err;
    memcpy(client->reading, offsets, offset_count * sizeof *offsets);
    memset(client->told_end, 0, sizeof client->told_end);
    client->reading_count = offset_count;
    return MR_OK;
}

static uint32_t no_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    (void)message, (void)headers, (void)max;
    return 0;
}

// Committed records from *at on, at most `most`.
static uint32_t read_some(const sim_client *client, sim_log *log, mr_offset *at,
                          mr_message *messages, uint32_t most)
{
    uint32_t count = 0;
    const int64_t stable = sim_stable(client->brokers, log);
    for (uint32_t i = sim_find(log, at->next);
         i < log->count && log->records[i].offset < stable && count < most; i++) {
        const sim_record *record = &log->records[i];
        if (sim_committed(client->brokers, record))
            messages[count++] = (mr_message){.key = record->key,
                                             .value = record->value,
                                             .partition = at->partition,
                                             .offset = record->offset,
                                             .time_ms = record->time_ms,
                                             .headers = no_headers};
        at->next = record->offset + 1;
    }
    if (count < most && at->next < stable)
        at->next = stable; // control records, and what was aborted
    return count;
}

// The same, and once that the end was reached.
static uint32_t take_of(const sim_client *client, sim_log *log, mr_offset *at, bool *told_end,
                        mr_message *messages, uint32_t most)
{
    uint32_t count = read_some(client, log, at, messages, most);
    if (count > 0)
        *told_end = false;
    if (count < most && at->next >= sim_stable(client->brokers, log) && !*told_end) {
        messages[count++] = (mr_message){
            .partition = at->partition, .offset = at->next, .end = true, .headers = no_headers};
        *told_end = true;
    }
    return count;
}

static uint32_t take(void *context, uint32_t index, mr_message *messages, uint32_t max)
{
    sim_client *client = context;
    mr_offset *at = &client->reading[index];
    const uint32_t most = sim_below(&client->faults->chance, TAKE_MAX);
    MR_ASSERT(index < client->reading_count);
    if (client->cut || client->dead)
        return 0;
    return take_of(client, input_log(client, at->input, at->partition), at,
                   &client->told_end[index], messages, most < max ? most : max);
}

static mr_status follow(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err)
{
    sim_client *client = context;
    (void)err;
    memcpy(client->following, offsets, offset_count * sizeof *offsets);
    memset(client->told_followed, 0, sizeof client->told_followed);
    for (uint32_t i = 0; i < offset_count; i++) {
        if (client->following[i].next < 0)
            client->following[i].next = 0;
    }
    client->following_count = offset_count;
    return MR_OK;
}

static uint32_t follow_take(void *context, mr_message *messages, uint32_t max)
{
    sim_client *client = context;
    if (client->following_count == 0 || client->cut || client->dead)
        return 0;
    const uint32_t index = sim_below(&client->faults->chance, client->following_count);
    const uint32_t most = 1 + sim_below(&client->faults->chance, READ_MAX);
    return take_of(client, &client->brokers->topics[MR_TOPIC_ITEM_ROWS][client->following[index].partition],
                   &client->following[index], &client->told_followed[index], messages,
                   most < max ? most : max);
}

static void give_back(void *context, mr_message *message)
{
    (void)context, (void)message;
}

mr_bus sim_client_bus(sim_client *client)
{
    return (mr_bus){
        .context = client,
        .begin = begin,
        .produce = produce,
        .flush = flush,
        .produced = produced,
        .send_offsets = send_offsets,
        .commit = commit,
        .renew = renew,
        .changelog_ends = changelog_ends,
        .input_ends = input_ends,
        .changelog_read = changelog_read,
        .follow = follow,
        .follow_take = follow_take,
        .follow_give_back = give_back,
        .committed = committed,
    };
}

static void wait_for_some(void *context, int extra_fd, int wait_ms)
{
    (void)context, (void)extra_fd, (void)wait_ms;
}

static void wake(void *context)
{
    (void)context;
}

static int64_t lag(void *context, const mr_offset *offsets, uint32_t offset_count)
{
    (void)context, (void)offsets, (void)offset_count;
    return -1;
}

mr_intake sim_client_intake(sim_client *client)
{
    return (mr_intake){
        .context = client,
        .poll = poll_group,
        .look = look,
        .let_go = let_go,
        .partitions = partitions_of,
        .task_of = task_of,
        .assign = assign,
        .take = take,
        .give_back = give_back,
        .wait = wait_for_some,
        .wake = wake,
        .lag = lag,
    };
}
