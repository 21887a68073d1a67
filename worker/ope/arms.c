// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/arms.h"

#include <stdlib.h>

#include "core/base/hash.h"

mr_status mr_arms_open(mr_arms *arms, mr_error *err)
{
    mr_arena arena;
    const size_t bytes = mr_map_bytes(MR_ARMS_MAX);
    *arms = (mr_arms){0};
    arms->index_memory = aligned_alloc(MR_ARENA_ALIGN, mr_arena_round(bytes));
    if (arms->index_memory == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_arena_init(&arena, arms->index_memory, mr_arena_round(bytes));
    mr_map_init(&arms->index, MR_ARMS_MAX, &arena);
    mr_map_clear(&arms->index);
    return MR_OK;
}

void mr_arms_close(mr_arms *arms)
{
    free(arms->index_memory);
    free(arms->arms);
    *arms = (mr_arms){0};
}

static mr_status position_at(mr_arms *arms, int64_t label, uint32_t *position, mr_error *err)
{
    for (*position = 0; *position < arms->position_count; (*position)++) {
        if (arms->positions[*position].label == label)
            return MR_OK;
    }
    if (arms->position_count == MR_ARM_POSITIONS_MAX)
        return mr_fail(err, MR_FATAL, "position %lld: more than %d positions", (long long)label,
                       MR_ARM_POSITIONS_MAX);
    arms->positions[arms->position_count++] =
        (mr_arm_position){.label = label, .first = MR_MAP_NONE};
    return MR_OK;
}

static uint64_t arm_key(uint64_t item_key, int64_t position)
{
    const uint64_t pair[2] = {item_key, (uint64_t)position};
    return mr_hash64(pair, sizeof pair, 0);
}

const mr_arm *mr_arms_find(const mr_arms *arms, uint64_t item_key, int64_t position)
{
    const uint32_t arm = mr_map_get(&arms->index, arm_key(item_key, position));
    return arm != MR_MAP_NONE ? &arms->arms[arm] : NULL;
}

mr_status mr_arms_at(mr_arms *arms, uint64_t item_key, int64_t position, uint32_t *arm,
                     mr_error *err)
{
    const uint64_t key = arm_key(item_key, position);
    *arm = mr_map_get(&arms->index, key);
    if (*arm != MR_MAP_NONE)
        return MR_OK;
    uint32_t at;
    MR_TRY(position_at(arms, position, &at, err));
    if (arms->count == MR_ARMS_MAX)
        return mr_fail(err, MR_FATAL, "more than %d items at their positions", MR_ARMS_MAX);
    if (arms->count == arms->room) {
        const uint32_t room = arms->room == 0 ? 256 : 2 * arms->room;
        mr_arm *more = realloc(arms->arms, room * sizeof *more);
        if (more == NULL)
            return mr_fail(err, MR_FATAL, "out of memory for %u items at their positions", room);
        arms->arms = more;
        arms->room = room;
    }
    mr_arm_position *place = &arms->positions[at];
    *arm = arms->count++;
    arms->arms[*arm] = (mr_arm){.item_key = item_key, .position = at, .next = place->first};
    place->first = *arm;
    place->count++;
    mr_map_put(&arms->index, key, *arm);
    return MR_OK;
}

void mr_arms_show(mr_arms *arms, uint32_t index, double reward, double propensity)
{
    mr_arm *arm = &arms->arms[index];
    mr_said *said = &arm->said;
    const double inverse = 1.0 / propensity;
    arm->rounds += 1.0;
    arm->reward += reward;
    said->last = ++arms->positions[arm->position].rounds;
    said->last_inverse = inverse;
    if (said->shown == 0.0) {
        said->first = said->last;
        said->first_inverse = inverse;
    }
    said->shown += 1.0;
    said->inverse += inverse;
    said->inverse_square += inverse * inverse;
}

void mr_arms_uniform(mr_arms *arms)
{
    uint32_t logged[MR_ARM_POSITIONS_MAX] = {0};
    for (uint32_t i = 0; i < arms->count; i++)
        logged[arms->arms[i].position] += arms->arms[i].rounds > 0.0;
    for (uint32_t i = 0; i < arms->count; i++) {
        mr_arm *arm = &arms->arms[i];
        arm->chance = arm->rounds > 0.0 ? 1.0 / logged[arm->position] : 0.0;
    }
}

void mr_arms_frequencies(mr_arms *arms)
{
    for (uint32_t i = 0; i < arms->count; i++) {
        mr_arm *arm = &arms->arms[i];
        const double all = arms->positions[arm->position].shown;
        arm->chance = all > 0.0 ? arm->shown / all : 0.0;
    }
}

void mr_arms_most_frequent(mr_arms *arms)
{
    uint32_t best[MR_ARM_POSITIONS_MAX];
    for (uint32_t p = 0; p < arms->position_count; p++)
        best[p] = MR_MAP_NONE;
    for (uint32_t i = 0; i < arms->count; i++) {
        const mr_arm *arm = &arms->arms[i];
        const uint32_t b = best[arm->position];
        if (b == MR_MAP_NONE || arm->shown > arms->arms[b].shown ||
            (arm->shown == arms->arms[b].shown && arm->item_key < arms->arms[b].item_key))
            best[arm->position] = i;
    }
    for (uint32_t i = 0; i < arms->count; i++)
        arms->arms[i].chance =
            best[arms->arms[i].position] == i && arms->arms[i].shown > 0.0 ? 1.0 : 0.0;
}

double mr_arm_value(const mr_arm *arm)
{
    return (arm->reward + 1.0) / (arm->rounds + 100.0);
}

void mr_arms_settle(mr_arms *arms)
{
    for (uint32_t p = 0; p < arms->position_count; p++)
        arms->positions[p].q_policy = arms->positions[p].unsupported = 0.0;
    for (uint32_t i = 0; i < arms->count; i++) {
        const mr_arm *arm = &arms->arms[i];
        arms->positions[arm->position].q_policy += arm->chance * mr_arm_value(arm);
        if (arm->rounds == 0.0)
            arms->positions[arm->position].unsupported += arm->chance;
    }
}

void mr_arms_learn(mr_arms *arms, uint32_t index, double reward)
{
    mr_arm *arm = &arms->arms[index];
    const double before = mr_arm_value(arm);
    arm->rounds += 1.0;
    arm->reward += reward;
    arms->positions[arm->position].q_policy += arm->chance * (mr_arm_value(arm) - before);
}

void mr_arms_forget(mr_arms *arms)
{
    for (uint32_t p = 0; p < arms->position_count; p++)
        arms->positions[p].q_policy = 0.0;
    for (uint32_t i = 0; i < arms->count; i++) {
        mr_arm *arm = &arms->arms[i];
        arm->rounds = arm->reward = 0.0;
        arms->positions[arm->position].q_policy += arm->chance * mr_arm_value(arm);
    }
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

mr_status mr_arms_items(const mr_arms *arms, uint32_t *items, mr_error *err)
{
    uint64_t *keys = malloc((arms->count + 1) * sizeof *keys);
    if (keys == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t i = 0; i < arms->count; i++)
        keys[i] = arms->arms[i].item_key;
    qsort(keys, arms->count, sizeof *keys, by_key);
    *items = 0;
    for (uint32_t i = 0; i < arms->count; i++)
        *items += i == 0 || keys[i] != keys[i - 1];
    free(keys);
    return MR_OK;
}
