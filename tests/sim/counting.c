// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/counting.h"

#include "core/base/hash.h"
#include "core/deltas.h"
#include "core/list/found.h"

enum { FAMILY_ITEM, FAMILY_USER };

static uint32_t row_bytes(const void *c)
{
    (void)c;
    return sizeof(mr_counted);
}

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    mr_counted *sum = into;
    const mr_counted *more = from;
    sum->count += more->count;
    sum->sum += more->sum;
}

static const mr_family families[] = {
    [FAMILY_ITEM] = {.name = "item",
                     .key = MR_KEY_ITEM,
                     .delta = MR_DELTA_SUM,
                     .version = 1,
                     .row_bytes = row_bytes,
                     .delta_bytes = row_bytes,
                     .combine = combine},
    [FAMILY_USER] = {.name = "user", .key = MR_KEY_USER, .version = 1, .row_bytes = row_bytes},
};

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_counted one = {1, signals[s].event_hash};
        if (signals[s].kind != MR_SIGNAL_ACT)
            continue;
        combine(NULL, mr_user_part(self, mr_view_user(view, signals[s].user)), &one);
        combine(NULL, mr_deltas_at(deltas, self->family_first + FAMILY_ITEM, signals[s].item),
                &one);
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    (void)view, (void)family, (void)key;
    combine(self->config, row, delta);
}

static float count_of(const mr_instance *self, const mr_view *view, uint32_t slot)
{
    const mr_counted *row = mr_items_row(view->items, self->family_first + FAMILY_ITEM, slot);
    return (float)row->count;
}

static void candidates(const mr_instance *self, const mr_view *view, const uint32_t *users,
                       uint32_t user_count, uint32_t column, const struct mr_filter *filters,
                       mr_arena *arena, mr_found *found)
{
    (void)users, (void)column;
    const size_t mark = arena->used;
    const mr_items *items = view->items;
    uint32_t *slots = mr_arena_push(arena, items->order_count * sizeof *slots);
    float *scores = mr_arena_push(arena, items->order_count * sizeof *scores);
    for (uint32_t u = 0; u < user_count; u++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < items->order_count; i++)
            if (mr_filter_admits(&filters[u], items->order[i])) {
                slots[count] = items->order[i];
                scores[count++] = count_of(self, view, items->order[i]);
            }
        mr_found_choose(&found[u], items, slots, scores, count, arena);
    }
    arena->used = mark;
}

static void score(const mr_instance *self, const mr_view *view, uint32_t user,
                  const uint32_t *slots, uint32_t slot_count, float *out, uint32_t stride,
                  mr_arena *arena)
{
    (void)user, (void)stride, (void)arena;
    for (uint32_t i = 0; i < slot_count; i++)
        out[i] = count_of(self, view, slots[i]);
}

static uint32_t column_count(const void *c)
{
    (void)c;
    return 1;
}

static const mr_column columns[] = {{"counting", MR_SCALE_COUNT}};

const mr_model mr_counting = {
    .state = {.name = "counting",
              .source = "counting",
              .families = families,
              .family_count = 2,
              .observe = observe,
              .apply = apply},
    .columns = columns,
    .column_count = column_count,
    .candidates = candidates,
    .score = score,
};

uint64_t mr_counting_hash(mr_bytes event_id)
{
    return mr_hash64(event_id.data, event_id.size, 0) | 1u;
}

static uint16_t code_of(const char *family)
{
    return (uint16_t)(mr_hash64(family, strlen(family), 0) | 1u);
}

// A user's row is a directory of parts (core/users.h).
static bool read_user(mr_bytes payload, mr_counted *counted)
{
    const uint16_t want = code_of("counting.user");
    uint32_t at = 4;
    *counted = (mr_counted){0};
    while (at + 8 <= payload.size) {
        uint16_t code;
        uint32_t size;
        memcpy(&code, payload.data + at, 2);
        memcpy(&size, payload.data + at + 4, 4);
        if (size > payload.size - at - 8)
            return false;
        if (code == want && size == sizeof *counted)
            memcpy(counted, payload.data + at + 8, sizeof *counted);
        at += 8 + size;
    }
    return true;
}

bool mr_counting_read(mr_bytes key, mr_bytes payload, mr_counted *counted)
{
    const uint16_t want = code_of("counting.item");
    if (key.size > 0 && key.data[0] == MR_ROW_USER)
        return read_user(payload, counted);
    if (key.size != 11 || key.data[0] != MR_ROW_ITEM || (key.data[1] << 8 | key.data[2]) != want ||
        payload.size != 8 + sizeof *counted)
        return false;
    memcpy(counted, payload.data + 8, sizeof *counted);
    return true;
}
