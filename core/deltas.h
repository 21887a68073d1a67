// SPDX-License-Identifier: Apache-2.0
// deltas: what one task's epoch wants to change in rows that it does not own, combined by row.
//
// SUM payloads are combined as they are made, in order of the task's signals; sets of several tasks
// are then combined in order of task. CELLS are kept as they came and combined by cell key when
// their row is applied. Cleared by touching only what was used, so that an epoch of one event is
// cheap. What goes to other workers and what comes from them stands in sets of the same form
// (engine_exchange.c).
#ifndef MR_CORE_DELTAS_H
#define MR_CORE_DELTAS_H

#include "core/rows.h"

enum { MR_SHARDS = 8 }; // rows are merged in so many jobs by slot, whatever the lanes

typedef struct mr_delta_set { // SUM: one payload a row
    uint32_t *table;          // hash of slot -> index + 1
    uint32_t mask;
    uint32_t *slots;
    uint8_t *joined; // by index: merged elsewhere: an earlier task has this row too, or it is
                     // another worker's (engine_merge.c, engine_exchange.c)
    uint8_t *payloads;
    uint32_t stride, count, max;
    uint32_t *by_shard; // indexes in order of (slot mod MR_SHARDS, index): see mr_delta_set_cut
    uint32_t shard_first[MR_SHARDS + 1];
} mr_delta_set;

typedef struct mr_cell_entry {
    mr_cell cell;
    uint32_t next; // entry of the same row, later in order; UINT32_MAX: last
    uint32_t reserved;
} mr_cell_entry;

typedef struct mr_delta_place { // a row's payload among the sets that are merged
    uint32_t source;            // + 1; 0: none
    uint32_t index;
} mr_delta_place;

typedef struct mr_cell_row {
    uint32_t first, last, count;
    mr_delta_place next; // the same row in a later set, known once sets are merged
} mr_cell_row;

typedef struct mr_deltas {
    const struct mr_family_entry *families;
    uint32_t family_count;
    mr_delta_set *sets;   // by family index; for CELLS the payload is an mr_cell_row
    mr_cell_entry *cells; // of all CELLS families
    uint32_t cell_count, cell_max;
} mr_deltas;

typedef struct mr_family_entry { // one family of the engine: where its rows are
    const mr_family *family;
    const mr_instance *instance;
    uint16_t code;
    uint32_t index_in_method;
    uint32_t delta_bytes;
    mr_named *named; // NAMED only
} mr_family_entry;

// rows_max: by family, how many rows have a delta at most.
size_t mr_deltas_bytes(const mr_family_entry *families, uint32_t family_count,
                       const uint32_t *rows_max, uint32_t cells_max);
void mr_deltas_init(mr_deltas *deltas, const mr_family_entry *families, uint32_t family_count,
                    const uint32_t *rows_max, uint32_t cells_max, mr_arena *arena);
void mr_deltas_clear(mr_deltas *deltas);

// A set alone: payloads of `stride` bytes, not zeroed when they are added. Memory is zeroed.
size_t mr_delta_set_bytes(uint32_t stride, uint32_t rows_max);
void mr_delta_set_init(mr_delta_set *set, uint32_t stride, uint32_t rows_max, mr_arena *arena);
void mr_delta_set_clear(mr_delta_set *set);
// Cuts a set into shards, for the merge, without the rows that are marked as joined. Nothing is
// added after it until the next clear.
void mr_delta_set_cut(mr_delta_set *set);

// The payload of a SUM delta to the row at `slot`, zeroed when it is new. Valid until the next
// clear.
void *mr_deltas_at(mr_deltas *deltas, uint32_t family, uint32_t slot);
// Adds a CELLS delta.
void mr_deltas_cell(mr_deltas *deltas, uint32_t family, uint32_t slot, mr_cell cell);

// Sorts cells by (key, era) and adds up those of one key and era; returns how many are left.
uint32_t mr_cells_combine(mr_cell *cells, uint32_t count);

// Finds the payload of slot, or NULL.
void *mr_delta_set_find(const mr_delta_set *set, uint32_t slot);
// Finds or adds; *added says which.
void *mr_delta_set_at(mr_delta_set *set, uint32_t slot, bool *added);
static inline void *mr_delta_set_payload(const mr_delta_set *set, uint32_t index)
{
    return set->payloads + (size_t)index * set->stride;
}

#endif
