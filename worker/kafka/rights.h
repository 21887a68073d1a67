// SPDX-License-Identifier: Apache-2.0
// rights: asks the brokers what our user may do, by requests that they check for rights first and
// then refuse for another reason. Nothing is written or committed. A transaction is begun only by
// brokers whose transaction.max.timeout.ms is 2147483647; it fences a worker that runs under the
// same instance.
#ifndef MR_WORKER_KAFKA_RIGHTS_H
#define MR_WORKER_KAFKA_RIGHTS_H

#include "worker/kafka/refusal.h"

// Called for each right that is missing: of what, and in which words (mr_kafka_lacks).
typedef void mr_kafka_lack(void *context, const char *what, const mr_error *lack);

// Asks for Write on each topic of ours. Real brokers only: librdkafka's mock would take the record.
// Errors: MR_RETRY: no answer; MR_FATAL.
MR_CHECKED mr_status mr_kafka_rights_write(const mr_config *config, mr_kafka_lack *lack,
                                           void *context, mr_error *err);
// Asks for Read on the group, and if we have it on the inputs and on the topics of ours that are
// read. Errors: MR_RETRY: no answer; MR_FATAL.
MR_CHECKED mr_status mr_kafka_rights_read(const mr_config *config, mr_kafka_lack *lack,
                                          void *context, mr_error *err);
// Asks for Write on the transactional id. Errors: MR_RETRY: no answer; MR_FATAL.
MR_CHECKED mr_status mr_kafka_rights_transact(const mr_config *config, mr_kafka_lack *lack,
                                              void *context, mr_error *err);

#endif
