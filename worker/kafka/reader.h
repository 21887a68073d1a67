// SPDX-License-Identifier: Apache-2.0
// reader: reads a changelog partition from an offset to a known end, committed records only.
//
// The end is asked elsewhere, of a handle that sees uncommitted records: this one is held back by
// open transactions, and waits until they are decided.
#ifndef MR_WORKER_KAFKA_READER_H
#define MR_WORKER_KAFKA_READER_H

#include "worker/kafka/client.h"

typedef struct mr_kafka_reader mr_kafka_reader;

MR_CHECKED mr_status mr_kafka_reader_open(const mr_config *config, mr_kafka_reader **reader,
                                          mr_error *err);
void mr_kafka_reader_close(mr_kafka_reader *reader);

// As mr_bus.changelog_read: one slice. The partition stays open for the next slice, until its end
// is reached or another place is read. Errors: MR_RETRY: not at the end yet; MR_FATAL: `first` is
// no longer in the log, or not permitted; those of visit.
MR_CHECKED mr_status mr_kafka_reader_read(mr_kafka_reader *reader, const char *topic,
                                          uint32_t partition, int64_t first, int64_t end,
                                          mr_bus_visit *visit, void *visit_context, int64_t *next,
                                          mr_error *err);

#endif
