// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include "state/verify.h"
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

// The marker of these tests: count and hash as they stand in memory.
static mr_status read_marker(void *context, const mr_store_task *task, mr_verify_want *want,
                             mr_error *err)
{
    (void)context;
    if (task->marker_bytes == 0)
        return MR_OK;
    if (task->marker_bytes != sizeof *want)
        return mr_fail(err, MR_FATAL, "%u bytes", task->marker_bytes);
    memcpy(want, task->marker, sizeof *want);
    return MR_OK;
}

typedef struct faults {
    uint32_t count;
    char text[4][512];
} faults;

static void note_fault(void *context, const char *text)
{
    faults *f = context;
    if (f->count < 4)
        snprintf(f->text[f->count], sizeof f->text[0], "%s", text);
    f->count++;
}

static mr_status verify(faults *f, mr_verify_result *result, mr_error *err)
{
    *f = (faults){0};
    const mr_verify_options options = {
        .marker = read_marker, .fault = note_fault, .fault_context = f};
    return mr_verify_folder(path, &options, result, err);
}

// `rows` rows of about `size` bytes in each of three tasks; markers say what is there, plus `lie`
// rows.
static void fill(uint32_t rows, size_t size, uint64_t lie)
{
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    mr_store_reader *reader = open_reader(store);
    pile *p = pile_make(0, 4 << 20);
    char key[16], payload[4000];
    mr_error err = {0};
    for (uint32_t task = 1; task <= 3; task++) {
        p->part.task = task;
        for (uint32_t i = 0; i < rows; i++) {
            memset(payload, 'a' + (int)(i % 26), sizeof payload);
            snprintf(payload, sizeof payload, "payload %u of task %u", i, task);
            snprintf(key, sizeof key, "row-%05u", i);
            pile_add(p, key, payload, size);
            if (i % 500 == 499 || i == rows - 1)
                pile_write(p, store);
        }
        mr_verify_want want;
        mr_store_reader_refresh(reader);
        assert_ok(mr_verify_task(reader, task, &want, &err), err);
        assert_int_equal(want.row_count, rows);
        want.row_count += lie;
        p->part.marker = mr_bytes_of(&want, sizeof want);
        pile_write(p, store);
        p->part.marker = (mr_bytes){0};
    }
    mr_store_reader_close(reader);
    close_store(store);
    pile_free(p);
}

static int open_data(void)
{
    char name[160];
    snprintf(name, sizeof name, "%s/data.mdb", path);
    const int fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

// Changes a byte behind the text, in every page that has it.
static void damage(const char *text)
{
    uint8_t page[4096];
    const int fd = open_data();
    for (off_t at = 0; pread(fd, page, sizeof page, at) == sizeof page; at += (off_t)sizeof page) {
        uint8_t *found = memmem(page, sizeof page, text, strlen(text));
        if (found == NULL)
            continue;
        found[strlen(text)] ^= 0x20;
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
    }
    close(fd);
}

static void a_whole_state_has_no_faults(void **state)
{
    (void)state;
    faults f;
    mr_verify_result result;
    mr_error err = {0};
    fill(1000, 200, 0);
    assert_ok(verify(&f, &result, &err), err);
    assert_int_equal(f.count, 0);
    assert_int_equal(result.tasks, 3);
    assert_int_equal(result.rows, 3000);
    assert_int_equal(result.row_bytes, 3000 * (200 + MR_ROW_HEADER_BYTES));
    assert_int_equal(result.faults, 0);
}

static void a_damaged_row_is_named_and_the_rest_is_looked_at(void **state)
{
    (void)state;
    faults f;
    mr_verify_result result;
    mr_error err = {0};
    fill(1000, 200, 0);
    damage("payload 77 of task 2");
    assert_int_equal(verify(&f, &result, &err), MR_FATAL);
    assert_says(&err, "task 2: row row-00077: checksum is");
    assert_int_equal(f.count, 2);
    assert_string_equal(f.text[0], err.text);
    assert_string_equal(f.text[1], "task 2: 999 rows are whole, the marker says 1000");
    assert_int_equal(result.rows, 3000);
    assert_int_equal(result.faults, 2);
}

static void a_marker_that_disagrees_is_a_fault(void **state)
{
    (void)state;
    faults f;
    mr_verify_result result;
    mr_error err = {0};
    fill(10, 100, 1);
    assert_int_equal(verify(&f, &result, &err), MR_FATAL);
    assert_int_equal(f.count, 3);
    assert_string_equal(f.text[2], "task 3: 10 rows are whole, the marker says 11");
}

static void a_wrong_state_hash_and_an_unreadable_marker_are_faults(void **state)
{
    (void)state;
    faults f;
    mr_verify_result result;
    mr_error err = {0};
    fill(10, 100, 0);
    mr_store *store = open_store(path, (mr_store_options){0});
    pile *p = pile_make(1, 4096);
    mr_verify_want want = {.known = true, .row_count = 10};
    p->part.marker = mr_bytes_of(&want, sizeof want);
    pile_write(p, store);
    p->part.task = 2;
    p->part.marker = mr_bytes_text("?");
    pile_write(p, store);
    close_store(store);
    assert_int_equal(verify(&f, &result, &err), MR_FATAL);
    assert_int_equal(f.count, 2);
    assert_non_null(strstr(f.text[0], "task 1: the rows' state hash is"));
    assert_non_null(strstr(f.text[1], "task 2: marker: 1 bytes"));
    pile_free(p);
}

static void more_faults_than_wanted_are_counted_only(void **state)
{
    (void)state;
    faults f = {0};
    mr_verify_result result;
    mr_error err = {0};
    const mr_verify_options options = {.fault = note_fault, .fault_context = &f, .faults_max = 2};
    fill(10, 100, 0);
    damage("of task ");
    assert_int_equal(mr_verify_folder(path, &options, &result, &err), MR_FATAL);
    assert_int_equal(f.count, 2);
    assert_true(result.faults > 2);
}

// Pages are overwritten one after another: whatever LMDB makes of them, verify says that the folder
// is damaged, and comes back. Only a page that holds nothing now may go unnoticed.
static void any_overwritten_page_ends_in_a_sentence(void **state)
{
    (void)state;
    struct stat about;
    uint8_t saved[4096], rubbish[4096];
    uint32_t noticed = 0, pages = 0;
    fill(300, 200, 0);
    const int fd = open_data();
    assert_int_equal(fstat(fd, &about), 0);
    for (int kind = 0; kind < 2; kind++) {
        memset(rubbish, kind == 0 ? 0x00 : 0xff, sizeof rubbish);
        for (off_t at = 2 * 4096; at + 4096 <= about.st_size; at += 4096, pages++) {
            faults f;
            mr_verify_result result;
            mr_error err = {0};
            assert_int_equal(pread(fd, saved, sizeof saved, at), sizeof saved);
            assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, at), sizeof rubbish);
            const mr_status status = verify(&f, &result, &err);
            assert_true(status == MR_OK || (status == MR_FATAL && err.text[0] != '\0'));
            noticed += status != MR_OK;
            assert_int_equal(pwrite(fd, saved, sizeof saved, at), sizeof saved);
        }
    }
    close(fd);
    assert_true(pages > 60);
    assert_true(noticed * 3 > pages);
    assert_int_equal(verify(&(faults){0}, &(mr_verify_result){0}, &(mr_error){0}), MR_OK);
}

static void a_folder_without_state_is_said_to_be_one(void **state)
{
    (void)state;
    faults f;
    mr_verify_result result;
    mr_error err = {0};
    assert_int_equal(verify(&f, &result, &err), MR_FATAL);
    assert_says(&err, "there is no state in it");
}

static void a_state_is_verified_while_it_is_written(void **state)
{
    (void)state;
    fill(100, 100, 0);
    mr_store *store = open_store(path, (mr_store_options){.sync = MR_SYNC_NONE});
    pile *p = pile_make(1, 4096);
    for (uint32_t i = 0; i < 10; i++) {
        faults f;
        mr_verify_result result;
        mr_error err = {0};
        char key[16];
        snprintf(key, sizeof key, "new-%u", i);
        p->part.task = 10 + i;
        pile_add(p, key, "x", 1);
        pile_write(p, store);
        assert_ok(verify(&f, &result, &err), err);
        assert_int_equal(result.rows, 300 + i + 1);
    }
    close_store(store);
    pile_free(p);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_whole_state_has_no_faults),
        test(a_damaged_row_is_named_and_the_rest_is_looked_at),
        test(a_marker_that_disagrees_is_a_fault),
        test(a_wrong_state_hash_and_an_unreadable_marker_are_faults),
        test(more_faults_than_wanted_are_counted_only),
        test(any_overwritten_page_ends_in_a_sentence),
        test(a_folder_without_state_is_said_to_be_one),
        test(a_state_is_verified_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
