// SPDX-License-Identifier: Apache-2.0
// bench: figures of the parts that decide how fast the worker is, each with its reference measured
// in the same run, so that a ratio means something on any machine.
#ifndef MR_WORKER_BENCH_BENCH_H
#define MR_WORKER_BENCH_BENCH_H

#include <stdint.h>

#include "core/base/error.h"

typedef struct mr_figure {
    const char *name; // stable, in snake case
    double value;     // median of repeated runs
    const char *unit;
    const char *reference;  // what it is compared with
    double reference_value; // in the same unit
    double ratio;           // median of value / reference of runs side by side; more is better
} mr_figure;

// Each fills `figures` from its start; *count is the room on entry and what was filled on return.
// They take seconds and hundreds of megabytes, and write to TMPDIR (or /tmp) at most.
// Errors: MR_FATAL: no memory, no room on the disk.
MR_CHECKED mr_status mr_bench_decode(mr_figure *figures, uint32_t *count, mr_error *err);
MR_CHECKED mr_status mr_bench_learn(mr_figure *figures, uint32_t *count, mr_error *err);
MR_CHECKED mr_status mr_bench_topk(mr_figure *figures, uint32_t *count, mr_error *err);
MR_CHECKED mr_status mr_bench_bandit(mr_figure *figures, uint32_t *count, mr_error *err);
MR_CHECKED mr_status mr_bench_state(mr_figure *figures, uint32_t *count, mr_error *err);

typedef struct mr_pipeline_options {
    const char *bootstrap;   // "host:port" of a real broker; NULL: config_path names it
    const char *config_path; // kafka and method settings; NULL: none
    const char *const *sets; // "a.b=c", over both
    uint32_t set_count;
    uint64_t events;     // pipeline
    uint64_t rows;       // restore
    uint32_t partitions; // of the input: tasks; at most 64
} mr_pipeline_options;

// The whole worker against a program that only moves the same bytes; takes a minute, makes topics
// and deletes them. Errors: as above, and what the brokers say.
MR_CHECKED mr_status mr_bench_pipeline(const mr_pipeline_options *options, mr_figure *figures,
                                       uint32_t *count, mr_error *err);

// A state made again from its changelog, against reading that alone. As above.
MR_CHECKED mr_status mr_bench_restore(const mr_pipeline_options *options, mr_figure *figures,
                                      uint32_t *count, mr_error *err);

#endif
