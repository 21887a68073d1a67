// SPDX-License-Identifier: Apache-2.0
// sample: a look at the newest records of a topic, without a group.
#ifndef MR_WORKER_KAFKA_SAMPLE_H
#define MR_WORKER_KAFKA_SAMPLE_H

#include "worker/kafka/admin.h"

// Called for each record, borrowed for the call.
typedef void mr_kafka_sample_visit(void *context, const mr_message *message);

// Visits up to `per_partition` of the newest committed records of each of the partitions, in no
// order between partitions; fewer where they do not come within ten seconds. Errors: MR_RETRY: no
// answer; MR_FATAL: not permitted.
MR_CHECKED mr_status mr_kafka_sample(const mr_config *config, mr_kafka_admin *admin,
                                     const char *topic, uint32_t partition_count,
                                     uint32_t per_partition, mr_kafka_sample_visit *visit,
                                     void *context, mr_error *err);

#endif
