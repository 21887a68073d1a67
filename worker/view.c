// SPDX-License-Identifier: Apache-2.0
// view: a frame is one buffer: cursor up over the last frame, then each line with the rest of the
// old one erased, then everything below erased. Written at once, so that nothing flickers.
#include "worker/view.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIECE_MAX = 512, ROOM = 64 * 1024, STEPS = 8 };

static const char *const colors[MR_STYLE_COUNT] = {
    [MR_STYLE_PLAIN] = "",        [MR_STYLE_STRONG] = "\033[1m",  [MR_STYLE_FAINT] = "\033[2m",
    [MR_STYLE_GOOD] = "\033[32m", [MR_STYLE_MIDDLE] = "\033[33m", [MR_STYLE_COOL] = "\033[36m",
};

static const char *const blocks[STEPS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const parts[STEPS] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
static const char ascii_blocks[STEPS + 1] = "_.:-=+*#";

static void put_raw(mr_view *view, const char *text, size_t size)
{
    if (size > view->room - view->size)
        return; // a page of a terminal fits
    memcpy(view->text + view->size, text, size);
    view->size += size;
}

static void put_code(mr_view *view, const char *code)
{
    put_raw(view, code, strlen(code));
}

void mr_view_open(mr_view *view, FILE *out, bool no_color)
{
    const char *const asked = getenv("NO_COLOR");
    setlocale(LC_CTYPE, "");
    *view = (mr_view){.out = out, .width = 80, .height = 24};
    view->color = !no_color && (asked == NULL || asked[0] == '\0');
    view->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    view->text = malloc(ROOM);
    view->room = view->text != NULL ? ROOM : 0;
    fputs("\033[?25l", out);
    fflush(out);
}

void mr_view_close(mr_view *view)
{
    fputs("\033[?25h", view->out);
    fflush(view->out);
    free(view->text);
    *view = (mr_view){0};
}

void mr_view_begin(mr_view *view)
{
    struct winsize size;
    if (ioctl(fileno(view->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        view->width = size.ws_col;
        view->height = size.ws_row;
    }
    view->size = 0;
    view->column = view->lines = 0;
    if (view->shown > 0) {
        char up[16];
        snprintf(up, sizeof up, "\033[%uA", view->shown);
        put_code(view, up);
    }
    put_code(view, "\r");
}

// Bytes of the first `columns` characters; *columns becomes how many there are. Every character of
// ours takes one column.
static size_t fitting(const char *text, uint32_t *columns)
{
    uint32_t count = 0;
    size_t size = 0;
    while (text[size] != '\0') {
        const bool starts = ((unsigned char)text[size] & 0xc0) != 0x80;
        if (starts && count == *columns)
            break;
        count += starts;
        size++;
    }
    *columns = count;
    return size;
}

// The last column stays free: some terminals break the line there.
static void put(mr_view *view, mr_style style, const char *text)
{
    uint32_t columns = view->column + 1 < view->width ? view->width - 1 - view->column : 0;
    const size_t size = fitting(text, &columns);
    if (view->lines + 1 >= view->height || size == 0)
        return;
    if (view->color)
        put_code(view, colors[style]);
    put_raw(view, text, size);
    if (view->color && style != MR_STYLE_PLAIN)
        put_code(view, "\033[0m");
    view->column += columns;
}

void mr_view_put(mr_view *view, mr_style style, const char *format, ...)
{
    char text[PIECE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(view, style, text);
}

void mr_view_tab(mr_view *view, uint32_t column)
{
    while (view->column < column && view->column + 1 < view->width &&
           view->lines + 1 < view->height)
        put(view, MR_STYLE_PLAIN, " ");
}

void mr_view_spark(mr_view *view, mr_style style, const double *values, uint32_t count, double top)
{
    char text[PIECE_MAX];
    size_t size = 0;
    for (uint32_t i = 0; i < count && size + 4 < sizeof text; i++) {
        const double share = values[i] / top;
        const int step = share <= 0 ? 0 : share >= 1 ? STEPS - 1 : (int)(share * STEPS);
        if (view->utf8)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s", blocks[step]);
        else
            text[size++] = ascii_blocks[step];
    }
    text[size] = '\0';
    put(view, style, text);
}

void mr_view_bar(mr_view *view, mr_style style, double value, double top, uint32_t width)
{
    char text[PIECE_MAX];
    size_t size = 0;
    const double share = value <= 0 ? 0 : value >= top ? 1 : value / top;
    const uint32_t eighths = (uint32_t)(share * width * STEPS + 0.5);
    const uint32_t end = view->column + width;
    for (uint32_t i = 0; i < eighths / STEPS && size + 8 < sizeof text; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", view->utf8 ? "█" : "#");
    if (view->utf8)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", parts[eighths % STEPS]);
    text[size] = '\0';
    put(view, style, text);
    mr_view_tab(view, end);
}

void mr_view_line(mr_view *view)
{
    if (view->lines + 1 >= view->height)
        return;
    put_code(view, "\033[K\n");
    view->lines++;
    view->column = 0;
}

void mr_view_show(mr_view *view)
{
    put_code(view, "\033[J");
    fwrite(view->text, 1, view->size, view->out);
    fflush(view->out);
    view->shown = view->lines;
}

const char *mr_view_dot(const mr_view *view)
{
    return view->utf8 ? "·" : "-";
}
