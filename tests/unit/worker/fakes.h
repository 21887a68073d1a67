// SPDX-License-Identifier: Apache-2.0
// fakes: a store that is an array, a clock that is a number, and a bus that keeps a log and answers
// as it is told. They stand behind the same structs of functions as LMDB, the system and Kafka.
#ifndef MR_TESTS_UNIT_WORKER_FAKES_H
#define MR_TESTS_UNIT_WORKER_FAKES_H

#include <stdlib.h>
#include <string.h>

#include "worker/frozen.h"
#include "worker/marker.h"

typedef struct fake_clock {
    int64_t now_ms, slept_ms;
} fake_clock;

static inline int64_t fake_now(void *context)
{
    return ((fake_clock *)context)->now_ms;
}

static inline void fake_sleep(void *context, int64_t ms)
{
    ((fake_clock *)context)->now_ms += ms;
    ((fake_clock *)context)->slept_ms += ms;
}

static inline mr_clock fake_clock_port(fake_clock *clock)
{
    return (mr_clock){clock, fake_now, fake_now, fake_sleep};
}

enum { FAKE_ROWS_MAX = 256, FAKE_TASKS_MAX = 4 };

typedef struct fake_store_row {
    uint32_t task, key_bytes, value_bytes;
    uint8_t key[32], value[512];
} fake_store_row;

typedef struct fake_store {
    fake_store_row rows[FAKE_ROWS_MAX];
    uint32_t row_count;
    mr_store_task tasks[FAKE_TASKS_MAX];
    uint32_t writes, rows_written, refreshes, fail_next;
} fake_store;

static inline fake_store_row *fake_store_find(fake_store *store, uint32_t task, mr_bytes key)
{
    for (uint32_t i = 0; i < store->row_count; i++) {
        fake_store_row *row = &store->rows[i];
        if (row->task == task && mr_bytes_equal(mr_bytes_of(row->key, row->key_bytes), key))
            return row;
    }
    return NULL;
}

static inline void fake_store_put(fake_store *store, uint32_t task, const mr_store_row *row)
{
    fake_store_row *place = fake_store_find(store, task, row->key);
    if (place == NULL) {
        place = &store->rows[store->row_count++];
        place->task = task;
        place->key_bytes = row->key.size;
        memcpy(place->key, row->key.data, row->key.size);
    }
    place->value_bytes = row->value.size;
    if (row->value.size > 0)
        memcpy(place->value, row->value.data, row->value.size);
}

static inline mr_status fake_store_write(void *context, const mr_store_batch *batch, mr_error *err)
{
    fake_store *store = context;
    if (store->fail_next > 0) {
        store->fail_next--;
        return mr_fail(err, MR_RETRY, "disk full");
    }
    store->writes++;
    for (uint32_t i = 0; i < batch->part_count; i++) {
        const mr_store_part *part = &batch->parts[i];
        MR_ASSERT(i == 0 || batch->parts[i - 1].task < part->task);
        for (uint32_t j = 0; j < part->row_count; j++) {
            MR_ASSERT(j == 0 || mr_bytes_compare(part->rows[j - 1].key, part->rows[j].key) < 0);
            fake_store_put(store, part->task, &part->rows[j]);
            store->rows_written++;
        }
        mr_store_task *task = &store->tasks[part->task];
        memcpy(task->marker, part->marker.data, part->marker.size);
        task->marker_bytes = part->marker.size;
        memcpy(task->offsets, part->offsets, sizeof task->offsets);
    }
    return MR_OK;
}

static inline mr_status fake_store_get(void *context, uint32_t task, mr_bytes key, uint8_t *buffer,
                                       uint32_t buffer_bytes, uint32_t *value_bytes, mr_error *err)
{
    (void)buffer_bytes;
    (void)err;
    const fake_store_row *row = fake_store_find(context, task, key);
    *value_bytes = row != NULL ? row->value_bytes : 0;
    if (row != NULL)
        memcpy(buffer, row->value, row->value_bytes);
    return MR_OK;
}

static inline void fake_store_refresh(void *context)
{
    ((fake_store *)context)->refreshes++;
}

static inline mr_store_port fake_store_port(fake_store *store)
{
    return (mr_store_port){.context = store,
                           .write = fake_store_write,
                           .get = fake_store_get,
                           .refresh = fake_store_refresh};
}

typedef enum fake_call {
    FAKE_BEGIN,
    FAKE_PRODUCE,
    FAKE_FLUSH,
    FAKE_OFFSETS,
    FAKE_COMMIT,
    FAKE_RENEW,
    FAKE_CALL_COUNT,
} fake_call;

// What it was called with, as letters: B begin, r row, m marker, o other record, F flush, G
// offsets, C commit, R renew. A call that was told to fail adds '!'.
typedef struct fake_bus {
    char calls[512];
    uint32_t call_count;
    mr_status fail[FAKE_CALL_COUNT]; // the outcome of the next `fail_count` calls of that kind
    uint32_t fail_count[FAKE_CALL_COUNT];
    uint32_t skip[FAKE_CALL_COUNT]; // calls of that kind that still go well before
    uint32_t produced, offset_count;
    fake_clock *clock;
    int64_t call_ms[FAKE_CALL_COUNT]; // how long a call of that kind takes
    uint64_t sent_hash;               // of all bytes since begin
    uint64_t sent_before;             // of the attempt before
} fake_bus;

static inline mr_status fake_bus_call(fake_bus *bus, fake_call call, char letter, mr_error *err)
{
    bus->calls[bus->call_count++] = letter;
    if (bus->clock != NULL)
        bus->clock->now_ms += bus->call_ms[call];
    if (bus->skip[call] > 0) {
        bus->skip[call]--;
        return MR_OK;
    }
    if (bus->fail_count[call] == 0)
        return MR_OK;
    bus->fail_count[call]--;
    bus->calls[bus->call_count++] = '!';
    return mr_fail(err, bus->fail[call], "told to");
}

static inline mr_status fake_begin(void *context, mr_error *err)
{
    fake_bus *bus = context;
    bus->sent_before = bus->sent_hash;
    bus->sent_hash = 0;
    return fake_bus_call(bus, FAKE_BEGIN, 'B', err);
}

static inline mr_status fake_produce(void *context, const mr_record *record, mr_error *err)
{
    fake_bus *bus = context;
    const bool changelog =
        record->topic == MR_TOPIC_USER_ROWS || record->topic == MR_TOPIC_ITEM_ROWS;
    const char letter = !changelog ? 'o' : mr_marker_is(record->key) ? 'm' : 'r';
    MR_TRY(fake_bus_call(bus, FAKE_PRODUCE, letter, err));
    bus->produced++;
    bus->sent_hash = mr_hash64(record->value.data, record->value.size, bus->sent_hash + 1);
    return MR_OK;
}

static inline mr_status fake_flush(void *context, mr_error *err)
{
    return fake_bus_call(context, FAKE_FLUSH, 'F', err);
}

static inline int64_t fake_produced(void *context, mr_topic topic, uint32_t partition)
{
    (void)context;
    return 1000 * (int64_t)topic + partition;
}

static inline mr_status fake_offsets(void *context, uint64_t generation, const mr_offset *offsets,
                                     uint32_t offset_count, mr_error *err)
{
    (void)generation;
    (void)offsets;
    ((fake_bus *)context)->offset_count = offset_count;
    return fake_bus_call(context, FAKE_OFFSETS, 'G', err);
}

static inline mr_status fake_commit(void *context, mr_error *err)
{
    return fake_bus_call(context, FAKE_COMMIT, 'C', err);
}

static inline mr_status fake_renew(void *context, mr_error *err)
{
    return fake_bus_call(context, FAKE_RENEW, 'R', err);
}

static inline mr_bus fake_bus_port(fake_bus *bus)
{
    return (mr_bus){.context = bus,
                    .begin = fake_begin,
                    .produce = fake_produce,
                    .flush = fake_flush,
                    .produced = fake_produced,
                    .send_offsets = fake_offsets,
                    .commit = fake_commit,
                    .renew = fake_renew};
}

#endif
