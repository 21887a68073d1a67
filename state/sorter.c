// SPDX-License-Identifier: Apache-2.0
// Sort in memory, spill, merge (Knuth, TAOCP 3, 5.4: external sorting).
//
// A segment is one block: records grow from its front, their index entries from its back.
//
//     | record 0 | record 1 | ... ->            <- ... | entry 1 | entry 0 |
//
// A record, in memory and in a run: u32 key_bytes, u32 value_bytes (ERASED: none), key, value; in
// the order of this machine, because a run never leaves it.
//
// Sources are numbered by age: runs in the order in which they were written, then segments. Of two
// records with one key that of the higher source is the newer.
//
// Runs have a tier. When there are as many as may be open, those of the last tier are merged into
// one of the next, so that a row is written once for each tier and not once for each merge.
#include "state/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/sort.h"
#include "state/store_inner.h"

enum {
    RECORD_HEAD = 8,
    RECORD_MAX = RECORD_HEAD + MR_STORE_KEY_MAX + MR_ROW_BYTES_MAX,
    WINDOW_BYTES = 2 * 65536 + 4096, // of a run in a merge: more than one record
    LINE_BYTES = 64,
    AHEAD = 4, // records of a segment that are on their way from memory
};
static const uint32_t ERASED = UINT32_MAX;

// Of a record: key = eight bytes of the row's key, which decide nearly every comparison; value =
// where it begins in its segment; reserved = its length.
typedef mr_sorted entry;

typedef struct segment {
    uint8_t *memory;
    uint32_t bytes, used; // of the memory; by records
    uint32_t count;       // of entries
    uint32_t next;        // of a merge
    bool sorted;          // each key once; nothing can be added
} segment;

typedef struct run { // a file, sorted, each key once
    int fd;
    uint32_t tier;
    uint8_t *window;
    size_t begin, end; // what of the window is not consumed
    off_t read_at;
} run;

typedef struct record {
    mr_bytes key, value; // value.data NULL: erased
    size_t bytes;
} record;

typedef struct head { // the record that a source is at
    record at;
    uint64_t prefix;
    bool has;
} head;

struct mr_sorter {
    mr_store *store;
    uint8_t *memory;
    segment segments[MR_SORTER_SEGMENTS]; // by age from `oldest` on, round the end
    uint32_t oldest, segment_count;
    run runs[MR_SORTER_RUNS_MAX];
    uint32_t run_count;
    // The merge: a heap of the sources that have a record, the smallest key first, of equal ones
    // the newest.
    head heads[MR_SORTER_SOURCES_MAX];
    uint8_t heap[MR_SORTER_SOURCES_MAX];
    uint32_t heap_count;
    uint8_t key[MR_STORE_KEY_MAX]; // of the row that was left
};

static segment *segment_at(mr_sorter *sorter, uint32_t age)
{
    return &sorter->segments[(sorter->oldest + age) % MR_SORTER_SEGMENTS];
}

// Entries lie backwards: the last one is the first in memory.
static entry *entries_of(const segment *s)
{
    return (entry *)(void *)(s->memory + s->bytes) - s->count;
}

static record parse(const uint8_t *bytes)
{
    uint32_t sizes[2];
    memcpy(sizes, bytes, sizeof sizes);
    record r = {.key = mr_bytes_of(bytes + RECORD_HEAD, sizes[0])};
    if (sizes[1] != ERASED)
        r.value = mr_bytes_of(bytes + RECORD_HEAD + sizes[0], sizes[1]);
    r.bytes = RECORD_HEAD + (size_t)sizes[0] + r.value.size;
    return r;
}

// Eight bytes of a key from `at` on as a number that is ordered as they are; zeros behind its end.
static uint64_t prefix_of(mr_bytes key, uint32_t at)
{
    uint64_t prefix = 0;
    if (at + 8 <= key.size) {
        memcpy(&prefix, key.data + at, sizeof prefix);
        return __builtin_bswap64(prefix);
    }
    for (uint32_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (at + i < key.size ? key.data[at + i] : 0);
    return prefix;
}

// ---- opening

mr_status mr_sorter_open(mr_store *store, size_t memory_bytes, mr_sorter **out, mr_error *err)
{
    mr_sorter *sorter = calloc(1, sizeof *sorter);
    const size_t bytes = memory_bytes / MR_SORTER_SEGMENTS / LINE_BYTES * LINE_BYTES;
    MR_ASSERT(bytes >= RECORD_MAX + sizeof(entry) && memory_bytes < UINT32_MAX);
    // Pages that no row reaches are never there.
    if (sorter != NULL)
        sorter->memory = aligned_alloc(LINE_BYTES, bytes * MR_SORTER_SEGMENTS);
    if (sorter == NULL || sorter->memory == NULL) {
        free(sorter);
        return mr_fail(err, MR_FATAL, "out of memory (%zu bytes)", memory_bytes);
    }
    for (uint32_t i = 0; i < MR_SORTER_SEGMENTS; i++)
        sorter->segments[i] =
            (segment){.memory = sorter->memory + i * bytes, .bytes = (uint32_t)bytes};
    sorter->store = store;
    sorter->segment_count = 1;
    *out = sorter;
    return MR_OK;
}

static void close_run(run *r)
{
    close(r->fd);
    free(r->window);
    *r = (run){.fd = -1};
}

void mr_sorter_close(mr_sorter *sorter)
{
    if (sorter == NULL)
        return;
    for (uint32_t i = 0; i < sorter->run_count; i++)
        close_run(&sorter->runs[i]);
    free(sorter->memory);
    free(sorter);
}

// ---- sorting a segment

// Sorts records whose keys agree in their first `at` bytes, by the eight that follow, then groups
// of equal ones by the next: so many comparisons are of numbers that stand side by side. Equal keys
// come in the order in which they were put.
static void sort_from(const segment *s, entry *e, uint32_t count, uint32_t at)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < count && at > 0; i++) {
        const mr_bytes key = parse(s->memory + e[i].value).key;
        e[i].key = prefix_of(key, at);
        longest = key.size > longest ? key.size : longest;
    }
    const bool ended = at > 0 && longest <= at; // they differ at most in how many zeros end them
    for (uint32_t i = 0; i < count && ended; i++)
        e[i].key = parse(s->memory + e[i].value).key.size;
    mr_sort(e, count);
    for (uint32_t i = 0, next; i < count && !ended; i = next) {
        for (next = i + 1; next < count && e[next].key == e[i].key; next++)
            continue;
        if (next > i + 1)
            sort_from(s, e + i, next - i, at + 8);
    }
}

static mr_bytes key_of(const segment *s, const entry *e)
{
    return parse(s->memory + e->value).key;
}

static void sort_segment(segment *s)
{
    entry *e = entries_of(s);
    uint32_t kept = 0;
    if (s->sorted)
        return;
    sort_from(s, e, s->count, 0);
    for (uint32_t i = 0; i < s->count; i++) {
        // The last of a key is its newest. Groups have other numbers than at the start by now.
        if (kept > 0 && mr_bytes_equal(key_of(s, &e[kept - 1]), key_of(s, &e[i])))
            e[kept - 1] = e[i];
        else
            e[kept++] = e[i];
    }
    memmove(e + s->count - kept, e, kept * sizeof *e);
    s->count = kept;
    s->sorted = true;
}

// ---- runs

static mr_status write_all(mr_sorter *sorter, int fd, const uint8_t *bytes, size_t size,
                           mr_error *err)
{
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return mr_store_fail(sorter->store, err, written == 0 ? ENOSPC : errno,
                                 "spilling rows of a restore");
        bytes += written;
        size -= (size_t)written;
    }
    return MR_OK;
}

// An unnamed file in the state folder: it vanishes with the process.
static mr_status make_run(mr_sorter *sorter, run *out, mr_error *err)
{
    char name[PATH_MAX + 32];
    *out = (run){.fd = open(sorter->store->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (out->fd < 0) { // a filesystem without unnamed files
        snprintf(name, sizeof name, "%s/restore-XXXXXX", sorter->store->path);
        out->fd = mkostemp(name, O_CLOEXEC);
        if (out->fd < 0)
            return mr_store_fail(sorter->store, err, errno, "making a file for a restore");
        unlink(name);
    }
    out->window = malloc(WINDOW_BYTES);
    if (out->window == NULL) {
        close_run(out);
        return mr_store_fail(sorter->store, err, ENOMEM, "making a file for a restore");
    }
    return MR_OK;
}

// Appends a record to a run that is being written; its window is the buffer. NULL: flushes.
static mr_status append_record(mr_sorter *sorter, run *r, const record *rec, mr_error *err)
{
    if (rec == NULL || r->end + rec->bytes > WINDOW_BYTES) {
        MR_TRY(write_all(sorter, r->fd, r->window, r->end, err));
        r->end = 0;
    }
    if (rec == NULL)
        return MR_OK;
    const uint32_t sizes[2] = {rec->key.size, rec->value.data == NULL ? ERASED : rec->value.size};
    uint8_t *out = r->window + r->end;
    memcpy(out, sizes, sizeof sizes);
    memcpy(out + RECORD_HEAD, rec->key.data, rec->key.size);
    if (rec->value.size > 0)
        memcpy(out + RECORD_HEAD + rec->key.size, rec->value.data, rec->value.size);
    r->end += rec->bytes;
    return MR_OK;
}

// The record at the beginning of a run's window, which stays there until the next call.
static mr_status load_from_run(mr_sorter *sorter, run *r, head *h, mr_error *err)
{
    for (;;) {
        const size_t left = r->end - r->begin;
        if (left >= RECORD_HEAD) {
            h->at = parse(r->window + r->begin);
            h->has = h->at.bytes <= left;
            if (h->has)
                return MR_OK;
        }
        memmove(r->window, r->window + r->begin, left);
        r->begin = 0;
        r->end = left;
        const ssize_t got = pread(r->fd, r->window + left, WINDOW_BYTES - left, r->read_at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got == 0 && left > 0))
            return mr_store_fail(sorter->store, err, got < 0 ? errno : EIO,
                                 "reading rows of a restore back");
        r->end += (size_t)got;
        r->read_at += got;
        h->has = false;
        if (got == 0)
            return MR_OK;
    }
}

// Sorted records lie anywhere in their segment: those that come next are asked for in time.
static void load_from_segment(const segment *s, head *h)
{
    const entry *e = entries_of(s);
    h->has = s->next < s->count;
    if (!h->has)
        return;
    h->at = parse(s->memory + e[s->next].value);
    if (s->next + AHEAD >= s->count)
        return;
    const uint8_t *const line = s->memory + e[s->next + AHEAD].value;
    for (uint32_t at = 0; at < e[s->next + AHEAD].reserved; at += LINE_BYTES)
        __builtin_prefetch(line + at);
}

// ---- merging

static mr_status load_head(mr_sorter *sorter, uint32_t source, mr_error *err)
{
    head *h = &sorter->heads[source];
    if (source < sorter->run_count)
        MR_TRY(load_from_run(sorter, &sorter->runs[source], h, err));
    else
        load_from_segment(segment_at(sorter, source - sorter->run_count), h);
    if (h->has)
        h->prefix = prefix_of(h->at.key, 0);
    return MR_OK;
}

static bool before(const mr_sorter *sorter, uint32_t a, uint32_t b)
{
    const head *x = &sorter->heads[a], *y = &sorter->heads[b];
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix;
    const int order = mr_bytes_compare(x->at.key, y->at.key);
    return order != 0 ? order < 0 : a > b;
}

static void sift(mr_sorter *sorter, uint32_t at)
{
    uint8_t *heap = sorter->heap;
    const uint8_t source = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < sorter->heap_count; at = child) {
        if (child + 1 < sorter->heap_count && before(sorter, heap[child + 1], heap[child]))
            child++;
        if (!before(sorter, heap[child], source))
            break;
        heap[at] = heap[child];
    }
    heap[at] = source;
}

// Loads the heads of the sources [first, end) and makes a heap of them.
static mr_status begin_merge(mr_sorter *sorter, uint32_t first, uint32_t end, mr_error *err)
{
    sorter->heap_count = 0;
    for (uint32_t source = first; source < end; source++) {
        MR_TRY(load_head(sorter, source, err));
        if (sorter->heads[source].has)
            sorter->heap[sorter->heap_count++] = (uint8_t)source;
    }
    for (uint32_t i = sorter->heap_count / 2; i-- > 0;)
        sift(sorter, i);
    return MR_OK;
}

// Leaves the record at the top.
static mr_status drop_top(mr_sorter *sorter, mr_error *err)
{
    const uint32_t source = sorter->heap[0];
    if (source < sorter->run_count)
        sorter->runs[source].begin += sorter->heads[source].at.bytes;
    else
        segment_at(sorter, source - sorter->run_count)->next++;
    MR_TRY(load_head(sorter, source, err));
    if (!sorter->heads[source].has)
        sorter->heap[0] = sorter->heap[--sorter->heap_count];
    if (sorter->heap_count > 0)
        sift(sorter, 0);
    return MR_OK;
}

static const record *top(const mr_sorter *sorter)
{
    return sorter->heap_count > 0 ? &sorter->heads[sorter->heap[0]].at : NULL;
}

// Leaves the row at the top, and older ones of its key, which come right behind it.
static mr_status next_key(mr_sorter *sorter, mr_error *err)
{
    const mr_bytes key = mr_bytes_of(sorter->key, top(sorter)->key.size);
    memcpy(sorter->key, top(sorter)->key.data, key.size);
    do
        MR_TRY(drop_top(sorter, err));
    while (sorter->heap_count > 0 && mr_bytes_equal(top(sorter)->key, key));
    return MR_OK;
}

static void rewind_run(run *r, off_t at)
{
    r->begin = r->end = 0;
    r->read_at = at;
}

// ---- making room

// The runs from `first` on into one. Where nothing is older, rows that are gone may be forgotten.
static mr_status write_merged(mr_sorter *sorter, uint32_t first, run *out, mr_error *err)
{
    for (uint32_t i = first; i < sorter->run_count; i++)
        rewind_run(&sorter->runs[i], 0);
    MR_TRY(begin_merge(sorter, first, sorter->run_count, err));
    while (top(sorter) != NULL) {
        if (first > 0 || top(sorter)->value.data != NULL)
            MR_TRY(append_record(sorter, out, top(sorter), err));
        MR_TRY(next_key(sorter, err));
    }
    return append_record(sorter, out, NULL, err);
}

static mr_status merge_last_tier(mr_sorter *sorter, mr_error *err)
{
    const uint32_t tier = sorter->runs[sorter->run_count - 1].tier;
    uint32_t first = sorter->run_count - 1;
    run fresh;
    while (first > 0 && sorter->runs[first - 1].tier == tier)
        first--;
    if (first == sorter->run_count - 1) // it is alone: all tiers are merged
        first = 0;
    MR_TRY(make_run(sorter, &fresh, err));
    const mr_status status = write_merged(sorter, first, &fresh, err);
    if (status != MR_OK) {
        close_run(&fresh);
        return status;
    }
    fresh.tier = sorter->runs[first].tier + 1;
    for (uint32_t i = first; i < sorter->run_count; i++)
        close_run(&sorter->runs[i]);
    sorter->runs[first] = fresh;
    sorter->run_count = first + 1;
    return MR_OK;
}

static mr_status spill_oldest(mr_sorter *sorter, mr_error *err)
{
    segment *s = segment_at(sorter, 0);
    run fresh;
    mr_status status = MR_OK;
    if (sorter->run_count == MR_SORTER_RUNS_MAX)
        MR_TRY(merge_last_tier(sorter, err));
    MR_TRY(make_run(sorter, &fresh, err));
    for (s->next = 0; status == MR_OK && s->next < s->count; s->next++) {
        head h;
        load_from_segment(s, &h);
        status = append_record(sorter, &fresh, &h.at, err);
    }
    if (status == MR_OK)
        status = append_record(sorter, &fresh, NULL, err);
    if (status != MR_OK) {
        close_run(&fresh);
        return status;
    }
    sorter->runs[sorter->run_count++] = fresh;
    sorter->oldest = (sorter->oldest + 1) % MR_SORTER_SEGMENTS;
    sorter->segment_count--;
    return MR_OK;
}

static mr_status next_segment(mr_sorter *sorter, mr_error *err)
{
    sort_segment(segment_at(sorter, sorter->segment_count - 1));
    if (sorter->segment_count == MR_SORTER_SEGMENTS)
        MR_TRY(spill_oldest(sorter, err));
    segment *s = segment_at(sorter, sorter->segment_count++);
    s->used = s->count = 0;
    s->sorted = false;
    return MR_OK;
}

mr_status mr_sorter_put(mr_sorter *sorter, mr_bytes key, mr_bytes value, mr_error *err)
{
    const uint32_t bytes = RECORD_HEAD + key.size + value.size;
    MR_ASSERT(key.size > 0 && bytes <= RECORD_MAX);
    segment *s = segment_at(sorter, sorter->segment_count - 1);
    if (s->sorted ||
        bytes + sizeof(entry) > s->bytes - s->used - s->count * (uint32_t)sizeof(entry)) {
        MR_TRY(next_segment(sorter, err));
        s = segment_at(sorter, sorter->segment_count - 1);
    }
    const uint32_t sizes[2] = {key.size, value.data == NULL ? ERASED : value.size};
    uint8_t *out = s->memory + s->used;
    memcpy(out, sizes, sizeof sizes);
    memcpy(out + RECORD_HEAD, key.data, key.size);
    if (value.size > 0)
        memcpy(out + RECORD_HEAD + key.size, value.data, value.size);
    s->count++;
    *entries_of(s) = (entry){prefix_of(key, 0), s->used, bytes};
    s->used += bytes;
    return MR_OK;
}

// ---- reading in order

mr_status mr_sorter_begin(mr_sorter *sorter, mr_error *err)
{
    sort_segment(segment_at(sorter, sorter->segment_count - 1));
    return mr_sorter_seek(sorter, &(mr_sorter_place){.runs = {0}}, err);
}

bool mr_sorter_row(const mr_sorter *sorter, mr_bytes *key, mr_bytes *value)
{
    const record *at = top(sorter);
    if (at == NULL)
        return false;
    *key = at->key;
    *value = at->value;
    return true;
}

mr_status mr_sorter_next(mr_sorter *sorter, mr_error *err)
{
    return next_key(sorter, err);
}

void mr_sorter_tell(const mr_sorter *sorter, mr_sorter_place *place)
{
    for (uint32_t i = 0; i < sorter->run_count; i++) {
        const run *r = &sorter->runs[i];
        place->runs[i] = r->read_at - (off_t)(r->end - r->begin);
    }
    for (uint32_t i = 0; i < sorter->segment_count; i++)
        place->segments[i] = sorter->segments[(sorter->oldest + i) % MR_SORTER_SEGMENTS].next;
}

mr_status mr_sorter_seek(mr_sorter *sorter, const mr_sorter_place *place, mr_error *err)
{
    for (uint32_t i = 0; i < sorter->run_count; i++)
        rewind_run(&sorter->runs[i], place->runs[i]);
    for (uint32_t i = 0; i < sorter->segment_count; i++)
        segment_at(sorter, i)->next = place->segments[i];
    return begin_merge(sorter, 0, sorter->run_count + sorter->segment_count, err);
}
