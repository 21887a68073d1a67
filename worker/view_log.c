// SPDX-License-Identifier: Apache-2.0
#include "worker/view_log.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"

typedef struct entry {
    uint64_t seq;
    uint32_t key_size, value_size;
    uint8_t *bytes; // the key, then the value
} entry;

typedef struct shard {
    entry *entries; // in order of commits
    size_t count, room;
    uint64_t folded; // the greatest seq that was folded
} shard;

struct mr_view_log {
    uint32_t shard_count;
    shard *shards;
    size_t bytes;
    bool failed; // out of memory
};

mr_status mr_view_log_open(uint32_t shards, mr_view_log **out, mr_error *err)
{
    mr_view_log *log = calloc(1, sizeof *log);
    if (log != NULL)
        log->shards = calloc(shards, sizeof *log->shards);
    if (log == NULL || log->shards == NULL) {
        free(log);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    log->shard_count = shards;
    *out = log;
    return MR_OK;
}

void mr_view_log_close(mr_view_log *log)
{
    if (log == NULL)
        return;
    for (uint32_t s = 0; s < log->shard_count; s++) {
        for (size_t i = 0; i < log->shards[s].count; i++)
            free(log->shards[s].entries[i].bytes);
        free(log->shards[s].entries);
    }
    free(log->shards);
    free(log);
}

void mr_view_log_add(mr_view_log *log, uint32_t number, uint64_t seq, mr_bytes key, mr_bytes value)
{
    shard *s = &log->shards[number];
    if (s->count == s->room) {
        const size_t room = s->room == 0 ? 256 : s->room * 2;
        entry *grown = realloc(s->entries, room * sizeof *grown);
        log->failed = log->failed || grown == NULL;
        if (grown == NULL)
            return;
        s->entries = grown;
        s->room = room;
    }
    entry *e = &s->entries[s->count];
    *e = (entry){seq, key.size, value.size, malloc((size_t)key.size + value.size)};
    log->failed = log->failed || e->bytes == NULL;
    if (e->bytes == NULL)
        return;
    memcpy(e->bytes, key.data, key.size);
    if (value.size > 0)
        memcpy(e->bytes + key.size, value.data, value.size);
    log->bytes += (size_t)key.size + value.size;
    s->count++;
}

static size_t first_after(const shard *s, uint64_t seq)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->entries[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

mr_status mr_view_log_show(mr_view_log *log, uint32_t number, uint64_t after, uint64_t upto,
                           mr_engine *engine, mr_error *err)
{
    const shard *s = &log->shards[number];
    if (log->failed)
        return mr_fail(err, MR_FATAL, "out of memory for the rows of the view");
    if (upto < s->folded)
        return mr_fail(err, MR_FATAL,
                       "an engine begins with the items of shard %u as of commit %llu, which "
                       "were folded up to %llu: please report",
                       number, (unsigned long long)upto, (unsigned long long)s->folded);
    for (size_t i = first_after(s, after); i < s->count && s->entries[i].seq <= upto; i++) {
        const entry *e = &s->entries[i];
        const mr_bytes key = mr_bytes_of(e->bytes, e->key_size);
        const mr_bytes value = mr_bytes_of(e->bytes + e->key_size, e->value_size);
        const mr_status status = mr_engine_view_row(engine, number, key, value, err);
        if (status != MR_OK && status != MR_RETRY)
            return status;
    }
    return MR_OK;
}

static bool same_key(const entry *a, const entry *b)
{
    return a->key_size == b->key_size && memcmp(a->bytes, b->bytes, a->key_size) == 0;
}

// Frees those of the first `count` entries that a later one of them replaces; the others stand in
// [the returned index, count), in their order. `table` has mask + 1 places, zeroed, twice `count`
// and more.
static size_t keep_newest(mr_view_log *log, entry *entries, size_t count, size_t *table,
                          size_t mask)
{
    size_t left = count;
    for (size_t i = count; i-- > 0;) {
        const entry *e = &entries[i];
        size_t at = (size_t)mr_hash64(e->bytes, e->key_size, 0) & mask;
        while (table[at] != 0 && !same_key(&entries[table[at] - 1], e))
            at = (at + 1) & mask;
        if (table[at] == 0) {
            // The newest of its key moves behind all that is still to be looked at, and the table
            // names it there. So does one that is gone: it hides the older ones.
            const entry kept = *e;
            entries[--left] = kept;
            table[at] = left + 1;
            continue;
        }
        log->bytes -= (size_t)e->key_size + e->value_size;
        free(e->bytes);
    }
    return left;
}

void mr_view_log_fold(mr_view_log *log, uint32_t number, uint64_t seq)
{
    shard *s = &log->shards[number];
    const size_t count = first_after(s, seq);
    size_t size = 64;
    while (size < count * 2)
        size *= 2;
    size_t *table = count > 0 ? calloc(size, sizeof *table) : NULL;
    if (table == NULL)
        return; // folded another time
    size_t kept = 0;
    for (size_t i = keep_newest(log, s->entries, count, table, size - 1); i < count; i++) {
        if (s->entries[i].value_size > 0)
            s->entries[kept++] = s->entries[i];
        else {
            log->bytes -= s->entries[i].key_size;
            free(s->entries[i].bytes);
        }
    }
    memmove(s->entries + kept, s->entries + count, (s->count - count) * sizeof *s->entries);
    s->count -= count - kept;
    s->folded = seq;
    free(table);
}

size_t mr_view_log_bytes(const mr_view_log *log)
{
    return log->bytes;
}
