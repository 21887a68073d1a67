// SPDX-License-Identifier: Apache-2.0
#include "worker/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/folder.h"
#include "worker/marker.h"
#include "worker/rewrite.h"

// ---- looking

typedef struct looking {
    mr_store_reader *reader;
    mr_backup_about *about;
    mr_store_task record;
    mr_marker marker;
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
    uint32_t tasks[UINT16_MAX];
    uint32_t count;
} looking;

static void add_task(mr_backup_about *about, const mr_marker *marker)
{
    if (about->tasks_here == 0 || marker->wall_ms < about->committed_ms)
        about->committed_ms = marker->wall_ms;
    if (marker->seq > about->seq)
        about->seq = marker->seq;
    about->tasks = marker->tasks;
    about->tasks_here++;
    about->rows += marker->row_count;
    mr_hash128_add(&about->state_hash, marker->state_hash);
}

static mr_status look_at_task(looking *l, uint32_t task, mr_error *err)
{
    const mr_marker *marker = &l->marker;
    bool found, torn;
    MR_TRY(mr_store_task_read(l->reader, task, &l->record, &found, err));
    if (!found || l->record.marker_bytes == 0)
        return MR_OK; // made, and nothing committed yet
    MR_TRY(mr_marker_newest(&l->record, &l->marker, &torn, err));
    const bool replayed = mr_bytes_equal(marker->instance, mr_bytes_text(MR_REPLAY_INSTANCE));
    if (l->record.offsets[0] == MR_REWRITE_PENDING)
        return mr_fail(err, MR_FATAL,
                       "task %u: the changelogs were being written from this state and are not yet "
                       "whole: the worker's next start ends that",
                       task);
    if (torn || (!replayed && (l->record.offsets[0] < 0 || l->record.offsets[1] < 0)) ||
        memcmp(marker->history, l->about->identity.history, sizeof marker->history) != 0)
        return mr_fail(err, MR_RETRY, "task %u: is just being restored: try again in a while",
                       task);
    add_task(l->about, marker);
    return MR_OK;
}

static mr_status look_at_all(looking *l, mr_store *store, mr_error *err)
{
    l->marker = (mr_marker){.pairs = l->pairs, .offsets = l->offsets, .links = l->links};
    MR_TRY(mr_store_reader_open(store, &l->reader, err));
    mr_status status = mr_store_identity_read(l->reader, &l->about->identity, err);
    if (status == MR_OK)
        status = mr_store_tasks(l->reader, l->tasks, UINT16_MAX, &l->count, err);
    for (uint32_t i = 0; status == MR_OK && i < l->count; i++)
        status = look_at_task(l, l->tasks[i], err);
    mr_store_reader_close(l->reader);
    if (status == MR_OK && l->about->tasks_here == 0)
        status = mr_fail(err, MR_FATAL, "no commit is in it yet");
    return status;
}

// A line "name value" of the note.
static void read_line(const char *text, const char *name, char *value, size_t size)
{
    const size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || line[length] != ' ')
            continue;
        snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
        return;
    }
}

static mr_status read_note(const char *path, mr_backup_about *about, mr_error *err)
{
    char name[PATH_MAX + 16], text[1024];
    unsigned format = 0;
    snprintf(name, sizeof name, "%.*s/backup", PATH_MAX, path);
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return MR_OK; // a folder that was copied by hand is as good
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    if (sscanf(text, "millrace backup %u\n", &format) != 1 || format != 1)
        return mr_fail(err, MR_FATAL, "%.160s: is not a note of format 1: made by another release?",
                       name);
    read_line(text, "app", about->app, sizeof about->app);
    return MR_OK;
}

mr_status mr_backup_look(const char *path, mr_backup_about *about, mr_error *err)
{
    const mr_store_options options = {.read_only = true, .tasks_max = UINT16_MAX};
    mr_store *store;
    mr_error ignored;
    *about = (mr_backup_about){.seq = 0};
    MR_TRY(read_note(path, about, err));
    MR_TRY(mr_store_open(path, &options, &store, NULL, err));
    looking *l = calloc(1, sizeof *l);
    mr_status status = MR_OK;
    if (l == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK) {
        l->about = about;
        status = look_at_all(l, store, err);
        if (status != MR_OK)
            mr_wrap(err, "%s", path);
    }
    free(l);
    (void)!mr_store_close(store, &ignored); // read-only: there is nothing to sync
    return status;
}

// ---- copying and verifying

static mr_status verify(const char *path, mr_error *err)
{
    looking *room = calloc(1, sizeof *room);
    mr_verify_result result;
    if (room == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    room->marker =
        (mr_marker){.pairs = room->pairs, .offsets = room->offsets, .links = room->links};
    const mr_verify_options options = {.marker = mr_marker_wants, .marker_context = &room->marker};
    const mr_status status = mr_verify_folder(path, &options, &result, err);
    free(room);
    return status;
}

// A copy of `from` in a new folder, looked at and verified; removed again where it is not good.
static mr_status copy_verified(const mr_backup_options *options, const char *folder,
                               mr_backup_about *about, mr_error *err)
{
    uint64_t bytes;
    MR_TRY(mr_folder_copy(options->from, folder, options->limit_ms, &bytes, err));
    mr_status status = mr_backup_look(folder, about, err);
    if (status == MR_OK && verify(folder, err) != MR_OK)
        status = mr_wrap(err, "of the copy of %s", options->from);
    if (status != MR_OK)
        mr_folder_remove(folder);
    return status;
}

// ---- taking

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool empty = true;
    if (folder == NULL)
        return errno == ENOENT;
    while (empty && (entry = readdir(folder)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

static mr_status write_note(const char *path, const mr_backup_options *options, mr_error *err)
{
    char name[PATH_MAX + 16], text[512];
    snprintf(name, sizeof name, "%.*s/backup", PATH_MAX, path);
    const int size = snprintf(text, sizeof text, "millrace backup 1\napp %.*s\n",
                              MR_BACKUP_NAME_MAX, options->app);
    const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const bool good = fd >= 0 && write(fd, text, (size_t)size) == size && fsync(fd) == 0;
    const int code = errno;
    if (fd >= 0)
        close(fd);
    return good ? MR_OK : mr_fail(err, MR_FATAL, "%.160s: %s", name, strerror(code));
}

static void give_up(const char *folder)
{
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%.*s/backup", PATH_MAX, folder);
    (void)unlink(name);
    mr_folder_remove(folder);
}

static mr_status show(const char *folder, const mr_backup_options *options, mr_error *err)
{
    char lock[PATH_MAX + 16];
    snprintf(lock, sizeof lock, "%.*s/lock.mdb", PATH_MAX, folder);
    (void)unlink(lock); // of the looks at it
    MR_TRY(write_note(folder, options, err));
    if (rename(folder, options->to) != 0)
        return mr_fail(err, MR_FATAL, "%.160s: %s", options->to, strerror(errno));
    return MR_OK;
}

mr_status mr_backup_take(const mr_backup_options *options, mr_backup_about *about, mr_error *err)
{
    char folder[PATH_MAX];
    if (!is_empty(options->to))
        return mr_fail(err, MR_FATAL,
                       "%.160s: is there and not empty: name a folder for this backup alone",
                       options->to);
    int length = (int)strlen(options->to);
    while (length > 1 && options->to[length - 1] == '/') // beside it, not in it
        length--;
    if (snprintf(folder, sizeof folder, "%.*s.partial-%ld", length, options->to, (long)getpid()) >=
        (int)sizeof folder)
        return mr_fail(err, MR_FATAL, "the name of the folder for the backup is too long");
    MR_TRY(copy_verified(options, folder, about, err));
    const mr_status status = show(folder, options, err);
    if (status != MR_OK)
        give_up(folder);
    snprintf(about->app, sizeof about->app, "%s", options->app);
    return status;
}

// ---- restoring

static mr_status check_backup(const mr_backup_options *options, const mr_backup_about *about,
                              mr_error *err)
{
    if (about->app[0] != '\0' && strcmp(about->app, options->app) != 0)
        return mr_fail(err, MR_FATAL,
                       "%.100s: is of the application '%.60s', the configuration is of '%.60s'",
                       options->from, about->app, options->app);
    if (options->cluster != NULL && !options->force && about->identity.cluster[0] != '\0' &&
        strcmp(about->identity.cluster, options->cluster) != 0)
        return mr_fail(
            err, MR_FATAL,
            "%.80s: is of the cluster %.40s, the brokers are of %.40s, and a start would "
            "drop it; --force, then millrace recover --from-local",
            options->from, about->identity.cluster, options->cluster);
    return MR_OK;
}

static mr_status check_target(const mr_backup_options *options, const mr_backup_about *about,
                              mr_error *err)
{
    mr_backup_about there;
    mr_error ignored;
    if (mr_place_is_claimed(options->to)) // said better, by whom, when it is claimed at the end
        return mr_fail(err, MR_FATAL, "state folder %.120s: is in use: stop the worker first",
                       options->to);
    if (options->force || !mr_folder_holds_state(options->to))
        return MR_OK;
    if (mr_backup_look(options->to, &there, &ignored) != MR_OK)
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: holds something already; --force replaces it",
                       options->to);
    const bool same =
        memcmp(there.identity.history, about->identity.history, sizeof there.identity.history) == 0;
    return mr_fail(
        err, MR_FATAL,
        "state folder %.100s: holds a state of %s already, up to commit %llu (the backup: "
        "%llu); --force replaces it",
        options->to, same ? "this history" : "another history", (unsigned long long)there.seq,
        (unsigned long long)about->seq);
}

mr_status mr_backup_restore(const mr_backup_options *options, mr_backup_about *about, mr_error *err)
{
    char folder[PATH_MAX];
    if (!mr_folder_holds_state(options->from))
        return mr_fail(err, MR_FATAL, "%.160s: there is no backup in it", options->from);
    MR_TRY(mr_backup_look(options->from, about, err));
    MR_TRY(check_backup(options, about, err));
    MR_TRY(check_target(options, about, err));
    if (snprintf(folder, sizeof folder, "%s/restore-%ld", options->to, (long)getpid()) >=
        (int)sizeof folder)
        return mr_fail(err, MR_FATAL, "the name of the state folder is too long");
    char app[sizeof about->app];
    memcpy(app, about->app, sizeof app);
    MR_TRY(copy_verified(options, folder, about, err));
    memcpy(about->app, app, sizeof app);
    const mr_status status = mr_folder_place(folder, options->to, options->force, err);
    if (status != MR_OK)
        mr_folder_remove(folder);
    return status;
}
