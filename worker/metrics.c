// SPDX-License-Identifier: Apache-2.0
#include "worker/metrics.h"

#include <math.h>

typedef struct putting {
    mr_outputs *outputs;
    mr_frozen *frozen;
    const mr_metrics_window *window;
} putting;

static void put_labelled(const putting *p, const char *name, const mr_pair *labels,
                         uint32_t label_count, double value, int64_t count, bool since_start)
{
    const mr_metric metric = {
        .name = name,
        .labels = labels,
        .label_count = label_count,
        .time_ms = p->window->clock_ms > 0 ? p->window->clock_ms : p->window->now_ms,
        .window_ms = since_start ? 0 : p->window->now_ms - p->window->begun_ms,
        .value = value,
        .count = count,
        .task = -1,
        .epoch = -1,
    };
    if (isfinite(value))
        mr_outputs_metric(p->outputs, p->frozen, &metric);
}

static void put(const putting *p, const char *name, double value)
{
    put_labelled(p, name, NULL, 0, value, -1, false);
}

static void put_prequential(const putting *p, const char *model, const char *protocol,
                            const mr_prequential *sums)
{
    const mr_pair labels[] = {{mr_bytes_text("model"), mr_bytes_text(model)},
                              {mr_bytes_text("protocol"), mr_bytes_text(protocol)}};
    if (sums->count <= 0)
        return;
    const int64_t count = (int64_t)sums->count;
    put_labelled(p, "recall_at_20", labels, 2, sums->recall / sums->count, count, false);
    put_labelled(p, "ndcg_at_20", labels, 2, sums->ndcg / sums->count, count, false);
    put_labelled(p, "mrr", labels, 2, sums->rr / sums->count, count, false);
}

static void put_engine(const putting *p, mr_engine *engine)
{
    mr_engine_metrics m;
    mr_engine_measure(engine, &m);
    for (uint32_t i = 0; i <= m.column_count; i++) {
        put_prequential(p, m.names[i], "all", &m.all[i]);
        put_prequential(p, m.names[i], "new", &m.fresh[i]);
    }
    put_prequential(p, "served", "all", &m.served);
    for (uint32_t i = 0; i < m.column_count; i++) {
        const mr_pair label = {mr_bytes_text("model"), mr_bytes_text(m.names[i])};
        put_labelled(p, "blend_weight", &label, 1, m.weights[i], -1, true);
    }
    for (uint32_t i = 0; i < m.measure_count; i++) {
        const mr_engine_measured *told = &m.measures[i];
        const mr_pair label = {mr_bytes_text("model"), mr_bytes_text(told->method)};
        put_labelled(p, told->name, &label, 1, told->value, -1, true);
    }
    put_labelled(p, "items", NULL, 0, (double)m.items, -1, true);
    put_labelled(p, "items_expired", NULL, 0, (double)m.items_expired, -1, true);
    put_labelled(p, "users_forgotten", NULL, 0, (double)m.users_forgotten, -1, true);
    if (m.limited > 0)
        put_labelled(p, "events_in_quarantine", NULL, 0, (double)m.limited, -1, true);
    if (m.pending > 0)
        put_labelled(p, "events_of_pending_items", NULL, 0, (double)m.pending, -1, true);
    put_labelled(p, "users_cached", NULL, 0, (double)m.users_cached, -1, true);
    put_labelled(p, "lists_published", NULL, 0, (double)m.lists_published, -1, true);
    put_labelled(p, "coverage", NULL, 0,
                 m.items > 0 ? (double)m.exposed_items / (double)m.items : (double)NAN, -1, true);
    put_labelled(p, "exposure_gini", NULL, 0, m.exposure_gini, -1, true);
}

static void put_refused(const putting *p)
{
    for (int cause = MR_CAUSE_NONE + 1; cause < MR_CAUSE_COUNT; cause++) {
        const uint64_t count = p->window->source->refused[cause];
        const mr_pair label = {mr_bytes_text("cause"),
                               mr_bytes_text(mr_cause_name((mr_cause)cause))};
        if (count > 0)
            put_labelled(p, "dead_letters", &label, 1, (double)count, -1, true);
    }
}

static void put_registry(const putting *p)
{
    const mr_registry_counters *counters = p->window->registry;
    if (counters == NULL)
        return;
    put(p, "partitions_waiting_for_schema", p->window->source->waiting);
    put_labelled(p, "registry_wanted", NULL, 0, counters->wanted, -1, true);
    put_labelled(p, "registry_fetched", NULL, 0, (double)counters->fetched, -1, true);
    put_labelled(p, "registry_missing", NULL, 0, (double)counters->missing, -1, true);
    put_labelled(p, "registry_failures", NULL, 0, (double)counters->failures, -1, true);
}

// Where nobody traces there is nothing to tell.
static void put_traces(const putting *p)
{
    const mr_trace_counters *traces = p->window->traces;
    if (traces == NULL || traces->carried + traces->malformed + traces->left_out == 0)
        return;
    put_labelled(p, "traces_carried", NULL, 0, (double)traces->carried, -1, true);
    put_labelled(p, "traces_malformed", NULL, 0, (double)traces->malformed, -1, true);
    put_labelled(p, "traces_left_out", NULL, 0, (double)traces->left_out, -1, true);
}

void mr_metrics_put(mr_outputs *outputs, mr_frozen *frozen, mr_engine *engine,
                    const mr_metrics_window *window)
{
    const putting p = {outputs, frozen, window};
    const double seconds = (double)(window->now_ms - window->begun_ms) / 1000.0;
    if (seconds <= 0)
        return;
    put(&p, "records_per_second", (double)(window->records - window->records_before) / seconds);
    put(&p, "commits_per_second", (double)(window->commits - window->commits_before) / seconds);
    put(&p, "lag_seconds", (double)window->lag_ms / 1000.0);
    if (window->lag_records >= 0)
        put(&p, "lag_records", (double)window->lag_records);
    if (window->latency->count > 0) {
        const int64_t count = (int64_t)window->latency->count;
        put_labelled(&p, "latency_p50_seconds", NULL, 0,
                     mr_histogram_quantile(window->latency, 0.5) / 1000.0, count, false);
        put_labelled(&p, "latency_p99_seconds", NULL, 0,
                     mr_histogram_quantile(window->latency, 0.99) / 1000.0, count, false);
    }
    put(&p, "confirmed_bytes", (double)window->generations.confirmed_bytes);
    put_labelled(&p, "records_too_large", NULL, 0, (double)window->too_large, -1, true);
    if (window->source->skipped > 0)
        put_labelled(&p, "records_left_out", NULL, 0, (double)window->source->skipped, -1, true);
    if (window->source->clamped > 0)
        put_labelled(&p, "events_clamped", NULL, 0, (double)window->source->clamped, -1, true);
    put_traces(&p);
    put_refused(&p);
    put_registry(&p);
    put_engine(&p, engine);
}
