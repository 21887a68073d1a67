// SPDX-License-Identifier: Apache-2.0
// scratch: a folder of one command, gone when that ends.
#ifndef MR_WORKER_SCRATCH_H
#define MR_WORKER_SCRATCH_H

#include <stddef.h>

#include "core/base/error.h"

// Makes a new folder below $TMPDIR, else /tmp; its path takes `size` bytes at most. After an error
// the path is empty. Errors: MR_FATAL.
MR_CHECKED mr_status mr_scratch_make(char *path, size_t size, mr_error *err);
// Removes it with everything in it, and empties the path. An empty path: nothing was made.
void mr_scratch_remove(char *path);

#endif
