// SPDX-License-Identifier: Apache-2.0
// canonical: the Parsing Canonical Form of a schema, and the fingerprint that names it on the wire.
//
// The form keeps what decides how bytes are read and drops the rest: documentation, defaults,
// aliases, logical types, attribute order, white space. Source: Apache Avro 1.12, "Parsing
// Canonical Form for Schemas" and "Schema Fingerprints" (CRC-64-AVRO).
#ifndef MR_SCHEMAS_CANONICAL_H
#define MR_SCHEMAS_CANONICAL_H

#include "schemas/schema.h"

// CRC-64-AVRO of the canonical form. In a single-object header it stands little-endian.
uint64_t mr_fingerprint(const mr_schema *schema);

// The same of any bytes.
uint64_t mr_fingerprint_bytes(const void *data, size_t size);

// Writes the canonical form to text, at most `room` bytes with the final NUL. Returns the size that
// it has without the NUL; if that is `room` or more, the text was cut.
size_t mr_canonical_text(const mr_schema *schema, char *text, size_t room);

#endif
