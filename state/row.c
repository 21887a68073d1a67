// SPDX-License-Identifier: Apache-2.0
#include "state/row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"

// Loads and stores are written byte by byte: compilers make one instruction of them on a
// little-endian machine, and the layout stays the same on any other.
static void store32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void store64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t load32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static uint64_t load64(const uint8_t *in)
{
    return (uint64_t)load32(in) | (uint64_t)load32(in + 4) << 32;
}

// XXH3-64 of the payload, seeded with that of the key, which is seeded with the first eight bytes
// of the header: three inputs, no copy.
static uint64_t checksum(mr_bytes key, const uint8_t *header, const uint8_t *payload, uint32_t size)
{
    return mr_hash64(payload, size, mr_hash64(key.data, key.size, load64(header)));
}

uint32_t mr_row_seal(mr_bytes key, const mr_row *row, uint8_t *out)
{
    MR_ASSERT(key.size > 0 && key.size <= MR_STORE_KEY_MAX);
    MR_ASSERT(row->payload.size <= MR_ROW_PAYLOAD_MAX);
    uint8_t *payload = out + MR_ROW_HEADER_BYTES;
    if (row->payload.size > 0 && row->payload.data != payload)
        memcpy(payload, row->payload.data, row->payload.size);
    out[0] = MR_ROW_FORMAT;
    out[1] = row->kind;
    out[2] = row->flags;
    out[3] = row->version;
    store32(out + 4, row->payload.size);
    store64(out + 8, checksum(key, out, payload, row->payload.size));
    return MR_ROW_HEADER_BYTES + row->payload.size;
}

const char *mr_row_print_key(mr_bytes key, char *text, size_t size)
{
    size_t used = 0;
    MR_ASSERT(size >= 8);
    for (uint32_t i = 0; i < key.size; i++) {
        const uint8_t byte = key.data[i];
        const bool plain = byte > 0x20 && byte < 0x7f && byte != '\\';
        if (used + (plain ? 1 : 4) + 4 > size) { // room for "..." and the NUL stays
            memcpy(text + used, "...", 3);
            used += 3;
            break;
        }
        if (plain)
            text[used++] = (char)byte;
        else
            used += (size_t)snprintf(text + used, size - used, "\\x%02x", byte);
    }
    text[used] = '\0';
    return text;
}

static mr_status bad_row(mr_error *err, mr_bytes key, const char *what)
{
    char name[96];
    return mr_fail(err, MR_FATAL, "row %s: %s", mr_row_print_key(key, name, sizeof name), what);
}

mr_status mr_row_open(mr_bytes key, mr_bytes bytes, mr_row *row, mr_error *err)
{
    char what[112];
    if (bytes.size < MR_ROW_HEADER_BYTES) {
        snprintf(what, sizeof what, "%" PRIu32 " bytes, a row has at least %d", bytes.size,
                 MR_ROW_HEADER_BYTES);
        return bad_row(err, key, what);
    }
    if (bytes.data[0] != MR_ROW_FORMAT) {
        snprintf(what, sizeof what, "format 0x%02x, this release reads 0x%02x", bytes.data[0],
                 MR_ROW_FORMAT);
        return bad_row(err, key, what);
    }
    const uint32_t payload_bytes = load32(bytes.data + 4);
    if (payload_bytes != bytes.size - MR_ROW_HEADER_BYTES || bytes.size > MR_ROW_BYTES_MAX) {
        snprintf(what, sizeof what,
                 "its header speaks of %" PRIu32 " bytes of payload, there are %" PRIu32
                 ", allowed are %d",
                 payload_bytes, bytes.size - MR_ROW_HEADER_BYTES, MR_ROW_PAYLOAD_MAX);
        return bad_row(err, key, what);
    }
    const uint8_t *payload = bytes.data + MR_ROW_HEADER_BYTES;
    const uint64_t found = checksum(key, bytes.data, payload, payload_bytes);
    const uint64_t wanted = load64(bytes.data + 8);
    if (found != wanted) {
        snprintf(what, sizeof what, "checksum is %016" PRIx64 ", the row says %016" PRIx64, found,
                 wanted);
        return bad_row(err, key, what);
    }
    *row = (mr_row){bytes.data[1], bytes.data[2], bytes.data[3], {payload, payload_bytes}};
    return MR_OK;
}

bool mr_row_is_sealed(mr_bytes key, mr_bytes bytes)
{
    mr_row row;
    mr_error err;
    return mr_row_open(key, bytes, &row, &err) == MR_OK;
}
