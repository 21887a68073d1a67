// SPDX-License-Identifier: Apache-2.0
// candidates: the union of what each column proposes for a user, with every column's value of each.
//
// Candidates stand in order of (column, place in the column's own list): an order that depends on
// scores and keys alone. Sums over candidates run in it.
#ifndef MR_CORE_LIST_CANDIDATES_H
#define MR_CORE_LIST_CANDIDATES_H

#include "core/engine.h"
#include "core/rows.h"

enum {
    MR_COLUMN_BEST = 100, // of each column
    MR_UNION_MAX = MR_ENGINE_COLUMNS_MAX * MR_COLUMN_BEST,
    MR_PLACE_NONE = 255, // not among the column's best
};

typedef struct mr_columns { // every column of every model that is on
    struct {
        const mr_instance *instance;
        const mr_model *model;
        uint32_t index; // inside the model
        const mr_column *column;
        uint64_t key; // hash of the name: names the blend's row of it
    } of[MR_ENGINE_COLUMNS_MAX];
    uint32_t count;
} mr_columns;

typedef struct mr_union {
    uint32_t count, column_count;
    uint32_t slots[MR_UNION_MAX];
    uint8_t place[MR_ENGINE_COLUMNS_MAX][MR_UNION_MAX]; // from 0, or MR_PLACE_NONE
    float value[MR_ENGINE_COLUMNS_MAX][MR_UNION_MAX];
} mr_union;

// Fills founds[c * user_count + u] for each column c of batched models and each user u,
// MR_COLUMN_BEST each.
void mr_columns_find_batched(const mr_columns *columns, const mr_view *view, const uint32_t *users,
                             uint32_t user_count, const mr_filter *filters, mr_arena *arena,
                             mr_found *founds);
// Fills founds[c * stride] of the columns of all other models for one user. What models keep for
// mr_union_make of the same user stays in the arena.
void mr_columns_find(const mr_columns *columns, const mr_view *view, uint32_t user,
                     const mr_filter *filter, mr_arena *arena, mr_found *founds, uint32_t stride);
// The union of founds[c * stride] over columns, and every column's value of each candidate. Of
// columns that only rank what others propose it writes founds[c * stride] too.
void mr_union_make(const mr_columns *columns, const mr_view *view, uint32_t user,
                   mr_found *founds, uint32_t stride, mr_arena *arena, mr_union *out);
// The place of an item among the candidates, or UINT32_MAX.
uint32_t mr_union_find(const mr_union *candidates, uint32_t slot);

#endif
