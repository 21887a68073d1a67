// SPDX-License-Identifier: Apache-2.0
#include "core/list/candidates.h"

#include "core/list/found.h"
#include "core/model/cost.h"

enum { TABLE_BITS = 13, TABLE = 1 << TABLE_BITS }; // open addressing of MR_UNION_MAX slots

_Static_assert(MR_UNION_MAX * 2 < TABLE, "the table never fills");

static void count_ranking(const mr_columns *columns, uint32_t c, const mr_view *view,
                          uint64_t begun)
{
    if (view->costs != NULL)
        view->costs->of[columns->of[c].instance - view->instances].rank_ns +=
            mr_costs_now(view->costs) - begun;
}

static void find(const mr_columns *columns, uint32_t c, const mr_view *view, const uint32_t *users,
                 uint32_t user_count, const mr_filter *filters, mr_arena *arena, mr_found *found)
{
    for (uint32_t u = 0; u < user_count; u++) {
        found[u].max = MR_COLUMN_BEST;
        found[u].count = 0;
    }
    if (columns->of[c].model->rank != NULL) // when all others have spoken
        return;
    const uint64_t begun = mr_costs_now(view->costs);
    columns->of[c].model->candidates(columns->of[c].instance, view, users, user_count,
                                     columns->of[c].index, filters, arena, found);
    count_ranking(columns, c, view, begun);
}

void mr_columns_find_batched(const mr_columns *columns, const mr_view *view, const uint32_t *users,
                             uint32_t user_count, const mr_filter *filters, mr_arena *arena,
                             mr_found *founds)
{
    for (uint32_t c = 0; c < columns->count; c++)
        if (columns->of[c].model->batched)
            find(columns, c, view, users, user_count, filters, arena,
                 founds + (size_t)c * user_count);
}

void mr_columns_find(const mr_columns *columns, const mr_view *view, uint32_t user,
                     const mr_filter *filter, mr_arena *arena, mr_found *founds, uint32_t stride)
{
    for (uint32_t i = 0; i < view->instance_count; i++)
        view->memos[i].user = UINT32_MAX;
    for (uint32_t c = 0; c < columns->count; c++)
        if (!columns->of[c].model->batched)
            find(columns, c, view, &user, 1, filter, arena, &founds[(size_t)c * stride]);
}

static uint32_t place_of(const uint16_t *table, const mr_union *candidates, uint32_t slot)
{
    uint32_t i = (slot * 0x9e3779b1u) >> (32 - TABLE_BITS);
    while (table[i] != 0 && candidates->slots[table[i] - 1] != slot)
        i = (i + 1) % TABLE;
    return i;
}

static void join(mr_union *out, const mr_columns *columns, const mr_found *founds, uint32_t stride,
                 uint16_t *table)
{
    uint32_t offers = 0;
    for (uint32_t c = 0; c < columns->count; c++)
        offers += founds[(size_t)c * stride].count;
    for (uint32_t c = 0; c < columns->count; c++)
        memset(out->place[c], MR_PLACE_NONE, offers);
    for (uint32_t c = 0; c < columns->count; c++) {
        const mr_found *found = &founds[(size_t)c * stride];
        for (uint32_t i = 0; i < found->count; i++) {
            const uint32_t at = place_of(table, out, found->slots[i]);
            if (table[at] == 0) {
                out->slots[out->count] = found->slots[i];
                table[at] = (uint16_t)++out->count;
            }
            out->place[c][table[at] - 1] = (uint8_t)i;
        }
    }
}

// Finds the best of a column among the candidates, and their places.
static void order(const mr_view *view, const uint16_t *table, uint32_t c, mr_arena *arena,
                  mr_found *found, mr_union *out)
{
    mr_found_choose(found, view->items, out->slots, out->value[c], out->count, arena);
    memset(out->place[c], MR_PLACE_NONE, out->count);
    for (uint32_t i = 0; i < found->count; i++)
        out->place[c][table[place_of(table, out, found->slots[i])] - 1] = (uint8_t)i;
}

static void rank(const mr_columns *columns, uint32_t c, const mr_view *view, uint32_t user,
                 const uint16_t *table, mr_found *founds, uint32_t stride, mr_arena *arena,
                 mr_union *out)
{
    const mr_instance *instance = columns->of[c].instance;
    const uint64_t begun = mr_costs_now(view->costs);
    columns->of[c].model->rank(instance, view, user, columns, out, arena);
    for (uint32_t own = c; own < c + instance->column_count; own++)
        order(view, table, own, arena, &founds[(size_t)own * stride], out);
    count_ranking(columns, c, view, begun);
}

void mr_union_make(const mr_columns *columns, const mr_view *view, uint32_t user,
                   mr_found *founds, uint32_t stride, mr_arena *arena, mr_union *out)
{
    const size_t mark = arena->used;
    uint16_t *table = mr_arena_push(arena, TABLE * sizeof *table);
    memset(table, 0, TABLE * sizeof *table);
    out->count = 0;
    out->column_count = columns->count;
    join(out, columns, founds, stride, table);
    for (uint32_t c = 0; c < columns->count; c++) { // a model gives all of its columns at once
        if (columns->of[c].index != 0 || columns->of[c].model->rank != NULL)
            continue;
        const uint64_t begun = mr_costs_now(view->costs);
        columns->of[c].model->score(columns->of[c].instance, view, user, out->slots, out->count,
                                    out->value[c], MR_UNION_MAX, arena);
        count_ranking(columns, c, view, begun);
    }
    for (uint32_t c = 0; c < columns->count; c++)
        if (columns->of[c].index == 0 && columns->of[c].model->rank != NULL)
            rank(columns, c, view, user, table, founds, stride, arena, out);
    if (view->costs != NULL)
        view->costs->rankings++;
    arena->used = mark;
}

uint32_t mr_union_find(const mr_union *candidates, uint32_t slot)
{
    for (uint32_t i = 0; i < candidates->count; i++)
        if (candidates->slots[i] == slot)
            return i;
    return UINT32_MAX;
}
