// SPDX-License-Identifier: Apache-2.0
// The engine as a whole: what decides a byte, and what must not.
#include "core/model/loss.h"
#include "core/model/optimiser.h"
#include "tests/unit/core/mill.h"

static void assert_hash_equal(mr_hash128 a, mr_hash128 b)
{
    assert_int_equal(a.low, b.low);
    assert_int_equal(a.high, b.high);
}

static void run_commits(mill *m, uint32_t first, uint32_t commits)
{
    for (uint32_t c = first; c < first + commits; c++) {
        if (m->config.setting_count > 0)
            mill_catalogue(m, c * 20, 1700000000000 + c * 3500);
        mill_traffic(m, c * 5, 5, 7);
        mill_close_commit(m);
    }
}

static void the_same_epochs_give_the_same_bytes(void **state)
{
    (void)state;
    static mill a, b;
    const mr_engine_config config = mill_all_models();
    mill_open(&a, &config);
    mill_open(&b, &config);
    run_commits(&a, 0, 8);
    run_commits(&b, 0, 8);
    assert_true(a.list_count > 100);
    assert_hash_equal(a.lists, b.lists);
    assert_hash_equal(mill_hash(&a), mill_hash(&b));
    mill_close(&a);
    mill_close(&b);
}

static void run_backwards(void *context, void (*job)(void *arg, uint32_t index), void *arg,
                          uint32_t count)
{
    (void)context;
    for (uint32_t i = count; i-- > 0;)
        job(arg, i);
}

static void the_order_of_lanes_decides_nothing(void **state)
{
    (void)state;
    static mill a, b;
    mr_engine_config config = mill_all_models();
    mill_open(&a, &config);
    config.lanes.run = run_backwards;
    mill_open(&b, &config);
    run_commits(&a, 0, 8);
    run_commits(&b, 0, 8);
    assert_hash_equal(a.lists, b.lists);
    assert_hash_equal(mill_hash(&a), mill_hash(&b));
    mill_close(&a);
    mill_close(&b);
}

static void every_kernel_gives_the_same_bytes(void **state)
{
    (void)state;
    static mill a, b;
    const mr_vec *kernels[4];
    const uint32_t count = mr_vec_all(kernels);
    mr_engine_config config = mill_all_models();
    mill_open(&a, &config);
    run_commits(&a, 0, 4);
    for (uint32_t k = 0; k < count; k++) {
        config.vec = kernels[k];
        mill_open(&b, &config);
        run_commits(&b, 0, 4);
        assert_hash_equal(a.lists, b.lists);
        assert_hash_equal(mill_hash(&a), mill_hash(&b));
        mill_close(&b);
    }
    mill_close(&a);
}

static void what_is_derived_can_be_dropped_after_any_commit(void **state)
{
    (void)state;
    static mill a, b;
    const mr_engine_config config = mill_all_models();
    mill_open(&a, &config);
    mill_open(&b, &config);
    for (uint32_t c = 0; c < 12; c++) {
        run_commits(&a, c, 1);
        run_commits(&b, c, 1);
        if (c % 3 != 1)
            mill_restart(&b, c + 1);
        assert_hash_equal(a.lists, b.lists);
        assert_hash_equal(mill_hash(&a), mill_hash(&b));
    }
    mill_close(&a);
    mill_close(&b);
}

static void the_size_of_the_cache_decides_nothing(void **state)
{
    (void)state;
    static mill a, b;
    mr_engine_config config = mill_all_models();
    config.tasks = 1;
    config.lists_per_close_max = 30; // so that some wait who are not in memory
    mill_open(&a, &config);
    config.users_max = 90; // of 120
    mill_open(&b, &config);
    uint32_t waiting = 0;
    for (uint32_t c = 0; c < 30; c++) {
        mill_traffic(&a, c, 1, 7);
        mill_traffic(&b, c, 1, 7);
        mill_close_commit(&a);
        mill_close_commit(&b);
        assert_int_equal(mr_engine_waiting(a.engine), mr_engine_waiting(b.engine));
        waiting += mr_engine_waiting(b.engine);
    }
    assert_true(waiting > 300); // ten at a close
    assert_hash_equal(a.lists, b.lists);
    assert_hash_equal(mill_hash(&a), mill_hash(&b));
    mill_close(&a);
    mill_close(&b);
}

static void the_kept_hash_and_count_are_those_of_the_rows(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.items_max = 100; // so that items expire
    mill_open(&m, &config);
    run_commits(&m, 0, 10);
    for (uint32_t t = 0; t < config.tasks; t++) {
        const mr_task_view view = mr_engine_task(m.engine, t);
        uint64_t count = 0;
        for (uint32_t i = 0; i < m.row_count; i++)
            count += m.rows[i].task == t;
        assert_int_equal(view.row_count, count);
        assert_hash_equal(view.state_hash, mill_state_hash(&m, t));
    }
    mr_engine_metrics metrics;
    mr_engine_measure(m.engine, &metrics);
    assert_true(metrics.items_expired > 0);
    assert_true(metrics.items <= 100);
    mill_close(&m);
}

static double told_by(mill *m, const char *method, const char *name)
{
    mr_engine_metrics metrics;
    mr_engine_measure(m->engine, &metrics);
    for (uint32_t i = 0; i < metrics.measure_count; i++)
        if (strcmp(metrics.measures[i].method, method) == 0 &&
            strcmp(metrics.measures[i].name, name) == 0)
            return metrics.measures[i].value;
    return -1;
}

static void what_a_method_tells_of_itself_stands_in_the_metrics(void **state)
{
    (void)state;
    static mill m;
    static made_event shown;
    mr_error err = {0};
    mr_engine_config config = mill_defaults();
    mill_open(&m, &config);
    run_commits(&m, 0, 1); // no impression among them
    assert_true(told_by(&m, "diag_linucb", "activity_mode") == 1);
    mill_act(&shown, MR_EVENT_IMPRESSION, 1, 1, 1700000010000);
    shown.lines[0] = (mr_line){mr_bytes_text(shown.item), 1, 1, 0.5};
    shown.arrival.event.lines = shown.lines;
    shown.arrival.event.line_count = 1;
    shown.arrival.event.present |= 1u << MR_FIELD_lines;
    assert_int_equal(mill_round(&m, &shown, 1, &err), MR_OK);
    assert_int_equal(shown.arrival.cause, MR_CAUSE_NONE);
    assert_true(told_by(&m, "diag_linucb", "activity_mode") == 0);
    mill_close(&m);

    const char *const off[] = {"diag_linucb"};
    config.off = off;
    config.off_count = 1;
    mill_open(&m, &config);
    assert_true(told_by(&m, "diag_linucb", "activity_mode") == -1);
    mill_close(&m);
}

static uint64_t tick(void *context) // unevenly, so that no two models cost the same
{
    uint64_t *now = context;
    return *now += 10 + *now % 97;
}

static void a_watch_sees_every_model_and_decides_nothing(void **state)
{
    (void)state;
    static mill a, b;
    static mr_engine_metrics metrics;
    uint64_t now = 0;
    mr_engine_config config = mill_defaults();
    mill_open(&a, &config);
    config.watch = (mr_watch){&now, tick};
    mill_open(&b, &config);
    run_commits(&a, 0, 4);
    run_commits(&b, 0, 4);
    assert_hash_equal(a.lists, b.lists);
    assert_hash_equal(mill_hash(&a), mill_hash(&b));
    mr_engine_measure(a.engine, &metrics);
    assert_int_equal(metrics.rankings, 0);
    assert_int_equal(metrics.costs[metrics.column_count].learn_ns, 0);
    mr_engine_measure(b.engine, &metrics);
    assert_true(metrics.rankings >= metrics.lists_made && metrics.lists_made > 0);
    const mr_cost all = metrics.costs[metrics.column_count];
    uint64_t learn = 0, rank = 0;
    for (uint32_t c = 0; c < metrics.column_count; c++) {
        assert_true(metrics.costs[c].learn_ns > 0 && metrics.costs[c].rank_ns > 0);
        if (c > 0 && metrics.costs[c].learn_ns == metrics.costs[c - 1].learn_ns &&
            metrics.costs[c].rank_ns == metrics.costs[c - 1].rank_ns)
            continue; // another column of the same model
        learn += metrics.costs[c].learn_ns;
        rank += metrics.costs[c].rank_ns;
    }
    assert_true(all.learn_ns > learn); // the engine's own rows too
    assert_int_equal(all.rank_ns, rank);
    mill_close(&a);
    mill_close(&b);
}

static void expiry_leaves_what_a_restart_leaves(void **state)
{
    (void)state;
    static mill a, b;
    mr_engine_config config = mill_defaults();
    config.items_max = 100;
    config.item_expiry_ms = 20000;
    mill_open(&a, &config);
    mill_open(&b, &config);
    for (uint32_t c = 0; c < 12; c++) {
        run_commits(&a, c, 1);
        run_commits(&b, c, 1);
        mill_restart(&b, c + 1);
        assert_hash_equal(a.lists, b.lists);
        assert_hash_equal(mill_hash(&a), mill_hash(&b));
    }
    mill_close(&a);
    mill_close(&b);
}

static void readers_outside_are_told_of_changes_and_no_more_often_than_asked(void **state)
{
    (void)state;
    static mill never, always, seldom;
    static mr_engine_metrics metrics;
    mr_engine_config config = mill_defaults();
    mill_open(&never, &config);
    config.item_told_ms = 1;
    mill_open(&always, &config);
    config.item_told_ms = 86400000;
    mill_open(&seldom, &config);
    run_commits(&never, 0, 8);
    run_commits(&always, 0, 8);
    run_commits(&seldom, 0, 8);
    mr_engine_measure(always.engine, &metrics);
    assert_int_equal(never.told, 0);
    assert_int_equal(seldom.told, metrics.items); // each once, when it came
    assert_true(always.told > 2 * seldom.told);
    assert_int_equal(always.told_badly + seldom.told_badly, 0);
    assert_hash_equal(mill_hash(&never), mill_hash(&always)); // and nothing else is different
    assert_hash_equal(never.lists, seldom.lists);
    mill_close(&never);
    mill_close(&always);
    mill_close(&seldom);
}

static void readers_outside_are_told_that_an_item_is_gone(void **state)
{
    (void)state;
    static mill m;
    static mr_engine_metrics metrics;
    mr_engine_config config = mill_defaults();
    config.items_max = 100;
    config.item_expiry_ms = 20000;
    config.item_told_ms = 1;
    mill_open(&m, &config);
    run_commits(&m, 0, 12);
    mr_engine_measure(m.engine, &metrics);
    assert_true(metrics.items_expired > 0);
    assert_int_equal(m.told_gone, metrics.items_expired);
    assert_int_equal(m.told_badly, 0);
    mill_close(&m);
}

static void versions_rise_and_propensities_are_probabilities(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = mill_defaults();
    mill_open(&m, &config);
    run_commits(&m, 0, 10);
    assert_false(m.versions_fell);
    assert_false(m.bad_q);
    assert_true(m.last.version >> 20 <= 10);
    mill_close(&m);
}

static void a_duplicate_is_learned_once_also_after_a_restart(void **state)
{
    (void)state;
    static mill m;
    const mr_engine_config config = mill_defaults();
    mill_open(&m, &config);
    mill_traffic(&m, 0, 2, 7);
    mill_close_commit(&m);
    const mr_hash128 before = mill_hash(&m);
    mill_restart(&m, 3);
    mill_traffic(&m, 0, 2, 7); // every event again
    uint64_t learned = 0, duplicate = 0, read = 0;
    for (uint32_t t = 0; t < config.tasks; t++) {
        const mr_task_counters c = mr_engine_task(m.engine, t).counters;
        learned += c.learned;
        duplicate += c.duplicate;
        read += c.read;
    }
    assert_int_equal(learned, 96);
    assert_int_equal(duplicate, 96);
    assert_int_equal(read, 192);
    (void)before;
    mill_close(&m);
}

static void late_events_are_counted_and_dropped_only_by_choice(void **state)
{
    (void)state;
    for (int drop = 0; drop < 2; drop++) {
        static mill m;
        mr_engine_config config = mill_defaults();
        config.tasks = 1;
        config.late_drop = drop;
        config.late_window_ms = 1000;
        mill_open(&m, &config);
        made_event events[3];
        mr_error err;
        mill_act(&events[0], MR_EVENT_CLICK, 1, 1, 1700000010000);
        mill_act(&events[1], MR_EVENT_CLICK, 2, 1, 1700000009000); // exactly at the window's edge
        mill_act(&events[2], MR_EVENT_CLICK, 3, 1, 1700000008999); // one beyond it
        for (int i = 0; i < 3; i++)
            assert_int_equal(mill_round(&m, &events[i], 1, &err), MR_OK);
        const mr_task_view view = mr_engine_task(m.engine, 0);
        assert_int_equal(view.counters.late, 1);
        assert_int_equal(view.counters.late_dropped, drop);
        assert_int_equal(view.counters.learned, 3 - drop);
        assert_int_equal(view.clock_ms, 1700000010000);
        mill_close(&m);
    }
}

static void a_refused_event_is_named_and_leaves_no_row(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    mill_open(&m, &config);
    made_event events[4];
    mr_error err;
    for (uint32_t i = 0; i < 4; i++)
        mill_act(&events[i], MR_EVENT_CLICK, i, i, 1700000000000);
    events[0].arrival.event.item = (mr_bytes){NULL, 0};
    events[1].arrival.event.time_ms = 5;       // 1970
    events[2].arrival.event.time_ms += 360000; // ahead of its record
    assert_int_equal(mill_round(&m, events, 4, &err), MR_OK);
    assert_int_equal(events[0].arrival.cause, MR_CAUSE_no_item);
    assert_int_equal(events[1].arrival.cause, MR_CAUSE_bad_time);
    assert_int_equal(events[2].arrival.cause, MR_CAUSE_bad_time);
    assert_int_equal(events[3].arrival.cause, MR_CAUSE_NONE);
    assert_true(strlen(events[0].arrival.reason) > 10);
    mill_close_commit(&m);
    const mr_task_counters c = mr_engine_task(m.engine, 0).counters;
    assert_int_equal(c.read, 4);
    assert_int_equal(c.refused, 3);
    assert_int_equal(c.learned, 1);
    uint32_t users = 0;
    for (uint32_t i = 0; i < m.row_count; i++)
        users += m.rows[i].key[0] == 'u';
    assert_int_equal(users, 1);
    mill_close(&m);
}

static void a_full_cache_asks_for_a_close_and_has_learned_nothing(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.users_max = 8;
    config.epoch_events_max = 6;
    config.list_interval_ms = 0;
    mill_open(&m, &config);
    made_event events[6];
    mr_error err;
    for (uint32_t i = 0; i < 6; i++)
        mill_act(&events[i], MR_EVENT_CLICK, i, i, 1700000000000);
    assert_int_equal(mill_round(&m, events, 6, &err), MR_OK);
    for (uint32_t i = 0; i < 6; i++)
        mill_act(&events[i], MR_EVENT_CLICK, 10 + i, i, 1700000001000);
    assert_int_equal(mill_round(&m, events, 6, &err), MR_RETRY);
    assert_int_equal(mr_engine_task(m.engine, 0).counters.read, 6);
    mill_close_commit(&m);
    assert_int_equal(mill_round(&m, events, 6, &err), MR_OK);
    assert_int_equal(mr_engine_task(m.engine, 0).counters.learned, 12);
    mill_close(&m);
}

static void users_who_wait_for_lists_leave_memory_once_they_have_them(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.users_max = 20;
    config.epoch_events_max = 10;
    config.lists_per_close_max = 4;
    made_event events[10];
    mr_error err;
    // Where no event moves the clock, no interval ends: closes behind no epoch make lists all the
    // same, or nothing more could be learned.
    for (uint32_t still = 0; still < 2; still++) {
        config.list_interval_ms = still ? 1000 : 0;
        mill_open(&m, &config);
        uint32_t closes = 0;
        for (uint32_t round = 0; round < 12; round++) {
            const int64_t time_ms = 1700000000000 + (still ? 0 : round * 1000);
            for (uint32_t i = 0; i < 10; i++)
                mill_act(&events[i], MR_EVENT_CLICK, still ? (7 * round + i) % 60 : 10 * round + i,
                         i, time_ms);
            for (bool first = true; mill_round(&m, events, 10, &err) == MR_RETRY; first = false) {
                const uint32_t waiting = mr_engine_waiting(m.engine);
                mill_close_commit(&m);
                closes++;
                assert_true(first || mr_engine_waiting(m.engine) < waiting); // or no end
            }
        }
        assert_int_equal(mr_engine_task(m.engine, 0).counters.learned, 120);
        assert_true(closes > 10 && m.list_count >= 50);
        // Whoever takes the task knows who waits.
        mill_close_commit(&m);
        const uint32_t waiting = mr_engine_waiting(m.engine);
        assert_true(waiting > 0);
        mill_restart(&m, 5);
        assert_int_equal(mr_engine_waiting(m.engine), waiting);
        mill_close(&m);
    }
}

static void what_a_close_hands_out_is_bounded_before_it(void **state)
{
    (void)state;
    enum { TASK_BYTES = 16 << 10 }; // of a task's own row and its window
    static mill m;
    mr_engine_config config = mill_defaults();
    config.lists_per_close_max = 10; // so that users wait whose rows have not changed since
    mill_open(&m, &config);
    for (uint32_t c = 0; c < 12; c++) {
        mill_traffic(&m, c * 10, (c + 1) % 3 * 5, 7);
        const uint32_t waiting = mr_engine_waiting(m.engine), most = 10 * config.tasks;
        const size_t bound = mr_engine_open_bytes(m.engine, waiting < most ? waiting : most);
        m.row_bytes = 0;
        mill_close_commit(&m);
        assert_in_range(m.row_bytes, 1, bound + TASK_BYTES * config.tasks);
        assert_true(bound < 4 * m.row_bytes + TASK_BYTES * config.tasks);
        assert_true(bound <= mr_engine_most_bytes(m.engine, (c + 1) % 3 * 5 * 48, most));
        assert_int_equal(mr_engine_open_bytes(m.engine, 0), 0);
    }
    mill_close(&m);
}

// A smaller memory than before, and more waiting users of one task than are its share.
static void a_backlog_from_a_larger_memory_drains(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.epoch_events_max = 10;
    config.users_max = 400;
    config.list_interval_ms = 1000000;
    config.lists_per_close_max = 7;
    mill_open(&m, &config);
    made_event events[10];
    mr_error err;
    for (uint32_t round = 0; round < 16; round++) { // first lists, then everybody waits
        for (uint32_t i = 0; i < 10; i++)
            mill_act(&events[i], MR_EVENT_CLICK, (10 * round + i) % 80, i, 1700000000000 + round);
        assert_int_equal(mill_round(&m, events, 10, &err), MR_OK);
        mill_close_commit(&m);
    }
    const uint32_t waiting = mr_engine_waiting(m.engine);
    assert_true(waiting > 40);
    m.config.users_max = waiting;
    mill_restart(&m, 1);
    for (uint32_t i = 0; i < 10; i++)
        mill_act(&events[i], MR_EVENT_CLICK, 200 + i, i, 1700000000020);
    uint32_t closes = 0;
    for (; mill_round(&m, events, 10, &err) == MR_RETRY; closes++) {
        assert_true(closes < 40);
        mill_close_commit(&m);
    }
    assert_true(closes > 0);
    mill_close(&m);
}

// Users who wait, and are not in memory: at whichever of their rows a read fails, the close says so
// and hands out no row that it has not read.
static void a_row_that_cannot_be_read_ends_the_close(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.lists_per_close_max = 2;
    for (uint32_t fails_at = 1; fails_at <= 2; fails_at++) {
        mill_open(&m, &config);
        made_event events[10];
        mr_error err;
        for (uint32_t i = 0; i < 10; i++)
            mill_act(&events[i], MR_EVENT_CLICK, i, i, 1700000000000);
        assert_int_equal(mill_round(&m, events, 10, &err), MR_OK);
        mill_close_commit(&m);
        mill_restart(&m, 1);
        assert_int_equal(mr_engine_waiting(m.engine), 8);
        const mr_hash128 before = mill_hash(&m);
        const mr_close_sink sink = {.context = &m, .row = mill_row, .list = mill_list};
        m.failing_read = fails_at;
        assert_int_equal(mr_engine_close(m.engine, m.seqs, &sink, &err), MR_FATAL);
        assert_non_null(strstr(err.text, "the disk is busy"));
        assert_hash_equal(before, mill_hash(&m));
        mill_close(&m);
    }
}

static uint64_t count_rows(const mill *m, char kind)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < m->row_count; i++)
        count += m->rows[i].key[0] == (uint8_t)kind;
    return count;
}

static void counts_do_not_depend_on_how_epochs_are_cut(void **state)
{
    (void)state;
    static mill a, b;
    mr_engine_config config = mill_defaults();
    static const char *const off[] = {"diag_linucb", "multi_interest", "embedding", "covisit"};
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.lists = false;
    mill_open(&a, &config);
    mill_open(&b, &config);
    made_event events[40];
    mr_error err;
    for (uint32_t i = 0; i < 40; i++)
        mill_act(&events[i], MR_EVENT_CLICK, i % 7, i % 5, 1700000000000 + i * 1000000);
    assert_int_equal(mill_round(&a, events, 40, &err), MR_OK);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(mill_round(&b, &events[i], 1, &err), MR_OK);
    mill_close_commit(&a);
    mill_close_commit(&b);
    assert_true(count_rows(&a, 'i') >= 10); // five items: what they are, and their counts
    uint32_t compared = 0;
    for (uint32_t i = 0; i < a.row_count; i++) {
        const stored_row *row = &a.rows[i];
        if (row->key[0] != 'i' || row->value_size != 8 + 6 * 24) // the counts of six half-lives
            continue;
        compared++;
        const stored_row *other = mill_find(&b, row->task, mr_bytes_of(row->key, row->key_size));
        assert_non_null(other);
        assert_int_equal(row->value_size, other->value_size);
        assert_memory_equal(row->value, other->value, row->value_size);
    }
    assert_int_equal(compared, 5);
    mill_close(&a);
    mill_close(&b);
}

static void taking_a_model_out_leaves_the_rows_of_the_others(void **state)
{
    (void)state;
    static mill a, b;
    mr_engine_config config = mill_defaults();
    config.lists = false;
    mill_open(&a, &config);
    static const char *const off[] = {"covisit"};
    config.off = off;
    config.off_count = 1;
    mill_open(&b, &config);
    mill_traffic(&a, 0, 10, 7);
    mill_traffic(&b, 0, 10, 7);
    mill_close_commit(&a);
    mill_close_commit(&b);
    uint32_t same = 0;
    for (uint32_t i = 0; i < b.row_count; i++) {
        const stored_row *row = &b.rows[i];
        const stored_row *other = mill_find(&a, row->task, mr_bytes_of(row->key, row->key_size));
        if (row->key[0] == 'n') // the blend's rows depend on what is blended
            continue;
        assert_non_null(other);
        assert_memory_equal(row->value, other->value, row->value_size);
        same++;
    }
    assert_true(same > 200);
    mill_close(&a);
    mill_close(&b);
}

static void a_missing_port_and_a_wrong_parameter_are_refused_by_name(void **state)
{
    (void)state;
    mr_engine_config config = mill_defaults();
    mr_error err;
    size_t bytes;
    static const char *const off[] = {"embedding"};
    config.off = off;
    config.off_count = 1;
    assert_int_equal(mr_engine_bytes(&config, &bytes, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "'diag_linucb' needs 'embedding'"));
    config.off_count = 0;
    const mr_setting wrong[] = {{"embedding", "dim", 1000}};
    config.settings = wrong;
    config.setting_count = 1;
    assert_int_equal(mr_engine_bytes(&config, &bytes, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "embedding.dim is 1000: want 8 to 256"));
}

static void start_with_another(const mr_setting *other)
{
    static mill m;
    mr_engine_config config = mill_defaults();
    mill_open(&m, &config);
    mill_traffic(&m, 0, 2, 7);
    mill_close_commit(&m);
    m.config.settings = other;
    m.config.setting_count = 1;
    munmap(m.memory, m.memory_bytes);
    mill_start(&m, &m.config);
    for (uint32_t t = 0; t < m.config.tasks; t++)
        mr_engine_take(m.engine, t, m.seqs[t]);
    mr_error err;
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < m.row_count && status == MR_OK; i++)
        status = mr_engine_load(
            m.engine, m.rows[i].task, mr_bytes_of(m.rows[i].key, m.rows[i].key_size),
            mr_bytes_of(m.rows[i].value, m.rows[i].value_size), m.rows[i].hash, &err);
    assert_int_equal(status, MR_FATAL);
    assert_non_null(strstr(err.text, "set the parameters"));
    mill_close(&m);
}

static void rows_that_mean_something_else_stop_the_start(void **state)
{
    (void)state;
    static const mr_setting others[] = {
        {"embedding", "dim", 32},
        {"embedding", "optimiser", MR_OPTIMISER_ADAM},
        {"embedding", "optimiser", MR_OPTIMISER_SGD}, // of the same size
        {"embedding", "loss", MR_LOSS_METRIC},
        {"embedding", "loss", MR_LOSS_CHAIN},
    };
    for (uint32_t i = 0; i < sizeof others / sizeof *others; i++)
        start_with_another(&others[i]);
}

static void lists_follow_the_taste_of_their_user(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    config.explore_bp = 0;
    mill_open(&m, &config);
    run_commits(&m, 0, 20);
    const uint32_t taste = (uint32_t)atoi((const char *)m.last.user.data + 1) % 3;
    uint32_t mine = 0;
    for (uint32_t i = 0; i < m.last.entry_count; i++)
        mine += (uint32_t)atoi((const char *)m.last.entries[i].item.data + 1) / 100 == taste;
    assert_int_equal(m.last.entry_count, 10);
    assert_true(mine >= 8);
    mill_close(&m);
}

static void each_list_that_is_due_is_handed_out_or_told_to_be_as_it_was(void **state)
{
    (void)state;
    static mill m;
    mr_engine_config config = mill_defaults();
    mr_engine_metrics metrics;
    config.list_k = 1; // the best item is often the same
    config.explore_bp = 0;
    config.seen = MR_SEEN_KEEP;
    mill_open(&m, &config);
    run_commits(&m, 0, 20);
    mr_engine_measure(m.engine, &metrics);
    assert_true(m.unchanged_count > 100 && m.list_count > 100);
    assert_int_equal(metrics.lists_published, m.list_count);
    assert_int_equal(metrics.lists_made, m.list_count + m.unchanged_count);
    mill_close(&m);
}

// Probes of 4,096 acts of one task, in epochs of so many events.
static uint64_t probes_of(uint32_t events)
{
    enum { ACTS = 4096 };
    static made_event made[256];
    static mill m;
    mr_engine_metrics metrics;
    mr_error err;
    mr_engine_config config = mill_defaults();
    config.tasks = 1;
    config.seen = MR_SEEN_KEEP;
    config.epoch_events_max = 256;
    mill_open(&m, &config);
    for (uint32_t round = 0; round < ACTS / events; round++) {
        mill_made(made, events, round, 5);
        assert_int_equal(mill_round(&m, made, events, &err), MR_OK);
    }
    mill_close_commit(&m);
    mr_engine_measure(m.engine, &metrics);
    mill_close(&m);
    return metrics.probes;
}

static void probes_get_fewer_and_fewest_in_long_epochs(void **state)
{
    (void)state;
    // An act in n / 256, n counted to the end of its epoch: of 512 all, then one in 2; of epochs of
    // 256 the k-th has one in k, and from the eighth on one in 8.
    const double many = 480 + 3616 / 2.,
                 few = 256 * (1 + 1 / 2. + 1 / 3. + 1 / 4. + 1 / 5. + 1 / 6. + 1 / 7. + 9 / 8.);
    const double short_ones = (double)probes_of(32), long_ones = (double)probes_of(256);
    assert_true(short_ones > 0.95 * many && short_ones < 1.05 * many);
    assert_true(long_ones > 0.95 * few && long_ones < 1.05 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_epochs_give_the_same_bytes),
        cmocka_unit_test(the_order_of_lanes_decides_nothing),
        cmocka_unit_test(every_kernel_gives_the_same_bytes),
        cmocka_unit_test(what_is_derived_can_be_dropped_after_any_commit),
        cmocka_unit_test(the_size_of_the_cache_decides_nothing),
        cmocka_unit_test(the_kept_hash_and_count_are_those_of_the_rows),
        cmocka_unit_test(what_a_method_tells_of_itself_stands_in_the_metrics),
        cmocka_unit_test(a_watch_sees_every_model_and_decides_nothing),
        cmocka_unit_test(expiry_leaves_what_a_restart_leaves),
        cmocka_unit_test(readers_outside_are_told_of_changes_and_no_more_often_than_asked),
        cmocka_unit_test(readers_outside_are_told_that_an_item_is_gone),
        cmocka_unit_test(versions_rise_and_propensities_are_probabilities),
        cmocka_unit_test(a_duplicate_is_learned_once_also_after_a_restart),
        cmocka_unit_test(late_events_are_counted_and_dropped_only_by_choice),
        cmocka_unit_test(a_refused_event_is_named_and_leaves_no_row),
        cmocka_unit_test(a_full_cache_asks_for_a_close_and_has_learned_nothing),
        cmocka_unit_test(users_who_wait_for_lists_leave_memory_once_they_have_them),
        cmocka_unit_test(a_backlog_from_a_larger_memory_drains),
        cmocka_unit_test(a_row_that_cannot_be_read_ends_the_close),
        cmocka_unit_test(what_a_close_hands_out_is_bounded_before_it),
        cmocka_unit_test(counts_do_not_depend_on_how_epochs_are_cut),
        cmocka_unit_test(taking_a_model_out_leaves_the_rows_of_the_others),
        cmocka_unit_test(a_missing_port_and_a_wrong_parameter_are_refused_by_name),
        cmocka_unit_test(rows_that_mean_something_else_stop_the_start),
        cmocka_unit_test(lists_follow_the_taste_of_their_user),
        cmocka_unit_test(probes_get_fewer_and_fewest_in_long_epochs),
        cmocka_unit_test(each_list_that_is_due_is_handed_out_or_told_to_be_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
