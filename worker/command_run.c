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
#include "worker/log.h"
#include "worker/run.h"
#include "worker/version.h"

enum {
    TURN_MS = 500,
    STOP_S = 9,       // a stop takes no longer,
    FINISH_MS = 6000, // of it for the last commits
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
        alarm(left_s);
}

static mr_status turn_until_stopped(mr_worker *worker, int signal_fd, bool stop_at_end,
                                    mr_error *err)
{
    while (!signalled(signal_fd)) {
        MR_TRY(mr_worker_turn(worker, signal_fd, TURN_MS, err));
        if (stop_at_end && mr_worker_at_end(worker))
            break;
    }
    mr_log(MR_LOG_INFO, "run", "stopping");
    MR_TRY(mr_worker_finish(worker, FINISH_MS, err));
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
           mr_log_long("refused", (int64_t)sum.refused));
}

static int run(const mr_options *options, const mr_config *config)
{
    mr_error err = {0}, close_err = {0};
    const int signal_fd = open_signals();
    mr_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL || signal_fd < 0) {
        free(worker);
        return mr_command_fail("run", strerror(errno), MR_EXIT_FAILED);
    }
    worker->config = config;
    worker->methods = &options->methods;
    mr_log(MR_LOG_INFO, "run", "starting", mr_log_text("release", mr_version()),
           mr_log_text("app", config->app), mr_log_text("instance", config->instance));
    mr_status status = mr_worker_open(worker, &err);
    if (status == MR_OK) {
        status = turn_until_stopped(worker, signal_fd,
                                    mr_options_get(options, "stop-at-end") != NULL, &err);
        log_totals(worker);
    }
    if (status != MR_OK)
        mr_log(MR_LOG_ERROR, "run", "ends", mr_log_text("error", err.text));
    bound_end();
    const mr_status closed = mr_worker_close(worker, &close_err);
    if (closed != MR_OK && status == MR_OK)
        mr_log(MR_LOG_ERROR, "run", "ends", mr_log_text("error", close_err.text));
    else if (status == MR_OK)
        mr_log(MR_LOG_INFO, "run", "stopped");
    free(worker);
    close(signal_fd);
    alarm(0);
    return status == MR_OK && closed == MR_OK ? MR_EXIT_GOOD : MR_EXIT_FAILED;
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
