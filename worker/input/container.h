// SPDX-License-Identifier: Apache-2.0
// container: the records of an Avro container file, one at a time, through a decode plan.
//
// Blocks are read whole, so memory is bounded by MR_CONTAINER_BLOCK_MAX twice over. A record that
// the plan refuses is passed over with a second plan that maps nothing; only if that fails too, the
// place of the next record is lost, and the file ends with an error. Source: Apache Avro 1.12,
// "Object Container Files".
#ifndef MR_WORKER_INPUT_CONTAINER_H
#define MR_WORKER_INPUT_CONTAINER_H

#include "core/event/event.h"
#include "schemas/mapping.h"
#include "worker/input/stream.h"

enum {
    MR_CONTAINER_BLOCK_MAX = 64 << 20, // packed and unpacked
    MR_CONTAINER_HEADER_MAX = 2 << 20,
};

typedef struct mr_container mr_container;

// Reads the header of a stream that begins with "Obj" 01 and compiles the plan. The stream is
// borrowed. mapping NULL: the kind is that of our own schema of the same full name.
// Errors: MR_FATAL with path and fault: header, codec, schema, mapping.
MR_CHECKED mr_status mr_container_open(mr_stream *stream, const mr_mapping *mapping,
                                       mr_container **container, mr_error *err);
void mr_container_close(mr_container *container);

// The next record. The event's texts stand in the container and live until the next call; its
// lines, vector and scratch are the container's. *more false: the end, nothing was read. Errors:
// MR_REJECT, this record is bad, the next call goes on; MR_FATAL, the file is.
MR_CHECKED mr_status mr_container_next(mr_container *container, mr_event *event, bool *more,
                                       mr_error *err);

#endif
