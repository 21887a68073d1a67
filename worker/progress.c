// SPDX-License-Identifier: Apache-2.0
#include "worker/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TERMINAL_MS = 100, PLAIN_MS = 10000, BAR = 28 };

bool mr_progress_is_terminal(FILE *out)
{
    const char *const term = getenv("TERM");
    return isatty(fileno(out)) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

void mr_progress_begin(mr_progress *progress, FILE *out, bool terminal, const char *what,
                       uint64_t total, int64_t now_ms)
{
    *progress = (mr_progress){out, terminal, what, total, now_ms, now_ms, false};
}

// "1h02m", "3m07s", "12s".
static void print_duration(char text[static 32], double seconds)
{
    const long whole = seconds < 1e7 ? (long)(seconds + 0.5) : 9999999;
    if (whole >= 3600)
        snprintf(text, 32, "%ldh%02ldm", whole / 3600, whole % 3600 / 60);
    else if (whole >= 60)
        snprintf(text, 32, "%ldm%02lds", whole / 60, whole % 60);
    else
        snprintf(text, 32, "%lds", whole);
}

static void show(const mr_progress *progress, uint64_t done, const char *note, int64_t now_ms)
{
    const double seconds = (double)(now_ms - progress->begun_ms) / 1000.0;
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    char bar[BAR + 1], elapsed[32], left[32] = "";
    print_duration(elapsed, seconds);
    fprintf(progress->out, "%s%s: ", progress->terminal ? "\r\033[K" : "", progress->what);
    if (progress->total > 0) {
        const double share = done < progress->total ? (double)done / (double)progress->total : 1.0;
        const int full = (int)(share * BAR);
        memset(bar, '#', (size_t)full);
        memset(bar + full, '.', (size_t)(BAR - full));
        bar[BAR] = '\0';
        fprintf(progress->out, "[%s] %5.1f %%, ", bar, 100.0 * share);
        if (rate > 0 && done < progress->total) {
            print_duration(left, (double)(progress->total - done) / rate);
        }
    }
    fprintf(progress->out, "%llu, %.0f/s, %s%s%s%s%s%s%s", (unsigned long long)done, rate, elapsed,
            left[0] != '\0' ? ", " : "", left, left[0] != '\0' ? " left" : "",
            note != NULL ? ", " : "", note != NULL ? note : "", progress->terminal ? "" : "\n");
    fflush(progress->out);
}

void mr_progress_update(mr_progress *progress, uint64_t done, const char *note, int64_t now_ms)
{
    if (progress->out == NULL ||
        now_ms - progress->shown_ms < (progress->terminal ? TERMINAL_MS : PLAIN_MS))
        return;
    show(progress, done, note, now_ms);
    progress->shown_ms = now_ms;
    progress->shown = true;
}

void mr_progress_end(mr_progress *progress, uint64_t done, const char *note, int64_t now_ms)
{
    if (progress->out == NULL)
        return;
    show(progress, done, note, now_ms);
    if (progress->terminal)
        fputc('\n', progress->out);
    fflush(progress->out);
}
