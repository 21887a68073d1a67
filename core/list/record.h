// SPDX-License-Identifier: Apache-2.0
// record: a published list, with all that an honest evaluation of it needs later.
#ifndef MR_CORE_LIST_RECORD_H
#define MR_CORE_LIST_RECORD_H

#include <stdint.h>

#include "core/base/bytes.h"

enum { MR_LIST_MAX = 500, MR_CONTEXT_MAX = 10 };

typedef struct mr_list_entry {
    mr_bytes item; // id, borrowed from the item's row
    uint64_t item_key;
    float score;          // relevance by the fixed-order kernels
    float q;              // P(item | items above); NAN: not known
    float mean, spread;   // what an exploring policy used; NAN where it did not
    uint32_t source_bits; // columns that proposed it, bit = column index
    uint8_t source;       // the column where it stood best
    const char *source_name;
} mr_list_entry;

typedef struct mr_list_context { // the clusters that the user stood in when this was decided
    uint32_t cluster;
    float weight;
} mr_list_context;

typedef struct mr_list {
    mr_bytes user; // id
    uint32_t task;
    int64_t version; // seq * 2^20 + place: rises for a user for ever
    uint64_t epoch;  // the task's last epoch that the list knows
    int64_t time_ms; // event-time clock
    uint64_t seed;
    const char *policy;  // name of the policy that ordered it
    uint32_t parameters; // version of the blend: how many probes it has learned from
    const char *slice;   // "exploit" or "explore"
    float explore_level;
    const char *arm;  // "blend", or the column that the gate chose
    uint32_t segment; // 0: no recent event, 1: one, 2: 2-4, 3: 5 and more
    uint32_t candidate_count;
    uint64_t candidate_hash; // sum of the XXH3-64 of the candidates' keys: no order in it
    float kth_score;
    mr_list_context context[MR_CONTEXT_MAX];
    uint32_t context_count;
    mr_list_entry *entries;
    uint32_t entry_count;
} mr_list;

#endif
