// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/report/report.h"

static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/millrace-report-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/summary.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/windows.csv", folder);
    unlink(path);
    return rmdir(folder);
}

static const char summary[] = "{\"models\": {\"</script>\": {}}, \"counters\": {\"read\": 3}}";
static const char windows[] = "from_ms,events,protocol,model,targets,recall@20,ndcg@20,mrr\n"
                              "1000,5,all,one,4,0.25,0.1,0.05\n"
                              "2000,6,all,one,2,0.5,0.1,0.05\n"
                              "2000,6,all,two,2,0.125,0.1,0.05\n";

static double at(const json_t *data, const char *model, const char *column, size_t window)
{
    const json_t *models = json_object_get(json_object_get(data, "windows"), "models");
    const json_t *columns = json_object_get(json_object_get(models, model), "all");
    return json_number_value(json_array_get(json_object_get(columns, column), window));
}

static void windows_become_columns_of_each_model(void **state)
{
    (void)state;
    mr_error err = {0};
    json_t *data;
    write_file("summary.json", summary);
    write_file("windows.csv", windows);
    assert_int_equal(mr_report_read(folder, &data, &err), MR_OK);
    const json_t *from = json_object_get(json_object_get(data, "windows"), "from_ms");
    assert_int_equal(json_array_size(from), 2);
    assert_true(at(data, "one", "recall", 0) == .25 && at(data, "one", "targets", 1) == 2);
    assert_true(at(data, "two", "recall", 1) == .125); // and has nothing in the first window
    json_decref(data);
}

static void nothing_in_the_data_can_end_its_element(void **state)
{
    (void)state;
    mr_error err = {0};
    json_t *data;
    char *page;
    size_t size;
    write_file("summary.json", summary);
    write_file("windows.csv", windows);
    assert_int_equal(mr_report_read(folder, &data, &err), MR_OK);
    FILE *out = open_memstream(&page, &size);
    assert_int_equal(mr_report_write(data, out, &err), MR_OK);
    fclose(out);
    assert_non_null(strstr(page, "\\u003c/script>"));
    assert_null(strstr(page, "\"</script>\""));
    assert_null(strstr(page, " src="));
    assert_true(size > 200000); // the chart library is in it
    free(page);
    json_decref(data);
}

static void what_is_no_replay_is_named_by_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *summary, *windows, *wrong;
    } rows[] = {
        {"{", windows, "summary.json:1: "},
        {"{}", windows, "summary.json: this is no summary of a replay"},
        {summary, "a,b\n", "windows.csv:1: this is no windows.csv"},
        {summary, "from_ms,events,protocol,model,targets,recall@20,ndcg@20,mrr\n1,2,all\n",
         "windows.csv:2: want at least eight columns"},
        {summary,
         "from_ms,events,protocol,model,targets,recall@20,ndcg@20,mrr\nx,2,all,m,1,1,1,1\n",
         "windows.csv:2: column 1: want milliseconds"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mr_error err = {0};
        json_t *data;
        write_file("summary.json", rows[i].summary);
        write_file("windows.csv", rows[i].windows);
        assert_int_equal(mr_report_read(folder, &data, &err), MR_FATAL);
        if (strstr(err.text, rows[i].wrong) == NULL)
            fail_msg("want '%s' in: %s", rows[i].wrong, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_become_columns_of_each_model),
        cmocka_unit_test(nothing_in_the_data_can_end_its_element),
        cmocka_unit_test(what_is_no_replay_is_named_by_file_and_line),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
