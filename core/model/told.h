// SPDX-License-Identifier: Apache-2.0
// told: what readers outside are told of an item: what its models have learned, in public terms.
#ifndef MR_CORE_MODEL_TOLD_H
#define MR_CORE_MODEL_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

enum { MR_TOLD_COUNTS_MAX = 8 };

typedef struct mr_told { // all of it borrowed
    mr_bytes item;
    uint32_t shard;
    int64_t time_ms;     // event time
    bool gone;           // it has expired: nothing below counts
    bool available;      // whether it may be listed
    const float *vector; // in the space of the users' vectors; NULL: no model has one
    uint32_t vector_count;
    struct {
        const char *name; // of the half-life
        double value;     // as of time_ms
    } counts[MR_TOLD_COUNTS_MAX];
    uint32_t count_count;
} mr_told;

#endif
