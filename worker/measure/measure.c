// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/measure.h"

#include <errno.h>
#include <string.h>

#include "core/base/hash.h"
#include "worker/measure/similarity.h"
#include "worker/memory.h"

static size_t bytes_for(const mr_measure_options *o)
{
    const size_t users = o->users_max;
    return mr_map_bytes(o->users_max) + mr_arena_round(users * sizeof(uint64_t)) +
           mr_arena_round(users * MR_ACT_DEPTH * sizeof(uint64_t)) + 2 * mr_arena_round(users) +
           mr_acts_bytes(o->field != NULL, o->resamples) + mr_shown_bytes(o->items_max) +
           mr_diversity_bytes(o->users_max, o->items_max) +
           (o->split ? mr_split_bytes(o->users_max, o->items_max, MR_MEASURE_RELEVANT_MAX,
                                      o->resamples) +
                           mr_joint_bytes(o->users_max, o->items_max, MR_MEASURE_RELEVANT_MAX)
                     : 0);
}

mr_status mr_measure_open(mr_measure *measure, const mr_measure_options *options, mr_error *err)
{
    mr_arena arena;
    *measure = (mr_measure){.options = *options, .bytes = bytes_for(options)};
    measure->memory = mr_memory_map(measure->bytes);
    if (measure->memory == NULL)
        return mr_fail(err, MR_FATAL, "%zu bytes of memory to judge lists: %s", measure->bytes,
                       strerror(errno));
    mr_arena_init(&arena, measure->memory, measure->bytes);
    mr_map_init(&measure->users, options->users_max, &arena);
    measure->keys = mr_arena_push(&arena, options->users_max * sizeof *measure->keys);
    measure->lists =
        mr_arena_push(&arena, (size_t)options->users_max * MR_ACT_DEPTH * sizeof *measure->lists);
    measure->listed = mr_arena_push(&arena, options->users_max);
    measure->acted = mr_arena_push(&arena, options->users_max);
    mr_acts_init(&measure->acts, options->field != NULL, options->resamples, options->seed, &arena);
    mr_shown_init(&measure->shown, options->items_max, MR_ACT_DEPTH, &arena);
    mr_diversity_init(&measure->diversity, options->users_max, options->items_max, &arena);
    if (options->split)
        mr_split_init(&measure->split, options->users_max, options->items_max,
                      MR_MEASURE_RELEVANT_MAX, options->resamples, &arena);
    measure->rest = arena;
    return MR_OK;
}

void mr_measure_close(mr_measure *measure)
{
    mr_memory_free(measure->memory, measure->bytes);
    measure->memory = NULL;
}

static uint32_t user_of(mr_measure *measure, uint64_t key)
{
    const uint32_t known = mr_map_get(&measure->users, key);
    if (known != MR_MAP_NONE || measure->user_count == measure->options.users_max)
        return known;
    mr_map_put(&measure->users, key, measure->user_count);
    measure->keys[measure->user_count] = key;
    return measure->user_count++;
}

// ---- lists

static void compare(mr_measure *measure, const uint64_t *before, uint32_t before_count,
                    const uint64_t *now, uint32_t now_count)
{
    if (before_count == 0 || now_count == 0)
        return;
    measure->counts.compared++;
    measure->counts.churn += 1 - mr_rbo(before, before_count, now, now_count, .9).extrapolated;
    measure->counts.jaccard += mr_jaccard(before, before_count, now, now_count);
}

void mr_measure_list(mr_measure *measure, const mr_list *list)
{
    const uint32_t user = user_of(measure, mr_user_key(list->user));
    uint64_t keys[MR_ACT_DEPTH] = {0};
    uint32_t count = 0, numbers[MR_ACT_DEPTH];
    if (user == MR_MAP_NONE) {
        measure->counts.lists_left_out++;
        return;
    }
    for (; count < list->entry_count && count < MR_ACT_DEPTH; count++)
        keys[count] = list->entries[count].item_key;
    uint64_t *in_force = measure->lists + (size_t)user * MR_ACT_DEPTH;
    compare(measure, in_force, measure->listed[user], keys, count);
    memcpy(in_force, keys, sizeof keys);
    measure->listed[user] = (uint8_t)count;
    mr_shown *shown = &measure->shown;
    const uint32_t known = mr_shown_list(shown, keys, count, numbers);
    mr_diversity_list(&measure->diversity, user, numbers, known, shown->head, shown->head_count,
                      shown->item_count);
}

// ---- events

static bool find_field(const mr_event *event, const char *name, mr_bytes *value)
{
    for (uint32_t i = 0; name != NULL && i < event->context_count; i++)
        if (mr_bytes_equal(event->context[i].name, mr_bytes_text(name))) {
            *value = event->context[i].value;
            return true;
        }
    return false;
}

static void split_at(mr_measure *measure, int64_t time_ms)
{
    if (!measure->options.split || measure->after_split || time_ms < measure->options.split_ms)
        return;
    measure->after_split = true;
    mr_split_freeze(&measure->split, measure->lists, measure->listed, measure->user_count,
                    &measure->shown);
}

static uint32_t place_in_force(const mr_measure *measure, uint32_t user, uint64_t item)
{
    const uint64_t *list = measure->lists + (size_t)user * MR_ACT_DEPTH;
    uint32_t place = 0;
    while (place < measure->listed[user] && list[place] != item)
        place++;
    return place < measure->listed[user] ? place : MR_ACT_DEPTH;
}

static void count_purchase(mr_measure *measure, double money, bool listed)
{
    measure->counts.purchases++;
    measure->counts.purchases_listed += listed;
    measure->counts.revenue += money;
    measure->counts.revenue_listed += listed ? money : 0;
}

static void judge(mr_measure *measure, const mr_event *event, mr_bytes id, double money)
{
    const uint64_t key = mr_user_key(event->user), item = mr_item_key(id);
    const uint32_t user = user_of(measure, key);
    if (user == MR_MAP_NONE) {
        measure->counts.acts_left_out++;
        return;
    }
    mr_act act = {
        .user = key,
        .place = place_in_force(measure, user, item),
        .listed = measure->listed[user] > 0,
        .known = measure->acted[user] != 0,
        .head = mr_shown_is_head(&measure->shown, item),
    };
    act.has_field = find_field(event, measure->options.field, &act.value);
    mr_acts_add(&measure->acts, &act);
    if (event->kind == MR_EVENT_PURCHASE)
        count_purchase(measure, money, act.place < MR_ACT_DEPTH);
    if (measure->after_split && event->time_ms >= measure->options.split_ms)
        mr_split_act(&measure->split, user, item);
    bool fresh;
    const uint32_t number =
        mr_shown_act(&measure->shown, key, !act.known, item, event->time_ms, &fresh);
    if (number != MR_MAP_NONE)
        mr_diversity_act(&measure->diversity, user, key, number, fresh);
    measure->acted[user] = 1;
    measure->counts.acts++;
}

static void see_item(mr_measure *measure, const mr_event *event)
{
    const uint32_t number = mr_shown_item(&measure->shown, mr_item_key(event->item));
    if (number != MR_MAP_NONE && mr_event_has(event, MR_FIELD_vector) && event->vector_count > 0)
        mr_diversity_vector(&measure->diversity, number, event->vector, event->vector_count,
                            measure->shown.item_count);
}

static double money_of(const mr_event *event)
{
    const double quantity = mr_event_has(event, MR_FIELD_quantity) ? event->quantity : 1;
    return mr_event_has(event, MR_FIELD_price) ? quantity * event->price : 0;
}

void mr_measure_event(mr_measure *measure, const mr_event *event)
{
    switch (event->kind) {
    case MR_EVENT_CATALOGUE:
        see_item(measure, event);
        break;
    case MR_EVENT_CLICK:
    case MR_EVENT_CART:
    case MR_EVENT_PURCHASE:
    case MR_EVENT_RATING:
        split_at(measure, event->time_ms);
        if ((event->kind != MR_EVENT_PURCHASE || event->line_count == 0) &&
            !mr_event_is_refund(event, 0))
            judge(measure, event, event->item, money_of(event));
        for (uint32_t i = 0; event->kind == MR_EVENT_PURCHASE && i < event->line_count; i++)
            if (!mr_event_is_refund(event, i))
                judge(measure, event, event->lines[i].item,
                      event->lines[i].quantity * event->lines[i].price);
        break;
    case MR_EVENT_IMPRESSION:
    case MR_EVENT_SEARCH:
    case MR_EVENT_CONTROL:
    case MR_EVENT_KIND_COUNT:
        break;
    }
}

mr_measure_sums mr_measure_now(const mr_measure *measure)
{
    const mr_tally all = mr_acts_of(&measure->acts, MR_ACTS_ALL);
    mr_measure_sums sums = {.count = mr_tally_count(&all)};
    for (uint32_t i = 0; i < MR_ACT_MEASURES && sums.count > 0; i++)
        sums.of[i] = sums.count * mr_tally_mean(&all, (MR_ACT_CUTS - 1) * MR_ACT_MEASURES + i);
    return sums;
}

void mr_measure_reset(mr_measure *measure)
{
    measure->counts = (mr_measure_counts){0};
    mr_acts_reset(&measure->acts);
    mr_shown_reset(&measure->shown);
    mr_diversity_reset(&measure->diversity);
}

void mr_measure_conclude(mr_measure *measure, double warmup)
{
    mr_acts_conclude(&measure->acts, warmup);
    measure->shown_result = mr_shown_judge(&measure->shown);
    measure->diversity_result = mr_diversity_judge(&measure->diversity);
    if (!measure->options.split)
        return;
    measure->split_result = mr_split_conclude(&measure->split, measure->keys, measure->user_count,
                                              measure->options.seed, &measure->shown);
    measure->joint = mr_joint_judge(&measure->split, &measure->shown, measure->keys,
                                    measure->user_count, measure->options.seed, &measure->rest);
}
