// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/input/input.h"
#include "worker/lanes.h"
#include "worker/ports.h"
#include "worker/replay_read.h"

enum { BATCH = 256, NOTE_BYTES = 64 }; // arrivals: few milliseconds of work for a branch

typedef struct branch {
    const struct sweep *sweep;
    mr_replay_options options;
    mr_branch *branch; // NULL: dropped
    mr_scores scores;
    mr_journal journal;
    mr_list_differences differences;
    mr_perturbation perturbation;
    uint64_t changed; // acts
    uint64_t *items;  // keys of what a user acted on whose acts are left out; may stand there often
    uint64_t item_count, item_room;
    double cpu_seconds, value;
    mr_status status; // of the batch
    mr_error err;
} branch;

typedef struct sweep {
    const mr_sweep_options *options;
    mr_sweep_result *result;
    branch *branches;
    uint32_t count;
    mr_lane_pool *pool;
    mr_replay_reading reading;
    char note[NOTE_BYTES];
    uint64_t total, done; // arrivals of files; bytes or offsets of topics
    mr_arrival *batch;
    uint32_t batch_count;
    mr_arena arena; // what the batch points to
    bool warm;      // scoring has begun
    uint32_t rung;  // the next
} sweep;

// ---- one branch, on whatever lane

static void see_target(void *context, const mr_target *target)
{
    branch *b = context;
    const mr_sweep_options *options = b->sweep->options;
    mr_scores_add(&b->scores, target);
    if (options->scored != NULL && b->sweep->warm)
        options->scored(options->context, (uint32_t)(b - b->sweep->branches), target);
}

static void see_list(void *context, const mr_list *list)
{
    branch *b = context;
    mr_journal_note(&b->journal, list);
}

static double cpu_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static mr_status note_item(branch *b, mr_bytes item)
{
    if (b->item_count == b->item_room) {
        const uint64_t room = b->item_room > 0 ? 2 * b->item_room : 64;
        uint64_t *items = realloc(b->items, room * sizeof *items);
        if (items == NULL)
            return mr_fail(&b->err, MR_FATAL, "out of memory");
        b->items = items;
        b->item_room = room;
    }
    b->items[b->item_count++] = mr_item_key(item);
    return MR_OK;
}

// What the user acted on whose acts are left out.
static mr_status note_items(branch *b, const mr_event *event)
{
    if (b->perturbation.what != MR_PERTURB_USER)
        return MR_OK;
    for (uint32_t i = 0; i < event->line_count; i++)
        MR_TRY(note_item(b, event->lines[i].item));
    return event->line_count == 0 ? note_item(b, event->item) : MR_OK;
}

// place: how many arrivals came before it.
static mr_status learn(branch *b, uint64_t place, const mr_arrival *arrival)
{
    mr_arrival other = *arrival;
    const mr_perturbed what =
        mr_perturbation_of(&b->perturbation, place, &arrival->event, &other.event);
    b->changed += what != MR_PERTURBED_KEPT;
    if (what == MR_PERTURBED_GONE)
        MR_TRY(note_items(b, &arrival->event));
    if (what == MR_PERTURBED_KEPT || what == MR_PERTURBED_AFTER)
        MR_TRY(mr_branch_add(b->branch, arrival, &b->err));
    return what == MR_PERTURBED_INSTEAD || what == MR_PERTURBED_AFTER
               ? mr_branch_add(b->branch, &other, &b->err)
               : MR_OK;
}

static mr_status learn_all(const sweep *s, branch *b)
{
    for (uint32_t a = 0; a < s->batch_count; a++) {
        const mr_arrival *arrival = &s->batch[a];
        if (arrival->cause != MR_CAUSE_NONE)
            mr_branch_refuse(b->branch, arrival->cause);
        else if (b->perturbation.what == MR_PERTURB_NOTHING)
            MR_TRY(mr_branch_add(b->branch, arrival, &b->err));
        else
            MR_TRY(learn(b, s->done + a, arrival));
    }
    return MR_OK;
}

static void learn_batch(void *arg, uint32_t index)
{
    const sweep *s = arg;
    branch *b = &s->branches[index];
    if (b->branch == NULL)
        return;
    const double begun = cpu_now();
    b->status = learn_all(s, b);
    b->cpu_seconds += cpu_now() - begun;
}

static void end_branch(void *arg, uint32_t index)
{
    const sweep *s = arg;
    branch *b = &s->branches[index];
    if (b->branch == NULL || !mr_branch_began(b->branch)) // a perturbation may leave nothing
        return;
    const double begun = cpu_now();
    b->status = mr_branch_end(b->branch, &b->err);
    b->cpu_seconds += cpu_now() - begun;
}

// Runs a job for all branches; then lists are compared, pair by pair.
static mr_status for_all(sweep *s, void (*job)(void *arg, uint32_t index), mr_error *err)
{
    const mr_lanes lanes = mr_lane_pool_port(s->pool);
    lanes.run(lanes.context, job, s, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        branch *b = &s->branches[i];
        if (b->status == MR_OK)
            continue;
        *err = b->err;
        return mr_wrap(err, "%s", s->options->configurations[i].name);
    }
    for (uint32_t i = 1; i < s->count; i++) {
        branch *b = &s->branches[i];
        if (b->branch != NULL)
            MR_TRY(mr_journal_compare(&s->branches[0].journal, &b->journal, &b->differences, err));
        mr_journal_empty(&b->journal);
    }
    mr_journal_empty(&s->branches[0].journal);
    return MR_OK;
}

// ---- rungs

static const mr_measure *measure_of(const branch *b)
{
    return &mr_branch_result(b->branch)->measure;
}

void mr_sweep_judge(mr_sweep_row *row, const mr_scores *scores, const mr_measure *measure,
                    const mr_shown_result *shown, const mr_scores *first_scores,
                    const mr_measure *first_measure)
{
    row->score = mr_scores_of(scores, measure);
    row->difference = mr_scores_difference(first_scores, first_measure, scores, measure);
    row->coverage = shown->spread.coverage;
    row->gini = shown->spread.gini;
    row->arp = shown->mean.arp;
}

static mr_status judge_residue(const sweep *s, branch *b, mr_sweep_row *row, mr_error *err)
{
    row->without_user = true;
    return mr_residue_of(mr_branch_engine(s->branches[0].branch), mr_branch_engine(b->branch),
                         b->items, b->item_count, &row->residue, err);
}

static void judge_sensitivity(const sweep *s, const branch *b, mr_sweep_row *row)
{
    uint64_t user;
    const bool without = mr_perturbation_is_of_user(&b->perturbation, &user);
    row->perturbed = true;
    row->changed = b->changed;
    row->sensitivity = mr_sensitivity_of(measure_of(&s->branches[0]), measure_of(b),
                                         without ? &user : NULL, s->options->seed);
}

// dropped_at 0: the branch has ended.
static void add_row(sweep *s, uint32_t index, double dropped_at)
{
    const branch *b = &s->branches[index], *first = &s->branches[0];
    mr_replay_result *of = mr_branch_result(b->branch);
    const bool ended = dropped_at <= 0 && mr_branch_began(b->branch);
    const mr_shown_result shown =
        ended ? of->measure.shown_result : mr_shown_judge(&of->measure.shown);
    mr_sweep_row *row = &s->result->rows[s->result->count++];
    *row = (mr_sweep_row){
        .name = s->options->configurations[index].name,
        .index = index,
        .dropped_at = dropped_at,
        .events = of->events,
        .commits = of->commits,
        .cpu_seconds = b->cpu_seconds,
        .state_hash = of->state_hash,
        .lists_hash = of->lists_hash,
        .lists = b->differences,
    };
    mr_sweep_judge(row, &b->scores, measure_of(b), &shown, &first->scores, measure_of(first));
    if (s->options->configurations[index].perturbation != NULL)
        judge_sensitivity(s, b, row);
}

static void close_branch(branch *b)
{
    mr_branch_close(b->branch);
    b->branch = NULL;
    mr_scores_close(&b->scores);
    mr_journal_close(&b->journal);
    free(b->items);
    b->items = NULL;
}

static void count_branches(sweep *s)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->count; i++)
        left += s->branches[i].branch != NULL;
    snprintf(s->note, sizeof s->note, "%u of %u configurations", left, s->count);
}

// No target yet is worse than any.
static bool is_worse(const branch *a, const branch *b)
{
    return !(a->value >= b->value) && !isnan(b->value);
}

// The worse half of those that are left goes; of equal ones the later.
static void drop_half(sweep *s, double share)
{
    uint32_t left = 0;
    for (uint32_t i = 1; i < s->count; i++) {
        branch *b = &s->branches[i];
        left += b->branch != NULL;
        if (b->branch != NULL)
            b->value = mr_score_now(&b->scores, measure_of(b), s->options->metric);
    }
    for (uint32_t gone = 0; gone < left / 2; gone++) {
        uint32_t worst = 0;
        for (uint32_t i = 1; i < s->count; i++)
            if (s->branches[i].branch != NULL &&
                (worst == 0 || !is_worse(&s->branches[worst], &s->branches[i])))
                worst = i;
        add_row(s, worst, share);
        close_branch(&s->branches[worst]);
    }
    count_branches(s);
}

// How far the inputs are read, by offsets of topics or by arrivals of files.
static double share_of(const sweep *s)
{
    const uint64_t done = s->options->replay->topics ? s->reading.done : s->done;
    const uint64_t total = s->options->replay->topics ? s->reading.total : s->total;
    return total > 0 ? (double)done / (double)total : 0;
}

static void look_where(sweep *s)
{
    const double warmup = s->options->replay->warmup, share = share_of(s);
    if (!s->warm && share >= warmup) {
        s->warm = true;
        for (uint32_t i = 0; i < s->count && warmup > 0; i++)
            mr_scores_reset(&s->branches[i].scores);
    }
    while (s->rung < s->options->rungs &&
           share >= warmup + (1 - warmup) * ldexp(1, (int)s->rung - (int)s->options->rungs)) {
        drop_half(s, share);
        s->rung++;
    }
}

// ---- batches

static mr_status flush(sweep *s, mr_error *err)
{
    if (s->batch_count == 0)
        return MR_OK;
    MR_TRY(for_all(s, learn_batch, err));
    s->done += s->batch_count;
    s->batch_count = 0;
    mr_arena_reset(&s->arena);
    look_where(s);
    return MR_OK;
}

static mr_status take(void *context, const mr_arrival *arrival, mr_error *err)
{
    sweep *s = context;
    const bool event = arrival->cause == MR_CAUSE_NONE;
    if (s->batch_count == BATCH ||
        (event && mr_input_copy_bytes(&arrival->event) > s->arena.size - s->arena.used))
        MR_TRY(flush(s, err));
    mr_arrival *to = &s->batch[s->batch_count++];
    *to = *arrival;
    if (event)
        mr_input_copy(&to->event, &arrival->event, &s->arena);
    return MR_OK;
}

// ---- opening and closing

static mr_status open_branch(sweep *s, uint32_t index, mr_error *err)
{
    branch *b = &s->branches[index];
    const mr_sweep_configuration *from = &s->options->configurations[index];
    b->sweep = s;
    b->options = *s->options->replay;
    b->options.config = from->config;
    b->options.methods = from->methods;
    b->options.out = NULL;
    b->options.measure = b->options.judge = true;
    if (from->perturbation != NULL)
        b->perturbation = *from->perturbation;
    const mr_branch_hooks hooks = {.lanes = 1,
                                   .resample_seed = s->options->seed,
                                   .watch = mr_watch_thread(),
                                   .probed = {b, see_target},
                                   .context = b,
                                   .list = see_list};
    MR_TRY(mr_scores_open(&b->scores, s->options->seed, err));
    return mr_branch_open(&b->options, &hooks, &b->branch, err);
}

static mr_status open_sweep(sweep *s, mr_error *err)
{
    const size_t bytes =
        mr_arena_round((size_t)s->options->configurations[0].config->epoch_bytes_max);
    void *memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    mr_arena_init(&s->arena, memory, bytes);
    s->batch = calloc(BATCH, sizeof *s->batch);
    s->branches = calloc(s->count, sizeof *s->branches);
    if (memory == NULL || s->batch == NULL || s->branches == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    MR_TRY(mr_lane_pool_open(s->options->lanes, &s->pool, err));
    for (uint32_t i = 0; i < s->count; i++) {
        if (open_branch(s, i, err) != MR_OK)
            return mr_wrap(err, "%s", s->options->configurations[i].name);
    }
    count_branches(s);
    return MR_OK;
}

static void close_sweep(sweep *s)
{
    for (uint32_t i = 0; s->branches != NULL && i < s->count; i++)
        close_branch(&s->branches[i]);
    mr_lane_pool_close(s->pool);
    free(s->branches);
    free(s->batch);
    free(s->arena.base);
}

// ---- the result

static double metric_of(const mr_sweep_row *row, mr_score_name metric)
{
    return row->score.of[metric.source][metric.term].value;
}

// Whether row a stands above row b.
static bool is_above(const mr_sweep_row *a, const mr_sweep_row *b, mr_score_name metric)
{
    const double place_a = a->dropped_at > 0 ? a->dropped_at : 2;
    const double place_b = b->dropped_at > 0 ? b->dropped_at : 2;
    const double x = metric_of(a, metric), y = metric_of(b, metric);
    if (place_a < place_b || place_a > place_b)
        return place_a > place_b;
    if (isnan(x) || isnan(y) || !(x < y || x > y))
        return isnan(x) == isnan(y) ? a->index < b->index : isnan(y);
    return x > y;
}

void mr_sweep_order(mr_sweep_result *result)
{
    for (uint32_t i = 1; i < result->count; i++)
        for (uint32_t j = i;
             j > 0 && is_above(&result->rows[j], &result->rows[j - 1], result->metric); j--) {
            const mr_sweep_row row = result->rows[j];
            result->rows[j] = result->rows[j - 1];
            result->rows[j - 1] = row;
        }
}

static mr_status count(void *context, const mr_arrival *arrival, mr_error *err)
{
    sweep *s = context;
    (void)err;
    for (uint32_t i = 0; i < s->count && arrival->cause == MR_CAUSE_NONE; i++)
        mr_perturbation_see(&s->branches[i].perturbation, s->total, &arrival->event);
    s->total++;
    return MR_OK;
}

static mr_status check_perturbations(const sweep *s, mr_error *err)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (mr_perturbation_check(&s->branches[i].perturbation, err) != MR_OK)
            return mr_wrap(err, "%s", s->options->configurations[i].name);
    return MR_OK;
}

static bool something_is_drawn(const sweep *s)
{
    bool draws = false;
    for (uint32_t i = 0; i < s->count; i++)
        draws = draws || s->branches[i].perturbation.draws;
    return draws;
}

// Files are read once more before, to know where in them one is, and what perturbations draw: that
// costs a few thousandths of learning from them.
static mr_status count_arrivals(sweep *s, mr_error *err)
{
    mr_replay_options quiet = *s->options->replay;
    const bool draws = something_is_drawn(s);
    if (quiet.topics && draws)
        return mr_fail(err, MR_FATAL,
                       "what is changed is drawn from the whole log, which is read twice for it: "
                       "want files, or drop=N or user=ID");
    if (quiet.topics || (quiet.warmup <= 0 && s->options->rungs == 0 && !draws))
        return MR_OK;
    for (uint32_t i = 0; i < quiet.input_count; i++)
        if (strcmp(quiet.inputs[i], "-") == 0)
            return mr_fail(err, MR_FATAL,
                           "standard input is read once, and how long it is has to be known: want "
                           "a file, or --warmup 0 and neither a range nor an act that is drawn");
    quiet.progress = false;
    mr_replay_reading in = {.options = &quiet, .context = s, .take = count};
    MR_TRY(mr_replay_read(&in, err));
    return check_perturbations(s, err);
}

static mr_status run_all(sweep *s, mr_error *err)
{
    MR_TRY(count_arrivals(s, err));
    MR_TRY(mr_replay_read(&s->reading, err));
    MR_TRY(flush(s, err));
    s->result->files = s->reading.files;
    if (!mr_branch_began(s->branches[0].branch))
        return mr_fail(err, MR_FATAL, "%s: no event that could be read",
                       mr_replay_source(s->options->replay));
    MR_TRY(for_all(s, end_branch, err));
    for (uint32_t i = 0; i < s->count; i++)
        if (s->branches[i].branch != NULL) {
            add_row(s, i, 0);
            if (s->branches[i].perturbation.what == MR_PERTURB_USER)
                MR_TRY(
                    judge_residue(s, &s->branches[i], &s->result->rows[s->result->count - 1], err));
            if (s->options->ended != NULL)
                s->options->ended(s->options->context, i, mr_branch_result(s->branches[i].branch));
        }
    mr_sweep_order(s->result);
    return MR_OK;
}

uint32_t mr_sweep_rungs(uint32_t count)
{
    uint32_t rungs = 0;
    for (; count > 3; count = (count + 1) / 2)
        rungs++;
    return rungs;
}

mr_status mr_sweep_bytes(const mr_sweep_options *options, size_t *all, size_t *largest,
                         mr_error *err)
{
    *all = *largest = 0;
    for (uint32_t i = 0; i < options->count; i++) {
        size_t bytes;
        mr_replay_options like = *options->replay;
        like.config = options->configurations[i].config;
        like.methods = options->configurations[i].methods;
        like.measure = true;
        if (mr_branch_bytes(&like, &bytes, err) != MR_OK)
            return mr_wrap(err, "%s", options->configurations[i].name);
        *all += bytes;
        *largest = bytes > *largest ? bytes : *largest;
    }
    return MR_OK;
}

mr_status mr_sweep_fits(const mr_sweep_options *options, uint64_t bytes_max, const char *whose,
                        mr_error *err)
{
    size_t all, largest;
    MR_TRY(mr_sweep_bytes(options, &all, &largest, err));
    if (all <= bytes_max)
        return MR_OK;
    return mr_fail(
        err, MR_FATAL,
        "%u engines of at most %zu MiB may take %zu MiB together, %s %llu MiB, where %llu "
        "fit: want fewer, a smaller items.max, users.memory or dedup.events_max, or a "
        "larger replay.memory_max",
        options->count, largest >> 20, all >> 20, whose, (unsigned long long)bytes_max >> 20,
        (unsigned long long)(largest > 0 ? bytes_max / largest : 0));
}

mr_status mr_sweep_run(const mr_sweep_options *options, mr_sweep_result *result, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const int64_t begun_ms = clock.now_ms(clock.context);
    sweep s = {.options = options,
               .result = result,
               .count = options->count,
               .warm = options->replay->warmup <= 0};
    MR_ASSERT(options->count >= 1 && options->count <= MR_SWEEP_BRANCHES_MAX);
    *result = (mr_sweep_result){.metric = options->metric,
                                .warmup = options->replay->warmup,
                                .lanes = options->lanes,
                                .rungs = options->rungs};
    s.reading = (mr_replay_reading){
        .options = options->replay, .context = &s, .take = take, .note = s.note};
    mr_status status = open_sweep(&s, err);
    if (status == MR_OK)
        status = run_all(&s, err);
    close_sweep(&s);
    result->seconds = (double)(clock.now_ms(clock.context) - begun_ms) / 1000.0;
    return status;
}
