// SPDX-License-Identifier: Apache-2.0
// task: what the engine keeps of one task: numbers, clock, counters, its recent events, and which
// item ids wait for their rows.
//
// Recent events are one ring of (event-id hash, item key): the window of de-duplication and the
// source of popular negatives at once. It is stored in chunks, each written once; the window
// consists of whole chunks, so that a restore gives the same window.
#ifndef MR_CORE_TASK_H
#define MR_CORE_TASK_H

#include "core/engine.h"
#include "core/ingest/admission.h"
#include "core/rows.h"

enum { MR_CHUNK_EVENTS_MAX = 4000 };

typedef struct mr_chunk {
    uint64_t number; // rises by one
    uint64_t first;  // of its events, counted from the first ever
    uint32_t count;
    int64_t last_ms; // clock when it was closed
    mr_hash128 hash;
} mr_chunk;

typedef struct mr_task {
    bool taken;
    bool loading; // taken, and not ready yet
    bool moved;   // an epoch was learned since the last close
    uint64_t next_seq;
    uint64_t epoch;
    int64_t clock_ms;
    uint64_t shown; // items of impressions that were learned
    mr_task_counters counters;
    uint64_t row_count;
    mr_hash128 state_hash;
    mr_hash128 row_hash; // of the task's own row

    mr_past *past;                            // ring: event n stands at n % past_max
    uint64_t past_first, past_end, past_open; // window; first event that is in no chunk yet
    uint32_t past_max;
    mr_map by_hash;   // event-id hash -> n mod 2^31
    mr_chunk *chunks; // ring by number
    uint64_t chunk_first, chunk_end;
    uint64_t saved_chunk_end, saved_past_end; // of the task's row, until everything is loaded
    uint32_t chunk_max;
    uint32_t window_events_max;
    int64_t window_ms;

    mr_admission admission; // without cells where every item is admitted
} mr_task;

// admission_ids: that wait for their rows; 0: none do.
size_t mr_task_bytes(uint32_t dedup_events_max, uint32_t open_events_max, uint32_t admission_ids);
void mr_task_init(mr_task *task, uint32_t dedup_events_max, int64_t window_ms,
                  uint32_t open_events_max, uint32_t admission_ids, mr_arena *arena);
void mr_task_reset(mr_task *task);

// Whether the event id was learned inside the window. hash 0 is never.
bool mr_task_knows(const mr_task *task, uint64_t event_hash);
// Room for how many events before the next close.
uint32_t mr_task_room(const mr_task *task);
void mr_task_remember(mr_task *task, uint64_t event_hash, uint64_t item_key);
static inline uint32_t mr_task_past_count(const mr_task *task)
{
    return (uint32_t)(task->past_end - task->past_first);
}

// At a close: cuts what is open into chunks and drops chunks that left the window. Calls put for
// each chunk row that is new (payload) or gone (size 0); scratch holds 64 KiB.
void mr_task_cut(mr_task *task, uint8_t *scratch,
                 void (*put)(void *context, uint64_t number, mr_bytes payload, mr_hash128 *hash),
                 void *context);
MR_CHECKED mr_status mr_task_load_chunk(mr_task *task, uint64_t number, mr_bytes payload,
                                        mr_hash128 hash, mr_error *err);
// Orders the loaded chunks and fills the index; call once after loading.
MR_CHECKED mr_status mr_task_loaded(mr_task *task, mr_error *err);

// The task's own row. Where no item ever waited for its rows it ends before what is said of them.
enum { MR_TASK_ROW_BYTES = 8 * 14, MR_TASK_ROW_PLAIN = 8 * 12 };
uint32_t mr_task_encode(const mr_task *task, uint8_t out[MR_TASK_ROW_BYTES]);
MR_CHECKED mr_status mr_task_decode(mr_task *task, mr_bytes payload, mr_error *err);

#endif
