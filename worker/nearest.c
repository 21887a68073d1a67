// SPDX-License-Identifier: Apache-2.0
#include "worker/nearest.h"

#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// Edit distance by three rolling rows of the usual table.
static uint32_t distance_of(const char *a, size_t a_size, const char *b, size_t b_size)
{
    uint32_t rows[3][MR_NEAREST_BYTES_MAX + 1];
    uint32_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (uint32_t j = 0; j <= b_size; j++)
        last[j] = j;
    memset(before, 0, sizeof rows[0]);
    for (uint32_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (uint32_t j = 1; j <= b_size; j++) {
            const uint32_t change = a[i - 1] != b[j - 1];
            row[j] = least(least(last[j] + 1, row[j - 1] + 1), last[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        uint32_t *const free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_size];
}

mr_nearest mr_nearest_begin(const char *wanted)
{
    const size_t size = strlen(wanted);
    const uint32_t limit = size < 6 ? 2 : (uint32_t)(size / 3);
    return (mr_nearest){wanted, NULL, limit + 1};
}

void mr_nearest_offer(mr_nearest *search, const char *candidate)
{
    const size_t wanted_size = strlen(search->wanted), size = strlen(candidate);
    if (wanted_size > MR_NEAREST_BYTES_MAX || size > MR_NEAREST_BYTES_MAX)
        return;
    const uint32_t distance = distance_of(search->wanted, wanted_size, candidate, size);
    if (distance < search->distance) {
        search->distance = distance;
        search->best = candidate;
    }
}
