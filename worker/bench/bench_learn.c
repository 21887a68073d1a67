// SPDX-License-Identifier: Apache-2.0
// Learning, on one core: 10,000 users and 20,000 items by Zipf's law, one task, epochs of 256
// events.
//
// The reference of the embedding model is its bare arithmetic, the same kernels on tables of the
// same sizes: per event the user's row against five items' rows (5 dots), and a step of each (6
// axpys). What the engine does beside it: ids to rows, de-duplication, draws of negatives, the
// loss, gradients of both sides, clipping, AdaGrad, deltas and their merge. CPU time of the thread.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/model/loss.h"
#include "worker/bench/bench.h"
#include "worker/bench/learner.h"
#include "worker/bench/measure.h"

enum {
    DIM = 64,
    NEGATIVES = 4,
    WARM_EVENTS = 1 << 18, // until nearly every user and item is there
    RUN_EVENTS = 1 << 16,
    RUNS = 9,
    COMMIT_EVENTS = 1 << 14,
    NEVER = 1 << 30,
};

// ---- the bare arithmetic

typedef struct tables {
    float *users, *items;
    mr_traffic *traffic;
    uint64_t noise;
} tables;

enum { STRIDE = DIM + 2 }; // as the engine's rows of items: AdaGrad's two numbers behind the vector

static mr_status make_tables(tables *t, const mr_traffic_options *traffic, mr_error *err)
{
    uint64_t noise = 1;
    *t = (tables){.users = calloc(traffic->taste.users, STRIDE * sizeof(float)),
                  .items = calloc(traffic->taste.items, STRIDE * sizeof(float))};
    if (t->users == NULL || t->items == NULL)
        return mr_fail(err, MR_FATAL, "bench learn: out of memory");
    for (size_t i = 0; i < (size_t)traffic->taste.users * STRIDE; i++)
        t->users[i] = 0.01f * mr_noise_normal(&noise);
    for (size_t i = 0; i < (size_t)traffic->taste.items * STRIDE; i++)
        t->items[i] = 0.01f * mr_noise_normal(&noise);
    return mr_traffic_open(traffic, &t->traffic, err);
}

static void drop_tables(tables *t)
{
    free(t->users);
    free(t->items);
    mr_traffic_close(t->traffic);
}

typedef struct acts { // drawn before the clock starts
    uint32_t user, items[1 + NEGATIVES];
} acts;

static double bare_seconds(tables *t, uint32_t item_count, acts *drawn, uint32_t count)
{
    const mr_vec *vec = mr_vec_best();
    for (uint32_t i = 0; i < count; i++) {
        mr_traffic_draw(t->traffic, &drawn[i].user, &drawn[i].items[0]);
        for (uint32_t n = 1; n <= NEGATIVES; n++)
            drawn[i].items[n] = (uint32_t)(mr_noise(&t->noise) % item_count);
    }
    const double start = mr_thread_seconds();
    for (uint32_t i = 0; i < count; i++) {
        float *user = t->users + (size_t)drawn[i].user * STRIDE, scores[1 + NEGATIVES];
        for (uint32_t n = 0; n <= NEGATIVES; n++)
            scores[n] = vec->dot(user, t->items + (size_t)drawn[i].items[n] * STRIDE, DIM);
        for (uint32_t n = 0; n <= NEGATIVES; n++)
            vec->axpy(t->items + (size_t)drawn[i].items[n] * STRIDE, -1e-6f * scores[n], user, DIM);
        vec->axpy(user, -1e-6f, t->items + (size_t)drawn[i].items[0] * STRIDE, DIM);
    }
    return mr_thread_seconds() - start;
}

// ---- the engine

static const char *const others_off[] = {"popularity", "covisit", "diag_linucb", "multi_interest"};

static mr_engine_config base_config(const mr_traffic_options *traffic)
{
    mr_engine_config config = mr_engine_defaults();
    config.items_max = traffic->taste.items;
    config.users_max = traffic->taste.users + 1024;
    config.lists = false;
    config.probe_every = NEVER;
    return config;
}

// Times of RUNS runs, each beside the bare arithmetic.
static mr_status run_embedding(const mr_traffic_options *traffic, mr_loss loss, mr_runs *runs,
                               mr_error *err)
{
    const mr_setting settings[] = {{"embedding", "dim", DIM},
                                   {"embedding", "negatives", NEGATIVES},
                                   {"embedding", "loss", loss}};
    mr_engine_config config = base_config(traffic);
    mr_learner learner;
    tables t;
    acts *drawn = calloc(RUN_EVENTS, sizeof *drawn);
    config.settings = settings;
    config.setting_count = sizeof settings / sizeof settings[0];
    config.off = others_off;
    config.off_count = sizeof others_off / sizeof others_off[0];
    if (drawn == NULL)
        return mr_fail(err, MR_FATAL, "bench learn: out of memory");
    mr_status status = make_tables(&t, traffic, err);
    if (status == MR_OK) {
        status = mr_learner_open(&learner, &config, true, traffic, err);
        if (status == MR_OK)
            status = mr_learner_learn(&learner, WARM_EVENTS, COMMIT_EVENTS, err);
        bare_seconds(&t, traffic->taste.items, drawn, RUN_EVENTS);
        for (uint32_t run = 0; status == MR_OK && run < RUNS; run++) {
            const double reference = bare_seconds(&t, traffic->taste.items, drawn, RUN_EVENTS);
            const double before = learner.round_seconds;
            status = mr_learner_learn(&learner, RUN_EVENTS, COMMIT_EVENTS, err);
            mr_runs_add(runs, learner.round_seconds - before, reference);
        }
        mr_learner_close(&learner);
    }
    drop_tables(&t);
    free(drawn);
    return status;
}

static mr_figure figure_of(const char *name, const char *reference, mr_runs *runs)
{
    return (mr_figure){
        .name = name,
        .value = RUN_EVENTS / mr_median(runs->ours, runs->count),
        .unit = "events/s",
        .reference = reference,
        .reference_value = RUN_EVENTS / mr_median(runs->reference, runs->count),
        .ratio = mr_median(runs->ratio, runs->count),
    };
}

// All models with their defaults: the rounds alone, and with the rows of the commits, each against
// the embedding model alone (with 4 negatives, so that it is the same figure as above).
static mr_status run_defaults(const mr_traffic_options *traffic, const mr_runs *alone,
                              mr_runs *rounds, mr_runs *whole, mr_error *err)
{
    mr_engine_config config = base_config(traffic);
    mr_learner learner;
    config.probe_every = mr_engine_defaults().probe_every;
    MR_TRY(mr_learner_open(&learner, &config, true, traffic, err));
    mr_status status = mr_learner_learn(&learner, WARM_EVENTS, COMMIT_EVENTS, err);
    for (uint32_t run = 0; status == MR_OK && run < RUNS; run++) {
        const double round = learner.round_seconds, close = learner.close_seconds;
        status = mr_learner_learn(&learner, RUN_EVENTS, COMMIT_EVENTS, err);
        const double seconds = learner.round_seconds - round;
        mr_runs_add(rounds, seconds, alone->ours[run]);
        mr_runs_add(whole, seconds + learner.close_seconds - close, alone->ours[run]);
    }
    mr_learner_close(&learner);
    return status;
}

// ---- memory of a user

static double resident_bytes(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

// Clicks of users who are all alike on 1,000 items that are too.
static mr_traffic_options even_traffic(uint64_t seed, uint32_t users)
{
    mr_traffic_options traffic = mr_traffic_defaults();
    traffic.taste.seed = seed;
    traffic.taste.users = users;
    traffic.taste.items = 1000;
    traffic.taste.engagement = traffic.taste.popularity = (mr_law){MR_LAW_ZIPF, 0, 0};
    traffic.carts = traffic.purchases = 0;
    return traffic;
}

// How much the process grows by each new user, all models on: his record and its index, and the
// caches (the list that he has, for metrics). Items, deltas and the window of recent events have
// their size already: few users and many events come first. Then what the engine reserves of
// users.memory for each: the same without caches.
static mr_status run_memory(mr_figure *figures, uint32_t room, uint32_t *count, mr_error *err)
{
    enum { NEW_USERS = 200000, WINDOW = 1 << 16 };
    const mr_traffic_options few = even_traffic(2, 100), many = even_traffic(3, NEW_USERS);
    mr_engine_config config = mr_engine_defaults();
    mr_learner learner;
    mr_traffic *crowd;
    config.lists = false;
    config.items_max = few.taste.items;
    config.users_max = NEW_USERS + 1024;
    config.dedup_events_max = WINDOW;
    MR_TRY(mr_learner_open(&learner, &config, false, &few, err));
    mr_status status = mr_learner_learn(&learner, 4 * WINDOW, COMMIT_EVENTS, err);
    if (status == MR_OK)
        status = mr_traffic_open(&many, &crowd, err);
    if (status == MR_OK) {
        mr_traffic_close(learner.traffic);
        learner.traffic = crowd;
        const double before = resident_bytes();
        status = mr_learner_learn(&learner, 4 * NEW_USERS, COMMIT_EVENTS, err);
        mr_engine_metrics metrics;
        const double grown = resident_bytes() - before;
        mr_engine_measure(learner.engine, &metrics);
        uint32_t planned = 0;
        if (status == MR_OK)
            status = mr_engine_users_for(&config, (size_t)1 << 30, &planned, err);
        if (status == MR_OK && *count < room) {
            const double goal = 640.0 + 8.0 * DIM, bytes = grown / (double)metrics.users_cached;
            figures[(*count)++] = (mr_figure){
                "user_bytes_and_caches", bytes, "bytes", "640 + 8 d", goal, goal / bytes};
        }
        if (status == MR_OK && *count < room) {
            const double goal = 640.0 + 8.0 * DIM, bytes = (double)(1 << 30) / planned;
            figures[(*count)++] =
                (mr_figure){"user_bytes", bytes, "bytes", "640 + 8 d", goal, goal / bytes};
        }
    }
    mr_learner_close(&learner);
    return status;
}

mr_status mr_bench_learn(mr_figure *figures, uint32_t *count, mr_error *err)
{
    mr_traffic_options traffic = mr_traffic_defaults();
    traffic.carts = traffic.purchases = 0;
    const uint32_t room = *count;
    mr_runs bpr = {0}, softmax = {0}, rounds = {0}, whole = {0};
    *count = 0;
    MR_TRY(run_embedding(&traffic, MR_LOSS_BPR, &bpr, err));
    MR_TRY(run_embedding(&traffic, MR_LOSS_SOFTMAX, &softmax, err));
    MR_TRY(run_defaults(&traffic, &bpr, &rounds, &whole, err));
    const mr_figure all[] = {
        figure_of("learn_embedding_bpr", "5 dots and 6 axpys an event", &bpr),
        figure_of("learn_embedding_softmax", "5 dots and 6 axpys an event", &softmax),
        figure_of("learn_default_models", "embedding_bpr", &rounds),
        figure_of("learn_default_models_and_rows", "embedding_bpr", &whole),
    };
    for (uint32_t i = 0; i < sizeof all / sizeof all[0] && *count < room; i++)
        figures[(*count)++] = all[i];
    return run_memory(figures, room, count, err);
}
