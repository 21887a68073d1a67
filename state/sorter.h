// SPDX-License-Identifier: Apache-2.0
// sorter: rows in the order in which they were written, each key many times, become rows in the
// order of their keys, each key once: its newest.
//
// An external merge sort with bounded memory. Rows are gathered in segments of memory; a full one
// is sorted, and when all are full the oldest goes to a file, as a run. So the work is spread over
// the puts, a segment at a time, and whoever delivers the rows is never kept waiting for long. At
// the end runs and segments are merged, as often as is asked and from any place on.
#ifndef MR_STATE_SORTER_H
#define MR_STATE_SORTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct mr_store;

enum {
    MR_SORTER_SEGMENTS = 8,
    MR_SORTER_RUNS_MAX = 48, // each is an open file and 132 KiB
    MR_SORTER_SOURCES_MAX = MR_SORTER_SEGMENTS + MR_SORTER_RUNS_MAX,
};

typedef struct mr_sorter mr_sorter;

typedef struct mr_sorter_place { // in the order of the keys; good until the next put
    off_t runs[MR_SORTER_RUNS_MAX];
    uint32_t segments[MR_SORTER_SEGMENTS];
} mr_sorter_place;

// memory_bytes: at least 1 MiB, below 4 GiB; files are unnamed ones in the store's folder. Errors:
// MR_FATAL: out of memory.
MR_CHECKED mr_status mr_sorter_open(struct mr_store *store, size_t memory_bytes, mr_sorter **sorter,
                                    mr_error *err);
void mr_sorter_close(mr_sorter *sorter); // NULL is allowed

// Adds a row, copied; value.data NULL: it is gone. Key and value within the store's limits. Errors:
// MR_RETRY: disk full: the row was not added; MR_FATAL.
MR_CHECKED mr_status mr_sorter_put(mr_sorter *sorter, mr_bytes key, mr_bytes value, mr_error *err);

// Goes to the first row; puts are allowed again afterwards, after another mr_sorter_begin their
// rows are there too. Errors: MR_FATAL: a run cannot be read back.
MR_CHECKED mr_status mr_sorter_begin(mr_sorter *sorter, mr_error *err);
// The row at hand; false: there is none any more. Valid until the next call of another function.
bool mr_sorter_row(const mr_sorter *sorter, mr_bytes *key, mr_bytes *value);
MR_CHECKED mr_status mr_sorter_next(mr_sorter *sorter, mr_error *err);

void mr_sorter_tell(const mr_sorter *sorter, mr_sorter_place *place);
MR_CHECKED mr_status mr_sorter_seek(mr_sorter *sorter, const mr_sorter_place *place, mr_error *err);

#endif
