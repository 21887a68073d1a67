// SPDX-License-Identifier: Apache-2.0
#include "worker/registry_config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/log.h"
#include "worker/version.h"

enum { PAUSE_MS = 1000, PAUSE_MS_MAX = 20000, PATH_BYTES = 4096 };

static void log_event(void *context, mr_registry_event event, const char *what, const char *error)
{
    (void)context;
    switch (event) {
    case MR_REGISTRY_ASKED:
        mr_log(MR_LOG_INFO, "registry", "a schema is asked for, its records wait",
               mr_log_text("schema", what));
        break;
    case MR_REGISTRY_CAME:
        mr_log(MR_LOG_INFO, "registry", "a schema came", mr_log_text("schema", what));
        break;
    case MR_REGISTRY_MISSING:
        mr_log(MR_LOG_WARNING, "registry", "a schema is missing, its records are dead letters",
               mr_log_text("schema", what), mr_log_text("error", error));
        break;
    case MR_REGISTRY_DOWN:
        mr_log(MR_LOG_WARNING, "registry", "the registry does not answer, trying again",
               mr_log_text("schema", what), mr_log_text("error", error));
        break;
    case MR_REGISTRY_KEPT:
        mr_log(MR_LOG_WARNING, "registry",
               "the registry does not answer, what it said before holds",
               mr_log_text("schema", what), mr_log_text("error", error));
        break;
    case MR_REGISTRY_UNKEPT:
        mr_log(MR_LOG_WARNING, "registry", "a schema is not kept on disk",
               mr_log_text("schema", what), mr_log_text("error", error));
        break;
    }
}

mr_http_options mr_http_of_config(const mr_config *config)
{
    return (mr_http_options){
        .urls = config->registry_urls.items,
        .url_count = config->registry_urls.count,
        .agent = mr_version(),
        .username = config->registry_username,
        .password = config->registry_password,
        .token = config->registry_token,
        .ca = config->registry_ca,
        .certificate = config->registry_certificate,
        .key = config->registry_key,
        .key_password = config->registry_key_password,
        .timeout_ms = config->registry_timeout,
        .pause_ms = PAUSE_MS,
        .pause_ms_max = PAUSE_MS_MAX,
        .chance = mr_chance_system(),
    };
}

mr_status mr_registry_of_config(const mr_config *config, mr_registry **registry, mr_error *err)
{
    char folder[PATH_BYTES] = "";
    *registry = NULL;
    if (config->registry_urls.count == 0)
        return MR_OK;
    if (strcmp(config->registry_cache, "none") == 0)
        folder[0] = '\0';
    else if (config->registry_cache[0] != '\0')
        snprintf(folder, sizeof folder, "%s", config->registry_cache);
    else if (access(config->state_path, W_OK) == 0)
        snprintf(folder, sizeof folder, "%s/registry", config->state_path);
    const mr_registry_options options = {
        .http = mr_http_of_config(config),
        .cache_folder = folder,
        .missing_ms = config->registry_missing,
        .clock = mr_clock_system(),
        .tell = log_event,
    };
    return mr_registry_open(&options, registry, err);
}

mr_status mr_catalog_of_config(const mr_config *config, mr_registry *registry, mr_catalog **catalog,
                               mr_error *err)
{
    const char *const directory = config->schemas_directory;
    MR_TRY(mr_catalog_open(directory[0] != '\0' ? directory : NULL, catalog, err));
    if (registry == NULL)
        return MR_OK;
    const mr_schema_finder finder = mr_registry_finder(registry);
    mr_catalog_ask(*catalog, &finder);
    return MR_OK;
}

bool mr_config_numbers_outputs(const mr_config *config)
{
    return config->registry_urls.count > 0 && config->outputs_format != MR_OUTPUT_SINGLE_OBJECT;
}

void mr_config_output_subject(const char *topic, char *subject, size_t size)
{
    snprintf(subject, size, "%s-value", topic);
}

const char *mr_config_subject(const mr_config_input *input, char *subject, size_t size)
{
    if (strcmp(input->subject, "none") == 0)
        return NULL;
    if (input->subject[0] == '\0')
        mr_config_output_subject(input->topic, subject, size);
    else
        snprintf(subject, size, "%s", input->subject);
    return subject;
}
