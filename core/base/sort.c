// SPDX-License-Identifier: Apache-2.0
// Quicksort with the median of three, insertion sort for short runs, heap sort where a split goes
// bad. mr_sort_first splits without branches, since which side a number goes to cannot be guessed,
// and goes on with the sides that reach into the front.
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

// ---- the first few

static void insert_all(uint64_t *x, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint64_t number = x[i];
        uint32_t j = i;
        for (; j > 0 && x[j - 1] > number; j--)
            x[j] = x[j - 1];
        x[j] = number;
    }
}

static uint64_t median_of(uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

// Above the smallest and at most the largest, so both sides get something; the same one for all
// where they are equal. Halving the range, it ends after 64 splits whatever the numbers are.
static uint64_t middle_of(const uint64_t *x, uint32_t count)
{
    uint64_t low = x[0], high = x[0];
    for (uint32_t i = 1; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    return low + (high - low) / 2 + (low < high);
}

// Brings the numbers below the pivot to the front and returns how many they are.
static uint32_t split_below(uint64_t *x, uint32_t count, uint64_t pivot)
{
    uint32_t below = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t number = x[i];
        x[i] = x[below];
        x[below] = number;
        below += number < pivot;
    }
    return below;
}

static void sort_front(uint64_t *x, uint32_t count, uint32_t first, uint32_t quick)
{
    while (first > 0 && count > SHORT) {
        const uint64_t pivot =
            quick > 0 ? median_of(x[0], x[count / 2], x[count - 1]) : middle_of(x, count);
        const uint32_t below = split_below(x, count, pivot);
        if (below == 0 && quick == 0)
            return; // all are equal
        quick -= quick > 0;
        if (first <= below) {
            count = below;
            continue;
        }
        sort_front(x, below, below, quick);
        x += below;
        count -= below;
        first -= below;
    }
    if (first > 0)
        insert_all(x, count);
}

void mr_sort_first(uint64_t *x, uint32_t count, uint32_t first)
{
    uint32_t quick = 8;
    for (uint32_t n = count; n > 0; n /= 2)
        quick += 2;
    sort_front(x, count, first, quick);
}
