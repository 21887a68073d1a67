// SPDX-License-Identifier: Apache-2.0
// epoch: an ordered batch of one task's events, the unit of learning.
#ifndef MR_CORE_EVENT_EPOCH_H
#define MR_CORE_EVENT_EPOCH_H

#include "core/base/error.h"
#include "core/event/event.h"

typedef struct mr_arrival { // an event and where it came from
    mr_event event;
    int64_t record_ms; // timestamp of the record; for a file, the event time
    int64_t offset;
    int32_t partition;
    uint32_t topic; // index of the topic in order of names: the order of equal event times
    mr_bytes trace; // what the record says of the request that it belongs to; nothing is decided by
                    // it. data NULL: it says nothing
    // Filled by the engine: MR_CAUSE_NONE where the event was taken; otherwise why it was refused.
    mr_cause cause;
    char reason[120];
    bool clamped; // the event's time was too far ahead, and is that of its record
    bool learned; // filled by the engine: neither refused nor a duplicate, nor dropped as late, nor
                  // of items alone that wait for their rows
} mr_arrival;

typedef struct mr_epoch {
    uint32_t task;
    mr_arrival *arrivals; // sorted by mr_epoch_sort
    uint32_t count;
    int64_t tick_ms; // advances the clock of an idle task to this event time; 0: no tick
    // Records of deltas from other workers to the task's shard, in order of their offsets
    // (core/engine.h). Borrowed for the round.
    const mr_bytes *received;
    uint32_t received_count;
} mr_epoch;

// Orders arrivals by (event time, topic, partition, offset): the order in which they are learned.
// `scratch` holds count pointers' worth of mr_arrival; both are the caller's. O(n log n), stable.
void mr_epoch_sort(mr_arrival *arrivals, mr_arrival *scratch, uint32_t count);

#endif
