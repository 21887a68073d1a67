// SPDX-License-Identifier: Apache-2.0
// mill: an engine over a store in memory, fed with made-up events; for the tests of core.
#ifndef MR_TESTS_UNIT_CORE_MILL_H
#define MR_TESTS_UNIT_CORE_MILL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/engine.h"

typedef struct stored_row {
    uint32_t task;
    mr_row_place place;
    uint8_t key[256];
    uint32_t key_size;
    uint8_t *value;
    uint32_t value_size;
    mr_hash128 hash;
} stored_row;

typedef struct mill {
    mr_engine *engine;
    mr_engine_config config;
    void *memory;
    size_t memory_bytes;
    stored_row *rows; // every row that was put and not taken away
    uint32_t row_count, row_room;
    uint32_t failing_read; // the read that fails, counted from 1; 0: none
    uint64_t row_puts, row_bytes;
    uint64_t seqs[64];
    mr_hash128 lists; // chain over everything that a list says
    uint64_t list_count;
    uint64_t unchanged_count; // lists that were due and are what their users have
    int64_t version_of[256];  // newest version by user number
    mr_list last;
    mr_list_entry last_entries[MR_LIST_MAX];
    void (*heard)(void *context, const mr_list *list); // NULL: nobody listens
    void *listener;
    bool versions_fell, bad_q;
    uint64_t told, told_gone, told_badly; // items that readers outside were told of
} mill;

static inline stored_row *mill_find(mill *m, uint32_t task, mr_bytes key)
{
    for (uint32_t i = 0; i < m->row_count; i++)
        if (m->rows[i].task == task && m->rows[i].key_size == key.size &&
            memcmp(m->rows[i].key, key.data, key.size) == 0)
            return &m->rows[i];
    return NULL;
}

static inline mr_status mill_get(void *context, uint32_t task, mr_bytes key, mr_bytes *value,
                                 mr_hash128 *hash, mr_error *err)
{
    mill *m = context;
    if (m->failing_read > 0 && --m->failing_read == 0)
        return mr_fail(err, MR_RETRY, "the disk is busy");
    const stored_row *row = mill_find(m, task, key);
    *value = row == NULL ? (mr_bytes){NULL, 0} : mr_bytes_of(row->value, row->value_size);
    if (row != NULL)
        *hash = row->hash;
    return MR_OK;
}

static inline void mill_row(void *context, uint32_t task, mr_row_place place, mr_bytes key,
                            mr_bytes value, mr_hash128 *hash)
{
    mill *m = context;
    stored_row *row = mill_find(m, task, key);
    m->row_puts++;
    m->row_bytes += key.size + value.size;
    if (row != NULL) {
        assert_memory_equal(&row->hash, hash,
                            sizeof *hash); // the old value's hash, as it was given
        free(row->value);
        if (value.size == 0) {
            *row = m->rows[--m->row_count];
            return;
        }
    } else {
        assert_true(value.size > 0); // nothing is taken away that was never there
        assert_true(hash->low == 0 && hash->high == 0);
        if (m->row_count == m->row_room) {
            m->row_room = m->row_room == 0 ? 256 : 2 * m->row_room;
            m->rows = realloc(m->rows, m->row_room * sizeof *m->rows);
        }
        row = &m->rows[m->row_count++];
        row->task = task;
        row->place = place;
        row->key_size = key.size;
        memcpy(row->key, key.data, key.size);
    }
    row->value = malloc(value.size);
    row->value_size = value.size;
    memcpy(row->value, value.data, value.size);
    *hash = row->hash = mr_row_hash(key, value);
}

static inline void mill_list(void *context, const mr_list *list)
{
    mill *m = context;
    struct {
        mr_hash128 before;
        int64_t version;
        uint64_t candidates;
        mr_hash128 entries;
    } link = {m->lists, list->version, list->candidate_hash, {0, 0}};
    for (uint32_t i = 0; i < list->entry_count; i++) {
        const mr_list_entry *e = &list->entries[i];
        const struct {
            uint64_t key;
            float score, q;
            uint64_t sources;
            mr_hash128 before;
        } entry = {e->item_key, e->score, e->q, e->source_bits, link.entries};
        link.entries = mr_hash128_of(&entry, sizeof entry, 0);
        m->bad_q |= !(e->q > 0 && e->q <= 1);
    }
    m->lists = mr_hash128_of(&link, sizeof link, 0);
    m->list_count++;
    const uint32_t number = (uint32_t)atoi((const char *)list->user.data + 1) % 256;
    m->versions_fell |= list->version <= m->version_of[number];
    m->version_of[number] = list->version;
    m->last = *list;
    memcpy(m->last_entries, list->entries, list->entry_count * sizeof *list->entries);
    m->last.entries = m->last_entries;
    if (m->heard != NULL)
        m->heard(m->listener, list);
}

static inline mr_engine_config mill_defaults(void)
{
    mr_engine_config config = mr_engine_defaults();
    config.tasks = 4;
    config.items_max = 2000;
    config.users_max = 2000;
    config.epoch_events_max = 64;
    config.dedup_events_max = 4096;
    config.list_k = 10;
    config.explore_bp = 2000;
    config.probe_every = 2;
    return config;
}

// Also the models that are off unless they are set.
static inline mr_engine_config mill_all_models(void)
{
    static const mr_setting settings[] = {{"linucb", "dim", 16},
                                          {"linucb", "coefficients", 1},
                                          {"ease", "pairs", 12},
                                          {"multi_interest", "dim", 32},
                                          {"multi_interest", "interests", 2},
                                          {"pagerank", "pushes", 8},
                                          {"sequence", "dim", 16},
                                          {"sequence", "every", 2},
                                          {"attribution", "touches", 32},
                                          {"content", "dim", 16},
                                          {"smoothing", "dim", 16},
                                          {"content", "every", 1},
                                          {"linucb", "drift", 0.3},
                                          {"linucb", "drift_keep", 0.1},
                                          {"complement", "dim", 16},
                                          {"pi2i", "triggers", 10},
                                          {"pi2i", "every", 1},
                                          {"fusion", "rate", 0.05},
                                          {"ranker", "hidden", 2},
                                          {"click_model", "places", 8},
                                          {"diag_linucb", "components", 3},
                                          {"cold_users", "dim", 16},
                                          {"semantic_ids", "dim", 16},
                                          {"semantic_ids", "codes", 4},
                                          {"semantic_ids", "sample", 10},
                                          {"embedding", "self_play", 1},
                                          {"popularity_discount", "beta", 0.1},
                                          {"slate_choice", "dim", 16},
                                          {"slate_choice", "user", 1},
                                          {"slate_choice", "refresh_s", 2},
                                          {"liking", "dim", 16},
                                          {"liking", "rho", 0.5}};
    mr_engine_config config = mill_defaults();
    config.settings = settings;
    config.setting_count = sizeof settings / sizeof settings[0];
    config.probe_every = 8; // the ranker learns from each
    return config;
}

static inline void mill_start(mill *m, const mr_engine_config *config)
{
    mr_error err;
    size_t bytes;
    m->config = *config;
    m->config.fetch = (mr_fetch){m, mill_get};
    assert_int_equal(mr_engine_bytes(&m->config, &bytes, &err), MR_OK);
    m->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    m->memory_bytes = bytes;
    assert_true(m->memory != MAP_FAILED);
    assert_int_equal(mr_engine_init(&m->engine, &m->config, m->memory, bytes, &err), MR_OK);
}

static inline void mill_open(mill *m, const mr_engine_config *config)
{
    mr_error err;
    memset(m, 0, sizeof *m);
    mill_start(m, config);
    for (uint32_t t = 0; t < config->tasks; t++) {
        m->seqs[t] = 1;
        mr_engine_take(m->engine, t, 1);
    }
    assert_int_equal(mr_engine_ready(m->engine, &err), MR_OK);
}

// Throws the engine away and makes a new one of the stored rows, loaded in an order that `seed`
// shuffles: slots, caches, indexes and queues come out different.
static inline void mill_restart(mill *m, uint64_t seed)
{
    mr_error err;
    munmap(m->memory, m->memory_bytes);
    mill_start(m, &m->config);
    for (uint32_t t = 0; t < m->config.tasks; t++)
        mr_engine_take(m->engine, t, m->seqs[t]);
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t i = m->row_count; i > 1; i--) {
        const uint32_t j = mr_rng_below(&rng, i);
        const stored_row swap = m->rows[j];
        m->rows[j] = m->rows[i - 1];
        m->rows[i - 1] = swap;
    }
    for (uint32_t i = 0; i < m->row_count; i++) {
        const stored_row *row = &m->rows[i];
        if (mr_engine_load(m->engine, row->task, mr_bytes_of(row->key, row->key_size),
                           mr_bytes_of(row->value, row->value_size), row->hash, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
    if (mr_engine_ready(m->engine, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static inline void mill_told(void *context, const mr_told *told)
{
    mill *m = context;
    m->told += !told->gone;
    m->told_gone += told->gone;
    m->told_badly += told->item.size == 0 || told->time_ms == 0 ||
                     (!told->gone && (told->vector == NULL || told->count_count == 0));
}

static inline void mill_unchanged(void *context, mr_bytes user)
{
    mill *m = context;
    assert_true(user.size > 1 && user.data[0] == 'u');
    m->unchanged_count++;
}

static inline void mill_close_commit(mill *m)
{
    mr_error err;
    const mr_close_sink sink = {.context = m,
                                .row = mill_row,
                                .list = mill_list,
                                .told = mill_told,
                                .unchanged = mill_unchanged};
    assert_int_equal(mr_engine_close(m->engine, m->seqs, &sink, &err), MR_OK);
    mr_engine_stored(m->engine, mr_engine_closes(m->engine));
    for (uint32_t t = 0; t < m->config.tasks; t++)
        m->seqs[t]++;
}

static inline void mill_close(mill *m)
{
    for (uint32_t i = 0; i < m->row_count; i++)
        free(m->rows[i].value);
    free(m->rows);
    munmap(m->memory, m->memory_bytes);
}

// The sum over stored rows, to hold against what the engine keeps.
static inline mr_hash128 mill_state_hash(const mill *m, uint32_t task)
{
    mr_hash128 sum = {0, 0};
    for (uint32_t i = 0; i < m->row_count; i++)
        if (m->rows[i].task == task)
            mr_hash128_add(&sum, m->rows[i].hash);
    return sum;
}

static inline mr_hash128 mill_hash(const mill *m)
{
    mr_hash128 sum = {0, 0};
    for (uint32_t t = 0; t < m->config.tasks; t++)
        mr_hash128_add(&sum, mill_state_hash(m, t));
    return sum;
}

// ---- made-up events

typedef struct made_event { // an arrival and the texts that it points to
    mr_arrival arrival;
    char user[16], item[16], id[24];
    mr_line lines[4];
    char line_items[4][16];
} made_event;

static inline void mill_act(made_event *made, mr_event_kind kind, uint32_t user, uint32_t item,
                            int64_t time_ms)
{
    memset(made, 0, sizeof *made);
    snprintf(made->user, sizeof made->user, "u%u", user);
    snprintf(made->item, sizeof made->item, "i%u", item);
    mr_event *event = &made->arrival.event;
    event->kind = kind;
    event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_item | 1u << MR_FIELD_time;
    event->user = mr_bytes_text(made->user);
    event->item = mr_bytes_text(made->item);
    event->time_ms = made->arrival.record_ms = time_ms;
}

// Learns one round; events are dealt to tasks by their user. At most config.epoch_events_max a
// task.
static inline mr_status mill_round(mill *m, made_event *events, uint32_t count, mr_error *err)
{
    mr_arrival *arrivals[64];
    mr_epoch epochs[64], round[64];
    uint32_t rounds = 0;
    for (uint32_t t = 0; t < m->config.tasks; t++) {
        arrivals[t] = calloc(count + 1, sizeof(mr_arrival));
        epochs[t] = (mr_epoch){.task = t, .arrivals = arrivals[t]};
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t task = mr_partition_of(events[i].arrival.event.user, m->config.tasks);
        events[i].arrival.offset = i;
        epochs[task].arrivals[epochs[task].count++] = events[i].arrival;
    }
    for (uint32_t t = 0; t < m->config.tasks; t++)
        if (epochs[t].count > 0)
            round[rounds++] = epochs[t];
    const mr_status status = mr_engine_round(m->engine, round, rounds, err);
    for (uint32_t i = 0, at[64] = {0}; i < count; i++) {
        const uint32_t task = mr_partition_of(events[i].arrival.event.user, m->config.tasks);
        events[i].arrival = epochs[task].arrivals[at[task]++];
    }
    for (uint32_t t = 0; t < m->config.tasks; t++)
        free(arrivals[t]);
    return status;
}

// Clicks of round `round` by users of three tastes, with event ids, a purchase and a cart now and
// then.
static inline void mill_made(made_event *events, uint32_t count, uint32_t round, uint64_t seed)
{
    mr_rng rng = mr_rng_make(seed, 0, round, 0, MR_PURPOSE_SIM);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t user = mr_rng_below(&rng, 120), taste = user % 3;
        const uint32_t item = 100 * taste + mr_rng_below(&rng, 40) + round / 10;
        const mr_event_kind kind = mr_rng_below(&rng, 8) == 0   ? MR_EVENT_PURCHASE
                                   : mr_rng_below(&rng, 8) == 0 ? MR_EVENT_CART
                                                                : MR_EVENT_CLICK;
        mill_act(&events[i], kind, user, item, 1700000000000 + round * 700 + i * 10);
        snprintf(events[i].id, sizeof events[i].id, "e%u-%u", round, i);
        events[i].arrival.event.event_id = mr_bytes_text(events[i].id);
        events[i].arrival.event.present |= 1u << MR_FIELD_event_id;
    }
}

// What the catalogue says of items that mill_made's users act on: every other one has a vector.
// Texts stay the caller's: categories[3][8] by taste.
static inline void mill_described(made_event *event, uint32_t number, float vector[24],
                                  char categories[3][8], int64_t time_ms)
{
    const uint32_t taste = number % 3, item = 100 * taste + number / 3 % 45;
    mill_act(event, MR_EVENT_CATALOGUE, number, item, time_ms);
    mr_event *of = &event->arrival.event;
    snprintf(categories[taste], sizeof categories[taste], "t%u", taste);
    of->categories[0] = mr_bytes_text(categories[taste]);
    of->categories[1] = mr_bytes_text(item % 2 == 0 ? "even" : "odd");
    of->category_count = 2;
    of->present |= 1u << MR_FIELD_categories;
    if (item % 2 == 0)
        return;
    for (uint32_t k = 0; k < 24; k++)
        vector[k] = k % 3 == taste ? 1.0f : 0.1f * (float)((item + k) % 5);
    of->vector = vector;
    of->vector_count = 24;
    of->present |= 1u << MR_FIELD_vector;
}

// A round of them.
static inline void mill_catalogue(mill *m, uint32_t first, int64_t time_ms)
{
    enum { ITEMS = 24 };
    static made_event events[ITEMS];
    static float vectors[ITEMS][24];
    static char categories[3][8];
    mr_error err;
    for (uint32_t i = 0; i < ITEMS; i++)
        mill_described(&events[i], first + i, vectors[i], categories, time_ms);
    if (mill_round(m, events, ITEMS, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static inline void mill_traffic(mill *m, uint32_t first_round, uint32_t rounds, uint64_t seed)
{
    enum { EVENTS = 48 };
    static made_event events[EVENTS];
    for (uint32_t r = first_round; r < first_round + rounds; r++) {
        mill_made(events, EVENTS, r, seed);
        mr_error err;
        if (mill_round(m, events, EVENTS, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
}

#endif
