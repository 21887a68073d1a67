// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/sweep/sweep.h"

// ---- for machines

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *estimate_json(const mr_estimate *e)
{
    return json_pack("{s:o, s:o, s:o}", "value", number(e->value), "low", number(e->interval.low),
                     "high", number(e->interval.high));
}

static json_t *score_json(const mr_score *score)
{
    json_t *object = json_object();
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++)
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++) {
            json_object_set_new(object, mr_score_text((mr_score_name){(mr_score_source)s, t}),
                                estimate_json(&score->of[s][t]));
        }
    return object;
}

static json_t *lists_json(const mr_list_differences *d)
{
    const double compared = d->compared > 0 ? (double)d->compared : (double)NAN;
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "compared", (json_int_t)d->compared,
                     "differ", (json_int_t)d->differ, "only_as_configured",
                     (json_int_t)d->only_from, "only_here", (json_int_t)d->only_to, "rbo",
                     number(d->rbo / compared), "jaccard", number(d->jaccard / compared));
}

static json_t *sensitivity_json(const mr_sweep_row *row)
{
    const mr_sensitivity *s = &row->sensitivity;
    return json_pack("{s:I, s:I, s:f, s:i, s:i, s:o, s:o}", "acts_changed",
                     (json_int_t)row->changed, "users", (json_int_t)s->users, "rbo_p",
                     MR_SENSITIVITY_P, "rbo_places", MR_ACT_DEPTH, "jaccard_places",
                     MR_SENSITIVITY_JACCARD, "rls_rbo", estimate_json(&s->rbo), "rls_jaccard",
                     estimate_json(&s->jaccard));
}

static json_t *residue_json(const mr_residue *r)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "items", (json_int_t)r->items, "others",
                     (json_int_t)r->others, "share_of_counts", number(r->share), "vectors_moved",
                     number(r->moved), "others_moved", number(r->moved_others), "auc",
                     number(r->auc));
}

static json_t *hash_json(mr_hash128 hash)
{
    return json_sprintf("%016llx%016llx", (unsigned long long)hash.high,
                        (unsigned long long)hash.low);
}

static json_t *row_json(const mr_sweep_row *row)
{
    json_t *object = json_pack(
        "{s:s, s:i, s:b, s:o, s:I, s:I, s:o, s:o}", "configuration", row->name, "number",
        (int)row->index, "dropped", row->dropped_at > 0, "dropped_at",
        row->dropped_at > 0 ? json_real(row->dropped_at) : json_null(), "events",
        (json_int_t)row->events, "commits", (json_int_t)row->commits, "targets_new",
        number(row->score.count[MR_SCORE_NEW]), "acts_served",
        number(row->score.count[MR_SCORE_SERVED]));
    json_object_set_new(object, "metrics", score_json(&row->score));
    json_object_set_new(object, "more_than_as_configured", score_json(&row->difference));
    json_object_set_new(object, "lists", lists_json(&row->lists));
    json_object_set_new(object, "shown",
                        json_pack("{s:o, s:o, s:o}", "coverage", number(row->coverage), "gini",
                                  number(row->gini), "arp", number(row->arp)));
    if (row->perturbed)
        json_object_set_new(object, "sensitivity", sensitivity_json(row));
    if (row->without_user)
        json_object_set_new(object, "residue", residue_json(&row->residue));
    if (row->dropped_at <= 0) {
        json_object_set_new(object, "state_hash", hash_json(row->state_hash));
        json_object_set_new(object, "lists_hash", hash_json(row->lists_hash));
    }
    return object;
}

// What depends on the machine stands apart, in "cost".
json_t *mr_sweep_json(const mr_sweep_result *result)
{
    json_t *rows = json_array(), *cost = json_array();
    for (uint32_t i = 0; i < result->count; i++) {
        const mr_sweep_row *row = &result->rows[i];
        json_array_append_new(rows, row_json(row));
        json_array_append_new(cost, json_pack("{s:i, s:f, s:o}", "number", (int)row->index,
                                              "cpu_seconds", row->cpu_seconds,
                                              "events_per_cpu_second",
                                              number((double)row->events / row->cpu_seconds)));
    }
    return json_pack("{s:s, s:f, s:i, s:o, s:o, s:{s:i, s:f, s:o}}", "metric",
                     mr_score_text(result->metric), "warmup", result->warmup, "rungs",
                     (int)result->rungs, "configurations", rows, "files",
                     mr_replay_files_json(&result->files), "cost", "lanes",
                     (int)result->lanes, "seconds", result->seconds, "of", cost);
}

// ---- for people

static const mr_estimate *chosen(const mr_score *score, mr_score_name name)
{
    return &score->of[name.source][name.term];
}

static bool is_certain(const mr_estimate *e)
{
    return e->interval.low > 0 || e->interval.high < 0;
}

static void print_difference(const mr_estimate *e, FILE *out)
{
    fprintf(out, "%+.4f (%+.4f..%+.4f)%s", e->value, e->interval.low, e->interval.high,
            is_certain(e) ? "*" : "");
}

static void print_row(const mr_sweep_result *result, const mr_sweep_row *row, FILE *out)
{
    const mr_estimate *e = chosen(&row->score, result->metric);
    const double lists = row->lists.compared > 0 ? (double)row->lists.compared : (double)NAN;
    fprintf(out, "  %6.4f (%6.4f..%6.4f)  ", e->value, e->interval.low, e->interval.high);
    if (row->index == 0)
        fprintf(out, "%-27s %8s  %6s", "", "", "");
    else {
        print_difference(chosen(&row->difference, result->metric), out);
        fputs(is_certain(chosen(&row->difference, result->metric)) ? "" : " ", out);
        fprintf(out, " %6.1f %%  %6.4f", 100 * (double)row->lists.differ / lists,
                row->lists.rbo / lists);
    }
    fprintf(out, "  %8.4f  %6.4f  %8.0f  %s", row->coverage, row->gini,
            (double)row->events / row->cpu_seconds, row->name);
    if (row->dropped_at > 0)
        fprintf(out, " (dropped at %.0f %%)", 100 * row->dropped_at);
    fputc('\n', out);
}

static void print_lists(const mr_list_differences *d, FILE *out)
{
    const double compared = d->compared > 0 ? (double)d->compared : (double)NAN;
    fprintf(out, "\n  lists: %llu of %llu differ; RBO %.4f, Jaccard %.4f",
            (unsigned long long)d->differ, (unsigned long long)d->compared, d->rbo / compared,
            d->jaccard / compared);
    if (d->only_from + d->only_to > 0)
        fprintf(out, "; %llu more were made as configured only, %llu in the other branch only",
                (unsigned long long)d->only_from, (unsigned long long)d->only_to);
    fputc('\n', out);
}

static bool same_hash(mr_hash128 a, mr_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

// Both branches of a what-if, measure by measure.
static void print_pair(const mr_sweep_row *from, const mr_sweep_row *to, FILE *out)
{
    fprintf(out, "\n  %-18s %-12s %-8s %s\n", "", from->name, "what if", "difference");
    for (uint32_t s = 0; s < MR_SCORE_SOURCES; s++)
        for (uint32_t t = 0; t < MR_SCORE_TERMS; t++) {
            fprintf(out, "  %-18s %-12.4f %-8.4f ",
                    mr_score_text((mr_score_name){(mr_score_source)s, t}),
                    from->score.of[s][t].value, to->score.of[s][t].value);
            print_difference(&to->difference.of[s][t], out);
            fputc('\n', out);
        }
    fprintf(out, "  %-18s %-12.4f %-8.4f %+.4f\n", "coverage", from->coverage, to->coverage,
            to->coverage - from->coverage);
    fprintf(out, "  %-18s %-12.4f %-8.4f %+.4f\n", "Gini", from->gini, to->gini,
            to->gini - from->gini);
    fprintf(out, "  %-18s %-12.4f %-8.4f %+.4f\n", "popularity", from->arp, to->arp,
            to->arp - from->arp);
    print_lists(&to->lists, out);
    fprintf(out, "  state hash: %s; lists: %s\n",
            same_hash(from->state_hash, to->state_hash) ? "the same" : "another",
            same_hash(from->lists_hash, to->lists_hash) ? "the same, byte for byte"
                                                        : "other bytes");
}

static void print_estimate(const mr_estimate *e, FILE *out)
{
    fprintf(out, "  %6.4f (%6.4f..%6.4f)", e->value, e->interval.low, e->interval.high);
}

// What the lists at the end have in common with those from the log as it is.
static void print_sensitivity(const mr_sweep_result *result, FILE *out)
{
    fprintf(out,
            "\n  the log changed: how alike the lists at the end are (RLS); RBO with p = %g, %d "
            "places\n  %10s %9s  %-23s  RLS-Jaccard@%d\n",
            MR_SENSITIVITY_P, MR_ACT_DEPTH, "acts", "users", "RLS-RBO", MR_SENSITIVITY_JACCARD);
    for (uint32_t i = 0; i < result->count; i++) {
        const mr_sweep_row *row = &result->rows[i];
        if (!row->perturbed)
            continue;
        fprintf(out, "  %10llu %9llu", (unsigned long long)row->changed,
                (unsigned long long)row->sensitivity.users);
        print_estimate(&row->sensitivity.rbo, out);
        print_estimate(&row->sensitivity.jaccard, out);
        fprintf(out, "  %s\n", row->name);
    }
}

// What forgetting a user leaves behind.
static void print_residue(const mr_sweep_result *result, FILE *out)
{
    bool any = false;
    for (uint32_t i = 0; i < result->count; i++) {
        const mr_sweep_row *row = &result->rows[i];
        const mr_residue *r = &row->residue;
        if (!row->without_user)
            continue;
        if (!any)
            fprintf(out,
                    "\n  what items would keep of a user who is forgotten now, against the log "
                    "without him\n  %10s  %14s  %13s  %12s  %12s  %6s\n",
                    "his items", "of their counts", "vectors moved", "other items'", "other items",
                    "AUC");
        any = true;
        fprintf(out, "  %10llu  %14.2f%%  %13.4f  %12.4f  %12llu  %6.3f  %s\n",
                (unsigned long long)r->items, 100 * r->share, r->moved, r->moved_others,
                (unsigned long long)r->others, r->auc, row->name);
    }
}

static void print_changed_log(const mr_sweep_result *result, FILE *out)
{
    print_sensitivity(result, out);
    print_residue(result, out);
}

void mr_sweep_print(const mr_sweep_result *result, FILE *out)
{
    const mr_sweep_row *of[2] = {NULL, NULL};
    uint64_t events = 0;
    bool perturbed = false;
    for (uint32_t i = 0; i < result->count; i++) {
        const mr_sweep_row *row = &result->rows[i];
        events = row->events > events ? row->events : events;
        perturbed = perturbed || row->perturbed;
        if (row->index < 2)
            of[row->index] = row;
    }
    fprintf(out,
            "\n  %u %s over %llu events in one pass; the first %g %% were learned from "
            "only;\n  95 %% intervals over users, *: without 0\n\n",
            result->count, perturbed ? "branches" : "configurations",
            (unsigned long long)events, 100 * result->warmup);
    mr_replay_print_files(&result->files, out);
    fprintf(out, "  %-23s  %-27s %8s  %6s  %8s  %6s  %8s\n", mr_score_text(result->metric),
            "more than as configured", "lists", "RBO", "coverage", "Gini", "events/s");
    for (uint32_t i = 0; i < result->count; i++)
        print_row(result, &result->rows[i], out);
    if (perturbed)
        print_changed_log(result, out);
    else if (result->count == 2)
        print_pair(of[0], of[1], out);
    fprintf(out, "\n  events/s: of one core, of which it took %.1f s on %u lanes\n", result->seconds,
            result->lanes);
}
