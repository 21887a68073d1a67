// SPDX-License-Identifier: Apache-2.0
#include "core/model/stand_in.h"

static const mr_model *model_of(const mr_instance *instance)
{
    return (const mr_model *)(const void *)instance->state;
}

mr_space mr_space_of(const mr_view *view, const char *name, uint32_t dim)
{
    MR_ASSERT(dim <= MR_SPACE_DIM_MAX);
    return (mr_space){mr_view_instance(view, name), view, dim};
}

static const float *vector_of(const mr_space *space, mr_key_kind whose, uint32_t slot,
                              float scratch[MR_SPACE_DIM_MAX])
{
    uint32_t have;
    const float *v = model_of(space->of)->vector(space->of, space->view, whose, slot, &have);
    if (have >= space->dim)
        return v;
    memset(scratch, 0, space->dim * sizeof *scratch);
    memcpy(scratch, v, have * sizeof *scratch);
    return scratch;
}

const float *mr_space_item(const mr_space *space, uint32_t slot, float scratch[MR_SPACE_DIM_MAX])
{
    return vector_of(space, MR_KEY_ITEM, slot, scratch);
}

const float *mr_space_user(const mr_space *space, uint32_t slot, float scratch[MR_SPACE_DIM_MAX])
{
    return vector_of(space, MR_KEY_USER, slot, scratch);
}

static uint32_t part_bytes(const mr_instance *instance)
{
    const mr_state *state = instance->state;
    uint32_t f = 0;
    while (f < state->family_count && state->families[f].key != MR_KEY_USER)
        f++;
    MR_ASSERT(f < state->family_count);
    return mr_family_row_bytes(&state->families[f], instance->config);
}

mr_stand_ins mr_stand_ins_make(const mr_view *view, const char *name, uint32_t count,
                               mr_arena *arena)
{
    mr_stand_ins all = {.of = mr_view_instance(view, name), .view = *view, .count = count};
    const uint32_t stride = (all.of->user_offset + part_bytes(all.of) + 7u) & ~7u;
    all.view.users = mr_arena_push(arena, (size_t)count * stride);
    all.view.user_stride = stride;
    all.view.memos = mr_arena_push(arena, view->instance_count * sizeof *all.view.memos);
    memset(all.view.users, 0, (size_t)count * stride);
    for (uint32_t i = 0; i < view->instance_count; i++) // what is known of the user of that slot
        all.view.memos[i] = (mr_memo){.user = UINT32_MAX};
    MR_ASSERT(model_of(all.of)->vector(all.of, &all.view, MR_KEY_USER, 0, &all.length) ==
              mr_stand_ins_vector(&all, 0));
    return all;
}

void mr_stand_ins_find(const mr_stand_ins *all, const mr_filter *filters, mr_arena *arena,
                       mr_found *found)
{
    const size_t mark = arena->used;
    uint32_t *users = mr_arena_push(arena, all->count * sizeof *users);
    for (uint32_t i = 0; i < all->count; i++)
        users[i] = i;
    model_of(all->of)->candidates(all->of, &all->view, users, all->count, 0, filters, arena, found);
    arena->used = mark;
}

void mr_stand_ins_score(const mr_stand_ins *all, uint32_t which, const uint32_t *slots,
                        uint32_t slot_count, float *out, mr_arena *arena)
{
    model_of(all->of)->score(all->of, &all->view, which, slots, slot_count, out, slot_count, arena);
}
