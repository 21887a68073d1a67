// SPDX-License-Identifier: Apache-2.0
#include "worker/input/codec.h"

#include <bzlib.h>
#include <lzma.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { FIRST_ROOM = 1 << 16 };

static const char *const names[] = {
    [MR_CODEC_NULL] = "null",     [MR_CODEC_DEFLATE] = "deflate",
    [MR_CODEC_SNAPPY] = "snappy", [MR_CODEC_ZSTANDARD] = "zstandard",
    [MR_CODEC_BZIP2] = "bzip2",   [MR_CODEC_XZ] = "xz",
};

mr_status mr_codec_of(mr_bytes name, mr_codec *codec, mr_error *err)
{
    *codec = MR_CODEC_NULL;
    if (name.size == 0)
        return MR_OK;
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (mr_bytes_equal(name, mr_bytes_text(names[i]))) {
            *codec = (mr_codec)i;
            return MR_OK;
        }
    }
    return mr_fail(
        err, MR_FATAL,
        "codec '%.*s' is not known; known are null, deflate, snappy, zstandard, bzip2, xz",
        name.size < 32 ? (int)name.size : 32, (const char *)name.data);
}

mr_status mr_buffer_reserve(mr_buffer *buffer, size_t bytes, mr_error *err)
{
    if (bytes <= buffer->room)
        return MR_OK;
    uint8_t *data = realloc(buffer->data, bytes);
    if (data == NULL)
        return mr_fail(err, MR_FATAL, "out of memory (%zu bytes)", bytes);
    buffer->data = data;
    buffer->room = bytes;
    return MR_OK;
}

static mr_status damaged(mr_codec codec, mr_error *err)
{
    return mr_fail(err, MR_FATAL, "the %s data is damaged", names[codec]);
}

static mr_status too_large(size_t limit, mr_error *err)
{
    return mr_fail(err, MR_FATAL, "the block is larger than %zu bytes when it is unpacked", limit);
}

// Twice the room, up to the limit.
static mr_status grow(mr_buffer *plain, size_t limit, mr_error *err)
{
    if (plain->room >= limit)
        return too_large(limit, err);
    const size_t room = plain->room < FIRST_ROOM ? FIRST_ROOM : plain->room * 2;
    return mr_buffer_reserve(plain, room < limit ? room : limit, err);
}

// The four stream decompressors, made alike: state, and a step that unpacks from `in` to `out`.
typedef enum step { STEP_MORE, STEP_ENDED, STEP_BAD } step;

typedef struct unpacker {
    mr_codec codec;
    z_stream deflate;
    bz_stream bzip2;
    lzma_stream xz;
    ZSTD_DStream *zstd;
} unpacker;

static bool begin(unpacker *u)
{
    if (u->codec == MR_CODEC_DEFLATE)
        return inflateInit2(&u->deflate, -MAX_WBITS) == Z_OK;
    if (u->codec == MR_CODEC_BZIP2)
        return BZ2_bzDecompressInit(&u->bzip2, 0, 0) == BZ_OK;
    if (u->codec == MR_CODEC_XZ)
        return lzma_stream_decoder(&u->xz, UINT64_C(256) << 20, 0) == LZMA_OK;
    u->zstd = ZSTD_createDStream();
    return u->zstd != NULL;
}

static void end(unpacker *u)
{
    if (u->codec == MR_CODEC_DEFLATE)
        inflateEnd(&u->deflate);
    else if (u->codec == MR_CODEC_BZIP2)
        BZ2_bzDecompressEnd(&u->bzip2);
    else if (u->codec == MR_CODEC_XZ)
        lzma_end(&u->xz);
    else
        ZSTD_freeDStream(u->zstd);
}

// One call of the library. in and out say what is left, before and after; blocks are below 4 GiB.
static step unpack_some(unpacker *u, const uint8_t **in, size_t *in_left, uint8_t *out,
                        size_t *out_left)
{
    step result = STEP_BAD;
    if (u->codec == MR_CODEC_DEFLATE) {
        u->deflate.next_in = (uint8_t *)(uintptr_t)*in;
        u->deflate.avail_in = (uInt)*in_left;
        u->deflate.next_out = out;
        u->deflate.avail_out = (uInt)*out_left;
        const int answer = inflate(&u->deflate, Z_NO_FLUSH);
        result = answer == Z_STREAM_END                    ? STEP_ENDED
                 : answer == Z_OK || answer == Z_BUF_ERROR ? STEP_MORE
                                                           : STEP_BAD;
        *in += *in_left - u->deflate.avail_in;
        *in_left = u->deflate.avail_in;
        *out_left = u->deflate.avail_out;
    } else if (u->codec == MR_CODEC_BZIP2) {
        u->bzip2.next_in = (char *)(uintptr_t)*in;
        u->bzip2.avail_in = (unsigned)*in_left;
        u->bzip2.next_out = (char *)out;
        u->bzip2.avail_out = (unsigned)*out_left;
        const int answer = BZ2_bzDecompress(&u->bzip2);
        result = answer == BZ_STREAM_END ? STEP_ENDED : answer == BZ_OK ? STEP_MORE : STEP_BAD;
        *in += *in_left - u->bzip2.avail_in;
        *in_left = u->bzip2.avail_in;
        *out_left = u->bzip2.avail_out;
    } else if (u->codec == MR_CODEC_XZ) {
        u->xz.next_in = *in;
        u->xz.avail_in = *in_left;
        u->xz.next_out = out;
        u->xz.avail_out = *out_left;
        const lzma_ret answer = lzma_code(&u->xz, LZMA_RUN);
        result = answer == LZMA_STREAM_END                       ? STEP_ENDED
                 : answer == LZMA_OK || answer == LZMA_BUF_ERROR ? STEP_MORE
                                                                 : STEP_BAD;
        *in = u->xz.next_in;
        *in_left = u->xz.avail_in;
        *out_left = u->xz.avail_out;
    } else {
        ZSTD_inBuffer from = {*in, *in_left, 0};
        ZSTD_outBuffer to = {out, *out_left, 0};
        const size_t answer = ZSTD_decompressStream(u->zstd, &to, &from);
        result = ZSTD_isError(answer) ? STEP_BAD : answer == 0 ? STEP_ENDED : STEP_MORE;
        *in += from.pos;
        *in_left -= from.pos;
        *out_left -= to.pos;
    }
    return result;
}

static mr_status unpack_stream(mr_codec codec, mr_bytes packed, mr_buffer *plain, size_t limit,
                               size_t *size, mr_error *err)
{
    unpacker u = {.codec = codec, .xz = LZMA_STREAM_INIT};
    const uint8_t *in = packed.data;
    size_t in_left = packed.size;
    mr_status status = MR_OK;
    step last = STEP_MORE;
    if (!begin(&u))
        return mr_fail(err, MR_FATAL, "out of memory");
    *size = 0;
    while (last == STEP_MORE && status == MR_OK) {
        if (*size == plain->room && (status = grow(plain, limit, err)) != MR_OK)
            break;
        const size_t in_before = in_left, room = plain->room - *size;
        size_t out_left = room;
        last = unpack_some(&u, &in, &in_left, plain->data + *size, &out_left);
        *size += room - out_left;
        if (last == STEP_MORE && in_left == in_before && out_left == room)
            last = STEP_BAD; // it wants input that is not there
    }
    end(&u);
    // Some writers leave a part of zlib's checksum behind the deflate data; readers pass over it.
    if (status == MR_OK && (last == STEP_BAD || (in_left > 0 && codec != MR_CODEC_DEFLATE)))
        return damaged(codec, err);
    return status;
}

static mr_status unpack_snappy(mr_bytes packed, mr_buffer *plain, size_t limit, size_t *size,
                               mr_error *err)
{
    const char *data = (const char *)packed.data;
    if (packed.size < 4 || snappy_uncompressed_length(data, packed.size - 4, size) != SNAPPY_OK)
        return damaged(MR_CODEC_SNAPPY, err);
    if (*size > limit)
        return too_large(limit, err);
    MR_TRY(mr_buffer_reserve(plain, *size + 1, err));
    if (snappy_uncompress(data, packed.size - 4, (char *)plain->data, size) != SNAPPY_OK)
        return damaged(MR_CODEC_SNAPPY, err);
    uint32_t want;
    memcpy(&want, packed.data + packed.size - 4, sizeof want);
    if (crc32(crc32(0, NULL, 0), plain->data, (uInt)*size) != __builtin_bswap32(want))
        return mr_fail(err, MR_FATAL, "the CRC-32 of the snappy data differs");
    return MR_OK;
}

mr_status mr_codec_unpack(mr_codec codec, mr_bytes packed, mr_buffer *plain, size_t limit,
                          size_t *size, mr_error *err)
{
    MR_ASSERT(codec != MR_CODEC_NULL);
    if (codec == MR_CODEC_SNAPPY)
        return unpack_snappy(packed, plain, limit, size, err);
    return unpack_stream(codec, packed, plain, limit, size, err);
}
