// SPDX-License-Identifier: Apache-2.0
// view: a page of text that is redrawn in place on a terminal.
//
// A frame is made of lines, put piece by piece and cut at the terminal's width, then shown at once.
// Colours are left out where NO_COLOR is set, characters beyond ASCII where the locale has none.
// One thread. Source of the convention: no-color.org.
#ifndef MR_WORKER_VIEW_H
#define MR_WORKER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum mr_style {
    MR_STYLE_PLAIN,
    MR_STYLE_STRONG,
    MR_STYLE_FAINT,
    MR_STYLE_GOOD,   // green
    MR_STYLE_MIDDLE, // yellow
    MR_STYLE_COOL,   // cyan
    MR_STYLE_COUNT,
} mr_style;

typedef struct mr_view {
    FILE *out;
    bool color, utf8;
    uint32_t width, height; // of the terminal
    // Of the frame that is being made.
    char *text;
    size_t size, room;
    uint32_t column, lines;
    uint32_t shown; // lines of the frame that stands on the terminal
} mr_view;

// Borrows `out`, a terminal; width and height are asked of it at each frame, 80 x 24 where it does
// not say. no_color goes before the environment. Hides the cursor.
void mr_view_open(mr_view *view, FILE *out, bool no_color);
// Shows the cursor again, below the last frame.
void mr_view_close(mr_view *view);

// Begins a frame.
void mr_view_begin(mr_view *view);
// Puts text without line breaks.
void mr_view_put(mr_view *view, mr_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Puts blanks up to a column, counted from 0.
void mr_view_tab(mr_view *view, uint32_t column);
// Puts one character for each value, its height in relation to `top` > 0, in eight steps.
void mr_view_spark(mr_view *view, mr_style style, const double *values, uint32_t count, double top);
// Puts a bar of value / top of `width` columns, in steps of an eighth, and blanks up to the width.
void mr_view_bar(mr_view *view, mr_style style, double value, double top, uint32_t width);
// Ends the line. Lines beyond the terminal's height are left out.
void mr_view_line(mr_view *view);
// Shows the frame in the place of the last one.
void mr_view_show(mr_view *view);

// A separator: "·" or "-".
const char *mr_view_dot(const mr_view *view);

#endif
