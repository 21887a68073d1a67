// SPDX-License-Identifier: Apache-2.0
// Quicksort with the median of three, insertion sort for short runs, heap sort where a split goes
// bad.
#include "core/base/sort.h"

#include <stdbool.h>

enum { SHORT = 24 };

static bool less(mr_sorted a, mr_sorted b)
{
    return a.key != b.key ? a.key < b.key : a.value < b.value;
}

static void insertion_sort(mr_sorted *e, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const mr_sorted entry = e[i];
        uint32_t j = i;
        for (; j > 0 && less(entry, e[j - 1]); j--)
            e[j] = e[j - 1];
        e[j] = entry;
    }
}

static void sift(mr_sorted *e, uint32_t at, uint32_t count)
{
    const mr_sorted entry = e[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && less(e[child], e[child + 1]))
            child++;
        if (!less(entry, e[child]))
            break;
        e[at] = e[child];
    }
    e[at] = entry;
}

static void heap_sort(mr_sorted *e, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift(e, i, count);
    for (uint32_t last = count; last-- > 1;) {
        const mr_sorted top = e[0];
        e[0] = e[last];
        e[last] = top;
        sift(e, 0, last);
    }
}

static mr_sorted median(mr_sorted a, mr_sorted b, mr_sorted c)
{
    if (less(a, b))
        return less(b, c) ? b : less(a, c) ? c : a;
    return less(a, c) ? a : less(b, c) ? c : b;
}

// Splits e so that everything before the returned index is <= what stands from it on.
static uint32_t split(mr_sorted *e, uint32_t count)
{
    const mr_sorted pivot = median(e[0], e[count / 2], e[count - 1]);
    uint32_t i = 0, j = count - 1;
    for (;;) {
        while (less(e[i], pivot))
            i++;
        while (less(pivot, e[j]))
            j--;
        if (i >= j)
            return i;
        const mr_sorted swap = e[i];
        e[i++] = e[j];
        e[j--] = swap;
    }
}

static void quick_sort(mr_sorted *e, uint32_t count, uint32_t depth)
{
    while (count > SHORT) {
        if (depth-- == 0) {
            heap_sort(e, count);
            return;
        }
        const uint32_t middle = split(e, count);
        if (middle < count - middle) { // the shorter side by recursion: bounded stack
            quick_sort(e, middle, depth);
            e += middle;
            count -= middle;
        } else {
            quick_sort(e + middle, count - middle, depth);
            count = middle;
        }
    }
    insertion_sort(e, count);
}

void mr_sort(mr_sorted *entries, uint32_t count)
{
    uint32_t depth = 4;
    for (uint32_t n = count; n > 0; n /= 2)
        depth += 2;
    quick_sort(entries, count, depth);
}
