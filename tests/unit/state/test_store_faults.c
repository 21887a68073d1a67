// SPDX-License-Identifier: Apache-2.0
// What the store does when the world is against it: other processes, kills, full disks, foreign and
// torn files. Each test ends with a folder that opens, or says what to do with it.
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "state/place.h"
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

static mr_status try_open(mr_store_options options, bool *dropped, mr_error *err)
{
    mr_store *store;
    const mr_status status = mr_store_open(path, &options, &store, dropped, err);
    if (status == MR_OK)
        close_store(store);
    return status;
}

static int exit_code_of(pid_t child)
{
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

// ---- who has the folder

static void a_second_owner_is_refused_by_pid_and_host(void **state)
{
    (void)state;
    char host[64], part[160];
    mr_store *store = open_store(path, (mr_store_options){0});
    const pid_t owner = getpid();
    gethostname(host, sizeof host);
    snprintf(part, sizeof part, "is in use by process %ld on host %s", (long)owner, host);
    const pid_t child = fork();
    if (child == 0) {
        mr_error err = {0};
        mr_store *second;
        if (mr_store_open(path, &(mr_store_options){0}, &second, NULL, &err) != MR_FATAL)
            _exit(1);
        _exit(strstr(err.text, part) != NULL && strstr(err.text, path) != NULL ? 0 : 2);
    }
    assert_int_equal(exit_code_of(child), 0);
    assert_true(mr_place_is_claimed(path));
    close_store(store);
    assert_false(mr_place_is_claimed(path));
    assert_int_equal(try_open((mr_store_options){0}, NULL, &(mr_error){0}), MR_OK);
}

static void the_names_of_network_filesystems_are_known(void **state)
{
    (void)state;
    assert_string_equal(mr_place_network_name(0x6969), "NFS");
    assert_string_equal(mr_place_network_name(0xff534d42), "CIFS");
    assert_null(mr_place_network_name(0xef53));     // ext4
    assert_null(mr_place_network_name(0x01021994)); // tmpfs
}

static void a_file_in_the_place_of_the_folder_is_refused(void **state)
{
    (void)state;
    mr_error err = {0};
    const int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(try_open((mr_store_options){0}, NULL, &err), MR_FATAL);
    assert_says(&err, "this is a file; name a folder");
    unlink(path);
}

static void looking_where_there_is_no_state_makes_none(void **state)
{
    (void)state;
    mr_error err = {0};
    assert_int_equal(try_open((mr_store_options){.read_only = true}, NULL, &err), MR_FATAL);
    assert_says(&err, "there is no state in it");
    assert_int_equal(access(path, F_OK), -1);
}

// ---- readers in other processes

enum { PAIRS = 300, GROWTH = 40 };

// Reads both numbers of a batch from one snapshot, again and again, until the last batch is seen.
static void watch(int ready)
{
    mr_store *store = NULL;
    mr_store_reader *reader = NULL;
    mr_error err = {0};
    uint8_t row[64];
    uint32_t size, one = 0, other = 0, before = 0, tasks = 0, snapshots = 0;
    if (mr_store_open(path, &(mr_store_options){.read_only = true}, &store, NULL, &err) != MR_OK ||
        mr_store_reader_open(store, &reader, &err) != MR_OK)
        _exit(10);
    if (write(ready, "r", 1) != 1)
        _exit(11);
    for (; other < PAIRS; mr_store_reader_refresh(reader), snapshots++) {
        if (mr_store_get(reader, 1, mr_bytes_text("a"), row, sizeof row, &size, &err) != MR_OK)
            _exit(12);
        memcpy(&one, row + MR_ROW_HEADER_BYTES, sizeof one);
        if (mr_store_get(reader, 1, mr_bytes_text("z"), row, sizeof row, &size, &err) != MR_OK)
            _exit(13);
        memcpy(&other, row + MR_ROW_HEADER_BYTES, sizeof other);
        if (one != other || other < before)
            _exit(14);
        if (mr_store_tasks(reader, NULL, 0, &tasks, &err) != MR_OK || tasks < 1)
            _exit(15);
        before = other;
    }
    if (tasks != 2) // the one that was made meanwhile
        _exit(16);
    mr_store_reader_close(reader);
    _exit(mr_store_close(store, &err) == MR_OK ? 0 : 17);
}

static void another_process_reads_whole_batches_while_the_file_grows(void **state)
{
    (void)state;
    mr_store *store =
        open_store(path, (mr_store_options){.map_bytes_initial = 128 * 1024, .sync = MR_SYNC_NONE});
    pile *p = pile_make(1, 1 << 20);
    uint8_t filler[2000] = {1};
    char key[16], byte;
    int ends[2];
    uint32_t n = 0;
    mr_store_stats stats;
    mr_error err = {0};
    assert_int_equal(pipe(ends), 0);
    pile_add(p, "a", &n, sizeof n);
    pile_add(p, "z", &n, sizeof n);
    pile_write(p, store);
    const pid_t child = fork();
    if (child == 0)
        watch(ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    for (n = 1; n <= PAIRS; n++) {
        pile_add(p, "a", &n, sizeof n);
        for (uint32_t i = 0; i < GROWTH; i++) {
            snprintf(key, sizeof key, "k%08u", n * GROWTH + i);
            pile_add(p, key, filler, sizeof filler);
        }
        pile_add(p, "z", &n, sizeof n);
        pile_write(p, store);
        if (n == PAIRS / 2)
            put(store, 2, "k", "v");
    }
    assert_int_equal(exit_code_of(child), 0);
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_true(stats.grown >= 10);
    close_store(store);
    pile_free(p);
}

static void the_slot_of_a_reader_that_was_killed_is_freed(void **state)
{
    (void)state;
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_stats stats;
    mr_error err = {0};
    uint32_t freed;
    char byte;
    int ends[2];
    put(store, 1, "k", "1");
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        mr_store *other = NULL;
        mr_store_reader *reader = NULL;
        uint32_t tasks;
        if (mr_store_open(path, &(mr_store_options){.read_only = true}, &other, NULL, &err) !=
                MR_OK ||
            mr_store_reader_open(other, &reader, &err) != MR_OK ||
            mr_store_tasks(reader, NULL, 0, &tasks, &err) != MR_OK || write(ends[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    put(store, 1, "k", "2");
    put(store, 1, "k", "3");
    assert_ok(mr_store_check_readers(store, &freed, &err), err);
    assert_int_equal(freed, 0);
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_int_equal(stats.oldest_reader, 2);
    kill(child, SIGKILL);
    assert_int_equal(exit_code_of(child), 128 + SIGKILL);
    assert_ok(mr_store_check_readers(store, &freed, &err), err);
    assert_int_equal(freed, 1);
    assert_ok(mr_store_stat(store, &stats, &err), err);
    assert_int_equal(stats.oldest_reader, 0);
    close(ends[0]);
    close(ends[1]);
    close_store(store);
}

static void more_readers_than_slots_are_told_so(void **state)
{
    (void)state;
    // The lock file is made of whole pages, so there are some slots more than asked for.
    mr_store *store = open_store(path, (mr_store_options){.readers_max = 1});
    mr_store_reader *readers[512];
    mr_error err = {0};
    uint32_t tasks, open = 0;
    mr_status status = MR_OK;
    while (status == MR_OK && open < 512) {
        readers[open] = open_reader(store);
        status = mr_store_tasks(readers[open++], NULL, 0, &tasks, &err);
    }
    assert_int_equal(status, MR_RETRY);
    assert_says(&err, "reader slots are taken");
    mr_store_reader_close(readers[0]);
    assert_ok(mr_store_tasks(readers[open - 1], NULL, 0, &tasks, &err), err);
    for (uint32_t i = 1; i < open; i++)
        mr_store_reader_close(readers[i]);
    close_store(store);
}

// ---- kills

enum { ENDS = 64 };

// Each batch writes its number to rows all over the tree, to a second task, the marker and the
// offsets.
static void write_until_killed(mr_sync sync, int told)
{
    mr_store *store;
    mr_error err = {0};
    if (mr_store_open(path, &(mr_store_options){.map_bytes_initial = 256 * 1024, .sync = sync},
                      &store, NULL, &err) != MR_OK)
        _exit(1);
    pile *p = pile_make(1, 1 << 20), *q = pile_make(2, 1 << 20);
    uint8_t payload[1500] = {0};
    char key[16];
    for (uint32_t n = 1;; n++) {
        memcpy(payload, &n, sizeof n);
        for (uint32_t i = 0; i < ENDS; i++) {
            snprintf(key, sizeof key, "k%04u", i);
            pile_add(p, key, payload, sizeof payload);
            pile_add(q, key, payload, sizeof n);
        }
        p->part.marker = mr_bytes_of(&n, sizeof n);
        q->part.offsets[0] = n;
        const mr_store_part parts[] = {p->part, q->part};
        if (mr_store_write(store, &(mr_store_batch){parts, 2}, &err) != MR_OK)
            _exit(2);
        pile_clear(p);
        pile_clear(q);
        if (n == 1 && write(told, "1", 1) != 1)
            _exit(3);
    }
}

static mr_status same_number(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const uint32_t *want = context;
    uint32_t found;
    (void)key;
    memcpy(&found, value.data + MR_ROW_HEADER_BYTES, sizeof found);
    return found == *want ? MR_OK
                          : mr_fail(err, MR_FATAL, "half a batch: %u, not %u", found, *want);
}

// The number that the whole store shows; fails if rows, marker and offsets disagree.
static uint32_t whole_batch(void)
{
    mr_store *store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    mr_store_task one, two;
    uint32_t n = 0;
    bool found;
    mr_error err = {0};
    assert_false(mr_store_left(store)->clean);
    assert_ok(mr_store_task_read(reader, 2, &two, &found, &err), err);
    if (found)
        assert_ok(mr_store_task_read(reader, 1, &one, &found, &err), err);
    if (found && one.marker_bytes > 0) {
        memcpy(&n, one.marker, sizeof n);
        assert_int_equal(two.offsets[0], n);
        assert_int_equal(one.row_count, ENDS);
        assert_int_equal(two.row_count, ENDS);
        for (uint32_t task = 1; task <= 2; task++)
            assert_ok(mr_store_each(reader, task, mr_bytes_of("", 0), true, same_number, &n, &err),
                      err);
    }
    mr_store_reader_close(reader);
    close_store(store);
    return n;
}

static void fifty_kills_in_the_middle_of_commits_show_whole_batches(void **state)
{
    (void)state;
    uint64_t batches = 0;
    for (uint32_t attempt = 0; attempt < 50; attempt++) {
        char byte;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_until_killed((mr_sync)(attempt % 3), ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1); // the first batch is in
        close(ends[0]);
        close(ends[1]);
        usleep(attempt % 10 * 700);
        kill(child, SIGKILL);
        assert_int_equal(exit_code_of(child), 128 + SIGKILL);
        batches += whole_batch();
    }
    assert_true(batches >= 50); // each showed a whole one
}

// ---- files that are not what they should be

static void overwrite_format(uint64_t format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    uint8_t text[16] = "millrace";
    memcpy(text + 8, &format, 8);
    MDB_val key = {6, (char[]){"format"}}, value = {sizeof text, text};
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 4);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void another_format_version_is_named_and_left_alone(void **state)
{
    (void)state;
    mr_error err = {0};
    mr_store *store = open_store(path, (mr_store_options){0});
    put(store, 1, "k", "v");
    close_store(store);
    overwrite_format(2);
    for (int read_only = 0; read_only < 2; read_only++) {
        assert_int_equal(try_open((mr_store_options){.read_only = read_only}, NULL, &err),
                         MR_FATAL);
        assert_says(&err, "has format 2, this release reads 1");
        assert_says(&err, "run the release that wrote it");
    }
    overwrite_format(MR_STORE_FORMAT);
    store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    assert_string_equal(text_of(reader, 1, "k"), "v");
    mr_store_reader_close(reader);
    close_store(store);
}

static void a_database_of_somebody_else_is_left_alone(void **state)
{
    (void)state;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi names;
    mr_error err = {0};
    MDB_val key = {4, (char[]){"meta"}}, value = {5, (char[]){"theirs"}};
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &names), 0);
    assert_int_equal(mdb_put(txn, names, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_int_equal(try_open((mr_store_options){0}, NULL, &err), MR_FATAL);
    assert_says(&err, "not millrace's; name another folder");
}

static int open_data(int flags)
{
    char name[160];
    snprintf(name, sizeof name, "%s/data.mdb", path);
    const int fd = open(name, flags, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void bytes_that_are_no_database_are_refused(void **state)
{
    (void)state;
    mr_error err = {0};
    char garbage[16384];
    memset(garbage, 'x', sizeof garbage);
    assert_int_equal(mkdir(path, 0700), 0);
    const int fd = open_data(O_CREAT | O_RDWR);
    assert_int_equal(write(fd, garbage, sizeof garbage), sizeof garbage);
    assert_int_equal(try_open((mr_store_options){0}, NULL, &err), MR_FATAL);
    assert_says(&err, "remove the folder: the state is restored from the changelog");
    assert_int_equal(ftruncate(fd, 100), 0); // shorter than a header
    assert_int_equal(try_open((mr_store_options){0}, NULL, &err), MR_FATAL);
    close(fd);
}

static void a_file_cut_short_is_told_from_a_whole_one(void **state)
{
    (void)state;
    mr_error err = {0};
    struct stat about;
    mr_store *store = open_store(path, (mr_store_options){0});
    for (uint32_t i = 0; i < 50; i++)
        put(store, i, "k", "v");
    close_store(store);
    const int fd = open_data(O_RDWR);
    assert_int_equal(fstat(fd, &about), 0);
    assert_int_equal(try_open((mr_store_options){.read_only = true}, NULL, &err), MR_OK);
    assert_int_equal(ftruncate(fd, about.st_size - 1), 0);
    for (int read_only = 0; read_only < 2; read_only++) {
        assert_int_equal(try_open((mr_store_options){.read_only = read_only}, NULL, &err),
                         MR_FATAL);
        assert_says(&err, "data.mdb: torn: its header speaks of");
    }
    close(fd);
}

// Changes one byte of the payload of the row whose payload is `text`, in every page that has it.
static void damage(const char *text)
{
    uint8_t page[4096];
    const int fd = open_data(O_RDWR);
    int hits = 0;
    for (off_t at = 0; pread(fd, page, sizeof page, at) == sizeof page; at += (off_t)sizeof page) {
        uint8_t *found = memmem(page, sizeof page, text, strlen(text));
        if (found == NULL)
            continue;
        *found ^= 1;
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
        hits++;
    }
    assert_true(hits > 0);
    close(fd);
}

static void a_flipped_bit_in_a_row_is_found_when_it_is_read(void **state)
{
    (void)state;
    mr_error err = {0};
    uint8_t buffer[256];
    uint32_t size;
    mr_store *store = open_store(path, (mr_store_options){0});
    put(store, 9, "whole", "a payload");
    put(store, 9, "hurt", "another payload with a tail");
    close_store(store);
    damage("another payload with a tail");
    store = open_store(path, (mr_store_options){0});
    mr_store_reader *reader = open_reader(store);
    assert_string_equal(text_of(reader, 9, "whole"), "a payload");
    assert_int_equal(
        mr_store_get(reader, 9, mr_bytes_text("hurt"), buffer, sizeof buffer, &size, &err),
        MR_FATAL);
    assert_says(&err, "task 9: row hurt: checksum is");
    assert_says(&err, path);
    mr_store_reader_close(reader);
    close_store(store);
}

// ---- after the machine went down

static void pretend_another_boot(void)
{
    char name[160], text[512];
    snprintf(name, sizeof name, "%s/owner", path);
    const int fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    const ssize_t size = pread(fd, text, sizeof text - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    char *boot = strstr(text, "boot ");
    assert_non_null(boot);
    boot[5] = boot[5] == '0' ? '1' : '0';
    assert_int_equal(pwrite(fd, text, (size_t)size, 0), size);
    close(fd);
}

// A child writes a row and dies without closing; then the machine "restarts".
static void crash(mr_sync sync, bool restart)
{
    const pid_t child = fork();
    if (child == 0) {
        mr_store *store = open_store(path, (mr_store_options){.sync = sync});
        put(store, 1, "k", "v");
        _exit(0);
    }
    assert_int_equal(exit_code_of(child), 0);
    if (restart)
        pretend_another_boot();
}

static const char *what_is_left(bool *dropped)
{
    mr_store *store;
    mr_error err = {0};
    assert_ok(mr_store_open(path, &(mr_store_options){0}, &store, dropped, &err), err);
    mr_store_reader *reader = open_reader(store);
    const char *text = text_of(reader, 1, "k");
    mr_store_reader_close(reader);
    close_store(store);
    return text;
}

static void only_an_unsynced_copy_of_another_boot_is_dropped(void **state)
{
    (void)state;
    bool dropped;
    mr_error err = {0};
    crash(MR_SYNC_META, true);
    assert_string_equal(what_is_left(&dropped), "v");
    assert_false(dropped);
    crash(MR_SYNC_NONE, false);
    assert_string_equal(what_is_left(&dropped), "v");
    assert_false(dropped);
    pretend_another_boot(); // but it was closed clean
    assert_string_equal(what_is_left(&dropped), "v");
    assert_false(dropped);
    crash(MR_SYNC_NONE, true);
    assert_int_equal(try_open((mr_store_options){.read_only = true}, NULL, &err), MR_FATAL);
    assert_says(&err, "the next start of the worker drops it");
    assert_string_equal(what_is_left(&dropped), "");
    assert_true(dropped);
}

static void a_note_that_cannot_be_read_is_not_trusted(void **state)
{
    (void)state;
    bool dropped;
    char name[160];
    crash(MR_SYNC_META, false);
    snprintf(name, sizeof name, "%s/owner", path);
    assert_int_equal(truncate(name, 20), 0);
    assert_string_equal(what_is_left(&dropped), "");
    assert_true(dropped);
    crash(MR_SYNC_META, false);
    assert_int_equal(unlink(name), 0); // a copy made without it
    assert_string_equal(what_is_left(&dropped), "v");
    assert_false(dropped);
}

// ---- a full disk

enum { NO_MOUNT = 77 };

// In a mount namespace of its own, so that the small disk goes with the process.
static void fill_a_disk(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir(path, 0700) != 0 || mount("tmpfs", path, "tmpfs", 0, "size=2m") != 0)
        _exit(NO_MOUNT);
    mr_error err = {0};
    mr_store *store = NULL;
    if (mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err) != MR_OK)
        _exit(1);
    pile *p = pile_make(1, 1 << 20);
    uint8_t payload[1500] = {0};
    char key[16];
    uint32_t written = 0;
    mr_status status = MR_OK;
    for (uint32_t n = 1; n < 100 && status == MR_OK; n++) {
        for (uint32_t i = 0; i < 100; i++) {
            snprintf(key, sizeof key, "k%08u", n * 100 + i);
            pile_add(p, key, payload, sizeof payload);
        }
        p->part.offsets[0] = n;
        status = mr_store_write(store, &p->batch, &err);
        if (status == MR_OK) {
            written = n;
            pile_clear(p);
        }
    }
    if (status != MR_RETRY || written < 3 || strstr(err.text, "full") == NULL ||
        strstr(err.text, path) == NULL)
        _exit(2);
    if (mr_store_write(store, &p->batch, &err) != MR_RETRY) // and again
        _exit(3);
    mr_store_reader *reader = NULL;
    mr_store_task task;
    bool found;
    if (mr_store_reader_open(store, &reader, &err) != MR_OK ||
        mr_store_task_read(reader, 1, &task, &found, &err) != MR_OK || !found ||
        task.offsets[0] != written || task.row_count != written * 100)
        _exit(4);
    mr_store_reader_close(reader);
    if (mr_store_close(store, &err) != MR_OK ||
        mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err) != MR_OK)
        _exit(5);
    if (mount("tmpfs", path, "tmpfs", MS_REMOUNT, "size=16m") != 0)
        _exit(NO_MOUNT);
    if (mr_store_write(store, &p->batch, &err) != MR_OK || mr_store_close(store, &err) != MR_OK)
        _exit(6);
    _exit(0);
}

// The lock file is mapped and written too: without blocks reserved for it this would be a SIGBUS.
static void open_on_a_full_disk(void)
{
    char name[160], block[4096] = {1};
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir(path, 0700) != 0 || mount("tmpfs", path, "tmpfs", 0, "size=1m") != 0)
        _exit(NO_MOUNT);
    snprintf(name, sizeof name, "%s/filler", path);
    const int fd = open(name, O_CREAT | O_WRONLY, 0600);
    uint32_t blocks = 0;
    while (write(fd, block, sizeof block) == sizeof block)
        blocks++;
    close(fd);
    for (; blocks > 0; blocks--) { // gives back a page at a time, until it can be opened
        mr_error err = {0};
        mr_store *store = NULL;
        const mr_status status = mr_store_open(path, &(mr_store_options){0}, &store, NULL, &err);
        if (status == MR_OK) {
            if (truncate(name, 0) != 0)
                _exit(4);
            put(store, 1, "k", "v");
            _exit(mr_store_close(store, &err) == MR_OK ? 0 : 3);
        }
        if (status != MR_RETRY || strstr(err.text, "full") == NULL)
            _exit(2);
        if (truncate(name, (off_t)(blocks - 1) * 4096) != 0)
            _exit(4);
    }
    _exit(5);
}

static void run_on_small_disk(void (*body)(void), const char *name)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        body();
    const int code = exit_code_of(child);
    rmdir(path); // the mount point
    if (code == NO_MOUNT) {
        print_message("[  SKIPPED ] %s: mounting a tmpfs is not permitted here\n", name);
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(code, 0);
}

static void a_full_disk_changes_nothing_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    run_on_small_disk(fill_a_disk, "a_full_disk_changes_nothing_and_goes_on_when_there_is_room");
}

static void opening_on_a_full_disk_says_so(void **state)
{
    (void)state;
    run_on_small_disk(open_on_a_full_disk, "opening_on_a_full_disk_says_so");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(a_second_owner_is_refused_by_pid_and_host),
        test(the_names_of_network_filesystems_are_known),
        test(a_file_in_the_place_of_the_folder_is_refused),
        test(looking_where_there_is_no_state_makes_none),
        test(another_process_reads_whole_batches_while_the_file_grows),
        test(the_slot_of_a_reader_that_was_killed_is_freed),
        test(more_readers_than_slots_are_told_so),
        test(fifty_kills_in_the_middle_of_commits_show_whole_batches),
        test(another_format_version_is_named_and_left_alone),
        test(a_database_of_somebody_else_is_left_alone),
        test(bytes_that_are_no_database_are_refused),
        test(a_file_cut_short_is_told_from_a_whole_one),
        test(a_flipped_bit_in_a_row_is_found_when_it_is_read),
        test(only_an_unsynced_copy_of_another_boot_is_dropped),
        test(a_note_that_cannot_be_read_is_not_trusted),
        test(a_full_disk_changes_nothing_and_goes_on_when_there_is_room),
        test(opening_on_a_full_disk_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
