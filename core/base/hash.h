// SPDX-License-Identifier: Apache-2.0
// hash: names of items and users, checksums of rows, the hash of a state.
//
// All are XXH3 (xxHash 0.8, stable format). An item is named by mr_item_key of its id for ever:
// rows, deltas, candidates, ties and random numbers use the key, so seeds here never change.
#ifndef MR_CORE_BASE_HASH_H
#define MR_CORE_BASE_HASH_H

#include <stdint.h>

#include "core/base/bytes.h"

typedef struct mr_hash128 {
    uint64_t low, high;
} mr_hash128;

uint64_t mr_hash64(const void *data, size_t size, uint64_t seed);
mr_hash128 mr_hash128_of(const void *data, size_t size, uint64_t seed);

// The 64-bit name of an item, and of a user where a number is needed (random draws, sampling).
uint64_t mr_item_key(mr_bytes id);
uint64_t mr_user_key(mr_bytes id);
// Of a category's name; odd. Also of what a control event is about, which may be an item's id.
uint64_t mr_category_key(mr_bytes name);

// Hash of a row for the hash of a state: depends on key and value.
mr_hash128 mr_row_hash(mr_bytes key, mr_bytes value);

// Sums modulo 2^128: the state hash of a task is the sum over its rows, kept by subtracting the old
// and adding the new hash of each row that changed.
void mr_hash128_add(mr_hash128 *sum, mr_hash128 value);
void mr_hash128_subtract(mr_hash128 *sum, mr_hash128 value);

// Murmur2 as Kafka's Java clients partition keys: murmur2(key) with the sign bit cleared, mod
// count. Source: Apache Kafka, Utils.murmur2 (seed 0x9747b28c).
uint32_t mr_murmur2(mr_bytes key);
uint32_t mr_partition_of(mr_bytes key, uint32_t partition_count);

#endif
