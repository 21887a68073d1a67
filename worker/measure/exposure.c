// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/exposure.h"

#include <math.h>
#include <string.h>

#include "worker/measure/relevance.h"

// Ascending; the bits of numbers >= 0 ascend as they do.
static void sort_numbers(const double *x, uint32_t n, mr_sorted *sorted)
{
    for (uint32_t i = 0; i < n; i++) {
        const double plus = x[i] + 0.0;
        memcpy(&sorted[i].key, &plus, sizeof plus);
        sorted[i].value = i;
    }
    mr_sort(sorted, n);
}

mr_spread mr_spread_of(const double *exposure, uint32_t n, mr_sorted *scratch)
{
    double sum = 0, weighted = 0, entropy = 0, shown = 0;
    if (n == 0)
        return (mr_spread){NAN, NAN, NAN};
    sort_numbers(exposure, n, scratch);
    for (uint32_t j = 0; j < n; j++) {
        const double c = exposure[scratch[j].value];
        sum += c;
        weighted += (2.0 * (j + 1) - n - 1) * c;
        shown += c > 0;
    }
    if (sum <= 0)
        return (mr_spread){0, NAN, NAN};
    for (uint32_t j = 0; j < n; j++) {
        const double p = exposure[scratch[j].value] / sum;
        entropy -= p > 0 ? p * log2(p) : 0;
    }
    return (mr_spread){shown / n, weighted / (n * sum), entropy};
}

uint32_t mr_popularity_head(const double *counts, uint32_t n, double share, bool *head,
                            mr_sorted *scratch)
{
    double total = 0, reached = 0;
    uint32_t size = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bits;
        const double plus = counts[i] + 0.0;
        memcpy(&bits, &plus, sizeof bits);
        scratch[i] = (mr_sorted){~bits, i, 0};
        total += counts[i];
        head[i] = false;
    }
    mr_sort(scratch, n);
    while (size < n && reached < share * total) {
        head[scratch[size].value] = true;
        reached += counts[scratch[size++].value];
    }
    return size;
}

mr_listed mr_listed_of(const uint32_t *list, uint32_t count, const bool *relevant,
                       const mr_popularity *popularity)
{
    double sum = 0, tail = 0, plain = 0, met = 0, free = 0, novelty = 0, discounts = 0;
    if (count == 0)
        return (mr_listed){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    for (uint32_t place = 0; place < count; place++) {
        const double had = popularity->counts[list[place]], d = mr_rank_discount(place + 1);
        const double rest = fmax(0, 1 - had / popularity->users);
        sum += had;
        tail += !popularity->head[list[place]];
        discounts += d;
        plain += d * rest;
        novelty -= log2((had + 1) / (popularity->total + popularity->items));
        if (relevant == NULL || !relevant[place])
            continue;
        met += d * rest;
        free += had > 0 ? -d * log2(had / popularity->total) : (double)NAN;
    }
    return (mr_listed){
        .arp = sum / count,
        .aclt = tail,
        .aplt = tail / count,
        .epc_plain = popularity->users > 0 ? plain / discounts : (double)NAN,
        .epc = popularity->users > 0 && relevant != NULL ? met / discounts : (double)NAN,
        .efd = relevant != NULL ? free / discounts : (double)NAN,
        .novelty = novelty / count,
    };
}

double mr_group_disparity(const double *part, const double *whole, uint32_t groups)
{
    double mean = 0, square = 0;
    for (uint32_t g = 0; g < groups; g++) {
        if (!(whole[g] > 0))
            return NAN;
        mean += part[g] / whole[g] / groups;
    }
    for (uint32_t g = 0; g < groups; g++)
        square += (part[g] / whole[g] - mean) * (part[g] / whole[g] - mean) / groups;
    return mean > 0 ? sqrt(square) / mean : (double)NAN;
}
