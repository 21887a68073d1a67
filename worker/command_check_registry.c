// SPDX-License-Identifier: Apache-2.0
// What the schema registry says about the inputs' subjects and about our schemas.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/builtin.h"
#include "worker/checking.h"
#include "worker/decoder.h"
#include "worker/outputs.h"
#include "worker/registry/rest.h"
#include "worker/registry_config.h"

enum { ROUNDS = 2, DETAIL_BYTES = 512, SUBJECT_BYTES = MR_REST_SUBJECT_MAX + 8 };

typedef struct asking {
    mr_checking *checking;
    mr_http *http;
    mr_rest rest;
    mr_catalog *catalog;
    mr_decoder *decoder;
    mr_rest_schema schema; // what the finder of the catalog has
    bool over;             // the registry does not answer: nothing more is asked
} asking;

static void say(asking *a, bool good, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(asking *a, bool good, const char *what, const char *format, ...)
{
    char detail[DETAIL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (good)
        mr_check_good(what, detail);
    else
        mr_check_fault(a->checking, what, detail);
}

// A failure that is not the registry's answer to this question alone. Returns whether it was one.
static bool say_failure(asking *a, mr_status status, const char *what, const mr_error *err)
{
    if (status == MR_OK || status == MR_REJECT)
        return false;
    const bool of_this_alone = a->rest.status == 403;
    a->over = !of_this_alone;
    say(a, false, of_this_alone ? what : "registry", "%s", err->text);
    return true;
}

// The second attempt follows at once: patience is for the worker.
static bool wait_never(void *context, int64_t ms)
{
    (void)context;
    (void)ms;
    return true;
}

static mr_status find_schema(void *context, const mr_frame *frame, char **text, size_t *text_bytes,
                             mr_error *err)
{
    asking *a = context;
    (void)frame;
    *text = strdup(a->schema.text);
    *text_bytes = a->schema.text_bytes;
    return *text != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

static mr_status open_asking(asking *a, mr_error *err)
{
    const mr_config *config = a->checking->config;
    const mr_schema_finder finder = {a, find_schema};
    mr_http_options options = mr_http_of_config(config);
    options.wait = wait_never;
    MR_TRY(mr_http_open(&options, &a->http, err));
    a->rest = (mr_rest){.http = a->http,
                        .rounds = ROUNDS,
                        .has_credentials = config->registry_username[0] != '\0' ||
                                           config->registry_token[0] != '\0'};
    MR_TRY(mr_catalog_of_config(config, NULL, &a->catalog, err));
    mr_catalog_ask(a->catalog, &finder);
    return mr_decoder_open(config, a->catalog, &a->decoder, err);
}

static void close_asking(asking *a)
{
    mr_decoder_close(a->decoder);
    mr_catalog_close(a->catalog);
    mr_http_close(a->http);
}

// ---- inputs

static void check_decodes(asking *a, uint32_t input, const char *subject)
{
    const mr_frame frame = {.names = MR_FRAME_NAMES_ID, .id = (uint32_t)a->schema.id};
    const char *const name = a->checking->config->inputs[input].name;
    mr_error err = {0};
    const mr_status status = mr_decoder_knows(a->decoder, input, &frame, &err);
    const long long version = (long long)a->schema.version, id = (long long)a->schema.id;
    if (status == MR_OK)
        say(a, true, name, "subject %s: version %lld, id %lld, decodes", subject, version, id);
    else
        say(a, false, name, "subject %s: version %lld, id %lld, does not decode: %s", subject,
            version, id, err.text);
}

static void check_input(asking *a, uint32_t index)
{
    const mr_config_input *input = &a->checking->config->inputs[index];
    char subject[SUBJECT_BYTES];
    mr_error err = {0};
    if (mr_config_is_pattern(input) ||
        (input->format != MR_FORMAT_AUTO && input->format != MR_FORMAT_CONFLUENT) ||
        mr_config_subject(input, subject, sizeof subject) == NULL)
        return;
    const mr_status status = mr_rest_by_version(&a->rest, subject, 0, &a->schema, &err);
    if (say_failure(a, status, input->name, &err))
        return;
    if (status == MR_OK) {
        check_decodes(a, index, subject);
        free(a->schema.text);
        return;
    }
    const bool absent = a->rest.code == MR_REST_NO_SUBJECT || a->rest.code == MR_REST_NO_VERSION;
    if (absent && input->format == MR_FORMAT_AUTO)
        say(a, true, input->name, "no subject %s (%d); its records name their schemas", subject,
            a->rest.code);
    else if (absent)
        say(a, false, input->name,
            "no subject %s (%d): its producers register it; where they name subjects by record, "
            "set topics.%s.subject: none, else to the subject that they use",
            subject, a->rest.code, input->name);
    else
        say(a, false, input->name, "%s", err.text);
}

// ---- outputs

static void say_unregistered(asking *a, const char *topic, const char *subject, const char *text)
{
    bool compatible;
    char why[160];
    mr_error err = {0};
    if (!a->checking->config->registry_register) {
        say(a, false, topic,
            "subject %s does not have our schema (%d): registry.register: true puts it there, or "
            "do it by hand (millrace schema)",
            subject, a->rest.code);
        return;
    }
    const mr_status status =
        mr_rest_is_compatible(&a->rest, subject, text, &compatible, why, sizeof why, &err);
    if (say_failure(a, status, topic, &err))
        return;
    if (status == MR_REJECT)
        say(a, false, topic, "%s", err.text);
    else if (compatible)
        say(a, true, topic, "subject %s: our schema will be registered, and may be", subject);
    else
        say(a, false, topic,
            "subject %s: our schema is not compatible with the latest one there: %s; name another "
            "topic, or relax the subject's compatibility",
            subject, why);
}

static void check_output(asking *a, mr_topic topic)
{
    const mr_config *config = a->checking->config;
    const char *const schema = mr_outputs_schema(topic);
    char subject[SUBJECT_BYTES];
    uint32_t id;
    mr_error err = {0};
    if (schema == NULL || !mr_kafka_topic_used(config, topic))
        return;
    const char *const name = mr_kafka_topic_name(config, topic);
    const char *const text = mr_builtin_find(schema)->text;
    mr_config_output_subject(name, subject, sizeof subject);
    const mr_status status = mr_rest_look_up(&a->rest, subject, text, &id, &err);
    if (say_failure(a, status, name, &err))
        return;
    if (status == MR_OK)
        say(a, true, name, "subject %s: our schema has id %u", subject, id);
    else
        say_unregistered(a, name, subject, text);
}

void mr_check_registry(mr_checking *checking)
{
    const mr_config *config = checking->config;
    asking a = {.checking = checking};
    mr_error err = {0};
    if (config->registry_urls.count == 0)
        return;
    if (open_asking(&a, &err) != MR_OK) {
        say(&a, false, "registry", "%s", err.text);
        a.over = true;
    }
    for (uint32_t i = 0; i < config->input_count && !a.over; i++)
        check_input(&a, i);
    for (int t = 0; t < MR_TOPIC_COUNT && !a.over && mr_config_numbers_outputs(config); t++)
        check_output(&a, (mr_topic)t);
    if (!a.over)
        say(&a, true, "registry", "%s", config->registry_urls.items[0]);
    checking->registry_answers = !a.over;
    close_asking(&a);
}
