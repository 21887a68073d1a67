// SPDX-License-Identifier: Apache-2.0
#include "core/eval/probe.h"

static double gain(uint32_t rank) // 1 / log2(rank + 1)
{
    return 0.69314718055994531 / mr_log((double)rank + 1.0);
}

mr_hit_value mr_hit_value_of(double above, double tied)
{
    double recall = 0, ndcg = 0, rr = 0;
    const double share = 1.0 / tied;
    for (uint32_t rank = (uint32_t)above + 1; rank <= MR_CUT && (double)rank <= above + tied;
         rank++) {
        recall += share;
        ndcg += share * gain(rank);
        rr += share / rank;
    }
    return (mr_hit_value){(float)recall, (float)ndcg, (float)rr};
}

// Where the target stands in one column's own list. Beyond the list, where the list was not full,
// all other items are tied at its foot; where it was full, the target is a miss anyway.
static mr_hit_value column_hit(const mr_found *found, uint32_t target, uint32_t item_count)
{
    uint32_t at = 0;
    while (at < found->count && found->slots[at] != target)
        at++;
    if (at == found->count) {
        if (found->count == found->max || item_count <= found->count)
            return (mr_hit_value){0, 0, 0};
        return mr_hit_value_of(found->count, item_count - found->count);
    }
    uint32_t first = at, last = at;
    while (first > 0 && found->scores[first - 1] == found->scores[at])
        first--;
    while (last + 1 < found->count && found->scores[last + 1] == found->scores[at])
        last++;
    return mr_hit_value_of(first, last - first + 1);
}

static mr_hit_value blend_hit(const float *relevance, uint32_t count, uint32_t target)
{
    uint32_t above = 0, tied = 0;
    for (uint32_t i = 0; i < count; i++) {
        above += relevance[i] > relevance[target];
        tied += relevance[i] == relevance[target];
    }
    return mr_hit_value_of(above, tied);
}

// Models that learn from the candidates as they stood before the act.
static void teach(const mr_columns *columns, const mr_view *view, const mr_probe_ask *ask,
                  const mr_union *candidates, uint32_t target, mr_arena *arena)
{
    for (uint32_t c = 0; ask->deltas != NULL && c < columns->count; c++)
        if (columns->of[c].index == 0 && columns->of[c].model->teach != NULL)
            columns->of[c].model->teach(columns->of[c].instance, view, ask->signal, columns,
                                        candidates, target, ask->deltas, arena);
}

static void probe_blend(const mr_columns *columns, const mr_view *view, const mr_probe_ask *ask,
                        mr_found *founds, uint32_t stride, mr_arena *arena)
{
    mr_probe_result *result = ask->result;
    mr_blend_lesson *lesson = &result->lesson;
    mr_union *candidates = mr_arena_push(arena, sizeof *candidates);
    mr_union_make(columns, view, ask->user, founds, stride, arena, candidates);
    const uint32_t at = mr_union_find(candidates, ask->target);
    lesson->in_union = at != UINT32_MAX;
    for (uint32_t c = 0; c < columns->count; c++)
        lesson->places[c] = lesson->in_union ? candidates->place[c][at] : MR_PLACE_NONE;
    if (!lesson->in_union)
        return;
    float *x = mr_arena_push(arena, MR_FEATURES_MAX * MR_UNION_MAX * sizeof *x);
    float *relevance = mr_arena_push(arena, MR_UNION_MAX * sizeof *relevance);
    mr_rng rng = ask->rng;
    mr_blend_features(ask->blend, columns, candidates, view->items->order_count, x);
    mr_blend_relevance(ask->blend, lesson->segment, x, candidates->count, relevance);
    result->hits[columns->count] = blend_hit(relevance, candidates->count, at);
    teach(columns, view, ask, candidates, at, arena);
    if (result->learned)
        mr_blend_gradient(ask->blend, lesson->segment, x, relevance, candidates->count, at,
                          ask->weight, &rng, lesson->gradient);
}

// founds[c * stride] has the lists of the batched models already.
static void probe_target(const mr_columns *columns, const mr_view *view, const mr_probe_ask *ask,
                         mr_found *founds, uint32_t stride, mr_arena *arena)
{
    const size_t mark = arena->used;
    const uint32_t n = columns->count;
    mr_probe_result *result = ask->result;
    memset(result->hits, 0, sizeof result->hits);
    result->lesson.segment = mr_blend_segment(mr_view_user(view, ask->user));
    mr_columns_find(columns, view, ask->user, &ask->filter, arena, founds, stride);
    if (ask->known) {
        probe_blend(columns, view, ask, founds, stride, arena); // completes founds
        for (uint32_t c = 0; c < n; c++)
            result->hits[c] =
                column_hit(&founds[(size_t)c * stride], ask->target, view->items->order_count);
    } else {
        result->lesson.in_union = false;
        memset(result->lesson.places, MR_PLACE_NONE, sizeof result->lesson.places);
    }
    for (uint32_t c = 0; c <= n; c++)
        result->lesson.ndcg[c] = result->hits[c].ndcg;
    const uint32_t arm = mr_blend_arm(ask->blend, columns, result->lesson.segment);
    result->hits[n] = result->hits[arm]; // what is published
    arena->used = mark;
}

void mr_probe_targets(const mr_columns *columns, const mr_view *view, const mr_probe_ask *asks,
                      uint32_t count, mr_arena *arena)
{
    const size_t mark = arena->used;
    uint32_t users[MR_PROBE_BATCH];
    mr_filter filters[MR_PROBE_BATCH];
    MR_ASSERT(count > 0 && count <= MR_PROBE_BATCH);
    for (uint32_t i = 0; i < count; i++) {
        users[i] = asks[i].user;
        filters[i] = asks[i].filter;
    }
    mr_found *founds = mr_arena_push(arena, (size_t)columns->count * count * sizeof *founds);
    mr_columns_find_batched(columns, view, users, count, filters, arena, founds);
    for (uint32_t i = 0; i < count; i++)
        probe_target(columns, view, &asks[i], founds + i, count, arena);
    arena->used = mark;
}

void mr_probe_add(mr_probe_sums *sums, const mr_probe_result *result, uint32_t column_count)
{
    for (uint32_t c = 0; c <= column_count; c++) {
        mr_prequential *sum = &sums->of[result->protocol][c];
        sum->count += 1;
        sum->recall += (double)result->hits[c].recall;
        sum->ndcg += (double)result->hits[c].ndcg;
        sum->rr += (double)result->hits[c].rr;
    }
}
