// SPDX-License-Identifier: Apache-2.0
// millrace replay --epochs: what production did, again, and whether it comes to the same.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/arrivals.h"
#include "worker/backup.h"
#include "worker/command.h"
#include "worker/kafka/topics.h"
#include "worker/registry_config.h"
#include "worker/rerun.h"
#include "worker/scratch.h"
#include "worker/store_port.h"
#include "worker/sweep/forks.h"

enum { PATH_BYTES = 4096, BASE_MS = 600000 };

static mr_status put_base(const mr_config *config, const char *base, const char *path,
                          mr_error *err)
{
    const mr_backup_options options = {
        .from = base, .to = path, .app = config->app, .limit_ms = BASE_MS};
    mr_backup_about about;
    return mr_backup_restore(&options, &about, err);
}

// ---- a branch's place: a store that is thrown away, and a reader of the topics

typedef struct place {
    char folder[PATH_BYTES];
    mr_local local;
    bool local_open;
    mr_store_port store;
    mr_archive_kafka *kafka;
    mr_archive archive;
    uint32_t tasks;
} place;

static mr_status open_place(place *p, const mr_config *config, const char *base, mr_error *err)
{
    const mr_store_options how = {.map_bytes_max = (uint64_t)config->state_map_bytes_max,
                                  .sync = MR_SYNC_NONE};
    char path[PATH_BYTES + 8];
    bool dropped;
    MR_TRY(mr_archive_kafka_open(config, &p->tasks, &p->kafka, err));
    p->archive = mr_archive_kafka_port(p->kafka);
    MR_TRY(mr_scratch_make(p->folder, sizeof p->folder, err));
    snprintf(path, sizeof path, "%s/state", p->folder);
    if (base != NULL)
        MR_TRY(put_base(config, base, path, err));
    MR_TRY(mr_local_open(path, &how, &p->local, &dropped, err));
    p->local_open = true;
    p->store = mr_local_port(&p->local);
    return MR_OK;
}

static void close_place(place *p) // also of zeros, and after an open that failed
{
    mr_error ignored;
    if (p->local_open)
        (void)mr_local_close(&p->local, &ignored);
    mr_scratch_remove(p->folder);
    mr_archive_kafka_close(p->kafka);
}

// ---- what if

typedef struct what_if {
    mr_config *config;
    mr_methods methods;
    char name[MR_SWEEP_NAME_MAX];
    mr_rerun_fork fork;
    mr_score_name metric;
    mr_sweep_result result;
} what_if;

static mr_status open_what_if(const mr_options *options, const mr_config *config, what_if *w,
                              mr_error *err)
{
    const char *sets[MR_GIVEN_MAX];
    const char *const metric = mr_options_get(options, "metric");
    uint32_t count = 0;
    size_t used = 0;
    if (mr_score_parse(metric != NULL ? metric : "new.ndcg@20", &w->metric, err) != MR_OK)
        return mr_wrap(err, "--metric");
    for (uint32_t i = 0; i < options->given_count; i++) {
        const char *const set = options->given[i].value;
        char path[MR_CONFIG_PATH_MAX];
        if (strcmp(options->given[i].name, "what-if") != 0)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(set, "="), set);
        if (mr_forks_allow(config, path, w->fork.from_ms > 0, err) != MR_OK)
            return mr_wrap(err, "--what-if");
        if (used < sizeof w->name)
            used += (size_t)snprintf(w->name + used, sizeof w->name - used, "%s%s",
                                     count > 0 ? " " : "", set);
        sets[count++] = set;
    }
    MR_TRY(mr_options_load_with(options, sets, count, &w->methods, &w->config, err));
    w->fork.config = w->config;
    w->fork.methods = &w->methods;
    return MR_OK;
}

static void close_what_if(what_if *w)
{
    if (w->config == NULL)
        return;
    mr_config_free(w->config);
    mr_methods_close(&w->methods);
}

static mr_status run_both(const mr_rerun_options *was, const char *base, what_if *w,
                          mr_rerun_result *result, mr_error *err)
{
    place *second = calloc(1, sizeof *second);
    if (second == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = open_place(second, was->config, base, err);
    const mr_forks_options options = {.was = was,
                                      .archive = &second->archive,
                                      .store = &second->store,
                                      .fork = &w->fork,
                                      .name = w->name,
                                      .metric = w->metric};
    if (status == MR_OK)
        status = mr_forks_run(&options, result, &w->result, err);
    close_place(second);
    free(second);
    return status;
}

// w may be NULL: what was alone.
static mr_status run_from_topics(const mr_options *from, const mr_config *config, int64_t until_ms,
                                 what_if *w, mr_rerun_result *result, mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    mr_registry *registry = NULL;
    const char *const base = mr_options_get(from, "base");
    mr_rerun_options options = {
        .config = config,
        .methods = &from->methods,
        .clock = &clock,
        .base = base != NULL,
        .until_ms = until_ms,
        .progress = true,
    };
    place *first = calloc(1, sizeof *first);
    if (first == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_status status = mr_registry_of_config(config, &registry, err);
    if (status == MR_OK)
        status = mr_catalog_of_config(config, registry, &options.catalog, err);
    if (status == MR_OK)
        status = open_place(first, config, base, err);
    options.tasks = first->tasks;
    options.archive = &first->archive;
    options.store = &first->store;
    if (status == MR_OK)
        status = w != NULL ? run_both(&options, base, w, result, err)
                           : mr_rerun_run(&options, result, err);
    close_place(first);
    mr_catalog_close(options.catalog);
    mr_registry_close(registry);
    free(first);
    return status;
}

static void print_json(const mr_rerun_result *r, const what_if *w)
{
    char hash[33], history[33];
    snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, r->state_hash.high,
             r->state_hash.low);
    snprintf(history, sizeof history, "%016" PRIx64 "%016" PRIx64, r->history[1], r->history[0]);
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I}", "history", history,
        "commits", (json_int_t)r->commits, "rounds", (json_int_t)r->rounds, "epochs",
        (json_int_t)r->epochs, "events", (json_int_t)r->events, "engines", (json_int_t)r->engines,
        "hashes_same", (json_int_t)r->hashes, "lists_same", (json_int_t)r->lists, "lists_gone",
        (json_int_t)r->lists_gone, "deltas_same", (json_int_t)r->deltas, "deltas_unread",
        (json_int_t)r->deltas_unread, "state_hash", hash, "last_ms", (json_int_t)r->last_ms, "waiting", (json_int_t)r->waiting);
    if (w != NULL)
        json_object_set_new(object, "what_if", mr_sweep_json(&w->result));
    json_dumpf(object, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
    json_decref(object);
}

static void print(const mr_rerun_result *r)
{
    char last[MR_RANGE_TIME_BYTES];
    printf("%" PRIu64 " commits of %" PRIu64 " engines were run again: %" PRIu64
           " events in %" PRIu64 " epochs, %" PRIu64 " rounds\n",
           r->commits, r->engines, r->events, r->epochs, r->rounds);
    printf("the same: %" PRIu64 " state hashes, %" PRIu64 " lists, %" PRIu64 " records of deltas\n",
           r->hashes, r->lists, r->deltas);
    if (r->lists_gone > 0)
        printf("not compared: %" PRIu64 " lists that the topic has no more\n", r->lists_gone);
    if (r->waiting > 0)
        printf("not run: commits of %" PRIu64 " tasks that saw later ones of other workers\n",
               r->waiting);
    printf("up to the commit of %s: state hash %016" PRIx64 "%016" PRIx64 "\n",
           mr_range_time(r->last_ms, last), r->state_hash.high, r->state_hash.low);
}

static bool is_alone(const mr_options *options, uint32_t input_count)
{
    static const char *const others[] = {"kafka",   "to",         "as",          "out",
                                         "warmup",  "window",     "no-metrics",  "no-measures",
                                         "by",      "split",      "sweep",       "samples",
                                         "mapping", "generate",   "perturb"};
    char text[160];
    for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (mr_options_get(options, others[i]) == NULL)
            continue;
        snprintf(text, sizeof text, "--epochs runs the whole epoch log: want no --%s", others[i]);
        mr_command_fail("replay", text, MR_EXIT_USAGE);
        return false;
    }
    if (mr_options_get(options, "what-if") == NULL &&
        (mr_options_get(options, "from") != NULL || mr_options_get(options, "metric") != NULL)) {
        mr_command_fail("replay", "with --epochs, --from and --metric are of --what-if",
                        MR_EXIT_USAGE);
        return false;
    }
    if (input_count == 0)
        return true;
    mr_command_fail("replay", "--epochs reads topics: want no file", MR_EXIT_USAGE);
    return false;
}

// A time, also as milliseconds; 0 where none was given.
static bool read_time(const mr_options *options, const char *name, int64_t *time_ms)
{
    mr_range_end end = {.kind = MR_RANGE_WHOLE};
    mr_error err;
    char line[160];
    const char *const text = mr_options_get(options, name);
    *time_ms = 0;
    if (text == NULL || strcmp(text, strcmp(name, "from") == 0 ? "beginning" : "end") == 0)
        return true;
    if (mr_range_parse(text, &end, &err) == MR_OK && end.kind != MR_RANGE_WHOLE && end.value > 0) {
        *time_ms = end.value;
        return true;
    }
    snprintf(line, sizeof line,
             "--%s: want a time in UTC such as 2026-01-31T12:30:00Z, or milliseconds since 1970",
             name);
    mr_command_fail("replay", line, MR_EXIT_USAGE);
    return false;
}

static void show(const mr_options *options, const mr_rerun_result *result, const what_if *w)
{
    if (mr_options_get(options, "json") != NULL) {
        print_json(result, w);
        return;
    }
    print(result);
    if (w != NULL)
        mr_sweep_print(&w->result, stdout);
}

static int run(const mr_options *options, const mr_config *config, int64_t until_ms, what_if *w)
{
    mr_rerun_result result;
    mr_config *matched;
    mr_error err;
    uint32_t left_out;
    if (w != NULL && open_what_if(options, config, w, &err) != MR_OK)
        return mr_command_fail("replay", err.text, MR_EXIT_USAGE);
    if (mr_kafka_match(config, 0, &matched, &left_out, &err) != MR_OK)
        return mr_command_fail("replay", err.text, MR_EXIT_FAILED);
    const mr_status status = run_from_topics(options, matched != NULL ? matched : config, until_ms,
                                             w, &result, &err);
    mr_matched_free(matched);
    if (status == MR_REJECT)
        mr_wrap(&err, "not the same");
    if (status != MR_OK)
        return mr_command_fail("replay", err.text, MR_EXIT_FAILED);
    show(options, &result, w);
    return MR_EXIT_GOOD;
}

int mr_command_rerun(mr_options *options, uint32_t input_count)
{
    mr_config *config;
    what_if *w = NULL;
    int64_t until_ms, from_ms;
    if (!is_alone(options, input_count) || !read_time(options, "until", &until_ms) ||
        !read_time(options, "from", &from_ms) || !mr_options_load(options, &config))
        return MR_EXIT_USAGE;
    const bool forks = mr_options_get(options, "what-if") != NULL;
    if (forks)
        w = calloc(1, sizeof *w);
    if (w != NULL)
        w->fork.from_ms = from_ms;
    const int exit_status = forks && w == NULL
                                ? mr_command_fail("replay", "out of memory", MR_EXIT_FAILED)
                                : run(options, config, until_ms, w);
    if (w != NULL)
        close_what_if(w);
    free(w);
    mr_options_unload(options, config);
    return exit_status;
}
