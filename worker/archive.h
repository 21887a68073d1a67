// SPDX-License-Identifier: Apache-2.0
// archive: what the topics still have of a history, for whoever runs it again.
//
// A port, so that a simulator fills it: archive_kafka.c is the one over brokers. Only committed records
// are seen. Reads of one partition come in order, each from where the last one has ended, so that a
// partition is read once from its beginning to its end.
#ifndef MR_WORKER_ARCHIVE_H
#define MR_WORKER_ARCHIVE_H

#include "worker/config.h"
#include "worker/ports.h"

enum {
    MR_ARCHIVE_EPOCHS, // the epoch log
    MR_ARCHIVE_LISTS,
    MR_ARCHIVE_DEAD_LETTERS,
    MR_ARCHIVE_INPUTS, // + number of the input, the worker's own included
    MR_ARCHIVE_STREAMS = MR_ARCHIVE_INPUTS + MR_CONFIG_READS_MAX,
};

// Called for each record, in order; it stays valid until `release`. MR_RETRY: the record is left for
// the next read, and this one ends.
typedef mr_status mr_archive_visit(void *context, const mr_message *message, mr_error *err);

typedef struct mr_archive {
    void *context;
    // First offset and end. Errors: MR_FATAL.
    mr_status (*ends)(void *context, uint32_t stream, uint32_t partition, mr_log_ends *ends,
                      mr_error *err);
    // Visits the records of [first, end). *next: where the next read goes on; below `end` only where
    // a visitor has left a record, or where the log ends before. Errors: MR_FATAL: records of the
    // range are gone, brokers that do not answer; the visitor's.
    mr_status (*read)(void *context, uint32_t stream, uint32_t partition, int64_t first,
                      int64_t end, mr_archive_visit *visit, void *visit_context, int64_t *next,
                      mr_error *err);
    // Nothing that was visited is used any more.
    void (*release)(void *context);
} mr_archive;

typedef struct mr_archive_kafka mr_archive_kafka;

// Over the brokers of the configuration, which is borrowed. *tasks: P of the application. Errors:
// MR_FATAL, MR_RETRY: brokers that do not answer, a topic that is not there.
MR_CHECKED mr_status mr_archive_kafka_open(const mr_config *config, uint32_t *tasks,
                                        mr_archive_kafka **archive, mr_error *err);
void mr_archive_kafka_close(mr_archive_kafka *archive);
mr_archive mr_archive_kafka_port(mr_archive_kafka *archive);

#endif
