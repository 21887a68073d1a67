// SPDX-License-Identifier: Apache-2.0
#include "state/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "state/store_inner.h"

enum { LOOK_EVERY_MS = 10 };

static const char *const files[] = {"data.mdb", "lock.mdb", "owner"};

static void name_of(const char *path, const char *file, char name[PATH_MAX + 16])
{
    snprintf(name, PATH_MAX + 16, "%.*s/%s", PATH_MAX - 1, path, file);
}

bool mr_folder_holds_state(const char *path)
{
    char name[PATH_MAX + 16];
    struct stat about;
    name_of(path, "data.mdb", name);
    return stat(name, &about) == 0 && about.st_size > 0;
}

void mr_folder_remove(const char *path)
{
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        name_of(path, files[i], name);
        (void)unlink(name);
    }
    (void)rmdir(path);
}

// A rename and a new file are only there after a crash if their folder is.
static mr_status sync_folder(const char *path, mr_error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int code = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return code == 0
               ? MR_OK
               : mr_fail(err, MR_FATAL, "state folder %.120s: syncing: %s", path, strerror(code));
}

// ---- copying, in a child

typedef struct shared { // between the two
    bool done;
    mr_status status;
    mr_error err;
    uint64_t bytes;
} shared;

static mr_status cannot_write(const char *to, int code, mr_error *err)
{
    return mr_fail(err, code == ENOSPC || code == EDQUOT ? MR_RETRY : MR_FATAL,
                   "%.120s/data.mdb: writing the copy: %s", to,
                   code > 0 ? strerror(code) : mdb_strerror(code));
}

static int copy_snapshot(mr_store *store, int fd, unsigned flags)
{
    for (;;) {
        const int code = mdb_env_copyfd2(store->env, fd, flags);
        if (code != MDB_MAP_RESIZED) // the writer has grown the map since it was opened
            return code;
        mr_store_enter(store);
        const int adopted = mr_store_adopt_map(store);
        mr_store_leave(store);
        if (adopted != 0)
            return adopted;
    }
}

static mr_status write_copy(mr_store *store, const char *to, uint64_t *bytes, mr_error *err)
{
    char name[PATH_MAX + 16];
    struct stat about;
    name_of(to, "data.mdb", name);
    const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cannot_write(to, errno, err);
    int code = copy_snapshot(store, fd, MDB_CP_COMPACT);
    if (code == MDB_INCOMPATIBLE) { // pages that no tree has: only a plain copy can be made
        code = ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0 ? errno
                                                                    : copy_snapshot(store, fd, 0);
    }
    if (code == 0 && (fsync(fd) != 0 || fstat(fd, &about) != 0))
        code = errno;
    close(fd);
    if (code != 0)
        return cannot_write(to, code, err);
    *bytes = (uint64_t)about.st_size;
    return MR_OK;
}

static void copy_in_child(const char *from, const char *to, shared *at)
{
    const mr_store_options options = {.read_only = true, .tasks_max = UINT16_MAX};
    const struct rlimit no_core = {0, 0};
    mr_store *store;
    mr_error ignored;
    setrlimit(RLIMIT_CORE, &no_core);
    // What LMDB says on a failed assertion of its own goes nowhere: the parent says it better.
    if (freopen("/dev/null", "w", stderr) == NULL)
        _exit(1);
    at->status = mr_store_open(from, &options, &store, NULL, &at->err);
    if (at->status == MR_OK) {
        at->status = write_copy(store, to, &at->bytes, &at->err);
        (void)!mr_store_close(store, &ignored);
    }
    at->done = true;
    _exit(0);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits for the child, so long at most. Returns false when it had to be ended.
static bool wait_for(pid_t child, int64_t limit_ms)
{
    const struct timespec nap = {.tv_nsec = LOOK_EVERY_MS * 1000000};
    const int64_t until_ms = now_ms() + limit_ms;
    for (;;) {
        const pid_t ended = waitpid(child, NULL, WNOHANG);
        if (ended != 0 && !(ended < 0 && errno == EINTR))
            return true;
        if (now_ms() >= until_ms)
            break;
        nanosleep(&nap, NULL);
    }
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return false;
}

// A reader that was killed keeps its snapshot until somebody looks for the dead.
static void free_dead_readers(const char *path)
{
    const mr_store_options options = {.read_only = true, .tasks_max = UINT16_MAX};
    mr_store *store;
    mr_error ignored;
    uint32_t freed;
    if (mr_store_open(path, &options, &store, NULL, &ignored) != MR_OK)
        return;
    (void)!mr_store_check_readers(store, &freed, &ignored);
    (void)!mr_store_close(store, &ignored);
}

static mr_status run_copy(const char *from, const char *to, int64_t limit_ms, shared *at,
                          mr_error *err)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        return mr_fail(err, MR_FATAL, "copying %.120s: cannot start a process: %s", from,
                       strerror(errno));
    if (child == 0)
        copy_in_child(from, to, at);
    const bool in_time = wait_for(child, limit_ms);
    if (at->done) {
        *err = at->err;
        return at->status;
    }
    free_dead_readers(from);
    if (!in_time)
        return mr_fail(
            err, MR_FATAL,
            "copying %.100s took longer than %" PRId64
            " s and was given up: while it is read, its file grows by all that is written",
            from, limit_ms / 1000);
    return mr_fail(err, MR_FATAL,
                   "%.100s/data.mdb: pages are missing or damaged: millrace inspect %.60s verify "
                   "says where",
                   from, from);
}

static mr_status note_clean(const char *path, mr_error *err)
{
    int fd;
    MR_TRY(mr_place_claim(path, &fd, err));
    const mr_status status = mr_place_write_note(path, fd, MR_SYNC_FULL, true, err);
    close(fd);
    return status;
}

mr_status mr_folder_copy(const char *from, const char *to, int64_t limit_ms, uint64_t *bytes,
                         mr_error *err)
{
    if (!mr_folder_holds_state(from))
        return mr_fail(err, MR_FATAL, "state folder %.120s: there is no state in it", from);
    MR_TRY(mr_place_make(to, err));
    if (mr_folder_holds_state(to))
        return mr_fail(err, MR_FATAL, "state folder %.120s: holds a state already", to);
    shared *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return mr_fail(err, MR_FATAL, "copying %.120s: %s", from, strerror(errno));
    mr_status status = run_copy(from, to, limit_ms, at, err);
    *bytes = at->bytes;
    munmap(at, sizeof *at);
    if (status == MR_OK)
        status = note_clean(to, err);
    if (status == MR_OK)
        status = sync_folder(to, err);
    if (status != MR_OK)
        mr_folder_remove(to);
    return status;
}

// ---- putting in place

static mr_status place_claimed(const char *from, const char *path, int owner_fd, mr_error *err)
{
    char old[PATH_MAX + 16], new[PATH_MAX + 16];
    name_of(path, "lock.mdb", old); // of the database that goes
    (void)unlink(old);
    name_of(from, "data.mdb", old);
    name_of(path, "data.mdb", new);
    if (rename(old, new) != 0)
        return mr_fail(err, MR_FATAL, "%.100s: moving %.100s here: %s", path, from,
                       strerror(errno));
    // In this order: a crash between the two leaves the old note, by which the new database is at
    // worst dropped; the new note over the old database could make a torn one good.
    MR_TRY(sync_folder(path, err));
    return mr_place_write_note(path, owner_fd, MR_SYNC_FULL, true, err);
}

mr_status mr_folder_place(const char *from, const char *path, bool replace, mr_error *err)
{
    int fd;
    MR_TRY(mr_place_make(path, err));
    MR_TRY(mr_place_claim(path, &fd, err)); // until the end: nobody opens what is being replaced
    mr_status status = MR_OK;
    if (!replace && mr_folder_holds_state(path))
        status = mr_fail(err, MR_FATAL, "state folder %.120s: holds a state already", path);
    if (status == MR_OK)
        status = place_claimed(from, path, fd, err);
    close(fd);
    if (status == MR_OK)
        mr_folder_remove(from);
    return status;
}

// ---- forgetting

// Whether the file holds the words.
static bool holds(const char *path, const char *file, const char *words)
{
    enum { WINDOW = 1 << 16, WORDS_MAX = 32 };
    const size_t length = strlen(words);
    char name[PATH_MAX + 16], window[WORDS_MAX + WINDOW];
    bool found = false;
    size_t kept = 0, got;
    name_of(path, file, name);
    FILE *in = fopen(name, "re");
    if (in == NULL)
        return false;
    while (!found && (got = fread(window + kept, 1, WINDOW, in)) > 0) {
        const size_t size = kept + got;
        found = memmem(window, size, words, length) != NULL;
        kept = size < length - 1 ? size : length - 1;
        memmove(window, window + size - kept, kept);
    }
    fclose(in);
    return found;
}

// By the note, which a worker leaves only where the database is millrace's; or by what every
// version of the format begins with, key and value side by side: its trees need not be whole for
// that.
static bool is_ours(const char *path)
{
    return holds(path, "owner", "millrace state ") || holds(path, "data.mdb", "formatmillrace");
}

mr_status mr_folder_forget(const char *path, bool *found, mr_error *err)
{
    char name[PATH_MAX + 16];
    int fd;
    *found = mr_folder_holds_state(path);
    if (!*found)
        return MR_OK;
    if (!is_ours(path))
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: holds a database that cannot be told to be "
                       "millrace's, and is left alone: if it is, remove the folder",
                       path);
    MR_TRY(mr_place_claim(path, &fd, err));
    for (size_t i = 0; i < 2; i++) { // not `owner`: its lock is held
        name_of(path, files[i], name);
        if (unlink(name) != 0 && errno != ENOENT) {
            close(fd);
            return mr_fail(err, MR_FATAL, "%.160s: %s", name, strerror(errno));
        }
    }
    close(fd);
    return sync_folder(path, err);
}
