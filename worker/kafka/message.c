// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/message.h"

static uint32_t read_headers(const mr_message *message, mr_header *headers, uint32_t max)
{
    rd_kafka_headers_t *theirs;
    const char *name;
    const void *value;
    size_t size;
    uint32_t count = 0;
    if (rd_kafka_message_headers(message->handle, &theirs) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    while (count < max && rd_kafka_header_get_all(theirs, message->headers_first + count, &name,
                                                  &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers[count++] = (mr_header){name, mr_bytes_of(value, size)};
    return count;
}

mr_message mr_kafka_message(rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    const int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    const bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    return (mr_message){
        .key = mr_bytes_of(message->key, message->key_len),
        .value = mr_bytes_of(message->payload, message->len),
        .partition = (uint32_t)message->partition,
        .offset = message->offset,
        .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : time_ms,
        .end = end,
        .error = message->err == RD_KAFKA_RESP_ERR_NO_ERROR || end
                     ? NULL
                     : rd_kafka_message_errstr(message),
        .handle = message,
        .headers = read_headers,
    };
}
