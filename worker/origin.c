// SPDX-License-Identifier: Apache-2.0
#include "worker/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/matched.h"

uint32_t mr_origin_write(const mr_origin *origin, char text[static MR_ORIGIN_BYTES_MAX])
{
    int size = snprintf(text, MR_ORIGIN_BYTES_MAX, "%.*s %" PRIu32 " %" PRId64 " %" PRId64,
                        (int)origin->topic.size, (const char *)origin->topic.data,
                        origin->partition, origin->offset, origin->time_ms);
    MR_ASSERT(size > 0 && size < MR_ORIGIN_BYTES_MAX); // a topic's name has at most 249 bytes
    if (origin->cause != MR_CAUSE_NONE)
        size += snprintf(text + size, (size_t)(MR_ORIGIN_BYTES_MAX - size), " %s %.*s",
                         mr_cause_name(origin->cause), (int)origin->reason.size,
                         (const char *)origin->reason.data);
    return (uint32_t)(size < MR_ORIGIN_BYTES_MAX ? size : MR_ORIGIN_BYTES_MAX - 1);
}

// The bytes up to the next space, which is taken too.
static mr_bytes next_word(mr_bytes *rest)
{
    if (rest->size == 0)
        return *rest;
    const uint8_t *const space = memchr(rest->data, ' ', rest->size);
    const uint32_t size = space != NULL ? (uint32_t)(space - rest->data) : rest->size;
    const mr_bytes word = mr_bytes_of(rest->data, size);
    const uint32_t taken = space != NULL ? size + 1 : size;
    *rest = mr_bytes_of(rest->data + taken, rest->size - taken);
    return word;
}

static bool read_number(mr_bytes word, int64_t *number)
{
    const bool negative = word.size > 0 && word.data[0] == '-';
    uint64_t value = 0;
    if (word.size == negative || word.size > 19u + negative)
        return false;
    for (uint32_t i = negative; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(word.data[i] - '0');
    }
    if (value > INT64_MAX)
        return false;
    *number = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool read_cause(mr_bytes word, mr_cause *cause)
{
    for (int c = MR_CAUSE_NONE + 1; c < MR_CAUSE_COUNT; c++) {
        if (mr_bytes_equal(word, mr_bytes_text(mr_cause_name((mr_cause)c)))) {
            *cause = (mr_cause)c;
            return true;
        }
    }
    return false;
}

bool mr_origin_read(mr_bytes text, mr_origin *origin)
{
    int64_t partition;
    *origin = (mr_origin){.topic = next_word(&text), .cause = MR_CAUSE_NONE};
    if (origin->topic.size == 0 || !read_number(next_word(&text), &partition) || partition < 0 ||
        partition > INT32_MAX || !read_number(next_word(&text), &origin->offset) ||
        origin->offset < 0 || !read_number(next_word(&text), &origin->time_ms))
        return false;
    origin->partition = (uint32_t)partition;
    if (text.size == 0)
        return true;
    if (!read_cause(next_word(&text), &origin->cause))
        return false;
    origin->reason = text;
    return true;
}

// UINT32_MAX: none.
static uint32_t input_of(const mr_config *config, mr_bytes topic)
{
    for (uint32_t i = 0; i < config->input_count; i++) {
        if (mr_bytes_equal(topic, mr_bytes_text(config->inputs[i].topic)))
            return i;
    }
    return UINT32_MAX;
}

void mr_origin_restore(const mr_config *config, mr_message *message, mr_rerouted *rerouted)
{
    mr_header header;
    mr_origin origin;
    *rerouted = (mr_rerouted){.input = mr_config_repartition(config),
                              .offset = message->offset,
                              .cause = MR_CAUSE_no_origin};
    if (message->headers(message, &header, 1) == 0 || strcmp(header.name, MR_ORIGIN_HEADER) != 0 ||
        !mr_origin_read(header.value, &origin)) {
        rerouted->reason = mr_bytes_text("the first header is not " MR_ORIGIN_HEADER);
        return;
    }
    const uint32_t input = input_of(config, origin.topic);
    if (input == UINT32_MAX) {
        rerouted->reason = mr_bytes_text("no input reads the topic that it comes from any more");
        rerouted->strange = mr_matched_of(config, origin.topic) != UINT32_MAX;
        return;
    }
    rerouted->input = input;
    rerouted->cause = origin.cause;
    rerouted->reason = origin.reason;
    message->partition = origin.partition;
    message->offset = origin.offset;
    message->time_ms = origin.time_ms;
    message->headers_first = 1;
}
