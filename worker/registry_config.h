// SPDX-License-Identifier: Apache-2.0
// registry_config: the schema registry and the catalog of a configuration, as every command that
// reads messages has them. What the registry does is logged here.
#ifndef MR_WORKER_REGISTRY_CONFIG_H
#define MR_WORKER_REGISTRY_CONFIG_H

#include "worker/config.h"
#include "worker/registry/registry.h"

// *registry NULL: the configuration names none. Borrows the configuration. The cache in the state's
// folder is used where that folder is. Errors: MR_FATAL.
MR_CHECKED mr_status mr_registry_of_config(const mr_config *config, mr_registry **registry,
                                           mr_error *err);

// The options that this takes, for the calls of worker/registry/rest.h.
mr_http_options mr_http_of_config(const mr_config *config);

// Our own schemas, those of schemas.directory, and, unless it is NULL, what the registry has.
MR_CHECKED mr_status mr_catalog_of_config(const mr_config *config, mr_registry *registry,
                                          mr_catalog **catalog, mr_error *err);

// Whether lists, items and metrics are framed by the registry's ids.
bool mr_config_numbers_outputs(const mr_config *config);

// The subject of an input's schemas, at most `size` bytes; NULL: it has none.
const char *mr_config_subject(const mr_config_input *input, char *subject, size_t size);

// The subject of the records of a topic of ours.
void mr_config_output_subject(const char *topic, char *subject, size_t size);

#endif
