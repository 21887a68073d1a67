// SPDX-License-Identifier: Apache-2.0
// json_find: values in a text of JSON by their paths, without a tree: for files, whose lines are
// looked through once for each name. Values are spans of the text, quotes and all.
#ifndef MR_SCHEMAS_JSON_FIND_H
#define MR_SCHEMAS_JSON_FIND_H

#include "core/base/bytes.h"
#include "core/base/error.h"

// The value that a text is, all of it. Errors: MR_REJECT bad_json, with the byte and what would be
// right there. What the other functions take has come through this one.
MR_CHECKED mr_status mr_json_open(mr_bytes text, mr_bytes *value, mr_error *err);

// What stands at "buyer.id" below an object, of names that stand twice the last; data NULL:
// nothing.
mr_bytes mr_json_at(mr_bytes object, const char *path);

// The next item of an array; *at is NULL at first. False: there is none.
bool mr_json_next(mr_bytes array, const uint8_t **at, mr_bytes *item);

// The text of a string: its own bytes, or, where it has escapes, written to `room`, which has at
// least its size.
mr_bytes mr_json_text(mr_bytes string, uint8_t *room);

#endif
