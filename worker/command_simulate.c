// SPDX-License-Identifier: Apache-2.0
// millrace simulate: the configuration's lists before simulated users, in a closed loop.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command_simulate.h"
#include "worker/print_tree.h"

static const mr_option rows[] = {
    {"attacks", NULL, "instead of policies: what each attack gains, and what it costs users"},
    {"what-if", "SETTINGS",
     "instead of policies: the configuration beside itself with these settings too, KEY=VALUE with "
     "spaces between; may be given several times"},
    {"seeds", "N", "with --what-if: worlds, of --seed and the seeds after it (20)"},
    {"users", "N", "simulated users (1000)"},
    {"items", "N", "items of the catalogue (500)"},
    {"days", "D", "simulated days; with --attacks those before the attack (7)"},
    {"attack-days", "D", "with --attacks: from the attack's begin until it is measured (1)"},
    {"sizes", "SHARES", "with --attacks: fake accounts a user (0.001,0.01,0.05)"},
    {"births", "SHARE", "of the items appear one by one in those days (0)"},
    {"content", "NOISE",
     "items come with a content vector of their taste, with noise of so many times its length"},
    {"twins", NULL,
     "with --births: each of them is as good as one that is there from the start, for the same "
     "users, and is held against it"},
    {"drift", "D", "days between two moves of a community's taste; 0: never (0)"},
    {"seed", "N", "of the users; equal seeds give equal numbers (1)"},
    {"json", NULL, "prints one JSON object instead of a table"},
    {0},
};

// ---- what is given

static bool read_sizes(const char *text, mr_simulate_options *simulate)
{
    if (text == NULL)
        return true;
    simulate->size_count = 0;
    for (char *end; simulate->size_count < MR_SIMULATE_SIZES_MAX; text = end + 1) {
        const double size = strtod(text, &end);
        if (end == text || !(size > 0 && size <= 1))
            return false;
        simulate->sizes[simulate->size_count++] = size;
        if (*end != ',')
            return *end == '\0';
    }
    return false;
}

// Returns NULL, or what is wrong.
static const char *read_options(const mr_options *options, mr_simulate_options *simulate)
{
    double users = simulate->users, items = simulate->items, seed = (double)simulate->seed;
    if (!mr_options_number(options, "users", 1, 1e6, &users))
        return "--users: want a number from 1 to 1000000";
    if (!mr_options_number(options, "items", 50, 1e5, &items))
        return "--items: want a number from 50 to 100000";
    if (!mr_options_number(options, "days", 0.01, 1000, &simulate->days))
        return "--days: want a number from 0.01 to 1000";
    if (!mr_options_number(options, "attack-days", 0.01, 1000, &simulate->attack_days))
        return "--attack-days: want a number from 0.01 to 1000";
    if (!mr_options_number(options, "births", 0, 0.5, &simulate->births))
        return "--births: want a share from 0 to 0.5";
    if (!mr_options_number(options, "content", 0, 100, &simulate->content))
        return "--content: want a number from 0 to 100";
    if (!mr_options_number(options, "drift", 0, 1000, &simulate->drift_days) ||
        (simulate->drift_days > 0 && simulate->drift_days < 0.01))
        return "--drift: want 0, or a number of days from 0.01 to 1000";
    if (!mr_options_number(options, "seed", 0, 1e15, &seed))
        return "--seed: want a number from 0 on";
    if (!read_sizes(mr_options_get(options, "sizes"), simulate))
        return "--sizes: want up to 8 shares above 0, at most 1, with commas";
    simulate->twins = mr_options_get(options, "twins") != NULL;
    if (simulate->twins && simulate->births == 0)
        return "--twins: want --births too";
    simulate->users = (uint32_t)users;
    simulate->items = (uint32_t)items;
    simulate->seed = (uint64_t)seed;
    return NULL;
}

// ---- what comes out

static void put(json_t *row, const char *name, double value)
{
    json_object_set_new(row, name, json_real(fabs(value) < 1e-9 ? 0 : value));
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void put_policy(json_t *table, const mr_simulate_options *simulate, int policy,
                       const mr_simulated *p)
{
    const mr_loop_sums *s = &p->sums;
    const double lists = (double)s->lists;
    char hash[33];
    json_t *row = json_object();
    json_object_set_new(row, "policy", json_string(mr_loop_policy_names[policy]));
    put(row, "clicks_a_list", ratio((double)s->clicks, lists));
    put(row, "standard_error", p->error);
    put(row, "share_of_oracle", ratio(s->expected, s->oracle));
    put(row, "regret_a_list", ratio(s->oracle - s->expected, (double)s->against));
    put(row, "purchases_a_list", ratio((double)s->purchases, lists));
    put(row, "lists_a_user", lists / simulate->users);
    put(row, "sessions_a_user", p->sessions);
    put(row, "satisfaction", p->satisfaction);
    put(row, "gone", p->gone);
    if (simulate->twins) {
        put(row, "twins", p->twins);
        put(row, "shown_500", p->twins_full);
        put(row, "fair_250_to_500", p->twins_late_share);
        put(row, "fair_from_birth", p->twins_share);
    }
    if (simulate->births > 0) {
        put(row, "unclicked", (double)s->early);
        put(row, "at_home", ratio((double)s->early_home, (double)s->early));
        put(row, "by_chance", ratio(s->early_chance, (double)s->early));
    }
    snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)p->state_hash.high,
             (unsigned long long)p->state_hash.low);
    if (policy == MR_LOOP_LEARNED)
        json_object_set_new(row, "state_hash", json_string(hash));
    json_array_append_new(table, row);
}

static mr_status run_policies(const mr_simulate_options *simulate, json_t *root, mr_error *err)
{
    mr_simulated policies[MR_LOOP_POLICIES];
    json_t *table = json_array();
    json_object_set_new(root, "policies", table);
    MR_TRY(mr_simulate_policies(simulate, policies, err));
    for (int p = 0; p < MR_LOOP_POLICIES; p++)
        put_policy(table, simulate, p, &policies[p]);
    return MR_OK;
}

static void put_attack(json_t *table, int kind, const mr_simulated_attack *a)
{
    json_t *row = json_object();
    json_object_set_new(row, "attack", json_string(mr_attack_names[kind]));
    json_object_set_new(row, "accounts", json_integer(a->fakes));
    json_object_set_new(row, "events", json_integer((json_int_t)a->events));
    put(row, "before", a->before.share);
    put(row, "clean", a->clean.share);
    put(row, "attacked", a->attacked.share);
    put(row, "rank_shift", a->clean.rank - a->attacked.rank);
    put(row, "recall_lost", a->clean.recall - a->attacked.recall);
    put(row, "clicks_clean", a->clean.clicks);
    put(row, "clicks_lost", a->clean.clicks - a->attacked.clicks);
    json_array_append_new(table, row);
}

static mr_status run_attacks(const mr_simulate_options *simulate, json_t *root, mr_error *err)
{
    json_t *table = json_array();
    json_object_set_new(root, "attacks", table);
    mr_simulated_attack *attacks =
        calloc((size_t)MR_ATTACK_KINDS * simulate->size_count, sizeof *attacks);
    if (attacks == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    const mr_status status = mr_simulate_attacks(simulate, attacks, err);
    for (uint32_t a = 0; status == MR_OK && a < MR_ATTACK_KINDS * simulate->size_count; a++)
        put_attack(table, (int)(a / simulate->size_count), &attacks[a]);
    free(attacks);
    return status;
}

static void print(json_t *root, bool attacks, bool json)
{
    if (json) {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        fputc('\n', stdout);
        return;
    }
    mr_print_tree(root, stdout);
    if (attacks)
        printf("\nShares of users whose list holds a target: before the attack, and at its end "
               "without and with it.\nA positive rank shift is towards the top. Recall is the "
               "share of the oracle's list, clicks those to\nexpect of a user's list by his true "
               "taste; lost by real users.\n");
}

static int run(const mr_options *options, const mr_simulate_options *simulate, uint32_t seeds)
{
    const bool attacks = mr_options_get(options, "attacks") != NULL;
    const bool arms = mr_options_get(options, "what-if") != NULL;
    mr_error err = {0};
    json_t *root = json_object();
    json_object_set_new(root, "users", json_integer(simulate->users));
    json_object_set_new(root, "items", json_integer(simulate->items));
    json_object_set_new(root, "list", json_integer(simulate->k));
    json_object_set_new(root, "days", json_real(simulate->days));
    const mr_status status =
        arms      ? mr_command_simulate_arms(options, simulate, seeds, root, &err)
        : attacks ? run_attacks(simulate, root, &err)
                  : run_policies(simulate, root, &err);
    if (status == MR_OK)
        print(root, attacks, mr_options_get(options, "json") != NULL);
    json_decref(root);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("simulate", err.text, MR_EXIT_FAILED);
}

int mr_command_simulate(int argc, char **argv)
{
    mr_options options = {
        .command = "simulate",
        .summary = "Shows the lists of the configuration to simulated users, in one process and "
                   "by event time alone,\nbeside random, recent and popular items and an oracle "
                   "who knows every taste; or attacks them.",
        .rows = rows,
        .configured = true,
    };
    mr_config *config;
    int exit_status;
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    mr_simulate_options simulate = mr_simulate_defaults();
    const char *const wrong = read_options(&options, &simulate);
    if (wrong != NULL)
        return mr_command_fail("simulate", wrong, MR_EXIT_USAGE);
    double seeds = 20;
    if (!mr_options_number(&options, "seeds", 1, 1000, &seeds))
        return mr_command_fail("simulate", "--seeds: want a number from 1 to 1000", MR_EXIT_USAGE);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    simulate.config = config;
    simulate.methods = &options.methods;
    simulate.progress = true;
    exit_status = run(&options, &simulate, (uint32_t)seeds);
    mr_options_unload(&options, config);
    return exit_status;
}
