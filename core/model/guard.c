// SPDX-License-Identifier: Apache-2.0
// guard: holds back users and origins that act faster than people do, and what they only repeat.
//
// An origin is whatever an event's context says of where it came from, an address or a device
// (mr_engine_config.origin). A user, or an origin, that has more than so many acts in a window is
// in quarantine for a time: its events are counted, and neither learned nor answered by lists;
// control events pass. Then it begins anew.
//
// Acts are paced as cells of ATM are (GCRA, ITU-T I.371): each costs window / acts of time, what is
// paid for lies at most a window behind the clock, and who would have to pay for the future has
// been too fast. That is one number, so that a user costs 8 bytes of his row. Origins stand in two
// tables of `cells` rows of 16 bytes, one row by each of two hashes (a count-min sketch of depth
// two); an origin is in quarantine where both of its rows are, so that sharing one row with a fast
// one does no harm. Rows add up who shares them: `cells` should be a few times the origins that act
// in a window, and origin_acts several times what an honest one does.
//
// A third limit is on what one account can say of one item: an act of the same kind on an item that
// stands among the user's latest ones, less than repeat_s ago, is held back, so that an account
// counts once. It asks nothing but the user's history, of which it is no part: who repeats himself
// is heard again repeat_s after the first time. Events that name several items pass.
//
// Time is the clock of the task, which no late or backdated event turns back. Whoever acts is
// counted while a round is learned, and held back from the next one on: a user can exceed the limit
// by what one epoch holds. Rows of origins belong to shards as all named rows do: an origin is
// counted over all tasks and workers, as of the rounds and commits that its owner has seen.
//
// Whoever asks to be forgotten takes his own pace along: against clients that may send control
// events it takes origin_acts.
#include "core/deltas.h"
#include "core/rows.h"

typedef struct config {
    double acts, origin_acts, window_s, quarantine_s, cells, repeat_s;
} config;

static const mr_param params[] = {
    {"acts", "",
     "acts of one user in window_s that are too many (a line of a purchase is one); 0: any number",
     offsetof(config, acts), 0, 0, 1e9},
    {"origin_acts", "",
     "acts of one origin (guard.origin) in window_s that are too many; 0: any number",
     offsetof(config, origin_acts), 0, 0, 1e9},
    {"window_s", "s", "the time in which acts are counted", offsetof(config, window_s), 3600, 1,
     864000},
    {"quarantine_s", "s", "for so long nothing is learned of who was too fast",
     offsetof(config, quarantine_s), 86400, 1, 31536000},
    {"cells", "", "rows of each of the two tables of origins, 16 bytes each",
     offsetof(config, cells), 16384, 1, 1048576},
    {"repeat_s", "s",
     "the same act of a user on the same item is learned once in so long, as far as his history "
     "reaches back; 0: each time",
     offsetof(config, repeat_s), 0, 0, 31536000},
    {0},
};

// What a user or a cell is: twice the microsecond up to which it has paid, or, odd, twice that
// until which it is in quarantine.
typedef uint64_t pace;

typedef struct cell {
    pace pace;
    int64_t clock_ms; // the latest of the clocks that it was counted by
} cell;

typedef struct counted { // the delta of a cell
    int64_t clock_ms;
    uint64_t acts;
} counted;

enum { FAMILY_USER, FAMILY_FIRST, FAMILY_SECOND };

static bool holds_at(pace p, int64_t now_ms)
{
    return (p & 1) != 0 && (int64_t)(p >> 1) > now_ms * 1000;
}

static pace count(const config *c, double most, pace p, uint64_t acts, int64_t now_ms)
{
    if (most < 1 || holds_at(p, now_ms))
        return p;
    const int64_t window = (int64_t)(c->window_s * 1e6), now = now_ms * 1000;
    const int64_t each = (int64_t)(c->window_s * 1e6 / most) + 1;
    int64_t paid = (p & 1) != 0 ? 0 : (int64_t)(p >> 1);
    if (paid < now - window - (int64_t)most)
        paid = now - window - (int64_t)most; // what rounding `each` up has cost
    // More than a window's worth is too much, however much more.
    paid += (int64_t)(acts < (uint64_t)most + 1 ? acts : (uint64_t)most + 1) * each;
    return paid > now ? (uint64_t)(now + (int64_t)(c->quarantine_s * 1e6)) << 1 | 1
                      : (uint64_t)paid << 1;
}

// ---- rows

static uint32_t pace_used(const void *c, const void *row)
{
    (void)c;
    return *(const pace *)row != 0 ? sizeof(pace) : 0;
}

static uint32_t cells_max(const void *c)
{
    return ((const config *)c)->origin_acts >= 1 ? (uint32_t)((const config *)c)->cells : 1;
}

static void combine(const void *c, void *into, const void *from)
{
    (void)c;
    counted *to = into;
    const counted *more = from;
    to->acts += more->acts;
    if (more->clock_ms > to->clock_ms)
        to->clock_ms = more->clock_ms;
}

static const mr_family families[] = {
    [FAMILY_USER] = {.name = "pace",
                     .key = MR_KEY_USER,
                     .version = 1,
                     .row_size = sizeof(pace),
                     .used = pace_used},
    [FAMILY_FIRST] = {.name = "origins",
                      .key = MR_KEY_NAMED,
                      .delta = MR_DELTA_SUM,
                      .version = 1,
                      .row_size = sizeof(cell),
                      .delta_size = sizeof(counted),
                      .rows_max = cells_max,
                      .combine = combine},
    [FAMILY_SECOND] = {.name = "origins_again",
                       .key = MR_KEY_NAMED,
                       .delta = MR_DELTA_SUM,
                       .version = 1,
                       .row_size = sizeof(cell),
                       .delta_size = sizeof(counted),
                       .rows_max = cells_max,
                       .combine = combine},
};

static const mr_named *table_of(const mr_instance *self, const mr_view *view, uint32_t family)
{
    return &view->named[self->family_first + family];
}

// The cell of an origin in one of the tables: by the low and by the high half of its hash.
static uint32_t slot_of(const mr_instance *self, const mr_view *view, uint32_t family,
                        uint64_t origin)
{
    const uint64_t half = family == FAMILY_FIRST ? origin >> 1 & INT32_MAX : origin >> 32;
    return mr_slots_find(&table_of(self, view, family)->slots, half % cells_max(self->config));
}

static const cell *cell_at(const mr_instance *self, const mr_view *view, uint32_t family,
                           uint32_t slot)
{
    return mr_part_row(&table_of(self, view, family)->part, slot);
}

// ---- what the engine asks

static bool repeats(const config *c, const mr_user *user, const mr_asked *asked)
{
    if (c->repeat_s < 1 || asked->item_key == 0)
        return false;
    for (uint32_t r = 0; r < user->recent_count; r++) {
        const mr_recent *recent = &user->recent[r];
        if (recent->item_key == asked->item_key && recent->act == asked->act &&
            asked->now_ms < (int64_t)(((double)recent->time_s + c->repeat_s) * 1000))
            return true;
    }
    return false;
}

static bool holds(const mr_instance *self, const mr_view *view, uint32_t user,
                  const mr_asked *asked)
{
    const config *c = self->config;
    mr_user *of = mr_view_user(view, user);
    const pace *p = mr_user_part(self, of);
    if (holds_at(*p, asked->now_ms) || repeats(c, of, asked))
        return true;
    if (asked->origin == 0 || c->origin_acts < 1)
        return false;
    for (uint32_t family = FAMILY_FIRST; family <= FAMILY_SECOND; family++) {
        const uint32_t slot = slot_of(self, view, family, asked->origin);
        if (!holds_at(cell_at(self, view, family, slot)->pace, asked->now_ms))
            return false;
    }
    return true;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, mr_deltas *deltas, mr_arena *arena)
{
    const config *c = self->config;
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_ACT)
            continue;
        pace *p = mr_user_part(self, mr_view_user(view, signal->user));
        *p = count(c, c->acts, *p, 1, view->clock_ms);
        if (signal->origin == 0 || c->origin_acts < 1)
            continue;
        for (uint32_t family = FAMILY_FIRST; family <= FAMILY_SECOND; family++) {
            const counted one = {view->clock_ms, 1};
            combine(c,
                    mr_deltas_at(deltas, self->family_first + family,
                                 slot_of(self, view, family, signal->origin)),
                    &one);
        }
    }
}

static void apply(const mr_instance *self, const mr_view *view, uint32_t family, uint64_t key,
                  const void *delta, void *row)
{
    const config *c = self->config;
    const counted *came = delta;
    cell *to = row;
    (void)view, (void)family, (void)key;
    if (came->clock_ms > to->clock_ms)
        to->clock_ms = came->clock_ms;
    to->pace = count(c, c->origin_acts, to->pace, came->acts, to->clock_ms);
}

static uint32_t measure(const mr_instance *self, const mr_view *view, mr_measure *out, uint32_t max)
{
    const mr_named *table = table_of(self, view, FAMILY_FIRST);
    uint32_t held = 0;
    if (max == 0)
        return 0;
    for (uint32_t slot = 0; slot < table->slots.used; slot++) {
        const cell *of = mr_part_row(&table->part, slot);
        held += holds_at(of->pace, of->clock_ms > view->clock_ms ? of->clock_ms : view->clock_ms);
    }
    out[0] = (mr_measure){"origins_in_quarantine", held};
    return 1;
}

static bool on(const void *c)
{
    const config *of = c;
    return of->acts >= 1 || of->origin_acts >= 1 || of->repeat_s >= 1;
}

const mr_rule mr_rule_guard = {
    .state = {.name = "guard",
              .source = "ITU-T I.371 (GCRA); Cormode and Muthukrishnan, \"An Improved Data Stream "
                        "Summary: The Count-Min Sketch and its Applications\"",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .observe = observe,
              .apply = apply,
              .measure = measure},
    .on = on,
    .holds = holds,
};
