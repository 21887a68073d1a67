// SPDX-License-Identifier: Apache-2.0
// Whatever is drawn evenly is what has the least hash: of a place, a user or an item, with the
// seed. So one candidate is enough, and what comes twice counts once.
#include "worker/sweep/perturb.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"

enum { OF_PLACES, OF_USERS, OF_ITEMS };

static uint64_t draw_of(const mr_perturbation *p, uint64_t kind, uint64_t key)
{
    const uint64_t parts[3] = {p->seed, kind, key};
    return mr_hash64(parts, sizeof parts, 0);
}

// ---- the text

static mr_status refuse(const char *text, mr_error *err)
{
    return mr_fail(err, MR_FATAL,
                   "found '%.40s', want none, drop=N, user, user=ID, or delete=, replace= or "
                   "insert= with random, earliest or latest",
                   text);
}

static mr_status parse_which(const char *text, const char *which, mr_perturbation *p, mr_error *err)
{
    static const char *const names[] = {"random", "earliest", "latest"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(which, names[i]) == 0) {
            p->which = (mr_perturb_which)i;
            p->draws = true;
            return MR_OK;
        }
    return refuse(text, err);
}

static mr_status parse_every(const char *text, const char *number, mr_perturbation *p,
                             mr_error *err)
{
    char *end;
    p->every = strtoull(number, &end, 10);
    if (number[0] < '0' || number[0] > '9' || *end != '\0' || p->every < 1)
        return mr_fail(err, MR_FATAL, "found '%.40s', want drop=N: one act in N, from 1 on", text);
    return MR_OK;
}

mr_status mr_perturbation_parse(const char *text, uint64_t seed, uint32_t number,
                                mr_perturbation *p, mr_error *err)
{
    static const char *const names[] = {"none", "drop", "user", "delete", "replace", "insert"};
    const uint64_t parts[2] = {seed, number};
    const size_t size = strcspn(text, "=");
    const char *const rest = text[size] == '=' ? text + size + 1 : NULL;
    uint32_t what = 0;
    *p = (mr_perturbation){.seed = mr_hash64(parts, sizeof parts, 0)};
    while (what <= MR_PERTURB_INSERT &&
           (strlen(names[what]) != size || memcmp(names[what], text, size) != 0))
        what++;
    if (what > MR_PERTURB_INSERT)
        return refuse(text, err);
    p->what = (mr_perturb_what)what;
    switch (p->what) {
    case MR_PERTURB_NOTHING:
        return rest == NULL ? MR_OK : refuse(text, err);
    case MR_PERTURB_DROP:
        return rest != NULL ? parse_every(text, rest, p, err) : refuse(text, err);
    case MR_PERTURB_USER:
        p->draws = rest == NULL;
        p->drawn = !p->draws;
        p->user = rest != NULL ? mr_user_key(mr_bytes_text(rest)) : 0;
        return rest == NULL || rest[0] != '\0' ? MR_OK : refuse(text, err);
    case MR_PERTURB_DELETE:
    case MR_PERTURB_REPLACE:
    case MR_PERTURB_INSERT:
        break;
    }
    return rest != NULL ? parse_which(text, rest, p, err) : refuse(text, err);
}

// ---- the pass before

static bool is_act(const mr_event *event)
{
    return event->kind == MR_EVENT_CLICK || event->kind == MR_EVENT_CART ||
           event->kind == MR_EVENT_PURCHASE || event->kind == MR_EVENT_RATING;
}

static bool is_act_on_one_item(const mr_event *event)
{
    return is_act(event) && mr_event_has(event, MR_FIELD_user) &&
           mr_event_has(event, MR_FIELD_item) && event->user.size > 0 && event->item.size > 0 &&
           event->item.size <= MR_PERTURB_ID_MAX && event->line_count <= 1;
}

static bool is_id(const mr_perturb_item *item, mr_bytes id)
{
    return mr_bytes_equal(mr_bytes_of(item->id, item->size), id);
}

static void put_item(mr_perturb_item *item, uint64_t draw, mr_bytes id)
{
    item->draw = draw;
    item->size = (uint32_t)id.size;
    memcpy(item->id, id.data, id.size);
}

static void see_item(mr_perturbation *p, mr_bytes id)
{
    const uint64_t draw = draw_of(p, OF_ITEMS, mr_item_key(id));
    mr_perturb_item *first = &p->items[0], *second = &p->items[1];
    if (is_id(first, id) || is_id(second, id))
        return;
    if (first->size == 0 || draw < first->draw) {
        *second = *first;
        put_item(first, draw, id);
    } else if (second->size == 0 || draw < second->draw) {
        put_item(second, draw, id);
    }
}

void mr_perturbation_see(mr_perturbation *p, uint64_t place, const mr_event *event)
{
    if (!p->draws || !is_act_on_one_item(event))
        return;
    const bool by_place = p->what != MR_PERTURB_USER && p->which == MR_PERTURB_RANDOM;
    const uint64_t user = mr_user_key(event->user);
    const uint64_t draw = by_place ? draw_of(p, OF_PLACES, place) : draw_of(p, OF_USERS, user);
    see_item(p, event->item);
    if (p->drawn && draw > p->draw)
        return;
    if (p->drawn && draw == p->draw && p->which != MR_PERTURB_LATEST)
        return;
    p->drawn = true;
    p->draw = draw;
    p->place = place;
    p->user = user;
}

mr_status mr_perturbation_check(const mr_perturbation *p, mr_error *err)
{
    if (p->draws && !p->drawn)
        return mr_fail(err, MR_FATAL, "the log has no act that could be changed");
    if ((p->what == MR_PERTURB_REPLACE || p->what == MR_PERTURB_INSERT) && p->items[1].size == 0)
        return mr_fail(err, MR_FATAL, "the log's acts are all of one item: there is no other");
    return MR_OK;
}

// ---- events

static mr_bytes other_item(const mr_perturbation *p, mr_bytes id)
{
    const mr_perturb_item *item = &p->items[is_id(&p->items[0], id) ? 1 : 0];
    return mr_bytes_of(item->id, item->size);
}

mr_perturbed mr_perturbation_of(const mr_perturbation *p, uint64_t place, const mr_event *event,
                                mr_event *other)
{
    if (p->what == MR_PERTURB_NOTHING || !is_act(event))
        return MR_PERTURBED_KEPT;
    if (p->what == MR_PERTURB_DROP)
        return draw_of(p, OF_PLACES, place) % p->every == 0 ? MR_PERTURBED_GONE : MR_PERTURBED_KEPT;
    if (p->what == MR_PERTURB_USER)
        return mr_user_key(event->user) == p->user ? MR_PERTURBED_GONE : MR_PERTURBED_KEPT;
    if (place != p->place)
        return MR_PERTURBED_KEPT;
    if (p->what == MR_PERTURB_DELETE)
        return MR_PERTURBED_GONE;
    *other = *event;
    other->item = other_item(p, event->item);
    other->line_count = 0; // the line said the item again
    other->present &= ~(1u << MR_FIELD_lines);
    if (p->what == MR_PERTURB_REPLACE)
        return MR_PERTURBED_INSTEAD;
    other->present &= ~(1u << MR_FIELD_event_id); // it is no duplicate
    return MR_PERTURBED_AFTER;
}

bool mr_perturbation_is_of_user(const mr_perturbation *p, uint64_t *user)
{
    *user = p->user;
    return p->what != MR_PERTURB_NOTHING && p->what != MR_PERTURB_DROP;
}
