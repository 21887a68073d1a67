// SPDX-License-Identifier: Apache-2.0
// event: what happened, as the engine sees it: decoded, not yet judged.
//
// All bytes are borrowed from the message (or from the decoder's scratch) and live as long as the
// epoch that holds the event. A field is meaningful only if its bit stands in `present`; ids are
// present when they were mapped, even if they are empty: core/ingest judges that.
#ifndef MR_CORE_EVENT_EVENT_H
#define MR_CORE_EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

typedef enum mr_event_kind {
    MR_EVENT_CLICK,
    MR_EVENT_CART,
    MR_EVENT_PURCHASE,
    MR_EVENT_IMPRESSION,
    MR_EVENT_RATING,
    MR_EVENT_SEARCH,
    MR_EVENT_CATALOGUE,
    MR_EVENT_CONTROL,
    MR_EVENT_KIND_COUNT,
} mr_event_kind;

typedef enum mr_action { // of a control event
    MR_ACTION_MORE,
    MR_ACTION_LESS,
    MR_ACTION_MUTE,
    MR_ACTION_UNMUTE,
    MR_ACTION_EXPLORE,
    MR_ACTION_FORGET,
    MR_ACTION_COUNT,
} mr_action;

// One row a field: MR_FIELD(name, type). The names are those of the field mapping in the
// configuration; types: text (UTF-8 or bytes), long, double, millis, lines, pairs, floats, texts,
// bool.
typedef enum mr_field {
#define MR_FIELD(name, type, help) MR_FIELD_##name,
#include "core/event/fields.def"
#undef MR_FIELD
    MR_FIELD_COUNT
} mr_field;

typedef struct mr_line { // a line item of a purchase, or an entry of an impression's slate
    mr_bytes item;
    double quantity;   // 1 where absent; of a purchase below 0: a refund
    double price;      // for one piece; 0 where absent
    double propensity; // of a slate's entry; NAN where absent
} mr_line;

typedef struct mr_pair {
    mr_bytes name, value;
} mr_pair;

enum {
    MR_LINES_MAX = 512,     // line items or slate entries of one event
    MR_PAIRS_MAX = 16,      // context entries that are kept; more are skipped
    MR_CATEGORIES_MAX = 16, // categories of an item that are kept; more are skipped
    MR_VECTOR_MAX = 1024,   // floats of a catalogue vector
};

typedef struct mr_event {
    mr_event_kind kind;
    uint32_t present; // 1u << MR_FIELD_...

    mr_bytes user, item, event_id, session, list, order, query, action, target, title;
    int64_t time_ms;      // UTC, event time
    int64_t list_version; // of the list that the event answers or shows
    double value;         // rating, dwell in seconds, explore level
    double price;         // of a catalogue item, or of a cart's item
    double quantity;
    double propensity; // of the item of a click in the slate that showed it
    int64_t position;  // from 0
    bool available;    // catalogue
    bool deleted;      // catalogue tombstone: null value, item from the key

    mr_line *lines; // purchase, impression; caller's array of MR_LINES_MAX
    uint32_t line_count;
    mr_pair context[MR_PAIRS_MAX];
    uint32_t context_count;
    mr_bytes categories[MR_CATEGORIES_MAX];
    uint32_t category_count;
    float *vector; // catalogue; caller's array of MR_VECTOR_MAX
    uint32_t vector_count;
    uint32_t scratch_used;
    uint8_t
        *scratch; // texts that a decoder made from numbers; caller's, of the size that it asks for
} mr_event;

static inline bool mr_event_has(const mr_event *event, mr_field field)
{
    return (event->present >> field & 1u) != 0;
}

// Whether the event's line of that number (0 where it has none) is given back, not bought.
static inline bool mr_event_is_refund(const mr_event *event, uint32_t line)
{
    if (event->kind != MR_EVENT_PURCHASE)
        return false;
    return line < event->line_count ? event->lines[line].quantity < 0
                                    : mr_event_has(event, MR_FIELD_quantity) && event->quantity < 0;
}

// "click", "purchase", ...: the names in configuration, CSV and metrics.
const char *mr_event_kind_name(mr_event_kind kind);
// The kind of that name, or MR_EVENT_KIND_COUNT.
mr_event_kind mr_event_kind_of(mr_bytes name);
// The action of that name, or MR_ACTION_COUNT.
mr_action mr_action_of(mr_bytes name);
const char *mr_field_name(mr_field field);
// The field of that name, or MR_FIELD_COUNT.
mr_field mr_field_of(mr_bytes name);

#endif
