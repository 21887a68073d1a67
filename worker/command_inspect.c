// SPDX-License-Identifier: Apache-2.0
// millrace inspect: what a state folder holds, also while a worker writes it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command.h"
#include "worker/inspect.h"
#include "worker/nearest.h"
#include "worker/print_tree.h"

static const mr_option rows[] = {
    {"top", "COUNT", "how many users or items are shown (20)"},
    {"json", NULL, "prints one JSON object"},
    {0},
};

enum { TOP = 20 };

typedef struct request {
    const char *path, *argument;
    uint32_t top;
} request;

// ---- what can be asked

static mr_status summary(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    (void)r;
    return mr_inspect_summary(in, out, err);
}

static mr_status users(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    return mr_inspect_users(in, r->top, out, err);
}

static mr_status user(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    return mr_inspect_user_of(in, mr_bytes_text(r->argument), out, err);
}

static mr_status items(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    return mr_inspect_items(in, r->top, out, err);
}

static mr_status item(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    return mr_inspect_item_of(in, mr_bytes_text(r->argument), out, err);
}

static mr_status row(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    return mr_inspect_row(in, r->argument, out, err);
}

static mr_status hash(mr_inspect *in, const request *r, json_t **out, mr_error *err)
{
    (void)r;
    return mr_inspect_hash(in, out, err);
}

typedef struct topic {
    const char *name;
    const char *argument; // what follows the name; NULL: nothing
    mr_status (*ask)(mr_inspect *in, const request *r, json_t **out, mr_error *err);
} topic;

static const topic topics[] = {
    {"summary", NULL, summary},
    {"users", NULL, users},
    {"user", "an id", user},
    {"items", NULL, items},
    {"item", "an id", item},
    {"row", "a key", row},
    {"hash", NULL, hash},
    {"verify", NULL, NULL}, // of the folder: in a process of its own
    {0},
};

static const topic *find_topic(const char *name)
{
    mr_nearest search = mr_nearest_begin(name);
    for (const topic *t = topics; t->name != NULL; t++) {
        if (strcmp(t->name, name) == 0)
            return t;
        mr_nearest_offer(&search, t->name);
    }
    fprintf(stderr,
            "millrace inspect: '%.80s': want summary, users, user, items, item, row, hash "
            "or verify%s%s\n",
            name, search.best != NULL ? "; the nearest is " : "",
            search.best != NULL ? search.best : "");
    return NULL;
}

// ---- asking

static void print(json_t *object, bool json)
{
    if (json) {
        json_dumpf(object, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    } else {
        mr_print_tree(object, stdout);
    }
    json_decref(object);
}

static int answer(const topic *t, const request *r, bool json)
{
    mr_error err = {0};
    json_t *object = NULL;
    mr_inspect *in = NULL;
    mr_status status;
    if (t->ask == NULL) {
        status = mr_inspect_verify(r->path, &object, &err);
    } else {
        status = mr_inspect_open(r->path, &in, &err);
        if (status == MR_OK)
            status = t->ask(in, r, &object, &err);
        mr_inspect_close(in);
    }
    if (object != NULL)
        print(object, json);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("inspect", err.text, MR_EXIT_FAILED);
}

static int ask(const mr_options *options, const char *path, int count, char *const *words)
{
    request r = {.path = path, .top = TOP};
    const topic *t = find_topic(count > 0 ? words[0] : "summary");
    const char *const top = mr_options_get(options, "top");
    char *end = NULL;
    if (t == NULL)
        return MR_EXIT_USAGE;
    if (count > 2 || (count == 2) != (t->argument != NULL)) {
        char text[128];
        snprintf(text, sizeof text, "%s: want %s after it", t->name,
                 t->argument != NULL ? t->argument : "nothing");
        return mr_command_fail("inspect", text, MR_EXIT_USAGE);
    }
    if (top != NULL) {
        const long value = strtol(top, &end, 10);
        if (end == top || *end != '\0' || value < 0 || value > MR_INSPECT_TOP_MAX)
            return mr_command_fail("inspect", "--top: want a number from 0 to 10000",
                                   MR_EXIT_USAGE);
        r.top = (uint32_t)value;
    }
    r.argument = count == 2 ? words[1] : NULL;
    return answer(t, &r, mr_options_get(options, "json") != NULL);
}

int mr_command_inspect(int argc, char **argv)
{
    mr_options options = {
        .command = "inspect",
        .operands = "[DIR] [summary|users|user ID|items|item ID|row KEY|hash|verify]",
        .summary =
            "Shows what a state folder holds: DIR, or that of --config. Safe while a worker writes "
            "it.\nverify walks everything, and fails where a row is damaged.\n\nKEY of a row: t "
            "(the "
            "task's), u:USER, r:CHUNK (recent events), p:PAGE (pending item ids),\n"
            "i:METHOD.FAMILY:ITEM, n:METHOD.FAMILY:KEY or x:HEX.",
        .rows = rows,
        .configured = true,
        .operands_max = 3,
    };
    mr_config *config = NULL;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    char *const *words = argv + options.operand_first;
    const int count = argc - options.operand_first;
    if (options.config_path == NULL && options.set_count == 0) {
        if (count == 0)
            return mr_command_fail("inspect", "which folder? name it, or give --config FILE",
                                   MR_EXIT_USAGE);
        return ask(&options, words[0], count - 1, words + 1);
    }
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    exit_status = ask(&options, config->state_path, count, words);
    mr_options_unload(&options, config);
    return exit_status;
}
