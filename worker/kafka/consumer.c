// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/consumer.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/log.h"

enum { CALL_MS = 10000 };

struct mr_kafka_consumer {
    rd_kafka_t *handle;
    const mr_config *config;
    uint32_t lead, task_max;
    uint32_t partition_counts[MR_CONFIG_INPUTS_MAX];
    mr_group_state state;
    bool closing;
    uint32_t *tasks;
    uint32_t task_count;
    mr_offset *partitions;
    rd_kafka_queue_t **queues; // by index into partitions; NULL before assign
    uint32_t partition_count;
    rd_kafka_consumer_group_metadata_t *_Atomic member;
    int wake_fd; // written by librdkafka when a queue is no longer empty
};

static int compare_tasks(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool has_task(const mr_kafka_consumer *consumer, uint32_t task)
{
    return bsearch(&task, consumer->tasks, consumer->task_count, sizeof task, compare_tasks) !=
           NULL;
}

uint32_t mr_kafka_consumer_task_of(const mr_kafka_consumer *consumer, uint32_t input,
                                   uint32_t partition)
{
    (void)input; // user inputs have as many partitions as there are tasks
    return partition % consumer->task_max;
}

static void list_partitions(mr_kafka_consumer *consumer)
{
    consumer->partition_count = 0;
    for (uint32_t input = 0; input < consumer->config->input_count; input++) {
        for (uint32_t p = 0; p < consumer->partition_counts[input]; p++) {
            if (has_task(consumer, mr_kafka_consumer_task_of(consumer, input, p)))
                consumer->partitions[consumer->partition_count++] = (mr_offset){input, p, -1};
        }
    }
}

// The group gave us tasks: they are noted, not read. Reading begins with mr_kafka_consumer_assign,
// once their rows are restored.
static void on_assigned(mr_kafka_consumer *consumer,
                        const rd_kafka_topic_partition_list_t *partitions)
{
    if (consumer->state != MR_GROUP_JOINING) {
        consumer->state = MR_GROUP_REVOKED; // a second generation: the state in memory is stale
        return;
    }
    consumer->task_count = 0;
    for (int i = 0; i < partitions->cnt; i++)
        consumer->tasks[consumer->task_count++] = (uint32_t)partitions->elems[i].partition;
    qsort(consumer->tasks, consumer->task_count, sizeof *consumer->tasks, compare_tasks);
    list_partitions(consumer);
    // Captured here and nowhere else: group metadata made later could carry another generation.
    char *name = rd_kafka_memberid(consumer->handle);
    const bool named = name != NULL && name[0] != '\0';
    rd_kafka_mem_free(consumer->handle, name);
    if (!named) {
        // Brokers take offsets of a nameless member from anyone, without a fence.
        consumer->state = MR_GROUP_LOST;
        return;
    }
    consumer->member = rd_kafka_consumer_group_metadata(consumer->handle);
    consumer->state = MR_GROUP_ASSIGNED;
    mr_log(MR_LOG_INFO, "rebalance", "assigned", mr_log_long("tasks", consumer->task_count));
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *context)
{
    mr_kafka_consumer *consumer = context;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
        on_assigned(consumer, partitions);
        rd_kafka_assign(handle, none);
        rd_kafka_topic_partition_list_destroy(none);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && !consumer->closing) {
        const bool lost = rd_kafka_assignment_lost(handle) != 0;
        consumer->state = lost ? MR_GROUP_LOST : MR_GROUP_REVOKED;
        mr_log(MR_LOG_WARNING, "rebalance", lost ? "lost" : "revoked",
               mr_log_long("tasks", consumer->task_count));
    }
    rd_kafka_assign(handle, NULL);
}

static mr_status subscribe(mr_kafka_consumer *consumer, mr_error *err)
{
    const char *const topic = consumer->config->inputs[consumer->lead].topic;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->handle, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "subscribe to %s: %s", topic, rd_kafka_err2str(code));
    return MR_OK;
}

static mr_status open_handle(mr_kafka_consumer *consumer, mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(consumer->config, MR_KAFKA_CONSUMER, &conf, err));
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, consumer);
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CONSUMER, &consumer->handle, err));
    rd_kafka_poll_set_consumer(consumer->handle);
    consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (consumer->wake_fd < 0)
        return mr_fail(err, MR_FATAL, "eventfd: %s", strerror(errno));
    return subscribe(consumer, err);
}

mr_status mr_kafka_consumer_open(const mr_config *config, uint32_t lead,
                                 const uint32_t *partition_counts, mr_kafka_consumer **out,
                                 mr_error *err)
{
    mr_kafka_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    uint32_t all = 0;
    for (uint32_t i = 0; i < config->input_count; i++) {
        consumer->partition_counts[i] = partition_counts[i];
        all += partition_counts[i];
    }
    consumer->config = config;
    consumer->lead = lead;
    consumer->task_max = partition_counts[lead];
    consumer->wake_fd = -1;
    consumer->tasks = calloc(consumer->task_max + 1, sizeof *consumer->tasks);
    consumer->partitions = calloc(all + 1, sizeof *consumer->partitions);
    consumer->queues = calloc(all + 1, sizeof(rd_kafka_queue_t *));
    mr_status status = MR_OK;
    if (consumer->tasks == NULL || consumer->partitions == NULL || consumer->queues == NULL)
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = open_handle(consumer, err);
    if (status != MR_OK) {
        mr_kafka_consumer_close(consumer);
        return status;
    }
    *out = consumer;
    return MR_OK;
}

void mr_kafka_consumer_close(mr_kafka_consumer *consumer)
{
    if (consumer == NULL)
        return;
    consumer->closing = true;
    for (uint32_t i = 0; i < consumer->partition_count; i++) {
        if (consumer->queues[i] != NULL) {
            rd_kafka_queue_io_event_enable(consumer->queues[i], -1, NULL, 0);
            rd_kafka_queue_destroy(consumer->queues[i]);
        }
    }
    if (consumer->handle != NULL) {
        rd_kafka_consumer_close(consumer->handle);
        rd_kafka_consumer_group_metadata_t *member = consumer->member;
        if (member != NULL)
            rd_kafka_consumer_group_metadata_destroy(member);
        rd_kafka_destroy(consumer->handle);
    }
    if (consumer->wake_fd >= 0)
        close(consumer->wake_fd);
    free(consumer->queues);
    free(consumer->partitions);
    free(consumer->tasks);
    free(consumer);
}

mr_status mr_kafka_consumer_poll(mr_kafka_consumer *consumer, int wait_ms, mr_error *err)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->handle, wait_ms);
    if (message == NULL)
        return MR_OK;
    const rd_kafka_resp_err_t code = message->err;
    mr_status status = MR_OK;
    // Partitions have queues of their own, so that only errors of the group come here.
    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        status =
            mr_fail(err, MR_FATAL, "a second process runs with the instance name %s and took over",
                    consumer->config->instance);
    else if (code == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED || code == RD_KAFKA_RESP_ERR__FATAL ||
             code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
             code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
             code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        status = mr_fail(err, MR_FATAL, "group %s: %s", consumer->config->kafka_group,
                         rd_kafka_message_errstr(message));
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        mr_log(MR_LOG_WARNING, "kafka", "group error",
               mr_log_text("error", rd_kafka_message_errstr(message)));
    rd_kafka_message_destroy(message);
    return status;
}

mr_group_state mr_kafka_consumer_state(const mr_kafka_consumer *consumer)
{
    return consumer->state;
}

const uint32_t *mr_kafka_consumer_tasks(const mr_kafka_consumer *consumer, uint32_t *count)
{
    *count = consumer->task_count;
    return consumer->tasks;
}

const rd_kafka_consumer_group_metadata_t *mr_kafka_consumer_member(
    const mr_kafka_consumer *consumer)
{
    return consumer->member;
}

const mr_offset *mr_kafka_consumer_partitions(const mr_kafka_consumer *consumer, uint32_t *count)
{
    *count = consumer->partition_count;
    return consumer->partitions;
}

mr_status mr_kafka_consumer_assign(mr_kafka_consumer *consumer, const mr_offset *offsets,
                                   uint32_t offset_count, mr_error *err)
{
    const uint64_t one = 1;
    MR_ASSERT(offset_count == consumer->partition_count);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    for (uint32_t i = 0; i < offset_count; i++) {
        const char *const topic = consumer->config->inputs[offsets[i].input].topic;
        const int32_t partition = (int32_t)offsets[i].partition;
        MR_ASSERT(offsets[i].next >= 0);
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offsets[i].next;
        // Forwarding is taken off before the fetcher starts, so that no message can slip into the
        // group's queue.
        consumer->queues[i] = rd_kafka_queue_get_partition(consumer->handle, topic, partition);
        if (consumer->queues[i] == NULL) {
            rd_kafka_topic_partition_list_destroy(list);
            return mr_fail(err, MR_FATAL, "%s [%d]: no such partition", topic, partition);
        }
        rd_kafka_queue_forward(consumer->queues[i], NULL);
        rd_kafka_queue_io_event_enable(consumer->queues[i], consumer->wake_fd, &one, sizeof one);
    }
    const rd_kafka_resp_err_t code = rd_kafka_assign(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "assign: %s", rd_kafka_err2str(code));
    return MR_OK;
}

uint32_t mr_kafka_consumer_take(mr_kafka_consumer *consumer, uint32_t index,
                                rd_kafka_message_t **messages, uint32_t max)
{
    const ssize_t count = rd_kafka_consume_batch_queue(consumer->queues[index], 0, messages, max);
    return count > 0 ? (uint32_t)count : 0;
}

void mr_kafka_consumer_wait(mr_kafka_consumer *consumer, int extra_fd, int wait_ms)
{
    struct pollfd fds[] = {{.fd = consumer->wake_fd, .events = POLLIN},
                           {.fd = extra_fd, .events = POLLIN}};
    uint64_t count;
    if (poll(fds, 2, wait_ms) <= 0 || (fds[0].revents & POLLIN) == 0)
        return;
    if (read(consumer->wake_fd, &count, sizeof count) < 0)
        mr_log(MR_LOG_DEBUG, "kafka", "nothing to read from the wake descriptor");
}

int64_t mr_kafka_consumer_lag(mr_kafka_consumer *consumer, const mr_offset *offsets,
                              uint32_t offset_count)
{
    int64_t lag = -1;
    for (uint32_t i = 0; i < offset_count; i++) {
        int64_t low, high;
        const char *const topic = consumer->config->inputs[offsets[i].input].topic;
        if (rd_kafka_get_watermark_offsets(consumer->handle, topic, (int32_t)offsets[i].partition,
                                           &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
            high < 0)
            continue;
        lag = (lag < 0 ? 0 : lag) + (high > offsets[i].next ? high - offsets[i].next : 0);
    }
    return lag;
}

void mr_kafka_consumer_wake(mr_kafka_consumer *consumer)
{
    const uint64_t one = 1;
    if (write(consumer->wake_fd, &one, sizeof one) < 0)
        return; // the counter is full: the thread is awake
}

mr_status mr_kafka_consumer_committed(mr_kafka_consumer *consumer, mr_offset *offsets,
                                      uint32_t offset_count, mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    for (uint32_t i = 0; i < offset_count; i++)
        rd_kafka_topic_partition_list_add(list, consumer->config->inputs[offsets[i].input].topic,
                                          (int32_t)offsets[i].partition);
    const rd_kafka_resp_err_t code = rd_kafka_committed(consumer->handle, list, CALL_MS);
    mr_status status = MR_OK;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = mr_fail(err, MR_RETRY, "committed offsets of group %s: %s",
                         consumer->config->kafka_group, rd_kafka_err2str(code));
    for (int i = 0; status == MR_OK && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *row = &list->elems[i];
        if (row->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = mr_fail(err, MR_RETRY, "committed offset of %s [%d]: %s", row->topic,
                             row->partition, rd_kafka_err2str(row->err));
        offsets[i].next = row->offset >= 0 ? row->offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}
