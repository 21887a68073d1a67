// SPDX-License-Identifier: Apache-2.0
// scores: how well a branch foresaw acts, so that branches can be compared user by user.
//
// Three sources: `all` and `new`, the protocols of the models (core/eval/probe.h), of what would
// have been published as of each act; `served`, the list in force (worker/measure). Each has
// recall, nDCG and the reciprocal rank at 20. The sums of `all` and `new` are kept here, by user
// with resamples; those of `served` are the measure's.
#ifndef MR_WORKER_SWEEP_SCORES_H
#define MR_WORKER_SWEEP_SCORES_H

#include "core/engine.h"
#include "worker/measure/measure.h"

typedef enum mr_score_source {
    MR_SCORE_ALL,
    MR_SCORE_NEW,
    MR_SCORE_SERVED,
    MR_SCORE_SOURCES,
} mr_score_source;
enum { MR_SCORE_TERMS = 3 }; // recall, ndcg, rr: as mr_act_measure_names

typedef struct mr_score_name {
    mr_score_source source;
    uint32_t term;
} mr_score_name;

// "new.ndcg@20". Errors: MR_FATAL with the names that there are.
MR_CHECKED mr_status mr_score_parse(const char *text, mr_score_name *name, mr_error *err);
const char *mr_score_text(mr_score_name name);

typedef struct mr_scores {
    uint64_t seed, drawn;
    mr_draw draw;
    double *sums; // of `all`, then of `new`
} mr_scores;

// Errors: MR_FATAL: out of memory. A failed open needs no close.
MR_CHECKED mr_status mr_scores_open(mr_scores *scores, uint64_t seed, mr_error *err);
void mr_scores_close(mr_scores *scores); // also of zeros
void mr_scores_reset(mr_scores *scores);  // what came so far is not scored
// Adds what would have been published for a target.
void mr_scores_add(mr_scores *scores, const mr_target *target);

typedef struct mr_estimate { // 95 % interval over users
    double value;
    mr_interval interval;
} mr_estimate;

typedef struct mr_score { // every source and term of a branch
    double count[MR_SCORE_SOURCES]; // targets or acts
    mr_estimate of[MR_SCORE_SOURCES][MR_SCORE_TERMS];
} mr_score;

// measure: of the same branch. The value alone is mr_score_now.
mr_score mr_scores_of(const mr_scores *scores, const mr_measure *measure);
double mr_score_now(const mr_scores *scores, const mr_measure *measure, mr_score_name name);
// What the second branch has more, paired by user.
mr_score mr_scores_difference(const mr_scores *from, const mr_measure *from_measure,
                              const mr_scores *to, const mr_measure *to_measure);

#endif
