// SPDX-License-Identifier: Apache-2.0
// control: a user's own word about his lists: more of this, less of that, not this at all.
//
// A wish is about a category or an item. `more` and `less` add and subtract its value (1 where none
// is given) to a strength between -3 and 3, which halves every half_life_days; `mute` keeps what it
// names out of the list for mute_days, `unmute` and `more` end that. `explore` sets how much the
// user wants to be surprised, from 0 (never in the exploration slice) over .5 (as everybody) to 1
// (twice as often); the policy sees it too (slate->level). At the list each unit of strength moves
// a candidate by eta standard deviations of the candidates' relevance:
//
//     s' = s + eta sd(s) sum of E_c over the candidate's categories and the item itself
//
// Strengths are kept in steps of 1/32 and times in days, so that a wish takes 12 bytes of the
// user's row. When all `targets` places are taken, the oldest wish makes room, mutes last.
#include "core/list/slate.h"

typedef struct config {
    double targets, eta, half_life_days, mute_days;
} config;

static const mr_param params[] = {
    {"targets", "",
     "wishes that are kept of a user, 12 bytes each; 0: control events have no effect",
     offsetof(config, targets), 6, 0, 64},
    {"eta", "", "what one unit of more or less moves, in standard deviations of relevance",
     offsetof(config, eta), 0.5, 0, 10},
    {"half_life_days", "days", "after which a wish for more or less is worth half",
     offsetof(config, half_life_days), 30, 0.1, 36500},
    {"mute_days", "days", "after which a mute ends; 0: never", offsetof(config, mute_days), 0, 0,
     36500},
    {0},
};

enum { STEPS = 32, STRENGTH_MAX = 3 * STEPS };
static const int64_t day_ms = 86400000;

typedef struct wish {
    uint32_t key[2]; // of the target's name, low half first
    uint16_t day;    // since 1970, when it was last said
    int8_t strength; // on that day, in 1/32
    uint8_t muted;
} wish;

typedef struct wishes { // the user's part
    float level;        // of explore
    uint8_t levelled;   // whether he has said one
    uint8_t count;
    uint16_t unused;
    wish of[];
} wishes;

static uint32_t row_bytes(const void *c)
{
    const uint32_t bytes =
        (uint32_t)(sizeof(wishes) + (size_t)((const config *)c)->targets * sizeof(wish));
    return (bytes + 7u) & ~7u;
}

static uint32_t used(const void *c, const void *row)
{
    const wishes *w = row;
    (void)c;
    if (w->count == 0 && !w->levelled)
        return 0;
    return (uint32_t)(sizeof *w + w->count * sizeof(wish));
}

static const mr_family families[] = {
    {.name = "wishes", .key = MR_KEY_USER, .version = 1, .row_bytes = row_bytes, .used = used},
};

static uint16_t day_of(int64_t time_ms)
{
    return (uint16_t)(time_ms / day_ms);
}

// Days from the wish to a time; 0 where the time is earlier.
static double age_of(const wish *w, int64_t time_ms)
{
    const int32_t days = (int32_t)day_of(time_ms) - w->day;
    return days > 0 ? days : 0;
}

static double strength_at(const config *c, const wish *w, int64_t time_ms)
{
    return (double)w->strength / STEPS * mr_exp2(-age_of(w, time_ms) / c->half_life_days);
}

static bool muted_at(const config *c, const wish *w, int64_t time_ms)
{
    return w->muted && (c->mute_days == 0 || age_of(w, time_ms) < c->mute_days);
}

static bool is_about(const wish *w, uint64_t target)
{
    return w->key[0] == (uint32_t)target && w->key[1] == (uint32_t)(target >> 32);
}

// ---- learning

static void remove_wish(wishes *w, uint32_t at)
{
    w->count--;
    memmove(&w->of[at], &w->of[at + 1], (w->count - at) * sizeof w->of[0]);
    memset(&w->of[w->count], 0, sizeof w->of[0]);
}

// Wishes stand in the order in which they were last said, so the first one is the oldest.
static void make_room(const config *c, wishes *w)
{
    if (w->count < (uint32_t)c->targets)
        return;
    uint32_t oldest = 0;
    while (oldest < w->count && w->of[oldest].muted)
        oldest++;
    remove_wish(w, oldest < w->count ? oldest : 0);
}

static void say(const config *c, wishes *w, const mr_signal *signal)
{
    wish next = {{(uint32_t)signal->target, (uint32_t)(signal->target >> 32)}, 0, 0, 0};
    double strength = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (!is_about(&w->of[i], signal->target))
            continue;
        strength = strength_at(c, &w->of[i], signal->time_ms);
        next.muted = muted_at(c, &w->of[i], signal->time_ms);
        remove_wish(w, i);
        break;
    }
    const double by = signal->value == signal->value ? (double)signal->value : 1.0; // NAN: none
    strength += signal->action == MR_ACTION_MORE ? by : signal->action == MR_ACTION_LESS ? -by : 0;
    double steps = strength * STEPS;
    steps = steps > STRENGTH_MAX ? STRENGTH_MAX : steps < -STRENGTH_MAX ? -STRENGTH_MAX : steps;
    next.strength = (int8_t)(steps + (steps < 0 ? -0.5 : 0.5));
    next.day = day_of(signal->time_ms);
    if (signal->action == MR_ACTION_MUTE)
        next.muted = 1;
    else if (signal->action != MR_ACTION_LESS)
        next.muted = 0;
    if (next.strength == 0 && !next.muted)
        return;
    make_room(c, w);
    w->of[w->count++] = next;
}

static void observe(const mr_instance *self, const mr_view *view, const mr_signal *signals,
                    uint32_t signal_count, struct mr_deltas *deltas, mr_arena *arena)
{
    (void)deltas;
    (void)arena;
    for (uint32_t s = 0; s < signal_count; s++) {
        const mr_signal *signal = &signals[s];
        if (signal->kind != MR_SIGNAL_CONTROL)
            continue;
        wishes *w = mr_user_part(self, mr_view_user(view, signal->user));
        if (signal->action == MR_ACTION_EXPLORE) {
            w->level = signal->value;
            w->levelled = 1;
        } else if (signal->action != MR_ACTION_FORGET) { // which the engine does
            say(self->config, w, signal);
        }
    }
}

// ---- a list

typedef struct spoken { // of one list: what the wishes come to
    uint64_t barred[MR_UNION_MAX / 64 + 1];
    bool bars;
} spoken;

// The sum of the strengths of the wishes that a candidate is about; *barred: one of them mutes it.
static double wish_of(const mr_instance *self, const mr_slate *slate, const wishes *w,
                      const mr_item *item, bool *barred)
{
    const uint64_t name = mr_category_key(mr_bytes_of(item->id, item->id_size));
    double sum = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        bool about = is_about(&w->of[i], name);
        for (uint32_t k = 0; k < 4 && !about; k++)
            about = item->categories[k] != 0 && is_about(&w->of[i], item->categories[k]);
        if (!about)
            continue;
        sum += strength_at(self->config, &w->of[i], slate->view->clock_ms);
        *barred |= muted_at(self->config, &w->of[i], slate->view->clock_ms);
    }
    return sum;
}

static void open(const mr_instance *self, mr_slate *slate)
{
    const config *c = self->config;
    const wishes *w = mr_user_part(self, mr_view_user(slate->view, slate->user));
    if (w->levelled) {
        const double bp = slate->explore_bp * 2.0 * (double)w->level;
        slate->explore_bp = bp < 10000 ? (uint32_t)bp : 10000;
        slate->level = w->level;
    }
    if (w->count == 0)
        return;
    spoken *s = mr_slate_keep(slate, self, sizeof *s);
    float *bonus = mr_slate_adjust(slate);
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < slate->candidates->count; i++) {
        const mr_item *item = mr_items_at(slate->view->items, slate->candidates->slots[i]);
        bool barred = false;
        bonus[i] += (float)(c->eta * slate->scale * wish_of(self, slate, w, item, &barred));
        s->barred[i / 64] |= (uint64_t)barred << (i % 64);
        s->bars |= barred;
    }
}

static void admit(const mr_instance *self, mr_slate *slate, uint64_t *bits)
{
    const spoken *s = mr_slate_kept(slate, self);
    if (s == NULL || !s->bars)
        return;
    for (uint32_t i = 0; i < (slate->candidates->count + 63) / 64; i++)
        bits[i] &= ~s->barred[i];
}

static bool on(const void *c)
{
    return ((const config *)c)->targets >= 1;
}

static size_t slate_bytes(const void *c)
{
    (void)c;
    return sizeof(spoken);
}

const mr_rule mr_rule_control = {
    .state = {.name = "control",
              .source = "Editable User Profiles for Controllable Text Recommendation (a profile of "
                        "wishes instead of its concepts)",
              .params = params,
              .config_bytes = sizeof(config),
              .families = families,
              .family_count = sizeof families / sizeof families[0],
              .observe = observe},
    .on = on,
    .slate_bytes = slate_bytes,
    .open = open,
    .admit = admit,
};
