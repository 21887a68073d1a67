// SPDX-License-Identifier: Apache-2.0
// millrace replay --epochs: what production did, again, and whether it comes to the same.
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "worker/arrivals.h"
#include "worker/backup.h"
#include "worker/command.h"
#include "worker/rerun.h"
#include "worker/scratch.h"
#include "worker/store_port.h"

enum { PATH_BYTES = 4096, BASE_MS = 600000 };

static mr_status put_base(const mr_config *config, const char *base, const char *path,
                          mr_error *err)
{
    const mr_backup_options options = {
        .from = base, .to = path, .app = config->app, .limit_ms = BASE_MS};
    mr_backup_about about;
    return mr_backup_restore(&options, &about, err);
}

static mr_status run_over(const mr_rerun_options *like, const char *path, mr_rerun_result *result,
                          mr_error *err)
{
    const mr_store_options how = {.map_bytes_max = (uint64_t)like->config->state_map_bytes_max,
                                  .sync = MR_SYNC_NONE};
    mr_rerun_options options = *like;
    mr_local local = {0};
    mr_error ignored;
    bool dropped;
    MR_TRY(mr_local_open(path, &how, &local, &dropped, err));
    const mr_store_port store = mr_local_port(&local);
    options.store = &store;
    const mr_status status = mr_rerun_run(&options, result, err);
    (void)mr_local_close(&local, &ignored); // it is thrown away
    return status;
}

static mr_status run_in_scratch(const mr_rerun_options *options, const char *base,
                                mr_rerun_result *result, mr_error *err)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 8];
    MR_TRY(mr_scratch_make(folder, sizeof folder, err));
    snprintf(path, sizeof path, "%s/state", folder);
    mr_status status = base != NULL ? put_base(options->config, base, path, err) : MR_OK;
    if (status == MR_OK)
        status = run_over(options, path, result, err);
    mr_scratch_remove(folder);
    return status;
}

static mr_status run_from_topics(const mr_config *config, const mr_methods *methods,
                                 const char *base, int64_t until_ms, mr_rerun_result *result,
                                 mr_error *err)
{
    const mr_clock clock = mr_clock_system();
    const char *const directory = config->schemas_directory;
    mr_rerun_options options = {
        .config = config,
        .methods = methods,
        .clock = &clock,
        .base = base != NULL,
        .until_ms = until_ms,
        .progress = true,
    };
    mr_archive_kafka *kafka = NULL;
    MR_TRY(mr_catalog_open(directory[0] != '\0' ? directory : NULL, &options.catalog, err));
    mr_status status = mr_archive_kafka_open(config, &options.tasks, &kafka, err);
    if (status == MR_OK) {
        const mr_archive archive = mr_archive_kafka_port(kafka);
        options.archive = &archive;
        status = run_in_scratch(&options, base, result, err);
    }
    mr_archive_kafka_close(kafka);
    mr_catalog_close(options.catalog);
    return status;
}

static void print_json(const mr_rerun_result *r)
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
    static const char *const others[] = {"kafka", "from", "to", "as", "out", "warmup", "window",
                                         "no-metrics", "no-measures", "by", "split"};
    char text[160];
    for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (mr_options_get(options, others[i]) == NULL)
            continue;
        snprintf(text, sizeof text, "--epochs runs the whole epoch log: want no --%s", others[i]);
        mr_command_fail("replay", text, MR_EXIT_USAGE);
        return false;
    }
    if (input_count == 0)
        return true;
    mr_command_fail("replay", "--epochs reads topics: want no file", MR_EXIT_USAGE);
    return false;
}

// A time, also as milliseconds; 0 where none was given.
static bool read_until(const mr_options *options, int64_t *until_ms)
{
    mr_range_end end = {.kind = MR_RANGE_WHOLE};
    mr_error err;
    const char *const text = mr_options_get(options, "until");
    *until_ms = 0;
    if (text == NULL)
        return true;
    if (mr_range_parse(text, &end, &err) != MR_OK || end.kind == MR_RANGE_WHOLE || end.value <= 0) {
        mr_command_fail("replay",
                        "--until: want a time in UTC such as 2026-01-31T12:30:00Z, or milliseconds "
                        "since 1970",
                        MR_EXIT_USAGE);
        return false;
    }
    *until_ms = end.value;
    return true;
}

int mr_command_rerun(mr_options *options, uint32_t input_count)
{
    mr_config *config;
    mr_rerun_result result;
    mr_error err;
    int64_t until_ms;
    if (!is_alone(options, input_count) || !read_until(options, &until_ms) ||
        !mr_options_load(options, &config))
        return MR_EXIT_USAGE;
    int exit_status = MR_EXIT_GOOD;
    const mr_status status = run_from_topics(config, &options->methods,
                                             mr_options_get(options, "base"), until_ms, &result,
                                             &err);
    if (status == MR_REJECT)
        mr_wrap(&err, "not the same");
    if (status != MR_OK)
        exit_status = mr_command_fail("replay", err.text, MR_EXIT_FAILED);
    else if (mr_options_get(options, "json") != NULL)
        print_json(&result);
    else
        print(&result);
    mr_options_unload(options, config);
    return exit_status;
}
