// SPDX-License-Identifier: Apache-2.0
// Frames are written to memory, which has no size of its own: 80 x 24.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/view.h"

typedef struct page {
    char *text;
    size_t size;
    FILE *out;
    mr_view view;
} page;

static void open_page(page *p, bool color, bool utf8)
{
    *p = (page){0};
    unsetenv("NO_COLOR");
    p->out = open_memstream(&p->text, &p->size);
    assert_non_null(p->out);
    mr_view_open(&p->view, p->out, !color);
    p->view.utf8 = utf8;
    rewind(p->out); // what follows is the frame alone
}

static void close_page(page *p)
{
    mr_view_close(&p->view);
    fclose(p->out);
    free(p->text);
}

static void a_line_is_cut_before_the_last_column_and_characters_are_whole(void **state)
{
    (void)state;
    page p;
    open_page(&p, false, true);
    mr_view_begin(&p.view);
    for (int i = 0; i < 100; i++)
        mr_view_put(&p.view, MR_STYLE_PLAIN, "·");
    mr_view_line(&p.view);
    mr_view_show(&p.view);
    assert_int_equal(strlen(p.text), 1 + 79 * 2 + 4 + 3); // \r, dots, \033[K\n, \033[J
    close_page(&p);
}

static void the_next_frame_takes_the_place_of_the_last_one(void **state)
{
    (void)state;
    page p;
    open_page(&p, false, true);
    for (int frame = 0; frame < 2; frame++) {
        rewind(p.out);
        mr_view_begin(&p.view);
        for (int i = 0; i < 3; i++) {
            mr_view_put(&p.view, MR_STYLE_PLAIN, "line %d", i);
            mr_view_line(&p.view);
        }
        mr_view_show(&p.view);
        if (frame == 0)
            assert_null(strstr(p.text, "A\r"));
    }
    assert_ptr_equal(strstr(p.text, "\033[3A\rline 0\033[K\n"), p.text);
    close_page(&p);
}

static void lines_below_the_terminal_are_left_out(void **state)
{
    (void)state;
    page p;
    open_page(&p, false, true);
    mr_view_begin(&p.view);
    for (int i = 0; i < 40; i++) {
        mr_view_put(&p.view, MR_STYLE_PLAIN, "line %d", i);
        mr_view_line(&p.view);
    }
    mr_view_show(&p.view);
    assert_non_null(strstr(p.text, "line 22"));
    assert_null(strstr(p.text, "line 23"));
    assert_int_equal(p.view.shown, 23);
    close_page(&p);
}

static void colours_are_left_out_when_nobody_wants_them(void **state)
{
    (void)state;
    page p;
    open_page(&p, true, true);
    mr_view_begin(&p.view);
    mr_view_put(&p.view, MR_STYLE_GOOD, "good");
    mr_view_show(&p.view);
    assert_non_null(strstr(p.text, "\033[32mgood\033[0m"));
    close_page(&p);

    open_page(&p, false, true);
    mr_view_begin(&p.view);
    mr_view_put(&p.view, MR_STYLE_GOOD, "good");
    mr_view_show(&p.view);
    assert_string_equal(p.text, "\rgood\033[J");
    close_page(&p);

    setenv("NO_COLOR", "1", 1);
    mr_view view;
    mr_view_open(&view, stderr, false);
    assert_false(view.color);
    mr_view_close(&view);
    setenv("NO_COLOR", "", 1); // empty: not set, by the convention
    mr_view_open(&view, stderr, false);
    assert_true(view.color);
    mr_view_close(&view);
}

static void a_spark_has_eight_heights_from_none_to_the_top_and_beyond(void **state)
{
    (void)state;
    const double values[] = {-1, 0, 0.124, 0.126, 0.5, 0.99, 1, 7};
    page p;
    open_page(&p, false, true);
    mr_view_begin(&p.view);
    mr_view_spark(&p.view, MR_STYLE_PLAIN, values, 8, 1);
    mr_view_show(&p.view);
    assert_string_equal(p.text, "\r▁▁▁▂▅███\033[J");
    close_page(&p);
    open_page(&p, false, false);
    mr_view_begin(&p.view);
    mr_view_spark(&p.view, MR_STYLE_PLAIN, values, 8, 1);
    mr_view_show(&p.view);
    assert_string_equal(p.text, "\r___.=###\033[J");
    close_page(&p);
}

static void a_bar_takes_its_width_whatever_its_value(void **state)
{
    (void)state;
    const double values[] = {-1, 0.5, 0.53125, 2};
    const char *const bars[] = {"    |", "██  |", "██▏ |", "████|"};
    for (int i = 0; i < 4; i++) {
        page p;
        open_page(&p, false, true);
        mr_view_begin(&p.view);
        mr_view_bar(&p.view, MR_STYLE_PLAIN, values[i], 1, 4);
        mr_view_put(&p.view, MR_STYLE_PLAIN, "|");
        mr_view_show(&p.view);
        assert_non_null(strstr(p.text, bars[i]));
        close_page(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_cut_before_the_last_column_and_characters_are_whole),
        cmocka_unit_test(the_next_frame_takes_the_place_of_the_last_one),
        cmocka_unit_test(lines_below_the_terminal_are_left_out),
        cmocka_unit_test(colours_are_left_out_when_nobody_wants_them),
        cmocka_unit_test(a_spark_has_eight_heights_from_none_to_the_top_and_beyond),
        cmocka_unit_test(a_bar_takes_its_width_whatever_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
