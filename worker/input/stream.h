// SPDX-License-Identifier: Apache-2.0
// stream: the bytes of a file, decompressed on the way if they are gzip or zstd.
//
// What a file is, its first bytes say, never its name. Memory is bounded: one buffer of raw bytes
// and the decompressor's own state.
#ifndef MR_WORKER_INPUT_STREAM_H
#define MR_WORKER_INPUT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct mr_stream mr_stream;

// Opens a file, or standard input for "-". Errors: MR_FATAL with path and reason.
MR_CHECKED mr_status mr_stream_open(const char *path, mr_stream **stream, mr_error *err);
void mr_stream_close(mr_stream *stream);

// Reads up to `room` bytes; *got is less only at the end.
// Errors: MR_FATAL with path and raw offset: unreadable, damaged, or cut off in compressed data.
MR_CHECKED mr_status mr_stream_read(mr_stream *stream, void *bytes, size_t room, size_t *got,
                                    mr_error *err);

// The first `count` (at most 8) bytes of what has not been read; they are read again afterwards.
// *got is less only at the end.
MR_CHECKED mr_status mr_stream_peek(mr_stream *stream, uint8_t *bytes, size_t count, size_t *got,
                                    mr_error *err);

const char *mr_stream_path(const mr_stream *stream);

// Raw bytes read so far, and of the whole file; 0 where that is not known (a pipe).
void mr_stream_progress(const mr_stream *stream, uint64_t *done, uint64_t *total);

#endif
