// SPDX-License-Identifier: Apache-2.0
// nearest: the known name that a mistyped one was probably meant to be.
#ifndef MR_WORKER_NEAREST_H
#define MR_WORKER_NEAREST_H

#include <stdint.h>

enum { MR_NEAREST_BYTES_MAX = 96 }; // longer names are never near anything

typedef struct mr_nearest {
    const char *wanted;
    const char *best; // borrowed from the candidates; NULL: none is near
    uint32_t distance;
} mr_nearest;

// Begins a search for the name nearest to `wanted`, which is borrowed until the search ends.
mr_nearest mr_nearest_begin(const char *wanted);

// Offers a candidate. Near means: at most a third of the wanted name's bytes, and at least two,
// have to be inserted, deleted, replaced or swapped with their neighbour. Of equals the first
// offered wins. O(product of the lengths), no allocation. Source: Damerau, "A technique for
// computer detection and correction of spelling errors" (1964), in the restricted form in which no
// substring is edited twice.
void mr_nearest_offer(mr_nearest *search, const char *candidate);

#endif
