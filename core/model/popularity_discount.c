// SPDX-License-Identifier: Apache-2.0
// popularity_discount: the embedding's scores, less for items that many have acted on. Off unless
// `beta` is set.
//
//     s' = u.v_i - beta ln(1 + acts of i)
// It keeps nothing and learns nothing: acts are the engine's count of an item. Candidates are the
// nearest MR_FOUND_MAX of the embedding, in the order of s'.
// Source: the plain correction that "Mitigating Popularity Bias in Recommendation with Unbalanced
// Interactions: A Gradient Perspective" is held against. Removing from v_i its part along the
// summed gradient of all acts, which that paper is about, lost more recall for less (TABLE.md).
#include "core/list/found.h"
#include "core/model/stand_in.h"

typedef struct config {
    double beta;
} config;

static const mr_param params[] = {
    {"beta", "", "what the logarithm of an item's acts takes from the embedding's score; 0: off",
     offsetof(config, beta), 0, 0, 10},
    {0},
};

static bool on(const void *c)
{
    return ((const config *)c)->beta > 0;
}

static const mr_model *model_of(const mr_instance *instance)
{
    return (const mr_model *)(const void *)instance->state;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    const float beta = (float)((const config *)self->config)->beta;
    const mr_instance *embedding = mr_view_instance(view, "embedding");
    model_of(embedding)->score(embedding, view, user, slots, slot_count, out, stride, arena);
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] -= beta * (float)mr_log(1.0 + mr_items_at(view->items, slots[i])->events);
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    const size_t mark = arena->used;
    const mr_instance *embedding = mr_view_instance(view, "embedding");
    mr_found *near = mr_arena_push(arena, user_count * sizeof *near);
    for (uint32_t u = 0; u < user_count; u++)
        near[u].max = MR_FOUND_MAX;
    model_of(embedding)->candidates(embedding, view, users, user_count, column, filters, arena,
                                    near);
    for (uint32_t u = 0; u < user_count; u++) {
        score(self, view, users[u], near[u].slots, near[u].count, near[u].scores, near[u].count,
              arena);
        mr_found_choose(&found[u], view->items, near[u].slots, near[u].scores, near[u].count,
                        arena);
    }
    arena->used = mark;
}

static const mr_column columns[] = {{"popularity_discount", MR_SCALE_REAL}};
static const char *const needs[] = {"embedding", NULL};

const mr_model mr_model_popularity_discount = {
    .state = {.name = "popularity_discount",
              .source = "the plain baseline of: Mitigating Popularity Bias in Recommendation with "
                        "Unbalanced Interactions: A Gradient Perspective",
              .params = params,
              .config_bytes = sizeof(config),
              .needs = needs},
    .on = on,
    .columns = columns,
    .batched = true,
    .candidates = candidates,
    .score = score,
};
