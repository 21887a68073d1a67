// SPDX-License-Identifier: Apache-2.0
// inspect_inner: what inspect.c and inspect_find.c share.
#ifndef MR_WORKER_INSPECT_INNER_H
#define MR_WORKER_INSPECT_INNER_H

#include <limits.h>

#include "worker/inspect.h"
#include "worker/inspect_rows.h"
#include "worker/marker.h"

enum { MR_INSPECT_TASKS_MAX = 65536 };

struct mr_inspect {
    char path[PATH_MAX];
    mr_store *store;
    mr_store_reader *reader;
    uint32_t tasks[MR_INSPECT_TASKS_MAX];
    uint32_t task_count;
    mr_store_task record; // of the task that is being looked at
    mr_marker marker;
    mr_marker_pair pairs[MR_MARKER_PAIRS_MAX];
    mr_marker_offset offsets[MR_MARKER_OFFSETS_MAX];
    mr_marker_link links[MR_MARKER_LINKS_MAX];
    uint8_t row[MR_ROW_BYTES_MAX];  // of the last read
    uint8_t kept[MR_ROW_BYTES_MAX]; // a payload that outlives other reads
};

static inline void mr_inspect_set(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

static inline json_t *mr_inspect_count(uint64_t number)
{
    return json_integer((json_int_t)number);
}

json_t *mr_inspect_hash_text(mr_hash128 hash);

// Reads a row's payload; row->payload.data NULL where there is none. It lives until the next read.
MR_CHECKED mr_status mr_inspect_read(mr_inspect *in, uint32_t task, mr_bytes key, mr_row *row,
                                     mr_error *err);

#endif
