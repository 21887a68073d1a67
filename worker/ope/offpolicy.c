// SPDX-License-Identifier: Apache-2.0
// Means are kept by Welford's update: after 1e9 rounds of weights up to 1e3 plain sums have lost
// five digits. The bootstrap's sums are plain, since an interval needs no such digits.
#include "worker/ope/offpolicy.h"

#include <math.h>
#include <string.h>

#include "core/base/rng.h"

const char *mr_ope_name(mr_ope_kind kind)
{
    static const char *const names[] = {"replay", "ips",       "snips", "dm",     "dr",
                                        "sndr",   "switch-dr", "dros",  "sg-ips", "sg-dr",
                                        "sips",   "sn-sips",   "rips",  "iips",   "cascade-dr"};
    return names[kind];
}

bool mr_ope_weighs(mr_ope_kind kind)
{
    return kind != MR_OPE_DM && kind != MR_OPE_REPLAY;
}

double mr_ope_weight(mr_ope_estimator e, double w)
{
    switch (e.kind) {
    case MR_OPE_IPS:
    case MR_OPE_DR:
        return fmin(w, e.lambda);
    case MR_OPE_SWITCH_DR:
        return w <= e.lambda ? w : 0.0;
    case MR_OPE_DR_OS:
        // Divided through by lambda, so that an infinite one gives w.
        return w > 0.0 && e.lambda > 0.0 ? w / (w * w / e.lambda + 1.0) : 0.0;
    case MR_OPE_SG_IPS:
    case MR_OPE_SG_DR:
        return w / (1.0 - e.lambda + e.lambda * w);
    case MR_OPE_REPLAY:
    case MR_OPE_SNIPS:
    case MR_OPE_DM:
    case MR_OPE_SNDR:
    case MR_OPE_SIPS:
    case MR_OPE_SN_SIPS:
    case MR_OPE_RIPS:
    case MR_OPE_IIPS:
    case MR_OPE_CASCADE_DR:
        break;
    }
    return w;
}

// Of the bootstrap: how often a round counted, then the sums of its terms.
static size_t row_of(uint32_t count)
{
    return 1 + (size_t)MR_OPE_TERMS * count;
}

size_t mr_offpolicy_bytes(uint32_t count, uint32_t resamples)
{
    return mr_arena_round(count * sizeof(mr_ope_sum)) +
           mr_arena_round(resamples * row_of(count) * sizeof(double));
}

void mr_offpolicy_init(mr_offpolicy *policy, const mr_ope_estimator *estimators, uint32_t count,
                       uint32_t resamples, uint64_t seed, mr_arena *arena)
{
    const size_t boot_bytes = resamples * row_of(count) * sizeof(double);
    MR_ASSERT(count <= MR_OPE_ESTIMATORS_MAX);
    *policy = (mr_offpolicy){.count = count, .resamples = resamples, .seed = seed};
    policy->sums = mr_arena_push(arena, count * sizeof *policy->sums);
    policy->boot = mr_arena_push(arena, boot_bytes);
    memset(policy->boot, 0, boot_bytes);
    for (uint32_t i = 0; i < count; i++)
        policy->sums[i] = (mr_ope_sum){.estimator = estimators[i]};
}

static void terms_of(mr_ope_estimator e, const mr_logged_round *round, double terms[MR_OPE_TERMS])
{
    const double w = mr_ope_weight(e, round->weight), rest = round->reward - round->q;
    double a = 0.0, b = 0.0, c = 0.0;
    switch (e.kind) {
    case MR_OPE_REPLAY:
        b = round->match ? round->reward : 0.0;
        c = round->match ? 1.0 : 0.0;
        break;
    case MR_OPE_IPS:
    case MR_OPE_SG_IPS:
        a = w * round->reward;
        break;
    case MR_OPE_SNIPS:
        b = w * round->reward;
        c = w;
        break;
    case MR_OPE_DM:
        a = round->q_policy;
        break;
    case MR_OPE_SNDR:
        a = round->q_policy;
        b = w * rest;
        c = w;
        break;
    case MR_OPE_DR:
    case MR_OPE_SWITCH_DR:
    case MR_OPE_DR_OS:
    case MR_OPE_SG_DR:
        a = round->q_policy + w * rest;
        break;
    case MR_OPE_SIPS:
    case MR_OPE_SN_SIPS:
    case MR_OPE_RIPS:
    case MR_OPE_IIPS:
    case MR_OPE_CASCADE_DR:
        MR_ASSERT(false); // a slate is no single action
    }
    terms[0] = a;
    terms[1] = b;
    terms[2] = c;
}

static void add_moments(mr_ope_moments *m, const double x[MR_OPE_TERMS])
{
    double before[MR_OPE_TERMS];
    m->n += 1.0;
    for (int i = 0; i < MR_OPE_TERMS; i++) {
        before[i] = x[i] - m->mean[i];
        m->mean[i] += before[i] / m->n;
    }
    for (int i = 0; i < MR_OPE_TERMS; i++) {
        for (int j = 0; j < MR_OPE_TERMS; j++)
            m->m2[i][j] += before[i] * (x[j] - m->mean[j]);
    }
}

static void merge_moments(mr_ope_moments *m, const mr_ope_moments *o)
{
    const double n = m->n + o->n;
    if (o->n == 0.0)
        return;
    double d[MR_OPE_TERMS];
    for (int i = 0; i < MR_OPE_TERMS; i++)
        d[i] = o->mean[i] - m->mean[i];
    for (int i = 0; i < MR_OPE_TERMS; i++) {
        for (int j = 0; j < MR_OPE_TERMS; j++)
            m->m2[i][j] += o->m2[i][j] + d[i] * d[j] * m->n * o->n / n;
    }
    for (int i = 0; i < MR_OPE_TERMS; i++)
        m->mean[i] += d[i] * o->n / n;
    m->n = n;
}

void mr_offpolicy_add_terms(mr_offpolicy *policy, const double *terms, const double *lost,
                            uint64_t cluster)
{
    const size_t row = row_of(policy->count);
    policy->rounds += 1.0;
    for (uint32_t i = 0; i < policy->count; i++) {
        mr_ope_sum *sum = &policy->sums[i];
        add_moments(&sum->moments, terms + MR_OPE_TERMS * i);
        if (lost != NULL)
            sum->shift += (lost[i] - sum->shift) / sum->moments.n;
    }
    mr_rng rng = mr_rng_make(policy->seed, 0, 0, cluster, MR_PURPOSE_BOOTSTRAP);
    for (uint32_t b = 0; b < policy->resamples; b++) {
        const uint32_t times = mr_resample_times(&rng);
        double *sums = policy->boot + b * row;
        if (times == 0)
            continue;
        sums[0] += times;
        for (uint32_t i = 0; i < MR_OPE_TERMS * policy->count; i++)
            sums[1 + i] += times * terms[i];
    }
}

void mr_offpolicy_add(mr_offpolicy *policy, const mr_logged_round *round)
{
    MR_ASSERT(isfinite(round->weight) && round->weight >= 0.0 && isfinite(round->reward) &&
              isfinite(round->q) && isfinite(round->q_policy));
    double terms[MR_OPE_ESTIMATORS_MAX * MR_OPE_TERMS], lost[MR_OPE_ESTIMATORS_MAX];
    const double square = round->weight * round->weight;
    for (uint32_t i = 0; i < policy->count; i++) {
        const mr_ope_estimator estimator = policy->sums[i].estimator;
        terms_of(estimator, round, terms + MR_OPE_TERMS * i);
        lost[i] =
            (round->weight - mr_ope_weight(estimator, round->weight)) * (round->reward - round->q);
    }
    mr_offpolicy_add_terms(policy, terms, lost, round->cluster);
    policy->weight_mean_square += (square - policy->weight_mean_square) / policy->rounds;
    policy->weight_max = fmax(policy->weight_max, round->weight);
}

void mr_offpolicy_merge(mr_offpolicy *policy, const mr_offpolicy *other)
{
    MR_ASSERT(policy->count == other->count && policy->resamples == other->resamples &&
              policy->seed == other->seed);
    const double rounds = policy->rounds + other->rounds;
    if (other->rounds == 0.0)
        return;
    for (uint32_t i = 0; i < policy->count; i++) {
        mr_ope_sum *sum = &policy->sums[i];
        sum->shift += (other->sums[i].shift - sum->shift) * other->rounds / rounds;
        merge_moments(&sum->moments, &other->sums[i].moments);
    }
    policy->weight_mean_square +=
        (other->weight_mean_square - policy->weight_mean_square) * other->rounds / rounds;
    policy->weight_max = fmax(policy->weight_max, other->weight_max);
    policy->rounds = rounds;
    for (size_t i = 0; i < policy->resamples * row_of(policy->count); i++)
        policy->boot[i] += other->boot[i];
}

static bool is_ratio(mr_ope_kind kind)
{
    return kind == MR_OPE_REPLAY || kind == MR_OPE_SNIPS || kind == MR_OPE_SNDR ||
           kind == MR_OPE_SN_SIPS;
}

// Of means, or of sums over `n` rounds.
static double value_of(mr_ope_kind kind, double n, const double terms[MR_OPE_TERMS])
{
    if (n <= 0.0)
        return NAN;
    if (!is_ratio(kind))
        return terms[0] / n;
    return terms[2] > 0.0 ? terms[0] / n + terms[1] / terms[2] : (double)NAN;
}

double mr_offpolicy_value(const mr_offpolicy *policy, uint32_t estimator)
{
    const mr_ope_sum *sum = &policy->sums[estimator];
    return sum->moments.n > 0.0 ? value_of(sum->estimator.kind, 1.0, sum->moments.mean)
                                : (double)NAN;
}

double mr_offpolicy_error(const mr_offpolicy *policy, uint32_t estimator)
{
    const mr_ope_sum *sum = &policy->sums[estimator];
    const mr_ope_moments *m = &sum->moments;
    if (m->n < 2.0)
        return NAN;
    if (!is_ratio(sum->estimator.kind))
        return sqrt(m->m2[0][0] / (m->n - 1.0) / m->n);
    if (m->mean[2] <= 0.0)
        return NAN;
    // The influence of a round: a + (b - R c) / E[c].
    const double ratio = m->mean[1] / m->mean[2], c = m->mean[2];
    const double bc = m->m2[1][1] - 2.0 * ratio * m->m2[1][2] + ratio * ratio * m->m2[2][2];
    const double abc = m->m2[0][1] - ratio * m->m2[0][2];
    return sqrt(fmax(m->m2[0][0] + bc / (c * c) + 2.0 * abc / c, 0.0)) / m->n;
}

mr_interval mr_offpolicy_student(const mr_offpolicy *policy, uint32_t estimator, double level)
{
    const double value = mr_offpolicy_value(policy, estimator);
    const double error = mr_offpolicy_error(policy, estimator);
    if (!isfinite(value) || !isfinite(error))
        return (mr_interval){NAN, NAN};
    const double half =
        error * mr_student_quantile(0.5 + level / 2.0, policy->sums[estimator].moments.n - 1.0);
    return (mr_interval){value - half, value + half};
}

mr_interval mr_offpolicy_bootstrap(const mr_offpolicy *policy, uint32_t estimator, double level,
                                   mr_sorted *scratch)
{
    const mr_ope_kind kind = policy->sums[estimator].estimator.kind;
    for (uint32_t b = 0; b < policy->resamples; b++) {
        const double *sums = policy->boot + b * row_of(policy->count);
        mr_resample_note(scratch, b, value_of(kind, sums[0], sums + 1 + MR_OPE_TERMS * estimator));
    }
    return mr_resample_interval(scratch, policy->resamples, level);
}

mr_interval mr_ope_bernstein(double mean, double variance, double rounds, double bound,
                             double level)
{
    if (rounds < 2.0)
        return (mr_interval){NAN, NAN};
    const double log_term = log(4.0 / (1.0 - level));
    const double half =
        sqrt(2.0 * variance * log_term / rounds) + 7.0 * bound * log_term / (3.0 * (rounds - 1.0));
    return (mr_interval){mean - half, mean + half};
}

double mr_offpolicy_risk(const mr_offpolicy *policy, uint32_t estimator)
{
    const mr_ope_sum *sum = &policy->sums[estimator];
    const double n = policy->rounds, log_term = log(2.0 / 0.05);
    if (n < 2.0)
        return NAN;
    const double error = mr_offpolicy_error(policy, estimator);
    const double bias = fabs(sum->shift) + sqrt(2.0 * policy->weight_mean_square * log_term / n) +
                        2.0 * policy->weight_max * log_term / (3.0 * n);
    return error * error + bias * bias;
}

// Quantile of the normal distribution by Newton's method on erfc, from a first guess of Winitzki.
static double normal_quantile(double p)
{
    const double x = 2.0 * p - 1.0, ln = log(1.0 - x * x), k = 2.0 / (3.14159265358979 * 0.147);
    const double guess = sqrt(sqrt((k + ln / 2.0) * (k + ln / 2.0) - ln / 0.147) - (k + ln / 2.0));
    double z = (x < 0.0 ? -guess : guess) * 1.4142135623730951;
    for (int i = 0; i < 4; i++) {
        const double density = exp(-z * z / 2.0) / 2.5066282746310002;
        z -= (0.5 * erfc(-z / 1.4142135623730951) - p) / density;
    }
    return z;
}

double mr_student_quantile(double p, double degrees)
{
    const double n = degrees, two_tails = p < 0.5 ? 2.0 * p : 2.0 * (1.0 - p);
    const double sign = p < 0.5 ? -1.0 : 1.0, pi = 3.14159265358979323846;
    if (n < 1.5)
        return sign / tan(two_tails * pi / 2.0);
    if (n < 2.5)
        return sign * sqrt(2.0 / (two_tails * (2.0 - two_tails)) - 2.0);
    const double a = 1.0 / (n - 0.5), b = 48.0 / (a * a);
    double c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    const double d = ((94.5 / (b + c) - 3.0) / b + 1.0) * sqrt(a * pi / 2.0) * n;
    double y = pow(d * two_tails, 2.0 / n);
    if (y > 0.05 + a) {
        const double x = normal_quantile(two_tails / 2.0), square = x * x;
        if (n < 5.0)
            c += 0.3 * (n - 4.5) * (x + 0.6);
        c = (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b + c;
        y = (((((0.4 * square + 6.3) * square + 36.0) * square + 94.5) / c - square - 3.0) / b +
             1.0) *
            x;
        y = expm1(a * y * y);
    } else {
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) +
              0.5 / (n + 4.0)) *
                 y -
             1.0) *
                (n + 1.0) / (n + 2.0) +
            1.0 / y;
    }
    return sign * sqrt(n * y);
}
