// SPDX-License-Identifier: Apache-2.0
#include "worker/bench/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/ports.h"
#include "worker/replay_result.h"
#include "worker/sweep/sweep.h"

enum { TOGETHER_MAX = 8, SET_BYTES = 32 }; // engines in one pass; "seed=..."

#define SPACE "embedding,diag_linucb,multi_interest" // and what stands on it
#define ALONE_POPULARITY "models.off=covisit," SPACE
#define ALONE_COVISIT "models.off=popularity," SPACE
#define ALONE_EMBEDDING "models.off=popularity,covisit,diag_linucb,multi_interest"
#define ALONE_INTERESTS "models.off=popularity,covisit,diag_linucb"
#define ALONE_EASE "models.off=popularity,covisit," SPACE
#define ALONE_CONTENT "models.off=popularity,covisit," SPACE
#define EASE "models.ease.pairs=12"
#define CONTENT "models.content.dim=64"
#define ALONE_COMPLEMENT "models.off=popularity,covisit," SPACE
#define COMPLEMENT "models.complement.dim=32"
#define COMPLEMENT_ALL COMPLEMENT, "models.complement.acts=all"
#define INTERESTS "models.multi_interest.dim=64", "models.multi_interest.interests=4"
#define SEQUENCE "models.sequence.dim=64"
#define SMOOTHING "models.smoothing.dim=64"
#define ALONE_PI2I "models.off=popularity,diag_linucb,multi_interest" // with what it stands on
#define PI2I "models.pi2i.triggers=10"
#define DISCOUNT "models.popularity_discount.beta=0.1"
#define COLD "models.cold_users.dim=64"
#define CODES "models.semantic_ids.dim=64"
#define FUSION "models.fusion.rate=0.05"
#define LIKING "models.liking.dim=32"
#define RANKER "models.ranker.hidden=experts"
#define TRAINED(loss, optimiser)                                                                   \
    "models.embedding.loss=" loss, "models.embedding.optimiser=" optimiser
#define EMBEDDING(loss, optimiser)                                                                 \
    {                                                                                              \
        "embedding, " loss ", " optimiser, "embedding",                                            \
        {                                                                                          \
            ALONE_EMBEDDING, TRAINED(loss, optimiser)                                              \
        }                                                                                          \
    }
#define UNBIASED(loss)                                                                             \
    {                                                                                              \
        "embedding, " loss ", sgd, exposure", "embedding",                                         \
        {                                                                                          \
            ALONE_EMBEDDING, TRAINED(loss, "sgd"), "models.embedding.exposure=0.1"                 \
        }                                                                                          \
    }
#define BLEND(loss, optimiser)                                                                     \
    {                                                                                              \
        "blend, " loss ", " optimiser, "blend",                                                    \
        {                                                                                          \
            TRAINED(loss, optimiser)                                                               \
        }                                                                                          \
    }

// Rows of one configuration stand together: it runs once.
static const mr_model_row rows[] = {
    {"popularity, never faded", "popularity", {ALONE_POPULARITY}},
    {"popularity, half-life 15 min", "popularity_15m", {ALONE_POPULARITY}},
    {"popularity, 1 h", "popularity_1h", {ALONE_POPULARITY}},
    {"popularity, 1 d", "popularity_1d", {ALONE_POPULARITY}},
    {"popularity, 7 d", "popularity_7d", {ALONE_POPULARITY}},
    {"co-visitation", "covisit", {ALONE_COVISIT}},
    {"ease", "ease", {ALONE_EASE, EASE}},
    {"content", "content", {ALONE_CONTENT, CONTENT}},
    {"content, a cosine", "content", {ALONE_CONTENT, CONTENT, "models.content.every=0"}},
    {"complement, of purchases", "complement", {ALONE_COMPLEMENT, COMPLEMENT}},
    {"complement_like, of purchases", "complement_like", {ALONE_COMPLEMENT, COMPLEMENT}},
    {"complement, of all acts", "complement", {ALONE_COMPLEMENT, COMPLEMENT_ALL}},
    {"complement_like, of all acts", "complement_like", {ALONE_COMPLEMENT, COMPLEMENT_ALL}},
    {"liking", "liking", {ALONE_CONTENT, LIKING}},
    {"semantic ids", "semantic_ids", {ALONE_CONTENT, CODES}},
    {"Diag-LinUCB, with its embedding",
     "diag_linucb",
     {"models.off=popularity,covisit,multi_interest"}},
    EMBEDDING("bpr", "adagrad"),
    EMBEDDING("bpr", "sgd"),
    EMBEDDING("bpr", "adam"),
    EMBEDDING("bpr", "gsnr"),
    EMBEDDING("bpr", "curvature"),
    EMBEDDING("softmax", "sgd"),
    EMBEDDING("hardest", "sgd"),
    EMBEDDING("chain", "sgd"),
    EMBEDDING("nested", "sgd"),
    EMBEDDING("metric", "sgd"),
    EMBEDDING("pointwise", "sgd"),
    UNBIASED("bpr"),
    UNBIASED("softmax"),
    UNBIASED("pointwise"),
    {"embedding, of 16 numbers", "embedding", {ALONE_EMBEDDING, "models.embedding.dim=16"}},
    {"embedding, of 32 numbers", "embedding", {ALONE_EMBEDDING, "models.embedding.dim=32"}},
    {"embedding, of 128 numbers", "embedding", {ALONE_EMBEDDING, "models.embedding.dim=128"}},
    {"short interest, with its embedding", "interest_short", {ALONE_INTERESTS, INTERESTS}},
    {"long interests, with their embedding", "interest_long", {ALONE_INTERESTS, INTERESTS}},
    {"sequence, minGRU, with its embedding", "sequence", {ALONE_EMBEDDING, SEQUENCE}},
    {"sequence, GRU, with its embedding",
     "sequence",
     {ALONE_EMBEDDING, SEQUENCE, "models.sequence.cell=gru"}},
    {"smoothing, with its embedding", "smoothing", {ALONE_EMBEDDING, SMOOTHING}},
    {"popularity discount, with its embedding",
     "popularity_discount",
     {ALONE_EMBEDDING, DISCOUNT}},
    {"pi2i, with co-visitation and embedding", "pi2i", {ALONE_PI2I, PI2I}},
    {"pi2i, the largest", "pi2i", {ALONE_PI2I, PI2I, "models.pi2i.over=max"}},
    {"cold users, with their embedding", "cold_users", {ALONE_EMBEDDING, COLD}},
    {"blend", "blend", {NULL}},
    BLEND("bpr", "sgd"),
    BLEND("softmax", "sgd"),
    BLEND("chain", "sgd"),
    {"blend, with ease", "blend", {EASE}},
    {"blend, without short interests", "blend", {"models.off=multi_interest"}},
    {"blend, with long interests", "blend", {INTERESTS}},
    {"blend, with sequence", "blend", {SEQUENCE}},
    {"blend, with smoothing", "blend", {SMOOTHING}},
    {"blend, with popularity discount", "blend", {DISCOUNT}},
    {"blend, with cold users", "blend", {COLD}},
    {"blend, with content", "blend", {CONTENT}},
    {"blend, with pi2i", "blend", {PI2I}},
    {"blend, with complement", "blend", {COMPLEMENT}},
    {"blend, with complement, all acts", "blend", {COMPLEMENT_ALL}},
    {"blend, with semantic ids", "blend", {CODES}},
    {"blend, with content and fusion", "blend", {CONTENT, FUSION}},
    {"fusion, of the default columns and content", "fusion", {CONTENT, FUSION}},
    {"embedding, which fusion reads", "embedding", {CONTENT, FUSION}},
    {"content, which fusion reads", "content", {CONTENT, FUSION}},
    {"short interest, which fusion reads", "interest_short", {CONTENT, FUSION}},
    {"blend, with liking", "blend", {LIKING}},
    {"blend, with ranker", "blend", {RANKER}},
    {"ranker, of the default columns", "ranker", {RANKER}},
};

_Static_assert(sizeof rows / sizeof rows[0] <= MR_MODEL_ROWS_MAX, "a table has all rows");

const mr_model_row *mr_model_rows(uint32_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

// ---- what a configuration is told

typedef struct tally { // sums: targets, recall, ndcg, mrr
    double count, of[MR_MODEL_TERMS];
} tally;

typedef struct run { // one configuration
    mr_config *config;
    mr_methods methods;
    tally tallies[MR_MODEL_PROTOCOLS][MR_MODEL_SEGMENTS][MR_ENGINE_COLUMNS_MAX + 1];
    double learn_ns; // an event
    uint64_t events;
    uint32_t column_count;
    const char *names[MR_ENGINE_COLUMNS_MAX + 1];
} run;

typedef struct making { // the whole of one log
    const mr_models_options *options;
    mr_model_table *table;
    uint32_t runs;                      // configurations
    uint32_t run_of[MR_MODEL_ROWS_MAX]; // by row of the table
    uint32_t row_of[MR_MODEL_ROWS_MAX]; // by configuration: the first row of it
    run *of;                            // by configuration, of this seed
    uint32_t first;                     // of the configurations that run now
    double (*values)[MR_MODEL_PROTOCOLS][MR_MODEL_SEGMENTS][MR_MODEL_TERMS][MR_MODEL_SEEDS_MAX];
} making;

static void add(tally *to, mr_hit_value hit)
{
    to->count += 1;
    to->of[0] += (double)hit.recall;
    to->of[1] += (double)hit.ndcg;
    to->of[2] += (double)hit.rr;
}

static void see_target(void *context, uint32_t index, const mr_target *target)
{
    const making *m = context;
    run *r = &m->of[m->first + index];
    const bool young = target->item_events > 0 && target->item_events < MR_YOUNG_ITEM;
    for (uint32_t c = 0; c <= target->column_count; c++) {
        add(&r->tallies[target->fresh][MR_MODEL_EVERYBODY][c], target->hits[c]);
        if (target->user_events < MR_YOUNG_USER)
            add(&r->tallies[target->fresh][MR_MODEL_NEW_USERS][c], target->hits[c]);
        if (young)
            add(&r->tallies[target->fresh][MR_MODEL_NEW_ITEMS][c], target->hits[c]);
    }
}

static void see_end(void *context, uint32_t index, const mr_replay_result *result)
{
    const making *m = context;
    run *r = &m->of[m->first + index];
    const mr_engine_metrics *last = &result->last;
    const double events = (double)result->counters.learned;
    r->events = result->events;
    r->column_count = last->column_count;
    r->learn_ns =
        events > 0 ? (double)last->costs[last->column_count].learn_ns / events : (double)NAN;
    for (uint32_t c = 0; c <= last->column_count; c++)
        r->names[c] = last->names[c];
}

// ---- configurations

static bool same_sets(const mr_model_row *a, const mr_model_row *b)
{
    for (uint32_t i = 0; i < MR_MODEL_SETS_MAX; i++)
        if ((a->sets[i] == NULL) != (b->sets[i] == NULL) ||
            (a->sets[i] != NULL && strcmp(a->sets[i], b->sets[i]) != 0))
            return false;
    return true;
}

// The row of just that name, if there is one; else those whose name has it in it, or whose column
// is called so.
static bool is_chosen(const char *only, const mr_model_row *row)
{
    for (uint32_t i = 0; only != NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, only) == 0)
            return row == &rows[i];
    return only == NULL || strstr(row->name, only) != NULL || strcmp(row->column, only) == 0;
}

static mr_status choose_rows(making *m, mr_error *err)
{
    const char *const only = m->options->only;
    mr_model_table *table = m->table;
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_chosen(only, &rows[i]))
            continue;
        const uint32_t at = table->count++;
        table->rows[at] = (mr_model_figures){.row = &rows[i]};
        if (at == 0 || !same_sets(&rows[i], table->rows[at - 1].row))
            m->row_of[m->runs++] = at;
        m->run_of[at] = m->runs - 1;
    }
    return table->count > 0
               ? MR_OK
               : mr_fail(err, MR_FATAL, "--only: no row's name has '%.60s' in it", only);
}

static mr_status open_run(making *m, uint32_t index, uint32_t seed, mr_error *err)
{
    const mr_model_row *row = m->table->rows[m->row_of[index]].row;
    run *r = &m->of[index];
    const char *sets[MR_MODEL_SETS_MAX + 1];
    char text[SET_BYTES];
    uint32_t count = 0;
    while (count < MR_MODEL_SETS_MAX && row->sets[count] != NULL) {
        sets[count] = row->sets[count];
        count++;
    }
    *r = (run){0};
    MR_TRY(mr_options_load_with(m->options->command, sets, count, &r->methods, &r->config, err));
    if (seed == 0)
        return MR_OK;
    snprintf(text, sizeof text, "seed=%lld", (long long)r->config->seed + seed);
    mr_config_free(r->config);
    mr_methods_close(&r->methods);
    sets[count++] = text;
    return mr_options_load_with(m->options->command, sets, count, &r->methods, &r->config, err);
}

static void close_runs(making *m)
{
    for (uint32_t i = 0; i < m->runs; i++)
        if (m->of[i].config != NULL) {
            mr_config_free(m->of[i].config);
            mr_methods_close(&m->of[i].methods);
            m->of[i].config = NULL;
        }
}

// ---- passes

// As many configurations at once as fit into memory.
static mr_status pass(making *m, mr_error *err)
{
    mr_sweep_configuration configurations[TOGETHER_MAX];
    mr_sweep_options sweep = {.replay = &m->options->replay,
                              .configurations = configurations,
                              .lanes = m->options->lanes,
                              .seed = 1,
                              .metric = {MR_SCORE_NEW, 0},
                              .context = m,
                              .scored = see_target,
                              .ended = see_end};
    const uint64_t machine = mr_memory_machine();
    mr_replay_options first = m->options->replay;
    for (; sweep.count < TOGETHER_MAX && m->first + sweep.count < m->runs; sweep.count++) {
        const uint32_t at = m->first + sweep.count;
        configurations[sweep.count] =
            (mr_sweep_configuration){.config = m->of[at].config, .methods = &m->of[at].methods};
        snprintf(configurations[sweep.count].name, MR_SWEEP_NAME_MAX, "%s",
                 m->table->rows[m->row_of[at]].row->name);
        mr_sweep_options with = sweep;
        with.count++;
        if (sweep.count > 0 && machine > 0 &&
            mr_sweep_fits(&with, machine, "this machine has", err) != MR_OK)
            break;
    }
    first.config = configurations[0].config;
    first.methods = configurations[0].methods;
    sweep.replay = &first;
    mr_sweep_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    const mr_status status = mr_sweep_run(&sweep, result, err);
    free(result);
    m->first += sweep.count;
    return status;
}

// What the engine takes for one user more and one item more.
static mr_status measure_bytes(const run *r, mr_model_figures *figures, mr_error *err)
{
    enum { USERS = 100000, ITEMS = 100000 };
    mr_engine_config config;
    size_t bytes[3];
    MR_TRY(
        mr_methods_engine(&r->methods, r->config, (uint32_t)r->config->replay_tasks, &config, err));
    config.users_max = USERS;
    config.items_max = ITEMS;
    MR_TRY(mr_engine_bytes(&config, &bytes[0], err));
    config.users_max = 2 * USERS;
    MR_TRY(mr_engine_bytes(&config, &bytes[1], err));
    config.users_max = USERS;
    config.items_max = 2 * ITEMS;
    MR_TRY(mr_engine_bytes(&config, &bytes[2], err));
    figures->user_bytes = (double)(bytes[1] - bytes[0]) / USERS;
    figures->item_bytes = (double)(bytes[2] - bytes[0]) / ITEMS;
    return MR_OK;
}

static mr_status take_figures(making *m, uint32_t seed, mr_error *err)
{
    for (uint32_t i = 0; i < m->table->count; i++) {
        const run *r = &m->of[m->run_of[i]];
        mr_model_figures *figures = &m->table->rows[i];
        uint32_t c = 0;
        while (c < r->column_count && strcmp(r->names[c], figures->row->column) != 0)
            c++;
        if (strcmp(r->names[c], figures->row->column) != 0)
            return mr_fail(err, MR_FATAL, "%s: its configuration has no column '%s'",
                           figures->row->name, figures->row->column);
        figures->learn_ns += r->learn_ns / m->options->seeds;
        m->table->events = r->events;
        for (uint32_t p = 0; p < MR_MODEL_PROTOCOLS; p++)
            for (uint32_t s = 0; s < MR_MODEL_SEGMENTS; s++) {
                const tally *t = &r->tallies[p][s][c];
                figures->targets[p][s] = t->count;
                for (uint32_t k = 0; k < MR_MODEL_TERMS; k++)
                    m->values[i][p][s][k][seed] = t->count > 0 ? t->of[k] / t->count : (double)NAN;
            }
        if (seed == 0)
            MR_TRY(measure_bytes(r, figures, err));
    }
    return MR_OK;
}

static mr_status run_seed(making *m, uint32_t seed, mr_error *err)
{
    for (uint32_t i = 0; i < m->runs; i++)
        MR_TRY(open_run(m, i, seed, err));
    for (m->first = 0; m->first < m->runs;)
        MR_TRY(pass(m, err));
    return take_figures(m, seed, err);
}

mr_model_mean mr_model_mean_of(const double *values, uint32_t count)
{
    // Quantile .975 of Student's t by degrees of freedom.
    static const double quantiles[MR_MODEL_SEEDS_MAX] = {
        (double)NAN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365,
        2.306,       2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131};
    double sum = 0, squares = 0;
    MR_ASSERT(count >= 1 && count <= MR_MODEL_SEEDS_MAX);
    for (uint32_t i = 0; i < count; i++)
        sum += values[i];
    const double mean = sum / count;
    for (uint32_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return (mr_model_mean){
        mean, count > 1 ? quantiles[count - 1] * sqrt(squares / (count - 1) / count) : (double)NAN};
}

static void conclude(making *m)
{
    for (uint32_t i = 0; i < m->table->count; i++)
        for (uint32_t p = 0; p < MR_MODEL_PROTOCOLS; p++)
            for (uint32_t s = 0; s < MR_MODEL_SEGMENTS; s++)
                for (uint32_t k = 0; k < MR_MODEL_TERMS; k++)
                    m->table->rows[i].of[p][s][k] =
                        mr_model_mean_of(m->values[i][p][s][k], m->options->seeds);
}

mr_status mr_models_run(const mr_models_options *options, mr_model_table *table, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const int64_t begun_ms = clock.now_ms(clock.context);
    making m = {.options = options, .table = table};
    MR_ASSERT(options->seeds >= 1 && options->seeds <= MR_MODEL_SEEDS_MAX);
    *table = (mr_model_table){.log = options->replay.inputs[0],
                              .seeds = options->seeds,
                              .warmup = options->replay.warmup};
    MR_TRY(choose_rows(&m, err));
    m.of = calloc(m.runs, sizeof *m.of);
    m.values = calloc(table->count, sizeof *m.values);
    mr_status status =
        m.of != NULL && m.values != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
    for (uint32_t seed = 0; status == MR_OK && seed < options->seeds; seed++) {
        status = run_seed(&m, seed, err);
        close_runs(&m);
    }
    if (status == MR_OK)
        conclude(&m);
    free(m.of);
    free(m.values);
    table->seconds = (double)(clock.now_ms(clock.context) - begun_ms) / 1000.0;
    return status;
}
