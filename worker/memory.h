// SPDX-License-Identifier: Apache-2.0
// memory: zeroed pages for an engine, and how the C library keeps freed memory.
//
// An engine asks for all that its configuration allows and touches what it needs: pages that it
// never touches are never there.
#ifndef MR_WORKER_MEMORY_H
#define MR_WORKER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct mr_engine;
struct mr_engine_config;

// bytes of zeros, or NULL where the system has no room for them. mr_memory_free gives them back.
void *mr_memory_map(size_t bytes);
// memory: of mr_memory_map with the same bytes, or NULL.
void mr_memory_free(void *memory, size_t bytes);
// A new engine in memory of its own: `bytes`, as mr_engine_bytes says for the configuration. huge:
// large pages are asked for under its rows, since these are read in no order, and with pages of
// 4 KiB most reads miss the translation buffer as well. *memory is the caller's to free, also after
// an error, where it may be NULL. Errors: MR_FATAL.
MR_CHECKED mr_status mr_memory_engine(const struct mr_engine_config *config, size_t bytes,
                                      bool huge, void **memory, struct mr_engine **engine,
                                      mr_error *err);

// Bytes of memory of this machine, or of the control group that we run in where that has less; 0:
// not known.
uint64_t mr_memory_machine(void);

// The most bytes that the process has had in memory so far, mapped files included; 0: not known.
uint64_t mr_memory_resident_max(void);

// Called once, before any thread begins. Messages come and go by the thousand, each allocated by
// the Kafka client; a heap that gives its end back to the system after each burst has it cleared
// again for the next. It keeps what it has had instead, which the client's queues bound.
void mr_memory_keep(void);

#endif
