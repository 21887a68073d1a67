// SPDX-License-Identifier: Apache-2.0
// millrace report: a replay as a page for people, and as JSON.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/command.h"
#include "worker/report/report.h"

static const mr_option rows[] = {
    {"out", "FILE", "the page (DIR/report.html)"},
    {"json", NULL, "prints the numbers of the page as JSON, and writes no page"},
    {0},
};

static mr_status write_page(const json_t *data, const char *path, mr_error *err)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return mr_fail(err, MR_FATAL, "%s: %s", path, strerror(errno));
    mr_status status = mr_report_write(data, out, err);
    if (fclose(out) != 0 && status == MR_OK)
        status = mr_fail(err, MR_FATAL, "%s", strerror(errno));
    return status == MR_OK ? MR_OK : mr_wrap(err, "%s", path);
}

int mr_command_report(int argc, char **argv)
{
    mr_options options = {
        .command = "report",
        .operands = "DIR",
        .summary =
            "Makes one page of a replay's folder: how every model did, over time, and what to "
            "know before\nbelieving it. The page needs no network and no other file.",
        .rows = rows,
        .operands_min = 1,
        .operands_max = 1,
    };
    mr_error err = {0};
    json_t *data;
    char path[4096];
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *const folder = argv[options.operand_first], *out = mr_options_get(&options, "out");
    if (mr_report_read(folder, &data, &err) != MR_OK)
        return mr_command_fail("report", err.text, MR_EXIT_FAILED);
    snprintf(path, sizeof path, "%s/report.html", folder);
    out = out != NULL ? out : path;
    mr_status status = MR_OK;
    if (mr_options_get(&options, "json") != NULL) {
        json_dumpf(data, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else {
        status = write_page(data, out, &err);
        if (status == MR_OK)
            printf("%s\n", out);
    }
    json_decref(data);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("report", err.text, MR_EXIT_FAILED);
}
