// SPDX-License-Identifier: Apache-2.0
// Generations: a reader always finds the newest value, wherever it lies; gathering writes each row
// once.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "core/base/rng.h"
#include "state/row.h"
#include "tests/unit/worker/fakes.h"
#include "worker/generations.h"

typedef struct fixture {
    fake_store store;
    fake_clock clock;
    mr_store_port store_port;
    mr_clock clock_port;
    mr_generations *generations;
    uint64_t number;
} fixture;

static void setup(fixture *f, size_t gather_bytes, int64_t gather_ms)
{
    mr_error err = {0};
    memset(f, 0, sizeof *f);
    f->store_port = fake_store_port(&f->store);
    f->clock_port = fake_clock_port(&f->clock);
    const mr_generations_options options = {1 << 20, gather_bytes, gather_ms};
    assert_int_equal(
        mr_generations_open(&options, 64, &f->store_port, &f->clock_port, &f->generations, &err),
        MR_OK);
}

// A commit over tasks 0 and 1 with rows of task 0 named by a letter each, all of one value; '-'
// before a letter erases the row.
static mr_frozen *commit_of(fixture *f, const char *rows, const char *value)
{
    const uint32_t tasks[] = {0, 1};
    mr_frozen *frozen = NULL;
    mr_error err = {0};
    assert_int_equal(mr_generations_begin(f->generations, &frozen, &err), MR_OK);
    assert_int_equal(mr_frozen_begin(frozen, ++f->number, tasks, 2, &err), MR_OK);
    for (const char *row = rows; *row != '\0'; row++) {
        const bool erase = *row == '-';
        row += erase;
        char key[3] = {'u', *row, '\0'};
        mr_frozen_put_row(frozen, 0, 0, mr_bytes_text(key), mr_bytes_text(erase ? "" : value));
    }
    for (uint32_t task = 0; task < 2; task++) {
        for (uint32_t c = 0; c < MR_STORE_CHANGELOGS; c++)
            mr_frozen_put_marker(frozen, task, c, mr_bytes_of(&f->number, 1));
    }
    assert_int_equal(mr_frozen_seal(frozen, &err), MR_OK);
    return frozen;
}

static void confirm(fixture *f, mr_frozen *frozen)
{
    uint32_t count;
    mr_frozen_task *tasks = mr_frozen_tasks(frozen, &count);
    for (uint32_t i = 0; i < count; i++)
        tasks[i].next[0] = tasks[i].next[1] = (int64_t)(10 * f->number);
    mr_generations_confirm(f->generations, frozen);
}

// The value that a reader sees, "" for none.
static const char *read_row(fixture *f, char name)
{
    static char text[64];
    static uint8_t buffer[MR_ROW_BYTES_MAX];
    const char key[] = {'u', name, '\0'};
    uint32_t size = 0;
    mr_row row;
    mr_error err = {0};
    assert_int_equal(mr_generations_get(f->generations, 0, mr_bytes_text(key), buffer, &size, &err),
                     MR_OK);
    if (size == 0)
        return "";
    assert_int_equal(mr_row_open(mr_bytes_text(key), mr_bytes_of(buffer, size), &row, &err), MR_OK);
    snprintf(text, sizeof text, "%.*s", (int)row.payload.size, (const char *)row.payload.data);
    return text;
}

static void store(fixture *f)
{
    mr_error err = {0};
    assert_int_equal(mr_generations_store(f->generations, &err), MR_OK);
}

static void a_reader_takes_the_newest_generation_that_has_the_row(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1 << 20, 1000);
    mr_frozen *first = commit_of(&f, "ab", "one");
    assert_string_equal(read_row(&f, 'a'), ""); // open: the engine has it
    mr_generations_launch(f.generations, first);
    assert_string_equal(read_row(&f, 'a'), "one");
    confirm(&f, first);
    mr_frozen *second = commit_of(&f, "a", "two");
    mr_generations_launch(f.generations, second);
    assert_string_equal(read_row(&f, 'a'), "two");
    assert_string_equal(read_row(&f, 'b'), "one");
    store(&f); // only what is confirmed
    assert_string_equal(read_row(&f, 'a'), "two");
    assert_string_equal(read_row(&f, 'b'), "one");
    assert_int_equal(f.store.rows_written, 2);
    confirm(&f, second);
    store(&f);
    assert_string_equal(read_row(&f, 'a'), "two");
    assert_int_equal(f.store.rows_written, 3);
    mr_generations_close(f.generations);
}

static void an_erased_row_hides_the_older_ones(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1 << 20, 1000);
    mr_frozen *first = commit_of(&f, "a", "one");
    mr_generations_launch(f.generations, first);
    confirm(&f, first);
    store(&f);
    mr_frozen *second = commit_of(&f, "-a", "");
    mr_generations_launch(f.generations, second);
    assert_string_equal(read_row(&f, 'a'), "");
    confirm(&f, second);
    store(&f);
    assert_string_equal(read_row(&f, 'a'), "");
    mr_generations_close(f.generations);
}

static void a_snapshot_is_let_go_after_a_write_though_nothing_is_read(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1 << 20, 1000);
    for (uint32_t i = 1; i <= 3; i++) {
        mr_frozen *frozen = commit_of(&f, "a", "one");
        mr_generations_launch(f.generations, frozen);
        confirm(&f, frozen);
        mr_generations_refresh(f.generations);
        assert_int_equal(f.store.refreshes, i - 1); // nothing was written
        store(&f);
        mr_generations_refresh(f.generations);
        mr_generations_refresh(f.generations);
        assert_int_equal(f.store.refreshes, i);
    }
    mr_generations_close(f.generations);
}

static void gathered_commits_are_one_write_with_each_row_once(void **state)
{
    (void)state;
    fixture f;
    char value[16];
    setup(&f, 1 << 20, 1000);
    for (int i = 0; i < 10; i++) {
        snprintf(value, sizeof value, "v%d", i);
        mr_frozen *frozen = commit_of(&f, i == 0 ? "abc" : "ab", value);
        mr_generations_launch(f.generations, frozen);
        confirm(&f, frozen);
    }
    assert_int_equal(mr_generations_measure(f.generations).confirmed, 10);
    store(&f);
    assert_int_equal(f.store.writes, 1);
    assert_int_equal(f.store.rows_written, 3);
    assert_string_equal(read_row(&f, 'a'), "v9");
    assert_string_equal(read_row(&f, 'c'), "v0");
    // Markers and changelog offsets are the newest commit's.
    mr_bytes markers[MR_STORE_CHANGELOGS];
    mr_error err = {0};
    assert_int_equal(
        mr_marker_split(mr_bytes_of(f.store.tasks[1].marker, f.store.tasks[1].marker_bytes),
                        markers, &err),
        MR_OK);
    assert_int_equal(markers[0].data[0], 10);
    assert_int_equal(f.store.tasks[0].offsets[1], 100);
    assert_int_equal(mr_generations_measure(f.generations).confirmed_bytes, 0);
    mr_generations_close(f.generations);
}

static void a_write_is_due_by_age_by_size_and_when_the_pool_runs_out(void **state)
{
    (void)state;
    fixture f;
    setup(&f, 1000, 1000);
    assert_false(mr_generations_due(f.generations));
    mr_frozen *frozen = commit_of(&f, "a", "x");
    mr_generations_launch(f.generations, frozen);
    f.clock.now_ms += 5000;
    assert_false(mr_generations_due(f.generations)); // in flight only
    confirm(&f, frozen);
    f.clock.now_ms += 999;
    assert_false(mr_generations_due(f.generations));
    f.clock.now_ms += 1;
    assert_true(mr_generations_due(f.generations));
    store(&f);
    assert_false(mr_generations_due(f.generations));
    while (!mr_generations_due(f.generations)) {
        frozen = commit_of(&f, "abcdefgh", "x");
        mr_generations_launch(f.generations, frozen);
        confirm(&f, frozen);
    }
    assert_true(mr_generations_measure(f.generations).confirmed_bytes >= 1000);
    mr_generations_close(f.generations);

    setup(&f, 1 << 30, 1 << 30);
    mr_error err = {0};
    mr_frozen *all[MR_GENERATIONS_MAX];
    for (uint32_t i = 0; i < MR_GENERATIONS_MAX; i++)
        all[i] = commit_of(&f, "a", "x");
    assert_int_equal(mr_generations_begin(f.generations, &frozen, &err), MR_RETRY);
    for (uint32_t i = 0; i < MR_GENERATIONS_MAX; i++) {
        mr_generations_launch(f.generations, all[i]);
        confirm(&f, all[i]);
    }
    assert_true(mr_generations_due(f.generations));
    store(&f);
    assert_int_equal(mr_generations_begin(f.generations, &frozen, &err), MR_OK);
    mr_generations_cancel(f.generations, frozen);
    mr_generations_close(f.generations);
}

static void a_failed_write_changes_nothing(void **state)
{
    (void)state;
    fixture f;
    mr_error err = {0};
    setup(&f, 1 << 20, 1000);
    mr_frozen *frozen = commit_of(&f, "a", "one");
    mr_generations_launch(f.generations, frozen);
    confirm(&f, frozen);
    f.store.fail_next = 1;
    assert_int_equal(mr_generations_store(f.generations, &err), MR_RETRY);
    assert_int_equal(mr_generations_measure(f.generations).confirmed, 1);
    assert_string_equal(read_row(&f, 'a'), "one");
    store(&f);
    assert_int_equal(f.store.writes, 1);
    mr_generations_close(f.generations);
}

// Strategy: random commits, confirmations and writes over eight rows, against an array of what each
// row should be. Invariant: whatever lies where, a read gives the last value that was launched.
static void any_schedule_gives_what_a_plain_array_gives(void **state)
{
    (void)state;
    fixture f;
    char model[8][12] = {{0}}, value[12];
    mr_frozen *in_flight[MR_GENERATIONS_MAX];
    uint32_t waiting = 0;
    mr_rng rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
    setup(&f, 1 << 20, 1000);
    for (int step = 0; step < 3000; step++) {
        const uint32_t what = mr_rng_below(&rng, 4);
        if (what < 2 && waiting < 8 && mr_generations_measure(f.generations).confirmed < 40) {
            char rows[3] = {0};
            const uint32_t row = mr_rng_below(&rng, 8);
            const bool erase = mr_rng_below(&rng, 5) == 0;
            snprintf(value, sizeof value, "%d", step);
            snprintf(rows, sizeof rows, "%s%c", erase ? "-" : "", (char)('a' + row));
            mr_frozen *frozen = commit_of(&f, rows, value);
            mr_generations_launch(f.generations, frozen);
            in_flight[waiting++] = frozen;
            snprintf(model[row], sizeof model[row], "%s", erase ? "" : value);
        } else if (what == 2 && waiting > 0) {
            confirm(&f, in_flight[0]);
            memmove(in_flight, in_flight + 1, --waiting * sizeof in_flight[0]);
        } else if (what == 3) {
            f.store.fail_next = mr_rng_below(&rng, 3) == 0;
            mr_error err = {0};
            const mr_status status = mr_generations_store(f.generations, &err);
            assert_true(status == MR_OK || status == MR_RETRY);
            f.store.fail_next = 0;
        }
        for (uint32_t row = 0; row < 8; row++)
            assert_string_equal(read_row(&f, (char)('a' + row)), model[row]);
    }
    mr_generations_close(f.generations);
}

static void a_commit_that_is_too_large_is_refused_when_it_is_sealed(void **state)
{
    (void)state;
    static uint8_t payload[60000];
    const uint32_t tasks[] = {0};
    mr_frozen *frozen = NULL;
    mr_error err = {0};
    assert_int_equal(mr_frozen_open(100000, &frozen, &err), MR_OK);
    assert_int_equal(mr_frozen_begin(frozen, 1, tasks, 1, &err), MR_OK);
    mr_frozen_put_row(frozen, 0, 0, mr_bytes_text("ua"), mr_bytes_of(payload, sizeof payload));
    mr_frozen_put_row(frozen, 0, 0, mr_bytes_text("ub"), mr_bytes_of(payload, sizeof payload));
    mr_frozen_put_marker(frozen, 0, 0, mr_bytes_text("m"));
    assert_int_equal(mr_frozen_seal(frozen, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "more than 100000 bytes"));
    // The next commit begins afresh.
    assert_int_equal(mr_frozen_begin(frozen, 2, tasks, 1, &err), MR_OK);
    mr_frozen_put_row(frozen, 0, 0, mr_bytes_text("ua"), mr_bytes_of(payload, sizeof payload));
    mr_frozen_put_marker(frozen, 0, 0, mr_bytes_text("m"));
    mr_frozen_put_marker(frozen, 0, 1, mr_bytes_text("m"));
    assert_int_equal(mr_frozen_seal(frozen, &err), MR_OK);
    mr_frozen_close(frozen);
}

static void records_keep_their_headers_and_tell_null_from_empty(void **state)
{
    (void)state;
    const uint32_t tasks[] = {0};
    mr_frozen *frozen = NULL;
    mr_error err = {0};
    char name[] = "reason", text[] = "bad";
    const mr_header headers[] = {{name, mr_bytes_text(text)}, {"none", {NULL, 0}}};
    assert_int_equal(mr_frozen_open(100000, &frozen, &err), MR_OK);
    assert_int_equal(mr_frozen_begin(frozen, 1, tasks, 1, &err), MR_OK);
    mr_frozen_put_record(frozen, &(mr_record){.topic = MR_TOPIC_DEAD_LETTERS,
                                              .key = {(const uint8_t *)"", 0},
                                              .headers = headers,
                                              .header_count = 2});
    mr_frozen_put_marker(frozen, 0, 0, mr_bytes_text("m"));
    mr_frozen_put_marker(frozen, 0, 1, mr_bytes_text("m"));
    memset(name, 0, sizeof name);
    memset(text, 0, sizeof text);
    assert_int_equal(mr_frozen_seal(frozen, &err), MR_OK);
    uint32_t count;
    const mr_record *record = mr_frozen_records(frozen, &count);
    assert_int_equal(count, 1);
    assert_non_null(record->key.data);
    assert_int_equal(record->key.size, 0);
    assert_null(record->value.data);
    assert_string_equal(record->headers[0].name, "reason");
    assert_memory_equal(record->headers[0].value.data, "bad", 3);
    assert_null(record->headers[1].value.data);
    mr_frozen_close(frozen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_takes_the_newest_generation_that_has_the_row),
        cmocka_unit_test(an_erased_row_hides_the_older_ones),
        cmocka_unit_test(a_snapshot_is_let_go_after_a_write_though_nothing_is_read),
        cmocka_unit_test(gathered_commits_are_one_write_with_each_row_once),
        cmocka_unit_test(a_write_is_due_by_age_by_size_and_when_the_pool_runs_out),
        cmocka_unit_test(a_failed_write_changes_nothing),
        cmocka_unit_test(any_schedule_gives_what_a_plain_array_gives),
        cmocka_unit_test(a_commit_that_is_too_large_is_refused_when_it_is_sealed),
        cmocka_unit_test(records_keep_their_headers_and_tell_null_from_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
