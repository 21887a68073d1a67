// SPDX-License-Identifier: Apache-2.0
// sorted: the events of a log that is in no order, by their time.
//
// All events are held in memory, packed, until the last one has been read: some 60 bytes each, at
// most MR_SORTED_BYTES_MAX. Equal times keep the order of the file.
#ifndef MR_WORKER_INPUT_SORTED_H
#define MR_WORKER_INPUT_SORTED_H

#include "core/event/event.h"
#include "core/base/error.h"

#define MR_SORTED_BYTES_MAX (UINT64_C(4) << 30)

typedef struct mr_sorted mr_sorted;

// NULL: out of memory.
mr_sorted *mr_sorted_open(void);
void mr_sorted_close(mr_sorted *sorted);

// Packs an event without a vector away. Errors: MR_FATAL, more than MR_SORTED_BYTES_MAX, or out of
// memory.
MR_CHECKED mr_status mr_sorted_add(mr_sorted *sorted, const mr_event *event, mr_error *err);

// Ends the adding: from here on events are taken.
void mr_sorted_sort(mr_sorted *sorted);

// The next event; false: there is none. Its texts live as long as `sorted`, its line until the next
// call.
bool mr_sorted_take(mr_sorted *sorted, mr_event *event);

#endif
