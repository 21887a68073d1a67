// SPDX-License-Identifier: Apache-2.0
// decoder: from messages of the configured inputs to events.
//
// Shared by the worker's source and by a replay of topics, so that both see the same events in the
// same messages.
#ifndef MR_WORKER_DECODER_H
#define MR_WORKER_DECODER_H

#include "core/base/arena.h"
#include "core/event/epoch.h"
#include "schemas/catalog.h"
#include "worker/config.h"
#include "worker/origin.h"
#include "worker/ports.h"

typedef struct mr_decoder mr_decoder;

// Compiles the mappings of all inputs. Borrows both. Errors: MR_FATAL: a mapping that cannot be
// read, out of memory.
MR_CHECKED mr_status mr_decoder_open(const mr_config *config, mr_catalog *catalog,
                                     mr_decoder **decoder, mr_error *err);
void mr_decoder_close(mr_decoder *decoder);
// Users keep their ids where the configuration gives them other names: for whoever holds ids against
// the partitions that producers chose by them.
void mr_decoder_keep_ids(mr_decoder *decoder);

// Arena room that any one message may need.
size_t mr_decoder_room(const mr_decoder *decoder);

// Events that one message may be, at most; never more than an epoch holds.
uint32_t mr_decoder_events_max(const mr_decoder *decoder);

// Whether messages of the input may be none or several events.
bool mr_decoder_selects(const mr_decoder *decoder, uint32_t input);

// Fills *count arrivals, at most `max`, from a message of the input-th input of the configuration:
// one, or as many as the mapping's array has items, or none where the mapping leaves it out. They
// have the same place. What the events point to is of the message or of the arena, which has
// mr_decoder_room bytes left. Errors: MR_REJECT: the message is bad, all of it; place and timestamp
// in *arrivals are filled all the same. MR_RETRY: it is more than `max` events, of which the first
// `max` were filled; or its schema is not known yet, *count is 0, and the same call may go well
// later. MR_FATAL.
MR_CHECKED mr_status mr_decoder_read(mr_decoder *decoder, uint32_t input, const mr_message *message,
                                     mr_arena *arena, mr_arrival *arrivals, uint32_t max,
                                     uint32_t *count, mr_error *err);

// The same, of a record that stands in its epoch also where it is bad: its cause and reason are then
// in *arrivals, and it has no event but the time of its record. rerouted: of a message that came
// through the repartition topic (worker/origin.h); otherwise NULL. Errors: MR_REJECT: the message is
// bad, *count is 1; MR_RETRY, MR_FATAL: as above, it does not stand in its epoch.
MR_CHECKED mr_status mr_decoder_take(mr_decoder *decoder, uint32_t input, const mr_message *message,
                                     const mr_rerouted *rerouted, mr_arena *arena,
                                     mr_arrival *arrivals, uint32_t max, uint32_t *count,
                                     mr_error *err);

// Whether records of an input can be decoded that name their schema so. Errors: those of
// mr_catalog_plan.
MR_CHECKED mr_status mr_decoder_knows(mr_decoder *decoder, uint32_t input, const mr_frame *frame,
                                      mr_error *err);

// The input's place in the order of topic names, which decides between equal event times. The
// worker's own inputs come after those of the configuration.
uint32_t mr_decoder_rank(const mr_decoder *decoder, uint32_t input);

#endif
