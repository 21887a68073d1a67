// SPDX-License-Identifier: Apache-2.0
#include "core/list/blend.h"

#define RATE 0.05f
#define WEIGHT_MAX 10.0f
#define CLIP 8.0f
#define GATE_FADE 0.99950503f  // half-life of 1,400 probes
#define RANKS_FADE 0.99986138f // half-life of 5,000 probes
#define GATE_LEAD 0.002f
enum {
    GATE_PROBES_MIN = 200,
};

static const uint8_t bin_end[MR_RANK_BINS - 1] = {1, 2, 3, 4, 6, 9, 13, 20, 30, 50, 100};

static uint32_t bin_of(uint8_t place)
{
    uint32_t bin = 0;
    while (bin < MR_RANK_BINS - 1 && place + 1u > bin_end[bin])
        bin++;
    return bin;
}

static float bin_size(uint32_t bin, uint32_t item_count)
{
    if (bin == MR_RANK_BINS - 1)
        return item_count > 200 ? (float)(item_count - 100) : 100.0f;
    return (float)(bin_end[bin] - (bin > 0 ? bin_end[bin - 1] : 0));
}

void mr_blend_column_init(mr_blend_column *row, uint32_t column_count)
{
    memset(row, 0, sizeof *row);
    for (int f = 0; f < MR_FEATURES; f++) {
        row->weight[f] = 1.0f / (float)(MR_FEATURES * column_count);
        row->squares[f] = 0.01f;
        for (int s = 0; s < MR_SEGMENTS; s++)
            row->squares_by_segment[s][f] = 0.01f;
    }
    for (int b = 0; b < MR_RANK_BINS; b++)
        row->ranks[b] = 1.0f;
}

uint32_t mr_blend_segment(const mr_user *user)
{
    return user->recent_count >= 5 ? 3 : user->recent_count >= 2 ? 2 : user->recent_count;
}

// ln x for x > 0, relative error about 1e-6: the same polynomial in every lane, so it vectorises.
static inline float log_fast(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    const int32_t exponent = (int32_t)(bits >> 23) - 127;
    bits = (bits & 0x7fffffu) | 0x3f800000u;
    float m;
    memcpy(&m, &bits, 4);
    const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s; // m in [1, 2): s in [0, 1/3)
    const float series =
        1.0f + s2 * (1.0f / 3 + s2 * (1.0f / 5 + s2 * (1.0f / 7 + s2 * (1.0f / 9))));
    return (float)exponent * 0.693147181f + 2.0f * s * series;
}

// Sums in eight written strands.
void mr_blend_standardise(const float *s, uint32_t count, float *x)
{
    double sum[8] = {0}, squares[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (uint32_t k = 0; k < 8; k++) {
            const double value = (double)s[i + k];
            sum[k] += value;
            squares[k] += value * value;
        }
    for (uint32_t k = 0; i < count; i++, k++) {
        sum[k] += (double)s[i];
        squares[k] += (double)s[i] * (double)s[i];
    }
    for (uint32_t k = 4; k > 0; k /= 2)
        for (uint32_t l = 0; l < k; l++) {
            sum[l] += sum[l + k];
            squares[l] += squares[l + k];
        }
    const double n = count > 0 ? count : 1;
    const double mean = sum[0] / n, variance = squares[0] / n - mean * mean;
    const float scale = variance > 1e-18 ? (float)(1.0 / __builtin_sqrt(variance)) : 0.0f;
    const float middle = (float)mean;
    for (i = 0; i < count; i++) {
        const float z = (s[i] - middle) * scale;
        const float low = z < -CLIP ? -CLIP : z;
        x[i] = low > CLIP ? CLIP : low;
    }
}

void mr_blend_logarithms(const float *s, uint32_t count, float *x)
{
    float top = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        top = s[i] > top ? s[i] : top;
    if (!(top > 0.0f)) {
        memset(x, 0, count * sizeof *x);
        return;
    }
    const float inverse = 1.0f / top;
    for (uint32_t i = 0; i < count; i++)
        x[i] = log_fast(s[i] * inverse + 1e-4f);
    mr_blend_standardise(x, count, x);
}

static void rank_odds(const mr_blend_column *row, const uint8_t *places, uint32_t count,
                      uint32_t item_count, float *x)
{
    float sum = 0.0f, odds[MR_RANK_BINS];
    for (uint32_t b = 0; b < MR_RANK_BINS; b++)
        sum += row->ranks[b];
    for (uint32_t b = 0; b < MR_RANK_BINS; b++)
        odds[b] = (float)mr_log((double)(row->ranks[b] / (sum * bin_size(b, item_count))));
    const float none = odds[MR_RANK_BINS - 1];
    float by_place[MR_COLUMN_BEST];
    for (uint32_t p = 0; p < MR_COLUMN_BEST; p++)
        by_place[p] = odds[bin_of((uint8_t)p)];
    for (uint32_t i = 0; i < count; i++)
        x[i] = places[i] == MR_PLACE_NONE ? none : by_place[places[i]];
}

void mr_blend_features(const mr_blend *blend, const mr_columns *columns, const mr_union *candidates,
                       uint32_t item_count, float *x)
{
    for (uint32_t c = 0; c < blend->column_count; c++) {
        float *z = x + (size_t)(c * MR_FEATURES) * MR_UNION_MAX;
        mr_blend_standardise(candidates->value[c], candidates->count, z);
        if (columns->of[c].column->scale == MR_SCALE_COUNT)
            mr_blend_logarithms(candidates->value[c], candidates->count, z + MR_UNION_MAX);
        else
            memset(z + MR_UNION_MAX, 0, candidates->count * sizeof *z);
        rank_odds(blend->columns[c], candidates->place[c], candidates->count, item_count,
                  z + (size_t)2 * MR_UNION_MAX);
    }
}

void mr_blend_relevance(const mr_blend *blend, uint32_t segment, const float *x,
                        uint32_t candidate_count, float *relevance)
{
    memset(relevance, 0, candidate_count * sizeof *relevance);
    for (uint32_t c = 0; c < blend->column_count; c++)
        for (uint32_t f = 0; f < MR_FEATURES; f++) {
            const float w =
                blend->columns[c]->weight[f] + blend->columns[c]->by_segment[segment][f];
            const float *feature = x + (size_t)(c * MR_FEATURES + f) * MR_UNION_MAX;
            for (uint32_t i = 0; i < candidate_count; i++)
                relevance[i] += w * feature[i];
        }
}

uint32_t mr_blend_arm(const mr_blend *blend, const mr_columns *columns, uint32_t segment)
{
    uint32_t c = 0;
    if (blend->gate->arm[segment] == 0)
        return blend->column_count;
    while (c < columns->count && columns->of[c].key != blend->gate->arm[segment])
        c++;
    return c; // a column that is off now: the blend
}

void mr_blend_gradient(const mr_blend *blend, uint32_t segment, const float *x,
                       const float *relevance, uint32_t candidate_count, uint32_t target,
                       float weight, mr_rng *rng, float *gradient)
{
    (void)segment;
    uint32_t draws[MR_BLEND_DRAWS + 1] = {target};
    float p[MR_BLEND_DRAWS + 1], top = relevance[target], sum = 0.0f;
    uint32_t count = 1;
    for (int d = 0; d < MR_BLEND_DRAWS; d++) {
        const uint32_t i = mr_rng_below(rng, candidate_count);
        if (i == target)
            continue;
        draws[count++] = i;
        top = relevance[i] > top ? relevance[i] : top;
    }
    for (uint32_t d = 0; d < count; d++) {
        p[d] = mr_expf(relevance[draws[d]] - top);
        sum += p[d];
    }
    for (uint32_t d = 0; d < count; d++)
        p[d] = weight * (p[d] / sum - (d == 0 ? 1.0f : 0.0f));
    for (uint32_t f = 0; f < blend->column_count * MR_FEATURES; f++) {
        const float *feature = x + (size_t)f * MR_UNION_MAX;
        gradient[f] = 0.0f;
        for (uint32_t d = 0; d < count; d++)
            gradient[f] += p[d] * feature[draws[d]];
    }
}

static void descend(float *w, float *squares, float g)
{
    *squares += g * g;
    *w -= RATE * g / __builtin_sqrtf(*squares);
    *w = *w > WEIGHT_MAX ? WEIGHT_MAX : *w < -WEIGHT_MAX ? -WEIGHT_MAX : *w;
}

static void judge(mr_blend *blend, const mr_columns *columns, const mr_blend_lesson *lesson)
{
    const uint32_t s = lesson->segment, n = blend->column_count;
    mr_blend_gate *gate = blend->gate;
    for (uint32_t c = 0; c < n; c++)
        blend->columns[c]->ndcg[s] = blend->columns[c]->ndcg[s] * GATE_FADE + lesson->ndcg[c];
    gate->ndcg[s] = gate->ndcg[s] * GATE_FADE + lesson->ndcg[n];
    gate->count[s] = gate->count[s] * GATE_FADE + 1.0f;
    if (++gate->probes_of[s] < GATE_PROBES_MIN)
        return;
    uint32_t best = n;
    for (uint32_t c = 0; c < n; c++)
        if (blend->columns[c]->ndcg[s] >
            (best == n ? gate->ndcg[s] : blend->columns[best]->ndcg[s]))
            best = c;
    const uint32_t now = mr_blend_arm(blend, columns, s);
    const float best_sum = best == n ? gate->ndcg[s] : blend->columns[best]->ndcg[s];
    const float now_sum = now == n ? gate->ndcg[s] : blend->columns[now]->ndcg[s];
    if (best != now && best_sum - now_sum > GATE_LEAD * gate->count[s])
        gate->arm[s] = best == n ? 0 : columns->of[best].key;
}

void mr_blend_learn(mr_blend *blend, const mr_columns *columns, const mr_blend_lesson *lesson)
{
    for (uint32_t c = 0; c < blend->column_count; c++) {
        mr_blend_column *row = blend->columns[c];
        for (uint32_t b = 0; b < MR_RANK_BINS; b++)
            row->ranks[b] *= RANKS_FADE;
        row->ranks[bin_of(lesson->places[c])] += 1.0f;
        for (uint32_t f = 0; lesson->in_union && f < MR_FEATURES; f++) {
            const float g = lesson->gradient[c * MR_FEATURES + f];
            descend(&row->weight[f], &row->squares[f], g);
            descend(&row->by_segment[lesson->segment][f],
                    &row->squares_by_segment[lesson->segment][f], g);
        }
    }
    judge(blend, columns, lesson);
    blend->gate->probes++;
}
