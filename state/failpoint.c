// SPDX-License-Identifier: Apache-2.0
#include "state/failpoint.h"

#ifdef MR_FAILPOINTS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"

// What a place does must not depend on who passes it, so that this is the process's.
static struct {
    char name[64], action[16];
    unsigned nth, ms;
    atomic_uint passed;
} point;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_point(void)
{
    const char *text = getenv("MILLRACE_FAILPOINT");
    if (text == NULL || text[0] == '\0')
        return;
    const int found = sscanf(text, "%63[^:]:%u:%15[a-z]:%u", point.name, &point.nth, point.action,
                             &point.ms);
    static const char *const actions[] = {"kill", "stop", "exit", "delay"};
    for (size_t i = 0; found >= 3 && i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(point.action, actions[i]) == 0 && point.nth > 0)
            return;
    }
    fprintf(stderr, "MILLRACE_FAILPOINT=%s: want NAME:NTH:kill|stop|exit|delay[:MS]\n", text);
    _exit(2);
}

static void sleep_ms(unsigned ms)
{
    while (ms-- > 0)
        usleep(1000);
}

static void *signal_later(void *number)
{
    sleep_ms(point.ms);
    kill(getpid(), *(const int *)number);
    return NULL;
}

static void signal_self(const int *number)
{
    pthread_t thread;
    if (point.ms == 0)
        kill(getpid(), *number);
    else if (pthread_create(&thread, NULL, signal_later, (void *)(uintptr_t)number) == 0)
        pthread_detach(thread);
}

void mr_failpoint(const char *name)
{
    static const int killed = SIGKILL, stopped = SIGSTOP;
    pthread_once(&once, read_point);
    if (strcmp(name, point.name) != 0 || atomic_fetch_add(&point.passed, 1) + 1 != point.nth)
        return;
    fprintf(stderr, "failpoint %s: %s\n", name, point.action);
    switch (point.action[0]) {
    case 'k':
        signal_self(&killed);
        break;
    case 's':
        signal_self(&stopped);
        break;
    case 'e':
        _exit(1);
    default:
        sleep_ms(point.ms);
    }
}
#else
// An empty unit is no C.
typedef int mr_failpoint_none;
#endif
