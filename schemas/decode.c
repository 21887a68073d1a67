// SPDX-License-Identifier: Apache-2.0
// decode: an epoch record is walked twice: once to count what it has, once to fill the arrays that
// are then large enough. The first failure ends both.
#include "schemas/decode.h"

#include <stdlib.h>

#include "schemas/wire.h"

typedef enum kind { ROUNDS, EPOCHS, OFFSETS, SEQUENCES, HASHES } kind;

static const size_t sizes[MR_EPOCH_ARRAYS] = {
    [ROUNDS] = sizeof(mr_round),          [EPOCHS] = sizeof(mr_task_epoch),
    [OFFSETS] = sizeof(mr_next_offset),   [SEQUENCES] = sizeof(mr_sequence),
    [HASHES] = sizeof(mr_state_hash),
};

typedef struct reader {
    mr_wire in;
    mr_cause cause; // the first failure
    const mr_epoch_room *room; // NULL: things are counted only
    uint32_t counts[MR_EPOCH_ARRAYS];
    union {
        mr_round round;
        mr_task_epoch epoch;
        mr_next_offset offset;
        mr_sequence sequence;
        mr_state_hash hash;
    } scratch; // what is read while things are counted
} reader;

static int64_t read_long(reader *r)
{
    int64_t value = 0;
    if (r->cause == MR_CAUSE_NONE)
        r->cause = mr_wire_long(&r->in, &value);
    return value;
}

static uint32_t read_number(reader *r)
{
    const int64_t value = read_long(r);
    if (r->cause == MR_CAUSE_NONE && (value < 0 || value > INT32_MAX))
        r->cause = MR_CAUSE_bad_varint;
    return r->cause == MR_CAUSE_NONE ? (uint32_t)value : 0;
}

static mr_bytes read_bytes(reader *r)
{
    mr_bytes value = {NULL, 0};
    if (r->cause == MR_CAUSE_NONE)
        r->cause = mr_wire_bytes(&r->in, &value);
    return value;
}

static mr_hash128 read_hash(reader *r)
{
    mr_hash128 hash = {0, 0};
    const uint8_t *at = r->in.p;
    if (r->cause == MR_CAUSE_NONE)
        r->cause = mr_wire_skip(&r->in, sizeof hash);
    if (r->cause == MR_CAUSE_NONE)
        memcpy(&hash, at, sizeof hash);
    return hash;
}

// Whether an array goes on; *left is what its block still has, 0 at first.
static bool more(reader *r, uint64_t *left, uint32_t item_bytes_min)
{
    int64_t bytes;
    if (r->cause == MR_CAUSE_NONE && *left == 0)
        r->cause = mr_wire_block(&r->in, item_bytes_min, left, &bytes);
    return r->cause == MR_CAUSE_NONE && (*left)-- > 0;
}

static void *place(reader *r, kind k)
{
    const uint32_t index = r->counts[k]++;
    if (r->room == NULL)
        return &r->scratch;
    return (uint8_t *)r->room->arrays[k] + index * sizes[k];
}

// What the reader has put there since it had `first`.
static void *since(const reader *r, kind k, uint32_t first, uint32_t *count)
{
    *count = r->counts[k] - first;
    if (r->room == NULL || *count == 0)
        return NULL;
    return (uint8_t *)r->room->arrays[k] + first * sizes[k];
}

static const mr_sequence *read_sequences(reader *r, uint32_t *count)
{
    const uint32_t first = r->counts[SEQUENCES];
    for (uint64_t left = 0; more(r, &left, 2);) {
        mr_sequence *to = place(r, SEQUENCES);
        to->of = read_number(r);
        to->sequence = read_long(r);
    }
    return since(r, SEQUENCES, first, count);
}

static const mr_next_offset *read_offsets(reader *r, uint32_t *count)
{
    const uint32_t first = r->counts[OFFSETS];
    for (uint64_t left = 0; more(r, &left, 3);) {
        mr_next_offset *to = place(r, OFFSETS);
        to->topic = read_bytes(r);
        to->partition = (int32_t)read_number(r);
        to->offset = read_long(r);
    }
    return since(r, OFFSETS, first, count);
}

static const mr_task_epoch *read_epochs(reader *r, uint32_t *count)
{
    const uint32_t first = r->counts[EPOCHS];
    for (uint64_t left = 0; more(r, &left, 6);) {
        mr_task_epoch *to = place(r, EPOCHS);
        mr_task_epoch epoch = {.task = read_number(r)};
        epoch.epoch = read_long(r);
        epoch.clock_ms = read_long(r);
        epoch.tick_ms = read_long(r);
        epoch.offsets = read_offsets(r, &epoch.offset_count);
        epoch.links = read_sequences(r, &epoch.link_count);
        *to = epoch; // the scratch was used for what it holds
    }
    return since(r, EPOCHS, first, count);
}

static const mr_round *read_rounds(reader *r, uint32_t *count)
{
    const uint32_t first = r->counts[ROUNDS];
    for (uint64_t left = 0; more(r, &left, 2);) {
        mr_round *to = place(r, ROUNDS);
        mr_round round = {0};
        round.epochs = read_epochs(r, &round.epoch_count);
        round.views = read_sequences(r, &round.view_count);
        *to = round;
    }
    return since(r, ROUNDS, first, count);
}

static const mr_state_hash *read_hashes(reader *r, uint32_t *count)
{
    const uint32_t first = r->counts[HASHES];
    for (uint64_t left = 0; more(r, &left, 17);) {
        mr_state_hash *to = place(r, HASHES);
        to->task = read_number(r);
        to->hash = read_hash(r);
    }
    return since(r, HASHES, first, count);
}

static void walk(reader *r, mr_epoch_record *record)
{
    record->time_ms = read_long(r);
    record->configuration = read_hash(r);
    record->rounds = read_rounds(r, &record->round_count);
    record->marks = read_sequences(r, &record->mark_count);
    record->state_hashes = read_hashes(r, &record->state_hash_count);
    record->views = read_sequences(r, &record->view_count);
    record->history = read_hash(r);
    record->instance = read_bytes(r);
    record->engine = (uint64_t)read_long(r);
    record->commit = (uint64_t)read_long(r);
}

static mr_status make_room(mr_epoch_room *room, const uint32_t counts[MR_EPOCH_ARRAYS],
                           mr_error *err)
{
    for (uint32_t k = 0; k < MR_EPOCH_ARRAYS; k++) {
        if (counts[k] <= room->max[k])
            continue;
        void *grown = realloc(room->arrays[k], counts[k] * 2 * sizes[k]);
        if (grown == NULL)
            return mr_fail(err, MR_FATAL, "out of memory for an epoch record");
        room->arrays[k] = grown;
        room->max[k] = counts[k] * 2;
    }
    return MR_OK;
}

mr_status mr_decode_epoch(mr_bytes payload, mr_epoch_room *room, mr_epoch_record *record,
                          mr_error *err)
{
    const mr_wire whole = {payload.data, payload.data + payload.size};
    reader counting = {.in = whole};
    *record = (mr_epoch_record){0};
    walk(&counting, record);
    if (counting.cause == MR_CAUSE_NONE && counting.in.p != counting.in.end)
        counting.cause = MR_CAUSE_bad_length;
    if (counting.cause != MR_CAUSE_NONE)
        return mr_reject(err, counting.cause, "%u bytes that are no epoch record, at byte %zu",
                         payload.size, (size_t)(counting.in.p - payload.data));
    MR_TRY(make_room(room, counting.counts, err));
    reader filling = {.in = whole, .room = room};
    walk(&filling, record);
    return MR_OK;
}

void mr_epoch_room_free(mr_epoch_room *room)
{
    for (uint32_t k = 0; k < MR_EPOCH_ARRAYS; k++)
        free(room->arrays[k]);
    *room = (mr_epoch_room){0};
}

mr_status mr_decode_list_head(mr_bytes payload, mr_bytes *user, int64_t *version, mr_error *err)
{
    reader r = {.in = {payload.data, payload.data + payload.size}};
    (void)read_bytes(&r);
    *user = read_bytes(&r);
    *version = read_long(&r);
    if (r.cause == MR_CAUSE_NONE)
        return MR_OK;
    return mr_reject(err, r.cause, "%u bytes that are no list", payload.size);
}
