// SPDX-License-Identifier: Apache-2.0
// ingest: judges one event before it touches any state.
#ifndef MR_CORE_INGEST_INGEST_H
#define MR_CORE_INGEST_INGEST_H

#include "core/event/epoch.h"

typedef struct mr_ingest_limits {
    uint32_t user_id_bytes_max, item_id_bytes_max;
    int64_t clock_skew_max_ms;
    uint32_t vector_length; // of catalogue vectors; 0: any
    mr_bytes vector_model;  // that made them; empty: any
} mr_ingest_limits;

#define MR_VECTOR_MODEL "vector_model" // the entry of a catalogue event's context that names it
#define MR_TIME_MIN_MS 631152000000ll // 1990-01-01: an older event time is a mistake of units

// Whether the event can be learned: ids, times, numbers and what its kind needs. Errors: MR_REJECT
// with the cause and a text that names the field, what was found and what would be right.
MR_CHECKED mr_status mr_ingest_check(const mr_arrival *arrival, const mr_ingest_limits *limits,
                                     mr_error *err);

#endif
