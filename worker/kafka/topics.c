// SPDX-License-Identifier: Apache-2.0
#include "worker/kafka/topics.h"

#include <stdio.h>
#include <stdlib.h>

#include "worker/log.h"

enum { MEET_MS = 10000, LOOK_MS = 1000, RETRY_MS = 1000 };

static mr_status make(mr_kafka_admin *admin, const mr_config *config, int wait_ms, bool tell,
                      mr_config **matched, uint32_t *left_out, mr_error *err)
{
    const rd_kafka_metadata_t *told;
    MR_TRY(mr_kafka_admin_list(admin, wait_ms, &told, err));
    mr_topic_size *topics = calloc((size_t)told->topic_cnt + 1, sizeof *topics);
    uint32_t count = 0;
    for (int t = 0; topics != NULL && t < told->topic_cnt; t++) {
        if (told->topics[t].err == RD_KAFKA_RESP_ERR_NO_ERROR && told->topics[t].partition_cnt > 0)
            topics[count++] = (mr_topic_size){told->topics[t].topic,
                                              (uint32_t)told->topics[t].partition_cnt};
    }
    const mr_status status =
        topics == NULL ? mr_fail(err, MR_FATAL, "out of memory")
                       : mr_matched_make(config, topics, count, tell, matched, left_out, err);
    free(topics);
    rd_kafka_metadata_destroy(told);
    return status;
}

mr_status mr_kafka_match(const mr_config *config, uint32_t retries, mr_config **matched,
                         uint32_t *left_out, mr_error *err)
{
    mr_kafka_admin *admin;
    const mr_clock clock = mr_clock_system();
    *matched = NULL;
    *left_out = 0;
    if (!mr_config_has_patterns(config))
        return MR_OK;
    MR_TRY(mr_kafka_admin_open(config, &admin, err));
    mr_status status = MR_RETRY;
    for (uint32_t i = 0; status == MR_RETRY && i <= retries; i++) {
        status = make(admin, config, MEET_MS, true, matched, left_out, err);
        if (status == MR_RETRY && i < retries) {
            mr_log(MR_LOG_WARNING, "kafka", "the brokers do not answer, trying again",
                   mr_log_text("error", err->text));
            clock.sleep_ms(clock.context, RETRY_MS);
        }
    }
    mr_kafka_admin_close(admin);
    if (status != MR_OK)
        return status;
    mr_log(MR_LOG_INFO, "topics", "matched",
           mr_log_long("topics", (int64_t)(*matched)->input_count - config->input_count),
           mr_log_long("left_out", *left_out));
    return MR_OK;
}

mr_status mr_kafka_match_again(mr_kafka_admin *admin, const mr_config *config,
                               const mr_config *matched, uint32_t *left_out,
                               char name[static MR_KAFKA_TOPIC_BYTES], mr_error *err)
{
    mr_config *now;
    const uint32_t before = *left_out;
    name[0] = '\0';
    MR_TRY(make(admin, config, LOOK_MS, false, &now, left_out, err));
    const char *const more = mr_matched_more(matched, now);
    if (more != NULL)
        snprintf(name, MR_KAFKA_TOPIC_BYTES, "%s", more);
    mr_matched_free(now);
    if (more != NULL || *left_out <= before)
        return MR_OK;
    MR_TRY(make(admin, config, LOOK_MS, true, &now, left_out, err)); // names them
    mr_matched_free(now);
    return MR_OK;
}
