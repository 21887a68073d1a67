// SPDX-License-Identifier: Apache-2.0
// topk: the k best items of a whole catalogue for many users, exactly, at the speed of a product of
// 16-bit matrices.
//
// A list is ordered by score, higher first, then by item key, lower first. The score is what the
// fixed-order kernel mr_vec.dot gives. "Exactly" means: entry by entry and bit by bit what sorting
// all eligible items by that order would give, whatever CPU, tiling or company of other
// users. What is scanned is an image of the catalogue in 16-bit integers; it only finds candidates,
// by a margin that covers its rounding and the kernel's (topk.c has the proof).
//
// Slots are places in memory: they name a row and decide nothing.
#ifndef MR_CORE_LIST_TOPK_H
#define MR_CORE_LIST_TOPK_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/vec.h"

enum {
    MR_TOPK_MAX = 1024,       // largest k
    MR_TOPK_STRIDE_MAX = 512, // longest row
};

// The catalogue as it is scanned: half the bytes of the rows. Each row is its codes times its unit,
// nearly (topk.c says how nearly).
typedef struct mr_topk_image {
    int16_t *codes; // in panels, as mr_vec.panels reads them
    float *units;   // by slot
} mr_topk_image;

// Memory of an image of count rows; what has not been put is not defined, and not to be listed.
size_t mr_topk_image_bytes(uint32_t count, uint32_t stride);
mr_topk_image mr_topk_image_at(void *memory, uint32_t count, uint32_t stride);
// Puts a row of finite numbers into the image; stride is that of the image. Returns the row's norm,
// rounded up.
float mr_topk_image_put(const mr_topk_image *image, uint32_t slot, const float *row,
                        uint32_t stride);

typedef struct mr_topk_items {
    const float *rows;     // count x stride; finite, padded with zeros; of free slots too
    mr_topk_image image;   // of all of them
    const uint64_t *keys;  // by slot; those of eligible slots differ from each other
    const uint64_t *shown; // bitmap by slot: bit 1 = may be listed; NULL: all may
    uint32_t count;
    uint32_t stride; // multiple of 16, <= MR_TOPK_STRIDE_MAX
    float norm_max;  // at least the Euclidean norm of every row (mr_topk_norm_max)
} mr_topk_items;

typedef struct mr_topk_list {
    const uint32_t *seen; // slots that are not for this user, ascending, none twice
    uint32_t seen_count;
    uint32_t count;  // out: entries found, min(k, eligible items)
    uint32_t *slots; // out: room for k, best first
    float *scores;   // out: room for k
} mr_topk_list;

// Scratch memory of a scan, in bytes; it depends on k alone.
size_t mr_topk_bytes(uint32_t k);

// Fills lists[i] for user i.
//
//   users    user_count x items->stride, finite, padded with zeros
//   k        1 .. MR_TOPK_MAX
//   scratch  mr_topk_bytes(k) bytes, aligned to 64; nothing in it outlives the call
//
// 2 n d flops a user and about k ln(n/k) candidates. Cannot fail; a norm that overflows float, or a
// NaN, is a model's bug: asserted. Source: the bound on any order of summation is Higham, Accuracy
// and Stability of Numerical Algorithms, 3.1; threshold, margin and start are ours.
void mr_topk_scan(const mr_topk_items *items, const float *users, uint32_t user_count, uint32_t k,
                  mr_topk_list *lists, const mr_vec *vec, void *scratch);

// The largest Euclidean norm of count rows, rounded up. O(count * stride).
float mr_topk_norm_max(const float *rows, uint32_t count, uint32_t stride);

#endif
