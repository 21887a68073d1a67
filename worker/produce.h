// SPDX-License-Identifier: Apache-2.0
// produce: an event file, or made-up events, to the topics of a configuration at a given rate.
#ifndef MR_WORKER_PRODUCE_H
#define MR_WORKER_PRODUCE_H

#include <jansson.h>
#include <signal.h>

#include "worker/config.h"
#include "worker/input/format.h"
#include "worker/traffic.h"

enum { MR_PRODUCE_INPUTS_MAX = 16 };

typedef struct mr_produce_options {
    const mr_config *config;
    const char *inputs[MR_PRODUCE_INPUTS_MAX]; // files, one after the other
    uint32_t input_count;
    const char *mapped_as;   // name under `topics` whose mapping the files have; NULL: none
    const mr_format *format; // how the files' rows are events; NULL: they are ours, or mapped_as
    const mr_traffic_options *traffic;         // made-up events instead of files; NULL: none
    const char *topic_of[MR_EVENT_KIND_COUNT]; // over the configuration's; NULL: none
    double rate;                               // events a second; 0: as fast as they are taken
    uint64_t limit;                            // of the events; 0: none
    bool loop;                                 // the files begin again when they end
    bool now;                                  // event times are the times of sending
    bool progress;
    const volatile sig_atomic_t *stop; // set: send no more, deliver what is queued
} mr_produce_options;

typedef struct mr_produce_result {
    uint64_t events;     // sent
    uint64_t unreadable; // bad records of the files: left out
    uint64_t refused;    // events that cannot be sent: left out
    uint64_t failed;     // not delivered
    double seconds;      // until the last one was delivered
    json_t *topics;      // topic -> delivered; the caller's
} mr_produce_result;

// Sends it all and waits until it is delivered. Errors: MR_FATAL: a file that cannot be read, a
// topic that is not there; MR_RETRY: brokers that do not answer. *result is filled in any case.
MR_CHECKED mr_status mr_produce_run(const mr_produce_options *options, mr_produce_result *result,
                                    mr_error *err);

#endif
