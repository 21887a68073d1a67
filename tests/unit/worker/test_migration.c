// SPDX-License-Identifier: Apache-2.0
// A state folder of each format that a release has written (tests/data/state), and what this
// release makes of it. Where a test of this file fails after a change of a row or of the folder,
// the change needs a migration, or a new format of its own beside the old one: not new numbers
// here.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "state/folder.h"
#include "state/verify.h"
#include "tests/unit/state/scratch.h"
#include "tests/unit/worker/capture.h"
#include "worker/backup.h"
#include "worker/command.h"

static char base[128];

// What format-1.tar.gz holds, as make.sh printed it.
enum { TASKS = 3, ROWS = 254, LEARNED = 600, ITEMS = 40 };
static const uint32_t task_rows[TASKS] = {104, 61, 89};
static const mr_hash128 state_hash = {.high = 0x981b3a179b11fa88, .low = 0x2b8209d69e2fd20e};

static int setup(void **state)
{
    char line[512];
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(base, sizeof base, "%.100s/migration-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL)
        return -1;
    snprintf(line, sizeof line, "tar -xzf tests/data/state/format-1.tar.gz -C '%s'", base);
    return system(line);
}

static int teardown(void **state)
{
    (void)state;
    char line[256];
    snprintf(line, sizeof line, "rm -r '%s'", base);
    return system(line);
}

static const char *folder(void)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/state", base);
    return path;
}

static void every_row_is_whole_and_adds_up_to_what_its_markers_say(void **state)
{
    (void)state;
    char line[256];
    mr_backup_about about;
    mr_error err = {0};
    snprintf(line, sizeof line, "inspect %s verify", folder());
    const captured *seen = capture(mr_command_inspect, line);
    if (seen->status != MR_EXIT_GOOD)
        fail_msg("%s%s", seen->out, seen->err);
    assert_ok(mr_backup_look(folder(), &about, &err), err);
    assert_string_equal(about.app, "kept");
    assert_int_equal(about.tasks, TASKS);
    assert_int_equal(about.tasks_here, TASKS);
    assert_int_equal(about.rows, ROWS);
    assert_int_equal(about.seq, 1700000000000);
    assert_int_equal(about.state_hash.high, state_hash.high);
    assert_int_equal(about.state_hash.low, state_hash.low);
}

// ---- the engine

typedef struct loading {
    mr_engine *engine;
    uint32_t task;
} loading;

static mr_status load_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    const loading *l = context;
    mr_row row;
    MR_TRY(mr_row_open(key, value, &row, err));
    return mr_engine_load(l->engine, l->task, key, row.payload, mr_row_hash(key, value), err);
}

typedef struct loaded {
    mr_methods methods;
    mr_config *config;
    void *memory;
    size_t memory_bytes;
    mr_engine *engine;
} loaded;

// With the settings that make.sh wrote it with.
static void open_engine(loaded *l)
{
    static const char *const sets[] = {"app=kept", "topics.clicks.kind=click", "items.max=1000",
                                       "users.memory=16MiB", "models.embedding.dim=8"};
    mr_error err = {0};
    mr_engine_config config;
    assert_ok(mr_methods_open(&l->methods, &err), err);
    const mr_config_source source = {.sets = sets,
                                     .set_count = sizeof sets / sizeof sets[0],
                                     .numbers = l->methods.numbers,
                                     .number_count = l->methods.count};
    assert_ok(mr_config_load(&l->config, &source, &err), err);
    mr_methods_apply(&l->methods, l->config);
    assert_ok(mr_methods_engine(&l->methods, l->config, TASKS, &config, &err), err);
    assert_ok(mr_engine_bytes(&config, &l->memory_bytes, &err), err);
    l->memory = mmap(NULL, l->memory_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(l->memory != MAP_FAILED);
    assert_ok(mr_engine_init(&l->engine, &config, l->memory, l->memory_bytes, &err), err);
}

static void close_engine(loaded *l)
{
    munmap(l->memory, l->memory_bytes);
    mr_config_free(l->config);
    mr_methods_close(&l->methods);
}

static void the_engine_takes_every_row_and_goes_on_from_them(void **state)
{
    (void)state;
    loaded l = {.engine = NULL};
    mr_error err = {0};
    mr_engine_metrics metrics;
    mr_hash128 sum = {0, 0};
    uint64_t learned = 0;
    open_engine(&l);
    mr_store *store = open_store(folder(), (mr_store_options){.sync = MR_SYNC_META});
    mr_store_reader *reader = open_reader(store);
    for (uint32_t task = 0; task < TASKS; task++) {
        loading taken = {l.engine, task};
        mr_engine_take(l.engine, task, 2);
        assert_ok(mr_store_each(reader, task, (mr_bytes){NULL, 0}, false, load_row, &taken, &err),
                  err);
        const mr_task_view view = mr_engine_task(l.engine, task);
        assert_int_equal(view.row_count, task_rows[task]);
        mr_hash128_add(&sum, view.state_hash);
        learned += view.counters.learned;
    }
    assert_ok(mr_engine_ready(l.engine, &err), err);
    assert_int_equal(sum.high, state_hash.high);
    assert_int_equal(sum.low, state_hash.low);
    assert_int_equal(learned, LEARNED);
    mr_engine_measure(l.engine, &metrics);
    assert_int_equal(metrics.items, ITEMS);
    mr_store_reader_close(reader);
    close_store(store);
    close_engine(&l);
}

// ---- another format

// Writes the version of the format in every place where it stands.
static void set_format(uint8_t version)
{
    static const uint8_t words[] = {'m', 'i', 'l', 'l', 'r', 'a', 'c', 'e', 1, 0, 0, 0, 0, 0, 0, 0};
    char name[192];
    struct stat about;
    uint32_t places = 0;
    snprintf(name, sizeof name, "%s/data.mdb", folder());
    const int fd = open(name, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    uint8_t *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(bytes != MAP_FAILED);
    for (size_t at = 0; at + sizeof words <= (size_t)about.st_size; at++)
        if (memcmp(bytes + at, words, sizeof words) == 0) {
            bytes[at + 8] = version;
            places++;
        }
    munmap(bytes, (size_t)about.st_size);
    close(fd);
    assert_true(places > 0);
}

static uint64_t hash_of_file(void)
{
    static uint8_t bytes[1 << 20];
    char name[192];
    snprintf(name, sizeof name, "%s/data.mdb", folder());
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_true(size > 0 && size < sizeof bytes);
    fclose(file);
    return mr_hash64(bytes, size, 0);
}

static void another_format_is_refused_by_every_door_and_left_as_it_is(void **state)
{
    (void)state;
    static const char want[] = "has format 2, this release reads 1";
    char line[512], owner[192];
    mr_error err = {0};
    mr_store *store;
    mr_backup_about about;
    set_format(2);
    const uint64_t before = hash_of_file();
    assert_int_equal(mr_store_open(folder(), &(mr_store_options){0}, &store, NULL, &err), MR_FATAL);
    assert_says(&err, want);
    assert_says(&err, folder());
    assert_int_equal(
        mr_store_open(folder(), &(mr_store_options){.read_only = true}, &store, NULL, &err),
        MR_FATAL);
    assert_says(&err, want);
    assert_int_equal(mr_backup_look(folder(), &about, &err), MR_FATAL);
    assert_says(&err, want);
    snprintf(line, sizeof line, "inspect %s verify", folder());
    const captured *seen = capture(mr_command_inspect, line);
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->err, want));
    snprintf(line, sizeof line,
             "restore --offline --set app=kept --set state.path=%s/new --from %s", base, folder());
    seen = capture(mr_command_restore, line);
    assert_int_equal(seen->status, MR_EXIT_FAILED);
    assert_non_null(strstr(seen->err, want));
    assert_int_equal(hash_of_file(), before);
    snprintf(owner, sizeof owner, "%s/owner", folder());
    struct stat note;
    assert_true(stat(owner, &note) != 0 || note.st_size == 0); // nobody signed it
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(every_row_is_whole_and_adds_up_to_what_its_markers_say),
        test(the_engine_takes_every_row_and_goes_on_from_them),
        test(another_format_is_refused_by_every_door_and_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
