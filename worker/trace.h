// SPDX-License-Identifier: Apache-2.0
// trace: W3C trace context, from the event that caused a list to the list.
//
// A record may say by a header which request it belongs to (traceparent; ce_traceparent where it is
// a CloudEvent). The user's next list is published with a header traceparent of its own: the same
// trace, the same sampled flag, and a span that follows from trace, user and version of the list,
// so that a list that is sent again says the same. Of several events that a list answers the one
// that was learned last counts.
//
// Not a part of the state: no row, list or hash knows of it. What a worker has learned and not
// published when it ends is published by the next one without the header.
//
// Source: W3C Trace Context, 3.2 (traceparent), https://www.w3.org/TR/trace-context/.
#ifndef MR_WORKER_TRACE_H
#define MR_WORKER_TRACE_H

#include "core/base/bytes.h"
#include "core/base/error.h"

#define MR_TRACE_HEADER "traceparent"
#define MR_TRACE_HEADER_CLOUDEVENT "ce_traceparent"

enum {
    MR_TRACE_TEXT_BYTES = 55,
    MR_TRACES_MAX = 1 << 16, // users who wait for a list with a trace; more go without
};

typedef struct mr_trace {
    uint8_t trace[16], span[8];
    bool sampled;
} mr_trace;

// Whether the text is a traceparent: of version 00 to the letter, of a later one by what has to
// stand first in it. Any bytes may be asked.
bool mr_trace_read(mr_bytes text, mr_trace *trace);
// Writes version 00; no zero behind it.
void mr_trace_write(const mr_trace *trace, char text[static MR_TRACE_TEXT_BYTES]);
// The span of a user's list in the trace that caused it.
mr_trace mr_trace_of_list(const mr_trace *cause, mr_bytes user, int64_t version);

// What the next lists of users belong to. Memory of mr_traces_open, which is not touched before the
// first trace comes; nothing else is allocated. For one thread.
typedef struct mr_traces mr_traces;

typedef struct mr_trace_counters {
    uint64_t carried;   // lists that have the header
    uint64_t malformed; // headers that are no traceparent
    uint64_t left_out;  // traces of users for whom there was no room
} mr_trace_counters;

// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_traces_open(mr_traces **traces, mr_error *err);
void mr_traces_close(mr_traces *traces);
// An event of the user's was learned whose record has this header.
void mr_traces_note(mr_traces *traces, uint32_t task, mr_bytes user, mr_bytes text);
// The user's list is made. False: no trace has caused it.
bool mr_traces_take(mr_traces *traces, mr_bytes user, mr_trace *cause);
// The same where the list is not published.
void mr_traces_drop(mr_traces *traces, mr_bytes user);
// Forgets the users of a task; of all tasks.
void mr_traces_release(mr_traces *traces, uint32_t task);
void mr_traces_clear(mr_traces *traces);
const mr_trace_counters *mr_traces_count(const mr_traces *traces);

#endif
