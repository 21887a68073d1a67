// SPDX-License-Identifier: Apache-2.0
// replay_result: what a replay counted, and its metrics over time. Inside of replay*.c.
#ifndef MR_WORKER_REPLAY_RESULT_H
#define MR_WORKER_REPLAY_RESULT_H

#include "core/engine.h"
#include "worker/replay.h"

enum { MR_SAMPLES_MAX = 2048, MR_WINDOWS_MAX = 4096 };

typedef struct mr_sums { // of every model, as the engine counts since the start
    mr_prequential all[MR_ENGINE_COLUMNS_MAX + 1], fresh[MR_ENGINE_COLUMNS_MAX + 1], served;
    mr_prequential lists; // acts against lists in force (worker/measure)
} mr_sums;

typedef struct mr_sample { // the sums when so many events were learned
    uint64_t events;
    mr_sums sums;
} mr_sample;

typedef struct mr_window { // the sums at the end of a window of event time
    int64_t from_ms;
    uint64_t events;
    mr_sums sums;
} mr_window;

struct mr_replay_result {
    mr_measure measure;
    bool judged; // measure is open
    uint64_t events, epochs, rounds, commits, lists_published;
    mr_arrivals_files files; // that were read
    uint64_t refused[MR_CAUSE_COUNT], unreadable;
    mr_task_counters counters;
    double seconds;
    uint64_t memory_max_bytes; // what the engine may take, by the configuration
    uint64_t resident_bytes;   // the most that the process had in memory, all in all
    mr_hash128 state_hash, lists_hash;
    mr_engine_metrics last;
    mr_sums scored; // after the warm-up
    double warmup;
    int64_t first_ms, clock_ms;
    uint32_t tasks, lanes;
    int64_t interval_ms, window_ms;
    uint32_t epoch_events_max;
    uint64_t commit_events;
    mr_sample *samples; // at rising numbers of events; every second one goes when they are too many
    uint32_t sample_count;
    uint64_t sample_every;
    mr_window *windows;
    uint32_t window_count;
};

// Notes the sums after a round.
void mr_replay_note(mr_replay_result *result, mr_engine *engine, int64_t time_ms);
// Takes the warm-up off; the last call.
void mr_replay_conclude(mr_replay_result *result, mr_engine *engine, double warmup);

// Writes windows.csv. Errors: MR_FATAL: the file cannot be written.
MR_CHECKED mr_status mr_replay_write_windows(const mr_replay_result *result, const char *path,
                                             mr_error *err);

#endif
