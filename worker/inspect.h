// SPDX-License-Identifier: Apache-2.0
// inspect: what a state folder holds, as JSON, also while a worker writes it.
//
// The folder is opened read-only and looked at in one snapshot, so all numbers of an answer belong
// together; a worker that writes is neither stopped nor slowed, its file keeps the pages of the
// snapshot meanwhile. Rows are as of the last write to the folder: up to state.gather_ms behind
// Kafka.
#ifndef MR_WORKER_INSPECT_H
#define MR_WORKER_INSPECT_H

#include <jansson.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

enum { MR_INSPECT_TOP_MAX = 10000 };

typedef struct mr_inspect mr_inspect;

// Opens the folder, or its folder "state" where it holds no state itself (a replay's results do).
// Errors: MR_FATAL: there is no state, or it cannot be read.
MR_CHECKED mr_status mr_inspect_open(const char *path, mr_inspect **inspect, mr_error *err);
void mr_inspect_close(mr_inspect *inspect);
// The folder that was opened.
const char *mr_inspect_path(const mr_inspect *inspect);

// Each makes one JSON object, the caller's. Errors: MR_FATAL: a damaged row, named; MR_REJECT: what
// was asked for is not there, or cannot be.
MR_CHECKED mr_status mr_inspect_summary(mr_inspect *inspect, json_t **out, mr_error *err);
// Recomputes the hash of every task's rows and compares it with the marker's: MR_FATAL where they
// differ.
MR_CHECKED mr_status mr_inspect_hash(mr_inspect *inspect, json_t **out, mr_error *err);
// How many users (items) there are, and the `top` with most events, at most MR_INSPECT_TOP_MAX.
MR_CHECKED mr_status mr_inspect_users(mr_inspect *inspect, uint32_t top, json_t **out,
                                      mr_error *err);
MR_CHECKED mr_status mr_inspect_items(mr_inspect *inspect, uint32_t top, json_t **out,
                                      mr_error *err);
MR_CHECKED mr_status mr_inspect_user_of(mr_inspect *inspect, mr_bytes id, json_t **out,
                                        mr_error *err);
MR_CHECKED mr_status mr_inspect_item_of(mr_inspect *inspect, mr_bytes id, json_t **out,
                                        mr_error *err);
// A row by its key: "t", "u:USER", "r:CHUNK", "i:METHOD.FAMILY:ITEM", "n:METHOD.FAMILY:HEX" or
// "x:HEX", with all of its bytes, in every task that has it.
MR_CHECKED mr_status mr_inspect_row(mr_inspect *inspect, const char *key, json_t **out,
                                    mr_error *err);

// Walks everything in the folder `path`, in a process of its own. *out is made in any case; where
// something is wrong it has an advice. Errors: MR_FATAL: faults were found; the text is the first
// one.
MR_CHECKED mr_status mr_inspect_verify(const char *path, json_t **out, mr_error *err);

#endif
