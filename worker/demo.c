// SPDX-License-Identifier: Apache-2.0
// demo: starts in this order, and ends in the reverse one:
//
//   folder -> mock brokers -> configuration -> topics -> crowd (the catalogue) -> worker -> users
//
// Users come when the worker is ready, so that nobody waits for a group to form. At the end the
// crowd goes first; the worker learns what it has left behind.
#include "worker/demo.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/demo_brokers.h"
#include "worker/demo_view.h"
#include "worker/demo_worker.h"
#include "worker/log.h"
#include "worker/ports.h"
#include "worker/scratch.h"

enum { FRAME_MS = 250, PATH_BYTES = 256 };

typedef struct demo {
    const mr_demo_options *options;
    char folder[PATH_BYTES]; // empty: not made yet
    mr_demo_brokers *brokers;
    mr_methods methods;
    mr_config *config;
    mr_demo_crowd *crowd;
    mr_demo_worker *worker;
    mr_demo_screen screen;
    mr_clock clock;
    bool stopped;
} demo;

// ---- the configuration: a file as anybody would write it, in memory for a small world

static const char configuration[] =
    "app: demo\n"
    "instance: demo\n"
    "kafka:\n"
    "  bootstrap_servers: %s\n"
    "  consumer: {fetch.wait.max.ms: 5}\n" // the mock answers a fetch when that is over, no sooner
    "topics:\n"
    "  clicks: {kind: click}\n"
    "  carts: {kind: cart}\n"
    "  purchases: {kind: purchase}\n"
    "  impressions: {kind: impression}\n"
    "  catalogue: {kind: catalogue}\n"
    "state:\n"
    "  path: %s/state\n"
    "  sync: none\n"
    "  map_bytes_max: 1GiB\n"
    "lists:\n"
    "  k: %d\n"
    "  interval_ms: 50ms\n"
    "align: {wait_ms: 10}\n"
    "users:\n"
    "  memory: 64MiB\n"
    "items:\n"
    "  max: 8192\n"
    "dedup:\n"
    "  events_max: 200000\n"
    "metrics:\n"
    "  interval: 1s\n"
    "  probe: {every: 4}\n" // the blend learns from more of the few events
    "log:\n"
    "  level: error\n";

static mr_status load_configuration(demo *d, mr_error *err)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/millrace.yaml", d->folder);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    fprintf(file, configuration, mr_demo_brokers_address(d->brokers), d->folder, MR_DEMO_K);
    if (fclose(file) != 0)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    MR_TRY(mr_methods_open(&d->methods, err));
    const mr_config_source source = {
        .path = path, .numbers = d->methods.numbers, .number_count = d->methods.count};
    MR_TRY(mr_config_load(&d->config, &source, err));
    mr_methods_apply(&d->methods, d->config);
    const mr_log_options log = {
        .out = stderr, .format = MR_LOG_TEXT, .level = d->config->log_level, .service = "demo"};
    mr_log_open(&log);
    return MR_OK;
}

static void unload_configuration(demo *d)
{
    const mr_log_options log = {.out = stderr, .level = MR_LOG_INFO};
    mr_log_open(&log);
    mr_config_free(d->config);
    mr_methods_close(&d->methods);
}

// ---- running

// Waits for one frame. Returns false when it is time to end.
static bool wait_frame(demo *d)
{
    struct pollfd stop = {.fd = d->options->stop_fd, .events = POLLIN};
    d->stopped = d->stopped || poll(&stop, 1, FRAME_MS) > 0;
    return !d->stopped;
}

static mr_status start(demo *d, mr_error *err)
{
    mr_world_config world = mr_world_defaults();
    world.seed = d->options->seed;
    world.users = d->options->users;
    world.items = d->options->items;
    world.late_ms = d->options->seconds * 1000;
    MR_TRY(mr_scratch_make(d->folder, sizeof d->folder, err));
    MR_TRY(mr_demo_brokers_open(&d->brokers, err));
    MR_TRY(load_configuration(d, err));
    MR_TRY(mr_demo_brokers_topics(d->brokers, d->config, MR_DEMO_PARTITIONS, err));
    MR_TRY(mr_demo_crowd_open(d->config, &world, MR_DEMO_PARTITIONS, &d->crowd, err));
    return mr_demo_worker_start(d->config, &d->methods, &d->worker, err);
}

static void wait_for_worker(demo *d)
{
    const int64_t begun = d->clock.now_ms(d->clock.context);
    int64_t ms = 0;
    mr_demo_screen_wait(&d->screen, ms);
    while (mr_demo_worker_phase(d->worker) == MR_DEMO_STARTING && wait_frame(d)) {
        ms = d->clock.now_ms(d->clock.context) - begun;
        mr_demo_screen_wait(&d->screen, ms);
    }
}

static mr_status watch(demo *d, mr_demo_sight *sight, mr_error *err)
{
    MR_TRY(mr_demo_crowd_start(d->crowd, d->options->seconds * 1000, err));
    while (!mr_demo_crowd_has_ended(d->crowd) &&
           mr_demo_worker_phase(d->worker) == MR_DEMO_TURNING && wait_frame(d)) {
        mr_demo_crowd_look(d->crowd, sight);
        mr_demo_screen_show(&d->screen, d->crowd, sight);
    }
    return MR_OK;
}

static mr_status run(demo *d, mr_demo_result *result, mr_error *err)
{
    mr_error worker_err = {0};
    MR_TRY(start(d, err));
    wait_for_worker(d);
    mr_status status = MR_OK;
    if (!d->stopped && mr_demo_worker_phase(d->worker) == MR_DEMO_TURNING)
        status = watch(d, &result->sight, err);
    if (status == MR_OK)
        status = mr_demo_crowd_stop(d->crowd, err);
    mr_demo_crowd_look(d->crowd, &result->sight);
    if (result->sight.run_ms > 0)
        mr_demo_screen_show(&d->screen, d->crowd, &result->sight);
    // A worker that failed is the reason, whatever the crowd then found wrong.
    const mr_status worker = mr_demo_worker_stop(d->worker, &result->totals, &worker_err);
    if (worker != MR_OK)
        *err = worker_err;
    return worker != MR_OK ? worker : status;
}

mr_status mr_demo_run(const mr_demo_options *options, mr_demo_result *result, mr_error *err)
{
    demo d = {.options = options, .clock = mr_clock_system()};
    *result = (mr_demo_result){.stopped = false};
    mr_demo_screen_open(&d.screen, options);
    const mr_status status = run(&d, result, err);
    mr_demo_screen_close(&d.screen);
    mr_demo_crowd_close(d.crowd);
    unload_configuration(&d);
    mr_demo_brokers_close(d.brokers);
    mr_scratch_remove(d.folder);
    result->stopped = d.stopped;
    return status;
}
