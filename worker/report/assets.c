// SPDX-License-Identifier: Apache-2.0
// The build says where the files lie; the assembler copies them.
#include "worker/report/assets.h"

#define ASSET(name, path)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            "mr_asset_" #name ": .incbin \"" path "\"\n"                                           \
            "mr_asset_" #name "_end: .byte 0\n"                                                    \
            ".previous\n");                                                                        \
    extern const uint8_t mr_asset_##name[], mr_asset_##name##_end[];                               \
    mr_bytes mr_report_##name(void)                                                                \
    {                                                                                              \
        return mr_bytes_of(mr_asset_##name, (size_t)(mr_asset_##name##_end - mr_asset_##name));    \
    }

ASSET(page, MR_ASSET_PAGE)
ASSET(script, MR_ASSET_SCRIPT)
ASSET(charts, MR_ASSET_CHARTS)
