// SPDX-License-Identifier: Apache-2.0
#include "schemas/frame.h"

#include <stdio.h>
#include <string.h>

enum { ID_PREFIX = 5, GUID_PREFIX = 17, OBJECT_PREFIX = 10 };

static const char *const names[] = {
    [MR_FRAMING_AUTO] = "auto",
    [MR_FRAMING_CONFLUENT] = "confluent",
    [MR_FRAMING_SINGLE_OBJECT] = "single-object",
    [MR_FRAMING_BARE] = "bare",
};

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// A Confluent prefix at the start of `from`: its size, or 0 if there is none.
static uint32_t read_confluent(mr_bytes from, mr_frame *frame)
{
    if (from.size >= ID_PREFIX && from.data[0] == 0) {
        frame->names = MR_FRAME_NAMES_ID;
        frame->id = big_endian(from.data + 1);
        return ID_PREFIX;
    }
    if (from.size >= GUID_PREFIX && from.data[0] == 1) {
        frame->names = MR_FRAME_NAMES_GUID;
        memcpy(frame->guid, from.data + 1, sizeof frame->guid);
        return GUID_PREFIX;
    }
    return 0;
}

static uint32_t read_single_object(mr_bytes from, mr_frame *frame)
{
    if (from.size < OBJECT_PREFIX || from.data[0] != 0xc3 || from.data[1] != 0x01)
        return 0;
    frame->names = MR_FRAME_NAMES_FINGERPRINT;
    memcpy(&frame->fingerprint, from.data + 2, sizeof frame->fingerprint);
    return OBJECT_PREFIX;
}

static mr_status refuse(const char *where, mr_framing framing, mr_bytes from, mr_error *err)
{
    static const char *const wanted[] = {
        [MR_FRAMING_AUTO] = "00 and a schema id, 01 and a GUID, or c3 01 and a fingerprint",
        [MR_FRAMING_CONFLUENT] = "00 and a schema id, or 01 and a GUID",
        [MR_FRAMING_SINGLE_OBJECT] = "c3 01 and a fingerprint",
        [MR_FRAMING_BARE] = "",
    };
    char found[3 * 4 + 1] = "";
    for (uint32_t i = 0; i < 4 && i < from.size; i++)
        snprintf(found + 3 * i, 4, "%02x ", from.data[i]);
    return mr_reject(err, MR_CAUSE_bad_framing, "%s of %u bytes begins with %s: want %s", where,
                     from.size, found[0] != '\0' ? found : "nothing ", wanted[framing]);
}

mr_status mr_frame_read(mr_framing framing, mr_bytes value, mr_bytes header, mr_frame *frame,
                        mr_error *err)
{
    uint32_t prefix = 0;
    *frame = (mr_frame){.tombstone = value.data == NULL};
    if (frame->tombstone)
        return MR_OK;
    if (value.size == 0)
        return mr_reject(err, MR_CAUSE_empty_value, "%s", mr_cause_text(MR_CAUSE_empty_value));
    frame->payload = value;
    if (header.size > 0) {
        if (read_confluent(header, frame) != header.size)
            return refuse("header " MR_FRAME_HEADER, MR_FRAMING_CONFLUENT, header, err);
        return MR_OK;
    }
    if (framing == MR_FRAMING_BARE)
        return MR_OK;
    if (framing != MR_FRAMING_SINGLE_OBJECT)
        prefix = read_confluent(value, frame);
    if (prefix == 0 && framing != MR_FRAMING_CONFLUENT)
        prefix = read_single_object(value, frame);
    if (prefix == 0)
        return refuse("value", framing, value, err);
    frame->payload = (mr_bytes){value.data + prefix, value.size - prefix};
    return MR_OK;
}

void mr_frame_put_confluent(mr_writer *out, uint32_t id)
{
    const uint8_t prefix[ID_PREFIX] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                                       (uint8_t)(id >> 8), (uint8_t)id};
    mr_put_raw(out, prefix, sizeof prefix);
}

void mr_frame_put_single_object(mr_writer *out, uint64_t fingerprint)
{
    mr_put_raw(out, "\xc3\x01", 2);
    mr_put_raw(out, &fingerprint, sizeof fingerprint);
}

bool mr_framing_of(const char *name, mr_framing *framing)
{
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *framing = (mr_framing)i;
            return true;
        }
    }
    return false;
}

const char *mr_framing_name(mr_framing framing)
{
    return names[framing];
}
