// SPDX-License-Identifier: Apache-2.0
// A file: "millrace-schema 1 ", the hash in 32 hexadecimal digits, a line feed, the text.
#include "worker/registry/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.h"

enum { HEAD_BYTES = 18 + 32 + 1, HEAD_ROOM = HEAD_BYTES + 1 };

struct mr_cache {
    char folder[PATH_MAX - 128];
    uint32_t files;
};

static void write_head(const char *key, const char *text, size_t text_bytes, char head[HEAD_ROOM])
{
    const uint64_t seed = mr_hash64(key, strlen(key), 0);
    const mr_hash128 hash = mr_hash128_of(text, text_bytes, seed);
    snprintf(head, HEAD_ROOM, "millrace-schema 1 %016llx%016llx\n", (unsigned long long)hash.high,
             (unsigned long long)hash.low);
}

static mr_status make_folder(const char *path, mr_error *err)
{
    struct stat about;
    if (mkdir(path, 0777) == 0 ||
        (errno == EEXIST && stat(path, &about) == 0 && S_ISDIR(about.st_mode)))
        return MR_OK;
    return mr_fail(err, MR_FATAL, "%.150s: %s", path, strerror(errno));
}

static bool is_temporary(const char *name)
{
    return strncmp(name, "new-", 4) == 0;
}

// Counts the files, and removes what a crash left half written.
static mr_status count_files(mr_cache *cache, mr_error *err)
{
    char path[PATH_MAX];
    DIR *folder = opendir(cache->folder);
    if (folder == NULL)
        return mr_fail(err, MR_FATAL, "%.150s: %s", cache->folder, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/%.100s", cache->folder, entry->d_name);
        if (is_temporary(entry->d_name))
            unlink(path);
        else if (entry->d_name[0] != '.')
            cache->files++;
    }
    closedir(folder);
    return MR_OK;
}

static mr_status open_folder(mr_cache *cache, const char *folder, const char *registry,
                             mr_error *err)
{
    const uint64_t name = mr_hash64(registry, strlen(registry), 0);
    if (strlen(folder) + 32 > sizeof cache->folder)
        return mr_fail(err, MR_FATAL, "%.100s...: the path is too long", folder);
    MR_TRY(make_folder(folder, err));
    snprintf(cache->folder, sizeof cache->folder, "%s/%016llx", folder, (unsigned long long)name);
    MR_TRY(make_folder(cache->folder, err));
    return count_files(cache, err);
}

mr_status mr_cache_open(const char *folder, const char *registry, mr_cache **out, mr_error *err)
{
    mr_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    const mr_status status = open_folder(cache, folder, registry, err);
    if (status != MR_OK) {
        free(cache);
        return status;
    }
    *out = cache;
    return MR_OK;
}

void mr_cache_close(mr_cache *cache)
{
    free(cache);
}

static void path_of(const mr_cache *cache, const char *key, const char *before, char path[PATH_MAX])
{
    MR_ASSERT(key[0] != '\0' && strlen(key) <= MR_CACHE_KEY_MAX && strchr(key, '/') == NULL);
    snprintf(path, PATH_MAX, "%s/%s%s", cache->folder, before, key);
}

// Whether what was read of a file is its head and its text; the text is then moved to the front.
static bool is_whole(const char *key, char *bytes, size_t size, size_t *text_bytes)
{
    char head[HEAD_ROOM];
    if (size < HEAD_BYTES || size > HEAD_BYTES + MR_CACHE_TEXT_MAX)
        return false;
    *text_bytes = size - HEAD_BYTES;
    write_head(key, bytes + HEAD_BYTES, *text_bytes, head);
    if (memcmp(head, bytes, HEAD_BYTES) != 0)
        return false;
    memmove(bytes, bytes + HEAD_BYTES, *text_bytes);
    bytes[*text_bytes] = '\0';
    return true;
}

bool mr_cache_get(mr_cache *cache, const char *key, char **text, size_t *text_bytes)
{
    char path[PATH_MAX];
    struct stat about;
    path_of(cache, key, "", path);
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return false;
    size_t room = 0;
    if (fstat(fileno(file), &about) == 0 && about.st_size <= HEAD_BYTES + MR_CACHE_TEXT_MAX)
        room = (size_t)about.st_size;
    *text = malloc(room + 2);
    const size_t size = *text != NULL ? fread(*text, 1, room + 1, file) : 0;
    fclose(file);
    if (*text != NULL && is_whole(key, *text, size, text_bytes))
        return true;
    if (*text != NULL && unlink(path) == 0) // without memory nothing is known of it
        cache->files -= cache->files > 0;   // somebody may have put it there
    free(*text);
    return false;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno != EINTR)
            return false;
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static mr_status write_file(const char *beside, const char *head, const char *text,
                            size_t text_bytes, mr_error *err)
{
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return mr_fail(err, MR_RETRY, "%.150s: %s", beside, strerror(errno));
    // Synced, so that the name never stands for a file whose bytes a crash has lost; the hash would
    // find that, but then the start would lack what it was kept for.
    const bool good =
        write_all(fd, head, HEAD_BYTES) && write_all(fd, text, text_bytes) && fdatasync(fd) == 0;
    const int code = errno;
    if (close(fd) == 0 && good)
        return MR_OK;
    unlink(beside);
    return mr_fail(err, MR_RETRY, "%.150s: %s", beside, strerror(code));
}

mr_status mr_cache_put(mr_cache *cache, const char *key, const char *text, size_t text_bytes,
                       mr_error *err)
{
    char path[PATH_MAX], beside[PATH_MAX], head[HEAD_ROOM];
    path_of(cache, key, "", path);
    path_of(cache, key, "new-", beside);
    const bool is_new = access(path, F_OK) != 0;
    if (is_new && cache->files >= MR_CACHE_FILES_MAX)
        return mr_reject(err, MR_CAUSE_NONE, "%.150s holds %d schemas, and takes no more",
                         cache->folder, MR_CACHE_FILES_MAX);
    if (text_bytes > MR_CACHE_TEXT_MAX)
        return mr_reject(err, MR_CAUSE_NONE, "a schema of %zu bytes is not kept", text_bytes);
    write_head(key, text, text_bytes, head);
    MR_TRY(write_file(beside, head, text, text_bytes, err));
    if (rename(beside, path) != 0) {
        unlink(beside);
        return mr_fail(err, MR_RETRY, "%.150s: %s", path, strerror(errno));
    }
    cache->files += is_new;
    return MR_OK;
}
