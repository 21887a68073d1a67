// SPDX-License-Identifier: Apache-2.0
// millrace replay: logged traffic through the same engine, with prequential metrics.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command.h"
#include "worker/kafka/topics.h"
#include "worker/replay.h"

static const mr_option rows[] = {
    {"input", "FILE",
     "events: Avro container or CSV (plain, gzip, zstd), '-' for standard input; may be given "
     "often, as FILEs after the options may: several are merged by event time"},
    {"kafka", NULL, "reads the topics of the configuration instead of files; commits nothing"},
    {"generate", "WHAT", MR_TRAFFIC_HELP},
    {"from", "PLACE",
     "with --kafka: an offset, a time such as 2026-01-31T12:30:00Z, or beginning; with --epochs "
     "--what-if: the time of the fork (the beginning)"},
    {"to", "PLACE", "with --kafka: an offset or a time, which are left out, or end"},
    {"epochs", NULL,
     "runs what millrace run has learned once more, from epoch log and topics, and compares every "
     "state hash and list"},
    {"base", "DIR", "with --epochs: begins with this backup, not with the history's beginning"},
    {"until", "TIME",
     "with --epochs: runs commits that were written up to then; a time such as "
     "2026-01-31T12:30:00Z, or milliseconds since 1970"},
    {"as", "NAME", "the files have the kind and the mapping of topics.NAME of the configuration"},
    {"catalogue", "FILE",
     "items that are known before the first event: Avro container, or CSV with a row for each item: "
     "item, categories divided by '|', title, price, available, vector (numbers divided by "
     "spaces); other columns are attributes"},
    {"mapping", "FILE",
     "the files are foreign logs, CSV or JSON lines, read as FILE.yaml says, or one of ours "
     "such as otto (millrace schema --mappings)"},
    {"out", "DIR",
     "folder for state, lists.avro, windows.csv and summary.json, must not hold a state; or for "
     "sweep.json"},
    {"warmup", "SHARE", "share of the events that is learned from but not scored (0.1)"},
    {"window", "HOURS", "length of a row's window in windows.csv, in hours of event time (24)"},
    {"no-metrics", NULL, "learn only: nothing is ranked, much faster"},
    {"no-measures", NULL, "published lists are not judged by what their users did next"},
    {"by", "FIELD", "judged acts also by the values of this field of the context (context.FIELD)"},
    {"split", "TIME",
     "judges the lists in force at this time, such as 2026-01-31T12:30Z, by all acts after it"},
    {"what-if", "KEY=VALUE",
     "learns the same events, or with --epochs the same commits, with this setting too, and "
     "compares: how many lists differ, metrics by user; may be given often"},
    {"sweep", "KEY=A,B,C",
     "learns them with each of these values, in one pass; or with samples of a range "
     "KEY=LO..HI[:log], of which the worse half is dropped now and then; may be given often; also "
     "a FILE of such lines"},
    {"perturb", "WHAT",
     "learns the log also with a small change, and says how much the lists at the end hang on it "
     "(RLS): drop=N (one act in N is left out), user or user=ID (all of his acts), or delete=, "
     "replace= or insert= with random, earliest or latest (one act), none; may be given often"},
    {"samples", "N", "with a range: so many configurations (8)"},
    {"metric", "NAME",
     "what a sweep goes by: all, new or served, a dot, and recall@20, ndcg@20 or mrr@20 "
     "(new.ndcg@20)"},
    {"json", NULL, "prints one JSON object instead of a table"},
    {0},
};

// Files of --input, then operands, as they stand on the command line.
static bool read_inputs(const mr_options *options, int argc, char **argv, mr_replay_options *replay)
{
    const char *paths[MR_GIVEN_MAX + MR_REPLAY_INPUTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < options->given_count; i++)
        if (strcmp(options->given[i].name, "input") == 0)
            paths[count++] = options->given[i].value;
    for (int i = options->operand_first; i < argc; i++)
        paths[count++] = argv[i];
    if (count > MR_REPLAY_INPUTS_MAX) {
        char text[80];
        snprintf(text, sizeof text, "found %u files, want at most %d", count, MR_REPLAY_INPUTS_MAX);
        mr_command_fail("replay", text, MR_EXIT_USAGE);
        return false;
    }
    memcpy(replay->inputs, paths, count * sizeof *paths);
    replay->input_count = count;
    return true;
}

static bool read_end(const mr_options *options, const char *name, mr_range_end *end)
{
    mr_error err = {0};
    const char *const text = mr_options_get(options, name);
    if (text == NULL || mr_range_parse(text, end, &err) == MR_OK)
        return true;
    mr_wrap(&err, "--%s", name);
    mr_command_fail("replay", err.text, MR_EXIT_USAGE);
    return false;
}

static bool read_range(const mr_options *options, mr_replay_options *replay)
{
    replay->topics = mr_options_get(options, "kafka") != NULL;
    const bool ranged =
        mr_options_get(options, "from") != NULL || mr_options_get(options, "to") != NULL;
    if (ranged && !replay->topics) {
        mr_command_fail("replay", "--from and --to are of --kafka", MR_EXIT_USAGE);
        return false;
    }
    return read_end(options, "from", &replay->from) && read_end(options, "to", &replay->to);
}

static bool read_judging(const mr_options *options, mr_replay_options *replay)
{
    if (!read_end(options, "split", &replay->split))
        return false;
    if (mr_options_get(options, "split") != NULL && replay->split.kind != MR_RANGE_TIME) {
        mr_command_fail("replay", "--split: want a time", MR_EXIT_USAGE);
        return false;
    }
    if ((replay->split.kind == MR_RANGE_TIME || replay->field != NULL) && !replay->judge) {
        mr_command_fail("replay", "--by and --split judge lists: want no --no-measures",
                        MR_EXIT_USAGE);
        return false;
    }
    return true;
}

// Where the events come from. Returns NULL, or what is wrong.
static const char *read_source(const mr_options *options, mr_replay_options *replay,
                               mr_traffic_options *traffic, mr_error *err)
{
    const char *const generate = mr_options_get(options, "generate");
    const bool files = replay->input_count > 0 || replay->mapped_as != NULL ||
                       replay->catalogue != NULL ||
                       mr_options_get(options, "mapping") != NULL;
    if (replay->topics && files)
        return "--kafka reads topics: want no file, no --as, no --catalogue and no --mapping";
    if (generate != NULL && (replay->topics || files))
        return "--generate makes events: want no file, no --kafka, no --as, no --catalogue and no --mapping";
    if (!replay->topics && generate == NULL && replay->input_count == 0)
        return "no input: name a file (--input FILE), --kafka, or --generate WHAT";
    if (generate == NULL)
        return NULL;
    *traffic = mr_traffic_defaults();
    if (mr_traffic_parse(generate, traffic, err) != MR_OK) {
        mr_wrap(err, "--generate");
        return err->text;
    }
    replay->traffic = traffic;
    return NULL;
}

static int run(const mr_options *options, mr_replay_options *replay)
{
    mr_error err;
    mr_replay_result *result;
    const bool json = mr_options_get(options, "json") != NULL;
    const mr_config *const given = replay->config;
    mr_config *matched = NULL;
    uint32_t left_out;
    mr_status status = MR_OK;
    replay->progress = true;
    if (replay->topics)
        status = mr_kafka_match(given, 0, &matched, &left_out, &err);
    replay->config = matched != NULL ? matched : given;
    if (status == MR_OK)
        status = mr_replay_run(replay, &result, &err);
    replay->config = given;
    mr_matched_free(matched);
    if (status != MR_OK)
        return mr_command_fail("replay", err.text, MR_EXIT_FAILED);
    if (json) {
        json_t *object = mr_replay_json(result);
        json_dumpf(object, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
        json_decref(object);
    } else {
        mr_replay_print(result, stdout);
    }
    mr_replay_result_free(result);
    return MR_EXIT_GOOD;
}

int mr_command_replay(int argc, char **argv)
{
    mr_options options = {
        .command = "replay",
        .operands = "[FILE...]",
        .summary =
            "Learns from logged events as fast as the machine goes, and says for every model "
            "how well it\nforesaw each of them before it learned it.",
        .rows = rows,
        .configured = true,
        .operands_max = MR_REPLAY_INPUTS_MAX,
    };
    mr_config *config;
    mr_traffic_options traffic;
    mr_error err;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    mr_replay_options replay = {.out = mr_options_get(&options, "out"),
                                .catalogue = mr_options_get(&options, "catalogue"),
                                .mapped_as = mr_options_get(&options, "as"),
                                .measure = mr_options_get(&options, "no-metrics") == NULL,
                                .warmup = 0.1};
    replay.judge = replay.measure && mr_options_get(&options, "no-measures") == NULL;
    replay.field = mr_options_get(&options, "by");
    double hours = 24;
    if (!read_inputs(&options, argc, argv, &replay))
        return MR_EXIT_USAGE;
    if (mr_options_get(&options, "epochs") != NULL)
        return mr_command_rerun(&options, replay.input_count);
    if (mr_options_get(&options, "base") != NULL || mr_options_get(&options, "until") != NULL)
        return mr_command_fail("replay", "--base and --until are of --epochs", MR_EXIT_USAGE);
    if (!read_range(&options, &replay) || !read_judging(&options, &replay))
        return MR_EXIT_USAGE;
    const char *const wrong = read_source(&options, &replay, &traffic, &err);
    if (wrong != NULL)
        return mr_command_fail("replay", wrong, MR_EXIT_USAGE);
    if (!mr_options_number(&options, "warmup", 0, 0.99, &replay.warmup))
        return mr_command_fail("replay", "--warmup: want a share from 0 to 0.99", MR_EXIT_USAGE);
    if (!mr_options_number(&options, "window", 0.001, 1e6, &hours))
        return mr_command_fail("replay", "--window: want hours from 0.001 on", MR_EXIT_USAGE);
    replay.window_ms = (int64_t)(hours * 3600e3);
    if (mr_options_get(&options, "sweep") != NULL || mr_options_get(&options, "what-if") != NULL ||
        mr_options_get(&options, "perturb") != NULL)
        return mr_command_sweep(&options, &replay);
    if (mr_options_get(&options, "samples") != NULL || mr_options_get(&options, "metric") != NULL)
        return mr_command_fail("replay", "--samples and --metric are of --sweep", MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    replay.config = config;
    replay.format = options.format;
    replay.methods = &options.methods;
    exit_status = run(&options, &replay);
    mr_options_unload(&options, config);
    return exit_status;
}
