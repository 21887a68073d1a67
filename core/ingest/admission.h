// SPDX-License-Identifier: Apache-2.0
// admission: whether an item id has come often enough to be given rows: a sliding hash filter.
//
// A filter holds for each id that came a cell of 16 bits: 12 of signature, 4 of count. Cells stand
// in splits, hash tables with bounded linear probing. What comes goes to one of them, the head,
// with the count that it has in an older one; once the head holds its share of ids, the oldest
// split is cleared and becomes the head. So an id is forgotten when it has not come while as many
// others did as the filter remembers, and one that keeps coming keeps its count, which stops
// growing at what is asked for.
//
// It errs to one side: an id that comes as often as is asked for, before the filter forgets it, is
// admitted. It is too early where it meets the signature of another, or where no cell is free
// within the probes: then it is let through. Of ids that come once these are 1 or 2 in a hundred.
//
// Every task (partition) has a filter of its own, which is changed by the task's events alone: what
// is admitted is a function of the partition's records, on whatever worker, beside whatever other
// tasks. It is a part of the task's rows: pages of cells, of which a commit writes those that
// changed, an event one of them at most.
//
// Source: Monolith: Real Time Recommendation System With Collisionless Embedding Table (2022) and
// the hash filter of its public code.
#ifndef MR_CORE_INGEST_ADMISSION_H
#define MR_CORE_INGEST_ADMISSION_H

#include "core/base/arena.h"
#include "core/base/hash.h"

enum {
    MR_ADMISSION_MAX = 15, // of a count: what can be asked for
    MR_ADMISSION_IDS_MIN = 1000,
    MR_ADMISSION_IDS_MAX = 10000000,
    MR_ADMISSION_SPLITS = 6, // the head, and five that are full
    MR_ADMISSION_PROBES = 64,
    MR_ADMISSION_PAGE = 128,                             // cells
    MR_ADMISSION_PAGE_BYTES = 8 + 2 * MR_ADMISSION_PAGE, // of a page's payload
};

typedef struct mr_admission {
    uint16_t *cells;               // split after split; 0: free; NULL: there is no filter
    uint8_t *dirty;                // by page: changed since the last mr_admission_put
    mr_hash128 *hashes;            // by page: of the stored row; 0, 0: none stored
    uint32_t ids_each, pages_each; // of a split: ids from which on it is full; pages
    uint32_t used;                 // cells of the head that are not free
    uint32_t dirty_count;
    uint64_t turn; // how often a split became the head: it is number turn % MR_ADMISSION_SPLITS
} mr_admission;

// Whether so much may be asked for, and so many ids (0: none) be remembered.
bool mr_admission_fits(uint32_t least, uint32_t ids);
// Bytes that mr_admission_init takes for a filter that remembers at least so many ids, 0: none.
size_t mr_admission_bytes(uint32_t ids);
// In zeroed memory. ids: 0 (no filter: nothing but turn is kept), or within the limits above.
void mr_admission_init(mr_admission *filter, uint32_t ids, mr_arena *arena);
// Forgets everything, also what is stored.
void mr_admission_clear(mr_admission *filter);

// The id of this key (mr_item_key) came once more. Whether it has now come `least` times, 1 to
// MR_ADMISSION_MAX.
bool mr_admission_count(mr_admission *filter, uint64_t key, uint32_t least);

static inline uint32_t mr_admission_pages(const mr_admission *filter)
{
    return filter->pages_each * MR_ADMISSION_SPLITS;
}

// At a close: calls put for every page that changed, in order of number, with its payload or, where
// all its cells are free, with size 0; it sets *hash, that of the stored row.
// Payload: { u8 version, u8 0 x 3, u32 pages of a split, cells }.
void mr_admission_put(mr_admission *filter,
                      void (*put)(void *context, uint64_t number, mr_bytes payload,
                                  mr_hash128 *hash),
                      void *context);
// Reads a page back into a filter that is clear; without a filter the page is left as it is stored.
// Errors: MR_FATAL: damaged, or of a filter of another size.
MR_CHECKED mr_status mr_admission_load(mr_admission *filter, uint64_t number, mr_bytes payload,
                                       mr_hash128 hash, mr_error *err);
// Counts what the head holds; once all pages and `turn` are there.
void mr_admission_loaded(mr_admission *filter);

#endif
