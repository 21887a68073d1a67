// SPDX-License-Identifier: Apache-2.0
// millrace demo: what it is asked for, and what it says at the end.
#include "worker/command.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/demo.h"
#include "worker/demo_view.h"

static const mr_option rows[] = {
    {"seconds", "N", "how long users come (60)"},
    {"users", "N", "simulated users (1500)"},
    {"items", "N", "items of the catalogue (600); a tenth of them appears while it runs"},
    {"seed", "N", "another world: other items, tastes and acts (1)"},
    {"json", NULL, "prints one JSON object at the end and nothing else"},
    {"no-color", NULL, "no colours, as NO_COLOR does"},
    {0},
};

// A handler can reach nothing but a global: the descriptor that a signal makes readable.
static volatile sig_atomic_t stop_fd = -1;

static void on_signal(int number)
{
    const uint64_t one = 1;
    const int saved = errno;
    (void)number;
    if (write(stop_fd, &one, sizeof one) < 0)
        _exit(MR_EXIT_FAILED);
    errno = saved;
}

// Every further signal says the same: the folder is to be removed, and that takes a moment.
static int open_signals(void)
{
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    stop_fd = fd;
    if (fd < 0 || sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0 ||
        sigaction(SIGHUP, &action, NULL) != 0)
        return -1;
    return fd;
}

static void close_signals(int fd)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    close(fd);
}

// Reads an option's whole number into *value if it was given. Returns false after a message.
static bool take_number(const mr_options *options, const char *name, uint64_t min, uint64_t max,
                        uint64_t *value)
{
    const char *const text = mr_options_get(options, name);
    char *end;
    if (text == NULL)
        return true;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number >= min &&
        number <= max) {
        *value = number;
        return true;
    }
    fprintf(stderr, "millrace demo: --%s: found '%.40s', want a whole number from %llu to %llu\n",
            name, text, (unsigned long long)min, (unsigned long long)max);
    return false;
}

static bool take_options(const mr_options *options, mr_demo_options *demo)
{
    const mr_world_config world = mr_world_defaults();
    uint64_t seconds = 60, users = world.users, items = world.items, seed = 1;
    if (!take_number(options, "seconds", 1, MR_DEMO_SECONDS_MAX, &seconds) ||
        !take_number(options, "users", MR_DEMO_USERS_MIN, MR_DEMO_USERS_MAX, &users) ||
        !take_number(options, "items", MR_DEMO_ITEMS_MIN, MR_DEMO_ITEMS_MAX, &items) ||
        !take_number(options, "seed", 0, INT64_MAX, &seed))
        return false;
    *demo = (mr_demo_options){
        .seconds = (int64_t)seconds,
        .users = (uint32_t)users,
        .items = (uint32_t)items,
        .seed = seed,
        .quiet = mr_options_get(options, "json") != NULL,
        .no_color = mr_options_get(options, "no-color") != NULL,
    };
    return true;
}

// ---- the end

static double ratio(const mr_demo_tally *tallies)
{
    const double popular = mr_demo_rate(tallies[MR_DEMO_POPULARITY]);
    return popular > 0 ? mr_demo_rate(tallies[MR_DEMO_LEARNED]) / popular : 0;
}

static void print_summary(const mr_demo_options *options, const mr_demo_result *result)
{
    const mr_demo_sight *sight = &result->sight;
    char a[MR_DEMO_NUMBER_BYTES], b[MR_DEMO_NUMBER_BYTES], c[MR_DEMO_NUMBER_BYTES];
    printf("\n%s %lld s, %s users, a third of them in each group, seed %llu\n\n",
           result->stopped ? "Stopped after" : "Ran for", (long long)((sight->run_ms + 500) / 1000),
           mr_demo_number(sight->users, a), (unsigned long long)options->seed);
    printf("  click rate     whole run   last third\n");
    for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++)
        printf("  %-13s %8.1f %%   %8.1f %%\n", mr_demo_group_names[g],
               100 * mr_demo_rate(sight->total[g]), 100 * mr_demo_rate(sight->third[g]));
    printf("  %-13s %8.2f x   %8.2f x   learned / popularity\n", "ratio", ratio(sight->total),
           ratio(sight->third));
    printf("  %-13s %8.1f %%                knowing every taste\n\n", "ceiling",
           100 * sight->oracle);
    printf(
        "  What is popular fades: whoever has clicked what is for him is left with the rest.\n\n");
    printf("  %s events sent, %s learned, %s refused\n", mr_demo_number(sight->events_sent, a),
           mr_demo_number(result->totals.learned, b), mr_demo_number(result->totals.refused, c));
    printf("  %s lists published; from a click to the new list %.0f ms (p50), %.0f ms (p99)\n\n",
           mr_demo_number(sight->lists, a), mr_histogram_quantile(&sight->latency, 0.5),
           mr_histogram_quantile(&sight->latency, 0.99));
    printf("The brokers were librdkafka's mock in this process: their transactions promise\n"
           "nothing, and the state began empty. Exactly-once needs real brokers: see\n"
           "\"On your own bus\" in README.md.\n");
}

static json_t *json_groups(const mr_demo_tally *tallies)
{
    json_t *groups = json_object();
    for (uint32_t g = 0; g < MR_DEMO_GROUPS; g++)
        json_object_set_new(groups, mr_demo_group_names[g],
                            json_pack("{s:I,s:I,s:f}", "shown", (json_int_t)tallies[g].shown,
                                      "clicks", (json_int_t)tallies[g].clicks, "click_rate",
                                      mr_demo_rate(tallies[g])));
    return groups;
}

static int print_json(const mr_demo_options *options, const mr_demo_result *result)
{
    const mr_demo_sight *s = &result->sight;
    const double seconds = (double)s->run_ms / 1000;
    json_t *weights = json_object();
    for (uint32_t i = 0; i < s->weight_count; i++)
        json_object_set_new(weights, s->weights[i].name, json_real(s->weights[i].weight));
    json_t *root =
        json_pack("{s:f,s:b,s:I,s:I,s:I,s:o,s:o,s:f,s:f,s:f,s:o}", "seconds", seconds, "stopped",
                  result->stopped, "seed", (json_int_t)options->seed, "users", (json_int_t)s->users,
                  "items", (json_int_t)s->items, "groups", json_groups(s->total), "last_third",
                  json_groups(s->third), "ratio", ratio(s->total), "ratio_last_third",
                  ratio(s->third), "ceiling", s->oracle, "blend_weights", weights);
    json_t *counts =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "visits", (json_int_t)s->visits, "clicks",
                  (json_int_t)s->clicks, "finds", (json_int_t)s->finds, "carts",
                  (json_int_t)s->carts, "purchases", (json_int_t)s->purchases, "users_with_list",
                  (json_int_t)s->users_with_list, "lists_unreadable", (json_int_t)s->lists_bad,
                  "versions_fell", (json_int_t)s->versions_fell);
    json_t *flow =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f}", "events_sent",
                  (json_int_t)s->events_sent, "events_learned", (json_int_t)result->totals.learned,
                  "events_duplicate", (json_int_t)result->totals.duplicate, "events_refused",
                  (json_int_t)result->totals.refused, "lists", (json_int_t)s->lists, "events_per_s",
                  seconds > 0 ? (double)s->events_sent / seconds : 0, "lists_per_s",
                  seconds > 0 ? (double)s->lists / seconds : 0, "latency_p50_ms",
                  mr_histogram_quantile(&s->latency, 0.5), "latency_p99_ms",
                  mr_histogram_quantile(&s->latency, 0.99));
    const bool good = root != NULL && counts != NULL && flow != NULL &&
                      json_object_update(root, counts) == 0 &&
                      json_object_update(root, flow) == 0 &&
                      json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
    json_decref(root);
    json_decref(counts);
    json_decref(flow);
    putchar('\n');
    return good && fflush(stdout) == 0 ? MR_EXIT_GOOD : MR_EXIT_FAILED;
}

int mr_command_demo(int argc, char **argv)
{
    mr_options options = {
        .command = "demo",
        .summary =
            "Runs everything in this process: mock brokers, the worker, and simulated users with "
            "hidden\ntastes, who click and buy from the lists that the worker publishes, and, to "
            "compare, from\npopular and from random ones. Needs no Kafka and leaves nothing "
            "behind.",
        .rows = rows,
    };
    mr_demo_options demo;
    mr_demo_result *result;
    mr_error err = {0};
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    if (!take_options(&options, &demo))
        return MR_EXIT_USAGE;
    demo.stop_fd = open_signals();
    result = malloc(sizeof *result);
    if (demo.stop_fd < 0 || result == NULL) {
        free(result);
        return mr_command_fail("demo", strerror(errno), MR_EXIT_FAILED);
    }
    exit_status = MR_EXIT_GOOD;
    if (mr_demo_run(&demo, result, &err) != MR_OK)
        exit_status = mr_command_fail("demo", err.text, MR_EXIT_FAILED);
    else if (demo.quiet)
        exit_status = print_json(&demo, result);
    else
        print_summary(&demo, result);
    close_signals(demo.stop_fd);
    free(result);
    return exit_status;
}
