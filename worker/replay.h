// SPDX-License-Identifier: Apache-2.0
// replay: the same engine over files, topics or made-up events, as fast as the machine goes.
//
// Users are split into replay.tasks by murmur2, as a topic would. An epoch ends epoch.interval_ms
// of event time after its first event, or when it is full; a commit after replay.commit_events. So
// the same file and configuration give the same rows and lists, byte for byte, on any number of
// lanes. Every act is a target before it is learned: the metrics are prequential
// (core/eval/probe.h).
#ifndef MR_WORKER_REPLAY_H
#define MR_WORKER_REPLAY_H

#include "worker/arrivals.h"
#include "worker/measure/measure.h"
#include "worker/methods.h"

enum { MR_REPLAY_INPUTS_MAX = MR_ARRIVALS_FILES_MAX };

typedef struct mr_replay_options {
    const mr_config *config;
    const mr_methods *methods;
    const char *inputs[MR_REPLAY_INPUTS_MAX]; // merged by event time (worker/arrivals.h)
    uint32_t input_count;
    const char *catalogue; // a file of items, known before the inputs' first event; NULL: none
    const mr_traffic_options *traffic; // made-up events instead of files; NULL: none
    bool topics;           // instead of files the topics of the configuration are read:
    mr_range_end from, to; // this range of each partition
    const char *mapped_as; // name under `topics` whose kind and mapping the files have; NULL: none
    const mr_format *format; // how the files' rows are events; NULL: they are ours, or mapped_as
    const char *out;       // folder for state, lists and results; NULL: nothing is left
    double warmup;         // share of the events that is learned from but not scored
    int64_t window_ms;     // of windows.csv
    bool measure;          // false: learn only
    bool judge;            // published lists by what their users do next
    const char *field;     // of the context, by which judged acts are split; NULL: none
    mr_range_end split;    // a time: lists in force then are judged by all acts after it
    bool progress;
} mr_replay_options;

typedef struct mr_replay_result mr_replay_result;

// Replays. *result is the caller's. Errors: MR_FATAL with path and line: an input that cannot be
// read, a state folder that cannot be written.
MR_CHECKED mr_status mr_replay_run(const mr_replay_options *options, mr_replay_result **result,
                                   mr_error *err);
void mr_replay_result_free(mr_replay_result *result);

// One JSON object with all of it (ends in a newline), and a table for people.
struct json_t *mr_replay_json(const mr_replay_result *result);
void mr_replay_print(const mr_replay_result *result, FILE *out);

// The same of the files alone: the array; several files by name, and a warning for each whose
// events are not in order of time.
struct json_t *mr_replay_files_json(const mr_arrivals_files *files);
void mr_replay_print_files(const mr_arrivals_files *files, FILE *out);

#endif
