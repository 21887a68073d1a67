// SPDX-License-Identifier: Apache-2.0
// table: a stream as rows of values, or as lines.
//
// RFC 4180 with any one byte between values: quotes that double themselves, line breaks in quotes.
// One buffer of two rows' size: a row is found by its line break outside of quotes, then cut into
// values in place, quotes removed. What is left over moves to the front when the buffer runs out.
#ifndef MR_WORKER_INPUT_TABLE_H
#define MR_WORKER_INPUT_TABLE_H

#include "core/base/bytes.h"
#include "worker/input/stream.h"

enum {
    MR_TABLE_ROW_MAX = 1 << 20, // bytes of a row
    MR_TABLE_COLUMNS_MAX = 256,
};

typedef struct mr_table {
    mr_stream *stream;
    uint8_t delimiter;
    bool quotes;                 // false: a row is a line, and a quote a byte like others
    uint64_t line, lines_in_row; // the row in hand begins at `line`
    mr_bytes values[MR_TABLE_COLUMNS_MAX];
    uint32_t count;
    size_t at, size; // what of the buffer has not been read: [at, size)
    bool ended;
    uint8_t buffer[2 * MR_TABLE_ROW_MAX];
} mr_table;

// Begins at the stream's place; the stream is borrowed.
void mr_table_init(mr_table *table, mr_stream *stream, uint8_t delimiter, bool quotes);

// The next row that is not empty, as `count` values; they live until the next call. *more false:
// the end. Errors: MR_REJECT, bad quotes, the next call goes on; MR_FATAL: more bytes or columns
// than allowed, or the stream's. Wrapped by mr_table_fault with its place.
MR_CHECKED mr_status mr_table_next(mr_table *table, bool *more, mr_error *err);

// The next line that is not empty, uncut; it may be written to. Otherwise as mr_table_next.
MR_CHECKED mr_status mr_table_line(mr_table *table, mr_bytes *line, bool *more, mr_error *err);

// Puts path and line of the row in hand in front of the error.
mr_status mr_table_fault(const mr_table *table, mr_error *err);

#endif
