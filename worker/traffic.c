// SPDX-License-Identifier: Apache-2.0
// traffic: two alias tables and a counter.
// Source: Walker, "An Efficient Method for Generating Discrete Random Variables with General
// Distributions"; Vose's way of building the table.
#include "worker/traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "worker/nearest.h"

typedef struct alias { // value i is kept with probability keep[i], otherwise other[i] is taken
    uint32_t count;
    float *keep;
    uint32_t *other;
} alias;

struct mr_traffic {
    mr_traffic_options options;
    mr_rng rng;
    uint64_t drawn;
    alias users, items;
};

mr_traffic_options mr_traffic_defaults(void)
{
    return (mr_traffic_options){.seed = 1,
                                .events = 1000000,
                                .users = 10000,
                                .items = 20000,
                                .zipf = 1.0,
                                .carts = 0.03,
                                .purchases = 0.01};
}

// ---- options

enum { EVENTS, USERS, ITEMS, ZIPF, CARTS, PURCHASES, SEED, NUMBERS };

static const struct {
    const char *name;
    double low, high;
} numbers[NUMBERS] = {
    [EVENTS] = {"events", 1, 1e12},
    [USERS] = {"users", 1, MR_TRAFFIC_COUNT_MAX},
    [ITEMS] = {"items", 1, MR_TRAFFIC_COUNT_MAX},
    [ZIPF] = {"zipf", 0, 10},
    [CARTS] = {"carts", 0, 1},
    [PURCHASES] = {"purchases", 0, 1},
    [SEED] = {"seed", 0, 1e15},
};

static mr_status read_number(const char *name, const char *text, double values[NUMBERS],
                             mr_error *err)
{
    mr_nearest search = mr_nearest_begin(name);
    char *end;
    int i = 0;
    for (; i < NUMBERS && strcmp(numbers[i].name, name) != 0; i++)
        mr_nearest_offer(&search, numbers[i].name);
    if (i == NUMBERS)
        return mr_fail(err, MR_FATAL,
                       "'%.40s': want events, users, items, zipf, carts, purchases or seed%s%s",
                       name, search.best != NULL ? "; the nearest is " : "",
                       search.best != NULL ? search.best : "");
    values[i] = strtod(text, &end);
    if (end == text || *end != '\0' ||
        !(values[i] >= numbers[i].low && values[i] <= numbers[i].high))
        return mr_fail(err, MR_FATAL, "%s=%.40s: want a number from %.0f to %.0f", name, text,
                       numbers[i].low, numbers[i].high);
    return MR_OK;
}

mr_status mr_traffic_parse(const char *text, mr_traffic_options *options, mr_error *err)
{
    double values[NUMBERS] = {
        [EVENTS] = (double)options->events, [USERS] = options->users,
        [ITEMS] = options->items,           [ZIPF] = options->zipf,
        [CARTS] = options->carts,           [PURCHASES] = options->purchases,
        [SEED] = (double)options->seed,
    };
    char copy[512], *rest = copy, *pair;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return mr_fail(err, MR_FATAL, "the description of the events is longer than %zu bytes",
                       sizeof copy);
    while ((pair = strsep(&rest, ",")) != NULL) {
        char *equals = strchr(pair, '=');
        if (equals == NULL)
            return mr_fail(err, MR_FATAL, "'%.40s': want NAME=NUMBER", pair);
        *equals = '\0';
        MR_TRY(read_number(pair, equals + 1, values, err));
    }
    if (values[CARTS] + values[PURCHASES] > 1)
        return mr_fail(err, MR_FATAL, "carts=%g and purchases=%g are more than 1 together",
                       values[CARTS], values[PURCHASES]);
    *options = (mr_traffic_options){
        .seed = (uint64_t)values[SEED],
        .events = (uint64_t)values[EVENTS],
        .users = (uint32_t)values[USERS],
        .items = (uint32_t)values[ITEMS],
        .zipf = values[ZIPF],
        .carts = values[CARTS],
        .purchases = values[PURCHASES],
    };
    return MR_OK;
}

// ---- drawing

static bool alias_open(alias *a, uint32_t count, double exponent)
{
    double *share = malloc(count * sizeof *share), sum = 0;
    uint32_t *stack = malloc(count * sizeof *stack);
    *a = (alias){count, malloc(count * sizeof *a->keep), calloc(count, sizeof *a->other)};
    const bool good = share != NULL && stack != NULL && a->keep != NULL && a->other != NULL;
    for (uint32_t i = 0; good && i < count; i++)
        sum += share[i] = pow(i + 1.0, -exponent);
    // Those below the mean grow from the front of the stack, those above from its end.
    uint32_t small = 0, large = count;
    for (uint32_t i = 0; good && i < count; i++) {
        share[i] *= count / sum;
        a->keep[i] = 1.0f;
        stack[share[i] < 1.0 ? small++ : --large] = i;
    }
    while (good && small > 0 && large < count) {
        const uint32_t less = stack[--small], more = stack[large];
        a->keep[less] = (float)share[less];
        a->other[less] = more;
        share[more] -= 1.0 - share[less];
        if (share[more] < 1.0) {
            large++;
            stack[small++] = more;
        }
    }
    free(share);
    free(stack);
    return good;
}

// Draws of one event: whatever was drawn for others before it.
static void begin_event(mr_traffic *t)
{
    t->rng = mr_rng_make(t->options.seed, 0, 0, t->drawn++, MR_PURPOSE_SIM);
}

static uint32_t alias_draw(const alias *a, mr_rng *rng)
{
    const uint32_t i = mr_rng_below(rng, a->count);
    return mr_rng_float(rng) < a->keep[i] ? i : a->other[i];
}

mr_status mr_traffic_open(const mr_traffic_options *options, mr_traffic **out, mr_error *err)
{
    mr_traffic *t = calloc(1, sizeof *t);
    *out = t;
    if (t != NULL) {
        t->options = *options;
        if (alias_open(&t->users, options->users, options->zipf) &&
            alias_open(&t->items, options->items, options->zipf))
            return MR_OK;
    }
    mr_traffic_close(t);
    *out = NULL;
    return mr_fail(err, MR_FATAL, "out of memory for %u users and %u items", options->users,
                   options->items);
}

void mr_traffic_close(mr_traffic *t)
{
    if (t == NULL)
        return;
    free(t->users.keep);
    free(t->users.other);
    free(t->items.keep);
    free(t->items.other);
    free(t);
}

void mr_traffic_draw(mr_traffic *t, uint32_t *user, uint32_t *item)
{
    begin_event(t);
    *user = alias_draw(&t->users, &t->rng);
    *item = alias_draw(&t->items, &t->rng);
}

void mr_traffic_next(mr_traffic *t, int64_t time_ms, char texts[MR_TRAFFIC_TEXT_BYTES],
                     mr_event *event)
{
    uint32_t user, item;
    mr_traffic_draw(t, &user, &item);
    const double kind = mr_rng_double(&t->rng), purchases = t->options.purchases;
    char *const item_text = texts + 12, *const id_text = texts + 24;
    const int user_size = snprintf(texts, 12, "u%u", user);
    const int item_size = snprintf(item_text, 12, "i%u", item);
    const int id_size = snprintf(id_text, MR_TRAFFIC_TEXT_BYTES - 24, "e%llx-%llx",
                                 (unsigned long long)t->options.seed, (unsigned long long)t->drawn);
    event->kind = kind < purchases                      ? MR_EVENT_PURCHASE
                  : kind < purchases + t->options.carts ? MR_EVENT_CART
                                                        : MR_EVENT_CLICK;
    event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_event_id;
    event->user = mr_bytes_of(texts, (uint32_t)user_size);
    event->event_id = mr_bytes_of(id_text, (uint32_t)id_size);
    event->time_ms = time_ms;
    event->context_count = event->category_count = event->line_count = event->vector_count = 0;
    if (event->kind == MR_EVENT_PURCHASE) {
        event->present |= 1u << MR_FIELD_lines;
        event->lines[0] = (mr_line){
            .item = mr_bytes_of(item_text, (uint32_t)item_size), .quantity = 1, .propensity = NAN};
        event->line_count = 1;
        return;
    }
    event->present |= 1u << MR_FIELD_item;
    event->item = mr_bytes_of(item_text, (uint32_t)item_size);
}
