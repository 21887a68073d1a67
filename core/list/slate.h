// SPDX-License-Identifier: Apache-2.0
// slate: a list while it is drawn, place by place.
//
// Before each draw the rules clear who may not stand at this place, and add a bonus to those whom
// they like better or worse, both as functions of the items above. Of a user in the exploration
// slice the policy then draws among the rest and says with which probability; of the others the
// best is taken (core/list/greedy), q = 1. So q stays exact whatever rules are on.
#ifndef MR_CORE_LIST_SLATE_H
#define MR_CORE_LIST_SLATE_H

#include "core/base/sort.h"
#include "core/list/candidates.h"

enum { MR_SLATE_RULES_MAX = 16 };

typedef struct mr_slate {
    // Set by the caller before mr_slate_open.
    const mr_view *view;
    uint32_t user; // slot
    const mr_union *candidates;
    const float *relevance;        // by candidate
    const float *mean, *deviation; // by candidate; NULL: no model gives them
    const mr_instance *rules;      // rule_count
    uint32_t rule_count;
    uint32_t explore_bp; // share of users in the exploration slice, of 10,000; a rule may change it
    mr_arena *arena;     // of what the rules keep

    float level; // how much the user wants to be surprised, 0 to 1, where a rule knows; else NAN
    bool explore;                              // the user is in the exploration slice
    uint64_t free_bits[MR_UNION_MAX / 64 + 1]; // candidates that are not in the list yet
    uint64_t bits[MR_UNION_MAX / 64 + 1];      // those that may stand at this place
    bool adjusted;                             // some rule gives a bonus
    double scale;              // standard deviation of the candidates' relevance, 1 where it is 0
    float bonus[MR_UNION_MAX]; // in units of relevance, at this place; if adjusted
    void *kept[MR_SLATE_RULES_MAX];
    void *policy_kept; // by the policy, of the bytes that it asks for
    uint32_t picked[MR_LIST_MAX];
    double q[MR_LIST_MAX];
    uint32_t picked_count;
    double weights[MR_UNION_MAX]; // scratch of the policy
    uint64_t order[MR_UNION_MAX]; // and more of it
    uint32_t next, sorted;
} mr_slate;

static inline bool mr_slate_may(const mr_slate *slate, uint32_t candidate)
{
    return (slate->bits[candidate / 64] >> (candidate % 64) & 1) != 0;
}

static inline bool mr_slate_free(const mr_slate *slate, uint32_t candidate)
{
    return (slate->free_bits[candidate / 64] >> (candidate % 64) & 1) != 0;
}

// Begins a list: opens the rules, and decides by the user's key whether it explores.
void mr_slate_open(mr_slate *slate);
// Draws up to k places with the policy under the rules.
void mr_slate_draw(mr_slate *slate, const mr_instance *policy, uint32_t k, mr_rng *rng);

// For rules. Room of so many bytes for as long as the list is drawn, and what was kept: NULL where
// nothing was.
void *mr_slate_keep(mr_slate *slate, const mr_instance *rule, size_t bytes);
static inline void *mr_slate_kept(const mr_slate *slate, const mr_instance *rule)
{
    return slate->kept[rule - slate->rules];
}
// For policies. How many candidates may stand at this place, and the n-th of them.
uint32_t mr_slate_may_count(const mr_slate *slate);
uint32_t mr_slate_may_nth(const mr_slate *slate, uint32_t n);
// What a candidate's value is to a policy: the mean that a model gives, else its relevance; with
// the rules' bonus, which counts in deviations of the relevance, in deviations `scale` of the
// values.
double mr_slate_value(const mr_slate *slate, uint32_t candidate, double scale);
// The deviation of the values over all candidates, bonuses left out.
double mr_slate_value_scale(const mr_slate *slate);

// The bonuses, zeros at first, to be added to; slate->scale is known from then on.
float *mr_slate_adjust(mr_slate *slate);

// How alike candidates are: their vectors of the embedding, which a rule keeps for one list.
typedef struct mr_likeness {
    uint32_t length; // of the vectors
    const float *vector[MR_UNION_MAX];
    float norm[MR_UNION_MAX];
} mr_likeness;

void mr_likeness_of(const mr_slate *slate, mr_likeness *likeness);
// Cosine of two candidates' vectors, 0 where one has no direction.
float mr_likeness_cosine(const mr_likeness *likeness, const mr_slate *slate, uint32_t a,
                         uint32_t b);

#endif
