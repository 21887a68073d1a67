// SPDX-License-Identifier: Apache-2.0
// frame: what stands around an Avro record in a Kafka message, and names its writer's schema.
//
//   Confluent v0    00, schema id (4 bytes, big-endian), record
//   Confluent v1    01, schema GUID (16 bytes), record
//   single object   c3 01, CRC-64-AVRO of the schema (8 bytes, little-endian), record
//   bare            the record; the configuration names the schema
//
// A header __value_schema_id with a Confluent prefix in it goes before anything in the value, which
// is then bare. Sources: Confluent Schema Registry, "Wire format"; Apache Avro 1.12, "Single-object
// encoding".
#ifndef MR_SCHEMAS_FRAME_H
#define MR_SCHEMAS_FRAME_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "schemas/writer.h"

#define MR_FRAME_HEADER "__value_schema_id"

typedef enum mr_framing { // what a topic is configured to carry
    MR_FRAMING_AUTO,      // Confluent or single object, as the first bytes say; never bare
    MR_FRAMING_CONFLUENT,
    MR_FRAMING_SINGLE_OBJECT,
    MR_FRAMING_BARE,
} mr_framing;

typedef enum mr_frame_names {
    MR_FRAME_NAMES_NOTHING, // bare
    MR_FRAME_NAMES_ID,
    MR_FRAME_NAMES_GUID,
    MR_FRAME_NAMES_FINGERPRINT,
} mr_frame_names;

typedef struct mr_frame {
    bool tombstone;   // the value is null; nothing else is set
    mr_bytes payload; // the record, borrowed from the value
    mr_frame_names names;
    uint32_t id;
    uint8_t guid[16];
    uint64_t fingerprint;
} mr_frame;

enum { MR_FRAME_BYTES_MAX = 17 }; // of a prefix

// Takes the frame off a value. value.data NULL is a null value, a tombstone; `header` is the value
// of the last header MR_FRAME_HEADER, size 0 if there is none. Reads only the prefix. Errors:
// MR_REJECT empty_value, or bad_framing with the bytes that were found.
MR_CHECKED mr_status mr_frame_read(mr_framing framing, mr_bytes value, mr_bytes header,
                                   mr_frame *frame, mr_error *err);

// Appends a prefix for a record that follows.
void mr_frame_put_confluent(mr_writer *out, uint32_t id);
void mr_frame_put_single_object(mr_writer *out, uint64_t fingerprint);

// "auto", "confluent", "single-object", "bare": the names in the configuration. Returns false for
// any other text.
bool mr_framing_of(const char *name, mr_framing *framing);
const char *mr_framing_name(mr_framing framing);

#endif
