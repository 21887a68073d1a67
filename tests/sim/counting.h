// SPDX-License-Identifier: Apache-2.0
// counting: a model for tests alone: of each user and item, how many acts were learned, and the sum
// of the hashes of their event ids.
//
// Both are integers, so a state can be held against a plain fold over the input, whatever the
// epochs, commits and workers were: an act that was lost or learned twice shows in the count, one
// act in another's place in the sum. It stands alone: every other model may be off.
#ifndef MR_TESTS_SIM_COUNTING_H
#define MR_TESTS_SIM_COUNTING_H

#include "core/model/model.h"

typedef struct mr_counted { // a user's part, an item's row, and the delta to it
    uint64_t count, sum;
} mr_counted;

extern const mr_model mr_counting;

// What an act of this event adds to the sum.
uint64_t mr_counting_hash(mr_bytes event_id);

// Finds what is counted in the payload of a row (mr_close_sink.row) with this key. False: it is no
// row of a user or of an item's counts; a user who has no part has counted nothing.
bool mr_counting_read(mr_bytes key, mr_bytes payload, mr_counted *counted);

#endif
