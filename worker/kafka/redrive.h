// SPDX-License-Identifier: Apache-2.0
// redrive: puts dead letters back on the topics that they came from, each at most once.
//
// Letters go in transactions, together with the place in the dead-letter topic up to which they
// were looked at, which a consumer group of their cause keeps: <app>.redrive.<cause>. Who drives
// the same cause again, also after a crash, goes on behind it, for as long as the brokers remember
// what a group without members has committed (offsets.retention.minutes, seven days by default).
// Two at once shut each other out.
#ifndef MR_WORKER_KAFKA_REDRIVE_H
#define MR_WORKER_KAFKA_REDRIVE_H

#include "worker/kafka/client.h"
#include "worker/letters.h"

typedef struct mr_redrive mr_redrive;

// Borrows config. Errors: MR_FATAL, MR_RETRY: brokers that do not answer, or no permission: the
// text names the right.
MR_CHECKED mr_status mr_redrive_open(const mr_config *config, const char *cause,
                                     mr_redrive **redrive, mr_error *err);
void mr_redrive_close(mr_redrive *redrive);

// Where letters of a partition go on; `first` where nobody has looked at them yet. Errors:
// MR_RETRY, MR_FATAL.
MR_CHECKED mr_status mr_redrive_next(mr_redrive *redrive, uint32_t partition, int64_t first,
                                     int64_t *next, mr_error *err);

// Queues a letter's record for its topic and partition, with its own key, value, headers and time,
// and a header millrace.redriven that says which letter it was. Begins a transaction where none is
// open. Errors: MR_RETRY, MR_FATAL; MR_REJECT: the letter is cut, or its topic is gone.
MR_CHECKED mr_status mr_redrive_send(mr_redrive *redrive, const mr_message *message,
                                     const mr_letter *letter, mr_error *err);

// Ends the transaction: what was sent of this partition counts, and `next` is where it goes on.
// Errors: MR_FATAL, MR_RETRY: nothing of it counts.
MR_CHECKED mr_status mr_redrive_commit(mr_redrive *redrive, uint32_t partition, int64_t next,
                                       mr_error *err);

#endif
