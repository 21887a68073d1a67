// SPDX-License-Identifier: Apache-2.0
// millrace dead-letters: what was refused, and why; and back with it after a mend.
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "worker/archive.h"
#include "worker/arrivals.h"
#include "worker/command.h"
#include "worker/kafka/admin.h"
#include "worker/kafka/redrive.h"
#include "worker/letters.h"
#include "worker/log.h"

enum { SLICE = 1000, SAMPLES = 3 };

static const mr_option rows[] = {
    {"cause", "NAME", "only letters of that cause"},
    {"topic", "TOPIC", "only records of that topic"},
    {"since", "TIME", "only records from then on, by their own timestamps: 2026-01-31T12:30Z"},
    {"samples", "N", "newest records shown of each cause and topic, 0 to 20 (3)"},
    {"redrive", NULL,
     "puts the letters of --cause back on their topics, each once: mend the cause first"},
    {"json", NULL, "prints one JSON object"},
    {0},
};

typedef struct request {
    const char *cause, *topic;
    int64_t since_ms;
    bool redrive, json;
} request;

typedef struct reading {
    const request *request;
    mr_letters letters;
    mr_redrive *redrive; // NULL: only looked at
    mr_error first_left; // why the first one stays
    uint64_t sent, left; // left: that cannot be sent again
} reading;

static bool wanted(const request *r, const mr_letter *letter)
{
    return (r->cause == NULL || strcmp(r->cause, letter->cause) == 0) &&
           (r->topic == NULL || strcmp(r->topic, letter->topic) == 0) &&
           letter->time_ms >= r->since_ms;
}

static mr_status see(void *context, const mr_message *message, mr_error *err)
{
    reading *r = context;
    mr_letter letter;
    mr_error why = {0};
    if (mr_letter_read(message, &letter, &why) != MR_OK) {
        r->letters.foreign++;
        return MR_OK;
    }
    if (!wanted(r->request, &letter))
        return MR_OK;
    mr_letters_add(&r->letters, &letter);
    if (r->redrive == NULL)
        return MR_OK;
    const mr_status status = mr_redrive_send(r->redrive, message, &letter, &why);
    r->sent += status == MR_OK;
    if (status == MR_REJECT && r->left++ == 0)
        r->first_left = why;
    if (status != MR_OK && status != MR_REJECT) {
        *err = why;
        return MR_FATAL;
    }
    return MR_OK;
}

static mr_status read_partition(reading *r, const mr_archive *archive, uint32_t partition,
                                mr_error *err)
{
    mr_log_ends ends;
    MR_TRY(archive->ends(archive->context, MR_ARCHIVE_DEAD_LETTERS, partition, &ends, err));
    int64_t at = ends.first;
    if (r->redrive != NULL)
        MR_TRY(mr_redrive_next(r->redrive, partition, ends.first, &at, err));
    while (at < ends.end) {
        const int64_t begun = at, end = at + SLICE < ends.end ? at + SLICE : ends.end;
        const mr_status status = archive->read(archive->context, MR_ARCHIVE_DEAD_LETTERS, partition,
                                               at, end, see, r, &at, err);
        if (status == MR_OK && r->redrive != NULL && at > begun)
            MR_TRY(mr_redrive_commit(r->redrive, partition, at, err));
        archive->release(archive->context);
        MR_TRY(status);
        if (at < end)
            break; // an open transaction stands there
    }
    return MR_OK;
}

static mr_status read_all(reading *r, const mr_config *config, mr_error *err)
{
    mr_archive_kafka *kafka = NULL;
    mr_kafka_admin *admin = NULL;
    uint32_t tasks = 0, partitions = 0;
    const char *const topic = mr_kafka_topic_name(config, MR_TOPIC_DEAD_LETTERS);
    mr_status status = mr_kafka_admin_open(config, &admin, err);
    if (status == MR_OK)
        status = mr_kafka_admin_partitions(admin, topic, &partitions, err);
    mr_kafka_admin_close(admin);
    MR_TRY(status);
    if (partitions == 0)
        return mr_fail(err, MR_FATAL,
                       "there is no topic %s: millrace check --create-topics makes it", topic);
    MR_TRY(mr_archive_kafka_open(config, &tasks, &kafka, err));
    const mr_archive archive = mr_archive_kafka_port(kafka);
    if (r->request->redrive)
        status = mr_redrive_open(config, r->request->cause, &r->redrive, err);
    for (uint32_t p = 0; p < partitions && status == MR_OK; p++)
        status = read_partition(r, &archive, p, err);
    mr_redrive_close(r->redrive);
    mr_archive_kafka_close(kafka);
    return status;
}

// ---- what is said

static void print_group(const reading *r, const mr_letter_group *group)
{
    char first[MR_RANGE_TIME_BYTES], last[MR_RANGE_TIME_BYTES];
    printf("  %-18s %-24s %10" PRIu64 "  %-24s  %s\n", group->cause, group->topic, group->count,
           mr_range_time(group->first_ms > 0 ? group->first_ms : INT64_MIN, first),
           mr_range_time(group->last_ms > 0 ? group->last_ms : INT64_MIN, last));
    for (uint32_t n = 0;; n++) {
        const uint32_t at = mr_letters_sample(&r->letters, group, n);
        if (at == UINT32_MAX)
            return;
        printf("      partition %" PRId64 ", offset %" PRId64 ": %s\n",
               group->samples[at].partition, group->samples[at].offset, group->samples[at].reason);
    }
}

static void print(const reading *r)
{
    if (r->letters.group_count > 0)
        printf("  %-18s %-24s %10s  %-24s  %s\n", "cause", "topic", "records", "first", "last");
    for (uint32_t i = 0; i < r->letters.group_count; i++)
        print_group(r, &r->letters.groups[i]);
    printf("%" PRIu64 " dead letters\n", r->letters.count);
    if (r->letters.ungrouped > 0)
        printf("%" PRIu64 " of them are of further causes and topics, which are not shown\n",
               r->letters.ungrouped);
    if (r->letters.foreign > 0)
        printf("%" PRIu64 " more records in the topic are no letters of ours\n",
               r->letters.foreign);
    if (!r->request->redrive)
        return;
    printf("%" PRIu64 " were put back on their topics\n", r->sent);
    if (r->left > 0)
        printf("%" PRIu64 " cannot be; the first: %s\n", r->left, r->first_left.text);
}

static json_t *group_json(const reading *r, const mr_letter_group *group)
{
    char first[MR_RANGE_TIME_BYTES], last[MR_RANGE_TIME_BYTES];
    json_t *samples = json_array();
    for (uint32_t n = 0;; n++) {
        const uint32_t at = mr_letters_sample(&r->letters, group, n);
        if (at == UINT32_MAX)
            break;
        json_array_append_new(samples, json_pack("{s:I, s:I, s:s}", "partition",
                                                 (json_int_t)group->samples[at].partition, "offset",
                                                 (json_int_t)group->samples[at].offset, "reason",
                                                 group->samples[at].reason));
    }
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "cause", group->cause, "topic", group->topic,
                     "count", (json_int_t)group->count, "first",
                     mr_range_time(group->first_ms > 0 ? group->first_ms : INT64_MIN, first),
                     "last", mr_range_time(group->last_ms > 0 ? group->last_ms : INT64_MIN, last),
                     "newest", samples);
}

static void print_json(const reading *r)
{
    json_t *groups = json_array();
    for (uint32_t i = 0; i < r->letters.group_count; i++)
        json_array_append_new(groups, group_json(r, &r->letters.groups[i]));
    json_t *root =
        json_pack("{s:I, s:I, s:I, s:I, s:o}", "letters", (json_int_t)r->letters.count, "foreign",
                  (json_int_t)r->letters.foreign, "redriven", (json_int_t)r->sent, "not_redriven",
                  (json_int_t)r->left, "groups", groups);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

// ---- the command

// What is wrong with the options, or NULL.
static const char *take_options(const mr_options *options, request *r, uint32_t *samples,
                                mr_error *err)
{
    double count = SAMPLES;
    const char *const since = mr_options_get(options, "since");
    mr_range_end from = {MR_RANGE_WHOLE, 0};
    r->cause = mr_options_get(options, "cause");
    r->topic = mr_options_get(options, "topic");
    r->redrive = mr_options_get(options, "redrive") != NULL;
    r->json = mr_options_get(options, "json") != NULL;
    r->since_ms = INT64_MIN;
    if (!mr_options_number(options, "samples", 0, MR_LETTER_SAMPLES_MAX, &count))
        return "--samples: want a number from 0 to 20";
    *samples = (uint32_t)count;
    if (since != NULL && (mr_range_parse(since, &from, err) != MR_OK || from.kind != MR_RANGE_TIME))
        return "--since: want a time such as 2026-01-31T12:30Z";
    if (since != NULL)
        r->since_ms = from.value;
    if (r->redrive && r->cause == NULL)
        return "--redrive: which letters? --cause NAME; without --redrive you see the causes";
    if (r->redrive && (r->topic != NULL || since != NULL))
        return "--redrive takes all letters of a cause that were not put back yet: no --topic, no "
               "--since";
    if (r->cause != NULL && mr_cause_of(r->cause) == MR_CAUSE_NONE)
        return "--cause: there is no such cause; without it you see those that there are";
    return NULL;
}

static int run(const mr_config *config, reading *r)
{
    mr_error err = {0};
    r->letters.groups = calloc(MR_LETTER_GROUPS_MAX, sizeof *r->letters.groups);
    mr_status status = r->letters.groups != NULL ? read_all(r, config, &err)
                                                 : mr_fail(&err, MR_FATAL, "out of memory");
    if (status == MR_OK) {
        mr_letters_sort(&r->letters);
        if (r->request->json)
            print_json(r);
        else
            print(r);
    }
    free(r->letters.groups);
    return status == MR_OK ? MR_EXIT_GOOD
                           : mr_command_fail("dead-letters", err.text, MR_EXIT_FAILED);
}

int mr_command_letters(int argc, char **argv)
{
    mr_options options = {
        .command = "dead-letters",
        .summary = "Says which records the workers have refused, by cause and topic, with the "
                   "newest of each. After the\ncause is mended, --redrive puts its records back on "
                   "the topics that they came from, in transactions,\nso that none goes twice.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    request r;
    mr_error err = {0};
    reading what = {.request = &r};
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *const wrong = take_options(&options, &r, &what.letters.samples_max, &err);
    if (wrong != NULL)
        return mr_command_fail("dead-letters", wrong, MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    exit_status = run(config, &what);
    mr_options_unload(&options, config);
    return exit_status;
}
