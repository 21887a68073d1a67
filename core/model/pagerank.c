// SPDX-License-Identifier: Apache-2.0
// pagerank: where walks along co-visited items end that begin at the user's newest ones. Off unless
// `pushes` is set.
//
// The score of an item is its personalised PageRank (core/base/push.h) in the graph of covisit's
// neighbours, their shares in proportion to covisit's similarity. Walks begin at the user's p-th
// newest item in proportion to recency^(p-1) and take at least one step, so that an item of his own
// counts only as far as others lead to it. Then the `pushes` nodes where most waits are followed
// once each. It keeps no rows: the graph is covisit's, as of the round's start.
// Departures: walks are followed by their probabilities instead of being drawn (no noise at the
// same number of look-ups), and the graph is of items alone, because users live on other workers.
// Source: Andersen, Chung and Lang, Local Graph Partitioning using PageRank Vectors; personalised
// PageRank for recommendation: Eksombatchai et al., Pixie.
#include "core/base/push.h"
#include "core/deltas.h"
#include "core/list/found.h"

enum { PUSHES_MAX = 32 };

_Static_assert((PUSHES_MAX + MR_RECENT_MAX) * MR_PUSH_DEGREE <= MR_PUSH_NODES,
               "every node that is reached has a place");

typedef struct config {
    double pushes, restart, history, recency;
} config;

static const mr_param params[] = {
    {"pushes", "", "nodes that walks are followed from beyond the user's own items; 0: off",
     offsetof(config, pushes), 0, 0, PUSHES_MAX},
    {"restart", "", "probability that a walk ends at each step", offsetof(config, restart), 0.25,
     0.01, 0.99},
    {"history", "", "newest events of the user that walks begin at", offsetof(config, history), 10,
     1, MR_RECENT_MAX},
    {"recency", "", "weight of each older event of the user", offsetof(config, recency), 0.85, 0.01,
     1},
    {0},
};

static bool on(const void *c)
{
    return ((const config *)c)->pushes >= 1;
}

static void follow(const mr_instance *self, const mr_view *view, uint32_t index, mr_push *push)
{
    const config *c = self->config;
    uint32_t slots[MR_PUSH_DEGREE];
    float shares[MR_PUSH_DEGREE];
    const uint32_t count =
        mr_view_neighbours(view, "covisit", push->nodes[index], slots, shares, MR_PUSH_DEGREE);
    mr_push_along(push, index, (float)c->restart, slots, shares, count);
}

// The first step of every walk.
static void begin(const mr_instance *self, const mr_view *view, uint32_t user_slot, mr_push *push)
{
    const config *c = self->config;
    const mr_user *user = mr_view_user(view, user_slot);
    uint32_t slots[MR_PUSH_DEGREE];
    float shares[MR_PUSH_DEGREE], weight = 1.0f;
    for (uint32_t p = 0; p < user->recent_count && p < (uint32_t)c->history; p++) {
        const uint32_t slot = mr_items_find(view->items, user->recent[p].item_key);
        const uint32_t count =
            slot == MR_MAP_NONE
                ? 0
                : mr_view_neighbours(view, "covisit", slot, slots, shares, MR_PUSH_DEGREE);
        for (uint32_t i = 0; i < count; i++)
            mr_push_seed(push, slots[i], weight * shares[i]);
        weight *= (float)c->recency;
    }
}

// The ranks of one user's items: made once for a user, kept in the arena for the calls that follow.
static const mr_push *ranks_of(const mr_instance *self, const mr_view *view, uint32_t user,
                               mr_arena *arena)
{
    const config *c = self->config;
    mr_memo *memo = &view->memos[self - view->instances];
    if (memo->user == user)
        return memo->data;
    mr_push *push = mr_arena_push(arena, sizeof *push);
    const size_t mark = arena->used;
    mr_push_clear(push);
    begin(self, view, user, push);
    mr_found *next = mr_arena_push(arena, sizeof *next);
    next->max = (uint32_t)c->pushes;
    mr_found_choose(next, view->items, push->nodes, push->rest, push->count, arena);
    for (uint32_t i = 0; i < next->count; i++)
        follow(self, view, mr_push_index(push, next->slots[i]), push);
    arena->used = mark;
    *memo = (mr_memo){user, push};
    return push;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)column;
    const config *c = self->config;
    for (uint32_t u = 0; u < user_count; u++) {
        const mr_push *push = ranks_of(self, view, users[u], arena);
        const size_t mark = arena->used;
        uint32_t *slots = mr_arena_push(arena, push->count * sizeof *slots), count = 0;
        float *scores = mr_arena_push(arena, push->count * sizeof *scores);
        for (uint32_t i = 0; i < push->count; i++) {
            slots[count] = push->nodes[i];
            scores[count] = push->rank[i] + (float)c->restart * push->rest[i];
            count += mr_filter_admits(&filters[u], push->nodes[i]);
        }
        mr_found_choose(&found[u], view->items, slots, scores, count, arena);
        arena->used = mark;
    }
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)stride;
    const config *c = self->config;
    const mr_push *push = ranks_of(self, view, user, arena);
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] = mr_push_rank(push, (float)c->restart, slots[i]);
}

static const mr_column columns[] = {{"pagerank", MR_SCALE_COUNT}};
static const char *const needs[] = {"covisit", NULL};

const mr_model mr_model_pagerank = {
    .state = {.name = "pagerank",
              .source = "Andersen, Chung and Lang, Local Graph Partitioning",
              .params = params,
              .config_bytes = sizeof(config),
              .needs = needs},
    .on = on,
    .columns = columns,
    .candidates = candidates,
    .score = score,
};
