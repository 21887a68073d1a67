// SPDX-License-Identifier: Apache-2.0
#include "worker/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/ports.h"
#include "worker/progress.h"

enum { TASKS = 2, TICK_MS = 10000, DEDUP_EVENTS = 1 << 16, ORACLE_EVERY = 8 };

static const double day_ms = 24 * 3600e3;

mr_simulate_options mr_simulate_defaults(void)
{
    return (mr_simulate_options){.users = 1000,
                                 .items = 500,
                                 .k = 10,
                                 .days = 7,
                                 .attack_days = 1,
                                 .content = -1,
                                 .seed = 1,
                                 .sizes = {0.001, 0.01, 0.05},
                                 .size_count = 3};
}

// ---- a loop and its memory

typedef struct running {
    mr_loop loop;
    void *memory;
    size_t bytes;
} running;

static uint32_t fakes_of(const mr_simulate_options *options, uint32_t size)
{
    const double fakes = floor(options->sizes[size] * options->users + 0.5);
    return fakes < 1 ? 1 : fakes > MR_ATTACK_FAKES_MAX ? MR_ATTACK_FAKES_MAX : (uint32_t)fakes;
}

static mr_status configure(const mr_simulate_options *options, mr_loop_policy policy,
                           mr_loop_config *config, mr_error *err)
{
    *config = (mr_loop_config){.world = mr_world_days(),
                               .policy = policy,
                               .k = options->k,
                               .tick_ms = TICK_MS,
                               .content = options->content >= 0,
                               .noise = options->content,
                               .oracle_every = ORACLE_EVERY};
    config->world.seed = options->seed;
    config->world.users = options->users;
    config->world.items = options->items;
    config->world.late_share = options->births;
    config->world.twins = options->twins;
    config->world.late_ms = (int64_t)(options->days * day_ms);
    config->world.drift_ms = (int64_t)(options->drift_days * day_ms);
    config->world.drift = 0.5;
    for (uint32_t s = 0; s < options->size_count; s++)
        config->fakes = fakes_of(options, s) > config->fakes ? fakes_of(options, s) : config->fakes;
    MR_TRY(mr_methods_engine(options->methods, options->config, TASKS, &config->engine, err));
    // Sizes of this world, for which nobody has to leave memory, and all users of a task may wait
    // for lists at once.
    config->engine.items_max = options->items;
    config->engine.users_max =
        TASKS * (options->users + config->fakes + config->engine.epoch_events_max);
    config->engine.dedup_events_max = DEDUP_EVENTS;
    config->engine.item_expiry_ms = 0;
    return MR_OK;
}

static mr_status open_loop(const mr_simulate_options *options, mr_loop_policy policy, running *r,
                           mr_error *err)
{
    mr_loop_config config;
    *r = (running){0};
    MR_TRY(configure(options, policy, &config, err));
    MR_TRY(mr_loop_bytes(&config, &r->bytes, err));
    r->memory = mr_memory_map(r->bytes);
    if (r->memory == NULL)
        return mr_fail(err, MR_FATAL, "%zu MiB for users and engine cannot be had", r->bytes >> 20);
    return mr_loop_init(&r->loop, &config, r->memory, err);
}

static void close_loop(running *r)
{
    mr_memory_free(r->memory, r->bytes);
}

typedef struct advance { // of all runs
    mr_progress progress;
    mr_clock clock;
    uint64_t done;
} advance;

static void begin_progress(advance *a, const mr_simulate_options *options, uint64_t total)
{
    *a = (advance){.clock = mr_clock_system()};
    mr_progress_begin(&a->progress, options->progress ? stderr : NULL,
                      mr_progress_is_terminal(stderr), "simulated days", total,
                      a->clock.now_ms(a->clock.context));
}

// Up to so many days of the loop's time, hour by hour.
static mr_status go(running *r, double days, advance *a, mr_error *err)
{
    const int64_t until_ms = (int64_t)(days * day_ms);
    const int64_t begun_ms = r->loop.now_ms;
    const uint64_t before = a->done;
    for (int64_t at = begun_ms; at < until_ms;) {
        at = at + 3600000 < until_ms ? at + 3600000 : until_ms;
        MR_TRY(mr_loop_run(&r->loop, at, err));
        a->done = before + (uint64_t)((double)(at - begun_ms) / day_ms);
        mr_progress_update(&a->progress, a->done, NULL, a->clock.now_ms(a->clock.context));
    }
    a->done = before + (uint64_t)((double)(until_ms - begun_ms) / day_ms + 0.5);
    return MR_OK;
}

// ---- policies

static void read_twins(const mr_loop *loop, mr_simulated *policy)
{
    double late = 0, late_twins = 0, all = 0, all_twins = 0;
    for (uint32_t i = 0; i < loop->live; i++) {
        const uint32_t twin = loop->world.items[i].twin;
        const mr_loop_twin *t = &loop->twins[i];
        if (twin == MR_WORLD_NONE)
            continue;
        policy->twins++;
        all += loop->shown[i];
        all_twins += loop->shown[twin] - t->at_birth;
        if (loop->shown[i] < MR_LOOP_FULL)
            continue;
        policy->twins_full++;
        late += MR_LOOP_FULL - MR_LOOP_HALF;
        late_twins += t->at_full - t->at_half;
    }
    policy->twins_late_share = late_twins > 0 ? late / late_twins : 0;
    policy->twins_share = all_twins > 0 ? all / all_twins : 0;
}

static void read_policy(const running *r, mr_simulated *policy)
{
    const mr_loop *loop = &r->loop;
    const uint32_t users = loop->config.world.users;
    const double mean =
        loop->sums.lists > 0 ? (double)loop->sums.clicks / (double)loop->sums.lists : 0;
    double squares = 0;
    *policy = (mr_simulated){.sums = loop->sums, .state_hash = mr_loop_state_hash(loop)};
    for (uint32_t u = 0; u < users; u++) {
        const mr_world_user *user = &loop->world.users[u];
        const mr_loop_person *p = &loop->people[u];
        const double left = (double)p->clicks - mean * (double)p->lists; // of a ratio's estimate
        squares += left * left;
        policy->sessions += (double)user->sessions / users;
        policy->satisfaction += (double)user->satisfaction / users;
        policy->gone += user->gone ? 1.0 / users : 0;
    }
    read_twins(loop, policy);
    policy->error = loop->sums.lists > 0 ? sqrt(squares) / (double)loop->sums.lists : 0;
}

mr_status mr_simulate_policies(const mr_simulate_options *options,
                               mr_simulated policies[static MR_LOOP_POLICIES], mr_error *err)
{
    advance a;
    mr_status status = MR_OK;
    begin_progress(&a, options, (uint64_t)(MR_LOOP_POLICIES * options->days + 0.5));
    for (int p = 0; status == MR_OK && p < MR_LOOP_POLICIES; p++) {
        running r;
        status = open_loop(options, (mr_loop_policy)p, &r, err);
        if (status == MR_OK)
            status = go(&r, options->days, &a, err);
        if (status == MR_OK)
            read_policy(&r, &policies[p]);
        close_loop(&r);
    }
    mr_progress_end(&a.progress, a.done, NULL, a.clock.now_ms(a.clock.context));
    return status;
}

mr_status mr_simulate_learned(const mr_simulate_options *options, uint64_t seed,
                              mr_simulated *learned, mr_error *err)
{
    mr_simulate_options alone = *options;
    advance a;
    running r;
    alone.seed = seed;
    alone.progress = false;
    begin_progress(&a, &alone, 1);
    mr_status status = open_loop(&alone, MR_LOOP_LEARNED, &r, err);
    if (status == MR_OK)
        status = go(&r, alone.days, &a, err);
    if (status == MR_OK)
        read_policy(&r, learned);
    close_loop(&r);
    return status;
}

// ---- attacks

typedef struct beginning { // of all attacks: the loop as it stood, and what became of it without
    running r;
    mr_loop then;
    void *copy;
    mr_exposure before[MR_ATTACK_KINDS], clean[MR_ATTACK_KINDS];
} beginning;

static void go_back(beginning *b)
{
    memcpy(b->r.memory, b->copy, b->r.bytes);
    b->r.loop = b->then;
}

static void look_at(const mr_simulate_options *options, const mr_loop *at_begin,
                    const mr_loop *loop, mr_exposure exposure[MR_ATTACK_KINDS],
                    uint32_t targets[MR_ATTACK_KINDS][MR_ATTACK_TARGETS])
{
    for (int kind = 0; kind < MR_ATTACK_KINDS; kind++) {
        if (at_begin != NULL)
            mr_attack_targets(at_begin, (mr_attack_kind)kind, options->seed, targets[kind]);
        exposure[kind] = mr_attack_exposure(loop, targets[kind], MR_ATTACK_TARGETS);
    }
}

static mr_status begin_all(const mr_simulate_options *options, beginning *b, advance *a,
                           mr_error *err)
{
    uint32_t targets[MR_ATTACK_KINDS][MR_ATTACK_TARGETS];
    MR_TRY(open_loop(options, MR_LOOP_LEARNED, &b->r, err));
    MR_TRY(go(&b->r, options->days, a, err));
    b->copy = mr_memory_map(b->r.bytes);
    if (b->copy == NULL)
        return mr_fail(err, MR_FATAL, "%zu MiB for a copy cannot be had", b->r.bytes >> 20);
    memcpy(b->copy, b->r.memory, b->r.bytes);
    b->then = b->r.loop;
    look_at(options, &b->r.loop, &b->r.loop, b->before, targets);
    MR_TRY(go(&b->r, options->days + options->attack_days, a, err));
    look_at(options, NULL, &b->r.loop, b->clean, targets);
    return MR_OK;
}

static mr_status attack_once(const mr_simulate_options *options, beginning *b, mr_attack_kind kind,
                             uint32_t size, mr_simulated_attack *row, advance *a, mr_error *err)
{
    mr_attack *attack = malloc(sizeof *attack);
    if (attack == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    go_back(b);
    const int64_t length_ms = (int64_t)(options->attack_days * day_ms);
    const mr_attack_config config = {.kind = kind,
                                     .seed = options->seed,
                                     .fakes = fakes_of(options, size),
                                     .begin_ms = b->r.loop.now_ms,
                                     .burst_ms = length_ms / 4,
                                     .length_ms = length_ms};
    mr_attack_begin(attack, &config, &b->r.loop);
    const mr_status status = go(&b->r, options->days + options->attack_days, a, err);
    if (status == MR_OK)
        *row = (mr_simulated_attack){
            .fakes = attack->accounts,
            .events = attack->events,
            .before = b->before[kind],
            .clean = b->clean[kind],
            .attacked = mr_attack_exposure(&b->r.loop, attack->targets, MR_ATTACK_TARGETS)};
    free(attack);
    return status;
}

mr_status mr_simulate_attacks(const mr_simulate_options *options, mr_simulated_attack *rows,
                              mr_error *err)
{
    advance a;
    beginning *b = calloc(1, sizeof *b);
    if (b == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    const double days =
        options->days + options->attack_days * (1 + MR_ATTACK_KINDS * options->size_count);
    begin_progress(&a, options, (uint64_t)(days + 0.5));
    mr_status status = begin_all(options, b, &a, err);
    for (uint32_t kind = 0; status == MR_OK && kind < MR_ATTACK_KINDS; kind++)
        for (uint32_t size = 0; status == MR_OK && size < options->size_count; size++)
            status = attack_once(options, b, (mr_attack_kind)kind, size,
                                 &rows[kind * options->size_count + size], &a, err);
    mr_progress_end(&a.progress, a.done, NULL, a.clock.now_ms(a.clock.context));
    mr_memory_free(b->copy, b->r.bytes);
    close_loop(&b->r);
    free(b);
    return status;
}
