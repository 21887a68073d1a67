// SPDX-License-Identifier: Apache-2.0
// place: where a number stands in a small table with open addressing, for scratch that knows its
// size: `keys` in the order in which they came, and a table of 2^bits of their indexes + 1, 0:
// empty. The caller keeps the table from filling.
#ifndef MR_CORE_BASE_PLACE_H
#define MR_CORE_BASE_PLACE_H

#include <stdint.h>

// The entry of `key`, or the empty one where it belongs.
static inline uint32_t mr_place_of(const uint16_t *table, uint32_t bits, const uint32_t *keys,
                                   uint32_t key)
{
    uint32_t i = (key * 0x9e3779b1u) >> (32 - bits);
    while (table[i] != 0 && keys[table[i] - 1] != key)
        i = (i + 1) & ((1u << bits) - 1);
    return i;
}

#endif
