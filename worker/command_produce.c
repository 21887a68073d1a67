// SPDX-License-Identifier: Apache-2.0
// millrace produce: events onto the bus, to try a worker out.
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command.h"
#include "worker/print_tree.h"
#include "worker/produce.h"

static const mr_option rows[] = {
    {"input", "FILE", "events: Avro container or CSV (plain, gzip, zstd), '-' for standard input"},
    {"as", "NAME", "the files have the kind and the mapping of topics.NAME of the configuration"},
    {"mapping", "FILE",
     "the files are foreign logs, CSV or JSON lines, read as FILE.yaml says, or one of ours "
     "such as otto (millrace schema --mappings)"},
    {"generate", "WHAT", MR_TRAFFIC_HELP},
    {"topic-of", "KIND=TOPIC", "events of that kind go to this topic; several with commas"},
    {"rate", "N", "events a second; otherwise as fast as the brokers take them"},
    {"limit", "N", "stop after so many events"},
    {"loop", NULL, "begin again when the files end, until stopped; best with --now"},
    {"now", NULL, "events happen when they are sent; otherwise files keep their times"},
    {"json", NULL, "prints one JSON object instead of a table"},
    {0},
};

// A handler can reach nothing but a global.
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

// "rating=clicks,cart=carts"; the text is cut in place.
static bool read_topics(char *text, const char *topic_of[MR_EVENT_KIND_COUNT])
{
    char *pair;
    while ((pair = strsep(&text, ",")) != NULL) {
        char *equals = strchr(pair, '=');
        if (equals == NULL || equals[1] == '\0')
            return false;
        *equals = '\0';
        const mr_event_kind kind = mr_event_kind_of(mr_bytes_text(pair));
        if (kind == MR_EVENT_KIND_COUNT)
            return false;
        topic_of[kind] = equals + 1;
    }
    return true;
}

static void print(const mr_produce_result *result, bool json)
{
    json_t *root = json_object();
    const double rate = result->seconds > 0 ? (double)result->events / result->seconds : 0;
    json_object_set_new(root, "events", json_integer((json_int_t)result->events));
    json_object_set_new(root, "seconds", json_real(result->seconds));
    json_object_set_new(root, "events_per_s", json_real(rate));
    json_object_set_new(root, "failed", json_integer((json_int_t)result->failed));
    json_object_set_new(root, "refused", json_integer((json_int_t)result->refused));
    json_object_set_new(root, "unreadable", json_integer((json_int_t)result->unreadable));
    json_object_set(root, "topics", result->topics);
    if (json) {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', stdout);
    } else {
        mr_print_tree(root, stdout);
    }
    json_decref(root);
}

static int run(const mr_options *options, mr_produce_options *produce)
{
    mr_error err = {0};
    mr_produce_result result;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    produce->stop = &stopped;
    produce->progress = true;
    const mr_status status = mr_produce_run(produce, &result, &err);
    print(&result, mr_options_get(options, "json") != NULL);
    json_decref(result.topics);
    if (status != MR_OK)
        return mr_command_fail("produce", err.text, MR_EXIT_FAILED);
    return result.failed == 0 && result.refused == 0 ? MR_EXIT_GOOD : MR_EXIT_FAILED;
}

// Reads the command line's values. Returns NULL, or what is wrong.
static const char *read_options(const mr_options *options, mr_produce_options *produce,
                                mr_traffic_options *traffic, char *topics, mr_error *err)
{
    const char *const generate = mr_options_get(options, "generate");
    double limit = 0;
    if (!mr_options_number(options, "rate", 0.001, 1e12, &produce->rate))
        return "--rate: want events a second, from 0.001 on";
    if (!mr_options_number(options, "limit", 1, 1e12, &limit))
        return "--limit: want a number of events, from 1 on";
    produce->limit = (uint64_t)limit;
    if (topics != NULL && !read_topics(topics, produce->topic_of))
        return "--topic-of: want KIND=TOPIC; kinds are click, cart, purchase, impression, rating, "
               "search, catalogue and control";
    if ((generate != NULL) == (produce->input_count > 0))
        return "want either files (--input FILE) or --generate WHAT";
    for (uint32_t i = 0; i < produce->input_count; i++)
        if (produce->loop && strcmp(produce->inputs[i], "-") == 0)
            return "--loop: standard input cannot begin again";
    if (generate == NULL)
        return NULL;
    *traffic = mr_traffic_defaults();
    if (mr_traffic_parse(generate, traffic, err) != MR_OK) {
        mr_wrap(err, "--generate");
        return err->text;
    }
    produce->traffic = traffic;
    return NULL;
}

int mr_command_produce(int argc, char **argv)
{
    mr_options options = {
        .command = "produce",
        .operands = "[FILE...]",
        .summary = "Sends the events of files, or made-up ones, to the topics of the "
                   "configuration's inputs, as records\nof our own schemas. Users go to partitions "
                   "as Kafka's Java clients send them.",
        .rows = rows,
        .configured = true,
        .operands_max = MR_PRODUCE_INPUTS_MAX - 1,
    };
    mr_config *config;
    mr_traffic_options traffic;
    mr_error err = {0};
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    mr_produce_options produce = {
        .mapped_as = mr_options_get(&options, "as"),
        .loop = mr_options_get(&options, "loop") != NULL,
        .now = mr_options_get(&options, "now") != NULL,
    };
    const char *const input = mr_options_get(&options, "input");
    const char *const topics = mr_options_get(&options, "topic-of");
    if (input != NULL)
        produce.inputs[produce.input_count++] = input;
    for (int i = options.operand_first; i < argc; i++)
        produce.inputs[produce.input_count++] = argv[i];
    char *const copy = topics != NULL ? strdup(topics) : NULL;
    const char *const wrong = read_options(&options, &produce, &traffic, copy, &err);
    if (wrong != NULL) {
        free(copy);
        return mr_command_fail("produce", wrong, MR_EXIT_USAGE);
    }
    if (mr_options_load(&options, &config)) {
        produce.config = config;
        produce.format = options.format;
        exit_status = run(&options, &produce);
        mr_options_unload(&options, config);
    } else {
        exit_status = MR_EXIT_USAGE;
    }
    free(copy);
    return exit_status;
}
