// SPDX-License-Identifier: Apache-2.0
// methods: the parameters of the engine's methods as keys of the configuration, and back.
//
// "models.<name>.<parameter>", "policies...", "rules...": the rows come from the tables of
// core/model/model.h, so that a new method needs nothing here.
#ifndef MR_WORKER_METHODS_H
#define MR_WORKER_METHODS_H

#include "core/engine.h"
#include "worker/config.h"

typedef struct mr_methods {
    mr_config_number *numbers; // for mr_config_source.numbers
    mr_setting *settings;      // in the same order; values of mr_methods_apply
    uint32_t count;
    char *paths;
    const struct mr_model *const *extra; // models of tests, beside those of the table
    uint32_t extra_count;
} mr_methods;

// Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_methods_open(mr_methods *methods, mr_error *err);
void mr_methods_close(mr_methods *methods);

// Takes the values of a configuration that was loaded with methods->numbers.
void mr_methods_apply(mr_methods *methods, const mr_config *config);

// Checks the names of models.off. Errors: MR_FATAL with the nearest name.
MR_CHECKED mr_status mr_methods_check(const mr_config *config, mr_error *err);

// The engine's configuration for P tasks; borrows methods and config for the engine's life. The
// ports (lanes, fetch) are the caller's to set. Errors: as mr_engine_users_for.
MR_CHECKED mr_status mr_methods_engine(const mr_methods *methods, const mr_config *config,
                                       uint32_t tasks, mr_engine_config *engine, mr_error *err);

#endif
