// SPDX-License-Identifier: Apache-2.0
// Several workers: what they share comes to the same as what one worker does alone; tasks that move
// and engines that restart change no byte; a view is what owners wrote.
#include <math.h>
#include <pthread.h>

#include "core/model/loss.h"
#include "core/model/optimiser.h"
#include "core/rows.h"
#include "tests/unit/core/fleet.h"

// The loss that looks at how many acts there are on all items.
static const mr_setting softmax[] = {{"embedding", "loss", MR_LOSS_SOFTMAX}};

static void run_commits(fleet *f, uint32_t first, uint32_t commits)
{
    for (uint32_t c = first; c < first + commits; c++) {
        fleet_traffic(f, c * 5, 5, 7);
        fleet_commit(f);
    }
}

// ---- one worker and several

static bool is_row_of(const stored_row *row, const char *family)
{
    return row->key[0] == 'i' && (row->key[1] << 8 | row->key[2]) == code_of(family);
}

typedef struct item_row { // as mr_item begins (core/rows.h)
    uint64_t key;
    int64_t born_ms, last_ms;
    uint32_t events;
} item_row;

typedef struct pair_table { // as the rows of covisit and ease
    int64_t total, era;
    uint32_t count, reserved;
    struct {
        uint64_t key;
        int64_t count;
    } cells[64];
} pair_table;

static int64_t count_of_pair(const pair_table *table, uint64_t key)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (table->cells[i].key == key)
            return table->cells[i].count;
    return -1;
}

static void assert_same_item(const stored_row *row, const stored_row *other)
{
    if (is_row_of(row, "items.item")) { // the place of the first event decides when it was born
        item_row a, b;
        memcpy(&a, row->value + 8, sizeof a);
        memcpy(&b, other->value + 8, sizeof b);
        assert_int_equal(a.events, b.events);
        if (a.events > 0)
            assert_int_equal(a.last_ms, b.last_ms);
        assert_int_equal(row->value_size, other->value_size);
        assert_memory_equal(row->value + 8 + sizeof a, other->value + 8 + sizeof b,
                            row->value_size - 8 - sizeof a);
    } else if (is_row_of(row, "covisit.neighbours") ||
               is_row_of(row, "ease.gram")) { // cells stand in the order of their coming
        pair_table a = {0}, b = {0};
        memcpy(&a, row->value + 8, row->value_size - 8);
        memcpy(&b, other->value + 8, other->value_size - 8);
        assert_int_equal(a.total, b.total);
        assert_int_equal(a.count, b.count);
        for (uint32_t i = 0; i < a.count; i++)
            assert_int_equal(a.cells[i].count, count_of_pair(&b, a.cells[i].key));
    } else {
        assert_int_equal(row->value_size, other->value_size);
        assert_memory_equal(row->value, other->value, row->value_size);
    }
}

static uint32_t assert_same_items(const mill *a, mill *b)
{
    uint32_t compared = 0, others = 0;
    for (uint32_t i = 0; i < a->row_count; i++) {
        const stored_row *row = &a->rows[i];
        if (row->key[0] != 'i')
            continue;
        const stored_row *other = mill_find(b, row->task, mr_bytes_of(row->key, row->key_size));
        assert_non_null(other);
        assert_same_item(row, other);
        compared++;
    }
    for (uint32_t i = 0; i < b->row_count; i++)
        others += b->rows[i].key[0] == 'i';
    assert_int_equal(compared, others);
    return compared;
}

static void the_sum_of_several_workers_is_that_of_one(void **state)
{
    (void)state;
    static const char *const owners[] = {"aabb", "abab", "abca", "abca"};
    for (uint32_t w = 0; w < 4; w++) {
        static mill alone;
        static fleet shared;
        mr_engine_config config = integer_defaults();
        config.items_max = 400;
        config.item_admission = w == 3 ? 3 : 1;
        fleet_open(&shared, &config, w < 2 ? 2 : 3, owners[w]);
        config.exchange_bytes = 0;
        mill_open(&alone, &config);
        for (uint32_t c = 0; c < 8; c++) {
            mill_traffic(&alone, c * 5, 5, 7);
            mill_close_commit(&alone);
        }
        run_commits(&shared, 0, 8);
        fleet_settle(&shared);
        assert_true(shared.record_count > 20);
        assert_true(assert_same_items(&alone, &shared.store) > 300);
        assert_int_equal(assert_same_filters(&alone, &shared.store) > 0, w == 3);
        mill_close(&alone);
        fleet_close(&shared);
    }
}

static void an_impression_and_a_catalogue_reach_the_owner(void **state)
{
    (void)state;
    static mill alone;
    static fleet shared;
    mr_engine_config config = integer_defaults();
    fleet_open(&shared, &config, 2, "abab");
    config.exchange_bytes = 0;
    mill_open(&alone, &config);
    static made_event events[40];
    for (uint32_t i = 0; i < 40; i++) {
        mill_act(&events[i], i % 2 == 0 ? MR_EVENT_IMPRESSION : MR_EVENT_CATALOGUE, i, 0,
                 1700000000000 + i);
        mr_event *event = &events[i].arrival.event;
        if (i % 2 == 0) {
            for (uint32_t l = 0; l < 3; l++) {
                snprintf(events[i].line_items[l], sizeof events[i].line_items[l], "s%u", i + l);
                events[i].lines[l] =
                    (mr_line){.item = mr_bytes_text(events[i].line_items[l]), .quantity = 1};
            }
            event->lines = events[i].lines;
            event->line_count = 3;
            event->present |= 1u << MR_FIELD_lines;
        } else { // each item twice: the last word counts
            snprintf(events[i].item, sizeof events[i].item, "c%u", i / 4);
            event->item = mr_bytes_text(events[i].item);
            event->user = mr_bytes_text("u1"); // one task: their order is that of the epoch
            event->present |= 1u << MR_FIELD_price | 1u << MR_FIELD_available;
            event->price = i;
            event->available = i % 3 != 0;
        }
    }
    mr_error err;
    assert_int_equal(mill_round(&alone, events, 40, &err), MR_OK);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(events[i].arrival.cause, MR_CAUSE_NONE);
    mill_close_commit(&alone);
    fleet_round(&shared, events, 40);
    fleet_settle(&shared);
    assert_true(assert_same_items(&alone, &shared.store) >= 32);
    mill_close(&alone);
    fleet_close(&shared);
}

// They are about no item, so they have nothing for an item's owner, whoever that is.
static void what_users_say_is_heard_by_every_worker(void **state)
{
    (void)state;
    static mill alone;
    static fleet shared;
    static made_event events[80];
    mr_error err;
    mr_engine_config config = integer_defaults();
    fleet_open(&shared, &config, 2, "abab");
    config.exchange_bytes = 0;
    mill_open(&alone, &config);
    for (uint32_t i = 0; i < 80; i++) {
        const bool says = i % 2 == 1;
        mill_act(&events[i], says ? MR_EVENT_CONTROL : MR_EVENT_CLICK, i / 2, i % 7,
                 1700000000000 + i);
        mr_event *event = &events[i].arrival.event;
        if (!says)
            continue;
        event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action |
                         1u << MR_FIELD_target;
        event->action = mr_bytes_text(i % 5 == 0 ? "forget" : "mute");
        event->target = mr_bytes_text("i3");
    }
    assert_int_equal(mill_round(&alone, events, 80, &err), MR_OK);
    for (uint32_t i = 0; i < 80; i++)
        assert_int_equal(events[i].arrival.cause, MR_CAUSE_NONE);
    mill_close_commit(&alone);
    fleet_round(&shared, events, 80);
    fleet_settle(&shared);
    assert_true(assert_same_items(&alone, &shared.store) >= 7);
    mill_close(&alone);
    fleet_close(&shared);
}

static const float *link_of(mill *m, float *count)
{
    const uint16_t code = code_of("content.link");
    uint8_t key[11] = {MR_ROW_NAMED, (uint8_t)(code >> 8), (uint8_t)code};
    const stored_row *row = mill_find(m, 0, mr_bytes_of(key, sizeof key));
    assert_non_null(row);
    memcpy(count, row->value + 8 + 8, sizeof *count);
    return (const float *)(const void *)(row->value + 8 + 16);
}

// What the catalogue says is the latest word, whoever heard it; what goes together are sums of
// floats, in another order.
static void what_items_are_like_is_the_same_on_several_workers(void **state)
{
    (void)state;
    enum { DESCRIBED = 24, ROUNDS = 5, DIM = 16, CELLS = DIM * (DIM + 1) + DIM * DIM };
    static const char *const off[] = {"popularity", "covisit", "embedding", "diag_linucb",
                                      "multi_interest"};
    static const mr_setting settings[] = {{"content", "dim", DIM}, {"content", "every", 1}};
    static made_event events[DESCRIBED];
    static float vectors[DESCRIBED][24];
    static char categories[3][8];
    static mill alone;
    static fleet shared;
    float counts[2];
    mr_error err;
    mr_engine_config config = mill_defaults();
    config.exchange_bytes = 1 << 20;
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.settings = settings;
    config.setting_count = 2;
    fleet_open(&shared, &config, 3, "abca");
    config.exchange_bytes = 0;
    mill_open(&alone, &config);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        for (uint32_t i = 0; i < DESCRIBED; i++) // items again and again: times fall too
            mill_described(&events[i], r * 13 + i, vectors[i], categories,
                           1699999000000 + (r * 7 % ROUNDS) * 1000);
        assert_int_equal(mill_round(&alone, events, DESCRIBED, &err), MR_OK);
        fleet_round(&shared, events, DESCRIBED);
    }
    mill_close_commit(&alone);
    fleet_settle(&shared);
    for (uint32_t c = 0; c < 6; c++) {
        mill_calm_traffic(&alone, c * 5, 5, 7);
        mill_close_commit(&alone);
        fleet_calm_traffic(&shared, c * 5, 5, 7);
        fleet_settle(&shared);
    }
    assert_true(assert_same_items(&alone, &shared.store) > 60);
    const float *a = link_of(&alone, &counts[0]), *b = link_of(&shared.store, &counts[1]);
    double largest = 0;
    for (uint32_t i = 0; i < CELLS; i++)
        largest = fabs((double)a[i]) > largest ? fabs((double)a[i]) : largest;
    assert_true(counts[0] > 100 && fabsf(counts[0] - counts[1]) < 1e-6f * counts[0] * 4);
    for (uint32_t i = 0; i < CELLS; i++)
        assert_true(fabs((double)a[i] - (double)b[i]) < 1e-6 * largest);
    mill_close(&alone);
    fleet_close(&shared);
}

static void what_is_counted_is_the_fold_of_the_events(void **state)
{
    (void)state;
    static fleet f;
    static const char *const off[] = {"popularity", "covisit", "embedding", "diag_linucb",
                                      "multi_interest"};
    mr_engine_config config = shared_defaults();
    config.off = off;
    config.off_count = sizeof off / sizeof off[0];
    config.setting_count = 0; // what is off otherwise
    fleet_open(&f, &config, 3, "abca");
    run_commits(&f, 0, 6);
    fleet_settle(&f);
    static mr_counted users[120], items[400], found;
    static made_event events[48];
    memset(users, 0, sizeof users);
    memset(items, 0, sizeof items);
    for (uint32_t r = 0; r < 30; r++) {
        mill_made(events, 48, r, 7);
        for (uint32_t i = 0; i < 48; i++) {
            mr_counted *user = &users[atoi(events[i].user + 1)];
            mr_counted *item = &items[atoi(events[i].item + 1)];
            const uint64_t hash = mr_counting_hash(mr_bytes_text(events[i].id));
            *user = (mr_counted){user->count + 1, user->sum + hash};
            *item = (mr_counted){item->count + 1, item->sum + hash};
        }
    }
    uint32_t compared = 0;
    for (uint32_t n = 0; n < 400; n++) {
        char name[16];
        uint8_t key[11] = {'i'};
        snprintf(name, sizeof name, "i%u", n);
        const uint64_t item_key = mr_item_key(mr_bytes_text(name));
        key[1] = (uint8_t)(code_of("counting.item") >> 8);
        key[2] = (uint8_t)code_of("counting.item");
        for (int b = 0; b < 8; b++)
            key[3 + b] = (uint8_t)(item_key >> (56 - 8 * b));
        const stored_row *row =
            mill_find(&f.store, (uint32_t)(item_key % 4), mr_bytes_of(key, sizeof key));
        assert_int_equal(row != NULL, items[n].count > 0);
        if (row == NULL)
            continue;
        assert_true(mr_counting_read(mr_bytes_of(key, sizeof key),
                                     mr_bytes_of(row->value, row->value_size), &found));
        assert_memory_equal(&found, &items[n], sizeof found);
        compared++;
    }
    for (uint32_t i = 0; i < f.store.row_count; i++) {
        const stored_row *row = &f.store.rows[i];
        if (row->key[0] != 'u')
            continue;
        assert_true(mr_counting_read(mr_bytes_of(row->key, row->key_size),
                                     mr_bytes_of(row->value, row->value_size), &found));
        char user[16] = {0};
        memcpy(user, row->key + 1, row->key_size - 1);
        assert_memory_equal(&found, &users[atoi(user + 1)], sizeof found);
        compared++;
    }
    assert_true(compared > 200);
    fleet_close(&f);
}

// ---- tasks that move, engines that restart

static void a_task_that_moves_goes_on_with_the_same_bytes(void **state)
{
    (void)state;
    static fleet stays, moves;
    mr_engine_config config = shared_defaults();
    config.item_admission = 2;
    config.list_interval_ms = 5000; // so that users wait when the task moves
    fleet_open(&stays, &config, 3, "abbb");
    fleet_open(&moves, &config, 3, "abbb");
    for (uint32_t c = 0; c < 8; c++) {
        run_commits(&stays, c, 1);
        run_commits(&moves, c, 1);
        fleet_settle(&stays); // no guests: nothing that only the view of one worker has
        fleet_settle(&moves);
        if (c % 2 == 1) { // between two workers that both view the rest
            const uint32_t from = moves.owner[0], to = from == 0 ? 2 : 0;
            mr_engine_release(moves.engines[from], 0);
            moves.owner[0] = to;
            fleet_take(&moves, to, c);
        }
        assert_hash_equal(mill_hash(&stays.store), mill_hash(&moves.store));
        assert_hash_equal(fleet_lists(&stays), fleet_lists(&moves));
        assert_hash_equal(fleet_records(&stays), fleet_records(&moves));
    }
    assert_true(stays.store.list_count > 100);
    assert_true(assert_same_filters(&stays.store, &moves.store) > 0);
    fleet_close(&stays);
    fleet_close(&moves);
}

static void a_task_that_comes_is_as_if_it_had_been_there_at_the_start(void **state)
{
    (void)state;
    static fleet running, fresh;
    mr_engine_config config = shared_defaults();
    config.item_expiry_ms = 6000;
    config.settings = softmax;
    config.setting_count = 1;
    for (uint32_t lag = 0; lag < 2; lag++) { // the second time the view is two commits behind
        fleet_open(&running, &config, 2, "aabb");
        fleet_open(&fresh, &config, 2, "aabb");
        run_commits(&running, 0, 4);
        run_commits(&fresh, 0, 4);
        running.deaf = fresh.deaf = lag > 0;
        run_commits(&running, 12, 2);
        run_commits(&fresh, 12, 2);
        for (uint32_t t = 0; t < 2; t++) { // the second worker gets all tasks
            mr_engine_release(running.engines[0], t);
            mr_engine_release(fresh.engines[0], t);
            running.owner[t] = fresh.owner[t] = 1;
        }
        fleet_take(&running, 1, 5);
        fleet_restart(&fresh, 1, 6);
        running.deaf = fresh.deaf = false;
        run_commits(&running, 20, 4);
        run_commits(&fresh, 20, 4);
        assert_hash_equal(fleet_lists(&running), fleet_lists(&fresh));
        assert_hash_equal(mill_hash(&running.store), mill_hash(&fresh.store));
        fleet_close(&running);
        fleet_close(&fresh);
    }
}

static void restart_beside_a_view(const mr_setting *settings, uint32_t count, uint32_t commits)
{
    static fleet a, b;
    mr_engine_config config = shared_defaults();
    config.item_expiry_ms = 6000; // so that items leave views
    config.settings = settings;
    config.setting_count = count;
    fleet_open(&a, &config, 2, "abab");
    fleet_open(&b, &config, 2, "abab");
    for (uint32_t c = 0; c < commits; c++) {
        run_commits(&a, c, 1);
        run_commits(&b, c, 1);
        fleet_settle(&a);
        fleet_settle(&b);
        if (c % 3 != 1)
            fleet_restart(&b, c % 2, c + 1);
        assert_hash_equal(fleet_lists(&a), fleet_lists(&b));
        assert_hash_equal(fleet_records(&a), fleet_records(&b));
        assert_hash_equal(mill_hash(&a.store), mill_hash(&b.store));
    }
    mr_engine_metrics metrics;
    mr_engine_measure(a.engines[0], &metrics);
    assert_true(commits < 12 || metrics.items_expired > 20);
    fleet_close(&a);
    fleet_close(&b);
}

static void a_restart_beside_a_view_changes_no_byte(void **state)
{
    (void)state;
    restart_beside_a_view(softmax, 1, 12);
}

static void no_loss_and_no_optimiser_forgets_anything_in_a_restart(void **state)
{
    (void)state;
    static const mr_setting settings[][2] = {
        {{"embedding", "loss", MR_LOSS_HARDEST}, {"embedding", "optimiser", MR_OPTIMISER_ADAM}},
        {{"embedding", "loss", MR_LOSS_CHAIN}, {"embedding", "optimiser", MR_OPTIMISER_CURVATURE}},
        {{"embedding", "loss", MR_LOSS_NESTED}, {"embedding", "optimiser", MR_OPTIMISER_SGD}},
        {{"embedding", "loss", MR_LOSS_METRIC}, {"embedding", "optimiser", MR_OPTIMISER_GSNR}},
        {{"embedding", "loss", MR_LOSS_POINTWISE}, {"embedding", "exposure", .1}},
    };
    for (uint32_t i = 0; i < sizeof settings / sizeof *settings; i++)
        restart_beside_a_view(settings[i], 2, 6);
}

static void a_view_is_what_owners_wrote_and_nothing_else(void **state)
{
    (void)state;
    static fleet a, b;
    mr_engine_config config = shared_defaults();
    config.settings = softmax;
    config.setting_count = 1;
    fleet_open(&a, &config, 2, "abab");
    fleet_open(&b, &config, 2, "abab");
    for (uint32_t c = 0; c < 10; c++) {
        fleet_calm_traffic(&a, 5 * c, 5, 7);
        fleet_calm_traffic(&b, 5 * c, 5, 7);
        if (c == 2) { // every item is known from here on
            fleet_settle(&a);
            fleet_settle(&b);
        }
        fleet_commit(&a); // what the events changed in others' rows is still on its way
        fleet_commit(&b);
        if (c > 2)
            fleet_restart(&b, c % 2, c);
        assert_hash_equal(fleet_lists(&a), fleet_lists(&b));
        assert_hash_equal(fleet_records(&a), fleet_records(&b));
        assert_hash_equal(mill_hash(&a.store), mill_hash(&b.store));
    }
    fleet_close(&a);
    fleet_close(&b);
}

static void the_kept_hash_is_that_of_the_rows_also_after_moves(void **state)
{
    (void)state;
    static fleet f;
    const mr_engine_config config = shared_defaults();
    fleet_open(&f, &config, 2, "aabb");
    for (uint32_t c = 0; c < 6; c++) {
        run_commits(&f, c, 1);
        const uint32_t task = c % 4, from = f.owner[task];
        mr_engine_release(f.engines[from], task);
        f.owner[task] = 1 - from;
        fleet_take(&f, 1 - from, c);
        run_commits(&f, 20 + c, 1);
        for (uint32_t t = 0; t < 4; t++)
            assert_hash_equal(mr_engine_task(f.engines[f.owner[t]], t).state_hash,
                              mill_state_hash(&f.store, t));
    }
    fleet_close(&f);
}

// ---- lanes

static void run_backwards(void *context, void (*job)(void *arg, uint32_t index), void *arg,
                          uint32_t count)
{
    (void)context;
    for (uint32_t i = count; i-- > 0;)
        job(arg, i);
}

typedef struct lane {
    void (*job)(void *arg, uint32_t index);
    void *arg;
    uint32_t first, step, count;
} lane;

static void *run_lane(void *context)
{
    const lane *l = context;
    for (uint32_t i = l->first; i < l->count; i += l->step)
        l->job(l->arg, i);
    return NULL;
}

static void run_threads(void *context, void (*job)(void *arg, uint32_t index), void *arg,
                        uint32_t count)
{
    const uint32_t threads = *(const uint32_t *)context;
    pthread_t thread[8];
    lane lanes[8];
    for (uint32_t t = 0; t < threads; t++) {
        lanes[t] = (lane){job, arg, t, threads, count};
        assert_int_equal(pthread_create(&thread[t], NULL, run_lane, &lanes[t]), 0);
    }
    for (uint32_t t = 0; t < threads; t++)
        assert_int_equal(pthread_join(thread[t], NULL), 0);
}

static void lanes_decide_nothing_of_rows_and_records(void **state)
{
    (void)state;
    static fleet a, b;
    mr_engine_config config = shared_defaults();
    static uint32_t threads[] = {0, 2, 4};
    config.item_admission = 2;
    fleet_open(&a, &config, 2, "abab");
    run_commits(&a, 0, 5);
    fleet_settle(&a);
    for (uint32_t n = 0; n < 3; n++) {
        config.lanes = (mr_lanes){&threads[n], threads[n] == 0 ? run_backwards : run_threads};
        fleet_open(&b, &config, 2, "abab");
        run_commits(&b, 0, 5);
        fleet_settle(&b);
        assert_hash_equal(fleet_lists(&a), fleet_lists(&b));
        assert_hash_equal(fleet_records(&a), fleet_records(&b));
        assert_hash_equal(mill_hash(&a.store), mill_hash(&b.store));
        fleet_close(&b);
    }
    fleet_close(&a);
}

// ---- the view

// An act of a user of the first of two tasks on an item of the given shard.
static void act_on_shard(made_event *event, uint32_t shard, uint32_t *item, int64_t time_ms)
{
    uint32_t user = 0;
    while (mill_act(event, MR_EVENT_CLICK, user, *item, time_ms),
           mr_partition_of(event->arrival.event.user, 2) != 0)
        user++;
    while (mill_act(event, MR_EVENT_CLICK, user, *item, time_ms),
           mr_item_key(event->arrival.event.item) % 2 != shard)
        ++*item;
}

static void a_guest_stands_in_no_list_until_its_owner_speaks(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = shared_defaults();
    config.tasks = 2;
    config.list_interval_ms = 0;
    config.seen = MR_SEEN_KEEP;
    fleet_open(&f, &config, 2, "ab");
    made_event event;
    uint32_t item = 0;
    act_on_shard(&event, 1, &item, 1700000000000);
    fleet_round(&f, &event, 1);
    fleet_commit(&f);
    mr_engine_metrics metrics;
    mr_engine_measure(f.engines[0], &metrics);
    assert_int_equal(metrics.items, 1);
    assert_int_equal(f.store.list_count, 0); // there was nothing to list
    fleet_round(&f, NULL, 0);                // the owner learns of it
    fleet_commit(&f);
    act_on_shard(&event, 1, &item, 1700000001000);
    fleet_round(&f, &event, 1);
    fleet_commit(&f);
    assert_int_equal(f.store.list_count, 1);
    assert_int_equal(f.store.last.entry_count, 1);
    assert_int_equal(atoi((const char *)f.store.last.entries[0].item.data + 1), item);
    fleet_close(&f);
}

static void items_expire_where_they_belong(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    config.item_expiry_ms = 10000;
    fleet_open(&f, &config, 2, "ab");
    made_event events[40];
    uint32_t own = 0;
    for (uint32_t i = 0; i < 40; i++) {
        mill_act(&events[i], MR_EVENT_CLICK, i, i, 1700000000000);
        own += mr_item_key(events[i].arrival.event.item) % 2 == 0;
    }
    fleet_round(&f, events, 40);
    fleet_settle(&f);
    uint32_t item = 100; // time goes on for the first worker alone
    act_on_shard(&events[0], 0, &item, 1700000100000);
    fleet_round(&f, events, 1);
    fleet_settle(&f);
    mr_engine_metrics metrics;
    mr_engine_measure(f.engines[0], &metrics);
    assert_int_equal(metrics.items_expired, own);
    assert_int_equal(metrics.items, 40 - own + 1);
    mr_engine_measure(f.engines[1], &metrics);
    assert_int_equal(metrics.items_expired, 0);
    fleet_close(&f);
}

static void an_item_that_its_owner_expires_leaves_the_view_and_comes_back(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    config.item_expiry_ms = 10000;
    fleet_open(&f, &config, 2, "ab");
    made_event events[40];
    for (uint32_t round = 0; round < 3; round++) { // the second time all items are stale
        for (uint32_t i = 0; i < 40; i++)
            mill_act(&events[i], MR_EVENT_CLICK, i, 100 * round + i, 1700000000000 + round * 20000);
        fleet_round(&f, events, 40);
        fleet_settle(&f);
        for (uint32_t w = 0; w < 2; w++) {
            mr_engine_metrics metrics;
            mr_engine_measure(f.engines[w], &metrics);
            assert_int_equal(metrics.items, 40);
        }
    }
    for (uint32_t i = 0; i < 40; i++) // the first ones again
        mill_act(&events[i], MR_EVENT_CLICK, i, i, 1700000060000);
    fleet_round(&f, events, 40);
    fleet_settle(&f);
    uint32_t once = 0;
    for (uint32_t i = 0; i < f.store.row_count; i++)
        if (is_row_of(&f.store.rows[i], "items.item")) {
            item_row row;
            memcpy(&row, f.store.rows[i].value + 8, sizeof row);
            once += row.events == 1;
        }
    assert_int_equal(once, 40);
    fleet_close(&f);
}

static void an_item_that_goes_while_its_delta_waits_is_still_named(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_config config = integer_defaults();
    config.tasks = 2;
    fleet_open(&f, &config, 2, "ab");
    made_event event, others;
    mr_error err;
    uint32_t item = 0, more = 1000;
    act_on_shard(&event, 1, &item, 1700000000000);
    fleet_round(&f, &event, 1);
    fleet_settle(&f);
    act_on_shard(&event, 1, &item, 1700000001000);
    fleet_round(&f, &event, 1);
    for (uint32_t i = 0; i < f.store.row_count; i++) // the owner says that it is gone
        if (f.store.rows[i].key[0] == 'i')
            assert_int_equal(
                mr_engine_view_row(f.engines[0], f.store.rows[i].task,
                                   mr_bytes_of(f.store.rows[i].key, f.store.rows[i].key_size),
                                   (mr_bytes){NULL, 0}, &err),
                MR_OK);
    for (uint32_t i = 0; i < 4; i++, more++) { // new ones would take its place
        act_on_shard(&others, 0, &more, 1700000002000);
        fleet_round(&f, &others, 1);
    }
    fleet_settle(&f);
    uint32_t found = 0;
    for (uint32_t i = 0; i < f.store.row_count; i++) {
        mr_counted counted;
        const stored_row *row = &f.store.rows[i];
        if (is_row_of(row, "counting.item") && row->task == 1 &&
            mr_counting_read(mr_bytes_of(row->key, row->key_size),
                             mr_bytes_of(row->value, row->value_size), &counted)) {
            assert_int_equal(counted.count, 2);
            found++;
        }
    }
    assert_int_equal(found, 1);
    fleet_close(&f);
}

static void the_blend_is_taught_where_its_rows_are(void **state)
{
    (void)state;
    static fleet f;
    mr_engine_metrics first, second;
    const mr_engine_config config = shared_defaults();
    fleet_open(&f, &config, 2, "abab");
    f.deaf = true;
    run_commits(&f, 0, 4);
    mr_engine_measure(f.engines[0], &first);
    mr_engine_measure(f.engines[1], &second);
    assert_true(first.probes > 0);
    assert_int_equal(second.probes, 0);
    fleet_view(&f, 1);
    mr_engine_measure(f.engines[1], &second);
    assert_int_equal(second.probes, first.probes);
    assert_memory_equal(second.weights, first.weights, sizeof first.weights);
    fleet_close(&f);
}

static void the_blend_is_found_where_it_stood_once(void **state)
{
    (void)state;
    static mill m;
    mr_engine_metrics before, after;
    const mr_engine_config config = mill_defaults();
    mill_open(&m, &config);
    mill_traffic(&m, 0, 10, 7);
    mill_close_commit(&m);
    mr_engine_measure(m.engine, &before);
    assert_true(before.probes > 0);
    uint32_t moved = 0;
    for (uint32_t i = 0; i < m.row_count; i++) { // to the shard of their key
        stored_row *row = &m.rows[i];
        const uint16_t code = (uint16_t)(row->key[1] << 8 | row->key[2]);
        if (row->key[0] != 'n' ||
            (code != code_of("blend.column") && code != code_of("blend.gate")))
            continue;
        assert_int_equal(row->task, 0);
        row->task = row->key[row->key_size - 1] % config.tasks; // P is 4
        moved += row->task != 0;
    }
    assert_true(moved > 2);
    for (uint32_t seed = 0; seed < 3; seed++) {
        mill_restart(&m, seed);
        mr_engine_measure(m.engine, &after);
        assert_int_equal(after.probes, before.probes);
        assert_memory_equal(after.weights, before.weights, sizeof before.weights);
    }
    mill_traffic(&m, 10, 5, 7); // now shard 0 has its own
    mill_close_commit(&m);
    mr_engine_measure(m.engine, &before);
    for (uint32_t seed = 0; seed < 3; seed++) {
        mill_restart(&m, seed);
        mr_engine_measure(m.engine, &after);
        assert_int_equal(after.probes, before.probes);
        assert_memory_equal(after.weights, before.weights, sizeof before.weights);
    }
    mill_close(&m);
}

static void rows_of_another_release_are_not_viewed(void **state)
{
    (void)state;
    static fleet f;
    mr_error err;
    const mr_engine_config config = integer_defaults();
    fleet_open(&f, &config, 2, "aabb");
    fleet_traffic(&f, 0, 2, 7);
    fleet_commit(&f);
    stored_row *row = NULL;
    for (uint32_t i = 0; i < f.store.row_count && row == NULL; i++)
        if (f.store.rows[i].task >= 2 && is_row_of(&f.store.rows[i], "items.item"))
            row = &f.store.rows[i];
    assert_non_null(row);
    const mr_bytes key = mr_bytes_of(row->key, row->key_size);
    const mr_bytes value = mr_bytes_of(row->value, row->value_size);
    assert_int_equal(mr_engine_view_row(f.engines[0], row->task, key, value, &err), MR_OK);
    assert_int_equal(mr_engine_view_row(f.engines[0], 5 - row->task, key, value, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "belongs to shard"));
    const mr_bytes cut = mr_bytes_of(row->value, row->value_size - 1);
    assert_int_equal(mr_engine_view_row(f.engines[0], row->task, key, cut, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "damaged"));
    row->value[0] ^= 1;
    assert_int_equal(mr_engine_view_row(f.engines[0], row->task, key, value, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "set the parameters back"));
    fleet_close(&f);
}

// ---- the room for what goes to others

enum { PAIRED = MR_RECENT_MAX };

static bool is_of(char kind, uint32_t number, uint32_t task)
{
    char id[16];
    snprintf(id, sizeof id, "%c%u", kind, number);
    const mr_bytes name = mr_bytes_text(id);
    return (kind == 'u' ? mr_partition_of(name, 2) : (uint32_t)(mr_item_key(name) % 2)) == task;
}

// The first ids of a kind that belong to the task, as numbers.
static void first_of(char kind, uint32_t task, uint32_t *numbers, uint32_t count)
{
    for (uint32_t number = 0, i = 0; i < count; number++)
        if (is_of(kind, number, task))
            numbers[i++] = number;
}

// Clicks of `count` users of task 0 from the first one on, each on an item of his own of shard 1.
static mr_status click_once(fleet *f, const uint32_t *users, const uint32_t *items, uint32_t first,
                            uint32_t count, uint32_t turn, mr_error *err)
{
    made_event events[16];
    mr_arrival arrivals[16];
    for (uint32_t i = 0; i < count; i++) {
        mill_act(&events[i], MR_EVENT_CLICK, users[first + i],
                 items[(first + i) * (PAIRED + 1) + turn], 1700000000000 + turn * 1000);
        events[i].arrival.offset = i;
        arrivals[i] = events[i].arrival;
    }
    mr_epoch epoch = {.task = 0, .arrivals = arrivals, .count = count};
    return mr_engine_round(f->engines[0], &epoch, 1, err);
}

// Each click is paired with 24 items of somebody else's, so that it changes 25 rows there.
static void a_full_outbox_asks_for_a_close_before_it_overflows(void **state)
{
    enum { USERS = 96, ITEMS = USERS * (PAIRED + 1) };
    static const mr_setting pairs[] = {{"covisit", "pairs", PAIRED}};
    static fleet f;
    uint32_t users[USERS], full = 0;
    uint32_t *items = malloc(ITEMS * sizeof *items);
    mr_error err;
    (void)state;
    first_of('u', 0, users, USERS);
    first_of('i', 1, items, ITEMS);
    for (uint32_t odd = 0; odd < 16; odd++) { // the last round before it is full comes out anyhow
        mr_engine_config config = integer_defaults();
        config.tasks = 2;
        config.items_max = 2 * ITEMS;
        config.epoch_events_max = 16;
        config.lists = false;
        config.settings = pairs;
        config.setting_count = 1;
        fleet_open(&f, &config, 2, "ab");
        for (uint32_t turn = 0; turn < PAIRED; turn++)
            for (uint32_t first = 0; first < USERS; first += 16) {
                assert_int_equal(click_once(&f, users, items, first, 16, turn, &err), MR_OK);
                if (first % 32 == 16)
                    fleet_settle(&f);
            }
        uint32_t first = odd;
        mr_status status = odd > 0 ? click_once(&f, users, items, 0, odd, PAIRED, &err) : MR_OK;
        for (; status == MR_OK && first + 16 <= USERS; first += 16)
            status = click_once(&f, users, items, first, 16, PAIRED, &err);
        if (status != MR_OK) {
            assert_int_equal(status, MR_RETRY);
            assert_non_null(strstr(err.text, "full until a close"));
            fleet_settle(&f);
            assert_int_equal(click_once(&f, users, items, first - 16, 16, PAIRED, &err), MR_OK);
            full++;
        }
        fleet_close(&f);
    }
    assert_int_equal(full, 16);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_outbox_asks_for_a_close_before_it_overflows),
        cmocka_unit_test(the_sum_of_several_workers_is_that_of_one),
        cmocka_unit_test(an_impression_and_a_catalogue_reach_the_owner),
        cmocka_unit_test(what_users_say_is_heard_by_every_worker),
        cmocka_unit_test(what_items_are_like_is_the_same_on_several_workers),
        cmocka_unit_test(what_is_counted_is_the_fold_of_the_events),
        cmocka_unit_test(a_task_that_moves_goes_on_with_the_same_bytes),
        cmocka_unit_test(a_task_that_comes_is_as_if_it_had_been_there_at_the_start),
        cmocka_unit_test(a_restart_beside_a_view_changes_no_byte),
        cmocka_unit_test(no_loss_and_no_optimiser_forgets_anything_in_a_restart),
        cmocka_unit_test(a_view_is_what_owners_wrote_and_nothing_else),
        cmocka_unit_test(the_kept_hash_is_that_of_the_rows_also_after_moves),
        cmocka_unit_test(lanes_decide_nothing_of_rows_and_records),
        cmocka_unit_test(a_guest_stands_in_no_list_until_its_owner_speaks),
        cmocka_unit_test(items_expire_where_they_belong),
        cmocka_unit_test(an_item_that_its_owner_expires_leaves_the_view_and_comes_back),
        cmocka_unit_test(an_item_that_goes_while_its_delta_waits_is_still_named),
        cmocka_unit_test(the_blend_is_taught_where_its_rows_are),
        cmocka_unit_test(the_blend_is_found_where_it_stood_once),
        cmocka_unit_test(rows_of_another_release_are_not_viewed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
