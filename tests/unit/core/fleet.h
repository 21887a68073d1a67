// SPDX-License-Identifier: Apache-2.0
// fleet: several engines that share the tasks of one mill, with what is between them done by hand:
// records of deltas go to the inbox of their shard, item and named rows to the views of the others.
#ifndef MR_TESTS_UNIT_CORE_FLEET_H
#define MR_TESTS_UNIT_CORE_FLEET_H

#include "tests/sim/counting.h"
#include "tests/unit/core/mill.h"

enum { FLEET_MAX = 3 };

typedef struct message {
    uint32_t task; // receiving shard of deltas, shard of a row
    uint8_t key[16];
    uint32_t key_size, size;
    uint8_t *bytes;
} message;

typedef struct queue {
    message *messages;
    uint32_t count, room;
} queue;

typedef struct fleet {
    mill store; // rows, lists and commit numbers of all; its engine is not used
    mr_engine *engines[FLEET_MAX];
    void *memory[FLEET_MAX];
    size_t memory_bytes[FLEET_MAX];
    uint32_t workers, owner[64];
    queue inbox[64], views[FLEET_MAX];
    uint32_t closing;                  // the worker that closes
    bool deaf;                         // what others write reaches no view for now
    mr_hash128 lists[64], records[64]; // by task: chain over its lists, and over what it sent
    uint64_t record_count;
    uint32_t last_sender, last_receiver;
} fleet;

static inline void queue_push(queue *q, uint32_t task, mr_bytes key, mr_bytes value)
{
    if (q->count == q->room) {
        q->room = q->room == 0 ? 64 : 2 * q->room;
        q->messages = realloc(q->messages, q->room * sizeof *q->messages);
    }
    message *m = &q->messages[q->count++];
    *m = (message){.task = task, .key_size = key.size, .size = value.size};
    if (key.size > 0)
        memcpy(m->key, key.data, key.size);
    m->bytes = malloc(value.size + 1);
    if (value.size > 0)
        memcpy(m->bytes, value.data, value.size);
}

static inline void queue_clear(queue *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        free(q->messages[i].bytes);
    q->count = 0;
}

static inline void fleet_row(void *context, uint32_t task, mr_row_place place, mr_bytes key,
                             mr_bytes value, mr_hash128 *hash)
{
    fleet *f = context;
    assert_int_equal(f->owner[task], f->closing); // only what is taken is written
    mill_row(&f->store, task, place, key, value, hash);
    for (uint32_t w = 0; place == MR_ROW_OF_ITEM && w < f->workers; w++)
        if (w != f->closing)
            queue_push(&f->views[w], task, key, value);
}

static inline void fleet_list(void *context, const mr_list *list)
{
    fleet *f = context;
    f->store.lists = f->lists[list->task];
    mill_list(&f->store, list);
    f->lists[list->task] = f->store.lists;
}

static inline void fleet_delta(void *context, uint32_t sender, uint32_t receiver, mr_bytes record)
{
    fleet *f = context;
    struct {
        mr_hash128 before;
        uint32_t sender, receiver;
        mr_hash128 record;
    } link = {f->records[sender], sender, receiver, mr_hash128_of(record.data, record.size, 0)};
    assert_int_equal(f->owner[sender], f->closing);
    assert_int_not_equal(f->owner[receiver], f->closing);
    assert_true(record.size <= MR_DELTA_RECORD_MAX);
    assert_true(sender > f->last_sender ||
                (sender == f->last_sender && receiver >= f->last_receiver));
    f->last_sender = sender;
    f->last_receiver = receiver;
    queue_push(&f->inbox[receiver], receiver, (mr_bytes){NULL, 0}, record);
    f->records[sender] = mr_hash128_of(&link, sizeof link, 0);
    f->record_count++;
}

static inline mr_hash128 fleet_lists(const fleet *f)
{
    return mr_hash128_of(f->lists, sizeof f->lists, 0);
}

static inline mr_hash128 fleet_records(const fleet *f)
{
    return mr_hash128_of(f->records, sizeof f->records, 0);
}

static inline void fleet_start(fleet *f, uint32_t worker)
{
    mr_error err;
    size_t bytes;
    assert_int_equal(mr_engine_bytes(&f->store.config, &bytes, &err), MR_OK);
    f->memory_bytes[worker] = bytes;
    f->memory[worker] = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(f->memory[worker] != MAP_FAILED);
    if (mr_engine_init(&f->engines[worker], &f->store.config, f->memory[worker], bytes, &err) !=
        MR_OK)
        fail_msg("%s", err.text);
}

static inline void fleet_stop(fleet *f, uint32_t worker)
{
    munmap(f->memory[worker], f->memory_bytes[worker]);
    queue_clear(&f->views[worker]);
}

// Takes the tasks that the worker owns and loads their rows in a shuffled order.
static inline void fleet_take(fleet *f, uint32_t worker, uint64_t seed)
{
    mr_error err;
    mill *m = &f->store;
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    bool mine[64] = {false};
    for (uint32_t t = 0; t < m->config.tasks; t++)
        if (f->owner[t] == worker && !mr_engine_has(f->engines[worker], t)) {
            mr_engine_take(f->engines[worker], t, m->seqs[t]);
            mine[t] = true;
        }
    for (uint32_t i = m->row_count; i > 1; i--) {
        const uint32_t j = mr_rng_below(&rng, i);
        const stored_row swap = m->rows[j];
        m->rows[j] = m->rows[i - 1];
        m->rows[i - 1] = swap;
    }
    for (uint32_t i = 0; i < m->row_count; i++) {
        const stored_row *row = &m->rows[i];
        if (mine[row->task] &&
            mr_engine_load(f->engines[worker], row->task, mr_bytes_of(row->key, row->key_size),
                           mr_bytes_of(row->value, row->value_size), row->hash, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
    if (mr_engine_ready(f->engines[worker], &err) != MR_OK)
        fail_msg("%s", err.text);
}

// A new engine for the worker: own rows, then the view, from what is stored.
static inline void fleet_restart(fleet *f, uint32_t worker, uint64_t seed)
{
    mr_error err;
    fleet_stop(f, worker);
    fleet_start(f, worker);
    fleet_take(f, worker, seed);
    for (uint32_t i = 0; i < f->store.row_count; i++) {
        const stored_row *row = &f->store.rows[i];
        if (f->owner[row->task] != worker && row->place == MR_ROW_OF_ITEM &&
            mr_engine_view_row(f->engines[worker], row->task, mr_bytes_of(row->key, row->key_size),
                               mr_bytes_of(row->value, row->value_size), &err) != MR_OK)
            fail_msg("%s", err.text);
    }
}

// owners: one letter a task, 'a' for the first worker.
static inline void fleet_open(fleet *f, const mr_engine_config *config, uint32_t workers,
                              const char *owners)
{
    memset(f, 0, sizeof *f);
    f->store.config = *config;
    f->store.config.fetch = (mr_fetch){&f->store, mill_get};
    f->workers = workers;
    for (uint32_t t = 0; t < config->tasks; t++) {
        f->owner[t] = (uint32_t)(owners[t] - 'a');
        f->store.seqs[t] = 1;
    }
    for (uint32_t w = 0; w < workers; w++) {
        fleet_start(f, w);
        fleet_take(f, w, 1);
    }
}

static inline void fleet_close(fleet *f)
{
    for (uint32_t w = 0; w < f->workers; w++) {
        fleet_stop(f, w);
        free(f->views[w].messages);
    }
    for (uint32_t t = 0; t < 64; t++) {
        queue_clear(&f->inbox[t]);
        free(f->inbox[t].messages);
    }
    for (uint32_t i = 0; i < f->store.row_count; i++)
        free(f->store.rows[i].value);
    free(f->store.rows);
}

// One round of every worker: events go to tasks by their user, and what waits in the inboxes with
// them.
static inline void fleet_round(fleet *f, made_event *events, uint32_t count)
{
    const uint32_t tasks = f->store.config.tasks;
    static mr_bytes received[64][256];
    mr_arrival *arrivals[64] = {NULL};
    mr_epoch epochs[64] = {{0}};
    mr_error err;
    for (uint32_t t = 0; t < tasks; t++) {
        arrivals[t] = calloc(count + 1, sizeof(mr_arrival));
        epochs[t] = (mr_epoch){.task = t, .arrivals = arrivals[t], .received = received[t]};
        assert_true(f->inbox[t].count <= 256);
        for (; epochs[t].received_count < f->inbox[t].count; epochs[t].received_count++) {
            const message *m = &f->inbox[t].messages[epochs[t].received_count];
            received[t][epochs[t].received_count] = mr_bytes_of(m->bytes, m->size);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t task = mr_partition_of(events[i].arrival.event.user, tasks);
        events[i].arrival.offset = i;
        epochs[task].arrivals[epochs[task].count++] = events[i].arrival;
    }
    for (uint32_t w = 0; w < f->workers; w++) {
        mr_epoch round[64];
        uint32_t rounds = 0;
        for (uint32_t t = 0; t < tasks; t++)
            if (f->owner[t] == w && epochs[t].count + epochs[t].received_count > 0)
                round[rounds++] = epochs[t];
        if (rounds > 0 && mr_engine_round(f->engines[w], round, rounds, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
    for (uint32_t t = 0; t < tasks; t++) {
        queue_clear(&f->inbox[t]);
        free(arrivals[t]);
    }
}

static inline void fleet_view(fleet *f, uint32_t worker)
{
    mr_error err;
    queue *q = &f->views[worker];
    for (uint32_t i = 0; i < q->count; i++) {
        const message *m = &q->messages[i];
        if (f->owner[m->task] != worker &&
            mr_engine_view_row(f->engines[worker], m->task, mr_bytes_of(m->key, m->key_size),
                               mr_bytes_of(m->bytes, m->size), &err) != MR_OK)
            fail_msg("%s", err.text);
    }
    queue_clear(q);
}

static inline void fleet_commit(fleet *f)
{
    mr_error err;
    const mr_close_sink sink = {
        .context = f, .row = fleet_row, .list = fleet_list, .delta = fleet_delta};
    for (f->closing = 0; f->closing < f->workers; f->closing++) {
        f->last_sender = f->last_receiver = 0;
        assert_int_equal(mr_engine_close(f->engines[f->closing], f->store.seqs, &sink, &err),
                         MR_OK);
        mr_engine_stored(f->engines[f->closing], mr_engine_closes(f->engines[f->closing]));
    }
    for (uint32_t t = 0; t < f->store.config.tasks; t++)
        f->store.seqs[t]++;
    for (uint32_t w = 0; w < f->workers && !f->deaf; w++)
        fleet_view(f, w);
}

static inline bool fleet_waits(const fleet *f)
{
    for (uint32_t t = 0; t < f->store.config.tasks; t++)
        if (f->inbox[t].count > 0)
            return true;
    return false;
}

// Commits until no record waits: every delta is applied and every view is up to date.
static inline void fleet_settle(fleet *f)
{
    fleet_commit(f);
    for (uint32_t round = 0; fleet_waits(f); round++) {
        assert_true(round < 3); // records alone send nothing
        fleet_round(f, NULL, 0);
        fleet_commit(f);
    }
}

// Traffic on items that are known after the first few rounds: no guests.
static inline void calm_made(made_event *events, uint32_t count, uint32_t round, uint64_t seed)
{
    mill_made(events, count, round, seed);
    for (uint32_t i = 0; i < count; i++) {
        const int item = atoi(events[i].item + 1);
        snprintf(events[i].item, sizeof events[i].item, "i%d", item / 100 * 100 + item % 20);
        events[i].arrival.event.item = mr_bytes_text(events[i].item);
    }
}

static inline void fleet_calm_traffic(fleet *f, uint32_t first_round, uint32_t rounds,
                                      uint64_t seed)
{
    enum { EVENTS = 48 };
    static made_event events[EVENTS];
    for (uint32_t r = first_round; r < first_round + rounds; r++) {
        calm_made(events, EVENTS, r, seed);
        fleet_round(f, events, EVENTS);
    }
}

static inline void mill_calm_traffic(mill *m, uint32_t first_round, uint32_t rounds, uint64_t seed)
{
    enum { EVENTS = 48 };
    static made_event events[EVENTS];
    mr_error err;
    for (uint32_t r = first_round; r < first_round + rounds; r++) {
        calm_made(events, EVENTS, r, seed);
        if (mill_round(m, events, EVENTS, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
}

static inline void fleet_traffic(fleet *f, uint32_t first_round, uint32_t rounds, uint64_t seed)
{
    enum { EVENTS = 48 };
    static made_event events[EVENTS];
    for (uint32_t r = first_round; r < first_round + rounds; r++) {
        mill_made(events, EVENTS, r, seed);
        fleet_round(f, events, EVENTS);
    }
}

// ---- configurations, and what tests ask of rows

// All models, and one that counts.
static inline mr_engine_config shared_defaults(void)
{
    static const mr_model *const extra[] = {&mr_counting};
    mr_engine_config config = mill_all_models();
    config.exchange_bytes = 1 << 20;
    config.extra = extra;
    config.extra_count = 1;
    return config;
}

// Models whose rows are integers that add up in any order, those that are off otherwise too.
static inline mr_engine_config integer_defaults(void)
{
    static const char *const off[] = {"embedding", "diag_linucb", "multi_interest"};
    static const mr_setting settings[] = {{"ease", "pairs", MR_RECENT_MAX},
                                          {"attribution", "touches", 48},
                                          {"click_model", "places", 8}};
    mr_engine_config config = shared_defaults();
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.settings = settings;
    config.setting_count = sizeof settings / sizeof settings[0];
    return config;
}

static inline void assert_hash_equal(mr_hash128 a, mr_hash128 b)
{
    assert_int_equal(a.low, b.low);
    assert_int_equal(a.high, b.high);
}

static inline uint16_t code_of(const char *family)
{
    return (uint16_t)(mr_hash64(family, strlen(family), 0) | 1u);
}

#endif
