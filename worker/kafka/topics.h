// SPDX-License-Identifier: Apache-2.0
// topics: what topics there are, for inputs that name theirs by a pattern (worker/matched.h).
#ifndef MR_WORKER_KAFKA_TOPICS_H
#define MR_WORKER_KAFKA_TOPICS_H

#include "worker/kafka/admin.h"
#include "worker/matched.h"

// The configuration with the topics that its patterns match now; without a pattern *matched is
// NULL. *left_out: how many match that cannot be read; each is named in the log. Brokers that are
// starting are asked so many times more. Errors: MR_RETRY: no broker answers; MR_FATAL.
MR_CHECKED mr_status mr_kafka_match(const mr_config *config, uint32_t retries, mr_config **matched,
                                    uint32_t *left_out, mr_error *err);

// For whoever runs with `matched`, which was made of `config`: looks again, and says by name what
// topic has appeared; `name` is empty where none has. *left_out, in and out: where it grows they
// are named in the log again. Errors: MR_RETRY: no answer within a quarter of a second; MR_FATAL.
enum { MR_KAFKA_TOPIC_BYTES = 250 };
MR_CHECKED mr_status mr_kafka_match_again(mr_kafka_admin *admin, const mr_config *config,
                                          const mr_config *matched, uint32_t *left_out,
                                          char name[static MR_KAFKA_TOPIC_BYTES], mr_error *err);

#endif
