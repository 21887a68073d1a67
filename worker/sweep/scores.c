// SPDX-License-Identifier: Apache-2.0
#include "worker/sweep/scores.h"

#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = MR_MEASURE_RESAMPLES, KEPT = MR_SCORE_SERVED };
static const double level = .95;

static const char *const names[MR_SCORE_SOURCES][MR_SCORE_TERMS] = {
    {"all.recall@20", "all.ndcg@20", "all.mrr@20"},
    {"new.recall@20", "new.ndcg@20", "new.mrr@20"},
    {"served.recall@20", "served.ndcg@20", "served.mrr@20"},
};

const char *mr_score_text(mr_score_name name)
{
    return names[name.source][name.term];
}

mr_status mr_score_parse(const char *text, mr_score_name *name, mr_error *err)
{
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++)
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++)
            if (strcmp(text, names[s][t]) == 0) {
                *name = (mr_score_name){(mr_score_source)s, t};
                return MR_OK;
            }
    return mr_fail(err, MR_FATAL,
                   "found '%.40s', want all, new or served, a dot, and recall@20, ndcg@20 or "
                   "mrr@20",
                   text);
}

mr_status mr_scores_open(mr_scores *scores, uint64_t seed, mr_error *err)
{
    *scores = (mr_scores){.seed = seed};
    scores->sums = calloc(KEPT * mr_tally_size(MR_SCORE_TERMS, RESAMPLES), sizeof *scores->sums);
    if (scores->sums == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_draw_cluster(&scores->draw, seed, scores->drawn, RESAMPLES);
    return MR_OK;
}

void mr_scores_close(mr_scores *scores)
{
    free(scores->sums);
    scores->sums = NULL;
}

void mr_scores_reset(mr_scores *scores)
{
    memset(scores->sums, 0, KEPT * mr_tally_size(MR_SCORE_TERMS, RESAMPLES) * sizeof(double));
}

static mr_tally tally_of(const mr_scores *scores, mr_score_source source)
{
    return (mr_tally){MR_SCORE_TERMS, RESAMPLES,
                      scores->sums + (size_t)source * mr_tally_size(MR_SCORE_TERMS, RESAMPLES)};
}

void mr_scores_add(mr_scores *scores, const mr_target *target)
{
    const mr_hit_value hit = target->hits[target->column_count];
    const double x[MR_SCORE_TERMS] = {(double)hit.recall, (double)hit.ndcg, (double)hit.rr};
    const mr_tally tally = tally_of(scores, target->fresh ? MR_SCORE_NEW : MR_SCORE_ALL);
    if (target->user_key != scores->drawn) {
        mr_draw_cluster(&scores->draw, scores->seed, target->user_key, RESAMPLES);
        scores->drawn = target->user_key;
    }
    mr_tally_add(&tally, x, &scores->draw);
}

// Where a source's tally is, and the first of its terms.
static mr_tally source_of(const mr_scores *scores, const mr_measure *measure,
                          mr_score_source source, uint32_t *first)
{
    *first = source == MR_SCORE_SERVED ? (MR_ACT_CUTS - 1) * MR_ACT_MEASURES : 0;
    return source == MR_SCORE_SERVED ? mr_acts_of(&measure->acts, MR_ACTS_ALL)
                                     : tally_of(scores, source);
}

double mr_score_now(const mr_scores *scores, const mr_measure *measure, mr_score_name name)
{
    uint32_t first;
    const mr_tally tally = source_of(scores, measure, name.source, &first);
    return mr_tally_mean(&tally, first + name.term);
}

mr_score mr_scores_of(const mr_scores *scores, const mr_measure *measure)
{
    mr_sorted scratch[RESAMPLES];
    mr_score score;
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++) {
        uint32_t first;
        const mr_tally tally = source_of(scores, measure, (mr_score_source)s, &first);
        score.count[s] = mr_tally_count(&tally);
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++)
            score.of[s][t] =
                (mr_estimate){mr_tally_mean(&tally, first + t),
                              mr_tally_interval(&tally, first + t, level, scratch)};
    }
    return score;
}

mr_score mr_scores_difference(const mr_scores *from, const mr_measure *from_measure,
                              const mr_scores *to, const mr_measure *to_measure)
{
    mr_sorted scratch[RESAMPLES];
    mr_score score;
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++) {
        uint32_t first;
        const mr_tally a = source_of(from, from_measure, (mr_score_source)s, &first);
        const mr_tally b = source_of(to, to_measure, (mr_score_source)s, &first);
        score.count[s] = mr_tally_count(&b);
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++) {
            mr_estimate *e = &score.of[s][t];
            e->interval = mr_tally_difference(&a, &b, first + t, level, scratch, &e->value);
        }
    }
    return score;
}
