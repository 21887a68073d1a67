// SPDX-License-Identifier: Apache-2.0
// demo_view: what the demo shows while it runs: a page on a terminal, else a line every few
// seconds.
#ifndef MR_WORKER_DEMO_VIEW_H
#define MR_WORKER_DEMO_VIEW_H

#include "worker/demo.h"
#include "worker/view.h"

typedef struct mr_demo_screen {
    const mr_demo_options *options;
    mr_view view; // of a terminal
    bool terminal, open;
    int64_t line_ms; // time of the run at which the next plain line is due
} mr_demo_screen;

// stdout; borrows options.
void mr_demo_screen_open(mr_demo_screen *screen, const mr_demo_options *options);
void mr_demo_screen_close(mr_demo_screen *screen);

// While the worker starts: since when, first with 0.
void mr_demo_screen_wait(mr_demo_screen *screen, int64_t ms);
void mr_demo_screen_show(mr_demo_screen *screen, const mr_demo_crowd *crowd,
                         const mr_demo_sight *sight);

// A number with separated thousands: "12,345".
enum { MR_DEMO_NUMBER_BYTES = 32 };
const char *mr_demo_number(uint64_t number, char text[MR_DEMO_NUMBER_BYTES]);

#endif
