// SPDX-License-Identifier: Apache-2.0
// millrace run: the worker, until a signal says stop.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/command.h"
#include "worker/kafka/topics.h"
#include "worker/log.h"
#include "worker/repartition_thread.h"
#include "worker/run.h"
#include "worker/version.h"

enum {
    TURN_MS = 500,
    STOP_S = 9,        // a stop takes no longer,
    FINISH_MS = 6000,  // of it for the last commits
    TOPICS_MS = 10000, // between two looks at what topics there are
    START_RETRIES = 30, // of that question, at a start
};

static const mr_option rows[] = {
    {"accept-offsets", "WHICH", "group or state: the same as --set accept_offsets=WHICH"},
    {"stop-at-end", NULL, "stop once every input was read to its present end"},
    {0},
};

// A handler can reach nothing but a global, so this is one: the descriptor that a signal makes
// readable. Blocking the signals instead and reading them would not do: OpenBLAS has threads before
// main begins, and a signal that they do not block kills the process.
static volatile sig_atomic_t stop_fd = -1;

static void on_signal(int number)
{
    const uint64_t one = 1;
    const int saved = errno;
    (void)number;
    if (write(stop_fd, &one, sizeof one) < 0)
        _exit(MR_EXIT_FAILED);
    alarm(STOP_S);
    errno = saved;
}

// The stop hangs: brokers that do not answer while the worker starts, or librdkafka, which below 2.4
// may wait for ever for a group that changes meanwhile. What is committed is safe wherever the
// process ends, so it ends here.
static volatile sig_atomic_t finished;

static void on_alarm(int number)
{
    static const char text[] = "millrace: the stop hangs: ending without it; nothing is lost\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(MR_EXIT_FAILED);
    _exit(finished ? MR_EXIT_GOOD : MR_EXIT_FAILED);
}

// A second signal finds the default action and ends the process at once: the state is safe.
static int open_signals(void)
{
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    const struct sigaction hanging = {.sa_handler = on_alarm};
    sigemptyset(&action.sa_mask);
    stop_fd = fd;
    if (fd < 0 || sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0 ||
        sigaction(SIGALRM, &hanging, NULL) != 0)
        return -1;
    return fd;
}

static bool signalled(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count;
}

// Where no signal began the end, its time begins here: a worker that ends by an error is started
// again once it is gone.
static void bound_end(void)
{
    const unsigned left_s = alarm(STOP_S);
    if (left_s != 0)
        alarm(left_s); // it runs already
}

typedef struct running {
    mr_worker *worker;
    mr_repartition_thread *repartition; // NULL: no input asks for it
    int signal_fd;
    bool stop_at_end;
    bool copied;   // repartition has come to its end, and since then no partition
    int64_t *ends; // of the repartition topic, by task, has ended below; -1: not asked yet
    // Where topics are named by patterns: what they were matched by.
    const mr_config *given;
    uint32_t left_out;
    int64_t topics_ms; // when was looked last
    bool again;        // there are more now: everything is to be opened with them
} running;

// Whether the worker has read what repartition had copied when it came to its end.
static mr_status has_read_copies(running *r, bool *read, mr_error *err)
{
    const mr_worker *worker = r->worker;
    const uint32_t input = mr_config_repartition(worker->config);
    *read = true;
    for (uint32_t i = 0; i < worker->own.held_count && *read; i++) {
        const uint32_t task = worker->own.held[i];
        mr_log_ends ends;
        if (r->ends[task] < 0) {
            const mr_status status =
                worker->bus.input_ends(worker->bus.context, input, task, &ends, err);
            if (status != MR_OK) {
                *read = false;
                return status == MR_RETRY ? MR_OK : status;
            }
            r->ends[task] = ends.end;
        }
        *read = mr_source_has_read(worker->source, input, task, r->ends[task]);
    }
    return MR_OK;
}

// Whether every input was read to its end, and learned. Errors: those of repartition too.
static mr_status look(running *r, bool *end, mr_error *err)
{
    bool copied = false;
    *end = r->stop_at_end && mr_worker_at_end(r->worker);
    if (!mr_config_repartitions(r->worker->config))
        return MR_OK;
    if (r->repartition != NULL)
        MR_TRY(mr_repartition_thread_look(r->repartition, &copied, err));
    if (copied && !r->copied)
        memset(r->ends, -1, r->worker->tasks * sizeof *r->ends);
    r->copied = copied;
    *end = *end && copied;
    return *end ? has_read_copies(r, end, err) : MR_OK;
}

// Copies begin once the worker holds what it was assigned. What it copied is not lost either way,
// but a worker that cannot start should not fill a topic.
static mr_status begin_repartition(running *r, mr_error *err)
{
    const mr_worker *worker = r->worker;
    if (r->repartition != NULL || !mr_config_repartitions(worker->config) ||
        !mr_ownership_complete(worker))
        return MR_OK;
    r->ends = calloc(worker->tasks, sizeof *r->ends);
    if (r->ends == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return mr_repartition_thread_open(worker->config, &r->worker->kafka, worker->registry,
                                      &worker->intake, &r->repartition, err);
}

// Now and then, whether a pattern matches one topic more.
static mr_status look_for_topics(running *r, mr_error *err)
{
    char name[MR_KAFKA_TOPIC_BYTES];
    const mr_clock *clock = &r->worker->clock;
    const int64_t now_ms = clock->now_ms(clock->context);
    r->topics_ms = r->topics_ms == 0 ? now_ms : r->topics_ms;
    if (!mr_config_has_patterns(r->given) || now_ms - r->topics_ms < TOPICS_MS)
        return MR_OK;
    r->topics_ms = now_ms;
    const mr_status status = mr_kafka_match_again(r->worker->kafka.admin, r->given,
                                                  r->worker->config, &r->left_out, name, err);
    if (status != MR_OK)
        return status == MR_RETRY ? MR_OK : status; // the next look may be luckier
    if (name[0] != '\0')
        mr_log(MR_LOG_INFO, "topics", "appeared: beginning again with it",
               mr_log_text("topic", name));
    else
        mr_source_looked(r->worker->source);
    r->again = name[0] != '\0';
    return MR_OK;
}

static mr_status turn_until_stopped(running *r, mr_error *err)
{
    bool end = false;
    while (!r->again && !signalled(r->signal_fd) && !end) {
        MR_TRY(mr_worker_turn(r->worker, r->signal_fd, TURN_MS, err));
        MR_TRY(begin_repartition(r, err));
        MR_TRY(look(r, &end, err));
        MR_TRY(look_for_topics(r, err));
    }
    mr_log(MR_LOG_INFO, "run", "stopping");
    mr_repartition_thread_stop(r->repartition); // ends beside the last commits
    MR_TRY(mr_worker_finish(r->worker, FINISH_MS, err));
    finished = 1;
    return MR_OK;
}

static void log_totals(const mr_worker *worker)
{
    const mr_task_counters sum = mr_worker_totals(worker);
    mr_log(MR_LOG_INFO, "run", "counted", mr_log_long("read", (int64_t)sum.read),
           mr_log_long("learned", (int64_t)sum.learned),
           mr_log_long("duplicate", (int64_t)sum.duplicate), mr_log_long("late", (int64_t)sum.late),
           mr_log_long("dropped", (int64_t)(sum.late_dropped + sum.limited)),
           mr_log_long("pending", (int64_t)sum.pending),
           mr_log_long("refused", (int64_t)sum.refused));
}

// Whether a worker that failed has begun without a topic that there is: another one may have known
// it.
static bool has_more_topics(const mr_config *given, const mr_config *matched)
{
    mr_config *now = NULL;
    mr_error err;
    uint32_t left_out;
    if (matched == NULL || mr_kafka_match(given, 0, &now, &left_out, &err) != MR_OK)
        return false;
    const char *const more = mr_matched_more(matched, now);
    if (more != NULL)
        mr_log(MR_LOG_INFO, "topics", "appeared: beginning again with it",
               mr_log_text("topic", more));
    mr_matched_free(now);
    return more != NULL;
}

// One worker, from its start to its end. *again: there are more topics than it has begun with.
static mr_status run_once(const mr_options *options, const mr_config *given, int signal_fd,
                          bool *again, mr_error *err)
{
    mr_error close_err = {0};
    mr_config *matched = NULL;
    running r = {.signal_fd = signal_fd,
                 .stop_at_end = mr_options_get(options, "stop-at-end") != NULL,
                 .given = given};
    mr_worker *worker = calloc(1, sizeof *worker);
    mr_status status = worker != NULL
                           ? mr_kafka_match(given, START_RETRIES, &matched, &r.left_out, err)
                           : mr_fail(err, MR_FATAL, "out of memory");
    if (status != MR_OK) {
        mr_log(MR_LOG_ERROR, "run", "ends", mr_log_text("error", err->text));
        free(worker);
        return status;
    }
    worker->config = matched != NULL ? matched : given;
    worker->methods = &options->methods;
    r.worker = worker;
    finished = 0;
    status = mr_worker_open(worker, err);
    if (status == MR_OK) {
        status = turn_until_stopped(&r, err);
        bound_end();
        mr_repartition_thread_close(r.repartition);
        free(r.ends);
        log_totals(worker);
    }
    if (status != MR_OK)
        mr_log(MR_LOG_ERROR, "run", "ends", mr_log_text("error", err->text));
    bound_end();
    const mr_status closed = mr_worker_close(worker, &close_err);
    if (closed != MR_OK && status == MR_OK) {
        mr_log(MR_LOG_ERROR, "run", "ends", mr_log_text("error", close_err.text));
        status = closed;
    }
    alarm(0);
    *again = status == MR_OK ? r.again : has_more_topics(given, matched);
    free(worker);
    mr_matched_free(matched);
    return status;
}

static int run(const mr_options *options, const mr_config *config)
{
    mr_error err = {0};
    mr_status status = MR_OK;
    const int signal_fd = open_signals();
    if (signal_fd < 0)
        return mr_command_fail("run", strerror(errno), MR_EXIT_FAILED);
    for (bool again = true; again;) {
        again = false;
        mr_log(MR_LOG_INFO, "run", "starting", mr_log_text("release", mr_version()),
               mr_log_text("app", config->app), mr_log_text("instance", config->instance));
        status = run_once(options, config, signal_fd, &again, &err);
        again = again && !signalled(signal_fd);
    }
    if (status == MR_OK)
        mr_log(MR_LOG_INFO, "run", "stopped");
    close(signal_fd);
    return status == MR_OK ? MR_EXIT_GOOD : MR_EXIT_FAILED;
}

int mr_command_run(int argc, char **argv)
{
    mr_options options = {
        .command = "run",
        .summary = "Runs the worker until SIGTERM or SIGINT: then it commits what it has begun and "
                   "exits\nwithin ten seconds. A second signal ends it at once; nothing is lost.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    char accept[64];
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *which = mr_options_get(&options, "accept-offsets");
    if (which != NULL && options.set_count < MR_SETS_MAX) {
        snprintf(accept, sizeof accept, "accept_offsets=%s", which);
        options.sets[options.set_count++] = accept;
    }
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    exit_status = run(&options, config);
    mr_options_unload(&options, config);
    return exit_status;
}
