// SPDX-License-Identifier: Apache-2.0
#include "state/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS_MAX = 65536 };

typedef struct place { // shared with the child: where it is, and what it found
    mr_verify_result result;
    char first[256]; // the first fault
    bool opened, finished;
    uint32_t task;
    uint32_t key_bytes; // of the last row that was read whole; 0: none yet
    uint8_t key[MR_STORE_KEY_MAX];
    mr_status status; // of a failure other than a fault
    mr_error err;
} place;

typedef struct walk {
    const mr_verify_options *options;
    place *at;
    FILE *faults; // lines to the parent
    mr_verify_want sum;
    uint32_t task;
} walk;

static void add_row(mr_verify_want *sum, mr_bytes key, mr_bytes value)
{
    sum->row_count++;
    mr_hash128_add(&sum->state_hash, mr_row_hash(key, value));
}

static void report(walk *w, const char *text)
{
    place *at = w->at;
    const uint32_t limit = w->options->faults_max == 0 ? 100 : w->options->faults_max;
    if (at->result.faults == 0)
        snprintf(at->first, sizeof at->first, "%s", text);
    if (at->result.faults < limit)
        fprintf(w->faults, "%s\n", text);
    at->result.faults++;
}

static mr_status look_at_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    walk *w = context;
    mr_row row;
    mr_error fault = {0};
    // A damaged page may lead back to an earlier one: then the walk would never end.
    const mr_bytes last = mr_bytes_of(w->at->key, w->at->key_bytes);
    if (last.size > 0 && mr_bytes_compare(last, key) >= 0)
        return mr_fail(err, MR_FATAL, "the keys of the rows are out of order");
    w->at->result.rows++;
    w->at->result.row_bytes += value.size;
    if (mr_row_open(key, value, &row, &fault) != MR_OK) {
        mr_wrap(&fault, "task %" PRIu32, w->task);
        report(w, fault.text);
    } else {
        add_row(&w->sum, key, value);
    }
    w->at->key_bytes = 0; // never half of one key and half of another
    memcpy(w->at->key, key.data, key.size);
    w->at->key_bytes = key.size;
    return MR_OK;
}

static void compare(walk *w, const mr_verify_want *want)
{
    char text[256];
    const mr_verify_want *sum = &w->sum;
    if (!want->known)
        return;
    if (want->row_count != sum->row_count) {
        snprintf(text, sizeof text,
                 "task %" PRIu32 ": %" PRIu64 " rows are whole, the marker says %" PRIu64, w->task,
                 sum->row_count, want->row_count);
        report(w, text);
    } else if (want->state_hash.low != sum->state_hash.low ||
               want->state_hash.high != sum->state_hash.high) {
        snprintf(text, sizeof text,
                 "task %" PRIu32 ": the rows' state hash is %016" PRIx64 "%016" PRIx64
                 ", the marker says %016" PRIx64 "%016" PRIx64,
                 w->task, sum->state_hash.high, sum->state_hash.low, want->state_hash.high,
                 want->state_hash.low);
        report(w, text);
    }
}

static mr_status look_at_task(walk *w, mr_store_reader *reader, mr_error *err)
{
    static mr_store_task record; // 64 KiB; a child has one thread
    mr_verify_want want = {0};
    bool found;
    w->sum = (mr_verify_want){0};
    // No refresh between the two: record and rows come from one snapshot.
    MR_TRY(mr_store_task_read(reader, w->task, &record, &found, err));
    if (!found)
        return MR_OK; // dropped since the list was read
    w->at->result.tasks++;
    if (w->options->marker != NULL &&
        w->options->marker(w->options->marker_context, &record, &want, err) != MR_OK) {
        mr_wrap(err, "task %" PRIu32 ": marker", w->task);
        report(w, err->text);
        want.known = false;
    }
    MR_TRY(mr_store_each(reader, w->task, mr_bytes_of("", 0), false, look_at_row, w, err));
    compare(w, &want);
    return MR_OK;
}

static mr_status report_damage(walk *w, mr_error *err)
{
    char key[96];
    if (w->at->key_bytes > 0)
        mr_wrap(err, "task %" PRIu32 ", after row %s", w->task,
                mr_row_print_key(mr_bytes_of(w->at->key, w->at->key_bytes), key, sizeof key));
    else
        mr_wrap(err, "task %" PRIu32 ", at its first row", w->task);
    report(w, err->text);
    return MR_OK;
}

static mr_status look_at_all(walk *w, mr_store *store, mr_error *err)
{
    mr_store_reader *reader;
    uint32_t *tasks = malloc(TASKS_MAX * sizeof *tasks), count = 0;
    if (tasks == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = mr_store_reader_open(store, &reader, err);
    if (status == MR_OK) {
        status = mr_store_tasks(reader, tasks, TASKS_MAX, &count, err);
        for (uint32_t i = 0; status == MR_OK && i < count && i < TASKS_MAX; i++) {
            w->at->task = w->task = tasks[i];
            w->at->key_bytes = 0;
            mr_store_reader_refresh(reader);
            status = look_at_task(w, reader, err);
            if (status == MR_FATAL)
                status = report_damage(w, err); // the other tasks may be whole
        }
        mr_store_reader_close(reader);
    }
    free(tasks);
    return status;
}

static void verify_in_child(const char *path, walk *w)
{
    const mr_store_options options = {.read_only = true, .tasks_max = TASKS_MAX};
    const struct rlimit no_core = {0, 0};
    place *at = w->at;
    mr_error ignored;
    mr_store *store;
    setrlimit(RLIMIT_CORE, &no_core);
    // What LMDB says on a failed assertion of its own goes nowhere: the parent says it better.
    if (freopen("/dev/null", "w", stderr) == NULL)
        _exit(1);
    at->status = mr_store_open(path, &options, &store, NULL, &at->err);
    if (at->status == MR_OK) {
        at->opened = true;
        at->status = look_at_all(w, store, &at->err);
        (void)!mr_store_close(store, &ignored);
    }
    at->finished = true;
    fflush(w->faults);
    _exit(0);
}

static void pass_on_faults(int fd, const mr_verify_options *options)
{
    char line[512];
    FILE *in = fdopen(fd, "r");
    MR_ASSERT(in != NULL);
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (options->fault != NULL)
            options->fault(options->fault_context, line);
    }
    fclose(in);
}

// The child died: says where.
static mr_status torn(const char *path, place *at, int ended, const mr_verify_options *options,
                      mr_error *err)
{
    char key[96], after[128] = "at its first row";
    const char *signal_name =
        WIFSIGNALED(ended) ? strsignal(WTERMSIG(ended)) : "the reading process ended early";
    if (at->key_bytes > 0)
        snprintf(after, sizeof after, "after row %s",
                 mr_row_print_key(mr_bytes_of(at->key, at->key_bytes), key, sizeof key));
    at->result.faults++;
    mr_fail(err, MR_FATAL,
            "%.80s/data.mdb: task %" PRIu32 ": pages are missing or damaged %s (%s); remove the "
            "folder, the state is restored from the changelog",
            path, at->task, at->opened ? after : "before any row", signal_name);
    if (options->fault != NULL)
        options->fault(options->fault_context, err->text);
    return MR_FATAL;
}

static mr_status run_child(const char *path, const mr_verify_options *options, place *at,
                           mr_error *err)
{
    int ends[2], ended = 0;
    if (pipe(ends) != 0)
        return mr_fail(err, MR_FATAL, "verify: %s", strerror(errno));
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return mr_fail(err, MR_FATAL, "verify: cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        walk w = {.options = options, .at = at};
        close(ends[0]);
        w.faults = fdopen(ends[1], "w");
        if (w.faults == NULL)
            _exit(1);
        setvbuf(w.faults, NULL, _IOLBF, 0);
        verify_in_child(path, &w);
    }
    close(ends[1]);
    pass_on_faults(ends[0], options);
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR)
        ;
    if (!at->finished)
        return torn(path, at, ended, options, err);
    if (at->status != MR_OK) {
        *err = at->err;
        return at->status;
    }
    if (at->result.faults > 0)
        return mr_fail(err, MR_FATAL, "%s", at->first);
    return MR_OK;
}

mr_status mr_verify_folder(const char *path, const mr_verify_options *options,
                           mr_verify_result *result, mr_error *err)
{
    place *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return mr_fail(err, MR_FATAL, "verify: %s", strerror(errno));
    const mr_status status = run_child(path, options, at, err);
    *result = at->result;
    munmap(at, sizeof *at);
    return status;
}

static mr_status sum_row(void *context, mr_bytes key, mr_bytes value, mr_error *err)
{
    (void)err;
    add_row(context, key, value);
    return MR_OK;
}

mr_status mr_verify_task(mr_store_reader *reader, uint32_t task, mr_verify_want *found,
                         mr_error *err)
{
    *found = (mr_verify_want){.known = true};
    return mr_store_each(reader, task, mr_bytes_of("", 0), true, sum_row, found, err);
}
