// SPDX-License-Identifier: Apache-2.0
// wire: reads Avro's binary encoding from bounded bytes. The innermost loop of decoding, so inline.
//
// A mr_wire is a cursor: p moves forward, nothing at or behind `end` is ever read. Each function
// returns MR_CAUSE_NONE and moves on, or a cause and leaves the cursor somewhere in the value.
// Source: Apache Avro 1.12, "Binary Encoding". Little-endian machines only, as the state files.
#ifndef MR_SCHEMAS_WIRE_H
#define MR_SCHEMAS_WIRE_H

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "floats and words are read in place");

enum {
    MR_WIRE_EMPTY_ITEMS_MAX = 65536, // items of no size that one block may claim
};

typedef struct mr_wire {
    const uint8_t *p, *end;
} mr_wire;

static inline size_t mr_wire_left(const mr_wire *in)
{
    return (size_t)(in->end - in->p);
}

static inline int64_t mr_wire_unzigzag(uint64_t raw)
{
    return (int64_t)(raw >> 1 ^ (UINT64_C(0) - (raw & 1)));
}

typedef struct mr_wire_slow {
    mr_wire in;
    uint64_t raw;
    mr_cause cause;
} mr_wire_slow;

// Any number byte by byte: near the end of the message, and of nine bytes and more. By value, so
// that a cursor that lives in registers stays there.
mr_wire_slow mr_wire_number_slow(mr_wire in);

static inline mr_cause mr_wire_number_any(mr_wire *in, uint64_t *raw)
{
    const mr_wire_slow slow = mr_wire_number_slow(*in);
    *in = slow.in;
    *raw = slow.raw;
    return slow.cause;
}

// An int or long as it stands, zig-zag not undone.
static inline mr_cause mr_wire_number(mr_wire *in, uint64_t *raw)
{
    if (__builtin_expect(in->p != in->end && *in->p < 0x80, 1)) {
        *raw = *in->p++;
        return MR_CAUSE_NONE;
    }
    if (mr_wire_left(in) < 8)
        return mr_wire_number_any(in, raw);
    uint64_t word;
    memcpy(&word, in->p, 8);
    const uint64_t stops = ~word & UINT64_C(0x8080808080808080);
    if (stops == 0)
        return mr_wire_number_any(in, raw);
    // Keep the bytes up to the first without a continuation bit, then close the gaps of one bit
    // between 7-bit groups: pairs of bytes, pairs of pairs, halves.
    in->p += ((unsigned)__builtin_ctzll(stops) >> 3) + 1;
    word &= stops ^ (stops - 1);
    word &= UINT64_C(0x7f7f7f7f7f7f7f7f);
    word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
    *raw = (word & UINT64_C(0x000000000fffffff)) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
    return MR_CAUSE_NONE;
}

static inline mr_cause mr_wire_long(mr_wire *in, int64_t *value)
{
    uint64_t raw;
    const mr_cause cause = mr_wire_number(in, &raw);
    if (cause == MR_CAUSE_NONE)
        *value = mr_wire_unzigzag(raw);
    return cause;
}

static inline mr_cause mr_wire_int(mr_wire *in, int64_t *value)
{
    uint64_t raw;
    const mr_cause cause = mr_wire_number(in, &raw);
    if (cause != MR_CAUSE_NONE)
        return cause;
    *value = mr_wire_unzigzag(raw);
    return raw <= UINT32_MAX ? MR_CAUSE_NONE : MR_CAUSE_bad_varint;
}

static inline mr_cause mr_wire_skip(mr_wire *in, uint64_t bytes)
{
    if (bytes > mr_wire_left(in))
        return MR_CAUSE_truncated;
    in->p += bytes;
    return MR_CAUSE_NONE;
}

// A string or bytes value, borrowed. Messages are below 4 GiB, so its size fits.
static inline mr_cause mr_wire_bytes(mr_wire *in, mr_bytes *value)
{
    uint64_t raw;
    const mr_cause cause = mr_wire_number(in, &raw);
    if (cause != MR_CAUSE_NONE)
        return cause;
    // An odd raw number is a negative length.
    if ((raw & 1) != 0 || raw >> 1 > mr_wire_left(in))
        return MR_CAUSE_bad_length;
    *value = (mr_bytes){in->p, (uint32_t)(raw >> 1)};
    in->p += raw >> 1;
    return MR_CAUSE_NONE;
}

static inline mr_cause mr_wire_float(mr_wire *in, float *value)
{
    const uint8_t *at = in->p;
    const mr_cause cause = mr_wire_skip(in, sizeof *value);
    if (cause == MR_CAUSE_NONE)
        memcpy(value, at, sizeof *value);
    return cause;
}

static inline mr_cause mr_wire_double(mr_wire *in, double *value)
{
    const uint8_t *at = in->p;
    const mr_cause cause = mr_wire_skip(in, sizeof *value);
    if (cause == MR_CAUSE_NONE)
        memcpy(value, at, sizeof *value);
    return cause;
}

// Index of a branch or a symbol, below `count`.
static inline mr_cause mr_wire_index(mr_wire *in, uint32_t count, uint32_t *index)
{
    uint64_t raw;
    const mr_cause cause = mr_wire_number(in, &raw);
    if (cause != MR_CAUSE_NONE)
        return cause;
    if ((raw & 1) != 0 || raw >> 1 >= count)
        return MR_CAUSE_bad_branch;
    *index = (uint32_t)(raw >> 1);
    return MR_CAUSE_NONE;
}

// Head of a block of an array or a map: how many items follow, 0 at the end. *bytes is the block's
// size where it is given, else -1. A count that the bytes left cannot hold, at item_bytes_min each,
// is refused before anything is done with it.
static inline mr_cause mr_wire_block(mr_wire *in, uint32_t item_bytes_min, uint64_t *count,
                                     int64_t *bytes)
{
    int64_t claimed;
    mr_cause cause = mr_wire_long(in, &claimed);
    if (cause != MR_CAUSE_NONE)
        return cause;
    *bytes = -1;
    if (claimed < 0) {
        if ((cause = mr_wire_long(in, bytes)) != MR_CAUSE_NONE)
            return cause;
        if (*bytes < 0 || (uint64_t)*bytes > mr_wire_left(in))
            return MR_CAUSE_bad_length;
        *count = UINT64_C(0) - (uint64_t)claimed;
    } else {
        *count = (uint64_t)claimed;
    }
    const uint64_t most =
        item_bytes_min > 0 ? mr_wire_left(in) / item_bytes_min : MR_WIRE_EMPTY_ITEMS_MAX;
    return *count <= most ? MR_CAUSE_NONE : MR_CAUSE_bad_count;
}

#endif
