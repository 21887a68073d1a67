// SPDX-License-Identifier: Apache-2.0
// Ten thousand made-up wishes: each shows in the very next list of whoever said it, whatever
// becomes of his task between the two. Three workers share the tasks; they are killed before they
// commit, restarted after it, and hand tasks to each other. What the lists should hold is kept
// here, in the test's own words: every item but those that the user has muted.
#include "tests/unit/core/fleet.h"

enum {
    WORKERS = 3,
    TASKS = 4,
    USERS = 40,
    ITEMS = 60,
    CATEGORIES = 6,
    WISHED = 20, // items that wishes are about
    TARGETS = CATEGORIES + WISHED,
    CASES = 5000, // of each test
};

typedef struct heard { // the newest list of a user
    uint32_t count, lists;
    uint8_t items[ITEMS];
} heard;

typedef struct world {
    fleet f;
    mr_rng rng;
    int64_t now_ms;
    heard newest[USERS];
    bool muted[USERS][TARGETS];
    uint32_t killed, restarted, moved, forgotten, compared;
} world;

static void hear(void *context, const mr_list *list)
{
    world *w = context;
    heard *h = &w->newest[(uint32_t)atoi((const char *)list->user.data + 1)];
    h->lists++;
    h->count = list->entry_count;
    assert_true(list->entry_count <= ITEMS);
    for (uint32_t i = 0; i < list->entry_count; i++)
        h->items[i] = (uint8_t)atoi((const char *)list->entries[i].item.data + 1);
}

static uint32_t task_of(uint32_t user)
{
    char id[16];
    snprintf(id, sizeof id, "u%u", user);
    return mr_partition_of(mr_bytes_text(id), TASKS);
}

static void click(made_event *made, world *w, uint32_t user)
{
    mill_act(made, MR_EVENT_CLICK, user, mr_rng_below(&w->rng, ITEMS), w->now_ms);
}

static void open_world(world *w, int64_t list_interval_ms)
{
    static const mr_setting places = {"control", "targets", 64}; // none has to make room
    mr_engine_config config = mill_defaults();
    config.tasks = TASKS;
    config.items_max = config.users_max = 200;
    config.exchange_bytes = 1 << 20;
    config.list_k = ITEMS;
    config.list_interval_ms = list_interval_ms;
    config.explore_bp = 0;
    config.seen = MR_SEEN_KEEP;
    config.settings = &places;
    config.setting_count = 1;
    memset(w, 0, sizeof *w);
    fleet_open(&w->f, &config, WORKERS, "abca");
    w->f.store.heard = hear;
    w->f.store.listener = w;
    w->rng = mr_rng_make(7, 0, 0, 0, MR_PURPOSE_SIM);
    w->now_ms = 1700000000000;
    for (uint32_t i = 0; i < ITEMS; i++) {
        made_event made;
        char name[16];
        mill_act(&made, MR_EVENT_CATALOGUE, 0, i, w->now_ms);
        snprintf(name, sizeof name, "c%u", i % CATEGORIES);
        made.arrival.event.present = 1u << MR_FIELD_item | 1u << MR_FIELD_time;
        made.arrival.event.categories[0] = mr_bytes_text(name);
        made.arrival.event.category_count = 1;
        fleet_round(&w->f, &made, 1);
    }
    fleet_settle(&w->f);
    for (uint32_t e = 0; e < 20 * USERS; e++) {
        made_event made;
        w->now_ms += 500;
        mill_act(&made, MR_EVENT_CLICK, e % USERS, (e * 7 + e / USERS) % ITEMS, w->now_ms);
        fleet_round(&w->f, &made, 1);
        if (e % 20 == 19)
            fleet_settle(&w->f);
    }
}

static void move_task(world *w, uint32_t task)
{
    const uint32_t from = w->f.owner[task], to = (from + 1 + mr_rng_below(&w->rng, 2)) % WORKERS;
    mr_engine_release(w->f.engines[from], task);
    w->f.owner[task] = to;
    fleet_take(&w->f, to, w->f.store.list_count);
    w->moved++;
}

// ---- wishes

typedef struct wish {
    const char *action;
    uint32_t target; // TARGETS: none
    char name[16];
} wish;

static wish draw_wish(world *w)
{
    static const char *const actions[] = {"more", "less", "mute", "mute", "unmute"};
    wish said = {.target = TARGETS};
    if (mr_rng_below(&w->rng, 20) == 0) {
        said.action = "forget";
        return said;
    }
    said.action = actions[mr_rng_below(&w->rng, 5)];
    said.target = mr_rng_below(&w->rng, TARGETS);
    if (said.target < CATEGORIES)
        snprintf(said.name, sizeof said.name, "c%u", said.target);
    else
        snprintf(said.name, sizeof said.name, "i%u", said.target - CATEGORIES);
    return said;
}

static void fill(made_event *made, uint32_t user, const wish *said, int64_t time_ms)
{
    mill_act(made, MR_EVENT_CONTROL, user, 0, time_ms);
    mr_event *event = &made->arrival.event;
    event->present = 1u << MR_FIELD_user | 1u << MR_FIELD_time | 1u << MR_FIELD_action;
    event->action = mr_bytes_text(said->action);
    if (said->target == TARGETS)
        return;
    event->target = mr_bytes_text(said->name);
    event->present |= 1u << MR_FIELD_target;
}

static void note(world *w, uint32_t user, const wish *said)
{
    bool *muted = w->muted[user];
    if (strcmp(said->action, "forget") == 0)
        memset(muted, 0, sizeof w->muted[user]);
    else if (strcmp(said->action, "mute") == 0)
        muted[said->target] = true;
    else if (strcmp(said->action, "less") != 0)
        muted[said->target] = false;
}

// ---- what has to be seen

static bool is_about(uint32_t target, uint32_t item)
{
    return target < CATEGORIES ? item % CATEGORIES == target : item == target - CATEGORIES;
}

static void assert_obeyed(const world *w, uint32_t user, uint32_t number)
{
    const heard *h = &w->newest[user];
    bool shown[ITEMS] = {false};
    for (uint32_t i = 0; i < h->count; i++)
        shown[h->items[i]] = true;
    for (uint32_t item = 0; item < ITEMS; item++) {
        bool muted = false;
        for (uint32_t t = 0; t < TARGETS; t++)
            muted |= w->muted[user][t] && is_about(t, item);
        if (shown[item] == muted)
            fail_msg("case %u: item %u is %s u%u", number, item,
                     muted ? "muted but shown to" : "not shown to", user);
    }
}

static uint32_t place_of(const heard *h, uint32_t item)
{
    for (uint32_t i = 0; i < h->count; i++)
        if (h->items[i] == item)
            return i;
    return ITEMS;
}

// More of something lets no item of it fall behind another, less lets none rise above one.
static void assert_moved(const heard *before, const heard *after, const wish *said, uint32_t number)
{
    const bool more = strcmp(said->action, "more") == 0;
    assert_int_equal(before->count, after->count);
    for (uint32_t i = 0; i < before->count; i++)
        for (uint32_t j = i + 1; j < before->count; j++) {
            const uint32_t above = before->items[i], below = before->items[j];
            if (is_about(said->target, above) == is_about(said->target, below) ||
                is_about(said->target, above) != more)
                continue;
            if (place_of(after, above) > place_of(after, below))
                fail_msg("case %u: %s of %s let item %u pass item %u", number, said->action,
                         said->name, below, above);
        }
}

static void assert_gone(const world *w, uint32_t user)
{
    char id[16];
    const uint32_t size = (uint32_t)snprintf(id, sizeof id, "u%u", user);
    for (uint32_t i = 0; i < w->f.store.row_count; i++) {
        const stored_row *row = &w->f.store.rows[i];
        assert_false(row->place == MR_ROW_OF_USER && row->key_size == size + 1 &&
                     memcmp(row->key + 1, id, size) == 0);
    }
}

// ---- cases

// The wish alone, behind a list that is as it would be without it. Now and then the worker is
// killed after it has learned and before it has committed, and reads the wish again.
static void at_once(world *w, uint32_t number)
{
    const uint32_t user = mr_rng_below(&w->rng, USERS);
    const wish said = draw_wish(w),
               nothing = {.action = "more", .target = TARGETS - 1, .name = "z"};
    made_event made;
    w->now_ms += 700;
    click(&made, w, user);
    fleet_round(&w->f, &made, 1);
    fleet_settle(&w->f);
    fill(&made, user, &nothing, w->now_ms); // a list made of what is known now
    fleet_round(&w->f, &made, 1);
    fleet_settle(&w->f);
    assert_obeyed(w, user, number);
    const heard before = w->newest[user];
    fill(&made, user, &said, w->now_ms);
    fleet_round(&w->f, &made, 1);
    if (mr_rng_below(&w->rng, 8) == 0) {
        fleet_restart(&w->f, w->f.owner[task_of(user)], number);
        fill(&made, user, &said, w->now_ms);
        fleet_round(&w->f, &made, 1);
        w->killed++;
    }
    fleet_commit(&w->f);
    const bool was_muted = said.target < TARGETS && w->muted[user][said.target];
    note(w, user, &said);
    if (strcmp(said.action, "forget") == 0) {
        assert_gone(w, user);
        w->forgotten++;
        return; // the next list is his first
    }
    assert_obeyed(w, user, number);
    const bool moves = strcmp(said.action, "less") == 0 || strcmp(said.action, "more") == 0;
    if (moves && !was_muted) {
        assert_moved(&before, &w->newest[user], &said, number);
        w->compared++;
    }
}

// The wish comes too soon after a list: it is committed without one, and the worker restarts or
// hands the task on before the list is due.
static void later(world *w, uint32_t number)
{
    const int64_t interval_ms = w->f.store.config.list_interval_ms;
    const uint32_t user = mr_rng_below(&w->rng, USERS);
    const wish said = draw_wish(w);
    made_event events[2];
    w->now_ms += interval_ms + 1000;
    click(&events[0], w, user);
    fleet_round(&w->f, events, 1);
    fleet_commit(&w->f);
    const uint32_t lists = w->newest[user].lists;
    w->now_ms += 100;
    fill(&events[0], user, &said, w->now_ms);
    fleet_round(&w->f, events, 1);
    fleet_settle(&w->f);
    assert_int_equal(w->newest[user].lists, lists);
    note(w, user, &said);
    if (mr_rng_below(&w->rng, 4) == 0) {
        fleet_restart(&w->f, w->f.owner[task_of(user)], number);
        w->restarted++;
    }
    if (mr_rng_below(&w->rng, 2) == 0)
        move_task(w, mr_rng_below(&w->rng, TASKS));
    w->now_ms += interval_ms;
    const bool forgotten = strcmp(said.action, "forget") == 0;
    uint32_t count = 0;
    if (forgotten) {
        assert_gone(w, user);
        w->forgotten++;
        click(&events[count++], w, user); // and comes back
    }
    for (uint32_t other = 0; other < USERS && count < 2; other++)
        if (other != user && task_of(other) == task_of(user))
            click(&events[count++], w, other); // which moves the clock of the task
    fleet_round(&w->f, events, count);
    fleet_settle(&w->f);
    assert_obeyed(w, user, number);
}

static void a_wish_shows_in_the_very_next_list_and_after_a_kill(void **state)
{
    static world w;
    (void)state;
    open_world(&w, 0);
    for (uint32_t number = 0; number < CASES; number++)
        at_once(&w, number);
    assert_true(w.killed > CASES / 16 && w.forgotten > CASES / 40 && w.compared > CASES / 8);
    fleet_close(&w.f);
}

static void a_wish_shows_in_the_next_list_also_when_its_task_has_moved(void **state)
{
    static world w;
    (void)state;
    open_world(&w, 2000);
    for (uint32_t number = 0; number < CASES; number++)
        later(&w, number);
    assert_true(w.restarted > CASES / 8 && w.moved > CASES / 4 && w.forgotten > CASES / 40);
    fleet_close(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wish_shows_in_the_very_next_list_and_after_a_kill),
        cmocka_unit_test(a_wish_shows_in_the_next_list_also_when_its_task_has_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
