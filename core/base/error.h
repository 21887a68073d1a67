// SPDX-License-Identifier: Apache-2.0
// error: a failure is a value that says what the caller does next, and why.
//
// Functions that can fail return mr_status and take an mr_error as their last parameter, owned by
// the caller and filled only on failure. On the way up each level may add its place with mr_wrap;
// nobody logs and returns.
#ifndef MR_CORE_BASE_ERROR_H
#define MR_CORE_BASE_ERROR_H

#include <stdint.h>

typedef enum mr_status {
    MR_OK = 0,
    MR_REJECT, // this input is bad: count it, dead-letter it, go on
    MR_RETRY,  // nothing has changed; the same call may succeed later
    MR_ABORT,  // abort the transaction, then send the same bytes again
    MR_FENCED, // outcome or ownership unknown: new producer, read the markers, go on or roll back
    MR_FATAL,  // stop the process; the text says what to put right
} mr_status;

// Why a record was refused: the name is the label of the metric and stands in the dead letter.
typedef enum mr_cause {
    MR_CAUSE_NONE = 0,
#define MR_CAUSE(name, text) MR_CAUSE_##name,
#include "core/base/causes.def"
#undef MR_CAUSE
    MR_CAUSE_COUNT
} mr_cause;

typedef struct mr_error {
    mr_status status;
    mr_cause cause; // of an MR_REJECT, else MR_CAUSE_NONE
    char text[256]; // "clicks.avsc: field 'ts': want long (timestamp-millis), have string"
} mr_error;

#define MR_CHECKED __attribute__((warn_unused_result))

// Fills err and returns status, so that a failure is one line: return mr_fail(err, MR_FATAL,
// "...").
mr_status mr_fail(mr_error *err, mr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The same for a refused record; returns MR_REJECT.
mr_status mr_reject(mr_error *err, mr_cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts a place in front of the text of a failure: "place: text". Returns err->status.
mr_status mr_wrap(mr_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The cause's name as it stands in metrics ("bad_length"), and one sentence about it.
const char *mr_cause_name(mr_cause cause);
// The cause of that name; MR_CAUSE_NONE: there is none.
mr_cause mr_cause_of(const char *name);
const char *mr_cause_text(mr_cause cause);

// Leaves the calling function with the status of a failed call. For functions that hold nothing.
#define MR_TRY(call)                                                                               \
    do {                                                                                           \
        const mr_status mr_try_status = (call);                                                    \
        if (mr_try_status != MR_OK)                                                                \
            return mr_try_status;                                                                  \
    } while (0)

// Asserts are for our own bugs, never for input; they stay on in release builds.
void mr_assert_failed(const char *expression, const char *file, int line) __attribute__((noreturn));
#define MR_ASSERT(expression)                                                                      \
    (__builtin_expect(!!(expression), 1) ? (void)0                                                 \
                                         : mr_assert_failed(#expression, __FILE__, __LINE__))
#ifdef MR_SLOW_CHECKS
#define MR_ASSERT_SLOW(expression) MR_ASSERT(expression)
#else
#define MR_ASSERT_SLOW(expression) ((void)0)
#endif

#endif
