// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_crowd.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/sort.h"
#include "worker/demo_clients.h"
#include "worker/ports.h"

enum {
    TICK_MS = 4,
    RANK_MS = 200,     // between two rankings by clicks
    SECONDS = 5,       // of `recent`
    ORACLE_EVERY = 16, // visits of the group learned of which one is compared with the oracle
    FLUSH_MS = 5000,
    OPENING_MS = 5000, // the most that users wait for the catalogue to be known
    ID_BYTES = 16,
    LATER_MAX = 4096,  // purchases that are still to come; more of them come at once
    LATER_NUMBER = 1000, // of the first late purchase of a visit in its event ids
};

const char *const mr_demo_group_names[MR_DEMO_GROUPS] = {"learned", "popularity", "random"};

static const char *const themes[MR_WORLD_THEMES_MAX] = {
    "jazz",    "chess", "hiking",  "baking",    "cinema",  "gardens",  "cycling", "history",
    "sailing", "opera", "pottery", "astronomy", "fashion", "football", "travel",  "comics",
};

typedef struct published { // the newest list of a user
    int64_t version;
    uint32_t items[MR_DEMO_K];
    float propensities[MR_DEMO_K];
    uint32_t count;
    char id[MR_LIST_ID_BYTES];
} published;

typedef struct person {
    char id[ID_BYTES];
    mr_demo_group group;
    int64_t next_ms;  // his next visit, in time of the run
    int64_t asked_ms; // when he clicked on his last visit; -1: he did not, or the answer has come
    published list;
} person;

typedef struct later { // a purchase that is still to come
    int64_t due_ms;
    uint32_t user, visit, session, number;
    mr_world_act act;
} later;

struct mr_demo_crowd {
    mr_world world;
    mr_demo_clients *clients;
    mr_clock clock;
    void *memory;
    person *people;
    char (*item_ids)[ID_BYTES];
    uint32_t *item_clicks;
    mr_sorted *ranking; // by clicks, of the items that existed RANK_MS ago
    uint32_t ranked;
    later *later; // in no order
    uint32_t later_count;
    uint32_t live, sample;
    double items_known; // to the worker, by its metrics
    uint64_t learned_visits;
    double oracle_sum, oracle_shown;
    int64_t begun_ms, ranked_ms, second_ms, run_ms;
    uint64_t events_before, lists_before;
    mr_demo_tally seconds[SECONDS][MR_DEMO_GROUPS]; // a ring
    uint32_t second;
    mr_histogram latencies[2]; // the newest 5 s, the 5 s before
    pthread_t thread;
    bool started;
    atomic_bool stop, ended;
    mr_status status; // of the thread until it was joined
    mr_error err;
    pthread_mutex_t lock; // over the sight
    mr_demo_sight sight;
};

const char *mr_demo_theme(uint32_t theme)
{
    return themes[theme];
}

uint32_t mr_demo_category(const mr_demo_crowd *crowd, uint32_t item)
{
    return crowd->world.items[item].category;
}

void mr_demo_title(const mr_demo_crowd *crowd, uint32_t item, char title[MR_DEMO_TITLE_BYTES])
{
    snprintf(title, MR_DEMO_TITLE_BYTES, "%s %u", themes[mr_demo_category(crowd, item)], item);
}

static int64_t now_ms(const mr_demo_crowd *crowd)
{
    return crowd->clock.now_ms(crowd->clock.context) - crowd->begun_ms;
}

// ---- events

static mr_event make_event(const mr_demo_crowd *crowd, mr_event_kind kind)
{
    return (mr_event){.kind = kind,
                      .present = 1u << MR_FIELD_time,
                      .time_ms = crowd->clock.wall_ms(crowd->clock.context)};
}

static mr_status send_item(mr_demo_crowd *crowd, uint32_t item, mr_error *err)
{
    char title[MR_DEMO_TITLE_BYTES];
    mr_demo_title(crowd, item, title);
    mr_event event = make_event(crowd, MR_EVENT_CATALOGUE);
    event.present |= 1u << MR_FIELD_item | 1u << MR_FIELD_title | 1u << MR_FIELD_categories |
                     1u << MR_FIELD_price | 1u << MR_FIELD_available;
    event.item = mr_bytes_text(crowd->item_ids[item]);
    event.title = mr_bytes_text(title);
    event.categories[0] = mr_bytes_text(themes[mr_demo_category(crowd, item)]);
    event.category_count = 1;
    event.price = crowd->world.items[item].cents / 100.0;
    event.available = true;
    return mr_demo_clients_send(crowd->clients, &event, err);
}

// What of a visit all its events carry.
typedef struct visiting {
    uint32_t user, number, session_number; // number: of the visit
    const published *list; // that is shown; NULL: not one of the worker's
    char session[2 * ID_BYTES], event_id[3 * ID_BYTES];
    uint32_t events;
} visiting;

static mr_event event_of(const mr_demo_crowd *crowd, visiting *v, mr_event_kind kind)
{
    const char *const id = crowd->people[v->user].id;
    mr_event event = make_event(crowd, kind);
    snprintf(v->session, sizeof v->session, "%s.%u", id, v->session_number);
    snprintf(v->event_id, sizeof v->event_id, "%s.%u.%u", id, v->number, v->events++);
    event.present |= 1u << MR_FIELD_user | 1u << MR_FIELD_session | 1u << MR_FIELD_event_id;
    event.user = mr_bytes_text(id);
    event.session = mr_bytes_text(v->session);
    event.event_id = mr_bytes_text(v->event_id);
    if (v->list != NULL) {
        event.present |= 1u << MR_FIELD_list | 1u << MR_FIELD_list_version;
        event.list = mr_bytes_text(v->list->id);
        event.list_version = v->list->version;
    }
    return event;
}

static mr_status send_find(mr_demo_crowd *crowd, visiting *v, uint32_t item, mr_error *err)
{
    mr_event event = event_of(crowd, v, MR_EVENT_CLICK);
    event.present |= 1u << MR_FIELD_item;
    event.item = mr_bytes_text(crowd->item_ids[item]);
    return mr_demo_clients_send(crowd->clients, &event, err);
}

static mr_status send_impression(mr_demo_crowd *crowd, visiting *v, const uint32_t *slate,
                                 uint32_t count, mr_error *err)
{
    mr_line lines[MR_DEMO_K];
    mr_event event = event_of(crowd, v, MR_EVENT_IMPRESSION);
    for (uint32_t i = 0; i < count; i++)
        lines[i] = (mr_line){.item = mr_bytes_text(crowd->item_ids[slate[i]]),
                             .quantity = 1,
                             .propensity =
                                 v->list != NULL ? (double)v->list->propensities[i] : (double)NAN};
    event.present |= 1u << MR_FIELD_lines;
    event.lines = lines;
    event.line_count = count;
    return mr_demo_clients_send(crowd->clients, &event, err);
}

static mr_status send_act(mr_demo_crowd *crowd, visiting *v, const mr_world_act *act, mr_error *err)
{
    const double price = crowd->world.items[act->item].cents / 100.0;
    const mr_bytes item = mr_bytes_text(crowd->item_ids[act->item]);
    mr_line line = {item, act->quantity, price, (double)NAN};
    mr_event event = event_of(crowd, v, act->kind);
    if (act->kind == MR_EVENT_PURCHASE) {
        event.present |= 1u << MR_FIELD_lines;
        event.lines = &line;
        event.line_count = 1;
    } else {
        event.present |= 1u << MR_FIELD_item;
        event.item = item;
    }
    if (act->kind == MR_EVENT_CART) {
        event.present |= 1u << MR_FIELD_quantity | 1u << MR_FIELD_price;
        event.quantity = act->quantity;
        event.price = price;
    }
    if (v->list != NULL && act->kind != MR_EVENT_PURCHASE) {
        event.present |= 1u << MR_FIELD_position | 1u << MR_FIELD_propensity;
        event.position = act->place;
        event.propensity = (double)v->list->propensities[act->place];
        if (isnan(event.propensity))
            event.present &= ~(1u << MR_FIELD_propensity);
    }
    return mr_demo_clients_send(crowd->clients, &event, err);
}

// ---- late purchases

static bool put_off(mr_demo_crowd *crowd, const visiting *v, const mr_world_act *act)
{
    if (act->delay_ms == 0 || crowd->later_count == LATER_MAX)
        return false;
    crowd->later[crowd->later_count++] =
        (later){now_ms(crowd) + act->delay_ms, v->user,
                v->number,                     v->session_number,
                LATER_NUMBER + act->place,     *act};
    return true;
}

static mr_status send_late(mr_demo_crowd *crowd, int64_t now, mr_error *err)
{
    for (uint32_t i = 0; i < crowd->later_count;) {
        const later l = crowd->later[i];
        if (l.due_ms > now) {
            i++;
            continue;
        }
        visiting v = {.user = l.user,
                      .number = l.visit,
                      .session_number = l.session,
                      .events = l.number};
        crowd->later[i] = crowd->later[--crowd->later_count];
        MR_TRY(send_act(crowd, &v, &l.act, err));
        crowd->sight.purchases++;
    }
    return MR_OK;
}

// ---- lists

// Most clicked first; among equal ones in an order by chance, fixed for the run.
static void rank(mr_demo_crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->live; i++) {
        const uint64_t clicks = crowd->item_clicks[i];
        const uint64_t tie = mr_hash64(&i, sizeof i, crowd->world.config.seed) >> 32;
        crowd->ranking[i] = (mr_sorted){(UINT32_MAX - clicks) << 32 | tie, i, 0};
    }
    mr_sort(crowd->ranking, crowd->live);
    crowd->ranked = crowd->live;
}

static uint32_t popular(const mr_demo_crowd *crowd, uint32_t user, uint32_t *slate)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crowd->ranked && count < MR_DEMO_K; i++) {
        const uint32_t item = crowd->ranking[i].value;
        if (!mr_world_liked(&crowd->world, user, item))
            slate[count++] = item;
    }
    return count;
}

static uint32_t choose(const mr_demo_crowd *crowd, uint32_t user, uint32_t *slate,
                       const published **list)
{
    const person *p = &crowd->people[user];
    *list = NULL;
    if (p->group == MR_DEMO_RANDOM)
        return mr_world_random(&crowd->world, user, crowd->live, slate, MR_DEMO_K);
    if (p->group == MR_DEMO_POPULARITY || p->list.count == 0)
        return popular(crowd, user, slate);
    *list = &p->list;
    memcpy(slate, p->list.items, p->list.count * sizeof *slate);
    return p->list.count;
}

// ---- a visit

static void remember_act(mr_demo_crowd *crowd, uint32_t user, uint32_t item)
{
    mr_demo_sample *sample = &crowd->sight.sample;
    if (user != crowd->sample)
        return;
    memmove(sample->acts + 1, sample->acts, (MR_DEMO_ACTS - 1) * sizeof sample->acts[0]);
    sample->acts[0] = item;
    sample->act_count += sample->act_count < MR_DEMO_ACTS;
}

static void count_visit(mr_demo_crowd *crowd, uint32_t user, uint32_t count, uint64_t clicks)
{
    mr_demo_sight *sight = &crowd->sight;
    const mr_demo_group group = crowd->people[user].group;
    mr_demo_tally *const tallies[] = {&sight->total[group],
                                      &sight->windows[sight->window_count - 1][group],
                                      &crowd->seconds[crowd->second][group]};
    for (uint32_t i = 0; i < 3; i++) {
        tallies[i]->shown += count;
        tallies[i]->clicks += clicks;
    }
}

static mr_status act(mr_demo_crowd *crowd, visiting *v, const uint32_t *slate, uint32_t count,
                     mr_error *err)
{
    mr_world_act acts[MR_WORLD_ACTS_MAX];
    mr_demo_sight *sight = &crowd->sight;
    uint64_t clicks = 0;
    MR_TRY(send_impression(crowd, v, slate, count, err));
    const uint32_t act_count = mr_world_visit(&crowd->world, v->user, slate, count, acts);
    for (uint32_t i = 0; i < act_count; i++) {
        if (put_off(crowd, v, &acts[i]))
            continue;
        MR_TRY(send_act(crowd, v, &acts[i], err));
        sight->carts += acts[i].kind == MR_EVENT_CART;
        sight->purchases += acts[i].kind == MR_EVENT_PURCHASE;
        if (acts[i].kind != MR_EVENT_CLICK)
            continue;
        clicks++;
        crowd->item_clicks[acts[i].item]++;
        remember_act(crowd, v->user, acts[i].item);
    }
    sight->clicks += clicks;
    if (crowd->people[v->user].group != MR_DEMO_LEARNED || v->list != NULL)
        count_visit(crowd, v->user, count, clicks);
    if (clicks > 0)
        crowd->people[v->user].asked_ms = now_ms(crowd);
    return MR_OK;
}

static void ask_oracle(mr_demo_crowd *crowd, uint32_t user)
{
    uint32_t best[MR_DEMO_K];
    if (crowd->learned_visits++ % ORACLE_EVERY != 0)
        return;
    const uint32_t count = mr_world_oracle(&crowd->world, user, crowd->live, best, MR_DEMO_K);
    crowd->oracle_sum += mr_world_expect(&crowd->world, user, best, count, NULL);
    crowd->oracle_shown += count;
}

static mr_status visit(mr_demo_crowd *crowd, uint32_t user, mr_error *err)
{
    const mr_world_user *who = &crowd->world.users[user];
    visiting v = {.user = user, .number = who->visits, .session_number = who->sessions};
    uint32_t slate[MR_WORLD_SLATE_MAX];
    const published *list;
    mr_world_come(&crowd->world, user, now_ms(crowd));
    const uint32_t found = mr_world_browse(&crowd->world, user, crowd->live);
    const uint32_t count = choose(crowd, user, slate, &list);
    crowd->people[user].asked_ms = -1;
    if (list != NULL)
        ask_oracle(crowd, user);
    if (found != MR_WORLD_NONE) {
        MR_TRY(send_find(crowd, &v, found, err));
        crowd->item_clicks[found]++;
        crowd->sight.finds++;
        remember_act(crowd, user, found);
        crowd->people[user].asked_ms = now_ms(crowd);
    }
    v.list = list;
    if (count > 0)
        MR_TRY(act(crowd, &v, slate, count, err));
    crowd->sight.visits++;
    crowd->people[user].next_ms += mr_world_gap_ms(&crowd->world, user);
    return MR_OK;
}

// ---- what comes from the worker

// The number behind the letter of an id of ours; UINT32_MAX: it is none.
static uint32_t number_of(mr_bytes id, uint32_t count)
{
    uint32_t number = 0;
    if (id.size < 2 || id.size >= ID_BYTES)
        return UINT32_MAX;
    for (uint32_t i = 1; i < id.size; i++) {
        if (id.data[i] < '0' || id.data[i] > '9')
            return UINT32_MAX;
        number = number * 10 + (uint32_t)(id.data[i] - '0');
    }
    return number < count ? number : UINT32_MAX;
}

static void take_list(void *context, const mr_demo_list *list)
{
    mr_demo_crowd *crowd = context;
    mr_demo_sight *sight = &crowd->sight;
    const uint32_t user = number_of(list->user, crowd->world.config.users);
    published next = {.version = list->version};
    for (uint32_t i = 0; i < list->count && next.count < MR_DEMO_K; i++) {
        const uint32_t item = number_of(list->entries[i].item, crowd->world.config.items);
        if (item == UINT32_MAX)
            continue;
        next.propensities[next.count] = list->entries[i].propensity;
        next.items[next.count++] = item;
    }
    if (user == UINT32_MAX || next.count == 0 || list->id.size >= sizeof next.id) {
        sight->lists_bad++;
        return;
    }
    memcpy(next.id, list->id.data, list->id.size);
    person *p = &crowd->people[user];
    sight->lists++;
    sight->users_with_list += p->list.count == 0;
    if (next.version <= p->list.version) {
        sight->versions_fell++;
        return;
    }
    p->list = next;
    if (p->asked_ms >= 0) {
        const int64_t ms = now_ms(crowd) - p->asked_ms;
        mr_histogram_add(&sight->latency, ms);
        mr_histogram_add(&crowd->latencies[0], ms);
        p->asked_ms = -1;
    }
    if (user == crowd->sample) {
        sight->sample.list_number++;
        snprintf(sight->sample.arm, sizeof sight->sample.arm, "%.*s", (int)list->arm.size,
                 (const char *)list->arm.data);
    }
}

static void take_metric(void *context, const mr_demo_metric *metric)
{
    mr_demo_crowd *crowd = context;
    mr_demo_sight *sight = &crowd->sight;
    uint32_t i = 0;
    if (mr_bytes_equal(metric->name, mr_bytes_text("items")))
        crowd->items_known = metric->value;
    if (!mr_bytes_equal(metric->name, mr_bytes_text("blend_weight")))
        return;
    while (i < sight->weight_count &&
           !mr_bytes_equal(mr_bytes_text(sight->weights[i].name), metric->model))
        i++;
    if (i == MR_DEMO_WEIGHTS_MAX || metric->model.size >= MR_DEMO_NAME_BYTES)
        return;
    if (i == sight->weight_count) {
        sight->weight_count++;
        memcpy(sight->weights[i].name, metric->model.data, metric->model.size);
        sight->weights[i].name[metric->model.size] = '\0';
    }
    sight->weights[i].weight = metric->value;
}

static void take_bad(void *context, const mr_error *err)
{
    (void)err;
    ((mr_demo_crowd *)context)->sight.lists_bad++;
}

// ---- time

static void add_window(mr_demo_sight *sight)
{
    if (sight->window_count == MR_DEMO_WINDOWS_MAX) { // two of them become one
        for (uint32_t w = 0; w < MR_DEMO_WINDOWS_MAX / 2; w++)
            for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++) {
                const mr_demo_tally a = sight->windows[2 * w][g], b = sight->windows[2 * w + 1][g];
                sight->windows[w][g] = (mr_demo_tally){a.shown + b.shown, a.clicks + b.clicks};
            }
        sight->window_count = MR_DEMO_WINDOWS_MAX / 2;
        sight->window_ms *= 2;
    }
    memset(sight->windows[sight->window_count++], 0, sizeof sight->windows[0]);
}

static void show_sample(mr_demo_crowd *crowd)
{
    mr_demo_sample *sample = &crowd->sight.sample;
    const uint32_t user = crowd->sample;
    const published *list = &crowd->people[user].list;
    uint32_t other[MR_DEMO_K];
    sample->list_count = list->count;
    memcpy(sample->list, list->items, sizeof sample->list);
    sample->truth[MR_DEMO_LEARNED] =
        list->count > 0
            ? mr_world_expect(&crowd->world, user, list->items, list->count, NULL) / list->count
            : 0;
    uint32_t count = popular(crowd, user, other);
    sample->truth[MR_DEMO_POPULARITY] =
        count > 0 ? mr_world_expect(&crowd->world, user, other, count, NULL) / count : 0;
    count = mr_world_random(&crowd->world, user, crowd->live, other, MR_DEMO_K);
    sample->truth[MR_DEMO_RANDOM] =
        count > 0 ? mr_world_expect(&crowd->world, user, other, count, NULL) / count : 0;
}

// Once a second: windows, rates, the sample.
static void turn_second(mr_demo_crowd *crowd, int64_t now)
{
    mr_demo_sight *sight = &crowd->sight;
    const uint64_t events = mr_demo_clients_sent(crowd->clients);
    sight->events_last = events - crowd->events_before;
    sight->lists_last = sight->lists - crowd->lists_before;
    crowd->events_before = events;
    crowd->lists_before = sight->lists;
    crowd->second_ms += 1000;
    crowd->second = (crowd->second + 1) % SECONDS;
    memset(crowd->seconds[crowd->second], 0, sizeof crowd->seconds[0]);
    if (crowd->second == 0) {
        crowd->latencies[1] = crowd->latencies[0];
        mr_histogram_reset(&crowd->latencies[0]);
    }
    if (now >= (int64_t)sight->window_count * sight->window_ms)
        add_window(sight);
    show_sample(crowd);
}

static mr_status tick(mr_demo_crowd *crowd, mr_error *err)
{
    const int64_t now = now_ms(crowd);
    crowd->sight.run_ms = now;
    while (now >= crowd->second_ms + 1000)
        turn_second(crowd, now);
    for (const uint32_t live = mr_world_live(&crowd->world, now); crowd->live < live; crowd->live++)
        MR_TRY(send_item(crowd, crowd->live, err));
    if (now >= crowd->ranked_ms) {
        rank(crowd);
        crowd->ranked_ms = now + RANK_MS;
    }
    MR_TRY(send_late(crowd, now, err));
    for (uint32_t user = 0; user < crowd->world.config.users; user++)
        if (crowd->people[user].next_ms <= now)
            MR_TRY(visit(crowd, user, err));
    crowd->sight.items = crowd->live;
    crowd->sight.events_sent = mr_demo_clients_sent(crowd->clients);
    crowd->sight.events_failed = mr_demo_clients_failed(crowd->clients);
    crowd->sight.oracle = crowd->oracle_shown > 0 ? crowd->oracle_sum / crowd->oracle_shown : 0;
    return MR_OK;
}

static void *run(void *arg)
{
    mr_demo_crowd *crowd = arg;
    const mr_demo_visitor visitor = {crowd, take_list, take_metric, take_bad};
    const struct timespec rest = {.tv_nsec = TICK_MS * 1000000L};
    while (!atomic_load(&crowd->stop) && crowd->items_known < crowd->live &&
           now_ms(crowd) < OPENING_MS) {
        mr_demo_clients_poll(crowd->clients, 0, &visitor);
        nanosleep(&rest, NULL);
    }
    pthread_mutex_lock(&crowd->lock);
    crowd->begun_ms += now_ms(crowd);
    pthread_mutex_unlock(&crowd->lock);
    while (crowd->status == MR_OK && !atomic_load(&crowd->stop) && now_ms(crowd) < crowd->run_ms) {
        pthread_mutex_lock(&crowd->lock);
        mr_demo_clients_poll(crowd->clients, 0, &visitor);
        crowd->status = tick(crowd, &crowd->err);
        pthread_mutex_unlock(&crowd->lock);
        nanosleep(&rest, NULL);
    }
    if (crowd->status == MR_OK)
        crowd->status = mr_demo_clients_flush(crowd->clients, FLUSH_MS, &crowd->err);
    atomic_store(&crowd->ended, true);
    return NULL;
}

// ---- opening

// Somebody who is easy to look at: he comes often, and has one strong taste, which few others
// share.
static uint32_t choose_sample(const mr_demo_crowd *crowd)
{
    const mr_world *world = &crowd->world;
    double common[MR_WORLD_THEMES_MAX] = {0}, supply[MR_WORLD_THEMES_MAX] = {0}, best_score = -1;
    uint32_t best = 0;
    for (uint32_t u = 0; u < world->config.users; u++)
        for (uint32_t t = 0; t < world->config.themes; t++)
            common[t] += (double)world->users[u].rho[t] / world->config.users;
    for (uint32_t i = 0; i < world->config.items; i++)
        supply[world->items[i].category] += (double)world->config.themes / world->config.items;
    for (uint32_t u = 0; u < world->config.users; u++) {
        const mr_world_user *user = &world->users[u];
        uint32_t top = 0;
        for (uint32_t t = 1; t < world->config.themes; t++)
            top = user->rho[t] > user->rho[top] ? t : top;
        const double pace = user->pace > 1 ? 1 / (double)user->pace : (double)user->pace;
        const double share = user->rho[top] > 0.7f ? 0.7 : (double)user->rho[top];
        const double score =
            pace * share * (1 - 2 * common[top]) * (supply[top] > 1 ? 1 : supply[top]);
        if (crowd->people[u].group == MR_DEMO_LEARNED && score > best_score) {
            best = u;
            best_score = score;
        }
    }
    return best;
}

static void describe_sample(mr_demo_crowd *crowd)
{
    mr_demo_sample *sample = &crowd->sight.sample;
    const mr_world_user *user = &crowd->world.users[crowd->sample];
    bool taken[MR_WORLD_THEMES_MAX] = {false};
    snprintf(sample->name, sizeof sample->name, "%s", crowd->people[crowd->sample].id);
    for (uint32_t i = 0; i < 3 && i < crowd->world.config.themes; i++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t t = 0; t < crowd->world.config.themes; t++)
            if (!taken[t] && (best == UINT32_MAX || user->rho[t] > user->rho[best]))
                best = t;
        taken[best] = true;
        sample->themes[i] = best;
        sample->shares[i] = (double)user->rho[best];
    }
}

static mr_status allocate(mr_demo_crowd *crowd, const mr_world_config *world, mr_error *err)
{
    crowd->memory = aligned_alloc(64, mr_world_bytes(world));
    crowd->people = calloc(world->users, sizeof *crowd->people);
    crowd->item_ids = calloc(world->items, sizeof *crowd->item_ids);
    crowd->item_clicks = calloc(world->items, sizeof *crowd->item_clicks);
    crowd->ranking = calloc(world->items, sizeof *crowd->ranking);
    crowd->later = calloc(LATER_MAX, sizeof *crowd->later);
    if (crowd->memory == NULL || crowd->people == NULL || crowd->item_ids == NULL ||
        crowd->item_clicks == NULL || crowd->ranking == NULL || crowd->later == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return MR_OK;
}

static void populate(mr_demo_crowd *crowd, const mr_world_config *world)
{
    mr_world_init(&crowd->world, world, crowd->memory);
    for (uint32_t i = 0; i < world->items; i++)
        snprintf(crowd->item_ids[i], ID_BYTES, "i%05u", i);
    for (uint32_t u = 0; u < world->users; u++) {
        person *p = &crowd->people[u];
        snprintf(p->id, ID_BYTES, "u%05u", u);
        p->group = (mr_demo_group)(mr_hash64(p->id, strlen(p->id), 0) % MR_DEMO_GROUPS);
        p->asked_ms = -1;
        p->next_ms = mr_world_gap_ms(&crowd->world, u);
    }
    crowd->sample = choose_sample(crowd);
    crowd->sight = (mr_demo_sight){.users = world->users, .window_ms = 1000};
    add_window(&crowd->sight);
    describe_sample(crowd);
}

mr_status mr_demo_crowd_open(const mr_config *config, const mr_world_config *world,
                             uint32_t partition_count, mr_demo_crowd **out, mr_error *err)
{
    mr_demo_crowd *crowd = calloc(1, sizeof *crowd);
    if (crowd == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    crowd->clock = mr_clock_system();
    atomic_init(&crowd->stop, false);
    atomic_init(&crowd->ended, false);
    pthread_mutex_init(&crowd->lock, NULL);
    mr_status status = allocate(crowd, world, err);
    if (status == MR_OK) {
        populate(crowd, world);
        status = mr_demo_clients_open(config, partition_count, &crowd->clients, err);
    }
    for (const uint32_t live = mr_world_live(&crowd->world, 0);
         status == MR_OK && crowd->live < live; crowd->live++)
        status = send_item(crowd, crowd->live, err);
    crowd->sight.events_sent = crowd->live;
    if (status != MR_OK) {
        mr_demo_crowd_close(crowd);
        return status;
    }
    *out = crowd;
    return MR_OK;
}

mr_status mr_demo_crowd_start(mr_demo_crowd *crowd, int64_t run_ms, mr_error *err)
{
    crowd->run_ms = run_ms;
    crowd->begun_ms = crowd->clock.now_ms(crowd->clock.context);
    const int code = pthread_create(&crowd->thread, NULL, run, crowd);
    if (code != 0)
        return mr_fail(err, MR_FATAL, "the crowd's thread: %s", strerror(code));
    crowd->started = true;
    return MR_OK;
}

mr_status mr_demo_crowd_stop(mr_demo_crowd *crowd, mr_error *err)
{
    atomic_store(&crowd->stop, true);
    if (!crowd->started) // there is the catalogue at least
        return mr_demo_clients_flush(crowd->clients, FLUSH_MS, err);
    pthread_join(crowd->thread, NULL);
    crowd->started = false;
    if (crowd->status != MR_OK)
        *err = crowd->err;
    return crowd->status;
}

void mr_demo_crowd_close(mr_demo_crowd *crowd)
{
    if (crowd == NULL)
        return;
    MR_ASSERT(!crowd->started);
    mr_demo_clients_close(crowd->clients);
    pthread_mutex_destroy(&crowd->lock);
    free(crowd->later);
    free(crowd->ranking);
    free(crowd->item_clicks);
    free(crowd->item_ids);
    free(crowd->people);
    free(crowd->memory);
    free(crowd);
}

bool mr_demo_crowd_has_ended(mr_demo_crowd *crowd)
{
    return atomic_load(&crowd->ended);
}

// ---- looking

static void add(mr_demo_tally *sum, mr_demo_tally more)
{
    sum->shown += more.shown;
    sum->clicks += more.clicks;
}

void mr_demo_crowd_look(mr_demo_crowd *crowd, mr_demo_sight *sight)
{
    pthread_mutex_lock(&crowd->lock);
    *sight = crowd->sight;
    for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++) {
        sight->recent[g] = sight->third[g] = (mr_demo_tally){0, 0};
        for (uint32_t s = 0; s < SECONDS; s++)
            add(&sight->recent[g], crowd->seconds[s][g]);
        for (uint32_t w = sight->window_count - (sight->window_count + 2) / 3;
             w < sight->window_count; w++)
            add(&sight->third[g], sight->windows[w][g]);
    }
    for (uint32_t b = 0; b < MR_METER_BUCKETS; b++)
        sight->latency_recent.counts[b] =
            crowd->latencies[0].counts[b] + crowd->latencies[1].counts[b];
    sight->latency_recent.count = crowd->latencies[0].count + crowd->latencies[1].count;
    pthread_mutex_unlock(&crowd->lock);
}
