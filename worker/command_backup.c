// SPDX-License-Identifier: Apache-2.0
// millrace backup and millrace restore: a state folder for another machine, and back.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/backup.h"
#include "worker/command.h"
#include "worker/inspect_inner.h"
#include "worker/kafka/admin.h"
#include "worker/log.h"
#include "worker/print_tree.h"

enum { LIMIT_SECONDS = 600, LIMIT_SECONDS_MAX = 86400 };

static bool read_limit(const mr_options *options, int64_t *limit_ms)
{
    const char *const text = mr_options_get(options, "time-limit");
    char *end = NULL;
    *limit_ms = LIMIT_SECONDS * 1000;
    if (text == NULL)
        return true;
    const long seconds = strtol(text, &end, 10);
    *limit_ms = (int64_t)seconds * 1000;
    return end != text && *end == '\0' && seconds >= 1 && seconds <= LIMIT_SECONDS_MAX;
}

static void print(const mr_backup_about *about, const char *folder, bool json)
{
    json_t *root = json_object();
    char history[40];
    snprintf(history, sizeof history, "%016llx%016llx",
             (unsigned long long)about->identity.history[0],
             (unsigned long long)about->identity.history[1]);
    mr_inspect_set(root, "folder", json_string(folder));
    mr_inspect_set(root, "app", json_string(about->app));
    mr_inspect_set(root, "history", json_string(history));
    mr_inspect_set(root, "cluster", json_string(about->identity.cluster));
    mr_inspect_set(root, "tasks", mr_inspect_count(about->tasks));
    mr_inspect_set(root, "tasks_here", mr_inspect_count(about->tasks_here));
    mr_inspect_set(root, "rows", mr_inspect_count(about->rows));
    mr_inspect_set(root, "seq", mr_inspect_count(about->seq));
    mr_inspect_set(root, "committed", mr_inspect_time(about->committed_ms));
    mr_inspect_set(root, "state_hash", mr_inspect_hash_text(about->state_hash));
    if (json) {
        json_dumpf(root, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    } else {
        mr_print_tree(root, stdout);
    }
    json_decref(root);
}

typedef mr_status action(const mr_backup_options *backup, mr_backup_about *about, mr_error *err);

static int run(const mr_options *options, action *act, const mr_backup_options *backup)
{
    mr_backup_about about;
    mr_error err = {0};
    if (act(backup, &about, &err) != MR_OK)
        return mr_command_fail(options->command, err.text, MR_EXIT_FAILED);
    print(&about, backup->to, mr_options_get(options, "json") != NULL);
    return MR_EXIT_GOOD;
}

// ---- backup

static const mr_option backup_rows[] = {
    {"out", "DIR", "the folder for the backup, which is made"},
    {"time-limit", "SECONDS", "gives up after so long (600): a snapshot makes the state file grow"},
    {"json", NULL, "prints one JSON object"},
    {0},
};

int mr_command_backup(int argc, char **argv)
{
    mr_options options = {
        .command = "backup",
        .summary =
            "Copies the state folder of the configuration, also while the worker writes it, "
            "into a folder that\nmillrace restore, or state.path on another machine, takes: a "
            "start from it reads only the rest of\nthe changelogs. Every row of the copy is "
            "verified. The copy is as of the last write to the folder,\nup to state.gather_ms "
            "behind Kafka.",
        .rows = backup_rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    mr_backup_options backup = {.from = NULL};
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    backup.to = mr_options_get(&options, "out");
    if (backup.to == NULL)
        return mr_command_fail("backup", "where to? --out DIR", MR_EXIT_USAGE);
    if (!read_limit(&options, &backup.limit_ms))
        return mr_command_fail("backup", "--time-limit: want 1 to 86400 seconds", MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    backup.from = config->state_path;
    backup.app = config->app;
    exit_status = run(&options, mr_backup_take, &backup);
    mr_options_unload(&options, config);
    return exit_status;
}

// ---- restore

static const mr_option restore_rows[] = {
    {"from", "DIR", "the backup"},
    {"force", NULL, "replaces the state that is there; takes one of another cluster"},
    {"offline", NULL, "does not ask the brokers which cluster they are"},
    {"time-limit", "SECONDS", "gives up after so long (600)"},
    {"json", NULL, "prints one JSON object"},
    {0},
};

// The brokers' cluster, where they answer: NULL is said in the log. The client is gone afterwards,
// with its threads, because copying forks.
static const char *ask_cluster(const mr_config *config, char cluster[MR_STORE_CLUSTER_MAX + 1])
{
    mr_kafka_admin *admin = NULL;
    mr_error err = {0};
    mr_status status = mr_kafka_admin_open(config, &admin, &err);
    if (status == MR_OK)
        status = mr_kafka_admin_cluster(admin, cluster, &err);
    mr_kafka_admin_close(admin);
    if (status == MR_OK)
        return cluster;
    mr_log(MR_LOG_WARNING, "restore", "the brokers do not say which cluster they are: not checked",
           mr_log_text("error", err.text));
    return NULL;
}

int mr_command_restore(int argc, char **argv)
{
    mr_options options = {
        .command = "restore",
        .summary = "Puts a backup into the state folder of the configuration, after every row was "
                   "verified. The worker\nmust not be running. Nothing is lost without it: a start "
                   "with no state reads the changelogs whole.",
        .rows = restore_rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    char cluster[MR_STORE_CLUSTER_MAX + 1];
    mr_backup_options restore = {.from = NULL};
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    restore.from = mr_options_get(&options, "from");
    restore.force = mr_options_get(&options, "force") != NULL;
    if (restore.from == NULL)
        return mr_command_fail("restore", "what from? --from DIR", MR_EXIT_USAGE);
    if (!read_limit(&options, &restore.limit_ms))
        return mr_command_fail("restore", "--time-limit: want 1 to 86400 seconds", MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    restore.to = config->state_path;
    restore.app = config->app;
    if (mr_options_get(&options, "offline") == NULL)
        restore.cluster = ask_cluster(config, cluster);
    exit_status = run(&options, mr_backup_restore, &restore);
    mr_options_unload(&options, config);
    return exit_status;
}
