// SPDX-License-Identifier: Apache-2.0
#include "core/model/delay.h"

#include <string.h>

#include "core/base/vec.h"

enum { SWEEPS = 200 };
#define FIRST_S 60.0
#define GROWTH 0.344309535 // log of the factor between ends: 30 days after 31 more of them

const double mr_delay_parts_s[MR_DELAY_PARTS] = {600, 7200, 86400, 604800};
static const double day_s = 86400;

double mr_delay_end_s(uint32_t bin)
{
    return FIRST_S * mr_exp(GROWTH * bin);
}

uint32_t mr_delay_bin(double delay_s)
{
    uint32_t bin = 0;
    while (bin + 1 < MR_DELAY_BINS && delay_s > mr_delay_end_s(bin))
        bin++;
    return bin;
}

void mr_delays_add(mr_delays *delays, int64_t day, uint32_t bin, int64_t units)
{
    if (day <= 0)
        return;
    const uint32_t at = (uint32_t)(day % MR_DELAY_DAYS);
    if (delays->day[at] > day)
        return;
    if (delays->day[at] < day)
        memset(delays->units[at], 0, sizeof delays->units[at]);
    delays->day[at] = day;
    delays->units[at][bin] += units;
}

// Purchases of a bin, and of all up to it, of clicks that are older than its end.
static void count_old(const mr_delays *delays, int64_t newest, uint32_t bin, double one, double *n,
                      double *up_to)
{
    const double end_s = mr_delay_end_s(bin);
    *n = *up_to = 0;
    for (uint32_t d = 0; d < MR_DELAY_DAYS; d++) {
        const double age_s = (double)(newest - delays->day[d] - 1) * day_s;
        if (delays->day[d] == 0 || age_s < end_s || newest - delays->day[d] >= MR_DELAY_DAYS)
            continue;
        for (uint32_t b = 0; b <= bin; b++)
            *up_to += (double)delays->units[d][b] / one;
        *n += (double)delays->units[d][bin] / one;
    }
}

void mr_delays_curve(const mr_delays *delays, double one, double window_s, double guess_s,
                     double out[MR_DELAY_BINS])
{
    double guess[MR_DELAY_BINS];
    int64_t newest = 0;
    uint32_t last = 0;
    for (uint32_t d = 0; d < MR_DELAY_DAYS; d++)
        newest = delays->day[d] > newest ? delays->day[d] : newest;
    while (last + 1 < MR_DELAY_BINS && mr_delay_end_s(last) < window_s)
        last++;
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++) {
        out[b] = 1.0;
        guess[b] = MR_DELAY_GUESS * (1.0 - mr_exp(-mr_delay_end_s(b) / guess_s)) /
                   (1.0 - mr_exp(-mr_delay_end_s(last) / guess_s));
    }
    for (uint32_t b = last; b > 0; b--) {
        double n, up_to;
        count_old(delays, newest, b, one, &n, &up_to);
        n = n > 0 ? n : 0; // refunds of what is gone
        up_to = up_to > n ? up_to : n;
        out[b - 1] = out[b] * (1.0 - (n + guess[b] - guess[b - 1]) / (up_to + guess[b]));
    }
}

// The square of the distance is w A w / 2 - c w and a constant: weight is moved between two parts
// at a time, as far as it helps and they have some.
void mr_delay_fit(const double curve[MR_DELAY_BINS], double weights[MR_DELAY_PARTS])
{
    double a[MR_DELAY_PARTS][MR_DELAY_PARTS] = {{0}}, c[MR_DELAY_PARTS] = {0};
    for (uint32_t b = 0; b < MR_DELAY_BINS; b++) {
        const double weight =
            __builtin_sqrt(mr_delay_end_s(b) - (b > 0 ? mr_delay_end_s(b - 1) : 0));
        double of[MR_DELAY_PARTS];
        for (uint32_t i = 0; i < MR_DELAY_PARTS; i++) {
            of[i] = 1.0 - mr_exp(-mr_delay_end_s(b) / mr_delay_parts_s[i]);
            c[i] += weight * of[i] * curve[b];
            for (uint32_t j = 0; j <= i; j++)
                a[i][j] = a[j][i] += weight * of[i] * of[j];
        }
    }
    for (uint32_t i = 0; i < MR_DELAY_PARTS; i++)
        weights[i] = 1.0 / MR_DELAY_PARTS;
    for (uint32_t step = 0; step < SWEEPS * MR_DELAY_PARTS; step++) {
        const uint32_t to = step % MR_DELAY_PARTS, from = (step + 1) % MR_DELAY_PARTS;
        double slope = c[to] - c[from];
        for (uint32_t i = 0; i < MR_DELAY_PARTS; i++)
            slope += (a[from][i] - a[to][i]) * weights[i];
        double by = slope / (a[to][to] + a[from][from] - 2 * a[to][from]);
        by = by > weights[from] ? weights[from] : by < -weights[to] ? -weights[to] : by;
        weights[to] += by;
        weights[from] -= by;
    }
}
