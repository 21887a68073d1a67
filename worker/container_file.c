// SPDX-License-Identifier: Apache-2.0
#include "worker/container_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/hash.h"
#include "schemas/writer.h"

enum { BLOCK_BYTES = 1 << 18, SYNC_BYTES = 16 };

struct mr_container_file {
    FILE *out;
    char *path;
    uint8_t sync[SYNC_BYTES];
    int64_t records;
    size_t used, room;
    uint8_t *block, *packed;
};

static mr_status failed(const mr_container_file *file, mr_error *err)
{
    return mr_fail(err, MR_FATAL, "%s: %s", file->path, strerror(errno));
}

static mr_status write_header(mr_container_file *file, mr_bytes schema, mr_error *err)
{
    const size_t room = schema.size + 256u;
    uint8_t *header = malloc(room);
    if (header == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_writer out = mr_writer_make(header, room);
    mr_put_raw(&out, "Obj\1", 4);
    mr_put_long(&out, 2);
    mr_put_text(&out, "avro.schema");
    mr_put_bytes(&out, schema);
    mr_put_text(&out, "avro.codec");
    mr_put_text(&out, "deflate");
    mr_put_long(&out, 0);
    mr_put_raw(&out, file->sync, SYNC_BYTES);
    const bool good = !out.full && fwrite(header, 1, out.size, file->out) == out.size;
    free(header);
    return good ? MR_OK : failed(file, err);
}

mr_status mr_container_file_open(const char *path, mr_bytes schema, mr_container_file **out,
                                 mr_error *err)
{
    mr_container_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    file->path = strdup(path);
    file->room = 2 * BLOCK_BYTES;
    file->block = malloc(file->room);
    file->packed = malloc(compressBound((uLong)file->room));
    const mr_hash128 sync = mr_hash128_of(schema.data, schema.size, 1); // equal files, equal bytes
    memcpy(file->sync, &sync, SYNC_BYTES);
    mr_status status = MR_OK;
    if (file->path == NULL || file->block == NULL || file->packed == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    else if ((file->out = fopen(path, "wb")) == NULL)
        status = failed(file, err);
    else
        status = write_header(file, schema, err);
    if (status != MR_OK) {
        mr_error ignored;
        mr_container_file_close(file, &ignored);
        return status;
    }
    *out = file;
    return MR_OK;
}

static mr_status deflate_block(mr_container_file *file, size_t *packed, mr_error *err)
{
    z_stream stream = {0}; // raw deflate, as Avro wants it
    if (deflateInit2(&stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return mr_fail(err, MR_FATAL, "out of memory");
    stream.next_in = file->block;
    stream.avail_in = (uInt)file->used;
    stream.next_out = file->packed;
    stream.avail_out = (uInt)compressBound((uLong)file->room);
    const int result = deflate(&stream, Z_FINISH);
    *packed = stream.total_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? MR_OK
                                  : mr_fail(err, MR_FATAL, "%s: deflate failed", file->path);
}

static mr_status flush_block(mr_container_file *file, mr_error *err)
{
    uint8_t counts[20];
    size_t packed = 0;
    if (file->records == 0)
        return MR_OK;
    MR_TRY(deflate_block(file, &packed, err));
    mr_writer out = mr_writer_make(counts, sizeof counts);
    mr_put_long(&out, file->records);
    mr_put_long(&out, (int64_t)packed);
    if (fwrite(counts, 1, out.size, file->out) != out.size ||
        fwrite(file->packed, 1, packed, file->out) != packed ||
        fwrite(file->sync, 1, SYNC_BYTES, file->out) != SYNC_BYTES)
        return failed(file, err);
    file->records = 0;
    file->used = 0;
    return MR_OK;
}

mr_status mr_container_file_put(mr_container_file *file, mr_bytes record, mr_error *err)
{
    if (file->used + record.size > BLOCK_BYTES)
        MR_TRY(flush_block(file, err));
    if (record.size > file->room)
        return mr_fail(err, MR_FATAL, "%s: a record of %u bytes; at most %zu fit", file->path,
                       record.size, file->room);
    memcpy(file->block + file->used, record.data, record.size);
    file->used += record.size;
    file->records++;
    return MR_OK;
}

mr_status mr_container_file_close(mr_container_file *file, mr_error *err)
{
    if (file == NULL)
        return MR_OK;
    mr_status status = MR_OK;
    if (file->out != NULL) {
        status = flush_block(file, err);
        if (fclose(file->out) != 0 && status == MR_OK)
            status = failed(file, err);
    }
    free(file->path);
    free(file->block);
    free(file->packed);
    free(file);
    return status;
}
