// SPDX-License-Identifier: Apache-2.0
#include "core/sim/draws.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/normal.h"
#include "core/base/vec.h"

double mr_draw_power(double x, double y)
{
    return mr_exp(y * mr_log(x));
}

double mr_draw_exponential(mr_rng *rng)
{
    return -mr_log(mr_rng_double(rng));
}

double mr_draw_log_gamma(mr_rng *rng, double shape)
{
    // Below 1 the variate of shape + 1 is boosted by U^(1/shape).
    const double boost = shape < 1 ? mr_log(mr_rng_double(rng)) / shape : 0;
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
    const double c = 1 / __builtin_sqrt(9 * d);
    for (;;) {
        const double z = mr_normal_draw(rng), root = 1 + c * z;
        if (root <= 0)
            continue;
        const double v = root * root * root;
        if (mr_log(mr_rng_double(rng)) < z * z / 2 + d * (1 - v + mr_log(v)))
            return mr_log(d * v) + boost;
    }
}

void mr_draw_dirichlet(mr_rng *rng, const double *shapes, uint32_t n, float *x)
{
    double logs[MR_DRAWS_SHARES_MAX], top = 0, sum = 0;
    MR_ASSERT(n >= 1 && n <= MR_DRAWS_SHARES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        logs[i] = mr_draw_log_gamma(rng, shapes[i]);
        top = i == 0 || logs[i] > top ? logs[i] : top;
    }
    for (uint32_t i = 0; i < n; i++)
        sum += mr_exp(logs[i] - top);
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)(mr_exp(logs[i] - top) / sum);
}

void mr_draw_dirichlet_even(mr_rng *rng, double shape, uint32_t n, float *x)
{
    double shapes[MR_DRAWS_SHARES_MAX];
    MR_ASSERT(n >= 1 && n <= MR_DRAWS_SHARES_MAX);
    for (uint32_t i = 0; i < n; i++)
        shapes[i] = shape;
    mr_draw_dirichlet(rng, shapes, n, x);
}

uint32_t mr_draw_share(mr_rng *rng, const float *shares, uint32_t n)
{
    const double u = mr_rng_double(rng);
    double reached = 0;
    uint32_t i = 0;
    while (i + 1 < n && (reached += (double)shares[i]) <= u)
        i++;
    return i; // the last one takes what rounding leaves
}

// ---- laws

static const struct {
    const char *name;
    uint32_t least, most; // numbers
    double a_above, a_below, b_above, b_below;
    double b; // where it is not given
} laws[MR_LAW_COUNT] = {
    [MR_LAW_ZIPF] = {"zipf", 1, 1, -1e-9, 10.001, 0, 0, 0},
    [MR_LAW_POWER] = {"power", 1, 2, 1, 100, 0, 1e9, 1},
    [MR_LAW_CUTOFF] = {"cutoff", 2, 2, 0, 100, 0, 1e3, 0},
    [MR_LAW_STRETCHED] = {"stretched", 2, 2, 0, 1e3, 0, 10, 0},
    [MR_LAW_LOGNORMAL] = {"lognormal", 2, 2, -50, 50, 0, 20, 0},
    [MR_LAW_EXPONENTIAL] = {"exponential", 1, 1, 0, 1e3, 0, 0, 0},
};

// Reads a decimal number up to ':' or the end: this room has no strtod. Returns where it ended, or
// NULL.
static const char *read_decimal(const char *text, double *value)
{
    const bool minus = *text == '-';
    double sum = 0, unit = 1;
    uint32_t digits = 0;
    bool point = false;
    for (text += minus; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        sum = 10 * sum + (*text - '0');
        unit *= point ? 10 : 1;
        digits++;
    }
    *value = (minus ? -sum : sum) / unit;
    return digits > 0 && digits < 16 && (*text == ':' || *text == '\0') ? text : NULL;
}

static bool read_law(const char *text, mr_law_kind kind, mr_law *law)
{
    double numbers[2] = {0, laws[kind].b};
    uint32_t count = 0;
    while (text != NULL && *text == ':' && count < laws[kind].most)
        text = read_decimal(text + 1, &numbers[count++]);
    *law = (mr_law){kind, numbers[0], numbers[1]};
    return text != NULL && *text == '\0' && count >= laws[kind].least &&
           law->a > laws[kind].a_above && law->a < laws[kind].a_below &&
           (laws[kind].most < 2 || (law->b > laws[kind].b_above && law->b < laws[kind].b_below));
}

mr_status mr_law_parse(const char *text, mr_law *law, mr_error *err)
{
    for (uint32_t kind = 0; kind < MR_LAW_COUNT; kind++) {
        const size_t size = strlen(laws[kind].name);
        if (strncmp(text, laws[kind].name, size) == 0 &&
            read_law(text + size, (mr_law_kind)kind, law))
            return MR_OK;
    }
    return mr_fail(err, MR_FATAL,
                   "'%.40s': want zipf:S, power:A (A > 1) or power:A:XMIN, cutoff:A:LAMBDA, "
                   "stretched:LAMBDA:BETA, lognormal:MU:SIGMA or exponential:LAMBDA",
                   text);
}

static double least_of(const mr_law *law)
{
    return law->kind == MR_LAW_POWER ? law->b : 1;
}

// The share of the law that lies above x >= the least value.
static double survival(const mr_law *law, double x)
{
    if (law->kind == MR_LAW_POWER)
        return mr_draw_power(x / law->b, 1 - law->a);
    if (law->kind == MR_LAW_EXPONENTIAL)
        return mr_exp(law->a - law->a * x);
    return mr_exp(mr_draw_power(law->a, law->b) - mr_draw_power(law->a * x, law->b));
}

double mr_law_quantile(const mr_law *law, double u, double max)
{
    const double above = max > 0 ? survival(law, max) : 0;
    const double left = 1 - u * (1 - above); // of the law that is not cut
    if (law->kind == MR_LAW_POWER)
        return law->b * mr_draw_power(left, -1 / (law->a - 1));
    if (law->kind == MR_LAW_EXPONENTIAL)
        return 1 - mr_log(left) / law->a;
    MR_ASSERT(law->kind == MR_LAW_STRETCHED);
    return mr_draw_power(mr_draw_power(law->a, law->b) - mr_log(left), 1 / law->b) / law->a;
}

// By rejection, from the factor that is the narrower one: both are at most 1 from x = 1 on.
static double draw_cutoff(const mr_law *law, mr_rng *rng, double max)
{
    const bool steep = law->a > 1 && law->b < 0.5;
    const mr_law from =
        steep ? (mr_law){MR_LAW_POWER, law->a, 1} : (mr_law){MR_LAW_EXPONENTIAL, law->b, 0};
    for (;;) {
        const double x = mr_law_quantile(&from, mr_rng_double(rng), max);
        const double keep = steep ? mr_exp(law->b - law->b * x) : mr_draw_power(x, -law->a);
        if (mr_rng_double(rng) < keep)
            return x;
    }
}

double mr_law_draw(const mr_law *law, mr_rng *rng, uint32_t rank, double max)
{
    enum { TRIES = 1000 };
    if (law->kind == MR_LAW_ZIPF)
        return max * mr_draw_power(rank + 1.0, -law->a);
    if (max <= least_of(law)) // nothing lies below: all alike
        return max;
    if (law->kind == MR_LAW_CUTOFF)
        return draw_cutoff(law, rng, max);
    if (law->kind != MR_LAW_LOGNORMAL)
        return mr_law_quantile(law, mr_rng_double(rng), max);
    for (uint32_t i = 0; i < TRIES; i++) {
        const double x = mr_exp(law->a + law->b * mr_normal_draw(rng));
        if (x <= max)
            return x;
    }
    return max; // a law that lies above max as good as whole
}

// ---- shares of many

size_t mr_alias_bytes(uint32_t count)
{
    return mr_arena_round(count * sizeof(float)) + mr_arena_round(count * sizeof(uint32_t));
}

void mr_alias_init(mr_alias *alias, uint32_t count, double *weights, uint32_t *scratch,
                   mr_arena *arena)
{
    double sum = 0;
    *alias = (mr_alias){count, mr_arena_push(arena, count * sizeof(float)),
                        mr_arena_push(arena, count * sizeof(uint32_t))};
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    for (uint32_t i = 0; !(sum > 0) && i < count; i++)
        weights[i] = 1;
    sum = sum > 0 ? sum : count;
    // Those below the mean grow from the front of the scratch, those above from its end.
    uint32_t small = 0, large = count;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] *= count / sum;
        alias->keep[i] = 1;
        alias->other[i] = i;
        scratch[weights[i] < 1 ? small++ : --large] = i;
    }
    while (small > 0 && large < count) {
        const uint32_t less = scratch[--small], more = scratch[large];
        alias->keep[less] = (float)weights[less];
        alias->other[less] = more;
        weights[more] -= 1 - weights[less];
        if (weights[more] < 1) {
            large++;
            scratch[small++] = more;
        }
    }
}
