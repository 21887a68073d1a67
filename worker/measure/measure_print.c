// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "worker/measure/measure.h"

static const double level = .95;

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *estimate_json(const mr_tally *tally, uint32_t term)
{
    mr_sorted scratch[MR_RESAMPLES_MAX];
    const mr_interval interval = mr_tally_interval(tally, term, level, scratch);
    return json_pack("{s:o, s:o, s:o}", "value", number(mr_tally_mean(tally, term)), "low",
                     number(interval.low), "high", number(interval.high));
}

// Terms of a tally: `count` measures at each cut-off, under names such as "recall@20".
static void put_measures(json_t *object, const mr_tally *tally, const char *const *names,
                         uint32_t count)
{
    for (uint32_t c = 0; c < MR_ACT_CUTS; c++)
        for (uint32_t i = 0; i < count; i++) {
            char name[32];
            snprintf(name, sizeof name, "%s@%u", names[i], mr_act_cuts[c]);
            json_object_set_new(object, name, estimate_json(tally, c * count + i));
        }
}

static json_t *segments_json(const mr_acts *acts)
{
    json_t *segments = json_array();
    for (uint32_t s = 0; s < acts->segments; s++) {
        const char *const name = mr_acts_name(acts, (mr_act_segment)s);
        if (name == NULL)
            continue;
        const mr_tally tally = mr_acts_of(acts, (mr_act_segment)s);
        json_t *segment = json_pack("{s:s, s:b, s:I, s:o}", "segment", name, "of_field",
                                    s >= MR_ACTS_FIELD, "acts", (json_int_t)mr_tally_count(&tally),
                                    "listed", number(mr_tally_mean(&tally, MR_ACT_LISTED)));
        put_measures(segment, &tally, mr_act_measure_names, MR_ACT_MEASURES);
        json_array_append_new(segments, segment);
    }
    return segments;
}

static json_t *fairness_json(const mr_fairness_set *set)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "jain", number(set->jain), "qf", number(set->qf),
                     "entropy", number(set->entropy), "gini", number(set->gini), "fsat",
                     number(set->fsat));
}

// Whose vectors items are compared by.
static const char *vectors_of(const mr_measure *measure)
{
    return measure->diversity.by_catalogue ? "catalogue" : "users";
}

static json_t *shown_json(const mr_measure *measure)
{
    const mr_shown *shown = &measure->shown;
    const mr_shown_result *r = &measure->shown_result;
    json_t *fairness =
        json_pack("{s:o, s:o, s:o}", "plain", fairness_json(&r->fairness.plain), "corrected",
                  fairness_json(&r->fairness.corrected), "gini_by_rank", number(r->weighted_gini));
    return json_pack(
        "{s:I, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
        "lists",
        (json_int_t)shown->lists, "items", (int)shown->item_count, "head_items",
        (int)shown->head_count, "coverage", number(r->spread.coverage), "gini",
        number(r->spread.gini), "shannon", number(r->spread.shannon), "arp", number(r->mean.arp),
        "aclt", number(r->mean.aclt), "aplt", number(r->mean.aplt), "epc",
        number(r->mean.epc_plain), "novelty", number(r->mean.novelty), "popreo",
        number(mr_acts_popreo(&measure->acts)), "item_fairness", fairness, "poprsp",
        number(measure->diversity_result.poprsp), "ils",
        number(measure->diversity_result.similarity), "unexpectedness",
        number(measure->diversity_result.unexpectedness), "vectors", vectors_of(measure));
}

static json_t *counts_json(const mr_measure *measure)
{
    const mr_measure_counts *c = &measure->counts;
    const double compared = c->compared > 0 ? (double)c->compared : (double)NAN;
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:f, s:f}", "lists_compared",
                     (json_int_t)c->compared, "churn", number(c->churn / compared), "jaccard",
                     number(c->jaccard / compared), "purchases", (json_int_t)c->purchases,
                     "purchases_listed", (json_int_t)c->purchases_listed, "revenue", c->revenue,
                     "revenue_listed", c->revenue_listed);
}

static json_t *bounds_json(const mr_measure *measure)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "acts_left_out",
                     (json_int_t)measure->counts.acts_left_out, "lists_left_out",
                     (json_int_t)measure->counts.lists_left_out, "items_left_out",
                     (json_int_t)measure->shown.items_left_out, "pairs_replaced",
                     (json_int_t)measure->shown.pairs_replaced, "relevant_left_out",
                     (json_int_t)measure->split.left_out);
}

static json_t *trade_json(mr_trade trade)
{
    return json_pack("{s:o, s:o}", "relevance", number(trade.relevance), "fairness",
                     number(trade.fairness));
}

static json_t *joint_json(const mr_joint *joint)
{
    enum { POINTS = 33 };
    json_t *points = json_array();
    const uint32_t count = joint->frontier.point_count, last = count > 0 ? count - 1 : 0;
    for (uint32_t i = 0; i < POINTS && i <= last && count > 0; i++) {
        const uint32_t at = last < POINTS ? i : i * last / (POINTS - 1);
        json_array_append_new(points, trade_json(joint->frontier.points[at]));
    }
    return json_pack("{s:o, s:i, s:i, s:o, s:o, s:o}", "distance", number(joint->distance),
                     "users", (int)joint->users, "places", (int)joint->places, "lists",
                     trade_json(joint->lists), "reference", trade_json(joint->reference),
                     "frontier", points);
}

static json_t *split_json(const mr_measure *measure)
{
    if (!measure->options.split)
        return json_null();
    const mr_tally *tally = &measure->split_result.of;
    json_t *split =
        json_pack("{s:I, s:b, s:I}", "from_ms", (json_int_t)measure->options.split_ms, "reached",
                  measure->after_split, "users", (json_int_t)mr_tally_count(tally));
    static const char *const efd[] = {"efd"};
    put_measures(split, tally, mr_split_measure_names, MR_SPLIT_MEASURES);
    put_measures(split, &measure->split_result.efd, efd, 1);
    json_object_set_new(split, "users_with_efd",
                        json_integer((json_int_t)mr_tally_count(&measure->split_result.efd)));
    json_object_set_new(split, "dpfr", joint_json(&measure->joint));
    return split;
}

json_t *mr_measure_json(const mr_measure *measure)
{
    json_t *root = json_pack(
        "{s:s, s:i, s:f, s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "protocol", "as served", "depth",
        MR_ACT_DEPTH, "level", level, "resamples", (int)measure->options.resamples,
        "acts_of_warmup", (json_int_t)measure->acts.warmup, "segments",
        segments_json(&measure->acts), "shown", shown_json(measure), "counts",
        counts_json(measure), "split", split_json(measure), "bounds", bounds_json(measure));
    if (measure->options.field != NULL)
        json_object_set_new(root, "field", json_string(measure->options.field));
    return root;
}

// ---- for people

static void print_estimate(FILE *out, const mr_tally *tally, uint32_t term)
{
    mr_sorted scratch[MR_RESAMPLES_MAX];
    const mr_interval interval = mr_tally_interval(tally, term, level, scratch);
    if (isnan(interval.low))
        fprintf(out, "   %.4f %15s", mr_tally_mean(tally, term), "");
    else
        fprintf(out, "   %.4f (%.4f..%.4f)", mr_tally_mean(tally, term), interval.low,
                interval.high);
}

static void print_segments(const mr_acts *acts, FILE *out)
{
    enum { FIRST = (MR_ACT_CUTS - 1) * MR_ACT_MEASURES };
    fprintf(out, "  %-16s %9s %7s   %-23s   %-23s   %s\n", "acts of", "acts", "listed",
            "recall@20", "nDCG@20", "MRR@20");
    for (uint32_t s = 0; s < acts->segments; s++) {
        const char *const name = mr_acts_name(acts, (mr_act_segment)s);
        if (name == NULL)
            continue;
        const mr_tally tally = mr_acts_of(acts, (mr_act_segment)s);
        if (mr_tally_count(&tally) <= 0)
            continue;
        fprintf(out, "  %-16s %9.0f %7.4f", name, mr_tally_count(&tally),
                mr_tally_mean(&tally, MR_ACT_LISTED));
        for (uint32_t i = 0; i < MR_ACT_MEASURES; i++)
            print_estimate(out, &tally, FIRST + i);
        fputc('\n', out);
    }
}

static void print_number(FILE *out, const char *name, double x)
{
    if (isfinite(x))
        fprintf(out, "  %s %.4f", name, x);
    else
        fprintf(out, "  %s -", name);
}

static void print_split(const mr_measure *measure, FILE *out)
{
    const mr_tally *tally = &measure->split_result.of;
    const mr_joint *joint = &measure->joint;
    if (!measure->options.split)
        return;
    fprintf(out, "\n  lists in force at the split, %.0f users who acted after it\n",
            mr_tally_count(tally));
    for (uint32_t c = 0; c < MR_ACT_CUTS && mr_tally_count(tally) > 0; c++) {
        fprintf(out, "  @%-3u", mr_act_cuts[c]);
        for (uint32_t i = 0; i < MR_SPLIT_MEASURES; i++)
            print_number(out, mr_split_measure_names[i],
                         mr_tally_mean(tally, c * MR_SPLIT_MEASURES + i));
        print_number(out, "efd", mr_tally_mean(&measure->split_result.efd, c));
        fputc('\n', out);
    }
    if (isfinite(joint->distance))
        fprintf(out,
                "  DPFR %.4f: nDCG %.4f and fairness %.4f, in the middle of what is possible %.4f "
                "and %.4f\n",
                joint->distance, joint->lists.relevance, joint->lists.fairness,
                joint->reference.relevance, joint->reference.fairness);
}

void mr_measure_print(const mr_measure *measure, FILE *out)
{
    const mr_shown_result *r = &measure->shown_result;
    const mr_fairness_set *fair = &r->fairness.corrected;
    const double compared = (double)measure->counts.compared;
    fprintf(out, "\n  lists as served: each act against the list in force, %.0f %% intervals over "
                 "users\n",
            100 * level);
    print_segments(&measure->acts, out);
    fputc('\n', out);
    print_number(out, "coverage", r->spread.coverage);
    print_number(out, "Gini", r->spread.gini);
    print_number(out, "popularity", r->mean.arp);
    print_number(out, "tail share", r->mean.aplt);
    print_number(out, "EPC", r->mean.epc_plain);
    print_number(out, "novelty", r->mean.novelty);
    fputc('\n', out);
    print_number(out, "PopREO", mr_acts_popreo(&measure->acts));
    print_number(out, "PopRSP", measure->diversity_result.poprsp);
    print_number(out, "similarity", measure->diversity_result.similarity);
    print_number(out, "unexpectedness", measure->diversity_result.unexpectedness);
    print_number(out, "churn", compared > 0 ? measure->counts.churn / compared : (double)NAN);
    fprintf(out, "  (items by %s)\n  fairness to items, corrected:", vectors_of(measure));
    print_number(out, "Jain", fair->jain);
    print_number(out, "QF", fair->qf);
    print_number(out, "entropy", fair->entropy);
    print_number(out, "Gini", fair->gini);
    fputc('\n', out);
    print_split(measure, out);
    if (measure->counts.acts_left_out + measure->counts.lists_left_out +
            measure->shown.items_left_out >
        0)
        fprintf(out, "  no room for: %llu acts, %llu lists, %llu mentions of items\n",
                (unsigned long long)measure->counts.acts_left_out,
                (unsigned long long)measure->counts.lists_left_out,
                (unsigned long long)measure->shown.items_left_out);
}
