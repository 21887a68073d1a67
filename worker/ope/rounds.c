// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/rounds.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/hash.h"
#include "core/base/map.h"
#include "worker/input/input.h"

typedef struct open_round {
    mr_bandit_round round;
    uint64_t join_key; // 0: a later round has the same
} open_round;

typedef struct reader {
    const mr_rounds_options *options;
    mr_status (*take)(void *context, const mr_bandit_round *round, mr_error *err);
    void *context;
    mr_rounds_counts *counts;
    open_round *ring; // round n stands at n % MR_ROUNDS_OPEN_MAX
    uint64_t first, end;
    mr_map by_join;
    int64_t now_ms;
} reader;

// Who an item's round and its click have in common.
static uint64_t join_key(const mr_event *event, mr_bytes item)
{
    mr_field by = MR_FIELD_user;
    mr_bytes text = event->user;
    if (mr_event_has(event, MR_FIELD_list)) {
        by = MR_FIELD_list;
        text = event->list;
    } else if (mr_event_has(event, MR_FIELD_session)) {
        by = MR_FIELD_session;
        text = event->session;
    }
    const uint64_t parts[3] = {(uint64_t)by, mr_hash64(text.data, text.size, 0), mr_item_key(item)};
    return mr_hash64(parts, sizeof parts, 0) | 1;
}

static mr_status give_out(reader *r, mr_error *err)
{
    open_round *open = &r->ring[r->first++ % MR_ROUNDS_OPEN_MAX];
    if (open->join_key != 0)
        mr_map_remove(&r->by_join, open->join_key);
    return r->take(r->context, &open->round, err);
}

static void note_bad(reader *r, const char *what)
{
    if (r->counts->bad++ == 0)
        snprintf(r->counts->first_bad, sizeof r->counts->first_bad, "%.150s: event %llu: %.80s",
                 r->options->path, (unsigned long long)r->counts->events, what);
}

// Rounds of one user are no independent witnesses; those of nobody in particular are.
static uint64_t cluster_of(const reader *r, const mr_event *event)
{
    if (mr_event_has(event, MR_FIELD_user))
        return mr_user_key(event->user);
    if (mr_event_has(event, MR_FIELD_session))
        return mr_user_key(event->session);
    return mr_hash64(&r->end, sizeof r->end, 0);
}

static mr_status add_round(reader *r, const mr_event *event, uint32_t entry, int64_t position,
                           mr_error *err)
{
    const mr_line *line = &event->lines[entry];
    if (line->propensity != line->propensity) { // NAN: the log does not say
        r->counts->skipped++;
        return MR_OK;
    }
    if (!(line->propensity > 0.0 && line->propensity <= 1.0)) {
        note_bad(r, "its propensity is not above 0 and at most 1");
        return MR_OK;
    }
    if (r->end - r->first == MR_ROUNDS_OPEN_MAX) {
        r->counts->early++;
        MR_TRY(give_out(r, err));
    }
    const uint64_t key = join_key(event, line->item);
    const uint32_t older = mr_map_get(&r->by_join, key);
    if (older != MR_MAP_NONE) {
        r->ring[older].join_key = 0;
        mr_map_remove(&r->by_join, key);
    }
    const uint32_t at = (uint32_t)(r->end++ % MR_ROUNDS_OPEN_MAX);
    r->ring[at] = (open_round){{.item_key = mr_item_key(line->item),
                                .cluster = cluster_of(r, event),
                                .position = position,
                                .time_ms = event->time_ms,
                                .propensity = line->propensity,
                                .list = r->counts->events,
                                .entry = entry,
                                .entries = event->line_count},
                               key};
    mr_map_put(&r->by_join, key, at);
    r->counts->rounds++;
    return MR_OK;
}

static mr_status add_impression(reader *r, const mr_event *event, mr_error *err)
{
    // A row of its own for each entry of a slate says where it stood; a slate's entries stand in
    // their order.
    const bool alone = event->line_count == 1 && mr_event_has(event, MR_FIELD_position);
    if (!mr_event_has(event, MR_FIELD_lines)) {
        note_bad(r, "an impression without an item");
        return MR_OK;
    }
    for (uint32_t i = 0; i < event->line_count; i++)
        MR_TRY(add_round(r, event, i, alone ? event->position : i, err));
    return MR_OK;
}

static void add_reward(reader *r, const mr_event *event)
{
    const uint32_t at = mr_map_get(&r->by_join, join_key(event, event->item));
    if (at == MR_MAP_NONE) {
        r->counts->unjoined++;
        return;
    }
    r->counts->rewards += r->ring[at].round.reward == 0.0;
    r->ring[at].round.reward = 1.0;
}

static mr_status add_event(reader *r, const mr_event *event, mr_error *err)
{
    r->counts->events++;
    r->now_ms = event->time_ms > r->now_ms ? event->time_ms : r->now_ms;
    while (r->first < r->end &&
           r->ring[r->first % MR_ROUNDS_OPEN_MAX].round.time_ms < r->now_ms - r->options->window_ms)
        MR_TRY(give_out(r, err));
    if (event->kind == MR_EVENT_IMPRESSION)
        return add_impression(r, event, err);
    if (event->kind == r->options->reward)
        add_reward(r, event);
    else
        r->counts->others++;
    return MR_OK;
}

static mr_status read_events(reader *r, mr_input *input, mr_error *err)
{
    for (bool more = true; more;) {
        mr_event event;
        const mr_status status = mr_input_next(input, &event, &more, err);
        if (status == MR_REJECT) {
            if (r->counts->bad++ == 0)
                snprintf(r->counts->first_bad, sizeof r->counts->first_bad, "%.250s", err->text);
            continue;
        }
        MR_TRY(status);
        if (more)
            MR_TRY(add_event(r, &event, err));
    }
    while (r->first < r->end)
        MR_TRY(give_out(r, err));
    return MR_OK;
}

mr_status mr_rounds_read(const mr_rounds_options *options,
                         mr_status (*take)(void *context, const mr_bandit_round *round,
                                           mr_error *err),
                         void *context, mr_rounds_counts *counts, mr_error *err)
{
    mr_input *input;
    mr_arena arena;
    const size_t ring_bytes = mr_arena_round(MR_ROUNDS_OPEN_MAX * sizeof(open_round));
    const size_t bytes = ring_bytes + mr_arena_round(mr_map_bytes(MR_ROUNDS_OPEN_MAX));
    reader r = {.options = options,
                .take = take,
                .context = context,
                .counts = counts,
                .now_ms = INT64_MIN};
    *counts = (mr_rounds_counts){0};
    MR_TRY(mr_input_open_as(options->path, options->mapping, options->format, &input, err));
    void *memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    mr_status status = memory != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK) {
        mr_arena_init(&arena, memory, bytes);
        r.ring = mr_arena_push(&arena, ring_bytes);
        mr_map_init(&r.by_join, MR_ROUNDS_OPEN_MAX, &arena);
        mr_map_clear(&r.by_join);
        status = read_events(&r, input, err);
    }
    free(memory);
    mr_input_close(input);
    return status;
}
