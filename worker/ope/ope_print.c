// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "worker/ope/ope.h"

typedef struct doubt {
    mr_trust bit;
    const char *name, *text;
} doubt;

static const doubt doubts[] = {
    {MR_TRUST_FEW, "few",
     "few rounds carry the weight (effective size below 100, or half of it in a hundredth of "
     "them): "
     "estimates by weights are not answered"},
    {MR_TRUST_UNSUPPORTED, "unsupported",
     "the policy shows what the log never does: estimates by weights are not answered"},
    {MR_TRUST_MISMATCH, "mismatch",
     "the mean weight is not 1 within three standard errors: propensities, or the items that they "
     "are over, do not match the log"},
    {MR_TRUST_WRONG, "wrong",
     "items are shown far more often than their propensities say: estimates by weights are not "
     "answered"},
    {MR_TRUST_UNCALIBRATED, "uncalibrated",
     "some items are not shown as often as their propensities say: too small where an item is "
     "shown more often; too large, or not everybody could be shown it, where less"},
    {MR_TRUST_THIN, "thin", "more than 5 % of the rounds are all but impossible under the policy"},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void describe_policy(const mr_ope_options *options, char *text, size_t size)
{
    const char *const path = options->policy_path != NULL ? base_name(options->policy_path) : "";
    if (options->policy == MR_OPE_UNIFORM)
        snprintf(text, size, "each item that the log shows at a position, equally often");
    else if (options->policy == MR_OPE_FREQUENCIES)
        snprintf(text, size, "each item as often as %s shows it at the position", path);
    else
        snprintf(text, size, "the item that %s shows most often at the position", path);
}

static void print_interval(mr_interval interval, FILE *out)
{
    if (isnan(interval.low))
        fprintf(out, "  %-23s", "-");
    else
        fprintf(out, "  %10.7f .. %9.7f", interval.low, interval.high);
}

static void print_row(const mr_ope_row *row, FILE *out)
{
    char lambda[32] = "";
    if (isfinite(row->estimator.lambda))
        snprintf(lambda, sizeof lambda, "%g%s", row->estimator.lambda, row->chosen ? " *" : "");
    fprintf(out, "  %-10s %-7s", mr_ope_name(row->estimator.kind), lambda);
    if (row->refused || isnan(row->value)) {
        fprintf(out, "  %s\n", row->refused ? "not answered" : "no round to judge by");
        return;
    }
    fprintf(out, "  %.9f", row->value);
    if (row->estimator.kind == MR_OPE_DM) {
        fprintf(out, "  %s\n", "the model's opinion: the log does not bound its error");
        return;
    }
    fprintf(out, "  %.9f", row->error);
    if (row->taken != 0.0)
        fprintf(out, "  %+.7f", row->taken);
    else
        fprintf(out, "  %-10s", "-");
    print_interval(row->bootstrap, out);
    print_interval(row->student, out);
    if (!isnan(row->bernstein.low))
        fprintf(out, "  %+.4f .. %+.4f", row->bernstein.low, row->bernstein.high);
    fputc('\n', out);
}

static void print_log(const mr_ope_options *options, const mr_ope_result *result, FILE *out)
{
    const mr_rounds_counts *log = &result->log;
    char policy[400];
    describe_policy(options, policy, sizeof policy);
    fprintf(out, "log        %s: %llu rounds, %llu rewarded, %u items at %u positions\n",
            base_name(options->log.path), (unsigned long long)log->rounds,
            (unsigned long long)log->rewards, result->items, result->positions);
    if (log->skipped + log->bad + log->unjoined + log->early > 0)
        fprintf(
            out,
            "           %llu impressions without propensity, %llu unreadable, %llu rewards without "
            "a round, %llu rounds closed early\n",
            (unsigned long long)log->skipped, (unsigned long long)log->bad,
            (unsigned long long)log->unjoined, (unsigned long long)log->early);
    if (log->bad > 0)
        fprintf(out, "           the first of them: %s\n", log->first_bad);
    fprintf(out, "policy     %s\n", policy);
    if (options->slates > 0)
        fprintf(
            out,
            "lists      %llu, judged by their first %u; %llu left out: a propensity is missing\n",
            (unsigned long long)result->lists, options->slates, (unsigned long long)result->broken);
    fprintf(out, "reward     %.7f a %s in this log", result->logged,
            options->slates > 0 ? "list" : "round");
    if (!isnan(result->policy_logged))
        fprintf(out, ", %.7f in the policy's own", result->policy_logged);
    fprintf(out, "\nmodel      smoothed mean reward of each item at each position, %s\n\n",
            options->in_sample ? "of the same rounds (in sample)" : "of earlier rounds");
}

static void print_calibration(const mr_calibration *c, FILE *out)
{
    if (c->judged == 0) {
        fprintf(out, "\npropensities of no item can be judged: too few rounds\n");
        return;
    }
    fprintf(out,
            "\npropensities of %u items at their positions judged (%u are too rare): %u are shown "
            "more often than said, %u less, by more than 4 standard errors\n",
            c->judged, c->rare, c->more, c->less);
    fprintf(out,
            "           expected calibration error %.7f, by chance alone %.7f\n  %10s  %10s  %10s  "
            "%5s\n",
            c->error, c->by_chance, "said", "shown", "std error", "items");
    for (uint32_t b = 0; b < c->bin_count; b++)
        fprintf(out, "  %10.7f  %10.7f  %10.7f  %5u\n", c->bins[b].said, c->bins[b].shown,
                c->bins[b].error, c->bins[b].arms);
}

static void print_doubts(const mr_ope_result *result, FILE *out)
{
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++)
        if ((result->doubts & doubts[i].bit) != 0)
            fprintf(out, "warning    %s\n", doubts[i].text);
}

static void print_weights(const mr_ope_result *result, FILE *out)
{
    const mr_weights *w = &result->weights;
    const double n = (double)w->rounds, effective = mr_weights_effective(w);
    fprintf(out,
            "\nweights    mean %.6f +- %.6f, largest %.6f; quantiles 50 %%: %.3g, 90 %%: %.3g, "
            "99 %%: %.3g, 99.9 %%: %.3g\n",
            mr_weights_mean(w), mr_weights_mean_error(w), w->max, mr_weights_quantile(w, .5),
            mr_weights_quantile(w, .9), mr_weights_quantile(w, .99), mr_weights_quantile(w, .999));
    fprintf(out,
            "           effective sample size %.6f, %.3f of all; the heaviest hundredth "
            "has %.3f of the weight\n",
            effective, effective / n, mr_weights_top_share(w, .01));
    fprintf(out,
            "           %llu of the rewarded have a weight; the policy puts %.4f of its mass "
            "where the log has nothing\n",
            (unsigned long long)w->clicks, w->unsupported / n);
}

void mr_ope_print(const mr_ope_options *options, const mr_ope_result *result, FILE *out)
{
    print_log(options, result, out);
    fprintf(out, "  %-10s %-7s  %-11s  %-11s  %-23s  %-23s  %s\n", "estimator", "lambda",
            "estimate", "std error", "interval over users", "Student's t", "empirical Bernstein");
    for (uint32_t i = 0; i < result->row_count; i++)
        print_row(&result->rows[i], out);
    fprintf(
        out,
        "  %.0f %% intervals of what is estimated: clipping has taken off about what the column "
        "says.\n  * the lambda of least bounded error\n",
        100.0 * options->level);
    print_weights(result, out);
    if (options->policy == MR_OPE_MOST_FREQUENT)
        fprintf(out, "matches    %llu rounds did what the policy would\n",
                (unsigned long long)result->matches);
    print_calibration(&result->calibration, out);
    print_doubts(result, out);
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *interval_json(mr_interval interval)
{
    return isnan(interval.low) ? json_null()
                               : json_pack("[o, o]", number(interval.low), number(interval.high));
}

static json_t *row_json(const mr_ope_row *row)
{
    const bool shown = !row->refused;
    return json_pack("{s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "estimator",
                     mr_ope_name(row->estimator.kind), "lambda", number(row->estimator.lambda),
                     "chosen", row->chosen, "answered", shown && !isnan(row->value), "value",
                     shown ? number(row->value) : json_null(), "taken",
                     shown ? number(row->taken) : json_null(), "standard_error",
                     shown && row->estimator.kind != MR_OPE_DM ? number(row->error) : json_null(),
                     "bootstrap", shown ? interval_json(row->bootstrap) : json_null(), "student",
                     shown ? interval_json(row->student) : json_null(), "bernstein",
                     shown ? interval_json(row->bernstein) : json_null());
}

static json_t *weights_json(const mr_weights *w)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "mean", number(mr_weights_mean(w)),
        "mean_error", number(mr_weights_mean_error(w)), "max", number(w->max), "effective",
        number(mr_weights_effective(w)), "q50", number(mr_weights_quantile(w, .5)), "q90",
        number(mr_weights_quantile(w, .9)), "q99", number(mr_weights_quantile(w, .99)), "q999",
        number(mr_weights_quantile(w, .999)), "top_share", number(mr_weights_top_share(w, .01)),
        "unsupported", number(w->unsupported / (double)w->rounds));
}

static json_t *calibration_json(const mr_calibration *c)
{
    json_t *bins = json_array();
    for (uint32_t b = 0; b < c->bin_count; b++)
        json_array_append_new(bins, json_pack("{s:f, s:f, s:f, s:i}", "said", c->bins[b].said,
                                              "shown", c->bins[b].shown, "standard_error",
                                              c->bins[b].error, "items", (int)c->bins[b].arms));
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "judged", (int)c->judged, "rare",
                     (int)c->rare, "more_than_said", (int)c->more, "less_than_said", (int)c->less,
                     "error", number(c->error), "error_by_chance", number(c->by_chance), "excess",
                     number(c->excess), "bins", bins);
}

json_t *mr_ope_json(const mr_ope_options *options, const mr_ope_result *result)
{
    const mr_rounds_counts *log = &result->log;
    char policy[400];
    json_t *rows = json_array(), *warnings = json_array();
    describe_policy(options, policy, sizeof policy);
    for (uint32_t i = 0; i < result->row_count; i++)
        json_array_append_new(rows, row_json(&result->rows[i]));
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        if ((result->doubts & doubts[i].bit) != 0)
            json_array_append_new(warnings, json_pack("{s:s, s:s}", "warning", doubts[i].name,
                                                      "text", doubts[i].text));
    }
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:o, s:I, s:i, s:I, s:I, s:f, s:o, "
        "s:o, s:o, s:o}",
        "log", base_name(options->log.path), "policy", policy, "rounds", (json_int_t)log->rounds,
        "rewards", (json_int_t)log->rewards, "skipped_no_propensity", (json_int_t)log->skipped,
        "unreadable", (json_int_t)log->bad, "unjoined_rewards", (json_int_t)log->unjoined, "items",
        (int)result->items, "positions", (int)result->positions, "logged", number(result->logged),
        "policy_logged", number(result->policy_logged), "matches", (json_int_t)result->matches,
        "slates", (int)options->slates, "lists", (json_int_t)result->lists, "broken_lists",
        (json_int_t)result->broken, "level", options->level, "estimates", rows, "weights",
        weights_json(&result->weights), "calibration", calibration_json(&result->calibration),
        "warnings", warnings);
}
