// SPDX-License-Identifier: Apache-2.0
// neighbours: a bounded table of the items that stand beside an item, with faded counts, as a row;
// and sums over the tables of a user's newest items.
//
// A full table lets a newcomer take the place of the smallest entry and start from its own count.
// (Space-Saving, where it inherits the count of the entry it displaces, was measured too: with 64
// entries its inflated tail costs a third of the recall on MovieLens.) Eviction depends on order,
// so a table belongs to its owner: deltas are applied in order of cell key, once a round. Counts
// are those of decay.h with one sum a cell: an older era is shifted away at the owner. Compared
// with: Metwally et al., "Efficient Computation of Frequent and Top-k Elements in Data Streams".
//
// A table is 16 cache lines, and most are far from any cache when their turn comes. So a row has an
// index in memory, a byte of each key and a byte of each count: three lines say which cell is
// meant, and which one goes.
#ifndef MR_CORE_MODEL_NEIGHBOURS_H
#define MR_CORE_MODEL_NEIGHBOURS_H

#include "core/deltas.h"
#include "core/model/decay.h"

enum {
    MR_NEIGHBOURS_MAX = 64,
    MR_SUMS_MAX = MR_RECENT_MAX * MR_NEIGHBOURS_MAX,
    MR_SUMS_BITS = 12,
};

typedef struct mr_neighbour {
    uint64_t key;
    int64_t count;
} mr_neighbour;

typedef struct mr_neighbours { // a row
    int64_t total, era;        // total: the method's to define
    uint32_t count, reserved;
    mr_neighbour cells[MR_NEIGHBOURS_MAX];
    // The index, never stored: of a row that came from elsewhere `indexed` is 0, and it is made
    // when it is wanted first.
    uint32_t indexed, reserved_too;
    uint8_t tags[MR_NEIGHBOURS_MAX];   // a byte of the key
    uint8_t levels[MR_NEIGHBOURS_MAX]; // the larger, the larger the count
} mr_neighbours;

// For a family: bytes of a row, how many of them are in use, and of its index.
uint32_t mr_neighbours_bytes(const void *config);
enum { MR_NEIGHBOURS_INDEX = sizeof(mr_neighbours) - offsetof(mr_neighbours, indexed) };
uint32_t mr_neighbours_used(const void *config, const void *row);

// Brings the row to an era; an older one changes nothing.
void mr_neighbours_shift(mr_neighbours *row, int64_t era);
// What a cell of an era up to the row's is worth in units of the row's.
int64_t mr_neighbours_units(const mr_neighbours *row, const mr_cell *cell);
// Adds units > 0 to the cell of a key, which takes the place of the smallest one where all are
// taken; of two of a count that is the one of the larger key.
void mr_neighbours_add(mr_neighbours *row, uint64_t key, int64_t units);

// Whether an entry of the user's newest events is of an item that a newer one is of too.
bool mr_neighbours_earlier(const mr_user *user, uint32_t place);

typedef struct mr_sums { // one number an item, of the items as they were found
    uint32_t count;
    uint32_t slots[MR_SUMS_MAX];
    float scores[MR_SUMS_MAX];
    uint16_t table[1 << MR_SUMS_BITS]; // core/base/place.h
} mr_sums;

void mr_sums_clear(mr_sums *sums);
void mr_sums_add(mr_sums *sums, uint32_t slot, float value);
// The sum of an item; 0 where nothing was added.
float mr_sums_of(const mr_sums *sums, uint32_t slot);
// The same of count items, for a model's `score`.
void mr_sums_read(const mr_sums *sums, const uint32_t *slots, uint32_t count, float *out);
// The best of the items that a filter admits, for a model's `candidates`.
void mr_sums_choose(const mr_sums *sums, const mr_filter *filter, mr_arena *arena, mr_found *found);

#endif
