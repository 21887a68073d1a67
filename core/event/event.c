// SPDX-License-Identifier: Apache-2.0
#include "core/event/event.h"

static const char *const kind_names[MR_EVENT_KIND_COUNT] = {
    [MR_EVENT_CLICK] = "click",         [MR_EVENT_CART] = "cart",
    [MR_EVENT_PURCHASE] = "purchase",   [MR_EVENT_IMPRESSION] = "impression",
    [MR_EVENT_RATING] = "rating",       [MR_EVENT_SEARCH] = "search",
    [MR_EVENT_CATALOGUE] = "catalogue", [MR_EVENT_CONTROL] = "control",
};

static const char *const action_names[MR_ACTION_COUNT] = {
    [MR_ACTION_MORE] = "more",       [MR_ACTION_LESS] = "less",
    [MR_ACTION_MUTE] = "mute",       [MR_ACTION_UNMUTE] = "unmute",
    [MR_ACTION_EXPLORE] = "explore", [MR_ACTION_FORGET] = "forget",
};

static const char *const field_names[MR_FIELD_COUNT] = {
#define MR_FIELD(name, type, help) [MR_FIELD_##name] = #name,
#include "core/event/fields.def"
#undef MR_FIELD
};

_Static_assert(MR_FIELD_COUNT <= 32, "mr_event.present has 32 bits");

const char *mr_event_kind_name(mr_event_kind kind)
{
    return kind_names[kind];
}

mr_event_kind mr_event_kind_of(mr_bytes name)
{
    uint32_t kind = 0;
    while (kind < MR_EVENT_KIND_COUNT && !mr_bytes_equal(name, mr_bytes_text(kind_names[kind])))
        kind++;
    return (mr_event_kind)kind;
}

mr_action mr_action_of(mr_bytes name)
{
    uint32_t action = 0;
    while (action < MR_ACTION_COUNT && !mr_bytes_equal(name, mr_bytes_text(action_names[action])))
        action++;
    return (mr_action)action;
}

const char *mr_field_name(mr_field field)
{
    return field_names[field];
}

mr_field mr_field_of(mr_bytes name)
{
    uint32_t field = 0;
    while (field < MR_FIELD_COUNT && !mr_bytes_equal(name, mr_bytes_text(field_names[field])))
        field++;
    return (mr_field)field;
}
