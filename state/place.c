// SPDX-License-Identifier: Apache-2.0
#include "state/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *const sync_names[] = {
    [MR_SYNC_META] = "meta", [MR_SYNC_FULL] = "full", [MR_SYNC_NONE] = "none"};

const char *mr_place_network_name(uint64_t fs_type)
{
    static const struct {
        uint64_t type;
        const char *name;
    } table[] = {
        {0x6969, "NFS"},      {0x517b, "SMB"},        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
        {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},    {0x6b414653, "AFS"},  {0x564c, "NCP"},
        {0x47504653, "GPFS"}, {0x0bd00bd0, "Lustre"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].type == fs_type)
            return table[i].name;
    return NULL;
}

static mr_status make_folders(const char *path, mr_error *err)
{
    char part[PATH_MAX];
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof part - 16)
        return mr_fail(err, MR_FATAL, "state folder: a path has 1 to %zu bytes, this has %zu",
                       sizeof part - 17, length);
    memcpy(part, path, length + 1);
    for (char *end = strchr(part + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
        *end = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return mr_fail(err, MR_FATAL, "state folder %.120s: cannot make %.60s: %s", path, part,
                           strerror(errno));
        *end = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return mr_fail(err, MR_FATAL, "state folder %.120s: cannot make it: %s", path,
                       strerror(errno));
    return MR_OK;
}

mr_status mr_place_make(const char *path, mr_error *err)
{
    struct stat about;
    struct statfs fs;
    MR_TRY(make_folders(path, err));
    if (stat(path, &about) != 0)
        return mr_fail(err, MR_FATAL, "state folder %.120s: %s", path, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return mr_fail(err, MR_FATAL, "state folder %.120s: this is a file; name a folder", path);
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return mr_fail(err, MR_FATAL,
                       "state folder %.120s: %s; it must belong to the user that millrace runs as",
                       path, strerror(errno));
    if (statfs(path, &fs) != 0)
        return mr_fail(err, MR_FATAL, "state folder %.120s: %s", path, strerror(errno));
    const char *network = mr_place_network_name((uint32_t)fs.f_type);
    if (network != NULL)
        return mr_fail(
            err, MR_FATAL,
            "state folder %.120s: lies on %s, where a memory-mapped database is not safe; "
            "use a local disk (the state is restored from the changelog)",
            path, network);
    return MR_OK;
}

// The lock belongs to the open file, as flock's does, but it can be looked at without being taken,
// so that a process that only looks never turns a starting worker away.
static void owner_path(const char *path, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/owner", path);
}

static void boot_id(char id[40])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL || fscanf(file, "%36s", id) != 1)
        strcpy(id, "-"); // equal to no other boot, see mr_place_read_note
    if (file != NULL)
        fclose(file);
}

mr_status mr_place_claim(const char *path, int *owner_fd, mr_error *err)
{
    char name[PATH_MAX];
    owner_path(path, name);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return mr_fail(err, errno == ENOSPC ? MR_RETRY : MR_FATAL, "%.160s: %s", name,
                       errno == ENOSPC ? "the disk is full" : strerror(errno));
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        const int cause = errno;
        mr_place_note note;
        mr_place_read_note(path, &note);
        close(fd);
        if (cause != EAGAIN && cause != EACCES)
            return mr_fail(err, MR_FATAL, "%.160s: cannot lock it: %s", name, strerror(cause));
        return mr_fail(
            err, MR_FATAL,
            "state folder %.100s: is in use by process %ld on host %s; stop that process "
            "or name another folder",
            path, note.pid, note.host);
    }
    *owner_fd = fd;
    return MR_OK;
}

bool mr_place_is_claimed(const char *path)
{
    char name[PATH_MAX];
    owner_path(path, name);
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const bool claimed = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(fd);
    return claimed;
}

void mr_place_read_note(const char *path, mr_place_note *note)
{
    char name[PATH_MAX], text[512], boot[40], here[40], sync[8], clean[8];
    unsigned format = 0;
    owner_path(path, name);
    *note = (mr_place_note){.host = "?"};
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return;
    const size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    if (size == 0)
        return; // claimed for the first time, and nothing written yet
    note->present = true;
    note->sync = MR_SYNC_NONE;
    if (sscanf(text, "millrace state %u\nboot %39s\nsync %7s\nclean %7s\npid %ld\nhost %63s",
               &format, boot, sync, clean, &note->pid, note->host) != 6 ||
        format != 1)
        return;
    for (size_t i = 0; i < sizeof sync_names / sizeof sync_names[0]; i++)
        if (strcmp(sync, sync_names[i]) == 0)
            note->sync = (mr_sync)i;
    boot_id(here);
    note->clean = strcmp(clean, "yes") == 0;
    note->same_boot = strcmp(boot, here) == 0 && strcmp(boot, "-") != 0;
}

mr_status mr_place_write_note(const char *path, int owner_fd, mr_sync sync, bool clean,
                              mr_error *err)
{
    char text[512], host[64], boot[40];
    boot_id(boot);
    if (gethostname(host, sizeof host) != 0 || host[0] == '\0')
        strcpy(host, "?");
    host[sizeof host - 1] = '\0';
    // One write of less than a sector: a crash leaves the old note or the new one.
    const int size = snprintf(text, sizeof text,
                              "millrace state 1\nboot %s\nsync %s\nclean %s\npid %ld\nhost %s\n",
                              boot, sync_names[sync], clean ? "yes" : "no", (long)getpid(), host);
    MR_ASSERT(size > 0 && (size_t)size < sizeof text);
    errno = 0;
    if (pwrite(owner_fd, text, (size_t)size, 0) != size || ftruncate(owner_fd, size) != 0 ||
        fdatasync(owner_fd) != 0)
        return mr_fail(err, errno == ENOSPC || errno == 0 ? MR_RETRY : MR_FATAL,
                       "state folder %.120s: cannot write the file owner: %s", path,
                       errno == 0 || errno == ENOSPC ? "the disk is full" : strerror(errno));
    return MR_OK;
}

uint64_t mr_place_free_bytes(const char *path)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}
