// SPDX-License-Identifier: Apache-2.0
// demo_records: reads published lists and metrics as a foreign program would: frame off, then the
// fields of list.avsc and metric.avsc in their order.
//
// Only our own writer schemas are read, told by their fingerprints; there is no resolution.
#ifndef MR_WORKER_DEMO_RECORDS_H
#define MR_WORKER_DEMO_RECORDS_H

#include "core/base/error.h"
#include "schemas/encode.h"

enum { MR_DEMO_ENTRIES_MAX = 20 };

typedef struct mr_demo_entry {
    mr_bytes item, source; // borrowed from the value
    float propensity;      // NAN: not given
} mr_demo_entry;

typedef struct mr_demo_list {
    mr_bytes id, user, arm; // borrowed; arm empty: not given
    int64_t version;
    mr_demo_entry entries[MR_DEMO_ENTRIES_MAX]; // the first of them
    uint32_t count;
} mr_demo_list;

typedef struct mr_demo_metric {
    mr_bytes name, model; // borrowed; model: the label of that name, empty: none
    double value;
} mr_demo_metric;

// Reads a framed value, whose schema must have that fingerprint. Errors: MR_REJECT with a cause:
// not framed, another schema, or bytes that are no such record.
MR_CHECKED mr_status mr_demo_list_read(mr_bytes value, uint64_t fingerprint, mr_demo_list *list,
                                       mr_error *err);
MR_CHECKED mr_status mr_demo_metric_read(mr_bytes value, uint64_t fingerprint,
                                         mr_demo_metric *metric, mr_error *err);

#endif
