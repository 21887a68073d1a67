// SPDX-License-Identifier: Apache-2.0
#include "worker/marker.h"

#include <string.h>

#include "state/row.h"

_Static_assert(2 * MR_MARKER_BYTES_MAX + 8 <= MR_STORE_MARKER_MAX, "two markers fit into a join");

static const uint8_t key_bytes[] = {0};

mr_bytes mr_marker_key(void)
{
    return mr_bytes_of(key_bytes, sizeof key_bytes);
}

bool mr_marker_is(mr_bytes key)
{
    return mr_bytes_equal(key, mr_marker_key());
}

// A cursor over the payload, in both directions: `failed` is looked at once, at the end.
typedef struct cursor {
    uint8_t *write;
    const uint8_t *read;
    size_t at, size;
    bool failed;
} cursor;

static bool has_room(cursor *c, size_t size)
{
    if (c->failed || size > c->size - c->at)
        c->failed = true;
    return !c->failed;
}

static void put(cursor *c, uint64_t value, size_t size)
{
    if (!has_room(c, size))
        return;
    for (size_t i = 0; i < size; i++)
        c->write[c->at++] = (uint8_t)(value >> 8 * i);
}

static void put_text(cursor *c, mr_bytes text)
{
    put(c, text.size, 2);
    if (text.size > MR_MARKER_NAME_MAX)
        c->failed = true;
    if (!has_room(c, text.size))
        return;
    if (text.size > 0)
        memcpy(c->write + c->at, text.data, text.size);
    c->at += text.size;
}

static uint64_t get(cursor *c, size_t size)
{
    uint64_t value = 0;
    if (!has_room(c, size))
        return 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)c->read[c->at++] << 8 * i;
    return value;
}

static mr_bytes get_text(cursor *c)
{
    const size_t size = (size_t)get(c, 2);
    if (size > MR_MARKER_NAME_MAX)
        c->failed = true;
    if (!has_room(c, size))
        return (mr_bytes){NULL, 0};
    const mr_bytes text = mr_bytes_of(c->read + c->at, size);
    c->at += size;
    return text;
}

static uint32_t get_count(cursor *c, uint32_t max)
{
    const uint32_t count = (uint32_t)get(c, 4);
    if (count > max)
        c->failed = true;
    return c->failed ? 0 : count;
}

static void put_marker(cursor *c, const mr_marker *marker)
{
    put(c, marker->history[0], 8);
    put(c, marker->history[1], 8);
    put(c, marker->task, 4);
    put(c, marker->tasks, 4);
    put(c, marker->seq, 8);
    put_text(c, marker->instance);
    put(c, marker->commit, 8);
    put(c, (uint64_t)marker->clock_ms, 8);
    put(c, (uint64_t)marker->wall_ms, 8);
    put(c, marker->config_hash, 8);
    put_text(c, marker->release);
    put(c, marker->here_count, 4);
    put(c, marker->here_xor.low, 8);
    put(c, marker->here_xor.high, 8);
    put(c, marker->row_count, 8);
    put(c, marker->state_hash.low, 8);
    put(c, marker->state_hash.high, 8);
    put(c, marker->pair_count, 4);
    for (uint32_t i = 0; i < marker->pair_count; i++) {
        put(c, marker->pairs[i].task, 4);
        put(c, marker->pairs[i].seq, 8);
    }
    put(c, marker->offset_count, 4);
    for (uint32_t i = 0; i < marker->offset_count; i++) {
        put_text(c, marker->offsets[i].topic);
        put(c, marker->offsets[i].partition, 4);
        put(c, (uint64_t)marker->offsets[i].next, 8);
    }
    put(c, marker->link_count, 4);
    for (uint32_t i = 0; i < marker->link_count; i++) {
        put(c, marker->links[i].task, 4);
        put(c, marker->links[i].received, 8);
        put(c, marker->links[i].sent, 8);
    }
}

static void get_arrays(cursor *c, mr_marker *marker)
{
    marker->pair_count = get_count(c, MR_MARKER_PAIRS_MAX);
    for (uint32_t i = 0; i < marker->pair_count; i++) {
        marker->pairs[i].task = (uint32_t)get(c, 4);
        marker->pairs[i].seq = get(c, 8);
    }
    marker->offset_count = get_count(c, MR_MARKER_OFFSETS_MAX);
    for (uint32_t i = 0; i < marker->offset_count; i++) {
        marker->offsets[i].topic = get_text(c);
        marker->offsets[i].partition = (uint32_t)get(c, 4);
        marker->offsets[i].next = (int64_t)get(c, 8);
    }
    marker->link_count = get_count(c, MR_MARKER_LINKS_MAX);
    for (uint32_t i = 0; i < marker->link_count; i++) {
        marker->links[i].task = (uint32_t)get(c, 4);
        marker->links[i].received = get(c, 8);
        marker->links[i].sent = get(c, 8);
    }
}

static void get_marker(cursor *c, mr_marker *marker)
{
    marker->history[0] = get(c, 8);
    marker->history[1] = get(c, 8);
    marker->task = (uint32_t)get(c, 4);
    marker->tasks = (uint32_t)get(c, 4);
    marker->seq = get(c, 8);
    marker->instance = get_text(c);
    marker->commit = get(c, 8);
    marker->clock_ms = (int64_t)get(c, 8);
    marker->wall_ms = (int64_t)get(c, 8);
    marker->config_hash = get(c, 8);
    marker->release = get_text(c);
    marker->here_count = (uint32_t)get(c, 4);
    marker->here_xor.low = get(c, 8);
    marker->here_xor.high = get(c, 8);
    marker->row_count = get(c, 8);
    marker->state_hash.low = get(c, 8);
    marker->state_hash.high = get(c, 8);
    get_arrays(c, marker);
}

mr_status mr_marker_write(const mr_marker *marker, uint8_t *out, uint32_t *bytes, mr_error *err)
{
    cursor c = {.write = out + MR_ROW_HEADER_BYTES,
                .size = MR_MARKER_BYTES_MAX - MR_ROW_HEADER_BYTES};
    put_marker(&c, marker);
    if (c.failed)
        return mr_fail(err, MR_FATAL,
                       "marker of task %u: %u tasks, %u input partitions and %u links do not fit "
                       "into %d bytes",
                       marker->task, marker->pair_count, marker->offset_count, marker->link_count,
                       MR_MARKER_BYTES_MAX);
    const mr_row row = {.kind = MR_MARKER_KIND,
                        .version = MR_MARKER_VERSION,
                        .payload = mr_bytes_of(out + MR_ROW_HEADER_BYTES, c.at)};
    *bytes = mr_row_seal(mr_marker_key(), &row, out);
    return MR_OK;
}

mr_status mr_marker_read(mr_bytes value, mr_marker *marker, mr_error *err)
{
    mr_row row;
    if (mr_row_open(mr_marker_key(), value, &row, err) != MR_OK)
        return mr_wrap(err, "marker");
    if (row.kind != MR_MARKER_KIND || row.version != MR_MARKER_VERSION)
        return mr_fail(err, MR_FATAL,
                       "marker: found kind %u, version %u, want kind %u, version %u: another "
                       "release of millrace wrote it",
                       row.kind, row.version, MR_MARKER_KIND, MR_MARKER_VERSION);
    cursor c = {.read = row.payload.data, .size = row.payload.size};
    get_marker(&c, marker);
    if (c.failed || c.at != c.size)
        return mr_fail(err, MR_FATAL, "marker: %s at byte %zu of %zu",
                       c.failed ? "wrong or cut short" : "bytes are left over", c.at, c.size);
    return MR_OK;
}

uint32_t mr_marker_join(const mr_bytes markers[MR_STORE_CHANGELOGS], uint8_t *out)
{
    cursor c = {.write = out, .size = MR_STORE_MARKER_MAX};
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++) {
        put(&c, markers[i].size, 4);
        MR_ASSERT(has_room(&c, markers[i].size));
        if (markers[i].size > 0)
            memcpy(out + c.at, markers[i].data, markers[i].size);
        c.at += markers[i].size;
    }
    return (uint32_t)c.at;
}

mr_status mr_marker_split(mr_bytes joined, mr_bytes markers[MR_STORE_CHANGELOGS], mr_error *err)
{
    cursor c = {.read = joined.data, .size = joined.size};
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++) {
        const size_t size = (size_t)get(&c, 4);
        markers[i] = (mr_bytes){NULL, 0};
        if (!has_room(&c, size))
            break;
        if (size > 0)
            markers[i] = mr_bytes_of(c.read + c.at, size);
        c.at += size;
    }
    if (c.failed || c.at != c.size)
        return mr_fail(err, MR_FATAL, "the stored markers of a task: %u bytes are not two markers",
                       joined.size);
    return MR_OK;
}

mr_status mr_marker_newest(const mr_store_task *record, mr_marker *marker, bool *torn,
                           mr_error *err)
{
    mr_bytes markers[MR_STORE_CHANGELOGS];
    uint64_t seqs[MR_STORE_CHANGELOGS] = {0, 0};
    marker->seq = 0;
    *torn = false;
    if (record->marker_bytes == 0)
        return MR_OK;
    MR_TRY(mr_marker_split(mr_bytes_of(record->marker, record->marker_bytes), markers, err));
    for (int i = 0; i < MR_STORE_CHANGELOGS; i++)
        if (markers[i].size > 0) {
            MR_TRY(mr_marker_read(markers[i], marker, err));
            seqs[i] = marker->seq;
        }
    *torn = seqs[0] != seqs[1];
    if (seqs[0] > seqs[1])
        MR_TRY(mr_marker_read(markers[0], marker, err));
    return MR_OK;
}

mr_status mr_marker_wants(void *context, const mr_store_task *record, mr_verify_want *want,
                          mr_error *err)
{
    mr_marker *marker = context;
    bool torn;
    MR_TRY(mr_marker_newest(record, marker, &torn, err));
    *want = (mr_verify_want){.known = marker->seq > 0 && !torn,
                             .row_count = marker->row_count,
                             .state_hash = marker->state_hash};
    return MR_OK;
}
