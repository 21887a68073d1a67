// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/forks.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schemas/encode.h"
#include "worker/progress.h"
#include "worker/sweep/space.h"

enum { LIST_BYTES_MAX = 1 << 18, SIDES = 2, PROGRESS_EVERY = 64 };

typedef struct side {
    mr_rerun_options options;
    mr_rerun *rerun;
    mr_rerun_result result;
    uint64_t events_before; // the fork
    uint64_t commits_before;
    mr_scores scores;
    mr_measure measure;
    mr_journal journal;
    mr_hash128 lists_hash;
    uint8_t *list;
    double cpu_seconds;
    bool counts; // the fork has come
} side;

typedef struct forks {
    const mr_forks_options *options;
    side sides[SIDES]; // as it was; the fork
    mr_list_differences differences;
} forks;

mr_status mr_forks_allow(const mr_config *config, const char *path, bool midway, mr_error *err)
{
    static const char *const meanings[] = {"seed", "items.vector_length", "models.embedding.dim",
                                           "models.embedding.loss", "models.embedding.optimiser",
                                           "models.diag_linucb.clusters", "models.off"};
    MR_TRY(mr_space_allows(config, path, err));
    if (strncmp(path, "epoch.", 6) == 0 || strncmp(path, "replay.", 7) == 0)
        return mr_fail(err, MR_FATAL, "%s: epochs and commits are those of the log", path);
    bool meaning = strstr(path, "half_life") != NULL;
    for (uint32_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        meaning = meaning || strcmp(path, meanings[i]) == 0;
    if (midway && meaning)
        return mr_fail(err, MR_FATAL,
                       "%s: decides what rows mean that were learned before the fork: want no "
                       "--from, so that the branch begins without any",
                       path);
    return MR_OK;
}

// ---- what a branch does

static void see_target(void *context, const mr_target *target)
{
    side *s = context;
    if (s->counts)
        mr_scores_add(&s->scores, target);
}

static void see_event(void *context, const mr_event *event)
{
    side *s = context;
    mr_measure_event(&s->measure, event);
}

static void see_list(void *context, const mr_list *list)
{
    side *s = context;
    mr_writer out = mr_writer_make(s->list, LIST_BYTES_MAX);
    mr_measure_list(&s->measure, list);
    if (!s->counts)
        return;
    mr_encode_list(&out, list);
    MR_ASSERT(!out.full);
    const mr_hash128 chain[2] = {s->lists_hash, mr_hash128_of(out.data, out.size, 0)};
    s->lists_hash = mr_hash128_of(chain, sizeof chain, 0);
    mr_journal_note(&s->journal, list);
}

static double cpu_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static mr_status run_commit(side *s, uint32_t partition, mr_error *err)
{
    const double begun = cpu_now();
    const mr_status status = mr_rerun_commit(s->rerun, partition, err);
    s->cpu_seconds += s->counts ? cpu_now() - begun : 0;
    return status;
}

// ---- both

// From here on it counts.
static void begin(forks *f)
{
    for (uint32_t i = 0; i < SIDES; i++) {
        side *s = &f->sides[i];
        s->counts = true;
        s->events_before = s->result.events;
        s->commits_before = s->result.commits;
        mr_measure_reset(&s->measure);
    }
}

static mr_status run_next(forks *f, uint32_t *partition, mr_error *err)
{
    side *was = &f->sides[0], *fork = &f->sides[1];
    MR_TRY(mr_rerun_next(was->rerun, partition, err));
    if (*partition == UINT32_MAX)
        return MR_OK;
    if (!was->counts && mr_rerun_time(was->rerun, *partition) > f->options->fork->from_ms)
        begin(f);
    MR_TRY(run_commit(was, *partition, err));
    if (run_commit(fork, *partition, err) != MR_OK)
        return mr_wrap(err, "%s", f->options->name);
    MR_TRY(mr_journal_compare(&was->journal, &fork->journal, &f->differences, err));
    mr_journal_empty(&was->journal);
    mr_journal_empty(&fork->journal);
    return MR_OK;
}

static mr_status run_all(forks *f, mr_progress *progress, mr_error *err)
{
    const mr_rerun_options *o = f->options->was;
    for (uint32_t partition;;) {
        uint64_t done, total;
        MR_TRY(run_next(f, &partition, err));
        if (partition == UINT32_MAX)
            break;
        mr_rerun_progress(f->sides[0].rerun, &done, &total);
        if (f->sides[0].result.commits % PROGRESS_EVERY == 0)
            mr_progress_update(progress, done, NULL, o->clock->now_ms(o->clock->context));
    }
    return f->sides[0].counts
               ? MR_OK
               : mr_fail(err, MR_FATAL, "there is no commit after the time of the fork");
}

// ---- opening and closing

static mr_status open_side(forks *f, uint32_t index, mr_error *err)
{
    side *s = &f->sides[index];
    const mr_config *config = f->options->was->config;
    const mr_measure_options measure = {.users_max = MR_MEASURE_USERS_MAX,
                                        .items_max = (uint32_t)config->items_max,
                                        .resamples = MR_MEASURE_RESAMPLES,
                                        .seed = (uint64_t)config->seed};
    s->options = *f->options->was;
    s->options.paired = true;
    s->options.watch = (mr_rerun_watch){s, see_event, see_list, {s, see_target}};
    if (index == 1) {
        s->options.archive = f->options->archive;
        s->options.store = f->options->store;
        s->options.fork = f->options->fork;
        s->options.until_ms = mr_rerun_until(f->sides[0].rerun);
    }
    s->list = malloc(LIST_BYTES_MAX);
    if (s->list == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    MR_TRY(mr_measure_open(&s->measure, &measure, err));
    MR_TRY(mr_scores_open(&s->scores, measure.seed, err));
    return mr_rerun_open(&s->options, &s->result, &s->rerun, err);
}

static void close_side(side *s)
{
    mr_rerun_close(s->rerun);
    mr_scores_close(&s->scores);
    mr_measure_close(&s->measure);
    mr_journal_close(&s->journal);
    free(s->list);
}

static void conclude(forks *f, mr_sweep_result *result)
{
    const side *first = &f->sides[0];
    for (uint32_t i = 0; i < SIDES; i++) {
        mr_rerun_conclude(f->sides[i].rerun);
        mr_measure_conclude(&f->sides[i].measure, 0);
    }
    for (uint32_t i = 0; i < SIDES; i++) {
        side *s = &f->sides[i];
        mr_sweep_row *row = &result->rows[result->count++];
        *row = (mr_sweep_row){.name = i == 0 ? "as configured" : f->options->name,
                              .index = i,
                              .events = s->result.events - s->events_before,
                              .commits = s->result.commits - s->commits_before,
                              .cpu_seconds = s->cpu_seconds,
                              .state_hash = s->result.state_hash,
                              .lists_hash = s->lists_hash};
        if (i > 0)
            row->lists = f->differences;
        mr_sweep_judge(row, &s->scores, &s->measure, &s->measure.shown_result, &first->scores,
                       &first->measure);
    }
    mr_sweep_order(result);
}

mr_status mr_forks_run(const mr_forks_options *options, mr_rerun_result *was,
                       mr_sweep_result *result, mr_error *err)
{
    const mr_rerun_options *o = options->was;
    const int64_t begun_ms = o->clock->now_ms(o->clock->context);
    mr_progress progress = {0};
    uint64_t done = 0, total = 0;
    *result = (mr_sweep_result){.metric = options->metric, .lanes = 1};
    forks *f = calloc(1, sizeof *f);
    if (f == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    f->options = options;
    mr_status status = open_side(f, 0, err);
    if (status == MR_OK)
        status = open_side(f, 1, err);
    if (status == MR_OK) {
        mr_rerun_progress(f->sides[0].rerun, &done, &total);
        mr_progress_begin(&progress, o->progress ? stderr : NULL, mr_progress_is_terminal(stderr),
                          "the epoch log", total, begun_ms);
        status = run_all(f, &progress, err);
        mr_progress_end(&progress, status == MR_OK ? total : 0, NULL,
                        o->clock->now_ms(o->clock->context));
    }
    if (status == MR_OK)
        conclude(f, result);
    *was = f->sides[0].result;
    for (uint32_t i = 0; i < SIDES; i++)
        close_side(&f->sides[i]);
    free(f);
    result->seconds = (double)(o->clock->now_ms(o->clock->context) - begun_ms) / 1000.0;
    return status;
}
