// SPDX-License-Identifier: Apache-2.0
// fences: whether a second process runs with our name.
//
// Two producers of one transactional id shut each other out again and again, so a worker that always
// makes a new one would never end. One fence tells nothing: the brokers also shut out a producer
// whose transaction was open for too long, and the client has one name for both. But a transaction
// that was younger than its time-out was ended by a producer of our name; twice within a minute, and
// the late request of an earlier producer of this process does not explain it either.
#ifndef MR_WORKER_FENCES_H
#define MR_WORKER_FENCES_H

#include <stdbool.h>
#include <stdint.h>

enum { MR_FENCES_MS = 60000 };

typedef struct mr_fences { // zeroed: none yet
    bool any;
    int64_t last_ms; // when the last one was noted that a time-out does not explain
} mr_fences;

// A producer was found fenced at now_ms, open_ms after it began its transaction; timeout_ms is what
// the brokers allow a transaction. Returns whether another process has our name.
bool mr_fences_note(mr_fences *fences, int64_t now_ms, int64_t open_ms, int64_t timeout_ms);

#endif
