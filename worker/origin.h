// SPDX-License-Identifier: Apache-2.0
// origin: where a record of the repartition topic comes from.
//
// Key, value and headers of such a record are those of its source, byte for byte (of headers the
// first 64, which is as far as a decoder looks). In front of the headers stands one more, millrace.origin, a line of text:
//
//   topic partition offset timestamp_ms [cause reason]
//
// The last two say that the record was refused on the way: it had no user that could be found, or
// was too large to be passed on whole. It is refused where it arrives, whatever a decoder would
// say there.
//
// The record's own timestamp is that of its way through this topic: brokers refuse times that are
// far ahead of theirs, and drop by time what is old.
#ifndef MR_WORKER_ORIGIN_H
#define MR_WORKER_ORIGIN_H

#include "worker/config.h"
#include "worker/ports.h"

#define MR_ORIGIN_HEADER "millrace.origin"

enum { MR_ORIGIN_BYTES_MAX = 512 };

typedef struct mr_origin {
    mr_bytes topic; // borrowed, as the reason is
    uint32_t partition;
    int64_t offset, time_ms;
    mr_cause cause; // MR_CAUSE_NONE: it was not refused
    mr_bytes reason;
} mr_origin;

// Returns how many bytes of `text` were written; a reason that is too long is cut.
uint32_t mr_origin_write(const mr_origin *origin, char text[static MR_ORIGIN_BYTES_MAX]);
// Whether `text` is one.
bool mr_origin_read(mr_bytes text, mr_origin *origin);

typedef struct mr_rerouted { // of a record that came through the repartition topic
    uint32_t input;          // that it belongs to
    int64_t offset;          // in the repartition topic
    mr_cause cause;          // MR_CAUSE_NONE: it was not refused
    mr_bytes reason;         // of the message
    bool strange;            // refused only because its topic, which a pattern matches, is no input
} mr_rerouted;

// Makes a message of the repartition topic that of its source: partition, offset, timestamp and
// headers. One that does not say where it comes from stays as it is, refused.
void mr_origin_restore(const mr_config *config, mr_message *message, mr_rerouted *rerouted);

#endif
