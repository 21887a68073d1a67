// SPDX-License-Identifier: Apache-2.0
#include "worker/replay_result.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void mr_replay_result_free(mr_replay_result *result)
{
    if (result == NULL)
        return;
    mr_measure_close(&result->measure);
    free(result->samples);
    free(result->windows);
    free(result);
}

// ---- notes

static void read_sums(const mr_replay_result *result, mr_engine *engine, mr_sums *sums)
{
    mr_engine_metrics metrics;
    mr_engine_sums(engine, &metrics);
    memcpy(sums->all, metrics.all, sizeof sums->all);
    memcpy(sums->fresh, metrics.fresh, sizeof sums->fresh);
    sums->served = metrics.served;
    sums->lists = (mr_prequential){0};
    if (!result->judged)
        return;
    const mr_measure_sums now = mr_measure_now(&result->measure);
    sums->lists = (mr_prequential){now.count, now.of[0], now.of[1], now.of[2]};
}

static void note_sample(mr_replay_result *result, mr_engine *engine)
{
    if (result->events < (uint64_t)result->sample_count * result->sample_every)
        return;
    if (result->sample_count == MR_SAMPLES_MAX) {
        for (uint32_t i = 0; i < MR_SAMPLES_MAX / 2; i++)
            result->samples[i] = result->samples[2 * i];
        result->sample_count = MR_SAMPLES_MAX / 2;
        result->sample_every *= 2;
        return;
    }
    mr_sample *sample = &result->samples[result->sample_count++];
    sample->events = result->events;
    read_sums(result, engine, &sample->sums);
}

// A window ends with its last round: a straggler of an earlier one counts for the present one.
static void note_window(mr_replay_result *result, mr_engine *engine, int64_t time_ms)
{
    const int64_t from = time_ms - time_ms % result->window_ms;
    const uint32_t count = result->window_count;
    if ((count == 0 || result->windows[count - 1].from_ms < from) && count < MR_WINDOWS_MAX)
        result->windows[result->window_count++].from_ms = from;
    mr_window *window = &result->windows[result->window_count - 1];
    window->events = result->events;
    read_sums(result, engine, &window->sums);
}

void mr_replay_note(mr_replay_result *result, mr_engine *engine, int64_t time_ms)
{
    note_sample(result, engine);
    note_window(result, engine, time_ms);
}

static mr_prequential minus(mr_prequential a, mr_prequential b)
{
    return (mr_prequential){a.count - b.count, a.recall - b.recall, a.ndcg - b.ndcg, a.rr - b.rr};
}

static mr_sums sums_minus(const mr_sums *a, const mr_sums *b)
{
    mr_sums rest;
    for (int i = 0; i <= MR_ENGINE_COLUMNS_MAX; i++) {
        rest.all[i] = minus(a->all[i], b->all[i]);
        rest.fresh[i] = minus(a->fresh[i], b->fresh[i]);
    }
    rest.served = minus(a->served, b->served);
    rest.lists = minus(a->lists, b->lists);
    return rest;
}

void mr_replay_conclude(mr_replay_result *result, mr_engine *engine, double warmup)
{
    mr_engine_measure(engine, &result->last);
    mr_sums end;
    read_sums(result, engine, &end);
    if (result->window_count > 0)
        result->windows[result->window_count - 1].sums = end;
    uint32_t first = 0;
    while (first + 1 < result->sample_count &&
           (double)result->samples[first].events < warmup * (double)result->events)
        first++;
    result->warmup = warmup;
    const mr_sums none = {0};
    result->scored =
        sums_minus(&end, warmup > 0 && first > 0 ? &result->samples[first].sums : &none);
    if (result->judged)
        mr_measure_conclude(&result->measure, warmup);
}

// ---- for machines

static json_t *metrics_json(mr_prequential sum)
{
    const double count = sum.count > 0 ? sum.count : 1;
    return json_pack("{s:f, s:f, s:f, s:I}", "recall@20", sum.recall / count, "ndcg@20",
                     sum.ndcg / count, "mrr", sum.rr / count, "targets", (json_int_t)sum.count);
}

static void put_hash(json_t *object, const char *name, mr_hash128 hash)
{
    char text[33];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high,
             (unsigned long long)hash.low);
    json_object_set_new(object, name, json_string(text));
}

static double learn_us(const mr_replay_result *result, uint32_t model)
{
    const double events = (double)result->counters.learned;
    return events > 0 ? (double)result->last.costs[model].learn_ns / 1000.0 / events : 0;
}

static double rank_us(const mr_replay_result *result, uint32_t model)
{
    const double rankings = (double)result->last.rankings;
    return rankings > 0 ? (double)result->last.costs[model].rank_ns / 1000.0 / rankings : 0;
}

static json_t *cost_json(const mr_replay_result *result, uint32_t model)
{
    return json_pack("{s:f, s:f}", "learn_us_per_event", learn_us(result, model),
                     "rank_us_per_list", rank_us(result, model));
}

static json_t *models_json(const mr_replay_result *result)
{
    json_t *models = json_object();
    for (uint32_t i = 0; i <= result->last.column_count; i++) {
        json_t *model = json_object();
        json_object_set_new(model, "all", metrics_json(result->scored.all[i]));
        json_object_set_new(model, "new", metrics_json(result->scored.fresh[i]));
        if (i < result->last.column_count)
            json_object_set_new(model, "blend_weight", json_real(result->last.weights[i]));
        json_object_set_new(model, "cost", cost_json(result, i));
        json_object_set_new(models, result->last.names[i], model);
    }
    return models;
}

// What methods tell of themselves at the end.
static json_t *told_json(const mr_replay_result *result)
{
    json_t *methods = json_object();
    for (uint32_t i = 0; i < result->last.measure_count; i++) {
        const mr_engine_measured *told = &result->last.measures[i];
        json_t *method = json_object_get(methods, told->method);
        if (method == NULL) {
            method = json_object();
            json_object_set_new(methods, told->method, method);
        }
        json_object_set_new(method, told->name, json_real(told->value));
    }
    return methods;
}

static json_t *counters_json(const mr_replay_result *result)
{
    const mr_task_counters *c = &result->counters;
    json_t *refused = json_object();
    for (uint32_t i = 1; i < MR_CAUSE_COUNT; i++)
        if (result->refused[i] > 0)
            json_object_set_new(refused, mr_cause_name((mr_cause)i),
                                json_integer((json_int_t)result->refused[i]));
    json_t *counters =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "read", (json_int_t)c->read, "learned",
                  (json_int_t)c->learned, "duplicate", (json_int_t)c->duplicate, "late",
                  (json_int_t)c->late, "late_dropped", (json_int_t)c->late_dropped, "refused",
                  (json_int_t)c->refused, "refused_by_cause", refused);
    if (c->pending > 0)
        json_object_set_new(counters, "pending", json_integer((json_int_t)c->pending));
    return counters;
}

json_t *mr_replay_files_json(const mr_arrivals_files *files)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < files->count; i++) {
        const mr_arrivals_file *file = &files->of[i];
        json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I}", "file", file->path, "events",
                                               (json_int_t)file->events, "older_than_one_before",
                                               (json_int_t)file->older, "first_older",
                                               (json_int_t)file->first_older));
    }
    return array;
}

json_t *mr_replay_json(const mr_replay_result *result)
{
    json_t *root = json_object();
    json_object_set_new(root, "events", json_integer((json_int_t)result->events));
    json_object_set_new(root, "seconds", json_real(result->seconds));
    json_object_set_new(root, "events_per_s", json_real((double)result->events / result->seconds));
    json_object_set_new(root, "memory",
                        json_pack("{s:I, s:I}", "engine_max_bytes",
                                  (json_int_t)result->memory_max_bytes, "resident_max_bytes",
                                  (json_int_t)result->resident_bytes));
    put_hash(root, "state_hash", result->state_hash);
    put_hash(root, "lists_hash", result->lists_hash);
    json_object_set_new(root, "models", models_json(result));
    json_object_set_new(root, "served", metrics_json(result->scored.served));
    json_object_set_new(root, "counters", counters_json(result));
    json_object_set_new(root, "told", told_json(result));
    if (result->judged)
        json_object_set_new(root, "measures", mr_measure_json(&result->measure));
    json_t *arms = json_array();
    for (int s = 0; s < 4; s++)
        json_array_append_new(arms, json_string(result->last.arm[s]));
    json_object_set_new(root, "gate", arms);
    json_object_set_new(root, "lists",
                        json_pack("{s:I, s:I, s:I, s:I, s:f}", "made",
                                  (json_int_t)result->last.lists_made, "published",
                                  (json_int_t)result->last.lists_published, "items",
                                  (json_int_t)result->last.items, "items_exposed",
                                  (json_int_t)result->last.exposed_items, "exposure_gini",
                                  result->last.exposure_gini));
    json_object_set_new(root, "replay",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "tasks",
                                  (json_int_t)result->tasks, "lanes", (json_int_t)result->lanes,
                                  "epoch_interval_ms", (json_int_t)result->interval_ms,
                                  "epoch_events_max", (json_int_t)result->epoch_events_max,
                                  "commit_events", (json_int_t)result->commit_events, "epochs",
                                  (json_int_t)result->epochs, "rounds", (json_int_t)result->rounds,
                                  "commits", (json_int_t)result->commits, "warmup",
                                  result->warmup));
    json_object_set_new(root, "files", mr_replay_files_json(&result->files));
    return root;
}

// ---- for people

void mr_replay_print_files(const mr_arrivals_files *files, FILE *out)
{
    for (uint32_t i = 0; i < files->count && files->count > 1; i++)
        fprintf(out, "%s %s: %llu events\n", i == 0 ? "by event time of" : "            and",
                files->of[i].path, (unsigned long long)files->of[i].events);
    for (uint32_t i = 0; i < files->count; i++) {
        const mr_arrivals_file *file = &files->of[i];
        if (file->older > 0)
            fprintf(out,
                    "warning: %s: %llu of %llu events are older than one before them, the first is "
                    "number %llu; they were learned where they stand\n",
                    file->path, (unsigned long long)file->older, (unsigned long long)file->events,
                    (unsigned long long)file->first_older);
    }
}

static void print_row(const mr_replay_result *result, uint32_t model, FILE *out)
{
    const mr_prequential all = result->scored.all[model], fresh = result->scored.fresh[model];
    const double a = all.count > 0 ? all.count : 1, f = fresh.count > 0 ? fresh.count : 1;
    fprintf(out, "  %-16s %9.4f %8.4f %8.4f   %9.4f %8.4f %8.4f   %7.2f %7.1f\n",
            result->last.names[model], all.recall / a, all.ndcg / a, all.rr / a, fresh.recall / f,
            fresh.ndcg / f, fresh.rr / f, learn_us(result, model), rank_us(result, model));
}

// One line a method that counts something.
static void print_told(const mr_replay_result *result, FILE *out)
{
    const char *method = "";
    for (uint32_t i = 0; i < result->last.measure_count; i++) {
        const mr_engine_measured *told = &result->last.measures[i];
        if (told->value == 0)
            continue;
        if (strcmp(method, told->method) != 0)
            fprintf(out, "%s  %s:", *method == '\0' ? "" : "\n", told->method);
        fprintf(out, " %s %.10g", told->name, told->value);
        method = told->method;
    }
    if (*method != '\0')
        fputc('\n', out);
}

void mr_replay_print(const mr_replay_result *result, FILE *out)
{
    const uint32_t n = result->last.column_count;
    fprintf(out, "%llu events in %.1f s: %.0f events/s; %llu epochs, %llu commits, %llu lists\n",
            (unsigned long long)result->events, result->seconds,
            (double)result->events / result->seconds, (unsigned long long)result->epochs,
            (unsigned long long)result->commits, (unsigned long long)result->last.lists_published);
    fprintf(out, "at most %.0f MiB in memory, pages of state too; the engine may take %.0f\n",
            (double)result->resident_bytes / 0x1p20, (double)result->memory_max_bytes / 0x1p20);
    mr_replay_print_files(&result->files, out);
    fputc('\n', out);
    if (result->scored.all[n].count > 0) {
        fprintf(out, "  %-16s %27s   %27s   %15s\n", "", "all: every act is a target",
                "new: items new to the user", "cost, us");
        fprintf(out, "  %-16s %9s %8s %8s   %9s %8s %8s   %7s %7s\n", "model", "recall@20",
                "nDCG@20", "MRR@20", "recall@20", "nDCG@20", "MRR@20", "event", "list");
        for (uint32_t i = 0; i <= n; i++)
            print_row(result, i, out);
        fprintf(out,
                "\n  scored: %.0f targets, %.0f of them new; the first %g %% were learned from "
                "only\n",
                result->scored.all[n].count, result->scored.fresh[n].count, result->warmup * 100);
    }
    if (result->judged) {
        mr_measure_print(&result->measure, out);
        fprintf(out, "  lists are renewed at commits, every %llu events (replay.commit_events)\n\n",
                (unsigned long long)result->commit_events);
    }
    fprintf(out, "  learned %llu, duplicate %llu, late %llu, refused %llu\n",
            (unsigned long long)result->counters.learned,
            (unsigned long long)result->counters.duplicate,
            (unsigned long long)result->counters.late,
            (unsigned long long)result->counters.refused);
    if (result->counters.pending > 0)
        fprintf(out, "  pending %llu: of items that came less than items.admission times\n",
                (unsigned long long)result->counters.pending);
    print_told(result, out);
    fprintf(out, "  state %016llx%016llx  lists %016llx%016llx\n",
            (unsigned long long)result->state_hash.high, (unsigned long long)result->state_hash.low,
            (unsigned long long)result->lists_hash.high,
            (unsigned long long)result->lists_hash.low);
}

static void write_row(FILE *file, const mr_window *window, uint64_t events, const char *protocol,
                      const char *model, mr_prequential s)
{
    const double count = s.count > 0 ? s.count : 1;
    fprintf(file, "%lld,%llu,%s,%s,%.0f,%.6f,%.6f,%.6f\n", (long long)window->from_ms,
            (unsigned long long)events, protocol, model, s.count, s.recall / count, s.ndcg / count,
            s.rr / count);
}

mr_status mr_replay_write_windows(const mr_replay_result *result, const char *path, mr_error *err)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    fprintf(file, "from_ms,events,protocol,model,targets,recall@20,ndcg@20,mrr\n");
    const mr_window none = {0};
    for (uint32_t w = 0; w < result->window_count; w++) {
        const mr_window *window = &result->windows[w], *before = w > 0 ? window - 1 : &none;
        const mr_sums sums = sums_minus(&window->sums, &before->sums);
        const uint64_t events = window->events - before->events;
        for (uint32_t i = 0; i <= result->last.column_count; i++) {
            write_row(file, window, events, "all", result->last.names[i], sums.all[i]);
            write_row(file, window, events, "new", result->last.names[i], sums.fresh[i]);
        }
        if (result->judged)
            write_row(file, window, events, "served", "lists", sums.lists);
    }
    if (fclose(file) != 0)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    return MR_OK;
}
