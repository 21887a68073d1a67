// SPDX-License-Identifier: Apache-2.0
#include "worker/traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/nearest.h"

enum { PURPOSE_EVENT = MR_PURPOSE_SIM, PURPOSE_TIME = MR_PURPOSE_SIM + 40 };

struct mr_traffic {
    mr_traffic_options options;
    mr_rng rng;
    uint64_t drawn, timed;
    double at_ms;
    mr_taste taste;
    void *memory;
};

mr_traffic_options mr_traffic_defaults(void)
{
    return (mr_traffic_options){.taste = mr_taste_defaults(),
                                .events = 1000000,
                                .carts = 0.03,
                                .purchases = 0.01,
                                .pace = 10000};
}

// ---- options

enum {
    EVENTS,
    USERS,
    ITEMS,
    ZIPF,
    CARTS,
    PURCHASES,
    SEED,
    PACE,
    NIGHT,
    ATTRIBUTES,
    COMMUNITIES,
    EPSILON,
    ZETA,
    XI,
    NUMBERS, // then the laws:
    ENGAGEMENT = NUMBERS,
    POPULARITY,
    KEYS
};

static const struct {
    const char *name;
    double low, high;
} keys[KEYS] = {
    [EVENTS] = {"events", 1, 1e12},
    [USERS] = {"users", 1, MR_TRAFFIC_COUNT_MAX},
    [ITEMS] = {"items", 1, MR_TRAFFIC_COUNT_MAX},
    [ZIPF] = {"zipf", 0, 10},
    [CARTS] = {"carts", 0, 1},
    [PURCHASES] = {"purchases", 0, 1},
    [SEED] = {"seed", 0, 1e15},
    [PACE] = {"pace", 0.001, 1e6},
    [NIGHT] = {"night", 0, 1},
    [ATTRIBUTES] = {"attributes", 1, MR_TASTE_ATTRIBUTES_MAX},
    [COMMUNITIES] = {"communities", 1, MR_TASTE_ATTRIBUTES_MAX},
    [EPSILON] = {"epsilon", 0.001, 1000},
    [ZETA] = {"zeta", 0, 10},
    [XI] = {"xi", 0, 10},
    [ENGAGEMENT] = {"engagement", 0, 0},
    [POPULARITY] = {"popularity", 0, 0},
};

static mr_status find_key(const char *name, int *key, mr_error *err)
{
    mr_nearest search = mr_nearest_begin(name);
    for (*key = 0; *key < KEYS && strcmp(keys[*key].name, name) != 0; ++*key)
        mr_nearest_offer(&search, keys[*key].name);
    if (*key < KEYS)
        return MR_OK;
    return mr_fail(err, MR_FATAL,
                   "'%.40s': want events, users, items, zipf, carts, purchases, seed, pace, night, "
                   "attributes, communities, epsilon, engagement, popularity, zeta or xi%s%s",
                   name, search.best != NULL ? "; the nearest is " : "",
                   search.best != NULL ? search.best : "");
}

static mr_status read_number(int key, const char *text, double *value, mr_error *err)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !(*value >= keys[key].low && *value <= keys[key].high))
        return mr_fail(err, MR_FATAL, "%s=%.40s: want a number from %g to %.0f", keys[key].name,
                       text, keys[key].low, keys[key].high);
    return MR_OK;
}

static mr_status set_law(mr_law *law, const char *name, const char *text, mr_error *err)
{
    return mr_law_parse(text, law, err) == MR_OK ? MR_OK : mr_wrap(err, "%s", name);
}

static void set_number(mr_traffic_options *o, int key, double value)
{
    const mr_law zipf = {MR_LAW_ZIPF, value, 0};
    switch (key) {
    case EVENTS:
        o->events = (uint64_t)value;
        break;
    case USERS:
        o->taste.users = (uint32_t)value;
        break;
    case ITEMS:
        o->taste.items = (uint32_t)value;
        break;
    case ZIPF:
        o->taste.engagement = o->taste.popularity = zipf;
        break;
    case CARTS:
        o->carts = value;
        break;
    case PURCHASES:
        o->purchases = value;
        break;
    case SEED:
        o->taste.seed = (uint64_t)value;
        break;
    case PACE:
        o->pace = value;
        break;
    case NIGHT:
        o->night = value;
        break;
    case ATTRIBUTES:
        o->taste.attributes = (uint32_t)value;
        break;
    case COMMUNITIES:
        o->taste.communities = (uint32_t)value;
        break;
    case EPSILON:
        o->taste.epsilon = value;
        break;
    case ZETA:
        o->taste.zeta = value;
        break;
    default:
        o->taste.xi = value;
        break;
    }
}

static mr_status read_pair(char *pair, mr_traffic_options *o, mr_error *err)
{
    char *equals = strchr(pair, '=');
    double value;
    int key;
    if (equals == NULL)
        return mr_fail(err, MR_FATAL, "'%.40s': want NAME=NUMBER", pair);
    *equals = '\0';
    MR_TRY(find_key(pair, &key, err));
    if (key == ENGAGEMENT)
        return set_law(&o->taste.engagement, pair, equals + 1, err);
    if (key == POPULARITY)
        return set_law(&o->taste.popularity, pair, equals + 1, err);
    MR_TRY(read_number(key, equals + 1, &value, err));
    set_number(o, key, value);
    return MR_OK;
}

static mr_status check(const mr_traffic_options *o, mr_error *err)
{
    const mr_taste_config *t = &o->taste;
    if (o->carts + o->purchases > 1)
        return mr_fail(err, MR_FATAL, "carts=%g and purchases=%g are more than 1 together",
                       o->carts, o->purchases);
    if (t->communities > t->attributes)
        return mr_fail(err, MR_FATAL,
                       "communities=%u and attributes=%u: each community needs an attribute",
                       t->communities, t->attributes);
    if ((uint64_t)t->users * t->attributes > MR_TRAFFIC_CELLS_MAX ||
        (uint64_t)t->items * t->attributes > MR_TRAFFIC_CELLS_MAX)
        return mr_fail(err, MR_FATAL,
                       "users=%u and items=%u with attributes=%u: want a product of at most %llu",
                       t->users, t->items, t->attributes, MR_TRAFFIC_CELLS_MAX);
    return MR_OK;
}

mr_status mr_traffic_parse(const char *text, mr_traffic_options *options, mr_error *err)
{
    mr_traffic_options read = *options;
    char copy[512], *rest = copy, *pair;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return mr_fail(err, MR_FATAL, "the description of the events is longer than %zu bytes",
                       sizeof copy);
    while ((pair = strsep(&rest, ",")) != NULL)
        MR_TRY(read_pair(pair, &read, err));
    MR_TRY(check(&read, err));
    *options = read;
    return MR_OK;
}

// ---- drawing

mr_status mr_traffic_open(const mr_traffic_options *options, mr_traffic **out, mr_error *err)
{
    mr_traffic *t = calloc(1, sizeof *t);
    *out = t;
    if (t != NULL)
        t->memory = aligned_alloc(MR_ARENA_ALIGN, mr_taste_bytes(&options->taste));
    if (t != NULL && t->memory != NULL) {
        t->options = *options;
        t->at_ms = (double)MR_TRAFFIC_BEGIN_MS;
        mr_taste_init(&t->taste, &options->taste, t->memory);
        return MR_OK;
    }
    mr_traffic_close(t);
    *out = NULL;
    return mr_fail(err, MR_FATAL, "out of memory for %u users and %u items with %u attributes",
                   options->taste.users, options->taste.items, options->taste.attributes);
}

void mr_traffic_close(mr_traffic *t)
{
    if (t == NULL)
        return;
    free(t->memory);
    free(t);
}

// The share of the pace that holds at this time: lowest at 4 h, highest at 16 h.
static double day_share(const mr_traffic_options *o, double at_ms)
{
    const double hours = fmod(at_ms / 3600e3 + 20, 24); // since 4 h
    return 1 - o->night * fabs(hours - 12) / 12;
}

int64_t mr_traffic_clock(mr_traffic *t)
{
    mr_rng rng = mr_rng_make(t->options.taste.seed, 0, 0, t->timed++, (mr_purpose)PURPOSE_TIME);
    do // thinning: candidates come by the full pace
        t->at_ms += mr_draw_exponential(&rng) * 1000 / t->options.pace;
    while (t->options.night > 0 && mr_rng_double(&rng) >= day_share(&t->options, t->at_ms));
    return (int64_t)t->at_ms;
}

// Draws of one event: whatever was drawn for others before it.
static void begin_event(mr_traffic *t)
{
    t->rng = mr_rng_make(t->options.taste.seed, 0, 0, t->drawn++, (mr_purpose)PURPOSE_EVENT);
}

void mr_traffic_draw(mr_traffic *t, uint32_t *user, uint32_t *item)
{
    begin_event(t);
    mr_taste_draw(&t->taste, &t->rng, user, item);
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
    const int id_size =
        snprintf(id_text, MR_TRAFFIC_TEXT_BYTES - 24, "e%llx-%llx",
                 (unsigned long long)t->options.taste.seed, (unsigned long long)t->drawn);
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
