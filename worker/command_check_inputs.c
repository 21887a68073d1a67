// SPDX-License-Identifier: Apache-2.0
// How the inputs lie: partition counts, and whether all events of a user lie in one partition.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/catalog.h"
#include "worker/checking.h"
#include "worker/decoder.h"
#include "worker/kafka/sample.h"
#include "worker/partitioner.h"
#include "worker/partitioning.h"
#include "worker/registry_config.h"

enum {
    RECORDS_MAX = 20000, // of one sample
    RECORDS_MIN = 20,    // of one partition
    RECORDS_OF_PARTITION = 500,
    SCRATCH_BYTES = 64 << 10,
    DETAIL_BYTES = 512,
};

typedef struct reading { // how the sampled records of an input decode
    uint32_t seen, refused, left_out;
    mr_error first; // refusal
} reading;

typedef struct looking {
    mr_checking *checking;
    mr_registry *registry; // NULL: there is none, or it does not answer
    mr_catalog *catalog;
    mr_decoder *decoder;
    mr_arena arena;
    mr_partition_tally *tally;
    uint32_t input; // that is being sampled
    mr_partition_sample samples[MR_CONFIG_INPUTS_MAX];
    mr_partition_verdict verdicts[MR_CONFIG_INPUTS_MAX];
    reading readings[MR_CONFIG_INPUTS_MAX];
    int partitioner; // that the inputs read directly were written with
} looking;

static mr_status open_looking(looking *l, mr_error *err)
{
    const mr_config *config = l->checking->config;
    if (l->checking->registry_answers)
        MR_TRY(mr_registry_of_config(config, &l->registry, err));
    MR_TRY(mr_catalog_of_config(config, l->registry, &l->catalog, err));
    MR_TRY(mr_decoder_open(config, l->catalog, &l->decoder, err));
    mr_decoder_keep_ids(l->decoder);
    const size_t room = mr_arena_round(2 * mr_decoder_room(l->decoder) + SCRATCH_BYTES);
    void *memory = aligned_alloc(MR_ARENA_ALIGN, room);
    mr_arena_init(&l->arena, memory, room);
    if (memory == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    return mr_partition_tally_open(config, RECORDS_MAX, &l->tally, err);
}

static void close_looking(looking *l)
{
    mr_partition_tally_close(l->tally);
    free(l->arena.base);
    mr_decoder_close(l->decoder);
    mr_catalog_close(l->catalog);
    mr_registry_close(l->registry);
}

// Whether users are split by the partitions of an input that is read directly.
static bool is_split(const mr_config_input *input)
{
    return mr_config_is_by_user(input) && !input->repartition;
}

static void see(void *context, const mr_message *message)
{
    looking *l = context;
    reading *r = &l->readings[l->input];
    mr_arrival arrival;
    mr_error err = {0};
    uint32_t count = 0;
    mr_arena_reset(&l->arena);
    const mr_status status =
        mr_decoder_read(l->decoder, l->input, message, &l->arena, &arrival, 1, &count, &err);
    r->seen++;
    r->left_out += status == MR_OK && count == 0;
    if (status == MR_REJECT && r->refused++ == 0)
        r->first = err;
    if (is_split(&l->checking->config->inputs[l->input]) &&
        (status == MR_OK || status == MR_RETRY) && count > 0 &&
        mr_event_has(&arrival.event, MR_FIELD_user) && arrival.event.user.size > 0)
        mr_partition_tally_add(l->tally, arrival.event.user, message->partition);
}

static mr_status sample(looking *l, uint32_t input, uint32_t partitions, mr_error *err)
{
    const mr_config *config = l->checking->config;
    uint32_t each = RECORDS_MAX / partitions;
    each = each < RECORDS_MIN ? RECORDS_MIN : each;
    each = each > RECORDS_OF_PARTITION ? RECORDS_OF_PARTITION : each;
    l->input = input;
    if (is_split(&config->inputs[input]))
        mr_partition_tally_begin(l->tally, &l->samples[input], partitions);
    return mr_kafka_sample(config, l->checking->admin, config->inputs[input].topic, partitions,
                           each, see, l, err);
}

// ---- what is said

static void say(looking *l, uint32_t input, bool good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(looking *l, uint32_t input, bool good, const char *format, ...)
{
    char detail[DETAIL_BYTES];
    const char *const name = l->checking->config->inputs[input].name;
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (good)
        mr_check_good(name, detail);
    else
        mr_check_fault(l->checking, name, detail);
}

static void say_split(looking *l, uint32_t input)
{
    const mr_config *config = l->checking->config;
    const mr_partition_sample *s = &l->samples[input];
    const char *const topic = config->inputs[input].topic, *const name = config->inputs[input].name;
    const int other = mr_partition_fitting(s, l->partitioner);
    if (l->verdicts[input] == MR_PARTITION_SPLIT)
        say(l, input, false,
            "%s is not keyed by user: %u of the %u users in %u records lie in several of its "
            "partitions; set topics.%s.repartition: true",
            topic, s->split, s->users, s->records, name);
    else if (other >= 0)
        say(l, input, false,
            "%s was written with %s, the other inputs with %s (%u records of %u users); set "
            "topics.%s.repartition: true",
            topic, mr_partitioner_name(other), mr_partitioner_name(l->partitioner), s->records,
            s->users, name);
    else
        say(l, input, false,
            "%s was split by something else than the user's id under murmur2, crc32 or fnv1a (%u "
            "records of %u users); set topics.%s.repartition: true",
            topic, s->records, s->users, name);
}

static void say_verdict(looking *l, uint32_t input, uint32_t lead, uint32_t lead_count)
{
    const mr_config *config = l->checking->config;
    const mr_partition_sample *s = &l->samples[input];
    const char *const topic = config->inputs[input].topic, *const name = config->inputs[input].name;
    const char *const leads = input == lead ? ", the lead" : "";
    switch (l->verdicts[input]) {
    case MR_PARTITION_UNKNOWN:
        say(l, input, true, "%s, %u partitions%s%s", topic, s->partitions, leads,
            s->partitions > 1 ? "; too few users to see how they were split" : "");
        break;
    case MR_PARTITION_FITS:
        say(l, input, true, "%s, %u partitions%s; by user with %s: %u of %u records of %u users",
            topic, s->partitions, leads, mr_partitioner_name(l->partitioner),
            s->fits[l->partitioner], s->records, s->users);
        break;
    case MR_PARTITION_ALONE:
        say(l, input, true, "%s, %u partitions%s; each of %u users lies in one", topic,
            s->partitions, leads, s->users);
        break;
    case MR_PARTITION_NUMBER:
        say(l, input, false,
            "%s has %u partitions, the lead %s has %u; set topics.%s.repartition: true", topic,
            s->partitions, mr_config_topic(config, lead), lead_count, name);
        break;
    case MR_PARTITION_DIFFERS:
    case MR_PARTITION_SPLIT:
        say_split(l, input);
        break;
    }
}

// Some bad records are a matter for the dead letters; most of them are a wrong mapping.
static void say_reading(looking *l, uint32_t input)
{
    const mr_config *config = l->checking->config;
    const reading *r = &l->readings[input];
    const char *const topic = config->inputs[input].topic;
    // What the decoder says may show what it has read.
    const char *const why =
        config->users_pseudonym_key[0] != '\0' ? mr_cause_text(r->first.cause) : r->first.text;
    const bool wrong = r->seen >= RECORDS_MIN && 2 * r->refused > r->seen;
    if (r->refused > 0)
        say(l, input, !wrong, "%s: %u of %u records cannot be read: %s%s%s", topic, r->refused,
            r->seen, why, wrong ? "; a mapping is proposed by millrace infer --topic " : "",
            wrong ? topic : "");
    if (r->left_out > 0)
        say(l, input, r->left_out < r->seen || r->seen < RECORDS_MIN,
            "%s: kind, where or each leave out %u of %u records", topic, r->left_out, r->seen);
}

static uint32_t count_matched(const mr_config *config, uint32_t pattern)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->input_count; i++)
        count += config->inputs[i].matched &&
                 strcmp(config->inputs[i].name, config->inputs[pattern].name) == 0;
    return count;
}

static void say_all(looking *l, const uint32_t *counts, uint32_t lead, uint32_t lead_count)
{
    char detail[DETAIL_BYTES];
    const mr_config *config = l->checking->config;
    for (uint32_t i = 0; i < config->input_count; i++) {
        const mr_config_input *input = &config->inputs[i];
        say_reading(l, i);
        if (mr_config_is_pattern(input))
            say(l, i, true, "%s matches %u topics", input->topic, count_matched(config, i));
        else if (!mr_config_is_by_user(input))
            say(l, i, true, "%s, %u partitions", input->topic, counts[i]);
        else if (input->repartition)
            say(l, i, true, "%s, %u partitions, through %s", input->topic, counts[i],
                config->outputs_repartition);
        else
            say_verdict(l, i, lead, lead_count);
    }
    if (l->partitioner == config->partitioner)
        return;
    snprintf(detail, sizeof detail, "the inputs were written with %s; set partitioner: %s",
             mr_partitioner_name(l->partitioner), mr_partitioner_name(l->partitioner));
    mr_check_fault(l->checking, "partitioner", detail);
}

// ---- looking

// How many partitions the lead has: of the repartition topic, where there is no other, as many as
// it is to be made with.
static mr_status count_lead(const mr_checking *c, const uint32_t *counts, uint32_t lead,
                            uint32_t *lead_count, mr_error *err)
{
    if (lead != mr_config_repartition(c->config)) {
        *lead_count = counts[lead];
        return MR_OK;
    }
    MR_TRY(mr_kafka_admin_partitions(c->admin, c->config->outputs_repartition, lead_count, err));
    if (*lead_count == 0)
        *lead_count = (uint32_t)c->config->repartition_partitions;
    return MR_OK;
}

static mr_status look(looking *l, const uint32_t *counts, mr_error *err)
{
    const mr_config *config = l->checking->config;
    MR_TRY(open_looking(l, err));
    for (uint32_t i = 0; i < config->input_count; i++)
        if (counts[i] > 0)
            MR_TRY(sample(l, i, counts[i], err));
    return MR_OK;
}

void mr_check_inputs(mr_checking *checking, uint32_t *tasks)
{
    mr_error err = {0};
    uint32_t counts[MR_CONFIG_INPUTS_MAX], lead = 0, lead_count = 0;
    looking l = {.checking = checking};
    mr_status status = mr_config_lead(checking->config, &lead, &err);
    if (status == MR_OK)
        status = mr_kafka_admin_counts(checking->admin, counts, &err);
    if (status == MR_OK)
        status = count_lead(checking, counts, lead, &lead_count, &err);
    if (status == MR_OK)
        status = look(&l, counts, &err);
    close_looking(&l);
    if (status != MR_OK) {
        mr_check_fault(checking, "inputs", err.text);
        return;
    }
    mr_partition_judge(checking->config, l.samples, lead_count, l.verdicts, &l.partitioner);
    say_all(&l, counts, lead, lead_count);
    *tasks = lead_count;
}
