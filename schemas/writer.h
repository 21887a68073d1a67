// SPDX-License-Identifier: Apache-2.0
// writer: appends Avro's binary encoding to a buffer of fixed size.
//
// What does not fit is dropped and remembered: after any number of puts one look at `full` says
// whether all of them are there. So an encoder is straight code, and the caller that finds it full
// gives more room or refuses.
// Source: Apache Avro 1.12, "Binary Encoding".
#ifndef MR_SCHEMAS_WRITER_H
#define MR_SCHEMAS_WRITER_H

#include <stdbool.h>
#include <string.h>

#include "core/base/bytes.h"

typedef struct mr_writer {
    uint8_t *data; // the caller's
    size_t room, size;
    bool full; // something did not fit; what stands in data is not to be used
} mr_writer;

static inline mr_writer mr_writer_make(void *data, size_t room)
{
    return (mr_writer){data, room, 0, false};
}

static inline void mr_put_raw(mr_writer *out, const void *data, size_t size)
{
    if (size > out->room - out->size) {
        out->full = true;
        return;
    }
    if (size > 0)
        memcpy(out->data + out->size, data, size);
    out->size += size;
}

static inline void mr_put_byte(mr_writer *out, uint8_t byte)
{
    mr_put_raw(out, &byte, 1);
}

// int, long, the index of an enum or a branch, the count of a block.
static inline void mr_put_long(mr_writer *out, int64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;
    uint64_t rest = (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
    for (; rest >= 0x80; rest >>= 7)
        bytes[size++] = (uint8_t)(rest | 0x80);
    bytes[size++] = (uint8_t)rest;
    mr_put_raw(out, bytes, size);
}

static inline void mr_put_bool(mr_writer *out, bool value)
{
    mr_put_byte(out, value);
}

static inline void mr_put_float(mr_writer *out, float value)
{
    mr_put_raw(out, &value, sizeof value);
}

static inline void mr_put_double(mr_writer *out, double value)
{
    mr_put_raw(out, &value, sizeof value);
}

// string and bytes.
static inline void mr_put_bytes(mr_writer *out, mr_bytes value)
{
    mr_put_long(out, value.size);
    mr_put_raw(out, value.data, value.size);
}

static inline void mr_put_text(mr_writer *out, const char *text)
{
    mr_put_bytes(out, mr_bytes_text(text));
}

#endif
