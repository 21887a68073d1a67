// SPDX-License-Identifier: Apache-2.0
// codec: unpacks one block of an Avro container file.
// Source: Apache Avro 1.12, "Object Container Files"; RFC 1951 for deflate.
#ifndef MR_WORKER_INPUT_CODEC_H
#define MR_WORKER_INPUT_CODEC_H

#include "core/base/bytes.h"
#include "core/base/error.h"

typedef enum mr_codec {
    MR_CODEC_NULL,
    MR_CODEC_DEFLATE,
    MR_CODEC_SNAPPY, // and four bytes of CRC-32, big-endian, of the plain data
    MR_CODEC_ZSTANDARD,
    MR_CODEC_BZIP2,
    MR_CODEC_XZ,
} mr_codec;

// By the name in the file; an empty one is null. Errors: MR_FATAL, names those that are known.
MR_CHECKED mr_status mr_codec_of(mr_bytes name, mr_codec *codec, mr_error *err);

typedef struct mr_buffer { // grows up to a limit; zeroed at first, freed by its owner
    uint8_t *data;
    size_t room;
} mr_buffer;

// Makes room for `bytes`, keeping what is there. Errors: MR_FATAL, out of memory.
MR_CHECKED mr_status mr_buffer_reserve(mr_buffer *buffer, size_t bytes, mr_error *err);

// Unpacks `packed` into `plain`, which grows to at most `limit` bytes; *size is what there is.
// Not for MR_CODEC_NULL. Errors: MR_FATAL: damaged, or larger than the limit.
MR_CHECKED mr_status mr_codec_unpack(mr_codec codec, mr_bytes packed, mr_buffer *plain,
                                     size_t limit, size_t *size, mr_error *err);

#endif
