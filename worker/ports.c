// SPDX-License-Identifier: Apache-2.0
#include "worker/ports.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_now_ms(void *context)
{
    (void)context;
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(void *context)
{
    (void)context;
    return read_ms(CLOCK_REALTIME);
}

static uint64_t system_now_ns(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void system_sleep_ms(void *context, int64_t ms)
{
    (void)context;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void system_fill(void *context, void *bytes, size_t size)
{
    (void)context;
    MR_ASSERT(size <= 256); // up to here getrandom is all or nothing
    ssize_t got;
    do
        got = getrandom(bytes, size, 0);
    while (got < 0 && errno == EINTR);
    MR_ASSERT(got == (ssize_t)size);
}

static uint64_t thread_now_ns(void *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

mr_watch mr_watch_thread(void)
{
    return (mr_watch){NULL, thread_now_ns};
}

mr_watch mr_watch_system(void)
{
    return (mr_watch){NULL, system_now_ns};
}

mr_clock mr_clock_system(void)
{
    return (mr_clock){NULL, system_now_ms, system_wall_ms, system_sleep_ms};
}

mr_chance mr_chance_system(void)
{
    return (mr_chance){NULL, system_fill};
}
