// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_view.h"

#include <string.h>

#include "worker/progress.h"

#define LIKED 0.1 // share of a taste from which on a theme is shown as liked

enum { LINE_MS = 5000, LABEL = 2, VALUE = 14, CHART = 26, WEIGHTS = 6, TEXT = 12 };

static const mr_style group_styles[MR_DEMO_GROUPS] = {MR_STYLE_GOOD, MR_STYLE_MIDDLE,
                                                      MR_STYLE_FAINT};

const char *mr_demo_number(uint64_t number, char text[MR_DEMO_NUMBER_BYTES])
{
    char digits[24];
    const int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

void mr_demo_screen_open(mr_demo_screen *screen, const mr_demo_options *options)
{
    *screen = (mr_demo_screen){.options = options, .line_ms = LINE_MS};
    screen->open = !options->quiet;
    screen->terminal = screen->open && mr_progress_is_terminal(stdout);
    if (screen->terminal)
        mr_view_open(&screen->view, stdout, options->no_color);
}

void mr_demo_screen_close(mr_demo_screen *screen)
{
    if (screen->terminal)
        mr_view_close(&screen->view);
    screen->terminal = screen->open = false;
}

static void put_head(mr_view *view, const mr_demo_options *options, int64_t ms)
{
    char users[MR_DEMO_NUMBER_BYTES], items[MR_DEMO_NUMBER_BYTES];
    mr_view_line(view);
    mr_view_put(view, MR_STYLE_STRONG, "  millrace demo");
    mr_view_put(view, MR_STYLE_FAINT, "  %s simulated users %s %s items %s mock brokers",
                mr_demo_number(options->users, users), mr_view_dot(view),
                mr_demo_number(options->items, items), mr_view_dot(view));
    mr_view_tab(view, 72);
    if (ms >= 0)
        mr_view_put(view, MR_STYLE_FAINT, "%3lld s", (long long)(ms / 1000));
    mr_view_line(view);
    mr_view_line(view);
}

void mr_demo_screen_wait(mr_demo_screen *screen, int64_t ms)
{
    static const char what[] = "the worker starts and joins its consumer group (about 4 s)";
    mr_view *view = &screen->view;
    if (screen->terminal) {
        mr_view_begin(view);
        put_head(view, screen->options, -1);
        mr_view_put(view, MR_STYLE_PLAIN, "  %s", what);
        mr_view_put(view, MR_STYLE_FAINT, "  %lld.%lld s", (long long)(ms / 1000),
                    (long long)(ms / 100 % 10));
        mr_view_line(view);
        mr_view_show(view);
    } else if (screen->open && ms == 0) {
        printf("%s\n", what);
        fflush(stdout);
    }
}

// ---- the page

static double highest(const mr_demo_sight *sight)
{
    double top = 0.01;
    for (uint32_t w = 0; w < sight->window_count; w++)
        for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++) {
            const double rate = mr_demo_rate(sight->windows[w][g]);
            top = rate > top ? rate : top;
        }
    return top;
}

// Windows that are over, the first thinned so that they fit.
static void put_rates(mr_view *view, const mr_demo_sight *sight)
{
    const double top = highest(sight);
    mr_view_put(view, MR_STYLE_STRONG, "  click rate");
    mr_view_tab(view, VALUE + 1);
    mr_view_put(view, MR_STYLE_FAINT, "last 5 s   since the start");
    mr_view_line(view);
    for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++) {
        double values[MR_DEMO_WINDOWS_MAX];
        uint32_t count = 0;
        for (uint32_t w = 0; w + 1 < sight->window_count; w++)
            values[count++] = mr_demo_rate(sight->windows[w][g]);
        mr_view_put(view, group_styles[g], "  %s", mr_demo_group_names[g]);
        mr_view_tab(view, VALUE + 2);
        mr_view_put(view, g == MR_DEMO_LEARNED ? MR_STYLE_STRONG : MR_STYLE_PLAIN, "%5.1f %%",
                    100 * mr_demo_rate(sight->recent[g]));
        mr_view_tab(view, CHART);
        mr_view_spark(view, group_styles[g], values, count, top);
        mr_view_line(view);
    }
    const double popular = mr_demo_rate(sight->recent[MR_DEMO_POPULARITY]);
    mr_view_put(view, MR_STYLE_FAINT, "  ratio");
    mr_view_tab(view, VALUE + 2);
    if (popular > 0)
        mr_view_put(view, MR_STYLE_STRONG, "%5.1f x",
                    mr_demo_rate(sight->recent[MR_DEMO_LEARNED]) / popular);
    mr_view_tab(view, CHART);
    mr_view_put(view, MR_STYLE_FAINT, "learned to popularity");
    if (sight->oracle > 0)
        mr_view_put(view, MR_STYLE_FAINT, "; knowing every taste: %.1f %%", 100 * sight->oracle);
    mr_view_line(view);
    mr_view_line(view);
}

static void put_flow(mr_view *view, const mr_demo_sight *sight)
{
    char events[MR_DEMO_NUMBER_BYTES], lists[MR_DEMO_NUMBER_BYTES];
    mr_view_put(view, MR_STYLE_STRONG, "  flow");
    mr_view_tab(view, TEXT);
    mr_view_put(view, MR_STYLE_PLAIN, "%s events/s %s %s lists/s %s ",
                mr_demo_number(sight->events_last, events), mr_view_dot(view),
                mr_demo_number(sight->lists_last, lists), mr_view_dot(view));
    mr_view_put(view, MR_STYLE_PLAIN, "click to new list %.0f ms",
                mr_histogram_quantile(&sight->latency_recent, 0.5));
    mr_view_put(view, MR_STYLE_FAINT, " (p99 %.0f)",
                mr_histogram_quantile(&sight->latency_recent, 0.99));
    mr_view_line(view);
    mr_view_line(view);
}

static void put_blend(mr_view *view, const mr_demo_sight *sight)
{
    bool taken[MR_DEMO_WEIGHTS_MAX] = {false};
    double top = 0.1;
    for (uint32_t i = 0; i < sight->weight_count; i++)
        top = sight->weights[i].weight > top ? sight->weights[i].weight : top;
    mr_view_put(view, MR_STYLE_STRONG, "  blend");
    for (uint32_t n = 0; n < WEIGHTS; n++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < sight->weight_count; i++)
            if (!taken[i] &&
                (best == UINT32_MAX || sight->weights[i].weight > sight->weights[best].weight))
                best = i;
        mr_view_tab(view, n % 2 == 0 ? TEXT : TEXT + 34);
        if (best != UINT32_MAX) {
            taken[best] = true;
            mr_view_put(view, MR_STYLE_PLAIN, "%-14s", sight->weights[best].name);
            mr_view_bar(view, MR_STYLE_COOL, sight->weights[best].weight, top, 8);
            mr_view_put(view, MR_STYLE_FAINT, " %5.2f", sight->weights[best].weight);
        } else if (n == 0) {
            mr_view_put(view, MR_STYLE_FAINT, "no metrics yet");
        }
        if (n % 2 == 1)
            mr_view_line(view);
    }
    mr_view_line(view);
}

static bool likes(const mr_demo_sample *sample, uint32_t theme)
{
    for (uint32_t i = 0; i < 3; i++)
        if (sample->themes[i] == theme)
            return sample->shares[i] >= LIKED;
    return false;
}

static void put_items(mr_view *view, const mr_demo_crowd *crowd, const mr_demo_sample *sample,
                      const uint32_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char title[MR_DEMO_TITLE_BYTES];
        const bool liked = likes(sample, mr_demo_category(crowd, items[i]));
        mr_demo_title(crowd, items[i], title);
        if (i == count / 2 && count > 5) {
            mr_view_line(view);
            mr_view_tab(view, TEXT);
        } else if (i > 0) {
            mr_view_put(view, MR_STYLE_FAINT, " %s ", mr_view_dot(view));
        }
        mr_view_put(view, liked ? MR_STYLE_GOOD : MR_STYLE_PLAIN, "%s", title);
    }
    mr_view_line(view);
}

static void put_sample(mr_view *view, const mr_demo_crowd *crowd, const mr_demo_sample *sample)
{
    mr_view_put(view, MR_STYLE_STRONG, "  %s", sample->name);
    mr_view_tab(view, TEXT);
    mr_view_put(view, MR_STYLE_FAINT, "hidden taste: ");
    for (uint32_t i = 0; i < 3; i++) {
        mr_view_put(view, sample->shares[i] >= LIKED ? MR_STYLE_GOOD : MR_STYLE_PLAIN, "%s",
                    mr_demo_theme(sample->themes[i]));
        mr_view_put(view, MR_STYLE_FAINT, " %.0f %%%s", 100 * sample->shares[i], i < 2 ? ", " : "");
    }
    mr_view_line(view);
    mr_view_put(view, MR_STYLE_FAINT, "  clicked");
    mr_view_tab(view, TEXT);
    put_items(view, crowd, sample, sample->acts, sample->act_count < 5 ? sample->act_count : 5);
    mr_view_put(view, MR_STYLE_FAINT, "  his list");
    mr_view_tab(view, TEXT);
    if (sample->list_count == 0) {
        mr_view_put(view, MR_STYLE_FAINT, "none yet: he is shown what is popular");
        mr_view_line(view);
        return;
    }
    put_items(view, crowd, sample, sample->list, sample->list_count);
    mr_view_tab(view, TEXT);
    mr_view_put(view, MR_STYLE_FAINT, "list %llu, by %s; expected clicks ",
                (unsigned long long)sample->list_number,
                sample->arm[0] != '\0' ? sample->arm : "the blend");
    mr_view_put(view, MR_STYLE_GOOD, "%.0f %%", 100 * sample->truth[MR_DEMO_LEARNED]);
    mr_view_put(view, MR_STYLE_FAINT, ", on the popular list ");
    mr_view_put(view, MR_STYLE_MIDDLE, "%.0f %%", 100 * sample->truth[MR_DEMO_POPULARITY]);
    mr_view_line(view);
}

static void show_line(const mr_demo_sight *sight)
{
    printf("%4lld s  %llu events/s  %llu lists/s  click to list p50 %.0f ms, p99 %.0f ms  click "
           "rate: learned %.1f %%, popularity %.1f %%, random %.1f %%\n",
           (long long)(sight->run_ms / 1000), (unsigned long long)sight->events_last,
           (unsigned long long)sight->lists_last,
           mr_histogram_quantile(&sight->latency_recent, 0.5),
           mr_histogram_quantile(&sight->latency_recent, 0.99),
           100 * mr_demo_rate(sight->recent[MR_DEMO_LEARNED]),
           100 * mr_demo_rate(sight->recent[MR_DEMO_POPULARITY]),
           100 * mr_demo_rate(sight->recent[MR_DEMO_RANDOM]));
    fflush(stdout);
}

void mr_demo_screen_show(mr_demo_screen *screen, const mr_demo_crowd *crowd,
                         const mr_demo_sight *sight)
{
    mr_view *view = &screen->view;
    if (screen->terminal) {
        mr_view_begin(view);
        put_head(view, screen->options, sight->run_ms);
        put_rates(view, sight);
        put_flow(view, sight);
        put_blend(view, sight);
        put_sample(view, crowd, &sight->sample);
        mr_view_show(view);
    } else if (screen->open && sight->run_ms >= screen->line_ms) {
        show_line(sight);
        screen->line_ms += LINE_MS;
    }
}
