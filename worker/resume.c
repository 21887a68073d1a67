// SPDX-License-Identifier: Apache-2.0
#include "worker/resume.h"

#include <stdlib.h>
#include <string.h>

#include "worker/log.h"

mr_status mr_resume_init(mr_resume *resume, const mr_repartition_options *options, mr_error *err)
{
    size_t sources = 0;
    for (uint32_t i = 0; i < options->config->input_count; i++)
        sources += options->source_counts[i];
    *resume = (mr_resume){.options = *options};
    resume->all = calloc(sources + 1, sizeof *resume->all);
    return resume->all != NULL ? MR_OK : mr_fail(err, MR_FATAL, "out of memory");
}

void mr_resume_deinit(mr_resume *resume)
{
    free(resume->all);
}

// Whether there was ever a record in the topic, taken back or not.
static mr_status has_copies(const mr_resume *resume, bool *found, mr_error *err)
{
    const mr_bus *bus = resume->options.bus;
    const uint32_t input = mr_config_repartition(resume->options.config);
    *found = false;
    for (uint32_t p = 0; p < resume->options.partition_count && !*found; p++) {
        mr_log_ends ends;
        MR_TRY(bus->input_ends(bus->context, input, p, &ends, err));
        *found = ends.end > 0;
    }
    return MR_OK;
}

// Of which inputs the group knows an offset, whoever has the partition; whether of any.
static mr_status ask_group(mr_resume *resume, bool *any, mr_error *err)
{
    const mr_bus *bus = resume->options.bus;
    uint32_t count = 0;
    *any = false;
    memset(resume->is_known, 0, sizeof resume->is_known);
    for (uint32_t i = 0; i < resume->options.config->input_count; i++) {
        for (uint32_t p = 0; p < resume->options.source_counts[i]; p++)
            resume->all[count++] = (mr_offset){i, p, -1};
    }
    MR_TRY(bus->committed(bus->context, resume->all, count, err));
    for (uint32_t i = 0; i < count; i++) {
        resume->is_known[resume->all[i].input] |= resume->all[i].next >= 0;
        *any |= resume->all[i].next >= 0;
    }
    return MR_OK;
}

// The topic is asked first: what a neighbour writes meanwhile has offsets by then.
static mr_status check_memory(mr_resume *resume, mr_error *err)
{
    const mr_config *config = resume->options.config;
    bool copies, any;
    MR_TRY(has_copies(resume, &copies, err));
    MR_TRY(ask_group(resume, &any, err));
    if (any || !copies || config->accept_offsets == MR_ACCEPT_GROUP)
        return MR_OK;
    return mr_fail(err, MR_FATAL,
                   "the group %s knows no offsets, though %s has had records: were they forgotten "
                   "(offsets.retention.minutes)? Set them with kafka-consumer-groups, or "
                   "accept_offsets: group begins where `start` says",
                   config->kafka_group, config->outputs_repartition);
}

// An input that was read directly before goes on where that ended.
static mr_status ask_before(mr_resume *resume, mr_offset *offsets, uint32_t count,
                            bool *unrecorded, mr_error *err)
{
    const mr_bus *direct = resume->options.direct;
    *unrecorded = false;
    for (uint32_t i = 0; i < count; i++) {
        if (offsets[i].next >= 0)
            continue;
        if (!*unrecorded)
            MR_TRY(check_memory(resume, err));
        *unrecorded = true;
        if (direct != NULL)
            MR_TRY(direct->committed(direct->context, &offsets[i], 1, err));
    }
    return MR_OK;
}

// A partition that was added to an input that is read already has nothing from before the start,
// nor has a topic that a pattern matches since.
static int64_t first_of(const mr_resume *resume, uint32_t input, const mr_log_ends *ends)
{
    const mr_config *config = resume->options.config;
    bool since = resume->is_known[input];
    for (uint32_t i = 0; i < config->input_count && config->inputs[input].matched; i++)
        since |= resume->is_known[i];
    return config->start == MR_START_LATEST && !since ? ends->end : ends->first;
}

static mr_status place_one(mr_resume *resume, mr_offset *at, uint64_t *gone, mr_error *err)
{
    const mr_config *config = resume->options.config;
    const mr_bus *bus = resume->options.bus;
    const char *const topic = mr_config_topic(config, at->input);
    mr_log_ends ends;
    MR_TRY(bus->input_ends(bus->context, at->input, at->partition, &ends, err));
    if (at->next < 0)
        at->next = first_of(resume, at->input, &ends);
    if (at->next > ends.end)
        return mr_fail(err, MR_FATAL,
                       "%s [%u]: read up to offset %lld, but the log ends at %lld: it was cut or "
                       "made anew",
                       topic, at->partition, (long long)at->next, (long long)ends.end);
    if (at->next >= ends.first)
        return MR_OK;
    const int64_t lost = ends.first - at->next;
    if (config->on_input_gap == MR_GAP_STOP)
        return mr_fail(err, MR_FATAL,
                       "%s [%u]: %lld records from offset %lld on are gone from the log before "
                       "they were read; on_input_gap: continue goes on behind them",
                       topic, at->partition, (long long)lost, (long long)at->next);
    mr_log(MR_LOG_WARNING, "repartition", "records are gone before they were read",
           mr_log_text("topic", topic), mr_log_long("partition", at->partition),
           mr_log_long("records", lost));
    *gone += (uint64_t)lost;
    at->next = ends.first;
    return MR_OK;
}

mr_status mr_resume_find(mr_resume *resume, mr_offset *offsets, uint32_t count, bool *unrecorded,
                         uint64_t *gone, mr_error *err)
{
    const mr_bus *bus = resume->options.bus;
    *unrecorded = false;
    if (count == 0)
        return MR_OK;
    MR_TRY(bus->committed(bus->context, offsets, count, err));
    MR_TRY(ask_before(resume, offsets, count, unrecorded, err));
    for (uint32_t i = 0; i < count; i++)
        MR_TRY(place_one(resume, &offsets[i], gone, err));
    return MR_OK;
}
