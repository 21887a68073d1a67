// SPDX-License-Identifier: Apache-2.0
// millrace-sim: the commit protocol under simulated faults.
//
//   millrace-sim [--jobs N] [--seeds N] [--first SEED] [--bug NAME] [--seed SEED] [--until
//   QUESTION] [--trace]
//
// Runs N histories from the first seed on; or one. Says which seed violated which invariant, and
// the shortest schedule of faults that still does. With --bug a mistake is planted into the
// protocol: then a violation is what is wanted. Exit 0: all is as wanted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/counting.h"
#include "tests/sim/history.h"
#include "worker/decoder.h"
#include "worker/log.h"
#include "worker/planted.h"

mr_bug mr_planted_bug = MR_BUG_NONE;

static const mr_model *const counting = &mr_counting;

static const char *const bugs[MR_BUG_COUNT] = {
    [MR_BUG_NONE] = "none",
    [MR_BUG_STORE_FIRST] = "store-first",
    [MR_BUG_OFFSETS_FIRST] = "offsets-first",
    [MR_BUG_UNFENCED] = "unfenced",
    [MR_BUG_NO_OFFSETS] = "no-offsets",
    [MR_BUG_STABLE_END] = "stable-end",
    [MR_BUG_OLD_END] = "old-end",
    [MR_BUG_NO_CHECK] = "no-check",
    [MR_BUG_ROWS_WITHOUT_MARKER] = "rows-without-marker",
    [MR_BUG_COMPUTED_AGAIN] = "computed-again",
    [MR_BUG_KEPT_DIRTY] = "kept-dirty",
    [MR_BUG_DIRECT_AND_TOPIC] = "direct-and-topic",
    [MR_BUG_LINK_IGNORED] = "link-ignored",
    [MR_BUG_STALE_COPY] = "stale-copy",
    [MR_BUG_GROUP_TRUSTED] = "group-trusted",
    [MR_BUG_TIMEOUT_IS_FAILURE] = "timeout-is-failure",
    [MR_BUG_DEAD_LETTER_OUTSIDE] = "dead-letter-outside",
    [MR_BUG_TICK_UNNOTED] = "tick-unnoted",
    [MR_BUG_VIEW_NOTED_LATE] = "view-noted-late",
};

enum { JOBS_MAX = 64, WORKERS = 5 };

typedef struct arguments {
    uint64_t seeds, first, until, jobs, minutes; // minutes: no history begins later; 0: no end
    time_t begun;
    bool all_bugs, trace;
} arguments;

static bool parse(int argc, char **argv, arguments *a)
{
    *a = (arguments){.seeds = 100, .first = 1, .until = UINT64_MAX, .jobs = 1, .begun = time(NULL)};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seeds") == 0) {
            a->seeds = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--jobs") == 0) {
            a->jobs = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--first") == 0) {
            a->first = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--seed") == 0) {
            a->first = strtoull(value, NULL, 10);
            a->seeds = 1;
            i++;
        } else if (strcmp(argv[i], "--minutes") == 0) {
            a->minutes = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--until") == 0) {
            a->until = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--trace") == 0) {
            a->trace = true;
        } else if (strcmp(argv[i], "--bugs") == 0) {
            a->all_bugs = true;
        } else if (strcmp(argv[i], "--bug") == 0) {
            for (int b = 1; b < MR_BUG_COUNT; b++) {
                if (strcmp(bugs[b], value) == 0)
                    mr_planted_bug = (mr_bug)b;
            }
            if (mr_planted_bug == MR_BUG_NONE)
                return false;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

// The fewest questions for faults after which the seed still fails: what comes later is calm.
static uint64_t shorten(const sim_options *options, uint64_t seed, uint64_t asked, char *violation,
                        size_t size)
{
    uint64_t low = 0, high = asked, questions;
    sim_options shorter = *options;
    shorter.trace = false;
    while (low < high) {
        sim_totals ignored = {0};
        char text[400];
        shorter.faults_until = low + (high - low) / 2;
        if (sim_history(&shorter, seed, &ignored, text, sizeof text, &questions)) {
            low = shorter.faults_until + 1;
        } else {
            high = shorter.faults_until;
            snprintf(violation, size, "%s", text);
        }
    }
    return high;
}

static void print_counts(const sim_totals *totals)
{
    printf("%llu histories, %llu commits, %llu steps, %llu exits\n",
           (unsigned long long)totals->histories, (unsigned long long)totals->commits,
           (unsigned long long)totals->steps, (unsigned long long)totals->exits);
    printf("%llu of them run again: %llu commits, %llu engines, %llu epochs, %llu lists, %llu "
           "records of deltas\n",
           (unsigned long long)totals->reruns, (unsigned long long)totals->rerun_commits,
           (unsigned long long)totals->rerun_engines, (unsigned long long)totals->rerun_epochs,
           (unsigned long long)totals->rerun_lists, (unsigned long long)totals->rerun_deltas);
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        printf("%s%s %llu", i == 0 ? "faults: " : ", ", sim_fault_name((sim_fault)i),
               (unsigned long long)totals->injected[i]);
    printf("\ncrash points:");
    for (int i = 1; i < SIM_POINTS; i++) {
        if (totals->points[i] > 0)
            printf(" %d: %llu,", i, (unsigned long long)totals->points[i]);
    }
    printf(" (6, 16, 22 and 24 need a real store or an operator)");
    printf("\nkilled while a commit was: ");
    for (int i = 0; i < MR_SINK_STATE_COUNT; i++)
        printf("%s%s %llu", i == 0 ? "" : ", ", mr_sink_state_name((mr_sink_state)i),
               (unsigned long long)totals->killed_in_sink[i]);
    printf("\nkilled while a worker was: ");
    for (int i = 0; i < MR_PHASE_COUNT; i++)
        printf("%s%s %llu", i == 0 ? "" : ", ", mr_phase_name((mr_phase)i),
               (unsigned long long)totals->killed_in_phase[i]);
    printf("\nkilled while a task was: ");
    for (int i = 0; i < MR_TAKING_STATE_COUNT; i++)
        printf("%s%s %llu", i == 0 ? "" : ", ", mr_taking_state_name((mr_taking_state)i),
               (unsigned long long)totals->killed_in_taking[i]);
    printf("\n");
}

// Runs seeds until one fails. Returns whether none did.
static bool run_seeds(const sim_options *options, const arguments *a, sim_totals *totals)
{
    for (uint64_t i = 0; i < a->seeds; i++) {
        char violation[400];
        if (a->minutes > 0 && (uint64_t)(time(NULL) - a->begun) >= 60 * a->minutes)
            break;
        uint64_t asked;
        const uint64_t seed = a->first + i;
        if (sim_history(options, seed, totals, violation, sizeof violation, &asked))
            continue;
        printf("%s: seed %llu: %s\n", bugs[mr_planted_bug], (unsigned long long)seed, violation);
        if (mr_planted_bug == MR_BUG_NONE) {
            const uint64_t until = shorten(options, seed, asked, violation, sizeof violation);
            printf("shortest: faults up to question %llu of %llu: %s\n", (unsigned long long)until,
                   (unsigned long long)asked, violation);
        }
        return false;
    }
    return true;
}

static void add(sim_totals *sum, const sim_totals *one)
{
    // Counts alone, but for the text at the end.
    const uint64_t *from = (const uint64_t *)(const void *)one;
    uint64_t *to = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < offsetof(sim_totals, exit_reason) / sizeof *to; i++)
        to[i] += from[i];
    if (one->exits > 0)
        memcpy(sum->exit_reason, one->exit_reason, sizeof sum->exit_reason);
}

// The j-th of the processes runs its share of the seeds and sends back what it counted.
static int start_job(const sim_options *options, const arguments *a, uint64_t j)
{
    int ends[2];
    fflush(stdout);
    if (pipe(ends) != 0)
        exit(2);
    const pid_t child = fork();
    if (child < 0)
        exit(2);
    if (child != 0) {
        close(ends[1]);
        return ends[0];
    }
    sim_totals totals = {0};
    arguments share = *a;
    share.first = a->first + a->seeds * j / a->jobs;
    share.seeds = a->first + a->seeds * (j + 1) / a->jobs - share.first;
    const bool good = run_seeds(options, &share, &totals);
    fflush(stdout);
    if (write(ends[1], &totals, sizeof totals) != sizeof totals)
        _exit(2);
    _exit(good ? 0 : 1);
}

static bool run_jobs(const sim_options *options, const arguments *a, sim_totals *totals)
{
    int pipes[JOBS_MAX];
    bool good = true;
    if (a->jobs <= 1 || a->jobs > JOBS_MAX)
        return run_seeds(options, a, totals);
    for (uint64_t j = 0; j < a->jobs; j++)
        pipes[j] = start_job(options, a, j);
    for (uint64_t j = 0; j < a->jobs; j++) {
        sim_totals one;
        int status;
        good = good && read(pipes[j], &one, sizeof one) == sizeof one;
        if (good)
            add(totals, &one);
        close(pipes[j]);
        wait(&status);
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

// Each mistake has to be found.
static bool run_bugs(const sim_options *options, const arguments *a, sim_totals *totals)
{
    bool all = true;
    for (int b = 1; b < MR_BUG_COUNT; b++) {
        mr_planted_bug = (mr_bug)b;
        if (run_seeds(options, a, totals)) {
            printf("%s: not found in %llu seeds\n", bugs[b], (unsigned long long)a->seeds);
            all = false;
        }
    }
    return all;
}

static const char *const counting_alone = "models.off=popularity,covisit,embedding,diag_linucb,multi_interest";
static const char *const real_models = "models.off=covisit,diag_linucb,multi_interest";

// count configurations, one a worker, with lists of k items.
static bool open_configs(mr_config **configs, uint32_t count, const mr_methods *methods,
                         const char *models, uint32_t k)
{
    for (uint32_t i = 0; i < count; i++) {
        char instance[32], standby[32], lists[32];
        // Many wait for lists: more than fit into memory, some of them for longer than a worker
        // lives.
        const char *interval =
            models == counting_alone ? "lists.interval_ms=2s" : "lists.interval_ms=50ms";
        mr_error err = {0};
        snprintf(lists, sizeof lists, "lists.k=%u", k);
        snprintf(instance, sizeof instance, "instance=w%u", i);
        snprintf(standby, sizeof standby, "standby=%u", i % 2 == 0 ? 0 : 2 * i);
        const char *const sets[] = {"app=sim",
                                    instance,
                                    standby,
                                    models,
                                    "topics.clicks.kind=click",
                                    "lanes=1",
                                    "memory.pages=small",
                                    "users.memory=1MiB",
                                    "models.embedding.dim=8",
                                    "deltas.bytes_max=64KiB",
                                    "items.max=64",
                                    lists,
                                    interval,
                                    "epoch.events_max=4",
                                    "dedup.events_max=1024",
                                    "dedup.window=30d",
                                    "commit.bytes_max=1MiB",
                                    "epoch.bytes_max=64KiB",
                                    "state.gather_ms=200ms",
                                    "outputs.record_bytes_max=100000",
                                    "state.wait=1h",
                                    "late.window=365d",
                                    "commit.retries=1000"};
        const mr_config_source source = {.sets = sets,
                                         .set_count = sizeof sets / sizeof *sets,
                                         .numbers = methods->numbers,
                                         .number_count = methods->count};
        if (mr_config_load(&configs[i], &source, &err) != MR_OK) {
            fprintf(stderr, "%s\n", err.text);
            return false;
        }
        // Less than a configuration may ask for: a history begins a hundred engines, and the pages
        // that their indexes touch were a third of its time.
        if (models == counting_alone)
            configs[i]->users_memory = 200 << 10;
    }
    return true;
}

int main(int argc, char **argv)
{
    arguments a;
    mr_error err = {0};
    mr_config *configs[WORKERS], *real[WORKERS], *other, *real_other;
    mr_methods methods;
    mr_catalog *catalog;
    mr_decoder *mappings; // the catalogue borrows them from its first decoder
    sim_totals totals = {0};
    if (!parse(argc, argv, &a)) {
        fprintf(stderr,
                "usage: %s [--jobs N] [--seeds N] [--minutes N] [--first SEED] [--seed SEED] "
                "[--until QUESTION] "
                "[--bug NAME | --bugs] [--trace]\n",
                argv[0]);
        return 2;
    }
    FILE *quiet = a.trace ? stderr : fopen("/dev/null", "we");
    mr_log_open(&(mr_log_options){.out = quiet, .level = a.trace ? MR_LOG_INFO : MR_LOG_ERROR});
    if (mr_methods_open(&methods, &err) != MR_OK ||
        !open_configs(configs, WORKERS, &methods, counting_alone, 4) ||
        !open_configs(real, WORKERS, &methods, real_models, 4) ||
        !open_configs(&other, 1, &methods, counting_alone, 3) ||
        !open_configs(&real_other, 1, &methods, real_models, 3) ||
        mr_catalog_open(NULL, &catalog, &err) != MR_OK ||
        mr_decoder_open(configs[0], catalog, &mappings, &err) != MR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    mr_methods_apply(&methods, configs[0]);
    methods.extra = &counting;
    methods.extra_count = 1;
    const sim_options options = {.configs = configs,
                                 .real_configs = real,
                                 .other = other,
                                 .real_other = real_other,
                                 .methods = &methods,
                                 .catalog = catalog,
                                 .faults_until = a.until,
                                 .trace = a.trace};
    const bool bug = mr_planted_bug != MR_BUG_NONE;
    const bool good =
        a.all_bugs ? run_bugs(&options, &a, &totals) : run_jobs(&options, &a, &totals) != bug;
    print_counts(&totals);
    mr_decoder_close(mappings);
    mr_catalog_close(catalog);
    for (int i = 0; i < WORKERS; i++) {
        mr_config_free(configs[i]);
        mr_config_free(real[i]);
    }
    mr_config_free(other);
    mr_config_free(real_other);
    mr_methods_close(&methods);
    return good ? 0 : 1;
}
