// SPDX-License-Identifier: Apache-2.0
#include "core/sim/world.h"

#include "core/base/arena.h"
#include "core/base/vec.h"
#include "core/sim/draws.h"

// What a draw is for; never renumbered, as mr_purpose.
typedef enum stream {
    STREAM_CATALOGUE = 1,
    STREAM_COMMUNITIES,
    STREAM_USERS,
    STREAM_GAPS,
    STREAM_CLICKS,
    STREAM_RANDOM_LISTS,
    STREAM_BROWSING,
    STREAM_MOODS,
    STREAM_DRIFT,
} stream;

static mr_rng draws(const mr_world_config *config, stream of, uint64_t entity, uint64_t step)
{
    return mr_rng_make(config->seed, 0, step, entity, (mr_purpose)(MR_PURPOSE_SIM + of));
}

mr_world_config mr_world_defaults(void)
{
    return (mr_world_config){
        .seed = 1,
        .users = 1500,
        .items = 600,
        .themes = 10,
        .communities = 8,
        .late_share = 0.1,
        .late_ms = 60000,
        .match = 8.0,
        .base = -5.5,
        .quality = 1.0,
        .fatigue = 0.2,
        .sated = 2.0,
        .examine = 0.85,
        .stop = 0.35,
        .browse = 0.2,
        .gap_ms = 4000,
        .bored = 0.2,
        .bored_ms = 2000,
        .return_ms = 5000,
        .later = 0.4,
        .later_ms = 5000,
        .other = 0.25,
    };
}

mr_world_config mr_world_days(void)
{
    mr_world_config config = mr_world_defaults();
    config.late_ms = 0;
    config.late_share = 0;
    config.gap_ms = 20e3;
    config.bored = 0.3;
    config.bored_ms = 30 * 60e3;
    config.return_ms = 24 * 3600e3;
    config.later_ms = 24 * 3600e3;
    return config;
}

size_t mr_world_bytes(const mr_world_config *config)
{
    return mr_arena_round(config->items * sizeof(mr_world_item)) +
           mr_arena_round(config->users * sizeof(mr_world_user));
}

// ---- making

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void make_item(const mr_world_config *config, uint32_t index, const float *theme_shares,
                      mr_world_item *item)
{
    mr_rng rng = draws(config, STREAM_CATALOGUE, index, 1);
    double shapes[MR_WORLD_THEMES_MAX];
    const uint32_t theme = mr_draw_share(&rng, theme_shares, config->themes);
    for (uint32_t t = 0; t < config->themes; t++)
        shapes[t] = t == theme ? 8.0 : 0.15;
    *item = (mr_world_item){.twin = MR_WORLD_NONE,
                            .quality = (float)config->quality * mr_rng_normal(&rng)};
    mr_draw_dirichlet(&rng, shapes, config->themes, item->alpha);
    for (uint32_t t = 1; t < config->themes; t++)
        item->category = item->alpha[t] > item->alpha[item->category] ? t : item->category;
    item->cents = (uint32_t)(400 * mr_exp(3.4 * mr_rng_double(&rng))); // 4 to 120
    const uint32_t late = (uint32_t)(config->items * config->late_share);
    const uint32_t first = config->items - late;
    if (index >= first)
        item->born_ms = config->late_ms * (int64_t)(index - first + 1) / (int64_t)(late + 1);
}

// Which of the first `count` items is the best that is nobody's twin yet; equal ones by index.
static uint32_t best_left(const mr_world *world, uint32_t count, uint32_t until)
{
    uint32_t best = MR_WORLD_NONE;
    for (uint32_t i = 0; i < count; i++) {
        bool taken = false;
        for (uint32_t late = count; late < until && !taken; late++)
            taken = world->items[late].twin == i;
        if (!taken &&
            (best == MR_WORLD_NONE || world->items[i].quality > world->items[best].quality))
            best = i;
    }
    return best;
}

static void make_twins(mr_world *world)
{
    const mr_world_config *c = &world->config;
    const uint32_t first = c->items - (uint32_t)(c->items * c->late_share);
    for (uint32_t i = first; i < c->items; i++) {
        const uint32_t twin = best_left(world, first, i);
        const int64_t born_ms = world->items[i].born_ms;
        if (twin == MR_WORLD_NONE)
            return;
        world->items[i] = world->items[twin];
        world->items[i].born_ms = born_ms;
        world->items[i].twin = twin;
    }
}

static void make_items(mr_world *world)
{
    mr_rng rng = draws(&world->config, STREAM_CATALOGUE, 0, 0);
    float shares[MR_WORLD_THEMES_MAX];
    mr_draw_dirichlet_even(&rng, 3.0, world->config.themes, shares);
    for (uint32_t i = 0; i < world->config.items; i++)
        make_item(&world->config, i, shares, &world->items[i]);
    if (world->config.twins)
        make_twins(world);
}

static void find_match_max(const mr_world *world, mr_world_user *user)
{
    user->match_max = 0;
    for (uint32_t i = 0; i < world->config.items; i++) {
        const float match = (float)dot(user->rho, world->items[i].alpha, world->config.themes);
        user->match_max = match > user->match_max ? match : user->match_max;
    }
}

static void make_user(const mr_world *world, uint32_t index, const float *community_shares,
                      mr_world_user *user)
{
    const mr_world_config *config = &world->config;
    mr_rng rng = draws(config, STREAM_USERS, index, 0);
    *user = (mr_world_user){0};
    user->community = mr_draw_share(&rng, community_shares, config->communities);
    mr_rng common = draws(config, STREAM_COMMUNITIES, user->community, 1);
    float profile[MR_WORLD_THEMES_MAX];
    double shapes[MR_WORLD_THEMES_MAX];
    mr_draw_dirichlet_even(&common, 0.3, config->themes, profile);
    for (uint32_t t = 0; t < config->themes; t++)
        shapes[t] = 0.02 + 8.0 * (double)profile[t];
    mr_draw_dirichlet(&rng, shapes, config->themes, user->rho);
    user->satisfaction = 0.5f;
    user->pace = (float)(0.25 + 0.75 * mr_draw_exponential(&rng));
    for (uint32_t i = 0; i < MR_WORLD_LIKED; i++)
        user->liked[i] = MR_WORLD_NONE;
    find_match_max(world, user);
}

void mr_world_init(mr_world *world, const mr_world_config *config, void *memory)
{
    MR_ASSERT(config->themes >= 1 && config->themes <= MR_WORLD_THEMES_MAX);
    MR_ASSERT(config->communities >= 1 && config->communities <= MR_WORLD_COMMUNITIES_MAX);
    MR_ASSERT(config->users >= 1 && config->items >= 1);
    mr_arena arena;
    mr_arena_init(&arena, memory, mr_world_bytes(config));
    world->config = *config;
    world->items = mr_arena_push(&arena, config->items * sizeof *world->items);
    world->users = mr_arena_push(&arena, config->users * sizeof *world->users);
    make_items(world);
    mr_rng rng = draws(config, STREAM_COMMUNITIES, 0, 0);
    float shares[MR_WORLD_COMMUNITIES_MAX];
    mr_draw_dirichlet_even(&rng, 2.0, config->communities, shares);
    for (uint32_t u = 0; u < config->users; u++)
        make_user(world, u, shares, &world->users[u]);
}

void mr_world_homes(const mr_world *world, uint32_t *homes)
{
    const mr_world_config *c = &world->config;
    float means[MR_WORLD_COMMUNITIES_MAX][MR_WORLD_THEMES_MAX] = {{0}};
    uint32_t members[MR_WORLD_COMMUNITIES_MAX] = {0};
    for (uint32_t u = 0; u < c->users; u++) {
        const uint32_t community = world->users[u].community;
        members[community]++;
        for (uint32_t t = 0; t < c->themes; t++)
            means[community][t] += world->users[u].rho[t];
    }
    for (uint32_t i = 0; i < c->items; i++) {
        double best = -1;
        for (uint32_t m = 0; m < c->communities; m++) {
            const double match = members[m] > 0 ? dot(means[m], world->items[i].alpha, c->themes) /
                                                      (double)members[m]
                                                : -1;
            homes[i] = match > best ? m : homes[i];
            best = match > best ? match : best;
        }
    }
}

// ---- looking

uint32_t mr_world_live(const mr_world *world, int64_t run_ms)
{
    uint32_t low = 0, high = world->config.items;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (world->items[middle].born_ms <= run_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t mr_world_gap_ms(const mr_world *world, uint32_t user)
{
    const mr_world_user *u = &world->users[user];
    mr_rng rng = draws(&world->config, STREAM_GAPS, user, u->visits);
    if (u->gone)
        return MR_WORLD_NEVER;
    const double mean =
        u->left ? world->config.return_ms * mr_exp(1.5 * (0.5 - (double)u->satisfaction))
                : world->config.gap_ms;
    const double gap = mean * mr_draw_exponential(&rng) / (double)u->pace;
    return gap < 1 ? 1 : (int64_t)gap;
}

// ---- moods

double mr_world_satisfied(double s, double best)
{
    return s + 0.2 * (best - s);
}

double mr_world_boredom(double b, double ms, double bored_ms, double share)
{
    return b * mr_exp(-ms / bored_ms) + share;
}

double mr_world_leaving(double s, double b_max)
{
    return mr_sigmoid(-2.2 - 2 * s + 1.5 * b_max);
}

// Where tastes have moved by this time: each time one community's, to a mixture of that time.
static void drift(mr_world *world, mr_world_user *user, int64_t run_ms)
{
    const mr_world_config *c = &world->config;
    const uint32_t until = c->drift_ms > 0 ? (uint32_t)(run_ms / c->drift_ms) : 0;
    bool moved = false;
    for (; user->drifts < until; user->drifts++) {
        mr_rng rng = draws(c, STREAM_DRIFT, user->drifts, 0);
        float to[MR_WORLD_THEMES_MAX];
        if (mr_rng_below(&rng, c->communities) != user->community)
            continue;
        mr_draw_dirichlet_even(&rng, 0.3, c->themes, to);
        for (uint32_t t = 0; t < c->themes; t++)
            user->rho[t] += (float)c->drift * (to[t] - user->rho[t]);
        moved = true;
    }
    if (moved)
        find_match_max(world, user);
}

void mr_world_come(mr_world *world, uint32_t user, int64_t run_ms)
{
    const mr_world_config *c = &world->config;
    mr_world_user *u = &world->users[user];
    MR_ASSERT(run_ms >= u->now_ms);
    for (uint32_t t = 0; t < c->themes; t++)
        u->bored[t] = (float)mr_world_boredom((double)u->bored[t], (double)(run_ms - u->now_ms),
                                              c->bored_ms, 0);
    u->now_ms = run_ms;
    drift(world, u, run_ms);
}

static void leave(mr_world *world, uint32_t user)
{
    enum { SESSIONS_LOW = 3 };
    mr_world_user *u = &world->users[user];
    mr_rng rng = draws(&world->config, STREAM_MOODS, user, u->visits);
    float b_max = 0;
    for (uint32_t t = 0; t < world->config.themes; t++)
        b_max = u->bored[t] > b_max ? u->bored[t] : b_max;
    u->left = world->config.return_ms > 0 &&
              mr_rng_double(&rng) < mr_world_leaving((double)u->satisfaction, (double)b_max);
    if (!u->left)
        return;
    u->sessions++;
    u->low = u->satisfaction < 0.1f ? u->low + 1 : 0;
    u->gone = u->low >= SESSIONS_LOW;
}

// What a list of `count` items leaves behind, the best click on which was worth `best`.
static void feel(mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count, double best)
{
    mr_world_user *u = &world->users[user];
    u->satisfaction = (float)mr_world_satisfied((double)u->satisfaction, best);
    for (uint32_t i = 0; i < count; i++)
        u->bored[world->items[slate[i]].category] += 1.0f / (float)count;
    leave(world, user);
}

bool mr_world_liked(const mr_world *world, uint32_t user, uint32_t item)
{
    const mr_world_user *u = &world->users[user];
    for (uint32_t i = 0; i < MR_WORLD_LIKED; i++)
        if (u->liked[i] == item)
            return true;
    return false;
}

static bool tired(const mr_world_shown *shown, uint32_t item)
{
    for (uint32_t i = 0; i < shown->count; i++)
        if (shown->items[i] == item)
            return (shown->clicked >> i & 1u) == 0;
    return false;
}

double mr_world_utility(const mr_world *world, uint32_t user, uint32_t item)
{
    const mr_world_config *c = &world->config;
    const mr_world_user *u = &world->users[user];
    const mr_world_item *i = &world->items[item];
    uint32_t in_vain = 0;
    for (uint32_t l = 0; l < MR_WORLD_LISTS; l++)
        in_vain += tired(&u->shown[l], item);
    const double match =
        u->match_max > 0 ? dot(u->rho, i->alpha, c->themes) / (double)u->match_max : 0;
    const double worn = c->fatigue * (1 - 1.0 / (1u << in_vain)) +
                        (mr_world_liked(world, user, item) ? c->sated : 0) +
                        c->bored * (double)u->bored[i->category];
    return c->match * match + (double)i->quality + c->base - worn;
}

double mr_world_expect(const mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count,
                       double *p)
{
    double examined = 1, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double click = mr_sigmoid(mr_world_utility(world, user, slate[i]));
        if (p != NULL)
            p[i] = examined * click;
        sum += examined * click;
        examined *= world->config.examine * (1 - world->config.stop * click);
    }
    return sum;
}

uint32_t mr_world_oracle(const mr_world *world, uint32_t user, uint32_t live, uint32_t *slate,
                         uint32_t count)
{
    double best[MR_WORLD_SLATE_MAX];
    uint32_t found = 0;
    MR_ASSERT(count <= MR_WORLD_SLATE_MAX);
    for (uint32_t item = 0; item < live; item++) {
        const double x = mr_world_utility(world, user, item);
        if ((found == count && (count == 0 || x <= best[found - 1])) ||
            mr_world_liked(world, user, item))
            continue;
        uint32_t at = found < count ? found++ : found - 1;
        for (; at > 0 && best[at - 1] < x; at--) {
            best[at] = best[at - 1];
            slate[at] = slate[at - 1];
        }
        best[at] = x;
        slate[at] = item;
    }
    return found;
}

static bool among(const uint32_t *items, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

uint32_t mr_world_random(const mr_world *world, uint32_t user, uint32_t live, uint32_t *slate,
                         uint32_t count)
{
    const mr_world_user *u = &world->users[user];
    mr_rng rng = draws(&world->config, STREAM_RANDOM_LISTS, user, u->visits);
    uint32_t found = 0;
    // By rejection, which ends soon unless nearly everything is taken: then the list is short.
    for (uint32_t tries = 0; live > 0 && found < count && tries < 40 * count; tries++) {
        const uint32_t item = mr_rng_below(&rng, live);
        if (!among(slate, found, item) && !mr_world_liked(world, user, item))
            slate[found++] = item;
    }
    return found;
}

// ---- a visit

uint32_t mr_world_browse(const mr_world *world, uint32_t user, uint32_t live)
{
    const mr_world_config *c = &world->config;
    const mr_world_user *u = &world->users[user];
    mr_rng rng = draws(c, STREAM_BROWSING, user, u->visits);
    if (mr_rng_double(&rng) >= c->browse)
        return MR_WORLD_NONE;
    const uint32_t theme = mr_draw_share(&rng, u->rho, c->themes);
    double sum = 0;
    for (uint32_t i = 0; i < live; i++)
        sum += (double)world->items[i].alpha[theme];
    const double wanted = sum * mr_rng_double(&rng);
    double reached = 0;
    for (uint32_t i = 0; i < live; i++)
        if ((reached += (double)world->items[i].alpha[theme]) > wanted)
            return i;
    return live > 0 ? live - 1 : MR_WORLD_NONE;
}

static uint32_t quantity_of(mr_rng *rng)
{
    uint32_t quantity = 1;
    while (quantity < 5 && mr_rng_double(rng) < 0.2)
        quantity++;
    return quantity;
}

// Another item of the same category or its sister, among those that exist; by rejection, and the
// item itself where that finds none.
static uint32_t another(const mr_world *world, mr_rng *rng, uint32_t item, uint32_t live)
{
    enum { TRIES = 64 };
    const uint32_t category = world->items[item].category;
    for (uint32_t i = 0; i < TRIES && live > 1; i++) {
        const uint32_t found = mr_rng_below(rng, live);
        if (found != item && (world->items[found].category | 1u) == (category | 1u))
            return found;
    }
    return item;
}

static mr_world_act buy(const mr_world *world, uint32_t user, mr_rng *rng, const mr_world_act *cart)
{
    const mr_world_config *c = &world->config;
    mr_world_act act = *cart;
    act.kind = MR_EVENT_PURCHASE;
    if (mr_rng_double(rng) < c->other)
        act.item = another(world, rng, act.item, mr_world_live(world, world->users[user].now_ms));
    if (mr_rng_double(rng) < c->later)
        act.delay_ms = (int64_t)(c->later_ms * mr_draw_exponential(rng));
    return act;
}

// A click and what follows from it.
static uint32_t act(const mr_world *world, uint32_t user, mr_rng *rng, double x, uint32_t item,
                    uint32_t place, mr_world_act *acts)
{
    uint32_t count = 0;
    acts[count++] = (mr_world_act){MR_EVENT_CLICK, item, place, 1, 0};
    if (mr_rng_double(rng) >= mr_sigmoid(x - 1.5))
        return count;
    const uint32_t quantity = quantity_of(rng);
    acts[count++] = (mr_world_act){MR_EVENT_CART, item, place, quantity, 0};
    if (mr_rng_double(rng) < mr_sigmoid(x - 1.0)) {
        acts[count] = buy(world, user, rng, &acts[count - 1]);
        count++;
    }
    return count;
}

uint32_t mr_world_visit(mr_world *world, uint32_t user, const uint32_t *slate, uint32_t count,
                        mr_world_act acts[static MR_WORLD_ACTS_MAX])
{
    const mr_world_config *c = &world->config;
    mr_world_user *u = &world->users[user];
    mr_rng rng = draws(c, STREAM_CLICKS, user, u->visits);
    mr_world_shown shown = {.count = count};
    uint32_t act_count = 0;
    double best = 0;
    MR_ASSERT(count <= MR_WORLD_SLATE_MAX);
    for (uint32_t i = 0; i < count; i++)
        shown.items[i] = slate[i];
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && mr_rng_double(&rng) >= c->examine)
            break;
        const double x = mr_world_utility(world, user, slate[i]);
        if (mr_rng_double(&rng) >= mr_sigmoid(x))
            continue;
        shown.clicked |= 1u << i;
        best = mr_sigmoid(x) > best ? mr_sigmoid(x) : best;
        act_count += act(world, user, &rng, x, slate[i], i, acts + act_count);
        if (mr_rng_double(&rng) < c->stop)
            break;
    }
    for (uint32_t i = 0; i < count; i++)
        if ((shown.clicked >> i & 1u) != 0 && !mr_world_liked(world, user, slate[i]))
            u->liked[u->liked_count++ % MR_WORLD_LIKED] = slate[i];
    u->shown[u->visits++ % MR_WORLD_LISTS] = shown;
    feel(world, user, slate, count, best);
    return act_count;
}
