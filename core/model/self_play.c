// SPDX-License-Identifier: Apache-2.0
#include "core/model/self_play.h"

#include <stddef.h>
#include <string.h>

static const float looked_at = 0.2f; // how likely at least

uint32_t mr_shown_used(const mr_shown *shown)
{
    return shown->count == 0
               ? 0
               : (uint32_t)(offsetof(mr_shown, items) + shown->count * sizeof(mr_shown_item));
}

static uint32_t place_of(const mr_shown *shown, uint64_t item)
{
    uint32_t at = 0;
    while (at < shown->count && shown->items[at].item != item)
        at++;
    return at;
}

void mr_shown_put(mr_shown *shown, const mr_signal *signal, float score)
{
    if (signal->examined > 0 && signal->examined < looked_at)
        return;
    uint32_t at = place_of(shown, signal->item_key);
    if (at == shown->count) {
        shown->count += at < MR_SHOWN_MAX;
        at -= at == MR_SHOWN_MAX;
    }
    memmove(&shown->items[1], &shown->items[0], at * sizeof shown->items[0]);
    shown->items[0] = (mr_shown_item){.item = signal->item_key, .score = score};
}

float mr_shown_take(mr_shown *shown, uint64_t item, float otherwise)
{
    const uint32_t at = place_of(shown, item);
    if (at == shown->count)
        return otherwise;
    const float score = shown->items[at].score;
    shown->count--;
    memmove(&shown->items[at], &shown->items[at + 1], (shown->count - at) * sizeof shown->items[0]);
    memset(&shown->items[shown->count], 0, sizeof shown->items[0]);
    return score;
}

static bool acted_on(const mr_user *user, uint64_t item)
{
    for (uint32_t p = 0; p < user->recent_count; p++)
        if (user->recent[p].item_key == item)
            return true;
    return false;
}

const mr_shown_item *mr_shown_draw(const mr_shown *shown, const mr_user *user, mr_rng *rng)
{
    float weights[MR_SHOWN_MAX], top = -1e30f, sum = 0;
    uint32_t left[MR_SHOWN_MAX], count = 0;
    for (uint32_t i = 0; i < shown->count; i++) {
        if (acted_on(user, shown->items[i].item))
            continue;
        left[count++] = i;
        top = shown->items[i].score > top ? shown->items[i].score : top;
    }
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i] = mr_expf(shown->items[left[i]].score - top);
    float rest = mr_rng_float(rng) * sum;
    for (uint32_t i = 0; i < count; i++) {
        rest -= weights[i];
        if (rest < 0 || i + 1 == count)
            return &shown->items[left[i]];
    }
    return NULL;
}

double mr_self_play_gradient(double beta, double gap, double *curvature)
{
    const double wrong = mr_sigmoid(-beta * gap);
    *curvature = beta * beta * wrong * (1.0 - wrong);
    return beta * wrong;
}
