// SPDX-License-Identifier: Apache-2.0
// decode: our own records read back, as far as we do: epoch records, and which list a list is.
//
// They are read as the schema of this release has them, without resolution: whoever calls compares
// the fingerprint first.
#ifndef MR_SCHEMAS_DECODE_H
#define MR_SCHEMAS_DECODE_H

#include "core/base/error.h"
#include "schemas/encode.h"

enum { MR_EPOCH_ARRAYS = 5 };

// Memory for the arrays of one record, grown as records ask for it and kept: at most the size of a
// record times a small factor. Zeroed at first.
typedef struct mr_epoch_room {
    void *arrays[MR_EPOCH_ARRAYS];
    uint32_t max[MR_EPOCH_ARRAYS];
} mr_epoch_room;

// Reads an epoch record without its frame. Arrays are in room, texts borrowed from payload; both
// have to outlive *record. Numbers of tasks are below 2^31 and otherwise not checked. Errors:
// MR_REJECT: the bytes are no such record; MR_FATAL: out of memory.
MR_CHECKED mr_status mr_decode_epoch(mr_bytes payload, mr_epoch_room *room, mr_epoch_record *record,
                                     mr_error *err);
void mr_epoch_room_free(mr_epoch_room *room);

// Of a list without its frame: whose it is, borrowed from payload, and its version. Errors:
// MR_REJECT: the bytes are no list.
MR_CHECKED mr_status mr_decode_list_head(mr_bytes payload, mr_bytes *user, int64_t *version,
                                         mr_error *err);

#endif
