// SPDX-License-Identifier: Apache-2.0
#include "core/ingest/admission.h"

enum { VERSION = 1, HEADER = 8, COUNT_BITS = 4, COUNT = (1 << COUNT_BITS) - 1 };

static uint32_t ids_each(uint32_t ids)
{
    return (ids + MR_ADMISSION_SPLITS - 2) / (MR_ADMISSION_SPLITS - 1);
}

// Room for six ids where there are five at most: at .83 full a probe is still short.
static uint32_t pages_each(uint32_t ids)
{
    const uint64_t cells = (uint64_t)ids_each(ids) * 6 / 5 + MR_ADMISSION_PROBES;
    return ids == 0 ? 0 : (uint32_t)((cells + MR_ADMISSION_PAGE - 1) / MR_ADMISSION_PAGE);
}

bool mr_admission_fits(uint32_t least, uint32_t ids)
{
    return least <= MR_ADMISSION_MAX &&
           (ids == 0 || (ids >= MR_ADMISSION_IDS_MIN && ids <= MR_ADMISSION_IDS_MAX));
}

size_t mr_admission_bytes(uint32_t ids)
{
    const size_t pages = (size_t)pages_each(ids) * MR_ADMISSION_SPLITS;
    return mr_arena_round(pages * MR_ADMISSION_PAGE * sizeof(uint16_t)) + mr_arena_round(pages) +
           mr_arena_round(pages * sizeof(mr_hash128));
}

void mr_admission_init(mr_admission *filter, uint32_t ids, mr_arena *arena)
{
    *filter = (mr_admission){0};
    if (ids == 0)
        return;
    MR_ASSERT(mr_admission_fits(1, ids));
    filter->ids_each = ids_each(ids);
    filter->pages_each = pages_each(ids);
    const size_t pages = mr_admission_pages(filter);
    filter->cells = mr_arena_push(arena, pages * MR_ADMISSION_PAGE * sizeof(uint16_t));
    filter->dirty = mr_arena_push(arena, pages);
    filter->hashes = mr_arena_push(arena, pages * sizeof(mr_hash128));
}

void mr_admission_clear(mr_admission *filter)
{
    const size_t pages = mr_admission_pages(filter);
    filter->turn = 0;
    filter->used = filter->dirty_count = 0;
    if (filter->cells == NULL)
        return;
    memset(filter->cells, 0, pages * MR_ADMISSION_PAGE * sizeof(uint16_t));
    memset(filter->dirty, 0, pages);
    memset(filter->hashes, 0, pages * sizeof(mr_hash128));
}

// ---- cells

static uint32_t cells_each(const mr_admission *filter)
{
    return filter->pages_each * MR_ADMISSION_PAGE;
}

// The split that was the head so many turns ago.
static uint32_t split_of(const mr_admission *filter, uint32_t turns_ago)
{
    return (uint32_t)((filter->turn + MR_ADMISSION_SPLITS - turns_ago) % MR_ADMISSION_SPLITS);
}

static uint16_t *cells_of(const mr_admission *filter, uint32_t split)
{
    return filter->cells + (size_t)split * cells_each(filter);
}

// Neither of them says anything of the other: the place is of the key's upper half.
static uint32_t signature_of(uint64_t key)
{
    return (uint32_t)(key & 0xfff);
}

// The cell of the key in a split, or the free one where it would stand; UINT32_MAX: neither.
static uint32_t find(const mr_admission *filter, uint32_t split, uint64_t key)
{
    const uint16_t *cells = cells_of(filter, split);
    const uint32_t count = cells_each(filter);
    uint32_t at = (uint32_t)((key >> 32) * count >> 32);
    for (uint32_t probe = 0; probe < MR_ADMISSION_PROBES; probe++) {
        if (cells[at] == 0 || (uint32_t)cells[at] >> COUNT_BITS == signature_of(key))
            return at;
        at = at + 1 == count ? 0 : at + 1;
    }
    return UINT32_MAX;
}

static void touch(mr_admission *filter, uint32_t page)
{
    filter->dirty_count += filter->dirty[page] == 0;
    filter->dirty[page] = 1;
}

// What older splits have counted of the key, at most: the newest one that has a cell for it may
// have that of another id, and then less.
static uint32_t count_before(const mr_admission *filter, uint64_t key)
{
    uint32_t most = 0;
    for (uint32_t ago = 1; ago < MR_ADMISSION_SPLITS; ago++) {
        const uint32_t split = split_of(filter, ago), at = find(filter, split, key);
        const uint32_t count = at == UINT32_MAX ? 0 : cells_of(filter, split)[at] & COUNT;
        most = count > most ? count : most;
    }
    return most;
}

static void begin_split(mr_admission *filter)
{
    filter->turn++;
    filter->used = 0;
    const uint32_t split = split_of(filter, 0), first = split * filter->pages_each;
    memset(cells_of(filter, split), 0, cells_each(filter) * sizeof(uint16_t));
    for (uint32_t page = first; page < first + filter->pages_each; page++)
        if (filter->hashes[page].low != 0 || filter->hashes[page].high != 0)
            touch(filter, page);
}

bool mr_admission_count(mr_admission *filter, uint64_t key, uint32_t least)
{
    MR_ASSERT(filter->cells != NULL && least >= 1 && least <= MR_ADMISSION_MAX);
    const uint32_t head = split_of(filter, 0), at = find(filter, head, key);
    if (at == UINT32_MAX)
        return true;
    uint16_t *cell = &cells_of(filter, head)[at];
    const bool fresh = *cell == 0;
    if ((*cell & COUNT) >= least)
        return true;
    const uint32_t before = count_before(filter, key), here = *cell & COUNT;
    uint32_t count = before > here ? before : here;
    count += count < least;
    *cell = (uint16_t)(signature_of(key) << COUNT_BITS | count);
    touch(filter, head * filter->pages_each + at / MR_ADMISSION_PAGE);
    filter->used += fresh;
    if (filter->used >= filter->ids_each)
        begin_split(filter);
    return count >= least;
}

// ---- pages

static bool is_free(const uint16_t *cells)
{
    uint32_t any = 0;
    for (uint32_t c = 0; c < MR_ADMISSION_PAGE; c++)
        any |= cells[c];
    return any == 0;
}

void mr_admission_put(mr_admission *filter,
                      void (*put)(void *context, uint64_t number, mr_bytes payload,
                                  mr_hash128 *hash),
                      void *context)
{
    for (uint32_t page = 0; filter->dirty_count > 0 && page < mr_admission_pages(filter); page++) {
        const uint16_t *cells = filter->cells + (size_t)page * MR_ADMISSION_PAGE;
        uint8_t payload[MR_ADMISSION_PAGE_BYTES] = {VERSION};
        if (!filter->dirty[page])
            continue;
        memcpy(payload + 4, &filter->pages_each, 4);
        memcpy(payload + HEADER, cells, sizeof payload - HEADER);
        put(context, page,
            is_free(cells) ? (mr_bytes){NULL, 0} : mr_bytes_of(payload, sizeof payload),
            &filter->hashes[page]);
        filter->dirty[page] = 0;
        filter->dirty_count--;
    }
}

mr_status mr_admission_load(mr_admission *filter, uint64_t number, mr_bytes payload,
                            mr_hash128 hash, mr_error *err)
{
    uint32_t pages = 0;
    if (filter->cells == NULL)
        return MR_OK;
    if (payload.size >= HEADER)
        memcpy(&pages, payload.data + 4, 4);
    if (payload.size != MR_ADMISSION_PAGE_BYTES || payload.data[0] != VERSION)
        return mr_fail(err, MR_FATAL,
                       "pending item ids, page %llu: %u bytes are no page: run millrace inspect "
                       "verify",
                       (unsigned long long)number, payload.size);
    if (pages != filter->pages_each || number >= mr_admission_pages(filter))
        return mr_fail(err, MR_FATAL,
                       "pending item ids, page %llu: of a filter of %u pages a split, want %u: set "
                       "items.admission_ids back, or let a new app id learn from the topics",
                       (unsigned long long)number, pages, filter->pages_each);
    uint16_t *cells = filter->cells + (size_t)number * MR_ADMISSION_PAGE;
    memcpy(cells, payload.data + HEADER, MR_ADMISSION_PAGE * sizeof *cells);
    filter->hashes[number] = hash;
    for (uint32_t c = 0; c < MR_ADMISSION_PAGE; c++)
        if (cells[c] != 0 && (cells[c] & COUNT) == 0)
            return mr_fail(err, MR_FATAL,
                           "pending item ids, page %llu: cell %u counts nothing: run millrace "
                           "inspect verify",
                           (unsigned long long)number, c);
    return MR_OK;
}

void mr_admission_loaded(mr_admission *filter)
{
    filter->used = 0;
    if (filter->cells == NULL)
        return;
    const uint16_t *head = cells_of(filter, split_of(filter, 0));
    for (uint32_t c = 0; c < cells_each(filter); c++)
        filter->used += head[c] != 0;
}
