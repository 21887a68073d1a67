// SPDX-License-Identifier: Apache-2.0
// fake_brokers: changelogs, inputs and a group in memory, and the reading half of the fake store.
//
// What a transaction produces stands in the logs only once it is committed. Calls can be counted,
// and one of them told to fail, so that a test can stop whatever runs over the ports at each of
// them.
#ifndef MR_TESTS_UNIT_WORKER_FAKE_BROKERS_H
#define MR_TESTS_UNIT_WORKER_FAKE_BROKERS_H

#include <stdio.h>

#include "state/row.h"
#include "tests/unit/worker/fakes.h"

enum { FAKE_RECORDS_MAX = 256, FAKE_VALUE_MAX = 600 };

typedef struct fake_record {
    int64_t offset;
    uint32_t key_bytes, value_bytes;
    bool erased;
    uint8_t key[32], value[FAKE_VALUE_MAX];
} fake_record;

typedef struct fake_log {
    fake_record records[FAKE_RECORDS_MAX];
    uint32_t count, committed; // records behind `committed` are of the open transaction
    int64_t first, end;
} fake_log;

typedef struct fake_brokers {
    fake_log logs[FAKE_TASKS_MAX][MR_STORE_CHANGELOGS];
    mr_log_ends inputs[FAKE_TASKS_MAX]; // by partition
    int64_t group[FAKE_TASKS_MAX];      // committed offset of a partition; -1: none
    int64_t sent[FAKE_TASKS_MAX];       // of the open transaction
    uint32_t calls, fail_at;            // the fail_at-th call fails; 0: none does
    uint32_t transactions;
} fake_brokers;

static inline void fake_brokers_init(fake_brokers *brokers)
{
    memset(brokers, 0, sizeof *brokers);
    for (uint32_t i = 0; i < FAKE_TASKS_MAX; i++)
        brokers->group[i] = -1;
}

static inline mr_status fake_brokers_call(fake_brokers *brokers, mr_error *err)
{
    return ++brokers->calls == brokers->fail_at ? mr_fail(err, MR_FATAL, "told to") : MR_OK;
}

static inline void fake_log_append(fake_log *log, mr_bytes key, mr_bytes value)
{
    fake_record *record = &log->records[log->count++];
    MR_ASSERT(log->count <= FAKE_RECORDS_MAX && key.size <= sizeof record->key &&
              value.size <= sizeof record->value);
    *record = (fake_record){.offset = log->end++,
                            .key_bytes = key.size,
                            .value_bytes = value.size,
                            .erased = value.data == NULL};
    memcpy(record->key, key.data, key.size);
    if (value.size > 0)
        memcpy(record->value, value.data, value.size);
}

// Appends a record that is committed.
static inline void fake_log_put(fake_log *log, mr_bytes key, mr_bytes value)
{
    fake_log_append(log, key, value);
    log->committed = log->count;
}

static inline mr_status fake_tx_begin(void *context, mr_error *err)
{
    return fake_brokers_call(context, err);
}

static inline mr_status fake_tx_produce(void *context, const mr_record *record, mr_error *err)
{
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    MR_ASSERT(record->topic == MR_TOPIC_USER_ROWS || record->topic == MR_TOPIC_ITEM_ROWS);
    fake_log_append(&brokers->logs[record->partition][record->topic - MR_TOPIC_USER_ROWS],
                    record->key, record->value);
    return MR_OK;
}

static inline mr_status fake_tx_flush(void *context, mr_error *err)
{
    return fake_brokers_call(context, err);
}

static inline int64_t fake_tx_produced(void *context, mr_topic topic, uint32_t partition)
{
    const fake_brokers *brokers = context;
    const fake_log *log = &brokers->logs[partition][topic - MR_TOPIC_USER_ROWS];
    return log->count > log->committed ? log->end : -1;
}

static inline mr_status fake_tx_offsets(void *context, uint64_t generation,
                                        const mr_offset *offsets, uint32_t offset_count,
                                        mr_error *err)
{
    (void)generation;
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    for (uint32_t i = 0; i < offset_count; i++)
        brokers->sent[offsets[i].partition] = offsets[i].next;
    return MR_OK;
}

static inline mr_status fake_tx_commit(void *context, mr_error *err)
{
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    for (uint32_t t = 0; t < FAKE_TASKS_MAX; t++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++) {
            fake_log *log = &brokers->logs[t][c];
            log->end += log->count > log->committed; // the transaction's own record
            log->committed = log->count;
        }
    }
    memcpy(brokers->group, brokers->sent, sizeof brokers->group);
    brokers->transactions++;
    return MR_OK;
}

// What the next producer of the same name does to a transaction that was left open.
static inline void fake_brokers_settle(fake_brokers *brokers)
{
    for (uint32_t t = 0; t < FAKE_TASKS_MAX; t++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
            brokers->logs[t][c].count = brokers->logs[t][c].committed;
    }
}

static inline mr_status fake_ends(void *context, mr_topic topic, uint32_t partition,
                                  mr_log_ends *ends, mr_error *err)
{
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    const fake_log *log = &brokers->logs[partition][topic - MR_TOPIC_USER_ROWS];
    *ends = (mr_log_ends){log->first, log->end};
    return MR_OK;
}

static inline mr_status fake_input_ends(void *context, uint32_t input, uint32_t partition,
                                        mr_log_ends *ends, mr_error *err)
{
    fake_brokers *brokers = context;
    (void)input;
    MR_TRY(fake_brokers_call(brokers, err));
    *ends = brokers->inputs[partition];
    return MR_OK;
}

static inline mr_status fake_read(void *context, mr_topic topic, uint32_t partition, int64_t first,
                                  int64_t end, mr_bus_visit *visit, void *visit_context,
                                  int64_t *next, mr_error *err)
{
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    const fake_log *log = &brokers->logs[partition][topic - MR_TOPIC_USER_ROWS];
    const uint32_t count = log->committed;
    for (uint32_t i = 0; i < count; i++) {
        const fake_record *record = &log->records[i];
        if (record->offset < first || record->offset >= end)
            continue;
        const mr_bytes value =
            mr_bytes_of(record->erased ? NULL : record->value, record->value_bytes);
        MR_TRY(visit(visit_context, record->offset, mr_bytes_of(record->key, record->key_bytes),
                     value, err));
    }
    *next = end > first ? end : first;
    return MR_OK;
}

static inline mr_status fake_committed(void *context, mr_offset *offsets, uint32_t offset_count,
                                       mr_error *err)
{
    fake_brokers *brokers = context;
    MR_TRY(fake_brokers_call(brokers, err));
    for (uint32_t i = 0; i < offset_count; i++)
        offsets[i].next = brokers->group[offsets[i].partition];
    return MR_OK;
}

static inline mr_bus fake_brokers_port(fake_brokers *brokers)
{
    return (mr_bus){.context = brokers,
                    .begin = fake_tx_begin,
                    .produce = fake_tx_produce,
                    .flush = fake_tx_flush,
                    .produced = fake_tx_produced,
                    .send_offsets = fake_tx_offsets,
                    .commit = fake_tx_commit,
                    .renew = fake_tx_flush,
                    .changelog_ends = fake_ends,
                    .input_ends = fake_input_ends,
                    .changelog_read = fake_read,
                    .committed = fake_committed};
}

// The reading half of the store, and loads. A row of no value is none.

typedef struct fake_disk {
    fake_store store;
    mr_store_identity identity;
    fake_store load; // of the task that is being made again
    uint32_t load_task, loads, drops;
    fake_brokers *calls; // whose call counter the writes count too; NULL: none
} fake_disk;

static inline mr_status fake_disk_write(void *context, const mr_store_batch *batch, mr_error *err)
{
    fake_disk *disk = context;
    if (disk->calls != NULL)
        MR_TRY(fake_brokers_call(disk->calls, err));
    fake_store kept = {0};
    for (uint32_t i = 0; i < batch->part_count; i++) { // absent and -1: left as it is
        mr_store_part part = batch->parts[i];
        mr_store_task *task = &disk->store.tasks[part.task];
        if (part.marker.data == NULL)
            part.marker = mr_bytes_of(task->marker, task->marker_bytes);
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
            part.offsets[c] = part.offsets[c] < 0 ? task->offsets[c] : part.offsets[c];
        memcpy(kept.tasks[part.task].marker, part.marker.data, part.marker.size);
        part.marker.data = kept.tasks[part.task].marker;
        MR_TRY(fake_store_write(&disk->store, &(mr_store_batch){&part, 1}, err));
    }
    return MR_OK;
}

static inline void fake_disk_erase(fake_disk *disk, uint32_t task)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk->store.row_count; i++) {
        if (disk->store.rows[i].task != task)
            disk->store.rows[kept++] = disk->store.rows[i];
    }
    disk->store.row_count = kept;
    disk->store.tasks[task] = (mr_store_task){.offsets = {-1, -1}};
}

static inline mr_status fake_disk_drop(void *context, uint32_t task, mr_error *err)
{
    fake_disk *disk = context;
    (void)err;
    fake_disk_erase(disk, task);
    disk->drops++;
    return MR_OK;
}

static inline mr_status fake_disk_identify(void *context, const mr_store_identity *identity,
                                           mr_error *err)
{
    (void)err;
    ((fake_disk *)context)->identity = *identity;
    return MR_OK;
}

static inline mr_status fake_disk_identity(void *context, mr_store_identity *identity,
                                           mr_error *err)
{
    (void)err;
    *identity = ((fake_disk *)context)->identity;
    return MR_OK;
}

static inline mr_status fake_disk_task(void *context, uint32_t task, mr_store_task *out,
                                       bool *found, mr_error *err)
{
    const fake_disk *disk = context;
    (void)err;
    *out = disk->store.tasks[task];
    *found = out->marker_bytes > 0;
    return MR_OK;
}

static inline mr_load_result fake_store_sum(const fake_store *store, uint32_t task)
{
    mr_load_result sum = {0};
    for (uint32_t i = 0; i < store->row_count; i++) {
        const fake_store_row *row = &store->rows[i];
        if (row->task != task || row->value_bytes == 0)
            continue;
        sum.row_count++;
        mr_hash128_add(&sum.state_hash, mr_row_hash(mr_bytes_of(row->key, row->key_bytes),
                                                    mr_bytes_of(row->value, row->value_bytes)));
    }
    return sum;
}

static inline mr_status fake_disk_measure(void *context, uint32_t task, mr_load_result *found,
                                          mr_error *err)
{
    (void)err;
    *found = fake_store_sum(&((fake_disk *)context)->store, task);
    return MR_OK;
}

static inline mr_status fake_disk_get(void *context, uint32_t task, mr_bytes key, uint8_t *buffer,
                                      uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    return fake_store_get(&((fake_disk *)context)->store, task, key, buffer, buffer_bytes,
                          value_bytes, err);
}

static inline mr_status fake_disk_each(void *context, uint32_t task, mr_store_visit *visit,
                                       void *visit_context, mr_error *err)
{
    const fake_disk *disk = context;
    for (uint32_t i = 0; i < disk->store.row_count; i++) {
        const fake_store_row *row = &disk->store.rows[i];
        if (row->task == task && row->value_bytes > 0)
            MR_TRY(visit(visit_context, mr_bytes_of(row->key, row->key_bytes),
                         mr_bytes_of(row->value, row->value_bytes), err));
    }
    return MR_OK;
}

static inline void fake_disk_refresh(void *context)
{
    ((fake_disk *)context)->store.refreshes++;
}

static inline mr_status fake_disk_load_begin(void *context, uint32_t task, mr_error *err)
{
    fake_disk *disk = context;
    (void)err;
    memset(&disk->load, 0, sizeof disk->load);
    disk->load_task = task;
    return MR_OK;
}

static inline mr_status fake_disk_load_put(void *context, mr_bytes key, mr_bytes value,
                                           mr_error *err)
{
    fake_disk *disk = context;
    (void)err;
    fake_store_put(&disk->load, disk->load_task, &(mr_store_row){key, value});
    return MR_OK;
}

static inline mr_status fake_disk_load_finish(void *context, mr_bytes marker,
                                              const int64_t offsets[MR_STORE_CHANGELOGS],
                                              mr_load_result *result, mr_error *err)
{
    fake_disk *disk = context;
    (void)err;
    fake_disk_erase(disk, disk->load_task);
    for (uint32_t i = 0; i < disk->load.row_count; i++)
        disk->store.rows[disk->store.row_count++] = disk->load.rows[i];
    mr_store_task *task = &disk->store.tasks[disk->load_task];
    memcpy(task->marker, marker.data, marker.size);
    task->marker_bytes = marker.size;
    memcpy(task->offsets, offsets, sizeof task->offsets);
    *result = fake_store_sum(&disk->store, disk->load_task);
    disk->loads++;
    return MR_OK;
}

static inline void fake_disk_load_end(void *context)
{
    (void)context;
}

static inline mr_store_port fake_disk_port(fake_disk *disk)
{
    for (uint32_t i = 0; i < FAKE_TASKS_MAX; i++)
        disk->store.tasks[i].offsets[0] = disk->store.tasks[i].offsets[1] = -1;
    return (mr_store_port){.context = disk,
                           .write = fake_disk_write,
                           .drop = fake_disk_drop,
                           .identify = fake_disk_identify,
                           .identity = fake_disk_identity,
                           .task = fake_disk_task,
                           .measure = fake_disk_measure,
                           .get = fake_disk_get,
                           .each = fake_disk_each,
                           .refresh = fake_disk_refresh,
                           .load_begin = fake_disk_load_begin,
                           .load_put = fake_disk_load_put,
                           .load_finish = fake_disk_load_finish,
                           .load_end = fake_disk_load_end};
}

#endif
