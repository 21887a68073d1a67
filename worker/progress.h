// SPDX-License-Identifier: Apache-2.0
// progress: how far long work has come, for people.
//
// On a terminal one line is redrawn at most ten times a second; elsewhere a plain line is written
// every ten seconds. Time is the caller's (milliseconds of any clock that does not go back).
#ifndef MR_WORKER_PROGRESS_H
#define MR_WORKER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mr_progress {
    FILE *out; // stderr; NULL: silent
    bool terminal;
    const char *what; // "replay", borrowed
    uint64_t total;   // 0: not known
    int64_t begun_ms, shown_ms;
    bool shown;
} mr_progress;

// Whether `out` is a terminal that can redraw a line: TERM is set and not "dumb".
bool mr_progress_is_terminal(FILE *out);

void mr_progress_begin(mr_progress *progress, FILE *out, bool terminal, const char *what,
                       uint64_t total, int64_t now_ms);
// Shows the state if it is time to. `done` of `total`; `note` (may be NULL) ends the line.
void mr_progress_update(mr_progress *progress, uint64_t done, const char *note, int64_t now_ms);
// Shows the last state, whatever the time, and ends the line.
void mr_progress_end(mr_progress *progress, uint64_t done, const char *note, int64_t now_ms);

#endif
