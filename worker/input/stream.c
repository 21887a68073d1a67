// SPDX-License-Identifier: Apache-2.0
#include "worker/input/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 1 << 18, PEEK_MAX = 8 };

typedef enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD } packing;

struct mr_stream {
    char *path;
    int fd;
    packing packing;
    bool raw_ended; // nothing more in the file
    bool in_member; // inside of a gzip member or zstd frame: the end would be too early
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint64_t raw_done, raw_total;
    size_t raw_at, raw_size; // what of raw has not been used: [at, size)
    uint8_t peeked[PEEK_MAX];
    size_t peeked_at, peeked_size;
    uint8_t raw[RAW_BYTES];
};

static mr_status fault(const mr_stream *stream, const char *what, mr_error *err)
{
    return mr_fail(err, MR_FATAL, "%s: %s before byte %llu", stream->path, what,
                   (unsigned long long)(stream->raw_done - (stream->raw_size - stream->raw_at)));
}

// More raw bytes behind those that are left; at the end raw_ended is set.
static mr_status fill_raw(mr_stream *stream, mr_error *err)
{
    memmove(stream->raw, stream->raw + stream->raw_at, stream->raw_size - stream->raw_at);
    stream->raw_size -= stream->raw_at;
    stream->raw_at = 0;
    while (stream->raw_size < RAW_BYTES) {
        const ssize_t got =
            read(stream->fd, stream->raw + stream->raw_size, RAW_BYTES - stream->raw_size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mr_fail(err, MR_FATAL, "%s: %s", stream->path, strerror(errno));
        stream->raw_ended = got == 0;
        stream->raw_size += (size_t)got;
        stream->raw_done += (uint64_t)got;
        break;
    }
    return MR_OK;
}

static mr_status open_packing(mr_stream *stream, mr_error *err)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    while (stream->raw_size < PEEK_MAX && !stream->raw_ended)
        MR_TRY(fill_raw(stream, err));
    if (stream->raw_size >= sizeof gzip && memcmp(stream->raw, gzip, sizeof gzip) == 0) {
        if (inflateInit2(&stream->gzip, 16 + MAX_WBITS) != Z_OK)
            return mr_fail(err, MR_FATAL, "%s: out of memory", stream->path);
        stream->packing = PACKING_GZIP;
    } else if (stream->raw_size >= sizeof zstd && memcmp(stream->raw, zstd, sizeof zstd) == 0) {
        stream->zstd = ZSTD_createDStream();
        if (stream->zstd == NULL)
            return mr_fail(err, MR_FATAL, "%s: out of memory", stream->path);
        stream->packing = PACKING_ZSTD;
    }
    return MR_OK;
}

mr_status mr_stream_open(const char *path, mr_stream **stream, mr_error *err)
{
    struct stat about;
    mr_stream *made = calloc(1, sizeof *made);
    if (made == NULL)
        return mr_fail(err, MR_FATAL, "%s: out of memory", path);
    const bool is_stdin = strcmp(path, "-") == 0;
    made->path = strdup(is_stdin ? "standard input" : path);
    made->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    mr_status status = MR_OK;
    if (made->path == NULL)
        status = mr_fail(err, MR_FATAL, "%s: out of memory", path);
    else if (made->fd < 0)
        status = mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    else if (fstat(made->fd, &about) == 0 && S_ISREG(about.st_mode))
        made->raw_total = (uint64_t)about.st_size;
    if (status == MR_OK)
        status = open_packing(made, err);
    if (status != MR_OK) {
        mr_stream_close(made);
        return status;
    }
    *stream = made;
    return MR_OK;
}

void mr_stream_close(mr_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->packing == PACKING_GZIP)
        inflateEnd(&stream->gzip);
    ZSTD_freeDStream(stream->zstd);
    if (stream->fd > STDIN_FILENO)
        close(stream->fd);
    free(stream->path);
    free(stream);
}

static void take_plain(mr_stream *stream, uint8_t *bytes, size_t room, size_t *got)
{
    const size_t left = stream->raw_size - stream->raw_at;
    *got = left < room ? left : room;
    memcpy(bytes, stream->raw + stream->raw_at, *got);
    stream->raw_at += *got;
}

static mr_status take_gzip(mr_stream *stream, uint8_t *bytes, size_t room, size_t *got,
                           mr_error *err)
{
    z_stream *z = &stream->gzip;
    const size_t part = room > (1u << 30) ? 1u << 30 : room; // zlib counts in 32 bits
    z->next_in = stream->raw + stream->raw_at;
    z->avail_in = (uInt)(stream->raw_size - stream->raw_at);
    z->next_out = bytes;
    z->avail_out = (uInt)part;
    *got = 0;
    if (!stream->in_member) { // the first member, or one more behind it
        if (z->avail_in == 0)
            return MR_OK;
        if (inflateReset(z) != Z_OK)
            return fault(stream, "bad gzip data", err);
        stream->in_member = true;
    }
    const int answer = inflate(z, Z_NO_FLUSH); // without input it may still have output
    stream->raw_at = stream->raw_size - z->avail_in;
    *got = part - z->avail_out;
    if (answer == Z_STREAM_END)
        stream->in_member = false;
    else if (answer != Z_OK && answer != Z_BUF_ERROR)
        return fault(stream, "bad gzip data", err);
    return MR_OK;
}

static mr_status take_zstd(mr_stream *stream, uint8_t *bytes, size_t room, size_t *got,
                           mr_error *err)
{
    ZSTD_inBuffer in = {stream->raw, stream->raw_size, stream->raw_at};
    ZSTD_outBuffer out = {bytes, room, 0};
    const size_t answer = ZSTD_decompressStream(stream->zstd, &out, &in);
    if (ZSTD_isError(answer))
        return fault(stream, "bad zstd data", err);
    // 0: a frame ended; and without progress nothing has changed.
    if (in.pos > stream->raw_at || out.pos > 0)
        stream->in_member = answer != 0;
    stream->raw_at = in.pos;
    *got = out.pos;
    return MR_OK;
}

mr_status mr_stream_read(mr_stream *stream, void *bytes, size_t room, size_t *got, mr_error *err)
{
    uint8_t *to = bytes;
    *got = 0;
    while (*got < room && stream->peeked_at < stream->peeked_size)
        to[(*got)++] = stream->peeked[stream->peeked_at++];
    while (*got < room) {
        const size_t before = stream->raw_at;
        size_t part = 0;
        if (stream->packing == PACKING_NONE)
            take_plain(stream, to + *got, room - *got, &part);
        else if (stream->packing == PACKING_GZIP)
            MR_TRY(take_gzip(stream, to + *got, room - *got, &part, err));
        else
            MR_TRY(take_zstd(stream, to + *got, room - *got, &part, err));
        *got += part;
        if (part > 0 || stream->raw_at > before)
            continue;
        const size_t left = stream->raw_size - stream->raw_at;
        if (left == RAW_BYTES || (left > 0 && stream->raw_ended)) // input, but no way on
            return fault(stream, "bad compressed data", err);
        if (stream->raw_ended)
            return stream->in_member ? fault(stream, "the compressed data is cut off", err) : MR_OK;
        MR_TRY(fill_raw(stream, err));
    }
    return MR_OK;
}

mr_status mr_stream_peek(mr_stream *stream, uint8_t *bytes, size_t count, size_t *got,
                         mr_error *err)
{
    MR_ASSERT(count <= PEEK_MAX && stream->peeked_at == stream->peeked_size);
    MR_TRY(mr_stream_read(stream, bytes, count, got, err));
    memcpy(stream->peeked, bytes, *got);
    stream->peeked_at = 0;
    stream->peeked_size = *got;
    return MR_OK;
}

const char *mr_stream_path(const mr_stream *stream)
{
    return stream->path;
}

void mr_stream_progress(const mr_stream *stream, uint64_t *done, uint64_t *total)
{
    *done = stream->raw_done - (stream->raw_size - stream->raw_at);
    *total = stream->raw_total;
}
