// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/bus.h"

static int64_t clock_ms(void)
{
    const mr_clock clock = mr_clock_system();
    return clock.now_ms(clock.context);
}

static mr_status begin(void *context, mr_error *err)
{
    mr_kafka_bus *bus = context;
    bus->begun_ms = clock_ms();
    return mr_kafka_producer_begin(bus->producer, err);
}

static mr_status produce(void *context, const mr_record *record, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_producer_send(bus->producer, record, err);
}

static mr_status flush(void *context, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_producer_flush(bus->producer, err);
}

static int64_t produced(void *context, mr_topic topic, uint32_t partition)
{
    const mr_kafka_bus *bus = context;
    return mr_kafka_producer_produced(bus->producer, topic, partition);
}

static mr_status send_offsets(void *context, uint64_t generation, const mr_offset *offsets,
                              uint32_t offset_count, mr_error *err)
{
    mr_kafka_bus *bus = context;
    rd_kafka_consumer_group_metadata_t *member =
        mr_kafka_consumer_member(bus->consumer, generation);
    if (member == NULL)
        return mr_fail(err, MR_FENCED, "the group has assigned the tasks anew meanwhile");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    for (uint32_t i = 0; i < offset_count; i++)
        rd_kafka_topic_partition_list_add(list, mr_config_topic(bus->config, offsets[i].input),
                                          (int32_t)offsets[i].partition)
            ->offset = offsets[i].next;
    const mr_status status = mr_kafka_producer_offsets(bus->producer, list, member, err);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_group_metadata_destroy(member);
    return status;
}

static mr_status commit(void *context, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_producer_commit(bus->producer, err);
}

// With static membership the group tells two processes of one name apart, unless both join again;
// without, only this does.
static mr_status note_fence(mr_kafka_bus *bus, mr_error *err)
{
    const int64_t now_ms = clock_ms();
    if (!mr_fences_note(&bus->fences, now_ms, now_ms - bus->begun_ms,
                        bus->config->kafka_transaction_timeout))
        return MR_OK;
    return mr_fail(err, MR_FATAL,
                   "the producer was fenced twice within a minute, and no transaction had timed "
                   "out: a second process runs with the instance name %s",
                   bus->config->instance);
}

static mr_status renew(void *context, mr_error *err)
{
    mr_kafka_bus *bus = context;
    if (mr_kafka_producer_fenced(bus->producer))
        MR_TRY(note_fence(bus, err));
    mr_kafka_producer_close(bus->producer);
    bus->producer = NULL;
    return mr_kafka_producer_open(bus->config, bus->partition_count, &bus->producer, err);
}

static mr_status changelog_ends(void *context, mr_topic topic, uint32_t partition,
                                mr_log_ends *ends, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_admin_ends(bus->admin, mr_kafka_topic_name(bus->config, topic), partition, ends,
                               err);
}

static mr_status input_ends(void *context, uint32_t input, uint32_t partition, mr_log_ends *ends,
                            mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_admin_ends(bus->admin, mr_config_topic(bus->config, input), partition, ends,
                               err);
}

static mr_status changelog_read(void *context, mr_topic topic, uint32_t partition, int64_t first,
                                int64_t end, mr_bus_visit *visit, void *visit_context,
                                int64_t *next, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_reader_read(bus->reader, mr_kafka_topic_name(bus->config, topic), partition,
                                first, end, visit, visit_context, next, err);
}

static mr_status follow(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_follow_assign(bus->follow, offsets, offset_count, err);
}

static uint32_t follow_take(void *context, mr_message *messages, uint32_t max)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_follow_take(bus->follow, messages, max);
}

static void follow_give_back(void *context, mr_message *message)
{
    (void)context;
    rd_kafka_message_destroy(message->handle);
}

static mr_status committed(void *context, mr_offset *offsets, uint32_t offset_count, mr_error *err)
{
    mr_kafka_bus *bus = context;
    return mr_kafka_consumer_committed(bus->consumer, offsets, offset_count, err);
}

mr_bus mr_kafka_bus_port(mr_kafka_bus *bus)
{
    return (mr_bus){
        .context = bus,
        .begin = begin,
        .produce = produce,
        .flush = flush,
        .produced = produced,
        .send_offsets = send_offsets,
        .commit = commit,
        .renew = renew,
        .changelog_ends = changelog_ends,
        .input_ends = input_ends,
        .changelog_read = changelog_read,
        .follow = follow,
        .follow_take = follow_take,
        .follow_give_back = follow_give_back,
        .committed = committed,
    };
}
