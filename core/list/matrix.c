// SPDX-License-Identifier: Apache-2.0
#include "core/list/matrix.h"

#include <string.h>

size_t mr_matrix_bytes(uint32_t items_max, uint32_t stride)
{
    return mr_arena_round((size_t)items_max * stride * sizeof(float)) +
           mr_topk_image_bytes(items_max, stride);
}

void mr_matrix_open(mr_matrix *matrix, void *memory, uint32_t items_max, uint32_t stride)
{
    const size_t rows = mr_arena_round((size_t)items_max * stride * sizeof(float));
    *matrix = (mr_matrix){.rows = memory,
                          .image = mr_topk_image_at((uint8_t *)memory + rows, items_max, stride),
                          .stride = stride};
}

void mr_matrix_put(mr_matrix *matrix, uint32_t slot)
{
    const float norm =
        mr_topk_image_put(&matrix->image, slot, mr_matrix_row(matrix, slot), matrix->stride);
    matrix->norm_max = norm > matrix->norm_max ? norm : matrix->norm_max;
}

void mr_matrix_set(mr_matrix *matrix, uint32_t slot, const float *row)
{
    memcpy(mr_matrix_row(matrix, slot), row, matrix->stride * sizeof *row);
    mr_matrix_put(matrix, slot);
}

void mr_matrix_find(const mr_matrix *matrix, const mr_view *view, const float *queries,
                    uint32_t count, const mr_filter *filters, mr_arena *arena, mr_found *found)
{
    if (count == 0)
        return;
    const uint32_t k = found[0].max;
    const size_t mark = arena->used;
    mr_topk_list *lists = mr_arena_push(arena, count * sizeof *lists);
    for (uint32_t i = 0; i < count; i++)
        lists[i] = (mr_topk_list){.seen = filters[i].seen,
                                  .seen_count = filters[i].seen_count,
                                  .slots = found[i].slots,
                                  .scores = found[i].scores};
    const mr_topk_items items = {.rows = matrix->rows,
                                 .image = matrix->image,
                                 .keys = view->items->slots.keys,
                                 .shown = view->items->shown,
                                 .count = view->items->slots.used,
                                 .stride = matrix->stride,
                                 .norm_max = matrix->norm_max};
    mr_topk_scan(&items, queries, count, k, lists, view->vec,
                 mr_arena_push(arena, mr_topk_bytes(k)));
    for (uint32_t i = 0; i < count; i++)
        found[i].count = lists[i].count;
    arena->used = mark;
}

void mr_matrix_candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                          uint32_t user_count, uint32_t column, const mr_filter *filters,
                          mr_arena *arena, mr_found *found)
{
    (void)column;
    const mr_matrix *matrix = self->cache;
    const uint32_t n = matrix->stride;
    const size_t mark = arena->used;
    float *queries = mr_arena_push(arena, (size_t)user_count * n * sizeof *queries);
    for (uint32_t u = 0; u < user_count; u++)
        memcpy(queries + (size_t)u * n, mr_user_part(self, mr_view_user(view, users[u])),
               n * sizeof *queries);
    mr_matrix_find(matrix, view, queries, user_count, filters, arena, found);
    arena->used = mark;
}

void mr_matrix_score(const mr_instance *self, const mr_view *view, uint32_t user,
                     const uint32_t *slots, uint32_t slot_count, float *out, uint32_t out_stride,
                     mr_arena *arena)
{
    (void)arena, (void)out_stride;
    const mr_matrix *matrix = self->cache;
    view->vec->dot_rows(mr_user_part(self, mr_view_user(view, user)), matrix->rows, slots,
                        slot_count, matrix->stride, out);
}
