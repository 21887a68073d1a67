// SPDX-License-Identifier: Apache-2.0
// input: the events of a file, whatever its format: Avro container or CSV, or a foreign log by a
// mapping file; plain, gzip or zstd.
//
// The first bytes say what a file is. One pass, bounded memory, no seeking: a pipe will do.
#ifndef MR_WORKER_INPUT_INPUT_H
#define MR_WORKER_INPUT_INPUT_H

#include "core/base/arena.h"
#include "core/event/event.h"
#include "schemas/mapping.h"
#include "worker/input/format.h"

typedef struct mr_input mr_input;

// Opens a file, or standard input for "-". mapping may be NULL: then an Avro file has one of our
// own schemas, and a CSV file has columns that are called like fields and one that is called type.
// It is borrowed for the call. Errors: MR_FATAL with path, line and what would be right.
MR_CHECKED mr_status mr_input_open(const char *path, const mr_mapping *mapping, mr_input **input,
                                   mr_error *err);

// The same, but a file is what the format says, CSV or JSON lines, if there is one; NULL: none. It
// is borrowed for the call. With `order: any` the first call of mr_input_next reads the whole file.
MR_CHECKED mr_status mr_input_open_as(const char *path, const mr_mapping *mapping,
                                      const mr_format *format, mr_input **input, mr_error *err);
void mr_input_close(mr_input *input);

// The next event. Everything that it points to lives until the next call. *more false: the end.
// Errors: MR_REJECT with cause and place: this record is bad, the next call goes on; MR_FATAL: the
// file is, nothing more can be read from it.
MR_CHECKED mr_status mr_input_next(mr_input *input, mr_event *event, bool *more, mr_error *err);

// Bytes of the file that were read, and of all of it; 0 where that is not known.
void mr_input_progress(const mr_input *input, uint64_t *done, uint64_t *total);

// How many bytes a copy of the event needs beside the event itself, and the copy: texts, lines and
// vector go to the arena, so that it lives as long as that.
size_t mr_input_copy_bytes(const mr_event *event);
void mr_input_copy(mr_event *to, const mr_event *from, mr_arena *arena);

#endif
