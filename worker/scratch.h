// SPDX-License-Identifier: Apache-2.0
// scratch: a folder for the state of one command, gone when it ends.
#ifndef MR_WORKER_SCRATCH_H
#define MR_WORKER_SCRATCH_H

#include <stddef.h>

#include "core/base/error.h"

// Makes a new folder below $TMPDIR; its path has at most `size` bytes. Errors: MR_FATAL.
MR_CHECKED mr_status mr_scratch_make(char *path, size_t size, mr_error *err);
// Removes it, with a state folder named "state" in it; anything else stays.
void mr_scratch_remove(const char *path);

#endif
