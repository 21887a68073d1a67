// SPDX-License-Identifier: Apache-2.0
// Files as one stream, against all of their rows put in order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "worker/arrivals.h"

enum { FILES = 4, ROWS_MAX = 200 };

static char paths[FILES][40];
static const char *const names[FILES] = {paths[0], paths[1], paths[2], paths[3]};

static int make_files(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/millrace-arrivals-XXXXXX");
        const int file = mkstemp(paths[i]);
        if (file < 0)
            return -1;
        close(file);
    }
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FILES; i++)
        unlink(paths[i]);
    return 0;
}

// Rows "time,user,item,type" without their header.
static void write_file(uint32_t index, const char *rows)
{
    FILE *file = fopen(paths[index], "w");
    assert_non_null(file);
    fprintf(file, "timestamp_ms,user,item,type\n%s", rows);
    fclose(file);
}

// Users of all events in the order in which they come, with commas; "!" for a bad row.
static char *users_of(uint32_t count, mr_arrivals_files *files)
{
    static char text[FILES * ROWS_MAX * 16];
    mr_error err = {0};
    mr_arrivals from;
    mr_arrival arrival;
    size_t used = 0;
    int64_t offset = 0;
    if (mr_arrivals_of_files(names, count, NULL, NULL, files, &from, &err) != MR_OK)
        fail_msg("%s", err.text);
    text[0] = '\0';
    for (bool more = true; more;) {
        const mr_status status = from.next(from.context, &arrival, &more, &err);
        if (status == MR_REJECT) {
            used += (size_t)snprintf(text + used, sizeof text - used, "!,");
            more = true;
            continue;
        }
        assert_int_equal(status, MR_OK);
        if (!more)
            break;
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s,",
                                 (int)arrival.event.user.size, arrival.event.user.data);
        assert_true(arrival.offset > offset);
        assert_int_equal(arrival.record_ms, arrival.event.time_ms);
        offset = arrival.offset;
    }
    uint64_t done, total;
    from.progress(from.context, &done, &total);
    assert_int_equal(done, total);
    from.close(from.context);
    return text;
}

typedef struct row {
    int64_t time_ms;
    uint32_t file, number;
} row;

static int by_time(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void files_in_order_come_as_all_rows_sorted_by_time_file_and_place(void **state)
{
    (void)state;
    static row rows[FILES * ROWS_MAX];
    static char text[ROWS_MAX * 48], want[FILES * ROWS_MAX * 16];
    mr_rng rng = mr_rng_make(5, 0, 0, 0, MR_PURPOSE_SAMPLE);
    for (uint32_t round = 0; round < 20; round++) {
        mr_arrivals_files files;
        uint32_t count = 0;
        size_t used = 0;
        for (uint32_t f = 0; f < FILES; f++) {
            const uint32_t length = mr_rng_below(&rng, ROWS_MAX);
            int64_t time_ms = 1700000000000;
            used = 0;
            text[0] = '\0';
            for (uint32_t i = 0; i < length; i++) { // many times are equal
                time_ms += mr_rng_below(&rng, 3);
                rows[count++] = (row){time_ms, f, i};
                used += (size_t)snprintf(text + used, sizeof text - used, "%lld,u%u_%u,x,click\n",
                                         (long long)time_ms, f, i);
            }
            write_file(f, text);
        }
        qsort(rows, count, sizeof *rows, by_time);
        used = 0;
        want[0] = '\0';
        for (uint32_t i = 0; i < count; i++)
            used += (size_t)snprintf(want + used, sizeof want - used, "u%u_%u,", rows[i].file,
                                     rows[i].number);
        assert_string_equal(users_of(FILES, &files), want);
        for (uint32_t f = 0; f < FILES; f++)
            assert_int_equal(files.of[f].older, 0);
    }
}

static void equal_times_come_in_the_order_of_the_files(void **state)
{
    (void)state;
    mr_arrivals_files files;
    write_file(0, "1700000000001,b,x,click\n1700000000002,d,x,click\n");
    write_file(1, "1700000000000,a,x,click\n1700000000001,c,x,click\n1700000000002,e,x,click\n");
    assert_string_equal(users_of(2, &files), "a,b,c,d,e,");
    assert_int_equal(files.count, 2);
    assert_int_equal(files.of[0].events, 2);
    assert_int_equal(files.of[1].events, 3);
}

static void events_older_than_one_before_them_keep_their_place_and_are_counted(void **state)
{
    (void)state;
    mr_arrivals_files files;
    write_file(0, "1700000000005,a,x,click\n1700000000009,d,x,click\n"
                  "1700000000001,e,x,click\n1700000000009,f,x,click\n1700000000008,g,x,click\n"
                  "5,i,x,click\n"); // no time: refused later, for that
    write_file(1, "1700000000006,b,x,click\n1700000000007,c,x,click\n1700000000010,h,x,click\n");
    assert_string_equal(users_of(2, &files), "a,b,c,d,e,f,g,i,h,");
    assert_int_equal(files.of[0].older, 2);
    assert_int_equal(files.of[0].first_older, 3);
    assert_int_equal(files.of[1].older, 0);
    assert_int_equal(files.of[1].first_older, 0);
}

static void a_bad_row_is_told_and_no_event_is_lost_by_it(void **state)
{
    (void)state;
    mr_arrivals_files files;
    write_file(0, "1700000000001,a,x,click\nnever,z,x,click\n1700000000003,c,x,click\nnever,z,x,"
                  "click\n");
    write_file(1, "1700000000002,b,x,click\n1700000000004,d,x,click\n");
    assert_string_equal(users_of(2, &files), "a,!,b,c,!,d,");
    assert_int_equal(files.of[0].events, 2);
}

static void files_without_events_are_no_hindrance(void **state)
{
    (void)state;
    mr_arrivals_files files;
    write_file(0, "");
    write_file(1, "1700000000002,a,x,click\n");
    write_file(2, "");
    assert_string_equal(users_of(3, &files), "a,");
    assert_string_equal(users_of(1, &files), "");
}

static void what_cannot_be_opened_is_named_before_anything_is_read(void **state)
{
    (void)state;
    mr_arrivals_files files;
    mr_arrivals from;
    mr_error err = {0};
    const char *const missing[] = {paths[0], "/nowhere/at/all.csv"}, *const twice[] = {"-", "-"};
    write_file(0, "1700000000002,a,x,click\n");
    assert_int_equal(mr_arrivals_of_files(missing, 2, NULL, NULL, &files, &from, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "/nowhere/at/all.csv"));
    assert_int_equal(mr_arrivals_of_files(twice, 2, NULL, NULL, &files, &from, &err), MR_FATAL);
    assert_non_null(strstr(err.text, "standard input"));
}

static void write_text(uint32_t number, const char *text)
{
    FILE *file = fopen(paths[number], "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_catalogue_comes_before_the_first_event_and_at_its_time(void **state)
{
    (void)state;
    mr_arrivals_files files;
    mr_arrivals from;
    mr_arrival a;
    mr_error err = {0};
    bool more = true;
    write_file(0, "1700000000005,u,x,click\n1700000000006,v,x,click\n");
    write_text(1, "item,category,title,vector,colour\n"
                  "x,shoes|red,A shoe,0.5 -1e1 2,brown\n"
                  "y,,,1 2  3,\n"
                  "z,,,,\n");
    assert_int_equal(mr_arrivals_of_files(names, 1, NULL, NULL, &files, &from, &err), MR_OK);
    assert_int_equal(mr_arrivals_with_catalogue(paths[1], &from, &err), MR_OK);
    assert_int_equal(from.next(from.context, &a, &more, &err), MR_OK);
    assert_int_equal(a.event.kind, MR_EVENT_CATALOGUE);
    assert_int_equal(a.event.time_ms, 1700000000005);
    assert_true(mr_event_has(&a.event, MR_FIELD_time) && mr_event_has(&a.event, MR_FIELD_vector));
    assert_int_equal(a.event.category_count, 2);
    assert_true(mr_bytes_equal(a.event.categories[1], mr_bytes_text("red")));
    assert_true(mr_bytes_equal(a.event.title, mr_bytes_text("A shoe")));
    assert_int_equal(a.event.vector_count, 3);
    assert_true(a.event.vector[0] == 0.5f && a.event.vector[1] == -10 && a.event.vector[2] == 2);
    assert_int_equal(a.event.context_count, 1);
    assert_true(mr_bytes_equal(a.event.context[0].name, mr_bytes_text("colour")));
    assert_int_equal(from.next(from.context, &a, &more, &err), MR_REJECT); // two spaces
    assert_non_null(strstr(err.text, ":3: column 'vector': want up to 1024 numbers"));
    assert_int_equal(from.next(from.context, &a, &more, &err), MR_OK);
    assert_true(more && mr_bytes_equal(a.event.item, mr_bytes_text("z")));
    assert_int_equal(a.event.vector_count, 0);
    for (const char *user = "u"; user != NULL; user = *user == 'u' ? "v" : NULL) {
        assert_int_equal(from.next(from.context, &a, &more, &err), MR_OK);
        assert_true(more && mr_bytes_equal(a.event.user, mr_bytes_text(user)));
    }
    assert_int_equal(from.next(from.context, &a, &more, &err), MR_OK);
    assert_false(more);
    from.close(from.context);
}

static void a_catalogue_without_events_behind_it_is_none(void **state)
{
    (void)state;
    mr_arrivals_files files;
    mr_arrivals from;
    mr_arrival a;
    mr_error err = {0};
    bool more = true;
    write_file(0, "");
    write_text(1, "item\nx\n");
    assert_int_equal(mr_arrivals_of_files(names, 1, NULL, NULL, &files, &from, &err), MR_OK);
    assert_int_equal(mr_arrivals_with_catalogue("/nowhere/at/all.csv", &from, &err), MR_FATAL);
    assert_int_equal(mr_arrivals_with_catalogue(paths[1], &from, &err), MR_OK);
    assert_int_equal(from.next(from.context, &a, &more, &err), MR_OK);
    assert_false(more);
    from.close(from.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_in_order_come_as_all_rows_sorted_by_time_file_and_place),
        cmocka_unit_test(equal_times_come_in_the_order_of_the_files),
        cmocka_unit_test(events_older_than_one_before_them_keep_their_place_and_are_counted),
        cmocka_unit_test(a_bad_row_is_told_and_no_event_is_lost_by_it),
        cmocka_unit_test(files_without_events_are_no_hindrance),
        cmocka_unit_test(a_catalogue_comes_before_the_first_event_and_at_its_time),
        cmocka_unit_test(a_catalogue_without_events_behind_it_is_none),
        cmocka_unit_test(what_cannot_be_opened_is_named_before_anything_is_read),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
