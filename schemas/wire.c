// SPDX-License-Identifier: Apache-2.0
#include "schemas/wire.h"

mr_wire_slow mr_wire_number_slow(mr_wire in)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 70; shift += 7) {
        if (in.p == in.end)
            return (mr_wire_slow){in, 0, MR_CAUSE_truncated};
        const uint8_t byte = *in.p++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return (mr_wire_slow){in, value, MR_CAUSE_NONE};
    }
    return (mr_wire_slow){in, 0, MR_CAUSE_bad_varint};
}
