// SPDX-License-Identifier: Apache-2.0
// outputs: the records of a commit that are not rows: lists, metrics, dead letters, the epoch
// record.
//
// Values are Avro in single-object encoding, or framed by the id that a registry has given to the
// schema, except dead letters, which keep the bytes that came. The epoch log is ours to read, and
// stays in single-object encoding: no history should need a registry to be run again.
// Each is put into the commit's frozen; a record that is larger than the brokers take is cut (dead
// letters) or left out and counted, never retried for ever.
#ifndef MR_WORKER_OUTPUTS_H
#define MR_WORKER_OUTPUTS_H

#include "core/model/told.h"
#include "schemas/catalog.h"
#include "schemas/encode.h"
#include "worker/frozen.h"
#include "worker/source.h"
#include "worker/trace.h"

typedef struct mr_outputs mr_outputs;

// Borrows config. Errors: MR_FATAL: out of memory.
MR_CHECKED mr_status mr_outputs_open(const mr_config *config, const mr_catalog *catalog,
                                     uint32_t tasks, mr_outputs **outputs, mr_error *err);
void mr_outputs_close(mr_outputs *outputs);

// Our schema of the records of a topic; NULL: they have none, or are read by ourselves alone.
const char *mr_outputs_schema(mr_topic topic);
// Frames records of such a topic by that id of its schema from now on.
void mr_outputs_number(mr_outputs *outputs, mr_topic topic, uint32_t id);

// cause: the trace of the event that caused it, for the header; NULL: none.
void mr_outputs_list(mr_outputs *outputs, mr_frozen *frozen, const mr_list *list,
                     const mr_trace *cause);
// A user who has asked to be forgotten: his last list is taken away from those who keep lists.
void mr_outputs_forgotten(mr_frozen *frozen, uint32_t task, mr_bytes user);
// An item's public record, or the end of it; sequence: of the shard's commit.
void mr_outputs_item(mr_outputs *outputs, mr_frozen *frozen, const mr_told *told,
                     uint64_t sequence);
void mr_outputs_metric(mr_outputs *outputs, mr_frozen *frozen, const mr_metric *metric);
// Key, value, timestamp and headers as they were; the reason in headers of Kafka Connect's names.
void mr_outputs_dead_letter(mr_outputs *outputs, mr_frozen *frozen, const mr_refused *refused);

// The epoch record of the commit: rounds are noted as they are learned, then put with the commit.
// Whether a round of so many epochs can still be noted, with so many offsets together, and as many
// links and views. One always can. Otherwise the commit has to be closed first, so that the record
// stays below what the brokers take.
bool mr_outputs_has_room(const mr_outputs *outputs, uint32_t epoch_count, uint32_t offset_count,
                         uint32_t sequence_count);
// Begins a round, with the shards of foreign items that moved before it; the epochs that follow are
// its. What is given is copied, but for the topics' names.
void mr_outputs_round(mr_outputs *outputs, const mr_sequence *views, uint32_t view_count);
void mr_outputs_epoch(mr_outputs *outputs, const mr_task_epoch *epoch);
// Puts the record of the noted rounds, and forgets them. Everything else stands in `commit`: marks
// ascending, at least one.
void mr_outputs_put_epochs(mr_outputs *outputs, mr_frozen *frozen, const mr_epoch_record *commit);

// Puts a record that is whole but for the configuration's hash: of a commit that learned nothing.
void mr_outputs_put_record(mr_outputs *outputs, mr_frozen *frozen, const mr_epoch_record *commit);

// Forgets the noted rounds: they are rolled back.
void mr_outputs_forget(mr_outputs *outputs);

// Records that were left out because they were too large.
uint64_t mr_outputs_too_large(const mr_outputs *outputs);
// Bytes of the longest list so far; before the first one, what lists of common ids take.
size_t mr_outputs_list_bytes(const mr_outputs *outputs);

#endif
