// SPDX-License-Identifier: Apache-2.0
#include "core/sim/attack.h"

#include "core/base/arena.h"
#include "core/sim/draws.h"

enum { STREAM_ATTACK = 44, GAP_MS = 20000 }; // a stream below MR_PURPOSE_SIM; two acts of a session

const char *const mr_attack_names[MR_ATTACK_KINDS] = {
    "random", "bandwagon", "average", "segment", "covisit",     "flood",
    "drip",   "sleeper",   "bandit",  "nuke",    "impressions",
};

static mr_rng draws(const mr_attack *attack, uint32_t fake, uint64_t step)
{
    return mr_rng_make(attack->config.seed, 0, step, fake,
                       (mr_purpose)(MR_PURPOSE_SIM + STREAM_ATTACK));
}

bool mr_attack_is_nuke(mr_attack_kind kind)
{
    return kind == MR_ATTACK_NUKE || kind == MR_ATTACK_IMPRESSIONS;
}

// ---- what is public

// The items of most clicks, or of fewest, of one category or of all (MR_WORLD_NONE), equal ones by
// index. Returns how many there are.
static uint32_t rank(const mr_loop *loop, bool most, uint32_t category, uint32_t *items,
                     uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < loop->live; i++) {
        if (category != MR_WORLD_NONE && loop->world.items[i].category != category)
            continue;
        uint32_t at = found;
        while (at > 0 && (most ? loop->clicks[items[at - 1]] < loop->clicks[i]
                               : loop->clicks[items[at - 1]] > loop->clicks[i]))
            at--;
        if (at == count)
            continue;
        found += found < count;
        for (uint32_t j = found - 1; j > at; j--)
            items[j] = items[j - 1];
        items[at] = i;
    }
    return found;
}

static uint32_t best_category(const mr_loop *loop)
{
    uint64_t clicks[MR_WORLD_THEMES_MAX] = {0};
    uint32_t best = 0;
    for (uint32_t i = 0; i < loop->live; i++)
        clicks[loop->world.items[i].category] += loop->clicks[i];
    for (uint32_t t = 1; t < loop->world.config.themes; t++)
        best = clicks[t] > clicks[best] ? t : best;
    return best;
}

// An item by its share of all clicks.
static uint32_t clicked_item(const mr_loop *loop, mr_rng *rng)
{
    uint64_t sum = 0, reached = 0;
    for (uint32_t i = 0; i < loop->live; i++)
        sum += loop->clicks[i];
    const double wanted = (double)sum * mr_rng_double(rng);
    for (uint32_t i = 0; i < loop->live; i++)
        if ((double)(reached += loop->clicks[i]) > wanted)
            return i;
    return loop->live - 1;
}

void mr_attack_targets(const mr_loop *loop, mr_attack_kind kind, uint64_t seed,
                       uint32_t targets[static MR_ATTACK_TARGETS])
{
    enum { LEAST_MAX = 1000 };
    uint32_t least[LEAST_MAX], tenth = loop->live / 10;
    if (mr_attack_is_nuke(kind)) {
        rank(loop, true, MR_WORLD_NONE, targets, MR_ATTACK_TARGETS);
        return;
    }
    tenth = tenth < MR_ATTACK_TARGETS ? MR_ATTACK_TARGETS : tenth > LEAST_MAX ? LEAST_MAX : tenth;
    const uint32_t count = rank(loop, false, MR_WORLD_NONE, least, tenth);
    MR_ASSERT(count >= MR_ATTACK_TARGETS);
    mr_rng rng = mr_rng_make(seed, 0, 0, 0, (mr_purpose)(MR_PURPOSE_SIM + STREAM_ATTACK));
    for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++) { // a shuffle's first places
        const uint32_t other = t + mr_rng_below(&rng, count - t);
        targets[t] = least[other];
        least[other] = least[t];
    }
}

// ---- when

static int64_t time_of(const mr_attack *attack, uint32_t fake, uint32_t act)
{
    const mr_attack_config *c = &attack->config;
    mr_rng rng = draws(attack, fake, 0);
    const double begin = mr_rng_double(&rng), part = (act + begin) / attack->acts;
    switch (c->kind) {
    case MR_ATTACK_DRIP:
    case MR_ATTACK_SLEEPER:
        return c->begin_ms + (int64_t)(part * (double)c->length_ms);
    case MR_ATTACK_FLOOD:
        return c->begin_ms + (int64_t)(part * (double)c->burst_ms);
    case MR_ATTACK_COVISIT: // each pair apart from the others
        return c->begin_ms +
               (int64_t)(((act & ~1u) + begin) / attack->acts * (double)c->burst_ms) +
               (act & 1u) * GAP_MS;
    default:
        return c->begin_ms + (int64_t)(begin * (double)c->burst_ms) + (int64_t)act * GAP_MS;
    }
}

static int64_t due_ms(void *context)
{
    const mr_attack *attack = context;
    int64_t due = MR_WORLD_NEVER;
    for (uint32_t f = 0; f < attack->accounts; f++) {
        const int64_t at =
            attack->done[f] < attack->acts ? time_of(attack, f, attack->done[f]) : MR_WORLD_NEVER;
        due = at < due ? at : due;
    }
    return due;
}

// ---- what

static uint32_t filler(const mr_attack *attack, const mr_loop *loop, uint32_t fake, mr_rng *rng)
{
    const uint32_t even = mr_rng_below(rng, loop->live);
    const mr_world_user *real = &loop->world.users[fake % loop->world.config.users];
    uint32_t item;
    switch (attack->config.kind) {
    case MR_ATTACK_BANDWAGON:
    case MR_ATTACK_DRIP:
        return mr_rng_below(rng, 3) == 0 ? even
                                         : attack->popular[mr_rng_below(rng, MR_ATTACK_POPULAR)];
    case MR_ATTACK_AVERAGE:
        return clicked_item(loop, rng);
    case MR_ATTACK_SEGMENT:
        return attack->segment[mr_rng_below(rng, attack->segment_count)];
    case MR_ATTACK_COVISIT:
        return attack->popular[mr_rng_below(rng, MR_ATTACK_POPULAR)];
    case MR_ATTACK_SLEEPER:
        item = real->liked[mr_rng_below(rng, MR_WORLD_LIKED)];
        return item != MR_WORLD_NONE ? item : clicked_item(loop, rng);
    case MR_ATTACK_NUKE:
        return attack->unpopular[mr_rng_below(rng, MR_ATTACK_POPULAR)];
    default:
        return even;
    }
}

// Whether this act is on a target: all five come up in a profile, evenly between the others.
static bool on_target(const mr_attack *attack, uint32_t act)
{
    const uint32_t every = attack->acts / MR_ATTACK_TARGETS;
    switch (attack->config.kind) {
    case MR_ATTACK_FLOOD:
        return true;
    case MR_ATTACK_COVISIT:
        return act % 2 == 1;
    case MR_ATTACK_SLEEPER:
        return act >= attack->acts - attack->acts / 3;
    default:
        return every == 0 || act % every == every - 1;
    }
}

static mr_status click(mr_attack *attack, mr_loop *loop, uint32_t person, uint32_t item,
                       bool answers, int64_t at_ms, mr_error *err)
{
    attack->events++;
    return mr_loop_send(loop, person, MR_EVENT_CLICK, &item, 1, answers, at_ms, err);
}

static mr_status show(mr_attack *attack, mr_loop *loop, uint32_t person, const uint32_t *items,
                      uint32_t count, bool answers, int64_t at_ms, mr_error *err)
{
    attack->events++;
    return mr_loop_send(loop, person, MR_EVENT_IMPRESSION, items, count, answers, at_ms, err);
}

// Looks at the list that the engine has for this account; without one it asks for one by a click.
static mr_status look(mr_attack *attack, mr_loop *loop, uint32_t person, uint32_t target,
                      int64_t at_ms, mr_error *err)
{
    const mr_loop_person *p = &loop->people[person];
    uint32_t slate[MR_WORLD_SLATE_MAX];
    const uint32_t count = p->list_count;
    if (count == 0)
        return click(attack, loop, person, target, false, at_ms, err);
    for (uint32_t i = 0; i < count; i++)
        slate[i] = p->list[i];
    MR_TRY(show(attack, loop, person, slate, count, true, at_ms, err));
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t t = 0; t < MR_ATTACK_TARGETS; t++)
            if (slate[i] == attack->targets[t])
                return click(attack, loop, person, slate[i], true, at_ms + 1, err);
    return MR_OK;
}

static mr_status act(mr_attack *attack, mr_loop *loop, uint32_t fake, uint32_t number,
                     int64_t at_ms, mr_error *err)
{
    const uint32_t person = loop->config.world.users + fake;
    mr_rng rng = draws(attack, fake, 1 + number);
    const uint32_t target = attack->targets[mr_rng_below(&rng, MR_ATTACK_TARGETS)];
    switch (attack->config.kind) {
    case MR_ATTACK_BANDIT:
        return look(attack, loop, person, target, at_ms, err);
    case MR_ATTACK_IMPRESSIONS:
        return show(attack, loop, person, attack->targets, MR_ATTACK_TARGETS, false, at_ms, err);
    case MR_ATTACK_NUKE:
        if (on_target(attack, number))
            return show(attack, loop, person, attack->targets, MR_ATTACK_TARGETS, false, at_ms,
                        err);
        break;
    default:
        if (on_target(attack, number))
            return click(attack, loop, person, target, false, at_ms, err);
    }
    return click(attack, loop, person, filler(attack, loop, fake, &rng), false, at_ms, err);
}

static mr_status act_until(void *context, mr_loop *loop, int64_t until_ms, mr_error *err)
{
    mr_attack *attack = context;
    for (uint32_t f = 0; f < attack->accounts; f++)
        for (; attack->done[f] < attack->acts; attack->done[f]++) {
            const int64_t at = time_of(attack, f, attack->done[f]);
            if (at >= until_ms)
                break;
            MR_TRY(act(attack, loop, f, attack->done[f], at, err));
        }
    return MR_OK;
}

// ---- beginning, measuring

void mr_attack_begin(mr_attack *attack, const mr_attack_config *config, mr_loop *loop)
{
    MR_ASSERT(config->fakes >= 1 && config->fakes <= MR_ATTACK_FAKES_MAX);
    MR_ASSERT(config->fakes <= loop->config.fakes && config->begin_ms >= loop->now_ms);
    MR_ASSERT(loop->live >= MR_ATTACK_POPULAR);
    *attack = (mr_attack){.config = *config};
    mr_attack_targets(loop, config->kind, config->seed, attack->targets);
    rank(loop, true, MR_WORLD_NONE, attack->popular, MR_ATTACK_POPULAR);
    rank(loop, false, MR_WORLD_NONE, attack->unpopular, MR_ATTACK_POPULAR);
    attack->segment_count =
        rank(loop, true, best_category(loop), attack->segment, MR_ATTACK_POPULAR);
    uint64_t clicks = 0;
    for (uint32_t i = 0; i < loop->live; i++)
        clicks += loop->clicks[i];
    const uint32_t average = (uint32_t)(clicks / loop->config.world.users);
    const bool flood = config->kind == MR_ATTACK_FLOOD;
    // At least one act beside each target, or no attack would differ from another.
    attack->acts = average > 2 * MR_ATTACK_TARGETS ? average : 2 * MR_ATTACK_TARGETS;
    attack->acts *= flood ? config->fakes : 1;
    attack->accounts = flood ? 1 : config->fakes;
    loop->beside = (mr_loop_beside){attack, due_ms, act_until};
}

mr_exposure mr_attack_exposure(const mr_loop *loop, const uint32_t *items, uint32_t count)
{
    mr_exposure e = {0};
    const uint32_t users = loop->config.world.users;
    for (uint32_t u = 0; u < users; u++) {
        uint32_t slate[MR_WORLD_SLATE_MAX];
        const uint32_t shown = mr_loop_slate(loop, u, slate);
        bool any = false;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t place = 0;
            while (place < shown && slate[place] != items[i])
                place++;
            any |= place < shown;
            e.rank += place < shown ? place + 1.0 : loop->config.k + 1.0;
        }
        e.share += any;
        e.recall += mr_loop_recall(loop, u);
        e.clicks += mr_world_expect(&loop->world, u, slate, shown, NULL);
    }
    return (mr_exposure){.share = e.share / users,
                         .rank = e.rank / ((double)users * count),
                         .recall = e.recall / users,
                         .clicks = e.clicks / users};
}
