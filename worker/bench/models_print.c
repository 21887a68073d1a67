// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "worker/bench/models.h"

static const char *const protocols[MR_MODEL_PROTOCOLS] = {"all", "new"};
static const char *const segments[MR_MODEL_SEGMENTS] = {"everybody", "new_users", "new_items"};
static const char *const terms[MR_MODEL_TERMS] = {"recall@20", "ndcg@20", "mrr@20"};

// ---- for machines

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *row_json(const mr_model_figures *figures)
{
    json_t *row = json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", figures->row->name, "column",
                            figures->row->column, "learn_ns_per_event", number(figures->learn_ns),
                            "bytes_a_user", number(figures->user_bytes), "bytes_an_item",
                            number(figures->item_bytes));
    json_t *sets = json_array();
    for (uint32_t i = 0; i < MR_MODEL_SETS_MAX && figures->row->sets[i] != NULL; i++)
        json_array_append_new(sets, json_string(figures->row->sets[i]));
    json_object_set_new(row, "set", sets);
    for (uint32_t p = 0; p < MR_MODEL_PROTOCOLS; p++) {
        json_t *protocol = json_object();
        for (uint32_t s = 0; s < MR_MODEL_SEGMENTS; s++) {
            json_t *segment = json_pack("{s:o}", "targets", number(figures->targets[p][s]));
            for (uint32_t k = 0; k < MR_MODEL_TERMS; k++)
                json_object_set_new(segment, terms[k],
                                    json_pack("{s:o, s:o}", "value",
                                              number(figures->of[p][s][k].value), "half_width",
                                              number(figures->of[p][s][k].half_width)));
            json_object_set_new(protocol, segments[s], segment);
        }
        json_object_set_new(row, protocols[p], protocol);
    }
    return row;
}

json_t *mr_models_json(const mr_model_table *table)
{
    json_t *models = json_array();
    for (uint32_t i = 0; i < table->count; i++)
        json_array_append_new(models, row_json(&table->rows[i]));
    return json_pack("{s:s, s:I, s:i, s:f, s:f, s:o}", "log", table->log, "events",
                     (json_int_t)table->events, "seeds", (int)table->seeds, "warmup", table->warmup,
                     "seconds", table->seconds, "models", models);
}

// ---- for people

// ".4863"
static const char *short_form(double x, char text[16])
{
    if (isnan(x)) {
        snprintf(text, 16, "-");
        return text;
    }
    snprintf(text, 16, "%.4f", x);
    if (text[0] == '0')
        memmove(text, text + 1, strlen(text));
    return text;
}

// "recall / nDCG / MRR" of a protocol.
static void put_terms(const mr_model_figures *figures, uint32_t protocol, char *text, size_t size)
{
    char of[MR_MODEL_TERMS][16];
    for (uint32_t k = 0; k < MR_MODEL_TERMS; k++)
        short_form(figures->of[protocol][MR_MODEL_EVERYBODY][k].value, of[k]);
    snprintf(text, size, "%s / %s / %s", of[0], of[1], of[2]);
}

// "±.0003" of recall@20; nothing with one seed.
static void put_interval(const mr_model_figures *figures, uint32_t protocol, char *text,
                         size_t size)
{
    char of[16];
    const double half = figures->of[protocol][MR_MODEL_EVERYBODY][0].half_width;
    snprintf(text, size, "%s", isnan(half) ? "-" : short_form(half, of));
}

static void print_row(const mr_model_figures *figures, bool markdown, FILE *out)
{
    char of[MR_MODEL_PROTOCOLS][64], half[MR_MODEL_PROTOCOLS][16], young[4][16];
    for (uint32_t p = 0; p < MR_MODEL_PROTOCOLS; p++) {
        put_terms(figures, p, of[p], sizeof of[p]);
        put_interval(figures, p, half[p], sizeof half[p]);
        for (uint32_t s = MR_MODEL_NEW_USERS; s < MR_MODEL_SEGMENTS; s++)
            short_form(figures->of[p][s][0].value, young[2 * p + s - 1]);
    }
    fprintf(out,
            markdown ? "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %.0f | %.0f | %.0f |\n"
                     : "  %-33s %-21s %-6s %-21s %-6s  %6s %6s   %6s %6s  %7.0f %6.0f %6.0f\n",
            figures->row->name, of[0], half[0], of[1], half[1], young[0], young[1], young[2],
            young[3], figures->learn_ns, figures->user_bytes, figures->item_bytes);
}

static void print_head(bool markdown, FILE *out)
{
    if (markdown)
        fprintf(out, "| | `all` | ± | `new` | ± | `all`: new users | new items | `new`: new users "
                     "| new items | ns an event | bytes a user | an item |\n"
                     "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    else
        fprintf(out,
                "  %-33s %-28s %-28s  %-15s %-13s  %7s %-13s\n"
                "  %-33s %-21s %-6s %-21s %-6s  %6s %6s   %6s %6s  %7s %6s %6s\n",
                "", "all: every act is a target", "new: items new to the user", "all, of new",
                "new, of new", "ns an", "bytes of an", "recall@20 / nDCG@20 / MRR@20", "", "+-", "",
                "+-", "users", "items", "users", "items", "event", "user", "item");
}

void mr_models_print(const mr_model_table *table, bool markdown, FILE *out)
{
    const mr_model_figures *last = &table->rows[table->count - 1];
    fprintf(
        out,
        "\n%s%s: %llu events, %u seed%s; scored %.0f targets, %.0f of them new to the user%s\n\n",
        markdown ? "" : "  ", table->log, (unsigned long long)table->events, table->seeds,
        table->seeds > 1 ? "s" : "", last->targets[0][MR_MODEL_EVERYBODY],
        last->targets[1][MR_MODEL_EVERYBODY], markdown ? "." : "");
    print_head(markdown, out);
    for (uint32_t i = 0; i < table->count; i++)
        print_row(&table->rows[i], markdown, out);
    fprintf(out,
            "\n%s+-: 95 %% interval of recall@20 over seeds. New users: fewer than %d acts "
            "learned; new "
            "items: 1 to %d;\n%srecall@20. ns and bytes: of all that the row's engine has.\n",
            markdown ? "" : "  ", MR_YOUNG_USER, MR_YOUNG_ITEM - 1, markdown ? "" : "  ");
}
