// SPDX-License-Identifier: Apache-2.0
// rounds: decisions of a log with what came of them: impressions joined with later clicks.
//
// An entry of a slate is a round of its own, at its position. A click belongs to the latest round
// of the same item of the same list (else of the same session, else of the same user) that is not
// older than the window. A round is given out when the log has moved past its window, so memory is
// bounded by the window, and by MR_ROUNDS_OPEN_MAX whatever the window.
#ifndef MR_WORKER_OPE_ROUNDS_H
#define MR_WORKER_OPE_ROUNDS_H

#include "core/event/event.h"
#include "schemas/mapping.h"
#include "worker/input/format.h"

enum { MR_ROUNDS_OPEN_MAX = 1 << 18 };

typedef struct mr_bandit_round {
    uint64_t item_key, cluster; // whose rounds are resampled together: the user
    int64_t position, time_ms;
    double propensity, reward;
    uint64_t list;           // number of the impression that it is an entry of
    uint32_t entry, entries; // its place in it, from 0, and how many it has
} mr_bandit_round;

typedef struct mr_rounds_options {
    const char *path;
    const mr_mapping *mapping; // NULL: columns or schema of ours
    const mr_format *format;   // how the rows of a foreign log are events; NULL: none
    mr_event_kind reward;      // the kind of event that is a reward of 1
    int64_t window_ms;
} mr_rounds_options;

typedef struct mr_rounds_counts {
    uint64_t events, rounds, rewards, unjoined; // rewards that no round was found for
    uint64_t skipped, bad, others; // without propensity; unreadable or impossible; other kinds
    uint64_t early; // rounds given out before their window was over, since too many were open
    char first_bad[256];
} mr_rounds_counts;

// Reads the whole log and gives its rounds in order to `take`. Errors: MR_FATAL of the file, or
// what `take` returns.
MR_CHECKED mr_status mr_rounds_read(const mr_rounds_options *options,
                                    mr_status (*take)(void *context, const mr_bandit_round *round,
                                                      mr_error *err),
                                    void *context, mr_rounds_counts *counts, mr_error *err);

#endif
