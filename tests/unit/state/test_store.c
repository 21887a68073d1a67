// SPDX-License-Identifier: Apache-2.0
// What the store promises to one process. test_store_faults has disks, crashes and other processes.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "tests/unit/state/scratch.h"

static char path[128];

static int setup(void **state)
{
    (void)state;
    scratch_make(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(path);
    return 0;
}

static void put(mr_store *store, uint32_t task, const char *key, const char *text)
{
    pile *p = pile_make(task, 4096);
    pile_add(p, key, text, strlen(text));
    pile_write(p, store);
    pile_free(p);
}

static void a_new_folder_and_its_parents_are_made(void **state)
{
    (void)state;
    char deep[160], name[200];
    mr_store_stats stats;
    mr_error err = {0};
    bool dropped = true;
    mr_store *store;
    mr_store_reader *reader;
    uint32_t count = 9;
    snprintf(deep, sizeof deep, "%s/a/b", path);
    assert_ok(mr_store_open(deep, &(mr_store_options){0}, &store, &dropped, &err), err);
    assert_false(dropped);
    assert_string_equal(mr_store_path(store), deep);
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_int_equal(stats.tasks, 0);
    assert_int_equal(stats.map_bytes, 64 << 20);
    reader = open_reader(store);
    assert_ok(mr_store_tasks(reader, NULL, 0, &count, &err), err);
    assert_int_equal(count, 0);
    mr_store_reader_close(reader);
    close_store(store);
    static const char *const names[] = {"a/b/data.mdb", "a/b/lock.mdb", "a/b/owner"};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        assert_int_equal(unlink(name), 0);
    }
    assert_int_equal(rmdir(deep), 0);
    *strrchr(deep, '/') = '\0';
    assert_int_equal(rmdir(deep), 0);
}

static void rows_are_read_back_overwritten_and_erased(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(7, 4096);
    pile_add(p, "a", "first", 5);
    pile_add(p, "b", "second", 6);
    pile_add(p, "c", "", 0);
    pile_write(p, store);
    assert_string_equal(text_of(reader, 7, "a"), "first");
    assert_string_equal(text_of(reader, 7, "b"), "second");
    assert_string_equal(text_of(reader, 7, "bb"), "");
    assert_string_equal(text_of(reader, 8, "a"), "");
    pile_add(p, "a", "changed", 7);
    pile_add(p, "aa", NULL, 0); // never was there
    pile_add(p, "b", NULL, 0);
    pile_write(p, store);
    assert_string_equal(text_of(reader, 7, "b"), "second"); // the old snapshot
    mr_store_reader_refresh(reader);
    assert_string_equal(text_of(reader, 7, "a"), "changed");
    assert_string_equal(text_of(reader, 7, "b"), "");
    mr_store_task task;
    bool found;
    mr_error err = {0};
    assert_ok(mr_store_task_read(reader, 7, &task, &found, &err), err);
    assert_true(found);
    assert_int_equal(task.row_count, 2);
    assert_ok(mr_store_task_read(reader, 8, &task, &found, &err), err);
    assert_false(found);
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void the_longest_key_and_the_largest_row_fit(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    uint8_t key[MR_STORE_KEY_MAX], *value = malloc(MR_ROW_BYTES_MAX),
                                   *back = malloc(MR_ROW_BYTES_MAX);
    uint32_t size;
    mr_error err = {0};
    memset(key, 0xff, sizeof key);
    memset(value, 7, MR_ROW_BYTES_MAX);
    const mr_row row = {.payload = {value + MR_ROW_HEADER_BYTES, MR_ROW_PAYLOAD_MAX}};
    mr_row_seal(mr_bytes_of(key, sizeof key), &row, value);
    const mr_store_row one = {mr_bytes_of(key, sizeof key), mr_bytes_of(value, MR_ROW_BYTES_MAX)};
    const mr_store_part part = {.task = 1, .row_count = 1, .rows = &one, .offsets = {-1, -1}};
    assert_ok(mr_store_write(store, &(mr_store_batch){&part, 1}, &err), err);
    assert_ok(mr_store_get(reader, 1, one.key, back, MR_ROW_BYTES_MAX, &size, &err), err);
    assert_int_equal(size, MR_ROW_BYTES_MAX);
    assert_memory_equal(back, value, MR_ROW_BYTES_MAX);
    assert_int_equal(mr_store_get(reader, 1, one.key, back, MR_ROW_BYTES_MAX - 1, &size, &err),
                     MR_FATAL);
    assert_says(&err, "does not fit a buffer of 65535");
    mr_store_reader_close(reader);
    close_store(store);
    free(value);
    free(back);
}

static void markers_and_offsets_change_with_the_rows_and_last(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    pile *p = pile_make(3, 4096);
    mr_store_task task;
    mr_store_identity identity = {{1, UINT64_MAX}, "broker-cluster"};
    bool found;
    mr_error err = {0};
    pile_add(p, "row", "x", 1);
    p->part.marker = mr_bytes_text("marker 1");
    p->part.offsets[1] = 41;
    pile_write(p, store);
    p->part.marker = (mr_bytes){0};
    p->part.offsets[0] = 0;
    p->part.offsets[1] = -1;
    pile_write(p, store); // no rows: offset 0 moves, the rest stays
    assert_ok(mr_store_identify(store, &identity, &err), err);
    close_store(store);
    store = open_store(path, (mr_store_options){.read_only = true});
    assert_true(mr_store_left(store)->clean);
    mr_store_reader *reader = open_reader(store);
    assert_ok(mr_store_task_read(reader, 3, &task, &found, &err), err);
    assert_true(found);
    assert_int_equal(task.offsets[0], 0);
    assert_int_equal(task.offsets[1], 41);
    assert_true(
        mr_bytes_equal(mr_bytes_of(task.marker, task.marker_bytes), mr_bytes_text("marker 1")));
    identity = (mr_store_identity){0};
    assert_ok(mr_store_identity_read(reader, &identity, &err), err);
    assert_true(identity.history[0] == 1 && identity.history[1] == UINT64_MAX);
    assert_string_equal(identity.cluster, "broker-cluster");
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void an_empty_marker_takes_the_marker_away(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    pile *p = pile_make(0, 64);
    mr_store_task task;
    bool found;
    mr_error err = {0};
    p->part.marker = mr_bytes_text("m");
    pile_write(p, store);
    p->part.marker = mr_bytes_of("", 0);
    pile_write(p, store);
    mr_store_reader *reader = open_reader(store);
    assert_ok(mr_store_task_read(reader, 0, &task, &found, &err), err);
    assert_int_equal(task.marker_bytes, 0);
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

typedef struct seen {
    char text[128];
    uint32_t stop_after;
} seen;

static mr_status note_key(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    seen *s = context;
    assert_true(mr_row_is_sealed(key, value));
    strncat(s->text, (const char *)key.data, key.size);
    strcat(s->text, " ");
    if (--s->stop_after == 0)
        return mr_fail(err, MR_RETRY, "enough");
    return MR_OK;
}

static void rows_are_visited_in_key_order_below_a_prefix(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(1, 4096);
    mr_error err = {0};
    static const char *const keys[] = {"a", "ab", "ab\x01", "abc", "ac", "b"};
    for (int i = 0; i < 6; i++)
        pile_add(p, keys[i], "v", 1);
    pile_write(p, store);
    seen all = {.stop_after = 99}, some = {.stop_after = 99}, two = {.stop_after = 2};
    assert_ok(mr_store_each(reader, 1, mr_bytes_of("", 0), true, note_key, &all, &err), err);
    assert_string_equal(all.text, "a ab ab\x01 abc ac b ");
    assert_ok(mr_store_each(reader, 1, mr_bytes_text("ab"), true, note_key, &some, &err), err);
    assert_string_equal(some.text, "ab ab\x01 abc ");
    assert_int_equal(mr_store_each(reader, 1, mr_bytes_text("a"), true, note_key, &two, &err),
                     MR_RETRY);
    assert_string_equal(two.text, "a ab ");
    assert_string_equal(err.text, "enough");
    assert_ok(mr_store_each(reader, 2, mr_bytes_text("a"), true, note_key, &two, &err), err);
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void fill(pile *p, uint32_t first, uint32_t count, size_t payload_bytes, uint8_t byte)
{
    char key[16];
    uint8_t *payload = malloc(payload_bytes);
    memset(payload, byte, payload_bytes);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "k%08u", first + i);
        pile_add(p, key, payload, payload_bytes);
    }
    free(payload);
}

static void the_map_grows_under_readers_and_the_batch_is_applied_once(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.map_bytes_initial = 256 * 1024});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(1, 512 * 1024);
    mr_store_stats stats;
    mr_store_task task;
    bool found;
    mr_error err = {0};
    for (uint32_t batch = 0; batch < 20; batch++) {
        fill(p, batch * 400, 400, 1000, (uint8_t)batch);
        pile_write(p, store);
        assert_int_equal(text_of(reader, 1, "k00000000")[0], 0); // keeps a snapshot alive
    }
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_true(stats.grown >= 5);
    assert_true(stats.map_bytes > 8000 * 1000);
    mr_store_reader_refresh(reader);
    assert_ok(mr_store_task_read(reader, 1, &task, &found, &err), err);
    assert_int_equal(task.row_count, 8000);
    assert_int_equal(text_of(reader, 1, "k00007999")[999], 19);
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void a_map_at_its_limit_changes_nothing_and_opens_again_with_a_higher_one(void **state)
{
    (void)state;
    const uint64_t limit = 1 << 20;
    mr_store *store = open_store(path, (mr_store_options){.map_bytes_max = limit});
    pile *p = pile_make(1, 1 << 20);
    mr_error err = {0};
    p->part.offsets[0] = 5;
    fill(p, 0, 100, 1000, 1);
    pile_write(p, store);
    fill(p, 0, 512, 2000, 2);
    p->part.offsets[0] = 6;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_store_write(store, &p->batch, &err), MR_RETRY);
        assert_says(&err, path);
        assert_says(&err, "state.map_bytes_max is 1048576");
    }
    mr_store_reader *reader = open_reader(store);
    mr_store_task task;
    bool found;
    assert_ok(mr_store_task_read(reader, 1, &task, &found, &err), err);
    assert_int_equal(task.row_count, 100);
    assert_int_equal(task.offsets[0], 5);
    assert_int_equal(text_of(reader, 1, "k00000000")[0], 1);
    mr_store_reader_close(reader);
    close_store(store);
    store = open_store(path, (mr_store_options){.map_bytes_max = 16 * limit});
    assert_ok(mr_store_write(store, &p->batch, &err), err);
    reader = open_reader(store);
    assert_ok(mr_store_task_read(reader, 1, &task, &found, &err), err);
    assert_int_equal(task.row_count, 512);
    assert_int_equal(task.offsets[0], 6);
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void a_batch_over_many_tasks_is_whole(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(0, 4096);
    mr_store_part parts[40];
    uint32_t tasks[40], count;
    mr_error err = {0};
    pile_add(p, "k", "v", 1);
    for (uint32_t i = 0; i < 40; i++) {
        parts[i] = p->part;
        parts[i].task = i * i;
    }
    assert_ok(mr_store_write(store, &(mr_store_batch){parts, 40}, &err), err);
    assert_ok(mr_store_tasks(reader, tasks, 40, &count, &err), err);
    assert_int_equal(count, 40);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(tasks[i], i * i);
        assert_string_equal(text_of(reader, i * i, "k"), "v");
    }
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static void a_dropped_task_is_gone_and_may_come_again(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    mr_error err = {0};
    put(store, 1, "k", "one");
    put(store, 2, "k", "two");
    put(store, 3, "k", "three");
    assert_string_equal(text_of(reader, 2, "k"), "two");
    assert_ok(mr_store_task_drop(store, 2, &err), err);
    assert_ok(mr_store_task_drop(store, 2, &err), err);
    assert_string_equal(text_of(reader, 2, "k"), "");
    assert_string_equal(text_of(reader, 3, "k"), "three");
    put(store, 2, "k2", "again");
    mr_store_reader_refresh(reader);
    assert_string_equal(text_of(reader, 2, "k"), "");
    assert_string_equal(text_of(reader, 2, "k2"), "again");
    mr_store_reader_close(reader);
    close_store(store);
    store = open_store(path, (mr_store_options){0});
    reader = open_reader(store);
    assert_string_equal(text_of(reader, 1, "k"), "one");
    assert_string_equal(text_of(reader, 2, "k"), "");
    assert_string_equal(text_of(reader, 2, "k2"), "again");
    mr_store_reader_close(reader);
    close_store(store);
}

static void a_task_may_come_and_go_more_often_than_there_are_handles(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.tasks_max = 2, .sync = MR_SYNC_NONE});
    mr_error err = {0};
    for (int i = 0; i < 50; i++) {
        put(store, 1, "k", "v");
        assert_ok(mr_store_task_drop(store, 1, &err), err);
    }
    put(store, 1, "k", "v");
    put(store, 2, "k", "v");
    const mr_store_part third = {.task = 3, .offsets = {-1, -1}};
    assert_int_equal(mr_store_write(store, &(mr_store_batch){&third, 1}, &err), MR_FATAL);
    assert_says(&err, "holds 2 tasks, the most that one worker opens, and task 3 is new");
    close_store(store);
}

static void a_dropped_task_gives_its_pages_back(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    pile *p = pile_make(1, 1 << 20);
    mr_store_stats before, after;
    mr_error err = {0};
    for (int i = 0; i < 30; i++) {
        fill(p, 0, 500, 1000, 1);
        pile_write(p, store);
        if (i == 2)
            assert_ok(mr_store_stat(store, &before, &err), err);
        assert_ok(mr_store_task_drop(store, 1, &err), err);
    }
    assert_ok(mr_store_stat(store, &after, &err), err);
    assert_true(after.file_bytes < 2 * before.file_bytes);
    close_store(store);
    pile_free(p);
}

typedef struct shared {
    mr_store *store;
    atomic_bool stop;
    atomic_uint reads;
} shared;

// Each batch writes one number to both ends of the key space: a snapshot shows one number.
static void *read_pairs(void *context)
{
    shared *s = context;
    mr_store_reader *reader;
    uint8_t first[64], last[64];
    uint32_t first_bytes, last_bytes;
    uint32_t before = 0;
    mr_error err;
    if (mr_store_reader_open(s->store, &reader, &err) != MR_OK)
        return "no reader";
    while (!atomic_load(&s->stop)) {
        if (mr_store_get(reader, 1, mr_bytes_text("a"), first, 64, &first_bytes, &err) != MR_OK)
            return "get";
        uint32_t one = 0;
        if (first_bytes == 20)
            memcpy(&one, first + 16, 4);
        // The map may have grown between the two reads, so the second may show a later commit.
        if (mr_store_get(reader, 1, mr_bytes_text("z"), last, 64, &last_bytes, &err) != MR_OK)
            return "get";
        uint32_t other = 0;
        if (last_bytes == 20)
            memcpy(&other, last + 16, 4);
        if (one < before || other < one)
            return "a snapshot went back";
        before = other;
        mr_store_reader_refresh(reader);
        atomic_fetch_add(&s->reads, 1);
    }
    mr_store_reader_close(reader);
    return NULL;
}

static void threads_read_while_the_map_grows_and_tasks_come_and_go(void **state)
{
    (void)state;
    shared s = {.store = open_store(path, (mr_store_options){.map_bytes_initial = 128 * 1024,
                                                             .sync = MR_SYNC_NONE})};
    pthread_t threads[2];
    pile *p = pile_make(1, 1 << 20);
    mr_error err = {0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &s), 0);
    for (uint32_t n = 1; n <= 60 || atomic_load(&s.reads) < 200; n++) {
        pile_add(p, "a", &n, sizeof n);
        fill(p, n * 20, 20, 2000, 1);
        pile_add(p, "z", &n, sizeof n);
        pile_write(p, s.store);
        put(s.store, 100 + n % 3, "k", "v");
        if (n % 7 == 0)
            assert_ok(mr_store_task_drop(s.store, 100 + n % 3, &err), err);
        assert_true(n < 100000);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < 2; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        if (complaint != NULL)
            fail_msg("%s", (const char *)complaint);
    }
    close_store(s.store);
    pile_free(p);
}

static void statistics_tell_how_old_the_oldest_snapshot_is(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    mr_store_stats stats;
    mr_error err = {0};
    put(store, 1, "k", "1");
    assert_string_equal(text_of(reader, 1, "k"), "1");
    put(store, 1, "k", "2");
    put(store, 1, "k", "3");
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_int_equal(stats.oldest_reader, 2);
    assert_true(stats.file_bytes >= stats.used_bytes);
    mr_store_reader_refresh(reader);
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_int_equal(stats.oldest_reader, 0);
    mr_store_reader_close(reader);
    close_store(store);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_new_folder_and_its_parents_are_made),
        test(rows_are_read_back_overwritten_and_erased),
        test(the_longest_key_and_the_largest_row_fit),
        test(markers_and_offsets_change_with_the_rows_and_last),
        test(an_empty_marker_takes_the_marker_away),
        test(rows_are_visited_in_key_order_below_a_prefix),
        test(the_map_grows_under_readers_and_the_batch_is_applied_once),
        test(a_map_at_its_limit_changes_nothing_and_opens_again_with_a_higher_one),
        test(a_batch_over_many_tasks_is_whole),
        test(a_dropped_task_is_gone_and_may_come_again),
        test(a_task_may_come_and_go_more_often_than_there_are_handles),
        test(a_dropped_task_gives_its_pages_back),
        test(threads_read_while_the_map_grows_and_tasks_come_and_go),
        test(statistics_tell_how_old_the_oldest_snapshot_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
