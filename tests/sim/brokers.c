// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/brokers.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"

enum { CHUNK_BYTES = 1 << 18 };

typedef struct sim_chunk {
    struct sim_chunk *next;
    size_t used, size;
    uint8_t bytes[];
} sim_chunk;

void sim_brokers_open(sim_brokers *brokers, sim_chance *chance, uint32_t tasks, uint32_t workers)
{
    *brokers = (sim_brokers){.chance = chance, .tasks = tasks, .workers = workers};
    brokers->now_ms = 1700000000000;
    memset(brokers->group, 0xff, sizeof brokers->group);
    memset(brokers->open_tx, 0xff, sizeof brokers->open_tx);
    memset(brokers->owner, 0xff, sizeof brokers->owner);
    for (uint32_t p = 0; p < SIM_TASKS_MAX; p++) {
        for (uint32_t i = 0; i < SIM_INPUTS; i++)
            brokers->inputs[i][p] = (sim_log){.topic = MR_TOPIC_COUNT, .partition = p};
        for (uint32_t t = 0; t < MR_TOPIC_COUNT; t++)
            brokers->topics[t][p] = (sim_log){.topic = (mr_topic)t, .partition = p};
    }
}

static void close_log(sim_log *log)
{
    free(log->records);
}

void sim_brokers_close(sim_brokers *brokers)
{
    for (uint32_t p = 0; p < SIM_TASKS_MAX; p++) {
        for (uint32_t i = 0; i < SIM_INPUTS; i++)
            close_log(&brokers->inputs[i][p]);
        for (uint32_t t = 0; t < MR_TOPIC_COUNT; t++)
            close_log(&brokers->topics[t][p]);
    }
    free(brokers->txs);
    for (sim_chunk *chunk = brokers->chunks; chunk != NULL;) {
        sim_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

static mr_bytes keep(sim_brokers *brokers, mr_bytes bytes)
{
    if (bytes.data == NULL)
        return bytes;
    sim_chunk *chunk = brokers->chunks;
    if (chunk == NULL || chunk->size - chunk->used < bytes.size) {
        const size_t size = bytes.size > CHUNK_BYTES ? bytes.size : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + size);
        MR_ASSERT(chunk != NULL);
        *chunk = (sim_chunk){.next = brokers->chunks, .size = size};
        brokers->chunks = chunk;
    }
    uint8_t *at = chunk->bytes + chunk->used;
    memcpy(at, bytes.data, bytes.size);
    chunk->used += bytes.size;
    return mr_bytes_of(at, bytes.size);
}

void sim_append(sim_brokers *brokers, sim_log *log, mr_bytes key, mr_bytes value, uint32_t tx)
{
    if (log->count == log->room) {
        log->room = log->room == 0 ? 64 : log->room * 2;
        log->records = realloc(log->records, log->room * sizeof *log->records);
        MR_ASSERT(log->records != NULL);
    }
    if (tx != UINT32_MAX)
        brokers->txs[tx].touched[log->topic] |= 1u << log->partition;
    log->records[log->count++] = (sim_record){.offset = log->end++,
                                              .time_ms = brokers->now_ms,
                                              .tx = tx,
                                              .key = keep(brokers, key),
                                              .value = keep(brokers, value)};
}

bool sim_committed(const sim_brokers *brokers, const sim_record *record)
{
    return record->tx == UINT32_MAX || brokers->txs[record->tx].state == SIM_COMMITTED;
}

int64_t sim_stable(const sim_brokers *brokers, sim_log *log)
{
    for (; log->decided < log->count; log->decided++) {
        const uint32_t tx = log->records[log->decided].tx;
        if (tx != UINT32_MAX && brokers->txs[tx].state == SIM_OPEN)
            return log->records[log->decided].offset;
    }
    return log->end;
}

uint32_t sim_find(const sim_log *log, int64_t offset)
{
    uint32_t low = 0, high = log->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (log->records[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// ---- transactions

// The control record takes an offset in every partition that the transaction wrote to.
static void end_logs(sim_brokers *brokers, uint32_t tx)
{
    for (uint32_t p = 0; p < brokers->tasks; p++) {
        for (uint32_t t = 0; t < MR_TOPIC_COUNT; t++)
            brokers->topics[t][p].end += brokers->txs[tx].touched[t] >> p & 1u;
    }
}

static void end(sim_brokers *brokers, uint32_t index, bool commit)
{
    sim_tx *tx = &brokers->txs[index];
    tx->state = commit ? SIM_COMMITTED : SIM_ABORTED;
    end_logs(brokers, index);
    brokers->open_tx[tx->worker] = UINT32_MAX;
    if (!commit)
        return;
    for (uint32_t i = 0; i < SIM_INPUTS; i++) {
        for (uint32_t p = 0; p < brokers->tasks; p++) {
            if (tx->offsets[i][p] >= 0)
                brokers->group[i][p] = tx->offsets[i][p];
        }
    }
    if (brokers->on_commit != NULL)
        brokers->on_commit(brokers->on_commit_context, brokers, index);
}

uint64_t sim_init_producer(sim_brokers *brokers, uint32_t worker)
{
    if (brokers->open_tx[worker] != UINT32_MAX)
        end(brokers, brokers->open_tx[worker], false);
    return ++brokers->epochs[worker];
}

mr_status sim_begin(sim_brokers *brokers, uint32_t worker, uint64_t epoch, uint32_t *tx)
{
    if (brokers->epochs[worker] != epoch)
        return MR_FENCED;
    if (brokers->open_tx[worker] != UINT32_MAX)
        return MR_FENCED; // the client is in a state in which it may not begin
    if (brokers->tx_count == brokers->tx_room) {
        brokers->tx_room = brokers->tx_room == 0 ? 256 : brokers->tx_room * 2;
        brokers->txs = realloc(brokers->txs, brokers->tx_room * sizeof *brokers->txs);
        MR_ASSERT(brokers->txs != NULL);
    }
    *tx = brokers->tx_count++;
    brokers->txs[*tx] = (sim_tx){.worker = worker, .epoch = epoch, .begun_ms = brokers->now_ms};
    memset(brokers->txs[*tx].offsets, 0xff, sizeof brokers->txs[*tx].offsets);
    brokers->open_tx[worker] = *tx;
    return MR_OK;
}

mr_status sim_send_offsets(sim_brokers *brokers, uint32_t index, uint64_t epoch,
                           uint64_t incarnation, uint64_t generation, bool fenced,
                           const mr_offset *offsets, uint32_t count)
{
    sim_tx *tx = &brokers->txs[index];
    const sim_member *member = &brokers->members[tx->worker];
    if (tx->state != SIM_OPEN || brokers->epochs[tx->worker] != epoch)
        return MR_FENCED;
    if (fenced && (!member->in || member->incarnation != incarnation ||
                   brokers->generation != generation || member->generation != generation))
        return MR_FENCED;
    tx->generation = generation;
    for (uint32_t i = 0; i < count; i++)
        tx->offsets[offsets[i].input][offsets[i].partition] = offsets[i].next;
    return MR_OK;
}

mr_status sim_end(sim_brokers *brokers, uint32_t index, uint64_t epoch, bool commit)
{
    const sim_tx *tx = &brokers->txs[index];
    if (tx->state == (commit ? SIM_COMMITTED : SIM_ABORTED))
        return MR_OK; // asked again
    if (tx->state != SIM_OPEN || brokers->epochs[tx->worker] != epoch)
        return MR_FENCED;
    end(brokers, index, commit);
    return MR_OK;
}

void sim_late_end(sim_brokers *brokers, uint32_t worker, uint64_t epoch, bool commit, int64_t at_ms)
{
    if (brokers->late_count < SIM_LATE_MAX)
        brokers->late[brokers->late_count++] = (struct sim_late){at_ms, worker, epoch, commit};
}

static void arrive(sim_brokers *brokers)
{
    for (uint32_t i = 0; i < brokers->late_count;) {
        const struct sim_late late = brokers->late[i];
        if (late.at_ms > brokers->now_ms) {
            i++;
            continue;
        }
        brokers->late[i] = brokers->late[--brokers->late_count];
        if (brokers->open_tx[late.worker] != UINT32_MAX &&
            brokers->epochs[late.worker] == late.epoch)
            end(brokers, brokers->open_tx[late.worker], late.commit);
    }
}

// ---- the group

static void prepare(sim_brokers *brokers)
{
    if (brokers->preparing)
        return;
    brokers->preparing = true;
    brokers->preparing_ms = brokers->now_ms;
    for (uint32_t w = 0; w < brokers->workers; w++)
        brokers->members[w].rejoined = false;
}

// All who are left have asked to join: tasks are given in ranges, members in order of name.
static void complete(sim_brokers *brokers)
{
    uint32_t count = 0, at = 0, given = 0;
    for (uint32_t w = 0; w < brokers->workers; w++)
        count += brokers->members[w].in;
    brokers->preparing = false;
    brokers->generation++;
    memset(brokers->owner, 0xff, sizeof brokers->owner);
    for (uint32_t w = 0; w < brokers->workers && count > 0; w++) {
        if (!brokers->members[w].in)
            continue;
        const uint32_t share = brokers->tasks / count + (at++ < brokers->tasks % count);
        brokers->members[w].generation = brokers->generation;
        for (uint32_t i = 0; i < share; i++)
            brokers->owner[given++] = w;
    }
}

static void complete_if_all(sim_brokers *brokers)
{
    for (uint32_t w = 0; w < brokers->workers; w++) {
        if (brokers->members[w].in && !brokers->members[w].rejoined)
            return;
    }
    complete(brokers);
}

void sim_join(sim_brokers *brokers, uint32_t worker, uint64_t incarnation)
{
    sim_member *member = &brokers->members[worker];
    member->seen_ms = brokers->now_ms;
    // A static member that was restarted has its tasks at once.
    const bool comes_back = member->in && !brokers->preparing && member->incarnation != incarnation;
    member->incarnation = incarnation;
    if (comes_back)
        return;
    if (!member->in || !brokers->preparing)
        prepare(brokers);
    member->in = member->rejoined = true;
    complete_if_all(brokers);
}

void sim_leave(sim_brokers *brokers, uint32_t worker)
{
    if (!brokers->members[worker].in)
        return;
    brokers->members[worker].in = false;
    prepare(brokers);
    complete_if_all(brokers);
}

void sim_rebalance(sim_brokers *brokers)
{
    prepare(brokers);
    complete_if_all(brokers);
}

void sim_heartbeat(sim_brokers *brokers, uint32_t worker, uint64_t incarnation)
{
    sim_member *member = &brokers->members[worker];
    if (member->in && member->incarnation == incarnation)
        member->seen_ms = brokers->now_ms;
}

void sim_brokers_tick(sim_brokers *brokers)
{
    arrive(brokers);
    for (uint32_t w = 0; w < brokers->workers; w++) {
        const uint32_t tx = brokers->open_tx[w];
        if (tx != UINT32_MAX &&
            brokers->now_ms - brokers->txs[tx].begun_ms > brokers->transaction_ms) {
            brokers->epochs[w]++;
            brokers->timed_out++;
            end(brokers, tx, false);
        }
        if (brokers->members[w].in &&
            brokers->now_ms - brokers->members[w].seen_ms > brokers->session_ms)
            sim_leave(brokers, w);
    }
    if (!brokers->preparing || brokers->now_ms - brokers->preparing_ms <= SIM_REBALANCE_MS)
        return;
    for (uint32_t w = 0; w < brokers->workers; w++)
        brokers->members[w].in = brokers->members[w].in && brokers->members[w].rejoined;
    complete(brokers);
}

// ---- housekeeping

// Marks the newest committed record of each key below `stable`; keys by hash.
static uint32_t *newest_of_keys(const sim_brokers *brokers, const sim_log *log, int64_t stable,
                                uint32_t *mask)
{
    uint32_t size = 64;
    while (size < log->count * 2)
        size *= 2;
    uint32_t *table = calloc(size, sizeof *table); // index + 1
    MR_ASSERT(table != NULL);
    *mask = size - 1;
    for (uint32_t i = 0; i < log->count && log->records[i].offset < stable; i++) {
        if (!sim_committed(brokers, &log->records[i]))
            continue;
        const mr_bytes key = log->records[i].key;
        uint32_t at = (uint32_t)mr_hash64(key.data, key.size, 1) & *mask;
        while (table[at] != 0 && !mr_bytes_equal(log->records[table[at] - 1].key, key))
            at = (at + 1) & *mask;
        table[at] = i + 1;
    }
    return table;
}

static bool is_newest(const sim_log *log, const uint32_t *table, uint32_t mask, uint32_t index)
{
    const mr_bytes key = log->records[index].key;
    uint32_t at = (uint32_t)mr_hash64(key.data, key.size, 1) & mask;
    while (table[at] != 0 && !mr_bytes_equal(log->records[table[at] - 1].key, key))
        at = (at + 1) & mask;
    return table[at] == index + 1;
}

// A tombstone stays for so long after the first cleaning that it went through (KIP-534).
static bool is_over(sim_record *record, int64_t now_ms, int64_t tombstones_for_ms)
{
    if (record->value.data != NULL)
        return false;
    if (record->horizon_ms == 0)
        record->horizon_ms = now_ms + tombstones_for_ms;
    return now_ms > record->horizon_ms;
}

void sim_compact(sim_brokers *brokers, sim_log *log, int64_t tombstones_for_ms)
{
    const int64_t stable = sim_stable(brokers, log);
    uint32_t mask, count = 0;
    uint32_t *table = newest_of_keys(brokers, log, stable, &mask);
    bool *stays = calloc(log->count + 1, sizeof *stays);
    MR_ASSERT(stays != NULL);
    for (uint32_t i = 0; i < log->count; i++) {
        sim_record *record = &log->records[i];
        stays[i] = record->offset >= stable ||
                   (sim_committed(brokers, record) && is_newest(log, table, mask, i) &&
                    !is_over(record, brokers->now_ms, tombstones_for_ms));
    }
    for (uint32_t i = 0; i < log->count; i++) {
        if (stays[i])
            log->records[count++] = log->records[i];
    }
    log->count = count;
    log->decided = 0;
    free(stays);
    free(table);
}

void sim_expire_offsets(sim_brokers *brokers)
{
    memset(brokers->group, 0xff, sizeof brokers->group);
}
