// SPDX-License-Identifier: Apache-2.0
// models: how well each method foresees acts of a log, and what it costs: the model table.
//
// A row is a column of one configuration: a method alone, or with what it needs, or all together as
// they are published. Every act is ranked against everything before it is learned, under both
// protocols (core/eval/probe.h). Several configurations learn the log in one pass (worker/sweep);
// the whole is done with several seeds, over which the intervals are.
#ifndef MR_WORKER_BENCH_MODELS_H
#define MR_WORKER_BENCH_MODELS_H

#include <stdio.h>

#include "worker/command.h"
#include "worker/replay.h"

enum {
    MR_MODEL_ROWS_MAX = 96,
    MR_MODEL_SETS_MAX = 4,
    MR_MODEL_SEEDS_MAX = 16,
    MR_YOUNG_USER = 5,  // fewer acts than that were learned of a new user,
    MR_YOUNG_ITEM = 10, // and fewer than that, but one, of a new item
};

typedef struct mr_model_row {            // what is asked for
    const char *name;                    // of the method, for people
    const char *column;                  // of the engine's metrics; "blend": what is published
    const char *sets[MR_MODEL_SETS_MAX]; // what its configuration has more than the given one
} mr_model_row;

// The rows that there are.
const mr_model_row *mr_model_rows(uint32_t *count);

typedef enum mr_model_segment {
    MR_MODEL_EVERYBODY,
    MR_MODEL_NEW_USERS,
    MR_MODEL_NEW_ITEMS,
    MR_MODEL_SEGMENTS,
} mr_model_segment;
enum { MR_MODEL_PROTOCOLS = 2, MR_MODEL_TERMS = 3 }; // all, new; recall, ndcg, mrr, at 20

typedef struct mr_model_mean { // over seeds
    double value, half_width;  // of the 95 % interval by Student's t; NAN with one seed
} mr_model_mean;

typedef struct mr_model_figures { // of one row
    const mr_model_row *row;
    mr_model_mean of[MR_MODEL_PROTOCOLS][MR_MODEL_SEGMENTS][MR_MODEL_TERMS];
    double targets[MR_MODEL_PROTOCOLS][MR_MODEL_SEGMENTS]; // a seed
    double learn_ns;                                       // an event, of all methods that ran
    double user_bytes, item_bytes; // of the engine, a user or item more, caches included
} mr_model_figures;

typedef struct mr_model_table { // of one log
    const char *log;
    uint64_t events;
    uint32_t seeds, count;
    double warmup, seconds;
    mr_model_figures rows[MR_MODEL_ROWS_MAX];
} mr_model_table;

typedef struct mr_models_options {
    mr_options *command;      // its settings hold for every row
    mr_replay_options replay; // one input; configuration and methods are not used
    uint32_t seeds;           // from the configuration's seed on
    uint32_t lanes;
    const char *only; // the row of that name, or rows whose name or column has it in it; NULL: all
} mr_models_options;

// Errors: MR_FATAL: no such row; those of a sweep.
MR_CHECKED mr_status mr_models_run(const mr_models_options *options, mr_model_table *table,
                                   mr_error *err);

// Mean and half width of the 95 % interval of `count` values.
mr_model_mean mr_model_mean_of(const double *values, uint32_t count);

struct json_t *mr_models_json(const mr_model_table *table);
// markdown: as rows of a page.
void mr_models_print(const mr_model_table *table, bool markdown, FILE *out);

#endif
