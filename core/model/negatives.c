// SPDX-License-Identifier: Apache-2.0
#include "core/model/negatives.h"

#include "core/model/loss.h"

enum { RING = 65536, TRIES = 4 };

static void *push(mr_arena *arena, uint32_t count, size_t size)
{
    return mr_arena_push(arena, count * size);
}

void mr_block_open(mr_block *b, uint32_t draws, mr_arena *arena)
{
    const uint32_t room = draws + 1;
    MR_ASSERT(draws <= MR_NEGATIVES_MAX);
    *b = (mr_block){.number = UINT32_MAX,
                    .slots = push(arena, room, sizeof *b->slots),
                    .keys = push(arena, room, sizeof *b->keys),
                    .log_q = push(arena, room, sizeof *b->log_q),
                    .scores = push(arena, room, sizeof *b->scores),
                    .gradients = push(arena, room, sizeof *b->gradients),
                    .curvatures = push(arena, room, sizeof *b->curvatures),
                    .payloads = push(arena, room, sizeof *b->payloads)};
}

// ---- drawing

static uint32_t draw(const mr_sampler *sampler, const mr_view *view, mr_rng *rng)
{
    const mr_items *items = view->items;
    for (int try = 0; try < TRIES; try++) {
        if (mr_rng_float(rng) >= sampler->uniform && view->recent.count > 0) {
            const uint32_t count = view->recent.count < RING ? view->recent.count : RING;
            const uint64_t key = mr_view_recent_key(view, mr_rng_below(rng, count));
            const uint32_t slot = mr_items_find(items, key);
            if (slot != MR_MAP_NONE)
                return slot;
        } else if (items->order_count > 0) {
            return items->order[mr_rng_below(rng, items->order_count)];
        }
    }
    return MR_MAP_NONE;
}

// An item's share among acts as the popularity of recent positives, estimated from its faded count.
static float log_expected(const mr_sampler *sampler, const mr_view *view, uint32_t slot)
{
    const double n = view->items->order_count > 0 ? view->items->order_count : 1;
    const double acts = mr_items_at(view->items, slot)->events;
    const double popular = (acts + 1.0) / ((double)view->acts + n);
    const double uniform = (double)sampler->uniform;
    return (float)mr_log(sampler->draws * ((1.0 - uniform) * popular + uniform / n));
}

void mr_block_fill(mr_block *b, const mr_sampler *sampler, const mr_view *view, uint32_t index)
{
    const uint32_t number = index / MR_BLOCK_ACTS;
    if (number == b->number)
        return;
    mr_rng rng = mr_rng_make(view->seed, view->task, view->epoch, number, MR_PURPOSE_NEGATIVES);
    b->number = number;
    b->count = 1;
    for (uint32_t i = 0; i < sampler->draws; i++) {
        const uint32_t slot = draw(sampler, view, &rng);
        if (slot == MR_MAP_NONE)
            continue;
        b->slots[b->count] = slot;
        b->keys[b->count] = view->items->slots.keys[slot];
        b->payloads[b->count] = NULL;
        b->log_q[b->count++] = sampler->expected ? log_expected(sampler, view, slot) : 0.0f;
    }
}

// ---- scores

enum { HINTS = 8 };

typedef struct hints { // a set of keys: hashes, so that their lowest bits tell nearly all apart
    uint64_t bits[HINTS];
} hints;

static hints hints_of_recent(const mr_user *user)
{
    hints of = {{0}};
    for (uint32_t p = 0; p < user->recent_count; p++) {
        const uint64_t key = user->recent[p].item_key;
        of.bits[key / 64 % HINTS] |= 1ull << key % 64;
    }
    return of;
}

static bool among_recent(const mr_user *user, const hints *of, uint64_t key)
{
    if ((of->bits[key / 64 % HINTS] >> key % 64 & 1) == 0)
        return false;
    for (uint32_t p = 0; p < user->recent_count; p++)
        if (user->recent[p].item_key == key)
            return true;
    return false;
}

void mr_block_meet(mr_block *b, const mr_view *view, const mr_signal *signal)
{
    const mr_user *user = mr_view_user(view, signal->user);
    const hints of = hints_of_recent(user);
    b->slots[0] = signal->item;
    b->payloads[0] = NULL;
    for (uint32_t i = 1; i < b->count; i++)
        if (b->keys[i] == signal->item_key || among_recent(user, &of, b->keys[i]))
            b->scores[i] = MR_LOSS_LEFT_OUT;
}

void mr_block_score(mr_block *b, const mr_view *view, const mr_signal *signal, const float *user,
                    const float *rows, uint32_t n)
{
    b->slots[0] = signal->item;
    view->vec->dot_rows(user, rows, b->slots, b->count, n, b->scores);
    mr_block_meet(b, view, signal);
}
