// SPDX-License-Identifier: Apache-2.0
// row: the envelope of every stored value.
//
// The same bytes go to the changelog topic and to LMDB, whose pages have no checksums. Sixteen
// bytes of header stand before the payload, all little-endian (FORMAT.md):
//
//     0        1      2       3         4              8          16
//     | format | kind | flags | version | payload_bytes | checksum | payload ...
//
// The checksum covers key, header and payload: a row that was stored under another key, or whose
// kind was changed, is as wrong as one with a flipped bit in the payload.
#ifndef MR_STATE_ROW_H
#define MR_STATE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

enum {
    MR_ROW_FORMAT = 0xA1, // of the envelope: no text and no other format begins with this byte
    MR_ROW_HEADER_BYTES = 16,
    MR_ROW_BYTES_MAX = 64 * 1024, // header included
    MR_ROW_PAYLOAD_MAX = MR_ROW_BYTES_MAX - MR_ROW_HEADER_BYTES,
    MR_STORE_KEY_MAX = 511, // LMDB's limit; longer names are hashed by whoever makes the key
};

typedef struct mr_row {
    uint8_t kind;    // what the payload is; the numbers are the writer's
    uint8_t flags;   // of the kind
    uint8_t version; // of the payload's layout
    mr_bytes payload;
} mr_row;

// Writes header and payload of `row` to `out` and returns their length in bytes.
//
//   key   1 .. MR_STORE_KEY_MAX bytes, the key that the row will be stored under
//   row   payload of at most MR_ROW_PAYLOAD_MAX bytes; it may already stand at out +
//   MR_ROW_HEADER_BYTES out   room for MR_ROW_HEADER_BYTES + row->payload.size bytes, owned by the
//   caller
//
// Cannot fail: a length outside these limits is the caller's bug.
uint32_t mr_row_seal(mr_bytes key, const mr_row *row, uint8_t *out);

// Reads an envelope. row->payload points into `bytes`.
// Errors: MR_FATAL with the key and what is wrong: too short, another format, wrong length, wrong
// checksum. *row is then unspecified.
MR_CHECKED mr_status mr_row_open(mr_bytes key, mr_bytes bytes, mr_row *row, mr_error *err);

// Whether mr_row_open would accept the bytes. For asserting what is about to be written.
bool mr_row_is_sealed(mr_bytes key, mr_bytes bytes);

// Prints a key for a message: text as it is, other bytes as \xNN, cut with "..." where `size` ends.
// Returns `text`.
const char *mr_row_print_key(mr_bytes key, char *text, size_t size);

#endif
