// SPDX-License-Identifier: Apache-2.0
// outputs: the records of a commit that are not rows: lists, metrics, dead letters, the epoch
// record.
//
// Values are Avro in single-object encoding, except dead letters, which keep the bytes that came.
// Each is put into the commit's frozen; a record that is larger than the brokers take is cut (dead
// letters) or left out and counted, never retried for ever.
#ifndef MR_WORKER_OUTPUTS_H
#define MR_WORKER_OUTPUTS_H

#include "schemas/catalog.h"
#include "schemas/encode.h"
#include "worker/frozen.h"
#include "worker/source.h"

typedef struct mr_outputs mr_outputs;

// Borrows config. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_outputs_open(const mr_config *config, const mr_catalog *catalog,
                                     uint32_t tasks, mr_outputs **outputs, mr_error *err);
void mr_outputs_close(mr_outputs *outputs);

void mr_outputs_list(mr_outputs *outputs, mr_frozen *frozen, const mr_list *list);
void mr_outputs_metric(mr_outputs *outputs, mr_frozen *frozen, const mr_metric *metric);
// Key, value, timestamp and headers as they were; the reason in headers of Kafka Connect's names.
void mr_outputs_dead_letter(mr_outputs *outputs, mr_frozen *frozen, const mr_refused *refused);

// The epoch record of the commit: rounds are noted as they are learned, then put with the commit.
// Returns false when the journal is full: the commit has to be closed first.
bool mr_outputs_has_room(const mr_outputs *outputs, uint32_t epoch_count, uint32_t offset_count);
// Begins a round; the epochs that follow are its.
void mr_outputs_round(mr_outputs *outputs);
void mr_outputs_epoch(mr_outputs *outputs, const mr_task_epoch *epoch);
// Puts the record of the noted rounds, and forgets them. marks: (task, seq), ascending.
void mr_outputs_put_epochs(mr_outputs *outputs, mr_frozen *frozen, int64_t time_ms,
                           const mr_sequence *marks, const mr_state_hash *hashes, uint32_t count);

// Forgets the noted rounds: they are rolled back.
void mr_outputs_forget(mr_outputs *outputs);

// Records that were left out because they were too large.
uint64_t mr_outputs_too_large(const mr_outputs *outputs);

#endif
