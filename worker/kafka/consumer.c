// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/consumer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "worker/kafka/message.h"
#include "worker/kafka/refusal.h"
#include "worker/log.h"

enum {
    ASK_MS = 2000,
    TAKE_MAX = 256,
    GROWTH_MS = 10000,   // between two looks at how many partitions there are,
    LOOK_MS = 1000,      // each of which takes as long at most; brokers answer at once, as a rule
    LAG_MS = 250,        // that a question for the ends of logs may take
    MESSAGE_BYTES = 512, // that librdkafka takes for a message beside its key and value, about
};

struct mr_kafka_consumer {
    rd_kafka_t *handle;
    const mr_config *config;
    uint32_t lead, task_max; // lead MR_LEAD_NONE: the group shares out every partition by itself
    uint32_t partition_counts[MR_CONFIG_READS_MAX];
    mr_group_state state;
    uint64_t generation; // of the last assignment
    bool closing;
    uint32_t *tasks;
    uint32_t task_count;
    mr_offset *partitions;
    rd_kafka_queue_t **queues; // by index into partitions; NULL before assign
    uint32_t partition_count, partition_room;
    uint32_t open_count; // partitions that are read: the first so many queues are open
    mr_error unusable;   // what the group assigned; status MR_OK: it can be used
    mr_error refused;    // why a partition cannot be read, where a message says so
    pthread_mutex_t lock;
    rd_kafka_consumer_group_metadata_t *member; // of `generation`; under the lock, as it is itself
    int wake_fd;             // written by librdkafka when a queue is no longer empty
    rd_kafka_queue_t *group; // the queue of the group itself
    int64_t looked_ms;       // when brokers were asked last how many partitions there are
    int64_t woken_ms;        // when librdkafka was last made to look at its group
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

static uint32_t task_of(void *context, uint32_t input, uint32_t partition)
{
    const mr_kafka_consumer *consumer = context;
    (void)input; // user inputs have as many partitions as there are tasks
    return partition % consumer->task_max;
}

static void list_partitions(mr_kafka_consumer *consumer)
{
    consumer->partition_count = 0;
    for (uint32_t input = 0; input < mr_config_reads(consumer->config); input++) {
        for (uint32_t p = 0; p < consumer->partition_counts[input]; p++) {
            if (has_task(consumer, task_of(consumer, input, p)))
                consumer->partitions[consumer->partition_count++] = (mr_offset){input, p, -1};
        }
    }
}

static bool make_room(mr_kafka_consumer *consumer, uint32_t count)
{
    if (count <= consumer->partition_room)
        return true;
    mr_offset *partitions = realloc(consumer->partitions, count * sizeof *partitions);
    consumer->partitions = partitions != NULL ? partitions : consumer->partitions;
    rd_kafka_queue_t **queues = realloc(consumer->queues, count * sizeof(rd_kafka_queue_t *));
    consumer->queues = queues != NULL ? queues : consumer->queues;
    if (partitions == NULL || queues == NULL)
        return false;
    consumer->partition_room = count;
    return true;
}

static uint32_t input_of(const mr_kafka_consumer *consumer, const char *topic)
{
    for (uint32_t i = 0; i < mr_config_reads(consumer->config); i++) {
        if (strcmp(mr_config_topic(consumer->config, i), topic) == 0)
            return i;
    }
    MR_ASSERT(!"a partition of a topic that we did not subscribe to");
    return 0;
}

static int compare_partitions(const void *a, const void *b)
{
    const mr_offset *x = a, *y = b;
    return x->input != y->input ? (x->input > y->input) - (x->input < y->input)
                                : (x->partition > y->partition) - (x->partition < y->partition);
}

// Without a lead: what is read are the partitions that the group gives, as many as there are by
// now.
static void note_partitions(mr_kafka_consumer *consumer,
                            const rd_kafka_topic_partition_list_t *partitions)
{
    consumer->partition_count = 0;
    if (!make_room(consumer, (uint32_t)partitions->cnt)) {
        mr_fail(&consumer->unusable, MR_FATAL, "out of memory");
        return;
    }
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];
        consumer->partitions[consumer->partition_count++] =
            (mr_offset){input_of(consumer, p->topic), (uint32_t)p->partition, -1};
    }
    qsort(consumer->partitions, consumer->partition_count, sizeof *consumer->partitions,
          compare_partitions);
}

// The tasks, and what is read for them.
static void note_tasks(mr_kafka_consumer *consumer,
                       const rd_kafka_topic_partition_list_t *partitions)
{
    consumer->task_count = 0;
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];
        if ((uint32_t)p->partition < consumer->task_max)
            consumer->tasks[consumer->task_count++] = (uint32_t)p->partition;
        else
            mr_fail(&consumer->unusable, MR_FATAL,
                    "%s has grown beyond the %u partitions that it had at the start: its users lie "
                    "in other partitions now",
                    p->topic, consumer->task_max);
    }
    qsort(consumer->tasks, consumer->task_count, sizeof *consumer->tasks, compare_tasks);
    list_partitions(consumer);
}

// Captured at the assignment and nowhere else: metadata made later could carry another generation.
// Brokers take offsets of a nameless member from anyone, without a fence: false then.
static bool capture_member(mr_kafka_consumer *consumer)
{
    char *name = rd_kafka_memberid(consumer->handle);
    const bool named = name != NULL && name[0] != '\0';
    rd_kafka_mem_free(consumer->handle, name);
    pthread_mutex_lock(&consumer->lock);
    consumer->generation++;
    if (consumer->member != NULL)
        rd_kafka_consumer_group_metadata_destroy(consumer->member);
    consumer->member = named ? rd_kafka_consumer_group_metadata(consumer->handle) : NULL;
    pthread_mutex_unlock(&consumer->lock);
    return named;
}

static void log_change(const mr_kafka_consumer *consumer, const char *what, int count)
{
    mr_log(MR_LOG_INFO, "rebalance", what, mr_log_long("generation", (int64_t)consumer->generation),
           mr_log_long(consumer->lead == MR_LEAD_NONE ? "partitions" : "tasks", count),
           mr_log_text("group", consumer->config->kafka_group));
}

// The group gave us tasks: they are noted, not read. Reading begins with `assign`, once their rows
// are restored.
static void on_assigned(mr_kafka_consumer *consumer,
                        const rd_kafka_topic_partition_list_t *partitions)
{
    if (consumer->lead == MR_LEAD_NONE)
        note_partitions(consumer, partitions);
    else
        note_tasks(consumer, partitions);
    consumer->state = capture_member(consumer) ? MR_GROUP_ASSIGNED : MR_GROUP_LOST;
    log_change(consumer, "assigned", partitions->cnt);
}

// librdkafka waits for rd_kafka_assign before it goes on: it is called in let_go.
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
    if (consumer->closing || code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        rd_kafka_assign(handle, NULL);
        return;
    }
    const bool lost = rd_kafka_assignment_lost(handle) != 0;
    consumer->state = lost ? MR_GROUP_LOST : MR_GROUP_REVOKING;
    log_change(consumer, lost ? "lost" : "revoked", partitions->cnt);
}

static mr_status subscribe(mr_kafka_consumer *consumer, mr_error *err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < mr_config_reads(consumer->config); i++) {
        if (i == consumer->lead ||
            (consumer->lead == MR_LEAD_NONE && consumer->partition_counts[i] > 0))
            rd_kafka_topic_partition_list_add(topics, mr_config_topic(consumer->config, i),
                                              RD_KAFKA_PARTITION_UA);
    }
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->handle, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_FATAL, "group %s: subscribe: %s", consumer->config->kafka_group,
                       rd_kafka_err2str(code));
    return MR_OK;
}

// Partitions have queues of their own, and librdkafka's limits are those of one queue, in bytes of
// keys and values. Each gets its share of kafka.queue_bytes_max: half of it for bytes, half for
// what a message takes beside them. A fetch under way may exceed it by fetch.message.max.bytes.
static mr_status bound_queues(rd_kafka_conf_t *conf, const mr_config *config, uint32_t partitions,
                              mr_error *err)
{
    const int64_t share = config->kafka_queue_bytes_max / (partitions > 0 ? partitions : 1);
    const int64_t kbytes = share / 2048, messages = share / 2 / MESSAGE_BYTES;
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {{"queued.max.messages.kbytes", kbytes > 0 ? kbytes : 1},
                {"queued.min.messages", messages > 16 ? messages : 16}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[24], reason[160];
        snprintf(text, sizeof text, "%lld", (long long)rows[i].value);
        if (rd_kafka_conf_set(conf, rows[i].name, text, reason, sizeof reason) != RD_KAFKA_CONF_OK)
            return mr_fail(err, MR_FATAL, "librdkafka: %s=%s: %s", rows[i].name, text, reason);
    }
    return MR_OK;
}

// A static member that comes back gets what it had, also where it asks for other topics now: an
// input that joins the others would be read by nobody. So who shares out every partition is another
// member when its inputs are others, or have more partitions.
static mr_status name_by_inputs(const mr_kafka_consumer *consumer, rd_kafka_conf_t *conf,
                                mr_error *err)
{
    char name[600], reason[160];
    uint64_t inputs = 0;
    if (consumer->lead != MR_LEAD_NONE ||
        consumer->config->kafka_membership != MR_MEMBERSHIP_STATIC)
        return MR_OK;
    for (uint32_t i = 0; i < mr_config_reads(consumer->config); i++) {
        const mr_bytes topic = mr_bytes_text(mr_config_topic(consumer->config, i));
        if (consumer->partition_counts[i] > 0)
            inputs = mr_hash64(topic.data, topic.size, inputs + consumer->partition_counts[i]);
    }
    mr_kafka_member_name(consumer->config, name, 512);
    snprintf(name + strlen(name), sizeof name - strlen(name), "-%08x", (unsigned)inputs);
    if (rd_kafka_conf_set(conf, "group.instance.id", name, reason, sizeof reason) !=
        RD_KAFKA_CONF_OK)
        return mr_fail(err, MR_FATAL, "librdkafka: group.instance.id=%s: %s", name, reason);
    return MR_OK;
}

static mr_status open_handle(mr_kafka_consumer *consumer, uint32_t partitions, mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(consumer->config, MR_KAFKA_CONSUMER, &conf, err));
    mr_status status = bound_queues(conf, consumer->config, partitions, err);
    if (status == MR_OK)
        status = name_by_inputs(consumer, conf, err);
    if (status != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, consumer);
    MR_TRY(mr_kafka_open(conf, MR_KAFKA_CONSUMER, &consumer->handle, err));
    rd_kafka_poll_set_consumer(consumer->handle);
    consumer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (consumer->wake_fd < 0)
        return mr_fail(err, MR_FATAL, "eventfd: %s", strerror(errno));
    const uint64_t one = 1;
    consumer->group = rd_kafka_queue_get_consumer(consumer->handle);
    rd_kafka_queue_io_event_enable(consumer->group, consumer->wake_fd, &one, sizeof one);
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
    for (uint32_t i = 0; i < mr_config_reads(config); i++) {
        consumer->partition_counts[i] = partition_counts[i];
        all += partition_counts[i];
    }
    consumer->config = config;
    consumer->lead = lead;
    consumer->task_max = lead == MR_LEAD_NONE ? 0 : partition_counts[lead];
    consumer->wake_fd = -1;
    consumer->state = MR_GROUP_JOINING;
    pthread_mutex_init(&consumer->lock, NULL);
    consumer->tasks = calloc(consumer->task_max + 1, sizeof *consumer->tasks);
    mr_status status = MR_OK;
    if (consumer->tasks == NULL || !make_room(consumer, all + 1))
        status = mr_fail(err, MR_FATAL, "out of memory");
    if (status == MR_OK)
        status = open_handle(consumer, all, err);
    if (status != MR_OK) {
        mr_kafka_consumer_close(consumer);
        return status;
    }
    *out = consumer;
    return MR_OK;
}

static void close_queues(mr_kafka_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->open_count; i++) {
        rd_kafka_queue_io_event_enable(consumer->queues[i], -1, NULL, 0);
        rd_kafka_queue_destroy(consumer->queues[i]);
    }
    consumer->open_count = 0;
}

void mr_kafka_consumer_leave(mr_kafka_consumer *consumer)
{
    if (consumer == NULL || consumer->closing)
        return;
    consumer->closing = true;
    close_queues(consumer);
    if (consumer->group != NULL) {
        rd_kafka_queue_io_event_enable(consumer->group, -1, NULL, 0);
        rd_kafka_queue_destroy(consumer->group);
    }
    if (consumer->handle == NULL)
        return;
    if (consumer->state == MR_GROUP_REVOKING || consumer->state == MR_GROUP_LOST)
        rd_kafka_assign(consumer->handle, NULL);
    rd_kafka_consumer_close(consumer->handle);
}

void mr_kafka_consumer_close(mr_kafka_consumer *consumer)
{
    if (consumer == NULL)
        return;
    mr_kafka_consumer_leave(consumer);
    if (consumer->handle != NULL) {
        if (consumer->member != NULL)
            rd_kafka_consumer_group_metadata_destroy(consumer->member);
        rd_kafka_destroy(consumer->handle);
    }
    pthread_mutex_destroy(&consumer->lock);
    if (consumer->wake_fd >= 0)
        close(consumer->wake_fd);
    free(consumer->queues);
    free(consumer->partitions);
    free(consumer->tasks);
    free(consumer);
}

// An error of the group: what ends the process, and what only has to be said.
static mr_status group_error(const mr_kafka_consumer *consumer, rd_kafka_resp_err_t code,
                             const char *text, mr_error *err)
{
    char reason[256];
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(consumer->handle, reason, sizeof reason);
    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        return mr_fail(err, MR_FATAL,
                       "the group has given the instance name %s to another member: a second "
                       "process runs with it, or the network held back a request of ours, which a "
                       "restart settles",
                       consumer->config->instance);
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return mr_kafka_lacks(consumer->config, MR_RIGHT_READ_GROUP, consumer->config->kafka_group,
                              err);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        rd_kafka_fatal_error(consumer->handle, reason, sizeof reason) != 0)
        return mr_fail(err, MR_FATAL, "group %s: %s", consumer->config->kafka_group, text);
    if (code != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        mr_log(MR_LOG_WARNING, "kafka", "group error", mr_log_text("error", text));
    return MR_OK;
}

// librdkafka's own thread looks at its group, and sends a heartbeat where one is due, once a second
// and whenever something wakes it: this question does. All members stand still from the first that
// hears of a rebalance to the last.
static void keep_beating(mr_kafka_consumer *consumer)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (now_ms - consumer->woken_ms < MR_KAFKA_HEARTBEAT_MS)
        return;
    consumer->woken_ms = now_ms;
    rd_kafka_mem_free(consumer->handle, rd_kafka_memberid(consumer->handle));
}

// What is to be done where a topic has more partitions than at the start: its producers choose
// partitions by their number, so that users have moved, and what the new ones hold is read by
// nobody yet.
static void refuse_growth(mr_kafka_consumer *consumer, uint32_t input, uint32_t now)
{
    const mr_config *config = consumer->config;
    const char *const topic = mr_config_topic(config, input);
    const uint32_t then = consumer->partition_counts[input];
    if (consumer->lead == MR_LEAD_NONE || input >= config->input_count ||
        !mr_config_is_by_user(&config->inputs[input]))
        mr_fail(&consumer->unusable, MR_FATAL,
                "%s has grown from %u to %u partitions: a new start reads them all", topic, then,
                now);
    else
        mr_fail(&consumer->unusable, MR_FATAL,
                "%s has grown from %u to %u partitions, among which its users have moved: set "
                "topics.%s.repartition: true, where outputs.repartition has %u partitions, or let "
                "a new app id learn",
                topic, then, now, config->inputs[input].name, then);
}

// Without a lead the group shares out what has grown, unless its leader came back as a static
// member: nobody looks then, so that one ends and comes back as another (name_by_inputs).
static void look_for_growth(mr_kafka_consumer *consumer)
{
    const rd_kafka_metadata_t *told;
    const bool shared = consumer->lead == MR_LEAD_NONE &&
                        consumer->config->kafka_membership != MR_MEMBERSHIP_STATIC;
    if (consumer->woken_ms - consumer->looked_ms < GROWTH_MS)
        return;
    consumer->looked_ms = consumer->woken_ms;
    if (rd_kafka_metadata(consumer->handle, 0, NULL, &told, LOOK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return; // the next look may be luckier
    for (int t = 0; t < told->topic_cnt && !shared; t++) {
        const rd_kafka_metadata_topic_t *topic = &told->topics[t];
        for (uint32_t i = 0; i < mr_config_reads(consumer->config); i++)
            if (strcmp(mr_config_topic(consumer->config, i), topic->topic) == 0 &&
                consumer->partition_counts[i] > 0 && consumer->unusable.status == MR_OK &&
                topic->partition_cnt > (int)consumer->partition_counts[i])
                refuse_growth(consumer, i, (uint32_t)topic->partition_cnt);
    }
    rd_kafka_metadata_destroy(told);
}

static mr_status poll_group(void *context, int wait_ms, mr_error *err)
{
    mr_kafka_consumer *consumer = context;
    keep_beating(consumer);
    look_for_growth(consumer);
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->handle, wait_ms);
    mr_status status = MR_OK;
    // Partitions have queues of their own, so that only errors of the group come here.
    if (message != NULL && message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = group_error(consumer, message->err, rd_kafka_message_errstr(message), err);
    if (message != NULL)
        rd_kafka_message_destroy(message);
    if (status != MR_OK || consumer->unusable.status == MR_OK)
        return status;
    *err = consumer->unusable;
    return err->status;
}

static mr_membership look(void *context)
{
    const mr_kafka_consumer *consumer = context;
    return (mr_membership){consumer->state, consumer->generation, consumer->tasks,
                           consumer->task_count};
}

static void let_go(void *context)
{
    mr_kafka_consumer *consumer = context;
    MR_ASSERT(consumer->state == MR_GROUP_REVOKING || consumer->state == MR_GROUP_LOST);
    close_queues(consumer);
    consumer->state = MR_GROUP_JOINING;
    rd_kafka_assign(consumer->handle, NULL);
}

rd_kafka_consumer_group_metadata_t *mr_kafka_consumer_member(mr_kafka_consumer *consumer,
                                                             uint64_t generation)
{
    rd_kafka_consumer_group_metadata_t *copy = NULL;
    void *bytes = NULL;
    size_t size = 0;
    pthread_mutex_lock(&consumer->lock);
    if (consumer->generation == generation && consumer->member != NULL) {
        rd_kafka_error_t *error =
            rd_kafka_consumer_group_metadata_write(consumer->member, &bytes, &size);
        if (error == NULL)
            error = rd_kafka_consumer_group_metadata_read(&copy, bytes, size);
        MR_ASSERT(error == NULL);
        rd_kafka_mem_free(NULL, bytes);
    }
    pthread_mutex_unlock(&consumer->lock);
    return copy;
}

static const mr_offset *partitions_of(void *context, uint32_t *count)
{
    const mr_kafka_consumer *consumer = context;
    *count = consumer->partition_count;
    return consumer->partitions;
}

static mr_status open_queue(mr_kafka_consumer *consumer, const char *topic, int32_t partition,
                            mr_error *err)
{
    const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(consumer->handle, topic, partition);
    if (queue == NULL)
        return mr_fail(err, MR_FATAL, "%s [%d]: no such partition", topic, partition);
    // Forwarding is taken off before the fetcher starts, so that no message can slip into the
    // group's queue.
    rd_kafka_queue_forward(queue, NULL);
    rd_kafka_queue_io_event_enable(queue, consumer->wake_fd, &one, sizeof one);
    consumer->queues[consumer->open_count++] = queue;
    return MR_OK;
}

static mr_status assign(void *context, const mr_offset *offsets, uint32_t offset_count,
                        mr_error *err)
{
    mr_kafka_consumer *consumer = context;
    mr_status status = MR_OK;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    MR_ASSERT(offset_count <= consumer->partition_count);
    close_queues(consumer);
    for (uint32_t i = 0; i < offset_count && status == MR_OK; i++) {
        const char *const topic = mr_config_topic(consumer->config, offsets[i].input);
        const int32_t partition = (int32_t)offsets[i].partition;
        MR_ASSERT(offsets[i].next >= 0);
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offsets[i].next;
        status = open_queue(consumer, topic, partition, err);
    }
    if (status == MR_OK)
        code = rd_kafka_assign(consumer->handle, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = mr_fail(err, MR_FATAL, "assign: %s", rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

static uint32_t take(void *context, uint32_t index, mr_message *messages, uint32_t max)
{
    mr_kafka_consumer *consumer = context;
    rd_kafka_message_t *batch[TAKE_MAX];
    MR_ASSERT(index < consumer->open_count);
    const ssize_t count = rd_kafka_consume_batch_queue(consumer->queues[index], 0, batch,
                                                       max < TAKE_MAX ? max : TAKE_MAX);
    for (ssize_t i = 0; i < count; i++) {
        messages[i] = mr_kafka_message(batch[i]);
        if (batch[i]->err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            continue;
        mr_kafka_lacks(consumer->config, MR_RIGHT_READ_TOPIC, rd_kafka_topic_name(batch[i]->rkt),
                       &consumer->refused);
        messages[i].error = consumer->refused.text;
    }
    return count > 0 ? (uint32_t)count : 0;
}

static void give_back(void *context, mr_message *message)
{
    (void)context;
    rd_kafka_message_destroy(message->handle);
}

static void wait_for_some(void *context, int extra_fd, int wait_ms)
{
    const mr_kafka_consumer *consumer = context;
    struct pollfd fds[] = {{.fd = consumer->wake_fd, .events = POLLIN},
                           {.fd = extra_fd, .events = POLLIN}};
    uint64_t count;
    if (wait_ms > MR_KAFKA_HEARTBEAT_MS)
        wait_ms = MR_KAFKA_HEARTBEAT_MS;
    if (poll(fds, 2, wait_ms) <= 0 || (fds[0].revents & POLLIN) == 0)
        return;
    if (read(consumer->wake_fd, &count, sizeof count) < 0)
        mr_log(MR_LOG_DEBUG, "kafka", "nothing to read from the wake descriptor");
}

static void wake(void *context)
{
    const mr_kafka_consumer *consumer = context;
    const uint64_t one = 1;
    if (write(consumer->wake_fd, &one, sizeof one) < 0)
        return; // the counter is full: the thread is awake
}

// The end of a partition as the last fetch told it: of long ago, where its queue is full.
static int64_t end_fetched(const mr_kafka_consumer *consumer, const char *topic, int32_t partition)
{
    int64_t low, high;
    return rd_kafka_get_watermark_offsets(consumer->handle, topic, partition, &low, &high) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR
               ? high
               : -1;
}

static int64_t lag(void *context, const mr_offset *offsets, uint32_t offset_count)
{
    const mr_kafka_consumer *consumer = context;
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new((int)offset_count);
    int64_t sum = -1;
    for (uint32_t i = 0; i < offset_count; i++)
        rd_kafka_topic_partition_list_add(ends, mr_config_topic(consumer->config, offsets[i].input),
                                          (int32_t)offsets[i].partition)
            ->offset = RD_KAFKA_OFFSET_END;
    // One request a broker. Where it fails, what stands in the list is no offset.
    const bool asked =
        rd_kafka_offsets_for_times(consumer->handle, ends, LAG_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; i < offset_count; i++) {
        const rd_kafka_topic_partition_t *row = &ends->elems[i];
        const bool known = asked && row->err == RD_KAFKA_RESP_ERR_NO_ERROR && row->offset >= 0;
        const int64_t end = known ? row->offset : end_fetched(consumer, row->topic, row->partition);
        if (end >= 0)
            sum = (sum < 0 ? 0 : sum) + (end > offsets[i].next ? end - offsets[i].next : 0);
    }
    rd_kafka_topic_partition_list_destroy(ends);
    return sum;
}

mr_intake mr_kafka_consumer_port(mr_kafka_consumer *consumer)
{
    return (mr_intake){
        .context = consumer,
        .poll = poll_group,
        .look = look,
        .let_go = let_go,
        .partitions = partitions_of,
        .task_of = task_of,
        .assign = assign,
        .take = take,
        .give_back = give_back,
        .wait = wait_for_some,
        .wake = wake,
        .lag = lag,
    };
}

mr_status mr_kafka_consumer_committed(mr_kafka_consumer *consumer, mr_offset *offsets,
                                      uint32_t offset_count, mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)offset_count);
    for (uint32_t i = 0; i < offset_count; i++)
        rd_kafka_topic_partition_list_add(list, mr_config_topic(consumer->config, offsets[i].input),
                                          (int32_t)offsets[i].partition);
    const rd_kafka_resp_err_t code = rd_kafka_committed(consumer->handle, list, ASK_MS);
    mr_status status = MR_OK;
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        status = mr_kafka_lacks(consumer->config, MR_RIGHT_READ_GROUP,
                                consumer->config->kafka_group, err);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
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
