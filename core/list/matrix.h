// SPDX-License-Identifier: Apache-2.0
// matrix: a vector for each item, side by side in memory, and the nearest of them to a user's.
//
// What a model that scores by dot products derives from its rows. It is never stored: its owner's
// `rebuild` opens it and puts every row, its `changed` puts one again.
#ifndef MR_CORE_LIST_MATRIX_H
#define MR_CORE_LIST_MATRIX_H

#include "core/list/topk.h"
#include "core/rows.h"

typedef struct mr_matrix {
    float *rows; // by slot: stride numbers
    mr_topk_image image;
    uint32_t stride;
    float norm_max; // at least the norm of every row that was ever put
} mr_matrix;

// Memory of the rows and their image, in bytes; the struct apart. stride: a multiple of 16.
size_t mr_matrix_bytes(uint32_t items_max, uint32_t stride);
// memory: of mr_matrix_bytes, aligned to 64, the caller's as long as the matrix is used. No row is
// put yet.
void mr_matrix_open(mr_matrix *matrix, void *memory, uint32_t items_max, uint32_t stride);

static inline float *mr_matrix_row(const mr_matrix *matrix, uint32_t slot)
{
    return matrix->rows + (size_t)slot * matrix->stride;
}

// To be called when the row at slot was written: finite numbers, zeros behind the vector's end.
void mr_matrix_put(mr_matrix *matrix, uint32_t slot);
// Writes the row at slot, stride numbers, and puts it.
void mr_matrix_set(mr_matrix *matrix, uint32_t slot, const float *row);

// Fills found[i] with the items of the largest products with queries + i * stride that filters[i]
// admits, each found->max of the same size; by score, then key (topk.h). Scratch is given back.
void mr_matrix_find(const mr_matrix *matrix, const mr_view *view, const float *queries,
                    uint32_t count, const mr_filter *filters, mr_arena *arena, mr_found *found);

// The `candidates` and the `score` of a model (core/model/model.h) whose cache begins with a
// matrix, and its part of a user's row with his query: stride numbers.
void mr_matrix_candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                          uint32_t user_count, uint32_t column, const mr_filter *filters,
                          mr_arena *arena, mr_found *found);
void mr_matrix_score(const mr_instance *self, const mr_view *view, uint32_t user,
                     const uint32_t *slots, uint32_t slot_count, float *out, uint32_t out_stride,
                     mr_arena *arena);

#endif
