// SPDX-License-Identifier: Apache-2.0
#include "worker/measure/acts.h"

#include <string.h>

#include "worker/measure/exposure.h"
#include "worker/measure/relevance.h"

const uint32_t mr_act_cuts[MR_ACT_CUTS] = {5, 10, MR_ACT_DEPTH};
const char *const mr_act_measure_names[MR_ACT_MEASURES] = {"recall", "ndcg", "rr"};

static uint32_t segments_for(bool by_field)
{
    return by_field ? MR_ACT_SEGMENTS : MR_ACTS_FIELD;
}

static size_t bytes_of(uint32_t segments, uint32_t resamples)
{
    return segments * mr_tally_size(MR_ACT_TERMS, resamples) * sizeof(double);
}

size_t mr_acts_bytes(bool by_field, uint32_t resamples)
{
    const size_t bytes = bytes_of(segments_for(by_field), resamples);
    return mr_arena_round(bytes) + mr_arena_round(MR_ACT_COPIES * bytes);
}

void mr_acts_init(mr_acts *acts, bool by_field, uint32_t resamples, uint64_t seed, mr_arena *arena)
{
    memset(acts, 0, sizeof *acts);
    acts->resamples = resamples;
    acts->segments = segments_for(by_field);
    acts->seed = seed;
    acts->copy_every = 64;
    const size_t bytes = bytes_of(acts->segments, resamples);
    acts->sums = mr_arena_push(arena, bytes);
    acts->copies = mr_arena_push(arena, MR_ACT_COPIES * bytes);
    mr_draw_cluster(&acts->draw, seed, acts->drawn, resamples);
}

static size_t numbers(const mr_acts *acts)
{
    return acts->segments * mr_tally_size(MR_ACT_TERMS, acts->resamples);
}

static void copy_sums(mr_acts *acts)
{
    const size_t n = numbers(acts);
    if (acts->count < (acts->copy_count + 1) * acts->copy_every)
        return;
    if (acts->copy_count == MR_ACT_COPIES) { // those at even multiples stay
        for (uint32_t i = 0; i < MR_ACT_COPIES / 2; i++) {
            memcpy(acts->copies + i * n, acts->copies + (2 * i + 1) * n, n * sizeof(double));
            acts->copied_at[i] = acts->copied_at[2 * i + 1];
        }
        acts->copy_count = MR_ACT_COPIES / 2;
        acts->copy_every *= 2;
        return;
    }
    memcpy(acts->copies + acts->copy_count * n, acts->sums, n * sizeof(double));
    acts->copied_at[acts->copy_count++] = acts->count;
}

mr_tally mr_acts_of(const mr_acts *acts, mr_act_segment segment)
{
    MR_ASSERT((uint32_t)segment < acts->segments);
    return (mr_tally){MR_ACT_TERMS, acts->resamples,
                      acts->sums + (uint32_t)segment * mr_tally_size(MR_ACT_TERMS,
                                                                     acts->resamples)};
}

// The segment of a value, which is new as long as there is room.
static mr_act_segment segment_of_value(mr_acts *acts, const mr_act *act)
{
    char name[MR_ACT_NAME_MAX];
    if (!act->has_field)
        return MR_ACTS_FIELD_NONE;
    const size_t size = act->value.size < sizeof name ? act->value.size : sizeof name - 1;
    memcpy(name, act->value.data, size);
    name[size] = '\0';
    for (uint32_t v = 0; v < acts->value_count; v++)
        if (strcmp(acts->values[v], name) == 0)
            return (mr_act_segment)(MR_ACTS_FIELD + v);
    if (acts->value_count == MR_ACT_VALUES_MAX)
        return MR_ACTS_FIELD_OTHER;
    memcpy(acts->values[acts->value_count], name, sizeof name);
    return (mr_act_segment)(MR_ACTS_FIELD + acts->value_count++);
}

static void terms_of(const mr_act *act, double x[MR_ACT_TERMS])
{
    memset(x, 0, MR_ACT_TERMS * sizeof *x);
    x[MR_ACT_LISTED] = act->listed;
    for (uint32_t c = 0; c < MR_ACT_CUTS; c++) {
        double *at = x + (size_t)c * MR_ACT_MEASURES;
        if (act->place >= mr_act_cuts[c])
            continue;
        at[0] = 1;
        at[1] = mr_rank_discount(act->place + 1);
        at[2] = 1.0 / (act->place + 1);
    }
}

void mr_acts_add(mr_acts *acts, const mr_act *act)
{
    double x[MR_ACT_TERMS];
    terms_of(act, x);
    if (act->user != acts->drawn) {
        mr_draw_cluster(&acts->draw, acts->seed, act->user, acts->resamples);
        acts->drawn = act->user;
    }
    mr_act_segment segments[4] = {MR_ACTS_ALL,
                                  act->known ? MR_ACTS_KNOWN_USER : MR_ACTS_NEW_USER,
                                  act->head ? MR_ACTS_HEAD_ITEM : MR_ACTS_TAIL_ITEM};
    uint32_t count = 3;
    if (acts->segments > MR_ACTS_FIELD)
        segments[count++] = segment_of_value(acts, act);
    for (uint32_t s = 0; s < count; s++) {
        const mr_tally tally = mr_acts_of(acts, segments[s]);
        mr_tally_add(&tally, x, &acts->draw);
    }
    acts->count++;
    copy_sums(acts);
}

void mr_acts_reset(mr_acts *acts)
{
    memset(acts->sums, 0, numbers(acts) * sizeof *acts->sums);
    acts->copy_count = 0;
    acts->count = 0;
}

void mr_acts_conclude(mr_acts *acts, double share)
{
    const size_t n = numbers(acts);
    uint32_t c = 0;
    if (share <= 0)
        return;
    while (c < acts->copy_count && (double)acts->copied_at[c] < share * (double)acts->count)
        c++;
    if (c == acts->copy_count) // too few acts for a copy: all are scored
        return;
    acts->warmup = acts->copied_at[c];
    for (size_t i = 0; i < n; i++)
        acts->sums[i] -= acts->copies[c * n + i];
}

const char *mr_acts_name(const mr_acts *acts, mr_act_segment segment)
{
    static const char *const names[] = {"all", "new users", "known users", "head items",
                                        "tail items"};
    if (segment < MR_ACTS_FIELD)
        return names[segment];
    if (segment == MR_ACTS_FIELD_OTHER)
        return "(other)";
    if (segment == MR_ACTS_FIELD_NONE)
        return "(none)";
    const uint32_t value = (uint32_t)(segment - MR_ACTS_FIELD);
    return value < acts->value_count ? acts->values[value] : NULL;
}

double mr_acts_popreo(const mr_acts *acts)
{
    enum { RECALL = (MR_ACT_CUTS - 1) * MR_ACT_MEASURES };
    double hits[2], whole[2];
    for (int g = 0; g < 2; g++) {
        const mr_tally tally = mr_acts_of(acts, g == 0 ? MR_ACTS_HEAD_ITEM : MR_ACTS_TAIL_ITEM);
        whole[g] = mr_tally_count(&tally);
        hits[g] = whole[g] > 0 ? whole[g] * mr_tally_mean(&tally, RECALL) : 0;
    }
    return mr_group_disparity(hits, whole, 2);
}
