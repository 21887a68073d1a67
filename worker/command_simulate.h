// SPDX-License-Identifier: Apache-2.0
// command_simulate: parts of the command `simulate` that stand in files of their own.
#ifndef MR_WORKER_COMMAND_SIMULATE_H
#define MR_WORKER_COMMAND_SIMULATE_H

#include <jansson.h>

#include "worker/command.h"
#include "worker/simulate.h"

// Adds to root what the configuration and those of each --what-if come to, on `seeds` worlds from
// the options' seed on. Errors: MR_FATAL.
MR_CHECKED mr_status mr_command_simulate_arms(const mr_options *options,
                                              const mr_simulate_options *simulate, uint32_t seeds,
                                              json_t *root, mr_error *err);

#endif
