// SPDX-License-Identifier: Apache-2.0
#include "worker/fences.h"

bool mr_fences_note(mr_fences *fences, int64_t now_ms, int64_t open_ms, int64_t timeout_ms)
{
    if (open_ms >= timeout_ms)
        return false;
    const bool again = fences->any && now_ms - fences->last_ms < MR_FENCES_MS;
    fences->any = true;
    fences->last_ms = now_ms;
    return again;
}
