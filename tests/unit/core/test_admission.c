// SPDX-License-Identifier: Apache-2.0
// Items that are given rows once they have come often enough: the filter against an exact count,
// and the engine around it.
#include "core/ingest/admission.h"
#include "core/model/model.h"
#include "tests/unit/core/mill.h"

enum { IDS = 1000, PAGES_MAX = 128, LEAST = 3 };
static const int64_t start_ms = 1700000000000;

// ---- the filter

typedef struct page {
    uint8_t bytes[MR_ADMISSION_PAGE_BYTES];
    uint32_t size;
    mr_hash128 hash;
} page;

typedef struct kept { // a filter and what is stored of it
    mr_admission filter;
    void *memory;
    page pages[PAGES_MAX];
    uint32_t puts;
} kept;

static uint64_t key_of(uint32_t number)
{
    char name[16];
    snprintf(name, sizeof name, "id%u", number);
    return mr_item_key(mr_bytes_text(name));
}

static void open_filter(kept *k, uint32_t ids)
{
    mr_arena arena;
    memset(k, 0, sizeof *k);
    k->memory = aligned_alloc(64, mr_admission_bytes(ids));
    memset(k->memory, 0, mr_admission_bytes(ids));
    mr_arena_init(&arena, k->memory, mr_admission_bytes(ids));
    mr_admission_init(&k->filter, ids, &arena);
    assert_int_equal(arena.used, arena.size);
}

static void put(void *context, uint64_t number, mr_bytes payload, mr_hash128 *hash)
{
    kept *k = context;
    assert_true(number < PAGES_MAX);
    page *p = &k->pages[number];
    assert_memory_equal(hash, &p->hash, sizeof *hash);
    p->size = payload.size;
    if (payload.size > 0)
        memcpy(p->bytes, payload.data, payload.size);
    p->hash = payload.size > 0 ? mr_hash128_of(payload.data, payload.size, 0) : (mr_hash128){0, 0};
    *hash = p->hash;
    k->puts++;
}

// What is asked for is given: an id that has come as often, with no more others between than are
// remembered, is never turned away.
static void who_came_often_enough_is_always_admitted(void **state)
{
    (void)state;
    enum { NUMBERS = 6000, EVENTS = 200000 };
    static kept k;
    static struct {
        uint32_t count;
        uint64_t turn;
    } exact[NUMBERS];
    for (uint32_t least = 1; least <= MR_ADMISSION_MAX; least += 2) {
        uint32_t early = 0, right = 0, turned_away = 0;
        memset(exact, 0, sizeof exact);
        open_filter(&k, IDS);
        mr_rng rng = mr_rng_make(least, 0, 0, 0, MR_PURPOSE_SIM);
        for (uint32_t e = 0; e < EVENTS; e++) {
            const uint32_t n = mr_rng_below(&rng, 1 + mr_rng_below(&rng, NUMBERS)); // some more
            const uint64_t turn = k.filter.turn;
            if (turn - exact[n].turn >= MR_ADMISSION_SPLITS)
                exact[n].count = 0;
            exact[n].count++;
            exact[n].turn = turn;
            const bool admitted = mr_admission_count(&k.filter, key_of(n), least);
            assert_true(admitted || exact[n].count < least);
            early += admitted && exact[n].count < least;
            right += admitted && exact[n].count >= least;
            turned_away += !admitted;
        }
        print_message("least %2u: admitted %u, too early %u, turned away %u, turns %llu\n", least,
                      right, early, turned_away, (unsigned long long)k.filter.turn);
        assert_true(k.filter.turn > 20);
        assert_true(early * 20 <= early + turned_away); // below 5 %
        free(k.memory);
    }
}

static void ids_that_come_once_are_turned_away(void **state)
{
    (void)state;
    static kept k;
    static const uint32_t ids[] = {IDS, 20000, 65536};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t admitted = 0;
        open_filter(&k, ids[i]);
        for (uint32_t n = 0; n < 4 * ids[i]; n++)
            admitted += mr_admission_count(&k.filter, key_of(n), 2);
        print_message("%u ids: %u of %u that came once were let through\n", ids[i], admitted,
                      4 * ids[i]);
        assert_true(admitted < 4 * ids[i] / 25);
        free(k.memory);
    }
}

static void it_forgets_who_does_not_come_back_and_nobody_else(void **state)
{
    (void)state;
    static kept k;
    uint32_t again = 0, steady = 0;
    open_filter(&k, IDS);
    for (uint32_t n = 0; n < 100; n++)
        (void)mr_admission_count(&k.filter, key_of(n), 2);
    for (uint32_t n = 0; n < 100; n++) // these keep coming
        (void)mr_admission_count(&k.filter, key_of(100 + n), 2);
    for (uint32_t n = 0; n < 3 * IDS; n++) {
        (void)mr_admission_count(&k.filter, key_of(1000 + n), 2);
        if (n % 5 == 0)
            (void)mr_admission_count(&k.filter, key_of(100 + n / 5 % 100), 2);
    }
    for (uint32_t n = 0; n < 100; n++) {
        again += mr_admission_count(&k.filter, key_of(n), 2);
        steady += mr_admission_count(&k.filter, key_of(100 + n), 2);
    }
    assert_true(again < 8);
    assert_int_equal(steady, 100);
    free(k.memory);
}

static void pages_bring_back_the_filter_to_the_bit(void **state)
{
    (void)state;
    static kept a, b;
    mr_error err;
    open_filter(&a, IDS);
    mr_rng rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
    for (uint32_t commit = 0; commit < 60; commit++) {
        for (uint32_t e = 0; e < 60; e++)
            (void)mr_admission_count(&a.filter, key_of(mr_rng_below(&rng, 4000)), LEAST);
        const uint32_t dirty = a.filter.dirty_count;
        a.puts = 0;
        mr_admission_put(&a.filter, put, &a);
        assert_int_equal(a.puts, dirty);
        assert_int_equal(a.filter.dirty_count, 0);
        assert_true(dirty <= 60 + a.filter.pages_each);
        open_filter(&b, IDS);
        for (uint32_t p = mr_admission_pages(&a.filter); p-- > 0;)
            if (a.pages[p].size > 0)
                assert_int_equal(mr_admission_load(&b.filter, p,
                                                   mr_bytes_of(a.pages[p].bytes, a.pages[p].size),
                                                   a.pages[p].hash, &err),
                                 MR_OK);
        b.filter.turn = a.filter.turn;
        mr_admission_loaded(&b.filter);
        assert_int_equal(b.filter.used, a.filter.used);
        assert_memory_equal(a.memory, b.memory, mr_admission_bytes(IDS));
        free(b.memory);
    }
    assert_true(a.filter.turn > 2 * MR_ADMISSION_SPLITS);
    mr_admission_clear(&a.filter);
    for (size_t i = 0; i < mr_admission_bytes(IDS); i++)
        assert_int_equal(((const uint8_t *)a.memory)[i], 0);
    free(a.memory);
}

static void foreign_pages_are_refused(void **state)
{
    (void)state;
    static kept k;
    mr_error err;
    uint8_t bytes[MR_ADMISSION_PAGE_BYTES + 1] = {1};
    const mr_hash128 hash = {1, 2};
    open_filter(&k, IDS);
    const uint32_t each = k.filter.pages_each;
    const mr_bytes good = mr_bytes_of(bytes, MR_ADMISSION_PAGE_BYTES);
    memcpy(bytes + 4, &each, 4);
    memset(bytes + 8, 0xff, MR_ADMISSION_PAGE_BYTES - 8);
    assert_int_equal(mr_admission_load(&k.filter, 0, good, hash, &err), MR_OK);
    for (uint32_t size = 0; size <= sizeof bytes; size++)
        if (size != good.size)
            assert_int_equal(mr_admission_load(&k.filter, 0, mr_bytes_of(bytes, size), hash, &err),
                             MR_FATAL);
    assert_int_equal(mr_admission_load(&k.filter, 6ull * each, good, hash, &err), MR_FATAL);
    assert_int_equal(mr_admission_load(&k.filter, UINT64_MAX, good, hash, &err), MR_FATAL);
    bytes[9] = 1; // a signature that was never counted
    bytes[8] = 0x10;
    assert_int_equal(mr_admission_load(&k.filter, 0, good, hash, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "cell 0 counts nothing"));
    bytes[4]++;
    assert_int_equal(mr_admission_load(&k.filter, 0, good, hash, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "items.admission_ids"));
    bytes[4]--;
    bytes[0] = 2;
    assert_int_equal(mr_admission_load(&k.filter, 0, good, hash, &err), MR_FATAL);
    // Every cell is taken: whoever comes is let through, until the split is left behind.
    memset(bytes + 8, 0xff, MR_ADMISSION_PAGE_BYTES - 8);
    bytes[0] = 1;
    for (uint32_t p = 0; p < mr_admission_pages(&k.filter); p++)
        assert_int_equal(mr_admission_load(&k.filter, p, good, hash, &err), MR_OK);
    k.filter.turn = UINT64_MAX;
    mr_admission_loaded(&k.filter);
    for (uint32_t n = 0; n < 100; n++)
        assert_true(mr_admission_count(&k.filter, key_of(n), LEAST));
    free(k.memory);
}

// ---- the engine

static mr_engine_config asking(uint32_t least)
{
    mr_engine_config config = mill_defaults();
    config.item_admission = least;
    config.item_admission_ids = IDS;
    return config;
}

static void learn(mill *m, made_event *made)
{
    mr_error err;
    if (mill_round(m, made, 1, &err) != MR_OK)
        fail_msg("%s", err.text);
}

static bool click(mill *m, uint32_t user, uint32_t item, int64_t time_ms)
{
    made_event made;
    mill_act(&made, MR_EVENT_CLICK, user, item, time_ms);
    learn(m, &made);
    return made.arrival.learned;
}

static uint64_t pending(mill *m)
{
    mr_engine_metrics metrics;
    mr_engine_measure(m->engine, &metrics);
    return metrics.pending;
}

static uint32_t rows_of(const mill *m, char kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->row_count; i++)
        count += m->rows[i].key[0] == kind;
    return count;
}

static void the_third_event_is_the_first_that_is_learned(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = asking(LEAST);
    mill_open(&m, &config);
    assert_false(click(&m, 1, 5, start_ms));
    mill_close_commit(&m);
    assert_int_equal(rows_of(&m, 'u') + rows_of(&m, 'i') + m.list_count, 0);
    assert_false(click(&m, 1, 5, start_ms + 10000));
    // Other partitions count by themselves.
    uint32_t other = 2;
    while (mr_partition_of(mr_bytes_text(other == 2 ? "u2" : "u3"), 4) ==
           mr_partition_of(mr_bytes_text("u1"), 4))
        other++;
    assert_false(click(&m, other, 5, start_ms + 10000));
    assert_true(click(&m, 1, 5, start_ms + 20000));
    assert_true(click(&m, 1, 5, start_ms + 30000));
    assert_false(click(&m, other, 5, start_ms + 30000));
    assert_int_equal(pending(&m), 4);
    mill_close_commit(&m);
    assert_true(rows_of(&m, 'i') > 0);
    assert_int_equal(rows_of(&m, 'u'), 1);
    const uint32_t task = mr_partition_of(mr_bytes_text("u1"), 4);
    const mr_task_view view = mr_engine_task(m.engine, task);
    assert_int_equal(view.counters.read, 4);
    assert_int_equal(view.counters.learned, 2);
    assert_int_equal(view.counters.pending, 2);
    assert_int_equal(view.clock_ms, start_ms + 30000);
    mill_close(&m);
}

static void what_the_catalogue_has_is_learned_at_once(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = asking(LEAST);
    made_event made;
    mill_open(&m, &config);
    mill_act(&made, MR_EVENT_CATALOGUE, 9, 5, start_ms);
    learn(&m, &made);
    assert_true(click(&m, 1, 5, start_ms));
    assert_false(click(&m, 1, 6, start_ms));
    mill_close_commit(&m);
    mill_restart(&m, 3);
    assert_true(click(&m, 2, 5, start_ms));
    mill_act(&made, MR_EVENT_CATALOGUE, 9, 5, start_ms); // and is no more
    made.arrival.event.deleted = true;
    learn(&m, &made);
    assert_false(click(&m, 3, 5, start_ms));
    mill_close(&m);
}

static void a_duplicate_of_a_pending_event_counts_once(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = asking(2);
    made_event made;
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 4; i++) {
        mill_act(&made, MR_EVENT_CLICK, 1, 5, start_ms);
        made.arrival.event.event_id = mr_bytes_text(i == 3 ? "b" : "a");
        made.arrival.event.present |= 1u << MR_FIELD_event_id;
        learn(&m, &made);
        assert_int_equal(made.arrival.learned, i == 3);
        mill_close_commit(&m);
        mill_restart(&m, i);
    }
    const mr_task_counters c =
        mr_engine_task(m.engine, mr_partition_of(mr_bytes_text("u1"), 4)).counters;
    assert_int_equal(c.duplicate, 2);
    assert_int_equal(c.pending, 1);
    mill_close(&m);
}

// Lines are learned of one by one: those of items that are known.
static void of_several_items_those_that_are_admitted_are_learned(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = asking(2);
    made_event made;
    mill_open(&m, &config);
    assert_false(click(&m, 1, 7, start_ms));
    assert_true(click(&m, 1, 7, start_ms));
    for (uint32_t i = 0; i < 2; i++) {
        mill_act(&made, i == 0 ? MR_EVENT_IMPRESSION : MR_EVENT_PURCHASE, 1, 0, start_ms);
        for (uint32_t l = 0; l < 3; l++) {
            snprintf(made.line_items[l], sizeof made.line_items[l], "i%u", l == 1 ? 7 : 10 * i + l);
            made.lines[l] = (mr_line){mr_bytes_text(made.line_items[l]), 1, 1, 0.5};
        }
        made.arrival.event.lines = made.lines;
        made.arrival.event.line_count = 3;
        learn(&m, &made);
        assert_true(made.arrival.learned);
    }
    assert_int_equal(pending(&m), 1);
    mr_engine_metrics metrics;
    mr_engine_measure(m.engine, &metrics);
    assert_int_equal(metrics.items, 1);
    mill_close(&m);
}

// A model that looks at the waves: which signals came, and which of them open an impression.
static uint32_t waves, opened, shown;

static void watch(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                  uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)self, (void)view, (void)deltas, (void)arena;
    waves += signal_count > 0;
    for (uint32_t s = 0; s < signal_count; s++) {
        opened += signals[s].opens;
        shown += signals[s].kind == MR_SIGNAL_SHOWN;
        for (uint32_t other = 0; other < s; other++) // of a user one event in a wave
            assert_true(signals[s].user != signals[other].user ||
                        signals[s].index == signals[other].index);
    }
}

static uint32_t no_columns(const void *config)
{
    (void)config;
    return 0;
}

static const mr_model watching = {
    .state = {.name = "watching", .source = "watching", .observe = watch},
    .column_count = no_columns,
};

static void an_impression_opens_with_the_first_item_that_is_admitted(void **state)
{
    (void)state;
    static mill m;
    static const mr_model *const extra[] = {&watching};
    static made_event events[2];
    mr_error err;
    mr_engine_config config = asking(2);
    config.extra = extra;
    config.extra_count = 1;
    mill_open(&m, &config);
    for (uint32_t i = 0; i < 2; i++) {
        (void)click(&m, 1, 7, start_ms);
        (void)click(&m, 1, 8, start_ms);
    }
    waves = opened = shown = 0;
    mill_act(&events[0], MR_EVENT_CLICK, 1, 7, start_ms);
    mill_act(&events[1], MR_EVENT_IMPRESSION, 1, 0, start_ms);
    for (uint32_t l = 0; l < 4; l++) {
        snprintf(events[1].line_items[l], sizeof events[1].line_items[l], "i%u", 5 + l);
        events[1].lines[l] = (mr_line){mr_bytes_text(events[1].line_items[l]), 1, 0, 0.5};
    }
    events[1].arrival.event.lines = events[1].lines;
    events[1].arrival.event.line_count = 4;
    assert_int_equal(mill_round(&m, events, 2, &err), MR_OK);
    assert_int_equal(shown, 2);
    assert_int_equal(opened, 1);
    assert_int_equal(waves, 2);
    mill_close(&m);
}

// A tail of ids that come once or twice beside those that many want.
static void tail_traffic(mill *m, uint32_t first_round, uint32_t rounds)
{
    enum { EVENTS = 60 };
    static made_event events[EVENTS];
    mr_error err;
    for (uint32_t r = first_round; r < first_round + rounds; r++) {
        mill_made(events, EVENTS, r, 11);
        mr_rng rng = mr_rng_make(12, 0, r, 0, MR_PURPOSE_SIM);
        for (uint32_t i = 0; i < EVENTS; i++)
            if (mr_rng_below(&rng, 3) > 0) {
                snprintf(events[i].item, sizeof events[i].item, "i%u",
                         1000 + mr_rng_below(&rng, 20000));
                events[i].arrival.event.item = mr_bytes_text(events[i].item);
            }
        if (mill_round(m, events, EVENTS, &err) != MR_OK)
            fail_msg("%s", err.text);
    }
}

static mr_hash128 hash_after(const mr_engine_config *config, bool restart, mr_hash128 *lists)
{
    static mill m;
    mill_open(&m, config);
    for (uint32_t c = 0; c < 12; c++) {
        tail_traffic(&m, c * 12, 12);
        const size_t bound = mr_engine_open_bytes(m.engine, mr_engine_waiting(m.engine));
        m.row_bytes = 0;
        mill_close_commit(&m);
        assert_true(m.row_bytes <= bound + (16u << 10) * config->tasks);
        for (uint32_t t = 0; t < config->tasks; t++) {
            const mr_hash128 stored = mill_state_hash(&m, t);
            const mr_task_view view = mr_engine_task(m.engine, t);
            assert_memory_equal(&stored, &view.state_hash, sizeof stored);
        }
        if (restart)
            mill_restart(&m, c);
    }
    assert_true(rows_of(&m, 'p') > 0);
    assert_true(pending(&m) > 1000);
    *lists = m.lists;
    const mr_hash128 hash = mill_hash(&m);
    mill_close(&m);
    return hash;
}

static void run_backwards(void *context, void (*job)(void *arg, uint32_t index), void *arg,
                          uint32_t count)
{
    (void)context;
    while (count-- > 0)
        job(arg, count);
}

static void restarts_and_lanes_change_no_byte(void **state)
{
    (void)state;
    mr_hash128 lists, other_lists;
    mr_engine_config config = asking(LEAST);
    const mr_hash128 hash = hash_after(&config, false, &lists);
    for (uint32_t way = 0; way < 2; way++) {
        config.lanes.run = way == 0 ? NULL : run_backwards;
        const mr_hash128 other = hash_after(&config, way == 0, &other_lists);
        assert_memory_equal(&hash, &other, sizeof hash);
        assert_memory_equal(&lists, &other_lists, sizeof lists);
    }
}

// What is learned is what stands behind the first two events of an item in each partition.
static void the_tail_takes_no_rows(void **state)
{
    (void)state;
    static mill m;
    uint64_t items[2];
    for (uint32_t i = 0; i < 2; i++) {
        const mr_engine_config config = asking(i == 0 ? 1 : LEAST);
        mr_engine_metrics metrics;
        mill_open(&m, &config);
        tail_traffic(&m, 0, 24);
        mill_close_commit(&m);
        mr_engine_measure(m.engine, &metrics);
        items[i] = metrics.items;
        assert_int_equal(rows_of(&m, 'p') > 0, i == 1);
        mill_close(&m);
    }
    print_message("items with rows: %llu, %llu\n", (unsigned long long)items[0],
                  (unsigned long long)items[1]);
    assert_true(items[1] * 5 < items[0]);
}

// Switched off, the pages lie where they are, and count again when it is switched on.
static void who_is_pending_stays_so_while_it_is_off(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = asking(LEAST);
    mill_open(&m, &config);
    assert_false(click(&m, 1, 5, start_ms));
    assert_false(click(&m, 1, 5, start_ms));
    mill_close_commit(&m);
    m.config.item_admission = 0;
    mill_restart(&m, 1);
    assert_true(click(&m, 1, 6, start_ms));
    mill_close_commit(&m);
    assert_int_equal(rows_of(&m, 'p'), 1);
    m.config.item_admission = LEAST;
    mill_restart(&m, 2);
    assert_true(click(&m, 1, 5, start_ms));
    assert_int_equal(pending(&m), 2);
    mill_close(&m);
}

static void a_filter_of_another_size_stops_the_start(void **state)
{
    (void)state;
    static mill m;
    mr_error err;
    mr_status status = MR_OK;
    const mr_engine_config config = asking(LEAST);
    size_t bytes;
    mill_open(&m, &config);
    assert_false(click(&m, 1, 5, start_ms));
    mill_close_commit(&m);
    m.config.item_admission_ids = 5000;
    munmap(m.memory, m.memory_bytes);
    mill_start(&m, &m.config);
    for (uint32_t t = 0; t < m.config.tasks; t++)
        mr_engine_take(m.engine, t, m.seqs[t]);
    for (uint32_t i = 0; i < m.row_count && status == MR_OK; i++)
        status = mr_engine_load(
            m.engine, m.rows[i].task, mr_bytes_of(m.rows[i].key, m.rows[i].key_size),
            mr_bytes_of(m.rows[i].value, m.rows[i].value_size), m.rows[i].hash, &err);
    assert_int_equal(status, MR_FATAL);
    assert_non_null(strstr(err.text, "items.admission_ids"));
    m.config.item_admission = MR_ADMISSION_MAX + 1;
    assert_int_equal(mr_engine_bytes(&m.config, &bytes, &err), MR_FATAL);
    m.config.item_admission = 2;
    m.config.item_admission_ids = 10;
    assert_int_equal(mr_engine_bytes(&m.config, &bytes, &err), MR_FATAL);
    mill_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_often_enough_is_always_admitted),
        cmocka_unit_test(ids_that_come_once_are_turned_away),
        cmocka_unit_test(it_forgets_who_does_not_come_back_and_nobody_else),
        cmocka_unit_test(pages_bring_back_the_filter_to_the_bit),
        cmocka_unit_test(foreign_pages_are_refused),
        cmocka_unit_test(the_third_event_is_the_first_that_is_learned),
        cmocka_unit_test(what_the_catalogue_has_is_learned_at_once),
        cmocka_unit_test(a_duplicate_of_a_pending_event_counts_once),
        cmocka_unit_test(of_several_items_those_that_are_admitted_are_learned),
        cmocka_unit_test(an_impression_opens_with_the_first_item_that_is_admitted),
        cmocka_unit_test(restarts_and_lanes_change_no_byte),
        cmocka_unit_test(the_tail_takes_no_rows),
        cmocka_unit_test(who_is_pending_stays_so_while_it_is_off),
        cmocka_unit_test(a_filter_of_another_size_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
