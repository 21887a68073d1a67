// SPDX-License-Identifier: Apache-2.0
// Fuzzes framing: a value and a header of any bytes, under each framing.
//
// Input: the size of the header, the header, the value.
// Invariants: the payload is the value's tail and, with a header or bare, all of it; what is taken
// off and put on again is what was there.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "fuzz_frame: %s\n", what);
        abort();
    }
}

static void check_frame(mr_framing framing, mr_bytes value, mr_bytes header)
{
    uint8_t prefix[MR_FRAME_BYTES_MAX];
    mr_writer out = mr_writer_make(prefix, sizeof prefix);
    mr_frame frame;
    mr_error err = {.cause = MR_CAUSE_NONE};
    if (mr_frame_read(framing, value, header, &frame, &err) != MR_OK) {
        demand(err.cause == MR_CAUSE_bad_framing || err.cause == MR_CAUSE_empty_value, "cause");
        return;
    }
    demand(frame.payload.data + frame.payload.size == value.data + value.size, "not the tail");
    if (header.size > 0 || framing == MR_FRAMING_BARE) {
        demand(frame.payload.size == value.size, "not the whole");
        return;
    }
    if (frame.names == MR_FRAME_NAMES_ID)
        mr_frame_put_confluent(&out, frame.id);
    else if (frame.names == MR_FRAME_NAMES_FINGERPRINT)
        mr_frame_put_single_object(&out, frame.fingerprint);
    else
        return;
    demand(!out.full && out.size + frame.payload.size == value.size &&
               memcmp(prefix, value.data, out.size) == 0,
           "the prefix is another");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const size_t header_size = data[0] < size ? data[0] : size - 1;
    const mr_bytes header = mr_bytes_of(data + 1, header_size);
    const mr_bytes value = mr_bytes_of(data + 1 + header_size, size - 1 - header_size);
    for (uint32_t framing = MR_FRAMING_AUTO; framing <= MR_FRAMING_BARE; framing++)
        check_frame((mr_framing)framing, value, header);
    return 0;
}
