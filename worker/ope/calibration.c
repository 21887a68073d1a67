// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/calibration.h"

#include <math.h>

typedef struct trial_sum { // of an arm, between the first and the last time
    double trials, shown, said; // said: expected number of times
    double variance;            // of shown - said
} trial_sum;

// The variance of the sum of 1 / p is the sum of 1 / p - 1 over all rounds, for which that of
// 1 / p^2 - 1 / p over the rounds that showed the item stands. Where luck has shown it seldom that
// is too small: never less than that of a binomial count.
static trial_sum sum_of(const mr_said *s)
{
    if (s->shown < 3.0)
        return (trial_sum){0};
    const double shown = s->shown - 2.0, trials = (double)(s->last - s->first) - 1.0;
    const double sum = s->inverse - s->first_inverse - s->last_inverse;
    const double squares = s->inverse_square - s->first_inverse * s->first_inverse -
                           s->last_inverse * s->last_inverse;
    const double chance = shown / sum, said = trials * chance;
    return (trial_sum){trials, shown, said,
                       fmax(chance * chance * (squares - sum), said * (1.0 - fmin(chance, 1.0)))};
}

// A number >= 0 as one that ascends with it.
static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void judge(mr_calibration *c, const trial_sum *s)
{
    const double most = 4.0 * sqrt(s->variance);
    c->judged++;
    c->more += s->shown - s->said > most;
    c->less += s->said - s->shown > most;
}

static void add_to_bin(mr_calibration_bin *bin, const trial_sum *s)
{
    bin->arms++;
    bin->trials += s->trials;
    bin->said += s->said;
    bin->shown += s->shown;
    bin->error += s->variance; // a variance until the bin is full
}

static void conclude(mr_calibration *c)
{
    double trials = 0, distance = 0, chance = 0;
    for (uint32_t b = 0; b < c->bin_count; b++) {
        mr_calibration_bin *bin = &c->bins[b];
        trials += bin->trials;
        distance += fabs(bin->shown - bin->said);
        chance += sqrt(bin->error * 2.0 / 3.14159265358979323846); // mean of |x| of a normal x
        bin->said /= bin->trials;
        bin->shown /= bin->trials;
        bin->error = sqrt(bin->error) / bin->trials;
    }
    c->error = trials > 0 ? distance / trials : (double)NAN;
    c->by_chance = trials > 0 ? chance / trials : (double)NAN;
}

static int64_t first_label(const mr_arms *arms)
{
    int64_t first = INT64_MAX;
    for (uint32_t p = 0; p < arms->position_count; p++)
        first = arms->positions[p].label < first ? arms->positions[p].label : first;
    return first;
}

mr_calibration mr_calibration_of(const mr_arms *arms, bool first_alone, mr_sorted *scratch)
{
    const int64_t label = first_label(arms);
    mr_calibration c = {0};
    double all = 0, done = 0, shown = 0, excess = 0;
    for (uint32_t i = 0; i < arms->count; i++) {
        const mr_arm *arm = &arms->arms[i];
        const trial_sum s = sum_of(&arm->said);
        if (first_alone && arms->positions[arm->position].label != label)
            continue;
        if (s.said < MR_CALIBRATION_EXPECTED) {
            c.rare += arm->said.shown > 0;
            continue;
        }
        judge(&c, &s);
        all += s.trials;
        shown += s.shown;
        excess += fmax(s.shown - s.said, 0.0);
        scratch[c.judged - 1] = (mr_sorted){bits_of(s.said / s.trials), i, 0};
    }
    mr_sort(scratch, c.judged);
    for (uint32_t j = 0; j < c.judged; j++) {
        const trial_sum s = sum_of(&arms->arms[scratch[j].value].said);
        if (c.bin_count == 0 || done >= all * c.bin_count / MR_CALIBRATION_BINS)
            c.bin_count++;
        add_to_bin(&c.bins[c.bin_count - 1], &s);
        done += s.trials;
    }
    c.excess = shown > 0 ? excess / shown : (double)NAN;
    conclude(&c);
    return c;
}

bool mr_calibration_is_off(const mr_calibration *c)
{
    return (double)(c->more + c->less) > (double)c->judged / 1000.0;
}

bool mr_calibration_is_wrong(const mr_calibration *c)
{
    return c->more > 0 && mr_calibration_is_off(c) && c->excess > 0.2 &&
           c->error > 4.0 * c->by_chance;
}
