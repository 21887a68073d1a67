// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/redrive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kafka/admin.h"

enum { CALL_MS = 30000, NAME_MAX = 512, TRIES = 3000, TRY_MS = 10 };

struct mr_redrive {
    const char *topic; // of the dead letters
    char group[NAME_MAX];
    rd_kafka_t *producer, *asker; // asker: of the group's offsets
    mr_kafka_admin *admin;
    char known[MR_LETTER_TEXT_MAX]; // the topic that was asked for last
    uint32_t partitions;            // that it has; 0: it is gone
    bool open;                      // a transaction
    uint64_t failed;                // delivery reports with an error
    rd_kafka_resp_err_t failure;
};

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle;
    mr_redrive *redrive = context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && redrive->failed++ == 0)
        redrive->failure = message->err;
}

static mr_status name_it(rd_kafka_conf_t *conf, const char *property, const char *value,
                         mr_error *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, property, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return MR_OK;
    return mr_fail(err, MR_FATAL, "%s", text);
}

static mr_status open_handle(const mr_config *config, mr_kafka_role role, const char *property,
                             const char *value, mr_redrive *redrive, rd_kafka_t **handle,
                             mr_error *err)
{
    rd_kafka_conf_t *conf;
    MR_TRY(mr_kafka_conf(config, role, &conf, err));
    if (name_it(conf, property, value, err) != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return err->status;
    }
    if (role == MR_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        rd_kafka_conf_set_opaque(conf, redrive);
    }
    return mr_kafka_open(conf, role, handle, err);
}

static mr_status open_both(const mr_config *config, const char *cause, mr_redrive *redrive,
                           mr_error *err)
{
    char id[NAME_MAX];
    snprintf(id, sizeof id, "%s-redrive-%s", config->app, cause);
    snprintf(redrive->group, sizeof redrive->group, "%s.redrive.%s", config->app, cause);
    MR_TRY(mr_kafka_admin_open(config, &redrive->admin, err));
    MR_TRY(open_handle(config, MR_KAFKA_PRODUCER, "transactional.id", id, redrive,
                       &redrive->producer, err));
    MR_TRY(open_handle(config, MR_KAFKA_CHANGELOG_READER, "group.id", redrive->group, redrive,
                       &redrive->asker, err));
    rd_kafka_error_t *error = rd_kafka_init_transactions(redrive->producer, CALL_MS);
    if (error == NULL)
        return MR_OK;
    const mr_status status = mr_kafka_failed(error, "init_transactions", err);
    (void)mr_wrap(err, "transactional id %s", id);
    return status;
}

mr_status mr_redrive_open(const mr_config *config, const char *cause, mr_redrive **out,
                          mr_error *err)
{
    mr_redrive *redrive = calloc(1, sizeof *redrive);
    if (redrive == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    redrive->topic = mr_kafka_topic_name(config, MR_TOPIC_DEAD_LETTERS);
    const mr_status status = open_both(config, cause, redrive, err);
    if (status != MR_OK) {
        mr_redrive_close(redrive);
        return status;
    }
    *out = redrive;
    return MR_OK;
}

void mr_redrive_close(mr_redrive *redrive)
{
    if (redrive == NULL)
        return;
    if (redrive->open)
        rd_kafka_error_destroy(rd_kafka_abort_transaction(redrive->producer, CALL_MS));
    if (redrive->producer != NULL)
        rd_kafka_destroy(redrive->producer);
    if (redrive->asker != NULL)
        rd_kafka_destroy(redrive->asker);
    mr_kafka_admin_close(redrive->admin);
    free(redrive);
}

mr_status mr_redrive_next(mr_redrive *redrive, uint32_t partition, int64_t first, int64_t *next,
                          mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *place =
        rd_kafka_topic_partition_list_add(list, redrive->topic, (int32_t)partition);
    rd_kafka_resp_err_t code = rd_kafka_committed(redrive->asker, list, CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = place->err;
    *next = place->offset > first ? place->offset : first;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return mr_fail(err, code == RD_KAFKA_RESP_ERR__TIMED_OUT ? MR_RETRY : MR_FATAL,
                   "offsets of group %s: %s", redrive->group, rd_kafka_err2str(code));
}

static mr_status begin(mr_redrive *redrive, mr_error *err)
{
    if (redrive->open)
        return MR_OK;
    redrive->failed = 0;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(redrive->producer);
    if (error != NULL)
        return mr_kafka_failed(error, "begin_transaction", err);
    redrive->open = true;
    return MR_OK;
}

static rd_kafka_headers_t *headers_of(const mr_message *message, const mr_letter *letter)
{
    char from[64];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(letter->header_count + 1);
    for (uint32_t i = 0; i < letter->header_count; i++) {
        const mr_header *header = &letter->headers[i];
        if (strcmp(header->name, "millrace.redriven") != 0)
            rd_kafka_header_add(headers, header->name, -1, header->value.data,
                                (ssize_t)header->value.size);
    }
    snprintf(from, sizeof from, "%u@%lld", message->partition, (long long)message->offset);
    rd_kafka_header_add(headers, "millrace.redriven", -1, from, -1);
    return headers;
}

// A record for a partition that is not there would be found out when it is too late to leave it.
static mr_status check_place(mr_redrive *redrive, const mr_letter *letter, mr_error *err)
{
    if (letter->cut)
        return mr_fail(err, MR_REJECT,
                       "%s [%lld] %lld is not whole: it was too large to be kept, or withheld for "
                       "the user's sake",
                       letter->topic, (long long)letter->partition, (long long)letter->offset);
    if (strcmp(redrive->known, letter->topic) != 0) {
        MR_TRY(mr_kafka_admin_partitions(redrive->admin, letter->topic, &redrive->partitions, err));
        memcpy(redrive->known, letter->topic, sizeof redrive->known);
    }
    if (letter->partition < (int64_t)redrive->partitions)
        return MR_OK;
    return mr_fail(err, MR_REJECT, "%s [%lld] %lld: the topic has %u partitions now", letter->topic,
                   (long long)letter->partition, (long long)letter->offset, redrive->partitions);
}

mr_status mr_redrive_send(mr_redrive *redrive, const mr_message *message, const mr_letter *letter,
                          mr_error *err)
{
    MR_TRY(check_place(redrive, letter, err));
    MR_TRY(begin(redrive, err));
    rd_kafka_headers_t *headers = headers_of(message, letter);
    for (int i = 0; i < TRIES; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_producev(
            redrive->producer, RD_KAFKA_V_TOPIC(letter->topic),
            RD_KAFKA_V_PARTITION((int32_t)letter->partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(message->key.data, message->key.size),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)message->value.data, message->value.size),
            RD_KAFKA_V_TIMESTAMP(message->time_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return MR_OK; // the headers are the client's now
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_headers_destroy(headers);
            return mr_fail(err, MR_REJECT, "%s [%lld]: %s", letter->topic,
                           (long long)letter->partition, rd_kafka_err2str(code));
        }
        rd_kafka_poll(redrive->producer, TRY_MS);
    }
    rd_kafka_headers_destroy(headers);
    return mr_fail(err, MR_RETRY, "%s: the brokers take nothing", letter->topic);
}

static mr_status send_offset(mr_redrive *redrive, uint32_t partition, int64_t next, mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_consumer_group_metadata_t *group =
        rd_kafka_consumer_group_metadata_new(redrive->group);
    rd_kafka_topic_partition_list_add(list, redrive->topic, (int32_t)partition)->offset = next;
    rd_kafka_error_t *error =
        rd_kafka_send_offsets_to_transaction(redrive->producer, list, group, CALL_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == NULL)
        return MR_OK;
    const mr_status status = mr_kafka_failed(error, "send_offsets_to_transaction", err);
    (void)mr_wrap(err, "group %s", redrive->group);
    return status;
}

static mr_status end(mr_redrive *redrive, uint32_t partition, int64_t next, mr_error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_flush(redrive->producer, CALL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return mr_fail(err, MR_RETRY, "flush: %s", rd_kafka_err2str(code));
    if (redrive->failed > 0)
        return mr_fail(err, MR_FATAL, "%llu records were not taken: %s",
                       (unsigned long long)redrive->failed, rd_kafka_err2str(redrive->failure));
    MR_TRY(send_offset(redrive, partition, next, err));
    rd_kafka_error_t *error = rd_kafka_commit_transaction(redrive->producer, CALL_MS);
    return error == NULL ? MR_OK : mr_kafka_failed(error, "commit_transaction", err);
}

mr_status mr_redrive_commit(mr_redrive *redrive, uint32_t partition, int64_t next, mr_error *err)
{
    MR_TRY(begin(redrive, err));
    const mr_status status = end(redrive, partition, next, err);
    if (status == MR_OK)
        redrive->open = false; // otherwise closing aborts it
    return status;
}
